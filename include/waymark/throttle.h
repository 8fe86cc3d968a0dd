/**
 * Throttling: how many calls one principal, and one source address, may make. Each has a bucket that holds `burst` calls
 * at most and is filled with `rate` calls a second: in any interval of t seconds it gives no more than burst + rate * t.
 *
 * A principal is its ARN, and an assumed role without its session: whoever may assume a role may give a session any
 * name, and would have as many buckets as names. A source is an IPv4 address, or the /64 of an IPv6 one, which is what
 * one host is given (RFC 6177 section 2, RFC 4291 section 2.5.4).
 *
 * Memory is fixed. A bucket that is full again is as good as forgotten, and only such a one gives up its place. Who finds
 * no place shares a bucket with the others that found none nearby, until there is one: many addresses cannot grow the
 * table, nor get more from it, nor take anything from those who have a place. A bucket that gets its place later begins
 * as empty as the shared one is, so the bound above holds for each alone, come what may.
 *
 * @thread any   @locks one of its own, for some hundred ns; no I/O
 */
#ifndef WAYMARK_THROTTLE_H
#define WAYMARK_THROTTLE_H

#include "waymark/arena.h"
#include "waymark/buf.h"
#include "waymark/clock.h"
#include "waymark/status.h"

/** Most calls a second, and at once; the settings take no more. */
#define WM_THROTTLE_MAX 1000000

struct wm_throttle_limit {
    int64_t rate;  /* calls a second; 0: no limit */
    int64_t burst; /* calls at once; 0: as many as the rate */
};

enum wm_throttle_kind { WM_THROTTLE_SOURCE, WM_THROTTLE_PRINCIPAL };

struct wm_throttle;

/** @param out  NULL, with WM_OK, where neither has a limit */
enum wm_status wm_throttle_new(struct wm_throttle_limit source, struct wm_throttle_limit principal,
                               struct wm_throttle **out, struct wm_err *err) WM_MUST_CHECK;
void wm_throttle_free(struct wm_throttle *t); /* NULL allowed */

/**
 * Take a call out of the bucket, if it has one.
 * @param who  address or ARN
 * @return 0: taken; else nothing is, and in so many ns the bucket would have one
 */
int64_t wm_throttle_take(struct wm_throttle *t, enum wm_throttle_kind kind, struct wm_view who, struct wm_mono_ns now);
/** A sentence for the caller: which limit, of whom, and when to come again. */
struct wm_view wm_throttle_sentence(const struct wm_throttle *t, enum wm_throttle_kind kind, struct wm_view who,
                                    int64_t wait_s, struct wm_arena *a);

#endif
