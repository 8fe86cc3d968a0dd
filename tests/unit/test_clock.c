#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <cmocka.h>

#include "waymark/clock.h"

static void time_forms_agree_with_the_c_library(void **state)
{
    (void)state;
    /* each day for 300 years, at a second of the day that moves along */
    for (int64_t day = 0; day < 300 * 366; day++) {
        int64_t s = day * 86400 + day * 7919 % 86400;
        time_t t = (time_t)s;
        struct tm tm;
        char want_iso[32], want_basic[32], iso[WM_TIME_ISO_BYTES], basic[WM_TIME_BASIC_BYTES];
        assert_non_null(gmtime_r(&t, &tm));
        strftime(want_iso, sizeof want_iso, "%Y-%m-%dT%H:%M:%SZ", &tm);
        strftime(want_basic, sizeof want_basic, "%Y%m%dT%H%M%SZ", &tm);
        if (s > INT64_MAX / WM_NS_PER_S)
            break;
        wm_time_iso(wm_wall_from_seconds(s), iso);
        wm_time_basic(wm_wall_from_seconds(s), basic);
        assert_string_equal(iso, want_iso);
        assert_string_equal(basic, want_basic);
        struct wm_wall_ns back;
        assert_int_equal(wm_time_parse(WM_LIT(iso), &back), WM_OK);
        assert_int_equal(back.ns / WM_NS_PER_S, s);
        assert_int_equal(wm_time_parse(WM_LIT(basic), &back), WM_OK);
        assert_int_equal(back.ns / WM_NS_PER_S, s);
    }
}

static void time_parse_takes_no_other_form(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "2026-03-01T10:07:12",
        "2026-03-01T10:07:12.0Z",
        "2026-03-01 10:07:12Z",
        "2026-02-30T10:07:12Z",
        "2026-13-01T10:07:12Z",
        "2026-00-01T10:07:12Z",
        "2026-03-01T24:07:12Z",
        "2026-03-01T10:60:12Z",
        "2026-03-01T10:07:60Z",
        "1969-12-31T23:59:59Z",
        "20260301T100712z",
        "2026030 T100712Z",
        "9999-12-31T23:59:59Z", /* beyond 64 bits of nanoseconds */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct wm_wall_ns t;
        if (wm_time_parse(wm_view_of(bad[i]), &t) != WM_E_INVALID)
            fail_msg("\"%s\" was taken", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_forms_agree_with_the_c_library),
        cmocka_unit_test(time_parse_takes_no_other_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
