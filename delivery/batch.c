#include "batch.h"

#include "waymark/bounds.h"

#include "waymark/banned.h"

/* clients.md 2.7: one line, the first and only member is Records. */
#define BATCH_HEAD "{\"Records\":["
#define BATCH_TAIL "]}"
#define BATCH_FRAME_BYTES (sizeof BATCH_HEAD - 1 + sizeof BATCH_TAIL - 1)

void wm_batch_init(struct wm_batch *b, const struct wm_batch_limits *limits)
{
    *b = (struct wm_batch){.limits = *limits};
    uint64_t most = limits->bytes;
    if (most < WM_MAX_RECORD_BYTES + BATCH_FRAME_BYTES)
        most = WM_MAX_RECORD_BYTES + BATCH_FRAME_BYTES;
    wm_buf_init(&b->body, most);
}

void wm_batch_done(struct wm_batch *b)
{
    wm_buf_done(&b->body);
}

void wm_batch_clear(struct wm_batch *b)
{
    wm_buf_clear(&b->body);
    b->first_seq = b->last_seq = 0;
    b->records = b->filtered = 0;
}

static bool batch_fits(const struct wm_batch *b, size_t record_len)
{
    if (b->records == 0)
        return true;
    /* body holds the head and the records so far; one comma, the record and the tail come to it */
    return b->records < b->limits.records &&
           b->body.len + 1 + record_len + (sizeof BATCH_TAIL - 1) <= b->limits.bytes;
}

enum wm_status wm_batch_add(struct wm_batch *b, const struct wm_entry *e, struct wm_wall_ns wall,
                            struct wm_mono_ns mono, struct wm_err *err)
{
    if (e->record.len) {
        if (!batch_fits(b, e->record.len))
            return wm_fail(err, WM_E_FULL, "the batch is full");
        size_t before = b->body.len;
        if (b->records == 0)
            wm_buf_add_str(&b->body, BATCH_HEAD);
        else
            wm_buf_add_char(&b->body, ',');
        wm_buf_add_view(&b->body, e->record);
        enum wm_status status = wm_buf_status(&b->body);
        if (status != WM_OK) {
            wm_buf_truncate(&b->body, before);
            b->body.status = WM_OK; /* memory may be there the next time */
            return wm_fail(err, status, "no room for record %llu in a batch", (unsigned long long)e->seq);
        }
        if (b->records == 0 || e->time.ns > b->newest.ns)
            b->newest = e->time;
        if (b->records == 0 || e->time.ns < b->oldest.ns)
            b->oldest = e->time;
        b->records++;
    } else {
        b->filtered++;
    }
    if (b->first_seq == 0) {
        int64_t age_ms = (wall.ns - e->time.ns) / WM_NS_PER_MS;
        if (age_ms < 0)
            age_ms = 0;
        if (age_ms > b->limits.age_ms)
            age_ms = b->limits.age_ms;
        b->due.ns = mono.ns + (b->limits.age_ms - age_ms) * WM_NS_PER_MS;
        b->first_seq = e->seq;
    }
    b->last_seq = e->seq;
    return WM_OK;
}

bool wm_batch_full(const struct wm_batch *b)
{
    return b->records > 0 && !batch_fits(b, 1);
}

int64_t wm_batch_due_ms(const struct wm_batch *b, struct wm_mono_ns mono)
{
    if (b->first_seq == 0)
        return INT64_MAX;
    int64_t left = b->due.ns - mono.ns;
    return left <= 0 ? 0 : (left + WM_NS_PER_MS - 1) / WM_NS_PER_MS;
}

enum wm_status wm_batch_close(struct wm_batch *b, struct wm_err *err)
{
    WM_ASSERT(b->records > 0);
    wm_buf_add_str(&b->body, BATCH_TAIL);
    enum wm_status status = wm_buf_status(&b->body);
    if (status != WM_OK) {
        b->body.status = WM_OK;
        return wm_fail(err, status, "no room for the end of a batch");
    }
    return WM_OK;
}
