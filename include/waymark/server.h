/**
 * The HTTP front: loops around libmicrohttpd, each with its own epoll set, and the one path of a call.
 *
 * A loop's turn: take every ready request (parse, authenticate, run, encode, append), have the journal commit once, and
 * send their replies in the same thread. So one sync covers all that came together, and no thread is woken on the way to a
 * reply.
 *
 * Limits and their answers: a body above max_body_bytes 413, headers that do not fit connection_memory_bytes 431, a
 * request not whole within request_timeout_ms 408, more than max_connections: not accepted until one ends. 413, and
 * 408 once the headers were whole, are calls and are recorded like any other; without headers there is no call.
 *
 * It listens from the start, so that whoever asks for its health can be told that it is starting: until wm_server_serve()
 * each call is answered 503. What is answered beside the calls: server/monitor.h.
 */
#ifndef WAYMARK_SERVER_H
#define WAYMARK_SERVER_H

#include <stddef.h>
#include <stdint.h>

#include "waymark/auth.h"
#include "waymark/recorder.h"
#include "waymark/service.h"
#include "waymark/status.h"
#include "waymark/throttle.h"

struct wm_server;

struct wm_server_options {
    const char *listen;               /* "HOST:PORT", "[V6]:PORT"; port 0 takes a free one */
    int64_t threads;                  /* loops, 1 to 64 */
    int64_t max_connections;
    int64_t connection_memory_bytes;
    int64_t max_body_bytes;
    int64_t request_timeout_ms;
    int64_t idle_timeout_ms;
    const char *const *trusted_proxies; /* addresses or CIDR blocks; copied */
    size_t n_trusted_proxies;
    const char *const *cors_origins;  /* outlive the server */
    size_t n_cors_origins;
    struct wm_throttle_limit source_limit, principal_limit;
    const struct wm_service_env *env; /* outlives the server; but for its clock filled in before wm_server_serve() */
    const struct wm_service *const *services;
    size_t n_services;
    bool record;                      /* false: calls are answered without an entry in the journal (for measuring) */
    bool answer_reads;                /* calls that cannot change anything are answered, unrecorded, when it is full */
};

/** Listen and start the loops. @return WM_E_INVALID (*err names the option), WM_E_IO (address in use …), WM_E_NOMEM */
enum wm_status wm_server_start(const struct wm_server_options *o, struct wm_server **out, struct wm_err *err) WM_MUST_CHECK;
/**
 * Serve calls from now on. Once.
 * @param auth, recorder  outlive the server
 * @thread that of wm_server_start()
 */
void wm_server_serve(struct wm_server *s, struct wm_auth *auth, struct wm_recorder *recorder);
/** "127.0.0.1:8480": where it listens. Valid as long as the server. */
const char *wm_server_address(const struct wm_server *s);
/**
 * True once the journal has failed: every call is answered 503 from then on, health is red, and only a restart helps.
 * @thread any
 */
bool wm_server_failed(struct wm_server *s);
/** Stop listening, answer the calls in flight within deadline_ms, close what is left, release. NULL allowed. */
void wm_server_stop(struct wm_server *s, int64_t deadline_ms);

#endif
