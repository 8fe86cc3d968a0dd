/**
 * May this principal do this? What an operation demands, what the request is like, and the decision from all policies.
 *
 * Evaluation: IAM User Guide, "Policy evaluation logic", as far as one account without organization goes: an explicit deny
 * anywhere wins; an identity-based policy must allow; so must the permissions boundary and the session policies where there
 * are any. A trust policy (AssumeRole) is asked beside it, by STS.
 *
 * The dispatcher does all of it for a call (see service.h, `demands`). A simulation goes step by step:
 *
 *     wm_access_ask(&access, &demand, &request);              one demand, with the context keys the policies ask for
 *     wm_access_decide(access.principal, &request, &decided); allowed or not, and by which statement
 *     wm_policy_statement_applies(policy, i, &request);       every other statement that applies
 *     wm_policy_request_key(&request, wm_policy_key(policy, i)) == NULL: a context key that nobody gave a value
 *
 * @thread http   @locks state held, since the resources asked for are read from it
 */
#ifndef WAYMARK_AUTHORIZE_H
#define WAYMARK_AUTHORIZE_H

#include "waymark/arena.h"
#include "waymark/json.h"
#include "waymark/policy.h"
#include "waymark/principal.h"

/* ---- what is demanded ---- */

/** One action on one resource. Everything lives as long as the call. */
struct wm_demand {
    struct wm_view action;          /* "iam:PassRole"; empty: the service's prefix and the operation's name */
    struct wm_view resource;        /* ARN; empty: "*" */
    /**
     * Where the caller named the resource by something else than its ARN: an ARN made of that, which is also `resource`
     * when there is none such. A refusal names the resource so, lest it tell whether it exists, unless the caller may do
     * `seen_by` on it, and so may know.
     */
    struct wm_view named;
    struct wm_view seen_by;         /* "mediapackage:DescribeChannel" */
    const struct wm_json *resource_tags; /* object {key: value} or list [{Key, Value}]; NULL: none known */
    struct wm_policy_key *keys;     /* of the service itself, such as iam:PassedToService: wm_demand_key() */
    size_t n_keys;
};

/** Everything one call demands: all must be allowed. */
#define WM_MAX_DEMANDS 8u
struct wm_demands {
    struct wm_demand all[WM_MAX_DEMANDS];
    size_t n;                       /* 0: the operation on "*" */
    const struct wm_json *request_tags; /* as resource_tags: what the call would put on the resource */
    const struct wm_json *tag_keys;     /* list of keys that it would take off */
};

/** One more; more than WM_MAX_DEMANDS is an error of ours. */
struct wm_demand *wm_demand_add(struct wm_demands *out, struct wm_view action, struct wm_view resource);
/** Add a key; an empty value is none. WM_MAX_DEMAND_KEYS at most. Without memory the arena says so. */
#define WM_MAX_DEMAND_KEYS 8u
void wm_demand_key(struct wm_arena *a, struct wm_demand *d, const char *name, struct wm_view value);
/** A role is handed to a service: iam:PassRole on it, unless it is demanded already. */
void wm_demand_pass_role(struct wm_arena *a, struct wm_demands *out, struct wm_view role_arn, const char *service);

/* ---- in which circumstances ---- */

/** What conditions may ask about the request itself; the rest they ask about principal and resource. */
struct wm_request_context {
    struct wm_wall_ns now;          /* aws:CurrentTime, aws:EpochTime */
    struct wm_view source_ip;       /* aws:SourceIp */
    struct wm_view user_agent;      /* aws:UserAgent */
    struct wm_view region;          /* aws:RequestedRegion */
    bool secure;                    /* aws:SecureTransport */
    bool simulated;                 /* there is no request: of it, only `given` is known */
    const struct wm_policy_key *given; /* win over what is known otherwise */
    size_t n_given;
};

/** Who wants what, and how. */
struct wm_access {
    struct wm_arena *arena;         /* for what is made on the way */
    const struct wm_principal *principal;
    const struct wm_request_context *context;
    const struct wm_demands *demands;
    const struct wm_policy *beside; /* a policy that the caller asks by itself, such as a trust policy; NULL: none */
    bool *out_by_tags;              /* set where a policy asks for the resource's tags, which change apart from principals;
                                       NULL: nobody wants to know */
};

/* ---- the decision ---- */

/** Why it was decided so; for the message and for simulations. */
enum wm_decision {
    WM_DECIDED_ALLOWED,
    WM_DECIDED_NOT_ALLOWED,         /* no identity-based policy allows it */
    WM_DECIDED_BOUNDARY,            /* no permissions boundary allows it */
    WM_DECIDED_SESSION,             /* no session policy allows it */
    WM_DECIDED_DENIED,              /* an explicit deny in an identity-based policy */
    WM_DECIDED_DENIED_BOUNDARY,
    WM_DECIDED_DENIED_SESSION,
    WM_DECIDED_DENIED_SETTINGS,     /* audit.locked, which stands above all policies */
};

struct wm_decided {
    enum wm_decision decision;
    const struct wm_demand *demand; /* that is not allowed; NULL when all are, and from wm_access_decide() */
    const struct wm_policy *policy; /* whose statement decided; NULL: none did */
    size_t statement;
    const struct wm_principal_policy *identity; /* that policy, as the principal has it; NULL: boundary, session policy */
};

/**
 * Decide about all that is demanded; ends at the first that is not allowed.
 * @return WM_OK (out says how); WM_E_NOMEM
 */
enum wm_status wm_authorize(const struct wm_access *q, struct wm_decided *out) WM_MUST_CHECK;
/**
 * The sentence that a refused caller reads (IAM User Guide, "Troubleshoot access denied error messages"). In the arena,
 * whose status tells whether there was memory.
 */
struct wm_view wm_authorize_message(const struct wm_access *q, const struct wm_decided *d);

/** One demand as policies are asked: of the context keys, those that the policies refer to and that have a value. */
enum wm_status wm_access_ask(const struct wm_access *q, const struct wm_demand *d,
                             struct wm_policy_request *out) WM_MUST_CHECK;
/** What the principal's policies say to it together; `everything` is not looked at. */
void wm_access_decide(const struct wm_principal *p, const struct wm_policy_request *request, struct wm_decided *out);

#endif
