/* Ethernet II frames: the first look at what comes in, and the header of what goes out. */
#ifndef ETHERNET_H
#define ETHERNET_H

#include <stddef.h>
#include <stdint.h>

#define ETHERNET_HEADER 14
#define ETHERNET_ARP 0x0806
#define ETHERNET_IPV4 0x0800

extern const uint8_t ethernet_broadcast[6];

/* Take a frame from the network and do all that it asks for. It may hold anything. */
void ethernet_receive(const uint8_t *frame, size_t length);

/* Start a frame and give the place of its payload, or a null pointer when there is no room now. */
uint8_t *ethernet_begin(const uint8_t to[6], uint16_t kind);

void ethernet_send(size_t payload_bytes);

#endif
