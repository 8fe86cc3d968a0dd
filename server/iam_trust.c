/*
 * Whom a role trusts. A trust policy names users and roles by their ARNs, which are made of names; but what is trusted is
 * the user that had the name when the policy was written, and not another that is given it later (IAM User Guide, "AWS
 * JSON policy elements: Principal": the ARN is transformed to the unique id when the policy is saved). So a role keeps the
 * ids beside the text, and where an ARN is no longer the same user's, the id stands in its place. Whoever has the id yet,
 * under another name, is trusted as before; of one that is gone nobody has it. (Where AWS shows the new ARN of a user who was
 * renamed, the id is shown here.)
 */
#include "waymark/bounds.h"
#include "waymark/iam.h"

#include "waymark/banned.h"

struct names {
    struct wm_state *state;
    struct wm_arena *arena;
    struct wm_view account_id;
    struct wm_json *trusted; /* {ARN: unique id} */
    bool changed;
    struct wm_err *err;
};

/* The unique id of the user or role that has this ARN now, or of the role that a session's ARN names; empty: nobody. */
static enum wm_status id_of(const struct names *n, struct wm_view arn, struct wm_view *out)
{
    struct wm_view rest = arn, account = WM_EMPTY;
    for (int i = 0; i < 5; i++)
        account = wm_view_split(&rest, ':');
    struct wm_view kind = wm_view_split(&rest, '/'), name = rest;
    bool session = wm_view_eq_str(kind, "assumed-role"), user = wm_view_eq_str(kind, "user");
    *out = WM_EMPTY;
    if (account.len == 0 || (!session && !user && !wm_view_eq_str(kind, "role")))
        return WM_OK;
    if (session)
        name = wm_view_split(&rest, '/');
    else if (wm_view_rfind(name, '/') < name.len)
        name = wm_view_sub(name, wm_view_rfind(name, '/') + 1, name.len);
    const char *const members[] = {session ? "RoleName" : "Arn", user ? "UserId" : "RoleId"};
    struct wm_view is[2];
    enum wm_status status =
        wm_iam_get_texts(n->state, n->arena, user ? WM_IAM_USER : WM_IAM_ROLE, name, members, 2, is);
    if (status == WM_OK && (session ? rest.len > 0 && wm_view_eq(is[0], name) : wm_view_eq(is[0], arn)))
        *out = is[1];
    return status;
}

/* "*", the account, or a user, role or session of it. Nobody of another account can call here, so none is taken. */
static enum wm_status note(struct names *n, struct wm_json *principal)
{
    struct wm_view text = principal->text, id, rest = text, account = WM_EMPTY;
    if (wm_view_eq_str(text, "*") || wm_view_eq(text, n->account_id) || wm_json_get_view(n->trusted, text))
        return WM_OK;
    for (int i = 0; i < 5; i++)
        account = wm_view_split(&rest, ':');
    bool ours = wm_view_eq(account, n->account_id);
    if (ours && wm_view_eq_str(rest, "root"))
        return WM_OK;
    enum wm_status status = id_of(n, text, &id);
    if (status != WM_OK)
        return status;
    if (!ours || id.len == 0)
        return wm_fail(n->err, WM_E_INVALID, "Invalid principal in policy: \"AWS\":\"%.*s\"",
                       WM_ARG(wm_view_sub(text, 0, 256)));
    struct wm_json *v = wm_json_new(n->arena, WM_JSON_STRING);
    if (v)
        v->text = id;
    wm_json_set_view(n->trusted, text, v);
    return wm_arena_status(n->arena);
}

static enum wm_status replace(struct names *n, struct wm_json *principal)
{
    const struct wm_json *then = wm_json_get_view(n->trusted, principal->text);
    struct wm_view now;
    if (!then)
        return WM_OK;
    enum wm_status status = id_of(n, principal->text, &now);
    if (status == WM_OK && !wm_view_eq(now, then->text)) {
        principal->text = then->text;
        n->changed = true;
    }
    return status;
}

static enum wm_status each_of(struct names *n, struct wm_json *principal,
                              enum wm_status (*what)(struct names *, struct wm_json *))
{
    struct wm_json *aws = wm_json_get(principal, "AWS");
    enum wm_status status = WM_OK;
    if (aws && aws->type == WM_JSON_STRING)
        return what(n, aws);
    for (struct wm_json *e = aws ? aws->first : NULL; e && status == WM_OK; e = e->next)
        status = what(n, e);
    return status;
}

/* There is no NotPrincipal in a trust policy (waymark/policy.h). */
static enum wm_status each_principal(struct names *n, struct wm_json *policy,
                                     enum wm_status (*what)(struct names *, struct wm_json *))
{
    struct wm_json *statements = wm_json_get(policy, "Statement");
    bool list = statements && statements->type == WM_JSON_ARRAY;
    enum wm_status status = WM_OK;
    for (struct wm_json *s = list ? statements->first : statements; s && status == WM_OK; s = list ? s->next : NULL)
        status = each_of(n, wm_json_get(s, "Principal"), what);
    return status;
}

enum wm_status wm_iam_trusted(struct wm_state *s, struct wm_arena *a, struct wm_view account_id, struct wm_view policy,
                              struct wm_json **out, struct wm_err *err)
{
    struct names n = {
        .state = s,
        .arena = a,
        .account_id = account_id,
        .trusted = wm_json_new(a, WM_JSON_OBJECT),
        .err = err,
    };
    struct wm_json *tree;
    enum wm_status status = wm_json_parse(a, policy, &tree, err);
    if (status == WM_OK)
        status = each_principal(&n, tree, note);
    if (status == WM_OK)
        status = wm_arena_status(a);
    if (status == WM_OK)
        *out = n.trusted;
    return status;
}

enum wm_status wm_iam_trust(struct wm_state *s, struct wm_arena *a, const struct wm_json *role, struct wm_view *out)
{
    struct names n = {.state = s, .arena = a, .trusted = wm_json_get(role, "Trusted")};
    struct wm_view text = wm_json_get_text(role, "AssumeRolePolicyDocument");
    struct wm_json *tree;
    if (!n.trusted || n.trusted->count == 0) {
        *out = text;
        return WM_OK;
    }
    enum wm_status status = wm_json_parse(a, text, &tree, NULL);
    if (status != WM_OK)
        return status == WM_E_NOMEM ? status : WM_E_CORRUPT;
    status = each_principal(&n, tree, replace);
    if (status != WM_OK)
        return status;
    if (n.changed) {
        struct wm_buf written;
        wm_buf_init(&written, WM_MAX_DOCUMENT_BYTES);
        wm_json_write(&written, tree);
        status = wm_buf_status(&written);
        text = wm_arena_copy(a, wm_buf_view(&written));
        wm_buf_done(&written);
    }
    if (status == WM_OK)
        status = wm_arena_status(a);
    if (status == WM_OK)
        *out = text;
    return status;
}
