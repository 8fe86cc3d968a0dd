#include "waymark/sync.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "waymark/banned.h"

void wm_mutex_init(struct wm_mutex *m)
{
    pthread_mutexattr_t attr;
    WM_PTOK(pthread_mutexattr_init(&attr));
    /* Tries for a moment before it sleeps: locks are held for a microsecond or two, and waking a thread costs ten. */
    WM_PTOK(pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP));
    WM_PTOK(pthread_mutex_init(&m->os, &attr));
    WM_PTOK(pthread_mutexattr_destroy(&attr));
    atomic_init(&m->owner, 0);
}

void wm_mutex_done(struct wm_mutex *m)
{
    WM_PTOK(pthread_mutex_destroy(&m->os));
}

void wm_mutex_lock(struct wm_mutex *m) WM_NO_ANALYSIS
{
    WM_PTOK(pthread_mutex_lock(&m->os));
    atomic_store_explicit(&m->owner, (unsigned long)pthread_self(), memory_order_relaxed);
}

void wm_mutex_unlock(struct wm_mutex *m) WM_NO_ANALYSIS
{
    atomic_store_explicit(&m->owner, 0, memory_order_relaxed);
    WM_PTOK(pthread_mutex_unlock(&m->os));
}

void wm_mutex_assert_held(struct wm_mutex *m)
{
    WM_ASSERT(atomic_load_explicit(&m->owner, memory_order_relaxed) == (unsigned long)pthread_self());
}

void wm_cond_init(struct wm_cond *c)
{
    pthread_condattr_t attr;
    WM_PTOK(pthread_condattr_init(&attr));
    WM_PTOK(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC)); /* a stepped wall clock must not stretch a wait */
    WM_PTOK(pthread_cond_init(&c->os, &attr));
    WM_PTOK(pthread_condattr_destroy(&attr));
}

void wm_cond_done(struct wm_cond *c)
{
    WM_PTOK(pthread_cond_destroy(&c->os));
}

/* The system gives the mutex away while it waits, so the owner is not us in between. */
static void mutex_owner(struct wm_mutex *m, unsigned long owner)
{
    atomic_store_explicit(&m->owner, owner, memory_order_relaxed);
}

void wm_cond_wait(struct wm_cond *c, struct wm_mutex *m)
{
    mutex_owner(m, 0);
    WM_PTOK(pthread_cond_wait(&c->os, &m->os));
    mutex_owner(m, (unsigned long)pthread_self());
}

bool wm_cond_wait_ms(struct wm_cond *c, struct wm_mutex *m, int64_t timeout_ms)
{
    struct timespec until;
    int rc = clock_gettime(CLOCK_MONOTONIC, &until);
    WM_ASSERT(rc == 0);
    if (timeout_ms < 0)
        timeout_ms = 0;
    int64_t ns = until.tv_nsec + timeout_ms % 1000 * WM_NS_PER_MS;
    until.tv_sec += (time_t)(timeout_ms / 1000 + ns / WM_NS_PER_S);
    until.tv_nsec = (long)(ns % WM_NS_PER_S);
    mutex_owner(m, 0);
    rc = pthread_cond_timedwait(&c->os, &m->os, &until);
    mutex_owner(m, (unsigned long)pthread_self());
    WM_ASSERT(rc == 0 || rc == ETIMEDOUT);
    return rc == 0;
}

void wm_cond_signal(struct wm_cond *c)
{
    WM_PTOK(pthread_cond_signal(&c->os));
}

void wm_cond_broadcast(struct wm_cond *c)
{
    WM_PTOK(pthread_cond_broadcast(&c->os));
}

enum wm_status wm_thread_start(pthread_t *out, const char *name, void *(*run)(void *arg), void *arg, struct wm_err *err)
{
    /* The new thread inherits the mask: signals are main's business alone. */
    sigset_t all, before;
    (void)sigfillset(&all); /* cannot fail on a valid set */
    WM_PTOK(pthread_sigmask(SIG_SETMASK, &all, &before));
    pthread_t thread;
    int rc = pthread_create(&thread, NULL, run, arg);
    WM_PTOK(pthread_sigmask(SIG_SETMASK, &before, NULL));
    if (rc != 0)
        return wm_fail_errno(err, rc, "cannot start thread %s", name);
    (void)pthread_setname_np(thread, name); /* a thread without its name still works */
    *out = thread;
    return WM_OK;
}

const char *wm_thread_name(void)
{
    static _Thread_local char name[16];
    if (pthread_getname_np(pthread_self(), name, sizeof name) != 0)
        return "?";
    return name;
}

void wm_stop_init(struct wm_stop *s)
{
    wm_mutex_init(&s->mu);
    wm_cond_init(&s->cond);
    s->requested = false;
}

void wm_stop_done(struct wm_stop *s)
{
    wm_cond_done(&s->cond);
    wm_mutex_done(&s->mu);
}

void wm_stop_request(struct wm_stop *s)
{
    wm_mutex_lock(&s->mu);
    s->requested = true;
    wm_cond_broadcast(&s->cond);
    wm_mutex_unlock(&s->mu);
}

bool wm_stop_requested(struct wm_stop *s)
{
    wm_mutex_lock(&s->mu);
    bool requested = s->requested;
    wm_mutex_unlock(&s->mu);
    return requested;
}

bool wm_stop_wait_ms(struct wm_stop *s, int64_t timeout_ms)
{
    const int64_t until = wm_clock_mono(&wm_clock_system).ns + timeout_ms * WM_NS_PER_MS;
    wm_mutex_lock(&s->mu);
    while (!s->requested) {
        int64_t left = until - wm_clock_mono(&wm_clock_system).ns;
        if (left <= 0)
            break;
        (void)wm_cond_wait_ms(&s->cond, &s->mu, (left + WM_NS_PER_MS - 1) / WM_NS_PER_MS); /* the loop looks again */
    }
    bool requested = s->requested;
    wm_mutex_unlock(&s->mu);
    return requested;
}
