/**
 * What is answered beside the calls, and is not recorded, because it must be answered also when nothing can be recorded:
 *
 *     GET /livez             anybody: 200 "ok"; 503 and one line when only a restart helps
 *     GET /readyz            anybody: 200 "ok"; 503 and one line while calls are refused: starting, stopping, journal full
 *                            or failed (both as Kubernetes asks its own API server: "Kubernetes API health endpoints")
 *     GET /_waymark/status   the account's root, signed for the service "waymark": the document that `waymark status`
 *                            shows. Whoever does not prove to be root makes a call of it, refused and recorded
 *
 * HEAD counts as GET; any other method makes a call of it.
 *
 * What the numbers in the status prove. "Complete" is said of four equations, each between counts that different code
 * keeps, so that a record lost or invented on the way breaks it:
 *
 *   calls     recorded here = calls met in the journal. Left: the dispatcher, since the start. Right: the state's
 *             follower, which reads the journal back; while it is behind by n entries, up to n calls may be missing on
 *             the right. On the left one may be missing for each other loop, which is about to count it.
 *   folded    refused calls answered without an entry of their own = those that events have told of + those of windows
 *             that are still open. Left: the dispatcher. Right: the recorder, in the same step with the window that an
 *             event is made of. May differ by a call for each other loop.
 *   counted   the number of the last entry read = entries counted, of all kinds. Since the journal's first entry, through
 *             every restart (state.h).
 *   trail     entries passed = before + delivered + filtered + missed. Through every restart: the trail's ledger counts
 *             records in the transaction in which it notes a file as delivered. "Before" is what had left the journal when
 *             the trail began.
 *
 * They do not prove that the records in the bucket are still there: that is what verifying is for.
 */
#ifndef WAYMARK_SERVER_MONITOR_H
#define WAYMARK_SERVER_MONITOR_H

#include "server/dispatch.h"

enum wm_phase {
    WM_PHASE_STARTING, /* listening; there is no recorder yet */
    WM_PHASE_SERVING,
    WM_PHASE_STOPPING,
};

/** What the loops have seen since the start. A loop writes its own; the status shows the sums. */
struct wm_call_counts {
    uint64_t received;     /* calls: they came whole, or so far that they were refused */
    uint64_t acknowledged; /* replies let go behind the commit of their entry */
    uint64_t refused;      /* calls answered 503 without an entry: the journal took none. Nothing was done */
    uint64_t lost;         /* calls answered 503 because their entry could not be made durable */
    uint64_t unrecorded;   /* calls answered without an entry because the settings say so */
    uint64_t abandoned;    /* the client left between the headers and the end: never carried out */
    uint64_t rejected;     /* answered without being a call: no whole and sound headers (400, 408, 414, 431 …) */
};

/** A look at the server, put together for one question. */
struct wm_monitor {
    enum wm_phase phase;
    bool failed;                            /* only a restart helps */
    const struct wm_dispatcher *dispatcher; /* NULL: there is no recorder yet, or never was */
    struct wm_wall_ns started;
    struct wm_mono_ns started_mono;
    struct wm_call_counts calls;            /* read before anything else */
    uint64_t calls_before;                  /* in the journal before the start, as the state counts */
    size_t others;                          /* loops that may be between an entry and its count while this one looks */
};

/** Is it one of these paths? Says nothing of whether it will be answered here. */
bool wm_monitor_concerns(const struct wm_request *r);
/**
 * Answer it: status, body and route.protocol stand in r.
 * @param cache  of the calling loop
 * @return false: it is a call after all
 * @thread http   @locks takes the state's, and the journal's and the board's, one after the other
 */
bool wm_monitor_answer(const struct wm_monitor *m, struct wm_sigv4_cache *cache, struct wm_request *r);

#endif
