/*
 * What all of MediaPackage's resources have in common: ids and ARNs, documents, and how a call on them is refused.
 */
#include "server/services/mediapackage_int.h"
#include "waymark/hash.h"
#include "waymark/trail_name.h"

#include "waymark/banned.h"

/* ids are short; longer text in a message is cut to this. */
static struct wm_view shown(struct wm_view text)
{
    return wm_view_sub(text, 0, MEDIAPACKAGE_MAX_ID);
}

/* ---- forms ---- */

static bool is_id(struct wm_view text)
{
    return wm_text_only(text, "_-");
}

const struct wm_text_form mediapackage_id_form = {is_id,
                                                  "may have letters, digits, underscores and hyphens only"};

/* The account is not held against ours: roles and secrets may be another's. */
bool mediapackage_is_arn(struct wm_view text, const char *service, const char *resource)
{
    struct wm_view rest = text;
    struct wm_view scheme = wm_view_split(&rest, ':'), partition = wm_view_split(&rest, ':');
    struct wm_view of = wm_view_split(&rest, ':'), region = wm_view_split(&rest, ':');
    struct wm_view account = wm_view_split(&rest, ':');
    uint64_t number;
    return wm_view_eq_str(scheme, "arn") && wm_view_starts(partition, "aws") && wm_view_eq_str(of, service) &&
           wm_text_only(region, "-") && account.len == 12 &&
           wm_view_to_u64(account, 999999999999, &number) == WM_OK && wm_view_starts(rest, resource) &&
           rest.len > strlen(resource);
}

static bool is_role(struct wm_view text)
{
    return mediapackage_is_arn(text, "iam", "role/");
}

const struct wm_text_form mediapackage_role_form = {
    is_role, "must be the ARN of an IAM role, such as arn:aws:iam::111122223333:role/NAME"};

int64_t mediapackage_number(const struct wm_json *object, const char *name)
{
    const struct wm_json *n = wm_json_get(object, name);
    int64_t value = 0;
    if (n && wm_json_to_i64(n, 0, INT32_MAX, &value) != WM_OK)
        return 0; /* the tables let none other through */
    return value;
}

/* ---- refusals ---- */

enum wm_status mediapackage_unprocessable(struct wm_call *c, struct wm_reply *r, struct wm_view what)
{
    return wm_reply_error(c, r, "UnprocessableEntityException", 422, "%.*s", WM_ARG(what));
}

enum wm_status mediapackage_not_found(struct wm_call *c, struct wm_reply *r, const struct mediapackage_resource *of,
                                      struct wm_view id)
{
    return wm_reply_error(c, r, "NotFoundException", 404, "There is no %s with id '%.*s'", of->name, WM_ARG(shown(id)));
}

enum wm_status mediapackage_taken(struct wm_call *c, struct wm_reply *r, const struct mediapackage_resource *of,
                                  struct wm_view id)
{
    return wm_reply_error(c, r, "UnprocessableEntityException", 422, "Id '%.*s' exists already, as that of another %s",
                          WM_ARG(shown(id)), of->name);
}

enum wm_status mediapackage_over_quota(struct wm_call *c, struct wm_reply *r, struct wm_view what)
{
    return wm_reply_error(c, r, "TooManyRequestsException", 429,
                          "Too many requests, please try again. Resource limit exceeded: %.*s", WM_ARG(what));
}

/* ---- birth ---- */

struct wm_view mediapackage_random_hex(struct wm_arena *a, size_t digits)
{
    uint8_t bytes[MEDIAPACKAGE_GUID_HEX / 2];
    WM_ASSERT(digits <= 2 * sizeof bytes);
    char *hex = wm_arena_alloc(a, digits);
    if (!hex)
        return WM_EMPTY;
    wm_random(bytes, digits / 2);
    wm_hex(bytes, digits / 2, hex);
    return (struct wm_view){hex, digits};
}

struct wm_view mediapackage_time(struct wm_arena *a, struct wm_wall_ns t)
{
    char text[WM_TIME_ISO_BYTES];
    wm_time_iso(t, text);
    return wm_arena_copy(a, wm_view_of(text));
}

struct wm_view mediapackage_arn(struct wm_call *c, const struct mediapackage_resource *of, struct wm_view key)
{
    struct wm_view region = c->env->region;
    return wm_arena_printf(c->arena, "arn:%s:mediapackage:%.*s:%.*s:%s/%.*s", wm_arn_partition(region), WM_ARG(region),
                           WM_ARG(c->env->account_id), of->path, WM_ARG(key));
}

struct wm_view mediapackage_set_birth(struct wm_call *c, const struct mediapackage_resource *of, struct wm_json *stored)
{
    struct wm_view guid = mediapackage_random_hex(c->arena, MEDIAPACKAGE_GUID_HEX);
    wm_json_set_string(c->arena, stored, "arn", mediapackage_arn(c, of, guid));
    wm_json_set_string(c->arena, stored, "createdAt", mediapackage_time(c->arena, c->now));
    return guid;
}

/* ---- documents ---- */

enum wm_status mediapackage_read(struct wm_call *c, const struct mediapackage_resource *of, struct wm_view document,
                                 struct wm_json **out)
{
    struct wm_json *stored = NULL;
    enum wm_status status = wm_json_parse(c->arena, document, &stored, NULL);
    if (status == WM_E_NOMEM)
        return status;
    for (const char *const *m = of->members; status == WM_OK && *m; m++)
        if (!wm_json_get(stored, *m))
            status = WM_E_CORRUPT;
    if (status != WM_OK)
        return WM_E_CORRUPT;
    *out = stored;
    return WM_OK;
}

enum wm_status mediapackage_get(struct wm_call *c, const struct mediapackage_resource *of, struct wm_view id,
                                struct wm_json **out)
{
    struct wm_view document;
    struct wm_json *stored = NULL;
    *out = NULL;
    if (!wm_state_get(c->state, of->kind, id, &document))
        return WM_OK;
    enum wm_status status = mediapackage_read(c, of, document, &stored);
    if (status == WM_OK && !(of->gone && of->gone(c, stored)))
        *out = stored;
    return status;
}

enum wm_status mediapackage_find(struct wm_call *c, struct wm_reply *r, const struct mediapackage_resource *of,
                                 struct wm_view id, struct wm_json **out)
{
    enum wm_status status = mediapackage_get(c, of, id, out);
    return status != WM_OK || *out ? status : mediapackage_not_found(c, r, of, id);
}

enum wm_status mediapackage_keep(struct wm_call *c, struct wm_reply *r, const struct mediapackage_resource *of,
                                 struct wm_view id, const struct wm_json *stored)
{
    enum wm_status status = wm_reply_keep(c, r, of->kind, id, stored);
    if (status != WM_E_LIMIT)
        return status;
    return wm_reply_error(c, r, "UnprocessableEntityException", 422,
                          "The %s takes more than %u bytes; shorten its texts, such as its description", of->name,
                          WM_MAX_DOCUMENT_BYTES);
}

enum wm_status mediapackage_put(struct wm_call *c, struct wm_reply *r, const struct mediapackage_resource *of,
                                struct wm_view id, struct wm_json *stored)
{
    enum wm_status status = mediapackage_keep(c, r, of, id, stored);
    if (status != WM_OK || r->error_code)
        return status;
    r->document = of->show(c, stored);
    return wm_arena_status(c->arena);
}

enum wm_status mediapackage_describe(struct wm_call *c, struct wm_reply *r, const struct mediapackage_resource *of)
{
    struct wm_json *stored = NULL;
    enum wm_status status = mediapackage_find(c, r, of, wm_json_get_text(c->params, "id"), &stored);
    if (!stored)
        return status;
    r->document = of->show(c, stored);
    return wm_arena_status(c->arena);
}
