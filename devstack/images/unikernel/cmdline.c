#include "cmdline.h"

#include <stdbool.h>
#include <stddef.h>

#include "text.h"

#define LINE_MAX 4096                   /* beyond it the line is not read, should its end be missing */

static bool is_digit(char byte) {
    return byte >= '0' && byte <= '9';
}

/* Read a decimal number without leading zeros (some read those as octal) up to `most`; move on behind it. */
static bool read_number(const char **at, const char *end, uint32_t most, uint32_t *number) {
    const char *first = *at;

    for (*number = 0; *at < end && is_digit(**at); (*at)++)
        if ((*number = *number * 10 + (uint32_t)(**at - '0')) > most)
            return false;
    return *at != first && (*first != '0' || *at == first + 1);
}

/* Read a dotted address that can be a single machine's; move on behind it. */
static bool read_address(const char **at, const char *end, uint32_t *ip) {
    *ip = 0;
    for (int i = 0; i < 4; i++) {
        uint32_t part;

        if (i && (*at == end || *(*at)++ != '.'))
            return false;
        if (!read_number(at, end, 255, &part))
            return false;
        *ip = *ip << 8 | part;
    }
    return *ip >> 24 != 0 && *ip >> 24 != 127 && *ip >> 24 < 224;
}

static bool read_ip(const char *at, const char *end, struct host *into) {
    uint32_t prefix, host_part;

    if (!read_address(&at, end, &into->ip) || at == end || *at++ != '/' || !read_number(&at, end, 32, &prefix) ||
        at != end || prefix == 0)
        return false;
    into->prefix = (int)prefix;
    host_part = prefix < 31 ? 0xffffffffu >> prefix : 0;
    /* The first and the last address are the network's own and its broadcast; a net of 31 or 32 bits has neither (RFC 3021). */
    return !host_part || ((into->ip & host_part) != 0 && (into->ip & host_part) != host_part);
}

static bool read_gateway(const char *at, const char *end, struct host *into) {
    return read_address(&at, end, &into->gateway) && at == end;
}

/* The name appears on the console and in a page, so only what can do no harm there is kept of it. */
static void read_name(const char *at, const char *end, struct host *into) {
    size_t length = 0;

    for (; at < end && length < HOST_NAME_MAX; at++) {
        char byte = *at;
        bool plain = is_digit(byte) || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '.' ||
                     byte == '_';

        into->name[length++] = plain ? byte : '-';
    }
    into->name[length] = 0;
}

const char *cmdline_read(const char *line, struct host *into) {
    const char *limit = line + LINE_MAX;
    const char *problem = "no ip=ADDRESS/PREFIX on the command line";
    bool gateway_is_good = true;

    while (line < limit && *line) {
        const char *word = line, *value;

        while (line < limit && *line && *line != ' ')
            line++;
        for (value = word; value < line && *value != '='; value++)
            ;
        if (value < line) {
            size_t key = (size_t)(value++ - word);

            if (text_equals(word, key, "ip"))
                problem = read_ip(value, line, into) ? 0 : "malformed ip= on the command line, want ip=10.0.0.5/24";
            else if (text_equals(word, key, "gw"))
                gateway_is_good = read_gateway(value, line, into);
            else if (text_equals(word, key, "name") && value < line)
                read_name(value, line, into);
        }
        while (line < limit && *line == ' ')
            line++;
    }
    if (!problem && !gateway_is_good)
        problem = "malformed gw= on the command line, want gw=10.0.0.1";
    return problem;
}
