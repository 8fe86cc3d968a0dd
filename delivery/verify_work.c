/* The threads that read, unpack, hash and scan, each with a store of its own. */
#include "verify_int.h"

#include <stdlib.h>

#include "waymark/codec.h"

#include "waymark/banned.h"

#define WORKER_MAGIC 0x5665574bu
/* Hashed and then scanned while it is in the second level of the cache. */
#define WORK_PIECE_BYTES ((size_t)64 * 1024)
/* The tree of one digest of WM_MAX_DIGEST_BYTES; wm_digest_read() says some 4 bytes per byte. */
#define WORK_MAX_DOCUMENT_BYTES ((size_t)6 * WM_MAX_DIGEST_BYTES)
/* What the next object does not need of a large one is given back. */
#define WORK_KEEP_BYTES ((size_t)64 * 1024 * 1024)

/* The memory of one thread. */
struct work {
    struct verify_pool *pool;
    struct wm_store *store;
    struct wm_buf body, content, message;
    struct wm_sha256_stream *sha256;
};

/* ---- reading ---- */

static enum wm_status work_get(struct work *w, struct wm_view key, struct wm_arena *a, struct wm_store_header *headers,
                               size_t *n, struct wm_err *err)
{
    for (int try = 0;; try++) {
        *err = (struct wm_err){0};
        wm_buf_clear(&w->body);
        enum wm_status status = wm_store_get(w->store, key, &w->body, a, headers, n, err);
        if (status != WM_E_UNAVAILABLE || !err->retryable || try + 1 == VERIFY_TRIES ||
            wm_stop_wait_ms(&w->pool->stop, (int64_t)VERIFY_RETRY_MS << try))
            return status;
    }
}

/* The object's content, unless t->reading says why there is none. */
static enum wm_status work_read(struct work *w, struct verify_task *t, struct wm_arena *a, struct wm_store_header *headers,
                                size_t *n)
{
    struct wm_view key = t->object->key;
    const struct wm_codec *codec = wm_codec_by_key(key);
    wm_buf_clear(&w->content);
    t->reading = VERIFY_ODD_SUFFIX;
    if (!codec)
        return WM_OK;
    enum wm_status status = work_get(w, key, a, headers, n, &t->err);
    t->reading = status == WM_E_NOT_FOUND ? VERIFY_GONE : VERIFY_TOO_LARGE;
    if (status == WM_E_NOT_FOUND || status == WM_E_LIMIT)
        return WM_OK;
    if (status != WM_OK)
        return status;
    status = codec->decompress(wm_buf_view(&w->body), &w->content, &t->err);
    if (status == WM_E_NOMEM)
        return status;
    if (status == WM_OK)
        t->reading = VERIFY_READ;
    else if (status != WM_E_LIMIT)
        t->reading = codec == &wm_codec_gzip ? VERIFY_NOT_GZIP : VERIFY_NOT_ZSTD;
    atomic_fetch_add_explicit(&w->pool->content_bytes, w->content.len, memory_order_relaxed);
    return WM_OK;
}

static enum wm_status work_file(struct work *w, struct verify_task *t)
{
    struct verify_scan scan;
    enum wm_status status = work_read(w, t, NULL, NULL, NULL);
    if (status != WM_OK || t->reading != VERIFY_READ)
        return status;
    struct wm_view text = wm_buf_view(&w->content);
    verify_scan_init(&scan, text, t->trail);
    for (size_t at = 0; at < text.len; at += WORK_PIECE_BYTES) {
        size_t end = text.len - at < WORK_PIECE_BYTES ? text.len : at + WORK_PIECE_BYTES;
        wm_sha256_stream_add(w->sha256, text.ptr + at, end - at);
        verify_scan_to(&scan, end);
    }
    wm_sha256_stream_end(w->sha256, t->hash);
    t->numbers = scan.n;
    return scan.status == WM_OK ? WM_OK : wm_fail(&t->err, scan.status, "no memory to read a record");
}

/* ---- digests ---- */

/* Hex in either case is the same signature; the copy in the next digest is compared by this. */
static enum wm_status work_hash_signature(struct work *w, struct verify_document *d)
{
    wm_buf_clear(&w->message);
    for (size_t i = 0; i < d->signature.len; i++) {
        char c = d->signature.ptr[i];
        wm_buf_add_char(&w->message, c >= 'A' && c <= 'F' ? (char)(c + 32) : c);
    }
    wm_sha256(w->message.data, w->message.len, d->signature_hash);
    return wm_buf_status(&w->message);
}

static enum wm_status work_signature(struct work *w, struct verify_task *t)
{
    struct verify_document *d = &t->document;
    enum wm_status status = work_hash_signature(w, d);
    wm_buf_clear(&w->message);
    wm_digest_string_to_sign(&d->doc, wm_buf_view(&w->content), &w->message);
    if (status == WM_OK)
        status = wm_buf_status(&w->message);
    if (status != WM_OK)
        return wm_fail(&t->err, status, "no memory for the signature of a digest");
    d->signed_by_key = wm_keyring_verify(w->pool->o->keys, d->doc.fingerprint, wm_buf_view(&w->message), d->signature, &t->err);
    switch (d->signed_by_key) {
    case WM_OK:
    case WM_E_NOT_FOUND:
    case WM_E_INVALID:
    case WM_E_DENIED:
        return WM_OK;
    default:
        return d->signed_by_key;
    }
}

static enum wm_status work_digest(struct work *w, struct verify_task *t)
{
    struct wm_store_header headers[WM_STORE_MAX_HEADERS];
    size_t n_headers = 0;
    struct verify_document *d = &t->document;
    enum wm_status status = work_read(w, t, &d->arena, headers, &n_headers);
    if (status == WM_OK && t->reading == VERIFY_READ && w->content.len > WM_MAX_DIGEST_BYTES)
        t->reading = VERIFY_TOO_LARGE;
    if (status != WM_OK || t->reading != VERIFY_READ)
        return status;
    wm_sha256(w->content.data, w->content.len, t->hash);
    status = wm_digest_read(&d->arena, wm_buf_view(&w->content), &d->doc, &t->err);
    if (status == WM_E_INVALID || (status == WM_OK && (wm_time_parse(d->doc.start, &d->start) != WM_OK ||
                                                       wm_time_parse(d->doc.end, &d->end) != WM_OK)))
        return WM_OK;
    if (status != WM_OK)
        return status;
    d->valid = true;
    d->signature = wm_store_header(headers, n_headers, "x-amz-meta-signature");
    d->algorithm = wm_store_header(headers, n_headers, "x-amz-meta-signature-algorithm");
    return work_signature(w, t);
}

/* ---- threads ---- */

static struct verify_task *pool_take(struct verify_pool *p)
{
    wm_mutex_lock(&p->locked.mu);
    while (!p->locked.first && !p->locked.closed)
        wm_cond_wait(&p->locked.wanted, &p->locked.mu);
    struct verify_task *t = p->locked.closed ? NULL : p->locked.first;
    if (t) {
        p->locked.first = t->next;
        if (!p->locked.first)
            p->locked.last = NULL;
    }
    wm_mutex_unlock(&p->locked.mu);
    return t;
}

static void pool_done(struct verify_pool *p, struct verify_task *t)
{
    atomic_fetch_add_explicit(&p->objects_done, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&p->bytes_done, t->object->size, memory_order_relaxed);
    wm_mutex_lock(&p->locked.mu);
    t->done = true;
    wm_cond_signal(&p->locked.done);
    wm_mutex_unlock(&p->locked.mu);
}

static void *worker_run(void *arg)
{
    struct verify_worker *self = arg;
    WM_ASSERT(self->magic == WORKER_MAGIC);
    struct work w = {.pool = self->pool, .store = self->store};
    wm_buf_init(&w.body, WM_MAX_OBJECT_BYTES);
    wm_buf_init(&w.content, WM_MAX_OBJECT_BYTES);
    wm_buf_init(&w.message, WM_MAX_DIGEST_BYTES);
    enum wm_status ready = wm_hash_thread_init();
    w.sha256 = wm_sha256_stream_new();
    for (struct verify_task *t; (t = pool_take(self->pool)) != NULL;) {
        if (ready != WM_OK || !w.sha256)
            t->status = wm_fail(&t->err, WM_E_NOMEM, "no memory to hash");
        else if (t->kind == VERIFY_TASK_DIGEST)
            t->status = work_digest(&w, t);
        else
            t->status = work_file(&w, t);
        if (w.body.cap > WORK_KEEP_BYTES)
            wm_buf_done(&w.body);
        if (w.content.cap > WORK_KEEP_BYTES)
            wm_buf_done(&w.content);
        pool_done(self->pool, t);
    }
    wm_sha256_stream_free(w.sha256);
    wm_buf_done(&w.message);
    wm_buf_done(&w.content);
    wm_buf_done(&w.body);
    return NULL;
}

enum wm_status verify_pool_start(struct verify_pool *p, const struct wm_verify_options *o, struct wm_err *err)
{
    enum wm_status status = WM_OK;
    p->o = o;
    wm_stop_init(&p->stop);
    wm_mutex_init(&p->locked.mu);
    wm_cond_init(&p->locked.wanted);
    wm_cond_init(&p->locked.done);
    for (unsigned i = 0; i < o->n_stores && status == WM_OK; i++) {
        p->workers[i] = (struct verify_worker){.magic = WORKER_MAGIC, .pool = p, .store = o->stores[i]};
        status = wm_thread_start(&p->workers[i].thread, "verify", worker_run, &p->workers[i], err);
        if (status == WM_OK)
            p->n_workers++;
    }
    if (p->n_workers > 0) /* fewer do it too */
        return WM_OK;
    verify_pool_stop(p, true);
    return status;
}

void verify_pool_stop(struct verify_pool *p, bool now)
{
    if (now) {
        wm_stop_request(&p->stop);
        for (unsigned i = 0; i < p->o->n_stores; i++)
            wm_store_cancel(p->o->stores[i]);
    }
    wm_mutex_lock(&p->locked.mu);
    p->locked.closed = true;
    wm_cond_broadcast(&p->locked.wanted);
    wm_mutex_unlock(&p->locked.mu);
    for (unsigned i = 0; i < p->n_workers; i++)
        WM_PTOK(pthread_join(p->workers[i].thread, NULL));
    wm_cond_done(&p->locked.done);
    wm_cond_done(&p->locked.wanted);
    wm_mutex_done(&p->locked.mu);
    wm_stop_done(&p->stop);
}

void verify_pool_submit(struct verify_pool *p, struct verify_task *t)
{
    if (t->kind == VERIFY_TASK_DIGEST)
        wm_arena_init(&t->document.arena, WORK_MAX_DOCUMENT_BYTES);
    wm_mutex_lock(&p->locked.mu);
    if (p->locked.last)
        p->locked.last->next = t;
    else
        p->locked.first = t;
    p->locked.last = t;
    wm_cond_signal(&p->locked.wanted);
    wm_mutex_unlock(&p->locked.mu);
}
