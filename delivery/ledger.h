/**
 * The durable memory of one trail: how far it is, what it is about to put where, which delivered files no digest lists
 * yet, and the head of the chain of digests. A small SQLite file, synced at each step:
 *
 *     plan_file → (put) → delivered → … → plan_digest → (put) → sealed
 *
 * A plan is durable before its object is put, so that the next attempt, also after a crash, puts the same bytes under
 * the same key. Plans of files follow each other without a gap in sequence, and leave in their order; of a digest there
 * is at most one. Rows of files leave with the digest that lists them, so the ledger's size is bounded by what one
 * digest period delivers.
 *
 * It keeps the books. Every entry of the journal up to the cursor is in one of four counts, each counted where its kind
 * is met and not from the others:
 *
 *     before + delivered + filtered + missed = cursor_seq
 *     delivered = digested + what the rows of files hold
 *
 * The first is a constraint of the file, so no step that breaks it is ever committed; both are looked at when it is
 * opened. What is wrong is WM_E_CORRUPT.
 *
 * A call that fails changes nothing, and may be repeated.
 *
 * @thread the trail's   @locks none
 */
#ifndef WAYMARK_DELIVERY_LEDGER_H
#define WAYMARK_DELIVERY_LEDGER_H

#include "waymark/arena.h"
#include "waymark/bounds.h"
#include "waymark/buf.h"
#include "waymark/clock.h"
#include "waymark/digest.h"
#include "waymark/hash.h"
#include "waymark/journal.h"
#include "waymark/signer.h"
#include "waymark/status.h"

#define WM_LEDGER_KEY_BYTES (WM_MAX_OBJECT_KEY_BYTES + 1)
#define WM_LEDGER_BUCKET_BYTES 256
#define WM_LEDGER_CODEC_BYTES 8
#define WM_LEDGER_HOST_BYTES 65 /* HOST_NAME_MAX of Linux and a NUL */

/** Counters and positions; times are whole seconds since 1970. */
struct wm_ledger_head {
    uint64_t cursor_seq;         /* everything up to here is in one of the four counts that follow */
    uint64_t before_records;     /* journaled and gone before the trail began */
    uint64_t delivered_records;  /* in the bucket */
    uint64_t filtered_records;   /* not for this trail: it was stopped */
    uint64_t missed_records;     /* left the journal before they were delivered */
    uint64_t planned_files;      /* ever, with those that were delivered or dropped */
    uint64_t delivered_files;
    uint64_t digested_files;     /* delivered_files - digested_files rows wait for a digest */
    uint64_t digested_records;
    uint64_t sealed_digests;
    bool logging;                /* behind cursor_seq: StopLogging and StartLogging switch it */
    bool logging_known;          /* false in a new ledger, until wm_ledger_begin() */
    int64_t started_s;           /* when the trail began */
    char owner_id[WM_UUID_BYTES]; /* made with the ledger: tells it from every other */
    char host[WM_LEDGER_HOST_BYTES]; /* where it was made */
    int64_t planned_s;           /* delivery time of the newest plan */
    int64_t latest_delivery_s;   /* 0: never */
    int64_t latest_digest_s;     /* 0: never */
    int64_t digest_start_s;      /* where the next digest begins: the end of the previous one */
    bool has_previous;           /* the chain's head; false before the first digest */
    char previous_bucket[WM_LEDGER_BUCKET_BYTES];
    char previous_key[WM_LEDGER_KEY_BYTES];
    char previous_hash[WM_SHA256_HEX_BYTES + 1];
    char previous_signature[WM_SIGNATURE_HEX_BYTES];
};

struct wm_ledger_file_plan {
    uint64_t first_seq, last_seq;
    uint64_t records, filtered; /* of its entries */
    bool logging;               /* is the trail behind last_seq? */
    uint64_t number;            /* planned_files when it was planned */
    int64_t delivered_s;
    struct wm_wall_ns late_before; /* records from before it carry the addendum */
    char key[WM_LEDGER_KEY_BYTES];
    char hash[WM_SHA256_HEX_BYTES + 1]; /* of the content before compression */
    char newest[WM_TIME_ISO_BYTES], oldest[WM_TIME_ISO_BYTES];
    char codec[WM_LEDGER_CODEC_BYTES];
    int level;
};

struct wm_ledger_digest_plan {
    int64_t end_s;
    uint64_t last_file_id;   /* it lists every file up to this one */
    uint64_t n_files;
    char bucket[WM_LEDGER_BUCKET_BYTES];
    char key[WM_LEDGER_KEY_BYTES];
    char hash[WM_SHA256_HEX_BYTES + 1]; /* of the document */
    char signature[WM_SIGNATURE_HEX_BYTES];
    char codec[WM_LEDGER_CODEC_BYTES];
    int level;
    struct wm_view document; /* as read: in the arena */
};

struct wm_ledger;

struct wm_ledger_identity {
    struct wm_view trail, account_id, region;
    uint8_t journal_id[WM_JOURNAL_ID_BYTES];
};

/**
 * Open, or make a ledger that begins behind first_cursor_seq at now_s.
 * @return WM_OK; WM_E_INVALID (it belongs to another trail); WM_E_UNSUPPORTED (written by another version); WM_E_EXISTS
 *         (another process has it open); WM_E_CORRUPT (damaged, its counts do not add up, or it followed another
 *         journal); WM_E_IO, WM_E_FULL, WM_E_DENIED, WM_E_NOMEM
 */
enum wm_status wm_ledger_open(const char *path, const struct wm_ledger_identity *who, uint64_t first_cursor_seq,
                              int64_t now_s, struct wm_ledger **out, struct wm_err *err) WM_MUST_CHECK;
void wm_ledger_close(struct wm_ledger *l); /* NULL allowed */

/** Valid until the ledger is closed; follows every call that succeeds. */
const struct wm_ledger_head *wm_ledger_head(const struct wm_ledger *l);

/** A new ledger: is the trail logging where it begins? */
enum wm_status wm_ledger_begin(struct wm_ledger *l, bool logging, struct wm_err *err) WM_MUST_CHECK;

/**
 * Entries up to seq, of which `filtered` were looked at, hold nothing for the trail. Only while no file is planned.
 * @return WM_E_CORRUPT: these are not all
 */
enum wm_status wm_ledger_skip(struct wm_ledger *l, uint64_t seq, uint64_t filtered, struct wm_err *err) WM_MUST_CHECK;

/** How far plans reach: the last plan's end, the cursor when there is none. */
uint64_t wm_ledger_planned_seq(const struct wm_ledger *l);
/** Is the trail logging there? */
bool wm_ledger_planned_logging(const struct wm_ledger *l);
/** Plan the file behind what is planned already. @return WM_E_CORRUPT: its counts are not those of its entries */
enum wm_status wm_ledger_plan_file(struct wm_ledger *l, const struct wm_ledger_file_plan *p,
                                   struct wm_err *err) WM_MUST_CHECK;
/** The oldest plan that ends behind after_seq. @return WM_E_NOT_FOUND: there is none */
enum wm_status wm_ledger_file_plan(struct wm_ledger *l, uint64_t after_seq, struct wm_ledger_file_plan *out,
                                   struct wm_err *err) WM_MUST_CHECK;
/** The file of the oldest plan is in the bucket. @return WM_E_NOT_FOUND: there is no plan */
enum wm_status wm_ledger_delivered(struct wm_ledger *l, struct wm_view bucket, int64_t now_s,
                                   struct wm_err *err) WM_MUST_CHECK;

/**
 * Entries up to seq left the journal before they were delivered: they count as missed, as one range that is to be told.
 * @param instead  the oldest plan reaches beyond seq: what is planned in its place, from seq + 1 to its end, under its
 *                 number and time. NULL: there is no plan; or the oldest one is dropped, which ends at seq, or, when it
 *                 is the only one, before
 * @param logging  is the trail behind seq?
 */
enum wm_status wm_ledger_missed(struct wm_ledger *l, uint64_t seq, const struct wm_ledger_file_plan *instead,
                                bool logging, struct wm_err *err) WM_MUST_CHECK;

struct wm_ledger_range {
    uint64_t first_seq, last_seq;
    bool stopped_before, stopped_behind; /* was the trail, before its first and behind its last entry? */
};
/** The oldest missed range that has not been told, neighbours taken together. @return WM_E_NOT_FOUND: there is none */
enum wm_status wm_ledger_untold(struct wm_ledger *l, struct wm_ledger_range *out, struct wm_err *err) WM_MUST_CHECK;
/**
 * Missed ranges up to last_seq have been told, in an entry up to told_seq. They are forgotten when that is delivered; when
 * anything is missed before, they are to be told again.
 */
enum wm_status wm_ledger_told(struct wm_ledger *l, uint64_t last_seq, uint64_t told_seq,
                              struct wm_err *err) WM_MUST_CHECK;

/**
 * The files that a digest ending at *io_end_s lists: those planned up to then. When they are more than max_files, the
 * digest ends earlier, before the second of the first file that is too many; files of one second stay together.
 * @param a  holds the texts and the array
 */
enum wm_status wm_ledger_files(struct wm_ledger *l, int64_t *io_end_s, uint64_t max_files, struct wm_arena *a,
                               struct wm_digest_file **out, size_t *out_n, uint64_t *out_last_id,
                               struct wm_err *err) WM_MUST_CHECK;
enum wm_status wm_ledger_plan_digest(struct wm_ledger *l, const struct wm_ledger_digest_plan *p,
                                     struct wm_err *err) WM_MUST_CHECK;
/** @return WM_E_NOT_FOUND: none is under way */
enum wm_status wm_ledger_digest_plan(struct wm_ledger *l, struct wm_arena *a, struct wm_ledger_digest_plan *out,
                                     struct wm_err *err) WM_MUST_CHECK;
/** Forget the planned digest; its files stay for the next one. */
enum wm_status wm_ledger_drop_digest_plan(struct wm_ledger *l, struct wm_err *err) WM_MUST_CHECK;
/** The planned digest is in the bucket: it is the chain's head, and its files leave. */
enum wm_status wm_ledger_sealed(struct wm_ledger *l, int64_t now_s, struct wm_err *err) WM_MUST_CHECK;

#endif
