/*
 * Managed policies of AWS itself, by the names, descriptions and dates of the AWS Managed Policy Reference Guide. Each
 * allows what AWS's allows in the services that are here: what is said about the others would be of no effect. So each has
 * one version, whatever number AWS's own has reached.
 */
#include "waymark/iam.h"


#include "waymark/banned.h"

#define ALLOW(actions) \
    "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":[" actions "],\"Resource\":\"*\"}]}"

/* In the order of their names, which is that of ListPolicies. */
static const struct wm_iam_managed managed[] = {
    {
        .name = "AWSCloudTrail_FullAccess",
        .created = "2020-10-08T23:41:15Z",
        .description = "Provides full access to AWS CloudTrail.",
        .document = ALLOW("\"cloudtrail:*\""),
    },
    {
        .name = "AWSCloudTrail_ReadOnlyAccess",
        .created = "2022-06-14T17:19:05Z",
        .description = "Provides read only access to AWS CloudTrail.",
        .document = ALLOW("\"cloudtrail:Get*\",\"cloudtrail:Describe*\",\"cloudtrail:List*\",\"cloudtrail:LookupEvents\""),
    },
    {
        .name = "AWSElementalMediaPackageFullAccess",
        .created = "2017-12-29T23:39:52Z",
        .description = "Provides full access to AWS Elemental MediaPackage resources",
        .document = ALLOW("\"mediapackage:*\""),
    },
    {
        .name = "AWSElementalMediaPackageReadOnly",
        .created = "2017-12-30T00:04:29Z",
        .description = "Provides read only access to AWS Elemental MediaPackage resources",
        .document = ALLOW("\"mediapackage:List*\",\"mediapackage:Describe*\""),
    },
    {
        .name = "AdministratorAccess",
        .created = "2015-02-06T18:39:46Z",
        .description = "Provides full access to AWS services and resources.",
        .document = ALLOW("\"*\""),
    },
    {
        .name = "IAMFullAccess",
        .created = "2015-02-06T18:40:38Z",
        .description = "Provides full access to IAM via the AWS Management Console.",
        .document = ALLOW("\"iam:*\""),
    },
    {
        .name = "IAMReadOnlyAccess",
        .created = "2015-02-06T18:40:39Z",
        .description = "Provides read only access to IAM via the AWS Management Console.",
        .document = ALLOW("\"iam:Get*\",\"iam:List*\",\"iam:SimulateCustomPolicy\",\"iam:SimulatePrincipalPolicy\""),
    },
    {
        /* Describing a channel shows the password of its ingest, here as in AWS. */
        .name = "ReadOnlyAccess",
        .created = "2015-02-06T18:39:48Z",
        .description = "Provides read-only access to AWS services and resources.",
        .document = ALLOW("\"cloudtrail:Describe*\",\"cloudtrail:Get*\",\"cloudtrail:List*\",\"cloudtrail:LookupEvents\","
                          "\"iam:Get*\",\"iam:List*\",\"iam:Simulate*\",\"mediapackage:Describe*\",\"mediapackage:List*\","
                          "\"sts:GetAccessKeyInfo\",\"sts:GetCallerIdentity\",\"sts:GetSessionToken\""),
    },
    {
        .name = "SecurityAudit",
        .created = "2015-02-06T18:41:01Z",
        .description = "The security audit template grants access to read security configuration metadata. It is useful for "
                       "software that audits the configuration of an AWS account.",
        .document = ALLOW("\"cloudtrail:Describe*\",\"cloudtrail:Get*\",\"cloudtrail:List*\",\"cloudtrail:LookupEvents\","
                          "\"iam:Get*\",\"iam:List*\",\"iam:SimulateCustomPolicy\",\"iam:SimulatePrincipalPolicy\""),
    },
};

const struct wm_iam_managed *wm_iam_managed_at(size_t i)
{
    return i < sizeof managed / sizeof managed[0] ? &managed[i] : NULL;
}

/* "arn:aws:iam::aws:policy/NAME", of any partition. */
const struct wm_iam_managed *wm_iam_managed_find(struct wm_view arn)
{
    struct wm_view name = arn;
    struct wm_view scheme = wm_view_split(&name, ':'), partition = wm_view_split(&name, ':');
    if (!wm_view_eq_str(scheme, "arn") || !wm_view_starts(partition, "aws") ||
        !wm_view_starts(name, WM_IAM_MANAGED_OWNER))
        return NULL;
    name = wm_view_sub(name, strlen(WM_IAM_MANAGED_OWNER), name.len);
    for (size_t i = 0; i < sizeof managed / sizeof managed[0]; i++)
        if (wm_view_eq_str(name, managed[i].name))
            return &managed[i];
    return NULL;
}

struct wm_view wm_iam_managed_policy(struct wm_view arn)
{
    const struct wm_iam_managed *m = wm_iam_managed_find(arn);
    return m ? wm_view_of(m->document) : WM_EMPTY;
}
