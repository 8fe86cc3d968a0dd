/*
 * AWS Security Token Service, 2011-06-15: who am I, and credentials that end by themselves.
 */
#include "server/services/sts_int.h"

#include "server/services/iam_int.h"
#include "waymark/bounds.h"
#include "waymark/hash.h"

#include "waymark/banned.h"

#define USER_SECONDS 43200      /* API Reference, GetSessionToken: 12 hours unless asked for otherwise, 36 at most */
#define MAX_USER_SECONDS 129600
#define ROOT_SECONDS 3600       /* one hour in any case */

const char *const sts_secrets[] = {"Credentials.SecretAccessKey", "Credentials.SessionToken", NULL};

enum wm_status sts_denied(struct wm_call *c, struct wm_reply *r, const char *text)
{
    return wm_reply_error(c, r, "AccessDenied", 403, "%s", text);
}

/* ---- who am I ---- */

/* API Reference, GetCallerIdentity: the answer needs no permission, only a proven identity. */
static enum wm_status get_caller_identity(struct wm_call *c, struct wm_reply *r)
{
    r->document = wm_json_new(c->arena, WM_JSON_OBJECT);
    wm_json_set_string(c->arena, r->document, "Arn", c->identity.arn);
    wm_json_set_string(c->arena, r->document, "UserId", c->identity.principal_id);
    wm_json_set_string(c->arena, r->document, "Account", c->identity.account_id);
    return wm_arena_status(c->arena);
}

/* ---- sessions ---- */

int64_t sts_duration(const struct wm_call *c, int64_t otherwise)
{
    const struct wm_json *given = wm_json_get(c->params, "DurationSeconds");
    int64_t seconds = otherwise;
    if (given && wm_json_to_i64(given, STS_MIN_SECONDS, MAX_USER_SECONDS, &seconds) != WM_OK)
        seconds = STS_MIN_SECONDS; /* not reached: the row has the same bounds */
    return seconds;
}

bool sts_refuse_mfa(struct wm_call *c, struct wm_reply *r)
{
    if (!wm_json_get(c->params, "SerialNumber") && !wm_json_get(c->params, "TokenCode"))
        return false;
    (void)sts_denied(c, r, "MultiFactorAuthentication failed, unable to validate MFA code. Please verify your MFA serial "
                           "number is valid and associated with this user."); /* always WM_OK */
    return true;
}

static struct wm_json *credentials(struct wm_call *c, const struct wm_session *s, struct wm_view token)
{
    char secret[WM_IAM_SECRET_BYTES];
    struct wm_json *document = wm_json_new(c->arena, WM_JSON_OBJECT);
    wm_iam_secret(c->env->master_key, s->access_key_id, s->seed, secret);
    wm_json_set_string(c->arena, document, "AccessKeyId", s->access_key_id);
    wm_json_set_string(c->arena, document, "SecretAccessKey", wm_view_of(secret));
    wm_json_set_string(c->arena, document, "SessionToken", token);
    wm_json_set_time(c->arena, document, "Expiration", s->expires.ns / WM_NS_PER_MS);
    wm_wipe(secret, sizeof secret);
    return document;
}

enum wm_status sts_issue(struct wm_call *c, struct wm_reply *r, struct wm_session *s, int64_t seconds)
{
    char key_id[WM_IAM_KEY_ID_BYTES], seed[WM_IAM_SEED_BYTES];
    struct wm_buf token;
    wm_iam_new_id(WM_IAM_SESSION_KEY_PREFIX, key_id, sizeof key_id);
    wm_iam_new_seed(seed);
    s->access_key_id = WM_LIT(key_id);
    s->seed = WM_LIT(seed);
    s->created = wm_wall_from_seconds(wm_wall_seconds(c->now));
    s->expires = wm_wall_from_seconds(wm_wall_seconds(c->now) + seconds);
    wm_buf_init(&token, WM_MAX_SESSION_TOKEN_BYTES);
    enum wm_status status = wm_session_token_make(c->env->master_key, c->env->account_id, s, &token);
    if (status == WM_OK) {
        r->document = wm_json_new(c->arena, WM_JSON_OBJECT);
        wm_json_set(r->document, "Credentials", credentials(c, s, wm_buf_view(&token)));
        status = wm_arena_status(c->arena);
    } else if (status == WM_E_LIMIT) {
        size_t percent = wm_session_packed_bytes(s) * 100 / WM_MAX_SESSION_PACKED_BYTES;
        status = wm_reply_error(c, r, "PackedPolicyTooLarge", 400,
                                "Packed size of session tags and policies consumes %zu%% of allotted space.", percent);
    }
    wm_buf_done(&token);
    s->access_key_id = s->seed = WM_EMPTY; /* they point here */
    return status;
}

/* User Guide, "Compare AWS STS credentials": credentials of this operation open nothing of STS but two operations. */
static bool refuse_own_session(struct wm_call *c, struct wm_reply *r)
{
    bool session = c->identity.session != NULL;
    if (session)
        (void)wm_reply_error(c, r, "AccessDenied", 403, "Cannot call %s with session credentials",
                             c->operation->name); /* always WM_OK */
    return session;
}

static const struct wm_member get_session_token_input[] = {
    {.name = "DurationSeconds", .type = WM_MEMBER_INTEGER, .min = STS_MIN_SECONDS, .max = MAX_USER_SECONDS},
    {.name = "SerialNumber", .type = WM_MEMBER_STRING, .min = 9, .max = 256},
    {.name = "TokenCode", .type = WM_MEMBER_STRING, .min = 6, .max = 6, .secret = true},
    {0},
};

static enum wm_status get_session_token(struct wm_call *c, struct wm_reply *r)
{
    const struct wm_principal *p = c->principal;
    if (refuse_own_session(c, r) || sts_refuse_mfa(c, r))
        return WM_OK;
    bool root = p->everything;
    struct wm_session s = {
        .kind = root ? WM_SESSION_ROOT : WM_SESSION_USER, .unique_id = p->unique_id, .name = p->name};
    int64_t seconds = sts_duration(c, root ? ROOT_SECONDS : USER_SECONDS);
    return sts_issue(c, r, &s, root && seconds > ROOT_SECONDS ? ROOT_SECONDS : seconds);
}

static const struct wm_member get_access_key_info_input[] = {
    {.name = "AccessKeyId", .type = WM_MEMBER_STRING, .required = true, .min = 16, .max = 128, .form = &iam_id_form},
    {0},
};

/* AWS reads the account off the id, be there such a key or not. Ours do not hold it, and there is one account. */
static enum wm_status get_access_key_info(struct wm_call *c, struct wm_reply *r)
{
    struct wm_view id = wm_json_get_text(c->params, "AccessKeyId");
    if (c->identity.session && c->identity.type != WM_IDENTITY_ASSUMED_ROLE && refuse_own_session(c, r))
        return WM_OK;
    if (!wm_view_starts(id, WM_IAM_KEY_PREFIX) && !wm_view_starts(id, WM_IAM_SESSION_KEY_PREFIX))
        return wm_reply_error(c, r, "ValidationError", 400, "AccessKeyId %.*s is not valid", WM_ARG(id));
    r->document = wm_json_new(c->arena, WM_JSON_OBJECT);
    wm_json_set_string(c->arena, r->document, "Account", c->env->account_id);
    return wm_arena_status(c->arena);
}

/* AssumeRole asks policies by itself. The others, but GetAccessKeyInfo, need no permission: API Reference. */
static const struct wm_operation operations[] = {
    {
        .name = "AssumeRole",
        .read_only = true,
        .gives_access = true,
        .http_status = 200,
        .input = sts_assume_role_input,
        .secret_output = sts_secrets,
        .no_demands = true,
        .run = sts_assume_role,
    },
    {
        .name = "GetAccessKeyInfo",
        .read_only = true,
        .http_status = 200,
        .input = get_access_key_info_input,
        .run = get_access_key_info,
    },
    {
        .name = "GetCallerIdentity",
        .read_only = true,
        .http_status = 200,
        .no_demands = true,
        .run = get_caller_identity,
    },
    {
        .name = "GetSessionToken",
        .read_only = true,
        .gives_access = true,
        .http_status = 200,
        .input = get_session_token_input,
        .secret_output = sts_secrets,
        .no_demands = true,
        .run = get_session_token,
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
