#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "waymark/bounds.h"
#include "waymark/protocol.h"

#include "waymark/banned.h"

/* Two services of our own, so that every kind of member and every way to be addressed is met. */

static enum wm_status unused_run(struct wm_call *c, struct wm_reply *r)
{
    (void)c;
    (void)r;
    return WM_OK;
}

static const struct wm_member tag_fields[] = {
    {.name = "Key", .type = WM_MEMBER_STRING, .required = true, .min = 1, .max = 5},
    {.name = "Value", .type = WM_MEMBER_STRING, .secret = true},
    {0},
};
static const struct wm_member log_fields[] = {
    {.name = "group", .type = WM_MEMBER_STRING},
    {.name = "days", .type = WM_MEMBER_INTEGER, .min = 1, .max = 30},
    {.name = "names", .type = WM_MEMBER_STRING_LIST},
    {0},
};
static bool is_even(struct wm_view text)
{
    return text.len % 2 == 0;
}
static const struct wm_text_form even_form = {is_even, "must have an even length"};
static const char *const colours[] = {"RED", "GREEN", NULL};
static const char *const only_ads[] = {"ADS", NULL};
static const struct wm_member all_input[] = {
    {.name = "Name", .type = WM_MEMBER_STRING, .min = 2, .max = 4},
    {.name = "Count", .type = WM_MEMBER_INTEGER, .min = 1, .max = 1000},
    {.name = "Big", .type = WM_MEMBER_INTEGER},
    {.name = "On", .type = WM_MEMBER_BOOLEAN},
    {.name = "When", .type = WM_MEMBER_TIME},
    {.name = "map", .type = WM_MEMBER_STRING_MAP},
    {.name = "list", .type = WM_MEMBER_STRING_LIST},
    {.name = "log", .type = WM_MEMBER_STRUCT, .fields = log_fields},
    {.name = "Tags", .type = WM_MEMBER_STRUCT_LIST, .max = 2, .fields = tag_fields},
    {.name = "Colour", .type = WM_MEMBER_STRING, .values = colours},
    {.name = "Colours", .type = WM_MEMBER_STRING_LIST, .min = 1, .max = 2, .values = colours},
    {.name = "Even", .type = WM_MEMBER_STRING, .max = 4, .form = &even_form},
    {.name = "Evens", .type = WM_MEMBER_STRING_LIST, .form = &even_form},
    {.name = "Ads", .type = WM_MEMBER_STRING, .values = only_ads},
    {.name = "Few", .type = WM_MEMBER_STRING_MAP, .max = 1},
    {0},
};
static const struct wm_member needs_input[] = {
    {.name = "Name", .type = WM_MEMBER_STRING, .required = true},
    {.name = "Secret", .type = WM_MEMBER_STRING, .secret = true},
    {0},
};
static const struct wm_operation rpc_operations[] = {
    {.name = "All", .http_status = 200, .input = all_input, .run = unused_run},
    {.name = "Needs", .http_status = 200, .input = needs_input, .run = unused_run},
    {.name = "Nothing", .http_status = 200, .run = unused_run},
};
static const struct wm_service rpc = {
    .signing_name = "rpc",
    .event_source = "rpc.example.com",
    .api_version = "2020-01-01",
    .json_target = "Rpc_20200101",
    .query_xmlns = "https://rpc.example.com/doc/",
    .redaction = "HIDDEN",
    .operations = rpc_operations,
    .n_operations = 3,
};
static const struct wm_service twin = { /* the same version as rpc: only the signature tells them apart */
    .signing_name = "twin",
    .event_source = "twin.example.com",
    .api_version = "2020-01-01",
    .query_xmlns = "https://twin.example.com/doc/",
    .redaction = "HIDDEN",
    .operations = rpc_operations,
    .n_operations = 3,
};

static const struct wm_member thing_input[] = {
    {.name = "part", .type = WM_MEMBER_STRING, .place = WM_IN_PATH, .required = true},
    {.name = "id", .type = WM_MEMBER_STRING, .place = WM_IN_PATH, .required = true, .max = 10},
    {.name = "text", .type = WM_MEMBER_STRING},
    {0},
};
static const struct wm_member list_input[] = {
    {.name = "max", .type = WM_MEMBER_INTEGER, .place = WM_IN_QUERY, .min = 1, .max = 9},
    {.name = "token", .type = WM_MEMBER_STRING, .place = WM_IN_QUERY},
    {.name = "tagKeys", .type = WM_MEMBER_STRING_LIST, .place = WM_IN_QUERY},
    {.name = "colour", .type = WM_MEMBER_STRING, .place = WM_IN_QUERY, .values = colours},
    {.name = "evens", .type = WM_MEMBER_STRING_LIST, .place = WM_IN_QUERY, .max = 2, .form = &even_form},
    {0},
};
static const struct wm_member arn_input[] = {
    {.name = "resource-arn", .type = WM_MEMBER_STRING, .place = WM_IN_PATH, .required = true},
    {.name = "tagKeys", .type = WM_MEMBER_STRING_LIST, .place = WM_IN_QUERY, .required = true},
    {0},
};
static const struct wm_operation rest_operations[] = {
    {.name = "GetThing", .method = "GET", .path = "/things/{id}", .http_status = 200, .input = thing_input},
    {.name = "GetSpecial", .method = "GET", .path = "/things/special", .http_status = 200},
    {.name = "PutPart", .method = "PUT", .path = "/things/{id}/parts/{part}", .http_status = 200, .input = thing_input},
    {.name = "ListThings", .method = "GET", .path = "/things", .http_status = 200, .input = list_input},
    {.name = "Untag", .method = "DELETE", .path = "/tags/{resource-arn}", .http_status = 204, .input = arn_input},
};
static const struct wm_service things = {
    .signing_name = "things",
    .event_source = "things.example.com",
    .rest = true,
    .redaction = "***",
    .operations = rest_operations,
    .n_operations = 5,
};
static const struct wm_operation other_operations[] = {
    {.name = "GetOther", .method = "GET", .path = "/things/{id}", .http_status = 200},
};
static const struct wm_service other = { /* the same path as things */
    .signing_name = "other",
    .event_source = "other.example.com",
    .rest = true,
    .redaction = "***",
    .operations = other_operations,
    .n_operations = 1,
};

static const struct wm_service *const services[] = {&rpc, &twin, &things, &other};

/* ---- support ---- */

static struct wm_arena arena;
static char written[8192];
static char message[WM_ERR_MESSAGE_BYTES];

static int set_up(void **state)
{
    (void)state;
    wm_arena_init(&arena, WM_MAX_ARENA_BYTES);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    wm_arena_done(&arena);
    return 0;
}

static struct wm_route route_signed(struct wm_protocol_request q, const char *signing_service)
{
    struct wm_route r;
    wm_protocol_route(&arena, services, 4, &q, wm_view_of(signing_service), &r);
    assert_non_null(r.protocol);
    return r;
}

static void assert_route(struct wm_route r, const struct wm_protocol *protocol, const struct wm_service *service,
                         const char *operation)
{
    assert_string_equal(r.protocol->name, protocol->name);
    assert_ptr_equal(r.service, service);
    if (operation) {
        assert_non_null(r.operation);
        assert_string_equal(r.operation->name, operation);
        assert_true(wm_view_eq_str(r.operation_name, operation));
    } else {
        assert_null(r.operation);
    }
}

static const char *text_of(struct wm_buf *b)
{
    assert_int_equal(wm_buf_status(b), WM_OK);
    assert_true(wm_view_copy(wm_buf_view(b), written, sizeof written));
    wm_buf_done(b);
    return written;
}

static const char *json_text(const struct wm_json *v)
{
    struct wm_buf b;
    assert_non_null(v);
    wm_buf_init(&b, sizeof written);
    wm_json_write(&b, v);
    return text_of(&b);
}

/* Route and decode; the decoded object as text, "-" when there is none. */
static enum wm_status decode(struct wm_protocol_request q, const char **out_text)
{
    struct wm_route r = route_signed(q, "");
    struct wm_json *params = NULL;
    struct wm_err err = {0};
    assert_non_null(r.operation);
    enum wm_status status = r.protocol->decode(&arena, &r, &q, &params, &err);
    assert_true(wm_view_copy(wm_view_of(err.message), message, sizeof message));
    if (status != WM_OK)
        assert_true(message[0] != '\0');
    *out_text = params ? json_text(params) : "-";
    return status;
}

static struct wm_protocol_request json_request(const char *operation, const char *body)
{
    static char target[100];
    (void)snprintf(target, sizeof target, "Rpc_20200101.%s", operation);
    return (struct wm_protocol_request){.method = WM_LIT("POST"),
                                        .path = WM_LIT("/"),
                                        .content_type = WM_LIT("application/x-amz-json-1.1"),
                                        .target = wm_view_of(target),
                                        .body = wm_view_of(body)};
}

static struct wm_protocol_request form_request(const char *body)
{
    return (struct wm_protocol_request){.method = WM_LIT("POST"),
                                        .path = WM_LIT("/"),
                                        .content_type = WM_LIT("application/x-www-form-urlencoded; charset=utf-8"),
                                        .body = wm_view_of(body)};
}

static struct wm_protocol_request rest_request(const char *method, const char *path, const char *query,
                                               const char *body)
{
    return (struct wm_protocol_request){.method = wm_view_of(method),
                                        .path = wm_view_of(path),
                                        .query = wm_view_of(query),
                                        .body = wm_view_of(body)};
}

/* ---- routing ---- */

static void route_by_long_and_short_target(void **state)
{
    (void)state;
    struct wm_protocol_request q = json_request("All", "{}");
    assert_route(route_signed(q, ""), &wm_protocol_json_1_1, &rpc, "All");
    q.target = WM_LIT("com.amazonaws.rpc.v20200101.Rpc_20200101.Needs");
    assert_route(route_signed(q, "rpc"), &wm_protocol_json_1_1, &rpc, "Needs");
    q.content_type = WM_LIT("Application/X-Amz-Json-1.0");
    assert_route(route_signed(q, "rpc"), &wm_protocol_json_1_0, &rpc, "Needs");
}

static void route_refuses_unknown_targets(void **state)
{
    (void)state;
    struct wm_protocol_request q = json_request("Evil", "{}");
    struct wm_route r = route_signed(q, "");
    assert_route(r, &wm_protocol_json_1_1, &rpc, NULL);
    assert_true(wm_view_eq_str(r.operation_name, "Evil"));
    q.target = WM_LIT("Unheard_20200101.All");
    assert_route(route_signed(q, ""), &wm_protocol_json_1_1, NULL, NULL);
    assert_route(route_signed(q, "rpc"), &wm_protocol_json_1_1, &rpc, NULL);
    q.target = WM_LIT("All");
    assert_route(route_signed(q, ""), &wm_protocol_json_1_1, NULL, NULL);
    q.target = WM_LIT("Rpc_20200101.");
    assert_route(route_signed(q, ""), &wm_protocol_json_1_1, &rpc, NULL);
    q = json_request("All", "{}");
    q.method = WM_LIT("GET");
    assert_route(route_signed(q, ""), &wm_protocol_json_1_1, &rpc, NULL);
    q = json_request("All", "{}");
    q.path = WM_LIT("/things/a"); /* must not be taken for GetThing, nor for All */
    assert_route(route_signed(q, ""), &wm_protocol_json_1_1, &rpc, NULL);
}

static void route_cuts_long_names(void **state)
{
    (void)state;
    char target[400];
    memset(target, 'x', sizeof target);
    memcpy(target, "Rpc_20200101.", 13);
    struct wm_protocol_request q = json_request("All", "{}");
    q.target = (struct wm_view){target, sizeof target};
    assert_int_equal(route_signed(q, "").operation_name.len, 128);
}

static void route_by_action(void **state)
{
    (void)state;
    struct wm_protocol_request q = form_request("Version=2020-01-01&Action=Needs&Name=x");
    assert_route(route_signed(q, "rpc"), &wm_protocol_query, &rpc, "Needs");
    assert_route(route_signed(q, ""), &wm_protocol_query, &rpc, "Needs");
    assert_route(route_signed(q, "twin"), &wm_protocol_query, &twin, "Needs");
    assert_route(route_signed(q, "things"), &wm_protocol_query, &rpc, "Needs");
    q.content_type = WM_EMPTY; /* some small clients send none */
    assert_route(route_signed(q, ""), &wm_protocol_query, &rpc, "Needs");

    struct wm_protocol_request get = rest_request("GET", "/", "Action=Nothing&Version=2020-01-01&X-Amz-Date=1", "");
    assert_route(route_signed(get, ""), &wm_protocol_query, &rpc, "Nothing");
    get.method = WM_LIT("PUT");
    assert_route(route_signed(get, ""), &wm_protocol_query, &rpc, NULL);
}

static void route_refuses_unknown_actions(void **state)
{
    (void)state;
    struct wm_route r = route_signed(form_request("Action=Evil&Version=2020-01-01"), "");
    assert_route(r, &wm_protocol_query, &rpc, NULL);
    assert_true(wm_view_eq_str(r.operation_name, "Evil"));
    assert_route(route_signed(form_request("Action=Needs&Version=1999-01-01"), ""), &wm_protocol_query, NULL, NULL);
    assert_route(route_signed(form_request("Action=Needs&Version=1999-01-01"), "rpc"), &wm_protocol_query, &rpc, NULL);
    assert_route(route_signed(form_request("Action=Needs"), ""), &wm_protocol_query, NULL, NULL);
    assert_route(route_signed(form_request("Version=2020-01-01"), ""), &wm_protocol_query, &rpc, NULL);
    assert_route(route_signed(form_request("Action=%zz&Version=2020-01-01"), ""), &wm_protocol_query, &rpc, NULL);
    /* nothing at all: the signature says how to answer */
    struct wm_protocol_request none = rest_request("POST", "/", "", "");
    assert_route(route_signed(none, "twin"), &wm_protocol_query, &twin, NULL);
    assert_route(route_signed(none, "rpc"), &wm_protocol_json_1_1, &rpc, NULL);
    assert_route(route_signed(none, "things"), &wm_protocol_rest, &things, NULL);
    assert_route(route_signed(none, ""), &wm_protocol_rest, NULL, NULL);
    none.content_type = WM_LIT("application/x-amz-json-1.0");
    assert_route(route_signed(none, ""), &wm_protocol_json_1_0, NULL, NULL);
}

static void route_by_path(void **state)
{
    (void)state;
    struct wm_route r = route_signed(rest_request("GET", "/things/a%2Fb", "", ""), "");
    assert_route(r, &wm_protocol_rest, &things, "GetThing");
    assert_true(wm_view_eq_str(r.path_values[0], "a%2Fb"));
    assert_route(route_signed(rest_request("GET", "/things/a", "", ""), "other"), &wm_protocol_rest, &other,
                 "GetOther");
    assert_route(route_signed(rest_request("GET", "/things/a", "", ""), "rpc"), &wm_protocol_rest, &things, "GetThing");
    assert_route(route_signed(rest_request("GET", "/things/special", "", ""), ""), &wm_protocol_rest, &things,
                 "GetSpecial");
    assert_route(route_signed(rest_request("GET", "/things", "", ""), ""), &wm_protocol_rest, &things, "ListThings");
    assert_route(route_signed(rest_request("GET", "/%74hings", "", ""), ""), &wm_protocol_rest, &things, "ListThings");
    r = route_signed(rest_request("PUT", "/things/a/parts/b", "", ""), "");
    assert_route(r, &wm_protocol_rest, &things, "PutPart");
    assert_true(wm_view_eq_str(r.path_values[0], "a"));
    assert_true(wm_view_eq_str(r.path_values[1], "b"));
    r = route_signed(rest_request("DELETE", "/tags/arn%3Aaws%3Ax%3A%3A1%3Achannels%2Fabc", "tagKeys=a", ""), "");
    assert_route(r, &wm_protocol_rest, &things, "Untag");
    assert_true(wm_view_eq_str(r.path_values[0], "arn%3Aaws%3Ax%3A%3A1%3Achannels%2Fabc"));
}

static void route_refuses_other_paths(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path;
        bool service_known;
    } cases[] = {
        {"GET", "/things/", false},         {"GET", "//things", false},         {"GET", "/things//parts/b", false},
        {"GET", "/things/a/", false},       {"GET", "/things/..", false},       {"GET", "/./things", false},
        {"GET", "/things/./parts/b", false}, {"GET", "/Things", false},         {"GET", "/things/a/b", false},
        {"GET", "things", false},           {"OPTIONS", "*", false},            {"GET", "", false},
        {"HEAD", "/things", true},          {"OPTIONS", "/things", true},       {"get", "/things", true},
        {"POST", "/things/a", true},        {"GET", "/thing%", false},          {"GET", "http://h/things", false},
        {"GET", "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wm_route r = route_signed(rest_request(cases[i].method, cases[i].path, "", ""), "");
        assert_route(r, &wm_protocol_rest, cases[i].service_known ? &things : NULL, NULL);
        assert_int_equal(r.operation_name.len, 0);
        assert_route(route_signed(rest_request(cases[i].method, cases[i].path, "", ""), "other"), &wm_protocol_rest,
                     &other, NULL);
    }
}

/* ---- decoding ---- */

static void json_decodes_every_type(void **state)
{
    (void)state;
    const char *text;
    assert_int_equal(decode(json_request("All", "{\"Tags\":[{\"Key\":\"k\",\"Value\":\"v\",\"x\":1},{\"Key\":\"l\"}],"
                                                "\"Name\":\"\xc3\xa4\xc3\xb6\",\"Count\":1000,\"Big\":-9007199254740993,"
                                                "\"On\":false,\"When\":1772359632.5,\"unmodelled\":{\"a\":[1]},"
                                                "\"map\":{\"b\":\"2\",\"a\":\"\"},\"list\":[\"x\",\"\"],"
                                                "\"log\":{\"group\":\"g\",\"days\":null,\"more\":true}}"),
                            &text),
                     WM_OK);
    assert_string_equal(text, "{\"Name\":\"\xc3\xa4\xc3\xb6\",\"Count\":1000,\"Big\":-9007199254740993,\"On\":false,"
                              "\"When\":\"2026-03-01T10:07:12Z\",\"map\":{\"b\":\"2\",\"a\":\"\"},\"list\":[\"x\",\"\"],"
                              "\"log\":{\"group\":\"g\"},\"Tags\":[{\"Key\":\"k\",\"Value\":\"v\"},{\"Key\":\"l\"}]}");
    assert_int_equal(decode(json_request("All", ""), &text), WM_OK);
    assert_string_equal(text, "{}");
    assert_int_equal(decode(json_request("All", " \r\n"), &text), WM_OK);
    assert_int_equal(decode(json_request("Nothing", "{\"Name\":1}"), &text), WM_OK);
    assert_string_equal(text, "{}");
}

static void json_keeps_milliseconds_of_times(void **state)
{
    (void)state;
    static const struct {
        const char *spelling;
        int64_t ms;
    } cases[] = {
        {"0", 0}, {"1772359632", 1772359632000}, {"1772359632.123", 1772359632123}, {"1.772359632e9", 1772359632000},
        {"9214646400", 9214646400000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char body[64];
        (void)snprintf(body, sizeof body, "{\"When\":%s}", cases[i].spelling);
        struct wm_protocol_request q = json_request("All", body);
        struct wm_route r = route_signed(q, "");
        struct wm_json *params;
        assert_int_equal(r.protocol->decode(&arena, &r, &q, &params, NULL), WM_OK);
        const struct wm_json *when = wm_json_get(params, "When");
        assert_int_equal(when->type, WM_JSON_TIME);
        assert_int_equal(when->time_ms, cases[i].ms);
    }
}

static void json_names_the_bad_member(void **state)
{
    (void)state;
    static const struct {
        const char *operation, *body, *message, *kept;
    } cases[] = {
        {"All", "{\"Name\":5}", "Member 'Name' must be a string, but it is a number", "{}"},
        {"All", "{\"Name\":\"a\"}", "Member 'Name' must have 2 to 4 characters, but it has 1", "{\"Name\":\"a\"}"},
        {"All", "{\"Name\":\"\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\"}",
         "Member 'Name' must have 2 to 4 characters, but it has 5",
         "{\"Name\":\"\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\"}"},
        {"All", "{\"Count\":\"5\"}", "Member 'Count' must be an integer, but it is a string", "{}"},
        {"All", "{\"Count\":1.5}", "Member 'Count' must be an integer from 1 to 1000", "{\"Count\":1.5}"},
        {"All", "{\"Count\":1001}", "Member 'Count' must be an integer from 1 to 1000", "{\"Count\":1001}"},
        {"All", "{\"Count\":0}", "Member 'Count' must be an integer from 1 to 1000", "{\"Count\":0}"},
        {"All", "{\"Big\":99999999999999999999}", "Member 'Big' must be an integer",
         "{\"Big\":99999999999999999999}"},
        {"All", "{\"On\":\"true\"}", "Member 'On' must be a boolean, but it is a string", "{}"},
        {"All", "{\"When\":\"2026-03-01T10:07:12Z\"}",
         "Member 'When' must be a time in seconds since 1970, but it is a string", "{}"},
        {"All", "{\"When\":-1}", "Member 'When' must be a time in seconds since 1970, before the year 2262", "{}"},
        {"All", "{\"When\":1e300}", "Member 'When' must be a time in seconds since 1970, before the year 2262", "{}"},
        {"All", "{\"When\":9214646401}", "Member 'When' must be a time in seconds since 1970, before the year 2262",
         "{}"},
        {"All", "{\"map\":[]}", "Member 'map' must be an object, but it is a list", "{}"},
        {"All", "{\"map\":{\"k\":null}}", "Member 'map.k' must be a string, but it is null", "{}"},
        {"All", "{\"list\":{}}", "Member 'list' must be a list, but it is an object", "{}"},
        {"All", "{\"list\":[\"a\",true]}", "Member 'list.element' must be a string, but it is a boolean", "{}"},
        {"All", "{\"log\":{\"days\":31}}", "Member 'log.days' must be an integer from 1 to 30",
         "{\"log\":{\"days\":31}}"},
        {"All", "{\"log\":{\"names\":[[]]}}", "Member 'log.names.element' must be a string, but it is a list",
         "{\"log\":{}}"},
        {"All", "{\"Tags\":[1]}", "Member 'Tags.element' must be an object, but it is a number", "{}"},
        {"All", "{\"Tags\":[{\"Value\":\"v\"}]}", "Member 'Tags.Key' is required", "{\"Tags\":[{\"Value\":\"v\"}]}"},
        {"Needs", "{}", "Member 'Name' is required", "{}"},
        {"Needs", "{\"Name\":null,\"Secret\":\"s\"}", "Member 'Name' is required", "{\"Secret\":\"s\"}"},
        {"All", "{\"Tags\":[{\"Key\":\"a\"},{\"Key\":\"b\"},{\"Key\":\"c\"}]}",
         "Member 'Tags' must have 0 to 2 elements, but it has 3", "{\"Tags\":[{\"Key\":\"a\"},{\"Key\":\"b\"},{\"Key\":\"c\"}]}"},
        {"All", "{\"Colour\":\"red\"}", "Member 'Colour' must be one of RED, GREEN", "{\"Colour\":\"red\"}"},
        {"All", "{\"Colour\":\"\"}", "Member 'Colour' must be one of RED, GREEN", "{\"Colour\":\"\"}"},
        {"All", "{\"Colours\":[]}", "Member 'Colours' must have 1 to 2 elements, but it has 0", "{\"Colours\":[]}"},
        {"All", "{\"Colours\":[\"RED\",\"BLUE\"]}", "Member 'Colours.element' must be one of RED, GREEN",
         "{\"Colours\":[\"RED\",\"BLUE\"]}"},
        {"All", "{\"Colours\":[\"RED\",\"RED\",\"RED\"]}", "Member 'Colours' must have 1 to 2 elements, but it has 3",
         "{\"Colours\":[\"RED\",\"RED\",\"RED\"]}"},
        {"All", "{\"Even\":\"abc\"}", "Member 'Even' must have an even length", "{\"Even\":\"abc\"}"},
        {"All", "{\"Even\":\"abcde\"}", "Member 'Even' must have 0 to 4 characters, but it has 5",
         "{\"Even\":\"abcde\"}"},
        {"All", "{\"Evens\":[\"ab\",\"c\"]}", "Member 'Evens.element' must have an even length",
         "{\"Evens\":[\"ab\",\"c\"]}"},
        {"All", "{\"Ads\":\"ad\"}", "Member 'Ads' must be ADS", "{\"Ads\":\"ad\"}"},
        {"All", "{\"Few\":{\"a\":\"1\",\"b\":\"2\"}}", "Member 'Few' must have 0 to 1 elements, but it has 2",
         "{\"Few\":{\"a\":\"1\",\"b\":\"2\"}}"},
        /* the first fault is told; what has its type is kept for the record */
        {"All", "{\"Name\":\"abc\",\"Count\":0,\"On\":7,\"Big\":8}", "Member 'Count' must be an integer from 1 to 1000",
         "{\"Name\":\"abc\",\"Count\":0,\"Big\":8}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *text;
        assert_int_equal(decode(json_request(cases[i].operation, cases[i].body), &text), WM_E_LIMIT);
        assert_string_equal(message, cases[i].message);
        assert_string_equal(text, cases[i].kept);
    }
}

static void what_fits_its_row_is_taken(void **state)
{
    (void)state;
    static const char body[] = "{\"Tags\":[{\"Key\":\"a\"},{\"Key\":\"b\"}],\"Colour\":\"GREEN\","
                               "\"Colours\":[\"RED\",\"RED\"],\"Even\":\"\",\"Evens\":[],\"Ads\":\"ADS\",\"Few\":{\"a\":\"1\"}}";
    const char *text;
    assert_int_equal(decode(json_request("All", body), &text), WM_OK);
    assert_string_equal(text, body);
}

static void json_refuses_malformed_bodies(void **state)
{
    (void)state;
    static const char *const bodies[] = {"{", "[]", "\"x\"", "null", "{\"Name\":\"a\"} x", "{\"Name\":\"\xff\"}",
                                         "{\"Name\":\"a\",\"Name\":\"b\"}", "Name=a"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        const char *text;
        assert_int_equal(decode(json_request("Needs", bodies[i]), &text), WM_E_INVALID);
        assert_string_equal(text, "-");
    }
    char deep[WM_MAX_JSON_DEPTH * 2 + 40] = "{\"Name\":";
    memset(deep + 8, '[', WM_MAX_JSON_DEPTH + 1);
    const char *text;
    assert_int_equal(decode(json_request("Needs", deep), &text), WM_E_INVALID);
}

static void rest_decodes_path_query_and_body(void **state)
{
    (void)state;
    const char *text;
    assert_int_equal(decode(rest_request("PUT", "/things/a%2Fb%25/parts/%C3%A4+", "id=evil", "{\"text\":\"t\",\"id\":\"z\"}"),
                            &text),
                     WM_OK);
    assert_string_equal(text, "{\"id\":\"a/b%\",\"part\":\"\xc3\xa4+\",\"text\":\"t\"}");
    assert_int_equal(decode(rest_request("GET", "/things", "max=%35&x=1&token=a%20b%2Bc+d&tagKeys=b&tagKeys=a&tagKeys=", ""),
                            &text),
                     WM_OK);
    assert_string_equal(text, "{\"max\":5,\"token\":\"a b+c+d\",\"tagKeys\":[\"b\",\"a\",\"\"]}");
    assert_int_equal(decode(rest_request("GET", "/things", "", "not JSON, not looked at"), &text), WM_OK);
    assert_string_equal(text, "{}");
    assert_int_equal(decode(rest_request("GET", "/things", "max=007", ""), &text), WM_OK);
    assert_string_equal(text, "{\"max\":7}");
    assert_int_equal(decode(rest_request("DELETE", "/tags/arn%3Aaws%3Ax%3A%3A1%3Achannels%2Fabc", "tagKeys=a", ""), &text),
                     WM_OK);
    assert_string_equal(text, "{\"resource-arn\":\"arn:aws:x::1:channels/abc\",\"tagKeys\":[\"a\"]}");
}

static void rest_names_the_bad_member(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path, *query, *message;
    } cases[] = {
        {"GET", "/things", "max=", "Member 'max' must be an integer from 1 to 9"},
        {"GET", "/things", "max=10", "Member 'max' must be an integer from 1 to 9"},
        {"GET", "/things", "max=-1", "Member 'max' must be an integer from 1 to 9"},
        {"GET", "/things", "max=5x", "Member 'max' must be an integer from 1 to 9"},
        {"GET", "/things", "max=1&max=2", "Member 'max' is given twice"},
        {"GET", "/things", "token=%", "Member 'token' has a percent sign without two hex digits behind it"},
        {"GET", "/things", "token=%4", "Member 'token' has a percent sign without two hex digits behind it"},
        {"GET", "/things", "token=%c3%28", "Member 'token' is not valid UTF-8"},
        {"GET", "/things/%ff", "", "Member 'id' is not valid UTF-8"},
        {"GET", "/things/%4x", "", "Member 'id' has a percent sign without two hex digits behind it"},
        {"GET", "/things/12345678901", "", "Member 'id' must have 0 to 10 characters, but it has 11"},
        {"DELETE", "/tags/a", "", "Member 'tagKeys' is required in the query"},
        {"GET", "/things", "colour=red", "Member 'colour' must be one of RED, GREEN"},
        {"GET", "/things", "evens=ab&evens=c", "Member 'evens' must have an even length"},
        {"GET", "/things", "evens=ab&evens=&evens=", "Member 'evens' must have 0 to 2 elements, but it has 3"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *text;
        assert_int_equal(decode(rest_request(cases[i].method, cases[i].path, cases[i].query, ""), &text), WM_E_LIMIT);
        assert_string_equal(message, cases[i].message);
    }
    const char *text;
    assert_int_equal(decode(rest_request("PUT", "/things/a/parts/b", "", "{"), &text), WM_E_INVALID);
    assert_int_equal(decode(rest_request("PUT", "/things/a/parts/b", "", "{\"text\":[]}"), &text), WM_E_LIMIT);
    assert_string_equal(message, "Member 'text' must be a string, but it is a list");
    assert_string_equal(text, "{\"id\":\"a\",\"part\":\"b\"}");
}

#define ALL "Action=All&Version=2020-01-01&"

static void query_decodes_every_type(void **state)
{
    (void)state;
    const char *text;
    assert_int_equal(
        decode(form_request(ALL "Timestamp=x&Name=a+b%2B&Count=12&Big=-5&On=true&When=2026-03-01T10%3A07%3A12.250Z&"
                                "map.entry.2.key=b&map.entry.2.value=2&map.entry.1.value=1&map.entry.1.key=a&"
                                "list.member.10=j&list.member.2=b&list.member.1=a&"
                                "log.group=g&log.names.member.1=n&"
                                "Tags.member.1.Key=k&Tags.member.1.Value=v&Tags.member.2.Key=l&"),
               &text),
        WM_OK);
    assert_string_equal(text, "{\"Name\":\"a b+\",\"Count\":12,\"Big\":-5,\"On\":true,\"When\":\"2026-03-01T10:07:12Z\","
                              "\"map\":{\"a\":\"1\",\"b\":\"2\"},\"list\":[\"a\",\"b\",\"j\"],"
                              "\"log\":{\"group\":\"g\",\"names\":[\"n\"]},"
                              "\"Tags\":[{\"Key\":\"k\",\"Value\":\"v\"},{\"Key\":\"l\"}]}");
    assert_int_equal(decode(form_request(ALL "list.1=a&list.2=b&map.1.key=k&map.1.value="), &text), WM_OK);
    assert_string_equal(text, "{\"map\":{\"k\":\"\"},\"list\":[\"a\",\"b\"]}");
    assert_int_equal(decode(form_request(ALL "list="), &text), WM_OK);
    assert_string_equal(text, "{\"list\":[]}");
    assert_int_equal(decode(form_request(ALL "Names=1&listing.member.1=x"), &text), WM_OK);
    assert_string_equal(text, "{}");
    struct wm_protocol_request both = form_request("Name=abc");
    both.query = WM_LIT("Action=All&Version=2020-01-01&Count=3");
    assert_int_equal(decode(both, &text), WM_OK);
    struct wm_protocol_request in_url = form_request("");
    in_url.query = WM_LIT("Action=All&Version=2020-01-01&Name=a+b%2B"); /* signed alike, so meant alike */
    const char *plus;
    assert_int_equal(decode(in_url, &plus), WM_OK);
    assert_string_equal(plus, "{\"Name\":\"a+b+\"}");
    assert_int_equal(decode(both, &text), WM_OK);
    assert_string_equal(text, "{\"Name\":\"abc\",\"Count\":3}");
}

static void query_reads_iso_times(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms; /* -1: refused */
    } cases[] = {
        {"2026-03-01T10:07:12Z", 1772359632000},      {"2026-03-01T10:07:12.5Z", 1772359632500},
        {"2026-03-01T12:07:12%2B02:00", 1772359632000}, {"2026-03-01T08:37:12.001-01:30", 1772359632001},
        {"1970-01-01T00:00:00Z", 0},                  {"1970-01-01T00:00:00%2B01:00", -1},
        {"2026-03-01T10:07:12", -1},                  {"2026-03-01T10:07:12.Z", -1},
        {"2026-02-30T10:07:12Z", -1},                 {"1772359632", -1},
        {"2026-03-01T10:07:12%2B0200", -1},           {"2026-03-01T10:07:12%2B24:00", -1},
        {"20260301T100712Z", -1},                     {"", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char body[128];
        (void)snprintf(body, sizeof body, ALL "When=%s", cases[i].text);
        struct wm_protocol_request q = form_request(body);
        struct wm_route r = route_signed(q, "");
        struct wm_json *params;
        enum wm_status status = r.protocol->decode(&arena, &r, &q, &params, NULL);
        assert_int_equal(status, cases[i].ms < 0 ? WM_E_LIMIT : WM_OK);
        if (status == WM_OK)
            assert_int_equal(wm_json_get(params, "When")->time_ms, cases[i].ms);
    }
}

static void query_names_the_bad_member(void **state)
{
    (void)state;
    static const struct {
        const char *body, *message;
    } cases[] = {
        {ALL "Count=x", "Member 'Count' must be an integer from 1 to 1000"},
        {ALL "On=True", "Member 'On' must be true or false"},
        {ALL "Name=abcde", "Member 'Name' must have 2 to 4 characters, but it has 5"},
        {ALL "Colour=BLUE", "Member 'Colour' must be one of RED, GREEN"},
        {ALL "Colours.member.1=RED&Colours.member.2=x", "Member 'Colours' must be one of RED, GREEN"},
        {ALL "Colours=", "Member 'Colours' must have 1 to 2 elements, but it has 0"},
        {ALL "Even=abc", "Member 'Even' must have an even length"},
        {ALL "Few.entry.1.key=a&Few.entry.1.value=b&Few.entry.2.key=b&Few.entry.2.value=b",
         "Member 'Few' must have 0 to 1 elements, but it has 2"},
        {ALL "Name.member.1=a", "Member 'Name' must be one value"},
        {ALL "Name=%ff%ff", "Member 'Name' is not valid UTF-8"},
        {ALL "list=a", "Member 'list' must be a structure, not one value"},
        {ALL "list.member.0=a", "Member 'list' must be numbered from 1, as in list.member.1"},
        {ALL "list.member.01=a", "Member 'list' must be numbered from 1, as in list.member.1"},
        {ALL "list.member.x=a", "Member 'list' must be numbered from 1, as in list.member.1"},
        {ALL "list.member.=a", "Member 'list' must be numbered from 1, as in list.member.1"},
        {ALL "list.member.99999999999=a", "Member 'list' must be numbered from 1, as in list.member.1"},
        {ALL "list.member.1.x=a", "Member 'list' must be a list of strings"},
        {ALL "map.entry.1.key=a", "Member 'map' must have a key and a value in each entry"},
        {ALL "map.entry.1.key=a&map.entry.1.value=1&map.entry.2.key=a&map.entry.2.value=2",
         "Member 'map' has a key twice"},
        {ALL "log.days=31", "Member 'log.days' must be an integer from 1 to 30"},
        {ALL "Tags.member.1.Value=v", "Member 'Tags.Key' is required"},
        {"Action=Needs&Version=2020-01-01", "Member 'Name' is required"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *text;
        assert_int_equal(decode(form_request(cases[i].body), &text), WM_E_LIMIT);
        assert_string_equal(message, cases[i].message);
    }
}

static void query_refuses_malformed_forms(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        ALL "Name=%4",
        ALL "%zz=1",
        ALL "Name=abc&Name=abc",
        ALL "list.member.1=a&list.1=b",
        ALL "list.member.1=a&list.member.1=b",
        ALL "Action=All",
        ALL "Action=Nothing",
        ALL "%41ction=Needs",
        ALL "Version=2020-01-01",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        const char *text;
        assert_int_equal(decode(form_request(bodies[i]), &text), WM_E_INVALID);
        assert_string_equal(text, "-");
    }
    const char *text;
    struct wm_protocol_request both = form_request("Action=All&Version=2020-01-01");
    both.query = WM_LIT("Action=Nothing&Version=2020-01-01");
    assert_int_equal(decode(both, &text), WM_E_INVALID);

    struct wm_buf many;
    wm_buf_init(&many, 100000);
    wm_buf_add_str(&many, "Action=All&Version=2020-01-01");
    for (size_t i = 1; i <= WM_PROTOCOL_MAX_FORM_PARAMETERS - 2; i++)
        wm_buf_addf(&many, "&list.member.%zu=", i);
    struct wm_protocol_request q = form_request(wm_buf_cstr(&many));
    struct wm_route r = route_signed(q, "");
    struct wm_json *params = NULL;
    assert_int_equal(r.protocol->decode(&arena, &r, &q, &params, NULL), WM_OK);
    assert_int_equal(wm_json_get(params, "list")->count, WM_PROTOCOL_MAX_FORM_PARAMETERS - 2);
    wm_buf_add_str(&many, "&x=");
    q = form_request(wm_buf_cstr(&many));
    assert_int_equal(r.protocol->decode(&arena, &r, &q, &params, NULL), WM_E_INVALID);
    wm_buf_done(&many);
}

/* Every ceiling of memory is met: the answer is WM_E_NOMEM or the right object, never a crash or a half of it. */
static void decode_survives_a_small_arena(void **state)
{
    (void)state;
    struct wm_protocol_request requests[] = {
        json_request("All", "{\"Name\":\"abc\",\"map\":{\"a\":\"b\"},\"list\":[\"x\"],\"When\":5,\"log\":{\"days\":3}}"),
        form_request(ALL "Name=abc&map.entry.1.key=a%20&map.entry.1.value=b&list.member.1=x&Tags.member.1.Key=k"),
        rest_request("PUT", "/things/a%20/parts/b%20", "", "{\"text\":\"t\"}"),
    };
    for (size_t i = 0; i < 3; i++) {
        struct wm_route r = route_signed(requests[i], "");
        struct wm_json *params = NULL;
        assert_int_equal(r.protocol->decode(&arena, &r, &requests[i], &params, NULL), WM_OK);
        struct wm_buf whole;
        wm_buf_init(&whole, 10000);
        wm_json_write(&whole, params);
        bool failed = false, worked = false;
        for (size_t max = 0; max < 40000; max += 1000) {
            struct wm_arena small;
            struct wm_json *out = NULL;
            wm_arena_init(&small, 40000);
            /* take up what is not to be there */
            if (max < 39000 && !wm_arena_alloc(&small, 39000 - max))
                small.exhausted = false;
            enum wm_status status = r.protocol->decode(&small, &r, &requests[i], &out, NULL);
            if (status == WM_OK) {
                struct wm_buf again;
                wm_buf_init(&again, 10000);
                wm_json_write(&again, out);
                assert_true(wm_view_eq(wm_buf_view(&again), wm_buf_view(&whole)));
                wm_buf_done(&again);
                worked = true;
            } else {
                assert_int_equal(status, WM_E_NOMEM);
                assert_null(out);
                failed = true;
            }
            wm_arena_done(&small);
        }
        assert_true(failed);
        assert_true(worked);
        wm_buf_done(&whole);
    }
}

/* ---- encoding ---- */

static struct wm_json *sample_document(void)
{
    struct wm_json *o = wm_json_new(&arena, WM_JSON_OBJECT);
    wm_json_set_string(&arena, o, "Text", WM_LIT("<a & \"b\">\r\n\x01\xc3\xa4\xff\xef\xbf\xbf"));
    wm_json_set_bool(&arena, o, "On", true);
    wm_json_set_i64(&arena, o, "N", -5);
    wm_json_set_time(&arena, o, "T", 1772359632000);
    wm_json_set_time(&arena, o, "U", 1772359632007);
    wm_json_set_null(&arena, o, "Nil");
    wm_json_set_array(&arena, o, "Empty");
    struct wm_json *list = wm_json_set_array(&arena, o, "List");
    struct wm_json *in = wm_json_push(list, wm_json_new(&arena, WM_JSON_OBJECT));
    wm_json_set_string(&arena, in, "K", WM_LIT("v"));
    wm_json_set_time(&arena, in, "T", 1000);
    return o;
}

static const char *encode(const struct wm_protocol *p, const struct wm_service *s, const struct wm_operation *op,
                          const struct wm_json *document)
{
    struct wm_route r = {.protocol = p, .service = s, .operation = op};
    struct wm_buf b;
    wm_buf_init(&b, sizeof written);
    p->encode(&r, document, WM_LIT("req-1"), &b);
    return text_of(&b);
}

static void encode_writes_each_protocols_form(void **state)
{
    (void)state;
    struct wm_json *o = sample_document();
    assert_string_equal(encode(&wm_protocol_json_1_1, &rpc, &rpc_operations[0], o),
                        "{\"Text\":\"<a & \\\"b\\\">\\r\\n\\u0001\xc3\xa4\xef\xbf\xbd\xef\xbf\xbf\",\"On\":true,\"N\":-5,"
                        "\"T\":1772359632,\"U\":1772359632.007,\"Nil\":null,\"Empty\":[],"
                        "\"List\":[{\"K\":\"v\",\"T\":1}]}");
    assert_string_equal(
        encode(&wm_protocol_query, &rpc, &rpc_operations[0], o),
        "<AllResponse xmlns=\"https://rpc.example.com/doc/\"><AllResult>"
        "<Text>&lt;a &amp; \"b\"&gt;&#13;\n\xef\xbf\xbd\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd</Text><On>true</On><N>-5</N>"
        "<T>2026-03-01T10:07:12Z</T><U>2026-03-01T10:07:12.007Z</U><Empty></Empty>"
        "<List><member><K>v</K><T>1970-01-01T00:00:01Z</T></member></List></AllResult>"
        "<ResponseMetadata><RequestId>req-1</RequestId></ResponseMetadata></AllResponse>");
    wm_json_remove(o, "Text");
    assert_string_equal(encode(&wm_protocol_rest, &things, &rest_operations[0], o),
                        "{\"On\":true,\"N\":-5,\"T\":\"2026-03-01T10:07:12Z\",\"U\":\"2026-03-01T10:07:12Z\",\"Nil\":null,"
                        "\"Empty\":[],\"List\":[{\"K\":\"v\",\"T\":\"1970-01-01T00:00:01Z\"}]}");
}

static void encode_writes_empty_outputs(void **state)
{
    (void)state;
    assert_string_equal(encode(&wm_protocol_json_1_0, &rpc, &rpc_operations[2], NULL), "{}");
    assert_string_equal(encode(&wm_protocol_rest, &things, &rest_operations[0], NULL), "{}");
    assert_string_equal(encode(&wm_protocol_rest, &things, &rest_operations[4], NULL), ""); /* 204 */
    assert_string_equal(encode(&wm_protocol_query, &rpc, &rpc_operations[2], NULL),
                        "<NothingResponse xmlns=\"https://rpc.example.com/doc/\"><ResponseMetadata><RequestId>req-1"
                        "</RequestId></ResponseMetadata></NothingResponse>");
}

static const char *encode_error(const struct wm_protocol *p, const struct wm_service *s, int status, const char *text)
{
    struct wm_route r = {.protocol = p, .service = s};
    struct wm_buf b;
    wm_buf_init(&b, sizeof written);
    p->encode_error(&r, "BadThing", status, wm_view_of(text), WM_LIT("req-1"), &b);
    return text_of(&b);
}

static void encode_error_names_code_and_message(void **state)
{
    (void)state;
    assert_string_equal(encode_error(&wm_protocol_json_1_1, &rpc, 400, "a \"b\""),
                        "{\"__type\":\"BadThing\",\"message\":\"a \\\"b\\\"\"}");
    assert_string_equal(encode_error(&wm_protocol_rest, NULL, 404, ""), "{\"__type\":\"BadThing\",\"message\":\"BadThing\"}");
    assert_string_equal(encode_error(&wm_protocol_query, &rpc, 403, "a<b"),
                        "<ErrorResponse xmlns=\"https://rpc.example.com/doc/\"><Error><Type>Sender</Type>"
                        "<Code>BadThing</Code><Message>a&lt;b</Message></Error><RequestId>req-1</RequestId>"
                        "</ErrorResponse>");
    assert_string_equal(encode_error(&wm_protocol_query, NULL, 503, ""),
                        "<ErrorResponse><Error><Type>Receiver</Type><Code>BadThing</Code><Message>BadThing</Message>"
                        "</Error><RequestId>req-1</RequestId></ErrorResponse>");
    assert_string_equal(wm_protocol_rest.error_header, "x-amzn-ErrorType");
    assert_string_equal(wm_protocol_json_1_0.error_header, "x-amzn-ErrorType");
    assert_null(wm_protocol_query.error_header);
}

static void refusals_have_names_and_statuses(void **state)
{
    (void)state;
    static const struct {
        const char *rest, *json, *query;
        int rest_status, query_status;
    } cases[WM_REFUSE_COUNT] = {
        [WM_REFUSE_UNKNOWN_OPERATION] = {"UnknownOperationException", "UnknownOperationException", "InvalidAction", 404, 400},
        [WM_REFUSE_MISSING_AUTHENTICATION] = {"MissingAuthenticationTokenException", "MissingAuthenticationTokenException",
                                              "MissingAuthenticationToken", 403, 403},
        [WM_REFUSE_INCOMPLETE_SIGNATURE] = {"IncompleteSignatureException", "IncompleteSignatureException",
                                            "IncompleteSignature", 403, 403},
        [WM_REFUSE_SIGNATURE] = {"InvalidSignatureException", "InvalidSignatureException", "SignatureDoesNotMatch", 403, 403},
        [WM_REFUSE_EXPIRED] = {"InvalidSignatureException", "InvalidSignatureException", "SignatureDoesNotMatch", 403, 403},
        [WM_REFUSE_UNKNOWN_KEY] = {"UnrecognizedClientException", "UnrecognizedClientException", "InvalidClientTokenId", 403,
                                   403},
        [WM_REFUSE_EXPIRED_TOKEN] = {"ExpiredTokenException", "ExpiredTokenException", "ExpiredToken", 403, 403},
        [WM_REFUSE_DENIED] = {"AccessDeniedException", "AccessDeniedException", "AccessDenied", 403, 403},
        [WM_REFUSE_MALFORMED_BODY] = {"SerializationException", "SerializationException", "MalformedQueryString", 400, 400},
        [WM_REFUSE_BODY_TOO_LARGE] = {"RequestEntityTooLargeException", "RequestEntityTooLargeException",
                                      "RequestEntityTooLarge", 413, 413},
        [WM_REFUSE_TOO_SLOW] = {"RequestTimeoutException", "RequestTimeoutException", "RequestTimeout", 408, 408},
        [WM_REFUSE_THROTTLED] = {"TooManyRequestsException", "ThrottlingException", "Throttling", 429, 429},
        [WM_REFUSE_UNAVAILABLE] = {"ServiceUnavailableException", "ServiceUnavailableException", "ServiceUnavailable", 503,
                                   503},
        [WM_REFUSE_INTERNAL] = {"InternalServerErrorException", "InternalFailure", "InternalFailure", 500, 500},
    };
    for (int i = 0; i < WM_REFUSE_COUNT; i++) {
        int status = 0;
        assert_string_equal(wm_protocol_rest.refusal((enum wm_refusal)i, &status), cases[i].rest);
        assert_int_equal(status, cases[i].rest_status);
        assert_string_equal(wm_protocol_json_1_1.refusal((enum wm_refusal)i, &status), cases[i].json);
        assert_int_equal(status, cases[i].rest_status);
        assert_string_equal(wm_protocol_query.refusal((enum wm_refusal)i, &status), cases[i].query);
        assert_int_equal(status, cases[i].query_status);
    }
}

/* ---- what is recorded, and what handlers answer with ---- */

static struct wm_json *parse(const char *text)
{
    struct wm_json *v = NULL;
    assert_int_equal(wm_json_parse(&arena, wm_view_of(text), &v, NULL), WM_OK);
    return v;
}

static void redact_params_hides_secrets_and_lowers_names(void **state)
{
    (void)state;
    struct wm_json *params = parse("{\"Name\":\"n\",\"Secret\":\"s3cret\"}");
    assert_string_equal(json_text(wm_service_redact_params(&arena, &rpc, &rpc_operations[1], params)),
                        "{\"name\":\"n\",\"secret\":\"HIDDEN\"}");
    assert_string_equal(json_text(params), "{\"Name\":\"n\",\"Secret\":\"s3cret\"}"); /* the handler's copy is whole */
    params = parse("{\"map\":{\"Key\":\"Value\"},\"log\":{\"group\":\"g\"},\"Tags\":[{\"Key\":\"k\",\"Value\":\"v\"}]}");
    assert_string_equal(json_text(wm_service_redact_params(&arena, &rpc, &rpc_operations[0], params)),
                        "{\"map\":{\"Key\":\"Value\"},\"log\":{\"group\":\"g\"},\"tags\":[{\"key\":\"k\",\"value\":\"HIDDEN\"}]}");
    assert_null(wm_service_redact_params(&arena, &rpc, &rpc_operations[0], NULL));
    assert_null(wm_service_redact_params(&arena, &rpc, &rpc_operations[0], parse("{}")));
    assert_null(wm_service_redact_params(&arena, &rpc, &rpc_operations[2], parse("{\"Name\":\"not in the table\"}")));
}

static void redact_output_hides_every_path(void **state)
{
    (void)state;
    static const char *const paths[] = {"a.list.secret", "Top", "a.absent.x", NULL};
    const struct wm_operation op = {.name = "Op", .secret_output = paths};
    struct wm_json *document = parse("{\"a\":{\"list\":[{\"secret\":1,\"Open\":2},{\"secret\":{\"x\":1}}]},\"Top\":\"t\","
                                     "\"Upper\":{\"Inner\":[{\"Name\":1}]},\"tags\":{\"Key\":\"v\"}}");
    assert_string_equal(json_text(wm_service_redact_output(&arena, &things, &op, document)),
                        "{\"a\":{\"list\":[{\"secret\":\"***\",\"Open\":2},{\"secret\":\"***\"}]},\"top\":\"***\","
                        "\"upper\":{\"inner\":[{\"name\":1}]},\"tags\":{\"Key\":\"v\"}}");
    assert_string_equal(json_text(wm_json_get(document, "Top")), "\"t\"");
    assert_null(wm_service_redact_output(&arena, &things, &op, NULL));
}

static void complete_fills_in_initial_values(void **state)
{
    (void)state;
    static const struct wm_member inner[] = {
        {.name = "n", .type = WM_MEMBER_INTEGER, .initial = "60"},
        {.name = "flag", .type = WM_MEMBER_BOOLEAN, .initial = "false"},
        {0},
    };
    static const struct wm_member rows[] = {
        {.name = "text", .type = WM_MEMBER_STRING, .initial = "\"\""},
        {.name = "none", .type = WM_MEMBER_STRING},
        {.name = "list", .type = WM_MEMBER_STRING_LIST, .initial = "[\"a\",\"b\"]"},
        {.name = "always", .type = WM_MEMBER_STRUCT, .fields = inner, .initial = "{}"},
        {.name = "given", .type = WM_MEMBER_STRUCT, .fields = inner},
        {.name = "each", .type = WM_MEMBER_STRUCT_LIST, .fields = inner},
        {0},
    };
    static const struct {
        const char *given, *whole;
    } cases[] = {
        {"{}", "{\"text\":\"\",\"list\":[\"a\",\"b\"],\"always\":{\"n\":60,\"flag\":false}}"},
        {"{\"each\":[{\"n\":1},{}],\"given\":{\"flag\":true},\"list\":[],\"none\":\"x\",\"text\":\"t\"}",
         "{\"text\":\"t\",\"none\":\"x\",\"list\":[],\"always\":{\"n\":60,\"flag\":false},\"given\":{\"n\":60,\"flag\":true},"
         "\"each\":[{\"n\":1,\"flag\":false},{\"n\":60,\"flag\":false}]}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct wm_json *given = parse(cases[i].given);
        const struct wm_json *whole = wm_service_complete(&arena, rows, given);
        assert_string_equal(json_text(whole), cases[i].whole);
        assert_string_equal(json_text(wm_service_complete(&arena, rows, whole)), cases[i].whole);
        assert_string_equal(json_text(given), cases[i].given); /* it goes into the record */
    }
    assert_string_equal(json_text(wm_service_complete(&arena, rows, NULL)), cases[0].whole);
}

static void reply_error_drops_changes(void **state)
{
    (void)state;
    struct wm_call c = {.arena = &arena};
    struct wm_reply r = {.http_status = 200, .document = parse("{}")};
    wm_reply_change(&r, WM_LIT("kind"), WM_LIT("id"), WM_LIT("{}"));
    assert_int_equal(r.n_changes, 1);
    assert_true(wm_view_eq_str(r.changes[0].kind, "kind"));
    assert_int_equal(wm_reply_error(&c, &r, "NotFound", 404, "no %s", "x"), WM_OK);
    assert_int_equal(r.n_changes, 0);
    assert_null(r.document);
    assert_int_equal(r.http_status, 404);
    assert_string_equal(r.error_code, "NotFound");
    assert_true(wm_view_eq_str(r.error_message, "no x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(route_by_long_and_short_target, set_up, tear_down),
        cmocka_unit_test_setup_teardown(route_refuses_unknown_targets, set_up, tear_down),
        cmocka_unit_test_setup_teardown(route_cuts_long_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(route_by_action, set_up, tear_down),
        cmocka_unit_test_setup_teardown(route_refuses_unknown_actions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(route_by_path, set_up, tear_down),
        cmocka_unit_test_setup_teardown(route_refuses_other_paths, set_up, tear_down),
        cmocka_unit_test_setup_teardown(json_decodes_every_type, set_up, tear_down),
        cmocka_unit_test_setup_teardown(json_keeps_milliseconds_of_times, set_up, tear_down),
        cmocka_unit_test_setup_teardown(json_names_the_bad_member, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_fits_its_row_is_taken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(json_refuses_malformed_bodies, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rest_decodes_path_query_and_body, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rest_names_the_bad_member, set_up, tear_down),
        cmocka_unit_test_setup_teardown(query_decodes_every_type, set_up, tear_down),
        cmocka_unit_test_setup_teardown(query_reads_iso_times, set_up, tear_down),
        cmocka_unit_test_setup_teardown(query_names_the_bad_member, set_up, tear_down),
        cmocka_unit_test_setup_teardown(query_refuses_malformed_forms, set_up, tear_down),
        cmocka_unit_test_setup_teardown(decode_survives_a_small_arena, set_up, tear_down),
        cmocka_unit_test_setup_teardown(encode_writes_each_protocols_form, set_up, tear_down),
        cmocka_unit_test_setup_teardown(encode_writes_empty_outputs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(encode_error_names_code_and_message, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refusals_have_names_and_statuses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(redact_params_hides_secrets_and_lowers_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(redact_output_hides_every_path, set_up, tear_down),
        cmocka_unit_test_setup_teardown(complete_fills_in_initial_values, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reply_error_drops_changes, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
