#include "delivery/keyring.h"

#include <stdlib.h>

#include "waymark/arena.h"
#include "waymark/hash.h"
#include "waymark/json.h"

#include "waymark/banned.h"

/* WM_BOARD_MAX_KEYS keys of some 600 bytes; AWS's own lists are shorter. */
#define KEYRING_MAX_BYTES (4u * 1024u * 1024u)
#define KEYRING_ARENA_BYTES (32u * 1024u * 1024u)
#define KEYRING_DER_BYTES 4096u   /* RSA-8192 in DER is 1 KiB */
#define SIGNATURE_MAX_BYTES 1024u /* RSA-8192 */

/* ---- one key ---- */

enum wm_status wm_public_key_of(const struct wm_rsa *rsa, struct wm_public_key *out, struct wm_err *err)
{
    struct wm_public_key k = {0};
    struct wm_buf der, text;
    wm_buf_init(&der, KEYRING_DER_BYTES);
    wm_buf_init(&text, 2 * KEYRING_DER_BYTES);
    enum wm_status status = wm_rsa_public_der(rsa, &der, err);
    if (status != WM_OK)
        goto out;
    wm_rsa_fingerprint(wm_buf_view(&der), k.fingerprint);
    wm_base64(&text, der.data, der.len);
    k.value = wm_buf_status(&text) == WM_OK ? wm_view_dup(wm_buf_view(&text)) : NULL;
    k.rsa = wm_rsa_read_public(wm_buf_view(&der));
    if (k.value && k.rsa) {
        *out = k;
        k = (struct wm_public_key){0};
    } else {
        status = wm_fail(err, WM_E_NOMEM, "no memory for a public key");
    }
out:
    wm_public_key_done(&k);
    wm_buf_done(&text);
    wm_buf_done(&der);
    return status;
}

void wm_public_key_done(struct wm_public_key *k)
{
    free(k->value);
    wm_rsa_free(k->rsa);
    *k = (struct wm_public_key){0};
}

/* ---- the list ---- */

struct wm_keyring *wm_keyring_new(void)
{
    return calloc(1, sizeof(struct wm_keyring));
}

void wm_keyring_free(struct wm_keyring *ring)
{
    if (!ring)
        return;
    for (size_t i = 0; i < ring->n; i++)
        wm_public_key_done(&ring->at[i]);
    free(ring->at);
    free(ring);
}

size_t wm_keyring_count(const struct wm_keyring *ring)
{
    return ring->n;
}

enum wm_status wm_keyring_add(struct wm_keyring *ring, struct wm_public_key *k, struct wm_err *err)
{
    if (ring->n == ring->cap) {
        size_t cap = ring->cap ? ring->cap * 2 : 8;
        struct wm_public_key *at = realloc(ring->at, cap * sizeof *at);
        if (!at)
            return wm_fail(err, WM_E_NOMEM, "no memory for %zu keys", cap);
        ring->at = at;
        ring->cap = cap;
    }
    ring->at[ring->n++] = *k;
    *k = (struct wm_public_key){0};
    return WM_OK;
}

struct wm_public_key *wm_keyring_find(const struct wm_keyring *ring, struct wm_view fingerprint)
{
    for (size_t i = 0; i < ring->n; i++)
        if (wm_view_eq_str(fingerprint, ring->at[i].fingerprint))
            return &ring->at[i];
    return NULL;
}

/* ---- the file ---- */

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
    int64_t utc_s = wm_wall_seconds(t) + (zone.ptr[0] == '+' ? -offset_s : offset_s);
    if (utc_s < 0 || utc_s > INT64_MAX / WM_NS_PER_S) /* what an epoch number may be, above */
        return WM_E_INVALID;
    *out = wm_wall_from_seconds(utc_s);
    return WM_OK;
}

static enum wm_status keyring_read_key(const struct wm_json *entry, size_t index, struct wm_keyring *ring,
                                       struct wm_err *err)
{
    struct wm_public_key k = {0};
    struct wm_buf der;
    wm_buf_init(&der, KEYRING_DER_BYTES);
    enum wm_status status;
    struct wm_view value = wm_json_get_text(entry, "Value");
    struct wm_view fingerprint = wm_json_get_text(entry, "Fingerprint");
    if (fingerprint.len != WM_FINGERPRINT_BYTES - 1 ||
        !wm_view_copy(fingerprint, k.fingerprint, sizeof k.fingerprint)) {
        status = wm_fail(err, WM_E_INVALID, "PublicKeyList[%zu]: Fingerprint is not 32 hex digits", index);
        goto out;
    }
    status = wm_base64_decode(value, &der);
    if (status == WM_E_NOMEM) {
        (void)wm_fail(err, status, "no memory for a public key");
        goto out;
    }
    if (status != WM_OK || der.len == 0 || !(k.rsa = wm_rsa_read_public(wm_buf_view(&der)))) {
        status = wm_fail(err, WM_E_INVALID, "PublicKeyList[%zu]: Value is not the base64 of an RSA public key", index);
        goto out;
    }
    /* A list whose fingerprints lie would let a forger's key answer to a true key's name. */
    char real[WM_FINGERPRINT_BYTES];
    wm_rsa_fingerprint(wm_buf_view(&der), real);
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
    status = wm_keyring_find(ring, fingerprint) ? WM_OK : wm_keyring_add(ring, &k, err);
out:
    wm_buf_done(&der);
    wm_public_key_done(&k);
    return status;
}

static enum wm_status keyring_read(const struct wm_io *io, const char *path, struct wm_keyring *ring,
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
        status = keyring_read_key(entry, index++, ring, &inner);
        if (status != WM_OK)
            status = wm_fail(err, status, "%s: %s", path, inner.message);
    }
out:
    wm_arena_done(&arena);
    wm_buf_done(&text);
    return status;
}

enum wm_status wm_keyring_open(const struct wm_io *io, const char *path, struct wm_keyring **out, struct wm_err *err)
{
    struct wm_keyring *ring = wm_keyring_new();
    if (!ring)
        return wm_fail(err, WM_E_NOMEM, "no memory for a keyring");
    enum wm_status status = keyring_read(io, path, ring, err);
    if (status != WM_OK) {
        wm_keyring_free(ring);
        return status;
    }
    *out = ring;
    return WM_OK;
}

enum wm_status wm_keyring_save(const struct wm_keyring *ring, const struct wm_io *io, const char *path,
                               struct wm_err *err)
{
    struct wm_buf text;
    wm_buf_init(&text, KEYRING_MAX_BYTES);
    wm_buf_add_str(&text, "{\n    \"PublicKeyList\": [");
    for (size_t i = 0; i < ring->n; i++) {
        const struct wm_public_key *k = &ring->at[i];
        wm_buf_addf(&text,
                    "%s\n        {\n            \"Value\": \"%s\",\n            \"ValidityStartTime\": %lld,\n"
                    "            \"ValidityEndTime\": %lld,\n            \"Fingerprint\": \"%s\"\n        }",
                    i ? "," : "", k->value, (long long)wm_wall_seconds(k->valid_from),
                    (long long)wm_wall_seconds(k->valid_until), k->fingerprint);
    }
    wm_buf_add_str(&text, "\n    ]\n}\n");
    enum wm_status status = wm_buf_status(&text);
    if (status != WM_OK)
        (void)wm_fail(err, status, "%s: no room for %zu keys", path, ring->n);
    else
        status = wm_io_replace_file(io, path, wm_buf_view(&text), 0644, err);
    wm_buf_done(&text);
    return status;
}

/* ---- verifying ---- */

bool wm_keyring_validity(const struct wm_keyring *ring, struct wm_view fingerprint, struct wm_wall_ns *out_from,
                         struct wm_wall_ns *out_until)
{
    const struct wm_public_key *k = wm_keyring_find(ring, fingerprint);
    if (!k)
        return false;
    *out_from = k->valid_from;
    *out_until = k->valid_until;
    return true;
}

enum wm_status wm_keyring_verify(const struct wm_keyring *ring, struct wm_view fingerprint, struct wm_view text,
                                 struct wm_view signature_hex, struct wm_err *err)
{
    const struct wm_public_key *k = wm_keyring_find(ring, fingerprint);
    if (!k)
        return wm_fail(err, WM_E_NOT_FOUND, "no public key with fingerprint %.*s",
                       (int)(fingerprint.len < 64 ? fingerprint.len : 64), fingerprint.ptr ? fingerprint.ptr : "");
    uint8_t signature[SIGNATURE_MAX_BYTES];
    size_t n = wm_rsa_signature_bytes(k->rsa);
    if (n > sizeof signature || !wm_hex_decode(signature_hex, signature, n))
        return wm_fail(err, WM_E_INVALID, "the signature is not %zu hex digits", 2 * n);
    return wm_rsa_verify(k->rsa, text, signature, err);
}
