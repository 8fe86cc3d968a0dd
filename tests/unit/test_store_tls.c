/* TLS with a real server: who is trusted, and who is not. And proxies, on the way to it and to plain ones. */
#include "tests/support/s3_rig.h"

#include "tests/support/scratch.h"
#include "tests/support/tls_script.h"

#include "waymark/banned.h"

struct keys {
    struct scratch scratch;
    struct tls_identity authority, other_authority;
};

static int keys_make(void **state)
{
    static struct keys k;
    scratch_make(&k.scratch);
    k.authority = tls_identity_make("our authority", NULL, NULL, 10);
    k.other_authority = tls_identity_make("another authority", NULL, NULL, 10);
    tls_identity_write(&k.authority, scratch_path(&k.scratch, "ca.pem"));
    tls_identity_write(&k.other_authority, scratch_path(&k.scratch, "other.pem"));
    *state = &k;
    return 0;
}

static int keys_remove(void **state)
{
    struct keys *k = *state;
    tls_identity_done(&k->authority);
    tls_identity_done(&k->other_authority);
    scratch_remove(&k->scratch);
    return 0;
}

static struct wm_view tls_url(const struct tls_script *s, const char *host)
{
    static char url[64];
    (void)snprintf(url, sizeof url, "https://%s:%u", host, s->port);
    return wm_view_of(url);
}

static void tls_trusts_whom_it_was_told(void **state)
{
    struct keys *k = *state;
    static const struct {
        const char *name, *san, *ca;
        bool by_other;
        int days;
        const char *code; /* "": it works */
    } cases[] = {
        {"our authority", "IP:127.0.0.1", "ca.pem", false, 10, ""},
        {"both names", "DNS:s3.example.net,IP:127.0.0.1", "ca.pem", false, 10, ""},
        {"signed by another", "IP:127.0.0.1", "ca.pem", true, 10, "CertificateRefused"},
        {"we trust another", "IP:127.0.0.1", "other.pem", false, 10, "CertificateRefused"},
        {"the system does not know it", "IP:127.0.0.1", NULL, false, 10, "CertificateRefused"},
        {"another host's", "DNS:s3.example.net", "ca.pem", false, 10, "CertificateRefused"},
        {"another address's", "IP:127.0.0.2", "ca.pem", false, 10, "CertificateRefused"},
        {"over", "IP:127.0.0.1", "ca.pem", false, -1, "CertificateRefused"},
        {"not yet", "IP:127.0.0.1", "ca.pem", false, 40, "CertificateRefused"},
        {"no such file", "IP:127.0.0.1", "absent.pem", false, 10, "TlsFailed"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tls_identity id = tls_identity_make("store", cases[i].san,
                                                   cases[i].by_other ? &k->other_authority : &k->authority,
                                                   cases[i].days);
        struct tls_script tls;
        struct rig r;
        struct wm_err err;
        tls_script_start(&tls, &id);
        struct wm_store_s3_options o = RIG_OPTIONS(.endpoint = tls_url(&tls, "127.0.0.1"));
        if (cases[i].ca)
            o.ca_file = wm_view_of(scratch_path(&k->scratch, cases[i].ca));
        rig_open(&r, o);
        enum wm_status status = put(&r, &err);
        if (status != (cases[i].code[0] ? WM_E_UNAVAILABLE : WM_OK) || strcmp(err.code, cases[i].code) != 0)
            fail_msg("%s: %s, %s: %s", cases[i].name, wm_status_name(status), err.code, err.message);
        wm_store_free(r.store);
        tls_script_stop(&tls);
        assert_int_equal(tls.answered, cases[i].code[0] ? 0 : 1); /* nothing was said to whom we do not trust */
        tls_identity_done(&id);
    }
}

static void tls_speaks_to_no_plain_server(void **state)
{
    (void)state;
    struct rig r;
    struct wm_err err;
    static char url[64];
    struct http_script s;
    /* The handshake is no request that a scripted server could read, so this one answers a length of rubbish. */
    http_script_start(&s, NULL, 0);
    (void)snprintf(url, sizeof url, "https://127.0.0.1:%u", s.port);
    rig_open(&r, RIG_OPTIONS(.endpoint = wm_view_of(url), .request_timeout_ms = 300));
    assert_int_equal(put(&r, &err), WM_E_UNAVAILABLE);
    assert_string_equal(err.code, "Timeout");
    wm_store_free(r.store);
    http_script_stop(&s);
}

/* ---- proxies ---- */

/* A proxy for CONNECT: one tunnel at a time, to wherever it is told. */
struct tunnel {
    int listener;
    unsigned short port, to;
    pthread_t thread;
    atomic_bool stop;
    char head[2048];
};

static void tunnel_copy(int a, int b)
{
    char bytes[65536];
    int fds[2] = {a, b};
    for (;;) {
        fd_set set;
        FD_ZERO(&set);
        FD_SET(a, &set);
        FD_SET(b, &set);
        if (select((a > b ? a : b) + 1, &set, NULL, NULL, NULL) < 0)
            return;
        for (int i = 0; i < 2; i++) {
            if (!FD_ISSET(fds[i], &set))
                continue;
            ssize_t n = recv(fds[i], bytes, sizeof bytes, 0);
            if (n <= 0 || send(fds[1 - i], bytes, (size_t)n, MSG_NOSIGNAL) != n)
                return;
        }
    }
}

static void *tunnel_run(void *arg)
{
    struct tunnel *t = arg;
    int fd;
    while (!atomic_load(&t->stop) && (fd = accept(t->listener, NULL, NULL)) >= 0) {
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(t->to),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int out = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ssize_t n = recv(fd, t->head, sizeof t->head - 1, 0);
        if (n > 0 && connect(out, (struct sockaddr *)&to, sizeof to) == 0) {
            t->head[n] = '\0';
            http_send(fd, "HTTP/1.1 200 Connection established\r\n\r\n");
            tunnel_copy(fd, out);
        }
        close(out);
        close(fd);
    }
    return NULL;
}

static void tunnel_start(struct tunnel *t, unsigned short to)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    *t = (struct tunnel){.to = to, .listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    assert_int_equal(bind(t->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(t->listener, 4), 0);
    assert_int_equal(getsockname(t->listener, (struct sockaddr *)&address, &len), 0);
    t->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&t->thread, NULL, tunnel_run, t), 0);
}

static void tunnel_stop(struct tunnel *t)
{
    atomic_store(&t->stop, true);
    (void)shutdown(t->listener, SHUT_RDWR);
    assert_int_equal(pthread_join(t->thread, NULL), 0);
    close(t->listener);
}

/* The proxy sees a host and a port, and bytes. Trust is as without it. */
static void a_proxy_is_tunnelled_for_tls(void **state)
{
    struct keys *k = *state;
    for (int trusted = 0; trusted < 2; trusted++) {
        struct tls_identity id = tls_identity_make("store", "DNS:s3.audit.test", &k->authority, 10);
        struct tls_script tls;
        struct tunnel t;
        struct rig r;
        struct wm_err err;
        char proxy[64];
        tls_script_start(&tls, &id);
        tunnel_start(&t, tls.port);
        (void)snprintf(proxy, sizeof proxy, "http://127.0.0.1:%u", t.port);
        rig_open(&r, RIG_OPTIONS(.endpoint = WM_LIT("https://s3.audit.test"), .proxy = wm_view_of(proxy),
                                 .ca_file = wm_view_of(scratch_path(&k->scratch, trusted ? "ca.pem" : "other.pem"))));
        assert_int_equal(put(&r, &err), trusted ? WM_OK : WM_E_UNAVAILABLE);
        assert_string_equal(err.code, trusted ? "" : "CertificateRefused");
        wm_store_free(r.store);
        tunnel_stop(&t);
        tls_script_stop(&tls);
        assert_true(strncmp(t.head, "CONNECT s3.audit.test:443 HTTP/1.1\r\n", 36) == 0);
        assert_string_equal(http_header(t.head, "authorization"), ""); /* what is signed is for the store alone */
        assert_int_equal(tls.answered, trusted);
        tls_identity_done(&id);
    }
}

static void the_proxy_is_the_settings_or_the_environments(void **state)
{
    (void)state;
    static const struct {
        const char *proxy, *http_proxy, *no_proxy; /* PROXY: the scripted server; NULL: not set */
        const char *code;
    } cases[] = {
        {"PROXY", NULL, NULL, ""},
        {"PROXY", "http://127.0.0.1:1", NULL, ""},          /* the setting goes before */
        {"", "PROXY", NULL, ""},
        {"", "PROXY", "storage.test", "NameNotResolved"},
        {"none", "PROXY", NULL, "NameNotResolved"},
        {"", NULL, NULL, "NameNotResolved"},
        {"http://127.0.0.1:1", NULL, NULL, "ProxyFailed"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rig r;
        struct wm_err err;
        http_script_start(&r.script, STEPS({HTTP_ANSWER, OK_EMPTY}));
        const char *url = http_script_url(&r.script);
#define PLACE(text) (strcmp(text, "PROXY") == 0 ? url : (text))
        if (cases[i].http_proxy)
            assert_int_equal(setenv("http_proxy", PLACE(cases[i].http_proxy), 1), 0);
        if (cases[i].no_proxy)
            assert_int_equal(setenv("no_proxy", cases[i].no_proxy, 1), 0);
        rig_open(&r, RIG_OPTIONS(.endpoint = WM_LIT("http://storage.test"),
                                 .proxy = wm_view_of(PLACE(cases[i].proxy))));
        enum wm_status status = put(&r, &err);
        if (strcmp(err.code, cases[i].code) != 0 || status != (cases[i].code[0] ? WM_E_UNAVAILABLE : WM_OK))
            fail_msg("case %zu: %s: %s", i, wm_status_name(status), err.message);
        assert_int_equal(r.script.n_seen, cases[i].code[0] ? 0 : 1);
        rig_stop(&r);
        (void)unsetenv("http_proxy");
        (void)unsetenv("no_proxy");
    }
}

/* Keys are asked for on the machine itself: a proxy must not see them. */
static void endpoints_of_keys_are_asked_without_a_proxy(void **state)
{
    (void)state;
    static const char login[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
                                "{\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"SK\",\"Token\":\"T\"}";
    struct http_script endpoint;
    struct rig r;
    struct wm_err err;
    http_script_start(&endpoint, STEPS({HTTP_CUT, login}));
    struct wm_store_s3_options o = {.endpoint = WM_LIT("http://storage.test"),
                                    .credentials = {.container_uri = wm_view_of(http_script_url(&endpoint))}};
    rig_start_through(&r, o, STEPS({HTTP_ANSWER, OK_EMPTY}));
    assert_int_equal(put(&r, &err), WM_OK);
    assert_int_equal(endpoint.n_seen, 1);
    assert_true(strncmp(endpoint.seen[0].head, "GET / HTTP/1.1\r\n", 16) == 0);
    assert_int_equal(r.script.n_seen, 1);
    assert_true(strncmp(r.script.seen[0].head, "PUT http://storage.test/evidence/", 33) == 0);
    rig_stop(&r);
    http_script_stop(&endpoint);
}

int main(void)
{
    static const char *const variables[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY",
                                            "no_proxy", "NO_PROXY"};
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
        (void)unsetenv(variables[i]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tls_trusts_whom_it_was_told),
        cmocka_unit_test(tls_speaks_to_no_plain_server),
        cmocka_unit_test(a_proxy_is_tunnelled_for_tls),
        cmocka_unit_test(the_proxy_is_the_settings_or_the_environments),
        cmocka_unit_test(endpoints_of_keys_are_asked_without_a_proxy),
    };
    return cmocka_run_group_tests(tests, keys_make, keys_remove);
}
