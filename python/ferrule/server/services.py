"""The services that every go-plugin plugin has, for a server on asyncio."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any

import grpc.aio
from google.protobuf import descriptor_pool

from ferrule import _core
from ferrule._mailbox import mailbox
from ferrule.errors import RPCPluginError
from ferrule.server.descriptors import (
    BROKER,
    CONTROLLER,
    HEALTH,
    HEALTHY_SERVICES,
    POOL,
    STDIO,
    message_class,
    service_handler,
)
from ferrule.server.reflection import VERSIONS, Reflection, service_name
from ferrule.server.stdio import Output

__all__ = ["StandardServices"]

_logger = logging.getLogger("ferrule.server")


class StandardServices:
    """Health, reflection, controller, stdio and broker of one plugin.

    Args:
        output: The output that the stdio service sends.
        open_broker_stream: Opens the core's end of a broker stream, which reads and writes the messages.
        shutdown: Called when a host asks the plugin to end, before the answer.
        application: Fully qualified names of the application's services, which reflection lists beside the standard
            ones. The list may still grow.
    """

    def __init__(
        self,
        output: Output,
        open_broker_stream: Callable[[_core.Mailbox, Callable[[], object]], _core.BrokerStream],
        shutdown: Callable[[], object],
        application: Sequence[str],
    ) -> None:
        self._output = output
        self._open_broker_stream = open_broker_stream
        self._shutdown = shutdown
        self._application = application
        self._ending = asyncio.Event()
        self._broker_events: set[asyncio.Event] = set()

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """Handlers of all services, for `grpc.aio.server`."""
        # Without serialisers: the core reads and writes the messages.
        stream: Any = grpc.stream_stream_rpc_method_handler(self.broker_messages)
        return [
            service_handler(HEALTH, Check=_check, Watch=self._watch),
            *(self._reflection(version) for version in VERSIONS),
            service_handler(CONTROLLER, Shutdown=self._stop),
            service_handler(STDIO, StreamStdio=self._stream_stdio),
            grpc.method_handlers_generic_handler(BROKER, {"StartStream": stream}),
        ]

    def end(self) -> None:
        """Ends the streams that would never end by themselves, that of stdio once all output is sent."""
        self._ending.set()
        self._output.finish()
        for changed in self._broker_events:
            changed.set()

    async def _watch(self, request: Any, _: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
        response = message_class("grpc.health.v1.HealthCheckResponse")
        is_known = request.service in HEALTHY_SERVICES
        yield response(status=response.SERVING if is_known else response.SERVICE_UNKNOWN)
        await self._ending.wait()

    def _reflection(self, version: str) -> grpc.GenericRpcHandler:
        standard = {BROKER, CONTROLLER, HEALTH, STDIO, *map(service_name, VERSIONS)}

        async def info(requests: AsyncIterator[Any], _: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
            # The default pool is that of generated code.
            pools = [POOL, descriptor_pool.Default()]
            reflection = Reflection(version, sorted(standard | set(self._application)), pools)
            async for request in requests:
                yield reflection.answer(request)

        return service_handler(service_name(version), ServerReflectionInfo=info)

    async def _stop(self, _request: Any, _: grpc.aio.ServicerContext[Any, Any]) -> Any:
        self._shutdown()
        return message_class("plugin.Empty")()

    async def _stream_stdio(self, _request: Any, _: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
        data_class = message_class("plugin.StdioData")
        async for channel, data in self._output.pieces():
            yield data_class(channel=channel, data=data)

    async def broker_messages(self, requests: AsyncIterator[bytes], _: object = None) -> AsyncGenerator[bytes, None]:
        """The messages that the broker sends on one stream."""
        changed = asyncio.Event()
        stream = self._open_broker_stream(mailbox(), changed.set)
        self._broker_events.add(changed)
        receiving = asyncio.create_task(_receive(requests, stream), name="ferrule broker stream")
        receiving.add_done_callback(lambda _: changed.set())
        try:
            while not (receiving.done() or self._ending.is_set()):
                changed.clear()
                # One at a time, because the messages that are left when this call ends belong to the next call.
                while (message := stream.take()) is not None:
                    yield message
                await changed.wait()
        finally:
            self._broker_events.discard(changed)
            stream.close()
            receiving.cancel()
            # An error of the reading side is that of the connection, which the host knows.
            await asyncio.gather(receiving, return_exceptions=True)


async def _check(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
    if request.service not in HEALTHY_SERVICES:
        text = f"unknown service {request.service!r}; known: {HEALTHY_SERVICES}"
        await context.abort(grpc.StatusCode.NOT_FOUND, text)
    response = message_class("grpc.health.v1.HealthCheckResponse")
    return response(status=response.SERVING)


async def _receive(requests: AsyncIterator[bytes], stream: _core.BrokerStream) -> None:
    async for message in requests:
        try:
            stream.receive(message)
        except RPCPluginError as error:
            _logger.warning("the host sent a broker message that cannot be read: %s", error)
