/*
 * AWS Elemental MediaPackage, 2017-10-12: channels.
 *
 * A channel is a document of kind "mediapackage.channel", by its id:
 *
 *     {"id":"cam-1","guid":"<32 hex>","arn":"arn:…:channels/<guid>","createdAt":"2026-03-01T10:07:12Z",
 *      "description":"","ingestEndpoints":[{"id":"<32 hex>","url":"https://…","generation":1},{…}],"tags":{}}
 *
 * ARN and URLs are kept as they were made, because they never change over a channel's life. User and password of an
 * ingest endpoint are not in it: they follow from the master key and the generation, so that neither the state nor the
 * journal holds a secret, and a new generation is a rotation.
 *
 * Shapes, rules and statuses: AWS Elemental MediaPackage API Reference ("Channels", "Channels id") and User Guide
 * ("Quotas", "Tagging"). What they leave open, such as 422 for an id that is taken, is decided here.
 */
#include "waymark/service.h"
#include "waymark/trail_name.h"

#include "waymark/hash.h"

#include "waymark/banned.h"

#define KIND WM_LIT("mediapackage.channel")
#define GUID_HEX 32u
#define INGEST_ENDPOINTS 2u
#define SECRET_HEX 32u
#define MAX_RESULTS 1000 /* API Reference, ListChannels; also the default */
/* MediaPackage's ids are short; longer text in a message is cut to this. */
#define SHOWN_BYTES 256u

static struct wm_view shown(struct wm_view text)
{
    return wm_view_sub(text, 0, SHOWN_BYTES);
}

static enum wm_status unprocessable(struct wm_call *c, struct wm_reply *r, struct wm_view what)
{
    return wm_reply_error(c, r, "UnprocessableEntityException", 422, "%.*s", WM_ARG(what));
}

static enum wm_status no_such_channel(struct wm_call *c, struct wm_reply *r, struct wm_view id)
{
    return wm_reply_error(c, r, "NotFoundException", 404, "There is no channel with id '%.*s'", WM_ARG(shown(id)));
}

/* ---- what a channel looks like to its callers ---- */

static void random_hex(char *out, size_t digits)
{
    uint8_t bytes[GUID_HEX / 2];
    WM_ASSERT(digits <= sizeof bytes * 2);
    wm_random(bytes, digits / 2);
    wm_hex(bytes, digits / 2, out);
}

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

/* Read a stored channel. WM_E_CORRUPT: it is not one that this file wrote. */
static enum wm_status read_channel(struct wm_call *c, struct wm_view document, struct wm_json **out)
{
    static const char *const members[] = {"id", "guid", "arn", "createdAt", "description", "ingestEndpoints", "tags"};
    enum wm_status status = wm_json_parse(c->arena, document, out, NULL);
    if (status == WM_E_NOMEM)
        return status;
    for (size_t i = 0; status == WM_OK && i < sizeof members / sizeof members[0]; i++)
        if (!wm_json_get(*out, members[i]))
            status = WM_E_CORRUPT;
    return status == WM_OK ? WM_OK : WM_E_CORRUPT;
}

/* Channel of the API from a stored channel, which is used up. */
static struct wm_json *show_channel(struct wm_call *c, struct wm_json *stored)
{
    struct wm_arena *a = c->arena;
    struct wm_view guid = wm_json_get_text(stored, "guid");
    struct wm_json *channel = wm_json_new(a, WM_JSON_OBJECT);
    wm_json_set(channel, "arn", wm_json_remove(stored, "arn"));
    wm_json_set(channel, "createdAt", wm_json_remove(stored, "createdAt"));
    wm_json_set(channel, "description", wm_json_remove(stored, "description"));
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
    wm_json_set(channel, "tags", wm_json_remove(stored, "tags"));
    return channel;
}

static enum wm_status reply_channel(struct wm_call *c, struct wm_reply *r, struct wm_view document)
{
    struct wm_json *stored = NULL;
    enum wm_status status = read_channel(c, document, &stored);
    if (status != WM_OK)
        return status;
    r->document = show_channel(c, stored);
    return wm_arena_status(c->arena);
}

/* Store the channel and answer with it. */
static enum wm_status put_channel(struct wm_call *c, struct wm_reply *r, const struct wm_json *stored)
{
    struct wm_buf text;
    enum wm_status status = wm_arena_status(c->arena);
    wm_buf_init(&text, WM_MAX_DOCUMENT_BYTES);
    if (status == WM_OK) {
        wm_json_write(&text, stored);
        status = wm_buf_status(&text);
    }
    if (status == WM_OK) {
        struct wm_view document = wm_arena_copy(c->arena, wm_buf_view(&text));
        status = document.ptr ? reply_channel(c, r, document) : WM_E_NOMEM;
        if (status == WM_OK)
            wm_reply_change(r, KIND, wm_json_get_text(r->document, "id"), document);
    } else if (status == WM_E_LIMIT) {
        status = wm_reply_error(c, r, "UnprocessableEntityException", 422,
                                "The channel takes more than %u bytes; shorten its description", WM_MAX_DOCUMENT_BYTES);
    }
    wm_buf_done(&text);
    return status;
}

/* ---- what a caller may ask for ---- */

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool only(struct wm_view text, const char *others)
{
    for (size_t i = 0; i < text.len; i++)
        if (!is_alnum(text.ptr[i]) && (text.ptr[i] == '\0' || !strchr(others, text.ptr[i])))
            return false;
    return true;
}

static bool starts_with_aws(struct wm_view key)
{
    return key.len >= 4 && wm_view_ieq_str(wm_view_sub(key, 0, 4), "aws:");
}

/* User Guide, "Tagging": the allowed characters are all of one byte, so bytes are characters. WM_EMPTY: nothing wrong. */
static struct wm_view wrong_with_tags(struct wm_arena *a, const struct wm_json *tags)
{
    static const char others[] = " _.:/=+-@";
    if (!tags)
        return WM_EMPTY;
    if (tags->count > 50)
        return wm_arena_printf(a, "A resource has at most 50 tags; %zu were given", tags->count);
    for (const struct wm_json *t = tags->first; t; t = t->next) {
        if (t->key.len < 1 || t->key.len > 128)
            return WM_LIT("A tag's key must have 1 to 128 characters");
        if (!only(t->key, others) || !only(t->text, others))
            return wm_arena_printf(a, "Tag '%.*s': key and value may have letters, digits, blanks and %s only",
                                   WM_ARG(t->key), others + 1);
        if (starts_with_aws(t->key))
            return wm_arena_printf(a, "Tag '%.*s': keys that begin with aws: are reserved", WM_ARG(t->key));
        if (t->text.len > 256)
            return wm_arena_printf(a, "Tag '%.*s': the value must have at most 256 characters", WM_ARG(t->key));
    }
    return WM_EMPTY;
}

/* ---- operations ---- */

static struct wm_json *new_channel(struct wm_call *c, struct wm_view id)
{
    struct wm_arena *a = c->arena;
    struct wm_view region = c->env->region;
    char guid[GUID_HEX], created[WM_TIME_ISO_BYTES];
    struct wm_json *stored = wm_json_new(a, WM_JSON_OBJECT);
    random_hex(guid, GUID_HEX);
    wm_time_iso(c->now, created);
    wm_json_set_string(a, stored, "id", id);
    wm_json_set_string(a, stored, "guid", (struct wm_view){guid, GUID_HEX});
    wm_json_set_string(a, stored, "arn",
                       wm_arena_printf(a, "arn:%s:mediapackage:%.*s:%.*s:channels/%.*s", wm_arn_partition(region),
                                       WM_ARG(region), WM_ARG(c->env->account_id), (int)GUID_HEX, guid));
    wm_json_set_string(a, stored, "createdAt", wm_view_of(created));
    wm_json_set_string(a, stored, "description", wm_json_get_text(c->params, "description"));
    struct wm_json *endpoints = wm_json_set_array(a, stored, "ingestEndpoints");
    for (size_t i = 0; i < INGEST_ENDPOINTS; i++) {
        char endpoint_id[GUID_HEX], host[16];
        random_hex(endpoint_id, GUID_HEX);
        random_hex(host, sizeof host);
        if (i == 0)
            memcpy(endpoint_id, guid, GUID_HEX); /* the first one's id is the channel's GUID, as AWS's samples show */
        struct wm_json *e = wm_json_push(endpoints, wm_json_new(a, WM_JSON_OBJECT));
        wm_json_set_string(a, e, "id", (struct wm_view){endpoint_id, GUID_HEX});
        wm_json_set_string(a, e, "url",
                           wm_arena_printf(a, "https://%.*s.mediapackage.%.*s.amazonaws.com/in/v2/%.*s/%.*s/channel",
                                           (int)sizeof host, host, WM_ARG(region), (int)GUID_HEX, guid, (int)GUID_HEX,
                                           endpoint_id));
        wm_json_set_i64(a, e, "generation", 1);
    }
    const struct wm_json *tags = wm_json_get(c->params, "tags");
    wm_json_set(stored, "tags", tags ? wm_json_clone(a, tags) : wm_json_new(a, WM_JSON_OBJECT));
    return stored;
}

static enum wm_status create_channel(struct wm_call *c, struct wm_reply *r)
{
    struct wm_view id = wm_json_get_text(c->params, "id"), there;
    struct wm_view wrong = wrong_with_tags(c->arena, wm_json_get(c->params, "tags"));
    if (!only(id, "_-"))
        return unprocessable(c, r, WM_LIT("Member 'id' may have letters, digits, underscores and hyphens only"));
    if (wrong.len)
        return unprocessable(c, r, wrong);
    if (wm_state_get(c->state, KIND, id, &there))
        return wm_reply_error(c, r, "UnprocessableEntityException", 422, "A channel with id '%.*s' exists already",
                              WM_ARG(shown(id)));
    if (wm_state_count(c->state, KIND) >= WM_MAX_CHANNELS)
        return wm_reply_error(c, r, "TooManyRequestsException", 429,
                              "Too many requests, please try again. Resource limit exceeded: an account has at most "
                              "%u channels; delete one first",
                              WM_MAX_CHANNELS);
    return put_channel(c, r, new_channel(c, id));
}

static enum wm_status describe_channel(struct wm_call *c, struct wm_reply *r)
{
    struct wm_view id = wm_json_get_text(c->params, "id"), document;
    if (!wm_state_get(c->state, KIND, id, &document))
        return no_such_channel(c, r, id);
    return reply_channel(c, r, document);
}

/* Replaces the description, and nothing else; without one in the body there is nothing to change. */
static enum wm_status update_channel(struct wm_call *c, struct wm_reply *r)
{
    struct wm_view id = wm_json_get_text(c->params, "id"), document;
    const struct wm_json *description = wm_json_get(c->params, "description");
    struct wm_json *stored = NULL;
    if (!wm_state_get(c->state, KIND, id, &document))
        return no_such_channel(c, r, id);
    if (!description)
        return reply_channel(c, r, document);
    enum wm_status status = read_channel(c, document, &stored);
    if (status != WM_OK)
        return status;
    wm_json_get(stored, "description")->text = description->text;
    return put_channel(c, r, stored);
}

static enum wm_status delete_channel(struct wm_call *c, struct wm_reply *r)
{
    struct wm_view id = wm_json_get_text(c->params, "id"), document;
    if (!wm_state_get(c->state, KIND, id, &document))
        return no_such_channel(c, r, id);
    wm_reply_change(r, KIND, id, WM_EMPTY);
    return WM_OK;
}

/*
 * A page's token is the last id shown, behind a checksum under the master key, in hex: a position by id stays right
 * when channels come and go between two pages, and a token that we did not give is told from one that we did.
 */
#define TOKEN_MAC_BYTES 8u
#define MAX_ID_BYTES 256u

static void token_mac(struct wm_call *c, struct wm_view id, uint8_t out[WM_SHA256_BYTES])
{
    struct wm_view what = wm_arena_printf(c->arena, "mediapackage-channels-page:%.*s", WM_ARG(id));
    wm_hmac_sha256(c->env->master_key, 32, what.ptr, what.len, out);
}

static struct wm_view token_of(struct wm_call *c, struct wm_view id)
{
    uint8_t mac[WM_SHA256_BYTES];
    size_t len = 2 * (TOKEN_MAC_BYTES + id.len);
    char *token = wm_arena_alloc(c->arena, len);
    if (!token)
        return WM_EMPTY;
    token_mac(c, id, mac);
    wm_hex(mac, TOKEN_MAC_BYTES, token);
    wm_hex(id.ptr, id.len, token + 2 * (size_t)TOKEN_MAC_BYTES);
    return (struct wm_view){token, len};
}

static bool token_read(struct wm_call *c, struct wm_view token, struct wm_view *out_id)
{
    uint8_t mac[WM_SHA256_BYTES], claimed[TOKEN_MAC_BYTES];
    size_t head = 2 * (size_t)TOKEN_MAC_BYTES;
    if (token.len <= head || token.len % 2 || token.len > head + 2 * (size_t)MAX_ID_BYTES)
        return false;
    size_t len = (token.len - head) / 2;
    char *id = wm_arena_alloc(c->arena, len);
    if (!id || !wm_hex_decode(wm_view_sub(token, 0, head), claimed, sizeof claimed) ||
        !wm_hex_decode(wm_view_sub(token, head, token.len), id, len))
        return false;
    *out_id = (struct wm_view){id, len};
    token_mac(c, *out_id, mac);
    return wm_equal_constant_time(mac, claimed, sizeof claimed);
}

#define PAGE_MAGIC 0x70616765u

struct page {
    unsigned magic;
    struct wm_call *call;
    struct wm_json *channels;
    size_t max;
    struct wm_view last; /* id, valid while the state is locked */
    bool more;
    enum wm_status status;
};

static bool page_add(void *arg, struct wm_view id, struct wm_view document)
{
    struct page *p = arg;
    struct wm_json *stored = NULL;
    WM_ASSERT(p && p->magic == PAGE_MAGIC);
    if (p->channels->count == p->max) {
        p->more = true;
        return false;
    }
    p->status = read_channel(p->call, document, &stored);
    if (p->status != WM_OK)
        return false;
    p->last = id;
    if (!wm_json_push(p->channels, show_channel(p->call, stored)))
        p->status = WM_E_NOMEM;
    return p->status == WM_OK;
}

static enum wm_status list_channels(struct wm_call *c, struct wm_reply *r)
{
    const struct wm_json *max = wm_json_get(c->params, "maxResults");
    struct wm_view token = wm_json_get_text(c->params, "nextToken"), after = WM_EMPTY;
    int64_t n = MAX_RESULTS;
    if (max && wm_json_to_i64(max, 1, MAX_RESULTS, &n) != WM_OK)
        return WM_E_INVALID; /* the table lets none other through */
    if (token.len && !token_read(c, token, &after)) {
        if (wm_arena_status(c->arena) != WM_OK)
            return WM_E_NOMEM;
        return unprocessable(c, r, WM_LIT("Member 'nextToken' is not a token that an earlier page gave"));
    }
    struct wm_json *document = wm_json_new(c->arena, WM_JSON_OBJECT);
    struct page page = {
        .magic = PAGE_MAGIC,
        .call = c,
        .max = (size_t)n,
        .channels = wm_json_set_array(c->arena, document, "channels"),
    };
    if (!page.channels)
        return WM_E_NOMEM;
    wm_state_each(c->state, KIND, after, page_add, &page);
    if (page.status != WM_OK)
        return page.status;
    if (page.more)
        wm_json_set_string(c->arena, document, "nextToken", token_of(c, page.last));
    r->document = document;
    return wm_arena_status(c->arena);
}

/* ---- tables ---- */

static const struct wm_member create_channel_input[] = {
    {.name = "id", .type = WM_MEMBER_STRING, .required = true, .min = 1, .max = MAX_ID_BYTES},
    {.name = "description", .type = WM_MEMBER_STRING},
    {.name = "tags", .type = WM_MEMBER_STRING_MAP},
    {0},
};

static const struct wm_member list_channels_input[] = {
    {.name = "maxResults", .type = WM_MEMBER_INTEGER, .place = WM_IN_QUERY, .min = 1, .max = MAX_RESULTS},
    {.name = "nextToken", .type = WM_MEMBER_STRING, .place = WM_IN_QUERY},
    {0},
};

/* An id that cannot be one names no channel: 404, not 422, so its length is not bounded here. */
static const struct wm_member channel_input[] = {
    {.name = "id", .type = WM_MEMBER_STRING, .place = WM_IN_PATH, .required = true},
    {0},
};

static const struct wm_member update_channel_input[] = {
    {.name = "id", .type = WM_MEMBER_STRING, .place = WM_IN_PATH, .required = true},
    {.name = "description", .type = WM_MEMBER_STRING},
    {0},
};

static const char *const channel_secrets[] = {
    "hlsIngest.ingestEndpoints.username",
    "hlsIngest.ingestEndpoints.password",
    NULL,
};

static const char *const channels_secrets[] = {
    "channels.hlsIngest.ingestEndpoints.username",
    "channels.hlsIngest.ingestEndpoints.password",
    NULL,
};

static const struct wm_operation operations[] = {
    {
        .name = "CreateChannel",
        .method = "POST",
        .path = "/channels",
        .http_status = 200,
        .input = create_channel_input,
        .secret_output = channel_secrets,
        .run = create_channel,
    },
    {
        .name = "ListChannels",
        .method = "GET",
        .path = "/channels",
        .read_only = true,
        .http_status = 200,
        .input = list_channels_input,
        .secret_output = channels_secrets,
        .run = list_channels,
    },
    {
        .name = "DescribeChannel",
        .method = "GET",
        .path = "/channels/{id}",
        .read_only = true,
        .http_status = 200,
        .input = channel_input,
        .secret_output = channel_secrets,
        .run = describe_channel,
    },
    {
        .name = "UpdateChannel",
        .method = "PUT",
        .path = "/channels/{id}",
        .http_status = 200,
        .input = update_channel_input,
        .secret_output = channel_secrets,
        .run = update_channel,
    },
    {
        .name = "DeleteChannel",
        .method = "DELETE",
        .path = "/channels/{id}",
        .http_status = 202,
        .input = channel_input,
        .run = delete_channel,
    },
};

const struct wm_service wm_service_mediapackage = {
    .signing_name = "mediapackage",
    .event_source = "mediapackage.amazonaws.com",
    .api_version = "2017-10-12",
    .rest = true,
    .redaction = "***", /* User Guide, "Logging MediaPackage API calls": the sample record */
    .validation_error = "UnprocessableEntityException",
    .validation_status = 422,
    .operations = operations,
    .n_operations = sizeof operations / sizeof operations[0],
};
