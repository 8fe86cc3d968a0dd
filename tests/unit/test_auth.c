#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "waymark/auth.h"

static char folder[] = "/tmp/waymark-auth-XXXXXX";
static char path[100];

static enum wm_status open_auth(struct wm_auth **a, bool *made, struct wm_err *err)
{
    const struct wm_auth_options o = {&wm_io_posix, path, WM_LIT("123456789012"), WM_LIT("eu-west-3"), NULL, NULL};
    return wm_auth_open(&o, a, made, err);
}

static void root_credentials_are_made_once(void **state)
{
    (void)state;
    struct wm_auth *a;
    bool made = false;
    struct stat st;
    struct wm_buf first, second;
    wm_buf_init(&first, 4096);
    wm_buf_init(&second, 4096);
    assert_int_equal(open_auth(&a, &made, NULL), WM_OK);
    wm_auth_close(a);
    assert_true(made);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(wm_io_read_file(&wm_io_posix, path, &first, NULL), WM_OK);
    assert_non_null(strstr(wm_buf_cstr(&first), "[waymark]\naws_access_key_id = AKIA"));
    assert_non_null(strstr(wm_buf_cstr(&first), "region = eu-west-3\n"));
    assert_int_equal(open_auth(&a, &made, NULL), WM_OK);
    wm_auth_close(a);
    assert_false(made);
    assert_int_equal(wm_io_read_file(&wm_io_posix, path, &second, NULL), WM_OK);
    assert_string_equal(wm_buf_cstr(&first), wm_buf_cstr(&second));
    wm_buf_done(&first);
    wm_buf_done(&second);
}

/* A file that is there is the user's: it is never overwritten, and what is wrong with it is said. */
static void a_broken_file_is_refused_and_left_alone(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"[default]\naws_access_key_id = a\naws_secret_access_key = b\n", "no profile [waymark]"},
        {"[waymark]\naws_access_key_id = a\n", "lacks aws_secret_access_key"},
        {"[waymark]\nnonsense\n", ":2: expected name = value"},
        {"[waymark]\naws_access_key_id = a\naws_secret_access_key = b\naws_session_token = c\n", "aws_session_token"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wm_auth *a;
        bool made;
        struct wm_err err = {0};
        struct wm_buf text;
        assert_int_equal(wm_io_replace_file(&wm_io_posix, path, wm_view_of(rows[i].text), 0600, NULL), WM_OK);
        assert_int_not_equal(open_auth(&a, &made, &err), WM_OK);
        assert_non_null(strstr(err.message, rows[i].message));
        wm_buf_init(&text, 4096);
        assert_int_equal(wm_io_read_file(&wm_io_posix, path, &text, NULL), WM_OK);
        assert_string_equal(wm_buf_cstr(&text), rows[i].text);
        wm_buf_done(&text);
    }
}

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/credentials", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return unlink(path) || rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(root_credentials_are_made_once),
        cmocka_unit_test(a_broken_file_is_refused_and_left_alone),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
