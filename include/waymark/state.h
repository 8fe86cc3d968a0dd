/**
 * The state: documents (`kind`, `id` → JSON) in memory, and their copy in SQLite.
 *
 * Memory is what services read. A call reads and decides under the state's lock, appends its entry to the journal and
 * applies the changes before it lets go, so changes happen in sequence order and no read sees a change whose entry
 * has a higher number than its own.
 *
 * The copy follows the journal behind its own cursor, documents and cursor in one transaction. Start-up is: load the
 * copy, then apply the journal's entries from its cursor on. Removing the copy's file costs the documents whose
 * entries are retired from the journal; it is part of the data, not a cache.
 */
#ifndef WAYMARK_STATE_H
#define WAYMARK_STATE_H

#include <stdatomic.h>

#include "waymark/journal.h"
#include "waymark/status.h"
#include "waymark/sync.h"

struct wm_state;

/**
 * Open the copy at path (made when absent) and load it. *out_cursor: the last sequence number applied to it.
 * @return WM_OK; WM_E_EXISTS (another process has it open); WM_E_CORRUPT; WM_E_UNSUPPORTED (a newer version);
 *         WM_E_INVALID (a database of another program); WM_E_IO, WM_E_FULL, WM_E_DENIED, WM_E_NOMEM
 */
enum wm_status wm_state_open(const char *path, struct wm_state **out, uint64_t *out_cursor,
                             struct wm_err *err) WM_MUST_CHECK;
void wm_state_close(struct wm_state *s); /* NULL allowed */
/**
 * The journal that the copy follows: taken down the first time, compared from then on.
 * @return WM_OK; WM_E_CORRUPT (it follows another one); WM_E_IO, WM_E_FULL …
 */
enum wm_status wm_state_bind(struct wm_state *s, const uint8_t id[WM_JOURNAL_ID_BYTES], struct wm_err *err) WM_MUST_CHECK;

/**
 * How many entries of each kind the copy has been brought past since the journal's first: counted one by one as they are
 * read, and stored in the transaction that moves the cursor. So seq, which is the number of the last one, is the sum of
 * the others, through every restart; else entries were left out or counted twice.
 */
struct wm_state_counts {
    uint64_t seq;
    uint64_t reads;    /* calls that succeeded, of operations that cannot change anything */
    uint64_t changes;  /* calls that succeeded, of the other operations */
    uint64_t refused;  /* calls with an errorCode */
    uint64_t service;  /* entries that are no calls */
    uint64_t earlier;  /* of all kinds: before there was this count, in a data folder of an older version */
};
/** @thread any   @locks takes one of its own */
void wm_state_counts(struct wm_state *s, struct wm_state_counts *out);
/** Is seq the sum of the others? */
bool wm_state_counts_add_up(const struct wm_state_counts *c);

/** The lock under which services read and change. @thread http */
void wm_state_lock(struct wm_state *s);
void wm_state_unlock(struct wm_state *s);

/**
 * The document; false when there is none.
 * @param out  valid until the lock is released
 * @locks state held
 */
bool wm_state_get(struct wm_state *s, struct wm_view kind, struct wm_view id, struct wm_view *out);
/**
 * A number that grows with each change of a document of this kind, and is the same for as long as there was none: so what
 * was made of documents is known to be still right without reading them. Read under the lock, it is exact; else it may be
 * old already.
 * @param out  as long as the state is open
 * @return WM_OK; WM_E_NOMEM; WM_E_LIMIT (WM_MAX_STATE_KINDS)
 * @locks takes the state's
 */
enum wm_status wm_state_watch(struct wm_state *s, struct wm_view kind, const _Atomic uint64_t **out,
                              struct wm_err *err) WM_MUST_CHECK;
/** Number of documents of a kind. @locks state held */
size_t wm_state_count(struct wm_state *s, struct wm_view kind);
/**
 * Call each with the documents of a kind in the order of their ids (by bytes), those behind `after` (empty: all);
 * stops when it returns false.
 * @locks state held
 */
void wm_state_each(struct wm_state *s, struct wm_view kind, struct wm_view after,
                   bool (*each)(void *arg, struct wm_view id, struct wm_view document), void *arg);

/**
 * Make sure that wm_state_apply() of these changes cannot fail: memory is set aside. Called before the entry is
 * appended, because an entry in the journal must have its effect. What was reserved and not applied is given back.
 * @return WM_OK; WM_E_LIMIT (WM_MAX_STATE_BYTES, WM_MAX_STATE_KINDS, WM_MAX_CHANGES); WM_E_NOMEM
 * @locks state held
 */
enum wm_status wm_state_reserve(struct wm_state *s, const struct wm_change *changes, size_t n,
                                struct wm_err *err) WM_MUST_CHECK;
/** Apply changes that were reserved. @locks state held */
void wm_state_apply(struct wm_state *s, const struct wm_change *changes, size_t n);

/**
 * Bring the copy up to the end of what the reader gives (at most max_entries), in one transaction with the cursor.
 * @param out_cursor  last sequence number the copy now holds, durable
 * @param memory_too  also apply to memory: at start, before anything else runs
 * Each time it syncs, on the disk that calls wait for: let some entries come together.
 * @return WM_OK; WM_E_END (nothing new); WM_E_IO, WM_E_FULL, WM_E_CORRUPT …: nothing of it is stored; open a new reader
 *         at the last *out_cursor before the next call
 * @thread state follower
 */
enum wm_status wm_state_follow(struct wm_state *s, struct wm_journal_reader *r, size_t max_entries, bool memory_too,
                               uint64_t *out_cursor, struct wm_err *err) WM_MUST_CHECK;

#endif
