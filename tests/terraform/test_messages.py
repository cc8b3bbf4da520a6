"""Messages of both protocol versions, held to the numbers of terraform-plugin-go and to recorded bytes."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.unknown_fields import UnknownFieldSet

from ferrule.terraform import cty
from ferrule.terraform.cty import NUMBER, STRING, Attribute, List
from ferrule.terraform.diagnostics import Diagnostic, Severity
from ferrule.terraform.errors import InvalidResponseError, UnsupportedError
from ferrule.terraform.messages import Protocol, diagnostics, dynamic_value
from ferrule.terraform.messages.protocol import NAMES_OF_PROTOCOL_5
from peers import ROOT
from terraform.recordings import ORACLE, SCHEMAS, Exchange, exchanges, schema

VERSIONS = pytest.mark.parametrize("version", [5, 6])
PROTOCOL = Protocol.of(6)

FACTS = json.loads(gzip.decompress((ORACLE / "tfplugin.json.gz").read_bytes()))
"""By version: messages with number, type and oneof of each field, enumerations, and methods."""

KINDS = {3: "int64", 8: "bool", 9: "string", 11: "message", 12: "bytes", 14: "enum"}
NAMES_OF_PROTOCOL_6 = {old: new for new, old in NAMES_OF_PROTOCOL_5.items()}


def relative(full_name: str) -> str:
    return full_name.partition(".")[2] if full_name.startswith("tfplugin") else full_name


def described(field: Any) -> list[Any]:
    """A field as the facts have it."""
    kind = field.message_type or field.enum_type
    words = [KINDS[field.type], *([relative(kind.full_name)] if kind else [])]
    oneof = field.containing_oneof
    if oneof and oneof.name == f"_{field.name}":
        return [field.number, " ".join(["optional", *words])]
    repeated = field.has_default_value is False and field.default_value == []
    return [field.number, " ".join([*(["repeated"] if repeated else []), *words]), *([oneof.name] if oneof else [])]


@VERSIONS
def test_messages_have_the_fields_of_the_protocol(version: int) -> None:
    for name, fields in FACTS[str(version)]["messages"].items():
        if name.endswith("Entry"):
            continue  # Maps make them.
        found = {field.name: described(field) for field in Protocol.of(version).message(name).DESCRIPTOR.fields}
        assert found == fields, name


@VERSIONS
def test_enumerations_have_the_values_of_the_protocol(version: int) -> None:
    file = Protocol.of(version).service.file
    for name, numbers in FACTS[str(version)]["enums"].items():
        outer, _, own = name.rpartition(".")
        scope = Protocol.of(version).message(outer).DESCRIPTOR if outer else file
        assert {value.name: value.number for value in scope.enum_types_by_name[own].values} == numbers


@VERSIONS
def test_methods_are_those_of_the_protocol(version: int) -> None:
    found = {
        f"{service.name}.{method.name}": [
            relative(method.input_type.full_name),
            relative(method.output_type.full_name),
            method.client_streaming,
            method.server_streaming,
        ]
        for service in Protocol.of(version).service.file.services_by_name.values()
        for method in service.methods
    }
    assert found == FACTS[str(version)]["methods"]


def given(kind: Any, notation: Any) -> Any:
    """A message of a recording as `Protocol.request` takes it."""
    if isinstance(notation, list):
        return [given(kind, each) for each in notation]
    if not isinstance(notation, dict):
        return notation
    if relative(kind.full_name) == "DynamicValue":
        return {} if "absent" in notation else bytes.fromhex(notation["msgpack"])
    fields = {}
    for name, value in notation.items():
        field = kind.fields_by_name[name]
        is_bytes = field.type == field.TYPE_BYTES
        fields[name] = value.encode() if is_bytes else given(field.message_type, value)
    return fields


@pytest.mark.parametrize("name", ["opentofu-5", "opentofu-6", "terraform-6"])
def test_recorded_calls_have_the_same_bytes(name: str) -> None:
    calls = list(exchanges(name))
    assert len(calls) > 100
    for call in calls:
        assert rebuilt(call) == (call.request_bytes, call.response_bytes), call


def rebuilt(call: Exchange) -> tuple[bytes, bytes]:
    """The bytes of a request made of its fields, and of a response that was read."""
    protocol = Protocol.of(call.protocol)
    method = NAMES_OF_PROTOCOL_6.get(call.method, call.method)
    request = given(protocol.service.methods_by_name[call.method].input_type, call.request)
    response = protocol.parse_response(method, call.response_bytes)
    assert list(unknown_fields(response)) == []
    return protocol.request(method, **request), response.SerializeToString()


def unknown_fields(message: Any) -> Iterator[str]:
    """Numbers of fields that are in no description, at any depth, with the message that has them."""
    unknown: Any = UnknownFieldSet(message)
    for field in unknown:
        yield f"{message.DESCRIPTOR.full_name}#{field.field_number}"
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            inner = value.values() if field.message_type.fields_by_name["value"].message_type else []
        else:
            inner = [value] if hasattr(value, "ListFields") else value
        for each in inner:
            yield from unknown_fields(each)


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas_of_providers_have_no_unknown_fields(name: str) -> None:
    raw = schema(name)["raw"]
    protocol = Protocol.of(raw.pop("protocol"))
    answers = {method: answer for method, answer in raw.items() if isinstance(answer, str)}
    assert NAMES_OF_PROTOCOL_5["GetProviderSchema"] in answers or "GetProviderSchema" in answers
    for method, answer in answers.items():
        response = protocol.parse_response(NAMES_OF_PROTOCOL_6.get(method, method), bytes.fromhex(answer))
        assert list(unknown_fields(response)) == [], method
        assert len(response.SerializeToString()) == len(answer) // 2


@VERSIONS
def test_methods_go_by_their_names_in_protocol_6(version: int) -> None:
    protocol = Protocol.of(version)
    for method in ("GetProviderSchema", "ConfigureProvider", "StopProvider", "ReadResource"):
        assert protocol.has(method)
        name = NAMES_OF_PROTOCOL_5.get(method, method) if version == 5 else method
        assert protocol.path(method) == f"/tfplugin{version}.Provider/{name}"
    assert protocol.has("ReadStateBytes") is (version == 6)


@pytest.mark.parametrize("method", ["ReadStateBytes", "Nonsense", ""])
def test_method_that_the_protocol_has_not_got(method: str) -> None:
    assert not Protocol.of(5).has(method)
    with pytest.raises(UnsupportedError, match=f"Protocol 5 has no method {method}"):
        Protocol.of(5).path(method)


def test_version_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match="versions 5 and 6, got 7"):
        Protocol.of(7)


def test_none_is_an_absent_field() -> None:
    absent = PROTOCOL.request("OpenEphemeralResource", type_name="a", config=None, client_capabilities=None)
    assert absent == PROTOCOL.request("OpenEphemeralResource", type_name="a")
    renewal = PROTOCOL.message("RenewEphemeralResource.Request").FromString
    assert not renewal(PROTOCOL.request("RenewEphemeralResource", private=None)).HasField("private")
    assert renewal(PROTOCOL.request("RenewEphemeralResource", private=b"")).HasField("private")


def test_maps_have_any_keys() -> None:
    flatmap = {"value": "a", "key": "b", "msgpack": "c", "": "d"}
    data = PROTOCOL.request("UpgradeResourceState", raw_state={"flatmap": flatmap})
    assert dict(PROTOCOL.message("UpgradeResourceState.Request").FromString(data).raw_state.flatmap) == flatmap


def test_field_that_a_request_has_not_got() -> None:
    with pytest.raises(ValueError, match="colour"):
        PROTOCOL.request("ReadResource", colour="red")


def test_answer_that_is_no_message() -> None:
    with pytest.raises(InvalidResponseError, match="answer to ReadResource is no message of protocol 6"):
        PROTOCOL.parse_response("ReadResource", b"\xff\xff\xff")


def test_unknown_fields_survive() -> None:
    # Number 2000 with text, in the message and in one inside.
    unknown = b"\x82\x7d\x03new"
    data = b"\x0a" + bytes([len(unknown)]) + unknown + unknown
    response = PROTOCOL.parse_response("ReadResource", data)
    assert sorted(unknown_fields(response)) == [
        "tfplugin6.DynamicValue#2000",
        "tfplugin6.ReadResource.Response#2000",
    ]
    assert response.SerializeToString() == data


def test_diagnostics() -> None:
    kind = PROTOCOL.message("ReadResource.Response")
    steps = [{"attribute_name": "a"}, {"element_key_int": 0}, {"attribute_name": "b"}, {"element_key_string": "x"}]
    response = kind(
        diagnostics=[
            {"severity": "WARNING", "summary": "old", "attribute": {"steps": steps}},
            {"severity": "ERROR", "summary": "broken", "detail": "more", "attribute": {}},
            {"summary": "of no severity"},
        ]
    )
    assert diagnostics(response) == (
        Diagnostic(Severity.WARNING, "old", "", (Attribute("a"), 0, Attribute("b"), "x")),
        Diagnostic(Severity.ERROR, "broken", "more", ()),
        Diagnostic(Severity.ERROR, "of no severity"),
    )
    assert str(diagnostics(response)[0]) == 'a[0].b["x"]: old'


def test_diagnostics_of_an_event_and_of_what_has_none() -> None:
    event = PROTOCOL.message("ListResource.Event")(diagnostic=[{"severity": "ERROR", "summary": "gone"}])
    assert diagnostics(event) == (Diagnostic(Severity.ERROR, "gone"),)
    assert diagnostics(PROTOCOL.message("CallFunction.Response")(error={"text": "no"})) == ()


@pytest.mark.parametrize(
    ("fields", "value"),
    [
        ({"msgpack": cty.encode(["1"], List(STRING)), "json": b'["2"]'}, ["1"]),
        ({"json": b'["2"]'}, ["2"]),
        ({}, None),
    ],
)
def test_dynamic_value(fields: dict[str, bytes], value: Any) -> None:
    assert dynamic_value(PROTOCOL.message("DynamicValue")(**fields), List(STRING)) == value


def test_dynamic_value_of_another_type() -> None:
    with pytest.raises(cty.CtyError, match="number"):
        dynamic_value(PROTOCOL.message("DynamicValue")(json=b'"a"'), NUMBER)


USE = """
from ferrule.terraform.messages import Protocol
assert Protocol.of(6).message("Schema.Block")(version=1).SerializeToString() == b"\\x08\\x01"
assert Protocol.of(5).message("Schema.Block")(version=1).SerializeToString() == b"\\x08\\x01"
"""
STUBS = """
import tfplugin6_pb2
block = tfplugin6_pb2.Schema.Block(description="theirs")
assert block.SerializeToString() == b"\\x22\\x06theirs"
"""
CLOCK = """
from google.protobuf.timestamp_pb2 import Timestamp
assert Timestamp(seconds=1).ToDatetime().year == 1970
"""


@pytest.mark.parametrize("parts", [(STUBS, CLOCK, USE), (USE, STUBS, CLOCK)], ids=["stubs first", "stubs last"])
def test_stubs_of_the_same_protocol_do_not_clash(parts: tuple[str, ...]) -> None:
    run(*parts)


def test_protobuf_in_python() -> None:
    run(CLOCK, USE, PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION="python")


def test_import_loads_nothing_of_protobuf() -> None:
    program = "import sys, ferrule.terraform.messages\nassert not any('protobuf' in name for name in sys.modules)"
    run(program, "assert repr(ferrule.terraform.messages.Protocol.of(5)) == 'Protocol.of(5)'")


def run(*parts: str, **environment: str) -> None:
    """Runs a program in a process of its own, with the stubs of the examples at hand."""
    command = [sys.executable, "-W", "error", "-c", "\n".join(parts)]
    subprocess.run(command, check=True, env={"PYTHONPATH": str(ROOT / "examples"), **environment})
