/*
 * Presigned requests, signed here. Lines of the input: method, path, query, then headers "name:value", all of which are
 * signed.
 *
 * Holds: the request is accepted as long as it lives and neither before nor after. With one byte changed, whichever, it
 * is refused, or it means the same: the same method, path, parameters and signed headers, which are read here once
 * more, and not as sigv4_canonical.c does it.
 */
#include "tests/fuzz/fuzz.h"
#include "waymark/bounds.h"
#include "waymark/sigv4.h"

#include "waymark/banned.h"

#define MAX_HEADERS 8
#define MAX_PARTS 4096
#define MAX_INPUT_BYTES 4096
#define CHANGES 64
#define LIFE_S 60
#define SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define DAY "20260301"
#define DATE DAY "T100712Z"
#define SIGNED_AT_S 1772359632
#define REGION WM_LIT("eu-west-1")
#define SERVICE WM_LIT("sts")

struct request {
    struct wm_sigv4_request r;
    struct wm_sigv4_header headers[MAX_HEADERS];
};

static void read_request(struct request *q, struct wm_view text, enum wm_sigv4_path form)
{
    static const struct wm_view of_nothing = {"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", 64};
    q->r = (struct wm_sigv4_request){.headers = q->headers, .path_form = form, .payload_hash = of_nothing};
    if (form == WM_SIGV4_PATH_AS_SENT)
        q->r.payload_hash = WM_LIT("UNSIGNED-PAYLOAD");
    q->r.method = wm_view_split(&text, '\n');
    q->r.path = wm_view_split(&text, '\n');
    q->r.query = wm_view_split(&text, '\n');
    while (text.len && q->r.n_headers < MAX_HEADERS) {
        struct wm_view line = wm_view_split(&text, '\n');
        q->headers[q->r.n_headers].name = wm_view_split(&line, ':');
        q->headers[q->r.n_headers++].value = line;
    }
}

/* ---- what a request means ---- */

struct meaning {
    struct wm_view parts[MAX_PARTS]; /* method, path and headers */
    struct wm_view pairs[MAX_PARTS]; /* of the query, in order */
    size_t n, n_pairs;
    struct wm_buf room; /* what is not as in the request; never moves */
};

static void mean(struct meaning *m, struct wm_view part)
{
    MUST(m->n < MAX_PARTS);
    m->parts[m->n++] = part;
}

/* What was put into the room from there on. */
static struct wm_view put_since(const struct meaning *m, size_t from)
{
    MUST(wm_buf_status(&m->room) == WM_OK);
    return wm_view_sub(wm_buf_view(&m->room), from, m->room.len);
}

/* Escapes become bytes; a percent sign without two hex digits stands for itself. */
static void put_decoded(struct wm_buf *out, struct wm_view text)
{
    for (size_t i = 0; i < text.len; i++) {
        char byte;
        struct wm_view digits = wm_view_sub(text, i + 1, i + 3);
        bool escape = text.ptr[i] == '%' && digits.len == 2 && wm_hex_decode(digits, &byte, 1);
        wm_buf_add_char(out, escape ? byte : text.ptr[i]);
        i += escape ? 2 : 0;
    }
}

static void mean_path(struct meaning *m, const struct wm_sigv4_request *r)
{
    struct wm_view rest = r->path.len ? r->path : WM_LIT("/");
    size_t from = m->room.len;
    if (r->path_form == WM_SIGV4_PATH_AS_SENT) {
        put_decoded(&m->room, rest);
        mean(m, put_since(m, from));
        return;
    }
    bool slash_first = rest.ptr[0] == '/', slash_last = rest.ptr[rest.len - 1] == '/';
    mean(m, slash_first ? WM_LIT("/") : WM_EMPTY);
    size_t root = m->n;
    while (rest.ptr) {
        struct wm_view segment = wm_view_split(&rest, '/');
        if (wm_view_eq_str(segment, ".."))
            m->n -= m->n > root;
        else if (segment.len && !wm_view_eq_str(segment, "."))
            mean(m, segment);
    }
    mean(m, slash_last && m->n > root ? WM_LIT("/") : WM_EMPTY);
}

static int by_bytes(const void *a, const void *b)
{
    return wm_view_cmp(*(const struct wm_view *)a, *(const struct wm_view *)b);
}

static void mean_query(struct meaning *m, struct wm_view query)
{
    while (query.len) {
        struct wm_view value = wm_view_split(&query, '&'), name = wm_view_split(&value, '=');
        size_t from = m->room.len;
        if ((name.len == 0 && value.len == 0) || wm_view_eq_str(name, "X-Amz-Signature"))
            continue;
        put_decoded(&m->room, name);
        wm_buf_addf(&m->room, "=%zu=", m->room.len - from); /* so that none is another by chance */
        put_decoded(&m->room, value);
        MUST(m->n_pairs < MAX_PARTS);
        m->pairs[m->n_pairs++] = put_since(m, from);
    }
    qsort(m->pairs, m->n_pairs, sizeof m->pairs[0], by_bytes);
}

static void mean_header(struct meaning *m, const struct wm_sigv4_request *r, struct wm_view name)
{
    size_t from = m->room.len;
    for (size_t i = 0; i < r->n_headers; i++) {
        char lower[MAX_INPUT_BYTES];
        struct wm_view value = r->headers[i].value;
        if (!wm_view_copy(name, lower, sizeof lower) || !wm_view_ieq_str(r->headers[i].name, lower))
            continue;
        wm_buf_add_char(&m->room, ',');
        bool blank = false, any = false;
        for (size_t k = 0; k < value.len; k++) {
            bool now = value.ptr[k] == ' ' || (value.ptr[k] >= '\t' && value.ptr[k] <= '\r');
            if (!now && blank && any)
                wm_buf_add_char(&m->room, ' ');
            if (!now)
                wm_buf_add_char(&m->room, value.ptr[k]);
            blank = now;
            any = any || !now;
        }
    }
    mean(m, put_since(m, from));
}

static void meaning_of(struct meaning *m, const struct wm_sigv4_request *r, struct wm_view signed_headers)
{
    *m = (struct meaning){0};
    wm_buf_init(&m->room, 16 * MAX_INPUT_BYTES);
    MUST(wm_buf_room(&m->room, 16 * MAX_INPUT_BYTES));
    mean(m, r->method);
    mean_path(m, r);
    while (signed_headers.len)
        mean_header(m, r, wm_view_split(&signed_headers, ';'));
    mean_query(m, r->query);
}

static bool mean_the_same(const struct meaning *a, const struct meaning *b)
{
    bool same = a->n == b->n && a->n_pairs == b->n_pairs;
    for (size_t i = 0; same && i < a->n; i++)
        same = wm_view_eq(a->parts[i], b->parts[i]);
    for (size_t i = 0; same && i < a->n_pairs; i++)
        same = wm_view_eq(a->pairs[i], b->pairs[i]);
    return same;
}

/* ---- signing ---- */

static bool is_name(struct wm_view name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!((name.ptr[i] >= 'a' && name.ptr[i] <= 'z') || name.ptr[i] == '-'))
            return false;
    return name.len > 0 && !wm_view_eq_str(name, "authorization") && !wm_view_eq_str(name, "x-amz-content-sha256");
}

/* The request as it will be sent, but for the signature; and the names of its headers. */
static void write_request(const struct request *q, struct wm_buf *wire, struct wm_buf *names)
{
    struct wm_view query = q->r.query;
    wm_buf_add_view(wire, q->r.method);
    wm_buf_add_char(wire, '\n');
    wm_buf_add_view(wire, q->r.path);
    wm_buf_add_char(wire, '\n');
    while (query.len) {
        struct wm_view pair = wm_view_split(&query, '&');
        if (wm_view_starts(pair, "X-Amz-"))
            continue; /* what we put there must be there once */
        wm_buf_add_view(wire, pair);
        wm_buf_add_char(wire, '&');
    }
    wm_buf_add_str(names, "host");
    for (size_t i = 0; i < q->r.n_headers; i++) {
        struct wm_view name = q->headers[i].name;
        if (is_name(name) && !wm_view_eq_str(name, "host"))
            wm_buf_addf(names, ";%.*s", WM_ARG(name));
    }
    wm_buf_addf(wire, "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%%2F" DAY "%%2F%s%%2F%s%%2F"
                "aws4_request&X-Amz-Date=" DATE "&X-Amz-Expires=%d&X-Amz-SignedHeaders=", REGION.ptr, SERVICE.ptr,
                LIFE_S);
    wm_uri_encode(wire, wm_buf_view(names), false);
    wm_buf_add_str(wire, "&X-Amz-Security-Token=t%2B%2F%3D&X-Amz-Signature=");
}

static void write_headers(const struct request *q, struct wm_buf *wire)
{
    wm_buf_add_str(wire, "\nhost:h:8080");
    for (size_t i = 0; i < q->r.n_headers; i++) {
        if (!is_name(q->headers[i].name))
            continue;
        wm_buf_addf(wire, "\n%.*s:", WM_ARG(q->headers[i].name));
        wm_buf_add_view(wire, q->headers[i].value);
    }
}

/* IAM User Guide, "Create a signed AWS API request", steps 3 to 5. */
static void sign(struct wm_view canonical, char out[WM_SHA256_HEX_BYTES + 1])
{
    const struct wm_view parts[] = {WM_LIT(DAY), REGION, SERVICE, WM_LIT("aws4_request")};
    uint8_t key[WM_SHA256_BYTES];
    struct wm_buf text;
    wm_hmac_sha256("AWS4" SECRET, sizeof "AWS4" SECRET - 1, parts[0].ptr, parts[0].len, key);
    for (size_t i = 1; i < sizeof parts / sizeof parts[0]; i++)
        wm_hmac_sha256(key, sizeof key, parts[i].ptr, parts[i].len, key);
    wm_buf_init(&text, 4096);
    wm_sigv4_string_to_sign(WM_LIT(DATE), parts[0], REGION, SERVICE, canonical, &text);
    MUST(wm_buf_status(&text) == WM_OK);
    wm_hmac_sha256(key, sizeof key, text.data, text.len, key);
    wm_hex(key, sizeof key, out);
    out[WM_SHA256_HEX_BYTES] = '\0';
    wm_buf_done(&text);
}

/* False when the request is too large to be signed. */
static bool presign(const struct request *given, enum wm_sigv4_path form, struct wm_buf *wire, struct wm_buf *names,
                    char signature[WM_SHA256_HEX_BYTES + 1])
{
    struct request q;
    struct wm_buf canonical;
    write_request(given, wire, names);
    size_t at = wire->len;
    write_headers(given, wire);
    MUST(wm_buf_status(wire) == WM_OK && wm_buf_status(names) == WM_OK);
    read_request(&q, wm_buf_view(wire), form);
    wm_buf_init(&canonical, 1u << 20);
    bool fits = wm_sigv4_canonical_request(&q.r, wm_buf_view(names), true, &canonical) == WM_OK;
    if (fits) {
        sign(wm_buf_view(&canonical), signature);
        wm_buf_truncate(wire, at);
        wm_buf_add_str(wire, signature);
        write_headers(given, wire);
    }
    wm_buf_done(&canonical);
    return fits && wm_buf_status(wire) == WM_OK;
}

/* ---- verifying ---- */

static enum wm_sigv4_result verify(struct wm_sigv4_cache *c, const struct request *q, int64_t at_s,
                                   struct wm_sigv4_claim *claim)
{
    char message[256] = "";
    enum wm_sigv4_result result = wm_sigv4_parse(&q->r, claim, message);
    if (result == WM_SIGV4_OK)
        result = wm_sigv4_verify(c, &q->r, claim, WM_LIT(SECRET), REGION, SERVICE, wm_wall_from_seconds(at_s), message);
    MUST(result == WM_SIGV4_OK || message[0] != '\0');
    return result;
}

static void check_life(struct wm_sigv4_cache *c, const struct request *q)
{
    struct wm_sigv4_claim claim;
    MUST(verify(c, q, SIGNED_AT_S - WM_SIGV4_SKEW_S - 1, &claim) == WM_SIGV4_NOT_YET);
    MUST(verify(c, q, SIGNED_AT_S - WM_SIGV4_SKEW_S, &claim) == WM_SIGV4_OK);
    MUST(verify(c, q, SIGNED_AT_S + LIFE_S, &claim) == WM_SIGV4_OK);
    MUST(verify(c, q, SIGNED_AT_S + LIFE_S + 1, &claim) == WM_SIGV4_EXPIRED);
    MUST(claim.presigned && wm_view_eq_str(claim.security_token, "t+/="));
}

static void check_change(struct wm_sigv4_cache *c, struct wm_buf *wire, size_t at, char to, enum wm_sigv4_path form,
                         struct wm_view names, const char *signature, const struct meaning *signed_one)
{
    static struct meaning changed;
    struct request q;
    struct wm_sigv4_claim claim;
    char was = wire->data[at];
    wire->data[at] = to;
    read_request(&q, wm_buf_view(wire), form);
    if (verify(c, &q, SIGNED_AT_S, &claim) == WM_SIGV4_OK) {
        meaning_of(&changed, &q.r, names);
        MUST(mean_the_same(&changed, signed_one));
        MUST(wm_view_eq_str(claim.signature, signature));
        wm_buf_done(&changed.room);
    }
    wire->data[at] = was;
}

static void check_changes(struct wm_sigv4_cache *c, struct wm_buf *wire, enum wm_sigv4_path form, struct wm_view names,
                          const char *signature)
{
    static const char bytes[] = "%&=/.+ ;:,\n\0\xff" "0aAx2";
    static struct meaning signed_one;
    struct request q;
    uint32_t draw = wm_crc32(0, wire->data, wire->len);
    read_request(&q, wm_buf_view(wire), form);
    check_life(c, &q);
    struct wm_buf original;
    wm_buf_init(&original, MAX_INPUT_BYTES * 8);
    wm_buf_add_view(&original, wm_buf_view(wire));
    MUST(wm_buf_status(&original) == WM_OK);
    read_request(&q, wm_buf_view(&original), form);
    meaning_of(&signed_one, &q.r, names);
    for (int i = 0; i < CHANGES; i++) {
        draw = draw * 1664525u + 1013904223u; /* Numerical Recipes, "quick and dirty" generators */
        size_t at = (draw >> 8) % wire->len;
        unsigned which = (draw >> 4) % (sizeof bytes + 2);
        char to = which < sizeof bytes ? bytes[which] : (char)(wire->data[at] ^ (which == sizeof bytes ? 0x20 : 0x01));
        if (to != wire->data[at])
            check_change(c, wire, at, to, form, names, signature, &signed_one);
    }
    wm_buf_done(&signed_one.room);
    wm_buf_done(&original);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct request given;
    char signature[WM_SHA256_HEX_BYTES + 1];
    if (len > MAX_INPUT_BYTES)
        return 0;
    struct wm_sigv4_cache *c = wm_sigv4_cache_new();
    MUST(c);
    for (int form = 0; form < 2; form++) {
        enum wm_sigv4_path path = form ? WM_SIGV4_PATH_AS_SENT : WM_SIGV4_PATH_NORMALIZED;
        struct wm_buf wire, names;
        wm_buf_init(&wire, MAX_INPUT_BYTES * 8);
        wm_buf_init(&names, MAX_INPUT_BYTES);
        read_request(&given, (struct wm_view){(const char *)data, len}, path);
        if (presign(&given, path, &wire, &names, signature))
            check_changes(c, &wire, path, wm_buf_view(&names), signature);
        wm_buf_done(&wire);
        wm_buf_done(&names);
    }
    wm_sigv4_cache_free(c);
    return 0;
}
