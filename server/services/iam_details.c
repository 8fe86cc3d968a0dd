/*
 * All that have policies, in one list: whom a managed policy belongs to, and the permissions of the whole account.
 */
#include "server/services/iam_policy_int.h"

#include "waymark/banned.h"

/* API Reference, EntityType. */
static const char *const entity_types[] = {"User", "Role", "Group", "LocalManagedPolicy", "AWSManagedPolicy", NULL};

const struct wm_member iam_list_entities_input[] = {
    IAM_ARN("PolicyArn", true),
    {.name = "EntityFilter", .type = WM_MEMBER_STRING, .values = entity_types},
    IAM_PATH("PathPrefix"),
    IAM_POLICY_USAGE,
    IAM_PAGE,
    {0},
};

const struct wm_member iam_account_details_input[] = {
    {.name = "Filter", .type = WM_MEMBER_STRING_LIST, .values = entity_types},
    IAM_PAGE,
    {0},
};

/* ---- whom a policy belongs to ---- */

static bool uses_policy(struct wm_call *c, const struct wm_json *stored)
{
    struct wm_view usage = wm_json_get_text(c->params, "PolicyUsageFilter");
    struct wm_view arn = wm_json_get_text(c->params, "PolicyArn");
    bool attached = iam_has(wm_json_get(stored, "Attached"), arn);
    bool boundary = wm_view_eq(wm_json_get_text(stored, "PermissionsBoundary"), arn);
    if (wm_view_eq_str(usage, IAM_AS_PERMISSIONS))
        return attached;
    return wm_view_eq_str(usage, IAM_AS_BOUNDARY) ? boundary : attached || boundary;
}

/* Most documents do not have the ARN anywhere, and need not be read. */
static enum wm_status show_entity(struct wm_call *c, const void *arg, struct wm_view document, struct wm_json **out)
{
    const struct iam_entity *of = arg;
    const char *const names[] = {of->name, of->id, NULL};
    struct wm_view arn = wm_json_get_text(c->params, "PolicyArn");
    struct wm_json *stored = NULL;
    if (!memmem(document.ptr, document.len, arn.ptr, arn.len))
        return WM_OK;
    enum wm_status status = iam_read(c, of, document, &stored);
    if (status == WM_OK && uses_policy(c, stored) && iam_below_prefix(c, stored))
        *out = iam_pick(c, stored, names);
    return status;
}

static bool is_wanted(struct wm_view filter, const char *type)
{
    return filter.len == 0 || wm_view_eq_str(filter, type);
}

enum wm_status iam_list_entities_for_policy(struct wm_call *c, struct wm_reply *r)
{
    struct wm_view filter = wm_json_get_text(c->params, "EntityFilter");
    const struct iam_part parts[] = {
        {is_wanted(filter, "Group"), "PolicyGroups", false,
         {.kind = WM_LIT(WM_IAM_GROUP), .show = show_entity, .arg = &iam_group}},
        {is_wanted(filter, "User"), "PolicyUsers", false,
         {.kind = WM_LIT(WM_IAM_USER), .show = show_entity, .arg = &iam_user}},
        {is_wanted(filter, "Role"), "PolicyRoles", false,
         {.kind = WM_LIT(WM_IAM_ROLE), .show = show_entity, .arg = &iam_role}},
    };
    struct wm_json *policy;
    enum wm_status status = iam_find_policy(c, r, &policy);
    return policy ? iam_list_parts(c, r, parts, sizeof parts / sizeof parts[0]) : status;
}

/* ---- the whole account ---- */

/* What users, groups and roles have alike: inline policies under this name, and those attached. */
static void show_permissions(struct wm_call *c, struct wm_json *shown, const char *inline_list,
                             const struct wm_json *stored)
{
    struct wm_json *list = wm_json_set_array(c->arena, shown, inline_list);
    for (const struct wm_json *p = wm_json_get(stored, "Policies")->first; p; p = p->next) {
        struct wm_json *policy = wm_json_push(list, wm_json_new(c->arena, WM_JSON_OBJECT));
        wm_json_set_string(c->arena, policy, "PolicyName", p->key);
        wm_json_set_string(c->arena, policy, "PolicyDocument", iam_show_policy(c->arena, p->text));
    }
    list = wm_json_set_array(c->arena, shown, "AttachedManagedPolicies");
    for (const struct wm_json *arn = wm_json_get(stored, "Attached")->first; arn; arn = arn->next)
        wm_json_push(list, iam_show_attached(c, arn->text));
}

/* A user's document has the ids of its groups. */
static enum wm_status show_group_names(struct wm_call *c, struct wm_json *shown, const struct wm_json *user)
{
    static const char *const member[] = {"GroupName"};
    struct wm_json *names = wm_json_set_array(c->arena, shown, "GroupList");
    for (const struct wm_json *id = wm_json_get(user, "Groups")->first; id; id = id->next) {
        struct wm_view name;
        enum wm_status status = wm_iam_get_texts(c->state, c->arena, WM_IAM_GROUP, id->text, member, 1, &name);
        if (status != WM_OK || !name.len)
            return status != WM_OK ? status : WM_E_CORRUPT; /* both change in one entry of the journal */
        iam_add(c->arena, names, name);
    }
    return WM_OK;
}

static enum wm_status show_user(struct wm_call *c, const void *arg, struct wm_view document, struct wm_json **out)
{
    struct wm_json *stored = NULL;
    (void)arg;
    enum wm_status status = iam_read(c, &iam_user, document, &stored);
    if (status != WM_OK)
        return status;
    *out = iam_show_user(c, stored);
    show_permissions(c, *out, "UserPolicyList", stored);
    iam_show_boundary(c, *out, stored);
    iam_show_tags(c, *out, stored);
    return show_group_names(c, *out, stored);
}

static enum wm_status show_group(struct wm_call *c, const void *arg, struct wm_view document, struct wm_json **out)
{
    struct wm_json *stored = NULL;
    (void)arg;
    enum wm_status status = iam_read(c, &iam_group, document, &stored);
    if (status != WM_OK)
        return status;
    *out = iam_show_group(c, stored);
    show_permissions(c, *out, "GroupPolicyList", stored);
    return WM_OK;
}

static enum wm_status show_role(struct wm_call *c, const void *arg, struct wm_view document, struct wm_json **out)
{
    struct wm_json *stored = NULL;
    (void)arg;
    enum wm_status status = iam_read(c, &iam_role, document, &stored);
    if (status == WM_OK)
        status = iam_show_role(c, stored, out);
    if (status != WM_OK)
        return status;
    wm_json_set_array(c->arena, *out, "InstanceProfileList"); /* there are none here */
    show_permissions(c, *out, "RolePolicyList", stored);
    return iam_show_role_use(c, *out, stored);
}

/* Of AWS's own policies those that are used [undocumented]. */
static enum wm_status show_policy(struct wm_call *c, const void *arg, struct wm_view document, struct wm_json **out)
{
    struct wm_json *policy = NULL;
    struct iam_use use;
    (void)arg;
    enum wm_status status = wm_json_parse(c->arena, document, &policy, NULL);
    if (status != WM_OK)
        return status == WM_E_NOMEM ? status : WM_E_CORRUPT;
    status = iam_get_use(c, wm_json_get_text(policy, "Arn"), &use);
    bool own = wm_json_get(policy, "NextVersion") != NULL;
    if (status != WM_OK || (!own && use.attachments == 0 && use.boundaries == 0))
        return status;
    *out = iam_show_managed(c, policy, &use);
    if (wm_json_get(policy, "Description"))
        wm_json_set_string(c->arena, *out, "Description", wm_json_get_text(policy, "Description"));
    struct wm_json *versions = wm_json_set_array(c->arena, *out, "PolicyVersionList");
    for (const struct wm_json *v = wm_json_get(policy, "Versions")->first; v; v = v->next)
        wm_json_push(versions, iam_show_version(c, policy, v, true));
    return wm_arena_status(c->arena);
}

static bool is_listed(const struct wm_json *filter, const char *type)
{
    return !filter || filter->count == 0 || iam_has(filter, wm_view_of(type));
}

enum wm_status iam_get_account_details(struct wm_call *c, struct wm_reply *r)
{
    const struct wm_json *filter = wm_json_get(c->params, "Filter");
    const struct iam_part parts[] = {
        {is_listed(filter, "User"), "UserDetailList", false, {.kind = WM_LIT(WM_IAM_USER), .show = show_user}},
        {is_listed(filter, "Group"), "GroupDetailList", false, {.kind = WM_LIT(WM_IAM_GROUP), .show = show_group}},
        {is_listed(filter, "Role"), "RoleDetailList", false, {.kind = WM_LIT(WM_IAM_ROLE), .show = show_role}},
        {is_listed(filter, "LocalManagedPolicy"), "Policies", false,
         {.kind = WM_LIT(WM_IAM_POLICY), .show = show_policy}},
        {is_listed(filter, "AWSManagedPolicy"), "Policies", true, {.show = show_policy}},
    };
    return iam_list_parts(c, r, parts, sizeof parts / sizeof parts[0]);
}
