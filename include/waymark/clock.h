/**
 * Time: wall time and monotonic time as two types, so that the compiler keeps them apart, and a clock that tests
 * replace. Library code never asks the system for the time; it is handed a `struct wm_clock`.
 *
 * @thread any   @locks none
 */
#ifndef WAYMARK_CLOCK_H
#define WAYMARK_CLOCK_H

#include "waymark/buf.h"
#include "waymark/status.h"

struct wm_wall_ns { int64_t ns; }; /* since 1970-01-01T00:00:00Z, UTC, leap seconds not counted */
struct wm_mono_ns { int64_t ns; }; /* since an unknown moment, never goes back */

struct wm_clock {
    struct wm_wall_ns (*wall)(void *ctx);
    struct wm_mono_ns (*mono)(void *ctx);
    void *ctx;
};

/** The system's clock: CLOCK_REALTIME and CLOCK_MONOTONIC. */
extern const struct wm_clock wm_clock_system;

static inline struct wm_wall_ns wm_clock_wall(const struct wm_clock *c) { return c->wall(c->ctx); }
static inline struct wm_mono_ns wm_clock_mono(const struct wm_clock *c) { return c->mono(c->ctx); }

#define WM_NS_PER_S 1000000000ll
#define WM_NS_PER_MS 1000000ll

static inline int64_t wm_wall_seconds(struct wm_wall_ns t) { /* rounded down, also before 1970 */
    return t.ns >= 0 ? t.ns / WM_NS_PER_S : -((-t.ns + WM_NS_PER_S - 1) / WM_NS_PER_S);
}
static inline struct wm_wall_ns wm_wall_from_seconds(int64_t s) { return (struct wm_wall_ns){s * WM_NS_PER_S}; }

/** "2026-03-01T10:07:12Z": CloudTrail's eventTime, digestStartTime. Years 1970 to 9999. */
#define WM_TIME_ISO_BYTES 21
void wm_time_iso(struct wm_wall_ns t, char out[WM_TIME_ISO_BYTES]);
/** "20260301T100712Z": SigV4's X-Amz-Date, the end of a digest's key. */
#define WM_TIME_BASIC_BYTES 17
void wm_time_basic(struct wm_wall_ns t, char out[WM_TIME_BASIC_BYTES]);
/** Either form back, and nothing else. @return WM_E_INVALID. */
enum wm_status wm_time_parse(struct wm_view text, struct wm_wall_ns *out) WM_MUST_CHECK;
/** Days since 1970-01-01 to a date of the Gregorian calendar; months and days from 1, not checked. */
int64_t wm_days_from_civil(int64_t year, int64_t month, int64_t day);

#endif
