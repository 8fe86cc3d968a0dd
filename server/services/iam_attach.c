/*
 * Where managed policies are used: attached to users, groups and roles, and as permissions boundaries of users and roles.
 * Each use is counted in a document of its own (WM_IAM_POLICY_USE) that changes in the same call, so the counts are true;
 * the policy itself, which may be long or AWS's, is left alone.
 */
#include "server/services/iam_policy_int.h"

#include "waymark/banned.h"

#define ATTACH_INPUTS(owner, NAME)                                                                                     \
    const struct wm_member iam_attach_##owner##_policy_input[] = {NAME, IAM_ARN("PolicyArn", true), {0}};              \
    const struct wm_member iam_list_attached_##owner##_policies_input[] = {NAME, IAM_POLICY_PATH("PathPrefix"),        \
                                                                           IAM_PAGE, {0}};

ATTACH_INPUTS(user, IAM_NEW_USER_NAME("UserName", true))
ATTACH_INPUTS(group, IAM_GROUP_NAME("GroupName", true))
ATTACH_INPUTS(role, IAM_ROLE_NAME)

const struct iam_entity *iam_owner(const struct wm_call *c)
{
    static const struct iam_entity *const owners[] = {&iam_user, &iam_group, &iam_role};
    for (size_t i = 0; i < sizeof owners / sizeof owners[0]; i++)
        if (strcmp(c->operation->input[0].name, owners[i]->name) == 0)
            return owners[i];
    WM_ASSERT(!"the first member of the operation names a user, a group or a role");
    return NULL;
}

/* ---- counts ---- */

static bool read_count(const struct wm_json *document, const char *name, int64_t *out)
{
    return wm_json_to_i64(wm_json_get(document, name), 0, INT32_MAX, out) == WM_OK;
}

enum wm_status iam_get_use(struct wm_call *c, struct wm_view arn, struct iam_use *out)
{
    struct wm_json *document;
    enum wm_status status = wm_iam_get(c->state, c->arena, WM_IAM_POLICY_USE, arn, &document);
    *out = (struct iam_use){0};
    if (status == WM_OK && document && (!read_count(document, "AttachmentCount", &out->attachments) ||
                                        !read_count(document, "PermissionsBoundaryUsageCount", &out->boundaries)))
        status = WM_E_CORRUPT;
    return status;
}

void iam_show_use(struct wm_call *c, struct wm_json *shown, const struct iam_use *use)
{
    wm_json_set_i64(c->arena, shown, "AttachmentCount", use->attachments);
    wm_json_set_i64(c->arena, shown, "PermissionsBoundaryUsageCount", use->boundaries);
}

/* So many uses more. */
static enum wm_status count_use(struct wm_call *c, struct wm_reply *r, struct wm_view arn, int64_t attachments,
                                int64_t boundaries)
{
    struct iam_use use;
    enum wm_status status = iam_get_use(c, arn, &use);
    if (status != WM_OK)
        return status;
    use.attachments += attachments;
    use.boundaries += boundaries;
    if (use.attachments < 0 || use.boundaries < 0)
        return WM_E_CORRUPT;
    if (use.attachments == 0 && use.boundaries == 0) {
        iam_remove(r, WM_IAM_POLICY_USE, arn);
        return WM_OK;
    }
    struct wm_json *document = wm_json_new(c->arena, WM_JSON_OBJECT);
    iam_show_use(c, document, &use);
    return iam_keep_as(c, r, WM_IAM_POLICY_USE, arn, document, "policy");
}

/* ---- permissions boundaries ---- */

enum wm_status iam_set_boundary(struct wm_call *c, struct wm_reply *r, struct wm_json *stored, struct wm_view arn)
{
    struct wm_view was = wm_json_get_text(stored, "PermissionsBoundary");
    enum wm_status status = WM_OK;
    if (wm_view_eq(was, arn))
        return WM_OK;
    if (arn.len && !iam_has_policy(c, r, arn, "Scope ARN:"))
        return wm_arena_status(c->arena);
    if (arn.len)
        status = count_use(c, r, arn, 0, 1);
    if (was.len && status == WM_OK) {
        status = count_use(c, r, was, 0, -1);
        (void)wm_json_remove(stored, "PermissionsBoundary"); /* it is there */
    }
    if (arn.len)
        wm_json_set_string(c->arena, stored, "PermissionsBoundary", arn);
    return status == WM_OK ? wm_arena_status(c->arena) : status;
}

void iam_show_boundary(struct wm_call *c, struct wm_json *shown, const struct wm_json *stored)
{
    struct wm_view arn = wm_json_get_text(stored, "PermissionsBoundary");
    if (arn.len == 0)
        return;
    struct wm_json *boundary = wm_json_set_object(c->arena, shown, "PermissionsBoundary");
    wm_json_set_string(c->arena, boundary, "PermissionsBoundaryType", WM_LIT("PermissionsBoundaryPolicy"));
    wm_json_set_string(c->arena, boundary, "PermissionsBoundaryArn", arn);
}

enum wm_status iam_put_boundary(struct wm_call *c, struct wm_reply *r)
{
    const struct iam_entity *of = iam_owner(c);
    struct wm_json *stored;
    enum wm_status status = iam_find_named(c, r, of, &stored);
    if (stored)
        status = iam_set_boundary(c, r, stored, wm_json_get_text(c->params, "PermissionsBoundary"));
    return stored && status == WM_OK && !r->error_code ? iam_keep(c, r, of, stored) : status;
}

enum wm_status iam_delete_boundary(struct wm_call *c, struct wm_reply *r)
{
    const struct iam_entity *of = iam_owner(c);
    struct wm_json *stored;
    enum wm_status status = iam_find_named(c, r, of, &stored);
    if (!stored)
        return status;
    if (!wm_json_get(stored, "PermissionsBoundary"))
        return wm_reply_error(c, r, "NoSuchEntity", 404, "The %s with name %.*s has no permissions boundary.", of->type,
                              WM_ARG(wm_json_get_text(stored, of->name)));
    status = iam_set_boundary(c, r, stored, WM_EMPTY);
    return status == WM_OK && !r->error_code ? iam_keep(c, r, of, stored) : status;
}

/* ---- attaching ---- */

/* Attaching what is attached, as often as a client repeats it, changes nothing. */
enum wm_status iam_attach_policy(struct wm_call *c, struct wm_reply *r)
{
    const struct iam_entity *of = iam_owner(c);
    struct wm_view arn = wm_json_get_text(c->params, "PolicyArn");
    struct wm_json *stored;
    enum wm_status status = iam_find_named(c, r, of, &stored);
    if (!stored)
        return status;
    if (!iam_has_policy(c, r, arn, "Policy"))
        return wm_arena_status(c->arena);
    struct wm_json *attached = wm_json_get(stored, "Attached");
    if (iam_has(attached, arn))
        return WM_OK;
    if (attached->count >= WM_MAX_ATTACHED_POLICIES)
        return iam_over_quota(c, r, of->attached_quota, WM_MAX_ATTACHED_POLICIES);
    iam_add(c->arena, attached, arn);
    status = count_use(c, r, arn, 1, 0);
    return status == WM_OK ? iam_keep(c, r, of, stored) : status;
}

enum wm_status iam_detach_policy(struct wm_call *c, struct wm_reply *r)
{
    const struct iam_entity *of = iam_owner(c);
    struct wm_view arn = wm_json_get_text(c->params, "PolicyArn");
    struct wm_json *stored;
    enum wm_status status = iam_find_named(c, r, of, &stored);
    if (!stored || !iam_is_policy_arn(c, r, arn))
        return status;
    struct wm_json *attached = wm_json_get(stored, "Attached");
    if (!iam_has(attached, arn))
        return wm_reply_error(c, r, "NoSuchEntity", 404, "Policy %.*s was not found.", WM_ARG(wm_view_sub(arn, 0, 512)));
    iam_drop(attached, NULL, arn);
    status = count_use(c, r, arn, -1, 0);
    return status == WM_OK ? iam_keep(c, r, of, stored) : status;
}

/* Name and path of a policy are in its ARN: "…:policy/PATH/NAME". */
struct wm_view iam_policy_name(struct wm_view arn)
{
    return wm_view_sub(arn, wm_view_rfind(arn, '/') + 1, arn.len);
}

static struct wm_view policy_path(struct wm_view arn)
{
    return wm_view_sub(arn, wm_view_find(arn, '/'), wm_view_rfind(arn, '/') + 1);
}

struct wm_json *iam_show_attached(struct wm_call *c, struct wm_view arn)
{
    struct wm_json *shown = wm_json_new(c->arena, WM_JSON_OBJECT);
    wm_json_set_string(c->arena, shown, "PolicyName", iam_policy_name(arn));
    wm_json_set_string(c->arena, shown, "PolicyArn", arn);
    return shown;
}

static enum wm_status show_below_prefix(struct wm_call *c, const struct wm_json *attached, struct wm_json **out)
{
    struct wm_view prefix = wm_json_get_text(c->params, "PathPrefix");
    if (wm_view_eq(wm_view_sub(policy_path(attached->text), 0, prefix.len), prefix))
        *out = iam_show_attached(c, attached->text);
    return wm_arena_status(c->arena);
}

enum wm_status iam_list_attached_policies(struct wm_call *c, struct wm_reply *r)
{
    struct wm_json *stored;
    enum wm_status status = iam_find_named(c, r, iam_owner(c), &stored);
    if (!stored)
        return status;
    return iam_list_elements(c, r, "AttachedPolicies", wm_json_get(stored, "Attached"), NULL, show_below_prefix);
}
