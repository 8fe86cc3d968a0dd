/*
 * What all of IAM's entities have in common: names, ids and ARNs, documents, and how a call on them is refused.
 */
#include "server/services/iam_int.h"
#include "waymark/trail_name.h"

#include "waymark/banned.h"

/* ---- forms ---- */

static bool is_name(struct wm_view text)
{
    return wm_text_only(text, "_+=,.@-");
}

const struct wm_text_form iam_name_form = {is_name, "may have letters, digits and _+=,.@- only"};

static bool is_id(struct wm_view text)
{
    return wm_text_only(text, "_");
}

const struct wm_text_form iam_id_form = {is_id, "may have letters, digits and underscores only"};

/* From ! to this one. */
static bool is_visible(struct wm_view text, char last)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < '!' || text.ptr[i] > last)
            return false;
    return true;
}

static bool is_path(struct wm_view text)
{
    return wm_view_eq_str(text, "/") ||
           (text.len >= 3 && wm_view_starts(text, "/") && wm_view_ends(text, "/") && is_visible(text, '~'));
}

const struct wm_text_form iam_path_form = {is_path,
                                           "must begin and end with a slash, and have visible ASCII characters only"};

static bool is_path_prefix(struct wm_view text)
{
    return wm_view_starts(text, "/") && is_visible(text, '\x7f');
}

const struct wm_text_form iam_path_prefix_form = {is_path_prefix,
                                                  "must begin with a slash, and have visible ASCII characters only"};

/* ---- texts and lists ---- */

struct wm_view iam_arn(struct wm_call *c, const char *type, struct wm_view path, struct wm_view name)
{
    return wm_arena_printf(c->arena, "arn:%s:iam::%.*s:%s%.*s%.*s", wm_arn_partition(c->env->region),
                           WM_ARG(c->env->account_id), type, WM_ARG(path), WM_ARG(name));
}

void iam_set_now(struct wm_call *c, struct wm_json *object, const char *name)
{
    wm_json_set_time(c->arena, object, name, wm_wall_seconds(c->now) * 1000);
}

struct wm_json *iam_pick(struct wm_call *c, const struct wm_json *from, const char *const *names)
{
    struct wm_json *object = wm_json_new(c->arena, WM_JSON_OBJECT);
    for (; *names; names++) {
        const struct wm_json *value = wm_json_get(from, *names);
        if (value)
            wm_json_set(object, *names, wm_json_clone(c->arena, value));
    }
    return object;
}

bool iam_has(const struct wm_json *list, struct wm_view text)
{
    for (const struct wm_json *e = list->first; e; e = e->next)
        if (wm_view_eq(e->text, text))
            return true;
    return false;
}

void iam_add(struct wm_arena *a, struct wm_json *list, struct wm_view text)
{
    struct wm_json *e = wm_json_new(a, WM_JSON_STRING);
    if (e)
        e->text = text;
    wm_json_push(list, e);
}

void iam_drop(struct wm_json *list, const char *name, struct wm_view text)
{
    struct wm_json *e = list->first, *next;
    list->first = list->last = NULL;
    list->count = 0;
    for (; e; e = next) {
        next = e->next;
        e->next = NULL;
        if (!wm_view_ieq(name ? wm_json_get_text(e, name) : e->text, text))
            wm_json_push(list, e);
    }
}

/* ---- refusals ---- */

enum wm_status iam_not_found(struct wm_call *c, struct wm_reply *r, const struct iam_entity *of, struct wm_view name)
{
    return wm_reply_error(c, r, "NoSuchEntity", 404, "The %s with name %.*s cannot be found.", of->type, WM_ARG(name));
}

enum wm_status iam_taken(struct wm_call *c, struct wm_reply *r, const struct iam_entity *of, struct wm_view name)
{
    return wm_reply_error(c, r, "EntityAlreadyExists", 409, "%s with name %.*s already exists.", of->title,
                          WM_ARG(name));
}

enum wm_status iam_over_quota(struct wm_call *c, struct wm_reply *r, const char *quota, size_t most)
{
    return wm_reply_error(c, r, "LimitExceeded", 409, "Cannot exceed quota for %s: %zu", quota, most);
}

enum wm_status iam_in_use(struct wm_call *c, struct wm_reply *r, const char *what)
{
    return wm_reply_error(c, r, "DeleteConflict", 409, "Cannot delete entity, must %s.", what);
}

enum wm_status iam_check_policies_gone(struct wm_call *c, struct wm_reply *r, const struct wm_json *stored)
{
    if (wm_json_get(stored, "Attached")->count)
        return iam_in_use(c, r, "detach all policies first");
    if (wm_json_get(stored, "Policies")->count)
        return iam_in_use(c, r, "delete policies first");
    return WM_OK;
}

/* ---- documents ---- */

enum wm_status iam_id_of(struct wm_call *c, const struct iam_entity *of, struct wm_view name, struct wm_view *out)
{
    struct wm_view id = wm_iam_id(c->arena, name), document;
    struct wm_json *entry = NULL;
    *out = WM_EMPTY;
    if (!wm_state_get(c->state, wm_view_of(of->names ? of->names : of->kind), id, &document))
        return wm_arena_status(c->arena);
    if (!of->names) {
        *out = id;
        return WM_OK;
    }
    enum wm_status status = wm_json_parse(c->arena, document, &entry, NULL);
    *out = wm_json_get_text(entry, of->id);
    return status == WM_E_NOMEM ? status : out->len ? WM_OK : WM_E_CORRUPT;
}

static bool is_whole(const struct iam_entity *of, const struct wm_json *stored)
{
    for (const char *const *m = of->members; *m; m++)
        if (!wm_json_get(stored, *m))
            return false;
    return true;
}

enum wm_status iam_read(struct wm_call *c, const struct iam_entity *of, struct wm_view document, struct wm_json **out)
{
    struct wm_json *stored = NULL;
    enum wm_status status = wm_json_parse(c->arena, document, &stored, NULL);
    if (status == WM_E_NOMEM)
        return status;
    if (status != WM_OK || !is_whole(of, stored))
        return WM_E_CORRUPT;
    *out = stored;
    return WM_OK;
}

enum wm_status iam_get(struct wm_call *c, const struct iam_entity *of, struct wm_view name, struct wm_json **out)
{
    struct wm_view id, document;
    *out = NULL;
    enum wm_status status = iam_id_of(c, of, name, &id);
    if (status != WM_OK || id.len == 0)
        return status;
    if (!wm_state_get(c->state, wm_view_of(of->kind), id, &document))
        return WM_E_CORRUPT; /* both change in one entry of the journal */
    return iam_read(c, of, document, out);
}

enum wm_status iam_find(struct wm_call *c, struct wm_reply *r, const struct iam_entity *of, struct wm_view name,
                        struct wm_json **out)
{
    enum wm_status status = iam_get(c, of, name, out);
    return status != WM_OK || *out ? status : iam_not_found(c, r, of, name);
}

enum wm_status iam_find_named(struct wm_call *c, struct wm_reply *r, const struct iam_entity *of, struct wm_json **out)
{
    return iam_find(c, r, of, wm_json_get_text(c->params, of->name), out);
}

void iam_rename(struct wm_call *c, const struct iam_entity *of, struct wm_json *stored, struct wm_view name,
                struct wm_view path)
{
    if (name.len)
        wm_json_get(stored, of->name)->text = name;
    if (path.len)
        wm_json_get(stored, "Path")->text = path;
    wm_json_get(stored, "Arn")->text =
        iam_arn(c, of->type, wm_json_get_text(stored, "Path"), wm_json_get_text(stored, of->name));
}

enum wm_status iam_new(struct wm_call *c, struct wm_reply *r, const struct iam_entity *of, struct wm_json **out)
{
    struct wm_view name = wm_json_get_text(c->params, of->name), path = wm_json_get_text(c->params, "Path");
    struct wm_view taken;
    char id[WM_IAM_ID_BYTES];
    *out = NULL;
    enum wm_status status = iam_id_of(c, of, name, &taken);
    if (status != WM_OK || taken.len)
        return taken.len ? iam_taken(c, r, of, name) : status;
    if (wm_state_count(c->state, wm_view_of(of->kind)) >= of->most)
        return iam_over_quota(c, r, of->quota, of->most);
    if (path.len == 0)
        path = WM_LIT("/");
    wm_iam_new_id(of->id_prefix, id, sizeof id);
    struct wm_json *stored = wm_json_new(c->arena, WM_JSON_OBJECT);
    wm_json_set_string(c->arena, stored, "Path", path);
    wm_json_set_string(c->arena, stored, of->name, name);
    wm_json_set_string(c->arena, stored, of->id, wm_view_of(id));
    wm_json_set_string(c->arena, stored, "Arn", iam_arn(c, of->type, path, name));
    iam_set_now(c, stored, "CreateDate");
    *out = stored;
    return wm_arena_status(c->arena);
}

enum wm_status iam_keep_as(struct wm_call *c, struct wm_reply *r, const char *kind, struct wm_view id,
                           const struct wm_json *document, const char *entity)
{
    enum wm_status status = wm_reply_keep(c, r, wm_view_of(kind), id, document);
    if (status != WM_E_LIMIT)
        return status;
    return wm_reply_error(c, r, "LimitExceeded", 409, "The %s takes more than %u bytes; shorten its policies or tags",
                          entity, WM_MAX_DOCUMENT_BYTES);
}

enum wm_status iam_keep(struct wm_call *c, struct wm_reply *r, const struct iam_entity *of,
                        const struct wm_json *stored)
{
    struct wm_view id = wm_json_get_text(stored, of->names ? of->id : of->name);
    return iam_keep_as(c, r, of->kind, of->names ? id : wm_iam_id(c->arena, id), stored, of->type);
}

void iam_remove(struct wm_reply *r, const char *kind, struct wm_view id)
{
    wm_reply_change(r, wm_view_of(kind), id, WM_EMPTY);
}

/* ---- who is meant ---- */

enum wm_status iam_whose(struct wm_call *c, struct wm_reply *r, struct iam_whose *out)
{
    *out = (struct iam_whose){.user_name = wm_json_get_text(c->params, "UserName")};
    if (out->user_name.len)
        return WM_OK;
    if (c->identity.type == WM_IDENTITY_USER)
        out->user_name = c->identity.user_name;
    else if (c->identity.type == WM_IDENTITY_ROOT)
        out->root = true;
    else
        return wm_reply_error(c, r, "ValidationError", 400,
                              "Must specify userName when calling with non-User credentials");
    return WM_OK;
}
