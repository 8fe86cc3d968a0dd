"""Limits of calls, as clients meet them and as the trail tells of them; and floods of refused calls that share a record."""
import json
import os
import subprocess
import sys
import time

import botocore.exceptions
import pytest

from harness import ACCOUNT, PATIENCE, REGION, clean_environment, request_id, wait_for
from rawload import Swarm
from test_status import assert_complete, look

NODE = os.environ.get("WAYMARK_TEST_NODE")
FOLDER = os.path.dirname(os.path.abspath(__file__))
ROOT = f"arn:aws:iam::{ACCOUNT}:root"


def attempt(call):
    """(request id, error code or None, headers) of one try."""
    try:
        answer = call()
        return request_id(answer), None, answer["ResponseMetadata"]["HTTPHeaders"]
    except botocore.exceptions.ClientError as e:
        assert e.response["ResponseMetadata"]["HTTPStatusCode"] == 429, e
        assert "come again in" in e.response["Error"]["Message"]
        return request_id(e.response), e.response["Error"]["Code"], e.response["ResponseMetadata"]["HTTPHeaders"]


def settled(server):
    """The status when all that was recorded is delivered."""
    def met():
        _, status = look(server)
        assert_complete(status)
        assert status["folded"]["complete"], status
        done = status["folded"]["pending"] == 0 and status["trails"][0]["pending"] == 0
        return status if done and status["counted"]["seq"] == status["journal"]["durableSeq"] else None

    return wait_for(met, "everything to be told and delivered")


def test_a_principal_above_its_limit_is_refused_and_each_call_recorded(start_server):
    server = start_server(throttle={"principal_rate": 5, "principal_burst": 8})
    began = time.monotonic()
    calls = [(server.client("mediapackage").list_channels, "TooManyRequestsException"),
             (server.client("cloudtrail").describe_trails, "ThrottlingException"),
             (server.client("sts").get_caller_identity, "Throttling")]
    seen = {}
    for _ in range(12):
        for call, refusal in calls:
            one, code, headers = attempt(call)
            assert code in (None, refusal)
            assert ("retry-after" in headers) == (code is not None)
            assert headers.get("retry-after", "1") == "1"
            seen[one] = code
    good = sum(code is None for code in seen.values())
    assert 8 <= good <= 8 + 5 * (time.monotonic() - began)
    assert good < 36 or time.monotonic() - began > 5  # on any machine that sends them in less
    server.store.wait_for_ids(seen)
    records = [r for _, r in server.store.records()]
    assert {r["requestID"]: r.get("errorCode") for r in records} == seen
    for r in records:
        assert r["userIdentity"]["type"] == "Root" and r["userIdentity"]["arn"] == ROOT
        assert r["eventName"] in ("ListChannels", "DescribeTrails", "GetCallerIdentity") and r["readOnly"]
        if "errorCode" in r:
            assert r["errorMessage"].startswith(f"Too many calls by principal {ROOT}: at most 5 a second and 8 at once")
    assert settled(server)["counted"]["refused"] == len(seen) - good


def boto3_retries(mode, service, operation):
    def run(server):
        client = server.client(service, retries={"mode": mode, "total_max_attempts": 10})
        return [getattr(client, operation)()["ResponseMetadata"]["RetryAttempts"] + 1 for _ in range(2)]
    return run


def cli(server):
    """It does not say how often it tried; the trail does."""
    question = json.dumps(["--region", REGION, "--endpoint-url", server.endpoint, "mediapackage", "list-channels"]) + "\n"
    run = subprocess.run([sys.executable, os.path.join(FOLDER, "client_cli.py")], input=question * 2, capture_output=True,
                         text=True, timeout=PATIENCE, check=True, env=clean_environment(
                             AWS_SHARED_CREDENTIALS_FILE=os.path.join(server.data, "credentials"), AWS_PROFILE="waymark",
                             AWS_MAX_ATTEMPTS="10"))
    assert [json.loads(line)[0] for line in run.stdout.splitlines()] == [0, 0], run.stdout


def js(server):
    key_id, secret = server.credentials
    lines = json.dumps({"operation": "ListChannels", "members": {}}) + "\n"
    run = subprocess.run([NODE, os.path.join(FOLDER, "client.js")], input=lines * 2, capture_output=True, text=True,
                         timeout=PATIENCE, check=True, env=clean_environment(
                             NODE_PATH=os.path.join(os.path.dirname(NODE), "..", "node_modules"), MAX_ATTEMPTS="10",
                             ENDPOINT=server.endpoint, REGION=REGION, KEY_ID=key_id, SECRET=secret,
                             SERVICE="mediapackage"))
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    assert [a["status"] for a in answers] == [200] * 2, answers
    return [a["attempts"] for a in answers]


@pytest.mark.parametrize("client", [
    boto3_retries("legacy", "mediapackage", "list_channels"), boto3_retries("standard", "mediapackage", "list_channels"),
    boto3_retries("standard", "cloudtrail", "describe_trails"), boto3_retries("legacy", "sts", "get_caller_identity"), cli,
    pytest.param(js, marks=pytest.mark.skipif(not NODE, reason="WAYMARK_TEST_NODE"))])
def test_clients_know_it_for_throttling_and_come_again(start_server, client):
    """By themselves, as they do when AWS throttles; and each try has its record."""
    server = start_server(throttle={"principal_rate": 4, "principal_burst": 1})
    server.client("sts").get_caller_identity()
    attempts = client(server)
    server.stop()  # delivers what there is
    records = [r for _, r in server.store.records()]
    refused = [r for r in records if "errorCode" in r]
    assert len(refused) >= 1, "nobody was asked to wait"
    assert {r["errorCode"] for r in refused} <= {"TooManyRequestsException", "ThrottlingException", "Throttling"}
    assert attempts is None or len(records) == 1 + sum(attempts)


def test_a_source_above_its_limit_does_not_hold_up_another(start_server):
    """The addresses are those that the trusted proxy names."""
    server = start_server(http={"trusted_proxies": ["127.0.0.1"]}, throttle={"source_rate": 1, "source_burst": 3})

    def call(source, **how):
        return server.call("GET", "/channels", headers={"X-Forwarded-For": source}, **how)

    seen = {}
    for _ in range(6):
        reply = call("198.51.100.7", secret="a guess")
        seen[reply.request_id] = reply
    codes = [r.headers["x-amzn-errortype"] for r in seen.values()]
    assert codes[:3] == ["InvalidSignatureException"] * 3
    assert codes.count("TooManyRequestsException") >= 2, codes  # a slow machine may be given one more
    assert call("198.51.100.8").status == 200, "another source, and the principal whose name was used"
    for host in range(3):
        assert call(f"2001:db8:1:2::{host + 1}").status == 200
    assert call("2001:db8:1:2:ffff::1").status in (429, 200)  # of the same /64; 200 when a second has passed
    server.store.wait_for_ids(seen)
    for one, reply in seen.items():
        record = server.store.find(one)
        assert record["errorCode"] == reply.headers["x-amzn-errortype"]
        assert record["sourceIPAddress"] == "198.51.100.7"
        assert record["userIdentity"] == {"type": "Unknown", "accessKeyId": server.credentials[0]}
        assert (reply.status, reply.headers.get("retry-after")) in ((403, None), (429, "1"))


def folded(store):
    return [e["serviceEventDetails"] for e in store.service_events() if e["eventName"] == "RefusedCallsFolded"]


def test_a_flood_of_wrong_signatures_is_one_record_a_window(start_server):
    server = start_server(http={"threads": 2, "trusted_proxies": ["127.0.0.1"]}, throttle={"fold_refused": "500ms"})
    guess = {"secret": "a guess", "headers": {"X-Forwarded-For": "198.51.100.7"}}
    guesser = Swarm(server, 20, **guess)
    good = Swarm(server, 4, headers={"X-Forwarded-For": "198.51.100.7"})  # the same source
    answered, ids = [], []
    for part in range(1, 6):
        for _ in range(50):
            answered += guesser.round()
            if len(answered) % 200 == 0:
                ids += good.round()
        wait_for(lambda: look(server)[1]["folded"]["pending"] == 0, "the window to end")
        assert guesser.statuses == {403: 1000 * part}
    guesser.close()
    good.close()
    assert set(good.statuses) == {200}
    answered.append(server.call("DELETE", "/channels/x", **guess).request_id)  # opens a window, with nothing to tell at its end
    server.store.wait_for_ids(ids)
    status = settled(server)

    records = [r for _, r in server.store.records()]
    whole = [r for r in records if r.get("errorCode") == "InvalidSignatureException"]
    events = folded(server.store)
    assert 5 <= len(events) <= 25, "one for each window"
    assert sum(e["foldedCalls"] for e in events) + len(whole) == len(answered) == 5001
    assert sum(e["recordedCalls"] for e in events) == len(whole) - 1
    assert {r["requestID"] for r in whole} <= set(answered)
    assert len(whole) <= len(events) + 1 + len(events), "one for each window, or two when two loops were as quick"
    assert {r["requestID"] for r in records} - {r["requestID"] for r in whole} == set(ids), "no other call was folded"
    for e in events:
        assert e["sourceIPAddress"] == "198.51.100.7"
        assert e["errorCodes"] == [{"errorCode": "InvalidSignatureException", "calls": e["foldedCalls"]}]
        assert e["callers"] == [{"accessKeyId": server.credentials[0], "calls": e["foldedCalls"]}]
        assert e["operations"] == [{"eventName": "ListChannels", "calls": e["foldedCalls"]}]
        assert e["firstTime"] <= e["lastTime"]
    calls = status["calls"]
    assert calls["folded"] == status["folded"]["told"] == 5001 - len(whole)
    assert calls["received"] == calls["recorded"] + calls["folded"] + calls["refused"] + calls["unrecorded"]
    assert calls["recorded"] == len(records)


def test_a_stop_tells_and_a_kill_loses_only_the_open_window(start_server):
    server = start_server(throttle={"fold_refused": "1h"})

    def flood(n):
        replies = [server.call("GET", "/channels", secret="a guess") for _ in range(n)]
        assert {r.status for r in replies} == {403}
        return replies

    flood(10)
    server.stop()
    assert [e["foldedCalls"] for e in folded(server.store)] == [9], "in the bucket, before the process has ended"
    server.start()
    first = flood(10)[0]
    server.kill()
    server.start()
    again = flood(10)[0]
    server.stop()
    assert [e["foldedCalls"] for e in folded(server.store)] == [9, 9]
    assert {first.request_id, again.request_id} <= set(server.store.request_ids())
    server.start()
    assert_complete(settled(server))


def user_with_key(server, name):
    iam = server.client("iam")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"key_id": key["AccessKeyId"], "secret": key["SecretAccessKey"]}


def test_each_principal_has_its_own_limit(start_server):
    server = start_server(throttle={"principal_rate": 1, "principal_burst": 5})
    ann, ben = user_with_key(server, "ann"), user_with_key(server, "ben")  # four calls of the root
    assert [server.call("GET", "/channels", **ann).status for _ in range(5)] == [403] * 5
    limited = [server.call("GET", "/channels", **ann) for _ in range(3)]
    assert 429 in [r.status for r in limited]  # all of them, but where a second has passed
    assert server.call("GET", "/channels", **ben).status == 403, "he is denied, not limited"
    assert server.call("GET", "/channels").status == 200, "the root's last one"
    server.store.wait_for_ids([r.request_id for r in limited])
    for r in limited:
        record = server.store.find(r.request_id)
        assert record["userIdentity"]["userName"] == "ann"
        assert record["errorCode"] == r.headers["x-amzn-errortype"]


def test_denied_calls_of_a_user_fold_by_operation(start_server):
    server = start_server(throttle={"fold_refused": "1h"})
    ann, ben = user_with_key(server, "ann"), user_with_key(server, "ben")
    seen = {}
    for who, key in ("ann", ann), ("ben", ben):
        for method, path in ("GET", "/channels"), ("DELETE", "/channels/a"):
            for _ in range(5):
                reply = server.call(method, path, **key)
                assert (reply.status, reply.headers["x-amzn-errortype"]) == (403, "AccessDeniedException")
                seen.setdefault((who, method), []).append(reply.request_id)
    server.stop()
    denied = {r["requestID"]: r for _, r in server.store.records() if r.get("errorCode")}
    for (who, method), ids in seen.items():
        of_these = [denied.pop(i) for i in ids if i in denied]
        assert ids[0] == of_these[0]["requestID"], "the first of each kind has a record"
        assert {r["userIdentity"]["userName"] for r in of_these} == {who}
    assert not denied
    [event] = folded(server.store)
    calls = {c["arn"].rpartition("/")[2]: c["calls"] for c in event["callers"]}
    whole = event["recordedCalls"]
    assert event["foldedCalls"] + whole == 20 and 4 <= whole <= 6  # one more where the use of a key was noted with it
    assert sum(calls.values()) == event["foldedCalls"] and set(calls) == {"ann", "ben"}
    assert {o["eventName"] for o in event["operations"]} == {"ListChannels", "DeleteChannel"}
