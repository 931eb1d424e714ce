/* How a virtio device on PCI is reached: the same few acts for the legacy interface and for that of version 1.0. */
#ifndef VIRTIO_PCI_H
#define VIRTIO_PCI_H

#include <stdbool.h>
#include <stdint.h>

#include "pci.h"
#include "virtqueue.h"

#define VIRTIO_VENDOR 0x1af4
#define VIRTIO_NET_TRANSITIONAL 0x1000
#define VIRTIO_NET_MODERN 0x1041

#define VIRTIO_STATUS_ACKNOWLEDGE 1
#define VIRTIO_STATUS_DRIVER 2
#define VIRTIO_STATUS_DRIVER_OK 4
#define VIRTIO_STATUS_FEATURES_OK 8
#define VIRTIO_STATUS_FAILED 128

struct virtio_device;

struct virtio_transport {
    uint8_t (*status)(const struct virtio_device *device);
    void (*set_status)(const struct virtio_device *device, uint8_t status);
    /* `word` 0 holds the features 0..31, 1 the features 32..63. */
    uint32_t (*features)(const struct virtio_device *device, int word);
    void (*set_features)(const struct virtio_device *device, int word, uint32_t features);
    uint16_t (*queue_size)(const struct virtio_device *device, uint16_t number);
    void (*queue_enable)(struct virtio_device *device, uint16_t number, const struct virtqueue *queue);
    void (*notify)(const struct virtio_device *device, uint16_t number);
    /* Reading it also makes the device lower its interrupt line. */
    uint8_t (*interrupt_status)(const struct virtio_device *device);
    uint8_t (*config)(const struct virtio_device *device, uint8_t offset);
};

struct virtio_device {
    struct pci_device pci;
    const struct virtio_transport *transport;
    bool modern;
    uint16_t ports;                                 /* legacy */
    volatile uint8_t *common, *notices, *interrupt; /* modern */
    volatile uint8_t *settings;
    uint32_t notice_multiplier;
    volatile uint16_t *queue_notice[2];
};

/* Fill in the way to the device. On failure give what is wrong with it, else a null pointer. */
const char *virtio_pci_legacy_open(struct virtio_device *device);
const char *virtio_pci_modern_open(struct virtio_device *device);

#endif
