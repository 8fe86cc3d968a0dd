#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "waymark/sigv4.h"

#include "waymark/banned.h"

#define SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define KEY_ID "AKIAIOSFODNN7EXAMPLE"
#define EMPTY_SHA "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define MAX_TEST_HEADERS 20

static const struct wm_sigv4_credentials credentials = {
    {KEY_ID, 20}, {SECRET, 40}, {NULL, 0}, {"us-east-1", 9}, {"mediapackage", 12}};

static struct wm_wall_ns at(const char *basic)
{
    struct wm_wall_ns t;
    assert_int_equal(wm_time_parse(wm_view_of(basic), &t), WM_OK);
    return t;
}

/* A request whose headers the test adds and changes. */
struct call {
    struct wm_sigv4_request r;
    struct wm_sigv4_header headers[MAX_TEST_HEADERS];
    struct wm_sigv4_signature signature;
};

static void call_init(struct call *c, const char *method, const char *path, const char *query)
{
    *c = (struct call){.r = {.method = wm_view_of(method),
                             .path = wm_view_of(path),
                             .query = wm_view_of(query),
                             .headers = c->headers,
                             .payload_hash = WM_LIT(EMPTY_SHA)}};
}

static void call_header(struct call *c, const char *name, const char *value)
{
    assert_true(c->r.n_headers < MAX_TEST_HEADERS);
    c->headers[c->r.n_headers++] = (struct wm_sigv4_header){wm_view_of(name), wm_view_of(value)};
}

static void call_set(struct call *c, const char *name, const char *value)
{
    for (size_t i = 0; i < c->r.n_headers; i++) {
        if (wm_view_ieq_str(c->headers[i].name, name)) {
            c->headers[i].value = wm_view_of(value);
            return;
        }
    }
    call_header(c, name, value);
}

/* Signed at "20260301T100712Z", with the headers that are there so far; one that was signed before is signed anew. */
static void call_sign(struct call *c, struct wm_sigv4_cache *cache)
{
    size_t n = 0;
    for (size_t i = 0; i < c->r.n_headers; i++)
        if (!wm_view_ieq_str(c->headers[i].name, "x-amz-date") && !wm_view_ieq_str(c->headers[i].name, "authorization"))
            c->headers[n++] = c->headers[i];
    c->r.n_headers = n;
    assert_int_equal(wm_sigv4_sign(cache, &c->r, &credentials, at("20260301T100712Z"), &c->signature), WM_OK);
    call_header(c, "X-Amz-Date", c->signature.date);
    call_header(c, "Authorization", c->signature.authorization);
}

static struct wm_sigv4_cache *cache_new(void)
{
    struct wm_sigv4_cache *cache = wm_sigv4_cache_new();
    assert_non_null(cache);
    return cache;
}

/* What the server says of the call at a time; result and message are checked. */
static void expect_at(struct wm_sigv4_cache *cache, struct call *c, const char *now, enum wm_sigv4_result want,
                      const char *fragment)
{
    struct wm_sigv4_claim claim;
    char message[256] = "";
    enum wm_sigv4_result got = wm_sigv4_parse(&c->r, &claim, message);
    if (got == WM_SIGV4_OK)
        got = wm_sigv4_verify(cache, &c->r, &claim, WM_LIT(SECRET), WM_LIT("us-east-1"),
                              c->r.path_form == WM_SIGV4_PATH_AS_SENT ? WM_EMPTY : WM_LIT("mediapackage"), at(now),
                              message);
    if (got != want)
        fail_msg("result %d instead of %d, message '%s'", (int)got, (int)want, message);
    if (fragment && !strstr(message, fragment))
        fail_msg("message '%s' does not say '%s'", message, fragment);
    if (want != WM_SIGV4_OK)
        assert_true(strlen(message) > 10);
}

static void expect(struct wm_sigv4_cache *cache, struct call *c, enum wm_sigv4_result want, const char *fragment)
{
    expect_at(cache, c, "20260301T100712Z", want, fragment);
}

/* ---- encodings ---- */

static void uri_encode_and_decode(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool keep_slash;
        const char *encoded;
    } cases[] = {
        {"", false, ""},
        {"AZaz09-_.~", false, "AZaz09-_.~"},
        {"a b+c", false, "a%20b%2Bc"},
        {"a/b", false, "a%2Fb"},
        {"a/b", true, "a/b"},
        {"arn:aws:x", true, "arn%3Aaws%3Ax"},
        {"\xc3\xa9*'()!%", false, "%C3%A9%2A%27%28%29%21%25"},
    };
    struct wm_buf b;
    wm_buf_init(&b, 60);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        wm_buf_clear(&b);
        wm_uri_encode(&b, wm_view_of(cases[i].text), cases[i].keep_slash);
        assert_int_equal(wm_buf_status(&b), WM_OK);
        assert_true(wm_view_eq_str(wm_buf_view(&b), cases[i].encoded));
        wm_buf_clear(&b);
        assert_int_equal(wm_uri_decode(&b, wm_view_of(cases[i].encoded)), WM_OK);
        assert_true(wm_view_eq_str(wm_buf_view(&b), cases[i].text));
    }
    wm_buf_clear(&b);
    assert_int_equal(wm_uri_decode(&b, WM_LIT("a+b%2f%2F")), WM_OK);
    assert_true(wm_view_eq_str(wm_buf_view(&b), "a+b//"));
    static const char *const bad[] = {"%", "a%2", "%zz", "%2x", "%%20"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        wm_buf_clear(&b);
        assert_int_equal(wm_uri_decode(&b, wm_view_of(bad[i])), WM_E_INVALID);
        assert_int_equal(b.len, 0);
    }
    wm_buf_done(&b);
    wm_buf_init(&b, 5);
    wm_uri_encode(&b, WM_LIT("::"), false);
    assert_int_equal(wm_buf_status(&b), WM_E_LIMIT);
    wm_buf_clear(&b);
    assert_int_equal(wm_uri_decode(&b, WM_LIT("123456")), WM_E_LIMIT);
    wm_buf_done(&b);
}

/* Lines of a canonical request, counted from 0. */
static void expect_line(struct call *c, const char *signed_headers, bool presigned, size_t line, const char *want)
{
    struct wm_buf b;
    wm_buf_init(&b, 1u << 20);
    assert_int_equal(wm_sigv4_canonical_request(&c->r, wm_view_of(signed_headers), presigned, &b), WM_OK);
    struct wm_view rest = wm_buf_view(&b), got = WM_EMPTY;
    for (size_t i = 0; i <= line; i++)
        got = wm_view_split(&rest, '\n');
    if (!wm_view_eq_str(got, want))
        fail_msg("'%.*s' instead of '%s'", WM_ARG(got), want);
    wm_buf_done(&b);
}

static void canonical_path_of_both_forms(void **state)
{
    (void)state;
    static const struct {
        const char *sent, *normalized, *s3;
    } cases[] = {
        {"", "/", "/"},
        {"/", "/", "/"},
        {"/a/b/", "/a/b/", "/a/b/"},
        {"//a//b//", "/a/b/", "//a//b//"},
        {"/a/./b", "/a/b", "/a/./b"},
        {"/a/../b", "/b", "/a/../b"},
        {"/a/b/..", "/a", "/a/b/.."},
        {"/a/b/../", "/a/", "/a/b/../"},
        {"/..", "/", "/.."},
        {"/../../a", "/a", "/../../a"},
        {"/a/..", "/", "/a/.."},
        {"/./", "/", "/./"},
        {"/...", "/...", "/..."},
        {"/.a/..b", "/.a/..b", "/.a/..b"},
        {"/tags/arn%3Aaws%3amp", "/tags/arn%253Aaws%253amp", "/tags/arn%3Aaws%3Amp"},
        {"/a%2Fb", "/a%252Fb", "/a/b"},
        {"/%7Ea%41", "/%257Ea%2541", "/~aA"},
        {"/a:b c\xc3\xa9", "/a%3Ab%20c%C3%A9", "/a%3Ab%20c%C3%A9"},
        {"/a%", "/a%25", "/a%25"},
        {"/a%2", "/a%252", "/a%252"},
        {"/a%zz", "/a%25zz", "/a%25zz"},
        {"/a+b", "/a%2Bb", "/a%2Bb"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct call c;
        call_init(&c, "GET", cases[i].sent, "");
        call_header(&c, "Host", "h");
        expect_line(&c, "host", false, 1, cases[i].normalized);
        c.r.path_form = WM_SIGV4_PATH_AS_SENT;
        expect_line(&c, "host", false, 1, cases[i].s3);
    }
}

static void canonical_query_is_recoded_and_sorted(void **state)
{
    (void)state;
    static const struct {
        const char *sent, *canonical;
    } cases[] = {
        {"", ""},
        {"a", "a="},
        {"a=", "a="},
        {"b=2&a=1", "a=1&b=2"},
        {"a=2&a=1&a=&a", "a=&a=&a=1&a=2"},
        {"A=1&a=1&B=1", "A=1&B=1&a=1"},
        {"a=1=2&b==", "a=1%3D2&b=%3D"},
        {"&a=1&&b=2&", "a=1&b=2"},
        {"=v", "=v"},
        {"a=%3a%2f&c=x:y/z", "a=%3A%2F&c=x%3Ay%2Fz"},
        {"a=%41%7e", "a=A~"},
        {"a=b+c&a=b%20c&a=b%2Bc", "a=b%20c&a=b%2Bc&a=b%2Bc"},
        {"Param-3=1&Param=2", "Param=2&Param-3=1"},
        {"tagKeys=b&tagKeys=a", "tagKeys=a&tagKeys=b"},
        {"a=%&b=%2&c=%zz", "a=%25&b=%252&c=%25zz"},
        {"X-Amz-Signature=00&a=1", "X-Amz-Signature=00&a=1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct call c;
        call_init(&c, "GET", "/", cases[i].sent);
        call_header(&c, "Host", "h");
        expect_line(&c, "host", false, 2, cases[i].canonical);
    }
    struct call c;
    call_init(&c, "GET", "/", "b=1&X-Amz-Signature=00&X-Amz-Signature&a=1");
    call_header(&c, "Host", "h");
    expect_line(&c, "host", true, 2, "a=1&b=1");
}

static void canonical_headers_are_trimmed_and_joined(void **state)
{
    (void)state;
    static const struct {
        const char *value, *canonical;
    } cases[] = {
        {"", "x-a:"},
        {"   ", "x-a:"},
        {"v", "x-a:v"},
        {" \t a   b\t\tc \t", "x-a:a b c"},
        {"\"a   b\"", "x-a:\"a b\""},
        {"v1\r\n  v2\n\tv3", "x-a:v1 v2 v3"},
        {"12345678", "x-a:12345678"},
        {"1234567 ", "x-a:1234567"},
        {"12345678 ", "x-a:12345678"},
        {"\xff\xfe\x80\x81\x82\x83\x84\x85", "x-a:\xff\xfe\x80\x81\x82\x83\x84\x85"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct call c;
        call_init(&c, "GET", "/", "");
        call_header(&c, "X-A", cases[i].value);
        expect_line(&c, "x-a", false, 3, cases[i].canonical);
    }
    struct call c;
    call_init(&c, "GET", "/", "");
    call_header(&c, "X-Ab", "other");
    call_header(&c, "X-A", " one ");
    call_header(&c, "x-A", "");
    call_header(&c, "X-a", "t  w");
    call_header(&c, "Host", "h");
    expect_line(&c, "host;x-a", false, 4, "x-a:one,,t w");
    expect_line(&c, "host;x-a", false, 6, "host;x-a");
    expect_line(&c, "host;x-a", false, 7, EMPTY_SHA);
    expect_line(&c, "x-a;host", false, 3, "x-a:one,,t w"); /* in the caller's order */
    /* names that differ in one bit only: '[' is not the capital of '{' */
    call_header(&c, "x-long-name-[", "1");
    call_header(&c, "X-LONG-NAME-{", "2");
    expect_line(&c, "x-long-name-{", false, 3, "x-long-name-{:2");
}

static void canonical_request_keeps_its_bounds(void **state)
{
    (void)state;
    struct call c;
    struct wm_buf b;
    size_t n = 200 * 1024;
    char *large = malloc(n), names[400];
    assert_non_null(large);
    memset(large, ':', n);
    wm_buf_init(&b, 1u << 20);
    call_init(&c, "GET", "/", "");
    c.r.path = (struct wm_view){large, n};
    assert_int_equal(wm_sigv4_canonical_request(&c.r, WM_LIT("host"), false, &b), WM_E_LIMIT);
    call_init(&c, "GET", "/", "");
    c.r.query = (struct wm_view){large, n};
    assert_int_equal(wm_sigv4_canonical_request(&c.r, WM_LIT("host"), false, &b), WM_E_LIMIT);
    call_init(&c, "GET", "/", "");
    call_header(&c, "host", "");
    c.headers[0].value = (struct wm_view){large, n};
    assert_int_equal(wm_sigv4_canonical_request(&c.r, WM_LIT("host"), false, &b), WM_E_LIMIT);
    /* a header of 3 KB signed sixty times over */
    c.headers[0].value.len = 3000;
    names[0] = '\0';
    size_t len = 0;
    for (int i = 0; i < 60; i++)
        len += (size_t)snprintf(names + len, sizeof names - len, "%shost", i ? ";" : "");
    assert_int_equal(wm_sigv4_canonical_request(&c.r, wm_view_of(names), false, &b), WM_E_LIMIT);
    /* too many pairs, too many signed names */
    memset(large, '&', n);
    for (size_t i = 0; i < 1100; i += 2)
        large[i] = 'a';
    call_init(&c, "GET", "/", "");
    c.r.query = (struct wm_view){large, 1100};
    assert_int_equal(wm_sigv4_canonical_request(&c.r, WM_EMPTY, false, &b), WM_E_LIMIT);
    memset(large, ';', n);
    call_init(&c, "GET", "/", "");
    assert_int_equal(wm_sigv4_canonical_request(&c.r, (struct wm_view){large, 65}, false, &b), WM_E_LIMIT);
    assert_int_equal(b.len, 0);
    wm_buf_done(&b);
    wm_buf_init(&b, 20);
    assert_int_equal(wm_sigv4_canonical_request(&c.r, WM_LIT("host"), false, &b), WM_E_LIMIT);
    wm_buf_done(&b);
    free(large);
}

/* ---- AWS's own S3 examples ---- */

static const struct {
    const char *name, *method, *path, *query, *extra_name, *extra_value, *second_name, *second_value, *sha;
    const char *signed_headers, *signature;
} s3_examples[] = {
    {"GET Object", "GET", "/test.txt", "", "Range", "bytes=0-9", NULL, NULL, EMPTY_SHA,
     "host;range;x-amz-content-sha256;x-amz-date",
     "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
    {"PUT Object", "PUT", "/test%24file.text", "", "Date", "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class",
     "REDUCED_REDUNDANCY", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
     "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
     "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
    {"GET Bucket Lifecycle", "GET", "/", "lifecycle", NULL, NULL, NULL, NULL, EMPTY_SHA,
     "host;x-amz-content-sha256;x-amz-date", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
    {"GET Bucket", "GET", "/", "max-keys=2&prefix=J", NULL, NULL, NULL, NULL, EMPTY_SHA,
     "host;x-amz-content-sha256;x-amz-date", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
};

/* S3 API Reference, "Signature Calculations for the Authorization Header", examples */
static void s3_header_examples(void **state)
{
    (void)state;
    struct wm_sigv4_cache *cache = cache_new();
    const struct wm_sigv4_credentials s3 = {WM_LIT(KEY_ID), WM_LIT(SECRET), WM_EMPTY, WM_LIT("us-east-1"),
                                            WM_LIT("s3")};
    for (size_t i = 0; i < sizeof s3_examples / sizeof *s3_examples; i++) {
        struct call c;
        struct wm_sigv4_signature signature;
        char want[512];
        call_init(&c, s3_examples[i].method, s3_examples[i].path, s3_examples[i].query);
        c.r.path_form = WM_SIGV4_PATH_AS_SENT;
        c.r.payload_hash = wm_view_of(s3_examples[i].sha);
        call_header(&c, "Host", "examplebucket.s3.amazonaws.com");
        call_header(&c, "x-amz-content-sha256", s3_examples[i].sha);
        if (s3_examples[i].extra_name)
            call_header(&c, s3_examples[i].extra_name, s3_examples[i].extra_value);
        if (s3_examples[i].second_name)
            call_header(&c, s3_examples[i].second_name, s3_examples[i].second_value);
        assert_int_equal(wm_sigv4_sign(cache, &c.r, &s3, at("20130524T000000Z"), &signature), WM_OK);
        (void)snprintf(want, sizeof want,
                       "AWS4-HMAC-SHA256 Credential=" KEY_ID "/20130524/us-east-1/s3/aws4_request, SignedHeaders=%s, "
                       "Signature=%s", s3_examples[i].signed_headers, s3_examples[i].signature);
        assert_string_equal(signature.authorization, want);
        call_header(&c, "x-amz-date", signature.date);
        call_header(&c, "Authorization", signature.authorization);
        expect_at(cache, &c, "20130524T000100Z", WM_SIGV4_OK, NULL);
    }
    wm_sigv4_cache_free(cache);
}

/* S3 API Reference, "Authenticating Requests: Using Query Parameters", example */
#define PRESIGNED_QUERY                                                                           \
    "X-Amz-Algorithm=AWS4-HMAC-SHA256"                                                            \
    "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"           \
    "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
#define PRESIGNED_SIGNATURE "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"

static void s3_presigned_example_and_its_life(void **state)
{
    (void)state;
    struct wm_sigv4_cache *cache = cache_new();
    struct call c;
    call_init(&c, "GET", "/test.txt", PRESIGNED_QUERY "&X-Amz-Signature=" PRESIGNED_SIGNATURE);
    c.r.path_form = WM_SIGV4_PATH_AS_SENT;
    call_header(&c, "Host", "examplebucket.s3.amazonaws.com");
    expect_at(cache, &c, "20130524T000000Z", WM_SIGV4_OK, NULL);
    expect_at(cache, &c, "20130525T000000Z", WM_SIGV4_OK, NULL);
    expect_at(cache, &c, "20130525T000001Z", WM_SIGV4_EXPIRED, "expired");
    expect_at(cache, &c, "20130523T234500Z", WM_SIGV4_OK, NULL);
    expect_at(cache, &c, "20130523T234459Z", WM_SIGV4_NOT_YET, "not yet");
    call_set(&c, "Host", "otherbucket.s3.amazonaws.com");
    expect_at(cache, &c, "20130524T000000Z", WM_SIGV4_MISMATCH, "does not match");
    call_set(&c, "Host", "examplebucket.s3.amazonaws.com");
    call_header(&c, "x-amz-acl", "public-read");
    expect_at(cache, &c, "20130524T000000Z", WM_SIGV4_MISMATCH, "x-amz-acl");
    wm_sigv4_cache_free(cache);
}

static void presigned_claim_is_decoded(void **state)
{
    (void)state;
    struct call c;
    struct wm_sigv4_claim claim;
    char message[256];
    call_init(&c, "GET", "/", "a=b&" PRESIGNED_QUERY "%3Bx-amz-acl&X-Amz-Security-Token=a%2Bb%2Fc%3D%3D+d"
              "&X-Amz-Signature=" PRESIGNED_SIGNATURE);
    call_header(&c, "X-Amz-Security-Token", "another");
    assert_int_equal(wm_sigv4_parse(&c.r, &claim, message), WM_SIGV4_OK);
    assert_true(claim.presigned);
    assert_true(wm_view_eq_str(claim.access_key_id, KEY_ID));
    assert_true(wm_view_eq_str(claim.scope_date, "20130524"));
    assert_true(wm_view_eq_str(claim.region, "us-east-1"));
    assert_true(wm_view_eq_str(claim.service, "s3"));
    assert_true(wm_view_eq_str(claim.signed_headers, "host;x-amz-acl"));
    assert_true(wm_view_eq_str(claim.signature, PRESIGNED_SIGNATURE));
    assert_true(wm_view_eq_str(claim.security_token, "a+b/c==+d"));
    assert_string_equal(claim.date_basic, "20130524T000000Z");
    assert_true(claim.date.ns == at("20130524T000000Z").ns);
    assert_true(claim.expires_s == 86400);
}

static void presigned_malformed(void **state)
{
    (void)state;
    static const char algorithm[] = "X-Amz-Algorithm=AWS4-HMAC-SHA256";
    static const char credential[] = "X-Amz-Credential=" KEY_ID "%2F20130524%2Fus-east-1%2Fs3%2Faws4_request";
    static const char date[] = "X-Amz-Date=20130524T000000Z", expires[] = "X-Amz-Expires=86400";
    static const char names[] = "X-Amz-SignedHeaders=host", signature[] = "X-Amz-Signature=" PRESIGNED_SIGNATURE;
    static const struct {
        const char *parts[8];
        enum wm_sigv4_result result;
        const char *fragment;
    } cases[] = {
        {{credential, date, expires, names, signature}, WM_SIGV4_INCOMPLETE, "no X-Amz-Algorithm"},
        {{algorithm, date, expires, names, signature}, WM_SIGV4_INCOMPLETE, "no X-Amz-Credential"},
        {{algorithm, credential, expires, names, signature}, WM_SIGV4_INCOMPLETE, "no X-Amz-Date"},
        {{algorithm, credential, date, names, signature}, WM_SIGV4_INCOMPLETE, "no X-Amz-Expires"},
        {{algorithm, credential, date, expires, signature}, WM_SIGV4_INCOMPLETE, "no X-Amz-SignedHeaders"},
        {{algorithm, credential, date, expires, names}, WM_SIGV4_MISSING, "missing"},
        {{algorithm, credential, date, expires, names, signature, signature}, WM_SIGV4_INCOMPLETE, "twice"},
        {{algorithm, credential, date, date, expires, names, signature}, WM_SIGV4_INCOMPLETE, "twice"},
        {{"X-Amz-Algorithm=AWS4-ECDSA-P256-SHA256", credential, date, expires, names, signature},
         WM_SIGV4_INCOMPLETE, "AWS4-ECDSA-P256-SHA256"},
        {{algorithm, "X-Amz-Credential=" KEY_ID, date, expires, names, signature}, WM_SIGV4_INCOMPLETE, "5 slash"},
        {{algorithm, "X-Amz-Credential=a%2", date, expires, names, signature}, WM_SIGV4_INCOMPLETE, "malformed"},
        {{algorithm, "X-Amz-Credential=a/b/c/d/e", date, expires, names, signature}, WM_SIGV4_WRONG_SCOPE,
         "aws4_request"},
        {{algorithm, credential, "X-Amz-Date=2013-05-24T00:00:00Z", expires, names, signature},
         WM_SIGV4_INCOMPLETE, "X-Amz-Date"},
        {{algorithm, credential, date, "X-Amz-Expires=0", names, signature}, WM_SIGV4_INCOMPLETE, "'0'"},
        {{algorithm, credential, date, "X-Amz-Expires=604801", names, signature}, WM_SIGV4_INCOMPLETE, "604800"},
        {{algorithm, credential, date, "X-Amz-Expires=-5", names, signature}, WM_SIGV4_INCOMPLETE, "'-5'"},
        {{algorithm, credential, date, "X-Amz-Expires=", names, signature}, WM_SIGV4_INCOMPLETE, "X-Amz-Expires"},
        {{algorithm, credential, date, expires, names, "X-Amz-Signature=00"}, WM_SIGV4_INCOMPLETE, "64"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char query[1024], message[256] = "";
        size_t len = 0;
        for (size_t p = 0; p < 8 && cases[i].parts[p]; p++)
            len += (size_t)snprintf(query + len, sizeof query - len, "%s%s", p ? "&" : "", cases[i].parts[p]);
        struct call c;
        struct wm_sigv4_claim claim;
        call_init(&c, "GET", "/", query);
        enum wm_sigv4_result got = wm_sigv4_parse(&c.r, &claim, message);
        if (got != cases[i].result || !strstr(message, cases[i].fragment))
            fail_msg("case %zu: %d, '%s'", i, (int)got, message);
    }
    /* a token larger than the claim has room for */
    char *query = malloc(8192);
    assert_non_null(query);
    static const char start[] = PRESIGNED_QUERY "&X-Amz-Signature=" PRESIGNED_SIGNATURE "&X-Amz-Security-Token=";
    size_t n = sizeof start - 1;
    memcpy(query, start, n);
    memset(query + n, 'a', WM_SIGV4_CLAIM_BYTES);
    query[n + WM_SIGV4_CLAIM_BYTES] = '\0';
    struct call c;
    struct wm_sigv4_claim claim;
    char message[256];
    call_init(&c, "GET", "/", query);
    assert_int_equal(wm_sigv4_parse(&c.r, &claim, message), WM_SIGV4_INCOMPLETE);
    assert_non_null(strstr(message, "too long"));
    free(query);
}

/* ---- Authorization ---- */

#define SIG64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define CREDENTIAL "Credential=" KEY_ID "/20260301/us-east-1/mediapackage/aws4_request"
#define GOOD_AUTH "AWS4-HMAC-SHA256 " CREDENTIAL ", SignedHeaders=host;x-amz-date, Signature=" SIG64

static void authorization_is_read_as_clients_write_it(void **state)
{
    (void)state;
    static const char *const spellings[] = {
        GOOD_AUTH,
        "AWS4-HMAC-SHA256 " CREDENTIAL ",SignedHeaders=host;x-amz-date,Signature=" SIG64,
        "  AWS4-HMAC-SHA256\t" CREDENTIAL " ,  SignedHeaders=host;x-amz-date ,Signature=" SIG64 "  ",
        "AWS4-HMAC-SHA256 Signature=" SIG64 ", SignedHeaders=host;x-amz-date, " CREDENTIAL ", New=thing,",
    };
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
        struct call c;
        struct wm_sigv4_claim claim;
        char message[256];
        call_init(&c, "GET", "/", "");
        call_header(&c, "x-amz-DATE", " 20260301T100712Z ");
        call_header(&c, "AUTHORIZATION", spellings[i]);
        call_header(&c, "X-Amz-Security-Token", " token ");
        assert_int_equal(wm_sigv4_parse(&c.r, &claim, message), WM_SIGV4_OK);
        assert_false(claim.presigned);
        assert_true(wm_view_eq_str(claim.access_key_id, KEY_ID));
        assert_true(wm_view_eq_str(claim.scope_date, "20260301"));
        assert_true(wm_view_eq_str(claim.region, "us-east-1"));
        assert_true(wm_view_eq_str(claim.service, "mediapackage"));
        assert_true(wm_view_eq_str(claim.signed_headers, "host;x-amz-date"));
        assert_true(wm_view_eq_str(claim.signature, SIG64));
        assert_true(wm_view_eq_str(claim.security_token, "token"));
        assert_string_equal(claim.date_basic, "20260301T100712Z");
    }
}

static const struct {
    const char *authorization;
    const char *date; /* of X-Amz-Date; NULL: none */
    enum wm_sigv4_result result;
    const char *fragment;
    const char *key_id; /* is named all the same, for the record */
} malformed[] = {
    {NULL, "20260301T100712Z", WM_SIGV4_MISSING, "missing", ""},
    {"", "20260301T100712Z", WM_SIGV4_INCOMPLETE, "AWS4-HMAC-SHA256", ""},
    {"Bearer abc", "20260301T100712Z", WM_SIGV4_INCOMPLETE, "'Bearer'", ""},
    {"AWS AKID:c2ln", "20260301T100712Z", WM_SIGV4_INCOMPLETE, "'AWS'", ""},
    {"AWS4-HMAC-SHA256", "20260301T100712Z", WM_SIGV4_INCOMPLETE, "'Credential'", ""},
    {"AWS4-HMAC-SHA256x " CREDENTIAL, "20260301T100712Z", WM_SIGV4_INCOMPLETE, "'AWS4-HMAC-SHA256x'", ""},
    {"AWS4-HMAC-SHA256 nonsense", "20260301T100712Z", WM_SIGV4_INCOMPLETE, "'nonsense'", ""},
    {"AWS4-HMAC-SHA256 SignedHeaders=host, Signature=" SIG64, "20260301T100712Z", WM_SIGV4_INCOMPLETE,
     "'Credential'", ""},
    {"AWS4-HMAC-SHA256 " CREDENTIAL ", Signature=" SIG64, "20260301T100712Z", WM_SIGV4_INCOMPLETE, "'SignedHeaders'",
     KEY_ID},
    {"AWS4-HMAC-SHA256 " CREDENTIAL ", SignedHeaders=host", "20260301T100712Z", WM_SIGV4_INCOMPLETE, "'Signature'",
     KEY_ID},
    {"AWS4-HMAC-SHA256 " CREDENTIAL ", " CREDENTIAL ", SignedHeaders=host, Signature=" SIG64, "20260301T100712Z",
     WM_SIGV4_INCOMPLETE, "twice", ""},
    {"AWS4-HMAC-SHA256 Credential=AKID, SignedHeaders=host, Signature=" SIG64, "20260301T100712Z",
     WM_SIGV4_INCOMPLETE, "5 slash", "AKID"},
    {"AWS4-HMAC-SHA256 Credential=AKID/20260301/us-east-1/aws4_request, SignedHeaders=host, Signature=" SIG64,
     "20260301T100712Z", WM_SIGV4_INCOMPLETE, "5 slash", "AKID"},
    {"AWS4-HMAC-SHA256 Credential=/20260301/us-east-1/mp/aws4_request, SignedHeaders=host, Signature=" SIG64,
     "20260301T100712Z", WM_SIGV4_INCOMPLETE, "key id", ""},
    {"AWS4-HMAC-SHA256 Credential=AKID/20260301/us-east-1/mp/aws4, SignedHeaders=host, Signature=" SIG64,
     "20260301T100712Z", WM_SIGV4_WRONG_SCOPE, "'aws4'", "AKID"},
    {"AWS4-HMAC-SHA256 " CREDENTIAL ", SignedHeaders=host, Signature=abc", "20260301T100712Z", WM_SIGV4_INCOMPLETE,
     "64", KEY_ID},
    {GOOD_AUTH, NULL, WM_SIGV4_INCOMPLETE, "'X-Amz-Date'", KEY_ID},
    {GOOD_AUTH, "", WM_SIGV4_INCOMPLETE, "basic format", KEY_ID},
    {GOOD_AUTH, "2026-03-01T10:07:12Z", WM_SIGV4_INCOMPLETE, "basic format", KEY_ID},
    {GOOD_AUTH, "20260231T100712Z", WM_SIGV4_INCOMPLETE, "20260231T100712Z", KEY_ID},
    {GOOD_AUTH, "Sun, 01 Mar 2026 10:07:12 GMT", WM_SIGV4_INCOMPLETE, "basic format", KEY_ID},
    {GOOD_AUTH, "\x01\xff", WM_SIGV4_INCOMPLETE, "'?\?'", KEY_ID},
};

static void authorization_malformed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        struct call c;
        struct wm_sigv4_claim claim;
        char message[256] = "";
        call_init(&c, "GET", "/", "a=b");
        if (malformed[i].authorization)
            call_header(&c, "Authorization", malformed[i].authorization);
        if (malformed[i].date)
            call_header(&c, "X-Amz-Date", malformed[i].date);
        enum wm_sigv4_result got = wm_sigv4_parse(&c.r, &claim, message);
        if (got != malformed[i].result || !strstr(message, malformed[i].fragment) ||
            !wm_view_eq_str(claim.access_key_id, malformed[i].key_id))
            fail_msg("case %zu: %d, '%s', key '%.*s'", i, (int)got, message, WM_ARG(claim.access_key_id));
    }
}

static void two_authorizations_are_refused(void **state)
{
    (void)state;
    struct call c;
    struct wm_sigv4_claim claim;
    char message[256] = "";
    call_init(&c, "GET", "/", "");
    call_header(&c, "X-Amz-Date", "20260301T100712Z");
    call_header(&c, "Authorization", GOOD_AUTH);
    call_header(&c, "authorization", GOOD_AUTH);
    assert_int_equal(wm_sigv4_parse(&c.r, &claim, message), WM_SIGV4_INCOMPLETE);
    assert_non_null(strstr(message, "more than one"));
    c.r.n_headers--;
    assert_int_equal(wm_sigv4_parse(&c.r, &claim, message), WM_SIGV4_OK);
    c.r.query = WM_LIT(PRESIGNED_QUERY "&X-Amz-Signature=" PRESIGNED_SIGNATURE);
    assert_int_equal(wm_sigv4_parse(&c.r, &claim, message), WM_SIGV4_INCOMPLETE);
    assert_non_null(strstr(message, "one of them"));
}

static void long_texts_are_cut_in_messages(void **state)
{
    (void)state;
    char authorization[4096], message[256] = "";
    struct call c;
    struct wm_sigv4_claim claim;
    memset(authorization, 'x', sizeof authorization - 1);
    authorization[sizeof authorization - 1] = '\0';
    call_init(&c, "GET", "/", "");
    call_header(&c, "Authorization", authorization);
    assert_int_equal(wm_sigv4_parse(&c.r, &claim, message), WM_SIGV4_INCOMPLETE);
    assert_non_null(strstr(message, "xxx...'"));
}

static void key_id_may_hold_slashes_and_region_be_empty(void **state)
{
    (void)state;
    struct call c;
    struct wm_sigv4_claim claim;
    char message[256] = "";
    call_init(&c, "GET", "/", "");
    call_header(&c, "X-Amz-Date", "20260301T100712Z");
    call_header(&c, "Authorization",
                "AWS4-HMAC-SHA256 Credential=a/b/20260301//cloudtrail/aws4_request, SignedHeaders=host, "
                "Signature=" SIG64);
    assert_int_equal(wm_sigv4_parse(&c.r, &claim, message), WM_SIGV4_OK);
    assert_true(wm_view_eq_str(claim.access_key_id, "a/b"));
    assert_int_equal(claim.region.len, 0);
    struct wm_sigv4_cache *cache = cache_new();
    assert_int_equal(wm_sigv4_verify(cache, &c.r, &claim, WM_LIT(SECRET), WM_EMPTY, WM_EMPTY, at("20260301T100712Z"),
                                     message), WM_SIGV4_WRONG_SCOPE);
    assert_non_null(strstr(message, "valid region, not ''"));
    wm_sigv4_cache_free(cache);
}

static void date_header_stands_in_for_x_amz_date(void **state)
{
    (void)state;
    static const struct {
        const char *date;
        bool good;
    } cases[] = {
        {"Sun, 01 Mar 2026 10:07:12 GMT", true},   {"Sun, 01 Mar 2026 10:07:12 -0000", true},
        {"Sun, 01 Mar 2026 10:07:12 +0000", true}, {"20260301T100712Z", true},
        {"Sun, 01 Mar 2026 10:07:12 EST", false},  {"Sun, 01 Mar 2026 10:07:12 +0100", false},
        {"Sun, 01 Mrz 2026 10:07:12 GMT", false},  {"Sun, 1 Mar 2026 10:07:12 GMT", false},
        {"Sun, 99 Mar 2026 10:07:12 GMT", false},  {"Sun; 01 Mar 2026 10:07:12 GMT", false},
        {"Sun, 01 Mar 2026 10-07-12 GMT", false},  {"Sunday, 01-Mar-26 10:07:12 GMT", false},
        {"2026-03-01T10:07:12Z", false},           {"", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct call c;
        struct wm_sigv4_claim claim;
        char message[256] = "";
        call_init(&c, "GET", "/", "");
        call_header(&c, "Date", cases[i].date);
        call_header(&c, "Authorization", GOOD_AUTH);
        enum wm_sigv4_result got = wm_sigv4_parse(&c.r, &claim, message);
        if (got != (cases[i].good ? WM_SIGV4_OK : WM_SIGV4_INCOMPLETE))
            fail_msg("'%s': %d, '%s'", cases[i].date, (int)got, message);
        if (cases[i].good)
            assert_string_equal(claim.date_basic, "20260301T100712Z");
        call_header(&c, "X-Amz-Date", "20260301T100713Z"); /* goes before Date */
        assert_int_equal(wm_sigv4_parse(&c.r, &claim, message), WM_SIGV4_OK);
        assert_string_equal(claim.date_basic, "20260301T100713Z");
    }
}

/* ---- verifying ---- */

static void call_plain(struct call *c)
{
    call_init(c, "GET", "/channels/one", "b=2&a=1");
    call_header(c, "Host", "127.0.0.1:8080");
}

static void skew_window_has_both_ends(void **state)
{
    (void)state;
    struct wm_sigv4_cache *cache = cache_new();
    struct call c;
    call_plain(&c);
    call_sign(&c, cache);
    expect_at(cache, &c, "20260301T100712Z", WM_SIGV4_OK, NULL);
    expect_at(cache, &c, "20260301T102212Z", WM_SIGV4_OK, NULL);
    expect_at(cache, &c, "20260301T102213Z", WM_SIGV4_EXPIRED, "20260301T100712Z is now earlier than 20260301T102213Z");
    expect_at(cache, &c, "20260301T095212Z", WM_SIGV4_OK, NULL);
    expect_at(cache, &c, "20260301T095211Z", WM_SIGV4_NOT_YET, "20260301T100712Z is still later than 20260301T095211Z");
    wm_sigv4_cache_free(cache);
}

static void scope_must_fit(void **state)
{
    (void)state;
    struct wm_sigv4_cache *cache = cache_new();
    struct call c;
    struct wm_sigv4_claim claim;
    char message[256] = "";
    call_plain(&c);
    call_sign(&c, cache);
    assert_int_equal(wm_sigv4_parse(&c.r, &claim, message), WM_SIGV4_OK);
    static const struct {
        const char *region, *service;
        enum wm_sigv4_result result;
        const char *fragment;
    } cases[] = {
        {"", "", WM_SIGV4_OK, ""},
        {"us-east-1", "", WM_SIGV4_OK, ""},
        {"", "mediapackage", WM_SIGV4_OK, ""},
        {"us-east-2", "", WM_SIGV4_WRONG_SCOPE, "valid region, not 'us-east-1'"},
        {"us-east-1", "cloudtrail", WM_SIGV4_WRONG_SCOPE, "correct service: 'cloudtrail'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        message[0] = '\0';
        assert_int_equal(wm_sigv4_verify(cache, &c.r, &claim, WM_LIT(SECRET), wm_view_of(cases[i].region),
                                         wm_view_of(cases[i].service), at("20260301T100712Z"), message),
                         cases[i].result);
        assert_non_null(strstr(message, cases[i].fragment));
    }
    struct wm_sigv4_claim other = claim;
    other.scope_date = WM_LIT("20260302");
    assert_int_equal(wm_sigv4_verify(cache, &c.r, &other, WM_LIT(SECRET), WM_EMPTY, WM_EMPTY, at("20260301T100712Z"),
                                     message), WM_SIGV4_WRONG_SCOPE);
    assert_non_null(strstr(message, "'20260302' != '20260301'"));
    other = claim;
    other.service = WM_EMPTY;
    assert_int_equal(wm_sigv4_verify(cache, &c.r, &other, WM_LIT(SECRET), WM_EMPTY, WM_EMPTY, at("20260301T100712Z"),
                                     message), WM_SIGV4_WRONG_SCOPE);
    char large[1000];
    memset(large, 'r', sizeof large);
    other = claim;
    other.region = (struct wm_view){large, sizeof large};
    assert_int_equal(wm_sigv4_verify(cache, &c.r, &other, WM_LIT(SECRET), WM_EMPTY, WM_EMPTY, at("20260301T100712Z"),
                                     message), WM_SIGV4_WRONG_SCOPE);
    assert_int_equal(wm_sigv4_verify(cache, &c.r, &claim, (struct wm_view){large, 257}, WM_EMPTY, WM_EMPTY,
                                     at("20260301T100712Z"), message), WM_SIGV4_WRONG_SCOPE);
    other = claim;
    other.signature = WM_LIT("00");
    assert_int_equal(wm_sigv4_verify(cache, &c.r, &other, WM_LIT(SECRET), WM_EMPTY, WM_EMPTY, at("20260301T100712Z"),
                                     message), WM_SIGV4_INCOMPLETE);
    wm_sigv4_cache_free(cache);
}

static void what_changes_meaning_must_be_signed(void **state)
{
    (void)state;
    struct wm_sigv4_cache *cache = cache_new();
    struct call c;

    call_init(&c, "GET", "/", ""); /* no host */
    call_sign(&c, cache);
    call_header(&c, "Host", "h");
    expect(cache, &c, WM_SIGV4_MISMATCH, "'Host'");

    call_plain(&c);
    call_sign(&c, cache);
    call_header(&c, "X-Amz-Target", "CloudTrail_20131101.DeleteTrail");
    expect(cache, &c, WM_SIGV4_MISMATCH, "X-Amz-Target");

    /* what proxies and SDKs add behind the signature's back */
    call_plain(&c);
    call_sign(&c, cache);
    call_header(&c, "X-Amzn-Trace-Id", "Root=1");
    call_header(&c, "x-amz-user-agent", "aws-sdk-js/3");
    call_header(&c, "X-Amz-Security-Token", "added after signing");
    call_header(&c, "X-Forwarded-For", "10.0.0.1");
    expect(cache, &c, WM_SIGV4_OK, NULL);
    c.r.path_form = WM_SIGV4_PATH_AS_SENT; /* S3 wants all of them */
    expect(cache, &c, WM_SIGV4_MISMATCH, "not signed");

    /* a signed header that did not arrive, or is there once more */
    call_plain(&c);
    call_header(&c, "X-Custom", "1");
    call_sign(&c, cache);
    expect(cache, &c, WM_SIGV4_OK, NULL);
    call_header(&c, "X-Custom", "2");
    expect(cache, &c, WM_SIGV4_MISMATCH, "does not match");
    c.r.n_headers--;
    c.headers[1].name = WM_LIT("X-Renamed");
    expect(cache, &c, WM_SIGV4_MISMATCH, "'x-custom' is not in the request");
    wm_sigv4_cache_free(cache);
}

static void payload_hash_must_be_the_bodys(void **state)
{
    (void)state;
    static const char other_sha[] = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
    struct wm_sigv4_cache *cache = cache_new();
    struct call c;
    call_plain(&c); /* without x-amz-content-sha256, as boto3 */
    call_sign(&c, cache);
    c.r.payload_hash = WM_LIT(other_sha);
    expect(cache, &c, WM_SIGV4_MISMATCH, "does not match");

    call_plain(&c); /* with it, as the JS SDK */
    call_header(&c, "X-Amz-Content-Sha256", EMPTY_SHA);
    call_sign(&c, cache);
    expect(cache, &c, WM_SIGV4_OK, NULL);
    c.r.payload_hash = WM_LIT(other_sha);
    expect(cache, &c, WM_SIGV4_PAYLOAD_MISMATCH, "x-amz-content-sha256");

    for (int s3 = 0; s3 < 2; s3++) { /* only S3 lets a caller leave the body out */
        call_plain(&c);
        c.r.path_form = s3 ? WM_SIGV4_PATH_AS_SENT : WM_SIGV4_PATH_NORMALIZED;
        c.r.payload_hash = WM_LIT("UNSIGNED-PAYLOAD");
        call_header(&c, "X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD");
        call_sign(&c, cache);
        c.r.payload_hash = WM_LIT(other_sha);
        expect(cache, &c, s3 ? WM_SIGV4_OK : WM_SIGV4_PAYLOAD_MISMATCH, NULL);
    }
    wm_sigv4_cache_free(cache);
}

/* clients.md 1: Ruby SDK v1 signs Host without the port that it sends. */
static void host_may_be_signed_without_its_port(void **state)
{
    (void)state;
    static const struct {
        const char *is_signed, *is_sent;
        enum wm_sigv4_result result;
    } cases[] = {
        {"127.0.0.1", "127.0.0.1:8080", WM_SIGV4_OK},
        {"[::1]", "[::1]:8080", WM_SIGV4_OK},
        {"h", "h:", WM_SIGV4_OK},
        {"127.0.0.1", "127.0.0.2:8080", WM_SIGV4_MISMATCH},
        {"[:", "[::1]", WM_SIGV4_MISMATCH},
        {"h", "h:80a", WM_SIGV4_MISMATCH},
        {"127.0.0.1:8080", "127.0.0.1", WM_SIGV4_MISMATCH},
        {"127.0.0.1:8080", "127.0.0.1:8081", WM_SIGV4_MISMATCH},
    };
    struct wm_sigv4_cache *cache = cache_new();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct call c;
        call_plain(&c);
        call_set(&c, "Host", cases[i].is_signed);
        call_sign(&c, cache);
        call_set(&c, "Host", cases[i].is_sent);
        expect(cache, &c, cases[i].result, NULL);
    }
    wm_sigv4_cache_free(cache);
}

/* botocore signs a query that it was given in the URL as it stands there. Signature made with botocore 1.43.11. */
static void query_may_be_signed_as_sent(void **state)
{
    (void)state;
    struct wm_sigv4_cache *cache = cache_new();
    struct call c;
    call_init(&c, "GET", "/channels", "b=x:y/z&a=1+2&c=%3a");
    call_header(&c, "Host", "127.0.0.1:8080");
    call_header(&c, "X-Amz-Date", "20260301T100712Z");
    call_header(&c, "Authorization", "AWS4-HMAC-SHA256 " CREDENTIAL ", SignedHeaders=host;x-amz-date, "
                "Signature=f31b9f17786ea248a59ae2f8c62c16a1b9c81c9fc6c7ed17360131854f0630c3");
    expect(cache, &c, WM_SIGV4_OK, NULL);
    c.r.query = WM_LIT("a=1+2&c=%3a&b=x:y/z"); /* sorted alike */
    expect(cache, &c, WM_SIGV4_OK, NULL);
    c.r.query = WM_LIT("b=x:y/z&a=1%202&c=%3a"); /* '+' is not a blank */
    expect(cache, &c, WM_SIGV4_MISMATCH, NULL);
    c.r.query = WM_LIT("b=x:y/z&a=1+2&c=:");
    expect(cache, &c, WM_SIGV4_MISMATCH, NULL);
    wm_sigv4_cache_free(cache);
}

static void each_change_of_the_signature_is_seen(void **state)
{
    (void)state;
    struct wm_sigv4_cache *cache = cache_new();
    struct call c;
    call_plain(&c);
    call_sign(&c, cache);
    char *signature = strstr(c.signature.authorization, "Signature=") + 10;
    for (size_t i = 0; i < 64; i++) {
        char was = signature[i];
        signature[i] = was == '0' ? '1' : '0';
        expect(cache, &c, WM_SIGV4_MISMATCH, "does not match");
        signature[i] = was;
    }
    expect(cache, &c, WM_SIGV4_OK, NULL);
    wm_sigv4_cache_free(cache);
}

static void too_large_a_request_is_refused(void **state)
{
    (void)state;
    struct wm_sigv4_cache *cache = cache_new();
    struct call c;
    size_t n = 200 * 1024;
    char *large = malloc(n), names[300] = "";
    assert_non_null(large);
    memset(large, 'a', n);
    call_plain(&c);
    call_sign(&c, cache);
    c.r.query = (struct wm_view){large, n};
    expect(cache, &c, WM_SIGV4_INCOMPLETE, "too large");
    struct wm_sigv4_signature signature;
    assert_int_equal(wm_sigv4_sign(cache, &c.r, &credentials, at("20260301T100712Z"), &signature), WM_E_LIMIT);

    struct wm_sigv4_header many[300]; /* more headers than anyone sends */
    call_plain(&c);
    call_sign(&c, cache);
    for (size_t i = 0; i < 300; i++)
        many[i] = i < c.r.n_headers ? c.headers[i] : (struct wm_sigv4_header){WM_LIT("x"), WM_LIT("y")};
    c.r.headers = many;
    c.r.n_headers = 300;
    expect(cache, &c, WM_SIGV4_INCOMPLETE, "too large");

    struct wm_sigv4_claim claim;
    char message[256];
    call_plain(&c);
    call_sign(&c, cache);
    assert_int_equal(wm_sigv4_parse(&c.r, &claim, message), WM_SIGV4_OK);
    memset(names, ';', 65);
    claim.signed_headers = wm_view_of(names);
    assert_int_equal(wm_sigv4_verify(cache, &c.r, &claim, WM_LIT(SECRET), WM_EMPTY, WM_EMPTY, at("20260301T100712Z"),
                                     message), WM_SIGV4_INCOMPLETE);
    free(large);
    wm_sigv4_cache_free(cache);
}

/* ---- cache ---- */

static void cached_key_goes_with_its_secret(void **state)
{
    (void)state;
    struct wm_sigv4_cache *cache = cache_new();
    struct wm_sigv4_credentials old = credentials, renewed = credentials;
    struct wm_sigv4_signature a, b, again;
    struct call c;
    renewed.secret = WM_LIT("another secret of the same access key id!!");
    call_plain(&c);
    assert_int_equal(wm_sigv4_sign(cache, &c.r, &old, at("20260301T100712Z"), &a), WM_OK);
    assert_int_equal(wm_sigv4_sign(cache, &c.r, &renewed, at("20260301T100712Z"), &b), WM_OK);
    assert_string_not_equal(a.authorization, b.authorization);
    assert_int_equal(wm_sigv4_sign(cache, &c.r, &old, at("20260301T100712Z"), &again), WM_OK);
    assert_string_equal(a.authorization, again.authorization);
    wm_sigv4_cache_free(cache);
}

/* Many more keys than the cache has places: each signature is the same with a full cache, a fresh one and none. */
static void full_cache_gives_the_same_signatures(void **state)
{
    (void)state;
    enum { KEYS = 2000 };
    struct wm_sigv4_cache *cache = cache_new();
    struct wm_sigv4_signature first[3], now;
    struct call c;
    call_plain(&c);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < KEYS; i++) {
            char id[32];
            (void)snprintf(id, sizeof id, "AKIA%d", i);
            struct wm_sigv4_credentials who = credentials;
            who.access_key_id = wm_view_of(id);
            assert_int_equal(wm_sigv4_sign(cache, &c.r, &who, at("20260301T100712Z"), &now), WM_OK);
            if (i >= 3)
                continue;
            if (round == 0)
                first[i] = now;
            assert_string_equal(now.authorization, first[i].authorization);
            struct wm_sigv4_cache *fresh = cache_new();
            assert_int_equal(wm_sigv4_sign(fresh, &c.r, &who, at("20260301T100712Z"), &now), WM_OK);
            assert_string_equal(now.authorization, first[i].authorization);
            wm_sigv4_cache_free(fresh);
        }
    }
    wm_sigv4_cache_free(cache);
    wm_sigv4_cache_free(NULL);
}

static void long_key_text_is_signed_without_the_cache(void **state)
{
    (void)state;
    struct wm_sigv4_cache *cache = cache_new();
    struct wm_sigv4_credentials who = credentials;
    char id[300], message[256] = "";
    memset(id, 'K', sizeof id);
    who.access_key_id = (struct wm_view){id, sizeof id};
    struct call c;
    struct wm_sigv4_claim claim;
    for (int round = 0; round < 2; round++) {
        call_plain(&c);
        assert_int_equal(wm_sigv4_sign(cache, &c.r, &who, at("20260301T100712Z"), &c.signature), WM_OK);
        call_header(&c, "X-Amz-Date", c.signature.date);
        call_header(&c, "Authorization", c.signature.authorization);
        assert_int_equal(wm_sigv4_parse(&c.r, &claim, message), WM_SIGV4_OK);
        assert_int_equal(claim.access_key_id.len, sizeof id);
        assert_int_equal(wm_sigv4_verify(cache, &c.r, &claim, WM_LIT(SECRET), WM_EMPTY, WM_EMPTY,
                                         at("20260301T100712Z"), message), WM_SIGV4_OK);
        assert_int_equal(wm_sigv4_verify(cache, &c.r, &claim, WM_LIT("wrong"), WM_EMPTY, WM_EMPTY,
                                         at("20260301T100712Z"), message), WM_SIGV4_MISMATCH);
    }
    wm_sigv4_cache_free(cache);
}

/* ---- signing ---- */

static void signing_adds_date_and_token_and_leaves_authorization_out(void **state)
{
    (void)state;
    struct wm_sigv4_cache *cache = cache_new();
    struct wm_sigv4_credentials who = credentials;
    struct wm_sigv4_signature signature;
    struct call c;
    who.session_token = WM_LIT("tok/en==");
    call_plain(&c);
    call_header(&c, "Authorization", "of an earlier attempt");
    call_header(&c, "B-Header", "2");
    call_header(&c, "A-Header", "1");
    call_header(&c, "b-header", "3");
    assert_int_equal(wm_sigv4_sign(cache, &c.r, &who, at("20260301T100712Z"), &signature), WM_OK);
    assert_string_equal(signature.date, "20260301T100712Z");
    assert_non_null(strstr(signature.authorization,
                           " SignedHeaders=a-header;b-header;host;x-amz-date;x-amz-security-token, "));
    call_set(&c, "Authorization", signature.authorization);
    call_header(&c, "X-Amz-Date", signature.date);
    call_header(&c, "X-Amz-Security-Token", "tok/en==");
    expect(cache, &c, WM_SIGV4_OK, NULL);
    /* with them there already, the result is the same, whatever the clock says */
    struct wm_sigv4_signature again;
    assert_int_equal(wm_sigv4_sign(cache, &c.r, &who, at("20300101T000000Z"), &again), WM_OK);
    assert_string_equal(again.authorization, signature.authorization);
    assert_string_equal(again.date, signature.date);
    call_set(&c, "X-Amz-Security-Token", "other");
    expect(cache, &c, WM_SIGV4_MISMATCH, "does not match");
    wm_sigv4_cache_free(cache);
}

static void signing_keeps_its_limits(void **state)
{
    (void)state;
    struct wm_sigv4_cache *cache = cache_new();
    struct wm_sigv4_signature signature = {.date = "untouched"};
    struct call c;
    struct wm_wall_ns now = at("20260301T100712Z");
    call_plain(&c);
    call_header(&c, "X-Amz-Date", "yesterday");
    assert_int_equal(wm_sigv4_sign(cache, &c.r, &credentials, now, &signature), WM_E_INVALID);
    call_set(&c, "X-Amz-Date", "20261301T100712Z");
    assert_int_equal(wm_sigv4_sign(cache, &c.r, &credentials, now, &signature), WM_E_INVALID);

    struct wm_sigv4_header headers[WM_SIGV4_MAX_HEADERS + 1];
    char names[WM_SIGV4_MAX_HEADERS + 1][8];
    for (size_t i = 0; i < WM_SIGV4_MAX_HEADERS + 1; i++) {
        (void)snprintf(names[i], sizeof names[i], "x-%zu", i);
        headers[i] = (struct wm_sigv4_header){wm_view_of(names[i]), WM_LIT("v")};
    }
    call_plain(&c);
    c.r.headers = headers;
    c.r.n_headers = WM_SIGV4_MAX_HEADERS + 1;
    assert_int_equal(wm_sigv4_sign(cache, &c.r, &credentials, now, &signature), WM_E_LIMIT);
    c.r.n_headers = WM_SIGV4_MAX_HEADERS;
    struct wm_sigv4_signature full;
    assert_int_equal(wm_sigv4_sign(cache, &c.r, &credentials, now, &full), WM_OK);

    char large[3000];
    memset(large, 'n', sizeof large);
    call_plain(&c);
    c.headers[0].name = (struct wm_view){large, 900}; /* the Authorization header has no room for it */
    assert_int_equal(wm_sigv4_sign(cache, &c.r, &credentials, now, &signature), WM_E_LIMIT);
    c.headers[0].name.len = sizeof large;
    assert_int_equal(wm_sigv4_sign(cache, &c.r, &credentials, now, &signature), WM_E_LIMIT);
    call_plain(&c);
    struct wm_sigv4_credentials who = credentials;
    who.secret = (struct wm_view){large, 257};
    assert_int_equal(wm_sigv4_sign(cache, &c.r, &who, now, &signature), WM_E_LIMIT);
    who = credentials;
    who.region = (struct wm_view){large, 300};
    assert_int_equal(wm_sigv4_sign(cache, &c.r, &who, now, &signature), WM_E_LIMIT);
    assert_string_equal(signature.date, "untouched");
    wm_sigv4_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uri_encode_and_decode),
        cmocka_unit_test(canonical_path_of_both_forms),
        cmocka_unit_test(canonical_query_is_recoded_and_sorted),
        cmocka_unit_test(canonical_headers_are_trimmed_and_joined),
        cmocka_unit_test(canonical_request_keeps_its_bounds),
        cmocka_unit_test(s3_header_examples),
        cmocka_unit_test(s3_presigned_example_and_its_life),
        cmocka_unit_test(presigned_claim_is_decoded),
        cmocka_unit_test(presigned_malformed),
        cmocka_unit_test(authorization_is_read_as_clients_write_it),
        cmocka_unit_test(authorization_malformed),
        cmocka_unit_test(two_authorizations_are_refused),
        cmocka_unit_test(long_texts_are_cut_in_messages),
        cmocka_unit_test(key_id_may_hold_slashes_and_region_be_empty),
        cmocka_unit_test(date_header_stands_in_for_x_amz_date),
        cmocka_unit_test(skew_window_has_both_ends),
        cmocka_unit_test(scope_must_fit),
        cmocka_unit_test(what_changes_meaning_must_be_signed),
        cmocka_unit_test(payload_hash_must_be_the_bodys),
        cmocka_unit_test(host_may_be_signed_without_its_port),
        cmocka_unit_test(query_may_be_signed_as_sent),
        cmocka_unit_test(each_change_of_the_signature_is_seen),
        cmocka_unit_test(too_large_a_request_is_refused),
        cmocka_unit_test(cached_key_goes_with_its_secret),
        cmocka_unit_test(full_cache_gives_the_same_signatures),
        cmocka_unit_test(long_key_text_is_signed_without_the_cache),
        cmocka_unit_test(signing_adds_date_and_token_and_leaves_authorization_out),
        cmocka_unit_test(signing_keeps_its_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
