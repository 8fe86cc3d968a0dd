#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/service_call.h"

#include "waymark/banned.h"

#define KIND "mediapackage.harvest_job"
#define INDEX "mediapackage.harvest_job_time"
#define DAY_S 86400ll
#define DESTINATION                                                                                                    \
    "\"s3Destination\":{\"bucketName\":\"vod.example-1\",\"manifestKey\":\"a/b.m3u8\","                                \
    "\"roleArn\":\"arn:aws:iam::111122223333:role/harvest\"}"

static void create_endpoint(struct fixture *f, const char *channel, const char *id, const char *more)
{
    char body[600];
    (void)snprintf(body, sizeof body, "{\"channelId\":\"%s\",\"id\":\"%s\",%s}", channel, id, more);
    assert_int_equal(call_rest(f, "POST", "/origin_endpoints", "", body), 200);
}

/* Channel "cam" with endpoint "hls", from which 14 days can be harvested. */
static int set_up(void **state)
{
    (void)fixture_set_up(state); /* asserts by itself */
    struct fixture *f = *state;
    assert_int_equal(call_rest(f, "POST", "/channels", "", "{\"id\":\"cam\"}"), 200);
    create_endpoint(f, "cam", "hls", "\"startoverWindowSeconds\":1209600,\"hlsPackage\":{}");
    return 0;
}

static int create_from(struct fixture *f, const char *id, const char *endpoint, const char *start, const char *end)
{
    char body[2048];
    (void)snprintf(body, sizeof body,
                   "{\"id\":\"%s\",\"originEndpointId\":\"%s\",\"startTime\":\"%s\",\"endTime\":\"%s\"," DESTINATION "}", id,
                   endpoint, start, end);
    return call_rest(f, "POST", "/harvest_jobs", "", body);
}

static int create(struct fixture *f, const char *id)
{
    char start[WM_TIME_ISO_BYTES], end[WM_TIME_ISO_BYTES];
    wm_time_iso((struct wm_wall_ns){f->now.ns - 7200 * WM_NS_PER_S}, start);
    wm_time_iso((struct wm_wall_ns){f->now.ns - 3600 * WM_NS_PER_S}, end);
    return create_from(f, id, "hls", start, end);
}

static int describe(struct fixture *f, const char *id)
{
    char path[600];
    (void)snprintf(path, sizeof path, "/harvest_jobs/%s", id);
    return call_rest(f, "GET", path, "", "");
}

static void pass(struct fixture *f, int64_t seconds)
{
    f->now.ns += seconds * WM_NS_PER_S;
}

static void a_job_is_answered_whole(void **state)
{
    struct fixture *f = *state;
    static const char want[] =
        "{\"endTime\":\"1772356032\",\"id\":\"job-1\",\"originEndpointId\":\"hls\"," DESTINATION
        ",\"startTime\":\"2026-03-01T10:00:00+02:00\",\"arn\":\"arn:aws:mediapackage:us-west-2:111122223333:harvest_jobs/job-1\","
        "\"channelId\":\"cam\",\"createdAt\":\"2026-03-01T10:07:12Z\",\"status\":\"IN_PROGRESS\"}";
    assert_int_equal(create_from(f, "job-1", "hls", "2026-03-01T10:00:00+02:00", "1772356032"), 200);
    assert_int_equal(wm_buf_view(&f->out).len, sizeof want - 1);
    assert_memory_equal(wm_buf_view(&f->out).ptr, want, sizeof want - 1);
    assert_int_equal(describe(f, "job-1"), 200);
    assert_memory_equal(wm_buf_view(&f->out).ptr, want, sizeof want - 1);
    assert_int_equal(describe(f, "job-2"), 404);
    assert_refused(f, 404, "NotFoundException", "There is no harvest job with id 'job-2'");
}

/* Nothing harvests yet, so a job ends, and never as if it had. */
static void a_job_is_in_progress_then_failed(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(create(f, "j"), 200);
    char before[2048];
    assert_true(wm_view_copy(wm_view_of(stored_document(f, KIND, "j")), before, sizeof before));
    assert_null(strstr(before, "status"));
    pass(f, 9);
    assert_int_equal(describe(f, "j"), 200);
    assert_text(f->answer, "status", "IN_PROGRESS");
    pass(f, 1);
    assert_int_equal(describe(f, "j"), 200);
    assert_text(f->answer, "status", "FAILED");
    assert_int_equal(f->reply.n_changes, 0);
    pass(f, 80 * DAY_S);
    assert_int_equal(describe(f, "j"), 200);
    assert_text(f->answer, "status", "FAILED");
    assert_string_equal(stored_document(f, KIND, "j"), before);
    pass(f, -81 * DAY_S); /* a clock that was set back */
    assert_int_equal(describe(f, "j"), 200);
    assert_text(f->answer, "status", "IN_PROGRESS");
}

static void bad_jobs_are_refused(void **state)
{
    struct fixture *f = *state;
    create_endpoint(f, "cam", "short", "\"startoverWindowSeconds\":3600,\"hlsPackage\":{}");
    create_endpoint(f, "cam", "live", "\"hlsPackage\":{}");
    create_endpoint(f, "cam", "dash", "\"startoverWindowSeconds\":3600,\"dashPackage\":{}");
    create_endpoint(f, "cam", "numbered",
                    "\"startoverWindowSeconds\":3600,\"dashPackage\":{\"segmentTemplateFormat\":\"NUMBER_WITH_DURATION\"}");
    create_endpoint(f, "cam", "mss", "\"startoverWindowSeconds\":3600,\"mssPackage\":{}");
    create_endpoint(f, "cam", "cmaf", "\"startoverWindowSeconds\":3600,\"cmafPackage\":{}");
    static const struct {
        const char *id, *endpoint, *start, *end, *part; /* now is 2026-03-01T10:07:12.345Z */
        int status;
    } cases[] = {
        {"j", "none", "2026-03-01T09:50:00Z", "2026-03-01T10:00:00Z", "There is no origin endpoint with id 'none'", 404},
        {"a b", "hls", "2026-03-01T09:50:00Z", "2026-03-01T10:00:00Z", "'id' may have letters", 422},
        {"j", "mss", "2026-03-01T09:50:00Z", "2026-03-01T10:00:00Z", "Only HLS and DASH", 422},
        {"j", "cmaf", "2026-03-01T09:50:00Z", "2026-03-01T10:00:00Z", "Only HLS and DASH", 422},
        {"j", "numbered", "2026-03-01T09:50:00Z", "2026-03-01T10:00:00Z", "NUMBER_WITH_DURATION", 422},
        {"j", "live", "2026-03-01T09:50:00Z", "2026-03-01T10:00:00Z", "no startover window", 422},
        {"j", "hls", "2026-03-01T10:00:00Z", "2026-03-01T10:00:00Z", "'endTime' must be later", 422},
        {"j", "hls", "2026-03-01T10:00:00Z", "2026-03-01T09:00:00Z", "'endTime' must be later", 422},
        {"j", "hls", "2026-03-01T09:50:00Z", "2026-03-01T10:07:13Z", "'endTime' must be in the past", 422},
        {"j", "hls", "2026-02-27T09:59:59Z", "2026-02-28T10:00:00Z", "at most 24 hours", 422},
        {"j", "short", "2026-03-01T09:07:12Z", "2026-03-01T10:00:00Z", "within the last 3600 seconds", 422},
        {"j", "dash", "2026-03-01T09:00:00Z", "2026-03-01T09:30:00Z", "within the last 3600 seconds", 422},
        {"j", "hls", "2026-03-01 09:50:00", "2026-03-01T10:00:00Z", "'startTime' must be a time", 422},
        {"j", "hls", "2026-03-01T09:50:00", "2026-03-01T10:00:00Z", "'startTime' must be a time", 422},
        {"j", "hls", "", "2026-03-01T10:00:00Z", "'startTime' must be a time", 422},
        {"j", "hls", "2026-03-01T09:50:00Z", "soon", "'endTime' must be a time", 422},
        {"j", "hls", "2026-03-01T09:50:00Z", "-1", "'endTime' must be a time", 422},
        {"j", "hls", "2026-03-01T09:50:00Z", "99999999999999999999", "'endTime' must be a time", 422},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(create_from(f, cases[i].id, cases[i].endpoint, cases[i].start, cases[i].end), cases[i].status);
        assert_refused(f, cases[i].status, cases[i].status == 404 ? "NotFoundException" : "UnprocessableEntityException",
                       cases[i].part);
    }
    assert_int_equal(count_documents(f, KIND), 0);
    assert_int_equal(count_documents(f, INDEX), 0);
    /* just inside of each limit */
    assert_int_equal(create_from(f, "a", "short", "2026-03-01T09:07:13Z", "2026-03-01T10:07:12Z"), 200);
    assert_int_equal(create_from(f, "b", "hls", "2026-02-27T10:00:00Z", "2026-02-28T10:00:00Z"), 200);
    assert_int_equal(create_from(f, "c", "dash", "1772357000", "2026-03-01T10:00:00.5Z"), 200);
}

static void each_member_is_required(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *name, *value;
    } members[] = {
        {"id", "\"j\""},
        {"originEndpointId", "\"hls\""},
        {"startTime", "\"2026-03-01T09:00:00Z\""},
        {"endTime", "\"2026-03-01T10:00:00Z\""},
        {"bucketName", "\"bucket\""},
        {"manifestKey", "\"key\""},
        {"roleArn", "\"arn:aws:iam::111122223333:role/r\""},
    };
    enum { N = sizeof members / sizeof members[0] };
    for (size_t left_out = 0; left_out <= N; left_out++) {
        struct wm_buf b;
        wm_buf_init(&b, 2000);
        wm_buf_add_str(&b, "{\"x\":1");
        for (size_t i = 0; i < N; i++) {
            wm_buf_add_str(&b, i == 4 ? ",\"s3Destination\":{\"x\":1" : "");
            if (i != left_out)
                wm_buf_addf(&b, ",\"%s\":%s", members[i].name, members[i].value);
        }
        wm_buf_add_str(&b, "}}");
        assert_int_equal(call_rest(f, "POST", "/harvest_jobs", "", wm_buf_cstr(&b)), left_out == N ? 200 : 422);
        if (left_out < N) {
            char part[100];
            (void)snprintf(part, sizeof part, "'%s%s' is required", left_out >= 4 ? "s3Destination." : "", members[left_out].name);
            assert_refused(f, 422, "UnprocessableEntityException", part);
        }
        wm_buf_done(&b);
    }
}

static void bad_destinations_are_refused(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *bucket, *key, *role, *part;
    } cases[] = {
        {"ab", "k", "arn:aws:iam::111122223333:role/r", "'s3Destination.bucketName' must have 3 to 63"},
        {"a/b", "k", "arn:aws:iam::111122223333:role/r", "'s3Destination.bucketName' may have"},
        {"bucket", "", "arn:aws:iam::111122223333:role/r", "'s3Destination.manifestKey' must have 1 to 1024"},
        {"bucket", "k", "arn:aws:iam::111122223333:user/r", "'s3Destination.roleArn' must be the ARN of an IAM role"},
        {"bucket", "k", "arn:aws:iam::11112222333:role/rr", "'s3Destination.roleArn' must be the ARN of an IAM role"},
        {"bucket", "k", "arn:aws:iam::111122223333:role/", "'s3Destination.roleArn' must be the ARN of an IAM role"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char body[1000];
        (void)snprintf(body, sizeof body,
                       "{\"id\":\"j\",\"originEndpointId\":\"hls\",\"startTime\":\"2026-03-01T09:00:00Z\",\"endTime\":"
                       "\"2026-03-01T10:00:00Z\",\"s3Destination\":{\"bucketName\":\"%s\",\"manifestKey\":\"%s\",\"roleArn\":\"%s\"}}",
                       cases[i].bucket, cases[i].key, cases[i].role);
        assert_int_equal(call_rest(f, "POST", "/harvest_jobs", "", body), 422);
        assert_refused(f, 422, "UnprocessableEntityException", cases[i].part);
    }
}

static void ten_jobs_run_at_a_time(void **state)
{
    struct fixture *f = *state;
    char id[20];
    for (int i = 0; i < 10; i++) {
        (void)snprintf(id, sizeof id, "j%d", i);
        assert_int_equal(create(f, id), 200);
        if (i == 4)
            pass(f, 5);
    }
    assert_int_equal(create(f, "more"), 429);
    assert_refused(f, 429, "TooManyRequestsException", "at most 10 harvest jobs in progress");
    assert_int_equal(create(f, "j3"), 422); /* the nearer reason first */
    pass(f, 4);
    assert_int_equal(create(f, "more"), 429);
    pass(f, 1); /* the first five are over */
    for (int i = 10; i < 15; i++) {
        (void)snprintf(id, sizeof id, "j%d", i);
        assert_int_equal(create(f, id), 200);
    }
    assert_int_equal(create(f, "more"), 429);
}

static void an_id_is_free_after_ninety_days(void **state)
{
    struct fixture *f = *state;
    char id[20];
    for (int i = 0; i < 8; i++) {
        (void)snprintf(id, sizeof id, "j%d", i);
        assert_int_equal(create(f, id), 200);
    }
    pass(f, 1);
    assert_int_equal(create(f, "late"), 200);
    assert_int_equal(create(f, "j5"), 422);
    assert_refused(f, 422, "UnprocessableEntityException", "'j5' exists already");
    pass(f, 90 * DAY_S - 2);
    assert_int_equal(describe(f, "j5"), 200);
    assert_int_equal(create(f, "j5"), 422);
    pass(f, 1);
    assert_int_equal(describe(f, "j5"), 404);
    assert_int_equal(call_rest(f, "GET", "/harvest_jobs", "", ""), 200);
    assert_int_equal(wm_json_get(f->answer, "harvestJobs")->count, 1); /* "late" */
    assert_int_equal(count_documents(f, KIND), 9);

    assert_int_equal(create(f, "j5"), 200); /* the same id anew, and four old ones go */
    assert_int_equal(describe(f, "j5"), 200);
    assert_text(f->answer, "status", "IN_PROGRESS");
    assert_int_equal(count_documents(f, KIND), 5);
    assert_int_equal(count_documents(f, INDEX), 5);
    assert_int_equal(create(f, "new"), 200);
    assert_int_equal(count_documents(f, KIND), 3); /* late, j5, new */
    assert_int_equal(count_documents(f, INDEX), 3);
    pass(f, 90 * DAY_S);
    assert_int_equal(create(f, "j5"), 200); /* now among the oldest itself */
    assert_int_equal(count_documents(f, KIND), 1);
    assert_int_equal(count_documents(f, INDEX), 1);
    assert_int_equal(describe(f, "j5"), 200);
}

static void jobs_outlive_their_endpoint(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(create(f, "j"), 200);
    assert_int_equal(call_rest(f, "DELETE", "/origin_endpoints/hls", "", ""), 202);
    assert_int_equal(call_rest(f, "DELETE", "/channels/cam", "", ""), 202);
    assert_int_equal(describe(f, "j"), 200);
    assert_text(f->answer, "channelId", "cam");
}

static const char *list(struct fixture *f, const char *query)
{
    static char ids[300];
    ids[0] = '\0';
    assert_int_equal(call_rest(f, "GET", "/harvest_jobs", query, ""), 200);
    for (const struct wm_json *j = wm_json_get(f->answer, "harvestJobs")->first; j; j = j->next) {
        size_t n = strlen(ids);
        (void)snprintf(ids + n, sizeof ids - n, "%.*s ", WM_ARG(wm_json_get_text(j, "id")));
        assert_null(wm_json_get(j, "tags"));
    }
    return ids;
}

static void jobs_are_listed_by_channel_and_status(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(call_rest(f, "POST", "/channels", "", "{\"id\":\"cam2\"}"), 200);
    create_endpoint(f, "cam2", "hls2", "\"startoverWindowSeconds\":86400,\"hlsPackage\":{}");
    assert_string_equal(list(f, ""), "");
    assert_int_equal(create(f, "c"), 200);
    assert_int_equal(create_from(f, "a", "hls2", "2026-03-01T09:00:00Z", "2026-03-01T10:00:00Z"), 200);
    pass(f, 10);
    assert_int_equal(create(f, "d"), 200);
    assert_int_equal(create_from(f, "b", "hls2", "2026-03-01T09:00:00Z", "2026-03-01T10:00:00Z"), 200);
    static const struct {
        const char *query, *ids;
    } cases[] = {
        {"", "a b c d "},
        {"includeChannelId=cam", "c d "},
        {"includeChannelId=cam2", "a b "},
        {"includeChannelId=none", ""},
        {"includeStatus=FAILED", "a c "},
        {"includeStatus=IN_PROGRESS", "b d "},
        {"includeStatus=SUCCEEDED", ""},
        {"includeStatus=IN_PROGRESS&includeChannelId=cam", "d "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_string_equal(list(f, cases[i].query), cases[i].ids);
        assert_null(wm_json_get(f->answer, "nextToken"));
    }
    assert_int_equal(call_rest(f, "GET", "/harvest_jobs", "includeStatus=DONE", ""), 422);
    assert_refused(f, 422, "UnprocessableEntityException", "'includeStatus' must be one of IN_PROGRESS, SUCCEEDED, FAILED");

    /* pages of a filtered list: what is not wanted is passed over, and the last page has no token */
    char query[900];
    assert_string_equal(list(f, "includeChannelId=cam&maxResults=1"), "c ");
    (void)snprintf(query, sizeof query, "includeChannelId=cam&maxResults=1&nextToken=%.*s",
                   WM_ARG(wm_json_get_text(f->answer, "nextToken")));
    assert_string_equal(list(f, query), "d ");
    assert_null(wm_json_get(f->answer, "nextToken"));
    assert_string_equal(list(f, "includeStatus=FAILED&maxResults=1"), "a ");
    (void)snprintf(query, sizeof query, "includeStatus=FAILED&maxResults=1&nextToken=%.*s",
                   WM_ARG(wm_json_get_text(f->answer, "nextToken")));
    assert_string_equal(list(f, query), "c ");
    assert_null(wm_json_get(f->answer, "nextToken"));
    assert_int_equal(call_rest(f, "GET", "/harvest_jobs", "nextToken=x", ""), 422);
}

static void damaged_documents_are_not_answered(void **state)
{
    struct fixture *f = *state;
    static const struct small_case calls[] = {
        {"ListHarvestJobs", "{}"},
        {"DescribeHarvestJob", "{\"id\":\"x\"}"},
        {"CreateHarvestJob", "{\"id\":\"x\",\"originEndpointId\":\"hls\"}"},
        {"ListTagsForResource", "{\"resource-arn\":\"arn:aws:mediapackage:us-west-2:111122223333:harvest_jobs/x\"}"},
    };
    store_document(f, KIND, "x", "{\"id\":\"x\"}");
    assert_corrupt(f, calls, sizeof calls / sizeof calls[0]);
}

static void calls_survive_a_small_arena(void **state)
{
    struct fixture *f = *state;
    static const struct small_case cases[] = {
        {"CreateHarvestJob", "{\"id\":\"new\",\"originEndpointId\":\"hls\",\"startTime\":\"2026-03-01T09:00:00Z\",\"endTime\":"
                             "\"2026-03-01T10:00:00Z\"," DESTINATION "}"},
        {"ListHarvestJobs", "{\"includeChannelId\":\"cam\"}"},
        {"DescribeHarvestJob", "{\"id\":\"j\"}"},
    };
    assert_int_equal(create(f, "j"), 200);
    assert_survives_small_arena(f, cases, sizeof cases / sizeof cases[0], 32768);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_job_is_answered_whole, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_job_is_in_progress_then_failed, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(bad_jobs_are_refused, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(each_member_is_required, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(bad_destinations_are_refused, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(ten_jobs_run_at_a_time, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(an_id_is_free_after_ninety_days, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(jobs_outlive_their_endpoint, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(jobs_are_listed_by_channel_and_status, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(damaged_documents_are_not_answered, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(calls_survive_a_small_arena, set_up, fixture_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
