/**
 * Session tokens: all that there is of a session. Nothing is stored for one: its token, which comes back with each call,
 * is the session, sealed (seal.h), so that sessions survive restarts and need no cleaning up.
 *
 * The secret access key that belongs to it is derived from the master key, the access key id and the seed in the token
 * (wm_iam_secret()), so a token alone is worth nothing, as with AWS.
 *
 * @thread any   @locks none
 */
#ifndef WAYMARK_SERVER_SESSION_TOKEN_H
#define WAYMARK_SERVER_SESSION_TOKEN_H

#include "waymark/arena.h"
#include "waymark/iam.h"
#include "waymark/principal.h"

enum wm_session_kind {
    WM_SESSION_ROOT = 1, /* GetSessionToken by root */
    WM_SESSION_USER,     /* GetSessionToken by a user */
    WM_SESSION_ROLE,     /* AssumeRole */
};

struct wm_session {
    enum wm_session_kind kind;
    struct wm_view access_key_id;   /* ASIA… */
    struct wm_view seed;            /* as in an access key's document */
    struct wm_view unique_id;       /* of user or role; a new one of the same name is another */
    struct wm_view name;            /* of user or role; empty for root */
    struct wm_view session_name;    /* of a role's session, else empty */
    struct wm_view source_identity; /* empty: none */
    struct wm_wall_ns created;      /* whole seconds, as its end */
    struct wm_wall_ns expires;
    bool mfa;
    struct wm_view policy;          /* session policy as text; empty: none */
    const struct wm_view *policy_arns;
    size_t n_policy_arns;
    const struct wm_principal_tag *tags;
    size_t n_tags;
};

/**
 * Bytes of policies and tags, as they are packed, that a session may have: with everything else that a session has at its
 * longest, the token stays below WM_MAX_SESSION_TOKEN_BYTES.
 */
#define WM_MAX_SESSION_PACKED_BYTES 2700u
/** Bytes of policies and tags, packed. */
size_t wm_session_packed_bytes(const struct wm_session *s);

/**
 * Append the token, base64.
 * @return WM_OK; WM_E_LIMIT (policies and tags are larger than WM_MAX_SESSION_PACKED_BYTES, or out's ceiling); WM_E_NOMEM;
 *         WM_E_UNSUPPORTED (as wm_seal())
 */
enum wm_status wm_session_token_make(const uint8_t master_key[32], struct wm_view account_id, const struct wm_session *s,
                                     struct wm_buf *out) WM_MUST_CHECK;

/**
 * Read a token. That it has not expired, and belongs to the access key that was used, is the caller's to check.
 * @param out  points into the arena; set only on WM_OK
 * @return WM_OK; WM_E_INVALID (not one of ours, for this account, or changed since); WM_E_NOMEM; WM_E_UNSUPPORTED
 */
enum wm_status wm_session_token_read(const uint8_t master_key[32], struct wm_view account_id, struct wm_view token,
                                     struct wm_arena *a, struct wm_session *out) WM_MUST_CHECK;

#endif
