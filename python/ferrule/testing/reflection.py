"""gRPC server reflection: which services there are and how their messages look."""

from collections.abc import Iterator
from typing import Any

import grpc
from google.protobuf.descriptor import FileDescriptor

from ferrule.testing.descriptors import POOL
from ferrule.testing.services import message_class, service_handler

VERSIONS = ("v1", "v1alpha")
"""Both, because older clients ask for `v1alpha` alone."""


def service_name(version: str) -> str:
    """Fully qualified name of the reflection service."""
    return f"grpc.reflection.{version}.ServerReflection"


def reflection(version: str, services: list[str]) -> grpc.GenericRpcHandler:
    """`ServerReflectionInfo` of one version.

    Args:
        version: `v1` or `v1alpha`.
        services: Fully qualified names to list.
    """
    response_class = message_class(f"grpc.reflection.{version}.ServerReflectionResponse")

    def info(requests: Iterator[Any], _: grpc.ServicerContext) -> Iterator[Any]:
        for request in requests:
            response = response_class(valid_host=request.host, original_request=request)
            _answer(request, response, services)
            yield response

    return service_handler(service_name(version), "ServerReflectionInfo", info)


def _answer(request: Any, response: Any, services: list[str]) -> None:
    asked = request.WhichOneof("message_request")
    if asked == "list_services":
        for name in services:
            response.list_services_response.service.add(name=name)
        return
    finders = {"file_by_filename": POOL.FindFileByName, "file_containing_symbol": _file_of_symbol}
    if asked not in finders:
        response.error_response.error_code = grpc.StatusCode.UNIMPLEMENTED.value[0]
        response.error_response.error_message = (
            f"{asked or 'an empty request'} is not supported; proto3 has no extensions"
        )
        return
    wanted = getattr(request, asked)
    try:
        file = finders[asked](wanted)
    except KeyError:
        response.error_response.error_code = grpc.StatusCode.NOT_FOUND.value[0]
        response.error_response.error_message = f"{asked} {wanted!r} is not known here; list_services names what is"
        return
    response.file_descriptor_response.file_descriptor_proto.extend(_with_dependencies(file).values())


def _file_of_symbol(symbol: str) -> FileDescriptor:
    try:
        return POOL.FindFileContainingSymbol(symbol)
    except KeyError:  # protobuf's C implementation does not look for methods there
        return POOL.FindMethodByName(symbol).containing_service.file


def _with_dependencies(file: FileDescriptor) -> dict[str, bytes]:
    """The file first, then all it imports, each once: what a client needs to use it without asking again."""
    found = {file.name: file.serialized_pb}
    for dependency in file.dependencies:
        found.update(_with_dependencies(dependency))
    return found
