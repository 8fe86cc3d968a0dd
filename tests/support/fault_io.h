/**
 * A wm_io that passes through to another one and fails its n-th operation: once, or from then on.
 *
 *     struct fault_io f;
 *     for (unsigned n = 1;; n++) {
 *         fault_io_init(&f, &wm_io_posix);
 *         fault_io_arm(&f, n, FAULT_EIO, false);
 *         … use &f.io; the right answer or the right error …
 *         if (!f.hit)
 *             break;
 *     }
 *
 * @thread any
 */
#ifndef TESTS_SUPPORT_FAULT_IO_H
#define TESTS_SUPPORT_FAULT_IO_H

#include <stdatomic.h>

#include "waymark/io.h"

enum fault_kind {
    FAULT_EIO,
    FAULT_ENOSPC,
    FAULT_SHORT, /* a write takes half; other operations fail with EIO */
    FAULT_EINTR, /* reads and writes are interrupted, which must go unnoticed; others pass */
};

/** Which operations count. */
enum fault_where {
    FAULT_ANY,
    FAULT_WRITES, /* all but open of an existing file, pread, fstat, list, close */
    FAULT_SYNCS,  /* fdatasync, fsync, sync_dir */
};

struct fault_io {
    struct wm_io io; /* give &f.io to the code under test */
    const struct wm_io *real;
    atomic_uint count;     /* operations so far */
    atomic_uint fail_at;   /* 0: none */
    atomic_bool hit;
    bool sticky;
    enum fault_kind kind;
    enum fault_where where;
    atomic_bool disk_full; /* no file can be made; what exists can be written */
    atomic_uint pwrites;   /* calls, for tests of what is written how often */
    atomic_uint syncs;
};

void fault_io_init(struct fault_io *f, const struct wm_io *real);
/** Fail operation n from now on (1: the next). sticky: and all that follow. */
void fault_io_arm(struct fault_io *f, enum fault_where where, unsigned n, enum fault_kind kind, bool sticky);
void fault_io_disarm(struct fault_io *f);
const char *fault_kind_name(enum fault_kind kind);

#endif
