/* A folder for one test, removed afterwards; and the reference material beside a source tree, where there is any. */
#ifndef WAYMARK_TESTS_SCRATCH_H
#define WAYMARK_TESTS_SCRATCH_H

#include <stdio.h>
#include <stdlib.h>

#include "tests/support/folder.h"
#include "waymark/buf.h"
#include "waymark/io.h"

struct scratch {
    char dir[FOLDER_BYTES];
};

static inline void scratch_make(struct scratch *s)
{
    folder_make(s->dir);
}

static inline void scratch_remove(const struct scratch *s)
{
    folder_remove(s->dir);
}

/* DIR/name in one of a few static buffers. */
static inline const char *scratch_path(const struct scratch *s, const char *name)
{
    static char paths[8][1024];
    static unsigned turn;
    char *out = paths[turn++ % 8];
    int n = snprintf(out, 1024, "%s/%s", s->dir, name);
    if (n < 0 || n >= 1024)
        abort();
    return out;
}

#ifdef WAYMARK_SOURCE_DIR
/* A file of the reference material; false where it is not there, and the test is to be skipped. */
static inline bool shared_read(const char *name, struct wm_buf *out)
{
    char path[1024];
    const char *base = getenv("WAYMARK_SHARED");
    int n = snprintf(path, sizeof path, "%s/%s", base && base[0] ? base : WAYMARK_SOURCE_DIR "/../shared", name);
    return n > 0 && n < (int)sizeof path && wm_io_read_file(&wm_io_posix, path, out, NULL) == WM_OK;
}

/* The line behind the first one that begins with `start`; empty when there is none. */
static inline struct wm_view line_after(struct wm_view text, const char *start)
{
    while (text.len)
        if (wm_view_starts(wm_view_split(&text, '\n'), start))
            return wm_view_split(&text, '\n');
    return WM_EMPTY;
}

/* The rest of the first line that begins with `start`. */
static inline struct wm_view rest_of_line(struct wm_view text, const char *start)
{
    while (text.len) {
        struct wm_view line = wm_view_split(&text, '\n');
        if (wm_view_starts(line, start))
            return wm_view_sub(line, strlen(start), line.len);
    }
    return WM_EMPTY;
}
#endif

#endif
