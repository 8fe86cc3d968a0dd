/*
 * How an origin endpoint packages: the tables of HLS, DASH, Smooth Streaming and CMAF, and the rules between their
 * members that a table cannot say.
 *
 * API Reference, "Origin_endpoints": members, values and defaults, where its samples show them. It has no bounds for
 * lengths of time. Ours: a manifest is at most 300 s long (User Guide, "Quotas", "Live manifest length": soft, but a
 * call over it is answered 422 and not 429, which clients would only repeat), and no segment is longer than that.
 */
#include "server/services/mediapackage_int.h"
#include "waymark/hash.h"

#include "waymark/banned.h"

#define MAX_MANIFEST_S 300

/* ---- shared members ---- */

static const char *const ad_triggers[] = {
    "SPLICE_INSERT",
    "BREAK",
    "PROVIDER_ADVERTISEMENT",
    "DISTRIBUTOR_ADVERTISEMENT",
    "PROVIDER_PLACEMENT_OPPORTUNITY",
    "DISTRIBUTOR_PLACEMENT_OPPORTUNITY",
    "PROVIDER_OVERLAY_PLACEMENT_OPPORTUNITY",
    "DISTRIBUTOR_OVERLAY_PLACEMENT_OPPORTUNITY",
    NULL,
};
static const char *const ad_markers[] = {"NONE", "SCTE35_ENHANCED", "PASSTHROUGH", "DATERANGE", NULL};
static const char *const ad_restrictions[] = {"NONE", "RESTRICTED", "UNRESTRICTED", "BOTH", NULL};
static const char *const playlist_types[] = {"NONE", "EVENT", "VOD", NULL};
static const char *const stream_orders[] = {"ORIGINAL", "VIDEO_BITRATE_ASCENDING", "VIDEO_BITRATE_DESCENDING", NULL};
static const char *const audio_presets[] = {"PRESET-AUDIO-1", "PRESET-AUDIO-2", "PRESET-AUDIO-3",
                                            "SHARED",         "UNENCRYPTED",    NULL};
static const char *const video_presets[] = {"PRESET-VIDEO-1", "PRESET-VIDEO-2", "PRESET-VIDEO-3", "PRESET-VIDEO-4",
                                            "PRESET-VIDEO-5", "PRESET-VIDEO-6", "PRESET-VIDEO-7", "PRESET-VIDEO-8",
                                            "SHARED",         "UNENCRYPTED",    NULL};

#define AD_TRIGGERS                                                                                                    \
    {.name = "adTriggers",                                                                                             \
     .type = WM_MEMBER_STRING_LIST,                                                                                    \
     .max = 8,                                                                                                         \
     .values = ad_triggers,                                                                                            \
     .initial = "[\"SPLICE_INSERT\",\"PROVIDER_ADVERTISEMENT\",\"DISTRIBUTOR_ADVERTISEMENT\","                         \
                "\"PROVIDER_PLACEMENT_OPPORTUNITY\",\"DISTRIBUTOR_PLACEMENT_OPPORTUNITY\"]"}
#define AD_RESTRICTIONS                                                                                                \
    {.name = "adsOnDeliveryRestrictions",                                                                              \
     .type = WM_MEMBER_STRING,                                                                                         \
     .values = ad_restrictions,                                                                                        \
     .initial = "\"RESTRICTED\""}
#define CHOICE(NAME, VALUES, INITIAL)                                                                                  \
    {.name = (NAME), .type = WM_MEMBER_STRING, .values = (VALUES), .initial = (INITIAL)}
#define SECONDS(NAME, MIN, MAX, INITIAL)                                                                               \
    {.name = (NAME), .type = WM_MEMBER_INTEGER, .min = (MIN), .max = (MAX), .initial = (INITIAL)}
#define FLAG(NAME) {.name = (NAME), .type = WM_MEMBER_BOOLEAN, .initial = "false"}
#define SEGMENT_SECONDS(INITIAL) SECONDS("segmentDurationSeconds", 1, MAX_MANIFEST_S, INITIAL)
#define KEY_ROTATION SECONDS("keyRotationIntervalSeconds", 0, INT32_MAX, NULL) /* mediapackage_settle_package() */
#define STREAM_SELECTION                                                                                               \
    {.name = "streamSelection", .type = WM_MEMBER_STRUCT, .fields = stream_selection, .initial = "{}"}
#define SPEKE_KEY_PROVIDER                                                                                             \
    {.name = "spekeKeyProvider", .type = WM_MEMBER_STRUCT, .required = true, .fields = speke_key_provider}

static const struct wm_member stream_selection[] = {
    SECONDS("maxVideoBitsPerSecond", 0, INT32_MAX, "2147483647"),
    SECONDS("minVideoBitsPerSecond", 0, INT32_MAX, "0"),
    CHOICE("streamOrder", stream_orders, "\"ORIGINAL\""),
    {0},
};

/* ---- encryption ---- */

static bool is_vector(struct wm_view text)
{
    uint8_t bytes[16];
    return text.len == 2 * sizeof bytes && wm_hex_decode(text, bytes, sizeof bytes);
}

static const struct wm_text_form vector_form = {is_vector, "must be 128 bits in 32 hex digits"};

static bool is_https(struct wm_view text)
{
    return wm_view_starts(text, "https://") && text.len > strlen("https://");
}

static const struct wm_text_form https_form = {is_https, "must begin with https://"};

static bool is_certificate(struct wm_view text)
{
    return mediapackage_is_arn(text, "acm", "certificate/");
}

static const struct wm_text_form certificate_form = {
    is_certificate, "must be the ARN of a certificate, such as arn:aws:acm:us-east-1:111122223333:certificate/ID"};

static const struct wm_member encryption_contract[] = {
    {.name = "presetSpeke20Audio", .type = WM_MEMBER_STRING, .required = true, .values = audio_presets},
    {.name = "presetSpeke20Video", .type = WM_MEMBER_STRING, .required = true, .values = video_presets},
    {0},
};

static const struct wm_member speke_key_provider[] = {
    MEDIAPACKAGE_ARN_MEMBER("certificateArn", false, &certificate_form),
    {.name = "encryptionContractConfiguration", .type = WM_MEMBER_STRUCT, .fields = encryption_contract},
    {.name = "resourceId", .type = WM_MEMBER_STRING, .required = true, .min = 1, .max = 2048},
    MEDIAPACKAGE_ARN_MEMBER("roleArn", true, &mediapackage_role_form),
    {.name = "systemIds", .type = WM_MEMBER_STRING_LIST, .required = true, .min = 1, .max = 100},
    {.name = "url", .type = WM_MEMBER_STRING, .required = true, .min = 9, .max = 2048, .form = &https_form},
    {0},
};

#define ENCRYPTION(ROWS) {.name = "encryption", .type = WM_MEMBER_STRUCT, .fields = (ROWS)}
#define VECTOR {.name = "constantInitializationVector", .type = WM_MEMBER_STRING, .form = &vector_form}

/* ---- HLS ---- */

static const char *const hls_methods[] = {"AES_128", "SAMPLE_AES", NULL};

static const struct wm_member hls_encryption[] = {
    VECTOR,
    CHOICE("encryptionMethod", hls_methods, "\"AES_128\""),
    KEY_ROTATION,
    FLAG("repeatExtXKey"),
    SPEKE_KEY_PROVIDER,
    {0},
};

const struct wm_member mediapackage_hls_package[] = {
    CHOICE("adMarkers", ad_markers, "\"NONE\""),
    AD_TRIGGERS,
    AD_RESTRICTIONS,
    ENCRYPTION(hls_encryption),
    FLAG("includeDvbSubtitles"),
    FLAG("includeIframeOnlyStream"),
    CHOICE("playlistType", playlist_types, "\"NONE\""),
    SECONDS("playlistWindowSeconds", 1, MAX_MANIFEST_S, "60"),
    SECONDS("programDateTimeIntervalSeconds", 0, INT32_MAX, "0"),
    SEGMENT_SECONDS("6"),
    STREAM_SELECTION,
    FLAG("useAudioRenditionGroup"),
    {0},
};

/* ---- DASH ---- */

static const char *const period_triggers[] = {"ADS", NULL};
static const char *const layouts[] = {"FULL", "COMPACT", "DRM_TOP_LEVEL_COMPACT", NULL};
static const char *const profiles[] = {"NONE", "HBBTV_1_5", "HYBRIDCAST", "DVB_DASH_2014", NULL};
static const char *const template_formats[] = {"NUMBER_WITH_TIMELINE", "TIME_WITH_TIMELINE", "NUMBER_WITH_DURATION",
                                               NULL};
static const char *const utc_timings[] = {"NONE", "HTTP-HEAD", "HTTP-ISO", "HTTP-XSDATE", NULL};

static const struct wm_member dash_encryption[] = {
    KEY_ROTATION,
    SPEKE_KEY_PROVIDER,
    {0},
};

const struct wm_member mediapackage_dash_package[] = {
    AD_TRIGGERS,
    AD_RESTRICTIONS,
    ENCRYPTION(dash_encryption),
    FLAG("includeIframeOnlyStream"),
    CHOICE("manifestLayout", layouts, "\"FULL\""),
    SECONDS("manifestWindowSeconds", 1, MAX_MANIFEST_S, "60"),
    SECONDS("minBufferTimeSeconds", 0, INT32_MAX, "30"),
    SECONDS("minUpdatePeriodSeconds", 0, INT32_MAX, "15"),
    {.name = "periodTriggers", .type = WM_MEMBER_STRING_LIST, .max = 100, .values = period_triggers, .initial = "[]"},
    CHOICE("profile", profiles, "\"NONE\""),
    SEGMENT_SECONDS("2"),
    CHOICE("segmentTemplateFormat", template_formats, "\"NUMBER_WITH_TIMELINE\""),
    STREAM_SELECTION,
    SECONDS("suggestedPresentationDelaySeconds", 0, INT32_MAX, "25"),
    CHOICE("utcTiming", utc_timings, "\"NONE\""),
    {.name = "utcTimingUri", .type = WM_MEMBER_STRING, .max = 2048},
    {0},
};

/* ---- Smooth Streaming: no sample shows its defaults; they are DASH's ---- */

static const struct wm_member mss_encryption[] = {
    SPEKE_KEY_PROVIDER,
    {0},
};

const struct wm_member mediapackage_mss_package[] = {
    ENCRYPTION(mss_encryption),
    SECONDS("manifestWindowSeconds", 1, MAX_MANIFEST_S, "60"),
    SEGMENT_SECONDS("2"),
    STREAM_SELECTION,
    {0},
};

/* ---- CMAF ---- */

static const char *const cmaf_methods[] = {"SAMPLE_AES", "AES_CTR", NULL};

static const struct wm_member cmaf_encryption[] = {
    VECTOR,
    CHOICE("encryptionMethod", cmaf_methods, "\"SAMPLE_AES\""),
    KEY_ROTATION,
    SPEKE_KEY_PROVIDER,
    {0},
};

static const struct wm_member hls_manifest[] = {
    CHOICE("adMarkers", ad_markers, "\"NONE\""),
    AD_TRIGGERS,
    AD_RESTRICTIONS,
    MEDIAPACKAGE_NAME_MEMBER("id", true, NULL),
    FLAG("includeIframeOnlyStream"),
    MEDIAPACKAGE_NAME_MEMBER("manifestName", false, NULL),
    CHOICE("playlistType", playlist_types, "\"NONE\""),
    SECONDS("playlistWindowSeconds", 1, MAX_MANIFEST_S, "60"),
    SECONDS("programDateTimeIntervalSeconds", 0, INT32_MAX, "0"),
    {0},
};

const struct wm_member mediapackage_cmaf_package[] = {
    ENCRYPTION(cmaf_encryption),
    {.name = "hlsManifests", .type = WM_MEMBER_STRUCT_LIST, .max = 100, .fields = hls_manifest, .initial = "[]"},
    SEGMENT_SECONDS("6"),
    MEDIAPACKAGE_NAME_MEMBER("segmentPrefix", false, NULL),
    STREAM_SELECTION,
    {0},
};

const char *const mediapackage_packages[] = {"cmafPackage", "dashPackage", "hlsPackage", "mssPackage", NULL};

/* ---- what follows from other members ---- */

static const char *package_of(const struct wm_json *endpoint)
{
    for (const char *const *p = mediapackage_packages; *p; p++)
        if (wm_json_get(endpoint, *p))
            return *p;
    return NULL;
}

static const struct wm_json *contract_of(const struct wm_json *encryption)
{
    return wm_json_get(wm_json_get(encryption, "spekeKeyProvider"), "encryptionContractConfiguration");
}

/* API Reference, "Origin_endpoints": a prefix defaults to the ChannelId, and keys to a minute, but for a contract, with
 * which they cannot rotate. Smooth Streaming has no such member. */
void mediapackage_settle_package(struct wm_arena *a, struct wm_json *endpoint)
{
    const char *name = package_of(endpoint);
    struct wm_json *package = name ? wm_json_get(endpoint, name) : NULL;
    struct wm_json *encryption = wm_json_get(package, "encryption");
    if (encryption && strcmp(name, "mssPackage") != 0 && !wm_json_get(encryption, "keyRotationIntervalSeconds"))
        wm_json_set_i64(a, encryption, "keyRotationIntervalSeconds", contract_of(encryption) ? 0 : 60);
    if (package && strcmp(name, "cmafPackage") == 0 && !wm_json_get(package, "segmentPrefix"))
        wm_json_set_string(a, package, "segmentPrefix", wm_json_get_text(endpoint, "channelId"));
}

/* ---- rules between members ---- */

static bool is(const struct wm_json *object, const char *name, const char *value)
{
    return wm_view_eq_str(wm_json_get_text(object, name), value);
}

/* User Guide, "SPEKE Version 2.0 presets". */
static struct wm_view wrong_contract(const struct wm_json *encryption)
{
    const struct wm_json *contract = contract_of(encryption);
    if (!contract)
        return WM_EMPTY;
    if (mediapackage_number(encryption, "keyRotationIntervalSeconds") != 0)
        return WM_LIT("Member 'encryption.keyRotationIntervalSeconds' must be 0 with 'encryptionContractConfiguration'");
    if (is(contract, "presetSpeke20Audio", "SHARED") != is(contract, "presetSpeke20Video", "SHARED"))
        return WM_LIT("The presets of 'encryptionContractConfiguration' must both be SHARED, or none");
    if (is(contract, "presetSpeke20Audio", "UNENCRYPTED") && is(contract, "presetSpeke20Video", "UNENCRYPTED"))
        return WM_LIT("The presets of 'encryptionContractConfiguration' cannot both be UNENCRYPTED");
    return WM_EMPTY;
}

/* API Reference, adMarkers: the ranges are dated, so there must be dates. Of HLS, and of each HLS manifest of CMAF. */
static struct wm_view wrong_markers(const struct wm_json *hls)
{
    if (is(hls, "adMarkers", "DATERANGE") && mediapackage_number(hls, "programDateTimeIntervalSeconds") == 0)
        return WM_LIT("Member 'programDateTimeIntervalSeconds' must be above 0 with 'adMarkers' DATERANGE");
    return WM_EMPTY;
}

static struct wm_view wrong_dash(const struct wm_json *dash)
{
    const struct wm_json *periods = wm_json_get(dash, "periodTriggers");
    if (!periods || periods->count == 0)
        return WM_EMPTY;
    if (is(dash, "segmentTemplateFormat", "NUMBER_WITH_DURATION"))
        return WM_LIT("Member 'periodTriggers' must be empty with 'segmentTemplateFormat' NUMBER_WITH_DURATION");
    if (is(dash, "profile", "HYBRIDCAST"))
        return WM_LIT("Member 'periodTriggers' must be empty with 'profile' HYBRIDCAST");
    return WM_EMPTY;
}

static struct wm_view wrong_manifests(struct wm_arena *a, const struct wm_json *cmaf)
{
    const struct wm_json *manifests = wm_json_get(cmaf, "hlsManifests");
    struct wm_view wrong = WM_EMPTY;
    for (const struct wm_json *m = manifests ? manifests->first : NULL; m && !wrong.len; m = m->next) {
        struct wm_view id = wm_json_get_text(m, "id");
        wrong = wrong_markers(m);
        for (const struct wm_json *other = m->next; other && !wrong.len; other = other->next)
            if (wm_view_eq(wm_json_get_text(other, "id"), id))
                wrong = wm_arena_printf(a, "The id '%.*s' is given to two of 'hlsManifests'", WM_ARG(id));
    }
    return wrong;
}

struct wm_view mediapackage_wrong_package(struct wm_arena *a, const struct wm_json *endpoint)
{
    const char *name = package_of(endpoint);
    const struct wm_json *package = name ? wm_json_get(endpoint, name) : NULL;
    const struct wm_json *streams = wm_json_get(package, "streamSelection");
    if (mediapackage_number(streams, "minVideoBitsPerSecond") >
        mediapackage_number(streams, "maxVideoBitsPerSecond")) /* would select none */
        return WM_LIT("Member 'streamSelection.minVideoBitsPerSecond' must not be above 'maxVideoBitsPerSecond'");
    struct wm_view wrong = wrong_contract(wm_json_get(package, "encryption"));
    if (!wrong.len)
        wrong = wrong_markers(package);
    if (!wrong.len)
        wrong = wrong_dash(package);
    return wrong.len ? wrong : wrong_manifests(a, package);
}

/* ---- URLs ---- */

/* User Guide, "Viewing an endpoint": where each packager's manifest is. CMAF's endpoint has none of its own. */
static struct wm_view url_of(struct wm_arena *a, const char *package, struct wm_view egress, struct wm_view name)
{
    static const struct {
        const char *package, *ending;
    } endings[] = {{"hlsPackage", ".m3u8"}, {"dashPackage", ".mpd"}, {"mssPackage", ".ism/Manifest"}};
    for (size_t i = 0; package && i < sizeof endings / sizeof endings[0]; i++)
        if (strcmp(package, endings[i].package) == 0)
            return wm_arena_printf(a, "%.*s/%.*s%s", WM_ARG(egress), WM_ARG(name), endings[i].ending);
    return WM_EMPTY;
}

void mediapackage_set_urls(struct wm_arena *a, struct wm_json *endpoint, struct wm_view egress)
{
    struct wm_view name = wm_json_get_text(endpoint, "manifestName");
    const struct wm_json *manifests = wm_json_get(wm_json_get(endpoint, "cmafPackage"), "hlsManifests");
    for (struct wm_json *m = manifests ? manifests->first : NULL; m; m = m->next) {
        if (!wm_json_get(m, "manifestName"))
            wm_json_set_string(a, m, "manifestName", name);
        wm_json_set_string(a, m, "url",
                           wm_arena_printf(a, "%.*s/%.*s/%.*s.m3u8", WM_ARG(egress), WM_ARG(wm_json_get_text(m, "id")),
                                           WM_ARG(wm_json_get_text(m, "manifestName"))));
    }
    wm_json_set_string(a, endpoint, "url", url_of(a, package_of(endpoint), egress, name));
}
