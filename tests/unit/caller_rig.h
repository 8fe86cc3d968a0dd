/**
 * For tests of who calls: IAM's own operations fill a state, and requests are signed with what they answered.
 */
#ifndef WAYMARK_TESTS_CALLER_RIG_H
#define WAYMARK_TESTS_CALLER_RIG_H

#include "tests/unit/iam_call.h"
#include "waymark/auth.h"

/** What signs a request. */
struct caller {
    char key_id[32], secret[64], token[WM_MAX_SESSION_TOKEN_BYTES + 1];
};

struct caller_rig {
    struct fixture *f;
    struct wm_auth *auth;
    struct wm_sigv4_cache *cache;
    struct wm_sigv4_claim claim;
    char message[256];
    char credentials[340];
};

static inline int caller_rig_set_up(void **state)
{
    struct caller_rig *g = calloc(1, sizeof *g);
    void *fixture = NULL;
    bool made = false;
    assert_non_null(g);
    fixture_set_up(&fixture);
    g->f = fixture;
    (void)snprintf(g->credentials, sizeof g->credentials, "%s/credentials", g->f->scratch.dir); /* fits */
    const struct wm_auth_options o = {.io = &wm_io_posix,
                                      .credentials_path = g->credentials,
                                      .account_id = g->f->env.account_id,
                                      .region = g->f->env.region,
                                      .state = g->f->state,
                                      .master_key = g->f->env.master_key};
    assert_int_equal(wm_auth_open(&o, &g->auth, &made, NULL), WM_OK);
    g->cache = wm_sigv4_cache_new();
    assert_non_null(g->cache);
    *state = g;
    return 0;
}

static inline int caller_rig_tear_down(void **state)
{
    struct caller_rig *g = *state;
    void *fixture = g->f;
    wm_principal_release(g->f->principal);
    wm_sigv4_cache_free(g->cache);
    wm_auth_close(g->auth);
    fixture_tear_down(&fixture);
    free(g);
    return 0;
}

/** A new access key of a user. */
static inline struct caller caller_of_user(struct fixture *f, const char *user)
{
    struct caller who = {0};
    iam_ok(f, "CreateAccessKey&UserName=%s", user);
    const struct wm_json *key = wm_json_get(f->answer, "AccessKey");
    assert_true(wm_view_copy(wm_json_get_text(key, "AccessKeyId"), who.key_id, sizeof who.key_id));
    assert_true(wm_view_copy(wm_json_get_text(key, "SecretAccessKey"), who.secret, sizeof who.secret));
    return who;
}

/** The credentials in the last answer of STS. */
static inline struct caller caller_of_answer(struct fixture *f)
{
    struct caller who = {0};
    const struct wm_json *c = wm_json_get(f->reply.document, "Credentials");
    assert_non_null(c);
    assert_true(wm_view_copy(wm_json_get_text(c, "AccessKeyId"), who.key_id, sizeof who.key_id));
    assert_true(wm_view_copy(wm_json_get_text(c, "SecretAccessKey"), who.secret, sizeof who.secret));
    assert_true(wm_view_copy(wm_json_get_text(c, "SessionToken"), who.token, sizeof who.token));
    return who;
}

static inline struct caller caller_root(struct caller_rig *g)
{
    struct caller who = {0};
    char line[300];
    FILE *file = fopen(g->credentials, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        (void)sscanf(line, "aws_access_key_id = %31s", who.key_id);
        (void)sscanf(line, "aws_secret_access_key = %63s", who.secret);
    }
    (void)fclose(file);
    return who;
}

/** Who sends a request signed so? g->message has what he is told. @param out  to be released */
static inline enum wm_sigv4_result identify(struct caller_rig *g, const struct caller *who, const char *service,
                                            const struct wm_principal **out)
{
    static char hash[WM_SHA256_HEX_BYTES];
    static struct wm_sigv4_signature signature;
    uint8_t sha[WM_SHA256_BYTES];
    static struct wm_sigv4_header headers[4];
    size_t n = 1;
    headers[0] = (struct wm_sigv4_header){WM_LIT("Host"), WM_LIT("127.0.0.1")};
    wm_sha256("", 0, sha);
    wm_hex(sha, sizeof sha, hash);
    struct wm_sigv4_request request = {
        .method = WM_LIT("GET"), .path = WM_LIT("/"), .headers = headers, .payload_hash = {hash, sizeof hash}};
    if (who->token[0])
        headers[n++] = (struct wm_sigv4_header){WM_LIT("X-Amz-Security-Token"), wm_view_of(who->token)};
    request.n_headers = n;
    const struct wm_sigv4_credentials credentials = {.access_key_id = wm_view_of(who->key_id),
                                                     .secret = wm_view_of(who->secret),
                                                     .region = g->f->env.region,
                                                     .service = wm_view_of(service)};
    assert_int_equal(wm_sigv4_sign(g->cache, &request, &credentials, g->f->now, &signature), WM_OK);
    headers[n++] = (struct wm_sigv4_header){WM_LIT("X-Amz-Date"), wm_view_of(signature.date)};
    headers[n++] = (struct wm_sigv4_header){WM_LIT("Authorization"), wm_view_of(signature.authorization)};
    request.n_headers = n;
    g->message[0] = '\0';
    assert_int_equal(wm_sigv4_parse(&request, &g->claim, g->message), WM_SIGV4_OK);
    return wm_auth_identify(g->auth, g->cache, &request, &g->claim, wm_view_of(service), g->f->now, out, g->message);
}

/** The same, who is proven. */
static inline const struct wm_principal *identified(struct caller_rig *g, const struct caller *who)
{
    const struct wm_principal *p = NULL;
    enum wm_sigv4_result result = identify(g, who, "mediapackage", &p);
    if (result != WM_SIGV4_OK)
        fail_msg("%s is not known: %d %s", who->key_id, (int)result, g->message);
    return p;
}

/** Nobody is proven, with this result. */
static inline void assert_unknown(struct caller_rig *g, const struct caller *who, enum wm_sigv4_result want)
{
    const struct wm_principal *p = NULL;
    assert_int_equal(identify(g, who, "mediapackage", &p), want);
    assert_null(p);
    assert_true(g->message[0] != '\0');
}

/** Let him call the operations of services. */
static inline void call_as(struct caller_rig *g, const struct caller *who)
{
    const struct wm_principal *p = identified(g, who);
    wm_principal_release(g->f->principal);
    g->f->principal = p;
    g->f->identity = p->identity;
}

#define STS_VERSION "2011-06-15"
/** A call of STS by its form, "AssumeRole&RoleArn=…". @return HTTP status */
static inline int sts(struct caller_rig *g, const char *fmt, ...) WM_PRINTF(2, 3);
static inline int sts(struct caller_rig *g, const char *fmt, ...)
{
    static char form[60000];
    va_list args;
    (void)snprintf(form, sizeof form, "Action=");
    va_start(args, fmt);
    assert_true(vsnprintf(form + 7, sizeof form - 7, fmt, args) < (int)sizeof form - 7);
    va_end(args);
    return call_query(g->f, STS_VERSION, form);
}
#define sts_ok(g, ...)                                                                                                 \
    do {                                                                                                               \
        if (sts((g), __VA_ARGS__) != 200)                                                                              \
            fail_msg("%s: %.*s", (g)->f->reply.error_code, WM_ARG((g)->f->reply.error_message));                       \
    } while (0)

#endif
