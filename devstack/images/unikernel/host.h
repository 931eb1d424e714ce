/* Who this machine is; filled in once, before the first frame. */
#ifndef HOST_H
#define HOST_H

#include <stdint.h>

#define HOST_NAME_MAX 63                /* RFC 1123, 2.1: what every host must cope with, and one DNS label */

struct host {
    char name[HOST_NAME_MAX + 1];
    uint32_t ip;
    int prefix;
    uint32_t gateway;                   /* 0: none */
    uint8_t mac[6];
    uint16_t mtu;
    uint32_t image_bytes;
};

extern struct host host;

#endif
