/* What the journal gets of a call: its names, its record, its entry. */
#include "server/dispatch_int.h"

#include "waymark/bounds.h"
#include "waymark/record.h"

#include "waymark/banned.h"

/* ---- names ---- */

/* The name under which an unknown operation is recorded: what was asked for, if it looks like a name at all. */
static struct wm_view operation_name(struct wm_view asked)
{
    if (asked.len == 0 || asked.len > 128)
        return WM_LIT("UnknownOperation");
    for (size_t i = 0; i < asked.len; i++) {
        char c = asked.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')))
            return WM_LIT("UnknownOperation");
    }
    return asked;
}

/* A service that we do not have is recorded under the name that the signature's scope gives it. */
static struct wm_view event_source(struct dispatch *p, struct wm_arena *a)
{
    if (p->r->route.service)
        return wm_view_of(p->r->route.service->event_source);
    struct wm_view name = p->claim.service;
    bool plausible = name.len > 0 && name.len <= 64;
    for (size_t i = 0; plausible && i < name.len; i++) {
        char c = name.ptr[i];
        plausible = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    }
    if (!plausible)
        name = WM_LIT("unknown");
    return wm_arena_printf(a, "%.*s.amazonaws.com", WM_ARG(name));
}

/* Keep a text, cut to what there is room for, in bytes that live as long as the request. */
static struct wm_view keep(struct wm_view text, char *to, size_t room)
{
    text = wm_view_sub(text, 0, room);
    if (text.len)
        memcpy(to, text.ptr, text.len);
    return (struct wm_view){to, text.len};
}

void dispatch_name(struct dispatch *p)
{
    struct wm_request *r = p->r;
    const struct wm_operation *operation = r->route.operation;
    p->call.operation = operation;
    r->event_name = operation ? wm_view_of(operation->name)
                              : keep(operation_name(r->route.operation_name), r->asked, sizeof r->asked);
    if (p->call.identity.type != WM_IDENTITY_UNKNOWN) {
        r->principal = p->call.identity.arn;
        return;
    }
    r->principal = p->call.identity.access_key_id =
        keep(p->call.identity.access_key_id, r->claimed_key, sizeof r->claimed_key);
}

/* ---- the entry ---- */

/*
 * Append the entry. A call that let go of the lock may have been overtaken by one that changed what its caller may do: it
 * must not stand behind that with what he had before. Root's permissions never change.
 */
static enum wm_status append(struct dispatch *p, const struct wm_entry *entry)
{
    struct wm_request *r = p->r;
    if (p->locked || !r->caller || r->caller->everything)
        return wm_recorder_submit(p->d->recorder, entry, &r->seq, &p->why);
    enum wm_status status = WM_E_INVALID;
    wm_state_lock(p->call.state);
    p->overtaken = !wm_auth_is_current(p->d->auth, r->caller);
    if (!p->overtaken)
        status = wm_recorder_submit(p->d->recorder, entry, &r->seq, &p->why);
    wm_state_unlock(p->call.state);
    return status;
}

enum wm_status dispatch_record(struct dispatch *p, struct wm_arena *a, const struct wm_json *params)
{
    struct wm_request *r = p->r;
    const struct wm_service *service = r->route.service;
    const struct wm_operation *operation = r->route.operation;
    bool failed = p->reply.error_code != NULL;
    char event_id[WM_UUID_BYTES];
    wm_uuid(event_id);

    struct wm_record record = {
        .identity = p->call.identity,
        .event_time = p->call.now,
        .event_source = event_source(p, a),
        .event_name = r->event_name,
        .region = p->d->env->region,
        .source_ip = r->source_ip,
        .user_agent = wm_request_header(r, "user-agent"),
        .error_code = wm_service_error_code(a, service, p->reply.error_code),
        .error_message = failed ? p->reply.error_message : WM_EMPTY,
        .request_id = WM_LIT(r->request_id),
        .event_id = WM_LIT(event_id),
        .api_version = service ? wm_view_of(service->api_version) : WM_EMPTY,
        .account_id = p->d->env->account_id,
        .read_only = operation && operation->read_only,
    };
    if (operation && params)
        record.request_parameters = wm_service_redact_params(a, service, operation, params);
    if (operation && (!operation->read_only || operation->gives_access) && !failed)
        record.response_elements = wm_service_redact_output(a, service, operation, p->reply.document);
    if (!operation) {
        struct wm_json *asked = wm_json_new(a, WM_JSON_OBJECT);
        wm_json_set_string(a, asked, "httpMethod", r->method);
        wm_json_set_string(a, asked, "path", wm_view_sub(r->path, 0, WM_MAX_RECORD_TEXT_BYTES));
        record.additional_event_data = asked;
    }
    enum wm_status status = wm_arena_status(a);
    wm_buf_clear(&r->record); /* of one that was not appended, and says something else */
    if (status == WM_OK)
        status = wm_record_encode(&record, &r->record);
    if (status != WM_OK)
        return wm_fail(&p->why, status, "no memory for the record");

    const struct wm_entry entry = {
        .time = record.event_time,
        .flags = (uint16_t)((record.read_only ? WM_ENTRY_READ_ONLY : 0) | (failed ? WM_ENTRY_REFUSED : 0)),
        .event_source = record.event_source,
        .event_name = record.event_name,
        .principal = r->principal,
        .record = wm_buf_view(&r->record),
        .changes = p->reply.changes,
        .n_changes = p->reply.n_changes,
    };
    return append(p, &entry);
}
