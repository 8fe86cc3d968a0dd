/**
 * Settings: one YAML file, strict, overridden by environment variables (WAYMARK_…) and by flags, all from one table.
 *
 * An unknown key or a bad value is refused with file, line and what was expected. Precedence: flag, environment,
 * file, default. etc/waymark.yaml documents every key at its default; `waymarkd --help` lists them with their variables.
 *
 * Texts of the file: sizes are written with a unit (64KiB, 5MB), durations too (200ms, 5s, 1m, 1h).
 * Variables: WAYMARK_<KEY> (WAYMARK_HTTP_THREADS), of a trail WAYMARK_TRAILS_<n>_<KEY>, from 0; the number behind the
 * last adds a trail. Lists are separated by commas. WAYMARK_CONFIG stands for --config. A variable that looks like one
 * of ours and is none is refused.
 * Where nothing is said about trails there is one, "main", into <data_dir>/bucket; `trails: []` means none.
 */
#ifndef WAYMARK_CONFIG_H
#define WAYMARK_CONFIG_H

#include "waymark/buf.h"
#include "waymark/log.h"
#include "waymark/status.h"

#include <stddef.h>
#include <stdint.h>

/** One trail's settings. Texts are never NULL; "" is unset. */
struct wm_config_trail {
    const char *name;
    const char *store;            /* "file" or "s3" */
    const char *folder;           /* file: default <data_dir>/bucket */
    const char *bucket;           /* s3: required; file: the name written into digests, default "waymark" */
    const char *prefix;
    const char *endpoint;         /* s3 */
    const char *region;           /* s3: of the bucket; default: the server's region */
    const char *addressing;       /* s3: "path" or "virtual" */
    const char *credentials_file; /* s3: default: as the AWS SDKs find them in the environment */
    const char *profile;
    const char *role_arn;         /* s3: role to assume, with its external id, at an STS */
    const char *role_external_id;
    const char *sts_endpoint;
    const char *ca_file;
    const char *proxy;            /* s3: "" is the environment's, "none" none */
    const char *acl;              /* s3: "none", or a canned ACL */
    const char *encryption;       /* s3: "none", "AES256" or "aws:kms" */
    const char *kms_key_id;       /* s3: with aws:kms */
    const char *storage_class;    /* s3 */
    const char *tags;             /* s3: "KEY=VALUE,…" */
    const char *object_lock;      /* s3: "none", "GOVERNANCE" or "COMPLIANCE" */
    int64_t object_lock_days;     /* s3: with object_lock */
    const char *codec;            /* "zstd" or "gzip" */
    int64_t codec_level;          /* 0: the codec's default */
    int64_t batch_bytes;
    int64_t batch_records;
    int64_t batch_age_ms;
    int64_t late_after_ms;
    int64_t uploads;
    int64_t digest_period_s;
};

struct wm_config {
    const char *data_dir;
    const char *listen;           /* "127.0.0.1:8480", "[::1]:0" */
    const char *account_id;       /* 12 digits */
    const char *region;
    enum wm_log_level log_level;
    struct {
        int64_t threads;
        int64_t max_connections;
        int64_t connection_memory_bytes; /* headers of a request must fit; else 431 */
        int64_t max_body_bytes;          /* else 413 */
        int64_t request_timeout_ms;      /* a request must be whole within; else 408 */
        int64_t idle_timeout_ms;         /* a kept-alive connection without a request is closed */
        int64_t shutdown_timeout_ms;
        const char *const *trusted_proxies; /* addresses or CIDR blocks whose X-Forwarded-For, -Proto are believed */
        size_t n_trusted_proxies;
        const char *const *cors_origins; /* origins whose pages may call from a browser */
        size_t n_cors_origins;
    } http;
    struct {
        int64_t source_rate, source_burst;       /* calls a second, 0: no limit; calls at once, 0: as many as the rate */
        int64_t principal_rate, principal_burst; /* likewise */
        int64_t fold_refused_ms;                 /* 0: each refused call has a record of its own */
    } throttle;
    struct {
        bool enabled;             /* false: nothing is recorded; for measuring only (`scripts/bench`) */
        int64_t segment_bytes;
        int64_t max_bytes;
        const char *const *pause_followers; /* names of trails */
        size_t n_pause_followers;
        const char *reads_when_full;        /* "refuse" or "answer" */
    } journal;
    struct {
        bool locked;              /* nobody may stop, change or remove a trail by a call */
    } audit;
    struct {
        const char *passphrase_file; /* encrypts key files; "": the systemd credential, if there is one */
        const char *token;           /* pkcs11: URI; "": the keys are in files */
        const char *token_module;    /* path of its PKCS#11 module */
        const char *token_pin_file;  /* "": the systemd credential, if there is one */
    } keys;
    struct wm_config_trail *trails;
    size_t n_trails;
};

/**
 * Read the settings of a command line: --config FILE and the flags of the table.
 * @param out  released with wm_config_free(); set only on WM_OK
 * @param out_check_only  --check-config was given: say that the settings are good and exit 0; set only on WM_OK
 * @return WM_OK; WM_E_END (--help, --version or --dump-config: printed, exit 0); WM_E_INVALID (*err: "FILE:LINE: …",
 *         "environment NAME: …" or "--flag: …");
 *         WM_E_NOT_FOUND (no such file); WM_E_NOMEM
 */
enum wm_status wm_config_load(int argc, char **argv, struct wm_config **out, bool *out_check_only,
                              struct wm_err *err) WM_MUST_CHECK;
void wm_config_free(struct wm_config *c); /* NULL allowed */

/** Append the settings as YAML, defaults filled in, in the form that wm_config_load() reads back. */
enum wm_status wm_config_dump(const struct wm_config *c, struct wm_buf *out) WM_MUST_CHECK;

#endif
