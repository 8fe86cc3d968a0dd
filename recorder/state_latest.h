/**
 * The last change of each document in a run of entries: what a later one replaces need not be written at all.
 *
 * Memory is bounded: when a change does not fit any more, the caller writes what is kept, clears, and adds it again.
 *
 * @thread one at a time   @locks none
 */
#ifndef WAYMARK_RECORDER_STATE_LATEST_H
#define WAYMARK_RECORDER_STATE_LATEST_H

#include "waymark/arena.h"
#include "waymark/journal.h"

#define WM_LATEST_BUCKETS 1024u

struct wm_latest_change {
    struct wm_change change;
    uint64_t seq;                         /* of its entry */
    size_t room;                          /* bytes at change.document.ptr */
    struct wm_latest_change *next;        /* all of them */
    struct wm_latest_change *same_bucket;
};

struct wm_latest {
    struct wm_arena arena;
    struct wm_latest_change *first;
    struct wm_latest_change *buckets[WM_LATEST_BUCKETS];
};

void wm_latest_init(struct wm_latest *l);
void wm_latest_done(struct wm_latest *l);
void wm_latest_clear(struct wm_latest *l);
/** Keep a copy of the change in place of an earlier one of its document. @return false: no room, nothing is changed */
bool wm_latest_add(struct wm_latest *l, const struct wm_change *c, uint64_t seq) WM_MUST_CHECK;

#endif
