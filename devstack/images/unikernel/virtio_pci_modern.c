/* The interface of version 1.0, the only one of a device behind a PCI Express port: registers in memory, found through
 * vendor capabilities.
 *
 * Source: VIRTIO 1.0, 4.1.4 (capabilities), 4.1.4.3 (common configuration), 4.1.4.4 (notification), 4.1.4.5 (interrupt status).
 */
#include "virtio_pci.h"
#include "x86.h"

#define CAPABILITY_KIND 3
#define CAPABILITY_BAR 4
#define CAPABILITY_OFFSET 8
#define CAPABILITY_NOTICE_MULTIPLIER 16

#define KIND_COMMON 1
#define KIND_NOTIFY 2
#define KIND_INTERRUPT 3
#define KIND_DEVICE 4

#define DEVICE_FEATURE_SELECT 0
#define DEVICE_FEATURE 4
#define DRIVER_FEATURE_SELECT 8
#define DRIVER_FEATURE 12
#define DEVICE_STATUS 20
#define QUEUE_SELECT 22
#define QUEUE_SIZE 24
#define QUEUE_ENABLE 28
#define QUEUE_NOTIFY_OFFSET 30
#define QUEUE_DESCRIPTORS 32
#define QUEUE_AVAILABLE 40
#define QUEUE_USED 48

#define PREFERRED_SIZE 256

static volatile uint16_t *word16(const struct virtio_device *device, uint32_t offset) {
    return (volatile uint16_t *)(device->common + offset);
}

static volatile uint32_t *word32(const struct virtio_device *device, uint32_t offset) {
    return (volatile uint32_t *)(device->common + offset);
}

static uint8_t modern_status(const struct virtio_device *device) {
    return device->common[DEVICE_STATUS];
}

static void modern_set_status(const struct virtio_device *device, uint8_t status) {
    device->common[DEVICE_STATUS] = status;
}

static uint32_t modern_features(const struct virtio_device *device, int word) {
    *word32(device, DEVICE_FEATURE_SELECT) = (uint32_t)word;
    return *word32(device, DEVICE_FEATURE);
}

static void modern_set_features(const struct virtio_device *device, int word, uint32_t features) {
    *word32(device, DRIVER_FEATURE_SELECT) = (uint32_t)word;
    *word32(device, DRIVER_FEATURE) = features;
}

static uint16_t modern_queue_size(const struct virtio_device *device, uint16_t number) {
    *word16(device, QUEUE_SELECT) = number;
    if (*word16(device, QUEUE_SIZE) > PREFERRED_SIZE)
        *word16(device, QUEUE_SIZE) = PREFERRED_SIZE;
    return *word16(device, QUEUE_SIZE);
}

static void write_address(struct virtio_device *device, uint32_t offset, volatile const void *address) {
    *word32(device, offset) = (uint32_t)address;
    *word32(device, offset + 4) = 0;
}

static void modern_queue_enable(struct virtio_device *device, uint16_t number, const struct virtqueue *queue) {
    *word16(device, QUEUE_SELECT) = number;
    write_address(device, QUEUE_DESCRIPTORS, queue->descriptors);
    write_address(device, QUEUE_AVAILABLE, queue->available);
    write_address(device, QUEUE_USED, queue->used);
    device->queue_notice[number] =
        (volatile uint16_t *)(device->notices + *word16(device, QUEUE_NOTIFY_OFFSET) * device->notice_multiplier);
    *word16(device, QUEUE_ENABLE) = 1;
}

static void modern_notify(const struct virtio_device *device, uint16_t number) {
    *device->queue_notice[number] = number;
}

static uint8_t modern_interrupt_status(const struct virtio_device *device) {
    return *device->interrupt;
}

static uint8_t modern_config(const struct virtio_device *device, uint8_t offset) {
    return device->settings[offset];
}

static const struct virtio_transport modern = {
    .status = modern_status,
    .set_status = modern_set_status,
    .features = modern_features,
    .set_features = modern_set_features,
    .queue_size = modern_queue_size,
    .queue_enable = modern_queue_enable,
    .notify = modern_notify,
    .interrupt_status = modern_interrupt_status,
    .config = modern_config,
};

/* Give the address of the first structure of this kind whose memory can be reached (4.1.4.1: the order is one of preference),
 * and the capability's offset. */
static volatile uint8_t *locate(const struct virtio_device *device, uint8_t kind, uint8_t *capability) {
    uint8_t at = 0;

    while ((at = pci_capability(&device->pci, PCI_CAPABILITY_VENDOR, at))) {
        uint32_t base;

        if (pci_read8(&device->pci, at + CAPABILITY_KIND) != kind)
            continue;
        base = pci_memory_bar(&device->pci, pci_read8(&device->pci, at + CAPABILITY_BAR));
        if (!base)
            continue;
        *capability = at;
        return (volatile uint8_t *)(base + pci_read32(&device->pci, at + CAPABILITY_OFFSET));
    }
    return 0;
}

const char *virtio_pci_modern_open(struct virtio_device *device) {
    uint8_t capability;

    device->common = locate(device, KIND_COMMON, &capability);
    device->interrupt = locate(device, KIND_INTERRUPT, &capability);
    device->settings = locate(device, KIND_DEVICE, &capability);
    device->notices = locate(device, KIND_NOTIFY, &capability);
    if (!device->common || !device->interrupt || !device->settings || !device->notices)
        return "the network device's memory BAR was not set up by the firmware, or lies above 4 GiB";
    device->notice_multiplier = pci_read32(&device->pci, capability + CAPABILITY_NOTICE_MULTIPLIER);
    device->transport = &modern;
    device->modern = true;
    return 0;
}
