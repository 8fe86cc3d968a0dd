#include "delivery/batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "waymark/bounds.h"

#include "waymark/banned.h"

#define S WM_NS_PER_S

static struct wm_entry entry(uint64_t seq, int64_t time_s, const char *record)
{
    return (struct wm_entry){.seq = seq, .time = {time_s * S}, .record = wm_view_of(record)};
}

static enum wm_status add(struct wm_batch *b, uint64_t seq, int64_t time_s, const char *record)
{
    struct wm_entry e = entry(seq, time_s, record);
    return wm_batch_add(b, &e, (struct wm_wall_ns){1000 * S}, (struct wm_mono_ns){5 * S}, NULL);
}

static void batch_copies_records_into_one_line(void **state)
{
    (void)state;
    struct wm_batch b;
    struct wm_batch_limits limits = {65536, 100, 1000, 0};
    wm_batch_init(&b, &limits);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(b.first_seq, 0);
        assert_int_equal(add(&b, 7, 990, "{\"a\": 0.0}"), WM_OK);
        assert_int_equal(add(&b, 8, 985, "{\"b\":\"\xc3\xa9\"}"), WM_OK);
        assert_int_equal(add(&b, 90, 995, "{\"c\":[]}"), WM_OK);
        assert_int_equal(wm_batch_close(&b, NULL), WM_OK);
        assert_string_equal(wm_buf_cstr(&b.body), "{\"Records\":[{\"a\": 0.0,\"waymarkSequence\":7},"
                                                  "{\"b\":\"\xc3\xa9\",\"waymarkSequence\":8},"
                                                  "{\"c\":[],\"waymarkSequence\":90}]}");
        assert_int_equal(b.first_seq, 7);
        assert_int_equal(b.last_seq, 90);
        assert_int_equal(b.records, 3);
        assert_int_equal(b.newest.ns, 995 * S);
        assert_int_equal(b.oldest.ns, 985 * S);
        wm_batch_clear(&b);
    }
    wm_batch_done(&b);
}

static void batch_closes_at_its_bytes_exactly(void **state)
{
    (void)state;
    /* {"Records":[{"a":1,"waymarkSequence":1},{"b":2,"waymarkSequence":2}]} has 12 + 27 + 1 + 27 + 2 = 69 bytes */
    static const struct {
        uint64_t bytes;
        enum wm_status second;
        bool full_after;
    } cases[] = {{68, WM_E_FULL, true}, {69, WM_OK, true}, {71, WM_OK, false}, {5, WM_E_FULL, true}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wm_batch b;
        struct wm_batch_limits limits = {cases[i].bytes, 100, 1000, 0};
        wm_batch_init(&b, &limits);
        assert_int_equal(add(&b, 1, 990, "{\"a\":1}"), WM_OK); /* a first one always fits */
        assert_int_equal(add(&b, 2, 990, "{\"b\":2}"), cases[i].second);
        assert_int_equal(b.records, cases[i].second == WM_OK ? 2 : 1);
        assert_int_equal(b.last_seq, cases[i].second == WM_OK ? 2 : 1);
        if (cases[i].second == WM_OK)
            assert_int_equal(wm_batch_full(&b), cases[i].full_after);
        assert_int_equal(wm_batch_close(&b, NULL), WM_OK);
        assert_true(b.body.len <= cases[i].bytes || b.records == 1);
        wm_batch_done(&b);
    }
    /* the largest record in the smallest file */
    struct wm_batch b;
    struct wm_batch_limits limits = {65536, 1, 1000, 1};
    char *large = calloc(1, WM_MAX_RECORD_BYTES + 1);
    memset(large, 'r', WM_MAX_RECORD_BYTES);
    large[0] = '{';
    large[WM_MAX_RECORD_BYTES - 1] = '}';
    wm_batch_init(&b, &limits);
    assert_int_equal(add(&b, UINT64_MAX, 990, large), WM_OK); /* late, with the longest number */
    assert_true(wm_batch_full(&b));
    assert_int_equal(wm_batch_close(&b, NULL), WM_OK);
    wm_batch_done(&b);
    free(large);
}

static void batch_closes_at_its_count(void **state)
{
    (void)state;
    struct wm_batch b;
    struct wm_batch_limits limits = {65536, 2, 1000, 0};
    wm_batch_init(&b, &limits);
    assert_int_equal(add(&b, 1, 990, "{\"A\":0}"), WM_OK);
    assert_false(wm_batch_full(&b));
    assert_int_equal(add(&b, 2, 990, "{\"B\":0}"), WM_OK);
    assert_true(wm_batch_full(&b));
    assert_int_equal(add(&b, 3, 990, "{\"C\":0}"), WM_E_FULL);
    wm_batch_done(&b);
}

static void batch_age_counts_from_the_record(void **state)
{
    (void)state;
    static const struct {
        int64_t time_s;
        int64_t due_ms; /* wall is at 1000 s, the limit is 10 s */
    } cases[] = {{1000, 10000}, {996, 6000}, {990, 0}, {1, 0}, {1500, 10000}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wm_batch b;
        struct wm_batch_limits limits = {65536, 100, 10000, 0};
        wm_batch_init(&b, &limits);
        assert_int_equal(wm_batch_due_ms(&b, (struct wm_mono_ns){5 * S}), INT64_MAX);
        assert_int_equal(add(&b, 1, cases[i].time_s, "{\"A\":0}"), WM_OK);
        assert_int_equal(add(&b, 2, 1, "{\"B\":0}"), WM_OK); /* the first decides */
        assert_int_equal(wm_batch_due_ms(&b, (struct wm_mono_ns){5 * S}), cases[i].due_ms);
        assert_int_equal(wm_batch_due_ms(&b, (struct wm_mono_ns){15 * S}), 0);
        wm_batch_done(&b);
    }
}

static void batch_passes_entries_without_a_record(void **state)
{
    (void)state;
    struct wm_batch b;
    struct wm_batch_limits limits = {65536, 2, 1000, 0};
    wm_batch_init(&b, &limits);
    assert_int_equal(add(&b, 4, 990, ""), WM_OK);
    assert_int_equal(b.first_seq, 4);
    assert_int_equal(b.records, 0);
    assert_false(wm_batch_full(&b));
    assert_int_equal(add(&b, 5, 990, "{\"A\":0}"), WM_OK);
    assert_int_equal(add(&b, 6, 990, ""), WM_OK);
    assert_int_equal(wm_batch_close(&b, NULL), WM_OK);
    assert_string_equal(wm_buf_cstr(&b.body), "{\"Records\":[{\"A\":0,\"waymarkSequence\":5}]}");
    assert_int_equal(b.last_seq, 6);
    assert_int_equal(b.filtered, 2);
    wm_batch_done(&b);
}

/* The decision falls when the batch is begun, and a repetition makes the same one at any time. */
static void batch_says_of_late_records_that_they_are(void **state)
{
    (void)state;
    static const char expected[] =
        "{\"Records\":[{\"n\":1,\"waymarkSequence\":1},"
        "{\"n\":2,\"addendum\":{\"reason\":\"DELIVERY_DELAY\"},\"waymarkSequence\":2},"
        "{\"n\":3,\"waymarkSequence\":3}]}";
    struct wm_batch b;
    struct wm_batch_limits limits = {65536, 100, 1000, 30000};
    wm_batch_init(&b, &limits);
    const struct wm_entry entries[] = {entry(1, 970, "{\"n\":1}"), entry(2, 969, "{\"n\":2}"), entry(3, 999, "{\"n\":3}")};
    struct wm_wall_ns wall = {1000 * S};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(wm_batch_add(&b, &entries[i], wall, (struct wm_mono_ns){5 * S}, NULL), WM_OK);
        wall.ns += 1000 * S; /* what is late now was not when the batch was begun */
    }
    assert_int_equal(wm_batch_close(&b, NULL), WM_OK);
    assert_string_equal(wm_buf_cstr(&b.body), expected);
    struct wm_wall_ns late_before = b.late_before;
    assert_int_equal(late_before.ns, 970 * S);
    wm_batch_clear(&b);
    assert_int_equal(wm_batch_add(&b, &entries[2], wall, (struct wm_mono_ns){5 * S}, NULL), WM_OK);
    assert_non_null(strstr(wm_buf_cstr(&b.body), "DELIVERY_DELAY")); /* another batch, another time */
    wm_batch_repeat(&b, late_before);
    for (int i = 0; i < 3; i++)
        assert_int_equal(wm_batch_add(&b, &entries[i], wall, (struct wm_mono_ns){5 * S}, NULL), WM_OK);
    assert_int_equal(wm_batch_close(&b, NULL), WM_OK);
    assert_string_equal(wm_buf_cstr(&b.body), expected);
    wm_batch_done(&b);
}

static void batch_takes_only_objects(void **state)
{
    (void)state;
    struct wm_batch b;
    struct wm_batch_limits limits = {65536, 100, 1000, 0};
    wm_batch_init(&b, &limits);
    static const char *const records[] = {"{}", "[1]", "{", "{\"a\":1", "\"a\":1}"};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(add(&b, 1, 990, records[i]), WM_E_CORRUPT);
    assert_int_equal(b.first_seq, 0);
    assert_int_equal(b.body.len, 0);
    wm_batch_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batch_copies_records_into_one_line),
        cmocka_unit_test(batch_closes_at_its_bytes_exactly),
        cmocka_unit_test(batch_closes_at_its_count),
        cmocka_unit_test(batch_age_counts_from_the_record),
        cmocka_unit_test(batch_says_of_late_records_that_they_are),
        cmocka_unit_test(batch_takes_only_objects),
        cmocka_unit_test(batch_passes_entries_without_a_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
