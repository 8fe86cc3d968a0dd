/*
 * Calls, one a line: method, path with query, body, between blanks. They are routed, decoded, run and applied as in the
 * server, one after the other. Holds: each is answered, with JSON; a refusal changes nothing; what is recorded of it has
 * no secret; documents and the indexes beside them agree, and no endpoint is without its channel.
 */
#include <string.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "waymark/bounds.h"
#include "waymark/protocol.h"
#include "waymark/service.h"

#include "waymark/banned.h"

static const struct wm_service *const services[] = {&wm_service_mediapackage, &wm_service_cloudtrail, &wm_service_iam,
                                                    &wm_service_sts};
static const char *const kinds[] = {"mediapackage.channel", "mediapackage.origin_endpoint", "mediapackage.channel_endpoint",
                                    "mediapackage.harvest_job", "mediapackage.harvest_job_time"};
static struct wm_service_env env;
static struct wm_state *state;
static int64_t now_s;

static void open_once(void)
{
    char folder[] = "/tmp/waymark-fuzz-XXXXXX", path[64];
    uint64_t cursor;
    if (state)
        return;
    MUST(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/state.db", folder);
    MUST(wm_state_open(path, &state, &cursor, NULL) == WM_OK);
    static const char *const files[] = {"state.db", "state.db-wal", "state.db-shm"};
    for (size_t i = 0; i < 3; i++) { /* nothing is followed, so nothing is written */
        (void)snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        (void)unlink(path);
    }
    (void)rmdir(folder);
    env = (struct wm_service_env){.account_id = WM_LIT("111122223333"),
                                  .region = WM_LIT("us-west-2"),
                                  .board = wm_board_new(),
                                  .clock = &wm_clock_system,
                                  .master_key = (const uint8_t *)"0123456789abcdef0123456789abcdef"};
    MUST(env.board);
}

static void apply(const struct wm_change *changes, size_t n)
{
    MUST(wm_state_reserve(state, changes, n, NULL) == WM_OK);
    wm_state_apply(state, changes, n);
}

static bool first(void *arg, struct wm_view id, struct wm_view document)
{
    (void)document;
    MUST(wm_view_copy(id, arg, 1024));
    return false;
}

static void clear(void)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        while (wm_state_count(state, wm_view_of(kinds[i])) > 0) {
            char id[1024];
            wm_state_each(state, wm_view_of(kinds[i]), WM_EMPTY, first, id);
            const struct wm_change gone = {.kind = wm_view_of(kinds[i]), .id = wm_view_of(id)};
            apply(&gone, 1);
        }
    }
}

/* An entry of the endpoints' index has its endpoint and its channel. */
static bool has_both(void *arg, struct wm_view entry, struct wm_view document)
{
    struct wm_view endpoint = entry, channel = wm_view_split(&endpoint, '/');
    (void)arg;
    MUST(wm_state_get(state, wm_view_of(kinds[0]), channel, &document));
    MUST(wm_state_get(state, wm_view_of(kinds[1]), endpoint, &document));
    return true;
}

static void check_state(void)
{
    MUST(wm_state_count(state, wm_view_of(kinds[1])) == wm_state_count(state, wm_view_of(kinds[2])));
    MUST(wm_state_count(state, wm_view_of(kinds[3])) == wm_state_count(state, wm_view_of(kinds[4])));
    MUST(wm_state_count(state, wm_view_of(kinds[0])) <= WM_MAX_CHANNELS);
    wm_state_each(state, wm_view_of(kinds[2]), WM_EMPTY, has_both, NULL);
}

/* Run it, and leave the reply in *r. */
static void run(struct wm_arena *a, const struct wm_route *route, const struct wm_protocol_request *q, struct wm_reply *r)
{
    struct wm_json *params = NULL;
    struct wm_err err = {0};
    struct wm_call c = {.env = &env, .operation = route->operation, .arena = a, .state = state,
                        .now = wm_wall_from_seconds(now_s)};
    enum wm_status status = route->protocol->decode(a, route, q, &params, &err);
    MUST(status == WM_OK || status == WM_E_INVALID || status == WM_E_LIMIT || status == WM_E_NOMEM);
    MUST(status == WM_OK || err.message[0] != '\0');
    if (status == WM_OK) {
        c.params = params;
        status = route->operation->run(&c, r);
        MUST(status == WM_OK || status == WM_E_NOMEM);
    }
    if (status != WM_OK)
        (void)wm_reply_error(&c, r, "Refused", 400, "%s", err.message); /* always WM_OK */
    (void)wm_service_redact_params(a, route->service, route->operation, params); /* must not crash; may be nothing */
}

static void check_reply(struct wm_arena *a, const struct wm_route *route, struct wm_reply *r)
{
    struct wm_buf out;
    struct wm_json *parsed;
    MUST(!r->error_code || (r->n_changes == 0 && !r->document && r->error_message.len > 0));
    MUST(r->n_changes == 0 || !route->operation->read_only);
    wm_buf_init(&out, WM_MAX_ARENA_BYTES);
    const struct wm_json *recorded = wm_service_redact_output(a, route->service, route->operation, r->document);
    if (recorded && wm_arena_status(a) == WM_OK) {
        wm_json_write(&out, recorded);
        MUST(!wm_json_get(recorded, "hlsIngest") || memmem(out.data, out.len, "\"password\":\"***\"", 16));
    }
    wm_buf_clear(&out);
    if (r->error_code)
        route->protocol->encode_error(route, r->error_code, r->http_status, r->error_message, WM_LIT("id"), &out);
    else
        route->protocol->encode(route, r->document, WM_LIT("id"), &out);
    if (route->protocol != &wm_protocol_query && out.len && wm_arena_status(a) == WM_OK)
        MUST(wm_json_parse(a, wm_buf_view(&out), &parsed, NULL) == WM_OK || wm_arena_status(a) != WM_OK);
    wm_buf_done(&out);
}

static void call(struct wm_view line)
{
    struct wm_arena a;
    struct wm_route route;
    struct wm_view body = line, method = wm_view_split(&body, ' '), path = wm_view_split(&body, ' '), query = path;
    struct wm_reply r = {.http_status = 200};
    path = wm_view_split(&query, '?');
    const struct wm_protocol_request q = {.method = method, .path = path, .query = query, .body = body};
    wm_arena_init(&a, WM_MAX_ARENA_BYTES);
    wm_protocol_route(&a, services, sizeof services / sizeof services[0], &q, WM_EMPTY, &route);
    MUST(route.protocol);
    if (route.operation) {
        run(&a, &route, &q, &r);
        check_reply(&a, &route, &r);
        if (r.n_changes && wm_arena_status(&a) == WM_OK)
            apply(r.changes, r.n_changes);
    }
    wm_arena_done(&a);
    now_s += 3;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct wm_view rest = {(const char *)data, len};
    open_once();
    now_s = 1772359632; /* 2026-03-01T10:07:12Z */
    wm_state_lock(state);
    for (size_t n = 0; rest.len && n < 100; n++)
        call(wm_view_split(&rest, '\n'));
    check_state();
    clear();
    wm_state_unlock(state);
    return 0;
}
