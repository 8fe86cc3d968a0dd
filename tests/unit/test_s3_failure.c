/*
 * The table of failures, row by row against a scripted server: what the trail is told, what is mended at once, and that
 * nothing is said which should not be.
 */
#include "tests/support/s3_rig.h"

#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <sys/socket.h>

#include "tests/support/scratch.h"
#include "tests/support/tls_script.h"

#include "waymark/banned.h"

/* ---- failures that a server cannot make: libc's functions, for libcurl too, in the test's own thread ---- */

static pthread_t test_thread;
static atomic_int connect_errno, send_errno;

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
    if (node && strstr(node, ".nowhere"))
        return EAI_NONAME;
    int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    *(void **)&next = dlsym(RTLD_NEXT, "getaddrinfo");
    return next(node, service, hints, out);
}

int connect(int fd, const struct sockaddr *address, socklen_t len)
{
    if (atomic_load(&connect_errno) && pthread_equal(pthread_self(), test_thread)) {
        errno = atomic_load(&connect_errno);
        return -1;
    }
    int (*next)(int, const struct sockaddr *, socklen_t);
    *(void **)&next = dlsym(RTLD_NEXT, "connect");
    return next(fd, address, len);
}

ssize_t send(int fd, const void *data, size_t len, int flags)
{
    if (atomic_load(&send_errno) && pthread_equal(pthread_self(), test_thread)) {
        errno = atomic_load(&send_errno);
        return -1;
    }
    ssize_t (*next)(int, const void *, size_t, int);
    *(void **)&next = dlsym(RTLD_NEXT, "send");
    return next(fd, data, len, flags);
}

/* ---- the rows ---- */

static void assert_told(const struct wm_s3_failure *f, const char *code, enum wm_status status,
                        const struct wm_err *err)
{
    if (status != f->status || err->status != f->status || strcmp(err->code, code) != 0 ||
        err->retryable != wm_s3_failure_transient(f) || !strstr(err->message, f->advice))
        fail_msg("%s (%ld): %s, code %s, retryable %d: %s", code, f->http_status, wm_status_name(status), err->code,
                 err->retryable, err->message);
    assert_null(strstr(err->message, SECRET));
    assert_null(strstr(err->message, "Signature="));
}

/* A row that an answer makes: with its name in a document, or with its status alone. */
static void row_of_answer(const struct wm_s3_failure *f)
{
    char answer[512], code[64];
    struct rig r;
    struct wm_err err;
    const char *document = f->code ? f->code : f->http_status == 200 ? "Odd" : NULL;
    if (document)
        (void)snprintf(answer, sizeof answer,
                       "HTTP/1.1 %ld Oops\r\nConnection: close\r\n\r\n<?xml version=\"1.0\"?>\n<Error><Code>%s</Code>"
                       "<Message>It is so.</Message></Error>", f->http_status, document);
    else
        (void)snprintf(answer, sizeof answer, "HTTP/1.1 %ld Oops\r\nConnection: close\r\n\r\n", f->http_status);
    if (document)
        (void)snprintf(code, sizeof code, "%s", document);
    else
        (void)snprintf(code, sizeof code, "Http%ld", f->http_status);
    if (f->action == WM_S3_COMPARE) {
        rig_start(&r, STEPS({HTTP_CUT, answer}, {HTTP_ANSWER, "HTTP/1.1 200 OK\r\nX-Amz-Meta-Signature: abcd\r\n"
                                                              "Content-Length: 4\r\n\r\nbody"}));
        assert_int_equal(put(&r, &err), WM_OK);
        assert_int_equal(r.script.n_seen, 2);
    } else {
        rig_start(&r, STEPS({HTTP_CUT, answer}, {HTTP_CUT, answer}));
        assert_told(f, code, put(&r, &err), &err);
        assert_int_equal(err.http_status, f->http_status);
        if (document)
            assert_non_null(strstr(err.message, "It is so."));
        /* Repeating is the trail's; what the store can mend it tries once. */
        if (r.script.n_seen != (f->action == WM_S3_ADD_MD5 ? 2 : 1))
            fail_msg("%s: %zu requests", code, r.script.n_seen);
    }
    rig_stop(&r);
}

/* A port on which nobody listens. */
static unsigned short closed_port(void)
{
    struct http_script s;
    http_script_start(&s, NULL, 0);
    http_script_stop(&s);
    return s.port;
}

static void row_without_answer(const struct wm_s3_failure *f)
{
    static char url[64];
    struct http_step step = {HTTP_SWALLOW, NULL};
    struct wm_store_s3_options o = RIG_OPTIONS(.request_timeout_ms = 300);
    struct scratch s;
    struct tls_identity mine = {0};
    struct tls_script tls;
    bool is_tls = false;
    scratch_make(&s);
    if (strcmp(f->code, "NameNotResolved") == 0) {
        o.endpoint = WM_LIT("http://s3.nowhere");
    } else if (strcmp(f->code, "ConnectionRefused") == 0) {
        (void)snprintf(url, sizeof url, "http://127.0.0.1:%u", closed_port());
        o.endpoint = wm_view_of(url);
    } else if (strcmp(f->code, "ConnectionReset") == 0) {
        step.kind = HTTP_RESET;
    } else if (strcmp(f->code, "BrokenPipe") == 0) {
        atomic_store(&send_errno, EPIPE);
    } else if (strcmp(f->code, "ConnectionFailed") == 0) {
        atomic_store(&send_errno, EIO);
    } else if (strcmp(f->code, "NetworkUnreachable") == 0) {
        atomic_store(&connect_errno, ENETUNREACH);
    } else if (strcmp(f->code, "ConnectionClosed") == 0) {
        step = (struct http_step){HTTP_CUT, "HTTP/1.1 500 Oops\r\nContent-Length: 10\r\n\r\nabc"};
    } else if (strcmp(f->code, "Timeout") == 0) {
        step.kind = HTTP_HANG;
    } else if (strcmp(f->code, "CertificateRefused") == 0) {
        is_tls = true;
        mine = tls_identity_make("nobody", "IP:127.0.0.1", NULL, 1);
        tls_script_start(&tls, &mine);
        (void)snprintf(url, sizeof url, "https://127.0.0.1:%u", tls.port);
        o.endpoint = wm_view_of(url);
        o.request_timeout_ms = 5000;
    } else if (strcmp(f->code, "TlsFailed") == 0) {
        o.endpoint = WM_LIT("https://127.0.0.1:1");
        o.proxy = WM_LIT("http://127.0.0.1:1"); /* set below: whoever answers CONNECT, it is not asked for TLS */
        o.ca_file = WM_LIT("/nonexistent.pem");
        step = (struct http_step){HTTP_ANSWER, "HTTP/1.1 200 Connected\r\n\r\n"};
    } else if (strcmp(f->code, "ProxyFailed") == 0) {
        o.endpoint = WM_LIT("https://s3.nowhere");
        o.proxy = WM_LIT("http://127.0.0.1:1");
        step = (struct http_step){HTTP_ANSWER, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"};
    } else if (strcmp(f->code, "NotHttp") == 0) {
        step = (struct http_step){HTTP_CUT, "SSH-2.0-OpenSSH_9.2p1\r\n"};
    } else if (strcmp(f->code, "CredentialsNotFound") == 0) {
        o.credentials = (struct wm_store_credentials){.file = wm_view_of(scratch_path(&s, "none"))};
    } else {
        fail_msg("%s: no test makes it", f->code);
    }
    struct rig r;
    struct wm_err err;
    if (o.proxy.len)
        rig_start_through(&r, o, &step, 1);
    else
        rig_start_with(&r, o, &step, 1);
    enum wm_status status = put(&r, &err);
    atomic_store(&send_errno, 0);
    atomic_store(&connect_errno, 0);
    assert_told(f, f->code, status, &err);
    assert_int_equal(err.http_status, 0);
    rig_stop(&r);
    if (is_tls) {
        tls_script_stop(&tls);
        assert_int_equal(tls.answered, 0);
        tls_identity_done(&mine);
    }
    scratch_remove(&s);
}

static void every_row_is_told_as_it_stands(void **state)
{
    (void)state;
    size_t n;
    const struct wm_s3_failure *rows = wm_s3_failure_rows(&n);
    test_thread = pthread_self();
    for (size_t i = 0; i < n; i++) {
        assert_true(rows[i].advice[0] != '\0');
        assert_true(rows[i].code || rows[i].http_status);
        for (size_t k = 0; k < i; k++) /* the first of two rows would hide the second */
            assert_false(rows[i].code ? rows[k].code && strcmp(rows[i].code, rows[k].code) == 0
                                      : !rows[k].code && rows[i].http_status == rows[k].http_status);
        if (rows[i].http_status)
            row_of_answer(&rows[i]);
        else
            row_without_answer(&rows[i]);
    }
}

/* What the rows must say, for the ones that matter most, and for those that no row names. */
static void rows_mean_what_they_should(void **state)
{
    (void)state;
    static const struct {
        const char *code;
        long http_status;
        enum wm_s3_class class;
        enum wm_s3_action action;
        enum wm_status status;
    } cases[] = {
        {"NameNotResolved", 0, WM_S3_NETWORK, WM_S3_WAIT, WM_E_UNAVAILABLE},
        {"ConnectionRefused", 0, WM_S3_NETWORK, WM_S3_WAIT, WM_E_UNAVAILABLE},
        {"BrokenPipe", 0, WM_S3_NETWORK, WM_S3_WAIT, WM_E_UNAVAILABLE},
        {"Timeout", 0, WM_S3_NETWORK, WM_S3_WAIT, WM_E_UNAVAILABLE},
        {"CertificateRefused", 0, WM_S3_SETTING, WM_S3_WAIT, WM_E_UNAVAILABLE},
        {"SlowDown", 503, WM_S3_SERVICE, WM_S3_WAIT, WM_E_UNAVAILABLE},
        {"InternalError", 500, WM_S3_SERVICE, WM_S3_WAIT, WM_E_UNAVAILABLE},
        {"InternalError", 200, WM_S3_SERVICE, WM_S3_WAIT, WM_E_UNAVAILABLE},
        {"Odd", 200, WM_S3_SERVICE, WM_S3_WAIT, WM_E_UNAVAILABLE},
        {"Odd", 403, WM_S3_ACCESS, WM_S3_READ_AGAIN, WM_E_DENIED},
        {"Odd", 418, WM_S3_SETTING, WM_S3_WAIT, WM_E_INVALID},
        {"", 502, WM_S3_SERVICE, WM_S3_WAIT, WM_E_UNAVAILABLE},
        {"", 504, WM_S3_SERVICE, WM_S3_WAIT, WM_E_UNAVAILABLE},
        {"", 303, WM_S3_SETTING, WM_S3_MOVE, WM_E_INVALID},
        {"AccessDenied", 403, WM_S3_ACCESS, WM_S3_READ_AGAIN, WM_E_DENIED},
        {"ExpiredToken", 400, WM_S3_ACCESS, WM_S3_RENEW, WM_E_DENIED},
        {"InvalidAccessKeyId", 403, WM_S3_ACCESS, WM_S3_RENEW, WM_E_DENIED},
        {"RequestTimeTooSkewed", 403, WM_S3_ACCESS, WM_S3_SET_CLOCK, WM_E_UNAVAILABLE},
        {"NoSuchBucket", 404, WM_S3_SETTING, WM_S3_WAIT, WM_E_NOT_FOUND},
        {"ConditionalRequestConflict", 409, WM_S3_SERVICE, WM_S3_WAIT, WM_E_UNAVAILABLE},
        {"PreconditionFailed", 412, WM_S3_ANSWER, WM_S3_COMPARE, WM_E_EXISTS},
        {"NotImplemented", 501, WM_S3_SETTING, WM_S3_LOOK_FIRST, WM_E_UNSUPPORTED},
        {"PermanentRedirect", 301, WM_S3_SETTING, WM_S3_MOVE, WM_E_INVALID},
        {"AuthorizationHeaderMalformed", 400, WM_S3_SETTING, WM_S3_MOVE, WM_E_INVALID},
        {"EntityTooLarge", 400, WM_S3_SETTING, WM_S3_WAIT, WM_E_LIMIT},
        {"QuotaExceeded", 403, WM_S3_SPACE, WM_S3_WAIT, WM_E_FULL},
        {"", 507, WM_S3_SPACE, WM_S3_WAIT, WM_E_FULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct wm_s3_failure *f = wm_s3_failure_find(cases[i].code, cases[i].http_status);
        if (f->class != cases[i].class || f->action != cases[i].action || f->status != cases[i].status)
            fail_msg("%s %ld: class %d, action %d, %s", cases[i].code, cases[i].http_status, f->class, f->action,
                     wm_status_name(f->status));
    }
}

static void odd_answers_are_judged_by_their_status(void **state)
{
    (void)state;
    static const struct {
        const char *answer, *code;
        enum wm_status status;
    } cases[] = {
        {"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 18\r\n\r\n<html>oops</htm l>", "Http502", WM_E_UNAVAILABLE},
        {"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\n{}", "Http403", WM_E_DENIED},
        /* a document with a document type is no S3 error */
        {"HTTP/1.1 500 Oops\r\nConnection: close\r\n\r\n<!DOCTYPE x [<!ENTITY a \"SlowDown\">]>"
         "<Error><Code>&a;</Code></Error>", "Http500", WM_E_UNAVAILABLE},
        {S3_ERROR("200 OK", "", "", ""), "Http200", WM_E_UNAVAILABLE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rig r;
        struct wm_err err;
        rig_start(&r, STEPS({strstr(cases[i].answer, "Connection: close") ? HTTP_CUT : HTTP_ANSWER, cases[i].answer}));
        enum wm_status status = put(&r, &err);
        if (status != cases[i].status || strcmp(err.code, cases[i].code) != 0)
            fail_msg("case %zu: %s, code %s: %s", i, wm_status_name(status), err.code, err.message);
        rig_stop(&r);
    }
}

static void retry_after_is_passed_on(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        int64_t ms;
    } cases[] = {
        {S3_ERROR("503 Slow Down", "Retry-After: 7\r\n", "SlowDown", "x"), 7000},
        {S3_ERROR("503 Slow Down", "Retry-After: Sun, 01 Mar 2026 10:07:42 GMT\r\n", "SlowDown", "x"), 30000},
        {S3_ERROR("503 Slow Down", "Retry-After: Sun, 01 Mar 2026 09:00:00 GMT\r\n", "SlowDown", "x"), 0},
        {S3_ERROR("503 Slow Down", "Retry-After: 99999999999999999999999\r\n", "SlowDown", "x"), 0},
        {S3_ERROR("503 Slow Down", "Retry-After: soon\r\n", "SlowDown", "x"), 0},
        {S3_ERROR("503 Slow Down", "Retry-After: 999999999\r\n", "SlowDown", "x"), 3600000},
        {S3_ERROR("403 Forbidden", "Retry-After: 2\r\n", "AccessDenied", "x"), 2000},
        {"HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nRetry-After: 1\r\n\r\n", 1000},
        {S3_ERROR("500 Oops", "", "InternalError", "x"), 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rig r;
        struct wm_err err;
        rig_start(&r, STEPS({HTTP_CUT, cases[i].answer}, {HTTP_ANSWER, OK_EMPTY}));
        assert_int_not_equal(put(&r, &err), WM_OK);
        if (wm_store_retry_after_ms(r.store) != cases[i].ms)
            fail_msg("case %zu: %lld", i, (long long)wm_store_retry_after_ms(r.store));
        assert_int_equal(put(&r, &err), WM_OK);
        assert_int_equal(wm_store_retry_after_ms(r.store), 0);
        rig_stop(&r);
    }
}

static void a_broken_network_is_survived(void **state)
{
    (void)state;
    struct rig r;
    struct wm_err err;
    rig_start_with(&r, RIG_OPTIONS(.request_timeout_ms = 300),
                   STEPS({HTTP_SWALLOW, NULL}, {HTTP_CUT, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"},
                         {HTTP_HANG, NULL}, {HTTP_CUT, OK_EMPTY}, {HTTP_ANSWER, OK_EMPTY}));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(put(&r, &err), WM_E_UNAVAILABLE);
        assert_true(err.retryable);
    }
    assert_int_equal(put(&r, &err), WM_OK);
    assert_int_equal(put(&r, &err), WM_OK); /* the kept connection was dead: libcurl takes a new one */
    rig_stop(&r);
}

/* ---- the clock ---- */

#define SKEWED(date) S3_ERROR("403 Forbidden", "Date: " date "\r\n", "RequestTimeTooSkewed", "x")

static void the_clock_is_corrected(void **state)
{
    (void)state;
    struct rig r;
    struct wm_err err;
    rig_start(&r, STEPS({HTTP_CUT, SKEWED("Sun, 01 Mar 2026 12:00:00 GMT")}, {HTTP_ANSWER, OK_EMPTY},
                        {HTTP_ANSWER, OK_EMPTY}, {HTTP_CUT, SKEWED("Sun, 01 Mar 2026 12:00:00 GMT")},
                        {HTTP_CUT, SKEWED("Sun, 01 Mar 2026 12:00:00 GMT")}, {HTTP_ANSWER, OK_EMPTY},
                        {HTTP_CUT, "HTTP/1.1 403 Forbidden\r\nDate: Sun, 01 Mar 2026 14:00:00 GMT\r\n\r\n"},
                        {HTTP_ANSWER, OK_EMPTY},
                        {HTTP_CUT, S3_ERROR("403 Forbidden", "", "RequestTimeTooSkewed", "")}));
    assert_int_equal(put(&r, &err), WM_OK);
    assert_string_equal(http_header(r.script.seen[0].head, "x-amz-date"), "20260301T100712Z");
    assert_string_equal(http_header(r.script.seen[1].head, "x-amz-date"), "20260301T120000Z");
    assert_string_equal(r.script.seen[1].body, "body"); /* the same, signed anew */
    assert_int_equal(put(&r, &err), WM_OK);             /* remembered */
    assert_string_equal(http_header(r.script.seen[2].head, "x-amz-date"), "20260301T120000Z");
    assert_int_equal(put(&r, &err), WM_E_UNAVAILABLE);  /* nothing new learnt: no second attempt */
    assert_int_equal(r.script.n_seen, 4);
    /* our clock is set right: what was learnt is wrong now, and noticed */
    assert_int_equal(wm_time_parse(WM_LIT("2026-03-01T12:00:01Z"), &r.now), WM_OK);
    assert_int_equal(put(&r, &err), WM_OK);
    assert_string_equal(http_header(r.script.seen[4].head, "x-amz-date"), "20260301T135249Z");
    assert_string_equal(http_header(r.script.seen[5].head, "x-amz-date"), "20260301T120000Z");
    /* no document that says so, as of a HEAD */
    assert_int_equal(put(&r, &err), WM_OK);
    assert_string_equal(http_header(r.script.seen[7].head, "x-amz-date"), "20260301T140000Z");
    assert_int_equal(put(&r, &err), WM_E_UNAVAILABLE); /* no Date to go by */
    assert_int_equal(r.script.n_seen, 9);
    rig_stop(&r);
}

/* The days are counted from the store's time: by our own clock they may be over already. */
static void object_lock_goes_by_the_corrected_clock(void **state)
{
    (void)state;
    struct rig r;
    struct wm_err err;
    struct wm_store_s3_options o = RIG_OPTIONS(.object_lock = WM_LIT("GOVERNANCE"), .object_lock_days = 1);
    rig_start_with(&r, o, STEPS({HTTP_CUT, SKEWED("Thu, 05 Mar 2026 12:00:00 GMT")}, {HTTP_ANSWER, OK_EMPTY}));
    assert_int_equal(put(&r, &err), WM_OK);
    assert_string_equal(http_header(r.script.seen[0].head, "x-amz-object-lock-retain-until-date"), "2026-03-02T10:07:12Z");
    assert_string_equal(http_header(r.script.seen[1].head, "x-amz-object-lock-retain-until-date"), "2026-03-06T12:00:00Z");
    rig_stop(&r);
}

/* ---- the region ---- */

#define REGION_DOCUMENT(status, code, region)                                                                        \
    "HTTP/1.1 " status "\r\nConnection: close\r\nLocation: http://127.0.0.1:1/\r\n\r\n<Error><Code>" code "</Code>"      \
    "<Region>" region "</Region></Error>"
#define REGION_HEADER(status, region) \
    "HTTP/1.1 " status "\r\nConnection: close\r\nLocation: http://127.0.0.1:1/\r\nx-amz-bucket-region: " region       \
    "\r\n\r\n"

static void the_region_is_followed(void **state)
{
    (void)state;
    static const char *const answers[] = {
        REGION_HEADER("301 Moved Permanently", "us-west-2"),
        REGION_HEADER("307 Temporary Redirect", "us-west-2"),
        REGION_HEADER("400 Bad Request", "us-west-2"),
        REGION_HEADER("403 Forbidden", "us-west-2"),
        REGION_DOCUMENT("400 Bad Request", "AuthorizationHeaderMalformed", "us-west-2"),
        REGION_DOCUMENT("301 Moved Permanently", "PermanentRedirect", "us-west-2"),
    };
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        struct rig r;
        struct wm_err err;
        rig_start(&r, STEPS({HTTP_CUT, answers[i]}, {HTTP_ANSWER, OK_EMPTY}, {HTTP_ANSWER, OK_EMPTY},
                            {HTTP_CUT, answers[i]}));
        assert_int_equal(put(&r, &err), WM_OK);
        assert_int_equal(put(&r, &err), WM_OK); /* remembered */
        assert_int_not_equal(put(&r, &err), WM_OK);
        assert_int_equal(r.script.n_seen, 4); /* it is there: what else is wrong, nobody knows */
        assert_signed(&r, 0, SECRET);
        for (size_t k = 1; k < 4; k++)
            assert_signed_for(&r.script, k, SECRET, "us-west-2", "s3", r.now);
        assert_string_equal(r.script.seen[1].body, "body");
        rig_stop(&r);
    }
}

static void a_region_that_is_none_is_not_followed(void **state)
{
    (void)state;
    static const char *const answers[] = {
        REGION_HEADER("301 Moved Permanently", "a/../b"),
        REGION_HEADER("301 Moved Permanently", "evil.example.net"),
        REGION_HEADER("301 Moved Permanently", ""),
        REGION_HEADER("301 Moved Permanently", "eu-central-1"),
        REGION_HEADER("503 Slow Down", "us-west-2"), /* not what is wrong */
    };
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        struct rig r;
        struct wm_err err;
        rig_start(&r, STEPS({HTTP_CUT, answers[i]}, {HTTP_ANSWER, OK_EMPTY}));
        assert_int_not_equal(put(&r, &err), WM_OK);
        assert_int_equal(r.script.n_seen, 1);
        rig_stop(&r);
    }
}

/* AWS's hosts carry the region in their name; other hosts stay. */
static void the_host_moves_with_the_region_at_aws_only(void **state)
{
    (void)state;
    static const struct {
        const char *endpoint;
        bool virtual_host;
        const char *first, *second;
    } cases[] = {
        {"http://s3.eu-central-1.amazonaws.com", false, "s3.eu-central-1.amazonaws.com", "s3.us-west-2.amazonaws.com"},
        {"http://s3.eu-central-1.amazonaws.com", true, "evidence.s3.eu-central-1.amazonaws.com",
         "evidence.s3.us-west-2.amazonaws.com"},
        {"http://s3.eu-central-1.example.net", false, "s3.eu-central-1.example.net", "s3.eu-central-1.example.net"},
        {"http://s3.eu-central-1.amazonaws.com.example.net", false, "s3.eu-central-1.amazonaws.com.example.net",
         "s3.eu-central-1.amazonaws.com.example.net"},
        {"http://s3.amazonaws.com", false, "s3.amazonaws.com", "s3.amazonaws.com"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rig r;
        struct wm_err err;
        rig_start_through(&r, RIG_OPTIONS(.endpoint = wm_view_of(cases[i].endpoint),
                                          .virtual_host = cases[i].virtual_host),
                          STEPS({HTTP_CUT, REGION_HEADER("301 Moved Permanently", "us-west-2")},
                                {HTTP_ANSWER, OK_EMPTY}));
        assert_int_equal(put(&r, &err), WM_OK);
        assert_string_equal(http_header(r.script.seen[0].head, "host"), cases[i].first);
        assert_string_equal(http_header(r.script.seen[1].head, "host"), cases[i].second);
        assert_signed_for(&r.script, 1, SECRET, "us-west-2", "s3", r.now);
        rig_stop(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_told_as_it_stands),
        cmocka_unit_test(rows_mean_what_they_should),
        cmocka_unit_test(odd_answers_are_judged_by_their_status),
        cmocka_unit_test(retry_after_is_passed_on),
        cmocka_unit_test(a_broken_network_is_survived),
        cmocka_unit_test(the_clock_is_corrected),
        cmocka_unit_test(object_lock_goes_by_the_corrected_clock),
        cmocka_unit_test(the_region_is_followed),
        cmocka_unit_test(a_region_that_is_none_is_not_followed),
        cmocka_unit_test(the_host_moves_with_the_region_at_aws_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
