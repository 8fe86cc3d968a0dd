"""Every operation of MediaPackage through boto3, the AWS CLI and the JS SDK, and the record of each call, field by field."""
import pytest

from clients import CLIENTS, Boto3, Recorder, check_records, find_secrets
from harness import wait_for
from packager import STATUSES, expected_record, job, secrets_of, walk

@pytest.mark.parametrize("client", CLIENTS)
def test_every_operation_and_its_record(start_server, client):
    server = start_server()
    driver = client(server, "mediapackage")
    r = Recorder(driver, STATUSES)
    walk(r)
    driver.close()
    check_records(driver, r, 0, expected_record, "2017-10-12")

    secrets = secrets_of(r.calls)
    assert len(secrets) >= 4 * 30
    server.stop()
    assert find_secrets(server, secrets) == []


def test_harvest_jobs_end_and_only_ten_run(start_server):
    r = Recorder(Boto3(start_server(), "mediapackage"), STATUSES)
    r.call("CreateChannel", Id="cam")
    r.call("CreateOriginEndpoint", Id="hls", ChannelId="cam", StartoverWindowSeconds=86400, HlsPackage={})
    for i in range(10):
        r.call("CreateHarvestJob", **job(f"job-{i}", "hls"))
    r.refuse("TooManyRequestsException", "CreateHarvestJob", **job("one-too-many", "hls"))

    def ended():
        jobs = r.call("ListHarvestJobs", IncludeStatus="FAILED")["HarvestJobs"]
        return len(jobs) == 10

    wait_for(ended, "the jobs to end")
    assert r.call("ListHarvestJobs", IncludeStatus="IN_PROGRESS")["HarvestJobs"] == []
    r.call("CreateHarvestJob", **job("next", "hls"))


def test_resources_survive_a_restart(start_server):
    server = start_server()
    r = Recorder(Boto3(server, "mediapackage"), STATUSES)
    r.call("CreateChannel", Id="cam", Tags={"a": "b"})
    r.call("ConfigureLogs", Id="cam", EgressAccessLogs={})
    channel = r.call("RotateChannelCredentials", Id="cam")
    endpoint = r.call("CreateOriginEndpoint", Id="cmaf", ChannelId="cam", CmafPackage={"HlsManifests": [{"Id": "m"}]})
    hls = r.call("CreateOriginEndpoint", Id="hls", ChannelId="cam", StartoverWindowSeconds=86400, HlsPackage={})
    made = r.call("CreateHarvestJob", **job("job", "hls"))
    r.call("TagResource", ResourceArn=made["Arn"], Tags={"k": "v"})
    server.restart()
    r = Recorder(Boto3(server, "mediapackage"), STATUSES)
    assert r.call("DescribeChannel", Id="cam") == channel
    assert r.call("ListOriginEndpoints", ChannelId="cam")["OriginEndpoints"] == [endpoint, hls]
    assert {**r.call("DescribeHarvestJob", Id="job"), "Status": ""} == {**made, "Status": ""}
    assert r.call("ListTagsForResource", ResourceArn=made["Arn"])["Tags"] == {"k": "v"}
    r.refuse("UnprocessableEntityException", "DeleteChannel", Id="cam")
