/* Text that is put together in a buffer of fixed size. What does not fit is cut off; nothing is written beyond. */
#ifndef TEXT_H
#define TEXT_H

#include <stddef.h>
#include <stdint.h>

struct text {
    char *bytes;
    size_t length;
    size_t capacity;
};

void text_add(struct text *text, const char *string);
void text_add_bytes(struct text *text, const char *bytes, size_t count);
void text_add_number(struct text *text, uint32_t number);
void text_add_hex(struct text *text, uint32_t number, int digits);
void text_add_ip(struct text *text, uint32_t ip);
void text_add_mac(struct text *text, const uint8_t mac[6]);

/* Say whether the `length` bytes at `bytes` are exactly `string`. */
int text_equals(const char *bytes, size_t length, const char *string);

#endif
