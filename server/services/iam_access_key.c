/*
 * Access keys of users: two each, made here and shown once. The secret is in no document (waymark/iam.h), so that what is
 * lost is lost: the caller makes another key.
 *
 * Root's own key is in a file of the data folder (waymark/auth.h) and not in the state. Root sees it in its list; what
 * would change it is refused, and says where it is.
 */
#include "server/services/iam_int.h"
#include "waymark/hash.h"

#include "waymark/banned.h"

/* None of the modelled errors is for what cannot be changed here; IAM has this one for roles that belong to a service. */
static enum wm_status refuse_root(struct wm_call *c, struct wm_reply *r)
{
    return wm_reply_error(c, r, "UnmodifiableEntity", 400,
                          "The access key of root is in the file 'credentials' of the data folder: to get another one, "
                          "remove that file and start the server again. To mean a user's key, give UserName");
}

static enum wm_status no_such_key(struct wm_call *c, struct wm_reply *r, struct wm_view id)
{
    return wm_reply_error(c, r, "NoSuchEntity", 404, "The Access Key with id %.*s cannot be found.", WM_ARG(id));
}

/* The key's document. WM_E_CORRUPT: a user's document names it, and it is not there. */
static enum wm_status read_key(struct wm_call *c, struct wm_view id, struct wm_json **out)
{
    struct wm_json *key = NULL;
    *out = NULL;
    enum wm_status status = wm_iam_get(c->state, c->arena, WM_IAM_ACCESS_KEY, id, &key);
    if (status == WM_OK && (!wm_json_get(key, "UserName") || !wm_json_get(key, "Status")))
        return WM_E_CORRUPT;
    *out = key;
    return status;
}

/* The user whom the parameters, or the caller, name. Where there is none, the reply is made, and *out is NULL. */
static enum wm_status find_owner(struct wm_call *c, struct wm_reply *r, struct wm_json **out)
{
    struct iam_whose whose;
    *out = NULL;
    enum wm_status status = iam_whose(c, r, &whose);
    if (status != WM_OK || r->error_code)
        return status;
    return whose.root ? refuse_root(c, r) : iam_find(c, r, &iam_user, whose.user_name, out);
}

/* The owner and its key that parameter AccessKeyId names. Where one is missing, the reply is made, and *out_key is NULL. */
static enum wm_status find_key(struct wm_call *c, struct wm_reply *r, struct wm_json **out_user,
                               struct wm_json **out_key)
{
    struct wm_view id = wm_json_get_text(c->params, "AccessKeyId");
    *out_key = NULL;
    enum wm_status status = find_owner(c, r, out_user);
    if (!*out_user)
        return status;
    if (!iam_has(wm_json_get(*out_user, "AccessKeys"), id))
        return no_such_key(c, r, id);
    return read_key(c, id, out_key);
}

static enum wm_status keep_key(struct wm_call *c, struct wm_reply *r, const struct wm_json *key)
{
    return iam_keep_as(c, r, WM_IAM_ACCESS_KEY, wm_json_get_text(key, "AccessKeyId"), key, "access key");
}

enum wm_status iam_move_access_keys(struct wm_call *c, struct wm_reply *r, const struct wm_json *stored)
{
    enum wm_status status = WM_OK;
    for (const struct wm_json *id = wm_json_get(stored, "AccessKeys")->first; id && status == WM_OK; id = id->next) {
        struct wm_json *key = NULL;
        status = read_key(c, id->text, &key);
        if (status != WM_OK)
            return status;
        wm_json_get(key, "UserName")->text = wm_json_get_text(stored, "UserName");
        status = keep_key(c, r, key);
    }
    return status;
}

/* ---- create, list ---- */

static struct wm_json *new_key(struct wm_call *c, const struct wm_json *user)
{
    char id[WM_IAM_KEY_ID_BYTES], seed[WM_IAM_SEED_BYTES];
    wm_iam_new_id(WM_IAM_KEY_PREFIX, id, sizeof id);
    wm_iam_new_seed(seed);
    struct wm_json *key = wm_json_new(c->arena, WM_JSON_OBJECT);
    wm_json_set_string(c->arena, key, "UserName", wm_json_get_text(user, "UserName"));
    wm_json_set_string(c->arena, key, "AccessKeyId", wm_view_of(id));
    wm_json_set_string(c->arena, key, "Status", WM_LIT("Active"));
    iam_set_now(c, key, "CreateDate");
    wm_json_set_string(c->arena, key, "UserId", wm_json_get_text(user, "UserId"));
    wm_json_set_string(c->arena, key, "Seed", wm_view_of(seed));
    return key;
}

static struct wm_json *show_key(struct wm_call *c, const struct wm_json *key)
{
    static const char *const shown[] = {"UserName", "AccessKeyId", "Status", "CreateDate", NULL};
    return iam_pick(c, key, shown);
}

enum wm_status iam_create_access_key(struct wm_call *c, struct wm_reply *r)
{
    struct wm_json *user;
    enum wm_status status = find_owner(c, r, &user);
    if (!user)
        return status;
    struct wm_json *ids = wm_json_get(user, "AccessKeys");
    if (ids->count >= WM_MAX_ACCESS_KEYS_PER_USER)
        return iam_over_quota(c, r, "AccessKeysPerUser", WM_MAX_ACCESS_KEYS_PER_USER);
    struct wm_json *key = new_key(c, user);
    iam_add(c->arena, ids, wm_json_get_text(key, "AccessKeyId"));
    status = iam_keep(c, r, &iam_user, user);
    if (status == WM_OK && !r->error_code)
        status = keep_key(c, r, key);
    if (status != WM_OK || r->error_code)
        return status;

    char secret[WM_IAM_SECRET_BYTES];
    wm_iam_secret(c->env->master_key, wm_json_get_text(key, "AccessKeyId"), wm_json_get_text(key, "Seed"), secret);
    r->document = wm_json_new(c->arena, WM_JSON_OBJECT);
    struct wm_json *shown = wm_json_set(r->document, "AccessKey", show_key(c, key));
    wm_json_set_string(c->arena, shown, "SecretAccessKey", wm_view_of(secret));
    wm_wipe(secret, sizeof secret);
    return wm_arena_status(c->arena);
}

static enum wm_status show_by_id(struct wm_call *c, const struct wm_json *id, struct wm_json **out)
{
    struct wm_json *key = NULL;
    enum wm_status status = read_key(c, id->text, &key);
    if (status == WM_OK)
        *out = show_key(c, key);
    return status;
}

/* As AWS shows it: root has no UserName. It is the key that the caller uses; a session of root's does not tell it. */
static enum wm_status show_root(struct wm_call *c, const struct wm_json *id, struct wm_json **out)
{
    *out = wm_json_new(c->arena, WM_JSON_OBJECT);
    wm_json_set_string(c->arena, *out, "AccessKeyId", id->text);
    wm_json_set_string(c->arena, *out, "Status", WM_LIT("Active"));
    wm_json_set_time(c->arena, *out, "CreateDate", wm_wall_seconds(c->env->root_since) * 1000);
    return WM_OK;
}

enum wm_status iam_list_access_keys(struct wm_call *c, struct wm_reply *r)
{
    struct iam_whose whose;
    struct wm_json *user;
    enum wm_status status = iam_whose(c, r, &whose);
    if (status != WM_OK || r->error_code)
        return status;
    if (whose.root) {
        struct wm_json *ids = wm_json_new(c->arena, WM_JSON_ARRAY);
        if (!c->identity.session)
            iam_add(c->arena, ids, c->identity.access_key_id);
        return iam_list_elements(c, r, "AccessKeyMetadata", ids, NULL, show_root);
    }
    status = iam_find(c, r, &iam_user, whose.user_name, &user);
    return user ? iam_list_elements(c, r, "AccessKeyMetadata", wm_json_get(user, "AccessKeys"), NULL, show_by_id)
                : status;
}

/* ---- update, delete ---- */

enum wm_status iam_update_access_key(struct wm_call *c, struct wm_reply *r)
{
    struct wm_view wanted = wm_json_get_text(c->params, "Status");
    struct wm_json *user, *key;
    if (wm_view_eq_str(wanted, "Expired")) /* API Reference, UpdateAccessKey: Active or Inactive can be set */
        return wm_reply_error(c, r, "InvalidInput", 400, "A key's status can be set to Active or Inactive");
    enum wm_status status = find_key(c, r, &user, &key);
    if (!key)
        return status;
    (void)wm_json_remove(key, "Status"); /* replaced */
    wm_json_set_string(c->arena, key, "Status", wanted);
    return keep_key(c, r, key);
}

enum wm_status iam_delete_access_key(struct wm_call *c, struct wm_reply *r)
{
    struct wm_json *user, *key;
    enum wm_status status = find_key(c, r, &user, &key);
    if (!key)
        return status;
    struct wm_view id = wm_json_get_text(key, "AccessKeyId");
    iam_drop(wm_json_get(user, "AccessKeys"), NULL, id);
    status = iam_keep(c, r, &iam_user, user);
    if (status != WM_OK || r->error_code)
        return status;
    iam_remove(r, WM_IAM_ACCESS_KEY, id);
    iam_remove(r, WM_IAM_LAST_USED, id); /* if there is one */
    return WM_OK;
}

/* ---- last used ---- */

/* API Reference, "AccessKeyLastUsed": a key that was never used has no date, and N/A for service and region. */
static struct wm_json *last_used(struct wm_call *c, const struct wm_json *used)
{
    static const char *const members[] = {"LastUsedDate", "ServiceName", "Region", NULL};
    struct wm_json *shown = iam_pick(c, used, members);
    for (const char *const *m = members + 1; *m; m++)
        if (!wm_json_get(shown, *m))
            wm_json_set_string(c->arena, shown, *m, WM_LIT("N/A"));
    return shown;
}

/* The model has no error for a key that there is not. It had this one once, which clients still know from other calls. */
enum wm_status iam_get_access_key_last_used(struct wm_call *c, struct wm_reply *r)
{
    struct wm_view id = wm_json_get_text(c->params, "AccessKeyId");
    struct wm_json *key = NULL, *used = NULL;
    bool root = c->identity.type == WM_IDENTITY_ROOT && wm_view_eq(id, c->identity.access_key_id);
    enum wm_status status = wm_iam_get(c->state, c->arena, WM_IAM_ACCESS_KEY, id, &key);
    if (status == WM_OK && !key && !root)
        return no_such_key(c, r, id);
    if (status == WM_OK)
        status = wm_iam_get(c->state, c->arena, WM_IAM_LAST_USED, id, &used);
    if (status != WM_OK)
        return status;
    r->document = wm_json_new(c->arena, WM_JSON_OBJECT);
    if (key)
        wm_json_set_string(c->arena, r->document, "UserName", wm_json_get_text(key, "UserName"));
    wm_json_set(r->document, "AccessKeyLastUsed", last_used(c, used));
    return wm_arena_status(c->arena);
}

/* ---- tables ---- */

static const char *const statuses[] = {"Active", "Inactive", "Expired", NULL};

#define KEY_ID                                                                                                         \
    {.name = "AccessKeyId",                                                                                            \
     .type = WM_MEMBER_STRING,                                                                                         \
     .required = true,                                                                                                 \
     .min = 16,                                                                                                        \
     .max = 128,                                                                                                       \
     .form = &iam_id_form}

const struct wm_member iam_create_access_key_input[] = {IAM_USER_NAME(false), {0}};
const struct wm_member iam_list_access_keys_input[] = {IAM_USER_NAME(false), IAM_PAGE, {0}};
const struct wm_member iam_update_access_key_input[] = {
    IAM_USER_NAME(false),
    KEY_ID,
    {.name = "Status", .type = WM_MEMBER_STRING, .required = true, .values = statuses},
    {0},
};
const struct wm_member iam_delete_access_key_input[] = {IAM_USER_NAME(false), KEY_ID, {0}};
const struct wm_member iam_access_key_input[] = {KEY_ID, {0}};
