"""The example provider in Python, driven by our own host as OpenTofu drives it."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf import descriptor_pb2

from ferrule.client import RPCPluginClient
from ferrule.reflection import ServerReflection
from integration.msgpack import UNKNOWN, pack, unpack
from peers import ROOT, provider
from waiting import LIMIT

pytestmark = pytest.mark.timeout(60)

COMMAND = [sys.executable, "-W", "error", str(ROOT / "examples" / "minimal_provider.py")]

NOTHING = pack(None)

SERVICE = "tfplugin6.Provider"


@pytest_asyncio.fixture
async def client() -> AsyncIterator[RPCPluginClient]:
    async with RPCPluginClient(COMMAND) as started:
        yield started


class Provider:
    """The service, called with keyword arguments; values are MessagePack."""

    def __init__(self, client: RPCPluginClient) -> None:
        channel: Any = client.grpc_channel
        self._reflection = ServerReflection(channel)

    async def call(self, method: str, **fields: Any) -> Any:
        values = {name: {"msgpack": value} if isinstance(value, bytes) else value for name, value in fields.items()}
        facts = {facts.name: facts for facts in await self._reflection.methods(SERVICE)}
        request = (await self._reflection.message_type(facts[method].input_type))(**values)
        return await getattr(await self._reflection.stub(SERVICE), method)(request, timeout=20)

    async def plan(self, prior: bytes, wanted: bytes) -> bytes:
        answer = await self.call("PlanResourceChange", **common(prior), proposed_new_state=wanted, config=wanted)
        return planned_state(answer.planned_state)

    async def apply(self, prior: bytes, planned: bytes) -> bytes:
        answer = await self.call("ApplyResourceChange", **common(prior), planned_state=planned)
        return planned_state(answer.new_state)


def common(prior: bytes) -> dict[str, Any]:
    return {"type_name": "ferrule_note", "prior_state": prior}


def planned_state(value: Any) -> bytes:
    data: bytes = value.msgpack
    return data


def note(text: str) -> bytes:
    """What a user writes: all that is computed is null."""
    return pack({"text": text, "id": None, "length": None})


async def test_default_configuration_starts_and_stops_it() -> None:
    async with RPCPluginClient(COMMAND) as client:
        assert (client.protocol_version, client.transport) == (6, "unix")
        assert client.certificate_facts is not None
    assert client.stop_report is not None
    assert (client.stop_report.rung, client.exit_status) == ("shutdown", 0)


async def test_schema(client: RPCPluginClient) -> None:
    schema = await Provider(client).call("GetProviderSchema")
    attributes = {attribute.name: attribute for attribute in schema.resource_schemas["ferrule_note"].block.attributes}
    assert {name: attribute.type for name, attribute in attributes.items()} == {
        "text": b'"string"',
        "id": b'"string"',
        "length": b'"number"',
    }
    assert [name for name, attribute in attributes.items() if attribute.required] == ["text"]
    assert [name for name, attribute in attributes.items() if attribute.computed] == ["id", "length"]


async def contract(client: RPCPluginClient, methods: list[str]) -> set[tuple[Any, ...]]:
    """The fields of everything that these methods exchange."""
    assert client.grpc_channel is not None
    reflection = ServerReflection(client.grpc_channel)
    facts = [facts for facts in await reflection.methods(SERVICE) if facts.name in methods]
    pending = [
        (await reflection.message_type(name)).DESCRIPTOR
        for each in facts
        for name in (each.input_type, each.output_type)
    ]
    found: dict[str, set[tuple[Any, ...]]] = {}
    while pending:
        message = pending.pop()
        if message.full_name not in found:
            described = descriptor_pb2.DescriptorProto()
            message.CopyToProto(described)
            found[message.full_name] = {
                (message.full_name, field.name, field.number, field.type, field.label) for field in described.field
            }
            pending += [field.message_type for field in message.fields if field.message_type]
    return set().union(*found.values())


@pytest.mark.go
async def test_contract_is_a_part_of_terraforms(client: RPCPluginClient) -> None:
    assert client.grpc_channel is not None
    methods = [facts.name for facts in await ServerReflection(client.grpc_channel).methods(SERVICE)]
    async with RPCPluginClient(provider("simple")) as real:
        ours, theirs = await contract(client, methods), await contract(real, methods)
    assert len(methods) == 9
    assert ours - theirs == set()


async def test_life_of_a_note(client: RPCPluginClient) -> None:
    provider = Provider(client)
    await provider.call("ValidateProviderConfig", config=pack({}))
    await provider.call("ConfigureProvider", terraform_version="1.12.0", config=pack({}))
    planned = await provider.plan(NOTHING, note("hello"))
    assert unpack(planned) == {"text": "hello", "id": UNKNOWN, "length": 5}

    created = await provider.apply(NOTHING, planned)
    identity = unpack(created)["id"]
    assert unpack(created) == {"text": "hello", "id": identity, "length": 5}
    assert len(identity) == 36

    planned = await provider.plan(created, note("grüezi"))
    changed = await provider.apply(created, planned)
    assert changed == planned
    assert unpack(changed) == {"text": "grüezi", "id": identity, "length": 6}

    read = await provider.call("ReadResource", type_name="ferrule_note", current_state=changed)
    assert read.new_state.msgpack == changed
    assert await provider.plan(changed, NOTHING) == NOTHING
    assert await provider.apply(changed, NOTHING) == NOTHING


async def test_text_that_another_resource_will_tell(client: RPCPluginClient) -> None:
    wanted = b"\x83" + pack("text") + b"\xd4\x00\x00" + pack("id") + NOTHING + pack("length") + NOTHING
    planned = await Provider(client).plan(NOTHING, wanted)
    assert unpack(planned) == {"text": UNKNOWN, "id": UNKNOWN, "length": UNKNOWN}


async def test_text_that_looks_unknown(client: RPCPluginClient) -> None:
    """Plans that are printed stand for an unknown value with these words."""
    words = "(known after apply)"
    assert unpack(await Provider(client).plan(NOTHING, note(words)))["text"] == words


async def test_empty_note_is_refused(client: RPCPluginClient) -> None:
    answer = await Provider(client).call("ValidateResourceConfig", type_name="ferrule_note", config=note(""))
    (found,) = answer.diagnostics
    assert (found.severity, found.summary) == (1, "The note is empty")
    assert found.attribute.steps[0].attribute_name == "text"
    answer = await Provider(client).call("ValidateResourceConfig", type_name="ferrule_note", config=note("a"))
    assert not answer.diagnostics


async def test_stored_state_is_taken_over(client: RPCPluginClient) -> None:
    stored = b'{"text":"hello","id":"1","length":5}'
    answer = await Provider(client).call("UpgradeResourceState", type_name="ferrule_note", raw_state={"json": stored})
    assert answer.upgraded_state.json == stored


def test_example_of_a_host_creates_a_note(tmp_path: Path) -> None:
    program = tmp_path / "terraform-provider-ferrule"
    program.write_text(f"#!/bin/sh\nexec {shlex.join(COMMAND)}\n")
    program.chmod(0o755)
    host = [sys.executable, "-W", "error", str(ROOT / "examples" / "terraform_provider.py"), str(program)]
    options = ["ferrule_note", '{"text": "hello"}']
    result = subprocess.run([*host, *options], check=False, capture_output=True, text=True, timeout=LIMIT)
    assert (result.returncode, result.stderr) == (0, "")
    plan, _, created = result.stdout.partition("\n{")
    assert "known after apply" in plan
    state = json.loads(f"{{{created}")
    assert (state["text"], state["length"], len(state["id"])) == ("hello", 5, 36)


async def test_stopping_leaves_it_serving(client: RPCPluginClient) -> None:
    provider = Provider(client)
    assert (await provider.call("StopProvider")).Error == ""
    assert unpack(await provider.plan(NOTHING, note("hello")))["length"] == 5
