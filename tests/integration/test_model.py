"""Every answer of every operation against botocore's own service model; MediaPackage's are in test_packager.py too."""
import datetime
import hashlib

from harness import wait_for
from model import Caller


def test_channels(start_server):
    mediapackage = Caller(start_server().client("mediapackage"))
    made = mediapackage.call("CreateChannel", Id="chan-1", Description="d \u00e9", Tags={"A b": "x"})
    described = mediapackage.call("DescribeChannel", Id="chan-1")
    for answer in (made, described):
        del answer["ResponseMetadata"]
    assert made == described
    assert set(made) == {"Arn", "CreatedAt", "Description", "HlsIngest", "Id", "Tags"}
    for i in range(2, 31):
        mediapackage.call("CreateChannel", Id=f"chan-{i}")
    mediapackage.refuse("CreateChannel", "TooManyRequestsException", 429, Id="chan-31")
    pages = mediapackage.client.get_paginator("list_channels").paginate(PaginationConfig={"PageSize": 7})
    assert [c["Id"] for p in pages for c in p["Channels"]] == sorted(f"chan-{i}" for i in range(1, 31))
    assert "NextToken" not in mediapackage.call("ListChannels")
    assert mediapackage.call("UpdateChannel", Id="chan-1", Description="new")["Description"] == "new"
    assert mediapackage.call("DeleteChannel", Id="chan-2")["ResponseMetadata"]["HTTPStatusCode"] == 202
    for members in ({"Id": "chan-1"}, {"Id": "a b"}, {"Id": "x", "Tags": {"aws:x": "y"}}):
        mediapackage.refuse("CreateChannel", "UnprocessableEntityException", 422, **members)
    mediapackage.refuse("ListChannels", "UnprocessableEntityException", 422, NextToken="zzz")
    for operation in ("DescribeChannel", "UpdateChannel", "DeleteChannel"):
        for name in ("chan-2", "a/b c%\u00e9", "?x=y&z", "+"):
            mediapackage.refuse(operation, "NotFoundException", 404, Id=name)


def test_trails_and_keys(start_server):
    server = start_server()
    cloudtrail = Caller(server.client("cloudtrail"))
    described = cloudtrail.call("DescribeTrails")["trailList"]
    assert [t["Name"] for t in described] == ["demo"]
    arn = described[0]["TrailARN"]
    assert described[0]["LogFileValidationEnabled"] and "S3KeyPrefix" not in described[0]
    assert cloudtrail.call("DescribeTrails", trailNameList=["demo", "none"], includeShadowTrails=True)["trailList"] == described
    assert cloudtrail.call("GetTrail", Name="demo")["Trail"] == described[0]
    assert cloudtrail.call("GetTrail", Name=arn)["Trail"] == described[0]
    assert cloudtrail.call("GetTrailStatus", Name=arn)["IsLogging"] is True

    keys = wait_for(lambda: cloudtrail.call("ListPublicKeys")["PublicKeyList"], "the first key")
    for key in keys:
        assert hashlib.md5(key["Value"]).hexdigest() == key["Fingerprint"]
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    assert cloudtrail.call("ListPublicKeys", StartTime=now - day, EndTime=now + day)["PublicKeyList"] == keys
    assert cloudtrail.call("ListPublicKeys", StartTime=now - 9 * day, EndTime=now - 8 * day)["PublicKeyList"] == []

    cloudtrail.refuse("ListPublicKeys", "InvalidTimeRangeException", 400, StartTime=now, EndTime=now - day)
    for operation in ("GetTrail", "GetTrailStatus"):
        cloudtrail.refuse(operation, "TrailNotFoundException", 400, Name="none")
        cloudtrail.refuse(operation, "InvalidTrailNameException", 400, Name="ab")
        cloudtrail.refuse(operation, "CloudTrailARNInvalidException", 400, Name="arn:aws:x")
    cloudtrail.refuse("DescribeTrails", "InvalidTrailNameException", 400, trailNameList=["ab"])
    cloudtrail.refuse("ListTrails", "UnknownOperationException", 404)


def test_what_switches_and_would_change_a_trail(start_server):
    cloudtrail = Caller(start_server().client("cloudtrail"))
    for switch in ("StopLogging", "StopLogging", "StartLogging", "StartLogging"):
        cloudtrail.call(switch, Name="demo")
        status = cloudtrail.call("GetTrailStatus", Name="demo")
        assert status["IsLogging"] is (switch == "StartLogging") and status["StopLoggingTime"]
    assert len(cloudtrail.call("GetEventSelectors", TrailName="demo")["EventSelectors"]) == 1
    for operation, member, more in (("StopLogging", "Name", {}), ("StartLogging", "Name", {}), ("DeleteTrail", "Name", {}),
                                    ("UpdateTrail", "Name", {"S3BucketName": "b"}), ("GetEventSelectors", "TrailName", {}),
                                    ("PutEventSelectors", "TrailName", {"EventSelectors": []})):
        cloudtrail.refuse(operation, "TrailNotFoundException", 400, **{member: "none"}, **more)
        cloudtrail.refuse(operation, "InvalidTrailNameException", 400, **{member: "ab"}, **more)
        cloudtrail.refuse(operation, "CloudTrailARNInvalidException", 400, **{member: "arn:aws:x"}, **more)
    cloudtrail.refuse("UpdateTrail", "OperationNotPermittedException", 400, Name="demo", S3BucketName="b")
    cloudtrail.refuse("DeleteTrail", "OperationNotPermittedException", 400, Name="demo")
    cloudtrail.refuse("CreateTrail", "OperationNotPermittedException", 400, Name="more", S3BucketName="b")
    cloudtrail.refuse("CreateTrail", "TrailAlreadyExistsException", 400, Name="demo", S3BucketName="b")
    cloudtrail.refuse("PutEventSelectors", "OperationNotPermittedException", 400, TrailName="demo", EventSelectors=[])
    cloudtrail.refuse("PutEventSelectors", "InvalidEventSelectorsException", 400, TrailName="demo")


def test_caller_identity(start_server):
    server = start_server()
    sts = Caller(server.client("sts"))
    answer = sts.call("GetCallerIdentity")
    account = server.settings["account_id"]
    assert (answer["Account"], answer["UserId"], answer["Arn"]) == (account, account, f"arn:aws:iam::{account}:root")
    sts.refuse("DecodeAuthorizationMessage", "InvalidAction", 400, EncodedMessage="x")
