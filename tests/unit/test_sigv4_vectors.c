/*
 * The published SigV4 test suite, found through the environment variable WAYMARK_SHARED (else ../shared beside the
 * sources); where it is absent the tests are skipped. Each case is a folder NAME with NAME.req (the request as the
 * caller made it), .creq (canonical request), .sts (string to sign), .authz (Authorization) and .sreq (as sent).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "waymark/sigv4.h"

#include "waymark/banned.h"

#define SUITE_ACCESS_KEY "AKIDEXAMPLE"
#define SUITE_SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define SUITE_DATE "20150830T123600Z"
#define SUITE_CASES 34 /* so that a suite that was not found is not a suite that passed */

#ifndef WAYMARK_SOURCE_DIR
#define WAYMARK_SOURCE_DIR "."
#endif

static char suite_path[1024];

static bool suite_find(void)
{
    const char *shared = getenv("WAYMARK_SHARED");
    struct stat st;
    if (shared)
        (void)snprintf(suite_path, sizeof suite_path, "%s/vectors/sigv4", shared);
    else
        (void)snprintf(suite_path, sizeof suite_path, WAYMARK_SOURCE_DIR "/../shared/vectors/sigv4");
    return stat(suite_path, &st) == 0 && S_ISDIR(st.st_mode);
}

struct suite_case {
    const char *name;
    struct wm_buf req, creq, sts, authz, sreq;
};

static void suite_read(struct wm_buf *out, const char *folder, const char *name, const char *suffix)
{
    char path[2048];
    wm_buf_init(out, 64 * 1024);
    assert_true(snprintf(path, sizeof path, "%s/%s.%s", folder, name, suffix) < (int)sizeof path);
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("cannot open %s", path);
    char chunk[4096];
    size_t n;
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0)
        for (size_t i = 0; i < n; i++)
            if (chunk[i] != '\r') /* the suite was written with CRLF in some editions */
                wm_buf_add_char(out, chunk[i]);
    fclose(f);
    assert_int_equal(wm_buf_status(out), WM_OK);
}

/* A request taken apart; views point into the text. */
struct suite_request {
    struct wm_sigv4_request r;
    struct wm_sigv4_header headers[16];
    char hash[WM_SHA256_HEX_BYTES];
};

static void suite_parse(struct wm_view text, enum wm_sigv4_path form, struct suite_request *out)
{
    struct wm_view rest = text, line = wm_view_split(&rest, '\n');
    *out = (struct suite_request){.r = {.path_form = form, .headers = out->headers}};
    out->r.method = wm_view_split(&line, ' ');
    struct wm_view target = wm_view_sub(line, 0, wm_view_rfind(line, ' ')); /* a target may hold blanks */
    out->r.path = wm_view_split(&target, '?');
    out->r.query = target;
    while (rest.ptr) {
        line = wm_view_split(&rest, '\n');
        if (line.len == 0)
            break;
        if (line.ptr[0] == ' ') { /* goes on with the value of the line before */
            struct wm_view *value = &out->headers[out->r.n_headers - 1].value;
            value->len = (size_t)(line.ptr + line.len - value->ptr);
            continue;
        }
        assert_true(out->r.n_headers < sizeof out->headers / sizeof *out->headers);
        struct wm_sigv4_header *h = &out->headers[out->r.n_headers++];
        h->name = wm_view_split(&line, ':');
        h->value = line;
    }
    uint8_t sha[WM_SHA256_BYTES];
    wm_sha256(rest.ptr, rest.len, sha); /* what is left is the body */
    wm_hex(sha, sizeof sha, out->hash);
    out->r.payload_hash = (struct wm_view){out->hash, sizeof out->hash};
}

static void same_text(const struct suite_case *c, const char *what, struct wm_view got, const struct wm_buf *want)
{
    if (!wm_view_eq(got, wm_view_trim(wm_buf_view(want))))
        fail_msg("%s: %s is\n%.*s\nbut should be\n%.*s", c->name, what, WM_ARG(got), WM_ARG(wm_buf_view(want)));
}

static void canonical_request_and_string_to_sign(struct suite_case *c, enum wm_sigv4_path form)
{
    struct suite_request req;
    struct wm_buf got, sts;
    wm_buf_init(&got, 64 * 1024);
    wm_buf_init(&sts, 1024);
    suite_parse(wm_buf_view(&c->sreq), form, &req);
    struct wm_view authz = wm_buf_view(&c->authz), name = WM_LIT("SignedHeaders=");
    char *at = memmem(authz.ptr, authz.len, name.ptr, name.len);
    assert_non_null(at);
    struct wm_view rest = {at + name.len, (size_t)(authz.ptr + authz.len - at) - name.len};
    struct wm_view signed_headers = wm_view_split(&rest, ',');
    assert_int_equal(wm_sigv4_canonical_request(&req.r, signed_headers, false, &got), WM_OK);
    same_text(c, "the canonical request", wm_buf_view(&got), &c->creq);
    wm_sigv4_string_to_sign(WM_LIT(SUITE_DATE), WM_LIT("20150830"), WM_LIT("us-east-1"), WM_LIT("service"),
                            wm_buf_view(&got), &sts);
    assert_int_equal(wm_buf_status(&sts), WM_OK);
    same_text(c, "the string to sign", wm_buf_view(&sts), &c->sts);
    wm_buf_done(&got);
    wm_buf_done(&sts);
}

static void authorization(struct suite_case *c, enum wm_sigv4_path form, struct wm_sigv4_cache *cache)
{
    struct suite_request req;
    struct wm_sigv4_signature signature;
    struct wm_wall_ns now;
    struct wm_sigv4_credentials credentials = {WM_LIT(SUITE_ACCESS_KEY), WM_LIT(SUITE_SECRET), WM_EMPTY,
                                               WM_LIT("us-east-1"), WM_LIT("service")};
    assert_int_equal(wm_time_parse(WM_LIT(SUITE_DATE), &now), WM_OK);
    if (strcmp(c->name, "get-vanilla-with-session-token") == 0) { /* its signer adds the token, then signs */
        suite_parse(wm_buf_view(&c->sreq), form, &req);
        for (size_t i = 0; i < req.r.n_headers; i++)
            if (wm_view_ieq_str(req.headers[i].name, "x-amz-security-token"))
                credentials.session_token = req.headers[i].value;
        assert_true(credentials.session_token.len > 0);
    }
    suite_parse(wm_buf_view(&c->req), form, &req);
    assert_int_equal(wm_sigv4_sign(cache, &req.r, &credentials, now, &signature), WM_OK);
    same_text(c, "Authorization", wm_view_of(signature.authorization), &c->authz);
    assert_string_equal(signature.date, SUITE_DATE);
}

static void verification(struct suite_case *c, enum wm_sigv4_path form, struct wm_sigv4_cache *cache)
{
    struct suite_request req;
    struct wm_sigv4_claim claim;
    struct wm_wall_ns now;
    char message[256] = "";
    assert_int_equal(wm_time_parse(WM_LIT(SUITE_DATE), &now), WM_OK);
    suite_parse(wm_buf_view(&c->sreq), form, &req);
    /* the same as in .sreq, but for get-vanilla-with-session-token, whose .sreq has a made-up signature */
    for (size_t i = 0; i < req.r.n_headers; i++)
        if (wm_view_ieq_str(req.headers[i].name, "authorization"))
            req.headers[i].value = wm_buf_view(&c->authz);
    if (wm_sigv4_parse(&req.r, &claim, message) != WM_SIGV4_OK)
        fail_msg("%s: %s", c->name, message);
    assert_true(wm_view_eq_str(claim.access_key_id, SUITE_ACCESS_KEY));
    if (wm_sigv4_verify(cache, &req.r, &claim, WM_LIT(SUITE_SECRET), WM_LIT("us-east-1"), WM_LIT("service"), now,
                        message) != WM_SIGV4_OK)
        fail_msg("%s: %s", c->name, message);
    if (wm_sigv4_verify(cache, &req.r, &claim, WM_LIT(SUITE_SECRET "!"), WM_LIT("us-east-1"), WM_LIT("service"), now,
                        message) != WM_SIGV4_MISMATCH)
        fail_msg("%s: another secret gave '%s'", c->name, message);
}

static size_t suite_run(const char *folder, bool normalize_cases, struct wm_sigv4_cache *cache)
{
    size_t n = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char inner[1536], req[2048];
        struct stat st;
        if (e->d_name[0] == '.')
            continue;
        assert_true(snprintf(inner, sizeof inner, "%s/%s", folder, e->d_name) < (int)sizeof inner);
        assert_true(snprintf(req, sizeof req, "%s/%s.req", inner, e->d_name) < (int)sizeof req);
        if (stat(inner, &st) != 0 || !S_ISDIR(st.st_mode))
            continue;
        if (stat(req, &st) != 0) { /* a folder of cases: normalize-path, post-sts-token */
            n += suite_run(inner, normalize_cases || strcmp(e->d_name, "normalize-path") == 0, cache);
            continue;
        }
        struct suite_case c = {.name = e->d_name};
        suite_read(&c.req, inner, e->d_name, "req");
        suite_read(&c.creq, inner, e->d_name, "creq");
        suite_read(&c.sts, inner, e->d_name, "sts");
        suite_read(&c.authz, inner, e->d_name, "authz");
        suite_read(&c.sreq, inner, e->d_name, "sreq");
        canonical_request_and_string_to_sign(&c, WM_SIGV4_PATH_NORMALIZED);
        authorization(&c, WM_SIGV4_PATH_NORMALIZED, cache);
        verification(&c, WM_SIGV4_PATH_NORMALIZED, cache);
        if (!normalize_cases) { /* both forms agree on a path without dots, doubled slashes and percent signs */
            canonical_request_and_string_to_sign(&c, WM_SIGV4_PATH_AS_SENT);
            authorization(&c, WM_SIGV4_PATH_AS_SENT, cache);
            if (strcmp(c.name, "post-sts-header-after") != 0) /* S3 wants the token signed */
                verification(&c, WM_SIGV4_PATH_AS_SENT, cache);
        }
        wm_buf_done(&c.req);
        wm_buf_done(&c.creq);
        wm_buf_done(&c.sts);
        wm_buf_done(&c.authz);
        wm_buf_done(&c.sreq);
        n++;
    }
    closedir(d);
    return n;
}

static void every_published_vector_holds(void **state)
{
    (void)state;
    if (!suite_find())
        skip();
    struct wm_sigv4_cache *cache = wm_sigv4_cache_new();
    assert_non_null(cache);
    size_t n = suite_run(suite_path, false, cache);
    print_message("%zu cases\n", n);
    assert_true(n >= SUITE_CASES);
    wm_sigv4_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_published_vector_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
