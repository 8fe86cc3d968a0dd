/*
 * A server that answers what a test wrote down, one step per request, and remembers what it was asked. HTTP/1.1 with
 * keep-alive, a thread for each connection, on 127.0.0.1 and a free port. Steps are taken in the order in which requests
 * are whole.
 */
#ifndef WAYMARK_TESTS_HTTP_SCRIPT_H
#define WAYMARK_TESTS_HTTP_SCRIPT_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum http_step_kind {
    HTTP_ANSWER,    /* text, whole */
    HTTP_CUT,       /* text, then the connection is closed */
    HTTP_SWALLOW,   /* the request is read, then the connection is closed without a byte */
    HTTP_LATE,      /* as HTTP_ANSWER, half a second later */
    HTTP_HANG,      /* the request is read, no answer until the client goes */
    HTTP_RESET,     /* the request is read, then the connection is reset */
    HTTP_GATHER,    /* as HTTP_ANSWER, once two requests wait for such a step: only clients in parallel get on */
};

struct http_step {
    enum http_step_kind kind;
    const char *text;
};

#define HTTP_MAX_REQUESTS 64
#define HTTP_MAX_CONNECTIONS 64

struct http_seen {
    char *head;  /* request line and headers */
    char *body;
    size_t body_len;
    unsigned connection; /* from 1 */
};

struct http_script {
    struct http_step steps[HTTP_MAX_REQUESTS]; /* a copy; their texts stay the test's */
    size_t n_steps;
    const struct http_step *(*choose)(const struct http_seen *seen); /* instead of steps, where it is set */
    int listener;
    unsigned short port;
    pthread_t thread;
    atomic_bool stop;
    atomic_size_t n_seen, n_gathered;
    struct http_seen seen[HTTP_MAX_REQUESTS];
    pthread_mutex_t mu; /* of taking a step */
    atomic_size_t n_connections;
    struct http_connection {
        struct http_script *script;
        pthread_t thread;
        int fd;
    } connections[HTTP_MAX_CONNECTIONS];
};

/* Value of a header in a request's head, in a static buffer; "" when it is not there. */
static inline const char *http_header(const char *head, const char *name)
{
    static _Thread_local char values[4][2048];
    static _Thread_local unsigned turn;
    char *out = values[turn++ % 4];
    size_t n = strlen(name);
    out[0] = '\0';
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n"))
        if (strncasecmp(line + 2, name, n) == 0 && line[2 + n] == ':') {
            const char *value = line + 3 + n, *end = strstr(value, "\r\n");
            while (*value == ' ')
                value++;
            if (end)
                (void)snprintf(out, 2048, "%.*s", (int)(end - value), value);
            break;
        }
    return out;
}

/* Read one request; false when the client is gone. */
static inline int http_read_request(int fd, struct http_seen *seen)
{
    size_t cap = 65536, len = 0, body_at = 0, want = 0;
    char *data = malloc(cap);
    while (data) {
        if (body_at == 0) {
            data[len] = '\0';
            char *end = strstr(data, "\r\n\r\n");
            if (end) {
                body_at = (size_t)(end - data) + 4;
                end[2] = '\0';
                want = strtoul(http_header(data, "content-length"), NULL, 10);
            }
        }
        if (body_at && len - body_at >= want)
            break;
        if (cap - len < 32768) {
            cap *= 2;
            char *more = realloc(data, cap);
            if (!more)
                break;
            data = more;
        }
        ssize_t n = recv(fd, data + len, cap - len - 1, 0);
        if (n <= 0) {
            free(data);
            return 0;
        }
        len += (size_t)n;
    }
    if (!data)
        return 0;
    seen->head = strdup(data);
    seen->body = malloc(want + 1);
    if (seen->body) {
        memcpy(seen->body, data + body_at, want);
        seen->body[want] = '\0';
    }
    seen->body_len = want;
    free(data);
    return seen->head && seen->body;
}

static inline void http_send(int fd, const char *text)
{
    size_t len = strlen(text);
    while (len) {
        ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        text += n;
        len -= (size_t)n;
    }
}

static inline void http_reset(int fd)
{
    struct linger now = {1, 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now); /* then it is a plain close */
}

/* Answer one request; false when the connection is to be closed. */
static inline int http_script_step(struct http_script *s, int fd, const struct http_step *step)
{
    char c;
    size_t both;
    switch (step->kind) {
    case HTTP_HANG:
        while (recv(fd, &c, 1, 0) > 0)
            ;
        return 0;
    case HTTP_SWALLOW:
        return 0;
    case HTTP_RESET:
        http_reset(fd);
        return 0;
    case HTTP_LATE:
        (void)usleep(500000);
        break;
    case HTTP_GATHER:
        both = (atomic_fetch_add(&s->n_gathered, 1) / 2 + 1) * 2;
        while (atomic_load(&s->n_gathered) < both && !atomic_load(&s->stop))
            (void)usleep(1000);
        break;
    case HTTP_ANSWER:
    case HTTP_CUT:
        break;
    }
    http_send(fd, step->text);
    return step->kind != HTTP_CUT;
}

static inline void *http_script_serve(void *arg)
{
    struct http_connection *c = arg;
    struct http_script *s = c->script;
    struct http_seen seen = {.connection = (unsigned)(c - s->connections) + 1};
    while (http_read_request(c->fd, &seen)) {
        pthread_mutex_lock(&s->mu);
        size_t at = atomic_load(&s->n_seen);
        if (at < HTTP_MAX_REQUESTS) {
            s->seen[at] = seen;
            atomic_store(&s->n_seen, at + 1);
        }
        pthread_mutex_unlock(&s->mu);
        if (at >= HTTP_MAX_REQUESTS) {
            free(seen.head);
            free(seen.body);
            break;
        }
        static const struct http_step over = {HTTP_ANSWER, "HTTP/1.1 418 Script over\r\nContent-Length: 0\r\n\r\n"};
        const struct http_step *step = s->choose ? s->choose(&seen) : at < s->n_steps ? &s->steps[at] : &over;
        if (!http_script_step(s, c->fd, step))
            break;
    }
    close(c->fd);
    return NULL;
}

static inline void *http_script_run(void *arg)
{
    struct http_script *s = arg;
    while (!atomic_load(&s->stop) && s->n_connections < HTTP_MAX_CONNECTIONS) {
        struct http_connection *c = &s->connections[s->n_connections];
        *c = (struct http_connection){.script = s, .fd = accept(s->listener, NULL, NULL)};
        if (c->fd < 0)
            break;
        if (pthread_create(&c->thread, NULL, http_script_serve, c) != 0)
            abort();
        s->n_connections++;
    }
    return NULL;
}

static inline void http_script_start(struct http_script *s, const struct http_step *steps, size_t n_steps)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    memset(s, 0, sizeof *s);
    if (n_steps > HTTP_MAX_REQUESTS)
        abort();
    if (n_steps)
        memcpy(s->steps, steps, n_steps * sizeof *steps);
    s->n_steps = n_steps;
    (void)pthread_mutex_init(&s->mu, NULL); /* cannot fail on Linux */
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->listener < 0 || bind(s->listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(s->listener, 16) != 0 || getsockname(s->listener, (struct sockaddr *)&address, &len) != 0 ||
        pthread_create(&s->thread, NULL, http_script_run, s) != 0)
        abort();
    s->port = ntohs(address.sin_port);
}

/* "http://127.0.0.1:PORT" in a static buffer. */
static inline const char *http_script_url(const struct http_script *s)
{
    static char urls[8][32];
    static unsigned turn;
    char *out = urls[turn++ % 8];
    (void)snprintf(out, 32, "http://127.0.0.1:%u", s->port);
    return out;
}

/* The client must have closed its connections. */
static inline void http_script_stop(struct http_script *s)
{
    atomic_store(&s->stop, true);
    (void)shutdown(s->listener, SHUT_RDWR); /* wakes accept() */
    (void)pthread_join(s->thread, NULL);
    for (size_t i = 0; i < s->n_connections; i++)
        (void)pthread_join(s->connections[i].thread, NULL);
    close(s->listener);
    for (size_t i = 0; i < s->n_seen; i++) {
        free(s->seen[i].head);
        free(s->seen[i].body);
    }
}

#endif
