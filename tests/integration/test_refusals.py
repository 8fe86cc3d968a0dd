"""What is refused is recorded too: with its error code, and with the caller as unproven as it was."""
import time

import pytest

from harness import ACCOUNT, PATIENCE, REGION

TARGET = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101."
JSON = {"Content-Type": "application/x-amz-json-1.1"}


def rest_bad_signature(s):
    headers = s.signed("GET", "/channels")
    signature = headers["Authorization"][-1]
    headers["Authorization"] = headers["Authorization"][:-1] + ("0" if signature != "0" else "1")
    return s.send("GET", "/channels", headers=headers)


def rest_wrong_secret(s):
    return s.call("GET", "/channels", secret="not-the-secret")


def rest_unknown_key(s):
    return s.call("GET", "/channels", key_id="AKIAUNKNOWNUNKNOWN22", secret="x")


def rest_changed_body(s):
    headers = s.signed("POST", "/channels", b'{"id":"signed"}', headers={"Content-Type": "application/json"})
    return s.send("POST", "/channels", b'{"id":"other!"}', headers)


def rest_changed_path(s):
    return s.send("DELETE", "/channels/other", headers=s.signed("DELETE", "/channels/signed"))


def rest_expired(s):
    return s.call("GET", "/channels", when=time.time() - 3600)


def rest_future(s):
    return s.call("GET", "/channels", when=time.time() + 3600)


def rest_unsigned(s):
    return s.send("GET", "/channels")


def rest_half_signed(s):
    return s.send("GET", "/channels", headers={"Authorization": "AWS4-HMAC-SHA256 Credential=AKIA/20260101"})


def rest_wrong_region(s):
    return s.call("GET", "/channels", region="eu-west-1")


def rest_wrong_service(s):
    return s.call("GET", "/channels", service="s3")


def rest_unknown_operation(s):
    return s.call("GET", "/nonsense/x")


def rest_malformed(s):
    return s.call("POST", "/channels", b'{"id":"x"')


def rest_not_an_object(s):
    return s.call("POST", "/channels", b'["id"]')


def rest_duplicate_key(s):
    return s.call("POST", "/channels", b'{"id":"a","id":"b"}')


def rest_deep(s):
    return s.call("POST", "/channels", b'{"id":"a","tags":' + b'{"a":' * 40 + b"1" + b"}" * 41)


def rest_missing_member(s):
    return s.call("POST", "/channels", b'{"description":"no id"}')


def rest_wrong_type(s):
    return s.call("POST", "/channels", b'{"id":"typed","description":7}')


def rest_out_of_range(s):
    return s.call("GET", "/channels?maxResults=1001")


def rest_body_too_large(s):
    return s.call("POST", "/channels", b'{"id":"big","description":"' + b"x" * 20000 + b'"}')


def json_call(s, operation, body, **how):
    headers = {**JSON, "X-Amz-Target": TARGET + operation}
    signed = s.signed("POST", "/", body, service="cloudtrail", headers=headers, **how)
    return s.send("POST", "/", body, signed)


def query_call(s, body, **how):
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    return s.send("POST", "/", body, s.signed("POST", "/", body, service="sts", headers=headers, **how))


MP = "mediapackage.amazonaws.com"
CT = "cloudtrail.amazonaws.com"
STS = "sts.amazonaws.com"

# name, call, HTTP status, error code, event source, event name, caller proven?
REFUSALS = [
    ("bad signature", rest_bad_signature, 403, "InvalidSignatureException", MP, "ListChannels", False),
    ("wrong secret", rest_wrong_secret, 403, "InvalidSignatureException", MP, "ListChannels", False),
    ("unknown key", rest_unknown_key, 403, "UnrecognizedClientException", MP, "ListChannels", False),
    ("changed body", rest_changed_body, 403, "InvalidSignatureException", MP, "CreateChannel", False),
    ("changed path", rest_changed_path, 403, "InvalidSignatureException", MP, "DeleteChannel", False),
    ("expired date", rest_expired, 403, "InvalidSignatureException", MP, "ListChannels", False),
    ("date in the future", rest_future, 403, "InvalidSignatureException", MP, "ListChannels", False),
    ("no signature", rest_unsigned, 403, "MissingAuthenticationTokenException", MP, "ListChannels", False),
    ("half a signature", rest_half_signed, 403, "IncompleteSignatureException", MP, "ListChannels", False),
    ("wrong region", rest_wrong_region, 403, "InvalidSignatureException", MP, "ListChannels", False),
    ("wrong service", rest_wrong_service, 403, "InvalidSignatureException", MP, "ListChannels", False),
    ("unknown operation", rest_unknown_operation, 404, "UnknownOperationException", None, None, True),
    ("malformed JSON", rest_malformed, 400, "SerializationException", MP, "CreateChannel", True),
    ("not an object", rest_not_an_object, 400, "SerializationException", MP, "CreateChannel", True),
    ("a key twice", rest_duplicate_key, 400, "SerializationException", MP, "CreateChannel", True),
    ("too deep", rest_deep, 400, "SerializationException", MP, "CreateChannel", True),
    ("missing member", rest_missing_member, 422, "UnprocessableEntityException", MP, "CreateChannel", True),
    ("wrong type", rest_wrong_type, 422, "UnprocessableEntityException", MP, "CreateChannel", True),
    ("out of range", rest_out_of_range, 422, "UnprocessableEntityException", MP, "ListChannels", True),
    ("body too large", rest_body_too_large, 413, "RequestEntityTooLargeException", MP, "CreateChannel", False),
    ("json: bad signature", lambda s: json_call(s, "GetTrail", b'{"Name":"demo"}', secret="x"), 403,
     "InvalidSignatureException", CT, "GetTrail", False),
    ("json: unknown key", lambda s: json_call(s, "GetTrail", b'{"Name":"demo"}', key_id="AKIAUNKNOWNUNKNOWN22"), 403,
     "UnrecognizedClientException", CT, "GetTrail", False),
    ("json: unknown operation", lambda s: json_call(s, "MakeCoffee", b"{}"), 404, "UnknownOperationException", CT,
     "MakeCoffee", True),
    ("json: malformed", lambda s: json_call(s, "GetTrail", b"{Name:1}"), 400, "SerializationException", CT, "GetTrail",
     True),
    ("json: modelled error", lambda s: json_call(s, "GetTrail", b'{"Name":"nobody"}'), 400, "TrailNotFoundException", CT,
     "GetTrail", True),
    ("query: bad signature", lambda s: query_call(s, b"Action=GetCallerIdentity&Version=2011-06-15", secret="x"), 403,
     "SignatureDoesNotMatch", STS, "GetCallerIdentity", False),
    ("query: unknown key",
     lambda s: query_call(s, b"Action=GetCallerIdentity&Version=2011-06-15", key_id="AKIAUNKNOWNUNKNOWN22"), 403,
     "InvalidClientTokenId", STS, "GetCallerIdentity", False),
    ("query: unknown operation", lambda s: query_call(s, b"Action=MakeCoffee&Version=2011-06-15"), 400, "InvalidAction",
     STS, "MakeCoffee", True),
]


@pytest.fixture(scope="module")
def refusals(tmp_path_factory):
    """All refusals, sent once to one daemon; {name: (reply, record)}."""
    from conftest import FAST
    from harness import Folder, Server
    import os

    server = Server(tmp_path_factory.mktemp("refusals"))
    server.settings = {"account_id": ACCOUNT, "log_level": "info", "http": {"max_body_bytes": "16KiB"},
                       "trails": [{"name": "demo", **FAST}]}
    server.start()
    try:
        store = Folder(os.path.join(server.data, "bucket"))
        before = time.time()
        replies = {name: call(server) for name, call, *_ in REFUSALS}
        ids = [r.request_id for r in replies.values()]
        assert None not in ids and len(set(ids)) == len(ids)
        store.wait_for_ids(ids, PATIENCE)
        # Nothing of what was refused has taken effect.
        assert server.client().list_channels()["Channels"] == []
        yield {name: (reply, store.find(reply.request_id)) for name, reply in replies.items()}, server, before
    finally:
        server.close()


@pytest.mark.parametrize("name,status,code,source,event,proven", [(r[0], *r[2:]) for r in REFUSALS],
                         ids=[r[0].replace(" ", "_") for r in REFUSALS])
def test_a_refusal_is_answered_and_recorded(refusals, name, status, code, source, event, proven):
    replies, server, before = refusals
    reply, record = replies[name]
    assert reply.status == status, reply.body
    text = reply.body.decode()
    assert code in reply.headers.get("x-amzn-errortype", "") + text
    assert record["errorCode"] == code and record["errorMessage"]
    assert record["responseElements"] is None
    assert record["awsRegion"] == REGION and record["sourceIPAddress"] == "127.0.0.1"
    assert before - 1 <= time.mktime(time.strptime(record["eventTime"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
    if source:
        assert (record["eventSource"], record["eventName"]) == (source, event)
    key_id, secret = server.credentials
    identity = record["userIdentity"]
    if proven:
        assert identity["type"] == "Root" and identity["accessKeyId"] == key_id
    else:
        assert identity["type"] != "Root" and "arn" not in identity
    if "unknown key" in name:
        assert identity["accessKeyId"] == "AKIAUNKNOWNUNKNOWN22"
    assert secret not in str(record)


def test_what_was_asked_for_is_in_the_record_of_a_refusal(refusals):
    replies, _, _ = refusals
    assert replies["missing member"][1]["requestParameters"] == {"description": "no id"}
    assert replies["wrong type"][1]["requestParameters"]["id"] == "typed"
    assert replies["json: modelled error"][1]["requestParameters"] == {"name": "nobody"}
    asked = replies["unknown operation"][1]["additionalEventData"]
    assert (asked["httpMethod"], asked["path"]) == ("GET", "/nonsense/x")


def test_a_refused_caller_is_told_in_its_own_protocol(refusals):
    replies, _, _ = refusals
    rest, _ = replies["bad signature"]
    assert rest.headers["content-type"] == "application/json"
    assert rest.headers["x-amzn-errortype"].startswith("InvalidSignatureException")
    assert rest.json().get("message")
    json_reply, _ = replies["json: unknown operation"]
    assert json_reply.json()["__type"].endswith("UnknownOperationException")
    assert json_reply.json().get("message") or json_reply.json().get("Message")
    query, _ = replies["query: bad signature"]
    assert query.headers["content-type"].startswith("text/xml")
    assert b"<Code>SignatureDoesNotMatch</Code>" in query.body and query.request_id.encode() in query.body
