#include "waymark/seal.h"

#include <openssl/evp.h>

#include "waymark/hash.h"
#include "waymark/sync.h"

#include "waymark/banned.h"

#define SEAL_VERSION 1

static pthread_once_t seal_once = PTHREAD_ONCE_INIT;
static EVP_CIPHER *seal_cipher; /* fetching it for each text would cost more than the text */

static void seal_start(void)
{
    seal_cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
}

static void derive_key(const uint8_t master_key[WM_SEAL_KEY_BYTES], const char *purpose,
                       const uint8_t salt[WM_SEAL_SALT_BYTES], uint8_t out[WM_SHA256_BYTES])
{
    char what[64] = "seal:";
    uint8_t of_purpose[WM_SHA256_BYTES];
    size_t len = strlen(purpose);
    WM_ASSERT(len < sizeof what - 5);
    memcpy(what + 5, purpose, len);
    wm_hmac_sha256(master_key, WM_SEAL_KEY_BYTES, what, 5 + len, of_purpose);
    wm_hmac_sha256(of_purpose, sizeof of_purpose, salt, WM_SEAL_SALT_BYTES, out);
    wm_wipe(of_purpose, sizeof of_purpose);
}

/* A context with key, nonce and associated texts; NULL when memory is short. The version is associated, too. */
static EVP_CIPHER_CTX *begin(const uint8_t key[WM_SHA256_BYTES], bool sealing, struct wm_view associated)
{
    static const uint8_t nonce[12], version = SEAL_VERSION;
    int n;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool ok = ctx && EVP_CipherInit_ex2(ctx, seal_cipher, key, nonce, sealing, NULL) == 1;
    ok = ok && EVP_CipherUpdate(ctx, NULL, &n, &version, 1) == 1;
    ok = ok && (associated.len == 0 ||
                EVP_CipherUpdate(ctx, NULL, &n, (const uint8_t *)associated.ptr, (int)associated.len) == 1);
    if (ok)
        return ctx;
    EVP_CIPHER_CTX_free(ctx);
    return NULL;
}

static enum wm_status check(struct wm_view associated, size_t text_len, const struct wm_buf *out)
{
    WM_PTOK(pthread_once(&seal_once, seal_start));
    if (!seal_cipher)
        return WM_E_UNSUPPORTED;
    if (associated.len > INT32_MAX || text_len > INT32_MAX) /* OpenSSL's lengths are int */
        return WM_E_LIMIT;
    return wm_buf_status(out);
}

enum wm_status wm_seal(const uint8_t master_key[WM_SEAL_KEY_BYTES], const char *purpose, struct wm_view associated,
                       struct wm_view text, struct wm_buf *out)
{
    uint8_t key[WM_SHA256_BYTES], *to;
    int n = 0, rest = 0;
    enum wm_status status = check(associated, text.len, out);
    if (status != WM_OK)
        return status;
    to = (uint8_t *)wm_buf_room(out, text.len + WM_SEAL_OVERHEAD_BYTES);
    if (!to)
        return out->status;
    to[0] = SEAL_VERSION;
    wm_random(to + 1, WM_SEAL_SALT_BYTES);
    derive_key(master_key, purpose, to + 1, key);
    EVP_CIPHER_CTX *ctx = begin(key, true, associated);
    wm_wipe(key, sizeof key);
    uint8_t *cipher = to + 1 + WM_SEAL_SALT_BYTES;
    bool ok = ctx && (text.len == 0 || EVP_CipherUpdate(ctx, cipher, &n, (const uint8_t *)text.ptr, (int)text.len) == 1);
    ok = ok && EVP_CipherFinal_ex(ctx, cipher + n, &rest) == 1;
    ok = ok && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, WM_SEAL_TAG_BYTES, cipher + text.len) == 1;
    EVP_CIPHER_CTX_free(ctx);
    if (!ok)
        return WM_E_NOMEM; /* there is no other reason: all lengths are right */
    WM_ASSERT((size_t)(n + rest) == text.len);
    wm_buf_grow(out, text.len + WM_SEAL_OVERHEAD_BYTES);
    return WM_OK;
}

enum wm_status wm_unseal(const uint8_t master_key[WM_SEAL_KEY_BYTES], const char *purpose, struct wm_view associated,
                         struct wm_view sealed, struct wm_buf *out)
{
    uint8_t key[WM_SHA256_BYTES], tag[WM_SEAL_TAG_BYTES], *to;
    int n = 0, rest = 0;
    enum wm_status status = check(associated, sealed.len, out);
    if (status != WM_OK)
        return status;
    if (sealed.len < WM_SEAL_OVERHEAD_BYTES || sealed.ptr[0] != SEAL_VERSION)
        return WM_E_INVALID;
    const uint8_t *from = (const uint8_t *)sealed.ptr + 1;
    size_t len = sealed.len - WM_SEAL_OVERHEAD_BYTES;
    to = (uint8_t *)wm_buf_room(out, len);
    if (!to)
        return out->status;
    memcpy(tag, from + WM_SEAL_SALT_BYTES + len, sizeof tag);
    derive_key(master_key, purpose, from, key);
    EVP_CIPHER_CTX *ctx = begin(key, false, associated);
    wm_wipe(key, sizeof key);
    bool ready = ctx && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, sizeof tag, tag) == 1;
    ready = ready && (len == 0 || EVP_CipherUpdate(ctx, to, &n, from + WM_SEAL_SALT_BYTES, (int)len) == 1);
    bool proven = ready && EVP_CipherFinal_ex(ctx, to + n, &rest) == 1;
    EVP_CIPHER_CTX_free(ctx);
    if (!proven) {
        wm_wipe(to, len); /* what has not been proven is not to be seen */
        return ready ? WM_E_INVALID : WM_E_NOMEM;
    }
    WM_ASSERT((size_t)(n + rest) == len);
    wm_buf_grow(out, len);
    return WM_OK;
}
