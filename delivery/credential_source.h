/*
 * Where the credentials toward a bucket come from, and getting new ones before the old ones end. The first of these that
 * is set (AWS SDKs and Tools Reference Guide, "Standardized credential providers"):
 *
 *   given       keys, of the environment as a rule; they never change
 *   file        a profile of a shared-credentials file; read again when the file changes
 *   container   JSON from an HTTP endpoint with a token ("Container credential provider"); has an expiry
 *   instance    JSON from the instance metadata service, version 2 ("IMDS credential provider"); has an expiry
 *
 * A file that is not there, or has no such profile, passes on to the endpoints where one is set. With a role, what was
 * found only signs an AssumeRole ("Assume role credential provider"), whose answer is used; it has an expiry.
 *
 * What has an expiry is renewed WM_CREDENTIALS_AHEAD_S before it, or after three quarters of a shorter life. When that
 * fails, the old ones are used as long as they last.
 *
 * @thread any: one thread renews at a time, others go on with what there is
 */
#ifndef WAYMARK_DELIVERY_CREDENTIAL_SOURCE_H
#define WAYMARK_DELIVERY_CREDENTIAL_SOURCE_H

#include "http_client.h"
#include "waymark/credentials.h"
#include "waymark/store.h"

#define WM_CREDENTIALS_AHEAD_S 300

struct wm_credential_source;

/**
 * @param o     views are copied
 * @param http  as the store's; lives longer than the source. The endpoints of container and instance are asked without
 *              a proxy, STS with it
 * @return WM_OK; WM_E_INVALID (*err names the option); WM_E_NOMEM. Nothing is read or asked yet
 */
enum wm_status wm_credential_source_new(const struct wm_store_credentials *o, struct wm_view region,
                                        const struct wm_http_settings *http, const struct wm_clock *clock,
                                        struct wm_credential_source **out, struct wm_err *err) WM_MUST_CHECK;
void wm_credential_source_free(struct wm_credential_source *s); /* NULL allowed */

/**
 * The credentials in force.
 * @param cancelled       ends the call when it is set
 * @param out             wiped by the caller
 * @param out_generation  another number whenever they are others
 * @return WM_OK; WM_E_DENIED (code "CredentialsNotFound", or what STS said: *err says where was looked and what was
 *         there); WM_E_UNAVAILABLE (an endpoint does not answer); WM_E_END (cancelled); WM_E_NOMEM
 */
enum wm_status wm_credential_source_get(struct wm_credential_source *s, const atomic_bool *cancelled,
                                        struct wm_credentials *out, uint64_t *out_generation, struct wm_err *err) WM_MUST_CHECK;

/**
 * The store has refused those of that generation: get others.
 * @param ask  also of endpoints and STS; otherwise only a file is read again
 * @return are there others now?
 */
bool wm_credential_source_renew(struct wm_credential_source *s, uint64_t generation, bool ask,
                                const atomic_bool *cancelled);

#endif
