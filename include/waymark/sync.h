/**
 * Threads: a mutex that knows its owner, a condition with a monotonic timeout, named threads, and the macros by which
 * clang's -Wthread-safety checks who holds what (empty under gcc).
 */
#ifndef WAYMARK_SYNC_H
#define WAYMARK_SYNC_H

#include <pthread.h>
#include <stdatomic.h>

#include "waymark/clock.h"
#include "waymark/status.h"

#if defined(__clang__)
#define WM_CAPABILITY(x) __attribute__((capability(x)))
#define WM_REQUIRES(...) __attribute__((requires_capability(__VA_ARGS__)))
#define WM_ACQUIRES(...) __attribute__((acquire_capability(__VA_ARGS__)))
#define WM_RELEASES(...) __attribute__((release_capability(__VA_ARGS__)))
#define WM_ASSERTS_HELD(...) __attribute__((assert_capability(__VA_ARGS__)))
#define WM_NO_ANALYSIS __attribute__((no_thread_safety_analysis))
#else
#define WM_CAPABILITY(x)
#define WM_REQUIRES(...)
#define WM_ACQUIRES(...)
#define WM_RELEASES(...)
#define WM_ASSERTS_HELD(...)
#define WM_NO_ANALYSIS
#endif

/** For pthread calls that fail only through an error of ours. */
#define WM_PTOK(call)                    \
    do {                                 \
        int wm_ptok_rc_ = (call);        \
        WM_ASSERT(wm_ptok_rc_ == 0);     \
    } while (0)

struct WM_CAPABILITY("mutex") wm_mutex {
    pthread_mutex_t os;
    atomic_ulong owner; /* pthread_self() of the holder, 0 when free */
};

void wm_mutex_init(struct wm_mutex *m);
void wm_mutex_done(struct wm_mutex *m);
void wm_mutex_lock(struct wm_mutex *m) WM_ACQUIRES(*m);
void wm_mutex_unlock(struct wm_mutex *m) WM_RELEASES(*m);
void wm_mutex_assert_held(struct wm_mutex *m) WM_ASSERTS_HELD(*m); /* checked at run time, believed by the analysis */

struct wm_cond {
    pthread_cond_t os;
};

void wm_cond_init(struct wm_cond *c);
void wm_cond_done(struct wm_cond *c);
void wm_cond_wait(struct wm_cond *c, struct wm_mutex *m) WM_REQUIRES(*m);
/** Wait at most timeout_ms; true when woken (perhaps spuriously), false when the time is over. */
bool wm_cond_wait_ms(struct wm_cond *c, struct wm_mutex *m, int64_t timeout_ms) WM_REQUIRES(*m);
void wm_cond_signal(struct wm_cond *c);
void wm_cond_broadcast(struct wm_cond *c);

/** Start a thread; all signals are blocked in it (main alone takes them). name: at most 15 characters. */
enum wm_status wm_thread_start(pthread_t *out, const char *name, void *(*run)(void *arg), void *arg,
                               struct wm_err *err) WM_MUST_CHECK;
/** Name of the calling thread, for logs and assertions; valid until its next call in the same thread. */
const char *wm_thread_name(void);

/**
 * A request to stop that a sleeping thread notices at once.
 * @thread any   @locks takes stop.mu
 */
struct wm_stop {
    struct wm_mutex mu;
    struct wm_cond cond;
    bool requested;
};

void wm_stop_init(struct wm_stop *s);
void wm_stop_done(struct wm_stop *s);
void wm_stop_request(struct wm_stop *s);
bool wm_stop_requested(struct wm_stop *s);
/** Sleep for timeout_ms or until a stop is requested; true when it is requested. */
bool wm_stop_wait_ms(struct wm_stop *s, int64_t timeout_ms);

#endif
