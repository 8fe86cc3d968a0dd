/* Tags as one text: which are good, and how they are sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "waymark/tags.h"

#include "waymark/banned.h"

static void tags_are_encoded(void **state)
{
    (void)state;
    static const struct {
        const char *tags, *encoded;
    } rows[] = {
        {"", ""},
        {"a=1", "a=1"},
        {"team=audit, kept = 7 years ,empty=", "team=audit&kept=7%20years&empty="},
        {"a=b=c", "a=b%3Dc"},
        {"k+-._:/@=\xc3\xa4", "k%2B-._%3A%2F%40=%C3%A4"},
        {"1=,2=,3=,4=,5=,6=,7=,8=,9=,10=", "1=&2=&3=&4=&5=&6=&7=&8=&9=&10="},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wm_buf out;
        wm_buf_init(&out, WM_MAX_TAGS_ENCODED_BYTES);
        assert_true(wm_tags_valid(wm_view_of(rows[i].tags)));
        wm_tags_encode(wm_view_of(rows[i].tags), &out);
        assert_string_equal(wm_buf_cstr(&out), rows[i].encoded);
        wm_buf_done(&out);
    }
}

static void tags_that_s3_refuses_are_found(void **state)
{
    (void)state;
    static char long_key[WM_MAX_TAG_KEY_BYTES + 4], long_value[WM_MAX_TAG_VALUE_BYTES + 8];
    memset(long_key, 'k', WM_MAX_TAG_KEY_BYTES + 1);
    long_key[WM_MAX_TAG_KEY_BYTES + 1] = '=';
    memcpy(long_value, "k=", 2);
    memset(long_value + 2, 'v', WM_MAX_TAG_VALUE_BYTES + 1);
    const char *const rows[] = {
        "a", "=1", " =1", ",", "a=1,", ",a=1", "a=1,,b=2", "a=1,a=2", "a=1, a =2", "a&b=1", "a=1;b", "a=\"x\"",
        "a=\t1\x01", "a=\xff", "1=,2=,3=,4=,5=,6=,7=,8=,9=,10=,11=", long_key, long_value,
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (wm_tags_valid(wm_view_of(rows[i])))
            fail_msg("%s", rows[i]);
    /* at the limits */
    long_key[WM_MAX_TAG_KEY_BYTES] = '=';
    long_key[WM_MAX_TAG_KEY_BYTES + 1] = '\0';
    assert_true(wm_tags_valid(wm_view_of(long_key)));
    long_value[WM_MAX_TAG_VALUE_BYTES + 2] = '\0';
    assert_true(wm_tags_valid(wm_view_of(long_value)));
    assert_false(wm_tags_valid((struct wm_view){"a=\0", 3}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tags_are_encoded),
        cmocka_unit_test(tags_that_s3_refuses_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
