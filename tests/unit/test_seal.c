/* Sealed texts: what comes back, and that nothing else does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "waymark/hash.h"
#include "waymark/seal.h"

static const uint8_t master_key[32] = "a key for tests, 32 bytes long.";
static const uint8_t other_key[32] = "another one, also 32 bytes long";

static struct wm_buf sealed, opened;

static int set_up(void **state)
{
    (void)state;
    wm_buf_init(&sealed, 4096);
    wm_buf_init(&opened, 4096);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    wm_buf_done(&sealed);
    wm_buf_done(&opened);
    return 0;
}

static void close_text(struct wm_view text)
{
    wm_buf_clear(&sealed);
    assert_int_equal(wm_seal(master_key, "test", WM_LIT("with"), text, &sealed), WM_OK);
}

static enum wm_status open_text(const uint8_t *key, const char *purpose, struct wm_view with, struct wm_view text)
{
    wm_buf_clear(&opened);
    return wm_unseal(key, purpose, with, text, &opened);
}

static void what_was_sealed_comes_back(void **state)
{
    (void)state;
    char text[300];
    for (size_t len = 0; len < sizeof text; len += 7) {
        memset(text, (int)len, sizeof text);
        close_text((struct wm_view){text, len});
        assert_int_equal(sealed.len, len + WM_SEAL_OVERHEAD_BYTES);
        if (len > 30) /* it cannot be read; shorter ones might be there by chance */
            assert_null(memmem(sealed.data, sealed.len, text, len));
        assert_int_equal(open_text(master_key, "test", WM_LIT("with"), wm_buf_view(&sealed)), WM_OK);
        assert_true(wm_view_eq(wm_buf_view(&opened), (struct wm_view){text, len}));
    }
}

static void no_two_are_alike(void **state)
{
    (void)state;
    char first[64];
    close_text(WM_LIT("the same"));
    size_t len = sealed.len;
    memcpy(first, sealed.data, len);
    close_text(WM_LIT("the same"));
    assert_int_equal(sealed.len, len);
    for (size_t i = 1; i + 4 <= len; i++)
        assert_memory_not_equal(first + i, sealed.data + i, 4);
}

static void whatever_is_changed_does_not_open(void **state)
{
    (void)state;
    close_text(WM_LIT("a text of some length"));
    for (size_t i = 0; i < sealed.len; i++)
        for (int bit = 0; bit < 8; bit++) {
            sealed.data[i] ^= (char)(1 << bit);
            assert_int_equal(open_text(master_key, "test", WM_LIT("with"), wm_buf_view(&sealed)), WM_E_INVALID);
            assert_int_equal(opened.len, 0);
            assert_int_equal(wm_buf_status(&opened), WM_OK);
            sealed.data[i] ^= (char)(1 << bit);
        }
    for (size_t len = 0; len < sealed.len; len++)
        assert_int_equal(open_text(master_key, "test", WM_LIT("with"), (struct wm_view){sealed.data, len}), WM_E_INVALID);
    wm_buf_add_char(&sealed, 'x');
    assert_int_equal(open_text(master_key, "test", WM_LIT("with"), wm_buf_view(&sealed)), WM_E_INVALID);
}

static void key_purpose_and_associated_text_must_be_the_same(void **state)
{
    (void)state;
    close_text(WM_LIT("text"));
    assert_int_equal(open_text(other_key, "test", WM_LIT("with"), wm_buf_view(&sealed)), WM_E_INVALID);
    assert_int_equal(open_text(master_key, "tests", WM_LIT("with"), wm_buf_view(&sealed)), WM_E_INVALID);
    assert_int_equal(open_text(master_key, "test", WM_LIT("without"), wm_buf_view(&sealed)), WM_E_INVALID);
    assert_int_equal(open_text(master_key, "test", WM_EMPTY, wm_buf_view(&sealed)), WM_E_INVALID);
    assert_int_equal(open_text(master_key, "test", WM_LIT("with"), wm_buf_view(&sealed)), WM_OK);
}

/* Made by another implementation (Python's hmac and cryptography): tokens given before an upgrade must open after it. */
static void the_form_is_the_one_that_the_header_says(void **state)
{
    (void)state;
    static const char hex[] = "01000102030405060708090a0b0c0d0e0f2bacd4763cc0d0f8ed9adefcfd67cf5091b092655fe499dacb56d77817";
    char bytes[(sizeof hex - 1) / 2];
    assert_true(wm_hex_decode(WM_LIT(hex), bytes, sizeof bytes));
    assert_int_equal(open_text(master_key, "test", WM_LIT("with"), (struct wm_view){bytes, sizeof bytes}), WM_OK);
    assert_true(wm_view_eq_str(wm_buf_view(&opened), "a sealed text"));
}

static void a_small_buffer_is_told(void **state)
{
    (void)state;
    struct wm_buf small;
    wm_buf_init(&small, 40);
    assert_int_equal(wm_seal(master_key, "test", WM_EMPTY, WM_LIT("just one byte too many"), &small), WM_E_LIMIT);
    assert_int_equal(small.len, 0);
    assert_int_equal(wm_seal(master_key, "test", WM_EMPTY, WM_LIT(""), &small), WM_E_LIMIT); /* it sticks */
    wm_buf_done(&small);
    close_text(WM_LIT("four"));
    wm_buf_init(&small, 3);
    assert_int_equal(wm_unseal(master_key, "test", WM_LIT("with"), wm_buf_view(&sealed), &small), WM_E_LIMIT);
    wm_buf_done(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_sealed_comes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_two_are_alike, set_up, tear_down),
        cmocka_unit_test_setup_teardown(whatever_is_changed_does_not_open, set_up, tear_down),
        cmocka_unit_test_setup_teardown(key_purpose_and_associated_text_must_be_the_same, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_form_is_the_one_that_the_header_says, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_small_buffer_is_told, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
