#include "waymark/signer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <dirent.h>
#include <unistd.h>

#include "delivery/keyring.h"
#include "tests/support/fault_io.h"
#include "tests/support/scratch.h"
#include "tests/support/sim_disk.h"
#include "waymark/bounds.h"
#include "waymark/hash.h"
#include "waymark/json.h"

#include "waymark/banned.h"

#define DAY_NS (86400 * WM_NS_PER_S)
/* Most of the year is making keys, in OpenSSL; a part of it shows a sanitizer as much. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SIMULATED_DAYS 70
#else
#define SIMULATED_DAYS 365
#endif

static struct wm_wall_ns start_time(void)
{
    struct wm_wall_ns t;
    assert_int_equal(wm_time_parse(WM_LIT("2026-03-01T10:00:00Z"), &t), WM_OK);
    return t;
}

static struct wm_wall_ns later(int64_t ns)
{
    return (struct wm_wall_ns){start_time().ns + ns};
}

static int setup(void **state)
{
    struct scratch *s = calloc(1, sizeof *s);
    scratch_make(s);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    scratch_remove(*state);
    free(*state);
    return 0;
}

/* ---- what the signer tells ---- */

struct told {
    char names[64][32], fingerprints[64][WM_FINGERPRINT_BYTES];
    size_t n;
    bool refuse;
};

static enum wm_status tell(void *arg, const char *name, struct wm_view details, struct wm_err *err)
{
    struct told *t = arg;
    if (t->refuse)
        return wm_fail(err, WM_E_FULL, "the journal is full");
    struct wm_arena a;
    struct wm_json *root;
    wm_arena_init(&a, 1 << 16);
    assert_true(t->n < 64);
    assert_int_equal(wm_json_parse(&a, details, &root, NULL), WM_OK);
    assert_true(wm_view_copy(wm_json_get_text(root, "fingerprint"), t->fingerprints[t->n], WM_FINGERPRINT_BYTES));
    assert_true(wm_view_copy(wm_view_of(name), t->names[t->n++], 32));
    wm_arena_done(&a);
    return WM_OK;
}

static size_t told_count(const struct told *t, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++)
        n += strcmp(t->names[i], name) == 0;
    return n;
}

/* ---- opening ---- */

struct open_with {
    const char *folder, *passphrases; /* NULL: "keys", none */
    const struct wm_io *io;           /* NULL: the real one */
    struct told *told;
};

static struct wm_secret secret_of(const struct scratch *s, const char *text)
{
    struct wm_secret secret = {0};
    if (text) {
        const char *path = scratch_path(s, "secret");
        assert_int_equal(wm_io_replace_file(&wm_io_posix, path, wm_view_of(text), 0600, NULL), WM_OK);
        assert_int_equal(wm_secret_load(&wm_io_posix, path, &secret, NULL), WM_OK);
    }
    return secret;
}

static enum wm_status try_open(const struct scratch *s, const struct open_with *with, struct wm_signer **out,
                               struct wm_err *err)
{
    const struct wm_signer_options o = {
        .io = with->io ? with->io : &wm_io_posix,
        .clock = &wm_clock_system,
        .dir = scratch_path(s, with->folder ? with->folder : "keys"),
        .passphrases = secret_of(s, with->passphrases),
        .record = with->told ? tell : NULL,
        .record_arg = with->told,
    };
    return wm_signer_open(&o, out, err);
}

static struct wm_signer *open_with(const struct scratch *s, const struct open_with *with)
{
    struct wm_signer *signer = NULL;
    struct wm_err err = {0};
    if (try_open(s, with, &signer, &err) != WM_OK)
        fail_msg("%s", err.message);
    return signer;
}

static struct wm_signer *open_signer(const struct scratch *s)
{
    return open_with(s, &(struct open_with){0});
}

static const char *key_file(const struct scratch *s, const char *fingerprint)
{
    char name[64];
    (void)snprintf(name, sizeof name, "keys/%s.pem", fingerprint);
    return scratch_path(s, name);
}

static struct wm_buf content_of(const char *path)
{
    struct wm_buf text;
    wm_buf_init(&text, 1 << 16);
    assert_int_equal(wm_io_read_file(&wm_io_posix, path, &text, NULL), WM_OK);
    return text;
}

static bool file_begins(const char *path, const char *with)
{
    struct wm_buf text = content_of(path);
    bool begins = wm_view_starts(wm_buf_view(&text), with);
    wm_buf_done(&text);
    return begins;
}

static bool file_is_zeros(const char *path)
{
    struct wm_buf text = content_of(path);
    size_t n = 0;
    while (n < text.len && text.data[n] == 0)
        n++;
    bool zeros = text.len > 0 && n == text.len;
    wm_buf_done(&text);
    return zeros;
}

static struct wm_keyring *open_keyring(const struct scratch *s)
{
    struct wm_keyring *ring = NULL;
    struct wm_err err = {0};
    if (wm_keyring_open(&wm_io_posix, scratch_path(s, "keys/public-keys.json"), &ring, &err) != WM_OK)
        fail_msg("%s", err.message);
    return ring;
}

static void signer_makes_a_key_that_the_keyring_verifies(void **state)
{
    struct scratch *s = *state;
    struct wm_signer *signer = open_signer(s);
    char fingerprint[WM_FINGERPRINT_BYTES], again[WM_FINGERPRINT_BYTES];
    char signature[WM_SIGNATURE_HEX_BYTES], repeated[WM_SIGNATURE_HEX_BYTES];
    assert_int_equal(wm_signer_key_for(signer, start_time(), fingerprint, NULL), WM_OK);
    assert_int_equal(wm_signer_sign(signer, fingerprint, WM_LIT("a text"), signature, NULL), WM_OK);
    assert_int_equal(strlen(signature), 512);

    /* private part: PKCS#8, 0600, in a folder of 0700 */
    char name[64];
    struct stat st;
    struct wm_buf pem;
    wm_buf_init(&pem, 8192);
    (void)snprintf(name, sizeof name, "keys/%s.pem", fingerprint);
    assert_int_equal(stat(scratch_path(s, name), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(stat(scratch_path(s, "keys"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(wm_io_read_file(&wm_io_posix, scratch_path(s, name), &pem, NULL), WM_OK);
    assert_true(wm_view_starts(wm_buf_view(&pem), "-----BEGIN PRIVATE KEY-----\n"));
    wm_buf_done(&pem);

    struct wm_keyring *ring = open_keyring(s);
    struct wm_err err;
    struct wm_view f = wm_view_of(fingerprint);
    assert_int_equal(wm_keyring_count(ring), 1);
    assert_int_equal(wm_keyring_verify(ring, f, WM_LIT("a text"), wm_view_of(signature), &err), WM_OK);
    assert_int_equal(wm_keyring_verify(ring, f, WM_LIT("a texT"), wm_view_of(signature), &err), WM_E_DENIED);
    assert_int_equal(wm_keyring_verify(ring, f, WM_LIT("a text"), WM_LIT("abcd"), &err), WM_E_INVALID);
    assert_int_equal(wm_keyring_verify(ring, WM_LIT("none"), WM_LIT("a text"), wm_view_of(signature), &err),
                     WM_E_NOT_FOUND);
    signature[100] = signature[100] == '0' ? '1' : '0';
    assert_int_equal(wm_keyring_verify(ring, f, WM_LIT("a text"), wm_view_of(signature), &err), WM_E_DENIED);
    signature[100] = 'x';
    assert_int_equal(wm_keyring_verify(ring, f, WM_LIT("a text"), wm_view_of(signature), &err), WM_E_INVALID);
    wm_keyring_free(ring);

    /* the same key and signature after a restart */
    assert_int_equal(wm_signer_sign(signer, fingerprint, WM_LIT("a text"), signature, NULL), WM_OK);
    wm_signer_close(signer);
    signer = open_signer(s);
    assert_int_equal(wm_signer_key_for(signer, later(DAY_NS), again, NULL), WM_OK);
    assert_string_equal(again, fingerprint);
    assert_int_equal(wm_signer_sign(signer, fingerprint, WM_LIT("a text"), repeated, NULL), WM_OK);
    assert_string_equal(repeated, signature);
    assert_int_equal(wm_signer_sign(signer, "00000000000000000000000000000000", WM_LIT("a"), repeated, &err),
                     WM_E_NOT_FOUND);
    wm_signer_close(signer);
}

static void signer_rotates_after_twenty_days_and_keeps_old_keys(void **state)
{
    struct scratch *s = *state;
    struct wm_signer *signer = open_signer(s);
    char first[WM_FINGERPRINT_BYTES], same[WM_FINGERPRINT_BYTES], second[WM_FINGERPRINT_BYTES];
    char old[WM_SIGNATURE_HEX_BYTES];
    assert_int_equal(wm_signer_key_for(signer, later(500), first, NULL), WM_OK); /* half a microsecond: cut off */
    assert_int_equal(wm_signer_sign(signer, first, WM_LIT("old"), old, NULL), WM_OK);
    assert_int_equal(wm_signer_key_for(signer, later(20 * DAY_NS - WM_NS_PER_S), same, NULL), WM_OK);
    assert_string_equal(same, first);
    assert_int_equal(wm_signer_key_for(signer, later(20 * DAY_NS), second, NULL), WM_OK);
    assert_string_not_equal(second, first);
    /* the clock goes back: the key of that time, no third one */
    assert_int_equal(wm_signer_key_for(signer, later(5 * DAY_NS), same, NULL), WM_OK);
    assert_string_equal(same, first);
    assert_int_equal(wm_signer_key_for(signer, later(21 * DAY_NS), same, NULL), WM_OK);
    assert_string_equal(same, second);
    wm_signer_close(signer);

    struct wm_keyring *ring = open_keyring(s);
    assert_int_equal(wm_keyring_count(ring), 2);
    assert_int_equal(wm_keyring_verify(ring, wm_view_of(first), WM_LIT("old"), wm_view_of(old), NULL), WM_OK);
    wm_keyring_free(ring);

    struct wm_buf text;
    struct wm_arena a;
    struct wm_json *root;
    wm_buf_init(&text, 1 << 16);
    wm_arena_init(&a, 1 << 20);
    assert_int_equal(wm_io_read_file(&wm_io_posix, scratch_path(s, "keys/public-keys.json"), &text, NULL), WM_OK);
    assert_int_equal(wm_json_parse(&a, wm_buf_view(&text), &root, NULL), WM_OK);
    struct wm_json *entry = wm_json_get(root, "PublicKeyList")->first;
    int64_t from, until;
    assert_int_equal(wm_json_to_i64(wm_json_get(entry, "ValidityStartTime"), 0, INT64_MAX, &from), WM_OK);
    assert_int_equal(wm_json_to_i64(wm_json_get(entry, "ValidityEndTime"), 0, INT64_MAX, &until), WM_OK);
    assert_int_equal(from, wm_wall_seconds(start_time()));
    assert_int_equal(until - from, 30 * 86400);
    assert_true(wm_view_starts(wm_json_get_text(entry, "Value"), "MIIBCgKC")); /* PKCS#1, 2,048 bits */
    wm_buf_done(&text);
    wm_arena_done(&a);
}

/* Killed between the two files of a new key, or the list lost: a key that may have signed is in the list again. */
static void signer_takes_up_a_key_that_is_not_listed(void **state)
{
    struct scratch *s = *state;
    struct wm_signer *signer = open_signer(s);
    char fingerprint[WM_FINGERPRINT_BYTES], signature[WM_SIGNATURE_HEX_BYTES];
    assert_int_equal(wm_signer_key_for(signer, start_time(), fingerprint, NULL), WM_OK);
    assert_int_equal(wm_signer_sign(signer, fingerprint, WM_LIT("x"), signature, NULL), WM_OK);
    wm_signer_close(signer);
    assert_int_equal(unlink(scratch_path(s, "keys/public-keys.json")), 0);
    wm_signer_close(open_signer(s));
    struct wm_keyring *ring = open_keyring(s);
    assert_int_equal(wm_keyring_verify(ring, wm_view_of(fingerprint), WM_LIT("x"), wm_view_of(signature), NULL), WM_OK);
    wm_keyring_free(ring);
}

static void signer_refuses_keys_that_others_may_read_or_that_are_none(void **state)
{
    struct scratch *s = *state;
    struct wm_signer *signer = open_signer(s);
    char fingerprint[WM_FINGERPRINT_BYTES], name[64];
    struct wm_err err;
    assert_int_equal(wm_signer_key_for(signer, start_time(), fingerprint, NULL), WM_OK);
    wm_signer_close(signer);
    (void)snprintf(name, sizeof name, "keys/%s.pem", fingerprint);
    assert_int_equal(chmod(scratch_path(s, name), 0640), 0);
    assert_int_equal(try_open(s, &(struct open_with){0}, &signer, &err), WM_E_DENIED);
    assert_non_null(strstr(err.message, "chmod 600"));
    assert_int_equal(chmod(scratch_path(s, name), 0600), 0);

    /* another key under this name */
    char other[WM_FINGERPRINT_BYTES];
    struct scratch second;
    scratch_make(&second);
    signer = open_signer(&second);
    assert_int_equal(wm_signer_key_for(signer, start_time(), other, NULL), WM_OK);
    wm_signer_close(signer);
    char other_name[64];
    (void)snprintf(other_name, sizeof other_name, "keys/%s.pem", other);
    assert_int_equal(rename(scratch_path(&second, other_name), scratch_path(s, name)), 0);
    assert_int_equal(try_open(s, &(struct open_with){0}, &signer, &err), WM_E_CORRUPT);
    scratch_remove(&second);

    assert_int_equal(wm_io_replace_file(&wm_io_posix, scratch_path(s, name), WM_LIT("no key\n"), 0600, NULL), WM_OK);
    assert_int_equal(try_open(s, &(struct open_with){0}, &signer, &err), WM_E_CORRUPT);
    assert_non_null(strstr(err.message, fingerprint));
}

/* A key whose files are not durable must not sign. */
static int failing_fsync(void *ctx, int fd)
{
    (void)fd;
    int *left = ctx;
    return --*left < 0 ? -EIO : 0;
}

static void signer_key_is_not_used_when_it_is_not_durable(void **state)
{
    struct scratch *s = *state;
    for (int good = 0; good < 2; good++) { /* the private part's sync fails, then the list's */
        int left = good;
        struct wm_io io = wm_io_posix;
        struct wm_signer *signer;
        char fingerprint[WM_FINGERPRINT_BYTES];
        struct wm_err err;
        io.ctx = &left;
        io.fsync = failing_fsync;
        signer = open_with(s, &(struct open_with){.folder = good ? "k1" : "k0", .io = &io});
        assert_int_equal(wm_signer_key_for(signer, start_time(), fingerprint, &err), WM_E_IO);
        left = 100;
        assert_int_equal(wm_signer_key_for(signer, start_time(), fingerprint, &err), WM_OK);
        wm_signer_close(signer);
    }
}

/* ---- passphrases ---- */

#define PLAIN "-----BEGIN PRIVATE KEY-----\n"
#define ENCRYPTED "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"

static void signer_encrypts_what_it_makes(void **state)
{
    struct scratch *s = *state;
    struct wm_signer *signer = open_with(s, &(struct open_with){.passphrases = "open sesame\n"});
    char fingerprint[WM_FINGERPRINT_BYTES], signature[WM_SIGNATURE_HEX_BYTES], again[WM_SIGNATURE_HEX_BYTES];
    struct wm_err err = {0};
    assert_int_equal(wm_signer_key_for(signer, start_time(), fingerprint, NULL), WM_OK);
    assert_int_equal(wm_signer_sign(signer, fingerprint, WM_LIT("x"), signature, NULL), WM_OK);
    wm_signer_close(signer);
    assert_true(file_begins(key_file(s, fingerprint), ENCRYPTED));

    /* by the means that the format's name promises; openssl reads it too */
    char command[2048];
    (void)snprintf(command, sizeof command,
                   "openssl pkcs8 -in %s -passin pass:'open sesame' -nocrypt -topk8 >/dev/null && "
                   "openssl asn1parse -in %s | grep -c -e ':PBES2' -e ':hmacWithSHA256' -e ':aes-256-cbc' | grep -qx 3",
                   key_file(s, fingerprint), key_file(s, fingerprint));
    assert_int_equal(system(command), 0);

    assert_int_equal(try_open(s, &(struct open_with){0}, &signer, &err), WM_E_DENIED);
    assert_non_null(strstr(err.message, "no passphrase is given"));
    assert_non_null(strstr(err.message, fingerprint));
    assert_int_equal(try_open(s, &(struct open_with){.passphrases = "open barley"}, &signer, &err), WM_E_DENIED);
    assert_non_null(strstr(err.message, "does not open it"));
    assert_null(strstr(err.message, "barley"));

    /* a line behind a new one: still opened, and from then on under the new one alone */
    struct told told = {0};
    signer = open_with(s, &(struct open_with){.passphrases = "shazam\nno\nopen sesame", .told = &told});
    assert_int_equal(wm_signer_sign(signer, fingerprint, WM_LIT("x"), again, NULL), WM_OK);
    assert_string_equal(again, signature);
    wm_signer_close(signer);
    assert_int_equal(told.n, 2);
    assert_string_equal(told.names[0], "EncryptSigningKey");
    assert_string_equal(told.names[1], "UseSigningKey");
    assert_int_equal(try_open(s, &(struct open_with){.passphrases = "open sesame"}, &signer, NULL), WM_E_DENIED);
    wm_signer_close(open_with(s, &(struct open_with){.passphrases = "shazam\r\n"}));
}

/* Whichever operation fails on the way: the key opens at the next start, and the old bytes are gone when all went well. */
static void signer_encrypts_in_place_what_was_in_the_clear(void **state)
{
    struct scratch *s = *state;
    char fingerprint[WM_FINGERPRINT_BYTES], path[1024];
    struct wm_signer *signer = open_signer(s);
    assert_int_equal(wm_signer_key_for(signer, start_time(), fingerprint, NULL), WM_OK);
    wm_signer_close(signer);
    (void)snprintf(path, sizeof path, "%s", key_file(s, fingerprint));
    struct wm_buf plain = content_of(path);
    assert_int_equal(plain.len > 1000, 1);

    unsigned n = 1;
    for (bool hit = true; hit; n++) {
        (void)unlink(scratch_path(s, "old"));
        assert_int_equal(wm_io_replace_file(&wm_io_posix, path, wm_buf_view(&plain), 0600, NULL), WM_OK);
        assert_int_equal(link(path, scratch_path(s, "old")), 0);
        struct fault_io f;
        fault_io_init(&f, &wm_io_posix);
        fault_io_arm(&f, FAULT_WRITES, n, FAULT_EIO, true);
        struct wm_err err = {0};
        enum wm_status status = try_open(s, &(struct open_with){.passphrases = "p", .io = &f.io}, &signer, &err);
        hit = f.hit;
        if (!hit)
            assert_int_equal(status, WM_OK);
        else if (status != WM_OK)
            assert_int_equal(status, WM_E_IO);
        if (status == WM_OK)
            wm_signer_close(signer);
        assert_true(file_begins(path, PLAIN) || file_begins(path, ENCRYPTED));
        if (status == WM_OK) {
            assert_true(file_begins(path, ENCRYPTED));
            assert_true(file_is_zeros(scratch_path(s, "old")));
        }
    }
    assert_true(n > 6);
    wm_buf_done(&plain);
    char again[WM_FINGERPRINT_BYTES];
    signer = open_with(s, &(struct open_with){.passphrases = "p"});
    assert_int_equal(wm_signer_key_for(signer, later(DAY_NS), again, NULL), WM_OK);
    assert_string_equal(again, fingerprint);
    wm_signer_close(signer);
}

/* What a crash leaves of a key that was being written is a private key nobody watches. */
static void signer_removes_the_remains_of_a_crash(void **state)
{
    struct scratch *s = *state;
    wm_signer_close(open_signer(s));
    const char *rest = scratch_path(s, "keys/00112233445566778899aabbccddeeff.pem.tmp");
    assert_int_equal(wm_io_replace_file(&wm_io_posix, rest, WM_LIT(PLAIN "MII"), 0600, NULL), WM_OK);
    assert_int_equal(link(rest, scratch_path(s, "old")), 0);
    wm_signer_close(open_signer(s));
    assert_int_equal(access(rest, F_OK), -1);
    assert_true(file_is_zeros(scratch_path(s, "old")));
}

/* ---- a year ---- */

static size_t count_key_files(const struct scratch *s)
{
    size_t n = 0;
    DIR *d = opendir(scratch_path(s, "keys"));
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        n += wm_view_ends(wm_view_of(e->d_name), ".pem");
    (void)closedir(d);
    return n;
}

/*
 * A digest every 20 hours for a year, over restarts and a clock that goes back now and then: each is signed by a key that
 * is valid at its time and at most 20 days old; old private keys go, public ones stay and verify.
 */
static void signer_rotates_through_a_year(void **state)
{
    struct scratch *s = *state;
    struct told told = {0};
    struct wm_signer *signer = open_with(s, &(struct open_with){.told = &told});
    char fingerprint[WM_FINGERPRINT_BYTES], first[WM_FINGERPRINT_BYTES] = "", signature[WM_SIGNATURE_HEX_BYTES];
    char first_signature[WM_SIGNATURE_HEX_BYTES], text[32];
    const int step_h = 20;
    for (int hour = 0; hour < SIMULATED_DAYS * 24; hour += step_h) {
        int at = hour;
        if (hour % 340 == 0 && hour > 0)
            at -= 25; /* set back by a day, over a rotation perhaps */
        struct wm_err err = {0};
        if (wm_signer_key_for(signer, later(at * 3600 * WM_NS_PER_S), fingerprint, &err) != WM_OK)
            fail_msg("hour %d: %s", at, err.message);
        (void)snprintf(text, sizeof text, "%d", at);
        assert_int_equal(wm_signer_sign(signer, fingerprint, wm_view_of(text), signature, &err), WM_OK);
        if (hour == 0) {
            memcpy(first, fingerprint, sizeof first);
            memcpy(first_signature, signature, sizeof first_signature);
        }
        assert_true(count_key_files(s) <= 2);
        if (hour % 100 == 0) {
            struct wm_keyring *ring = open_keyring(s);
            assert_int_equal(wm_keyring_verify(ring, wm_view_of(fingerprint), wm_view_of(text), wm_view_of(signature),
                                               NULL), WM_OK);
            const struct wm_public_key *k = wm_keyring_find(ring, wm_view_of(fingerprint));
            int64_t age_s = wm_wall_seconds(later(at * 3600 * WM_NS_PER_S)) - wm_wall_seconds(k->valid_from);
            assert_in_range(age_s, 0, 20 * 86400 - 1);
            wm_keyring_free(ring);
        }
        if (hour % 500 == 0) {
            wm_signer_close(signer);
            signer = open_with(s, &(struct open_with){.told = &told});
            told.n = told.n > 40 ? 0 : told.n;
        }
    }
    wm_signer_close(signer);
    struct wm_keyring *ring = open_keyring(s);
    assert_int_equal(wm_keyring_count(ring), (SIMULATED_DAYS + 19) / 20);
    for (size_t i = 1; i < ring->n; i++) {
        assert_in_range(ring->at[i].valid_from.ns - ring->at[i - 1].valid_from.ns, 20 * DAY_NS, 21 * DAY_NS);
        assert_int_equal(ring->at[i].valid_until.ns - ring->at[i].valid_from.ns, 30 * DAY_NS);
    }
    assert_int_equal(wm_keyring_verify(ring, wm_view_of(first), WM_LIT("0"), wm_view_of(first_signature), NULL), WM_OK);
    wm_keyring_free(ring);
    assert_int_equal(access(key_file(s, first), F_OK), -1);
}

/* The private part of a key that ended is overwritten and gone; the trail says so before it is. */
static void signer_destroys_what_has_ended(void **state)
{
    struct scratch *s = *state;
    struct told told = {0};
    struct wm_err err = {0};
    struct wm_signer *signer = open_with(s, &(struct open_with){.told = &told});
    char first[WM_FINGERPRINT_BYTES], second[WM_FINGERPRINT_BYTES], third[WM_FINGERPRINT_BYTES];
    char signature[WM_SIGNATURE_HEX_BYTES];
    assert_int_equal(wm_signer_key_for(signer, start_time(), first, NULL), WM_OK);
    assert_int_equal(link(key_file(s, first), scratch_path(s, "old")), 0);
    assert_int_equal(wm_signer_key_for(signer, later(20 * DAY_NS), second, NULL), WM_OK);
    assert_int_equal(wm_signer_key_for(signer, later(30 * DAY_NS), third, NULL), WM_OK);
    assert_string_equal(third, second);
    assert_int_equal(access(key_file(s, first), F_OK), 0); /* its last second */
    assert_int_equal(told_count(&told, "DestroySigningKey"), 0);

    told.refuse = true; /* what is not recorded is not done, and does not stop the digest */
    assert_int_equal(wm_signer_key_for(signer, later(30 * DAY_NS + WM_NS_PER_S), third, NULL), WM_OK);
    assert_int_equal(access(key_file(s, first), F_OK), 0);
    told.refuse = false;
    assert_int_equal(wm_signer_key_for(signer, later(30 * DAY_NS + 2 * WM_NS_PER_S), third, NULL), WM_OK);
    assert_int_equal(access(key_file(s, first), F_OK), -1);
    assert_true(file_is_zeros(scratch_path(s, "old")));
    assert_int_equal(told_count(&told, "DestroySigningKey"), 1);
    assert_string_equal(told.fingerprints[told.n - 1], first);
    assert_int_equal(wm_signer_sign(signer, first, WM_LIT("x"), signature, &err), WM_E_NOT_FOUND);
    wm_signer_close(signer);

    /* once more from the disk */
    signer = open_with(s, &(struct open_with){.told = &told});
    assert_int_equal(wm_signer_key_for(signer, later(31 * DAY_NS), third, NULL), WM_OK);
    assert_string_equal(third, second);
    assert_int_equal(told_count(&told, "DestroySigningKey"), 1);
    wm_signer_close(signer);
    struct wm_keyring *ring = open_keyring(s);
    assert_int_equal(wm_keyring_count(ring), 2);
    wm_keyring_free(ring);
}

/* A disk that takes no new key: the old one signs as long as it is valid, and not a second longer. */
static void signer_goes_on_with_a_valid_key_when_none_can_be_made(void **state)
{
    struct scratch *s = *state;
    struct fault_io f;
    fault_io_init(&f, &wm_io_posix);
    struct told told = {0};
    struct wm_err err = {0};
    struct wm_signer *signer = open_with(s, &(struct open_with){.io = &f.io, .told = &told});
    char first[WM_FINGERPRINT_BYTES], next[WM_FINGERPRINT_BYTES];
    assert_int_equal(wm_signer_key_for(signer, start_time(), first, NULL), WM_OK);
    fault_io_arm(&f, FAULT_WRITES, 1, FAULT_ENOSPC, true);
    assert_int_equal(wm_signer_key_for(signer, later(20 * DAY_NS), next, &err), WM_OK);
    assert_string_equal(next, first);
    assert_int_equal(wm_signer_key_for(signer, later(30 * DAY_NS - 1), next, &err), WM_OK);
    assert_string_equal(next, first);
    assert_int_equal(wm_signer_key_for(signer, later(30 * DAY_NS), next, &err), WM_E_FULL);
    fault_io_disarm(&f);
    told.refuse = true; /* nor one that cannot be recorded; it does not stay behind either */
    assert_int_equal(wm_signer_key_for(signer, later(30 * DAY_NS), next, &err), WM_E_FULL);
    assert_string_equal(err.message, "the journal is full");
    assert_int_equal(count_key_files(s), 1);
    told.refuse = false;
    assert_int_equal(wm_signer_key_for(signer, later(30 * DAY_NS), next, &err), WM_OK);
    assert_string_not_equal(next, first);
    wm_signer_close(signer);
    assert_int_equal(told_count(&told, "CreateSigningKey"), 2);
}

/*
 * The power goes at each operation of making a key, signing with it and destroying the one before: after it the keys open
 * again, and the list on the disk verifies whatever was signed.
 */
static void signer_survives_a_power_cut_at_any_moment(void **state)
{
    (void)state;
    char before[WM_FINGERPRINT_BYTES], after[WM_FINGERPRINT_BYTES], signature[WM_SIGNATURE_HEX_BYTES];
    struct sim_disk *start = sim_disk_new(1);
    struct wm_signer_options o = {.io = sim_disk_io(start), .clock = &wm_clock_system, .dir = "/keys"};
    struct wm_signer *signer;
    assert_int_equal(wm_signer_open(&o, &signer, NULL), WM_OK);
    assert_int_equal(wm_signer_key_for(signer, start_time(), before, NULL), WM_OK);
    wm_signer_close(signer);
    bool died = true, was_signed = false;
    unsigned n = 1;
    for (; died; n++) {
        struct sim_disk *d = sim_disk_clone(start, n);
        o.io = sim_disk_io(d);
        assert_int_equal(wm_signer_open(&o, &signer, NULL), WM_OK);
        sim_disk_die_at(d, n);
        was_signed = wm_signer_key_for(signer, later(30 * DAY_NS + WM_NS_PER_S), after, NULL) == WM_OK &&
                     wm_signer_sign(signer, after, WM_LIT("x"), signature, NULL) == WM_OK;
        died = sim_disk_dead(d);
        wm_signer_close(signer);
        sim_disk_power_cut(d);

        struct wm_err err = {0};
        if (wm_signer_open(&o, &signer, &err) != WM_OK)
            fail_msg("operation %u: %s", n, err.message);
        struct wm_keyring *ring;
        assert_int_equal(wm_keyring_open(o.io, "/keys/public-keys.json", &ring, NULL), WM_OK);
        assert_non_null(wm_keyring_find(ring, wm_view_of(before)));
        if (was_signed) {
            assert_int_equal(wm_keyring_verify(ring, wm_view_of(after), WM_LIT("x"), wm_view_of(signature), NULL), WM_OK);
            assert_int_equal(wm_signer_sign(signer, after, WM_LIT("x"), signature, NULL), WM_OK);
        }
        wm_keyring_free(ring);
        wm_signer_close(signer);
        sim_disk_free(d);
    }
    assert_true(was_signed && n > 12);
    sim_disk_free(start);
}

static void signer_records_the_first_use_of_each_run(void **state)
{
    struct scratch *s = *state;
    char fingerprint[WM_FINGERPRINT_BYTES], signature[WM_SIGNATURE_HEX_BYTES];
    struct told told = {0};
    for (int run = 0; run < 2; run++) {
        struct wm_signer *signer = open_with(s, &(struct open_with){.told = &told});
        assert_int_equal(wm_signer_key_for(signer, start_time(), fingerprint, NULL), WM_OK);
        told.refuse = true;
        assert_int_equal(wm_signer_sign(signer, fingerprint, WM_LIT("x"), signature, NULL), WM_E_FULL);
        told.refuse = false;
        for (int i = 0; i < 3; i++)
            assert_int_equal(wm_signer_sign(signer, fingerprint, WM_LIT("x"), signature, NULL), WM_OK);
        wm_signer_close(signer);
    }
    assert_int_equal(told.n, 3);
    assert_string_equal(told.names[0], "CreateSigningKey");
    assert_string_equal(told.names[1], "UseSigningKey");
    assert_string_equal(told.names[2], "UseSigningKey");
    assert_string_equal(told.fingerprints[2], fingerprint);
}

static void write_keys(const struct scratch *s, const char *value, const char *fingerprint, const char *from,
                       const char *until)
{
    struct wm_buf text;
    wm_buf_init(&text, 1 << 16);
    wm_buf_addf(&text,
                "{\"PublicKeyList\":[{\"Value\":\"%s\",\"ValidityStartTime\":%s,\"ValidityEndTime\":%s,"
                "\"Fingerprint\":\"%s\"}]}",
                value, from, until, fingerprint);
    assert_int_equal(wm_io_replace_file(&wm_io_posix, scratch_path(s, "ring.json"), wm_buf_view(&text), 0644, NULL),
                     WM_OK);
    wm_buf_done(&text);
}

static void keyring_reads_what_the_aws_cli_prints(void **state)
{
    struct scratch *s = *state;
    struct wm_signer *signer = open_signer(s);
    char fingerprint[WM_FINGERPRINT_BYTES], value[1024];
    assert_int_equal(wm_signer_key_for(signer, start_time(), fingerprint, NULL), WM_OK);
    wm_signer_close(signer);
    struct wm_buf text;
    struct wm_arena a;
    struct wm_json *root;
    wm_buf_init(&text, 1 << 16);
    wm_arena_init(&a, 1 << 20);
    assert_int_equal(wm_io_read_file(&wm_io_posix, scratch_path(s, "keys/public-keys.json"), &text, NULL), WM_OK);
    assert_int_equal(wm_json_parse(&a, wm_buf_view(&text), &root, NULL), WM_OK);
    assert_true(wm_view_copy(wm_json_get_text(wm_json_get(root, "PublicKeyList")->first, "Value"), value,
                             sizeof value));
    wm_buf_done(&text);
    wm_arena_done(&a);

    static const struct {
        const char *time;
        enum wm_status status;
    } cases[] = {
        {"1772359200", WM_OK},
        {"1772359200.0", WM_OK},
        {"1772359200.123", WM_OK},
        {"\"2026-03-01T10:00:00Z\"", WM_OK},
        {"\"2026-03-01T11:00:00+01:00\"", WM_OK},
        {"\"2026-03-01T11:00:00.123000+01:00\"", WM_OK},
        {"\"2026-03-01T10:00:00\"", WM_E_INVALID},
        {"\"2026-03-01T10:00:00+1:00\"", WM_E_INVALID},
        {"\"2026-13-01T10:00:00Z\"", WM_E_INVALID},
        {"\"soon\"", WM_E_INVALID},
        {"\"1970-01-01T00:30:00+01:00\"", WM_E_INVALID},
        {"\"2262-04-11T23:47:16-23:59\"", WM_E_INVALID},
        {"9223372037", WM_E_INVALID},
        {"-5", WM_E_INVALID},
        {"null", WM_E_INVALID},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wm_keyring *ring = NULL;
        struct wm_err err = {0};
        write_keys(s, value, fingerprint, cases[i].time, "1774951200");
        enum wm_status status = wm_keyring_open(&wm_io_posix, scratch_path(s, "ring.json"), &ring, &err);
        if (status != cases[i].status)
            fail_msg("%s: %s %s", cases[i].time, wm_status_name(status), err.message);
        wm_keyring_free(ring);
    }
    struct wm_keyring *ring = NULL;
    struct wm_err err;
    /* a key that answers to another's fingerprint */
    write_keys(s, value, "00112233445566778899aabbccddeeff", "1", "2");
    assert_int_equal(wm_keyring_open(&wm_io_posix, scratch_path(s, "ring.json"), &ring, &err), WM_E_INVALID);
    write_keys(s, value, "short", "1", "2");
    assert_int_equal(wm_keyring_open(&wm_io_posix, scratch_path(s, "ring.json"), &ring, &err), WM_E_INVALID);
    write_keys(s, "AAAA", fingerprint, "1", "2");
    assert_int_equal(wm_keyring_open(&wm_io_posix, scratch_path(s, "ring.json"), &ring, &err), WM_E_INVALID);
    assert_int_equal(wm_io_replace_file(&wm_io_posix, scratch_path(s, "ring.json"), WM_LIT("{}"), 0644, NULL), WM_OK);
    assert_int_equal(wm_keyring_open(&wm_io_posix, scratch_path(s, "ring.json"), &ring, &err), WM_E_INVALID);
    assert_int_equal(wm_keyring_open(&wm_io_posix, scratch_path(s, "absent.json"), &ring, &err), WM_E_NOT_FOUND);
}

static void keyring_verifies_the_reference_vector(void **state)
{
    struct scratch *s = *state;
    struct wm_buf text, der, spki, value;
    wm_buf_init(&text, 1 << 20);
    if (!shared_read("reference/cloudtrail.md", &text)) {
        wm_buf_done(&text);
        skip();
    }
    struct wm_view md = wm_buf_view(&text);
    char fingerprint[WM_FINGERPRINT_BYTES], key[1024];
    assert_true(wm_view_copy(rest_of_line(md, "fingerprint = md5(DER) = "), fingerprint, sizeof fingerprint));
    assert_true(wm_view_copy(line_after(md, "public key  (base64"), key, sizeof key));
    struct wm_view body = line_after(md, "digest 1 body"), signature = line_after(md, "x-amz-meta-signature 1 =");
    uint8_t hash[WM_SHA256_BYTES];
    char to_sign[1024], hex[65] = "";
    wm_sha256(body.ptr, body.len, hash);
    wm_hex(hash, sizeof hash, hex);
    (void)snprintf(to_sign, sizeof to_sign,
                   "2026-03-01T11:00:00Z\nvec-bucket/AWSLogs/111122223333/CloudTrail-Digest/us-east-1/"
                   "2026/03/01/111122223333_CloudTrail-Digest_us-east-1_vec-trail_us-east-1_20260301T110000Z.json.gz"
                   "\n%s\nnull", hex);
    write_keys(s, key, fingerprint, "1772355600.0", "1774947600.0");
    struct wm_keyring *ring = NULL;
    assert_int_equal(wm_keyring_open(&wm_io_posix, scratch_path(s, "ring.json"), &ring, NULL), WM_OK);
    assert_int_equal(wm_keyring_verify(ring, wm_view_of(fingerprint), wm_view_of(to_sign), signature, NULL), WM_OK);
    to_sign[0] = '3';
    assert_int_equal(wm_keyring_verify(ring, wm_view_of(fingerprint), wm_view_of(to_sign), signature, NULL),
                     WM_E_DENIED);
    to_sign[0] = '2';
    wm_keyring_free(ring);

    /* the same key as SubjectPublicKeyInfo, as one of AWS's samples has it: RFC 5280 section 4.1 around the PKCS#1 */
    static const uint8_t frame[] = {0x30, 0x82, 0x01, 0x22, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                    0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00, 0x03, 0x82, 0x01, 0x0f, 0x00};
    uint8_t md5[WM_MD5_BYTES];
    wm_buf_init(&der, 1024);
    wm_buf_init(&spki, 1024);
    wm_buf_init(&value, 1024);
    assert_int_equal(wm_base64_decode(wm_view_of(key), &der), WM_OK);
    assert_int_equal(der.len, 270);
    wm_buf_add(&spki, frame, sizeof frame);
    wm_buf_add_view(&spki, wm_buf_view(&der));
    wm_md5(spki.data, spki.len, md5);
    wm_hex(md5, sizeof md5, fingerprint);
    wm_base64(&value, spki.data, spki.len);
    write_keys(s, wm_buf_cstr(&value), fingerprint, "1", "2");
    assert_int_equal(wm_keyring_open(&wm_io_posix, scratch_path(s, "ring.json"), &ring, NULL), WM_OK);
    assert_int_equal(wm_keyring_verify(ring, wm_view_of(fingerprint), wm_view_of(to_sign), signature, NULL), WM_OK);
    wm_keyring_free(ring);
    wm_buf_done(&der);
    wm_buf_done(&spki);
    wm_buf_done(&value);
    wm_buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(signer_makes_a_key_that_the_keyring_verifies, setup, teardown),
        cmocka_unit_test_setup_teardown(signer_rotates_after_twenty_days_and_keeps_old_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(signer_takes_up_a_key_that_is_not_listed, setup, teardown),
        cmocka_unit_test_setup_teardown(signer_refuses_keys_that_others_may_read_or_that_are_none, setup, teardown),
        cmocka_unit_test_setup_teardown(signer_key_is_not_used_when_it_is_not_durable, setup, teardown),
        cmocka_unit_test_setup_teardown(signer_encrypts_what_it_makes, setup, teardown),
        cmocka_unit_test_setup_teardown(signer_encrypts_in_place_what_was_in_the_clear, setup, teardown),
        cmocka_unit_test_setup_teardown(signer_removes_the_remains_of_a_crash, setup, teardown),
        cmocka_unit_test_setup_teardown(signer_rotates_through_a_year, setup, teardown),
        cmocka_unit_test_setup_teardown(signer_destroys_what_has_ended, setup, teardown),
        cmocka_unit_test_setup_teardown(signer_goes_on_with_a_valid_key_when_none_can_be_made, setup, teardown),
        cmocka_unit_test(signer_survives_a_power_cut_at_any_moment),
        cmocka_unit_test_setup_teardown(signer_records_the_first_use_of_each_run, setup, teardown),
        cmocka_unit_test_setup_teardown(keyring_reads_what_the_aws_cli_prints, setup, teardown),
        cmocka_unit_test_setup_teardown(keyring_verifies_the_reference_vector, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
