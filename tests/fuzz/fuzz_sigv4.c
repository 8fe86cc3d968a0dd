/*
 * A request's signature. Lines of the input: method, path, query, then headers "name:value".
 * Holds: made-up requests are never taken for signed; one that we sign ourselves is accepted; encoding can be undone.
 */
#include "tests/fuzz/fuzz.h"
#include "waymark/bounds.h"
#include "waymark/sigv4.h"

#include "waymark/banned.h"

#define MAX_HEADERS (WM_SIGV4_MAX_HEADERS + 8)
#define HASH WM_LIT("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")

static void check_encoding(struct wm_view text)
{
    struct wm_buf coded, plain;
    wm_buf_init(&coded, 1u << 24);
    wm_buf_init(&plain, 1u << 24);
    wm_uri_encode(&coded, text, false);
    MUST(wm_buf_status(&coded) == WM_OK);
    MUST(wm_uri_decode(&plain, wm_buf_view(&coded)) == WM_OK);
    MUST(wm_view_eq(wm_buf_view(&plain), text));
    wm_buf_clear(&plain);
    enum wm_status status = wm_uri_decode(&plain, text);
    MUST(status == WM_OK || status == WM_E_INVALID);
    wm_buf_done(&coded);
    wm_buf_done(&plain);
}

static void check_own_signature(struct wm_sigv4_cache *c, struct wm_sigv4_request *r, struct wm_wall_ns now)
{
    struct wm_sigv4_header headers[3] = {{WM_LIT("host"), WM_LIT("h")}};
    struct wm_sigv4_signature signature;
    struct wm_sigv4_claim claim;
    char message[256];
    const struct wm_sigv4_credentials who = {
        .access_key_id = WM_LIT("AKIDEXAMPLE"),
        .secret = WM_LIT("secret"),
        .region = WM_LIT("eu-west-1"),
        .service = WM_LIT("mediapackage"),
    };
    r->headers = headers;
    r->n_headers = 1;
    if (wm_sigv4_sign(c, r, &who, now, &signature) != WM_OK)
        return; /* too long */
    headers[1] = (struct wm_sigv4_header){WM_LIT("X-Amz-Date"), wm_view_of(signature.date)};
    headers[2] = (struct wm_sigv4_header){WM_LIT("Authorization"), wm_view_of(signature.authorization)};
    r->n_headers = 3;
    if (wm_view_find(r->query, 'X') != r->query.len)
        return; /* may claim to be presigned as well */
    MUST(wm_sigv4_parse(r, &claim, message) == WM_SIGV4_OK);
    MUST(wm_sigv4_verify(c, r, &claim, who.secret, who.region, who.service, now, message) == WM_SIGV4_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct wm_view rest = {(const char *)data, len};
    struct wm_sigv4_header headers[MAX_HEADERS];
    struct wm_sigv4_request r = {.headers = headers, .payload_hash = HASH};
    struct wm_sigv4_claim claim;
    struct wm_buf canonical;
    const struct wm_wall_ns now = {1772359632000000000};
    char message[256] = "";
    r.method = wm_view_split(&rest, '\n');
    r.path = wm_view_split(&rest, '\n');
    r.query = wm_view_split(&rest, '\n');
    while (rest.len && r.n_headers < MAX_HEADERS) {
        struct wm_view line = wm_view_split(&rest, '\n');
        headers[r.n_headers].name = wm_view_split(&line, ':');
        headers[r.n_headers++].value = line;
    }
    check_encoding(r.path);

    struct wm_sigv4_cache *c = wm_sigv4_cache_new();
    MUST(c);
    wm_buf_init(&canonical, 1u << 20);
    for (int form = 0; form < 2; form++) {
        r.path_form = form ? WM_SIGV4_PATH_AS_SENT : WM_SIGV4_PATH_NORMALIZED;
        enum wm_sigv4_result result = wm_sigv4_parse(&r, &claim, message);
        MUST(result == WM_SIGV4_OK || message[0] != '\0');
        enum wm_status status = wm_sigv4_canonical_request(&r, claim.signed_headers, claim.presigned, &canonical);
        MUST(status == WM_OK || status == WM_E_LIMIT || status == WM_E_INVALID);
        wm_buf_clear(&canonical);
        if (result == WM_SIGV4_OK)
            MUST(wm_sigv4_verify(c, &r, &claim, WM_LIT("a secret nobody knows"), WM_EMPTY, WM_EMPTY, now, message) !=
                 WM_SIGV4_OK);
    }
    r.path_form = WM_SIGV4_PATH_NORMALIZED;
    check_own_signature(c, &r, now);
    wm_buf_done(&canonical);
    wm_sigv4_cache_free(c);
    return 0;
}
