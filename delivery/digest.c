#include "waymark/digest.h"

#include <stdio.h>

#include "waymark/json.h"

#include "waymark/banned.h"

/* ---- keys ---- */

struct digest_key_time {
    char date[12]; /* YYYY/MM/DD */
    char basic[WM_TIME_BASIC_BYTES];
};

static struct digest_key_time digest_key_time(struct wm_wall_ns when)
{
    struct digest_key_time t;
    wm_time_basic(when, t.basic);
    memcpy(t.date, t.basic, 4);
    t.date[4] = '/';
    memcpy(t.date + 5, t.basic + 4, 2);
    t.date[7] = '/';
    memcpy(t.date + 8, t.basic + 6, 2);
    t.date[10] = '\0';
    return t;
}

static void digest_key_folder(const struct wm_trail_naming *n, const char *kind, const char *date, struct wm_buf *out)
{
    if (n->prefix.len) {
        wm_buf_add_view(out, n->prefix);
        wm_buf_add_char(out, '/');
    }
    wm_buf_addf(out, "AWSLogs/%.*s/%s/%.*s/%s/", WM_ARG(n->account_id), kind, WM_ARG(n->region), date);
}

/* User Guide, "CloudTrail log file name format"; that the minute is a multiple of 5 is what published names show. */
#define UNIQUE_NUMBER_CHARS 6 /* 62^6: 5.7e10 files, a file a second for 1,800 years */

void wm_trail_file_unique(uint64_t number, char out[WM_TRAIL_FILE_UNIQUE_CHARS + 1])
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"; /* in ASCII's order */
    for (size_t i = UNIQUE_NUMBER_CHARS; i-- > 0; number /= 62)
        out[i] = digits[number % 62];
    wm_random_alnum(out + UNIQUE_NUMBER_CHARS, WM_TRAIL_FILE_UNIQUE_CHARS - UNIQUE_NUMBER_CHARS);
}

void wm_trail_file_key(const struct wm_trail_naming *n, struct wm_wall_ns delivered, const char *unique,
                       struct wm_buf *out)
{
    int64_t s = wm_wall_seconds(delivered);
    s -= ((s % 300) + 300) % 300;
    struct digest_key_time t = digest_key_time(wm_wall_from_seconds(s));
    digest_key_folder(n, "CloudTrail", t.date, out);
    wm_buf_addf(out, "%.*s_CloudTrail_%.*s_%.13sZ_%s%s", WM_ARG(n->account_id), WM_ARG(n->region), t.basic, unique,
                n->codec->suffix);
}

/* User Guide, "CloudTrail digest file structure", "Digest file location". */
void wm_digest_key(const struct wm_trail_naming *n, struct wm_wall_ns end, struct wm_buf *out)
{
    struct digest_key_time t = digest_key_time(end);
    digest_key_folder(n, "CloudTrail-Digest", t.date, out);
    wm_buf_addf(out, "%.*s_CloudTrail-Digest_%.*s_%.*s_%.*s_%s%s", WM_ARG(n->account_id), WM_ARG(n->region),
                WM_ARG(n->trail_name), WM_ARG(n->home_region), t.basic, n->codec->suffix);
}

/* ---- writing ---- */

static void digest_member(struct wm_buf *out, const char *name, struct wm_view value, bool is_null)
{
    wm_buf_addf(out, "\"%s\":", name);
    if (is_null)
        wm_buf_add_str(out, "null");
    else
        wm_json_write_string(out, value);
}

void wm_digest_write(const struct wm_digest *d, struct wm_buf *out)
{
    bool starting = !d->has_previous;
    const struct {
        const char *name;
        struct wm_view value;
        bool is_null;
    } members[] = {
        {"awsAccountId", d->account_id, false},
        {"digestStartTime", d->start, false},
        {"digestEndTime", d->end, false},
        {"digestS3Bucket", d->bucket, false},
        {"digestS3Object", d->key, false},
        {"digestPublicKeyFingerprint", d->fingerprint, false},
        {"digestSignatureAlgorithm", WM_LIT(WM_DIGEST_ALGORITHM), false},
        {"newestEventTime", d->newest, d->newest.len == 0},
        {"oldestEventTime", d->oldest, d->oldest.len == 0},
        {"previousDigestS3Bucket", d->previous_bucket, starting},
        {"previousDigestS3Object", d->previous_key, starting},
        {"previousDigestHashValue", d->previous_hash_hex, starting},
        {"previousDigestHashAlgorithm", WM_LIT("SHA-256"), starting},
        {"previousDigestSignature", d->previous_signature_hex, starting},
    };
    wm_buf_add_char(out, '{');
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        digest_member(out, members[i].name, members[i].value, members[i].is_null);
        wm_buf_add_char(out, ',');
    }
    wm_buf_add_str(out, "\"logFiles\":[");
    for (size_t i = 0; i < d->n_files; i++) {
        const struct wm_digest_file *f = &d->files[i];
        wm_buf_add_str(out, i ? ",{" : "{");
        digest_member(out, "s3Bucket", f->bucket, false);
        wm_buf_add_char(out, ',');
        digest_member(out, "s3Object", f->key, false);
        wm_buf_add_char(out, ',');
        digest_member(out, "hashValue", f->hash_hex, false);
        wm_buf_add_str(out, ",\"hashAlgorithm\":\"SHA-256\",");
        digest_member(out, "newestEventTime", f->newest, false);
        wm_buf_add_char(out, ',');
        digest_member(out, "oldestEventTime", f->oldest, false);
        wm_buf_add_char(out, '}');
    }
    wm_buf_add_str(out, "]}");
}

void wm_digest_string_to_sign(const struct wm_digest *d, struct wm_view document, struct wm_buf *out)
{
    uint8_t hash[WM_SHA256_BYTES];
    char hex[WM_SHA256_HEX_BYTES];
    wm_sha256(document.ptr, document.len, hash);
    wm_hex(hash, sizeof hash, hex);
    wm_buf_addf(out, "%.*s\n%.*s/%.*s\n", WM_ARG(d->end), WM_ARG(d->bucket), WM_ARG(d->key));
    wm_buf_add(out, hex, sizeof hex);
    wm_buf_add_char(out, '\n');
    if (d->has_previous)
        wm_buf_add_view(out, d->previous_signature_hex);
    else
        wm_buf_add_str(out, "null");
}

/* ---- reading ---- */

enum digest_presence { DIGEST_TEXT, DIGEST_TEXT_OR_NULL };

/* @param at  what the message calls the object: "the digest", "logFiles[3]" */
static enum wm_status digest_text(const struct wm_json *object, const char *at, const char *name,
                                  enum digest_presence presence, struct wm_view *out, bool *out_is_null,
                                  struct wm_err *err)
{
    const struct wm_json *member = wm_json_get(object, name);
    if (!member)
        return wm_fail(err, WM_E_INVALID, "%s has no member %s", at, name);
    bool is_null = member->type == WM_JSON_NULL && presence == DIGEST_TEXT_OR_NULL;
    if (!is_null && member->type != WM_JSON_STRING)
        return wm_fail(err, WM_E_INVALID, "%s: %s is no string", at, name);
    *out = is_null ? WM_EMPTY : member->text;
    if (out_is_null)
        *out_is_null = is_null;
    return WM_OK;
}

static enum wm_status digest_constant(const struct wm_json *object, const char *at, const char *name,
                                      const char *expected, struct wm_err *err)
{
    struct wm_view value;
    enum wm_status status = digest_text(object, at, name, DIGEST_TEXT, &value, NULL, err);
    if (status == WM_OK && !wm_view_eq_str(value, expected))
        status = wm_fail(err, WM_E_INVALID, "%s: %s is \"%.*s\", expected %s", at, name,
                         (int)(value.len < 64 ? value.len : 64), value.ptr ? value.ptr : "", expected);
    return status;
}

static enum wm_status digest_read_previous(const struct wm_json *root, struct wm_digest *d, struct wm_err *err)
{
    struct {
        const char *name;
        struct wm_view *value;
    } members[] = {
        {"previousDigestS3Bucket", &d->previous_bucket},
        {"previousDigestS3Object", &d->previous_key},
        {"previousDigestHashValue", &d->previous_hash_hex},
        {"previousDigestSignature", &d->previous_signature_hex},
    };
    size_t nulls = 0, n = sizeof members / sizeof members[0];
    for (size_t i = 0; i < n; i++) {
        bool is_null;
        enum wm_status status =
            digest_text(root, "the digest", members[i].name, DIGEST_TEXT_OR_NULL, members[i].value, &is_null, err);
        if (status != WM_OK)
            return status;
        nulls += is_null;
    }
    if (nulls != 0 && nulls != n)
        return wm_fail(err, WM_E_INVALID, "the digest: some of the previousDigest members are null, others are not");
    d->has_previous = nulls == 0;
    if (d->has_previous)
        return digest_constant(root, "the digest", "previousDigestHashAlgorithm", "SHA-256", err);
    return WM_OK;
}

static enum wm_status digest_read_file(const struct wm_json *entry, size_t index, struct wm_digest_file *f,
                                       struct wm_err *err)
{
    char at[48];
    (void)snprintf(at, sizeof at, "logFiles[%zu]", index); /* cannot be cut: 20 digits at most */
    const struct {
        const char *name;
        struct wm_view *value;
    } members[] = {
        {"s3Bucket", &f->bucket},         {"s3Object", &f->key},           {"hashValue", &f->hash_hex},
        {"newestEventTime", &f->newest}, {"oldestEventTime", &f->oldest},
    };
    if (entry->type != WM_JSON_OBJECT)
        return wm_fail(err, WM_E_INVALID, "%s is no object", at);
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        enum wm_status status = digest_text(entry, at, members[i].name, DIGEST_TEXT, members[i].value, NULL, err);
        if (status != WM_OK)
            return status;
    }
    if (f->key.len == 0)
        return wm_fail(err, WM_E_INVALID, "%s: s3Object is empty", at);
    return digest_constant(entry, at, "hashAlgorithm", "SHA-256", err);
}

enum wm_status wm_digest_read(struct wm_arena *a, struct wm_view text, struct wm_digest *out, struct wm_err *err)
{
    struct wm_json *root = NULL;
    enum wm_status status = wm_json_parse(a, text, &root, err);
    if (status != WM_OK)
        return status == WM_E_LIMIT ? wm_fail(err, WM_E_INVALID, "the digest is nested too deep") : status;
    if (root->type != WM_JSON_OBJECT)
        return wm_fail(err, WM_E_INVALID, "the digest is no JSON object");

    struct wm_digest d = {0};
    const struct {
        const char *name;
        struct wm_view *value;
        enum digest_presence presence;
    } members[] = {
        {"awsAccountId", &d.account_id, DIGEST_TEXT},
        {"digestStartTime", &d.start, DIGEST_TEXT},
        {"digestEndTime", &d.end, DIGEST_TEXT},
        {"digestS3Bucket", &d.bucket, DIGEST_TEXT},
        {"digestS3Object", &d.key, DIGEST_TEXT},
        {"digestPublicKeyFingerprint", &d.fingerprint, DIGEST_TEXT},
        {"newestEventTime", &d.newest, DIGEST_TEXT_OR_NULL},
        {"oldestEventTime", &d.oldest, DIGEST_TEXT_OR_NULL},
    };
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        status = digest_text(root, "the digest", members[i].name, members[i].presence, members[i].value, NULL, err);
        if (status != WM_OK)
            return status;
    }
    status = digest_constant(root, "the digest", "digestSignatureAlgorithm", WM_DIGEST_ALGORITHM, err);
    if (status == WM_OK)
        status = digest_read_previous(root, &d, err);
    if (status != WM_OK)
        return status;

    const struct wm_json *files = wm_json_get(root, "logFiles");
    if (!files || files->type != WM_JSON_ARRAY)
        return wm_fail(err, WM_E_INVALID,
                       files ? "the digest: logFiles is no array" : "the digest has no member logFiles");
    if (files->count) {
        d.files = wm_arena_alloc(a, files->count * sizeof *d.files);
        if (!d.files)
            return wm_fail(err, WM_E_NOMEM, "no memory for the %zu files of a digest", files->count);
    }
    for (const struct wm_json *entry = files->first; entry; entry = entry->next) {
        status = digest_read_file(entry, d.n_files, &d.files[d.n_files], err);
        if (status != WM_OK)
            return status;
        d.n_files++;
    }
    *out = d;
    return WM_OK;
}
