#include "waymark/auth.h"

#include <stdio.h>
#include <stdlib.h>

#include "waymark/bounds.h"
#include "waymark/credentials.h"
#include "waymark/trail_name.h"

#include "waymark/banned.h"

#define PROFILE "waymark"

struct wm_auth {
    struct wm_credentials root;
    struct wm_view account_id; /* these point into `texts` */
    struct wm_view region;
    struct wm_view root_arn;
    struct wm_buf texts;
};

/* Access key ids look like AWS's: AKIA and 16 characters of base32 (IAM User Guide, "IAM identifiers"). */
static void make_access_key_id(char out[21])
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    uint8_t random[16];
    wm_random(random, sizeof random);
    memcpy(out, "AKIA", 4);
    for (size_t i = 0; i < sizeof random; i++)
        out[4 + i] = alphabet[random[i] % 32];
    out[20] = '\0';
}

static enum wm_status auth_make_root(const struct wm_auth_options *o, struct wm_err *err)
{
    char key_id[21], secret[41];
    make_access_key_id(key_id);
    wm_random_alnum(secret, 40);
    struct wm_buf text;
    wm_buf_init(&text, 4096);
    wm_buf_addf(&text,
                "# Root credentials of this Waymark: keep them secret, and keep them.\n"
                "[" PROFILE "]\naws_access_key_id = %s\naws_secret_access_key = %s\nregion = %.*s\n",
                key_id, secret, WM_ARG(o->region));
    enum wm_status status = wm_buf_status(&text);
    if (status != WM_OK)
        status = wm_fail(err, status, "no memory for the credentials");
    else
        status = wm_io_replace_file(o->io, o->credentials_path, wm_buf_view(&text), 0600, err);
    wm_wipe(secret, sizeof secret);
    wm_buf_wipe(&text);
    wm_buf_done(&text);
    return status;
}

enum wm_status wm_auth_open(const struct wm_auth_options *o, struct wm_auth **out, bool *out_made, struct wm_err *err)
{
    struct wm_auth *a = calloc(1, sizeof *a);
    if (!a)
        return wm_fail(err, WM_E_NOMEM, "no memory for the credentials");
    wm_buf_init(&a->texts, 1024);
    bool made = false;
    struct wm_err why = {0};
    enum wm_status status = wm_credentials_load(o->io, o->credentials_path, WM_LIT(PROFILE), &a->root, &why);
    if (status == WM_E_NOT_FOUND && why.sys_errno) { /* no file; a file without the profile is somebody's mistake */
        status = auth_make_root(o, &why);
        made = status == WM_OK;
        if (made)
            status = wm_credentials_load(o->io, o->credentials_path, WM_LIT(PROFILE), &a->root, &why);
    }
    if (status == WM_OK) {
        wm_buf_addf(&a->texts, "arn:%s:iam::%.*s:root%.*s%.*s", wm_arn_partition(o->region), WM_ARG(o->account_id),
                    WM_ARG(o->account_id), WM_ARG(o->region));
        status = wm_buf_status(&a->texts);
        if (status != WM_OK)
            (void)wm_fail(&why, status, "no memory for the credentials");
    }
    if (status != WM_OK) {
        if (err)
            *err = why;
        wm_auth_close(a);
        return status;
    }
    struct wm_view rest = wm_buf_view(&a->texts); /* the three texts, one behind the other */
    size_t arn_len = rest.len - o->account_id.len - o->region.len;
    a->root_arn = wm_view_sub(rest, 0, arn_len);
    a->account_id = wm_view_sub(rest, arn_len, arn_len + o->account_id.len);
    a->region = wm_view_sub(rest, arn_len + o->account_id.len, rest.len);
    *out = a;
    *out_made = made;
    return WM_OK;
}

void wm_auth_close(struct wm_auth *a)
{
    if (!a)
        return;
    wm_credentials_wipe(&a->root);
    wm_buf_done(&a->texts);
    free(a);
}

enum wm_sigv4_result wm_auth_identify(const struct wm_auth *a, struct wm_sigv4_cache *cache,
                                      const struct wm_sigv4_request *request, const struct wm_sigv4_claim *claim,
                                      struct wm_view service, struct wm_wall_ns now, struct wm_identity *out,
                                      char message[256])
{
    *out = (struct wm_identity){.type = WM_IDENTITY_UNKNOWN, .access_key_id = claim->access_key_id};
    if (!wm_view_eq_str(claim->access_key_id, a->root.access_key_id) ||
        !wm_view_eq_str(claim->security_token, a->root.session_token)) {
        (void)snprintf(message, 256, "The security token included in the request is invalid");
        return WM_SIGV4_UNKNOWN_KEY;
    }
    enum wm_sigv4_result result = wm_sigv4_verify(cache, request, claim, wm_view_of(a->root.secret), a->region, service,
                                                  now, message);
    if (result == WM_SIGV4_OK)
        *out = (struct wm_identity){
            .type = WM_IDENTITY_ROOT,
            .principal_id = a->account_id,
            .arn = a->root_arn,
            .account_id = a->account_id,
            .access_key_id = wm_view_of(a->root.access_key_id),
        };
    return result;
}
