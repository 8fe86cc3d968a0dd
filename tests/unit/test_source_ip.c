#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "server/source_ip.h"

static void source_ip_believes_only_trusted_proxies(void **state)
{
    (void)state;
    struct wm_proxy_block trusted[3];
    assert_int_equal(wm_proxy_block_parse(WM_LIT("10.1.0.0/15"), &trusted[0], NULL), WM_OK);
    assert_int_equal(wm_proxy_block_parse(WM_LIT("127.0.0.1"), &trusted[1], NULL), WM_OK);
    assert_int_equal(wm_proxy_block_parse(WM_LIT("2001:db8::/33"), &trusted[2], NULL), WM_OK);
    static const struct {
        const char *peer, *forwarded, *source;
    } rows[] = {
        {"203.0.113.9", "198.51.100.1", "203.0.113.9"},           /* not from a proxy: a claim */
        {"127.0.0.1", "", "127.0.0.1"},
        {"127.0.0.1", "198.51.100.1", "198.51.100.1"},
        {"127.0.0.1", "6.6.6.6, 198.51.100.1", "198.51.100.1"},   /* what stands left is the caller's word */
        {"127.0.0.1", "198.51.100.1, 10.0.255.7", "198.51.100.1"}, /* a chain of ours */
        {"127.0.0.1", "198.51.100.1, 10.2.0.7", "10.2.0.7"},       /* just outside the block */
        {"127.0.0.1", "10.1.2.3", "10.1.2.3"},                     /* every hop is ours: the first one called */
        {"127.0.0.1", "unknown", "127.0.0.1"},
        {"127.0.0.1", "198.51.100.1, junk", "127.0.0.1"},
        {"127.0.0.1", "198.51.100.1,", "127.0.0.1"},
        {"2001:db8:7fff::1", "2a00::1", "2a00::1"},
        {"2001:db8:8000::1", "2a00::1", "2001:db8:8000::1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wm_view got = wm_source_ip(wm_view_of(rows[i].peer), wm_view_of(rows[i].forwarded), trusted, 3);
        if (!wm_view_eq_str(got, rows[i].source))
            fail_msg("row %zu: %.*s", i, WM_ARG(got));
    }
}

static void addresses_are_in_blocks(void **state)
{
    (void)state;
    static const struct {
        const char *block, *address;
        bool has;
    } rows[] = {
        {"10.1.0.0/15", "10.0.255.7", true},  {"10.1.0.0/15", "10.2.0.7", false}, {"10.1.2.3", "10.1.2.3", true},
        {"0.0.0.0/0", "203.0.113.9", true},   {"0.0.0.0/0", "::1", false},        {"2001:db8::/33", "2001:db8::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false}, {"10.0.0.0/8", "host", false}, {"10.0.0.0/8", "", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wm_proxy_block b;
        assert_int_equal(wm_proxy_block_parse(wm_view_of(rows[i].block), &b, NULL), WM_OK);
        if (wm_proxy_block_has(&b, wm_view_of(rows[i].address)) != rows[i].has)
            fail_msg("%s in %s", rows[i].address, rows[i].block);
    }
}

/* This server speaks no TLS, so only a trusted proxy can say that its caller did. */
static void tls_is_believed_of_trusted_proxies_only(void **state)
{
    (void)state;
    struct wm_proxy_block trusted[1];
    assert_int_equal(wm_proxy_block_parse(WM_LIT("127.0.0.1"), &trusted[0], NULL), WM_OK);
    static const struct {
        const char *peer, *proto;
        bool secure;
    } rows[] = {
        {"127.0.0.1", "https", true},       {"127.0.0.1", "HTTPS", true},        {"127.0.0.1", "http", false},
        {"127.0.0.1", "", false},           {"203.0.113.9", "https", false},     {"127.0.0.1", "https, http", false},
        {"127.0.0.1", "http,https", false}, {"127.0.0.1", "https, https", true}, {"127.0.0.1", "https,", false},
        {"127.0.0.1", "httpss", false},     {"127.0.0.1", ",", false},           {"junk", "https", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (wm_source_secure(wm_view_of(rows[i].peer), wm_view_of(rows[i].proto), trusted, 1) != rows[i].secure)
            fail_msg("row %zu: %s from %s", i, rows[i].proto, rows[i].peer);
    assert_false(wm_source_secure(WM_LIT("127.0.0.1"), WM_LIT("https"), NULL, 0));
}

static void proxy_blocks_are_checked(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "10.0.0", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/x", "::/129", "host"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct wm_proxy_block b;
        struct wm_err err = {0};
        assert_int_equal(wm_proxy_block_parse(wm_view_of(bad[i]), &b, &err), WM_E_INVALID);
        assert_non_null(strstr(err.message, bad[i]));
    }
}

static void ip_text_shows_mapped_addresses_as_ipv4(void **state)
{
    (void)state;
    char text[WM_IP_TEXT_BYTES];
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    assert_int_equal(inet_pton(AF_INET6, "::ffff:192.0.2.7", &v6.sin6_addr), 1);
    wm_ip_text((struct sockaddr *)&v6, text);
    assert_string_equal(text, "192.0.2.7");
    assert_int_equal(inet_pton(AF_INET6, "2001:db8::7", &v6.sin6_addr), 1);
    wm_ip_text((struct sockaddr *)&v6, text);
    assert_string_equal(text, "2001:db8::7");
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
    wm_ip_text((struct sockaddr *)&v4, text);
    assert_string_equal(text, "127.0.0.1");
    wm_ip_text(NULL, text);
    assert_string_equal(text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(source_ip_believes_only_trusted_proxies),
        cmocka_unit_test(addresses_are_in_blocks),
        cmocka_unit_test(tls_is_believed_of_trusted_proxies_only),
        cmocka_unit_test(proxy_blocks_are_checked),
        cmocka_unit_test(ip_text_shows_mapped_addresses_as_ipv4),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
