"""The audit's own operations: a trail that is stopped and started again holds everything up to and with the stop's record,
and from the start's record on; three verifiers find nothing; and where the settings lock it, nobody stops it."""
import json
import re
import time

import botocore.exceptions
import pytest

import load
from harness import ACCOUNT, REGION, request_id, scaled, validate_counts, validate_logs, verify_c, verify_script, wait_for
from test_status import assert_complete, health, look, waymark_status

ARN = f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/demo"
CLIENTS = 4


def verify_all(server, codec="zstd"):
    """All three, where the third can read the files."""
    server.store.wait_sealed()
    for verify in verify_c, verify_script:
        status, output = verify(server, server.store)
        assert status == 0, output
    if codec == "gzip":
        status, output = validate_logs(server, server.store)
        valid, of = validate_counts(output)["log"]
        assert status == 0 and valid == of > 0, output
    return output


def event_ids(store):
    return {r["requestID"]: r["waymarkSequence"] for _, r in store.records()}


def ids_below(server, folder):
    return [r["requestID"] for k, r in server.store.records() if k.startswith(folder)]


def refused(call, **params):
    """(status, code, message, request id) of a call that must fail."""
    with pytest.raises(botocore.exceptions.ClientError) as e:
        call(**params)
    r = e.value.response
    return r["ResponseMetadata"]["HTTPStatusCode"], r["Error"]["Code"], r["Error"]["Message"], request_id(r)


def test_what_a_stop_lets_through_under_load_and_kills(start_s3_server):
    """Clients call without pause; the trail is stopped and started, the daemon killed right behind either. Every record
    with a number up to a stop's is there, and behind a start's; none between. An acknowledged stop outlives the kill."""
    server = start_s3_server("gzip", trail={"batch_age": "50ms", "digest_period": "1s", "batch_records": 50})
    clients = [load.Client(i, seed=7) for i in range(CLIENTS)]
    switches = []  # (request id of the stop, of the start)
    with load.pressure(clients, server):
        for kill in (False, True):
            time.sleep(scaled(0.3, 1))
            stop = request_id(server.client("cloudtrail").stop_logging(Name="demo"))
            assert server.client("cloudtrail").get_trail_status(Name=ARN)["IsLogging"] is False
            if kill:
                server.kill()
                server.start()
                assert server.client("cloudtrail").get_trail_status(Name="demo")["IsLogging"] is False
            time.sleep(scaled(0.3, 1))
            start = request_id(server.client("cloudtrail").start_logging(Name=ARN))
            if kill:
                server.kill()
                server.start()
            assert server.client("cloudtrail").get_trail_status(Name="demo")["IsLogging"] is True
            switches.append((stop, start))
        time.sleep(0.3)
    last = request_id(server.client().list_channels())
    server.store.wait_for_ids([last])
    records = [r for _, r in server.store.all_records()]
    numbers = [r["waymarkSequence"] for r in records]
    assert numbers == sorted(set(numbers)), "none twice, in order"
    at = event_ids(server.store)
    gaps = [(at[stop], at[start]) for stop, start in switches]
    expected = set(range(1, at[last] + 1)) - {n for a, b in gaps for n in range(a + 1, b)}
    assert set(n for n in numbers if n <= at[last]) == expected
    assert all(b - a > 2 for a, b in gaps), "calls were made while it was stopped"
    files = [[r["waymarkSequence"] for r in json.loads(server.store.content(k))["Records"]]
             for k in server.store.log_keys()]
    for a, b in gaps:
        assert any(f[-1] == a for f in files) and any(f[0] == b for f in files), "no file spans a stop"
    # What was acknowledged and is not there was made while it was stopped: as many as the status counts.
    wait_for(lambda: look(server)[1]["trails"][0]["pending"] == 0, "everything to be passed")
    code, status = look(server)
    assert code == 0, status
    assert_complete(status)
    assert status["trails"][0]["filtered"] == sum(b - a - 1 for a, b in gaps)
    assert status["trails"][0]["logging"] is True
    output = verify_all(server, "gzip")
    assert "INVALID" not in output
    _, output = verify_c(server, server.store)
    assert output.count("which the trail says were left out") == len(gaps), output
    # Of the stop's own file nothing may be taken away.
    key = next(k for k in server.store.log_keys()
               if json.loads(server.store.content(k))["Records"][-1]["waymarkSequence"] == gaps[0][0])
    server.store.remove(key)
    for verify in verify_c, verify_script:
        status, output = verify(server, server.store)
        assert status == 1 and key in output, output


def test_a_stopped_trail_is_shown_as_stopped(start_server):
    server = start_server(trails=[{"name": "demo", "batch_age": "1h", "digest_period": "2s"},
                                  {"name": "other", "prefix": "other", "batch_age": "100ms", "digest_period": "2s"}])
    trail = server.client("cloudtrail")
    before = trail.get_trail_status(Name="demo")
    assert before["IsLogging"] is True and "StopLoggingTime" not in before and before["TimeLoggingStopped"] == ""
    ids = [request_id(before), request_id(server.client().list_channels()), request_id(trail.start_logging(Name="demo")),
           request_id(trail.stop_logging(Name="demo"))]
    behind = [request_id(trail.stop_logging(Name="demo")), request_id(server.client().list_channels())]
    stopped = trail.get_trail_status(Name="demo")
    behind.append(request_id(stopped))
    assert stopped["IsLogging"] is False and stopped["StopLoggingTime"].timestamp() > time.time() - 60
    assert stopped["TimeLoggingStopped"] and stopped["StartLoggingTime"] == before["StartLoggingTime"]
    assert trail.get_trail_status(Name="other")["IsLogging"] is True
    wait_for(lambda: set(ids + behind) <= set(ids_below(server, "other")), "the other trail to have it all")
    wait_for(lambda: ids_below(server, "AWSLogs"), "the stop's file, which its age would keep for an hour")
    assert ids_below(server, "AWSLogs") == ids
    assert health(server, "/readyz") == (200, "ok, but a trail is stopped")
    assert health(server, "/livez") == (200, "ok")
    assert "logging-stopped   trail=demo" in server.log()
    code, status = look(server)
    assert code == 1 and status["trails"][0]["logging"] is False and status["trails"][0]["stopped"]
    assert status["trails"][1]["logging"] is True
    assert status["problems"] == ["trail demo is stopped: nothing is delivered until StartLogging"]
    assert re.search(r"demo into waymark, \d+ behind.*, STOPPED at 20", waymark_status(server)[1])
    sealed = len([k for k in server.store.digest_keys() if "_demo_" in k])
    server.restart()
    trail = server.client("cloudtrail")
    after = trail.get_trail_status(Name="demo")
    assert after["IsLogging"] is False and after["StopLoggingTime"] == stopped["StopLoggingTime"]
    assert server.log().count("logging-stopped   trail=demo") == 2
    wait_for(lambda: len([k for k in server.store.digest_keys() if "_demo_" in k]) > sealed + 1,
             "digests of a stopped trail: its chain has no end")
    server.aws("cloudtrail", "start-logging", "--name", "demo")
    started = trail.get_trail_status(Name="demo")
    assert started["IsLogging"] is True and started["StartLoggingTime"] > stopped["StopLoggingTime"]
    assert health(server, "/readyz") == (200, "ok")
    server.stop()
    names = [r["eventName"] for k, r in server.store.records() if not k.startswith("other")]
    assert names[names.index("StopLogging") + 1] == "StartLogging", "a second stop changed nothing, and is not for this trail"
    record = next(r for _, r in server.store.records() if r["requestID"] == ids[-1])
    assert record["requestParameters"] == {"name": "demo"} and record["responseElements"] is None
    assert record["readOnly"] is False and record["userIdentity"]["type"] == "Root"
    server.start()
    verify_all(server)


def test_trails_are_changed_in_the_settings(start_server):
    server = start_server()
    trail = server.client("cloudtrail")
    cases = [
        (trail.create_trail, {"Name": "demo", "S3BucketName": "b"}, "TrailAlreadyExistsException", "demo already exists"),
        (trail.create_trail, {"Name": "new", "S3BucketName": "b", "TagsList": [{"Key": "a", "Value": "b"}]},
         "OperationNotPermittedException", "add one named new there"),
        (trail.create_trail, {"Name": "a", "S3BucketName": "b"}, "InvalidTrailNameException", "too short"),
        (trail.create_trail, {"Name": "new", "S3BucketName": "b", "IsMultiRegionTrail": True,
                              "IncludeGlobalServiceEvents": False},
         "InvalidParameterCombinationException", "global service events"),
        (trail.update_trail, {"Name": ARN, "S3BucketName": "elsewhere"}, "OperationNotPermittedException", "change it there"),
        (trail.update_trail, {"Name": "unknown"}, "TrailNotFoundException", "Unknown trail: unknown"),
        (trail.delete_trail, {"Name": "demo"}, "OperationNotPermittedException", "take it out there"),
        (trail.delete_trail, {"Name": "arn:aws:x"}, "CloudTrailARNInvalidException", "not the ARN"),
        (trail.put_event_selectors, {"TrailName": "demo", "EventSelectors": [{"ReadWriteType": "WriteOnly"}]},
         "OperationNotPermittedException", "takes every call"),
        (trail.put_event_selectors, {"TrailName": "demo"}, "InvalidEventSelectorsException", "either"),
        (trail.get_event_selectors, {"TrailName": "unknown"}, "TrailNotFoundException", "unknown"),
        (trail.stop_logging, {"Name": "unknown"}, "TrailNotFoundException", "unknown"),
        (trail.start_logging, {"Name": "-x-"}, "InvalidTrailNameException", "starts with a letter"),
    ]
    told = {}
    for call, params, code, text in cases:
        status, got, message, rid = refused(call, **params)
        assert (status, got) == (400, code) and text in message, (params, got, message)
        told[rid] = params, code, message
    selectors = trail.get_event_selectors(TrailName="demo")
    assert selectors["TrailARN"] == ARN and selectors["EventSelectors"] == [
        {"ReadWriteType": "All", "IncludeManagementEvents": True, "DataResources": [], "ExcludeManagementEventSources": []}]
    assert trail.get_trail_status(Name="demo")["IsLogging"] is True
    server.store.wait_for_ids(told)
    for rid, (params, code, message) in told.items():
        record = server.store.find(rid)
        assert (record["errorCode"], record["errorMessage"]) == (code, message)
        assert record["requestParameters"]["name" if "Name" in params else "trailName"] in params.values()
    assert any(r["requestParameters"].get("tagsList") == [{"key": "a", "value": "b"}]
               for _, r in server.store.records() if r["eventName"] == "CreateTrail")


def test_the_lock_is_for_everybody_and_its_change_is_recorded(start_server):
    server = start_server(audit={"locked": True})
    trail = server.client("cloudtrail")
    told = []
    for operation, call, params in (
            ("StopLogging", trail.stop_logging, {"Name": "demo"}),
            ("StopLogging", trail.stop_logging, {"Name": ARN}),
            ("DeleteTrail", trail.delete_trail, {"Name": "demo"}),
            ("UpdateTrail", trail.update_trail, {"Name": "demo", "S3BucketName": "elsewhere"}),
            ("PutEventSelectors", trail.put_event_selectors,
             {"TrailName": "demo", "EventSelectors": [{"ReadWriteType": "ReadOnly"}]})):
        status, code, message, rid = refused(call, **params)
        assert (status, code) == (403, "AccessDeniedException")
        assert message == (f"User: arn:aws:iam::{ACCOUNT}:root is not authorized to perform: cloudtrail:{operation} on "
                           f"resource: {ARN} with an explicit deny in the settings of this server (audit.locked)")
        told.append((rid, message))
    run = server.aws("cloudtrail", "stop-logging", "--name", "demo", check=False)
    assert run.returncode != 0 and "(AccessDeniedException)" in run.stderr and "audit.locked" in run.stderr
    assert server.send("POST", "/", b"{}", {"x-amz-target": "CloudTrail_20131101.StopLogging",
                                            "content-type": "application/x-amz-json-1.1"}).status != 200
    assert trail.get_trail_status(Name="demo")["IsLogging"] is True
    trail.start_logging(Name="demo")  # takes nothing away
    server.store.wait_for_ids(rid for rid, _ in told)
    for rid, message in told:
        record = server.store.find(rid)
        assert (record["errorCode"], record["errorMessage"]) == ("AccessDeniedException", message)
        assert record["userIdentity"]["type"] == "Root" and record["requestParameters"] and not record["responseElements"]
    server.restart()  # nothing changed: nothing is recorded
    server.stop()
    server.settings["audit"] = {"locked": False}
    server.start()
    ids = [request_id(server.client("cloudtrail").stop_logging(Name="demo"))]
    server.store.wait_for_ids(ids)
    server.kill()
    server.settings["audit"] = {"locked": True}
    server.start()
    request_id(server.client("cloudtrail").start_logging(Name="demo"))
    last = request_id(server.client().list_channels())
    server.store.wait_for_ids([last])
    changes = [e for e in server.store.service_events() if e["eventName"] == "AuditLockChanged"]
    # The third one was while the trail was stopped, and is where everything of that time is: not in this trail.
    assert [e["serviceEventDetails"] for e in changes] == [{"locked": True, "before": False},
                                                           {"locked": False, "before": True}]
    assert changes[0]["waymarkSequence"] == 1, "before anything else"
    assert changes[1]["waymarkSequence"] < server.store.find(ids[0])["waymarkSequence"]
    assert server.log().count("audit-changed     locked=yes") == 2
    verify_all(server)


def test_recording_is_not_turned_off_behind_the_lock(start_server):
    """Whoever writes the settings can end the audit, but the trail says so, and when."""
    server = start_server(audit={"locked": True})
    server.stop()
    server.settings["journal"] = {"enabled": False}
    with pytest.raises(AssertionError):
        server.start()
    assert "audit.locked: expected journal.enabled beside it" in server.log()
    server.settings["audit"] = {"locked": False}
    server.start()
    unrecorded = request_id(server.client().list_channels())
    server.restart()
    server.stop()
    server.settings.update(audit={"locked": True}, journal={"enabled": True})
    server.start()
    last = request_id(server.client().list_channels())
    server.store.wait_for_ids([last])
    assert unrecorded not in event_ids(server.store)
    events = server.store.service_events()
    assert [(e["eventName"], e["serviceEventDetails"]) for e in events if e["eventName"].endswith("Changed")] == [
        ("AuditLockChanged", {"locked": True, "before": False}), ("AuditLockChanged", {"locked": False, "before": True}),
        ("RecordingChanged", {"recording": False, "before": True}), ("AuditLockChanged", {"locked": True, "before": False}),
        ("RecordingChanged", {"recording": True, "before": False})]
    verify_all(server)


def test_a_session_stops_and_who_may_not_does_not(start_server):
    """A stop by a session holds while the trail is out of the settings, and the two records beside the gap say who."""
    trails = [{"name": "demo", "batch_age": "100ms", "digest_period": "2s"},
              {"name": "other", "prefix": "other", "batch_age": "100ms", "digest_period": "2s"}]
    server = start_server(trails=trails)
    iam = server.client("iam")
    role = iam.create_role(RoleName="auditor", AssumeRolePolicyDocument=json.dumps({"Statement": [
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}]}))["Role"]
    iam.create_user(UserName="eve")
    iam.put_user_policy(UserName="eve", PolicyName="p", PolicyDocument=json.dumps({"Statement": [
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}]}))
    key = iam.create_access_key(UserName="eve")["AccessKey"]
    eve = key["AccessKeyId"], key["SecretAccessKey"]
    status, code, _, tried = refused(server.client("cloudtrail", eve).stop_logging, Name="demo")
    assert (status, code) == (403, "AccessDeniedException")
    assert server.client("cloudtrail").get_trail_status(Name="demo")["IsLogging"] is True
    iam.put_role_policy(RoleName="auditor", PolicyName="p", PolicyDocument=json.dumps({"Statement": [
        {"Effect": "Allow", "Action": "cloudtrail:St*Logging", "Resource": ARN}]}))
    session = server.client("sts", eve).assume_role(RoleArn=role["Arn"], RoleSessionName="night")["Credentials"]
    login = session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"]
    stop = request_id(server.client("cloudtrail", login).stop_logging(Name=ARN))
    assert refused(server.client("cloudtrail", login).stop_logging, Name="other")[1] == "AccessDeniedException"
    server.stop()
    server.settings["trails"] = trails[1:]
    server.start()
    assert refused(server.client("cloudtrail").start_logging, Name="demo")[1] == "TrailNotFoundException"
    server.restart()
    server.stop()
    server.settings["trails"] = trails
    server.start()
    assert server.client("cloudtrail").get_trail_status(Name="demo")["IsLogging"] is False
    start = request_id(server.client("cloudtrail", login).start_logging(Name="demo"))
    last = request_id(server.client().list_channels())
    wait_for(lambda: last in ids_below(server, "AWSLogs") and last in ids_below(server, "other"), "both to have it")
    below = [r for k, r in server.store.records() if k.startswith("AWSLogs")]
    at = [r["requestID"] for r in below].index(stop)
    assert below[at + 1]["requestID"] == start and below[at + 1]["waymarkSequence"] > below[at]["waymarkSequence"] + 2
    for record in below[at:at + 2]:
        assert record["userIdentity"]["arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/auditor/night"
    assert next(r for r in below if r["requestID"] == tried)["errorCode"] == "AccessDeniedException"
    numbers = [r["waymarkSequence"] for k, r in server.store.all_records() if k.startswith("other")]
    assert sorted(numbers) == list(range(1, max(numbers) + 1)), "the other trail has it all"
    verify_all(server)
