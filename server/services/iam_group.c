/*
 * IAM's groups, and who is in them. A group is referred to by its unique id, so that renaming one touches no user; a user's
 * document names its groups, and one small document for each membership leads the other way (waymark/iam.h).
 */
#include "server/services/iam_int.h"

#include "waymark/banned.h"

static const char *const members[] = {"GroupName", "GroupId", "Path", "Arn", "CreateDate", "Policies", "Attached", NULL};

const struct iam_entity iam_group = {
    .kind = WM_IAM_GROUP,
    .names = WM_IAM_GROUP_NAME,
    .type = "group",
    .title = "Group",
    .name = "GroupName",
    .id = "GroupId",
    .id_prefix = WM_IAM_GROUP_PREFIX,
    .quota = "GroupsPerAccount",
    .most = WM_MAX_GROUPS,
    .attached_quota = "PoliciesPerGroup",
    .most_inline = 5120,
    .members = members,
};

struct wm_json *iam_show_group(struct wm_call *c, const struct wm_json *stored)
{
    static const char *const shown[] = {"Path", "GroupName", "GroupId", "Arn", "CreateDate", NULL};
    return iam_pick(c, stored, shown);
}

static struct wm_json *answer_of(struct wm_call *c, const struct wm_json *stored)
{
    struct wm_json *answer = wm_json_new(c->arena, WM_JSON_OBJECT);
    wm_json_set(answer, "Group", iam_show_group(c, stored));
    return answer;
}

static struct wm_view name_id(struct wm_call *c, const struct wm_json *stored)
{
    return wm_iam_id(c->arena, wm_json_get_text(stored, "GroupName"));
}

/* The group's document, and the one by which its name leads to it. */
static enum wm_status keep(struct wm_call *c, struct wm_reply *r, const struct wm_json *stored)
{
    struct wm_json *entry = wm_json_new(c->arena, WM_JSON_OBJECT);
    wm_json_set_string(c->arena, entry, "GroupId", wm_json_get_text(stored, "GroupId"));
    enum wm_status status = iam_keep(c, r, &iam_group, stored);
    if (status == WM_OK && !r->error_code)
        status = iam_keep_as(c, r, WM_IAM_GROUP_NAME, name_id(c, stored), entry, "group");
    return status;
}

/* ---- memberships ---- */

static struct wm_view member_id(struct wm_call *c, struct wm_view group_id, const struct wm_json *user)
{
    return wm_arena_printf(c->arena, "%.*s/%.*s", WM_ARG(group_id), WM_ARG(wm_json_get_text(user, "UserId")));
}

static enum wm_status keep_member(struct wm_call *c, struct wm_reply *r, struct wm_view group_id,
                                  const struct wm_json *user)
{
    struct wm_json *member = wm_json_new(c->arena, WM_JSON_OBJECT);
    wm_json_set_string(c->arena, member, "UserName", wm_json_get_text(user, "UserName"));
    return iam_keep_as(c, r, WM_IAM_MEMBER, member_id(c, group_id, user), member, "user");
}

enum wm_status iam_move_memberships(struct wm_call *c, struct wm_reply *r, const struct wm_json *stored)
{
    enum wm_status status = WM_OK;
    for (const struct wm_json *id = wm_json_get(stored, "Groups")->first; id && status == WM_OK; id = id->next)
        status = keep_member(c, r, id->text, stored);
    return status;
}

static struct wm_view prefix_of(struct wm_call *c, const struct wm_json *group)
{
    return wm_arena_printf(c->arena, "%.*s/", WM_ARG(wm_json_get_text(group, "GroupId")));
}

struct first {
    struct wm_view prefix;
    bool found;
};

static bool look_at_first(void *arg, struct wm_view id, struct wm_view document)
{
    struct first *f = arg;
    (void)document;
    f->found = wm_view_eq(wm_view_sub(id, 0, f->prefix.len), f->prefix);
    return false;
}

static bool has_members(struct wm_call *c, const struct wm_json *group)
{
    struct first f = {.prefix = prefix_of(c, group)};
    wm_state_each(c->state, WM_LIT(WM_IAM_MEMBER), f.prefix, look_at_first, &f);
    return f.found;
}

/* Both sides of the membership that the parameters name. Where one is missing, the reply is made, and *out_user is NULL. */
static enum wm_status find_both(struct wm_call *c, struct wm_reply *r, struct wm_json **out_group,
                                struct wm_json **out_user)
{
    *out_user = NULL;
    enum wm_status status = iam_find_named(c, r, &iam_group, out_group);
    return *out_group ? iam_find_named(c, r, &iam_user, out_user) : status;
}

/* Adding a user who is in the group already changes nothing, as in AWS. */
enum wm_status iam_add_user_to_group(struct wm_call *c, struct wm_reply *r)
{
    struct wm_json *group, *user;
    enum wm_status status = find_both(c, r, &group, &user);
    if (!user)
        return status;
    struct wm_view id = wm_json_get_text(group, "GroupId");
    struct wm_json *groups = wm_json_get(user, "Groups");
    if (iam_has(groups, id))
        return WM_OK;
    if (groups->count >= WM_MAX_GROUPS_PER_USER)
        return iam_over_quota(c, r, "GroupsPerUser", WM_MAX_GROUPS_PER_USER);
    iam_add(c->arena, groups, id);
    status = iam_keep(c, r, &iam_user, user);
    return status == WM_OK && !r->error_code ? keep_member(c, r, id, user) : status;
}

/* API Reference: NoSuchEntity is for what does not exist; a user who is not in the group is removed all the same. */
enum wm_status iam_remove_user_from_group(struct wm_call *c, struct wm_reply *r)
{
    struct wm_json *group, *user;
    enum wm_status status = find_both(c, r, &group, &user);
    if (!user)
        return status;
    struct wm_view id = wm_json_get_text(group, "GroupId");
    if (!iam_has(wm_json_get(user, "Groups"), id))
        return WM_OK;
    iam_drop(wm_json_get(user, "Groups"), NULL, id);
    status = iam_keep(c, r, &iam_user, user);
    if (status == WM_OK && !r->error_code)
        iam_remove(r, WM_IAM_MEMBER, member_id(c, id, user));
    return status == WM_OK ? wm_arena_status(c->arena) : status;
}

static enum wm_status show_by_id(struct wm_call *c, const struct wm_json *id, struct wm_json **out)
{
    struct wm_json *group = NULL;
    enum wm_status status = wm_iam_get(c->state, c->arena, WM_IAM_GROUP, id->text, &group);
    if (status == WM_OK && !group)
        return WM_E_CORRUPT; /* it could not be deleted */
    *out = iam_show_group(c, group);
    return status;
}

enum wm_status iam_list_groups_for_user(struct wm_call *c, struct wm_reply *r)
{
    struct wm_json *user;
    enum wm_status status = iam_find_named(c, r, &iam_user, &user);
    return user ? iam_list_elements(c, r, "Groups", wm_json_get(user, "Groups"), NULL, show_by_id) : status;
}

/* ---- create, get, list ---- */

enum wm_status iam_create_group(struct wm_call *c, struct wm_reply *r)
{
    struct wm_json *stored;
    enum wm_status status = iam_new(c, r, &iam_group, &stored);
    if (!stored)
        return status;
    wm_json_set_object(c->arena, stored, "Policies");
    wm_json_set_array(c->arena, stored, "Attached");
    status = keep(c, r, stored);
    if (status == WM_OK && !r->error_code)
        r->document = answer_of(c, stored);
    return status == WM_OK ? wm_arena_status(c->arena) : status;
}

static enum wm_status text_of(struct wm_call *c, struct wm_view document, const char *name, struct wm_view *out)
{
    struct wm_json *entry = NULL;
    enum wm_status status = wm_json_parse(c->arena, document, &entry, NULL);
    if (status == WM_E_NOMEM)
        return status;
    *out = wm_json_get_text(entry, name);
    return out->len ? WM_OK : WM_E_CORRUPT;
}

static enum wm_status user_of_member(struct wm_call *c, struct wm_view document, struct wm_view *out_id)
{
    struct wm_view name = WM_EMPTY;
    enum wm_status status = text_of(c, document, "UserName", &name);
    *out_id = wm_iam_id(c->arena, name);
    return status == WM_OK ? wm_arena_status(c->arena) : status;
}

static enum wm_status show_user(struct wm_call *c, const void *arg, struct wm_view document, struct wm_json **out)
{
    struct wm_json *stored = NULL;
    (void)arg;
    enum wm_status status = iam_read(c, &iam_user, document, &stored);
    if (status == WM_OK)
        *out = iam_show_user(c, stored);
    return status;
}

enum wm_status iam_get_group(struct wm_call *c, struct wm_reply *r)
{
    struct wm_json *stored;
    enum wm_status status = iam_find_named(c, r, &iam_group, &stored);
    if (!stored)
        return status;
    const struct wm_page_source from = {
        .kind = WM_LIT(WM_IAM_USER),
        .index = WM_LIT(WM_IAM_MEMBER),
        .prefix = prefix_of(c, stored),
        .leads_to = user_of_member,
        .show = show_user,
    };
    return iam_list(c, r, answer_of(c, stored), "Users", &from);
}

static enum wm_status group_of_name(struct wm_call *c, struct wm_view document, struct wm_view *out_id)
{
    return text_of(c, document, "GroupId", out_id);
}

static enum wm_status show(struct wm_call *c, const void *arg, struct wm_view document, struct wm_json **out)
{
    struct wm_json *stored = NULL;
    (void)arg;
    enum wm_status status = iam_read(c, &iam_group, document, &stored);
    if (status == WM_OK && iam_below_prefix(c, stored))
        *out = iam_show_group(c, stored);
    return status;
}

enum wm_status iam_list_groups(struct wm_call *c, struct wm_reply *r)
{
    const struct wm_page_source from = {
        .kind = WM_LIT(WM_IAM_GROUP), .index = WM_LIT(WM_IAM_GROUP_NAME), .leads_to = group_of_name, .show = show};
    return iam_list(c, r, NULL, "Groups", &from);
}

/* ---- update, delete ---- */

enum wm_status iam_update_group(struct wm_call *c, struct wm_reply *r)
{
    struct wm_view name = wm_json_get_text(c->params, "NewGroupName");
    struct wm_json *stored;
    enum wm_status status = iam_find_named(c, r, &iam_group, &stored);
    if (!stored)
        return status;
    struct wm_view id = name_id(c, stored), taken;
    if (name.len && !wm_view_eq(id, wm_iam_id(c->arena, name))) {
        status = iam_id_of(c, &iam_group, name, &taken);
        if (status != WM_OK || taken.len)
            return taken.len ? iam_taken(c, r, &iam_group, name) : status;
        iam_remove(r, WM_IAM_GROUP_NAME, id);
    }
    iam_rename(c, &iam_group, stored, name, wm_json_get_text(c->params, "NewPath"));
    return keep(c, r, stored);
}

enum wm_status iam_delete_group(struct wm_call *c, struct wm_reply *r)
{
    struct wm_json *stored;
    enum wm_status status = iam_find_named(c, r, &iam_group, &stored);
    if (!stored)
        return status;
    if (has_members(c, stored))
        return iam_in_use(c, r, "remove users from group first");
    status = iam_check_policies_gone(c, r, stored);
    if (status == WM_OK && !r->error_code) {
        iam_remove(r, WM_IAM_GROUP, wm_json_get_text(stored, "GroupId"));
        iam_remove(r, WM_IAM_GROUP_NAME, name_id(c, stored));
    }
    return status == WM_OK ? wm_arena_status(c->arena) : status;
}

/* ---- tables ---- */

const struct wm_member iam_create_group_input[] = {IAM_PATH("Path"), IAM_GROUP_NAME("GroupName", true), {0}};
const struct wm_member iam_get_group_input[] = {IAM_GROUP_NAME("GroupName", true), IAM_PAGE, {0}};
const struct wm_member iam_list_groups_input[] = {IAM_PATH_PREFIX, IAM_PAGE, {0}};
const struct wm_member iam_update_group_input[] = {
    IAM_GROUP_NAME("GroupName", true), IAM_PATH("NewPath"), IAM_GROUP_NAME("NewGroupName", false), {0},
};
const struct wm_member iam_group_input[] = {IAM_GROUP_NAME("GroupName", true), {0}};
const struct wm_member iam_membership_input[] = {IAM_GROUP_NAME("GroupName", true), IAM_USER_NAME(true), {0}};
