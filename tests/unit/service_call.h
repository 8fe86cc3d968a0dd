/**
 * For tests of services: one call on its whole way but for HTTP, signature and journal: route, decode, run, apply the
 * changes, encode.
 */
#ifndef WAYMARK_TESTS_SERVICE_CALL_H
#define WAYMARK_TESTS_SERVICE_CALL_H

#include "tests/support/scratch.h"
#include "waymark/bounds.h"
#include "waymark/protocol.h"
#include "waymark/service.h"

static const struct wm_service *const call_services[] = {&wm_service_mediapackage, &wm_service_cloudtrail,
                                                         &wm_service_iam, &wm_service_sts};

/* 2026-03-01T10:07:12.345Z */
#define CALL_NOW ((struct wm_wall_ns){1772359632345000000})
#define CALL_KEY "0123456789abcdef0123456789abcdef"

struct fixture {
    struct scratch scratch;
    char path[320];
    struct wm_state *state;
    struct wm_board *board;
    struct wm_service_env env;
    struct wm_wall_ns now;
    struct wm_identity identity; /* who calls: root, unless the test says otherwise */
    const struct wm_principal *principal; /* the same; NULL where no operation that is called looks at it */
    struct wm_request_context context;
    struct wm_view signing_name; /* the service that the signature is for; empty: it does not tell */
    struct wm_arena arena;
    /* the last call's */
    struct wm_reply reply;
    struct wm_json *params;
    const struct wm_protocol *protocol;
    const struct wm_service *service;     /* NULL: not known */
    const struct wm_operation *operation; /* NULL: not known */
    struct wm_buf out;
    struct wm_json *answer; /* of a JSON protocol what was written; of the query protocol the document that was */
};

static inline void fixture_open_state(struct fixture *f)
{
    uint64_t cursor;
    assert_int_equal(wm_state_open(f->path, &f->state, &cursor, NULL), WM_OK);
}

static inline int fixture_set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    scratch_make(&f->scratch);
    (void)snprintf(f->path, sizeof f->path, "%s/state.db", f->scratch.dir); /* fits */
    fixture_open_state(f);
    f->board = wm_board_new();
    assert_non_null(f->board);
    f->env = (struct wm_service_env){
        .account_id = WM_LIT("111122223333"),
        .region = WM_LIT("us-west-2"),
        .board = f->board,
        .clock = &wm_clock_system,
        .master_key = (const uint8_t *)CALL_KEY,
        .root_since = {1767225600000000000}, /* 2026-01-01T00:00:00Z */
    };
    f->now = CALL_NOW;
    f->identity = (struct wm_identity){.type = WM_IDENTITY_ROOT,
                                       .principal_id = WM_LIT("111122223333"),
                                       .arn = WM_LIT("arn:aws:iam::111122223333:root"),
                                       .account_id = WM_LIT("111122223333"),
                                       .access_key_id = WM_LIT("AKIAROOTROOTROOTROOT")};
    wm_arena_init(&f->arena, WM_MAX_ARENA_BYTES);
    wm_buf_init(&f->out, WM_MAX_ARENA_BYTES);
    *state = f;
    return 0;
}

static inline int fixture_tear_down(void **state)
{
    struct fixture *f = *state;
    wm_state_close(f->state);
    wm_board_free(f->board);
    wm_arena_done(&f->arena);
    wm_buf_done(&f->out);
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

static inline void call_refuse(struct fixture *f, const struct wm_route *route, enum wm_refusal why, const char *message)
{
    f->reply.error_code = route->protocol->refusal(why, &f->reply.http_status);
    f->reply.error_message = wm_arena_copy(&f->arena, wm_view_of(message));
}

static inline void call_run(struct fixture *f, struct wm_call *c)
{
    bool changes = false;
    wm_state_lock(f->state);
    enum wm_status status = c->operation->run(c, &f->reply);
    if (status == WM_OK && f->reply.n_changes) {
        changes = true;
        status = wm_state_reserve(f->state, f->reply.changes, f->reply.n_changes, NULL);
        if (status == WM_OK)
            wm_state_apply(f->state, f->reply.changes, f->reply.n_changes);
    }
    wm_state_unlock(f->state); /* before anything is asserted: what fails closes the state, which takes the lock */
    assert_int_equal(status, WM_OK);
    assert_false(changes && c->operation->read_only);
}

static inline void call_decode_and_run(struct fixture *f, const struct wm_route *route,
                                       const struct wm_protocol_request *q)
{
    struct wm_err err = {0};
    struct wm_call c = {
        .env = &f->env,
        .operation = route->operation,
        .arena = &f->arena,
        .state = f->state,
        .identity = f->identity,
        .principal = f->principal,
        .context = &f->context,
        .now = f->now,
    };
    f->context.now = f->now;
    f->reply.http_status = route->operation->http_status;
    enum wm_status status = route->protocol->decode(&f->arena, route, q, &f->params, &err);
    if (status == WM_E_INVALID) {
        call_refuse(f, route, WM_REFUSE_MALFORMED_BODY, err.message);
    } else if (status == WM_E_LIMIT) {
        (void)wm_reply_error(&c, &f->reply, route->service->validation_error, route->service->validation_status, "%s",
                             err.message); /* always answers WM_OK */
    } else {
        assert_int_equal(status, WM_OK);
        c.params = f->params;
        call_run(f, &c);
    }
}

/** @return HTTP status. What was answered stands in f until the next call. */
static inline int call_request(struct fixture *f, const struct wm_protocol_request *q)
{
    struct wm_route route;
    wm_arena_clear(&f->arena);
    wm_buf_clear(&f->out);
    f->params = NULL;
    f->answer = NULL;
    f->reply = (struct wm_reply){0};
    wm_protocol_route(&f->arena, call_services, sizeof call_services / sizeof call_services[0], q, f->signing_name,
                      &route);
    f->protocol = route.protocol;
    f->service = route.service;
    f->operation = route.operation;
    if (route.operation)
        call_decode_and_run(f, &route, q);
    else
        call_refuse(f, &route, WM_REFUSE_UNKNOWN_OPERATION, "There is no such operation");
    if (f->reply.error_code) {
        assert_null(f->reply.document);
        assert_int_equal(f->reply.n_changes, 0);
        assert_true(f->reply.error_message.len > 0);
        route.protocol->encode_error(&route, f->reply.error_code, f->reply.http_status, f->reply.error_message,
                                     WM_LIT("request-1"), &f->out);
    } else {
        route.protocol->encode(&route, f->reply.document, WM_LIT("request-1"), &f->out);
    }
    assert_int_equal(wm_buf_status(&f->out), WM_OK);
    if (route.protocol != &wm_protocol_query && f->out.len)
        assert_int_equal(wm_json_parse(&f->arena, wm_buf_view(&f->out), &f->answer, NULL), WM_OK);
    if (route.protocol == &wm_protocol_query)
        f->answer = f->reply.document;
    return f->reply.http_status;
}

static inline int call_rest(struct fixture *f, const char *method, const char *path, const char *query,
                            const char *body)
{
    struct wm_protocol_request q = {
        .method = wm_view_of(method), .path = wm_view_of(path), .query = wm_view_of(query), .body = wm_view_of(body)};
    return call_request(f, &q);
}

/** An operation of the query protocol: "Action=GetUser&UserName=x", of this version. */
static inline int call_query(struct fixture *f, const char *version, const char *form)
{
    static char body[65536];
    assert_true(snprintf(body, sizeof body, "Version=%s&%s", version, form) < (int)sizeof body);
    struct wm_protocol_request q = {.method = WM_LIT("POST"),
                                    .path = WM_LIT("/"),
                                    .content_type = WM_LIT("application/x-www-form-urlencoded"),
                                    .body = wm_view_of(body)};
    return call_request(f, &q);
}

/** The operation with this name, of whatever service. */
static inline const struct wm_operation *service_operation(const char *name)
{
    for (size_t k = 0; k < sizeof call_services / sizeof call_services[0]; k++)
        for (size_t i = 0; i < call_services[k]->n_operations; i++)
            if (strcmp(call_services[k]->operations[i].name, name) == 0)
                return &call_services[k]->operations[i];
    fail_msg("there is no operation %s", name);
    return NULL;
}

/** Put a document into the state, as a call's change would. An empty one is removed. */
static inline void store_document(struct fixture *f, const char *kind, const char *id, const char *document)
{
    struct wm_change change = {
        .kind = wm_view_of(kind), .id = wm_view_of(id), .document = wm_view_of(document)};
    wm_state_lock(f->state);
    assert_int_equal(wm_state_reserve(f->state, &change, 1, NULL), WM_OK);
    wm_state_apply(f->state, &change, 1);
    wm_state_unlock(f->state);
}

/** The document, as text; NULL when there is none. Good until the next look. */
static inline const char *stored_document(struct fixture *f, const char *kind, const char *id)
{
    static char text[65536];
    struct wm_view document;
    wm_state_lock(f->state);
    bool found = wm_state_get(f->state, wm_view_of(kind), wm_view_of(id), &document);
    if (found)
        assert_true(wm_view_copy(document, text, sizeof text));
    wm_state_unlock(f->state);
    return found ? text : NULL;
}

static inline size_t count_documents(struct fixture *f, const char *kind)
{
    wm_state_lock(f->state);
    size_t n = wm_state_count(f->state, wm_view_of(kind));
    wm_state_unlock(f->state);
    return n;
}

/** Run an operation without decoding, on memory of the test's choice. */
static inline enum wm_status run_operation(struct fixture *f, const char *name, struct wm_arena *arena,
                                           const struct wm_json *params, struct wm_reply *r)
{
    const struct wm_operation *operation = service_operation(name);
    struct wm_call c = {.env = &f->env,
                        .operation = operation,
                        .arena = arena,
                        .state = f->state,
                        .params = params,
                        .identity = f->identity,
                        .now = f->now};
    *r = (struct wm_reply){.http_status = 200};
    wm_state_lock(f->state);
    enum wm_status status = operation->run(&c, r);
    wm_state_unlock(f->state);
    return status;
}

/** A case of an operation that is tried with too little memory. */
struct small_case {
    const char *operation, *params;
};

/** A document that this service did not write is an error of ours, answered as such, not a crash. */
static inline void assert_corrupt(struct fixture *f, const struct small_case *calls, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct wm_json *params;
        struct wm_reply r;
        wm_arena_clear(&f->arena);
        assert_int_equal(wm_json_parse(&f->arena, wm_view_of(calls[i].params), &params, NULL), WM_OK);
        if (run_operation(f, calls[i].operation, &f->arena, params, &r) != WM_E_CORRUPT)
            fail_msg("%s %s was answered", calls[i].operation, calls[i].params);
        assert_int_equal(r.n_changes, 0);
    }
}

/** With too little memory a call either works as ever or says so; it changes nothing by half. */
static inline void assert_survives_small_arena(struct fixture *f, const struct small_case *cases, size_t n,
                                               size_t max_bytes)
{
    for (size_t i = 0; i < n; i++) {
        struct wm_json *params = NULL;
        size_t worked = 0, failed = 0, most = 0;
        wm_arena_clear(&f->arena);
        assert_int_equal(wm_json_parse(&f->arena, wm_view_of(cases[i].params), &params, NULL), WM_OK);
        for (size_t left = 0; left < max_bytes - 4096; left += 128) {
            struct wm_arena small;
            struct wm_reply r;
            wm_arena_init(&small, max_bytes);
            assert_non_null(wm_arena_alloc(&small, max_bytes - 32 - left));
            enum wm_status status = run_operation(f, cases[i].operation, &small, params, &r);
            if (wm_arena_status(&small) == WM_OK) {
                assert_int_equal(status, WM_OK);
                assert_true(r.n_changes >= most);
                most = r.n_changes;
                worked++;
            } else {
                assert_true(status == WM_E_NOMEM || r.error_code);
                failed++;
            }
            wm_arena_done(&small);
        }
        if (worked == 0 || failed == 0)
            fail_msg("%s worked %zu times, failed %zu times", cases[i].operation, worked, failed);
    }
}

/** Assert that the last call was refused so, with this in its message. */
static inline void assert_refused(struct fixture *f, int http_status, const char *code, const char *part)
{
    char text[2048];
    assert_non_null(f->reply.error_code);
    assert_string_equal(f->reply.error_code, code);
    assert_int_equal(f->reply.http_status, http_status);
    assert_true(wm_view_copy(f->reply.error_message, text, sizeof text));
    if (!strstr(text, part))
        fail_msg("'%s' is not in '%s'", part, text);
}

static inline void assert_text(const struct wm_json *object, const char *key, const char *want)
{
    char text[2048];
    const struct wm_json *v = wm_json_get(object, key);
    assert_non_null(v);
    assert_int_equal(v->type, WM_JSON_STRING);
    assert_true(wm_view_copy(v->text, text, sizeof text));
    assert_string_equal(text, want);
}

#endif
