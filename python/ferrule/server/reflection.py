"""gRPC server reflection: answers about a server's services and messages."""

from collections.abc import Callable, Sequence
from typing import Any

import grpc
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pool import DescriptorPool

from ferrule.server.descriptors import message_class

__all__ = ["VERSIONS", "Reflection", "service_name"]

VERSIONS = ("v1", "v1alpha")
"""Versions that are served, both, because older clients ask for `v1alpha` alone."""


_Finder = Callable[[DescriptorPool, str], FileDescriptor]


def service_name(version: str) -> str:
    """Fully qualified name of the reflection service."""
    return f"grpc.reflection.{version}.ServerReflection"


class Reflection:
    """Answers the requests of one version of the protocol.

    Args:
        version: `v1` or `v1alpha`.
        services: Fully qualified names to list.
        pools: Pools in which descriptors are looked up, in this order.
    """

    def __init__(self, version: str, services: Sequence[str], pools: Sequence[DescriptorPool]) -> None:
        self.request_class = message_class(f"grpc.reflection.{version}.ServerReflectionRequest")
        self.response_class = message_class(f"grpc.reflection.{version}.ServerReflectionResponse")
        self._services = services
        self._pools = pools

    def answer(self, request: Any) -> Any:
        """The response to one request."""
        response = self.response_class(valid_host=request.host, original_request=request)
        asked = request.WhichOneof("message_request")
        if asked == "list_services":
            for name in self._services:
                response.list_services_response.service.add(name=name)
        elif asked not in _FINDERS:
            text = f"{asked or 'an empty request'} is not supported; proto3 has no extensions"
            _refuse(response, grpc.StatusCode.UNIMPLEMENTED, text)
        else:
            wanted = getattr(request, asked)
            file = self._find(_FINDERS[asked], wanted)
            if file is None:
                text = f"{asked} {wanted!r} is not known here; list_services names what is"
                _refuse(response, grpc.StatusCode.NOT_FOUND, text)
            else:
                files = _with_dependencies(file).values()
                response.file_descriptor_response.file_descriptor_proto.extend(files)
        return response

    def _find(self, finder: _Finder, wanted: str) -> FileDescriptor | None:
        for pool in self._pools:
            try:
                return finder(pool, wanted)
            except KeyError:
                continue
        return None


def _refuse(response: Any, code: grpc.StatusCode, text: str) -> None:
    response.error_response.error_code = code.value[0]
    response.error_response.error_message = text


def _file_of_symbol(pool: DescriptorPool, symbol: str) -> FileDescriptor:
    try:
        return pool.FindFileContainingSymbol(symbol)
    except KeyError:  # protobuf's C implementation does not look for methods there
        return pool.FindMethodByName(symbol).containing_service.file


_FINDERS: dict[str, _Finder] = {
    # Not `DescriptorPool.FindFileByName`: in protobuf's C implementation a pool may be of another class.
    "file_by_filename": lambda pool, name: pool.FindFileByName(name),
    "file_containing_symbol": _file_of_symbol,
}


def _with_dependencies(file: FileDescriptor) -> dict[str, bytes]:
    """A file and all its imports, each once and the file first, so that a client needs no further request."""
    found = {file.name: file.serialized_pb}
    for dependency in file.dependencies:
        found.update(_with_dependencies(dependency))
    return found
