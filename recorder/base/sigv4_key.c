/* Signing keys, kept per user, day, region and service: deriving one costs four HMACs, more than all the rest. */
#include "recorder/base/sigv4_int.h"

#include <stdlib.h>

#include "waymark/banned.h"

/* Keys used at one time: users times regions and services times two days around midnight. */
#define SIGV4_CACHE_SETS 64
#define SIGV4_CACHE_WAYS 4

struct wm_sigv4_kept_key {
    uint64_t used; /* when, by the cache's count of look-ups; 0 is a free place */
    size_t text_len;
    size_t secret_len;
    char text[SIGV4_MAX_KEY_TEXT];
    char secret[SIGV4_MAX_SECRET]; /* an access key may come back with another secret */
    struct wm_hmac_key *key;
};

struct wm_sigv4_cache {
    uint64_t clock;
    struct wm_sigv4_kept_key keys[SIGV4_CACHE_SETS][SIGV4_CACHE_WAYS];
    struct wm_sigv4_work work;
};

struct wm_sigv4_cache *wm_sigv4_cache_new(void)
{
    if (wm_hash_thread_init() != WM_OK)
        return NULL;
    return calloc(1, sizeof(struct wm_sigv4_cache));
}

static void cache_drop(struct wm_sigv4_kept_key *k)
{
    wm_hmac_key_free(k->key);
    wm_wipe(k, sizeof *k);
}

void wm_sigv4_cache_free(struct wm_sigv4_cache *c)
{
    if (!c)
        return;
    for (size_t set = 0; set < SIGV4_CACHE_SETS; set++)
        for (size_t way = 0; way < SIGV4_CACHE_WAYS; way++)
            if (c->keys[set][way].used)
                cache_drop(&c->keys[set][way]);
    free(c);
}

struct wm_sigv4_work *wm_sigv4_cache_work(struct wm_sigv4_cache *c)
{
    return &c->work;
}

/* IAM User Guide, "Create a signed AWS API request", step 4. */
static void use_derive(struct wm_sigv4_use *u)
{
    char first[4 + SIGV4_MAX_SECRET] = "AWS4";
    uint8_t *key = u->derived;
    (void)put_view(first + 4, u->secret); /* its end is known */
    wm_hmac_sha256(first, 4 + u->secret.len, u->scope_date.ptr, u->scope_date.len, key);
    wm_wipe(first, sizeof first);
    wm_hmac_sha256(key, WM_SHA256_BYTES, u->region.ptr, u->region.len, key);
    wm_hmac_sha256(key, WM_SHA256_BYTES, u->service.ptr, u->service.len, key);
    wm_hmac_sha256(key, WM_SHA256_BYTES, SIGV4_TERMINATOR, sizeof SIGV4_TERMINATOR - 1, key);
}

static uint64_t text_hash(const char text[SIGV4_MAX_KEY_TEXT], size_t len)
{
    uint64_t h = len;
    for (size_t i = 0; i < len; i += 8) { /* the text is filled up with zeros */
        h = (h ^ wm_get_le64(text + i)) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    return h;
}

void wm_sigv4_use_begin(struct wm_sigv4_cache *c, struct wm_sigv4_use *u, struct wm_view access_key_id)
{
    size_t len = access_key_id.len + u->scope_date.len + u->region.len + u->service.len + 3;
    u->kept = NULL;
    u->cacheable = len <= sizeof u->text;
    if (u->cacheable) {
        char *o = put_view(u->text, access_key_id);
        *o++ = '/';
        o = put_view(o, u->scope_date);
        *o++ = '/';
        o = put_view(o, u->region);
        *o++ = '/';
        o = put_view(o, u->service);
        u->text_len = len;
        memset(o, 0, (8 - len % 8) % 8);
        u->set = c->keys[text_hash(u->text, len) % SIGV4_CACHE_SETS];
        for (size_t way = 0; way < SIGV4_CACHE_WAYS; way++) {
            struct wm_sigv4_kept_key *k = &u->set[way];
            if (k->used && k->text_len == len && memcmp(k->text, u->text, len) == 0 &&
                /* memcmp() tells nothing here: the caller of the API chooses neither of the two */
                k->secret_len == u->secret.len && memcmp(k->secret, u->secret.ptr, u->secret.len) == 0) {
                k->used = ++c->clock;
                u->kept = k->key;
                return;
            }
        }
    }
    use_derive(u);
}

void wm_sigv4_use_keep(struct wm_sigv4_cache *c, const struct wm_sigv4_use *u)
{
    if (u->kept || !u->cacheable)
        return;
    struct wm_sigv4_kept_key *oldest = &u->set[0];
    for (size_t way = 1; way < SIGV4_CACHE_WAYS; way++)
        if (u->set[way].used < oldest->used)
            oldest = &u->set[way];
    struct wm_hmac_key *key = wm_hmac_key_new(u->derived, sizeof u->derived);
    if (!key)
        return; /* derived again the next time */
    if (oldest->used)
        cache_drop(oldest);
    oldest->used = ++c->clock;
    oldest->text_len = u->text_len;
    memcpy(oldest->text, u->text, u->text_len);
    oldest->secret_len = u->secret.len;
    (void)put_view(oldest->secret, u->secret); /* its end is known */
    oldest->key = key;
}

void wm_sigv4_use_end(struct wm_sigv4_use *u)
{
    if (!u->kept)
        wm_wipe(u->derived, sizeof u->derived);
}

void wm_sigv4_use_sign(const struct wm_sigv4_use *u, const char date_basic[WM_TIME_BASIC_BYTES],
                       struct wm_view canonical_request, char out[WM_SHA256_HEX_BYTES])
{
    uint8_t hash[WM_SHA256_BYTES];
    char text[sizeof SIGV4_ALGORITHM + WM_TIME_BASIC_BYTES + SIGV4_MAX_KEY_TEXT * 2 + sizeof SIGV4_TERMINATOR +
              WM_SHA256_HEX_BYTES + 8];
    char *o = put(text, SIGV4_ALGORITHM "\n", sizeof SIGV4_ALGORITHM);
    o = put(o, date_basic, WM_TIME_BASIC_BYTES - 1);
    *o++ = '\n';
    o = put_view(o, u->scope_date);
    *o++ = '/';
    o = put_view(o, u->region);
    *o++ = '/';
    o = put_view(o, u->service);
    o = put(o, "/" SIGV4_TERMINATOR "\n", sizeof SIGV4_TERMINATOR + 1);
    wm_sha256(canonical_request.ptr, canonical_request.len, hash);
    wm_hex(hash, sizeof hash, o);
    o += WM_SHA256_HEX_BYTES;
    if (u->kept)
        wm_hmac_key_sha256(u->kept, text, (size_t)(o - text), hash);
    else
        wm_hmac_sha256(u->derived, sizeof u->derived, text, (size_t)(o - text), hash);
    wm_hex(hash, sizeof hash, out);
}

bool wm_sigv4_use_fits(struct wm_view scope_date, struct wm_view region, struct wm_view service, struct wm_view secret)
{
    return scope_date.len == SIGV4_DATE_BYTES && region.len <= SIGV4_MAX_KEY_TEXT - SIGV4_DATE_BYTES &&
           service.len <= SIGV4_MAX_KEY_TEXT && secret.len <= SIGV4_MAX_SECRET;
}

void wm_sigv4_string_to_sign(struct wm_view date_basic, struct wm_view scope_date, struct wm_view region,
                             struct wm_view service, struct wm_view canonical_request, struct wm_buf *out)
{
    uint8_t hash[WM_SHA256_BYTES];
    char hex[WM_SHA256_HEX_BYTES];
    wm_sha256(canonical_request.ptr, canonical_request.len, hash);
    wm_hex(hash, sizeof hash, hex);
    wm_buf_add_str(out, SIGV4_ALGORITHM "\n");
    wm_buf_add_view(out, date_basic);
    wm_buf_add_char(out, '\n');
    wm_buf_add_view(out, scope_date);
    wm_buf_add_char(out, '/');
    wm_buf_add_view(out, region);
    wm_buf_add_char(out, '/');
    wm_buf_add_view(out, service);
    wm_buf_add_str(out, "/" SIGV4_TERMINATOR "\n");
    wm_buf_add(out, hex, sizeof hex);
}
