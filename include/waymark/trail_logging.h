/**
 * Is a trail logging? StartLogging and StopLogging switch it, by a document of the state under the trail's name; a trail
 * without one has logged since it began.
 *
 * The switch stands in the call's own journal entry, and there is one only where it changes something: so the trail, on
 * its way through the journal, meets it exactly where it took effect, and each one says what was before it.
 *
 * @thread any
 */
#ifndef WAYMARK_TRAIL_LOGGING_H
#define WAYMARK_TRAIL_LOGGING_H

#include "waymark/buf.h"
#include "waymark/clock.h"
#include "waymark/journal.h"
#include "waymark/state.h"
#include "waymark/status.h"

#define WM_TRAIL_LOGGING_KIND "cloudtrail.logging"
#define WM_TRAIL_LOGGING_BYTES 128u

struct wm_trail_logging {
    bool stopped;
    bool switched;             /* ever */
    struct wm_wall_ns started; /* by the last StartLogging; 0: none yet */
    struct wm_wall_ns ended;   /* by the last StopLogging; 0: none yet */
};

/** The document that says so. @return length */
size_t wm_trail_logging_write(const struct wm_trail_logging *l, char out[WM_TRAIL_LOGGING_BYTES]);
/** @return WM_OK; WM_E_CORRUPT (no such document); WM_E_NOMEM */
enum wm_status wm_trail_logging_read(struct wm_view document, struct wm_trail_logging *out,
                                     struct wm_err *err) WM_MUST_CHECK;
/** What the state says now. @return as wm_trail_logging_read()   @locks state held */
enum wm_status wm_trail_logging_get(struct wm_state *s, struct wm_view trail, struct wm_trail_logging *out,
                                    struct wm_err *err) WM_MUST_CHECK;
/**
 * Does this entry switch the trail?
 * @param out_logging  what the trail is behind the entry; set only when it does
 * @return as wm_trail_logging_read()
 */
enum wm_status wm_trail_logging_switched(const struct wm_entry *e, struct wm_view trail, bool *out_switched,
                                         bool *out_logging, struct wm_err *err) WM_MUST_CHECK;

#endif
