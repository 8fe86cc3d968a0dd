/*
 * MediaPackage's channels, their access logs and the credentials of their ingest endpoints.
 *
 * A channel is a document of kind "mediapackage.channel", by its id:
 *
 *     {"id":"cam-1","guid":"<32 hex>","arn":"arn:…:channels/<guid>","createdAt":"2026-03-01T10:07:12Z",
 *      "description":"","ingestEndpoints":[{"id":"<32 hex>","url":"https://…","generation":1},{…}],"tags":{},
 *      "egressAccessLogs":{"logGroupName":"/aws/MediaPackage/…"},"ingressAccessLogs":{…}}   (each while it is on)
 *
 * ARN and URLs are kept as they were made, because they never change over a channel's life. User and password of an
 * ingest endpoint are not in it: they follow from the master key and the generation, so that neither the state nor the
 * journal holds a secret, and a rotation is the next generation, from which on the old pair is worth nothing.
 */
#include "server/services/mediapackage_int.h"
#include "waymark/hash.h"

#include "waymark/banned.h"

#define INGEST_ENDPOINTS 2u
#define SECRET_HEX 32u

/* ---- what a channel looks like to its callers ---- */

/*
 * HMAC-SHA-256 under the master key, in hex: the first half is the user, the second the password. The halves of a
 * pseudo-random function's output say nothing about each other.
 */
static void set_credentials(struct wm_call *c, struct wm_json *endpoint, struct wm_view guid, struct wm_view endpoint_id,
                            struct wm_view generation)
{
    uint8_t mac[WM_SHA256_BYTES];
    char hex[2 * SECRET_HEX];
    struct wm_view what = wm_arena_printf(c->arena, "mediapackage-ingest:%.*s:%.*s:%.*s", WM_ARG(guid),
                                          WM_ARG(endpoint_id), WM_ARG(generation));
    wm_hmac_sha256(c->env->master_key, 32, what.ptr, what.len, mac);
    wm_hex(mac, sizeof mac, hex);
    wm_json_set_string(c->arena, endpoint, "password", (struct wm_view){hex + SECRET_HEX, SECRET_HEX});
    wm_json_set_string(c->arena, endpoint, "username", (struct wm_view){hex, SECRET_HEX});
    wm_wipe(mac, sizeof mac);
    wm_wipe(hex, sizeof hex);
}

static struct wm_json *show_channel(struct wm_call *c, struct wm_json *stored)
{
    struct wm_arena *a = c->arena;
    struct wm_view guid = wm_json_get_text(stored, "guid");
    struct wm_json *channel = wm_json_new(a, WM_JSON_OBJECT);
    wm_json_set(channel, "arn", wm_json_remove(stored, "arn"));
    wm_json_set(channel, "createdAt", wm_json_remove(stored, "createdAt"));
    wm_json_set(channel, "description", wm_json_remove(stored, "description"));
    wm_json_set(channel, "egressAccessLogs", wm_json_remove(stored, "egressAccessLogs"));
    struct wm_json *endpoints = wm_json_set_array(a, wm_json_set_object(a, channel, "hlsIngest"), "ingestEndpoints");
    for (struct wm_json *e = wm_json_get(stored, "ingestEndpoints")->first; e; e = e->next) {
        struct wm_json *shown_endpoint = wm_json_push(endpoints, wm_json_new(a, WM_JSON_OBJECT));
        const struct wm_json *generation = wm_json_get(e, "generation");
        struct wm_view id = wm_json_get_text(e, "id");
        wm_json_set_string(a, shown_endpoint, "id", id);
        set_credentials(c, shown_endpoint, guid, id, generation ? generation->text : WM_EMPTY);
        wm_json_set(shown_endpoint, "url", wm_json_remove(e, "url"));
    }
    wm_json_set(channel, "id", wm_json_remove(stored, "id"));
    wm_json_set(channel, "ingressAccessLogs", wm_json_remove(stored, "ingressAccessLogs"));
    wm_json_set(channel, "tags", wm_json_remove(stored, "tags"));
    return channel;
}

static const char *const members[] = {"id", "guid", "arn", "createdAt", "description", "ingestEndpoints", "tags", NULL};

const struct mediapackage_resource mediapackage_channel = {
    .kind = {"mediapackage.channel", sizeof "mediapackage.channel" - 1},
    .name = "channel",
    .path = "channels",
    .describe = "mediapackage:DescribeChannel",
    .list = "channels",
    .members = members,
    .show = show_channel,
};

/* The channel that parameter "id" names; NULL: the reply is made, or the status is a failure. */
static struct wm_json *find_channel(struct wm_call *c, struct wm_reply *r, enum wm_status *out_status)
{
    struct wm_json *stored = NULL;
    *out_status = mediapackage_find(c, r, &mediapackage_channel, wm_json_get_text(c->params, "id"), &stored);
    return stored;
}

/* Keep what has become of the channel that parameter "id" names, and answer with it. */
static enum wm_status put_channel(struct wm_call *c, struct wm_reply *r, struct wm_json *stored)
{
    return mediapackage_put(c, r, &mediapackage_channel, wm_json_get_text(c->params, "id"), stored);
}

/* ---- create, describe, list, update, delete ---- */

static struct wm_json *new_channel(struct wm_call *c, struct wm_view id)
{
    struct wm_arena *a = c->arena;
    struct wm_view region = c->env->region;
    struct wm_json *stored = wm_json_new(a, WM_JSON_OBJECT);
    struct wm_view guid = mediapackage_set_birth(c, &mediapackage_channel, stored);
    wm_json_set_string(a, stored, "id", id);
    wm_json_set_string(a, stored, "guid", guid);
    wm_json_set_string(a, stored, "description", wm_json_get_text(c->params, "description"));
    struct wm_json *endpoints = wm_json_set_array(a, stored, "ingestEndpoints");
    for (size_t i = 0; i < INGEST_ENDPOINTS; i++) {
        /* The first one's id is the channel's GUID, as AWS's samples show. */
        struct wm_view endpoint_id = i == 0 ? guid : mediapackage_random_hex(a, MEDIAPACKAGE_GUID_HEX);
        struct wm_view host = mediapackage_random_hex(a, MEDIAPACKAGE_HOST_HEX);
        struct wm_json *e = wm_json_push(endpoints, wm_json_new(a, WM_JSON_OBJECT));
        wm_json_set_string(a, e, "id", endpoint_id);
        wm_json_set_string(a, e, "url",
                           wm_arena_printf(a, "https://%.*s.mediapackage.%.*s.amazonaws.com/in/v2/%.*s/%.*s/channel",
                                           WM_ARG(host), WM_ARG(region), WM_ARG(guid), WM_ARG(endpoint_id)));
        wm_json_set_i64(a, e, "generation", 1);
    }
    mediapackage_set_tags(c, stored);
    return stored;
}

enum wm_status mediapackage_create_channel(struct wm_call *c, struct wm_reply *r)
{
    struct wm_view id = wm_json_get_text(c->params, "id"), there;
    struct wm_view wrong = mediapackage_wrong_tags(c->arena, wm_json_get(c->params, "tags"));
    if (wrong.len)
        return mediapackage_unprocessable(c, r, wrong);
    if (wm_state_get(c->state, mediapackage_channel.kind, id, &there))
        return mediapackage_taken(c, r, &mediapackage_channel, id);
    if (wm_state_count(c->state, mediapackage_channel.kind) >= WM_MAX_CHANNELS)
        return mediapackage_over_quota(c, r,
                                       wm_arena_printf(c->arena, "an account has at most %u channels; delete one first",
                                                       WM_MAX_CHANNELS));
    return put_channel(c, r, new_channel(c, id));
}

enum wm_status mediapackage_describe_channel(struct wm_call *c, struct wm_reply *r)
{
    return mediapackage_describe(c, r, &mediapackage_channel);
}

enum wm_status mediapackage_list_channels(struct wm_call *c, struct wm_reply *r)
{
    const struct mediapackage_listing all = {.of = &mediapackage_channel};
    return mediapackage_list(c, r, &all);
}

/* Replaces the description, and nothing else; without one in the body there is nothing to change [undocumented]. */
enum wm_status mediapackage_update_channel(struct wm_call *c, struct wm_reply *r)
{
    const struct wm_json *description = wm_json_get(c->params, "description");
    enum wm_status status;
    struct wm_json *stored = find_channel(c, r, &status);
    if (!stored)
        return status;
    if (!description) {
        r->document = show_channel(c, stored);
        return wm_arena_status(c->arena);
    }
    wm_json_get(stored, "description")->text = description->text;
    return put_channel(c, r, stored);
}

/* User Guide, "Deleting a channel": its endpoints go first. Which error says so is undocumented. */
enum wm_status mediapackage_delete_channel(struct wm_call *c, struct wm_reply *r)
{
    struct wm_view id = wm_json_get_text(c->params, "id"), document;
    if (!wm_state_get(c->state, mediapackage_channel.kind, id, &document))
        return mediapackage_not_found(c, r, &mediapackage_channel, id);
    if (mediapackage_channel_in_use(c, id))
        return mediapackage_unprocessable(
            c, r, wm_arena_printf(c->arena, "Channel '%.*s' has origin endpoints; delete them first", WM_ARG(id)));
    wm_reply_change(r, mediapackage_channel.kind, id, WM_EMPTY);
    return WM_OK;
}

/* ---- access logs ---- */

/* Replaces both settings: the log of a side that is not given is off (User Guide, "Access logging"). */
enum wm_status mediapackage_configure_logs(struct wm_call *c, struct wm_reply *r)
{
    static const char *const sides[] = {"egressAccessLogs", "ingressAccessLogs"};
    enum wm_status status;
    struct wm_json *stored = find_channel(c, r, &status);
    if (!stored)
        return status;
    struct wm_json *given = wm_service_complete(c->arena, mediapackage_configure_logs_input, c->params);
    for (size_t i = 0; i < sizeof sides / sizeof sides[0]; i++) {
        (void)wm_json_remove(stored, sides[i]); /* there or not, it is replaced */
        wm_json_set(stored, sides[i], wm_json_remove(given, sides[i]));
    }
    return put_channel(c, r, stored);
}

/* ---- credentials ---- */

/* The next generation. WM_E_CORRUPT: what is stored has none. */
static enum wm_status rotate(struct wm_call *c, struct wm_json *endpoint)
{
    const struct wm_json *generation = wm_json_remove(endpoint, "generation");
    int64_t n;
    if (!generation || wm_json_to_i64(generation, 1, INT64_MAX - 1, &n) != WM_OK)
        return WM_E_CORRUPT;
    wm_json_set_i64(c->arena, endpoint, "generation", n + 1);
    return WM_OK;
}

static enum wm_status rotate_and_put(struct wm_call *c, struct wm_reply *r, struct wm_json *stored,
                                     struct wm_json *endpoint)
{
    enum wm_status status = endpoint ? rotate(c, endpoint) : WM_E_CORRUPT;
    return status == WM_OK ? put_channel(c, r, stored) : status;
}

/* API Reference, "Channels id credentials": deprecated; that it means the first ingest endpoint. */
enum wm_status mediapackage_rotate_channel_credentials(struct wm_call *c, struct wm_reply *r)
{
    enum wm_status status;
    struct wm_json *stored = find_channel(c, r, &status);
    return stored ? rotate_and_put(c, r, stored, wm_json_get(stored, "ingestEndpoints")->first) : status;
}

enum wm_status mediapackage_rotate_ingest_endpoint_credentials(struct wm_call *c, struct wm_reply *r)
{
    struct wm_view endpoint_id = wm_json_get_text(c->params, "ingest_endpoint_id");
    enum wm_status status;
    struct wm_json *stored = find_channel(c, r, &status);
    if (!stored)
        return status;
    struct wm_json *e = wm_json_get(stored, "ingestEndpoints")->first;
    while (e && !wm_view_eq(wm_json_get_text(e, "id"), endpoint_id))
        e = e->next;
    if (!e)
        return wm_reply_error(c, r, "NotFoundException", 404, "Channel '%.*s' has no ingest endpoint with id '%.*s'",
                              WM_ARG(wm_json_get_text(stored, "id")),
                              WM_ARG(wm_view_sub(endpoint_id, 0, MEDIAPACKAGE_MAX_ID)));
    return rotate_and_put(c, r, stored, e);
}

/* ---- tables ---- */

const struct wm_member mediapackage_create_channel_input[] = {
    MEDIAPACKAGE_NAME_MEMBER("id", true, NULL),
    {.name = "description", .type = WM_MEMBER_STRING},
    {.name = "tags", .type = WM_MEMBER_STRING_MAP},
    {0},
};

const struct wm_member mediapackage_update_channel_input[] = {
    MEDIAPACKAGE_PATH_ID,
    {.name = "description", .type = WM_MEMBER_STRING},
    {0},
};

#define LOG_GROUP_PREFIX "/aws/MediaPackage/"

static bool is_log_group(struct wm_view name)
{
    size_t prefix = strlen(LOG_GROUP_PREFIX);
    return wm_view_starts(name, LOG_GROUP_PREFIX) && name.len > prefix &&
           wm_text_only(wm_view_sub(name, prefix, name.len), "_-");
}

/* CloudFormation's schema of AWS::MediaPackage::Channel; the prefix is also what the service-linked role may write to. */
static const struct wm_text_form log_group_form = {
    is_log_group, "must be " LOG_GROUP_PREFIX " and then letters, digits, underscores and hyphens"};

static const struct wm_member egress_logs[] = {
    {.name = "logGroupName",
     .type = WM_MEMBER_STRING,
     .min = 1,
     .max = 256,
     .form = &log_group_form,
     .initial = "\"/aws/MediaPackage/EgressAccessLogs\""},
    {0},
};

static const struct wm_member ingress_logs[] = {
    {.name = "logGroupName",
     .type = WM_MEMBER_STRING,
     .min = 1,
     .max = 256,
     .form = &log_group_form,
     .initial = "\"/aws/MediaPackage/IngressAccessLogs\""},
    {0},
};

const struct wm_member mediapackage_configure_logs_input[] = {
    MEDIAPACKAGE_PATH_ID,
    {.name = "egressAccessLogs", .type = WM_MEMBER_STRUCT, .fields = egress_logs},
    {.name = "ingressAccessLogs", .type = WM_MEMBER_STRUCT, .fields = ingress_logs},
    {0},
};

const struct wm_member mediapackage_rotate_ingest_input[] = {
    MEDIAPACKAGE_PATH_ID,
    {.name = "ingest_endpoint_id", .type = WM_MEMBER_STRING, .place = WM_IN_PATH, .required = true},
    {0},
};
