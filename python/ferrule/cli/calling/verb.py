"""What `call` does: one plugin, one method, requests and responses as JSON."""

import argparse
import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
from google.protobuf.message import Message

from ferrule._console import EXIT_FAILED, EXIT_OK, json_line, write
from ferrule.cli.calling.definitions import definitions_of, given_files
from ferrule.cli.calling.messages import MessageCodec
from ferrule.cli.calling.methods import Method, find
from ferrule.cli.calling.streams import STANDARD_INPUT, input_lines, input_text, write_soon
from ferrule.cli.failures import CallError
from ferrule.cli.launching import client_settings, plugin_command
from ferrule.cli.services import described_services, services_text
from ferrule.client import RPCPluginClient
from ferrule.errors import ConfigError, RPCPluginError
from ferrule.reflection.definitions import Definitions

__all__ = ["call"]


async def call(options: argparse.Namespace) -> int:
    """Runs the verb; returns its exit status."""
    files = given_files(options)
    async with RPCPluginClient(plugin_command(options), client_settings(options)) as client:
        definitions = await definitions_of(client.grpc_channel, files)
        target = await find(definitions, options.method) if options.method is not None else ""
        if isinstance(target, str):
            return await _list(definitions, target, options)
        return await _Conversation(definitions, target, options).run()


async def _list(definitions: Definitions, service: str, options: argparse.Namespace) -> int:
    """Shows all services, or one."""
    if options.requests:
        raise ConfigError(
            f"{service} is a service: name one of its methods for a call, as SERVICE/METHOD", code="config.invalid"
        )
    services, failure = await described_services(definitions, [service] if service else None)
    if options.json:
        write(json_line({"services": services, "reflection_error": failure}))
    else:
        write("".join(f"{line}\n" for line in services_text(services, failure)))
    return EXIT_FAILED if services is None else EXIT_OK


class _Conversation:
    """One call, from its first request to its last response."""

    def __init__(self, definitions: Definitions, method: Method, options: argparse.Namespace) -> None:
        self._definitions = definitions
        self._codec = MessageCodec(definitions)
        self._method = method
        self._options = options
        self._call: Any = None
        self._wrong_request: RPCPluginError | None = None

    async def run(self) -> int:
        facts = self._method.facts
        stub = await self._definitions.stub(self._method.service)
        request: Any = self._stream() if facts.client_streaming else await self._only_request()
        metadata = tuple(self._options.metadata)
        self._call = getattr(stub, facts.name)(request, timeout=self._options.timeout, metadata=metadata)
        try:
            async for response in self._responses():
                if not await write_soon(json_line(await self._codec.as_dict(response))):
                    # As `head` leaves: more would be for no reader.
                    break
        except (grpc.aio.AioRpcError, asyncio.CancelledError) as error:
            if self._wrong_request is not None:
                raise self._wrong_request from None
            if isinstance(error, grpc.aio.AioRpcError):
                raise CallError.of(error, self._method.name) from None
            raise
        finally:
            self._call.cancel()
        return EXIT_OK

    async def _responses(self) -> AsyncIterator[Message]:
        if self._method.facts.server_streaming:
            async for response in self._call:
                yield response
        else:
            yield await self._call

    async def _only_request(self) -> Message:
        given = self._options.requests or ["{}"]
        if len(given) > 1:
            raise ConfigError(f"{self._method.name} takes one request, not {len(given)}", code="config.invalid")
        if given[0] == STANDARD_INPUT:
            return await self._parsed(await input_text(), "standard input")
        return await self._parsed(given[0], "the request")

    async def _stream(self) -> AsyncIterator[Message]:
        """The requests; one that is wrong ends the call."""
        try:
            for number, text in enumerate(self._options.requests, 1):
                if text != STANDARD_INPUT:
                    yield await self._parsed(text, f"request {number}")
                    continue
                async for line_number, line in input_lines():
                    yield await self._parsed(line, f"line {line_number} of standard input")
        except RPCPluginError as error:
            self._wrong_request = error
            self._call.cancel()

    async def _parsed(self, text: str, place: str) -> Message:
        return await self._codec.parsed(text, place, self._method.facts.input_type)
