/* Source: AWS SDKs and Tools Reference Guide, "Standardized credential providers" and "Environment variables support". */
#include "waymark/store.h"

#include <stdio.h>
#include <stdlib.h>

#include "waymark/banned.h"

/* "" counts as unset, as in the AWS CLI. */
static struct wm_view variable(const char *name)
{
    return wm_view_of(getenv(name));
}

/* The two put behind each other; empty when they do not fit. */
static struct wm_view joined(struct wm_view a, const char *b, char *out, size_t out_bytes)
{
    int n = snprintf(out, out_bytes, "%.*s%s", WM_ARG(a), b);
    return n > 0 && (size_t)n < out_bytes ? wm_view_of(out) : WM_EMPTY;
}

struct wm_store_credentials wm_store_environment(struct wm_store_environment *room)
{
    struct wm_store_credentials c = {
        .access_key_id = variable("AWS_ACCESS_KEY_ID"),
        .secret_access_key = variable("AWS_SECRET_ACCESS_KEY"),
        .session_token = variable("AWS_SESSION_TOKEN"),
        .file = variable("AWS_SHARED_CREDENTIALS_FILE"),
        .profile = variable("AWS_PROFILE"),
        .container_uri = variable("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
        .container_token = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
        .container_token_file = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
        .instance_endpoint = variable("AWS_EC2_METADATA_SERVICE_ENDPOINT"),
    };
    if (!c.file.len && variable("HOME").len)
        c.file = joined(variable("HOME"), "/.aws/credentials", room->file, sizeof room->file);
    struct wm_view relative = variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    if (relative.len)
        c.container_uri = joined(WM_LIT("http://169.254.170.2"), relative.ptr, room->uri, sizeof room->uri);
    if (wm_view_ieq_str(variable("AWS_EC2_METADATA_DISABLED"), "true"))
        c.instance_endpoint = WM_EMPTY;
    else if (!c.instance_endpoint.len)
        c.instance_endpoint = WM_LIT("http://169.254.169.254");
    return c;
}
