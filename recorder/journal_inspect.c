/*
 * The journal from outside, read-only. Bytes are taken apart by journal_frame.c; what is damage and what is a torn tail
 * follows recovery (head of journal.c): where no frame with the expected number follows at once, it is damage if
 * anything behind claims that this entry was durable. Then the walk goes on with the next frame that can be read.
 *
 * The process that writes may be at work. Three things can then look like damage, so before it is called that, the
 * place is read once more: a frame may have been finished since; a segment may have been retired, and be gone; or its
 * file may have been given a new header.
 */
#include "waymark/journal_inspect.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "recorder/journal_int.h"

#include "waymark/banned.h"

#define INSPECT_MAX_SEGMENTS (16u * 1024u * 1024u) /* as in recovery: more names than this are not ours */
#define NAME_BYTES 32
#define WHAT_BYTES 160

static_assert(WM_JOURNAL_ID_BYTES == JOURNAL_ID_BYTES, "the public one is the same");

struct part {
    uint64_t ordinal;
    uint64_t file_bytes;
    struct wm_segment_header header;
    const char *bad; /* what is wrong with the header; NULL: nothing */
    bool foreign;    /* a good header, of another segment: its frames have nothing to do with this journal */
    bool gone;       /* not there any more when it was opened */
};

struct inspection {
    const struct wm_journal_inspection *o;
    struct wm_journal_summary sum;
    struct wm_err *err;
    struct wm_window window;
    struct wm_tail tail;
    struct part *parts;
    size_t n;
    size_t cap;
    bool no_memory;
    /* the walk */
    struct wm_journal_segment *segment; /* being walked */
    uint64_t expected;   /* number of the next entry; 0: not known yet */
    size_t end_part;     /* where the frames taken so far end: there the next one is missing, if one is */
    uint64_t end_offset;
    bool claim_known;
    uint64_t claim;      /* the highest one of the whole journal, looked for at the first trouble */
    bool torn_bytes;     /* behind the end something begins as a frame */
    bool over;           /* nothing behind the end counts */
    bool enough;         /* the caller has seen enough */
    struct wm_change changes[WM_MAX_CHANGES];
};

static void name_of(uint64_t ordinal, char out[NAME_BYTES])
{
    (void)snprintf(out, NAME_BYTES, "%010llu.journal", (unsigned long long)ordinal);
}

static void tell(struct inspection *in, bool damage, size_t part, uint64_t offset, const char *what)
{
    char name[NAME_BYTES];
    name_of(in->parts[part].ordinal, name);
    struct wm_journal_finding f = {damage, name, offset, in->expected, what};
    if (damage)
        in->sum.damages++;
    else
        in->sum.notes++;
    if (in->o->finding)
        in->o->finding(in->o->arg, &f);
}

/* ---- the folder ---- */

static int note_name(void *arg, const char *name)
{
    struct inspection *in = arg;
    uint64_t ordinal;
    if (strcmp(name, "spare") == 0)
        in->sum.spare = true;
    if (strcmp(name, "fill.tmp") == 0)
        in->sum.unfinished = true;
    if (!wm_segment_name(name, &ordinal))
        return 0;
    if (in->n == in->cap) {
        size_t cap = in->cap ? in->cap * 2 : 64;
        struct part *more = cap > INSPECT_MAX_SEGMENTS ? NULL : realloc(in->parts, cap * sizeof *more);
        if (!more) {
            in->no_memory = true;
            return 1;
        }
        in->parts = more;
        in->cap = cap;
    }
    in->parts[in->n++] = (struct part){.ordinal = ordinal};
    return 0;
}

static int by_ordinal(const void *a, const void *b)
{
    const struct part *x = a, *y = b;
    return x->ordinal < y->ordinal ? -1 : x->ordinal > y->ordinal;
}

static void window_close(struct inspection *in)
{
    if (in->window.fd >= 0)
        (void)in->o->io->close(in->o->io->ctx, in->window.fd); /* only read */
    in->window.fd = -1;
}

/* Open it in the window. @return WM_E_NOT_FOUND: the file is not there any more */
static enum wm_status window_open(struct inspection *in, const struct part *p)
{
    const struct wm_io *io = in->o->io;
    char path[SEGMENT_PATH_BYTES], name[NAME_BYTES];
    window_close(in);
    name_of(p->ordinal, name);
    (void)snprintf(path, sizeof path, "%s/%s", in->o->dir, name); /* dir's length is checked at the start */
    int fd = io->open(io->ctx, path, O_RDONLY, 0);
    if (fd < 0)
        return wm_fail_errno(in->err, -fd, "cannot open %s", path);
    wm_window_set(&in->window, fd, p->file_bytes);
    wm_window_show(&in->window, &in->tail, p->ordinal, p->header.salt);
    return WM_OK;
}

static enum wm_status read_header(struct inspection *in, struct part *p)
{
    uint8_t h[SEGMENT_HEADER_BYTES];
    size_t len;
    struct stat st;
    enum wm_status status = window_open(in, p);
    if (status == WM_E_NOT_FOUND) {
        p->gone = true;
        return WM_OK;
    }
    if (status == WM_OK)
        status = wm_io_read_all(in->o->io, in->window.fd, h, sizeof h, 0, &len, in->err);
    int rc = status == WM_OK ? in->o->io->fstat(in->o->io->ctx, in->window.fd, &st) : 0;
    window_close(in);
    if (status != WM_OK)
        return status;
    if (rc < 0)
        return wm_fail_errno(in->err, -rc, "cannot stat %s/%010llu.journal", in->o->dir, (unsigned long long)p->ordinal);
    p->file_bytes = (uint64_t)st.st_size;
    status = wm_segment_header_decode(h, len, p->ordinal, p->file_bytes, &p->header, &p->bad);
    if (status == WM_E_UNSUPPORTED)
        return wm_fail(in->err, status, "%s/%010llu.journal was written by a newer version (format %u, flags %x)",
                       in->o->dir, (unsigned long long)p->ordinal, p->header.version, p->header.incompat);
    p->foreign = p->bad && p->header.ordinal != 0 && p->header.ordinal != p->ordinal;
    return WM_OK;
}

/* Recovery takes the oldest segment's id for the journal's; for a person the odd one out is the foreign one. */
static void find_foreign(struct inspection *in)
{
    const uint8_t *id = NULL;
    size_t votes = 0; /* Boyer and Moore, "MJRTY: A Fast Majority Vote Algorithm" */
    for (size_t i = 0; i < in->n; i++) {
        const struct part *p = &in->parts[i];
        if (p->bad || p->gone)
            continue;
        if (votes == 0)
            id = p->header.id;
        if (memcmp(id, p->header.id, JOURNAL_ID_BYTES) == 0)
            votes++;
        else
            votes--;
    }
    if (!id)
        return;
    memcpy(in->sum.id, id, JOURNAL_ID_BYTES);
    for (size_t i = 0; i < in->n; i++) {
        struct part *p = &in->parts[i];
        if (!p->bad && !p->gone && memcmp(in->sum.id, p->header.id, JOURNAL_ID_BYTES) != 0) {
            p->bad = "it belongs to another journal";
            p->foreign = true;
        }
    }
}

static enum wm_status look_at_folder(struct inspection *in)
{
    const struct wm_io *io = in->o->io;
    if (strlen(in->o->dir) >= WM_MAX_PATH_BYTES)
        return wm_fail(in->err, WM_E_LIMIT, "the journal's path is longer than %u bytes", WM_MAX_PATH_BYTES);
    int rc = io->list(io->ctx, in->o->dir, note_name, in);
    if (in->no_memory)
        return wm_fail(in->err, WM_E_NOMEM, "no memory to list the journal's segments");
    if (rc < 0)
        return wm_fail_errno(in->err, -rc, "cannot list the folder %s", in->o->dir);
    if (in->n == 0)
        return wm_fail(in->err, WM_E_NOT_FOUND, "there is no segment of a journal in %s", in->o->dir);
    qsort(in->parts, in->n, sizeof *in->parts, by_ordinal);
    for (size_t i = 0; i < in->n; i++) {
        enum wm_status status = read_header(in, &in->parts[i]);
        if (status != WM_OK)
            return status;
        in->sum.bytes += in->parts[i].file_bytes;
    }
    find_foreign(in);
    in->sum.segments = in->n;
    return wm_tail_load(io, in->o->dir, &in->tail, in->err);
}

/* ---- the walk ---- */

/* Can its frames be read? Of a damaged header only the salt is needed, and each frame repeats it. */
static enum wm_status salt_of(struct inspection *in, const struct part *p, uint32_t *out)
{
    const uint8_t *frame;
    size_t len;
    *out = 0;
    if (p->foreign)
        return WM_OK;
    if (p->header.ordinal != 0) {
        *out = p->header.salt;
        return WM_OK;
    }
    enum wm_status status = wm_window_get(&in->window, SEGMENT_HEADER_BYTES, 4, &frame, &len, in->err);
    if (status == WM_OK && len >= 4)
        *out = wm_get_le32(frame);
    return status;
}

/* The highest claim that anything from this place to the end of the journal makes. */
static enum wm_status find_claim(struct inspection *in, size_t part, uint64_t offset)
{
    for (size_t i = part; i < in->n; i++, offset = SEGMENT_HEADER_BYTES) {
        const struct part *p = &in->parts[i];
        const uint8_t *frame;
        size_t len;
        uint32_t salt;
        if (p->foreign || p->gone)
            continue;
        if (i != part && p->header.synced_seq > in->claim)
            in->claim = p->header.synced_seq;
        enum wm_status status = window_open(in, p);
        if (status == WM_OK)
            status = salt_of(in, p, &salt);
        while (status == WM_OK && salt != 0 &&
               (status = wm_window_find(&in->window, &offset, salt, &frame, &len, NULL, in->err)) == WM_OK) {
            if (wm_get_le64(frame + FRAME_SYNCED) > in->claim)
                in->claim = wm_get_le64(frame + FRAME_SYNCED);
            offset += 8;
        }
        if (status != WM_OK && status != WM_E_NOT_FOUND)
            return status;
    }
    in->claim_known = true; /* what stands in front of a later place claims less than that place has */
    return WM_OK;
}

/* Does the frame follow what has been read? */
static bool fits(const struct inspection *in, const uint8_t *frame)
{
    uint64_t seq = wm_get_le64(frame + FRAME_SEQ);
    if (in->expected == 0)
        return true;
    if (frame[FRAME_KIND] == FRAME_ENTRY)
        return seq == in->expected;
    return frame[FRAME_KIND] != FRAME_MARK || seq + 1 == in->expected;
}

enum verdict {
    VERDICT_DAMAGE,
    VERDICT_TORN,    /* nothing of what follows was ever acknowledged */
    VERDICT_AGAIN,   /* it fits now: read on from the end */
    VERDICT_RETIRED, /* the segment was taken away meanwhile */
};

/* What follows the end does not fit. Closes the window. */
static enum wm_status judge(struct inspection *in, enum verdict *out)
{
    const struct part *p = &in->parts[in->end_part];
    enum wm_status status = in->claim_known ? WM_OK : find_claim(in, in->end_part, in->end_offset);
    window_close(in);
    if (status != WM_OK)
        return status;
    *out = in->claim >= in->expected ? VERDICT_DAMAGE : VERDICT_TORN;
    if (*out == VERDICT_TORN || p->bad)
        return WM_OK;
    struct part now = {.ordinal = p->ordinal};
    status = read_header(in, &now);
    if (status != WM_OK)
        return status;
    if (now.gone || (!now.bad && now.header.salt != p->header.salt)) {
        *out = VERDICT_RETIRED;
        return WM_OK;
    }
    status = window_open(in, p);
    if (status == WM_OK) {
        const uint8_t *frame;
        size_t len;
        status = wm_window_frame(&in->window, in->end_offset, p->header.salt, &frame, &len, in->err);
        if (status == WM_OK && fits(in, frame))
            *out = VERDICT_AGAIN;
    }
    window_close(in);
    return status == WM_E_NOT_FOUND ? WM_OK : status;
}

static void tell_missing(struct inspection *in, uint64_t next)
{
    char what[WHAT_BYTES];
    if (next == in->expected)
        (void)snprintf(what, sizeof what, "bytes that are no frame; no entry is missing");
    else if (next == in->expected + 1)
        (void)snprintf(what, sizeof what, "the entry is damaged or missing");
    else
        (void)snprintf(what, sizeof what, "entries up to %llu are damaged or missing", (unsigned long long)(next - 1));
    tell(in, true, in->end_part, in->end_offset, what);
}

/* A frame that fits. */
static enum wm_status take_frame(struct inspection *in, size_t part, uint64_t offset, const uint8_t *frame, size_t len)
{
    struct wm_journal_segment *seg = in->segment;
    uint64_t seq = wm_get_le64(frame + FRAME_SEQ);
    if (wm_frame_known(frame) != WM_OK)
        return wm_fail(in->err, WM_E_UNSUPPORTED, "entry %llu was written by a newer version", (unsigned long long)seq);
    in->end_part = part;
    in->end_offset = offset + len;
    in->torn_bytes = false;
    seg->used_bytes = in->end_offset;
    if (frame[FRAME_KIND] == FRAME_MARK) {
        seg->marks++;
        in->expected = seq + 1;
    }
    if (frame[FRAME_KIND] != FRAME_ENTRY)
        return WM_OK;
    struct wm_entry e;
    in->expected = seq;
    if (wm_frame_decode(frame, &e, in->changes) != WM_OK) {
        tell(in, true, part, offset, "the entry contradicts itself");
        in->expected = seq + 1;
        return WM_OK;
    }
    in->expected = seq + 1;
    if (seg->first_seq == 0)
        seg->first_seq = seq;
    seg->last_seq = seq;
    seg->entries++;
    if (in->sum.first_seq == 0)
        in->sum.first_seq = seq;
    in->sum.last_seq = seq;
    in->sum.entries++;
    if (in->o->entry && !in->o->entry(in->o->arg, &e))
        in->enough = true;
    return WM_OK;
}

/* The frame at hand does not follow what was read before it. @param offset  moved to where reading goes on */
static enum wm_status meet_trouble(struct inspection *in, size_t part, uint64_t *offset, const uint8_t *frame, bool *out_take)
{
    enum verdict verdict;
    uint64_t seq = wm_get_le64(frame + FRAME_SEQ), next = frame[FRAME_KIND] == FRAME_MARK ? seq + 1 : seq;
    bool optional = frame[FRAME_KIND] >= FRAME_FIRST_OPTIONAL;
    *out_take = false;
    enum wm_status status = judge(in, &verdict); /* the frame is gone now; it is read again when it is to be taken */
    if (status != WM_OK)
        return status;
    if (verdict == VERDICT_TORN) {
        in->over = in->torn_bytes = true;
        return WM_OK;
    }
    if (verdict == VERDICT_AGAIN && in->end_part != part) {
        in->over = true; /* it was full by now; what was there when it was read ends here */
        return WM_OK;
    }
    if (verdict == VERDICT_AGAIN) {
        *offset = in->end_offset;
    } else if (verdict == VERDICT_RETIRED) {
        tell(in, false, in->end_part, in->end_offset, "the segment was retired while the journal was read");
        in->expected = 0;
        *out_take = true;
    } else if (next >= in->expected && !optional) {
        tell_missing(in, next);
        *out_take = true;
    } else {
        *offset += 8; /* not of this place; what is missing is told with the next one that counts */
    }
    return window_open(in, &in->parts[part]);
}

static enum wm_status walk_part(struct inspection *in, size_t part)
{
    struct part *p = &in->parts[part];
    uint64_t offset = SEGMENT_HEADER_BYTES, torn_end = 0;
    uint32_t salt;
    bool whole = true; /* nothing was stepped over since the last frame, or since the segment's beginning */
    enum wm_status status = window_open(in, p);
    if (status == WM_E_NOT_FOUND) {
        p->gone = true;
        return WM_OK;
    }
    if (status == WM_OK)
        status = salt_of(in, p, &salt);
    while (status == WM_OK && salt != 0 && !in->over && !in->enough) {
        const uint8_t *frame;
        size_t len;
        uint64_t from = offset;
        status = wm_window_find(&in->window, &offset, salt, &frame, &len, &torn_end, in->err);
        if (status != WM_OK)
            break;
        whole = whole && from == offset;
        bool take = whole && fits(in, frame);
        if (!take) {
            status = meet_trouble(in, part, &offset, frame, &take);
            if (status == WM_OK && take)
                status = wm_window_frame(&in->window, offset, salt, &frame, &len, in->err);
            whole = offset == in->end_offset && in->end_part == part;
            if (status != WM_OK || !take)
                continue;
        }
        status = take_frame(in, part, offset, frame, len);
        offset += len;
        whole = true;
    }
    if (status == WM_E_NOT_FOUND)
        status = WM_OK;
    if (torn_end > (in->end_part == part ? in->end_offset : 0))
        in->torn_bytes = true;
    return status;
}

static void begin_segment(const struct part *p, const char *name, struct wm_journal_segment *out)
{
    *out = (struct wm_journal_segment){.name = name, .ordinal = p->ordinal, .file_bytes = p->file_bytes};
    if (p->bad)
        return;
    out->readable = true;
    memcpy(out->id, p->header.id, JOURNAL_ID_BYTES);
    out->version = p->header.version;
    out->incompat_flags = p->header.incompat;
    out->compat_flags = p->header.compat;
    out->salt = p->header.salt;
    out->synced_seq = p->header.synced_seq;
    out->created = p->header.created;
    out->used_bytes = SEGMENT_HEADER_BYTES;
}

static enum wm_status walk(struct inspection *in)
{
    uint64_t header_claim = 0;
    in->expected = in->parts[0].ordinal == 1 ? 1 : 0;
    in->end_offset = SEGMENT_HEADER_BYTES;
    for (size_t i = 0; i < in->n && !in->enough; i++) {
        struct part *p = &in->parts[i];
        char name[NAME_BYTES], what[WHAT_BYTES];
        struct wm_journal_segment seg;
        name_of(p->ordinal, name);
        begin_segment(p, name, &seg);
        in->segment = &seg;
        if (i > 0 && p->ordinal != in->parts[i - 1].ordinal + 1) {
            (void)snprintf(what, sizeof what, "segments %llu to %llu before this one are missing",
                           (unsigned long long)in->parts[i - 1].ordinal + 1, (unsigned long long)p->ordinal - 1);
            tell(in, true, i, 0, what);
        }
        if (p->bad)
            tell(in, true, i, 0, p->bad);
        if (!p->bad && !p->gone && p->header.synced_seq > header_claim)
            header_claim = p->header.synced_seq;
        if (!p->gone && !in->over) {
            enum wm_status status = walk_part(in, i);
            if (status != WM_OK)
                return status;
        }
        if (p->gone && !in->over) {
            if (in->sum.entries != 0)
                tell(in, false, i, 0, "the segment was retired while the journal was read");
            in->expected = 0;
        }
        if (i == 0 && !p->gone && !p->bad && in->expected == 0 && !in->enough)
            tell(in, true, i, SEGMENT_HEADER_BYTES, "the oldest segment holds no entry");
        if (in->o->segment && !p->gone && !in->enough)
            in->o->segment(in->o->arg, &seg);
    }
    if (in->enough)
        return WM_OK;
    if (!in->over && in->expected != 0 && header_claim >= in->expected)
        tell_missing(in, header_claim + 1);
    else if (in->torn_bytes)
        tell(in, false, in->end_part, in->end_offset, "a torn tail: opening the journal cuts what follows here");
    return WM_OK;
}

enum wm_status wm_journal_inspect(const struct wm_journal_inspection *o, struct wm_journal_summary *out,
                                  struct wm_err *err)
{
    struct inspection *in = calloc(1, sizeof *in);
    if (!in)
        return wm_fail(err, WM_E_NOMEM, "no memory to look at the journal");
    in->o = o;
    in->err = err;
    wm_window_init(&in->window, o->io);
    enum wm_status status = look_at_folder(in);
    if (status == WM_OK)
        status = walk(in);
    window_close(in);
    wm_window_done(&in->window);
    wm_tail_done(&in->tail);
    free(in->parts);
    if (status == WM_OK)
        *out = in->sum;
    free(in);
    return status;
}
