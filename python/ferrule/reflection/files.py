"""Definitions out of files, for plugins that do not describe themselves."""

import graphlib
from collections.abc import Iterable

import grpc
from google.protobuf import descriptor_pb2
from google.protobuf.message import DecodeError

from ferrule.errors import ConfigError, ProtocolError
from ferrule.reflection.definitions import Definitions, well_known

__all__ = ["FileDefinitions", "files_in"]

_Files = dict[str, descriptor_pb2.FileDescriptorProto]


class FileDefinitions(Definitions):
    """The services of some .proto files.

    Args:
        channel: A channel to the server.
        files: The compiled files, with all that they import.

    Raises:
        ConfigError: The files contradict each other, or an import is missing.
    """

    def __init__(self, channel: grpc.aio.Channel, files: Iterable[descriptor_pb2.FileDescriptorProto]) -> None:
        super().__init__(channel)
        by_name = _with_imports({file.name: file for file in files})
        wanted = {name: set(file.dependency) for name, file in by_name.items()}
        try:
            for name in graphlib.TopologicalSorter(wanted).static_order():
                self._pool.AddSerializedFile(by_name[name].SerializeToString())
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"the definitions cannot be used together: {error}", code="config.invalid") from error
        self._services = sorted(
            f"{file.package}.{service.name}".removeprefix(".") for file in by_name.values() for service in file.service
        )

    async def services(self) -> list[str]:
        return list(self._services)

    async def _load(self, symbol: str) -> None:
        try:
            self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            raise ProtocolError(
                f"no file defines {symbol!r}", hint="services() names what there is.", code="grpc.not-described"
            ) from None


def files_in(data: bytes, name: str) -> list[descriptor_pb2.FileDescriptorProto]:
    """The files of a compiled descriptor set.

    Args:
        data: The content, a `google.protobuf.FileDescriptorSet`.
        name: The place that it comes from, for the message.

    Raises:
        ConfigError: The content is something else.
    """
    try:
        found = list(descriptor_pb2.FileDescriptorSet.FromString(data).file)
    except DecodeError:
        found = []
    if not found or not all(file.name for file in found):
        raise ConfigError(
            f"{name} is no descriptor set",
            hint="`protoc --include_imports --descriptor_set_out=FILE ...` and `buf build -o FILE.binpb` write one.",
            code="config.invalid",
        )
    return found


def _with_imports(files: _Files) -> _Files:
    """The files, and those of Google's that they import without bringing them."""
    files = dict(files)
    while missing := {name for file in files.values() for name in file.dependency} - files.keys():
        name = min(missing)
        refusal = ConfigError(
            f"the definitions import {name!r}, which is not among them",
            hint="Write the descriptor set with protoc's --include_imports.",
            code="config.invalid",
        )
        files[name] = well_known(name, refusal)
    return files
