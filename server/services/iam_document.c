/*
 * Policy documents: checked when they come, kept as they were given, and answered percent-encoded, as IAM does.
 */
#include "server/services/iam_policy_int.h"
#include "waymark/sigv4.h"

#include "waymark/banned.h"

/* [\u0009\u000A\u000D\u0020-\u00FF]+ of API Reference. The text is UTF-8, so characters above U+007F have two bytes. */
static bool is_latin(struct wm_view text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];
        if ((byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r') || byte >= 0xc4)
            return false;
    }
    return true;
}

const struct wm_text_form iam_document_form = {
    is_latin, "may have tabs, line ends and the characters from U+0020 to U+00FF only"};

bool iam_accept_policy(struct wm_call *c, struct wm_reply *r, struct wm_view text, enum wm_policy_kind kind,
                       enum wm_status *out_status)
{
    struct wm_policy *policy = NULL;
    struct wm_err err = {0};
    enum wm_status status = wm_policy_compile(text, kind, &policy, &err);
    if (status == WM_OK)
        wm_policy_free(policy);
    else if (status != WM_E_NOMEM)
        status = wm_reply_error(c, r, "MalformedPolicyDocument", 400, "%s", err.message);
    *out_status = status;
    return status == WM_OK && !r->error_code;
}

struct wm_view iam_show_policy(struct wm_arena *a, struct wm_view text)
{
    struct wm_buf encoded;
    wm_buf_init(&encoded, 3 * (size_t)WM_MAX_DOCUMENT_BYTES); /* each byte becomes three at most */
    wm_uri_encode(&encoded, text, false);
    if (wm_buf_status(&encoded) != WM_OK)
        a->exhausted = true; /* there is no answer without it */
    struct wm_view copy = wm_arena_copy(a, wm_buf_view(&encoded));
    wm_buf_done(&encoded);
    return copy;
}
