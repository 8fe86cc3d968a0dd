/*
 * The S3 store against a scripted server (what goes wrong), and against a real one when WAYMARK_TEST_S3=1 and
 * AWS_ENDPOINT_URL_S3, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and WAYMARK_BUCKET say where it is.
 */
#include "tests/support/s3_rig.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <sys/stat.h>
#include <time.h>

#include "tests/support/scratch.h"

#include "waymark/banned.h"

static void s3_put_sends_what_it_should(void **state)
{
    (void)state;
    struct rig r;
    struct wm_err err;
    static const char *const unset[] = {
        "x-amz-acl", "x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id",
        "x-amz-storage-class", "x-amz-tagging", "x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date",
        "content-md5",
    };
    rig_start(&r, STEPS({HTTP_ANSWER, OK_EMPTY}, {HTTP_ANSWER, OK_EMPTY}));
    assert_int_equal(put(&r, &err), WM_OK);
    assert_int_equal(put(&r, &err), WM_OK);
    assert_int_equal(r.script.n_seen, 2);
    const char *head = r.script.seen[0].head;
    assert_non_null(strstr(head, "PUT /evidence/AWSLogs/1/a%20b%2Bc.json.gz HTTP/1.1\r\n"));
    assert_string_equal(http_header(head, "if-none-match"), "*");
    assert_string_equal(http_header(head, "content-type"), "application/json");
    assert_string_equal(http_header(head, "content-encoding"), "gzip");
    /* SHA-256 of "body", once in hex and once in base64 */
    assert_string_equal(http_header(head, "x-amz-content-sha256"),
                        "230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5");
    assert_string_equal(http_header(head, "x-amz-checksum-sha256"), "Iw2DWNyOiJC0xY3utikS7i8gNXrpKlzIYbmOaP4xrLU=");
    for (size_t i = 0; i < sizeof unset / sizeof unset[0]; i++)
        assert_string_equal(http_header(head, unset[i]), "");
    assert_string_equal(http_header(head, "x-amz-meta-signature"), "abcd");
    assert_string_equal(http_header(head, "x-amz-date"), "20260301T100712Z");
    assert_string_equal(http_header(head, "content-length"), "4");
    assert_string_equal(http_header(head, "expect"), "");
    assert_string_equal(http_header(head, "transfer-encoding"), "");
    assert_string_equal(r.script.seen[0].body, "body");
    assert_int_equal(r.script.seen[1].connection, 1); /* kept alive */
    assert_signed(&r, 0, SECRET);
    assert_signed(&r, 1, SECRET);
    rig_stop(&r);
}

/* The time for a request grows with what there is to send: a thin line is no dead one. */
static void s3_put_takes_its_time_for_a_large_body(void **state)
{
    (void)state;
    struct rig r;
    struct wm_err err;
    struct wm_store_s3_options o = RIG_OPTIONS(.request_timeout_ms = 200);
    static char body[64 * 1024];
    rig_start_with(&r, o, STEPS({HTTP_LATE, OK_EMPTY}, {HTTP_LATE, OK_EMPTY}));
    assert_int_equal(wm_store_put(r.store, WM_LIT("k"), (struct wm_view){body, sizeof body}, WM_EMPTY, NULL, 0, &err),
                     WM_OK);
    assert_int_equal(put(&r, &err), WM_E_UNAVAILABLE); /* a small one has no reason to be late */
    rig_stop(&r);
}

#define FOUND(body, signature) \
    "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nX-Amz-Meta-Signature: " signature "\r\nContent-Length: 4\r\n\r\n" body
#define EXISTS S3_ERROR("412 Precondition Failed", "", "PreconditionFailed", "x")

static void s3_put_compares_what_is_there(void **state)
{
    (void)state;
    static const struct {
        struct http_step get;
        enum wm_status status;
    } cases[] = {
        {{HTTP_ANSWER, FOUND("body", "abcd")}, WM_OK},
        {{HTTP_ANSWER, FOUND("bodY", "abcd")}, WM_E_EXISTS},
        {{HTTP_ANSWER, FOUND("body", "abce")}, WM_E_EXISTS},
        {{HTTP_ANSWER, "HTTP/1.1 200 OK\r\nX-Amz-Meta-Signature: abcd\r\nContent-Length: 5\r\n\r\nbodyy"}, WM_E_EXISTS},
        {{HTTP_ANSWER, "HTTP/1.1 200 OK\r\nX-Amz-Meta-Signature: abcd\r\nContent-Length: 3\r\n\r\nbod"}, WM_E_EXISTS},
        {{HTTP_CUT, S3_ERROR("404 Not Found", "", "NoSuchKey", "x")}, WM_E_UNAVAILABLE},
        {{HTTP_CUT, S3_ERROR("503 Slow Down", "", "SlowDown", "x")}, WM_E_UNAVAILABLE},
        {{HTTP_CUT, S3_ERROR("403 Forbidden", "", "AccessDenied", "x")}, WM_E_DENIED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rig r;
        struct wm_err err;
        rig_start(&r, STEPS({HTTP_CUT, EXISTS}, {cases[i].get.kind, cases[i].get.text}));
        enum wm_status status = put(&r, &err);
        if (status != cases[i].status)
            fail_msg("case %zu: %s: %s", i, wm_status_name(status), err.message);
        assert_int_equal(r.script.n_seen, 2);
        assert_non_null(strstr(r.script.seen[1].head, "GET /evidence/AWSLogs/1/a%20b%2Bc.json.gz"));
        assert_signed(&r, 1, SECRET);
        rig_stop(&r);
    }
}

#define NOT_THERE "HTTP/1.1 404 Not Found\r\n\r\n"
#define FORBIDDEN "HTTP/1.1 403 Forbidden\r\n\r\n"
#define THERE "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
#define UNKNOWN_CONDITION S3_ERROR("501 Not Implemented", "", "NotImplemented", "A header you provided implies …")
#define BUSY S3_ERROR("503 Slow Down", "Retry-After: 9\r\n", "SlowDown", "x")

/* "HEAD PUT* GET": what the server was asked; * where the request had If-None-Match. */
static void asked(const struct http_script *script, char out[256])
{
    out[0] = '\0';
    for (size_t i = 0; i < script->n_seen; i++) {
        const char *head = script->seen[i].head;
        size_t n = strlen(out);
        (void)snprintf(out + n, 256 - n, "%s%.*s%s", i ? " " : "", (int)strcspn(head, " "), head,
                       http_header(head, "if-none-match")[0] ? "*" : "");
    }
}

/* A store is believed to hold to If-None-Match only once a 412 was seen. */
static void s3_put_finds_out_whether_the_condition_holds(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct http_step steps[7];
        enum wm_status puts[3]; /* WM_STATUS_COUNT: no further one */
        const char *asked;
        enum wm_s3_condition then;
    } cases[] = {
        {"it holds",
         {{HTTP_ANSWER, NOT_THERE}, {HTTP_ANSWER, OK_EMPTY}, {HTTP_CUT, EXISTS}, {HTTP_ANSWER, OK_EMPTY}},
         {WM_OK, WM_OK, WM_STATUS_COUNT}, "HEAD PUT* PUT* PUT*", WM_S3_CONDITION_HELD},
        {"it is ignored",
         {{HTTP_ANSWER, NOT_THERE}, {HTTP_ANSWER, OK_EMPTY}, {HTTP_ANSWER, OK_EMPTY}, {HTTP_ANSWER, NOT_THERE},
          {HTTP_ANSWER, OK_EMPTY}, {HTTP_ANSWER, THERE}, {HTTP_ANSWER, FOUND("them", "abcd")}},
         {WM_OK, WM_OK, WM_E_EXISTS}, "HEAD PUT* PUT* HEAD PUT HEAD GET", WM_S3_CONDITION_IGNORED},
        {"it is refused",
         {{HTTP_ANSWER, NOT_THERE}, {HTTP_CUT, UNKNOWN_CONDITION}, {HTTP_ANSWER, OK_EMPTY}, {HTTP_ANSWER, THERE},
          {HTTP_ANSWER, FOUND("body", "abcd")}, {HTTP_ANSWER, "HTTP/1.1 503 Slow Down\r\n\r\n"}},
         {WM_OK, WM_OK, WM_E_UNAVAILABLE}, "HEAD PUT* PUT HEAD GET HEAD", WM_S3_CONDITION_IGNORED},
        {"it is another header that is refused",
         {{HTTP_ANSWER, NOT_THERE}, {HTTP_CUT, UNKNOWN_CONDITION}, {HTTP_CUT, UNKNOWN_CONDITION}},
         {WM_E_UNSUPPORTED, WM_STATUS_COUNT}, "HEAD PUT* PUT", WM_S3_CONDITION_UNKNOWN},
        {"the login may only put",
         {{HTTP_ANSWER, FORBIDDEN}, {HTTP_ANSWER, OK_EMPTY}, {HTTP_CUT, EXISTS}, {HTTP_ANSWER, OK_EMPTY}},
         {WM_OK, WM_OK, WM_STATUS_COUNT}, "HEAD PUT* PUT* PUT*", WM_S3_CONDITION_HELD},
        {"it may only put, and the condition is ignored",
         {{HTTP_ANSWER, FORBIDDEN}, {HTTP_ANSWER, OK_EMPTY}, {HTTP_ANSWER, OK_EMPTY}, {HTTP_ANSWER, FORBIDDEN}},
         {WM_OK, WM_E_DENIED, WM_STATUS_COUNT}, "HEAD PUT* PUT* HEAD", WM_S3_CONDITION_IGNORED},
        {"it may only put, and the condition is refused",
         {{HTTP_ANSWER, FORBIDDEN}, {HTTP_CUT, UNKNOWN_CONDITION}},
         {WM_E_UNSUPPORTED, WM_STATUS_COUNT}, "HEAD PUT*", WM_S3_CONDITION_UNKNOWN},
        {"the probe tells nothing",
         {{HTTP_ANSWER, NOT_THERE}, {HTTP_ANSWER, OK_EMPTY}, {HTTP_CUT, BUSY}, {HTTP_ANSWER, NOT_THERE},
          {HTTP_ANSWER, OK_EMPTY}, {HTTP_CUT, EXISTS}},
         {WM_OK, WM_OK, WM_STATUS_COUNT}, "HEAD PUT* PUT* HEAD PUT* PUT*", WM_S3_CONDITION_HELD},
        {"another's object is there",
         {{HTTP_ANSWER, THERE}, {HTTP_ANSWER, FOUND("them", "abcd")}},
         {WM_E_EXISTS, WM_STATUS_COUNT}, "HEAD GET", WM_S3_CONDITION_UNKNOWN},
        {"the reply is lost and the condition not known",
         /* cut, so that the PUT is the first on its connection: on a kept one libcurl would send it again by itself */
         {{HTTP_CUT, "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n"}, {HTTP_SWALLOW, NULL},
          {HTTP_ANSWER, THERE}, {HTTP_ANSWER, FOUND("body", "abcd")}},
         {WM_E_UNAVAILABLE, WM_OK, WM_STATUS_COUNT}, "HEAD PUT* HEAD GET", WM_S3_CONDITION_UNKNOWN},
        {"an earlier daemon's object is there",
         {{HTTP_ANSWER, NOT_THERE}, {HTTP_CUT, EXISTS}, {HTTP_ANSWER, FOUND("body", "abcd")}, {HTTP_ANSWER, OK_EMPTY}},
         {WM_OK, WM_OK, WM_STATUS_COUNT}, "HEAD PUT* GET PUT*", WM_S3_CONDITION_HELD},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rig r;
        struct wm_err err;
        char got[256];
        rig_start(&r, cases[i].steps, 7);
        struct store_s3 *s3 = wm_store_s3_of(r.store);
        s3->core->locked.condition = WM_S3_CONDITION_UNKNOWN;
        for (size_t k = 0; k < 3 && cases[i].puts[k] != WM_STATUS_COUNT; k++) {
            enum wm_status status = put(&r, &err);
            if (status != cases[i].puts[k])
                fail_msg("%s: put %zu: %s: %s", cases[i].name, k, wm_status_name(status), err.message);
            assert_int_equal(wm_store_retry_after_ms(r.store), 0);
        }
        asked(&r.script, got);
        if (strcmp(got, cases[i].asked) != 0)
            fail_msg("%s: %s", cases[i].name, got);
        assert_int_equal(s3->core->locked.condition, cases[i].then);
        for (size_t k = 0; k < r.script.n_seen; k++) {
            assert_signed(&r, k, SECRET);
            if (r.script.seen[k].head[0] == 'P')
                assert_string_equal(r.script.seen[k].body, "body");
        }
        rig_stop(&r);
    }
}

static void s3_put_finds_its_object_after_a_lost_reply(void **state)
{
    (void)state;
    struct rig r;
    struct wm_err err;
    char got[256];
    rig_start(&r, STEPS({HTTP_SWALLOW, NULL}, {HTTP_CUT, EXISTS}, {HTTP_ANSWER, FOUND("body", "abcd")}));
    assert_int_equal(put(&r, &err), WM_E_UNAVAILABLE);
    assert_int_equal(put(&r, &err), WM_OK);
    asked(&r.script, got);
    assert_string_equal(got, "PUT* PUT* GET");
    assert_string_equal(r.script.seen[0].head + 4, r.script.seen[1].head + 4); /* key, headers, signature: the same */
    rig_stop(&r);
}

static void s3_put_sends_what_the_settings_say(void **state)
{
    (void)state;
    struct rig r;
    struct wm_err err;
    struct wm_store_s3_options o = RIG_OPTIONS(
        .acl = WM_LIT("bucket-owner-full-control"), .encryption = WM_LIT("aws:kms"),
        .kms_key_id = WM_LIT("arn:aws:kms:eu-central-1:1:key/a"), .storage_class = WM_LIT("STANDARD_IA"),
        .tags = WM_LIT("team=audit, kept = 7 years+"), .object_lock = WM_LIT("COMPLIANCE"), .object_lock_days = 400);
    rig_start_with(&r, o, STEPS({HTTP_ANSWER, OK_EMPTY}, {HTTP_CUT, EXISTS}, {HTTP_ANSWER, FOUND("body", "abcd")}));
    assert_int_equal(put(&r, &err), WM_OK);
    assert_int_equal(put(&r, &err), WM_OK);
    static const struct {
        const char *name, *value;
    } expected[] = {
        {"x-amz-acl", "bucket-owner-full-control"},
        {"x-amz-server-side-encryption", "aws:kms"},
        {"x-amz-server-side-encryption-aws-kms-key-id", "arn:aws:kms:eu-central-1:1:key/a"},
        {"x-amz-storage-class", "STANDARD_IA"},
        {"x-amz-tagging", "team=audit&kept=7%20years%2B"},
        {"x-amz-object-lock-mode", "COMPLIANCE"},
        {"x-amz-object-lock-retain-until-date", "2027-04-05T10:07:12Z"},
        {"content-md5", "hBotaJrYa9FhFEdFPCLG/A=="},
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        assert_string_equal(http_header(r.script.seen[0].head, expected[i].name), expected[i].value);
        assert_string_equal(http_header(r.script.seen[2].head, expected[i].name), ""); /* of a GET */
    }
    assert_signed(&r, 0, SECRET);
    assert_signed(&r, 2, SECRET);
    rig_stop(&r);
}

static void s3_put_adds_md5_where_the_bucket_wants_it(void **state)
{
    (void)state;
    static const char *const answers[] = {
        S3_ERROR("400 Bad Request", "", "InvalidRequest",
                 "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock "
                 "parameters"),
        S3_ERROR("400 Bad Request", "", "MissingContentMD5", "x"),
    };
    for (size_t i = 0; i < 2; i++) {
        struct rig r;
        struct wm_err err;
        rig_start(&r, STEPS({HTTP_CUT, answers[i]}, {HTTP_ANSWER, OK_EMPTY}, {HTTP_ANSWER, OK_EMPTY},
                            {HTTP_CUT, answers[i]}));
        assert_int_equal(put(&r, &err), WM_OK);
        assert_int_equal(put(&r, &err), WM_OK); /* remembered */
        assert_int_equal(put(&r, &err), WM_E_INVALID);
        assert_int_equal(r.script.n_seen, 4);
        for (size_t k = 0; k < 4; k++) {
            assert_string_equal(http_header(r.script.seen[k].head, "content-md5"), k ? "hBotaJrYa9FhFEdFPCLG/A==" : "");
            assert_signed(&r, k, SECRET);
        }
        rig_stop(&r);
    }
}

static void s3_addresses_the_bucket_by_path_or_host(void **state)
{
    (void)state;
    struct rig r;
    struct wm_err err;
    /* Through a proxy, since no resolver knows the name. */
    struct wm_store_s3_options o = RIG_OPTIONS(.virtual_host = true, .endpoint = WM_LIT("http://storage.test"));
    rig_start_through(&r, o, STEPS({HTTP_ANSWER, OK_EMPTY}));
    assert_int_equal(put(&r, &err), WM_OK);
    assert_non_null(strstr(r.script.seen[0].head, "PUT http://evidence.storage.test/AWSLogs/1/a%20b%2Bc.json.gz HTTP"));
    assert_string_equal(http_header(r.script.seen[0].head, "host"), "evidence.storage.test");
    assert_signed(&r, 0, SECRET);
    rig_stop(&r);
}

struct parallel {
    struct wm_store *store;
    const char *key;
    enum wm_status status;
};

static void *put_in_parallel(void *arg)
{
    struct parallel *p = arg;
    struct wm_err err;
    for (int i = 0; i < 4; i++)
        if ((p->status = wm_store_put(p->store, wm_view_of(p->key), wm_view_of(p->key), WM_EMPTY, headers, N_HEADERS,
                                      &err)) != WM_OK)
            break;
    return NULL;
}

/* Each request is answered only when another one is there too. */
static void s3_puts_in_parallel_by_handles(void **state)
{
    (void)state;
    struct rig r;
    struct http_step steps[8];
    pthread_t thread;
    for (size_t i = 0; i < 8; i++)
        steps[i] = (struct http_step){HTTP_GATHER, OK_EMPTY};
    rig_start(&r, steps, 8);
    struct wm_store *second;
    struct wm_err err;
    assert_int_equal(wm_store_s3_share(r.store, &second, &err), WM_OK);
    assert_true(wm_view_eq_str(wm_store_bucket(second), "evidence"));
    struct parallel a = {r.store, "a", WM_OK}, b = {second, "b", WM_OK};
    assert_int_equal(pthread_create(&thread, NULL, put_in_parallel, &b), 0);
    (void)put_in_parallel(&a);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(a.status, WM_OK);
    assert_int_equal(b.status, WM_OK);
    assert_int_equal(r.script.n_seen, 8);
    assert_int_equal(r.script.n_connections, 2); /* each kept its own */
    for (size_t i = 0; i < 8; i++)
        assert_signed(&r, i, SECRET);
    wm_store_free(second);
    rig_stop(&r);
}

static void s3_handles_know_what_one_has_learnt(void **state)
{
    (void)state;
    struct rig r;
    struct wm_err err;
    char got[256];
    rig_start(&r, STEPS({HTTP_ANSWER, NOT_THERE},
                        {HTTP_CUT, S3_ERROR("403 Forbidden", "Date: Sun, 01 Mar 2026 12:00:00 GMT\r\n",
                                            "RequestTimeTooSkewed", "x")},
                        {HTTP_ANSWER, OK_EMPTY}, {HTTP_CUT, EXISTS}, {HTTP_ANSWER, OK_EMPTY}, {HTTP_CUT, BUSY}));
    wm_store_s3_of(r.store)->core->locked.condition = WM_S3_CONDITION_UNKNOWN;
    struct wm_store *first = r.store;
    assert_int_equal(wm_store_s3_share(first, &r.store, &err), WM_OK);
    assert_int_equal(wm_store_put(first, WM_LIT("a"), WM_LIT("a"), WM_EMPTY, NULL, 0, &err), WM_OK);
    wm_store_cancel(first); /* one handle, not the other */
    assert_int_equal(wm_store_put(first, WM_LIT("b"), WM_LIT("b"), WM_EMPTY, NULL, 0, &err), WM_E_END);
    wm_store_free(first);
    assert_int_equal(put(&r, &err), WM_OK);
    asked(&r.script, got);
    assert_string_equal(got, "HEAD PUT* PUT* PUT* PUT*");
    assert_string_equal(http_header(r.script.seen[4].head, "x-amz-date"), "20260301T120000Z");
    assert_int_equal(put(&r, &err), WM_E_UNAVAILABLE);
    assert_int_equal(wm_store_retry_after_ms(r.store), 9000);
    rig_stop(&r);
}

static void write_credentials(const struct scratch *s, const char *text)
{
    assert_int_equal(wm_io_replace_file(&wm_io_posix, scratch_path(s, "credentials"), wm_view_of(text), 0600, NULL),
                     WM_OK);
}

static void s3_reads_credentials_again(void **state)
{
    (void)state;
    struct rig r;
    struct scratch s;
    struct wm_err err;
    scratch_make(&s);
    struct wm_store_s3_options o = {.credentials = {.file = wm_view_of(scratch_path(&s, "credentials")),
                                                    .profile = WM_LIT("trail")}};
    rig_start_with(&r, o, STEPS({HTTP_ANSWER, OK_EMPTY}, {HTTP_ANSWER, OK_EMPTY},
                                {HTTP_CUT, S3_ERROR("403 Forbidden", "", "AccessDenied", "x")},
                                {HTTP_CUT, S3_ERROR("400 Bad Request", "", "ExpiredToken", "x")},
                                {HTTP_ANSWER, OK_EMPTY}));
    assert_int_equal(put(&r, &err), WM_E_DENIED); /* no file yet */
    assert_string_equal(err.code, "CredentialsNotFound");
    assert_non_null(strstr(err.message, scratch_path(&s, "credentials")));
    assert_false(err.retryable); /* somebody must do something */
    write_credentials(&s, "[other]\naws_access_key_id=X\naws_secret_access_key=Y\n");
    assert_int_equal(put(&r, &err), WM_E_DENIED); /* no such profile */
    assert_int_equal(r.script.n_seen, 0);
    write_credentials(&s, "# of the trail\n[default]\naws_access_key_id = WRONG\n\n[trail]\r\n"
                          "aws_access_key_id = AKIAONE\r\n"
                          "aws_secret_access_key=secret/one+ \r\n; end\n[z]\naws_access_key_id=Z\n");
    assert_int_equal(put(&r, &err), WM_OK);
    assert_non_null(strstr(http_header(r.script.seen[0].head, "authorization"),
                           "Credential=AKIAONE/20260301/eu-central-1/s3/aws4_request"));
    assert_signed(&r, 0, "secret/one+");
    /* rotated: seen without being told; the same key id with another secret, and a token */
    write_credentials(&s, "[trail]\naws_access_key_id=AKIAONE\naws_secret_access_key=secret-two\n"
                          "aws_session_token=tok/en==\n");
    assert_int_equal(put(&r, &err), WM_OK);
    assert_string_equal(http_header(r.script.seen[1].head, "x-amz-security-token"), "tok/en==");
    assert_signed(&r, 1, "secret-two");
    /* refused and nothing new in the file: told at once */
    assert_int_equal(put(&r, &err), WM_E_DENIED);
    assert_int_equal(r.script.n_seen, 3);
    /* the file away for a moment: the old ones are still good; expired, with new ones behind an unchanged time stamp */
    struct stat st;
    struct timespec times[2];
    assert_int_equal(stat(scratch_path(&s, "credentials"), &st), 0);
    int fd = open(scratch_path(&s, "credentials"), O_WRONLY | O_TRUNC);
    const char *fresh = "[trail]\naws_access_key_id=AKIAONE\naws_secret_access_key=secret-3wo\n"
                        "aws_session_token=tok/en==\n";
    assert_int_equal(write(fd, fresh, strlen(fresh)), strlen(fresh));
    times[0] = st.st_atim;
    times[1] = st.st_mtim;
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
    assert_int_equal(put(&r, &err), WM_OK);
    assert_int_equal(r.script.n_seen, 5);
    assert_signed(&r, 3, "secret-two");
    assert_signed(&r, 4, "secret-3wo");
    rig_stop(&r);
    scratch_remove(&s);
}

static void s3_get_gives_bytes_and_headers(void **state)
{
    (void)state;
    struct rig r;
    struct wm_err err;
    struct wm_buf body;
    struct wm_arena a;
    struct wm_store_header got[WM_STORE_MAX_HEADERS];
    size_t n;
    rig_start(&r,
              STEPS({HTTP_ANSWER,
                     "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCONTENT-ENCODING: gzip\r\nETag: \"x\"\r\n"
                                      "X-Amz-Meta-Signature:  ab:cd \r\nContent-Length: 7\r\n\r\nnot gz!"},
                        {HTTP_CUT, S3_ERROR("404 Not Found", "", "NoSuchKey", "x")},
                        {HTTP_CUT, S3_ERROR("404 Not Found", "", "NoSuchBucket", "x")},
                        {HTTP_CUT, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"},
                        {HTTP_ANSWER, "HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n012345678901234567890123456789"}));
    wm_buf_init(&body, 20);
    wm_arena_init(&a, 1 << 16);
    wm_buf_add_str(&body, "old ");
    assert_int_equal(wm_store_get(r.store, WM_LIT("a/k"), &body, &a, got, &n, &err), WM_OK);
    assert_string_equal(wm_buf_cstr(&body), "old not gz!"); /* not decoded */
    assert_int_equal(n, 4);
    assert_true(wm_view_eq_str(wm_store_header(got, n, "content-encoding"), "gzip"));
    assert_true(wm_view_eq_str(wm_store_header(got, n, "x-amz-meta-signature"), "ab:cd"));
    assert_int_equal(wm_store_header(got, n, "etag").len, 0);
    assert_int_equal(wm_store_get(r.store, WM_LIT("a/k"), &body, &a, got, &n, &err), WM_E_NOT_FOUND);
    assert_int_equal(wm_store_get(r.store, WM_LIT("a/k"), &body, &a, got, &n, &err), WM_E_UNAVAILABLE);
    assert_string_equal(err.code, "NoSuchBucket");
    assert_int_equal(wm_store_get(r.store, WM_LIT("a/k"), &body, &a, got, &n, &err), WM_E_UNAVAILABLE);
    assert_string_equal(wm_buf_cstr(&body), "old not gz!"); /* as it was */
    assert_int_equal(wm_store_get(r.store, WM_LIT("a/k"), &body, &a, got, &n, &err), WM_E_LIMIT);
    wm_buf_done(&body);
    wm_arena_done(&a);
    rig_stop(&r);
}

#define LISTING(inner)                                                                       \
    "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<?xml version=\"1.0\"?>"                      \
    "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">" inner "</ListBucketResult>"
#define ENTRY(key, size)                                                                     \
    "<Contents><Key>" key "</Key><LastModified>2026-03-01T10:07:12.345Z</LastModified>"      \
    "<ETag>&#34;x&#34;</ETag><Size>" size "</Size><Owner><ID>1</ID><DisplayName>n</DisplayName></Owner></Contents>"

static enum wm_status collect(void *arg, const struct wm_store_object *o)
{
    struct wm_buf *out = arg;
    wm_buf_addf(out, "%.*s=%llu@%lld\n", WM_ARG(o->key), (unsigned long long)o->size,
                (long long)wm_wall_seconds(o->modified));
    return WM_OK;
}

static void s3_list_pages_and_decodes(void **state)
{
    (void)state;
    struct rig r;
    struct wm_err err;
    struct wm_buf out;
    wm_buf_init(&out, 4096);
    rig_start(&r,
              STEPS({HTTP_CUT,
                     LISTING("<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
                             ENTRY("p%2Fa+b%2Bc%26", "1") ENTRY("p/b", "2")
                                           "<NextContinuationToken>to/ken&amp;=+</NextContinuationToken>")},
                        {HTTP_CUT, LISTING("<IsTruncated>false</IsTruncated>" 
                                           ENTRY("p/c+&amp;%41&#233;", "18446744073709551615"))}));
    assert_int_equal(wm_store_list(r.store, WM_LIT("p/ö"), collect, &out, &err), WM_OK);
    assert_string_equal(wm_buf_cstr(&out),
                        "p/a b+c&=1@1772359632\np/b=2@1772359632\np/c+&%41é=18446744073709551615@1772359632\n");
    assert_non_null(strstr(r.script.seen[0].head,
                           "GET /evidence?encoding-type=url&list-type=2&max-keys=1000&prefix=p%2F%C3%B6 HTTP"));
    assert_non_null(strstr(r.script.seen[1].head,
                           "GET /evidence?continuation-token=to%2Fken%26%3D%2B&encoding-type=url&"));
    assert_signed(&r, 0, SECRET);
    assert_signed(&r, 1, SECRET);
    rig_stop(&r);
    wm_buf_done(&out);
}

static void s3_list_refuses_what_is_no_sound_listing(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        enum wm_status status;
    } cases[] = {
        {LISTING(ENTRY("b", "1") ENTRY("a", "1")), WM_E_CORRUPT},                        /* not in order */
        {LISTING(ENTRY("a", "1") ENTRY("a", "1")), WM_E_CORRUPT},
        {LISTING(ENTRY("a", "x")), WM_E_CORRUPT},
        {LISTING("<IsTruncated>true</IsTruncated>"), WM_E_CORRUPT},                      /* goes on nowhere */
        {LISTING("<EncodingType>url</EncodingType>" ENTRY("a%zz", "1")), WM_E_CORRUPT},
        {LISTING("<Contents><Key>a</Key>"), WM_E_CORRUPT},                               /* not XML */
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", WM_E_CORRUPT},
        {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<!DOCTYPE a><ListBucketResult></ListBucketResult>", WM_E_CORRUPT},
        {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<html></html>", WM_E_CORRUPT},
        {S3_ERROR("200 OK", "", "InternalError", "x"), WM_E_UNAVAILABLE},
        {S3_ERROR("404 Not Found", "", "NoSuchBucket", "x"), WM_E_UNAVAILABLE},
        {S3_ERROR("403 Forbidden", "", "AccessDenied", "x"), WM_E_DENIED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rig r;
        struct wm_err err = {0};
        struct wm_buf out;
        wm_buf_init(&out, 4096);
        rig_start(&r, STEPS({HTTP_CUT, cases[i].answer}));
        enum wm_status status = wm_store_list(r.store, WM_EMPTY, collect, &out, &err);
        if (status != cases[i].status || !err.message[0])
            fail_msg("case %zu: %s: %s", i, wm_status_name(status), err.message);
        rig_stop(&r);
        wm_buf_done(&out);
    }
}

static void *cancel_soon(void *arg)
{
    struct timespec t = {0, 100000000};
    nanosleep(&t, NULL); /* the put is to be under way; if it is not yet, the result is the same */
    wm_store_cancel(arg);
    return NULL;
}

static void s3_list_ends_when_the_server_does_not(void **state)
{
    (void)state;
    struct rig r;
    struct wm_err err = {0};
    struct wm_buf out;
    struct http_step steps[HTTP_MAX_REQUESTS];
    for (size_t i = 0; i < HTTP_MAX_REQUESTS; i++)
        steps[i] = (struct http_step){HTTP_CUT, LISTING("<IsTruncated>true</IsTruncated>"
                                                        "<NextContinuationToken>on</NextContinuationToken>")};
    wm_buf_init(&out, 4096);
    rig_start(&r, steps, HTTP_MAX_REQUESTS);
    assert_int_equal(wm_store_list(r.store, WM_EMPTY, collect, &out, &err), WM_E_CORRUPT);
    assert_non_null(strstr(err.message, "without a key"));
    assert_int_equal(out.len, 0);
    rig_stop(&r);
    wm_buf_done(&out);
}

static void s3_put_ends_when_cancelled(void **state)
{
    (void)state;
    struct rig r;
    struct wm_err err;
    pthread_t thread;
    rig_start(&r, STEPS({HTTP_HANG, NULL}));
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, r.store), 0);
    assert_int_equal(put(&r, &err), WM_E_END);
    assert_int_equal(put(&r, &err), WM_E_END);
    assert_int_equal(pthread_join(thread, NULL), 0);
    rig_stop(&r);
}

/* In place of libc's, for libcurl too: names of the domain "slow" are not answered until the test allows it. */
static atomic_bool resolver_silent;
static atomic_int resolver_asked, resolver_left;

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
    if (node && strstr(node, ".slow")) {
        struct timespec t = {0, 2000000};
        atomic_fetch_add(&resolver_asked, 1);
        while (atomic_load(&resolver_silent))
            nanosleep(&t, NULL);
        atomic_fetch_add(&resolver_left, 1);
        return EAI_AGAIN;
    }
    int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    *(void **)&next = dlsym(RTLD_NEXT, "getaddrinfo");
    return next(node, service, hints, out);
}

static void *allow_later(void *arg)
{
    struct timespec t = {0, 2000000};
    for (int i = 0; i < 2500 && atomic_load(&resolver_silent); i++)
        nanosleep(&t, NULL);
    atomic_store(&resolver_silent, false);
    while (atomic_load(&resolver_left) < atomic_load(&resolver_asked))
        nanosleep(&t, NULL);
    return arg;
}

static void s3_put_ends_when_cancelled_while_a_name_is_looked_up(void **state)
{
    (void)state;
    struct wm_store *store;
    struct wm_err err;
    pthread_t canceller, resolver;
    struct wm_store_s3_options o = RIG_OPTIONS(.endpoint = WM_LIT("http://s3.slow"), .bucket = WM_LIT("evidence"));
    assert_int_equal(wm_store_s3_new(&o, &store, &err), WM_OK);
    atomic_store(&resolver_silent, true);
    assert_int_equal(pthread_create(&canceller, NULL, cancel_soon, store), 0);
    assert_int_equal(pthread_create(&resolver, NULL, allow_later, NULL), 0); /* a failure ends too */
    int64_t before = wm_clock_mono(&wm_clock_system).ns;
    enum wm_status status = wm_store_put(store, WM_LIT("k"), WM_LIT("b"), WM_EMPTY, NULL, 0, &err);
    int64_t took_ms = (wm_clock_mono(&wm_clock_system).ns - before) / WM_NS_PER_MS;
    wm_store_free(store);
    atomic_store(&resolver_silent, false);
    assert_int_equal(status, WM_E_END);
    assert_int_equal(resolver_asked, 1);
    if (took_ms > 3000)
        fail_msg("it took %lld ms", (long long)took_ms);
    assert_int_equal(pthread_join(canceller, NULL), 0);
    assert_int_equal(pthread_join(resolver, NULL), 0);
}

static void s3_options_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *bucket, *endpoint, *key, *secret, *file, *named;
    } cases[] = {
        {"", "http://h", "k", "s", "", "bucket"},
        {"a/b", "http://h", "k", "s", "", "bucket"},
        {"b", "h:9000", "k", "s", "", "endpoint"},
        {"b", "ftp://h", "k", "s", "", "endpoint"},
        {"b", "http://", "k", "s", "", "endpoint"},
        {"b", "http://h/path", "k", "s", "", "endpoint"},
        {"b", "http://u@h", "k", "s", "", "endpoint"},
        {"b", "http://h\r\nX: y", "k", "s", "", "endpoint"},
        {"b", "http://h", "k", "", "", "secret_access_key"},
        {"b", "http://h", "", "s", "", "access_key_id"},
        {"b", "http://h", "", "", "", "credentials"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wm_store *store = NULL;
        struct wm_err err = {0};
        struct wm_store_s3_options o = {
            .bucket = wm_view_of(cases[i].bucket),
            .endpoint = wm_view_of(cases[i].endpoint),
            .credentials = {.access_key_id = wm_view_of(cases[i].key), .secret_access_key = wm_view_of(cases[i].secret),
                            .file = wm_view_of(cases[i].file)},
        };
        if (wm_store_s3_new(&o, &store, &err) != WM_E_INVALID || !strstr(err.message, cases[i].named))
            fail_msg("case %zu: %s", i, err.message);
    }
    static const struct {
        struct wm_store_s3_options o;
        const char *named;
    } bad[] = {
        {{.acl = {"a b", 3}}, "acl"},
        {{.storage_class = {"A\r\nX: y", 7}}, "storage_class"},
        {{.kms_key_id = {"k", 1}}, "kms_key_id"},
        {{.kms_key_id = {"k", 1}, .encryption = {"AES256", 6}}, "kms_key_id"},
        {{.tags = {"a", 1}}, "tags"},
        {{.object_lock = {"GOVERNANCE", 10}}, "object_lock_days"},
        {{.object_lock = {"GOVERNANCE", 10}, .object_lock_days = 36501}, "object_lock_days"},
        {{.object_lock_days = 1}, "object_lock_days"},
        {{.proxy = {"10.0.0.1:3128", 13}}, "proxy"},
        {{.proxy = {"http://u:p@h:1", 14}}, "proxy"},
        {{.connect_timeout_ms = -1}, "timeout"},
        {{.request_timeout_ms = INT64_MAX}, "timeout"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct wm_store *none = NULL;
        struct wm_err err = {0};
        struct wm_store_s3_options o = bad[i].o;
        o.bucket = WM_LIT("b");
        o.credentials = (struct wm_store_credentials){.access_key_id = WM_LIT("k"), .secret_access_key = WM_LIT("s")};
        if (wm_store_s3_new(&o, &none, &err) != WM_E_INVALID || !strstr(err.message, bad[i].named))
            fail_msg("case %zu: %s", i, err.message);
    }
    struct wm_store *store;
    struct wm_store_s3_options o = {
        .bucket = WM_LIT("b"), .virtual_host = true,
        .credentials = {.access_key_id = WM_LIT("k"), .secret_access_key = WM_LIT("s")}};
    assert_int_equal(wm_store_s3_new(&o, &store, NULL), WM_OK);
    assert_true(wm_view_eq_str(wm_store_bucket(store), "b"));
    wm_store_free(store);
    o.endpoint = WM_LIT("https://[::1]:9000/");
    assert_int_equal(wm_store_s3_new(&o, &store, NULL), WM_OK);
    wm_store_free(store);
}

/* ---- a real server ---- */

static struct wm_view from_env(const char *name)
{
    const char *value = getenv(name);
    if (!value)
        fail_msg("WAYMARK_TEST_S3 is set, %s is not", name);
    return wm_view_of(value);
}

static void s3_works_with_a_real_server(void **state)
{
    (void)state;
    const char *wanted = getenv("WAYMARK_TEST_S3");
    if (!wanted || strcmp(wanted, "1") != 0)
        skip();
    struct wm_store *store;
    struct wm_err err = {0};
    struct wm_store_s3_options o = {
        .bucket = from_env("WAYMARK_BUCKET"),
        .endpoint = from_env("AWS_ENDPOINT_URL_S3"),
        .credentials = {.access_key_id = from_env("AWS_ACCESS_KEY_ID"),
                        .secret_access_key = from_env("AWS_SECRET_ACCESS_KEY")},
    };
    assert_int_equal(wm_store_s3_new(&o, &store, &err), WM_OK);
    char run[9], key[256], prefix[64];
    wm_random_alnum(run, 8);
    (void)snprintf(prefix, sizeof prefix, "test-%s/", run);
    /* more than one page, with names that need encoding; a folder-like neighbour tests the order */
    static const char *const odd[] = {"a b", "a+b", "a%41", "ä/ö=&?#", "a", "a/b", "a-b", "a.b/c", "z'(x)*!~",
                                      "q;x:y@z$,"};
    size_t expected = 0;
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++, expected++) {
        if (strcmp(odd[i], "a") == 0)
            (void)snprintf(key, sizeof key, "%sa1", prefix); /* MinIO on a disk keeps no "a" beside "a/b" */
        else
            (void)snprintf(key, sizeof key, "%s%s", prefix, odd[i]);
        if (wm_store_put(store, wm_view_of(key), wm_view_of(odd[i]), WM_EMPTY, headers, N_HEADERS, &err) != WM_OK)
            fail_msg("%s: %s", key, err.message);
        struct wm_buf body;
        struct wm_arena a;
        struct wm_store_header got[WM_STORE_MAX_HEADERS];
        size_t n;
        wm_buf_init(&body, 1000);
        wm_arena_init(&a, 1 << 16);
        assert_int_equal(wm_store_get(store, wm_view_of(key), &body, &a, got, &n, &err), WM_OK);
        assert_string_equal(wm_buf_cstr(&body), odd[i]);
        assert_true(wm_view_eq_str(wm_store_header(got, n, "content-encoding"), "gzip"));
        assert_true(wm_view_eq_str(wm_store_header(got, n, "content-type"), "application/json"));
        assert_true(wm_view_eq_str(wm_store_header(got, n, "x-amz-meta-signature"), "abcd"));
        wm_buf_done(&body);
        wm_arena_done(&a);
    }
    for (int i = 0; i < 1010; i++, expected++) {
        (void)snprintf(key, sizeof key, "%sn/%05d", prefix, i);
        assert_int_equal(wm_store_put(store, wm_view_of(key), WM_LIT("x"), WM_EMPTY, NULL, 0, &err), WM_OK);
    }
    struct wm_buf out;
    wm_buf_init(&out, 1 << 20);
    if (wm_store_list(store, wm_view_of(prefix), collect, &out, &err) != WM_OK)
        fail_msg("%s", err.message);
    size_t lines = 0;
    for (size_t i = 0; i < out.len; i++)
        lines += out.data[i] == '\n';
    assert_int_equal(lines, expected);
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
        if (strcmp(odd[i], "a") != 0)
            assert_non_null(strstr(wm_buf_cstr(&out), odd[i]));
    wm_buf_done(&out);

    /* the condition holds: the same is fine, another is not and changes nothing */
    (void)snprintf(key, sizeof key, "%sn/00000", prefix);
    assert_int_equal(wm_store_put(store, wm_view_of(key), WM_LIT("x"), WM_EMPTY, NULL, 0, &err), WM_OK);
    assert_int_equal(wm_store_put(store, wm_view_of(key), WM_LIT("y"), WM_EMPTY, NULL, 0, &err), WM_E_EXISTS);
    struct wm_buf body;
    wm_buf_init(&body, 10);
    assert_int_equal(wm_store_get(store, wm_view_of(key), &body, NULL, NULL, NULL, &err), WM_OK);
    assert_string_equal(wm_buf_cstr(&body), "x");
    (void)snprintf(key, sizeof key, "%sabsent", prefix);
    assert_int_equal(wm_store_get(store, wm_view_of(key), &body, NULL, NULL, NULL, &err), WM_E_NOT_FOUND);
    wm_buf_done(&body);

    /* 5 MiB, and a hash that is not the body's */
    struct wm_buf big;
    wm_buf_init(&big, 5 << 20);
    wm_random(wm_buf_room(&big, 5 << 20), 5 << 20);
    wm_buf_grow(&big, 5 << 20);
    (void)snprintf(key, sizeof key, "%sbig", prefix);
    assert_int_equal(wm_store_put(store, wm_view_of(key), wm_buf_view(&big), WM_EMPTY, headers, N_HEADERS, &err), WM_OK);
    struct wm_buf back;
    wm_buf_init(&back, 5 << 20);
    assert_int_equal(wm_store_get(store, wm_view_of(key), &back, NULL, NULL, NULL, &err), WM_OK);
    assert_true(wm_view_eq(wm_buf_view(&back), wm_buf_view(&big)));
    (void)snprintf(key, sizeof key, "%sbig2", prefix);
    assert_int_equal(wm_store_put(store, wm_view_of(key), wm_buf_view(&big),
                                  WM_LIT("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"), NULL, 0,
                                  &err), WM_E_UNAVAILABLE);
    assert_string_equal(err.code, "XAmzContentSHA256Mismatch");
    wm_buf_done(&big);
    wm_buf_done(&back);
    wm_store_free(store);

    o.credentials.secret_access_key = WM_LIT("wrong");
    assert_int_equal(wm_store_s3_new(&o, &store, &err), WM_OK);
    assert_int_equal(wm_store_put(store, wm_view_of(key), WM_LIT("x"), WM_EMPTY, NULL, 0, &err), WM_E_DENIED);
    assert_string_equal(err.code, "SignatureDoesNotMatch");
    wm_store_free(store);
    o.credentials.secret_access_key = from_env("AWS_SECRET_ACCESS_KEY");
    o.bucket = WM_LIT("no-such-bucket-here");
    assert_int_equal(wm_store_s3_new(&o, &store, &err), WM_OK);
    assert_int_equal(wm_store_put(store, wm_view_of(key), WM_LIT("x"), WM_EMPTY, NULL, 0, &err), WM_E_NOT_FOUND);
    assert_string_equal(err.code, "NoSuchBucket");
    assert_int_equal(wm_store_list(store, WM_EMPTY, collect, NULL, &err), WM_E_UNAVAILABLE);
    wm_store_free(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(s3_put_sends_what_it_should),
        cmocka_unit_test(s3_put_takes_its_time_for_a_large_body),
        cmocka_unit_test(s3_put_compares_what_is_there),
        cmocka_unit_test(s3_put_finds_out_whether_the_condition_holds),
        cmocka_unit_test(s3_put_finds_its_object_after_a_lost_reply),
        cmocka_unit_test(s3_put_sends_what_the_settings_say),
        cmocka_unit_test(s3_put_adds_md5_where_the_bucket_wants_it),
        cmocka_unit_test(s3_addresses_the_bucket_by_path_or_host),
        cmocka_unit_test(s3_puts_in_parallel_by_handles),
        cmocka_unit_test(s3_handles_know_what_one_has_learnt),
        cmocka_unit_test(s3_reads_credentials_again),
        cmocka_unit_test(s3_get_gives_bytes_and_headers),
        cmocka_unit_test(s3_list_pages_and_decodes),
        cmocka_unit_test(s3_list_refuses_what_is_no_sound_listing),
        cmocka_unit_test(s3_list_ends_when_the_server_does_not),
        cmocka_unit_test(s3_put_ends_when_cancelled),
        cmocka_unit_test(s3_put_ends_when_cancelled_while_a_name_is_looked_up),
        cmocka_unit_test(s3_options_are_checked),
        cmocka_unit_test(s3_works_with_a_real_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
