/**
 * Who calls: access keys and the identities behind them.
 *
 * The root credentials are made on the first start and kept in an AWS shared-credentials file (AWS SDKs and Tools
 * Reference Guide, "Shared config and credentials files"), mode 0600, profile `waymark`, so that the AWS CLI and every
 * SDK take them from there. The profile also names the region, which requests must be signed for.
 */
#ifndef WAYMARK_AUTH_H
#define WAYMARK_AUTH_H

#include "waymark/io.h"
#include "waymark/record.h"
#include "waymark/sigv4.h"
#include "waymark/status.h"

struct wm_auth;

struct wm_auth_options {
    const struct wm_io *io;
    const char *credentials_path;
    struct wm_view account_id;
    struct wm_view region;
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
 * @param out       identity; of type WM_IDENTITY_UNKNOWN with the claimed access key unless WM_SIGV4_OK
 * @param message   [256] one sentence for the caller, set unless WM_SIGV4_OK
 * @thread http   @locks none
 */
enum wm_sigv4_result wm_auth_identify(const struct wm_auth *a, struct wm_sigv4_cache *cache,
                                      const struct wm_sigv4_request *request, const struct wm_sigv4_claim *claim,
                                      struct wm_view service, struct wm_wall_ns now, struct wm_identity *out,
                                      char message[256]);

#endif
