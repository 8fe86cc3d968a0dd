/**
 * For tests of whole calls: a recorder in a folder of its own, the services with identities, and requests that are signed
 * and handed to the dispatcher.
 */
#ifndef WAYMARK_TESTS_DISPATCH_RIG_H
#define WAYMARK_TESTS_DISPATCH_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "server/dispatch.h"
#include "tests/support/scratch.h"
#include "waymark/iam.h"

static const uint8_t dispatch_rig_master_key[32] = "a key for tests, 32 bytes long.";

struct dispatch_rig {
    struct scratch scratch;
    char path[340];
    struct wm_recorder *recorder;
    struct wm_auth *auth;
    struct wm_service_env env;
    struct wm_dispatcher dispatcher;
    _Atomic uint64_t recorded, folded;
    char root_id[32], root_secret[64];
};

/** A thread's own. */
struct client {
    struct dispatch_rig *rig;
    struct wm_sigv4_cache *cache;
    struct wm_request request;
    const char *key_id, *secret, *token; /* token NULL: none */
    char authorization[1100], date[WM_TIME_BASIC_BYTES];
};

static inline void dispatch_rig_open(struct dispatch_rig *w)
{
    static const struct wm_service *const services[] = {&wm_service_mediapackage, &wm_service_iam, &wm_service_sts};
    bool made;
    char line[300];
    scratch_make(&w->scratch);
    (void)snprintf(w->path, sizeof w->path, "%s/credentials", w->scratch.dir); /* fits */
    const struct wm_recorder_options o = {
        .data_dir = w->scratch.dir, .io = &wm_io_posix, .clock = &wm_clock_system, .segment_bytes = 16 << 20};
    assert_int_equal(wm_recorder_open(&o, &w->recorder, NULL), WM_OK);
    const struct wm_auth_options a = {&wm_io_posix, w->path, WM_LIT("123456789012"), WM_LIT("us-east-1"),
                                      w->recorder->state, dispatch_rig_master_key};
    assert_int_equal(wm_auth_open(&a, &w->auth, &made, NULL), WM_OK);
    w->env = (struct wm_service_env){.account_id = WM_LIT("123456789012"),
                                     .region = WM_LIT("us-east-1"),
                                     .board = w->recorder->board,
                                     .clock = &wm_clock_system,
                                     .master_key = dispatch_rig_master_key};
    w->dispatcher = (struct wm_dispatcher){.env = &w->env,
                                           .services = services,
                                           .n_services = sizeof services / sizeof *services,
                                           .auth = w->auth,
                                           .recorder = w->recorder,
                                           .record = true,
                                           .recorded = &w->recorded,
                                           .folded = &w->folded};
    FILE *f = fopen(w->path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        (void)sscanf(line, "aws_access_key_id = %31s", w->root_id);
        (void)sscanf(line, "aws_secret_access_key = %63s", w->root_secret);
    }
    (void)fclose(f);
}

static inline void dispatch_rig_close(struct dispatch_rig *w)
{
    wm_auth_close(w->auth);
    wm_recorder_close(w->recorder);
    scratch_remove(&w->scratch);
}

static inline void client_begin(struct client *c, struct dispatch_rig *w, const char *key_id, const char *secret)
{
    memset(c, 0, sizeof *c);
    c->rig = w;
    c->key_id = key_id;
    c->secret = secret;
    c->cache = wm_sigv4_cache_new();
    assert_non_null(c->cache);
    wm_request_init(&c->request, 65536);
}

static inline void client_end(struct client *c)
{
    wm_request_done(&c->request);
    wm_sigv4_cache_free(c->cache);
}

static inline void client_add_header(struct wm_request *r, const char *name, const char *value)
{
    r->headers[r->n_headers++] = (struct wm_sigv4_header){wm_view_of(name), wm_view_of(value)};
}

/** A request, signed and ready to be dispatched. A form that begins with { is JSON. */
static inline void client_prepare(struct client *c, const char *method, const char *path, const char *service, const char *form)
{
    struct wm_request *r = &c->request;
    char hash[WM_SHA256_HEX_BYTES];
    uint8_t sha[WM_SHA256_BYTES];
    struct wm_sigv4_signature signature;
    wm_request_clear(r);
    r->method = wm_view_of(method);
    r->query = wm_view_of(path);
    r->path = wm_view_split(&r->query, '?');
    r->source_ip = WM_LIT("203.0.113.5");
    wm_buf_add_str(&r->body, form);
    client_add_header(r, "Host", "127.0.0.1:8480");
    client_add_header(r, "Content-Type", form[0] && form[0] != '{' ? "application/x-www-form-urlencoded" : "application/json");
    if (c->token)
        client_add_header(r, "X-Amz-Security-Token", c->token);
    wm_sha256(r->body.data, r->body.len, sha);
    wm_hex(sha, sizeof sha, hash);
    const struct wm_sigv4_request to_sign = wm_request_as_signed(r, hash);
    const struct wm_sigv4_credentials credentials = {.access_key_id = wm_view_of(c->key_id),
                                                     .secret = wm_view_of(c->secret),
                                                     .region = c->rig->env.region,
                                                     .service = wm_view_of(service)};
    assert_int_equal(wm_sigv4_sign(c->cache, &to_sign, &credentials, wm_clock_wall(&wm_clock_system), &signature), WM_OK);
    memcpy(c->authorization, signature.authorization, sizeof signature.authorization);
    memcpy(c->date, signature.date, sizeof c->date);
    client_add_header(r, "X-Amz-Date", c->date);
    client_add_header(r, "Authorization", c->authorization);
}

/** The text of an element in the last answer. */
static inline void answer_text(const struct client *c, const char *element, char *out, size_t size)
{
    char open[64];
    struct wm_buf text;
    wm_buf_init(&text, 65536);
    wm_buf_add_view(&text, wm_buf_view(&c->request.out));
    (void)snprintf(open, sizeof open, "<%s>", element);
    const char *from = strstr(wm_buf_cstr(&text), open);
    assert_non_null(from);
    from += strlen(open);
    const char *to = strchr(from, '<');
    assert_non_null(to);
    assert_true(wm_view_copy((struct wm_view){from, (size_t)(to - from)}, out, size));
    wm_buf_done(&text);
}

#endif
