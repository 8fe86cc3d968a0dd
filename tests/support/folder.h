/* Folders for tests: made under TMPDIR, listed, copied whole, removed. A test that cannot have its folder aborts. */
#ifndef TESTS_SUPPORT_FOLDER_H
#define TESTS_SUPPORT_FOLDER_H

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "waymark/buf.h"
#include "waymark/io.h"

#define FOLDER_BYTES 256

static inline void folder_make(char out[FOLDER_BYTES])
{
    const char *base = getenv("TMPDIR");
    int n = snprintf(out, FOLDER_BYTES, "%s/waymark-test-XXXXXX", base && base[0] ? base : "/tmp");
    if (n < 0 || n >= FOLDER_BYTES || !mkdtemp(out))
        abort();
}

static inline int folder_remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

static inline void folder_remove(const char *dir)
{
    (void)nftw(dir, folder_remove_one, 16, FTW_DEPTH | FTW_PHYS); /* a leftover harms no test */
}

struct folder_copy {
    const char *from;
    const char *to;
};

static inline int folder_copy_one(void *arg, const char *name)
{
    struct folder_copy *c = arg;
    char from[1024], to[1024];
    struct wm_buf b;
    snprintf(from, sizeof from, "%s/%s", c->from, name);
    snprintf(to, sizeof to, "%s/%s", c->to, name);
    wm_buf_init(&b, 1u << 30);
    int fd = open(to, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (wm_io_read_file(&wm_io_posix, from, &b, NULL) != WM_OK || fd < 0 ||
        (b.len && wm_io_write_all(&wm_io_posix, fd, b.data, b.len, 0, NULL) != WM_OK))
        abort();
    close(fd);
    wm_buf_done(&b);
    return 0;
}

/* The files of `from`, and nothing else, in `to`: what a kill at this moment would leave. No subfolders. */
static inline void folder_copy(const char *from, const char *to)
{
    struct folder_copy c = {from, to};
    folder_remove(to);
    if (mkdir(to, 0700) != 0 || wm_io_posix.list(wm_io_posix.ctx, from, folder_copy_one, &c) != 0)
        abort();
}

#endif
