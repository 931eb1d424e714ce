/* Source: IEEE 802.3, 3.2 (frame), RFC 894 (types). */
#include "ethernet.h"

#include "arp.h"
#include "host.h"
#include "ipv4.h"
#include "link.h"
#include "memory.h"
#include "wire.h"

#define GROUP_BIT 1

const uint8_t ethernet_broadcast[6] = {255, 255, 255, 255, 255, 255};

void ethernet_receive(const uint8_t *frame, size_t length) {
    const uint8_t *to = frame, *from = frame + 6;
    int for_us;

    if (length < ETHERNET_HEADER || length > LINK_FRAME_MAX)
        return;
    /* An answer to a group would make this machine an amplifier. */
    if (from[0] & GROUP_BIT || !memcmp(from, host.mac, 6))
        return;
    for_us = !memcmp(to, host.mac, 6);
    switch (wire_get16(frame + 12)) {
    case ETHERNET_ARP:
        if (for_us || !memcmp(to, ethernet_broadcast, 6))
            arp_receive(frame + ETHERNET_HEADER, length - ETHERNET_HEADER);
        break;
    case ETHERNET_IPV4:
        if (for_us)
            ipv4_receive(from, frame + ETHERNET_HEADER, length - ETHERNET_HEADER);
        break;
    }
}

uint8_t *ethernet_begin(const uint8_t to[6], uint16_t kind) {
    uint8_t *frame = link_frame();

    if (!frame)
        return 0;
    memcpy(frame, to, 6);
    memcpy(frame + 6, host.mac, 6);
    wire_put16(frame + 12, kind);
    return frame + ETHERNET_HEADER;
}

void ethernet_send(size_t payload_bytes) {
    link_send(ETHERNET_HEADER + payload_bytes);
}
