/*
 * MediaPackage's harvest jobs: live-to-VOD, a window of an endpoint's past copied to a bucket.
 *
 * A job is a document of kind "mediapackage.harvest_job", by its id: what callers see but for its status, and its tags.
 * A document of kind "mediapackage.harvest_job_time" with the id "<createdAt>/<id>" stands beside each, so that the
 * youngest and the oldest are found without reading the others. Both come and go in one entry of the journal.
 *
 * Nothing harvests yet: there is no origin, so no endpoint has any content, and a job whose window has none fails (User
 * Guide, "Live-to-VOD"). So that a client which creates a job and asks until it is over meets what it was written for,
 * a job is IN_PROGRESS when it is created and for RUNS_S, and FAILED from then on. It is never SUCCEEDED, because nothing
 * lies in the bucket. The status follows from the time of creation and is not stored: there is no change of state without
 * a call and its record.
 *
 * Jobs cannot be edited or deleted. A job is kept for 90 days, then its id is free; documents that are older are removed
 * when another is created.
 */
#include "server/services/mediapackage_int.h"
#include "waymark/protocol.h"

#include "waymark/banned.h"

#define INDEX WM_LIT("mediapackage.harvest_job_time")
#define RUNS_S 10
#define KEPT_S (90ll * 24 * 3600)
#define MAX_WINDOW_MS (24ll * 3600 * 1000) /* User Guide, "Quotas": live-to-VOD manifest length */
/* Removed when one is created: more than one, so that the old ones run out; each is two changes. */
#define SWEPT 4u

/* ---- a job's life ---- */

/* Seconds since the job was created; a clock that was set back makes it young again, never gone. */
static int64_t age_s(const struct wm_call *c, const struct wm_json *stored)
{
    struct wm_wall_ns created;
    if (wm_time_parse(wm_json_get_text(stored, "createdAt"), &created) != WM_OK)
        return 0; /* written by wm_time_iso() */
    return wm_wall_seconds(c->now) - wm_wall_seconds(created);
}

static const char *status_of(const struct wm_call *c, const struct wm_json *stored)
{
    return age_s(c, stored) < RUNS_S ? "IN_PROGRESS" : "FAILED";
}

static bool is_gone(const struct wm_call *c, const struct wm_json *stored)
{
    return age_s(c, stored) >= KEPT_S;
}

static struct wm_json *show_job(struct wm_call *c, struct wm_json *stored)
{
    (void)wm_json_remove(stored, "tags"); /* a HarvestJob has none in the model; ListTagsForResource shows them */
    wm_json_set_string(c->arena, stored, "status", wm_view_of(status_of(c, stored)));
    return stored;
}

static const char *const members[] = {"arn",           "channelId", "createdAt", "endTime", "id", "originEndpointId",
                                      "s3Destination", "startTime", "tags",      NULL};

const struct mediapackage_resource mediapackage_harvest_job = {
    .kind = {"mediapackage.harvest_job", sizeof "mediapackage.harvest_job" - 1},
    .name = "harvest job",
    .path = "harvest_jobs",
    .describe = "mediapackage:DescribeHarvestJob",
    .list = "harvestJobs",
    .members = members,
    .show = show_job,
    .gone = is_gone,
};

/* ---- the youngest and the oldest ---- */

#define WALK_MAGIC 0x6a6f6273u

struct walk {
    unsigned magic;
    struct wm_arena *arena;
    struct wm_view until;      /* entries up to this time are collected; empty: all */
    size_t max;
    size_t n;
    struct wm_view ids[SWEPT]; /* of the index, where max is SWEPT */
};

static bool collect(void *arg, struct wm_view id, struct wm_view document)
{
    struct walk *w = arg;
    (void)document;
    WM_ASSERT(w && w->magic == WALK_MAGIC);
    if (w->until.len && wm_view_cmp(wm_view_sub(id, 0, w->until.len), w->until) > 0)
        return false;
    if (w->n < SWEPT)
        w->ids[w->n] = wm_arena_copy(w->arena, id);
    return ++w->n < w->max;
}

static size_t count_running(struct wm_call *c)
{
    struct walk w = {.magic = WALK_MAGIC, .arena = c->arena, .max = WM_MAX_RUNNING_HARVEST_JOBS};
    struct wm_wall_ns since = wm_wall_from_seconds(wm_wall_seconds(c->now) - RUNS_S + 1);
    wm_state_each(c->state, INDEX, mediapackage_time(c->arena, since), collect, &w); /* ids are longer than the time */
    return w.n;
}

static struct wm_view index_id(struct wm_call *c, struct wm_view created, struct wm_view id)
{
    return wm_arena_printf(c->arena, "%.*s/%.*s", WM_ARG(created), WM_ARG(id));
}

/* Remove some jobs that are gone, and with them what is left of one that had this id. */
static enum wm_status sweep(struct wm_call *c, struct wm_reply *r, struct wm_view id)
{
    struct wm_wall_ns until = wm_wall_from_seconds(wm_wall_seconds(c->now) - KEPT_S);
    struct walk w = {.magic = WALK_MAGIC, .arena = c->arena, .max = SWEPT, .until = mediapackage_time(c->arena, until)};
    struct wm_view document;
    wm_state_each(c->state, INDEX, WM_EMPTY, collect, &w);
    for (size_t i = 0; i < w.n; i++) {
        struct wm_view rest = w.ids[i];
        (void)wm_view_split(&rest, '/');
        if (wm_view_eq(rest, id))
            continue; /* below */
        wm_reply_change(r, INDEX, w.ids[i], WM_EMPTY);
        wm_reply_change(r, mediapackage_harvest_job.kind, rest, WM_EMPTY);
    }
    if (wm_state_get(c->state, mediapackage_harvest_job.kind, id, &document)) {
        struct wm_json *old = NULL;
        enum wm_status status = mediapackage_read(c, &mediapackage_harvest_job, document, &old);
        if (status != WM_OK)
            return status;
        wm_reply_change(r, INDEX, index_id(c, wm_json_get_text(old, "createdAt"), id), WM_EMPTY);
    }
    return wm_arena_status(c->arena);
}

/* ---- create ---- */

/* User Guide, "Creating a harvest job": ISO 8601 with an offset, or seconds since 1970; both as text. */
static bool read_time(struct wm_view text, int64_t *out_ms)
{
    uint64_t s;
    if (wm_view_to_u64(text, 9214646400u, &s) != WM_OK) /* the year 2262, as elsewhere */
        return wm_protocol_read_time(text, out_ms);
    *out_ms = (int64_t)s * 1000;
    return true;
}

static bool is_time(struct wm_view text)
{
    int64_t ms;
    return read_time(text, &ms);
}

/*
 * What is wrong with the window. A bad one may surface as FAILED (User Guide); what can be known when it is asked for is
 * refused instead, because that says why. Whether there is content in it cannot.
 */
static struct wm_view wrong_window(struct wm_call *c, int64_t startover_s)
{
    int64_t start = 0, end = 0, now = c->now.ns / WM_NS_PER_MS;
    if (!read_time(wm_json_get_text(c->params, "startTime"), &start) ||
        !read_time(wm_json_get_text(c->params, "endTime"), &end))
        return WM_LIT("Members 'startTime' and 'endTime' must be times"); /* the table lets none other through */
    if (end <= start)
        return WM_LIT("Member 'endTime' must be later than 'startTime'");
    if (end > now)
        return WM_LIT("Member 'endTime' must be in the past");
    if (end - start > MAX_WINDOW_MS)
        return WM_LIT("A harvest job takes at most 24 hours");
    if (start < now - startover_s * 1000)
        return wm_arena_printf(c->arena,
                               "Member 'startTime' must be within the last %lld seconds, the origin endpoint's startover "
                               "window",
                               (long long)startover_s);
    return WM_EMPTY;
}

/* User Guide, "Creating a harvest job": what can be harvested. */
static struct wm_view wrong_endpoint(const struct wm_json *endpoint)
{
    const struct wm_json *dash = wm_json_get(endpoint, "dashPackage");
    if (!dash && !wm_json_get(endpoint, "hlsPackage"))
        return WM_LIT("Only HLS and DASH endpoints can be harvested");
    if (wm_view_eq_str(wm_json_get_text(dash, "segmentTemplateFormat"), "NUMBER_WITH_DURATION"))
        return WM_LIT("A DASH endpoint can be harvested only with a timeline: its 'segmentTemplateFormat' must not be "
                      "NUMBER_WITH_DURATION");
    if (mediapackage_number(endpoint, "startoverWindowSeconds") == 0)
        return WM_LIT("The origin endpoint has no startover window; set its 'startoverWindowSeconds' first");
    return WM_EMPTY;
}

static struct wm_json *new_job(struct wm_call *c, struct wm_view channel_id)
{
    struct wm_json *stored = wm_service_complete(c->arena, mediapackage_create_harvest_job_input, c->params);
    struct wm_view id = wm_json_get_text(c->params, "id");
    wm_json_set_string(c->arena, stored, "arn", mediapackage_arn(c, &mediapackage_harvest_job, id));
    wm_json_set_string(c->arena, stored, "channelId", channel_id);
    wm_json_set_string(c->arena, stored, "createdAt", mediapackage_time(c->arena, c->now));
    wm_json_set_object(c->arena, stored, "tags");
    return stored;
}

static enum wm_status put_job(struct wm_call *c, struct wm_reply *r, struct wm_view channel_id)
{
    struct wm_view id = wm_json_get_text(c->params, "id");
    enum wm_status status = sweep(c, r, id);
    if (status != WM_OK)
        return status;
    struct wm_json *stored = new_job(c, channel_id);
    wm_reply_change(r, INDEX, index_id(c, wm_json_get_text(stored, "createdAt"), id), WM_LIT("{}"));
    return mediapackage_put(c, r, &mediapackage_harvest_job, id, stored);
}

enum wm_status mediapackage_create_harvest_job(struct wm_call *c, struct wm_reply *r)
{
    struct wm_view id = wm_json_get_text(c->params, "id");
    struct wm_json *endpoint = NULL, *there = NULL;
    enum wm_status status = mediapackage_find(c, r, &mediapackage_origin_endpoint,
                                              wm_json_get_text(c->params, "originEndpointId"), &endpoint);
    if (!endpoint)
        return status;
    status = mediapackage_get(c, &mediapackage_harvest_job, id, &there);
    if (status != WM_OK)
        return status;
    if (there)
        return mediapackage_taken(c, r, &mediapackage_harvest_job, id);
    struct wm_view wrong = wrong_endpoint(endpoint);
    if (!wrong.len)
        wrong = wrong_window(c, mediapackage_number(endpoint, "startoverWindowSeconds"));
    if (wrong.len)
        return mediapackage_unprocessable(c, r, wrong);
    if (count_running(c) >= WM_MAX_RUNNING_HARVEST_JOBS)
        return mediapackage_over_quota(c, r,
                                       wm_arena_printf(c->arena, "an account has at most %u harvest jobs in progress",
                                                       WM_MAX_RUNNING_HARVEST_JOBS));
    return put_job(c, r, wm_json_get_text(endpoint, "channelId"));
}

/* ---- describe, list ---- */

enum wm_status mediapackage_describe_harvest_job(struct wm_call *c, struct wm_reply *r)
{
    return mediapackage_describe(c, r, &mediapackage_harvest_job);
}

static bool is_wanted(const struct wm_call *c, const struct wm_json *stored)
{
    const struct wm_json *channel = wm_json_get(c->params, "includeChannelId");
    const struct wm_json *status = wm_json_get(c->params, "includeStatus");
    return (!channel || wm_view_eq(channel->text, wm_json_get_text(stored, "channelId"))) &&
           (!status || wm_view_eq_str(status->text, status_of(c, stored)));
}

enum wm_status mediapackage_list_harvest_jobs(struct wm_call *c, struct wm_reply *r)
{
    const struct mediapackage_listing l = {.of = &mediapackage_harvest_job, .wanted = is_wanted};
    return mediapackage_list(c, r, &l);
}

/* ---- tables ---- */

static const struct wm_text_form time_form = {
    is_time, "must be a time such as 2026-03-01T10:07:12Z, or in seconds since 1970, as text"};

static bool is_bucket(struct wm_view text)
{
    return wm_text_only(text, ".-");
}

/* S3 User Guide, "Bucket naming rules"; capitals are left to the bucket's own service to refuse. */
static const struct wm_text_form bucket_form = {is_bucket, "may have letters, digits, periods and hyphens only"};

static const struct wm_member s3_destination[] = {
    {.name = "bucketName", .type = WM_MEMBER_STRING, .required = true, .min = 3, .max = 63, .form = &bucket_form},
    {.name = "manifestKey", .type = WM_MEMBER_STRING, .required = true, .min = 1, .max = WM_MAX_OBJECT_KEY_BYTES},
    MEDIAPACKAGE_ARN_MEMBER("roleArn", true, &mediapackage_role_form),
    {0},
};

const struct wm_member mediapackage_create_harvest_job_input[] = {
    {.name = "endTime", .type = WM_MEMBER_STRING, .required = true, .form = &time_form},
    MEDIAPACKAGE_NAME_MEMBER("id", true, NULL),
    {.name = "originEndpointId", .type = WM_MEMBER_STRING, .required = true, .min = 1, .max = MEDIAPACKAGE_MAX_ID},
    {.name = "s3Destination", .type = WM_MEMBER_STRUCT, .required = true, .fields = s3_destination},
    {.name = "startTime", .type = WM_MEMBER_STRING, .required = true, .form = &time_form},
    {0},
};

static const char *const statuses[] = {"IN_PROGRESS", "SUCCEEDED", "FAILED", NULL};

const struct wm_member mediapackage_list_harvest_jobs_input[] = {
    {.name = "includeChannelId", .type = WM_MEMBER_STRING, .place = WM_IN_QUERY},
    {.name = "includeStatus", .type = WM_MEMBER_STRING, .place = WM_IN_QUERY, .values = statuses},
    MEDIAPACKAGE_MAX_RESULTS_QUERY,
    MEDIAPACKAGE_NEXT_TOKEN_QUERY,
    {0},
};
