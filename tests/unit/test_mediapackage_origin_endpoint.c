#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/service_call.h"

#include "waymark/banned.h"

#define KIND "mediapackage.origin_endpoint"
#define INDEX "mediapackage.channel_endpoint"

static void create_channel(struct fixture *f, const char *id)
{
    char body[600];
    (void)snprintf(body, sizeof body, "{\"id\":\"%s\"}", id);
    assert_int_equal(call_rest(f, "POST", "/channels", "", body), 200);
}

/* An endpoint of channel "cam"; more: further members, with a comma in front. */
static int create(struct fixture *f, const char *id, const char *more)
{
    static char body[100000];
    (void)snprintf(body, sizeof body, "{\"channelId\":\"cam\",\"id\":\"%s\"%s}", id, more);
    return call_rest(f, "POST", "/origin_endpoints", "", body);
}

static int update(struct fixture *f, const char *id, const char *body)
{
    char path[600];
    (void)snprintf(path, sizeof path, "/origin_endpoints/%s", id);
    return call_rest(f, "PUT", path, "", body);
}

static const char *json_text(const struct wm_json *v)
{
    static char text[8192];
    struct wm_buf b;
    assert_non_null(v);
    wm_buf_init(&b, sizeof text);
    wm_json_write(&b, v);
    assert_true(wm_view_copy(wm_buf_view(&b), text, sizeof text));
    wm_buf_done(&b);
    return text;
}

static int set_up(void **state)
{
    (void)fixture_set_up(state); /* asserts by itself */
    create_channel(*state, "cam");
    return 0;
}

#define TRIGGERS                                                                                                       \
    "\"adTriggers\":[\"SPLICE_INSERT\",\"PROVIDER_ADVERTISEMENT\",\"DISTRIBUTOR_ADVERTISEMENT\","                      \
    "\"PROVIDER_PLACEMENT_OPPORTUNITY\",\"DISTRIBUTOR_PLACEMENT_OPPORTUNITY\"]"
#define STREAMS                                                                                                        \
    "\"streamSelection\":{\"maxVideoBitsPerSecond\":2147483647,\"minVideoBitsPerSecond\":0,\"streamOrder\":\"ORIGINAL\"}"
#define ROLE "\"arn:aws:iam::111122223333:role/speke\""
#define SPEKE_OPEN                                                                                                     \
    "\"spekeKeyProvider\":{\"resourceId\":\"r\",\"roleArn\":" ROLE                                                     \
    ",\"systemIds\":[\"81376844-f976-481e-a84e-cc25d39b0b33\"],\"url\":\"https://speke.example/\""
#define SPEKE SPEKE_OPEN "}"
#define CONTRACT(AUDIO, VIDEO)                                                                                         \
    SPEKE_OPEN ",\"encryptionContractConfiguration\":{\"presetSpeke20Audio\":\"" AUDIO                                 \
               "\",\"presetSpeke20Video\":\"" VIDEO "\"}}"

/* ---- what is answered ---- */

static void an_endpoint_has_every_default(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *package, *whole, *ending;
    } cases[] = {
        {"hlsPackage",
         "{\"adMarkers\":\"NONE\"," TRIGGERS ",\"adsOnDeliveryRestrictions\":\"RESTRICTED\",\"includeDvbSubtitles\":false,"
         "\"includeIframeOnlyStream\":false,\"playlistType\":\"NONE\",\"playlistWindowSeconds\":60,"
         "\"programDateTimeIntervalSeconds\":0,\"segmentDurationSeconds\":6," STREAMS ",\"useAudioRenditionGroup\":false}",
         "/index.m3u8"},
        {"dashPackage",
         "{" TRIGGERS ",\"adsOnDeliveryRestrictions\":\"RESTRICTED\",\"includeIframeOnlyStream\":false,"
         "\"manifestLayout\":\"FULL\",\"manifestWindowSeconds\":60,\"minBufferTimeSeconds\":30,"
         "\"minUpdatePeriodSeconds\":15,\"periodTriggers\":[],\"profile\":\"NONE\",\"segmentDurationSeconds\":2,"
         "\"segmentTemplateFormat\":\"NUMBER_WITH_TIMELINE\"," STREAMS ",\"suggestedPresentationDelaySeconds\":25,"
         "\"utcTiming\":\"NONE\"}",
         "/index.mpd"},
        {"mssPackage", "{\"manifestWindowSeconds\":60,\"segmentDurationSeconds\":2," STREAMS "}", "/index.ism/Manifest"},
        {"cmafPackage", "{\"hlsManifests\":[],\"segmentDurationSeconds\":6," STREAMS ",\"segmentPrefix\":\"cam\"}", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char more[100], created[8192];
        (void)snprintf(more, sizeof more, ",\"%s\":{}", cases[i].package);
        assert_int_equal(create(f, cases[i].package, more), 200);
        assert_string_equal(json_text(wm_json_get(f->answer, cases[i].package)), cases[i].whole);
        for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++)
            assert_int_equal(wm_json_get(f->answer, cases[k].package) != NULL, k == i);
        assert_text(f->answer, "id", cases[i].package);
        assert_text(f->answer, "channelId", "cam");
        assert_text(f->answer, "createdAt", "2026-03-01T10:07:12Z");
        assert_text(f->answer, "description", "");
        assert_text(f->answer, "manifestName", "index");
        assert_text(f->answer, "origination", "ALLOW");
        assert_string_equal(json_text(wm_json_get(f->answer, "startoverWindowSeconds")), "0");
        assert_string_equal(json_text(wm_json_get(f->answer, "timeDelaySeconds")), "0");
        assert_string_equal(json_text(wm_json_get(f->answer, "whitelist")), "[]");
        assert_string_equal(json_text(wm_json_get(f->answer, "tags")), "{}");
        assert_null(wm_json_get(f->answer, "authorization"));
        assert_null(wm_json_get(f->answer, "egress"));
        assert_int_equal(f->answer->count, 13);

        struct wm_view arn = wm_json_get_text(f->answer, "arn"), url = wm_json_get_text(f->answer, "url");
        assert_true(wm_view_starts(arn, "arn:aws:mediapackage:us-west-2:111122223333:origin_endpoints/"));
        char guid[33], want[300];
        assert_true(wm_view_copy(wm_view_sub(arn, wm_view_rfind(arn, '/') + 1, arn.len), guid, sizeof guid));
        assert_int_equal(strspn(guid, "0123456789abcdef"), 32);
        if (cases[i].ending) {
            (void)snprintf(want, sizeof want, "https://%.16s.mediapackage.us-west-2.amazonaws.com/out/v1/%s%s",
                           url.ptr + 8, guid, cases[i].ending);
            assert_text(f->answer, "url", want);
            assert_int_equal(strspn(want + 8, "0123456789abcdef"), 16);
        } else {
            assert_text(f->answer, "url", "");
        }

        /* the same for who asks later */
        assert_true(wm_view_copy(wm_buf_view(&f->out), created, sizeof created));
        f->env.region = WM_LIT("eu-west-1");
        (void)snprintf(more, sizeof more, "/origin_endpoints/%s", cases[i].package);
        assert_int_equal(call_rest(f, "GET", more, "", ""), 200);
        assert_true(wm_view_eq_str(wm_buf_view(&f->out), created));
        assert_int_equal(update(f, cases[i].package, "{}"), 200);
        assert_true(wm_view_eq_str(wm_buf_view(&f->out), created));
        f->env.region = WM_LIT("us-west-2");
    }
}

static void an_endpoint_echoes_what_was_given(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *name, *value, *whole; /* whole NULL: as value */
    } cases[] = {
        {"description", "\"d \xc3\xa9\"", NULL},
        {"manifestName", "\"live_1-a\"", NULL},
        {"origination", "\"DENY\"", NULL},
        {"startoverWindowSeconds", "1209600", NULL},
        {"timeDelaySeconds", "86400", NULL},
        {"timeDelaySeconds", "5", NULL},
        {"whitelist", "[\"192.0.2.0/24\",\"10.1.2.3/32\",\"0.0.0.0/0\"]", NULL},
        {"tags", "{\"k\":\"v\"}", NULL},
        {"authorization",
         "{\"cdnIdentifierSecret\":\"arn:aws:secretsmanager:us-west-2:111122223333:secret:cdn-1\","
         "\"secretsRoleArn\":\"arn:aws:iam::111122223333:role/path/cdn\"}",
         NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char more[1000];
        (void)snprintf(more, sizeof more, ",\"mssPackage\":{},\"%s\":%s", cases[i].name, cases[i].value);
        assert_int_equal(create(f, "e", more), 200);
        assert_string_equal(json_text(wm_json_get(f->answer, cases[i].name)), cases[i].value);
        assert_int_equal(call_rest(f, "DELETE", "/origin_endpoints/e", "", ""), 202);
    }
}

/* Every member of a package, each with a value that is not its default. */
static void packages_echo_what_was_given(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *name, *package;
    } cases[] = {
        {"hlsPackage",
         "{\"adMarkers\":\"DATERANGE\",\"adTriggers\":[\"BREAK\",\"PROVIDER_OVERLAY_PLACEMENT_OPPORTUNITY\"],"
         "\"adsOnDeliveryRestrictions\":\"BOTH\",\"encryption\":{\"constantInitializationVector\":"
         "\"00112233445566778899aabbccddeeFF\",\"encryptionMethod\":\"SAMPLE_AES\",\"keyRotationIntervalSeconds\":0,"
         "\"repeatExtXKey\":true,\"spekeKeyProvider\":{\"certificateArn\":"
         "\"arn:aws:acm:us-west-2:111122223333:certificate/x\",\"resourceId\":\"r\",\"roleArn\":" ROLE
         ",\"systemIds\":[\"a\",\"b\"],\"url\":\"https://k\"}},\"includeDvbSubtitles\":true,"
         "\"includeIframeOnlyStream\":true,\"playlistType\":\"EVENT\",\"playlistWindowSeconds\":300,"
         "\"programDateTimeIntervalSeconds\":1,\"segmentDurationSeconds\":1,\"streamSelection\":{"
         "\"maxVideoBitsPerSecond\":5,\"minVideoBitsPerSecond\":5,\"streamOrder\":\"VIDEO_BITRATE_DESCENDING\"},"
         "\"useAudioRenditionGroup\":true}"},
        {"dashPackage",
         "{\"adTriggers\":[],\"adsOnDeliveryRestrictions\":\"UNRESTRICTED\",\"encryption\":{"
         "\"keyRotationIntervalSeconds\":7," SPEKE "},\"includeIframeOnlyStream\":true,\"manifestLayout\":"
         "\"DRM_TOP_LEVEL_COMPACT\",\"manifestWindowSeconds\":1,\"minBufferTimeSeconds\":0,\"minUpdatePeriodSeconds\":1,"
         "\"periodTriggers\":[\"ADS\"],\"profile\":\"DVB_DASH_2014\",\"segmentDurationSeconds\":300,"
         "\"segmentTemplateFormat\":\"TIME_WITH_TIMELINE\"," STREAMS ",\"suggestedPresentationDelaySeconds\":0,"
         "\"utcTiming\":\"HTTP-XSDATE\",\"utcTimingUri\":\"https://time\"}"},
        {"mssPackage",
         "{\"encryption\":{" SPEKE "},\"manifestWindowSeconds\":9,\"segmentDurationSeconds\":3," STREAMS "}"},
        {"cmafPackage",
         "{\"encryption\":{\"constantInitializationVector\":\"00112233445566778899aabbccddeeff\","
         "\"encryptionMethod\":\"AES_CTR\",\"keyRotationIntervalSeconds\":0,\"spekeKeyProvider\":{"
         "\"encryptionContractConfiguration\":{\"presetSpeke20Audio\":\"SHARED\",\"presetSpeke20Video\":\"SHARED\"},"
         "\"resourceId\":\"r\",\"roleArn\":" ROLE ",\"systemIds\":[\"a\"],\"url\":\"https://k\"}},"
         "\"hlsManifests\":[],\"segmentDurationSeconds\":4,\"segmentPrefix\":\"p\"," STREAMS "}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char more[4000];
        (void)snprintf(more, sizeof more, ",\"%s\":%s", cases[i].name, cases[i].package);
        assert_int_equal(create(f, cases[i].name, more), 200);
        assert_string_equal(json_text(wm_json_get(f->answer, cases[i].name)), cases[i].package);
        /* the record shows what was asked for, not what it became */
        assert_string_equal(json_text(wm_json_get(wm_service_redact_params(&f->arena, &wm_service_mediapackage,
                                                                           f->operation, f->params),
                                                  cases[i].name)),
                            cases[i].package);
    }
}

static void cmaf_manifests_have_urls_of_their_own(void **state)
{
    struct fixture *f = *state;
    char want[300];
    assert_int_equal(create(f, "e", ",\"manifestName\":\"main\",\"cmafPackage\":{\"hlsManifests\":[{\"id\":\"one\"},"
                                    "{\"id\":\"two\",\"manifestName\":\"other\",\"playlistType\":\"VOD\"}]}"),
                     200);
    struct wm_json *list = wm_json_get(wm_json_get(f->answer, "cmafPackage"), "hlsManifests");
    assert_int_equal(list->count, 2);
    struct wm_view url = wm_json_get_text(list->first, "url");
    struct wm_view arn = wm_json_get_text(f->answer, "arn");
    (void)snprintf(want, sizeof want, "%.*s/out/v1/%.*s/one/main.m3u8", (int)wm_view_find(wm_view_sub(url, 8, url.len), '/') + 8,
                   url.ptr, WM_ARG(wm_view_sub(arn, wm_view_rfind(arn, '/') + 1, arn.len)));
    assert_text(list->first, "url", want);
    assert_text(list->first, "manifestName", "main");
    assert_true(wm_view_ends(wm_json_get_text(list->last, "url"), "/two/other.m3u8"));
    wm_json_remove(list->first, "url");
    assert_string_equal(json_text(list->first),
                        "{\"adMarkers\":\"NONE\"," TRIGGERS ",\"adsOnDeliveryRestrictions\":\"RESTRICTED\",\"id\":\"one\","
                        "\"includeIframeOnlyStream\":false,\"playlistType\":\"NONE\",\"playlistWindowSeconds\":60,"
                        "\"programDateTimeIntervalSeconds\":0,\"manifestName\":\"main\"}");
    assert_text(list->last, "playlistType", "VOD");
    /* a manifest without a name follows the endpoint's */
    assert_int_equal(update(f, "e", "{\"manifestName\":\"new\"}"), 200);
    list = wm_json_get(wm_json_get(f->answer, "cmafPackage"), "hlsManifests");
    assert_true(wm_view_ends(wm_json_get_text(list->first, "url"), "/one/new.m3u8"));
    assert_true(wm_view_ends(wm_json_get_text(list->last, "url"), "/two/other.m3u8"));
}

static void keys_rotate_each_minute_but_not_under_a_contract(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *package, *provider, *rotation; /* NULL: no such member */
    } cases[] = {
        {"hlsPackage", SPEKE, "60"},  {"hlsPackage", CONTRACT("PRESET-AUDIO-1", "PRESET-VIDEO-8"), "0"},
        {"dashPackage", SPEKE, "60"}, {"dashPackage", CONTRACT("UNENCRYPTED", "PRESET-VIDEO-1"), "0"},
        {"cmafPackage", SPEKE, "60"}, {"cmafPackage", CONTRACT("PRESET-AUDIO-3", "UNENCRYPTED"), "0"},
        {"mssPackage", SPEKE, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char more[2000], id[10];
        (void)snprintf(id, sizeof id, "e%zu", i);
        (void)snprintf(more, sizeof more, ",\"%s\":{\"encryption\":{%s}}", cases[i].package, cases[i].provider);
        assert_int_equal(create(f, id, more), 200);
        const struct wm_json *encryption = wm_json_get(wm_json_get(f->answer, cases[i].package), "encryption");
        const struct wm_json *rotation = wm_json_get(encryption, "keyRotationIntervalSeconds");
        assert_int_equal(rotation != NULL, cases[i].rotation != NULL);
        if (rotation)
            assert_string_equal(json_text(rotation), cases[i].rotation);
        if (strcmp(cases[i].package, "hlsPackage") == 0)
            assert_text(encryption, "encryptionMethod", "AES_128");
        if (strcmp(cases[i].package, "cmafPackage") == 0)
            assert_text(encryption, "encryptionMethod", "SAMPLE_AES");
    }
}

/* ---- what is refused ---- */

static void bad_members_are_refused(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *more, *part;
    } cases[] = {
        {"", "exactly one of"},
        {",\"hlsPackage\":{},\"dashPackage\":{}", "exactly one of"},
        {",\"hlsPackage\":null", "exactly one of"},
        {",\"hlsPackage\":[]", "'hlsPackage' must be an object"},
        {",\"mssPackage\":{},\"description\":5", "'description' must be a string"},
        {",\"mssPackage\":{},\"manifestName\":\"\"", "'manifestName' must have 1 to 256"},
        {",\"mssPackage\":{},\"manifestName\":\"a/b\"", "'manifestName' may have letters"},
        {",\"mssPackage\":{},\"origination\":\"allow\"", "'origination' must be one of ALLOW, DENY"},
        {",\"mssPackage\":{},\"startoverWindowSeconds\":1209601", "'startoverWindowSeconds' must be an integer from 0 to 1209600"},
        {",\"mssPackage\":{},\"startoverWindowSeconds\":-1", "'startoverWindowSeconds'"},
        {",\"mssPackage\":{},\"timeDelaySeconds\":86401", "'timeDelaySeconds'"},
        {",\"mssPackage\":{},\"timeDelaySeconds\":1", "'timeDelaySeconds' must be 0, or from 5"},
        {",\"mssPackage\":{},\"timeDelaySeconds\":4", "'timeDelaySeconds' must be 0, or from 5"},
        {",\"mssPackage\":{},\"timeDelaySeconds\":60,\"startoverWindowSeconds\":60", "less than 'startoverWindowSeconds'"},
        {",\"mssPackage\":{},\"whitelist\":\"10.0.0.0/8\"", "'whitelist' must be a list"},
        {",\"mssPackage\":{},\"whitelist\":[\"10.0.0.0/8\",\"10.0.0.1\"]", "'whitelist.element' must be an IPv4 CIDR block"},
        {",\"mssPackage\":{},\"whitelist\":[\"10.0.0.0/33\"]", "CIDR"},
        {",\"mssPackage\":{},\"whitelist\":[\"10.0.0/8\"]", "CIDR"},
        {",\"mssPackage\":{},\"whitelist\":[\"10.0.0.0/\"]", "CIDR"},
        {",\"mssPackage\":{},\"whitelist\":[\"256.0.0.0/8\"]", "CIDR"},
        {",\"mssPackage\":{},\"whitelist\":[\"2001:db8::/32\"]", "CIDR"},
        {",\"mssPackage\":{},\"whitelist\":[\"\"]", "CIDR"},
        {",\"mssPackage\":{},\"tags\":{\"aws:x\":\"y\"}", "reserved"},
        {",\"mssPackage\":{},\"authorization\":{}", "'authorization.cdnIdentifierSecret' is required"},
        {",\"mssPackage\":{},\"authorization\":{\"cdnIdentifierSecret\":\"arn:aws:secretsmanager:us-west-2:111122223333:secret:x\"}",
         "'authorization.secretsRoleArn' is required"},
        {",\"mssPackage\":{},\"authorization\":{\"cdnIdentifierSecret\":\"arn:aws:s3:::111122223333:secret:x\",\"secretsRoleArn\":" ROLE "}",
         "'authorization.cdnIdentifierSecret' must be the ARN of a secret"},
        {",\"mssPackage\":{},\"authorization\":{\"cdnIdentifierSecret\":\"arn:aws:secretsmanager:us-west-2:111122223333:secret:x\","
         "\"secretsRoleArn\":\"arn:aws:iam::111122223333:user/x\"}",
         "'authorization.secretsRoleArn' must be the ARN of an IAM role"},
        {",\"hlsPackage\":{\"adMarkers\":\"none\"}", "'hlsPackage.adMarkers' must be one of NONE, SCTE35_ENHANCED, PASSTHROUGH, DATERANGE"},
        {",\"hlsPackage\":{\"adMarkers\":\"DATERANGE\"}", "'programDateTimeIntervalSeconds' must be above 0"},
        {",\"hlsPackage\":{\"adTriggers\":[\"BREAK\",\"X\"]}", "'hlsPackage.adTriggers.element' must be one of SPLICE_INSERT, BREAK"},
        {",\"hlsPackage\":{\"adsOnDeliveryRestrictions\":\"X\"}", "'hlsPackage.adsOnDeliveryRestrictions' must be one of"},
        {",\"hlsPackage\":{\"includeDvbSubtitles\":1}", "'hlsPackage.includeDvbSubtitles' must be a boolean"},
        {",\"hlsPackage\":{\"includeIframeOnlyStream\":\"no\"}", "must be a boolean"},
        {",\"hlsPackage\":{\"useAudioRenditionGroup\":0}", "must be a boolean"},
        {",\"hlsPackage\":{\"playlistType\":\"LIVE\"}", "'hlsPackage.playlistType' must be one of NONE, EVENT, VOD"},
        {",\"hlsPackage\":{\"playlistWindowSeconds\":301}", "'hlsPackage.playlistWindowSeconds' must be an integer from 1 to 300"},
        {",\"hlsPackage\":{\"playlistWindowSeconds\":0}", "'hlsPackage.playlistWindowSeconds'"},
        {",\"hlsPackage\":{\"programDateTimeIntervalSeconds\":-1}", "'hlsPackage.programDateTimeIntervalSeconds'"},
        {",\"hlsPackage\":{\"segmentDurationSeconds\":0}", "'hlsPackage.segmentDurationSeconds'"},
        {",\"hlsPackage\":{\"segmentDurationSeconds\":1.5}", "'hlsPackage.segmentDurationSeconds'"},
        {",\"hlsPackage\":{\"streamSelection\":{\"streamOrder\":\"X\"}}", "'hlsPackage.streamSelection.streamOrder' must be one of"},
        {",\"hlsPackage\":{\"streamSelection\":{\"minVideoBitsPerSecond\":2,\"maxVideoBitsPerSecond\":1}}",
         "must not be above 'maxVideoBitsPerSecond'"},
        {",\"hlsPackage\":{\"streamSelection\":{\"maxVideoBitsPerSecond\":2147483648}}", "'hlsPackage.streamSelection.maxVideoBitsPerSecond'"},
        {",\"hlsPackage\":{\"encryption\":{}}", "'hlsPackage.encryption.spekeKeyProvider' is required"},
        {",\"hlsPackage\":{\"encryption\":{\"spekeKeyProvider\":{}}}", "'hlsPackage.encryption.spekeKeyProvider.resourceId' is required"},
        {",\"hlsPackage\":{\"encryption\":{\"constantInitializationVector\":\"0011\"," SPEKE "}}",
         "'hlsPackage.encryption.constantInitializationVector' must be 128 bits in 32 hex digits"},
        {",\"hlsPackage\":{\"encryption\":{\"constantInitializationVector\":\"0011223344556677889900112233445g\"," SPEKE "}}", "32 hex digits"},
        {",\"hlsPackage\":{\"encryption\":{\"encryptionMethod\":\"AES_CTR\"," SPEKE "}}", "must be one of AES_128, SAMPLE_AES"},
        {",\"hlsPackage\":{\"encryption\":{\"keyRotationIntervalSeconds\":-1," SPEKE "}}", "'hlsPackage.encryption.keyRotationIntervalSeconds'"},
        {",\"hlsPackage\":{\"encryption\":{\"spekeKeyProvider\":{\"resourceId\":\"\",\"roleArn\":" ROLE ",\"systemIds\":[\"a\"],\"url\":\"https://k\"}}}",
         "resourceId' must have 1 to"},
        {",\"hlsPackage\":{\"encryption\":{\"spekeKeyProvider\":{\"resourceId\":\"r\",\"roleArn\":\"arn:aws:iam::1:role/short\",\"systemIds\":[\"a\"],\"url\":\"https://k\"}}}",
         "roleArn' must be the ARN of an IAM role"},
        {",\"hlsPackage\":{\"encryption\":{\"spekeKeyProvider\":{\"resourceId\":\"r\",\"roleArn\":" ROLE ",\"systemIds\":[],\"url\":\"https://k\"}}}",
         "systemIds' must have 1 to 100 elements"},
        {",\"hlsPackage\":{\"encryption\":{\"spekeKeyProvider\":{\"resourceId\":\"r\",\"roleArn\":" ROLE ",\"systemIds\":[\"a\"],\"url\":\"http://key.example\"}}}",
         "url' must begin with https://"},
        {",\"hlsPackage\":{\"encryption\":{\"spekeKeyProvider\":{\"certificateArn\":\"arn:aws:acm:us-west-2:111122223333:key/x\",\"resourceId\":\"r\",\"roleArn\":" ROLE
         ",\"systemIds\":[\"a\"],\"url\":\"https://k\"}}}",
         "certificateArn' must be the ARN of a certificate"},
        {",\"dashPackage\":{\"encryption\":{" CONTRACT("PRESET-AUDIO-4", "SHARED") "}}", "presetSpeke20Audio' must be one of PRESET-AUDIO-1"},
        {",\"dashPackage\":{\"encryption\":{" CONTRACT("SHARED", "PRESET-VIDEO-9") "}}", "presetSpeke20Video' must be one of PRESET-VIDEO-1"},
        {",\"dashPackage\":{\"encryption\":{" CONTRACT("SHARED", "PRESET-VIDEO-1") "}}", "must both be SHARED"},
        {",\"dashPackage\":{\"encryption\":{" CONTRACT("UNENCRYPTED", "SHARED") "}}", "must both be SHARED"},
        {",\"mssPackage\":{\"encryption\":{" CONTRACT("UNENCRYPTED", "UNENCRYPTED") "}}", "cannot both be UNENCRYPTED"},
        {",\"dashPackage\":{\"encryption\":{\"keyRotationIntervalSeconds\":60," CONTRACT("SHARED", "SHARED") "}}", "must be 0 with"},
        {",\"dashPackage\":{\"manifestLayout\":\"X\"}", "'dashPackage.manifestLayout' must be one of FULL, COMPACT"},
        {",\"dashPackage\":{\"manifestWindowSeconds\":301}", "'dashPackage.manifestWindowSeconds'"},
        {",\"dashPackage\":{\"minBufferTimeSeconds\":-1}", "'dashPackage.minBufferTimeSeconds'"},
        {",\"dashPackage\":{\"minUpdatePeriodSeconds\":2147483648}", "'dashPackage.minUpdatePeriodSeconds'"},
        {",\"dashPackage\":{\"suggestedPresentationDelaySeconds\":-1}", "'dashPackage.suggestedPresentationDelaySeconds'"},
        {",\"dashPackage\":{\"periodTriggers\":[\"AD\"]}", "'dashPackage.periodTriggers.element' must be ADS"},
        {",\"dashPackage\":{\"periodTriggers\":[\"ADS\"],\"profile\":\"HYBRIDCAST\"}", "'profile' HYBRIDCAST"},
        {",\"dashPackage\":{\"periodTriggers\":[\"ADS\"],\"segmentTemplateFormat\":\"NUMBER_WITH_DURATION\"}", "NUMBER_WITH_DURATION"},
        {",\"dashPackage\":{\"profile\":\"X\"}", "'dashPackage.profile' must be one of NONE"},
        {",\"dashPackage\":{\"segmentTemplateFormat\":\"X\"}", "'dashPackage.segmentTemplateFormat' must be one of"},
        {",\"dashPackage\":{\"utcTiming\":\"HTTP_ISO\"}", "'dashPackage.utcTiming' must be one of NONE, HTTP-HEAD"},
        {",\"dashPackage\":{\"utcTimingUri\":7}", "'dashPackage.utcTimingUri' must be a string"},
        {",\"mssPackage\":{\"manifestWindowSeconds\":0}", "'mssPackage.manifestWindowSeconds'"},
        {",\"cmafPackage\":{\"segmentPrefix\":\"a b\"}", "'cmafPackage.segmentPrefix' may have"},
        {",\"cmafPackage\":{\"encryption\":{\"encryptionMethod\":\"AES_128\"," SPEKE "}}", "must be one of SAMPLE_AES, AES_CTR"},
        {",\"cmafPackage\":{\"hlsManifests\":[{}]}", "'cmafPackage.hlsManifests.id' is required"},
        {",\"cmafPackage\":{\"hlsManifests\":[{\"id\":\"a b\"}]}", "'cmafPackage.hlsManifests.id' may have"},
        {",\"cmafPackage\":{\"hlsManifests\":[{\"id\":\"a\"},{\"id\":\"b\"},{\"id\":\"a\"}]}", "'a' is given to two"},
        {",\"cmafPackage\":{\"hlsManifests\":[{\"id\":\"a\",\"manifestName\":\"?\"}]}", "'cmafPackage.hlsManifests.manifestName' may have"},
        {",\"cmafPackage\":{\"hlsManifests\":[{\"id\":\"a\"},{\"id\":\"b\",\"adMarkers\":\"DATERANGE\"}]}",
         "'programDateTimeIntervalSeconds' must be above 0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (create(f, "e", cases[i].more) != 422)
            fail_msg("%s was answered %d", cases[i].more, f->reply.http_status);
        assert_refused(f, 422, "UnprocessableEntityException", cases[i].part);
    }
    assert_int_equal(count_documents(f, KIND), 0);
    assert_int_equal(count_documents(f, INDEX), 0);
}

static void ids_have_their_form_and_are_one_s_own(void **state)
{
    struct fixture *f = *state;
    char body[700];
    assert_int_equal(create(f, "a b", ",\"mssPackage\":{}"), 422);
    assert_refused(f, 422, "UnprocessableEntityException", "'id' may have letters");
    assert_int_equal(create(f, "", ",\"mssPackage\":{}"), 422);
    (void)snprintf(body, sizeof body, "%0257d", 1);
    assert_int_equal(create(f, body, ",\"mssPackage\":{}"), 422);
    assert_refused(f, 422, "UnprocessableEntityException", "'id' must have 1 to 256 characters");
    assert_int_equal(create(f, body + 1, ",\"mssPackage\":{}"), 200);
    assert_int_equal(create(f, "a", ",\"mssPackage\":{}"), 200);
    assert_int_equal(create(f, "a", ",\"hlsPackage\":{}"), 422);
    assert_refused(f, 422, "UnprocessableEntityException", "'a' exists already");
    create_channel(f, "other"); /* an id is unique in the account, not in the channel */
    assert_int_equal(call_rest(f, "POST", "/origin_endpoints", "", "{\"channelId\":\"other\",\"id\":\"a\",\"mssPackage\":{}}"), 422);
    assert_int_equal(call_rest(f, "POST", "/origin_endpoints", "", "{\"id\":\"b\",\"mssPackage\":{}}"), 422);
    assert_refused(f, 422, "UnprocessableEntityException", "'channelId' is required");
    assert_int_equal(call_rest(f, "POST", "/origin_endpoints", "", "{\"channelId\":\"cam\",\"mssPackage\":{}}"), 422);
    assert_refused(f, 422, "UnprocessableEntityException", "'id' is required");
    assert_int_equal(call_rest(f, "POST", "/origin_endpoints", "", "{\"channelId\":\"none\",\"id\":\"b\",\"mssPackage\":{}}"), 404);
    assert_refused(f, 404, "NotFoundException", "There is no channel with id 'none'");
    assert_int_equal(count_documents(f, KIND), 2);
}

static void unknown_endpoints_are_not_found(void **state)
{
    struct fixture *f = *state;
    static const char *const methods[] = {"GET", "PUT", "DELETE"};
    static const char *const paths[] = {"/origin_endpoints/none", "/origin_endpoints/cam", "/origin_endpoints/a%2Fb"};
    for (size_t i = 0; i < 9; i++) {
        assert_int_equal(call_rest(f, methods[i / 3], paths[i % 3], "", ""), 404);
        assert_refused(f, 404, "NotFoundException", "There is no origin endpoint with id");
    }
}

static void a_channel_has_ten_endpoints_at_most(void **state)
{
    struct fixture *f = *state;
    char id[20];
    create_channel(f, "cam2"); /* ids that begin alike are not mixed up */
    create_channel(f, "ca");
    for (int i = 0; i < 10; i++) {
        (void)snprintf(id, sizeof id, "e%d", i);
        assert_int_equal(create(f, id, ",\"hlsPackage\":{}"), 200);
    }
    assert_int_equal(create(f, "e10", ",\"hlsPackage\":{}"), 429);
    assert_refused(f, 429, "TooManyRequestsException", "at most 10 origin endpoints");
    assert_int_equal(create(f, "e9", ",\"hlsPackage\":{}"), 422); /* the nearer reason first */
    assert_int_equal(call_rest(f, "POST", "/origin_endpoints", "", "{\"channelId\":\"cam2\",\"id\":\"x\",\"mssPackage\":{}}"), 200);
    assert_int_equal(call_rest(f, "DELETE", "/origin_endpoints/e3", "", ""), 202);
    assert_int_equal(create(f, "e10", ",\"hlsPackage\":{}"), 200);
    assert_int_equal(count_documents(f, INDEX), 11);
}

static void a_channel_with_endpoints_cannot_go(void **state)
{
    struct fixture *f = *state;
    create_channel(f, "cam2");
    assert_int_equal(create(f, "a", ",\"hlsPackage\":{}"), 200);
    assert_int_equal(f->reply.n_changes, 2);
    assert_int_equal(create(f, "b", ",\"mssPackage\":{}"), 200);
    assert_int_equal(call_rest(f, "DELETE", "/channels/cam2", "", ""), 202);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(call_rest(f, "DELETE", "/channels/cam", "", ""), 422);
        assert_refused(f, 422, "UnprocessableEntityException", "'cam' has origin endpoints");
        assert_int_equal(call_rest(f, "DELETE", i ? "/origin_endpoints/b" : "/origin_endpoints/a", "", ""), 202);
        assert_true(wm_view_eq_str(wm_buf_view(&f->out), "{}"));
    }
    assert_int_equal(call_rest(f, "GET", "/origin_endpoints/a", "", ""), 404);
    assert_int_equal(call_rest(f, "DELETE", "/channels/cam", "", ""), 202);
    assert_int_equal(count_documents(f, KIND), 0);
    assert_int_equal(count_documents(f, INDEX), 0);
}

/* ---- update ---- */

static void update_keeps_what_is_not_given(void **state)
{
    struct fixture *f = *state;
    static const char *const steps[] = {
        "{\"description\":\"new\"}",
        "{\"manifestName\":\"main\"}",
        "{\"origination\":\"DENY\"}",
        "{\"startoverWindowSeconds\":600}",
        "{\"timeDelaySeconds\":30}",
        "{\"whitelist\":[\"10.0.0.0/8\"]}",
        "{\"authorization\":{\"cdnIdentifierSecret\":\"arn:aws:secretsmanager:us-west-2:111122223333:secret:x\",\"secretsRoleArn\":" ROLE "}}",
        "{\"authorization\":{\"cdnIdentifierSecret\":\"arn:aws:secretsmanager:us-west-2:111122223333:secret:y\",\"secretsRoleArn\":" ROLE "}}",
        "{\"whitelist\":[]}",
        "{\"startoverWindowSeconds\":0}",
    };
    assert_int_equal(create(f, "e", ",\"description\":\"old\",\"tags\":{\"k\":\"v\"},\"hlsPackage\":{\"segmentDurationSeconds\":9}"), 200);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        char before[8192];
        struct wm_arena a;
        struct wm_json *old, *step;
        wm_arena_init(&a, 1000000);
        assert_true(wm_view_copy(wm_buf_view(&f->out), before, sizeof before));
        assert_int_equal(wm_json_parse(&a, wm_view_of(before), &old, NULL), WM_OK);
        assert_int_equal(wm_json_parse(&a, wm_view_of(steps[i]), &step, NULL), WM_OK);
        assert_int_equal(update(f, "e", steps[i]), 200);
        for (const struct wm_json *m = f->answer->first; m; m = m->next) {
            char name[64], got[8192];
            assert_true(wm_view_copy(m->key, name, sizeof name));
            assert_true(wm_view_copy(wm_view_of(json_text(m)), got, sizeof got));
            const struct wm_json *want = wm_json_get(step, name) ? wm_json_get(step, name) : wm_json_get(old, name);
            if (strcmp(name, "url") != 0)
                assert_string_equal(got, json_text(want));
        }
        assert_int_equal(f->answer->count, i >= 6 ? 14 : 13);
        if (i == 1)
            assert_true(wm_view_ends(wm_json_get_text(f->answer, "url"), "/main.m3u8"));
        wm_arena_done(&a);
    }
}

static void update_replaces_a_package_whole(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(create(f, "e", ",\"hlsPackage\":{\"playlistWindowSeconds\":90,\"encryption\":{" SPEKE "}}"), 200);
    assert_non_null(wm_json_get(wm_json_get(f->answer, "hlsPackage"), "encryption"));
    assert_int_equal(update(f, "e", "{\"hlsPackage\":{\"segmentDurationSeconds\":4}}"), 200);
    const struct wm_json *package = wm_json_get(f->answer, "hlsPackage");
    assert_null(wm_json_get(package, "encryption"));
    assert_string_equal(json_text(wm_json_get(package, "segmentDurationSeconds")), "4");
    assert_string_equal(json_text(wm_json_get(package, "playlistWindowSeconds")), "60");
    assert_int_equal(call_rest(f, "GET", "/origin_endpoints/e", "", ""), 200);
    assert_string_equal(json_text(wm_json_get(wm_json_get(f->answer, "hlsPackage"), "segmentDurationSeconds")), "4");
}

static void update_is_checked_as_create_is(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *body, *part;
    } cases[] = {
        {"{\"dashPackage\":{}}", "type of packager cannot be changed"},
        {"{\"hlsPackage\":{},\"mssPackage\":{}}", "type of packager cannot be changed"},
        {"{\"origination\":\"X\"}", "'origination' must be one of"},
        {"{\"timeDelaySeconds\":2}", "'timeDelaySeconds' must be 0"},
        {"{\"timeDelaySeconds\":100}", "less than 'startoverWindowSeconds'"}, /* which was there before */
        {"{\"hlsPackage\":{\"adMarkers\":\"DATERANGE\"}}", "must be above 0"},
    };
    char before[8192];
    assert_int_equal(create(f, "e", ",\"startoverWindowSeconds\":100,\"hlsPackage\":{}"), 200);
    assert_true(wm_view_copy(wm_view_of(stored_document(f, KIND, "e")), before, sizeof before));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(update(f, "e", cases[i].body), 422);
        assert_refused(f, 422, "UnprocessableEntityException", cases[i].part);
    }
    assert_string_equal(stored_document(f, KIND, "e"), before);
    /* not members of this operation: neither taken nor recorded */
    assert_int_equal(update(f, "e", "{\"channelId\":\"x\",\"tags\":{\"a\":\"b\"},\"arn\":\"x\",\"id\":\"y\"}"), 200);
    assert_string_equal(stored_document(f, KIND, "e"), before);
    assert_int_equal(f->params->count, 1);
}

static void numbered_segments_keep_their_length(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(create(f, "e", ",\"dashPackage\":{\"segmentTemplateFormat\":\"NUMBER_WITH_DURATION\",\"segmentDurationSeconds\":4}"), 200);
    assert_int_equal(update(f, "e", "{\"dashPackage\":{\"segmentTemplateFormat\":\"NUMBER_WITH_DURATION\",\"segmentDurationSeconds\":5}}"), 422);
    assert_refused(f, 422, "UnprocessableEntityException", "'dashPackage.segmentDurationSeconds' cannot be changed");
    assert_int_equal(update(f, "e", "{\"dashPackage\":{\"segmentTemplateFormat\":\"NUMBER_WITH_DURATION\",\"segmentDurationSeconds\":4,"
                                    "\"manifestWindowSeconds\":30}}"),
                     200);
    assert_int_equal(update(f, "e", "{\"dashPackage\":{\"segmentDurationSeconds\":5}}"), 200);
    assert_int_equal(update(f, "e", "{\"dashPackage\":{\"segmentDurationSeconds\":6}}"), 200);
}

/* ---- list ---- */

static size_t list(struct fixture *f, const char *query, char *out_ids, size_t size)
{
    assert_int_equal(call_rest(f, "GET", "/origin_endpoints", query, ""), 200);
    const struct wm_json *l = wm_json_get(f->answer, "originEndpoints");
    size_t n = 0;
    out_ids[0] = '\0';
    for (const struct wm_json *e = l->first; e; e = e->next) {
        size_t len = strlen(out_ids);
        (void)snprintf(out_ids + len, size - len, "%.*s ", WM_ARG(wm_json_get_text(e, "id")));
        assert_true(wm_view_starts(wm_json_get_text(e, "url"), "https://"));
        n++;
    }
    return n;
}

static void endpoints_are_listed_in_pages_and_by_channel(void **state)
{
    struct fixture *f = *state;
    char ids[200], query[900];
    create_channel(f, "cam2");
    static const char *const own[] = {"d", "a", "f"};
    static const char *const others[] = {"b", "e", "c"};
    for (size_t i = 0; i < 3; i++) {
        char body[200];
        assert_int_equal(create(f, own[i], ",\"hlsPackage\":{}"), 200);
        (void)snprintf(body, sizeof body, "{\"channelId\":\"cam2\",\"id\":\"%s\",\"dashPackage\":{}}", others[i]);
        assert_int_equal(call_rest(f, "POST", "/origin_endpoints", "", body), 200);
    }
    list(f, "", ids, sizeof ids);
    assert_string_equal(ids, "a b c d e f ");
    assert_null(wm_json_get(f->answer, "nextToken"));
    list(f, "channelId=cam", ids, sizeof ids);
    assert_string_equal(ids, "a d f ");
    list(f, "channelId=cam2&maxResults=3", ids, sizeof ids);
    assert_string_equal(ids, "b c e ");
    assert_null(wm_json_get(f->answer, "nextToken"));
    list(f, "channelId=none", ids, sizeof ids);
    assert_string_equal(ids, "");
    list(f, "channelId=", ids, sizeof ids);
    assert_string_equal(ids, "");
    list(f, "channelId=ca", ids, sizeof ids);
    assert_string_equal(ids, "");

    assert_int_equal(list(f, "channelId=cam&maxResults=2", ids, sizeof ids), 2);
    (void)snprintf(query, sizeof query, "channelId=cam&maxResults=2&nextToken=%.*s", WM_ARG(wm_json_get_text(f->answer, "nextToken")));
    assert_int_equal(call_rest(f, "DELETE", "/origin_endpoints/d", "", ""), 202); /* the page's last */
    list(f, query, ids, sizeof ids);
    assert_string_equal(ids, "f ");
    assert_null(wm_json_get(f->answer, "nextToken"));
    /* a token of channels is none of endpoints */
    assert_int_equal(call_rest(f, "GET", "/channels", "maxResults=1", ""), 200);
    (void)snprintf(query, sizeof query, "nextToken=%.*s", WM_ARG(wm_json_get_text(f->answer, "nextToken")));
    assert_int_equal(call_rest(f, "GET", "/channels", query, ""), 200);
    assert_int_equal(call_rest(f, "GET", "/origin_endpoints", query, ""), 422);
    assert_refused(f, 422, "UnprocessableEntityException", "'nextToken'");
    assert_int_equal(call_rest(f, "GET", "/origin_endpoints", "maxResults=1001", ""), 422);
}

/* The largest endpoints that can be made: pages end early instead of exhausting a call's memory. */
static void large_endpoints_are_listed_in_short_pages(void **state)
{
    struct fixture *f = *state;
    struct wm_buf more;
    char query[900] = "", ids[200];
    size_t pages = 0, n = 0;
    wm_buf_init(&more, 100000);
    wm_buf_add_str(&more, ",\"hlsPackage\":{},\"whitelist\":[");
    for (int i = 0; i < 1000; i++)
        wm_buf_addf(&more, "%s\"1.1.1.1/1\"", i ? "," : "");
    wm_buf_add_str(&more, "],\"description\":\"");
    for (int i = 0; i < 80000; i++)
        wm_buf_add_char(&more, 'x');
    wm_buf_add_str(&more, "\"");
    for (int i = 0; i < 10; i++) {
        char id[10];
        (void)snprintf(id, sizeof id, "e%d", i);
        assert_int_equal(create(f, id, wm_buf_cstr(&more)), 200);
    }
    do {
        n += list(f, query, ids, sizeof ids);
        pages++;
        (void)snprintf(query, sizeof query, "nextToken=%.*s", WM_ARG(wm_json_get_text(f->answer, "nextToken")));
    } while (wm_json_get(f->answer, "nextToken"));
    assert_int_equal(n, 10);
    assert_int_equal(pages, 5);
    wm_buf_truncate(&more, 0);
    wm_buf_add_str(&more, ",\"hlsPackage\":{},\"whitelist\":[");
    for (int i = 0; i < 1001; i++)
        wm_buf_addf(&more, "%s\"1.1.1.1/1\"", i ? "," : "");
    wm_buf_add_str(&more, "]");
    assert_int_equal(create(f, "e", wm_buf_cstr(&more)), 422);
    assert_refused(f, 422, "UnprocessableEntityException", "'whitelist' must have 0 to 1000 elements");
    wm_buf_done(&more);
}

/* ---- damage, and too little memory ---- */

static void damaged_documents_are_not_answered(void **state)
{
    struct fixture *f = *state;
    static const struct small_case calls[] = {
        {"ListOriginEndpoints", "{}"},
        {"ListOriginEndpoints", "{\"channelId\":\"cam\"}"},
        {"DescribeOriginEndpoint", "{\"id\":\"x\"}"},
        {"UpdateOriginEndpoint", "{\"id\":\"x\",\"description\":\"d\"}"},
        {"DeleteOriginEndpoint", "{\"id\":\"x\"}"},
        {"CreateHarvestJob", "{\"id\":\"j\",\"originEndpointId\":\"x\"}"},
    };
    store_document(f, INDEX, "cam/x", "{}");
    store_document(f, KIND, "x", "{\"id\":\"x\"}");
    assert_corrupt(f, calls, sizeof calls / sizeof calls[0]);
    store_document(f, KIND, "x", ""); /* gone, but its channel still names it */
    assert_corrupt(f, calls + 1, 1);
}

static void calls_survive_a_small_arena(void **state)
{
    struct fixture *f = *state;
    static const struct small_case cases[] = {
        {"CreateOriginEndpoint", "{\"id\":\"new\",\"channelId\":\"cam\",\"cmafPackage\":{\"hlsManifests\":[{\"id\":\"m\"}]}}"},
        {"ListOriginEndpoints", "{\"channelId\":\"cam\"}"},
        {"DescribeOriginEndpoint", "{\"id\":\"a\"}"},
        {"UpdateOriginEndpoint", "{\"id\":\"a\",\"hlsPackage\":{\"encryption\":{" SPEKE "}}}"},
        {"DeleteOriginEndpoint", "{\"id\":\"a\"}"},
        {"DeleteChannel", "{\"id\":\"cam\"}"},
    };
    assert_int_equal(create(f, "a", ",\"hlsPackage\":{}"), 200);
    assert_survives_small_arena(f, cases, sizeof cases / sizeof cases[0], 65536);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_endpoint_has_every_default, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(an_endpoint_echoes_what_was_given, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(packages_echo_what_was_given, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(cmaf_manifests_have_urls_of_their_own, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(keys_rotate_each_minute_but_not_under_a_contract, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(bad_members_are_refused, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(ids_have_their_form_and_are_one_s_own, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(unknown_endpoints_are_not_found, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_channel_has_ten_endpoints_at_most, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_channel_with_endpoints_cannot_go, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(update_keeps_what_is_not_given, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(update_replaces_a_package_whole, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(update_is_checked_as_create_is, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(numbered_segments_keep_their_length, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(endpoints_are_listed_in_pages_and_by_channel, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(large_endpoints_are_listed_in_short_pages, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(damaged_documents_are_not_answered, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(calls_survive_a_small_arena, set_up, fixture_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
