#include "batch.h"

#include "waymark/bounds.h"

#include "waymark/banned.h"

/* clients.md 2.7: one line, the first and only member is Records. */
#define BATCH_HEAD "{\"Records\":["
#define BATCH_TAIL "]}"
/* Hashed in such pieces while they are in the processor's cache: later, it waits for memory half of its time. */
#define BATCH_HASH_BYTES ((size_t)64 * 1024)
#define BATCH_FRAME_BYTES (sizeof BATCH_HEAD - 1 + sizeof BATCH_TAIL - 1)
/*
 * What delivery adds to a record, as its last members; readers skip a member that they do not know.
 * Sequence: verifiers follow it from record to record, and so see one that is missing or stands twice
 * (docs/verification.md, "Sequence numbers"). Addendum: User Guide, "CloudTrail record contents", addendum.
 */
#define BATCH_ADDENDUM ",\"addendum\":{\"reason\":\"DELIVERY_DELAY\"}"
#define BATCH_SEQUENCE ",\"waymarkSequence\":"
#define BATCH_SEQUENCE_DIGITS 20
#define BATCH_ADDED_BYTES (sizeof BATCH_ADDENDUM - 1 + sizeof BATCH_SEQUENCE - 1 + BATCH_SEQUENCE_DIGITS)

void wm_batch_init(struct wm_batch *b, const struct wm_batch_limits *limits)
{
    *b = (struct wm_batch){.limits = *limits};
    uint64_t most = limits->bytes;
    if (most < WM_MAX_RECORD_BYTES + BATCH_ADDED_BYTES + BATCH_FRAME_BYTES)
        most = WM_MAX_RECORD_BYTES + BATCH_ADDED_BYTES + BATCH_FRAME_BYTES;
    wm_buf_init(&b->body, most);
}

void wm_batch_repeat(struct wm_batch *b, struct wm_wall_ns late_before)
{
    /* The limits of the settings may be others today: the plan's range alone decides. */
    static const struct wm_batch_limits any = {.bytes = WM_MAX_BATCH_BYTES, .records = UINT64_MAX};
    wm_batch_done(b);
    wm_batch_init(b, &any);
    b->repeats = true;
    b->late_before = late_before;
}

void wm_batch_done(struct wm_batch *b)
{
    wm_buf_done(&b->body);
    wm_sha256_stream_free(b->hash);
    b->hash = NULL;
}

static void batch_hash(struct wm_batch *b)
{
    wm_sha256_stream_add(b->hash, b->body.data + b->hashed, b->body.len - b->hashed);
    b->hashed = b->body.len;
}

/* A stream begins anew when its digest was taken. */
static void batch_hash_forget(struct wm_batch *b)
{
    if (b->hash && b->hashed)
        wm_sha256_stream_end(b->hash, b->sha256);
    b->hashed = 0;
}

void wm_batch_clear(struct wm_batch *b)
{
    wm_buf_clear(&b->body);
    b->first_seq = b->last_seq = 0;
    b->records = b->filtered = 0;
    batch_hash_forget(b);
    b->closed = false;
}

/* An entry's record as the file has it: the journal's bytes, the added members before the last brace. */
struct batch_record {
    struct wm_view members;        /* up to the brace */
    struct wm_view addendum;
    char sequence[sizeof BATCH_SEQUENCE + BATCH_SEQUENCE_DIGITS];
    size_t sequence_len;
    size_t len;                    /* of it all */
};

static enum wm_status batch_record(const struct wm_entry *e, struct wm_wall_ns late_before, struct batch_record *out,
                                   struct wm_err *err)
{
    if (e->record.len <= 2 || e->record.ptr[0] != '{' || e->record.ptr[e->record.len - 1] != '}')
        return wm_fail(err, WM_E_CORRUPT, "record %llu of the journal is not an object with members",
                       (unsigned long long)e->seq);
    out->members = wm_view_sub(e->record, 0, e->record.len - 1);
    out->addendum = e->time.ns < late_before.ns ? WM_LIT(BATCH_ADDENDUM) : WM_EMPTY;
    char digits[BATCH_SEQUENCE_DIGITS], *p = digits + sizeof digits;
    for (uint64_t n = e->seq; p == digits + sizeof digits || n; n /= 10)
        *--p = (char)('0' + n % 10);
    size_t n_digits = (size_t)(digits + sizeof digits - p);
    memcpy(out->sequence, BATCH_SEQUENCE, sizeof BATCH_SEQUENCE - 1);
    memcpy(out->sequence + sizeof BATCH_SEQUENCE - 1, p, n_digits);
    out->sequence_len = sizeof BATCH_SEQUENCE - 1 + n_digits;
    out->len = out->members.len + out->addendum.len + out->sequence_len + 1;
    return WM_OK;
}

static bool batch_fits(const struct wm_batch *b, size_t record_len)
{
    if (b->records == 0)
        return true;
    /* body holds the head and the records so far; one comma, the record and the tail come to it */
    return b->records < b->limits.records &&
           b->body.len + 1 + record_len + (sizeof BATCH_TAIL - 1) <= b->limits.bytes;
}

static enum wm_status batch_add_record(struct wm_batch *b, const struct wm_entry *e, struct wm_wall_ns late_before,
                                       struct wm_err *err)
{
    struct batch_record r = {0};
    enum wm_status status = batch_record(e, late_before, &r, err);
    if (status != WM_OK)
        return status;
    if (!batch_fits(b, r.len))
        return wm_fail(err, WM_E_FULL, "the batch is full");
    if (!b->hash && !(b->hash = wm_sha256_stream_new()))
        return wm_fail(err, WM_E_NOMEM, "no memory to hash a batch");
    size_t before = b->body.len;
    if (b->records == 0)
        wm_buf_add_str(&b->body, BATCH_HEAD);
    else
        wm_buf_add_char(&b->body, ',');
    wm_buf_add_view(&b->body, r.members);
    wm_buf_add_view(&b->body, r.addendum);
    wm_buf_add(&b->body, r.sequence, r.sequence_len);
    wm_buf_add_char(&b->body, '}');
    status = wm_buf_status(&b->body);
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
    if (b->body.len - b->hashed >= BATCH_HASH_BYTES)
        batch_hash(b);
    return WM_OK;
}

enum wm_status wm_batch_add(struct wm_batch *b, const struct wm_entry *e, struct wm_wall_ns wall,
                            struct wm_mono_ns mono, struct wm_err *err)
{
    struct wm_wall_ns late_before = b->late_before;
    if (b->first_seq == 0 && !b->repeats)
        late_before.ns = b->limits.late_after_ms ? wall.ns - b->limits.late_after_ms * WM_NS_PER_MS : INT64_MIN;
    if (e->record.len) {
        enum wm_status status = batch_add_record(b, e, late_before, err);
        if (status != WM_OK)
            return status;
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
        b->late_before = late_before;
    }
    b->last_seq = e->seq;
    return WM_OK;
}

bool wm_batch_full(const struct wm_batch *b)
{
    return b->closed || (b->records > 0 && !batch_fits(b, 1));
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
    if (b->closed)
        return WM_OK;
    wm_buf_add_str(&b->body, BATCH_TAIL);
    enum wm_status status = wm_buf_status(&b->body);
    if (status != WM_OK) {
        b->body.status = WM_OK;
        return wm_fail(err, status, "no room for the end of a batch");
    }
    batch_hash(b);
    wm_sha256_stream_end(b->hash, b->sha256);
    b->hashed = 0;
    b->closed = true;
    return WM_OK;
}
