#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "waymark/arena.h"
#include "waymark/buf.h"

static void buf_keeps_content_when_an_append_does_not_fit(void **state)
{
    (void)state;
    struct wm_buf b;
    wm_buf_init(&b, 5);
    wm_buf_add_str(&b, "abc");
    wm_buf_add_str(&b, "def");
    assert_int_equal(wm_buf_status(&b), WM_E_LIMIT);
    wm_buf_add_str(&b, "g"); /* would fit, but the failure sticks */
    assert_true(wm_view_eq_str(wm_buf_view(&b), "abc"));
    assert_string_equal(wm_buf_cstr(&b), "");
    wm_buf_clear(&b);
    wm_buf_add_str(&b, "12345"); /* exactly the ceiling, and a NUL behind it */
    assert_int_equal(wm_buf_status(&b), WM_OK);
    assert_string_equal(wm_buf_cstr(&b), "12345");
    wm_buf_done(&b);
}

static void buf_writes_numbers(void **state)
{
    (void)state;
    struct wm_buf b;
    wm_buf_init(&b, 200);
    wm_buf_add_u64(&b, 0);
    wm_buf_add_char(&b, ' ');
    wm_buf_add_u64(&b, UINT64_MAX);
    wm_buf_add_char(&b, ' ');
    wm_buf_add_i64(&b, INT64_MIN);
    wm_buf_addf(&b, " %05d|%s", 42, "x");
    assert_string_equal(wm_buf_cstr(&b), "0 18446744073709551615 -9223372036854775808 00042|x");
    wm_buf_done(&b);
}

static void view_splits_and_trims(void **state)
{
    (void)state;
    struct wm_view rest = WM_LIT("a,,b");
    assert_true(wm_view_eq_str(wm_view_split(&rest, ','), "a"));
    assert_true(wm_view_eq_str(wm_view_split(&rest, ','), ""));
    assert_non_null(rest.ptr);
    assert_true(wm_view_eq_str(wm_view_split(&rest, ','), "b"));
    assert_null(rest.ptr);
    rest = WM_LIT("a,");
    (void)wm_view_split(&rest, ',');
    assert_non_null(rest.ptr); /* an empty last part is a part */
    (void)wm_view_split(&rest, ',');
    assert_null(rest.ptr);
    assert_true(wm_view_eq_str(wm_view_trim(WM_LIT(" \t x y\r\n")), "x y"));
    assert_true(wm_view_eq_str(wm_view_trim(WM_LIT(" \t ")), ""));
}

static void view_compares_as_s3_orders_keys(void **state)
{
    (void)state;
    assert_true(wm_view_cmp(WM_LIT("CloudTrail-Digest/"), WM_LIT("CloudTrail/")) < 0);
    assert_true(wm_view_cmp(WM_LIT("a"), WM_LIT("ab")) < 0);
    assert_true(wm_view_cmp(WM_LIT("\xc3\xa9"), WM_LIT("z")) > 0); /* by bytes, unsigned */
    assert_int_equal(wm_view_cmp(WM_EMPTY, WM_LIT("")), 0);
    assert_true(wm_view_ieq_str(WM_LIT("X-Amz-Date"), "x-amz-date"));
    assert_true(wm_view_ieq(WM_LIT("Team\0a"), WM_LIT("tEAM\0A")));
    assert_false(wm_view_ieq(WM_LIT("Team\0a"), WM_LIT("tEAM\0b")));
    assert_false(wm_view_ieq(WM_LIT("a["), WM_LIT("a{"))); /* 32 apart, and no letters */
    assert_true(wm_view_ieq(WM_EMPTY, WM_LIT("")));
    assert_false(wm_view_ieq_str(WM_LIT("x-amz"), "x-amz-date"));
    assert_false(wm_view_ieq_str(WM_LIT("x-amz-date"), "x-amz"));
}

static void view_reads_numbers_strictly(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t max;
        enum wm_status status;
        uint64_t value;
    } rows[] = {
        {"0", 9, WM_OK, 0},
        {"65535", 65535, WM_OK, 65535},
        {"65536", 65535, WM_E_LIMIT, 0},
        {"18446744073709551615", UINT64_MAX, WM_OK, UINT64_MAX},
        {"18446744073709551616", UINT64_MAX, WM_E_LIMIT, 0},
        {"9", 5, WM_E_LIMIT, 0},
        {"", 9, WM_E_INVALID, 0},
        {"-1", 9, WM_E_INVALID, 0},
        {" 1", 9, WM_E_INVALID, 0},
        {"1x", 9, WM_E_INVALID, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t n = 0;
        if (wm_view_to_u64(wm_view_of(rows[i].text), rows[i].max, &n) != rows[i].status || n != rows[i].value)
            fail_msg("\"%s\" up to %llu", rows[i].text, (unsigned long long)rows[i].max);
    }
}

static void view_knows_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
    } rows[] = {
        {"", true},
        {"plain", true},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x8e\xa5", true},
        {"\xc0\x80", false},             /* overlong NUL */
        {"\xe0\x80\x80", false},         /* overlong */
        {"\xed\xa0\x80", false},         /* surrogate */
        {"\xf4\x90\x80\x80", false},     /* beyond U+10FFFF */
        {"\xc3", false},                 /* cut */
        {"\xe2\x82", false},
        {"\x80", false},                 /* continuation alone */
        {"\xff", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (wm_view_is_utf8(wm_view_of(rows[i].text)) != rows[i].good)
            fail_msg("row %zu", i);
}

static void arena_answers_null_when_exhausted(void **state)
{
    (void)state;
    struct wm_arena a;
    wm_arena_init(&a, 64 * 1024);
    char *first = wm_arena_alloc(&a, 100);
    assert_non_null(first);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(first[i], 0);
    assert_non_null(wm_arena_alloc(&a, 40000)); /* a chunk of its own */
    char *after = wm_arena_alloc(&a, 8);
    assert_true(after > first && after < first + 1000); /* the small chunk goes on */
    assert_null(wm_arena_alloc(&a, 40000));
    assert_int_equal(wm_arena_status(&a), WM_E_NOMEM);
    wm_arena_clear(&a);
    assert_int_equal(wm_arena_status(&a), WM_OK);
    char *again = wm_arena_alloc(&a, 100);
    assert_ptr_equal(again, first); /* the chunk is kept, and zeroed again */
    assert_int_equal(again[0], 0);
    assert_null(wm_arena_alloc(&a, SIZE_MAX));
    wm_arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buf_keeps_content_when_an_append_does_not_fit),
        cmocka_unit_test(buf_writes_numbers),
        cmocka_unit_test(view_splits_and_trims),
        cmocka_unit_test(view_compares_as_s3_orders_keys),
        cmocka_unit_test(view_reads_numbers_strictly),
        cmocka_unit_test(view_knows_utf8),
        cmocka_unit_test(arena_answers_null_when_exhausted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
