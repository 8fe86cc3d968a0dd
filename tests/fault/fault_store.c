/*
 * Allocation 1, 2, 3 … n fails, once, and from then on, until a run passes unhit: through making an S3 store, assuming a
 * role for it, put, get and list. Each call gives the right answer or says that memory is short, and the next one works;
 * ASan's run sees to leaks. libcurl's and OpenSSL's own allocations do not fail here.
 */
#include "tests/support/fault_malloc.h"

#include "tests/support/http_script.h"
#include "tests/support/scratch.h"
#include "waymark/hash.h"
#include "waymark/store.h"

#define CLOSE "Connection: close\r\n\r\n"
#define ROLE "arn:aws:iam::123456789012:role/trail"

static atomic_bool stored;

/* As S3 and STS would: nothing there before the first PUT, 412 for each further one. */
static const struct http_step *answer(const struct http_seen *seen)
{
    static const struct http_step assumed = {HTTP_CUT, "HTTP/1.1 200 OK\r\n" CLOSE
        "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>AK</AccessKeyId><SecretAccessKey>SK"
        "</SecretAccessKey><SessionToken>T</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>"
        "</AssumeRoleResult></AssumeRoleResponse>"};
    static const struct http_step there = {HTTP_CUT, "HTTP/1.1 412 Precondition Failed\r\n" CLOSE
        "<Error><Code>PreconditionFailed</Code><Message>x</Message></Error>"};
    static const struct http_step absent = {HTTP_ANSWER, "HTTP/1.1 404 Not Found\r\n\r\n"};
    static const struct http_step ok = {HTTP_ANSWER, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"};
    static const struct http_step object = {HTTP_ANSWER, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        "X-Amz-Meta-Signature: ab\r\nContent-Length: 4\r\n\r\nbody"};
    static const struct http_step listing = {HTTP_CUT, "HTTP/1.1 200 OK\r\n" CLOSE
        "<ListBucketResult><Contents><Key>a</Key><LastModified>2026-03-01T10:07:12.000Z</LastModified><Size>4</Size>"
        "</Contents></ListBucketResult>"};
    if (strncmp(seen->head, "POST", 4) == 0)
        return &assumed;
    if (strncmp(seen->head, "PUT", 3) == 0)
        return atomic_exchange(&stored, true) ? &there : &ok;
    if (strncmp(seen->head, "HEAD", 4) == 0)
        return atomic_load(&stored) ? &ok : &absent;
    return strstr(seen->head, "list-type=2") ? &listing : &object;
}

static enum wm_status count(void *arg, const struct wm_store_object *o)
{
    (void)o;
    ++*(unsigned *)arg;
    return WM_OK;
}

static enum wm_status work(struct wm_store *store, struct wm_err *err)
{
    static const struct wm_store_header headers[] = {{{"x-amz-meta-signature", 20}, {"ab", 2}}};
    struct wm_store_header got[WM_STORE_MAX_HEADERS];
    size_t n_got = 0;
    unsigned listed = 0;
    struct wm_buf body;
    struct wm_arena a;
    wm_buf_init(&body, 4096);
    wm_arena_init(&a, 65536);
    enum wm_status status = wm_store_put(store, WM_LIT("a"), WM_LIT("body"), WM_EMPTY, headers, 1, err);
    if (status == WM_OK)
        status = wm_store_put(store, WM_LIT("a"), WM_LIT("body"), WM_EMPTY, headers, 1, err); /* looks at what is there */
    if (status == WM_OK)
        status = wm_store_get(store, WM_LIT("a"), &body, &a, got, &n_got, err);
    if (status == WM_OK) {
        assert_true(wm_view_eq_str(wm_buf_view(&body), "body"));
        assert_int_equal(n_got, 3);
        status = wm_store_list(store, WM_EMPTY, count, &listed, err);
    }
    if (status == WM_OK)
        assert_int_equal(listed, 1);
    wm_buf_done(&body);
    wm_arena_done(&a);
    return status;
}

static enum wm_status open_store(const struct http_script *script, const char *login, struct wm_store **out,
                                 struct wm_store **out_second, struct wm_err *err)
{
    const struct wm_store_s3_options o = {
        .bucket = WM_LIT("evidence"),
        .endpoint = wm_view_of(http_script_url(script)),
        .credentials = {.file = wm_view_of(login), .role_arn = WM_LIT(ROLE),
                        .sts_endpoint = wm_view_of(http_script_url(script))},
        .tags = WM_LIT("a=b"),
        .object_lock = WM_LIT("GOVERNANCE"),
        .object_lock_days = 1,
        .clock = &wm_clock_system,
    };
    enum wm_status status = wm_store_s3_new(&o, out, err);
    return status == WM_OK ? wm_store_s3_share(*out, out_second, err) : status;
}

static bool run(unsigned n, bool from_then_on, const char *login)
{
    struct http_script script;
    struct wm_store *store = NULL, *second = NULL;
    struct wm_err err = {0};
    atomic_store(&stored, false);
    http_script_start(&script, NULL, 0);
    script.choose = answer;
    arm(n, from_then_on);
    enum wm_status status = open_store(&script, login, &store, &second, &err);
    if (status == WM_OK)
        status = work(store, &err);
    bool was_hit = disarm(from_then_on ? "from then on" : "once");
    if (status != WM_OK) {
        if (!was_hit || status != WM_E_NOMEM || err.status != WM_E_NOMEM || !err.message[0])
            fail_msg("allocation %u: %s: %s", n, wm_status_name(status), err.message);
        if (second && work(store, &err) != WM_OK) /* with memory again, the same store works */
            fail_msg("after allocation %u: %s", n, err.message);
    }
    wm_store_free(store);
    wm_store_free(second);
    http_script_stop(&script);
    return was_hit;
}

static void store_says_when_memory_is_short(void **state)
{
    (void)state;
    struct scratch s;
    scratch_make(&s);
    const char *login = scratch_path(&s, "login");
    assert_int_equal(wm_io_replace_file(&wm_io_posix, login,
                                        WM_LIT("[default]\naws_access_key_id=A\naws_secret_access_key=S\n"), 0600, NULL),
                     WM_OK);
    one_thread = true;
    the_thread = pthread_self();
    assert_int_equal(wm_hash_thread_init(), WM_OK); /* what it may abort for is made beforehand (hash.h) */
    for (int from_then_on = 0; from_then_on < 2; from_then_on++)
        for (unsigned n = 1; run(n, from_then_on, login); n++)
            assert_true(n < 1000);
    scratch_remove(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(store_says_when_memory_is_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
