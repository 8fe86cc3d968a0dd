/* The status: what its numbers are, and that each equation fails when one of its sides does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "server/monitor.h"
#include "tests/support/folder.h"
#include "waymark/credentials.h"
#include "waymark/json.h"
#include "waymark/log.h"

static char dir[FOLDER_BYTES];
static struct wm_credentials root;
static struct wm_recorder *recorder;
static struct wm_auth *auth;
static struct wm_service_env env;
static struct wm_dispatcher dispatcher;
static _Atomic uint64_t recorded, folded;
static struct wm_monitor monitor;
static struct wm_sigv4_cache *cache;
static struct wm_request request;
static struct wm_arena arena;

static int set_up(void **state)
{
    (void)state;
    char path[FOLDER_BYTES + 20];
    folder_make(dir);
    snprintf(path, sizeof path, "%s/credentials", dir);
    const struct wm_recorder_options r = {
        .data_dir = dir, .io = &wm_io_posix, .clock = &wm_clock_system, .segment_bytes = 1 << 20,
        .fold_window_ms = 3600000};
    const struct wm_auth_options a = {&wm_io_posix, path, WM_LIT("123456789012"), WM_LIT("us-east-1"), NULL, NULL};
    bool made;
    if (wm_recorder_open(&r, &recorder, NULL) != WM_OK || wm_auth_open(&a, &auth, &made, NULL) != WM_OK)
        return -1;
    if (wm_credentials_load(&wm_io_posix, path, WM_LIT("waymark"), &root, NULL) != WM_OK)
        return -1;
    env = (struct wm_service_env){
        .account_id = WM_LIT("123456789012"), .region = WM_LIT("us-east-1"), .board = recorder->board,
        .clock = &wm_clock_system};
    recorded = folded = 0;
    dispatcher = (struct wm_dispatcher){
        .env = &env, .auth = auth, .recorder = recorder, .record = true, .recorded = &recorded, .folded = &folded};
    monitor = (struct wm_monitor){.phase = WM_PHASE_SERVING, .dispatcher = &dispatcher,
                                  .started = wm_clock_wall(&wm_clock_system),
                                  .started_mono = wm_clock_mono(&wm_clock_system)};
    cache = wm_sigv4_cache_new();
    wm_request_init(&request, 65536);
    wm_arena_init(&arena, 1 << 20);
    return cache ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    wm_request_done(&request);
    wm_arena_done(&arena);
    wm_sigv4_cache_free(cache);
    wm_auth_close(auth);
    wm_recorder_close(recorder);
    folder_remove(dir);
    return 0;
}

/* Entries as calls make them, and the dispatcher's count of them. */
static uint64_t enter(unsigned n, int64_t age_s)
{
    uint64_t seq = 0;
    const struct wm_entry e = {.time = {wm_clock_wall(&wm_clock_system).ns - age_s * WM_NS_PER_S},
                               .flags = WM_ENTRY_READ_ONLY, .record = WM_LIT("{}")};
    for (unsigned i = 0; i < n; i++) {
        wm_state_lock(recorder->state);
        assert_int_equal(wm_recorder_submit(recorder, &e, &seq, NULL), WM_OK);
        recorded++;
        wm_state_unlock(recorder->state);
        assert_int_equal(wm_recorder_commit(recorder, seq, NULL), WM_OK);
    }
    return seq;
}

static void wait_counted(uint64_t seq)
{
    struct wm_state_counts c;
    for (wm_state_counts(recorder->state, &c); c.seq < seq; wm_state_counts(recorder->state, &c))
        (void)nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

static const struct wm_json *look(void)
{
    char hash[WM_SHA256_HEX_BYTES];
    uint8_t sha[WM_SHA256_BYTES];
    static struct wm_sigv4_signature s; /* the request keeps pointing at it */
    struct wm_json *document = NULL;
    wm_request_clear(&request);
    request.method = WM_LIT("GET");
    request.path = WM_LIT("/_waymark/status");
    request.headers[request.n_headers++] = (struct wm_sigv4_header){WM_LIT("host"), WM_LIT("x")};
    wm_sha256("", 0, sha);
    wm_hex(sha, sizeof sha, hash);
    const struct wm_sigv4_request r = {.method = request.method, .path = request.path, .headers = request.headers,
                                       .n_headers = 1, .payload_hash = {hash, sizeof hash}};
    const struct wm_sigv4_credentials c = {.access_key_id = wm_view_of(root.access_key_id), .secret = wm_view_of(root.secret),
                                           .region = WM_LIT("us-east-1"), .service = WM_LIT("waymark")};
    assert_int_equal(wm_sigv4_sign(cache, &r, &c, wm_clock_wall(&wm_clock_system), &s), WM_OK);
    request.headers[request.n_headers++] = (struct wm_sigv4_header){WM_LIT("x-amz-date"), wm_view_of(s.date)};
    request.headers[request.n_headers++] =
        (struct wm_sigv4_header){WM_LIT("authorization"), wm_view_of(s.authorization)};
    assert_true(wm_monitor_concerns(&request));
    assert_true(wm_monitor_answer(&monitor, cache, &request));
    assert_int_equal(request.status, 200);
    wm_arena_clear(&arena);
    assert_int_equal(wm_json_parse(&arena, wm_buf_view(&request.out), &document, NULL), WM_OK);
    return document;
}

static int64_t number(const struct wm_json *object, const char *name)
{
    int64_t n = -1;
    const struct wm_json *at = wm_json_get(object, name);
    if (!at || wm_json_to_i64(at, 0, INT64_MAX, &n) != WM_OK)
        fail_msg("%s is no number", name);
    return n;
}

static bool truth(const struct wm_json *object, const char *name)
{
    const struct wm_json *b = wm_json_get(object, name);
    assert_true(b && b->type == WM_JSON_BOOL);
    return b->boolean;
}

/* Exactly this one problem, or none. */
static void problem_is(const struct wm_json *status, const char *part)
{
    const struct wm_json *problems = wm_json_get(status, "problems");
    char text[500] = "";
    assert_non_null(problems);
    assert_int_equal(problems->count, part ? 1 : 0);
    assert_true(truth(status, "healthy") == !part);
    if (!part)
        return;
    assert_true(wm_view_copy(problems->first->text, text, sizeof text));
    if (!strstr(text, part))
        fail_msg("'%s' is not in '%s'", part, text);
}

static void calls_recorded_and_calls_met_must_agree(void **state)
{
    (void)state;
    const struct wm_json *s;
    wait_counted(enter(5, 0));
    monitor.calls = (struct wm_call_counts){.received = 5, .acknowledged = 5};
    s = look();
    problem_is(s, NULL);
    assert_true(truth(wm_json_get(s, "calls"), "complete"));
    assert_int_equal(number(wm_json_get(s, "calls"), "recorded"), 5);
    assert_int_equal(number(wm_json_get(s, "counted"), "seq"), 5);
    assert_int_equal(number(wm_json_get(s, "counted"), "reads"), 5);

    recorded = 6; /* one that the journal does not hold */
    problem_is(look(), "calls recorded since the start are not");
    recorded = 4; /* one that nobody has recorded */
    problem_is(look(), "calls recorded since the start are not");
    recorded = 5;
    monitor.calls_before = 1;
    problem_is(look(), "calls recorded since the start are not");
    monitor.calls_before = 6;
    problem_is(look(), "calls recorded since the start are not");
    monitor.calls_before = 0;
    monitor.calls.acknowledged = 6; /* answered as done, without an entry */
    problem_is(look(), "calls recorded since the start are not");
    monitor.calls = (struct wm_call_counts){.received = 6, .acknowledged = 4, .lost = 1, .refused = 1};
    problem_is(look(), NULL);
}

static void calls_folded_and_calls_told_of_must_agree(void **state)
{
    (void)state;
    const struct wm_refused_call call = {.source = WM_LIT("192.0.2.1"), .error_code = WM_LIT("InvalidSignatureException")};
    (void)enter(1, 0);
    wm_recorder_fold_begin(recorder, &call);
    for (int i = 0; i < 3; i++)
        assert_true(wm_recorder_fold(recorder, &call));
    folded = 3;
    wait_counted(1);
    const struct wm_json *s = look();
    problem_is(s, NULL);
    assert_int_equal(number(wm_json_get(s, "calls"), "folded"), 3);
    assert_int_equal(number(wm_json_get(s, "folded"), "pending"), 3);
    folded = 2; /* one that no call was answered for */
    problem_is(look(), "refused calls that were folded are not as many");
    folded = 4; /* one that no window has counted */
    problem_is(look(), "refused calls that were folded are not as many");
    folded = 3;
    wm_recorder_fold_end(recorder);
    wait_counted(2);
    s = look();
    problem_is(s, NULL);
    assert_int_equal(number(wm_json_get(s, "folded"), "told"), 3);
    assert_int_equal(number(wm_json_get(s, "folded"), "pending"), 0);
    assert_int_equal(number(wm_json_get(s, "counted"), "service"), 1);
}

/* What the service itself does is in the journal as well, and is no call. */
static void service_events_are_not_taken_for_calls(void **state)
{
    (void)state;
    (void)enter(2, 0);
    assert_int_equal(wm_recorder_event(recorder, "PauseFollower", WM_LIT("{}"), NULL), WM_OK);
    wait_counted(enter(1, 0));
    const struct wm_json *s = look();
    problem_is(s, NULL);
    assert_int_equal(number(wm_json_get(s, "counted"), "seq"), 4);
    assert_int_equal(number(wm_json_get(s, "counted"), "service"), 1);
    assert_int_equal(number(wm_json_get(s, "calls"), "recorded"), 3);
}

static struct wm_board_trail trail(uint64_t delivered, uint64_t filtered, uint64_t missed, uint64_t cursor)
{
    struct wm_board_trail t = {.name = "demo", .bucket = "b", .codec = "zstd", .delivered_records = delivered,
                               .filtered_records = filtered, .missed_records = missed, .cursor_seq = cursor};
    return t;
}

static const struct wm_json *post(const struct wm_board_trail *t)
{
    assert_int_equal(wm_board_post_trail(recorder->board, t), WM_OK);
    return look();
}

static void a_trail_shows_where_it_is_and_what_ails_it(void **state)
{
    (void)state;
    (void)enter(6, 7200);
    wait_counted(enter(4, 60));
    struct wm_board_trail t = trail(3, 2, 1, 6);
    t.latest_delivery.ns = 1772359632345000000;
    const struct wm_json *s = post(&t), *shown = wm_json_get(s, "trails")->first;
    const struct wm_json *follower = wm_json_get(s, "followers")->first;
    problem_is(s, NULL);
    assert_true(wm_view_eq_str(wm_json_get_text(shown, "name"), "demo"));
    assert_true(wm_view_eq_str(wm_json_get_text(shown, "latestDelivery"), "2026-03-01T10:07:12Z"));
    assert_int_equal(wm_json_get(shown, "latestDigest")->type, WM_JSON_NULL);
    assert_int_equal(wm_json_get(shown, "latestDeliveryError")->type, WM_JSON_NULL);
    assert_int_equal(wm_json_get(shown, "newestDigest")->type, WM_JSON_NULL);
    assert_int_equal(number(shown, "delivered"), 3);
    assert_int_equal(number(shown, "filtered"), 2);
    assert_int_equal(number(shown, "missed"), 1);
    assert_int_equal(number(shown, "pending"), 4);
    assert_in_range(number(shown, "lagSeconds"), 60, 120); /* of the oldest that is not delivered */
    assert_true(truth(shown, "complete"));
    assert_true(wm_view_eq_str(wm_json_get_text(follower, "name"), "state"));
    assert_int_equal(number(follower, "lagRecords"), 0);
    assert_int_equal(number(follower, "lagSeconds"), 0);
    assert_true(wm_view_eq_str(wm_json_get_text(follower->next, "name"), "trail:demo"));
    assert_int_equal(number(follower->next, "cursor"), 6);

    t.digest_end.ns = 1772359200000000000;
    snprintf(t.digest_bucket, sizeof t.digest_bucket, "evidence");
    snprintf(t.digest_key, sizeof t.digest_key, "AWSLogs/k");
    snprintf(t.digest_hash, sizeof t.digest_hash, "00ff");
    const struct wm_json *newest = wm_json_get(wm_json_get(post(&t), "trails")->first, "newestDigest");
    assert_true(wm_view_eq_str(wm_json_get_text(newest, "bucket"), "evidence"));
    assert_true(wm_view_eq_str(wm_json_get_text(newest, "key"), "AWSLogs/k"));
    assert_true(wm_view_eq_str(wm_json_get_text(newest, "sha256"), "00ff"));
    assert_true(wm_view_eq_str(wm_json_get_text(newest, "end"), "2026-03-01T10:00:00Z"));

    t = trail(0, 0, 0, 0);
    s = post(&t);
    assert_in_range(number(wm_json_get(s, "trails")->first, "lagSeconds"), 7200, 7300);
    t = trail(2, 0, 0, 6); /* begun when four had left the journal */
    t.before_records = 4;
    s = post(&t);
    problem_is(s, NULL);
    assert_int_equal(number(wm_json_get(s, "trails")->first, "before"), 4);
    t = trail(3, 2, 0, 6); /* one is nowhere */
    problem_is(post(&t), "trail demo has passed 6 entries");
    t = trail(4, 2, 1, 6); /* one is twice there */
    problem_is(post(&t), "trail demo has passed 6 entries");
    t = trail(6, 0, 0, 6);
    snprintf(t.latest_delivery_error, sizeof t.latest_delivery_error, "NoSuchBucket");
    problem_is(post(&t), "trail demo does not deliver: NoSuchBucket");
    t = trail(6, 0, 0, 6);
    snprintf(t.latest_digest_error, sizeof t.latest_digest_error, "AccessDenied");
    problem_is(post(&t), "trail demo does not seal: AccessDenied");
    t = trail(6, 0, 0, 6);
    const struct wm_journal_notice pause = {.pause = true, .follower = "trail:demo", .first_seq = 1, .last_seq = 6};
    assert_int_equal(wm_journal_set_cursor(recorder->journal, "trail:demo", 0), WM_OK);
    wm_journal_noticed(recorder->journal, &pause);
    s = post(&t);
    problem_is(s, "trail demo is paused");
    assert_true(truth(wm_json_get(s, "trails")->first, "paused"));
}

static void what_is_not_as_it_should_be_is_said(void **state)
{
    (void)state;
    monitor.phase = WM_PHASE_STOPPING;
    problem_is(look(), "stopping");
    monitor.phase = WM_PHASE_SERVING;
    monitor.failed = true;
    problem_is(look(), "only a restart helps");
    monitor.failed = false;
    dispatcher.record = false;
    const struct wm_json *s = look();
    problem_is(s, "calls are not recorded");
    assert_false(truth(wm_json_get(s, "journal"), "recording"));
}

/* A status that needs more memory than a request may use is said to be that, and not cut. */
static void a_status_without_memory_is_503(void **state)
{
    (void)state;
    (void)look();
    struct wm_request small;
    wm_request_init(&small, 1024);
    wm_arena_done(&small.arena);
    wm_arena_init(&small.arena, 512);
    small.method = request.method;
    small.path = request.path;
    memcpy(small.headers, request.headers, sizeof small.headers);
    small.n_headers = request.n_headers;
    assert_true(wm_monitor_answer(&monitor, cache, &small));
    assert_int_equal(small.status, 503);
    assert_true(wm_view_eq_str(wm_buf_view(&small.out), "there is no memory for the status\n"));
    wm_request_done(&small);
}

int main(void)
{
    wm_log_set_level(WM_LOG_ERROR);
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(calls_recorded_and_calls_met_must_agree),
        TEST(calls_folded_and_calls_told_of_must_agree),
        TEST(service_events_are_not_taken_for_calls),
        TEST(a_trail_shows_where_it_is_and_what_ails_it),
        TEST(what_is_not_as_it_should_be_is_said),
        TEST(a_status_without_memory_is_503),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
