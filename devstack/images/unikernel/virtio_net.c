/* Sources: VIRTIO 1.0, 3.1.1 (driver start), 5.1 (network device), 5.1.6 (device operation). */
#include "virtio_net.h"

#include "interrupts.h"
#include "link.h"
#include "memory.h"
#include "virtio_pci.h"

#define FEATURE_MTU (1u << 3)
#define FEATURE_MAC (1u << 5)
#define FEATURE_VERSION_1_HIGH (1u << 0)    /* feature 32 */

#define CONFIG_MAC 0
#define CONFIG_MTU 10

#define RECEIVE 0
#define TRANSMIT 1

/* The header has a last member, num_buffers, from version 1.0 on, or with merged receive buffers, which are not asked for. */
#define HEADER_BYTES_LEGACY 10
#define HEADER_BYTES_MODERN 12

#define FRAME_MIN 60                        /* IEEE 802.3, 3.2.8, without the check sequence; shorter ones are padded */
#define MTU_MIN 68                          /* RFC 791, 3.2 */
#define MTU_MAX 1500

static uint8_t ring_memory[2][VIRTQUEUE_BYTES] __attribute__((aligned(VIRTQUEUE_PAGE)));
static struct virtqueue_buffer buffers[2][VIRTQUEUE_MAX_PAIRS];
static struct virtqueue queues[2];
static struct virtio_device net;
static bool found;

static uint16_t idle_pairs[VIRTQUEUE_MAX_PAIRS];    /* of the transmit queue; a stack */
static uint16_t idle_count;

static void consider(const struct pci_device *device) {
    bool is_net = device->vendor == VIRTIO_VENDOR &&
                  (device->device == VIRTIO_NET_TRANSITIONAL || device->device == VIRTIO_NET_MODERN);

    if (is_net && !found) {
        found = true;
        net.pci = *device;
    } else {
        /* Nothing here answers its interrupts, and on a line that it shares with ours an unanswered one never ends. */
        pci_silence(device);
    }
}

/* The main loop looks at the rings whenever the processor wakes, so that it wakes is all that is needed of an interrupt. */
static void on_interrupt(void) {
    net.transport->interrupt_status(&net);
}

static const char *negotiate(void) {
    const struct virtio_transport *transport = net.transport;
    uint8_t status = VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER;

    transport->set_status(&net, 0);
    while (transport->status(&net))         /* 4.1.4.3.2: the reset is done when it reads back as 0 */
        ;
    transport->set_status(&net, VIRTIO_STATUS_ACKNOWLEDGE);
    transport->set_status(&net, status);
    transport->set_features(&net, 0, transport->features(&net, 0) & (FEATURE_MAC | FEATURE_MTU));
    if (!net.modern)
        return 0;
    transport->set_features(&net, 1, transport->features(&net, 1) & FEATURE_VERSION_1_HIGH);
    transport->set_status(&net, status | VIRTIO_STATUS_FEATURES_OK);
    if (!(transport->status(&net) & VIRTIO_STATUS_FEATURES_OK))
        return "the network device refuses the features of virtio 1.0";
    return 0;
}

static const char *start_queue(uint16_t number) {
    uint16_t size = net.transport->queue_size(&net, number);

    if (size < 2 || size > VIRTQUEUE_MAX_SIZE || size & (size - 1))
        return "the network device has queues of a size that is not supported (a power of 2, 2 to 1024)";
    queues[number].memory = ring_memory[number];
    queues[number].buffers = buffers[number];
    virtqueue_lay_out(&queues[number], size, net.modern ? HEADER_BYTES_MODERN : HEADER_BYTES_LEGACY, number == RECEIVE);
    net.transport->queue_enable(&net, number, &queues[number]);
    return 0;
}

static void read_facts(struct virtio_net_facts *facts) {
    const struct virtio_transport *transport = net.transport;
    uint32_t features = transport->features(&net, 0);

    for (uint8_t i = 0; i < 6; i++)
        facts->mac[i] = features & FEATURE_MAC ? transport->config(&net, CONFIG_MAC + i) : "\x52\x54\0\0\0\1"[i];
    facts->mtu = MTU_MAX;
    if (features & FEATURE_MTU) {
        uint16_t mtu = (uint16_t)(transport->config(&net, CONFIG_MTU) | transport->config(&net, CONFIG_MTU + 1) << 8);

        if (mtu >= MTU_MIN && mtu < MTU_MAX)
            facts->mtu = mtu;
    }
}

static void fill_queues(void) {
    for (uint16_t pair = 0; pair < queues[RECEIVE].pairs; pair++)
        virtqueue_offer(&queues[RECEIVE], pair);
    for (uint16_t pair = 0; pair < queues[TRANSMIT].pairs; pair++)
        idle_pairs[idle_count++] = pair;
    virtqueue_mute(&queues[TRANSMIT]);      /* sent buffers are collected when the next one is needed */
}

const char *virtio_net_start(struct virtio_net_facts *facts) {
    const char *problem;
    int line;

    pci_walk(consider);
    if (!found)
        return "no virtio network device";
    pci_enable(&net.pci);
    problem = net.pci.device == VIRTIO_NET_MODERN ? virtio_pci_modern_open(&net) : virtio_pci_legacy_open(&net);
    if (problem)
        return problem;
    if ((problem = negotiate()) || (problem = start_queue(RECEIVE)) || (problem = start_queue(TRANSMIT))) {
        net.transport->set_status(&net, VIRTIO_STATUS_FAILED);
        return problem;
    }
    read_facts(facts);
    fill_queues();
    line = pci_interrupt_line(&net.pci);
    facts->interrupts = line > 0;
    if (line > 0)
        interrupts_handle(line, on_interrupt);
    net.transport->set_status(&net, net.transport->status(&net) | VIRTIO_STATUS_DRIVER_OK);
    net.transport->notify(&net, RECEIVE);
    return 0;
}

bool virtio_net_has_frames(void) {
    return virtqueue_has_used(&queues[RECEIVE]);
}

void virtio_net_receive(void (*take)(const uint8_t *frame, size_t length)) {
    struct virtqueue *queue = &queues[RECEIVE];
    uint32_t header = net.modern ? HEADER_BYTES_MODERN : HEADER_BYTES_LEGACY;
    uint32_t written;
    int pair, taken = 0;

    while (taken < queue->pairs && (pair = virtqueue_take(queue, &written)) >= 0) {
        taken++;
        if (written > header && written <= header + FRAME_BYTES)
            take(queue->buffers[pair].frame, written - header);
        virtqueue_offer(queue, (uint16_t)pair);
    }
    if (taken && virtqueue_wants_notice(queue))
        net.transport->notify(&net, RECEIVE);
}

uint8_t *link_frame(void) {
    uint32_t written;
    int pair;

    while (idle_count < queues[TRANSMIT].pairs && (pair = virtqueue_take(&queues[TRANSMIT], &written)) >= 0)
        idle_pairs[idle_count++] = (uint16_t)pair;
    return idle_count ? queues[TRANSMIT].buffers[idle_pairs[idle_count - 1]].frame : 0;
}

void link_send(size_t length) {
    struct virtqueue *queue = &queues[TRANSMIT];
    uint16_t pair = idle_pairs[--idle_count];

    if (length < FRAME_MIN) {
        memset(queue->buffers[pair].frame + length, 0, FRAME_MIN - length);
        length = FRAME_MIN;
    }
    virtqueue_set_length(queue, pair, (uint32_t)length);
    virtqueue_offer(queue, pair);
    if (virtqueue_wants_notice(queue))
        net.transport->notify(&net, TRANSMIT);
}
