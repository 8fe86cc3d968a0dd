/**
 * May this principal do this? What an operation demands, what the request is like, and the decision from all policies.
 *
 * Evaluation: IAM User Guide, "Policy evaluation logic", as far as one account without organization goes: an explicit deny
 * anywhere wins; an identity-based policy must allow; so must the permissions boundary and the session policies where there
 * are any. A trust policy (AssumeRole) is asked beside it, by STS.
 *
 * @thread http   @locks state held, since the resources asked for are read from it
 */
#ifndef WAYMARK_AUTHORIZE_H
#define WAYMARK_AUTHORIZE_H

#include "waymark/arena.h"
#include "waymark/policy.h"
#include "waymark/principal.h"

/** One action on one resource. */
struct wm_demand {
    struct wm_view action;          /* "mediapackage:DescribeChannel"; empty: the service's prefix and the operation's name */
    struct wm_view resource;        /* ARN; empty: "*" */
    const struct wm_json *resource_tags; /* object {key: value} or list [{Key, Value}]; NULL: none known */
    struct wm_view passed_to;       /* iam:PassRole: iam:PassedToService */
};

/** Everything one call demands: all must be allowed. */
#define WM_MAX_DEMANDS 8u
struct wm_demands {
    struct wm_demand all[WM_MAX_DEMANDS];
    size_t n;                       /* 0: the operation on "*" */
    const struct wm_json *request_tags; /* as resource_tags: what the call would put on the resource */
    const struct wm_json *tag_keys;     /* list of keys that it would take off */
};

/** What conditions may ask about the request itself; the rest they ask about the principal. */
struct wm_request_context {
    struct wm_wall_ns now;          /* aws:CurrentTime, aws:EpochTime */
    struct wm_view source_ip;       /* aws:SourceIp */
    struct wm_view user_agent;      /* aws:UserAgent */
    struct wm_view region;          /* aws:RequestedRegion */
    bool secure;                    /* aws:SecureTransport */
};

/** Why it was decided so; for the message and for simulations. */
enum wm_decision {
    WM_DECIDED_ALLOWED,
    WM_DECIDED_NOT_ALLOWED,         /* no identity-based policy allows it */
    WM_DECIDED_BOUNDARY,            /* no permissions boundary allows it */
    WM_DECIDED_SESSION,             /* no session policy allows it */
    WM_DECIDED_DENIED,              /* an explicit deny in an identity-based policy */
    WM_DECIDED_DENIED_BOUNDARY,
    WM_DECIDED_DENIED_SESSION,
};

#endif
