/*
 * Session tokens. Holds: bytes that we did not seal are never a token, nor is one of ours with a byte changed or for
 * another account; what is in one of ours, whatever it is, is refused or reads as a session that packs to the same
 * bytes.
 */
#include "server/session_token.h"
#include "tests/fuzz/fuzz.h"
#include "waymark/bounds.h"
#include "waymark/hash.h"
#include "waymark/seal.h"

#include "waymark/banned.h"

#define ACCOUNT WM_LIT("111122223333")
#define PURPOSE "session-token"
#define MAX_PACKED_BYTES (WM_MAX_SESSION_TOKEN_BYTES / 4 * 3 - WM_SEAL_OVERHEAD_BYTES)
static const uint8_t key[32] = "a key for tests, 32 bytes long.";

static enum wm_status read_for(struct wm_view account, struct wm_view token, struct wm_arena *a, struct wm_session *out)
{
    enum wm_status status = wm_session_token_read(key, account, token, a, out);
    MUST(status == WM_OK || status == WM_E_INVALID);
    return status;
}

static void check_refused(struct wm_view token)
{
    struct wm_arena a;
    struct wm_session s;
    wm_arena_init(&a, WM_MAX_ARENA_BYTES);
    MUST(read_for(ACCOUNT, token, &a, &s) == WM_E_INVALID);
    wm_arena_done(&a);
}

static void check_sealed_by_others(struct wm_view bytes)
{
    struct wm_buf token;
    check_refused(bytes);
    wm_buf_init(&token, 1u << 16);
    wm_base64(&token, bytes.ptr, bytes.len);
    if (wm_buf_status(&token) == WM_OK)
        check_refused(wm_buf_view(&token));
    wm_buf_done(&token);
}

static void check_changed(struct wm_buf *token)
{
    uint32_t draw = wm_crc32(0, token->data, token->len);
    for (int i = 0; i < 16; i++) {
        draw = draw * 1664525u + 1013904223u; /* Numerical Recipes, "quick and dirty" generators */
        char *at = token->data + (draw >> 8) % token->len, was = *at;
        static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
        *at = digits[(draw >> 2) % (sizeof digits - 1)];
        if (*at != was)
            check_refused(wm_buf_view(token));
        *at = was;
    }
    check_refused(wm_view_sub(wm_buf_view(token), 0, draw % token->len));
}

static void check_same_bytes(const struct wm_session *s, struct wm_view packed)
{
    struct wm_buf token, sealed, again;
    wm_buf_init(&token, WM_MAX_SESSION_TOKEN_BYTES);
    wm_buf_init(&sealed, WM_MAX_SESSION_TOKEN_BYTES);
    wm_buf_init(&again, WM_MAX_SESSION_TOKEN_BYTES);
    enum wm_status status = wm_session_token_make(key, ACCOUNT, s, &token);
    MUST(status == WM_OK || (status == WM_E_LIMIT && wm_session_packed_bytes(s) > WM_MAX_SESSION_PACKED_BYTES));
    if (status == WM_OK) {
        MUST(wm_base64_decode(wm_buf_view(&token), &sealed) == WM_OK);
        MUST(wm_unseal(key, PURPOSE, ACCOUNT, wm_buf_view(&sealed), &again) == WM_OK);
        MUST(wm_view_eq(wm_buf_view(&again), packed));
    }
    wm_buf_done(&token);
    wm_buf_done(&sealed);
    wm_buf_done(&again);
}

static void check_sealed_by_us(struct wm_view packed)
{
    struct wm_buf sealed, token;
    struct wm_arena a;
    struct wm_session s;
    wm_buf_init(&sealed, WM_MAX_SESSION_TOKEN_BYTES);
    wm_buf_init(&token, WM_MAX_SESSION_TOKEN_BYTES);
    wm_arena_init(&a, WM_MAX_ARENA_BYTES);
    MUST(wm_seal(key, PURPOSE, ACCOUNT, packed, &sealed) == WM_OK);
    wm_base64(&token, sealed.data, sealed.len);
    MUST(wm_buf_status(&token) == WM_OK);
    if (read_for(ACCOUNT, wm_buf_view(&token), &a, &s) == WM_OK)
        check_same_bytes(&s, packed);
    MUST(read_for(WM_LIT("111122223334"), wm_buf_view(&token), &a, &s) == WM_E_INVALID);
    check_changed(&token);
    wm_buf_done(&sealed);
    wm_buf_done(&token);
    wm_arena_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct wm_view bytes = {(const char *)data, len};
    check_sealed_by_others(bytes);
    if (len <= MAX_PACKED_BYTES)
        check_sealed_by_us(bytes);
    return 0;
}
