/* hello-unikernel: a machine that does nothing but answer ARP, ping and HTTP.
 *
 * Source: Multiboot Specification 0.6.96, 3.2 (machine state), 3.3 (boot information).
 */
#include <stdint.h>

#include "arp.h"
#include "cmdline.h"
#include "ethernet.h"
#include "host.h"
#include "interrupts.h"
#include "memory.h"
#include "serial.h"
#include "syn_cookie.h"
#include "tcp.h"
#include "timer.h"
#include "virtio_net.h"
#include "x86.h"

#define MULTIBOOT_LOADER_MAGIC 0x2badb002
#define MULTIBOOT_HAS_COMMAND_LINE (1u << 2)

#define ANNOUNCEMENTS 2                 /* RFC 5227, 1.1: ANNOUNCE_NUM, ANNOUNCE_INTERVAL */
#define ANNOUNCEMENT_TICKS 36

struct multiboot_information {
    uint32_t flags;
    uint32_t memory_lower, memory_upper;
    uint32_t boot_device;
    uint32_t command_line;
};

extern const char image_start[], image_end[];

struct host host = {.name = "hello-unikernel"};

void main(uint32_t magic, const struct multiboot_information *information);

__attribute__((noreturn)) static void give_up(const char *problem) {
    char bytes[144];
    struct text line = {bytes, 0, sizeof bytes};

    text_add(&line, problem);
    text_add(&line, "; idle");
    bytes[line.length < sizeof bytes ? line.length : sizeof bytes - 1] = 0;
    serial_say(bytes);
    stop_forever();
}

static void report_up(void) {
    char bytes[224];
    struct text line = {bytes, 0, sizeof bytes};

    text_add(&line, "hello-unikernel: ");
    text_add(&line, host.name);
    text_add(&line, " up at ");
    text_add_ip(&line, host.ip);
    text_add(&line, "/");
    text_add_number(&line, (uint32_t)host.prefix);
    text_add(&line, " gw ");
    if (host.gateway)
        text_add_ip(&line, host.gateway);
    else
        text_add(&line, "none");
    text_add(&line, " mac ");
    text_add_mac(&line, host.mac);
    serial_line(&line);
}

/* A processor without a source of true randomness is the common case under emulation. The time stamp counter at this point,
 * which an outsider can't read, must do: the secret guards against forged handshakes, not against a host's own spies. */
static uint64_t draw_secret(void) {
    return time_stamp() * 0x9e3779b97f4a7c15u ^ (uint64_t)host.ip << 32 ^
           ((uint64_t)host.mac[3] << 16 | (uint64_t)host.mac[4] << 8 | host.mac[5]);
}

__attribute__((noreturn)) static void serve(bool interrupts) {
    uint32_t seen = timer_ticks(), announced_at = seen;
    int announcements = 1;

    arp_announce();
    for (;;) {
        uint32_t now = timer_ticks();

        virtio_net_receive(ethernet_receive);
        if (now != seen) {
            seen = now;
            tcp_tick(now);
            if (announcements < ANNOUNCEMENTS && now - announced_at >= ANNOUNCEMENT_TICKS) {
                arp_announce();
                announced_at = now;
                announcements++;
            }
        }
        if (!interrupts || announcements < ANNOUNCEMENTS || tcp_needs_ticks())
            timer_request_tick();
        if (virtio_net_has_frames() || timer_ticks() != seen)
            interrupts_take();
        else
            interrupts_wait();
    }
}

void main(uint32_t magic, const struct multiboot_information *information) {
    struct virtio_net_facts facts;
    const char *problem;

    serial_start();
    interrupts_start();
    if (magic != MULTIBOOT_LOADER_MAGIC)
        give_up("not started by a multiboot loader");
    problem = cmdline_read(
        information->flags & MULTIBOOT_HAS_COMMAND_LINE ? (const char *)information->command_line : "", &host);
    if (problem)
        give_up(problem);
    problem = virtio_net_start(&facts);
    if (problem)
        give_up(problem);
    memcpy(host.mac, facts.mac, sizeof host.mac);
    host.mtu = facts.mtu;
    host.image_bytes = (uint32_t)(image_end - image_start);
    syn_cookie_set_secret(draw_secret());
    timer_start();
    report_up();
    serve(facts.interrupts);
}
