#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "waymark/io.h"

static char folder[] = "/tmp/waymark-io-XXXXXX";

/* The posix table with one operation failing, counted from 1. */
static struct {
    int fail_at, count, error;
    bool short_writes;
} plan;

static int fails(void)
{
    return plan.fail_at && ++plan.count == plan.fail_at ? -plan.error : 0;
}

static int t_open(void *ctx, const char *path, int flags, mode_t mode)
{
    int rc = fails();
    return rc ? rc : wm_io_posix.open(ctx, path, flags, mode);
}

static ssize_t t_pwrite(void *ctx, int fd, const void *buf, size_t len, uint64_t offset)
{
    int rc = fails();
    if (rc)
        return rc;
    return wm_io_posix.pwrite(ctx, fd, buf, plan.short_writes && len > 1 ? len / 2 : len, offset);
}

static int t_fsync(void *ctx, int fd)
{
    int rc = fails();
    return rc ? rc : wm_io_posix.fsync(ctx, fd);
}

static int t_close(void *ctx, int fd)
{
    int rc = fails();
    int closed = wm_io_posix.close(ctx, fd);
    return rc ? rc : closed;
}

static int t_rename(void *ctx, const char *from, const char *to)
{
    int rc = fails();
    return rc ? rc : wm_io_posix.rename(ctx, from, to);
}

static int t_sync_dir(void *ctx, const char *path)
{
    int rc = fails();
    return rc ? rc : wm_io_posix.sync_dir(ctx, path);
}

static struct wm_io failing(void)
{
    struct wm_io io = wm_io_posix;
    io.open = t_open;
    io.pwrite = t_pwrite;
    io.fsync = t_fsync;
    io.close = t_close;
    io.rename = t_rename;
    io.sync_dir = t_sync_dir;
    return io;
}

static void content_is(const char *path, const char *want)
{
    struct wm_buf b;
    wm_buf_init(&b, 100);
    assert_int_equal(wm_io_read_file(&wm_io_posix, path, &b, NULL), WM_OK);
    assert_string_equal(wm_buf_cstr(&b), want);
    wm_buf_done(&b);
}

static void replace_file_leaves_old_or_new_whatever_fails(void **state)
{
    (void)state;
    char path[200], aside[200];
    snprintf(path, sizeof path, "%s/state", folder);
    snprintf(aside, sizeof aside, "%s/state.tmp", folder);
    struct wm_io io = failing();
    for (int at = 1;; at++) {
        plan.fail_at = 0;
        assert_int_equal(wm_io_replace_file(&io, path, WM_LIT("old"), 0600, NULL), WM_OK);
        plan.fail_at = at;
        plan.count = 0;
        plan.error = at % 2 ? ENOSPC : EIO;
        struct wm_err err = {0};
        enum wm_status status = wm_io_replace_file(&io, path, WM_LIT("new"), 0600, &err);
        if (status == WM_OK) {
            assert_true(plan.count < at); /* a run that met no failure: all operations are covered */
            assert_true(at > 5);
            content_is(path, "new");
            break;
        }
        assert_int_equal(status, at % 2 ? WM_E_FULL : WM_E_IO);
        assert_int_equal(err.sys_errno, plan.error);
        assert_non_null(strstr(err.message, ": "));
        struct wm_buf b;
        wm_buf_init(&b, 100);
        assert_int_equal(wm_io_read_file(&wm_io_posix, path, &b, NULL), WM_OK);
        assert_true(wm_view_eq_str(wm_buf_view(&b), "old") || wm_view_eq_str(wm_buf_view(&b), "new"));
        wm_buf_done(&b);
        assert_int_not_equal(access(aside, F_OK), 0); /* nothing is left aside */
    }
    plan.fail_at = 0;
}

static void writes_continue_after_short_ones_and_interruptions(void **state)
{
    (void)state;
    char path[200];
    snprintf(path, sizeof path, "%s/short", folder);
    struct wm_io io = failing();
    plan.short_writes = true;
    assert_int_equal(wm_io_replace_file(&io, path, WM_LIT("0123456789"), 0600, NULL), WM_OK);
    content_is(path, "0123456789");
    plan.short_writes = false;
    plan.fail_at = 2; /* the write */
    plan.count = 0;
    plan.error = EINTR;
    assert_int_equal(wm_io_replace_file(&io, path, WM_LIT("abc"), 0600, NULL), WM_OK);
    content_is(path, "abc");
    plan.fail_at = 0;
}

static void read_file_keeps_to_the_ceiling(void **state)
{
    (void)state;
    char path[200];
    snprintf(path, sizeof path, "%s/ten", folder);
    assert_int_equal(wm_io_replace_file(&wm_io_posix, path, WM_LIT("0123456789"), 0600, NULL), WM_OK);
    struct wm_buf b;
    struct wm_err err;
    wm_buf_init(&b, 12);
    wm_buf_add_str(&b, "xy");
    assert_int_equal(wm_io_read_file(&wm_io_posix, path, &b, &err), WM_OK); /* exactly full */
    assert_string_equal(wm_buf_cstr(&b), "xy0123456789");
    wm_buf_done(&b);
    wm_buf_init(&b, 11);
    wm_buf_add_str(&b, "xy");
    assert_int_equal(wm_io_read_file(&wm_io_posix, path, &b, &err), WM_E_LIMIT);
    assert_int_equal(b.len, 2);
    wm_buf_done(&b);
    snprintf(path, sizeof path, "%s/none", folder);
    wm_buf_init(&b, 11);
    assert_int_equal(wm_io_read_file(&wm_io_posix, path, &b, &err), WM_E_NOT_FOUND);
    assert_int_equal(err.sys_errno, ENOENT);
    wm_buf_done(&b);
}

static void make_dirs_makes_each_level(void **state)
{
    (void)state;
    char path[200];
    struct wm_err err;
    snprintf(path, sizeof path, "%s/a/b//c/", folder);
    assert_int_equal(wm_io_make_dirs(&wm_io_posix, path, 0700, &err), WM_OK);
    assert_int_equal(wm_io_make_dirs(&wm_io_posix, path, 0700, &err), WM_OK);
    assert_int_equal(access(path, X_OK), 0);
    snprintf(path, sizeof path, "%s/ten/under-a-file", folder);
    assert_int_not_equal(wm_io_make_dirs(&wm_io_posix, path, 0700, &err), WM_OK);
}

static int remove_folder(void **state)
{
    (void)state;
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replace_file_leaves_old_or_new_whatever_fails),
        cmocka_unit_test(writes_continue_after_short_ones_and_interruptions),
        cmocka_unit_test(read_file_keeps_to_the_ceiling),
        cmocka_unit_test(make_dirs_makes_each_level),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
