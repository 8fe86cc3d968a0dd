/*
 * waymarkd: wires the modules together by the settings, and takes them apart in order.
 *
 * Start: server (health can be asked for, calls are answered 503), recorder (recovers the journal), cursors of the trails
 * (before the first append), keys, trails; then calls are served.
 * Stop: server (no newcomers, calls in flight are answered and committed), trails (deliver what is durable, up to a
 * deadline), recorder. What is not delivered waits in the journal for the next start.
 * A failed journal: trails first, and the server stays meanwhile: calls are answered 503, health is red. Then the process
 * ends with a failure, since only recovery helps, and that is what a start does.
 *
 * Signals: SIGTERM and SIGINT are held back only while calls are served. During a start, which may be a long replay,
 * and during a stop they end the process at once, which is safe at any moment: nothing acknowledged is only in memory, and
 * each step of recovery can be repeated.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "waymark/auth.h"
#include "waymark/config.h"
#include "waymark/hash.h"
#include "waymark/iam.h"
#include "waymark/json.h"
#include "waymark/log.h"
#include "waymark/recorder.h"
#include "waymark/secret.h"
#include "waymark/server.h"
#include "waymark/service.h"
#include "waymark/signer.h"
#include "waymark/trail.h"

#include "waymark/banned.h"

#define MASTER_KEY_BYTES 32
/* Files of the journal, the state and the keys, and the loops' own; of a trail: its ledger, its reader; of an upload:
   its connection, and a file while it looks for credentials. */
#define RESERVED_DESCRIPTORS 128
#define TRAIL_DESCRIPTORS 12
#define UPLOAD_DESCRIPTORS 4
/* After a failure health is red for at least so long, for those who look at it each second. Longer would only keep the
 * restart waiting that mends it. */
#define FAILED_VISIBLE_MS 2000

static const struct wm_service *const services[] = {
    &wm_service_mediapackage,
    &wm_service_cloudtrail,
    &wm_service_iam,
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

/* Where systemd puts a credential (systemd.exec(5), "Credentials"). @return WM_E_NOT_FOUND: it gives none */
static enum wm_status credential_path(const char *name, char out[WM_MAX_PATH_BYTES], struct wm_err *err)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    if (!folder)
        return wm_fail(err, WM_E_NOT_FOUND, "there are no credentials");
    int n = snprintf(out, WM_MAX_PATH_BYTES, "%s/%s", folder, name);
    if (n < 0 || n >= (int)WM_MAX_PATH_BYTES)
        return wm_fail(err, WM_E_LIMIT, "CREDENTIALS_DIRECTORY is too long a path");
    return WM_OK;
}

/* @return WM_E_NOT_FOUND: no such file */
static enum wm_status master_key_read(const char *path, uint8_t key[MASTER_KEY_BYTES], struct wm_err *err)
{
    struct wm_buf text;
    wm_buf_init(&text, MASTER_KEY_BYTES);
    enum wm_status status = wm_io_read_file(&wm_io_posix, path, &text, err);
    if (status == WM_OK && text.len == MASTER_KEY_BYTES)
        memcpy(key, text.data, MASTER_KEY_BYTES);
    else if (status == WM_OK || status == WM_E_LIMIT)
        status = wm_fail(err, WM_E_CORRUPT, "%s is not %d bytes long; put the copy back that you kept of it", path,
                         MASTER_KEY_BYTES);
    wm_buf_wipe(&text);
    wm_buf_done(&text);
    return status;
}

/*
 * The key that the secrets given to callers are derived from: the systemd credential waymark.master-key, else the file,
 * made once, mode 0600. Two that differ, or another one in its place, are a mistake that would give every caller another
 * secret.
 * @param in_use  callers have such secrets
 */
static enum wm_status master_key_open(const char *path, bool in_use, uint8_t key[MASTER_KEY_BYTES], struct wm_err *err)
{
    char credential[WM_MAX_PATH_BYTES];
    uint8_t given[MASTER_KEY_BYTES];
    enum wm_status status = credential_path("waymark.master-key", credential, err);
    if (status == WM_OK)
        status = master_key_read(credential, given, err);
    if (status != WM_OK && status != WM_E_NOT_FOUND)
        return status;
    bool is_given = status == WM_OK;
    status = master_key_read(path, key, err);
    if (status == WM_E_NOT_FOUND && is_given) {
        memcpy(key, given, sizeof given);
        status = WM_OK;
    } else if (status == WM_E_NOT_FOUND && in_use) {
        status = wm_fail(err, WM_E_NOT_FOUND, "%s is not there, and secrets that callers have are derived from it: put the copy "
                         "back that you kept of it, or, to give all of them up, %d random bytes", path, MASTER_KEY_BYTES);
    } else if (status == WM_E_NOT_FOUND) {
        wm_random(key, MASTER_KEY_BYTES);
        status = wm_io_replace_file(&wm_io_posix, path, (struct wm_view){(const char *)key, MASTER_KEY_BYTES}, 0600, err);
    } else if (status == WM_OK && is_given && !wm_equal_constant_time(key, given, sizeof given)) {
        status = wm_fail(err, WM_E_INVALID, "%s is another key than %s: one of them is to go", path, credential);
    }
    wm_wipe(given, sizeof given);
    return status;
}

/* Of access keys and of channels' ingest endpoints. Sessions are in no document: without their key they just end. */
static bool has_derived_secrets(struct wm_state *s)
{
    wm_state_lock(s);
    bool found = wm_state_count(s, WM_LIT(WM_IAM_ACCESS_KEY)) > 0 || wm_state_count(s, WM_LIT("mediapackage.channel")) > 0;
    wm_state_unlock(s);
    return found;
}

/* When the file was written. It has just been read: if that cannot be told, then by now. */
static struct wm_wall_ns file_time(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return wm_clock_wall(&wm_clock_system);
    return (struct wm_wall_ns){st.st_mtim.tv_sec * WM_NS_PER_S + st.st_mtim.tv_nsec};
}

/* ---- keys ---- */

/* The secret of a file; where none is set, the systemd credential of that name, if there is one. */
static enum wm_status secret_open(const char *file, const char *credential, struct wm_secret *out, struct wm_err *err)
{
    char path[WM_MAX_PATH_BYTES];
    if (file[0])
        return wm_secret_load(&wm_io_posix, file, out, err);
    enum wm_status status = credential_path(credential, path, err);
    if (status == WM_OK)
        status = wm_secret_load(&wm_io_posix, path, out, err);
    return status == WM_E_NOT_FOUND ? WM_OK : status;
}

static enum wm_status record_event(void *arg, const char *name, struct wm_view details, struct wm_err *err)
{
    return wm_recorder_event(arg, name, details, err);
}

static enum wm_status record_event_of_trail(void *arg, struct wm_view trail, const char *name, struct wm_view details,
                                            struct wm_err *err)
{
    return wm_recorder_event_of_trail(arg, trail, name, details, err);
}

static enum wm_status trail_logging(void *arg, struct wm_view trail, struct wm_trail_logging *out, uint64_t *out_seq,
                                    struct wm_err *err)
{
    return wm_recorder_logging(arg, trail, out, out_seq, err);
}

/* A setting that decides what is recorded, or who may decide that. Nobody changes it by a call. */
struct watched {
    const char *member; /* of the event's details; also its document in the state */
    const char *event_name;
    bool first;         /* before it was ever changed */
    bool now;
};

/*
 * Whoever changes such a setting, by the file and a restart, is recorded before a call is served under it; also when from
 * then on nothing is recorded.
 */
static enum wm_status record_watched(struct daemon *d, const struct watched *w, struct wm_err *err)
{
    static const char *const truth[] = {"false", "true"};
    struct wm_view was, kind = WM_LIT("waymark.audit");
    char document[64], details[96];
    int n = snprintf(document, sizeof document, "{\"%s\":%s}", w->member, truth[w->now]);
    WM_ASSERT(n > 0 && (size_t)n < sizeof document);
    wm_state_lock(d->recorder->state);
    bool known = wm_state_get(d->recorder->state, kind, wm_view_of(w->member), &was);
    bool changed = known ? !wm_view_eq_str(was, document) : w->now != w->first;
    wm_state_unlock(d->recorder->state);
    if (!changed)
        return WM_OK;
    n = snprintf(details, sizeof details, "{\"%s\":%s,\"before\":%s}", w->member, truth[w->now], truth[!w->now]);
    WM_ASSERT(n > 0 && (size_t)n < sizeof details);
    const struct wm_change change = {kind, wm_view_of(w->member), wm_view_of(document)};
    wm_log(WM_EV_AUDIT_CHANGED, "%s=%s", w->member, w->now ? "yes" : "no");
    return wm_recorder_event_change(d->recorder, w->event_name, wm_view_of(details), &change, err);
}

static enum wm_status record_audit_settings(struct daemon *d, struct wm_err *err)
{
    const struct watched watched[] = {
        {"locked", "AuditLockChanged", false, d->config->audit.locked},
        {"recording", "RecordingChanged", true, d->config->journal.enabled},
    };
    enum wm_status status = WM_OK;
    for (size_t i = 0; i < sizeof watched / sizeof watched[0] && status == WM_OK; i++)
        status = record_watched(d, &watched[i], err);
    return status;
}

/* That the keys could not be opened belongs into the trail; it is told once somebody has mended it. */
static void record_refusal(struct daemon *d, const struct wm_err *why)
{
    struct wm_buf details;
    wm_buf_init(&details, 4 * WM_ERR_MESSAGE_BYTES);
    wm_buf_add_str(&details, "{\"reason\":");
    wm_json_write_string(&details, wm_view_of(why->message));
    wm_buf_add_char(&details, '}');
    struct wm_err err;
    enum wm_status status = wm_buf_status(&details);
    if (status == WM_OK)
        status = wm_recorder_event(d->recorder, "RefuseSigningKeys", wm_buf_view(&details), &err);
    wm_buf_done(&details);
    (void)status; /* why the start failed is logged in any case, and why the journal did */
}

static enum wm_status signer_open(struct daemon *d, struct wm_err *err)
{
    const struct wm_config *c = d->config;
    char path[WM_MAX_PATH_BYTES], fingerprint[WM_FINGERPRINT_BYTES];
    if (!data_path(c, "keys", path))
        return path_too_long(c, err);
    struct wm_signer_options o = {
        .io = &wm_io_posix,
        .clock = &wm_clock_system,
        .dir = path,
        .board = d->recorder->board,
        .token_uri = c->keys.token,
        .token_module = c->keys.token_module,
        .record = c->journal.enabled ? record_event : NULL,
        .record_arg = d->recorder,
    };
    enum wm_status status = secret_open(c->keys.passphrase_file, "waymark.passphrase", &o.passphrases, err);
    if (status == WM_OK)
        status = secret_open(c->keys.token_pin_file, "waymark.token-pin", &o.token_pin, err);
    if (status != WM_OK) {
        wm_secret_done(&o.passphrases);
        return status;
    }
    status = wm_signer_open(&o, &d->signer, err);
    if (status == WM_OK) /* now rather than for the first digest: whoever asks for the public keys finds one from the start */
        status = wm_signer_key_for(d->signer, wm_clock_wall(&wm_clock_system), fingerprint, err);
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

/* @param first  a handle of the trail's bucket; NULL: this is to be the first one */
static enum wm_status trail_store(const struct wm_config *c, const struct wm_config_trail *t, struct wm_store *first,
                                  struct wm_store **out, struct wm_err *err)
{
    if (strcmp(t->store, "file") == 0) {
        char folder[WM_MAX_PATH_BYTES];
        if (!data_path(c, "bucket", folder))
            return path_too_long(c, err);
        return wm_store_file_new(&wm_io_posix, wm_view_of(t->folder[0] ? t->folder : folder),
                                 wm_view_of(t->bucket[0] ? t->bucket : "waymark"), out, err);
    }
    if (first)
        return wm_store_s3_share(first, out, err);
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

static bool may_pause(const struct wm_config *c, const char *trail)
{
    for (size_t i = 0; i < c->journal.n_pause_followers; i++)
        if (strcmp(c->journal.pause_followers[i], trail) == 0)
            return true;
    return false;
}

static enum wm_status trail_open(struct daemon *d, const struct wm_config_trail *t, struct wm_trail **out,
                                 struct wm_err *err)
{
    const struct wm_config *c = d->config;
    char name[WM_MAX_PATH_BYTES], ledger[WM_MAX_PATH_BYTES];
    int n = snprintf(name, sizeof name, "trails/%s.db", t->name);
    if (n < 0 || (size_t)n >= sizeof name || !data_path(c, name, ledger))
        return path_too_long(c, err);
    const struct wm_codec *codec = wm_codec_by_name(wm_view_of(t->codec)); /* the settings take no other name */
    struct wm_trail_options o = {
        .name = wm_view_of(t->name),
        .account_id = wm_view_of(c->account_id),
        .region = wm_view_of(c->region),
        .prefix = wm_view_of(t->prefix),
        .codec = codec,
        .codec_level = t->codec_level ? (int)t->codec_level : codec->default_level,
        .batch_bytes = (uint64_t)t->batch_bytes,
        .batch_records = (uint64_t)t->batch_records,
        .batch_age_ms = t->batch_age_ms,
        .late_after_ms = t->late_after_ms,
        .may_pause = may_pause(c, t->name),
        .digest_period_s = t->digest_period_s,
        .ledger_path = ledger,
        .journal = d->recorder->journal,
        .board = d->recorder->board,
        .signer = d->signer,
        .recorder = {record_event_of_trail, trail_logging, d->recorder},
        .clock = &wm_clock_system,
    };
    for (; o.n_stores < (size_t)t->uploads; o.n_stores++) { /* a handle for each upload at a time */
        enum wm_status status = trail_store(c, t, o.n_stores ? o.stores[0] : NULL, &o.stores[o.n_stores], err);
        if (status != WM_OK) {
            while (o.n_stores)
                wm_store_free(o.stores[--o.n_stores]);
            return status;
        }
    }
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

static enum wm_status listener_start(struct daemon *d, struct wm_err *err)
{
    const struct wm_config *c = d->config;
    d->env = (struct wm_service_env){
        .account_id = wm_view_of(c->account_id),
        .region = wm_view_of(c->region),
        .clock = &wm_clock_system,
        .audit_locked = c->audit.locked,
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
        .cors_origins = c->http.cors_origins,
        .n_cors_origins = c->http.n_cors_origins,
        .source_limit = {c->throttle.source_rate, c->throttle.source_burst},
        .principal_limit = {c->throttle.principal_rate, c->throttle.principal_burst},
        .env = &d->env,
        .services = services,
        .n_services = sizeof services / sizeof services[0],
        .record = c->journal.enabled,
        .answer_reads = strcmp(c->journal.reads_when_full, "answer") == 0,
    };
    return wm_server_start(&server, &d->server, err);
}

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
    if (status == WM_OK)
        status = listener_start(d, err);
    if (status != WM_OK)
        return status;

    const struct wm_recorder_options recorder = {
        .data_dir = c->data_dir,
        .io = &wm_io_posix,
        .clock = &wm_clock_system,
        .segment_bytes = (uint64_t)c->journal.segment_bytes,
        .max_journal_bytes = (uint64_t)c->journal.max_bytes,
        .ballast_bytes = WM_BALLAST_BYTES,
        .fold_window_ms = c->throttle.fold_refused_ms,
        .account_id = wm_view_of(c->account_id),
        .region = wm_view_of(c->region),
    };
    status = wm_recorder_open(&recorder, &d->recorder, err);
    if (status != WM_OK)
        return status;

    for (size_t i = 0; i < c->n_trails && status == WM_OK; i++)
        status = wm_trail_hold(d->recorder->journal, wm_view_of(c->trails[i].name), err);
    if (status == WM_OK)
        status = record_audit_settings(d, err);
    if (status != WM_OK)
        return status;
    struct wm_err why = {0};
    status = signer_open(d, &why);
    if (status != WM_OK) {
        if (c->journal.enabled)
            record_refusal(d, &why);
        *err = why;
        return status;
    }
    if (!data_path(c, "keys/master.key", path))
        return path_too_long(c, err);
    status = master_key_open(path, has_derived_secrets(d->recorder->state), d->master_key, err);
    if (status != WM_OK)
        return status;
    if (!data_path(c, "credentials", path))
        return path_too_long(c, err);
    const struct wm_auth_options auth = {
        .io = &wm_io_posix,
        .credentials_path = path,
        .account_id = wm_view_of(c->account_id),
        .region = wm_view_of(c->region),
        .state = d->recorder->state,
        .master_key = d->master_key,
    };
    bool made = false;
    status = wm_auth_open(&auth, &d->auth, &made, err);
    if (status != WM_OK)
        return status;
    if (made)
        wm_log(WM_EV_CREDENTIALS_MADE, "file=%s profile=waymark", path);
    d->env.root_since = file_time(path);
    status = trails_open(d, err);
    if (status != WM_OK)
        return status;
    d->env.board = d->recorder->board;
    d->env.master_key = d->master_key;
    wm_server_serve(d->server, d->auth, d->recorder);
    return WM_OK;
}

static int64_t left_ms(struct wm_mono_ns until)
{
    int64_t ms = (until.ns - wm_clock_mono(&wm_clock_system).ns) / WM_NS_PER_MS;
    return ms > 0 ? ms : 0;
}

static struct wm_mono_ns in_ms(int64_t ms)
{
    return (struct wm_mono_ns){wm_clock_mono(&wm_clock_system).ns + ms * WM_NS_PER_MS};
}

/* One deadline for all trails: buckets that are away must not add up. */
static void trails_stop(struct daemon *d)
{
    struct wm_mono_ns until = in_ms(d->config->http.shutdown_timeout_ms);
    for (size_t i = 0; i < d->n_trails; i++)
        wm_trail_stop(d->trails[i], left_ms(until));
    free(d->trails);
    d->trails = NULL;
    d->n_trails = 0;
}

/* Whoever asks is told that the journal has failed, while the trails deliver what it holds. */
static void daemon_show_failure(struct daemon *d)
{
    struct wm_mono_ns until = in_ms(FAILED_VISIBLE_MS);
    trails_stop(d);
    int64_t ms = left_ms(until);
    const struct timespec rest = {ms / 1000, ms % 1000 * WM_NS_PER_MS};
    (void)nanosleep(&rest, NULL); /* cut short: by a signal, which ends us */
}

static void daemon_stop(struct daemon *d)
{
    char endpoint[WM_MAX_PATH_BYTES];
    if (d->announced && data_path(d->config, "endpoint", endpoint))
        (void)wm_io_posix.unlink(wm_io_posix.ctx, endpoint); /* nobody is to be sent here; left behind, it misleads only */
    wm_server_stop(d->server, d->config->http.shutdown_timeout_ms);
    trails_stop(d);
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
    int64_t reserve = RESERVED_DESCRIPTORS;
    for (size_t i = 0; i < c->n_trails; i++)
        reserve += TRAIL_DESCRIPTORS + UPLOAD_DESCRIPTORS * c->trails[i].uploads;
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

/*
 * SIGTERM or SIGINT while it is not held back: the end, now. A handler, because the kernel spares the first process of a
 * container the default action; and by the signal, where that works, because supervisors take it for a good end.
 */
static void end_now(int sig)
{
    static const char text[] = "waymarkd: ended at once by a signal; what is acknowledged is in the journal\n";
    (void)!write(STDERR_FILENO, text, sizeof text - 1); /* nobody is left to be told of a failure */
    (void)raise(sig); /* the default action now: SA_RESETHAND, and not held back: SA_NODEFER */
    _exit(128 + sig);
}

/* A SIGINT that we were started deaf to stays so: a shell does that to what it runs with &, whose Ctrl-C is not ours. */
static void signals_prepare(sigset_t *out)
{
    const struct sigaction end = {.sa_handler = end_now, .sa_flags = (int)(SA_RESETHAND | SA_NODEFER)};
    static const int ours[] = {SIGTERM, SIGINT};
    struct sigaction before;
    (void)sigemptyset(out);
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        int rc = sigaction(ours[i], NULL, &before);
        if (rc == 0 && ours[i] == SIGINT && before.sa_handler == SIG_IGN)
            continue;
        (void)sigaddset(out, ours[i]);
        rc |= sigaction(ours[i], &end, NULL);
        WM_ASSERT(rc == 0);
    }
    WM_PTOK(pthread_sigmask(SIG_UNBLOCK, out, NULL)); /* whatever we were started with */
    (void)signal(SIGPIPE, SIG_IGN); /* a client that left is an error of its socket, not of the process */
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
    signals_prepare(&signals);

    wm_log(WM_EV_START, "version=%s data_dir=%s", WAYMARK_VERSION, config->data_dir);
    if (!config->journal.enabled)
        wm_log(WM_EV_NOT_RECORDING, "setting=journal.enabled");
    struct daemon d = {.config = config, .max_connections = connections_allowed(config)};
    status = daemon_start(&d, &err);
    WM_PTOK(pthread_sigmask(SIG_BLOCK, &signals, NULL));
    if (status == WM_OK)
        status = daemon_announce(&d, &err);
    int rc = EXIT_FAILURE;
    if (status == WM_OK)
        rc = daemon_wait(&d, &signals);
    else
        wm_log(WM_EV_FATAL, "error=\"%s\"", err.message);
    WM_PTOK(pthread_sigmask(SIG_UNBLOCK, &signals, NULL)); /* from here on a second signal ends us at once */
    if (status == WM_OK && rc != EXIT_SUCCESS)
        daemon_show_failure(&d);
    daemon_stop(&d);
    wm_config_free(config);
    wm_log(WM_EV_STOPPED, "exit=%d", rc);
    return rc;
}
