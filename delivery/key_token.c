/*
 * Private keys on a PKCS#11 token (OASIS PKCS #11 Cryptographic Token Interface Base Specification 2.40): made there,
 * never leaving it. Over p11-kit, because Debian 12 has no PKCS#11 provider for OpenSSL, and its engine neither makes
 * keys nor destroys them, so that somebody would have to rotate them by hand. OpenSSL checks each signature (signer.c).
 *
 * Ours are the RSA keys of one label on the token. Somebody may put a key of that label there, with any tool; it is taken
 * up like one that was made here, which is the way for tokens that let no program make keys.
 *
 * A session ends when a token is pulled or its network goes. Any failure therefore closes everything; the next use opens
 * anew, and a signature is tried once more at once. A wrong PIN is not tried again, because tokens lock after a few.
 */
#define CRYPTOKI_GNU 1 /* names as in C, and no macros such as `value` */

#include <stddef.h> /* p11-kit.h counts on it */

#include <p11-kit/p11-kit.h>
#include <p11-kit/pkcs11.h>
#include <p11-kit/uri.h>
#include <stdlib.h>

#include "delivery/key_store.h"
#include "waymark/bounds.h"
#include "waymark/hash.h"

#include "waymark/banned.h"

#define TOKEN_MAX_SLOTS 256u
#define TOKEN_LABEL_BYTES 256u
#define TOKEN_KEY_BITS 2048ul
#define TOKEN_NUMBER_BYTES 1024u /* a modulus: RSA-8192 */
#define TOKEN_ID_BYTES 16u

struct token_key {
    char fingerprint[WM_FINGERPRINT_BYTES];
    ck_object_handle_t handle;
    struct wm_rsa *public_part;
};

struct key_token {
    struct wm_key_store store; /* first: what callers hold */
    const struct wm_secret *pin;
    P11KitUri *uri;
    char *module_path;
    char label[TOKEN_LABEL_BYTES];
    bool pin_refused;          /* for good: the next wrong one might lock the token */
    /* while it is open */
    struct ck_function_list *module;
    bool initialized, has_session;
    ck_session_handle_t session;
    struct token_key *at;
    size_t n, cap;
};

static struct key_token *token_of(struct wm_key_store *s)
{
    return (struct key_token *)(void *)s;
}

/* ---- open and shut ---- */

static void token_forget_keys(struct key_token *t)
{
    for (size_t i = 0; i < t->n; i++)
        wm_rsa_free(t->at[i].public_part);
    t->n = 0;
}

static void token_shut(struct key_token *t)
{
    token_forget_keys(t);
    if (t->has_session)
        (void)t->module->C_CloseSession(t->session); /* on a token that is gone it fails, and that is fine */
    if (t->initialized)
        (void)p11_kit_module_finalize(t->module); /* likewise */
    if (t->module)
        p11_kit_module_release(t->module);
    t->module = NULL;
    t->initialized = t->has_session = false;
}

/* Say what failed, and shut: what is left of the session is not to be trusted. */
static enum wm_status token_failed(struct key_token *t, const char *what, ck_rv_t rv, struct wm_err *err)
{
    token_shut(t);
    if (rv == CKR_HOST_MEMORY)
        return wm_fail(err, WM_E_NOMEM, "the token's %s: no memory", what);
    return wm_fail(err, WM_E_UNAVAILABLE, "the token's %s: %s", what, p11_kit_strerror(rv));
}

static enum wm_status token_login(struct key_token *t, const struct ck_token_info *info, struct wm_err *err)
{
    struct wm_view pin = wm_secret_line(t->pin, 0);
    if (!(info->flags & CKF_LOGIN_REQUIRED))
        return WM_OK;
    if (pin.len == 0)
        return wm_fail(err, WM_E_DENIED, "the token wants a PIN, and none is given (keys.token_pin_file)");
    if (info->flags & CKF_USER_PIN_LOCKED)
        return wm_fail(err, WM_E_DENIED, "the token's PIN is locked");
    if (info->flags & CKF_USER_PIN_FINAL_TRY)
        return wm_fail(err, WM_E_DENIED, "the token has one try left for its PIN; log in by its own tools first");
    ck_rv_t rv = t->module->C_Login(t->session, CKU_USER, (unsigned char *)(uintptr_t)pin.ptr, pin.len);
    if (rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN)
        return WM_OK;
    if (rv == CKR_PIN_INCORRECT || rv == CKR_PIN_INVALID || rv == CKR_PIN_LEN_RANGE || rv == CKR_PIN_LOCKED ||
        rv == CKR_PIN_EXPIRED) {
        t->pin_refused = true;
        return wm_fail(err, WM_E_DENIED, "the token refuses the PIN of keys.token_pin_file: %s", p11_kit_strerror(rv));
    }
    return token_failed(t, "login", rv, err);
}

/* The one slot whose token the URI names. */
static enum wm_status token_find(struct key_token *t, ck_slot_id_t *out_slot, struct ck_token_info *out_info,
                                 struct wm_err *err)
{
    ck_slot_id_t slots[TOKEN_MAX_SLOTS];
    unsigned long n = TOKEN_MAX_SLOTS;
    size_t found = 0;
    ck_rv_t rv = t->module->C_GetSlotList(1, slots, &n);
    if (rv != CKR_OK)
        return token_failed(t, "C_GetSlotList", rv, err);
    for (unsigned long i = 0; i < n; i++) {
        struct ck_token_info info;
        if (t->module->C_GetTokenInfo(slots[i], &info) != CKR_OK || !(info.flags & CKF_TOKEN_INITIALIZED) ||
            !p11_kit_uri_match_token_info(t->uri, &info))
            continue;
        *out_slot = slots[i];
        *out_info = info;
        found++;
    }
    if (found == 0)
        return wm_fail(err, WM_E_UNAVAILABLE, "no token that %s offers is the one that keys.token names", t->module_path);
    if (found > 1)
        return wm_fail(err, WM_E_INVALID, "keys.token names %zu tokens; add serial= to it", found);
    return WM_OK;
}

static enum wm_status token_open(struct key_token *t, struct wm_err *err)
{
    if (t->has_session)
        return WM_OK;
    if (t->pin_refused)
        return wm_fail(err, WM_E_DENIED, "the token refused the PIN; it is tried again at the next start only");
    t->module = p11_kit_module_load(t->module_path, 0);
    if (!t->module)
        return wm_fail(err, WM_E_UNAVAILABLE, "%s is not a PKCS#11 module that can be loaded", t->module_path);
    ck_rv_t rv = p11_kit_module_initialize(t->module);
    if (rv != CKR_OK)
        return token_failed(t, "C_Initialize", rv, err);
    t->initialized = true;
    ck_slot_id_t slot = 0;
    struct ck_token_info info = {0};
    enum wm_status status = token_find(t, &slot, &info, err);
    if (status == WM_OK) {
        rv = t->module->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &t->session);
        if (rv != CKR_OK)
            return token_failed(t, "C_OpenSession", rv, err);
        t->has_session = true;
        status = token_login(t, &info, err);
    }
    if (status != WM_OK)
        token_shut(t);
    return status;
}

/* ---- what is on it ---- */

/* The public part of a private key; its numbers are not secret, and stand in it. */
static enum wm_status token_read_public(struct key_token *t, ck_object_handle_t handle, struct wm_rsa **out,
                                        struct wm_err *err)
{
    unsigned char modulus[TOKEN_NUMBER_BYTES], exponent[TOKEN_NUMBER_BYTES];
    struct ck_attribute numbers[] = {
        {CKA_MODULUS, modulus, sizeof modulus},
        {CKA_PUBLIC_EXPONENT, exponent, sizeof exponent},
    };
    ck_rv_t rv = t->module->C_GetAttributeValue(t->session, handle, numbers, 2);
    if (rv != CKR_OK)
        return token_failed(t, "C_GetAttributeValue", rv, err);
    return wm_rsa_from_numbers((struct wm_view){numbers[0].value, numbers[0].value_len},
                               (struct wm_view){numbers[1].value, numbers[1].value_len}, out, err);
}

static enum wm_status token_add(struct key_token *t, ck_object_handle_t handle, struct wm_err *err)
{
    struct token_key k = {.handle = handle};
    struct wm_buf der;
    if (t->n == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 4;
        struct token_key *at = realloc(t->at, cap * sizeof *at);
        if (!at)
            return wm_fail(err, WM_E_NOMEM, "no memory for %zu keys", cap);
        t->at = at;
        t->cap = cap;
    }
    wm_buf_init(&der, 2 * TOKEN_NUMBER_BYTES + 64);
    enum wm_status status = token_read_public(t, handle, &k.public_part, err);
    if (status == WM_OK)
        status = wm_rsa_public_der(k.public_part, &der, err);
    if (status == WM_OK) {
        wm_rsa_fingerprint(wm_buf_view(&der), k.fingerprint);
        t->at[t->n++] = k;
        k.public_part = NULL;
    }
    wm_rsa_free(k.public_part);
    wm_buf_done(&der);
    return status;
}

static enum wm_status token_find_objects(struct key_token *t, struct ck_attribute *match, unsigned long n_match,
                                         ck_object_handle_t *out, unsigned long max, unsigned long *out_n,
                                         struct wm_err *err)
{
    ck_rv_t rv = t->module->C_FindObjectsInit(t->session, match, n_match);
    if (rv != CKR_OK)
        return token_failed(t, "C_FindObjectsInit", rv, err);
    rv = t->module->C_FindObjects(t->session, out, max, out_n);
    (void)t->module->C_FindObjectsFinal(t->session); /* a failure shows at the next use */
    return rv == CKR_OK ? WM_OK : token_failed(t, "C_FindObjects", rv, err);
}

/* Read the keys of our label afresh. */
static enum wm_status token_read_keys(struct key_token *t, struct wm_err *err)
{
    ck_object_class_t class = CKO_PRIVATE_KEY;
    ck_key_type_t type = CKK_RSA;
    struct ck_attribute match[] = {
        {CKA_CLASS, &class, sizeof class},
        {CKA_KEY_TYPE, &type, sizeof type},
        {CKA_LABEL, t->label, strlen(t->label)},
    };
    ck_object_handle_t handles[64]; /* a key lives 30 days, and a new one is made each 20 */
    unsigned long n = 0;
    enum wm_status status = token_open(t, err);
    if (status == WM_OK)
        status = token_find_objects(t, match, 3, handles, sizeof handles / sizeof handles[0], &n, err);
    if (status != WM_OK)
        return status;
    token_forget_keys(t);
    for (unsigned long i = 0; i < n && status == WM_OK; i++)
        status = token_add(t, handles[i], err);
    return status;
}

static struct token_key *token_key_of(const struct key_token *t, const char *fingerprint)
{
    for (size_t i = 0; i < t->n; i++)
        if (strcmp(t->at[i].fingerprint, fingerprint) == 0)
            return &t->at[i];
    return NULL;
}

/* ---- the store ---- */

static enum wm_status token_look(struct wm_key_store *s,
                                 enum wm_status (*each)(void *arg, const struct wm_key_found *found, struct wm_err *err),
                                 void *arg, struct wm_err *err)
{
    struct key_token *t = token_of(s);
    enum wm_status status = token_read_keys(t, err);
    for (size_t i = 0; i < t->n && status == WM_OK; i++) {
        const struct wm_key_found found = {.public_part = t->at[i].public_part};
        status = each(arg, &found, err);
    }
    return status;
}

/* A key that signs and does nothing else, and that the token does not give away. */
static enum wm_status token_make(struct wm_key_store *s, struct wm_rsa **out_public, struct wm_err *err)
{
    struct key_token *t = token_of(s);
    unsigned char yes = 1, no = 0, exponent[] = {1, 0, 1}, id[TOKEN_ID_BYTES];
    unsigned long bits = TOKEN_KEY_BITS;
    wm_random(id, sizeof id);
    struct ck_mechanism mechanism = {.mechanism = CKM_RSA_PKCS_KEY_PAIR_GEN};
    struct ck_attribute public_part[] = {
        {CKA_TOKEN, &yes, 1},
        {CKA_VERIFY, &yes, 1},
        {CKA_ENCRYPT, &no, 1},
        {CKA_WRAP, &no, 1},
        {CKA_MODULUS_BITS, &bits, sizeof bits},
        {CKA_PUBLIC_EXPONENT, exponent, sizeof exponent},
        {CKA_LABEL, t->label, strlen(t->label)},
        {CKA_ID, id, sizeof id},
    };
    struct ck_attribute private_part[] = {
        {CKA_TOKEN, &yes, 1},
        {CKA_PRIVATE, &yes, 1},
        {CKA_SENSITIVE, &yes, 1},
        {CKA_EXTRACTABLE, &no, 1},
        {CKA_SIGN, &yes, 1},
        {CKA_DECRYPT, &no, 1},
        {CKA_UNWRAP, &no, 1},
        {CKA_LABEL, t->label, strlen(t->label)},
        {CKA_ID, id, sizeof id},
    };
    ck_object_handle_t public_handle, private_handle;
    enum wm_status status = token_open(t, err);
    if (status != WM_OK)
        return status;
    ck_rv_t rv = t->module->C_GenerateKeyPair(t->session, &mechanism, public_part,
                                              sizeof public_part / sizeof public_part[0], private_part,
                                              sizeof private_part / sizeof private_part[0], &public_handle,
                                              &private_handle);
    if (rv != CKR_OK)
        return token_failed(t, "C_GenerateKeyPair", rv, err);
    status = token_add(t, private_handle, err);
    return status == WM_OK ? token_read_public(t, private_handle, out_public, err) : status;
}

/* The hash in the frame that PKCS#1 pads, for tokens that do not hash themselves (RFC 8017 section 9.2, note 1). */
static size_t digest_info(struct wm_view text, uint8_t out[19 + WM_SHA256_BYTES])
{
    static const uint8_t frame[19] = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                      0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20};
    memcpy(out, frame, sizeof frame);
    wm_sha256(text.ptr, text.len, out + sizeof frame);
    return sizeof frame + WM_SHA256_BYTES;
}

static enum wm_status token_sign_once(struct key_token *t, const char *fingerprint, struct wm_view text,
                                      uint8_t out[WM_SIGNATURE_BYTES], struct wm_err *err)
{
    enum wm_status status = t->has_session ? WM_OK : token_read_keys(t, err);
    if (status != WM_OK)
        return status;
    const struct token_key *k = token_key_of(t, fingerprint);
    if (!k)
        return wm_fail(err, WM_E_NOT_FOUND, "no private key with fingerprint %s on the token", fingerprint);
    uint8_t framed[19 + WM_SHA256_BYTES];
    unsigned long n = WM_SIGNATURE_BYTES;
    struct ck_mechanism mechanism = {.mechanism = CKM_SHA256_RSA_PKCS};
    ck_rv_t rv = t->module->C_SignInit(t->session, &mechanism, k->handle);
    if (rv == CKR_MECHANISM_INVALID) {
        text = (struct wm_view){(const char *)framed, digest_info(text, framed)};
        mechanism.mechanism = CKM_RSA_PKCS;
        rv = t->module->C_SignInit(t->session, &mechanism, k->handle);
    }
    if (rv == CKR_OK)
        rv = t->module->C_Sign(t->session, (unsigned char *)(uintptr_t)text.ptr, text.len, out, &n);
    if (rv != CKR_OK)
        return token_failed(t, "C_Sign", rv, err);
    if (n != WM_SIGNATURE_BYTES)
        return wm_fail(err, WM_E_FAILED, "the token made a signature of %lu bytes", n);
    return WM_OK;
}

static enum wm_status token_sign(struct wm_key_store *s, const char *fingerprint, struct wm_view text,
                                 uint8_t out[WM_SIGNATURE_BYTES], struct wm_err *err)
{
    struct key_token *t = token_of(s);
    bool was_open = t->has_session;
    enum wm_status status = token_sign_once(t, fingerprint, text, out, err);
    if (status == WM_E_UNAVAILABLE && was_open) /* the session had ended meanwhile */
        status = token_sign_once(t, fingerprint, text, out, err);
    return status;
}

/* The private part, and the public one that was made with it. */
static enum wm_status token_destroy(struct wm_key_store *s, const char *fingerprint, struct wm_err *err)
{
    struct key_token *t = token_of(s);
    enum wm_status status = t->has_session ? WM_OK : token_read_keys(t, err);
    struct token_key *k = status == WM_OK ? token_key_of(t, fingerprint) : NULL;
    if (!k)
        return status;
    ck_object_class_t class = CKO_PUBLIC_KEY;
    unsigned char id[TOKEN_LABEL_BYTES];
    struct ck_attribute match[] = {{CKA_ID, id, sizeof id}, {CKA_CLASS, &class, sizeof class}};
    ck_object_handle_t twin;
    unsigned long n = 0;
    if (t->module->C_GetAttributeValue(t->session, k->handle, match, 1) == CKR_OK && match[0].value_len > 0)
        status = token_find_objects(t, match, 2, &twin, 1, &n, err);
    if (status != WM_OK)
        return status;
    ck_rv_t rv = t->module->C_DestroyObject(t->session, k->handle);
    if (rv == CKR_OK && n == 1)
        rv = t->module->C_DestroyObject(t->session, twin);
    if (rv != CKR_OK)
        return token_failed(t, "C_DestroyObject", rv, err);
    wm_rsa_free(k->public_part);
    *k = t->at[--t->n];
    return WM_OK;
}

static void token_close(struct wm_key_store *s)
{
    struct key_token *t = token_of(s);
    token_shut(t);
    free(t->at);
    p11_kit_uri_free(t->uri);
    free(t->module_path);
    free(t);
}

/* ---- what the settings say ---- */

static enum wm_status token_read_uri(struct key_token *t, const char *uri, struct wm_err *err)
{
    int rc = p11_kit_uri_parse(uri, P11_KIT_URI_FOR_OBJECT_ON_TOKEN, t->uri);
    if (rc != P11_KIT_URI_OK)
        return wm_fail(err, WM_E_INVALID, "keys.token: %s", p11_kit_uri_message(rc));
    if (p11_kit_uri_any_unrecognized(t->uri))
        return wm_fail(err, WM_E_INVALID, "keys.token: expected token, serial, model, manufacturer and object, found others");
    if (p11_kit_uri_get_pin_value(t->uri) || p11_kit_uri_get_pin_source(t->uri))
        return wm_fail(err, WM_E_INVALID, "keys.token: the PIN is given by keys.token_pin_file");
    if (p11_kit_uri_get_attribute(t->uri, CKA_ID))
        return wm_fail(err, WM_E_INVALID, "keys.token: keys are named by object=, since there are several over time");
    const struct ck_attribute *label = p11_kit_uri_get_attribute(t->uri, CKA_LABEL);
    struct wm_view name = label ? (struct wm_view){label->value, label->value_len} : WM_LIT("waymark");
    if (name.len == 0 || !wm_view_copy(name, t->label, sizeof t->label) || strlen(t->label) != name.len)
        return wm_fail(err, WM_E_INVALID, "keys.token: expected a label of 1 to %u bytes in object=",
                       TOKEN_LABEL_BYTES - 1);
    return WM_OK;
}

enum wm_status wm_key_token_open(const char *uri, const char *module, const struct wm_secret *pin,
                                 struct wm_key_store **out, struct wm_err *err)
{
    struct key_token *t = calloc(1, sizeof *t);
    if (!t)
        return wm_fail(err, WM_E_NOMEM, "no memory for the token");
    t->store = (struct wm_key_store){.kind = "token", .look = token_look, .make = token_make, .sign = token_sign,
                                     .destroy = token_destroy, .close = token_close};
    t->pin = pin;
    t->uri = p11_kit_uri_new();
    t->module_path = wm_view_dup(wm_view_of(module));
    enum wm_status status = t->uri && t->module_path ? token_read_uri(t, uri, err)
                                                     : wm_fail(err, WM_E_NOMEM, "no memory for the token");
    if (status != WM_OK) {
        token_close(&t->store);
        return status;
    }
    *out = &t->store;
    return WM_OK;
}
