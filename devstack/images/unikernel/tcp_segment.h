/* TCP segments: read, checked, and sent. What they mean for a connection is tcp.c's business. */
#ifndef TCP_SEGMENT_H
#define TCP_SEGMENT_H

#include <stdbool.h>

#include "ipv4.h"

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_PSH 0x08
#define TCP_ACK 0x10

#define TCP_WINDOW 8192                 /* always the same: what comes in is used up at once */

struct tcp_segment {
    uint16_t source, destination;       /* ports */
    uint32_t sequence, acknowledgement;
    uint8_t flags;
    uint16_t window;
    const uint8_t *data;
    size_t length;                      /* of the data */
};

/* Read and check a segment; false: it is damaged, or makes no sense. */
bool tcp_segment_parse(struct tcp_segment *segment, const struct ipv4_peer *from, const uint8_t *bytes, size_t length);

/* Send a segment to `destination` from `source`; flags with TCP_SYN bring the option that states our largest segment. */
void tcp_segment_send(const struct ipv4_peer *to, const struct tcp_segment *segment);

/* Refuse a segment that belongs to no connection. */
void tcp_segment_refuse(const struct ipv4_peer *to, const struct tcp_segment *segment);

#endif
