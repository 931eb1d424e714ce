/* Configuration mechanism 1: it is on the i440FX and on Q35 alike, and needs no table of the firmware's.
 *
 * Sources: PCI Local Bus Specification 3.0, 3.2.2.3.2 (mechanism 1), 6.1 (header), 6.2.5.1 (BARs), 6.7 (capabilities);
 * PCI-to-PCI Bridge Architecture Specification 1.2, 3.2 (bridge header).
 */
#include "pci.h"

#include "x86.h"

#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA 0xcfc

#define VENDOR_ID 0x00
#define DEVICE_ID 0x02
#define COMMAND 0x04
#define STATUS 0x06
#define HEADER_TYPE 0x0e
#define BAR_0 0x10
#define SECONDARY_BUS 0x19
#define CAPABILITIES 0x34
#define INTERRUPT_LINE 0x3c

#define COMMAND_PORTS 0x0001
#define COMMAND_MEMORY 0x0002
#define COMMAND_MASTER 0x0004
#define COMMAND_NO_INTERRUPT 0x0400
#define STATUS_CAPABILITIES 0x0010

#define HEADER_PLAIN 0
#define HEADER_BRIDGE 1
#define HEADER_MULTIFUNCTION 0x80

#define NO_DEVICE 0xffff
#define MAX_DEPTH 8                     /* bridges in a row; a loop in broken tables must end too */
#define MAX_CAPABILITIES 48             /* 192 bytes hold no more, so a loop ends */

static void select(const struct pci_device *device, uint8_t offset) {
    port_write32(CONFIG_ADDRESS, 0x80000000u | (uint32_t)device->bus << 16 | (uint32_t)device->slot << 11 |
                                     (uint32_t)device->function << 8 | (offset & 0xfcu));
}

uint32_t pci_read32(const struct pci_device *device, uint8_t offset) {
    select(device, offset);
    return port_read32(CONFIG_DATA);
}

uint16_t pci_read16(const struct pci_device *device, uint8_t offset) {
    select(device, offset);
    return port_read16((uint16_t)(CONFIG_DATA + (offset & 2)));
}

uint8_t pci_read8(const struct pci_device *device, uint8_t offset) {
    select(device, offset);
    return port_read8((uint16_t)(CONFIG_DATA + (offset & 3)));
}

static void write_command(const struct pci_device *device, uint16_t command) {
    select(device, COMMAND);
    port_write16(CONFIG_DATA, command); /* 16 bits only: the status next to it clears where ones are written */
}

void pci_enable(const struct pci_device *device) {
    uint16_t command = pci_read16(device, COMMAND);

    command |= COMMAND_PORTS | COMMAND_MEMORY | COMMAND_MASTER;
    write_command(device, command & (uint16_t)~COMMAND_NO_INTERRUPT);
}

void pci_silence(const struct pci_device *device) {
    write_command(device, pci_read16(device, COMMAND) | COMMAND_NO_INTERRUPT);
}

int pci_interrupt_line(const struct pci_device *device) {
    uint8_t line = pci_read8(device, INTERRUPT_LINE);

    return line >= 1 && line <= 15 ? line : -1;
}

uint16_t pci_port_bar(const struct pci_device *device, int bar) {
    uint32_t value = pci_read32(device, (uint8_t)(BAR_0 + 4 * bar));

    return value & 1 ? (uint16_t)(value & 0xfffcu) : 0;
}

uint32_t pci_memory_bar(const struct pci_device *device, int bar) {
    uint32_t value;

    if (bar > 5)
        return 0;
    value = pci_read32(device, (uint8_t)(BAR_0 + 4 * bar));
    if (value & 1)
        return 0;
    if ((value >> 1 & 3) == 2 && (bar == 5 || pci_read32(device, (uint8_t)(BAR_0 + 4 * bar + 4))))
        return 0;
    return value & ~15u;
}

uint8_t pci_capability(const struct pci_device *device, uint8_t kind, uint8_t previous) {
    uint8_t at;

    if (!(pci_read16(device, STATUS) & STATUS_CAPABILITIES))
        return 0;
    at = pci_read8(device, previous ? (uint8_t)(previous + 1) : CAPABILITIES) & 0xfc;
    for (int i = 0; at >= 0x40 && i < MAX_CAPABILITIES; i++) {
        if (pci_read8(device, at) == kind)
            return at;
        at = pci_read8(device, (uint8_t)(at + 1)) & 0xfc;
    }
    return 0;
}

static void walk_bus(uint8_t bus, int depth, void (*visit)(const struct pci_device *));

static void walk_function(struct pci_device *device, int depth, void (*visit)(const struct pci_device *)) {
    uint8_t type = pci_read8(device, HEADER_TYPE) & (uint8_t)~HEADER_MULTIFUNCTION;

    device->device = pci_read16(device, DEVICE_ID);
    if (type == HEADER_PLAIN) {
        visit(device);
    } else if (type == HEADER_BRIDGE && depth < MAX_DEPTH) {
        uint8_t secondary = pci_read8(device, SECONDARY_BUS);

        if (secondary > device->bus)    /* a bridge that the firmware left alone has 0 here */
            walk_bus(secondary, depth + 1, visit);
    }
}

static void walk_bus(uint8_t bus, int depth, void (*visit)(const struct pci_device *)) {
    struct pci_device device = {.bus = bus};

    for (device.slot = 0; device.slot < 32; device.slot++) {
        uint8_t functions = 1;

        for (device.function = 0; device.function < functions; device.function++) {
            device.vendor = pci_read16(&device, VENDOR_ID);
            if (device.vendor == NO_DEVICE)
                continue;
            if (device.function == 0 && pci_read8(&device, HEADER_TYPE) & HEADER_MULTIFUNCTION)
                functions = 8;
            walk_function(&device, depth, visit);
        }
    }
}

void pci_walk(void (*visit)(const struct pci_device *device)) {
    walk_bus(0, 0, visit);
}
