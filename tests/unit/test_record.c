/* The record: exact bytes, in CloudTrail's order; limits; what is cut and what is omitted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "waymark/bounds.h"
#include "waymark/record.h"

static struct wm_arena arena;
static struct wm_buf out;

static int set_up(void **state)
{
    (void)state;
    wm_arena_init(&arena, WM_MAX_ARENA_BYTES);
    wm_buf_init(&out, WM_MAX_RECORD_BYTES);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    wm_buf_done(&out);
    wm_arena_done(&arena);
    return 0;
}

static struct wm_json *parse(const char *text)
{
    struct wm_json *v = NULL;
    assert_int_equal(wm_json_parse(&arena, wm_view_of(text), &v, NULL), WM_OK);
    return v;
}

static struct wm_json *parse_out(void)
{
    struct wm_json *v = NULL;
    struct wm_err err = {0};
    if (wm_json_parse(&arena, wm_buf_view(&out), &v, &err) != WM_OK)
        fail_msg("not JSON: %s", err.message);
    return v;
}

static struct wm_record base_record(void)
{
    return (struct wm_record){
        .identity = {WM_IDENTITY_ROOT, WM_LIT("111122223333"), WM_LIT("arn:aws:iam::111122223333:root"),
                     WM_LIT("111122223333"), WM_LIT("AKIAEXAMPLE"), WM_EMPTY, NULL, WM_EMPTY},
        .event_time = {1772359632999999999}, /* cut to the second */
        .event_source = WM_LIT("mediapackage.amazonaws.com"),
        .event_name = WM_LIT("CreateChannel"),
        .region = WM_LIT("us-west-2"),
        .source_ip = WM_LIT("203.0.113.24"),
        .user_agent = WM_LIT("aws-cli/2 \"quoted\" \xc3\xa9"),
        .request_id = WM_LIT("9b0f2a61-3c57-4d0e-8f7a-2d6e41c0b8aa"),
        .event_id = WM_LIT("6f1c2a9e-5b0d-4c7e-9a41-0d2f3b4c5d6e"),
        .api_version = WM_LIT("2017-10-12"),
        .account_id = WM_LIT("111122223333"),
    };
}

static void check_bytes(const char *want)
{
    assert_int_equal(out.len, strlen(want));
    assert_string_equal(wm_buf_cstr(&out), want);
}

/* As EC2's "SharedSnapshotVolumeCreated" has it: no type in userIdentity, the service's name wherever a caller would be. */
static void service_event_has_its_details_and_no_caller(void **state)
{
    (void)state;
    struct wm_record r = base_record();
    r.identity = (struct wm_identity){.type = WM_IDENTITY_SERVICE,
                                      .account_id = WM_LIT("111122223333"),
                                      .access_key_id = WM_LIT("AKIANOBODY"),
                                      .invoked_by = WM_LIT("waymark.amazonaws.com")};
    r.event_source = r.source_ip = r.user_agent = WM_LIT("waymark.amazonaws.com");
    r.event_name = WM_LIT("PauseFollower");
    r.request_id = r.api_version = WM_EMPTY;
    r.service_event_details = WM_LIT("{\"follower\":\"trail:audit\"}");
    assert_int_equal(wm_record_encode(&r, &out), WM_OK);
    check_bytes("{\"eventVersion\":\"1.11\",\"userIdentity\":{\"accountId\":\"111122223333\",\"invokedBy\":"
                "\"waymark.amazonaws.com\"},\"eventTime\":\"2026-03-01T10:07:12Z\",\"eventSource\":"
                "\"waymark.amazonaws.com\",\"eventName\":\"PauseFollower\",\"awsRegion\":\"us-west-2\","
                "\"sourceIPAddress\":\"waymark.amazonaws.com\",\"userAgent\":\"waymark.amazonaws.com\","
                "\"requestParameters\":null,\"responseElements\":null,\"eventID\":"
                "\"6f1c2a9e-5b0d-4c7e-9a41-0d2f3b4c5d6e\",\"readOnly\":false,\"eventType\":\"AwsServiceEvent\","
                "\"managementEvent\":true,\"recipientAccountId\":\"111122223333\",\"serviceEventDetails\":"
                "{\"follower\":\"trail:audit\"},\"eventCategory\":\"Management\"}");

    char large[WM_MAX_PARAMETERS_BYTES + 1];
    memset(large, ' ', sizeof large);
    large[0] = '{';
    large[sizeof large - 1] = '}';
    r.service_event_details = (struct wm_view){large, sizeof large};
    wm_buf_clear(&out);
    assert_int_equal(wm_record_encode(&r, &out), WM_OK);
    assert_non_null(strstr(wm_buf_cstr(&out), "\"serviceEventDetails\":{\"omitted\":true,\"originalSize\":102401,"));
}

static void successful_call_has_every_member_in_order(void **state)
{
    (void)state;
    struct wm_record r = base_record();
    r.request_parameters = parse("{\"id\":\"arena-cam-4\",\"rate\":0.0}");
    r.response_elements = parse("{\"arn\":\"a/b\"}");
    r.additional_event_data = parse("{\"SignatureVersion\":\"SigV4\"}");
    wm_buf_add_str(&out, "before,");
    assert_int_equal(wm_record_encode(&r, &out), WM_OK);
    check_bytes("before,{\"eventVersion\":\"1.11\",\"userIdentity\":{\"type\":\"Root\",\"principalId\":\"111122223333\","
                "\"arn\":\"arn:aws:iam::111122223333:root\",\"accountId\":\"111122223333\","
                "\"accessKeyId\":\"AKIAEXAMPLE\"},\"eventTime\":\"2026-03-01T10:07:12Z\","
                "\"eventSource\":\"mediapackage.amazonaws.com\",\"eventName\":\"CreateChannel\","
                "\"awsRegion\":\"us-west-2\",\"sourceIPAddress\":\"203.0.113.24\","
                "\"userAgent\":\"aws-cli/2 \\\"quoted\\\" \xc3\xa9\","
                "\"requestParameters\":{\"id\":\"arena-cam-4\",\"rate\":0.0},\"responseElements\":{\"arn\":\"a/b\"},"
                "\"additionalEventData\":{\"SignatureVersion\":\"SigV4\"},"
                "\"requestID\":\"9b0f2a61-3c57-4d0e-8f7a-2d6e41c0b8aa\","
                "\"eventID\":\"6f1c2a9e-5b0d-4c7e-9a41-0d2f3b4c5d6e\",\"readOnly\":false,"
                "\"eventType\":\"AwsApiCall\",\"apiVersion\":\"2017-10-12\",\"managementEvent\":true,"
                "\"recipientAccountId\":\"111122223333\",\"eventCategory\":\"Management\"}");
}

static void refused_call_of_nobody_leaves_out_what_is_not_known(void **state)
{
    (void)state;
    struct wm_record r = base_record();
    r.identity = (struct wm_identity){.type = WM_IDENTITY_UNKNOWN, .access_key_id = WM_LIT("AKIACLAIMED")};
    r.user_agent = WM_EMPTY;
    r.api_version = WM_EMPTY;
    r.error_code = WM_LIT("SignatureDoesNotMatch");
    r.error_message = WM_LIT("no\nmatch");
    r.read_only = true;
    assert_int_equal(wm_record_encode(&r, &out), WM_OK);
    check_bytes("{\"eventVersion\":\"1.11\",\"userIdentity\":{\"type\":\"Unknown\",\"accessKeyId\":\"AKIACLAIMED\"},"
                "\"eventTime\":\"2026-03-01T10:07:12Z\",\"eventSource\":\"mediapackage.amazonaws.com\","
                "\"eventName\":\"CreateChannel\",\"awsRegion\":\"us-west-2\",\"sourceIPAddress\":\"203.0.113.24\","
                "\"errorCode\":\"SignatureDoesNotMatch\",\"errorMessage\":\"no\\nmatch\",\"requestParameters\":null,"
                "\"responseElements\":null,\"requestID\":\"9b0f2a61-3c57-4d0e-8f7a-2d6e41c0b8aa\","
                "\"eventID\":\"6f1c2a9e-5b0d-4c7e-9a41-0d2f3b4c5d6e\",\"readOnly\":true,"
                "\"eventType\":\"AwsApiCall\",\"managementEvent\":true,"
                "\"recipientAccountId\":\"111122223333\",\"eventCategory\":\"Management\"}");
}

/* Each kind of caller, in the order of members that real records have (CloudTrail User Guide, "CloudTrail userIdentity
 * element", and the records in its examples). */
static void each_kind_of_caller_has_its_members(void **state)
{
    (void)state;
    static const struct wm_identity_session role_session = {
        .issuer_type = {"Role", 4},
        .issuer_principal_id = {"AROAEXAMPLE", 11},
        .issuer_arn = {"arn:aws:iam::111122223333:role/ci/Deploy", 40},
        .issuer_account_id = {"111122223333", 12},
        .issuer_user_name = {"Deploy", 6},
        .created = {1772359120999999999},
        .source_identity = {"lena\"", 5},
    };
    static const struct wm_identity_session own_session = {.created = {1772359120000000000}, .mfa = true};
#define TEXT(s) {(s), sizeof(s) - 1}
    static const struct {
        struct wm_identity who;
        const char *want;
    } rows[] = {
        {{.type = WM_IDENTITY_USER,
          .principal_id = TEXT("AIDAEXAMPLE"),
          .arn = TEXT("arn:aws:iam::111122223333:user/noor"),
          .account_id = TEXT("111122223333"),
          .access_key_id = TEXT("AKIAEXAMPLE"),
          .user_name = TEXT("noor")},
         "{\"type\":\"IAMUser\",\"principalId\":\"AIDAEXAMPLE\",\"arn\":\"arn:aws:iam::111122223333:user/noor\","
         "\"accountId\":\"111122223333\",\"accessKeyId\":\"AKIAEXAMPLE\",\"userName\":\"noor\"}"},
        {{.type = WM_IDENTITY_USER,
          .principal_id = TEXT("AIDAEXAMPLE"),
          .arn = TEXT("arn:aws:iam::111122223333:user/noor"),
          .account_id = TEXT("111122223333"),
          .access_key_id = TEXT("ASIAEXAMPLE"),
          .user_name = TEXT("noor"),
          .session = &own_session},
         "{\"type\":\"IAMUser\",\"principalId\":\"AIDAEXAMPLE\",\"arn\":\"arn:aws:iam::111122223333:user/noor\","
         "\"accountId\":\"111122223333\",\"accessKeyId\":\"ASIAEXAMPLE\",\"userName\":\"noor\",\"sessionContext\":"
         "{\"attributes\":{\"creationDate\":\"2026-03-01T09:58:40Z\",\"mfaAuthenticated\":\"true\"}}}"},
        {{.type = WM_IDENTITY_ROOT,
          .principal_id = TEXT("111122223333"),
          .arn = TEXT("arn:aws:iam::111122223333:root"),
          .account_id = TEXT("111122223333"),
          .access_key_id = TEXT("ASIAEXAMPLE"),
          .session = &own_session},
         "{\"type\":\"Root\",\"principalId\":\"111122223333\",\"arn\":\"arn:aws:iam::111122223333:root\","
         "\"accountId\":\"111122223333\",\"accessKeyId\":\"ASIAEXAMPLE\",\"sessionContext\":{\"attributes\":"
         "{\"creationDate\":\"2026-03-01T09:58:40Z\",\"mfaAuthenticated\":\"true\"}}}"},
        {{.type = WM_IDENTITY_ASSUMED_ROLE,
          .principal_id = TEXT("AROAEXAMPLE:run-7"),
          .arn = TEXT("arn:aws:sts::111122223333:assumed-role/Deploy/run-7"),
          .account_id = TEXT("111122223333"),
          .access_key_id = TEXT("ASIAEXAMPLE"),
          .session = &role_session},
         "{\"type\":\"AssumedRole\",\"principalId\":\"AROAEXAMPLE:run-7\",\"arn\":"
         "\"arn:aws:sts::111122223333:assumed-role/Deploy/run-7\",\"accountId\":\"111122223333\",\"accessKeyId\":"
         "\"ASIAEXAMPLE\",\"sessionContext\":{\"sessionIssuer\":{\"type\":\"Role\",\"principalId\":\"AROAEXAMPLE\","
         "\"arn\":\"arn:aws:iam::111122223333:role/ci/Deploy\",\"accountId\":\"111122223333\",\"userName\":\"Deploy\"},"
         "\"webIdFederationData\":{},\"attributes\":{\"creationDate\":\"2026-03-01T09:58:40Z\","
         "\"mfaAuthenticated\":\"false\"},\"sourceIdentity\":\"lena\\\"\"}}"},
        {{.type = WM_IDENTITY_AWS_SERVICE, .invoked_by = TEXT("mediapackage.amazonaws.com")},
         "{\"type\":\"AWSService\",\"invokedBy\":\"mediapackage.amazonaws.com\"}"},
    };
#undef TEXT
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char want[1024];
        struct wm_record r = base_record();
        r.identity = rows[i].who;
        wm_buf_clear(&out);
        assert_int_equal(wm_record_encode(&r, &out), WM_OK);
        int len = snprintf(want, sizeof want, "{\"eventVersion\":\"1.11\",\"userIdentity\":%s,\"eventTime\":", rows[i].want);
        assert_true(out.len > (size_t)len);
        wm_buf_truncate(&out, (size_t)len);
        check_bytes(want);
    }
}

static void long_texts_are_cut_at_a_character(void **state)
{
    (void)state;
    static const struct {
        const char *name, *character;
        size_t before;
    } cases[] = {
            {"ascii", "x", 0},
            {"two bytes, odd", "\xc3\xa9", 1},
            {"two bytes, even", "\xc3\xa9", 0},
            {"three bytes", "\xe2\x82\xac", 0},
            {"three bytes, one before", "\xe2\x82\xac", 1},
            {"three bytes, two before", "\xe2\x82\xac", 2},
            {"four bytes, one before", "\xf0\x9f\x98\x80", 1},
            {"four bytes, three before", "\xf0\x9f\x98\x80", 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[3000];
        size_t len = 0;
        while (len < cases[i].before)
            text[len++] = 'a';
        while (len < 2000) {
            memcpy(text + len, cases[i].character, strlen(cases[i].character));
            len += strlen(cases[i].character);
        }
        struct wm_record r = base_record();
        struct wm_view v = {text, len};
        r.user_agent = r.error_code = r.error_message = r.request_id = v;
        wm_buf_clear(&out);
        assert_int_equal(wm_record_encode(&r, &out), WM_OK);
        struct wm_json *doc = parse_out();
        static const char *const members[] = {"userAgent", "errorCode", "errorMessage", "requestID"};
        for (size_t m = 0; m < 4; m++) {
            struct wm_view got = wm_json_get_text(doc, members[m]);
            size_t unit = strlen(cases[i].character);
            size_t want = cases[i].before + (WM_MAX_RECORD_TEXT_BYTES - cases[i].before) / unit * unit;
            if (got.len != want || memcmp(got.ptr, text, got.len) != 0)
                fail_msg("%s: %s has %zu bytes, not %zu", cases[i].name, members[m], got.len, want);
        }
    }
    char exact[1024];
    memset(exact, 'y', sizeof exact);
    struct wm_record r = base_record();
    r.user_agent = (struct wm_view){exact, sizeof exact};
    wm_buf_clear(&out);
    assert_int_equal(wm_record_encode(&r, &out), WM_OK);
    assert_int_equal(wm_json_get_text(parse_out(), "userAgent").len, 1024);
}

static void odd_bytes_stay_readable(void **state)
{
    (void)state;
    struct wm_record r = base_record();
    char text[80];
    for (size_t at = 0; at < 40; at++) { /* an odd byte at each place of the eight that are looked at together */
        static const char odd[] = {'"', '\\', '\n', 0x1f, 0x00, 0x7f, (char)0xff, ' '};
        for (size_t k = 0; k < sizeof odd; k++) {
            memset(text, 'z', sizeof text);
            text[at] = odd[k];
            r.source_ip = (struct wm_view){text, 40};
            wm_buf_clear(&out);
            assert_int_equal(wm_record_encode(&r, &out), WM_OK);
            struct wm_view got = wm_json_get_text(parse_out(), "sourceIPAddress");
            if ((uint8_t)odd[k] == 0xff) {
                assert_int_equal(got.len, 42);
                assert_memory_equal(got.ptr + at, "\xef\xbf\xbd", 3);
            } else {
                assert_int_equal(got.len, 40);
                assert_memory_equal(got.ptr, text, 40);
            }
        }
    }
}

/* An object whose JSON has exactly `bytes` bytes. */
static struct wm_json *object_of(size_t bytes)
{
    char *text = wm_arena_alloc(&arena, bytes);
    assert_non_null(text);
    memset(text, 'p', bytes);
    struct wm_json *o = wm_json_new(&arena, WM_JSON_OBJECT);
    wm_json_set(o, "big", wm_json_new(&arena, WM_JSON_STRING))->text = (struct wm_view){text, bytes - 10};
    return o;
}

static void check_omitted(const struct wm_json *doc, const char *member, const char *size, const char *reason)
{
    struct wm_json *marker = wm_json_get(doc, member);
    assert_int_equal(marker->count, 3);
    assert_true(wm_json_get(marker, "omitted")->boolean);
    assert_true(wm_view_eq_str(wm_json_get(marker, "originalSize")->text, size));
    assert_true(wm_view_eq_str(wm_json_get_text(marker, "reason"), reason));
}

static void large_members_are_replaced_by_a_marker(void **state)
{
    (void)state;
    struct wm_record r = base_record();
    r.request_parameters = object_of(WM_MAX_PARAMETERS_BYTES);
    r.response_elements = object_of(WM_MAX_PARAMETERS_BYTES + 1);
    r.additional_event_data = object_of(WM_MAX_ADDITIONAL_BYTES + 1);
    assert_int_equal(wm_record_encode(&r, &out), WM_OK);
    struct wm_json *doc = parse_out();
    assert_int_equal(wm_json_get_text(wm_json_get(doc, "requestParameters"), "big").len, WM_MAX_PARAMETERS_BYTES - 10);
    check_omitted(doc, "responseElements", "102401", "responseElements too large");
    check_omitted(doc, "additionalEventData", "28673", "additionalEventData too large");

    r = base_record();
    r.additional_event_data = object_of(WM_MAX_ADDITIONAL_BYTES);
    wm_buf_clear(&out);
    assert_int_equal(wm_record_encode(&r, &out), WM_OK);
    assert_int_equal(wm_json_get_text(wm_json_get(parse_out(), "additionalEventData"), "big").len, 28662);
}

static void member_larger_than_the_whole_buffer_is_replaced_too(void **state)
{
    (void)state;
    struct wm_record r = base_record();
    r.request_parameters = object_of(700000);
    r.response_elements = parse("{\"kept\":true}");
    assert_int_equal(wm_record_encode(&r, &out), WM_OK);
    struct wm_json *doc = parse_out();
    check_omitted(doc, "requestParameters", "700000", "requestParameters too large");
    assert_true(wm_json_get(wm_json_get(doc, "responseElements"), "kept")->boolean);
}

static void whole_record_stays_below_its_limit(void **state)
{
    (void)state;
    char quotes[1024], region[60000];
    struct wm_record r = base_record();
    memset(quotes, 1, sizeof quotes); /* six bytes each */
    memset(region, 'r', sizeof region);
    r.user_agent = r.error_code = r.error_message = r.request_id = (struct wm_view){quotes, sizeof quotes};
    r.request_parameters = object_of(WM_MAX_PARAMETERS_BYTES);
    r.response_elements = object_of(WM_MAX_PARAMETERS_BYTES);
    r.region = (struct wm_view){region, 5000};
    assert_int_equal(wm_record_encode(&r, &out), WM_OK); /* just fits */
    r.region.len = 50000;
    wm_buf_clear(&out);
    assert_int_equal(wm_record_encode(&r, &out), WM_OK);
    struct wm_json *doc = parse_out();
    check_omitted(doc, "responseElements", "102400", "responseElements too large");
    assert_non_null(wm_json_get(wm_json_get(doc, "requestParameters"), "big"));
    r.region = r.event_source = r.event_name = r.source_ip = (struct wm_view){region, 60000};
    wm_buf_clear(&out);
    assert_int_equal(wm_record_encode(&r, &out), WM_E_LIMIT); /* nothing left that may be omitted */
    r.source_ip.len = 8;
    wm_buf_clear(&out);
    assert_int_equal(wm_record_encode(&r, &out), WM_OK);
    doc = parse_out();
    check_omitted(doc, "requestParameters", "102400", "requestParameters too large");
}

static void small_buffer_is_left_as_it_was(void **state)
{
    (void)state;
    struct wm_record r = base_record();
    r.request_parameters = parse("{\"a\":[1,2,3]}");
    for (size_t max = 3; max < 900; max += 7) {
        struct wm_buf b;
        wm_buf_init(&b, max);
        wm_buf_add_str(&b, "abc");
        enum wm_status status = wm_record_encode(&r, &b);
        assert_int_equal(wm_buf_status(&b), WM_OK);
        if (status != WM_OK) {
            assert_int_equal(status, WM_E_LIMIT);
            assert_true(wm_view_eq_str(wm_buf_view(&b), "abc"));
        }
        wm_buf_done(&b);
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(successful_call_has_every_member_in_order),
        TEST(service_event_has_its_details_and_no_caller),
        TEST(refused_call_of_nobody_leaves_out_what_is_not_known),
        TEST(each_kind_of_caller_has_its_members),
        TEST(long_texts_are_cut_at_a_character),
        TEST(odd_bytes_stay_readable),
        TEST(large_members_are_replaced_by_a_marker),
        TEST(member_larger_than_the_whole_buffer_is_replaced_too),
        TEST(whole_record_stays_below_its_limit),
        TEST(small_buffer_is_left_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
