/* Sources: RFC 826 (format and rules), RFC 5227, 2.3 (announcing an address). */
#include "arp.h"

#include "ethernet.h"
#include "host.h"
#include "memory.h"
#include "wire.h"

#define PACKET_BYTES 28
#define HARDWARE_ETHERNET 1
#define REQUEST 1
#define REPLY 2

#define OPERATION 6
#define SENDER_MAC 8
#define SENDER_IP 14
#define TARGET_MAC 18
#define TARGET_IP 24

#define GROUP_BIT 1

static const uint8_t nobody[6];

static void send(uint16_t operation, const uint8_t frame_to[6], const uint8_t target_mac[6], uint32_t target_ip) {
    uint8_t *packet = ethernet_begin(frame_to, ETHERNET_ARP);

    if (!packet)
        return;
    wire_put16(packet, HARDWARE_ETHERNET);
    wire_put16(packet + 2, ETHERNET_IPV4);
    packet[4] = 6;
    packet[5] = 4;
    wire_put16(packet + OPERATION, operation);
    memcpy(packet + SENDER_MAC, host.mac, 6);
    wire_put32(packet + SENDER_IP, host.ip);
    memcpy(packet + TARGET_MAC, target_mac, 6);
    wire_put32(packet + TARGET_IP, target_ip);
    ethernet_send(PACKET_BYTES);
}

void arp_receive(const uint8_t *packet, size_t length) {
    if (length < PACKET_BYTES || wire_get16(packet) != HARDWARE_ETHERNET || wire_get16(packet + 2) != ETHERNET_IPV4 ||
        packet[4] != 6 || packet[5] != 4)
        return;
    if (wire_get16(packet + OPERATION) != REQUEST || wire_get32(packet + TARGET_IP) != host.ip)
        return;
    if (packet[SENDER_MAC] & GROUP_BIT)
        return;
    send(REPLY, packet + SENDER_MAC, packet + SENDER_MAC, wire_get32(packet + SENDER_IP));
}

void arp_announce(void) {
    send(REQUEST, ethernet_broadcast, nobody, host.ip);
}
