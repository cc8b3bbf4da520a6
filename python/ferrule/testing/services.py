"""The services every go-plugin plugin has: health, controller and stdio."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
from google.protobuf import message_factory

from ferrule.testing.descriptors import POOL
from ferrule.testing.hclog import log
from ferrule.testing.stdio import SyncedOutput

HEALTH = "grpc.health.v1.Health"
CONTROLLER = "plugin.GRPCController"
STDIO = "plugin.GRPCStdio"

HEALTHY_SERVICES = ("plugin", "")
"""Names the health service knows, as in a Go plugin; the application's own services are not among them."""


def message_class(name: str) -> Any:
    """The message class of a fully qualified name such as `plugin.StdioData`."""
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(name))


def service_handler(service: str, method: str, behavior: Callable[..., Any]) -> grpc.GenericRpcHandler:
    """Serve one method of a service in the pool; the service's other methods answer UNIMPLEMENTED."""
    makers = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
    described = POOL.FindServiceByName(service).methods_by_name[method]
    handler = makers[described.client_streaming, described.server_streaming](
        behavior,
        request_deserializer=message_factory.GetMessageClass(described.input_type).FromString,
        response_serializer=message_factory.GetMessageClass(described.output_type).SerializeToString,
    )
    return grpc.method_handlers_generic_handler(service, {method: handler})


def health() -> grpc.GenericRpcHandler:
    """`grpc.health.v1.Health/Check`, which a host calls as its ping."""
    response = message_class("grpc.health.v1.HealthCheckResponse")

    def check(request: Any, context: grpc.ServicerContext) -> Any:
        if request.service not in HEALTHY_SERVICES:
            context.abort(grpc.StatusCode.NOT_FOUND, f"unknown service {request.service!r}; known: {HEALTHY_SERVICES}")
        return response(status=response.SERVING)

    return service_handler(HEALTH, "Check", check)


def controller(shutdown: threading.Event, *, hang: bool, ignore: bool) -> grpc.GenericRpcHandler:
    """`plugin.GRPCController/Shutdown`.

    Args:
        shutdown: Set when a host asks the plugin to end.
        hang: Never answer.
        ignore: Answer and carry on.
    """
    empty = message_class("plugin.Empty")

    def stop(_: Any, context: grpc.ServicerContext) -> Any:
        log("info", "shutdown requested", hang=hang, ignore=ignore)
        if hang:
            # Until the caller gives up: a thread that waited longer would be one fewer for the calls that follow.
            ended = threading.Event()
            if context.add_callback(ended.set):
                ended.wait()
        elif not ignore:
            shutdown.set()
        return empty()

    return service_handler(CONTROLLER, "Shutdown", stop)


def stdio(output: SyncedOutput) -> grpc.GenericRpcHandler:
    """`plugin.GRPCStdio/StreamStdio`, held open until the host or the plugin ends."""
    data_class = message_class("plugin.StdioData")

    def stream(_: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        for channel, data in output.chunks(context):
            yield data_class(channel=channel, data=data)

    return service_handler(STDIO, "StreamStdio", stream)
