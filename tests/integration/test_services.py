"""CloudTrail's and STS's operations through boto3, both AWS CLIs and the JS SDK, and the record of each call, field by
field. MediaPackage's are in test_packager.py, IAM's in test_iam.py and test_iam_policies.py."""
import datetime
import hashlib

import pytest

from clients import CLIENTS, Recorder, check_records, error_codes
from harness import ACCOUNT, REGION, wait_for
from iam_users import recorded

ARN = f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/demo"
DAY = datetime.timedelta(days=1)


def walk_trails(r):
    (trail,) = r.call("DescribeTrails")["trailList"]
    assert (trail["Name"], trail["TrailARN"], trail["HomeRegion"]) == ("demo", ARN, REGION)
    assert trail["LogFileValidationEnabled"] is True and "S3KeyPrefix" not in trail
    for names, found in ((["demo", "none", ARN], [trail]), (["none"], [])):
        assert r.call("DescribeTrails", trailNameList=names, includeShadowTrails=True)["trailList"] == found
    for name in ("demo", ARN):
        assert r.call("GetTrail", Name=name)["Trail"] == trail
        assert r.call("GetTrailStatus", Name=name)["IsLogging"] is True
    r.refuse("InvalidTrailNameException", "DescribeTrails", trailNameList=["ab"])
    for operation in ("GetTrail", "GetTrailStatus"):
        r.refuse("TrailNotFoundException", operation, Name="none")
        r.refuse("InvalidTrailNameException", operation, Name="ab")
        r.refuse("CloudTrailARNInvalidException", operation, Name="arn:aws:x")


def walk_keys(r):
    (key,) = wait_for(lambda: r.call("ListPublicKeys")["PublicKeyList"], "the first key")
    assert hashlib.md5(key["Value"]).hexdigest() == key["Fingerprint"]
    assert key["Value"][:6] == bytes.fromhex("3082010a0282"), "PKCS#1 RSAPublicKey of 2048 bits"
    assert key["ValidityEndTime"] - key["ValidityStartTime"] == 30 * DAY
    now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    assert r.call("ListPublicKeys", StartTime=now - DAY, EndTime=now + DAY)["PublicKeyList"] == [key]
    assert r.call("ListPublicKeys", StartTime=now - 9 * DAY, EndTime=now - 8 * DAY)["PublicKeyList"] == []
    r.refuse("InvalidTimeRangeException", "ListPublicKeys", StartTime=now, EndTime=now - DAY)
    r.refuse("InvalidTokenException", "ListPublicKeys", NextToken="zzz")


def walk_switches(r):
    """What is called while the trail is stopped is not in it: test_stop_logging.py."""
    for switch in "StopLogging", "StartLogging", "StartLogging":
        assert r.call(switch, Name="demo") == {}
    status = r.call("GetTrailStatus", Name=ARN)
    assert status["IsLogging"] is True and status["StopLoggingTime"]
    for operation, member, more in (
            ("StopLogging", "Name", {}), ("StartLogging", "Name", {}), ("DeleteTrail", "Name", {}),
            ("UpdateTrail", "Name", {"S3BucketName": "b"}), ("GetEventSelectors", "TrailName", {}),
            ("PutEventSelectors", "TrailName", {"EventSelectors": []})):
        r.refuse("TrailNotFoundException", operation, **{member: "none"}, **more)
        r.refuse("InvalidTrailNameException", operation, **{member: "ab"}, **more)
        r.refuse("CloudTrailARNInvalidException", operation, **{member: "arn:aws:x"}, **more)


def walk_settings(r):
    """A trail of the settings file is changed there."""
    assert len(r.call("GetEventSelectors", TrailName="demo")["EventSelectors"]) == 1
    r.refuse("OperationNotPermittedException", "UpdateTrail", Name="demo", S3BucketName="b")
    r.refuse("OperationNotPermittedException", "DeleteTrail", Name="demo")
    r.refuse("OperationNotPermittedException", "CreateTrail", Name="more", S3BucketName="b")
    r.refuse("TrailAlreadyExistsException", "CreateTrail", Name="demo", S3BucketName="b")
    r.refuse("OperationNotPermittedException", "PutEventSelectors", TrailName="demo", EventSelectors=[])
    r.refuse("InvalidEventSelectorsException", "PutEventSelectors", TrailName="demo")


def walk_cloudtrail(r):
    walk_trails(r)
    walk_keys(r)
    walk_switches(r)
    walk_settings(r)
    r.refuse("UnknownOperationException", "ListTrails")


def walk_sts(r):
    answer = r.call("GetCallerIdentity")
    assert answer == {"Account": ACCOUNT, "UserId": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:root"}
    session = r.call("GetSessionToken", DurationSeconds=3600)["Credentials"]
    assert session["AccessKeyId"].startswith("ASIA") and len(session["SecretAccessKey"]) == 40
    left = session["Expiration"] - datetime.datetime.now(datetime.timezone.utc)
    assert datetime.timedelta(minutes=58) < left <= datetime.timedelta(hours=1)
    for key in (session["AccessKeyId"], "AKIA" + "A" * 16):
        assert r.call("GetAccessKeyInfo", AccessKeyId=key) == {"Account": ACCOUNT}
    r.refuse("AccessDenied", "GetSessionToken", SerialNumber="arn:aws:iam::1:mfa/x", TokenCode="123456")
    r.refuse("ValidationError", "GetSessionToken", DurationSeconds=129601)  # clients check the lower bound themselves
    r.refuse("ValidationError", "GetAccessKeyInfo", AccessKeyId="x" * 16)
    r.refuse("AccessDenied", "AssumeRole", RoleArn=f"arn:aws:iam::{ACCOUNT}:role/none", RoleSessionName="by-root")
    r.refuse("InvalidAction", "DecodeAuthorizationMessage", EncodedMessage="x")


UNKNOWN = {"UnknownOperationException": 404, "InvalidAction": 400}
STATUSES = {"AccessDenied": 403, "ValidationError": 400, **UNKNOWN}
SERVICES = {"cloudtrail": (walk_cloudtrail, "2013-11-01"), "sts": (walk_sts, "2011-06-15")}
WRITES = {"StopLogging", "StartLogging", "CreateTrail", "UpdateTrail", "DeleteTrail", "PutEventSelectors"}
GIVES_ACCESS = {"GetSessionToken"}  # a read, whose answer is recorded all the same


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("client", CLIENTS)
def test_every_operation_and_its_record(module_server, client, service):
    """AssumeRole as far as root gets with it; test_identity.py has the rest."""
    walk, version = SERVICES[service]
    driver = client(module_server, service)
    r = Recorder(driver, {**dict.fromkeys(error_codes(driver.model), 400), **STATUSES})
    before = len(module_server.store.records())
    walk(r)
    driver.close()

    def expected_record(operation, members, answer, refused):
        known = not refused or refused.code not in UNKNOWN
        model = driver.model.operation_model(operation)
        asked = recorded(model.input_shape, members) if known and model.input_shape else None
        told = recorded(model.output_shape, answer) if answer and operation in GIVES_ACCESS else None
        return {"eventName": operation, "eventSource": f"{service}.amazonaws.com",
                "readOnly": known and operation not in WRITES,
                "requestParameters": asked or None, "responseElements": told,
                "errorCode": refused.code if refused else None, "errorMessage": refused.message if refused else None}

    check_records(driver, r, before, expected_record, version)
