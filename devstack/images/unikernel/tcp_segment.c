/* Sources: RFC 9293, 3.1 (header), 3.2 (options), 3.5.2 (reset generation), 3.7.1 (maximum segment size). */
#include "tcp_segment.h"

#include "checksum.h"
#include "host.h"
#include "memory.h"
#include "wire.h"

#define HEADER_BYTES 20
#define SEQUENCE 4
#define ACKNOWLEDGEMENT 8
#define DATA_OFFSET 12
#define FLAGS 13
#define WINDOW 14
#define CHECKSUM 16
#define URGENT 18
#define FLAGS_USED (TCP_FIN | TCP_SYN | TCP_RST | TCP_PSH | TCP_ACK)

#define OPTION_SEGMENT_SIZE 2
#define OPTION_SEGMENT_SIZE_BYTES 4

static uint16_t checksum(uint32_t peer_ip, const uint8_t *segment, size_t length) {
    uint8_t pseudo_header[12];

    wire_put32(pseudo_header, peer_ip); /* the order of the two addresses makes no difference to a sum */
    wire_put32(pseudo_header + 4, host.ip);
    wire_put16(pseudo_header + 8, IPV4_TCP);
    wire_put16(pseudo_header + 10, (uint16_t)length);
    return checksum_end(checksum_add(checksum_add(0, pseudo_header, sizeof pseudo_header), segment, length));
}

bool tcp_segment_parse(struct tcp_segment *segment, const struct ipv4_peer *from, const uint8_t *bytes, size_t length) {
    size_t header;

    if (length < HEADER_BYTES)
        return false;
    header = (size_t)(bytes[DATA_OFFSET] >> 4) * 4;
    if (header < HEADER_BYTES || header > length || checksum(from->ip, bytes, length))
        return false;
    segment->source = wire_get16(bytes);
    segment->destination = wire_get16(bytes + 2);
    segment->sequence = wire_get32(bytes + SEQUENCE);
    segment->acknowledgement = wire_get32(bytes + ACKNOWLEDGEMENT);
    segment->flags = bytes[FLAGS] & FLAGS_USED;
    segment->window = wire_get16(bytes + WINDOW);
    segment->data = bytes + header;
    segment->length = length - header;
    /* Port 0 is nobody's, and a SYN that also ends something is a scanner's. */
    return segment->source && segment->destination &&
           !(segment->flags & TCP_SYN && segment->flags & (TCP_FIN | TCP_RST));
}

void tcp_segment_send(const struct ipv4_peer *to, const struct tcp_segment *segment) {
    size_t header = HEADER_BYTES + (segment->flags & TCP_SYN ? OPTION_SEGMENT_SIZE_BYTES : 0);
    uint8_t *bytes = ipv4_begin(to, IPV4_TCP);

    if (!bytes)
        return;
    wire_put16(bytes, segment->source);
    wire_put16(bytes + 2, segment->destination);
    wire_put32(bytes + SEQUENCE, segment->sequence);
    wire_put32(bytes + ACKNOWLEDGEMENT, segment->acknowledgement);
    bytes[DATA_OFFSET] = (uint8_t)(header / 4 << 4);
    bytes[FLAGS] = segment->flags;
    wire_put16(bytes + WINDOW, segment->flags & TCP_RST ? 0 : TCP_WINDOW);
    wire_put16(bytes + CHECKSUM, 0);
    wire_put16(bytes + URGENT, 0);
    if (segment->flags & TCP_SYN) {
        bytes[HEADER_BYTES] = OPTION_SEGMENT_SIZE;
        bytes[HEADER_BYTES + 1] = OPTION_SEGMENT_SIZE_BYTES;
        wire_put16(bytes + HEADER_BYTES + 2, (uint16_t)(host.mtu - IPV4_HEADER - HEADER_BYTES));
    }
    if (segment->length)
        memcpy(bytes + header, segment->data, segment->length);
    wire_put16(bytes + CHECKSUM, checksum(to->ip, bytes, header + segment->length));
    ipv4_send(bytes, header + segment->length);
}

void tcp_segment_refuse(const struct ipv4_peer *to, const struct tcp_segment *segment) {
    struct tcp_segment reset = {.source = segment->destination, .destination = segment->source, .flags = TCP_RST};

    if (segment->flags & TCP_RST)
        return;
    if (segment->flags & TCP_ACK) {
        reset.sequence = segment->acknowledgement;
    } else {
        reset.flags |= TCP_ACK;
        reset.acknowledgement = segment->sequence + (uint32_t)segment->length;
        reset.acknowledgement += !!(segment->flags & TCP_SYN) + !!(segment->flags & TCP_FIN);
    }
    tcp_segment_send(to, &reset);
}
