/*
 * Calls, one a line, in the three protocols: routed, decoded, run and applied as in the server, one after the other.
 *
 *     METHOD[@SIGNED-FOR[@CONTENT-TYPE[@CALLER]]] PATH[?QUERY] BODY
 *     TARGET.OPERATION[@…] BODY
 *
 * Root calls, or, where CALLER is "k", who has the last credentials that were answered, if they still open anything.
 * `$Name` stands for the last text that an answer had under that name, so that ids and page tokens, which are random,
 * can be meant.
 *
 * Holds (beside what call_request() asserts): each is answered, in JSON or XML; a refusal changes nothing; whether it
 * is allowed can be decided; neither a record nor a document of the state has a secret; documents and what refers to
 * them agree.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <expat.h>

#include "tests/fuzz/fuzz.h"
#include "tests/unit/caller_rig.h"
#include "waymark/authorize.h"
#include "waymark/record.h"
#include "waymark/sigv4.h"

#include "waymark/banned.h"

#define MAX_LINES 100

/* ---- texts of earlier answers ---- */

#define MAX_NAME_BYTES 32
#define MAX_SECRETS 16
#define MAX_TEXT_BYTES (WM_MAX_SESSION_TOKEN_BYTES + 1)

struct text {
    char name[MAX_NAME_BYTES];
    char value[MAX_TEXT_BYTES];
};

static struct {
    struct text answered[64]; /* the last one of each name */
    struct text secrets[MAX_SECRETS]; /* the last ones */
    struct caller caller; /* who has the last credentials */
    char kinds[WM_MAX_STATE_KINDS][64];
    size_t n_answered, n_secrets, n_kinds;
} seen;

static bool is_secret(struct wm_view name)
{
    static const char *const names[] = {"username", "password", "SecretAccessKey", "SessionToken"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (wm_view_eq_str(name, names[i]))
            return true;
    return false;
}

static struct text *text_of(struct wm_view name)
{
    for (size_t i = 0; i < seen.n_answered; i++)
        if (wm_view_eq_str(name, seen.answered[i].name))
            return &seen.answered[i];
    return NULL;
}

static void remember(struct wm_view name, struct wm_view value)
{
    struct text *t = text_of(name);
    if (value.len == 0 || value.len >= MAX_TEXT_BYTES || name.len >= MAX_NAME_BYTES)
        return;
    if (is_secret(name))
        t = &seen.secrets[seen.n_secrets++ % MAX_SECRETS];
    else if (!t && seen.n_answered < sizeof seen.answered / sizeof seen.answered[0])
        t = &seen.answered[seen.n_answered++];
    if (t && wm_view_copy(name, t->name, sizeof t->name))
        (void)wm_view_copy(value, t->value, sizeof t->value); /* fits */
}

static void remember_all(const struct wm_json *v)
{
    struct wm_view secret = wm_json_get_text(v, "SecretAccessKey");
    if (secret.len) {
        MUST(wm_view_copy(wm_json_get_text(v, "AccessKeyId"), seen.caller.key_id, sizeof seen.caller.key_id));
        MUST(wm_view_copy(secret, seen.caller.secret, sizeof seen.caller.secret));
        MUST(wm_view_copy(wm_json_get_text(v, "SessionToken"), seen.caller.token, sizeof seen.caller.token));
    }
    for (const struct wm_json *e = v ? v->first : NULL; e; e = e->next) {
        if (e->type == WM_JSON_STRING)
            remember(e->key, e->text);
        remember_all(e);
    }
}

static size_t name_length(struct wm_view text)
{
    size_t n = 0;
    while (n < text.len && ((text.ptr[n] >= 'a' && text.ptr[n] <= 'z') || (text.ptr[n] >= 'A' && text.ptr[n] <= 'Z')))
        n++;
    return n;
}

/* The text with each `$Name` replaced. */
static struct wm_view expand(struct wm_buf *out, struct wm_view text, bool encode)
{
    wm_buf_clear(out);
    for (size_t i = 0; i < text.len; i++) {
        struct wm_view rest = wm_view_sub(text, i + 1, text.len);
        const struct text *t = text.ptr[i] == '$' ? text_of(wm_view_sub(rest, 0, name_length(rest))) : NULL;
        if (!t) {
            wm_buf_add_char(out, text.ptr[i]);
            continue;
        }
        if (encode)
            wm_uri_encode(out, wm_view_of(t->value), false);
        else
            wm_buf_add_str(out, t->value);
        i += strlen(t->name);
    }
    MUST(wm_buf_status(out) == WM_OK);
    return wm_buf_view(out);
}

/* ---- what holds of a call ---- */

static void check_no_secret(struct wm_view text)
{
    for (size_t i = 0; i < seen.n_secrets && i < MAX_SECRETS; i++) {
        const char *secret = seen.secrets[i].value;
        MUST(text.len == 0 || !memmem(text.ptr, text.len, secret, strlen(secret)));
    }
}

static void check_record(struct fixture *f, struct wm_view user_agent)
{
    bool failed = f->reply.error_code != NULL;
    struct wm_record record = {
        .identity = f->identity,
        .event_source = WM_LIT("x.amazonaws.com"),
        .event_name = WM_LIT("X"),
        .user_agent = user_agent,
        .error_code = wm_view_of(f->reply.error_code),
        .error_message = f->reply.error_message,
    };
    struct wm_buf line;
    struct wm_json *parsed;
    wm_buf_init(&line, WM_MAX_RECORD_BYTES);
    if (f->operation && f->params)
        record.request_parameters = wm_service_redact_params(&f->arena, f->service, f->operation, f->params);
    if (f->operation && (!f->operation->read_only || f->operation->gives_access) && !failed)
        record.response_elements = wm_service_redact_output(&f->arena, f->service, f->operation, f->reply.document);
    MUST(wm_record_encode(&record, &line) == WM_OK);
    MUST(wm_json_parse(&f->arena, wm_buf_view(&line), &parsed, NULL) == WM_OK);
    check_no_secret(wm_buf_view(&line));
    wm_buf_done(&line);
}

static void check_changes(struct fixture *f)
{
    for (size_t i = 0; i < f->reply.n_changes; i++) {
        const struct wm_change *change = &f->reply.changes[i];
        size_t k = 0;
        check_no_secret(change->document);
        while (k < seen.n_kinds && !wm_view_eq_str(change->kind, seen.kinds[k]))
            k++;
        if (k == seen.n_kinds)
            MUST(wm_view_copy(change->kind, seen.kinds[seen.n_kinds++], sizeof seen.kinds[0]));
    }
}

static void check_answer(struct fixture *f)
{
    MUST(!f->reply.error_code || (f->reply.http_status >= 400 && f->reply.http_status < 600));
    if (f->protocol != &wm_protocol_query)
        return; /* call_request() has read its JSON */
    XML_Parser p = XML_ParserCreate("UTF-8");
    MUST(p);
    MUST(XML_Parse(p, f->out.data, (int)f->out.len, XML_TRUE) == XML_STATUS_OK);
    XML_ParserFree(p);
}

/* ---- what holds of the state ---- */

/* An entry of the endpoints' index has its endpoint and its channel. */
static bool has_both(void *arg, struct wm_view entry, struct wm_view document)
{
    struct fixture *f = arg;
    struct wm_view endpoint = entry, channel = wm_view_split(&endpoint, '/');
    MUST(wm_state_get(f->state, WM_LIT("mediapackage.channel"), channel, &document));
    MUST(wm_state_get(f->state, WM_LIT("mediapackage.origin_endpoint"), endpoint, &document));
    return true;
}

static void check_state(struct fixture *f)
{
    iam_check_state(f);
    MUST(count_documents(f, "mediapackage.origin_endpoint") == count_documents(f, "mediapackage.channel_endpoint"));
    MUST(count_documents(f, "mediapackage.harvest_job") == count_documents(f, "mediapackage.harvest_job_time"));
    MUST(count_documents(f, "mediapackage.channel") <= WM_MAX_CHANNELS);
    wm_state_lock(f->state);
    wm_state_each(f->state, WM_LIT("mediapackage.channel_endpoint"), WM_EMPTY, has_both, f);
    wm_state_unlock(f->state);
}

static bool first(void *arg, struct wm_view id, struct wm_view document)
{
    (void)document;
    MUST(wm_view_copy(id, arg, 4096));
    return false;
}

static void clear(struct fixture *f)
{
    for (size_t i = 0; i < seen.n_kinds; i++) {
        while (count_documents(f, seen.kinds[i]) > 0) {
            char id[4096];
            wm_state_lock(f->state);
            wm_state_each(f->state, wm_view_of(seen.kinds[i]), WM_EMPTY, first, id);
            wm_state_unlock(f->state);
            store_document(f, seen.kinds[i], id, "");
        }
    }
    seen.n_answered = seen.n_secrets = seen.n_kinds = 0; /* not all of it, which is large */
    seen.caller.key_id[0] = '\0';
}

/* ---- calls ---- */

static const struct wm_principal *root;

static struct caller_rig *open_once(void)
{
    static void *g;
    if (!g) {
        MUST(setenv("CMOCKA_TEST_ABORT", "1", 1) == 0); /* for what fails outside a test of its own */
        MUST(caller_rig_set_up(&g) == 0);
        const struct caller who = caller_root(g);
        const struct wm_board_trail trail = {
            .name = "demo", .arn = "arn:aws:cloudtrail:us-west-2:111122223333:trail/demo", .bucket = "b"};
        root = identified(g, &who);
        MUST(wm_board_post_trail(((struct caller_rig *)g)->f->board, &trail) == WM_OK);
        scratch_remove(&((struct caller_rig *)g)->f->scratch); /* nothing is followed, so nothing is written */
    }
    return g;
}

static void set_caller(struct caller_rig *g, bool is_root)
{
    const struct wm_principal *p = NULL;
    if (!is_root && seen.caller.key_id[0])
        (void)identify(g, &seen.caller, "sts", &p); /* whether he is somebody still, p tells */
    if (g->f->principal != root)
        wm_principal_release(g->f->principal);
    g->f->principal = p ? p : root;
    g->f->identity = g->f->principal->identity;
}

/* The decision itself is held against another one in fuzz_policy and policy_random.py. */
static void check_permission(struct fixture *f)
{
    struct wm_call c = {.env = &f->env, .operation = f->operation, .arena = &f->arena, .state = f->state,
                        .params = f->params, .identity = f->identity, .principal = f->principal,
                        .context = &f->context, .now = f->now};
    struct wm_demands demands;
    struct wm_decided decided;
    const struct wm_access access = {
        .arena = &f->arena, .principal = f->principal, .context = &f->context, .demands = &demands};
    if (!f->operation || f->operation->no_demands || f->reply.error_code) /* its parameters may be wrong */
        return;
    wm_state_lock(f->state);
    MUST(wm_service_demands(f->service, &c, &demands) == WM_OK);
    MUST(wm_authorize(&access, &decided) == WM_OK);
    MUST(decided.decision == WM_DECIDED_ALLOWED || wm_authorize_message(&access, &decided).len > 0);
    wm_state_unlock(f->state);
}

static void call(struct caller_rig *g, struct wm_view line)
{
    struct fixture *f = g->f;
    struct wm_view body = line, how = wm_view_split(&body, ' '), method = wm_view_split(&how, '@');
    struct wm_protocol_request q = {.method = method};
    struct wm_buf path, query, expanded;
    wm_buf_init(&path, 1u << 24);
    wm_buf_init(&query, 1u << 24);
    wm_buf_init(&expanded, 1u << 24);
    f->signing_name = wm_view_split(&how, '@');
    q.content_type = wm_view_split(&how, '@');
    if (wm_view_find(method, '.') < method.len) {
        q.method = WM_LIT("POST");
        q.path = WM_LIT("/");
        q.target = method;
    } else {
        struct wm_view rest = wm_view_split(&body, ' ');
        q.path = expand(&path, wm_view_split(&rest, '?'), true);
        q.query = expand(&query, rest, true);
    }
    q.body = expand(&expanded, body, !wm_view_starts(body, "{"));
    set_caller(g, !wm_view_eq_str(how, "k"));
    (void)call_request(f, &q); /* any status will do */
    remember_all(f->reply.document);
    check_answer(f);
    check_changes(f);
    check_permission(f);
    check_record(f, line);
    wm_buf_done(&path);
    wm_buf_done(&query);
    wm_buf_done(&expanded);
    f->now.ns += 3000000000;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct wm_view rest = {(const char *)data, len};
    struct caller_rig *g = open_once();
    g->f->now = CALL_NOW;
    for (size_t n = 0; rest.len && n < MAX_LINES; n++)
        call(g, wm_view_split(&rest, '\n'));
    check_state(g->f);
    clear(g->f);
    return 0;
}
