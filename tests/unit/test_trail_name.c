#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "waymark/trail_name.h"

static void trail_names_follow_cloudtrails_rule(void **state)
{
    (void)state;
    char longest[130];
    memset(longest, 'a', sizeof longest);
    longest[128] = '\0';
    const struct {
        const char *name, *message; /* "": good */
    } rows[] = {
        {"abc", ""},
        {"My.trail_1-x", ""},
        {"10.0.0", ""},
        {"10.0.0.256", ""},
        {longest, ""},
        {"ab", "Trail name too short. Minimum allowed length: 3 characters. Specified name length: 2 characters."},
        {"", "Trail name too short."},
        {"-abc", "Trail name must starts with"},
        {"abc.", "Trail name must ends with"},
        {"a._b", "next to each other"},
        {"a b", "can only contain"},
        {"caf\xc3\xa9", "can only contain"},
        {"10.0.0.255", "IP address"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wm_err err = {0};
        enum wm_status want = rows[i].message[0] ? WM_E_INVALID : WM_OK;
        if (wm_trail_name_valid(wm_view_of(rows[i].name), &err) != want || !strstr(err.message, rows[i].message))
            fail_msg("\"%s\": %s", rows[i].name, err.message);
    }
    longest[128] = 'a';
    struct wm_err err = {0};
    assert_int_equal(wm_trail_name_valid((struct wm_view){longest, 129}, &err), WM_E_INVALID);
    assert_non_null(strstr(err.message, "too long. Maximum allowed length: 128"));
}

static void trail_arns_have_a_form(void **state)
{
    (void)state;
    struct wm_buf arn;
    wm_buf_init(&arn, 1000);
    wm_trail_arn(WM_LIT("eu-west-3"), WM_LIT("111122223333"), WM_LIT("demo"), &arn);
    assert_string_equal(wm_buf_cstr(&arn), "arn:aws:cloudtrail:eu-west-3:111122223333:trail/demo");
    assert_true(wm_trail_arn_valid(wm_buf_view(&arn)));
    wm_buf_clear(&arn);
    wm_trail_arn(WM_LIT("cn-north-1"), WM_LIT("111122223333"), WM_LIT("demo"), &arn);
    assert_string_equal(wm_buf_cstr(&arn), "arn:aws-cn:cloudtrail:cn-north-1:111122223333:trail/demo");
    wm_buf_done(&arn);
    assert_string_equal(wm_arn_partition(WM_LIT("us-gov-west-1")), "aws-us-gov");
    assert_string_equal(wm_arn_partition(WM_LIT("us-east-1")), "aws");
    assert_true(wm_trail_arn_valid(WM_LIT("arn:aws-us-gov:cloudtrail:us-gov-west-1:111122223333:trail/demo")));
    static const char *const bad[] = {
        "",
        "demo",
        "arn:aws:cloudtrail:eu-west-3:111122223333:trail/",
        "arn:aws:cloudtrail:eu-west-3:111122223333:demo",
        "arn:aws:cloudtrail:eu-west-3:11112222333:trail/demo",
        "arn:aws:cloudtrail:eu-west-3:11112222333x:trail/demo",
        "arn:aws:cloudtrail::111122223333:trail/demo",
        "arn:aws:s3:eu-west-3:111122223333:trail/demo",
        "arn:aws:cloudtrail:eu-west-3:111122223333:trail/a:b",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (wm_trail_arn_valid(wm_view_of(bad[i])))
            fail_msg("%s was taken", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trail_names_follow_cloudtrails_rule),
        cmocka_unit_test(trail_arns_have_a_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
