#include "waymark/iam.h"

#include <stdio.h>

#include "waymark/bounds.h"
#include "waymark/hash.h"

#include "waymark/banned.h"

void wm_iam_new_id(const char *prefix, char *out, size_t size)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"; /* base32, RFC 4648 section 6 */
    uint8_t random[32];
    size_t n = strlen(prefix);
    WM_ASSERT(n < size && size - n - 1 <= sizeof random);
    wm_random(random, sizeof random);
    memcpy(out, prefix, n);
    for (size_t i = n; i + 1 < size; i++)
        out[i] = alphabet[random[i - n] % 32];
    out[size - 1] = '\0';
}

void wm_iam_new_seed(char out[WM_IAM_SEED_BYTES])
{
    uint8_t random[(WM_IAM_SEED_BYTES - 1) / 2];
    wm_random(random, sizeof random);
    wm_hex(random, sizeof random, out);
    out[WM_IAM_SEED_BYTES - 1] = '\0';
}

/* Each byte of a MAC below 248 = 4 * 62 is a character without bias; MACs are made until there are enough of them. */
void wm_iam_secret(const uint8_t master_key[32], struct wm_view access_key_id, struct wm_view seed,
                   char out[WM_IAM_SECRET_BYTES])
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    size_t n = 0;
    for (unsigned round = 0; n < WM_IAM_SECRET_BYTES - 1; round++) {
        char what[256];
        uint8_t mac[WM_SHA256_BYTES];
        int len = snprintf(what, sizeof what, "iam-access-key:%.*s:%.*s:%u",
                           WM_ARG(wm_view_sub(access_key_id, 0, 128)), WM_ARG(wm_view_sub(seed, 0, 64)), round);
        wm_hmac_sha256(master_key, 32, what, (size_t)len, mac);
        for (size_t i = 0; i < sizeof mac && n < WM_IAM_SECRET_BYTES - 1; i++)
            if (mac[i] < 4 * (sizeof alphabet - 1))
                out[n++] = alphabet[mac[i] % (sizeof alphabet - 1)];
        wm_wipe(mac, sizeof mac);
    }
    out[n] = '\0';
}

struct wm_view wm_iam_id(struct wm_arena *a, struct wm_view name)
{
    char *id = wm_arena_alloc(a, name.len);
    for (size_t i = 0; id && i < name.len; i++)
        id[i] = name.ptr[i] >= 'A' && name.ptr[i] <= 'Z' ? (char)(name.ptr[i] + ('a' - 'A')) : name.ptr[i];
    return id ? (struct wm_view){id, name.len} : WM_EMPTY;
}

enum wm_status wm_iam_get(struct wm_state *s, struct wm_arena *a, const char *kind, struct wm_view id,
                          struct wm_json **out)
{
    struct wm_view text;
    bool name = strcmp(kind, WM_IAM_USER) == 0 || strcmp(kind, WM_IAM_ROLE) == 0;
    *out = NULL;
    if (!wm_state_get(s, wm_view_of(kind), name ? wm_iam_id(a, id) : id, &text))
        return wm_arena_status(a);
    enum wm_status status = wm_json_parse(a, text, out, NULL);
    return status == WM_E_INVALID || status == WM_E_LIMIT ? WM_E_CORRUPT : status;
}

enum wm_status wm_iam_get_texts(struct wm_state *s, struct wm_arena *a, const char *kind, struct wm_view id,
                                const char *const *members, size_t n, struct wm_view *out)
{
    struct wm_json *document = NULL;
    struct wm_arena apart;
    wm_arena_init(&apart, WM_MAX_ARENA_BYTES);
    enum wm_status status = wm_iam_get(s, &apart, kind, id, &document);
    for (size_t i = 0; i < n; i++) {
        struct wm_view text = wm_json_get_text(document, members[i]);
        out[i] = text.len ? wm_arena_copy(a, text) : WM_EMPTY;
    }
    wm_arena_done(&apart);
    return status == WM_OK ? wm_arena_status(a) : status;
}

struct wm_view wm_iam_alias(struct wm_state *s, struct wm_arena *a)
{
    struct wm_json *account = NULL;
    if (wm_iam_get(s, a, WM_IAM_ACCOUNT, WM_LIT(WM_IAM_ALIAS_ID), &account) != WM_OK)
        return WM_EMPTY; /* no memory: the arena remembers; or damaged: the record goes without it */
    return wm_json_get_text(account, "AccountAlias");
}
