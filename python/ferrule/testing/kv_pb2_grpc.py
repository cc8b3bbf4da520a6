"""Stub and servicer of `kv.KV` under the names of generated code, made from the descriptors in `kv_pb2`."""

from collections.abc import Iterator
from typing import Any, NoReturn

import grpc

from ferrule.server.proto_file import codecs, method_handlers
from ferrule.testing.kv_pb2 import DESCRIPTOR

_SERVICE = DESCRIPTOR.services_by_name["KV"]


def _multicallables() -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """For each method: its name, the channel's function that makes its callable, its path, and its serialisers."""
    for method in _SERVICE.methods:
        request, response = codecs(method)
        make = f"{'stream' if method.client_streaming else 'unary'}_{'stream' if method.server_streaming else 'unary'}"
        coding = {"request_serializer": request.SerializeToString, "response_deserializer": response.FromString}
        yield method.name, make, f"/{_SERVICE.full_name}/{method.name}", coding


# Made once, because each plugin gets a new stub.
_MULTICALLABLES = tuple(_multicallables())


class KVStub:
    """Calls the methods of `kv.KV`.

    Args:
        channel: A `grpc.Channel` or a `grpc.aio.Channel`, whose multicallables the methods are.
    """

    def __init__(self, channel: Any) -> None:
        for name, make, path, coding in _MULTICALLABLES:
            setattr(self, name, getattr(channel, make)(path, **coding))


class KVServicer:
    """Base class of servicers of `kv.KV`. A method that is not overridden answers UNIMPLEMENTED."""

    def _unimplemented(self, request: Any, context: grpc.ServicerContext) -> NoReturn:
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details("Method not implemented!")
        raise NotImplementedError("Method not implemented!")

    Put = Get = Echo = Watch = Chat = Noise = Exit = _unimplemented


def add_KVServicer_to_server(servicer: KVServicer, server: grpc.Server) -> None:
    """Serves `kv.KV` on a server, blocking or asyncio."""
    behaviors = {method.name: getattr(servicer, method.name) for method in _SERVICE.methods}
    handler = grpc.method_handlers_generic_handler(_SERVICE.full_name, method_handlers(_SERVICE, behaviors))
    server.add_generic_rpc_handlers((handler,))
