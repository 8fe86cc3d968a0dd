#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "waymark/bounds.h"
#include "waymark/json.h"

static void json_writes_back_what_it_read(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "null",
        "{}",
        "[]",
        "{\"b\":1,\"a\":[true,false,null,{\"x\":\"\"}]}",
        "[0.0,-1e5,12345678901234567890,1.50]", /* numbers keep their spelling */
        "\"quote \\\" backslash \\\\ newline \\n control \\u0001 slash / \xc3\xa9 \xf0\x9f\x8e\xa5\"",
        "{\"\":1}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct wm_arena a;
        struct wm_buf out;
        struct wm_json *root;
        struct wm_err err = {0};
        wm_arena_init(&a, 1 << 16);
        wm_buf_init(&out, 1 << 16);
        if (wm_json_parse(&a, wm_view_of(texts[i]), &root, &err) != WM_OK)
            fail_msg("%s: %s", texts[i], err.message);
        wm_json_write(&out, root);
        assert_string_equal(wm_buf_cstr(&out), texts[i]);
        wm_buf_clear(&out);
        wm_json_write(&out, wm_json_clone(&a, root));
        assert_string_equal(wm_buf_cstr(&out), texts[i]);
        wm_buf_done(&out);
        wm_arena_done(&a);
    }
}

static void json_unescapes(void **state)
{
    (void)state;
    struct wm_arena a;
    struct wm_json *root;
    wm_arena_init(&a, 1 << 16);
    assert_int_equal(wm_json_parse(&a, WM_LIT("{\"a\\u0062\":\"\\u00e9\\ud83c\\udfa5\\/\\t\\u0000z\"}"), &root, NULL), WM_OK);
    struct wm_view text = wm_json_get_text(root, "ab");
    assert_int_equal(text.len, 2 + 4 + 1 + 1 + 1 + 1);
    assert_memory_equal(text.ptr, "\xc3\xa9\xf0\x9f\x8e\xa5/\t\0z", text.len);
    wm_arena_done(&a);
}

static void json_refuses(void **state)
{
    (void)state;
    char deep[2 * (WM_MAX_JSON_DEPTH + 1) + 1];
    memset(deep, '[', WM_MAX_JSON_DEPTH + 1);
    memset(deep + WM_MAX_JSON_DEPTH + 1, ']', WM_MAX_JSON_DEPTH + 1);
    deep[sizeof deep - 1] = '\0';
    const struct {
        const char *text;
        enum wm_status status;
        const char *message;
    } rows[] = {
        {"", WM_E_INVALID, "not JSON"},
        {"   ", WM_E_INVALID, "not JSON"},
        {"{", WM_E_INVALID, "not JSON at byte 1:"},
        {"{\"a\":[true,", WM_E_INVALID, "not JSON at byte 11:"}, /* where it ends */
        {"{\"a\":1,}", WM_E_INVALID, "not JSON at byte 8:"},
        {"{} {}", WM_E_INVALID, "not JSON"},
        {"{\"a\":1,\"a\":2}", WM_E_INVALID, "twice"},
        {"{\"a\":1,\"\\u0061\":2}", WM_E_INVALID, "twice"},
        {"\"\xff\"", WM_E_INVALID, "not JSON"},
        {"[01]", WM_E_INVALID, "not JSON"},
        {"/* no */ 1", WM_E_INVALID, "not JSON"},
        {deep, WM_E_LIMIT, "deep"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wm_arena a;
        struct wm_json *root = NULL;
        struct wm_err err = {0};
        wm_arena_init(&a, 1 << 16);
        enum wm_status status = wm_json_parse(&a, wm_view_of(rows[i].text), &root, &err);
        if (status != rows[i].status || root || !strstr(err.message, rows[i].message) || !err.message[0])
            fail_msg("%s: %s, \"%s\"", rows[i].text, wm_status_name(status), err.message);
        wm_arena_done(&a);
    }
}

static void json_finds_a_key_twice_in_a_large_object(void **state)
{
    (void)state;
    static const size_t sizes[] = {15, 16, 17, 18, 5000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (int twice = 0; twice <= 1; twice++) {
            struct wm_arena a;
            struct wm_buf text;
            struct wm_json *root;
            struct wm_err err = {0};
            wm_arena_init(&a, 4u << 20);
            wm_buf_init(&text, 1u << 20);
            wm_buf_add_str(&text, "{\"k3\":0");
            for (size_t n = twice ? 3 : 4; n < sizes[i] + 4; n++)
                wm_buf_addf(&text, ",\"k%zu\":1", n == sizes[i] + 3 && twice ? (size_t)3 : n + 1000 * (n == 3));
            wm_buf_add_char(&text, '}');
            enum wm_status status = wm_json_parse(&a, wm_buf_view(&text), &root, &err);
            assert_int_equal(status, twice ? WM_E_INVALID : WM_OK);
            if (twice)
                assert_non_null(strstr(err.message, "twice"));
            wm_buf_done(&text);
            wm_arena_done(&a);
        }
    }
}

static void json_says_when_the_arena_is_too_small(void **state)
{
    (void)state;
    char text[20001];
    memset(text, 'x', sizeof text);
    text[0] = text[sizeof text - 2] = '"';
    struct wm_arena a;
    struct wm_json *root;
    wm_arena_init(&a, 18000);
    assert_int_equal(wm_json_parse(&a, (struct wm_view){text, sizeof text - 1}, &root, NULL), WM_E_NOMEM);
    /* a builder goes on with NULL pieces and is told at the end */
    struct wm_json *doc = wm_json_new(&a, WM_JSON_OBJECT);
    wm_json_set_string(&a, wm_json_set_object(&a, doc, "a"), "b", (struct wm_view){text, sizeof text});
    assert_int_equal(wm_arena_status(&a), WM_E_NOMEM);
    wm_arena_done(&a);
}

static void json_reads_integers_strictly(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum wm_status status;
        int64_t value;
    } rows[] = {
        {"0", WM_OK, 0},      {"-5", WM_OK, -5},          {"100", WM_OK, 100},
        {"101", WM_E_LIMIT, 0}, {"-6", WM_E_LIMIT, 0},     {"1.0", WM_E_INVALID, 0},
        {"1e2", WM_E_INVALID, 0}, {"\"1\"", WM_E_INVALID, 0}, {"99999999999999999999", WM_E_LIMIT, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wm_arena a;
        struct wm_json *root;
        int64_t n = 0;
        wm_arena_init(&a, 1 << 16);
        assert_int_equal(wm_json_parse(&a, wm_view_of(rows[i].text), &root, NULL), WM_OK);
        if (wm_json_to_i64(root, -5, 100, &n) != rows[i].status || n != rows[i].value)
            fail_msg("%s", rows[i].text);
        wm_arena_done(&a);
    }
}

static void json_builds_and_edits(void **state)
{
    (void)state;
    struct wm_arena a;
    struct wm_buf out;
    wm_arena_init(&a, 1 << 16);
    wm_buf_init(&out, 1 << 16);
    struct wm_json *doc = wm_json_new(&a, WM_JSON_OBJECT);
    wm_json_set_string(&a, doc, "first", WM_LIT("1"));
    wm_json_set_i64(&a, doc, "n", INT64_MIN + 1);
    wm_json_set_bool(&a, doc, "yes", true);
    wm_json_set_null(&a, doc, "none");
    wm_json_set_time(&a, doc, "at", 1772359632999);
    wm_json_set_string(&a, doc, "bad", WM_LIT("a\xff\xc3z"));
    struct wm_json *list = wm_json_set_array(&a, doc, "list");
    wm_json_push(list, wm_json_new(&a, WM_JSON_OBJECT));
    struct wm_json *raw = wm_json_new(&a, WM_JSON_RAW);
    raw->text = WM_LIT("{\"kept\": 1}");
    wm_json_set(doc, "raw", raw);
    wm_json_remove(doc, "raw");
    wm_json_set(doc, "raw", raw);
    assert_non_null(wm_json_remove(doc, "first"));
    assert_null(wm_json_remove(doc, "first"));
    wm_json_write(&out, doc);
    assert_string_equal(wm_buf_cstr(&out),
                        "{\"n\":-9223372036854775807,\"yes\":true,\"none\":null,\"at\":\"2026-03-01T10:07:12Z\","
                        "\"bad\":\"a\xef\xbf\xbd\xef\xbf\xbdz\",\"list\":[{}],\"raw\":{\"kept\": 1}}");
    assert_int_equal(doc->count, 7);
    wm_buf_done(&out);
    wm_arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_writes_back_what_it_read),
        cmocka_unit_test(json_unescapes),
        cmocka_unit_test(json_refuses),
        cmocka_unit_test(json_finds_a_key_twice_in_a_large_object),
        cmocka_unit_test(json_says_when_the_arena_is_too_small),
        cmocka_unit_test(json_reads_integers_strictly),
        cmocka_unit_test(json_builds_and_edits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
