/**
 * A principal: who may call, as loaded from the state; what its permissions are made of. Loaded when a call with its
 * access key comes in, kept until the identities change, immutable between.
 *
 * A policy that cannot be read any more, or is not there any more, stands in it as one that denies everything.
 *
 * @thread http   @locks none
 */
#ifndef WAYMARK_PRINCIPAL_H
#define WAYMARK_PRINCIPAL_H

#include "waymark/buf.h"
#include "waymark/policy.h"
#include "waymark/record.h"

/** A policy that a principal has, and where it comes from, for messages and simulations. */
struct wm_principal_policy {
    const struct wm_policy *policy;
    struct wm_view id;         /* ARN of a managed policy; of an inline one its name */
    const char *type;          /* SourcePolicyType of SimulatePrincipalPolicy: "IAM Policy" (managed), "user", "group", "role" */
};

/** A tag of a user or role, or of a session, which wins over the role's. */
struct wm_principal_tag {
    struct wm_view key;
    struct wm_view value;
    bool transitive;           /* handed on when this session assumes a role */
};

struct wm_principal {
    struct wm_identity identity;
    struct wm_view name;       /* user's or role's; empty for root */
    struct wm_view unique_id;  /* AIDA…, AROA…; the account id of root */
    struct wm_view iam_arn;    /* of the user or role itself, arn:aws:iam:: (aws:PrincipalArn); root's for root */
    struct wm_view secret;     /* that its requests are signed with */
    struct wm_wall_ns expires; /* 0 ns: a long-term key */
    bool everything;           /* root: no policy is asked */
    const struct wm_principal_policy *policies; /* identity-based; any may allow */
    size_t n_policies;
    const struct wm_policy *boundary;           /* NULL: none; else it must allow as well */
    struct wm_view boundary_id;                 /* its ARN */
    const struct wm_policy *const *session;     /* session policies: one of them must allow as well, where there are any */
    size_t n_session;
    const struct wm_principal_tag *tags;
    size_t n_tags;
};

/** Let go of one that was handed out to be held (auth.h). NULL allowed. @thread any   @locks none */
void wm_principal_release(const struct wm_principal *p);

#endif
