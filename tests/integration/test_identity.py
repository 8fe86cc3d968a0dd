"""Three set-ups that every account has, through the real clients: an operator who may only read, an automation that assumes
a role, and root, who is kept for the worst day. What each may do, and who the records say it was, field by field."""
import datetime
import json
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import botocore.exceptions
import pytest

from clients import CLIENTS, Refused, covers, find_secrets
from harness import ACCOUNT, REGION, Folder, Server, request_id, wait_for

ROLE = f"arn:aws:iam::{ACCOUNT}:role/ci/Deploy"
INVALID = "The security token included in the request is invalid"


class Account:
    """A daemon with the three of them. Every secret that was handed out is noted."""

    def __init__(self, folder):
        self.server = Server(folder)
        self.server.settings = {"account_id": ACCOUNT, "log_level": "info",
                                "trails": [{"name": "demo", "batch_age": "200ms", "digest_period": "2s"}]}
        self.server.store = Folder(f"{self.server.data}/bucket")
        self.server.start()
        self.secrets = []
        self.iam = self.server.client("iam")
        self.ids = {}
        self.iam.create_group(GroupName="viewers")
        self.iam.attach_group_policy(GroupName="viewers", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
        self.operator = self.make_user("noor")
        self.iam.add_user_to_group(GroupName="viewers", UserName="noor")
        self.automation = self.make_user("ci")
        trust = {"Version": "2012-10-17", "Statement": {
            "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/crew/ci"},
            "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]}}
        self.ids["Deploy"] = self.iam.create_role(
            RoleName="Deploy", Path="/ci/", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["RoleId"]
        self.iam.put_role_policy(RoleName="Deploy", PolicyName="channels", PolicyDocument=json.dumps(
            {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "mediapackage:*", "Resource": "*"}}))

    def make_user(self, name):
        self.ids[name] = self.iam.create_user(UserName=name, Path="/crew/")["User"]["UserId"]
        key = self.iam.create_access_key(UserName=name)["AccessKey"]
        self.secrets.append(key["SecretAccessKey"])
        return key["AccessKeyId"], key["SecretAccessKey"], None

    def login_of(self, answer):
        c = answer["Credentials"]
        self.secrets += [c["SecretAccessKey"], c["SessionToken"]]
        return c["AccessKeyId"], c["SecretAccessKey"], c["SessionToken"]

    def assume(self, **members):
        sts = self.server.client("sts", self.automation)
        return sts.assume_role(**{"RoleArn": ROLE, "RoleSessionName": "run-7", **members})

    def record(self, answer):
        return self.server.store.wait_for_record(request_id(answer))

    def record_of(self, event_name, key_id, error=None, **parameters):
        """For the clients that do not tell the request's id: one of this name by this key, with these parameters."""
        def look():
            return [r for _, r in self.server.store.records()
                    if r["eventName"] == event_name and r["userIdentity"].get("accessKeyId") == key_id
                    and r.get("errorCode") == error and covers(r["requestParameters"] or {}, parameters)]
        return wait_for(look, f"a record of {event_name} by {key_id}")[-1]

    def user_identity(self, name, login):
        return {"type": "IAMUser", "principalId": self.ids[name], "arn": f"arn:aws:iam::{ACCOUNT}:user/crew/{name}",
                "accountId": ACCOUNT, "accessKeyId": login[0], "userName": name}

    def session_identity(self, login, session, created, **more):
        return {"type": "AssumedRole", "principalId": f"{self.ids['Deploy']}:{session}",
                "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/Deploy/{session}", "accountId": ACCOUNT,
                "accessKeyId": login[0],
                "sessionContext": {
                    "sessionIssuer": {"type": "Role", "principalId": self.ids["Deploy"], "arn": ROLE,
                                      "accountId": ACCOUNT, "userName": "Deploy"},
                    "webIdFederationData": {},
                    "attributes": {"creationDate": created, "mfaAuthenticated": "false"}, **more}}


@pytest.fixture(scope="module")
def account(tmp_path_factory):
    account = Account(tmp_path_factory.mktemp("account"))
    yield account
    account.server.close()


def refused(call, **members):
    with pytest.raises(botocore.exceptions.ClientError) as e:
        call(**members)
    return e.value.response["Error"]["Code"], e.value.response["ResponseMetadata"]["HTTPStatusCode"], e.value.response


def in_order(record):
    """Its userIdentity as text: the order of members is AWS's, too."""
    return json.dumps(record["userIdentity"])


@pytest.mark.parametrize("client", CLIENTS)
def test_an_operator_reads_and_changes_nothing(account, client):
    driver = client(account.server, "mediapackage", account.operator)
    try:
        driver.call("ListChannels", {})
        with pytest.raises(Refused) as e:
            driver.call("CreateChannel", {"Id": "noors"})
    finally:
        driver.close()
    assert (e.value.code, e.value.status) in (("AccessDeniedException", 403), ("AccessDeniedException", None))
    assert e.value.message == (
        f"User: arn:aws:iam::{ACCOUNT}:user/crew/noor is not authorized to perform: mediapackage:CreateChannel on "
        "resource: * because no identity-based policy allows the mediapackage:CreateChannel action")
    for name, code in (("ListChannels", None), ("CreateChannel", "AccessDeniedException")):
        record = account.record_of(name, account.operator[0], code)
        assert in_order(record) == json.dumps(account.user_identity("noor", account.operator))
    assert record["requestParameters"] == {"id": "noors"} and record["responseElements"] is None


@pytest.mark.parametrize("client", CLIENTS)
def test_an_automation_assumes_its_role(account, client):
    sts = client(account.server, "sts", account.automation)
    name = f"run-{client.__name__}"
    try:
        with pytest.raises(Refused) as e:
            sts.call("AssumeRole", {"RoleArn": ROLE.replace("Deploy", "Other"), "RoleSessionName": name})
        answer = sts.call("AssumeRole", {"RoleArn": ROLE, "RoleSessionName": name, "SourceIdentity": "lena",
                                         "Tags": [{"Key": "job", "Value": "7"}], "DurationSeconds": 900})
    finally:
        sts.close()
    assert e.value.code == "AccessDenied" and e.value.message == (
        f"User: arn:aws:iam::{ACCOUNT}:user/crew/ci is not authorized to perform: sts:AssumeRole on resource: "
        f"{ROLE.replace('Deploy', 'Other')}")
    login = account.login_of(answer)
    assert answer["AssumedRoleUser"] == {"AssumedRoleId": f"{account.ids['Deploy']}:{name}",
                                         "Arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/Deploy/{name}"}
    assert answer["SourceIdentity"] == "lena" and answer["PackedPolicySize"] == 1
    session = client(account.server, "mediapackage", login)
    try:
        session.call("CreateChannel", {"Id": f"by-{client.__name__}"})
    finally:
        session.close()

    assumed = account.record_of("AssumeRole", account.automation[0], roleSessionName=name)
    assert in_order(assumed) == json.dumps(account.user_identity("ci", account.automation))
    assert assumed["requestParameters"] == {
        "roleArn": ROLE, "roleSessionName": name, "sourceIdentity": "lena", "tags": [{"key": "job", "value": "7"}],
        "durationSeconds": 900}
    hidden = "HIDDEN_DUE_TO_SECURITY_REASONS"
    assert assumed["responseElements"] == {
        "credentials": {"accessKeyId": login[0], "secretAccessKey": hidden, "sessionToken": hidden,
                        "expiration": answer["Credentials"]["Expiration"].strftime("%Y-%m-%dT%H:%M:%SZ")},
        "assumedRoleUser": {"assumedRoleId": f"{account.ids['Deploy']}:{name}",
                            "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/Deploy/{name}"},
        "packedPolicySize": 1, "sourceIdentity": "lena"}
    assert assumed["readOnly"] is True and assumed["eventSource"] == "sts.amazonaws.com"
    made = account.record_of("CreateChannel", login[0])
    assert in_order(made) == json.dumps(
        account.session_identity(login, name, assumed["eventTime"], sourceIdentity="lena"))
    ends = datetime.datetime.strptime(assumed["eventTime"], "%Y-%m-%dT%H:%M:%SZ") + datetime.timedelta(seconds=900)
    assert answer["Credentials"]["Expiration"].replace(tzinfo=None) == ends


def test_root_breaks_the_glass(account):
    root = account.server.client("sts")
    assert refused(root.assume_role, RoleArn=ROLE, RoleSessionName="root")[:2] == ("AccessDenied", 403)
    answer = root.get_session_token()
    login = account.login_of(answer)
    session = account.server.client("mediapackage", login)
    listed = session.list_channels()
    created = account.record(answer)["eventTime"]
    assert in_order(account.record(listed)) == json.dumps(
        {"type": "Root", "principalId": ACCOUNT, "arn": f"arn:aws:iam::{ACCOUNT}:root", "accountId": ACCOUNT,
         "accessKeyId": login[0],
         "sessionContext": {"attributes": {"creationDate": created, "mfaAuthenticated": "false"}}})
    assert refused(account.server.client("iam", login).list_users)[:2] == ("InvalidClientTokenId", 403)


def test_a_user_with_a_session_of_his_own(account):
    answer = account.server.client("sts", account.operator).get_session_token(DurationSeconds=900)
    login = account.login_of(answer)
    listed = account.server.client("mediapackage", login).list_channels()
    want = account.user_identity("noor", login)
    want["sessionContext"] = {"attributes": {"creationDate": account.record(answer)["eventTime"],
                                             "mfaAuthenticated": "false"}}
    assert in_order(account.record(listed)) == json.dumps(want)
    code, status, response = refused(account.server.client("sts", login).get_session_token)
    assert (code, status) == ("AccessDenied", 403)
    assert response["Error"]["Message"] == "Cannot call GetSessionToken with session credentials"


def test_who_am_i(account):
    session = account.login_of(account.assume())
    for login, arn, who in (
            (None, f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT),
            (account.operator, f"arn:aws:iam::{ACCOUNT}:user/crew/noor", account.ids["noor"]),
            (session, f"arn:aws:sts::{ACCOUNT}:assumed-role/Deploy/run-7", f"{account.ids['Deploy']}:run-7")):
        answer = account.server.client("sts", login).get_caller_identity()
        assert (answer["Arn"], answer["UserId"], answer["Account"]) == (arn, who, ACCOUNT)
    account.iam.put_role_policy(RoleName="Deploy", PolicyName="no", PolicyDocument=json.dumps(
        {"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "sts:GetCallerIdentity", "Resource": "*"}}))
    assert account.server.client("sts", session).get_caller_identity()["Account"] == ACCOUNT
    account.iam.delete_role_policy(RoleName="Deploy", PolicyName="no")


def test_a_session_outlives_the_daemon(account):
    login = account.login_of(account.assume())
    account.server.client("mediapackage", login).list_channels()
    account.server.restart()
    account.iam = account.server.client("iam")
    account.server.client("mediapackage", login).list_channels()


def test_what_is_not_right_proves_nobody(account):
    first, second = account.login_of(account.assume()), account.login_of(account.assume())
    altered = first[2][:40] + ("A" if first[2][40] != "A" else "B") + first[2][41:]
    for login in ((first[0], first[1], second[2]), (first[0], first[1], None), (first[0], first[1], altered),
                  (account.operator[0], account.operator[1], first[2]), ("AKIAAAAAAAAAAAAAAAAA", "none", None)):
        code, status, response = refused(account.server.client("mediapackage", login).list_channels)
        assert (code, status, response["Error"]["Message"]) == ("UnrecognizedClientException", 403, INVALID)
        assert account.record(response)["userIdentity"] == {"type": "Unknown", "accessKeyId": login[0]}
        code, status, response = refused(account.server.client("sts", login).get_caller_identity)
        assert (code, status, response["Error"]["Message"]) == ("InvalidClientTokenId", 403, INVALID)
    wrong = (first[0], second[1], first[2])
    assert refused(account.server.client("mediapackage", wrong).list_channels)[0] == "InvalidSignatureException"


def test_the_largest_token_fits_wherever_it_stands(account):
    """2,700 bytes of policies and tags are what a session may have; the token is in the head of each call, or in its URL."""
    tags = [{"Key": f"key-{i}-" + "k" * 100, "Value": "v" * 250} for i in range(7)]
    answer = account.assume(Tags=tags, RoleSessionName="s" * 64, SourceIdentity="i" * 64)
    assert 94 <= answer["PackedPolicySize"] <= 100
    login = account.login_of(answer)
    assert len(login[2]) > 3600
    account.server.client("mediapackage", login).list_channels()
    account.server.client("mediapackage", login).create_channel(Id="large", Description="d" * 200)
    code, status, response = refused(account.assume, Tags=[*tags, {"Key": "one-more", "Value": "v" * 200}])
    assert (code, status) == ("PackedPolicyTooLarge", 400)
    assert "consumes 10" in response["Error"]["Message"]

    request = botocore.awsrequest.AWSRequest(
        method="GET", url=account.server.endpoint + "/?Action=GetCallerIdentity&Version=2011-06-15")
    botocore.auth.SigV4QueryAuth(botocore.credentials.Credentials(*login), "sts", REGION).add_auth(request)
    url = urllib.parse.urlsplit(request.prepare().url)
    reply = account.server.send("GET", f"{url.path}?{url.query}")
    assert reply.status == 200 and b"assumed-role/Deploy/" in reply.body
    altered = url.query.replace("X-Amz-Security-Token=A", "X-Amz-Security-Token=B")
    assert altered != url.query
    assert account.server.send("GET", f"{url.path}?{altered}").status == 403


def test_who_is_gone_is_nobody(account):
    login = account.make_user("brief")
    client = account.server.client("sts", login)
    client.get_caller_identity()
    account.iam.update_access_key(UserName="brief", AccessKeyId=login[0], Status="Inactive")
    assert refused(client.get_caller_identity)[0] == "InvalidClientTokenId"
    account.iam.update_access_key(UserName="brief", AccessKeyId=login[0], Status="Active")
    client.get_caller_identity()
    used = account.iam.get_access_key_last_used(AccessKeyId=login[0])["AccessKeyLastUsed"]
    assert (used["ServiceName"], used["Region"]) == ("sts", REGION)
    account.iam.delete_access_key(UserName="brief", AccessKeyId=login[0])
    account.iam.delete_user(UserName="brief")
    code, _, response = refused(client.get_caller_identity)
    assert code == "InvalidClientTokenId"
    assert account.record(response)["userIdentity"] == {"type": "Unknown", "accessKeyId": login[0]}


def test_no_secret_is_anywhere(account):
    """The last: nothing that was handed out is in the data folder, the log or the trail. Tokens only came in by calls."""
    account.server.stop()
    assert len(account.secrets) > 10
    assert find_secrets(account.server, account.secrets) == []
