"""Every operation of MediaPackage through boto3, the AWS CLI and the JS SDK, and the record of each call, field by field."""
import json
import os
import re
import subprocess
import sys

import botocore.exceptions
import pytest
from botocore import xform_name

from harness import ACCOUNT, REGION, clean_environment, request_id, wait_for
from model import Caller, check_parsed
from packager import MODEL, Recorder, Refused, expected_record, job, secrets_of, walk

FOLDER = os.path.dirname(os.path.abspath(__file__))
NODE = os.environ.get("WAYMARK_TEST_NODE")


class Boto3:
    agent = "Boto3/"

    def __init__(self, server):
        self.caller = Caller(server.client())
        self.request_ids = []

    def call(self, operation, members):
        try:
            answer = self.caller.call(operation, **members)  # checked against the model
        except botocore.exceptions.ClientError as e:
            self.request_ids.append(request_id(e.response))
            raise Refused(e.response["Error"]["Code"], e.response["ResponseMetadata"]["HTTPStatusCode"],
                          e.response["Error"]["Message"]) from e
        self.request_ids.append(request_id(answer))
        wanted = {"TagResource": 204, "UntagResource": 204, "DeleteChannel": 202, "DeleteOriginEndpoint": 202}
        assert answer.pop("ResponseMetadata")["HTTPStatusCode"] == wanted.get(operation, 200)
        return answer

    def close(self):
        pass


class Lines:
    """A program that answers a line with a line."""

    def __init__(self, command, environment):
        self.process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, question):
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(60) == 0
        self.process.stdout.close()


class Cli:
    agent = "aws-cli/"
    request_ids = None  # the CLI does not show them

    def __init__(self, server):
        self.server = server
        self.lines = Lines([sys.executable, os.path.join(FOLDER, "client_cli.py")], clean_environment(
            AWS_SHARED_CREDENTIALS_FILE=os.path.join(server.data, "credentials"), AWS_PROFILE="waymark",
            AWS_MAX_ATTEMPTS="1", AWS_DEFAULT_OUTPUT="json"))

    def call(self, operation, members):
        more = ["--no-paginate"] if operation.startswith("List") else []
        status, out, err = self.lines.ask(
            ["--region", REGION, "--endpoint-url", self.server.endpoint, "mediapackage", xform_name(operation, "-"),
             "--cli-input-json", json.dumps(members), *more])
        if status:
            found = re.search(r"An error occurred \((\w+)\) when calling the \w+ operation"
                              r"(?: \(reached max retries: 0\))?: (.*)", err)
            assert found, err
            raise Refused(found.group(1), None, found.group(2))
        answer = json.loads(out) if out.strip() else {}
        if MODEL.operation_model(operation).output_shape:
            check_parsed(MODEL.operation_model(operation).output_shape, answer, operation)
        return answer

    def close(self):
        self.lines.close()


class Js:
    agent = "aws-sdk-js/3."

    def __init__(self, server):
        key_id, secret = server.credentials
        self.request_ids = []
        self.lines = Lines([NODE, os.path.join(FOLDER, "client.js")], clean_environment(
            NODE_PATH=os.path.join(os.path.dirname(NODE), "..", "node_modules"), ENDPOINT=server.endpoint, REGION=REGION,
            KEY_ID=key_id, SECRET=secret))

    def call(self, operation, members):
        got = self.lines.ask({"operation": operation, "members": members})
        self.request_ids.append(got["requestId"])
        if "code" in got:
            modelled = {e.name for e in MODEL.operation_model(operation).error_shapes}
            assert got["modelled"] or got["code"] not in modelled, got
            raise Refused(got["code"], got["status"], got["message"])
        if MODEL.operation_model(operation).output_shape:
            check_parsed(MODEL.operation_model(operation).output_shape, got["answer"], operation)
        return got["answer"]

    def close(self):
        self.lines.close()


CLIENTS = [Boto3, Cli, pytest.param(Js, marks=pytest.mark.skipif(not NODE, reason="WAYMARK_TEST_NODE"))]


@pytest.mark.parametrize("client", CLIENTS)
def test_every_operation_and_its_record(start_server, client):
    server = start_server()
    driver = client(server)
    r = Recorder(driver)
    walk(r)
    driver.close()
    wait_for(lambda: len(server.store.request_ids()) >= len(r.calls), "every record")
    records = [record for _, record in server.store.records()]
    assert len(records) == len(r.calls)
    if driver.request_ids is not None:
        assert [record["requestID"] for record in records] == driver.request_ids
    for call, record in zip(r.calls, records):
        want = expected_record(*call)
        assert {k: record.get(k) for k in want} == want
        assert record["userIdentity"]["type"] == "Root" and record["recipientAccountId"] == ACCOUNT
        assert record["apiVersion"] == "2017-10-12" and record["awsRegion"] == REGION
        assert driver.agent.lower() in record["userAgent"].lower()

    secrets = secrets_of(r.calls)
    assert len(secrets) >= 4 * 30
    server.stop()
    for folder, _, files in os.walk(server.folder):
        for name in files:
            with open(os.path.join(folder, name), "rb") as f:
                content = f.read().replace(b"\0", b"")  # most of a journal's segment is still empty
            assert not any(s.encode() in content for s in secrets), name
    for key in server.store.log_keys():
        content = server.store.content(key)
        assert not any(s.encode() in content for s in secrets), key


def test_harvest_jobs_end_and_only_ten_run(start_server):
    driver = Boto3(start_server())
    r = Recorder(driver)
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
    r = Recorder(Boto3(server))
    r.call("CreateChannel", Id="cam", Tags={"a": "b"})
    r.call("ConfigureLogs", Id="cam", EgressAccessLogs={})
    channel = r.call("RotateChannelCredentials", Id="cam")
    endpoint = r.call("CreateOriginEndpoint", Id="cmaf", ChannelId="cam", CmafPackage={"HlsManifests": [{"Id": "m"}]})
    hls = r.call("CreateOriginEndpoint", Id="hls", ChannelId="cam", StartoverWindowSeconds=86400, HlsPackage={})
    made = r.call("CreateHarvestJob", **job("job", "hls"))
    r.call("TagResource", ResourceArn=made["Arn"], Tags={"k": "v"})
    server.restart()
    r = Recorder(Boto3(server))
    assert r.call("DescribeChannel", Id="cam") == channel
    assert r.call("ListOriginEndpoints", ChannelId="cam")["OriginEndpoints"] == [endpoint, hls]
    assert {**r.call("DescribeHarvestJob", Id="job"), "Status": ""} == {**made, "Status": ""}
    assert r.call("ListTagsForResource", ResourceArn=made["Arn"])["Tags"] == {"k": "v"}
    r.refuse("UnprocessableEntityException", "DeleteChannel", Id="cam")
