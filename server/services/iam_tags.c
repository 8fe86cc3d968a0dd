/*
 * Tags of IAM's entities. IAM User Guide, "Tags for IAM resources": at most 50, keys that differ by more than case, none
 * that begins with aws:. Tagging with a key that is there in another spelling replaces it, and its spelling.
 */
#include "server/services/iam_int.h"

#include "waymark/banned.h"

/* \p{L}, \p{Z} and \p{N} beyond ASCII are not told from other characters: we have no tables of them. */
static bool has_tag_letters(struct wm_view text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < 0x80 && !wm_text_only(wm_view_sub(text, i, i + 1), " _.:/=+-@"))
            return false;
    return true;
}

static bool is_tag_key(struct wm_view text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++)
        n += ((unsigned char)text.ptr[i] & 0xc0) != 0x80; /* all but continuation bytes, RFC 3629 section 3 */
    return n >= 1 && n <= IAM_MAX_TAG_KEY && has_tag_letters(text);
}

const struct wm_text_form iam_tag_key_form = {is_tag_key,
                                              "must have 1 to 128 letters, digits, blanks and _.:/=+-@ only"};
static const struct wm_text_form value_form = {has_tag_letters, "may have letters, digits, blanks and _.:/=+-@ only"};

const struct wm_member iam_tag_fields[] = {
    {.name = "Key", .type = WM_MEMBER_STRING, .required = true, .form = &iam_tag_key_form},
    {.name = "Value", .type = WM_MEMBER_STRING, .required = true, .max = IAM_MAX_TAG_VALUE, .form = &value_form},
    {0},
};

static bool starts_with_aws(struct wm_view key)
{
    return key.len >= 4 && wm_view_ieq_str(wm_view_sub(key, 0, 4), "aws:");
}

enum wm_status iam_tag(struct wm_call *c, struct wm_reply *r, struct wm_json *stored)
{
    const struct wm_json *given = wm_json_get(c->params, "Tags");
    struct wm_json *tags = wm_json_get(stored, "Tags");
    for (const struct wm_json *t = given ? given->first : NULL; t; t = t->next) {
        struct wm_view key = wm_json_get_text(t, "Key");
        if (starts_with_aws(key))
            return wm_reply_error(c, r, "InvalidInput", 400,
                                  "aws: prefixed tag key names are not allowed for external use.");
        iam_drop(tags, "Key", key);
    }
    size_t others = tags->count;
    for (const struct wm_json *t = given ? given->first : NULL; t; t = t->next) {
        iam_drop(tags, "Key", wm_json_get_text(t, "Key"));
        wm_json_push(tags, wm_json_clone(c->arena, t));
    }
    if (given && tags->count != others + given->count) {
        if (wm_arena_status(c->arena) != WM_OK)
            return WM_E_NOMEM;
        return wm_reply_error(c, r, "InvalidInput", 400,
                              "Duplicate tag keys found. Please note that Tag keys are case insensitive.");
    }
    if (tags->count > WM_MAX_IAM_TAGS)
        return wm_reply_error(c, r, "LimitExceeded", 409, "The number of tags has reached the maximum limit: %u",
                              WM_MAX_IAM_TAGS);
    return wm_arena_status(c->arena);
}

enum wm_status iam_set_tags(struct wm_call *c, struct wm_reply *r, struct wm_json *stored)
{
    wm_json_set_array(c->arena, stored, "Tags");
    enum wm_status status = wm_arena_status(c->arena);
    return status == WM_OK ? iam_tag(c, r, stored) : status;
}

void iam_untag(struct wm_call *c, struct wm_json *stored)
{
    for (const struct wm_json *key = wm_json_get(c->params, "TagKeys")->first; key; key = key->next)
        iam_drop(wm_json_get(stored, "Tags"), "Key", key->text);
}

void iam_show_tags(struct wm_call *c, struct wm_json *shown, const struct wm_json *stored)
{
    const struct wm_json *tags = wm_json_get(stored, "Tags");
    if (tags && tags->count)
        wm_json_set(shown, "Tags", wm_json_clone(c->arena, tags));
}

enum wm_status iam_tag_owner(struct wm_call *c, struct wm_reply *r)
{
    const struct iam_entity *of = iam_owner(c);
    struct wm_json *stored;
    enum wm_status status = iam_find_named(c, r, of, &stored);
    if (stored)
        status = iam_tag(c, r, stored);
    return stored && status == WM_OK && !r->error_code ? iam_keep(c, r, of, stored) : status;
}

enum wm_status iam_untag_owner(struct wm_call *c, struct wm_reply *r)
{
    const struct iam_entity *of = iam_owner(c);
    struct wm_json *stored;
    enum wm_status status = iam_find_named(c, r, of, &stored);
    if (!stored)
        return status;
    iam_untag(c, stored);
    return iam_keep(c, r, of, stored);
}

enum wm_status iam_list_owner_tags(struct wm_call *c, struct wm_reply *r)
{
    struct wm_json *stored;
    enum wm_status status = iam_find_named(c, r, iam_owner(c), &stored);
    return stored ? iam_list_elements(c, r, "Tags", wm_json_get(stored, "Tags"), "Key", NULL) : status;
}
