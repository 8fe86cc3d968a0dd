/**
 * One trail: a follower of the journal that batches records into trail files, puts them into its store, and seals a
 * signed digest each period. One thread per trail, and one for each upload at a time, with its own stores, cursor and
 * ledger; what is in the bucket is there exactly once:
 *
 *  1. A file's plan (first and last sequence number, key, delivery time) is durable in the ledger before its upload
 *     begins, and its content is a pure function of plan and journal. A retry writes the same bytes under the same key.
 *  2. An object that is there already is compared: equal means that an earlier reply was lost, and counts as stored.
 *  3. A digest is planned, signed and put the same way, when everything delivered before its end is in the ledger.
 *
 * Nothing is given up: whatever the store answers, the trail waits (jittered, capped backoff), says why on the board
 * and in the log, and goes on by itself. Files do not wait for a digest that the store refuses. Only damage (journal
 * entries that are not what was planned, a ledger whose counts do not add up) makes the trail stand still until a
 * restart.
 *
 * StopLogging and StartLogging reach the trail by the journal: their entries switch it where they stand. That of a stop is
 * the last that is delivered, at once, and that of the start is the first again; what stands between is passed over and
 * counted as filtered, whatever it is, the service's own events too: an operator who stops a trail wants nothing of it, and
 * the two records around the gap in the numbers say who did and when. What a stopped trail has missed (below) it tells when
 * it is started again, since no sooner it would get there. Digests go on at their pace while a trail is stopped, so that
 * the chain has no end at which something could be cut off unseen.
 *
 * Entries can leave the journal without the trail: while it is out of the settings, or when the journal, at its limit,
 * was told to go on without it. Then it goes on from the oldest entry that is kept. What it has missed is counted, and
 * recorded in the trail itself as an event RecordsMissed with the range.
 */
#ifndef WAYMARK_TRAIL_H
#define WAYMARK_TRAIL_H

#include "waymark/board.h"
#include "waymark/clock.h"
#include "waymark/codec.h"
#include "waymark/io.h"
#include "waymark/journal.h"
#include "waymark/signer.h"
#include "waymark/status.h"
#include "waymark/store.h"
#include "waymark/trail_logging.h"

/* S3 clients gain little from more; each has a connection and a compressed file in memory. */
#define WM_TRAIL_MAX_UPLOADS 16

struct wm_trail;

/** What a trail asks of the recorder (recorder.h has the contracts). */
struct wm_trail_recorder {
    /** wm_recorder_event_of_trail(); NULL: what is missed is only logged */
    enum wm_status (*event)(void *ctx, struct wm_view trail, const char *event_name, struct wm_view details,
                            struct wm_err *err);
    /** wm_recorder_logging(); NULL: the state says of no trail that it was stopped */
    enum wm_status (*logging)(void *ctx, struct wm_view trail, struct wm_trail_logging *out, uint64_t *out_seq,
                              struct wm_err *err);
    void *ctx;
};

struct wm_trail_options {
    struct wm_view name;           /* 3 to 128 of [A-Za-z0-9._-]: trail_name.h has the rule */
    struct wm_view account_id;
    struct wm_view region;
    struct wm_view prefix;
    const struct wm_codec *codec;
    int codec_level;
    uint64_t batch_bytes;          /* uncompressed; 64 KiB to WM_MAX_BATCH_BYTES */
    uint64_t batch_records;        /* at most so many records a file, 1 to 1,000,000 */
    int64_t batch_age_ms;          /* a record waits at most so long for company */
    int64_t late_after_ms;         /* a record that waited so much longer has the addendum DELIVERY_DELAY; 0: none has */
    int64_t digest_period_s;       /* 1 to 86,400; AWS: 3,600 */
    const char *ledger_path;       /* SQLite file of this trail, made when absent */
    struct wm_store *stores[WM_TRAIL_MAX_UPLOADS]; /* handles of one store, so many uploads at a time; handed over: freed
                                      with the trail, also when wm_trail_start fails */
    size_t n_stores;
    struct wm_journal *journal;
    struct wm_board *board;
    struct wm_signer *signer;
    bool may_pause;                /* a full journal may go on without this trail (journal.h, wm_journal_notice) */
    struct wm_trail_recorder recorder;
    const struct wm_clock *clock;
    int64_t retry_min_ms, retry_max_ms; /* backoff; 0: 200 and 60,000 */
};

/**
 * Keep the journal whole for a trail that is about to start: what is appended meanwhile (by another trail, by the keys)
 * must not make it drop segments that this one still needs. To be called for every trail before the first append.
 */
enum wm_status wm_trail_hold(struct wm_journal *journal, struct wm_view name, struct wm_err *err) WM_MUST_CHECK;
/**
 * Open the ledger, register the cursor with the journal (before the first append), post the trail on the board, start
 * its thread. A new trail begins with the oldest entry that the journal still has.
 * @return WM_OK; WM_E_INVALID (an option, or the ledger is another trail's); WM_E_CORRUPT (the ledger is damaged, its
 *         counts do not add up, or it does not belong to this journal); WM_E_EXISTS (another process has the ledger open); WM_E_UNSUPPORTED, WM_E_LIMIT,
 *         WM_E_IO, WM_E_FULL, WM_E_DENIED, WM_E_NOMEM
 */
enum wm_status wm_trail_start(const struct wm_trail_options *o, struct wm_trail **out, struct wm_err *err) WM_MUST_CHECK;
/**
 * Stop: deliver what is durable in the journal, if the store takes it within deadline_ms; the rest waits for the next
 * start. Releases the trail. NULL allowed.
 */
void wm_trail_stop(struct wm_trail *t, int64_t deadline_ms);

#endif
