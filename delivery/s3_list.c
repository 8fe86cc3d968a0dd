/*
 * Listings: ListObjectsV2 page by page (Amazon S3 API Reference), each checked for being one and for the order of keys,
 * on which callers rely.
 */
#include <stdlib.h>

#include "s3_xml.h"
#include "store_s3_int.h"
#include "waymark/bounds.h"

#include "waymark/banned.h"

#define S3_PAGE_KEYS 1000
/* Pages without a key come where many objects were just deleted, but a listing that goes on so has no end. */
#define S3_MAX_EMPTY_PAGES 32

struct s3_listed {
    size_t key_at, key_len;
    uint64_t size;
    struct wm_wall_ns modified;
};

struct s3_page {
    struct wm_buf keys;
    struct s3_listed *at;
    size_t n, cap;
    struct wm_buf token;
    bool is_listing, encoded, truncated;
};

static void s3_page_done(struct s3_page *p)
{
    wm_buf_done(&p->keys);
    wm_buf_done(&p->token);
    free(p->at);
}

#define S3_LIST "ListBucketResult"

static void s3_page_begin(void *arg, const char *path)
{
    struct s3_page *p = arg;
    if (strcmp(path, S3_LIST) == 0)
        p->is_listing = true;
    if (strcmp(path, S3_LIST "/Contents") == 0) {
        if (p->n < p->cap)
            p->at[p->n++] = (struct s3_listed){0}; /* filled by the leaves below */
        else
            p->n = SIZE_MAX; /* more than we asked for */
    }
}

static enum wm_status s3_page_leaf(void *arg, const char *path, struct wm_view text)
{
    struct s3_page *p = arg;
    if (p->n == SIZE_MAX)
        return WM_E_CORRUPT;
    struct s3_listed *last = p->n ? &p->at[p->n - 1] : NULL;
    if (strcmp(path, S3_LIST "/IsTruncated") == 0) {
        p->truncated = wm_view_eq_str(wm_view_trim(text), "true");
    } else if (strcmp(path, S3_LIST "/EncodingType") == 0) {
        p->encoded = wm_view_eq_str(wm_view_trim(text), "url");
    } else if (strcmp(path, S3_LIST "/NextContinuationToken") == 0) {
        wm_buf_clear(&p->token);
        wm_buf_add_view(&p->token, text);
        return wm_buf_status(&p->token);
    } else if (last && strcmp(path, S3_LIST "/Contents/Key") == 0) {
        last->key_at = p->keys.len;
        last->key_len = text.len;
        wm_buf_add_view(&p->keys, text);
        return wm_buf_status(&p->keys);
    } else if (last && strcmp(path, S3_LIST "/Contents/Size") == 0) {
        return wm_view_to_u64(wm_view_trim(text), UINT64_MAX, &last->size) == WM_OK ? WM_OK : WM_E_CORRUPT;
    } else if (last && strcmp(path, S3_LIST "/Contents/LastModified") == 0) {
        return wm_aws_time(wm_view_trim(text), &last->modified) ? WM_OK : WM_E_CORRUPT;
    }
    return WM_OK;
}

/* With encoding-type=url blanks come as '+' (AWS, MinIO) or %20, and a real '+' always as %2B. */
static enum wm_status s3_decode_key(const struct s3_page *p, const struct s3_listed *o, struct wm_buf *out)
{
    struct wm_view raw = wm_view_sub(wm_buf_view(&p->keys), o->key_at, o->key_at + o->key_len);
    wm_buf_clear(out);
    if (!p->encoded) {
        wm_buf_add_view(out, raw);
        return wm_buf_status(out);
    }
    while (raw.len) {
        size_t plus = wm_view_find(raw, '+');
        enum wm_status status = wm_uri_decode(out, wm_view_sub(raw, 0, plus));
        if (status != WM_OK)
            return status;
        if (plus < raw.len)
            wm_buf_add_char(out, ' ');
        raw = wm_view_sub(raw, plus + 1, raw.len);
    }
    return wm_buf_status(out);
}

static enum wm_status s3_list_page(struct store_s3 *s3, struct wm_view prefix, struct s3_page *p, struct wm_err *err)
{
    struct s3_request q = {.method = "GET", .sha256_hex = WM_S3_EMPTY_SHA256};
    struct wm_http_reply r;
    struct wm_buf query;
    wm_buf_init(&query, WM_AWS_MAX_URL_BYTES);
    wm_http_reply_init(&r, NULL);
    if (p->token.len) {
        wm_buf_add_str(&query, "continuation-token=");
        wm_uri_encode(&query, wm_buf_view(&p->token), false);
        wm_buf_add_char(&query, '&');
    }
    wm_buf_addf(&query, "encoding-type=url&list-type=2&max-keys=%d&prefix=", S3_PAGE_KEYS);
    wm_uri_encode(&query, prefix, false);
    enum wm_status status = wm_buf_status(&query);
    if (status != WM_OK) {
        status = wm_fail(err, status, "the prefix is too long to list");
        goto out;
    }
    q.query = wm_buf_view(&query);
    status = wm_s3_call(s3, &q, &r, err);
    if (status == WM_E_NOT_FOUND)
        status = wm_fail(err, WM_E_UNAVAILABLE, "bucket %s: no such bucket", s3->base.bucket);
    if (status != WM_OK)
        goto out;
    wm_buf_clear(&p->keys);
    wm_buf_clear(&p->token);
    p->n = 0;
    p->is_listing = p->encoded = p->truncated = false;
    status = wm_s3_xml_parse(wm_buf_view(&r.text), s3_page_leaf, s3_page_begin, p);
    if (status == WM_OK && !p->is_listing)
        status = WM_E_CORRUPT;
    if (status != WM_OK)
        status = wm_fail(err, status, "bucket %s: the answer is no listing", s3->base.bucket);
    else if (p->truncated && p->token.len == 0)
        status = wm_fail(err, WM_E_CORRUPT, "bucket %s: a listing goes on but does not say where", s3->base.bucket);
out:
    wm_http_reply_done(&r);
    wm_buf_done(&query);
    return status;
}

enum wm_status wm_s3_list(struct wm_store *s, struct wm_view prefix,
                          enum wm_status (*each)(void *arg, const struct wm_store_object *o), void *arg,
                          struct wm_err *err)
{
    struct store_s3 *s3 = wm_store_s3_of(s);
    enum wm_status status = WM_OK;
    struct s3_page page = {.cap = S3_PAGE_KEYS};
    unsigned empty_pages = 0;
    struct wm_buf key, before;
    wm_buf_init(&page.keys, WM_MAX_STORE_REPLY_BYTES);
    wm_buf_init(&page.token, 4096);
    wm_buf_init(&key, WM_MAX_OBJECT_KEY_BYTES);
    wm_buf_init(&before, WM_MAX_OBJECT_KEY_BYTES);
    page.at = calloc(page.cap, sizeof *page.at);
    if (!page.at)
        status = wm_fail(err, WM_E_NOMEM, "no memory for a listing");
    do {
        if (status == WM_OK)
            status = s3_list_page(s3, prefix, &page, err);
        empty_pages = page.n ? 0 : empty_pages + 1;
        if (status == WM_OK && page.truncated && empty_pages > S3_MAX_EMPTY_PAGES)
            status = wm_fail(err, WM_E_CORRUPT, "bucket %s: a listing goes on and on without a key", s3->base.bucket);
        for (size_t i = 0; status == WM_OK && i < page.n; i++) {
            status = s3_decode_key(&page, &page.at[i], &key);
            if (status != WM_OK) {
                status = wm_fail(err, status == WM_E_NOMEM ? status : WM_E_CORRUPT, "a listing has a key that is none");
                break;
            }
            struct wm_store_object o = {wm_buf_view(&key), page.at[i].size, page.at[i].modified};
            /* Callers rely on the order; a server without it must not look like one with missing objects. */
            if (before.len && wm_view_cmp(wm_buf_view(&before), o.key) >= 0) {
                status = wm_fail(err, WM_E_CORRUPT, "bucket %s: a listing is not in the order of keys at %.*s",
                                 s3->base.bucket, WM_ARG(o.key));
                break;
            }
            wm_buf_clear(&before);
            wm_buf_add_view(&before, o.key);
            status = wm_buf_status(&before);
            status = status == WM_OK ? each(arg, &o) : wm_fail(err, status, "no memory for a listing");
        }
    } while (status == WM_OK && page.truncated);
    s3_page_done(&page);
    wm_buf_done(&key);
    wm_buf_done(&before);
    return status;
}
