/**
 * The operational log: one line per event on stderr, from the table in events.def.
 *
 *     2026-03-01T10:07:12Z notice  trail-delivered   trail=demo key=AWSLogs/… records=17
 *
 * Library code returns its errors; the top of each thread logs, once per error. Secrets and keys never reach it.
 * Control characters in texts are written as \xNN, so that a caller cannot forge a line.
 *
 * @thread any   @locks the log's own, around one write(2)
 */
#ifndef WAYMARK_LOG_H
#define WAYMARK_LOG_H

#include "waymark/status.h"

enum wm_log_level { WM_LOG_ERROR, WM_LOG_WARNING, WM_LOG_NOTICE, WM_LOG_INFO, WM_LOG_DEBUG };

enum wm_event {
#define WM_EVENT(id, level, name, action) WM_EV_##id,
#include "waymark/events.def"
#undef WM_EVENT
    WM_EV_COUNT
};

/** Show events up to this level; WM_LOG_NOTICE at the start. Set before other threads start. */
void wm_log_set_level(enum wm_log_level level);
bool wm_log_enabled(enum wm_event event);

/** Log one event; fmt gives its details as `key=value key=value`. */
void wm_log(enum wm_event event, const char *fmt, ...) WM_PRINTF(2, 3);

#endif
