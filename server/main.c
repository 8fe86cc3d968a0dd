/*
 * waymarkd: wires the modules together by the settings, and takes them apart in order.
 *
 * Start: recorder (recovers the journal), keys, trails (they register their cursors before the first append), server.
 * Stop: server (calls in flight are answered), trails (deliver what is durable, up to a deadline), recorder. What is
 * not delivered waits in the journal for the next start. A second signal ends the process at once, which is safe at any
 * moment, since nothing acknowledged is only in memory.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "waymark/auth.h"
#include "waymark/config.h"
#include "waymark/hash.h"
#include "waymark/log.h"
#include "waymark/recorder.h"
#include "waymark/server.h"
#include "waymark/service.h"
#include "waymark/signer.h"
#include "waymark/trail.h"

#include "waymark/banned.h"

#define MASTER_KEY_BYTES 32
/* Files of the journal, the state and the keys, and the loops' own; of a trail: its ledger, its reader, its store. */
#define RESERVED_DESCRIPTORS 128
#define TRAIL_DESCRIPTORS 16

static const struct wm_service *const services[] = {
    &wm_service_mediapackage,
    &wm_service_cloudtrail,
    &wm_service_sts,
};

struct daemon {
    const struct wm_config *config;
    struct wm_recorder *recorder;
    struct wm_auth *auth;
    struct wm_signer *signer;
    struct wm_trail **trails;
    size_t n_trails;
    struct wm_server *server;
    struct wm_service_env env;
    int64_t max_connections;
    uint8_t master_key[MASTER_KEY_BYTES];
    bool announced;              /* DIR/endpoint is ours */
};

/* data_dir/name; false when the path is too long. */
static bool data_path(const struct wm_config *c, const char *name, char out[WM_MAX_PATH_BYTES])
{
    int n = snprintf(out, WM_MAX_PATH_BYTES, "%s/%s", c->data_dir, name);
    return n > 0 && n < (int)WM_MAX_PATH_BYTES;
}

static enum wm_status path_too_long(const struct wm_config *c, struct wm_err *err)
{
    return wm_fail(err, WM_E_LIMIT, "data_dir: %s is too long a path", c->data_dir);
}

/* The key that the secrets given to callers are derived from: made once, mode 0600. */
static enum wm_status master_key_open(const char *path, uint8_t key[MASTER_KEY_BYTES], struct wm_err *err)
{
    struct wm_buf text;
    wm_buf_init(&text, MASTER_KEY_BYTES);
    enum wm_status status = wm_io_read_file(&wm_io_posix, path, &text, err);
    if (status == WM_E_NOT_FOUND) {
        wm_random(key, MASTER_KEY_BYTES);
        status = wm_io_replace_file(&wm_io_posix, path, (struct wm_view){(const char *)key, MASTER_KEY_BYTES}, 0600, err);
    } else if (status == WM_OK && text.len == MASTER_KEY_BYTES) {
        memcpy(key, text.data, MASTER_KEY_BYTES);
    } else if (status == WM_OK || status == WM_E_LIMIT) {
        status = wm_fail(err, WM_E_CORRUPT, "%s is not %d bytes long; put the copy back that you kept of it", path,
                         MASTER_KEY_BYTES);
    }
    wm_buf_wipe(&text);
    wm_buf_done(&text);
    return status;
}

/* ---- trails ---- */

static struct wm_view unless_none(const char *text)
{
    return strcmp(text, "none") == 0 ? WM_EMPTY : wm_view_of(text);
}

/* What the trail's settings name, and nothing else; otherwise as the SDKs find it. */
static struct wm_store_credentials trail_credentials(const struct wm_config_trail *t, struct wm_store_environment *room)
{
    struct wm_store_credentials login = wm_store_environment(room);
    if (t->credentials_file[0] || t->profile[0])
        login = (struct wm_store_credentials){
            .file = t->credentials_file[0] ? wm_view_of(t->credentials_file) : login.file,
            .profile = wm_view_of(t->profile),
        };
    login.role_arn = wm_view_of(t->role_arn);
    login.role_external_id = wm_view_of(t->role_external_id);
    login.sts_endpoint = wm_view_of(t->sts_endpoint);
    return login;
}

static enum wm_status trail_store(const struct wm_config *c, const struct wm_config_trail *t, struct wm_store **out,
                                  struct wm_err *err)
{
    if (strcmp(t->store, "file") == 0) {
        char folder[WM_MAX_PATH_BYTES];
        if (!data_path(c, "bucket", folder))
            return path_too_long(c, err);
        return wm_store_file_new(&wm_io_posix, wm_view_of(t->folder[0] ? t->folder : folder),
                                 wm_view_of(t->bucket[0] ? t->bucket : "waymark"), out, err);
    }
    struct wm_store_environment room;
    struct wm_store_s3_options s3 = {
        .bucket = wm_view_of(t->bucket),
        .endpoint = wm_view_of(t->endpoint),
        .region = wm_view_of(t->region[0] ? t->region : c->region),
        .virtual_host = strcmp(t->addressing, "virtual") == 0,
        .credentials = trail_credentials(t, &room),
        .ca_file = wm_view_of(t->ca_file),
        .proxy = wm_view_of(t->proxy),
        .acl = unless_none(t->acl),
        .encryption = unless_none(t->encryption),
        .kms_key_id = wm_view_of(t->kms_key_id),
        .storage_class = wm_view_of(t->storage_class),
        .tags = wm_view_of(t->tags),
        .object_lock = unless_none(t->object_lock),
        .object_lock_days = t->object_lock_days,
        .clock = &wm_clock_system,
    };
    return wm_store_s3_new(&s3, out, err);
}

static enum wm_status trail_open(struct daemon *d, const struct wm_config_trail *t, struct wm_trail **out,
                                 struct wm_err *err)
{
    const struct wm_config *c = d->config;
    char name[WM_MAX_PATH_BYTES], ledger[WM_MAX_PATH_BYTES];
    int n = snprintf(name, sizeof name, "trails/%s.db", t->name);
    if (n < 0 || (size_t)n >= sizeof name || !data_path(c, name, ledger))
        return path_too_long(c, err);
    struct wm_store *store;
    enum wm_status status = trail_store(c, t, &store, err);
    if (status != WM_OK)
        return status;
    const struct wm_codec *codec = wm_codec_by_name(wm_view_of(t->codec)); /* the settings take no other name */
    const struct wm_trail_options o = {
        .name = wm_view_of(t->name),
        .account_id = wm_view_of(c->account_id),
        .region = wm_view_of(c->region),
        .prefix = wm_view_of(t->prefix),
        .codec = codec,
        .codec_level = t->codec_level ? (int)t->codec_level : codec->default_level,
        .batch_bytes = (uint64_t)t->batch_bytes,
        .batch_records = (uint64_t)t->batch_records,
        .batch_age_ms = t->batch_age_ms,
        .digest_period_s = t->digest_period_s,
        .ledger_path = ledger,
        .store = store,
        .journal = d->recorder->journal,
        .board = d->recorder->board,
        .signer = d->signer,
        .clock = &wm_clock_system,
    };
    return wm_trail_start(&o, out, err);
}

static enum wm_status trails_open(struct daemon *d, struct wm_err *err)
{
    const struct wm_config *c = d->config;
    if (c->n_trails == 0) {
        wm_log(WM_EV_NO_TRAIL, "trails=0");
        return WM_OK;
    }
    d->trails = calloc(c->n_trails, sizeof(struct wm_trail *));
    if (!d->trails)
        return wm_fail(err, WM_E_NOMEM, "no memory for the trails");
    for (size_t i = 0; i < c->n_trails; i++) {
        struct wm_err why;
        enum wm_status status = trail_open(d, &c->trails[i], &d->trails[i], &why);
        if (status != WM_OK)
            return wm_fail(err, status, "trail %s: %s", c->trails[i].name, why.message);
        d->n_trails++;
    }
    return WM_OK;
}

/* ---- start and stop ---- */

static enum wm_status daemon_start(struct daemon *d, struct wm_err *err)
{
    const struct wm_config *c = d->config;
    char path[WM_MAX_PATH_BYTES];
    enum wm_status status = wm_io_make_dirs(&wm_io_posix, c->data_dir, 0700, err);
    if (status != WM_OK)
        return status;
    if (!data_path(c, "trails", path))
        return path_too_long(c, err);
    status = wm_io_make_dirs(&wm_io_posix, path, 0700, err);
    if (status != WM_OK)
        return status;

    const struct wm_recorder_options recorder = {
        .data_dir = c->data_dir,
        .io = &wm_io_posix,
        .clock = &wm_clock_system,
        .segment_bytes = (uint64_t)c->journal.segment_bytes,
        .max_journal_bytes = (uint64_t)c->journal.max_bytes,
    };
    status = wm_recorder_open(&recorder, &d->recorder, err);
    if (status != WM_OK)
        return status;

    if (!data_path(c, "credentials", path))
        return path_too_long(c, err);
    const struct wm_auth_options auth = {
        .io = &wm_io_posix,
        .credentials_path = path,
        .account_id = wm_view_of(c->account_id),
        .region = wm_view_of(c->region),
    };
    bool made = false;
    status = wm_auth_open(&auth, &d->auth, &made, err);
    if (status != WM_OK)
        return status;
    if (made)
        wm_log(WM_EV_CREDENTIALS_MADE, "file=%s profile=waymark", path);

    if (!data_path(c, "keys", path))
        return path_too_long(c, err);
    status = wm_signer_open(&wm_io_posix, &wm_clock_system, path, d->recorder->board, &d->signer, err);
    if (status != WM_OK)
        return status;
    /* Made now rather than for the first digest: whoever asks for the public keys finds them from the start. */
    char fingerprint[WM_FINGERPRINT_BYTES];
    status = wm_signer_key_for(d->signer, wm_clock_wall(&wm_clock_system), fingerprint, err);
    if (status != WM_OK)
        return status;
    if (!data_path(c, "keys/master.key", path))
        return path_too_long(c, err);
    status = master_key_open(path, d->master_key, err);
    if (status == WM_OK)
        status = trails_open(d, err);
    if (status != WM_OK)
        return status;

    d->env = (struct wm_service_env){
        .account_id = wm_view_of(c->account_id),
        .region = wm_view_of(c->region),
        .board = d->recorder->board,
        .clock = &wm_clock_system,
        .master_key = d->master_key,
    };
    const struct wm_server_options server = {
        .listen = c->listen,
        .threads = c->http.threads,
        .max_connections = d->max_connections,
        .connection_memory_bytes = c->http.connection_memory_bytes,
        .max_body_bytes = c->http.max_body_bytes,
        .request_timeout_ms = c->http.request_timeout_ms,
        .idle_timeout_ms = c->http.idle_timeout_ms,
        .trusted_proxies = c->http.trusted_proxies,
        .n_trusted_proxies = c->http.n_trusted_proxies,
        .env = &d->env,
        .services = services,
        .n_services = sizeof services / sizeof services[0],
        .auth = d->auth,
        .recorder = d->recorder,
        .record = c->journal.enabled,
    };
    return wm_server_start(&server, &d->server, err);
}

static void daemon_stop(struct daemon *d)
{
    char endpoint[WM_MAX_PATH_BYTES];
    if (d->announced && data_path(d->config, "endpoint", endpoint))
        (void)wm_io_posix.unlink(wm_io_posix.ctx, endpoint); /* nobody is to be sent here; left behind, it misleads only */
    wm_server_stop(d->server, d->config->http.shutdown_timeout_ms);
    /* One deadline for all trails: buckets that are away must not add up. */
    int64_t until = wm_clock_mono(&wm_clock_system).ns + d->config->http.shutdown_timeout_ms * WM_NS_PER_MS;
    for (size_t i = 0; i < d->n_trails; i++) {
        int64_t left_ms = (until - wm_clock_mono(&wm_clock_system).ns) / WM_NS_PER_MS;
        wm_trail_stop(d->trails[i], left_ms > 0 ? left_ms : 0);
    }
    free(d->trails);
    wm_signer_close(d->signer);
    wm_auth_close(d->auth);
    wm_recorder_close(d->recorder);
    wm_wipe(d->master_key, sizeof d->master_key);
}

/* Tell scripts and users that calls are served: the line on stdout, and the address in a file. */
static enum wm_status daemon_announce(struct daemon *d, struct wm_err *err)
{
    char path[WM_MAX_PATH_BYTES], line[320];
    if (!data_path(d->config, "endpoint", path))
        return path_too_long(d->config, err);
    int n = snprintf(line, sizeof line, "http://%s\n", wm_server_address(d->server));
    enum wm_status status =
        wm_io_replace_file(&wm_io_posix, path, (struct wm_view){line, (size_t)n}, 0644, err);
    if (status != WM_OK)
        return status;
    d->announced = true;
    wm_log(WM_EV_READY, "address=%s trails=%zu", wm_server_address(d->server), d->n_trails);
    (void)printf("waymark ready http://%s\n", wm_server_address(d->server));
    (void)fflush(stdout); /* nobody listening on stdout is no reason not to serve */
    return WM_OK;
}

/*
 * So many connections as the settings say, or as leave enough descriptors for the recorder: callers whom nobody knows
 * must not be able to take the last one, without which no segment can be made and no file delivered.
 */
static int64_t connections_allowed(const struct wm_config *c)
{
    const int64_t reserve = RESERVED_DESCRIPTORS + TRAIL_DESCRIPTORS * (int64_t)c->n_trails;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return c->http.max_connections;
    if (limit.rlim_cur < limit.rlim_max) {
        struct rlimit raised = {limit.rlim_max, limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
            limit = raised;
    }
    if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= (rlim_t)(c->http.max_connections + reserve))
        return c->http.max_connections;
    int64_t left = (int64_t)limit.rlim_cur - reserve;
    if (left < c->http.threads)
        left = c->http.threads;
    wm_log(WM_EV_FEW_DESCRIPTORS, "limit=%lld max_connections=%lld allowed=%lld", (long long)limit.rlim_cur,
           (long long)c->http.max_connections, (long long)left);
    return left;
}

/* Until a signal or a failed journal asks to end. */
static int daemon_wait(struct daemon *d, const sigset_t *signals)
{
    const struct timespec look_every = {.tv_nsec = 200 * WM_NS_PER_MS};
    for (;;) {
        int sig = sigtimedwait(signals, NULL, &look_every);
        if (sig == SIGTERM || sig == SIGINT) {
            wm_log(WM_EV_STOPPING, "signal=%s", sig == SIGTERM ? "TERM" : "INT");
            return EXIT_SUCCESS;
        }
        if (wm_server_failed(d->server)) {
            wm_log(WM_EV_STOPPING, "reason=\"the journal failed\"");
            return EXIT_FAILURE;
        }
    }
}

int main(int argc, char **argv)
{
    struct wm_config *config;
    struct wm_err err;
    bool check_only = false;
    enum wm_status status = wm_config_load(argc, argv, &config, &check_only, &err);
    if (status == WM_E_END)
        return EXIT_SUCCESS;
    if (status != WM_OK) {
        (void)fprintf(stderr, "waymarkd: %s\n", err.message);
        return 2;
    }
    if (check_only) {
        (void)puts("the settings are good");
        wm_config_free(config);
        return EXIT_SUCCESS;
    }
    wm_log_set_level(config->log_level);
    (void)umask(0077); /* everything in the data folder is the recorder's own */

    sigset_t signals;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    WM_PTOK(pthread_sigmask(SIG_BLOCK, &signals, NULL));
    (void)signal(SIGPIPE, SIG_IGN); /* a client that left is an error of its socket, not of the process */

    wm_log(WM_EV_START, "version=%s data_dir=%s", WAYMARK_VERSION, config->data_dir);
    if (!config->journal.enabled)
        wm_log(WM_EV_NOT_RECORDING, "setting=journal.enabled");
    struct daemon d = {.config = config, .max_connections = connections_allowed(config)};
    status = daemon_start(&d, &err);
    if (status == WM_OK)
        status = daemon_announce(&d, &err);
    int rc = EXIT_FAILURE;
    if (status == WM_OK)
        rc = daemon_wait(&d, &signals);
    else
        wm_log(WM_EV_FATAL, "error=\"%s\"", err.message);
    WM_PTOK(pthread_sigmask(SIG_UNBLOCK, &signals, NULL)); /* from here on a second signal ends us at once */
    daemon_stop(&d);
    wm_config_free(config);
    wm_log(WM_EV_STOPPED, "exit=%d", rc);
    return rc;
}
