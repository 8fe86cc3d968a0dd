#include "recorder/base/sigv4_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "waymark/banned.h"

/*
 * The canonical request and the string to sign are built in memory that the cache object owns, so that verifying
 * allocates nothing and cannot fail for want of memory. What costs is hashing: one SHA-256 of the canonical request
 * and one HMAC with a kept key; everything around it is kept to single passes over the request.
 */

/* ---- the claim ---- */

/* Text from the request, made fit for a message: short, printable ASCII. */
struct shown {
    char text[80];
};

static struct shown show(struct wm_view v)
{
    struct shown s;
    size_t n = 0;
    for (size_t i = 0; i < v.len && n < sizeof s.text - 4; i++)
        s.text[n++] = v.ptr[i] >= ' ' && v.ptr[i] <= '~' ? v.ptr[i] : '?';
    if (n < v.len)
        n = (size_t)(put(s.text + n, "...", 3) - s.text);
    s.text[n] = '\0';
    return s;
}

#define SAY(result, ...) ((void)snprintf(message, 256, __VA_ARGS__), (result))

/*
 * "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 section 5.6.7, IMF-fixdate), or with "-0000" or "+0000" at its end, as
 * botocore writes it (RFC 5322 section 3.3).
 */
static enum wm_status parse_http_date(struct wm_view v, struct wm_wall_ns *out)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct wm_view zone = wm_view_sub(v, 25, v.len);
    if (!view_is(zone, WM_LIT(" GMT")) && !view_is(zone, WM_LIT(" -0000")) && !view_is(zone, WM_LIT(" +0000")))
        return WM_E_INVALID;
    if (v.ptr[3] != ',' || v.ptr[4] != ' ' || v.ptr[7] != ' ' || v.ptr[11] != ' ' || v.ptr[16] != ' ')
        return WM_E_INVALID;
    for (unsigned m = 0; m < 12; m++) {
        if (memcmp(v.ptr + 8, months + 3 * (size_t)m, 3) != 0)
            continue;
        char iso[64];
        (void)snprintf(iso, sizeof iso, "%.4s-%02u-%.2sT%.8sZ", v.ptr + 12, m + 1, v.ptr + 5, v.ptr + 17);
        return wm_time_parse(wm_view_of(iso), out);
    }
    return WM_E_INVALID;
}

static bool take_date(struct wm_sigv4_claim *out, struct wm_view amz_date, struct wm_view http_date)
{
    struct wm_view v = wm_view_trim(amz_date.ptr ? amz_date : http_date);
    if (v.len == WM_TIME_BASIC_BYTES - 1 && wm_time_parse(v, &out->date) == WM_OK) {
        memcpy(out->date_basic, v.ptr, v.len);
        out->date_basic[v.len] = '\0';
        return true;
    }
    if (amz_date.ptr || parse_http_date(v, &out->date) != WM_OK)
        return false;
    wm_time_basic(out->date, out->date_basic);
    return true;
}

/* "AKID/20260301/us-east-1/mediapackage/aws4_request", taken from its end: a key id may hold slashes. */
static enum wm_sigv4_result take_credential(struct wm_sigv4_claim *out, struct wm_view credential, char message[256])
{
    struct wm_view parts[4]; /* terminator, service, region, date */
    struct wm_view rest = credential;
    for (size_t i = 0; i < 4; i++) {
        size_t slash = wm_view_rfind(rest, '/');
        if (slash == rest.len) {
            out->access_key_id = wm_view_sub(credential, 0, wm_view_find(credential, '/'));
            return SAY(WM_SIGV4_INCOMPLETE,
                       "Credential must have at least 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
                       "got '%s'", show(credential).text);
        }
        parts[i] = wm_view_sub(rest, slash + 1, rest.len);
        rest = wm_view_sub(rest, 0, slash);
    }
    out->access_key_id = rest;
    out->scope_date = parts[3];
    out->region = parts[2];
    out->service = parts[1];
    if (rest.len == 0)
        return SAY(WM_SIGV4_INCOMPLETE, "Credential has no access key id");
    if (!view_is(parts[0], WM_LIT(SIGV4_TERMINATOR)))
        return SAY(WM_SIGV4_WRONG_SCOPE, "Credential should be scoped with a valid terminator: '" SIGV4_TERMINATOR
                   "', not '%s'", show(parts[0]).text);
    return WM_SIGV4_OK;
}

static enum wm_sigv4_result check_signature_length(const struct wm_sigv4_claim *claim, char message[256])
{
    if (claim->signature.len != WM_SHA256_HEX_BYTES)
        return SAY(WM_SIGV4_INCOMPLETE, "Signature must have 64 hex digits, got %zu", claim->signature.len);
    return WM_SIGV4_OK;
}

/* "AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…", in any order, with or without blanks. */
static enum wm_sigv4_result parse_authorization(struct wm_view v, struct wm_sigv4_claim *out, char message[256])
{
    struct wm_view credential = WM_EMPTY;
    v = wm_view_trim(v);
    size_t scheme = 0;
    while (scheme < v.len && !is_blank(v.ptr[scheme]))
        scheme++;
    if (!view_is((struct wm_view){v.ptr, scheme}, WM_LIT(SIGV4_ALGORITHM)))
        return SAY(WM_SIGV4_INCOMPLETE, "Authorization must use " SIGV4_ALGORITHM ", not '%s'",
                   show(wm_view_sub(v, 0, scheme)).text);
    struct wm_view rest = wm_view_sub(v, scheme, v.len);
    while (rest.ptr) {
        struct wm_view value = wm_view_trim(wm_view_split(&rest, ','));
        if (value.len == 0)
            continue;
        struct wm_view name = wm_view_split(&value, '=');
        if (!value.ptr)
            return SAY(WM_SIGV4_INCOMPLETE, "'%s' not a valid key=value pair (missing equal-sign) in Authorization "
                       "header", show(name).text);
        struct wm_view *slot = view_is(name, WM_LIT("Credential"))      ? &credential
                               : view_is(name, WM_LIT("SignedHeaders")) ? &out->signed_headers
                               : view_is(name, WM_LIT("Signature"))     ? &out->signature
                                                                        : NULL;
        if (!slot)
            continue;
        if (slot->ptr)
            return SAY(WM_SIGV4_INCOMPLETE, "Authorization header has '%s' twice", show(name).text);
        *slot = value;
    }
    enum wm_sigv4_result result = WM_SIGV4_OK;
    if (credential.ptr)
        result = take_credential(out, credential, message);
    else
        result = SAY(WM_SIGV4_INCOMPLETE, "Authorization header requires 'Credential' parameter");
    if (result != WM_SIGV4_OK)
        return result;
    if (!out->signature.ptr)
        return SAY(WM_SIGV4_INCOMPLETE, "Authorization header requires 'Signature' parameter");
    if (!out->signed_headers.ptr)
        return SAY(WM_SIGV4_INCOMPLETE, "Authorization header requires 'SignedHeaders' parameter");
    return WM_SIGV4_OK;
}

/* Decode a query value into the claim's own memory; the view has ptr NULL when it does not fit or is malformed. */
static struct wm_view take_decoded(struct wm_sigv4_claim *out, size_t *used, struct wm_view text)
{
    struct wm_view got = {out->decoded + *used, 0};
    for (size_t i = 0; i < text.len; i++, got.len++) {
        if (*used + got.len == sizeof out->decoded)
            return WM_EMPTY;
        char *to = out->decoded + *used + got.len;
        *to = text.ptr[i];
        if (*to != '%')
            continue;
        if (text.len - i < 3 || !wm_hex_decode((struct wm_view){text.ptr + i + 1, 2}, to, 1))
            return WM_EMPTY;
        i += 2;
    }
    *used += got.len;
    return got;
}

enum { Q_ALGORITHM, Q_CREDENTIAL, Q_DATE, Q_EXPIRES, Q_SIGNED_HEADERS, Q_SIGNATURE, Q_TOKEN, Q_COUNT };
static const char *const query_names[Q_COUNT] = {
    "X-Amz-Algorithm",     "X-Amz-Credential", "X-Amz-Date",           "X-Amz-Expires",
    "X-Amz-SignedHeaders", "X-Amz-Signature",  "X-Amz-Security-Token",
};

static enum wm_sigv4_result parse_query(const struct wm_sigv4_request *r, struct wm_sigv4_claim *out,
                                        char message[256])
{
    struct wm_view got[Q_COUNT] = {{0}};
    struct wm_view rest = r->query;
    size_t used = 0;
    while (rest.ptr) {
        struct wm_view value = wm_view_split(&rest, '&');
        if (!wm_view_starts(value, "X-Amz-"))
            continue;
        struct wm_view name = wm_view_split(&value, '=');
        for (size_t i = 0; i < Q_COUNT; i++) {
            if (!wm_view_eq_str(name, query_names[i]))
                continue;
            if (got[i].ptr) /* which of the two is meant would be anyone's choice */
                return SAY(WM_SIGV4_INCOMPLETE, "The query has %s twice", query_names[i]);
            got[i] = take_decoded(out, &used, value);
            if (!got[i].ptr)
                return SAY(WM_SIGV4_INCOMPLETE, "The query's %s is malformed or too long", query_names[i]);
        }
    }
    out->signature = got[Q_SIGNATURE];
    out->signed_headers = got[Q_SIGNED_HEADERS];
    if (got[Q_TOKEN].ptr)
        out->security_token = got[Q_TOKEN];
    if (got[Q_CREDENTIAL].ptr) {
        enum wm_sigv4_result result = take_credential(out, got[Q_CREDENTIAL], message);
        if (result != WM_SIGV4_OK)
            return result;
    }
    for (size_t i = 0; i < Q_COUNT; i++)
        if (!got[i].ptr && i != Q_TOKEN)
            return SAY(WM_SIGV4_INCOMPLETE, "The query has no %s", query_names[i]);
    if (!wm_view_eq_str(got[Q_ALGORITHM], SIGV4_ALGORITHM))
        return SAY(WM_SIGV4_INCOMPLETE, "X-Amz-Algorithm must be " SIGV4_ALGORITHM ", not '%s'",
                   show(got[Q_ALGORITHM]).text);
    uint64_t expires;
    if (wm_view_to_u64(got[Q_EXPIRES], WM_SIGV4_MAX_EXPIRES_S, &expires) != WM_OK || expires == 0)
        return SAY(WM_SIGV4_INCOMPLETE, "X-Amz-Expires must be a number of seconds from 1 to %d, not '%s'",
                   WM_SIGV4_MAX_EXPIRES_S, show(got[Q_EXPIRES]).text);
    out->expires_s = (int64_t)expires;
    if (!take_date(out, got[Q_DATE], WM_EMPTY))
        return SAY(WM_SIGV4_INCOMPLETE, "X-Amz-Date must be like 20260301T100712Z, got '%s'", show(got[Q_DATE]).text);
    return check_signature_length(out, message);
}

static bool query_is_presigned(struct wm_view query)
{
    struct wm_view rest = query;
    while (rest.ptr) {
        struct wm_view pair = wm_view_split(&rest, '&');
        if (wm_view_starts(pair, "X-Amz-Signature="))
            return true;
    }
    return false;
}

enum wm_sigv4_result wm_sigv4_parse(const struct wm_sigv4_request *r, struct wm_sigv4_claim *out, char message[256])
{
    struct wm_view authorization = WM_EMPTY, amz_date = WM_EMPTY, http_date = WM_EMPTY;
    size_t authorizations = 0;
    out->presigned = false;
    out->access_key_id = out->scope_date = out->region = out->service = WM_EMPTY;
    out->signed_headers = out->signature = out->security_token = WM_EMPTY;
    out->date = (struct wm_wall_ns){0};
    out->date_basic[0] = '\0';
    out->expires_s = 0;

    for (size_t i = 0; i < r->n_headers; i++) {
        const struct wm_sigv4_header *h = &r->headers[i];
        switch (h->name.len) { /* spares most comparisons */
        case 4:
            if (!http_date.ptr && name_is(h->name, WM_LIT("date")))
                http_date = h->value;
            break;
        case 10:
            if (!amz_date.ptr && name_is(h->name, WM_LIT("x-amz-date")))
                amz_date = h->value;
            break;
        case 13:
            if (name_is(h->name, WM_LIT("authorization"))) {
                authorization = h->value;
                authorizations++;
            }
            break;
        case 20:
            if (!out->security_token.ptr && name_is(h->name, WM_LIT("x-amz-security-token")))
                out->security_token = wm_view_trim(h->value);
            break;
        default:
            break;
        }
    }
    out->presigned = r->query.len && query_is_presigned(r->query);
    if (out->presigned) {
        if (authorizations)
            return SAY(WM_SIGV4_INCOMPLETE, "The request has an Authorization header and X-Amz-Signature in its query; "
                       "one of them is allowed");
        return parse_query(r, out, message);
    }
    if (authorizations == 0)
        return SAY(WM_SIGV4_MISSING, "Request is missing Authentication Token");
    if (authorizations > 1)
        return SAY(WM_SIGV4_INCOMPLETE, "The request has more than one Authorization header");
    enum wm_sigv4_result result = parse_authorization(authorization, out, message);
    if (result == WM_SIGV4_OK)
        result = check_signature_length(out, message);
    if (!amz_date.ptr && !http_date.ptr) {
        if (result == WM_SIGV4_OK)
            result = SAY(WM_SIGV4_INCOMPLETE, "Authorization header requires existence of either a 'X-Amz-Date' or a "
                         "'Date' header");
    } else if (!take_date(out, amz_date, http_date) && result == WM_SIGV4_OK) {
        result = SAY(WM_SIGV4_INCOMPLETE, "%s must be in ISO-8601 'basic format', e.g. 20260301T100712Z, got '%s'",
                     amz_date.ptr ? "X-Amz-Date" : "Date", show(amz_date.ptr ? amz_date : http_date).text);
    }
    return result;
}

/* ---- verifying ---- */

static enum wm_sigv4_result check_time(const struct wm_sigv4_claim *claim, struct wm_wall_ns now, char message[256])
{
    int64_t date = wm_wall_seconds(claim->date), at = wm_wall_seconds(now);
    char ours[WM_TIME_BASIC_BYTES];
    if (date > at + WM_SIGV4_SKEW_S) {
        wm_time_basic(now, ours);
        return SAY(WM_SIGV4_NOT_YET, "Signature not yet current: %s is still later than %s (+ %d min.)",
                   claim->date_basic, ours, WM_SIGV4_SKEW_S / 60);
    }
    if (claim->presigned && at > date + claim->expires_s) {
        wm_time_basic(now, ours);
        return SAY(WM_SIGV4_EXPIRED, "Request has expired: signed at %s for %lld seconds, it is now %s",
                   claim->date_basic, (long long)claim->expires_s, ours);
    }
    if (!claim->presigned && date < at - WM_SIGV4_SKEW_S) {
        wm_time_basic(now, ours);
        return SAY(WM_SIGV4_EXPIRED, "Signature expired: %s is now earlier than %s (- %d min.)", claim->date_basic,
                   ours, WM_SIGV4_SKEW_S / 60);
    }
    return WM_SIGV4_OK;
}

static enum wm_sigv4_result check_scope(const struct wm_sigv4_claim *claim, struct wm_view secret,
                                        struct wm_view region, struct wm_view service, char message[256])
{
    if (claim->scope_date.len != SIGV4_DATE_BYTES ||
        memcmp(claim->scope_date.ptr, claim->date_basic, SIGV4_DATE_BYTES) != 0)
        return SAY(WM_SIGV4_WRONG_SCOPE,
                   "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != "
                   "'%.8s', from '%s'", show(claim->scope_date).text, claim->date_basic, claim->date_basic);
    /* Go SDK v2 with a custom resolver and no SigningRegion sends an empty one (clients.md 1) */
    if (claim->region.len == 0 || (region.len && !wm_view_eq(claim->region, region)))
        return SAY(WM_SIGV4_WRONG_SCOPE, "Credential should be scoped to a valid region, not '%s'%s%s",
                   show(claim->region).text, region.len ? "; this server's is " : "", show(region).text);
    if (claim->service.len == 0 || (service.len && !wm_view_eq(claim->service, service)))
        return SAY(WM_SIGV4_WRONG_SCOPE, "Credential should be scoped to correct service: '%s', not '%s'",
                   show(service).text, show(claim->service).text);
    if (!wm_sigv4_use_fits(claim->scope_date, claim->region, claim->service, secret))
        return SAY(WM_SIGV4_WRONG_SCOPE, "Credential scope or secret is too long");
    return WM_SIGV4_OK;
}

/*
 * Headers that must be signed because somebody on the way could otherwise change what the request means: Host,
 * X-Amz-Target (it names the operation), and for S3 every x-amz-* header, as S3 demands ("Authenticating Requests:
 * Using the Authorization Header", CanonicalHeaders). Not demanded of other services, since proxies and SDKs add some
 * (x-amzn-trace-id, x-amz-user-agent), nor of these:
 *   - X-Amz-Date and X-Amz-Content-Sha256: the string to sign and the canonical request hold their values anyway;
 *   - X-Amz-Security-Token: some services have it added after signing (the test suite's post-sts-header-after); it is
 *     proven by belonging to the access key, so that another one, or none, is refused there.
 */
static enum wm_sigv4_result check_signed(const struct wm_sigv4_request *r, const struct wm_sigv4_names *names,
                                         char message[256])
{
    if (!names->host)
        return SAY(WM_SIGV4_MISMATCH, "'Host' must be a 'SignedHeader' in the AWS Authorization");
    bool s3 = r->path_form == WM_SIGV4_PATH_AS_SENT;
    for (size_t i = 0; i < r->n_headers; i++) {
        struct wm_view name = r->headers[i].name;
        bool needed = s3 ? name.len > 6 && name_is(wm_view_sub(name, 0, 6), WM_LIT("x-amz-"))
                         : name_is(name, WM_LIT("x-amz-target"));
        if (needed && !wm_sigv4_names_have(names, name))
            return SAY(WM_SIGV4_MISMATCH, "There were headers present in the request which were not signed: %s",
                       show(name).text);
    }
    return WM_SIGV4_OK;
}

static struct wm_view find_header(const struct wm_sigv4_request *r, struct wm_view lower_name)
{
    for (size_t i = 0; i < r->n_headers; i++)
        if (name_is(r->headers[i].name, lower_name))
            return wm_view_trim(r->headers[i].value);
    return WM_EMPTY;
}

/* The last line of the canonical request: what the caller signed as the hash of the body, if it is true. */
static enum wm_sigv4_result check_payload(const struct wm_sigv4_request *r, const struct wm_sigv4_claim *claim,
                                          const struct wm_sigv4_names *names, struct wm_view *out, char message[256])
{
    static const struct wm_view unsigned_payload = {"UNSIGNED-PAYLOAD", 16};
    bool s3 = r->path_form == WM_SIGV4_PATH_AS_SENT;
    *out = r->payload_hash;
    if (names->content_sha256) {
        struct wm_view sent = find_header(r, WM_LIT("x-amz-content-sha256"));
        if (wm_view_eq(sent, r->payload_hash))
            return WM_SIGV4_OK;
        if (s3 && wm_view_eq(sent, unsigned_payload)) {
            *out = unsigned_payload;
            return WM_SIGV4_OK;
        }
        return SAY(WM_SIGV4_PAYLOAD_MISMATCH,
                   "The provided 'x-amz-content-sha256' header does not match what was computed");
    }
    /* S3 API Reference, "Authenticating Requests: Using Query Parameters": who presigns does not know the body */
    if (s3 && claim->presigned)
        *out = unsigned_payload;
    return WM_SIGV4_OK;
}

static enum wm_sigv4_result verify_spellings(struct wm_sigv4_cache *c, const struct wm_sigv4_request *r,
                                             const struct wm_sigv4_claim *claim, const struct wm_sigv4_names *names,
                                             struct wm_view payload_hash, const struct wm_sigv4_use *use,
                                             char message[256])
{
    struct wm_sigv4_canonical canonical;
    unsigned differing = 0;
    for (unsigned spelling = 0; spelling < SPELLING_COUNT; spelling++) {
        char ours[WM_SHA256_HEX_BYTES];
        if (spelling & ~differing)
            continue;
        if (!wm_sigv4_canonical_build(wm_sigv4_cache_work(c), r, names, claim->signed_headers, claim->presigned,
                                      payload_hash, spelling, &canonical))
            return SAY(WM_SIGV4_INCOMPLETE, "The request is too large for its signature to be checked");
        if (canonical.missing.ptr)
            return SAY(WM_SIGV4_MISMATCH, "The signed header '%s' is not in the request",
                       show(canonical.missing).text);
        wm_sigv4_use_sign(use, claim->date_basic, canonical.text, ours);
        if (wm_equal_constant_time(ours, claim->signature.ptr, sizeof ours))
            return WM_SIGV4_OK;
        if (spelling == SPELLING_DOCUMENTED)
            differing = canonical.differing;
    }
    return SAY(WM_SIGV4_MISMATCH, "The request signature we calculated does not match the signature you provided. "
               "Check your AWS Secret Access Key and signing method. Consult the service documentation for details.");
}

enum wm_sigv4_result wm_sigv4_verify(struct wm_sigv4_cache *c, const struct wm_sigv4_request *r,
                                     const struct wm_sigv4_claim *claim, struct wm_view secret, struct wm_view region,
                                     struct wm_view service, struct wm_wall_ns now, char message[256])
{
    struct wm_sigv4_names names;
    struct wm_view payload_hash;
    enum wm_sigv4_result result = check_time(claim, now, message);
    if (result == WM_SIGV4_OK)
        result = check_scope(claim, secret, region, service, message);
    if (result != WM_SIGV4_OK)
        return result;
    if (!wm_sigv4_names_split(claim->signed_headers, &names))
        return SAY(WM_SIGV4_INCOMPLETE, "SignedHeaders has more than %d names", WM_SIGV4_MAX_HEADERS);
    result = check_signed(r, &names, message);
    if (result == WM_SIGV4_OK)
        result = check_payload(r, claim, &names, &payload_hash, message);
    if (result != WM_SIGV4_OK)
        return result;
    result = check_signature_length(claim, message);
    if (result != WM_SIGV4_OK)
        return result;

    struct wm_sigv4_use use = {
        .scope_date = claim->scope_date, .region = claim->region, .service = claim->service, .secret = secret};
    wm_sigv4_use_begin(c, &use, claim->access_key_id);
    result = verify_spellings(c, r, claim, &names, payload_hash, &use, message);
    if (result == WM_SIGV4_OK)
        wm_sigv4_use_keep(c, &use);
    wm_sigv4_use_end(&use);
    return result;
}

/* ---- signing ---- */

static int name_cmp(const void *a, const void *b)
{
    const struct wm_view *x = a, *y = b;
    return wm_view_cmp(*x, *y);
}

enum wm_status wm_sigv4_sign(struct wm_sigv4_cache *c, const struct wm_sigv4_request *r,
                             const struct wm_sigv4_credentials *credentials, struct wm_wall_ns now,
                             struct wm_sigv4_signature *out)
{
    struct wm_sigv4_header headers[WM_SIGV4_MAX_HEADERS + 2];
    struct wm_sigv4_names names = {0};
    struct wm_sigv4_signature made;
    char lowered[2048], list[2048];
    size_t n_headers = 0, lowered_len = 0, list_len = 0;
    struct wm_view date = find_header(r, WM_LIT("x-amz-date"));

    if (r->n_headers > WM_SIGV4_MAX_HEADERS)
        return WM_E_LIMIT;
    if (date.ptr) {
        struct wm_wall_ns parsed;
        if (date.len != sizeof made.date - 1 || wm_time_parse(date, &parsed) != WM_OK)
            return WM_E_INVALID;
        (void)wm_view_copy(date, made.date, sizeof made.date); /* its length was checked */
    } else {
        wm_time_basic(now, made.date);
    }
    for (size_t i = 0; i < r->n_headers; i++)
        if (!name_is(r->headers[i].name, WM_LIT("authorization")))
            headers[n_headers++] = r->headers[i];
    if (!date.ptr)
        headers[n_headers++] = (struct wm_sigv4_header){WM_LIT("x-amz-date"), wm_view_of(made.date)};
    if (credentials->session_token.len && !find_header(r, WM_LIT("x-amz-security-token")).ptr)
        headers[n_headers++] = (struct wm_sigv4_header){WM_LIT("x-amz-security-token"), credentials->session_token};

    for (size_t i = 0; i < n_headers; i++) {
        struct wm_view name = headers[i].name;
        if (wm_sigv4_names_have(&names, name))
            continue;
        if (name.len > sizeof lowered - lowered_len)
            return WM_E_LIMIT;
        struct wm_view low = {lowered + lowered_len, name.len};
        for (size_t j = 0; j < name.len; j++)
            lowered[lowered_len++] = lower(name.ptr[j]);
        names.at[names.n++] = low;
    }
    qsort(names.at, names.n, sizeof *names.at, name_cmp);
    for (size_t i = 0; i < names.n; i++) {
        if (names.at[i].len + 1 > sizeof list - list_len)
            return WM_E_LIMIT;
        if (i)
            list[list_len++] = ';';
        list_len = (size_t)(put_view(list + list_len, names.at[i]) - list);
    }

    struct wm_sigv4_request full = *r;
    full.headers = headers;
    full.n_headers = n_headers;
    struct wm_sigv4_canonical canonical;
    struct wm_view signed_headers = {list, list_len}, scope_date = {made.date, SIGV4_DATE_BYTES};
    if (!wm_sigv4_use_fits(scope_date, credentials->region, credentials->service, credentials->secret) ||
        !wm_sigv4_canonical_build(wm_sigv4_cache_work(c), &full, &names, signed_headers, false, r->payload_hash,
                                  SPELLING_DOCUMENTED, &canonical))
        return WM_E_LIMIT;
    struct wm_sigv4_use use = {.scope_date = scope_date,
                            .region = credentials->region,
                            .service = credentials->service,
                            .secret = credentials->secret};
    char signature[WM_SHA256_HEX_BYTES];
    wm_sigv4_use_begin(c, &use, credentials->access_key_id);
    wm_sigv4_use_sign(&use, made.date, canonical.text, signature);
    wm_sigv4_use_keep(c, &use);
    wm_sigv4_use_end(&use);
    int len = snprintf(made.authorization, sizeof made.authorization,
                       SIGV4_ALGORITHM " Credential=%.*s/%.*s/%.*s/%.*s/" SIGV4_TERMINATOR
                                       ", SignedHeaders=%.*s, Signature=%.*s",
                       WM_ARG(credentials->access_key_id), WM_ARG(scope_date), WM_ARG(credentials->region),
                       WM_ARG(credentials->service), WM_ARG(signed_headers), (int)sizeof signature, signature);
    if (len < 0 || (size_t)len >= sizeof made.authorization)
        return WM_E_LIMIT;
    *out = made;
    return WM_OK;
}
