/* Session tokens: what goes in comes out, nothing else is taken, and how much goes in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "server/session_token.h"
#include "waymark/bounds.h"
#include "waymark/hash.h"
#include "waymark/seal.h"

#define ACCOUNT WM_LIT("111122223333")
static const uint8_t master_key[32] = "a key for tests, 32 bytes long.";
static const uint8_t other_key[32] = "another one, also 32 bytes long";

static struct wm_arena arena;
static struct wm_buf token;

static int set_up(void **state)
{
    (void)state;
    wm_arena_init(&arena, WM_MAX_ARENA_BYTES);
    wm_buf_init(&token, WM_MAX_SESSION_TOKEN_BYTES);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    wm_arena_done(&arena);
    wm_buf_done(&token);
    return 0;
}

static const struct wm_view arns[] = {{"arn:aws:iam::aws:policy/ReadOnlyAccess", 38}, {"arn:aws:iam::111122223333:policy/p", 34}};
static const struct wm_principal_tag tags[] = {{{"team", 4}, {"sport", 5}, true}, {{"empty", 5}, {"", 0}, false}};

static struct wm_session a_session(void)
{
    return (struct wm_session){
        .kind = WM_SESSION_ROLE,
        .access_key_id = WM_LIT("ASIAEXAMPLEEXAMPLEEX"),
        .seed = WM_LIT("00112233445566778899aabbccddeeff"),
        .unique_id = WM_LIT("AROAEXAMPLEEXAMPLEEXA"),
        .name = WM_LIT("Deploy"),
        .session_name = WM_LIT("run-7"),
        .source_identity = WM_LIT("lena"),
        .created = {1772359120000000000},
        .expires = {1772362720000000000},
        .policy = WM_LIT("{\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"}}"),
        .policy_arns = arns,
        .n_policy_arns = 2,
        .tags = tags,
        .n_tags = 2,
    };
}

static void make(const struct wm_session *s)
{
    wm_buf_clear(&token);
    assert_int_equal(wm_session_token_make(master_key, ACCOUNT, s, &token), WM_OK);
}

static enum wm_status read_token(struct wm_view text, struct wm_session *out)
{
    wm_arena_clear(&arena);
    return wm_session_token_read(master_key, ACCOUNT, text, &arena, out);
}

static void check_text(struct wm_view got, struct wm_view want)
{
    assert_int_equal(got.len, want.len);
    assert_true(wm_view_eq(got, want));
}

static void check_same(const struct wm_session *got, const struct wm_session *want)
{
    assert_int_equal(got->kind, want->kind);
    check_text(got->access_key_id, want->access_key_id);
    check_text(got->seed, want->seed);
    check_text(got->unique_id, want->unique_id);
    check_text(got->name, want->name);
    check_text(got->session_name, want->session_name);
    check_text(got->source_identity, want->source_identity);
    assert_true(got->created.ns == want->created.ns && got->expires.ns == want->expires.ns);
    assert_true(got->mfa == want->mfa);
    check_text(got->policy, want->policy);
    assert_int_equal(got->n_policy_arns, want->n_policy_arns);
    for (size_t i = 0; i < want->n_policy_arns; i++)
        check_text(got->policy_arns[i], want->policy_arns[i]);
    assert_int_equal(got->n_tags, want->n_tags);
    for (size_t i = 0; i < want->n_tags; i++) {
        check_text(got->tags[i].key, want->tags[i].key);
        check_text(got->tags[i].value, want->tags[i].value);
        assert_true(got->tags[i].transitive == want->tags[i].transitive);
    }
}

static void a_session_comes_back_as_it_was(void **state)
{
    (void)state;
    struct wm_session s = a_session(), got;
    make(&s);
    assert_int_equal(read_token(wm_buf_view(&token), &got), WM_OK);
    check_same(&got, &s);
    s = (struct wm_session){
        .kind = WM_SESSION_ROOT,
        .access_key_id = WM_LIT("ASIAEXAMPLEEXAMPLEEX"),
        .seed = WM_LIT("ffffffffffffffffffffffffffffffff"),
        .unique_id = ACCOUNT,
        .created = {0},
        .expires = {900000000000},
        .mfa = true,
    };
    make(&s);
    assert_int_equal(read_token(wm_buf_view(&token), &got), WM_OK);
    check_same(&got, &s);
}

/* Base64 has 6 bits a character: each of them, in each place. */
static void no_changed_token_is_taken(void **state)
{
    (void)state;
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct wm_session s = a_session(), got;
    s.n_tags = s.n_policy_arns = 0;
    s.policy = WM_EMPTY;
    make(&s);
    for (size_t i = 0; i < token.len; i++) {
        char right = token.data[i];
        const char *at = strchr(alphabet, right);
        for (int bit = 0; bit < 6; bit++) {
            if (!at)
                continue;
            token.data[i] = alphabet[(at - alphabet) ^ (1 << bit)];
            assert_int_equal(read_token(wm_buf_view(&token), &got), WM_E_INVALID);
        }
        static const char odd[] = {'=', '-', '_', ' ', '\0', '\xff', '%'};
        for (size_t k = 0; k < sizeof odd; k++) {
            token.data[i] = odd[k];
            if (odd[k] != right)
                assert_int_equal(read_token(wm_buf_view(&token), &got), WM_E_INVALID);
        }
        token.data[i] = right;
    }
    for (size_t len = 0; len < token.len; len++)
        assert_int_equal(read_token((struct wm_view){token.data, len}, &got), WM_E_INVALID);
    wm_buf_add_str(&token, "AAAA");
    assert_int_equal(read_token(wm_buf_view(&token), &got), WM_E_INVALID);
}

static void a_foreign_token_is_not_taken(void **state)
{
    (void)state;
    struct wm_session s = a_session(), got;
    make(&s);
    wm_arena_clear(&arena);
    assert_int_equal(wm_session_token_read(other_key, ACCOUNT, wm_buf_view(&token), &arena, &got), WM_E_INVALID);
    assert_int_equal(wm_session_token_read(master_key, WM_LIT("444455556666"), wm_buf_view(&token), &arena, &got),
                     WM_E_INVALID);
    assert_int_equal(read_token(WM_LIT("FwoGZXIvYXdzEBYaDExample"), &got), WM_E_INVALID);
    char *large = calloc(1, WM_MAX_SESSION_TOKEN_BYTES + 4);
    assert_non_null(large);
    memset(large, 'A', WM_MAX_SESSION_TOKEN_BYTES + 4);
    assert_int_equal(read_token((struct wm_view){large, WM_MAX_SESSION_TOKEN_BYTES + 4}, &got), WM_E_INVALID);
    free(large);
}

/* What we sealed but cannot read, as a newer version might: refused, and nothing is read past its end. */
static void a_sealed_text_that_is_no_session_is_not_taken(void **state)
{
    (void)state;
    struct wm_buf sealed, packed;
    struct wm_session s = a_session(), got;
    wm_buf_init(&sealed, 4096);
    wm_buf_init(&packed, 4096);
    make(&s);
    assert_int_equal(wm_base64_decode(wm_buf_view(&token), &sealed), WM_OK);
    assert_int_equal(wm_unseal(master_key, "session-token", ACCOUNT, wm_buf_view(&sealed), &packed), WM_OK);
    for (size_t len = 0; len <= packed.len + 1; len++) {
        if (len == packed.len)
            continue;
        struct wm_view cut = {packed.data, len};
        char longer[2048];
        if (len > packed.len) {
            memcpy(longer, packed.data, packed.len);
            longer[packed.len] = 0;
            cut.ptr = longer;
        }
        wm_buf_clear(&sealed);
        wm_buf_clear(&token);
        assert_int_equal(wm_seal(master_key, "session-token", ACCOUNT, cut, &sealed), WM_OK);
        wm_base64(&token, sealed.data, sealed.len);
        assert_int_equal(read_token(wm_buf_view(&token), &got), WM_E_INVALID);
    }
    static const struct {
        size_t at, n; /* so many bytes */
        char value;
    } wrong[] = {{0, 1, 0}, {0, 1, 2}, {1, 1, 0}, {1, 1, 4}, {2, 1, 2}, {10, 1, 0x7f}, {11, 4, 0}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char right[4];
        memcpy(right, packed.data + wrong[i].at, wrong[i].n);
        memset(packed.data + wrong[i].at, wrong[i].value, wrong[i].n);
        wm_buf_clear(&sealed);
        wm_buf_clear(&token);
        assert_int_equal(wm_seal(master_key, "session-token", ACCOUNT, wm_buf_view(&packed), &sealed), WM_OK);
        wm_base64(&token, sealed.data, sealed.len);
        assert_int_equal(read_token(wm_buf_view(&token), &got), WM_E_INVALID);
        memcpy(packed.data + wrong[i].at, right, wrong[i].n);
    }
    wm_buf_done(&sealed);
    wm_buf_done(&packed);
}

static void the_largest_session_has_its_place(void **state)
{
    (void)state;
    static char text[WM_MAX_SESSION_PACKED_BYTES], name[64];
    struct wm_session s = a_session(), got;
    memset(text, 'p', sizeof text);
    memset(name, 'n', sizeof name);
    s.name = s.session_name = s.source_identity = (struct wm_view){name, sizeof name};
    s.n_tags = s.n_policy_arns = 0;
    s.policy = (struct wm_view){text, sizeof text - 4};
    assert_int_equal(wm_session_packed_bytes(&s), WM_MAX_SESSION_PACKED_BYTES);
    make(&s);
    assert_true(token.len <= WM_MAX_SESSION_TOKEN_BYTES);
    assert_int_equal(read_token(wm_buf_view(&token), &got), WM_OK);
    check_same(&got, &s);
    s.policy.len++;
    wm_buf_clear(&token);
    assert_int_equal(wm_session_token_make(master_key, ACCOUNT, &s, &token), WM_E_LIMIT);
    assert_int_equal(token.len, 0);
}

static void too_little_memory_is_told(void **state)
{
    (void)state;
    struct wm_session s = a_session(), got;
    make(&s);
    size_t failed = 0, worked = 0;
    for (size_t left = 0; left < 65536 - 4096; left += 128) {
        struct wm_arena small;
        wm_arena_init(&small, 65536);
        assert_non_null(wm_arena_alloc(&small, 65536 - 32 - left));
        enum wm_status status = wm_session_token_read(master_key, ACCOUNT, wm_buf_view(&token), &small, &got);
        if (status == WM_OK)
            worked++;
        else {
            assert_int_equal(status, WM_E_NOMEM);
            failed++;
        }
        wm_arena_done(&small);
    }
    assert_true(failed > 0 && worked > 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_session_comes_back_as_it_was),
        TEST(no_changed_token_is_taken),
        TEST(a_foreign_token_is_not_taken),
        TEST(a_sealed_text_that_is_no_session_is_not_taken),
        TEST(the_largest_session_has_its_place),
        TEST(too_little_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
