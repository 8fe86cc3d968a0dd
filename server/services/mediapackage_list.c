/*
 * Pages of MediaPackage's lists, in the order of ids.
 *
 * A token is the last id looked at, behind a checksum under the master key, in hex: a position by id stays right when
 * resources come and go between two pages, and a token that we did not give is told from one that we did.
 */
#include "server/services/mediapackage_int.h"
#include "waymark/hash.h"

#include "waymark/banned.h"

#define TOKEN_MAC_BYTES 8u
/* A page ends before its documents exceed this: with their trees, of which small values take ten times their text, they
 * must fit into the call's memory, and reading them must not hold up other calls. Typical documents have 1 to 2 KB. */
#define PAGE_BYTES (256u * 1024u)

static void token_mac(struct wm_call *c, const char *list, struct wm_view id, uint8_t out[WM_SHA256_BYTES])
{
    struct wm_view what = wm_arena_printf(c->arena, "mediapackage-%s-page:%.*s", list, WM_ARG(id));
    wm_hmac_sha256(c->env->master_key, 32, what.ptr, what.len, out);
}

static struct wm_view token_of(struct wm_call *c, const char *list, struct wm_view id)
{
    uint8_t mac[WM_SHA256_BYTES];
    size_t len = 2 * (TOKEN_MAC_BYTES + id.len);
    char *token = wm_arena_alloc(c->arena, len);
    if (!token)
        return WM_EMPTY;
    token_mac(c, list, id, mac);
    wm_hex(mac, TOKEN_MAC_BYTES, token);
    wm_hex(id.ptr, id.len, token + 2 * (size_t)TOKEN_MAC_BYTES);
    return (struct wm_view){token, len};
}

static bool token_read(struct wm_call *c, const char *list, struct wm_view token, struct wm_view *out_id)
{
    uint8_t mac[WM_SHA256_BYTES], claimed[TOKEN_MAC_BYTES];
    size_t head = 2 * (size_t)TOKEN_MAC_BYTES;
    if (token.len <= head || token.len % 2 || token.len > head + 2 * (size_t)MEDIAPACKAGE_MAX_ID)
        return false;
    size_t len = (token.len - head) / 2;
    char *id = wm_arena_alloc(c->arena, len);
    if (!id || !wm_hex_decode(wm_view_sub(token, 0, head), claimed, sizeof claimed) ||
        !wm_hex_decode(wm_view_sub(token, head, token.len), id, len))
        return false;
    *out_id = (struct wm_view){id, len};
    token_mac(c, list, *out_id, mac);
    return wm_equal_constant_time(mac, claimed, sizeof claimed);
}

#define PAGE_MAGIC 0x70616765u

struct page {
    unsigned magic;
    struct wm_call *call;
    const struct mediapackage_listing *listing;
    struct wm_json *list;
    size_t max;
    size_t bytes;        /* of the documents looked at */
    struct wm_view last; /* id looked at last, valid while the state is locked */
    bool more;
    enum wm_status status;
};

static bool is_wanted(const struct page *p, const struct wm_json *stored)
{
    const struct mediapackage_listing *l = p->listing;
    if (l->of->gone && l->of->gone(p->call, stored))
        return false;
    return !l->wanted || l->wanted(p->call, stored);
}

/* False ends the walk. */
static bool page_add(struct page *p, struct wm_view id, struct wm_view document)
{
    struct wm_json *stored = NULL;
    if (p->bytes && p->bytes + document.len > PAGE_BYTES) {
        p->more = true;
        return false;
    }
    p->bytes += document.len;
    p->status = mediapackage_read(p->call, p->listing->of, document, &stored);
    if (p->status != WM_OK)
        return false;
    if (is_wanted(p, stored)) {
        if (p->list->count == p->max) {
            p->more = true;
            return false;
        }
        if (!wm_json_push(p->list, p->listing->of->show(p->call, stored)))
            p->status = WM_E_NOMEM;
    }
    p->last = id;
    return p->status == WM_OK;
}

static bool add_document(void *arg, struct wm_view id, struct wm_view document)
{
    struct page *p = arg;
    WM_ASSERT(p && p->magic == PAGE_MAGIC);
    return page_add(p, id, document);
}

static bool add_indexed(void *arg, struct wm_view entry, struct wm_view ignored)
{
    struct page *p = arg;
    (void)ignored;
    WM_ASSERT(p && p->magic == PAGE_MAGIC);
    struct wm_view prefix = p->listing->prefix, document;
    if (!wm_view_eq(wm_view_sub(entry, 0, prefix.len), prefix))
        return false;
    struct wm_view id = wm_view_sub(entry, prefix.len, entry.len);
    if (!wm_state_get(p->call->state, p->listing->of->kind, id, &document)) {
        p->status = WM_E_CORRUPT; /* both change in one entry of the journal */
        return false;
    }
    return page_add(p, id, document);
}

static void walk(struct page *p, struct wm_view after)
{
    const struct mediapackage_listing *l = p->listing;
    struct wm_call *c = p->call;
    if (l->index.len == 0)
        wm_state_each(c->state, l->of->kind, after, add_document, p);
    else
        wm_state_each(c->state, l->index, wm_arena_printf(c->arena, "%.*s%.*s", WM_ARG(l->prefix), WM_ARG(after)),
                      add_indexed, p);
}

enum wm_status mediapackage_list(struct wm_call *c, struct wm_reply *r, const struct mediapackage_listing *l)
{
    const struct wm_json *max = wm_json_get(c->params, "maxResults");
    struct wm_view token = wm_json_get_text(c->params, "nextToken"), after = WM_EMPTY;
    int64_t n = MEDIAPACKAGE_MAX_RESULTS;
    if (max && wm_json_to_i64(max, 1, MEDIAPACKAGE_MAX_RESULTS, &n) != WM_OK)
        return WM_E_INVALID; /* the table lets none other through */
    if (token.len && !token_read(c, l->of->list, token, &after)) {
        if (wm_arena_status(c->arena) != WM_OK)
            return WM_E_NOMEM;
        return mediapackage_unprocessable(c, r, WM_LIT("Member 'nextToken' is not a token that an earlier page gave"));
    }
    struct wm_json *document = wm_json_new(c->arena, WM_JSON_OBJECT);
    struct page page = {
        .magic = PAGE_MAGIC,
        .call = c,
        .listing = l,
        .max = (size_t)n,
        .list = wm_json_set_array(c->arena, document, l->of->list),
    };
    if (!page.list)
        return WM_E_NOMEM;
    walk(&page, after);
    if (page.status != WM_OK)
        return page.status;
    if (page.more)
        wm_json_set_string(c->arena, document, "nextToken", token_of(c, l->of->list, page.last));
    r->document = document;
    return wm_arena_status(c->arena);
}
