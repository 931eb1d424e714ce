/* The network device as the protocols see it: frames in, frames out. */
#ifndef LINK_H
#define LINK_H

#include <stddef.h>
#include <stdint.h>

#define LINK_FRAME_MAX 1514             /* 14 bytes of Ethernet header and 1500 of packet, without the check sequence */

/* Give a buffer of LINK_FRAME_MAX bytes to write a frame into, or a null pointer when all are still on their way out: the
 * frame is then lost, as a network may lose it. The buffer is the same one until link_send. */
uint8_t *link_frame(void);

/* Send the first `length` bytes of the buffer. */
void link_send(size_t length);

#endif
