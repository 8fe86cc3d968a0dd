#include "credential_int.h"

#include <stdlib.h>

#include "aws_request.h"
#include "waymark/hash.h"

#include "waymark/banned.h"

#define SOURCE_OPTION_BYTES ((size_t)64 * 1024)
/* Where there is no such service, as everywhere but in a cloud, nobody answers at all. */
#define INSTANCE_CONNECT_MS 1000
/* New ones could not be got, and the old ones still last: an endpoint is not asked with every upload. */
#define SOURCE_ASK_AGAIN_MS (60ll * 1000)

/* ---- renewing ---- */

static bool same_file_state(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static int64_t source_now_s(const struct wm_credential_source *s)
{
    return wm_wall_seconds(wm_clock_wall(s->clock));
}

static void source_install_locked(struct wm_credential_source *s, const struct wm_fetched *f) WM_REQUIRES(s->locked.mu)
{
    wm_mutex_assert_held(&s->locked.mu);
    if (!s->locked.have || memcmp(&f->c, &s->locked.now, sizeof f->c) != 0) {
        s->locked.now = f->c;
        s->locked.generation++;
    }
    s->locked.have = true;
    s->locked.from_file = f->from_file;
    s->locked.file = f->file;
    s->locked.expires_s = f->expires_s;
    s->locked.renew_at_s = 0;
    s->locked.not_before = wm_clock_mono(s->clock);
    if (f->expires_s) {
        int64_t ahead_s = (f->expires_s - source_now_s(s)) / 4;
        s->locked.renew_at_s = f->expires_s - (ahead_s > WM_CREDENTIALS_AHEAD_S ? WM_CREDENTIALS_AHEAD_S : ahead_s);
        if (ahead_s <= 0) /* expired on arrival, by our clock: that may be wrong, so the store decides */
            s->locked.not_before.ns += SOURCE_ASK_AGAIN_MS * WM_NS_PER_MS;
    }
}

/* @param file  the file's state now; NULL when it cannot be looked at, which changes nothing */
static bool source_due_locked(struct wm_credential_source *s, const struct stat *file) WM_REQUIRES(s->locked.mu)
{
    wm_mutex_assert_held(&s->locked.mu);
    if (!s->locked.have)
        return true;
    if (s->locked.from_file && file && !same_file_state(file, &s->locked.file))
        return true;
    return s->locked.renew_at_s && source_now_s(s) >= s->locked.renew_at_s &&
           wm_clock_mono(s->clock).ns >= s->locked.not_before.ns;
}

static bool source_usable_locked(struct wm_credential_source *s) WM_REQUIRES(s->locked.mu)
{
    wm_mutex_assert_held(&s->locked.mu);
    return s->locked.have && (!s->locked.expires_s || source_now_s(s) < s->locked.expires_s ||
                              wm_clock_mono(s->clock).ns < s->locked.not_before.ns);
}

/* Get new ones and let the others know; called with busy set and without the lock. */
static enum wm_status source_renew(struct wm_credential_source *s, const atomic_bool *cancelled, struct wm_err *err)
{
    struct wm_fetched f;
    enum wm_status status = wm_credential_fetch(s, cancelled, &f, err);
    wm_mutex_lock(&s->locked.mu);
    s->locked.busy = false;
    if (status == WM_OK) {
        source_install_locked(s, &f);
    } else if (source_usable_locked(s)) {
        status = WM_OK; /* the old ones */
        s->locked.not_before.ns = wm_clock_mono(s->clock).ns + SOURCE_ASK_AGAIN_MS * WM_NS_PER_MS;
    }
    wm_cond_broadcast(&s->locked.cond);
    wm_mutex_unlock(&s->locked.mu);
    wm_wipe(&f, sizeof f);
    return status;
}

enum wm_status wm_credential_source_get(struct wm_credential_source *s, const atomic_bool *cancelled,
                                        struct wm_credentials *out, uint64_t *out_generation, struct wm_err *err)
{
    enum wm_status status = WM_OK;
    bool renewed = false;
    struct stat st;
    bool looked = s->o.file.len && !s->o.access_key_id.len && wm_credential_stat(s, &st) >= 0;
    wm_mutex_lock(&s->locked.mu);
    while (status == WM_OK && !renewed && source_due_locked(s, looked ? &st : NULL)) {
        if (!s->locked.busy) {
            s->locked.busy = true;
            wm_mutex_unlock(&s->locked.mu);
            status = source_renew(s, cancelled, err);
            renewed = true;
            wm_mutex_lock(&s->locked.mu);
        } else if (source_usable_locked(s)) {
            break;
        } else {
            (void)wm_cond_wait_ms(&s->locked.cond, &s->locked.mu, 100); /* the loop looks what woke it */
            if (atomic_load(cancelled))
                status = wm_fail(err, WM_E_END, "cancelled");
        }
    }
    if (status == WM_OK) {
        *out = s->locked.now;
        *out_generation = s->locked.generation;
    }
    wm_mutex_unlock(&s->locked.mu);
    return status;
}

bool wm_credential_source_renew(struct wm_credential_source *s, uint64_t generation, bool ask,
                                const atomic_bool *cancelled)
{
    wm_mutex_lock(&s->locked.mu);
    while (s->locked.busy && s->locked.generation == generation && !atomic_load(cancelled))
        (void)wm_cond_wait_ms(&s->locked.cond, &s->locked.mu, 100); /* the loop looks what woke it */
    bool never_others = s->o.access_key_id.len && !s->o.role_arn.len;
    bool only_file = s->locked.from_file && !s->o.role_arn.len;
    if (s->locked.generation == generation && !s->locked.busy && !never_others && (ask || only_file)) {
        s->locked.busy = true;
        wm_mutex_unlock(&s->locked.mu);
        enum wm_status status = source_renew(s, cancelled, NULL);
        (void)status; /* whether there are others is what counts */
        wm_mutex_lock(&s->locked.mu);
    }
    bool others = s->locked.generation != generation;
    wm_mutex_unlock(&s->locked.mu);
    return others;
}

/* ---- life ---- */

/* As the SDKs: keys go in the clear only where no network is in between ("Container credential provider"). */
static bool container_uri_good(struct wm_view uri)
{
    static const char *const plain[] = {"127.0.0.1", "localhost", "[::1]", "169.254.170.2", "169.254.170.23",
                                        "[fd00:ec2::23]"};
    const char *scheme;
    struct wm_view host;
    size_t path = wm_view_starts(uri, "https://") ? 8 : 7;
    path += wm_view_find(wm_view_sub(uri, path, uri.len), '/');
    if (!wm_aws_endpoint(wm_view_sub(uri, 0, path), &scheme, &host))
        return false;
    for (size_t i = path; i < uri.len; i++)
        if ((unsigned char)uri.ptr[i] <= ' ')
            return false;
    if (strcmp(scheme, "https") == 0)
        return true;
    size_t colon = wm_view_rfind(host, ':');
    if (colon < host.len && wm_view_find(wm_view_sub(host, colon, host.len), ']') == host.len - colon)
        host.len = colon;
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        if (wm_view_eq_str(host, plain[i]))
            return true;
    return false;
}

static enum wm_status source_check(const struct wm_store_credentials *o, struct wm_err *err)
{
    const char *scheme;
    struct wm_view host;
    struct wm_credentials c;
    if (o->access_key_id.len || o->secret_access_key.len) {
        if (!o->access_key_id.len || !o->secret_access_key.len)
            return wm_fail(err, WM_E_INVALID, "access_key_id and secret_access_key go together");
        if (o->access_key_id.len >= sizeof c.access_key_id || o->secret_access_key.len >= sizeof c.secret ||
            o->session_token.len >= sizeof c.session_token)
            return wm_fail(err, WM_E_INVALID, "a credential is too long: at most %zu, %zu and %zu bytes are taken",
                           sizeof c.access_key_id - 1, sizeof c.secret - 1, sizeof c.session_token - 1);
    } else if (!o->file.len && !o->container_uri.len && !o->instance_endpoint.len) {
        return wm_fail(err, WM_E_INVALID, "no credentials: neither a key nor a file nor an endpoint is set");
    }
    if (o->container_uri.len && !container_uri_good(o->container_uri))
        return wm_fail(err, WM_E_INVALID, "container credentials: %.*s is neither https nor http to this machine",
                       WM_ARG(o->container_uri));
    if (o->instance_endpoint.len && !wm_aws_endpoint(o->instance_endpoint, &scheme, &host))
        return wm_fail(err, WM_E_INVALID, "instance metadata: %.*s is not a scheme, a host and a port",
                       WM_ARG(o->instance_endpoint));
    if (o->sts_endpoint.len && !wm_aws_endpoint(o->sts_endpoint, &scheme, &host))
        return wm_fail(err, WM_E_INVALID, "sts_endpoint %.*s is not a scheme, a host and a port",
                       WM_ARG(o->sts_endpoint));
    return WM_OK;
}

static enum wm_status source_copy(struct wm_credential_source *s, const struct wm_store_credentials *o,
                                  struct wm_view region, struct wm_err *err)
{
    struct wm_view *const texts[] = {
        &s->o.access_key_id, &s->o.secret_access_key, &s->o.session_token, &s->o.file, &s->o.profile,
        &s->o.container_uri, &s->o.container_token, &s->o.container_token_file, &s->o.instance_endpoint,
        &s->o.role_arn, &s->o.role_external_id, &s->o.sts_endpoint,
    };
    s->o = *o;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        *texts[i] = wm_arena_copy(&s->memory, *texts[i]);
    if (wm_view_ends(s->o.instance_endpoint, "/")) {
        s->o.instance_endpoint.len--;
        s->o.instance_endpoint = wm_arena_copy(&s->memory, s->o.instance_endpoint);
    }
    s->region = wm_arena_copy(&s->memory, region).ptr;
    struct wm_view host = WM_EMPTY;
    s->sts_scheme = "https";
    if (s->o.sts_endpoint.len)
        (void)wm_aws_endpoint(s->o.sts_endpoint, &s->sts_scheme, &host); /* source_check() */
    else
        host = wm_arena_printf(&s->memory, "sts.%.*s.amazonaws.com", WM_ARG(region));
    s->sts_host = wm_arena_copy(&s->memory, host).ptr;
    enum wm_status status = wm_arena_status(&s->memory);
    return status == WM_OK ? WM_OK : wm_fail(err, status, "no memory for credentials");
}

enum wm_status wm_credential_source_new(const struct wm_store_credentials *o, struct wm_view region,
                                        const struct wm_http_settings *http, const struct wm_clock *clock,
                                        struct wm_credential_source **out, struct wm_err *err)
{
    enum wm_status status = source_check(o, err);
    if (status != WM_OK)
        return status;
    struct wm_credential_source *s = calloc(1, sizeof *s);
    if (!s)
        return wm_fail(err, WM_E_NOMEM, "no memory for credentials");
    wm_arena_init(&s->memory, SOURCE_OPTION_BYTES);
    wm_mutex_init(&s->locked.mu);
    wm_cond_init(&s->locked.cond);
    s->http = http;
    s->endpoints = *http;
    s->endpoints.proxy = "";
    s->endpoints.connect_timeout_ms = INSTANCE_CONNECT_MS;
    s->clock = clock;
    status = source_copy(s, o, region, err);
    if (status != WM_OK) {
        wm_credential_source_free(s);
        return status;
    }
    *out = s;
    return WM_OK;
}

void wm_credential_source_free(struct wm_credential_source *s)
{
    if (!s)
        return;
    wm_credential_wipe_text(s->o.secret_access_key);
    wm_credential_wipe_text(s->o.session_token);
    wm_credential_wipe_text(s->o.container_token);
    wm_arena_done(&s->memory);
    wm_cond_done(&s->locked.cond);
    wm_mutex_done(&s->locked.mu);
    wm_wipe(s, sizeof *s);
    free(s);
}
