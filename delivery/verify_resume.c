/*
 * What was verified already: a text file of one JSON object a line, appended to while a run goes on.
 *
 *     {"waymarkResume":1}
 *     {"digest":"…","sha256":"…","stamp":"…","records":24,"first":1,"last":24}
 *
 * A line says that all files of this digest were good, without a gap in their sequence numbers. The digest itself is read
 * and judged anew each time; its line counts when its content has that SHA-256, and when the listing still says the same
 * of its files: stamp is the SHA-256 of "KEY SIZE MODIFIED-NANOSECONDS LF" for each of them in the digest's order.
 *
 * A line that was torn by a crash is passed over. Of two lines for one digest the later counts. The file is a memory of
 * the auditor's own: whoever can write it can hide tampering.
 */
#include "verify_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "waymark/json.h"

#include "waymark/banned.h"

#define RESUME_HEAD "{\"waymarkResume\":1}"
/* A line takes some 400 bytes: 1,000,000 digests, a century of hours. */
#define RESUME_MAX_BYTES ((size_t)512 * 1024 * 1024)
#define RESUME_LINE_BYTES (8u * 1024u)
#define RESUME_MODE 0600

static bool resume_number(const struct wm_json *line, const char *name, uint64_t *out)
{
    int64_t n;
    const struct wm_json *member = wm_json_get(line, name);
    if (!member || wm_json_to_i64(member, 0, INT64_MAX, &n) != WM_OK)
        return false;
    *out = (uint64_t)n;
    return true;
}

/* @return false: a line that was torn */
static bool resume_read_line(struct wm_arena *a, struct wm_view text, struct verify_known *out)
{
    struct wm_json *line = NULL;
    if (wm_json_parse(a, text, &line, NULL) != WM_OK)
        return false;
    out->digest = wm_json_get_text(line, "digest");
    return out->digest.len && wm_hex_decode(wm_json_get_text(line, "sha256"), out->hash, sizeof out->hash) &&
           wm_hex_decode(wm_json_get_text(line, "stamp"), out->stamp, sizeof out->stamp) &&
           resume_number(line, "records", &out->records) && resume_number(line, "first", &out->first) &&
           resume_number(line, "last", &out->last);
}

static int resume_compare(const void *left, const void *right)
{
    const struct verify_known *a = left, *b = right;
    int order = wm_view_cmp(a->digest, b->digest);
    return order ? order : (a->line > b->line) - (a->line < b->line);
}

/* In the order of keys, of each the last line. */
static void resume_sort(struct verify_resume *r)
{
    size_t n = 0;
    if (r->n_known)
        qsort(r->known, r->n_known, sizeof *r->known, resume_compare);
    for (size_t i = 0; i < r->n_known; i++)
        if (i + 1 == r->n_known || !wm_view_eq(r->known[i].digest, r->known[i + 1].digest))
            r->known[n++] = r->known[i];
    r->n_known = n;
}

static enum wm_status resume_parse(struct verify *v, struct wm_view text)
{
    struct verify_resume *r = &v->resume;
    struct wm_arena a;
    wm_arena_init(&a, (size_t)64 * RESUME_LINE_BYTES);
    enum wm_status status = WM_OK;
    for (struct wm_view rest = text; rest.len && status == WM_OK;) {
        struct wm_view line = wm_view_split(&rest, '\n');
        struct verify_known k = {.line = r->n_known};
        wm_arena_clear(&a);
        if (line.len > RESUME_LINE_BYTES || !resume_read_line(&a, line, &k))
            continue;
        struct verify_known *known = verify_more(r->known, r->n_known, &r->cap_known, sizeof *known);
        if (known)
            r->known = known;
        k.digest = wm_arena_copy(&r->arena, k.digest);
        if (!known || !k.digest.ptr)
            status = wm_fail(v->err, WM_E_NOMEM, "no memory for %s", v->o->resume);
        else
            r->known[r->n_known++] = k;
    }
    wm_arena_done(&a);
    resume_sort(r);
    return status;
}

static enum wm_status resume_write(struct verify *v, struct wm_view text)
{
    struct verify_resume *r = &v->resume;
    enum wm_status status = wm_io_write_all(r->io, r->fd, text.ptr, text.len, r->size, v->err);
    if (status == WM_OK)
        r->size += text.len;
    return status;
}

/* What is there is read, and a line that was torn is ended, so that the next one stands alone. */
static enum wm_status resume_load(struct verify *v)
{
    struct wm_buf text;
    wm_buf_init(&text, RESUME_MAX_BYTES);
    enum wm_status status = wm_io_read_file(v->io, v->o->resume, &text, v->err);
    if (status == WM_OK && text.len && !wm_view_starts(wm_buf_view(&text), RESUME_HEAD "\n"))
        status = wm_fail(v->err, WM_E_INVALID, "%s is not a file of what was verified", v->o->resume);
    if (status == WM_OK)
        status = resume_parse(v, wm_buf_view(&text));
    v->resume.size = text.len;
    if (status == WM_OK && text.len == 0)
        status = resume_write(v, WM_LIT(RESUME_HEAD "\n"));
    else if (status == WM_OK && text.data[text.len - 1] != '\n')
        status = resume_write(v, WM_LIT("\n"));
    wm_buf_done(&text);
    return status;
}

enum wm_status verify_resume_open(struct verify *v)
{
    if (!v->o->resume)
        return WM_OK;
    int fd = v->io->open(v->io->ctx, v->o->resume, O_RDWR | O_CREAT, RESUME_MODE);
    if (fd < 0)
        return wm_fail_errno(v->err, -fd, "cannot open %s", v->o->resume);
    v->resume.io = v->io;
    v->resume.fd = fd;
    return resume_load(v);
}

void verify_resume_close(struct verify_resume *r)
{
    if (r->fd >= 0)
        (void)r->io->close(r->io->ctx, r->fd); /* a line that did not reach the disk is verified once more */
    free(r->known);
    wm_arena_done(&r->arena);
}

const struct verify_known *verify_resume_find(const struct verify *v, const struct verify_digest *d,
                                              const uint8_t stamp[WM_SHA256_BYTES])
{
    const struct verify_resume *r = &v->resume;
    size_t low = 0, high = r->n_known;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = wm_view_cmp(r->known[middle].digest, d->key);
        if (order == 0) {
            const struct verify_known *k = &r->known[middle];
            bool same = memcmp(k->hash, d->hash, sizeof k->hash) == 0 && memcmp(k->stamp, stamp, sizeof k->stamp) == 0;
            return same ? k : NULL;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

void verify_resume_add(struct verify *v, const struct verify_settled *s)
{
    char hash[2 * WM_SHA256_BYTES], stamp[2 * WM_SHA256_BYTES];
    struct wm_buf line;
    const struct verify_digest *d = &v->digests[s->digest];
    if (v->resume.fd < 0 || !s->clean || v->failed != WM_OK)
        return;
    wm_hex(d->hash, sizeof d->hash, hash);
    wm_hex(s->stamp, sizeof s->stamp, stamp);
    wm_buf_init(&line, RESUME_LINE_BYTES);
    wm_buf_add_str(&line, "{\"digest\":");
    wm_json_write_string(&line, d->key);
    wm_buf_addf(&line, ",\"sha256\":\"%.*s\",\"stamp\":\"%.*s\",\"records\":%llu,\"first\":%llu,\"last\":%llu}\n",
                (int)sizeof hash, hash, (int)sizeof stamp, stamp, (unsigned long long)s->records,
                (unsigned long long)s->first, (unsigned long long)s->last);
    if (wm_buf_status(&line) != WM_OK)
        verify_no_memory(v, "a line of the resume file");
    else
        v->failed = resume_write(v, wm_buf_view(&line));
    wm_buf_done(&line);
}
