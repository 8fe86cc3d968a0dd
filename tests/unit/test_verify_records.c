#include "delivery/verify_records.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "waymark/arena.h"
#include "waymark/json.h"

#include "waymark/banned.h"

static struct verify_numbers scan(struct wm_view text)
{
    struct verify_scan s;
    verify_scan_init(&s, text, WM_LIT("demo"));
    verify_scan_to(&s, text.len);
    return s.n;
}

static void records_counts_objects_in_the_list(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t records, numbered;
    } cases[] = {
        {"", 0, 0},
        {"{}", 0, 0},
        {"{\"Records\":[]}", 0, 0},
        {"{\"Records\":[{}]}", 1, 0},
        {"{\"Records\":[{\"a\":1},{\"b\":[{\"c\":{}}]},{}]}", 3, 0},
        {"{\"Records\":[{\"a\":\"}]},{\"},{\"b\":\"\\\\\"},{\"c\":\"\\\"}\"}]}", 3, 0},
        {"{\"Records\":[{\"a\":1,\"waymarkSequence\":7}]}", 1, 1},
        {"{\"Records\":[{\"waymarkSequence\":7}]}", 1, 1},
        {" { \"Records\" : [ { \"a\" : 1 , \"waymarkSequence\" : 7 } ] } ", 1, 1},
        {"{\"Records\":[{\"waymarkSequence\":7,\"a\":1}]}", 1, 0},             /* not the last */
        {"{\"Records\":[{\"a\":{\"waymarkSequence\":7}}]}", 1, 0},             /* not the record's own */
        {"{\"Records\":[{\"a\":\",\\\"waymarkSequence\\\":7\"}]}", 1, 0},      /* within a text */
        {"{\"Records\":[{\"x\\\",\\\"waymarkSequence\":7}]}", 1, 0},
        {"{\"Records\":[{\"notwaymarkSequence\":7}]}", 1, 0},
        {"{\"Records\":[{\"a\":1,\"waymarkSequence\":0}]}", 1, 0},
        {"{\"Records\":[{\"a\":1,\"waymarkSequence\":9007199254740991}]}", 1, 1},
        {"{\"Records\":[{\"a\":1,\"waymarkSequence\":9007199254740992}]}", 1, 0},
        {"}}}]]]{{{", 0, 0},
        {"\"", 0, 0},
        {"{\"Records\":[{\"a\":\"", 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct verify_numbers n = scan(wm_view_of(cases[i].text));
        if (n.records != cases[i].records || n.numbered != cases[i].numbered)
            fail_msg("%s: %llu records, %llu numbered", cases[i].text, (unsigned long long)n.records,
                     (unsigned long long)n.numbered);
    }
}

static void records_keeps_sixteen_gaps(void **state)
{
    (void)state;
    struct wm_buf b;
    wm_buf_init(&b, 1u << 16);
    wm_buf_add_str(&b, "{\"Records\":[");
    for (int i = 0; i < 40; i++)
        wm_buf_addf(&b, "%s{\"waymarkSequence\":%d}", i ? "," : "", 1 + 3 * i);
    wm_buf_add_str(&b, "]}");
    struct verify_numbers n = scan(wm_buf_view(&b));
    assert_int_equal(n.numbered, 40);
    assert_int_equal(n.first, 1);
    assert_int_equal(n.highest, 118);
    assert_int_equal(n.n_gaps, 16);
    assert_int_equal(n.gaps[15].first, 47);
    assert_int_equal(n.gaps[15].last, 48);
    assert_int_equal(n.order_number, 0);
    wm_buf_done(&b);
}

static void records_reads_what_was_left_out(void **state)
{
    (void)state;
    static const struct {
        const char *details, *type, *name;
        unsigned missed;
    } cases[] = {
        {"{\"trailARN\":\"arn:aws:cloudtrail:eu-west-1:123456789012:trail/demo\",\"firstSequence\":5,\"lastSequence\":9}",
         "AwsServiceEvent", "RecordsMissed", 1},
        {"{\"trailARN\":\"arn:aws:cloudtrail:eu-west-1:123456789012:trail/nodemo\",\"firstSequence\":5,\"lastSequence\":9}",
         "AwsServiceEvent", "RecordsMissed", 0},
        {"{\"trailARN\":\":trail/demo\",\"firstSequence\":5,\"lastSequence\":9}", "AwsApiCall", "RecordsMissed", 0},
        {"{\"trailARN\":\":trail/demo\",\"firstSequence\":5,\"lastSequence\":9}", "AwsServiceEvent", "RecordsMissedX", 0},
        {"{\"trailARN\":\":trail/demo\",\"firstSequence\":9,\"lastSequence\":5}", "AwsServiceEvent", "RecordsMissed", 0},
        {"{\"trailARN\":\":trail/demo\",\"firstSequence\":\"5\",\"lastSequence\":9}", "AwsServiceEvent", "RecordsMissed", 0},
        {"{\"trailARN\":\":trail/demo\",\"lastSequence\":9}", "AwsServiceEvent", "RecordsMissed", 0},
        {"[]", "AwsServiceEvent", "RecordsMissed", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wm_buf b;
        wm_buf_init(&b, 1u << 16);
        wm_buf_addf(&b, "{\"Records\":[{\"eventName\":\"Other\"},{\"eventType\":\"%s\",\"eventName\":\"%s\",\"serviceEventDetails\":%s,"
                        "\"waymarkSequence\":10},{\"x\":1}]}", cases[i].type, cases[i].name, cases[i].details);
        struct verify_numbers n = scan(wm_buf_view(&b));
        assert_int_equal(n.records, 3);
        assert_int_equal(n.n_missed, cases[i].missed);
        if (n.n_missed) {
            assert_int_equal(n.missed[0].range.first, 5);
            assert_int_equal(n.missed[0].range.last, 9);
        }
        wm_buf_done(&b);
    }
}

/* A record that is so short that the next one's name stands in the same 64 bytes as its end. */
static void records_reads_all_that_were_left_out(void **state)
{
    (void)state;
    struct wm_buf b;
    wm_buf_init(&b, 1u << 16);
    wm_buf_add_str(&b, "{\"Records\":[");
    for (int i = 0; i < 70; i++)
        wm_buf_addf(&b, "%s{\"eventName\":\"RecordsMissed\",\"eventType\":\"AwsServiceEvent\",\"serviceEventDetails\":{"
                    "\"trailARN\":\"arn:aws:cloudtrail:r:1:trail/demo\",\"firstSequence\":%d,\"lastSequence\":%d}}",
                    i ? "," : "", 1 + i, 1 + i);
    wm_buf_add_str(&b, "]}");
    struct verify_numbers n = scan(wm_buf_view(&b));
    assert_int_equal(n.records, 70);
    assert_int_equal(n.n_missed, 64);
    for (unsigned i = 0; i < 64; i++)
        assert_int_equal(n.missed[i].range.first, i + 1);
    wm_buf_done(&b);
}

static void records_sees_what_switches_the_trail(void **state)
{
    (void)state;
#define CALL(name, more, last) "{\"eventSource\":\"cloudtrail.amazonaws.com\",\"eventName\":\"" name "\",\"eventType\":\"AwsApiCall\"," more last "}"
#define NAMED "\"requestParameters\":{\"name\":\"demo\"},"
#define STOP_CALL CALL("StopLogging", NAMED, "\"waymarkSequence\":9")
#define START_CALL CALL("StartLogging", NAMED, "\"waymarkSequence\":8")
    static const struct {
        const char *records;
        bool started, stopped;
    } cases[] = {
        {START_CALL "," STOP_CALL, true, true},
        {STOP_CALL, false, true},
        {START_CALL, true, false},
        {STOP_CALL "," START_CALL, false, false},
        {STOP_CALL ",{\"a\":1}", false, false},
        {"{\"a\":1}," START_CALL, false, false},
        {CALL("StopLogging", "\"requestParameters\":{\"name\":\"arn:aws:cloudtrail:r:1:trail/demo\"},", "\"x\":1"), false, true},
        {CALL("StopLogging", "\"requestParameters\":{\"name\":\"nodemo\"},", "\"x\":1"), false, false},
        {CALL("StopLogging", "\"requestParameters\":[\"demo\"],", "\"x\":1"), false, false},
        {CALL("StopLogging", NAMED "\"errorCode\":\"AccessDeniedException\",", "\"x\":1"), false, false},
        {CALL("StopLoggings", NAMED, "\"x\":1"), false, false},
        {"{\"eventSource\":\"other.amazonaws.com\",\"eventName\":\"StopLogging\",\"eventType\":\"AwsApiCall\"," NAMED "\"x\":1}", false, false},
        {"{\"eventSource\":\"cloudtrail.amazonaws.com\",\"eventName\":\"StopLogging\",\"eventType\":\"AwsServiceEvent\"," NAMED "\"x\":1}", false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wm_buf b;
        wm_buf_init(&b, 1u << 16);
        wm_buf_addf(&b, "{\"Records\":[%s]}", cases[i].records);
        struct verify_numbers n = scan(wm_buf_view(&b));
        if (n.begins_started != cases[i].started || n.ends_stopped != cases[i].stopped)
            fail_msg("case %zu", i);
        wm_buf_done(&b);
    }
}

/* ---- against a reader of JSON, whatever stands at the edges of 64 bytes ---- */

static unsigned long long seed;

static unsigned pick(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % n;
}

static void add_text(struct wm_buf *b)
{
    static const char *const pieces[] = {"a", "\\\\", "\\\"", "{", "}", "[", "]", ",", ":", "RecordsMissed", "R", "\\u007d",
                                         "\\\\\\\"", "waymarkSequence", "long enough to reach over the end of a block of 64"};
    wm_buf_add_char(b, '"');
    for (unsigned n = pick(6); n > 0; n--)
        wm_buf_add_str(b, pieces[pick(sizeof pieces / sizeof pieces[0])]);
    wm_buf_add_char(b, '"');
}

static void add_value(struct wm_buf *b, unsigned depth)
{
    unsigned kind = pick(depth > 4 ? 2 : 4), n = pick(4);
    if (kind == 0)
        add_text(b);
    else if (kind == 1)
        wm_buf_addf(b, "%u", pick(1000));
    else {
        wm_buf_add_char(b, kind == 2 ? '[' : '{');
        for (unsigned i = 0; i < n; i++) {
            if (i)
                wm_buf_add_char(b, ',');
            if (kind == 3)
                wm_buf_addf(b, "\"%u%s\":", i, pick(3) ? "" : "waymarkSequence");
            add_value(b, depth + 1);
        }
        wm_buf_add_char(b, kind == 2 ? ']' : '}');
    }
}

static void records_agrees_with_a_reader_of_json(void **state)
{
    (void)state;
    for (unsigned long long round = 1; round <= 3000; round++) {
        struct wm_buf b;
        struct wm_arena a;
        struct wm_json *root = NULL;
        uint64_t numbered = 0, number = 0, n_records = 0;
        seed = round;
        wm_buf_init(&b, 1u << 20);
        wm_arena_init(&a, 1u << 24);
        wm_buf_add_str(&b, "{\"Records\":[");
        for (unsigned i = 0, n = pick(6); i < n; i++) {
            wm_buf_addf(&b, "%s{\"a\":", i ? "," : "");
            add_value(&b, 0);
            if (pick(2))
                wm_buf_addf(&b, ",\"waymarkSequence\":%llu", (unsigned long long)++number);
            wm_buf_add_char(&b, '}');
        }
        wm_buf_add_str(&b, "]}");
        assert_int_equal(wm_json_parse(&a, wm_buf_view(&b), &root, NULL), WM_OK);
        for (const struct wm_json *r = root->first->first; r; r = r->next) {
            n_records++;
            numbered += wm_view_eq_str(r->last->key, "waymarkSequence");
        }
        struct verify_numbers found = scan(wm_buf_view(&b));
        if (found.records != n_records || found.numbered != numbered || found.highest != number || found.n_gaps)
            fail_msg("seed %llu: %llu records, %llu numbered: %s", round, (unsigned long long)found.records,
                     (unsigned long long)found.numbered, wm_buf_cstr(&b));
        wm_arena_done(&a);
        wm_buf_done(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_counts_objects_in_the_list),
        cmocka_unit_test(records_keeps_sixteen_gaps),
        cmocka_unit_test(records_reads_what_was_left_out),
        cmocka_unit_test(records_reads_all_that_were_left_out),
        cmocka_unit_test(records_sees_what_switches_the_trail),
        cmocka_unit_test(records_agrees_with_a_reader_of_json),
    };
    return cmocka_run_group_tests_name("verify_records", tests, NULL, NULL);
}
