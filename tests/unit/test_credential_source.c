/* Where the login comes from, that it is renewed in time, and what is told when there is none. */
#include "tests/support/s3_rig.h"

#include "tests/support/scratch.h"

#include "waymark/banned.h"

#define ANSWER(body) "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" body
#define LOGIN_EXPIRING(key, expiration)                                                                     \
    ANSWER("{\"AccessKeyId\":\"" key "\",\"SecretAccessKey\":\"secret-of-" key "\",\"Token\":\"token-of-" key \
           "\",\"Expiration\":\"" expiration "\"}")
#define ASSUMED(key, expiration)                                                                                      \
    ANSWER("<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>" \
           "<AccessKeyId>" key "</AccessKeyId><SecretAccessKey>secret-of-" key "</SecretAccessKey><SessionToken>"     \
           "token-of-" key "</SessionToken><Expiration>" expiration "</Expiration></Credentials></AssumeRoleResult>"  \
           "</AssumeRoleResponse>")
#define STS_ERROR(status, extra, code, message)                                                            \
    "HTTP/1.1 " status "\r\nConnection: close\r\n" extra "\r\n<ErrorResponse><Error><Type>Sender</Type>" \
    "<Code>" code "</Code><Message>" message "</Message></Error></ErrorResponse>"
#define EXPIRED S3_ERROR("400 Bad Request", "", "ExpiredToken", "The provided token has expired.")
#define DENIED S3_ERROR("403 Forbidden", "", "AccessDenied", "Access Denied")
#define NOON "Date: Sun, 01 Mar 2026 12:00:00 GMT\r\n"
#define ROLE "arn:aws:iam::123456789012:role/trail"

/* Was request i of the store signed by this key, with its token? */
static void assert_login(const struct rig *r, size_t i, const char *key)
{
    char text[64];
    assert_true(i < r->script.n_seen);
    (void)snprintf(text, sizeof text, "Credential=%s/", key);
    if (!strstr(http_header(r->script.seen[i].head, "authorization"), text))
        fail_msg("request %zu is not by %s:\n%s", i, key, r->script.seen[i].head);
    (void)snprintf(text, sizeof text, "token-of-%s", key);
    assert_string_equal(http_header(r->script.seen[i].head, "x-amz-security-token"), text);
    (void)snprintf(text, sizeof text, "secret-of-%s", key);
    assert_signed(r, i, text);
}

static void at(struct rig *r, const char *time)
{
    assert_int_equal(wm_time_parse(wm_view_of(time), &r->now), WM_OK);
}

static void assert_no_secret(const struct wm_err *err)
{
    assert_true(err->message[0] != '\0');
    assert_null(strstr(err->message, "secret-of-"));
    assert_null(strstr(err->message, "token-of-"));
    assert_null(strstr(err->message, "the-token"));
}

static const struct http_step good[] = {{HTTP_ANSWER, OK_EMPTY}, {HTTP_ANSWER, OK_EMPTY}, {HTTP_ANSWER, OK_EMPTY},
                                        {HTTP_ANSWER, OK_EMPTY}, {HTTP_ANSWER, OK_EMPTY}, {HTTP_ANSWER, OK_EMPTY}};

/* "http://127.0.0.1:PORT/creds" */
static struct wm_view container_uri(const struct http_script *s)
{
    static char uri[64];
    (void)snprintf(uri, sizeof uri, "%s/creds?a=b", http_script_url(s));
    return wm_view_of(uri);
}

static void container_credentials_are_renewed_before_they_expire(void **state)
{
    (void)state;
    struct http_script endpoint;
    struct rig r;
    struct wm_err err;
    http_script_start(&endpoint, STEPS({HTTP_CUT, LOGIN_EXPIRING("AONE", "2026-03-01T11:07:12Z")},
                                       {HTTP_CUT, LOGIN_EXPIRING("ATWO", "2026-03-01T12:07:12.000Z")},
                                       {HTTP_CUT, "HTTP/1.1 500 Oops\r\n\r\n"},
                                       {HTTP_CUT, "HTTP/1.1 500 Oops\r\n\r\n"},
                                       {HTTP_CUT, LOGIN_EXPIRING("ATHREE", "2026-03-01T14:07:12Z")}));
    struct wm_store_s3_options o = {.credentials = {.container_uri = container_uri(&endpoint),
                                                    .container_token = WM_LIT("the-token ")}};
    rig_start_with(&r, o, good, 6);
    assert_int_equal(put(&r, &err), WM_OK);
    assert_string_equal(http_header(endpoint.seen[0].head, "authorization"), "the-token");
    assert_non_null(strstr(endpoint.seen[0].head, "GET /creds?a=b HTTP/1.1\r\n"));
    assert_login(&r, 0, "AONE");
    at(&r, "2026-03-01T11:02:11Z");
    assert_int_equal(put(&r, &err), WM_OK);
    assert_login(&r, 1, "AONE");
    assert_int_equal(endpoint.n_seen, 1);
    at(&r, "2026-03-01T11:02:12Z"); /* five minutes before */
    assert_int_equal(put(&r, &err), WM_OK);
    assert_login(&r, 2, "ATWO");
    /* the endpoint is away: the old ones are good, and it is not asked with every upload */
    at(&r, "2026-03-01T12:05:00Z");
    assert_int_equal(put(&r, &err), WM_OK);
    assert_int_equal(put(&r, &err), WM_OK);
    assert_login(&r, 4, "ATWO");
    assert_int_equal(endpoint.n_seen, 3);
    /* refused by the store, it is asked at once; of a generation that is gone already, it is not */
    struct wm_credential_source *source = wm_store_s3_of(r.store)->core->credentials;
    assert_true(wm_credential_source_renew(source, 0, true, &r.store->cancelled));
    assert_int_equal(endpoint.n_seen, 3);
    assert_false(wm_credential_source_renew(source, 2, true, &r.store->cancelled));
    assert_int_equal(endpoint.n_seen, 4);
    assert_true(wm_credential_source_renew(source, 2, true, &r.store->cancelled));
    assert_int_equal(put(&r, &err), WM_OK);
    assert_login(&r, 5, "ATHREE");
    rig_stop(&r);
    http_script_stop(&endpoint);
}

static void a_short_life_is_renewed_after_three_quarters(void **state)
{
    (void)state;
    struct http_script endpoint;
    struct rig r;
    struct wm_err err;
    http_script_start(&endpoint, STEPS({HTTP_CUT, LOGIN_EXPIRING("AONE", "2026-03-01T10:08:52Z")}, /* 100 s */
                                       {HTTP_CUT, LOGIN_EXPIRING("ATWO", "2026-03-01T10:09:00Z")},
                                       {HTTP_CUT, LOGIN_EXPIRING("ALATE", "2026-03-01T10:00:00Z")}));
    struct wm_store_s3_options o = {.credentials = {.container_uri = container_uri(&endpoint)}};
    rig_start_with(&r, o, good, 6);
    assert_int_equal(put(&r, &err), WM_OK);
    assert_string_equal(http_header(endpoint.seen[0].head, "authorization"), ""); /* no token was given */
    at(&r, "2026-03-01T10:08:26Z");
    assert_int_equal(put(&r, &err), WM_OK);
    assert_int_equal(endpoint.n_seen, 1);
    at(&r, "2026-03-01T10:08:27Z");
    assert_int_equal(put(&r, &err), WM_OK);
    assert_login(&r, 2, "ATWO");
    /* over on arrival, by our clock: that may be wrong, so they are used, and not asked for again with every upload */
    at(&r, "2026-03-01T10:08:59Z");
    assert_int_equal(put(&r, &err), WM_OK);
    assert_int_equal(put(&r, &err), WM_OK);
    assert_login(&r, 4, "ALATE");
    assert_int_equal(endpoint.n_seen, 3);
    rig_stop(&r);
    http_script_stop(&endpoint);
}

static void a_container_token_is_read_from_its_file_each_time(void **state)
{
    (void)state;
    struct scratch s;
    struct http_script endpoint;
    struct rig r;
    struct wm_err err;
    scratch_make(&s);
    http_script_start(&endpoint, STEPS({HTTP_CUT, LOGIN_EXPIRING("AONE", "2026-03-01T11:07:12Z")},
                                       {HTTP_CUT, LOGIN_EXPIRING("ATWO", "2026-03-01T12:07:12Z")}));
    struct wm_store_s3_options o = {
        .credentials = {.container_uri = container_uri(&endpoint), .container_token = WM_LIT("not this one"),
                        .container_token_file = wm_view_of(scratch_path(&s, "token"))}};
    rig_start_with(&r, o, STEPS({HTTP_CUT, EXPIRED}, {HTTP_ANSWER, OK_EMPTY}));
    assert_int_equal(put(&r, &err), WM_E_DENIED);
    assert_string_equal(err.code, "CredentialsNotFound");
    assert_non_null(strstr(err.message, scratch_path(&s, "token")));
    assert_int_equal(wm_io_replace_file(&wm_io_posix, scratch_path(&s, "token"), WM_LIT("first\n"), 0600, NULL), WM_OK);
    struct wm_credentials c;
    uint64_t generation;
    struct wm_credential_source *source = wm_store_s3_of(r.store)->core->credentials;
    assert_int_equal(wm_credential_source_get(source, &r.store->cancelled, &c, &generation, &err), WM_OK);
    assert_string_equal(c.access_key_id, "AONE");
    assert_int_equal(wm_io_replace_file(&wm_io_posix, scratch_path(&s, "token"), WM_LIT("second"), 0600, NULL), WM_OK);
    /* refused as expired: asked for again at once, and the same body signed anew */
    assert_int_equal(put(&r, &err), WM_OK);
    assert_string_equal(http_header(endpoint.seen[0].head, "authorization"), "first");
    assert_string_equal(http_header(endpoint.seen[1].head, "authorization"), "second");
    assert_login(&r, 0, "AONE");
    assert_login(&r, 1, "ATWO");
    assert_string_equal(r.script.seen[1].body, "body");
    rig_stop(&r);
    http_script_stop(&endpoint);
    scratch_remove(&s);
}

static void expired_credentials_are_renewed_once_a_call(void **state)
{
    (void)state;
    struct http_script endpoint;
    struct rig r;
    struct wm_err err;
    http_script_start(&endpoint, STEPS({HTTP_CUT, LOGIN_EXPIRING("AONE", "2026-03-01T11:07:12Z")},
                                       {HTTP_CUT, LOGIN_EXPIRING("ATWO", "2026-03-01T11:07:12Z")},
                                       {HTTP_CUT, LOGIN_EXPIRING("ATWO", "2026-03-01T11:07:12Z")}));
    struct wm_store_s3_options o = {.credentials = {.container_uri = container_uri(&endpoint)}};
    rig_start_with(&r, o, STEPS({HTTP_CUT, EXPIRED}, {HTTP_CUT, EXPIRED}, {HTTP_CUT, EXPIRED}, {HTTP_CUT, DENIED}));
    assert_int_equal(put(&r, &err), WM_E_DENIED);
    assert_string_equal(err.code, "ExpiredToken");
    assert_int_equal(r.script.n_seen, 2);
    assert_int_equal(endpoint.n_seen, 2);
    assert_login(&r, 1, "ATWO");
    assert_int_equal(put(&r, &err), WM_E_DENIED); /* the same again: no second attempt */
    assert_int_equal(r.script.n_seen, 3);
    assert_int_equal(endpoint.n_seen, 3);
    assert_int_equal(put(&r, &err), WM_E_DENIED); /* not about the login: the endpoint is left alone */
    assert_string_equal(err.code, "AccessDenied");
    assert_int_equal(endpoint.n_seen, 3);
    assert_no_secret(&err);
    rig_stop(&r);
    http_script_stop(&endpoint);
}

static void container_answers_that_are_none_are_told(void **state)
{
    (void)state;
    static const struct {
        struct http_step step;
        const char *told;
    } cases[] = {
        {{HTTP_CUT, "HTTP/1.1 403 Forbidden\r\n\r\n{\"message\":\"secret-of-A the-token\"}"}, ": 403"},
        {{HTTP_CUT, ANSWER("{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"secret-of-A\"")}, "no credentials"},
        {{HTTP_CUT, ANSWER("{\"AccessKeyId\":\"A\",\"Token\":\"token-of-A\"}")}, "no credentials"},
        {{HTTP_CUT, ANSWER("{\"SecretAccessKey\":\"secret-of-A\"}")}, "no credentials"},
        {{HTTP_CUT, LOGIN_EXPIRING("A", "tomorrow")}, "no credentials"},
        {{HTTP_CUT, ANSWER("[]")}, "no credentials"},
        {{HTTP_SWALLOW, NULL}, "Empty reply"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct http_script endpoint;
        struct rig r;
        struct wm_err err;
        http_script_start(&endpoint, &cases[i].step, 1);
        struct wm_store_s3_options o = {.credentials = {.container_uri = container_uri(&endpoint),
                                                        .container_token = WM_LIT("the-token")}};
        rig_start_with(&r, o, good, 6);
        assert_int_equal(put(&r, &err), WM_E_UNAVAILABLE);
        if (!strstr(err.message, cases[i].told) || !strstr(err.message, http_script_url(&endpoint)))
            fail_msg("case %zu: %s", i, err.message);
        assert_no_secret(&err);
        assert_int_equal(r.script.n_seen, 0);
        rig_stop(&r);
        http_script_stop(&endpoint);
    }
}

static void instance_credentials_take_three_steps(void **state)
{
    (void)state;
    struct http_script metadata;
    struct rig r;
    struct wm_err err;
    http_script_start(&metadata, STEPS({HTTP_CUT, ANSWER("meta-token\n")}, {HTTP_CUT, ANSWER("the role\n")},
                                       {HTTP_CUT, LOGIN_EXPIRING("AINST", "2026-03-01T16:07:12Z")}));
    struct wm_store_s3_options o = {.credentials = {.instance_endpoint = wm_view_of(http_script_url(&metadata))}};
    rig_start_with(&r, o, good, 6);
    assert_int_equal(put(&r, &err), WM_OK);
    assert_login(&r, 0, "AINST");
    assert_int_equal(metadata.n_seen, 3);
    assert_non_null(strstr(metadata.seen[0].head, "PUT /latest/api/token HTTP/1.1\r\n"));
    assert_string_equal(http_header(metadata.seen[0].head, "x-aws-ec2-metadata-token-ttl-seconds"), "300");
    assert_non_null(strstr(metadata.seen[1].head, "GET /latest/meta-data/iam/security-credentials/ HTTP/1.1\r\n"));
    assert_non_null(strstr(metadata.seen[2].head, "GET /latest/meta-data/iam/security-credentials/the%20role HTTP"));
    for (size_t i = 1; i < 3; i++)
        assert_string_equal(http_header(metadata.seen[i].head, "x-aws-ec2-metadata-token"), "meta-token");
    rig_stop(&r);
    http_script_stop(&metadata);
}

static void a_file_passes_on_to_the_instance(void **state)
{
    (void)state;
    struct scratch s;
    struct http_script metadata;
    struct rig r;
    struct wm_err err;
    scratch_make(&s);
    http_script_start(&metadata, STEPS({HTTP_CUT, "HTTP/1.1 404 Not Found\r\n\r\n"}, {HTTP_CUT, ANSWER("t")},
                                       {HTTP_CUT, ANSWER("role")},
                                       {HTTP_CUT, LOGIN_EXPIRING("AINST", "2026-03-01T16:07:12Z")}));
    struct wm_store_s3_options o = {.credentials = {.file = wm_view_of(scratch_path(&s, "credentials")),
                                                    .instance_endpoint = wm_view_of(http_script_url(&metadata))}};
    rig_start_with(&r, o, good, 6);
    /* neither: both are told */
    assert_int_equal(put(&r, &err), WM_E_DENIED);
    assert_string_equal(err.code, "CredentialsNotFound");
    assert_non_null(strstr(err.message, scratch_path(&s, "credentials")));
    assert_non_null(strstr(err.message, "/latest/api/token: 404"));
    assert_int_equal(put(&r, &err), WM_OK);
    assert_login(&r, 0, "AINST");
    /* a file that is there and not good is somebody's mistake, and not passed over */
    assert_int_equal(wm_io_replace_file(&wm_io_posix, scratch_path(&s, "credentials"), WM_LIT("[default"), 0600, NULL),
                     WM_OK);
    wm_store_free(r.store);
    o.endpoint = wm_view_of(http_script_url(&r.script));
    rig_open(&r, o);
    assert_int_equal(put(&r, &err), WM_E_DENIED);
    assert_non_null(strstr(err.message, "credentials:1: a section ends in ]"));
    assert_int_equal(metadata.n_seen, 4);
    rig_stop(&r);
    http_script_stop(&metadata);
    scratch_remove(&s);
}

static void a_role_is_assumed_and_assumed_again(void **state)
{
    (void)state;
    struct http_script sts;
    struct rig r;
    struct wm_err err;
    http_script_start(&sts, STEPS({HTTP_CUT, ASSUMED("AROLE", "2026-03-01T11:07:12Z")},
                                  {HTTP_CUT, ASSUMED("AROLETWO", "2026-03-01T12:00:00Z")},
                                  {HTTP_CUT, ASSUMED("AROLETHREE", "2026-03-01T13:00:00Z")}));
    struct wm_store_s3_options o = RIG_OPTIONS();
    o.credentials.role_arn = WM_LIT(ROLE);
    o.credentials.role_external_id = WM_LIT("id:1/a=b");
    o.credentials.sts_endpoint = wm_view_of(http_script_url(&sts));
    rig_start_with(&r, o, STEPS({HTTP_ANSWER, OK_EMPTY}, {HTTP_ANSWER, OK_EMPTY}, {HTTP_CUT, EXPIRED},
                                {HTTP_ANSWER, OK_EMPTY}));
    assert_int_equal(put(&r, &err), WM_OK);
    assert_login(&r, 0, "AROLE");
    assert_non_null(strstr(sts.seen[0].head, "POST / HTTP/1.1\r\n"));
    assert_string_equal(http_header(sts.seen[0].head, "content-type"), "application/x-www-form-urlencoded");
    assert_string_equal(sts.seen[0].body,
                        "Action=AssumeRole&Version=2011-06-15&RoleSessionName=waymark&RoleArn=arn%3Aaws%3Aiam%3A%3A"
                        "123456789012%3Arole%2Ftrail&ExternalId=id%3A1%2Fa%3Db");
    assert_signed_for(&sts, 0, SECRET, "eu-central-1", "sts", r.now);
    at(&r, "2026-03-01T11:02:12Z"); /* before it ends */
    assert_int_equal(put(&r, &err), WM_OK);
    assert_login(&r, 1, "AROLETWO");
    assert_int_equal(put(&r, &err), WM_OK); /* revoked */
    assert_login(&r, 2, "AROLETWO");
    assert_login(&r, 3, "AROLETHREE");
    assert_int_equal(sts.n_seen, 3);
    rig_stop(&r);
    http_script_stop(&sts);
}

static void what_sts_says_is_told(void **state)
{
    (void)state;
    static const struct {
        struct http_step steps[2];
        size_t n;
        enum wm_status status;
        const char *code, *told;
    } cases[] = {
        {{{HTTP_CUT, STS_ERROR("403 Forbidden", "", "AccessDenied", "not authorized to perform: sts:AssumeRole")}}, 1,
         WM_E_DENIED, "AccessDenied", "AssumeRole " ROLE " at 127.0.0.1"},
        {{{HTTP_CUT, STS_ERROR("503 Oops", "", "Throttling", "x")}}, 1, WM_E_UNAVAILABLE, "Throttling",
         "503 Throttling: x"},
        {{{HTTP_CUT, "HTTP/1.1 404 Not Found\r\n\r\n"}}, 1, WM_E_DENIED, "Http404", "404"},
        {{{HTTP_CUT, ANSWER("<AssumeRoleResponse/>")}}, 1, WM_E_UNAVAILABLE, "", "no credentials"},
        {{{HTTP_CUT, ANSWER("oops")}}, 1, WM_E_UNAVAILABLE, "", "no credentials"},
        {{{HTTP_CUT, ASSUMED("A", "tomorrow")}}, 1, WM_E_UNAVAILABLE, "", "no credentials"},
        {{{HTTP_SWALLOW, NULL}}, 1, WM_E_UNAVAILABLE, "ConnectionClosed", "AssumeRole"},
        /* our clock: signed again for theirs, once */
        {{{HTTP_CUT, STS_ERROR("403 Forbidden", NOON, "SignatureDoesNotMatch", "old")},
          {HTTP_CUT, ASSUMED("AROLE", "2026-03-01T13:00:00Z")}}, 2, WM_OK, "", ""},
        {{{HTTP_CUT, STS_ERROR("403 Forbidden", NOON, "SignatureDoesNotMatch", "old")},
          {HTTP_CUT, STS_ERROR("403 Forbidden", NOON, "SignatureDoesNotMatch", "x")}},
         2, WM_E_DENIED, "SignatureDoesNotMatch", "x"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct http_script sts;
        struct rig r;
        struct wm_err err;
        http_script_start(&sts, cases[i].steps, cases[i].n);
        struct wm_store_s3_options o = RIG_OPTIONS();
        o.credentials.role_arn = WM_LIT(ROLE);
        o.credentials.sts_endpoint = wm_view_of(http_script_url(&sts));
        rig_start_with(&r, o, good, 6);
        enum wm_status status = put(&r, &err);
        if (status != cases[i].status || strcmp(err.code, cases[i].code) != 0 || !strstr(err.message, cases[i].told))
            fail_msg("case %zu: %s, %s: %s", i, wm_status_name(status), err.code, err.message);
        assert_int_equal(sts.n_seen, cases[i].n);
        assert_null(strstr(err.message, SECRET));
        assert_null(strstr(err.message, "secret-of-"));
        if (cases[i].n == 2)
            assert_string_equal(http_header(sts.seen[1].head, "x-amz-date"), "20260301T120000Z");
        rig_stop(&r);
        http_script_stop(&sts);
    }
}

static void *put_once(void *arg)
{
    struct wm_err err;
    return (void *)(uintptr_t)wm_store_put(arg, WM_LIT("k"), WM_LIT("body"), WM_EMPTY, NULL, 0, &err);
}

/* One thread asks; the other waits for its answer, or is told to end. */
static void only_one_thread_asks(void **state)
{
    (void)state;
    for (int cancelled = 0; cancelled < 2; cancelled++) {
        struct http_script endpoint;
        struct rig r;
        pthread_t threads[2];
        void *status[2];
        static const char login[] = "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"B\"}";
        char answer[128];
        (void)snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", sizeof login - 1,
                       login);
        http_script_start(&endpoint, STEPS({cancelled ? HTTP_HANG : HTTP_LATE, answer}));
        struct wm_store_s3_options o = {.credentials = {.container_uri = container_uri(&endpoint)}};
        rig_start_with(&r, o, good, 6);
        struct wm_store *handles[2] = {r.store, NULL};
        assert_int_equal(wm_store_s3_share(r.store, &handles[1], NULL), WM_OK);
        for (size_t i = 0; i < 2; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, put_once, handles[i]), 0);
        if (cancelled) {
            while (atomic_load(&endpoint.n_seen) == 0)
                (void)usleep(1000);
            for (size_t i = 0; i < 2; i++)
                wm_store_cancel(handles[i]);
        }
        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(pthread_join(threads[i], &status[i]), 0);
            assert_int_equal((uintptr_t)status[i], cancelled ? WM_E_END : WM_OK);
        }
        assert_int_equal(endpoint.n_seen, 1);
        assert_int_equal(r.script.n_seen, cancelled ? 0 : 2);
        wm_store_free(handles[1]);
        rig_stop(&r);
        http_script_stop(&endpoint);
    }
}

static void sources_that_cannot_be_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct wm_store_credentials c;
        const char *told;
    } cases[] = {
        {{.container_uri = {"http://example.net/x", 20}}, "neither https nor http to this machine"},
        {{.container_uri = {"http://127.0.0.1.example.net/", 29}}, "neither https"},
        {{.container_uri = {"http://localhost@example.net/", 29}}, "neither https"},
        {{.container_uri = {"http://127.0.0.1/a b", 20}}, "neither https"},
        {{.container_uri = {"ftp://127.0.0.1/", 16}}, "neither https"},
        {{.instance_endpoint = {"169.254.169.254", 15}}, "instance metadata"},
        {{.file = {"f", 1}, .sts_endpoint = {"sts.example.net", 15}}, "sts_endpoint"},
        {{.access_key_id = {"k", 1}}, "go together"},
        {{.profile = {"p", 1}}, "no credentials"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wm_store *none;
        struct wm_err err = {0};
        struct wm_store_s3_options o = {.bucket = WM_LIT("b"), .credentials = cases[i].c};
        if (wm_store_s3_new(&o, &none, &err) != WM_E_INVALID || !strstr(err.message, cases[i].told))
            fail_msg("case %zu: %s", i, err.message);
    }
    static const char *const allowed[] = {
        "https://example.net/x", "http://127.0.0.1:8080/x", "http://localhost/x", "http://[::1]:80/x",
        "http://169.254.170.2/x", "http://169.254.170.23/v1/credentials", "http://[fd00:ec2::23]/v1/credentials",
    };
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++) {
        struct wm_store *store;
        struct wm_err err = {0};
        struct wm_store_s3_options o = {.bucket = WM_LIT("b"),
                                        .credentials = {.container_uri = wm_view_of(allowed[i])}};
        if (wm_store_s3_new(&o, &store, &err) != WM_OK)
            fail_msg("%s: %s", allowed[i], err.message);
        wm_store_free(store);
    }
}

static void the_environment_is_read_as_the_sdks_do(void **state)
{
    (void)state;
    static const char *const names[] = {
        "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SHARED_CREDENTIALS_FILE", "AWS_PROFILE",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_EC2_METADATA_DISABLED",
    };
    struct wm_store_environment room;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_int_equal(unsetenv(names[i]), 0);
    assert_int_equal(setenv("HOME", "/home/audit", 1), 0);
    struct wm_store_credentials c = wm_store_environment(&room);
    assert_int_equal(c.access_key_id.len + c.secret_access_key.len + c.session_token.len + c.profile.len, 0);
    assert_true(wm_view_eq_str(c.file, "/home/audit/.aws/credentials"));
    assert_int_equal(c.container_uri.len, 0);
    assert_true(wm_view_eq_str(c.instance_endpoint, "http://169.254.169.254"));
    static const char *const values[] = {"AK", "SK", "ST", "/f", "p", "http://localhost/c", "", "t", "/tf",
                                         "http://m", ""};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_int_equal(setenv(names[i], values[i], 1), 0);
    c = wm_store_environment(&room);
    const struct wm_view got[] = {c.access_key_id, c.secret_access_key, c.session_token, c.file, c.profile,
                                  c.container_uri, WM_EMPTY, c.container_token, c.container_token_file,
                                  c.instance_endpoint};
    for (size_t i = 0; i < sizeof got / sizeof got[0]; i++)
        assert_true(wm_view_eq_str(got[i], values[i]));
    assert_int_equal(setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/c", 1), 0);
    assert_int_equal(setenv("AWS_EC2_METADATA_DISABLED", "TRUE", 1), 0);
    c = wm_store_environment(&room);
    assert_true(wm_view_eq_str(c.container_uri, "http://169.254.170.2/v2/c"));
    assert_int_equal(c.instance_endpoint.len, 0);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_int_equal(unsetenv(names[i]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(container_credentials_are_renewed_before_they_expire),
        cmocka_unit_test(a_short_life_is_renewed_after_three_quarters),
        cmocka_unit_test(a_container_token_is_read_from_its_file_each_time),
        cmocka_unit_test(expired_credentials_are_renewed_once_a_call),
        cmocka_unit_test(container_answers_that_are_none_are_told),
        cmocka_unit_test(instance_credentials_take_three_steps),
        cmocka_unit_test(a_file_passes_on_to_the_instance),
        cmocka_unit_test(a_role_is_assumed_and_assumed_again),
        cmocka_unit_test(what_sts_says_is_told),
        cmocka_unit_test(only_one_thread_asks),
        cmocka_unit_test(sources_that_cannot_be_are_refused),
        cmocka_unit_test(the_environment_is_read_as_the_sdks_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
