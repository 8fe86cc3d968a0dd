"""Who may do what: an administrator sets up people and roles with boto3, they call with boto3, the AWS CLI and the JS SDK,
and the record of each refusal says what its caller was told. One server for all."""
import http.client
import json
import os
import time

import boto3
import botocore.config
import botocore.exceptions
import pytest

from clients import CLIENTS, Boto3, Js, Refused
from harness import ACCOUNT, PATIENCE, REGION, request_id, wait_for

PROXY = {"trusted_proxies": ["127.0.0.1"]}
CHANNEL = f"arn:aws:mediapackage:{REGION}:{ACCOUNT}:channels/"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/"


def statement(effect, action, resource="*", condition=None, negated=False):
    return {"Effect": effect, "NotAction" if negated else "Action": action, "Resource": resource,
            **({"Condition": condition} if condition else {})}


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


READ = policy(statement("Allow", ["mediapackage:Describe*", "mediapackage:List*"]))


class Acting:
    """The server, as somebody else than root calls it."""

    def __init__(self, server, key_id, secret, token=None, arn=None, name=None):
        self.server, self.key_id, self.secret, self.token, self.arn, self.name = server, key_id, secret, token, arn, name
        self.endpoint, self.store = server.endpoint, server.store
        self.data = os.path.join(server.folder, key_id)  # where the CLI's credentials file is
        os.makedirs(self.data, exist_ok=True)
        with open(os.path.join(self.data, "credentials"), "w", encoding="ascii") as f:
            f.write(f"[waymark]\naws_access_key_id = {key_id}\naws_secret_access_key = {secret}\n"
                    + (f"aws_session_token = {token}\n" if token else ""))

    @property
    def credentials(self):
        return self.key_id, self.secret

    def client(self, service="mediapackage", headers=None, attempts=3):
        """Asked up to three times, as the SDK would if it took a refusal for a passing fault."""
        client = boto3.client(service, endpoint_url=self.endpoint, region_name=REGION, aws_access_key_id=self.key_id,
                              aws_secret_access_key=self.secret, aws_session_token=self.token,
                              config=botocore.config.Config(retries={"total_max_attempts": attempts}, read_timeout=PATIENCE))

        def add(request, **_):
            for k, v in (headers or {}).items():
                request.headers[k] = v

        client.meta.events.register("before-send.*.*", add)  # behind the signature, as a proxy adds them
        return client


@pytest.fixture(scope="module")
def server(start_module_server):
    return start_module_server(http=PROXY)


@pytest.fixture(scope="module")
def iam(server):
    return server.client("iam")


@pytest.fixture
def user(server, iam):
    """user(name, *policies, groups=…, tags=…, boundary=…): a new one, with a key. All are gone with the test."""
    made = []

    def make(name, *policies, tags=None, boundary=None):
        more = {"PermissionsBoundary": boundary} if boundary else {}
        arn = iam.create_user(UserName=name, Tags=[{"Key": k, "Value": v} for k, v in (tags or {}).items()],
                              **more)["User"]["Arn"]
        made.append(name)
        for i, document in enumerate(policies):
            iam.put_user_policy(UserName=name, PolicyName=f"p{i}", PolicyDocument=document)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return Acting(server, key["AccessKeyId"], key["SecretAccessKey"], arn=arn, name=name)

    yield make
    for name in made:
        for p in iam.list_user_policies(UserName=name)["PolicyNames"]:
            iam.delete_user_policy(UserName=name, PolicyName=p)
        for k in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
            iam.delete_access_key(UserName=name, AccessKeyId=k["AccessKeyId"])
        iam.delete_user(UserName=name)


@pytest.fixture(scope="module")
def channels(server):
    """ARNs of three channels, by id and the team that has them."""
    client = server.client()
    return {name: client.create_channel(Id=name, Tags={"team": team})["Arn"]
            for name, team in (("red-1", "red"), ("red-2", "red"), ("blue-1", "blue"))}


def said(who, action, resource, why):
    return f"User: {who.arn} is not authorized to perform: {action} on resource: {resource} {why}"


def not_allowed(who, action, resource, kind="identity-based policy"):
    return said(who, action, resource, f"because no {kind} allows the {action} action")


def explicitly_denied(who, action, resource, kind="an identity-based policy"):
    return said(who, action, resource, f"with an explicit deny in {kind}")


def denied(call, **members):
    """The refusal of a call of boto3's."""
    with pytest.raises(botocore.exceptions.ClientError) as e:
        call(**members)
    return e.value.response


def check_denied(who, response, message, record_has, code="AccessDeniedException"):
    """What the caller saw is what AWS would say, it was asked once, and its record says the same."""
    assert response["Error"]["Code"] == code and response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert response["Error"]["Message"] == message
    assert response["ResponseMetadata"]["RetryAttempts"] == 0
    record = who.store.wait_for_record(request_id(response))
    want = {"errorCode": code, "errorMessage": message, "responseElements": None, "recipientAccountId": ACCOUNT,
            "eventType": "AwsApiCall", "managementEvent": True, "eventCategory": "Management", "awsRegion": REGION,
            **record_has}
    assert {k: record.get(k) for k in want} == want
    assert record["userIdentity"]["arn"] == who.arn and record["userIdentity"]["accessKeyId"] == who.key_id
    if not who.token:
        assert record["userIdentity"]["type"] == "IAMUser" and record["userIdentity"]["userName"] == who.name


@pytest.mark.parametrize("client", CLIENTS)
def test_a_reader_reads_and_no_more(server, user, channels, client):
    reader = user("reader", READ)
    driver = client(reader, "mediapackage")
    before = len(server.store.records())
    assert {c["Id"] for c in driver.call("ListChannels", {})["Channels"]} == set(channels)
    assert driver.call("DescribeChannel", {"Id": "red-1"})["Arn"] == channels["red-1"]
    refused = []
    for operation, members, resource in (("DeleteChannel", {"Id": "red-1"}, channels["red-1"]),
                                         ("UpdateChannel", {"Id": "none", "Description": "x"}, CHANNEL + "none"),
                                         ("CreateChannel", {"Id": "new"}, "*"),
                                         ("TagResource", {"ResourceArn": channels["red-2"], "Tags": {"a": "b"}},
                                          channels["red-2"])):
        with pytest.raises(Refused) as e:
            driver.call(operation, members)
        assert e.value.code == "AccessDeniedException" and e.value.status in (403, None)
        assert e.value.message == not_allowed(reader, f"mediapackage:{operation}", resource)
        refused.append((operation, e.value.message))
    driver.close()
    mine = wait_for(lambda: (lambda r: len(r) >= 6 and r)([
        r for _, r in server.store.records() if r["userIdentity"].get("accessKeyId") == reader.key_id]), "every record")
    assert [(r["eventName"], r.get("errorMessage")) for r in mine] == [
        ("ListChannels", None), ("DescribeChannel", None), *refused]  # none was tried again
    for r in mine[2:]:
        assert r["errorCode"] == "AccessDeniedException" and r["responseElements"] is None and r["requestParameters"]
        assert r["userIdentity"] == {"type": "IAMUser", "principalId": r["userIdentity"]["principalId"], "arn": reader.arn,
                                     "accountId": ACCOUNT, "accessKeyId": reader.key_id, "userName": "reader"}
        assert driver.agent.lower() in r["userAgent"].lower()
    assert before < len(server.store.records())
    root = server.client()
    assert root.describe_channel(Id="red-1")["Description"] == ""
    assert root.list_tags_for_resource(ResourceArn=channels["red-2"])["Tags"] == {"team": "red"}


def test_who_may_not_look_is_not_told_what_there_is(user, channels):
    blind = user("blind", policy(statement("Allow", "mediapackage:*", channels["blue-1"])))
    client = blind.client()
    for name in ("red-1", "none"):
        check_denied(blind, denied(client.delete_channel, Id=name),
                     not_allowed(blind, "mediapackage:DeleteChannel", CHANNEL + name),
                     {"eventName": "DeleteChannel", "requestParameters": {"id": name}, "readOnly": False})
    assert client.describe_channel(Id="blue-1")["Arn"] == channels["blue-1"]
    check_denied(blind, denied(client.list_channels), not_allowed(blind, "mediapackage:ListChannels", "*"),
                 {"eventName": "ListChannels", "requestParameters": None, "readOnly": True})


def test_access_by_tags(server, user, channels):
    """ABAC: a team's people see and make their own team's channels."""
    team = user("team-red", policy(
        statement("Allow", ["mediapackage:DescribeChannel", "mediapackage:UpdateChannel"],
                  condition={"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}}),
        statement("Allow", "mediapackage:CreateChannel",
                  condition={"StringEquals": {"aws:RequestTag/team": "${aws:PrincipalTag/team}"},
                             "ForAllValues:StringEquals": {"aws:TagKeys": ["team", "note"]}}),
        statement("Allow", "mediapackage:TagResource",
                  condition={"ForAllValues:StringEquals": {"aws:TagKeys": "note"}})), tags={"Team": "red"})
    client = team.client()
    assert client.update_channel(Id="red-1", Description="ours")["Description"] == "ours"
    check_denied(team, denied(client.update_channel, Id="blue-1", Description="ours?"),
                 not_allowed(team, "mediapackage:UpdateChannel", CHANNEL + "blue-1"),
                 {"eventName": "UpdateChannel", "requestParameters": {"id": "blue-1", "description": "ours?"}})
    for tags in ({}, {"team": "blue"}, {"team": "red", "cost": "1"}):
        check_denied(team, denied(client.create_channel, Id="ours", Tags=tags),
                     not_allowed(team, "mediapackage:CreateChannel", "*"),
                     {"eventName": "CreateChannel", "requestParameters": {"id": "ours", "tags": tags}})
    assert client.create_channel(Id="ours", Tags={"team": "red", "note": "n"})["Id"] == "ours"
    client.tag_resource(ResourceArn=channels["red-2"], Tags={"note": "x"})
    denied(client.tag_resource, ResourceArn=channels["red-2"], Tags={"team": "blue"})
    # A tag that is changed counts at once, on either side.
    server.client().tag_resource(ResourceArn=channels["red-2"], Tags={"team": "blue"})
    denied(client.describe_channel, Id="red-2")
    server.client("iam").tag_user(UserName="team-red", Tags=[{"Key": "Team", "Value": "blue"}])
    assert client.describe_channel(Id="red-2")["Id"] == "red-2"
    denied(client.describe_channel, Id="red-1")
    server.client().tag_resource(ResourceArn=channels["red-2"], Tags={"team": "red"})
    server.client().untag_resource(ResourceArn=channels["red-2"], TagKeys=["note"])
    server.client().update_channel(Id="red-1", Description="")
    server.client().delete_channel(Id="ours")


def test_access_from_a_place_over_tls_at_a_time(user, channels):
    """The address and TLS are what a trusted proxy says, which this client is here."""
    now = time.time()

    def iso(seconds):
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + seconds))

    office = user("office", policy(
        statement("Allow", "mediapackage:*", condition={"IpAddress": {"aws:SourceIp": ["203.0.113.0/24", "2001:db8::/32"]}}),
        statement("Deny", "*", condition={"Bool": {"aws:SecureTransport": "false"}}),
        statement("Deny", "*", condition={"DateLessThan": {"aws:CurrentTime": iso(-3600)}}),
        statement("Deny", "*", condition={"DateGreaterThan": {"aws:CurrentTime": iso(3600)}})))
    late = user("late", policy(statement("Allow", "mediapackage:*",
                                         condition={"DateGreaterThan": {"aws:CurrentTime": iso(3600)}})))

    def describe(who, **headers):
        return who.client(headers={k.replace("_", "-"): v for k, v in headers.items()}).describe_channel

    for address in ("203.0.113.77", "2001:db8::1"):
        describe(office, X_Forwarded_For=address, X_Forwarded_Proto="https")(Id="red-1")
    name = CHANNEL + "red-1"
    refused = denied(describe(office, X_Forwarded_For="198.51.100.1", X_Forwarded_Proto="https"), Id="red-1")
    check_denied(office, refused, not_allowed(office, "mediapackage:DescribeChannel", name),
                 {"sourceIPAddress": "198.51.100.1"})
    for proto in ({}, {"X_Forwarded_Proto": "http"}, {"X_Forwarded_Proto": "https,http"}):
        refused = denied(describe(office, X_Forwarded_For="203.0.113.77", **proto), Id="red-1")
        check_denied(office, refused, explicitly_denied(office, "mediapackage:DescribeChannel", name),
                     {"sourceIPAddress": "203.0.113.77"})
    check_denied(late, denied(late.client().describe_channel, Id="red-1"),
                 not_allowed(late, "mediapackage:DescribeChannel", name), {"sourceIPAddress": "127.0.0.1"})


def test_tls_must_be_said_by_every_proxy(server, user, channels):
    """A line that the caller sent stands before the proxy's own."""
    who = user("tls", policy(statement("Allow", "*", condition={"Bool": {"aws:SecureTransport": "true"}})))
    headers = server.signed("GET", "/channels/red-1", key_id=who.key_id, secret=who.secret)
    for lines, status in ((["https"], 200), (["https", "http"], 403), (["http", "https"], 403), (["https", "https"], 200),
                          ([], 403)):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
        connection.putrequest("GET", "/channels/red-1", skip_host="Host" in headers)
        for name, value in [*headers.items(), *(("X-Forwarded-Proto", line) for line in lines)]:
            connection.putheader(name, value)
        connection.endheaders()
        reply = connection.getresponse()
        assert (lines, reply.status) == (lines, status), reply.read()
        connection.close()


def test_a_simulation_says_beforehand_what_happens(user, iam, channels):
    """SimulatePrincipalPolicy, given what the request would have, and then the call."""
    who = user("asked", policy(
        statement("Allow", "mediapackage:Describe*"),
        statement("Allow", "mediapackage:UpdateChannel",
                  condition={"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}}),
        statement("Allow", "mediapackage:RotateChannelCredentials", condition={"IpAddress": {"aws:SourceIp": "127.0.0.1"}}),
        statement("Deny", "*", channels["blue-1"], {"StringEquals": {"aws:username": "asked"}})), tags={"team": "red"})
    client = who.client()
    calls = {"DescribeChannel": client.describe_channel, "UpdateChannel": client.update_channel,
             "RotateChannelCredentials": client.rotate_channel_credentials, "DeleteChannel": client.delete_channel}
    seen = set()
    for name, team in (("red-2", "red"), ("blue-1", "blue")):
        entries = [{"ContextKeyName": k, "ContextKeyValues": [v], "ContextKeyType": t} for k, v, t in (
            ("aws:ResourceTag/team", team, "string"), ("aws:SourceIp", "127.0.0.1", "ip"))]
        said_before = iam.simulate_principal_policy(
            PolicySourceArn=who.arn, ActionNames=[f"mediapackage:{operation}" for operation in calls],
            ResourceArns=[channels[name]], ContextEntries=entries)["EvaluationResults"]
        assert len(said_before) == len(calls) and not any(r["MissingContextValues"] for r in said_before)
        for (operation, call), result in zip(calls.items(), said_before):
            assert result["EvalActionName"] == f"mediapackage:{operation}"
            try:
                call(Id=name)
                happened = "allowed"
            except botocore.exceptions.ClientError as e:
                text = e.response["Error"]["Message"]
                happened = "explicitDeny" if "explicit deny" in text else "implicitDeny"
                assert e.response["Error"]["Code"] == "AccessDeniedException", text
            assert (operation, name, happened) == (operation, name, result["EvalDecision"])
            seen.add(happened)
    assert seen == {"allowed", "explicitDeny", "implicitDeny"}


def test_an_administrator_of_all_but_identities(server, user, iam):
    """NotAction; and what everybody may."""
    admin = user("admin", policy(statement("Allow", "iam:*", negated=True)))
    client = admin.client()
    assert client.create_channel(Id="admins")["Id"] == "admins"
    client.delete_channel(Id="admins")
    assert admin.client("cloudtrail").describe_trails()["trailList"]
    own = admin.client("iam")
    for call, operation, members, resource in (
            (own.list_users, "ListUsers", {}, "*"),
            (own.create_user, "CreateUser", {"UserName": "more", "Path": "/x/"}, f"arn:aws:iam::{ACCOUNT}:user/x/more"),
            (own.get_user, "GetUser", {}, admin.arn),
            (own.create_access_key, "CreateAccessKey", {}, admin.arn),
            (own.attach_user_policy, "AttachUserPolicy",
             {"UserName": "admin", "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}, admin.arn)):
        check_denied(admin, denied(call, **members), not_allowed(admin, f"iam:{operation}", resource),
                     {"eventSource": "iam.amazonaws.com", "eventName": operation}, "AccessDenied")
    assert admin.client("sts").get_caller_identity()["Arn"] == admin.arn
    assert [k["AccessKeyId"] for k in iam.list_access_keys(UserName="admin")["AccessKeyMetadata"]] == [admin.key_id]


def test_a_denial_beats_every_permission(user, iam, channels):
    everything = policy(statement("Allow", "*"))
    some = user("some", everything, policy(statement("Deny", "mediapackage:Delete*")), everything)
    check_denied(some, denied(some.client().delete_channel, Id="red-1"),
                 explicitly_denied(some, "mediapackage:DeleteChannel", channels["red-1"]), {})
    # nor can he take it off: that is allowed, and then he may; who must not, needs a boundary
    some.client("iam").delete_user_policy(UserName="some", PolicyName="p1")
    assert denied(some.client().delete_channel, Id="none")["Error"]["Code"] == "NotFoundException"

    edge = iam.create_policy(PolicyName="edge", PolicyDocument=policy(
        statement("Allow", ["mediapackage:*"]), statement("Deny", "mediapackage:Rotate*")))["Policy"]["Arn"]
    bound = user("bound", everything, boundary=edge)
    client = bound.client()
    assert client.describe_channel(Id="red-1")["Id"] == "red-1"
    check_denied(bound, denied(bound.client("cloudtrail").describe_trails),
                 not_allowed(bound, "cloudtrail:DescribeTrails", "*", "permissions boundary"),
                 {"eventSource": "cloudtrail.amazonaws.com"})
    check_denied(bound, denied(client.rotate_channel_credentials, Id="red-1"),
                 explicitly_denied(bound, "mediapackage:RotateChannelCredentials", channels["red-1"],
                                   "a permissions boundary"),
                 {"eventName": "RotateChannelCredentials"})
    check_denied(bound, denied(bound.client("iam").delete_user_permissions_boundary, UserName="bound"),
                 not_allowed(bound, "iam:DeleteUserPermissionsBoundary", bound.arn, "permissions boundary"), {}, "AccessDenied")


def test_only_whose_boundary_is_set_may_be_made(user, iam, server):
    """iam:PermissionsBoundary: delegated administration, as the IAM User Guide has it."""
    edge = f"arn:aws:iam::{ACCOUNT}:policy/edge"
    delegate = user("delegate", policy(
        statement("Allow", ["iam:CreateUser", "iam:DeleteUser"], f"arn:aws:iam::{ACCOUNT}:user/made/*",
                  {"StringEquals": {"iam:PermissionsBoundary": edge}}),
        statement("Allow", "iam:AttachUserPolicy", f"arn:aws:iam::{ACCOUNT}:user/made/*",
                  {"ArnEquals": {"iam:PolicyARN": edge}})))
    client = delegate.client("iam")
    arn = f"arn:aws:iam::{ACCOUNT}:user/made/one"
    for more in ({}, {"PermissionsBoundary": "arn:aws:iam::aws:policy/AdministratorAccess"}):
        check_denied(delegate, denied(client.create_user, UserName="one", Path="/made/", **more),
                     not_allowed(delegate, "iam:CreateUser", arn), {"eventName": "CreateUser"}, "AccessDenied")
    assert client.create_user(UserName="one", Path="/made/", PermissionsBoundary=edge)["User"]["Arn"] == arn
    denied(client.attach_user_policy, UserName="one", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    client.attach_user_policy(UserName="one", PolicyArn=edge)
    iam.detach_user_policy(UserName="one", PolicyArn=edge)
    client.delete_user(UserName="one")


@pytest.fixture
def operator(server, iam, user):
    """A role that a user assumes: may do all with channels, and the user that may assume it."""
    human = user("human", policy(statement("Allow", "sts:AssumeRole")))
    iam.create_role(RoleName="operator", Path="/ops/", AssumeRolePolicyDocument=json.dumps({
        "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": human.arn},
                                                "Action": "sts:AssumeRole"}]}))
    iam.put_role_policy(RoleName="operator", PolicyName="all", PolicyDocument=policy(statement("Allow", "mediapackage:*")))

    def assume(name, **how):
        got = human.client("sts").assume_role(RoleArn=ROLE + "ops/operator", RoleSessionName=name, **how)
        c = got["Credentials"]
        return Acting(server, c["AccessKeyId"], c["SecretAccessKey"], c["SessionToken"], got["AssumedRoleUser"]["Arn"])

    yield assume
    iam.delete_role_policy(RoleName="operator", PolicyName="all")
    iam.delete_role(RoleName="operator")


def test_a_session_policy_narrows(operator, channels):
    whole = operator("whole")
    assert whole.client().describe_channel(Id="red-1")["Arn"] == channels["red-1"]
    part = operator("part", Policy=policy(statement("Allow", ["mediapackage:Describe*", "iam:*"]),
                                          statement("Deny", "mediapackage:DescribeChannel", channels["blue-1"])))
    client = part.client()
    assert client.describe_channel(Id="red-1")["Arn"] == channels["red-1"]
    check_denied(part, denied(client.delete_channel, Id="red-1"),
                 not_allowed(part, "mediapackage:DeleteChannel", channels["red-1"], "session policy"), {})
    check_denied(part, denied(client.describe_channel, Id="blue-1"),
                 explicitly_denied(part, "mediapackage:DescribeChannel", CHANNEL + "blue-1", "a session policy"), {})
    check_denied(part, denied(part.client("iam").list_users), not_allowed(part, "iam:ListUsers", "*"), {}, "AccessDenied")


def test_a_role_must_be_passed(user, channels):
    role = ROLE + "vod"
    make = statement("Allow", "mediapackage:*")

    def pass_to(service):
        return statement("Allow", "iam:PassRole", role, {"StringEquals": {"iam:PassedToService": service}})

    members = {"Id": "job", "OriginEndpointId": "none", "StartTime": "1", "EndTime": "2",
               "S3Destination": {"BucketName": "vod", "ManifestKey": "m", "RoleArn": role}}
    for i, document in enumerate((policy(make), policy(make, pass_to("ec2.amazonaws.com")))):
        who = user(f"job-{i}", document)
        check_denied(who, denied(who.client().create_harvest_job, **members), not_allowed(who, "iam:PassRole", role),
                     {"eventName": "CreateHarvestJob", "eventSource": "mediapackage.amazonaws.com"})
    who = user("job-2", policy(make, pass_to("mediapackage.amazonaws.com")))
    assert denied(who.client().create_harvest_job, **members)["Error"]["Code"] == "NotFoundException"
    speke = {"EncryptionMethod": "AES_128", "SpekeKeyProvider": {
        "ResourceId": "r", "RoleArn": ROLE + "drm", "SystemIds": ["81376844-f976-481e-a84e-cc25d39b0b33"],
        "Url": "https://speke.example/"}}
    endpoint = {"ChannelId": "red-1", "Id": "e", "HlsPackage": {"Encryption": speke}}
    check_denied(who, denied(who.client().create_origin_endpoint, **endpoint), not_allowed(who, "iam:PassRole", ROLE + "drm"),
                 {"eventName": "CreateOriginEndpoint"})


@pytest.mark.skipif(not Js or not os.environ.get("WAYMARK_TEST_NODE"), reason="WAYMARK_TEST_NODE")
def test_the_js_sdk_does_not_try_again(server, user, monkeypatch):
    monkeypatch.setenv("MAX_ATTEMPTS", "5")
    nobody = user("nobody")
    driver = Js(nobody, "mediapackage")
    with pytest.raises(Refused) as e:
        driver.call("ListChannels", {})
    driver.close()
    assert e.value.code == "AccessDeniedException" and e.value.status == 403
    last = Boto3(server, "mediapackage")
    last.call("ListChannels", {})
    server.store.wait_for_ids(driver.request_ids + last.request_ids)
    assert [r["eventName"] for _, r in server.store.records()
            if r["userIdentity"].get("accessKeyId") == nobody.key_id] == ["ListChannels"]
