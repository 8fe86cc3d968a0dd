"""Every operation on roles and policies through boto3, both AWS CLIs and the JS SDK, and the record of each call, field by
field; and that what a simulation says beforehand is what happens. One server for all: each client leaves nothing behind."""
import json
import os
import subprocess

import botocore.exceptions
import pytest
from botocore import xform_name

from clients import CLIENTS, FOLDER, Recorder, check_records
from harness import ACCOUNT, AWS, REGION, clean_environment, wait_for
from iam_permissions import IAM, READ_ONLY, STATUSES, expected_record, policy, trust, walk


@pytest.mark.parametrize("client", CLIENTS)
def test_every_operation_and_its_record(module_server, client):
    driver = client(module_server, "iam")
    r = Recorder(driver, STATUSES)
    before = len(module_server.store.records())
    walk(r)
    driver.close()
    check_records(driver, r, before, expected_record, "2010-05-08")


CHANNEL = {"Id": "cam"}
ASKED = [("mediapackage", "ListChannels", {}), ("mediapackage", "DescribeChannel", CHANNEL),
         ("mediapackage", "UpdateChannel", CHANNEL), ("mediapackage", "CreateChannel", {"Id": "new"}),
         ("cloudtrail", "DescribeTrails", {}), ("iam", "ListUsers", {}), ("iam", "GetUser", {"UserName": "noor"}),
         ("iam", "CreateGroup", {"GroupName": "noors"})]


def resource_of(service, operation, channel):
    if operation in ("DescribeChannel", "UpdateChannel"):
        return channel
    return {"GetUser": f"{IAM}user/noor", "CreateGroup": f"{IAM}group/noors"}.get(operation, "*")


def context(**more):
    return [{"ContextKeyName": f"aws:{k}", "ContextKeyType": "string", "ContextKeyValues": [v]} for k, v in more.items()]


POLICIES = {
    "nothing": {},
    "only-read": {"Attach": [READ_ONLY]},
    "administrator": {"Attach": ["arn:aws:iam::aws:policy/AdministratorAccess"]},
    "not-iam": {"Put": [policy("Allow", "*"), policy("Deny", "iam:*")]},
    "oneself": {"Put": [policy("Allow", "iam:*", "arn:aws:iam::*:user/${aws:username}")]},
    "from-here": {"Put": [policy(action="*", Condition={"IpAddress": {"aws:SourceIp": "127.0.0.1"}})]},
    "from-elsewhere": {"Put": [policy(action="*", Condition={"NotIpAddress": {"aws:SourceIp": "127.0.0.0/8"}})]},
    "tagged": {"Put": [policy(action="*", Condition={"StringEquals": {"aws:PrincipalTag/Team": "sport"}})]},
    "tagged-otherwise": {"Put": [policy(action="*", Condition={"StringEquals": {"aws:PrincipalTag/Team": "news"}})]},
    "bounded": {"Attach": ["arn:aws:iam::aws:policy/AdministratorAccess"], "Boundary": READ_ONLY},
    "by-region": {"Put": [policy(action="*", Condition={"StringEquals": {"aws:RequestedRegion": REGION}})]},
}


@pytest.mark.parametrize("of", ["user", "group"])
def test_what_a_simulation_says_is_what_happens(module_server, of):
    """The user's own policies, or those of a group that it is in."""
    server = module_server
    root, packager = server.client("iam"), server.client("mediapackage")
    name = {"user": "noor", "group": "team"}[of]
    root.create_user(UserName="noor", Tags=[{"Key": "Team", "Value": "sport"}])
    root.create_group(GroupName="team")
    root.add_user_to_group(GroupName="team", UserName="noor")
    key = root.create_access_key(UserName="noor")["AccessKey"]
    channel = packager.create_channel(**CHANNEL)["Arn"]
    me = {f"{of.capitalize()}Name": name}
    clients = {s: server.client(s, (key["AccessKeyId"], key["SecretAccessKey"])) for s in ("mediapackage", "cloudtrail", "iam")}
    allowed = 0
    for given in POLICIES.values():
        for arn in given.get("Attach", []):
            getattr(root, f"attach_{of}_policy")(PolicyArn=arn, **me)
        for i, p in enumerate(given.get("Put", [])):
            getattr(root, f"put_{of}_policy")(PolicyName=f"p{i}", PolicyDocument=json.dumps(p), **me)
        if "Boundary" in given:
            root.put_user_permissions_boundary(UserName="noor", PermissionsBoundary=given["Boundary"])
        for service, operation, members in ASKED:
            (said,) = root.simulate_principal_policy(
                PolicySourceArn=f"{IAM}user/noor", ActionNames=[f"{service}:{operation}"],
                ResourceArns=[resource_of(service, operation, channel)],
                ContextEntries=context(SourceIp="127.0.0.1", RequestedRegion=REGION))["EvaluationResults"]
            try:
                getattr(clients[service], xform_name(operation))(**members)
                happened = True
            except botocore.exceptions.ClientError as e:
                assert e.response["Error"]["Code"] in ("AccessDenied", "AccessDeniedException"), (operation, given, e)
                explicit = "with an explicit deny" in e.response["Error"]["Message"]
                assert explicit == (said["EvalDecision"] == "explicitDeny"), (operation, given, said, e)
                happened = False
            assert happened == (said["EvalDecision"] == "allowed"), (operation, given, said)
            allowed += happened
        try_to(packager.delete_channel, Id="new")
        try_to(root.delete_group, GroupName="noors")
        for arn in given.get("Attach", []):
            getattr(root, f"detach_{of}_policy")(PolicyArn=arn, **me)
        for i, p in enumerate(given.get("Put", [])):
            getattr(root, f"delete_{of}_policy")(PolicyName=f"p{i}", **me)
        if "Boundary" in given:
            root.delete_user_permissions_boundary(UserName="noor")
    assert 30 < allowed < 60
    packager.delete_channel(**CHANNEL)
    root.remove_user_from_group(GroupName="team", UserName="noor")
    root.delete_access_key(UserName="noor", AccessKeyId=key["AccessKeyId"])
    root.delete_user(UserName="noor")
    root.delete_group(GroupName="team")


def test_who_takes_over_a_name_is_not_trusted_and_who_gives_it_up_is(module_server):
    """A role trusts whom its policy meant when it was written."""
    root = module_server.client("iam")

    def may_assume():
        sts = module_server.client("sts", (key["AccessKeyId"], key["SecretAccessKey"]))
        try:
            sts.assume_role(RoleArn=f"{IAM}role/door", RoleSessionName="session")
        except botocore.exceptions.ClientError as e:
            assert e.response["Error"]["Code"] == "AccessDenied", e
            return False
        return True

    first = root.create_user(UserName="ann")["User"]
    key = root.create_access_key(UserName="ann")["AccessKey"]
    root.create_role(RoleName="door", AssumeRolePolicyDocument=json.dumps(trust(first["Arn"])))
    assert may_assume()
    root.update_user(UserName="ann", NewUserName="bea")
    assert may_assume()
    assert root.get_role(RoleName="door")["Role"]["AssumeRolePolicyDocument"] == trust(first["UserId"])
    firsts, second = key, root.create_user(UserName="ann")["User"]
    key = root.create_access_key(UserName="ann")["AccessKey"]
    assert second["Arn"] == first["Arn"] and not may_assume()
    root.update_assume_role_policy(RoleName="door", PolicyDocument=json.dumps(trust(second["Arn"])))
    assert may_assume()
    root.delete_access_key(UserName="bea", AccessKeyId=firsts["AccessKeyId"])
    root.delete_access_key(UserName="ann", AccessKeyId=key["AccessKeyId"])
    for name in ("ann", "bea"):
        root.delete_user(UserName=name)
    root.delete_role(RoleName="door")


def try_to(call, **members):
    try:
        call(**members)
    except botocore.exceptions.ClientError as e:
        assert e.response["ResponseMetadata"]["HTTPStatusCode"] == 404, e


def test_the_commands_of_the_readme_do_what_it_says(module_server):
    with open(os.path.join(FOLDER, "..", "..", "README.md"), encoding="utf-8") as f:
        section = f.read().partition("## Who may do what\n")[2].partition("\n## ")[0]
    script = "\n".join(line[4:] for line in section.splitlines() if line.startswith("    "))
    environment = clean_environment(
        PATH=os.path.dirname(AWS) + ":" + os.environ["PATH"], AWS_PROFILE="waymark", AWS_DEFAULT_REGION=REGION,
        AWS_SHARED_CREDENTIALS_FILE=os.path.join(module_server.data, "credentials"), AWS_ENDPOINT_URL=module_server.endpoint)
    run = subprocess.run(["bash", "-e", "-c", script.replace("123456789012", ACCOUNT)], env=environment, text=True,
                         capture_output=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    assert "refused, and recorded" in run.stdout and "implicitDeny" in run.stdout
    assert run.stderr.count("AccessDenied") == 1 and '"Id": "annex"' in run.stdout
    record = wait_for(lambda: [r for _, r in module_server.store.records()
                               if r["eventName"] == "CreateChannel" and (r["requestParameters"] or {}).get("id") == "annex"
                               and not r.get("errorCode")], "the role's record")[0]
    assert record["userIdentity"]["arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/nightly/noor"
    client = module_server.client("iam")
    module_server.client("mediapackage").delete_channel(Id="annex")
    client.delete_role_policy(RoleName="nightly", PolicyName="channels")
    client.delete_role(RoleName="nightly")
    for user, arn in (("noor", READ_ONLY), ("admin", "arn:aws:iam::aws:policy/AdministratorAccess")):
        for key in client.list_access_keys(UserName=user)["AccessKeyMetadata"]:
            client.delete_access_key(UserName=user, AccessKeyId=key["AccessKeyId"])
        client.detach_user_policy(UserName=user, PolicyArn=arn)
        client.delete_user(UserName=user)


def test_policies_survive_a_restart(module_server):
    client = module_server.client("iam")
    arn = client.create_policy(PolicyName="kept", PolicyDocument=json.dumps(policy()))["Policy"]["Arn"]
    client.create_role(RoleName="kept", AssumeRolePolicyDocument=json.dumps(trust(ACCOUNT)), PermissionsBoundary=arn)
    client.attach_role_policy(RoleName="kept", PolicyArn=READ_ONLY)
    client.put_role_policy(RoleName="kept", PolicyName="own", PolicyDocument=json.dumps(policy("Deny")))
    asked = [(client.get_account_authorization_details, {}), (client.get_role, {"RoleName": "kept"}),
             (client.get_policy, {"PolicyArn": READ_ONLY}), (client.get_policy, {"PolicyArn": arn})]
    before = [{k: v for k, v in call(**m).items() if k != "ResponseMetadata"} for call, m in asked]
    module_server.restart()
    client = module_server.client("iam")
    asked = [(getattr(client, xform_name(call.__name__)), m) for call, m in asked]
    assert [{k: v for k, v in call(**m).items() if k != "ResponseMetadata"} for call, m in asked] == before
    assert before[2]["Policy"]["AttachmentCount"] == 1 and before[3]["Policy"]["PermissionsBoundaryUsageCount"] == 1
