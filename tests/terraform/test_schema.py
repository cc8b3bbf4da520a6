"""Schemas decoded type by type: names, errors, and answers that are broken."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from ferrule.terraform import cty
from ferrule.terraform.cty import Attribute
from ferrule.terraform.errors import InvalidResponseError, UnknownTypeError
from ferrule.terraform.messages import Protocol
from ferrule.terraform.schema import Nesting, ProviderSchema, Schema
from ferrule.terraform.schema.nearest import nearest
from terraform.cty_strategies import ASKED
from terraform.large_schema import large_schema
from terraform.schema_oracle import answer, answers, recorded_schema

STRING = {"type": b'"string"'}


def response(version: int = 6, **fields: Any) -> bytes:
    """An answer to GetProviderSchema."""
    return answer(version, "GetProviderSchema", **fields)


def schema_of(version: int = 6, **fields: Any) -> ProviderSchema:
    return ProviderSchema.of(Protocol.of(version), response(version, **fields))


def block_of(*attributes: dict[str, Any], version: int = 6, **fields: Any) -> ProviderSchema:
    """A provider with one resource, `thing`."""
    block = {"attributes": attributes, **fields}
    return schema_of(version, resource_schemas={"thing": {"block": block}})


def test_types_are_decoded_when_they_are_asked_for() -> None:
    schema = schema_of(resource_schemas={"good": {"version": 3}, "broken": {"block": {"attributes": [{"name": "a"}]}}})
    assert set(schema.resources) == {"good", "broken"}
    assert schema.resources["good"].version == 3
    assert schema.resources["good"] is schema.resources["good"]
    with pytest.raises(InvalidResponseError):
        schema.resources["broken"]


def test_model_of_a_real_resource() -> None:
    schema = recorded_schema("openstack-3.4.0")
    resource = schema.resources["openstack_networking_network_v2"]
    region = resource.block.attributes["region"]
    assert (region.type, region.optional, region.computed, region.required) == (cty.STRING, True, True, False)
    assert resource.block.block_types["segments"].nesting is Nesting.SET
    assert schema.data_sources["openstack_networking_network_v2"] is not resource
    assert len(schema.resources) == 108
    assert schema.capabilities.get_provider_schema_optional
    assert not schema.capabilities.plan_destroy
    # Of SDK v2: an empty one, which core sends a null for.
    assert schema.provider_meta == Schema()
    assert recorded_schema("local-1.4.0").provider_meta is None


def test_nested_attributes_of_protocol_6() -> None:
    nested = recorded_schema("recording-6").resources["rec_attrs"].block.attributes
    found = {name: each.nested_type.nesting for name, each in nested.items() if each.nested_type}
    assert set(found.values()) == {Nesting.SINGLE, Nesting.LIST, Nesting.SET, Nesting.MAP}
    assert all(nested[name].type is None for name in found)


def test_functions_and_identities() -> None:
    schema = recorded_schema("recording-5")
    total = schema.functions["describe"]
    assert [each.name for each in total.parameters] == ["value"]
    assert total.parameters[0].allow_null
    assert total.return_type == cty.DYNAMIC
    assert schema.identities["rec_identity"].attributes["name"].required_for_import


def test_actions_and_list_resources() -> None:
    inner = {"version": 1, "block": {"attributes": [{"name": "a", **STRING}]}}
    schema = schema_of(action_schemas={"act": {"schema": inner}}, list_resource_schemas={"thing": inner})
    assert schema.actions["act"] == schema.list_resources["thing"]
    assert schema.actions["act"].block.attributes["a"].type == cty.STRING


def test_what_is_absent_is_empty() -> None:
    schema = ProviderSchema.of(Protocol.of(5), b"")
    assert not schema.resources
    assert not schema.capabilities.plan_destroy
    assert schema.diagnostics == schema.identity_diagnostics == ()
    with pytest.raises(InvalidResponseError, match="no schema of its configuration"):
        _ = schema.provider


def test_diagnostics_of_both_answers() -> None:
    warning = {"severity": 2, "summary": "old"}
    identity = answer(6, "GetResourceIdentitySchemas", diagnostics=[{"severity": 1, "summary": "no"}])
    schema = ProviderSchema.of(Protocol.of(6), response(diagnostics=[warning]), identity)
    assert [each.summary for each in schema.diagnostics] == ["old"]
    assert [each.summary for each in schema.identity_diagnostics] == ["no"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("openstack_compute_instance", 'Did you mean "openstack_compute_instance_v2"?'),
        ("openstack_networking_netwrok_v2", 'Did you mean "openstack_networking_network_v2"?'),
        ("aws_s3_bucket", "The provider has 108 others."),
    ],
)
def test_unknown_type_names_the_nearest(name: str, hint: str) -> None:
    resources = recorded_schema("openstack-3.4.0").resources
    with pytest.raises(UnknownTypeError) as caught:
        resources[name]
    assert caught.value.message == f'the provider has no resource "{name}"'
    assert caught.value.hint == hint
    assert name not in resources
    assert resources.get(name) is None


def test_unknown_type_of_a_small_provider() -> None:
    schema = schema_of(resource_schemas={"b": {}, "a": {}})
    with pytest.raises(UnknownTypeError, match="The provider has a, b"):
        schema.resources["something"]
    with pytest.raises(LookupError, match="The provider has no data sources"):
        schema.data_sources["a"]


def test_nearest_ignores_case_and_gives_up() -> None:
    names = [f"aws_service{number % 97}_thing_{number}" for number in range(1500)]
    assert nearest("AWS_Service3_thing_100x", names) == "aws_service3_thing_100"
    assert nearest("xyz", names) is None
    assert nearest("x", []) is None


BROKEN: dict[str, tuple[Callable[[], ProviderSchema], str, tuple[Any, ...]]] = {
    "no type": (lambda: block_of({"name": "a"}), "neither a type nor a nested type", (Attribute("a"),)),
    "both types": (
        lambda: block_of({"name": "a", **STRING, "nested_type": {"nesting": 1}}),
        "both a type and a nested type",
        (Attribute("a"),),
    ),
    "no JSON": (lambda: block_of({"name": "a", "type": b"string"}), "not JSON", (Attribute("a"),)),
    "no UTF-8": (lambda: block_of({"name": "a", "type": b'"\xff"'}), "no notation of a type", (Attribute("a"),)),
    "no such type": (lambda: block_of({"name": "a", "type": b'"text"'}), "no notation of a type", (Attribute("a"),)),
    "a type of the wrong kind": (
        lambda: block_of({"name": "a", "type": b'["list"]'}),
        "no notation of a type",
        (Attribute("a"),),
    ),
    "too deep a type": (
        lambda: block_of({"name": "a", "type": b'["list",' * 5000 + b'"string"' + b"]" * 5000}),
        "not JSON|levels",
        (Attribute("a"),),
    ),
    "attribute twice": (
        lambda: block_of({"name": "a", **STRING}, {"name": "a", **STRING}),
        "two attributes or blocks",
        (Attribute("a"),),
    ),
    "attribute and block": (
        lambda: block_of({"name": "a", **STRING}, block_types=[{"type_name": "a", "nesting": 2}]),
        "an attribute and a block",
        (Attribute("a"),),
    ),
    "no name": (lambda: block_of(STRING), "has no name", ()),
    "block without nesting": (
        lambda: block_of(block_types=[{"type_name": "b"}]),
        "unknown nesting mode 0",
        (Attribute("b"),),
    ),
    "nesting of the future": (
        lambda: block_of(block_types=[{"type_name": "b", "nesting": 9}]),
        "unknown nesting mode 9",
        (Attribute("b"),),
    ),
    "nested type as a group": (
        lambda: block_of({"name": "a", "nested_type": {"nesting": 5}}),
        "unknown nesting mode 5",
        (Attribute("a"),),
    ),
    "deep inside": (
        lambda: block_of(
            block_types=[
                {
                    "type_name": "b",
                    "nesting": 2,
                    "block": {
                        "attributes": [{"name": "n", "nested_type": {"nesting": 1, "attributes": [{"name": "x"}]}}]
                    },
                }
            ]
        ),
        "b.n.x: there is neither",
        (Attribute("b"), Attribute("n"), Attribute("x")),
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_schema_is_one_error_with_its_place(case: str) -> None:
    make, message, place = BROKEN[case]
    schema = make()
    with pytest.raises(InvalidResponseError, match=message) as caught:
        schema.resources["thing"]
    assert 'the schema of the resource "thing" is broken' in caught.value.message
    assert [each.path for each in caught.value.problems] == [place]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"return": {}}, "the result: there is neither"),
        ({"return": STRING, "parameters": [{"name": "p"}]}, 'parameter "p": there is neither'),
        ({"return": STRING, "variadic_parameter": {"name": "v", "type": b"["}}, 'parameter "v": the type is not JSON'),
    ],
)
def test_broken_function(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidResponseError, match=message):
        schema_of(functions={"f": fields}).functions["f"]


def test_broken_provider_and_identity() -> None:
    schema = schema_of(provider={"block": {"attributes": [{"name": "a"}]}}, provider_meta={"block": {}})
    assert schema.provider_meta is not None
    with pytest.raises(InvalidResponseError, match="provider's configuration is broken: a: there is"):
        _ = schema.provider
    broken = {"thing": {"identity_attributes": [{"name": "id"}]}}
    schema = ProviderSchema.of(Protocol.of(5), b"", answer(5, "GetResourceIdentitySchemas", identity_schemas=broken))
    with pytest.raises(InvalidResponseError, match='identity "thing" is broken: id: there is'):
        schema.identities["thing"]


def test_every_truncation_is_an_error_or_a_shorter_answer() -> None:
    protocol, data, _identity = answers("local-1.4.0")
    kinds: set[object] = set()
    for length in range(len(data)):
        try:
            schema = ProviderSchema.of(Protocol.of(protocol), data[:length])
            kinds.add(len(schema.resources))
        except InvalidResponseError as error:
            assert "the answer to GetProviderSchema is not a protobuf message" in error.message  # noqa: PT017
            kinds.add("refused")
    assert kinds == {0, 1, "refused"}


@pytest.mark.parametrize(
    "data",
    [
        b"\x12",  # a length is missing
        b"\x12\x05ab",  # the content ends early
        b"\x12\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",  # a length of 70 bits
        b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7f",  # a length of 63 bits
        b"\x12" + b"\xff" * (16 << 20) + b"\x01",  # a length of 16 MiB, which as a number would take hours
        b"\x12\x80\x80\x80\x08\x0a\x01a\x12" + b"\xff" * ((16 << 20) - 4),  # the same within an entry
        b"\x0f",  # no such kind
        b"\x12\x03\x0a\x01\xff",  # a name that is not UTF-8
        b"\x12\x02\x0a\x05",  # an entry that ends early
        b"\x0a\x02\xff\xff",  # the provider's schema is no message
        b"\x09\x01",  # eight bytes are wanted
    ],
)
def test_no_message(data: bytes) -> None:
    with pytest.raises(InvalidResponseError, match="the answer to GetProviderSchema is not a protobuf message"):
        ProviderSchema.of(Protocol.of(6), data)


def test_type_that_is_no_message() -> None:
    schema = ProviderSchema.of(Protocol.of(6), b"\x12\x08" + b"\x0a\x01a" + b"\x12\x03" + b"\x12\x05x")
    with pytest.raises(InvalidResponseError, match='the schema of the resource "a" is not a protobuf message'):
        schema.resources["a"]


def versions(data: bytes) -> dict[str, int]:
    """The resources' versions, which have to be those that protobuf reads."""
    message = Protocol.of(6).message("GetProviderSchema.Response").FromString(data)
    found = ProviderSchema.of(Protocol.of(6), data).resources
    read = {name: each.version for name, each in found.items()}
    assert read == {name: each.version for name, each in message.resource_schemas.items()}
    assert list(read) == sorted(read)
    return read


def test_messages_that_protobuf_takes() -> None:
    def entry(version: int) -> bytes:
        return b"\x12\x07" + b"\x0a\x01a" + b"\x12\x02" + bytes([0x08, version])

    assert versions(entry(1) + entry(2)) == {"a": 2}
    # An entry without key or value has the empty ones.
    assert versions(b"\x12\x04\x12\x02\x08\x05" + b"\x12\x03\x0a\x01b") == {"": 5, "b": 0}
    assert versions(b"\x12\x00" + entry(1)) == {"": 0, "a": 1}
    # A value before its key, one in two parts, and lengths of more bytes than they need.
    assert versions(b"\x12\x07\x12\x02\x08\x06\x0a\x01b" + entry(1)) == {"a": 1, "b": 6}
    assert versions(b"\x12\x0b\x0a\x01a\x12\x02\x08\x05\x12\x02\x12\x00") == {"a": 5}
    assert versions(b"\x12\x89\x00\x0a\x01a\x12\x82\x80\x00\x08\x04") == {"a": 4}
    assert versions(b"\x12\x08\x0a\x81\x00a\x12\x02\x08\x04") == {"a": 4}
    # Fields of the future, of all kinds, and known numbers of other kinds, before the entry and within.
    future = b"\xa2\x06\x03abc" + b"\xa0\x06\x80\x01" + b"\xa5\x06abcd" + b"\xa1\x06abcdefgh" + b"\x10\x01"
    assert versions(entry(1) + future + entry(3)) == {"a": 3}
    assert versions(b"\x7a\x01x" + entry(1)) == {"a": 1}


MESSAGES = st.lists(
    st.sampled_from([*[b"\x12", b"\x0a"] * 4, *[bytes([each]) for each in range(12)], b"\x80", b"\xff"])
)


@ASKED
@given(st.lists(st.tuples(st.text(max_size=3), st.integers(0, 300)), max_size=4), MESSAGES, st.data())
def test_names_are_those_that_protobuf_reads(
    known: list[tuple[str, int]], noise: list[bytes], place: st.DataObject
) -> None:
    fields = [response(resource_schemas={name: {"version": version}}) for name, version in known]
    fields.insert(place.draw(st.integers(0, len(fields))), b"".join(noise))
    data = b"".join(fields)
    try:
        versions(data)
    except DecodeError:
        # The index leaves types alone: a broken one is found when it is asked for.
        with pytest.raises(InvalidResponseError):
            dict(ProviderSchema.of(Protocol.of(6), data).resources)


def test_a_large_schema_is_neither_copied_nor_parsed() -> None:
    data = large_schema(resources=60, attributes=2400)
    ProviderSchema.of(Protocol.of(6), data)  # Loads what a process loads once.
    tracemalloc.start()
    schema = ProviderSchema.of(Protocol.of(6), data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < len(data) / 10
    blocks = [schema.resources[name].block for name in schema.resources]
    inner = [nested.block for block in blocks for nested in block.block_types.values()]
    assert (len(blocks), sum(len(block.attributes) for block in (*blocks, *inner))) == (60, 2400)


def test_the_wrong_core() -> None:
    with pytest.raises(ValueError, match="core is"):
        recorded_schema("local-1.4.0").to_json("hashicorp/local", "tofu")  # type: ignore[arg-type]
