/*
 * The loops around libmicrohttpd, over real sockets: what a hostile or unlucky client, or a failing disk in the middle
 * of a turn, makes of a call. The disk can be held, so that what happens meanwhile is certain and not a race.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/support/folder.h"
#include "waymark/hash.h"
#include "waymark/json.h"
#include "waymark/log.h"
#include "waymark/server.h"
#include "waymark/sync.h"

#define PATIENCE_MS 30000
#define TIMEOUT_MS 200 /* http.request_timeout of these tests */
#define FAILED_TEXT "recording has failed; the process is about to end\n"

static const uint8_t master_key[32] = "a key for tests, 32 bytes long.";
static const struct wm_service *const services[] = {&wm_service_mediapackage, &wm_service_cloudtrail, &wm_service_sts};
static char key_id[129], secret[129];
static const char *signing_name = "mediapackage";

/* ---- a disk that can be held, and that fails when told ---- */

static struct wm_io test_io;
static struct {
    pthread_mutex_t mu;
    pthread_cond_t changed;
    bool hold;    /* a sync waits */
    bool held;    /* one does */
    bool fail;    /* a sync that begins now fails */
    int slow_ms;  /* each takes so long */
} disk = {.mu = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static int held_fdatasync(void *ctx, int fd)
{
    /* The preparer's and the open's go through: only commits are told about. */
    bool fail = false;
    if (strncmp(wm_thread_name(), "http", 4) == 0) {
        pthread_mutex_lock(&disk.mu);
        fail = disk.fail;
        while (disk.hold) {
            disk.held = true;
            pthread_cond_broadcast(&disk.changed);
            pthread_cond_wait(&disk.changed, &disk.mu);
        }
        disk.held = false;
        int slow_ms = disk.slow_ms;
        pthread_mutex_unlock(&disk.mu);
        (void)poll(NULL, 0, slow_ms);
    }
    return fail ? -EIO : wm_io_posix.fdatasync(ctx, fd);
}

static atomic_bool no_names; /* the preparer cannot sync the folder */

static int held_sync_dir(void *ctx, const char *path)
{
    return atomic_load(&no_names) && strcmp(wm_thread_name(), "journal-prep") == 0 ? -EIO
                                                                                   : wm_io_posix.sync_dir(ctx, path);
}

static void disk_set(bool hold, bool fail)
{
    pthread_mutex_lock(&disk.mu);
    disk.hold = hold;
    disk.fail = fail;
    pthread_cond_broadcast(&disk.changed);
    pthread_mutex_unlock(&disk.mu);
}

static void disk_slow(int ms)
{
    pthread_mutex_lock(&disk.mu);
    disk.slow_ms = ms;
    pthread_mutex_unlock(&disk.mu);
}

static void disk_wait_held(void)
{
    pthread_mutex_lock(&disk.mu);
    while (!disk.held)
        pthread_cond_wait(&disk.changed, &disk.mu);
    pthread_mutex_unlock(&disk.mu);
}

/* ---- a server ---- */

struct world {
    char dir[FOLDER_BYTES];
    struct wm_recorder *recorder;
    struct wm_auth *auth;
    struct wm_service_env env;
    struct wm_server *server;
    struct wm_sigv4_cache *cache;
    struct wm_arena arena;
    struct wm_journal_reader *reader;
    bool starting; /* wm_server_serve() is the test's */
    uint64_t max_journal_bytes;
    int64_t fold_window_ms;
};

static void start_server(struct world *w, int64_t threads)
{
    static const char *const proxies[] = {"127.0.0.1"};
    const struct wm_server_options o = {
        .listen = "127.0.0.1:0",
        .threads = threads,
        .max_connections = 64,
        .connection_memory_bytes = 16 * 1024,
        .max_body_bytes = 4096,
        .request_timeout_ms = TIMEOUT_MS,
        .idle_timeout_ms = 60000,
        .trusted_proxies = proxies,
        .n_trusted_proxies = 1,
        .env = &w->env,
        .services = services,
        .n_services = 3,
        .record = true,
    };
    assert_int_equal(wm_server_start(&o, &w->server, NULL), WM_OK);
    if (!w->starting)
        wm_server_serve(w->server, w->auth, w->recorder);
}

static int set_up_world(struct world *w)
{
    folder_make(w->dir);
    disk_set(false, false);
    disk_slow(0);
    test_io = wm_io_posix;
    test_io.fdatasync = held_fdatasync;
    test_io.sync_dir = held_sync_dir;
    char path[FOLDER_BYTES + 20], line[300];
    snprintf(path, sizeof path, "%s/credentials", w->dir);
    const struct wm_recorder_options r = {.data_dir = w->dir, .io = &test_io, .clock = &wm_clock_system,
                                          .segment_bytes = w->max_journal_bytes ? 64 * 1024 : 1 << 20,
                                          .max_journal_bytes = w->max_journal_bytes,
                                          .fold_window_ms = w->fold_window_ms};
    const struct wm_auth_options a = {&wm_io_posix, path, WM_LIT("123456789012"), WM_LIT("us-east-1"), NULL, NULL};
    bool made;
    if (wm_recorder_open(&r, &w->recorder, NULL) != WM_OK || wm_auth_open(&a, &w->auth, &made, NULL) != WM_OK)
        return -1;
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f)) {
        (void)sscanf(line, "aws_access_key_id = %128s", key_id);
        (void)sscanf(line, "aws_secret_access_key = %128s", secret);
    }
    if (f)
        fclose(f);
    w->env = (struct wm_service_env){.account_id = WM_LIT("123456789012"),
                                     .region = WM_LIT("us-east-1"),
                                     .board = w->recorder->board,
                                     .clock = &wm_clock_system,
                                     .master_key = master_key};
    w->cache = wm_sigv4_cache_new();
    wm_arena_init(&w->arena, 1 << 20);
    start_server(w, 1);
    return w->cache ? 0 : -1;
}

static int set_up(void **state)
{
    return (*state = calloc(1, sizeof(struct world))) ? set_up_world(*state) : -1;
}

static int set_up_starting(void **state)
{
    struct world *w = *state = calloc(1, sizeof *w);
    if (!w)
        return -1;
    w->starting = true;
    return set_up_world(w);
}

static int set_up_small(void **state)
{
    struct world *w = *state = calloc(1, sizeof *w);
    if (!w)
        return -1;
    w->max_journal_bytes = 128 * 1024;
    return set_up_world(w);
}

static int set_up_folding(void **state)
{
    struct world *w = *state = calloc(1, sizeof *w);
    if (!w)
        return -1;
    w->fold_window_ms = 3600000;
    return set_up_world(w);
}

static int set_up_without_names(void **state)
{
    atomic_store(&no_names, true);
    return set_up(state);
}

static int tear_down(void **state)
{
    struct world *w = *state;
    disk_set(false, false);
    disk_slow(0);
    signing_name = "mediapackage";
    atomic_store(&no_names, false);
    wm_server_stop(w->server, 1000);
    wm_journal_reader_close(w->reader);
    wm_recorder_close(w->recorder);
    wm_auth_close(w->auth);
    wm_sigv4_cache_free(w->cache);
    wm_arena_done(&w->arena);
    folder_remove(w->dir);
    free(w);
    return 0;
}

/* ---- a client ---- */

static int dial(struct world *w)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    uint64_t port;
    struct wm_view address = wm_view_of(wm_server_address(w->server));
    assert_int_equal(wm_view_to_u64(wm_view_sub(address, wm_view_rfind(address, ':') + 1, address.len), 65535, &port),
                     WM_OK);
    to.sin_port = htons((uint16_t)port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void put(int fd, const char *text, size_t len)
{
    assert_int_equal(send(fd, text, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* What comes until the server closes, or until a whole reply with a Content-Length is there. */
static const char *answer(int fd)
{
    static char text[65536];
    size_t len = 0;
    text[0] = '\0';
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, PATIENCE_MS) != 1)
            fail_msg("no answer, only \"%s\"", text);
        ssize_t n = recv(fd, text + len, sizeof text - 1 - len, 0);
        if (n <= 0)
            return text;
        len += (size_t)n;
        text[len] = '\0';
        const char *body = strstr(text, "\r\n\r\n"), *length = strcasestr(text, "content-length:");
        if (body && length && len >= (size_t)(body + 4 - text) + strtoul(length + 15, NULL, 10))
            return text;
    }
}

static int status_of(const char *reply)
{
    return strncmp(reply, "HTTP/1.1 ", 9) == 0 ? (int)strtol(reply + 9, NULL, 10) : 0;
}

/* A signed request; more: further header lines, each with its line end. */
static size_t request_text(struct world *w, const char *method, const char *path, const char *body, const char *more,
                           char *out, size_t max)
{
    char hash[WM_SHA256_HEX_BYTES];
    uint8_t sha[WM_SHA256_BYTES];
    wm_sha256(body, strlen(body), sha);
    wm_hex(sha, sizeof sha, hash);
    const struct wm_sigv4_header host = {WM_LIT("Host"), WM_LIT("127.0.0.1")};
    const struct wm_sigv4_request r = {
        .method = wm_view_of(method),
        .path = wm_view_of(path),
        .headers = &host,
        .n_headers = 1,
        .payload_hash = {hash, sizeof hash},
    };
    const struct wm_sigv4_credentials c = {
        .access_key_id = wm_view_of(key_id),
        .secret = wm_view_of(secret),
        .region = WM_LIT("us-east-1"),
        .service = wm_view_of(signing_name),
    };
    struct wm_sigv4_signature s;
    assert_int_equal(wm_sigv4_sign(w->cache, &r, &c, wm_clock_wall(&wm_clock_system), &s), WM_OK);
    int n = snprintf(out, max,
                     "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Amz-Date: %s\r\nAuthorization: %s\r\n%s"
                     "Content-Length: %zu\r\n\r\n%s",
                     method, path, s.date, s.authorization, more, strlen(body), body);
    assert_true(n > 0 && (size_t)n < max);
    return (size_t)n;
}

static const char *ask(struct world *w, const char *text, size_t len)
{
    int fd = dial(w);
    put(fd, text, len);
    const char *reply = answer(fd);
    close(fd);
    return reply;
}

static int call(struct world *w, const char *method, const char *path, const char *body, const char *more)
{
    char text[16384];
    size_t len = request_text(w, method, path, body, more, text, sizeof text);
    return status_of(ask(w, text, len));
}

/* Unsigned; the body must be this. */
static int health(struct world *w, const char *path, const char *want)
{
    char text[200];
    int len = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
    const char *reply = ask(w, text, (size_t)len), *body = strstr(reply, "\r\n\r\n");
    assert_non_null(body);
    assert_string_equal(body + 4, want);
    return status_of(reply);
}

/* The document, for root. */
static const struct wm_json *status_now(struct world *w)
{
    char text[2048];
    signing_name = "waymark";
    size_t len = request_text(w, "GET", "/_waymark/status", "", "", text, sizeof text);
    signing_name = "mediapackage";
    const char *reply = ask(w, text, len), *body = strstr(reply, "\r\n\r\n");
    struct wm_json *root = NULL;
    assert_int_equal(status_of(reply), 200);
    wm_arena_clear(&w->arena);
    assert_int_equal(wm_json_parse(&w->arena, wm_view_of(body + 4), &root, NULL), WM_OK);
    return root;
}

static int64_t number_of(const struct wm_json *root, const char *object, const char *name)
{
    int64_t n = -1;
    const struct wm_json *at = wm_json_get(wm_json_get(root, object), name);
    if (!at || wm_json_to_i64(at, 0, INT64_MAX, &n) != WM_OK)
        fail_msg("%s.%s is no number", object, name);
    return n;
}

static bool is_true(const struct wm_json *object, const char *name)
{
    const struct wm_json *b = wm_json_get(object, name);
    assert_non_null(b);
    assert_int_equal(b->type, WM_JSON_BOOL);
    return b->boolean;
}

/* ---- what was recorded ---- */

static uint64_t recorded(struct world *w)
{
    struct wm_journal_stats stats;
    wm_journal_stats(w->recorder->journal, &stats);
    return stats.appended;
}

static const struct wm_json *record_of(struct world *w, uint64_t seq)
{
    struct wm_entry e;
    struct wm_json *record;
    wm_journal_reader_close(w->reader);
    assert_int_equal(wm_journal_reader_open(w->recorder->journal, seq - 1, &w->reader, NULL), WM_OK);
    assert_int_equal(wm_journal_reader_next(w->reader, &e, NULL), WM_OK);
    wm_arena_clear(&w->arena);
    assert_int_equal(wm_json_parse(&w->arena, e.record, &record, NULL), WM_OK);
    return record;
}

static void text_is(const struct wm_json *object, const char *name, const char *want)
{
    struct wm_view got = wm_json_get_text(object, name);
    if (!wm_view_eq_str(got, want))
        fail_msg("%s is \"%.*s\", not \"%s\"", name, WM_ARG(got), want);
}

/* ---- tests ---- */

static void a_call_is_answered_and_recorded(void **state)
{
    struct world *w = *state;
    assert_int_equal(call(w, "POST", "/channels", "{\"id\":\"one\"}", ""), 200);
    assert_int_equal(call(w, "GET", "/channels/one", "", ""), 200);
    assert_int_equal(recorded(w), 2);
    text_is(record_of(w, 1), "eventName", "CreateChannel");
    text_is(record_of(w, 1), "sourceIPAddress", "127.0.0.1");
}

/* An early refusal commits in the middle of a turn. When that fails, the calls that came before it in the same turn are
 * not durable either, and must not be answered as if they were. */
static void a_failed_commit_fails_all_that_waited_for_it(void **state)
{
    struct world *w = *state;
    static const char too_large[] = "POST /channels HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                                    "Content-Length: 10000\r\n\r\n";
    char create[2048], get[2048];
    size_t create_len = request_text(w, "POST", "/channels", "{\"id\":\"lost\"}", "", create, sizeof create);
    size_t get_len = request_text(w, "GET", "/channels", "", "", get, sizeof get);
    int first = dial(w), second = dial(w), third = dial(w);

    disk_set(true, false);
    put(first, get, get_len);
    disk_wait_held();
    put(second, create, create_len); /* these two are in the next turn, in this order */
    put(third, too_large, sizeof too_large - 1);
    disk_set(false, true); /* the sync under way is not touched, the next one fails */
    int statuses[3] = {status_of(answer(first)), status_of(answer(second)), status_of(answer(third))};
    close(first);
    close(second);
    close(third);
    assert_int_equal(statuses[0], 200);
    assert_int_equal(statuses[1], 503);
    assert_int_equal(statuses[2], 503);
    assert_true(wm_server_failed(w->server));
}

/* It leaves no entry, but what it was told may follow from one that is not durable yet. */
static void a_folded_call_waits_for_what_it_may_have_seen(void **state)
{
    struct world *w = *state;
    static const char unsigned_get[] = "GET /channels HTTP/1.1\r\nHost: x\r\n\r\n";
    char create[2048], get[2048];
    size_t create_len = request_text(w, "POST", "/channels", "{\"id\":\"lost\"}", "", create, sizeof create);
    size_t get_len = request_text(w, "GET", "/channels", "", "", get, sizeof get);
    int first = dial(w), second = dial(w), third = dial(w);
    for (int i = 0; i < 3; i++) {
        put(third, unsigned_get, sizeof unsigned_get - 1);
        assert_int_equal(status_of(answer(third)), 403);
    }
    assert_int_equal(wm_recorder_fold_counts(w->recorder).pending, 2);
    assert_int_equal(recorded(w), 1);

    disk_set(true, false);
    put(first, get, get_len);
    disk_wait_held();
    put(second, create, create_len); /* these two are in the next turn, in this order */
    put(third, unsigned_get, sizeof unsigned_get - 1);
    disk_set(false, true);
    int statuses[3] = {status_of(answer(first)), status_of(answer(second)), status_of(answer(third))};
    close(first);
    close(second);
    close(third);
    assert_int_equal(statuses[0], 200);
    assert_int_equal(statuses[1], 503);
    assert_int_equal(statuses[2], 503);
    assert_int_equal(wm_recorder_fold_counts(w->recorder).pending, 3); /* it was folded */
}

/* The client was told 408, so nothing else may become of its request, also when the rest is there after all. */
static void a_request_that_was_too_slow_is_recorded_once_and_not_carried_out(void **state)
{
    struct world *w = *state;
    char text[2048];
    size_t len = request_text(w, "POST", "/channels", "{\"id\":\"late\"}", "", text, sizeof text);
    int fd = dial(w);
    disk_set(true, false);
    put(fd, text, len - 4);
    disk_wait_held(); /* the refusal's own commit */
    put(fd, text + len - 4, 4);
    disk_set(false, false);
    assert_int_equal(status_of(answer(fd)), 408);
    close(fd);
    assert_int_equal(call(w, "GET", "/channels/late", "", ""), 404);
    assert_int_equal(recorded(w), 2);
    text_is(record_of(w, 1), "errorCode", "RequestTimeoutException");
}

/* A status line that says one thing and a body that says another would be believed by somebody. */
static void an_answer_in_the_middle_of_a_request_has_the_status_that_it_says(void **state)
{
    struct world *w = *state;
    char text[2048];
    size_t len = request_text(w, "POST", "/channels", "{\"id\":\"late\"}", "", text, sizeof text);
    int fd = dial(w);
    disk_set(false, true);
    put(fd, text, len - 4);
    const char *reply = answer(fd);
    assert_int_equal(status_of(reply), 503);
    assert_non_null(strstr(reply, "ServiceUnavailableException"));
    close(fd);
}

/* Clients who ask again as soon as they are answered, so many that at every turn's end some have asked again already:
 * they must hold up neither a stop nor the deadlines of others. */
#define BUSY 48
static const char busy_request[] = "GET /channels HTTP/1.1\r\nHost: x\r\n\r\n";

struct busy {
    struct pollfd fds[BUSY];
    atomic_bool over;
};

static void *busy_run(void *arg)
{
    struct busy *b = arg;
    char sink[4096];
    while (!atomic_load(&b->over) && poll(b->fds, BUSY, 100) >= 0)
        for (size_t i = 0; i < BUSY; i++)
            if (b->fds[i].revents && (recv(b->fds[i].fd, sink, sizeof sink, 0) <= 0 ||
                                      send(b->fds[i].fd, busy_request, sizeof busy_request - 1, MSG_NOSIGNAL) < 0))
                b->fds[i].events = 0; /* closed */
    return NULL;
}

static void wait_recorded(struct world *w, uint64_t n)
{
    for (int ms = 0; recorded(w) < n; ms += 5) {
        assert_true(ms < PATIENCE_MS);
        (void)poll(NULL, 0, 5);
    }
}

static void busy_clients_hold_nothing_up(void **state)
{
    struct world *w = *state;
    static struct busy b;
    pthread_t thread;
    atomic_init(&b.over, false);
    disk_slow(2);
    for (size_t i = 0; i < BUSY; i++) {
        b.fds[i] = (struct pollfd){.fd = dial(w), .events = POLLIN};
        put(b.fds[i].fd, busy_request, sizeof busy_request - 1);
    }
    assert_int_equal(pthread_create(&thread, NULL, busy_run, &b), 0);
    wait_recorded(w, 1000);
    int fd = dial(w);
    put(fd, "POS", 3);
    int64_t began = wm_clock_mono(&wm_clock_system).ns;
    assert_int_equal(status_of(answer(fd)), 408);
    close(fd);
    wm_server_stop(w->server, 500);
    w->server = NULL;
    assert_true(wm_clock_mono(&wm_clock_system).ns - began < 6 * WM_NS_PER_S);
    atomic_store(&b.over, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    for (size_t i = 0; i < BUSY; i++)
        close(b.fds[i].fd);
}

static void *stop_run(void *server)
{
    wm_server_stop(server, 0);
    return NULL;
}

/* However short the stop: what is in the journal as done is answered. */
static void a_stop_answers_the_call_that_waits_for_its_commit(void **state)
{
    struct world *w = *state;
    char text[2048];
    size_t len = request_text(w, "POST", "/channels", "{\"id\":\"last\"}", "", text, sizeof text);
    pthread_t thread;
    int fd = dial(w);
    disk_set(true, false);
    put(fd, text, len);
    disk_wait_held();
    assert_int_equal(pthread_create(&thread, NULL, stop_run, w->server), 0);
    w->server = NULL;
    (void)poll(NULL, 0, 20);
    disk_set(false, false);
    assert_int_equal(status_of(answer(fd)), 200);
    close(fd);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(recorded(w), 1);
}

/* What comes behind a request in the same packet waits with it: it neither brings the reply out early nor is answered
 * before it. */
static void a_second_request_in_the_packet_does_not_hurry_the_first(void **state)
{
    struct world *w = *state;
    char text[4096];
    size_t len = request_text(w, "POST", "/channels", "{\"id\":\"one\"}", "", text, sizeof text);
    len += request_text(w, "GET", "/channels/one", "", "", text + len, sizeof text - len);
    int fd = dial(w);
    disk_set(true, false);
    put(fd, text, len);
    disk_wait_held();
    struct pollfd early = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&early, 1, 30), 0);
    disk_set(false, false);
    const char *reply = answer(fd), *second = strstr(reply + 1, "HTTP/1.1 ");
    assert_int_equal(status_of(reply), 200);
    if (!second)
        assert_int_equal(status_of(answer(fd)), 200);
    close(fd);
    wait_recorded(w, 2);
    text_is(record_of(w, 1), "eventName", "CreateChannel");
    text_is(record_of(w, 2), "eventName", "DescribeChannel");
}

/* Two loops on one journal and one state: each call is answered, recorded once, and sees its own effect. */
#define CLIENTS 8
#define CALLS_EACH 20

static void *client_run(void *arg)
{
    const int *fd = arg;
    static const char not_signed[] = "GET /channels HTTP/1.1\r\nHost: x\r\n\r\n";
    char sink[4096];
    for (size_t i = 0; i < CALLS_EACH; i++)
        if (send(*fd, not_signed, sizeof not_signed - 1, MSG_NOSIGNAL) < 0 || recv(*fd, sink, sizeof sink, 0) <= 0)
            return arg;
    return NULL;
}

static void two_loops_share_one_journal(void **state)
{
    struct world *w = *state;
    pthread_t threads[CLIENTS];
    int fds[CLIENTS];
    char path[32], body[32];
    wm_server_stop(w->server, 0);
    start_server(w, 2);
    for (size_t i = 0; i < CLIENTS; i++) {
        fds[i] = dial(w);
        assert_int_equal(pthread_create(&threads[i], NULL, client_run, &fds[i]), 0);
    }
    for (int i = 0; i < CALLS_EACH; i++) {
        snprintf(body, sizeof body, "{\"id\":\"c%d\"}", i);
        snprintf(path, sizeof path, "/channels/c%d", i);
        assert_int_equal(call(w, "POST", "/channels", body, ""), 200);
        assert_int_equal(call(w, "GET", path, "", ""), 200);
        assert_int_equal(call(w, "DELETE", path, "", ""), 202);
        assert_int_equal(call(w, "GET", path, "", ""), 404);
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        void *failed;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
        close(fds[i]);
    }
    assert_int_equal(recorded(w), CLIENTS * CALLS_EACH + 4 * CALLS_EACH);
}

/* Some proxies add a header line of their own behind the client's instead of adding to it (HAProxy's forwardfor). */
static void the_last_forwarded_for_line_is_the_proxys(void **state)
{
    struct world *w = *state;
    static const char spoofed[] = "X-Forwarded-For: 198.51.100.1\r\nX-Forwarded-For: 203.0.113.9\r\n";
    assert_int_equal(call(w, "GET", "/channels", "", spoofed), 200);
    text_is(record_of(w, 1), "sourceIPAddress", "203.0.113.9");
}

/* However many headers the client puts before it. */
static void a_forwarded_for_line_behind_many_headers_counts(void **state)
{
    struct world *w = *state;
    char more[4096];
    size_t len = 0;
    for (int i = 0; i < 100; i++)
        len += (size_t)snprintf(more + len, sizeof more - len, "X-%d: y\r\n", i);
    (void)snprintf(more + len, sizeof more - len, "X-Forwarded-For: 203.0.113.9\r\n");
    assert_int_equal(call(w, "GET", "/channels", "", more), 200);
    text_is(record_of(w, 1), "sourceIPAddress", "203.0.113.9");
}

/* What is logged between the two calls. */
static int log_before;

static FILE *log_catch(enum wm_log_level level)
{
    FILE *log = tmpfile();
    assert_non_null(log);
    log_before = dup(STDERR_FILENO);
    assert_int_equal(dup2(fileno(log), STDERR_FILENO), STDERR_FILENO);
    wm_log_set_level(level);
    return log;
}

static void log_release(FILE *log)
{
    wm_log_set_level(WM_LOG_NOTICE);
    assert_int_equal(dup2(log_before, STDERR_FILENO), STDERR_FILENO);
    close(log_before);
    rewind(log);
}

/* One line of the log for one event, and none of its fields written by a caller whom nobody knows. */
static void a_claimed_key_cannot_forge_a_line_of_the_log(void **state)
{
    struct world *w = *state;
    static const char forged[] =
        "GET /channels?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20260301T000000Z&X-Amz-Expires=60"
        "&X-Amz-SignedHeaders=host&X-Amz-Signature=0000000000000000000000000000000000000000000000000000000000000000"
        "&X-Amz-Credential=AKIA%20from=192.0.2.1%20status=200%0Aa%C2%9Bb/20260301/us-east-1/mediapackage/aws4_request"
        " HTTP/1.1\r\nHost: x\r\n\r\n";
    static const char abandoned[] = "POST /x%20\"y\tstatus=200 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n";
    FILE *log = log_catch(WM_LOG_INFO);
    int fd = dial(w);
    put(fd, forged, sizeof forged - 1);
    int status = status_of(answer(fd));
    close(fd);
    fd = dial(w);
    put(fd, abandoned, sizeof abandoned - 1);
    (void)poll(NULL, 0, 20);
    close(fd);
    wm_server_stop(w->server, 1000);
    w->server = NULL;
    log_release(log);
    assert_int_equal(status, 403);
    char line[4096];
    bool seen = false;
    while (fgets(line, sizeof line, log)) {
        seen = seen || strstr(line, "by=AKIA");
        assert_null(strstr(line, "from=192.0.2.1"));
        assert_null(strstr(line, "status=200"));
        assert_null(strstr(line, "\xc2\x9b"));
        assert_null(strstr(line, "\"y"));
    }
    fclose(log);
    assert_true(seen);
    text_is(wm_json_get(record_of(w, 1), "userIdentity"), "accessKeyId", "AKIA from=192.0.2.1 status=200\na\xc2\x9b" "b");
}

/* Only a restart helps, so whoever asks is told, although no call has met the failure yet. */
static void a_failure_that_no_call_meets_is_seen(void **state)
{
    struct world *w = *state;
    for (int ms = 0; !wm_server_failed(w->server); ms += 5) {
        assert_true(ms < PATIENCE_MS);
        (void)poll(NULL, 0, 5);
    }
    assert_int_equal(health(w, "/livez", FAILED_TEXT), 503);
    assert_int_equal(call(w, "GET", "/channels", "", ""), 503);
}

/* ---- health and status ---- */

static void health_is_told_to_anybody_and_not_recorded(void **state)
{
    struct world *w = *state;
    static const char head[] = "HEAD /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    static const char post[] = "POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
    assert_int_equal(health(w, "/livez", "ok\n"), 200);
    assert_int_equal(health(w, "/readyz", "ok\n"), 200);
    assert_int_equal(health(w, "/readyz?verbose", "ok\n"), 200);
    int fd = dial(w);
    put(fd, head, sizeof head - 1);
    assert_int_equal(status_of(answer(fd)), 200);
    close(fd);
    assert_int_equal(recorded(w), 0);
    assert_int_equal(status_of(ask(w, post, sizeof post - 1)), 403); /* a call like any other */
    assert_int_equal(recorded(w), 1);
}

static void until_it_serves_calls_are_refused_and_it_is_not_ready(void **state)
{
    struct world *w = *state;
    assert_int_equal(health(w, "/livez", "ok\n"), 200);
    assert_int_equal(health(w, "/readyz", "starting\n"), 503);
    assert_int_equal(call(w, "POST", "/channels", "{\"id\":\"early\"}", ""), 503);
    signing_name = "waymark";
    assert_int_equal(call(w, "GET", "/_waymark/status", "", ""), 503); /* nobody can be told from anybody yet */
    assert_false(wm_server_failed(w->server));
    assert_int_equal(recorded(w), 0);

    wm_server_serve(w->server, w->auth, w->recorder);
    signing_name = "mediapackage";
    assert_int_equal(health(w, "/readyz", "ok\n"), 200);
    assert_int_equal(call(w, "POST", "/channels", "{\"id\":\"now\"}", ""), 200);
    const struct wm_json *s = status_now(w);
    assert_int_equal(number_of(s, "calls", "received"), 3);
    assert_int_equal(number_of(s, "calls", "refused"), 2);
    assert_int_equal(number_of(s, "calls", "recorded"), 1);
    assert_true(is_true(s, "healthy"));
}

static void the_status_is_for_root_and_whoever_else_asks_is_recorded(void **state)
{
    struct world *w = *state;
    static const char unsigned_request[] = "GET /_waymark/status HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_int_equal(status_of(ask(w, unsigned_request, sizeof unsigned_request - 1)), 403);
    text_is(record_of(w, 1), "errorCode", "MissingAuthenticationTokenException");
    char right = secret[0];
    secret[0] = right == 'x' ? 'y' : 'x';
    signing_name = "waymark";
    assert_int_equal(call(w, "GET", "/_waymark/status", "", ""), 403);
    secret[0] = right;
    text_is(record_of(w, 2), "errorCode", "InvalidSignatureException");
    signing_name = "mediapackage"; /* signed for something else: not to be had with a request that was overheard */
    assert_int_equal(call(w, "GET", "/_waymark/status", "", ""), 404);
    text_is(record_of(w, 3), "errorCode", "UnknownOperationException");
    signing_name = "waymark";
    assert_int_equal(call(w, "DELETE", "/_waymark/status", "", ""), 404);
    assert_int_equal(recorded(w), 4);
    const struct wm_json *s = status_now(w);
    assert_int_equal(recorded(w), 4);
    text_is(s, "phase", "serving");
    text_is(s, "version", WAYMARK_VERSION);
    text_is(wm_json_get(s, "journal"), "state", "ok");
    assert_int_equal(number_of(s, "calls", "recorded"), 4);
    assert_true(is_true(s, "healthy"));
}

static void a_full_journal_is_not_ready_until_there_is_room(void **state)
{
    struct world *w = *state;
    struct wm_journal_stats stats;
    uint64_t answered = 0;
    assert_int_equal(wm_journal_set_cursor(w->recorder->journal, "slow trail", 0), WM_OK);
    while (call(w, "GET", "/channels", "", "") == 200)
        answered++;
    assert_int_equal(recorded(w), answered);
    assert_int_equal(health(w, "/livez", "ok\n"), 200);
    assert_int_equal(health(w, "/readyz", "the journal takes no entries\n"), 503);
    const struct wm_json *s = status_now(w), *j = wm_json_get(s, "journal");
    text_is(j, "state", "full");
    assert_non_null(memmem(wm_json_get_text(j, "reason").ptr, wm_json_get_text(j, "reason").len, "131072", 6));
    assert_int_equal(number_of(s, "journal", "maxBytes"), 128 * 1024);
    assert_int_equal(number_of(s, "journal", "bytes"), 128 * 1024);
    assert_int_equal(number_of(s, "calls", "acknowledged"), answered);
    assert_int_equal(number_of(s, "calls", "refused"), 1);
    assert_true(is_true(wm_json_get(s, "calls"), "complete"));
    assert_false(is_true(s, "healthy"));
    assert_int_equal(wm_json_get(s, "problems")->count, 1);

    wm_journal_stats(w->recorder->journal, &stats);
    assert_int_equal(wm_journal_set_cursor(w->recorder->journal, "slow trail", stats.durable_seq), WM_OK);
    while (wm_journal_refuses(w->recorder->journal, NULL))
        (void)poll(NULL, 0, 5);
    assert_int_equal(health(w, "/readyz", "ok\n"), 200); /* without a call that would try */
    assert_int_equal(call(w, "GET", "/channels", "", ""), 200);
    s = status_now(w);
    text_is(wm_json_get(s, "journal"), "state", "ok");
    assert_int_equal(wm_json_get(wm_json_get(s, "journal"), "reason")->type, WM_JSON_NULL);
    assert_true(is_true(s, "healthy"));
}

static void a_failed_journal_is_neither_alive_nor_ready_and_says_why(void **state)
{
    struct world *w = *state;
    assert_int_equal(call(w, "GET", "/channels", "", ""), 200);
    disk_set(false, true);
    assert_int_equal(call(w, "POST", "/channels", "{\"id\":\"lost\"}", ""), 503);
    disk_set(false, false);
    assert_int_equal(call(w, "GET", "/channels", "", ""), 503);
    assert_int_equal(health(w, "/livez", FAILED_TEXT), 503);
    assert_int_equal(health(w, "/readyz", FAILED_TEXT), 503);
    const struct wm_json *s = status_now(w), *j = wm_json_get(s, "journal");
    text_is(j, "state", "failed");
    struct wm_view reason = wm_json_get_text(j, "reason");
    assert_non_null(memmem(reason.ptr, reason.len, "Input/output error", 18));
    assert_int_equal(number_of(s, "calls", "received"), 3);
    assert_int_equal(number_of(s, "calls", "recorded"), 2);
    assert_int_equal(number_of(s, "calls", "acknowledged"), 1);
    assert_int_equal(number_of(s, "calls", "lost"), 1);
    assert_int_equal(number_of(s, "calls", "refused"), 1);
    assert_false(is_true(s, "healthy"));
}

/* Requests that were none are counted, be it the library that answers; and so are those whose rest never came. */
static void what_never_became_a_call_is_counted(void **state)
{
    struct world *w = *state;
    static const char no_host[] = "GET /channels HTTP/1.1\r\n\r\n";
    static const char half[] = "POST /channels HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n{";
    static char long_line[40000], long_header[40000];
    memset(long_line, 'a', sizeof long_line - 1);
    memcpy(long_line, "GET /", 5);
    memset(long_header, 'a', sizeof long_header - 1);
    memcpy(long_header, "GET / HTTP/1.1\r\nHost: x\r\nX: ", 28);
    FILE *log = log_catch(WM_LOG_NOTICE);
    assert_int_equal(status_of(ask(w, no_host, sizeof no_host - 1)), 400);
    assert_int_equal(status_of(ask(w, long_line, sizeof long_line - 1)), 414);
    assert_int_equal(status_of(ask(w, long_header, sizeof long_header - 1)), 431);
    assert_int_equal(status_of(ask(w, "POS", 3)), 408);
    log_release(log);
    char line[1000];
    size_t lines = 0;
    while (fgets(line, sizeof line, log)) { /* one for all of them: whoever can reach us can cause it at any rate */
        assert_non_null(strstr(line, " request-rejected  status=400 more=0"));
        lines++;
    }
    fclose(log);
    assert_int_equal(lines, 1);
    int fd = dial(w);
    put(fd, half, sizeof half - 1);
    (void)poll(NULL, 0, 20);
    close(fd);
    const struct wm_json *s = status_now(w);
    for (int ms = 0; number_of(s, "calls", "abandoned") == 0; ms += 5) {
        assert_true(ms < PATIENCE_MS);
        (void)poll(NULL, 0, 5);
        s = status_now(w);
    }
    assert_int_equal(number_of(s, "calls", "abandoned"), 1);
    assert_int_equal(number_of(s, "calls", "rejected"), 4);
    assert_int_equal(number_of(s, "calls", "received"), 0);
    assert_int_equal(recorded(w), 0);
    assert_true(is_true(s, "healthy")); /* whoever can reach us can do this */
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_call_is_answered_and_recorded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failed_commit_fails_all_that_waited_for_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_request_that_was_too_slow_is_recorded_once_and_not_carried_out, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_answer_in_the_middle_of_a_request_has_the_status_that_it_says, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(busy_clients_hold_nothing_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_stop_answers_the_call_that_waits_for_its_commit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_second_request_in_the_packet_does_not_hurry_the_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(two_loops_share_one_journal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_last_forwarded_for_line_is_the_proxys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_forwarded_for_line_behind_many_headers_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_folded_call_waits_for_what_it_may_have_seen, set_up_folding, tear_down),
        cmocka_unit_test_setup_teardown(a_claimed_key_cannot_forge_a_line_of_the_log, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failure_that_no_call_meets_is_seen, set_up_without_names, tear_down),
        cmocka_unit_test_setup_teardown(health_is_told_to_anybody_and_not_recorded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(until_it_serves_calls_are_refused_and_it_is_not_ready, set_up_starting, tear_down),
        cmocka_unit_test_setup_teardown(the_status_is_for_root_and_whoever_else_asks_is_recorded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_journal_is_not_ready_until_there_is_room, set_up_small, tear_down),
        cmocka_unit_test_setup_teardown(a_failed_journal_is_neither_alive_nor_ready_and_says_why, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_never_became_a_call_is_counted, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
