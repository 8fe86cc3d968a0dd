/**
 * The decision's two halves: authorize_context.c finds values for the context keys that policies ask for, authorize.c
 * decides and says why.
 *
 * @thread http   @locks state held
 */
#ifndef WAYMARK_SERVER_AUTHORIZE_INT_H
#define WAYMARK_SERVER_AUTHORIZE_INT_H

#include "waymark/authorize.h"

/**
 * What this policy asks for and has a value, added to keys behind *n; what is there already is not added twice.
 * @param keys  has room for all that the policy refers to. Without memory for a value the arena says so.
 */
void authorize_add_keys(const struct wm_access *q, const struct wm_demand *d, const struct wm_policy *policy,
                        struct wm_policy_key *keys, size_t *n);
/** The ARN, or "*". */
struct wm_view authorize_resource(const struct wm_demand *d);

#endif
