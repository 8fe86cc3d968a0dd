#include "server/dispatch.h"

#include "waymark/bounds.h"
#include "waymark/record.h"
#include "waymark/trail_name.h"

#include "waymark/banned.h"

/* For the record of a call without parameters: its event source and what it asked for. */
#define SPARE_ARENA_BYTES (64u * 1024u)

/* What one call needs while it is worked off. */
struct dispatch {
    const struct wm_dispatcher *d;
    struct wm_request *r;
    struct wm_sigv4_claim claim;
    struct wm_protocol_request request;
    struct wm_call call;
    struct wm_reply reply;
    struct wm_json *params; /* NULL until decoded */
    struct wm_err why;      /* why it could not be recorded */
};

/* Refuse by the name that the caller's protocol has for it. */
static void dispatch_refuse(struct dispatch *p, enum wm_refusal why, struct wm_view message)
{
    p->reply.document = NULL;
    p->reply.n_changes = 0;
    p->reply.error_code = p->r->route.protocol->refusal(why, &p->reply.http_status);
    p->reply.error_message = message;
}

static enum wm_refusal refusal_of_signature(enum wm_sigv4_result result)
{
    switch (result) {
    case WM_SIGV4_MISSING:
        return WM_REFUSE_MISSING_AUTHENTICATION;
    case WM_SIGV4_INCOMPLETE:
        return WM_REFUSE_INCOMPLETE_SIGNATURE;
    case WM_SIGV4_EXPIRED:
    case WM_SIGV4_NOT_YET:
        return WM_REFUSE_EXPIRED;
    case WM_SIGV4_UNKNOWN_KEY:
        return WM_REFUSE_UNKNOWN_KEY;
    case WM_SIGV4_WRONG_SCOPE:
    case WM_SIGV4_PAYLOAD_MISMATCH:
    case WM_SIGV4_MISMATCH:
    case WM_SIGV4_OK:
        break;
    }
    return WM_REFUSE_SIGNATURE;
}

/* Read the claim and the route off the request; then prove the claim. True when the caller is known. */
static bool dispatch_authenticate(struct dispatch *p, struct wm_sigv4_cache *cache)
{
    struct wm_request *r = p->r;
    char message[256], hash[WM_SHA256_HEX_BYTES];
    const struct wm_sigv4_request signed_request = wm_request_as_signed(r, hash);
    enum wm_sigv4_result result = wm_sigv4_parse(&signed_request, &p->claim, message);
    p->call.identity = (struct wm_identity){.type = WM_IDENTITY_UNKNOWN, .access_key_id = p->claim.access_key_id};
    wm_protocol_route(&r->arena, p->d->services, p->d->n_services, &p->request, p->claim.service, &r->route);

    if (r->refused) { /* its body is not here, so nothing can be proven */
        static const char *const messages[WM_REFUSE_COUNT] = {
            [WM_REFUSE_BODY_TOO_LARGE] = "The request body is larger than this server takes (http.max_body_bytes)",
            [WM_REFUSE_TOO_SLOW] = "The request did not arrive whole in time (http.request_timeout)",
        };
        dispatch_refuse(p, r->refusal, wm_view_of(messages[r->refusal]));
        return false;
    }
    if (result == WM_SIGV4_OK) {
        const struct wm_service *service = r->route.service;
        uint8_t sha[WM_SHA256_BYTES];
        wm_sha256(r->body.data, r->body.len, sha);
        wm_hex(sha, sizeof sha, hash);
        result = wm_auth_identify(p->d->auth, cache, &signed_request, &p->claim,
                                  service ? wm_view_of(service->signing_name) : WM_EMPTY, p->call.now,
                                  &p->call.identity, message);
    }
    if (result != WM_SIGV4_OK)
        dispatch_refuse(p, refusal_of_signature(result), wm_arena_copy(&r->arena, wm_view_of(message)));
    return result == WM_SIGV4_OK;
}

/* Find the operation and decode its parameters. True when it can run. */
static bool dispatch_decode(struct dispatch *p)
{
    const struct wm_route *route = &p->r->route;
    struct wm_err err;
    if (!route->operation) {
        dispatch_refuse(p, WM_REFUSE_UNKNOWN_OPERATION, WM_LIT("This server has no such operation"));
        return false;
    }
    p->reply.http_status = route->operation->http_status;
    switch (route->protocol->decode(&p->r->arena, route, &p->request, &p->params, &err)) {
    case WM_OK:
        p->call.params = p->params;
        return true;
    case WM_E_INVALID:
        dispatch_refuse(p, WM_REFUSE_MALFORMED_BODY, wm_arena_copy(&p->r->arena, wm_view_of(err.message)));
        return false;
    case WM_E_LIMIT:
        p->reply.error_code = route->service->validation_error;
        p->reply.http_status = route->service->validation_status;
        p->reply.error_message = wm_arena_copy(&p->r->arena, wm_view_of(err.message));
        return false;
    default:
        dispatch_refuse(p, WM_REFUSE_INTERNAL, WM_LIT("The request needs more memory than one call may use"));
        return false;
    }
}

static void dispatch_write_reply(struct dispatch *p)
{
    struct wm_request *r = p->r;
    const struct wm_route *route = &r->route;
    struct wm_view request_id = WM_LIT(r->request_id);
    wm_buf_clear(&r->out);
    if (!p->reply.error_code)
        route->protocol->encode(route, p->reply.document, request_id, &r->out);
    else
        route->protocol->encode_error(route, p->reply.error_code, p->reply.http_status, p->reply.error_message,
                                      request_id, &r->out);
    r->status = p->reply.http_status;
    r->error_code = p->reply.error_code;
}

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

/* Build the record in memory of a, and append the entry; the state is locked if it has changes. */
static enum wm_status dispatch_record(struct dispatch *p, struct wm_arena *a)
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
        .error_code = wm_view_of(p->reply.error_code),
        .error_message = failed ? p->reply.error_message : WM_EMPTY,
        .request_id = WM_LIT(r->request_id),
        .event_id = WM_LIT(event_id),
        .api_version = service ? wm_view_of(service->api_version) : WM_EMPTY,
        .account_id = p->d->env->account_id,
        .read_only = operation && operation->read_only,
    };
    if (operation && p->params)
        record.request_parameters = wm_service_redact_params(a, service, operation, p->params);
    if (operation && !operation->read_only && !failed)
        record.response_elements = wm_service_redact_output(a, service, operation, p->reply.document);
    if (!operation) {
        struct wm_json *asked = wm_json_new(a, WM_JSON_OBJECT);
        wm_json_set_string(a, asked, "httpMethod", r->method);
        wm_json_set_string(a, asked, "path", wm_view_sub(r->path, 0, WM_MAX_RECORD_TEXT_BYTES));
        record.additional_event_data = asked;
    }
    enum wm_status status = wm_arena_status(a);
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
    return wm_recorder_submit(p->d->recorder, &entry, &r->seq, &p->why);
}

/* The call needs more memory than one may use: before anything took effect it is refused, and recorded like any other,
 * without its parameters. */
static enum wm_status dispatch_exhausted(struct dispatch *p)
{
    struct wm_arena spare;
    p->params = NULL;
    dispatch_refuse(p, WM_REFUSE_INTERNAL, WM_LIT("The request needs more memory than one call may use"));
    dispatch_write_reply(p);
    wm_arena_init(&spare, SPARE_ARENA_BYTES);
    enum wm_status status = p->d->record ? dispatch_record(p, &spare) : WM_OK;
    wm_arena_done(&spare);
    return status;
}

/* Recording is off, for measuring what it costs: the same effect, without an entry. */
static enum wm_status dispatch_apply(struct dispatch *p)
{
    if (p->reply.n_changes == 0)
        return WM_OK;
    enum wm_status status = wm_state_reserve(p->call.state, p->reply.changes, p->reply.n_changes, &p->why);
    if (status == WM_OK)
        wm_state_apply(p->call.state, p->reply.changes, p->reply.n_changes);
    return status;
}

static struct wm_protocol_request protocol_request(const struct wm_request *r)
{
    return (struct wm_protocol_request){
        .method = r->method,
        .path = r->path,
        .query = r->query,
        .content_type = wm_request_header(r, "content-type"),
        .target = wm_request_header(r, "x-amz-target"),
        .body = wm_buf_view(&r->body),
    };
}

void wm_dispatch_unavailable(const struct wm_dispatcher *d, struct wm_request *r)
{
    struct dispatch p = {.d = d, .r = r};
    if (!r->route.protocol) {
        const struct wm_protocol_request asked = protocol_request(r);
        wm_uuid(r->request_id);
        wm_protocol_route(&r->arena, d->services, d->n_services, &asked, WM_EMPTY, &r->route);
    }
    dispatch_refuse(&p, WM_REFUSE_UNAVAILABLE, WM_LIT("The call cannot be recorded at present, so it is not carried out"));
    dispatch_write_reply(&p);
    r->seq = 0;
}

/*
 * The call left no record. May its answer go all the same? Where the settings want that, of a caller who was proven, for
 * what cannot change anything, and while the journal is only full: there is no effect without a record in any case.
 */
static bool dispatch_may_answer(const struct dispatch *p, enum wm_status status)
{
    const struct wm_operation *operation = p->r->route.operation;
    bool full = status == WM_E_FULL || status == WM_E_IO || status == WM_E_DENIED;
    WM_ASSERT(!operation || !operation->read_only || p->reply.n_changes == 0);
    return full && p->d->answer_reads && operation && operation->read_only &&
           p->call.identity.type != WM_IDENTITY_UNKNOWN;
}

/* @param seen  every entry whose effect the answer may show: not to be told of before these are durable */
static void dispatch_unrecorded(struct dispatch *p, enum wm_status status, uint64_t seen)
{
    struct wm_recorder *recorder = p->d->recorder;
    struct wm_request *r = p->r;
    r->unrecorded = dispatch_may_answer(p, status) && wm_recorder_commit(recorder, seen, NULL) == WM_OK;
    if (p->d->record && status != WM_E_FAILED)
        wm_recorder_unrecorded(recorder, &p->why, r->unrecorded);
    if (!r->unrecorded)
        wm_dispatch_unavailable(p->d, r);
}

/* Who calls what, as record and log name it: bytes that live as long as the request, which p does not. */
static void dispatch_name(struct dispatch *p)
{
    struct wm_request *r = p->r;
    const struct wm_operation *operation = r->route.operation;
    p->call.operation = operation;
    r->event_name = operation ? wm_view_of(operation->name) : operation_name(r->route.operation_name);
    if (p->call.identity.type != WM_IDENTITY_UNKNOWN) {
        r->principal = p->call.identity.arn;
        return;
    }
    struct wm_view claimed = wm_view_sub(p->call.identity.access_key_id, 0, sizeof r->claimed_key); /* may be of any length */
    if (claimed.len)
        memcpy(r->claimed_key, claimed.ptr, claimed.len);
    r->principal = p->call.identity.access_key_id = (struct wm_view){r->claimed_key, claimed.len};
}

/* Write the reply and append the entry, which follows what the reply says, also when it must be a shorter one. */
static enum wm_status dispatch_finish(struct dispatch *p)
{
    struct wm_request *r = p->r;
    enum wm_status status = WM_E_NOMEM;
    dispatch_write_reply(p);
    if (wm_arena_status(&r->arena) == WM_OK && wm_buf_status(&r->out) == WM_OK)
        status = p->d->record ? dispatch_record(p, &r->arena) : dispatch_apply(p);
    if (status == WM_E_NOMEM)
        status = dispatch_exhausted(p);
    if (r->seq > 0)
        atomic_fetch_add_explicit(p->d->recorded, 1, memory_order_relaxed);
    return status;
}

/*
 * Operations that could take records away from a trail (the rows with `audit`), while the settings lock them: to nobody,
 * since whoever administrates here is whom the audit is about. In the form of IAM's own refusals (cloudtrail.md 2.6).
 * @return true: it may run
 */
static bool dispatch_unlocked(struct dispatch *p)
{
    const struct wm_operation *operation = p->r->route.operation;
    if (!p->d->env->audit_locked || !operation->audit)
        return true;
    const struct wm_service_env *env = p->d->env;
    struct wm_view trail = wm_view_sub(wm_json_get_text(p->params, operation->audit), 0, 256);
    if (!wm_view_starts(trail, "arn:"))
        trail = wm_arena_printf(&p->r->arena, "arn:%s:cloudtrail:%.*s:%.*s:trail/%.*s", wm_arn_partition(env->region),
                                WM_ARG(env->region), WM_ARG(env->account_id), WM_ARG(trail));
    p->reply.error_code = "AccessDeniedException";
    p->reply.http_status = 403;
    p->reply.error_message = wm_arena_printf(
        &p->r->arena, "User: %.*s is not authorized to perform: %s:%s on resource: %.*s with an explicit deny in the "
        "settings of this server (audit.locked)", WM_ARG(p->call.identity.arn), p->r->route.service->signing_name,
        operation->name, WM_ARG(trail));
    return false;
}

/*
 * Run the operation, if it was found and may run, and finish the call. A change takes effect where its entry stands in the
 * journal, so the state stays locked until it is appended. A call that changes nothing only has to stand behind what it has
 * seen, and that has been appended already.
 * @param out_seen  when it left no record: every entry whose effect it may have seen
 */
static enum wm_status dispatch_run(struct dispatch *p, bool runs, uint64_t *out_seen)
{
    struct wm_state *state = p->call.state;
    wm_state_lock(state);
    if (runs && p->call.operation->run(&p->call, &p->reply) != WM_OK)
        dispatch_refuse(p, WM_REFUSE_INTERNAL, WM_LIT("The operation failed inside the server"));
    bool changes = p->reply.n_changes > 0;
    if (!changes)
        wm_state_unlock(state);
    enum wm_status status = dispatch_finish(p);
    if (status != WM_OK)
        *out_seen = wm_journal_appended(p->d->recorder->journal);
    if (changes)
        wm_state_unlock(state);
    return status;
}

void wm_dispatch(const struct wm_dispatcher *d, struct wm_sigv4_cache *cache, struct wm_request *r)
{
    struct dispatch p = {
        .d = d,
        .r = r,
        .request = protocol_request(r),
        .call =
            {
                .env = d->env,
                .arena = &r->arena,
                .state = d->recorder->state,
                .now = wm_clock_wall(d->env->clock),
            },
        .reply = {.http_status = 200},
    };
    uint64_t seen = 0;
    wm_uuid(r->request_id);
    bool runs = dispatch_authenticate(&p, cache) && dispatch_decode(&p) && dispatch_unlocked(&p);
    dispatch_name(&p);
    if (d->record)
        wm_journal_await_room(d->recorder->journal); /* not under the lock, where an append waits for nothing */
    enum wm_status status = dispatch_run(&p, runs, &seen);
    if (status != WM_OK)
        dispatch_unrecorded(&p, status, seen);
    else
        r->unrecorded = r->seq == 0;
}
