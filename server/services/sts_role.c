/*
 * AssumeRole: may the caller have this role, and what the session is like.
 *
 * Who may: IAM User Guide, "Policy evaluation logic" (within one account), "Pass session tags in AWS STS", "Monitor and
 * control actions taken with assumed roles". The role's trust policy must allow sts:AssumeRole, and sts:TagSession where the
 * session has tags of its own, handed on or new, and sts:SetSourceIdentity where it has a source identity. Where it names the
 * caller, that is enough, unless a policy of the caller's own denies it; where it names the account, the caller's policies
 * must allow it as well. A role that is not there is refused in the same words, so that nobody learns which there are.
 */
#include "server/services/iam_int.h"
#include "server/services/sts_int.h"
#include "waymark/authorize.h"
#include "waymark/log.h"

#include "waymark/banned.h"

#define ROLE_SECONDS 3600       /* API Reference, AssumeRole: one hour unless asked for otherwise */
#define CHAINED_SECONDS 3600    /* and at most, where a role's session assumes a role */
#define MAX_POLICY_ARNS 10
#define MAX_TAGS 50

static bool is_external_id(struct wm_view text)
{
    return wm_text_only(text, "_+=,.@:/-");
}

static const struct wm_text_form external_id_form = {is_external_id, "may have letters, digits and _+=,.@:/- only"};

static const struct wm_member policy_arn_fields[] = {
    IAM_ARN("arn", true),
    {0},
};

static const struct wm_member context_fields[] = {
    {.name = "ProviderArn", .type = WM_MEMBER_STRING},
    {.name = "ContextAssertion", .type = WM_MEMBER_STRING, .secret = true},
    {0},
};

const struct wm_member sts_assume_role_input[] = {
    IAM_ARN("RoleArn", true),
    {.name = "RoleSessionName", .type = WM_MEMBER_STRING, .required = true, .min = 2, .max = 64, .form = &iam_name_form},
    {.name = "PolicyArns", .type = WM_MEMBER_STRUCT_LIST, .max = MAX_POLICY_ARNS, .fields = policy_arn_fields},
    {.name = "Policy", .type = WM_MEMBER_STRING, .min = 1, .max = 2048},
    {.name = "DurationSeconds", .type = WM_MEMBER_INTEGER, .min = STS_MIN_SECONDS, .max = 43200},
    {.name = "Tags", .type = WM_MEMBER_STRUCT_LIST, .max = MAX_TAGS, .fields = iam_tag_fields},
    {.name = "TransitiveTagKeys", .type = WM_MEMBER_STRING_LIST, .max = MAX_TAGS, .form = &iam_tag_key_form},
    {.name = "ExternalId", .type = WM_MEMBER_STRING, .min = 2, .max = 1224, .form = &external_id_form},
    {.name = "SerialNumber", .type = WM_MEMBER_STRING, .min = 9, .max = 256},
    {.name = "TokenCode", .type = WM_MEMBER_STRING, .min = 6, .max = 6, .secret = true},
    {.name = "SourceIdentity", .type = WM_MEMBER_STRING, .min = 2, .max = 64, .form = &iam_name_form},
    {.name = "ProvidedContexts", .type = WM_MEMBER_STRUCT_LIST, .min = 1, .max = 5, .fields = context_fields},
    {0},
};

static enum wm_status invalid(struct wm_call *c, struct wm_reply *r, const char *text)
{
    return wm_reply_error(c, r, "ValidationError", 400, "%s", text);
}

static enum wm_status invalid_tag(struct wm_call *c, struct wm_reply *r, const char *text)
{
    return wm_reply_error(c, r, "InvalidParameterValue", 400, "%s", text);
}

/* ---- the role ---- */

/* The role of this ARN, path and all; NULL when there is none. */
static enum wm_status find_role(struct wm_call *c, struct wm_view arn, struct wm_json **out)
{
    size_t slash = wm_view_rfind(arn, '/');
    *out = NULL;
    if (slash == arn.len)
        return WM_OK;
    struct wm_json *role = NULL;
    enum wm_status status = wm_iam_get(c->state, c->arena, WM_IAM_ROLE, wm_view_sub(arn, slash + 1, arn.len), &role);
    if (status == WM_OK && role && wm_view_eq(wm_json_get_text(role, "Arn"), arn))
        *out = role;
    return status;
}

/* ---- tags ---- */

static bool list_has_key(const struct wm_json *list, struct wm_view key)
{
    for (const struct wm_json *k = list ? list->first : NULL; k; k = k->next)
        if (wm_view_ieq(k->text, key))
            return true;
    return false;
}

static bool tags_have(const struct wm_principal_tag *tags, size_t n, struct wm_view key)
{
    for (size_t i = 0; i < n; i++)
        if (wm_view_ieq(tags[i].key, key))
            return true;
    return false;
}

/* The session's tags: those that the caller's session hands on, then the ones asked for. Refused: r->error_code is set. */
static enum wm_status take_tags(struct wm_call *c, struct wm_reply *r, struct wm_session *s)
{
    const struct wm_json *given = wm_json_get(c->params, "Tags"), *transitive = wm_json_get(c->params, "TransitiveTagKeys");
    const struct wm_principal *p = c->principal;
    struct wm_principal_tag *tags = wm_arena_alloc(c->arena, (p->n_tags + (given ? given->count : 0) + 1) * sizeof *tags);
    size_t n = 0;
    if (!tags)
        return WM_E_NOMEM;
    for (size_t i = 0; i < p->n_tags; i++)
        if (p->tags[i].transitive)
            tags[n++] = p->tags[i];
    size_t inherited = n;
    for (const struct wm_json *t = given ? given->first : NULL; t; t = t->next) {
        struct wm_view key = wm_json_get_text(t, "Key");
        if (key.len >= 4 && wm_view_ieq_str(wm_view_sub(key, 0, 4), "aws:"))
            return invalid_tag(c, r, "aws: prefixed tag key names are not allowed for external use.");
        if (tags_have(tags, inherited, key))
            return invalid_tag(c, r, "One of the specified transitive tag keys can't be set because it conflicts with a "
                                     "transitive tag key from the calling session.");
        if (tags_have(tags + inherited, n - inherited, key))
            return invalid_tag(c, r, "Duplicate tag keys found. Please note that Tag keys are case insensitive.");
        tags[n++] = (struct wm_principal_tag){key, wm_json_get_text(t, "Value"), list_has_key(transitive, key)};
    }
    for (const struct wm_json *k = transitive ? transitive->first : NULL; k; k = k->next)
        if (!tags_have(tags + inherited, n - inherited, k->text))
            return invalid_tag(c, r, "The specified transitive tag key must be included in the requested tags.");
    if (n > MAX_TAGS)
        return invalid_tag(c, r, "A session may have at most 50 tags, with those that are handed on");
    s->tags = tags;
    s->n_tags = n;
    return WM_OK;
}

/* ---- session policies ---- */

/* JSON without the blanks between its tokens: they would take up the token's space. */
static struct wm_view without_blanks(struct wm_arena *a, struct wm_view text)
{
    char *to = wm_arena_alloc(a, text.len);
    size_t n = 0;
    bool quoted = false;
    for (size_t i = 0; to && i < text.len; i++) {
        char c = text.ptr[i];
        if (quoted && c == '\\' && i + 1 < text.len)
            to[n++] = text.ptr[i++];
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == ' ' || c == '\t' || c == '\n' || c == '\r'))
            continue;
        to[n++] = text.ptr[i];
    }
    return to ? (struct wm_view){to, n} : WM_EMPTY;
}

static enum wm_status take_inline_policy(struct wm_call *c, struct wm_reply *r, struct wm_session *s)
{
    struct wm_view text = wm_json_get_text(c->params, "Policy");
    struct wm_policy *policy = NULL;
    struct wm_err err;
    if (!text.len)
        return WM_OK;
    switch (wm_policy_compile(text, WM_POLICY_IDENTITY, &policy, &err)) {
    case WM_OK:
        wm_policy_free(policy);
        s->policy = without_blanks(c->arena, text);
        return wm_arena_status(c->arena);
    case WM_E_INVALID:
    case WM_E_LIMIT:
        return wm_reply_error(c, r, "MalformedPolicyDocument", 400, "%s", err.message);
    default:
        return WM_E_NOMEM;
    }
}

static enum wm_status take_policy_arns(struct wm_call *c, struct wm_reply *r, struct wm_session *s)
{
    const struct wm_json *given = wm_json_get(c->params, "PolicyArns");
    if (!given)
        return WM_OK;
    struct wm_view *arns = wm_arena_alloc(c->arena, (given->count + 1) * sizeof *arns);
    size_t n = 0;
    for (const struct wm_json *p = given->first; arns && p; p = p->next) {
        struct wm_view arn = wm_json_get_text(p, "arn"), stored;
        if (!wm_iam_managed_policy(arn).len && !wm_state_get(c->state, WM_LIT(WM_IAM_POLICY), arn, &stored))
            return wm_reply_error(c, r, "ValidationError", 400, "There is no managed policy %.*s", WM_ARG(arn));
        arns[n++] = arn;
    }
    s->policy_arns = arns;
    s->n_policy_arns = n;
    return wm_arena_status(c->arena);
}

/* ---- may he? ---- */

/* What the caller's own policies have to say. named: the trust policy names him, which is a permission by itself. */
static bool caller_agrees(const struct wm_principal *p, const struct wm_policy_request *request, bool named)
{
    struct wm_decided decided;
    wm_access_decide(p, request, &decided);
    if (decided.decision == WM_DECIDED_ALLOWED || decided.decision >= WM_DECIDED_DENIED || !named)
        return decided.decision == WM_DECIDED_ALLOWED;
    if (p->identity.type != WM_IDENTITY_ASSUMED_ROLE)
        return true;
    /* Of a role that is named, boundary and session policies still narrow the session: same page of the User Guide. */
    bool session = p->n_session == 0;
    for (size_t i = 0; i < p->n_session; i++)
        session = session || wm_policy_evaluate(p->session[i], request, NULL) == WM_POLICY_ALLOW;
    return session && (!p->boundary || wm_policy_evaluate(p->boundary, request, NULL) == WM_POLICY_ALLOW);
}

/* The context keys that STS itself adds: Service Authorization Reference, "Condition keys for AWS Security Token Service". */
static void add_keys(struct wm_call *c, const struct wm_session *s, struct wm_demand *d)
{
    size_t n = 0;
    struct wm_view *transitive = wm_arena_alloc(c->arena, (s->n_tags + 1) * sizeof *transitive);
    for (size_t i = 0; transitive && i < s->n_tags; i++)
        if (s->tags[i].transitive)
            transitive[n++] = s->tags[i].key;
    wm_demand_key(c->arena, d, "sts:RoleSessionName", s->session_name);
    wm_demand_key(c->arena, d, "sts:ExternalId", wm_json_get_text(c->params, "ExternalId"));
    wm_demand_key(c->arena, d, "sts:SourceIdentity", s->source_identity);
    if (n && d->keys)
        d->keys[d->n_keys++] = (struct wm_policy_key){
            .name = WM_LIT("sts:TransitiveTagKeys"), .values = transitive, .n_values = n, .multi = true};
}

/* The session's tags as aws:RequestTag/… and aws:TagKeys ask for them. */
static struct wm_json *requested_tags(struct wm_call *c, const struct wm_session *s)
{
    struct wm_json *tags = wm_json_new(c->arena, WM_JSON_OBJECT);
    for (size_t i = 0; i < s->n_tags; i++) {
        struct wm_json *value = wm_json_new(c->arena, WM_JSON_STRING);
        if (value)
            value->text = s->tags[i].value;
        wm_json_set_view(tags, s->tags[i].key, value);
    }
    return tags;
}

static enum wm_status allowed(struct wm_call *c, const struct wm_json *role, const struct wm_session *s,
                              const struct wm_policy *trust, bool *out)
{
    const struct wm_view actions[] = {WM_LIT("sts:AssumeRole"), s->n_tags ? WM_LIT("sts:TagSession") : WM_EMPTY,
                                      s->source_identity.len ? WM_LIT("sts:SetSourceIdentity") : WM_EMPTY};
    struct wm_demands demands = {.request_tags = s->n_tags ? requested_tags(c, s) : NULL};
    const struct wm_access access = {.arena = c->arena,
                                     .principal = c->principal,
                                     .context = c->context,
                                     .demands = &demands,
                                     .beside = trust};
    *out = false;
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        struct wm_policy_request request;
        if (!actions[i].len)
            continue;
        struct wm_demand *d = wm_demand_add(&demands, actions[i], wm_json_get_text(role, "Arn"));
        d->resource_tags = wm_json_get(role, "Tags");
        add_keys(c, s, d);
        enum wm_status status = wm_access_ask(&access, d, &request);
        if (status != WM_OK)
            return status;
        if (wm_policy_evaluate(trust, &request, NULL) != WM_POLICY_ALLOW ||
            !caller_agrees(c->principal, &request, wm_policy_names_principal(trust, &request)))
            return WM_OK;
    }
    *out = true;
    return WM_OK;
}

/* A trust policy that cannot be read trusts nobody. */
static enum wm_status is_trusted(struct wm_call *c, const struct wm_json *role, const struct wm_session *s, bool *out)
{
    struct wm_view text;
    struct wm_policy *trust = NULL;
    struct wm_err err;
    *out = false;
    enum wm_status status = wm_iam_trust(c->state, c->arena, role, &text);
    if (status != WM_OK)
        return status;
    status = wm_policy_compile(text, WM_POLICY_TRUST, &trust, &err);
    if (status == WM_E_NOMEM)
        return status;
    if (status != WM_OK) {
        wm_log(WM_EV_POLICY_UNREADABLE, "policy=trust of=%.*s text=\"%s\"", WM_ARG(wm_json_get_text(role, "Arn")),
               err.message);
        return WM_OK;
    }
    status = allowed(c, role, s, trust, out);
    wm_policy_free(trust);
    return status;
}

/* ---- the session ---- */

/* API Reference, AssumeRole: a source identity stays for all that follows, and cannot be changed on the way. */
static enum wm_status take_source_identity(struct wm_call *c, struct wm_reply *r, struct wm_session *s)
{
    const struct wm_identity_session *caller = c->identity.session;
    struct wm_view given = wm_json_get_text(c->params, "SourceIdentity");
    struct wm_view have = caller ? caller->source_identity : WM_EMPTY;
    if (given.len && have.len && !wm_view_eq(given, have))
        return wm_reply_error(c, r, "AccessDenied", 403, "The calling session has the source identity %.*s, which cannot be "
                              "changed", WM_ARG(have));
    if (wm_view_starts(given, "aws:"))
        return invalid(c, r, "SourceIdentity may not begin with aws:");
    s->source_identity = have.len ? have : given;
    return WM_OK;
}

static enum wm_status take_parameters(struct wm_call *c, struct wm_reply *r, struct wm_session *s)
{
    if (wm_json_get(c->params, "ProvidedContexts"))
        return invalid(c, r, "ProvidedContexts are not taken: there is no provider of contexts here");
    if (sts_refuse_mfa(c, r))
        return WM_OK;
    enum wm_status status = take_source_identity(c, r, s);
    if (status == WM_OK && !r->error_code)
        status = take_tags(c, r, s);
    if (status == WM_OK && !r->error_code)
        status = take_inline_policy(c, r, s);
    return status;
}

static enum wm_status check_duration(struct wm_call *c, struct wm_reply *r, const struct wm_json *role, int64_t seconds)
{
    int64_t most = ROLE_SECONDS;
    enum wm_status status = wm_json_to_i64(wm_json_get(role, "MaxSessionDuration"), ROLE_SECONDS, 43200, &most);
    if (status != WM_OK)
        return WM_E_CORRUPT;
    if (c->identity.type == WM_IDENTITY_ASSUMED_ROLE && seconds > CHAINED_SECONDS)
        return invalid(c, r, "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role "
                             "chaining");
    if (seconds > most)
        return invalid(c, r, "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.");
    return WM_OK;
}

static void answer(struct wm_call *c, struct wm_reply *r, const struct wm_json *role, const struct wm_session *s)
{
    struct wm_json *who = wm_json_set_object(c->arena, r->document, "AssumedRoleUser");
    wm_json_set_string(c->arena, who, "AssumedRoleId",
                       wm_arena_printf(c->arena, "%.*s:%.*s", WM_ARG(s->unique_id), WM_ARG(s->session_name)));
    struct wm_view rest = wm_json_get_text(role, "Arn");
    (void)wm_view_split(&rest, ':'); /* "arn" */
    struct wm_view partition = wm_view_split(&rest, ':');
    wm_json_set_string(c->arena, who, "Arn",
                       wm_arena_printf(c->arena, "arn:%.*s:sts::%.*s:assumed-role/%.*s/%.*s", WM_ARG(partition),
                                       WM_ARG(c->env->account_id), WM_ARG(s->name), WM_ARG(s->session_name)));
    if (s->policy.len || s->n_policy_arns || s->n_tags) /* of which a hundredth at least is taken up */
        wm_json_set_i64(c->arena, r->document, "PackedPolicySize",
                        (int64_t)((wm_session_packed_bytes(s) * 100 + WM_MAX_SESSION_PACKED_BYTES - 1) /
                                  WM_MAX_SESSION_PACKED_BYTES));
    if (s->source_identity.len)
        wm_json_set_string(c->arena, r->document, "SourceIdentity", s->source_identity);
}

enum wm_status sts_assume_role(struct wm_call *c, struct wm_reply *r)
{
    struct wm_view arn = wm_json_get_text(c->params, "RoleArn");
    struct wm_json *role = NULL;
    struct wm_session s = {.kind = WM_SESSION_ROLE, .session_name = wm_json_get_text(c->params, "RoleSessionName")};
    bool trusted = false;
    int64_t seconds = sts_duration(c, ROLE_SECONDS);
    if (c->principal->everything)
        return sts_denied(c, r, "Roles may not be assumed by root accounts.");
    if (!wm_view_starts(arn, "arn:"))
        return wm_reply_error(c, r, "ValidationError", 400, "%.*s is invalid", WM_ARG(arn));
    enum wm_status status = take_parameters(c, r, &s);
    if (status == WM_OK && !r->error_code)
        status = find_role(c, arn, &role);
    if (status == WM_OK && role) {
        s.unique_id = wm_json_get_text(role, "RoleId");
        s.name = wm_json_get_text(role, "RoleName");
        status = is_trusted(c, role, &s, &trusted);
    }
    if (status != WM_OK || r->error_code)
        return status;
    if (!trusted)
        return wm_reply_error(c, r, "AccessDenied", 403,
                              "User: %.*s is not authorized to perform: sts:AssumeRole on resource: %.*s",
                              WM_ARG(c->identity.arn), WM_ARG(wm_view_sub(arn, 0, 512)));
    status = take_policy_arns(c, r, &s); /* not before: it tells which policies there are */
    if (status == WM_OK && !r->error_code)
        status = check_duration(c, r, role, seconds);
    if (status == WM_OK && !r->error_code)
        status = sts_issue(c, r, &s, seconds);
    if (status == WM_OK && !r->error_code)
        answer(c, r, role, &s);
    return status == WM_OK ? wm_arena_status(c->arena) : status;
}
