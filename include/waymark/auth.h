/**
 * Who calls: access keys and the principals behind them.
 *
 * The root credentials are made on the first start and kept in an AWS shared-credentials file (AWS SDKs and Tools
 * Reference Guide, "Shared config and credentials files"), mode 0600, profile `waymark`, so that the AWS CLI and every
 * SDK take them from there. The profile also names the region, which requests must be signed for. All others stand in the
 * state: users' access keys, and who is behind a session token.
 *
 * A call:
 *
 *     result = wm_auth_identify(auth, cache, &request, &claim, service, now, &caller, message);
 *     … refuse unless wm_auth_opens(caller, service) …
 *     …
 *     wm_state_lock(state);
 *     result = wm_auth_confirm(auth, &claim, now, &caller, message);     as of the place where the call is ordered
 *     … decide and run; wm_auth_note_use() for the entry …
 *     … append; a call that let go of the lock before asks wm_auth_is_current() once more …
 *     wm_state_unlock(state);
 *     …
 *     wm_principal_release(caller);                                      when the reply has been sent
 */
#ifndef WAYMARK_AUTH_H
#define WAYMARK_AUTH_H

#include "waymark/io.h"
#include "waymark/principal.h"
#include "waymark/sigv4.h"
#include "waymark/state.h"
#include "waymark/status.h"

struct wm_auth;

struct wm_auth_options {
    const struct wm_io *io;
    const char *credentials_path;
    struct wm_view account_id;
    struct wm_view region;
    struct wm_state *state;      /* NULL: there is only root */
    const uint8_t *master_key;   /* 32 bytes, not copied; needed with a state */
};

/** Read the credentials file, or make it. *out_made: it was made now. @return WM_E_INVALID (*err names file and line) */
enum wm_status wm_auth_open(const struct wm_auth_options *o, struct wm_auth **out, bool *out_made,
                            struct wm_err *err) WM_MUST_CHECK;
void wm_auth_close(struct wm_auth *a); /* wipes; NULL allowed */

/**
 * Who has proven to be calling?
 * @param cache     of the calling thread
 * @param claim     as wm_sigv4_parse() left it
 * @param service   signing name of the service asked for; empty: any
 * @param out       set on WM_SIGV4_OK only: to be released by the caller
 * @param message   [256] one sentence for the caller, set unless WM_SIGV4_OK
 * @thread http   @locks takes the state's for who is not known yet
 */
enum wm_sigv4_result wm_auth_identify(struct wm_auth *a, struct wm_sigv4_cache *cache,
                                      const struct wm_sigv4_request *request, const struct wm_sigv4_claim *claim,
                                      struct wm_view service, struct wm_wall_ns now, const struct wm_principal **out,
                                      char message[256]);

/**
 * Are his credentials any to this service? STS API Reference, GetSessionToken: without MFA such credentials are none to IAM.
 * Where they are none, the call is refused as with an access key that nobody has, but whose they are has been proven.
 * @param service  signing name; empty: any
 * @thread any   @locks none
 */
bool wm_auth_opens(const struct wm_principal *p, struct wm_view service);

/**
 * Is who was identified still who he was? When identities have changed since, he is loaded again.
 * @param p  replaced when he has changed; released and NULL unless WM_SIGV4_OK: he is not known any more
 * @thread http   @locks state held
 */
enum wm_sigv4_result wm_auth_confirm(struct wm_auth *a, const struct wm_sigv4_claim *claim, struct wm_wall_ns now,
                                     const struct wm_principal **p, char message[256]);
/** Has nothing changed since he was loaded? @thread http   @locks state held, to be exact */
bool wm_auth_is_current(const struct wm_auth *a, const struct wm_principal *p);

/**
 * The change by which his access key's or role's last use is noted, if that was noted a minute ago or more.
 * @param service  signing name
 * @return false: there is nothing to note, or no memory to
 * @thread http   @locks state held
 */
bool wm_auth_note_use(const struct wm_auth *a, const struct wm_principal *p, struct wm_view service,
                      struct wm_wall_ns now, struct wm_arena *arena, struct wm_change *out);

#endif
