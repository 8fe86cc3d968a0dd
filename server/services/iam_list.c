/*
 * Pages of IAM's lists. Every one has IsTruncated, and Marker where there is more.
 */
#include "server/services/iam_policy_int.h"

#include "waymark/banned.h"

enum wm_status iam_page_begin(struct wm_call *c, struct wm_reply *r, struct wm_json *document, const char *list,
                              struct wm_page *out)
{
    const struct wm_json *max = wm_json_get(c->params, "MaxItems");
    int64_t n = IAM_ITEMS;
    if (max && wm_json_to_i64(max, 1, IAM_MAX_ITEMS, &n) != WM_OK)
        return WM_E_INVALID; /* the table lets none other through */
    struct wm_view of = wm_arena_printf(c->arena, "iam-%s", c->operation->name);
    *out = (struct wm_page){
        .of = of.ptr, .max = (size_t)n, .list = wm_json_set_array(c->arena, document, list)};
    enum wm_status status = wm_page_begin(c, out, wm_json_get_text(c->params, "Marker"));
    if (status != WM_E_INVALID)
        return status;
    return wm_reply_error(c, r, "ValidationError", 400, "Member 'Marker' is not one that an earlier page gave");
}

enum wm_status iam_page_end(struct wm_call *c, struct wm_reply *r, struct wm_json *document, const struct wm_page *page)
{
    wm_json_set_bool(c->arena, document, "IsTruncated", page->more);
    if (page->more)
        wm_json_set_string(c->arena, document, "Marker", wm_page_token(c, page));
    r->document = document;
    return wm_arena_status(c->arena);
}

enum wm_status iam_list(struct wm_call *c, struct wm_reply *r, struct wm_json *document, const char *list,
                        const struct wm_page_source *from)
{
    struct wm_json *answer = document ? document : wm_json_new(c->arena, WM_JSON_OBJECT);
    struct wm_page page;
    enum wm_status status = iam_page_begin(c, r, answer, list, &page);
    if (status == WM_OK && !r->error_code)
        status = wm_page_documents(c, &page, from);
    return status == WM_OK && !r->error_code ? iam_page_end(c, r, answer, &page) : status;
}

enum wm_status iam_list_elements(struct wm_call *c, struct wm_reply *r, const char *list, const struct wm_json *elements,
                                 const char *name,
                                 enum wm_status (*show)(struct wm_call *c, const struct wm_json *element,
                                                        struct wm_json **out))
{
    struct wm_json *answer = wm_json_new(c->arena, WM_JSON_OBJECT);
    struct wm_page page;
    enum wm_status status = iam_page_begin(c, r, answer, list, &page);
    if (status == WM_OK && !r->error_code)
        status = wm_page_elements(c, &page, elements, name, show);
    return status == WM_OK && !r->error_code ? iam_page_end(c, r, answer, &page) : status;
}

bool iam_below_prefix(struct wm_call *c, const struct wm_json *stored)
{
    struct wm_view prefix = wm_json_get_text(c->params, "PathPrefix"), path = wm_json_get_text(stored, "Path");
    return wm_view_eq(wm_view_sub(path, 0, prefix.len), prefix);
}

/* ---- several kinds, one after the other: a position is the number of the part and the id in it ---- */

static enum wm_status list_part(struct wm_call *c, const struct iam_part *part, size_t number, struct wm_json *answer,
                                struct wm_page *all, struct wm_view after, size_t *left)
{
    struct wm_json *list = wm_json_get(answer, part->list);
    struct wm_page page = {.of = all->of, .after = after, .last = after, .bytes = all->bytes};
    page.list = list ? list : wm_json_set_array(c->arena, answer, part->list);
    if (!page.list)
        return WM_E_NOMEM;
    if (!part->wanted)
        return WM_OK;
    size_t before = page.list->count;
    page.max = before + *left;
    enum wm_status status =
        part->aws ? iam_list_aws(c, &page, &part->from) : wm_page_documents(c, &page, &part->from);
    *left -= page.list->count - before;
    all->bytes = page.bytes;
    all->more = page.more;
    if (page.more)
        all->last = wm_arena_printf(c->arena, "%zu%.*s", number, WM_ARG(page.last));
    return status;
}

enum wm_status iam_list_parts(struct wm_call *c, struct wm_reply *r, const struct iam_part *parts, size_t n)
{
    struct wm_json *answer = wm_json_new(c->arena, WM_JSON_OBJECT);
    struct wm_page page;
    enum wm_status status = iam_page_begin(c, r, answer, parts[0].list, &page);
    if (status != WM_OK || r->error_code)
        return status;
    size_t left = page.max, first = page.after.len ? (size_t)(page.after.ptr[0] - '0') : 0;
    WM_ASSERT(first < n && n < 10); /* a token is this operation's own */
    for (size_t i = 0; i < n && status == WM_OK; i++) {
        struct iam_part part = parts[i];
        part.wanted = part.wanted && i >= first && !page.more;
        struct wm_view after = i == first ? wm_view_sub(page.after, 1, page.after.len) : WM_EMPTY;
        bool more = page.more;
        status = list_part(c, &part, i, answer, &page, after, &left);
        page.more = page.more || more;
    }
    return status == WM_OK ? iam_page_end(c, r, answer, &page) : status;
}
