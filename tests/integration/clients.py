"""The real clients behind one face: boto3, both AWS CLIs, the JS SDK.

A driver has call(operation, members) -> the answer as boto3 gives it, without metadata, and raises Refused. A Recorder
around it notes what was asked and answered, to be held against the records in the trail.
"""
import base64
import copy
import datetime
import json
import os
import re
import subprocess
import sys

import botocore.exceptions
import botocore.session
import pytest
from botocore import xform_name

from harness import ACCOUNT, REGION, clean_environment, request_id, wait_for
from model import Caller, check_parsed

FOLDER = os.path.dirname(os.path.abspath(__file__))
NODE = os.environ.get("WAYMARK_TEST_NODE")
DEBIAN_CLI = "/usr/bin/aws"  # package awscli
SESSION = botocore.session.get_session()


class Refused(Exception):
    def __init__(self, code, status, message, request_id=None):
        super().__init__(f"{code} {status}: {message}")
        self.code, self.status, self.message, self.request_id = code, status, message, request_id


def error_codes(model):
    """By the name that SDKs have for an error, the code on the wire and its status."""
    found = {}
    for operation in model.operation_names:
        for shape in model.operation_model(operation).error_shapes:
            error = shape.metadata.get("error", {})
            found[shape.name] = error.get("code", shape.name), error.get("httpStatusCode")
    return found


class Recorder:
    """statuses: of codes that the model gives none."""

    def __init__(self, driver, statuses):
        self.driver = driver
        self.statuses = {**dict(error_codes(driver.model).values()), **statuses}
        self.calls = []  # (operation, members, answer or None, Refused or None)

    def call(self, operation, **members):
        answer = self.driver.call(operation, members)
        self.calls.append((operation, members, copy.deepcopy(answer), None))
        return answer

    def refuse(self, code, operation, **members):
        status = self.statuses[code]
        try:
            answer = self.driver.call(operation, members)
        except Refused as refused:
            self.calls.append((operation, members, None, refused))
            assert refused.code == code, refused
            assert refused.status in (status, None) and refused.message, refused
            return refused.message
        raise AssertionError(f"{operation} {members} was answered {answer}")


def from_json(shape, value):
    """What a JavaScript or shell client wrote as text, in Python's types."""
    if shape.type_name == "structure":
        return {k: from_json(shape.members[k], v) for k, v in value.items()}
    if shape.type_name == "list":
        return [from_json(shape.member, v) for v in value]
    if shape.type_name == "timestamp" and isinstance(value, (int, float)):  # CLI 1 shows times as they were sent
        return datetime.datetime.fromtimestamp(value, datetime.timezone.utc)
    if shape.type_name == "timestamp":
        return datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
    if shape.type_name == "blob":
        return base64.b64decode(value, validate=True)
    return value


class Driver:
    request_ids = None  # the CLIs do not show them
    old = False  # its model lacks members that ours answers with

    def __init__(self, server, service, login=None):
        """login: as of Server.client()."""
        self.server, self.service = server, service
        self.model = SESSION.get_service_model(service)

    def checked(self, operation, answer):
        shape = self.model.operation_model(operation).output_shape
        if not shape:
            assert answer == {}, operation
            return answer
        answer = from_json(shape, answer)
        check_parsed(shape, answer, operation)
        return answer

    def close(self):
        pass


class Boto3(Driver):
    agent = "Boto3/"

    def __init__(self, server, service, login=None):
        super().__init__(server, service)
        self.caller = Caller(server.client(service, login))
        self.request_ids = []

    def call(self, operation, members):
        try:
            answer = self.caller.call(operation, **members)  # checked against the model
        except botocore.exceptions.ClientError as e:
            self.request_ids.append(request_id(e.response))
            raise Refused(e.response["Error"]["Code"], e.response["ResponseMetadata"]["HTTPStatusCode"],
                          e.response["Error"]["Message"]) from e
        self.request_ids.append(request_id(answer))
        wanted = {("mediapackage", "TagResource"): 204, ("mediapackage", "UntagResource"): 204,
                  ("mediapackage", "DeleteChannel"): 202, ("mediapackage", "DeleteOriginEndpoint"): 202}
        assert answer.pop("ResponseMetadata")["HTTPStatusCode"] == wanted.get((self.service, operation), 200)
        return answer


class Lines:
    """A program that answers a line with a line."""

    def __init__(self, command, environment):
        self.process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)

    def ask(self, question):
        self.process.stdin.write(json.dumps(question, default=lambda time: {"$time": time.isoformat()}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(60) == 0
        self.process.stdout.close()


class Cli(Driver):
    agent = "aws-cli/"
    python = sys.executable

    def __init__(self, server, service, login=None):
        super().__init__(server, service)
        who = {"AWS_SHARED_CREDENTIALS_FILE": os.path.join(server.data, "credentials"), "AWS_PROFILE": "waymark"}
        if login:
            names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
            who = {name: value for name, value in zip(names, login) if value}
        self.lines = Lines([self.python, os.path.join(FOLDER, "client_cli.py")], clean_environment(
            **who, AWS_MAX_ATTEMPTS="1", AWS_DEFAULT_OUTPUT="json"))

    def call(self, operation, members):
        more = ["--no-paginate"] if operation.startswith(("List", "GetGroup", "GetAccountAuth", "Simulate")) else []
        status, out, err = self.lines.ask(
            ["--region", REGION, "--endpoint-url", self.server.endpoint, self.service, xform_name(operation, "-"),
             "--cli-input-json", json.dumps(members, default=datetime.datetime.isoformat), *more])
        if status:
            found = re.search(r"An error occurred \((\w+)\) when calling the \w+ operation"
                              r"(?: \(reached max retries: 0\))?: (.*)", err)
            assert found, err
            raise Refused(found.group(1), None, found.group(2))
        return self.checked(operation, json.loads(out) if out.strip() else {})

    def close(self):
        self.lines.close()


class DebianCli(Cli):
    agent = "aws-cli/2.9.19"
    python = "/usr/bin/python3"
    old = True  # of what we have: it does not show CreatedAt of channels and endpoints, nor take ProvidedContexts


class Js(Driver):
    agent = "aws-sdk-js/3."

    def __init__(self, server, service, login=None):
        super().__init__(server, service)
        key_id, secret, token = (*(login or server.credentials), None)[:3]
        self.request_ids = []
        self.codes = error_codes(self.model)
        self.lines = Lines([NODE, os.path.join(FOLDER, "client.js")], clean_environment(
            NODE_PATH=os.path.join(os.path.dirname(NODE), "..", "node_modules"), ENDPOINT=server.endpoint,
            REGION=REGION, KEY_ID=key_id, SECRET=secret, TOKEN=token or "", SERVICE=service))

    def call(self, operation, members):
        got = self.lines.ask({"operation": operation, "members": members})
        self.request_ids.append(got["requestId"])
        if "code" in got:
            modelled = {e.name for e in self.model.operation_model(operation).error_shapes}
            assert got["modelled"] or got["code"] not in modelled, got
            raise Refused(self.codes.get(got["code"], (got["code"],))[0], got["status"], got["message"])
        return self.checked(operation, got["answer"])

    def close(self):
        self.lines.close()


CLIENTS = [Boto3, Cli,
           pytest.param(DebianCli, marks=pytest.mark.skipif(not os.path.exists(DEBIAN_CLI), reason="Debian's awscli")),
           pytest.param(Js, marks=pytest.mark.skipif(not NODE, reason="WAYMARK_TEST_NODE"))]


def covers(whole, part):
    """Is everything of part in whole? Of lists, element by element."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(k in whole and covers(whole[k], v) for k, v in part.items())
    if isinstance(part, list):
        return isinstance(whole, list) and len(whole) == len(part) and all(map(covers, whole, part))
    return whole == part


def check_record(driver, record, want):
    """The record has these fields, with these values; an old client may not have told all that was answered."""
    got = {k: record.get(k) for k in want}
    if driver.old and want["responseElements"] and covers(got["responseElements"], want["responseElements"]):
        got["responseElements"] = want["responseElements"]
    assert got == want


def check_records(driver, recorder, before, expected_record, api_version):
    """Behind the first `before` records of the server's trail there is one of each call, and none else."""
    store, calls = driver.server.store, recorder.calls
    wait_for(lambda: len(store.request_ids()) >= before + len(calls), "every record")
    records = [record for _, record in store.records()][before:]
    assert len(records) == len(calls)
    if driver.request_ids is not None:
        assert [record["requestID"] for record in records] == driver.request_ids
    for call, record in zip(calls, records):
        check_record(driver, record, expected_record(*call))
        assert record["userIdentity"]["type"] == "Root" and record["recipientAccountId"] == ACCOUNT
        assert record["apiVersion"] == api_version and record["awsRegion"] == REGION
        assert driver.agent.lower() in record["userAgent"].lower()


def find_secrets(server, secrets):
    """Files of the stopped server, and trail files, that one of the secrets is in."""
    found = []
    for folder, _, files in os.walk(server.folder):
        for name in files:
            with open(os.path.join(folder, name), "rb") as f:
                content = f.read().replace(b"\0", b"")  # most of a journal's segment is still empty
            if any(s.encode() in content for s in secrets):
                found.append(name)
    for key in server.store.log_keys():
        if any(s.encode() in server.store.content(key) for s in secrets):
            found.append(key)
    return found
