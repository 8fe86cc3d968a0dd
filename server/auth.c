#include "waymark/auth.h"

#include <stdio.h>
#include <stdlib.h>

#include "server/principal.h"
#include "server/session_token.h"
#include "waymark/bounds.h"
#include "waymark/credentials.h"
#include "waymark/trail_name.h"

#include "waymark/banned.h"

#define PROFILE "waymark"

/* A last use is noted at most once in so long: the notes of a busy key must not be as many as its calls. */
#define NOTE_SECONDS 60

/* What principals are made of: a change of any of it makes them old. Not iam.last-used, which changes without end. */
static const char *const kinds[] = {WM_IAM_USER, WM_IAM_GROUP, WM_IAM_ROLE, WM_IAM_POLICY, WM_IAM_ACCESS_KEY};
#define N_KINDS (sizeof kinds / sizeof *kinds)

struct wm_auth {
    struct wm_credentials root;
    struct wm_view account_id; /* these point into `texts` */
    struct wm_view region;
    struct wm_buf texts;
    struct wm_held_principal *root_principal;
    struct wm_principal_source source;
    const _Atomic uint64_t *changes[N_KINDS]; /* NULL without a state */
    struct wm_principal_cache *known;
};

static enum wm_status auth_make_root(const struct wm_auth_options *o, struct wm_err *err)
{
    char key_id[WM_IAM_KEY_ID_BYTES], secret[41];
    wm_iam_new_id(WM_IAM_KEY_PREFIX, key_id, sizeof key_id);
    wm_random_alnum(secret, 40);
    struct wm_buf text;
    wm_buf_init(&text, 4096);
    wm_buf_addf(&text,
                "# Root credentials of this Waymark: keep them secret, and keep them.\n"
                "[" PROFILE "]\naws_access_key_id = %s\naws_secret_access_key = %s\nregion = %.*s\n",
                key_id, secret, WM_ARG(o->region));
    enum wm_status status = wm_buf_status(&text);
    if (status != WM_OK)
        status = wm_fail(err, status, "no memory for the credentials");
    else
        status = wm_io_replace_file(o->io, o->credentials_path, wm_buf_view(&text), 0600, err);
    wm_wipe(secret, sizeof secret);
    wm_buf_wipe(&text);
    wm_buf_done(&text);
    return status;
}

static enum wm_status auth_load_root(struct wm_auth *a, const struct wm_auth_options *o, bool *out_made, struct wm_err *err)
{
    struct wm_err why = {0};
    enum wm_status status = wm_credentials_load(o->io, o->credentials_path, WM_LIT(PROFILE), &a->root, &why);
    if (status == WM_E_NOT_FOUND && why.sys_errno) { /* no file; a file without the profile is somebody's mistake */
        status = auth_make_root(o, &why);
        *out_made = status == WM_OK;
        if (status == WM_OK)
            status = wm_credentials_load(o->io, o->credentials_path, WM_LIT(PROFILE), &a->root, &why);
    }
    if (status == WM_OK && a->root.session_token[0]) /* tokens are ours to give, and those of root end within an hour */
        status = wm_fail(&why, WM_E_INVALID, "%s: profile [" PROFILE "] has an aws_session_token; root's credentials "
                         "have none", o->credentials_path);
    if (status != WM_OK && err)
        *err = why;
    return status;
}

static enum wm_status auth_keep_texts(struct wm_auth *a, const struct wm_auth_options *o)
{
    wm_buf_add_view(&a->texts, o->account_id);
    wm_buf_add_view(&a->texts, o->region);
    struct wm_view all = wm_buf_view(&a->texts);
    a->account_id = wm_view_sub(all, 0, o->account_id.len);
    a->region = wm_view_sub(all, o->account_id.len, all.len);
    return wm_buf_status(&a->texts);
}

/* Root is a principal as all others, but for his key. */
static enum wm_status auth_make_root_principal(struct wm_auth *a)
{
    const struct wm_session nobody = {.kind = WM_SESSION_ROOT, .access_key_id = wm_view_of(a->root.access_key_id)};
    static const uint8_t no_key[32]; /* the secret that it gives is not used */
    struct wm_principal_source from = a->source;
    from.master_key = no_key;
    enum wm_status status = wm_principal_load_session(&from, &nobody, WM_EMPTY, &a->root_principal);
    if (status != WM_OK)
        return status;
    struct wm_principal *p = &a->root_principal->face;
    p->secret = wm_view_of(a->root.secret);
    p->identity.session = NULL;
    a->root_principal->lasting = true; /* counting who holds him would cost each of his calls */
    return WM_OK;
}

static enum wm_status auth_watch(struct wm_auth *a, struct wm_err *err)
{
    a->known = wm_principal_cache_new(WM_MAX_PRINCIPALS_BYTES);
    enum wm_status status = a->known ? WM_OK : wm_fail(err, WM_E_NOMEM, "no memory for the callers");
    for (size_t i = 0; i < N_KINDS && status == WM_OK; i++)
        status = wm_state_watch(a->source.state, wm_view_of(kinds[i]), &a->changes[i], err);
    return status;
}

enum wm_status wm_auth_open(const struct wm_auth_options *o, struct wm_auth **out, bool *out_made, struct wm_err *err)
{
    struct wm_auth *a = calloc(1, sizeof *a);
    if (!a)
        return wm_fail(err, WM_E_NOMEM, "no memory for the credentials");
    wm_buf_init(&a->texts, 1024);
    bool made = false;
    enum wm_status status = auth_load_root(a, o, &made, err);
    if (status == WM_OK) {
        status = auth_keep_texts(a, o);
        a->source = (struct wm_principal_source){
            .state = o->state,
            .account_id = a->account_id,
            .partition = wm_arn_partition(o->region),
            .master_key = o->master_key,
        };
        if (status == WM_OK)
            status = auth_make_root_principal(a);
        if (status != WM_OK)
            (void)wm_fail(err, status, "no memory for the credentials"); /* returned below */
    }
    if (status == WM_OK && o->state)
        status = auth_watch(a, err);
    if (status != WM_OK) {
        wm_auth_close(a);
        return status;
    }
    *out = a;
    *out_made = made;
    return WM_OK;
}

void wm_auth_close(struct wm_auth *a)
{
    if (!a)
        return;
    wm_principal_cache_free(a->known);
    if (a->root_principal) {
        a->root_principal->lasting = false;
        wm_principal_release(&a->root_principal->face);
    }
    wm_credentials_wipe(&a->root);
    wm_buf_done(&a->texts);
    free(a);
}

/* ---- who has a key ---- */

/* Each of the numbers only grows, so their sum is the same only when all are. */
static uint64_t generation(const struct wm_auth *a)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < N_KINDS; i++)
        sum += atomic_load_explicit(a->changes[i], memory_order_acquire);
    return sum;
}

static bool is_root(const struct wm_auth *a, const struct wm_principal *p)
{
    return p == &a->root_principal->face;
}

bool wm_auth_is_current(const struct wm_auth *a, const struct wm_principal *p)
{
    return is_root(a, p) || wm_principal_held(p)->generation == generation(a);
}

static enum wm_sigv4_result say(enum wm_sigv4_result result, const char *text, char message[256])
{
    (void)snprintf(message, 256, "%s", text);
    return result;
}

static enum wm_sigv4_result unknown(char message[256])
{
    return say(WM_SIGV4_UNKNOWN_KEY, "The security token included in the request is invalid", message);
}

/* @param end  0: it has none */
static enum wm_sigv4_result check_life(struct wm_wall_ns end, struct wm_wall_ns now, char message[256])
{
    if (end.ns == 0 || now.ns < end.ns)
        return WM_SIGV4_OK;
    return say(WM_SIGV4_TOKEN_EXPIRED, "The security token included in the request is expired", message);
}

/* Whose key is wanted: of a temporary one, what its token says. */
struct wanted {
    const struct wm_sigv4_claim *claim;
    struct wm_arena memory;
    struct wm_session session;
};

static enum wm_sigv4_result not_found_out(char message[256])
{
    return say(WM_SIGV4_NOT_FOUND_OUT, "Whose this access key is could not be found out", message);
}

/* The token must be for this key, and still good. Needs no lock, and should have none: anybody can send anything. */
static enum wm_sigv4_result wanted_begin(struct wanted *w, struct wm_auth *a, const struct wm_sigv4_claim *claim,
                                         struct wm_wall_ns now, char message[256])
{
    w->claim = claim;
    wm_arena_init(&w->memory, 4 * WM_MAX_SESSION_TOKEN_BYTES + 64 * 1024);
    if (!claim->security_token.len)
        return WM_SIGV4_OK;
    enum wm_status status = wm_session_token_read(a->source.master_key, a->account_id, claim->security_token, &w->memory,
                                                  &w->session);
    if (status == WM_E_INVALID || (status == WM_OK && !wm_view_eq(w->session.access_key_id, claim->access_key_id)))
        return unknown(message);
    if (status != WM_OK)
        return not_found_out(message);
    return check_life(w->session.expires, now, message);
}

static void wanted_end(struct wanted *w)
{
    wm_arena_done(&w->memory);
}

/* Load him, and keep him. */
static enum wm_sigv4_result load_locked(struct wm_auth *a, const struct wanted *w, const struct wm_principal **out,
                                        char message[256])
{
    struct wm_held_principal *p = NULL;
    struct wm_view token = w->claim->security_token;
    enum wm_status status = token.len ? wm_principal_load_session(&a->source, &w->session, token, &p)
                                      : wm_principal_load_key(&a->source, w->claim->access_key_id, &p);
    if (status == WM_E_NOT_FOUND)
        return unknown(message);
    if (status != WM_OK)
        return not_found_out(message);
    p->generation = generation(a);
    wm_principal_cache_put(a->known, p);
    *out = &p->face;
    return WM_SIGV4_OK;
}

/* Who was loaded before, and has not changed since. Tokens are compared as they are: what one is worth needs its secret. */
static enum wm_sigv4_result find(struct wm_auth *a, const struct wm_sigv4_claim *claim, struct wm_wall_ns now,
                                 const struct wm_principal **out, char message[256])
{
    if (wm_view_eq_str(claim->access_key_id, a->root.access_key_id)) {
        if (claim->security_token.len)
            return unknown(message);
        *out = &a->root_principal->face;
        return WM_SIGV4_OK;
    }
    if (!a->known)
        return unknown(message);
    struct wm_held_principal *p = wm_principal_cache_get(a->known, claim->access_key_id);
    if (p && p->generation == generation(a) && wm_view_eq(p->token, claim->security_token)) {
        enum wm_sigv4_result result = check_life(p->face.expires, now, message);
        if (result == WM_SIGV4_OK)
            *out = &p->face;
        else
            wm_principal_release(&p->face);
        return result;
    }
    if (p)
        wm_principal_release(&p->face);
    struct wanted w;
    enum wm_sigv4_result result = wanted_begin(&w, a, claim, now, message);
    if (result == WM_SIGV4_OK) {
        wm_state_lock(a->source.state);
        result = load_locked(a, &w, out, message);
        wm_state_unlock(a->source.state);
    }
    wanted_end(&w);
    return result;
}

bool wm_auth_opens(const struct wm_principal *p, struct wm_view service)
{
    const struct wm_identity_session *session = p->identity.session;
    bool own = session && p->identity.type != WM_IDENTITY_ASSUMED_ROLE;
    return !own || session->mfa || !wm_view_eq_str(service, "iam");
}

enum wm_sigv4_result wm_auth_identify(struct wm_auth *a, struct wm_sigv4_cache *cache,
                                      const struct wm_sigv4_request *request, const struct wm_sigv4_claim *claim,
                                      struct wm_view service, struct wm_wall_ns now, const struct wm_principal **out,
                                      char message[256])
{
    const struct wm_principal *p = NULL;
    enum wm_sigv4_result result = find(a, claim, now, &p, message);
    if (result != WM_SIGV4_OK)
        return result;
    result = wm_sigv4_verify(cache, request, claim, p->secret, a->region, service, now, message);
    if (result == WM_SIGV4_OK)
        *out = p;
    else
        wm_principal_release(p);
    return result;
}

enum wm_sigv4_result wm_auth_confirm(struct wm_auth *a, const struct wm_sigv4_claim *claim, struct wm_wall_ns now,
                                     const struct wm_principal **p, char message[256])
{
    const struct wm_principal *old = *p, *fresh = NULL;
    if (wm_auth_is_current(a, old))
        return WM_SIGV4_OK;
    struct wanted w;
    enum wm_sigv4_result result = wanted_begin(&w, a, claim, now, message);
    if (result == WM_SIGV4_OK)
        result = load_locked(a, &w, &fresh, message);
    wanted_end(&w);
    if (result == WM_SIGV4_OK && !wm_view_eq(fresh->secret, old->secret)) { /* the key is another now: nothing is proven */
        wm_principal_release(fresh);
        fresh = NULL;
        result = unknown(message);
    }
    wm_principal_release(old);
    *p = fresh;
    return result;
}

/* ---- when a key was used ---- */

static bool is_due(int64_t noted_s, int64_t now_s)
{
    return now_s >= noted_s + NOTE_SECONDS || now_s < noted_s - NOTE_SECONDS; /* a clock may be set back */
}

bool wm_auth_note_use(const struct wm_auth *a, const struct wm_principal *p, struct wm_view service,
                      struct wm_wall_ns now, struct wm_arena *arena, struct wm_change *out)
{
    struct wm_held_principal *held = wm_principal_held(p);
    int64_t now_s = wm_wall_seconds(now);
    if (!held->used_id.len || !is_due(atomic_load_explicit(&held->noted_s, memory_order_relaxed), now_s))
        return false;
    struct wm_view stored;
    struct wm_json *document = NULL;
    struct wm_wall_ns noted;
    atomic_store_explicit(&held->noted_s, now_s, memory_order_relaxed);
    if (wm_state_get(a->source.state, WM_LIT(WM_IAM_LAST_USED), held->used_id, &stored) &&
        wm_json_parse(arena, stored, &document, NULL) == WM_OK &&
        wm_time_parse(wm_json_get_text(document, "LastUsedDate"), &noted) == WM_OK &&
        !is_due(wm_wall_seconds(noted), now_s)) { /* by another session of the role, or before a restart */
        atomic_store_explicit(&held->noted_s, wm_wall_seconds(noted), memory_order_relaxed);
        return false;
    }
    char date[WM_TIME_ISO_BYTES];
    wm_time_iso(now, date);
    *out = (struct wm_change){
        .kind = WM_LIT(WM_IAM_LAST_USED),
        .id = held->used_id,
        .document = wm_arena_printf(arena, "{\"LastUsedDate\":\"%s\",\"ServiceName\":\"%.*s\",\"Region\":\"%.*s\"}", date,
                                    WM_ARG(service), WM_ARG(a->region)),
    };
    return out->document.len > 0;
}
