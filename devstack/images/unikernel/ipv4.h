/* IPv4 as a host that only ever answers needs it: an answer goes to the station that the question came from, be it a neighbour
 * or the gateway. So there are no routes and no ARP cache, and nothing that a forged packet could poison.
 */
#ifndef IPV4_H
#define IPV4_H

#include <stddef.h>
#include <stdint.h>

#define IPV4_HEADER 20
#define IPV4_ICMP 1
#define IPV4_TCP 6

struct ipv4_peer {
    uint32_t ip;
    uint8_t mac[6];
};

/* Take a packet that came from the station `from`. */
void ipv4_receive(const uint8_t from[6], const uint8_t *packet, size_t length);

/* Start a packet to the peer and give the place of its payload, or a null pointer when there is no room now. */
uint8_t *ipv4_begin(const struct ipv4_peer *to, uint8_t protocol);

/* Send the packet begun last; its payload is at `payload`. */
void ipv4_send(uint8_t *payload, size_t payload_bytes);

#endif
