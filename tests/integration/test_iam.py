"""Every operation of IAM through boto3, both AWS CLIs and the JS SDK, and the record of each call, field by field. One
server for all: each client leaves nothing behind."""
import pytest

from clients import CLIENTS, Boto3, Recorder, check_record, find_secrets
from harness import ACCOUNT, REGION, wait_for
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
    wait_for(lambda: len(server.store.request_ids()) >= before + len(r.calls), "every record")
    records = [record for _, record in server.store.records()][before:]
    assert len(records) == len(r.calls)
    if driver.request_ids is not None:
        assert [record["requestID"] for record in records] == driver.request_ids
    for call, record in zip(r.calls, records):
        check_record(driver, record, expected_record(*call))
        assert record["userIdentity"]["type"] == "Root" and record["recipientAccountId"] == ACCOUNT
        assert record["apiVersion"] == "2010-05-08" and record["awsRegion"] == REGION
        assert driver.agent.lower() in record["userAgent"].lower()


def test_calls_by_get_and_by_post_are_the_same(module_server):
    form = "Version=2010-05-08&Action=CreateUser&UserName=by-{}&Path=%2Fa%26b%2F&Tags.member.1.Key=a%20b&Tags.member.1.Value=1%2B1"
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


def test_identities_survive_a_restart_and_no_secret_is_on_the_disk(module_server):
    server = module_server
    r = Recorder(Boto3(server, "iam"), STATUSES)
    r.call("CreateUser", UserName="kept", Tags=[{"Key": "a", "Value": "b"}])
    r.call("CreateGroup", GroupName="group")
    r.call("AddUserToGroup", GroupName="group", UserName="kept")
    key = r.call("CreateAccessKey", UserName="kept")["AccessKey"]
    secrets.append(key.pop("SecretAccessKey"))
    asked = [("GetUser", {"UserName": "kept"}), ("GetGroup", {"GroupName": "group"}), ("ListAccessKeys", {"UserName": "kept"})]
    before = [r.call(operation, **members) for operation, members in asked]
    assert before[2]["AccessKeyMetadata"] == [key]
    server.restart()
    r = Recorder(Boto3(server, "iam"), STATUSES)
    assert [r.call(operation, **members) for operation, members in asked] == before
    server.stop()
    assert len(secrets) >= 5
    assert find_secrets(server, secrets) == []
