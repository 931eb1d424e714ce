/* The legacy interface, which every transitional device has: registers behind an input/output BAR.
 *
 * Source: VIRTIO 1.0, 4.1.4.8 (legacy interfaces: PCI device layout).
 */
#include "virtio_pci.h"
#include "x86.h"

#define DEVICE_FEATURES 0
#define DRIVER_FEATURES 4
#define QUEUE_ADDRESS 8
#define QUEUE_SIZE 12
#define QUEUE_SELECT 14
#define QUEUE_NOTIFY 16
#define DEVICE_STATUS 18
#define INTERRUPT_STATUS 19
#define DEVICE_CONFIG 20                /* as long as MSI-X is off, and nobody turns it on here */

static uint8_t legacy_status(const struct virtio_device *device) {
    return port_read8(device->ports + DEVICE_STATUS);
}

static void legacy_set_status(const struct virtio_device *device, uint8_t status) {
    port_write8(device->ports + DEVICE_STATUS, status);
}

static uint32_t legacy_features(const struct virtio_device *device, int word) {
    return word ? 0 : port_read32(device->ports + DEVICE_FEATURES);
}

static void legacy_set_features(const struct virtio_device *device, int word, uint32_t features) {
    if (!word)
        port_write32(device->ports + DRIVER_FEATURES, features);
}

static uint16_t legacy_queue_size(const struct virtio_device *device, uint16_t number) {
    port_write16(device->ports + QUEUE_SELECT, number);
    return port_read16(device->ports + QUEUE_SIZE);
}

static void legacy_queue_enable(struct virtio_device *device, uint16_t number, const struct virtqueue *queue) {
    port_write16(device->ports + QUEUE_SELECT, number);
    port_write32(device->ports + QUEUE_ADDRESS, (uint32_t)queue->memory / VIRTQUEUE_PAGE);
}

static void legacy_notify(const struct virtio_device *device, uint16_t number) {
    port_write16(device->ports + QUEUE_NOTIFY, number);
}

static uint8_t legacy_interrupt_status(const struct virtio_device *device) {
    return port_read8(device->ports + INTERRUPT_STATUS);
}

static uint8_t legacy_config(const struct virtio_device *device, uint8_t offset) {
    return port_read8((uint16_t)(device->ports + DEVICE_CONFIG + offset));
}

static const struct virtio_transport legacy = {
    .status = legacy_status,
    .set_status = legacy_set_status,
    .features = legacy_features,
    .set_features = legacy_set_features,
    .queue_size = legacy_queue_size,
    .queue_enable = legacy_queue_enable,
    .notify = legacy_notify,
    .interrupt_status = legacy_interrupt_status,
    .config = legacy_config,
};

const char *virtio_pci_legacy_open(struct virtio_device *device) {
    device->ports = pci_port_bar(&device->pci, 0);
    if (!device->ports)
        return "the network device's port BAR was not set up by the firmware";
    device->transport = &legacy;
    device->modern = false;
    return 0;
}
