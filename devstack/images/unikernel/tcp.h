/* TCP for one listening port, 80, whose every connection carries one HTTP request and its answer. */
#ifndef TCP_H
#define TCP_H

#include <stdbool.h>

#include "ipv4.h"

/* Take a segment, header and data. */
void tcp_receive(const struct ipv4_peer *from, const uint8_t *segment, size_t length);

/* Do what has become due at this tick (see timer.h): send again, give up, forget. */
void tcp_tick(uint32_t now);

/* Say whether any connection waits for a tick. */
bool tcp_needs_ticks(void);

#endif
