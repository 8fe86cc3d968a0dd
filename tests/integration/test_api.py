"""The management API through real clients, and what each call leaves in the bucket."""
import os
import random
import re
import stat
import subprocess

import botocore.exceptions
import pytest

from harness import ACCOUNT, DAEMON, REGION, clean_environment, request_id, scaled

CHANNEL_ARN = re.compile(rf"arn:aws:mediapackage:{REGION}:{ACCOUNT}:channels/[0-9a-f]{{32}}")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@pytest.fixture
def server(start_server):
    return start_server()


def refused(call, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**arguments)
    reply = caught.value.response
    assert reply["Error"]["Message"], "some clients fail on an empty message"
    return reply["ResponseMetadata"]["HTTPStatusCode"], reply["Error"]["Code"], reply


# ---- MediaPackage ----


def test_a_channel_lives_from_create_to_delete(server):
    client = server.client()
    made = client.create_channel(Id="cam-1", Description="one", Tags={"team": "sport"})
    assert CHANNEL_ARN.fullmatch(made["Arn"])
    assert made["Id"] == "cam-1" and made["Description"] == "one" and made["Tags"] == {"team": "sport"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", made["CreatedAt"])
    endpoints = made["HlsIngest"]["IngestEndpoints"]
    assert len(endpoints) == 2 and endpoints[0]["Id"] != endpoints[1]["Id"]
    for endpoint in endpoints:
        assert endpoint["Url"].startswith("https://") and endpoint["Username"] and endpoint["Password"]

    def content(reply):
        return {k: v for k, v in reply.items() if k != "ResponseMetadata"}

    assert content(client.describe_channel(Id="cam-1")) == content(made)
    changed = client.update_channel(Id="cam-1", Description="two")
    assert content(changed) == {**content(made), "Description": "two"}
    assert content(client.describe_channel(Id="cam-1")) == content(changed)
    assert [c["Id"] for c in client.list_channels()["Channels"]] == ["cam-1"]
    assert client.delete_channel(Id="cam-1")["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert refused(client.describe_channel, Id="cam-1")[:2] == (404, "NotFoundException")
    assert client.list_channels()["Channels"] == []


def test_channels_are_listed_in_pages(server):
    client = server.client()
    ids = [f"cam-{i:02}" for i in range(25)]
    for channel in random.sample(ids, len(ids)):
        client.create_channel(Id=channel)
    pages = list(client.get_paginator("list_channels").paginate(PaginationConfig={"PageSize": 7}))
    assert [len(p["Channels"]) for p in pages] == [7, 7, 7, 4]
    assert sorted(c["Id"] for p in pages for c in p["Channels"]) == ids
    assert "NextToken" not in pages[-1]
    whole = client.list_channels()
    assert len(whole["Channels"]) == 25 and "NextToken" not in whole
    assert refused(client.list_channels, NextToken="no-token-of-ours")[:2] == (422, "UnprocessableEntityException")
    # A channel that goes between two pages neither repeats another nor hides one.
    first = client.list_channels(MaxResults=10)
    client.delete_channel(Id=first["Channels"][-1]["Id"])
    second = client.list_channels(MaxResults=100, NextToken=first["NextToken"])
    got = [c["Id"] for c in first["Channels"] + second["Channels"]]
    assert len(got) == len(set(got)) == 25


def test_errors_have_their_modelled_names(server):
    client = server.client()
    client.create_channel(Id="cam")
    assert refused(client.create_channel, Id="cam")[:2] == (422, "UnprocessableEntityException")
    assert refused(client.create_channel, Id="no blanks")[:2] == (422, "UnprocessableEntityException")
    assert refused(client.create_channel, Id="x" * 257)[:2] == (422, "UnprocessableEntityException")
    for call in client.describe_channel, client.update_channel, client.delete_channel:
        assert refused(call, Id="nobody")[:2] == (404, "NotFoundException")
    for i in range(29):
        client.create_channel(Id=f"cam-{i}")
    status, code, reply = refused(client.create_channel, Id="one-too-many")
    assert (status, code) == (429, "TooManyRequestsException")
    assert request_id(reply)


# ---- STS and CloudTrail ----


def test_the_caller_is_root_of_the_account(server):
    who = server.client("sts").get_caller_identity()
    assert (who["Account"], who["Arn"], who["UserId"]) == (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT)


def test_cloudtrail_shows_the_trail_its_status_and_keys(server):
    arn = f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/demo"
    client = server.client("cloudtrail")
    (trail,) = client.describe_trails()["trailList"]
    assert (trail["Name"], trail["TrailARN"], trail["HomeRegion"]) == ("demo", arn, REGION)
    assert trail["S3BucketName"] == "waymark" and trail["LogFileValidationEnabled"] is True
    assert client.get_trail(Name="demo")["Trail"]["TrailARN"] == arn
    assert client.get_trail(Name=arn)["Trail"]["Name"] == "demo"
    assert client.describe_trails(trailNameList=["nobody"])["trailList"] == []
    assert refused(client.get_trail, Name="nobody")[1] == "TrailNotFoundException"

    reply = server.client().list_channels()
    server.store.wait_for_ids([request_id(reply)])
    server.store.wait_sealed()
    status = client.get_trail_status(Name="demo")
    assert status["IsLogging"] is True
    assert status["StartLoggingTime"] <= status["LatestDeliveryTime"] <= status["LatestDigestDeliveryTime"]
    assert not status.get("LatestDeliveryError")

    (key,) = client.list_public_keys()["PublicKeyList"]
    assert re.fullmatch("[0-9a-f]{32}", key["Fingerprint"])
    assert key["Value"][:6] == bytes.fromhex("3082010a0282"), "PKCS#1 RSAPublicKey of 2048 bits"
    assert (key["ValidityEndTime"] - key["ValidityStartTime"]).days == 30
    (digest,) = list(server.store.digests().values())[:1]
    assert digest["digestPublicKeyFingerprint"] == key["Fingerprint"]


# ---- the AWS CLI and curl ----


def test_the_aws_cli_works(server):
    import json

    made = json.loads(server.aws("mediapackage", "create-channel", "--id", "cli", "--tags", "a=1,b=2").stdout)
    assert made["Tags"] == {"a": "1", "b": "2"}
    assert json.loads(server.aws("mediapackage", "describe-channel", "--id", "cli").stdout)["Arn"] == made["Arn"]
    server.aws("mediapackage", "update-channel", "--id", "cli", "--description", "grüße")
    for i in range(5):
        server.aws("mediapackage", "create-channel", "--id", f"cli-{i}")
    listed = json.loads(server.aws("mediapackage", "list-channels", "--page-size", "2").stdout)["Channels"]
    assert len(listed) == 6 and {c["Description"] for c in listed} == {"", "grüße"}
    assert server.aws("mediapackage", "delete-channel", "--id", "cli-0").stdout.strip() in ("", "{}")
    gone = server.aws("mediapackage", "describe-channel", "--id", "cli-0", check=False)
    assert gone.returncode != 0 and "NotFoundException" in gone.stderr
    assert json.loads(server.aws("sts", "get-caller-identity").stdout)["Account"] == ACCOUNT
    assert json.loads(server.aws("cloudtrail", "describe-trails").stdout)["trailList"][0]["Name"] == "demo"
    assert json.loads(server.aws("cloudtrail", "get-trail-status", "--name", "demo").stdout)["IsLogging"] is True
    assert len(json.loads(server.aws("cloudtrail", "list-public-keys").stdout)["PublicKeyList"]) == 1


def test_curl_works(server):
    key_id, secret = server.credentials

    def curl(service, path, *more):
        run = subprocess.run(["curl", "-sS", "-i", "--aws-sigv4", f"aws:amz:{REGION}:{service}", "-K", "-", *more,
                              server.endpoint + path], input=f'user = "{key_id}:{secret}"\n', text=True,
                             capture_output=True, check=True, env=clean_environment())
        return run.stdout

    made = curl("mediapackage", "/channels", "-H", "Content-Type: application/json", "-d", '{"id":"from-curl"}')
    assert made.startswith("HTTP/1.1 200") and '"id":"from-curl"' in made
    assert "from-curl" in curl("mediapackage", "/channels?maxResults=10")
    assert curl("mediapackage", "/channels/from-curl", "-X", "DELETE").startswith("HTTP/1.1 202")
    identity = curl("sts", "/", "-d", "Action=GetCallerIdentity&Version=2011-06-15")
    assert f"<Account>{ACCOUNT}</Account>" in identity
    (found,) = re.findall(r"(?i)x-amzn-requestid: (\S+)", made)
    record = server.store.wait_for_record(found)
    assert record["eventName"] == "CreateChannel" and record["userAgent"].startswith("curl/")


# ---- records ----

# CloudTrail User Guide, "CloudTrail record contents": the order in which real records have them.
ORDER = ["eventVersion", "userIdentity", "eventTime", "eventSource", "eventName", "awsRegion", "sourceIPAddress",
         "userAgent", "errorCode", "errorMessage", "requestParameters", "responseElements", "additionalEventData",
         "requestID", "eventID", "readOnly", "resources", "eventType", "apiVersion", "managementEvent",
         "recipientAccountId", "sharedEventID", "eventCategory", "tlsDetails", "waymarkSequence"]
ALWAYS = {"eventVersion", "userIdentity", "eventTime", "eventSource", "eventName", "awsRegion", "sourceIPAddress",
          "requestParameters", "responseElements", "requestID", "eventID", "readOnly", "eventType", "managementEvent",
          "recipientAccountId", "eventCategory"}


def assert_record_form(record):
    assert [k for k in ORDER if k in record] == list(record), "order of fields"
    assert ALWAYS <= set(record)
    assert record["eventVersion"] == "1.11"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", record["eventTime"])
    assert record["eventSource"].endswith(".amazonaws.com") and record["awsRegion"] == REGION
    assert UUID.fullmatch(record["eventID"]) and UUID.fullmatch(record["requestID"])
    assert record["eventID"] != record["requestID"]
    assert isinstance(record["readOnly"], bool) and record["managementEvent"] is True
    assert (record["eventType"], record["eventCategory"]) == ("AwsApiCall", "Management")
    assert record["recipientAccountId"] == ACCOUNT


def test_each_call_is_a_record_with_the_reply_s_request_id(server):
    client, trail, sts = server.client(), server.client("cloudtrail"), server.client("sts")
    calls = [
        ("CreateChannel", False, client.create_channel(Id="cam", Description="d", Tags={"k": "v"})),
        ("DescribeChannel", True, client.describe_channel(Id="cam")),
        ("UpdateChannel", False, client.update_channel(Id="cam", Description="e")),
        ("ListChannels", True, client.list_channels(MaxResults=5)),
        ("DeleteChannel", False, client.delete_channel(Id="cam")),
        ("DescribeChannel", True, refused(client.describe_channel, Id="cam")[2]),
        ("GetCallerIdentity", True, sts.get_caller_identity()),
        ("DescribeTrails", True, trail.describe_trails()),
        ("GetTrail", True, trail.get_trail(Name="demo")),
        ("GetTrailStatus", True, trail.get_trail_status(Name="demo")),
        ("ListPublicKeys", True, trail.list_public_keys()),
    ]
    ids = [request_id(reply) for _, _, reply in calls]
    server.store.wait_for_ids(ids)
    assert server.store.request_ids() == ids, "in order, nothing else, nothing twice"
    key_id, _ = server.credentials
    records = [r for _, r in server.store.records()]
    for (name, read_only, _), record in zip(calls, records):
        assert_record_form(record)
        assert (record["eventName"], record["readOnly"]) == (name, read_only)
        assert record["userIdentity"] == {"type": "Root", "principalId": ACCOUNT,
                                          "arn": f"arn:aws:iam::{ACCOUNT}:root", "accountId": ACCOUNT,
                                          "accessKeyId": key_id}
        assert record["sourceIPAddress"] == "127.0.0.1" and "Boto3/1.43.11" in record["userAgent"]
        if read_only:
            assert record["responseElements"] is None
    create, _, update, listed, delete, missing, identity, *rest = records
    assert create["requestParameters"] == {"id": "cam", "description": "d", "tags": {"k": "v"}}
    assert create["responseElements"]["id"] == "cam" and CHANNEL_ARN.fullmatch(create["responseElements"]["arn"])
    assert create["eventSource"] == "mediapackage.amazonaws.com" and create["apiVersion"] == "2017-10-12"
    assert update["requestParameters"] == {"id": "cam", "description": "e"}
    assert listed["requestParameters"] == {"maxResults": 5}
    assert delete["requestParameters"] == {"id": "cam"} and "errorCode" not in delete
    assert missing["errorCode"] == "NotFoundException" and missing["errorMessage"]
    assert missing["requestParameters"] == {"id": "cam"}
    assert identity["eventSource"] == "sts.amazonaws.com"
    assert {r["eventSource"] for r in rest} == {"cloudtrail.amazonaws.com"}


def test_no_secret_is_in_the_bucket_or_anywhere_else_on_disk(server):
    client = server.client()
    made = client.create_channel(Id="cam")
    replies = [made, client.describe_channel(Id="cam"), client.update_channel(Id="cam", Description="x")]
    secrets = {e[k] for e in made["HlsIngest"]["IngestEndpoints"] for k in ("Username", "Password")}
    assert len(secrets) == 4
    server.store.wait_for_ids([request_id(r) for r in replies])
    record = server.store.find(request_id(made))
    shown = record["responseElements"]["hlsIngest"]["ingestEndpoints"]
    assert [(e["username"], e["password"]) for e in shown] == [("***", "***")] * 2
    assert [e["url"] for e in shown] == [e["Url"] for e in made["HlsIngest"]["IngestEndpoints"]]
    for key in server.store.keys():
        for secret in secrets:
            text = server.store.read(key) if key.endswith(".json") else server.store.content(key)
            assert secret.encode() not in text, key
    root_secret = server.credentials[1].encode()
    server.stop()
    for folder, _, files in os.walk(server.folder):
        for name in files:
            path = os.path.join(folder, name)
            with open(path, "rb") as f:
                text = f.read()
            assert not any(s.encode() in text for s in secrets), path
            assert root_secret not in text or name == "credentials", path


def test_source_address_comes_from_the_socket_unless_the_proxy_is_trusted(start_server):
    def source(server):
        reply = server.call("GET", "/channels", headers={"X-Forwarded-For": "203.0.113.7, 10.1.2.3"})
        assert reply.status == 200
        return server.store.wait_for_record(reply.request_id)["sourceIPAddress"]

    assert source(start_server()) == "127.0.0.1"
    # From the right, the first that is no trusted proxy: what is left of it anybody could have written.
    assert source(start_server(http={"trusted_proxies": ["127.0.0.0/8"]})) == "10.1.2.3"
    assert source(start_server(http={"trusted_proxies": ["127.0.0.1", "10.0.0.0/8"]})) == "203.0.113.7"


# ---- signatures of real clients ----


def test_requests_signed_by_a_real_sdk_are_accepted_whatever_is_in_them(server):
    """Odd characters in ids, ARNs in paths, empty and repeated query values, UTF-8: never a signature error."""
    import urllib.parse

    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    alphabet = list("abcXYZ019-_.~ !*'()+&=%/:@,;?#[]\"\\|^`<>{}$") + ["ü", "漢", "🙂", "%2F", "..", "//"]
    ids = []
    for _ in range(scaled(300, 60)):
        text = "".join(rng.choice(alphabet) for _ in range(rng.randint(1, 24)))
        path = rng.choice(["/channels/", "/tags/", "/channels/x/"]) + urllib.parse.quote(text, safe="")
        if rng.random() < 0.7:
            names = [rng.choice(["tagKeys", "a", "A", "maxResults", "", "ü b"]) for _ in range(rng.randint(1, 5))]
            pairs = [(n, "".join(rng.choice(alphabet) for _ in range(rng.randint(0, 6)))) for n in names]
            path += "?" + urllib.parse.urlencode(pairs, quote_via=urllib.parse.quote)
        method = rng.choice(["GET", "PUT", "DELETE", "POST"])
        body = rng.choice([b"", b"{}", '{"description":"ü"}'.encode()]) if method in ("PUT", "POST") else b""
        reply = server.call(method, path, body)
        assert reply.status in (200, 202, 400, 404, 422), (reply.status, method, path, reply.body)
        ids.append(reply.request_id)
    server.store.wait_for_ids(ids)
    assert sorted(server.store.request_ids()) == sorted(ids)
    assert {r["userIdentity"]["type"] for _, r in server.store.records()} == {"Root"}


def test_ids_with_every_allowed_character_go_all_the_way(server):
    client = server.client()
    for name in ("a", "-", "_", "A-Z_09", "x" * 256):
        assert client.create_channel(Id=name)["Id"] == name
        assert client.describe_channel(Id=name)["Id"] == name
        client.delete_channel(Id=name)


# ---- files and flags ----


def test_what_the_daemon_makes_is_private(server):
    for name in ("credentials", "keys", "journal"):
        mode = stat.S_IMODE(os.stat(os.path.join(server.data, name)).st_mode)
        assert mode & 0o077 == 0, f"{name} has mode {mode:o}"
    assert stat.S_IMODE(os.stat(os.path.join(server.data, "credentials")).st_mode) == 0o600


def test_settings_are_checked_before_anything_is_done(tmp_path):
    config = tmp_path / "waymark.yaml"

    def check():
        return subprocess.run([DAEMON, "--check-config", "--config", str(config), "--data-dir", str(tmp_path / "data")],
                              capture_output=True, text=True, env=clean_environment(), check=False)

    config.write_text("http:\n  threads: 1\n")
    good = check()
    assert good.returncode == 0, good.stderr
    config.write_text("http:\n  threads: 1\n  thread: 2\n")
    bad = check()
    assert bad.returncode == 2
    assert bad.stderr == f'waymarkd: {config}:3: unknown key "thread" in http; did you mean "threads"?\n'
    assert not (tmp_path / "data").exists()


def test_a_second_daemon_on_the_same_folder_is_refused(server):
    second = subprocess.run([DAEMON, "--data-dir", server.data, "--listen", "127.0.0.1:0"], capture_output=True,
                            text=True, env=clean_environment(), timeout=60, check=False)
    assert second.returncode != 0 and "waymark ready" not in second.stdout
    assert server.client().list_channels()["Channels"] == []


def test_a_server_without_a_trail_says_so(start_server):
    server = start_server(trails=[])
    assert " no-trail " in server.log()
    assert server.client().list_channels()["Channels"] == []
    assert server.client("cloudtrail").describe_trails()["trailList"] == []


ORIGIN = "https://console.example.net"


def preflight(server, origin, path="/channels/a"):
    return server.send("OPTIONS", path, headers={
        "Origin": origin, "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "authorization,content-type,x-amz-content-sha256,x-amz-date"})


def test_pages_of_allowed_origins_may_call_from_a_browser(start_server):
    server = start_server(http={"cors_origins": ["http://127.0.0.1:3000", ORIGIN], "request_timeout": "1s"})
    asked = preflight(server, ORIGIN)
    assert (asked.status, asked.body) == (204, b"")
    assert asked.headers["access-control-allow-origin"] == ORIGIN
    assert asked.headers["vary"] == "Origin"
    assert {"GET", "POST", "PUT", "DELETE"} <= set(asked.headers["access-control-allow-methods"].split(", "))
    headers = set(asked.headers["access-control-allow-headers"].split(", "))
    assert {"authorization", "content-type", "x-amz-content-sha256", "x-amz-date", "x-amz-target"} <= headers
    good = server.call("GET", "/channels", headers={"Origin": ORIGIN})
    bad = server.call("GET", "/channels", headers={"Origin": ORIGIN}, secret="a guess")
    too_large = server.call("POST", "/channels", b"x" * 200000, headers={"Origin": ORIGIN})
    for reply, status in (good, 200), (bad, 403), (too_large, 413):
        assert reply.status == status
        assert reply.headers["access-control-allow-origin"] == ORIGIN
        assert {"x-amzn-RequestId", "x-amzn-ErrorType"} <= set(reply.headers["access-control-expose-headers"].split(", "))
        assert "access-control-allow-methods" not in reply.headers

    others = [preflight(server, o) for o in ("https://evil.example", "null", ORIGIN + ".evil.example", ORIGIN.upper())]
    others.append(server.call("GET", "/channels", headers={"Origin": "https://evil.example"}))
    others.append(server.call("GET", "/channels"))
    others.append(server.send("OPTIONS", "/channels", headers={"Origin": ORIGIN}))  # no preflight
    assert [r.status for r in others[:4]] == [403] * 4, "calls without a signature"
    assert not any("access-control-allow-origin" in r.headers for r in others[:6])
    assert all(r.headers["vary"] == "Origin" for r in others)
    with server.connect() as s:  # answered in the middle of the request
        s.sendall(f"POST /channels HTTP/1.1\r\nHost: x\r\nOrigin: {ORIGIN}\r\nContent-Length: 9\r\n\r\n{{".encode())
        slow = b"".join(iter(lambda: s.recv(65536), b"")).decode()
    assert slow.startswith("HTTP/1.1 408 ") and f"\r\nAccess-Control-Allow-Origin: {ORIGIN}\r\n" in slow
    recorded = [r.request_id for r in (good, bad, too_large, *others)]
    recorded += re.findall("\r\nx-amzn-RequestId: (.*)\r\n", slow)
    server.stop()
    assert sorted(server.store.request_ids()) == sorted(recorded), "all but the preflight"


def test_without_the_setting_no_origin_is_told_anything(start_server):
    server = start_server()
    replies = [preflight(server, ORIGIN), server.call("GET", "/channels", headers={"Origin": ORIGIN})]
    for reply in replies:
        assert not [name for name in reply.headers if name.startswith("access-control") or name == "vary"]
    server.store.wait_for_ids([r.request_id for r in replies])
