/*
 * IAM's users. One is found by its name; its unique id and what refers to it by that stay when it is renamed.
 */
#include "server/services/iam_int.h"

#include "waymark/banned.h"

static const char *const members[] = {"UserName", "UserId",     "Path",     "Arn",      "CreateDate", "Tags",
                                      "Groups",   "AccessKeys", "Policies", "Attached", NULL};

const struct iam_entity iam_user = {
    .kind = WM_IAM_USER,
    .type = "user",
    .title = "User",
    .name = "UserName",
    .id = "UserId",
    .id_prefix = WM_IAM_USER_PREFIX,
    .quota = "UsersPerAccount",
    .most = WM_MAX_USERS,
    .attached_quota = "PoliciesPerUser",
    .most_inline = 2048,
    .members = members,
};

/* ---- what callers see ---- */

/* API Reference, ListUsers: without tags and boundary, which GetUser has. */
struct wm_json *iam_show_user(struct wm_call *c, const struct wm_json *stored)
{
    static const char *const shown[] = {"Path", "UserName", "UserId", "Arn", "CreateDate", NULL};
    return iam_pick(c, stored, shown);
}

static enum wm_status answer(struct wm_call *c, struct wm_reply *r, const struct wm_json *stored)
{
    struct wm_json *user = iam_show_user(c, stored);
    iam_show_boundary(c, user, stored);
    iam_show_tags(c, user, stored);
    r->document = wm_json_new(c->arena, WM_JSON_OBJECT);
    wm_json_set(r->document, "User", user);
    return wm_arena_status(c->arena);
}

/* AWS answers for root without UserName and Path, against its own model. Here is what clients are promised. */
static enum wm_status answer_root(struct wm_call *c, struct wm_reply *r)
{
    r->document = wm_json_new(c->arena, WM_JSON_OBJECT);
    struct wm_json *user = wm_json_set_object(c->arena, r->document, "User");
    wm_json_set_string(c->arena, user, "Path", WM_LIT("/"));
    wm_json_set_string(c->arena, user, "UserName", WM_LIT("root"));
    wm_json_set_string(c->arena, user, "UserId", c->env->account_id);
    wm_json_set_string(c->arena, user, "Arn", iam_arn(c, "root", WM_EMPTY, WM_EMPTY));
    wm_json_set_time(c->arena, user, "CreateDate", wm_wall_seconds(c->env->root_since) * 1000);
    return wm_arena_status(c->arena);
}

/* ---- create, get, list ---- */

enum wm_status iam_create_user(struct wm_call *c, struct wm_reply *r)
{
    struct wm_json *stored;
    enum wm_status status = iam_new(c, r, &iam_user, &stored);
    if (!stored)
        return status;
    status = iam_set_tags(c, r, stored);
    if (status != WM_OK || r->error_code)
        return status;
    wm_json_set_array(c->arena, stored, "Groups");
    wm_json_set_array(c->arena, stored, "AccessKeys");
    wm_json_set_object(c->arena, stored, "Policies");
    wm_json_set_array(c->arena, stored, "Attached");
    status = iam_set_boundary(c, r, stored, wm_json_get_text(c->params, "PermissionsBoundary"));
    if (status == WM_OK && !r->error_code)
        status = iam_keep(c, r, &iam_user, stored);
    return status == WM_OK && !r->error_code ? answer(c, r, stored) : status;
}

enum wm_status iam_get_user(struct wm_call *c, struct wm_reply *r)
{
    struct iam_whose whose;
    struct wm_json *stored;
    enum wm_status status = iam_whose(c, r, &whose);
    if (status != WM_OK || r->error_code)
        return status;
    if (whose.root)
        return answer_root(c, r);
    status = iam_find(c, r, &iam_user, whose.user_name, &stored);
    return stored ? answer(c, r, stored) : status;
}

static enum wm_status show(struct wm_call *c, const void *arg, struct wm_view document, struct wm_json **out)
{
    struct wm_json *stored = NULL;
    (void)arg;
    enum wm_status status = iam_read(c, &iam_user, document, &stored);
    if (status == WM_OK && iam_below_prefix(c, stored))
        *out = iam_show_user(c, stored);
    return status;
}

enum wm_status iam_list_users(struct wm_call *c, struct wm_reply *r)
{
    const struct wm_page_source from = {.kind = WM_LIT(WM_IAM_USER), .show = show};
    return iam_list(c, r, NULL, "Users", &from);
}

/* ---- update, delete ---- */

/* API Reference, UpdateUser: a user who is renamed stays in its groups, and keeps its policies and keys. */
enum wm_status iam_update_user(struct wm_call *c, struct wm_reply *r)
{
    struct wm_view name = wm_json_get_text(c->params, "NewUserName");
    struct wm_json *stored;
    enum wm_status status = iam_find_named(c, r, &iam_user, &stored);
    if (!stored)
        return status;
    struct wm_view id = wm_iam_id(c->arena, wm_json_get_text(stored, "UserName")), taken;
    if (name.len && !wm_view_eq(id, wm_iam_id(c->arena, name))) { /* else the same name, perhaps in another spelling */
        status = iam_id_of(c, &iam_user, name, &taken);
        if (status != WM_OK || taken.len)
            return taken.len ? iam_taken(c, r, &iam_user, name) : status;
        iam_remove(r, WM_IAM_USER, id);
    }
    iam_rename(c, &iam_user, stored, name, wm_json_get_text(c->params, "NewPath"));
    status = iam_keep(c, r, &iam_user, stored);
    if (status == WM_OK && !r->error_code && name.len)
        status = iam_move_memberships(c, r, stored);
    if (status == WM_OK && !r->error_code && name.len)
        status = iam_move_access_keys(c, r, stored);
    return status;
}

enum wm_status iam_delete_user(struct wm_call *c, struct wm_reply *r)
{
    struct wm_json *stored;
    enum wm_status status = iam_find_named(c, r, &iam_user, &stored);
    if (!stored)
        return status;
    if (wm_json_get(stored, "AccessKeys")->count)
        return iam_in_use(c, r, "delete access keys first");
    if (wm_json_get(stored, "Groups")->count)
        return iam_in_use(c, r, "remove users from group first");
    status = iam_check_policies_gone(c, r, stored);
    if (status == WM_OK && !r->error_code)
        status = iam_set_boundary(c, r, stored, WM_EMPTY);
    if (status == WM_OK && !r->error_code)
        iam_remove(r, WM_IAM_USER, wm_iam_id(c->arena, wm_json_get_text(stored, "UserName")));
    return status == WM_OK ? wm_arena_status(c->arena) : status;
}

/* ---- tables ---- */

const struct wm_member iam_create_user_input[] = {
    IAM_PATH("Path"), IAM_NEW_USER_NAME("UserName", true), IAM_ARN("PermissionsBoundary", false), IAM_TAGS(false), {0},
};
const struct wm_member iam_get_user_input[] = {IAM_USER_NAME(false), {0}};
const struct wm_member iam_list_users_input[] = {IAM_PATH_PREFIX, IAM_PAGE, {0}};
const struct wm_member iam_update_user_input[] = {
    IAM_USER_NAME(true), IAM_PATH("NewPath"), IAM_NEW_USER_NAME("NewUserName", false), {0},
};
const struct wm_member iam_user_input[] = {IAM_USER_NAME(true), {0}};
const struct wm_member iam_tag_user_input[] = {IAM_USER_NAME(true), IAM_TAGS(true), {0}};
const struct wm_member iam_untag_user_input[] = {IAM_USER_NAME(true), IAM_TAG_KEYS, {0}};
const struct wm_member iam_list_of_user_input[] = {IAM_USER_NAME(true), IAM_PAGE, {0}};
const struct wm_member iam_put_user_boundary_input[] = {
    IAM_NEW_USER_NAME("UserName", true), IAM_ARN("PermissionsBoundary", true), {0},
};
const struct wm_member iam_delete_user_boundary_input[] = {IAM_NEW_USER_NAME("UserName", true), {0}};
