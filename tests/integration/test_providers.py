"""Unmodified Terraform providers, with no configuration: started, asked for their schema, one resource created."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ferrule.client import RPCPluginClient
from ferrule.errors import ProtocolError
from ferrule.reflection import ServerReflection
from integration.msgpack import UNKNOWN, pack, unpack
from peers import PROVIDERS, provider

pytestmark = [pytest.mark.timeout(60), pytest.mark.go]

every_provider = pytest.mark.parametrize(("name", "version"), PROVIDERS.items())

METHODS = {
    5: {"schema": "GetSchema", "configure": "Configure"},
    6: {"schema": "GetProviderSchema", "configure": "ConfigureProvider"},
}
"""Two names that differ between the versions."""

# `local` is too old for reflection; the messages of its protocol version are learnt from another provider.
TEACHERS = {5: "time", 6: "simple"}


@dataclass(frozen=True)
class Example:
    """A resource to create: type, what the user sets, and what the provider must answer."""

    resource: str
    values: dict[str, str]
    expected: dict[str, Any]
    is_partly_unknown: bool = True
    """Whether the plan leaves something to the apply."""


EXAMPLES = {
    "time": Example(
        "time_static", {"rfc3339": "2020-02-12T06:36:13Z"}, {"unix": 1581489373, "year": 2020, "month": 2}, False
    ),
    "simple": Example("simple_resource", {"value": "hello"}, {"value": "hello"}),
    "local": Example(
        "local_file",
        {"filename": "{tmp}/greeting", "content": "hello", "file_permission": "0644", "directory_permission": "0755"},
        {"content": "hello", "id": "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"},
    ),
}


class Service:
    """A provider's service, called with keyword arguments."""

    def __init__(self, channel: Any, name: str, types: dict[str, tuple[Any, Any]]) -> None:
        self._channel, self._name, self._types = channel, name, types

    async def call(self, method: str, **fields: Any) -> Any:
        """Calls a method; no diagnostics may come back."""
        request, response = self._types[method]
        call = self._channel.unary_unary(
            f"/{self._name}/{method}",
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString,
        )
        answer = await call(request(**fields), timeout=20)
        assert [f"{found.summary}: {found.detail}" for found in answer.diagnostics] == []
        return answer


async def learn(version: int, methods: set[str]) -> dict[str, tuple[Any, Any]]:
    """The messages of some methods, from a provider that has reflection."""
    async with RPCPluginClient(provider(TEACHERS[version])) as client:
        assert client.grpc_channel is not None
        reflection = ServerReflection(client.grpc_channel)
        return {
            facts.name: (
                await reflection.message_type(facts.input_type),
                await reflection.message_type(facts.output_type),
            )
            for facts in await reflection.methods(f"tfplugin{version}.Provider")
            if facts.name in methods
        }


def completed(block: Any, values: dict[str, str]) -> dict[str, Any]:
    """The values with a null for each attribute and block that is not set, which Terraform sends too."""
    names = [attribute.name for attribute in block.attributes] + [nested.type_name for nested in block.block_types]
    return {name: values.get(name) for name in names}


def value(content: Any) -> dict[str, bytes]:
    return {"msgpack": pack(content)}


@every_provider
async def test_default_configuration_starts_it(name: str, version: int) -> None:
    client = RPCPluginClient(provider(name))
    async with client:
        assert (client.protocol_version, client.transport) == (version, "unix")
        assert client.certificate_facts is not None
        assert client.certificate_facts.key == "P-521"
        assert client.traffic.content_sent < client.traffic.wire_sent
    assert client.stop_report is not None
    assert (client.stop_report.rung, client.exit_status) == ("shutdown", 0)


@every_provider
async def test_provider_serves_plaintext_if_asked_to(name: str, version: int) -> None:
    async with RPCPluginClient(provider(name), {"auto_mtls": False}) as client:
        assert (client.protocol_version, client.server_cert) == (version, None)


@pytest.mark.parametrize(
    ("name", "version"), [(name, version) for name, version in PROVIDERS.items() if name != "local"]
)
async def test_reflection_names_the_services(name: str, version: int) -> None:
    async with RPCPluginClient(provider(name)) as client:
        assert client.grpc_channel is not None
        services = await ServerReflection(client.grpc_channel).services()
        assert {"plugin.GRPCController", "plugin.GRPCStdio", f"tfplugin{version}.Provider"} <= set(services)


async def test_provider_without_reflection_says_so() -> None:
    async with RPCPluginClient(provider("local")) as client:
        assert client.grpc_channel is not None
        with pytest.raises(ProtocolError, match="no reflection"):
            await ServerReflection(client.grpc_channel).services()


@every_provider
async def test_schema_plan_and_apply(name: str, version: int, tmp_path: Path) -> None:
    example, methods = EXAMPLES[name], METHODS[version]
    types = await learn(version, {*methods.values(), "PlanResourceChange", "ApplyResourceChange"})
    async with RPCPluginClient(provider(name), {"env": {"TF_LOG": "TRACE"}}) as client:
        service = Service(client.grpc_channel, f"tfplugin{version}.Provider", types)
        schema = await service.call(methods["schema"])
        configuration = completed(schema.provider.block, {})
        await service.call(methods["configure"], terraform_version="1.9.0", config=value(configuration))

        values = {key: text.replace("{tmp}", str(tmp_path)) for key, text in example.values.items()}
        wanted = completed(schema.resource_schemas[example.resource].block, values)
        common = {"type_name": example.resource, "prior_state": value(None), "config": value(wanted)}
        plan = await service.call("PlanResourceChange", proposed_new_state=value(wanted), **common)
        planned = unpack(plan.planned_state.msgpack)
        assert {key: planned[key] for key in values} == values
        assert (UNKNOWN in planned.values()) is example.is_partly_unknown

        change = {"planned_state": plan.planned_state, "planned_private": plan.planned_private}
        state = unpack((await service.call("ApplyResourceChange", **change, **common)).new_state.msgpack)
    assert UNKNOWN not in state.values()
    assert {key: state[key] for key in example.expected} == example.expected
    if name == "local":
        assert Path(values["filename"]).read_text() == "hello"
