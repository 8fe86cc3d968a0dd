/*
 * Settings. Everything that can be set is a row of one of two tables: the server's, and one for each trail. File,
 * environment, flags, --help and --dump-config all walk them, so that a new setting is a new row.
 *
 * A value keeps its origin (line of the file, variable, flag), so that also a rule between two settings names the
 * place where the wrong one was given.
 */
#include "waymark/config.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "waymark/arena.h"
#include "waymark/board.h"
#include "waymark/bounds.h"
#include "waymark/io.h"
#include "waymark/tags.h"
#include "waymark/trail_name.h"

#include "waymark/banned.h"

extern char **environ;

/* A settings file is some 10 KB; more is not a settings file. */
#define CONFIG_MAX_FILE_BYTES (1024u * 1024u)
#define CONFIG_MAX_MEMORY_BYTES (4u * 1024u * 1024u)
#define CONFIG_MAX_LIST 64u
/* Longest name of a setting, such as "trails[63].credentials_file" or "WAYMARK_TRAILS_63_CREDENTIALS_FILE". */
#define CONFIG_NAME_BYTES 96u
#define CONFIG_NUMBER_BYTES 32u

#define KIB ((int64_t)1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define MINUTE_MS ((int64_t)60 * 1000)
#define HOUR_MS (60 * MINUTE_MS)

enum setting_type {
    SETTING_TEXT,       /* const char * */
    SETTING_CHOICE,     /* const char *, one of expected, which lists them with '|' between */
    SETTING_LEVEL,      /* enum wm_log_level, likewise */
    SETTING_BOOL,       /* bool */
    SETTING_COUNT,      /* int64_t */
    SETTING_SIZE,       /* int64_t bytes, written with a unit */
    SETTING_TIME_MS,    /* int64_t, written with a unit */
    SETTING_TIME_S,     /* likewise */
    SETTING_LIST,       /* struct text_list */
};

/* The settings have its two members one after the other. */
struct text_list {
    const char *const *items;
    size_t n;
};

struct setting {
    const char *key;      /* "http.threads"; of a trail without "trails[0]." */
    enum setting_type type;
    size_t offset;        /* in struct wm_config or struct wm_config_trail */
    const char *fallback; /* the default, as one would write it */
    int64_t min, max;     /* of a number */
    const char *expected; /* of a text: the rule in words, or the choices */
    bool (*valid)(struct wm_view v);
    const char *only;     /* trail: the store for which it means anything; NULL: both */
    const char *with;     /* trail: a setting without which it means nothing; NULL: none */
    const char *with_value; /* which that must have; NULL: any but its default */
    const char *help;
};

static bool text_any(struct wm_view v);
static bool text_some(struct wm_view v);
static bool text_listen(struct wm_view v);
static bool text_account(struct wm_view v);
static bool text_region(struct wm_view v);
static bool text_store_region(struct wm_view v);
static bool text_trail_name(struct wm_view v);
static bool text_bucket(struct wm_view v);
static bool text_prefix(struct wm_view v);
static bool text_endpoint(struct wm_view v);
static bool text_address_block(struct wm_view v);
static bool text_role_arn(struct wm_view v);
static bool text_external_id(struct wm_view v);
static bool text_proxy(struct wm_view v);
static bool text_word(struct wm_view v);
static bool text_tags(struct wm_view v);
static bool text_token(struct wm_view v);

#define AT(member) offsetof(struct wm_config, member)
static const struct setting server_settings[] = {
    {.key = "data_dir", .type = SETTING_TEXT, .offset = AT(data_dir), .fallback = "var", .valid = text_some,
     .expected = "a folder", .help = "journal, state, keys, credentials; made when absent"},
    {.key = "listen", .type = SETTING_TEXT, .offset = AT(listen), .fallback = "127.0.0.1:8480", .valid = text_listen,
     .expected = "ADDRESS:PORT with a numeric address, such as 127.0.0.1:8480 or [::1]:0",
     .help = "address and port of the API; port 0 takes a free one"},
    {.key = "account_id", .type = SETTING_TEXT, .offset = AT(account_id), .fallback = "123456789012",
     .valid = text_account, .expected = "12 digits", .help = "account in ARNs, records and object keys"},
    {.key = "region", .type = SETTING_TEXT, .offset = AT(region), .fallback = "us-east-1", .valid = text_region,
     .expected = "a region that readers of trail files know the form of: two letters, perhaps -gov or -cn, 4 to 9 "
                 "letters or digits, one digit, such as us-east-1",
     .help = "region in ARNs, records and object keys"},
    {.key = "log_level", .type = SETTING_LEVEL, .offset = AT(log_level), .fallback = "notice",
     .expected = "error|warning|notice|info|debug", .help = "how much is logged; info shows a line for each call"},
    {.key = "http.threads", .type = SETTING_COUNT, .offset = AT(http.threads), .fallback = "1", .min = 1, .max = 64,
     .help = "event loops"},
    {.key = "http.max_connections", .type = SETTING_COUNT, .offset = AT(http.max_connections), .fallback = "4096",
     .min = 1, .max = 1000000, .help = "open connections, over all threads"},
    /* Headers with a session token are some 2.5 KiB, and the library zeroes all of this after each request (limits.md 1.1). */
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
     .valid = text_address_block, .expected = "an address or block, such as 10.0.0.5, 10.0.0.0/8 or fd00::/8",
     .help = "addresses or blocks whose X-Forwarded-For is believed"},
    {.key = "journal.enabled", .type = SETTING_BOOL, .offset = AT(journal.enabled), .fallback = "true",
     .help = "false: nothing is recorded; for measuring only"},
    {.key = "journal.segment_bytes", .type = SETTING_SIZE, .offset = AT(journal.segment_bytes), .fallback = "64MiB",
     .min = 2 * WM_MAX_ENTRY_BYTES, .max = 1 * GIB, .help = "size of a segment file; the largest entry must fit"},
    {.key = "journal.max_bytes", .type = SETTING_SIZE, .offset = AT(journal.max_bytes), .fallback = "4GiB", .min = 0,
     .max = INT64_MAX, .help = "of all segments; 0: no limit"},
    {.key = "journal.pause_followers", .type = SETTING_LIST, .offset = AT(journal.pause_followers), .fallback = "",
     .valid = text_trail_name, .expected = "the name of a trail",
     .help = "trails that a full journal goes on without, which then miss records; calls are refused for the others"},
    {.key = "journal.reads_when_full", .type = SETTING_CHOICE, .offset = AT(journal.reads_when_full),
     .fallback = "refuse", .expected = "refuse|answer",
     .help = "answer: calls that cannot change anything are answered, unrecorded, when nothing can be recorded"},
    {.key = "keys.passphrase_file", .type = SETTING_TEXT, .offset = AT(keys.passphrase_file), .fallback = "",
     .valid = text_any, .help = "encrypts private keys; default: the systemd credential waymark.passphrase, or in the clear"},
    {.key = "keys.token", .type = SETTING_TEXT, .offset = AT(keys.token), .fallback = "", .valid = text_token,
     .expected = "a PKCS#11 URI, such as pkcs11:token=waymark",
     .help = "the PKCS#11 token that holds the keys; default: they are in files"},
    {.key = "keys.token_module", .type = SETTING_TEXT, .offset = AT(keys.token_module), .fallback = "",
     .valid = text_any, .help = "the token's PKCS#11 module, such as /usr/lib/softhsm/libsofthsm2.so"},
    {.key = "keys.token_pin_file", .type = SETTING_TEXT, .offset = AT(keys.token_pin_file), .fallback = "",
     .valid = text_any, .help = "the token's user PIN; default: the systemd credential waymark.token-pin"},
};
#undef AT
static_assert(offsetof(struct wm_config, http.n_trusted_proxies) - offsetof(struct wm_config, http.trusted_proxies) ==
                      offsetof(struct text_list, n) &&
                  offsetof(struct wm_config, journal.n_pause_followers) -
                          offsetof(struct wm_config, journal.pause_followers) == offsetof(struct text_list, n),
              "lists stand in the settings as in struct text_list");

#define AT(member) offsetof(struct wm_config_trail, member)
static const struct setting trail_settings[] = {
    {.key = "name", .type = SETTING_TEXT, .offset = AT(name), .fallback = "", .valid = text_trail_name,
     .expected = "3 to 128 of A-Z a-z 0-9 . _ -, the first and last a letter or digit, no two of ._- together, "
                 "not an IP address",
     .help = "name of the trail, CloudTrail's rules"},
    {.key = "store", .type = SETTING_CHOICE, .offset = AT(store), .fallback = "file", .expected = "file|s3",
     .help = "deliver into a folder, or into a bucket behind an S3 API"},
    {.key = "folder", .type = SETTING_TEXT, .offset = AT(folder), .fallback = "", .valid = text_any, .only = "file",
     .help = "default: DATA_DIR/bucket"},
    {.key = "bucket", .type = SETTING_TEXT, .offset = AT(bucket), .fallback = "", .valid = text_bucket,
     .expected = "a bucket name: 3 to 63 of a-z 0-9 . -, the first and last a letter or digit, no two dots together, "
                 "not an IP address",
     .help = "s3: required; file: the name that digests give the folder, default waymark"},
    {.key = "prefix", .type = SETTING_TEXT, .offset = AT(prefix), .fallback = "", .valid = text_prefix,
     .expected = "at most 200 of A-Z a-z 0-9 ! - _ . * ' ( ) and / between parts, no slash at the ends, "
                 "no part empty, . or ..",
     .help = "keys begin with it"},
    {.key = "endpoint", .type = SETTING_TEXT, .offset = AT(endpoint), .fallback = "", .valid = text_endpoint,
     .expected = "http://HOST[:PORT] or https://HOST[:PORT], without a path", .only = "s3",
     .help = "default: https://s3.REGION.amazonaws.com"},
    {.key = "region", .type = SETTING_TEXT, .offset = AT(region), .fallback = "", .valid = text_store_region,
     .expected = "1 to 64 of A-Z a-z 0-9 _ -", .only = "s3", .help = "of the bucket; default: the server's region"},
    {.key = "addressing", .type = SETTING_CHOICE, .offset = AT(addressing), .fallback = "path",
     .expected = "path|virtual", .only = "s3", .help = "bucket in the path, or in the host name"},
    {.key = "credentials_file", .type = SETTING_TEXT, .offset = AT(credentials_file), .fallback = "", .valid = text_any,
     .only = "s3", .help = "shared-credentials file; default: as the AWS SDKs find them in the environment"},
    {.key = "profile", .type = SETTING_TEXT, .offset = AT(profile), .fallback = "", .valid = text_any, .only = "s3",
     .help = "profile in that file; default: default"},
    {.key = "role_arn", .type = SETTING_TEXT, .offset = AT(role_arn), .fallback = "", .valid = text_role_arn,
     .expected = "arn:…:iam:… of 20 to 2048 characters without blanks", .only = "s3",
     .help = "role to assume with these credentials, by STS; default: none"},
    {.key = "role_external_id", .type = SETTING_TEXT, .offset = AT(role_external_id), .fallback = "",
     .valid = text_external_id, .expected = "2 to 1224 of A-Z a-z 0-9 _ + = , . @ : / -", .only = "s3",
     .with = "role_arn", .help = "external id that the role asks for"},
    {.key = "sts_endpoint", .type = SETTING_TEXT, .offset = AT(sts_endpoint), .fallback = "", .valid = text_endpoint,
     .expected = "http://HOST[:PORT] or https://HOST[:PORT], without a path", .only = "s3", .with = "role_arn",
     .help = "default: https://sts.REGION.amazonaws.com"},
    {.key = "ca_file", .type = SETTING_TEXT, .offset = AT(ca_file), .fallback = "", .valid = text_any, .only = "s3",
     .help = "PEM file of the authorities to trust, and no others; default: the system's"},
    {.key = "proxy", .type = SETTING_TEXT, .offset = AT(proxy), .fallback = "", .valid = text_proxy,
     .expected = "http://HOST:PORT or https://HOST:PORT without a login, or none", .only = "s3",
     .help = "HTTP proxy; none: the environment's neither; default: the environment's"},
    {.key = "acl", .type = SETTING_CHOICE, .offset = AT(acl), .fallback = "bucket-owner-full-control",
     .expected = "none|private|bucket-owner-read|bucket-owner-full-control", .only = "s3",
     .help = "canned ACL of each object; none: no such header"},
    {.key = "encryption", .type = SETTING_CHOICE, .offset = AT(encryption), .fallback = "none",
     .expected = "none|AES256|aws:kms", .only = "s3", .help = "server-side encryption to ask the store for"},
    {.key = "kms_key_id", .type = SETTING_TEXT, .offset = AT(kms_key_id), .fallback = "", .valid = text_word,
     .expected = "at most 2048 visible characters", .only = "s3", .with = "encryption", .with_value = "aws:kms",
     .help = "key for aws:kms; default: the store's own"},
    {.key = "storage_class", .type = SETTING_TEXT, .offset = AT(storage_class), .fallback = "",
     .valid = text_store_region, .expected = "1 to 64 of A-Z a-z 0-9 _ -, such as STANDARD_IA", .only = "s3",
     .help = "default: the bucket's"},
    {.key = "tags", .type = SETTING_TEXT, .offset = AT(tags), .fallback = "", .valid = text_tags,
     .expected = "at most 10 KEY=VALUE with commas between, no key twice, of letters, digits, blanks and + - = . _ : / @",
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

#define N_SERVER (sizeof server_settings / sizeof server_settings[0])
#define N_TRAIL (sizeof trail_settings / sizeof trail_settings[0])

/* Where a value comes from. */
struct origin {
    enum { ORIGIN_DEFAULT, ORIGIN_FILE, ORIGIN_ENVIRONMENT, ORIGIN_FLAG } kind;
    size_t line; /* ORIGIN_FILE, from 1 */
};

struct config {
    struct wm_config pub; /* first: wm_config_free() casts back */
    struct wm_arena memory;
    const char *file;     /* NULL: none */
    struct origin server[N_SERVER];
    struct origin trails_origin;
    struct config_trail {
        struct origin self;
        struct origin settings[N_TRAIL];
    } trails[WM_BOARD_MAX_TRAILS];
};

#define NO_TRAIL SIZE_MAX

static struct config *config_of(struct wm_config *pub)
{
    return (struct config *)(void *)pub;
}

/* ---- names and messages ---- */

/* "http.threads", "trails[0].name" */
static void setting_path(const struct setting *s, size_t trail, char out[CONFIG_NAME_BYTES])
{
    if (trail == NO_TRAIL)
        (void)snprintf(out, CONFIG_NAME_BYTES, "%s", s->key); /* keys are ours and short */
    else
        (void)snprintf(out, CONFIG_NAME_BYTES, "trails[%zu].%s", trail, s->key);
}

/* "WAYMARK_HTTP_THREADS", "WAYMARK_TRAILS_0_NAME" */
static void setting_variable(const struct setting *s, size_t trail, char out[CONFIG_NAME_BYTES])
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

/* "--data-dir" */
static void setting_flag(const struct setting *s, char out[CONFIG_NAME_BYTES])
{
    int n = snprintf(out, CONFIG_NAME_BYTES, "--%s", s->key);
    for (int i = 2; i < n && (size_t)i < CONFIG_NAME_BYTES; i++)
        if (out[i] == '_')
            out[i] = '-';
}

/* The common settings have a flag: those of the server that stand in no section, but the account. */
static bool setting_has_flag(const struct setting *s)
{
    return strcmp(s->key, "data_dir") == 0 || strcmp(s->key, "listen") == 0 || strcmp(s->key, "log_level") == 0;
}

/* How a message begins: "FILE:LINE: http.threads", "environment WAYMARK_HTTP_THREADS", "--listen". */
static void setting_place(const struct config *c, const struct setting *s, size_t trail, const struct origin *o,
                          struct wm_buf *out)
{
    char name[CONFIG_NAME_BYTES];
    switch (o->kind) {
    case ORIGIN_FILE:
        setting_path(s, trail, name);
        wm_buf_addf(out, "%s:%zu: %s", c->file, o->line, name);
        return;
    case ORIGIN_ENVIRONMENT:
        setting_variable(s, trail, name);
        wm_buf_addf(out, "environment %s", name);
        return;
    case ORIGIN_FLAG:
        setting_flag(s, name);
        wm_buf_add_str(out, name);
        return;
    case ORIGIN_DEFAULT:
        setting_path(s, trail, name);
        wm_buf_add_str(out, name);
        return;
    }
}

static enum wm_status config_fail(const struct config *c, const struct setting *s, size_t trail,
                                  const struct origin *o, struct wm_err *err, const char *fmt, ...) WM_PRINTF(6, 7);
static enum wm_status config_fail(const struct config *c, const struct setting *s, size_t trail,
                                  const struct origin *o, struct wm_err *err, const char *fmt, ...)
{
    struct wm_buf place;
    wm_buf_init(&place, WM_ERR_MESSAGE_BYTES);
    setting_place(c, s, trail, o, &place);
    char what[WM_ERR_MESSAGE_BYTES];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(what, sizeof what, fmt, args); /* a cut message is still a message */
    va_end(args);
    enum wm_status status = wm_fail(err, WM_E_INVALID, "%s: %s", wm_buf_cstr(&place), what);
    wm_buf_done(&place);
    return status;
}

/* Edits between two words (Levenshtein), for "did you mean"; words longer than CONFIG_NAME_BYTES are far apart. */
static size_t word_distance(struct wm_view a, struct wm_view b)
{
    if (a.len >= CONFIG_NAME_BYTES || b.len >= CONFIG_NAME_BYTES)
        return SIZE_MAX;
    size_t row[CONFIG_NAME_BYTES];
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t up = row[j];
            size_t best = diagonal + (a.ptr[i - 1] != b.ptr[j - 1]);
            if (up + 1 < best)
                best = up + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = up;
            row[j] = best;
        }
    }
    return row[b.len];
}

/* Keeps the nearest of the words offered, if it is near enough to be a slip of the hand, or a name with its unit. */
struct guess {
    struct wm_view wrong;
    size_t distance;
    char best[CONFIG_NAME_BYTES];
};

static void guess_offer(struct guess *g, struct wm_view word)
{
    size_t distance = word_distance(g->wrong, word);
    bool extended = word.len >= 4 && g->wrong.len > word.len && memcmp(g->wrong.ptr, word.ptr, word.len) == 0 &&
                    g->wrong.ptr[word.len] == '_';
    if (extended && distance > 2)
        distance = 2;
    size_t allowed = g->wrong.len < 6 ? 1 : 2;
    if (distance <= allowed && (g->best[0] == '\0' || distance < g->distance) &&
        wm_view_copy(word, g->best, sizeof g->best))
        g->distance = distance;
}

/* ---- rules for texts ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_alnum(char c)
{
    return is_digit(c) || is_lower(c) || (c >= 'A' && c <= 'Z');
}

static bool text_any(struct wm_view v)
{
    (void)v;
    return true;
}

static bool text_some(struct wm_view v)
{
    return v.len > 0;
}

static bool is_address(struct wm_view v, int family)
{
    char text[INET6_ADDRSTRLEN];
    unsigned char address[sizeof(struct in6_addr)];
    return wm_view_copy(v, text, sizeof text) && inet_pton(family, text, address) == 1;
}

static bool text_listen(struct wm_view v)
{
    size_t colon = wm_view_rfind(v, ':');
    uint64_t port;
    if (colon == v.len || wm_view_to_u64(wm_view_sub(v, colon + 1, v.len), 65535, &port) != WM_OK)
        return false;
    struct wm_view host = wm_view_sub(v, 0, colon);
    if (wm_view_starts(host, "[") && wm_view_ends(host, "]"))
        return is_address(wm_view_sub(host, 1, host.len - 1), AF_INET6);
    return is_address(host, AF_INET);
}

static bool text_account(struct wm_view v)
{
    for (size_t i = 0; i < v.len; i++)
        if (!is_digit(v.ptr[i]))
            return false;
    return v.len == 12;
}

/* The strictest of the expressions by which readers of trail files find the region in a key (Datadog's forwarder). */
static bool text_region(struct wm_view v)
{
    struct wm_view rest = v;
    struct wm_view part = wm_view_split(&rest, '-');
    if (part.len != 2 || !is_lower(part.ptr[0]) || !is_lower(part.ptr[1]))
        return false;
    part = wm_view_split(&rest, '-');
    if (wm_view_eq_str(part, "gov") || wm_view_eq_str(part, "cn"))
        part = wm_view_split(&rest, '-');
    if (part.len < 4 || part.len > 9)
        return false;
    for (size_t i = 0; i < part.len; i++)
        if (!is_lower(part.ptr[i]) && !is_digit(part.ptr[i]))
            return false;
    return rest.len == 1 && is_digit(rest.ptr[0]);
}

static bool text_store_region(struct wm_view v)
{
    for (size_t i = 0; i < v.len; i++)
        if (!is_alnum(v.ptr[i]) && v.ptr[i] != '-' && v.ptr[i] != '_')
            return false;
    return v.len <= 64;
}

static bool text_trail_name(struct wm_view v)
{
    return wm_trail_name_valid(v, NULL) == WM_OK;
}

/* Amazon S3 User Guide, "General purpose bucket naming rules". The empty name is the default. */
static bool text_bucket(struct wm_view v)
{
    if (v.len == 0)
        return true;
    if (v.len < 3 || v.len > 63)
        return false;
    for (size_t i = 0; i < v.len; i++) {
        bool edge = i == 0 || i == v.len - 1;
        char ch = v.ptr[i];
        if (is_lower(ch) || is_digit(ch))
            continue;
        if (edge || (ch != '-' && ch != '.') || (ch == '.' && v.ptr[i - 1] == '.'))
            return false;
    }
    return !is_address(v, AF_INET);
}

/* Amazon S3 User Guide, "Naming Amazon S3 objects", safe characters; 200: CloudTrail API Reference, S3KeyPrefix. */
static bool text_prefix(struct wm_view v)
{
    if (v.len == 0)
        return true;
    if (v.len > 200 || wm_view_ends(v, "/"))
        return false;
    struct wm_view rest = v;
    while (rest.len > 0) {
        struct wm_view part = wm_view_split(&rest, '/');
        if (part.len == 0 || wm_view_eq_str(part, ".") || wm_view_eq_str(part, ".."))
            return false;
        for (size_t i = 0; i < part.len; i++)
            if (!is_alnum(part.ptr[i]) && (part.ptr[i] == '\0' || !strchr("!-_.*'()", part.ptr[i])))
                return false;
    }
    return true;
}

static bool text_endpoint(struct wm_view v)
{
    if (v.len == 0)
        return true;
    size_t scheme = wm_view_starts(v, "http://") ? 7 : wm_view_starts(v, "https://") ? 8 : 0;
    struct wm_view host = wm_view_sub(v, scheme, v.len);
    if (scheme == 0 || host.len == 0 || host.len > 255)
        return false;
    size_t bracket = wm_view_rfind(host, ']');
    if (host.ptr[0] == '[') {
        if (bracket == host.len || !is_address(wm_view_sub(host, 1, bracket), AF_INET6))
            return false;
        host = wm_view_sub(host, bracket + 1, host.len);
        if (host.len == 0)
            return true;
        if (host.ptr[0] != ':')
            return false;
    } else {
        size_t colon = wm_view_find(host, ':');
        for (size_t i = 0; i < colon; i++)
            if (!is_alnum(host.ptr[i]) && host.ptr[i] != '-' && host.ptr[i] != '.' && host.ptr[i] != '_')
                return false;
        if (colon == 0)
            return false;
        if (colon == host.len)
            return true;
        host = wm_view_sub(host, colon, host.len);
    }
    uint64_t port;
    return wm_view_to_u64(wm_view_sub(host, 1, host.len), 65535, &port) == WM_OK && port > 0;
}

/* What an ARN or a key's name has: no blank, no control character, ASCII. */
static bool text_word(struct wm_view v)
{
    for (size_t i = 0; i < v.len; i++)
        if (v.ptr[i] <= ' ' || v.ptr[i] == 0x7f)
            return false;
    return v.len <= 2048;
}

/* AWS STS API Reference, "AssumeRole": RoleArn, ExternalId. MinIO's roles are "arn:minio:iam:::role/…". */
static bool text_role_arn(struct wm_view v)
{
    return v.len == 0 || (v.len >= 20 && wm_view_starts(v, "arn:") && text_word(v));
}

static bool text_external_id(struct wm_view v)
{
    for (size_t i = 0; i < v.len; i++)
        if (!is_alnum(v.ptr[i]) && (v.ptr[i] == '\0' || !strchr("_+=,.@:/-", v.ptr[i])))
            return false;
    return v.len == 0 || (v.len >= 2 && v.len <= 1224);
}

static bool text_proxy(struct wm_view v)
{
    return wm_view_eq_str(v, "none") || text_endpoint(v);
}

static bool text_tags(struct wm_view v)
{
    return wm_tags_valid(v);
}

static bool text_address_block(struct wm_view v)
{
    size_t slash = wm_view_find(v, '/');
    struct wm_view address = wm_view_sub(v, 0, slash);
    uint64_t most = is_address(address, AF_INET) ? 32 : is_address(address, AF_INET6) ? 128 : 0;
    uint64_t bits;
    if (most == 0)
        return false;
    return slash == v.len || wm_view_to_u64(wm_view_sub(v, slash + 1, v.len), most, &bits) == WM_OK;
}

/* The rest of it is read by who opens the token. */
static bool text_token(struct wm_view v)
{
    return v.len == 0 || wm_view_starts(v, "pkcs11:");
}

/* ---- numbers with units ---- */

struct unit {
    const char *name;
    int64_t factor;
};

/* Largest first, so that a number is printed with the largest unit that divides it. */
static const struct unit size_units[] = {
    {"TiB", 1024 * GIB},    {"GiB", GIB},        {"MiB", MIB},     {"KiB", KIB}, {"TB", 1000000000000ll},
    {"GB", 1000000000ll},   {"MB", 1000000},     {"KB", 1000},     {"B", 1},     {NULL, 0},
};
static const struct unit ms_units[] = {
    {"d", 24 * HOUR_MS}, {"h", HOUR_MS}, {"m", MINUTE_MS}, {"s", 1000}, {"ms", 1}, {NULL, 0},
};
static const struct unit s_units[] = {
    {"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}, {NULL, 0},
};

static const struct unit *setting_units(const struct setting *s)
{
    switch (s->type) {
    case SETTING_SIZE:
        return size_units;
    case SETTING_TIME_MS:
        return ms_units;
    case SETTING_TIME_S:
        return s_units;
    default:
        return NULL;
    }
}

/* As one would write it: 64MiB, 30s, 4096; 0 has no unit. */
static const char *number_text(const struct setting *s, int64_t n, char out[CONFIG_NUMBER_BYTES])
{
    const struct unit *u = setting_units(s);
    while (u && n > 0 && u->name && n % u->factor != 0)
        u++;
    if (!u || n == 0)
        (void)snprintf(out, CONFIG_NUMBER_BYTES, "%lld", (long long)n);
    else
        (void)snprintf(out, CONFIG_NUMBER_BYTES, "%lld%s", (long long)(n / u->factor), u->name);
    return out;
}

/* Digits and a unit. A size without a unit is bytes; a time without one says nothing, but for 0. */
static bool number_parse(const struct setting *s, struct wm_view text, int64_t *out)
{
    size_t digits = 0;
    while (digits < text.len && is_digit(text.ptr[digits]))
        digits++;
    uint64_t n;
    if (wm_view_to_u64(wm_view_sub(text, 0, digits), INT64_MAX, &n) != WM_OK)
        return false;
    struct wm_view name = wm_view_sub(text, digits, text.len);
    const struct unit *u = setting_units(s);
    int64_t factor = 1;
    if (name.len > 0) {
        while (u && u->name && !wm_view_eq_str(name, u->name))
            u++;
        if (!u || !u->name)
            return false;
        factor = u->factor;
    } else if (n > 0 && (s->type == SETTING_TIME_MS || s->type == SETTING_TIME_S)) {
        return false;
    }
    if ((int64_t)n > INT64_MAX / factor)
        return false;
    *out = (int64_t)n * factor;
    return true;
}

static void number_expected(const struct setting *s, char out[128])
{
    char min[CONFIG_NUMBER_BYTES], max[CONFIG_NUMBER_BYTES];
    const char *kind = s->type == SETTING_SIZE      ? "a size with a unit (B, KB, KiB, MB, MiB, GB, GiB)"
                       : s->type == SETTING_TIME_MS ? "a duration with a unit (ms, s, m, h)"
                       : s->type == SETTING_TIME_S  ? "a duration in whole seconds with a unit (s, m, h)"
                                                    : "a number";
    if (s->max == INT64_MAX)
        (void)snprintf(out, 128, "%s from %s on", kind, number_text(s, s->min, min));
    else
        (void)snprintf(out, 128, "%s from %s to %s", kind, number_text(s, s->min, min), number_text(s, s->max, max));
}

/* ---- setting a value ---- */

static void *setting_slot(struct config *c, const struct setting *s, size_t trail)
{
    char *base = trail == NO_TRAIL ? (char *)&c->pub : (char *)&c->pub.trails[trail];
    return base + s->offset;
}

/* Position of v among the choices "a|b|c"; SIZE_MAX when it is none of them. */
static size_t choice_index(const char *choices, struct wm_view v)
{
    struct wm_view rest = wm_view_of(choices);
    for (size_t i = 0; rest.len > 0; i++)
        if (wm_view_eq(wm_view_split(&rest, '|'), v))
            return i;
    return SIZE_MAX;
}

/* How a message shows what was found: one line, not too long. */
static struct wm_view shown(struct wm_view text, char out[64])
{
    size_t n = 0;
    for (size_t i = 0; i < text.len && n < 60; i++)
        out[n++] = (unsigned char)text.ptr[i] < 0x20 ? '?' : text.ptr[i];
    return (struct wm_view){out, n};
}

static enum wm_status config_set(struct config *c, const struct setting *s, size_t trail, const struct origin *o,
                                 struct wm_view text, struct wm_err *err)
{
    char found[64], expected[128], choices[128];
    void *slot = setting_slot(c, s, trail);
    struct wm_view copy = wm_arena_copy(&c->memory, text);
    if (wm_arena_status(&c->memory) != WM_OK)
        return wm_fail(err, WM_E_NOMEM, "no memory for the settings");
    switch (s->type) {
    case SETTING_TEXT:
        if (!s->valid(text) || (text.len > 0 && memchr(text.ptr, '\0', text.len)))
            return config_fail(c, s, trail, o, err, "expected %s, found \"%.*s\"",
                               s->expected ? s->expected : "a text", WM_ARG(shown(text, found)));
        *(const char **)slot = copy.ptr ? copy.ptr : "";
        break;
    case SETTING_CHOICE:
    case SETTING_LEVEL: {
        size_t index = choice_index(s->expected, text);
        if (index == SIZE_MAX) {
            size_t n = 0;
            for (const char *p = s->expected; *p && n + 3 < sizeof choices; p++) {
                if (*p == '|') {
                    choices[n++] = ',';
                    choices[n++] = ' ';
                } else {
                    choices[n++] = *p;
                }
            }
            choices[n] = '\0';
            return config_fail(c, s, trail, o, err, "expected one of %s, found \"%.*s\"", choices,
                               WM_ARG(shown(text, found)));
        }
        if (s->type == SETTING_LEVEL)
            *(enum wm_log_level *)slot = (enum wm_log_level)index;
        else
            *(const char **)slot = copy.ptr;
        break;
    }
    case SETTING_BOOL:
        if (!wm_view_eq_str(text, "true") && !wm_view_eq_str(text, "false"))
            return config_fail(c, s, trail, o, err, "expected true or false, found \"%.*s\"",
                               WM_ARG(shown(text, found)));
        *(bool *)slot = text.len == 4;
        break;
    case SETTING_COUNT:
    case SETTING_SIZE:
    case SETTING_TIME_MS:
    case SETTING_TIME_S: {
        int64_t n;
        if (!number_parse(s, text, &n) || n < s->min || n > s->max) {
            number_expected(s, expected);
            return config_fail(c, s, trail, o, err, "expected %s, found \"%.*s\"", expected,
                               WM_ARG(shown(text, found)));
        }
        *(int64_t *)slot = n;
        break;
    }
    case SETTING_LIST:
        WM_ASSERT(text.len == 0); /* lists come through config_set_list(); this is their default */
        break;
    }
    if (trail == NO_TRAIL)
        c->server[s - server_settings] = *o;
    else
        c->trails[trail].settings[s - trail_settings] = *o;
    return WM_OK;
}

/* @param items  views that live until the call returns */
static enum wm_status config_set_list(struct config *c, const struct setting *s, const struct origin *o,
                                           const struct wm_view *items, size_t n, struct wm_err *err)
{
    char found[64];
    if (n > CONFIG_MAX_LIST)
        return config_fail(c, s, NO_TRAIL, o, err, "expected at most %u values", CONFIG_MAX_LIST);
    const char **list = wm_arena_alloc(&c->memory, (n + 1) * sizeof *list);
    for (size_t i = 0; list && i < n; i++) {
        if (!s->valid(items[i]))
            return config_fail(c, s, NO_TRAIL, o, err, "expected %s, found \"%.*s\"", s->expected,
                               WM_ARG(shown(items[i], found)));
        list[i] = wm_arena_copy(&c->memory, items[i]).ptr;
    }
    if (wm_arena_status(&c->memory) != WM_OK)
        return wm_fail(err, WM_E_NOMEM, "no memory for the settings");
    *(struct text_list *)setting_slot(c, s, NO_TRAIL) = (struct text_list){list, n};
    c->server[s - server_settings] = *o;
    return WM_OK;
}

static enum wm_status config_add_trail(struct config *c, const struct origin *o, struct wm_err *err)
{
    size_t trail = c->pub.n_trails;
    if (trail == WM_BOARD_MAX_TRAILS) {
        if (o->kind == ORIGIN_FILE)
            return wm_fail(err, WM_E_INVALID, "%s:%zu: expected at most %u trails", c->file, o->line,
                           WM_BOARD_MAX_TRAILS);
        return wm_fail(err, WM_E_INVALID, "environment: expected at most %u trails", WM_BOARD_MAX_TRAILS);
    }
    c->pub.n_trails++;
    c->trails[trail].self = *o;
    for (size_t i = 0; i < N_TRAIL; i++) {
        const struct setting *s = &trail_settings[i];
        struct origin fallback = {.kind = ORIGIN_DEFAULT};
        /* A name has no default that its own rule would take. */
        if (s->valid == text_trail_name) {
            *(const char **)setting_slot(c, s, trail) = "";
            c->trails[trail].settings[i] = fallback;
            continue;
        }
        enum wm_status status = config_set(c, s, trail, &fallback, wm_view_of(s->fallback), err);
        if (status != WM_OK)
            return status;
    }
    return WM_OK;
}

static enum wm_status config_set_defaults(struct config *c, struct wm_err *err)
{
    struct origin fallback = {.kind = ORIGIN_DEFAULT};
    for (size_t i = 0; i < N_SERVER; i++) {
        enum wm_status status = config_set(c, &server_settings[i], NO_TRAIL, &fallback,
                                           wm_view_of(server_settings[i].fallback), err);
        if (status != WM_OK)
            return status;
    }
    /* Without a word about trails there is one, so that nothing that is recorded goes nowhere. */
    enum wm_status status = config_add_trail(c, &fallback, err);
    if (status == WM_OK)
        c->pub.trails[0].name = "main";
    return status;
}

/* ---- the file ---- */

struct reader {
    struct config *c;
    yaml_document_t *doc;
    struct wm_err *err;
};

static size_t node_line(const yaml_node_t *n)
{
    return n->start_mark.line + 1;
}

static struct wm_view node_text(const yaml_node_t *n)
{
    return (struct wm_view){(const char *)n->data.scalar.value, n->data.scalar.length};
}

/* "key:" with nothing behind it, ~ or null */
static bool node_is_null(const yaml_node_t *n)
{
    if (n->type != YAML_SCALAR_NODE || n->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    struct wm_view v = node_text(n);
    return v.len == 0 || wm_view_eq_str(v, "~") || wm_view_eq_str(v, "null");
}

static enum wm_status reader_fail(const struct reader *r, size_t line, const char *fmt, ...) WM_PRINTF(3, 4);
static enum wm_status reader_fail(const struct reader *r, size_t line, const char *fmt, ...)
{
    char what[WM_ERR_MESSAGE_BYTES];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(what, sizeof what, fmt, args); /* a cut message is still a message */
    va_end(args);
    return wm_fail(r->err, WM_E_INVALID, "%s:%zu: %s", r->c->file, line, what);
}

static enum wm_status reader_unknown(const struct reader *r, const yaml_node_t *key, const char *section,
                                     const struct guess *g)
{
    char found[64];
    if (g->best[0])
        return reader_fail(r, node_line(key), "unknown key \"%.*s\"%s; did you mean \"%s\"?",
                           WM_ARG(shown(node_text(key), found)), section, g->best);
    return reader_fail(r, node_line(key), "unknown key \"%.*s\"%s", WM_ARG(shown(node_text(key), found)), section);
}

static enum wm_status reader_set(const struct reader *r, const struct setting *s, size_t trail, const yaml_node_t *key,
                                 const yaml_node_t *value)
{
    struct config *c = r->c;
    char name[CONFIG_NAME_BYTES];
    setting_path(s, trail, name);
    const struct origin *before = trail == NO_TRAIL ? &c->server[s - server_settings]
                                                    : &c->trails[trail].settings[s - trail_settings];
    if (before->kind == ORIGIN_FILE)
        return reader_fail(r, node_line(key), "%s is given twice, first on line %zu", name, before->line);
    struct origin o = {ORIGIN_FILE, node_line(key)};
    if (s->type == SETTING_LIST) {
        struct wm_view items[CONFIG_MAX_LIST + 1];
        size_t n = 0;
        if (value->type == YAML_SEQUENCE_NODE) {
            for (yaml_node_item_t *i = value->data.sequence.items.start; i < value->data.sequence.items.top; i++) {
                const yaml_node_t *item = yaml_document_get_node(r->doc, *i);
                if (item->type != YAML_SCALAR_NODE)
                    return reader_fail(r, node_line(item), "%s: expected %s", name, s->expected);
                if (n <= CONFIG_MAX_LIST)
                    items[n++] = node_text(item);
            }
        } else if (!node_is_null(value)) {
            return reader_fail(r, node_line(value), "%s: expected a list", name);
        }
        return config_set_list(c, s, &o, items, n, r->err);
    }
    if (value->type != YAML_SCALAR_NODE)
        return reader_fail(r, node_line(value), "%s: expected one value, found a %s", name,
                           value->type == YAML_MAPPING_NODE ? "section" : "list");
    if (node_is_null(value))
        return reader_fail(r, node_line(key), "%s: expected a value, found nothing", name);
    return config_set(c, s, trail, &o, node_text(value), r->err);
}

static enum wm_status reader_key(const struct reader *r, const yaml_node_pair_t *pair, yaml_node_t **out_key,
                                 yaml_node_t **out_value)
{
    yaml_node_t *key = yaml_document_get_node(r->doc, pair->key);
    if (key->type != YAML_SCALAR_NODE)
        return reader_fail(r, node_line(key), "expected the name of a setting");
    *out_key = key;
    *out_value = yaml_document_get_node(r->doc, pair->value);
    return WM_OK;
}

/* http: or journal: */
static enum wm_status reader_section(const struct reader *r, struct wm_view section, const yaml_node_t *node)
{
    char in[CONFIG_NAME_BYTES];
    (void)snprintf(in, sizeof in, " in %.*s", WM_ARG(section)); /* a section's name is ours and short */
    if (node_is_null(node))
        return WM_OK;
    if (node->type != YAML_MAPPING_NODE)
        return reader_fail(r, node_line(node), "%.*s: expected a section with keys", WM_ARG(section));
    for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top; p++) {
        yaml_node_t *key, *value;
        enum wm_status status = reader_key(r, p, &key, &value);
        if (status != WM_OK)
            return status;
        struct guess g = {.wrong = node_text(key)};
        const struct setting *found = NULL;
        for (size_t i = 0; i < N_SERVER && !found; i++) {
            struct wm_view full = wm_view_of(server_settings[i].key);
            size_t dot = wm_view_find(full, '.');
            if (dot == full.len || !wm_view_eq(wm_view_sub(full, 0, dot), section))
                continue;
            struct wm_view own = wm_view_sub(full, dot + 1, full.len);
            if (wm_view_eq(own, node_text(key)))
                found = &server_settings[i];
            else
                guess_offer(&g, own);
        }
        status = found ? reader_set(r, found, NO_TRAIL, key, value) : reader_unknown(r, key, in, &g);
        if (status != WM_OK)
            return status;
    }
    return WM_OK;
}

static enum wm_status reader_trail(const struct reader *r, const yaml_node_t *node)
{
    struct origin o = {ORIGIN_FILE, node_line(node)};
    if (node->type != YAML_MAPPING_NODE)
        return reader_fail(r, o.line, "trails: expected the keys of a trail, such as \"- name: main\"");
    enum wm_status status = config_add_trail(r->c, &o, r->err);
    if (status != WM_OK)
        return status;
    size_t trail = r->c->pub.n_trails - 1;
    for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top; p++) {
        yaml_node_t *key, *value;
        status = reader_key(r, p, &key, &value);
        if (status != WM_OK)
            return status;
        struct guess g = {.wrong = node_text(key)};
        const struct setting *found = NULL;
        for (size_t i = 0; i < N_TRAIL && !found; i++) {
            struct wm_view own = wm_view_of(trail_settings[i].key);
            if (wm_view_eq(own, node_text(key)))
                found = &trail_settings[i];
            else
                guess_offer(&g, own);
        }
        status = found ? reader_set(r, found, trail, key, value) : reader_unknown(r, key, " of a trail", &g);
        if (status != WM_OK)
            return status;
    }
    return WM_OK;
}

static enum wm_status reader_trails(const struct reader *r, const yaml_node_t *key, const yaml_node_t *node)
{
    struct config *c = r->c;
    if (c->trails_origin.kind == ORIGIN_FILE)
        return reader_fail(r, node_line(key), "trails is given twice, first on line %zu", c->trails_origin.line);
    c->trails_origin = (struct origin){ORIGIN_FILE, node_line(key)};
    c->pub.n_trails = 0;
    if (node_is_null(node))
        return WM_OK;
    if (node->type != YAML_SEQUENCE_NODE)
        return reader_fail(r, node_line(node), "trails: expected a list of trails, each beginning with \"- name:\"");
    for (yaml_node_item_t *i = node->data.sequence.items.start; i < node->data.sequence.items.top; i++) {
        enum wm_status status = reader_trail(r, yaml_document_get_node(r->doc, *i));
        if (status != WM_OK)
            return status;
    }
    return WM_OK;
}

static enum wm_status reader_root(const struct reader *r, const yaml_node_t *root)
{
    if (node_is_null(root))
        return WM_OK;
    if (root->type != YAML_MAPPING_NODE)
        return reader_fail(r, node_line(root), "expected settings, each a \"key: value\"");
    struct { struct wm_view name; size_t line; } sections[N_SERVER];
    size_t n_sections = 0;
    for (yaml_node_pair_t *p = root->data.mapping.pairs.start; p < root->data.mapping.pairs.top; p++) {
        yaml_node_t *key, *value;
        enum wm_status status = reader_key(r, p, &key, &value);
        if (status != WM_OK)
            return status;
        struct wm_view word = node_text(key);
        if (wm_view_eq_str(word, "trails")) {
            status = reader_trails(r, key, value);
            if (status != WM_OK)
                return status;
            continue;
        }
        struct guess g = {.wrong = word};
        guess_offer(&g, WM_LIT("trails"));
        const struct setting *found = NULL;
        bool section = false;
        for (size_t i = 0; i < N_SERVER && !found && !section; i++) {
            struct wm_view full = wm_view_of(server_settings[i].key);
            struct wm_view own = wm_view_sub(full, 0, wm_view_find(full, '.'));
            if (!wm_view_eq(own, word))
                guess_offer(&g, own);
            else if (own.len == full.len)
                found = &server_settings[i];
            else
                section = true;
        }
        if (section) {
            for (size_t i = 0; i < n_sections; i++)
                if (wm_view_eq(sections[i].name, word))
                    return reader_fail(r, node_line(key), "%.*s is given twice, first on line %zu", WM_ARG(word),
                                       sections[i].line);
            sections[n_sections].name = word;
            sections[n_sections++].line = node_line(key);
            status = reader_section(r, word, value);
        } else {
            status = found ? reader_set(r, found, NO_TRAIL, key, value) : reader_unknown(r, key, "", &g);
        }
        if (status != WM_OK)
            return status;
    }
    return WM_OK;
}

static enum wm_status parser_fail(const struct reader *r, const yaml_parser_t *p)
{
    if (p->error == YAML_MEMORY_ERROR)
        return wm_fail(r->err, WM_E_NOMEM, "no memory for the settings");
    /* Where a construct began is what a person can find; libyaml's problem mark is often the line behind it. */
    if (p->context)
        return reader_fail(r, p->problem_mark.line + 1, "not YAML: %s, %s (line %zu)", p->problem, p->context,
                           p->context_mark.line + 1);
    return reader_fail(r, p->problem_mark.line + 1, "not YAML: %s", p->problem ? p->problem : "unreadable");
}

static enum wm_status config_read_file(struct config *c, struct wm_err *err)
{
    struct wm_buf text;
    wm_buf_init(&text, CONFIG_MAX_FILE_BYTES);
    enum wm_status status = wm_io_read_file(&wm_io_posix, c->file, &text, err);
    if (status != WM_OK) {
        wm_buf_done(&text);
        return status;
    }
    struct reader r = {.c = c, .err = err};
    yaml_parser_t parser;
    yaml_document_t doc, more;
    bool have_doc = false, have_more = false;
    if (!yaml_parser_initialize(&parser)) {
        wm_buf_done(&text);
        return wm_fail(err, WM_E_NOMEM, "no memory for the settings");
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text.data, text.len);
    if (!yaml_parser_load(&parser, &doc)) {
        status = parser_fail(&r, &parser);
        goto out;
    }
    have_doc = true;
    r.doc = &doc;
    const yaml_node_t *root = yaml_document_get_root_node(&doc);
    if (root) {
        status = reader_root(&r, root);
        if (status != WM_OK)
            goto out;
        if (!yaml_parser_load(&parser, &more)) {
            status = parser_fail(&r, &parser);
            goto out;
        }
        have_more = true;
        const yaml_node_t *second = yaml_document_get_root_node(&more);
        if (second)
            status = reader_fail(&r, node_line(second), "expected one document, found a second one behind \"---\"");
    }
out:
    if (have_more)
        yaml_document_delete(&more);
    if (have_doc)
        yaml_document_delete(&doc);
    yaml_parser_delete(&parser);
    wm_buf_done(&text);
    return status;
}

/* ---- the environment ---- */

/* Ours, but not settings: used by the scripts, the tests and the bench. */
static bool variable_is_foreign(struct wm_view name)
{
    return wm_view_eq_str(name, "WAYMARK_CONFIG") || wm_view_eq_str(name, "WAYMARK_BUCKET") ||
           wm_view_eq_str(name, "WAYMARK_SHARED") || wm_view_starts(name, "WAYMARK_TEST_") ||
           wm_view_starts(name, "WAYMARK_BENCH_");
}

/* Of WAYMARK_TRAILS_<n>_<KEY>: the number, and what is behind it; false for another form. */
static bool variable_trail(struct wm_view name, uint64_t *out_trail, struct wm_view *out_rest)
{
    if (!wm_view_starts(name, "WAYMARK_TRAILS_"))
        return false;
    struct wm_view rest = wm_view_sub(name, strlen("WAYMARK_TRAILS_"), name.len);
    struct wm_view number = wm_view_split(&rest, '_');
    if (!rest.ptr || wm_view_to_u64(number, 1000000, out_trail) != WM_OK)
        return false;
    *out_rest = rest;
    return true;
}

/*
 * A variable that nobody reads is a setting that silently does not apply, so a name that can only have been meant for
 * us is refused: one in a section of ours, or a slip of the hand away from a setting. Others are left alone, since
 * orchestrators put variables of a service's name into every process (WAYMARK_PORT, WAYMARK_SERVICE_HOST).
 */
static enum wm_status environment_check_names(const struct config *c, struct wm_err *err)
{
    char known[CONFIG_NAME_BYTES];
    for (char **e = environ; e && *e; e++) {
        struct wm_view name = wm_view_of(*e);
        name = wm_view_sub(name, 0, wm_view_find(name, '='));
        if (!wm_view_starts(name, "WAYMARK_") || variable_is_foreign(name))
            continue;
        bool ours = wm_view_starts(name, "WAYMARK_HTTP_") || wm_view_starts(name, "WAYMARK_JOURNAL_") ||
                    wm_view_starts(name, "WAYMARK_KEYS_") || wm_view_starts(name, "WAYMARK_TRAILS_");
        bool exact = false;
        struct guess g = {.wrong = name};
        uint64_t trail;
        struct wm_view rest;
        if (variable_trail(name, &trail, &rest)) {
            if (trail >= c->pub.n_trails)
                return wm_fail(err, WM_E_INVALID, "environment %.*s: there are %zu trails, numbered from 0 without gaps",
                               WM_ARG(name), c->pub.n_trails);
            for (size_t i = 0; i < N_TRAIL && !exact; i++) {
                setting_variable(&trail_settings[i], (size_t)trail, known);
                exact = wm_view_eq_str(name, known);
                guess_offer(&g, wm_view_of(known));
            }
        } else {
            for (size_t i = 0; i < N_SERVER && !exact; i++) {
                setting_variable(&server_settings[i], NO_TRAIL, known);
                exact = wm_view_eq_str(name, known);
                guess_offer(&g, wm_view_of(known));
            }
        }
        if (exact || (!ours && !g.best[0]))
            continue;
        if (g.best[0])
            return wm_fail(err, WM_E_INVALID, "environment %.*s: no such setting; did you mean %s?", WM_ARG(name),
                           g.best);
        return wm_fail(err, WM_E_INVALID, "environment %.*s: no such setting; waymarkd --help lists them",
                       WM_ARG(name));
    }
    return WM_OK;
}

static enum wm_status environment_set_trail(struct config *c, size_t trail, struct wm_err *err)
{
    const struct origin o = {.kind = ORIGIN_ENVIRONMENT};
    char name[CONFIG_NAME_BYTES];
    for (size_t i = 0; i < N_TRAIL; i++) {
        setting_variable(&trail_settings[i], trail, name);
        const char *value = getenv(name);
        if (!value)
            continue;
        if (trail == c->pub.n_trails) {
            enum wm_status status = config_add_trail(c, &o, err);
            if (status != WM_OK)
                return status;
        }
        enum wm_status status = config_set(c, &trail_settings[i], trail, &o, wm_view_of(value), err);
        if (status != WM_OK)
            return status;
    }
    return WM_OK;
}

static enum wm_status config_read_environment(struct config *c, struct wm_err *err)
{
    const struct origin o = {.kind = ORIGIN_ENVIRONMENT};
    char name[CONFIG_NAME_BYTES];
    enum wm_status status;
    for (size_t i = 0; i < N_SERVER; i++) {
        const struct setting *s = &server_settings[i];
        setting_variable(s, NO_TRAIL, name);
        const char *value = getenv(name);
        if (!value)
            continue;
        if (s->type == SETTING_LIST) {
            struct wm_view items[CONFIG_MAX_LIST + 1], rest = wm_view_of(value);
            size_t n = 0;
            while (rest.len > 0 && n <= CONFIG_MAX_LIST)
                items[n++] = wm_view_trim(wm_view_split(&rest, ','));
            status = config_set_list(c, s, &o, items, n, err);
        } else {
            status = config_set(c, s, NO_TRAIL, &o, wm_view_of(value), err);
        }
        if (status != WM_OK)
            return status;
    }
    /* The trail behind the last is a new one, if the environment names any of its settings. */
    for (size_t trail = 0; trail <= c->pub.n_trails; trail++) {
        status = environment_set_trail(c, trail, err);
        if (status != WM_OK)
            return status;
        if (trail == c->pub.n_trails)
            break;
    }
    return environment_check_names(c, err);
}

/* ---- flags ---- */

struct flags {
    const char *config;
    struct { const struct setting *s; const char *value; } set[16];
    size_t n_set;
    bool check, dump, help, version;
};

static bool flag_takes(struct wm_view arg, const char *name, struct wm_view *out_value)
{
    if (!wm_view_starts(arg, name))
        return false;
    struct wm_view rest = wm_view_sub(arg, strlen(name), arg.len);
    if (rest.len > 0 && rest.ptr[0] != '=')
        return false;
    *out_value = rest.len > 0 ? wm_view_sub(rest, 1, rest.len) : WM_EMPTY;
    return true;
}

static enum wm_status flags_unknown(struct wm_view arg, struct wm_err *err)
{
    static const char *const others[] = {"--config", "--check-config", "--dump-config", "--help", "--version"};
    char found[64], name[CONFIG_NAME_BYTES];
    if (!wm_view_starts(arg, "-"))
        return wm_fail(err, WM_E_INVALID, "%.*s: expected a flag; waymarkd --help lists them",
                       WM_ARG(shown(arg, found)));
    struct guess g = {.wrong = wm_view_sub(arg, 0, wm_view_find(arg, '='))};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        guess_offer(&g, wm_view_of(others[i]));
    for (size_t i = 0; i < N_SERVER; i++)
        if (setting_has_flag(&server_settings[i])) {
            setting_flag(&server_settings[i], name);
            guess_offer(&g, wm_view_of(name));
        }
    if (g.best[0])
        return wm_fail(err, WM_E_INVALID, "%.*s: no such flag; did you mean %s?", WM_ARG(shown(g.wrong, found)), g.best);
    return wm_fail(err, WM_E_INVALID, "%.*s: no such flag; waymarkd --help lists them", WM_ARG(shown(g.wrong, found)));
}

static enum wm_status flags_read(int argc, char **argv, struct flags *f, struct wm_err *err)
{
    char name[CONFIG_NAME_BYTES];
    for (int i = 1; i < argc; i++) {
        struct wm_view arg = wm_view_of(argv[i]), value;
        if (wm_view_eq_str(arg, "--help") || wm_view_eq_str(arg, "-h")) {
            f->help = true;
            continue;
        }
        if (wm_view_eq_str(arg, "--version")) {
            f->version = true;
            continue;
        }
        if (wm_view_eq_str(arg, "--check-config")) {
            f->check = true;
            continue;
        }
        if (wm_view_eq_str(arg, "--dump-config")) {
            f->dump = true;
            continue;
        }
        const struct setting *s = NULL;
        bool known = flag_takes(arg, "--config", &value);
        (void)snprintf(name, sizeof name, "--config");
        for (size_t k = 0; k < N_SERVER && !known; k++) {
            if (!setting_has_flag(&server_settings[k]))
                continue;
            setting_flag(&server_settings[k], name);
            known = flag_takes(arg, name, &value);
            s = &server_settings[k];
        }
        if (!known)
            return flags_unknown(arg, err);
        if (!value.ptr) {
            if (i + 1 == argc)
                return wm_fail(err, WM_E_INVALID, "%s: expected a value behind it", name);
            value = wm_view_of(argv[++i]);
        }
        /* The rest of an argument ends with the argument's NUL. */
        if (!s) {
            f->config = value.ptr;
        } else {
            if (f->n_set == sizeof f->set / sizeof f->set[0])
                return wm_fail(err, WM_E_INVALID, "%s: too many flags", name);
            f->set[f->n_set].s = s;
            f->set[f->n_set++].value = value.ptr;
        }
    }
    return WM_OK;
}

static void print_settings(const struct setting *settings, size_t n, size_t trail)
{
    char path[CONFIG_NAME_BYTES], variable[CONFIG_NAME_BYTES];
    for (size_t i = 0; i < n; i++) {
        setting_path(&settings[i], trail, path);
        setting_variable(&settings[i], trail, variable);
        printf("  %-32s %s\n", path, variable);
        printf("      %s%s", settings[i].only ? settings[i].only : "", settings[i].only ? ": " : "");
        printf("%s%s%s\n", settings[i].help, settings[i].fallback[0] ? "; default " : "", settings[i].fallback);
    }
}

static void print_help(void)
{
    char flag[CONFIG_NAME_BYTES];
    printf("Usage: waymarkd [--config FILE] [FLAG...]\n\n"
           "Answers the management API, records every call, delivers signed trail files.\n\n"
           "  --config FILE        settings (YAML); also WAYMARK_CONFIG\n");
    for (size_t i = 0; i < N_SERVER; i++)
        if (setting_has_flag(&server_settings[i])) {
            setting_flag(&server_settings[i], flag);
            printf("  %-20s %s (default %s)\n", flag, server_settings[i].help, server_settings[i].fallback);
        }
    printf("  --check-config       read the settings, say whether they are good, exit\n"
           "  --dump-config        print the settings that apply, as YAML, exit\n"
           "  --version, --help\n\n"
           "A flag goes before the environment, that before the file, that before the default.\n"
           "Settings of the file, and their variables:\n\n");
    print_settings(server_settings, N_SERVER, NO_TRAIL);
    printf("\nEach trail (without any: one of name main, into DATA_DIR/bucket):\n\n");
    print_settings(trail_settings, N_TRAIL, 0);
}

/* ---- rules between settings, and what follows from others ---- */

/* Value of a text or a choice; NULL for the other types. */
static const char *setting_text(struct config *c, const struct setting *s, size_t trail)
{
    return s->type == SETTING_TEXT || s->type == SETTING_CHOICE ? *(const char *const *)setting_slot(c, s, trail) : NULL;
}

/* Does it have its default, given or not? Of the types that a trail's settings have. */
static bool setting_is_default(struct config *c, const struct setting *s, size_t trail)
{
    const char *value = setting_text(c, s, trail);
    int64_t fallback;
    if (value)
        return strcmp(value, s->fallback) == 0;
    return number_parse(s, wm_view_of(s->fallback), &fallback) &&
           *(const int64_t *)setting_slot(c, s, trail) == fallback;
}

/* Is the other setting, which this one needs, as it must be? */
static bool config_has_company(struct config *c, const struct setting *s, size_t trail)
{
    for (size_t i = 0; i < N_TRAIL; i++)
        if (strcmp(trail_settings[i].key, s->with) == 0) {
            if (!s->with_value)
                return !setting_is_default(c, &trail_settings[i], trail);
            const char *value = setting_text(c, &trail_settings[i], trail);
            return value && strcmp(value, s->with_value) == 0;
        }
    WM_ASSERT(!"a setting needs one that is none");
    return false;
}

static enum wm_status config_check_trail(struct config *c, size_t trail, struct wm_err *err)
{
    struct wm_config_trail *t = &c->pub.trails[trail];
    const struct config_trail *origins = &c->trails[trail];
    for (size_t i = 0; i < N_TRAIL; i++) {
        const struct setting *s = &trail_settings[i];
        const struct origin *o = origins->settings[i].kind == ORIGIN_DEFAULT ? &origins->self : &origins->settings[i];
        if (s->valid == text_trail_name && t->name[0] == '\0')
            return config_fail(c, s, trail, o, err, "expected a name, found none");
        const char *value = setting_text(c, s, trail);
        bool given = !setting_is_default(c, s, trail);
        if (s->only && given && strcmp(s->only, t->store) != 0)
            return config_fail(c, s, trail, o, err, "means something only with \"store: %s\"", s->only);
        if (s->with && given && !config_has_company(c, s, trail))
            return s->with_value ? config_fail(c, s, trail, o, err, "means something only with \"%s: %s\"", s->with,
                                               s->with_value)
                                 : config_fail(c, s, trail, o, err, "means something only with %s", s->with);
        if (strcmp(s->key, "object_lock") == 0 && given && t->object_lock_days == 0)
            return config_fail(c, s, trail, o, err, "expected object_lock_days with it, 1 to 36500");
        if (strcmp(s->key, "bucket") == 0 && strcmp(t->store, "s3") == 0 && value[0] == '\0')
            return config_fail(c, s, trail, o, err, "expected the bucket's name, which \"store: s3\" needs");
        if (strcmp(s->key, "codec_level") == 0 && strcmp(t->codec, "gzip") == 0 && t->codec_level > 12)
            return config_fail(c, s, trail, o, err, "expected 0 to 12 with \"codec: gzip\", found %lld",
                               (long long)t->codec_level);
        for (size_t other = 0; s->valid == text_trail_name && other < trail; other++)
            if (strcmp(c->pub.trails[other].name, t->name) == 0)
                return config_fail(c, s, trail, o, err, "trails[%zu] has the name %s already", other, t->name);
    }
    /* What follows from others. */
    bool is_file = strcmp(t->store, "file") == 0;
    if (is_file && t->folder[0] == '\0')
        t->folder = wm_arena_printf(&c->memory, "%s/bucket", c->pub.data_dir).ptr;
    if (is_file && t->bucket[0] == '\0')
        t->bucket = "waymark";
    if (!is_file && t->region[0] == '\0')
        t->region = c->pub.region;
    if (wm_arena_status(&c->memory) != WM_OK)
        return wm_fail(err, WM_E_NOMEM, "no memory for the settings");
    return WM_OK;
}

/* Each is a trail. The state is a follower of the journal as well, but without it nothing could be answered. */
static enum wm_status config_check_paused(struct config *c, const struct setting *s, struct wm_err *err)
{
    const struct text_list *list = setting_slot(c, s, NO_TRAIL);
    const struct origin *o = &c->server[s - server_settings];
    for (size_t i = 0; i < list->n; i++) {
        bool known = false;
        for (size_t k = 0; k < c->pub.n_trails; k++)
            known = known || strcmp(c->pub.trails[k].name, list->items[i]) == 0;
        if (!known && strcmp(list->items[i], "state") == 0)
            return config_fail(c, s, NO_TRAIL, o, err, "the state cannot be paused, only trails can");
        if (!known)
            return config_fail(c, s, NO_TRAIL, o, err, "there is no trail of the name %s", list->items[i]);
    }
    return WM_OK;
}

static enum wm_status config_check(struct config *c, struct wm_err *err)
{
    for (size_t i = 0; i < N_SERVER; i++) {
        const struct setting *s = &server_settings[i];
        /* One segment is written while another waits to be retired. */
        if (strcmp(s->key, "journal.max_bytes") == 0 && c->pub.journal.max_bytes != 0 &&
            c->pub.journal.max_bytes / 2 < c->pub.journal.segment_bytes) {
            char max[CONFIG_NUMBER_BYTES], segment[CONFIG_NUMBER_BYTES];
            /* Name the one that was given; the other may be a default. */
            const struct setting *named = c->server[i].kind == ORIGIN_DEFAULT ? s - 1 : s;
            return config_fail(c, named, NO_TRAIL, &c->server[named - server_settings], err,
                               "expected max_bytes to be at least twice segment_bytes, found %s and %s",
                               number_text(s, c->pub.journal.max_bytes, max),
                               number_text(s, c->pub.journal.segment_bytes, segment));
        }
        bool has_token = c->pub.keys.token[0] != '\0';
        if (strcmp(s->key, "keys.token") == 0 && has_token && c->pub.keys.token_module[0] == '\0')
            return config_fail(c, s, NO_TRAIL, &c->server[i], err, "expected token_module beside it, the path of its library");
        /* What stands in the settings is shown by --dump-config, and by messages. */
        if (strcmp(s->key, "keys.token") == 0 && strstr(c->pub.keys.token, "pin-"))
            return config_fail(c, s, NO_TRAIL, &c->server[i], err, "expected no PIN in the URI; token_pin_file names its file");
        if (strncmp(s->key, "keys.token_", 11) == 0 && !has_token && **(const char *const *)setting_slot(c, s, NO_TRAIL))
            return config_fail(c, s, NO_TRAIL, &c->server[i], err, "means something only with keys.token");
    }
    for (size_t i = 0; i < c->pub.n_trails; i++) {
        enum wm_status status = config_check_trail(c, i, err);
        if (status != WM_OK)
            return status;
    }
    for (size_t i = 0; i < N_SERVER; i++)
        if (strcmp(server_settings[i].key, "journal.pause_followers") == 0)
            return config_check_paused(c, &server_settings[i], err);
    return WM_OK;
}

/* ---- dump ---- */

static void dump_text(struct wm_buf *out, const char *text)
{
    wm_buf_add_char(out, '"');
    for (const char *p = text; *p; p++) {
        if (*p == '"' || *p == '\\')
            wm_buf_add_char(out, '\\');
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            wm_buf_addf(out, "\\x%02x", (unsigned)(unsigned char)*p);
        else
            wm_buf_add_char(out, *p);
    }
    wm_buf_add_char(out, '"');
}

static void dump_value(struct wm_buf *out, const struct setting *s, const void *slot)
{
    char number[CONFIG_NUMBER_BYTES];
    switch (s->type) {
    case SETTING_TEXT:
        dump_text(out, *(const char *const *)slot);
        return;
    case SETTING_CHOICE:
        wm_buf_add_str(out, *(const char *const *)slot);
        return;
    case SETTING_LEVEL: {
        struct wm_view rest = wm_view_of(s->expected), word = WM_EMPTY;
        for (int i = 0; i <= (int)*(const enum wm_log_level *)slot; i++)
            word = wm_view_split(&rest, '|');
        wm_buf_add_view(out, word);
        return;
    }
    case SETTING_BOOL:
        wm_buf_add_str(out, *(const bool *)slot ? "true" : "false");
        return;
    case SETTING_COUNT:
    case SETTING_SIZE:
    case SETTING_TIME_MS:
    case SETTING_TIME_S:
        wm_buf_add_str(out, number_text(s, *(const int64_t *)slot, number));
        return;
    case SETTING_LIST:
        return; /* written by the caller, who knows the count */
    }
}

enum wm_status wm_config_dump(const struct wm_config *c, struct wm_buf *out)
{
    struct wm_view section = WM_EMPTY;
    for (size_t i = 0; i < N_SERVER; i++) {
        const struct setting *s = &server_settings[i];
        struct wm_view own = wm_view_of(s->key);
        size_t dot = wm_view_find(own, '.');
        if (dot < own.len) {
            struct wm_view of = wm_view_sub(own, 0, dot);
            if (!wm_view_eq(of, section))
                wm_buf_addf(out, "%.*s:\n", WM_ARG(of));
            section = of;
            own = wm_view_sub(own, dot + 1, own.len);
            wm_buf_add_str(out, "  ");
        }
        wm_buf_addf(out, "%.*s: ", WM_ARG(own));
        if (s->type == SETTING_LIST) {
            wm_buf_add_char(out, '[');
            const struct text_list *list = (const struct text_list *)(const void *)((const char *)c + s->offset);
            for (size_t k = 0; k < list->n; k++) {
                wm_buf_add_str(out, k ? ", " : "");
                dump_text(out, list->items[k]);
            }
            wm_buf_add_char(out, ']');
        } else {
            dump_value(out, s, (const char *)c + s->offset);
        }
        wm_buf_add_char(out, '\n');
    }
    wm_buf_add_str(out, c->n_trails ? "trails:\n" : "trails: []\n");
    for (size_t trail = 0; trail < c->n_trails; trail++)
        for (size_t i = 0; i < N_TRAIL; i++) {
            const struct setting *s = &trail_settings[i];
            wm_buf_addf(out, "  %s%s: ", i == 0 ? "- " : "  ", s->key);
            dump_value(out, s, (const char *)&c->trails[trail] + s->offset);
            wm_buf_add_char(out, '\n');
        }
    return wm_buf_status(out);
}

/* ---- */

static enum wm_status config_print_dump(const struct wm_config *c, struct wm_err *err)
{
    struct wm_buf text;
    wm_buf_init(&text, CONFIG_MAX_FILE_BYTES);
    enum wm_status status = wm_config_dump(c, &text);
    if (status == WM_OK)
        printf("%s", wm_buf_cstr(&text));
    else
        (void)wm_fail(err, status, "the settings are too long to print");
    wm_buf_done(&text);
    return status;
}

enum wm_status wm_config_load(int argc, char **argv, struct wm_config **out, bool *out_check_only, struct wm_err *err)
{
    struct flags flags = {0};
    enum wm_status status = flags_read(argc, argv, &flags, err);
    if (status != WM_OK)
        return status;
    if (flags.help) {
        print_help();
        return WM_E_END;
    }
    if (flags.version) {
        printf("waymarkd %s\n", WAYMARK_VERSION);
        return WM_E_END;
    }
    struct config *c = calloc(1, sizeof *c);
    if (!c)
        return wm_fail(err, WM_E_NOMEM, "no memory for the settings");
    wm_arena_init(&c->memory, CONFIG_MAX_MEMORY_BYTES);
    c->pub.trails = wm_arena_alloc(&c->memory, WM_BOARD_MAX_TRAILS * sizeof *c->pub.trails);
    if (!c->pub.trails) {
        status = wm_fail(err, WM_E_NOMEM, "no memory for the settings");
        goto fail;
    }
    status = config_set_defaults(c, err);
    if (status != WM_OK)
        goto fail;
    const char *file = flags.config ? flags.config : getenv("WAYMARK_CONFIG");
    if (file) {
        c->file = wm_arena_copy(&c->memory, wm_view_of(file)).ptr;
        status = c->file ? config_read_file(c, err) : wm_fail(err, WM_E_NOMEM, "no memory for the settings");
        if (status != WM_OK)
            goto fail;
    }
    status = config_read_environment(c, err);
    if (status != WM_OK)
        goto fail;
    const struct origin flag = {.kind = ORIGIN_FLAG};
    for (size_t i = 0; i < flags.n_set; i++) {
        status = config_set(c, flags.set[i].s, NO_TRAIL, &flag, wm_view_of(flags.set[i].value), err);
        if (status != WM_OK)
            goto fail;
    }
    status = config_check(c, err);
    if (status != WM_OK)
        goto fail;
    if (flags.dump) {
        status = config_print_dump(&c->pub, err);
        wm_config_free(&c->pub);
        return status == WM_OK ? WM_E_END : status;
    }
    *out = &c->pub;
    *out_check_only = flags.check;
    return WM_OK;
fail:
    wm_config_free(&c->pub);
    return status;
}

void wm_config_free(struct wm_config *pub)
{
    if (!pub)
        return;
    struct config *c = config_of(pub);
    wm_arena_done(&c->memory);
    free(c);
}
