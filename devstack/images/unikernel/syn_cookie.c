/* HalfSipHash-2-4: a keyed hash made of 32-bit operations.
 *
 * Sources: RFC 6528, 3 (sequence numbers from a keyed hash); RFC 4987, 3.6 (SYN cookies); Aumasson and Bernstein, "SipHash: a
 * fast short-input PRF", and its reference implementation's half-width variant.
 *
 * RFC 6528 adds a clock, so that a connection's successor of the same ports begins elsewhere. Here the peer's own initial
 * number is added, which does that as well, and there is no clock that would have to be kept going.
 */
#include "syn_cookie.h"

static uint32_t key[2];

static uint32_t rotate(uint32_t value, int bits) {
    return value << bits | value >> (32 - bits);
}

static void mix(uint32_t v[4], int rounds) {
    while (rounds--) {
        v[0] += v[1];
        v[1] = rotate(v[1], 5) ^ v[0];
        v[0] = rotate(v[0], 16);
        v[2] += v[3];
        v[3] = rotate(v[3], 8) ^ v[2];
        v[0] += v[3];
        v[3] = rotate(v[3], 7) ^ v[0];
        v[2] += v[1];
        v[1] = rotate(v[1], 13) ^ v[2];
        v[2] = rotate(v[2], 16);
    }
}

void syn_cookie_set_secret(uint64_t secret) {
    key[0] = (uint32_t)secret;
    key[1] = (uint32_t)(secret >> 32);
}

uint32_t syn_cookie(uint32_t peer_ip, uint16_t peer_port) {
    /* The last word carries the message's length, 8 bytes, in its top byte. */
    uint32_t words[3] = {peer_ip, peer_port, 8u << 24};
    uint32_t v[4] = {key[0], key[1], 0x6c796765u ^ key[0], 0x74656462u ^ key[1]};

    for (int i = 0; i < 3; i++) {
        v[3] ^= words[i];
        mix(v, 2);
        v[0] ^= words[i];
    }
    v[2] ^= 0xff;
    mix(v, 4);
    return v[1] ^ v[3];
}
