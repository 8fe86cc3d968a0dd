/*
 * The loops around libmicrohttpd 0.9.75, the only file that knows it.
 *
 * External mode: each loop owns one daemon and waits on that daemon's epoll descriptor beside its own wake-up. The
 * library's own epoll thread is not used because it sleeps with ready connections in hand when exactly 128 of them
 * are busy (measured); tests/integration/test_limits.py holds that shut.
 *
 * A request's way through the callbacks:
 *
 *     http_uri          request line read: the raw target is copied, a wm_request taken
 *     http_handler #1   headers read: nothing to decide unless the body is announced too large
 *     http_handler …    pieces of the body
 *     http_handler #n   the request is whole: dispatched, and put on loop->waiting
 *     (turn's end)      one commit for all that wait
 *     http_handler #n+1 the reply is queued
 *     http_completed    sent, or the client left: the wm_request goes back to the loop
 *
 * A request that waits is not suspended: the library asks for its reply again in each run ("try again next time" in
 * its connection.c). That is what we want, since the next run comes right behind the commit; suspending and resuming
 * costs two epoll_ctl and a recv in vain for each call, 2 µs.
 *
 * Deadlines are ours, not the library's: it can only close a connection, and a client that was too slow is told so.
 */
#include "waymark/server.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/cors.h"
#include "server/dispatch.h"
#include "server/monitor.h"
#include "server/source_ip.h"
#include "waymark/bounds.h"
#include "waymark/log.h"
#include "waymark/sync.h"

#include "waymark/banned.h"

#define EXCHANGE_MAGIC 0x65786368u
#define CONNECTION_MAGIC 0x636f6e6eu
#define LOOP_MAGIC 0x6c6f6f70u

/* A body that is too large is still read up to this many times its limit, so that the client is there to hear 413:
 * answering at once and closing would reset the connection under a client that is still sending. */
#define DRAIN_FACTOR 64
/* How often deadlines are looked at; a request may take so much longer than its limit. */
#define SWEEP_MS 250
#define LISTEN_BACKLOG 1024
/* What strangers can cause at any rate is logged once in so long, with how often it was left out. */
#define STRANGERS_LOG_MS 10000

enum phase {
    PHASE_IDLE,      /* no request on the connection */
    PHASE_RECEIVING, /* a request has begun */
    PHASE_WAITING,   /* dispatched, not yet durable: nobody may learn of it */
    PHASE_DURABLE,   /* to be answered when the library asks next */
    PHASE_REPLYING,
};

struct http_loop;

/* One connection, from accept to close. */
struct connection {
    unsigned magic;
    struct http_loop *loop;
    struct MHD_Connection *mhd;
    int fd;
    enum phase phase;
    struct wm_mono_ns since;         /* when the phase began */
    bool used;                       /* a request has begun on it at some time */
    struct exchange *exchange;       /* the request in hand */
    struct connection *before, *after; /* all connections of the loop */
    char peer[WM_IP_TEXT_BYTES];
};

/* One request with what libmicrohttpd's callbacks need beside it; reused by the loop. */
struct exchange {
    unsigned magic;
    struct wm_request request;
    struct connection *connection;
    bool headers_taken;
    struct wm_buf forwarded;         /* X-Forwarded-For, all lines of it */
    struct wm_buf forwarded_proto;   /* X-Forwarded-Proto, likewise */
    uint64_t body_bytes;             /* received, also those not kept */
    struct exchange *next;           /* on loop->waiting or loop->spare */
};

struct http_loop {
    unsigned magic;
    struct wm_server *server;
    pthread_t thread;
    bool running;                    /* the thread was started */
    struct MHD_Daemon *daemon;
    int epoll_fd;                    /* the library's; only polled, since reading it would eat its edges */
    struct wm_sigv4_cache *cache;
    struct connection *connections;
    struct exchange *waiting;        /* dispatched in this turn, newest first */
    struct exchange *spare;
    uint64_t highest_seq;            /* of those waiting */
    struct wm_mono_ns now;           /* when the library's last run began: near enough for deadlines */
    bool draining;
    bool closing;                    /* only what has been decided is still answered */
    struct {                         /* as in struct wm_call_counts; written by this loop alone, read by all */
        _Atomic uint64_t received, acknowledged, refused, lost, unrecorded, abandoned, rejected;
    } counts;
    struct wm_mono_ns strangers_logged;
    uint64_t strangers_not_logged;
};

struct wm_server {
    struct wm_server_options o;
    struct wm_dispatcher dispatcher; /* auth and recorder: before `serving` is set, the starting thread's */
    atomic_bool serving;
    _Atomic uint64_t recorded;
    _Atomic uint64_t folded;
    uint64_t calls_before;           /* as auth and recorder */
    struct wm_wall_ns started;
    struct wm_mono_ns started_mono;
    struct wm_proxy_block *trusted;
    size_t n_trusted;
    struct wm_cors cors;
    char address[300];
    int listen_fd;
    struct http_loop *loops;
    size_t n_loops;
    atomic_bool stop;
    atomic_llong stop_deadline_ns;   /* monotonic */
    atomic_bool failed;
};

/* ---- requests and connections ---- */

static struct wm_mono_ns now_mono(void)
{
    return wm_clock_mono(&wm_clock_system); /* deadlines of sockets are real time, also in tests */
}

/* One writer: it needs no locked instruction. */
static void count(_Atomic uint64_t *n)
{
    atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + 1, memory_order_relaxed);
}

static struct exchange *exchange_take(struct http_loop *loop)
{
    struct exchange *x = loop->spare;
    if (x) {
        loop->spare = x->next;
        x->next = NULL;
        return x;
    }
    x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    x->magic = EXCHANGE_MAGIC;
    wm_request_init(&x->request, (size_t)loop->server->o.max_body_bytes);
    wm_buf_init(&x->forwarded, (size_t)loop->server->o.connection_memory_bytes);
    wm_buf_init(&x->forwarded_proto, (size_t)loop->server->o.connection_memory_bytes);
    return x;
}

static void exchange_give_back(struct http_loop *loop, struct exchange *x)
{
    wm_request_clear(&x->request);
    x->connection = NULL;
    x->headers_taken = false;
    wm_buf_clear(&x->forwarded);
    wm_buf_clear(&x->forwarded_proto);
    x->body_bytes = 0;
    x->next = loop->spare;
    loop->spare = x;
}

static struct http_loop *loop_of(void *p)
{
    struct http_loop *loop = p;
    WM_ASSERT(loop && loop->magic == LOOP_MAGIC);
    return loop;
}

static struct connection *connection_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct connection *c = info ? info->socket_context : NULL;
    WM_ASSERT(!c || c->magic == CONNECTION_MAGIC);
    return c;
}

static void connection_phase(struct connection *c, enum phase phase)
{
    c->phase = phase;
    c->since = c->loop->now;
}

static void http_connection(void *cls, struct MHD_Connection *mhd, void **socket_context,
                            enum MHD_ConnectionNotificationCode what)
{
    struct http_loop *loop = loop_of(cls);
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        struct connection *c = calloc(1, sizeof *c);
        *socket_context = c;
        if (!c)
            return; /* http_uri finds no connection, and the request is refused there */
        c->magic = CONNECTION_MAGIC;
        c->loop = loop;
        c->mhd = mhd;
        c->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        wm_ip_text(MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr, c->peer);
        connection_phase(c, PHASE_IDLE);
        c->after = loop->connections;
        if (c->after)
            c->after->before = c;
        loop->connections = c;
        return;
    }
    struct connection *c = *socket_context;
    if (!c)
        return;
    if (c->before)
        c->before->after = c->after;
    else
        loop->connections = c->after;
    if (c->after)
        c->after->before = c->before;
    c->magic = 0;
    free(c);
    *socket_context = NULL;
}

/* The request line has come: the target, still raw, which SigV4 needs and the library is about to decode. */
static void *http_uri(void *cls, const char *uri, struct MHD_Connection *mhd)
{
    struct http_loop *loop = loop_of(cls);
    struct connection *c = connection_of(mhd);
    struct exchange *x = c ? exchange_take(loop) : NULL;
    if (!x)
        return NULL; /* http_handler closes the connection: there is no memory to say more */
    x->connection = c;
    c->exchange = x;
    c->used = true;
    connection_phase(c, PHASE_RECEIVING);
    struct wm_request *r = &x->request;
    struct wm_view target = wm_arena_copy(&r->arena, wm_view_of(uri));
    r->path = wm_view_split(&target, '?');
    r->query = target;
    return x;
}

static size_t http_keep_raw(void *cls, struct MHD_Connection *mhd, char *text)
{
    (void)cls;
    (void)mhd;
    return strlen(text);
}

static enum MHD_Result http_take_header(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_len,
                                        const char *value, size_t value_len)
{
    struct wm_request *r = cls;
    (void)kind;
    if (r->n_headers == WM_SIGV4_MAX_HEADERS)
        return MHD_NO; /* more than any client sends; a signature over one left out does not hold */
    r->headers[r->n_headers++] =
        (struct wm_sigv4_header){{name, name_len}, {value ? value : "", value ? value_len : 0}};
    return MHD_YES;
}

static void forwarded_add(struct wm_buf *list, const char *value, size_t value_len)
{
    if (list->len)
        wm_buf_add_char(list, ',');
    wm_buf_add(list, value, value_len);
}

/* X-Forwarded-… as one list, in the order of its lines (RFC 9110 section 5.3): a proxy may put its own line behind the
 * client's. Apart from the other headers, so that no number of them can push it out. */
static enum MHD_Result http_take_forwarded(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_len,
                                           const char *value, size_t value_len)
{
    struct exchange *x = cls;
    (void)kind;
    if (value && wm_view_ieq_str((struct wm_view){name, name_len}, "x-forwarded-for"))
        forwarded_add(&x->forwarded, value, value_len);
    else if (value && wm_view_ieq_str((struct wm_view){name, name_len}, "x-forwarded-proto"))
        forwarded_add(&x->forwarded_proto, value, value_len);
    return MHD_YES;
}

static struct wm_view forwarded_text(const struct wm_buf *list)
{
    return wm_buf_status(list) == WM_OK ? wm_buf_view(list) : WM_EMPTY;
}

static void exchange_take_headers(struct exchange *x, const char *method)
{
    const struct wm_server *s = x->connection->loop->server;
    struct wm_request *r = &x->request;
    r->method = wm_arena_copy(&r->arena, wm_view_of(method));
    (void)MHD_get_connection_values_n(x->connection->mhd, MHD_HEADER_KIND, http_take_header, r);
    if (s->n_trusted)
        (void)MHD_get_connection_values_n(x->connection->mhd, MHD_HEADER_KIND, http_take_forwarded, x);
    struct wm_view peer = wm_view_of(x->connection->peer);
    /* a copy, because the call may outlive its connection */
    r->source_ip = wm_arena_copy(&r->arena, wm_source_ip(peer, forwarded_text(&x->forwarded), s->trusted, s->n_trusted));
    r->secure = wm_source_secure(peer, forwarded_text(&x->forwarded_proto), s->trusted, s->n_trusted);
    x->headers_taken = true;
}

/* ---- replies ---- */

static enum MHD_Result http_reply(struct exchange *x)
{
    struct wm_request *r = &x->request;
    struct wm_cors_header cors[WM_CORS_MAX_HEADERS];
    size_t n_cors = wm_cors_headers(&x->connection->loop->server->cors, r, cors);
    const struct wm_protocol *protocol = r->route.protocol;
    static char nothing[1]; /* the library wants a pointer also for no bytes */
    struct MHD_Response *response =
        MHD_create_response_from_buffer(r->out.len, r->out.data ? r->out.data : nothing, MHD_RESPMEM_PERSISTENT);
    if (!response)
        return MHD_NO;
    enum MHD_Result ok = MHD_add_response_header(response, "x-amzn-RequestId", r->request_id);
    if (ok && r->out.len)
        ok = MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, protocol->content_type);
    if (ok && r->error_code && protocol->error_header)
        ok = MHD_add_response_header(response, protocol->error_header, r->error_code);
    if (ok && r->retry_after_s) {
        char seconds[24];
        (void)snprintf(seconds, sizeof seconds, "%lld", (long long)r->retry_after_s); /* any number fits */
        ok = MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, seconds);
    }
    for (size_t i = 0; ok && i < n_cors; i++)
        ok = MHD_add_response_header(response, cors[i].name, cors[i].value);
    if (ok && (x->connection->loop->draining || r->refused))
        ok = MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    if (ok)
        ok = MHD_queue_response(x->connection->mhd, (unsigned)r->status, response);
    MHD_destroy_response(response); /* the queue holds its own reference */
    connection_phase(x->connection, PHASE_REPLYING);
    return ok;
}

/* Answer past the library, where it has no way to: in the middle of a request. The connection ends with it. */
static void http_reply_raw(struct exchange *x)
{
    struct wm_request *r = &x->request;
    struct wm_cors_header cors[WM_CORS_MAX_HEADERS];
    size_t n_cors = wm_cors_headers(&x->connection->loop->server->cors, r, cors);
    struct wm_buf text;
    wm_buf_init(&text, WM_MAX_ARENA_BYTES);
    wm_buf_addf(&text,
                "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                "x-amzn-RequestId: %s\r\n",
                r->status, MHD_get_reason_phrase_for((unsigned)r->status), r->route.protocol->content_type, r->out.len, r->request_id);
    if (r->error_code && r->route.protocol->error_header)
        wm_buf_addf(&text, "%s: %s\r\n", r->route.protocol->error_header, r->error_code);
    for (size_t i = 0; i < n_cors; i++)
        wm_buf_addf(&text, "%s: %s\r\n", cors[i].name, cors[i].value);
    wm_buf_add_str(&text, "\r\n");
    wm_buf_add_view(&text, wm_buf_view(&r->out));
    /* One try, never waiting: a client that does not read its socket is past being told. */
    (void)!send(x->connection->fd, text.data, text.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)shutdown(x->connection->fd, SHUT_RDWR); /* the library sees the end and cleans up */
    wm_buf_done(&text);
}

/* A field of a log line that a caller wrote: cut, and nothing in it that ends a field or steers a terminal. */
struct log_field {
    char text[130];
};

static const char *log_field(struct wm_view v, struct log_field *out)
{
    size_t n = 0;
    for (; n < v.len && n < sizeof out->text - 1; n++) {
        char c = v.ptr[n];
        out->text[n] = c > ' ' && c < 0x7f && c != '"' && c != '=' ? c : '?';
    }
    out->text[n] = '\0';
    return out->text;
}

static void log_call(const struct wm_request *r)
{
    struct log_field by;
    if (!wm_log_enabled(WM_EV_CALL))
        return;
    wm_log(WM_EV_CALL, "operation=%.*s by=%s from=%.*s status=%d%s%s request=%s seq=%llu", WM_ARG(r->event_name),
           log_field(r->principal.len ? r->principal : WM_LIT("unknown"), &by), WM_ARG(r->source_ip), r->status,
           r->error_code ? " error=" : "", r->error_code ? r->error_code : "", r->request_id,
           (unsigned long long)r->seq);
}

/* Somebody sent what is no request, and was answered so without a call: nothing is recorded, but it is counted. */
static void log_rejected(struct http_loop *loop, unsigned status)
{
    int64_t now = now_mono().ns;
    count(&loop->counts.rejected);
    if (loop->strangers_logged.ns && now - loop->strangers_logged.ns < STRANGERS_LOG_MS * WM_NS_PER_MS) {
        loop->strangers_not_logged++;
        return;
    }
    wm_log(WM_EV_REQUEST_REJECTED, "status=%u more=%llu", status, (unsigned long long)loop->strangers_not_logged);
    loop->strangers_logged.ns = now;
    loop->strangers_not_logged = 0;
}

/*
 * The library's own log, the only place where it tells of a request that it answered by itself: a line of this form
 * (transmit_error_response_len() in its connection.c). Its other lines tell of sockets that broke, which we see as well.
 */
static void http_library_log(void *cls, const char *format, va_list arguments)
{
    static const char answered[] = "Error processing request (HTTP response code is %u";
    if (strncmp(format, answered, sizeof answered - 1) == 0)
        log_rejected(loop_of(cls), va_arg(arguments, unsigned));
}

/* ---- the turn ---- */

static struct wm_call_counts server_counts(const struct wm_server *s)
{
    struct wm_call_counts sum = {0};
    for (size_t i = 0; i < s->n_loops; i++) {
        const struct http_loop *loop = &s->loops[i];
        sum.received += atomic_load_explicit(&loop->counts.received, memory_order_relaxed);
        sum.acknowledged += atomic_load_explicit(&loop->counts.acknowledged, memory_order_relaxed);
        sum.refused += atomic_load_explicit(&loop->counts.refused, memory_order_relaxed);
        sum.lost += atomic_load_explicit(&loop->counts.lost, memory_order_relaxed);
        sum.unrecorded += atomic_load_explicit(&loop->counts.unrecorded, memory_order_relaxed);
        sum.abandoned += atomic_load_explicit(&loop->counts.abandoned, memory_order_relaxed);
        sum.rejected += atomic_load_explicit(&loop->counts.rejected, memory_order_relaxed);
    }
    return sum;
}

/* Health, status and preflights, which are no calls. */
static bool loop_answer_aside(struct http_loop *loop, struct exchange *x)
{
    struct wm_server *s = loop->server;
    if (!x->request.refused && wm_cors_is_preflight(&s->cors, &x->request)) {
        x->request.status = MHD_HTTP_NO_CONTENT;
        wm_uuid(x->request.request_id);
        return true;
    }
    if (x->request.refused || !wm_monitor_concerns(&x->request))
        return false;
    bool serving = atomic_load_explicit(&s->serving, memory_order_acquire);
    const struct wm_monitor m = {
        .phase = atomic_load(&s->stop) ? WM_PHASE_STOPPING : serving ? WM_PHASE_SERVING : WM_PHASE_STARTING,
        .failed = atomic_load(&s->failed),
        .dispatcher = serving ? &s->dispatcher : NULL,
        .started = s->started,
        .started_mono = s->started_mono,
        .calls = server_counts(s),
        .calls_before = serving ? s->calls_before : 0,
        .others = s->n_loops - 1,
    };
    return wm_monitor_answer(&m, loop->cache, &x->request);
}

static void loop_dispatch(struct http_loop *loop, struct exchange *x)
{
    struct wm_server *s = loop->server;
    count(&loop->counts.received);
    if (!atomic_load_explicit(&s->serving, memory_order_acquire)) {
        wm_dispatch_unavailable(&s->dispatcher, &x->request);
        count(&loop->counts.refused);
        return;
    }
    if (atomic_load_explicit(&s->failed, memory_order_relaxed)) {
        /* What the journal could not store is not to be seen: no handler runs any more. */
        x->request.refused = true;
        x->request.refusal = WM_REFUSE_UNAVAILABLE;
    }
    wm_dispatch(&s->dispatcher, loop->cache, &x->request);
    uint64_t behind = x->request.folded ? x->request.behind : x->request.seq;
    if (behind > loop->highest_seq)
        loop->highest_seq = behind;
    if (x->request.seq == 0 && !x->request.folded)
        count(x->request.unrecorded ? &loop->counts.unrecorded : &loop->counts.refused);
}

/* Make durable what was dispatched, and turn the replies of what could not be into 503. */
static void loop_commit(struct http_loop *loop, struct exchange *first)
{
    struct wm_server *s = loop->server;
    bool ok = loop->highest_seq == 0 ||
              wm_recorder_commit(s->dispatcher.recorder, loop->highest_seq, NULL) == WM_OK; /* it logs the failure */
    if (ok)
        loop->highest_seq = 0;
    else /* and it stays: what else waits in this turn is not durable either */
        atomic_store(&s->failed, true);
    for (struct exchange *x = first; x; x = x->next) {
        if (x->request.seq > 0)
            count(ok ? &loop->counts.acknowledged : &loop->counts.lost);
        if (!ok && (x->request.seq > 0 || x->request.folded))
            wm_dispatch_unavailable(&s->dispatcher, &x->request);
        log_call(&x->request);
    }
}

/* Let the library ask for replies, send them, and take what has come; again, as long as requests come. So a reply is sent
 * before the next commit, for which it would have to wait, and who asks again at once still rides on that commit. It ends,
 * since a connection has one request at a time. */
static void loop_take(struct http_loop *loop)
{
    const struct exchange *newest;
    do {
        newest = loop->waiting;
        loop->now = now_mono();
        (void)MHD_run(loop->daemon); /* fails only on a daemon in another mode */
    } while (loop->waiting != newest);
}

static void loop_end_turn(struct http_loop *loop)
{
    struct exchange *x = loop->waiting, *next;
    if (!x)
        return;
    loop->waiting = NULL;
    loop_commit(loop, x);
    for (; x; x = next) {
        next = x->next;
        x->next = NULL;
        if (x->connection)
            connection_phase(x->connection, PHASE_DURABLE);
        else
            exchange_give_back(loop, x); /* the client left meanwhile */
    }
}

/* Dispatch and commit at once, for the rare request that is answered before it is whole. */
static void loop_refuse_now(struct http_loop *loop, struct exchange *x, enum wm_refusal why)
{
    x->request.refused = true;
    x->request.refusal = why;
    loop_dispatch(loop, x);
    x->next = NULL;
    loop_commit(loop, x);
}

static enum MHD_Result http_begin(struct exchange *x, const char *method)
{
    struct http_loop *loop = x->connection->loop;
    struct wm_request *r = &x->request;
    exchange_take_headers(x, method);
    uint64_t announced = 0, limit = (uint64_t)loop->server->o.max_body_bytes;
    if (wm_view_to_u64(wm_request_header(r, "content-length"), UINT64_MAX, &announced) != WM_OK)
        announced = 0;
    /* A client that asks before it sends, or that would send for long, is answered before its body. */
    if (announced > limit && (announced > limit * DRAIN_FACTOR || wm_request_header(r, "expect").len)) {
        loop_refuse_now(loop, x, WM_REFUSE_BODY_TOO_LARGE);
        return http_reply(x);
    }
    return MHD_YES;
}

static enum MHD_Result http_body(struct exchange *x, const char *data, size_t *len)
{
    struct http_loop *loop = x->connection->loop;
    struct wm_request *r = &x->request;
    uint64_t limit = (uint64_t)loop->server->o.max_body_bytes;
    x->body_bytes += *len;
    if (x->body_bytes <= limit) {
        wm_buf_add(&r->body, data, *len);
    } else if (x->body_bytes > limit * DRAIN_FACTOR) { /* chunked: its length was not known before */
        loop_refuse_now(loop, x, WM_REFUSE_BODY_TOO_LARGE);
        http_reply_raw(x);
        return MHD_NO;
    } else {
        wm_buf_clear(&r->body);
    }
    *len = 0;
    if (wm_buf_status(&r->body) == WM_E_NOMEM)
        return MHD_NO; /* nothing has happened yet, and there is no memory to say so */
    return MHD_YES;
}

static enum MHD_Result http_handler(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
                                    const char *version, const char *upload_data, size_t *upload_len, void **con_cls)
{
    struct http_loop *loop = loop_of(cls);
    struct exchange *x = *con_cls;
    (void)mhd;
    (void)url;
    (void)version;
    if (!x)
        return MHD_NO;
    WM_ASSERT(x->magic == EXCHANGE_MAGIC);
    if (x->connection->phase == PHASE_WAITING)
        return MHD_YES;
    if (x->connection->phase == PHASE_DURABLE)
        return http_reply(x);
    if (loop->closing)
        return MHD_NO;
    if (!x->headers_taken)
        return http_begin(x, method);
    if (*upload_len)
        return http_body(x, upload_data, upload_len);

    if (x->body_bytes > (uint64_t)loop->server->o.max_body_bytes) {
        x->request.refused = true;
        x->request.refusal = WM_REFUSE_BODY_TOO_LARGE;
    }
    if (loop_answer_aside(loop, x))
        return http_reply(x);
    loop_dispatch(loop, x);
    if (x->request.seq == 0 && !x->request.folded) { /* nothing to wait for */
        log_call(&x->request);
        return http_reply(x);
    }
    connection_phase(x->connection, PHASE_WAITING);
    x->next = loop->waiting;
    loop->waiting = x;
    return MHD_YES;
}

static void http_completed(void *cls, struct MHD_Connection *mhd, void **con_cls, enum MHD_RequestTerminationCode how)
{
    struct http_loop *loop = loop_of(cls);
    struct exchange *x = *con_cls;
    struct log_field path;
    (void)mhd;
    if (!x)
        return;
    if (how != MHD_REQUEST_TERMINATED_COMPLETED_OK && x->connection->phase == PHASE_RECEIVING &&
        x->request.request_id[0] == '\0') {
        wm_log(WM_EV_REQUEST_ABANDONED, "from=%s path=%s", x->connection->peer, log_field(x->request.path, &path));
        if (x->headers_taken)
            count(&loop->counts.abandoned);
    }
    bool waits = x->connection->phase == PHASE_WAITING; /* the commit goes through its list */
    x->connection->exchange = NULL;
    connection_phase(x->connection, PHASE_IDLE);
    x->connection = NULL;
    if (!waits)
        exchange_give_back(loop, x);
    *con_cls = NULL;
}

/* ---- deadlines ---- */

/* The request did not come whole in time. With its headers it is a call, and recorded; without, there is nothing. */
static void connection_too_slow(struct connection *c)
{
    struct exchange *x = c->exchange;
    if (x && x->headers_taken && x->request.request_id[0] == '\0') {
        loop_refuse_now(c->loop, x, WM_REFUSE_TOO_SLOW);
        http_reply_raw(x);
        return;
    }
    log_rejected(c->loop, 408);
    static const char text[] = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    (void)!send(c->fd, text, sizeof text - 1, MSG_DONTWAIT | MSG_NOSIGNAL); /* as in http_reply_raw() */
    (void)shutdown(c->fd, SHUT_RDWR);
}

static void loop_sweep(struct http_loop *loop)
{
    const struct wm_server_options *o = &loop->server->o;
    const int64_t now = loop->now.ns;
    struct connection *after;
    for (struct connection *c = loop->connections; c; c = after) {
        after = c->after;
        int64_t ms = (now - c->since.ns) / WM_NS_PER_MS;
        switch (c->phase) {
        case PHASE_IDLE:
            if (!c->used && ms > o->request_timeout_ms) /* perhaps half a request line: we are told of whole ones only */
                connection_too_slow(c);
            else if (loop->draining || ms > o->idle_timeout_ms)
                (void)shutdown(c->fd, SHUT_RDWR);
            break;
        case PHASE_RECEIVING:
            if (ms > o->request_timeout_ms) {
                connection_too_slow(c);
                connection_phase(c, PHASE_REPLYING);
            }
            break;
        case PHASE_REPLYING: /* a client that does not read */
            if (ms > o->request_timeout_ms)
                (void)shutdown(c->fd, SHUT_RDWR);
            break;
        case PHASE_WAITING:
        case PHASE_DURABLE:
            break;
        }
    }
}

/* ---- loops ---- */

static bool loop_is_busy(const struct http_loop *loop)
{
    for (const struct connection *c = loop->connections; c; c = c->after)
        if (c->phase != PHASE_IDLE)
            return true;
    return false;
}

static int loop_timeout_ms(struct http_loop *loop)
{
    MHD_UNSIGNED_LONG_LONG ms;
    if (MHD_get_timeout(loop->daemon, &ms) == MHD_YES && ms < SWEEP_MS)
        return (int)ms;
    return SWEEP_MS;
}

static void *loop_run(void *arg)
{
    struct http_loop *loop = loop_of(arg);
    struct wm_server *s = loop->server;
    int64_t swept = now_mono().ns;
    if (wm_hash_thread_init() != WM_OK) {
        wm_log(WM_EV_FATAL, "error=\"no memory for a server loop\"");
        atomic_store(&s->failed, true);
    }
    for (;;) {
        struct pollfd ready = {.fd = loop->epoll_fd, .events = POLLIN};
        int timeout_ms = loop_timeout_ms(loop);
        if (timeout_ms != 0)
            (void)poll(&ready, 1, timeout_ms); /* whatever woke us: look */
        loop_take(loop);
        /* With another loop's sync in the way: what comes until it is done can as well be in our commit. */
        if (loop->waiting && wm_journal_await_commit(s->dispatcher.recorder->journal))
            loop_take(loop);

        /* Before the commit, which may take long: whoever has sent in time is not to be told otherwise. */
        int64_t now = loop->now.ns;
        if (now - swept >= SWEEP_MS * WM_NS_PER_MS || loop->draining) {
            loop_sweep(loop);
            swept = now;
        }
        loop_end_turn(loop);
        if (!atomic_load(&s->stop))
            continue;
        if (!loop->draining) {
            (void)MHD_quiesce_daemon(loop->daemon); /* the socket is the server's, which closes it */
            loop->draining = true;
        } else if (!loop_is_busy(loop) || now >= atomic_load(&s->stop_deadline_ns)) {
            loop->closing = true;
            for (int runs = 0; runs < 2; runs++) /* what was carried out is answered: reply queued, reply sent */
                (void)MHD_run(loop->daemon);
            return NULL;
        }
    }
}

static void loop_done(struct http_loop *loop)
{
    if (loop->running)
        WM_PTOK(pthread_join(loop->thread, NULL));
    if (loop->daemon) {
        if (!loop->running)
            (void)MHD_quiesce_daemon(loop->daemon); /* or stopping would close the socket, which is the server's */
        MHD_stop_daemon(loop->daemon); /* ends what is left through the callbacks */
    }
    while (loop->spare) {
        struct exchange *x = loop->spare;
        loop->spare = x->next;
        wm_request_done(&x->request);
        wm_buf_done(&x->forwarded);
        wm_buf_done(&x->forwarded_proto);
        free(x);
    }
    wm_sigv4_cache_free(loop->cache);
}

static enum wm_status loop_init(struct wm_server *s, struct http_loop *loop, struct wm_err *err)
{
    const struct wm_server_options *o = &s->o;
    loop->magic = LOOP_MAGIC;
    loop->server = s;
    loop->cache = wm_sigv4_cache_new();
    if (!loop->cache)
        return wm_fail(err, WM_E_NOMEM, "no memory for a server loop");
    loop->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL, NULL, http_handler, loop,
        MHD_OPTION_EXTERNAL_LOGGER, http_library_log, loop, /* first, or what comes before is logged elsewhere */
        MHD_OPTION_LISTEN_SOCKET, s->listen_fd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)(o->max_connections / o->threads ? o->max_connections / o->threads : 1),
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)o->connection_memory_bytes,
        MHD_OPTION_CONNECTION_TIMEOUT, 0u,
        MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
        MHD_OPTION_URI_LOG_CALLBACK, http_uri, loop,
        MHD_OPTION_UNESCAPE_CALLBACK, http_keep_raw, NULL,
        MHD_OPTION_NOTIFY_COMPLETED, http_completed, loop,
        MHD_OPTION_NOTIFY_CONNECTION, http_connection, loop,
        MHD_OPTION_END);
    if (!loop->daemon)
        return wm_fail(err, WM_E_IO, "cannot start the HTTP library on %s", s->address);
    loop->epoll_fd = MHD_get_daemon_info(loop->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    char name[16];
    (void)snprintf(name, sizeof name, "http-%zu", (size_t)(loop - s->loops)); /* at most 64 loops */
    enum wm_status status = wm_thread_start(&loop->thread, name, loop_run, loop, err);
    loop->running = status == WM_OK;
    return status;
}

/* ---- the server ---- */

static enum wm_status server_listen(struct wm_server *s, struct wm_err *err)
{
    struct wm_view listen_at = wm_view_of(s->o.listen), host, port;
    size_t colon = wm_view_rfind(listen_at, ':');
    host = wm_view_sub(listen_at, 0, colon);
    port = wm_view_sub(listen_at, colon + 1, listen_at.len);
    bool bracketed = wm_view_starts(host, "[") && wm_view_ends(host, "]");
    if (bracketed)
        host = wm_view_sub(host, 1, host.len - 1);
    char host_text[256], port_text[8];
    uint64_t number;
    if (colon == listen_at.len || host.len == 0 || wm_view_to_u64(port, 65535, &number) != WM_OK ||
        !wm_view_copy(host, host_text, sizeof host_text) || !wm_view_copy(port, port_text, sizeof port_text))
        return wm_fail(err, WM_E_INVALID, "listen: \"%s\" is not HOST:PORT or [IPV6]:PORT", s->o.listen);

    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM}, *found;
    int rc = getaddrinfo(host_text, port_text, &hints, &found);
    if (rc != 0)
        return wm_fail(err, WM_E_INVALID, "listen: cannot resolve %s: %s", host_text, gai_strerror(rc));
    enum wm_status status = WM_OK;
    int one = 1;
    s->listen_fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->listen_fd < 0 || setsockopt(s->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
        bind(s->listen_fd, found->ai_addr, found->ai_addrlen) < 0 || listen(s->listen_fd, LISTEN_BACKLOG) < 0)
        status = wm_fail_errno(err, errno, "cannot listen on %s", s->o.listen);
    freeaddrinfo(found);
    if (status != WM_OK)
        return status;

    struct sockaddr_storage bound;
    socklen_t len = sizeof bound;
    if (getsockname(s->listen_fd, (struct sockaddr *)&bound, &len) < 0 ||
        getnameinfo((struct sockaddr *)&bound, len, NULL, 0, port_text, sizeof port_text, NI_NUMERICSERV) != 0)
        return wm_fail_errno(err, errno, "cannot tell the address of %s", s->o.listen);
    (void)snprintf(s->address, sizeof s->address, bracketed ? "[%s]:%s" : "%s:%s", host_text, port_text);
    return WM_OK;
}

enum wm_status wm_server_start(const struct wm_server_options *o, struct wm_server **out, struct wm_err *err)
{
    struct wm_server *s = calloc(1, sizeof *s);
    if (!s)
        return wm_fail(err, WM_E_NOMEM, "no memory for the server");
    s->o = *o;
    s->cors = (struct wm_cors){o->cors_origins, o->n_cors_origins};
    s->listen_fd = -1;
    s->started = wm_clock_wall(o->env->clock);
    s->started_mono = wm_clock_mono(o->env->clock);
    s->dispatcher = (struct wm_dispatcher){.env = o->env, .services = o->services, .n_services = o->n_services,
                                           .record = o->record, .answer_reads = o->answer_reads,
                                           .recorded = &s->recorded, .folded = &s->folded};
    enum wm_status status = wm_throttle_new(o->source_limit, o->principal_limit, &s->dispatcher.throttle, err);
    if (status == WM_OK && (o->threads < 1 || o->threads > 64))
        status = wm_fail(err, WM_E_INVALID, "http.threads: %lld is not from 1 to 64", (long long)o->threads);
    if (status == WM_OK && o->n_trusted_proxies) {
        s->trusted = calloc(o->n_trusted_proxies, sizeof *s->trusted);
        if (!s->trusted)
            status = wm_fail(err, WM_E_NOMEM, "no memory for the server");
        for (size_t i = 0; status == WM_OK && i < o->n_trusted_proxies; i++)
            status = wm_proxy_block_parse(wm_view_of(o->trusted_proxies[i]), &s->trusted[i], err);
        s->n_trusted = o->n_trusted_proxies;
    }
    if (status == WM_OK)
        status = server_listen(s, err);
    if (status == WM_OK) {
        s->loops = calloc((size_t)o->threads, sizeof *s->loops);
        if (!s->loops)
            status = wm_fail(err, WM_E_NOMEM, "no memory for the server");
    }
    while (status == WM_OK && s->n_loops < (size_t)o->threads)
        status = loop_init(s, &s->loops[s->n_loops++], err);
    if (status != WM_OK) {
        wm_server_stop(s, 0);
        return status;
    }
    *out = s;
    return WM_OK;
}

const char *wm_server_address(const struct wm_server *s)
{
    return s->address;
}

void wm_server_serve(struct wm_server *s, struct wm_auth *auth, struct wm_recorder *recorder)
{
    struct wm_state_counts counted;
    wm_state_counts(recorder->state, &counted); /* of all that was there: opening it has read it */
    s->calls_before = counted.reads + counted.changes + counted.refused;
    s->dispatcher.auth = auth;
    s->dispatcher.recorder = recorder;
    atomic_store_explicit(&s->serving, true, memory_order_release);
}

bool wm_server_failed(struct wm_server *s)
{
    return atomic_load(&s->failed) || (atomic_load_explicit(&s->serving, memory_order_acquire) &&
                                       wm_journal_failed(s->dispatcher.recorder->journal, NULL)); /* no call met it */
}

void wm_server_stop(struct wm_server *s, int64_t deadline_ms)
{
    if (!s)
        return;
    atomic_store(&s->stop_deadline_ns, now_mono().ns + deadline_ms * WM_NS_PER_MS);
    atomic_store(&s->stop, true);
    /* Refuse newcomers at once, rather than let them wait in the backlog for nobody. Closing waits until no loop can
     * have the descriptor in hand. */
    (void)shutdown(s->listen_fd, SHUT_RDWR); /* a failure leaves them waiting, no more */
    for (size_t i = 0; i < s->n_loops; i++)
        loop_done(&s->loops[i]);
    free(s->loops);
    if (s->dispatcher.recorder)
        wm_recorder_fold_end(s->dispatcher.recorder); /* no call can come any more */
    wm_throttle_free(s->dispatcher.throttle);
    if (s->listen_fd >= 0)
        (void)close(s->listen_fd); /* nothing was written to it */
    free(s->trusted);
    free(s);
}
