/**
 * The one path of a call: authenticate, find the operation, decode, permit, run, record, and write the reply. A handler cannot
 * forget to be recorded, and what is refused on the way is recorded like what succeeds.
 */
#ifndef WAYMARK_SERVER_DISPATCH_H
#define WAYMARK_SERVER_DISPATCH_H

#include "server/request.h"
#include "waymark/auth.h"
#include "waymark/recorder.h"
#include "waymark/service.h"
#include "waymark/throttle.h"

/** Constant after start; shared by all loops. */
struct wm_dispatcher {
    const struct wm_service_env *env;
    const struct wm_service *const *services;
    size_t n_services;
    struct wm_auth *auth;
    struct wm_recorder *recorder;
    bool record;
    bool answer_reads;          /* while the journal is full: answer, unrecorded, what cannot change anything */
    _Atomic uint64_t *recorded; /* calls that were given an entry, counted right behind it */
    _Atomic uint64_t *folded;   /* refused calls that were only counted, likewise */
    struct wm_throttle *throttle; /* NULL: no limits */
};

/**
 * Work a whole request off: afterwards the reply stands in r, and its entry in the journal, not yet durable. The
 * caller commits up to r->seq, or r->behind, before it sends the reply.
 * @param cache  of the calling loop
 */
void wm_dispatch(const struct wm_dispatcher *d, struct wm_sigv4_cache *cache, struct wm_request *r);

/**
 * Replace the reply, or give the only one: the entry could not be made durable, so the call must be taken for not done.
 * The effect is in memory until the restart that a failed journal needs; nobody sees it, since every later call is
 * answered in the same way. Needs no recorder, so that calls can be answered before there is one.
 */
void wm_dispatch_unavailable(const struct wm_dispatcher *d, struct wm_request *r);

#endif
