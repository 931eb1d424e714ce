/* Sources: RFC 791, 3.1 (header); RFC 1122, 3.2.1 (what a host drops silently); RFC 6864, 4.1 (identification of a packet that
 * is never fragmented).
 */
#include "ipv4.h"

#include "checksum.h"
#include "ethernet.h"
#include "host.h"
#include "icmp.h"
#include "memory.h"
#include "tcp.h"
#include "wire.h"

#define VERSION_AND_LENGTH 0
#define TOTAL_LENGTH 2
#define IDENTIFICATION 4
#define FRAGMENT 6
#define TIME_TO_LIVE 8
#define PROTOCOL 9
#define CHECKSUM 10
#define SOURCE 12
#define DESTINATION 16

#define DO_NOT_FRAGMENT 0x4000
#define MORE_OR_OFFSET 0x3fff
#define DEFAULT_TIME_TO_LIVE 64

/* Say whether an address can be one machine's: not this network, loopback, multicast, reserved or broadcast, nor our own. */
static int is_somebody_else(uint32_t ip) {
    uint32_t host_part = host.prefix < 31 ? 0xffffffffu >> host.prefix : 0;
    uint32_t first = ip >> 24;

    if (first == 0 || first == 127 || first >= 224 || ip == host.ip)
        return 0;
    return !(host_part && (ip | host_part) == (host.ip | host_part) && (ip & host_part) == host_part);
}

void ipv4_receive(const uint8_t from[6], const uint8_t *packet, size_t length) {
    struct ipv4_peer peer;
    size_t header, total;

    if (length < IPV4_HEADER)
        return;
    header = (size_t)(packet[VERSION_AND_LENGTH] & 15) * 4;
    total = wire_get16(packet + TOTAL_LENGTH);
    /* The frame may be longer than the packet: short ones are padded. */
    if (packet[VERSION_AND_LENGTH] >> 4 != 4 || header < IPV4_HEADER || total < header || total > length)
        return;
    if (checksum_end(checksum_add(0, packet, header)))
        return;
    if (wire_get32(packet + DESTINATION) != host.ip || wire_get16(packet + FRAGMENT) & MORE_OR_OFFSET)
        return;
    peer.ip = wire_get32(packet + SOURCE);
    if (!is_somebody_else(peer.ip))
        return;
    memcpy(peer.mac, from, 6);
    if (packet[PROTOCOL] == IPV4_ICMP)
        icmp_receive(&peer, packet + header, total - header);
    else if (packet[PROTOCOL] == IPV4_TCP)
        tcp_receive(&peer, packet + header, total - header);
}

uint8_t *ipv4_begin(const struct ipv4_peer *to, uint8_t protocol) {
    uint8_t *packet = ethernet_begin(to->mac, ETHERNET_IPV4);

    if (!packet)
        return 0;
    packet[VERSION_AND_LENGTH] = 4 << 4 | IPV4_HEADER / 4;
    packet[1] = 0;
    wire_put16(packet + IDENTIFICATION, 0);
    wire_put16(packet + FRAGMENT, DO_NOT_FRAGMENT);
    packet[TIME_TO_LIVE] = DEFAULT_TIME_TO_LIVE;
    packet[PROTOCOL] = protocol;
    wire_put32(packet + SOURCE, host.ip);
    wire_put32(packet + DESTINATION, to->ip);
    return packet + IPV4_HEADER;
}

void ipv4_send(uint8_t *payload, size_t payload_bytes) {
    uint8_t *packet = payload - IPV4_HEADER;

    wire_put16(packet + TOTAL_LENGTH, (uint16_t)(IPV4_HEADER + payload_bytes));
    wire_put16(packet + CHECKSUM, 0);
    wire_put16(packet + CHECKSUM, checksum_end(checksum_add(0, packet, IPV4_HEADER)));
    ethernet_send(IPV4_HEADER + payload_bytes);
}
