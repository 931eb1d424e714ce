/* Address resolution: tells others our hardware address. We never ask for theirs, see ipv4.h. */
#ifndef ARP_H
#define ARP_H

#include <stddef.h>
#include <stdint.h>

void arp_receive(const uint8_t *packet, size_t length);

/* Tell everybody where our address is, so that neighbours and bridges forget where it was before. */
void arp_announce(void);

#endif
