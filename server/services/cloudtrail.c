/*
 * AWS CloudTrail, 2013-11-01: the trails and their public keys, as the delivery side posts them on the status board; the
 * table of the service. What switches or changes a trail is in cloudtrail_control.c.
 *
 * Shapes and rules: CloudTrail API Reference (DescribeTrails, GetTrail, GetTrailStatus, ListPublicKeys); statuses: the
 * same pages, which print 400 for every modelled exception. Texts are AWS's where they are known.
 */
#include "server/services/cloudtrail_int.h"
#include "waymark/trail_logging.h"
#include "waymark/trail_name.h"

#include "waymark/banned.h"

/* AWS CLI before 1.44.44 takes digests that end up to an hour behind the keys' range it asked for, so keys that begin
 * within that hour are given too. A key too many harms nobody. */
#define KEYS_GRACE_S 3600
/* So many keys are looked for at first; a key lives 30 days and follows the last one after 20. */
#define FEW_KEYS 8u

/* ---- names ---- */

bool cloudtrail_check_name(struct wm_call *c, struct wm_reply *r, struct wm_view name)
{
    if (wm_view_starts(name, "arn:")) {
        if (wm_trail_arn_valid(name))
            return true;
        (void)wm_reply_error(c, r, "CloudTrailARNInvalidException", 400,
                             "'%.*s' is not the ARN of a trail, such as "
                             "arn:aws:cloudtrail:us-east-1:111122223333:trail/NAME",
                             WM_ARG(wm_view_sub(name, 0, 256)));
        return false; /* wm_reply_error() always answers WM_OK */
    }
    struct wm_err err;
    if (wm_trail_name_valid(name, &err) == WM_OK)
        return true;
    (void)wm_reply_error(c, r, "InvalidTrailNameException", 400, "%s", err.message);
    return false;
}

bool cloudtrail_find(struct wm_call *c, struct wm_reply *r, const char *member, struct wm_board_trail *out)
{
    struct wm_view name = wm_json_get_text(c->params, member);
    if (!cloudtrail_check_name(c, r, name))
        return false;
    if (wm_board_find_trail(c->env->board, name, out))
        return true;
    (void)wm_reply_error(c, r, "TrailNotFoundException", 400, "Unknown trail: %.*s for the user: %.*s", WM_ARG(name),
                         WM_ARG(c->env->account_id));
    return false;
}

/* ---- documents ---- */

static int64_t milliseconds(struct wm_wall_ns t)
{
    return t.ns / WM_NS_PER_MS;
}

/* Unset texts are absent from CloudTrail's answers. */
static void set_text(struct wm_call *c, struct wm_json *o, const char *key, const char *text)
{
    if (*text)
        wm_json_set_string(c->arena, o, key, wm_view_of(text));
}

static void set_time(struct wm_call *c, struct wm_json *o, const char *key, struct wm_wall_ns t)
{
    if (t.ns)
        wm_json_set_time(c->arena, o, key, milliseconds(t));
}

/* The older members of GetTrailStatus: always present, "" for never. */
static void set_legacy_time(struct wm_call *c, struct wm_json *o, const char *key, struct wm_wall_ns t)
{
    char text[WM_TIME_ISO_BYTES] = "";
    if (t.ns)
        wm_time_iso(t, text);
    wm_json_set_string(c->arena, o, key, wm_view_of(text));
}

static struct wm_json *show_trail(struct wm_call *c, const struct wm_board_trail *t)
{
    struct wm_arena *a = c->arena;
    struct wm_json *o = wm_json_new(a, WM_JSON_OBJECT);
    struct wm_view prefix = wm_view_of(t->prefix);
    if (wm_view_ends(prefix, "/"))
        prefix.len--; /* `validate-logs` puts its own behind it, and would find nothing */
    set_text(c, o, "Name", t->name);
    set_text(c, o, "S3BucketName", t->bucket);
    if (prefix.len)
        wm_json_set_string(a, o, "S3KeyPrefix", prefix);
    wm_json_set_bool(a, o, "IncludeGlobalServiceEvents", true); /* STS calls are in it */
    wm_json_set_bool(a, o, "IsMultiRegionTrail", false);
    wm_json_set_string(a, o, "HomeRegion", c->env->region);
    set_text(c, o, "TrailARN", t->arn);
    wm_json_set_bool(a, o, "LogFileValidationEnabled", true);
    wm_json_set_bool(a, o, "HasCustomEventSelectors", false);
    wm_json_set_bool(a, o, "HasInsightSelectors", false);
    wm_json_set_bool(a, o, "IsOrganizationTrail", false);
    return o;
}

/* ---- operations ---- */

static bool is_wanted(const struct wm_json *names, const struct wm_board_trail *t)
{
    for (const struct wm_json *n = names->first; n; n = n->next)
        if (wm_view_eq_str(n->text, t->name) || wm_view_eq_str(n->text, t->arn))
            return true;
    return false;
}

/* An empty list of names is all; unknown names are simply not in the answer. There are no shadow trails here. */
static enum wm_status describe_trails(struct wm_call *c, struct wm_reply *r)
{
    const struct wm_json *names = wm_json_get(c->params, "trailNameList");
    for (const struct wm_json *n = names ? names->first : NULL; n; n = n->next)
        if (!cloudtrail_check_name(c, r, n->text))
            return WM_OK;
    struct wm_board_trail *trails = wm_arena_alloc(c->arena, WM_BOARD_MAX_TRAILS * sizeof *trails);
    if (!trails)
        return WM_E_NOMEM;
    size_t n_trails = wm_board_trails(c->env->board, trails, WM_BOARD_MAX_TRAILS);
    struct wm_json *document = wm_json_new(c->arena, WM_JSON_OBJECT);
    struct wm_json *list = wm_json_set_array(c->arena, document, "trailList");
    for (size_t i = 0; i < n_trails; i++)
        if (!names || names->count == 0 || is_wanted(names, &trails[i]))
            wm_json_push(list, show_trail(c, &trails[i]));
    r->document = document;
    return wm_arena_status(c->arena);
}

static enum wm_status get_trail(struct wm_call *c, struct wm_reply *r)
{
    struct wm_board_trail t;
    if (!cloudtrail_find(c, r, "Name", &t))
        return WM_OK;
    r->document = wm_json_new(c->arena, WM_JSON_OBJECT);
    wm_json_set(r->document, "Trail", show_trail(c, &t));
    return wm_arena_status(c->arena);
}

static enum wm_status get_trail_status(struct wm_call *c, struct wm_reply *r)
{
    struct wm_board_trail t;
    struct wm_trail_logging logging;
    const struct wm_wall_ns never = {0};
    if (!cloudtrail_find(c, r, "Name", &t))
        return WM_OK;
    enum wm_status status = wm_trail_logging_get(c->state, wm_view_of(t.name), &logging, NULL);
    if (status != WM_OK)
        return status;
    struct wm_wall_ns started = logging.started.ns ? logging.started : t.started; /* a trail begins logging */
    struct wm_json *o = wm_json_new(c->arena, WM_JSON_OBJECT);
    wm_json_set_bool(c->arena, o, "IsLogging", !logging.stopped);
    set_text(c, o, "LatestDeliveryError", t.latest_delivery_error);
    set_time(c, o, "LatestDeliveryTime", t.latest_delivery);
    set_time(c, o, "StartLoggingTime", started);
    set_time(c, o, "StopLoggingTime", logging.ended);
    set_time(c, o, "LatestDigestDeliveryTime", t.latest_digest);
    set_text(c, o, "LatestDigestDeliveryError", t.latest_digest_error);
    set_legacy_time(c, o, "LatestDeliveryAttemptTime", t.latest_delivery_attempt);
    set_legacy_time(c, o, "LatestNotificationAttemptTime", never);
    set_legacy_time(c, o, "LatestNotificationAttemptSucceeded", never);
    set_legacy_time(c, o, "LatestDeliveryAttemptSucceeded", t.latest_delivery);
    set_legacy_time(c, o, "TimeLoggingStarted", started);
    set_legacy_time(c, o, "TimeLoggingStopped", logging.ended);
    r->document = o;
    return wm_arena_status(c->arena);
}

static struct wm_wall_ns time_param(struct wm_call *c, const char *name)
{
    const struct wm_json *t = wm_json_get(c->params, name);
    return t ? (struct wm_wall_ns){t->time_ms * WM_NS_PER_MS} : c->now; /* API Reference: unset is now */
}

static enum wm_status list_public_keys(struct wm_call *c, struct wm_reply *r)
{
    struct wm_wall_ns from = time_param(c, "StartTime"), until = time_param(c, "EndTime");
    if (wm_json_get_text(c->params, "NextToken").len) /* one page holds all, so no token was ever given */
        return wm_reply_error(c, r, "InvalidTokenException", 400, "NextToken is not a token that an earlier page gave");
    if (from.ns > until.ns)
        return wm_reply_error(c, r, "InvalidTimeRangeException", 400,
                              "StartTime must not be later than EndTime; what is not given is the current time");
    if (wm_json_get(c->params, "EndTime"))
        until.ns += KEYS_GRACE_S * WM_NS_PER_S;
    struct wm_board_key *keys = NULL;
    size_t n = 0, max = 0;
    while (n == max && max < WM_BOARD_MAX_KEYS) {
        max = max == 0 ? FEW_KEYS : WM_BOARD_MAX_KEYS;
        keys = wm_arena_alloc(c->arena, max * sizeof *keys);
        if (!keys)
            return WM_E_NOMEM;
        n = wm_board_keys(c->env->board, from, until, keys, max);
    }
    struct wm_json *document = wm_json_new(c->arena, WM_JSON_OBJECT);
    struct wm_json *list = wm_json_set_array(c->arena, document, "PublicKeyList");
    for (size_t i = 0; i < n; i++) {
        struct wm_json *key = wm_json_push(list, wm_json_new(c->arena, WM_JSON_OBJECT));
        set_text(c, key, "Value", keys[i].value);
        wm_json_set_time(c->arena, key, "ValidityStartTime", milliseconds(keys[i].valid_from));
        wm_json_set_time(c->arena, key, "ValidityEndTime", milliseconds(keys[i].valid_until));
        set_text(c, key, "Fingerprint", keys[i].fingerprint);
    }
    r->document = document;
    return wm_arena_status(c->arena);
}

/* ---- permission ---- */

/*
 * The trail that parameter "Name" or "TrailName" names, by name or ARN. Service Authorization Reference, "AWS CloudTrail": resource type
 * trail, but for DescribeTrails and ListPublicKeys, which have none. An ARN is made of its name, so it tells nothing.
 */
static enum wm_status demand_trail(struct wm_call *c, struct wm_demands *out)
{
    struct wm_view name = wm_json_get_text(c->params, "Name"), region = c->env->region;
    if (!name.len)
        name = wm_json_get_text(c->params, "TrailName");
    if (!wm_view_starts(name, "arn:"))
        name = wm_arena_printf(c->arena, "arn:%s:cloudtrail:%.*s:%.*s:trail/%.*s", wm_arn_partition(region),
                               WM_ARG(region), WM_ARG(c->env->account_id), WM_ARG(name));
    (void)wm_demand_add(out, WM_EMPTY, name); /* trails have no tags here */
    out->request_tags = wm_json_get(c->params, "TagsList"); /* of CreateTrail */
    return WM_OK;
}

/* ---- tables ---- */

static const struct wm_member describe_trails_input[] = {
    {.name = "trailNameList", .type = WM_MEMBER_STRING_LIST},
    {.name = "includeShadowTrails", .type = WM_MEMBER_BOOLEAN},
    {0},
};

static const struct wm_member get_trail_input[] = {
    {.name = "Name", .type = WM_MEMBER_STRING, .required = true},
    {0},
};

static const struct wm_member list_public_keys_input[] = {
    {.name = "StartTime", .type = WM_MEMBER_TIME},
    {.name = "EndTime", .type = WM_MEMBER_TIME},
    {.name = "NextToken", .type = WM_MEMBER_STRING},
    {0},
};

static const struct wm_operation operations[] = {
    {
        .name = "CreateTrail",
        .http_status = 200,
        .input = cloudtrail_create_trail_input,
        .demands = demand_trail,
        .run = cloudtrail_create_trail,
    },
    {
        .name = "DeleteTrail",
        .http_status = 200,
        .input = get_trail_input,
        .audit = true,
        .demands = demand_trail,
        .run = cloudtrail_change_trail,
    },
    {
        .name = "DescribeTrails",
        .read_only = true,
        .http_status = 200,
        .input = describe_trails_input,
        .run = describe_trails,
    },
    {
        .name = "GetEventSelectors",
        .read_only = true,
        .http_status = 200,
        .input = cloudtrail_get_event_selectors_input,
        .demands = demand_trail,
        .run = cloudtrail_get_event_selectors,
    },
    {
        .name = "GetTrail",
        .read_only = true,
        .http_status = 200,
        .input = get_trail_input,
        .demands = demand_trail,
        .run = get_trail,
    },
    {
        .name = "GetTrailStatus",
        .read_only = true,
        .http_status = 200,
        .input = get_trail_input,
        .demands = demand_trail,
        .run = get_trail_status,
    },
    {
        .name = "ListPublicKeys",
        .read_only = true,
        .http_status = 200,
        .input = list_public_keys_input,
        .run = list_public_keys,
    },
    {
        .name = "PutEventSelectors",
        .http_status = 200,
        .input = cloudtrail_put_event_selectors_input,
        .audit = true,
        .demands = demand_trail,
        .run = cloudtrail_put_event_selectors,
    },
    {
        .name = "StartLogging",
        .http_status = 200,
        .input = get_trail_input,
        .demands = demand_trail,
        .run = cloudtrail_start_logging,
    },
    {
        .name = "StopLogging",
        .http_status = 200,
        .input = get_trail_input,
        .audit = true,
        .demands = demand_trail,
        .run = cloudtrail_stop_logging,
    },
    {
        .name = "UpdateTrail",
        .http_status = 200,
        .input = cloudtrail_update_trail_input,
        .audit = true,
        .demands = demand_trail,
        .run = cloudtrail_change_trail,
    },
};

const struct wm_service wm_service_cloudtrail = {
    .signing_name = "cloudtrail",
    .event_source = "cloudtrail.amazonaws.com",
    .api_version = "2013-11-01",
    .json_target = "CloudTrail_20131101",
    .query_xmlns = "http://cloudtrail.amazonaws.com/doc/2013-11-01/",
    .redaction = "HIDDEN_DUE_TO_SECURITY_REASONS",
    .validation_error = "ValidationError",
    .validation_status = 400,
    .operations = operations,
    .n_operations = sizeof operations / sizeof operations[0],
};
