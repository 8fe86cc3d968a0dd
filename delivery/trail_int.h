/**
 * Inside of a trail: its thread, its workers, and what lies between them. For trail*.c only.
 *
 * The thread (trail.c) reads and plans (trail_plan.c), seals (trail_seal.c) and keeps the ledger. Workers, one for each
 * store handle, do what waits for the network (trail_upload.c). A job is the thread's; between trail_submit() and
 * trail_collected() it is the worker's.
 */
#ifndef WAYMARK_DELIVERY_TRAIL_INT_H
#define WAYMARK_DELIVERY_TRAIL_INT_H

#include "batch.h"
#include "ledger.h"
#include "waymark/arena.h"
#include "waymark/bounds.h"
#include "waymark/digest.h"
#include "waymark/sync.h"
#include "waymark/trail.h"

/* Compressed forms; what does not compress grows by less than this. */
#define TRAIL_MAX_PACKED_BYTES (WM_MAX_DIGEST_BYTES + 1024u * 1024u)
/* One more than is on its way: it is made ready meanwhile. */
#define TRAIL_MAX_SLOTS (WM_TRAIL_MAX_UPLOADS + 1)
#define TRAIL_POLL_MS 100

/* What fails and is tried again. Files and digests apart: a digest that nobody takes must not hold up the files. */
struct trail_trouble {
    bool waiting;
    unsigned failures; /* in a row */
    char reason[WM_ERR_CODE_BYTES];
    struct wm_mono_ns not_before;
};

enum trail_job_state {
    TRAIL_JOB_IDLE,
    TRAIL_JOB_QUEUED,
    TRAIL_JOB_DONE, /* its result waits for the thread */
};

/** One object to put, or only to look at. Texts are the owner's and stay as they are until the job is collected. */
struct trail_job {
    enum trail_job_state state;    /* under locked.mu */
    struct trail_job *next;        /* in the queue; under locked.mu */
    bool look;                     /* is the object there, with this content? WM_E_NOT_FOUND, WM_E_EXISTS: not so */
    struct wm_view key;
    const char *hash;              /* of the content before compression; NULL: it is not compressed */
    const char *codec_name;
    const char *signature;         /* NULL: it is no digest */
    struct wm_view body;           /* as it is stored */
    struct wm_view absent;         /* of the claim: where the next digest will be; empty: one may be there */
    enum wm_status status;         /* the result */
    struct wm_err err;
    int64_t retry_after_ms;
};

/** A planned file on its way. */
struct trail_slot {
    struct wm_ledger_file_plan plan;
    struct wm_buf packed;          /* empty until it is made */
    size_t content_bytes;          /* before compression, when packed was made */
    bool stored;                   /* waits for the files before it */
    bool gone;                     /* entries have left the journal: only a look into the bucket helps */
    bool absent;                   /* and it is not there */
    struct trail_job job;
};

struct trail_worker {
    struct wm_trail *trail;
    struct wm_store *store;
    pthread_t thread;
    bool started;
};

#define TRAIL_MAGIC 0x5472616cu

struct wm_trail {
    uint32_t magic;

    /* constant after start */
    char *name, *account_id, *region, *prefix;
    char *follower;                /* name in the journal's list of cursors */
    struct wm_trail_naming file_naming, digest_naming;
    struct wm_trail_options o;
    struct wm_batch_limits limits;
    pthread_t thread;
    struct trail_worker workers[WM_TRAIL_MAX_UPLOADS];

    struct {
        struct wm_mutex mu;
        struct wm_cond wake;       /* to the thread: a job is done, or stop */
        struct wm_cond ended;      /* finished */
        struct wm_cond work;       /* to the workers */
        struct trail_job *first, *last; /* queued */
        bool any_done;             /* since the thread looked */
        bool stop;
        bool quit;                 /* to the workers: the thread has ended */
        bool finished;
    } locked;

    /* the thread's own once it runs */
    struct {
        struct wm_ledger *ledger;
        struct wm_journal_reader *reader; /* NULL after a failure: opened again behind read_seq */
        uint64_t read_seq;                /* the last entry taken into the batch, or skipped */
        bool logging;                     /* behind it */
        struct wm_entry entry;            /* read and not taken yet: its views live until the reader's next call */
        bool has_entry;
        struct wm_batch batch;
        struct trail_slot slots[TRAIL_MAX_SLOTS]; /* the planned files, oldest first, from slot first_slot on around */
        size_t first_slot, n_slots;
        bool claimed;                     /* nobody else's name is on our place in the bucket */
        struct trail_job claim;
        struct wm_buf claim_key, claim_body, claim_absent;
        bool digest_planned;
        struct wm_ledger_digest_plan digest; /* when digest_planned; its document in digest_arena */
        struct wm_arena digest_arena;
        struct wm_buf digest_packed;
        struct trail_job digest_job;
        int64_t sealing_s;                /* a period is over up to here, and its files are not all there yet; or 0 */
        struct wm_mono_ns sealed_at;      /* last digest, or start */
        struct wm_board_trail board;
        bool untold;                      /* missed ranges wait to be recorded */
        struct trail_trouble files, digests, planning, telling;
        bool fatal;                       /* what failed will not get better */
        bool sending_over;                /* a stop is at its end: no further job is begun */
    } own;
};

/* ---- trail.c ---- */

struct wm_wall_ns trail_now(const struct wm_trail *t);
struct wm_mono_ns trail_mono(const struct wm_trail *t);
/** After the first post the trail has its place on the board, and replacing it cannot fail. */
void trail_repost(struct wm_trail *t);
/** Log what failed, and leave it alone for a while. @param shown  the board's text for it, of 64 bytes; NULL: none */
void trail_failed(struct wm_trail *t, struct trail_trouble *trouble, char *shown, const struct wm_err *err,
                  int64_t retry_after_ms);
void trail_progressed(struct wm_trail *t, struct trail_trouble *trouble, char *shown);
bool trail_may_try(const struct wm_trail *t, const struct trail_trouble *trouble);
/** A step of the ledger: books that would not balance are no failure that passes. */
enum wm_status trail_booked(struct wm_trail *t, enum wm_status status) WM_MUST_CHECK;
/** SHA-256 in hex, with a NUL: of what was hashed, and of bytes. */
void trail_hash_text(const uint8_t hash[WM_SHA256_BYTES], char out[WM_SHA256_HEX_BYTES + 1]);
void trail_hash(struct wm_view bytes, char out[WM_SHA256_HEX_BYTES + 1]);

/* ---- trail_plan.c: from the journal to planned files ---- */

struct trail_slot *trail_slot(struct wm_trail *t, size_t index);
enum wm_status trail_tell_journal(struct wm_trail *t, uint64_t seq, struct wm_err *err) WM_MUST_CHECK;
/**
 * Have the journal keep from now on what this trail still needs, as far as it has it.
 * @param out_gone_seq  everything up to here has left it
 */
enum wm_status trail_hold(struct wm_trail *t, uint64_t *out_gone_seq, struct wm_err *err) WM_MUST_CHECK;
/** Read behind read_seq the next time. */
void trail_reader_close(struct wm_trail *t);
/** Go on reading behind what the ledger has planned. */
void trail_read_behind_plans(struct wm_trail *t);
/** Is the trail logging behind seq? The journal still has what follows. */
enum wm_status trail_logging_behind(struct wm_trail *t, uint64_t seq, bool *out, struct wm_err *err) WM_MUST_CHECK;
/** Take the plans that an earlier run left under way into slots. */
enum wm_status trail_find_files(struct wm_trail *t, struct wm_err *err) WM_MUST_CHECK;
/**
 * Do what comes next on the way from the journal to planned files: make a planned file's content again, settle one
 * whose entries are gone, read, plan.
 * @param drain     at the end: a batch does not wait for its age
 * @param out_idle_ms  0: there may be more to do at once; else how long there is nothing to do
 * @return WM_OK; WM_E_END (drain, and everything is planned); what failed
 */
enum wm_status trail_advance(struct wm_trail *t, bool drain, int64_t *out_idle_ms, struct wm_err *err) WM_MUST_CHECK;
/** The oldest file is in the bucket, or its entries are given up: it leaves its slot. */
void trail_slot_pop(struct wm_trail *t);
/** Have a missed range recorded, when there is one. It waits for room in the journal, and holds up nothing. */
void trail_tell_missed(struct wm_trail *t);

/* ---- trail_upload.c: what waits for the network ---- */

enum wm_status trail_workers_start(struct wm_trail *t, struct wm_err *err) WM_MUST_CHECK;
void trail_workers_stop(struct wm_trail *t); /* those that were started; no job is running */
void trail_submit(struct wm_trail *t, struct trail_job *j);
/** Is the job's result there? Then the job is idle again. */
bool trail_collected(struct wm_trail *t, struct trail_job *j);
bool trail_job_idle(struct wm_trail *t, struct trail_job *j);
/** What is our place in the bucket, and the text that says that it is ours. */
enum wm_status trail_prepare_claim(struct wm_trail *t, struct wm_err *err) WM_MUST_CHECK;
/** Take in results of files and send what may be sent. */
enum wm_status trail_tend_files(struct wm_trail *t, struct wm_err *err) WM_MUST_CHECK;

/* ---- trail_seal.c: digests ---- */

/** Take the digest that an earlier run left under way. */
enum wm_status trail_find_digest(struct wm_trail *t, struct wm_err *err) WM_MUST_CHECK;
/** Where a digest goes that ends one period behind the newest: the next one, unless the trail was stopped for long. */
void trail_next_digest_key(const struct wm_trail *t, struct wm_buf *out);
/** Files planned from now on are delivered behind this. */
int64_t trail_sealed_until_s(const struct wm_trail *t);
/** Plan a digest when it is time, send it, take in its result. @param drain  at the end: no period is closed */
void trail_tend_digests(struct wm_trail *t, bool drain);

#endif
