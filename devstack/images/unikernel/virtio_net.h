/* The network device. Frames are sent through link.h. */
#ifndef VIRTIO_NET_H
#define VIRTIO_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct virtio_net_facts {
    uint8_t mac[6];
    uint16_t mtu;                       /* 68..1500 */
    bool interrupts;                    /* false: the firmware routed no interrupt, so the device must be polled */
};

/* Find the first virtio network device, start it and fill in the facts. On failure give what is wrong, else a null pointer. */
const char *virtio_net_start(struct virtio_net_facts *facts);

bool virtio_net_has_frames(void);

/* Call `take` for each frame that has come in, but no more than a ring's worth, so that a flood can't keep the caller from
 * its other duties. The frame is the callee's until it returns. */
void virtio_net_receive(void (*take)(const uint8_t *frame, size_t length));

#endif
