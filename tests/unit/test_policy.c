/* Policies as documents: what is refused and how, their size, where statements stand, which keys they name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "tests/support/policy_rig.h"
#include "waymark/bounds.h"

#include "waymark/banned.h"

#define BETWEEN_16 "a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?"
#define BETWEEN_64 BETWEEN_16 BETWEEN_16 BETWEEN_16 BETWEEN_16

struct row {
    const char *text, *says; /* says: NULL when it is a good one */
};

static void check(const struct row *rows, size_t n, enum wm_policy_kind kind)
{
    for (size_t i = 0; i < n; i++) {
        struct wm_policy *p = NULL;
        struct wm_err err = {0};
        enum wm_status status = rig_compile(rows[i].text, kind, &p, &err);
        wm_policy_free(p);
        if (rows[i].says ? status != WM_E_INVALID || !strstr(err.message, rows[i].says) : status != WM_OK)
            fail_msg("%s: %s: %s", rows[i].text, wm_status_name(status), err.message);
        if (!rows[i].says != (p != NULL))
            fail_msg("%s: out is %p", rows[i].text, (void *)p);
    }
}
#define CHECK(rows, kind) check(rows, sizeof rows / sizeof rows[0], kind)

/* A policy of one statement, of which the rest is given. */
#define ALLOW(rest) "{'Version':'2012-10-17','Statement':{'Effect':'Allow'," rest "}}"
#define ACTION(value) ALLOW("'Resource':'*','Action':" value)
#define RESOURCE(value) ALLOW("'Action':'*','Resource':" value)

static void documents(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"", "not JSON"},
        {"{", "not JSON"},
        {"[]", "must be a JSON object"},
        {"'x'", "must be a JSON object"},
        {"{'Version':'2012-10-17','Version':'2012-10-17'}", "twice in one object"},
        {"{}", "Statement must be there"},
        {"{'Statement':[]}", "at least one statement"},
        {"{'Statement':'x'}", "Statement 1: it must be an object"},
        {"{'Statement':[{'Effect':'Allow','Action':'*','Resource':'*'},7]}", "Statement 2: it must be an object"},
        {"{'Version':'2012-10-18','Statement':[]}", "Version must be \"2012-10-17\" or \"2008-10-17\""},
        {"{'Version':2012,'Statement':[]}", "Version must be \"2012-10-17\" or \"2008-10-17\""},
        {"{'Id':1,'Statement':[]}", "Id must be a string"},
        {"{'version':'2012-10-17','Statement':[]}", "\"version\" is no element of a policy"},
        {"{'Statement':{'Effect':'Allow','Action':'*','Resource':'*'}}", NULL},
        {" {\n'Id' : 'x' , 'Version' : '2008-10-17' ,'Statement':[{'Effect':'Deny','Action':'*','Resource':'*'}]}\n",
         NULL},
    };
    CHECK(rows, WM_POLICY_IDENTITY);
}

static void statements(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {ALLOW("'Action':'*','Resource':'*','Actions':'*'"), "Statement 1: \"Actions\" is no element of a statement"},
        {ALLOW("'Action':'*'"), "Statement 1: Resource or NotResource must be there"},
        {ALLOW("'Resource':'*'"), "Statement 1: Action or NotAction must be there"},
        {ALLOW("'Resource':'*','Action':'*','NotAction':'*'"), "Action and NotAction must not both be there"},
        {ALLOW("'Action':'*','Resource':'*','NotResource':'*'"), "Resource and NotResource must not both be there"},
        {"{'Statement':{'Action':'*','Resource':'*'}}", "Effect must be there"},
        {"{'Statement':{'Effect':'allow','Action':'*','Resource':'*'}}", "Effect must be \"Allow\" or \"Deny\""},
        {"{'Statement':{'Effect':true,'Action':'*','Resource':'*'}}", "Effect must be \"Allow\" or \"Deny\""},
        {ALLOW("'Sid':'a b','Action':'*','Resource':'*'"), "Sid must be a string of letters and digits"},
        {ALLOW("'Sid':3,'Action':'*','Resource':'*'"), "Sid must be a string of letters and digits"},
        {ALLOW("'Sid':'','Action':'*','Resource':'*'"), NULL},
        {"{'Statement':[{'Sid':'','Effect':'Allow','Action':'*','Resource':'*'},"
         "{'Sid':'A1','Effect':'Allow','Action':'*','Resource':'*'},"
         "{'Sid':'','Effect':'Allow','Action':'*','Resource':'*'},"
         "{'Effect':'Allow','Action':'*','Resource':'*','Sid':'A1'}]}",
         "Statement 4: Sid \"A1\" is statement 2's too"},
        {ALLOW("'Action':'*','Resource':'*','Principal':'*'"), "Principal must not be in a policy of an identity"},
        {ALLOW("'Action':'*','Resource':'*','NotPrincipal':'*'"), "NotPrincipal must be in neither"},
        {ALLOW("'Action':'*','Resource':'*','Condition':[]"), "Condition must be an object"},
        {ALLOW("'Action':'*','Resource':'*','Condition':null"), "Condition must be an object"},
        {ALLOW("'Action':'*','Resource':'*','Condition':{}"), NULL},
    };
    CHECK(rows, WM_POLICY_IDENTITY);
}

static void actions(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {ACTION("'*'"), NULL},
        {ACTION("'*:*'"), NULL},
        {ACTION("'mediapackage:*'"), NULL},
        {ACTION("['mediapackage:Describe?h*','s3:GetObject']"), NULL},
        {ACTION("'mediapackage-vod:ListAssets'"), NULL},
        {ACTION("[]"), "Action must not be empty"},
        {ACTION("{}"), "Action must be a string or a list of strings"},
        {ACTION("['s3:*',1]"), "Action must be a string or a list of strings"},
        {ACTION("''"), "must be \"*\" or have the form \"SERVICE:NAME\""},
        {ACTION("'GetObject'"), "Action \"GetObject\" must be \"*\" or have the form"},
        {ACTION("'s3:'"), "Action \"s3:\" must be"},
        {ACTION("':Get'"), "Action \":Get\" must be"},
        {ACTION("'s*:Get'"), "Action \"s*:Get\" must be"},
        {ACTION("'s3:Get:Object'"), "Action \"s3:Get:Object\" must be"},
        {ACTION("'s3:${aws:username}'"), "must be"},
        {ALLOW("'Resource':'*','NotAction':'x'"), "NotAction \"x\" must be"},
    };
    CHECK(rows, WM_POLICY_IDENTITY);
}

static void resources(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {RESOURCE("'arn:aws:mediapackage:us-east-1:111122223333:channels/*'"), NULL},
        {RESOURCE("'arn:aws:mediapackage:*'"), NULL},
        {RESOURCE("['*','arn:*:s3:::${aws:username}/*']"), NULL},
        {RESOURCE("'arn:aws:iam::111122223333:user/${aws:PrincipalTag/a:b, `c:d`}'"), NULL},
        {RESOURCE("[]"), "Resource must not be empty"},
        {RESOURCE("7"), "Resource must be a string or a list of strings"},
        {RESOURCE("'bucket'"), "Resource \"bucket\" must be \"*\" or an ARN of six parts"},
        {RESOURCE("'**'"), "must be \"*\" or an ARN"},
        {RESOURCE("''"), "must be \"*\" or an ARN"},
        {RESOURCE("'arn:aws:s3:b'"), "must be \"*\" or an ARN"},
        {RESOURCE("'arn:aws*'"), "must be \"*\" or an ARN"},
        {RESOURCE("'arn:aws:s3:${aws:username}'"), "must be \"*\" or an ARN"}, /* its colon is none of an ARN */
        {RESOURCE("'${aws:PrincipalArn}'"), "must be \"*\" or an ARN"},
        {RESOURCE("'arn:aws:s*:::b'"), "must name its service without wildcards"},
        {RESOURCE("'arn:aws:${k:b}:::b'"), "must name its service without wildcards"},
        {RESOURCE("'arn:aws:s3:::${aws:username'"), "Resource: the variable in"},
        {RESOURCE("'arn:aws:s3:::${,`x`}'"), "names no context key"},
        {RESOURCE("'arn:aws:s3:::${k:1}${k:2}${k:3}${k:4}${k:5}${k:6}${k:7}${k:8}${k:9}${k:10}${k:11}${k:12}${k:13}"
                  "${k:14}${k:15}${k:16}'"), NULL},
        {RESOURCE("'arn:aws:s3:::${k:1}${k:2}${k:3}${k:4}${k:5}${k:6}${k:7}${k:8}${k:9}${k:10}${k:11}${k:12}${k:13}"
                  "${k:14}${k:15}${k:16}${k:17}'"), "at most 16 variables"},
        {RESOURCE("'arn:aws:s3:::?" "?*" BETWEEN_64 "*'"), NULL},
        {RESOURCE("'arn:aws:s3:::*" BETWEEN_64 "?" "?'"), NULL}, /* the last star is in front of them */
        {RESOURCE("['arn:aws:s3:::*" BETWEEN_64 "*','arn:aws:s3:::*?*']"), "at most 64 \"?\" between"},
        {ALLOW("'Action':'*','NotResource':'b'"), "NotResource \"b\" must be"},
        {"{'Statement':{'Effect':'Allow','Action':'*','Resource':'arn:aws:s3:::${aws:username'}}", NULL}, /* of 2008 */
    };
    CHECK(rows, WM_POLICY_IDENTITY);
}

#define TRUST(principal) \
    "{'Version':'2012-10-17','Statement':{'Effect':'Allow','Action':'sts:AssumeRole','Principal':" principal "}}"

static void trust_policies(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {TRUST("'*'"), NULL},
        {TRUST("{'AWS':'*'}"), NULL},
        {TRUST("{'AWS':['111122223333','arn:aws:iam::111122223333:root'],'Service':'trail.amazonaws.com'}"), NULL},
        {TRUST("{'AWS':'arn:aws:iam::111122223333:user/ops/ann'}"), NULL},
        {TRUST("{'AWS':'arn:aws:iam::111122223333:role/path/R'}"), NULL},
        {TRUST("{'AWS':'arn:aws:sts::111122223333:assumed-role/R/S'}"), NULL},
        {TRUST("{'AWS':'arn:aws:sts::111122223333:federated-user/ann'}"), NULL},
        {TRUST("{'AWS':'AIDAQWERTYUIOPASDFGH'}"), NULL},
        {TRUST("{'AWS':['AROAQWERTYUIOPASDFGH']}"), NULL},
        {TRUST("{'AWS':'AIDAQWERTY'}"), "must be \"*\", an account's id"},
        {TRUST("{'AWS':'AIDAqwertyuiopasdfgh'}"), "must be \"*\", an account's id"},
        {TRUST("{'AWS':'ABIAQWERTYUIOPASDFGH'}"), "must be \"*\", an account's id"},
        {TRUST("'ann'"), "Principal must be \"*\" or an object with AWS or Service"},
        {TRUST("{}"), "Principal must be \"*\" or an object with AWS or Service"},
        {TRUST("['*']"), "Principal must be \"*\" or an object with AWS or Service"},
        {TRUST("{'Federated':'x'}"), "Principal must name AWS or Service, not \"Federated\""},
        {TRUST("{'AWS':[]}"), "AWS must not be empty"},
        {TRUST("{'Service':1}"), "Service must be a string or a list of strings"},
        {TRUST("{'Service':'*'}"), "Principal \"*\" must be the name of a service"},
        {TRUST("{'Service':'trail'}"), "Principal \"trail\" must be the name of a service"},
        {TRUST("{'AWS':'11112222333'}"), "Principal \"11112222333\" must be"},
        {TRUST("{'AWS':'ann'}"), "Principal \"ann\" must be"},
        {TRUST("{'AWS':'arn:aws:iam::111122223333:user/*'}"), "without wildcards"},
        {TRUST("{'AWS':'arn:aws:iam::111122223333:role/r?'}"), "without wildcards"},
        {TRUST("{'AWS':'arn:aws:iam::111122223333:user/'}"), "must be \"*\", an account's id"},
        {TRUST("{'AWS':'arn:aws:iam::111122223333:group/g'}"), "must be \"*\", an account's id"},
        {TRUST("{'AWS':'arn:aws:iam:eu-west-1:111122223333:root'}"), "must be \"*\", an account's id"},
        {TRUST("{'AWS':'arn:aws:iam::1:root'}"), "must be \"*\", an account's id"},
        {TRUST("{'AWS':'arn:aws:s3:::b'}"), "must be \"*\", an account's id"},
        {TRUST("{'AWS':'arn:aws:sts::111122223333:root'}"), "must be \"*\", an account's id"},
        {TRUST("{'AWS':'arn:aws:sts::111122223333:assumed-role/R'}"), "must be \"*\", an account's id"},
        {"{'Statement':{'Effect':'Allow','Action':'sts:AssumeRole'}}", "Principal must be there"},
        {"{'Statement':{'Effect':'Deny','Action':'sts:AssumeRole','NotPrincipal':'*'}}",
         "NotPrincipal must be in neither"},
        {"{'Statement':{'Effect':'Allow','Action':'STS:*','Principal':'*','Resource':'*'}}",
         "Resource must not be in a trust policy"},
        {"{'Statement':{'Effect':'Allow','Action':'sts:*','Principal':'*','NotResource':'*'}}",
         "NotResource must not be in a trust policy"},
        {"{'Statement':{'Effect':'Allow','Action':'*','Principal':'*'}}", "\"*\" must be one of STS"},
        {"{'Statement':{'Effect':'Allow','Action':['sts:TagSession','s3:Get'],'Principal':'*'}}",
         "\"s3:Get\" must be one of STS"},
    };
    CHECK(rows, WM_POLICY_TRUST);
}

static void ceilings(void **state)
{
    (void)state;
    static char text[WM_MAX_POLICY_BYTES + 2];
    static const char head[] = "{\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"arn:aws:s3:::";
    static const char tail[] = "\"}}";
    struct wm_policy *p = NULL;
    struct wm_err err = {0};
    for (size_t more = 0; more < 2; more++) { /* as many characters as there may be, and one more */
        size_t fill = WM_MAX_POLICY_CHARACTERS - (sizeof head - 1) - (sizeof tail - 1) + more;
        memset(text, ' ', sizeof text);
        memcpy(text, head, sizeof head - 1);
        memset(text + sizeof head - 1, 'x', fill);
        memcpy(text + sizeof head - 1 + fill, tail, sizeof tail - 1);
        struct wm_view whole = {text, WM_MAX_POLICY_BYTES};
        enum wm_status status = wm_policy_compile(whole, WM_POLICY_IDENTITY, &p, &err);
        assert_int_equal(status, more ? WM_E_LIMIT : WM_OK);
        if (!more)
            wm_policy_free(p);
    }
    assert_non_null(strstr(err.message, "10240 characters"));
    assert_int_equal(wm_policy_compile((struct wm_view){text, sizeof text}, WM_POLICY_IDENTITY, &p, &err), WM_E_LIMIT);
    memset(text, '[', 100);
    assert_int_equal(wm_policy_compile((struct wm_view){text, 100}, WM_POLICY_IDENTITY, &p, &err), WM_E_LIMIT);
}

static void size_leaves_blanks_out(void **state)
{
    (void)state;
    assert_int_equal(wm_policy_size(WM_LIT("")), 0);
    assert_int_equal(wm_policy_size(WM_LIT(" { \"a b\" :\r\n\t[ 1 , \"\\\" \\\\\" ] } ")), 19);
    assert_int_equal(wm_policy_size(WM_LIT("\"\xc3\xa4\"")), 3);
}

static void places_are_found(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        struct wm_policy_place start, end;
        size_t statement;
    } rows[] = {
        /* of the AWS CLI's example for simulate-custom-policy, with these two places */
        {"{'Version':'2012-10-17','Statement':{'Effect':'Allow','Action':'dynamodb:*','Resource':'*','Condition':"
         "{'DateGreaterThan':{'aws:CurrentTime':'2018-08-16T12:00:00Z'}}}}", {1, 38}, {1, 167}, 0},
        {"{\n  'Statement': [\n    {'Effect':'Deny','Action':['s3:*'],'Resource':'*'},\n    {\n"
         "      'Effect':'Allow',\n      'Action':'*','Resource':'*' } ],\n 'Id':'[{\\'}'}", {4, 6}, {6, 36}, 1},
        {"{'Id':'\xc3\xa4]}\\\\','Statement':{'Effect':'Allow','Action':'*','Resource':'*'}}", {1, 28}, {1, 73}, 0},
        {"{'Id':'x' , 'Statem\\u0065nt':[ {'Effect':'Allow','Action':'*','Resource':'*'}]}", {1, 33}, {1, 78}, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wm_policy *p;
        struct wm_err err = {0};
        if (rig_compile(rows[i].text, WM_POLICY_IDENTITY, &p, &err) != WM_OK)
            fail_msg("%s: %s", rows[i].text, err.message);
        struct wm_policy_statement_info s = wm_policy_statement_info(p, rows[i].statement);
        wm_policy_free(p);
        if (s.start.line != rows[i].start.line || s.start.column != rows[i].start.column ||
            s.end.line != rows[i].end.line || s.end.column != rows[i].end.column)
            fail_msg("%s: %u:%u to %u:%u", rows[i].text, s.start.line, s.start.column, s.end.line, s.end.column);
    }
}

static void keys_and_statements_are_listed(void **state)
{
    (void)state;
    static const char *const keys[] = {"aws:username", "aws:PrincipalTag/team", "aws:SourceIp",
                                       "aws:TagKeys",  "k:b",                   "k:c"};
    struct wm_policy *p;
    assert_int_equal(rig_compile("{'Version':'2012-10-17','Statement':[{'Sid':'One','Effect':'Allow','Action':'s3:*',"
                                 "'Resource':['arn:aws:s3:::${aws:username}/*','arn:aws:s3:::${aws:PrincipalTag/team,"
                                 " `x`}${*}']},"
                                 "{'Effect':'Deny','Action':'s3:*','Resource':'*','Condition':{'IpAddress':"
                                 "{'AWS:sourceip':'10.0.0.0/8','aws:sourceIP':'11.0.0.0/8'}}},"
                                 "{'Effect':'Deny','NotAction':'s3:*','NotResource':'*','Condition':"
                                 "{'ForAnyValue:StringEquals':{'aws:TagKeys':['${k:b}','${AWS:username}',"
                                 "'${k:c}']}}}]}",
                                 WM_POLICY_IDENTITY, &p, NULL), WM_OK);
    assert_int_equal(wm_policy_n_statements(p), 3);
    assert_true(wm_view_eq_str(wm_policy_statement_info(p, 0).sid, "One"));
    assert_false(wm_policy_statement_info(p, 0).deny);
    assert_int_equal(wm_policy_statement_info(p, 1).sid.len, 0);
    assert_true(wm_policy_statement_info(p, 1).deny);
    assert_int_equal(wm_policy_n_keys(p), sizeof keys / sizeof keys[0]);
    for (size_t i = 0; i < wm_policy_n_keys(p); i++)
        assert_true(wm_policy_key(p, i).len == strlen(keys[i]) &&
                    wm_view_ieq_str(wm_policy_key(p, i), keys[i]));
    assert_true(wm_view_eq_str(wm_policy_key(p, 2), "AWS:sourceip")); /* as it stands first */
    wm_policy_free(p);
    wm_policy_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents),
        cmocka_unit_test(statements),
        cmocka_unit_test(actions),
        cmocka_unit_test(resources),
        cmocka_unit_test(trust_policies),
        cmocka_unit_test(ceilings),
        cmocka_unit_test(size_leaves_blanks_out),
        cmocka_unit_test(places_are_found),
        cmocka_unit_test(keys_and_statements_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
