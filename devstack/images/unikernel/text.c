#include "text.h"

void text_add_bytes(struct text *text, const char *bytes, size_t count) {
    for (size_t i = 0; i < count && text->length < text->capacity; i++)
        text->bytes[text->length++] = bytes[i];
}

void text_add(struct text *text, const char *string) {
    while (*string && text->length < text->capacity)
        text->bytes[text->length++] = *string++;
}

void text_add_number(struct text *text, uint32_t number) {
    char digits[10];
    size_t at = sizeof digits;

    do
        digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    text_add_bytes(text, digits + at, sizeof digits - at);
}

void text_add_hex(struct text *text, uint32_t number, int digits) {
    while (digits-- > 0)
        text_add_bytes(text, &"0123456789abcdef"[number >> (4 * digits) & 15], 1);
}

void text_add_ip(struct text *text, uint32_t ip) {
    for (int shift = 24; shift >= 0; shift -= 8) {
        text_add_number(text, ip >> shift & 255);
        if (shift)
            text_add(text, ".");
    }
}

void text_add_mac(struct text *text, const uint8_t mac[6]) {
    for (int i = 0; i < 6; i++) {
        if (i)
            text_add(text, ":");
        text_add_hex(text, mac[i], 2);
    }
}

int text_equals(const char *bytes, size_t length, const char *string) {
    size_t i = 0;

    while (i < length && string[i] && bytes[i] == string[i])
        i++;
    return i == length && !string[i];
}
