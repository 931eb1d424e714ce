/* Initial sequence numbers that need not be remembered. */
#ifndef SYN_COOKIE_H
#define SYN_COOKIE_H

#include <stdint.h>

void syn_cookie_set_secret(uint64_t secret);

/* Give our initial sequence number for a connection to our one port from this peer, port and initial sequence number. Who does
 * not get our answers can't guess it, so an acknowledgement of it proves the handshake, and a flood of SYNs takes no memory.
 */
uint32_t syn_cookie(uint32_t peer_ip, uint16_t peer_port, uint32_t peer_sequence);

#endif
