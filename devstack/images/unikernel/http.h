/* HTTP/1.x: reads one request, in pieces as they come, and writes one answer. */
#ifndef HTTP_H
#define HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_LINE_MAX 255
#define HTTP_ANSWER_MAX 536             /* so that an answer fits any peer's segment (RFC 9293, 3.7.1) */

enum http_answer {
    HTTP_NONE,                          /* the request is not complete */
    HTTP_PAGE,
    HTTP_HEALTH,
    HTTP_BAD_REQUEST,
    HTTP_NOT_FOUND,
    HTTP_BAD_METHOD,
    HTTP_URI_TOO_LONG,
    HTTP_HEADERS_TOO_LARGE,
    HTTP_BAD_VERSION,
};

/* Zeroed, it waits for a request's first byte. */
struct http_request {
    char line[HTTP_LINE_MAX];           /* not last, or the sanitizers would take it for one of open length */
    uint8_t where;
    uint8_t answer;                     /* enum http_answer; once it is not HTTP_NONE it stays */
    uint8_t verdict;                    /* the answer that the first line calls for, if the fields are well-formed */
    bool head;                          /* the answer has no body */
    uint16_t taken;                     /* bytes of the request so far */
    uint16_t line_length;
};

/* Read on. Bytes after the request's headers are ignored. */
void http_read(struct http_request *request, const uint8_t *bytes, size_t count);

/* Note that no more will come. */
void http_read_end(struct http_request *request);

/* Write the answer, at most HTTP_ANSWER_MAX bytes, and give its length: always the same for the same request. */
size_t http_write(const struct http_request *request, char *to);

#endif
