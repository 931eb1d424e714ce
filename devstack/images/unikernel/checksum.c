/* Source: RFC 1071. */
#include "checksum.h"

#include "wire.h"

uint32_t checksum_add(uint32_t sum, const uint8_t *bytes, size_t count) {
    /* 65536 words of 16 bits at most, so 32 bits do not overflow. */
    for (; count > 1; bytes += 2, count -= 2)
        sum += wire_get16(bytes);
    if (count)
        sum += (uint32_t)bytes[0] << 8;
    return sum;
}

uint16_t checksum_end(uint32_t sum) {
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}
