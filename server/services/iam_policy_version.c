/*
 * Versions of managed policies: at most five, one of them in force. IAM User Guide, "Versioning IAM policies".
 */
#include "server/services/iam_policy_int.h"

#include "waymark/banned.h"

/* v[1-9][0-9]*(\.[A-Za-z0-9-]*)? of API Reference. */
static bool is_version(struct wm_view text)
{
    struct wm_view rest = text, number = wm_view_split(&rest, '.');
    uint64_t n;
    return wm_view_starts(number, "v") && number.len > 1 && number.ptr[1] != '0' &&
           wm_view_to_u64(wm_view_sub(number, 1, number.len), UINT64_MAX, &n) != WM_E_INVALID &&
           wm_text_only(rest, "-");
}

static const struct wm_text_form version_form = {is_version, "must be v and a number, such as v2"};

const struct wm_member iam_create_policy_version_input[] = {
    IAM_ARN("PolicyArn", true),
    IAM_POLICY_TEXT("PolicyDocument"),
    {.name = "SetAsDefault", .type = WM_MEMBER_BOOLEAN},
    {0},
};

const struct wm_member iam_policy_version_input[] = {
    IAM_ARN("PolicyArn", true),
    {.name = "VersionId", .type = WM_MEMBER_STRING, .required = true, .form = &version_form},
    {0},
};

/* Members of documents are replaced where they stand. */
static void set_text(struct wm_call *c, struct wm_json *object, const char *name, struct wm_view text)
{
    (void)wm_json_remove(object, name); /* NULL or not, it is gone */
    wm_json_set_string(c->arena, object, name, text);
}

bool iam_add_version(struct wm_call *c, struct wm_reply *r, struct wm_json *policy, bool set_default,
                     enum wm_status *out_status)
{
    struct wm_view text = wm_json_get_text(c->params, "PolicyDocument");
    int64_t n;
    if (wm_json_to_i64(wm_json_get(policy, "NextVersion"), 1, INT32_MAX, &n) != WM_OK) {
        *out_status = wm_arena_status(c->arena) == WM_OK ? WM_E_CORRUPT : WM_E_NOMEM;
        return false;
    }
    if (wm_policy_size(text) > WM_MAX_MANAGED_POLICY) {
        *out_status = iam_over_quota(c, r, "PolicySize", WM_MAX_MANAGED_POLICY);
        return false;
    }
    if (!iam_accept_policy(c, r, text, WM_POLICY_IDENTITY, out_status))
        return false;
    struct wm_view id = wm_arena_printf(c->arena, "v%lld", (long long)n);
    struct wm_json *version = wm_json_push(wm_json_get(policy, "Versions"), wm_json_new(c->arena, WM_JSON_OBJECT));
    wm_json_set_string(c->arena, version, "VersionId", id);
    iam_set_now(c, version, "CreateDate");
    wm_json_set_string(c->arena, version, "Document", text);
    (void)wm_json_remove(policy, "NextVersion"); /* it is there */
    wm_json_set_i64(c->arena, policy, "NextVersion", n + 1);
    (void)wm_json_remove(policy, "UpdateDate"); /* a new one has none */
    iam_set_now(c, policy, "UpdateDate");
    if (set_default)
        set_text(c, policy, "DefaultVersionId", id);
    *out_status = wm_arena_status(c->arena);
    return *out_status == WM_OK;
}

static bool is_default(const struct wm_json *policy, const struct wm_json *version)
{
    return wm_view_eq(wm_json_get_text(policy, "DefaultVersionId"), wm_json_get_text(version, "VersionId"));
}

static struct wm_json *find_version(const struct wm_json *policy, struct wm_view id)
{
    struct wm_json *v = wm_json_get(policy, "Versions")->first;
    while (v && !wm_view_eq(wm_json_get_text(v, "VersionId"), id))
        v = v->next;
    return v;
}

struct wm_json *iam_show_version(struct wm_call *c, const struct wm_json *policy, const struct wm_json *version,
                                 bool with_document)
{
    struct wm_json *shown = wm_json_new(c->arena, WM_JSON_OBJECT);
    if (with_document)
        wm_json_set_string(c->arena, shown, "Document",
                           iam_show_policy(c->arena, wm_json_get_text(version, "Document")));
    wm_json_set_string(c->arena, shown, "VersionId", wm_json_get_text(version, "VersionId"));
    wm_json_set_bool(c->arena, shown, "IsDefaultVersion", is_default(policy, version));
    wm_json_set(shown, "CreateDate", wm_json_clone(c->arena, wm_json_get(version, "CreateDate")));
    return shown;
}

static enum wm_status answer_version(struct wm_call *c, struct wm_reply *r, const struct wm_json *policy,
                                     const struct wm_json *version, bool with_document)
{
    r->document = wm_json_new(c->arena, WM_JSON_OBJECT);
    wm_json_set(r->document, "PolicyVersion", iam_show_version(c, policy, version, with_document));
    return wm_arena_status(c->arena);
}

/* The version that parameter VersionId names; NULL: the reply is made. */
static struct wm_json *named_version(struct wm_call *c, struct wm_reply *r, const struct wm_json *policy)
{
    struct wm_view id = wm_json_get_text(c->params, "VersionId");
    struct wm_json *version = find_version(policy, id);
    if (!version)
        (void)wm_reply_error(c, r, "NoSuchEntity", 404, "Policy %.*s version %.*s does not exist or is not attachable.",
                             WM_ARG(wm_json_get_text(policy, "Arn")), WM_ARG(wm_view_sub(id, 0, 64)));
    return version;
}

enum wm_status iam_create_policy_version(struct wm_call *c, struct wm_reply *r)
{
    const struct wm_json *set_default = wm_json_get(c->params, "SetAsDefault");
    struct wm_json *policy;
    enum wm_status status = iam_find_own_policy(c, r, &policy);
    if (!policy)
        return status;
    struct wm_json *versions = wm_json_get(policy, "Versions");
    if (versions->count >= WM_MAX_POLICY_VERSIONS)
        return wm_reply_error(c, r, "LimitExceeded", 409,
                              "A managed policy can have up to %u versions. Before you create a new version, you must "
                              "delete an existing version.",
                              WM_MAX_POLICY_VERSIONS);
    if (!iam_add_version(c, r, policy, set_default && set_default->boolean, &status))
        return status;
    status = iam_keep_policy(c, r, policy);
    return status == WM_OK && !r->error_code ? answer_version(c, r, policy, versions->last, false) : status;
}

enum wm_status iam_get_policy_version(struct wm_call *c, struct wm_reply *r)
{
    struct wm_json *policy;
    enum wm_status status = iam_find_policy(c, r, &policy);
    struct wm_json *version = policy ? named_version(c, r, policy) : NULL;
    return version ? answer_version(c, r, policy, version, true) : status;
}

enum wm_status iam_set_default_policy_version(struct wm_call *c, struct wm_reply *r)
{
    struct wm_json *policy;
    enum wm_status status = iam_find_own_policy(c, r, &policy);
    struct wm_json *version = policy ? named_version(c, r, policy) : NULL;
    if (!version)
        return status;
    set_text(c, policy, "DefaultVersionId", wm_json_get_text(version, "VersionId"));
    return iam_keep_policy(c, r, policy);
}

enum wm_status iam_delete_policy_version(struct wm_call *c, struct wm_reply *r)
{
    struct wm_json *policy;
    enum wm_status status = iam_find_own_policy(c, r, &policy);
    struct wm_json *version = policy ? named_version(c, r, policy) : NULL;
    if (!version)
        return status;
    if (is_default(policy, version))
        return wm_reply_error(c, r, "DeleteConflict", 409, "Cannot delete the default version of a policy.");
    iam_drop(wm_json_get(policy, "Versions"), "VersionId", wm_json_get_text(version, "VersionId"));
    return iam_keep_policy(c, r, policy);
}

enum wm_status iam_list_policy_versions(struct wm_call *c, struct wm_reply *r)
{
    struct wm_json *policy;
    enum wm_status status = iam_find_policy(c, r, &policy);
    if (!policy)
        return status;
    struct wm_json *shown = wm_json_new(c->arena, WM_JSON_ARRAY);
    for (const struct wm_json *v = wm_json_get(policy, "Versions")->first; v; v = v->next)
        wm_json_push(shown, iam_show_version(c, policy, v, false));
    return iam_list_elements(c, r, "Versions", shown, "VersionId", NULL);
}
