"""The state of one resource: JSON both ways, what a repr hides, what is refused."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from collections.abc import Callable
from decimal import Decimal

import pytest

from ferrule.terraform import cty
from ferrule.terraform.errors import StateError
from ferrule.terraform.json_text import JSONTextError, elements, members
from ferrule.terraform.state import ResourceState

SERVER = cty.Object({"name": cty.STRING, "size": cty.NUMBER, "tags": cty.Map(cty.STRING)})
TEXT = '{ "size": 0.10000000000000000000000000000000001,\n "name": "w<b>", "tags": null }'


def stored(**changes: object) -> str:
    members: dict[str, object] = {"type": "server", "schema_version": 1, "attributes": {}}
    return json.dumps({name: value for name, value in (members | changes).items() if value is not ...})


def test_attributes_and_identity_are_kept_as_they_are_written() -> None:
    others = '"schema_version": 3, "identity": {"id":  1e2}, "status": "tainted"'
    text = f'{{"type": "server", "attributes": {TEXT}, {others}}}'
    state = ResourceState.from_json(text)
    assert (state.json, state.identity_json) == (TEXT, '{"id":  1e2}')
    assert ResourceState.from_json(state.to_json()) == state
    assert state.attributes == {"size": Decimal("0.10000000000000000000000000000000001"), "name": "w<b>", "tags": None}
    assert state.value(SERVER)["size"] == Decimal("0.10000000000000000000000000000000001")
    assert state.identity_value(cty.Object({"id": cty.NUMBER})) == {"id": 100}


def test_all_members_survive_json() -> None:
    name = cty.Attribute("name")
    state = ResourceState.of(
        "server",
        {"name": "é\u2028", "size": 2**70, "tags": {"a b": "c"}},
        SERVER,
        identity={"id": "x"},
        identity_type=cty.Object({"id": cty.STRING}),
        identity_schema_version=2,
        schema_version=1,
        private=bytes(range(256)),
        provider="registry.terraform.io/hashicorp/server",
        tainted=True,
        sensitive=((name,), (cty.Attribute("tags"), "a b"), (cty.Attribute("rules"), 0, name)),
    )
    assert ResourceState.from_json(state.to_json()) == ResourceState.from_json(state.to_json().encode()) == state
    assert {state} == {copy.deepcopy(state)}
    old = ResourceState(type="server", flatmap={"tags.%": "1", "tags.a": "b"})
    assert ResourceState.from_json(old.to_json()) == old
    with pytest.raises(StateError, match=r"from before Terraform 0\.12"):
        old.attributes  # noqa: B018


def test_only_a_state_of_this_process_is_of_its_provider() -> None:
    provider = object()
    state = ResourceState(type="server", json="{}", _origin=provider)
    assert dataclasses.replace(state, tainted=True).is_of(provider)
    assert not state.is_of(object())
    for other in (ResourceState.from_json(state.to_json()), pickle.loads(pickle.dumps(state))):
        assert other == state
        assert not other.is_of(provider)
        assert not other.is_of(None)


def test_repr_hides_secrets() -> None:
    state = ResourceState.of(
        "server",
        {"name": "hunter2", "size": 4, "tags": {"key": "hunter3"}},
        SERVER,
        private=b"hunter4",
        sensitive=(
            (cty.Attribute("name"),),
            (cty.Attribute("tags"), "key"),
            (cty.Attribute("gone"),),
            (cty.Attribute("tags"), 0),
        ),
    )
    assert repr(state) == (
        "ResourceState(type='server', schema_version=0, attributes={'name': (sensitive value), 'size': 4, "
        "'tags': {'key': (sensitive value)}}, private=(7 bytes))"
    )
    assert repr(dataclasses.replace(state, tainted=True)).endswith(", private=(7 bytes), tainted=True)")
    old = dataclasses.replace(state, json=None, flatmap={"name": "hunter2", "size": "4"})
    assert "attributes=(2 of before Terraform 0.12), " in repr(old)
    # What nobody knows to be harmless is not shown.
    assert "hunter" not in repr(dataclasses.replace(state, sensitive=None))
    assert len(repr(ResourceState(type="server", json=f'{{"name": "{"x" * 100_000}"}}', sensitive=()))) < 100


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no JSON"),
        ("[]", "a state is an object of JSON, not a list of 0"),
        ("{} {}", "more than one value, at character 3"),
        ('{"type": "a", "type": "b"}', 'the member "type" comes twice'),
        ("[" * 100_000, "too many levels"),
        (b"\xff", "no text in UTF-8"),
        (stored(type=...), 'the state has no member "type", which each state needs'),
        (stored(type=""), "type: expected the type of a resource"),
        (stored(type=7), "type: expected text, got number 7"),
        (stored(attributes=...), "either attributes or attributes_flat"),
        (stored(attributes=[1]), "attributes: expected an object, got a list of 1"),
        (stored(attributes={"a": float("nan")}), "NaN is no JSON"),
        (stored(attributes_flat={"a": "b"}), "either attributes or attributes_flat"),
        (stored(attributes=..., attributes_flat={"a": 1}), 'attributes_flat: "a": expected text, got number 1'),
        (stored(schema_version=-1), "schema_version: expected a whole number from 0, got number -1"),
        (stored(schema_version=True), "schema_version: expected a whole number from 0, got true"),
        (stored(schema_version=None), "schema_version: expected a whole number from 0, got null"),
        (
            stored()[:-1] + ', "identity_schema_version": 1e999999999}',
            "identity_schema_version: expected a whole number",
        ),
        (
            stored()[:-1] + f', "identity_schema_version": {"9" * 5000}}}',
            "identity_schema_version: expected a whole number",
        ),
        (stored(schema_version=2**63), "schema_version: expected a whole number from 0"),
        (stored(private="not base64"), "private: expected bytes in base64, got other text"),
        (stored(private=[]), "private: expected bytes in base64"),
        (stored(identity="x"), 'identity: expected an object, got "x"'),
        (stored(status="broken"), 'status: expected "tainted" or nothing, got "broken"'),
        (stored(sensitive_attributes={}), "sensitive_attributes: expected a list of paths, got an object of 0"),
        (
            stored(sensitive_attributes=[[], [{"type": "x"}]]),
            r"sensitive_attributes: [1]: expected the steps of a path",
        ),
        (stored(dependencies=[]), '"dependencies": a state has no such member; it has type, provider'),
    ],
)
def test_what_is_no_state_is_refused(text: str | bytes, problem: str) -> None:
    with pytest.raises(StateError) as caught:
        ResourceState.from_json(text)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("read", "text", "at", "problem"),
    [
        (members, '{"a": 1 "b": 2}', 8, "expected a comma or }"),
        (members, '{"a": 1, 2: 3}', 9, "expected a name in quotes"),
        (members, '{"a" 1}', 5, "expected a colon"),
        (members, '{"a": 1, "a": 2}', 9, 'the member "a" comes twice'),
        (members, "[1]", 0, "expected an object"),
        (elements, "[1 2]", 3, "expected a comma or ]"),
        (elements, "{}", 0, "expected an array"),
    ],
)
def test_json_is_read_member_by_member(read: Callable[[str], object], text: str, at: int, problem: str) -> None:
    with pytest.raises(JSONTextError) as caught:
        read(text)
    assert (caught.value.at, str(caught.value)) == (at, problem)


@pytest.mark.parametrize("text", ['{"version": 4, "serial": 1}', '{"id": "cat"}'])
def test_a_text_that_another_function_reads_is_refused_with_its_name(text: str) -> None:
    with pytest.raises(StateError, match=r"to_json\(\).*from_tfstate\(\)"):
        ResourceState.from_json(text)


def test_errors_without_a_narrower_code_have_that_of_their_class() -> None:
    for error in (StateError("x"), pickle.loads(pickle.dumps(StateError("x", "Do y.")))):
        assert error.code == "terraform.state"
    assert StateError("x", code="terraform.state-version").code == "terraform.state-version"


def test_no_error_repeats_private_data() -> None:
    with pytest.raises(StateError) as caught:
        ResourceState.from_json(stored(private="hunter2!"))
    assert "hunter2" not in str(caught.value)
