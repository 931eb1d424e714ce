/* The Internet checksum. */
#ifndef CHECKSUM_H
#define CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* Add the bytes to a running sum that began at 0. All blocks but the last must be of even length. */
uint32_t checksum_add(uint32_t sum, const uint8_t *bytes, size_t count);

/* Give the checksum of the sum: 0 for a block that holds its own correct checksum. */
uint16_t checksum_end(uint32_t sum);

#endif
