/*
 * A TLS server with a certificate made for the test, and authorities to trust or not. Each connection is answered once,
 * "200 OK", whatever it asks.
 */
#ifndef WAYMARK_TESTS_TLS_SCRIPT_H
#define WAYMARK_TESTS_TLS_SCRIPT_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct tls_identity {
    EVP_PKEY *key;
    X509 *certificate;
};

static inline void tls_must(int ok)
{
    if (!ok)
        abort();
}

static inline void tls_extend(X509 *c, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, c, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    tls_must(e != NULL && X509_add_ext(c, e, -1));
    X509_EXTENSION_free(e);
}

/**
 * @param san     "IP:127.0.0.1"; NULL: an authority
 * @param issuer  NULL: itself
 * @param days    it is good until so many days from now, from 30 days before that on
 */
static inline struct tls_identity tls_identity_make(const char *name, const char *san,
                                                    const struct tls_identity *issuer, int days)
{
    static long serial = 1;
    struct tls_identity id = {EVP_EC_gen("P-256"), X509_new()};
    tls_must(id.key != NULL && id.certificate != NULL);
    X509 *c = id.certificate, *by = issuer ? issuer->certificate : c;
    X509_NAME *subject = X509_get_subject_name(c);
    tls_must(X509_set_version(c, 2) && ASN1_INTEGER_set(X509_get_serialNumber(c), ++serial) &&
             X509_gmtime_adj(X509_getm_notBefore(c), (days - 30) * 86400L) &&
             X509_gmtime_adj(X509_getm_notAfter(c), days * 86400L) && X509_set_pubkey(c, id.key) &&
             X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0) &&
             X509_set_issuer_name(c, X509_get_subject_name(by)));
    tls_extend(c, by, NID_basic_constraints, san ? "critical,CA:FALSE" : "critical,CA:TRUE");
    if (san)
        tls_extend(c, by, NID_subject_alt_name, san);
    tls_must(X509_sign(c, issuer ? issuer->key : id.key, EVP_sha256()) > 0);
    return id;
}

static inline void tls_identity_done(struct tls_identity *id)
{
    EVP_PKEY_free(id->key);
    X509_free(id->certificate);
}

static inline void tls_identity_write(const struct tls_identity *id, const char *path)
{
    FILE *f = fopen(path, "w");
    tls_must(f && PEM_write_X509(f, id->certificate));
    tls_must(fclose(f) == 0);
}

struct tls_script {
    SSL_CTX *ctx;
    int listener;
    unsigned short port;
    pthread_t thread;
    atomic_bool stop;
    atomic_int shaken, answered; /* connections; of them, that came through the handshake; with a request */
};

static inline void tls_script_answer(struct tls_script *s, int fd)
{
    static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    char request[16384];
    size_t n = 0;
    SSL *ssl = SSL_new(s->ctx);
    tls_must(ssl != NULL && SSL_set_fd(ssl, fd));
    if (SSL_accept(ssl) == 1) {
        atomic_fetch_add(&s->shaken, 1);
        int got;
        const char *end = NULL;
        while (!end && n < sizeof request - 1 &&
               (got = SSL_read(ssl, request + n, (int)(sizeof request - 1 - n))) > 0) {
            n += (size_t)got;
            request[n] = '\0';
            end = strstr(request, "\r\n\r\nbody"); /* what the tests put */
        }
        if (end) {
            atomic_fetch_add(&s->answered, 1);
            (void)SSL_write(ssl, ok, sizeof ok - 1);
        }
        (void)SSL_shutdown(ssl);
    }
    SSL_free(ssl);
}

static inline void *tls_script_run(void *arg)
{
    struct tls_script *s = arg;
    int fd;
    while (!atomic_load(&s->stop) && (fd = accept(s->listener, NULL, NULL)) >= 0) {
        tls_script_answer(s, fd);
        close(fd);
    }
    return NULL;
}

static inline void tls_script_start(struct tls_script *s, const struct tls_identity *id)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    memset(s, 0, sizeof *s);
    (void)signal(SIGPIPE, SIG_IGN); /* a client that does not trust us hangs up */
    s->ctx = SSL_CTX_new(TLS_server_method());
    tls_must(s->ctx && SSL_CTX_use_certificate(s->ctx, id->certificate) && SSL_CTX_use_PrivateKey(s->ctx, id->key));
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    tls_must(s->listener >= 0 && bind(s->listener, (struct sockaddr *)&address, sizeof address) == 0 &&
             listen(s->listener, 16) == 0 && getsockname(s->listener, (struct sockaddr *)&address, &len) == 0 &&
             pthread_create(&s->thread, NULL, tls_script_run, s) == 0);
    s->port = ntohs(address.sin_port);
}

/* The client must have closed its connections. */
static inline void tls_script_stop(struct tls_script *s)
{
    atomic_store(&s->stop, true);
    (void)shutdown(s->listener, SHUT_RDWR); /* wakes accept() */
    (void)pthread_join(s->thread, NULL);
    close(s->listener);
    SSL_CTX_free(s->ctx);
}

#endif
