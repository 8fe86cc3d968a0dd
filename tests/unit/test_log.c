#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "waymark/log.h"

/* What one event writes to stderr. */
static const char *logged(enum wm_event event, const char *text)
{
    static char line[8192];
    int ends[2], kept = dup(STDERR_FILENO);
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    wm_log(event, "text=\"%s\"", text);
    dup2(kept, STDERR_FILENO);
    close(kept);
    ssize_t n = read(ends[0], line, sizeof line - 1);
    close(ends[0]);
    line[n > 0 ? n : 0] = '\0';
    return line;
}

static void an_event_is_one_line_whatever_its_text(void **state)
{
    (void)state;
    const char *line = logged(WM_EV_READY, "a\nnotice forged \x1b[31m\x7f z");
    assert_non_null(strstr(line, "Z notice  ready             text=\"a\\x0anotice forged \\x1b[31m\\x7f z\"\n"));
    assert_ptr_equal(strchr(line, '\n') + 1, line + strlen(line));
    char large[10000];
    memset(large, '\n', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    line = logged(WM_EV_READY, large);
    assert_true(strlen(line) <= 4096); /* PIPE_BUF: lines of several writers do not mix */
    assert_ptr_equal(strchr(line, '\n') + 1, line + strlen(line));
}

static void levels_choose_what_is_shown(void **state)
{
    (void)state;
    assert_string_equal(logged(WM_EV_CALL, "x"), ""); /* info, while notice is shown */
    wm_log_set_level(WM_LOG_INFO);
    assert_non_null(strstr(logged(WM_EV_CALL, "x"), "info    call"));
    wm_log_set_level(WM_LOG_ERROR);
    assert_string_equal(logged(WM_EV_READY, "x"), "");
    wm_log_set_level(WM_LOG_NOTICE);
}

static void errors_follow_from_errno(void **state)
{
    (void)state;
    static const struct {
        int sys_errno;
        enum wm_status status;
    } rows[] = {
        {ENOSPC, WM_E_FULL},   {EDQUOT, WM_E_FULL},  {ENOENT, WM_E_NOT_FOUND}, {EEXIST, WM_E_EXISTS},
        {EACCES, WM_E_DENIED}, {EROFS, WM_E_DENIED}, {ENOMEM, WM_E_NOMEM},     {EIO, WM_E_IO},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wm_err err;
        assert_int_equal(wm_fail_errno(&err, rows[i].sys_errno, "cannot open %s", "f"), rows[i].status);
        assert_int_equal(err.status, rows[i].status);
        assert_int_equal(err.sys_errno, rows[i].sys_errno);
        assert_int_equal(strncmp(err.message, "cannot open f: ", 15), 0);
        assert_string_equal(err.message + 15, strerror(rows[i].sys_errno));
    }
    assert_int_equal(wm_fail(NULL, WM_E_LIMIT, "nobody listens"), WM_E_LIMIT);
    for (int s = 0; s < WM_STATUS_COUNT; s++)
        assert_string_not_equal(wm_status_name((enum wm_status)s), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_is_one_line_whatever_its_text),
        cmocka_unit_test(levels_choose_what_is_shown),
        cmocka_unit_test(errors_follow_from_errno),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
