#include "waymark/authorize.h"

#include "server/authorize_int.h"

#include "waymark/banned.h"

/* A resource that the caller named may be of any length; in a message more of it says no more. */
#define SHOWN_RESOURCE_BYTES 400u

/* ---- demands ---- */

struct wm_demand *wm_demand_add(struct wm_demands *out, struct wm_view action, struct wm_view resource)
{
    WM_ASSERT(out->n < WM_MAX_DEMANDS);
    struct wm_demand *d = &out->all[out->n++];
    *d = (struct wm_demand){.action = action, .resource = resource};
    return d;
}

void wm_demand_key(struct wm_arena *a, struct wm_demand *d, const char *name, struct wm_view value)
{
    if (!value.len)
        return;
    if (!d->keys)
        d->keys = wm_arena_alloc(a, WM_MAX_DEMAND_KEYS * sizeof *d->keys);
    struct wm_view *values = wm_arena_alloc(a, sizeof *values);
    if (!d->keys || !values)
        return;
    WM_ASSERT(d->n_keys < WM_MAX_DEMAND_KEYS);
    *values = value;
    d->keys[d->n_keys++] = (struct wm_policy_key){.name = wm_view_of(name), .values = values, .n_values = 1};
}

/* Who may pass which role: IAM User Guide, "Grant a user permissions to pass a role to an AWS service", which also warns
 * of tags as a condition for it, so they are not looked at. */
void wm_demand_pass_role(struct wm_arena *a, struct wm_demands *out, struct wm_view role_arn, const char *service)
{
    static const struct wm_view action = {"iam:PassRole", sizeof "iam:PassRole" - 1};
    if (!role_arn.len)
        return;
    for (size_t i = 0; i < out->n; i++)
        if (wm_view_eq(out->all[i].action, action) && wm_view_eq(out->all[i].resource, role_arn))
            return;
    wm_demand_key(a, wm_demand_add(out, action, role_arn), "iam:PassedToService", wm_view_of(service));
}

/* ---- the question ---- */

/* How many context keys all policies that have a say refer to, each counted for itself. */
static size_t count_keys(const struct wm_access *q)
{
    const struct wm_principal *p = q->principal;
    size_t n = q->beside ? wm_policy_n_keys(q->beside) : 0;
    for (size_t i = 0; i < p->n_policies; i++)
        n += wm_policy_n_keys(p->policies[i].policy);
    if (p->boundary)
        n += wm_policy_n_keys(p->boundary);
    for (size_t i = 0; i < p->n_session; i++)
        n += wm_policy_n_keys(p->session[i]);
    return n;
}

enum wm_status wm_access_ask(const struct wm_access *q, const struct wm_demand *d, struct wm_policy_request *out)
{
    const struct wm_principal *p = q->principal;
    size_t room = count_keys(q), n = 0;
    struct wm_policy_key *keys = room ? wm_arena_alloc(q->arena, room * sizeof *keys) : NULL;
    if (keys) {
        for (size_t i = 0; i < p->n_policies; i++)
            authorize_add_keys(q, d, p->policies[i].policy, keys, &n);
        authorize_add_keys(q, d, p->boundary, keys, &n);
        for (size_t i = 0; i < p->n_session; i++)
            authorize_add_keys(q, d, p->session[i], keys, &n);
        authorize_add_keys(q, d, q->beside, keys, &n);
    }
    /* A key that is missing for want of memory could turn a denial into a permission. */
    if (wm_arena_status(q->arena) != WM_OK)
        return WM_E_NOMEM;
    *out = (struct wm_policy_request){.action = d->action, .resource = authorize_resource(d), .keys = keys, .n_keys = n};
    out->principal.arn = p->identity.arn;
    if (p->identity.type == WM_IDENTITY_USER || p->identity.type == WM_IDENTITY_ASSUMED_ROLE)
        out->principal.unique_id = p->unique_id;
    out->principal.account_id = p->identity.account_id;
    if (p->identity.type == WM_IDENTITY_ASSUMED_ROLE)
        out->principal.role_arn = p->iam_arn;
    if (p->identity.type == WM_IDENTITY_AWS_SERVICE)
        out->principal.service = p->identity.invoked_by;
    return WM_OK;
}

/* ---- the decision ---- */

/* What one policy says; noted where it decides: an explicit deny does, and the first permission. */
static bool denies(const struct wm_policy *policy, const struct wm_policy_request *request, enum wm_decision how,
                   struct wm_decided *out, bool *allowed)
{
    size_t statement = 0;
    switch (wm_policy_evaluate(policy, request, &statement)) {
    case WM_POLICY_DENY:
        *out = (struct wm_decided){.decision = how, .policy = policy, .statement = statement};
        return true;
    case WM_POLICY_ALLOW:
        if (!out->policy)
            *out = (struct wm_decided){.policy = policy, .statement = statement};
        *allowed = true;
        break;
    case WM_POLICY_NONE:
        break;
    }
    return false;
}

void wm_access_decide(const struct wm_principal *p, const struct wm_policy_request *request, struct wm_decided *out)
{
    bool identity = false, boundary = !p->boundary, session = p->n_session == 0;
    *out = (struct wm_decided){.decision = WM_DECIDED_ALLOWED};
    for (size_t i = 0; i < p->n_policies; i++) {
        bool first = !out->policy;
        bool denied = denies(p->policies[i].policy, request, WM_DECIDED_DENIED, out, &identity);
        if (denied || (first && out->policy))
            out->identity = &p->policies[i];
        if (denied)
            return;
    }
    struct wm_decided allowed = *out;
    if (p->boundary && denies(p->boundary, request, WM_DECIDED_DENIED_BOUNDARY, out, &boundary))
        return;
    for (size_t i = 0; i < p->n_session; i++)
        if (denies(p->session[i], request, WM_DECIDED_DENIED_SESSION, out, &session))
            return;
    /* The permission is the identity's; boundary and session only narrow it. */
    *out = identity ? allowed : (struct wm_decided){.decision = WM_DECIDED_NOT_ALLOWED};
    if (identity && !boundary)
        *out = (struct wm_decided){.decision = WM_DECIDED_BOUNDARY};
    else if (identity && !session)
        *out = (struct wm_decided){.decision = WM_DECIDED_SESSION};
}

enum wm_status wm_authorize(const struct wm_access *q, struct wm_decided *out)
{
    struct wm_decided decided = {.decision = WM_DECIDED_ALLOWED};
    WM_ASSERT(q->demands->n > 0); /* nothing demanded would be everything allowed */
    for (size_t i = 0; i < q->demands->n && !q->principal->everything; i++) {
        const struct wm_demand *d = &q->demands->all[i];
        struct wm_policy_request request;
        enum wm_status status = wm_access_ask(q, d, &request);
        if (status != WM_OK)
            return status;
        wm_access_decide(q->principal, &request, &decided);
        if (decided.decision != WM_DECIDED_ALLOWED) {
            decided.demand = d;
            break;
        }
    }
    *out = decided;
    return WM_OK;
}

/* ---- the message ---- */

/* May this caller know whether there is the resource? */
static bool may_see(const struct wm_access *q, const struct wm_demand *d)
{
    struct wm_demand look = *d;
    struct wm_policy_request request;
    struct wm_decided decided;
    look.action = d->seen_by;
    if (!d->seen_by.len || wm_access_ask(q, &look, &request) != WM_OK)
        return false;
    wm_access_decide(q->principal, &request, &decided);
    return decided.decision == WM_DECIDED_ALLOWED;
}

struct wm_view wm_authorize_message(const struct wm_access *q, const struct wm_decided *decided)
{
    static const char *const kinds[] = {
        [WM_DECIDED_NOT_ALLOWED] = "no identity-based policy",
        [WM_DECIDED_BOUNDARY] = "no permissions boundary",
        [WM_DECIDED_SESSION] = "no session policy",
        [WM_DECIDED_DENIED] = "an identity-based policy",
        [WM_DECIDED_DENIED_BOUNDARY] = "a permissions boundary",
        [WM_DECIDED_DENIED_SESSION] = "a session policy",
        [WM_DECIDED_DENIED_SETTINGS] = "the settings of this server (audit.locked)",
    };
    const struct wm_demand *d = decided->demand;
    WM_ASSERT(d && decided->decision != WM_DECIDED_ALLOWED);
    struct wm_view resource = d->named.len && !may_see(q, d) ? d->named : authorize_resource(d);
    struct wm_view head = wm_arena_printf(q->arena, "User: %.*s is not authorized to perform: %.*s on resource: %.*s",
                                          WM_ARG(q->principal->identity.arn), WM_ARG(d->action),
                                          WM_ARG(wm_view_sub(resource, 0, SHOWN_RESOURCE_BYTES)));
    if (decided->decision >= WM_DECIDED_DENIED)
        return wm_arena_printf(q->arena, "%.*s with an explicit deny in %s", WM_ARG(head), kinds[decided->decision]);
    return wm_arena_printf(q->arena, "%.*s because %s allows the %.*s action", WM_ARG(head), kinds[decided->decision],
                           WM_ARG(d->action));
}
