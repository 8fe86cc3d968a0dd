#include "waymark/hash.h"

#include <errno.h>
#include <libdeflate.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

#include "waymark/sync.h"

#include "waymark/banned.h"

/*
 * What OpenSSL 3 charges for is fetching an algorithm and allocating a context; hashing itself is cheap (measured).
 * So the algorithms are fetched once per process, and every thread keeps one context per algorithm.
 *
 * HMAC with a key seen once is two plain digests over the kept SHA-256 context, with the key pads put in front: less
 * work than re-keying an EVP_MAC_CTX (300 against 468 ns for 137 bytes). With a key that stays, struct wm_hmac_key
 * keeps the states behind the pads and copies them (215 ns; the deprecated low-level calls take 185).
 */

#define SHA256_BLOCK_BYTES 64
/* One getrandom() of 16 bytes takes 248 ns (measured), nearly all of it the system call. */
#define RANDOM_BATCH_BYTES 512

static pthread_once_t hash_once = PTHREAD_ONCE_INIT;
static pthread_key_t hash_thread_end;
static EVP_MD *hash_sha256_md;
static EVP_MD *hash_md5_md;
/* Raised in the child of a fork, so that parent and child never hand out the same random bytes. */
static atomic_uint hash_fork_generation;

static _Thread_local struct hash_thread {
    EVP_MD_CTX *sha256;
    EVP_MD_CTX *md5;
    EVP_MD_CTX *copy; /* takes a copy of a wm_hmac_key's state */
    size_t random_left; /* unused bytes, at the end of random[] */
    unsigned random_generation;
    uint8_t random[RANDOM_BATCH_BYTES];
} hash_thread;

static void hash_forget_thread(void *arg)
{
    struct hash_thread *t = arg;
    EVP_MD_CTX_free(t->sha256);
    EVP_MD_CTX_free(t->md5);
    EVP_MD_CTX_free(t->copy);
    OPENSSL_cleanse(t, sizeof *t);
}

static void hash_after_fork(void)
{
    atomic_fetch_add(&hash_fork_generation, 1);
}

static void hash_start(void)
{
    WM_PTOK(pthread_key_create(&hash_thread_end, hash_forget_thread));
    WM_PTOK(pthread_atfork(NULL, NULL, hash_after_fork));
    hash_sha256_md = EVP_MD_fetch(NULL, "SHA256", NULL);
    hash_md5_md = EVP_MD_fetch(NULL, "MD5", NULL);
}

static EVP_MD_CTX *hash_new_context(const EVP_MD *md)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx && EVP_DigestInit_ex2(ctx, md, NULL) != 1) {
        EVP_MD_CTX_free(ctx);
        ctx = NULL;
    }
    return ctx;
}

enum wm_status wm_hash_thread_init(void)
{
    struct hash_thread *t = &hash_thread;
    WM_PTOK(pthread_once(&hash_once, hash_start));
    if (!hash_sha256_md || !hash_md5_md)
        return WM_E_UNSUPPORTED;
    if (t->sha256)
        return WM_OK;
    EVP_MD_CTX *sha256 = hash_new_context(hash_sha256_md);
    EVP_MD_CTX *md5 = hash_new_context(hash_md5_md);
    EVP_MD_CTX *copy = hash_new_context(hash_sha256_md);
    /* the value only has to be non-NULL for the destructor to run */
    if (!sha256 || !md5 || !copy || pthread_setspecific(hash_thread_end, t) != 0) {
        EVP_MD_CTX_free(sha256);
        EVP_MD_CTX_free(md5);
        EVP_MD_CTX_free(copy);
        return WM_E_NOMEM;
    }
    t->sha256 = sha256;
    t->md5 = md5;
    t->copy = copy;
    return WM_OK;
}

static struct hash_thread *hash_this_thread(void)
{
    struct hash_thread *t = &hash_thread;
    if (__builtin_expect(!t->sha256, 0))
        WM_ASSERT(wm_hash_thread_init() == WM_OK);
    return t;
}

/* One digest over two pieces. A kept context is initialised again without naming the algorithm: nothing is fetched. */
static void hash_pieces(EVP_MD_CTX *ctx, const void *a, size_t a_len, const void *b, size_t b_len, uint8_t *out)
{
    bool ok = EVP_DigestInit_ex2(ctx, NULL, NULL) == 1;
    ok = ok && EVP_DigestUpdate(ctx, a, a_len) == 1;
    ok = ok && (b_len == 0 || EVP_DigestUpdate(ctx, b, b_len) == 1);
    ok = ok && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
    WM_ASSERT(ok);
}

void wm_sha256(const void *data, size_t len, uint8_t out[WM_SHA256_BYTES])
{
    hash_pieces(hash_this_thread()->sha256, data, len, NULL, 0, out);
}

void wm_md5(const void *data, size_t len, uint8_t out[WM_MD5_BYTES])
{
    hash_pieces(hash_this_thread()->md5, data, len, NULL, 0, out);
}

/* RFC 2104 section 2: a key longer than a block is replaced by its digest, a shorter one filled up with zeros. */
static void hmac_block(EVP_MD_CTX *ctx, const void *key, size_t key_len, uint8_t block[SHA256_BLOCK_BYTES])
{
    memset(block, 0, SHA256_BLOCK_BYTES);
    if (key_len > SHA256_BLOCK_BYTES)
        hash_pieces(ctx, key, key_len, NULL, 0, block);
    else if (key_len)
        memcpy(block, key, key_len);
}

static void hmac_pad(uint8_t out[SHA256_BLOCK_BYTES], const uint8_t block[SHA256_BLOCK_BYTES], uint8_t with)
{
    for (size_t i = 0; i < SHA256_BLOCK_BYTES; i++)
        out[i] = block[i] ^ with;
}

#define HMAC_INNER 0x36 /* ipad and opad of RFC 2104 */
#define HMAC_OUTER 0x5c

void wm_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len, uint8_t out[WM_SHA256_BYTES])
{
    EVP_MD_CTX *ctx = hash_this_thread()->sha256;
    uint8_t block[SHA256_BLOCK_BYTES], pad[SHA256_BLOCK_BYTES], inner[WM_SHA256_BYTES];
    hmac_block(ctx, key, key_len, block);
    hmac_pad(pad, block, HMAC_INNER);
    hash_pieces(ctx, pad, sizeof pad, data, len, inner);
    hmac_pad(pad, block, HMAC_OUTER);
    hash_pieces(ctx, pad, sizeof pad, inner, sizeof inner, out);
    OPENSSL_cleanse(block, sizeof block);
    OPENSSL_cleanse(pad, sizeof pad); /* gives the key away */
}

struct wm_hmac_key {
    EVP_MD_CTX *inner; /* state after the inner pad */
    EVP_MD_CTX *outer;
};

static EVP_MD_CTX *hmac_padded_context(const uint8_t block[SHA256_BLOCK_BYTES], uint8_t with)
{
    uint8_t pad[SHA256_BLOCK_BYTES];
    EVP_MD_CTX *ctx = hash_new_context(hash_sha256_md);
    hmac_pad(pad, block, with);
    if (ctx)
        WM_ASSERT(EVP_DigestUpdate(ctx, pad, sizeof pad) == 1);
    OPENSSL_cleanse(pad, sizeof pad);
    return ctx;
}

struct wm_hmac_key *wm_hmac_key_new(const void *key, size_t key_len)
{
    if (wm_hash_thread_init() != WM_OK)
        return NULL;
    struct wm_hmac_key *k = malloc(sizeof *k);
    if (!k)
        return NULL;
    uint8_t block[SHA256_BLOCK_BYTES];
    hmac_block(hash_thread.sha256, key, key_len, block);
    k->inner = hmac_padded_context(block, HMAC_INNER);
    k->outer = hmac_padded_context(block, HMAC_OUTER);
    OPENSSL_cleanse(block, sizeof block);
    if (!k->inner || !k->outer) {
        wm_hmac_key_free(k);
        return NULL;
    }
    return k;
}

void wm_hmac_key_free(struct wm_hmac_key *k)
{
    if (!k)
        return;
    EVP_MD_CTX_free(k->inner); /* OpenSSL clears the state itself */
    EVP_MD_CTX_free(k->outer);
    free(k);
}

/* The digest that goes on from a kept state. */
static void hmac_continue(EVP_MD_CTX *copy, const EVP_MD_CTX *state, const void *data, size_t len, uint8_t *out)
{
    bool ok = EVP_MD_CTX_copy_ex(copy, state) == 1;
    ok = ok && EVP_DigestUpdate(copy, data, len) == 1;
    ok = ok && EVP_DigestFinal_ex(copy, out, NULL) == 1;
    WM_ASSERT(ok);
}

void wm_hmac_key_sha256(const struct wm_hmac_key *k, const void *data, size_t len, uint8_t out[WM_SHA256_BYTES])
{
    EVP_MD_CTX *copy = hash_this_thread()->copy;
    uint8_t inner[WM_SHA256_BYTES];
    hmac_continue(copy, k->inner, data, len, inner);
    hmac_continue(copy, k->outer, inner, sizeof inner, out);
}

struct wm_sha256_stream {
    EVP_MD_CTX *ctx;
};

struct wm_sha256_stream *wm_sha256_stream_new(void)
{
    if (wm_hash_thread_init() != WM_OK)
        return NULL;
    struct wm_sha256_stream *s = malloc(sizeof *s);
    if (!s)
        return NULL;
    s->ctx = hash_new_context(hash_sha256_md);
    if (!s->ctx) {
        free(s);
        return NULL;
    }
    return s;
}

void wm_sha256_stream_free(struct wm_sha256_stream *s)
{
    if (!s)
        return;
    EVP_MD_CTX_free(s->ctx);
    free(s);
}

void wm_sha256_stream_add(struct wm_sha256_stream *s, const void *data, size_t len)
{
    WM_ASSERT(EVP_DigestUpdate(s->ctx, data, len) == 1);
}

void wm_sha256_stream_end(struct wm_sha256_stream *s, uint8_t out[WM_SHA256_BYTES])
{
    bool ok = EVP_DigestFinal_ex(s->ctx, out, NULL) == 1;
    ok = ok && EVP_DigestInit_ex2(s->ctx, NULL, NULL) == 1;
    WM_ASSERT(ok);
}

uint32_t wm_crc32(uint32_t crc, const void *data, size_t len)
{
    /* libdeflate takes a NULL buffer as the question for the initial value */
    return len ? libdeflate_crc32(crc, data, len) : crc;
}

#define HEX_ROW(d) d "0" d "1" d "2" d "3" d "4" d "5" d "6" d "7" d "8" d "9" d "a" d "b" d "c" d "d" d "e" d "f"
static const char hex_pairs[] =
    HEX_ROW("0") HEX_ROW("1") HEX_ROW("2") HEX_ROW("3") HEX_ROW("4") HEX_ROW("5") HEX_ROW("6") HEX_ROW("7")
    HEX_ROW("8") HEX_ROW("9") HEX_ROW("a") HEX_ROW("b") HEX_ROW("c") HEX_ROW("d") HEX_ROW("e") HEX_ROW("f");

void wm_hex(const void *data, size_t len, char *out)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < len; i++)
        memcpy(out + 2 * i, hex_pairs + 2 * (size_t)p[i], 2);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool wm_hex_decode(struct wm_view text, void *out, size_t len)
{
    uint8_t *p = out;
    if (len > SIZE_MAX / 2 || text.len != 2 * len)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (hex_value(text.ptr[i]) < 0)
            return false;
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(hex_value(text.ptr[2 * i]) << 4 | hex_value(text.ptr[2 * i + 1]));
    return true;
}

void wm_base64(struct wm_buf *out, const void *data, size_t len)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *p = data;
    if (len > SIZE_MAX / 2) {
        out->status = out->status ? out->status : WM_E_LIMIT;
        return;
    }
    size_t bytes = (len + 2) / 3 * 4;
    char *to = wm_buf_room(out, bytes);
    if (!to)
        return;
    for (size_t i = 0; i < len; i += 3) {
        size_t n = len - i < 3 ? len - i : 3;
        uint32_t group = (uint32_t)p[i] << 16 | (uint32_t)(n > 1 ? p[i + 1] : 0) << 8 | (n > 2 ? p[i + 2] : 0);
        *to++ = alphabet[group >> 18];
        *to++ = alphabet[group >> 12 & 63];
        *to++ = n > 1 ? alphabet[group >> 6 & 63] : '=';
        *to++ = n > 2 ? alphabet[group & 63] : '=';
    }
    wm_buf_grow(out, bytes);
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

enum wm_status wm_base64_decode(struct wm_view text, struct wm_buf *out)
{
    if (text.len % 4 != 0)
        return WM_E_INVALID;
    size_t pads = 0;
    while (pads < 2 && pads < text.len && text.ptr[text.len - 1 - pads] == '=')
        pads++;
    size_t digits = text.len - pads, bytes = text.len / 4 * 3 - pads;
    for (size_t i = 0; i < digits; i++)
        if (base64_value(text.ptr[i]) < 0)
            return WM_E_INVALID;
    /* RFC 4648 section 3.5: one spelling per value, so the bits that padding cuts off are zero */
    if (pads && (base64_value(text.ptr[digits - 1]) & (pads == 1 ? 3 : 15)) != 0)
        return WM_E_INVALID;
    char *to = wm_buf_room(out, bytes);
    if (!to)
        return out->status;
    uint32_t group = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < digits; i++) {
        group = group << 6 | (uint32_t)base64_value(text.ptr[i]);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            *to++ = (char)(uint8_t)(group >> bits);
        }
    }
    wm_buf_grow(out, bytes);
    return WM_OK;
}

static void random_from_kernel(uint8_t *out, size_t len)
{
    while (len) {
        ssize_t n = getrandom(out, len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        WM_ASSERT(n > 0);
        out += n;
        len -= (size_t)n;
    }
}

void wm_random(void *out, size_t len)
{
    struct hash_thread *t = hash_this_thread();
    if (len > sizeof t->random / 4) {
        random_from_kernel(out, len);
        return;
    }
    unsigned generation = atomic_load_explicit(&hash_fork_generation, memory_order_relaxed);
    if (t->random_left < len || t->random_generation != generation) {
        random_from_kernel(t->random, sizeof t->random);
        t->random_left = sizeof t->random;
        t->random_generation = generation;
    }
    uint8_t *from = t->random + sizeof t->random - t->random_left;
    memcpy(out, from, len);
    OPENSSL_cleanse(from, len); /* what was handed out is no longer here to be found */
    t->random_left -= len;
}

void wm_uuid(char out[WM_UUID_BYTES])
{
    uint8_t b[16];
    wm_random(b, sizeof b);
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40); /* RFC 9562 section 5.4: version 4 */
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80); /* section 4.1: variant 10 */
    char hex[32];
    wm_hex(b, sizeof b, hex);
    static const size_t group_bytes[] = {8, 4, 4, 4, 12};
    size_t from = 0, to = 0;
    for (size_t g = 0; g < 5; g++) {
        memcpy(out + to, hex + from, group_bytes[g]);
        from += group_bytes[g];
        to += group_bytes[g];
        out[to++] = g < 4 ? '-' : '\0';
    }
}

void wm_random_alnum(char *out, size_t n)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    size_t done = 0;
    while (done < n) {
        uint8_t b[16];
        wm_random(b, sizeof b);
        /* 62 of the 64 values of six bits; the other two are thrown away, so that no character is likelier */
        for (size_t i = 0; i < sizeof b && done < n; i++)
            if ((b[i] & 63) < sizeof alphabet - 1)
                out[done++] = alphabet[b[i] & 63];
    }
    out[n] = '\0';
}

bool wm_equal_constant_time(const void *a, const void *b, size_t len)
{
    const uint8_t *x = a, *y = b;
    uint64_t differing = 0;
    size_t i = 0;
    for (; len - i >= 8; i += 8) {
        differing |= wm_get_le64(x + i) ^ wm_get_le64(y + i);
        __asm__ volatile("" : "+r"(differing)); /* the compiler cannot see when it is decided */
    }
    for (; i < len; i++) {
        differing |= (uint64_t)(x[i] ^ y[i]);
        __asm__ volatile("" : "+r"(differing));
    }
    return differing == 0;
}

void wm_wipe(void *p, size_t len)
{
    if (len)
        OPENSSL_cleanse(p, len);
}
