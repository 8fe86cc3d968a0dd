/*
 * The context of a request: what conditions and variables of policies may ask about.
 *
 * Nothing is gathered that nobody asks for. The keys that a policy refers to are looked up one by one, so a policy without
 * conditions costs nothing, and a tag is found by the name that the policy has for it.
 *
 * Which key is there when: IAM User Guide, "AWS global condition context keys" (Availability of each), and "IAM policy
 * elements: Variables and tags" (table "Principal key values"). Left open there:
 *
 *   - aws:RequestedRegion is this server's only region, for IAM and STS too, which AWS has in one region for all.
 *   - Of two tags whose keys differ in case alone the one that is spelled as in the policy counts; "Controlling access to
 *     AWS resources using tags" says only that tag keys in conditions are compared without regard to case.
 *   - aws:CalledVia, aws:SourceVpc and what else is about AWS's own network or organizations is never there.
 */
#include <stdio.h>

#include "server/authorize_int.h"

#include "waymark/banned.h"

/* Present, and empty: a view whose ptr is not NULL. Absent: WM_EMPTY. */
static struct wm_view yes_or_no(bool yes)
{
    return yes ? WM_LIT("true") : WM_LIT("false");
}

static struct wm_view time_text(const struct wm_access *q, struct wm_wall_ns t)
{
    char text[WM_TIME_ISO_BYTES];
    wm_time_iso(t, text);
    return wm_arena_copy(q->arena, wm_view_of(text));
}

/* ---- about the request ---- */

static struct wm_view current_time(const struct wm_access *q, const struct wm_demand *d)
{
    (void)d;
    return q->context->simulated ? WM_EMPTY : time_text(q, q->context->now);
}

static struct wm_view epoch_time(const struct wm_access *q, const struct wm_demand *d)
{
    (void)d;
    return q->context->simulated ? WM_EMPTY
                                 : wm_arena_printf(q->arena, "%lld", (long long)wm_wall_seconds(q->context->now));
}

static struct wm_view secure_transport(const struct wm_access *q, const struct wm_demand *d)
{
    (void)d;
    return q->context->simulated ? WM_EMPTY : yes_or_no(q->context->secure);
}

static struct wm_view source_ip(const struct wm_access *q, const struct wm_demand *d)
{
    (void)d;
    return q->context->source_ip;
}

static struct wm_view user_agent(const struct wm_access *q, const struct wm_demand *d)
{
    (void)d;
    return q->context->user_agent;
}

static struct wm_view requested_region(const struct wm_access *q, const struct wm_demand *d)
{
    (void)d;
    return q->context->region;
}

/* No service here calls another one with its caller's credentials. */
static struct wm_view via_service(const struct wm_access *q, const struct wm_demand *d)
{
    (void)d;
    return q->context->simulated ? WM_EMPTY : yes_or_no(false);
}

/* ---- about the principal ---- */

static struct wm_view principal_arn(const struct wm_access *q, const struct wm_demand *d)
{
    (void)d;
    return q->principal->iam_arn;
}

static struct wm_view principal_account(const struct wm_access *q, const struct wm_demand *d)
{
    (void)d;
    return q->principal->identity.account_id;
}

static struct wm_view principal_type(const struct wm_access *q, const struct wm_demand *d)
{
    (void)d;
    switch (q->principal->identity.type) {
    case WM_IDENTITY_ROOT:
        return WM_LIT("Account");
    case WM_IDENTITY_USER:
        return WM_LIT("User");
    case WM_IDENTITY_ASSUMED_ROLE:
        return WM_LIT("AssumedRole");
    case WM_IDENTITY_UNKNOWN:
    case WM_IDENTITY_AWS_SERVICE:
    case WM_IDENTITY_SERVICE:
        break;
    }
    return WM_EMPTY;
}

static struct wm_view is_service(const struct wm_access *q, const struct wm_demand *d)
{
    (void)d;
    return yes_or_no(q->principal->identity.type == WM_IDENTITY_AWS_SERVICE);
}

static struct wm_view service_name(const struct wm_access *q, const struct wm_demand *d)
{
    (void)d;
    return q->principal->identity.invoked_by;
}

static struct wm_view user_id(const struct wm_access *q, const struct wm_demand *d)
{
    (void)d;
    return q->principal->identity.principal_id;
}

static struct wm_view user_name(const struct wm_access *q, const struct wm_demand *d)
{
    (void)d;
    return q->principal->identity.type == WM_IDENTITY_USER ? q->principal->name : WM_EMPTY;
}

static struct wm_view token_issue_time(const struct wm_access *q, const struct wm_demand *d)
{
    (void)d;
    const struct wm_identity_session *session = q->principal->identity.session;
    return session ? time_text(q, session->created) : WM_EMPTY;
}

static struct wm_view mfa_present(const struct wm_access *q, const struct wm_demand *d)
{
    (void)d;
    const struct wm_identity_session *session = q->principal->identity.session;
    return session ? yes_or_no(session->mfa) : WM_EMPTY;
}

static struct wm_view source_identity(const struct wm_access *q, const struct wm_demand *d)
{
    (void)d;
    const struct wm_identity_session *session = q->principal->identity.session;
    return session ? session->source_identity : WM_EMPTY;
}

/* ---- about the resource ---- */

struct wm_view authorize_resource(const struct wm_demand *d)
{
    return d->resource.len ? d->resource : WM_LIT("*");
}

/* The account in its ARN; what has none there belongs to the account that is asked. */
static struct wm_view resource_account(const struct wm_access *q, const struct wm_demand *d)
{
    struct wm_view rest = d->resource, account = WM_EMPTY;
    for (int i = 0; i < 5; i++)
        account = wm_view_split(&rest, ':');
    return account.len ? account : q->principal->identity.account_id;
}

/* ---- tags ---- */

/* Cut the prefix off the name of a key; false when it has another one. */
static bool take_prefix(struct wm_view name, const char *prefix, struct wm_view *out_rest)
{
    size_t n = strlen(prefix);
    if (name.len <= n || !wm_view_ieq_str(wm_view_sub(name, 0, n), prefix))
        return false;
    *out_rest = wm_view_sub(name, n, name.len);
    return true;
}

/* A tag of an object {key: value} or of a list [{Key, Value}]. */
static void tag_read(const struct wm_json *tags, const struct wm_json *tag, struct wm_view *out_key,
                     struct wm_view *out_value)
{
    bool list = tags->type == WM_JSON_ARRAY;
    *out_key = list ? wm_json_get_text(tag, "Key") : tag->key;
    *out_value = list ? wm_json_get_text(tag, "Value") : tag->text;
    if (!out_value->ptr)
        *out_value = WM_LIT(""); /* there, and empty */
}

static struct wm_view tag_of(const struct wm_json *tags, struct wm_view name)
{
    struct wm_view key, value, found = WM_EMPTY;
    for (const struct wm_json *t = tags ? tags->first : NULL; t; t = t->next) {
        tag_read(tags, t, &key, &value);
        if (wm_view_eq(key, name))
            return value;
        if (!found.ptr && wm_view_ieq(key, name))
            found = value;
    }
    return found;
}

static struct wm_view principal_tag(const struct wm_principal *p, struct wm_view name)
{
    struct wm_view found = WM_EMPTY;
    for (size_t i = 0; i < p->n_tags; i++) {
        struct wm_view value = p->tags[i].value.ptr ? p->tags[i].value : WM_LIT("");
        if (wm_view_eq(p->tags[i].key, name))
            return value;
        if (!found.ptr && wm_view_ieq(p->tags[i].key, name))
            found = value;
    }
    return found;
}

/* aws:TagKeys: of the tags that the call puts on, or of those that it takes off. */
static void add_tag_keys(const struct wm_access *q, struct wm_policy_key *out)
{
    const struct wm_json *put = q->demands->request_tags, *off = q->demands->tag_keys;
    const struct wm_json *from = put ? put : off;
    if (!from || from->count == 0)
        return;
    struct wm_view *values = wm_arena_alloc(q->arena, from->count * sizeof *values), ignored;
    if (!values)
        return;
    size_t n = 0;
    for (const struct wm_json *e = from->first; e; e = e->next) {
        if (put)
            tag_read(put, e, &values[n], &ignored);
        else
            values[n] = e->text;
        n++;
    }
    out->values = values;
    out->n_values = n;
    out->multi = true;
}

/* ---- one key ---- */

#define KEY(NAME) {"aws:" NAME, sizeof "aws:" NAME - 1}

static const struct {
    struct wm_view name;
    struct wm_view (*value)(const struct wm_access *q, const struct wm_demand *d);
} global_keys[] = {
    {KEY("CurrentTime"), current_time},
    {KEY("EpochTime"), epoch_time},
    {KEY("MultiFactorAuthPresent"), mfa_present},
    {KEY("PrincipalAccount"), principal_account},
    {KEY("PrincipalArn"), principal_arn},
    {KEY("PrincipalIsAWSService"), is_service},
    {KEY("PrincipalServiceName"), service_name},
    {KEY("PrincipalType"), principal_type},
    {KEY("RequestedRegion"), requested_region},
    {KEY("ResourceAccount"), resource_account},
    {KEY("SecureTransport"), secure_transport},
    {KEY("SourceIdentity"), source_identity},
    {KEY("SourceIp"), source_ip},
    {KEY("TokenIssueTime"), token_issue_time},
    {KEY("UserAgent"), user_agent},
    {KEY("userid"), user_id},
    {KEY("username"), user_name},
    {KEY("ViaAWSService"), via_service},
};

static struct wm_view single_value(const struct wm_access *q, const struct wm_demand *d, struct wm_view name)
{
    struct wm_view tag;
    for (size_t i = 0; i < sizeof global_keys / sizeof global_keys[0]; i++)
        if (wm_view_ieq(name, global_keys[i].name))
            return global_keys[i].value(q, d);
    if (take_prefix(name, "aws:PrincipalTag/", &tag))
        return principal_tag(q->principal, tag);
    if (take_prefix(name, "aws:RequestTag/", &tag))
        return tag_of(q->demands->request_tags, tag);
    /* iam:ResourceTag is the older name of the same, for users and roles. */
    if (take_prefix(name, "aws:ResourceTag/", &tag) || take_prefix(name, "iam:ResourceTag/", &tag)) {
        if (q->out_by_tags)
            *q->out_by_tags = true;
        return tag_of(d->resource_tags, tag);
    }
    return WM_EMPTY;
}

static const struct wm_policy_key *find_key(const struct wm_policy_key *keys, size_t n, struct wm_view name)
{
    for (size_t i = 0; i < n; i++)
        if (wm_view_ieq(keys[i].name, name))
            return &keys[i];
    return NULL;
}

/* The key of this name, as it is given, demanded or known; without values: there is none. */
static struct wm_policy_key key_value(const struct wm_access *q, const struct wm_demand *d, struct wm_view name)
{
    struct wm_policy_key key = {.name = name};
    const struct wm_policy_key *there = find_key(q->context->given, q->context->n_given, name);
    if (!there)
        there = find_key(d->keys, d->n_keys, name);
    if (there)
        return *there;
    if (wm_view_ieq_str(name, "aws:TagKeys")) {
        add_tag_keys(q, &key);
        return key;
    }
    struct wm_view value = single_value(q, d, name);
    struct wm_view *values = value.ptr ? wm_arena_alloc(q->arena, sizeof *values) : NULL;
    if (values) {
        *values = value;
        key.values = values;
        key.n_values = 1;
    }
    return key;
}

void authorize_add_keys(const struct wm_access *q, const struct wm_demand *d, const struct wm_policy *policy,
                        struct wm_policy_key *keys, size_t *n)
{
    size_t asked = policy ? wm_policy_n_keys(policy) : 0;
    for (size_t i = 0; i < asked; i++) {
        struct wm_view name = wm_policy_key(policy, i);
        if (find_key(keys, *n, name))
            continue;
        struct wm_policy_key key = key_value(q, d, name);
        if (key.n_values)
            keys[(*n)++] = key;
    }
}
