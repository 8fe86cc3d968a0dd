"""IAM's users, groups and access keys in one walk: create, read, page, update, delete, tag, and each error, for
whatever client (clients.py). It leaves nothing behind, so that the next client finds what this one found."""
import datetime
import re

from clients import SESSION, error_codes
from harness import ACCOUNT

MODEL = SESSION.get_service_model("iam")
STATUSES = {"ValidationError": 400}
RECORDED = {code: name for name, (code, _) in error_codes(MODEL).items()}  # records have the shapes' names
OPERATIONS = {
    "CreateUser", "GetUser", "ListUsers", "UpdateUser", "DeleteUser", "TagUser", "UntagUser", "ListUserTags",
    "CreateGroup", "GetGroup", "ListGroups", "UpdateGroup", "DeleteGroup", "AddUserToGroup", "RemoveUserFromGroup",
    "ListGroupsForUser", "CreateAccessKey", "ListAccessKeys", "UpdateAccessKey", "DeleteAccessKey",
    "GetAccessKeyLastUsed", "PutUserPermissionsBoundary", "DeleteUserPermissionsBoundary", "GetAccountSummary", "CreateAccountAlias",
    "DeleteAccountAlias", "ListAccountAliases"}
HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"
SECRETS = {"SecretAccessKey", "SessionToken", "TokenCode"}
READ_ONLY = "arn:aws:iam::aws:policy/ReadOnlyAccess"
NO_POLICY = f"arn:aws:iam::{ACCOUNT}:policy/none"


def recorded(shape, value):
    """As records have it: names begin with a small letter, times are texts, and a secret is not there."""
    if shape.type_name == "structure":
        return {k[0].lower() + k[1:]: HIDDEN if k in SECRETS else recorded(shape.members[k], v)
                for k, v in value.items()}
    if shape.type_name == "list":
        return [recorded(shape.member, v) for v in value]
    if isinstance(value, datetime.datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    return value


def expected_record(operation, members, answer, refused):
    model = MODEL.operation_model(operation)
    read_only = operation.startswith(("Get", "List"))
    return {
        "eventName": operation,
        "eventSource": "iam.amazonaws.com",
        "readOnly": read_only,
        "requestParameters": recorded(model.input_shape, members) or None if model.input_shape else None,
        "responseElements": recorded(model.output_shape, answer) if answer and not read_only else None,
        "errorCode": RECORDED.get(refused.code, refused.code) if refused else None,
        "errorMessage": refused.message if refused else None,
    }


def pages(r, operation, member, name, **members):
    """The names on each page."""
    found, marker = [], {}
    while True:
        page = r.call(operation, **members, **marker)
        found.append([x[name] for x in page[member]])
        assert page["IsTruncated"] == ("Marker" in page)
        if not page["IsTruncated"]:
            return found
        marker = {"Marker": page["Marker"]}


def walk_users(r):
    tags = [{"Key": "Team", "Value": "spört + co"}]
    made = r.call("CreateUser", UserName="alice", Path="/team/a&b/", Tags=tags)["User"]
    assert made["Tags"] == tags
    assert re.fullmatch(r"AIDA[A-Z2-7]{17}", made["UserId"])
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/team/a&b/alice"
    assert abs(made["CreateDate"].timestamp() - datetime.datetime.now().timestamp()) < 60
    assert r.call("GetUser", UserName="ALICE")["User"] == made
    root = r.call("GetUser")["User"]
    assert (root["Arn"], root["UserId"]) == (f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT)
    assert 0 <= made["CreateDate"].timestamp() - root["CreateDate"].timestamp() < 600
    for name in ("bob", "B=o+b,2@x_y-z.", "carol"):
        assert r.call("CreateUser", UserName=name)["User"]["Path"] == "/"
    assert pages(r, "ListUsers", "Users", "UserName") == [["alice", "B=o+b,2@x_y-z.", "bob", "carol"]]
    assert pages(r, "ListUsers", "Users", "UserName", MaxItems=3) == [["alice", "B=o+b,2@x_y-z.", "bob"], ["carol"]]
    assert pages(r, "ListUsers", "Users", "UserName", PathPrefix="/team/") == [["alice"]]
    assert pages(r, "ListUsers", "Users", "UserName", PathPrefix="/none/") == [[]]

    assert r.call("UpdateUser", UserName="alice", NewUserName="Anna", NewPath="/") == {}
    anna = r.call("GetUser", UserName="Anna")["User"]
    assert anna == {**made, "UserName": "Anna", "Path": "/", "Arn": f"arn:aws:iam::{ACCOUNT}:user/Anna"}
    r.call("UpdateUser", UserName="Anna", NewUserName="alice", NewPath="/team/")
    r.call("DeleteUser", UserName="carol")

    r.refuse("EntityAlreadyExists", "CreateUser", UserName="Alice")
    r.refuse("EntityAlreadyExists", "UpdateUser", UserName="bob", NewUserName="ALICE")
    r.refuse("InvalidInput", "CreateUser", UserName="x",
             Tags=[{"Key": "a", "Value": ""}, {"Key": "A", "Value": ""}])
    r.refuse("NoSuchEntity", "CreateUser", UserName="x", PermissionsBoundary=NO_POLICY)
    r.refuse("ValidationError", "CreateUser", UserName="a b")
    r.refuse("ValidationError", "CreateUser", UserName="x" * 65)
    r.refuse("ValidationError", "CreateUser", UserName="x", Path="no-slash")
    r.refuse("ValidationError", "ListUsers", MaxItems=1001)
    r.refuse("ValidationError", "ListUsers", Marker="zzz")
    for operation, more in (("GetUser", {}), ("UpdateUser", {"NewPath": "/"}), ("DeleteUser", {}), ("ListUserTags", {}),
                            ("ListGroupsForUser", {}), ("CreateAccessKey", {}), ("ListAccessKeys", {}),
                            ("TagUser", {"Tags": [{"Key": "a", "Value": "b"}]}), ("UntagUser", {"TagKeys": ["a"]}),
                            ("PutUserPermissionsBoundary", {"PermissionsBoundary": NO_POLICY}),
                            ("DeleteUserPermissionsBoundary", {})):
        assert r.refuse("NoSuchEntity", operation, UserName="carol", **more) == \
            "The user with name carol cannot be found."


def walk_tags_and_boundary(r):
    assert r.call("TagUser", UserName="alice", Tags=[{"Key": "team", "Value": "x"}, {"Key": "a b", "Value": ""}]) == {}
    assert r.call("ListUserTags", UserName="alice")["Tags"] == \
        [{"Key": "a b", "Value": ""}, {"Key": "team", "Value": "x"}]
    assert pages(r, "ListUserTags", "Tags", "Key", UserName="alice", MaxItems=1) == [["a b"], ["team"]]
    assert r.call("UntagUser", UserName="alice", TagKeys=["A B", "none"]) == {}
    assert r.call("GetUser", UserName="alice")["User"]["Tags"] == [{"Key": "team", "Value": "x"}]
    r.refuse("InvalidInput", "TagUser", UserName="alice", Tags=[{"Key": "aws:x", "Value": ""}])
    r.call("TagUser", UserName="bob", Tags=[{"Key": f"k{i}", "Value": "v"} for i in range(50)])
    r.refuse("LimitExceeded", "TagUser", UserName="bob", Tags=[{"Key": "more", "Value": ""}])
    r.refuse("NoSuchEntity", "PutUserPermissionsBoundary", UserName="alice", PermissionsBoundary=NO_POLICY)
    r.refuse("InvalidInput", "PutUserPermissionsBoundary", UserName="alice",
             PermissionsBoundary="arn:aws:s3:::a-bucket")
    assert r.call("PutUserPermissionsBoundary", UserName="alice", PermissionsBoundary=READ_ONLY) == {}
    assert r.call("GetUser", UserName="alice")["User"]["PermissionsBoundary"] == \
        {"PermissionsBoundaryType": "PermissionsBoundaryPolicy", "PermissionsBoundaryArn": READ_ONLY}
    assert r.call("DeleteUserPermissionsBoundary", UserName="alice") == {}
    assert "PermissionsBoundary" not in r.call("GetUser", UserName="alice")["User"]
    r.refuse("NoSuchEntity", "DeleteUserPermissionsBoundary", UserName="alice")


def walk_groups(r):
    made = r.call("CreateGroup", GroupName="Ops", Path="/team/")["Group"]
    assert re.fullmatch(r"AGPA[A-Z2-7]{17}", made["GroupId"])
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:group/team/Ops"
    empty = r.call("GetGroup", GroupName="ops")
    assert empty["Group"] == made and empty["Users"] == [] and empty["IsTruncated"] is False
    for user in ("alice", "bob", "alice"):
        assert r.call("AddUserToGroup", GroupName="OPS", UserName=user) == {}
    found = pages(r, "GetGroup", "Users", "UserName", GroupName="Ops", MaxItems=1)
    assert [len(p) for p in found] == [1, 1] and sorted(sum(found, [])) == ["alice", "bob"]
    assert r.call("ListGroupsForUser", UserName="bob")["Groups"] == [made]
    r.call("UpdateUser", UserName="bob", NewUserName="rob")
    r.call("UpdateGroup", GroupName="Ops", NewGroupName="Dev", NewPath="/")
    dev = r.call("ListGroupsForUser", UserName="rob")["Groups"][0]
    assert dev == {**made, "GroupName": "Dev", "Path": "/", "Arn": f"arn:aws:iam::{ACCOUNT}:group/Dev"}
    assert sorted(u["UserName"] for u in r.call("GetGroup", GroupName="Dev")["Users"]) == ["alice", "rob"]
    for i in range(10):
        r.call("CreateGroup", GroupName=f"g{i}")
        if i < 9:
            r.call("AddUserToGroup", GroupName=f"g{i}", UserName="rob")
    assert r.refuse("LimitExceeded", "AddUserToGroup", GroupName="g9", UserName="rob") == \
        "Cannot exceed quota for GroupsPerUser: 10"
    found = pages(r, "ListGroupsForUser", "Groups", "GroupName", UserName="rob", MaxItems=4)
    assert [len(p) for p in found] == [4, 4, 2] and len(set(sum(found, []))) == 10
    assert pages(r, "ListGroups", "Groups", "GroupName", MaxItems=6) == \
        [["Dev", "g0", "g1", "g2", "g3", "g4"], ["g5", "g6", "g7", "g8", "g9"]]
    r.refuse("EntityAlreadyExists", "CreateGroup", GroupName="DEV")
    r.refuse("EntityAlreadyExists", "UpdateGroup", GroupName="g1", NewGroupName="dev")
    r.refuse("ValidationError", "CreateGroup", GroupName="a/b")
    for operation, more in (("GetGroup", {}), ("UpdateGroup", {"NewPath": "/"}), ("DeleteGroup", {}),
                            ("AddUserToGroup", {"UserName": "rob"}), ("RemoveUserFromGroup", {"UserName": "rob"})):
        r.refuse("NoSuchEntity", operation, GroupName="none", **more)
    for operation in ("AddUserToGroup", "RemoveUserFromGroup"):
        r.refuse("NoSuchEntity", operation, GroupName="Dev", UserName="none")
    summary = r.call("GetAccountSummary")["SummaryMap"]
    assert (summary["Users"], summary["Groups"], summary["GroupsQuota"]) == (3, 11, 300)


def walk_keys(r):
    """The secrets that were answered."""
    first = r.call("CreateAccessKey", UserName="rob")["AccessKey"]
    second = r.call("CreateAccessKey", UserName="ROB")["AccessKey"]
    assert re.fullmatch(r"AKIA[A-Z2-7]{16}", first["AccessKeyId"]) and len(first["SecretAccessKey"]) == 40
    assert first["Status"] == "Active" and first["UserName"] == "rob" and second["UserName"] == "rob"
    assert r.refuse("LimitExceeded", "CreateAccessKey", UserName="rob") == \
        "Cannot exceed quota for AccessKeysPerUser: 2"
    listed = r.call("ListAccessKeys", UserName="rob")["AccessKeyMetadata"]
    secrets = [key.pop("SecretAccessKey") for key in (first, second)]
    assert listed == sorted([first, second], key=lambda k: k["AccessKeyId"])
    paged = pages(r, "ListAccessKeys", "AccessKeyMetadata", "AccessKeyId", UserName="rob", MaxItems=1)
    assert paged == [[k["AccessKeyId"]] for k in listed]
    assert r.call("UpdateAccessKey", UserName="rob", AccessKeyId=first["AccessKeyId"], Status="Inactive") == {}
    statuses = {k["AccessKeyId"]: k["Status"] for k in r.call("ListAccessKeys", UserName="rob")["AccessKeyMetadata"]}
    assert statuses == {first["AccessKeyId"]: "Inactive", second["AccessKeyId"]: "Active"}
    unused = r.call("GetAccessKeyLastUsed", AccessKeyId=first["AccessKeyId"])
    assert unused == {"UserName": "rob", "AccessKeyLastUsed": {"ServiceName": "N/A", "Region": "N/A"}}
    r.refuse("NoSuchEntity", "GetAccessKeyLastUsed", AccessKeyId="AKIA" + "A" * 16)
    r.refuse("InvalidInput", "UpdateAccessKey", UserName="rob", AccessKeyId=first["AccessKeyId"], Status="Expired")
    for operation, more in (("UpdateAccessKey", {"Status": "Active"}), ("DeleteAccessKey", {})):
        r.refuse("NoSuchEntity", operation, UserName="alice", AccessKeyId=first["AccessKeyId"], **more)
    r.call("UpdateUser", UserName="rob", NewUserName="bob")
    assert {k["UserName"] for k in r.call("ListAccessKeys", UserName="bob")["AccessKeyMetadata"]} == {"bob"}

    (own,) = r.call("ListAccessKeys")["AccessKeyMetadata"]
    assert own["AccessKeyId"] == r.driver.server.credentials[0] and "UserName" not in own
    r.refuse("UnmodifiableEntity", "CreateAccessKey")
    r.refuse("UnmodifiableEntity", "DeleteAccessKey", AccessKeyId=own["AccessKeyId"])
    r.refuse("UnmodifiableEntity", "UpdateAccessKey", AccessKeyId=own["AccessKeyId"], Status="Inactive")
    return secrets


def walk_away(r):
    assert r.refuse("DeleteConflict", "DeleteUser", UserName="bob") == \
        "Cannot delete entity, must delete access keys first."
    for key in r.call("ListAccessKeys", UserName="bob")["AccessKeyMetadata"]:
        assert r.call("DeleteAccessKey", UserName="bob", AccessKeyId=key["AccessKeyId"]) == {}
    assert r.call("ListAccessKeys", UserName="bob")["AccessKeyMetadata"] == []
    assert r.refuse("DeleteConflict", "DeleteUser", UserName="bob") == \
        "Cannot delete entity, must remove users from group first."
    assert r.refuse("DeleteConflict", "DeleteGroup", GroupName="Dev") == \
        "Cannot delete entity, must remove users from group first."
    for group in r.call("ListGroupsForUser", UserName="bob")["Groups"]:
        assert r.call("RemoveUserFromGroup", GroupName=group["GroupName"], UserName="bob") == {}
    r.call("RemoveUserFromGroup", GroupName="Dev", UserName="alice")
    for group in r.call("ListGroups")["Groups"]:
        assert r.call("DeleteGroup", GroupName=group["GroupName"]) == {}
    for user in r.call("ListUsers")["Users"]:
        assert r.call("DeleteUser", UserName=user["UserName"]) == {}
    assert r.call("ListUsers")["Users"] == [] and r.call("ListGroups")["Groups"] == []


def walk_aliases(r):
    assert r.call("ListAccountAliases")["AccountAliases"] == []
    r.call("CreateAccountAlias", AccountAlias="first")
    r.call("CreateAccountAlias", AccountAlias="way-mark")  # in its place
    assert r.call("ListAccountAliases")["AccountAliases"] == ["way-mark"]
    r.refuse("EntityAlreadyExists", "CreateAccountAlias", AccountAlias="way-mark")
    r.refuse("NoSuchEntity", "DeleteAccountAlias", AccountAlias="first")
    r.refuse("ValidationError", "CreateAccountAlias", AccountAlias="way--mark")
    r.call("DeleteAccountAlias", AccountAlias="way-mark")


def walk(r):
    walk_aliases(r)
    walk_users(r)
    walk_tags_and_boundary(r)
    walk_groups(r)
    secrets = walk_keys(r)
    walk_away(r)
    assert {c[0] for c in r.calls} == OPERATIONS
    return secrets
