/**
 * The windows in which refused calls are folded: inside of recorder.h's wm_recorder_fold(). Who records what a window has
 * counted is recorder.c.
 *
 * @thread any   @locks one of its own
 */
#ifndef WAYMARK_RECORDER_FOLD_H
#define WAYMARK_RECORDER_FOLD_H

#include "waymark/recorder.h"

struct fold;
struct fold_window;

struct fold *fold_new(int64_t window_ms, const struct wm_clock *clock); /* NULL when memory is short */
void fold_free(struct fold *f);                                         /* NULL allowed */

bool fold_count(struct fold *f, const struct wm_refused_call *c);
void fold_begin(struct fold *f, const struct wm_refused_call *c);
struct wm_fold_counts fold_counts(struct fold *f);

/**
 * Take a window that has counted calls and whose time is over, or any at all. A refused call of its source opens another.
 * Windows that have counted nothing are dropped here.
 * @return the caller's until fold_give_back(); NULL: there is none
 */
struct fold_window *fold_take(struct fold *f, bool any);
/** @param told  its event is durable, and it is released; else it is the first to be taken again */
void fold_give_back(struct fold *f, struct fold_window *w, bool told);
/** serviceEventDetails of RefusedCallsFolded; look at out's status. */
void fold_write(const struct fold_window *w, struct wm_buf *out);

#endif
