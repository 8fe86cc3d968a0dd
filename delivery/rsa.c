#include "delivery/rsa.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "waymark/hash.h"

#include "waymark/banned.h"

#define RSA_BITS 2048
/* OWASP Password Storage Cheat Sheet, "PBKDF2": 600,000 with HMAC-SHA-256. 0.2 s for each key at a start. */
#define PBKDF2_ROUNDS 600000
#define PBKDF2_SALT_BYTES 16 /* RFC 8018 section 4.1: at least 8 */

/* Outside of this file a key is a struct wm_rsa, inside it is what OpenSSL made. */
static EVP_PKEY *pkey_of(const struct wm_rsa *key)
{
    return (EVP_PKEY *)(uintptr_t)key; /* OpenSSL's parameters are not const, though it only reads */
}

static struct wm_rsa *rsa_of(EVP_PKEY *pkey)
{
    return (struct wm_rsa *)pkey;
}

/* OpenSSL keeps its reasons in a queue per thread; leaving them there would blame the next caller. */
static enum wm_status openssl_failed(struct wm_err *err, const char *what)
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

enum wm_status wm_rsa_make(struct wm_rsa **out, struct wm_err *err)
{
    EVP_PKEY *key = EVP_RSA_gen(RSA_BITS);
    if (!key)
        return openssl_failed(err, "a key pair cannot be made");
    *out = rsa_of(key);
    return WM_OK;
}

void wm_rsa_free(struct wm_rsa *key)
{
    EVP_PKEY_free(pkey_of(key));
}

/* ---- the public part ---- */

struct wm_rsa *wm_rsa_read_public(struct wm_view der)
{
    const unsigned char *p = (const unsigned char *)der.ptr, *end = p + der.len;
    EVP_PKEY *key = d2i_PublicKey(EVP_PKEY_RSA, NULL, &p, (long)der.len);
    if (!key || p != end) {
        EVP_PKEY_free(key);
        p = (const unsigned char *)der.ptr;
        key = d2i_PUBKEY(NULL, &p, (long)der.len);
        if (key && (EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA || p != end)) {
            EVP_PKEY_free(key);
            key = NULL;
        }
    }
    ERR_clear_error();
    return rsa_of(key);
}

enum wm_status wm_rsa_from_numbers(struct wm_view modulus, struct wm_view exponent, struct wm_rsa **out,
                                   struct wm_err *err)
{
    EVP_PKEY *key = NULL;
    OSSL_PARAM *numbers = NULL;
    BIGNUM *n = BN_bin2bn((const unsigned char *)modulus.ptr, (int)modulus.len, NULL);
    BIGNUM *e = BN_bin2bn((const unsigned char *)exponent.ptr, (int)exponent.len, NULL);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    if (n && e && build && ctx && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) && (numbers = OSSL_PARAM_BLD_to_param(build)) &&
        EVP_PKEY_fromdata_init(ctx) == 1)
        (void)EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, numbers); /* the key says whether it went well */
    OSSL_PARAM_free(numbers);
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_BLD_free(build);
    BN_free(e);
    BN_free(n);
    if (!key)
        return openssl_failed(err, "no public key can be made of these numbers");
    *out = rsa_of(key);
    return WM_OK;
}

enum wm_status wm_rsa_public_der(const struct wm_rsa *key, struct wm_buf *out, struct wm_err *err)
{
    unsigned char *der = NULL;
    int n = i2d_PublicKey(pkey_of(key), &der);
    if (n <= 0)
        return openssl_failed(err, "the public key cannot be encoded");
    wm_buf_add(out, der, (size_t)n);
    OPENSSL_free(der);
    if (wm_buf_status(out) != WM_OK)
        return wm_fail(err, wm_buf_status(out), "no room for a public key of %d bytes", n);
    return WM_OK;
}

void wm_rsa_fingerprint(struct wm_view der, char out[WM_FINGERPRINT_BYTES])
{
    uint8_t md5[WM_MD5_BYTES];
    wm_md5(der.ptr, der.len, md5);
    wm_hex(md5, sizeof md5, out);
    out[WM_FINGERPRINT_BYTES - 1] = '\0';
}

/* ---- the private part ---- */

static bool write_encrypted(BIO *bio, EVP_PKEY *key, struct wm_view passphrase)
{
    X509_SIG *sealed = NULL;
    PKCS8_PRIV_KEY_INFO *plain = EVP_PKEY2PKCS8(key);
    if (plain) /* a MAC's number instead of a cipher's scheme means PBES2 with it as PBKDF2's; no salt: a random one */
        sealed = PKCS8_encrypt(NID_hmacWithSHA256, EVP_aes_256_cbc(), passphrase.ptr, (int)passphrase.len, NULL,
                               PBKDF2_SALT_BYTES, PBKDF2_ROUNDS, plain);
    bool good = sealed && PEM_write_bio_PKCS8(bio, sealed) == 1;
    X509_SIG_free(sealed);
    PKCS8_PRIV_KEY_INFO_free(plain); /* wipes */
    return good;
}

enum wm_status wm_rsa_write_private(const struct wm_rsa *key, struct wm_view passphrase, struct wm_buf *out,
                                    struct wm_err *err)
{
    BIO *bio = BIO_new(BIO_s_secmem()); /* wiped as it is freed */
    bool good = bio && (passphrase.len
                            ? write_encrypted(bio, pkey_of(key), passphrase)
                            : PEM_write_bio_PKCS8PrivateKey(bio, pkey_of(key), NULL, NULL, 0, NULL, NULL) == 1);
    enum wm_status status;
    if (!good) {
        status = openssl_failed(err, "the private key cannot be encoded");
    } else {
        char *pem = NULL;
        long n = BIO_get_mem_data(bio, &pem);
        wm_buf_add(out, pem, (size_t)n);
        status = wm_buf_status(out);
        if (status != WM_OK)
            (void)wm_fail(err, status, "no room for a private key of %ld bytes", n);
    }
    BIO_free(bio);
    return status;
}

struct passphrase_try {
    struct wm_view passphrase;
    bool asked;
};

/* pem_password_cb: the key is encrypted, and OpenSSL asks. */
static int give_passphrase(char *buf, int size, int writing, void *arg)
{
    (void)writing;
    struct passphrase_try *try = arg;
    try->asked = true;
    if (size < 0 || try->passphrase.len == 0 || try->passphrase.len > (size_t)size)
        return -1;
    memcpy(buf, try->passphrase.ptr, try->passphrase.len);
    return (int)try->passphrase.len;
}

static EVP_PKEY *read_pem(struct wm_view pem, struct passphrase_try *try)
{
    BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, give_passphrase, try) : NULL;
    BIO_free(bio);
    ERR_clear_error();
    return key;
}

enum wm_status wm_rsa_read_private(struct wm_view pem, const char *path, const struct wm_secret *passphrases,
                                   struct wm_rsa **out, bool *out_stale, struct wm_err *err)
{
    struct passphrase_try try = {.passphrase = wm_secret_line(passphrases, 0)};
    bool given = try.passphrase.len > 0;
    EVP_PKEY *key = read_pem(pem, &try);
    bool stale = given && !try.asked;
    for (size_t i = 1; !key && try.asked; i++) {
        try.passphrase = wm_secret_line(passphrases, i);
        if (try.passphrase.len == 0)
            return wm_fail(err, WM_E_DENIED,
                           given ? "%s is encrypted, and the passphrase given does not open it: put the one back that it "
                                   "was encrypted with, on a line of its own behind the new one"
                                 : "%s is encrypted, and no passphrase is given (keys.passphrase_file)", path);
        key = read_pem(pem, &try);
        stale = true;
    }
    if (!key || EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA) {
        EVP_PKEY_free(key);
        return wm_fail(err, WM_E_CORRUPT, "%s is not an RSA private key in PEM", path);
    }
    *out = rsa_of(key);
    *out_stale = stale;
    return WM_OK;
}

/* ---- signatures ---- */

size_t wm_rsa_signature_bytes(const struct wm_rsa *key)
{
    return (size_t)EVP_PKEY_get_size(pkey_of(key));
}

enum wm_status wm_rsa_sign(const struct wm_rsa *key, struct wm_view text, uint8_t *out, struct wm_err *err)
{
    enum wm_status status = WM_OK;
    size_t n = wm_rsa_signature_bytes(key);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (!ctx || EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, pkey_of(key)) != 1 ||
        EVP_DigestSign(ctx, out, &n, (const unsigned char *)text.ptr, text.len) != 1 || n != wm_rsa_signature_bytes(key))
        status = openssl_failed(err, "signing failed");
    EVP_MD_CTX_free(ctx);
    return status;
}

enum wm_status wm_rsa_verify(const struct wm_rsa *key, struct wm_view text, const uint8_t *signature,
                             struct wm_err *err)
{
    enum wm_status status = WM_OK;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (!ctx)
        return wm_fail(err, WM_E_NOMEM, "no memory to verify a signature");
    if (EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, pkey_of(key)) != 1) {
        status = openssl_failed(err, "verifying cannot begin");
    } else if (EVP_DigestVerify(ctx, signature, wm_rsa_signature_bytes(key), (const unsigned char *)text.ptr,
                                text.len) != 1) {
        ERR_clear_error();
        status = wm_fail(err, WM_E_DENIED, "the signature does not hold");
    }
    EVP_MD_CTX_free(ctx);
    return status;
}
