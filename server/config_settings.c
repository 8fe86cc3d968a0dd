/*
 * Everything that can be set is a row of one of two tables: the server's, and one for each trail. File, environment,
 * flags, --help and --dump-config all walk them, so that a new setting is a new row.
 */
#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "server/config_int.h"
#include "waymark/bounds.h"
#include "waymark/throttle.h"

#include "waymark/banned.h"

#define AT(member) offsetof(struct wm_config, member)
static const struct setting server_rows[] = {
    {.key = "data_dir", .type = SETTING_TEXT, .offset = AT(data_dir), .fallback = "var", .valid = config_text_some,
     .expected = "a folder", .help = "journal, state, keys, credentials; made when absent"},
    {.key = "listen", .type = SETTING_TEXT, .offset = AT(listen), .fallback = "127.0.0.1:8480",
     .valid = config_text_listen, .expected = "ADDRESS:PORT with a numeric address, such as 127.0.0.1:8480 or [::1]:0",
     .help = "address and port of the API; port 0 takes a free one"},
    {.key = "account_id", .type = SETTING_TEXT, .offset = AT(account_id), .fallback = "123456789012",
     .valid = config_text_account, .expected = "12 digits", .help = "account in ARNs, records and object keys"},
    {.key = "region", .type = SETTING_TEXT, .offset = AT(region), .fallback = "us-east-1", .valid = config_text_region,
     .expected = "a region that readers of trail files know the form of: two letters, perhaps -gov or -cn, 4 to 9 "
                 "letters or digits, one digit, such as us-east-1",
     .help = "region in ARNs, records and object keys"},
    {.key = "log_level", .type = SETTING_LEVEL, .offset = AT(log_level), .fallback = "notice",
     .expected = "error|warning|notice|info|debug", .help = "how much is logged; info shows a line for each call"},
    {.key = "http.threads", .type = SETTING_COUNT, .offset = AT(http.threads), .fallback = "1", .min = 1, .max = 64,
     .help = "event loops"},
    {.key = "http.max_connections", .type = SETTING_COUNT, .offset = AT(http.max_connections), .fallback = "4096",
     .min = 1, .max = 1000000, .help = "open connections, over all threads"},
    /* Headers with a session token are some 2.5 KiB, and the library zeroes all of this after each request. */
    {.key = "http.connection_memory_bytes", .type = SETTING_SIZE, .offset = AT(http.connection_memory_bytes),
     .fallback = "8KiB", .min = 2 * KIB, .max = 1 * MIB, .help = "a request's line and headers must fit; else 431"},
    /* The largest modelled input, an origin endpoint with all its settings, is under 64 KiB. */
    {.key = "http.max_body_bytes", .type = SETTING_SIZE, .offset = AT(http.max_body_bytes), .fallback = "128KiB",
     .min = 1 * KIB, .max = 1 * MIB, .help = "largest request body; else 413"},
    {.key = "http.request_timeout", .type = SETTING_TIME_MS, .offset = AT(http.request_timeout_ms), .fallback = "30s",
     .min = 100, .max = HOUR_MS, .help = "a request must be whole within; else 408"},
    {.key = "http.idle_timeout", .type = SETTING_TIME_MS, .offset = AT(http.idle_timeout_ms), .fallback = "75s",
     .min = 1000, .max = HOUR_MS, .help = "a kept-alive connection without a request is closed after"},
    {.key = "http.shutdown_timeout", .type = SETTING_TIME_MS, .offset = AT(http.shutdown_timeout_ms), .fallback = "10s",
     .min = 0, .max = HOUR_MS, .help = "a stop waits so long for calls in flight and for deliveries"},
    {.key = "http.trusted_proxies", .type = SETTING_LIST, .offset = AT(http.trusted_proxies), .fallback = "",
     .valid = config_text_address_block, .expected = "an address or block, such as 10.0.0.5, 10.0.0.0/8 or fd00::/8",
     .help = "addresses or blocks whose X-Forwarded-For and -Proto are believed"},
    {.key = "http.cors_origins", .type = SETTING_LIST, .offset = AT(http.cors_origins), .fallback = "",
     .valid = config_text_origin, .expected = "an origin as browsers write it, such as https://console.example.net:8443",
     .help = "origins whose pages may call the API from a browser"},
    /* No limits unless they are set: AWS publishes no numbers for MediaPackage's control plane [U]. */
    {.key = "throttle.source_rate", .type = SETTING_COUNT, .offset = AT(throttle.source_rate), .fallback = "0",
     .max = WM_THROTTLE_MAX, .help = "calls a second of one address, or IPv6 /64; above it 429; 0: no limit"},
    {.key = "throttle.source_burst", .type = SETTING_COUNT, .offset = AT(throttle.source_burst), .fallback = "0",
     .max = WM_THROTTLE_MAX, .help = "of which so many may come at once; 0: as many as in a second"},
    {.key = "throttle.principal_rate", .type = SETTING_COUNT, .offset = AT(throttle.principal_rate), .fallback = "0",
     .max = WM_THROTTLE_MAX, .help = "calls a second of one user, role or the root; above it 429; 0: no limit"},
    {.key = "throttle.principal_burst", .type = SETTING_COUNT, .offset = AT(throttle.principal_burst), .fallback = "0",
     .max = WM_THROTTLE_MAX, .help = "of which so many may come at once; 0: as many as in a second"},
    {.key = "throttle.fold_refused", .type = SETTING_TIME_MS, .offset = AT(throttle.fold_refused_ms), .fallback = "0",
     .max = HOUR_MS, .help = "refused calls of one source that repeat one within it share a record; 0: each has its own"},
    {.key = "journal.enabled", .type = SETTING_BOOL, .offset = AT(journal.enabled), .fallback = "true",
     .help = "false: nothing is recorded; for measuring only"},
    {.key = "journal.segment_bytes", .type = SETTING_SIZE, .offset = AT(journal.segment_bytes), .fallback = "64MiB",
     .min = 2 * WM_MAX_ENTRY_BYTES, .max = 1 * GIB, .help = "size of a segment file; the largest entry must fit"},
    {.key = "journal.max_bytes", .type = SETTING_SIZE, .offset = AT(journal.max_bytes), .fallback = "4GiB", .min = 0,
     .max = INT64_MAX, .help = "of all segments; 0: no limit"},
    {.key = "journal.pause_followers", .type = SETTING_LIST, .offset = AT(journal.pause_followers), .fallback = "",
     .valid = config_text_trail_name, .expected = "the name of a trail",
     .help = "trails that a full journal goes on without, which then miss records; calls are refused for the others"},
    {.key = "journal.reads_when_full", .type = SETTING_CHOICE, .offset = AT(journal.reads_when_full),
     .fallback = "refuse", .expected = "refuse|answer",
     .help = "answer: calls that cannot change anything are answered, unrecorded, when nothing can be recorded"},
    {.key = "audit.locked", .type = SETTING_BOOL, .offset = AT(audit.locked), .fallback = "false",
     .help = "true: nobody, root included, may stop, change or remove a trail by a call"},
    {.key = "keys.passphrase_file", .type = SETTING_TEXT, .offset = AT(keys.passphrase_file), .fallback = "",
     .help = "encrypts private keys; default: the systemd credential waymark.passphrase, or in the clear"},
    {.key = "keys.token", .type = SETTING_TEXT, .offset = AT(keys.token), .fallback = "", .valid = config_text_token,
     .expected = "a PKCS#11 URI, such as pkcs11:token=waymark",
     .help = "the PKCS#11 token that holds the keys; default: they are in files"},
    {.key = "keys.token_module", .type = SETTING_TEXT, .offset = AT(keys.token_module), .fallback = "",
     .help = "the token's PKCS#11 module, such as /usr/lib/softhsm/libsofthsm2.so"},
    {.key = "keys.token_pin_file", .type = SETTING_TEXT, .offset = AT(keys.token_pin_file), .fallback = "",
     .help = "the token's user PIN; default: the systemd credential waymark.token-pin"},
};
#undef AT
static_assert(offsetof(struct wm_config, http.n_trusted_proxies) - offsetof(struct wm_config, http.trusted_proxies) ==
                      offsetof(struct text_list, n) &&
                  offsetof(struct wm_config, http.n_cors_origins) - offsetof(struct wm_config, http.cors_origins) ==
                      offsetof(struct text_list, n) &&
                  offsetof(struct wm_config, journal.n_pause_followers) -
                          offsetof(struct wm_config, journal.pause_followers) == offsetof(struct text_list, n),
              "lists stand in the settings as in struct text_list");

#define AT(member) offsetof(struct wm_config_trail, member)
static const struct setting trail_rows[] = {
    {.key = "name", .type = SETTING_TEXT, .offset = AT(name), .fallback = "", .valid = config_text_trail_name,
     .expected = "3 to 128 of A-Z a-z 0-9 . _ -, the first and last a letter or digit, no two of ._- together, "
                 "not an IP address",
     .help = "name of the trail, CloudTrail's rules"},
    {.key = "store", .type = SETTING_CHOICE, .offset = AT(store), .fallback = "file", .expected = "file|s3",
     .help = "deliver into a folder, or into a bucket behind an S3 API"},
    {.key = "folder", .type = SETTING_TEXT, .offset = AT(folder), .fallback = "", .only = "file",
     .help = "default: DATA_DIR/bucket"},
    {.key = "bucket", .type = SETTING_TEXT, .offset = AT(bucket), .fallback = "", .valid = config_text_bucket,
     .expected = "a bucket name: 3 to 63 of a-z 0-9 . -, the first and last a letter or digit, no two dots together, "
                 "not an IP address",
     .help = "s3: required; file: the name that digests give the folder, default waymark"},
    {.key = "prefix", .type = SETTING_TEXT, .offset = AT(prefix), .fallback = "", .valid = config_text_prefix,
     .expected = "at most 200 of A-Z a-z 0-9 ! - _ . * ' ( ) and / between parts, no slash at the ends, "
                 "no part empty, . or ..",
     .help = "keys begin with it"},
    {.key = "endpoint", .type = SETTING_TEXT, .offset = AT(endpoint), .fallback = "", .valid = config_text_endpoint,
     .expected = "http://HOST[:PORT] or https://HOST[:PORT], without a path", .only = "s3",
     .help = "default: https://s3.REGION.amazonaws.com"},
    {.key = "region", .type = SETTING_TEXT, .offset = AT(region), .fallback = "", .valid = config_text_store_region,
     .expected = "1 to 64 of A-Z a-z 0-9 _ -", .only = "s3", .help = "of the bucket; default: the server's region"},
    {.key = "addressing", .type = SETTING_CHOICE, .offset = AT(addressing), .fallback = "path",
     .expected = "path|virtual", .only = "s3", .help = "bucket in the path, or in the host name"},
    {.key = "credentials_file", .type = SETTING_TEXT, .offset = AT(credentials_file), .fallback = "",
     .only = "s3", .help = "shared-credentials file; default: as the AWS SDKs find them in the environment"},
    {.key = "profile", .type = SETTING_TEXT, .offset = AT(profile), .fallback = "", .only = "s3",
     .help = "profile in that file; default: default"},
    {.key = "role_arn", .type = SETTING_TEXT, .offset = AT(role_arn), .fallback = "", .valid = config_text_role_arn,
     .expected = "arn:…:iam:… of 20 to 2048 characters without blanks", .only = "s3",
     .help = "role to assume with these credentials, by STS; default: none"},
    {.key = "role_external_id", .type = SETTING_TEXT, .offset = AT(role_external_id), .fallback = "",
     .valid = config_text_external_id, .expected = "2 to 1224 of A-Z a-z 0-9 _ + = , . @ : / -", .only = "s3",
     .with = "role_arn", .help = "external id that the role asks for"},
    {.key = "sts_endpoint", .type = SETTING_TEXT, .offset = AT(sts_endpoint), .fallback = "",
     .valid = config_text_endpoint, .expected = "http://HOST[:PORT] or https://HOST[:PORT], without a path",
     .only = "s3", .with = "role_arn",
     .help = "default: https://sts.REGION.amazonaws.com"},
    {.key = "ca_file", .type = SETTING_TEXT, .offset = AT(ca_file), .fallback = "", .only = "s3",
     .help = "PEM file of the authorities to trust, and no others; default: the system's"},
    {.key = "proxy", .type = SETTING_TEXT, .offset = AT(proxy), .fallback = "", .valid = config_text_proxy,
     .expected = "http://HOST:PORT or https://HOST:PORT without a login, or none", .only = "s3",
     .help = "HTTP proxy; none: the environment's neither; default: the environment's"},
    {.key = "acl", .type = SETTING_CHOICE, .offset = AT(acl), .fallback = "bucket-owner-full-control",
     .expected = "none|private|bucket-owner-read|bucket-owner-full-control", .only = "s3",
     .help = "canned ACL of each object; none: no such header"},
    {.key = "encryption", .type = SETTING_CHOICE, .offset = AT(encryption), .fallback = "none",
     .expected = "none|AES256|aws:kms", .only = "s3", .help = "server-side encryption to ask the store for"},
    {.key = "kms_key_id", .type = SETTING_TEXT, .offset = AT(kms_key_id), .fallback = "", .valid = config_text_word,
     .expected = "at most 2048 visible characters", .only = "s3", .with = "encryption", .with_value = "aws:kms",
     .help = "key for aws:kms; default: the store's own"},
    {.key = "storage_class", .type = SETTING_TEXT, .offset = AT(storage_class), .fallback = "",
     .valid = config_text_store_region, .expected = "1 to 64 of A-Z a-z 0-9 _ -, such as STANDARD_IA", .only = "s3",
     .help = "default: the bucket's"},
    {.key = "tags", .type = SETTING_TEXT, .offset = AT(tags), .fallback = "", .valid = config_text_tags,
     .expected = "at most 10 KEY=VALUE with commas between, no key twice, of letters, digits, blanks and "
                 "+ - = . _ : / @",
     .only = "s3", .help = "tags of each object, such as team=audit,kept=7 years"},
    {.key = "object_lock", .type = SETTING_CHOICE, .offset = AT(object_lock), .fallback = "none",
     .expected = "none|GOVERNANCE|COMPLIANCE", .only = "s3",
     .help = "forbid to delete and overwrite each object; the bucket must have been made with object lock"},
    {.key = "object_lock_days", .type = SETTING_COUNT, .offset = AT(object_lock_days), .fallback = "0", .min = 0,
     .max = 36500, .only = "s3", .with = "object_lock", .help = "from the upload on"},
    {.key = "codec", .type = SETTING_CHOICE, .offset = AT(codec), .fallback = "zstd", .expected = "zstd|gzip",
     .help = "gzip is what AWS's own tools read"},
    {.key = "codec_level", .type = SETTING_COUNT, .offset = AT(codec_level), .fallback = "0", .min = 0, .max = 19,
     .help = "1 to 19 for zstd, 1 to 12 for gzip; 0: the codec's default"},
    {.key = "batch_bytes", .type = SETTING_SIZE, .offset = AT(batch_bytes), .fallback = "40MB", .min = 64 * KIB,
     .max = WM_MAX_BATCH_BYTES, .help = "a trail file holds at most so much, before compression"},
    {.key = "batch_records", .type = SETTING_COUNT, .offset = AT(batch_records), .fallback = "100000", .min = 1,
     .max = 1000000, .help = "and at most so many records"},
    {.key = "batch_age", .type = SETTING_TIME_MS, .offset = AT(batch_age_ms), .fallback = "60s", .min = 10,
     .max = HOUR_MS, .help = "a record waits at most so long for company"},
    {.key = "late_after", .type = SETTING_TIME_MS, .offset = AT(late_after_ms), .fallback = "15m", .min = 0,
     .max = 24 * HOUR_MS, .help = "a record this much later than batch_age says that it was delayed; 0: none does"},
    {.key = "uploads", .type = SETTING_COUNT, .offset = AT(uploads), .fallback = "4", .min = 1,
     .max = 16, .help = "files on their way at the same time"},
    {.key = "digest_period", .type = SETTING_TIME_S, .offset = AT(digest_period_s), .fallback = "1h", .min = 1,
     .max = 86400, .help = "a signed digest seals each period"},
};
#undef AT

#define N_ROWS(rows) (sizeof(rows) / sizeof(rows)[0])
static_assert(N_ROWS(server_rows) <= CONFIG_MAX_SETTINGS && N_ROWS(trail_rows) <= CONFIG_MAX_SETTINGS,
              "each row has a place for its origin");

const struct setting_table *config_settings(size_t trail)
{
    static const struct setting_table server = {server_rows, N_ROWS(server_rows)};
    static const struct setting_table trails = {trail_rows, N_ROWS(trail_rows)};
    return trail == NO_TRAIL ? &server : &trails;
}

const struct setting *config_setting(size_t trail, const char *key)
{
    const struct setting_table *table = config_settings(trail);
    for (size_t i = 0; i < table->n; i++)
        if (strcmp(table->rows[i].key, key) == 0)
            return &table->rows[i];
    WM_ASSERT(!"a rule names a setting that is none");
    return NULL;
}

void setting_path(const struct setting *s, size_t trail, char out[CONFIG_NAME_BYTES])
{
    if (trail == NO_TRAIL)
        (void)snprintf(out, CONFIG_NAME_BYTES, "%s", s->key); /* keys are ours and short */
    else
        (void)snprintf(out, CONFIG_NAME_BYTES, "trails[%zu].%s", trail, s->key);
}

void setting_variable(const struct setting *s, size_t trail, char out[CONFIG_NAME_BYTES])
{
    int n = trail == NO_TRAIL ? snprintf(out, CONFIG_NAME_BYTES, "WAYMARK_%s", s->key)
                              : snprintf(out, CONFIG_NAME_BYTES, "WAYMARK_TRAILS_%zu_%s", trail, s->key);
    for (int i = 0; i < n && (size_t)i < CONFIG_NAME_BYTES; i++) {
        if (out[i] == '.')
            out[i] = '_';
        else if (out[i] >= 'a' && out[i] <= 'z')
            out[i] = (char)(out[i] - 'a' + 'A');
    }
}

void setting_flag(const struct setting *s, char out[CONFIG_NAME_BYTES])
{
    int n = snprintf(out, CONFIG_NAME_BYTES, "--%s", s->key);
    for (int i = 2; i < n && (size_t)i < CONFIG_NAME_BYTES; i++)
        if (out[i] == '_')
            out[i] = '-';
}

/* The common settings have a flag: those of the server that stand in no section, but the account. */
bool setting_has_flag(const struct setting *s)
{
    return strcmp(s->key, "data_dir") == 0 || strcmp(s->key, "listen") == 0 || strcmp(s->key, "log_level") == 0;
}
