"""Every answer of every operation against botocore's own service model: members, required ones, types, names on the wire."""
import datetime
import hashlib
import json

import botocore.exceptions
import pytest
from botocore import xform_name

from harness import wait_for

PYTHON_TYPES = {"string": str, "integer": int, "long": int, "boolean": bool, "timestamp": datetime.datetime, "blob": bytes}


def check_parsed(shape, value, at):
    if shape.type_name == "structure":
        for name in shape.required_members:
            assert name in value, f"{at}.{name} is missing"
        for name, member in value.items():
            if name != "ResponseMetadata":
                assert name in shape.members, f"{at}.{name} is not in the model"
                check_parsed(shape.members[name], member, f"{at}.{name}")
    elif shape.type_name == "list":
        for element in value:
            check_parsed(shape.member, element, f"{at}[]")
    elif shape.type_name == "map":
        for element in value.values():
            check_parsed(shape.value, element, f"{at}{{}}")
    else:
        assert isinstance(value, PYTHON_TYPES[shape.type_name]), f"{at} is {value!r}"


def check_wire(shape, value, at):
    """What the SDK would drop without a word: members that the model does not have."""
    if shape.type_name == "structure":
        names = {m.serialization.get("name", k): m for k, m in shape.members.items()}
        for name, member in value.items():
            assert name in names, f"{at}.{name} is not in the model"
            check_wire(names[name], member, f"{at}.{name}")
    elif shape.type_name == "list":
        for element in value:
            check_wire(shape.member, element, f"{at}[]")
    elif shape.type_name == "timestamp":
        assert isinstance(value, (int, float)), f"{at} is {value!r}"


class Caller:
    """A client whose every answer is checked."""

    def __init__(self, client):
        self.client = client
        self.body = b""
        client.meta.events.register("after-call", self._keep)

    def _keep(self, http_response, **_):
        self.body = http_response.content

    def call(self, operation, **members):
        answer = getattr(self.client, xform_name(operation))(**members)
        shape = self.client.meta.service_model.operation_model(operation).output_shape
        check_parsed(shape, answer, operation)
        if self.body.startswith(b"{"):
            check_wire(shape, json.loads(self.body), operation)
        return answer

    def refuse(self, operation, code, status, **members):
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            getattr(self.client, xform_name(operation))(**members)
        answer = caught.value.response
        assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
        assert answer["Error"]["Message"] and answer["ResponseMetadata"]["RequestId"]
        modelled = {e.name for e in self.client.meta.service_model.operation_model(operation).error_shapes}
        assert code in modelled or code in ("UnknownOperationException", "ValidationError", "InvalidAction")


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
    cloudtrail.refuse("PutEventSelectors", "UnknownOperationException", 404, TrailName="demo", EventSelectors=[])


def test_caller_identity(start_server):
    server = start_server()
    sts = Caller(server.client("sts"))
    answer = sts.call("GetCallerIdentity")
    account = server.settings["account_id"]
    assert (answer["Account"], answer["UserId"], answer["Arn"]) == (account, account, f"arn:aws:iam::{account}:root")
    sts.refuse("GetSessionToken", "InvalidAction", 400)
