/* An S3 store in front of a scripted server, with a clock that stands still. */
#ifndef WAYMARK_TESTS_S3_RIG_H
#define WAYMARK_TESTS_S3_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "delivery/store_s3_int.h"
#include "tests/support/http_script.h"
#include "waymark/hash.h"
#include "waymark/sigv4.h"

#define SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
/* The usual login, and what else a test wants. */
#define RIG_OPTIONS(...)                                                                                             \
    (struct wm_store_s3_options){.credentials = {.access_key_id = WM_LIT("AKIAEXAMPLE"),                             \
                                                 .secret_access_key = WM_LIT(SECRET)},                               \
                                 __VA_ARGS__}
#define OK_EMPTY "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#define STEPS(...)                             \
    (const struct http_step[]){__VA_ARGS__}, \
        sizeof((const struct http_step[]){__VA_ARGS__}) / sizeof(struct http_step)

/* An answer with an S3 error document. */
#define S3_ERROR(status, extra, code, message)                                                                    \
    "HTTP/1.1 " status "\r\nContent-Type: application/xml\r\n" extra "Connection: close\r\n\r\n"                  \
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>" code "</Code><Message>" message "</Message>"      \
    "<RequestId>1</RequestId></Error>"

struct rig {
    struct http_script script;
    struct wm_store *store;
    struct wm_wall_ns now;
    struct wm_clock clock;
};

static inline struct wm_wall_ns rig_wall(void *ctx)
{
    return ((struct rig *)ctx)->now;
}

static inline void rig_open(struct rig *r, struct wm_store_s3_options o)
{
    struct wm_err err = {0};
    assert_int_equal(wm_time_parse(WM_LIT("2026-03-01T10:07:12Z"), &r->now), WM_OK);
    r->clock = (struct wm_clock){rig_wall, wm_clock_system.mono, r};
    o.bucket = WM_LIT("evidence");
    o.region = WM_LIT("eu-central-1");
    o.clock = &r->clock;
    if (!o.request_timeout_ms)
        o.request_timeout_ms = 10000;
    if (wm_store_s3_new(&o, &r->store, &err) != WM_OK)
        fail_msg("%s", err.message);
    /* What a store does before it has seen a 412 has tests of its own. */
    wm_store_s3_of(r->store)->core->locked.condition = WM_S3_CONDITION_HELD;
}

static inline void rig_start_with(struct rig *r, struct wm_store_s3_options o, const struct http_step *steps, size_t n)
{
    http_script_start(&r->script, steps, n);
    if (!o.endpoint.len)
        o.endpoint = wm_view_of(http_script_url(&r->script));
    rig_open(r, o);
}

/* The scripted server as a proxy: for names that no resolver knows. */
static inline void rig_start_through(struct rig *r, struct wm_store_s3_options o, const struct http_step *steps, size_t n)
{
    http_script_start(&r->script, steps, n);
    o.proxy = wm_view_of(http_script_url(&r->script));
    rig_open(r, o);
}

static inline void rig_start(struct rig *r, const struct http_step *steps, size_t n)
{
    rig_start_with(r, RIG_OPTIONS(), steps, n);
}

static inline void rig_stop(struct rig *r)
{
    wm_store_free(r->store);
    http_script_stop(&r->script);
}

/* Verify the signature of what the server saw, by the verifying half of sigv4.c. */
static inline void assert_signed_for(const struct http_script *script, size_t i, const char *secret, const char *region,
                                     const char *service, struct wm_wall_ns now)
{
    assert_true(i < script->n_seen);
    const struct http_seen *seen = &script->seen[i];
    struct wm_sigv4_header headers[32];
    size_t n = 0;
    struct wm_view rest = wm_view_of(seen->head), line = wm_view_split(&rest, '\n');
    struct wm_view method = wm_view_split(&line, ' '), target = wm_view_split(&line, ' ');
    if (wm_view_starts(target, "http://")) /* as a proxy is asked */
        target = wm_view_sub(target, 7 + wm_view_find(wm_view_sub(target, 7, target.len), '/'), target.len);
    size_t mark = wm_view_find(target, '?');
    while (rest.len) {
        line = wm_view_trim(wm_view_split(&rest, '\n'));
        size_t colon = wm_view_find(line, ':');
        if (colon == line.len)
            continue;
        assert_true(n < 32);
        headers[n++] = (struct wm_sigv4_header){wm_view_sub(line, 0, colon),
                                                wm_view_trim(wm_view_sub(line, colon + 1, line.len))};
    }
    uint8_t hash[WM_SHA256_BYTES];
    char hex[WM_SHA256_HEX_BYTES], message[256] = "";
    wm_sha256(seen->body, seen->body_len, hash);
    wm_hex(hash, sizeof hash, hex);
    struct wm_sigv4_request request = {
        .method = method,
        .path = wm_view_sub(target, 0, mark),
        .query = wm_view_sub(target, mark + 1, target.len),
        .headers = headers,
        .n_headers = n,
        .path_form = WM_SIGV4_PATH_AS_SENT,
        .payload_hash = {hex, sizeof hex},
    };
    struct wm_sigv4_claim claim;
    struct wm_sigv4_cache *cache = wm_sigv4_cache_new();
    assert_int_equal(wm_sigv4_parse(&request, &claim, message), WM_SIGV4_OK);
    if (wm_sigv4_verify(cache, &request, &claim, wm_view_of(secret), wm_view_of(region), wm_view_of(service),
                        now, message) != WM_SIGV4_OK)
        fail_msg("request %zu: %s\n%s", i, message, seen->head);
    assert_string_equal(http_header(seen->head, "x-amz-content-sha256"),
                        (snprintf(message, sizeof message, "%.64s", hex), message));
    wm_sigv4_cache_free(cache);
}

static inline void assert_signed(const struct rig *r, size_t i, const char *secret)
{
    assert_signed_for(&r->script, i, secret, "eu-central-1", "s3", r->now);
}

static const struct wm_store_header headers[] = {
    {{"content-type", 12}, {"application/json", 16}},
    {{"content-encoding", 16}, {"gzip", 4}},
    {{"x-amz-meta-signature", 20}, {"abcd", 4}},
};
#define N_HEADERS (sizeof headers / sizeof headers[0])

static inline enum wm_status put(struct rig *r, struct wm_err *err)
{
    *err = (struct wm_err){0};
    return wm_store_put(r->store, WM_LIT("AWSLogs/1/a b+c.json.gz"), WM_LIT("body"), WM_EMPTY, headers, N_HEADERS, err);
}

#endif
