#include "server/dispatch_int.h"

#include "waymark/iam.h"

#include "waymark/banned.h"

/* For the record of a call without parameters: its event source and what it asked for. */
#define SPARE_ARENA_BYTES (64u * 1024u)

void dispatch_refuse(struct dispatch *p, enum wm_refusal why, struct wm_view message)
{
    p->reply.document = NULL;
    p->reply.n_changes = 0;
    p->reply.error_code = p->r->route.protocol->refusal(why, &p->reply.http_status);
    p->reply.error_message = message;
}

static void dispatch_refuse_internal(struct dispatch *p)
{
    dispatch_refuse(p, WM_REFUSE_INTERNAL, WM_LIT("The operation failed inside the server"));
}

/* A call of the query protocol asks for an API's version, too, and is as often wrong there. */
static struct wm_view unknown_operation(const struct wm_route *route, struct wm_arena *a)
{
    struct wm_view name = route->operation_name;
    if (name.len == 0)
        return WM_LIT("This server has no such operation");
    if (route->protocol == &wm_protocol_query && route->service)
        return wm_arena_printf(a, "This server has no operation '%.*s' of the Version asked for; that of %s is %s",
                               WM_ARG(name), route->service->signing_name, route->service->api_version);
    return wm_arena_printf(a, "This server has no operation '%.*s'", WM_ARG(name));
}

/* Find the operation and decode its parameters. True when it can run. */
static bool dispatch_decode(struct dispatch *p)
{
    const struct wm_route *route = &p->r->route;
    struct wm_json *params = NULL;
    struct wm_err err;
    if (!route->operation) {
        dispatch_refuse(p, WM_REFUSE_UNKNOWN_OPERATION, unknown_operation(route, &p->r->arena));
        return false;
    }
    p->reply.http_status = route->operation->http_status;
    enum wm_status status = route->protocol->decode(&p->r->arena, route, &p->request, &params, &err);
    p->call.params = params; /* also of what is refused: the record shows what was asked for */
    switch (status) {
    case WM_OK:
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
    const struct wm_access access = {.arena = c->arena,
                                     .principal = c->principal,
                                     .context = c->context,
                                     .demands = &demands,
                                     .out_by_tags = &p->by_tags};
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
        dispatch_refuse_internal(p);
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
        dispatch_refuse_internal(p);
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

/* The call needs more memory than one may use: before anything took effect it is refused, and recorded like any other,
 * without its parameters. */
static enum wm_status dispatch_exhausted(struct dispatch *p)
{
    struct wm_arena spare;
    dispatch_refuse(p, WM_REFUSE_INTERNAL, WM_LIT("The request needs more memory than one call may use"));
    dispatch_write_reply(p);
    wm_arena_init(&spare, SPARE_ARENA_BYTES);
    enum wm_status status = p->d->record ? dispatch_record(p, &spare, NULL) : WM_OK;
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
        status = p->d->record ? dispatch_record(p, &r->arena, p->call.params) : dispatch_apply(p);
    }
    if (status == WM_E_NOMEM)
        status = dispatch_exhausted(p);
    if (r->seq > 0) {
        atomic_fetch_add_explicit(p->d->recorded, 1, memory_order_relaxed);
        dispatch_fold_begin(p);
    }
    return status;
}

/*
 * Run the operation, if it was found and may run, and finish the call. What decides whether it may run is read under the
 * same lock, so that a permission which was taken away in an entry before this one is gone. A change takes effect where its
 * entry stands in the journal, so the state stays locked until it is appended. A call that changes nothing only has to stand
 * behind what it has seen, and that has been appended already; its caller is looked at once more (dispatch_record). What a
 * resource's tags allow has nobody to look at, so then the state stays locked, too.
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
        dispatch_refuse_internal(p);
    WM_ASSERT(!p->ran || !p->call.operation->read_only || p->reply.n_changes == 0); /* it may be answered unrecorded */
    dispatch_note_use(p);
    p->locked = stay || p->by_tags || p->reply.n_changes > 0;
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
    runs = runs && dispatch_decode(&p);
    dispatch_name(&p);
    if (d->record)
        wm_journal_await_room(d->recorder->journal); /* not under the lock, where an append waits for nothing */
    enum wm_status status = dispatch_run(&p, runs, &seen);
    if (status != WM_OK)
        dispatch_unrecorded(&p, status, seen);
    else
        r->unrecorded = r->seq == 0 && !r->folded;
}
