/*
 * What IAM's operations demand of their callers.
 *
 * Which operation has which resource and keys: Service Authorization Reference, "Actions, resources, and condition keys for
 * AWS Identity and Access Management". A resource is the entity as it is stored, path and all; of one that is created, as it
 * will be. Callers name entities by name, which does not tell the path: see `named` in authorize.h. (AWS's own messages
 * have "user NAME" there.)
 *
 * iam:PermissionsBoundary is the boundary that a call sets, or else the one that the entity has; AWS has it for the
 * operations that change what a user or role may do, here it is there for all of them.
 */
#include "server/services/iam_int.h"

#include "waymark/banned.h"

/* What conditions may ask about the parameters, whatever the resource is. */
static void demand_parameters(struct wm_call *c, struct wm_demands *out)
{
    out->request_tags = wm_json_get(c->params, "Tags");
    out->tag_keys = wm_json_get(c->params, "TagKeys");
}

/* The entity's name as it was given, and its document, where there is one. */
static struct wm_demand *demand_stored(struct wm_call *c, struct wm_demands *out, const struct iam_entity *of,
                                       struct wm_view name, const struct wm_json *stored, const char *seen_by)
{
    struct wm_view named = iam_arn(c, of->type, WM_LIT("/"), name);
    struct wm_demand *d = wm_demand_add(out, WM_EMPTY, stored ? wm_json_get_text(stored, "Arn") : named);
    d->named = named;
    d->seen_by = wm_view_of(seen_by);
    d->resource_tags = wm_json_get(stored, "Tags");
    struct wm_view boundary = wm_json_get_text(c->params, "PermissionsBoundary");
    wm_demand_key(c->arena, d, "iam:PermissionsBoundary",
                  boundary.len ? boundary : wm_json_get_text(stored, "PermissionsBoundary"));
    wm_demand_key(c->arena, d, "iam:PolicyARN", wm_json_get_text(c->params, "PolicyArn"));
    demand_parameters(c, out);
    return d;
}

static enum wm_status demand_entity(struct wm_call *c, struct wm_demands *out, const struct iam_entity *of,
                                    struct wm_view name, const char *seen_by)
{
    struct wm_json *stored = NULL;
    enum wm_status status = iam_get(c, of, name, &stored);
    if (status == WM_OK)
        (void)demand_stored(c, out, of, name, stored, seen_by); /* it says it all */
    return status;
}

/* API Reference, UpdateUser and UpdateGroup: who changes a name or path must be allowed to on both, what the entity is
 * called and what it will be. Else one could be moved to where nobody but others may be. */
static enum wm_status demand_moved(struct wm_call *c, struct wm_demands *out, const struct iam_entity *of,
                                   const char *new_name, const char *seen_by)
{
    struct wm_view asked = wm_json_get_text(c->params, of->name), name = wm_json_get_text(c->params, new_name);
    struct wm_view path = wm_json_get_text(c->params, "NewPath");
    struct wm_json *stored = NULL;
    enum wm_status status = iam_get(c, of, asked, &stored);
    if (status != WM_OK)
        return status;
    const struct wm_demand *from = demand_stored(c, out, of, asked, stored, seen_by);
    if (!stored || (!name.len && !path.len))
        return WM_OK;
    struct wm_demand *to = wm_demand_add(out, WM_EMPTY, WM_EMPTY);
    *to = *from;
    to->resource = iam_arn(c, of->type, path.len ? path : wm_json_get_text(stored, "Path"),
                           name.len ? name : wm_json_get_text(stored, of->name));
    to->named = iam_arn(c, of->type, path.len ? path : WM_LIT("/"), name.len ? name : asked);
    return WM_OK;
}

/* The ARN that parameters Path and the entity's name will give it. It is made of them, so it may be told. */
static struct wm_demand *demand_new(struct wm_call *c, struct wm_demands *out, const char *type, const char *name)
{
    struct wm_view path = wm_json_get_text(c->params, "Path");
    struct wm_demand *d = wm_demand_add(
        out, WM_EMPTY, iam_arn(c, type, path.len ? path : WM_LIT("/"), wm_json_get_text(c->params, name)));
    wm_demand_key(c->arena, d, "iam:PermissionsBoundary", wm_json_get_text(c->params, "PermissionsBoundary"));
    demand_parameters(c, out);
    return d;
}

/* ---- users ---- */

/* API Reference: operations that need no user name mean the user who calls. A role's session has none: any user. */
IAM_DEMANDS(user)
{
    struct wm_view name = wm_json_get_text(c->params, "UserName");
    if (!name.len)
        name = c->identity.type == WM_IDENTITY_USER ? c->identity.user_name : WM_LIT("*");
    return demand_entity(c, out, &iam_user, name, "iam:GetUser");
}

IAM_DEMANDS(moved_user)
{
    return demand_moved(c, out, &iam_user, "NewUserName", "iam:GetUser");
}

IAM_DEMANDS(new_user)
{
    (void)demand_new(c, out, "user", "UserName"); /* it says it all */
    return WM_OK;
}

/* The user whose access key it is. */
IAM_DEMANDS(key_owner)
{
    struct wm_json *key = NULL;
    enum wm_status status =
        wm_iam_get(c->state, c->arena, WM_IAM_ACCESS_KEY, wm_json_get_text(c->params, "AccessKeyId"), &key);
    struct wm_json *owner = NULL;
    if (status == WM_OK && key)
        status = iam_get(c, &iam_user, wm_json_get_text(key, "UserName"), &owner);
    if (status == WM_OK) /* the caller named no user */
        (void)demand_stored(c, out, &iam_user, WM_LIT("*"), owner, "iam:ListAccessKeys");
    return status;
}

/* ---- groups ---- */

IAM_DEMANDS(group)
{
    return demand_entity(c, out, &iam_group, wm_json_get_text(c->params, "GroupName"), "iam:GetGroup");
}

IAM_DEMANDS(moved_group)
{
    return demand_moved(c, out, &iam_group, "NewGroupName", "iam:GetGroup");
}

IAM_DEMANDS(new_group)
{
    (void)demand_new(c, out, "group", "GroupName"); /* it says it all */
    return WM_OK;
}

/* ---- roles ---- */

IAM_DEMANDS(role)
{
    return demand_entity(c, out, &iam_role, wm_json_get_text(c->params, "RoleName"), "iam:GetRole");
}

IAM_DEMANDS(new_role)
{
    (void)demand_new(c, out, "role", "RoleName"); /* it says it all */
    return WM_OK;
}

/* ---- managed policies, which are named by their ARN ---- */

IAM_DEMANDS(policy)
{
    struct wm_view arn = wm_json_get_text(c->params, "PolicyArn");
    struct wm_json *stored = NULL;
    enum wm_status status = wm_iam_get(c->state, c->arena, WM_IAM_POLICY, arn, &stored);
    wm_demand_add(out, WM_EMPTY, arn)->resource_tags = wm_json_get(stored, "Tags");
    demand_parameters(c, out);
    return status;
}

IAM_DEMANDS(new_policy)
{
    (void)demand_new(c, out, "policy", "PolicyName"); /* it says it all */
    return WM_OK;
}

/* ---- whose policies a simulation asks; named by ARN ---- */

IAM_DEMANDS(policy_source)
{
    static const struct iam_entity *const entities[] = {&iam_user, &iam_group, &iam_role};
    struct wm_view arn = wm_json_get_text(c->params, "PolicySourceArn"), rest = arn;
    for (int i = 0; i < 5; i++)
        (void)wm_view_split(&rest, ':'); /* the whole is compared with the entity's own ARN */
    struct wm_view type = wm_view_split(&rest, '/');
    size_t path = wm_view_rfind(rest, '/');
    struct wm_view name = wm_view_sub(rest, path == rest.len ? 0 : path + 1, rest.len);
    struct wm_demand *d = wm_demand_add(out, WM_EMPTY, arn);
    for (size_t i = 0; i < sizeof entities / sizeof entities[0]; i++) {
        struct wm_json *stored = NULL;
        if (!wm_view_eq_str(type, entities[i]->type))
            continue;
        enum wm_status status = iam_get(c, entities[i], name, &stored);
        if (status != WM_OK)
            return status;
        if (wm_view_eq(wm_json_get_text(stored, "Arn"), arn))
            d->resource_tags = wm_json_get(stored, "Tags");
    }
    return WM_OK;
}
