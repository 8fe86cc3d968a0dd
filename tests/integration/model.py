"""A client whose every answer is checked against botocore's own service model: members, required ones, types, names on
the wire; and the names on the wire of what callers write in the SDKs' way."""
import datetime
import json
import re
from xml.etree import ElementTree

import botocore.exceptions
import pytest
from botocore import xform_name

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
    elif shape.name == "policyDocumentType" and isinstance(value, dict):
        pass  # botocore decodes IAM's policies
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


XML_FORMS = {"integer": r"-?\d+", "long": r"-?\d+", "boolean": "true|false",
             "timestamp": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z"}


def check_xml(shape, element, at):
    """The same of the query protocol; and the form of each value, in which clients are more generous than AWS."""
    children = [(child.tag.partition("}")[2], child) for child in element]
    if shape.type_name == "structure":
        for name, child in children:
            assert name in shape.members, f"{at}.{name} is not in the model"
            check_xml(shape.members[name], child, f"{at}.{name}")
        assert len(dict(children)) == len(children), f"{at} has a member twice"
        assert set(shape.required_members) <= set(dict(children)), at
    elif shape.type_name == "list":
        for name, child in children:
            assert name == "member", f"{at} has {name}"
            check_xml(shape.member, child, f"{at}[]")
    elif shape.type_name == "map":
        for name, child in children:
            assert name == "entry" and [part.tag.partition("}")[2] for part in child] == ["key", "value"], at
            check_xml(shape.key, child[0], f"{at} key")
            check_xml(shape.value, child[1], f"{at}{{}}")
    else:
        assert not children and re.fullmatch(XML_FORMS.get(shape.type_name, "(?s).*"), element.text or ""), at
        values = getattr(shape, "enum", None)
        assert not values or element.text in values, f"{at} is {element.text}"


def check_query_body(model, operation, body):
    root = ElementTree.fromstring(body)
    space = f"{{{model.metadata['xmlNamespace']}}}"
    shape = model.operation_model(operation).output_shape
    wanted = [f"{operation}Result"] if shape else []
    assert [root.tag, *(e.tag for e in root)] == [
        space + name for name in (f"{operation}Response", *wanted, "ResponseMetadata")], operation
    if shape:
        check_xml(shape, root[0], operation)


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
        model = self.client.meta.service_model
        shape = model.operation_model(operation).output_shape
        if model.metadata["protocol"] == "query":
            check_query_body(model, operation, self.body)
        elif shape is None:
            assert self.body == b""
        if shape is None:
            assert set(answer) == {"ResponseMetadata"}, operation
            return answer
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
        errors = self.client.meta.service_model.operation_model(operation).error_shapes
        modelled = {e.metadata.get("error", {}).get("code", e.name) for e in errors}
        assert code in modelled or code in ("UnknownOperationException", "ValidationError", "InvalidAction")


def to_wire(shape, value):
    """As the SDKs' callers write it ({"Id": …}) to as the wire has it ({"id": …}), wherever it stands there."""
    if shape.type_name == "structure":
        return {shape.members[k].serialization.get("name", k): to_wire(shape.members[k], v) for k, v in value.items()}
    if shape.type_name == "list":
        return [to_wire(shape.member, v) for v in value]
    return value
