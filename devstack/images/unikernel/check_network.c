/* Check the protocols on the build machine, under the address and undefined-behaviour sanitizers: exact answers first, then
 * hundreds of thousands of damaged frames, each in a block of exactly its own size so that one byte read too far is an error.
 *
 * The random numbers are always the same ones, so a failure can be repeated.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arp.h"
#include "checksum.h"
#include "cmdline.h"
#include "ethernet.h"
#include "host.h"
#include "http.h"
#include "link.h"
#include "syn_cookie.h"
#include "tcp.h"
#include "tcp_segment.h"
#include "wire.h"

#define CHECK(condition) check(condition, #condition, __LINE__)
#define STORM_FRAMES 400000
#define PEER_IP 0x0a000001u
#define TCP_AT 34
#define DATA_AT 54
#define ANSWERS_MAX 64

struct host host = {.name = "check", .ip = 0x0a000005, .prefix = 24, .mac = {2, 0, 0, 0, 0, 5}, .mtu = 1500, .image_bytes = 1234};

struct client {
    uint32_t ip;
    uint16_t port;
    uint32_t next, acknowledged;        /* our next sequence number, and the server's */
    uint16_t window;
};

static const uint8_t peer_mac[6] = {2, 0, 0, 0, 0, 1};
static uint8_t frame_out[LINK_FRAME_MAX];
static uint8_t answers[ANSWERS_MAX][LINK_FRAME_MAX];
static size_t answer_lengths[ANSWERS_MAX];
static int answer_count;
static uint32_t ticks;
static bool storming;
static uint64_t random_state = 88172645463325252u;

static void check(bool holds, const char *what, int line) {
    if (holds)
        return;
    fprintf(stderr, "check_network.c:%d: does not hold: %s\n", line, what);
    exit(1);
}

static uint32_t draw(uint32_t below) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 32) % below;
}

uint8_t *link_frame(void) {
    return storming && !draw(100) ? 0 : frame_out;  /* in a storm the ring is full now and then */
}

static uint32_t pseudo_sum(const uint8_t *packet, size_t segment_bytes) {
    return checksum_add(0, packet + 12, 8) + packet[9] + (uint32_t)segment_bytes;
}

/* Whatever comes in, what goes out must be well-formed and meant for one machine. */
static void check_frame(const uint8_t *frame, size_t length) {
    const uint8_t *packet = frame + ETHERNET_HEADER;
    size_t total;

    CHECK(length >= ETHERNET_HEADER && length <= LINK_FRAME_MAX && !memcmp(frame + 6, host.mac, 6));
    if (wire_get16(frame + 12) == ETHERNET_ARP) {
        CHECK(length == ETHERNET_HEADER + 28);
        return;
    }
    CHECK(wire_get16(frame + 12) == ETHERNET_IPV4 && !(frame[0] & 1) && packet[0] == 0x45);
    total = wire_get16(packet + 2);
    CHECK(total == length - ETHERNET_HEADER && !checksum_end(checksum_add(0, packet, 20)));
    CHECK(wire_get32(packet + 12) == host.ip && wire_get32(packet + 16) != host.ip);
    if (packet[9] == IPV4_TCP)
        CHECK(!checksum_end(checksum_add(pseudo_sum(packet, total - 20), packet + 20, total - 20)));
    else
        CHECK(packet[9] == IPV4_ICMP && !checksum_end(checksum_add(0, packet + 20, total - 20)));
}

void link_send(size_t length) {
    check_frame(frame_out, length);
    if (answer_count == ANSWERS_MAX)
        answer_count = 0;
    memcpy(answers[answer_count], frame_out, length);
    answer_lengths[answer_count++] = length;
}

static void deliver(const uint8_t *frame, size_t length) {
    uint8_t *copy = malloc(length ? length : 1);

    memcpy(copy, frame, length);
    ethernet_receive(length ? copy : copy + 1, length);
    free(copy);
}

static void finish_ip(uint8_t *frame, uint8_t protocol, uint32_t from, size_t payload) {
    uint8_t *packet = frame + ETHERNET_HEADER;

    memcpy(frame, host.mac, 6);
    memcpy(frame + 6, peer_mac, 6);
    wire_put16(frame + 12, ETHERNET_IPV4);
    memset(packet, 0, 20);
    packet[0] = 0x45;
    wire_put16(packet + 2, (uint16_t)(20 + payload));
    packet[8] = 64;
    packet[9] = protocol;
    wire_put32(packet + 12, from);
    wire_put32(packet + 16, host.ip);
    wire_put16(packet + 10, checksum_end(checksum_add(0, packet, 20)));
}

static size_t write_segment(uint8_t *frame, const struct client *client, uint8_t flags, const void *data, size_t count) {
    uint8_t *segment = frame + TCP_AT;

    memset(segment, 0, 20);
    wire_put16(segment, client->port);
    wire_put16(segment + 2, 80);
    wire_put32(segment + 4, client->next);
    wire_put32(segment + 8, client->acknowledged);
    segment[12] = 5 << 4;
    segment[13] = flags;
    wire_put16(segment + 14, client->window);
    memcpy(segment + 20, data, count);
    finish_ip(frame, IPV4_TCP, client->ip, 20 + count);
    wire_put16(segment + 16, checksum_end(checksum_add(pseudo_sum(frame + ETHERNET_HEADER, 20 + count), segment, 20 + count)));
    return DATA_AT + count;
}

/* Send a segment; what the server answered is then in `answers`. */
static void say(const struct client *client, uint8_t flags, const void *data, size_t count) {
    uint8_t frame[LINK_FRAME_MAX];
    size_t length = write_segment(frame, client, flags, data, count);

    answer_count = 0;
    deliver(frame, length);
}

static const uint8_t *answer_segment(void) {
    CHECK(answer_count == 1);
    return answers[0] + TCP_AT;
}

static void pass_ticks(uint32_t count) {
    answer_count = 0;
    while (count--)
        tcp_tick(++ticks);
}

static void shake_hands(struct client *client, uint16_t port) {
    const uint8_t *segment;

    client->ip = PEER_IP;
    client->port = port;
    client->next = draw(0xffffffff);
    client->acknowledged = 0;
    client->window = 60000;
    do
        say(client, TCP_SYN, "", 0);
    while (!answer_count);
    segment = answer_segment();
    client->next++;
    if (storming && segment[13] != (TCP_SYN | TCP_ACK))
        return;                         /* an older connection with this port lives on */
    CHECK(segment[13] == (TCP_SYN | TCP_ACK) && wire_get32(segment + 8) == client->next);
    CHECK(segment[12] >> 4 == 6 && segment[20] == 2 && segment[21] == 4 && wire_get16(segment + 22) == 1460);
    client->acknowledged = wire_get32(segment + 4) + 1;
}

/* Ask for something in pieces of `step` bytes and compare the answer's first line; the connection is closed afterwards. */
static void ask(uint16_t port, const char *request, size_t step, const char *status) {
    struct client client;
    const uint8_t *segment = 0;
    size_t left = strlen(request), length;

    shake_hands(&client, port);
    while (left) {
        size_t piece = left < step ? left : step;

        say(&client, TCP_ACK | TCP_PSH, request, piece);
        segment = answers[answer_count - 1] + TCP_AT;
        client.next += (uint32_t)piece;
        CHECK(wire_get32(segment + 8) == client.next);
        request += piece;
        left -= piece;
        if (segment[13] & TCP_FIN)
            break;
    }
    CHECK(segment && segment[13] & TCP_FIN && wire_get32(segment + 4) == client.acknowledged);
    length = answer_lengths[answer_count - 1] - DATA_AT;
    CHECK(length > strlen(status) && !memcmp(segment + 20, status, strlen(status)));
    client.acknowledged += (uint32_t)length + 1;
    say(&client, TCP_ACK | TCP_FIN, "", 0);
    client.next++;
    CHECK(answer_segment()[13] == TCP_ACK && wire_get32(answer_segment() + 8) == client.next);
}

static void check_requests(void) {
    char longest[2000] = "GET /", huge[17000] = "GET / HTTP/1.1\r\nX: ";

    memset(longest + 5, 'a', 400);
    memset(huge + strlen(huge), 'b', 16500);
    for (size_t step = 1; step < 40; step += 3) {
        uint16_t port = (uint16_t)(1000 + 20 * step);

        ask(port++, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", step, "HTTP/1.1 200 OK\r\nContent-Type: text/html");
        ask(port++, "\r\nGET /?q=1 HTTP/1.0\n\n", step, "HTTP/1.1 200 ");
        ask(port++, "GET http://x/health HTTP/1.1\r\n\r\n", step, "HTTP/1.1 200 OK\r\nContent-Type: text/plain");
        ask(port++, "HEAD / HTTP/1.1\r\n\r\n", step, "HTTP/1.1 200 ");
        ask(port++, "GET /healthy HTTP/1.1\r\n\r\n", step, "HTTP/1.1 404 ");
        ask(port++, "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n", step, "HTTP/1.1 405 ");
        ask(port++, "GET /  HTTP/1.1\r\n\r\n", step, "HTTP/1.1 400 ");
        ask(port++, "nonsense\r\n", step, "HTTP/1.1 400 ");
        ask(port++, "GET / HTTP/1.1\r\n folded\r\n\r\n", step, "HTTP/1.1 400 ");
        ask(port++, "PRI * HTTP/2.0\r\n\r\n", step, "HTTP/1.1 505 ");
        ask(port++, longest, step, "HTTP/1.1 414 ");
        pass_ticks(200);
    }
    ask(999, huge, 1400, "HTTP/1.1 431 ");
    pass_ticks(200);
    CHECK(!tcp_needs_ticks());
}

/* Losses, repetitions, disorder, a closed window: the answer arrives all the same, and once. */
static void check_bad_luck(void) {
    static const char request[] = "GET / HTTP/1.1\r\n\r\n";
    size_t count = sizeof request - 1;
    struct client client;
    uint32_t start;

    shake_hands(&client, 50);
    start = client.next;
    say(&client, TCP_ACK, "", 0);
    CHECK(!answer_count && !tcp_needs_ticks());
    client.next = start - 1;
    say(&client, TCP_ACK, "", 0);                           /* a keep-alive probe */
    CHECK(answer_segment()[13] == TCP_ACK && wire_get32(answer_segment() + 8) == start);
    client.next = start + 5;
    say(&client, TCP_ACK, request + 5, count - 5);          /* the first piece was lost */
    CHECK(answer_segment()[13] == TCP_ACK && wire_get32(answer_segment() + 8) == start && !tcp_needs_ticks());
    client.next = start;
    say(&client, TCP_ACK, request, 5);
    client.next = start + 10;
    say(&client, TCP_ACK, request + 10, count - 10);    /* a hole */
    CHECK(wire_get32(answer_segment() + 8) == start + 5);
    client.next = start + 2;
    client.window = 0;
    say(&client, TCP_ACK, request + 2, count - 2);      /* overlaps, and leaves the answer no room */
    CHECK(wire_get32(answer_segment() + 8) == start + count && answer_lengths[0] == DATA_AT);
    client.next = start + (uint32_t)count;
    pass_ticks(19 * 8);
    CHECK(answer_count >= 1 && answer_lengths[0] == DATA_AT + 1);   /* a probe of one byte */
    client.window = 60000;
    client.acknowledged++;
    say(&client, TCP_ACK, "", 0);
    CHECK(wire_get32(answers[0] + TCP_AT + 4) == client.acknowledged && answers[0][TCP_AT + 13] & TCP_FIN);
    pass_ticks(18 * 80);                                    /* nobody acknowledges: it gives up */
    CHECK(!tcp_needs_ticks());
}

static void check_strangers(void) {
    struct client client = {.ip = PEER_IP, .port = 60, .next = 7, .acknowledged = 9, .window = 100};

    say(&client, TCP_ACK, "x", 1);
    CHECK(answer_segment()[13] == TCP_RST && wire_get32(answer_segment() + 4) == 9);
    say(&client, TCP_RST, "", 0);
    CHECK(!answer_count);
    client.ip = 0x0a0000ff;                                 /* the network's broadcast address */
    say(&client, TCP_SYN, "", 0);
    CHECK(!answer_count);
    client.ip = host.ip;
    say(&client, TCP_SYN, "", 0);
    CHECK(!answer_count);
    for (uint32_t i = 0; i < 100000; i++) {                 /* a flood takes no memory */
        client.ip = 0x0b000000 + i;
        client.next = draw(0xffffffff);
        say(&client, TCP_SYN, "", 0);
    }
    CHECK(!tcp_needs_ticks());
    for (uint16_t i = 0; i < 1000; i++) {                   /* more half requests than there are places */
        shake_hands(&client, (uint16_t)(2000 + i));
        say(&client, TCP_ACK, "GET ", 4);
    }
    ask(61, "GET / HTTP/1.1\r\n\r\n", 100, "HTTP/1.1 200 ");
    pass_ticks(18 * 30);
    CHECK(!tcp_needs_ticks());
}

static void check_small_things(void) {
    static const uint8_t example[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};      /* RFC 1071, 3 */
    static const uint8_t echo[] = {8, 0, 0xf7, 0xff, 0, 0, 0, 0};
    uint8_t frame[DATA_AT];

    CHECK(checksum_end(checksum_add(0, example, 8)) == 0x220d && checksum_end(checksum_add(0, example, 7)) == 0x2304);
    for (uint8_t words = 0; words < 6; words++) {           /* an IPv4 header of fewer than 5 words is none */
        memcpy(frame + TCP_AT, echo, sizeof echo);
        finish_ip(frame, IPV4_ICMP, PEER_IP, sizeof echo);
        frame[ETHERNET_HEADER] = 0x40 | words;
        wire_put16(frame + ETHERNET_HEADER + 10, 0);
        wire_put16(frame + ETHERNET_HEADER + 10, checksum_end(checksum_add(0, frame + ETHERNET_HEADER, words * 4u)));
        answer_count = 0;
        deliver(frame, TCP_AT + sizeof echo);
        CHECK(answer_count == (words == 5));
    }
    for (size_t length = 0; length < sizeof echo; length++) {
        finish_ip(frame, IPV4_ICMP, PEER_IP, length);
        deliver(frame, TCP_AT + length);
        finish_ip(frame, IPV4_TCP, PEER_IP, length);
        deliver(frame, TCP_AT + length);
    }
    CHECK(answer_count == 1);
}

static void damage(uint8_t *frame, size_t *length) {
    for (uint32_t hits = draw(4); hits; hits--)
        frame[draw((uint32_t)*length)] = (uint8_t)draw(256);
    if (!draw(4))
        *length = draw((uint32_t)*length + 1);
    else if (!draw(8))
        *length = *length + draw((uint32_t)(LINK_FRAME_MAX - *length) + 1);
}

/* Put the checksums right again, as far as the damaged lengths allow, so that the damage gets past them. */
static void mend(uint8_t *frame, size_t length) {
    uint8_t *packet = frame + ETHERNET_HEADER;
    size_t header, total;

    if (length < DATA_AT)
        return;
    header = (size_t)(packet[0] & 15) * 4;
    total = wire_get16(packet + 2);
    if (header < 20 || total > length - ETHERNET_HEADER || total < header + 20)
        return;
    wire_put16(packet + 10, 0);
    wire_put16(packet + 10, checksum_end(checksum_add(0, packet, header)));
    if (packet[9] == IPV4_TCP) {
        wire_put16(packet + header + 16, 0);
        wire_put16(packet + header + 16,
                   checksum_end(checksum_add(pseudo_sum(packet, total - header), packet + header, total - header)));
    } else {
        wire_put16(packet + header + 2, 0);
        wire_put16(packet + header + 2, checksum_end(checksum_add(0, packet + header, total - header)));
    }
}

static void storm(void) {
    static const char *const texts[] = {"GET / HTTP/1.1\r\n\r\n", "GET ", "POST / HTTP/1.1\r\nA: b\r\n", "\r\n\r\n", "", "\n"};
    struct client client;
    uint8_t frame[LINK_FRAME_MAX];

    for (int i = 0; i < STORM_FRAMES; i++) {
        const char *text = texts[draw(6)];
        size_t length;

        if (i == 0 || !draw(4))
            shake_hands(&client, (uint16_t)(1 + draw(300)));
        else if (!draw(4))
            client.next += draw(40) - 10;
        else if (!draw(4))
            client.acknowledged += draw(300) - 10;
        memset(frame, (int)draw(256), sizeof frame);
        length = write_segment(frame, &client, (uint8_t)(draw(4) ? TCP_ACK : draw(64)), text, strlen(text));
        if (!draw(10)) {
            frame[TCP_AT] = 8;
            frame[TCP_AT + 1] = 0;
            frame[ETHERNET_HEADER + 9] = IPV4_ICMP;
        } else if (!draw(20)) {
            wire_put16(frame + 12, ETHERNET_ARP);
            memcpy(frame + ETHERNET_HEADER, "\0\1\x08\0\6\4\0\1", 8);
            wire_put32(frame + ETHERNET_HEADER + 24, host.ip);
        }
        damage(frame, &length);
        if (draw(4))
            mend(frame, length);
        deliver(frame, length);
        client.next += draw(2) ? (uint32_t)strlen(text) : 0;
        if (!draw(50))
            tcp_tick(ticks += draw(40));
    }
    pass_ticks(18 * 80);
    CHECK(!tcp_needs_ticks());
}

static void check_command_line(void) {
    static const char *const bad[] = {
        "", "kernel", "ip=", "ip=10.0.0.5", "ip=10.0.0.5/", "ip=10.0.0.5/33", "ip=10.0.0.5/0", "ip=10.0.0.256/24", "ip=10.0.0/24",
        "ip=10.0.0.5/24x", "ip=010.0.0.5/24", "ip=10.0.0.0/24", "ip=10.0.0.255/24", "ip=127.0.0.1/8", "ip=224.0.0.1/4",
        "ip=4294967296.0.0.1/24", "ip=10..0.5/24", "ip=-1.0.0.5/24", "ip=10.0.0.5/24 ip=x", "IP=10.0.0.5/24", "ip=10.0.0.5/24 gw=",
        "ip=10.0.0.5/24 gw=10.0.0.1/24", "ip=10.0.0.5/24 gw=no",
    };
    struct host got = {.name = "before"};
    char name[300] = "ip=10.0.0.5/31 name=<b>\n";

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (!cmdline_read(bad[i], &got)) {
            fprintf(stderr, "accepted: %s\n", bad[i]);
            exit(1);
        }
    CHECK(!cmdline_read("/boot/k=1 quiet  ip=10.1.2.3/16 =x gw=10.1.0.1 name=a.b-c ", &got));
    CHECK(got.ip == 0x0a010203 && got.prefix == 16 && got.gateway == 0x0a010001 && !strcmp(got.name, "a.b-c"));
    memset(name + strlen(name), 'x', 200);
    CHECK(!cmdline_read(name, &got) && strlen(got.name) == HOST_NAME_MAX && !memcmp(got.name, "-b--x", 5));
}

int main(void) {
    syn_cookie_set_secret(0x0123456789abcdef);
    check_command_line();
    check_small_things();
    check_requests();
    check_bad_luck();
    check_strangers();
    storming = true;
    storm();
    storming = false;
    check_requests();
    printf("the protocols hold: %d damaged frames, and all answers as before\n", STORM_FRAMES);
    return 0;
}
