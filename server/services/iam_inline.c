/*
 * Inline policies of users, groups and roles: one implementation for all of them.
 */
#include "server/services/iam_policy_int.h"

#include "waymark/banned.h"

#define INLINE_INPUTS(owner, NAME)                                                                                     \
    const struct wm_member iam_put_##owner##_policy_input[] = {NAME, IAM_POLICY_NAME,                                  \
                                                               IAM_POLICY_TEXT("PolicyDocument"), {0}};                \
    const struct wm_member iam_##owner##_policy_input[] = {NAME, IAM_POLICY_NAME, {0}};                                \
    const struct wm_member iam_list_##owner##_policies_input[] = {NAME, IAM_PAGE, {0}};

INLINE_INPUTS(user, IAM_USER_NAME(true))
INLINE_INPUTS(group, IAM_GROUP_NAME("GroupName", true))
INLINE_INPUTS(role, IAM_ROLE_NAME)

static struct wm_view policy_name(const struct wm_call *c)
{
    return wm_json_get_text(c->params, "PolicyName");
}

/* The policies of whom the call is about, all of them in *out_stored; the one it names is in *out_policy, or NULL. */
static enum wm_status find(struct wm_call *c, struct wm_reply *r, struct wm_json **out_stored,
                           struct wm_json **out_policy)
{
    enum wm_status status = iam_find_named(c, r, iam_owner(c), out_stored);
    *out_policy = wm_json_get_view(wm_json_get(*out_stored, "Policies"), policy_name(c));
    return status;
}

static enum wm_status no_such_policy(struct wm_call *c, struct wm_reply *r)
{
    return wm_reply_error(c, r, "NoSuchEntity", 404, "The %s policy with name %.*s cannot be found.",
                          iam_owner(c)->type, WM_ARG(policy_name(c)));
}

/* All of somebody's inline policies count together (IAM User Guide, "IAM and AWS STS quotas", character limits). */
static size_t size_of(const struct wm_json *policies)
{
    size_t size = 0;
    for (const struct wm_json *p = policies->first; p; p = p->next)
        size += wm_policy_size(p->text);
    return size;
}

enum wm_status iam_put_inline_policy(struct wm_call *c, struct wm_reply *r)
{
    const struct iam_entity *of = iam_owner(c);
    struct wm_view text = wm_json_get_text(c->params, "PolicyDocument");
    struct wm_json *stored, *there;
    enum wm_status status = find(c, r, &stored, &there);
    if (!stored)
        return status;
    struct wm_json *policies = wm_json_get(stored, "Policies");
    if (there)
        there->text = text;
    else
        wm_json_set_view(policies, policy_name(c), wm_json_clone(c->arena, wm_json_get(c->params, "PolicyDocument")));
    if (size_of(policies) > of->most_inline)
        return wm_reply_error(c, r, "LimitExceeded", 409, "Maximum policy size of %zu bytes exceeded for %s %.*s",
                              of->most_inline, of->type, WM_ARG(wm_json_get_text(stored, of->name)));
    return iam_accept_policy(c, r, text, WM_POLICY_IDENTITY, &status) ? iam_keep(c, r, of, stored) : status;
}

enum wm_status iam_get_inline_policy(struct wm_call *c, struct wm_reply *r)
{
    struct wm_json *stored, *policy;
    enum wm_status status = find(c, r, &stored, &policy);
    if (!stored || !policy)
        return stored ? no_such_policy(c, r) : status;
    const char *name = iam_owner(c)->name;
    r->document = wm_json_new(c->arena, WM_JSON_OBJECT);
    wm_json_set_string(c->arena, r->document, name, wm_json_get_text(stored, name));
    wm_json_set_string(c->arena, r->document, "PolicyName", policy->key);
    wm_json_set_string(c->arena, r->document, "PolicyDocument", iam_show_policy(c->arena, policy->text));
    return wm_arena_status(c->arena);
}

enum wm_status iam_delete_inline_policy(struct wm_call *c, struct wm_reply *r)
{
    struct wm_json *stored, *policy;
    enum wm_status status = find(c, r, &stored, &policy);
    if (!stored || !policy)
        return stored ? no_such_policy(c, r) : status;
    const char *name = wm_arena_copy(c->arena, policy->key).ptr;
    if (!name)
        return WM_E_NOMEM;
    (void)wm_json_remove(wm_json_get(stored, "Policies"), name); /* it is there */
    return iam_keep(c, r, iam_owner(c), stored);
}

static enum wm_status show_name(struct wm_call *c, const struct wm_json *policy, struct wm_json **out)
{
    *out = wm_json_new(c->arena, WM_JSON_STRING);
    if (*out)
        (*out)->text = policy->key;
    return wm_arena_status(c->arena);
}

enum wm_status iam_list_inline_policies(struct wm_call *c, struct wm_reply *r)
{
    struct wm_json *stored;
    enum wm_status status = iam_find_named(c, r, iam_owner(c), &stored);
    if (!stored)
        return status;
    return iam_list_elements(c, r, "PolicyNames", wm_json_get(stored, "Policies"), NULL, show_name);
}
