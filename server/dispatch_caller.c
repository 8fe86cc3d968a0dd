/*
 * Who calls: within which limits, with which signature, and whether he is still who he was once the call has its place
 * among all others.
 */
#include "server/dispatch_int.h"

#include "waymark/banned.h"

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
static bool admit(struct dispatch *p, enum wm_throttle_kind kind, struct wm_view who)
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
static void set_caller(struct dispatch *p)
{
    p->call.principal = p->r->caller;
    if (p->r->caller)
        p->call.identity = p->r->caller->identity;
    else
        p->call.identity = (struct wm_identity){.type = WM_IDENTITY_UNKNOWN, .access_key_id = p->claim.access_key_id};
}

static void refuse_signature(struct dispatch *p, enum wm_sigv4_result result, const char *message)
{
    dispatch_refuse(p, refusal_of_signature(result), wm_arena_copy(&p->r->arena, wm_view_of(message)));
}

/* Read the claim and the route off the request; then prove the claim. True when the caller is known, and his
 * credentials are good for the service. */
static bool prove(struct dispatch *p, struct wm_sigv4_cache *cache)
{
    struct wm_request *r = p->r;
    char message[256], hash[WM_SHA256_HEX_BYTES] = {0};
    const struct wm_sigv4_request signed_request = wm_request_as_signed(r, hash);
    enum wm_sigv4_result result = wm_sigv4_parse(&signed_request, &p->claim, message);
    set_caller(p); /* nobody, so far */
    wm_protocol_route(&r->arena, p->d->services, p->d->n_services, &p->request, p->claim.service, &r->route);

    if (r->refused) { /* its body is not here, so nothing can be proven */
        static const char *const messages[WM_REFUSE_COUNT] = {
            [WM_REFUSE_BODY_TOO_LARGE] = "The request body is larger than this server takes (http.max_body_bytes)",
            [WM_REFUSE_TOO_SLOW] = "The request did not arrive whole in time (http.request_timeout)",
        };
        dispatch_refuse(p, r->refusal, wm_view_of(messages[r->refusal]));
        return false;
    }
    if (!admit(p, WM_THROTTLE_SOURCE, r->source_ip)) /* before the work that it would cost */
        return false;
    if (result == WM_SIGV4_OK) {
        struct wm_view service = r->route.service ? wm_view_of(r->route.service->signing_name) : WM_EMPTY;
        uint8_t sha[WM_SHA256_BYTES];
        wm_sha256(r->body.data, r->body.len, sha);
        wm_hex(sha, sizeof sha, hash);
        result = wm_auth_identify(p->d->auth, cache, &signed_request, &p->claim, service, p->call.now, &r->caller, message);
        if (result == WM_SIGV4_OK && !wm_auth_opens(r->caller, service)) {
            refuse_signature(p, WM_SIGV4_UNKNOWN_KEY, "The security token included in the request is invalid");
            return false;
        }
    }
    if (result != WM_SIGV4_OK)
        refuse_signature(p, result, message);
    return result == WM_SIGV4_OK;
}

bool dispatch_authenticate(struct dispatch *p, struct wm_sigv4_cache *cache)
{
    bool proven = prove(p, cache);
    set_caller(p);
    return proven && admit(p, WM_THROTTLE_PRINCIPAL, p->call.identity.arn);
}

bool dispatch_confirm(struct dispatch *p)
{
    char message[256];
    const struct wm_principal *before = p->r->caller;
    if (!before)
        return false;
    enum wm_sigv4_result result = wm_auth_confirm(p->d->auth, &p->claim, p->call.now, &p->r->caller, message);
    if (p->r->caller != before) {
        set_caller(p);
        dispatch_name(p);
    }
    if (result != WM_SIGV4_OK)
        refuse_signature(p, result, message);
    return result == WM_SIGV4_OK;
}

static bool reply_changes(const struct wm_reply *r, const struct wm_change *place)
{
    for (size_t i = 0; i < r->n_changes; i++)
        if (wm_view_eq(r->changes[i].kind, place->kind) && wm_view_eq(r->changes[i].id, place->id))
            return true;
    return false;
}

void dispatch_note_use(struct dispatch *p)
{
    const struct wm_service *service = p->r->route.service;
    struct wm_change use;
    if (p->r->caller && service && p->reply.n_changes < WM_MAX_CHANGES &&
        wm_auth_note_use(p->d->auth, p->r->caller, wm_view_of(service->signing_name), p->call.now, p->call.arena, &use) &&
        !reply_changes(&p->reply, &use))
        wm_reply_change(&p->reply, use.kind, use.id, use.document);
}
