/*
 * Inside of verify.h.
 *
 * The listing (verify_listing.c) is taken once, before anything is read. Then two sides run against each other:
 *
 *     plan     the calling thread walks each chain from its oldest digest to its newest (verify_chain.c), then looks at
 *              what no digest names (verify_rest.c). Whatever comes of it becomes a step: a line to be said, or an
 *              object to be read
 *     work     threads read, unpack, hash and scan the objects of the steps (verify_work.c)
 *     settle   the calling thread again takes the steps in their order, waits for the work of each, and says what came
 *              of it (verify_steps.c)
 *
 * So the lines come in one order, however many threads there are, and memory is bounded by the ring of steps.
 */
#ifndef WAYMARK_DELIVERY_VERIFY_INT_H
#define WAYMARK_DELIVERY_VERIFY_INT_H

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>

#include "verify_records.h"
#include "waymark/arena.h"
#include "waymark/bounds.h"
#include "waymark/digest.h"
#include "waymark/hash.h"
#include "waymark/sync.h"
#include "waymark/verify.h"

#define VERIFY_NONE SIZE_MAX
#define VERIFY_MAX_MESSAGE_BYTES (8 * 1024)
/* A request that may succeed later: 5 tries over some 6 seconds. */
#define VERIFY_TRIES 5
#define VERIFY_RETRY_MS 400
/* Steps that are planned and not yet settled. Enough for every thread to be busy while the oldest object is slow. */
#define VERIFY_STEPS 512u
/* Digests that are read ahead of the walk: more than one a thread, since a digest stands between its files and the work. */
#define VERIFY_DIGESTS_AHEAD (2 * WM_VERIFY_MAX_JOBS)

enum verify_kind {
    VERIFY_FOREIGN,     /* other things below AWSLogs/: Insights, flow logs, what the bucket's owner put there */
    VERIFY_FILE,        /* below CloudTrail/ */
    VERIFY_DIGEST,
    VERIFY_ODD_DIGEST,  /* below CloudTrail-Digest/, without a digest's name */
};

struct verify_object {
    struct wm_view key;
    struct wm_view account; /* the key up to the account, "[P/]AWSLogs/[o-id/]123456789012/" */
    struct wm_view folder;  /* "CloudTrail" */
    struct wm_view region;
    uint64_t size;
    struct wm_wall_ns modified;
    enum verify_kind kind;
    size_t digest;          /* VERIFY_DIGEST: index into digests */
    size_t listed_by;       /* VERIFY_FILE: the digest that lists it, or VERIFY_NONE */
    bool has_hash;          /* VERIFY_FILE: its content is known */
    uint8_t hash[WM_SHA256_BYTES];
};

enum verify_state { VERIFY_UNREAD, VERIFY_GOOD, VERIFY_BAD, VERIFY_MOVED, VERIFY_UNKNOWN };

struct verify_digest {
    struct wm_view key, account, region;
    struct wm_view name;      /* of the file, up to the time */
    struct wm_view trail;     /* in it; empty when the name is not made as it should */
    struct wm_view stamp;     /* 20260301T110000Z */
    bool backfill;
    size_t object;
    size_t trail_index;       /* into trails */
    int64_t key_s;            /* the time in its key */
    enum verify_state state;
    bool starting;            /* says that none is before it */
    int64_t start_s, end_s;   /* of the document when there is one, otherwise both are the key's time */
    uint8_t hash[WM_SHA256_BYTES];           /* of the content */
    uint8_t signature_hash[WM_SHA256_BYTES]; /* of the signature's text in lower case */
};

/* One trail in one account and region, with or without digests of backfill. */
struct verify_trail {
    struct wm_view account, region, name;
    bool wanted;
    bool sealed;             /* the following are set, by its chain */
    int64_t end_s, period_s; /* of the newest digest */
};

/* ---- work ---- */

enum verify_task_kind { VERIFY_TASK_DIGEST, VERIFY_TASK_FILE };

/* How reading an object ended, when it could be tried at all. */
enum verify_reading {
    VERIFY_READ,
    VERIFY_ODD_SUFFIX,
    VERIFY_GONE,
    VERIFY_TOO_LARGE,
    VERIFY_NOT_GZIP,
    VERIFY_NOT_ZSTD,
};

/* A digest that was read. */
struct verify_document {
    struct wm_arena arena;
    bool valid;                      /* it is a document; otherwise nothing below is set */
    struct wm_digest doc;
    struct wm_wall_ns start, end;
    struct wm_view signature, algorithm; /* of the metadata */
    enum wm_status signed_by_key;    /* what wm_keyring_verify() says */
    uint8_t signature_hash[WM_SHA256_BYTES];
};

struct verify_task {
    /* set by who asks */
    enum verify_task_kind kind;
    const struct verify_object *object;
    struct wm_view trail;            /* of the digest that lists it */
    struct verify_task *next;        /* in the queue */
    /* set by the worker, to be looked at when done */
    bool done;                       /* under pool.mu */
    enum wm_status status;           /* not WM_OK: could not be checked, err says why */
    struct wm_err err;
    enum verify_reading reading;
    uint8_t hash[WM_SHA256_BYTES];
    struct verify_numbers numbers;   /* VERIFY_TASK_FILE */
    struct verify_document document; /* VERIFY_TASK_DIGEST; its arena is the asker's to release */
};

struct verify_pool;

struct verify_worker {
    uint32_t magic;
    struct verify_pool *pool;
    struct wm_store *store;
    pthread_t thread;
};

struct verify_pool {
    const struct wm_verify_options *o;
    struct verify_worker workers[WM_VERIFY_MAX_JOBS];
    unsigned n_workers;
    struct wm_stop stop;
    atomic_ullong objects_done, bytes_done, content_bytes;
    struct {
        struct wm_mutex mu;
        struct wm_cond wanted, done;
        struct verify_task *first, *last;
        bool closed;
    } locked;
};

enum wm_status verify_pool_start(struct verify_pool *p, const struct wm_verify_options *o, struct wm_err *err) WM_MUST_CHECK;
/** Workers end after what they have in hand; with `now` that is cut short, and the stores are spent. */
void verify_pool_stop(struct verify_pool *p, bool now);
void verify_pool_submit(struct verify_pool *p, struct verify_task *t);

/* ---- steps ---- */

enum verify_step_kind {
    VERIFY_STEP_SAY,
    VERIFY_STEP_DIGEST,  /* its files follow */
    VERIFY_STEP_FILE,    /* listed by it */
    VERIFY_STEP_CHAIN,   /* the chain ends */
    VERIFY_STEP_PENDING, /* a file that no digest lists yet */
    VERIFY_STEP_PINNED,  /* a digest that the checkpoint names */
};

enum verify_line { VERIFY_FINDING, VERIFY_NOTE, VERIFY_FILE_FINDING, VERIFY_FILE_NOTE };

/* What sequence numbers may do at the beginning of a digest. */
enum verify_jump { VERIFY_JUMP_NOT, VERIFY_JUMP_HIGHER, VERIFY_JUMP_ANY };

struct verify_known; /* what the resume file says of a digest */

struct verify_step {
    enum verify_step_kind kind;
    struct wm_verify_line line; /* SAY */
    char *text;                 /* SAY: key and text, from malloc() */
    bool of_file;               /* SAY: about a listed file */
    size_t digest;              /* DIGEST, FILE; PINNED: entry of the checkpoint */
    size_t n_files;             /* DIGEST */
    enum verify_jump jump;      /* DIGEST */
    bool good;                  /* DIGEST */
    uint8_t stamp[WM_SHA256_BYTES];   /* DIGEST, good: of what the listing says of its files */
    const struct verify_known *known; /* DIGEST: its files need not be read; NULL when they do */
    struct verify_object *first;      /* DIGEST with known: the first of its files */
    struct verify_object *object;     /* FILE, PENDING */
    uint8_t want[WM_SHA256_BYTES];    /* FILE, PINNED */
    bool want_valid;            /* FILE: the digest's hash is one at all */
    struct verify_task task;    /* FILE, PENDING, PINNED */
};

struct verify_gap {
    const struct verify_object *object; /* whose record follows */
    struct verify_range range;
    bool stopped_before, started_behind; /* the record on that side switched the trail */
};

/* The numbers of the chain that is being settled. */
struct verify_sequence {
    bool numbered;   /* some file had numbers */
    bool sure;       /* the next number is last + 1 */
    bool known;      /* last is */
    uint64_t last;   /* the highest so far */
    bool stopped;    /* its record stopped the trail */
    struct verify_gap *gaps;
    size_t n_gaps, cap_gaps;
    struct verify_missed *missed; /* that the trail says were left out */
    size_t n_missed, cap_missed;
};

/* The digest whose files are being settled, for the resume file. */
struct verify_settled {
    bool any, good, clean;
    size_t digest, n_files;
    uint8_t stamp[WM_SHA256_BYTES];
    uint64_t records, first, last;
};

/* ---- the two files ---- */

struct verify_known {
    struct wm_view digest; /* key */
    uint8_t hash[WM_SHA256_BYTES];
    uint8_t stamp[WM_SHA256_BYTES];
    uint64_t records, first, last; /* first 0: no numbers */
    size_t line;                   /* of the file: later ones count */
};

struct verify_resume {
    const struct wm_io *io;
    int fd;          /* -1: none */
    uint64_t size;
    struct wm_arena arena;
    struct verify_known *known; /* in the order of keys */
    size_t n_known, cap_known;
};

struct verify_pin {
    struct wm_view bucket, key, end;
    struct wm_view hash_hex;
};

struct verify_checkpoint {
    struct wm_arena arena;
    struct verify_pin *pins; /* in the order of the file */
    size_t n_pins;
};

/* ---- the whole ---- */

struct verify {
    const struct wm_verify_options *o;
    struct wm_verify_result *result;
    enum wm_status failed;   /* the first failure: nothing is planned or settled behind it, and *err says why */
    struct wm_err *err;
    const struct wm_io *io;
    int64_t now_s, from_s, until_s;
    struct wm_view bucket;   /* a folder's is what its first good digest says */
    struct wm_arena names;   /* keys and texts that live as long as the run */
    struct wm_buf root;      /* "[prefix/]AWSLogs/" */
    const char *top;         /* the same, as text */
    struct wm_buf message;
    struct verify_object *objects; /* in the order of keys */
    size_t n_objects, cap_objects;
    uint64_t bytes;          /* of what may be read */
    uint64_t readable;
    struct verify_digest *digests; /* chain by chain, oldest first */
    size_t n_digests, cap_digests;
    struct verify_trail *trails;   /* in the order of account, region, name */
    size_t n_trails, cap_trails;
    struct verify_checkpoint checkpoint;
    struct verify_resume resume;

    struct verify_pool pool;
    struct wm_mono_ns told;  /* progress */
    struct verify_task *ahead; /* [VERIFY_DIGESTS_AHEAD] */
    size_t ahead_first, ahead_next, ahead_end; /* digests: oldest in hand, next to ask for, end of what is wanted */

    struct verify_step *steps; /* [VERIFY_STEPS], a ring */
    size_t step_first, step_end; /* settled, planned; they only grow */
    uint64_t said_planned;   /* lines planned so far */
    struct verify_sequence sequence;
    struct verify_settled settled;
    const struct verify_object **contents; /* files whose content is known, by its hash; made when first wanted */
    size_t n_contents;
};

/* verify_listing.c */
enum wm_status verify_list(struct verify *v) WM_MUST_CHECK;
struct verify_object *verify_find(const struct verify *v, struct wm_view key);
/** What a key below the root is: fills in the object, and for a digest *d. Both are zero but for o->key. */
void verify_classify(const struct verify *v, struct verify_object *o, struct verify_digest *d);
/** The beginning of the 5 minutes in a trail file's key; false when it has no trail file's name. */
bool verify_file_time(const struct verify_object *o, int64_t *out_s);
int verify_compare_chains(const struct verify_digest *a, const struct verify_digest *b);
/** Make room for one more. The array is returned, or NULL. */
void *verify_more(void *array, size_t n, size_t *cap, size_t size);

/* verify_chain.c: plans */
void verify_chains(struct verify *v);

/* verify_rest.c: plans */
void verify_rest(struct verify *v);
void verify_settle_pending(struct verify *v, struct verify_step *s);

/* verify_checkpoint.c */
enum wm_status verify_checkpoint_load(struct verify *v) WM_MUST_CHECK;
void verify_checkpoint_plan(struct verify *v);
void verify_settle_pinned(struct verify *v, struct verify_step *s);
enum wm_status verify_checkpoint_save(struct verify *v) WM_MUST_CHECK;

/* verify_resume.c */
enum wm_status verify_resume_open(struct verify *v) WM_MUST_CHECK;
void verify_resume_close(struct verify_resume *r);
const struct verify_known *verify_resume_find(const struct verify *v, const struct verify_digest *d,
                                              const uint8_t stamp[WM_SHA256_BYTES]);
void verify_resume_add(struct verify *v, const struct verify_settled *s);

/* verify_sequence.c: settles */
void verify_sequence_file(struct verify *v, const struct verify_object *o, const struct verify_numbers *n);
void verify_sequence_jump(struct verify *v, enum verify_jump jump);
void verify_sequence_end(struct verify *v);

/* verify_steps.c */
/** A line to be said when all that was planned before it is settled. Whether it failed, v->failed says. */
void verify_plan_line(struct verify *v, enum verify_line kind_of_line, const char *kind, struct wm_view key,
                      const char *fmt, ...) WM_PRINTF(5, 6);
/** The next step, cleared, to be filled in; then verify_planned(). Settles older ones while the ring is full. NULL: see
 *  v->failed. */
struct verify_step *verify_plan(struct verify *v, enum verify_step_kind kind);
/** It is part of the ring; its task, if it is one to be read, is submitted. */
void verify_planned(struct verify *v, struct verify_step *s);
void verify_settle_all(struct verify *v);
void verify_drop_steps(struct verify *v);
/** Wait until a worker is done with it, telling the progress meanwhile. @return false: it could not be checked */
bool verify_await(struct verify *v, struct verify_task *t);
void verify_no_memory(struct verify *v, const char *what);
/** A line at once, while settling. */
void verify_say(struct verify *v, bool note, const char *kind, struct wm_view key, const char *fmt, ...) WM_PRINTF(5, 6);
/** The finding for an object that was not read as it should be; false for one that was. */
bool verify_reading_line(enum verify_reading reading, const char **out_kind, const char **out_text);

struct verify_time {
    char text[WM_TIME_ISO_BYTES];
};
struct verify_time verify_iso(int64_t s);

#endif
