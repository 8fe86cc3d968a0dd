#include "delivery/store_int.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <utime.h>
#include <cmocka.h>

#include "tests/support/scratch.h"
#include "waymark/bounds.h"

#include "waymark/banned.h"

static int setup(void **state)
{
    struct scratch *s = calloc(1, sizeof *s);
    scratch_make(s);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    scratch_remove(*state);
    free(*state);
    return 0;
}

static struct wm_store *open_store(const struct scratch *s, const struct wm_io *io)
{
    struct wm_store *store = NULL;
    struct wm_err err = {0};
    if (wm_store_file_new(io, wm_view_of(scratch_path(s, "bucket")), WM_LIT("evidence"), &store, &err) != WM_OK)
        fail_msg("%s", err.message);
    return store;
}

static const struct wm_store_header headers[] = {
    {{"content-type", 12}, {"application/json", 16}},
    {{"x-amz-acl", 9}, {"bucket-owner-full-control", 25}},
    {{"x-amz-meta-signature", 20}, {"ab\"cd", 5}},
};

static void assert_object(struct wm_store *store, const char *key, const char *body)
{
    struct wm_buf got;
    struct wm_err err = {0};
    wm_buf_init(&got, 1 << 20);
    if (wm_store_get(store, wm_view_of(key), &got, NULL, NULL, NULL, &err) != WM_OK)
        fail_msg("%s: %s", key, err.message);
    assert_string_equal(wm_buf_cstr(&got), body);
    wm_buf_done(&got);
}

static void store_file_keeps_objects_and_headers(void **state)
{
    struct scratch *s = *state;
    struct wm_store *store = open_store(s, &wm_io_posix);
    struct wm_store_header got[WM_STORE_MAX_HEADERS];
    struct wm_arena a;
    struct wm_buf body;
    size_t n = 99;
    wm_arena_init(&a, 1 << 20);
    wm_buf_init(&body, 100);
    wm_buf_add_str(&body, "before ");
    assert_string_equal(wm_store_bucket(store).ptr, "evidence");
    assert_int_equal(wm_store_put(store, WM_LIT("a/b/c.json"), WM_LIT("content"), WM_EMPTY, headers, 3, NULL), WM_OK);
    assert_int_equal(wm_store_get(store, WM_LIT("a/b/c.json"), &body, &a, got, &n, NULL), WM_OK);
    assert_string_equal(wm_buf_cstr(&body), "before content");
    assert_int_equal(n, 2);
    assert_true(wm_view_eq_str(wm_store_header(got, n, "content-type"), "application/json"));
    assert_true(wm_view_eq_str(wm_store_header(got, n, "x-amz-meta-signature"), "ab\"cd"));
    assert_int_equal(wm_store_header(got, n, "x-amz-acl").len, 0);

    struct wm_buf text;
    wm_buf_init(&text, 4096);
    assert_int_equal(wm_io_read_file(&wm_io_posix, scratch_path(s, "bucket/.metadata/a/b/c.json"), &text, NULL), WM_OK);
    assert_string_equal(wm_buf_cstr(&text),
                        "{\"content-type\":\"application/json\",\"x-amz-acl\":\"bucket-owner-full-control\","
                                            "\"x-amz-meta-signature\":\"ab\\\"cd\"}\n");
    /* without metadata, or with nonsense for it, the object still reads */
    assert_int_equal(wm_io_replace_file(&wm_io_posix, scratch_path(s, "bucket/.metadata/a/b/c.json"), WM_LIT("no"),
                                        0600, NULL), WM_OK);
    wm_buf_clear(&body);
    assert_int_equal(wm_store_get(store, WM_LIT("a/b/c.json"), &body, &a, got, &n, NULL), WM_OK);
    assert_int_equal(n, 0);
    assert_int_equal(unlink(scratch_path(s, "bucket/.metadata/a/b/c.json")), 0);
    wm_buf_clear(&body);
    assert_int_equal(wm_store_get(store, WM_LIT("a/b/c.json"), &body, &a, got, &n, NULL), WM_OK);
    assert_int_equal(n, 0);
    /* an empty object */
    assert_int_equal(wm_store_put(store, WM_LIT("empty"), WM_EMPTY, WM_EMPTY, headers, 3, NULL), WM_OK);
    assert_object(store, "empty", "");
    wm_buf_done(&text);
    wm_buf_done(&body);
    wm_arena_done(&a);
    wm_store_free(store);
}

static void store_file_never_overwrites(void **state)
{
    struct scratch *s = *state;
    struct wm_store *store = open_store(s, &wm_io_posix);
    struct wm_err err;
    assert_int_equal(wm_store_put(store, WM_LIT("k"), WM_LIT("one"), WM_EMPTY, headers, 3, &err), WM_OK);
    /* the same again: an earlier reply was lost */
    assert_int_equal(wm_store_put(store, WM_LIT("k"), WM_LIT("one"), WM_EMPTY, headers, 3, &err), WM_OK);
    static const char *const others[] = {"two", "on", "ones", ""};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(wm_store_put(store, WM_LIT("k"), wm_view_of(others[i]), WM_EMPTY, headers, 3, &err),
                         WM_E_EXISTS);
        assert_object(store, "k", "one");
    }
    struct wm_store_header other = {WM_LIT("x-amz-meta-signature"), WM_LIT("another")};
    assert_int_equal(wm_store_put(store, WM_LIT("k"), WM_LIT("one"), WM_EMPTY, &other, 1, &err), WM_E_EXISTS);
    assert_non_null(strstr(err.message, "x-amz-meta-signature"));

    struct wm_store_header got[WM_STORE_MAX_HEADERS];
    struct wm_arena a;
    struct wm_buf body;
    size_t n;
    wm_arena_init(&a, 1 << 20);
    wm_buf_init(&body, 100);
    assert_int_equal(wm_store_get(store, WM_LIT("k"), &body, &a, got, &n, NULL), WM_OK);
    assert_true(wm_view_eq_str(wm_store_header(got, n, "x-amz-meta-signature"), "ab\"cd"));
    wm_buf_done(&body);
    wm_arena_done(&a);
    wm_store_free(store);
}

static void store_file_refuses_keys_that_leave_the_folder(void **state)
{
    struct scratch *s = *state;
    struct wm_store *store = open_store(s, &wm_io_posix);
    static const char *const bad[] = {"", "/a", "../a", "a/../b", "a/..", "a//b", "a/", "./a", "a/./b", ".metadata/a",
                                      ".incoming/a", ".hidden", "a\nb", "a\x7f", "\xff\xfe"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct wm_err err = {0};
        struct wm_buf body;
        wm_buf_init(&body, 100);
        assert_int_equal(wm_store_put(store, wm_view_of(bad[i]), WM_LIT("x"), WM_EMPTY, NULL, 0, &err), WM_E_INVALID);
        assert_true(err.message[0] != '\0');
        assert_int_equal(wm_store_get(store, wm_view_of(bad[i]), &body, NULL, NULL, NULL, &err), WM_E_NOT_FOUND);
        wm_buf_done(&body);
    }
    char longest[WM_MAX_OBJECT_KEY_BYTES + 2];
    for (size_t i = 0; i < sizeof longest - 1; i++)
        longest[i] = i % 100 == 99 ? '/' : 'k';
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(wm_store_put(store, wm_view_of(longest), WM_LIT("x"), WM_EMPTY, NULL, 0, NULL), WM_E_INVALID);
    longest[WM_MAX_OBJECT_KEY_BYTES] = '\0';
    assert_int_equal(wm_store_put(store, wm_view_of(longest), WM_LIT("x"), WM_EMPTY, NULL, 0, NULL), WM_OK);
    assert_object(store, longest, "x");
    /* dots inside names are fine */
    assert_int_equal(wm_store_put(store, WM_LIT("a/..b/.c/d.."), WM_LIT("x"), WM_EMPTY, NULL, 0, NULL), WM_OK);
    wm_store_free(store);
}

static void store_file_says_when_the_folder_is_gone_and_goes_on_when_it_is_back(void **state)
{
    struct scratch *s = *state;
    struct wm_store *store = open_store(s, &wm_io_posix);
    struct wm_err err;
    struct wm_buf body;
    wm_buf_init(&body, 100);
    assert_int_equal(wm_store_put(store, WM_LIT("a/1"), WM_LIT("x"), WM_EMPTY, NULL, 0, &err), WM_OK);
    assert_int_equal(rename(scratch_path(s, "bucket"), scratch_path(s, "away")), 0);
    assert_int_equal(wm_store_put(store, WM_LIT("a/2"), WM_LIT("y"), WM_EMPTY, NULL, 0, &err), WM_E_NOT_FOUND);
    assert_string_equal(err.code, "NoSuchBucket");
    assert_true(err.retryable);
    assert_int_equal(wm_store_get(store, WM_LIT("a/1"), &body, NULL, NULL, NULL, &err), WM_E_UNAVAILABLE);
    assert_string_equal(err.code, "NoSuchBucket");
    assert_int_equal(wm_store_list(store, WM_EMPTY, NULL, NULL, &err), WM_E_UNAVAILABLE);
    assert_int_not_equal(access(scratch_path(s, "bucket"), F_OK), 0); /* it was not made anew */
    assert_int_equal(rename(scratch_path(s, "away"), scratch_path(s, "bucket")), 0);
    assert_int_equal(wm_store_put(store, WM_LIT("a/2"), WM_LIT("y"), WM_EMPTY, NULL, 0, &err), WM_OK);
    assert_object(store, "a/1", "x");
    assert_object(store, "a/2", "y");
    assert_int_equal(wm_store_get(store, WM_LIT("a"), &body, NULL, NULL, NULL, &err), WM_E_NOT_FOUND); /* a folder */
    /* below a file */
    assert_int_equal(wm_store_get(store, WM_LIT("a/1/z"), &body, NULL, NULL, NULL, &err), WM_E_NOT_FOUND);
    assert_string_equal(err.code, "NoSuchKey");
    wm_buf_done(&body);
    wm_store_free(store);
}

static void store_file_get_obeys_the_ceiling(void **state)
{
    struct scratch *s = *state;
    struct wm_store *store = open_store(s, &wm_io_posix);
    struct wm_buf body;
    assert_int_equal(wm_store_put(store, WM_LIT("k"), WM_LIT("12345"), WM_EMPTY, NULL, 0, NULL), WM_OK);
    wm_buf_init(&body, 4);
    assert_int_equal(wm_store_get(store, WM_LIT("k"), &body, NULL, NULL, NULL, NULL), WM_E_LIMIT);
    wm_buf_done(&body);
    wm_buf_init(&body, 5);
    assert_int_equal(wm_store_get(store, WM_LIT("k"), &body, NULL, NULL, NULL, NULL), WM_OK);
    wm_buf_done(&body);
    wm_store_free(store);
}

struct listing {
    struct wm_buf keys;
    size_t stop_after;
    size_t n;
};

static enum wm_status collect(void *arg, const struct wm_store_object *o)
{
    struct listing *l = arg;
    wm_buf_addf(&l->keys, "%.*s=%llu ", WM_ARG(o->key), (unsigned long long)o->size);
    assert_true(o->modified.ns > 0);
    return ++l->n == l->stop_after ? WM_E_END : WM_OK;
}

static void store_file_lists_in_the_order_of_keys(void **state)
{
    struct scratch *s = *state;
    struct wm_store *store = open_store(s, &wm_io_posix);
    /* "a-b" < "a.b" < "a/b" < "aa", as S3 sorts, whatever is a folder on disk */
    static const char *const keys[] = {"aa", "a/z", "a-b", "a/b/c", "a.b", "b", "a/b-d", "A"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        assert_int_equal(wm_store_put(store, wm_view_of(keys[i]), wm_view_of(keys[i]), WM_EMPTY, headers, 3, NULL),
                         WM_OK);
    assert_int_equal(symlink(".", scratch_path(s, "bucket/loop")), 0);
    assert_int_equal(mkfifo(scratch_path(s, "bucket/pipe"), 0600), 0);
    static const struct {
        const char *prefix;
        size_t stop_after;
        enum wm_status status;
        const char *expected;
    } cases[] = {
        {"", 0, WM_OK, "A=1 a-b=3 a.b=3 a/b-d=5 a/b/c=5 a/z=3 aa=2 b=1 "},
        {"a/", 0, WM_OK, "a/b-d=5 a/b/c=5 a/z=3 "},
        {"a", 0, WM_OK, "a-b=3 a.b=3 a/b-d=5 a/b/c=5 a/z=3 aa=2 "},
        {"a/b", 0, WM_OK, "a/b-d=5 a/b/c=5 "},
        {"a/b/", 0, WM_OK, "a/b/c=5 "},
        {"a/b/c", 0, WM_OK, "a/b/c=5 "},
        {"zz", 0, WM_OK, ""},
        {".metadata/", 0, WM_OK, ""},
        {"", 3, WM_E_END, "A=1 a-b=3 a.b=3 "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct listing l = {.stop_after = cases[i].stop_after};
        wm_buf_init(&l.keys, 4096);
        assert_int_equal(wm_store_list(store, wm_view_of(cases[i].prefix), collect, &l, NULL), cases[i].status);
        assert_string_equal(wm_buf_cstr(&l.keys), cases[i].expected);
        wm_buf_done(&l.keys);
    }
    struct wm_buf body;
    wm_buf_init(&body, 100);
    /* does not hang */
    assert_int_equal(wm_store_get(store, WM_LIT("pipe"), &body, NULL, NULL, NULL, NULL), WM_E_NOT_FOUND);
    wm_buf_done(&body);
    wm_store_free(store);
}

/* ---- the disk fails ---- */

struct fault {
    int left; /* good operations before the bad one */
    int error;
    bool hit;
};

static int fault_now(void *ctx)
{
    struct fault *f = ctx;
    if (f->left-- != 0)
        return 0;
    f->hit = true;
    return -f->error;
}

#define FAULTY(name, params, args)                                  \
    static int faulty_##name params                                 \
    {                                                               \
        int rc = fault_now(ctx);                                    \
        return rc < 0 ? rc : wm_io_posix.name args;                 \
    }
FAULTY(open, (void *ctx, const char *path, int flags, mode_t mode), (NULL, path, flags, mode))
FAULTY(fsync, (void *ctx, int fd), (NULL, fd))
FAULTY(fstat, (void *ctx, int fd, struct stat *out), (NULL, fd, out))
FAULTY(rename, (void *ctx, const char *from, const char *to), (NULL, from, to))
FAULTY(link, (void *ctx, const char *from, const char *to), (NULL, from, to))
FAULTY(mkdir, (void *ctx, const char *path, mode_t mode), (NULL, path, mode))
FAULTY(sync_dir, (void *ctx, const char *path), (NULL, path))
static ssize_t faulty_pwrite(void *ctx, int fd, const void *buf, size_t len, uint64_t offset)
{
    int rc = fault_now(ctx);
    return rc < 0 ? rc : wm_io_posix.pwrite(NULL, fd, buf, len, offset);
}

/* Fail operation 1, 2, 3 … of a put: it says so or it is stored, and the next attempt ends well with one object. */
static void store_file_put_survives_each_failed_operation(void **state)
{
    static const int errors[] = {EIO, ENOSPC, EACCES};
    struct scratch *s = *state;
    for (size_t e = 0; e < 3; e++) {
        bool hit = true;
        for (int n = 0; hit; n++) {
            struct fault fault = {.left = 1 << 30, .error = errors[e]};
            struct wm_io io = wm_io_posix;
            io.ctx = &fault;
            io.open = faulty_open;
            io.fsync = faulty_fsync;
            io.fstat = faulty_fstat;
            io.rename = faulty_rename;
            io.link = faulty_link;
            io.mkdir = faulty_mkdir;
            io.sync_dir = faulty_sync_dir;
            io.pwrite = faulty_pwrite;
            struct wm_store *store = open_store(s, &io);
            struct wm_err err = {0};
            char key[64];
            (void)snprintf(key, sizeof key, "f%zu-%d/a/b", e, n);
            fault.left = n;
            enum wm_status status = wm_store_put(store, wm_view_of(key), WM_LIT("whole"), WM_EMPTY, headers, 3, &err);
            hit = fault.hit;
            if (status != WM_OK) {
                assert_true(hit);
                assert_int_equal(err.status, status);
                assert_true(err.retryable);
                assert_true(err.message[0] != '\0' && err.code[0] != '\0');
            }
            fault.left = 1 << 30;
            if (wm_store_put(store, wm_view_of(key), WM_LIT("whole"), WM_EMPTY, headers, 3, &err) != WM_OK)
                fail_msg("error %d at operation %d, then: %s", errors[e], n, err.message);
            assert_object(store, key, "whole");
            struct listing l = {0};
            wm_buf_init(&l.keys, 4096);
            char prefix[64];
            (void)snprintf(prefix, sizeof prefix, "f%zu-%d/", e, n);
            assert_int_equal(wm_store_list(store, wm_view_of(prefix), collect, &l, NULL), WM_OK);
            assert_int_equal(l.n, 1);
            wm_buf_done(&l.keys);
            wm_store_free(store);
            assert_true(n < 200);
        }
    }
}

static int no_link(void *ctx, const char *from, const char *to)
{
    (void)ctx;
    (void)from;
    (void)to;
    return -EPERM;
}

static void store_file_works_where_there_are_no_links(void **state)
{
    struct wm_io io = wm_io_posix;
    io.link = no_link;
    struct wm_store *store = open_store(*state, &io);
    assert_int_equal(wm_store_put(store, WM_LIT("k"), WM_LIT("one"), WM_EMPTY, headers, 3, NULL), WM_OK);
    assert_int_equal(wm_store_put(store, WM_LIT("k"), WM_LIT("two"), WM_EMPTY, headers, 3, NULL), WM_E_EXISTS);
    assert_object(store, "k", "one");
    wm_store_free(store);
}

static void store_file_sweeps_what_a_crash_left_aside(void **state)
{
    struct scratch *s = *state;
    assert_int_equal(wm_io_make_dirs(&wm_io_posix, scratch_path(s, "bucket/.incoming"), 0700, NULL), WM_OK);
    assert_int_equal(wm_io_replace_file(&wm_io_posix, scratch_path(s, "bucket/.incoming/old"), WM_LIT("x"), 0600, NULL),
                     WM_OK);
    assert_int_equal(wm_io_replace_file(&wm_io_posix, scratch_path(s, "bucket/.incoming/new"), WM_LIT("x"), 0600, NULL),
                     WM_OK);
    struct utimbuf then = {1000000, 1000000};
    assert_int_equal(utime(scratch_path(s, "bucket/.incoming/old"), &then), 0);
    struct wm_store *store = open_store(s, &wm_io_posix);
    assert_int_equal(wm_store_put(store, WM_LIT("k"), WM_LIT("one"), WM_EMPTY, headers, 3, NULL), WM_OK);
    assert_int_not_equal(access(scratch_path(s, "bucket/.incoming/old"), F_OK), 0);
    assert_int_equal(access(scratch_path(s, "bucket/.incoming/new"), F_OK), 0); /* perhaps another's, being written */
    wm_store_free(store);
}

static void store_file_ends_when_cancelled(void **state)
{
    struct wm_store *store = open_store(*state, &wm_io_posix);
    wm_store_cancel(store);
    assert_int_equal(wm_store_put(store, WM_LIT("k"), WM_LIT("one"), WM_EMPTY, headers, 3, NULL), WM_E_END);
    wm_store_free(store);
    struct wm_err err;
    assert_int_equal(wm_store_file_new(&wm_io_posix, WM_EMPTY, WM_LIT("b"), &store, &err), WM_E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(store_file_keeps_objects_and_headers, setup, teardown),
        cmocka_unit_test_setup_teardown(store_file_never_overwrites, setup, teardown),
        cmocka_unit_test_setup_teardown(store_file_refuses_keys_that_leave_the_folder, setup, teardown),
        cmocka_unit_test_setup_teardown(store_file_says_when_the_folder_is_gone_and_goes_on_when_it_is_back, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(store_file_get_obeys_the_ceiling, setup, teardown),
        cmocka_unit_test_setup_teardown(store_file_lists_in_the_order_of_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(store_file_put_survives_each_failed_operation, setup, teardown),
        cmocka_unit_test_setup_teardown(store_file_works_where_there_are_no_links, setup, teardown),
        cmocka_unit_test_setup_teardown(store_file_sweeps_what_a_crash_left_aside, setup, teardown),
        cmocka_unit_test_setup_teardown(store_file_ends_when_cancelled, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
