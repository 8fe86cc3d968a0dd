/* JSON from outside. Holds: what is read and written again reads as the same, to the byte. */
#include "tests/fuzz/fuzz.h"
#include "waymark/bounds.h"
#include "waymark/json.h"

#include "waymark/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct wm_arena a, b;
    struct wm_buf first, second;
    struct wm_json *tree;
    struct wm_err err = {0};
    wm_arena_init(&a, WM_MAX_ARENA_BYTES);
    wm_arena_init(&b, WM_MAX_ARENA_BYTES);
    wm_buf_init(&first, 1u << 26);
    wm_buf_init(&second, 1u << 26);
    enum wm_status status = wm_json_parse(&a, (struct wm_view){(const char *)data, len}, &tree, &err);
    if (status != WM_OK) {
        MUST(status == WM_E_INVALID || status == WM_E_LIMIT || status == WM_E_NOMEM);
        MUST(err.message[0] != '\0');
    } else {
        wm_json_write(&first, tree);
        MUST(wm_buf_status(&first) == WM_OK);
        status = wm_json_parse(&b, wm_buf_view(&first), &tree, &err);
        MUST(status == WM_OK || status == WM_E_NOMEM);
        if (status == WM_OK) {
            wm_json_write(&second, tree);
            MUST(wm_view_eq(wm_buf_view(&first), wm_buf_view(&second)));
        }
    }
    wm_buf_done(&first);
    wm_buf_done(&second);
    wm_arena_done(&a);
    wm_arena_done(&b);
    return 0;
}
