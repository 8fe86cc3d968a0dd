"""All operations of MediaPackage in one walk: create, read, page, update, delete, tag, and each error, for whatever
client (clients.py)."""
import time

import botocore.session

from model import to_wire

MODEL = botocore.session.get_session().get_service_model("mediapackage")
WRITES = ("Create", "Update", "Delete", "Configure", "Rotate", "Tag", "Untag")
ROLE = "arn:aws:iam::111122223333:role/packager"
SPEKE = {"ResourceId": "r", "RoleArn": ROLE, "SystemIds": ["81376844-f976-481e-a84e-cc25d39b0b33"],
         "Url": "https://speke.example/"}


STATUSES = {"UnprocessableEntityException": 422, "NotFoundException": 404, "TooManyRequestsException": 429}


def expected_record(operation, members, answer, refused):
    """The fields of a record that follow from the call."""
    model = MODEL.operation_model(operation)
    read_only = not operation.startswith(WRITES)
    response = to_wire(model.output_shape, answer) if answer and not read_only and model.output_shape else None
    for endpoint in (response or {}).get("hlsIngest", {}).get("ingestEndpoints", []):
        endpoint["username"] = endpoint["password"] = "***"
    return {
        "eventName": operation,
        "eventSource": "mediapackage.amazonaws.com",
        "readOnly": read_only,
        "requestParameters": to_wire(model.input_shape, members) or None,
        "responseElements": response or None,
        "errorCode": refused.code if refused else None,
        "errorMessage": refused.message if refused else None,
    }


def secrets_of(calls):
    return {e[k] for _, _, answer, _ in calls
            for channel in [answer or {}, *(answer or {}).get("Channels", [])]
            for e in channel.get("HlsIngest", {}).get("IngestEndpoints", []) for k in ("Username", "Password")}


def iso(seconds_ago):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - seconds_ago))


def job(name, endpoint, **more):
    return {"Id": name, "OriginEndpointId": endpoint, "StartTime": iso(3600), "EndTime": str(int(time.time()) - 60),
            "S3Destination": {"BucketName": "vod", "ManifestKey": "a/b.m3u8", "RoleArn": ROLE}, **more}


def pages(r, operation, member, **members):
    found, token = [], {}
    while True:
        page = r.call(operation, **members, **token)
        found.append([x["Id"] for x in page[member]])
        if "NextToken" not in page:
            return found
        token = {"NextToken": page["NextToken"]}


def walk_channels(r):
    made = r.call("CreateChannel", Id="cam", Description="d \u00e9", Tags={"A b": "x"})
    assert r.call("DescribeChannel", Id="cam") == made
    assert {*made, "CreatedAt"} == {"Arn", "CreatedAt", "Description", "HlsIngest", "Id", "Tags"}  # not in older models
    r.call("CreateChannel", Id="cam-2")
    r.call("CreateChannel", Id="cam-3")
    assert pages(r, "ListChannels", "Channels", MaxResults=2) == [["cam", "cam-2"], ["cam-3"]]
    assert r.call("UpdateChannel", Id="cam", Description="new") == {**made, "Description": "new"}
    assert r.call("DeleteChannel", Id="cam-3") == {}

    on = r.call("ConfigureLogs", Id="cam", EgressAccessLogs={}, IngressAccessLogs={"LogGroupName": "/aws/MediaPackage/i"})
    assert on["EgressAccessLogs"] == {"LogGroupName": "/aws/MediaPackage/EgressAccessLogs"}
    assert on["IngressAccessLogs"] == {"LogGroupName": "/aws/MediaPackage/i"}
    off = r.call("ConfigureLogs", Id="cam", IngressAccessLogs={})
    assert "EgressAccessLogs" not in off
    assert off["IngressAccessLogs"] == {"LogGroupName": "/aws/MediaPackage/IngressAccessLogs"}
    assert "IngressAccessLogs" not in r.call("ConfigureLogs", Id="cam")

    first, second = made["HlsIngest"]["IngestEndpoints"]
    rotated = r.call("RotateChannelCredentials", Id="cam")["HlsIngest"]["IngestEndpoints"]
    assert rotated[1] == second and rotated[0]["Id"] == first["Id"] and rotated[0]["Url"] == first["Url"]
    assert rotated[0]["Username"] != first["Username"] and rotated[0]["Password"] != first["Password"]
    again = r.call("RotateIngestEndpointCredentials", Id="cam", IngestEndpointId=second["Id"])
    again = again["HlsIngest"]["IngestEndpoints"]
    assert again[0] == rotated[0] and again[1]["Password"] != second["Password"]

    for members in ({"Id": "cam"}, {"Id": "a b"}, {"Id": "x", "Tags": {"aws:x": "y"}}, {"Id": "x" * 257}):
        r.refuse("UnprocessableEntityException", "CreateChannel", **members)
    r.refuse("UnprocessableEntityException", "ListChannels", NextToken="zzz")
    r.refuse("UnprocessableEntityException", "ConfigureLogs", Id="cam", EgressAccessLogs={"LogGroupName": "x"})
    for operation in ("DescribeChannel", "UpdateChannel", "DeleteChannel", "ConfigureLogs", "RotateChannelCredentials"):
        r.refuse("NotFoundException", operation, Id="none")
    r.refuse("NotFoundException", "DescribeChannel", Id="?x=y&z/ +%\u00e9")
    r.refuse("NotFoundException", "RotateIngestEndpointCredentials", Id="none", IngestEndpointId="x")
    r.refuse("NotFoundException", "RotateIngestEndpointCredentials", Id="cam", IngestEndpointId="a/b")


PACKAGES = {
    "hls": {"HlsPackage": {"AdMarkers": "DATERANGE", "ProgramDateTimeIntervalSeconds": 5, "AdTriggers": ["BREAK"],
                           "Encryption": {"EncryptionMethod": "SAMPLE_AES", "SpekeKeyProvider": SPEKE}}},
    "dash": {"DashPackage": {"PeriodTriggers": ["ADS"], "UtcTiming": "HTTP-ISO", "UtcTimingUri": "https://t",
                             "StreamSelection": {"StreamOrder": "VIDEO_BITRATE_ASCENDING"}}},
    "mss": {"MssPackage": {"SegmentDurationSeconds": 3}},
    "cmaf": {"CmafPackage": {"HlsManifests": [{"Id": "one"}, {"Id": "two", "ManifestName": "other"}],
                             "Encryption": {"SpekeKeyProvider": {**SPEKE, "EncryptionContractConfiguration": {
                                 "PresetSpeke20Audio": "SHARED", "PresetSpeke20Video": "SHARED"}}}}},
}
ENDINGS = {"hls": "/index.m3u8", "dash": "/index.mpd", "mss": "/index.ism/Manifest", "cmaf": ""}


def contains(whole, part, at):
    """Everything in part is in whole; defaults may be there beside it."""
    if isinstance(part, dict):
        for key, value in part.items():
            contains(whole[key], value, f"{at}.{key}")
    elif isinstance(part, list):
        assert len(whole) == len(part), at
        for i, value in enumerate(part):
            contains(whole[i], value, f"{at}[{i}]")
    else:
        assert whole == part, at


def walk_endpoints(r):
    for name, package in PACKAGES.items():
        members = {"Id": name, "ChannelId": "cam", "StartoverWindowSeconds": 86400, "Whitelist": ["10.0.0.0/8"],
                   "Tags": {"k": "v"}, **package}
        made = r.call("CreateOriginEndpoint", **members)
        contains(made, members, name)
        assert made["Url"].endswith(ENDINGS[name]) and (made["Url"] == "") == (name == "cmaf")
        assert r.call("DescribeOriginEndpoint", Id=name) == made
    urls = [m["Url"].split("/", 4)[4] for m in r.call("DescribeOriginEndpoint", Id="cmaf")["CmafPackage"]["HlsManifests"]]
    guid = made["Arn"].rpartition("/")[2]
    assert urls == [f"v1/{guid}/one/index.m3u8", f"v1/{guid}/two/other.m3u8"]
    r.call("CreateOriginEndpoint", Id="b", ChannelId="cam-2", MssPackage={})
    assert pages(r, "ListOriginEndpoints", "OriginEndpoints", MaxResults=3) == [["b", "cmaf", "dash"], ["hls", "mss"]]
    assert pages(r, "ListOriginEndpoints", "OriginEndpoints", ChannelId="cam", MaxResults=2) == [["cmaf", "dash"],
                                                                                                ["hls", "mss"]]
    changed = r.call("UpdateOriginEndpoint", Id="hls", Description="new", Whitelist=[], TimeDelaySeconds=30,
                     Authorization={"CdnIdentifierSecret": "arn:aws:secretsmanager:us-east-1:111122223333:secret:x",
                                    "SecretsRoleArn": ROLE})
    assert changed["Description"] == "new" and changed["Whitelist"] == [] and changed["Tags"] == {"k": "v"}
    contains(changed, PACKAGES["hls"], "hls")
    changed = r.call("UpdateOriginEndpoint", Id="hls", HlsPackage={})
    assert "Encryption" not in changed["HlsPackage"] and changed["HlsPackage"]["AdMarkers"] == "NONE"
    assert changed["Authorization"]["SecretsRoleArn"] == ROLE
    assert r.call("DeleteOriginEndpoint", Id="mss") == {}

    r.refuse("UnprocessableEntityException", "DeleteChannel", Id="cam")
    r.refuse("UnprocessableEntityException", "CreateOriginEndpoint", Id="hls", ChannelId="cam", HlsPackage={})
    r.refuse("UnprocessableEntityException", "CreateOriginEndpoint", Id="x", ChannelId="cam")
    r.refuse("UnprocessableEntityException", "CreateOriginEndpoint", Id="x", ChannelId="cam", HlsPackage={},
             TimeDelaySeconds=1)
    r.refuse("UnprocessableEntityException", "UpdateOriginEndpoint", Id="hls", DashPackage={})
    r.refuse("UnprocessableEntityException", "UpdateOriginEndpoint", Id="hls", Whitelist=["::/0"])
    r.refuse("UnprocessableEntityException", "ListOriginEndpoints", NextToken="zzz")
    r.refuse("NotFoundException", "CreateOriginEndpoint", Id="x", ChannelId="none", HlsPackage={})
    for operation in ("DescribeOriginEndpoint", "UpdateOriginEndpoint", "DeleteOriginEndpoint"):
        r.refuse("NotFoundException", operation, Id="none")


def walk_jobs(r):
    made = r.call("CreateHarvestJob", **job("job", "hls"))
    assert made["Status"] == "IN_PROGRESS" and made["ChannelId"] == "cam"
    assert made["Arn"].endswith(":harvest_jobs/job")
    described = r.call("DescribeHarvestJob", Id="job")
    assert {**described, "Status": ""} == {**made, "Status": ""}
    r.call("CreateHarvestJob", **job("job-2", "dash"))
    assert pages(r, "ListHarvestJobs", "HarvestJobs", MaxResults=1) == [["job"], ["job-2"]]
    assert pages(r, "ListHarvestJobs", "HarvestJobs", IncludeChannelId="cam-2") == [[]]
    assert pages(r, "ListHarvestJobs", "HarvestJobs", IncludeChannelId="cam", IncludeStatus="SUCCEEDED") == [[]]
    r.refuse("UnprocessableEntityException", "CreateHarvestJob", **job("job", "hls"))
    r.refuse("UnprocessableEntityException", "CreateHarvestJob", **job("x", "cmaf"))
    r.refuse("UnprocessableEntityException", "CreateHarvestJob", **job("x", "hls", StartTime="yesterday"))
    r.refuse("UnprocessableEntityException", "CreateHarvestJob", **job("x", "hls", StartTime=iso(100000)))
    r.refuse("UnprocessableEntityException", "ListHarvestJobs", IncludeStatus="DONE")
    r.refuse("UnprocessableEntityException", "ListHarvestJobs", NextToken="zzz")
    r.refuse("NotFoundException", "CreateHarvestJob", **job("x", "none"))
    r.refuse("NotFoundException", "DescribeHarvestJob", Id="none")


def walk_tags(r):
    channel = r.call("DescribeChannel", Id="cam")["Arn"]
    for arn in (channel, r.call("DescribeOriginEndpoint", Id="dash")["Arn"], r.call("DescribeHarvestJob", Id="job")["Arn"]):
        r.call("TagResource", ResourceArn=arn, Tags={"new": "1", "A b": "2"})
        tags = r.call("ListTagsForResource", ResourceArn=arn)["Tags"]
        assert tags.items() >= {"new": "1", "A b": "2"}.items()
        r.call("UntagResource", ResourceArn=arn, TagKeys=["A b", "none"])
        del tags["A b"]
        assert r.call("ListTagsForResource", ResourceArn=arn)["Tags"] == tags
    r.refuse("UnprocessableEntityException", "TagResource", ResourceArn=channel, Tags={"aws:x": "y"})
    r.refuse("UnprocessableEntityException", "TagResource", ResourceArn=channel, Tags={str(i): "" for i in range(50)})
    for operation, more in (("ListTagsForResource", {}), ("TagResource", {"Tags": {"a": "b"}}),
                            ("UntagResource", {"TagKeys": ["a"]})):
        r.refuse("NotFoundException", operation, ResourceArn=channel[:-1], **more)


def walk_quotas(r):
    for i in range(28):
        r.call("CreateChannel", Id=f"more-{i}")
    r.refuse("TooManyRequestsException", "CreateChannel", Id="one-too-many")
    for i in range(9):
        r.call("CreateOriginEndpoint", Id=f"more-{i}", ChannelId="cam-2", MssPackage={})
    r.refuse("TooManyRequestsException", "CreateOriginEndpoint", Id="one-too-many", ChannelId="cam-2", MssPackage={})


def walk(r):
    walk_channels(r)
    walk_endpoints(r)
    walk_jobs(r)
    walk_tags(r)
    walk_quotas(r)
    assert {c[0] for c in r.calls} == set(MODEL.operation_names), "every operation"
