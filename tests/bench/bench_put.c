/*
 * CPU of one PUT into a sink on loopback (a child process, whose time is not counted), interleaved so that all see the
 * same machine:
 *
 *   libcurl        the barest PUT: one kept-alive connection, a 2 MiB upload buffer, no Expect
 *   with SHA-256   the same, and the hash of the body, without which no S3 request can be signed for its content
 *   ours, hashed   wm_store_put() given the hash: headers, signature, answer judged; over libcurl alone
 *   ours           wm_store_put() that hashes; over libcurl with SHA-256
 *
 *     bench_put [ROUNDS]
 */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "delivery/store_s3_int.h"
#include "tests/bench/bench.h"
#include "waymark/hash.h"

#include "waymark/banned.h"

#define MAX_ROUNDS 101
#define UPLOAD_BUFFER_BYTES (2l * 1024 * 1024)

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "bench_put: %s\n", what);
    exit(1);
}

static double cpu_s(void)
{
    return now_s(CLOCK_PROCESS_CPUTIME_ID);
}

/* ---- the sink ---- */

#define SINK_BYTES (1u << 20)

static void sink_connection(int fd, char *data)
{
    static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    size_t len = 0;
    for (;;) {
        data[len] = '\0';
        char *end = strstr(data, "\r\n\r\n");
        if (end) {
            const char *length = strcasestr(data, "\r\ncontent-length:");
            size_t body = length ? strtoul(length + 17, NULL, 10) : 0, have = len - (size_t)(end + 4 - data);
            while (have < body) {
                ssize_t n = recv(fd, data, body - have < SINK_BYTES ? body - have : SINK_BYTES, MSG_TRUNC);
                if (n <= 0)
                    return;
                have += (size_t)n;
            }
            if (send(fd, ok, sizeof ok - 1, MSG_NOSIGNAL) < 0)
                return;
            len = 0;
            continue;
        }
        ssize_t n = recv(fd, data + len, 65536, 0);
        if (n <= 0)
            return;
        len += (size_t)n;
    }
}

static void *sink_serve(void *arg)
{
    int fd = *(int *)arg;
    char *data = malloc(SINK_BYTES);
    if (data)
        sink_connection(fd, data);
    close(fd);
    free(data);
    free(arg);
    return NULL;
}

static pid_t sink_start(unsigned short *out_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 4) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &len) != 0)
        give_up("no socket");
    *out_port = ntohs(address.sin_port);
    pid_t child = fork();
    if (child < 0)
        give_up("no process");
    if (child > 0) {
        close(listener);
        return child;
    }
    for (;;) {
        pthread_t thread;
        int *fd = malloc(sizeof *fd);
        if (!fd)
            _exit(1);
        *fd = accept(listener, NULL, NULL);
        (void)setsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* only a measurement */
        if (*fd < 0 || pthread_create(&thread, NULL, sink_serve, fd) != 0 || pthread_detach(thread) != 0)
            _exit(1);
    }
}

/* ---- the barest PUT ---- */

struct bare {
    CURL *curl;
    char url[64];
    const char *body;
    size_t len, sent;
};

static size_t bare_read(char *data, size_t size, size_t n, void *arg)
{
    struct bare *b = arg;
    size_t take = size * n < b->len - b->sent ? size * n : b->len - b->sent;
    memcpy(data, b->body + b->sent, take);
    b->sent += take;
    return take;
}

static void bare_put(struct bare *b)
{
    b->sent = 0;
    curl_easy_setopt(b->curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)b->len);
    if (curl_easy_perform(b->curl) != CURLE_OK)
        give_up("libcurl failed");
}

static void bare_open(struct bare *b, unsigned short port)
{
    (void)snprintf(b->url, sizeof b->url, "http://127.0.0.1:%u/evidence/bare", port);
    b->curl = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
    if (!b->curl || !headers)
        give_up("no libcurl");
    curl_easy_setopt(b->curl, CURLOPT_URL, b->url);
    curl_easy_setopt(b->curl, CURLOPT_UPLOAD, 1l);
    curl_easy_setopt(b->curl, CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BUFFER_BYTES);
    curl_easy_setopt(b->curl, CURLOPT_READFUNCTION, bare_read);
    curl_easy_setopt(b->curl, CURLOPT_READDATA, b);
    curl_easy_setopt(b->curl, CURLOPT_HTTPHEADER, headers);
}

/* ---- the four of them ---- */

static struct bare bare;
static struct wm_store *store;
static struct wm_view hash_hex;
static unsigned key_number;

static void ours(struct wm_view hex)
{
    static const struct wm_store_header headers[] = {
        {{"content-type", 12}, {"application/json", 16}},
        {{"content-encoding", 16}, {"gzip", 4}},
    };
    char key[128];
    struct wm_err err;
    (void)snprintf(key, sizeof key, "AWSLogs/123456789012/CloudTrail/us-east-1/2026/03/01/%u.json.gz", ++key_number);
    if (wm_store_put(store, wm_view_of(key), (struct wm_view){bare.body, bare.len}, hex, headers, 2, &err) != WM_OK)
        give_up(err.message);
}

static void do_bare(void)
{
    bare_put(&bare);
}

static void do_bare_hash(void)
{
    uint8_t hash[WM_SHA256_BYTES];
    wm_sha256(bare.body, bare.len, hash);
    bare_put(&bare);
}

static void do_ours_given(void)
{
    ours(hash_hex);
}

static void do_ours(void)
{
    ours(WM_EMPTY);
}

static double measure_us(void (*what)(void), unsigned times)
{
    double before = cpu_s();
    for (unsigned i = 0; i < times; i++)
        what();
    return (cpu_s() - before) / times * 1e6;
}

static void measure(size_t len, unsigned times, unsigned rounds)
{
    static void (*const what[4])(void) = {do_bare, do_bare_hash, do_ours_given, do_ours};
    static double us[4][MAX_ROUNDS], given[MAX_ROUNDS], whole[MAX_ROUNDS];
    static char hex[WM_SHA256_HEX_BYTES];
    uint8_t hash[WM_SHA256_BYTES];
    bare.len = len;
    wm_sha256(bare.body, len, hash);
    wm_hex(hash, sizeof hash, hex);
    hash_hex = (struct wm_view){hex, sizeof hex};
    for (unsigned w = 0; w < 4; w++)
        (void)measure_us(what[w], 2); /* warm */
    for (unsigned r = 0; r < rounds; r++) {
        for (unsigned w = 0; w < 4; w++)
            us[w][r] = measure_us(what[w], times);
        given[r] = us[2][r] / us[0][r];
        whole[r] = us[3][r] / us[1][r];
    }
    printf("%6zu KiB  %10.0f %12.0f %14.0f %8.2f %10.0f %8.2f\n", len / 1024, median(us[0], rounds),
           median(us[1], rounds), median(us[2], rounds), median(given, rounds), median(us[3], rounds),
           median(whole, rounds));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 11;
    unsigned short port;
    char endpoint[64];
    struct wm_err err;
    if (rounds < 1 || rounds > MAX_ROUNDS)
        give_up("ROUNDS is 1 to 101");
    pid_t sink = sink_start(&port);
    char *body = malloc(5 << 20);
    if (!body)
        give_up("no memory");
    wm_random(body, 5 << 20);
    bare.body = body;
    bare_open(&bare, port);
    (void)snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", port);
    const struct wm_store_s3_options o = {
        .bucket = WM_LIT("evidence"),
        .endpoint = wm_view_of(endpoint),
        .credentials = {.access_key_id = WM_LIT("AKIAEXAMPLE"), .secret_access_key = WM_LIT("secret")},
        .acl = WM_LIT("bucket-owner-full-control"),
        .clock = &wm_clock_system,
    };
    if (wm_store_s3_new(&o, &store, &err) != WM_OK)
        give_up(err.message);
    wm_store_s3_of(store)->core->locked.condition = WM_S3_CONDITION_HELD; /* as after the first object */

    printf("CPU µs per PUT, medians of %u rounds; the ratios are of a round's own two\n", rounds);
    printf("%10s  %10s %12s %14s %8s %10s %8s\n", "body", "libcurl", "with SHA-256", "ours, hashed", "/libcurl", "ours",
           "/SHA-256");
    measure(5 << 20, 20, rounds);
    measure(100 << 10, 200, rounds);
    measure(1 << 10, 500, rounds);

    wm_store_free(store);
    curl_easy_cleanup(bare.curl);
    free(body);
    (void)kill(sink, SIGKILL);
    (void)waitpid(sink, NULL, 0);
    return 0;
}
