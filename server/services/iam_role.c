/*
 * Roles: who may become one (the trust policy), for how long, and what is known of their use. What they may do is in
 * iam_inline.c and iam_attach.c.
 */
#include "server/services/iam_policy_int.h"

#include "waymark/banned.h"

static const char *const members[] = {"RoleName", "RoleId", "Path",     "Arn",      "CreateDate", "MaxSessionDuration",
                                      "Tags",     "Trusted", "Policies", "Attached", "AssumeRolePolicyDocument",
                                      NULL};

const struct iam_entity iam_role = {
    .kind = WM_IAM_ROLE,
    .type = "role",
    .title = "Role",
    .name = "RoleName",
    .id = "RoleId",
    .id_prefix = WM_IAM_ROLE_PREFIX,
    .quota = "RolesPerAccount",
    .most = WM_MAX_ROLES,
    .attached_quota = "PoliciesPerRole",
    .most_inline = 10240, /* IAM User Guide, "IAM and AWS STS quotas": character limits */
    .members = members,
};

/* ---- inputs ---- */

/* [\u0009\u000A\u000D\u0020-\u007E\u00A1-\u00FF]*; above U+007F, as UTF-8: C2 and A1 to BF, C3 and 80 to BF. */
static bool is_description(struct wm_view text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];
        unsigned char next = i + 1 < text.len ? (unsigned char)text.ptr[i + 1] : 0;
        bool control = byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r';
        if (control || byte == 0x7f || byte > 0xc3 || (byte == 0xc2 && next < 0xa1))
            return false;
    }
    return true;
}

static const struct wm_text_form description_form = {
    is_description, "may have tabs, line ends and printable characters up to U+00FF only"};

#define DESCRIPTION(REQUIRED)                                                                                          \
    {.name = "Description",                                                                                            \
     .type = WM_MEMBER_STRING,                                                                                         \
     .required = (REQUIRED),                                                                                           \
     .max = 1000,                                                                                                      \
     .form = &description_form}
#define MAX_SESSION                                                                                                    \
    {.name = "MaxSessionDuration", .type = WM_MEMBER_INTEGER, .min = 3600, .max = 43200, .initial = "3600"}

const struct wm_member iam_create_role_input[] = {
    IAM_PATH("Path"),
    IAM_ROLE_NAME,
    IAM_POLICY_TEXT("AssumeRolePolicyDocument"),
    DESCRIPTION(false),
    MAX_SESSION,
    IAM_ARN("PermissionsBoundary", false),
    IAM_TAGS(false),
    {0},
};
const struct wm_member iam_role_input[] = {IAM_ROLE_NAME, {0}};
const struct wm_member iam_list_roles_input[] = {IAM_PATH_PREFIX, IAM_PAGE, {0}};
const struct wm_member iam_update_role_input[] = {IAM_ROLE_NAME, DESCRIPTION(false), MAX_SESSION, {0}};
const struct wm_member iam_update_role_description_input[] = {IAM_ROLE_NAME, DESCRIPTION(true), {0}};
const struct wm_member iam_update_trust_input[] = {IAM_ROLE_NAME, IAM_POLICY_TEXT("PolicyDocument"), {0}};
const struct wm_member iam_tag_role_input[] = {IAM_ROLE_NAME, IAM_TAGS(true), {0}};
const struct wm_member iam_untag_role_input[] = {IAM_ROLE_NAME, IAM_TAG_KEYS, {0}};
const struct wm_member iam_list_of_role_input[] = {IAM_ROLE_NAME, IAM_PAGE, {0}};
const struct wm_member iam_put_role_boundary_input[] = {IAM_ROLE_NAME, IAM_ARN("PermissionsBoundary", true), {0}};

/* ---- what callers see ---- */

/* Empty where it was not used in the last 400 days: API Reference, "RoleLastUsed". */
static void show_last_used(struct wm_call *c, struct wm_json *shown, const struct wm_json *used)
{
    static const char *const names[] = {"LastUsedDate", "Region", NULL};
    struct wm_wall_ns when;
    bool known = used && wm_time_parse(wm_json_get_text(used, "LastUsedDate"), &when) == WM_OK &&
                 wm_wall_seconds(c->now) - wm_wall_seconds(when) < 400 * 86400;
    wm_json_set(shown, "RoleLastUsed", iam_pick(c, known ? used : NULL, names));
}

static enum wm_status show_trust(struct wm_call *c, struct wm_json *shown, const struct wm_json *stored)
{
    struct wm_view trust;
    enum wm_status status = wm_iam_trust(c->state, c->arena, stored, &trust);
    if (status == WM_OK)
        wm_json_set_string(c->arena, shown, "AssumeRolePolicyDocument", iam_show_policy(c->arena, trust));
    return status;
}

enum wm_status iam_show_role(struct wm_call *c, const struct wm_json *stored, struct wm_json **out)
{
    static const char *const names[] = {"Path", "RoleName", "RoleId", "Arn", "CreateDate", NULL};
    struct wm_json *shown = iam_pick(c, stored, names);
    enum wm_status status = show_trust(c, shown, stored);
    *out = shown;
    return status;
}

enum wm_status iam_show_role_use(struct wm_call *c, struct wm_json *shown, const struct wm_json *stored)
{
    struct wm_json *used;
    enum wm_status status =
        wm_iam_get(c->state, c->arena, WM_IAM_LAST_USED, wm_json_get_text(stored, "RoleId"), &used);
    if (status != WM_OK)
        return status;
    iam_show_boundary(c, shown, stored);
    iam_show_tags(c, shown, stored);
    show_last_used(c, shown, used);
    return wm_arena_status(c->arena);
}

/* Lists have no more than this (API Reference, "ListRoles"). */
static enum wm_status show_listed(struct wm_call *c, const struct wm_json *stored, struct wm_json **out)
{
    enum wm_status status = iam_show_role(c, stored, out);
    if (wm_json_get(stored, "Description"))
        wm_json_set_string(c->arena, *out, "Description", wm_json_get_text(stored, "Description"));
    wm_json_set(*out, "MaxSessionDuration", wm_json_clone(c->arena, wm_json_get(stored, "MaxSessionDuration")));
    return status == WM_OK ? wm_arena_status(c->arena) : status;
}

static enum wm_status answer_role(struct wm_call *c, struct wm_reply *r, const struct wm_json *stored)
{
    struct wm_json *shown;
    enum wm_status status = show_listed(c, stored, &shown);
    if (status == WM_OK)
        status = iam_show_role_use(c, shown, stored);
    r->document = wm_json_new(c->arena, WM_JSON_OBJECT);
    wm_json_set(r->document, "Role", shown);
    return status == WM_OK ? wm_arena_status(c->arena) : status;
}

/* ---- operations ---- */

/* Check the trust policy and put it into the role. Refused: r->error_code is set. */
static enum wm_status set_trust(struct wm_call *c, struct wm_reply *r, struct wm_json *stored, struct wm_view text)
{
    struct wm_err err = {0};
    struct wm_json *trusted;
    enum wm_status status;
    if (wm_policy_size(text) > WM_MAX_TRUST_POLICY)
        return iam_over_quota(c, r, "ACLSizePerRole", WM_MAX_TRUST_POLICY);
    if (!iam_accept_policy(c, r, text, WM_POLICY_TRUST, &status))
        return status;
    status = wm_iam_trusted(c->state, c->arena, c->env->account_id, text, &trusted, &err);
    if (status == WM_E_INVALID)
        return wm_reply_error(c, r, "MalformedPolicyDocument", 400, "%s", err.message);
    if (status != WM_OK)
        return status;
    (void)wm_json_remove(stored, "AssumeRolePolicyDocument"); /* a new role has neither */
    (void)wm_json_remove(stored, "Trusted");
    wm_json_set_string(c->arena, stored, "AssumeRolePolicyDocument", text);
    wm_json_set(stored, "Trusted", trusted);
    return wm_arena_status(c->arena);
}

static void set_description(struct wm_call *c, struct wm_json *stored)
{
    if (!wm_json_get(c->params, "Description"))
        return;
    (void)wm_json_remove(stored, "Description"); /* NULL or not, it is gone */
    wm_json_set_string(c->arena, stored, "Description", wm_json_get_text(c->params, "Description"));
}

/* One hour where nothing else is said, in updates too: API Reference, "UpdateRole". */
static void set_max_session(struct wm_call *c, struct wm_json *stored)
{
    const struct wm_json *given = wm_json_get(c->params, "MaxSessionDuration");
    (void)wm_json_remove(stored, "MaxSessionDuration"); /* NULL or not, it is gone */
    if (given)
        wm_json_set(stored, "MaxSessionDuration", wm_json_clone(c->arena, given));
    else
        wm_json_set_i64(c->arena, stored, "MaxSessionDuration", 3600);
}

enum wm_status iam_create_role(struct wm_call *c, struct wm_reply *r)
{
    struct wm_json *stored;
    enum wm_status status = iam_new(c, r, &iam_role, &stored);
    if (!stored || status != WM_OK)
        return status;
    set_description(c, stored);
    set_max_session(c, stored);
    wm_json_set_object(c->arena, stored, "Policies");
    wm_json_set_array(c->arena, stored, "Attached");
    status = set_trust(c, r, stored, wm_json_get_text(c->params, "AssumeRolePolicyDocument"));
    if (status == WM_OK && !r->error_code)
        status = iam_set_tags(c, r, stored);
    if (status == WM_OK && !r->error_code)
        status = iam_set_boundary(c, r, stored, wm_json_get_text(c->params, "PermissionsBoundary"));
    if (status == WM_OK && !r->error_code)
        status = iam_keep(c, r, &iam_role, stored);
    return status == WM_OK && !r->error_code ? answer_role(c, r, stored) : status;
}

enum wm_status iam_get_role(struct wm_call *c, struct wm_reply *r)
{
    struct wm_json *stored;
    enum wm_status status = iam_find_named(c, r, &iam_role, &stored);
    return stored ? answer_role(c, r, stored) : status;
}

static enum wm_status show_document(struct wm_call *c, const void *arg, struct wm_view document, struct wm_json **out)
{
    struct wm_json *stored = NULL;
    (void)arg;
    enum wm_status status = iam_read(c, &iam_role, document, &stored);
    return status == WM_OK && iam_below_prefix(c, stored) ? show_listed(c, stored, out) : status;
}

enum wm_status iam_list_roles(struct wm_call *c, struct wm_reply *r)
{
    static const struct wm_page_source roles = {.kind = WM_LIT(WM_IAM_ROLE), .show = show_document};
    return iam_list(c, r, NULL, "Roles", &roles);
}

enum wm_status iam_update_role(struct wm_call *c, struct wm_reply *r)
{
    struct wm_json *stored;
    enum wm_status status = iam_find_named(c, r, &iam_role, &stored);
    if (!stored)
        return status;
    set_description(c, stored);
    set_max_session(c, stored);
    r->document = wm_json_new(c->arena, WM_JSON_OBJECT); /* it has a result, without members */
    return iam_keep(c, r, &iam_role, stored);
}

enum wm_status iam_update_role_description(struct wm_call *c, struct wm_reply *r)
{
    struct wm_json *stored;
    enum wm_status status = iam_find_named(c, r, &iam_role, &stored);
    if (!stored)
        return status;
    set_description(c, stored);
    status = iam_keep(c, r, &iam_role, stored);
    return status == WM_OK && !r->error_code ? answer_role(c, r, stored) : status;
}

enum wm_status iam_update_assume_role_policy(struct wm_call *c, struct wm_reply *r)
{
    struct wm_json *stored;
    enum wm_status status = iam_find_named(c, r, &iam_role, &stored);
    if (!stored)
        return status;
    status = set_trust(c, r, stored, wm_json_get_text(c->params, "PolicyDocument"));
    return status == WM_OK && !r->error_code ? iam_keep(c, r, &iam_role, stored) : status;
}

enum wm_status iam_delete_role(struct wm_call *c, struct wm_reply *r)
{
    struct wm_json *stored;
    enum wm_status status = iam_find_named(c, r, &iam_role, &stored);
    if (!stored)
        return status;
    status = iam_check_policies_gone(c, r, stored);
    if (status == WM_OK && !r->error_code)
        status = iam_set_boundary(c, r, stored, WM_EMPTY);
    if (status != WM_OK || r->error_code)
        return status;
    iam_remove(r, WM_IAM_ROLE, wm_iam_id(c->arena, wm_json_get_text(stored, "RoleName")));
    iam_remove(r, WM_IAM_LAST_USED, wm_json_get_text(stored, "RoleId"));
    return wm_arena_status(c->arena);
}
