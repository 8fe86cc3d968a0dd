#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "waymark/credentials.h"

static void credentials_are_read_from_the_profile(void **state)
{
    (void)state;
    static const char text[] = "# comment\n[default]\naws_access_key_id=AKIDDEFAULT\naws_secret_access_key=no\n"
                               "\r\n[ waymark ]\r\n  s3 =\n    endpoint_url = x\naws_access_key_id = AKIDEXAMPLE \r\n"
                               "AWS_SECRET_ACCESS_KEY = a=b/c+d\n; other comment\nregion = eu-west-1\nunknown = 1\n"
                               "[last]\naws_session_token = t\n";
    struct wm_credentials c;
    assert_int_equal(wm_credentials_parse(WM_LIT(text), "f", WM_LIT("waymark"), &c, NULL), WM_OK);
    assert_string_equal(c.access_key_id, "AKIDEXAMPLE");
    assert_string_equal(c.secret, "a=b/c+d");
    assert_string_equal(c.session_token, "");
    assert_string_equal(c.region, "eu-west-1");
}

static void credentials_say_what_is_wrong(void **state)
{
    (void)state;
    static char long_value[300] = "[p]\naws_access_key_id = ";
    memset(long_value + strlen(long_value), 'x', 200);
    static const struct {
        const char *text;
        enum wm_status status;
        const char *message;
    } rows[] = {
        {"", WM_E_NOT_FOUND, "f has no profile [p]"},
        {"[other]\naws_access_key_id = 1\naws_secret_access_key = 2\n", WM_E_NOT_FOUND, "f has no profile [p]"},
        {"[p]\naws_access_key_id = 1\n", WM_E_NOT_FOUND, "f: profile [p] lacks aws_secret_access_key"},
        {"[p]\naws_secret_access_key = 1\n", WM_E_NOT_FOUND, "f: profile [p] lacks aws_access_key_id"},
        {"[p\n", WM_E_INVALID, "f:1: a section ends in ]"},
        {"[p]\n\nnonsense\n", WM_E_INVALID, "f:3: expected name = value"},
        {long_value, WM_E_INVALID, "f:2: aws_access_key_id is longer than 128 characters"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wm_credentials c;
        struct wm_err err = {0};
        assert_int_equal(wm_credentials_parse(wm_view_of(rows[i].text), "f", WM_LIT("p"), &c, &err), rows[i].status);
        assert_string_equal(err.message, rows[i].message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(credentials_are_read_from_the_profile),
        cmocka_unit_test(credentials_say_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
