/*
 * What each operation of each service demands of its caller: there is no row that this file does not name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "tests/unit/service_call.h"
#include "waymark/iam.h"

#define IAM "arn:aws:iam::111122223333:"
#define PACKAGER "arn:aws:mediapackage:us-west-2:111122223333:"
#define CHANNEL PACKAGER "channels/5d0c9d4f8e2b4a6f9b7a1c3e5f708192"
#define ENDPOINT PACKAGER "origin_endpoints/0e6d7c5894b14f7ba0f36c1b2a3d4e5f"
#define JOB PACKAGER "harvest_jobs/job"
#define TRAIL "arn:aws:cloudtrail:us-west-2:111122223333:trail/audit"
#define READ_POLICY IAM "policy/ops/Read"
#define PASS " + iam:PassRole " IAM "role/"
#define PASSED " iam:PassedToService=mediapackage.amazonaws.com"

/* What is there. Tags are shown by their number: "#1". */
static void fill(struct fixture *f)
{
    store_document(f, "mediapackage.channel", "cam",
                   "{\"id\":\"cam\",\"guid\":\"5d0c9d4f8e2b4a6f9b7a1c3e5f708192\",\"arn\":\"" CHANNEL
                   "\",\"createdAt\":\"2026-03-01T10:07:12Z\",\"description\":\"\",\"ingestEndpoints\":[],"
                   "\"tags\":{\"team\":\"red\"}}");
    store_document(f, "mediapackage.origin_endpoint", "hls",
                   "{\"id\":\"hls\",\"arn\":\"" ENDPOINT "\",\"createdAt\":\"2026-03-01T10:07:12Z\",\"egress\":\"https://x\","
                   "\"channelId\":\"cam\",\"description\":\"\",\"manifestName\":\"index\",\"origination\":\"ALLOW\","
                   "\"startoverWindowSeconds\":0,\"timeDelaySeconds\":0,\"whitelist\":[],\"tags\":{\"a\":\"1\",\"b\":\"2\"}}");
    store_document(f, "mediapackage.harvest_job", "job",
                   "{\"id\":\"job\",\"arn\":\"" JOB "\",\"channelId\":\"cam\",\"createdAt\":\"2026-03-01T10:07:12Z\","
                   "\"endTime\":\"1\",\"originEndpointId\":\"hls\",\"s3Destination\":{},\"startTime\":\"0\",\"tags\":{}}");
    store_document(f, WM_IAM_USER, "noor",
                   "{\"UserName\":\"noor\",\"UserId\":\"AIDANOOR\",\"Path\":\"/media/\",\"Arn\":\"" IAM "user/media/noor\","
                   "\"CreateDate\":\"2026-03-01T10:07:12Z\",\"Tags\":[{\"Key\":\"team\",\"Value\":\"red\"}],\"Groups\":[],"
                   "\"AccessKeys\":[\"AKIANOOR000000000000\"],\"Policies\":{},\"Attached\":[],"
                   "\"PermissionsBoundary\":\"" IAM "policy/edge\"}");
    store_document(f, WM_IAM_GROUP_NAME, "ops", "{\"GroupId\":\"AGPAOPS\"}");
    store_document(f, WM_IAM_GROUP, "AGPAOPS",
                   "{\"GroupName\":\"ops\",\"GroupId\":\"AGPAOPS\",\"Path\":\"/media/\",\"Arn\":\"" IAM "group/media/ops\","
                   "\"CreateDate\":\"2026-03-01T10:07:12Z\",\"Policies\":{},\"Attached\":[]}");
    store_document(f, WM_IAM_ACCESS_KEY, "AKIANOOR000000000000",
                   "{\"AccessKeyId\":\"AKIANOOR000000000000\",\"UserName\":\"noor\",\"UserId\":\"AIDANOOR\","
                   "\"Status\":\"Active\",\"CreateDate\":\"2026-03-01T10:07:12Z\",\"Seed\":\"x\"}");
    store_document(f, WM_IAM_ROLE, "night",
                   "{\"RoleName\":\"Night\",\"RoleId\":\"AROANIGHT\",\"Path\":\"/ops/\",\"Arn\":\"" IAM "role/ops/Night\","
                   "\"CreateDate\":\"2026-03-01T10:07:12Z\",\"MaxSessionDuration\":3600,\"Trusted\":{},\"AssumeRolePolicyDocument\":\"{}\","
                   "\"Tags\":[{\"Key\":\"a\",\"Value\":\"b\"}],\"Policies\":{},\"Attached\":[]}");
    store_document(f, WM_IAM_POLICY, READ_POLICY,
                   "{\"PolicyName\":\"Read\",\"Arn\":\"" READ_POLICY "\",\"Tags\":[{\"Key\":\"a\",\"Value\":\"b\"}]}");
}

/* Of the Service Authorization Reference: no resource type stands in the operation's row. */
#define NO_TYPE "no resource type"

struct demand_row {
    const char *operation, *params;
    const char *demands; /* "[ACTION] RESOURCE [#TAGS] [KEY=VALUE]", joined by " + "; without ACTION: the operation's own */
    const char *reason;  /* why it is on "*", or why nothing is demanded */
};

static const struct demand_row mediapackage_rows[] = {
    {"CreateChannel", "{\"id\":\"new\",\"tags\":{\"team\":\"red\"}}", "* request#1", NO_TYPE},
    {"ListChannels", "{}", "*", NO_TYPE},
    {"DescribeChannel", "{\"id\":\"cam\"}", CHANNEL " #1", NULL},
    {"UpdateChannel", "{\"id\":\"cam\"}", CHANNEL " #1", NULL},
    {"DeleteChannel", "{\"id\":\"cam\"}", CHANNEL " #1", NULL},
    {"ConfigureLogs", "{\"id\":\"cam\"}", CHANNEL " #1", NULL},
    {"RotateChannelCredentials", "{\"id\":\"cam\"}", CHANNEL " #1", NULL},
    {"RotateIngestEndpointCredentials", "{\"id\":\"cam\",\"ingest_endpoint_id\":\"x\"}", CHANNEL " #1", NULL},
    {"CreateOriginEndpoint", "{\"id\":\"new\",\"channelId\":\"cam\"}", "*", NO_TYPE},
    {"ListOriginEndpoints", "{}", "*", NO_TYPE},
    {"DescribeOriginEndpoint", "{\"id\":\"hls\"}", ENDPOINT " #2", NULL},
    {"UpdateOriginEndpoint", "{\"id\":\"hls\"}", ENDPOINT " #2", NULL},
    {"DeleteOriginEndpoint", "{\"id\":\"hls\"}", ENDPOINT " #2", NULL},
    {"CreateHarvestJob", "{\"id\":\"new\",\"s3Destination\":{\"roleArn\":\"" IAM "role/vod\"}}", "*" PASS "vod" PASSED,
     NO_TYPE},
    {"ListHarvestJobs", "{}", "*", NO_TYPE},
    {"DescribeHarvestJob", "{\"id\":\"job\"}", JOB, NULL},
    {"ListTagsForResource", "{\"resource-arn\":\"" CHANNEL "\"}", CHANNEL " #1", NULL},
    {"TagResource", "{\"resource-arn\":\"" ENDPOINT "\",\"tags\":{\"a\":\"3\"}}", ENDPOINT " #2 request#1", NULL},
    {"UntagResource", "{\"resource-arn\":\"" JOB "\",\"tagKeys\":[\"a\",\"b\",\"c\"]}", JOB " off#3", NULL},
};

static const struct demand_row cloudtrail_rows[] = {
    {"DescribeTrails", "{\"trailNameList\":[\"audit\"]}", "*", NO_TYPE},
    {"CreateTrail", "{\"Name\":\"audit\",\"S3BucketName\":\"b\"}", TRAIL, NULL},
    {"DeleteTrail", "{\"Name\":\"audit\"}", TRAIL, NULL},
    {"GetEventSelectors", "{\"TrailName\":\"audit\"}", TRAIL, NULL},
    {"GetTrail", "{\"Name\":\"audit\"}", TRAIL, NULL},
    {"PutEventSelectors", "{\"TrailName\":\"" TRAIL "\",\"EventSelectors\":[]}", TRAIL, NULL},
    {"StartLogging", "{\"Name\":\"audit\"}", TRAIL, NULL},
    {"StopLogging", "{\"Name\":\"audit\"}", TRAIL, NULL},
    {"UpdateTrail", "{\"Name\":\"audit\"}", TRAIL, NULL},
    {"GetTrailStatus", "{\"Name\":\"" TRAIL "\"}", TRAIL, NULL},
    {"ListPublicKeys", "{}", "*", NO_TYPE},
};

static const struct demand_row sts_rows[] = {
    {"AssumeRole", "{}", NULL, "the handler asks, together with the role's trust policy"},
    {"GetAccessKeyInfo", "{}", "*", NO_TYPE},
    {"GetCallerIdentity", "{}", NULL, "API Reference: no permissions are required, and none can be denied"},
    {"GetSessionToken", "{}", NULL, "API Reference: policies cannot control authentication operations"},
};

#define NOOR IAM "user/media/noor #1"
#define NIGHT IAM "role/ops/Night #1"
#define ATTACHED " iam:PolicyARN=" READ_POLICY
#define EDGE " iam:PermissionsBoundary=" IAM "policy/edge"

static const struct demand_row iam_rows[] = {
    {"CreateUser", "{\"UserName\":\"new\",\"Path\":\"/x/\",\"PermissionsBoundary\":\"" IAM "policy/p\"}",
     IAM "user/x/new iam:PermissionsBoundary=" IAM "policy/p", NULL},
    {"GetUser", "{\"UserName\":\"NOOR\"}", NOOR EDGE, NULL},
    {"ListUsers", "{}", "*", NO_TYPE},
    {"UpdateUser", "{\"UserName\":\"noor\",\"NewUserName\":\"nour\"}",
     NOOR EDGE " + " IAM "user/media/nour #1" EDGE, NULL},
    {"DeleteUser", "{\"UserName\":\"noor\"}", NOOR EDGE, NULL},
    {"TagUser", "{\"UserName\":\"noor\",\"Tags\":[{\"Key\":\"a\",\"Value\":\"b\"}]}", NOOR EDGE " request#1", NULL},
    {"UntagUser", "{\"UserName\":\"noor\",\"TagKeys\":[\"a\",\"b\"]}", NOOR EDGE " off#2", NULL},
    {"ListUserTags", "{\"UserName\":\"noor\"}", NOOR EDGE, NULL},
    {"PutUserPermissionsBoundary", "{\"UserName\":\"noor\",\"PermissionsBoundary\":\"" IAM "policy/p\"}",
     NOOR " iam:PermissionsBoundary=" IAM "policy/p", NULL},
    {"DeleteUserPermissionsBoundary", "{\"UserName\":\"noor\"}", NOOR EDGE, NULL},
    {"CreateGroup", "{\"GroupName\":\"new\"}", IAM "group/new", NULL},
    {"GetGroup", "{\"GroupName\":\"ops\"}", IAM "group/media/ops", NULL},
    {"ListGroups", "{}", "*", NO_TYPE},
    {"UpdateGroup", "{\"GroupName\":\"ops\",\"NewPath\":\"/admin/\"}",
     IAM "group/media/ops + " IAM "group/admin/ops", NULL},
    {"DeleteGroup", "{\"GroupName\":\"ops\"}", IAM "group/media/ops", NULL},
    {"AddUserToGroup", "{\"GroupName\":\"ops\",\"UserName\":\"noor\"}", IAM "group/media/ops", NULL},
    {"RemoveUserFromGroup", "{\"GroupName\":\"ops\",\"UserName\":\"noor\"}", IAM "group/media/ops", NULL},
    {"ListGroupsForUser", "{\"UserName\":\"noor\"}", NOOR EDGE, NULL},
    {"CreateAccessKey", "{\"UserName\":\"noor\"}", NOOR EDGE, NULL},
    {"ListAccessKeys", "{\"UserName\":\"noor\"}", NOOR EDGE, NULL},
    {"UpdateAccessKey", "{\"UserName\":\"noor\",\"AccessKeyId\":\"AKIANOOR000000000000\"}", NOOR EDGE, NULL},
    {"DeleteAccessKey", "{\"UserName\":\"noor\",\"AccessKeyId\":\"AKIANOOR000000000000\"}", NOOR EDGE, NULL},
    {"GetAccessKeyLastUsed", "{\"AccessKeyId\":\"AKIANOOR000000000000\"}", NOOR EDGE, NULL},
    {"GetAccountSummary", "{}", "*", NO_TYPE},
    {"CreateAccountAlias", "{\"AccountAlias\":\"alias\"}", "*", NO_TYPE},
    {"DeleteAccountAlias", "{\"AccountAlias\":\"alias\"}", "*", NO_TYPE},
    {"ListAccountAliases", "{}", "*", NO_TYPE},
    {"CreateRole", "{\"RoleName\":\"new\",\"Tags\":[{\"Key\":\"a\",\"Value\":\"b\"}]}", IAM "role/new request#1", NULL},
    {"GetRole", "{\"RoleName\":\"night\"}", NIGHT, NULL},
    {"ListRoles", "{}", "*", NO_TYPE},
    {"UpdateRole", "{\"RoleName\":\"night\"}", NIGHT, NULL},
    {"UpdateRoleDescription", "{\"RoleName\":\"night\"}", NIGHT, NULL},
    {"UpdateAssumeRolePolicy", "{\"RoleName\":\"night\"}", NIGHT, NULL},
    {"DeleteRole", "{\"RoleName\":\"night\"}", NIGHT, NULL},
    {"TagRole", "{\"RoleName\":\"night\",\"Tags\":[{\"Key\":\"a\",\"Value\":\"b\"}]}", NIGHT " request#1", NULL},
    {"UntagRole", "{\"RoleName\":\"night\",\"TagKeys\":[\"a\"]}", NIGHT " off#1", NULL},
    {"ListRoleTags", "{\"RoleName\":\"night\"}", NIGHT, NULL},
    {"PutRolePermissionsBoundary", "{\"RoleName\":\"night\",\"PermissionsBoundary\":\"" READ_POLICY "\"}", NIGHT " iam:PermissionsBoundary=" READ_POLICY, NULL},
    {"DeleteRolePermissionsBoundary", "{\"RoleName\":\"night\"}", NIGHT, NULL},
    {"CreatePolicy", "{\"PolicyName\":\"new\",\"Path\":\"/ops/\",\"Tags\":[{\"Key\":\"a\",\"Value\":\"b\"}]}", IAM "policy/ops/new request#1", NULL},
    {"ListPolicies", "{}", "*", NO_TYPE},
    {"GetPolicy", "{\"PolicyArn\":\"" READ_POLICY "\"}", READ_POLICY " #1", NULL},
    {"DeletePolicy", "{\"PolicyArn\":\"" READ_POLICY "\"}", READ_POLICY " #1", NULL},
    {"ListPolicyTags", "{\"PolicyArn\":\"" READ_POLICY "\"}", READ_POLICY " #1", NULL},
    {"CreatePolicyVersion", "{\"PolicyArn\":\"" READ_POLICY "\"}", READ_POLICY " #1", NULL},
    {"GetPolicyVersion", "{\"PolicyArn\":\"" READ_POLICY "\"}", READ_POLICY " #1", NULL},
    {"ListPolicyVersions", "{\"PolicyArn\":\"" READ_POLICY "\"}", READ_POLICY " #1", NULL},
    {"SetDefaultPolicyVersion", "{\"PolicyArn\":\"" READ_POLICY "\"}", READ_POLICY " #1", NULL},
    {"DeletePolicyVersion", "{\"PolicyArn\":\"" READ_POLICY "\"}", READ_POLICY " #1", NULL},
    {"ListEntitiesForPolicy", "{\"PolicyArn\":\"" READ_POLICY "\"}", READ_POLICY " #1", NULL},
    {"TagPolicy", "{\"PolicyArn\":\"" READ_POLICY "\",\"Tags\":[{\"Key\":\"a\",\"Value\":\"b\"}]}", READ_POLICY " #1 request#1", NULL},
    {"UntagPolicy", "{\"PolicyArn\":\"" READ_POLICY "\",\"TagKeys\":[\"a\"]}", READ_POLICY " #1 off#1", NULL},
    {"PutUserPolicy", "{\"UserName\":\"noor\"}", NOOR EDGE, NULL},
    {"GetUserPolicy", "{\"UserName\":\"noor\"}", NOOR EDGE, NULL},
    {"DeleteUserPolicy", "{\"UserName\":\"noor\"}", NOOR EDGE, NULL},
    {"ListUserPolicies", "{\"UserName\":\"noor\"}", NOOR EDGE, NULL},
    {"ListAttachedUserPolicies", "{\"UserName\":\"noor\"}", NOOR EDGE, NULL},
    {"AttachUserPolicy", "{\"UserName\":\"noor\",\"PolicyArn\":\"" READ_POLICY "\"}", NOOR EDGE ATTACHED, NULL},
    {"DetachUserPolicy", "{\"UserName\":\"noor\",\"PolicyArn\":\"" READ_POLICY "\"}", NOOR EDGE ATTACHED, NULL},
    {"PutGroupPolicy", "{\"GroupName\":\"ops\"}", IAM "group/media/ops", NULL},
    {"GetGroupPolicy", "{\"GroupName\":\"ops\"}", IAM "group/media/ops", NULL},
    {"DeleteGroupPolicy", "{\"GroupName\":\"ops\"}", IAM "group/media/ops", NULL},
    {"ListGroupPolicies", "{\"GroupName\":\"ops\"}", IAM "group/media/ops", NULL},
    {"ListAttachedGroupPolicies", "{\"GroupName\":\"ops\"}", IAM "group/media/ops", NULL},
    {"AttachGroupPolicy", "{\"GroupName\":\"ops\",\"PolicyArn\":\"" READ_POLICY "\"}", IAM "group/media/ops" ATTACHED, NULL},
    {"DetachGroupPolicy", "{\"GroupName\":\"ops\",\"PolicyArn\":\"" READ_POLICY "\"}", IAM "group/media/ops" ATTACHED, NULL},
    {"PutRolePolicy", "{\"RoleName\":\"night\"}", NIGHT, NULL},
    {"GetRolePolicy", "{\"RoleName\":\"night\"}", NIGHT, NULL},
    {"DeleteRolePolicy", "{\"RoleName\":\"night\"}", NIGHT, NULL},
    {"ListRolePolicies", "{\"RoleName\":\"night\"}", NIGHT, NULL},
    {"ListAttachedRolePolicies", "{\"RoleName\":\"night\"}", NIGHT, NULL},
    {"AttachRolePolicy", "{\"RoleName\":\"night\",\"PolicyArn\":\"" READ_POLICY "\"}", NIGHT ATTACHED, NULL},
    {"DetachRolePolicy", "{\"RoleName\":\"night\",\"PolicyArn\":\"" READ_POLICY "\"}", NIGHT ATTACHED, NULL},
    {"GetAccountAuthorizationDetails", "{}", "*", NO_TYPE},
    {"SimulatePrincipalPolicy", "{\"PolicySourceArn\":\"" IAM "role/ops/Night\"}", NIGHT, NULL},
    {"GetContextKeysForPrincipalPolicy", "{\"PolicySourceArn\":\"" IAM "user/noor\"}", IAM "user/noor", NULL}, /* no path */
    {"SimulateCustomPolicy", "{}", "*", NO_TYPE},
    {"GetContextKeysForCustomPolicy", "{}", "*", NO_TYPE},
};

static const struct {
    const struct wm_service *service;
    const struct demand_row *rows;
    size_t n;
} tables[] = {
    {&wm_service_mediapackage, mediapackage_rows, sizeof mediapackage_rows / sizeof mediapackage_rows[0]},
    {&wm_service_cloudtrail, cloudtrail_rows, sizeof cloudtrail_rows / sizeof cloudtrail_rows[0]},
    {&wm_service_sts, sts_rows, sizeof sts_rows / sizeof sts_rows[0]},
    {&wm_service_iam, iam_rows, sizeof iam_rows / sizeof iam_rows[0]},
};

/* ---- what a call demands, as text ---- */

static void show_keys(const struct wm_demand *d, struct wm_buf *out)
{
    for (size_t i = 0; i < d->n_keys; i++) {
        assert_int_equal(d->keys[i].n_values, 1);
        wm_buf_addf(out, " %.*s=%.*s", WM_ARG(d->keys[i].name), WM_ARG(d->keys[i].values[0]));
    }
}

static void show_demands(const struct wm_service *service, const struct wm_operation *operation,
                         const struct wm_demands *demands, struct wm_buf *out)
{
    char own[128];
    snprintf(own, sizeof own, "%s:%s", service->signing_name, operation->name);
    wm_buf_clear(out);
    for (size_t i = 0; i < demands->n; i++) {
        const struct wm_demand *d = &demands->all[i];
        assert_true(d->action.len > 0);
        if (i)
            wm_buf_add_str(out, " + ");
        if (!wm_view_eq_str(d->action, own))
            wm_buf_addf(out, "%.*s ", WM_ARG(d->action));
        wm_buf_add_view(out, d->resource.len ? d->resource : WM_LIT("*"));
        if (d->resource_tags && d->resource_tags->count)
            wm_buf_addf(out, " #%zu", d->resource_tags->count);
        show_keys(d, out);
    }
    if (demands->request_tags)
        wm_buf_addf(out, " request#%zu", demands->request_tags->count);
    if (demands->tag_keys)
        wm_buf_addf(out, " off#%zu", demands->tag_keys->count);
    assert_int_equal(wm_buf_status(out), WM_OK);
}

static enum wm_status demands_of(struct fixture *f, const struct wm_service *service,
                                 const struct wm_operation *operation, const char *text, struct wm_demands *out)
{
    struct wm_json *params;
    wm_arena_clear(&f->arena);
    assert_int_equal(wm_json_parse(&f->arena, wm_view_of(text), &params, NULL), WM_OK);
    struct wm_call c = {.env = &f->env,
                        .operation = operation,
                        .arena = &f->arena,
                        .state = f->state,
                        .params = params,
                        .identity = f->identity,
                        .now = f->now};
    wm_state_lock(f->state);
    enum wm_status status = wm_service_demands(service, &c, out);
    wm_state_unlock(f->state);
    return status;
}

static void demands_are(struct fixture *f, const struct wm_service *service, const struct wm_operation *operation,
                        const char *params, const char *want)
{
    struct wm_demands demands;
    assert_int_equal(demands_of(f, service, operation, params, &demands), WM_OK);
    show_demands(service, operation, &demands, &f->out);
    if (!wm_view_eq_str(wm_buf_view(&f->out), want))
        fail_msg("%s %s: %s, not %s", operation->name, params, wm_buf_cstr(&f->out), want);
}

/* ---- tests ---- */

static void check_row(struct fixture *f, const struct wm_service *service, const struct wm_operation *operation,
                      const struct demand_row *row)
{
    if (!row->demands) {
        assert_true(operation->no_demands && !operation->demands && row->reason);
        return;
    }
    if (operation->no_demands)
        fail_msg("%s demands nothing", operation->name);
    demands_are(f, service, operation, row->params, row->demands);
    if ((row->demands[0] == '*') != (row->reason != NULL))
        fail_msg("%s: either a resource, or the reason why there is none", operation->name);
}

static void every_operation_demands_what_aws_says(void **state)
{
    struct fixture *f = *state;
    fill(f);
    for (size_t s = 0; s < sizeof call_services / sizeof call_services[0]; s++) {
        const struct wm_service *service = call_services[s];
        size_t t = 0;
        while (t < sizeof tables / sizeof tables[0] && tables[t].service != service)
            t++;
        assert_true(t < sizeof tables / sizeof tables[0]);
        for (size_t i = 0; i < service->n_operations; i++) {
            size_t k = 0;
            while (k < tables[t].n && strcmp(tables[t].rows[k].operation, service->operations[i].name) != 0)
                k++;
            if (k == tables[t].n)
                fail_msg("nothing is said about %s:%s", service->signing_name, service->operations[i].name);
            check_row(f, service, &service->operations[i], &tables[t].rows[k]);
        }
        assert_int_equal(tables[t].n, service->n_operations); /* none is said twice, or gone */
    }
}

/* What is not there has an ARN too, made of what the caller said; no tags. */
static void what_is_not_there_is_demanded_by_name(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const struct wm_service *service;
        const char *operation, *params, *demands;
    } rows[] = {
        {&wm_service_mediapackage, "DeleteChannel", "{\"id\":\"none\"}", PACKAGER "channels/none"},
        {&wm_service_mediapackage, "UpdateOriginEndpoint", "{\"id\":\"none\"}", PACKAGER "origin_endpoints/none"},
        {&wm_service_mediapackage, "DescribeHarvestJob", "{\"id\":\"none\"}", PACKAGER "harvest_jobs/none"},
        {&wm_service_mediapackage, "TagResource", "{\"resource-arn\":\"junk\",\"tags\":{}}", "junk request#0"},
        {&wm_service_cloudtrail, "GetTrail", "{\"Name\":\"none\"}", "arn:aws:cloudtrail:us-west-2:111122223333:trail/none"},
        {&wm_service_iam, "GetUser", "{\"UserName\":\"none\"}", IAM "user/none"},
        {&wm_service_iam, "DeleteGroup", "{\"GroupName\":\"none\"}", IAM "group/none"},
        {&wm_service_iam, "GetAccessKeyLastUsed", "{\"AccessKeyId\":\"AKIANONE\"}", IAM "user/*"},
    };
    fill(f);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        demands_are(f, rows[i].service, service_operation(rows[i].operation), rows[i].params, rows[i].demands);
}

/* The name that a refusal may show does not tell whether there is the resource. */
static void the_name_shown_is_the_callers_own(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const struct wm_service *service;
        const char *operation, *params, *named, *seen_by;
    } rows[] = {
        {&wm_service_mediapackage, "DeleteChannel", "{\"id\":\"cam\"}", PACKAGER "channels/cam", "mediapackage:DescribeChannel"},
        {&wm_service_mediapackage, "DeleteChannel", "{\"id\":\"no\"}", PACKAGER "channels/no", "mediapackage:DescribeChannel"},
        {&wm_service_mediapackage, "UpdateOriginEndpoint", "{\"id\":\"hls\"}", PACKAGER "origin_endpoints/hls",
         "mediapackage:DescribeOriginEndpoint"},
        {&wm_service_mediapackage, "DescribeHarvestJob", "{\"id\":\"job\"}", JOB, "mediapackage:DescribeHarvestJob"},
        {&wm_service_iam, "DeleteUser", "{\"UserName\":\"noor\"}", IAM "user/noor", "iam:GetUser"},
        {&wm_service_iam, "UpdateGroup", "{\"GroupName\":\"ops\"}", IAM "group/ops", "iam:GetGroup"},
        {&wm_service_iam, "GetAccessKeyLastUsed", "{\"AccessKeyId\":\"AKIANOOR000000000000\"}", IAM "user/*",
         "iam:ListAccessKeys"},
    };
    fill(f);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wm_demands demands;
        assert_int_equal(
            demands_of(f, rows[i].service, service_operation(rows[i].operation), rows[i].params, &demands), WM_OK);
        assert_true(wm_view_eq_str(demands.all[0].named, rows[i].named));
        assert_true(wm_view_eq_str(demands.all[0].seen_by, rows[i].seen_by));
    }
}

/* Without a user's name the caller is meant; for a role's session there is none. */
static void operations_on_oneself_are_on_the_caller(void **state)
{
    struct fixture *f = *state;
    static const char *const operations[] = {"GetUser", "CreateAccessKey", "ListAccessKeys", "UpdateAccessKey",
                                             "DeleteAccessKey"};
    fill(f);
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        f->identity = (struct wm_identity){.type = WM_IDENTITY_USER, .user_name = WM_LIT("noor")};
        demands_are(f, &wm_service_iam, service_operation(operations[i]), "{}", NOOR EDGE);
        f->identity = (struct wm_identity){.type = WM_IDENTITY_ASSUMED_ROLE};
        demands_are(f, &wm_service_iam, service_operation(operations[i]), "{}", IAM "user/*");
    }
}

#define SPEKE(ROLE) "{\"encryption\":{\"spekeKeyProvider\":{\"roleArn\":\"" IAM "role/" ROLE "\"}}}"

static void roles_that_are_handed_on_must_be_passed(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *operation, *params, *demands;
    } rows[] = {
        {"CreateOriginEndpoint", "{\"tags\":{\"a\":\"b\"},\"hlsPackage\":" SPEKE("drm") "}", "*" PASS "drm" PASSED " request#1"},
        {"CreateOriginEndpoint", "{\"authorization\":{\"secretsRoleArn\":\"" IAM "role/cdn\"},\"cmafPackage\":" SPEKE("drm") "}",
         "*" PASS "cdn" PASSED PASS "drm" PASSED},
        {"CreateOriginEndpoint", "{\"authorization\":{\"secretsRoleArn\":\"" IAM "role/one\"},\"mssPackage\":" SPEKE("one") "}",
         "*" PASS "one" PASSED}, /* the same twice */
        {"CreateOriginEndpoint", "{\"dashPackage\":{}}", "*"},
        {"UpdateOriginEndpoint", "{\"id\":\"hls\",\"dashPackage\":" SPEKE("drm") "}", ENDPOINT " #2" PASS "drm" PASSED},
        /* more than the operation takes, but it is asked before it looks */
        {"CreateOriginEndpoint", "{\"authorization\":{\"secretsRoleArn\":\"" IAM "role/0\"},\"cmafPackage\":" SPEKE("1")
         ",\"dashPackage\":" SPEKE("2") ",\"hlsPackage\":" SPEKE("3") ",\"mssPackage\":" SPEKE("4") "}",
         "*" PASS "0" PASSED PASS "1" PASSED PASS "2" PASSED PASS "3" PASSED PASS "4" PASSED},
    };
    fill(f);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        demands_are(f, &wm_service_mediapackage, service_operation(rows[i].operation), rows[i].params, rows[i].demands);
}

/* Of a document that cannot be read nobody knows the tags, so nothing is decided. */
static void a_corrupt_document_demands_nothing_that_could_be_allowed(void **state)
{
    struct fixture *f = *state;
    struct wm_demands demands;
    store_document(f, "mediapackage.channel", "bad", "{\"id\":\"bad\"}");
    store_document(f, WM_IAM_USER, "bad", "{\"UserName\":\"bad\"}");
    assert_int_equal(demands_of(f, &wm_service_mediapackage, service_operation("DeleteChannel"), "{\"id\":\"bad\"}", &demands),
                     WM_E_CORRUPT);
    assert_int_equal(demands_of(f, &wm_service_iam, service_operation("DeleteUser"), "{\"UserName\":\"bad\"}", &demands),
                     WM_E_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_operation_demands_what_aws_says, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_there_is_demanded_by_name, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(the_name_shown_is_the_callers_own, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(operations_on_oneself_are_on_the_caller, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(roles_that_are_handed_on_must_be_passed, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_corrupt_document_demands_nothing_that_could_be_allowed, fixture_set_up,
                                        fixture_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
