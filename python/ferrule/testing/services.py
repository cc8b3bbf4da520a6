"""Services of every go-plugin plugin: health, controller and stdio."""

import threading
from collections.abc import Iterator
from typing import Any

import grpc

from ferrule.server.descriptors import CONTROLLER, HEALTH, HEALTHY_SERVICES, STDIO, message_class, service_handler
from ferrule.testing.hclog import log
from ferrule.testing.stdio import SyncedOutput


def health() -> grpc.GenericRpcHandler:
    """Handler of `grpc.health.v1.Health/Check`, by which a host pings the plugin."""
    response = message_class("grpc.health.v1.HealthCheckResponse")

    def check(request: Any, context: grpc.ServicerContext) -> Any:
        if request.service not in HEALTHY_SERVICES:
            context.abort(grpc.StatusCode.NOT_FOUND, f"unknown service {request.service!r}; known: {HEALTHY_SERVICES}")
        return response(status=response.SERVING)

    return service_handler(HEALTH, Check=check)


def controller(shutdown: threading.Event, *, hang: bool, ignore: bool) -> grpc.GenericRpcHandler:
    """Handler of `plugin.GRPCController/Shutdown`.

    Args:
        shutdown: Set when a host asks the plugin to end.
        hang: Whether the call is never answered.
        ignore: Whether the plugin answers and goes on.
    """
    empty = message_class("plugin.Empty")

    def stop(_: Any, context: grpc.ServicerContext) -> Any:
        log("info", "shutdown requested", hang=hang, ignore=ignore)
        if hang:
            # Until the caller gives up, because a thread that waited longer would be missing for later calls.
            ended = threading.Event()
            if context.add_callback(ended.set):
                ended.wait()
        elif not ignore:
            shutdown.set()
        return empty()

    return service_handler(CONTROLLER, Shutdown=stop)


def stdio(output: SyncedOutput) -> grpc.GenericRpcHandler:
    """Handler of `plugin.GRPCStdio/StreamStdio`, which stays open until the host or the plugin ends."""
    data_class = message_class("plugin.StdioData")

    def stream(_: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        for channel, data in output.chunks(context):
            yield data_class(channel=channel, data=data)

    return service_handler(STDIO, StreamStdio=stream)
