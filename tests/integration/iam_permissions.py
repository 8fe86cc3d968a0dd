"""IAM's roles, policies and simulations in one walk: create, read, page, update, delete, tag, attach, and each error, for
whatever client (clients.py). It leaves nothing behind, so that the next client finds what this one found."""
import json
import re
from urllib.parse import quote, unquote

import iam_users
from clients import SESSION, Cli
from harness import ACCOUNT
from iam_users import pages

MODEL = SESSION.get_service_model("iam")
STATUSES = {"ValidationError": 400, "AccessDenied": 403}
OPERATIONS = {
    "CreateRole", "GetRole", "ListRoles", "UpdateRole", "UpdateRoleDescription", "DeleteRole", "UpdateAssumeRolePolicy",
    "TagRole", "UntagRole", "ListRoleTags", "PutRolePermissionsBoundary", "DeleteRolePermissionsBoundary",
    "CreatePolicy", "GetPolicy", "ListPolicies", "DeletePolicy", "TagPolicy", "UntagPolicy", "ListPolicyTags",
    "CreatePolicyVersion", "GetPolicyVersion", "ListPolicyVersions", "SetDefaultPolicyVersion", "DeletePolicyVersion",
    "ListEntitiesForPolicy", "GetAccountAuthorizationDetails", "SimulatePrincipalPolicy", "SimulateCustomPolicy",
    "GetContextKeysForPrincipalPolicy", "GetContextKeysForCustomPolicy",
    *(f.format(o) for o in ("User", "Group", "Role") for f in (
        "Put{}Policy", "Get{}Policy", "Delete{}Policy", "List{}Policies", "Attach{}Policy", "Detach{}Policy",
        "ListAttached{}Policies"))}
IAM = f"arn:aws:iam::{ACCOUNT}:"
READ_ONLY = "arn:aws:iam::aws:policy/ReadOnlyAccess"


def policy(effect="Allow", action="mediapackage:*", resource="*", **more):
    return {"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": action, "Resource": resource, **more}]}


def trust(principal):
    return {"Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"}]}


def document(answered):
    """The JavaScript SDK leaves it percent-encoded, which is what the API says; botocore decodes it."""
    return json.loads(unquote(answered)) if isinstance(answered, str) else answered


def encoded(answer):
    """Documents in an answer as they are on the wire. All that the walk gives are what json.dumps() writes."""
    return {k: quote(json.dumps(v), safe="") if k.endswith("Document") and isinstance(v, dict) else
            encoded(v) if isinstance(v, dict) else v for k, v in answer.items()}


def expected_record(operation, members, answer, refused):
    want = iam_users.expected_record(operation, members, answer and encoded(answer), refused)
    if operation.startswith("Simulate"):
        want["readOnly"], want["responseElements"] = True, None
    return want


def some(r, cases):
    """A CLI takes a tenth of a second for a call: of errors that are alike it sees one."""
    return cases[:1] if isinstance(r.driver, Cli) else cases


def walk_roles(r):
    account = json.dumps(trust(ACCOUNT))
    made = r.call("CreateRole", RoleName="Ops", Path="/team/", AssumeRolePolicyDocument=account, Description="für ops",
                  MaxSessionDuration=7200, PermissionsBoundary=READ_ONLY, Tags=[{"Key": "Team", "Value": "a"}])["Role"]
    assert re.fullmatch(r"AROA[A-Z2-7]{17}", made["RoleId"])
    assert made["Arn"] == f"{IAM}role/team/Ops" and document(made["AssumeRolePolicyDocument"]) == trust(ACCOUNT)
    assert r.call("GetRole", RoleName="ops")["Role"] == made
    assert made["PermissionsBoundary"] == {"PermissionsBoundaryType": "PermissionsBoundaryPolicy",
                                           "PermissionsBoundaryArn": READ_ONLY}
    for i in range(3):
        r.call("CreateRole", RoleName=f"r{i}", AssumeRolePolicyDocument=account)
    assert pages(r, "ListRoles", "Roles", "RoleName", MaxItems=3) == [["Ops", "r0", "r1"], ["r2"]]
    assert pages(r, "ListRoles", "Roles", "RoleName", PathPrefix="/team/") == [["Ops"]]
    assert r.call("UpdateRole", RoleName="Ops", MaxSessionDuration=43200) == {}
    assert r.call("UpdateRoleDescription", RoleName="Ops", Description="new")["Role"]["Description"] == "new"
    role = json.dumps(trust(made["Arn"]))
    assert r.call("UpdateAssumeRolePolicy", RoleName="r0", PolicyDocument=role) == {}
    changed = r.call("GetRole", RoleName="Ops")["Role"]
    assert (changed["MaxSessionDuration"], changed["Description"]) == (43200, "new")
    assert document(r.call("GetRole", RoleName="r0")["Role"]["AssumeRolePolicyDocument"]) == trust(made["Arn"])
    assert r.call("TagRole", RoleName="Ops", Tags=[{"Key": "b", "Value": ""}]) == {}
    assert r.call("UntagRole", RoleName="Ops", TagKeys=["team"]) == {}
    assert r.call("ListRoleTags", RoleName="Ops")["Tags"] == [{"Key": "b", "Value": ""}]
    assert r.call("PutRolePermissionsBoundary", RoleName="Ops", PermissionsBoundary=READ_ONLY) == {}
    assert r.call("DeleteRolePermissionsBoundary", RoleName="Ops") == {}
    assert "PermissionsBoundary" not in r.call("GetRole", RoleName="Ops")["Role"]

    r.refuse("NoSuchEntity", "DeleteRolePermissionsBoundary", RoleName="Ops")
    r.refuse("EntityAlreadyExists", "CreateRole", RoleName="OPS", AssumeRolePolicyDocument=account)
    r.refuse("ValidationError", "CreateRole", RoleName="a b", AssumeRolePolicyDocument=account)
    r.refuse("ValidationError", "UpdateRole", RoleName="Ops", MaxSessionDuration=43201)
    r.refuse("MalformedPolicyDocument", "CreateRole", RoleName="x", AssumeRolePolicyDocument="{}")
    assert r.refuse("MalformedPolicyDocument", "UpdateAssumeRolePolicy", RoleName="Ops",
                    PolicyDocument=json.dumps(trust(f"{IAM}user/none"))) == \
        f'Invalid principal in policy: "AWS":"{IAM}user/none"'
    r.refuse("LimitExceeded", "UpdateAssumeRolePolicy", RoleName="Ops",
             PolicyDocument=json.dumps({**trust(ACCOUNT), "Id": "x" * 2048}))
    r.refuse("InvalidInput", "CreateRole", RoleName="x", AssumeRolePolicyDocument=account,
             PermissionsBoundary="arn:aws:s3:::a-bucket")
    r.refuse("InvalidInput", "TagRole", RoleName="Ops", Tags=[{"Key": "aws:x", "Value": ""}])
    for operation, more in some(r, [("GetRole", {}), ("UpdateRole", {}), ("UpdateRoleDescription", {"Description": "d"}),
                            ("DeleteRole", {}), ("UpdateAssumeRolePolicy", {"PolicyDocument": account}),
                            ("TagRole", {"Tags": [{"Key": "a", "Value": "b"}]}), ("UntagRole", {"TagKeys": ["a"]}),
                            ("ListRoleTags", {}), ("PutRolePermissionsBoundary", {"PermissionsBoundary": READ_ONLY}),
                            ("DeleteRolePermissionsBoundary", {})]):
        assert r.refuse("NoSuchEntity", operation, RoleName="none", **more) == "The role with name none cannot be found."


def walk_managed(r):
    made = r.call("CreatePolicy", PolicyName="Work", Path="/team/", PolicyDocument=json.dumps(policy()), Description="d",
                  Tags=[{"Key": "a", "Value": "1"}])["Policy"]
    arn = made["Arn"]
    assert re.fullmatch(r"ANPA[A-Z2-7]{17}", made["PolicyId"]) and arn == f"{IAM}policy/team/Work"
    assert r.call("GetPolicy", PolicyArn=arn)["Policy"] == made
    assert (made["AttachmentCount"], made["IsAttachable"], made["DefaultVersionId"]) == (0, True, "v1")
    second = policy("Deny")
    version = r.call("CreatePolicyVersion", PolicyArn=arn, PolicyDocument=json.dumps(second), SetAsDefault=True)
    assert version["PolicyVersion"]["VersionId"] == "v2" and version["PolicyVersion"]["IsDefaultVersion"] is True
    for n, want in (("v1", policy()), ("v2", second)):
        found = r.call("GetPolicyVersion", PolicyArn=arn, VersionId=n)["PolicyVersion"]
        assert document(found["Document"]) == want and found["IsDefaultVersion"] == (n == "v2")
    assert pages(r, "ListPolicyVersions", "Versions", "VersionId", PolicyArn=arn, MaxItems=1) == [["v1"], ["v2"]]
    assert r.refuse("DeleteConflict", "DeletePolicyVersion", PolicyArn=arn, VersionId="v2") == \
        "Cannot delete the default version of a policy."
    r.refuse("DeleteConflict", "DeletePolicy", PolicyArn=arn)
    assert r.call("SetDefaultPolicyVersion", PolicyArn=arn, VersionId="v1") == {}
    assert r.call("DeletePolicyVersion", PolicyArn=arn, VersionId="v2") == {}
    if not isinstance(r.driver, Cli):
        for _ in range(4):
            r.call("CreatePolicyVersion", PolicyArn=arn, PolicyDocument=json.dumps(second))
        r.refuse("LimitExceeded", "CreatePolicyVersion", PolicyArn=arn, PolicyDocument=json.dumps(second))
        for n in range(3, 7):
            r.call("DeletePolicyVersion", PolicyArn=arn, VersionId=f"v{n}")
    assert r.call("TagPolicy", PolicyArn=arn, Tags=[{"Key": "b", "Value": "2"}]) == {}
    assert r.call("UntagPolicy", PolicyArn=arn, TagKeys=["A"]) == {}
    assert r.call("ListPolicyTags", PolicyArn=arn)["Tags"] == [{"Key": "b", "Value": "2"}]

    aws = sum(pages(r, "ListPolicies", "Policies", "PolicyName", Scope="AWS", MaxItems=4), [])
    assert {"AdministratorAccess", "ReadOnlyAccess", "IAMFullAccess"} <= set(aws) and aws == sorted(aws)
    assert sum(pages(r, "ListPolicies", "Policies", "PolicyName"), []) == ["Work", *aws]
    assert pages(r, "ListPolicies", "Policies", "PolicyName", Scope="Local") == [["Work"]]
    assert pages(r, "ListPolicies", "Policies", "PolicyName", PathPrefix="/team/") == [["Work"]]
    assert pages(r, "ListPolicies", "Policies", "PolicyName", OnlyAttached=True) == [[]]
    assert pages(r, "ListPolicies", "Policies", "PolicyName", PolicyUsageFilter="PermissionsBoundary") == [[]]
    found = r.call("GetPolicyVersion", PolicyArn=READ_ONLY, VersionId="v1")["PolicyVersion"]
    assert "mediapackage:Describe*" in document(found["Document"])["Statement"][0]["Action"]

    r.refuse("EntityAlreadyExists", "CreatePolicy", PolicyName="WORK", PolicyDocument=json.dumps(policy()))
    r.refuse("MalformedPolicyDocument", "CreatePolicy", PolicyName="x", PolicyDocument=json.dumps(trust(ACCOUNT)))
    r.refuse("MalformedPolicyDocument", "CreatePolicyVersion", PolicyArn=arn, PolicyDocument="{")
    r.refuse("LimitExceeded", "CreatePolicy", PolicyName="x", PolicyDocument=json.dumps(policy(Sid="x" * 6144)))
    r.refuse("ValidationError", "CreatePolicy", PolicyName="x", PolicyDocument=json.dumps(policy()), Path="team")
    r.refuse("ValidationError", "GetPolicyVersion", PolicyArn=arn, VersionId="2")
    r.refuse("InvalidInput", "GetPolicy", PolicyArn=f"{IAM}role/Work")
    for operation, more in some(r, [("DeletePolicy", {}), ("TagPolicy", {"Tags": [{"Key": "a", "Value": "b"}]}),
                            ("CreatePolicyVersion", {"PolicyDocument": json.dumps(policy())})]):
        assert r.refuse("AccessDenied", operation, PolicyArn=READ_ONLY, **more) == "Policy is outside your own account."
    for operation, more in some(r, [("GetPolicy", {}), ("DeletePolicy", {}), ("ListPolicyTags", {}), ("ListPolicyVersions", {}),
                            ("TagPolicy", {"Tags": [{"Key": "a", "Value": "b"}]}), ("UntagPolicy", {"TagKeys": ["a"]}),
                            ("CreatePolicyVersion", {"PolicyDocument": json.dumps(policy())}),
                            ("ListEntitiesForPolicy", {})]):
        assert r.refuse("NoSuchEntity", operation, PolicyArn=f"{IAM}policy/none", **more) == \
            f"Policy {IAM}policy/none was not found."
    for operation in some(r, ["GetPolicyVersion", "SetDefaultPolicyVersion", "DeletePolicyVersion"]):
        r.refuse("NoSuchEntity", operation, PolicyArn=arn, VersionId="v9")
    return arn


def walk_owner(r, owner, most, arn):
    """Inline and attached policies of a user, group or role, whose name is Ops."""
    me = {f"{owner}Name": "Ops"}
    for name in ("b", "a"):
        assert r.call(f"Put{owner}Policy", PolicyName=name, PolicyDocument=json.dumps(policy()), **me) == {}
    found = r.call(f"Get{owner}Policy", PolicyName="a", **me)
    assert (found[f"{owner}Name"], found["PolicyName"], document(found["PolicyDocument"])) == ("Ops", "a", policy())
    page = r.call(f"List{owner}Policies", MaxItems=1, **me)
    assert page["PolicyNames"] == ["a"] and page["IsTruncated"] is True
    assert r.call(f"List{owner}Policies", Marker=page["Marker"], **me)["PolicyNames"] == ["b"]
    assert r.call(f"Delete{owner}Policy", PolicyName="b", **me) == {}

    for which in (arn, READ_ONLY, arn):
        assert r.call(f"Attach{owner}Policy", PolicyArn=which, **me) == {}
    assert pages(r, f"ListAttached{owner}Policies", "AttachedPolicies", "PolicyArn", MaxItems=1, **me) == [[arn], [READ_ONLY]]
    assert pages(r, f"ListAttached{owner}Policies", "AttachedPolicies", "PolicyName", PathPrefix="/team/", **me) == [["Work"]]
    assert r.call(f"Detach{owner}Policy", PolicyArn=READ_ONLY, **me) == {}
    if isinstance(r.driver, Cli) and owner != "Role":
        return
    for operation in (f"Get{owner}Policy", f"Delete{owner}Policy"):
        assert r.refuse("NoSuchEntity", operation, PolicyName="b", **me) == \
            f"The {owner.lower()} policy with name b cannot be found."
    r.refuse("MalformedPolicyDocument", f"Put{owner}Policy", PolicyName="x", PolicyDocument="{}", **me)
    assert r.refuse("LimitExceeded", f"Put{owner}Policy", PolicyName="x", PolicyDocument=json.dumps(policy(Sid="x" * most)),
                    **me).startswith("Maximum policy size")
    r.refuse("NoSuchEntity", f"Detach{owner}Policy", PolicyArn=READ_ONLY, **me)
    r.refuse("NoSuchEntity", f"Attach{owner}Policy", PolicyArn=f"{IAM}policy/none", **me)
    r.refuse("InvalidInput", f"Attach{owner}Policy", PolicyArn=f"{IAM}role/Ops", **me)
    assert r.refuse("DeleteConflict", f"Delete{owner}", **me) == "Cannot delete entity, must detach all policies first."
    none = {f"{owner}Name": "none"}
    for operation, more in some(r, [(f"Put{owner}Policy", {"PolicyName": "x", "PolicyDocument": json.dumps(policy())}),
                            (f"Get{owner}Policy", {"PolicyName": "x"}), (f"Delete{owner}Policy", {"PolicyName": "x"}),
                            (f"List{owner}Policies", {}), (f"Attach{owner}Policy", {"PolicyArn": arn}),
                            (f"Detach{owner}Policy", {"PolicyArn": arn}), (f"ListAttached{owner}Policies", {})]):
        r.refuse("NoSuchEntity", operation, **none, **more)


def walk_account(r, arn):
    found = r.call("ListEntitiesForPolicy", PolicyArn=arn)
    assert [found[f"Policy{o}s"][0][f"{o}Name"] for o in ("User", "Group", "Role")] == ["Ops"] * 3
    assert r.call("ListEntitiesForPolicy", PolicyArn=arn, EntityFilter="Role")["PolicyUsers"] == []
    assert r.call("GetPolicy", PolicyArn=arn)["Policy"]["AttachmentCount"] == 3
    assert r.refuse("DeleteConflict", "DeletePolicy", PolicyArn=arn) == "Cannot delete a policy attached to entities."
    whole = r.call("GetAccountAuthorizationDetails")
    assert not whole["IsTruncated"]
    user, group, role = (whole[f"{o}DetailList"] for o in ("User", "Group", "Role"))
    assert [u["GroupList"] for u in user] == [["Ops"]] and [len(user), len(group), len(role)] == [1, 1, 4]
    for detail, o in ((user[0], "User"), (group[0], "Group"), (role[0], "Role")):
        assert document(detail[f"{o}PolicyList"][0]["PolicyDocument"]) == policy()
        assert detail["AttachedManagedPolicies"] == [{"PolicyName": "Work", "PolicyArn": arn}]
    assert document(role[0]["AssumeRolePolicyDocument"]) == trust(ACCOUNT)
    assert [p["PolicyName"] for p in whole["Policies"]] == ["Work"]
    assert document(whole["Policies"][0]["PolicyVersionList"][0]["Document"]) == policy()
    seen, marker = [], {}
    while True:
        page = r.call("GetAccountAuthorizationDetails", MaxItems=3, **marker)
        seen += [x for k in ("UserDetailList", "GroupDetailList", "RoleDetailList", "Policies") for x in page[k]]
        if not page["IsTruncated"]:
            break
        marker = {"Marker": page["Marker"]}
    assert seen == [*user, *group, *role, *whole["Policies"]]
    only = r.call("GetAccountAuthorizationDetails", Filter=["Group"])
    assert [len(only[k]) for k in ("UserDetailList", "GroupDetailList", "RoleDetailList", "Policies")] == [0, 1, 0, 0]


def walk_simulation(r):
    at_home = policy("Deny", "mediapackage:Delete*", Condition={"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}})
    r.call("PutUserPolicy", UserName="Ops", PolicyName="home", PolicyDocument=json.dumps(at_home))
    asked = {"PolicySourceArn": f"{IAM}user/Ops", "ActionNames": ["mediapackage:DeleteChannel", "iam:CreateUser"]}

    def decisions(**more):
        found = r.call("SimulatePrincipalPolicy", **asked, **more)["EvaluationResults"]
        return [(e["EvalDecision"], sorted({s["SourcePolicyId"] for s in e["MatchedStatements"]})) for e in found]

    def source(ip):
        return [{"ContextKeyName": "aws:SourceIp", "ContextKeyType": "ip", "ContextKeyValues": [ip]}]

    assert decisions(ContextEntries=source("10.1.1.1")) == [("allowed", ["Work", "a"]), ("implicitDeny", [])]
    assert decisions(ContextEntries=source("192.0.2.1"))[0] == ("explicitDeny", ["home"])
    assert decisions(PolicyInputList=[json.dumps(policy(action="iam:*"))])[1] == ("allowed", ["PolicyInputList.1"])
    found = r.call("SimulatePrincipalPolicy", **asked, MaxItems=1)
    assert found["IsTruncated"] and found["EvaluationResults"][0]["MissingContextValues"] == ["aws:SourceIp"]
    rest = r.call("SimulatePrincipalPolicy", **asked, MaxItems=1, Marker=found["Marker"])
    assert [e["EvalActionName"] for e in rest["EvaluationResults"]] == ["iam:CreateUser"] and not rest["IsTruncated"]
    custom = {"PolicyInputList": [json.dumps(policy(resource="arn:aws:mediapackage:*:*:channels/a*"))],
              "PermissionsBoundaryPolicyInputList": [json.dumps(policy(action="mediapackage:Describe*"))],
              "ActionNames": ["mediapackage:DescribeChannel", "mediapackage:DeleteChannel"],
              "ResourceArns": [f"arn:aws:mediapackage:us-east-1:{ACCOUNT}:channels/abc"]}
    found = r.call("SimulateCustomPolicy", **custom)["EvaluationResults"]
    assert [e["EvalDecision"] for e in found] == ["allowed", "implicitDeny"]
    assert [e["PermissionsBoundaryDecisionDetail"]["AllowedByPermissionsBoundary"] for e in found] == [True, False]
    assert found[0]["ResourceSpecificResults"][0]["EvalResourceDecision"] == "allowed"
    statement = found[0]["MatchedStatements"][0]
    assert (statement["StartPosition"], statement["SourcePolicyType"]) == ({"Line": 1, "Column": 42}, "none")
    assert r.call("GetContextKeysForPrincipalPolicy", PolicySourceArn=f"{IAM}user/Ops")["ContextKeyNames"] == ["aws:SourceIp"]
    assert r.call("GetContextKeysForCustomPolicy", PolicyInputList=[json.dumps(at_home)])["ContextKeyNames"] == ["aws:SourceIp"]
    r.refuse("NoSuchEntity", "SimulatePrincipalPolicy", **{**asked, "PolicySourceArn": f"{IAM}user/none"})
    r.refuse("NoSuchEntity", "GetContextKeysForPrincipalPolicy", PolicySourceArn=f"{IAM}role/none")
    r.refuse("InvalidInput", "SimulatePrincipalPolicy", **{**asked, "PolicySourceArn": f"{IAM}root"})
    r.refuse("InvalidInput", "SimulateCustomPolicy", **{**custom, "PolicyInputList": ["{}"]})
    r.refuse("InvalidInput", "SimulateCustomPolicy", **custom, ResourcePolicy=json.dumps(policy()))
    r.refuse("InvalidInput", "GetContextKeysForCustomPolicy", PolicyInputList=["x"])
    r.call("DeleteUserPolicy", UserName="Ops", PolicyName="home")


def walk(r):
    walk_roles(r)
    arn = walk_managed(r)
    for owner, most in (("User", 2048), ("Group", 5120), ("Role", 10240)):
        if owner != "Role":
            r.call(f"Create{owner}", **{f"{owner}Name": "Ops"})
        walk_owner(r, owner, most, arn)
    r.call("AddUserToGroup", UserName="Ops", GroupName="Ops")
    walk_account(r, arn)
    walk_simulation(r)
    r.call("RemoveUserFromGroup", UserName="Ops", GroupName="Ops")
    for owner in ("User", "Group", "Role"):
        me = {f"{owner}Name": "Ops"}
        r.call(f"Detach{owner}Policy", PolicyArn=arn, **me)
        assert r.refuse("DeleteConflict", f"Delete{owner}", **me) == "Cannot delete entity, must delete policies first."
        r.call(f"Delete{owner}Policy", PolicyName="a", **me)
        r.call(f"Delete{owner}", **me)
    for i in range(3):
        r.call("DeleteRole", RoleName=f"r{i}")
    r.call("DeletePolicy", PolicyArn=arn)
    assert OPERATIONS <= {c[0] for c in r.calls}
