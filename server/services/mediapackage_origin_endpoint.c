/*
 * MediaPackage's origin endpoints.
 *
 * An endpoint is a document of kind "mediapackage.origin_endpoint", by its id: what callers see, with every default
 * filled in, but for its URLs, which follow from its settings and "egress", what they all begin with:
 *
 *     {"arn":"arn:…:origin_endpoints/<guid>","createdAt":"…","egress":"https://…/out/v1/<guid>","channelId":"cam-1",
 *      "id":"cam-1-hls","description":"","hlsPackage":{…},…,"tags":{}}
 *
 * A document of kind "mediapackage.channel_endpoint" with the id "<channel id>/<endpoint id>" stands beside each: what
 * endpoints a channel has is asked at each create, list and delete. Both come and go in one entry of the journal.
 */
#include <arpa/inet.h>

#include "server/services/mediapackage_int.h"

#include "waymark/banned.h"

#define INDEX WM_LIT("mediapackage.channel_endpoint")
#define MAX_STARTOVER_S 1209600 /* 14 days; User Guide, "Quotas": content may be 336 hours old */
#define MAX_DELAY_S 86400

/* ---- what an endpoint looks like to its callers ---- */

static struct wm_json *show_endpoint(struct wm_call *c, struct wm_json *stored)
{
    const struct wm_json *egress = wm_json_remove(stored, "egress");
    mediapackage_set_urls(c->arena, stored, egress->text);
    return stored;
}

static const char *const members[] = {
    "arn",          "createdAt",   "egress",                 "channelId",        "id",        "description",
    "manifestName", "origination", "startoverWindowSeconds", "timeDelaySeconds", "whitelist", "tags",
    NULL,
};

const struct mediapackage_resource mediapackage_origin_endpoint = {
    .kind = {"mediapackage.origin_endpoint", sizeof "mediapackage.origin_endpoint" - 1},
    .name = "origin endpoint",
    .path = "origin_endpoints",
    .describe = "mediapackage:DescribeOriginEndpoint",
    .list = "originEndpoints",
    .members = members,
    .show = show_endpoint,
};

/* ---- the endpoints of a channel ---- */

#define COUNT_MAGIC 0x636e7421u

struct count {
    unsigned magic;
    struct wm_view prefix;
    size_t n, enough;
};

static bool count_one(void *arg, struct wm_view id, struct wm_view document)
{
    struct count *count = arg;
    (void)document;
    WM_ASSERT(count && count->magic == COUNT_MAGIC);
    if (!wm_view_eq(wm_view_sub(id, 0, count->prefix.len), count->prefix))
        return false;
    return ++count->n < count->enough;
}

static struct wm_view index_prefix(struct wm_call *c, struct wm_view channel_id)
{
    return wm_arena_printf(c->arena, "%.*s/", WM_ARG(channel_id));
}

/* At most `enough`. */
static size_t count_endpoints(struct wm_call *c, struct wm_view channel_id, size_t enough)
{
    struct count count = {.magic = COUNT_MAGIC, .prefix = index_prefix(c, channel_id), .enough = enough};
    wm_state_each(c->state, INDEX, count.prefix, count_one, &count);
    return count.n;
}

bool mediapackage_channel_in_use(struct wm_call *c, struct wm_view channel_id)
{
    return count_endpoints(c, channel_id, 1) > 0;
}

static struct wm_view index_id(struct wm_call *c, struct wm_view channel_id, struct wm_view id)
{
    return wm_arena_printf(c->arena, "%.*s/%.*s", WM_ARG(channel_id), WM_ARG(id));
}

/* ---- rules between members ---- */

/* What is wrong with a completed endpoint, in one sentence; WM_EMPTY: nothing. */
static struct wm_view wrong_with(struct wm_arena *a, const struct wm_json *endpoint)
{
    int64_t startover = mediapackage_number(endpoint, "startoverWindowSeconds");
    int64_t delay = mediapackage_number(endpoint, "timeDelaySeconds");
    if (delay > 0 && delay < 5)
        return WM_LIT("Member 'timeDelaySeconds' must be 0, or from 5 to 86400");
    if (delay > 0 && startover > 0 && delay >= startover)
        return WM_LIT("Member 'timeDelaySeconds' must be less than 'startoverWindowSeconds'");
    struct wm_view wrong = mediapackage_wrong_tags(a, wm_json_get(endpoint, "tags"));
    return wrong.len ? wrong : mediapackage_wrong_package(a, endpoint);
}

/* The package that these members have: the name of the only one, NULL for none. False: there are several. */
static bool only_package(const struct wm_json *endpoint, const char **out)
{
    const char *found = NULL;
    for (const char *const *p = mediapackage_packages; *p; p++) {
        if (!wm_json_get(endpoint, *p))
            continue;
        if (found)
            return false;
        found = *p;
    }
    *out = found;
    return true;
}

/* ---- create, describe, list, delete ---- */

static enum wm_status put_endpoint(struct wm_call *c, struct wm_reply *r, struct wm_json *stored)
{
    struct wm_view wrong = wrong_with(c->arena, stored);
    if (wrong.len)
        return mediapackage_unprocessable(c, r, wrong);
    return mediapackage_put(c, r, &mediapackage_origin_endpoint, wm_json_get_text(c->params, "id"), stored);
}

static struct wm_json *new_endpoint(struct wm_call *c)
{
    struct wm_arena *a = c->arena;
    struct wm_json *stored = wm_service_complete(a, mediapackage_create_origin_endpoint_input, c->params);
    struct wm_view guid = mediapackage_set_birth(c, &mediapackage_origin_endpoint, stored);
    wm_json_set_string(a, stored, "egress",
                       wm_arena_printf(a, "https://%.*s.mediapackage.%.*s.amazonaws.com/out/v1/%.*s",
                                       WM_ARG(mediapackage_random_hex(a, MEDIAPACKAGE_HOST_HEX)),
                                       WM_ARG(c->env->region), WM_ARG(guid)));
    mediapackage_settle_package(a, stored);
    return stored;
}

enum wm_status mediapackage_create_origin_endpoint(struct wm_call *c, struct wm_reply *r)
{
    struct wm_view id = wm_json_get_text(c->params, "id"), channel_id = wm_json_get_text(c->params, "channelId"), there;
    const char *package = NULL;
    if (!only_package(c->params, &package) || !package) /* the error is undocumented */
        return mediapackage_unprocessable(
            c, r, WM_LIT("Give exactly one of 'cmafPackage', 'dashPackage', 'hlsPackage' and 'mssPackage'"));
    if (!wm_state_get(c->state, mediapackage_channel.kind, channel_id, &there))
        return mediapackage_not_found(c, r, &mediapackage_channel, channel_id);
    if (wm_state_get(c->state, mediapackage_origin_endpoint.kind, id, &there))
        return mediapackage_taken(c, r, &mediapackage_origin_endpoint, id);
    if (count_endpoints(c, channel_id, WM_MAX_ENDPOINTS_PER_CHANNEL) >= WM_MAX_ENDPOINTS_PER_CHANNEL)
        return mediapackage_over_quota(
            c, r, wm_arena_printf(c->arena, "a channel has at most %u origin endpoints; delete one first",
                                  WM_MAX_ENDPOINTS_PER_CHANNEL));
    enum wm_status status = put_endpoint(c, r, new_endpoint(c));
    if (status == WM_OK && !r->error_code)
        wm_reply_change(r, INDEX, index_id(c, channel_id, id), WM_LIT("{}"));
    return status == WM_OK ? wm_arena_status(c->arena) : status;
}

enum wm_status mediapackage_describe_origin_endpoint(struct wm_call *c, struct wm_reply *r)
{
    return mediapackage_describe(c, r, &mediapackage_origin_endpoint);
}

/* A channel that is not there has no endpoints: an empty page, not an error [undocumented]. */
enum wm_status mediapackage_list_origin_endpoints(struct wm_call *c, struct wm_reply *r)
{
    struct wm_view channel_id = wm_json_get_text(c->params, "channelId");
    struct mediapackage_listing l = {.of = &mediapackage_origin_endpoint};
    if (wm_json_get(c->params, "channelId")) {
        l.index = INDEX;
        l.prefix = index_prefix(c, channel_id);
    }
    return mediapackage_list(c, r, &l);
}

enum wm_status mediapackage_delete_origin_endpoint(struct wm_call *c, struct wm_reply *r)
{
    struct wm_view id = wm_json_get_text(c->params, "id");
    struct wm_json *stored = NULL;
    enum wm_status status = mediapackage_find(c, r, &mediapackage_origin_endpoint, id, &stored);
    if (!stored)
        return status;
    wm_reply_change(r, mediapackage_origin_endpoint.kind, id, WM_EMPTY);
    wm_reply_change(r, INDEX, index_id(c, wm_json_get_text(stored, "channelId"), id), WM_EMPTY);
    return wm_arena_status(c->arena);
}

/* ---- update ---- */

/* API Reference, segmentTemplateFormat: with NUMBER_WITH_DURATION numbers are times, so a segment's length is for good. */
static bool breaks_numbering(const struct wm_json *before, const struct wm_json *after)
{
    const struct wm_json *old = wm_json_get(before, "dashPackage"), *new = wm_json_get(after, "dashPackage");
    return old && new && wm_view_eq_str(wm_json_get_text(old, "segmentTemplateFormat"), "NUMBER_WITH_DURATION") &&
           wm_view_eq_str(wm_json_get_text(new, "segmentTemplateFormat"), "NUMBER_WITH_DURATION") &&
           mediapackage_number(old, "segmentDurationSeconds") != mediapackage_number(new, "segmentDurationSeconds");
}

/* What is stored, in which each member that was given replaces the one of its name. */
static struct wm_json *merge(struct wm_call *c, const struct wm_json *stored)
{
    struct wm_json *merged = wm_json_new(c->arena, WM_JSON_OBJECT);
    const struct wm_json *given =
        wm_service_complete(c->arena, mediapackage_update_origin_endpoint_input, c->params);
    for (const struct wm_json *m = stored->first; m; m = m->next) {
        bool replaced = wm_json_get_view(c->params, m->key) != NULL;
        wm_json_set_view(merged, m->key, wm_json_clone(c->arena, replaced ? wm_json_get_view(given, m->key) : m));
    }
    if (wm_json_get(c->params, "authorization") && !wm_json_get(stored, "authorization"))
        wm_json_set(merged, "authorization", wm_json_clone(c->arena, wm_json_get(given, "authorization")));
    mediapackage_settle_package(c->arena, merged);
    return merged;
}

/*
 * What is not given stays as it is, as with UpdateChannel [undocumented: were it reset, a call for a new description
 * would open the endpoint to everybody]. A structure that is given replaces the old one whole, so that what is optional
 * in it, such as encryption, can be taken out again. User Guide, "Editing an endpoint": the type of packager stays.
 */
enum wm_status mediapackage_update_origin_endpoint(struct wm_call *c, struct wm_reply *r)
{
    const char *package = NULL;
    struct wm_json *stored = NULL;
    enum wm_status status =
        mediapackage_find(c, r, &mediapackage_origin_endpoint, wm_json_get_text(c->params, "id"), &stored);
    if (!stored)
        return status;
    if (!only_package(c->params, &package) || (package && !wm_json_get(stored, package)))
        return mediapackage_unprocessable(
            c, r, WM_LIT("The type of packager cannot be changed; make another endpoint on the same channel"));
    struct wm_json *merged = merge(c, stored);
    if (breaks_numbering(stored, merged))
        return mediapackage_unprocessable(c, r,
                                          WM_LIT("Member 'dashPackage.segmentDurationSeconds' cannot be changed while "
                                                 "'segmentTemplateFormat' is NUMBER_WITH_DURATION"));
    return put_endpoint(c, r, merged);
}

/* ---- tables ---- */

static bool is_cidr_v4(struct wm_view text)
{
    char address[INET_ADDRSTRLEN];
    uint8_t bytes[4];
    uint64_t bits;
    struct wm_view rest = text;
    return wm_view_copy(wm_view_split(&rest, '/'), address, sizeof address) &&
           inet_pton(AF_INET, address, bytes) == 1 && wm_view_to_u64(rest, 32, &bits) == WM_OK;
}

static const struct wm_text_form cidr_form = {is_cidr_v4, "must be an IPv4 CIDR block, such as 192.0.2.0/24"};

static bool is_secret(struct wm_view text)
{
    return mediapackage_is_arn(text, "secretsmanager", "secret:");
}

static const struct wm_text_form secret_form = {
    is_secret, "must be the ARN of a secret, such as arn:aws:secretsmanager:us-east-1:111122223333:secret:NAME"};

/* Where the secret lies, not what it is: User Guide, "CDN authorization". So both are recorded. */
static const struct wm_member authorization[] = {
    MEDIAPACKAGE_ARN_MEMBER("cdnIdentifierSecret", true, &secret_form),
    MEDIAPACKAGE_ARN_MEMBER("secretsRoleArn", true, &mediapackage_role_form),
    {0},
};

static const char *const originations[] = {"ALLOW", "DENY", NULL};

/* The characters of a manifest's name are undocumented: those that are safe in a URL. How many blocks a whitelist may
 * have neither: so many that one endpoint's document stays small. */
#define SETTINGS                                                                                                       \
    {.name = "description", .type = WM_MEMBER_STRING, .initial = "\"\""},                                              \
        MEDIAPACKAGE_NAME_MEMBER("manifestName", false, "\"index\""),                                                  \
        {.name = "origination", .type = WM_MEMBER_STRING, .values = originations, .initial = "\"ALLOW\""},             \
        {.name = "startoverWindowSeconds", .type = WM_MEMBER_INTEGER, .max = MAX_STARTOVER_S, .initial = "0"},         \
        {.name = "timeDelaySeconds", .type = WM_MEMBER_INTEGER, .max = MAX_DELAY_S, .initial = "0"},                   \
        {.name = "whitelist", .type = WM_MEMBER_STRING_LIST, .max = 1000, .form = &cidr_form, .initial = "[]"},        \
        {.name = "authorization", .type = WM_MEMBER_STRUCT, .fields = authorization},                                  \
        {.name = "cmafPackage", .type = WM_MEMBER_STRUCT, .fields = mediapackage_cmaf_package},                        \
        {.name = "dashPackage", .type = WM_MEMBER_STRUCT, .fields = mediapackage_dash_package},                        \
        {.name = "hlsPackage", .type = WM_MEMBER_STRUCT, .fields = mediapackage_hls_package},                          \
        {.name = "mssPackage", .type = WM_MEMBER_STRUCT, .fields = mediapackage_mss_package}

const struct wm_member mediapackage_create_origin_endpoint_input[] = {
    {.name = "channelId", .type = WM_MEMBER_STRING, .required = true, .min = 1, .max = MEDIAPACKAGE_MAX_ID},
    MEDIAPACKAGE_NAME_MEMBER("id", true, NULL),
    SETTINGS,
    {.name = "tags", .type = WM_MEMBER_STRING_MAP, .initial = "{}"},
    {0},
};

const struct wm_member mediapackage_update_origin_endpoint_input[] = {
    MEDIAPACKAGE_PATH_ID,
    SETTINGS,
    {0},
};

const struct wm_member mediapackage_list_origin_endpoints_input[] = {
    {.name = "channelId", .type = WM_MEMBER_STRING, .place = WM_IN_QUERY},
    MEDIAPACKAGE_MAX_RESULTS_QUERY,
    MEDIAPACKAGE_NEXT_TOKEN_QUERY,
    {0},
};
