#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/service_call.h"

#include "waymark/banned.h"

static char arns[3][200]; /* of a channel, an origin endpoint and a harvest job */

static int set_up(void **state)
{
    (void)fixture_set_up(state); /* asserts by itself */
    struct fixture *f = *state;
    assert_int_equal(call_rest(f, "POST", "/channels", "", "{\"id\":\"other\"}"), 200);
    assert_int_equal(call_rest(f, "POST", "/channels", "", "{\"id\":\"cam\",\"tags\":{\"a\":\"1\",\"b\":\"2\"}}"), 200);
    assert_true(wm_view_copy(wm_json_get_text(f->answer, "arn"), arns[0], sizeof arns[0]));
    assert_int_equal(call_rest(f, "POST", "/origin_endpoints", "",
                               "{\"channelId\":\"cam\",\"id\":\"hls\",\"startoverWindowSeconds\":86400,\"hlsPackage\":{},"
                               "\"tags\":{\"a\":\"1\",\"b\":\"2\"}}"),
                     200);
    assert_true(wm_view_copy(wm_json_get_text(f->answer, "arn"), arns[1], sizeof arns[1]));
    assert_int_equal(call_rest(f, "POST", "/harvest_jobs", "",
                               "{\"id\":\"job\",\"originEndpointId\":\"hls\",\"startTime\":\"2026-03-01T09:00:00Z\","
                               "\"endTime\":\"2026-03-01T10:00:00Z\",\"s3Destination\":{\"bucketName\":\"bucket\","
                               "\"manifestKey\":\"k\",\"roleArn\":\"arn:aws:iam::111122223333:role/r\"}}"),
                     200);
    assert_true(wm_view_copy(wm_json_get_text(f->answer, "arn"), arns[2], sizeof arns[2]));
    return 0;
}

/* As clients send it: one segment, every colon and slash escaped. */
static int tags_call(struct fixture *f, const char *method, const char *arn, const char *query, const char *body)
{
    char path[2000] = "/tags/";
    for (size_t n = strlen(path); *arn; arn++)
        n += (size_t)snprintf(path + n, sizeof path - n, *arn == ':' ? "%%3A" : *arn == '/' ? "%%2F" : "%c", *arn);
    return call_rest(f, method, path, query, body);
}

static void assert_tags(struct fixture *f, const char *arn, const char *want)
{
    assert_int_equal(tags_call(f, "GET", arn, "", ""), 200);
    if (!wm_view_eq_str(wm_buf_view(&f->out), want))
        fail_msg("%.*s is not %s", WM_ARG(wm_buf_view(&f->out)), want);
}

static void tags_are_added_overwritten_and_removed(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < 3; i++) {
        if (i == 2) { /* a job is made without tags */
            assert_tags(f, arns[i], "{\"tags\":{}}");
            assert_int_equal(tags_call(f, "POST", arns[i], "", "{\"tags\":{\"a\":\"1\",\"b\":\"2\"}}"), 204);
        }
        assert_tags(f, arns[i], "{\"tags\":{\"a\":\"1\",\"b\":\"2\"}}");
        assert_int_equal(tags_call(f, "POST", arns[i], "", "{\"tags\":{\"b\":\"3\",\"A\":\"\",\"c d\":\"x\"}}"), 204);
        assert_int_equal(f->out.len, 0);
        assert_int_equal(f->reply.n_changes, 1);
        assert_tags(f, arns[i], "{\"tags\":{\"a\":\"1\",\"b\":\"3\",\"A\":\"\",\"c d\":\"x\"}}");
        assert_int_equal(tags_call(f, "DELETE", arns[i], "tagKeys=a&tagKeys=c%20d&tagKeys=none&tagKeys=", ""), 204);
        assert_int_equal(f->out.len, 0);
        assert_tags(f, arns[i], "{\"tags\":{\"b\":\"3\",\"A\":\"\"}}");
        assert_int_equal(tags_call(f, "POST", arns[i], "", "{\"tags\":{}}"), 204);
        assert_int_equal(tags_call(f, "DELETE", arns[i], "tagKeys=b", ""), 204);
        assert_tags(f, arns[i], "{\"tags\":{\"A\":\"\"}}");
    }
    /* the resources show them, and are otherwise as they were */
    assert_int_equal(call_rest(f, "GET", "/channels/cam", "", ""), 200);
    assert_text(wm_json_get(f->answer, "tags"), "A", "");
    assert_text(f->answer, "arn", arns[0]);
    assert_int_equal(call_rest(f, "GET", "/origin_endpoints/hls", "", ""), 200);
    assert_int_equal(wm_json_get(f->answer, "tags")->count, 1);
    assert_true(wm_view_ends(wm_json_get_text(f->answer, "url"), "/index.m3u8"));
    assert_int_equal(call_rest(f, "GET", "/channels/other", "", ""), 200);
    assert_int_equal(wm_json_get(f->answer, "tags")->count, 0);
}

static void tags_survive_updates(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(tags_call(f, "POST", arns[0], "", "{\"tags\":{\"c\":\"3\"}}"), 204);
    assert_int_equal(call_rest(f, "PUT", "/channels/cam", "", "{\"description\":\"new\"}"), 200);
    assert_int_equal(wm_json_get(f->answer, "tags")->count, 3);
    assert_int_equal(tags_call(f, "POST", arns[1], "", "{\"tags\":{\"c\":\"3\"}}"), 204);
    assert_int_equal(call_rest(f, "PUT", "/origin_endpoints/hls", "", "{\"description\":\"new\"}"), 200);
    assert_int_equal(wm_json_get(f->answer, "tags")->count, 3);
}

static void unknown_arns_are_not_found(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {
        "arn:aws:mediapackage:us-west-2:111122223333:channels/00000000000000000000000000000000",
        "arn:aws:mediapackage:us-west-2:111122223333:origin_endpoints/00000000000000000000000000000000",
        "arn:aws:mediapackage:us-west-2:111122223333:harvest_jobs/none",
        "arn:aws:mediapackage:us-east-1:111122223333:harvest_jobs/job", /* another region's, another account's */
        "arn:aws:mediapackage:us-west-2:222233334444:harvest_jobs/job",
        "arn:aws:mediapackage:us-west-2:111122223333:harvest_jobs/job/x",
        "arn:aws:mediapackage:us-west-2:111122223333:channels/",
        "arn:aws:mediapackage:us-west-2:111122223333:channels/cam",
        "arn:aws:mediapackage:us-west-2:111122223333:channels",
        "arn:aws:mediapackage:us-west-2:111122223333:things/x",
        "arn:aws:cloudtrail:us-west-2:111122223333:trail/demo",
        "channels/cam",
        "x",
        "::::::",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(tags_call(f, "GET", bad[i], "", ""), 404);
        assert_refused(f, 404, "NotFoundException", "There is no resource with the ARN");
        assert_int_equal(tags_call(f, "POST", bad[i], "", "{\"tags\":{\"a\":\"b\"}}"), 404);
        assert_refused(f, 404, "NotFoundException", "There is no resource with the ARN");
        assert_int_equal(tags_call(f, "DELETE", bad[i], "tagKeys=a", ""), 404);
        assert_refused(f, 404, "NotFoundException", "There is no resource with the ARN");
    }
    /* the start of an ARN, and one that another resource's text mentions */
    arns[0][strlen(arns[0]) - 1] = '\0';
    assert_int_equal(tags_call(f, "GET", arns[0], "", ""), 404);
    assert_int_equal(call_rest(f, "PUT", "/channels/other", "",
                               "{\"description\":\"arn:aws:mediapackage:us-west-2:111122223333:channels/00000000000000000000000000000000\"}"),
                     200);
    assert_int_equal(tags_call(f, "GET", bad[0], "", ""), 404);
    /* what is gone */
    f->now.ns += 91ll * 86400 * WM_NS_PER_S;
    assert_int_equal(tags_call(f, "GET", arns[2], "", ""), 404);
}

static void bad_tags_are_refused(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *body, *part;
    } cases[] = {
        {"{}", "'tags' is required"},
        {"{\"tags\":[]}", "'tags' must be an object"},
        {"{\"tags\":{\"a\":1}}", "'tags.a' must be a string"},
        {"{\"tags\":{\"aws:a\":\"1\"}}", "reserved"},
        {"{\"tags\":{\"\":\"1\"}}", "1 to 128"},
        {"{\"tags\":{\"a*\":\"1\"}}", "letters"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(tags_call(f, "POST", arns[i % 3], "", cases[i].body), 422);
        assert_refused(f, 422, "UnprocessableEntityException", cases[i].part);
    }
    assert_int_equal(tags_call(f, "DELETE", arns[0], "", ""), 422);
    assert_refused(f, 422, "UnprocessableEntityException", "'tagKeys' is required");
    assert_tags(f, arns[0], "{\"tags\":{\"a\":\"1\",\"b\":\"2\"}}");
}

static void fifty_tags_are_the_most(void **state)
{
    struct fixture *f = *state;
    struct wm_buf b;
    wm_buf_init(&b, 4000);
    wm_buf_add_str(&b, "{\"tags\":{\"a\":\"new\"");
    for (int i = 0; i < 48; i++)
        wm_buf_addf(&b, ",\"k%d\":\"v\"", i);
    wm_buf_add_str(&b, "}}");
    assert_int_equal(tags_call(f, "POST", arns[1], "", wm_buf_cstr(&b)), 204); /* 50, a and b among them */
    assert_int_equal(tags_call(f, "POST", arns[1], "", "{\"tags\":{\"one\":\"more\"}}"), 422);
    assert_refused(f, 422, "UnprocessableEntityException", "at most 50 tags; these would be 51");
    assert_int_equal(tags_call(f, "POST", arns[1], "", "{\"tags\":{\"b\":\"again\"}}"), 204);
    assert_int_equal(tags_call(f, "GET", arns[1], "", ""), 200);
    assert_int_equal(wm_json_get(f->answer, "tags")->count, 50);
    wm_buf_done(&b);
}

static void a_document_too_large_is_refused(void **state)
{
    struct fixture *f = *state;
    char *body = malloc(WM_MAX_DOCUMENT_BYTES);
    assert_non_null(body);
    size_t n = (size_t)snprintf(body, 100, "{\"description\":\"");
    memset(body + n, 'x', WM_MAX_DOCUMENT_BYTES - n - 1000);
    memcpy(body + WM_MAX_DOCUMENT_BYTES - 1000, "\"}", 3);
    assert_int_equal(call_rest(f, "PUT", "/channels/cam", "", body), 200);
    free(body);
    char tag[600];
    (void)snprintf(tag, sizeof tag, "{\"tags\":{\"k\":\"%0200d\",\"l\":\"%0200d\"}}", 1, 1);
    assert_int_equal(tags_call(f, "POST", arns[0], "", tag), 422);
    assert_refused(f, 422, "UnprocessableEntityException", "The channel takes more than 262144 bytes");
    assert_tags(f, arns[0], "{\"tags\":{\"a\":\"1\",\"b\":\"2\"}}");
}

static void calls_survive_a_small_arena(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"ListTagsForResource", "TagResource", "UntagResource"};
    for (size_t i = 0; i < 9; i++) {
        char params[400];
        (void)snprintf(params, sizeof params, "{\"resource-arn\":\"%s\",\"tags\":{\"x\":\"y\"},\"tagKeys\":[\"a\"]}", arns[i / 3]);
        const struct small_case one = {names[i % 3], params};
        assert_survives_small_arena(f, &one, 1, 32768);
    }
}

static void damaged_documents_are_not_answered(void **state)
{
    struct fixture *f = *state;
    static const struct small_case calls[] = {
        {"ListTagsForResource", "{\"resource-arn\":\"arn:aws:mediapackage:us-west-2:111122223333:channels/1\"}"},
        {"TagResource", "{\"resource-arn\":\"arn:aws:mediapackage:us-west-2:111122223333:channels/1\",\"tags\":{\"a\":\"b\"}}"},
        {"UntagResource", "{\"resource-arn\":\"arn:aws:mediapackage:us-west-2:111122223333:channels/1\",\"tagKeys\":[\"a\"]}"},
    };
    store_document(f, "mediapackage.channel", "damaged",
                   "{\"arn\":\"arn:aws:mediapackage:us-west-2:111122223333:channels/1\"}");
    assert_corrupt(f, calls, sizeof calls / sizeof calls[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tags_are_added_overwritten_and_removed, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(tags_survive_updates, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(unknown_arns_are_not_found, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(bad_tags_are_refused, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(fifty_tags_are_the_most, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_document_too_large_is_refused, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(calls_survive_a_small_arena, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(damaged_documents_are_not_answered, set_up, fixture_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
