/*
 * Keys on a real PKCS#11 token, SoftHSM (packages softhsm2, libsofthsm2): made there, used, lost and found again,
 * rotated, destroyed. Skipped where SoftHSM is not installed.
 */
#define CRYPTOKI_GNU 1

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <p11-kit/p11-kit.h>
#include <p11-kit/pkcs11.h>
#include <unistd.h>

#include "delivery/keyring.h"
#include "tests/support/scratch.h"
#include "waymark/signer.h"

#include "waymark/banned.h"

#define MODULE "/usr/lib/softhsm/libsofthsm2.so"
#define URI "pkcs11:token=audit"
#define PIN "471147"
#define DAY_NS (86400 * WM_NS_PER_S)

static struct wm_wall_ns at_day(int64_t days)
{
    struct wm_wall_ns t;
    assert_int_equal(wm_time_parse(WM_LIT("2026-03-01T10:00:00Z"), &t), WM_OK);
    t.ns += days * DAY_NS;
    return t;
}

static void run(const char *fmt, ...) WM_PRINTF(1, 2);
static void run(const char *fmt, ...)
{
    char command[2048];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(command, sizeof command, fmt, args);
    va_end(args);
    assert_true(n > 0 && (size_t)n < sizeof command);
    if (system(command) != 0)
        fail_msg("%s", command);
}

static void configure(const struct scratch *s, const char *more)
{
    struct wm_buf text;
    wm_buf_init(&text, 4096);
    wm_buf_addf(&text, "directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n%s",
                scratch_path(s, "tokens"), more);
    assert_int_equal(wm_io_replace_file(&wm_io_posix, scratch_path(s, "softhsm.conf"), wm_buf_view(&text), 0600, NULL),
                     WM_OK);
    wm_buf_done(&text);
    assert_int_equal(setenv("SOFTHSM2_CONF", scratch_path(s, "softhsm.conf"), 1), 0);
}

static void init_token(const char *label, const char *pin)
{
    run("softhsm2-util --init-token --free --label '%s' --so-pin 11223344 --pin '%s' >/dev/null", label, pin);
}

static int setup(void **state)
{
    struct scratch *s = calloc(1, sizeof *s);
    scratch_make(s);
    *state = s;
    if (access(MODULE, R_OK) != 0)
        return 0;
    assert_int_equal(mkdir(scratch_path(s, "tokens"), 0700), 0);
    configure(s, "");
    init_token("audit", PIN);
    init_token("other", PIN);
    return 0;
}

static int teardown(void **state)
{
    scratch_remove(*state);
    free(*state);
    return 0;
}

#define NEED_TOKEN()                      \
    do {                                  \
        if (access(MODULE, R_OK) != 0)    \
            skip();                       \
    } while (0)

/* ---- the token itself, as an operator's tool sees it ---- */

struct direct {
    struct ck_function_list *module;
    ck_slot_id_t slot;
    ck_session_handle_t session;
};

static struct direct direct_open(void)
{
    struct direct d = {.module = p11_kit_module_load(MODULE, 0)};
    assert_non_null(d.module);
    assert_int_equal(p11_kit_module_initialize(d.module), CKR_OK);
    ck_slot_id_t slots[8];
    unsigned long n = 8;
    struct ck_token_info info;
    assert_int_equal(d.module->C_GetSlotList(1, slots, &n), CKR_OK);
    for (unsigned long i = 0; i < n; i++) {
        assert_int_equal(d.module->C_GetTokenInfo(slots[i], &info), CKR_OK);
        if (memcmp(info.label, "audit ", 6) == 0)
            d.slot = slots[i];
    }
    assert_int_equal(d.module->C_OpenSession(d.slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &d.session), CKR_OK);
    ck_rv_t rv = d.module->C_Login(d.session, CKU_USER, (unsigned char *)(uintptr_t)PIN, strlen(PIN));
    assert_true(rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN);
    return d;
}

static void direct_close(struct direct *d)
{
    (void)d->module->C_CloseSession(d->session); /* closed already in some tests */
    assert_int_equal(p11_kit_module_finalize(d->module), CKR_OK);
    p11_kit_module_release(d->module);
}

static unsigned long direct_objects(const struct direct *d, ck_object_class_t class, ck_object_handle_t out[32])
{
    struct ck_attribute match[] = {{CKA_CLASS, &class, sizeof class}};
    unsigned long n = 0;
    assert_int_equal(d->module->C_FindObjectsInit(d->session, match, 1), CKR_OK);
    assert_int_equal(d->module->C_FindObjects(d->session, out, 32, &n), CKR_OK);
    assert_int_equal(d->module->C_FindObjectsFinal(d->session), CKR_OK);
    return n;
}

static bool direct_flag(const struct direct *d, ck_object_handle_t object, ck_attribute_type_t type)
{
    unsigned char value = 2;
    struct ck_attribute get[] = {{type, &value, 1}};
    assert_int_equal(d->module->C_GetAttributeValue(d->session, object, get, 1), CKR_OK);
    return value == 1;
}

static void direct_generate(const struct direct *d, const char *label, unsigned long bits)
{
    unsigned char yes = 1, exponent[] = {1, 0, 1};
    struct ck_mechanism mechanism = {.mechanism = CKM_RSA_PKCS_KEY_PAIR_GEN};
    struct ck_attribute public_part[] = {{CKA_TOKEN, &yes, 1}, {CKA_VERIFY, &yes, 1},
                                         {CKA_MODULUS_BITS, &bits, sizeof bits},
                                         {CKA_PUBLIC_EXPONENT, exponent, sizeof exponent}};
    struct ck_attribute private_part[] = {{CKA_TOKEN, &yes, 1}, {CKA_PRIVATE, &yes, 1}, {CKA_SIGN, &yes, 1},
                                          {CKA_LABEL, (void *)(uintptr_t)label, strlen(label)}};
    ck_object_handle_t handles[2];
    assert_int_equal(d->module->C_GenerateKeyPair(d->session, &mechanism, public_part, 4, private_part, 4, &handles[0],
                                                  &handles[1]), CKR_OK);
}

/* What a token that was pulled, or a network HSM that restarted, does to whoever had a session. */
static void direct_end_all_sessions(void)
{
    struct direct d = direct_open();
    assert_int_equal(d.module->C_CloseAllSessions(d.slot), CKR_OK);
    direct_close(&d);
}

/* ---- the signer over it ---- */

struct told {
    char names[16][32];
    size_t n;
};

static enum wm_status tell(void *arg, const char *name, struct wm_view details, struct wm_err *err)
{
    struct told *t = arg;
    (void)err;
    assert_true(t->n < 16 && details.len > 0 && !memmem(details.ptr, details.len, PIN, strlen(PIN)));
    assert_true(wm_view_copy(wm_view_of(name), t->names[t->n++], 32));
    return WM_OK;
}

static enum wm_status open_uri(const struct scratch *s, const char *uri, const char *module, const char *pin,
                               struct told *told, struct wm_signer **out, struct wm_err *err)
{
    struct wm_signer_options o = {
        .io = &wm_io_posix,
        .clock = &wm_clock_system,
        .dir = scratch_path(s, "keys"),
        .token_uri = uri,
        .token_module = module,
        .record = told ? tell : NULL,
        .record_arg = told,
    };
    if (pin[0]) {
        assert_int_equal(wm_io_replace_file(&wm_io_posix, scratch_path(s, "pin"), wm_view_of(pin), 0600, NULL), WM_OK);
        assert_int_equal(wm_secret_load(&wm_io_posix, scratch_path(s, "pin"), &o.token_pin, NULL), WM_OK);
    }
    return wm_signer_open(&o, out, err);
}

static struct wm_signer *open_signer(const struct scratch *s, struct told *told)
{
    struct wm_signer *signer = NULL;
    struct wm_err err = {0};
    if (open_uri(s, URI, MODULE, PIN "\n", told, &signer, &err) != WM_OK)
        fail_msg("%s", err.message);
    return signer;
}

static void key_for(struct wm_signer *signer, int64_t day, char out[WM_FINGERPRINT_BYTES])
{
    struct wm_err err = {0};
    if (wm_signer_key_for(signer, at_day(day), out, &err) != WM_OK)
        fail_msg("%s", err.message);
}

static void sign_and_verify(const struct scratch *s, struct wm_signer *signer, const char *fingerprint)
{
    char signature[WM_SIGNATURE_HEX_BYTES];
    struct wm_err err = {0};
    struct wm_keyring *ring;
    if (wm_signer_sign(signer, fingerprint, WM_LIT("a text"), signature, &err) != WM_OK)
        fail_msg("%s", err.message);
    assert_int_equal(wm_keyring_open(&wm_io_posix, scratch_path(s, "keys/public-keys.json"), &ring, NULL), WM_OK);
    assert_int_equal(wm_keyring_verify(ring, wm_view_of(fingerprint), WM_LIT("a text"), wm_view_of(signature), NULL),
                     WM_OK);
    wm_keyring_free(ring);
}

static size_t listed(const struct scratch *s)
{
    struct wm_keyring *ring;
    assert_int_equal(wm_keyring_open(&wm_io_posix, scratch_path(s, "keys/public-keys.json"), &ring, NULL), WM_OK);
    size_t n = wm_keyring_count(ring);
    wm_keyring_free(ring);
    return n;
}

static void token_makes_keys_that_do_not_leave_it(void **state)
{
    NEED_TOKEN();
    struct scratch *s = *state;
    struct told told = {0};
    char fingerprint[WM_FINGERPRINT_BYTES], again[WM_FINGERPRINT_BYTES];
    struct wm_signer *signer = open_signer(s, &told);
    key_for(signer, 0, fingerprint);
    sign_and_verify(s, signer, fingerprint);
    wm_signer_close(signer);
    run("test \"$(ls %s)\" = public-keys.json", scratch_path(s, "keys"));

    struct direct d = direct_open();
    ck_object_handle_t objects[32];
    assert_int_equal(direct_objects(&d, CKO_PRIVATE_KEY, objects), 1);
    assert_true(direct_flag(&d, objects[0], CKA_SENSITIVE));
    assert_true(direct_flag(&d, objects[0], CKA_SIGN));
    assert_false(direct_flag(&d, objects[0], CKA_EXTRACTABLE));
    assert_false(direct_flag(&d, objects[0], CKA_DECRYPT));
    assert_false(direct_flag(&d, objects[0], CKA_UNWRAP));
    direct_close(&d);

    signer = open_signer(s, &told);
    key_for(signer, 1, again);
    assert_string_equal(again, fingerprint);
    sign_and_verify(s, signer, fingerprint);
    wm_signer_close(signer);
    assert_int_equal(told.n, 3);
    assert_string_equal(told.names[0], "CreateSigningKey");
    assert_string_equal(told.names[1], "UseSigningKey");
    assert_string_equal(told.names[2], "UseSigningKey");
}

static void token_keys_rotate_and_end(void **state)
{
    NEED_TOKEN();
    struct scratch *s = *state;
    struct told told = {0};
    char first[WM_FINGERPRINT_BYTES], second[WM_FINGERPRINT_BYTES];
    struct wm_signer *signer = open_signer(s, &told);
    key_for(signer, 0, first);
    key_for(signer, 20, second);
    assert_string_not_equal(second, first);
    sign_and_verify(s, signer, first);
    key_for(signer, 31, second);
    wm_signer_close(signer);
    struct direct d = direct_open();
    ck_object_handle_t objects[32];
    assert_int_equal(direct_objects(&d, CKO_PRIVATE_KEY, objects), 1);
    assert_int_equal(direct_objects(&d, CKO_PUBLIC_KEY, objects), 1);
    direct_close(&d);
    assert_int_equal(listed(s), 2);
    assert_string_equal(told.names[told.n - 1], "DestroySigningKey");
}

/* A token that lets no program make keys: somebody makes one of our label, and it is taken up when its time comes. */
static void token_keys_of_our_label_are_taken_up(void **state)
{
    NEED_TOKEN();
    struct scratch *s = *state;
    struct told told = {0};
    struct wm_err err;
    char first[WM_FINGERPRINT_BYTES], second[WM_FINGERPRINT_BYTES];
    struct direct d = direct_open();
    direct_generate(&d, "somebody's", 2048);
    direct_generate(&d, "waymark", 2048);
    struct wm_signer *signer = open_signer(s, &told);
    assert_int_equal(wm_signer_key_for(signer, wm_clock_wall(&wm_clock_system), first, NULL), WM_OK);
    assert_int_equal(listed(s), 1);
    sign_and_verify(s, signer, first);
    direct_generate(&d, "waymark", 2048);
    struct wm_wall_ns later = {wm_clock_wall(&wm_clock_system).ns + 20 * DAY_NS};
    assert_int_equal(wm_signer_key_for(signer, later, second, NULL), WM_OK);
    assert_string_not_equal(second, first);
    assert_int_equal(listed(s), 2);
    assert_int_equal(told.n, 3);
    assert_string_equal(told.names[0], "AdoptSigningKey");
    assert_string_equal(told.names[2], "AdoptSigningKey");
    wm_signer_close(signer);

    direct_generate(&d, "waymark", 1024);
    assert_int_equal(open_uri(s, URI, MODULE, PIN, NULL, &signer, &err), WM_E_INVALID);
    assert_non_null(strstr(err.message, "1024 bits"));
    assert_int_equal(open_uri(s, URI ";object=mine", MODULE, PIN, NULL, &signer, &err), WM_OK); /* another label */
    wm_signer_close(signer);
    direct_close(&d);
}

static void token_that_went_and_came_is_used_again(void **state)
{
    NEED_TOKEN();
    struct scratch *s = *state;
    struct wm_err err;
    char fingerprint[WM_FINGERPRINT_BYTES], signature[WM_SIGNATURE_HEX_BYTES];
    struct wm_signer *signer = open_signer(s, NULL);
    key_for(signer, 0, fingerprint);
    direct_end_all_sessions();
    sign_and_verify(s, signer, fingerprint); /* a session that has ended is not even noticed */

    direct_end_all_sessions();
    assert_int_equal(rename(scratch_path(s, "tokens"), scratch_path(s, "away")), 0);
    assert_int_equal(mkdir(scratch_path(s, "tokens"), 0700), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(wm_signer_sign(signer, fingerprint, WM_LIT("x"), signature, &err), WM_E_UNAVAILABLE);
        assert_non_null(strstr(err.message, "no token"));
    }
    assert_int_equal(rmdir(scratch_path(s, "tokens")), 0);
    assert_int_equal(rename(scratch_path(s, "away"), scratch_path(s, "tokens")), 0);
    sign_and_verify(s, signer, fingerprint);
    key_for(signer, 20, fingerprint);
    sign_and_verify(s, signer, fingerprint);
    wm_signer_close(signer);
}

/* Tokens lock after a few wrong PINs: one is tried once. */
static void token_pin_is_not_tried_twice(void **state)
{
    NEED_TOKEN();
    struct scratch *s = *state;
    struct wm_err err;
    char fingerprint[WM_FINGERPRINT_BYTES], signature[WM_SIGNATURE_HEX_BYTES];
    struct wm_signer *signer = NULL;
    assert_int_equal(open_uri(s, URI, MODULE, "999999", NULL, &signer, &err), WM_E_DENIED);
    assert_non_null(strstr(err.message, "refuses the PIN"));
    assert_null(strstr(err.message, "999999"));
    assert_int_equal(open_uri(s, URI, MODULE, "", NULL, &signer, &err), WM_E_DENIED);
    assert_non_null(strstr(err.message, "none is given"));

    signer = open_signer(s, NULL);
    key_for(signer, 0, fingerprint);
    direct_end_all_sessions(); /* and when it comes back, it has another PIN */
    assert_int_equal(rename(scratch_path(s, "tokens"), scratch_path(s, "away")), 0);
    assert_int_equal(mkdir(scratch_path(s, "tokens"), 0700), 0);
    init_token("audit", "222222");
    assert_int_equal(wm_signer_sign(signer, fingerprint, WM_LIT("x"), signature, &err), WM_E_DENIED);
    assert_non_null(strstr(err.message, "refuses the PIN"));
    assert_int_equal(wm_signer_sign(signer, fingerprint, WM_LIT("x"), signature, &err), WM_E_DENIED);
    assert_non_null(strstr(err.message, "next start only"));
    wm_signer_close(signer);
}

/* Whose keys were in files before: those sign no more. */
static void token_takes_over_from_files(void **state)
{
    NEED_TOKEN();
    struct scratch *s = *state;
    struct told told = {0};
    char before[WM_FINGERPRINT_BYTES], after[WM_FINGERPRINT_BYTES];
    struct wm_signer *signer = NULL;
    assert_int_equal(open_uri(s, "", "", "", NULL, &signer, NULL), WM_OK); /* no token: files */
    key_for(signer, 0, before);
    wm_signer_close(signer);
    signer = open_signer(s, &told);
    key_for(signer, 0, after);
    assert_string_not_equal(after, before);
    sign_and_verify(s, signer, after);
    wm_signer_close(signer);
    run("test \"$(ls %s)\" = public-keys.json", scratch_path(s, "keys"));
    assert_int_equal(listed(s), 2);
    assert_string_equal(told.names[0], "CreateSigningKey");
    assert_string_equal(told.names[1], "DestroySigningKey");
}

static void token_that_does_not_hash_signs_too(void **state)
{
    NEED_TOKEN();
    struct scratch *s = *state;
    char fingerprint[WM_FINGERPRINT_BYTES];
    configure(s, "slots.mechanisms = -CKM_SHA256_RSA_PKCS\n");
    struct wm_signer *signer = open_signer(s, NULL);
    key_for(signer, 0, fingerprint);
    sign_and_verify(s, signer, fingerprint);
    wm_signer_close(signer);
}

static void token_settings_that_are_refused(void **state)
{
    NEED_TOKEN();
    struct scratch *s = *state;
    static const struct {
        const char *uri, *module;
        enum wm_status status;
        const char *text;
    } cases[] = {
        {"pkcs11:token=audit", "/nonexistent.so", WM_E_UNAVAILABLE, "/nonexistent.so is not a PKCS#11 module"},
        {"pkcs11:token=nobody", MODULE, WM_E_UNAVAILABLE, "no token"},
        {"pkcs11:model=SoftHSM%20v2", MODULE, WM_E_INVALID, "names 2 tokens"},
        {"pkcs11:token=audit?pin-value=1", MODULE, WM_E_INVALID, "keys.token_pin_file"},
        {"pkcs11:token=audit?pin-source=/x", MODULE, WM_E_INVALID, "keys.token_pin_file"},
        {"pkcs11:token=audit;id=%01", MODULE, WM_E_INVALID, "object="},
        {"pkcs11:token=audit;object=", MODULE, WM_E_INVALID, "a label"},
        {"pkcs11:token=audit;colour=red", MODULE, WM_E_INVALID, "found others"},
        {"pkcs11:token=%zz", MODULE, WM_E_INVALID, "keys.token: "},
        {"token=audit", MODULE, WM_E_INVALID, "keys.token: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wm_signer *signer = NULL;
        struct wm_err err = {0};
        enum wm_status status = open_uri(s, cases[i].uri, cases[i].module, PIN, NULL, &signer, &err);
        if (status != cases[i].status || !strstr(err.message, cases[i].text))
            fail_msg("%s: %s %s", cases[i].uri, wm_status_name(status), err.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(token_makes_keys_that_do_not_leave_it, setup, teardown),
        cmocka_unit_test_setup_teardown(token_keys_rotate_and_end, setup, teardown),
        cmocka_unit_test_setup_teardown(token_keys_of_our_label_are_taken_up, setup, teardown),
        cmocka_unit_test_setup_teardown(token_that_went_and_came_is_used_again, setup, teardown),
        cmocka_unit_test_setup_teardown(token_pin_is_not_tried_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(token_takes_over_from_files, setup, teardown),
        cmocka_unit_test_setup_teardown(token_that_does_not_hash_signs_too, setup, teardown),
        cmocka_unit_test_setup_teardown(token_settings_that_are_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
