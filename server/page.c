#include "waymark/page.h"

#include <stdlib.h>

#include "waymark/hash.h"

#include "waymark/banned.h"

#define TOKEN_MAC_BYTES 8u
/* Ids are names and ARNs. */
#define TOKEN_ID_BYTES 2048u
/* A page ends before its documents exceed this: with their trees, of which small values take ten times their text, they
 * must fit into the call's memory, and reading them must not hold up other calls. Typical documents have 1 to 2 KB. */
#define PAGE_BYTES (256u * 1024u)

/* ---- tokens ---- */

static void token_mac(struct wm_call *c, const struct wm_page *p, struct wm_view id, uint8_t out[WM_SHA256_BYTES])
{
    struct wm_view what = wm_arena_printf(c->arena, "%s-page:%.*s", p->of, WM_ARG(id));
    wm_hmac_sha256(c->env->master_key, 32, what.ptr, what.len, out);
}

struct wm_view wm_page_token(struct wm_call *c, const struct wm_page *p)
{
    uint8_t mac[WM_SHA256_BYTES];
    size_t len = 2 * (TOKEN_MAC_BYTES + p->last.len);
    char *token = p->more ? wm_arena_alloc(c->arena, len) : NULL;
    if (!token)
        return WM_EMPTY;
    token_mac(c, p, p->last, mac);
    wm_hex(mac, TOKEN_MAC_BYTES, token);
    wm_hex(p->last.ptr, p->last.len, token + 2 * (size_t)TOKEN_MAC_BYTES);
    return (struct wm_view){token, len};
}

static bool token_read(struct wm_call *c, struct wm_page *p, struct wm_view token)
{
    uint8_t mac[WM_SHA256_BYTES], claimed[TOKEN_MAC_BYTES];
    size_t head = 2 * (size_t)TOKEN_MAC_BYTES;
    if (token.len <= head || token.len % 2 || token.len > head + 2 * (size_t)TOKEN_ID_BYTES)
        return false;
    size_t len = (token.len - head) / 2;
    char *id = wm_arena_alloc(c->arena, len);
    if (!id || !wm_hex_decode(wm_view_sub(token, 0, head), claimed, sizeof claimed) ||
        !wm_hex_decode(wm_view_sub(token, head, token.len), id, len))
        return false;
    p->after = (struct wm_view){id, len};
    token_mac(c, p, p->after, mac);
    return wm_equal_constant_time(mac, claimed, sizeof claimed);
}

enum wm_status wm_page_begin(struct wm_call *c, struct wm_page *p, struct wm_view token)
{
    bool good = token.len == 0 || token_read(c, p, token);
    if (!p->list || wm_arena_status(c->arena) != WM_OK)
        return WM_E_NOMEM;
    return good ? WM_OK : WM_E_INVALID;
}

/* ---- documents ---- */

#define WALK_MAGIC 0x70616765u

struct walk {
    unsigned magic;
    struct wm_call *call;
    struct wm_page *page;
    const struct wm_page_source *from;
    enum wm_status status;
};

bool wm_page_takes(struct wm_page *p, struct wm_json *shown)
{
    if (p->list->count == p->max) {
        p->more = true;
        return false;
    }
    return wm_json_push(p->list, shown) != NULL;
}

/* @param id  the position. False ends the walk. */
static bool walk_add(struct walk *w, struct wm_view id, struct wm_view document)
{
    struct wm_page *p = w->page;
    struct wm_json *shown = NULL;
    if (p->bytes && p->bytes + document.len > PAGE_BYTES) {
        p->more = true;
        return false;
    }
    p->bytes += document.len;
    w->status = w->from->show(w->call, w->from->arg, document, &shown);
    if (w->status == WM_OK)
        w->status = wm_arena_status(w->call->arena);
    if (w->status != WM_OK || (shown && !wm_page_takes(p, shown)))
        return false;
    p->last = id;
    return true;
}

static bool add_document(void *arg, struct wm_view id, struct wm_view document)
{
    struct walk *w = arg;
    WM_ASSERT(w && w->magic == WALK_MAGIC);
    return walk_add(w, id, document);
}

static bool add_indexed(void *arg, struct wm_view entry, struct wm_view reference)
{
    struct walk *w = arg;
    WM_ASSERT(w && w->magic == WALK_MAGIC);
    const struct wm_page_source *from = w->from;
    struct wm_view document;
    if (!wm_view_eq(wm_view_sub(entry, 0, from->prefix.len), from->prefix))
        return false;
    struct wm_view at = wm_view_sub(entry, from->prefix.len, entry.len), id = at;
    if (from->leads_to)
        w->status = from->leads_to(w->call, reference, &id);
    if (w->status == WM_OK && !wm_state_get(w->call->state, from->kind, id, &document))
        w->status = WM_E_CORRUPT; /* both change in one entry of the journal */
    return w->status == WM_OK && walk_add(w, at, document);
}

enum wm_status wm_page_documents(struct wm_call *c, struct wm_page *p, const struct wm_page_source *from)
{
    struct walk w = {.magic = WALK_MAGIC, .call = c, .page = p, .from = from};
    if (from->index.len == 0) {
        wm_state_each(c->state, from->kind, p->after, add_document, &w);
        return w.status;
    }
    struct wm_view after = wm_arena_printf(c->arena, "%.*s%.*s", WM_ARG(from->prefix), WM_ARG(p->after));
    if (wm_arena_status(c->arena) != WM_OK)
        return WM_E_NOMEM;
    wm_state_each(c->state, from->index, after, add_indexed, &w);
    return w.status;
}

/* ---- elements of a document ---- */

struct element {
    struct wm_view id;
    const struct wm_json *value;
};

static int element_order(const void *a, const void *b)
{
    return wm_view_cmp(((const struct element *)a)->id, ((const struct element *)b)->id);
}

enum wm_status wm_page_elements(struct wm_call *c, struct wm_page *p, const struct wm_json *elements, const char *name,
                                enum wm_status (*show)(struct wm_call *c, const struct wm_json *element,
                                                       struct wm_json **out))
{
    size_t n = 0, all = elements ? elements->count : 0;
    struct element *sorted = wm_arena_alloc(c->arena, (all + 1) * sizeof *sorted);
    if (!sorted)
        return WM_E_NOMEM;
    for (const struct wm_json *e = all ? elements->first : NULL; e; e = e->next) {
        bool keyed = elements->type == WM_JSON_OBJECT;
        sorted[n++] = (struct element){name ? wm_json_get_text(e, name) : keyed ? e->key : e->text, e};
    }
    qsort(sorted, n, sizeof *sorted, element_order);
    for (size_t i = 0; i < n; i++) {
        if (p->after.len && wm_view_cmp(sorted[i].id, p->after) <= 0)
            continue;
        struct wm_json *shown = show ? NULL : wm_json_clone(c->arena, sorted[i].value);
        enum wm_status status = show ? show(c, sorted[i].value, &shown) : WM_OK;
        if (status == WM_OK)
            status = wm_arena_status(c->arena);
        if (status != WM_OK)
            return status;
        if (shown && !wm_page_takes(p, shown))
            break;
        p->last = sorted[i].id;
    }
    return WM_OK;
}
