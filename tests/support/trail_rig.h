/**
 * A trail from a real journal into a folder, with a store between that fails as told, and a clock that tests move; and
 * what is in the folder afterwards, read back and checked.
 */
#ifndef TESTS_SUPPORT_TRAIL_RIG_H
#define TESTS_SUPPORT_TRAIL_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <pthread.h>
#include <sqlite3.h>
#include <time.h>
#include <cmocka.h>

#include "delivery/store_int.h"
#include "tests/support/scratch.h"
#include "waymark/bounds.h"
#include "waymark/digest.h"
#include "waymark/hash.h"
#include "waymark/json.h"
#include "waymark/trail.h"
#include "waymark/verify.h"

#define ACCOUNT "111122223333"
#define REGION "eu-central-1"
#define MAX_RECORDS 20000

/* ---- a clock that tests move: real time and an offset each ---- */

struct test_clock {
    atomic_llong wall_offset_ns, mono_offset_ns;
};

/* ---- a store that fails ---- */

enum flaky_mode {
    FLAKY_PASS,
    FLAKY_REFUSE,        /* nothing is stored, 503 */
    FLAKY_LOSE_REPLY,    /* stored, but reported as failed */
    FLAKY_BLOCK,         /* no answer until cancelled */
    FLAKY_OTHER_THERE,   /* someone else's object is under the key already */
    FLAKY_REPACK,        /* as LOSE_REPLY, with other bytes of the same content: an older library's */
    FLAKY_REFUSE_DIGESTS,
    FLAKY_AWAY,          /* as REFUSE, and reading fails, too */
    FLAKY_LOSE_AND_AWAY, /* LOSE_REPLY, then AWAY */
    FLAKY_GATHER,        /* each put waits until as many are there as the trail has handles */
    FLAKY_BLOCK_FIRST,   /* the first key that came has no answer until the mode changes */
    FLAKY_BLOCK_OLDEST,  /* the trail's first file has none */
    FLAKY_RANDOM,        /* PASS, REFUSE or LOSE_REPLY */
    FLAKY_LOSE_REPLY_ONCE, /* of this put alone */
    FLAKY_REAL,          /* as PASS, also for the trail's claim */
};

/* All handles of a trail do as the first one is told. */
struct flaky {
    struct wm_store base;
    struct wm_store *inner;
    struct flaky *first;
    int n_handles;            /* of the trail, in the first one */
    atomic_int mode;
    atomic_int puts;          /* attempts, of files */
    atomic_int in_flight, most_in_flight;
    atomic_int others_refused; /* refused, and not the trail's first file */
    pthread_mutex_t mu;
    atomic_llong retry_after_ms;
    atomic_bool has_first;
    char first_key[1100];     /* of the first attempt that did not pass; constant once has_first */
};

struct rig {
    struct scratch scratch;
    struct test_clock time;
    struct wm_clock clock;
    struct wm_journal *journal;
    struct wm_board *board;
    struct wm_signer *signer;
    struct flaky *flaky; /* the trail's */
    struct wm_trail *trail;
    struct wm_trail_options o;
    uint64_t appended;
    uint64_t last_seq;
    uint64_t gone_first, gone_last; /* records that left the journal undelivered; eventID is the sequence number */
    bool passed_over[MAX_RECORDS + 1]; /* more of them, each for itself */
    enum flaky_mode start_mode;
    const char *bucket;
    size_t uploads;
    atomic_int events_fail;         /* so many calls to record an event are refused */
    atomic_int events;              /* recorded */
    char event[512];                /* the newest; written before `events` is counted */
    pthread_mutex_t logging_mu;
    struct wm_trail_logging logging; /* what the state would say */
};

/* ---- reading the bucket back ---- */

struct inventory {
    struct wm_store *store;
    struct wm_keyring *keys;
    struct wm_arena arena;
    uint8_t seen[MAX_RECORDS + 1]; /* how often a record is in a trail file */
    size_t files, digests, listed, records;
    char file_keys[2000][256];
    char digest_keys[200][256];
    struct wm_view digest_docs[200];
    char digest_signatures[200][WM_SIGNATURE_HEX_BYTES];
};

extern struct inventory inventory; /* too large for a stack */

/* Wait for a condition on the board's entry b. */
#define WAIT(r, condition)                                                                               \
    do {                                                                                                 \
        struct wm_board_trail b = rig_board(r);                                                          \
        int64_t end = wm_clock_mono(&wm_clock_system).ns + 20 * WM_NS_PER_S;                             \
        while (!(condition)) {                                                                           \
            if (wm_clock_mono(&wm_clock_system).ns > end)                                                \
                fail_msg("waited in vain for " #condition "; delivery error \"%s\", digest error \"%s\"", \
                         b.latest_delivery_error, b.latest_digest_error);                                \
            nap();                                                                                       \
            b = rig_board(r);                                                                            \
        }                                                                                                \
    } while (0)

void rig_open_journal(struct rig *r);
int rig_setup(void **state);
enum wm_status rig_try_start(struct rig *r, struct wm_err *err);
void rig_start(struct rig *r);
void rig_stop(struct rig *r, int64_t deadline_ms);
int rig_teardown(void **state);
void rig_append(struct rig *r, unsigned n);
/** As rig_append(r, 1), of a call that stops the trail of this name, or starts it. */
void rig_switch(struct rig *r, const char *trail, bool stop);
struct wm_board_trail rig_board(struct rig *r);
void nap(void);
void rig_wait_delivered(struct rig *r);
void pass_time(struct rig *r, int64_t s);
struct wm_view inventory_read(struct inventory *v, const char *key, struct wm_store_header *headers, size_t *n);
void hex_of(struct wm_view text, char out[WM_SHA256_HEX_BYTES + 1]);
void inventory_take(struct rig *r, struct inventory *v);
size_t digests_in_bucket(struct rig *r);
void inventory_done(struct inventory *v);
void assert_all_there(struct rig *r);
struct wm_digest digest_at(size_t i);
int64_t seconds_of(struct wm_view iso);
struct wm_wall_ns rig_begin_chain(struct rig *r);
/** What the verifier says of the folder; a finding fails the test. */
struct wm_verify_result rig_verify(struct rig *r, const char *prefix);

#endif
