/*
 * May this principal do this: which policies have a say, what conditions may ask about, and what a refusal says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "waymark/authorize.h"

#define ROLE "arn:aws:iam::111122223333:role/ops/Operator"
#define SESSION "arn:aws:sts::111122223333:assumed-role/Operator/lena"
#define USER "arn:aws:iam::111122223333:user/media/noor"
#define CHANNEL "arn:aws:mediapackage:us-west-2:111122223333:channels/5d0c9d4f8e2b4a6f9b7a1c3e5f708192"
#define NAMED "arn:aws:mediapackage:us-west-2:111122223333:channels/cam-4"
#define HEAD(WHO, ACTION, RESOURCE) "User: " WHO " is not authorized to perform: " ACTION " on resource: " RESOURCE

static struct wm_arena arena;

/* ---- a principal with these policies ---- */

#define MAX_POLICIES 4u

struct rig {
    struct wm_principal principal;
    struct wm_principal_policy identity[MAX_POLICIES];
    const struct wm_policy *session[MAX_POLICIES];
    struct wm_policy *all[2 * MAX_POLICIES + 1];
    size_t n_all;
};

/* "Allow Action Resource": a statement without conditions; or a whole document. */
static const struct wm_policy *compile(struct rig *g, const char *text)
{
    char document[1024], effect[16], action[128], resource[256];
    struct wm_err err = {0};
    if (text[0] != '{' && sscanf(text, "%15s %127s %255s", effect, action, resource) == 3) {
        snprintf(document, sizeof document,
                 "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Deny\",\"Action\":\"x:Never\",\"Resource\":\"*\"},"
                 "{\"Effect\":\"%s\",\"Action\":\"%s\",\"Resource\":\"%s\"}]}",
                 effect, action, resource);
        text = document;
    }
    struct wm_policy *p = NULL;
    if (wm_policy_compile(wm_view_of(text), WM_POLICY_IDENTITY, &p, &err) != WM_OK)
        fail_msg("%s: %s", text, err.message);
    assert_true(g->n_all < sizeof g->all / sizeof g->all[0]);
    g->all[g->n_all++] = p;
    return p;
}

static void rig_identity(struct rig *g, const char *id, const char *text)
{
    size_t i = g->principal.n_policies++;
    assert_true(i < MAX_POLICIES);
    g->identity[i] = (struct wm_principal_policy){compile(g, text), wm_view_of(id), "user"};
    g->principal.policies = g->identity;
}

static void rig_session(struct rig *g, const char *text)
{
    size_t i = g->principal.n_session++;
    assert_true(i < MAX_POLICIES);
    g->session[i] = compile(g, text);
    g->principal.session = g->session;
}

static void rig_user(struct rig *g)
{
    *g = (struct rig){.principal = {
                          .identity = {.type = WM_IDENTITY_USER,
                                       .arn = WM_LIT(USER),
                                       .principal_id = WM_LIT("AIDAZ3XK7Q2EXAMPLE44"),
                                       .account_id = WM_LIT("111122223333"),
                                       .user_name = WM_LIT("noor")},
                          .name = WM_LIT("noor"),
                          .iam_arn = WM_LIT(USER),
                      }};
}

static const struct wm_identity_session operator_session = {
    .issuer_type = WM_LIT("Role"),
    .created = {1772359632000000000},
    .source_identity = WM_LIT("lena@example.org"),
};

static void rig_role(struct rig *g)
{
    *g = (struct rig){.principal = {
                          .identity = {.type = WM_IDENTITY_ASSUMED_ROLE,
                                       .arn = WM_LIT(SESSION),
                                       .principal_id = WM_LIT("AROAZ3XK7Q2EXAMPLE01:lena"),
                                       .account_id = WM_LIT("111122223333"),
                                       .session = &operator_session},
                          .name = WM_LIT("Operator"),
                          .iam_arn = WM_LIT(ROLE),
                      }};
}

static void rig_done(struct rig *g)
{
    for (size_t i = 0; i < g->n_all; i++)
        wm_policy_free(g->all[i]);
}

/* ---- asking ---- */

/* 2026-03-01T10:07:12.345Z */
static const struct wm_request_context usual = {
    .now = {1772359632345000000},
    .source_ip = WM_LIT("203.0.113.24"),
    .user_agent = WM_LIT("aws-cli/2.9"),
    .region = WM_LIT("us-west-2"),
};

static struct wm_decided ask(const struct rig *g, const struct wm_request_context *context,
                             const struct wm_demands *demands, struct wm_view *out_message)
{
    const struct wm_access q = {
        .arena = &arena, .principal = &g->principal, .context = context, .demands = demands};
    struct wm_decided d;
    wm_arena_clear(&arena);
    assert_int_equal(wm_authorize(&q, &d), WM_OK);
    if (d.decision != WM_DECIDED_ALLOWED && out_message)
        *out_message = wm_authorize_message(&q, &d);
    assert_int_equal(wm_arena_status(&arena), WM_OK);
    return d;
}

static struct wm_demands one_demand(const char *action, const char *resource)
{
    struct wm_demands d = {0};
    (void)wm_demand_add(&d, wm_view_of(action), wm_view_of(resource)); /* no more to say about it */
    return d;
}

/* ---- which policies have a say ---- */

static void policies_decide_together(void **state)
{
    (void)state;
    static const struct {
        const char *identity[3], *boundary, *session[3];
        enum wm_decision decision;
        const char *message;
        int by; /* index of the identity-based policy that decided; -1: none of them */
    } rows[] = {
        {{0}, 0, {0}, WM_DECIDED_NOT_ALLOWED, "because no identity-based policy allows the svc:Do action", -1},
        {{"Allow svc:Do *"}, 0, {0}, WM_DECIDED_ALLOWED, 0, 0},
        {{"Allow svc:Do arn:aws:svc:us-west-2:111122223333:other"}, 0, {0}, WM_DECIDED_NOT_ALLOWED,
         "because no identity-based policy allows the svc:Do action", -1},
        {{"Allow svc:Other *", "Allow svc:D* *", "Allow * *"}, 0, {0}, WM_DECIDED_ALLOWED, 0, 1},
        /* an explicit deny wins, wherever it stands */
        {{"Allow svc:Do *", "Deny svc:* *"}, 0, {0}, WM_DECIDED_DENIED, "with an explicit deny in an identity-based policy", 1},
        {{"Deny svc:* *", "Allow svc:Do *"}, 0, {0}, WM_DECIDED_DENIED, "with an explicit deny in an identity-based policy", 0},
        {{"Allow svc:Do *"}, "Deny svc:Do *", {0}, WM_DECIDED_DENIED_BOUNDARY,
         "with an explicit deny in a permissions boundary", -1},
        {{"Allow svc:Do *"}, 0, {"Deny svc:Do *"}, WM_DECIDED_DENIED_SESSION,
         "with an explicit deny in a session policy", -1},
        {{0}, "Deny svc:Do *", {0}, WM_DECIDED_DENIED_BOUNDARY, "with an explicit deny in a permissions boundary", -1},
        {{"Allow svc:Do *"}, 0, {"Allow svc:Do *", "Deny svc:Do *"}, WM_DECIDED_DENIED_SESSION,
         "with an explicit deny in a session policy", -1},
        /* a boundary narrows, and grants nothing */
        {{"Allow svc:Do *"}, "Allow svc:Other *", {0}, WM_DECIDED_BOUNDARY,
         "because no permissions boundary allows the svc:Do action", -1},
        {{0}, "Allow svc:Do *", {0}, WM_DECIDED_NOT_ALLOWED, "because no identity-based policy allows the svc:Do action", -1},
        {{"Allow svc:Do *"}, "Allow svc:* *", {0}, WM_DECIDED_ALLOWED, 0, 0},
        /* so do session policies, of which one is enough */
        {{"Allow svc:Do *"}, 0, {"Allow svc:Other *"}, WM_DECIDED_SESSION,
         "because no session policy allows the svc:Do action", -1},
        {{"Allow svc:Do *"}, 0, {"Allow svc:Other *", "Allow svc:Do *"}, WM_DECIDED_ALLOWED, 0, 0},
        {{0}, 0, {"Allow svc:Do *"}, WM_DECIDED_NOT_ALLOWED, "because no identity-based policy allows the svc:Do action", -1},
        /* all three */
        {{"Allow svc:Do *"}, "Allow svc:Do *", {"Allow svc:Do *"}, WM_DECIDED_ALLOWED, 0, 0},
        {{"Allow svc:Do *"}, "Allow svc:Other *", {"Allow svc:Other *"}, WM_DECIDED_BOUNDARY,
         "because no permissions boundary allows the svc:Do action", -1},
        {{"Deny svc:Do *"}, "Deny svc:Do *", {"Deny svc:Do *"}, WM_DECIDED_DENIED,
         "with an explicit deny in an identity-based policy", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rig g;
        struct wm_view message = WM_EMPTY;
        char want[512];
        rig_user(&g);
        for (size_t k = 0; k < 3 && rows[i].identity[k]; k++)
            rig_identity(&g, "inline", rows[i].identity[k]);
        if (rows[i].boundary)
            g.principal.boundary = compile(&g, rows[i].boundary);
        for (size_t k = 0; k < 3 && rows[i].session[k]; k++)
            rig_session(&g, rows[i].session[k]);
        const struct wm_demands demands = one_demand("svc:Do", "");
        struct wm_decided d = ask(&g, &usual, &demands, &message);
        if (d.decision != rows[i].decision)
            fail_msg("row %zu: decision %d", i, (int)d.decision);
        snprintf(want, sizeof want, HEAD(USER, "svc:Do", "*") " %s", rows[i].message ? rows[i].message : "");
        if (rows[i].message && !wm_view_eq_str(message, want))
            fail_msg("row %zu: %.*s", i, WM_ARG(message));
        if (d.identity != (rows[i].by < 0 ? NULL : &g.identity[rows[i].by]))
            fail_msg("row %zu: decided by another policy", i);
        /* each has a statement in front that says nothing */
        if (d.policy)
            assert_int_equal(d.statement, 1);
        assert_int_equal(d.policy != NULL, d.decision == WM_DECIDED_ALLOWED || d.decision >= WM_DECIDED_DENIED);
        rig_done(&g);
    }
}

static void root_is_asked_nothing(void **state)
{
    (void)state;
    struct rig g;
    rig_user(&g);
    rig_identity(&g, "deny", "Deny * *");
    g.principal.everything = true;
    const struct wm_demands demands = one_demand("svc:Do", CHANNEL);
    assert_int_equal(ask(&g, &usual, &demands, NULL).decision, WM_DECIDED_ALLOWED);
    rig_done(&g);
}

static void all_that_is_demanded_must_be_allowed(void **state)
{
    (void)state;
    struct rig g;
    struct wm_view message;
    rig_user(&g);
    rig_identity(&g, "create", "Allow mediapackage:CreateHarvestJob *");
    struct wm_demands demands = one_demand("mediapackage:CreateHarvestJob", "");
    wm_arena_clear(&arena);
    assert_int_equal(ask(&g, &usual, &demands, NULL).decision, WM_DECIDED_ALLOWED);
    struct wm_arena keys; /* ask() clears the other one */
    wm_arena_init(&keys, 65536);
    wm_demand_pass_role(&keys, &demands, WM_LIT(ROLE), "mediapackage.amazonaws.com");
    wm_demand_pass_role(&keys, &demands, WM_LIT(ROLE), "mediapackage.amazonaws.com"); /* once is enough */
    wm_demand_pass_role(&keys, &demands, WM_EMPTY, "mediapackage.amazonaws.com");
    assert_int_equal(demands.n, 2);
    struct wm_decided d = ask(&g, &usual, &demands, &message);
    assert_int_equal(d.decision, WM_DECIDED_NOT_ALLOWED);
    assert_ptr_equal(d.demand, &demands.all[1]);
    assert_true(wm_view_eq_str(message, HEAD(USER, "iam:PassRole", ROLE)
                               " because no identity-based policy allows the iam:PassRole action"));
    rig_identity(&g, "pass",
                 "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"iam:PassRole\",\"Resource\":\"" ROLE
                 "\",\"Condition\":{\"StringEquals\":{\"iam:PassedToService\":\"mediapackage.amazonaws.com\"}}}}");
    assert_int_equal(ask(&g, &usual, &demands, NULL).decision, WM_DECIDED_ALLOWED);
    demands.n = 1;
    wm_demand_pass_role(&keys, &demands, WM_LIT(ROLE), "ec2.amazonaws.com");
    assert_int_equal(ask(&g, &usual, &demands, NULL).decision, WM_DECIDED_NOT_ALLOWED);
    wm_arena_done(&keys);
    rig_done(&g);
}

/* ---- context keys ---- */

/* The value of a key of this name, "a|b" for several, NULL when it is not there: as a policy that refers to it is asked. */
static const char *key_of(const struct rig *g, const struct wm_request_context *context, const struct wm_demands *demands,
                          const char *name)
{
    static char text[512];
    char document[512];
    struct rig with = *g;
    struct wm_policy_request request;
    const struct wm_access q = {
        .arena = &arena, .principal = &with.principal, .context = context, .demands = demands};
    snprintf(document, sizeof document,
             "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\","
             "\"Condition\":{\"Null\":{\"%s\":\"true\"}}}}", name);
    struct wm_principal_policy asks = {.policy = compile(&with, document)};
    with.principal.policies = &asks;
    with.principal.n_policies = 1;
    wm_arena_clear(&arena);
    assert_int_equal(wm_access_ask(&q, &demands->all[0], &request), WM_OK);
    const struct wm_policy_key *key = wm_policy_request_key(&request, wm_view_of(name));
    assert_true(request.n_keys == (key ? 1u : 0u)); /* nothing that nobody asks for */
    size_t n = 0;
    text[0] = '\0';
    for (size_t i = 0; key && i < key->n_values; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%.*s", i ? "|" : "", WM_ARG(key->values[i]));
    if (key)
        assert_int_equal(key->multi, strcmp(name, "aws:TagKeys") == 0);
    wm_policy_free(with.all[with.n_all - 1]);
    return key ? text : NULL;
}

static void context_keys_are_there_when_aws_has_them(void **state)
{
    (void)state;
    static const struct {
        const char *key, *user, *role, *simulated; /* simulated: the user's, without a request */
    } rows[] = {
        {"aws:CurrentTime", "2026-03-01T10:07:12Z", "2026-03-01T10:07:12Z", NULL},
        {"aws:EpochTime", "1772359632", "1772359632", NULL},
        {"AWS:sourceip", "203.0.113.24", "203.0.113.24", NULL}, /* names have no case */
        {"aws:UserAgent", "aws-cli/2.9", "aws-cli/2.9", NULL},
        {"aws:RequestedRegion", "us-west-2", "us-west-2", NULL},
        {"aws:SecureTransport", "false", "false", NULL},
        {"aws:ViaAWSService", "false", "false", NULL},
        {"aws:CalledVia", NULL, NULL, NULL},
        {"aws:PrincipalArn", USER, ROLE, USER}, /* of a session its role's */
        {"aws:PrincipalAccount", "111122223333", "111122223333", "111122223333"},
        {"aws:PrincipalType", "User", "AssumedRole", "User"},
        {"aws:PrincipalIsAWSService", "false", "false", "false"},
        {"aws:PrincipalServiceName", NULL, NULL, NULL},
        {"aws:userid", "AIDAZ3XK7Q2EXAMPLE44", "AROAZ3XK7Q2EXAMPLE01:lena", "AIDAZ3XK7Q2EXAMPLE44"},
        {"aws:username", "noor", NULL, "noor"}, /* users only */
        {"aws:TokenIssueTime", NULL, "2026-03-01T10:07:12Z", NULL}, /* sessions only */
        {"aws:MultiFactorAuthPresent", NULL, "false", NULL},
        {"aws:SourceIdentity", NULL, "lena@example.org", NULL},
        {"aws:ResourceAccount", "444455556666", "444455556666", "444455556666"},
        {"aws:ResourceTag/team", "red", "red", "red"},
        {"aws:ResourceTag/TEAM", "red", "red", "red"}, /* keys of tags have no case in conditions */
        {"aws:ResourceTag/empty", "", "", ""},
        {"aws:ResourceTag/none", NULL, NULL, NULL},
        {"aws:ResourceTag/", NULL, NULL, NULL},
        {"iam:ResourceTag/team", "red", "red", "red"},
        {"aws:RequestTag/cost", "7", "7", "7"},
        {"aws:RequestTag/Cost", "8", "8", "8"}, /* unless both are there */
        {"aws:TagKeys", "cost|Cost", "cost|Cost", "cost|Cost"},
        {"aws:PrincipalTag/team", "red", "red", "red"},
        {"aws:PrincipalTag/none", NULL, NULL, NULL},
        {"iam:PassedToService", "x.amazonaws.com", "x.amazonaws.com", "x.amazonaws.com"},
        {"iam:PolicyARN", NULL, NULL, NULL},
        {"svc:Unheard", NULL, NULL, NULL},
    };
    static const struct wm_principal_tag tags[] = {{WM_LIT("Team"), WM_LIT("red"), false}};
    const struct wm_request_context simulated = {.simulated = true};
    struct rig user, role;
    struct wm_arena kept;
    struct wm_json *resource_tags, *request_tags;
    rig_user(&user);
    rig_role(&role);
    user.principal.tags = role.principal.tags = tags;
    user.principal.n_tags = role.principal.n_tags = 1;
    wm_arena_init(&kept, 16384);
    assert_int_equal(wm_json_parse(&kept, WM_LIT("{\"team\":\"red\",\"empty\":\"\"}"), &resource_tags, NULL), WM_OK);
    assert_int_equal(wm_json_parse(&kept, WM_LIT("[{\"Key\":\"cost\",\"Value\":\"7\"},{\"Key\":\"Cost\",\"Value\":\"8\"}]"),
                                   &request_tags, NULL), WM_OK);
    struct wm_demands demands = one_demand("svc:Do", "arn:aws:svc:us-west-2:444455556666:thing/1");
    demands.all[0].resource_tags = resource_tags;
    demands.request_tags = request_tags;
    wm_demand_key(&kept, &demands.all[0], "iam:PassedToService", WM_LIT("x.amazonaws.com"));
    wm_demand_key(&kept, &demands.all[0], "iam:PolicyARN", WM_EMPTY);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct {
            const char *name, *want;
            const struct rig *g;
            const struct wm_request_context *context;
        } cases[] = {
            {"user", rows[i].user, &user, &usual},
            {"role", rows[i].role, &role, &usual},
            {"simulated", rows[i].simulated, &user, &simulated},
        };
        for (size_t k = 0; k < 3; k++) {
            const char *got = key_of(cases[k].g, cases[k].context, &demands, rows[i].key);
            if (!got != !cases[k].want || (got && strcmp(got, cases[k].want) != 0))
                fail_msg("%s, %s: %s", rows[i].key, cases[k].name, got ? got : "absent");
        }
    }
    wm_arena_done(&kept);
}

static void what_is_not_there_or_elsewhere_has_no_key(void **state)
{
    (void)state;
    struct rig g;
    struct wm_demands demands = one_demand("svc:Do", "");
    struct wm_request_context secure = usual;
    static const struct wm_view given = WM_LIT("198.51.100.1");
    const struct wm_policy_key override[] = {{.name = WM_LIT("AWS:SourceIp"), .values = &given, .n_values = 1},
                                             {.name = WM_LIT("aws:UserAgent")}};
    rig_user(&g);
    assert_null(key_of(&g, &usual, &demands, "aws:TagKeys"));
    assert_null(key_of(&g, &usual, &demands, "aws:RequestTag/team"));
    assert_string_equal(key_of(&g, &usual, &demands, "aws:ResourceAccount"), "111122223333"); /* "*": the caller's */
    demands.all[0].resource = WM_LIT("arn:aws:s3:::bucket/key:with:colons");
    assert_string_equal(key_of(&g, &usual, &demands, "aws:ResourceAccount"), "111122223333");
    secure.secure = true;
    assert_string_equal(key_of(&g, &secure, &demands, "aws:SecureTransport"), "true");
    /* A simulation's own values win, also where they say that there is none. */
    secure.given = override;
    secure.n_given = 2;
    assert_string_equal(key_of(&g, &secure, &demands, "aws:sourceIp"), "198.51.100.1");
    assert_null(key_of(&g, &secure, &demands, "aws:UserAgent"));

    g.principal.identity = (struct wm_identity){.type = WM_IDENTITY_AWS_SERVICE,
                                                .invoked_by = WM_LIT("mediapackage.amazonaws.com")};
    assert_string_equal(key_of(&g, &usual, &demands, "aws:PrincipalIsAWSService"), "true");
    assert_string_equal(key_of(&g, &usual, &demands, "aws:PrincipalServiceName"), "mediapackage.amazonaws.com");
    assert_null(key_of(&g, &usual, &demands, "aws:PrincipalType"));
    assert_null(key_of(&g, &usual, &demands, "aws:username"));
    g.principal.identity.type = WM_IDENTITY_ROOT;
    assert_string_equal(key_of(&g, &usual, &demands, "aws:PrincipalType"), "Account");
    rig_done(&g);
}

static void tag_keys_of_an_untagging_are_those_taken_off(void **state)
{
    (void)state;
    struct rig g;
    struct wm_arena kept;
    struct wm_json *keys;
    struct wm_demands demands = one_demand("svc:Do", "");
    rig_user(&g);
    wm_arena_init(&kept, 16384);
    assert_int_equal(wm_json_parse(&kept, WM_LIT("[\"a\",\"b\"]"), &keys, NULL), WM_OK);
    demands.tag_keys = keys;
    assert_string_equal(key_of(&g, &usual, &demands, "aws:TagKeys"), "a|b");
    wm_arena_done(&kept);
    rig_done(&g);
}

/* Who asks, for trust policies, and the keys that a policy beside the principal's own refers to. */
static void a_policy_beside_is_asked_with_its_keys(void **state)
{
    (void)state;
    struct rig g;
    struct wm_policy *trust;
    struct wm_policy_request request;
    static const char text[] =
        "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"sts:AssumeRole\",\"Principal\":"
        "{\"AWS\":\"" ROLE "\"},\"Condition\":{\"StringEquals\":{\"sts:ExternalId\":\"42\"}}}}";
    struct wm_demands demands = one_demand("sts:AssumeRole", ROLE);
    struct wm_arena kept;
    wm_arena_init(&kept, 65536);
    wm_demand_key(&kept, &demands.all[0], "sts:ExternalId", WM_LIT("42"));
    rig_role(&g);
    assert_int_equal(wm_policy_compile(WM_LIT(text), WM_POLICY_TRUST, &trust, NULL), WM_OK);
    struct wm_access q = {
        .arena = &arena, .principal = &g.principal, .context = &usual, .demands = &demands, .beside = trust};
    wm_arena_clear(&arena);
    assert_int_equal(wm_access_ask(&q, &demands.all[0], &request), WM_OK);
    assert_int_equal(wm_policy_evaluate(trust, &request, NULL), WM_POLICY_ALLOW);
    q.beside = NULL; /* then nobody asks for the key */
    assert_int_equal(wm_access_ask(&q, &demands.all[0], &request), WM_OK);
    assert_int_equal(wm_policy_evaluate(trust, &request, NULL), WM_POLICY_NONE);
    wm_policy_free(trust);
    wm_arena_done(&kept);
    rig_done(&g);
}

/* ---- the message ---- */

static void a_refusal_does_not_tell_what_there_is(void **state)
{
    (void)state;
    static const struct {
        const char *allow;
        bool there;
        const char *shown;
    } rows[] = {
        {NULL, true, NAMED},
        {NULL, false, NAMED},
        {"Allow mediapackage:DescribeChannel arn:aws:mediapackage:us-west-2:111122223333:channels/other", true, NAMED},
        {"Allow mediapackage:Describe* *", true, CHANNEL}, /* who may look may know */
        {"Allow mediapackage:Describe* *", false, NAMED},
        {"Allow mediapackage:Describe* " CHANNEL, true, CHANNEL},
        {"Allow mediapackage:Describe* " CHANNEL, false, NAMED},
        {"Allow mediapackage:ListChannels *", true, NAMED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rig g;
        struct wm_view message;
        char want[1024];
        rig_user(&g);
        if (rows[i].allow)
            rig_identity(&g, "read", rows[i].allow);
        struct wm_demands demands = one_demand("mediapackage:DeleteChannel", rows[i].there ? CHANNEL : NAMED);
        demands.all[0].named = WM_LIT(NAMED);
        demands.all[0].seen_by = WM_LIT("mediapackage:DescribeChannel");
        assert_int_equal(ask(&g, &usual, &demands, &message).decision, WM_DECIDED_NOT_ALLOWED);
        snprintf(want, sizeof want, HEAD(USER, "mediapackage:DeleteChannel", "%s")
                 " because no identity-based policy allows the mediapackage:DeleteChannel action", rows[i].shown);
        if (!wm_view_eq_str(message, want))
            fail_msg("row %zu: %.*s", i, WM_ARG(message));
        rig_done(&g);
    }
}

static void a_session_is_named_as_itself_and_a_long_resource_is_cut(void **state)
{
    (void)state;
    static char resource[5000];
    struct rig g;
    struct wm_view message;
    memset(resource, 'x', sizeof resource - 1);
    rig_role(&g);
    const struct wm_demands demands = one_demand("svc:Do", resource);
    assert_int_equal(ask(&g, &usual, &demands, &message).decision, WM_DECIDED_NOT_ALLOWED);
    assert_true(wm_view_starts(message, HEAD(SESSION, "svc:Do", "xxx")));
    assert_true(wm_view_ends(message, "x because no identity-based policy allows the svc:Do action"));
    assert_true(message.len < 1024); /* or the record would have less of it than the caller */
    rig_done(&g);
}

/* ---- memory ---- */

/* A key that is missing for want of memory would let a denial by condition pass. */
static void without_memory_nothing_is_decided(void **state)
{
    (void)state;
    struct rig g;
    struct wm_demands demands = one_demand("svc:Do", CHANNEL);
    struct wm_decided d;
    size_t failed = 0, decided = 0;
    rig_user(&g);
    rig_identity(&g, "all", "Allow * *");
    rig_identity(&g, "deny", "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Deny\",\"Action\":\"*\","
                             "\"Resource\":\"*\",\"Condition\":{\"IpAddress\":{\"aws:SourceIp\":\"203.0.113.0/24\"},"
                             "\"DateGreaterThan\":{\"aws:CurrentTime\":\"2020-01-01T00:00:00Z\"}}}}");
    for (size_t left = 0; left < 2048; left += 16) {
        struct wm_arena small;
        wm_arena_init(&small, 16 * 1024); /* one chunk */
        assert_non_null(wm_arena_alloc(&small, 16 * 1024 - 64 - left));
        const struct wm_access q = {.arena = &small, .principal = &g.principal, .context = &usual, .demands = &demands};
        enum wm_status status = wm_authorize(&q, &d);
        if (status == WM_OK)
            assert_int_equal(d.decision, WM_DECIDED_DENIED);
        else
            assert_int_equal(status, WM_E_NOMEM);
        if (status == WM_OK)
            decided++;
        else
            failed++;
        wm_arena_done(&small);
    }
    assert_true(decided > 0);
    assert_true(failed > 0);
    rig_done(&g);
}

static int set_up(void **state)
{
    (void)state;
    wm_arena_init(&arena, 1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    wm_arena_done(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policies_decide_together),
        cmocka_unit_test(root_is_asked_nothing),
        cmocka_unit_test(all_that_is_demanded_must_be_allowed),
        cmocka_unit_test(context_keys_are_there_when_aws_has_them),
        cmocka_unit_test(what_is_not_there_or_elsewhere_has_no_key),
        cmocka_unit_test(tag_keys_of_an_untagging_are_those_taken_off),
        cmocka_unit_test(a_policy_beside_is_asked_with_its_keys),
        cmocka_unit_test(a_refusal_does_not_tell_what_there_is),
        cmocka_unit_test(a_session_is_named_as_itself_and_a_long_resource_is_cut),
        cmocka_unit_test(without_memory_nothing_is_decided),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
