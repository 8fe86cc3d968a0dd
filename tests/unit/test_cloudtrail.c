#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/service_call.h"

#include "waymark/banned.h"

#define AUDIT_ARN "arn:aws:cloudtrail:us-west-2:111122223333:trail/audit"
#define OTHER_ARN "arn:aws:cloudtrail:us-west-2:111122223333:trail/other.trail"
#define DAY_NS (86400ll * WM_NS_PER_S)

static int call_json(struct fixture *f, const char *operation, const char *body)
{
    char target[100];
    (void)snprintf(target, sizeof target, "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.%s", operation);
    struct wm_protocol_request q = {.method = WM_LIT("POST"),
                                    .path = WM_LIT("/"),
                                    .content_type = WM_LIT("application/x-amz-json-1.1"),
                                    .target = wm_view_of(target),
                                    .body = wm_view_of(body)};
    return call_request(f, &q);
}

static int call_form(struct fixture *f, const char *body)
{
    struct wm_protocol_request q = {.method = WM_LIT("POST"),
                                    .path = WM_LIT("/"),
                                    .content_type = WM_LIT("application/x-www-form-urlencoded"),
                                    .body = wm_view_of(body)};
    return call_request(f, &q);
}

static void post(struct fixture *f, const struct wm_board_trail *t)
{
    assert_int_equal(wm_board_post_trail(f->board, t), WM_OK);
}

/* "audit" has done everything; "other.trail" has only started. */
static void post_trails(struct fixture *f)
{
    const struct wm_board_trail audit = {
        .name = "audit",
        .arn = AUDIT_ARN,
        .bucket = "evidence",
        .prefix = "a/b/",
        .codec = "gzip",
        .started = {1772359000000000000},
        .latest_delivery = {1772359500250000000},
        .latest_delivery_attempt = {1772359600000000000},
        .latest_delivery_error = "NoSuchBucket",
        .latest_digest = {1772359300000000000},
        .latest_digest_error = "AccessDenied",
    };
    const struct wm_board_trail other = {
        .name = "other.trail", .arn = OTHER_ARN, .bucket = "waymark", .codec = "zstd", .started = {1772359001000000000}};
    post(f, &audit);
    post(f, &other);
}

static const char *answer_text(struct fixture *f)
{
    return wm_buf_cstr(&f->out);
}

#define AUDIT_TRAIL                                                                                                   \
    "{\"Name\":\"audit\",\"S3BucketName\":\"evidence\",\"S3KeyPrefix\":\"a/b\",\"IncludeGlobalServiceEvents\":true,"  \
    "\"IsMultiRegionTrail\":false,\"HomeRegion\":\"us-west-2\",\"TrailARN\":\"" AUDIT_ARN "\","                      \
    "\"LogFileValidationEnabled\":true,\"HasCustomEventSelectors\":false,\"HasInsightSelectors\":false,"              \
    "\"IsOrganizationTrail\":false}"
#define OTHER_TRAIL                                                                                                   \
    "{\"Name\":\"other.trail\",\"S3BucketName\":\"waymark\",\"IncludeGlobalServiceEvents\":true,"                     \
    "\"IsMultiRegionTrail\":false,\"HomeRegion\":\"us-west-2\",\"TrailARN\":\"" OTHER_ARN "\","                      \
    "\"LogFileValidationEnabled\":true,\"HasCustomEventSelectors\":false,\"HasInsightSelectors\":false,"              \
    "\"IsOrganizationTrail\":false}"

static void describe_trails_lists_all_or_the_named(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(call_json(f, "DescribeTrails", "{}"), 200);
    assert_string_equal(answer_text(f), "{\"trailList\":[]}");
    post_trails(f);
    static const char *const all[] = {"", "{}", "{\"trailNameList\":[],\"includeShadowTrails\":false}",
                                      "{\"trailNameList\":null}",
                                      "{\"trailNameList\":[\"other.trail\",\"" AUDIT_ARN "\"]}"};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        assert_int_equal(call_json(f, "DescribeTrails", all[i]), 200);
        assert_string_equal(answer_text(f), "{\"trailList\":[" AUDIT_TRAIL "," OTHER_TRAIL "]}");
    }
    assert_int_equal(call_json(f, "DescribeTrails", "{\"trailNameList\":[\"audit\",\"audit\",\"unknown\"]}"), 200);
    assert_string_equal(answer_text(f), "{\"trailList\":[" AUDIT_TRAIL "]}");
    assert_int_equal(call_json(f, "DescribeTrails", "{\"trailNameList\":[\"" OTHER_ARN "\"]}"), 200);
    assert_string_equal(answer_text(f), "{\"trailList\":[" OTHER_TRAIL "]}");
    assert_int_equal(call_json(f, "DescribeTrails", "{\"trailNameList\":[\"AUDIT\"]}"), 200);
    assert_string_equal(answer_text(f), "{\"trailList\":[]}");
    assert_true(f->operation->read_only);
}

static void describe_trails_speaks_the_query_protocol(void **state)
{
    struct fixture *f = *state;
    post_trails(f);
    assert_int_equal(call_form(f, "Action=DescribeTrails&Version=2013-11-01&Timestamp=2026-03-01T10%3A07%3A12Z&"
                                  "trailNameList.member.1=other.trail&includeShadowTrails=false"),
                     200);
    assert_string_equal(answer_text(f),
                        "<DescribeTrailsResponse xmlns=\"http://cloudtrail.amazonaws.com/doc/2013-11-01/\">"
                        "<DescribeTrailsResult><trailList><member><Name>other.trail</Name>"
                        "<S3BucketName>waymark</S3BucketName><IncludeGlobalServiceEvents>true"
                        "</IncludeGlobalServiceEvents><IsMultiRegionTrail>false</IsMultiRegionTrail>"
                        "<HomeRegion>us-west-2</HomeRegion><TrailARN>" OTHER_ARN "</TrailARN>"
                        "<LogFileValidationEnabled>true</LogFileValidationEnabled>"
                        "<HasCustomEventSelectors>false</HasCustomEventSelectors>"
                        "<HasInsightSelectors>false</HasInsightSelectors><IsOrganizationTrail>false"
                        "</IsOrganizationTrail></member></trailList></DescribeTrailsResult><ResponseMetadata>"
                        "<RequestId>request-1</RequestId></ResponseMetadata></DescribeTrailsResponse>");
    assert_int_equal(call_form(f, "Action=GetTrail&Version=2013-11-01&Name=nope"), 400);
    assert_string_equal(answer_text(f),
                        "<ErrorResponse xmlns=\"http://cloudtrail.amazonaws.com/doc/2013-11-01/\"><Error>"
                        "<Type>Sender</Type><Code>TrailNotFoundException</Code><Message>Unknown trail: nope for the "
                        "user: 111122223333</Message></Error><RequestId>request-1</RequestId></ErrorResponse>");
}

static void get_trail_by_name_or_arn(void **state)
{
    struct fixture *f = *state;
    post_trails(f);
    assert_int_equal(call_json(f, "GetTrail", "{\"Name\":\"audit\"}"), 200);
    assert_string_equal(answer_text(f), "{\"Trail\":" AUDIT_TRAIL "}");
    assert_int_equal(call_json(f, "GetTrail", "{\"Name\":\"" OTHER_ARN "\"}"), 200);
    assert_string_equal(answer_text(f), "{\"Trail\":" OTHER_TRAIL "}");
}

static void names_are_checked_as_aws_does(void **state)
{
    struct fixture *f = *state;
    char long_name[200];
    post_trails(f);
    (void)snprintf(long_name, sizeof long_name, "%0129d", 1);
    const struct {
        const char *name, *code, *message;
    } cases[] = {
        {"nope", "TrailNotFoundException", "Unknown trail: nope for the user: 111122223333"},
        {"arn:aws:cloudtrail:us-west-2:111122223333:trail/nope", "TrailNotFoundException",
         "Unknown trail: arn:aws:cloudtrail:us-west-2:111122223333:trail/nope for the user: 111122223333"},
        {"arn:aws:cloudtrail:eu-west-1:111122223333:trail/audit", "TrailNotFoundException", "Unknown trail: arn:"},
        {"arn:aws-cn:cloudtrail:us-west-2:111122223333:trail/audit", "TrailNotFoundException", "Unknown trail: arn:"},
        {"", "InvalidTrailNameException",
         "Trail name too short. Minimum allowed length: 3 characters. Specified name length: 0 characters."},
        {"ab", "InvalidTrailNameException",
         "Trail name too short. Minimum allowed length: 3 characters. Specified name length: 2 characters."},
        {long_name, "InvalidTrailNameException",
         "Trail name too long. Maximum allowed length: 128 characters. Specified name length: 129 characters."},
        {long_name + 1, "TrailNotFoundException", "Unknown trail: 0"},
        {"-audit", "InvalidTrailNameException", "Trail name must starts with a letter or number."},
        {"audit_", "InvalidTrailNameException", "Trail name must ends with a letter or number."},
        {"au dit", "InvalidTrailNameException",
         "Trail name or ARN can only contain uppercase letters, lowercase letters, numbers, periods (.), hyphens (-), "
         "and underscores (_)."},
        {"\xc3\xa4\xc3\xb6\xc3\xbc", "InvalidTrailNameException", "can only contain"},
        {"trail/audit", "InvalidTrailNameException", "can only contain"},
        {"au\\u0000dit", "InvalidTrailNameException", "can only contain"},
        {"a.-b", "InvalidTrailNameException", "next to each other"},
        {"a__b", "InvalidTrailNameException", "next to each other"},
        {"192.168.5.4", "InvalidTrailNameException", "IP address"},
        {"192.168.5.256", "TrailNotFoundException", "Unknown trail"},
        {"192.168.5", "TrailNotFoundException", "Unknown trail"},
        {"1.2.3.4.5", "TrailNotFoundException", "Unknown trail"},
        {"arn:", "CloudTrailARNInvalidException", "is not the ARN of a trail"},
        {"arn:aws:cloudtrail:us-west-2:111122223333:trail/", "CloudTrailARNInvalidException", "is not the ARN"},
        {"arn:aws:cloudtrail:us-west-2:111122223333:trail/ab", "CloudTrailARNInvalidException", "is not the ARN"},
        {"arn:aws:cloudtrail:us-west-2:111122223333:trails/audit", "CloudTrailARNInvalidException", "is not the ARN"},
        {"arn:aws:cloudtrail:us-west-2:11112222333:trail/audit", "CloudTrailARNInvalidException", "is not the ARN"},
        {"arn:aws:cloudtrail:us-west-2:11112222333x:trail/audit", "CloudTrailARNInvalidException", "is not the ARN"},
        {"arn:aws:cloudtrail::111122223333:trail/audit", "CloudTrailARNInvalidException", "is not the ARN"},
        {"arn:aws:s3:us-west-2:111122223333:trail/audit", "CloudTrailARNInvalidException", "is not the ARN"},
        {"arn:x:cloudtrail:us-west-2:111122223333:trail/audit", "CloudTrailARNInvalidException", "is not the ARN"},
    };
    static const char *const operations[] = {"GetTrail", "GetTrailStatus"};
    char body[600];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)snprintf(body, sizeof body, "{\"Name\":\"%s\"}", cases[i].name);
        for (size_t k = 0; k < 2; k++) {
            assert_int_equal(call_json(f, operations[k], body), 400);
            assert_refused(f, 400, cases[i].code, cases[i].message);
        }
        (void)snprintf(body, sizeof body, "{\"trailNameList\":[\"audit\",\"%s\"]}", cases[i].name);
        if (strcmp(cases[i].code, "TrailNotFoundException") == 0) { /* here an unknown name is merely not in the list */
            assert_int_equal(call_json(f, "DescribeTrails", body), 200);
            assert_string_equal(answer_text(f), "{\"trailList\":[" AUDIT_TRAIL "]}");
        } else {
            assert_int_equal(call_json(f, "DescribeTrails", body), 400);
            assert_refused(f, 400, cases[i].code, cases[i].message);
        }
    }
}

static void wrong_types_are_validation_errors(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(call_json(f, "GetTrail", "{}"), 400);
    assert_refused(f, 400, "ValidationError", "'Name' is required");
    assert_int_equal(call_json(f, "GetTrail", "{\"Name\":[]}"), 400);
    assert_refused(f, 400, "ValidationError", "'Name' must be a string, but it is a list");
    assert_int_equal(call_json(f, "GetTrail", "{\"name\":\"audit\"}"), 400); /* names are case-sensitive */
    assert_int_equal(call_json(f, "DescribeTrails", "{\"trailNameList\":\"audit\"}"), 400);
    assert_refused(f, 400, "ValidationError", "'trailNameList' must be a list");
    assert_int_equal(call_json(f, "DescribeTrails", "{\"includeShadowTrails\":\"yes\"}"), 400);
    assert_int_equal(call_json(f, "ListPublicKeys", "{\"StartTime\":\"2026-03-01T00:00:00Z\"}"), 400);
    assert_refused(f, 400, "ValidationError", "'StartTime'");
}

static void get_trail_status_tells_times_and_errors(void **state)
{
    struct fixture *f = *state;
    post_trails(f);
    assert_int_equal(call_json(f, "GetTrailStatus", "{\"Name\":\"audit\"}"), 200);
    assert_string_equal(answer_text(f),
                        "{\"IsLogging\":true,\"LatestDeliveryError\":\"NoSuchBucket\","
                        "\"LatestDeliveryTime\":1772359500.250,\"StartLoggingTime\":1772359000,"
                        "\"LatestDigestDeliveryTime\":1772359300,\"LatestDigestDeliveryError\":\"AccessDenied\","
                        "\"LatestDeliveryAttemptTime\":\"2026-03-01T10:06:40Z\",\"LatestNotificationAttemptTime\":\"\","
                        "\"LatestNotificationAttemptSucceeded\":\"\","
                        "\"LatestDeliveryAttemptSucceeded\":\"2026-03-01T10:05:00Z\","
                        "\"TimeLoggingStarted\":\"2026-03-01T09:56:40Z\",\"TimeLoggingStopped\":\"\"}");
    assert_int_equal(call_json(f, "GetTrailStatus", "{\"Name\":\"" OTHER_ARN "\"}"), 200);
    assert_string_equal(answer_text(f),
                        "{\"IsLogging\":true,\"StartLoggingTime\":1772359001,\"LatestDeliveryAttemptTime\":\"\","
                        "\"LatestNotificationAttemptTime\":\"\",\"LatestNotificationAttemptSucceeded\":\"\","
                        "\"LatestDeliveryAttemptSucceeded\":\"\",\"TimeLoggingStarted\":\"2026-03-01T09:56:41Z\","
                        "\"TimeLoggingStopped\":\"\"}");
}

static void logging_is_switched_by_calls_and_kept_in_the_state(void **state)
{
    struct fixture *f = *state;
    post_trails(f);
    assert_int_equal(call_json(f, "StartLogging", "{\"Name\":\"audit\"}"), 200); /* it is */
    assert_int_equal(f->reply.n_changes, 0);
    assert_string_equal(answer_text(f), "{}");
    assert_int_equal(call_json(f, "StopLogging", "{\"Name\":\"" AUDIT_ARN "\"}"), 200);
    assert_string_equal(answer_text(f), "{}");
    assert_int_equal(f->reply.n_changes, 1);
    assert_false(f->operation->read_only);
    assert_true(f->operation->audit);
    assert_string_equal(stored_document(f, "cloudtrail.logging", "audit"),
                        "{\"logging\":false,\"startedMs\":0,\"stoppedMs\":1772359632345}");
    assert_int_equal(call_json(f, "StopLogging", "{\"Name\":\"audit\"}"), 200);
    assert_int_equal(f->reply.n_changes, 0); /* the time of the first one stays */
    assert_int_equal(call_json(f, "GetTrailStatus", "{\"Name\":\"audit\"}"), 200);
    assert_non_null(strstr(answer_text(f), "{\"IsLogging\":false,"));
    assert_non_null(strstr(answer_text(f), "\"StartLoggingTime\":1772359000,\"StopLoggingTime\":1772359632.345,"));
    assert_non_null(strstr(answer_text(f), "\"TimeLoggingStopped\":\"2026-03-01T10:07:12Z\"}"));
    assert_int_equal(call_json(f, "GetTrailStatus", "{\"Name\":\"other.trail\"}"), 200);
    assert_non_null(strstr(answer_text(f), "{\"IsLogging\":true,"));
    f->now.ns += 60 * WM_NS_PER_S;
    assert_int_equal(call_form(f, "Action=StartLogging&Version=2013-11-01&Name=audit"), 200);
    assert_string_equal(stored_document(f, "cloudtrail.logging", "audit"),
                        "{\"logging\":true,\"startedMs\":1772359692345,\"stoppedMs\":1772359632345}");
    assert_false(f->operation->audit); /* a start takes nothing away */
    assert_int_equal(call_json(f, "GetTrailStatus", "{\"Name\":\"audit\"}"), 200);
    assert_non_null(strstr(answer_text(f), "{\"IsLogging\":true,"));
    assert_non_null(strstr(answer_text(f), "\"StartLoggingTime\":1772359692.345,\"StopLoggingTime\":1772359632.345,"));
    static const char *const switches[] = {"StopLogging", "StartLogging"};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(call_json(f, switches[i], "{\"Name\":\"unknown\"}"), 400);
        assert_refused(f, 400, "TrailNotFoundException", "unknown");
        assert_int_equal(call_json(f, switches[i], "{}"), 400);
        assert_refused(f, 400, "ValidationError", "Name");
    }
    /* A damaged document is a failure of ours, and no trail that is logging. */
    store_document(f, "cloudtrail.logging", "audit", "{}");
    static const char *const readers[] = {"GetTrailStatus", "StopLogging", "StartLogging"};
    assert_int_equal(call_json(f, "GetTrail", "{\"Name\":\"audit\"}"), 200);
    struct wm_call c = {.env = &f->env, .arena = &f->arena, .state = f->state, .params = f->params, .now = f->now};
    for (size_t i = 0; i < 3; i++) {
        struct wm_reply r = {.http_status = 200};
        wm_state_lock(f->state);
        enum wm_status status = service_operation(readers[i])->run(&c, &r);
        wm_state_unlock(f->state);
        assert_int_equal(status, WM_E_CORRUPT);
        assert_int_equal(r.n_changes, 0);
    }
}

/* What the model says of the members is checked before the answer that trails are not changed by calls. */
static void trails_are_not_changed_by_calls(void **state)
{
    struct fixture *f = *state;
    post_trails(f);
    static const struct {
        const char *operation, *body, *code, *text;
    } cases[] = {
        {"CreateTrail", "{\"Name\":\"audit\",\"S3BucketName\":\"b\"}", "TrailAlreadyExistsException", "audit"},
        {"CreateTrail", "{\"Name\":\"more\",\"S3BucketName\":\"b\"}", "OperationNotPermittedException", "below trails"},
        {"CreateTrail", "{\"Name\":\"more\"}", "ValidationError", "S3BucketName"},
        {"CreateTrail", "{\"Name\":\"" AUDIT_ARN "\",\"S3BucketName\":\"b\"}", "InvalidTrailNameException", "letters"},
        {"CreateTrail", "{\"Name\":\"more\",\"S3BucketName\":\"b\",\"TagsList\":[{\"Value\":\"x\"}]}", "ValidationError", "Key"},
        {"CreateTrail", "{\"Name\":\"more\",\"S3BucketName\":\"b\",\"IsMultiRegionTrail\":true,"
                        "\"IncludeGlobalServiceEvents\":false}", "InvalidParameterCombinationException", "Multi-Region"},
        {"UpdateTrail", "{\"Name\":\"audit\",\"KmsKeyId\":\"\"}", "OperationNotPermittedException", "change it"},
        {"UpdateTrail", "{\"Name\":\"more\"}", "TrailNotFoundException", "more"},
        {"UpdateTrail", "{\"Name\":\"audit\",\"IsOrganizationTrail\":1}", "ValidationError", "IsOrganizationTrail"},
        {"DeleteTrail", "{\"Name\":\"" OTHER_ARN "\"}", "OperationNotPermittedException", "other.trail is declared"},
        {"DeleteTrail", "{\"Name\":\"more\"}", "TrailNotFoundException", "more"},
        {"PutEventSelectors", "{\"TrailName\":\"audit\",\"EventSelectors\":[]}", "OperationNotPermittedException", "every call"},
        {"PutEventSelectors", "{\"TrailName\":\"audit\"}", "InvalidEventSelectorsException", "either"},
        {"PutEventSelectors", "{\"TrailName\":\"audit\",\"EventSelectors\":[],\"AdvancedEventSelectors\":[]}",
         "InvalidEventSelectorsException", "either"},
        {"PutEventSelectors", "{\"TrailName\":\"audit\",\"EventSelectors\":[{\"ReadWriteType\":\"Some\"}]}", "ValidationError",
         "ReadWriteType"},
        {"PutEventSelectors", "{\"TrailName\":\"audit\",\"AdvancedEventSelectors\":[{\"FieldSelectors\":[{\"Field\":"
                              "\"readOnly\",\"Equals\":[]}]}]}", "ValidationError", "Equals"},
        {"PutEventSelectors", "{\"TrailName\":\"audit\",\"AdvancedEventSelectors\":[{\"FieldSelectors\":[{\"Field\":"
                              "\"readOnly\",\"Equals\":[\"true\"]}]}]}", "OperationNotPermittedException", "every call"},
        {"PutEventSelectors", "{\"TrailName\":\"more\"}", "TrailNotFoundException", "more"},
        {"GetEventSelectors", "{\"TrailName\":\"more\"}", "TrailNotFoundException", "more"},
        {"GetEventSelectors", "{}", "ValidationError", "TrailName"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(call_json(f, cases[i].operation, cases[i].body), 400);
        assert_refused(f, 400, cases[i].code, cases[i].text);
        assert_int_equal(f->reply.n_changes, 0);
    }
    assert_int_equal(call_json(f, "GetEventSelectors", "{\"TrailName\":\"audit\"}"), 200);
    assert_string_equal(answer_text(f), "{\"TrailARN\":\"" AUDIT_ARN "\",\"EventSelectors\":[{\"ReadWriteType\":\"All\","
                                        "\"IncludeManagementEvents\":true,\"DataResources\":[],"
                                        "\"ExcludeManagementEventSources\":[]}]}");
    assert_true(f->operation->read_only);
    /* The set that the lock is for stands in the rows alone. */
    size_t locked = 0;
    for (size_t i = 0; i < wm_service_cloudtrail.n_operations; i++)
        locked += wm_service_cloudtrail.operations[i].audit;
    assert_int_equal(locked, 4);
}

/* Keys of 30 days, the next one after 20, the first `first_day` days from now. */
static void post_keys(struct fixture *f, int first_day, int n)
{
    for (int i = 0; i < n; i++) {
        struct wm_board_key k = {.valid_from = {CALL_NOW.ns + (first_day + 20 * i) * DAY_NS}};
        k.valid_until.ns = k.valid_from.ns + 30 * DAY_NS;
        (void)snprintf(k.value, sizeof k.value, "VALUE%d==", i);
        (void)snprintf(k.fingerprint, sizeof k.fingerprint, "%032x", (unsigned)i);
        assert_int_equal(wm_board_post_key(f->board, &k), WM_OK);
    }
}

/* The numbers of the keys answered, such as "012". */
static const char *keys_answered(struct fixture *f)
{
    static char numbers[64];
    size_t n = 0;
    const struct wm_json *list = wm_json_get(f->answer, "PublicKeyList");
    assert_non_null(list);
    for (const struct wm_json *k = list->first; k && n + 1 < sizeof numbers; k = k->next)
        numbers[n++] = wm_json_get_text(k, "Value").ptr[5];
    numbers[n] = '\0';
    return numbers;
}

static void list_public_keys_shows_a_key_whole(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(call_json(f, "ListPublicKeys", "{}"), 200);
    assert_string_equal(answer_text(f), "{\"PublicKeyList\":[]}");
    post_keys(f, -1, 1);
    assert_int_equal(call_json(f, "ListPublicKeys", "{}"), 200);
    assert_string_equal(answer_text(f),
                        "{\"PublicKeyList\":[{\"Value\":\"VALUE0==\",\"ValidityStartTime\":1772273232.345,"
                        "\"ValidityEndTime\":1774865232.345,\"Fingerprint\":\"00000000000000000000000000000000\"}]}");
}

static void list_public_keys_finds_the_range(void **state)
{
    struct fixture *f = *state;
    post_keys(f, -45, 5); /* 0: -45..-15, 1: -25..5, 2: -5..25, 3: 15..45, 4: 35..65 */
    static const struct {
        int from, until; /* days from now; 999: not given */
        const char *keys;
    } cases[] = {
        {999, 999, "12"}, /* current */
        {-20, 999, "012"}, {-100, 999, "012"}, {999, 10, "12"}, {999, 16, "123"}, {-100, 100, "01234"},
        {-100, -50, ""},  {-40, -30, "0"},     {66, 70, ""},    {-14, -6, "1"},
    };
    char body[128];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wm_buf b;
        wm_buf_init(&b, sizeof body);
        wm_buf_add_str(&b, "{\"NextToken\":\"\"");
        if (cases[i].from != 999)
            wm_buf_addf(&b, ",\"StartTime\":%lld", (long long)(CALL_NOW.ns + cases[i].from * DAY_NS) / WM_NS_PER_S);
        if (cases[i].until != 999)
            wm_buf_addf(&b, ",\"EndTime\":%lld", (long long)(CALL_NOW.ns + cases[i].until * DAY_NS) / WM_NS_PER_S);
        wm_buf_add_char(&b, '}');
        assert_int_equal(call_json(f, "ListPublicKeys", wm_buf_cstr(&b)), 200);
        assert_string_equal(keys_answered(f), cases[i].keys);
        wm_buf_done(&b);
    }
    /* a key that begins within the hour behind the range: older clients take digests signed by it */
    (void)snprintf(body, sizeof body, "{\"StartTime\":%lld,\"EndTime\":%lld}",
                   (long long)(CALL_NOW.ns - 5 * DAY_NS) / WM_NS_PER_S - 7200,
                   (long long)(CALL_NOW.ns - 5 * DAY_NS) / WM_NS_PER_S - 3500);
    assert_int_equal(call_json(f, "ListPublicKeys", body), 200);
    assert_string_equal(keys_answered(f), "12");
    assert_int_equal(call_form(f, "Action=ListPublicKeys&Version=2013-11-01&StartTime=2026-01-01T00:00:00Z&"
                                  "EndTime=2026-01-02T00:00:00Z"),
                     200);
    assert_non_null(strstr(answer_text(f), "<PublicKeyList></PublicKeyList>"));
    assert_int_equal(call_form(f, "Action=ListPublicKeys&Version=2013-11-01"), 200);
    assert_non_null(strstr(answer_text(f), "<Value>VALUE1==</Value><ValidityStartTime>2026-02-04T10:07:12.345Z<"));
}

static void list_public_keys_gives_more_than_a_few(void **state)
{
    struct fixture *f = *state;
    post_keys(f, -4000, 200);
    assert_int_equal(call_json(f, "ListPublicKeys", "{\"StartTime\":0}"), 200);
    assert_int_equal(wm_json_get(f->answer, "PublicKeyList")->count, 200);
    assert_int_equal(call_json(f, "ListPublicKeys", "{\"StartTime\":0,\"EndTime\":9214646400}"), 200);
    assert_int_equal(wm_json_get(f->answer, "PublicKeyList")->count, 200);
}

static void list_public_keys_refuses_bad_ranges_and_tokens(void **state)
{
    struct fixture *f = *state;
    post_keys(f, -1, 1);
    assert_int_equal(call_json(f, "ListPublicKeys", "{\"StartTime\":1772359000,\"EndTime\":1772358999}"), 400);
    assert_refused(f, 400, "InvalidTimeRangeException", "StartTime");
    assert_int_equal(call_json(f, "ListPublicKeys", "{\"StartTime\":1772359633}"), 400); /* after now */
    assert_refused(f, 400, "InvalidTimeRangeException", "StartTime");
    assert_int_equal(call_json(f, "ListPublicKeys", "{\"EndTime\":1772359000}"), 400);
    assert_refused(f, 400, "InvalidTimeRangeException", "StartTime");
    assert_int_equal(call_json(f, "ListPublicKeys", "{\"StartTime\":1772359000,\"EndTime\":1772359000}"), 200);
    assert_int_equal(call_json(f, "ListPublicKeys", "{\"NextToken\":\"x\"}"), 400);
    assert_refused(f, 400, "InvalidTokenException", "NextToken");
}

static void get_caller_identity_tells_who_calls(void **state)
{
    struct fixture *f = *state;
    static const char want[] =
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>"
        "<Arn>arn:aws:iam::111122223333:root</Arn><UserId>111122223333</UserId><Account>111122223333</Account>"
        "</GetCallerIdentityResult><ResponseMetadata><RequestId>request-1</RequestId></ResponseMetadata>"
        "</GetCallerIdentityResponse>";
    assert_int_equal(call_form(f, "Action=GetCallerIdentity&Version=2011-06-15"), 200);
    assert_string_equal(answer_text(f), want);
    assert_true(f->operation->read_only);
    /* presigned, as Kubernetes authenticators send it */
    assert_int_equal(call_rest(f, "GET", "/", "Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Expires=60", ""), 200);
    assert_string_equal(answer_text(f), want);
}

static void calls_survive_a_small_arena(void **state)
{
    struct fixture *f = *state;
    post_trails(f);
    post_keys(f, -1, 1);
    static const char *const params_of[] = {"{}", "{\"Name\":\"audit\"}", "{\"Name\":\"ab\"}", "{}", "{\"Name\":\"audit\"}",
                                            "{\"TrailName\":\"audit\"}"};
    static const char *const operation_of[] = {"DescribeTrails", "GetTrail", "GetTrailStatus", "ListPublicKeys", "StopLogging",
                                               "GetEventSelectors"};
    for (size_t i = 0; i < sizeof operation_of / sizeof operation_of[0]; i++) {
        const struct wm_operation *operation = service_operation(operation_of[i]);
        struct wm_json *params = NULL;
        size_t worked = 0, failed = 0;
        wm_arena_clear(&f->arena);
        assert_int_equal(wm_json_parse(&f->arena, wm_view_of(params_of[i]), &params, NULL), WM_OK);
        for (size_t max = 0; max <= 16; max++) {
            struct wm_arena small;
            wm_arena_init(&small, max * 16384);
            struct wm_call c = {.env = &f->env, .arena = &small, .state = f->state, .params = params, .now = f->now};
            struct wm_reply r = {.http_status = 200};
            wm_state_lock(f->state);
            enum wm_status status = operation->run(&c, &r);
            wm_state_unlock(f->state);
            if (wm_arena_status(&small) == WM_OK) {
                assert_int_equal(status, WM_OK);
                assert_true(r.document || r.error_code || r.n_changes == 1);
                worked++;
            } else {
                assert_true(status == WM_E_NOMEM || r.error_code);
                failed++;
            }
            wm_arena_done(&small);
        }
        assert_true(worked > 0);
        assert_true(failed > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(describe_trails_lists_all_or_the_named, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(describe_trails_speaks_the_query_protocol, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(get_trail_by_name_or_arn, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(names_are_checked_as_aws_does, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(wrong_types_are_validation_errors, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(get_trail_status_tells_times_and_errors, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(logging_is_switched_by_calls_and_kept_in_the_state, fixture_set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(trails_are_not_changed_by_calls, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(list_public_keys_shows_a_key_whole, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(list_public_keys_finds_the_range, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(list_public_keys_gives_more_than_a_few, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(list_public_keys_refuses_bad_ranges_and_tokens, fixture_set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(get_caller_identity_tells_who_calls, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(calls_survive_a_small_arena, fixture_set_up, fixture_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
