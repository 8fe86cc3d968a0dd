#include "waymark/service.h"

#include <stdarg.h>
#include <stdio.h>

#include "waymark/banned.h"

/* Longest error message handed to a caller; longer ones are cut. The record keeps 1 KB of it. */
#define MESSAGE_BYTES 1024u

enum wm_status wm_reply_error(struct wm_call *c, struct wm_reply *r, const char *code, int http_status, const char *fmt,
                              ...)
{
    char text[MESSAGE_BYTES];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args); /* cut when long */
    va_end(args);
    r->n_changes = 0;
    r->document = NULL;
    r->error_code = code;
    r->http_status = http_status;
    r->error_message = wm_arena_copy(c->arena, wm_view_of(text));
    return WM_OK;
}

void wm_reply_change(struct wm_reply *r, struct wm_view kind, struct wm_view id, struct wm_view document)
{
    WM_ASSERT(r->n_changes < WM_MAX_CHANGES);
    r->changes[r->n_changes++] = (struct wm_change){.kind = kind, .id = id, .document = document};
}

enum wm_status wm_reply_keep(struct wm_call *c, struct wm_reply *r, struct wm_view kind, struct wm_view id,
                             const struct wm_json *document)
{
    struct wm_buf text;
    enum wm_status status = wm_arena_status(c->arena); /* what it is built of may be missing */
    if (status != WM_OK)
        return status;
    wm_buf_init(&text, WM_MAX_DOCUMENT_BYTES);
    wm_json_write(&text, document);
    status = wm_buf_status(&text);
    if (status == WM_OK) {
        struct wm_view copy = wm_arena_copy(c->arena, wm_buf_view(&text));
        status = wm_arena_status(c->arena);
        if (status == WM_OK)
            wm_reply_change(r, kind, id, copy);
    }
    wm_buf_done(&text);
    return status;
}

/* ---- permission ---- */

enum wm_status wm_service_demands(const struct wm_service *service, struct wm_call *c, struct wm_demands *out)
{
    struct wm_view own = wm_arena_printf(c->arena, "%s:%s", service->signing_name, c->operation->name);
    out->n = 0;
    out->request_tags = out->tag_keys = NULL;
    enum wm_status status = c->operation->demands ? c->operation->demands(c, out) : WM_OK;
    if (status != WM_OK)
        return status;
    if (out->n == 0)
        (void)wm_demand_add(out, own, WM_EMPTY); /* the caller looks at all of them */
    for (size_t i = 0; i < out->n; i++)
        if (!out->all[i].action.len)
            out->all[i].action = own;
    return wm_arena_status(c->arena);
}

/* ---- forms ---- */

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool wm_text_only(struct wm_view text, const char *marks)
{
    for (size_t i = 0; i < text.len; i++)
        if (!is_alnum(text.ptr[i]) && (text.ptr[i] == '\0' || !strchr(marks, text.ptr[i])))
            return false;
    return true;
}

/* ---- redaction ---- */

static bool is_upper(struct wm_view name)
{
    return name.len && name.ptr[0] >= 'A' && name.ptr[0] <= 'Z';
}

/* "S3BucketName" is s3BucketName in a record (cloudtrail.md 2.2). */
static struct wm_view record_name(struct wm_arena *a, struct wm_view name)
{
    if (!is_upper(name))
        return name;
    char *copy = wm_arena_alloc(a, name.len);
    if (!copy)
        return WM_EMPTY;
    memcpy(copy, name.ptr, name.len);
    copy[0] = (char)(copy[0] - 'A' + 'a');
    return (struct wm_view){copy, name.len};
}

static struct wm_json *marker(struct wm_arena *a, const struct wm_service *service)
{
    struct wm_json *v = wm_json_new(a, WM_JSON_STRING);
    if (v)
        v->text = wm_view_of(service->redaction);
    return v;
}

static struct wm_json *redact_members(struct wm_arena *a, const struct wm_service *service,
                                      const struct wm_member *rows, const struct wm_json *object);

static struct wm_json *redact_member(struct wm_arena *a, const struct wm_service *service, const struct wm_member *m,
                                     const struct wm_json *value)
{
    if (m->secret)
        return marker(a, service);
    if (m->type == WM_MEMBER_STRUCT)
        return redact_members(a, service, m->fields, value);
    if (m->type != WM_MEMBER_STRUCT_LIST)
        return wm_json_clone(a, value);
    struct wm_json *list = wm_json_new(a, WM_JSON_ARRAY);
    for (const struct wm_json *e = value->first; e; e = e->next)
        wm_json_push(list, redact_members(a, service, m->fields, e));
    return list;
}

/* Goes by the rows, so that what no row names cannot reach a record. */
static struct wm_json *redact_members(struct wm_arena *a, const struct wm_service *service,
                                      const struct wm_member *rows, const struct wm_json *object)
{
    struct wm_json *copy = wm_json_new(a, WM_JSON_OBJECT);
    for (const struct wm_member *m = rows; m && m->name; m++) {
        const struct wm_json *value = wm_json_get(object, m->name);
        if (value)
            wm_json_set_view(copy, record_name(a, wm_view_of(m->name)), redact_member(a, service, m, value));
    }
    return copy;
}

struct wm_json *wm_service_redact_params(struct wm_arena *a, const struct wm_service *service,
                                         const struct wm_operation *operation, const struct wm_json *params)
{
    if (!params || params->count == 0)
        return NULL;
    struct wm_json *copy = redact_members(a, service, operation->input, params);
    return copy && copy->count ? copy : NULL;
}

/* Replace what a dotted path names, in every element of the lists on the way. */
static void redact_path(struct wm_arena *a, const struct wm_service *service, struct wm_json *v, struct wm_view path)
{
    if (!v)
        return;
    if (v->type == WM_JSON_ARRAY) {
        for (struct wm_json *e = v->first; e; e = e->next)
            redact_path(a, service, e, path);
        return;
    }
    struct wm_view rest = path;
    struct wm_json *member = wm_json_get_view(v, wm_view_split(&rest, '.'));
    if (!member)
        return;
    if (rest.ptr) {
        redact_path(a, service, member, rest);
        return;
    }
    struct wm_json secret = {.type = WM_JSON_STRING, .text = wm_view_of(service->redaction)};
    secret.key = member->key;
    secret.next = member->next;
    *member = secret;
}

/*
 * Names in an output have no table. AWS's services with names in upper case have no maps in what they answer here, so
 * everything below such a name is a member name too; below a name in lower case, as in MediaPackage's tags, a key may
 * be the caller's own and is left alone.
 */
static void lower_names(struct wm_arena *a, struct wm_json *v)
{
    for (struct wm_json *e = v->first; e; e = e->next) {
        if (v->type == WM_JSON_OBJECT && !is_upper(e->key))
            continue;
        if (v->type == WM_JSON_OBJECT)
            e->key = record_name(a, e->key);
        lower_names(a, e);
    }
}

struct wm_json *wm_service_redact_output(struct wm_arena *a, const struct wm_service *service,
                                         const struct wm_operation *operation, const struct wm_json *document)
{
    struct wm_json *copy = wm_json_clone(a, document);
    for (const char *const *path = operation->secret_output; copy && path && *path; path++)
        redact_path(a, service, copy, wm_view_of(*path));
    if (!copy || copy->count == 0)
        return NULL;
    lower_names(a, copy);
    return copy;
}

struct wm_view wm_service_error_code(struct wm_arena *a, const struct wm_service *service, const char *code)
{
    for (const char *const *e = service ? service->exceptions : NULL; code && e && *e; e++)
        if (strcmp(*e, code) == 0)
            return wm_arena_printf(a, "%sException", code);
    return wm_view_of(code);
}

/* ---- what was not given ---- */

static struct wm_json *initial_value(struct wm_arena *a, const struct wm_member *m)
{
    struct wm_json *value = NULL;
    if (m->initial) {
        enum wm_status status = wm_json_parse(a, wm_view_of(m->initial), &value, NULL);
        WM_ASSERT(status != WM_E_INVALID && status != WM_E_LIMIT); /* it is a literal of ours */
    }
    return value;
}

static struct wm_json *complete_member(struct wm_arena *a, const struct wm_member *m, const struct wm_json *value)
{
    if (m->type == WM_MEMBER_STRUCT)
        return wm_service_complete(a, m->fields, value);
    if (m->type != WM_MEMBER_STRUCT_LIST)
        return wm_json_clone(a, value);
    struct wm_json *list = wm_json_new(a, WM_JSON_ARRAY);
    for (const struct wm_json *e = value->first; e; e = e->next)
        wm_json_push(list, wm_service_complete(a, m->fields, e));
    return list;
}

struct wm_json *wm_service_complete(struct wm_arena *a, const struct wm_member *rows, const struct wm_json *given)
{
    struct wm_json *whole = wm_json_new(a, WM_JSON_OBJECT);
    for (const struct wm_member *m = rows; m && m->name; m++) {
        const struct wm_json *value = wm_json_get(given, m->name);
        if (!value)
            value = initial_value(a, m);
        if (value)
            wm_json_set(whole, m->name, complete_member(a, m, value));
    }
    return whole;
}
