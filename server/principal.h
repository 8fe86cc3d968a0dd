/**
 * Principals from the state, and those that are kept: what stands behind auth.h.
 */
#ifndef WAYMARK_SERVER_PRINCIPAL_H
#define WAYMARK_SERVER_PRINCIPAL_H

#include "server/session_token.h"
#include "waymark/arena.h"
#include "waymark/iam.h"
#include "waymark/principal.h"
#include "waymark/sync.h"

/** A principal, shared by the calls that are under way and the ones that keep it. */
struct wm_held_principal {
    struct wm_principal face;
    unsigned magic;
    bool lasting;                  /* it stays as long as who made it: nobody counts */
    atomic_uint refs;
    uint64_t generation;           /* of the identities that it was loaded from */
    struct wm_view token;          /* of its session, as it was given; empty without one */
    struct wm_view used_id;        /* under which its last use is noted; empty: it is not */
    _Atomic int64_t noted_s;       /* when that was, or later */
    size_t bytes;                  /* that it takes up, about */
    struct wm_held_principal *older, *newer, *chained; /* the cache's */
    struct wm_arena memory;        /* all its texts and arrays */
    struct wm_identity_session session;
    char secret[WM_IAM_SECRET_BYTES];
};

/** What they are loaded from. */
struct wm_principal_source {
    struct wm_state *state;
    struct wm_view account_id;
    const char *partition;         /* "aws" */
    const uint8_t *master_key;
};

/**
 * Load who has this access key.
 * @param out  one reference, the caller's
 * @return WM_OK; WM_E_NOT_FOUND (there is no such key, it is inactive, or its user is another one now); WM_E_CORRUPT (a
 *         document cannot be read); WM_E_NOMEM; WM_E_LIMIT (more than WM_MAX_PRINCIPAL_BYTES)
 * @thread http   @locks state held
 */
enum wm_status wm_principal_load_key(const struct wm_principal_source *from, struct wm_view access_key_id,
                                     struct wm_held_principal **out) WM_MUST_CHECK;
/** The same for a session's. @param token  as it was given */
enum wm_status wm_principal_load_session(const struct wm_principal_source *from, const struct wm_session *s,
                                         struct wm_view token, struct wm_held_principal **out) WM_MUST_CHECK;

/**
 * The same for a user, group or role, without a key: who may do what if they call.
 * @param kind      WM_IAM_USER, WM_IAM_GROUP, WM_IAM_ROLE
 * @param document  its own, from the state
 */
enum wm_status wm_principal_load_entity(const struct wm_principal_source *from, const char *kind,
                                        const struct wm_json *document, struct wm_held_principal **out) WM_MUST_CHECK;

struct wm_held_principal *wm_principal_held(const struct wm_principal *p);

/** Those used last, by access key, up to WM_MAX_PRINCIPALS_BYTES. */
struct wm_principal_cache;
struct wm_principal_cache *wm_principal_cache_new(size_t max_bytes); /* NULL when memory is short */
void wm_principal_cache_free(struct wm_principal_cache *c);          /* NULL allowed; who holds one keeps it */
/** @return one more reference, the caller's; NULL. @thread http   @locks takes the cache's */
struct wm_held_principal *wm_principal_cache_get(struct wm_principal_cache *c, struct wm_view access_key_id);
/** Keep it, and no other of this access key. The caller keeps its own reference. @thread http   @locks takes the cache's */
void wm_principal_cache_put(struct wm_principal_cache *c, struct wm_held_principal *p);

#endif
