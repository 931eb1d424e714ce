/* Sources: RFC 9112, 2.2 (message parsing), 3 (request line), 5 (fields); RFC 9110, 9 (methods), 15 (status codes).
 *
 * A Host field is not asked for, though RFC 9112, 3.2 wants its absence refused: there is one site here, and people try it with
 * two lines typed into netcat.
 */
#include "http.h"

#include "host.h"
#include "text.h"

#define REQUEST_MAX 16384

enum where { BEFORE_LINE, IN_LINE, LINE_START, IN_NAME, IN_VALUE, AFTER_RETURN, LAST_RETURN };

static bool is_token(uint8_t byte) {
    static const char others[] = "!#$%&'*+-.^_`|~";

    if ((byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z'))
        return true;
    for (size_t i = 0; i < sizeof others - 1; i++)
        if (byte == (uint8_t)others[i])
            return true;
    return false;
}

static bool is_digit(char byte) {
    return byte >= '0' && byte <= '9';
}

/* Say what the path of a request's target stands for. */
static enum http_answer find_target(const char *target, size_t length) {
    static const char scheme[] = "http://";
    size_t end = 0;

    /* A proxy's form, http://host/path, must be understood too (RFC 9112, 3.2.2). */
    if (length > sizeof scheme - 1 && text_equals(target, sizeof scheme - 1, scheme)) {
        size_t skip = sizeof scheme - 1;

        while (skip < length && target[skip] != '/')
            skip++;
        if (skip == length)
            return HTTP_PAGE;
        target += skip;
        length -= skip;
    }
    if (target[0] != '/')
        return HTTP_BAD_REQUEST;
    while (end < length && target[end] != '?')
        end++;
    if (text_equals(target, end, "/"))
        return HTTP_PAGE;
    return text_equals(target, end, "/health") ? HTTP_HEALTH : HTTP_NOT_FOUND;
}

/* Judge the request line: method, one space, target, one space, version. */
static enum http_answer judge_line(struct http_request *request) {
    const char *line = request->line;
    size_t length = request->line_length, method = 0, target, target_end;
    enum http_answer found;

    while (method < length && is_token((uint8_t)line[method]))
        method++;
    if (method == 0 || method == length || line[method] != ' ')
        return HTTP_BAD_REQUEST;
    target = target_end = method + 1;
    while (target_end < length && line[target_end] > ' ' && line[target_end] != 0x7f)
        target_end++;
    if (target_end == target || length - target_end != sizeof " HTTP/1.1" - 1)
        return HTTP_BAD_REQUEST;
    line += target_end;
    if (!text_equals(line, 6, " HTTP/") || !is_digit(line[6]) || line[7] != '.' || !is_digit(line[8]))
        return HTTP_BAD_REQUEST;
    if (line[6] != '1')
        return HTTP_BAD_VERSION;
    found = find_target(request->line + target, target_end - target);
    request->head = text_equals(request->line, method, "HEAD");
    if (!request->head && !text_equals(request->line, method, "GET"))
        return HTTP_BAD_METHOD;
    return found;
}

static enum http_answer read_line_byte(struct http_request *request, uint8_t byte) {
    if (byte == '\n') {
        if (request->line_length && request->line[request->line_length - 1] == '\r')
            request->line_length--;
        request->where = LINE_START;
        request->verdict = (uint8_t)judge_line(request);
        /* What is no HTTP may have no empty line at its end either, so don't wait for one. */
        if (request->verdict == HTTP_BAD_REQUEST || request->verdict == HTTP_BAD_VERSION)
            return request->verdict;
    } else if (request->line_length == HTTP_LINE_MAX) {
        return HTTP_URI_TOO_LONG;
    } else {
        request->line[request->line_length++] = (char)byte;
    }
    return HTTP_NONE;
}

/* Fields are checked for their form only; none of them changes the answer. A line may end with a bare line feed
 * (RFC 9112, 2.2), but a carriage return may stand nowhere else. */
static enum http_answer read_field_byte(struct http_request *request, uint8_t byte) {
    switch (request->where) {
    case LINE_START:
        if (byte == '\n')
            return request->verdict;
        if (byte == '\r')
            request->where = LAST_RETURN;
        else if (is_token(byte))
            request->where = IN_NAME;
        else
            return HTTP_BAD_REQUEST;
        break;
    case IN_NAME:
        if (byte == ':')
            request->where = IN_VALUE;
        else if (!is_token(byte))
            return HTTP_BAD_REQUEST;
        break;
    case IN_VALUE:
        if (byte == '\r')
            request->where = AFTER_RETURN;
        else if (byte == '\n')
            request->where = LINE_START;
        else if (byte < ' ' && byte != '\t')
            return HTTP_BAD_REQUEST;
        break;
    case AFTER_RETURN:
        if (byte != '\n')
            return HTTP_BAD_REQUEST;
        request->where = LINE_START;
        break;
    case LAST_RETURN:
        return byte == '\n' ? request->verdict : HTTP_BAD_REQUEST;
    }
    return HTTP_NONE;
}

void http_read(struct http_request *request, const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count && request->answer == HTTP_NONE; i++) {
        if (++request->taken > REQUEST_MAX) {
            request->answer = HTTP_HEADERS_TOO_LARGE;
        } else if (request->where == BEFORE_LINE && (bytes[i] == '\r' || bytes[i] == '\n')) {
            continue;                   /* old clients end a body with a line too many (RFC 9112, 2.2) */
        } else if (request->where <= IN_LINE) {
            request->where = IN_LINE;
            request->answer = read_line_byte(request, bytes[i]);
        } else {
            request->answer = read_field_byte(request, bytes[i]);
        }
    }
}

void http_read_end(struct http_request *request) {
    if (request->answer == HTTP_NONE && request->taken)
        request->answer = HTTP_BAD_REQUEST;
}

static void write_page(struct text *body) {
    text_add(body, "Hello from ");
    text_add(body, host.name);
    text_add(body, ", a unikernel of ");
    text_add_number(body, host.image_bytes);
    text_add(body, " bytes.\n");
}

size_t http_write(const struct http_request *request, char *to) {
    static const char *const status[] = {
        [HTTP_PAGE] = "200 OK",
        [HTTP_HEALTH] = "200 OK",
        [HTTP_BAD_REQUEST] = "400 Bad Request",
        [HTTP_NOT_FOUND] = "404 Not Found",
        [HTTP_BAD_METHOD] = "405 Method Not Allowed",
        [HTTP_URI_TOO_LONG] = "414 URI Too Long",
        [HTTP_HEADERS_TOO_LARGE] = "431 Request Header Fields Too Large",
        [HTTP_BAD_VERSION] = "505 HTTP Version Not Supported",
    };
    char body_bytes[160];
    struct text body = {body_bytes, 0, sizeof body_bytes};
    struct text answer = {to, 0, HTTP_ANSWER_MAX};

    if (request->answer == HTTP_NONE)
        return 0;
    if (request->answer == HTTP_PAGE) {
        write_page(&body);
    } else if (request->answer == HTTP_HEALTH) {
        text_add(&body, "ok");
    } else {
        text_add(&body, status[request->answer]);
        text_add(&body, "\n");
    }
    text_add(&answer, "HTTP/1.1 ");
    text_add(&answer, status[request->answer]);
    text_add(&answer, "\r\nContent-Type: ");
    text_add(&answer, request->answer == HTTP_PAGE ? "text/html" : "text/plain");
    text_add(&answer, "; charset=utf-8\r\nContent-Length: ");
    text_add_number(&answer, (uint32_t)body.length);
    if (request->answer == HTTP_BAD_METHOD)
        text_add(&answer, "\r\nAllow: GET, HEAD");
    text_add(&answer, "\r\nConnection: close\r\n\r\n");
    if (!request->head)
        text_add_bytes(&answer, body.bytes, body.length);
    return answer.length;
}
