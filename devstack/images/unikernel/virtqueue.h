/* A split virtqueue whose every buffer is a pair: a virtio-net header, then an Ethernet frame. */
#ifndef VIRTQUEUE_H
#define VIRTQUEUE_H

#include <stdbool.h>
#include <stdint.h>

#define VIRTQUEUE_MAX_SIZE 1024         /* descriptors; QEMU's own limit, and a legacy device can't be asked for less */
#define VIRTQUEUE_MAX_PAIRS 64
#define VIRTQUEUE_PAGE 4096
#define VIRTQUEUE_BYTES (8 * VIRTQUEUE_PAGE)
#define FRAME_BYTES 1514                /* Ethernet header and 1500 bytes */
#define NET_HEADER_MAX 12

struct virtqueue_descriptor {
    uint64_t address;
    uint32_t length;
    uint16_t flags;
    uint16_t next;
};

struct virtqueue_used_element {
    uint32_t id;
    uint32_t length;
};

struct virtqueue_buffer {
    uint8_t header[NET_HEADER_MAX];
    uint8_t frame[FRAME_BYTES];
};

struct virtqueue {
    uint8_t *memory;                    /* VIRTQUEUE_BYTES, on a page boundary, zeroed */
    struct virtqueue_buffer *buffers;   /* one for each pair */
    uint16_t size;                      /* descriptors */
    uint16_t pairs;
    uint16_t available_index;           /* both count on for ever and wrap at 65536, as the ring's own do */
    uint16_t used_index;
    volatile struct virtqueue_descriptor *descriptors;
    volatile uint16_t *available;       /* flags, index, ring */
    volatile uint16_t *used;            /* flags, index, then elements */
    volatile struct virtqueue_used_element *used_ring;
};

/* Lay the rings out in the queue's memory for `size` descriptors, with `header_bytes` of header before each frame.
 * `device_writes` says which way the frames go. */
void virtqueue_lay_out(struct virtqueue *queue, uint16_t size, uint32_t header_bytes, bool device_writes);

/* Set how many bytes of the pair's frame the device may use. */
void virtqueue_set_length(struct virtqueue *queue, uint16_t pair, uint32_t frame_bytes);

/* Hand the pair to the device. The device is not told; see virtqueue_wants_notice. */
void virtqueue_offer(struct virtqueue *queue, uint16_t pair);

bool virtqueue_has_used(const struct virtqueue *queue);

/* Take back a pair that the device has done with, and the bytes that it wrote: the pair's number, or -1 for none. */
int virtqueue_take(struct virtqueue *queue, uint32_t *written);

bool virtqueue_wants_notice(const struct virtqueue *queue);

/* Ask the device not to interrupt for this queue. */
void virtqueue_mute(struct virtqueue *queue);

#endif
