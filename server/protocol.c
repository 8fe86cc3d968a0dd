#include "waymark/protocol.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "server/protocol_int.h"
#include "waymark/clock.h"
#include "waymark/hash.h"

#include "waymark/banned.h"

/* Longest name of an operation that is handed on; AWS's longest is some 60 characters. */
#define OPERATION_NAME_BYTES 128u
/* Our deepest path has 5 segments; a request with more can lead nowhere. */
#define MAX_SEGMENTS 16u
/* 2262-01-01T00:00:00Z: nanoseconds in 64 bits (wm_wall_ns) end later in that year. */
#define MAX_TIME_S 9214646400ll

/* ---- faults ---- */

static void place_print(const struct protocol_place *at, struct wm_buf *out)
{
    if (at->up) {
        place_print(at->up, out); /* as deep as the operation's table */
        wm_buf_add_char(out, '.');
    }
    wm_buf_add_view(out, wm_view_sub(at->name, 0, 128)); /* a map's key is the caller's own, and may be long */
}

void protocol_bad_member(struct protocol_decoder *d, const struct protocol_place *at, const char *fmt, ...)
{
    if (d->status != WM_OK)
        return;
    char what[WM_ERR_MESSAGE_BYTES];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(what, sizeof what, fmt, args); /* cut when long */
    va_end(args);
    struct wm_buf place;
    wm_buf_init(&place, 4096);
    place_print(at, &place);
    d->status = wm_fail(d->err, WM_E_LIMIT, "Member '%s' %s", wm_buf_cstr(&place), what);
    wm_buf_done(&place);
}

void protocol_malformed(struct protocol_decoder *d, const char *fmt, ...)
{
    if (d->status == WM_E_INVALID)
        return;
    char what[WM_ERR_MESSAGE_BYTES];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(what, sizeof what, fmt, args); /* cut when long */
    va_end(args);
    d->status = wm_fail(d->err, WM_E_INVALID, "%s", what);
}

enum wm_status protocol_finish(struct protocol_decoder *d, struct wm_json *params, struct wm_json **out)
{
    if (wm_arena_status(d->arena) != WM_OK)
        return wm_fail(d->err, WM_E_NOMEM, "no memory left for the request");
    if (d->status == WM_OK || d->status == WM_E_LIMIT)
        *out = params;
    return d->status;
}

/* ---- members ---- */

static const char *json_type_name(const struct wm_json *v)
{
    switch (v->type) {
    case WM_JSON_NULL:
        return "null";
    case WM_JSON_BOOL:
        return "a boolean";
    case WM_JSON_NUMBER:
        return "a number";
    case WM_JSON_STRING:
        return "a string";
    case WM_JSON_ARRAY:
        return "a list";
    case WM_JSON_OBJECT:
        return "an object";
    case WM_JSON_TIME:
    case WM_JSON_RAW:
        break; /* never read */
    }
    return "something else";
}

static size_t characters(struct wm_view text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++)
        n += ((unsigned char)text.ptr[i] & 0xc0) != 0x80; /* all but continuation bytes, RFC 3629 section 3 */
    return n;
}

/* "NONE, PASSTHROUGH, DATERANGE"; as many as fit. */
static void list_values(const char *const *values, char out[WM_ERR_MESSAGE_BYTES])
{
    size_t n = 0;
    out[0] = '\0';
    for (; *values && n < WM_ERR_MESSAGE_BYTES; values++)
        n += (size_t)snprintf(out + n, WM_ERR_MESSAGE_BYTES - n, "%s%s", n ? ", " : "", *values);
}

static void check_value(struct protocol_decoder *d, const struct protocol_place *at, const struct wm_member *m,
                        struct wm_view text)
{
    char list[WM_ERR_MESSAGE_BYTES];
    for (const char *const *v = m->values; *v; v++)
        if (wm_view_eq_str(text, *v))
            return;
    list_values(m->values, list);
    protocol_bad_member(d, at, m->values[1] ? "must be one of %s" : "must be %s", list);
}

/* A string that does not fit its row is handed on all the same, with the fault noted: the record of the refused call
 * shows what was asked for. */
static void check_string(struct protocol_decoder *d, const struct protocol_place *at, const struct wm_member *m,
                         struct wm_view text)
{
    if (m->values) {
        check_value(d, at, m, text);
        return;
    }
    int64_t n = (int64_t)characters(text);
    if ((m->min || m->max) && (n < m->min || n > m->max))
        protocol_bad_member(d, at, "must have %lld to %lld characters, but it has %lld", (long long)m->min,
                            (long long)m->max, (long long)n);
    else if (m->form && !m->form->fits(text))
        protocol_bad_member(d, at, "%s", m->form->must);
}

struct wm_member protocol_element(const struct wm_member *list)
{
    return (struct wm_member){
        .name = list->name, .type = WM_MEMBER_STRING, .values = list->values, .form = list->form};
}

struct wm_json *protocol_counted(struct protocol_decoder *d, const struct protocol_place *at, const struct wm_member *m,
                                 struct wm_json *value)
{
    int64_t n = value ? (int64_t)value->count : 0;
    if (value && (m->min || m->max) && (n < m->min || n > m->max))
        protocol_bad_member(d, at, "must have %lld to %lld elements, but it has %lld", (long long)m->min,
                            (long long)m->max, (long long)n);
    return value;
}

static struct wm_json *integer(struct protocol_decoder *d, const struct protocol_place *at, const struct wm_member *m,
                               struct wm_json *number)
{
    bool any = m->min == 0 && m->max == 0;
    int64_t n;
    if (number && wm_json_to_i64(number, any ? INT64_MIN : m->min, any ? INT64_MAX : m->max, &n) == WM_OK)
        return number;
    if (any)
        protocol_bad_member(d, at, "must be an integer");
    else
        protocol_bad_member(d, at, "must be an integer from %lld to %lld", (long long)m->min, (long long)m->max);
    return number; /* recorded, as a string that does not fit */
}

static struct wm_json *time_node(struct protocol_decoder *d, double seconds)
{
    struct wm_json *v = wm_json_new(d->arena, WM_JSON_TIME);
    if (v)
        v->time_ms = (int64_t)(seconds * 1000 + 0.5); /* never negative */
    return v;
}

static struct wm_json *time_from_number(struct protocol_decoder *d, const struct protocol_place *at,
                                        struct wm_view spelling)
{
    char text[64];
    char *end = text;
    double seconds = wm_view_copy(spelling, text, sizeof text) ? strtod(text, &end) : -1;
    if (end == text || *end != '\0' || !isfinite(seconds) || seconds < 0 || seconds > (double)MAX_TIME_S) {
        protocol_bad_member(d, at, "must be a time in seconds since 1970, before the year 2262");
        return NULL;
    }
    return time_node(d, seconds);
}

static bool two_digits(struct wm_view text, size_t at, int64_t max, int64_t *out)
{
    uint64_t n;
    if (wm_view_to_u64(wm_view_sub(text, at, at + 2), (uint64_t)max, &n) != WM_OK)
        return false;
    *out = (int64_t)n;
    return true;
}

/* YYYY-MM-DDTHH:MM:SS[.fraction](Z|+HH:MM|-HH:MM): RFC 3339 section 5.6, less its rarities. */
static bool iso_to_seconds(struct wm_view text, double *out)
{
    char whole[WM_TIME_ISO_BYTES];
    struct wm_wall_ns t;
    if (text.len < 20)
        return false;
    (void)snprintf(whole, sizeof whole, "%.19sZ", text.ptr); /* 20 characters fit */
    if (wm_time_parse(wm_view_of(whole), &t) != WM_OK)
        return false;
    double seconds = (double)wm_wall_seconds(t);
    struct wm_view rest = wm_view_sub(text, 19, text.len);
    if (wm_view_starts(rest, ".")) {
        double scale = 0.1;
        size_t i = 1;
        for (; i < rest.len && rest.ptr[i] >= '0' && rest.ptr[i] <= '9'; i++, scale /= 10)
            seconds += (rest.ptr[i] - '0') * scale;
        if (i == 1)
            return false;
        rest = wm_view_sub(rest, i, rest.len);
    }
    if (!wm_view_eq_str(rest, "Z")) {
        int64_t hours, minutes;
        if (rest.len != 6 || (rest.ptr[0] != '+' && rest.ptr[0] != '-') || rest.ptr[3] != ':' ||
            !two_digits(rest, 1, 23, &hours) || !two_digits(rest, 4, 59, &minutes))
            return false;
        double offset = (double)(hours * 3600 + minutes * 60);
        seconds += rest.ptr[0] == '+' ? -offset : offset;
    }
    *out = seconds;
    return seconds >= 0 && seconds <= (double)MAX_TIME_S;
}

bool wm_protocol_read_time(struct wm_view text, int64_t *out_ms)
{
    double seconds;
    if (!iso_to_seconds(text, &seconds))
        return false;
    *out_ms = (int64_t)(seconds * 1000 + 0.5); /* never negative */
    return true;
}

struct wm_json *protocol_from_text(struct protocol_decoder *d, const struct protocol_place *at,
                                   const struct wm_member *m, struct wm_view text)
{
    if (!wm_view_is_utf8(text)) {
        protocol_bad_member(d, at, "is not valid UTF-8");
        return NULL;
    }
    struct wm_json *v = NULL;
    switch (m->type) {
    case WM_MEMBER_STRING:
        check_string(d, at, m, text);
        v = wm_json_new(d->arena, WM_JSON_STRING);
        if (v)
            v->text = text;
        return v;
    case WM_MEMBER_INTEGER: {
        bool negative = wm_view_starts(text, "-");
        uint64_t magnitude;
        if (wm_view_to_u64(wm_view_sub(text, negative, text.len), INT64_MAX, &magnitude) == WM_OK) {
            v = wm_json_new(d->arena, WM_JSON_NUMBER);
            if (!v)
                return NULL;
            /* spelled anew: "007" is no JSON number */
            v->text = wm_arena_printf(d->arena, "%s%llu", negative && magnitude ? "-" : "",
                                      (unsigned long long)magnitude);
        }
        return integer(d, at, m, v);
    }
    case WM_MEMBER_BOOLEAN:
        if (!wm_view_eq_str(text, "true") && !wm_view_eq_str(text, "false")) {
            protocol_bad_member(d, at, "must be true or false");
            return NULL;
        }
        v = wm_json_new(d->arena, WM_JSON_BOOL);
        if (v)
            v->boolean = wm_view_eq_str(text, "true");
        return v;
    case WM_MEMBER_TIME: {
        double seconds;
        if (!iso_to_seconds(text, &seconds)) {
            protocol_bad_member(d, at, "must be a time such as 2026-03-01T10:07:12Z");
            return NULL;
        }
        return time_node(d, seconds);
    }
    case WM_MEMBER_STRING_MAP:
    case WM_MEMBER_STRING_LIST:
    case WM_MEMBER_STRUCT:
    case WM_MEMBER_STRUCT_LIST:
        break;
    }
    WM_ASSERT(!"a member of this type has no text form");
    return NULL;
}

/* Every element of a list or map is a string, and those of a list fit the row. */
static bool all_strings(struct protocol_decoder *d, const struct protocol_place *at, const struct wm_member *m,
                        const struct wm_json *v)
{
    const struct wm_member element = m->type == WM_MEMBER_STRING_LIST ? protocol_element(m) : (struct wm_member){0};
    for (const struct wm_json *e = v->first; e; e = e->next) {
        struct protocol_place below = {at, v->type == WM_JSON_OBJECT ? e->key : WM_LIT("element")};
        if (e->type != WM_JSON_STRING) {
            protocol_bad_member(d, &below, "must be a string, but it is %s", json_type_name(e));
            return false;
        }
        check_string(d, &below, &element, e->text);
    }
    return true;
}

static struct wm_json *struct_from_json(struct protocol_decoder *d, const struct protocol_place *at,
                                        const struct wm_member *m, struct wm_json *value)
{
    struct wm_json *out = wm_json_new(d->arena, WM_JSON_OBJECT);
    protocol_take_json(d, at, m->fields, true, value, out);
    return out;
}

static struct wm_json *structs_from_json(struct protocol_decoder *d, const struct protocol_place *at,
                                         const struct wm_member *m, struct wm_json *value)
{
    struct wm_json *out = wm_json_new(d->arena, WM_JSON_ARRAY);
    for (struct wm_json *e = value->first; e; e = e->next) {
        if (e->type != WM_JSON_OBJECT) {
            struct protocol_place below = {at, WM_LIT("element")};
            protocol_bad_member(d, &below, "must be an object, but it is %s", json_type_name(e));
            return NULL;
        }
        wm_json_push(out, struct_from_json(d, at, m, e));
    }
    return out;
}

struct wm_json *protocol_from_json(struct protocol_decoder *d, const struct protocol_place *at,
                                   const struct wm_member *m, struct wm_json *value)
{
    static const struct {
        enum wm_json_type type;
        const char *name;
    } wanted[] = {
        [WM_MEMBER_STRING] = {WM_JSON_STRING, "a string"},
        [WM_MEMBER_INTEGER] = {WM_JSON_NUMBER, "an integer"},
        [WM_MEMBER_BOOLEAN] = {WM_JSON_BOOL, "a boolean"},
        [WM_MEMBER_TIME] = {WM_JSON_NUMBER, "a time in seconds since 1970"},
        [WM_MEMBER_STRING_MAP] = {WM_JSON_OBJECT, "an object"},
        [WM_MEMBER_STRING_LIST] = {WM_JSON_ARRAY, "a list"},
        [WM_MEMBER_STRUCT] = {WM_JSON_OBJECT, "an object"},
        [WM_MEMBER_STRUCT_LIST] = {WM_JSON_ARRAY, "a list"},
    };
    if (value->type != wanted[m->type].type) {
        protocol_bad_member(d, at, "must be %s, but it is %s", wanted[m->type].name, json_type_name(value));
        return NULL;
    }
    switch (m->type) {
    case WM_MEMBER_STRING:
        check_string(d, at, m, value->text);
        return value;
    case WM_MEMBER_INTEGER:
        return integer(d, at, m, value);
    case WM_MEMBER_BOOLEAN:
        return value;
    case WM_MEMBER_TIME:
        return time_from_number(d, at, value->text);
    case WM_MEMBER_STRING_MAP:
    case WM_MEMBER_STRING_LIST:
        return all_strings(d, at, m, value) ? protocol_counted(d, at, m, value) : NULL;
    case WM_MEMBER_STRUCT:
        return struct_from_json(d, at, m, value);
    case WM_MEMBER_STRUCT_LIST:
        return protocol_counted(d, at, m, structs_from_json(d, at, m, value));
    }
    WM_ASSERT(!"a member's type is one of its enum");
    return NULL;
}

void protocol_take_json(struct protocol_decoder *d, const struct protocol_place *at, const struct wm_member *rows,
                        bool everywhere, struct wm_json *object, struct wm_json *out)
{
    for (const struct wm_member *m = rows; m && m->name; m++) {
        if (!everywhere && m->place != WM_IN_BODY)
            continue;
        struct protocol_place below = {at, wm_view_of(m->name)};
        struct wm_json *value = wm_json_remove(object, m->name);
        if (value && value->type != WM_JSON_NULL)
            wm_json_set(out, m->name, protocol_from_json(d, &below, m, value));
        else if (m->required)
            protocol_bad_member(d, &below, "is required"); /* null counts as absent, as in every AWS service */
    }
}

struct wm_json *protocol_parse_body(struct protocol_decoder *d, struct wm_view body)
{
    struct wm_json *root = NULL;
    struct wm_err err = {0};
    if (wm_view_trim(body).len == 0)
        return wm_json_new(d->arena, WM_JSON_OBJECT);
    if (wm_json_parse(d->arena, body, &root, &err) != WM_OK) {
        protocol_malformed(d, "The body cannot be read: %s", err.message);
        return NULL;
    }
    if (root->type != WM_JSON_OBJECT) {
        protocol_malformed(d, "The body must be a JSON object, but it is %s", json_type_name(root));
        return NULL;
    }
    return root;
}

/* ---- percent-escapes ---- */

bool protocol_percent_decode(struct wm_arena *a, struct wm_view text, bool plus_is_blank, struct wm_view *out)
{
    if (wm_view_find(text, '%') == text.len && (!plus_is_blank || wm_view_find(text, '+') == text.len)) {
        *out = text;
        return true;
    }
    char *to = wm_arena_alloc(a, text.len);
    size_t n = 0;
    if (!to) {
        *out = WM_EMPTY; /* the arena remembers */
        return true;
    }
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%') {
            if (!wm_hex_decode(wm_view_sub(text, i + 1, i + 3), &c, 1)) /* cut short: not two digits */
                return false;
            i += 2;
        } else if (c == '+' && plus_is_blank) {
            c = ' ';
        }
        to[n++] = c;
    }
    *out = (struct wm_view){to, n};
    return true;
}

/* ---- routing ---- */

static const struct wm_operation *find_operation(const struct wm_service *s, struct wm_view name)
{
    for (size_t i = 0; s && i < s->n_operations; i++)
        if (wm_view_eq_str(name, s->operations[i].name))
            return &s->operations[i];
    return NULL;
}

static const struct wm_service *find_signing_service(const struct wm_service *const *services, size_t n,
                                                     struct wm_view signing_service)
{
    for (size_t i = 0; i < n; i++)
        if (wm_view_eq_str(signing_service, services[i]->signing_name))
            return services[i];
    return NULL;
}

/* The type without its parameters: "application/json; charset=utf-8". */
static bool is_content_type(struct wm_view content_type, const char *type)
{
    struct wm_view rest = content_type;
    return wm_view_ieq_str(wm_view_trim(wm_view_split(&rest, ';')), type);
}

/* "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.GetTrail" and "CloudTrail_20131101.GetTrail" (clients.md 1). */
static void route_target(const struct wm_service *const *services, size_t n_services,
                         const struct wm_protocol_request *request, const struct wm_service *signer,
                         struct wm_route *out)
{
    size_t dot = wm_view_rfind(request->target, '.');
    struct wm_view prefix = WM_EMPTY, name = request->target;
    if (dot < request->target.len) {
        prefix = wm_view_sub(request->target, 0, dot);
        name = wm_view_sub(request->target, dot + 1, request->target.len);
        size_t before = wm_view_rfind(prefix, '.');
        if (before < prefix.len)
            prefix = wm_view_sub(prefix, before + 1, prefix.len);
    }
    bool is_1_0 = is_content_type(request->content_type, "application/x-amz-json-1.0");
    out->protocol = is_1_0 ? &wm_protocol_json_1_0 : &wm_protocol_json_1_1;
    out->operation_name = name;
    for (size_t i = 0; i < n_services; i++)
        if (services[i]->json_target && wm_view_eq_str(prefix, services[i]->json_target))
            out->service = services[i];
    /* One place for every operation: a target together with another path could be meant in two ways. */
    if (wm_view_eq_str(request->method, "POST") && wm_view_eq_str(request->path, "/"))
        out->operation = find_operation(out->service, name);
    if (!out->service && signer && signer->json_target)
        out->service = signer; /* whose unknown operation it is */
}

/* The first value of a name in a form, decoded; the names asked for need no escapes. */
static bool form_value(struct wm_arena *a, struct wm_view form, const char *name, struct wm_view *out)
{
    while (form.len) {
        struct wm_view value = wm_view_split(&form, '&');
        struct wm_view key = wm_view_split(&value, '=');
        if (wm_view_eq_str(key, name))
            return protocol_percent_decode(a, value, true, out);
    }
    return false;
}

static bool route_action(struct wm_arena *a, const struct wm_service *const *services, size_t n_services,
                         const struct wm_protocol_request *request, const struct wm_service *signer,
                         struct wm_route *out)
{
    bool form = is_content_type(request->content_type, "application/x-www-form-urlencoded");
    bool body = wm_view_eq_str(request->method, "POST") && (form || request->content_type.len == 0);
    struct wm_view action = WM_EMPTY, version = WM_EMPTY;
    bool named = (body && form_value(a, request->body, "Action", &action)) ||
                 form_value(a, request->query, "Action", &action);
    if (!named && !form && !(signer && signer->query_xmlns && !signer->json_target))
        return false;
    if (!(body && form_value(a, request->body, "Version", &version)))
        (void)form_value(a, request->query, "Version", &version); /* absent: no service has the empty version */

    out->protocol = &wm_protocol_query;
    out->operation_name = action;
    if (signer && signer->query_xmlns)
        out->service = signer; /* two services may share a version */
    for (size_t i = 0; i < n_services && !out->service; i++)
        if (services[i]->query_xmlns && wm_view_eq_str(version, services[i]->api_version))
            out->service = services[i];
    bool right_method = wm_view_eq_str(request->method, "POST") || wm_view_eq_str(request->method, "GET");
    if (out->service && right_method && wm_view_eq_str(version, out->service->api_version))
        out->operation = find_operation(out->service, action);
    return true;
}

struct segments {
    struct wm_view raw[MAX_SEGMENTS];
    struct wm_view decoded[MAX_SEGMENTS];
    size_t n;
};

/* False when the path can lead nowhere. Dot segments lead nowhere: SigV4 signs a path without them, so "/a" and
 * "/b/../a" carry the same signature and must not be two resources. */
static bool split_path(struct wm_arena *a, struct wm_view path, struct segments *out)
{
    out->n = 0;
    if (!wm_view_starts(path, "/"))
        return false;
    struct wm_view rest = wm_view_sub(path, 1, path.len);
    for (bool more = true; more;) {
        more = wm_view_find(rest, '/') < rest.len;
        struct wm_view raw = wm_view_split(&rest, '/');
        if (raw.len == 0 || out->n == MAX_SEGMENTS)
            return false; /* an empty segment, so also a final slash, names no resource */
        if (wm_view_eq_str(raw, ".") || wm_view_eq_str(raw, ".."))
            return false;
        out->raw[out->n] = raw;
        if (!protocol_percent_decode(a, raw, false, &out->decoded[out->n]))
            out->decoded[out->n] = WM_EMPTY; /* equals no literal; as a label it is refused when decoded */
        out->n++;
    }
    return true;
}

/* Number of labels in the pattern when the path fits, else -1. */
static int match_path(const char *pattern, const struct segments *s, struct wm_view values[WM_PROTOCOL_MAX_LABELS])
{
    struct wm_view rest = wm_view_of(pattern + 1);
    size_t labels = 0, i = 0;
    while (rest.ptr) {
        struct wm_view part = wm_view_split(&rest, '/');
        if (i == s->n)
            return -1;
        if (wm_view_starts(part, "{")) {
            WM_ASSERT(labels < WM_PROTOCOL_MAX_LABELS);
            values[labels++] = s->raw[i];
        } else if (!wm_view_eq(part, s->decoded[i])) {
            return -1;
        }
        i++;
    }
    return i == s->n ? (int)labels : -1;
}

static void route_path(struct wm_arena *a, const struct wm_service *const *services, size_t n_services,
                       const struct wm_protocol_request *request, const struct wm_service *signer,
                       struct wm_route *out)
{
    struct segments segments;
    int fewest = -1;
    out->protocol = &wm_protocol_rest;
    if (signer && !signer->rest)
        signer = NULL; /* signed for another service: found by path, and refused for its signature */
    out->service = signer;
    if (!split_path(a, request->path, &segments))
        return;
    for (size_t i = 0; i < n_services; i++) {
        const struct wm_service *s = services[i];
        if (!s->rest || (signer && s != signer))
            continue;
        for (size_t k = 0; k < s->n_operations; k++) {
            const struct wm_operation *op = &s->operations[k];
            struct wm_view values[WM_PROTOCOL_MAX_LABELS] = {{NULL, 0}};
            int labels = match_path(op->path, &segments, values);
            if (labels < 0)
                continue;
            if (!out->service)
                out->service = s; /* its path, whatever the method */
            if (!wm_view_eq_str(request->method, op->method) || (out->operation && labels >= fewest))
                continue; /* "/a/b" is nearer to "/a/b" than "/a/{id}" is */
            fewest = labels;
            out->service = s;
            out->operation = op;
            out->operation_name = wm_view_of(op->name);
            memcpy(out->path_values, values, sizeof values);
        }
    }
}

void wm_protocol_route(struct wm_arena *a, const struct wm_service *const *services, size_t n_services,
                       const struct wm_protocol_request *request, struct wm_view signing_service, struct wm_route *out)
{
    const struct wm_service *signer = find_signing_service(services, n_services, signing_service);
    *out = (struct wm_route){0};
    if (request->target.len) {
        route_target(services, n_services, request, signer, out);
    } else if (wm_view_eq_str(request->path, "/")) {
        if (!route_action(a, services, n_services, request, signer, out)) {
            bool json = is_content_type(request->content_type, "application/x-amz-json-1.1") ||
                        is_content_type(request->content_type, "application/x-amz-json-1.0") ||
                        (signer && signer->json_target);
            if (json) /* a call without its target */
                route_target(services, n_services, request, signer, out);
            else
                out->protocol = &wm_protocol_rest;
            out->service = signer;
        }
    } else {
        route_path(a, services, n_services, request, signer, out);
    }
    out->operation_name = wm_view_sub(out->operation_name, 0, OPERATION_NAME_BYTES);
}
