/* PCI configuration space. */
#ifndef PCI_H
#define PCI_H

#include <stdbool.h>
#include <stdint.h>

#define PCI_CAPABILITY_VENDOR 0x09

struct pci_device {
    uint8_t bus, slot, function;
    uint16_t vendor, device;
};

/* Call `visit` for each function of each device that is not a bridge, behind bridges too. */
void pci_walk(void (*visit)(const struct pci_device *device));

uint8_t pci_read8(const struct pci_device *device, uint8_t offset);
uint16_t pci_read16(const struct pci_device *device, uint8_t offset);
uint32_t pci_read32(const struct pci_device *device, uint8_t offset);

/* Let the device decode its addresses, reach memory, and interrupt. */
void pci_enable(const struct pci_device *device);

/* Keep the device from interrupting. */
void pci_silence(const struct pci_device *device);

/* Give the line 1..15 of the interrupt controllers that the firmware routed the device to, or -1. */
int pci_interrupt_line(const struct pci_device *device);

/* Give the port number of an input/output BAR, or 0. */
uint16_t pci_port_bar(const struct pci_device *device, int bar);

/* Give the address of a memory BAR, or 0 where it has none that 32 bits can reach. */
uint32_t pci_memory_bar(const struct pci_device *device, int bar);

/* Give the offset of the next capability of this kind after `previous` (0: from the start), or 0. */
uint8_t pci_capability(const struct pci_device *device, uint8_t kind, uint8_t previous);

#endif
