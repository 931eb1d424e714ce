/* ICMP: answers echo requests and nothing else. */
#ifndef ICMP_H
#define ICMP_H

#include "ipv4.h"

void icmp_receive(const struct ipv4_peer *from, const uint8_t *message, size_t length);

#endif
