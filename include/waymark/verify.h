/**
 * Offline verification of a bucket or folder: every chain of digests in it, and every trail file they list.
 *
 * A finding is one thing that is not as it was written, with the key of the object it concerns. What is checked beyond
 * the AWS CLI: the link's hash and the signature repeated in the next digest, missing digests one by one, trail files
 * that no digest lists although their period is sealed, bytes behind a frame.
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
#include "waymark/signer.h"
#include "waymark/status.h"
#include "waymark/store.h"

struct wm_verify_options {
    struct wm_store *store;
    struct wm_view prefix;           /* key prefix before AWSLogs/, without a final slash; may be empty */
    const struct wm_keyring *keys;
    const struct wm_clock *clock;    /* tells which files are of a time to come; NULL: the system's */
    /** Called for each finding, in the order of checking. @param key never empty; valid during the call */
    void (*finding)(void *arg, struct wm_view key, const char *what);
    void (*note)(void *arg, struct wm_view key, const char *what); /* NULL: notes are not wanted */
    void *arg;
};

struct wm_verify_result {
    uint64_t chains;          /* (account, region, trail) */
    uint64_t digests, digests_valid;
    uint64_t files, files_valid;      /* listed in digests */
    uint64_t files_pending;   /* in the bucket, not yet in a digest: their period is still open */
    uint64_t records;         /* in valid files */
    uint64_t findings;
};

/**
 * Blocks for as long as it takes to read everything. An object that cannot be read now and may be later is asked for a
 * few times.
 *
 * @param out  filled in on failure too: what was found before it
 * @return WM_OK: everything could be checked, out->findings says whether it is good; WM_E_NOT_FOUND: there is neither
 *         a digest nor a trail file; any other status: something could not be checked (store, memory), *err says what
 * @thread any, the one that owns the store   @locks none
 */
enum wm_status wm_verify(const struct wm_verify_options *o, struct wm_verify_result *out, struct wm_err *err) WM_MUST_CHECK;

#endif
