/**
 * Hashes, encodings and random bytes. OpenSSL 3 and libdeflate (CRC-32) live in hash.c.
 *
 * OpenSSL 3 pays for fetching and allocating, not for hashing (measured), so contexts are kept per thread and
 * released when the thread ends.
 *
 * Hashing returns nothing that could fail: a thread that finds no memory for its contexts aborts, and a restart recovers
 * what is durable. Who wants an error instead calls wm_hash_thread_init() at the thread's start. From then on OpenSSL
 * 3.0 only gives back and takes again one and the same piece of 112 bytes per hash.
 *
 * @thread any   @locks none
 */
#ifndef WAYMARK_HASH_H
#define WAYMARK_HASH_H

#include "waymark/buf.h"
#include "waymark/status.h"

#define WM_SHA256_BYTES 32
#define WM_SHA256_HEX_BYTES 64 /* without a NUL */
#define WM_MD5_BYTES 16

/**
 * Make the calling thread's contexts now.
 * @return WM_OK; WM_E_NOMEM; WM_E_UNSUPPORTED (this OpenSSL has no SHA-256 or MD5)
 */
enum wm_status wm_hash_thread_init(void) WM_MUST_CHECK;

/** SHA-256 (FIPS 180-4) of one piece. */
void wm_sha256(const void *data, size_t len, uint8_t out[WM_SHA256_BYTES]);
/** HMAC-SHA-256 (RFC 2104). */
void wm_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len, uint8_t out[WM_SHA256_BYTES]);

/**
 * An HMAC key with its pads hashed beforehand, for a key that is used again and again: two thirds of the time of
 * wm_hmac_sha256(). Used by one thread at a time.
 */
struct wm_hmac_key;
struct wm_hmac_key *wm_hmac_key_new(const void *key, size_t key_len); /* NULL when memory is short */
void wm_hmac_key_free(struct wm_hmac_key *k);                         /* wipes the key; NULL allowed */
void wm_hmac_key_sha256(const struct wm_hmac_key *k, const void *data, size_t len, uint8_t out[WM_SHA256_BYTES]);

/** MD5 (RFC 1321), for fingerprints and Content-MD5 only, where the format demands it. */
void wm_md5(const void *data, size_t len, uint8_t out[WM_MD5_BYTES]);

/** SHA-256 piece by piece. */
struct wm_sha256_stream;
struct wm_sha256_stream *wm_sha256_stream_new(void); /* NULL when memory is short */
void wm_sha256_stream_free(struct wm_sha256_stream *s);
void wm_sha256_stream_add(struct wm_sha256_stream *s, const void *data, size_t len);
/** The digest; the stream is then empty and may be used again. */
void wm_sha256_stream_end(struct wm_sha256_stream *s, uint8_t out[WM_SHA256_BYTES]);

/** CRC-32 (ISO 3309, as in gzip), continued from `crc`; start with 0. */
uint32_t wm_crc32(uint32_t crc, const void *data, size_t len);

/** Lower-case hex of len bytes into out[2*len]; no NUL. */
void wm_hex(const void *data, size_t len, char *out);
/** Hex in either case to bytes; false unless text is exactly 2*len digits. */
bool wm_hex_decode(struct wm_view text, void *out, size_t len);
/** Base64 with padding (RFC 4648 section 4). */
void wm_base64(struct wm_buf *out, const void *data, size_t len);
/** @return WM_E_INVALID (not base64), WM_E_LIMIT (out's ceiling). */
enum wm_status wm_base64_decode(struct wm_view text, struct wm_buf *out) WM_MUST_CHECK;

/** Unpredictable bytes from the kernel, drawn in batches per thread; aborts if the kernel has none. */
void wm_random(void *out, size_t len);
/** Random UUID (RFC 9562, version 4) as text with a NUL. */
#define WM_UUID_BYTES 37
void wm_uuid(char out[WM_UUID_BYTES]);
/** n random characters of [A-Za-z0-9] and a NUL: the unique part of a trail file's key. */
void wm_random_alnum(char *out, size_t n);

/** Equal? In time that depends on len only. */
bool wm_equal_constant_time(const void *a, const void *b, size_t len);
/** Overwrite so that the compiler cannot leave it out. */
void wm_wipe(void *p, size_t len);

#endif
