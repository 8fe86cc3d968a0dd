/**
 * The content of one trail file while it grows: {"Records":[…]} on one line, records copied as the journal has them, with
 * their sequence number as a last member, and with an addendum before it when they come late.
 *
 *     wm_batch_init(&b, &limits);
 *     while (wm_batch_add(&b, &entry, wall, mono, &err) == WM_OK) …     WM_E_FULL: close, deliver, clear, add again
 *     wm_batch_full(&b), wm_batch_due_ms(&b, mono) == 0                 or close because it is large or old enough
 *     wm_batch_close(&b, &err);                                         body is then the content of the file, with its hash
 *
 * The content depends on the entries and on late_before alone, so that the same range of the journal gives the same bytes
 * again: wm_batch_repeat(&b, late_before), and add.
 *
 * @thread any (one object in one thread at a time)   @locks none
 */
#ifndef WAYMARK_DELIVERY_BATCH_H
#define WAYMARK_DELIVERY_BATCH_H

#include "waymark/buf.h"
#include "waymark/clock.h"
#include "waymark/hash.h"
#include "waymark/journal.h"
#include "waymark/status.h"

struct wm_batch_limits {
    uint64_t bytes;   /* of the file before compression; a single record larger than that is a file of its own */
    uint64_t records;
    int64_t age_ms;   /* of the oldest record in it */
    int64_t late_after_ms; /* a record that is older when its file is begun says that it was delayed; 0: none does */
};

struct wm_batch {
    struct wm_batch_limits limits;
    struct wm_buf body;
    uint64_t first_seq, last_seq; /* covered, entries without a record included; 0 when empty */
    uint64_t records;             /* in body */
    uint64_t filtered;            /* entries that hold nothing for the trail */
    struct wm_wall_ns newest, oldest; /* eventTime of the records; set when there are any */
    struct wm_wall_ns late_before;    /* older records are late; set when first_seq is */
    bool repeats;                     /* it was set before */
    struct wm_mono_ns due;            /* when the age is reached; set when first_seq is */
    bool closed;
    uint8_t sha256[WM_SHA256_BYTES];  /* of the body; set when closed */
    struct wm_sha256_stream *hash;    /* of body up to hashed */
    size_t hashed;
};

void wm_batch_init(struct wm_batch *b, const struct wm_batch_limits *limits);
/** Empty, for the content of a file that was planned with this late_before; of any size that a file can have. */
void wm_batch_repeat(struct wm_batch *b, struct wm_wall_ns late_before);
void wm_batch_done(struct wm_batch *b);
void wm_batch_clear(struct wm_batch *b); /* empty again; the memory is kept */

/**
 * Take the next entry. Its age counts from its own time, as far as the clock's word for it can be believed (never
 * below 0, never beyond the limit), so that what waited through a restart does not wait anew.
 * @return WM_OK; WM_E_FULL (it does not fit: b is as before, and not empty); WM_E_CORRUPT (its record is no object);
 *         WM_E_NOMEM (b is as before)
 */
enum wm_status wm_batch_add(struct wm_batch *b, const struct wm_entry *e, struct wm_wall_ns wall,
                            struct wm_mono_ns mono, struct wm_err *err) WM_MUST_CHECK;

/** No further record fits: close without waiting for the next. */
bool wm_batch_full(const struct wm_batch *b);
/** Milliseconds until the batch is old enough: 0 when it is, INT64_MAX when it is empty. */
int64_t wm_batch_due_ms(const struct wm_batch *b, struct wm_mono_ns mono);

/** Write the end, once. Nothing may be added before wm_batch_clear(). @return WM_E_NOMEM */
enum wm_status wm_batch_close(struct wm_batch *b, struct wm_err *err) WM_MUST_CHECK;

#endif
