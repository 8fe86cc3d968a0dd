/**
 * Offline verification of a bucket, a folder or a tar: every chain of digests in it, and every trail file they list.
 *
 * A finding is one thing that is not as it was written, with the key of the object it concerns. docs/verification.md has
 * all of them, what is checked for each, and what is beyond the AWS CLI.
 *
 * A note is something that an auditor should know and that is no tampering by itself, such as a chain that begins
 * anew, as AWS writes it after StopLogging and StartLogging, or a listed file that lies in another bucket, as after a
 * change of the trail's bucket.
 *
 * Shares no code with scripts/verify-trail, which finds the same and says it in the same words.
 */
#ifndef WAYMARK_VERIFY_H
#define WAYMARK_VERIFY_H

#include "waymark/clock.h"
#include "waymark/io.h"
#include "waymark/signer.h"
#include "waymark/status.h"
#include "waymark/store.h"

#define WM_VERIFY_MAX_JOBS 64u

struct wm_verify_line {
    bool note;         /* otherwise a finding */
    const char *kind;  /* such as "file-hash": the same in every release */
    struct wm_view key; /* never empty */
    const char *text;
};

struct wm_verify_progress {
    uint64_t objects, objects_done;
    uint64_t bytes, bytes_done; /* as stored */
    uint64_t content_bytes;     /* unpacked so far */
};

struct wm_verify_options {
    struct wm_store *const *stores;  /* the same place, once for each thread that is to read; all are cancelled when the
                                        run fails, and good for nothing but wm_store_free() then */
    unsigned n_stores;               /* 1 to WM_VERIFY_MAX_JOBS */
    struct wm_view prefix;           /* key prefix before AWSLogs/, without a final slash; may be empty */
    const struct wm_keyring *keys;
    const struct wm_clock *clock;    /* tells which files are of a time to come; NULL: the system's */

    struct wm_view trail;            /* only the chains of this name; empty: all */
    const struct wm_wall_ns *from;   /* only digests that cover some of the time from here; NULL: from the oldest on */
    const struct wm_wall_ns *until;  /* … to here, exclusive; NULL: to the newest */

    const struct wm_io *io;          /* for the two files; NULL: the system's */
    const char *checkpoint;          /* file of the newest digests that must be found again; NULL: none */
    const char *resume;              /* file of what was verified already; NULL: none */

    /** Called for each line, in the order of checking, in the calling thread. *line is valid during the call. */
    void (*say)(void *arg, const struct wm_verify_line *line);
    /** Called about every progress_ms while there is work, in the calling thread. NULL: not wanted. */
    void (*progress)(void *arg, const struct wm_verify_progress *p);
    int64_t progress_ms;
    void *arg;
};

struct wm_verify_result {
    uint64_t chains;          /* (account, region, trail) */
    uint64_t digests, digests_valid;
    uint64_t files, files_valid;      /* listed in digests */
    uint64_t files_resumed;   /* of the valid ones: not read again, since the resume file knows them */
    uint64_t files_pending;   /* in the bucket, not yet in a digest: their period is still open */
    uint64_t records;         /* in valid files */
    uint64_t findings;
};

/**
 * Blocks for as long as it takes to read everything. An object that cannot be read now and may be later is asked for a
 * few times. Memory: the listing (some 350 bytes an object), and for each store what one object may hold
 * (WM_MAX_OBJECT_BYTES, packed and unpacked).
 *
 * The checkpoint is replaced when everything was good, and only then. The resume file grows while it runs, so that an
 * interrupted run can go on; what it knows is digests (by their hash) whose files were all good, and the size and time
 * of each of these files, so that one that was written since is read again. Whoever can write it can hide tampering.
 *
 * @param out  filled in on failure too: what was found before it
 * @return WM_OK: everything could be checked, out->findings says whether it is good; WM_E_NOT_FOUND: there is neither
 *         a digest nor a trail file; any other status: something could not be checked (store, memory, checkpoint, resume
 *         file), *err says what
 * @thread any, the one that owns the stores   @locks none
 */
enum wm_status wm_verify(const struct wm_verify_options *o, struct wm_verify_result *out, struct wm_err *err) WM_MUST_CHECK;

#endif
