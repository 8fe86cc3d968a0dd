/* Bytes: frames and segment headers, to and fro, and the window through which segments are read. Format: journal.c. */
#include "journal_int.h"

#include <stdlib.h>

#include "waymark/hash.h"

#include "waymark/banned.h"

static size_t round_up_8(size_t n)
{
    return (n + 7) & ~(size_t)7;
}

enum wm_status wm_frame_size(const struct wm_entry *e, size_t *out_len, struct wm_err *err)
{
    if (e->event_source.len > JOURNAL_MAX_ROUTE_BYTES || e->event_name.len > JOURNAL_MAX_ROUTE_BYTES)
        return wm_fail(err, WM_E_LIMIT, "event source or event name is longer than %u bytes", JOURNAL_MAX_ROUTE_BYTES);
    if (e->principal.len > JOURNAL_MAX_PRINCIPAL_BYTES)
        return wm_fail(err, WM_E_LIMIT, "a principal is longer than %u bytes", JOURNAL_MAX_PRINCIPAL_BYTES);
    if (e->record.len == 0)
        return wm_fail(err, WM_E_INVALID, "an entry must have a record");
    if (e->record.len > WM_MAX_RECORD_BYTES)
        return wm_fail(err, WM_E_LIMIT, "record of %zu bytes is larger than %u", e->record.len, WM_MAX_RECORD_BYTES);
    if (e->n_changes > WM_MAX_CHANGES)
        return wm_fail(err, WM_E_LIMIT, "%zu changes are more than %u", e->n_changes, WM_MAX_CHANGES);
    size_t body = e->event_source.len + e->event_name.len + e->principal.len + e->record.len;
    for (size_t i = 0; i < e->n_changes; i++) {
        const struct wm_change *c = &e->changes[i];
        if (c->kind.len == 0 || c->kind.len > JOURNAL_MAX_KIND_BYTES || c->id.len == 0 ||
            c->id.len > JOURNAL_MAX_ID_BYTES || c->document.len > WM_MAX_DOCUMENT_BYTES)
            return wm_fail(err, WM_E_LIMIT, "a change's kind, id or document is empty or too large");
        body += CHANGE_HEADER_BYTES + c->kind.len + c->id.len + c->document.len;
    }
    size_t len = round_up_8(FRAME_HEADER_BYTES + body);
    if (len > WM_MAX_ENTRY_BYTES)
        return wm_fail(err, WM_E_LIMIT, "entry of %zu bytes is larger than %u", len, WM_MAX_ENTRY_BYTES);
    *out_len = len;
    return WM_OK;
}

static uint8_t *put_view(uint8_t *p, struct wm_view v)
{
    if (v.len)
        memcpy(p, v.ptr, v.len);
    return p + v.len;
}

void wm_frame_encode(uint8_t *p, size_t len, const struct wm_entry *e, uint64_t seq)
{
    uint8_t *body = p + FRAME_HEADER_BYTES;
    body = put_view(body, e->event_source);
    body = put_view(body, e->event_name);
    body = put_view(body, e->principal);
    body = put_view(body, e->record);
    uint8_t *changes = body;
    for (size_t i = 0; i < e->n_changes; i++) {
        const struct wm_change *c = &e->changes[i];
        wm_put_le16(body + CHANGE_KIND_LEN, (uint16_t)c->kind.len);
        wm_put_le16(body + CHANGE_ID_LEN, (uint16_t)c->id.len);
        wm_put_le32(body + CHANGE_DOC_LEN, (uint32_t)c->document.len);
        body = put_view(body + CHANGE_HEADER_BYTES, c->kind);
        body = put_view(body, c->id);
        body = put_view(body, c->document);
    }
    memset(p, 0, FRAME_HEADER_BYTES);
    wm_put_le32(p + FRAME_LEN, (uint32_t)len);
    wm_put_le16(p + FRAME_HEADER_LEN, FRAME_HEADER_BYTES);
    p[FRAME_KIND] = FRAME_ENTRY;
    wm_put_le64(p + FRAME_SEQ, seq);
    wm_put_le64(p + FRAME_TIME, (uint64_t)e->time.ns);
    wm_put_le16(p + FRAME_FLAGS, e->flags);
    wm_put_le16(p + FRAME_N_CHANGES, (uint16_t)e->n_changes);
    wm_put_le32(p + FRAME_RECORD_LEN, (uint32_t)e->record.len);
    wm_put_le32(p + FRAME_CHANGES_LEN, (uint32_t)(body - changes));
    wm_put_le16(p + FRAME_SOURCE_LEN, (uint16_t)e->event_source.len);
    wm_put_le16(p + FRAME_NAME_LEN, (uint16_t)e->event_name.len);
    wm_put_le16(p + FRAME_PRINCIPAL_LEN, (uint16_t)e->principal.len);
    memset(body, 0, (size_t)(p + len - body));
}

void wm_frame_encode_mark(uint8_t p[FRAME_HEADER_BYTES], uint64_t seq, struct wm_wall_ns time)
{
    memset(p, 0, FRAME_HEADER_BYTES);
    wm_put_le32(p + FRAME_LEN, FRAME_HEADER_BYTES);
    wm_put_le16(p + FRAME_HEADER_LEN, FRAME_HEADER_BYTES);
    p[FRAME_KIND] = FRAME_MARK;
    wm_put_le64(p + FRAME_SEQ, seq);
    wm_put_le64(p + FRAME_TIME, (uint64_t)time.ns);
}

size_t wm_frame_seal(uint8_t *p, uint32_t salt, uint64_t synced_seq)
{
    size_t len = wm_get_le32(p + FRAME_LEN);
    wm_put_le32(p + FRAME_SALT, salt);
    wm_put_le64(p + FRAME_SYNCED, synced_seq);
    wm_put_le32(p + FRAME_CRC, wm_crc32(salt, p + FRAME_LEN, len - FRAME_LEN));
    return len;
}

enum frame_result wm_frame_check(const uint8_t *p, size_t avail, uint64_t room, uint32_t salt, size_t *out_len)
{
    if (room < FRAME_HEADER_BYTES)
        return FRAME_BAD;
    if (avail < FRAME_HEADER_BYTES) {
        *out_len = FRAME_HEADER_BYTES;
        return FRAME_SHORT;
    }
    if (wm_get_le32(p + FRAME_SALT) != salt)
        return FRAME_BAD;
    size_t len = wm_get_le32(p + FRAME_LEN), header = wm_get_le16(p + FRAME_HEADER_LEN);
    if (len < FRAME_HEADER_BYTES || len > WM_MAX_ENTRY_BYTES || len % 8 != 0 || len > room ||
        header < FRAME_HEADER_BYTES || header > len || header % 8 != 0)
        return FRAME_BAD;
    *out_len = len;
    if (avail < len)
        return FRAME_SHORT;
    if (wm_get_le32(p + FRAME_CRC) != wm_crc32(salt, p + FRAME_LEN, len - FRAME_LEN))
        return FRAME_BAD;
    uint64_t seq = wm_get_le64(p + FRAME_SEQ);
    if (seq > JOURNAL_MAX_SEQ || wm_get_le64(p + FRAME_SYNCED) > seq)
        return FRAME_BAD;
    return FRAME_OK;
}

enum wm_status wm_frame_known(const uint8_t *p)
{
    uint8_t kind = p[FRAME_KIND];
    if (p[FRAME_INCOMPAT] != 0)
        return WM_E_UNSUPPORTED;
    return kind == FRAME_ENTRY || kind == FRAME_MARK || kind >= FRAME_FIRST_OPTIONAL ? WM_OK : WM_E_UNSUPPORTED;
}

static struct wm_view take(const uint8_t **p, size_t len)
{
    struct wm_view v = {(const char *)*p, len};
    *p += len;
    return v;
}

enum wm_status wm_frame_decode(const uint8_t *p, struct wm_entry *out, struct wm_change changes[WM_MAX_CHANGES])
{
    size_t len = wm_get_le32(p + FRAME_LEN), header = wm_get_le16(p + FRAME_HEADER_LEN);
    size_t source = wm_get_le16(p + FRAME_SOURCE_LEN), name = wm_get_le16(p + FRAME_NAME_LEN);
    size_t principal = wm_get_le16(p + FRAME_PRINCIPAL_LEN), record = wm_get_le32(p + FRAME_RECORD_LEN);
    size_t changes_len = wm_get_le32(p + FRAME_CHANGES_LEN), n_changes = wm_get_le16(p + FRAME_N_CHANGES);
    /* each below 2^32, so the sum cannot overflow 64 bits */
    if (round_up_8(header + source + name + principal + record + changes_len) != len || n_changes > WM_MAX_CHANGES ||
        record > WM_MAX_RECORD_BYTES || wm_get_le32(p + FRAME_ZERO) != 0)
        return WM_E_CORRUPT;
    const uint8_t *at = p + header;
    struct wm_entry e = {
        .seq = wm_get_le64(p + FRAME_SEQ),
        .time = {(int64_t)wm_get_le64(p + FRAME_TIME)},
        .flags = wm_get_le16(p + FRAME_FLAGS),
        .n_changes = n_changes,
        .changes = changes,
    };
    e.event_source = take(&at, source);
    e.event_name = take(&at, name);
    e.principal = take(&at, principal);
    e.record = take(&at, record);
    const uint8_t *end = at + changes_len;
    for (size_t i = 0; i < n_changes; i++) {
        if (end - at < CHANGE_HEADER_BYTES)
            return WM_E_CORRUPT;
        size_t kind = wm_get_le16(at + CHANGE_KIND_LEN), id = wm_get_le16(at + CHANGE_ID_LEN);
        size_t document = wm_get_le32(at + CHANGE_DOC_LEN);
        at += CHANGE_HEADER_BYTES;
        if (kind == 0 || kind > JOURNAL_MAX_KIND_BYTES || id == 0 || id > JOURNAL_MAX_ID_BYTES ||
            document > WM_MAX_DOCUMENT_BYTES || kind + id + document > (size_t)(end - at))
            return WM_E_CORRUPT;
        changes[i].kind = take(&at, kind);
        changes[i].id = take(&at, id);
        changes[i].document = take(&at, document);
    }
    if (at != end)
        return WM_E_CORRUPT;
    for (; at < p + len; at++)
        if (*at != 0)
            return WM_E_CORRUPT;
    *out = e;
    return WM_OK;
}

/* ---- names and headers of segments ---- */

bool wm_segment_name(const char *name, uint64_t *out_ordinal)
{
    struct wm_view v = wm_view_of(name);
    uint64_t ordinal;
    if (!wm_view_ends(v, ".journal"))
        return false;
    v.len -= strlen(".journal");
    /* at least 10 digits, no further zeros in front */
    if (v.len < 10 || (v.len > 10 && v.ptr[0] == '0') || wm_view_to_u64(v, UINT64_MAX - 1, &ordinal) != WM_OK ||
        ordinal == 0)
        return false;
    *out_ordinal = ordinal;
    return true;
}

static enum wm_status header_bad(const char **out_what, const char *what)
{
    *out_what = what;
    return WM_E_CORRUPT;
}

enum wm_status wm_segment_header_decode(uint8_t h[SEGMENT_HEADER_BYTES], size_t len, uint64_t ordinal,
                                        uint64_t file_bytes, struct wm_segment_header *out, const char **out_what)
{
    if (len < SEGMENT_HEADER_BYTES || memcmp(h + SEG_MAGIC, SEGMENT_MAGIC, 8) != 0)
        return header_bad(out_what, "it has no header");
    uint32_t crc = wm_get_le32(h + SEG_CRC);
    wm_put_le32(h + SEG_CRC, 0);
    bool good = crc == wm_crc32(0, h, SEGMENT_HEADER_BYTES);
    wm_put_le32(h + SEG_CRC, crc);
    if (!good)
        return header_bad(out_what, "its header is damaged");
    *out = (struct wm_segment_header){
        .version = wm_get_le32(h + SEG_VERSION),
        .incompat = wm_get_le32(h + SEG_INCOMPAT),
        .compat = wm_get_le32(h + SEG_COMPAT),
        .salt = wm_get_le32(h + SEG_SALT),
        .ordinal = wm_get_le64(h + SEG_ORDINAL),
        .bytes = wm_get_le64(h + SEG_LEN),
        .synced_seq = wm_get_le64(h + SEG_SYNCED),
        .created = {(int64_t)wm_get_le64(h + SEG_CREATED)},
    };
    memcpy(out->id, h + SEG_ID, JOURNAL_ID_BYTES);
    if (out->version > SEGMENT_VERSION || out->incompat != 0)
        return WM_E_UNSUPPORTED;
    if (out->ordinal != ordinal)
        return header_bad(out_what, "it is another segment under this name");
    if (file_bytes != out->bytes || wm_get_le32(h + SEG_HEADER_LEN) != SEGMENT_HEADER_BYTES)
        return header_bad(out_what, "its size is not what the header says");
    return WM_OK;
}

/* ---- window ---- */

void wm_window_init(struct wm_window *w, const struct wm_io *io)
{
    *w = (struct wm_window){.io = io, .fd = -1};
}

void wm_window_done(struct wm_window *w)
{
    free(w->data);
    w->data = NULL;
    w->cap = 0;
}

void wm_window_set(struct wm_window *w, int fd, uint64_t file_bytes)
{
    w->fd = fd;
    w->file_bytes = file_bytes;
    w->tail = NULL;
    w->len = 0;
}

void wm_window_show(struct wm_window *w, const struct wm_tail *t, uint64_t ordinal, uint32_t salt)
{
    w->tail = wm_tail_fits(t, ordinal, salt, w->file_bytes) ? t : NULL;
}

static void show_tail(struct wm_window *w)
{
    const struct wm_tail *t = w->tail;
    uint64_t from = t->offset > w->offset ? t->offset : w->offset;
    uint64_t to = t->offset + t->len < w->offset + w->len ? t->offset + t->len : w->offset + w->len;
    if (from < to)
        memcpy(w->data + (from - w->offset), t->data + TAIL_HEADER_BYTES + (from - t->offset), (size_t)(to - from));
}

enum wm_status wm_window_get(struct wm_window *w, uint64_t offset, size_t need, const uint8_t **out, size_t *out_len,
                             struct wm_err *err)
{
    uint64_t rest = offset < w->file_bytes ? w->file_bytes - offset : 0;
    if (need > rest)
        need = (size_t)rest;
    if (w->len == 0 || offset < w->offset || offset - w->offset > w->len || w->len - (offset - w->offset) < need) {
        size_t want = need > WINDOW_BYTES ? need : WINDOW_BYTES;
        if (want > rest)
            want = (size_t)rest;
        if (want > w->cap) {
            uint8_t *data = realloc(w->data, want);
            if (!data)
                return wm_fail(err, WM_E_NOMEM, "no memory to read a segment");
            w->data = data;
            w->cap = want;
        }
        w->len = 0;
        w->offset = offset;
        enum wm_status status = wm_io_read_all(w->io, w->fd, w->data, want, offset, &w->len, err);
        if (status != WM_OK) {
            w->len = 0;
            return status;
        }
        if (w->tail)
            show_tail(w);
    }
    *out = w->len ? w->data + (offset - w->offset) : NULL;
    *out_len = w->len ? w->len - (size_t)(offset - w->offset) : 0;
    return WM_OK;
}

enum wm_status wm_window_frame(struct wm_window *w, uint64_t offset, uint32_t salt, const uint8_t **out, size_t *out_len,
                               struct wm_err *err)
{
    size_t need = FRAME_HEADER_BYTES, have, len;
    const uint8_t *p;
    for (;;) {
        enum wm_status status = wm_window_get(w, offset, need, &p, &have, err);
        if (status != WM_OK)
            return status;
        if (have < need)
            return WM_E_NOT_FOUND;
        enum frame_result found = wm_frame_check(p, have, w->file_bytes - offset, salt, &len);
        if (found == FRAME_BAD)
            return WM_E_NOT_FOUND;
        if (found == FRAME_OK) {
            *out = p;
            *out_len = len;
            return WM_OK;
        }
        need = len;
    }
}

enum wm_status wm_window_find(struct wm_window *w, uint64_t *offset, uint32_t salt, const uint8_t **out, size_t *out_len,
                              uint64_t *out_torn_end, struct wm_err *err)
{
    for (uint64_t at = *offset; at + FRAME_HEADER_BYTES <= w->file_bytes;) {
        const uint8_t *p;
        size_t have, i = 0;
        enum wm_status status = wm_window_get(w, at, FRAME_HEADER_BYTES, &p, &have, err);
        if (status != WM_OK)
            return status;
        if (have < FRAME_HEADER_BYTES)
            break;
        while (i + 4 <= have && wm_get_le32(p + i) != salt)
            i += 8;
        at += i;
        if (i + 4 > have || at + FRAME_HEADER_BYTES > w->file_bytes)
            continue;
        status = wm_window_frame(w, at, salt, out, out_len, err);
        if (status == WM_OK)
            *offset = at;
        if (status != WM_E_NOT_FOUND)
            return status;
        if (out_torn_end)
            *out_torn_end = at + FRAME_HEADER_BYTES;
        at += 8;
    }
    return WM_E_NOT_FOUND;
}
