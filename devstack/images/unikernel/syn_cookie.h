/* Initial sequence numbers that need not be remembered. */
#ifndef SYN_COOKIE_H
#define SYN_COOKIE_H

#include <stdint.h>

void syn_cookie_set_secret(uint64_t secret);

/* Give what our initial sequence number for a connection of this peer's port to our one port is ahead of the peer's own. Who does
 * not get our answers can't guess it, so an acknowledgement of it proves the handshake, and a flood of SYNs takes no memory.
 *
 * That the peer's number is added and not hashed along lets us tell from any later segment how far it is from the beginning:
 * when the first segment of a request is lost, the second is still known for what it is.
 */
uint32_t syn_cookie(uint32_t peer_ip, uint16_t peer_port);

#endif
