/*
 * AWS Security Token Service, 2011-06-15: who am I.
 */
#include "waymark/service.h"

#include "waymark/banned.h"

/* API Reference, GetCallerIdentity: the answer needs no permission, only a proven identity. */
static enum wm_status get_caller_identity(struct wm_call *c, struct wm_reply *r)
{
    r->document = wm_json_new(c->arena, WM_JSON_OBJECT);
    wm_json_set_string(c->arena, r->document, "Arn", c->identity.arn);
    wm_json_set_string(c->arena, r->document, "UserId", c->identity.principal_id);
    wm_json_set_string(c->arena, r->document, "Account", c->identity.account_id);
    return wm_arena_status(c->arena);
}

static const struct wm_operation operations[] = {
    {
        .name = "GetCallerIdentity",
        .read_only = true,
        .http_status = 200,
        .no_demands = true,
        .run = get_caller_identity,
    },
};

const struct wm_service wm_service_sts = {
    .signing_name = "sts",
    .event_source = "sts.amazonaws.com",
    .api_version = "2011-06-15",
    .query_xmlns = "https://sts.amazonaws.com/doc/2011-06-15/",
    .redaction = "HIDDEN_DUE_TO_SECURITY_REASONS",
    .validation_error = "ValidationError",
    .validation_status = 400,
    .operations = operations,
    .n_operations = sizeof operations / sizeof operations[0],
};
