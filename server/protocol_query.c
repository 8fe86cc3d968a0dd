/*
 * awsQuery (Smithy 2.0, "AWS query protocol"): parameters as a form, in the body or the query string; answers in XML.
 *
 *     Action=DescribeTrails&Version=2013-11-01&trailNameList.member.1=audit        lists: X.member.N, or flattened X.N
 *     tags.entry.1.key=team&tags.entry.1.value=sport                               maps: X.entry.N.key, .value, or X.N.key
 *     log.group=a                                                                  structs: X.name
 *     trailNameList=                                                               an empty list
 */
#include <stdlib.h>

#include "server/protocol_int.h"
#include "waymark/clock.h"

#include "waymark/banned.h"

/* ---- reading ---- */

struct parameter {
    struct wm_view name;
    struct wm_view value;
};

struct form {
    struct protocol_decoder d;
    struct parameter *parameters;
    size_t n;
};

static size_t count_parameters(struct wm_view text)
{
    size_t n = text.len ? 1 : 0;
    for (size_t i = 0; i < text.len; i++)
        n += text.ptr[i] == '&';
    return n;
}

/* A plus is a blank in a form body only. In a URL's query SigV4 signs it and %2B alike, so both must mean a plus, or
 * somebody on the way could turn one into the other under the same signature. */
static void form_add(struct form *f, struct wm_view text, bool plus_is_blank)
{
    while (text.len) {
        struct wm_view value = wm_view_split(&text, '&');
        struct wm_view name = wm_view_split(&value, '=');
        if (name.len == 0 && value.len == 0)
            continue;
        struct parameter *p = &f->parameters[f->n];
        if (!protocol_percent_decode(f->d.arena, name, plus_is_blank, &p->name) ||
            !protocol_percent_decode(f->d.arena, value, plus_is_blank, &p->value)) {
            protocol_malformed(&f->d, "A percent sign stands without two hex digits behind it");
            return;
        }
        f->n++;
    }
}

/* The value of exactly this name; WM_E_INVALID is noted when it stands there twice. */
static const struct parameter *form_get(struct form *f, struct wm_view name)
{
    const struct parameter *found = NULL;
    for (size_t i = 0; i < f->n; i++) {
        if (!wm_view_eq(f->parameters[i].name, name))
            continue;
        if (found)
            protocol_malformed(&f->d, "Parameter '%.*s' is given twice", WM_ARG(wm_view_sub(name, 0, 128)));
        found = &f->parameters[i];
    }
    return found;
}

/* Has any parameter this name or one below it? */
static bool form_has(const struct form *f, struct wm_view name)
{
    for (size_t i = 0; i < f->n; i++) {
        struct wm_view p = f->parameters[i].name;
        if (p.len >= name.len && memcmp(p.ptr, name.ptr, name.len) == 0 && (p.len == name.len || p.ptr[name.len] == '.'))
            return true;
    }
    return false;
}

/* One element of a list or map: its number, and the name up to that number. */
struct element {
    uint64_t number;
    struct wm_view name;
};

static int element_order(const void *a, const void *b)
{
    uint64_t x = ((const struct element *)a)->number, y = ((const struct element *)b)->number;
    return x < y ? -1 : x > y;
}

/* The elements below a name in the order of their numbers, each once. word: "member" or "entry". NULL: none. */
static struct element *form_elements(struct form *f, const struct protocol_place *at, struct wm_view name,
                                     const char *word, size_t *out_n)
{
    struct element *found = wm_arena_alloc(f->d.arena, (f->n + 1) * sizeof *found);
    size_t n = 0, kept = 0, word_len = strlen(word);
    for (size_t i = 0; found && i < f->n; i++) {
        struct wm_view p = f->parameters[i].name;
        if (p.len <= name.len || memcmp(p.ptr, name.ptr, name.len) != 0 || p.ptr[name.len] != '.')
            continue;
        struct wm_view rest = wm_view_sub(p, name.len + 1, p.len);
        size_t start = name.len + 1;
        if (wm_view_starts(rest, word) && rest.len > word_len && rest.ptr[word_len] == '.') {
            start += word_len + 1;
            rest = wm_view_sub(p, start, p.len);
        }
        struct wm_view digits = wm_view_split(&rest, '.');
        uint64_t number;
        if (wm_view_to_u64(digits, UINT32_MAX, &number) != WM_OK || number == 0 || digits.ptr[0] == '0') {
            protocol_bad_member(&f->d, at, "must be numbered from 1, as in %.*s.%s.1",
                                WM_ARG(wm_view_sub(name, 0, 128)), word);
            return NULL;
        }
        found[n++] = (struct element){number, wm_view_sub(p, 0, start + digits.len)};
    }
    if (n == 0)
        return NULL;
    qsort(found, n, sizeof *found, element_order);
    for (size_t i = 0; i < n; i++) {
        if (kept && found[kept - 1].number == found[i].number) {
            if (!wm_view_eq(found[kept - 1].name, found[i].name)) /* X.member.1 and X.1: which one counts? */
                protocol_malformed(&f->d, "Parameter '%.*s' is given twice",
                                   WM_ARG(wm_view_sub(found[i].name, 0, 128)));
            continue;
        }
        found[kept++] = found[i];
    }
    *out_n = kept;
    return found;
}

static void form_take(struct form *f, const struct protocol_place *up, const struct wm_member *rows,
                      struct wm_view prefix, struct wm_json *out);

static struct wm_json *form_list(struct form *f, const struct protocol_place *at, const struct wm_member *m,
                                 struct wm_view name)
{
    const struct wm_member element = protocol_element(m);
    struct wm_json *list = wm_json_new(f->d.arena, WM_JSON_ARRAY);
    size_t n = 0;
    struct element *elements = form_elements(f, at, name, "member", &n);
    for (size_t i = 0; elements && i < n; i++) {
        if (m->type == WM_MEMBER_STRUCT_LIST) {
            struct wm_json *fields = wm_json_new(f->d.arena, WM_JSON_OBJECT);
            form_take(f, at, m->fields, elements[i].name, fields);
            wm_json_push(list, fields);
            continue;
        }
        const struct parameter *p = form_get(f, elements[i].name);
        if (p)
            wm_json_push(list, protocol_from_text(&f->d, at, &element, p->value));
        else
            protocol_bad_member(&f->d, at, "must be a list of strings");
    }
    return list;
}

static struct wm_json *form_map(struct form *f, const struct protocol_place *at, struct wm_view name)
{
    struct wm_member element = {.name = "entry", .type = WM_MEMBER_STRING};
    struct wm_json *map = wm_json_new(f->d.arena, WM_JSON_OBJECT);
    size_t n = 0;
    struct element *elements = form_elements(f, at, name, "entry", &n);
    for (size_t i = 0; elements && i < n; i++) {
        const struct parameter *key = form_get(f, wm_arena_printf(f->d.arena, "%.*s.key", WM_ARG(elements[i].name)));
        const struct parameter *value =
            form_get(f, wm_arena_printf(f->d.arena, "%.*s.value", WM_ARG(elements[i].name)));
        if (!key || !value) {
            protocol_bad_member(&f->d, at, "must have a key and a value in each entry");
            continue;
        }
        struct wm_json *k = protocol_from_text(&f->d, at, &element, key->value);
        if (k && wm_json_get_view(map, k->text))
            protocol_bad_member(&f->d, at, "has a key twice");
        else if (k)
            wm_json_set_view(map, k->text, protocol_from_text(&f->d, at, &element, value->value));
    }
    return map;
}

static struct wm_json *form_member(struct form *f, const struct protocol_place *at, const struct wm_member *m,
                                   struct wm_view name)
{
    bool scalar = m->type == WM_MEMBER_STRING || m->type == WM_MEMBER_INTEGER || m->type == WM_MEMBER_BOOLEAN ||
                  m->type == WM_MEMBER_TIME;
    const struct parameter *p = form_get(f, name);
    if (scalar && p)
        return protocol_from_text(&f->d, at, m, p->value);
    if (scalar || (p && p->value.len)) { /* a scalar with something below it, or something else with a value */
        protocol_bad_member(&f->d, at, scalar ? "must be one value" : "must be a structure, not one value");
        return NULL;
    }
    if (m->type == WM_MEMBER_STRING_MAP)
        return protocol_counted(&f->d, at, m, form_map(f, at, name));
    if (m->type == WM_MEMBER_STRUCT) {
        struct wm_json *fields = wm_json_new(f->d.arena, WM_JSON_OBJECT);
        form_take(f, at, m->fields, name, fields);
        return fields;
    }
    return protocol_counted(&f->d, at, m, form_list(f, at, m, name));
}

static void form_take(struct form *f, const struct protocol_place *up, const struct wm_member *rows,
                      struct wm_view prefix, struct wm_json *out)
{
    for (const struct wm_member *m = rows; m && m->name; m++) {
        struct protocol_place at = {up, wm_view_of(m->name)};
        struct wm_view name = at.name;
        if (prefix.len)
            name = wm_arena_printf(f->d.arena, "%.*s.%s", WM_ARG(prefix), m->name);
        if (wm_arena_status(f->d.arena) != WM_OK)
            return;
        if (form_has(f, name))
            wm_json_set(out, m->name, form_member(f, &at, m, name));
        else if (m->required)
            protocol_bad_member(&f->d, &at, "is required");
    }
}

static enum wm_status query_decode(struct wm_arena *a, const struct wm_route *route,
                                   const struct wm_protocol_request *request, struct wm_json **out, struct wm_err *err)
{
    struct form f = {.d = {.arena = a, .err = err}};
    struct wm_json *params = wm_json_new(a, WM_JSON_OBJECT);
    struct wm_view body = wm_view_eq_str(request->method, "POST") ? request->body : WM_EMPTY;
    size_t n = count_parameters(body) + count_parameters(request->query);
    if (n > WM_PROTOCOL_MAX_FORM_PARAMETERS)
        return wm_fail(err, WM_E_INVALID, "The request has %zu parameters; at most %u are taken", n,
                       WM_PROTOCOL_MAX_FORM_PARAMETERS);
    f.parameters = wm_arena_alloc(a, (n + 1) * sizeof *f.parameters);
    if (f.parameters) {
        form_add(&f, body, true);
        form_add(&f, request->query, false);
    }
    if (wm_arena_status(a) == WM_OK && f.d.status == WM_OK) {
        /* What was routed by must be what is meant: named once, and not once more under another spelling. */
        const struct parameter *action = form_get(&f, WM_LIT("Action"));
        (void)form_get(&f, WM_LIT("Version")); /* notes when it stands there twice */
        if (!action || !wm_view_eq_str(action->value, route->operation->name))
            protocol_malformed(&f.d, "Parameter 'Action' is ambiguous");
        form_take(&f, NULL, route->operation->input, WM_EMPTY, params);
    }
    return protocol_finish(&f.d, params, out);
}

/* ---- writing ---- */

/* XML 1.0 section 2.2: most control characters and the non-characters cannot be written at all; invalid UTF-8 neither. */
static void write_text(struct wm_buf *out, struct wm_view text)
{
    static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */
    for (size_t i = 0; i < text.len;) {
        unsigned char c = (unsigned char)text.ptr[i];
        size_t n = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
        struct wm_view one = wm_view_sub(text, i, i + n);
        if (c == '&')
            wm_buf_add_str(out, "&amp;");
        else if (c == '<')
            wm_buf_add_str(out, "&lt;");
        else if (c == '>')
            wm_buf_add_str(out, "&gt;");
        else if (c == '\r')
            wm_buf_add_str(out, "&#13;"); /* a bare one is read as a line feed (section 2.11) */
        else if ((c < 0x20 && c != '\t' && c != '\n') || wm_view_eq_str(one, "\xef\xbf\xbe") ||
                 wm_view_eq_str(one, "\xef\xbf\xbf"))
            wm_buf_add_str(out, replacement);
        else if (one.len == n && wm_view_is_utf8(one))
            wm_buf_add_view(out, one);
        else {
            wm_buf_add_str(out, replacement);
            n = 1;
        }
        i += n;
    }
}

static void write_tag(struct wm_buf *out, const char *open, struct wm_view name)
{
    wm_buf_add_str(out, open);
    wm_buf_add_view(out, name);
    wm_buf_add_char(out, '>');
}

/* An element's content. Lists are <member>s; objects are taken for structures, since no output here holds a map. */
static void write_value(struct wm_buf *out, const struct wm_json *v)
{
    switch (v->type) {
    case WM_JSON_NULL:
    case WM_JSON_RAW: /* finished JSON has no place in XML, and no handler of a query service builds it */
        return;
    case WM_JSON_BOOL:
        wm_buf_add_str(out, v->boolean ? "true" : "false");
        return;
    case WM_JSON_NUMBER:
        wm_buf_add_view(out, v->text);
        return;
    case WM_JSON_STRING:
        write_text(out, v->text);
        return;
    case WM_JSON_TIME: {
        char text[WM_TIME_ISO_BYTES];
        wm_time_iso((struct wm_wall_ns){v->time_ms * WM_NS_PER_MS}, text);
        if (v->time_ms % 1000)
            wm_buf_addf(out, "%.19s.%03dZ", text, (int)(v->time_ms % 1000));
        else
            wm_buf_add_str(out, text);
        return;
    }
    case WM_JSON_ARRAY:
    case WM_JSON_OBJECT:
        for (const struct wm_json *e = v->first; e; e = e->next) {
            struct wm_view name = v->type == WM_JSON_ARRAY ? WM_LIT("member") : e->key;
            if (e->type == WM_JSON_NULL)
                continue; /* absent */
            write_tag(out, "<", name);
            write_value(out, e); /* as deep as what a handler built */
            write_tag(out, "</", name);
        }
        return;
    }
}

static void query_encode(const struct wm_route *route, const struct wm_json *document, struct wm_view request_id,
                         struct wm_buf *out)
{
    const char *name = route->operation->name;
    wm_buf_addf(out, "<%sResponse xmlns=\"%s\">", name, route->service->query_xmlns);
    if (document) {
        wm_buf_addf(out, "<%sResult>", name);
        write_value(out, document);
        wm_buf_addf(out, "</%sResult>", name);
    }
    wm_buf_add_str(out, "<ResponseMetadata><RequestId>");
    write_text(out, request_id);
    wm_buf_addf(out, "</RequestId></ResponseMetadata></%sResponse>", name);
}

static void query_encode_error(const struct wm_route *route, const char *code, int http_status,
                               struct wm_view message, struct wm_view request_id, struct wm_buf *out)
{
    wm_buf_add_str(out, "<ErrorResponse");
    if (route->service && route->service->query_xmlns)
        wm_buf_addf(out, " xmlns=\"%s\"", route->service->query_xmlns);
    wm_buf_addf(out, "><Error><Type>%s</Type><Code>", http_status >= 500 ? "Receiver" : "Sender");
    write_text(out, wm_view_of(code));
    wm_buf_add_str(out, "</Code><Message>");
    write_text(out, message.len ? message : wm_view_of(code));
    wm_buf_add_str(out, "</Message></Error><RequestId>");
    write_text(out, request_id);
    wm_buf_add_str(out, "</RequestId></ErrorResponse>");
}

/* AWS STS and IAM API references, "Common errors". */
static const char *query_refusal(enum wm_refusal why, int *out_http_status)
{
    static const struct {
        const char *name;
        int status;
    } refusals[WM_REFUSE_COUNT] = {
        [WM_REFUSE_UNKNOWN_OPERATION] = {"InvalidAction", 400},
        [WM_REFUSE_MISSING_AUTHENTICATION] = {"MissingAuthenticationToken", 403},
        [WM_REFUSE_INCOMPLETE_SIGNATURE] = {"IncompleteSignature", 403},
        [WM_REFUSE_SIGNATURE] = {"SignatureDoesNotMatch", 403},
        [WM_REFUSE_EXPIRED] = {"SignatureDoesNotMatch", 403},
        [WM_REFUSE_UNKNOWN_KEY] = {"InvalidClientTokenId", 403},
        [WM_REFUSE_EXPIRED_TOKEN] = {"ExpiredToken", 403},
        [WM_REFUSE_DENIED] = {"AccessDenied", 403},
        [WM_REFUSE_MALFORMED_BODY] = {"MalformedQueryString", 400},
        [WM_REFUSE_BODY_TOO_LARGE] = {"RequestEntityTooLarge", 413},
        [WM_REFUSE_TOO_SLOW] = {"RequestTimeout", 408},
        [WM_REFUSE_THROTTLED] = {"Throttling", 429},
        [WM_REFUSE_UNAVAILABLE] = {"ServiceUnavailable", 503},
        [WM_REFUSE_INTERNAL] = {"InternalFailure", 500},
    };
    WM_ASSERT((unsigned)why < WM_REFUSE_COUNT);
    *out_http_status = refusals[why].status;
    return refusals[why].name;
}

const struct wm_protocol wm_protocol_query = {
    .name = "awsQuery",
    .content_type = "text/xml",
    .decode = query_decode,
    .encode = query_encode,
    .encode_error = query_encode_error,
    .error_header = NULL,
    .refusal = query_refusal,
};
