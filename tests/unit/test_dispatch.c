/*
 * The path of a call, from a request's bytes to its entry in a real journal: what is answered, and what is recorded.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "server/dispatch.h"
#include "server/services/mediapackage_int.h"
#include "waymark/json.h"

static char folder[] = "/tmp/waymark-dispatch-XXXXXX";
static const uint8_t master_key[32] = "a key for tests, 32 bytes long.";
static struct wm_service_env env;
static struct wm_auth *auth;
static struct wm_recorder *recorder;
static struct wm_sigv4_cache *cache;
static struct wm_dispatcher dispatcher;
static _Atomic uint64_t n_recorded, n_folded;
static char key_id[129], secret[129];
static int syncs_until_failure; /* 0: never */

static const struct wm_service *const services[] = {&wm_service_mediapackage, &wm_service_cloudtrail, &wm_service_iam,
                                                    &wm_service_sts};

static int failing_fdatasync(void *ctx, int fd)
{
    if (syncs_until_failure && --syncs_until_failure == 0)
        return -EIO;
    return wm_io_posix.fdatasync(ctx, fd);
}

/* The wall clock is the system's, since signatures are; the monotonic one moves when a test says so. */
static atomic_llong mono_ns;

static struct wm_mono_ns test_mono(void *ctx)
{
    (void)ctx;
    return (struct wm_mono_ns){atomic_load(&mono_ns)};
}

static struct wm_clock test_clock;

static atomic_bool disk_full;

static int said_free(void *ctx, const char *path, uint64_t *out)
{
    int rc = wm_io_posix.free_bytes(ctx, path, out);
    if (atomic_load(&disk_full))
        *out = 0;
    return rc;
}

static struct wm_io test_io;

/* ---- a request ---- */

struct sent {
    const char *method, *path, *query, *body, *service, *target, *content_type;
    const char *secret;       /* NULL: the right one */
    const char *key_id;       /* NULL: the right one */
    const char *source;       /* NULL: 203.0.113.5 */
    int64_t age_s;            /* how old the signature is */
    bool unsigned_request;
    bool body_changed;        /* after it was signed */
    bool secure;
    bool refused;
    enum wm_refusal refusal;
};

static struct wm_request request;
static char authorization[1100], date[WM_TIME_BASIC_BYTES];

static void add_header(const char *name, const char *value)
{
    request.headers[request.n_headers++] = (struct wm_sigv4_header){wm_view_of(name), wm_view_of(value)};
}

static void send_request(const struct sent *s)
{
    wm_request_clear(&request);
    request.method = wm_view_of(s->method);
    request.path = wm_view_of(s->path);
    request.query = wm_view_of(s->query);
    request.source_ip = wm_view_of(s->source ? s->source : "203.0.113.5");
    wm_buf_add_str(&request.body, s->body ? s->body : "");
    add_header("Host", "127.0.0.1:8480");
    add_header("Content-Type", s->content_type ? s->content_type : "application/json");
    add_header("User-Agent", "test/1 \"quoted\"");
    if (s->target)
        add_header("X-Amz-Target", s->target);
    if (!s->unsigned_request) {
        char hash[WM_SHA256_HEX_BYTES];
        uint8_t sha[WM_SHA256_BYTES];
        wm_sha256(request.body.data, request.body.len, sha);
        wm_hex(sha, sizeof sha, hash);
        const struct wm_sigv4_request to_sign = {
            .method = request.method,
            .path = request.path,
            .query = request.query,
            .headers = request.headers,
            .n_headers = request.n_headers,
            .payload_hash = {hash, sizeof hash},
        };
        const struct wm_sigv4_credentials credentials = {
            .access_key_id = wm_view_of(s->key_id ? s->key_id : key_id),
            .secret = wm_view_of(s->secret ? s->secret : secret),
            .region = WM_LIT("us-east-1"),
            .service = wm_view_of(s->service ? s->service : "mediapackage"),
        };
        struct wm_sigv4_signature signature;
        struct wm_wall_ns now = {wm_clock_wall(&wm_clock_system).ns - s->age_s * WM_NS_PER_S};
        assert_int_equal(wm_sigv4_sign(cache, &to_sign, &credentials, now, &signature), WM_OK);
        snprintf(authorization, sizeof authorization, "%s", signature.authorization);
        memcpy(date, signature.date, sizeof date);
        add_header("X-Amz-Date", date);
        add_header("Authorization", authorization);
    }
    if (s->body_changed)
        request.body.data[0] ^= 1;
    request.secure = s->secure;
    request.refused = s->refused;
    request.refusal = s->refusal;
    wm_dispatch(&dispatcher, cache, &request);
}

/* ---- what was recorded ---- */

static struct wm_arena arena;
static struct wm_journal_reader *reader; /* open until the next look, since the entry points into it */

static void close_reader(void)
{
    wm_journal_reader_close(reader);
    reader = NULL;
}

static const struct wm_json *record_of(uint64_t seq, struct wm_entry *out_entry)
{
    close_reader();
    assert_int_equal(wm_journal_commit(recorder->journal, seq, NULL), WM_OK);
    assert_int_equal(wm_journal_reader_open(recorder->journal, seq - 1, &reader, NULL), WM_OK);
    struct wm_entry e;
    assert_int_equal(wm_journal_reader_next(reader, &e, NULL), WM_OK);
    assert_int_equal(e.seq, seq);
    struct wm_json *record;
    wm_arena_clear(&arena);
    assert_int_equal(wm_json_parse(&arena, wm_arena_copy(&arena, e.record), &record, NULL), WM_OK);
    if (out_entry)
        *out_entry = e;
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
    (void)state;
    send_request(&(struct sent){.method = "POST", .path = "/channels",
                                .body = "{\"id\":\"one\",\"description\":\"d\",\"surprise\":1}"});
    assert_int_equal(request.status, 200);
    assert_null(request.error_code);
    struct wm_entry e;
    const struct wm_json *r = record_of(request.seq, &e);
    assert_int_equal(e.flags, 0);
    assert_int_equal(e.n_changes, 1);
    assert_true(wm_view_eq_str(e.event_name, "CreateChannel"));
    assert_true(wm_view_eq_str(e.event_source, "mediapackage.amazonaws.com"));
    assert_true(wm_view_eq_str(e.principal, "arn:aws:iam::123456789012:root"));
    text_is(r, "eventVersion", "1.11");
    text_is(r, "eventName", "CreateChannel");
    text_is(r, "sourceIPAddress", "203.0.113.5");
    text_is(r, "userAgent", "test/1 \"quoted\"");
    text_is(r, "requestID", request.request_id);
    text_is(r, "apiVersion", "2017-10-12");
    text_is(wm_json_get(r, "userIdentity"), "type", "Root");
    text_is(wm_json_get(r, "userIdentity"), "accessKeyId", key_id);
    text_is(wm_json_get(r, "requestParameters"), "id", "one");
    assert_null(wm_json_get(wm_json_get(r, "requestParameters"), "surprise"));
    assert_null(wm_json_get(r, "errorCode"));

    /* The caller gets the ingest passwords, the record does not. */
    struct wm_json *reply;
    assert_int_equal(wm_json_parse(&arena, wm_buf_view(&request.out), &reply, NULL), WM_OK);
    struct wm_json *mine = wm_json_get(wm_json_get(reply, "hlsIngest"), "ingestEndpoints")->first;
    struct wm_json *recorded =
        wm_json_get(wm_json_get(wm_json_get(r, "responseElements"), "hlsIngest"), "ingestEndpoints")->first;
    for (int i = 0; i < 2; i++, mine = mine->next, recorded = recorded->next) {
        assert_int_equal(wm_json_get_text(mine, "password").len, 32);
        text_is(recorded, "password", "***");
        text_is(recorded, "username", "***");
        assert_true(wm_view_eq(wm_json_get_text(mine, "url"), wm_json_get_text(recorded, "url")));
        assert_null(memmem(e.record.ptr, e.record.len, wm_json_get_text(mine, "password").ptr, 32));
    }
}

static void a_read_is_recorded_without_its_answer(void **state)
{
    (void)state;
    send_request(&(struct sent){.method = "GET", .path = "/channels/one"});
    assert_int_equal(request.status, 200);
    struct wm_entry e;
    const struct wm_json *r = record_of(request.seq, &e);
    assert_int_equal(e.flags, WM_ENTRY_READ_ONLY);
    assert_int_equal(wm_json_get(r, "responseElements")->type, WM_JSON_NULL);
    assert_true(wm_json_get(r, "readOnly")->boolean);
    text_is(wm_json_get(r, "requestParameters"), "id", "one");
}

/* Each way to be refused: what the caller is told, and that the record says the same. */
static void every_refusal_is_recorded(void **state)
{
    (void)state;
    static const struct {
        struct sent sent;
        int status;
        const char *code, *event_source, *event_name, *identity, *message;
    } rows[] = {
        {{.method = "GET", .path = "/channels/one", .unsigned_request = true}, 403,
         "MissingAuthenticationTokenException", "mediapackage.amazonaws.com", "DescribeChannel", "Unknown", ""},
        {{.method = "GET", .path = "/channels/one", .secret = "wrong"}, 403, "InvalidSignatureException",
         "mediapackage.amazonaws.com", "DescribeChannel", "Unknown", ""},
        {{.method = "GET", .path = "/channels/one", .key_id = "AKIDNOBODY"}, 403, "UnrecognizedClientException",
         "mediapackage.amazonaws.com", "DescribeChannel", "Unknown", ""},
        {{.method = "GET", .path = "/channels/one", .age_s = 3600}, 403, "InvalidSignatureException",
         "mediapackage.amazonaws.com", "DescribeChannel", "Unknown", "expired"},
        {{.method = "GET", .path = "/channels/one", .age_s = -3600}, 403, "InvalidSignatureException",
         "mediapackage.amazonaws.com", "DescribeChannel", "Unknown", ""},
        {{.method = "PUT", .path = "/channels/one", .body = "{\"description\":\"x\"}", .body_changed = true}, 403,
         "InvalidSignatureException", "mediapackage.amazonaws.com", "UpdateChannel", "Unknown", ""},
        {{.method = "GET", .path = "/channels/one", .service = "sqs"}, 403, "InvalidSignatureException",
         "mediapackage.amazonaws.com", "DescribeChannel", "Unknown", ""},
        {{.method = "GET", .path = "/nothing/here"}, 404, "UnknownOperationException", "mediapackage.amazonaws.com",
         "UnknownOperation", "Root", "This server has no such operation"},
        {{.method = "POST", .path = "/", .service = "cloudtrail", .body = "{}",
          .content_type = "application/x-amz-json-1.1",
          .target = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.ShredEverything"},
         404, "UnknownOperationException", "cloudtrail.amazonaws.com", "ShredEverything", "Root",
         "no operation 'ShredEverything'"},
        {{.method = "POST", .path = "/", .service = "iam", .content_type = "application/x-www-form-urlencoded",
          .body = "Action=ListUsers&Version=2011-01-01"},
         400, "InvalidAction", "iam.amazonaws.com", "ListUsers", "Root", "that of iam is 2010-05-08"},
        {{.method = "POST", .path = "/channels", .body = "{\"id\":"}, 400, "SerializationException",
         "mediapackage.amazonaws.com", "CreateChannel", "Root", "JSON"},
        {{.method = "POST", .path = "/channels", .body = "{}"}, 422, "UnprocessableEntityException",
         "mediapackage.amazonaws.com", "CreateChannel", "Root", "id"},
        {{.method = "POST", .path = "/channels", .body = "{\"id\":\"one\"}"}, 422, "UnprocessableEntityException",
         "mediapackage.amazonaws.com", "CreateChannel", "Root", "one"},
        {{.method = "GET", .path = "/channels/two"}, 404, "NotFoundException", "mediapackage.amazonaws.com",
         "DescribeChannel", "Root", "two"},
        {{.method = "POST", .path = "/channels", .refused = true, .refusal = WM_REFUSE_BODY_TOO_LARGE}, 413,
         "RequestEntityTooLargeException", "mediapackage.amazonaws.com", "CreateChannel", "Unknown", "body"},
        {{.method = "POST", .path = "/channels", .refused = true, .refusal = WM_REFUSE_TOO_SLOW}, 408,
         "RequestTimeoutException", "mediapackage.amazonaws.com", "CreateChannel", "Unknown", "time"},
        {{.method = "POST", .path = "/", .service = "sts", .content_type = "application/x-www-form-urlencoded",
          .body = "Action=GetCallerIdentity&Version=2011-06-15", .secret = "wrong"},
         403, "SignatureDoesNotMatch", "sts.amazonaws.com", "GetCallerIdentity", "Unknown", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        send_request(&rows[i].sent);
        if (request.status != rows[i].status || !request.error_code || strcmp(request.error_code, rows[i].code) != 0)
            fail_msg("row %zu: %d %s", i, request.status, request.error_code ? request.error_code : "-");
        assert_non_null(memmem(request.out.data, request.out.len, rows[i].code, strlen(rows[i].code)));
        struct wm_entry e;
        const struct wm_json *r = record_of(request.seq, &e);
        text_is(r, "errorCode", rows[i].code);
        text_is(r, "eventName", rows[i].event_name);
        text_is(r, "eventSource", rows[i].event_source);
        text_is(r, "requestID", request.request_id);
        text_is(wm_json_get(r, "userIdentity"), "type", rows[i].identity);
        assert_int_equal(wm_json_get(r, "responseElements")->type, WM_JSON_NULL);
        assert_true(e.flags & WM_ENTRY_REFUSED);
        assert_int_equal(e.n_changes, 0);
        struct wm_view message = wm_json_get_text(r, "errorMessage");
        if (!message.len || !memmem(message.ptr, message.len, rows[i].message, strlen(rows[i].message)))
            fail_msg("row %zu: message \"%.*s\"", i, WM_ARG(message));
        /* what was not proven is not recorded as asked for, but the claimed key is */
        if (strcmp(rows[i].identity, "Unknown") == 0)
            assert_int_equal(wm_json_get(r, "requestParameters")->type, WM_JSON_NULL);
        if (rows[i].sent.key_id)
            text_is(wm_json_get(r, "userIdentity"), "accessKeyId", rows[i].sent.key_id);
    }
}

static void ids_are_new_for_each_call(void **state)
{
    (void)state;
    char first[WM_UUID_BYTES];
    send_request(&(struct sent){.method = "GET", .path = "/channels"});
    memcpy(first, request.request_id, sizeof first);
    struct wm_view event = wm_arena_copy(&request.arena, wm_json_get_text(record_of(request.seq, NULL), "eventID"));
    char event_id[WM_UUID_BYTES];
    assert_true(wm_view_copy(event, event_id, sizeof event_id));
    uint64_t seq = request.seq;
    send_request(&(struct sent){.method = "GET", .path = "/channels"});
    assert_int_equal(request.seq, seq + 1);
    assert_string_not_equal(request.request_id, first);
    assert_false(wm_view_eq_str(wm_json_get_text(record_of(request.seq, NULL), "eventID"), event_id));
    assert_string_not_equal(request.request_id, event_id);
}

/* A body of many small values takes more memory as a tree than as text. */
static void a_call_that_needs_too_much_memory_is_recorded(void **state)
{
    (void)state;
    static char body[65536];
    size_t len = (size_t)snprintf(body, sizeof body, "{\"id\":\"greedy\",\"more\":[[]");
    while (len + 8 < sizeof body)
        len += (size_t)snprintf(body + len, sizeof body - len, ",[]");
    (void)snprintf(body + len, sizeof body - len, "]}");
    wm_arena_done(&request.arena);
    wm_arena_init(&request.arena, 256 * 1024);
    send_request(&(struct sent){.method = "POST", .path = "/channels", .body = body});
    assert_int_equal(request.status, 500);
    struct wm_entry e;
    const struct wm_json *r = record_of(request.seq, &e);
    text_is(r, "errorCode", "InternalServerErrorException");
    text_is(r, "eventName", "CreateChannel");
    text_is(r, "requestID", request.request_id);
    text_is(wm_json_get(r, "userIdentity"), "type", "Root");
    assert_int_equal(wm_json_get(r, "requestParameters")->type, WM_JSON_NULL);
    assert_int_equal(e.n_changes, 0);
    wm_arena_done(&request.arena);
    wm_arena_init(&request.arena, WM_MAX_ARENA_BYTES);
}

static int __attribute__((noinline)) overwrite_the_stack(int c)
{
    volatile char bytes[32768];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)c;
    return bytes[100];
}

/* Who was not proven is still named, also in the log, which is written after the call; and he cannot make a record
 * larger than the journal takes. */
static void a_claimed_key_lives_as_long_as_its_request(void **state)
{
    (void)state;
    static char query[4000];
    char long_key[1001];
    memset(long_key, 'K', 1000);
    long_key[1000] = '\0';
    snprintf(query, sizeof query,
             "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=%s%%2F20260301%%2Fus-east-1%%2Fmediapackage%%2F"
             "aws4_request&X-Amz-Date=20260301T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature="
             "0000000000000000000000000000000000000000000000000000000000000000", long_key);
    send_request(&(struct sent){.method = "GET", .path = "/channels", .query = query, .unsigned_request = true});
    (void)overwrite_the_stack(0x55);
    assert_int_equal(request.status, 403);
    long_key[128] = '\0';
    assert_true(wm_view_eq_str(request.principal, long_key));
    text_is(wm_json_get(record_of(request.seq, NULL), "userIdentity"), "accessKeyId", long_key);
}

/* So is an operation that we do not have: the connection, whose memory headers are in, may be gone by then. */
static void the_name_of_an_operation_lives_as_long_as_its_request(void **state)
{
    (void)state;
    char target[] = "CloudTrail_20131101.NoSuchOperation";
    send_request(&(struct sent){.method = "POST", .path = "/", .body = "{}", .service = "cloudtrail", .target = target,
                                .content_type = "application/x-amz-json-1.1"});
    memset(target, '#', strlen(target));
    assert_int_equal(request.status, 404);
    assert_true(wm_view_eq_str(request.event_name, "NoSuchOperation"));
    text_is(record_of(request.seq, NULL), "eventName", "NoSuchOperation");
}

static bool has_channel(const char *id)
{
    struct wm_view document;
    wm_state_lock(recorder->state);
    bool there = wm_state_get(recorder->state, WM_LIT("mediapackage.channel"), wm_view_of(id), &document);
    wm_state_unlock(recorder->state);
    return there;
}

static void fill_the_journal(void)
{
    static char text[100000];
    /* Somebody needs it all, so that no segment is used again. */
    assert_int_equal(wm_journal_set_cursor(recorder->journal, "trail:held", 0), WM_OK);
    for (size_t len = sizeof text; len > 100; len /= 4) {
        memset(text, ' ', len);
        text[0] = '{';
        text[len - 1] = '}';
        const struct wm_entry e = {.record = {text, len}};
        enum wm_status status;
        do {
            uint64_t seq = 0;
            wm_journal_await_room(recorder->journal);
            wm_state_lock(recorder->state);
            status = wm_recorder_submit(recorder, &e, &seq, NULL);
            wm_state_unlock(recorder->state);
            assert_int_equal(wm_recorder_commit(recorder, seq, NULL), WM_OK);
        } while (status == WM_OK);
        assert_int_equal(status, WM_E_FULL);
    }
}

static void a_full_journal_refuses_and_answers_as_the_settings_say(void **state)
{
    (void)state;
    const struct sent read = {.method = "GET", .path = "/channels/one"};
    const struct sent write = {.method = "POST", .path = "/channels", .body = "{\"id\":\"full\"}"};
    uint64_t recorded = n_recorded;
    atomic_store(&disk_full, true);
    fill_the_journal();
    struct wm_journal_stats before;
    wm_journal_stats(recorder->journal, &before);
    send_request(&write);
    assert_int_equal(request.status, 503);
    assert_string_equal(request.error_code, "ServiceUnavailableException");
    assert_int_equal(request.seq, 0);
    assert_false(has_channel("full"));
    send_request(&read);
    assert_int_equal(request.status, 503);
    assert_false(request.unrecorded);

    dispatcher.answer_reads = true;
    send_request(&read);
    assert_int_equal(request.status, 200);
    assert_int_equal(request.seq, 0);
    assert_true(request.unrecorded);
    assert_non_null(memmem(request.out.data, request.out.len, "\"one\"", 5));
    send_request(&(struct sent){.method = "GET", .path = "/channels/none"}); /* an answer as well */
    assert_int_equal(request.status, 404);
    assert_true(request.unrecorded);
    send_request(&write);
    assert_int_equal(request.status, 503);
    assert_false(request.unrecorded);
    assert_false(has_channel("full"));
    send_request(&(struct sent){.method = "GET", .path = "/channels/one", .secret = "wrong"});
    assert_int_equal(request.status, 503);
    send_request(&(struct sent){.method = "GET", .path = "/channels/one", .unsigned_request = true});
    assert_int_equal(request.status, 503);
    send_request(&(struct sent){.method = "GET", .path = "/nowhere"}); /* nobody knows what it would do */
    assert_int_equal(request.status, 503);
    assert_int_equal(n_recorded, recorded);
    assert_int_equal(wm_journal_durable(recorder->journal), before.durable_seq);

    /* Space returns; nobody has to call. */
    atomic_store(&disk_full, false);
    for (int i = 0; i < 5000 && wm_journal_durable(recorder->journal) == before.durable_seq; i++)
        usleep(1000);
    struct wm_entry e;
    const struct wm_json *r = record_of(before.durable_seq + 1, &e);
    assert_int_equal(e.flags, WM_ENTRY_SERVICE);
    text_is(r, "eventName", "CallsUnrecorded");
    text_is(r, "eventType", "AwsServiceEvent");
    const struct wm_json *details = wm_json_get(r, "serviceEventDetails");
    assert_true(wm_view_eq_str(wm_json_get(details, "refusedCalls")->text, "6"));
    assert_true(wm_view_eq_str(wm_json_get(details, "answeredReads")->text, "2"));
    assert_non_null(strstr(wm_json_get_text(details, "reason").ptr, "are free"));
    send_request(&read);
    assert_int_equal(request.status, 200);
    assert_false(request.unrecorded);
    assert_int_equal(request.seq, before.durable_seq + 2);
    dispatcher.answer_reads = false;
    wm_journal_stats(recorder->journal, &before);
    n_recorded = before.appended; /* with what was not called */
}

/* Last, since the journal is gone afterwards. */
static void what_cannot_be_recorded_is_answered_503_and_has_no_effect(void **state)
{
    (void)state;
    send_request(&(struct sent){.method = "POST", .path = "/channels", .body = "{\"id\":\"lost\"}"});
    assert_int_equal(request.status, 200);
    struct wm_journal_stats before;
    wm_journal_stats(recorder->journal, &before);
    assert_int_equal(n_recorded, before.appended);
    syncs_until_failure = 1;
    assert_int_equal(wm_recorder_commit(recorder, request.seq, NULL), WM_E_FAILED);
    wm_dispatch_unavailable(&dispatcher, &request);
    assert_int_equal(request.status, 503);
    assert_string_equal(request.error_code, "ServiceUnavailableException");
    assert_null(memmem(request.out.data, request.out.len, "password", 8));

    send_request(&(struct sent){.method = "GET", .path = "/channels/one"});
    assert_int_equal(request.status, 503);
    assert_int_equal(request.seq, 0);
    assert_int_equal(n_recorded, before.appended);

    /* A restart goes back to what is durable. (The failed sync may have written all the same: then the call is there
     * with its record; never one without the other.) */
    close_reader();
    wm_recorder_close(recorder);
    syncs_until_failure = 0;
    const struct wm_recorder_options o = {
        .data_dir = folder, .io = &test_io, .clock = &wm_clock_system, .segment_bytes = 1 << 20};
    assert_int_equal(wm_recorder_open(&o, &recorder, NULL), WM_OK);
    dispatcher.recorder = recorder;
    struct wm_journal_stats stats;
    wm_journal_stats(recorder->journal, &stats);
    struct wm_entry e;
    bool recorded = false;
    for (uint64_t seq = 1; seq <= stats.durable_seq; seq++) {
        const struct wm_json *r = record_of(seq, &e);
        recorded = recorded || wm_view_eq_str(wm_json_get_text(wm_json_get(r, "requestParameters"), "id"), "lost");
    }
    struct wm_view document;
    wm_state_lock(recorder->state);
    bool there = wm_state_get(recorder->state, WM_LIT("mediapackage.channel"), WM_LIT("lost"), &document);
    bool one = wm_state_get(recorder->state, WM_LIT("mediapackage.channel"), WM_LIT("one"), &document);
    wm_state_unlock(recorder->state);
    assert_int_equal(there, recorded);
    assert_true(one);
}

/* ---- what a caller may ---- */

static char noors_key[32], noors_secret[64];

static void query_call(const char *service, const char *form, bool by_noor)
{
    send_request(&(struct sent){.method = "POST",
                                .path = "/",
                                .body = form,
                                .service = service,
                                .content_type = "application/x-www-form-urlencoded",
                                .key_id = by_noor ? noors_key : NULL,
                                .secret = by_noor ? noors_secret : NULL});
}

static void root_calls_iam(const char *form)
{
    query_call("iam", form, false);
    if (request.status != 200)
        fail_msg("%s: %.*s", form, WM_ARG(wm_buf_view(&request.out)));
}

static void noor_calls(const char *method, const char *path, const char *body, bool secure)
{
    send_request(&(struct sent){.method = method,
                                .path = path,
                                .body = body,
                                .key_id = noors_key,
                                .secret = noors_secret,
                                .secure = secure});
}

/* The text between two tags of the last answer. */
static void take_text(const char *open, char *out, size_t size)
{
    struct wm_view all = wm_buf_view(&request.out);
    const char *at = memmem(all.ptr, all.len, open, strlen(open));
    assert_non_null(at);
    struct wm_view rest = wm_view_sub(all, (size_t)(at - all.ptr) + strlen(open), all.len);
    assert_true(wm_view_copy(wm_view_split(&rest, '<'), out, size));
}

static void noor_exists(void)
{
    root_calls_iam("Action=CreateUser&Version=2010-05-08&UserName=noor");
    root_calls_iam("Action=CreateAccessKey&Version=2010-05-08&UserName=noor");
    take_text("<AccessKeyId>", noors_key, sizeof noors_key);
    take_text("<SecretAccessKey>", noors_secret, sizeof noors_secret);
}

#define NOOR "arn:aws:iam::123456789012:user/noor"
#define ONE "arn:aws:mediapackage:us-east-1:123456789012:channels/one"

/* The last call was refused in exactly these words, and is recorded so, with what was asked for, and without effect. */
static void was_denied(const char *code, const char *message, const char *event_name)
{
    struct wm_entry e;
    char text[1024];
    assert_int_equal(request.status, 403);
    assert_string_equal(request.error_code, code);
    const struct wm_json *r = record_of(request.seq, &e);
    text_is(r, "errorCode", code);
    text_is(r, "errorMessage", message);
    text_is(r, "eventName", event_name);
    text_is(r, "requestID", request.request_id);
    text_is(wm_json_get(r, "userIdentity"), "type", "IAMUser");
    text_is(wm_json_get(r, "userIdentity"), "userName", "noor");
    text_is(wm_json_get(r, "userIdentity"), "arn", NOOR);
    text_is(wm_json_get(r, "userIdentity"), "accessKeyId", noors_key);
    assert_int_equal(wm_json_get(r, "responseElements")->type, WM_JSON_NULL);
    assert_true(e.flags & WM_ENTRY_REFUSED);
    for (size_t i = 0; i < e.n_changes; i++) /* that the key was used is noted whatever becomes of the call */
        assert_true(wm_view_eq_str(e.changes[i].kind, "iam.last-used"));
    snprintf(text, sizeof text, "\"message\":\"%s\"", message);
    if (request.route.protocol == &wm_protocol_query)
        snprintf(text, sizeof text, "<Message>%s</Message>", message);
    if (!memmem(request.out.data, request.out.len, text, strlen(text)))
        fail_msg("answered %.*s", WM_ARG(wm_buf_view(&request.out)));
}

static void who_may_not_is_refused_and_recorded(void **state)
{
    (void)state;
    noor_exists();
    noor_calls("DELETE", "/channels/one", NULL, false);
    was_denied("AccessDeniedException",
               "User: " NOOR " is not authorized to perform: mediapackage:DeleteChannel on resource: " ONE
               " because no identity-based policy allows the mediapackage:DeleteChannel action", "DeleteChannel");
    text_is(wm_json_get(record_of(request.seq, NULL), "requestParameters"), "id", "one");
    assert_true(has_channel("one"));
    /* the same, where there is no such channel */
    noor_calls("DELETE", "/channels/two", NULL, false);
    was_denied("AccessDeniedException",
               "User: " NOOR " is not authorized to perform: mediapackage:DeleteChannel on resource: "
               "arn:aws:mediapackage:us-east-1:123456789012:channels/two because no identity-based policy allows the "
               "mediapackage:DeleteChannel action", "DeleteChannel");
    noor_calls("POST", "/channels", "{\"id\":\"noors\"}", false);
    was_denied("AccessDeniedException",
               "User: " NOOR " is not authorized to perform: mediapackage:CreateChannel on resource: * because no "
               "identity-based policy allows the mediapackage:CreateChannel action", "CreateChannel");
    assert_false(has_channel("noors"));

    query_call("iam", "Action=CreateUser&Version=2010-05-08&UserName=friend&Path=/x/", true);
    was_denied("AccessDenied",
               "User: " NOOR " is not authorized to perform: iam:CreateUser on resource: "
               "arn:aws:iam::123456789012:user/x/friend because no identity-based policy allows the iam:CreateUser action",
               "CreateUser");
    send_request(&(struct sent){.method = "POST", .path = "/", .service = "cloudtrail", .body = "{\"Name\":\"audit\"}",
                                .content_type = "application/x-amz-json-1.1",
                                .target = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.GetTrail",
                                .key_id = noors_key, .secret = noors_secret});
    was_denied("AccessDeniedException",
               "User: " NOOR " is not authorized to perform: cloudtrail:GetTrail on resource: "
               "arn:aws:cloudtrail:us-east-1:123456789012:trail/audit because no identity-based policy allows the "
               "cloudtrail:GetTrail action", "GetTrail");

    /* What is wrong with the call itself is said first; what needs no permission is not asked for. */
    noor_calls("POST", "/channels", "{}", false);
    assert_int_equal(request.status, 422);
    noor_calls("POST", "/channels", "{\"id\"", false);
    assert_int_equal(request.status, 400);
    noor_calls("GET", "/nothing/here", NULL, false);
    assert_int_equal(request.status, 404);
    query_call("sts", "Action=GetCallerIdentity&Version=2011-06-15", true);
    assert_int_equal(request.status, 200);
}

#define PUT_POLICY(NAME, STATEMENT)                                                                                    \
    "Action=PutUserPolicy&Version=2010-05-08&UserName=noor&PolicyName=" NAME                                           \
    "&PolicyDocument={\"Version\":\"2012-10-17\",\"Statement\":[" STATEMENT "]}"

/* A policy counts from the entry on that it was given in, and no longer than to the one that it was taken in. */
static void permissions_count_from_their_entry_on(void **state)
{
    (void)state;
    struct wm_json *reply;
    char arn[256], message[1024];
    root_calls_iam(PUT_POLICY("read", "{\"Effect\":\"Allow\",\"Action\":\"mediapackage:Describe*\",\"Resource\":\"*\"}"));
    noor_calls("GET", "/channels/one", NULL, false);
    assert_int_equal(request.status, 200);
    assert_int_equal(wm_json_parse(&arena, wm_buf_view(&request.out), &reply, NULL), WM_OK);
    assert_true(wm_view_copy(wm_json_get_text(reply, "arn"), arn, sizeof arn));
    noor_calls("DELETE", "/channels/one", NULL, false); /* who may look is told the ARN */
    snprintf(message, sizeof message,
             "User: " NOOR " is not authorized to perform: mediapackage:DeleteChannel on resource: %s because no "
             "identity-based policy allows the mediapackage:DeleteChannel action", arn);
    was_denied("AccessDeniedException", message, "DeleteChannel");
    noor_calls("GET", "/channels/two", NULL, false);
    assert_int_equal(request.status, 404);

    root_calls_iam(PUT_POLICY("deny", "{\"Effect\":\"Deny\",\"Action\":\"*\",\"Resource\":\"*\",\"Condition\":{"
                                      "\"Bool\":{\"aws:SecureTransport\":\"false\"}}}"));
    noor_calls("GET", "/channels/one", NULL, false);
    was_denied("AccessDeniedException",
               "User: " NOOR " is not authorized to perform: mediapackage:DescribeChannel on resource: " ONE
               " with an explicit deny in an identity-based policy", "DescribeChannel");
    query_call("sts", "Action=GetCallerIdentity&Version=2011-06-15", true); /* which nobody can be denied */
    assert_int_equal(request.status, 200);
    noor_calls("GET", "/channels/one", NULL, true);
    assert_int_equal(request.status, 200);
    root_calls_iam("Action=DeleteUserPolicy&Version=2010-05-08&UserName=noor&PolicyName=deny");
    noor_calls("GET", "/channels/one", NULL, false);
    assert_int_equal(request.status, 200);
    root_calls_iam("Action=DeleteUserPolicy&Version=2010-05-08&UserName=noor&PolicyName=read");
    noor_calls("GET", "/channels/one", NULL, false);
    assert_int_equal(request.status, 403);
}

/* As no call would. The empty document removes it. */
static void put_channel(const char *id, const char *document)
{
    const struct wm_change change = {
        .kind = WM_LIT("mediapackage.channel"), .id = wm_view_of(id), .document = wm_view_of(document)};
    wm_state_lock(recorder->state);
    assert_int_equal(wm_state_reserve(recorder->state, &change, 1, NULL), WM_OK);
    wm_state_apply(recorder->state, &change, 1);
    wm_state_unlock(recorder->state);
}

/* What a call demands cannot be told: it fails, whatever the caller may. Root is asked nothing, and the handler fails. */
static void demands_that_cannot_be_read_fail_the_call(void **state)
{
    (void)state;
    put_channel("bad", "{}");
    root_calls_iam(PUT_POLICY("all", "{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"}"));
    noor_calls("DELETE", "/channels/bad", NULL, false);
    assert_int_equal(request.status, 500);
    text_is(record_of(request.seq, NULL), "errorCode", "InternalServerErrorException");
    assert_true(has_channel("bad"));
    put_channel("bad", "");
    root_calls_iam("Action=DeleteUserPolicy&Version=2010-05-08&UserName=noor&PolicyName=all");
}

/* Nothing is noted of a key that the call itself deletes. */
static void a_user_deletes_the_key_it_signs_with(void **state)
{
    (void)state;
    struct wm_entry e;
    char form[200];
    root_calls_iam("Action=CreateAccessKey&Version=2010-05-08&UserName=noor"); /* not used yet */
    take_text("<AccessKeyId>", noors_key, sizeof noors_key);
    take_text("<SecretAccessKey>", noors_secret, sizeof noors_secret);
    root_calls_iam("Action=AttachUserPolicy&Version=2010-05-08&UserName=noor&"
                   "PolicyArn=arn:aws:iam::aws:policy/AdministratorAccess");
    (void)snprintf(form, sizeof form, "Action=DeleteAccessKey&Version=2010-05-08&AccessKeyId=%s", noors_key);
    query_call("iam", form, true);
    assert_int_equal(request.status, 200);
    (void)record_of(request.seq, &e);
    assert_int_equal(e.n_changes, 3);
    for (size_t i = 0; i < e.n_changes; i++)
        if (wm_view_eq_str(e.changes[i].kind, "iam.last-used"))
            assert_int_equal(e.changes[i].document.len, 0);
    query_call("iam", "Action=GetUser&Version=2010-05-08", true);
    assert_int_equal(request.status, 403);
    assert_string_equal(request.error_code, "InvalidClientTokenId");
}

/* ---- limits ---- */

static void limit(struct wm_throttle_limit source, struct wm_throttle_limit principal)
{
    wm_throttle_free(dispatcher.throttle);
    assert_int_equal(wm_throttle_new(source, principal, &dispatcher.throttle, NULL), WM_OK);
}

static const struct wm_throttle_limit no_limit = {0, 0};

static void a_throttled_call_is_429_and_recorded(void **state)
{
    (void)state;
    static const struct {
        struct sent sent;
        const char *code, *event_source, *event_name;
    } rows[] = {
        {{.method = "POST", .path = "/channels", .body = "{\"id\":\"too-many\"}"}, "TooManyRequestsException",
         "mediapackage.amazonaws.com", "CreateChannel"},
        {{.method = "POST", .path = "/", .service = "cloudtrail", .body = "{}", .content_type = "application/x-amz-json-1.1",
          .target = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.DescribeTrails"},
         "ThrottlingException", "cloudtrail.amazonaws.com", "DescribeTrails"},
        {{.method = "POST", .path = "/", .service = "sts", .content_type = "application/x-www-form-urlencoded",
          .body = "Action=GetCallerIdentity&Version=2011-06-15"}, "Throttling", "sts.amazonaws.com", "GetCallerIdentity"},
    };
    for (int by_source = 0; by_source < 2; by_source++) {
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            struct wm_entry e;
            limit(by_source ? (struct wm_throttle_limit){2, 1} : no_limit, by_source ? no_limit : (struct wm_throttle_limit){2, 1});
            send_request(&(struct sent){.method = "GET", .path = "/channels"});
            assert_int_equal(request.status, 200);
            assert_int_equal(request.retry_after_s, 0);
            send_request(&rows[i].sent);
            assert_int_equal(request.status, 429);
            assert_int_equal(request.retry_after_s, 1);
            assert_non_null(memmem(request.out.data, request.out.len, rows[i].code, strlen(rows[i].code)));
            const struct wm_json *r = record_of(request.seq, &e);
            assert_int_equal(e.flags & WM_ENTRY_REFUSED, WM_ENTRY_REFUSED);
            assert_int_equal(e.n_changes, 0);
            text_is(r, "errorCode", rows[i].code);
            text_is(r, "eventSource", rows[i].event_source);
            text_is(r, "eventName", rows[i].event_name);
            text_is(r, "requestID", request.request_id);
            text_is(r, "sourceIPAddress", "203.0.113.5");
            text_is(r, "errorMessage", by_source
                    ? "Too many calls by source 203.0.113.5: at most 2 a second and 1 at once are taken "
                      "(throttle.source_rate, throttle.source_burst); come again in 1 s"
                    : "Too many calls by principal arn:aws:iam::123456789012:root: at most 2 a second and 1 at once are taken "
                      "(throttle.principal_rate, throttle.principal_burst); come again in 1 s");
            text_is(wm_json_get(r, "userIdentity"), "type", by_source ? "Unknown" : "Root");
            text_is(wm_json_get(r, "userIdentity"), "accessKeyId", key_id);
            atomic_fetch_add(&mono_ns, WM_NS_PER_S / 2);
            send_request(&(struct sent){.method = "GET", .path = "/channels/too-many"});
            assert_int_equal(request.status, 404); /* taken, and what was refused had no effect */
        }
    }
    limit(no_limit, no_limit);
}

/* The source's bucket is asked before the signature, so a wrong one is not even found out; the principal's behind it, so that
 * nobody can empty it who only knows the key's name. */
static void who_is_not_proven_cannot_use_up_anybody_elses_calls(void **state)
{
    (void)state;
    const struct sent wrong = {.method = "GET", .path = "/channels", .secret = "wrong"};
    const struct sent right = {.method = "GET", .path = "/channels"};
    limit((struct wm_throttle_limit){1, 3}, (struct wm_throttle_limit){1, 1});
    for (int i = 0; i < 3; i++) {
        send_request(&wrong);
        assert_int_equal(request.status, 403);
    }
    send_request(&wrong);
    assert_int_equal(request.status, 429);
    struct sent elsewhere = right;
    elsewhere.source = "203.0.113.6";
    send_request(&elsewhere); /* another source, and the principal's only call is still there */
    assert_int_equal(request.status, 200);
    send_request(&elsewhere);
    assert_int_equal(request.status, 429);
    text_is(wm_json_get(record_of(request.seq, NULL), "userIdentity"), "type", "Root");
    atomic_fetch_add(&mono_ns, WM_NS_PER_S);
    struct sent too_large = right;
    too_large.refused = true;
    too_large.refusal = WM_REFUSE_BODY_TOO_LARGE;
    send_request(&too_large); /* refused already, which costs its source nothing more */
    assert_int_equal(request.status, 413);
    send_request(&right);
    assert_int_equal(request.status, 200);
    limit(no_limit, no_limit);
}

/* ---- refused calls that are folded ---- */

static struct wm_recorder *unfolded;
static char fold_folder[] = "/tmp/waymark-fold-XXXXXX";

static int fold_set_up(void **state)
{
    (void)state;
    memcpy(fold_folder + strlen(fold_folder) - 6, "XXXXXX", 6);
    if (!mkdtemp(fold_folder))
        return -1;
    const struct wm_recorder_options o = {.data_dir = fold_folder, .io = &test_io, .clock = &test_clock,
                                          .segment_bytes = 1 << 20, .fold_window_ms = 10000,
                                          .account_id = WM_LIT("123456789012"), .region = WM_LIT("us-east-1")};
    unfolded = recorder;
    n_folded = 0;
    int rc = wm_recorder_open(&o, &recorder, NULL);
    dispatcher.recorder = recorder;
    return rc;
}

static int fold_tear_down(void **state)
{
    (void)state;
    close_reader();
    wm_recorder_close(recorder);
    recorder = dispatcher.recorder = unfolded;
    char command[200];
    snprintf(command, sizeof command, "rm -rf '%s'", fold_folder);
    return system(command);
}

static bool is_folded(const struct sent *s)
{
    send_request(s);
    assert_true(request.status >= 400 && request.out.len > 0 && request.request_id[0]);
    assert_int_equal(request.seq == 0, request.folded);
    assert_int_equal(request.behind, request.folded ? wm_journal_appended(recorder->journal) : 0);
    assert_false(request.unrecorded);
    return request.folded;
}

/* Whoever is known and reaches for the audit is recorded each time; who is not proven is one of a flood like any other. */
static void refusals_at_the_audit_are_not_folded(void **state)
{
    (void)state;
    const struct sent stop = {.method = "POST", .path = "/", .service = "cloudtrail", .body = "{\"Name\":\"main\"}",
                              .content_type = "application/x-amz-json-1.1",
                              .target = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.StopLogging"};
    struct sent nobody = stop;
    nobody.secret = "wrong";
    env.audit_locked = true;
    for (int i = 0; i < 5; i++)
        assert_false(is_folded(&stop));
    assert_false(is_folded(&nobody));
    for (int i = 0; i < 5; i++)
        assert_true(is_folded(&nobody));
    env.audit_locked = false;
}

/* The newest entry, which must be the event. */
static const struct wm_json *folded_event(void)
{
    struct wm_entry e;
    const struct wm_json *r = record_of(wm_journal_durable(recorder->journal), &e);
    assert_int_equal(e.flags, WM_ENTRY_SERVICE);
    text_is(r, "eventName", "RefusedCallsFolded");
    text_is(r, "eventType", "AwsServiceEvent");
    return wm_json_get(r, "serviceEventDetails");
}

static void tally_is(const struct wm_json *details, const char *list, const char *want)
{
    char text[2000];
    struct wm_buf out;
    wm_buf_init(&out, sizeof text);
    wm_json_write(&out, wm_json_get(details, list));
    assert_string_equal(wm_buf_cstr(&out), want);
    wm_buf_done(&out);
}

static void number_is(const struct wm_json *object, const char *name, const char *want)
{
    const struct wm_json *n = wm_json_get(object, name);
    assert_non_null(n);
    if (!wm_view_eq_str(n->text, want))
        fail_msg("%s is %.*s, not %s", name, WM_ARG(n->text), want);
}

static void of_a_flood_the_first_is_recorded_and_the_rest_counted(void **state)
{
    (void)state;
    struct wm_journal_stats s;
    const struct sent wrong = {.method = "GET", .path = "/channels", .secret = "wrong"};
    const struct sent other_key = {.method = "PUT", .path = "/channels/a", .body = "{}", .key_id = "AKIDNOBODY"};
    assert_false(is_folded(&wrong));
    assert_int_equal(request.seq, 1);
    for (int i = 0; i < 500; i++)
        assert_true(is_folded(&wrong));
    assert_int_equal(request.status, 403); /* answered as ever */
    assert_string_equal(request.error_code, "InvalidSignatureException");
    assert_false(is_folded(&other_key)); /* another error: recorded once, whoever it claims to be and whatever it asks for */
    assert_true(is_folded(&other_key));
    struct sent another_claim = other_key;
    another_claim.key_id = "AKIDSOMEBODY";
    another_claim.method = "DELETE";
    assert_true(is_folded(&another_claim));
    struct sent elsewhere = wrong;
    elsewhere.source = "203.0.113.6"; /* another source */
    assert_false(is_folded(&elsewhere));
    assert_int_equal(n_folded, 502);
    assert_int_equal(wm_recorder_fold_counts(recorder).pending, 502);
    wm_journal_stats(recorder->journal, &s);
    assert_int_equal(s.last_seq, 3);

    atomic_fetch_add(&mono_ns, 10 * WM_NS_PER_S); /* the follower's thread looks five times a second */
    while (wm_recorder_fold_counts(recorder).told == 0)
        usleep(1000);
    assert_int_equal(wm_recorder_fold_counts(recorder).told, 502);
    assert_int_equal(wm_recorder_fold_counts(recorder).pending, 0);
    assert_int_equal(wm_journal_durable(recorder->journal), 4); /* of the other source there is nothing to tell */
    const struct wm_json *d = folded_event();
    char want[300];
    text_is(d, "sourceIPAddress", "203.0.113.5");
    number_is(d, "foldedCalls", "502");
    number_is(d, "recordedCalls", "2");
    assert_int_equal(wm_json_get_text(d, "firstTime").len, 20);
    assert_int_equal(wm_json_get_text(d, "lastTime").len, 20);
    tally_is(d, "errorCodes", "[{\"errorCode\":\"InvalidSignatureException\",\"calls\":500},"
                              "{\"errorCode\":\"UnrecognizedClientException\",\"calls\":2}]");
    snprintf(want, sizeof want, "[{\"accessKeyId\":\"%s\",\"calls\":500},{\"accessKeyId\":\"AKIDNOBODY\",\"calls\":1},"
                                "{\"accessKeyId\":\"AKIDSOMEBODY\",\"calls\":1}]", key_id);
    tally_is(d, "callers", want);
    tally_is(d, "operations", "[{\"eventName\":\"ListChannels\",\"calls\":500},{\"eventName\":\"UpdateChannel\",\"calls\":1},"
                              "{\"eventName\":\"DeleteChannel\",\"calls\":1}]");
    assert_false(is_folded(&wrong)); /* the next window begins with a record again */
    assert_true(is_folded(&wrong));
}

static void what_ran_or_had_an_effect_is_never_folded(void **state)
{
    (void)state;
    static const struct sent never[] = {
        {.method = "POST", .path = "/channels", .body = "{\"id\":\"one\"}"},
        {.method = "GET", .path = "/channels/one"},
        {.method = "GET", .path = "/channels/none"},                               /* refused by its handler, which saw the state */
        {.method = "POST", .path = "/channels", .body = "{\"id\":\"one\"}"},   /* is there already */
        {.method = "DELETE", .path = "/channels/one"},
    };
    const struct sent wrong = {.method = "GET", .path = "/channels", .secret = "wrong"};
    assert_false(is_folded(&wrong));
    assert_true(is_folded(&wrong));
    for (int again = 0; again < 3; again++) {
        for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
            send_request(&never[i]);
            assert_false(request.folded);
            assert_true(request.seq > 0);
        }
    }
}

/* Who was proven is recorded whole once for each operation and error. */
static void a_known_caller_is_recorded_for_each_operation(void **state)
{
    (void)state;
    const struct sent malformed = {.method = "POST", .path = "/channels", .body = "{\"id\":"};
    const struct sent malformed_put = {.method = "PUT", .path = "/channels/a", .body = "{\"id\":"};
    const struct sent invalid = {.method = "POST", .path = "/channels", .body = "{}"};
    const struct sent *const all[] = {&malformed, &malformed_put, &invalid};
    for (int again = 0; again < 3; again++)
        for (size_t i = 0; i < 3; i++)
            assert_int_equal(is_folded(all[i]), again > 0);
    wm_recorder_fold_end(recorder);
    const struct wm_json *d = folded_event();
    number_is(d, "foldedCalls", "6");
    number_is(d, "recordedCalls", "3");
    tally_is(d, "callers", "[{\"arn\":\"arn:aws:iam::123456789012:root\",\"calls\":6}]");
    /* No list of kinds is endless: what is of yet another one has a record. */
    char path[64];
    for (int i = 0; i < 40; i++) {
        for (int again = 0; again < 2; again++) {
            struct sent unknown = {.method = "POST", .path = "/", .service = "cloudtrail", .body = "{}",
                                   .content_type = "application/x-amz-json-1.1", .target = path};
            snprintf(path, sizeof path, "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.Op%d", i);
            assert_int_equal(is_folded(&unknown), again == 1 && i < 32);
        }
    }
    wm_recorder_fold_end(recorder);
    d = folded_event();
    number_is(d, "foldedCalls", "32");
    number_is(d, "recordedCalls", "48");
    const struct wm_json *operations = wm_json_get(d, "operations");
    assert_int_equal(operations->count, 9); /* eight by name, the rest together */
    const struct wm_json *last = operations->first;
    while (last->next)
        last = last->next;
    assert_true(wm_json_get(last, "others")->boolean);
    number_is(last, "calls", "24");
}

static void throttled_calls_fold_like_others(void **state)
{
    (void)state;
    limit((struct wm_throttle_limit){1, 1}, no_limit);
    const struct sent read = {.method = "GET", .path = "/channels", .source = "2001:db8:1:2::1"};
    struct sent neighbour = read;
    neighbour.source = "2001:db8:1:2::2"; /* of the same /64 */
    send_request(&read);
    assert_int_equal(request.status, 200);
    assert_false(is_folded(&read));
    assert_int_equal(request.status, 429);
    for (int i = 0; i < 10; i++) {
        assert_true(is_folded(&neighbour));
        assert_int_equal(request.status, 429);
        assert_int_equal(request.retry_after_s, 1);
    }
    limit(no_limit, no_limit);
}

static void more_sources_than_windows_are_recorded_whole(void **state)
{
    (void)state;
    char source[32];
    for (unsigned i = 0; i < WM_FOLD_SOURCES + 10; i++) {
        const struct sent wrong = {.method = "GET", .path = "/channels", .secret = "wrong", .source = source};
        snprintf(source, sizeof source, "10.0.%u.%u", i >> 8, i & 255);
        assert_false(is_folded(&wrong));
        assert_int_equal(is_folded(&wrong), i < WM_FOLD_SOURCES);
    }
    wm_recorder_fold_end(recorder);
    assert_int_equal(wm_recorder_fold_counts(recorder).told, WM_FOLD_SOURCES);
    assert_int_equal(wm_journal_durable(recorder->journal), 2 * WM_FOLD_SOURCES + 20);
}

/* The journal is full: a window does not begin with a call that it took no record of, and what is counted is told later. */
static void folding_and_a_full_journal(void **state)
{
    (void)state;
    const struct sent wrong = {.method = "GET", .path = "/channels", .secret = "wrong"};
    struct sent elsewhere = wrong;
    elsewhere.source = "203.0.113.7";
    assert_false(is_folded(&wrong));
    assert_true(is_folded(&wrong));
    atomic_store(&disk_full, true);
    fill_the_journal();
    for (int i = 0; i < 2; i++) {
        send_request(&elsewhere);
        assert_int_equal(request.status, 503);
        assert_false(request.folded);
    }
    assert_true(is_folded(&wrong));
    atomic_fetch_add(&mono_ns, 100 * WM_NS_PER_S);
    usleep(500000); /* the follower's thread has looked twice */
    assert_int_equal(wm_recorder_fold_counts(recorder).told, 0);
    assert_int_equal(wm_recorder_fold_counts(recorder).pending, 2);
    assert_true(is_folded(&wrong));
    atomic_store(&disk_full, false);
    for (int i = 0; i < 10000 && wm_recorder_fold_counts(recorder).told == 0; i++)
        usleep(1000);
    assert_int_equal(wm_recorder_fold_counts(recorder).told, 3);
    number_is(folded_event(), "foldedCalls", "3");
}

/* Closed in order, all is in the journal; and the next start begins anew. */
static void a_stop_tells_of_open_windows(void **state)
{
    (void)state;
    const struct sent wrong = {.method = "GET", .path = "/channels", .secret = "wrong"};
    for (int i = 0; i < 5; i++)
        assert_int_equal(is_folded(&wrong), i > 0);
    close_reader();
    wm_recorder_close(recorder);
    const struct wm_recorder_options o = {.data_dir = fold_folder, .io = &test_io, .clock = &test_clock,
                                          .segment_bytes = 1 << 20, .fold_window_ms = 10000};
    assert_int_equal(wm_recorder_open(&o, &recorder, NULL), WM_OK);
    dispatcher.recorder = recorder;
    assert_int_equal(wm_journal_durable(recorder->journal), 2);
    number_is(folded_event(), "foldedCalls", "4");
    assert_false(is_folded(&wrong));
}

/* ---- adding an operation: the example of docs/adding-an-operation.md, line by line ---- */

static const char *const colours[] = {"WHITE", "YELLOW", NULL};

static const struct wm_member put_note_input[] = {
    {.name = "id", .type = WM_MEMBER_STRING, .place = WM_IN_PATH, .required = true},
    {.name = "text", .type = WM_MEMBER_STRING, .required = true, .min = 1, .max = 1000},
    {.name = "colour", .type = WM_MEMBER_STRING, .values = colours, .initial = "\"WHITE\""},
    {.name = "pin", .type = WM_MEMBER_STRING, .secret = true},
    {0},
};

static enum wm_status put_note(struct wm_call *c, struct wm_reply *r)
{
    struct wm_view id = wm_json_get_text(c->params, "id"), channel;
    if (!wm_state_get(c->state, WM_LIT("mediapackage.channel"), id, &channel))
        return wm_reply_error(c, r, "NotFoundException", 404, "There is no channel with id '%.*s'", WM_ARG(id));
    struct wm_json *note = wm_service_complete(c->arena, put_note_input, c->params);
    wm_json_remove(note, "pin"); /* never stored */
    enum wm_status status = wm_reply_keep(c, r, WM_LIT("mediapackage.note"), id, note);
    wm_json_set_string(c->arena, note, "receipt", WM_LIT("for the caller only"));
    r->document = note;
    return status != WM_OK ? status : wm_arena_status(c->arena);
}

static const char *const put_note_secrets[] = {"receipt", NULL};

static const struct wm_operation put_note_row = {
    .name = "PutNote",
    .method = "PUT",
    .path = "/channels/{id}/note",
    .http_status = 200,
    .input = put_note_input,
    .secret_output = put_note_secrets,
    .demands = mediapackage_demand_channel,
    .run = put_note,
};

/* MediaPackage with that row at the end of its table. */
static const struct wm_service *service_with_note(void)
{
    static struct wm_operation rows[64];
    static struct wm_service service;
    service = wm_service_mediapackage;
    assert_true(service.n_operations < 64);
    memcpy(rows, service.operations, service.n_operations * sizeof rows[0]);
    rows[service.n_operations++] = put_note_row;
    service.operations = rows;
    return &service;
}

static void an_operation_is_one_row_and_one_handler(void **state)
{
    (void)state;
    const struct wm_service *const with_note[] = {service_with_note()};
    struct wm_dispatcher before = dispatcher;
    const struct wm_json *r, *parameters;
    struct wm_entry e;
    dispatcher.services = with_note;
    dispatcher.n_services = 1;
    send_request(&(struct sent){.method = "POST", .path = "/channels", .body = "{\"id\":\"noted\"}"});
    assert_int_equal(request.status, 200);

    send_request(&(struct sent){.method = "PUT", .path = "/channels/noted/note",
                                .body = "{\"text\":\"t\",\"pin\":\"4711\",\"unheard\":1}"});
    assert_int_equal(request.status, 200);
    assert_true(wm_view_eq_str(wm_buf_view(&request.out), "{\"id\":\"noted\",\"text\":\"t\",\"colour\":\"WHITE\","
                                                          "\"receipt\":\"for the caller only\"}"));
    r = record_of(request.seq, &e);
    text_is(r, "eventName", "PutNote");
    assert_false(wm_json_get(r, "readOnly")->boolean);
    parameters = wm_json_get(r, "requestParameters");
    assert_int_equal(parameters->count, 3);
    text_is(parameters, "id", "noted");
    text_is(parameters, "text", "t");
    text_is(parameters, "pin", "***");
    text_is(wm_json_get(r, "responseElements"), "colour", "WHITE");
    text_is(wm_json_get(r, "responseElements"), "receipt", "***");
    assert_int_equal(e.n_changes, 1);
    assert_true(wm_view_eq_str(e.changes[0].kind, "mediapackage.note"));
    assert_true(wm_view_eq_str(e.changes[0].document, "{\"id\":\"noted\",\"text\":\"t\",\"colour\":\"WHITE\"}"));

    static const struct {
        const char *path, *body, *code;
        int status;
    } refused[] = {
        {"/channels/none/note", "{\"text\":\"t\"}", "NotFoundException", 404},
        {"/channels/noted/note", "{}", "UnprocessableEntityException", 422},
        {"/channels/noted/note", "{\"text\":\"\"}", "UnprocessableEntityException", 422},
        {"/channels/noted/note", "{\"text\":\"t\",\"colour\":\"RED\"}", "UnprocessableEntityException", 422},
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        send_request(&(struct sent){.method = "PUT", .path = refused[i].path, .body = refused[i].body});
        assert_int_equal(request.status, refused[i].status);
        r = record_of(request.seq, &e);
        text_is(r, "eventName", "PutNote");
        text_is(r, "errorCode", refused[i].code);
        assert_int_equal(e.n_changes, 0);
    }
    text_is(wm_json_get(r, "requestParameters"), "colour", "RED"); /* what was asked for, though it was refused */

    char long_text[3000];
    snprintf(long_text, sizeof long_text, "{\"text\":\"%01001d\"}", 1);
    send_request(&(struct sent){.method = "PUT", .path = "/channels/noted/note", .body = long_text});
    assert_int_equal(request.status, 422);
    dispatcher = before;
}

/* The whole of a text file; the caller frees it. */
/* Whoever calls, and whatever the trail: before the handler, and recorded like any refusal. */
static void audit_lock_is_for_everybody(void **state)
{
    (void)state;
    const struct sent stop = {.method = "POST", .path = "/", .service = "cloudtrail", .body = "{\"Name\":\"main\"}",
                              .content_type = "application/x-amz-json-1.1",
                              .target = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.StopLogging"};
    struct sent start = stop, nobody = stop, wrong = stop;
    start.target = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.StartLogging";
    nobody.secret = "wrong";
    wrong.body = "{}";
    send_request(&stop); /* there is no such trail */
    assert_string_equal(request.error_code, "TrailNotFoundException");
    env.audit_locked = true;
    send_request(&stop);
    assert_int_equal(request.status, 403);
    assert_string_equal(request.error_code, "AccessDeniedException");
    struct wm_entry e;
    const struct wm_json *r = record_of(request.seq, &e);
    assert_int_equal(e.flags, WM_ENTRY_REFUSED);
    text_is(r, "eventName", "StopLogging");
    text_is(r, "errorCode", "AccessDeniedException");
    text_is(r, "errorMessage", "User: arn:aws:iam::123456789012:root is not authorized to perform: cloudtrail:StopLogging on "
                               "resource: arn:aws:cloudtrail:us-east-1:123456789012:trail/main with an explicit deny in the "
                               "settings of this server (audit.locked)");
    text_is(wm_json_get(r, "requestParameters"), "name", "main");
    send_request(&start);
    assert_string_equal(request.error_code, "TrailNotFoundException");
    send_request(&nobody);
    assert_string_equal(request.error_code, "InvalidSignatureException");
    send_request(&wrong);
    assert_string_equal(request.error_code, "ValidationError");
    env.audit_locked = false;
}

static char *read_source(const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, WAYMARK_SOURCE_DIR "/%s", name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    char *text = calloc(1, 1 << 20);
    assert_non_null(text);
    assert_true(fread(text, 1, (1 << 20) - 1, f) > 0);
    fclose(f);
    return text;
}

/* A line of code in the page, which is indented, is one of this file, or of those that the page names. */
static void the_page_about_it_shows_what_is_tested(void **state)
{
    (void)state;
    char *page = read_source("docs/adding-an-operation.md");
    char *sources[] = {read_source("tests/unit/test_dispatch.c"), read_source("tests/unit/test_mediapackage_tags.c")};
    size_t checked = 0;
    char *rest = page;
    for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n")) {
        if (strncmp(line, "    ", 4) != 0)
            continue;
        if (!strstr(sources[0], line + 4) && !strstr(sources[1], line + 4))
            fail_msg("no test has the line: %s", line);
        checked++;
    }
    assert_true(checked > 25);
    free(sources[0]);
    free(sources[1]);
    free(page);
}

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    test_clock = wm_clock_system;
    test_clock.mono = test_mono;
    atomic_store(&mono_ns, 1000 * WM_NS_PER_S);
    test_io = wm_io_posix;
    test_io.fdatasync = failing_fdatasync;
    test_io.free_bytes = said_free;
    static char path[100];
    snprintf(path, sizeof path, "%s/credentials", folder);
    const struct wm_recorder_options o = {
        .data_dir = folder, .io = &test_io, .clock = &wm_clock_system, .segment_bytes = 1 << 20};
    struct wm_auth_options a = {&wm_io_posix, path, WM_LIT("123456789012"), WM_LIT("us-east-1"), NULL, NULL};
    bool made;
    if (wm_recorder_open(&o, &recorder, NULL) != WM_OK)
        return -1;
    a.state = recorder->state;
    a.master_key = master_key;
    if (wm_auth_open(&a, &auth, &made, NULL) != WM_OK || !made)
        return -1;
    FILE *f = fopen(path, "r");
    char line[300];
    while (f && fgets(line, sizeof line, f)) {
        (void)sscanf(line, "aws_access_key_id = %128s", key_id);
        (void)sscanf(line, "aws_secret_access_key = %128s", secret);
    }
    if (f)
        fclose(f);
    env = (struct wm_service_env){.account_id = WM_LIT("123456789012"),
                                  .region = WM_LIT("us-east-1"),
                                  .board = recorder->board,
                                  .clock = &test_clock,
                                  .master_key = master_key};
    n_recorded = 0;
    dispatcher = (struct wm_dispatcher){.env = &env, .services = services, .n_services = 4, .auth = auth,
                                        .recorder = recorder, .record = true, .recorded = &n_recorded,
                                        .folded = &n_folded};
    cache = wm_sigv4_cache_new();
    wm_request_init(&request, 65536);
    wm_arena_init(&arena, 1 << 20);
    return cache ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    wm_throttle_free(dispatcher.throttle);
    wm_request_done(&request);
    wm_arena_done(&arena);
    wm_sigv4_cache_free(cache);
    wm_auth_close(auth);
    close_reader();
    wm_recorder_close(recorder);
    char command[200];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_is_answered_and_recorded),
        cmocka_unit_test(a_read_is_recorded_without_its_answer),
        cmocka_unit_test(audit_lock_is_for_everybody),
        cmocka_unit_test(every_refusal_is_recorded),
        cmocka_unit_test(ids_are_new_for_each_call),
        cmocka_unit_test(a_call_that_needs_too_much_memory_is_recorded),
        cmocka_unit_test(a_claimed_key_lives_as_long_as_its_request),
        cmocka_unit_test(the_name_of_an_operation_lives_as_long_as_its_request),
        cmocka_unit_test(who_may_not_is_refused_and_recorded),
        cmocka_unit_test(permissions_count_from_their_entry_on),
        cmocka_unit_test(demands_that_cannot_be_read_fail_the_call),
        cmocka_unit_test(a_user_deletes_the_key_it_signs_with),
        cmocka_unit_test(an_operation_is_one_row_and_one_handler),
        cmocka_unit_test(the_page_about_it_shows_what_is_tested),
        cmocka_unit_test(a_throttled_call_is_429_and_recorded),
        cmocka_unit_test(who_is_not_proven_cannot_use_up_anybody_elses_calls),
        cmocka_unit_test_setup_teardown(of_a_flood_the_first_is_recorded_and_the_rest_counted, fold_set_up, fold_tear_down),
        cmocka_unit_test_setup_teardown(refusals_at_the_audit_are_not_folded, fold_set_up, fold_tear_down),
        cmocka_unit_test_setup_teardown(what_ran_or_had_an_effect_is_never_folded, fold_set_up, fold_tear_down),
        cmocka_unit_test_setup_teardown(a_known_caller_is_recorded_for_each_operation, fold_set_up, fold_tear_down),
        cmocka_unit_test_setup_teardown(throttled_calls_fold_like_others, fold_set_up, fold_tear_down),
        cmocka_unit_test_setup_teardown(more_sources_than_windows_are_recorded_whole, fold_set_up, fold_tear_down),
        cmocka_unit_test_setup_teardown(folding_and_a_full_journal, fold_set_up, fold_tear_down),
        cmocka_unit_test_setup_teardown(a_stop_tells_of_open_windows, fold_set_up, fold_tear_down),
        cmocka_unit_test(a_full_journal_refuses_and_answers_as_the_settings_say),
        cmocka_unit_test(what_cannot_be_recorded_is_answered_503_and_has_no_effect),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
