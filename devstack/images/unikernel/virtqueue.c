/* Source: Virtual I/O Device (VIRTIO) 1.0, 2.4 (virtqueues), 2.4.2 (legacy layout, which a modern device accepts as well),
 * 2.4.13 and 2.4.14 (supplying and receiving buffers).
 *
 * Header and frame are separate descriptors because a legacy device may insist on it (5.1.6.6).
 */
#include "virtqueue.h"

#include "x86.h"

#define DESCRIPTOR_NEXT 1
#define DESCRIPTOR_DEVICE_WRITES 2
#define AVAILABLE_NO_INTERRUPT 1
#define USED_NO_NOTIFY 1

#define INDEX 1                         /* in words of `available` and `used` */
#define RING 2

void virtqueue_lay_out(struct virtqueue *queue, uint16_t size, uint32_t header_bytes, bool device_writes) {
    uint32_t available_at = (uint32_t)sizeof(struct virtqueue_descriptor) * size;
    uint32_t available_end = available_at + 2u * (3u + size);
    uint32_t used_at = (available_end + VIRTQUEUE_PAGE - 1) & ~(uint32_t)(VIRTQUEUE_PAGE - 1);
    uint16_t direction = device_writes ? DESCRIPTOR_DEVICE_WRITES : 0;

    queue->size = size;
    queue->pairs = size / 2 < VIRTQUEUE_MAX_PAIRS ? size / 2 : VIRTQUEUE_MAX_PAIRS;
    queue->descriptors = (volatile struct virtqueue_descriptor *)queue->memory;
    queue->available = (volatile uint16_t *)(queue->memory + available_at);
    queue->used = (volatile uint16_t *)(queue->memory + used_at);
    queue->used_ring = (volatile struct virtqueue_used_element *)(queue->used + RING);
    for (uint16_t pair = 0; pair < queue->pairs; pair++) {
        volatile struct virtqueue_descriptor *header = &queue->descriptors[2 * pair];
        volatile struct virtqueue_descriptor *frame = header + 1;

        header->address = (uint32_t)queue->buffers[pair].header;
        header->length = header_bytes;
        header->flags = DESCRIPTOR_NEXT | direction;
        header->next = (uint16_t)(2 * pair + 1);
        frame->address = (uint32_t)queue->buffers[pair].frame;
        frame->length = FRAME_BYTES;
        frame->flags = direction;
    }
}

void virtqueue_set_length(struct virtqueue *queue, uint16_t pair, uint32_t frame_bytes) {
    queue->descriptors[2 * pair + 1].length = frame_bytes;
}

void virtqueue_offer(struct virtqueue *queue, uint16_t pair) {
    queue->available[RING + queue->available_index % queue->size] = (uint16_t)(2 * pair);
    compiler_barrier();                 /* the entry must be there before the index says so */
    queue->available[INDEX] = ++queue->available_index;
}

bool virtqueue_has_used(const struct virtqueue *queue) {
    return queue->used[INDEX] != queue->used_index;
}

int virtqueue_take(struct virtqueue *queue, uint32_t *written) {
    while (virtqueue_has_used(queue)) {
        volatile struct virtqueue_used_element *element;
        uint32_t id;

        compiler_barrier();             /* and the element must not be read before the index */
        element = &queue->used_ring[queue->used_index++ % queue->size];
        id = element->id;
        *written = element->length;
        if (id % 2 == 0 && id / 2 < queue->pairs)
            return (int)(id / 2);
    }
    return -1;
}

bool virtqueue_wants_notice(const struct virtqueue *queue) {
    full_barrier();                     /* the index must be out before the flag is read, or both sides sleep (2.4.13.4) */
    return !(queue->used[0] & USED_NO_NOTIFY);
}

void virtqueue_mute(struct virtqueue *queue) {
    queue->available[0] = AVAILABLE_NO_INTERRUPT;
}
