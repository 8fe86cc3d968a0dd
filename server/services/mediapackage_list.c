/*
 * Lists of MediaPackage's resources, in the order of ids.
 */
#include "server/services/mediapackage_int.h"
#include "waymark/page.h"

#include "waymark/banned.h"

static enum wm_status show(struct wm_call *c, const void *arg, struct wm_view document, struct wm_json **out)
{
    const struct mediapackage_listing *l = arg;
    struct wm_json *stored = NULL;
    enum wm_status status = mediapackage_read(c, l->of, document, &stored);
    if (status != WM_OK || (l->of->gone && l->of->gone(c, stored)) || (l->wanted && !l->wanted(c, stored)))
        return status;
    *out = l->of->show(c, stored);
    return WM_OK;
}

enum wm_status mediapackage_list(struct wm_call *c, struct wm_reply *r, const struct mediapackage_listing *l)
{
    const struct wm_json *max = wm_json_get(c->params, "maxResults");
    int64_t n = MEDIAPACKAGE_MAX_RESULTS;
    if (max && wm_json_to_i64(max, 1, MEDIAPACKAGE_MAX_RESULTS, &n) != WM_OK)
        return WM_E_INVALID; /* the table lets none other through */
    struct wm_json *document = wm_json_new(c->arena, WM_JSON_OBJECT);
    struct wm_view of = wm_arena_printf(c->arena, "mediapackage-%s", l->of->list);
    struct wm_page page = {
        .of = of.ptr,
        .max = (size_t)n,
        .list = wm_json_set_array(c->arena, document, l->of->list),
    };
    enum wm_status status = wm_page_begin(c, &page, wm_json_get_text(c->params, "nextToken"));
    if (status == WM_E_INVALID)
        return mediapackage_unprocessable(c, r, WM_LIT("Member 'nextToken' is not a token that an earlier page gave"));
    const struct wm_page_source from = {
        .kind = l->of->kind, .index = l->index, .prefix = l->prefix, .show = show, .arg = l};
    if (status == WM_OK)
        status = wm_page_documents(c, &page, &from);
    if (status != WM_OK)
        return status;
    if (page.more)
        wm_json_set_string(c->arena, document, "nextToken", wm_page_token(c, &page));
    r->document = document;
    return wm_arena_status(c->arena);
}
