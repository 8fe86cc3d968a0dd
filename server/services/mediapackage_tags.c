/*
 * Tags of MediaPackage's resources, which these operations name by ARN.
 *
 * User Guide, "Tagging": at most 50, keys of 1 to 128 and values of up to 256 characters, case-sensitive, no key that
 * begins with aws:. None of the three operations has an error in its model; theirs are those of the other operations.
 */
#include "server/services/mediapackage_int.h"

#include "waymark/banned.h"

static bool starts_with_aws(struct wm_view key)
{
    return key.len >= 4 && wm_view_ieq_str(wm_view_sub(key, 0, 4), "aws:");
}

/* The allowed characters are all of one byte, so bytes are characters. */
struct wm_view mediapackage_wrong_tags(struct wm_arena *a, const struct wm_json *tags)
{
    static const char others[] = " _.:/=+-@";
    if (!tags)
        return WM_EMPTY;
    if (tags->count > WM_MAX_RESOURCE_TAGS)
        return wm_arena_printf(a, "A resource has at most %u tags; these would be %zu", WM_MAX_RESOURCE_TAGS,
                               tags->count);
    for (const struct wm_json *t = tags->first; t; t = t->next) {
        if (t->key.len < 1 || t->key.len > 128)
            return WM_LIT("A tag's key must have 1 to 128 characters");
        if (!wm_text_only(t->key, others) || !wm_text_only(t->text, others))
            return wm_arena_printf(a, "Tag '%.*s': key and value may have letters, digits, blanks and %s only",
                                   WM_ARG(t->key), others + 1);
        if (starts_with_aws(t->key))
            return wm_arena_printf(a, "Tag '%.*s': keys that begin with aws: are reserved", WM_ARG(t->key));
        if (t->text.len > 256)
            return wm_arena_printf(a, "Tag '%.*s': the value must have at most 256 characters", WM_ARG(t->key));
    }
    return WM_EMPTY;
}

void mediapackage_set_tags(struct wm_call *c, struct wm_json *stored)
{
    const struct wm_json *tags = wm_json_get(c->params, "tags");
    wm_json_set(stored, "tags", tags ? wm_json_clone(c->arena, tags) : wm_json_new(c->arena, WM_JSON_OBJECT));
}

/* ---- the resource of an ARN ---- */

#define SEARCH_MAGIC 0x61726e3fu

struct search {
    unsigned magic;
    struct wm_call *call;
    const struct mediapackage_resource *of;
    struct wm_view arn;
    struct wm_view id;      /* of what was found */
    struct wm_json *stored; /* what was found */
    enum wm_status status;
};

/* The GUID in an ARN is in no index, since there are few resources: documents that have the ARN anywhere are read. */
static bool search_document(void *arg, struct wm_view id, struct wm_view document)
{
    struct search *s = arg;
    struct wm_json *stored = NULL;
    WM_ASSERT(s && s->magic == SEARCH_MAGIC);
    if (!memmem(document.ptr, document.len, s->arn.ptr, s->arn.len))
        return true;
    s->status = mediapackage_read(s->call, s->of, document, &stored);
    if (s->status != WM_OK)
        return false;
    if (!wm_view_eq(wm_json_get_text(stored, "arn"), s->arn))
        return true;
    s->stored = stored;
    s->id = wm_arena_copy(s->call->arena, id);
    return false;
}

/* A harvest job's ARN has its id. */
static void search_job(struct search *s, struct wm_view key)
{
    struct wm_json *stored = NULL;
    s->status = mediapackage_get(s->call, s->of, key, &stored);
    if (s->status != WM_OK || !stored || !wm_view_eq(wm_json_get_text(stored, "arn"), s->arn))
        return;
    s->stored = stored;
    s->id = key;
}

/* s->stored is NULL when the ARN is of no resource, or is none. */
static enum wm_status search_arn(struct wm_call *c, struct search *s)
{
    static const struct mediapackage_resource *const resources[] = {
        &mediapackage_channel, &mediapackage_origin_endpoint, &mediapackage_harvest_job};
    struct wm_view arn = wm_json_get_text(c->params, "resource-arn"), key = arn;
    for (int i = 0; i < 5; i++)
        (void)wm_view_split(&key, ':'); /* the whole is compared with the resource's own ARN */
    struct wm_view path = wm_view_split(&key, '/');
    *s = (struct search){.magic = SEARCH_MAGIC, .call = c, .arn = arn};
    for (size_t i = 0; i < sizeof resources / sizeof resources[0]; i++)
        if (wm_view_eq_str(path, resources[i]->path))
            s->of = resources[i];
    if (!s->of || key.len == 0)
        return WM_OK;
    if (s->of == &mediapackage_harvest_job)
        search_job(s, key);
    else
        wm_state_each(c->state, s->of->kind, WM_EMPTY, search_document, s);
    return s->status;
}

enum wm_status mediapackage_find_arn(struct wm_call *c, struct wm_json **out)
{
    struct search s;
    enum wm_status status = search_arn(c, &s);
    *out = s.stored;
    return status;
}

/* The tags of the resource, as they are stored; NULL: the reply is made. */
static struct wm_json *find_tags(struct wm_call *c, struct wm_reply *r, struct search *s, enum wm_status *out_status)
{
    *out_status = search_arn(c, s);
    if (s->stored)
        return wm_json_get(s->stored, "tags");
    if (*out_status == WM_OK)
        *out_status = wm_reply_error(c, r, "NotFoundException", 404, "There is no resource with the ARN '%.*s'",
                                     WM_ARG(wm_view_sub(s->arn, 0, 512)));
    return NULL;
}

/* ---- operations ---- */

enum wm_status mediapackage_list_tags(struct wm_call *c, struct wm_reply *r)
{
    struct search s;
    enum wm_status status;
    struct wm_json *tags = find_tags(c, r, &s, &status);
    if (!tags)
        return status;
    r->document = wm_json_new(c->arena, WM_JSON_OBJECT);
    wm_json_set(r->document, "tags", wm_json_remove(s.stored, "tags"));
    return wm_arena_status(c->arena);
}

/* Adds tags, and gives new values to those that are there. */
enum wm_status mediapackage_tag_resource(struct wm_call *c, struct wm_reply *r)
{
    struct search s;
    enum wm_status status;
    struct wm_json *tags = find_tags(c, r, &s, &status);
    if (!tags)
        return status;
    for (const struct wm_json *t = wm_json_get(c->params, "tags")->first; t; t = t->next) {
        struct wm_json *there = wm_json_get_view(tags, t->key);
        if (there)
            there->text = t->text;
        else
            wm_json_set_view(tags, t->key, wm_json_clone(c->arena, t));
    }
    struct wm_view wrong = mediapackage_wrong_tags(c->arena, tags);
    if (wrong.len)
        return mediapackage_unprocessable(c, r, wrong);
    return mediapackage_keep(c, r, s.of, s.id, s.stored);
}

static bool is_named(const struct wm_json *names, struct wm_view key)
{
    for (const struct wm_json *n = names->first; n; n = n->next)
        if (wm_view_eq(n->text, key))
            return true;
    return false;
}

/* Keys that the resource does not have are passed over, so that the call can be repeated [undocumented]. */
enum wm_status mediapackage_untag_resource(struct wm_call *c, struct wm_reply *r)
{
    struct search s;
    enum wm_status status;
    const struct wm_json *names = wm_json_get(c->params, "tagKeys");
    if (!find_tags(c, r, &s, &status))
        return status;
    struct wm_json *before = wm_json_remove(s.stored, "tags");
    struct wm_json *after = wm_json_set_object(c->arena, s.stored, "tags");
    for (const struct wm_json *t = before->first; t; t = t->next)
        if (!is_named(names, t->key))
            wm_json_set_view(after, t->key, wm_json_clone(c->arena, t));
    return mediapackage_keep(c, r, s.of, s.id, s.stored);
}

const struct wm_member mediapackage_arn_input[] = {
    MEDIAPACKAGE_ARN_LABEL,
    {0},
};

const struct wm_member mediapackage_tag_input[] = {
    MEDIAPACKAGE_ARN_LABEL,
    {.name = "tags", .type = WM_MEMBER_STRING_MAP, .required = true},
    {0},
};

const struct wm_member mediapackage_untag_input[] = {
    MEDIAPACKAGE_ARN_LABEL,
    {.name = "tagKeys", .type = WM_MEMBER_STRING_LIST, .place = WM_IN_QUERY, .required = true},
    {0},
};
