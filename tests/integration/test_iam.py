"""Every operation of IAM through boto3, both AWS CLIs and the JS SDK, and the record of each call, field by field. One
server for all: each client leaves nothing behind."""
import json

import pytest

from clients import CLIENTS, Boto3, Recorder, check_records, find_secrets
from harness import ACCOUNT, request_id
from iam_users import STATUSES, expected_record, walk

secrets = []


@pytest.mark.parametrize("client", CLIENTS)
def test_every_operation_and_its_record(module_server, client):
    server = module_server
    driver = client(server, "iam")
    r = Recorder(driver, STATUSES)
    before = len(server.store.records())
    secrets.extend(walk(r))
    driver.close()
    check_records(driver, r, before, expected_record, "2010-05-08")


def test_root_has_the_account_s_alias_as_its_name(module_server):
    client = module_server.client("iam")
    answers = [client.create_account_alias(AccountAlias="waymark"), client.list_users(),
               client.delete_account_alias(AccountAlias="waymark"), client.list_users()]
    records = [module_server.store.wait_for_record(request_id(answer)) for answer in answers]
    assert [r["userIdentity"].get("userName") for r in records] == [None, "waymark", "waymark", None]


def test_calls_by_get_and_by_post_are_the_same(module_server):
    form = ("Version=2010-05-08&Action=CreateUser&UserName=by-{}&Path=%2Fa%26b%2F"
            "&Tags.member.1.Key=a%20b&Tags.member.1.Value=1%2B1")
    head = {"Content-Type": "application/x-www-form-urlencoded"}
    got = module_server.call("GET", "/?" + form.format("get"), service="iam")
    post = module_server.call("POST", "/", form.format("post").encode(), service="iam", headers=head)
    assert (got.status, post.status) == (200, 200), (got.body, post.body)
    assert b"<Path>/a&amp;b/</Path>" in got.body and b"<Key>a b</Key><Value>1+1</Value>" in got.body
    client = module_server.client("iam")
    users = client.list_users(PathPrefix="/a&b/")["Users"]
    assert [u["UserName"] for u in users] == ["by-get", "by-post"]
    for user in users:
        client.delete_user(UserName=user["UserName"])


def test_paginators_and_waiters_of_the_sdk_work(module_server):
    client = module_server.client("iam")
    names = sorted(f"user-{i:02}" for i in range(25))
    for name in names:
        client.create_user(UserName=name)
    client.get_waiter("user_exists").wait(UserName=names[0])
    found = client.get_paginator("list_users").paginate(PaginationConfig={"PageSize": 7})
    assert [len(p["Users"]) for p in found] == [7, 7, 7, 4]
    found = client.get_paginator("list_users").paginate(PaginationConfig={"PageSize": 10})
    assert [u["UserName"] for p in found for u in p["Users"]] == names
    for name in names:
        client.delete_user(UserName=name)


def test_a_user_looks_after_its_own_keys(module_server):
    """Without UserName the caller is meant. What a user does is in the trail under its name, also after a new one."""
    server = module_server
    root = server.client("iam")
    user = root.create_user(UserName="self", Path="/p/")["User"]
    root.put_user_policy(UserName="self", PolicyName="own", PolicyDocument=json.dumps({
        "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": "arn:aws:iam::*:user/p/${aws:username}",
                                                "Action": ["iam:*AccessKey*", "iam:GetUser", "iam:UpdateUser"]}]}))
    key = root.create_access_key(UserName="self")["AccessKey"]
    secrets.append(key["SecretAccessKey"])
    own = server.client("iam", login=(key["AccessKeyId"], key["SecretAccessKey"]))
    assert own.get_user()["User"]["UserName"] == "self"
    second = own.create_access_key()["AccessKey"]
    secrets.append(second["SecretAccessKey"])
    assert second["UserName"] == "self"
    for more in {"NewUserName": "other"}, {"NewPath": "/admin/"}:  # not allowed to what it would be
        with pytest.raises(own.exceptions.ClientError, match="not authorized to perform: iam:UpdateUser"):
            own.update_user(UserName="self", **more)
    root.update_user(UserName="self", NewUserName="itself")
    listed = own.list_access_keys()["AccessKeyMetadata"]
    assert {(k["AccessKeyId"], k["UserName"]) for k in listed} == \
        {(k["AccessKeyId"], "itself") for k in (key, second)}
    used = own.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])
    assert used["UserName"] == "itself" and used["AccessKeyLastUsed"]["ServiceName"] == "iam"
    with pytest.raises(own.exceptions.ClientError, match="not authorized to perform: iam:ListUsers") as caught:
        own.list_users()
    answers = [own.update_access_key(AccessKeyId=second["AccessKeyId"], Status="Inactive"),
               own.delete_access_key(AccessKeyId=second["AccessKeyId"]),
               caught.value.response, own.delete_access_key(AccessKeyId=key["AccessKeyId"])]
    with pytest.raises(own.exceptions.ClientError, match="InvalidClientTokenId"):
        own.get_user()
    for answer, name in zip(answers, ("UpdateAccessKey", "DeleteAccessKey", "ListUsers", "DeleteAccessKey")):
        record = server.store.wait_for_record(request_id(answer))
        assert record["eventName"] == name
        assert record["userIdentity"] == {
            "type": "IAMUser", "principalId": user["UserId"], "arn": f"arn:aws:iam::{ACCOUNT}:user/p/itself",
            "accountId": ACCOUNT, "accessKeyId": key["AccessKeyId"], "userName": "itself"}
        assert record.get("errorCode") == ("AccessDenied" if name == "ListUsers" else None)
    root.delete_user_policy(UserName="itself", PolicyName="own")
    root.delete_user(UserName="itself")


def test_identities_survive_a_restart_and_no_secret_is_on_the_disk(module_server):
    server = module_server
    r = Recorder(Boto3(server, "iam"), STATUSES)
    r.call("CreateUser", UserName="kept", Tags=[{"Key": "a", "Value": "b"}])
    r.call("CreateGroup", GroupName="group")
    r.call("AddUserToGroup", GroupName="group", UserName="kept")
    key = r.call("CreateAccessKey", UserName="kept")["AccessKey"]
    secrets.append(key.pop("SecretAccessKey"))
    asked = [("GetUser", {"UserName": "kept"}), ("GetGroup", {"GroupName": "group"}),
             ("ListAccessKeys", {"UserName": "kept"})]
    before = [r.call(operation, **members) for operation, members in asked]
    assert before[2]["AccessKeyMetadata"] == [key]
    server.restart()
    r = Recorder(Boto3(server, "iam"), STATUSES)
    assert [r.call(operation, **members) for operation, members in asked] == before
    server.stop()
    assert len(secrets) >= 5
    assert find_secrets(server, secrets) == []
