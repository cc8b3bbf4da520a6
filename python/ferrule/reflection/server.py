"""The definitions that a server gives by reflection."""

import contextlib
import graphlib
from typing import Any

import grpc
from google.protobuf import descriptor_pb2
from google.protobuf.message import DecodeError

from ferrule.errors import ProtocolError, TransportError
from ferrule.reflection.definitions import Definitions, serialize, well_known
from ferrule.reflection.protocol import Request, Response

__all__ = ["ServerReflection"]

VERSIONS = ("v1", "v1alpha")
"""The versions of the protocol, in the order in which they are tried."""

ANSWER_SECONDS = 30.0
"""Default limit of one answer; a large Terraform provider needs well under one second."""

_Files = dict[str, descriptor_pb2.FileDescriptorProto]


class ServerReflection(Definitions):
    """The services of a server, their methods and messages, as the server describes them.

    Answers are kept for the life of the object: a running server does not change its services. Descriptors stay in a
    pool of this object, so they never collide with generated code of the same messages in the process.

    Args:
        channel: A channel to the server, such as `RPCPluginClient.grpc_channel`.
        timeout: Limit of one answer, in seconds; default 30. A lookup may need several answers.

    Example:
        ```python
        reflection = ServerReflection(client.grpc_channel)
        request_type = await reflection.message_type("kv.GetRequest")
        kv = await reflection.stub("kv.KV")
        response = await kv.Get(request_type(key="colour"))
        ```
    """

    def __init__(self, channel: grpc.aio.Channel, timeout: float = ANSWER_SECONDS) -> None:
        super().__init__(channel)
        self._timeout = timeout
        self._versions: tuple[str, ...] = VERSIONS
        self._services: list[str] | None = None
        self._loaded: set[str] = set()

    async def services(self) -> list[str]:
        """Fully qualified names of all services, sorted.

        Raises:
            ProtocolError: The server has no reflection, or answered with an error.
            TransportError: The call failed, or the limit has passed.
        """
        if self._services is None:
            response = await self._ask(list_services="*")
            self._services = sorted(service.name for service in response.list_services_response.service)
        return list(self._services)

    async def _load(self, symbol: str) -> None:
        """Brings the file that defines `symbol`, and all its imports, into the pool."""
        with contextlib.suppress(KeyError):
            self._pool.FindFileContainingSymbol(symbol)
            return
        files = await self._fetch(symbol)
        wanted = {name: set(file.dependency) & files.keys() for name, file in files.items()}
        try:
            for name in graphlib.TopologicalSorter(wanted).static_order():
                # Another lookup may have brought a shared import meanwhile; adding the file again does no harm.
                self._pool.AddSerializedFile(files[name].SerializeToString())
                self._loaded.add(name)
            self._pool.FindFileContainingSymbol(symbol)
        except (KeyError, TypeError, ValueError) as error:
            raise ProtocolError(
                f"the description of {symbol!r} that the server gave is not usable: {error}",
                hint="Its .proto files contradict each other or lack this name; use generated code for this service.",
                code="grpc.reflection",
            ) from error

    async def _fetch(self, symbol: str) -> _Files:
        """The defining file and its imports, direct and indirect, as far as the pool lacks them."""
        files = await self._files(file_containing_symbol=symbol)
        while missing := {name for file in files.values() for name in file.dependency} - files.keys() - self._loaded:
            name = min(missing)
            try:
                files |= await self._files(file_by_filename=name)
            except ProtocolError as error:
                files[name] = well_known(name, error)
            if name not in files:
                raise ProtocolError(
                    f"asked for {name!r}, which {symbol!r} depends on, the server described another file",
                    hint="The plugin registers this .proto file under two paths; generate its code with one of them.",
                    code="grpc.reflection",
                )
        return files

    async def _files(self, **question: str) -> _Files:
        """Asks for a file; a server may add its imports."""
        response = await self._ask(**question)
        try:
            found = [
                descriptor_pb2.FileDescriptorProto.FromString(data)
                for data in response.file_descriptor_response.file_descriptor_proto
            ]
        except DecodeError as error:
            raise ProtocolError(
                f"the server answered {question} with bytes that describe no .proto file", code="grpc.reflection"
            ) from error
        return {file.name: file for file in found}

    async def _ask(self, **question: str) -> Any:
        """The answer to one question, in the newest protocol version that the server has."""
        asked = " ".join(f"{kind} {value!r}" for kind, value in question.items())
        for version in self._versions:
            # The method is a bidirectional stream. One request on a call of its own is the same on the wire, and avoids
            # grpc.aio's write(), which replaces an early status such as UNIMPLEMENTED by INTERNAL (grpc issue 36066).
            ask = self._channel.unary_stream(
                f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
                request_serializer=serialize,
                response_deserializer=Response.FromString,
            )
            call: Any = ask(Request(**question), timeout=self._timeout)
            try:
                response = await call.read()
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                    continue
                raise TransportError(
                    f"asking the server for {asked} failed with {error.code().name}: {error.details()}",
                    hint=f"Check that the plugin is still running; it has {self._timeout:g} s for an answer.",
                    code="grpc.reflection",
                ) from error
            finally:
                call.cancel()
            self._versions = (version,)
            return _checked(response, asked)
        raise ProtocolError(
            f"the server has no reflection service (tried {', '.join(VERSIONS)} of grpc.reflection)",
            hint="go-plugin serves it since its version 1.2.0 (2020); use generated code for this plugin.",
            code="grpc.reflection",
        )


def _checked(response: Any, asked: str) -> Any:
    if not isinstance(response, Response):
        raise ProtocolError(
            f"the server ended the reflection stream instead of answering {asked}", code="grpc.reflection"
        )
    if response.HasField("error_response"):
        failure = response.error_response
        raise ProtocolError(
            f"the server answered {asked} with error {failure.error_code}: {failure.error_message}",
            hint="services() names what the server has.",
            code="grpc.reflection",
        )
    return response
