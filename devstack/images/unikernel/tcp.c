/* A connection is remembered only from its first byte of data on, see syn_cookie.h; until then a client may idle for free. Then
 * it receives one request, sends the answer and its own end in one go, and waits for the client's end.
 *
 * Sources: RFC 9293, 3.10.7 (arriving segments), 3.6 (closing); RFC 5961, 3 and 4 (forged resets and SYNs); RFC 6298, 5
 * (retransmission timer).
 */
#include "tcp.h"

#include "http.h"
#include "memory.h"
#include "syn_cookie.h"
#include "tcp_segment.h"

#define PORT 80
#define CONNECTIONS 128

#define TICKS(seconds) ((uint32_t)(seconds) * 18)
#define REQUEST_TIME TICKS(10)          /* for a whole request, so that dripping bytes gains nothing */
#define RESEND_TIME TICKS(1)            /* RFC 6298, 2.1; doubled each time */
#define RESENDS_MAX 5
#define CLOSE_TIME TICKS(10)
#define TIME_WAIT_TIME TICKS(2)         /* short: what comes later for such a connection is refused, which harms nobody */

enum state { FREE, RECEIVING, ANSWERING, CLOSING, TIME_WAIT };

struct connection {
    uint8_t state;
    uint8_t resends;
    bool peer_ended;
    uint16_t port;                      /* the peer's */
    uint16_t window;
    uint16_t answer_length;
    struct ipv4_peer peer;
    uint32_t receive_next;              /* sequence number of the peer's next byte */
    uint32_t send_first;                /* sequence number of the answer's first byte */
    uint32_t sent, acknowledged;        /* counted from there; our end counts as one more byte after the answer */
    uint32_t deadline;
    struct http_request request;
};

static struct connection connections[CONNECTIONS];
static uint32_t now;

static struct connection *find(const struct ipv4_peer *peer, uint16_t port) {
    for (int i = 0; i < CONNECTIONS; i++)
        if (connections[i].state != FREE && connections[i].peer.ip == peer->ip && connections[i].port == port)
            return &connections[i];
    return 0;
}

static void enter(struct connection *connection, enum state state, uint32_t time) {
    connection->state = (uint8_t)state;
    connection->deadline = now + time;
}

/* Give a free place, or that of the connection with the least to lose: one that is over, else the one next to time out. */
static struct connection *claim(void) {
    struct connection *best = &connections[0];

    for (int i = 0; i < CONNECTIONS; i++) {
        struct connection *candidate = &connections[i];
        bool over = candidate->state >= CLOSING, best_over = best->state >= CLOSING;

        if (candidate->state == FREE)
            return candidate;
        if (over > best_over || (over == best_over && (int32_t)(candidate->deadline - best->deadline) < 0))
            best = candidate;
    }
    return best;
}

static void send(const struct connection *connection, uint8_t flags, uint32_t offset, const char *data, size_t length) {
    struct tcp_segment segment = {
        .source = PORT,
        .destination = connection->port,
        .sequence = connection->send_first + offset,
        .acknowledgement = connection->receive_next,
        .flags = flags,
        .data = (const uint8_t *)data,
        .length = length,
    };

    tcp_segment_send(&connection->peer, &segment);
}

static void acknowledge(const struct connection *connection) {
    send(connection, TCP_ACK, connection->sent, 0, 0);
}

static void abandon(struct connection *connection) {
    send(connection, TCP_RST | TCP_ACK, connection->sent, 0, 0);
    connection->state = FREE;
}

/* Send the answer from `offset` on, as far as the peer's window reaches, but at least `least` bytes; our end goes with the
 * last byte. Say whether anything went out. */
static bool send_answer(struct connection *connection, uint32_t offset, uint32_t least) {
    char answer[HTTP_ANSWER_MAX];
    uint32_t in_flight = offset - connection->acknowledged;
    uint32_t room = connection->window > in_flight ? connection->window - in_flight : 0;
    uint32_t length = connection->answer_length - offset;
    uint8_t flags = TCP_ACK | TCP_PSH;

    if (offset > connection->answer_length)
        return false;
    if (room < least)
        room = least;
    if (length > room)
        length = room;
    else
        flags |= TCP_FIN;
    if (!length && !(flags & TCP_FIN))
        return false;
    http_write(&connection->request, answer);
    send(connection, flags, offset, answer + offset, length);
    offset += length + (flags & TCP_FIN ? 1 : 0);
    if (offset > connection->sent)
        connection->sent = offset;
    return true;
}

static void start_answer(struct connection *connection) {
    char answer[HTTP_ANSWER_MAX];

    connection->answer_length = (uint16_t)http_write(&connection->request, answer);
    enter(connection, ANSWERING, RESEND_TIME);
}

/* Take what the segment acknowledges. False: it acknowledges what was never sent, so nothing of it can be believed. */
static bool take_acknowledgement(struct connection *connection, const struct tcp_segment *segment) {
    uint32_t offset = segment->acknowledgement - connection->send_first;

    if ((int32_t)(offset - connection->sent) > 0)
        return false;
    if ((int32_t)(offset - connection->acknowledged) < 0)
        return true;                    /* an old one that was overtaken */
    connection->window = segment->window;
    if (offset == connection->acknowledged)
        return true;
    connection->acknowledged = offset;
    connection->resends = 0;
    if (offset > connection->answer_length)
        enter(connection, connection->peer_ended ? TIME_WAIT : CLOSING,
              connection->peer_ended ? TIME_WAIT_TIME : CLOSE_TIME);
    else
        enter(connection, ANSWERING, RESEND_TIME);
    return true;
}

/* Take what is new of the segment's data, and the peer's end. Say whether the peer must be told where we are. */
static bool take_data(struct connection *connection, const struct tcp_segment *segment) {
    uint32_t known = connection->receive_next - segment->sequence;
    uint32_t span = (uint32_t)segment->length + (segment->flags & TCP_FIN ? 1 : 0);

    if (!span && !known)
        return false;
    /* Nothing is kept that comes before its turn: the peer sends it again. (A gap makes `known` huge.) */
    if (known >= span || connection->peer_ended)
        return true;
    connection->receive_next += span - known;
    if (connection->state == RECEIVING && known < segment->length)
        http_read(&connection->request, segment->data + known, segment->length - known);
    if (segment->flags & TCP_FIN) {
        connection->peer_ended = true;
        if (connection->state == RECEIVING)
            http_read_end(&connection->request);
        else if (connection->state == CLOSING)
            enter(connection, TIME_WAIT, TIME_WAIT_TIME);
    }
    if (connection->state == RECEIVING && (connection->request.answer != HTTP_NONE || connection->peer_ended))
        start_answer(connection);
    return true;
}

static void receive_on_connection(struct connection *connection, const struct tcp_segment *segment) {
    uint32_t distance = segment->sequence - connection->receive_next;
    bool must_tell;

    if (segment->flags & TCP_RST) {
        if (distance == 0)
            connection->state = FREE;
        else if (distance < TCP_WINDOW)
            acknowledge(connection);    /* a real peer will repeat it with the right number (RFC 5961, 3.2) */
        return;
    }
    if (segment->flags & TCP_SYN || !(segment->flags & TCP_ACK)) {
        if (segment->flags & TCP_SYN)
            acknowledge(connection);    /* likewise (RFC 5961, 4.2) */
        return;
    }
    if (!take_acknowledgement(connection, segment)) {
        acknowledge(connection);
        return;
    }
    must_tell = take_data(connection, segment);
    if (connection->state == ANSWERING && send_answer(connection, connection->sent, 0))
        return;                         /* that acknowledged the data, too */
    if (must_tell)
        acknowledge(connection);
}

static void answer_syn(const struct ipv4_peer *from, const struct tcp_segment *segment) {
    struct tcp_segment answer = {
        .source = PORT,
        .destination = segment->source,
        .sequence = segment->sequence + syn_cookie(from->ip, segment->source),
        .acknowledgement = segment->sequence + 1,
        .flags = TCP_SYN | TCP_ACK,
    };

    tcp_segment_send(from, &answer);
}

static void open(const struct ipv4_peer *from, const struct tcp_segment *segment) {
    struct connection *connection = claim();

    memset(connection, 0, sizeof *connection);
    connection->peer = *from;
    connection->port = segment->source;
    connection->receive_next = segment->sequence;
    connection->send_first = segment->acknowledgement;
    enter(connection, RECEIVING, REQUEST_TIME);
    receive_on_connection(connection, segment);
}

/* Answer a segment of a connection that has sent us nothing yet, by saying where it stands. */
static void answer_early(const struct ipv4_peer *from, const struct tcp_segment *segment, uint32_t expected) {
    struct tcp_segment answer = {
        .source = PORT,
        .destination = segment->source,
        .sequence = segment->acknowledgement,
        .acknowledgement = expected,
        .flags = TCP_ACK,
    };

    tcp_segment_send(from, &answer);
}

static void receive_without_connection(const struct ipv4_peer *from, const struct tcp_segment *segment) {
    /* If the segment acknowledges our SYN, this is how far its data is from the first byte that the peer may send. */
    uint32_t ahead = syn_cookie(from->ip, segment->source) - (segment->acknowledgement - segment->sequence);

    if (segment->flags & TCP_RST)
        return;
    if ((segment->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
        answer_syn(from, segment);
    else if ((segment->flags & (TCP_SYN | TCP_ACK)) != TCP_ACK)
        tcp_segment_refuse(from, segment);
    else if (ahead == 0 && (segment->length || segment->flags & TCP_FIN))
        open(from, segment);
    else if (ahead == 0)
        return;                         /* the end of a handshake */
    else if (ahead == (uint32_t)-1 || ahead < TCP_WINDOW)
        /* A keep-alive probe, which repeats the sequence number before the next (RFC 9293, 3.8.4); or something was lost. */
        answer_early(from, segment, segment->sequence - ahead);
    else
        tcp_segment_refuse(from, segment);
}

void tcp_receive(const struct ipv4_peer *from, const uint8_t *bytes, size_t length) {
    struct tcp_segment segment;
    struct connection *connection;

    if (!tcp_segment_parse(&segment, from, bytes, length))
        return;
    if (segment.destination != PORT) {
        tcp_segment_refuse(from, &segment);
        return;
    }
    connection = find(from, segment.source);
    /* A client may use a port again as soon as it is done with it (RFC 9293, 3.10.7.4). */
    if (connection && connection->state == TIME_WAIT && (segment.flags & (TCP_SYN | TCP_ACK)) == TCP_SYN &&
        (int32_t)(segment.sequence - connection->receive_next) > 0) {
        connection->state = FREE;
        connection = 0;
    }
    if (connection)
        receive_on_connection(connection, &segment);
    else
        receive_without_connection(from, &segment);
}

static void expire(struct connection *connection) {
    switch (connection->state) {
    case RECEIVING:
        abandon(connection);
        break;
    case ANSWERING:
        if (connection->resends == RESENDS_MAX) {
            abandon(connection);
            break;
        }
        connection->resends++;
        connection->deadline = now + (RESEND_TIME << connection->resends);
        /* One byte goes even into a closed window, or a lost announcement of its opening would end in silence
         * (RFC 9293, 3.8.6.1). */
        send_answer(connection, connection->acknowledged, 1);
        break;
    default:
        connection->state = FREE;
    }
}

void tcp_tick(uint32_t ticks) {
    now = ticks;
    for (int i = 0; i < CONNECTIONS; i++)
        if (connections[i].state != FREE && (int32_t)(connections[i].deadline - now) <= 0)
            expire(&connections[i]);
}

bool tcp_needs_ticks(void) {
    for (int i = 0; i < CONNECTIONS; i++)
        if (connections[i].state != FREE)
            return true;
    return false;
}
