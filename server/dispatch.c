#include "server/dispatch.h"

#include "server/source_ip.h"
#include "waymark/bounds.h"
#include "waymark/iam.h"
#include "waymark/record.h"

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
    struct wm_request_context context;
    struct wm_reply reply;
    struct wm_json *params; /* NULL until decoded */
    bool ran;               /* its handler has been called */
    bool locked;            /* the state is, and stays so until the entry is appended */
    bool overtaken;         /* not appended: the caller is not who he was when his permissions were looked at */
    bool noted;             /* the last change is not the operation's: it notes that the caller's key was used */
    struct wm_err why;      /* why it could not be recorded */
};

/* Refuse by the name that the caller's protocol has for it. */
static void dispatch_refuse(struct dispatch *p, enum wm_refusal why, struct wm_view message)
{
    p->reply.document = NULL;
    p->reply.n_changes = 0;
    p->noted = false;
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
    case WM_SIGV4_TOKEN_EXPIRED:
        return WM_REFUSE_EXPIRED_TOKEN;
    case WM_SIGV4_NOT_FOUND_OUT:
        return WM_REFUSE_INTERNAL;
    case WM_SIGV4_WRONG_SCOPE:
    case WM_SIGV4_PAYLOAD_MISMATCH:
    case WM_SIGV4_MISMATCH:
    case WM_SIGV4_OK:
        break;
    }
    return WM_REFUSE_SIGNATURE;
}

/* Has the source, or the principal, a call left? Else it is refused; true when the call may go on. */
static bool dispatch_admit(struct dispatch *p, enum wm_throttle_kind kind, struct wm_view who)
{
    const struct wm_throttle *throttle = p->d->throttle;
    if (!throttle)
        return true;
    int64_t wait_ns = wm_throttle_take(p->d->throttle, kind, who, wm_clock_mono(p->d->env->clock));
    if (wait_ns == 0)
        return true;
    p->r->retry_after_s = (wait_ns + WM_NS_PER_S - 1) / WM_NS_PER_S;
    dispatch_refuse(p, WM_REFUSE_THROTTLED,
                    wm_throttle_sentence(throttle, kind, who, p->r->retry_after_s, &p->r->arena));
    return false;
}

/* Who is calling, if anybody was proven to. */
static void dispatch_set_caller(struct dispatch *p)
{
    p->call.principal = p->r->caller;
    if (p->r->caller)
        p->call.identity = p->r->caller->identity;
    else
        p->call.identity = (struct wm_identity){.type = WM_IDENTITY_UNKNOWN, .access_key_id = p->claim.access_key_id};
}

static void dispatch_refuse_signature(struct dispatch *p, enum wm_sigv4_result result, const char *message)
{
    dispatch_refuse(p, refusal_of_signature(result), wm_arena_copy(&p->r->arena, wm_view_of(message)));
}

/* Read the claim and the route off the request; then prove the claim. True when the caller is known. */
static bool dispatch_authenticate(struct dispatch *p, struct wm_sigv4_cache *cache)
{
    struct wm_request *r = p->r;
    char message[256], hash[WM_SHA256_HEX_BYTES];
    const struct wm_sigv4_request signed_request = wm_request_as_signed(r, hash);
    enum wm_sigv4_result result = wm_sigv4_parse(&signed_request, &p->claim, message);
    dispatch_set_caller(p); /* nobody, so far */
    wm_protocol_route(&r->arena, p->d->services, p->d->n_services, &p->request, p->claim.service, &r->route);

    if (r->refused) { /* its body is not here, so nothing can be proven */
        static const char *const messages[WM_REFUSE_COUNT] = {
            [WM_REFUSE_BODY_TOO_LARGE] = "The request body is larger than this server takes (http.max_body_bytes)",
            [WM_REFUSE_TOO_SLOW] = "The request did not arrive whole in time (http.request_timeout)",
        };
        dispatch_refuse(p, r->refusal, wm_view_of(messages[r->refusal]));
        return false;
    }
    if (!dispatch_admit(p, WM_THROTTLE_SOURCE, r->source_ip)) /* before the work that it would cost */
        return false;
    if (result == WM_SIGV4_OK) {
        const struct wm_service *service = r->route.service;
        uint8_t sha[WM_SHA256_BYTES];
        wm_sha256(r->body.data, r->body.len, sha);
        wm_hex(sha, sizeof sha, hash);
        result = wm_auth_identify(p->d->auth, cache, &signed_request, &p->claim,
                                  service ? wm_view_of(service->signing_name) : WM_EMPTY, p->call.now, &r->caller,
                                  message);
    }
    if (result != WM_SIGV4_OK)
        dispatch_refuse_signature(p, result, message);
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

/*
 * May the caller do all that the call demands? Asked behind the decoding, because what is demanded follows from what was
 * asked for. So who may not call an operation is told all the same what is wrong with his own parameters, from which he
 * learns nothing of ours. AWS's services have it in either order [undocumented].
 */
static bool dispatch_permit(struct dispatch *p)
{
    struct wm_call *c = &p->call;
    struct wm_demands demands;
    struct wm_decided decided;
    const struct wm_access access = {
        .arena = c->arena, .principal = c->principal, .context = c->context, .demands = &demands};
    if (c->principal->everything || c->operation->no_demands)
        return true;
    enum wm_status status = wm_service_demands(p->r->route.service, c, &demands);
    if (status == WM_OK)
        status = wm_authorize(&access, &decided);
    if (status == WM_OK && decided.decision == WM_DECIDED_ALLOWED)
        return true;
    if (status == WM_OK)
        dispatch_refuse(p, WM_REFUSE_DENIED, wm_authorize_message(&access, &decided));
    else
        dispatch_refuse(p, WM_REFUSE_INTERNAL, WM_LIT("The operation failed inside the server"));
    return false;
}

/*
 * What could take records away from a trail, while the settings lock it: before any policy, and to root as well, since
 * whoever administrates here is whom the audit is about.
 * @return true: it may run, as far as that goes
 */
static bool dispatch_unlocked(struct dispatch *p)
{
    struct wm_call *c = &p->call;
    struct wm_demands demands;
    if (!c->env->audit_locked || !c->operation->audit)
        return true;
    const struct wm_access access = {
        .arena = c->arena, .principal = c->principal, .context = c->context, .demands = &demands};
    const struct wm_decided locked = {.decision = WM_DECIDED_DENIED_SETTINGS, .demand = &demands.all[0]};
    if (wm_service_demands(p->r->route.service, c, &demands) == WM_OK)
        dispatch_refuse(p, WM_REFUSE_DENIED, wm_authorize_message(&access, &locked));
    else
        dispatch_refuse(p, WM_REFUSE_INTERNAL, WM_LIT("The operation failed inside the server"));
    return false;
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

/*
 * Append the entry. A call that let go of the lock may have been overtaken by one that changed what its caller may do: it
 * must not stand behind that with what he had before. Root's permissions never change.
 */
static enum wm_status dispatch_append(struct dispatch *p, const struct wm_entry *entry)
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
        .error_code = wm_service_error_code(a, service, p->reply.error_code),
        .error_message = failed ? p->reply.error_message : WM_EMPTY,
        .request_id = WM_LIT(r->request_id),
        .event_id = WM_LIT(event_id),
        .api_version = service ? wm_view_of(service->api_version) : WM_EMPTY,
        .account_id = p->d->env->account_id,
        .read_only = operation && operation->read_only,
    };
    if (operation && p->params)
        record.request_parameters = wm_service_redact_params(a, service, operation, p->params);
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
    return dispatch_append(p, &entry);
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
    WM_ASSERT(!operation || !operation->read_only || p->reply.n_changes == p->noted);
    return full && p->d->answer_reads && operation && operation->read_only && !operation->gives_access &&
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

/* Keep a text, cut to what there is room for, in bytes that live as long as the request. */
static struct wm_view keep(struct wm_view text, char *to, size_t room)
{
    text = wm_view_sub(text, 0, room);
    if (text.len)
        memcpy(to, text.ptr, text.len);
    return (struct wm_view){to, text.len};
}

/* Who calls what, as record and log name it: for as long as the request lives, which is longer than p and the headers. */
static void dispatch_name(struct dispatch *p)
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

/* The call as folding looks at it: it was refused before it ran, and not for what the server could not do (5xx), which says
 * something of the server. */
static bool dispatch_refused(const struct dispatch *p, uint8_t network[WM_IP_BYTES], struct wm_refused_call *out)
{
    const struct wm_request *r = p->r;
    bool proven = p->call.identity.type != WM_IDENTITY_UNKNOWN;
    if (p->ran || !p->d->record || p->reply.http_status >= 500)
        return false;
    if (proven && r->route.operation && r->route.operation->audit)
        return false; /* whoever is known and reaches for the audit itself is recorded each time */
    bool known = wm_ip_network(r->source_ip, network);
    *out = (struct wm_refused_call){
        .source = r->source_ip,
        .network = known ? (struct wm_view){(const char *)network, WM_IP_BYTES} : WM_EMPTY,
        .principal = r->principal,
        .proven = proven,
        .event_source = r->route.service ? wm_view_of(r->route.service->event_source) : WM_EMPTY,
        .event_name = r->event_name,
        .error_code = wm_view_of(p->reply.error_code),
    };
    return true;
}

/* One of a flood that is only counted, and leaves no entry. Not when something is to be noted with its entry. */
static bool dispatch_fold(struct dispatch *p)
{
    struct wm_refused_call call;
    uint8_t network[WM_IP_BYTES];
    p->r->folded = p->reply.n_changes == 0 && dispatch_refused(p, network, &call) && wm_recorder_fold(p->d->recorder, &call);
    if (p->r->folded) {
        p->r->behind = wm_journal_appended(p->d->recorder->journal);
        atomic_fetch_add_explicit(p->d->folded, 1, memory_order_relaxed);
    }
    return p->r->folded;
}

/* It was recorded: what repeats it may be folded. */
static void dispatch_fold_begin(const struct dispatch *p)
{
    struct wm_refused_call call;
    uint8_t network[WM_IP_BYTES];
    if (dispatch_refused(p, network, &call))
        wm_recorder_fold_begin(p->d->recorder, &call);
}

/* Write the reply and append the entry, if it is to have one. It follows what the reply says, also when that must be a shorter
 * one. */
static enum wm_status dispatch_finish(struct dispatch *p)
{
    struct wm_request *r = p->r;
    enum wm_status status = WM_E_NOMEM;
    dispatch_write_reply(p);
    if (wm_arena_status(&r->arena) == WM_OK && wm_buf_status(&r->out) == WM_OK) {
        if (dispatch_fold(p))
            return WM_OK;
        status = p->d->record ? dispatch_record(p, &r->arena) : dispatch_apply(p);
    }
    if (status == WM_E_NOMEM)
        status = dispatch_exhausted(p);
    if (r->seq > 0) {
        atomic_fetch_add_explicit(p->d->recorded, 1, memory_order_relaxed);
        dispatch_fold_begin(p);
    }
    return status;
}

/* Is who has proven to be calling still who he was, now that the call has its place among all others? */
static bool dispatch_confirm(struct dispatch *p)
{
    char message[256];
    const struct wm_principal *before = p->r->caller;
    if (!before)
        return false;
    enum wm_sigv4_result result = wm_auth_confirm(p->d->auth, &p->claim, p->call.now, &p->r->caller, message);
    if (p->r->caller != before) {
        dispatch_set_caller(p);
        dispatch_name(p);
    }
    if (result != WM_SIGV4_OK)
        dispatch_refuse_signature(p, result, message);
    return result == WM_SIGV4_OK;
}

static bool reply_changes(const struct wm_reply *r, const struct wm_change *place)
{
    for (size_t i = 0; i < r->n_changes; i++)
        if (wm_view_eq(r->changes[i].kind, place->kind) && wm_view_eq(r->changes[i].id, place->id))
            return true;
    return false;
}

/* The use of the caller's key goes with the call's own entry, whatever became of the call; unless what it did was to
 * delete that key, or role, and what is known of it. */
static void dispatch_note_use(struct dispatch *p)
{
    const struct wm_service *service = p->r->route.service;
    struct wm_change use;
    if (p->r->caller && service && p->reply.n_changes < WM_MAX_CHANGES &&
        wm_auth_note_use(p->d->auth, p->r->caller, wm_view_of(service->signing_name), p->call.now, p->call.arena, &use) &&
        !reply_changes(&p->reply, &use)) {
        wm_reply_change(&p->reply, use.kind, use.id, use.document);
        p->noted = true;
    }
}

/*
 * Run the operation, if it was found and may run, and finish the call. What decides whether it may run is read under the
 * same lock, so that a permission which was taken away in an entry before this one is gone. A change takes effect where its
 * entry stands in the journal, so the state stays locked until it is appended. A call that changes nothing only has to stand
 * behind what it has seen, and that has been appended already; its caller is looked at once more (dispatch_append).
 * @param stay      keep the lock to the end in any case
 * @param out_seen  when it left no record: every entry whose effect it may have seen
 */
static enum wm_status dispatch_try(struct dispatch *p, bool runs, bool stay, uint64_t *out_seen)
{
    struct wm_state *state = p->call.state;
    wm_state_lock(state);
    runs = dispatch_confirm(p) && runs;
    if (p->call.identity.type == WM_IDENTITY_ROOT)
        p->call.identity.user_name = wm_iam_alias(state, p->call.arena);
    p->ran = runs && dispatch_unlocked(p) && dispatch_permit(p);
    if (p->ran && p->call.operation->run(&p->call, &p->reply) != WM_OK)
        dispatch_refuse(p, WM_REFUSE_INTERNAL, WM_LIT("The operation failed inside the server"));
    dispatch_note_use(p);
    p->locked = stay || p->reply.n_changes > 0;
    if (!p->locked)
        wm_state_unlock(state);
    enum wm_status status = dispatch_finish(p);
    if (status != WM_OK)
        *out_seen = wm_journal_appended(p->d->recorder->journal);
    if (p->locked)
        wm_state_unlock(state);
    return status;
}

static enum wm_status dispatch_run(struct dispatch *p, bool runs, uint64_t *out_seen)
{
    enum wm_status status = dispatch_try(p, runs, false, out_seen);
    if (!p->overtaken)
        return status;
    p->overtaken = false; /* it had no changes, so nothing has come of it */
    if (runs)
        p->reply = (struct wm_reply){.http_status = p->call.operation->http_status};
    return dispatch_try(p, runs, true, out_seen);
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
                .context = &p.context,
            },
        .reply = {.http_status = 200},
    };
    uint64_t seen = 0;
    p.context = (struct wm_request_context){
        .now = p.call.now,
        .source_ip = r->source_ip,
        .user_agent = wm_request_header(r, "user-agent"),
        .region = d->env->region,
        .secure = r->secure,
    };
    wm_uuid(r->request_id);
    bool runs = dispatch_authenticate(&p, cache);
    dispatch_set_caller(&p);
    runs = runs && dispatch_admit(&p, WM_THROTTLE_PRINCIPAL, p.call.identity.arn) && dispatch_decode(&p);
    dispatch_name(&p);
    if (d->record)
        wm_journal_await_room(d->recorder->journal); /* not under the lock, where an append waits for nothing */
    enum wm_status status = dispatch_run(&p, runs, &seen);
    if (status != WM_OK)
        dispatch_unrecorded(&p, status, seen);
    else
        r->unrecorded = r->seq == 0 && !r->folded;
}
