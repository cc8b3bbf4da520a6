"""Plugins on the SDKs of other hosts, driven as `ferrule.families` says, and served what they ask of their host."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from ferrule import RPCPluginClient, ServerReflection, families, sync
from ferrule.errors import PluginExitedError
from peers import go_peer
from waiting import LIMIT

pytestmark = [pytest.mark.timeout(60), pytest.mark.go]

Serve = Callable[[Message], Message | Awaitable[Message]]


def reflection_of(client: RPCPluginClient) -> ServerReflection:
    assert client.grpc_channel is not None
    return ServerReflection(client.grpc_channel)


async def host_service(reflection: ServerReflection, name: str, methods: Mapping[str, Serve]) -> Callable[[Any], None]:
    """What adds a service of the host to a server; the plugin itself describes the messages."""
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
    for facts in await reflection.methods(name):
        if (serve := methods.get(facts.name)) is not None:

            def behave(request: Message, context: Any, serve: Serve = serve) -> Any:
                return serve(request)

            request_type = await reflection.message_type(facts.input_type)
            handlers[facts.name] = grpc.unary_unary_rpc_method_handler(
                behave, request_type.FromString, lambda response: response.SerializeToString()
            )
    service = grpc.method_handlers_generic_handler(name, handlers)
    return lambda server: server.add_generic_rpc_handlers((service,))


class TestSpire:
    """A notifier, on go-plugin 1.4.0: its host is at a fixed broker id, and reached in plaintext alone."""

    METRICS = "spire.hostservice.common.metrics.v1.Metrics"

    async def test_it_is_told_of_a_bundle_and_calls_its_host(self) -> None:
        family = families.SPIRE_NOTIFIER
        assert family.host_broker_id is not None
        assert not family.calls_host_over_tls
        emitted: list[tuple[list[str], float]] = []
        async with RPCPluginClient([go_peer("family-spire")], family.with_settings(auto_mtls=False)) as client:
            reflection = reflection_of(client)
            empty = await reflection.message_type("google.protobuf.Empty")

            def emit(request: Any) -> Message:
                emitted.append((list(request.key), request.val))
                return empty()

            add_metrics = await host_service(reflection, self.METRICS, {"EmitKey": emit})
            async with await client.broker.accept_and_serve(family.host_broker_id, add_metrics):
                answer = await self.init(reflection, [self.METRICS])
                await self.notify(reflection, "example.org")
                await self.deinit(reflection)
        assert list(answer.plugin_service_names) == ["spire.plugin.server.notifier.v1.Notifier"]
        assert emitted == [(["bundle", "example.org"], 1.0)]

    async def init(self, reflection: ServerReflection, host_services: list[str]) -> Any:
        request = await reflection.message_type("spire.service.private.init.v1.InitRequest")
        stub = await reflection.stub("spire.service.private.init.v1.Init")
        return await stub.Init(request(host_service_names=host_services))

    async def notify(self, reflection: ServerReflection, trust_domain: str) -> None:
        request: Any = (await reflection.message_type("spire.plugin.server.notifier.v1.NotifyRequest"))()
        request.bundle_updated.bundle.trust_domain = trust_domain
        await (await reflection.stub("spire.plugin.server.notifier.v1.Notifier")).Notify(request)

    async def deinit(self, reflection: ServerReflection) -> None:
        request = await reflection.message_type("spire.service.private.init.v1.DeinitRequest")
        await (await reflection.stub("spire.service.private.init.v1.Init")).Deinit(request())


class TestTflint:
    """A ruleset: the id of its host's service comes with the call, over sockets or multiplexed."""

    @pytest.mark.parametrize("multiplex", [False, True], ids=["sockets", "multiplexed"])
    async def test_it_checks_what_its_host_shows(self, multiplex: bool) -> None:
        settings = families.TFLINT.with_settings(broker_multiplex=multiplex)
        issues: list[tuple[str, str, int]] = []
        async with RPCPluginClient([go_peer("family-tflint")], settings) as client:
            reflection = reflection_of(client)
            response_of = {
                name: await reflection.message_type(f"proto.{name}.Response") for name in ("GetFiles", "EmitIssue")
            }

            def files(request: Any) -> Message:
                return response_of["GetFiles"](files={"b.tf": b"", "a.tf": b"locals {}\n"})

            def emit(request: Any) -> Message:
                issues.append((request.rule.name, request.message, request.rule.severity))
                return response_of["EmitIssue"](applied=True)

            add_runner = await host_service(reflection, "proto.Runner", {"GetFiles": files, "EmitIssue": emit})
            runner_id = client.broker.next_id()
            async with await client.broker.accept_and_serve(runner_id, add_runner):
                await self.call(reflection, "GetVersionConstraint")
                await self.call(reflection, "ApplyGlobalConfig", config={})
                await self.call(reflection, "Check", runner=runner_id)
        warning = 2
        assert issues == [("no_files", "a.tf has 10 bytes", warning), ("no_files", "b.tf has 0 bytes", warning)]

    async def call(self, reflection: ServerReflection, method: str, **fields: Any) -> Any:
        request = await reflection.message_type(f"proto.{method}.Request")
        return await getattr(await reflection.stub("proto.RuleSet"), method)(request(**fields))


def test_a_family_is_what_a_client_without_a_loop_takes_as_well() -> None:
    with sync.RPCPluginClient([go_peer("family-tflint")], families.TFLINT) as client:
        assert client.protocol_version == 11


async def test_a_plugin_of_another_family_is_refused_with_a_hint_where_its_own_is_found() -> None:
    client = RPCPluginClient([go_peer("family-spire")], families.SPIRE_KEY_MANAGER)
    with pytest.raises(PluginExitedError) as caught:
        await client.start()
    assert caught.value.hint is not None
    assert "ferrule.families" in caught.value.hint


@pytest.mark.parametrize(("family", "version"), [("spire-notifier", 1), ("tflint", 11)])
def test_the_command_line_takes_the_name_of_a_family(family: str, version: int) -> None:
    plugin = go_peer(f"family-{family.partition('-')[0]}")
    command = [sys.executable, "-m", "ferrule", "inspect", "--json", "--family", family, plugin]
    result = subprocess.run(command, check=True, capture_output=True, text=True, timeout=LIMIT)
    facts = json.loads(result.stdout)
    assert (facts["protocol_version"], facts["stop"]["rung"]) == (version, "shutdown")
