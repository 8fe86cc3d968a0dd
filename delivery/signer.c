/*
 * Keys of the digests. The only file of delivery that knows OpenSSL.
 *
 * public-keys.json lists every key ever used, oldest first; <fingerprint>.pem holds the private part. A new key's
 * private part is written before its public part, and nothing is signed before both are durable: whatever crashes in
 * between leaves a private key that has signed nothing. Such a key, and one whose list entry was lost, is taken up
 * again at the next start, because a public key must never be missing for a signature that exists.
 */
#include "waymark/signer.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

#include "waymark/bounds.h"
#include "waymark/hash.h"
#include "waymark/json.h"
#include "waymark/log.h"
#include "waymark/sync.h"

#include "waymark/banned.h"

#define SIGNER_RSA_BITS 2048
#define SIGNER_ROTATE_S (20ll * 86400)
#define SIGNER_VALID_S (30ll * 86400)
#define SIGNER_PEM_MAX_BYTES 8192u /* a 4,096-bit key is 3.3 KB */
#define SIGNER_LIST_NAME "public-keys.json"
/* WM_BOARD_MAX_KEYS keys of some 600 bytes; AWS's own lists are shorter. */
#define KEYRING_MAX_BYTES (4u * 1024u * 1024u)
#define KEYRING_ARENA_BYTES (32u * 1024u * 1024u)
#define SIGNATURE_MAX_BYTES 1024u /* RSA-8192 */

/* ---- one key ---- */

struct signer_key {
    char *value; /* base64 of the public DER as listed */
    char fingerprint[WM_FINGERPRINT_BYTES];
    struct wm_wall_ns valid_from, valid_until;
    EVP_PKEY *public_key;
    EVP_PKEY *private_key; /* NULL in a keyring, and when the private part is gone */
};

struct signer_keys {
    struct signer_key *at; /* in the order of the file */
    size_t n, cap;
};

static void signer_key_done(struct signer_key *k)
{
    free(k->value);
    EVP_PKEY_free(k->public_key);
    EVP_PKEY_free(k->private_key);
    *k = (struct signer_key){0};
}

static void signer_keys_done(struct signer_keys *keys)
{
    for (size_t i = 0; i < keys->n; i++)
        signer_key_done(&keys->at[i]);
    free(keys->at);
    *keys = (struct signer_keys){0};
}

/* Takes the key over on WM_OK. */
static enum wm_status signer_keys_add(struct signer_keys *keys, struct signer_key *k, struct wm_err *err)
{
    if (keys->n == keys->cap) {
        size_t cap = keys->cap ? keys->cap * 2 : 8;
        struct signer_key *at = realloc(keys->at, cap * sizeof *at);
        if (!at)
            return wm_fail(err, WM_E_NOMEM, "no memory for %zu keys", cap);
        keys->at = at;
        keys->cap = cap;
    }
    keys->at[keys->n++] = *k;
    *k = (struct signer_key){0};
    return WM_OK;
}

static struct signer_key *signer_keys_find(const struct signer_keys *keys, struct wm_view fingerprint)
{
    for (size_t i = 0; i < keys->n; i++)
        if (wm_view_eq_str(fingerprint, keys->at[i].fingerprint))
            return &keys->at[i];
    return NULL;
}

/* OpenSSL keeps its reasons in a queue per thread; leaving them there would blame the next caller. */
static enum wm_status signer_openssl_failed(struct wm_err *err, const char *what)
{
    char text[160] = "unknown reason";
    unsigned long code = ERR_get_error();
    if (code)
        ERR_error_string_n(code, text, sizeof text);
    ERR_clear_error();
    if (ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE)
        return wm_fail(err, WM_E_NOMEM, "%s: no memory", what);
    return wm_fail(err, WM_E_FAILED, "%s: %s", what, text);
}

static void signer_fingerprint(struct wm_view der, char out[WM_FINGERPRINT_BYTES])
{
    uint8_t md5[WM_MD5_BYTES];
    wm_md5(der.ptr, der.len, md5);
    wm_hex(md5, sizeof md5, out);
    out[WM_FINGERPRINT_BYTES - 1] = '\0';
}

/* PKCS#1 RSAPublicKey (RFC 8017 appendix A.1.1) of a key: what ListPublicKeys gives and the fingerprint is made of. */
static enum wm_status signer_public_der(EVP_PKEY *key, struct wm_buf *out, struct wm_err *err)
{
    unsigned char *der = NULL;
    int n = i2d_PublicKey(key, &der);
    if (n <= 0)
        return signer_openssl_failed(err, "the public key cannot be encoded");
    wm_buf_add(out, der, (size_t)n);
    OPENSSL_free(der);
    if (wm_buf_status(out) != WM_OK)
        return wm_fail(err, wm_buf_status(out), "no room for a public key of %d bytes", n);
    return WM_OK;
}

/* PKCS#1, or SubjectPublicKeyInfo, which one of AWS's own samples is (cloudtrail.md 3.5). NULL: neither. */
static EVP_PKEY *signer_read_public(struct wm_view der)
{
    const unsigned char *p = (const unsigned char *)der.ptr;
    EVP_PKEY *key = d2i_PublicKey(EVP_PKEY_RSA, NULL, &p, (long)der.len);
    if (!key || p != (const unsigned char *)der.ptr + der.len) {
        EVP_PKEY_free(key);
        p = (const unsigned char *)der.ptr;
        key = d2i_PUBKEY(NULL, &p, (long)der.len);
        if (key && (EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA || p != (const unsigned char *)der.ptr + der.len)) {
            EVP_PKEY_free(key);
            key = NULL;
        }
    }
    ERR_clear_error();
    return key;
}

/* ---- the list of public keys ---- */

static bool digits_to_number(const char *text, size_t n, int *out)
{
    int value = 0;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (text[i] - '0');
    }
    *out = value;
    return true;
}

/* What the AWS CLI prints: 1772355600.0 or 1772355600 (v1), 2026-03-01T10:00:00+01:00, with a fraction or not (v2). */
static enum wm_status keyring_time(const struct wm_json *value, struct wm_wall_ns *out)
{
    if (value && value->type == WM_JSON_NUMBER) {
        struct wm_view whole = wm_view_sub(value->text, 0, wm_view_find(value->text, '.'));
        uint64_t s;
        if (wm_view_to_u64(whole, INT64_MAX / WM_NS_PER_S, &s) != WM_OK)
            return WM_E_INVALID;
        *out = wm_wall_from_seconds((int64_t)s);
        return WM_OK;
    }
    if (!value || value->type != WM_JSON_STRING || value->text.len < 20)
        return WM_E_INVALID;
    char iso[WM_TIME_ISO_BYTES];
    memcpy(iso, value->text.ptr, 19);
    iso[19] = 'Z';
    iso[20] = '\0';
    struct wm_wall_ns t;
    if (wm_time_parse(wm_view_of(iso), &t) != WM_OK)
        return WM_E_INVALID;
    struct wm_view zone = wm_view_sub(value->text, 19, value->text.len);
    if (zone.ptr[0] == '.') {
        size_t n = 1;
        while (n < zone.len && zone.ptr[n] >= '0' && zone.ptr[n] <= '9')
            n++;
        zone = wm_view_sub(zone, n, zone.len);
    }
    if (wm_view_eq_str(zone, "Z")) {
        *out = t;
        return WM_OK;
    }
    int hours, minutes;
    if (zone.len != 6 || (zone.ptr[0] != '+' && zone.ptr[0] != '-') || zone.ptr[3] != ':' ||
        !digits_to_number(zone.ptr + 1, 2, &hours) || !digits_to_number(zone.ptr + 4, 2, &minutes))
        return WM_E_INVALID;
    int64_t offset_s = hours * 3600ll + minutes * 60ll;
    out->ns = t.ns + (zone.ptr[0] == '+' ? -offset_s : offset_s) * WM_NS_PER_S;
    return WM_OK;
}

static enum wm_status keyring_read_key(const struct wm_json *entry, size_t index, struct signer_keys *keys,
                                       struct wm_err *err)
{
    struct signer_key k = {0};
    struct wm_buf der;
    wm_buf_init(&der, SIGNER_PEM_MAX_BYTES);
    enum wm_status status;
    struct wm_view value = wm_json_get_text(entry, "Value");
    struct wm_view fingerprint = wm_json_get_text(entry, "Fingerprint");
    if (fingerprint.len != WM_FINGERPRINT_BYTES - 1 ||
        !wm_view_copy(fingerprint, k.fingerprint, sizeof k.fingerprint)) {
        status = wm_fail(err, WM_E_INVALID, "PublicKeyList[%zu]: Fingerprint is not 32 hex digits", index);
        goto out;
    }
    if (wm_base64_decode(value, &der) != WM_OK || der.len == 0 ||
        !(k.public_key = signer_read_public(wm_buf_view(&der)))) {
        status = wm_fail(err, WM_E_INVALID, "PublicKeyList[%zu]: Value is not the base64 of an RSA public key", index);
        goto out;
    }
    /* A list whose fingerprints lie would let a forger's key answer to a true key's name. */
    char real[WM_FINGERPRINT_BYTES];
    signer_fingerprint(wm_buf_view(&der), real);
    if (strcmp(real, k.fingerprint) != 0) {
        status = wm_fail(err, WM_E_INVALID, "PublicKeyList[%zu]: Fingerprint is %s, but the key's is %s", index,
                         k.fingerprint, real);
        goto out;
    }
    if (keyring_time(wm_json_get(entry, "ValidityStartTime"), &k.valid_from) != WM_OK ||
        keyring_time(wm_json_get(entry, "ValidityEndTime"), &k.valid_until) != WM_OK) {
        status = wm_fail(err, WM_E_INVALID,
                         "PublicKeyList[%zu]: ValidityStartTime or ValidityEndTime is no epoch number or ISO 8601 time",
                         index);
        goto out;
    }
    k.value = wm_view_dup(value);
    if (!k.value) {
        status = wm_fail(err, WM_E_NOMEM, "no memory for a public key");
        goto out;
    }
    status = signer_keys_find(keys, fingerprint) ? WM_OK : signer_keys_add(keys, &k, err);
out:
    wm_buf_done(&der);
    signer_key_done(&k);
    return status;
}

/* @return WM_E_NOT_FOUND when there is no such file */
static enum wm_status keyring_read(const struct wm_io *io, const char *path, struct signer_keys *keys,
                                   struct wm_err *err)
{
    struct wm_err inner = {0};
    struct wm_buf text;
    struct wm_arena arena;
    struct wm_json *root = NULL;
    wm_buf_init(&text, KEYRING_MAX_BYTES);
    wm_arena_init(&arena, KEYRING_ARENA_BYTES);
    enum wm_status status = wm_io_read_file(io, path, &text, err);
    if (status != WM_OK)
        goto out;
    status = wm_json_parse(&arena, wm_buf_view(&text), &root, &inner);
    if (status != WM_OK) {
        status = wm_fail(err, status, "%s: %s", path, inner.message);
        goto out;
    }
    const struct wm_json *list = wm_json_get(root, "PublicKeyList");
    if (!list || list->type != WM_JSON_ARRAY) {
        status = wm_fail(err, WM_E_INVALID, "%s: no array PublicKeyList", path);
        goto out;
    }
    size_t index = 0;
    for (const struct wm_json *entry = list->first; entry && status == WM_OK; entry = entry->next) {
        status = keyring_read_key(entry, index++, keys, &inner);
        if (status != WM_OK)
            status = wm_fail(err, status, "%s: %s", path, inner.message);
    }
out:
    wm_arena_done(&arena);
    wm_buf_done(&text);
    return status;
}

static void keyring_write(const struct signer_keys *keys, struct wm_buf *out)
{
    wm_buf_add_str(out, "{\n    \"PublicKeyList\": [");
    for (size_t i = 0; i < keys->n; i++) {
        const struct signer_key *k = &keys->at[i];
        wm_buf_addf(out,
                    "%s\n        {\n            \"Value\": \"%s\",\n            \"ValidityStartTime\": %lld,\n"
                    "            \"ValidityEndTime\": %lld,\n            \"Fingerprint\": \"%s\"\n        }",
                    i ? "," : "", k->value, (long long)wm_wall_seconds(k->valid_from),
                    (long long)wm_wall_seconds(k->valid_until), k->fingerprint);
    }
    wm_buf_add_str(out, "\n    ]\n}\n");
}

/* ---- verifying ---- */

struct wm_keyring {
    struct signer_keys keys;
};

enum wm_status wm_keyring_open(const struct wm_io *io, const char *path, struct wm_keyring **out, struct wm_err *err)
{
    struct wm_keyring *k = calloc(1, sizeof *k);
    if (!k)
        return wm_fail(err, WM_E_NOMEM, "no memory for a keyring");
    enum wm_status status = keyring_read(io, path, &k->keys, err);
    if (status != WM_OK) {
        wm_keyring_free(k);
        return status;
    }
    *out = k;
    return WM_OK;
}

void wm_keyring_free(struct wm_keyring *k)
{
    if (!k)
        return;
    signer_keys_done(&k->keys);
    free(k);
}

size_t wm_keyring_count(const struct wm_keyring *k)
{
    return k->keys.n;
}

bool wm_keyring_validity(const struct wm_keyring *k, struct wm_view fingerprint, struct wm_wall_ns *out_from,
                         struct wm_wall_ns *out_until)
{
    const struct signer_key *key = signer_keys_find(&k->keys, fingerprint);
    if (!key)
        return false;
    *out_from = key->valid_from;
    *out_until = key->valid_until;
    return true;
}

enum wm_status wm_keyring_verify(const struct wm_keyring *k, struct wm_view fingerprint, struct wm_view text,
                                 struct wm_view signature_hex, struct wm_err *err)
{
    const struct signer_key *key = signer_keys_find(&k->keys, fingerprint);
    if (!key)
        return wm_fail(err, WM_E_NOT_FOUND, "no public key with fingerprint %.*s",
                       (int)(fingerprint.len < 64 ? fingerprint.len : 64), fingerprint.ptr ? fingerprint.ptr : "");
    uint8_t signature[SIGNATURE_MAX_BYTES];
    size_t n = (size_t)EVP_PKEY_get_size(key->public_key);
    if (n > sizeof signature || !wm_hex_decode(signature_hex, signature, n))
        return wm_fail(err, WM_E_INVALID, "the signature is not %zu hex digits", 2 * n);

    enum wm_status status;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (!ctx)
        return wm_fail(err, WM_E_NOMEM, "no memory to verify a signature");
    if (EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key->public_key) != 1) {
        status = signer_openssl_failed(err, "verifying cannot begin");
    } else if (EVP_DigestVerify(ctx, signature, n, (const unsigned char *)text.ptr, text.len) != 1) {
        ERR_clear_error();
        status = wm_fail(err, WM_E_DENIED, "the signature does not hold");
    } else {
        status = WM_OK;
    }
    EVP_MD_CTX_free(ctx);
    return status;
}

/* ---- signing ---- */

struct wm_signer {
    const struct wm_io *io;
    const struct wm_clock *clock;
    struct wm_board *board;
    char dir[WM_MAX_PATH_BYTES];
    struct {
        struct wm_mutex mu;
        struct signer_keys keys;
    } locked;
};

static enum wm_status signer_path(const struct wm_signer *s, const char *name, const char *suffix,
                                  char out[WM_MAX_PATH_BYTES], struct wm_err *err)
{
    int n = snprintf(out, WM_MAX_PATH_BYTES, "%s/%s%s", s->dir, name, suffix);
    if (n < 0 || n >= (int)WM_MAX_PATH_BYTES)
        return wm_fail(err, WM_E_LIMIT, "the path %s/%s%s is too long", s->dir, name, suffix);
    return WM_OK;
}

static enum wm_status signer_post(struct wm_signer *s, const struct signer_key *k, struct wm_err *err)
{
    if (!s->board)
        return WM_OK;
    struct wm_board_key post = {.valid_from = k->valid_from, .valid_until = k->valid_until};
    if (!wm_view_copy(wm_view_of(k->value), post.value, sizeof post.value) ||
        !wm_view_copy(wm_view_of(k->fingerprint), post.fingerprint, sizeof post.fingerprint))
        return wm_fail(err, WM_E_LIMIT, "public key %s is too long for the status board", k->fingerprint);
    enum wm_status status = wm_board_post_key(s->board, &post);
    if (status != WM_OK)
        return wm_fail(err, status, "the status board does not take public key %s", k->fingerprint);
    return WM_OK;
}

static enum wm_status signer_write_list(struct wm_signer *s, const struct signer_keys *keys, struct wm_err *err)
{
    char path[WM_MAX_PATH_BYTES];
    struct wm_buf text;
    wm_buf_init(&text, KEYRING_MAX_BYTES);
    enum wm_status status = signer_path(s, SIGNER_LIST_NAME, "", path, err);
    if (status != WM_OK)
        goto out;
    keyring_write(keys, &text);
    status = wm_buf_status(&text);
    if (status != WM_OK)
        status = wm_fail(err, status, "%s: no room for %zu keys", path, keys->n);
    else
        status = wm_io_replace_file(s->io, path, wm_buf_view(&text), 0644, err);
out:
    wm_buf_done(&text);
    return status;
}

static enum wm_status signer_read_private(struct wm_signer *s, const char *fingerprint, EVP_PKEY **out,
                                          struct wm_wall_ns *out_modified, struct wm_err *err)
{
    char path[WM_MAX_PATH_BYTES];
    struct wm_buf pem;
    BIO *bio = NULL;
    EVP_PKEY *key = NULL;
    struct stat st;
    wm_buf_init(&pem, SIGNER_PEM_MAX_BYTES);
    enum wm_status status = signer_path(s, fingerprint, ".pem", path, err);
    if (status == WM_OK)
        status = wm_io_read_file(s->io, path, &pem, err);
    if (status != WM_OK)
        goto out;
    int fd = s->io->open(s->io->ctx, path, O_RDONLY, 0);
    int rc = fd < 0 ? fd : s->io->fstat(s->io->ctx, fd, &st);
    if (fd >= 0)
        (void)s->io->close(s->io->ctx, fd); /* only read: nothing can be lost */
    if (rc < 0) {
        status = wm_fail_errno(err, -rc, "%s", path);
        goto out;
    }
    if (st.st_mode & 077) {
        status = wm_fail(err, WM_E_DENIED, "%s may be read by others (mode %03o): chmod 600, and consider it known",
                         path, (unsigned)(st.st_mode & 0777));
        goto out;
    }
    bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)(uintptr_t)"") : NULL;
    if (!key || EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA) {
        ERR_clear_error();
        status = wm_fail(err, WM_E_CORRUPT, "%s is not an RSA private key in PEM", path);
        goto out;
    }
    if (out_modified)
        *out_modified = wm_wall_from_seconds(st.st_mtim.tv_sec);
    *out = key;
    key = NULL;
out:
    EVP_PKEY_free(key);
    BIO_free(bio);
    wm_buf_wipe(&pem);
    wm_buf_done(&pem);
    return status;
}

/* Fill value, fingerprint and public part from the private part. */
static enum wm_status signer_derive_public(struct signer_key *k, struct wm_err *err)
{
    struct wm_buf der, text;
    wm_buf_init(&der, SIGNER_PEM_MAX_BYTES);
    wm_buf_init(&text, SIGNER_PEM_MAX_BYTES);
    enum wm_status status = signer_public_der(k->private_key, &der, err);
    if (status != WM_OK)
        goto out;
    signer_fingerprint(wm_buf_view(&der), k->fingerprint);
    wm_base64(&text, der.data, der.len);
    k->value = wm_buf_status(&text) == WM_OK ? wm_view_dup(wm_buf_view(&text)) : NULL;
    k->public_key = signer_read_public(wm_buf_view(&der));
    if (!k->value || !k->public_key)
        status = wm_fail(err, WM_E_NOMEM, "no memory for a public key");
out:
    wm_buf_done(&text);
    wm_buf_done(&der);
    return status;
}

struct signer_scan {
    struct wm_signer *s;
    struct wm_err *err;
    enum wm_status status;
    bool adopted;
};

static int signer_scan_name(void *arg, const char *name)
{
    struct signer_scan *scan = arg;
    struct signer_keys *keys = &scan->s->locked.keys;
    struct wm_view file = wm_view_of(name);
    if (!wm_view_ends(file, ".pem"))
        return 0;
    struct wm_view base = wm_view_sub(file, 0, file.len - 4);
    char fingerprint[WM_FINGERPRINT_BYTES];
    if (!wm_view_copy(base, fingerprint, sizeof fingerprint) || base.len != sizeof fingerprint - 1)
        return 0;
    EVP_PKEY *private_key = NULL;
    struct wm_wall_ns modified;
    scan->status = signer_read_private(scan->s, fingerprint, &private_key, &modified, scan->err);
    if (scan->status != WM_OK)
        return 1;
    struct signer_key *known = signer_keys_find(keys, base);
    struct signer_key fresh = {.private_key = private_key};
    scan->status = signer_derive_public(&fresh, scan->err);
    if (scan->status == WM_OK && strcmp(fresh.fingerprint, fingerprint) != 0) {
        scan->status = wm_fail(scan->err, WM_E_CORRUPT, "%s/%s holds the key %s", scan->s->dir, name,
                               fresh.fingerprint);
    } else if (scan->status == WM_OK && known) {
        known->private_key = private_key;
        fresh.private_key = NULL;
    } else if (scan->status == WM_OK) {
        fresh.valid_from = modified;
        fresh.valid_until.ns = modified.ns + SIGNER_VALID_S * WM_NS_PER_S;
        scan->status = signer_keys_add(keys, &fresh, scan->err);
        scan->adopted = true;
    }
    signer_key_done(&fresh);
    return scan->status != WM_OK;
}

enum wm_status wm_signer_open(const struct wm_io *io, const struct wm_clock *clock, const char *dir,
                              struct wm_board *board, struct wm_signer **out, struct wm_err *err)
{
    struct wm_signer *s = calloc(1, sizeof *s);
    if (!s)
        return wm_fail(err, WM_E_NOMEM, "no memory for a signer");
    s->io = io;
    s->clock = clock;
    s->board = board;
    wm_mutex_init(&s->locked.mu);
    enum wm_status status = WM_OK;
    char path[WM_MAX_PATH_BYTES];
    if (!wm_view_copy(wm_view_of(dir), s->dir, sizeof s->dir))
        status = wm_fail(err, WM_E_LIMIT, "the path of the keys is too long");
    if (status == WM_OK)
        status = wm_io_make_dirs(io, dir, 0700, err);
    if (status == WM_OK)
        status = signer_path(s, SIGNER_LIST_NAME, "", path, err);
    if (status == WM_OK) {
        status = keyring_read(io, path, &s->locked.keys, err);
        if (status == WM_E_NOT_FOUND)
            status = WM_OK; /* the first start */
    }
    if (status == WM_OK) {
        struct signer_scan scan = {.s = s, .err = err};
        int rc = io->list(io->ctx, dir, signer_scan_name, &scan);
        status = scan.status;
        if (status == WM_OK && rc < 0)
            status = wm_fail_errno(err, -rc, "%s", dir);
        if (status == WM_OK && scan.adopted)
            status = signer_write_list(s, &s->locked.keys, err);
    }
    for (size_t i = 0; status == WM_OK && i < s->locked.keys.n; i++)
        status = signer_post(s, &s->locked.keys.at[i], err);
    if (status != WM_OK) {
        wm_signer_close(s);
        return status;
    }
    *out = s;
    return WM_OK;
}

void wm_signer_close(struct wm_signer *s)
{
    if (!s)
        return;
    signer_keys_done(&s->locked.keys); /* OpenSSL wipes private numbers as it frees them */
    wm_mutex_done(&s->locked.mu);
    free(s);
}

static enum wm_status signer_make_key(struct wm_signer *s, struct wm_wall_ns from, struct signer_key *out,
                                      struct wm_err *err)
{
    char path[WM_MAX_PATH_BYTES];
    struct signer_key k = {.valid_from = wm_wall_from_seconds(wm_wall_seconds(from))};
    k.valid_until.ns = k.valid_from.ns + SIGNER_VALID_S * WM_NS_PER_S;
    enum wm_status status;
    BIO *bio = BIO_new(BIO_s_secmem());
    k.private_key = bio ? EVP_RSA_gen(SIGNER_RSA_BITS) : NULL;
    if (!k.private_key || PEM_write_bio_PKCS8PrivateKey(bio, k.private_key, NULL, NULL, 0, NULL, NULL) != 1) {
        status = signer_openssl_failed(err, "a key pair cannot be made");
        goto out;
    }
    status = signer_derive_public(&k, err);
    if (status == WM_OK)
        status = signer_path(s, k.fingerprint, ".pem", path, err);
    if (status == WM_OK) {
        char *pem = NULL;
        long n = BIO_get_mem_data(bio, &pem);
        status = wm_io_replace_file(s->io, path, (struct wm_view){pem, (size_t)n}, 0600, err);
    }
    if (status == WM_OK) {
        *out = k;
        k = (struct signer_key){0};
    }
out:
    BIO_free(bio); /* secmem is wiped as it is freed */
    signer_key_done(&k);
    return status;
}

/* Key making writes files under the lock: it happens each 20 days, and whoever else asks needs its result. */
static enum wm_status signer_key_for_locked(struct wm_signer *s, struct wm_wall_ns when,
                                            char out_fingerprint[WM_FINGERPRINT_BYTES], struct wm_err *err)
    WM_REQUIRES(&s->locked.mu);
static enum wm_status signer_key_for_locked(struct wm_signer *s, struct wm_wall_ns when,
                                            char out_fingerprint[WM_FINGERPRINT_BYTES], struct wm_err *err)
{
    wm_mutex_assert_held(&s->locked.mu);
    struct signer_keys *keys = &s->locked.keys;
    /* The newest key that was valid at `when`: keys from a clock that ran ahead for a while are left alone. */
    const struct signer_key *best = NULL;
    for (size_t i = 0; i < keys->n; i++) {
        const struct signer_key *k = &keys->at[i];
        if (k->private_key && k->valid_from.ns <= when.ns && (!best || k->valid_from.ns > best->valid_from.ns))
            best = k;
    }
    if (best && when.ns < best->valid_from.ns + SIGNER_ROTATE_S * WM_NS_PER_S) {
        memcpy(out_fingerprint, best->fingerprint, WM_FINGERPRINT_BYTES);
        return WM_OK;
    }
    struct signer_key fresh = {0};
    enum wm_status status = signer_make_key(s, when, &fresh, err);
    if (status != WM_OK)
        return status;
    char fingerprint[WM_FINGERPRINT_BYTES];
    memcpy(fingerprint, fresh.fingerprint, sizeof fingerprint);
    status = signer_keys_add(keys, &fresh, err);
    if (status == WM_OK) {
        status = signer_write_list(s, keys, err);
        if (status == WM_OK)
            status = signer_post(s, &keys->at[keys->n - 1], err);
        if (status != WM_OK) /* not durable, or not shown: it must not sign */
            signer_key_done(&keys->at[--keys->n]);
    }
    signer_key_done(&fresh);
    if (status != WM_OK)
        return status;
    wm_log(WM_EV_KEY_MADE, "fingerprint=%s folder=%s", fingerprint, s->dir);
    memcpy(out_fingerprint, fingerprint, sizeof fingerprint);
    return WM_OK;
}

enum wm_status wm_signer_key_for(struct wm_signer *s, struct wm_wall_ns when,
                                 char out_fingerprint[WM_FINGERPRINT_BYTES], struct wm_err *err)
{
    wm_mutex_lock(&s->locked.mu);
    enum wm_status status = signer_key_for_locked(s, when, out_fingerprint, err);
    wm_mutex_unlock(&s->locked.mu);
    return status;
}

enum wm_status wm_signer_sign(struct wm_signer *s, const char *fingerprint, struct wm_view text,
                              char out_hex[WM_SIGNATURE_HEX_BYTES], struct wm_err *err)
{
    wm_mutex_lock(&s->locked.mu);
    struct signer_key *k = signer_keys_find(&s->locked.keys, wm_view_of(fingerprint));
    EVP_PKEY *key = k ? k->private_key : NULL;
    bool held = key && EVP_PKEY_up_ref(key) == 1;
    wm_mutex_unlock(&s->locked.mu);
    if (!held)
        return wm_fail(err, WM_E_NOT_FOUND, "no private key with fingerprint %s in %s", fingerprint, s->dir);

    enum wm_status status = WM_OK;
    uint8_t signature[(WM_SIGNATURE_HEX_BYTES - 1) / 2];
    size_t n = sizeof signature;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (!ctx || EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) != 1 ||
        EVP_DigestSign(ctx, signature, &n, (const unsigned char *)text.ptr, text.len) != 1 || n != sizeof signature) {
        status = signer_openssl_failed(err, "signing failed");
    } else {
        wm_hex(signature, n, out_hex);
        out_hex[2 * n] = '\0';
    }
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    return status;
}
