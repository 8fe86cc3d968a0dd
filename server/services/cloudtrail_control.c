/*
 * What switches a trail off and on, and what would change it. Trails are declared in the settings, so that whoever may call
 * cannot redirect them; a call that would is refused by OperationNotPermittedException, whose sentence names the setting.
 *
 * A switch is a change of state in the call's own entry (trail_logging.h): it takes effect behind that entry, in the journal
 * and in each trail, so a trail cannot be stopped by a call that it does not hold.
 *
 * Shapes: CloudTrail API Reference (CreateTrail, UpdateTrail, DeleteTrail, PutEventSelectors, GetEventSelectors,
 * StartLogging, StopLogging) and its service model.
 */
#include "server/services/cloudtrail_int.h"
#include "waymark/trail_logging.h"
#include "waymark/trail_name.h"

#include "waymark/banned.h"

/* ---- StartLogging, StopLogging ---- */

/* What is so already is answered all the same, as AWS does, and changes nothing. */
static enum wm_status switch_logging(struct wm_call *c, struct wm_reply *r, bool stop)
{
    struct wm_board_trail t;
    struct wm_trail_logging l;
    char document[WM_TRAIL_LOGGING_BYTES];
    if (!cloudtrail_find(c, r, "Name", &t))
        return WM_OK;
    enum wm_status status = wm_trail_logging_get(c->state, wm_view_of(t.name), &l, NULL);
    if (status != WM_OK || l.stopped == stop)
        return status;
    l.stopped = stop;
    *(stop ? &l.ended : &l.started) = c->now;
    size_t len = wm_trail_logging_write(&l, document);
    struct wm_view name = wm_arena_copy(c->arena, wm_view_of(t.name));
    struct wm_view text = wm_arena_copy(c->arena, (struct wm_view){document, len});
    status = wm_arena_status(c->arena);
    if (status == WM_OK)
        wm_reply_change(r, WM_LIT(WM_TRAIL_LOGGING_KIND), name, text);
    return status;
}

enum wm_status cloudtrail_start_logging(struct wm_call *c, struct wm_reply *r)
{
    return switch_logging(c, r, false);
}

enum wm_status cloudtrail_stop_logging(struct wm_call *c, struct wm_reply *r)
{
    return switch_logging(c, r, true);
}

/* ---- what the settings have ---- */

static enum wm_status not_by_a_call(struct wm_call *c, struct wm_reply *r, struct wm_view name, const char *what)
{
    return wm_reply_error(c, r, "OperationNotPermittedException", 400,
                          "Trail %.*s is declared in the settings of this server: %s there, below trails, and restart it",
                          WM_ARG(name), what);
}

/* User Guide, "Understanding multi-Region trails"; the text is AWS's. @return true: it is so */
static bool check_regions(struct wm_call *c, struct wm_reply *r)
{
    const struct wm_json *many = wm_json_get(c->params, "IsMultiRegionTrail");
    const struct wm_json *global = wm_json_get(c->params, "IncludeGlobalServiceEvents");
    if (!many || !many->boolean || !global || global->boolean)
        return true;
    (void)wm_reply_error(c, r, "InvalidParameterCombinationException", 400,
                         "Multi-Region trail must include global service events.");
    return false; /* wm_reply_error() always answers WM_OK */
}

enum wm_status cloudtrail_create_trail(struct wm_call *c, struct wm_reply *r)
{
    struct wm_board_trail t;
    struct wm_err err;
    struct wm_view name = wm_json_get_text(c->params, "Name");
    if (wm_trail_name_valid(name, &err) != WM_OK) /* a new trail has no ARN */
        return wm_reply_error(c, r, "InvalidTrailNameException", 400, "%s", err.message);
    if (!check_regions(c, r))
        return WM_OK;
    if (wm_board_find_trail(c->env->board, name, &t))
        return wm_reply_error(c, r, "TrailAlreadyExistsException", 400, "Trail %.*s already exists for customer: %.*s",
                              WM_ARG(name), WM_ARG(c->env->account_id));
    return wm_reply_error(c, r, "OperationNotPermittedException", 400,
                          "Trails are declared in the settings of this server: add one named %.*s there, below trails, and "
                          "restart it", WM_ARG(name));
}

enum wm_status cloudtrail_change_trail(struct wm_call *c, struct wm_reply *r)
{
    struct wm_board_trail t;
    if (!cloudtrail_find(c, r, "Name", &t) || !check_regions(c, r))
        return WM_OK;
    return not_by_a_call(c, r, wm_view_of(t.name),
                         wm_view_eq_str(wm_view_of(c->operation->name), "DeleteTrail") ? "take it out" : "change it");
}

/* ---- selectors ---- */

enum wm_status cloudtrail_put_event_selectors(struct wm_call *c, struct wm_reply *r)
{
    struct wm_board_trail t;
    if (!cloudtrail_find(c, r, "TrailName", &t))
        return WM_OK;
    bool basic = wm_json_get(c->params, "EventSelectors"), advanced = wm_json_get(c->params, "AdvancedEventSelectors");
    if (basic == advanced)
        return wm_reply_error(c, r, "InvalidEventSelectorsException", 400,
                              "Give either EventSelectors or AdvancedEventSelectors");
    return wm_reply_error(c, r, "OperationNotPermittedException", 400,
                          "Trail %s takes every call, reads and writes, and this server has no setting for less", t.name);
}

/* What a trail made by AWS's API has at first, and ours always: all that is recorded here are management events. */
enum wm_status cloudtrail_get_event_selectors(struct wm_call *c, struct wm_reply *r)
{
    struct wm_board_trail t;
    if (!cloudtrail_find(c, r, "TrailName", &t))
        return WM_OK;
    struct wm_arena *a = c->arena;
    r->document = wm_json_new(a, WM_JSON_OBJECT);
    wm_json_set_string(a, r->document, "TrailARN", wm_arena_copy(a, wm_view_of(t.arn)));
    struct wm_json *selectors = wm_json_set_array(a, r->document, "EventSelectors");
    struct wm_json *all = wm_json_push(selectors, wm_json_new(a, WM_JSON_OBJECT));
    wm_json_set_string(a, all, "ReadWriteType", WM_LIT("All"));
    wm_json_set_bool(a, all, "IncludeManagementEvents", true);
    (void)wm_json_set_array(a, all, "DataResources");
    (void)wm_json_set_array(a, all, "ExcludeManagementEventSources");
    return wm_arena_status(a);
}

/* ---- inputs ---- */

#define TRAIL_MEMBERS                                                    \
    {.name = "S3KeyPrefix", .type = WM_MEMBER_STRING, .max = 200},       \
    {.name = "SnsTopicName", .type = WM_MEMBER_STRING, .max = 256},      \
    {.name = "IncludeGlobalServiceEvents", .type = WM_MEMBER_BOOLEAN},   \
    {.name = "IsMultiRegionTrail", .type = WM_MEMBER_BOOLEAN},           \
    {.name = "EnableLogFileValidation", .type = WM_MEMBER_BOOLEAN},      \
    {.name = "CloudWatchLogsLogGroupArn", .type = WM_MEMBER_STRING},     \
    {.name = "CloudWatchLogsRoleArn", .type = WM_MEMBER_STRING},         \
    {.name = "KmsKeyId", .type = WM_MEMBER_STRING},                      \
    {.name = "IsOrganizationTrail", .type = WM_MEMBER_BOOLEAN}

static const struct wm_member tag[] = {
    {.name = "Key", .type = WM_MEMBER_STRING, .required = true, .min = 1, .max = 128},
    {.name = "Value", .type = WM_MEMBER_STRING, .min = 1, .max = 256},
    {0},
};

const struct wm_member cloudtrail_create_trail_input[] = {
    {.name = "Name", .type = WM_MEMBER_STRING, .required = true},
    {.name = "S3BucketName", .type = WM_MEMBER_STRING, .required = true},
    TRAIL_MEMBERS,
    {.name = "TagsList", .type = WM_MEMBER_STRUCT_LIST, .max = 200, .fields = tag},
    {0},
};

const struct wm_member cloudtrail_update_trail_input[] = {
    {.name = "Name", .type = WM_MEMBER_STRING, .required = true},
    {.name = "S3BucketName", .type = WM_MEMBER_STRING},
    TRAIL_MEMBERS,
    {0},
};

const struct wm_member cloudtrail_get_event_selectors_input[] = {
    {.name = "TrailName", .type = WM_MEMBER_STRING, .required = true},
    {0},
};

static const char *const read_write_types[] = {"ReadOnly", "WriteOnly", "All", NULL};

static const struct wm_member data_resource[] = {
    {.name = "Type", .type = WM_MEMBER_STRING},
    {.name = "Values", .type = WM_MEMBER_STRING_LIST},
    {0},
};

static const struct wm_member event_selector[] = {
    {.name = "ReadWriteType", .type = WM_MEMBER_STRING, .values = read_write_types},
    {.name = "IncludeManagementEvents", .type = WM_MEMBER_BOOLEAN},
    {.name = "DataResources", .type = WM_MEMBER_STRUCT_LIST, .fields = data_resource},
    {.name = "ExcludeManagementEventSources", .type = WM_MEMBER_STRING_LIST},
    {0},
};

/* Lists of one value or more each (cloudtrail.md 5.3: at most 500 of all). */
#define OPERATOR(of) {.name = of, .type = WM_MEMBER_STRING_LIST, .min = 1, .max = 500}

static const struct wm_member field_selector[] = {
    {.name = "Field", .type = WM_MEMBER_STRING, .required = true, .min = 1, .max = 1000},
    OPERATOR("Equals"),
    OPERATOR("StartsWith"),
    OPERATOR("EndsWith"),
    OPERATOR("NotEquals"),
    OPERATOR("NotStartsWith"),
    OPERATOR("NotEndsWith"),
    {0},
};

static const struct wm_member advanced_event_selector[] = {
    {.name = "Name", .type = WM_MEMBER_STRING, .max = 1000},
    {.name = "FieldSelectors", .type = WM_MEMBER_STRUCT_LIST, .required = true, .min = 1, .max = 500,
     .fields = field_selector},
    {0},
};

const struct wm_member cloudtrail_put_event_selectors_input[] = {
    {.name = "TrailName", .type = WM_MEMBER_STRING, .required = true},
    {.name = "EventSelectors", .type = WM_MEMBER_STRUCT_LIST, .max = 5, .fields = event_selector},
    {.name = "AdvancedEventSelectors", .type = WM_MEMBER_STRUCT_LIST, .max = 500, .fields = advanced_event_selector},
    {0},
};
