/*
 * SigV4 as a filter, for tests/integration/sigv4_random.py. Each line of stdin is one question, its fields separated by
 * tabs and each in base64 (so that no byte is out of the question):
 *
 *     verify  FORM NOW METHOD PATH QUERY BODY SECRET REGION SERVICE [NAME VALUE]…
 *     sign    FORM NOW METHOD PATH QUERY BODY SECRET REGION SERVICE KEYID TOKEN [NAME VALUE]…
 *
 * FORM is "s3" or "other", NOW is in seconds since 1970. The answer is one line: for verify the result's name, the
 * claimed key id and the message, for sign the Authorization and X-Amz-Date headers, separated by tabs.
 *
 * With the argument "bench" it measures instead: ns per verification, over the bare hashing that it needs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "waymark/sigv4.h"

#include "waymark/banned.h"

#define MAX_FIELDS 200

static const char *const result_names[] = {
    [WM_SIGV4_OK] = "OK",
    [WM_SIGV4_MISSING] = "MISSING",
    [WM_SIGV4_INCOMPLETE] = "INCOMPLETE",
    [WM_SIGV4_EXPIRED] = "EXPIRED",
    [WM_SIGV4_NOT_YET] = "NOT_YET",
    [WM_SIGV4_WRONG_SCOPE] = "WRONG_SCOPE",
    [WM_SIGV4_PAYLOAD_MISMATCH] = "PAYLOAD_MISMATCH",
    [WM_SIGV4_MISMATCH] = "MISMATCH",
    [WM_SIGV4_UNKNOWN_KEY] = "UNKNOWN_KEY",
};

static _Noreturn void die(const char *why)
{
    fprintf(stderr, "sigv4_check: %s\n", why);
    exit(2);
}

struct question {
    struct wm_sigv4_request r;
    struct wm_sigv4_header headers[MAX_FIELDS / 2];
    char hash[WM_SHA256_HEX_BYTES];
    struct wm_view secret, region, service, key_id, token;
    struct wm_wall_ns now;
};

static void read_question(const struct wm_view *f, size_t n, bool sign, struct question *q)
{
    size_t at = sign ? 12 : 10;
    uint64_t now;
    if (n < at || (n - at) % 2 != 0)
        die("a question has too few fields");
    if (wm_view_to_u64(f[2], INT64_MAX / WM_NS_PER_S, &now) != WM_OK)
        die("NOW is not a number");
    uint8_t sha[WM_SHA256_BYTES];
    wm_sha256(f[6].ptr, f[6].len, sha);
    wm_hex(sha, sizeof sha, q->hash);
    q->r = (struct wm_sigv4_request){
        .method = f[3],
        .path = f[4],
        .query = f[5],
        .headers = q->headers,
        .path_form = wm_view_eq_str(f[1], "s3") ? WM_SIGV4_PATH_AS_SENT : WM_SIGV4_PATH_NORMALIZED,
        .payload_hash = {q->hash, sizeof q->hash},
    };
    q->secret = f[7];
    q->region = f[8];
    q->service = f[9];
    q->key_id = sign ? f[10] : WM_EMPTY;
    q->token = sign ? f[11] : WM_EMPTY;
    q->now = wm_wall_from_seconds((int64_t)now);
    for (; at < n; at += 2)
        q->headers[q->r.n_headers++] = (struct wm_sigv4_header){f[at], f[at + 1]};
}

static void answer_verify(struct wm_sigv4_cache *cache, const struct question *q)
{
    struct wm_sigv4_claim claim;
    char message[256] = "";
    enum wm_sigv4_result result = wm_sigv4_parse(&q->r, &claim, message);
    if (result == WM_SIGV4_OK)
        result = wm_sigv4_verify(cache, &q->r, &claim, q->secret, q->region, q->service, q->now, message);
    printf("%s\t%.*s\t%s\n", result_names[result], WM_ARG(claim.access_key_id), message);
}

static void answer_sign(struct wm_sigv4_cache *cache, const struct question *q)
{
    const struct wm_sigv4_credentials credentials = {q->key_id, q->secret, q->token, q->region, q->service};
    struct wm_sigv4_signature signature;
    struct wm_sigv4_request r = q->r;
    for (size_t i = 0; i < r.n_headers; i++) /* S3 may be told not to look at the body */
        if (wm_view_ieq_str(r.headers[i].name, "x-amz-content-sha256"))
            r.payload_hash = r.headers[i].value;
    enum wm_status status = wm_sigv4_sign(cache, &r, &credentials, q->now, &signature);
    if (status != WM_OK)
        printf("%s\t\n", wm_status_name(status));
    else
        printf("%s\t%s\n", signature.authorization, signature.date);
}

static void answer_lines(void)
{
    struct wm_sigv4_cache *cache = wm_sigv4_cache_new();
    char *line = NULL;
    size_t line_cap = 0;
    ssize_t line_len;
    struct wm_buf store;
    if (!cache)
        die("no memory");
    wm_buf_init(&store, 1u << 20);
    while ((line_len = getline(&line, &line_cap, stdin)) > 0) {
        struct wm_view rest = {line, (size_t)line_len}, fields[MAX_FIELDS];
        size_t n = 0;
        if (rest.ptr[rest.len - 1] == '\n')
            rest.len--;
        wm_buf_clear(&store);
        if (!wm_buf_room(&store, rest.len)) /* decoded it is shorter: views into the buffer stay */
            die("a line is too long");
        while (rest.ptr) {
            if (n == MAX_FIELDS)
                die("a question has too many fields");
            size_t from = store.len;
            if (wm_base64_decode(wm_view_split(&rest, '\t'), &store) != WM_OK)
                die("a field is not base64");
            fields[n++] = (struct wm_view){store.data + from, store.len - from};
        }
        struct question q;
        bool sign = wm_view_eq_str(fields[0], "sign");
        read_question(fields, n, sign, &q);
        if (sign)
            answer_sign(cache, &q);
        else
            answer_verify(cache, &q);
    }
    free(line);
    wm_buf_done(&store);
    wm_sigv4_cache_free(cache);
}

/* ---- bench ---- */

static double thread_ns(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts); /* exists on every Linux */
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static int double_cmp(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static double median(double *v, size_t n)
{
    qsort(v, n, sizeof *v, double_cmp);
    return v[n / 2];
}

struct bench {
    const char *name;
    struct wm_sigv4_header headers[16];
    size_t n_headers;
};

#define H(name, value) {WM_LIT(name), WM_LIT(value)}

static const struct bench benches[] = {
    {"boto3: 4 of 9 headers signed",
     {H("Host", "127.0.0.1:8080"), H("Accept-Encoding", "identity"), H("Content-Type", "application/json"),
      H("User-Agent", "Boto3/1.43.11 md/Botocore#1.43.11 ua/2.1 os/linux#6.1 md/arch#x86_64 lang/python#3.11.7"),
      H("amz-sdk-invocation-id", "0f6bd6bb-11e1-4a0c-bd0e-3a2d9e1d4b3a"), H("amz-sdk-request", "attempt=1"),
      H("Content-Length", "230")},
     7},
    {"JS SDK v3: 9 of 12 headers signed",
     {H("host", "127.0.0.1:8080"), H("content-type", "application/json"), H("content-length", "230"),
      H("x-amz-user-agent", "aws-sdk-js/3.1137.0"), H("amz-sdk-invocation-id", "0f6bd6bb-11e1-4a0c-bd0e-3a2d9e1d4b3a"),
      H("amz-sdk-request", "attempt=1; max=3"),
      H("x-amz-content-sha256", "b56b7387aee47134493fd77aa3fcc20e67739c4e1c859dd2ae08d47972fbe63e"), /* of 230 times 'b' */
      H("accept", "*/*"),
      H("user-agent", "aws-sdk-js/3.1137.0 ua/2.1 os/linux#6.1 lang/js md/nodejs#20.0.0 api/mediapackage#3.1137.0")},
     9},
};

static bool bench_signs(size_t which, struct wm_view name)
{
    static const char *const unsigned_names[] = {"accept-encoding", "user-agent", "accept", "content-length"};
    for (size_t i = 0; i < 4 - which; i++) /* the JS SDK signs content-length */
        if (wm_view_ieq_str(name, unsigned_names[i]))
            return false;
    return which == 1 || !wm_view_starts(name, "amz-sdk");
}

static void hash_body(const char *body, size_t len, char out[WM_SHA256_HEX_BYTES])
{
    uint8_t sha[WM_SHA256_BYTES];
    wm_sha256(body, len, sha);
    wm_hex(sha, sizeof sha, out);
}

/* Everything that a signature makes a server do: hash the body, parse, verify. Against the hashing alone, of the same
 * bytes with a key as well kept. */
static void bench_one(size_t which)
{
    enum { ROUNDS = 41, TIMES = 4000 };
    const struct bench *b = &benches[which];
    struct wm_sigv4_cache *cache = wm_sigv4_cache_new();
    const struct wm_sigv4_credentials credentials = {WM_LIT("AKIAEXAMPLEEXAMPLE01"),
                                                     WM_LIT("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"), WM_EMPTY,
                                                     WM_LIT("us-east-1"), WM_LIT("mediapackage")};
    const struct wm_wall_ns now = wm_wall_from_seconds(1772359632);
    struct wm_sigv4_header headers[20];
    struct wm_sigv4_signature signature;
    char body[230], body_hash[WM_SHA256_HEX_BYTES];
    struct wm_sigv4_request r = {
        .method = WM_LIT("PUT"),
        .path = WM_LIT("/channels/channel-0042"),
        .headers = headers,
        .payload_hash = {body_hash, sizeof body_hash},
    };
    memset(body, 'b', sizeof body);
    hash_body(body, sizeof body, body_hash);
    if (!cache)
        die("no memory");
    for (size_t i = 0; i < b->n_headers; i++)
        if (bench_signs(which, b->headers[i].name))
            headers[r.n_headers++] = b->headers[i];
    if (wm_sigv4_sign(cache, &r, &credentials, now, &signature) != WM_OK)
        die("signing failed");
    for (size_t i = 0; i < b->n_headers; i++)
        if (!bench_signs(which, b->headers[i].name))
            headers[r.n_headers++] = b->headers[i];
    headers[r.n_headers++] = (struct wm_sigv4_header){WM_LIT("X-Amz-Date"), wm_view_of(signature.date)};
    headers[r.n_headers++] = (struct wm_sigv4_header){WM_LIT("Authorization"), wm_view_of(signature.authorization)};

    struct wm_sigv4_claim claim;
    char message[256] = "";
    if (wm_sigv4_parse(&r, &claim, message) != WM_SIGV4_OK)
        die(message);
    struct wm_buf canonical;
    wm_buf_init(&canonical, 1u << 16);
    if (wm_sigv4_canonical_request(&r, claim.signed_headers, false, &canonical) != WM_OK)
        die("no canonical request");

    struct wm_hmac_key *key = wm_hmac_key_new("0123456789abcdef0123456789abcdef", 32);
    char to_sign[137] = {0};
    uint8_t hash[WM_SHA256_BYTES];
    double whole[ROUNDS], verify[ROUNDS], bare[ROUNDS];
    for (size_t round = 0; round < ROUNDS; round++) {
        double t0 = thread_ns();
        for (size_t i = 0; i < TIMES; i++) {
            hash_body(body, sizeof body, body_hash);
            if (wm_sigv4_parse(&r, &claim, message) != WM_SIGV4_OK ||
                wm_sigv4_verify(cache, &r, &claim, credentials.secret, credentials.region, credentials.service, now,
                                message) != WM_SIGV4_OK)
                die(message);
        }
        double t1 = thread_ns();
        for (size_t i = 0; i < TIMES; i++)
            if (wm_sigv4_verify(cache, &r, &claim, credentials.secret, credentials.region, credentials.service, now,
                                message) != WM_SIGV4_OK)
                die(message);
        double t2 = thread_ns();
        for (size_t i = 0; i < TIMES; i++) {
            wm_sha256(body, sizeof body, hash);
            wm_sha256(canonical.data, canonical.len, hash);
            memcpy(to_sign, hash, sizeof hash);
            wm_hmac_key_sha256(key, to_sign, sizeof to_sign, hash);
        }
        double t3 = thread_ns();
        whole[round] = (t1 - t0) / TIMES;
        verify[round] = (t2 - t1) / TIMES;
        bare[round] = (t3 - t2) / TIMES;
    }
    double w = median(whole, ROUNDS), v = median(verify, ROUNDS), h = median(bare, ROUNDS);
    printf("%s, body of %zu bytes, canonical request of %zu: hash, parse and verify %.0f ns (verify %.0f), bare hashing "
           "%.0f ns: %.2fx (must 2, aim 1.4): %s\n", b->name, sizeof body, canonical.len, w, v, h, w / h,
           w / h <= 1.4 ? "aim met" : w / h <= 2 ? "met" : "MISSED");
    wm_hmac_key_free(key);
    wm_buf_done(&canonical);
    wm_sigv4_cache_free(cache);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "bench") == 0) {
        for (size_t i = 0; i < sizeof benches / sizeof *benches; i++)
            bench_one(i);
        return 0;
    }
    answer_lines();
    return fflush(stdout) == 0 ? 0 : 2;
}
