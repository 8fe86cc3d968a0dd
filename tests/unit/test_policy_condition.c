/* Condition operators: each where it holds and where it does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "tests/support/policy_rig.h"

#include "waymark/banned.h"

struct row {
    const char *condition; /* with ' for " */
    const char *keys;
    bool holds;
};

static enum wm_status compile(const char *condition, const char *version, struct wm_policy **out, struct wm_err *err)
{
    char text[2048];
    int n = snprintf(text, sizeof text, "{'Version':'%s','Statement':{'Effect':'Allow','Action':'*','Resource':'*',"
                     "'Condition':{%s}}}", version, condition);
    assert_in_range(n, 1, sizeof text - 1);
    return rig_compile(text, WM_POLICY_IDENTITY, out, err);
}

static bool row_holds(const struct row *row, const char *version)
{
    struct policy_request_rig rig = {.q = {.action = WM_LIT("s3:GetObject"), .resource = WM_LIT("*")}};
    struct wm_policy *p;
    struct wm_err err = {0};
    if (compile(row->condition, version, &p, &err) != WM_OK)
        fail_msg("%s: %s", row->condition, err.message);
    rig_keys(&rig, row->keys);
    enum wm_policy_effect effect = wm_policy_evaluate(p, &rig.q, NULL);
    wm_policy_free(p);
    assert_int_not_equal(effect, WM_POLICY_DENY);
    return effect == WM_POLICY_ALLOW;
}

static void check(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (row_holds(&rows[i], "2012-10-17") != rows[i].holds)
            fail_msg("{%s} of %s: not %s", rows[i].condition, rows[i].keys, rows[i].holds ? "true" : "false");
}
#define CHECK(rows) check(rows, sizeof rows / sizeof rows[0])

static void strings(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"'StringEquals':{'k:a':'x'}", "k:a=x", true},
        {"'StringEquals':{'k:a':'x'}", "k:a=X", false},
        {"'StringEquals':{'k:a':'x'}", "k:a=xx", false},
        {"'StringEquals':{'k:a':'x'}", "", false},
        {"'StringEquals':{'k:a':''}", "k:a=", true},
        {"'StringEquals':{'k:a':'x*'}", "k:a=xy", false},
        {"'StringEquals':{'k:a':'x*'}", "k:a=x*", true},
        {"'StringEquals':{'k:a':['y','x']}", "k:a=x", true},
        {"'StringEquals':{'k:a':['y','z']}", "k:a=x", false},
        {"'StringEquals':{'K:A':'x'}", "k:a=x", true},
        {"'StringEquals':{'aws:ResourceTag/Team':'x'}", "aws:resourcetag/team=x", true},
        {"'StringEquals':{'k:a':true}", "k:a=true", true},
        {"'StringEquals':{'k:a':1.50}", "k:a=1.50", true},
        {"'StringNotEquals':{'k:a':'x'}", "k:a=y", true},
        {"'StringNotEquals':{'k:a':'x'}", "k:a=x", false},
        {"'StringNotEquals':{'k:a':['x','y']}", "k:a=y", false},
        {"'StringNotEquals':{'k:a':'x'}", "", true},
        {"'StringEqualsIgnoreCase':{'k:a':'xY'}", "k:a=Xy", true},
        {"'StringEqualsIgnoreCase':{'k:a':'xY'}", "k:a=Xz", false},
        {"'StringNotEqualsIgnoreCase':{'k:a':'xY'}", "k:a=Xy", false},
        {"'StringNotEqualsIgnoreCase':{'k:a':'xY'}", "k:a=Xz", true},
        {"'StringLike':{'k:a':'a*c?e'}", "k:a=abbbcde", true},
        {"'StringLike':{'k:a':'a*c?e'}", "k:a=ace", false},
        {"'StringLike':{'k:a':'*'}", "k:a=", true},
        {"'StringLike':{'k:a':'?'}", "k:a=\xc3\xa4", true},
        {"'StringLike':{'k:a':'?'}", "k:a=ab", false},
        {"'StringLike':{'k:a':'A*'}", "k:a=ab", false},
        {"'StringNotLike':{'k:a':'a*'}", "k:a=ab", false},
        {"'StringNotLike':{'k:a':'a*'}", "k:a=b", true},
        {"'StringNotLike':{'k:a':'a*'}", "", true},
    };
    CHECK(rows);
}

static void numbers(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"'NumericEquals':{'k:a':'10'}", "k:a=10", true},
        {"'NumericEquals':{'k:a':10}", "k:a=+010.00", true},
        {"'NumericEquals':{'k:a':10}", "k:a=11", false},
        {"'NumericEquals':{'k:a':0}", "k:a=-0", true},
        {"'NumericEquals':{'k:a':-1.5}", "k:a=-1.50", true},
        {"'NumericEquals':{'k:a':1}", "k:a=one", false},
        {"'NumericEquals':{'k:a':1}", "k:a=", false},
        {"'NumericEquals':{'k:a':1}", "k:a=1.", false},
        {"'NumericEquals':{'k:a':9007199254740993}", "k:a=9007199254740992", false},
        {"'NumericNotEquals':{'k:a':1}", "k:a=2", true},
        {"'NumericNotEquals':{'k:a':1}", "k:a=1.0", false},
        {"'NumericNotEquals':{'k:a':1}", "k:a=one", true},
        {"'NumericNotEquals':{'k:a':1}", "", true},
        {"'NumericLessThan':{'k:a':10}", "k:a=9.99", true},
        {"'NumericLessThan':{'k:a':10}", "k:a=10", false},
        {"'NumericLessThan':{'k:a':-10}", "k:a=-9", false},
        {"'NumericLessThan':{'k:a':-10}", "k:a=-11", true},
        {"'NumericLessThan':{'k:a':0.1}", "k:a=0.09", true},
        {"'NumericLessThan':{'k:a':[1,10]}", "k:a=9", true},
        {"'NumericLessThanEquals':{'k:a':10}", "k:a=10", true},
        {"'NumericLessThanEquals':{'k:a':10}", "k:a=10.01", false},
        {"'NumericGreaterThan':{'k:a':10}", "k:a=100", true},
        {"'NumericGreaterThan':{'k:a':10}", "k:a=10", false},
        {"'NumericGreaterThanEquals':{'k:a':10}", "k:a=10", true},
        {"'NumericGreaterThanEquals':{'k:a':10}", "k:a=-10", false},
        {"'NumericGreaterThanEquals':{'k:a':10}", "", false},
    };
    CHECK(rows);
}

static void dates(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"'DateEquals':{'k:a':'2026-03-01T10:07:12Z'}", "k:a=2026-03-01T10:07:12Z", true},
        {"'DateEquals':{'k:a':'2026-03-01T10:07:12Z'}", "k:a=2026-03-01T11:07:12+01:00", true},
        {"'DateEquals':{'k:a':'2026-03-01T10:07:12Z'}", "k:a=2026-03-01T05:07:12.000-05:00", true},
        {"'DateEquals':{'k:a':'2026-03-01T10:07:12Z'}", "k:a=1772359632", true},
        {"'DateEquals':{'k:a':'2026-03-01T10:07:12Z'}", "k:a=2026-03-01T10:07:13Z", false},
        {"'DateEquals':{'k:a':'2026-03-01T10:07Z'}", "k:a=2026-03-01T10:07:00Z", true},
        {"'DateEquals':{'k:a':'2026-03-01'}", "k:a=2026-03-01T00:00:00Z", true},
        {"'DateEquals':{'k:a':'2026-03'}", "k:a=2026-03-01T00:00:00Z", true},
        {"'DateEquals':{'k:a':'2026'}", "k:a=2026-01-01T00:00:00Z", true},
        {"'DateEquals':{'k:a':'2026'}", "k:a=2026-02-30", false},
        {"'DateEquals':{'k:a':'2026'}", "k:a=soon", false},
        {"'DateEquals':{'k:a':0}", "k:a=1970-01-01T00:00:00Z", true},
        {"'DateNotEquals':{'k:a':'2026'}", "k:a=2027", true},
        {"'DateNotEquals':{'k:a':'2026'}", "k:a=2026", false},
        {"'DateNotEquals':{'k:a':'2026'}", "", true},
        {"'DateLessThan':{'k:a':'2026-03-01T10:00:00Z'}", "k:a=2026-03-01T09:59:59.999Z", true},
        {"'DateLessThan':{'k:a':'2026-03-01T10:00:00Z'}", "k:a=2026-03-01T10:00:00Z", false},
        {"'DateLessThanEquals':{'k:a':'2026-03-01T10:00:00Z'}", "k:a=2026-03-01T10:00:00Z", true},
        {"'DateLessThanEquals':{'k:a':'2026-03-01T10:00:00Z'}", "k:a=2026-03-01T10:00:00.001Z", false},
        {"'DateGreaterThan':{'k:a':'2024-02-29'}", "k:a=2024-03-01", true},
        {"'DateGreaterThan':{'k:a':'2024-02-29'}", "k:a=2024-02-29", false},
        {"'DateGreaterThan':{'k:a':'0001-01-01'}", "k:a=1970-01-01", true},
        {"'DateLessThan':{'k:a':'9999-12-31'}", "k:a=2026-01-01", true},
        {"'DateGreaterThanEquals':{'k:a':'2024-02-29'}", "k:a=2024-02-29", true},
        {"'DateGreaterThanEquals':{'k:a':'2024-02-29'}", "k:a=2024-02-28", false},
    };
    CHECK(rows);
}

static void other_forms(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"'Bool':{'aws:SecureTransport':'true'}", "aws:SecureTransport=true", true},
        {"'Bool':{'aws:SecureTransport':true}", "aws:SecureTransport=TRUE", true},
        {"'Bool':{'aws:SecureTransport':'False'}", "aws:SecureTransport=true", false},
        {"'Bool':{'aws:SecureTransport':'false'}", "aws:SecureTransport=no", false},
        {"'Bool':{'aws:SecureTransport':'false'}", "", false},
        {"'Bool':{'k:a':'${k:b}'}", "k:a=true;k:b=TRUE", true},
        {"'Bool':{'k:a':'${k:b}'}", "k:a=true;k:b=false", false},
        {"'Bool':{'k:a':'${k:b}'}", "k:a=x;k:b=x", false},
        {"'BinaryEquals':{'k:a':'QmluYXJ5VmFsdWU='}", "k:a=QmluYXJ5VmFsdWU=", true},
        {"'BinaryEquals':{'k:a':'QmluYXJ5VmFsdWU='}", "k:a=QmluYXJ5VmFsdWV=", false},
        {"'IpAddress':{'aws:SourceIp':'203.0.113.0/24'}", "aws:SourceIp=203.0.113.200", true},
        {"'IpAddress':{'aws:SourceIp':'203.0.113.0/24'}", "aws:SourceIp=203.0.114.1", false},
        {"'IpAddress':{'aws:SourceIp':'203.0.113.9'}", "aws:SourceIp=203.0.113.9", true},
        {"'IpAddress':{'aws:SourceIp':'0.0.0.0/0'}", "aws:SourceIp=203.0.113.9", true},
        {"'IpAddress':{'aws:SourceIp':'0.0.0.0/0'}", "aws:SourceIp=2001:db8::1", false},
        {"'IpAddress':{'aws:SourceIp':'::/0'}", "aws:SourceIp=203.0.113.9", false},
        {"'IpAddress':{'aws:SourceIp':['10.0.0.0/8','2001:DB8:1::/48']}", "aws:SourceIp=2001:db8:1:2::7", true},
        {"'IpAddress':{'aws:SourceIp':'10.0.0.0/8'}", "aws:SourceIp=trail.amazonaws.com", false},
        {"'IpAddress':{'aws:SourceIp':'10.0.0.0/8'}", "", false},
        {"'NotIpAddress':{'aws:SourceIp':'10.0.0.0/8'}", "aws:SourceIp=11.0.0.1", true},
        {"'NotIpAddress':{'aws:SourceIp':['10.0.0.0/8','11.0.0.0/8']}", "aws:SourceIp=11.0.0.1", false},
        {"'NotIpAddress':{'aws:SourceIp':'10.0.0.0/8'}", "", true},
        {"'ArnEquals':{'k:a':'arn:aws:iam::111122223333:user/ann'}", "k:a=arn:aws:iam::111122223333:user/ann", true},
        {"'ArnEquals':{'k:a':'arn:aws:iam::111122223333:user/*'}", "k:a=arn:aws:iam::111122223333:user/a:b", true},
        {"'ArnLike':{'k:a':'arn:aws:iam::*:user/ann'}", "k:a=arn:aws:iam::111122223333:user/ann", true},
        {"'ArnLike':{'k:a':'arn:*:iam::1:user/ann'}", "k:a=arn:aws:x:iam::1:user/ann", false},
        {"'ArnLike':{'k:a':'arn:aws:*:*:*:*'}", "k:a=arn:aws:s3:::bucket", true},
        {"'ArnLike':{'k:a':'arn:aws:s3:?::bucket'}", "k:a=arn:aws:s3:::bucket", false},
        {"'ArnLike':{'k:a':'arn:aws:s3:::B*'}", "k:a=arn:aws:s3:::bucket", false},
        {"'ArnLike':{'k:a':'*'}", "k:a=anything", true},
        {"'ArnLike':{'k:a':'${aws:PrincipalArn}'}", "k:a=arn:a:b:c:d:e;aws:PrincipalArn=arn:a:b:c:d:e", true},
        {"'ArnNotEquals':{'k:a':'arn:aws:s3:::b'}", "k:a=arn:aws:s3:::c", true},
        {"'ArnNotEquals':{'k:a':'arn:aws:s3:::b'}", "k:a=arn:aws:s3:::b", false},
        {"'ArnNotLike':{'k:a':'arn:aws:s3:::b*'}", "k:a=arn:aws:s3:::bucket", false},
        {"'ArnNotLike':{'k:a':'arn:aws:s3:::b*'}", "", true},
        {"'Null':{'aws:TokenIssueTime':'true'}", "", true},
        {"'Null':{'aws:TokenIssueTime':'true'}", "aws:TokenIssueTime=2026-01-01T00:00:00Z", false},
        {"'Null':{'aws:TokenIssueTime':false}", "aws:TokenIssueTime=2026-01-01T00:00:00Z", true},
        {"'Null':{'aws:TokenIssueTime':false}", "", false},
        {"'Null':{'aws:TagKeys':'true'}", "aws:TagKeys=[]", true},
        {"'Null':{'aws:TagKeys':['true','false']}", "", true},
    };
    CHECK(rows);
}

static void missing_keys_and_sets(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"'StringEqualsIfExists':{'k:a':'x'}", "", true},
        {"'StringEqualsIfExists':{'k:a':'x'}", "k:a=x", true},
        {"'StringEqualsIfExists':{'k:a':'x'}", "k:a=y", false},
        {"'NumericLessThanIfExists':{'k:a':1}", "", true},
        {"'DateLessThanIfExists':{'k:a':'2026'}", "k:a=2027", false},
        {"'BoolIfExists':{'k:a':'true'}", "k:a=false", false},
        {"'BinaryEqualsIfExists':{'k:a':'AAAA'}", "", true},
        {"'IpAddressIfExists':{'k:a':'10.0.0.0/8'}", "", true},
        {"'ArnNotLikeIfExists':{'k:a':'arn:aws:s3:::b'}", "k:a=arn:aws:s3:::b", false},
        {"'ForAllValues:StringEquals':{'k:a':['x','y']}", "k:a=[x|y]", true},
        {"'ForAllValues:StringEquals':{'k:a':['x','y']}", "k:a=[x|z]", false},
        {"'ForAllValues:StringEquals':{'k:a':['x','y']}", "k:a=[x]", true},
        {"'ForAllValues:StringEquals':{'k:a':['x','y']}", "", true},
        {"'ForAllValues:StringEquals':{'k:a':['x','y']}", "k:a=[]", true},
        {"'ForAllValues:StringNotEquals':{'k:a':['x','y']}", "k:a=[v|w]", true},
        {"'ForAllValues:StringNotEquals':{'k:a':['x','y']}", "k:a=[v|x]", false},
        {"'ForAllValues:StringLike':{'k:a':'x*'}", "k:a=[x|xa]", true},
        {"'ForAnyValue:StringEquals':{'k:a':['x','y']}", "k:a=[z|y]", true},
        {"'ForAnyValue:StringEquals':{'k:a':['x','y']}", "k:a=[z|v]", false},
        {"'ForAnyValue:StringEquals':{'k:a':['x','y']}", "", false},
        {"'ForAnyValue:StringNotEquals':{'k:a':['x','y']}", "k:a=[x|z]", true},
        {"'ForAnyValue:StringNotEquals':{'k:a':['x','y']}", "k:a=[x|y]", false},
        {"'ForAnyValue:StringNotEquals':{'k:a':['x','y']}", "", false},
        {"'ForAllValues:NumericLessThan':{'k:a':5}", "k:a=[1|2]", true},
        {"'ForAnyValue:IpAddress':{'k:a':'10.0.0.0/8'}", "k:a=[192.0.2.1|10.0.0.1]", true},
        {"'ForAnyValue:StringEqualsIfExists':{'k:a':'x'}", "", false},
        {"'ForAllValues:StringEqualsIfExists':{'k:a':'x'}", "", true},
        {"'ForAnyValue:StringEquals':{'k:a':'x'}", "k:a=x", true}, /* a single value is a set of one */
        {"'foranyvalue:stringequalsifexists':{'k:a':'x'}", "k:a=x", true},
        {"'StringEquals':{'k:a':'x'}", "k:a=[x]", false}, /* a set needs ForAnyValue or ForAllValues */
        {"'StringNotEquals':{'k:a':'x'}", "k:a=[z]", false},
        {"'StringNotEquals':{'k:a':'x'}", "k:a=[]", true},
        {"'StringEquals':{'k:a':'x','k:b':'y'}", "k:a=x;k:b=y", true},
        {"'StringEquals':{'k:a':'x','k:b':'y'}", "k:a=x;k:b=z", false},
        {"'StringEquals':{'k:a':'x'},'Bool':{'k:b':'true'}", "k:a=x;k:b=false", false},
        {"", "", true},
    };
    CHECK(rows);
}

static void variables(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"'StringEquals':{'k:a':'${aws:username}'}", "k:a=ann;aws:username=ann", true},
        {"'StringEquals':{'k:a':'${aws:username}'}", "k:a=bob;aws:username=ann", false},
        {"'StringEquals':{'k:a':'${AWS:UserName}'}", "k:a=ann;aws:username=ann", true},
        {"'StringEquals':{'k:a':'${aws:username}'}", "k:a=${aws:username}", false},
        {"'StringEquals':{'k:a':'${aws:username}'}", "k:a=", false},
        {"'StringNotEquals':{'k:a':'${aws:username}'}", "k:a=x", true},
        {"'StringEquals':{'k:a':'a-${k:b}-${k:c}'}", "k:a=a-1-2;k:b=1;k:c=2", true},
        {"'StringEquals':{'k:a':'${k:b}${k:c}'}", "k:a=2;k:b=;k:c=2", true},
        {"'StringEquals':{'k:a':'${aws:PrincipalTag/team, `none`}'}", "k:a=none", true},
        {"'StringEquals':{'k:a':'${aws:PrincipalTag/team, `none`}'}", "k:a=none;aws:PrincipalTag/team=t", false},
        {"'StringEquals':{'k:a':'${aws:PrincipalTag/team, `none`}'}", "k:a=t;aws:PrincipalTag/team=t", true},
        {"'StringEquals':{'k:a':'${k:b,`}`}'}", "k:a=}", true},
        {"'StringEquals':{'k:a':'${k:b,``}'}", "k:a=", true},
        {"'StringEquals':{'k:a':'${aws:TagKeys}'}", "k:a=x;aws:TagKeys=[x]", false},
        {"'StringLike':{'k:a':'${k:b}*'}", "k:a=a*b;k:b=a*", true},
        {"'StringLike':{'k:a':'${k:b}'}", "k:a=abc;k:b=a*", false}, /* a value's star is no wildcard */
        {"'StringLike':{'k:a':'*${k:b}?'}", "k:a=ababc;k:b=ab", true},
        {"'StringLike':{'k:a':'a${*}${?}${$}'}", "k:a=a*?$", true},
        {"'StringLike':{'k:a':'a${*}'}", "k:a=abc", false},
        {"'StringEquals':{'k:a':'$a$'}", "k:a=$a$", true},
    };
    CHECK(rows);
    static const struct row old[] = {
        {"'StringEquals':{'k:a':'${aws:username}'}", "k:a=${aws:username};aws:username=ann", true},
        {"'StringEquals':{'k:a':'${aws:username}'}", "k:a=ann;aws:username=ann", false},
        {"'StringLike':{'k:a':'${*}'}", "k:a=${x}", true},
    };
    for (size_t i = 0; i < sizeof old / sizeof old[0]; i++)
        if (row_holds(&old[i], "2008-10-17") != old[i].holds)
            fail_msg("{%s} of %s in 2008", old[i].condition, old[i].keys);
}

static void values_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *condition, *says;
    } rows[] = {
        {"'StringMatches':{'k:a':'x'}", "no operator \"StringMatches\""},
        {"'IfExists':{'k:a':'x'}", "no operator \"IfExists\""},
        {"'ForAnyValue:':{'k:a':'x'}", "no operator \"ForAnyValue:\""},
        {"'':{'k:a':'x'}", "no operator \"\""},
        {"'NullIfExists':{'k:a':true}", "no operator \"NullIfExists\""},
        {"'ForAnyValue:Null':{'k:a':true}", "no operator \"ForAnyValue:Null\""},
        {"'ForSomeValues:StringEquals':{'k:a':'x'}", "no operator \"ForSomeValues:StringEquals\""},
        {"'StringEquals':{}", "at least one context key"},
        {"'StringEquals':'x'", "at least one context key"},
        {"'StringEquals':{'a':'x'}", "\"a\" must have the form \"SERVICE:NAME\""},
        {"'StringEquals':{':a':'x'}", "\":a\" must have the form \"SERVICE:NAME\""},
        {"'StringEquals':{'a:':'x'}", "\"a:\" must have the form \"SERVICE:NAME\""},
        {"'StringEquals':{'k:a':[]}", "\"k:a\" must have a value"},
        {"'StringEquals':{'k:a':null}", "strings, numbers or booleans"},
        {"'StringEquals':{'k:a':[['x']]}", "strings, numbers or booleans"},
        {"'StringEquals':{'k:a':'${aws:username'}", "not closed by \"}\""},
        {"'StringEquals':{'k:a':'${}'}", "names no context key"},
        {"'StringEquals':{'k:a':'${a${b}}'}", "names no context key"},
        {"'StringEquals':{'k:a':'${k:b, none}'}", "in single quotes"},
        {"'StringEquals':{'k:a':'${k:b, `}'}", "not closed by \"}\""},
        {"'NumericEquals':{'k:a':'ten'}", "must be a decimal number"},
        {"'NumericEquals':{'k:a':1e3}", "must be a decimal number"},
        {"'NumericEquals':{'k:a':'${k:b}'}", "must be a decimal number"},
        {"'DateEquals':{'k:a':'2026-02-29'}", "must be a date"},
        {"'DateEquals':{'k:a':'2026-13-01'}", "must be a date"},
        {"'DateEquals':{'k:a':'2026-01-01T10'}", "must be a date"},
        {"'DateEquals':{'k:a':'2026-01-01T10:00:00'}", "must be a date"},
        {"'DateEquals':{'k:a':'2026-01-01T10:00:00.Z'}", "must be a date"},
        {"'DateEquals':{'k:a':'2026-01-01T10:00:00+1'}", "must be a date"},
        {"'DateEquals':{'k:a':'2026-01-01T10:00:00Zx'}", "must be a date"},
        {"'DateEquals':{'k:a':'99999999999999999999'}", "must be a date"},
        {"'DateEquals':{'k:a':''}", "must be a date"},
        {"'Bool':{'k:a':'yes'}", "must be true or false"},
        {"'Null':{'k:a':'yes'}", "must be true or false"},
        {"'BinaryEquals':{'k:a':'a'}", "must be base64"},
        {"'BinaryEquals':{'k:a':'QR=='}", "must be base64"},
        {"'IpAddress':{'k:a':'10.0.0.0/33'}", "must be an IP address"},
        {"'IpAddress':{'k:a':'somewhere'}", "must be an IP address"},
        {"'ArnEquals':{'k:a':'arn:aws:s3'}", "must be an ARN"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wm_policy *p = NULL;
        struct wm_err err = {0};
        enum wm_status status = compile(rows[i].condition, "2012-10-17", &p, &err);
        wm_policy_free(p);
        if (status != WM_E_INVALID || !strstr(err.message, rows[i].says) || !strstr(err.message, "Statement 1: "))
            fail_msg("%s: %s", rows[i].condition, err.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings),
        cmocka_unit_test(numbers),
        cmocka_unit_test(dates),
        cmocka_unit_test(other_forms),
        cmocka_unit_test(missing_keys_and_sets),
        cmocka_unit_test(variables),
        cmocka_unit_test(values_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
