#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/service_call.h"
#include "waymark/hash.h"

#include "waymark/banned.h"

#define KIND "mediapackage.channel"

static int create(struct fixture *f, const char *id)
{
    char body[600];
    (void)snprintf(body, sizeof body, "{\"id\":\"%s\"}", id);
    return call_rest(f, "POST", "/channels", "", body);
}

static bool is_hex(struct wm_view v, size_t len)
{
    uint8_t bytes[64];
    for (size_t i = 0; i < v.len; i++)
        if (v.ptr[i] >= 'A' && v.ptr[i] <= 'F')
            return false;
    return v.len == len && wm_hex_decode(v, bytes, len / 2);
}

static struct wm_json *endpoint(struct wm_json *channel, size_t i)
{
    struct wm_json *list = wm_json_get(wm_json_get(channel, "hlsIngest"), "ingestEndpoints");
    assert_non_null(list);
    assert_int_equal(list->count, 2);
    return i == 0 ? list->first : list->last;
}

static void create_channel_answers_the_whole_channel(void **state)
{
    struct fixture *f = *state;
    char want[512], arn[256];
    assert_int_equal(call_rest(f, "POST", "/channels", "",
                               "{\"id\":\"Cam_1-a\",\"description\":\"caf\xc3\xa9 \\\"1\\\"\",\"tags\":{\"team\":\"sport 17\",\"e\":\"\"},"
                               "\"egressAccessLogs\":{\"logGroupName\":\"not of this operation\"}}"),
                     200);
    struct wm_json *c = f->answer;
    static const char *const members[] = {"arn", "createdAt", "description", "hlsIngest", "id", "tags"};
    assert_int_equal(c->count, 6);
    const struct wm_json *m = c->first;
    for (size_t i = 0; i < 6; i++, m = m->next)
        assert_true(wm_view_eq_str(m->key, members[i]));
    assert_text(c, "id", "Cam_1-a");
    assert_text(c, "description", "caf\xc3\xa9 \"1\"");
    assert_text(c, "createdAt", "2026-03-01T10:07:12Z");
    assert_text(wm_json_get(c, "tags"), "team", "sport 17");
    assert_text(wm_json_get(c, "tags"), "e", "");
    assert_int_equal(wm_json_get(c, "tags")->count, 2);

    struct wm_view guid = wm_json_get_text(endpoint(c, 0), "id");
    struct wm_view second = wm_json_get_text(endpoint(c, 1), "id");
    assert_true(is_hex(guid, 32));
    assert_true(is_hex(second, 32));
    assert_false(wm_view_eq(guid, second));
    (void)snprintf(arn, sizeof arn, "arn:aws:mediapackage:us-west-2:111122223333:channels/%.*s", WM_ARG(guid));
    assert_text(c, "arn", arn);

    struct wm_view hosts[2], secrets[4];
    for (size_t i = 0; i < 2; i++) {
        struct wm_json *e = endpoint(c, i);
        struct wm_view url = wm_json_get_text(e, "url"), id = wm_json_get_text(e, "id");
        assert_true(wm_view_starts(url, "https://"));
        hosts[i] = wm_view_sub(url, 8, 24);
        assert_true(is_hex(hosts[i], 16));
        (void)snprintf(want, sizeof want, "https://%.*s.mediapackage.us-west-2.amazonaws.com/in/v2/%.*s/%.*s/channel",
                       WM_ARG(hosts[i]), WM_ARG(guid), WM_ARG(id));
        assert_text(e, "url", want);
        secrets[2 * i] = wm_json_get_text(e, "username");
        secrets[2 * i + 1] = wm_json_get_text(e, "password");
    }
    assert_false(wm_view_eq(hosts[0], hosts[1]));
    for (size_t i = 0; i < 4; i++) {
        assert_true(is_hex(secrets[i], 32));
        for (size_t k = 0; k < i; k++)
            assert_false(wm_view_eq(secrets[i], secrets[k]));
    }
}

static void create_channel_defaults_description_and_tags(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(create(f, "a"), 200);
    assert_text(f->answer, "description", "");
    assert_int_equal(wm_json_get(f->answer, "tags")->type, WM_JSON_OBJECT);
    assert_int_equal(wm_json_get(f->answer, "tags")->count, 0);
    assert_null(wm_json_get(f->answer, "egressAccessLogs"));
}

static void channel_arn_follows_the_partition(void **state)
{
    struct fixture *f = *state;
    f->env.region = WM_LIT("us-gov-west-1");
    assert_int_equal(create(f, "a"), 200);
    assert_true(wm_view_starts(wm_json_get_text(f->answer, "arn"), "arn:aws-us-gov:mediapackage:us-gov-west-1:"));
    f->env.region = WM_LIT("cn-north-1");
    assert_int_equal(create(f, "b"), 200);
    assert_true(wm_view_starts(wm_json_get_text(f->answer, "arn"), "arn:aws-cn:mediapackage:cn-north-1:"));
}

static void secrets_are_given_but_never_stored_or_recorded(void **state)
{
    struct fixture *f = *state;
    char given[4][33], other[33];
    const char *document;
    assert_int_equal(create(f, "a"), 200);
    for (size_t i = 0; i < 2; i++) {
        assert_true(wm_view_copy(wm_json_get_text(endpoint(f->answer, i), "username"), given[2 * i], 33));
        assert_true(wm_view_copy(wm_json_get_text(endpoint(f->answer, i), "password"), given[2 * i + 1], 33));
    }
    document = stored_document(f, KIND, "a");
    struct wm_json *recorded =
        wm_service_redact_output(&f->arena, &wm_service_mediapackage, f->operation, f->reply.document);
    struct wm_buf record;
    wm_buf_init(&record, 100000);
    wm_json_write(&record, recorded);
    for (size_t i = 0; i < 4; i++) {
        assert_null(strstr(document, given[i]));
        assert_null(strstr(wm_buf_cstr(&record), given[i]));
    }
    for (size_t i = 0; i < 2; i++) {
        assert_text(endpoint(recorded, i), "username", "***");
        assert_text(endpoint(recorded, i), "password", "***");
        assert_true(is_hex(wm_json_get_text(endpoint(recorded, i), "id"), 32));
        assert_true(wm_view_starts(wm_json_get_text(endpoint(recorded, i), "url"), "https://"));
    }
    wm_buf_done(&record);

    /* the same values each time, whoever asks in whatever way */
    assert_int_equal(call_rest(f, "GET", "/channels/a", "", ""), 200);
    assert_text(endpoint(f->answer, 1), "password", given[3]);
    assert_int_equal(call_rest(f, "GET", "/channels", "", ""), 200);
    assert_text(endpoint(wm_json_get(f->answer, "channels")->first, 0), "username", given[0]);
    recorded = wm_service_redact_output(&f->arena, &wm_service_mediapackage, f->operation, f->reply.document);
    assert_text(endpoint(wm_json_get(recorded, "channels")->first, 0), "username", "***");
    /* and others under another master key */
    f->env.master_key = (const uint8_t *)"another key, also of 32 bytes...";
    assert_int_equal(call_rest(f, "GET", "/channels/a", "", ""), 200);
    assert_true(wm_view_copy(wm_json_get_text(endpoint(f->answer, 1), "password"), other, sizeof other));
    assert_string_not_equal(other, given[3]);
}

/* Computed once with another implementation (Python's hmac), so that a change that would lock encoders out is seen. */
static void secrets_follow_from_key_guid_and_generation(void **state)
{
    struct fixture *f = *state;
    store_document(f, KIND, "old",
                   "{\"id\":\"old\",\"guid\":\"g1\",\"arn\":\"arn:x\",\"createdAt\":\"2026-01-01T00:00:00Z\","
                   "\"description\":\"\",\"ingestEndpoints\":[{\"id\":\"g1\",\"url\":\"https://u1\",\"generation\":1},"
                   "{\"id\":\"e2\",\"url\":\"https://u2\",\"generation\":7}],\"tags\":{}}");
    assert_int_equal(call_rest(f, "GET", "/channels/old", "", ""), 200);
    assert_text(endpoint(f->answer, 0), "username", "45790b4b8fc89cfe2f30b46722255e22");
    assert_text(endpoint(f->answer, 0), "password", "812422c18f4c9d07dcd780155aa92ecc");
    assert_text(endpoint(f->answer, 1), "username", "badc64e7da512f5e8e0bee41323f91d9");
    assert_text(endpoint(f->answer, 1), "password", "edd2a1e7e70e5e6f293be85c625fcc5e");
}

static void create_channel_refuses_bad_ids(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {"", "a b", "a/b", "a.b", "\xc3\xa4", "a\\u0000", "a\\n", "..", "a:b"};
    char body[600];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(create(f, bad[i]), 422);
        assert_refused(f, 422, "UnprocessableEntityException", "'id'");
    }
    (void)snprintf(body, sizeof body, "%0257d", 1);
    assert_int_equal(create(f, body), 422);
    assert_refused(f, 422, "UnprocessableEntityException", "256");
    assert_int_equal(call_rest(f, "POST", "/channels", "", "{}"), 422);
    assert_refused(f, 422, "UnprocessableEntityException", "'id' is required");
    assert_int_equal(call_rest(f, "POST", "/channels", "", ""), 422);
    assert_int_equal(call_rest(f, "POST", "/channels", "", "{\"id\":7}"), 422);
    assert_refused(f, 422, "UnprocessableEntityException", "must be a string");
    assert_int_equal(count_documents(f, KIND), 0);
    (void)snprintf(body, sizeof body, "%0256d", 1);
    assert_int_equal(create(f, body), 200);
    assert_int_equal(create(f, "_"), 200);
    assert_int_equal(create(f, "-"), 200);
    assert_int_equal(count_documents(f, KIND), 3);
}

static void create_channel_refuses_a_taken_id(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(create(f, "a"), 200);
    assert_int_equal(create(f, "A"), 200); /* ids are case-sensitive */
    assert_int_equal(create(f, "a"), 422);
    assert_refused(f, 422, "UnprocessableEntityException", "'a' exists already");
    assert_int_equal(count_documents(f, KIND), 2);
}

static void create_channel_checks_tags(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *tags, *part; /* part NULL: fine */
    } cases[] = {
        {"{\"a\":1}", "'tags.a' must be a string"},
        {"[]", "'tags' must be an object"},
        {"{\"\":\"v\"}", "1 to 128"},
        {"{\"aws:x\":\"v\"}", "reserved"},
        {"{\"AWS:x\":\"v\"}", "reserved"},
        {"{\"awsx\":\"aws:v\"}", NULL},
        {"{\"a\":\"\xc3\xa4\"}", "letters"},
        {"{\"a*\":\"v\"}", "letters"},
        {"{\"a\":\"v\\u0000\"}", "letters"},
        {"{\"a\":\"v\\n\"}", "letters"},
        {"{\"aZ09 _.:/=+-@\":\"aZ09 _.:/=+-@\"}", NULL},
    };
    char body[20000], id[20];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)snprintf(id, sizeof id, "t%zu", i);
        (void)snprintf(body, sizeof body, "{\"id\":\"%s\",\"tags\":%s}", id, cases[i].tags);
        assert_int_equal(call_rest(f, "POST", "/channels", "", body), cases[i].part ? 422 : 200);
        if (cases[i].part)
            assert_refused(f, 422, "UnprocessableEntityException", cases[i].part);
    }
    for (int key = 128; key <= 129; key++) {
        (void)snprintf(body, sizeof body, "{\"id\":\"k%d\",\"tags\":{\"%0*d\":\"v\"}}", key, key, 1);
        assert_int_equal(call_rest(f, "POST", "/channels", "", body), key == 128 ? 200 : 422);
    }
    for (int value = 256; value <= 257; value++) {
        (void)snprintf(body, sizeof body, "{\"id\":\"v%d\",\"tags\":{\"k\":\"%0*d\"}}", value, value, 1);
        assert_int_equal(call_rest(f, "POST", "/channels", "", body), value == 256 ? 200 : 422);
    }
    for (int n = 50; n <= 51; n++) {
        struct wm_buf b;
        wm_buf_init(&b, sizeof body);
        wm_buf_addf(&b, "{\"id\":\"n%d\",\"tags\":{", n);
        for (int i = 0; i < n; i++)
            wm_buf_addf(&b, "%s\"k%d\":\"v\"", i ? "," : "", i);
        wm_buf_add_str(&b, "}}");
        assert_int_equal(call_rest(f, "POST", "/channels", "", wm_buf_cstr(&b)), n == 50 ? 200 : 422);
        wm_buf_done(&b);
    }
    assert_refused(f, 422, "UnprocessableEntityException", "50 tags");
}

static void create_channel_keeps_the_quota(void **state)
{
    struct fixture *f = *state;
    char id[20];
    for (int i = 0; i < 30; i++) {
        (void)snprintf(id, sizeof id, "c%d", i);
        assert_int_equal(create(f, id), 200);
    }
    assert_int_equal(create(f, "c30"), 429);
    assert_refused(f, 429, "TooManyRequestsException", "at most 30 channels");
    assert_int_equal(create(f, "c0"), 422); /* the nearer reason first */
    assert_int_equal(call_rest(f, "DELETE", "/channels/c7", "", ""), 202);
    assert_int_equal(create(f, "c30"), 200);
    assert_int_equal(count_documents(f, KIND), 30);
}

static void create_channel_refuses_a_document_too_large(void **state)
{
    struct fixture *f = *state;
    size_t len = WM_MAX_DOCUMENT_BYTES;
    char *body = malloc(len + 100);
    assert_non_null(body);
    size_t n = (size_t)snprintf(body, 100, "{\"id\":\"a\",\"description\":\"");
    memset(body + n, 'x', len);
    memcpy(body + n + len, "\"}", 3);
    assert_int_equal(call_rest(f, "POST", "/channels", "", body), 422);
    assert_refused(f, 422, "UnprocessableEntityException", "description");
    assert_int_equal(count_documents(f, KIND), 0);
    memcpy(body + n + len - 1000, "\"}", 3);
    assert_int_equal(call_rest(f, "POST", "/channels", "", body), 200);
    free(body);
}

static void describe_channel_answers_what_create_did(void **state)
{
    struct fixture *f = *state;
    char first[4096];
    assert_int_equal(call_rest(f, "POST", "/channels", "", "{\"id\":\"a\",\"description\":\"d\",\"tags\":{\"k\":\"v\"}}"), 200);
    assert_true(wm_view_copy(wm_buf_view(&f->out), first, sizeof first));
    f->now.ns += 1000 * WM_NS_PER_S;
    f->env.region = WM_LIT("eu-west-1"); /* ARN and URLs never change over a channel's life */
    assert_int_equal(call_rest(f, "GET", "/channels/a", "", ""), 200);
    assert_true(wm_view_eq_str(wm_buf_view(&f->out), first));
    assert_int_equal(call_rest(f, "GET", "/channels/%61", "", ""), 200);
    assert_true(f->operation->read_only);
}

static void unknown_channels_are_not_found(void **state)
{
    struct fixture *f = *state;
    static const char *const paths[] = {"/channels/nope", "/channels/a%2Fb", "/channels/%00", "/channels/a%20b",
                                        "/channels/%C3%A4", "/channels/A"};
    assert_int_equal(create(f, "a"), 200);
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        assert_int_equal(call_rest(f, "GET", paths[i], "", ""), 404);
        assert_refused(f, 404, "NotFoundException", "There is no channel with id");
        assert_int_equal(call_rest(f, "PUT", paths[i], "", "{\"description\":\"x\"}"), 404);
        assert_refused(f, 404, "NotFoundException", "There is no channel with id");
        assert_int_equal(call_rest(f, "DELETE", paths[i], "", ""), 404);
        assert_refused(f, 404, "NotFoundException", "There is no channel with id");
    }
    char path[4200] = "/channels/";
    memset(path + 10, 'x', 4000);
    assert_int_equal(call_rest(f, "GET", path, "", ""), 404);
    assert_true(f->reply.error_message.len < 400);
    assert_int_equal(call_rest(f, "GET", "/channels/%FF", "", ""), 422);
    assert_int_equal(count_documents(f, KIND), 1);
}

static void update_channel_replaces_the_description_only(void **state)
{
    struct fixture *f = *state;
    char before[8192];
    assert_int_equal(call_rest(f, "POST", "/channels", "", "{\"id\":\"a\",\"description\":\"old\",\"tags\":{\"k\":\"v\"}}"), 200);
    assert_true(wm_view_copy(wm_view_of(stored_document(f, KIND, "a")), before, sizeof before));
    assert_int_equal(call_rest(f, "PUT", "/channels/a", "", "{\"description\":\"new\",\"id\":\"b\",\"tags\":{\"k\":\"w\"}}"),
                     200);
    assert_text(f->answer, "description", "new");
    assert_text(f->answer, "id", "a");
    assert_text(wm_json_get(f->answer, "tags"), "k", "v");
    assert_int_equal(f->reply.n_changes, 1);
    char *old = strstr(before, "\"old\"");
    assert_non_null(old);
    memcpy(old, "\"new\"", 5);
    assert_string_equal(stored_document(f, KIND, "a"), before);

    assert_int_equal(call_rest(f, "PUT", "/channels/a", "", "{}"), 200); /* absent: kept, and nothing changed */
    assert_text(f->answer, "description", "new");
    assert_int_equal(f->reply.n_changes, 0);
    assert_int_equal(call_rest(f, "PUT", "/channels/a", "", "{\"description\":\"\"}"), 200);
    assert_text(f->answer, "description", "");
    assert_int_equal(call_rest(f, "PUT", "/channels/a", "", "{\"description\":5}"), 422);
    assert_int_equal(count_documents(f, KIND), 1);
}

static void delete_channel_answers_202_and_an_empty_object(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(create(f, "a"), 200);
    assert_int_equal(call_rest(f, "DELETE", "/channels/a", "", ""), 202);
    assert_true(wm_view_eq_str(wm_buf_view(&f->out), "{}"));
    assert_int_equal(f->reply.n_changes, 1);
    assert_true(wm_view_eq_str(f->reply.changes[0].id, "a"));
    assert_int_equal(f->reply.changes[0].document.len, 0);
    assert_int_equal(call_rest(f, "GET", "/channels/a", "", ""), 404);
    assert_int_equal(call_rest(f, "DELETE", "/channels/a", "", ""), 404);
    assert_int_equal(create(f, "a"), 200); /* the id is free again */
}

static void list_channels_pages_by_id(void **state)
{
    struct fixture *f = *state;
    static const char *const ids[] = {"d", "b", "a", "c", "e"};
    char query[700], token[600], seen[64] = "";
    assert_int_equal(call_rest(f, "GET", "/channels", "", ""), 200);
    assert_true(wm_view_eq_str(wm_buf_view(&f->out), "{\"channels\":[]}"));
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(create(f, ids[i]), 200);
    assert_int_equal(call_rest(f, "GET", "/channels", "maxResults=5&nextToken=", ""), 200);
    assert_int_equal(wm_json_get(f->answer, "channels")->count, 5);
    assert_null(wm_json_get(f->answer, "nextToken"));

    (void)snprintf(query, sizeof query, "maxResults=2");
    for (int page = 0; page < 3; page++) {
        assert_int_equal(call_rest(f, "GET", "/channels", query, ""), 200);
        const struct wm_json *channels = wm_json_get(f->answer, "channels");
        assert_int_equal(channels->count, page < 2 ? 2 : 1);
        for (const struct wm_json *c = channels->first; c; c = c->next) {
            size_t n = strlen(seen);
            (void)snprintf(seen + n, sizeof seen - n, "%.*s", WM_ARG(wm_json_get_text(c, "id")));
        }
        assert_int_equal(wm_json_get(f->answer, "nextToken") != NULL, page < 2);
        if (page == 2)
            break;
        assert_true(wm_view_copy(wm_json_get_text(f->answer, "nextToken"), token, sizeof token));
        (void)snprintf(query, sizeof query, "maxResults=2&nextToken=%s", token);
        if (page == 0) { /* the page's last channel goes, and one comes before the position */
            assert_int_equal(call_rest(f, "DELETE", "/channels/b", "", ""), 202);
            assert_int_equal(create(f, "aa"), 200);
        }
    }
    assert_string_equal(seen, "abcde");
}

static void list_channels_refuses_bad_tokens_and_limits(void **state)
{
    struct fixture *f = *state;
    char token[600], query[700];
    for (int i = 0; i < 3; i++) {
        char id[20];
        (void)snprintf(id, sizeof id, "c%d", i);
        assert_int_equal(create(f, id), 200);
    }
    static const char *const limits[] = {"0", "1001", "-1", "x", "", "1.0", "99999999999999999999"};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        (void)snprintf(query, sizeof query, "maxResults=%s", limits[i]);
        assert_int_equal(call_rest(f, "GET", "/channels", query, ""), 422);
        assert_refused(f, 422, "UnprocessableEntityException", "'maxResults' must be an integer from 1 to 1000");
    }
    assert_int_equal(call_rest(f, "GET", "/channels", "maxResults=1000", ""), 200);
    assert_int_equal(call_rest(f, "GET", "/channels", "maxResults=1", ""), 200);
    assert_true(wm_view_copy(wm_json_get_text(f->answer, "nextToken"), token, sizeof token));

    size_t len = strlen(token);
    for (size_t i = 0; i < len; i++) { /* any digit changed, and the token cut anywhere */
        char bad[600];
        (void)snprintf(bad, sizeof bad, "%s", token);
        bad[i] = bad[i] == '0' ? '1' : '0';
        (void)snprintf(query, sizeof query, "nextToken=%s", bad);
        assert_int_equal(call_rest(f, "GET", "/channels", query, ""), 422);
        assert_refused(f, 422, "UnprocessableEntityException", "'nextToken'");
        if (i > 0) {
            (void)snprintf(query, sizeof query, "nextToken=%.*s", (int)i, token);
            assert_int_equal(call_rest(f, "GET", "/channels", query, ""), 422);
        }
    }
    static const char *const others[] = {"nextToken=x", "nextToken=c0", "nextToken=zzzzzzzzzzzzzzzzzz", "nextToken=%C3%A4"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_int_equal(call_rest(f, "GET", "/channels", others[i], ""), 422);
    (void)snprintf(query, sizeof query, "nextToken=%s", token);
    assert_int_equal(call_rest(f, "GET", "/channels", query, ""), 200);
    assert_int_equal(wm_json_get(f->answer, "channels")->count, 2);
    f->env.master_key = (const uint8_t *)"another key, also of 32 bytes...";
    assert_int_equal(call_rest(f, "GET", "/channels", query, ""), 422);
}

static void request_parameters_are_recorded_as_given(void **state)
{
    struct fixture *f = *state;
    struct wm_buf b;
    assert_int_equal(call_rest(f, "POST", "/channels", "", "{\"tags\":{\"Key\":\"v\"},\"id\":\"a b\",\"x\":1}"), 422);
    wm_buf_init(&b, 1000);
    wm_json_write(&b, wm_service_redact_params(&f->arena, &wm_service_mediapackage, f->operation, f->params));
    assert_true(wm_view_eq_str(wm_buf_view(&b), "{\"id\":\"a b\",\"tags\":{\"Key\":\"v\"}}"));
    wm_buf_done(&b);
}

static void damaged_documents_are_not_answered(void **state)
{
    struct fixture *f = *state;
    static const char *const documents[] = {"{", "[]", "{}", "{\"id\":\"x\"}"};
    static const struct small_case calls[] = {
        {"ListChannels", "{}"},
        {"DescribeChannel", "{\"id\":\"x\"}"},
        {"UpdateChannel", "{\"id\":\"x\",\"description\":\"d\"}"},
        {"ConfigureLogs", "{\"id\":\"x\"}"},
        {"RotateChannelCredentials", "{\"id\":\"x\"}"},
        {"RotateIngestEndpointCredentials", "{\"id\":\"x\",\"ingest_endpoint_id\":\"y\"}"},
    };
    for (size_t i = 0; i < sizeof documents / sizeof documents[0]; i++) {
        store_document(f, KIND, "x", documents[i]);
        assert_corrupt(f, calls, sizeof calls / sizeof calls[0]);
    }
    /* one without a generation has no next */
    store_document(f, KIND, "x",
                   "{\"id\":\"x\",\"guid\":\"g1\",\"arn\":\"arn:x\",\"createdAt\":\"2026-01-01T00:00:00Z\","
                   "\"description\":\"\",\"ingestEndpoints\":[{\"id\":\"y\",\"url\":\"https://u1\"}],\"tags\":{}}");
    assert_corrupt(f, calls + 4, 2);
}

static void calls_survive_a_small_arena(void **state)
{
    struct fixture *f = *state;
    static const struct small_case cases[] = {
        {"CreateChannel", "{\"id\":\"new\",\"description\":\"d\",\"tags\":{\"k\":\"v\"}}"},
        {"ListChannels", "{\"maxResults\":1}"},
        {"DescribeChannel", "{\"id\":\"a\"}"},
        {"UpdateChannel", "{\"id\":\"a\",\"description\":\"d\"}"},
        {"ConfigureLogs", "{\"id\":\"a\",\"egressAccessLogs\":{}}"},
        {"RotateChannelCredentials", "{\"id\":\"a\"}"},
        {"DescribeChannel", "{\"id\":\"none\"}"},
    };
    assert_int_equal(create(f, "a"), 200);
    assert_survives_small_arena(f, cases, sizeof cases / sizeof cases[0], 20480);
}

/* ---- logs and credentials ---- */

static void configure_logs_replaces_both_settings(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *body, *egress, *ingress; /* NULL: off */
    } cases[] = {
        {"{\"egressAccessLogs\":{}}", "/aws/MediaPackage/EgressAccessLogs", NULL},
        {"{\"ingressAccessLogs\":{}}", NULL, "/aws/MediaPackage/IngressAccessLogs"},
        {"{\"ingressAccessLogs\":{\"logGroupName\":\"/aws/MediaPackage/foo_-9\"},\"egressAccessLogs\":{\"logGroupName\":null}}",
         "/aws/MediaPackage/EgressAccessLogs", "/aws/MediaPackage/foo_-9"},
        {"{\"egressAccessLogs\":{\"logGroupName\":\"/aws/MediaPackage/e\"},\"id\":\"b\"}", "/aws/MediaPackage/e", NULL},
        {"{}", NULL, NULL},
        {"", NULL, NULL},
    };
    assert_int_equal(call_rest(f, "POST", "/channels", "", "{\"id\":\"a\",\"description\":\"d\",\"tags\":{\"k\":\"v\"}}"), 200);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int again = 0; again < 2; again++) { /* the answer, and what is there afterwards */
            assert_int_equal(again ? call_rest(f, "GET", "/channels/a", "", "")
                                   : call_rest(f, "PUT", "/channels/a/configure_logs", "", cases[i].body),
                             200);
            static const char *const sides[] = {"egressAccessLogs", "ingressAccessLogs"};
            const char *const want[] = {cases[i].egress, cases[i].ingress};
            for (size_t k = 0; k < 2; k++) {
                if (want[k])
                    assert_text(wm_json_get(f->answer, sides[k]), "logGroupName", want[k]);
                else
                    assert_null(wm_json_get(f->answer, sides[k]));
            }
            assert_text(f->answer, "id", "a");
            assert_text(f->answer, "description", "d");
            assert_text(wm_json_get(f->answer, "tags"), "k", "v");
        }
    }
    assert_int_equal(call_rest(f, "PUT", "/channels/nope/configure_logs", "", "{}"), 404);
    assert_refused(f, 404, "NotFoundException", "There is no channel with id 'nope'");
}

static void configure_logs_refuses_bad_groups(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {"", "/aws/MediaPackage/", "foo", "/aws/mediapackage/x", "/aws/MediaPackage/a b",
                                      "/aws/MediaPackage/a/b", "/aws/MediaPackage/Ã¤"};
    static const char *const sides[] = {"egressAccessLogs", "ingressAccessLogs"};
    char body[600];
    assert_int_equal(create(f, "a"), 200);
    assert_int_equal(call_rest(f, "PUT", "/channels/a/configure_logs", "", "{\"egressAccessLogs\":{}}"), 200);
    for (size_t i = 0; i < 2 * sizeof bad / sizeof bad[0]; i++) {
        (void)snprintf(body, sizeof body, "{\"%s\":{\"logGroupName\":\"%s\"}}", sides[i % 2], bad[i / 2]);
        assert_int_equal(call_rest(f, "PUT", "/channels/a/configure_logs", "", body), 422);
        (void)snprintf(body, sizeof body, "'%s.logGroupName' must", sides[i % 2]);
        assert_refused(f, 422, "UnprocessableEntityException", body);
    }
    for (int len = 256; len <= 257; len++) {
        (void)snprintf(body, sizeof body, "{\"egressAccessLogs\":{\"logGroupName\":\"/aws/MediaPackage/%0*d\"}}", len - 18, 1);
        assert_int_equal(call_rest(f, "PUT", "/channels/a/configure_logs", "", body), len == 256 ? 200 : 422);
    }
    assert_int_equal(call_rest(f, "PUT", "/channels/a/configure_logs", "", "{\"egressAccessLogs\":[]}"), 422);
}

/* username and password of both ingest endpoints of the last answer */
static void credentials_of(struct fixture *f, char out[4][33])
{
    for (size_t i = 0; i < 2; i++) {
        assert_true(wm_view_copy(wm_json_get_text(endpoint(f->answer, i), "username"), out[2 * i], 33));
        assert_true(wm_view_copy(wm_json_get_text(endpoint(f->answer, i), "password"), out[2 * i + 1], 33));
    }
}

static void rotation_gives_one_ingest_endpoint_new_credentials(void **state)
{
    struct fixture *f = *state;
    char before[4][33], after[4][33], ids[2][33], urls[2][200], path[200];
    assert_int_equal(create(f, "a"), 200);
    credentials_of(f, before);
    for (size_t i = 0; i < 2; i++) {
        assert_true(wm_view_copy(wm_json_get_text(endpoint(f->answer, i), "id"), ids[i], sizeof ids[i]));
        assert_true(wm_view_copy(wm_json_get_text(endpoint(f->answer, i), "url"), urls[i], sizeof urls[i]));
    }
    for (int round = 0; round < 4; round++) {
        size_t rotated = round == 1;
        if (round == 3) /* the deprecated one means the first */
            (void)snprintf(path, sizeof path, "/channels/a/credentials");
        else
            (void)snprintf(path, sizeof path, "/channels/a/ingest_endpoints/%s/credentials", ids[rotated]);
        assert_int_equal(call_rest(f, "PUT", path, "", ""), 200);
        credentials_of(f, after);
        for (size_t k = 0; k < 2; k++) {
            assert_text(endpoint(f->answer, k), "id", ids[k]);
            assert_text(endpoint(f->answer, k), "url", urls[k]);
            for (size_t n = 2 * k; n < 2 * k + 2; n++) {
                assert_true(is_hex(wm_view_of(after[n]), 32));
                if (k == rotated)
                    assert_string_not_equal(after[n], before[n]);
                else
                    assert_string_equal(after[n], before[n]);
            }
        }
        const char *document = stored_document(f, KIND, "a");
        struct wm_buf record;
        wm_buf_init(&record, 100000);
        wm_json_write(&record, wm_service_redact_output(&f->arena, &wm_service_mediapackage, f->operation,
                                                        f->reply.document));
        assert_non_null(strstr(wm_buf_cstr(&record), "\"username\":\"***\""));
        for (size_t n = 0; n < 4; n++) {
            assert_null(strstr(document, after[n]));
            assert_null(strstr(wm_buf_cstr(&record), after[n]));
        }
        wm_buf_done(&record);
        memcpy(before, after, sizeof before);
        assert_int_equal(call_rest(f, "GET", "/channels/a", "", ""), 200);
        credentials_of(f, after);
        assert_memory_equal(after, before, sizeof before);
    }
}

static void rotation_needs_channel_and_ingest_endpoint(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(create(f, "a"), 200);
    assert_int_equal(call_rest(f, "PUT", "/channels/b/credentials", "", ""), 404);
    assert_refused(f, 404, "NotFoundException", "There is no channel with id 'b'");
    assert_int_equal(call_rest(f, "PUT", "/channels/b/ingest_endpoints/x/credentials", "", ""), 404);
    assert_refused(f, 404, "NotFoundException", "There is no channel with id 'b'");
    assert_int_equal(call_rest(f, "PUT", "/channels/a/ingest_endpoints/x/credentials", "", ""), 404);
    assert_refused(f, 404, "NotFoundException", "no ingest endpoint with id 'x'");
}

static void table_matches_the_model(void **state)
{
    (void)state;
    static const struct {
        const char *name, *method, *path;
        int http_status;
        bool read_only;
    } rows[] = {
        {"CreateChannel", "POST", "/channels", 200, false},
        {"ListChannels", "GET", "/channels", 200, true},
        {"DescribeChannel", "GET", "/channels/{id}", 200, true},
        {"UpdateChannel", "PUT", "/channels/{id}", 200, false},
        {"DeleteChannel", "DELETE", "/channels/{id}", 202, false},
        {"ConfigureLogs", "PUT", "/channels/{id}/configure_logs", 200, false},
        {"RotateChannelCredentials", "PUT", "/channels/{id}/credentials", 200, false},
        {"RotateIngestEndpointCredentials", "PUT", "/channels/{id}/ingest_endpoints/{ingest_endpoint_id}/credentials", 200, false},
        {"CreateOriginEndpoint", "POST", "/origin_endpoints", 200, false},
        {"ListOriginEndpoints", "GET", "/origin_endpoints", 200, true},
        {"DescribeOriginEndpoint", "GET", "/origin_endpoints/{id}", 200, true},
        {"UpdateOriginEndpoint", "PUT", "/origin_endpoints/{id}", 200, false},
        {"DeleteOriginEndpoint", "DELETE", "/origin_endpoints/{id}", 202, false},
        {"CreateHarvestJob", "POST", "/harvest_jobs", 200, false},
        {"ListHarvestJobs", "GET", "/harvest_jobs", 200, true},
        {"DescribeHarvestJob", "GET", "/harvest_jobs/{id}", 200, true},
        {"ListTagsForResource", "GET", "/tags/{resource-arn}", 200, true},
        {"TagResource", "POST", "/tags/{resource-arn}", 204, false},
        {"UntagResource", "DELETE", "/tags/{resource-arn}", 204, false},
    };
    const struct wm_service *s = &wm_service_mediapackage;
    assert_int_equal(s->n_operations, sizeof rows / sizeof rows[0]);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_string_equal(s->operations[i].name, rows[i].name);
        assert_string_equal(s->operations[i].method, rows[i].method);
        assert_string_equal(s->operations[i].path, rows[i].path);
        assert_int_equal(s->operations[i].http_status, rows[i].http_status);
        assert_int_equal(s->operations[i].read_only, rows[i].read_only);
    }
    assert_string_equal(s->event_source, "mediapackage.amazonaws.com");
    assert_string_equal(s->api_version, "2017-10-12");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(create_channel_answers_the_whole_channel, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(create_channel_defaults_description_and_tags, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(channel_arn_follows_the_partition, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(secrets_are_given_but_never_stored_or_recorded, fixture_set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(secrets_follow_from_key_guid_and_generation, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(create_channel_refuses_bad_ids, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(create_channel_refuses_a_taken_id, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(create_channel_checks_tags, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(create_channel_keeps_the_quota, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(create_channel_refuses_a_document_too_large, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(describe_channel_answers_what_create_did, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(unknown_channels_are_not_found, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(update_channel_replaces_the_description_only, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(delete_channel_answers_202_and_an_empty_object, fixture_set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(list_channels_pages_by_id, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(list_channels_refuses_bad_tokens_and_limits, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(request_parameters_are_recorded_as_given, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(damaged_documents_are_not_answered, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(calls_survive_a_small_arena, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(rotation_needs_channel_and_ingest_endpoint, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(rotation_gives_one_ingest_endpoint_new_credentials, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(configure_logs_refuses_bad_groups, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(configure_logs_replaces_both_settings, fixture_set_up, fixture_tear_down),
        cmocka_unit_test(table_matches_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
