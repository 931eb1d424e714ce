/* Source: RFC 792 (echo), RFC 1122, 3.2.2.6 (the data must come back unchanged). */
#include "icmp.h"

#include "checksum.h"
#include "memory.h"
#include "wire.h"

#define ECHO_REPLY 0
#define ECHO_REQUEST 8
#define HEADER_BYTES 8
#define CHECKSUM 2

void icmp_receive(const struct ipv4_peer *from, const uint8_t *message, size_t length) {
    uint8_t *reply;

    if (length < HEADER_BYTES || message[0] != ECHO_REQUEST || message[1] != 0)
        return;
    if (checksum_end(checksum_add(0, message, length)))
        return;
    reply = ipv4_begin(from, IPV4_ICMP);
    if (!reply)
        return;
    /* It fits: it came in a frame, with an IPv4 header no shorter than ours. */
    memcpy(reply, message, length);
    reply[0] = ECHO_REPLY;
    wire_put16(reply + CHECKSUM, 0);
    wire_put16(reply + CHECKSUM, checksum_end(checksum_add(0, reply, length)));
    ipv4_send(reply, length);
}
