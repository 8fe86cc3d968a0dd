/**
 * What the files of STS share: how a session is made and answered with.
 *
 * Shapes, rules, names and statuses of errors: STS API Reference; what a session may do and how long it lives: IAM User
 * Guide, "Request temporary security credentials" and the pages about session tags and source identities. The API
 * Reference gives no texts of errors: they are the ones that AWS answers with, where known.
 *
 * @thread http   @locks state held
 */
#ifndef WAYMARK_SERVICES_STS_INT_H
#define WAYMARK_SERVICES_STS_INT_H

#include "server/session_token.h"
#include "waymark/service.h"

#define STS_MIN_SECONDS 900

/** Parameter DurationSeconds, or what it is where it was not given. */
int64_t sts_duration(const struct wm_call *c, int64_t otherwise);
/** Refuse with AccessDenied, 403. Always WM_OK. */
enum wm_status sts_denied(struct wm_call *c, struct wm_reply *r, const char *text);
/** MFA devices are not here: a code of one proves nothing. True when one was given; then the call is refused. */
bool sts_refuse_mfa(struct wm_call *c, struct wm_reply *r);
/**
 * Complete the session (key, seed, times), and answer with its credentials, under "Credentials".
 * @param s  all but that; refused (PackedPolicyTooLarge) when policies and tags are too large for a token
 */
enum wm_status sts_issue(struct wm_call *c, struct wm_reply *r, struct wm_session *s, int64_t seconds) WM_MUST_CHECK;

/** Members of "Credentials" that are in no record. */
extern const char *const sts_secrets[];

extern const struct wm_member sts_assume_role_input[];
enum wm_status sts_assume_role(struct wm_call *c, struct wm_reply *r);

#endif
