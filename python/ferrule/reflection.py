"""Calls of a plugin without its generated code, through gRPC server reflection.

A plugin's server answers which services it has and how their messages look; go-plugin, and with it every Terraform
provider, has served this since its version 1.2.0 of 2020. The facts come from the public protocol definitions
`grpc.reflection.v1` and, for older servers, `grpc.reflection.v1alpha`, which differ in the package name alone.
"""

import contextlib
import graphlib
import importlib
import re
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message

from ferrule.errors import ProtocolError, TransportError

__all__ = ["MethodFacts", "ReflectedStub", "ServerReflection"]

VERSIONS = ("v1", "v1alpha")
"""The versions of the protocol, in the order in which they are tried."""

ANSWER_SECONDS = 30.0
"""Default limit of one answer; a large Terraform provider needs well under one second."""

_Files = dict[str, descriptor_pb2.FileDescriptorProto]


@dataclass(frozen=True)
class MethodFacts:
    """One method of a service.

    Attributes:
        name: The name in the service definition, such as `Get`.
        client_streaming: Whether the caller sends a stream of requests.
        server_streaming: Whether the answer is a stream of responses.
        input_type: Fully qualified name of the request message, such as `kv.GetRequest`.
        output_type: Fully qualified name of the response message.
    """

    name: str
    client_streaming: bool
    server_streaming: bool
    input_type: str
    output_type: str


class ReflectedStub:
    """A service's methods as attributes, as on a generated stub."""

    def __init__(self, service: str, calls: dict[str, Any]) -> None:
        self._service = service
        self._names = sorted(calls)
        self.__dict__.update(calls)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"service {self._service} has no method {name!r}; it has {', '.join(self._names)}")


class ServerReflection:
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
        self._channel = channel
        self._timeout = timeout
        self._versions: tuple[str, ...] = VERSIONS
        self._services: list[str] | None = None
        self._pool = DescriptorPool()
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

    async def methods(self, service: str) -> list[MethodFacts]:
        """The methods of a service, in the order of its definition.

        Args:
            service: Fully qualified name, such as `kv.KV`.

        Raises:
            ProtocolError: The server does not know the service, or has no reflection.
            TransportError: The call failed.
        """
        return [_facts(method) for method in (await self._service(service)).methods]

    async def stub(self, service: str) -> ReflectedStub:
        """A stub whose attributes are the multicallables of the service's methods.

        They accept any message with the fields of the method's request type, from `message_type` or generated.

        Args:
            service: Fully qualified name, such as `kv.KV`.

        Raises:
            ProtocolError: The server does not know the service, or has no reflection.
            TransportError: The call failed.
        """
        methods = (await self._service(service)).methods
        return ReflectedStub(service, {method.name: self._multicallable(method) for method in methods})

    async def message_type(self, full_name: str) -> type[Message]:
        """The class of a message.

        Args:
            full_name: Fully qualified name, such as `kv.GetRequest`.

        Raises:
            ProtocolError: The server does not know the message, or has no reflection.
            TransportError: The call failed.
        """
        await self._load(full_name)
        try:
            described = self._pool.FindMessageTypeByName(full_name)
        except KeyError as error:
            raise ProtocolError(
                f"{full_name!r} is not a message", hint="methods() names the messages of a service."
            ) from error
        return message_factory.GetMessageClass(described)

    async def _service(self, name: str) -> ServiceDescriptor:
        await self._load(name)
        try:
            return self._pool.FindServiceByName(name)
        except KeyError as error:
            raise ProtocolError(f"{name!r} is not a service", hint="services() names what the server has.") from error

    def _multicallable(self, method: MethodDescriptor) -> Any:
        kind = f"{_shape(method.client_streaming)}_{_shape(method.server_streaming)}"
        return getattr(self._channel, kind)(
            f"/{method.containing_service.full_name}/{method.name}",
            # Not the reflected class's own function, which refuses the same message from generated code.
            request_serializer=_serialize,
            response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
        )

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
            ) from error

    async def _fetch(self, symbol: str) -> _Files:
        """The defining file and its imports, direct and indirect, as far as the pool lacks them."""
        files = await self._files(file_containing_symbol=symbol)
        while missing := {name for file in files.values() for name in file.dependency} - files.keys() - self._loaded:
            name = min(missing)
            try:
                files |= await self._files(file_by_filename=name)
            except ProtocolError as error:
                files[name] = _well_known(name, error)
            if name not in files:
                raise ProtocolError(
                    f"asked for {name!r}, which {symbol!r} depends on, the server described another file",
                    hint="The plugin registers this .proto file under two paths; generate its code with one of them.",
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
            raise ProtocolError(f"the server answered {question} with bytes that describe no .proto file") from error
        return {file.name: file for file in found}

    async def _ask(self, **question: str) -> Any:
        """The answer to one question, in the newest protocol version that the server has."""
        asked = " ".join(f"{kind} {value!r}" for kind, value in question.items())
        for version in self._versions:
            # The method is a bidirectional stream. One request on a call of its own is the same on the wire, and avoids
            # grpc.aio's write(), which replaces an early status such as UNIMPLEMENTED by INTERNAL (grpc issue 36066).
            ask = self._channel.unary_stream(
                f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
                request_serializer=_serialize,
                response_deserializer=_Response.FromString,
            )
            call: Any = ask(_Request(**question), timeout=self._timeout)
            try:
                response = await call.read()
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                    continue
                raise TransportError(
                    f"asking the server for {asked} failed with {error.code().name}: {error.details()}",
                    hint=f"Check that the plugin is still running; it has {self._timeout:g} s for an answer.",
                ) from error
            finally:
                call.cancel()
            self._versions = (version,)
            return _checked(response, asked)
        raise ProtocolError(
            f"the server has no reflection service (tried {', '.join(VERSIONS)} of grpc.reflection)",
            hint="go-plugin serves it since its version 1.2.0 (2020); use generated code for this plugin.",
        )


def _checked(response: Any, asked: str) -> Any:
    if not isinstance(response, _Response):
        raise ProtocolError(f"the server ended the reflection stream instead of answering {asked}")
    if response.HasField("error_response"):
        failure = response.error_response
        raise ProtocolError(
            f"the server answered {asked} with error {failure.error_code}: {failure.error_message}",
            hint="services() names what the server has.",
        )
    return response


def _facts(method: MethodDescriptor) -> MethodFacts:
    return MethodFacts(
        name=method.name,
        client_streaming=method.client_streaming,
        server_streaming=method.server_streaming,
        input_type=method.input_type.full_name,
        output_type=method.output_type.full_name,
    )


def _shape(streaming: bool) -> str:
    return "stream" if streaming else "unary"


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()


def _well_known(name: str, refusal: ProtocolError) -> descriptor_pb2.FileDescriptorProto:
    """Google's own file of this name, which servers may leave out because every protobuf runtime brings it.

    Raises:
        ProtocolError: `refusal`, if the name is not one of Google's files.
    """
    found = re.fullmatch(r"google/protobuf/([a-z_]+)\.proto", name)
    if not found:
        raise refusal
    try:
        module = importlib.import_module(f"google.protobuf.{found[1]}_pb2")
    except ModuleNotFoundError:
        raise refusal from None
    return descriptor_pb2.FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)


_Field = descriptor_pb2.FieldDescriptorProto


def _field(name: str, number: int, kind: Any = _Field.TYPE_STRING, *, repeated: bool = False, of: str = "") -> _Field:
    label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
    type_name = f".ferrule.reflection.{of}" if of else None
    return _Field(name=name, number=number, type=_Field.TYPE_MESSAGE if of else kind, type_name=type_name, label=label)


def _message(name: str, *fields: _Field, one_of: bool = False) -> descriptor_pb2.DescriptorProto:
    if not one_of:
        return descriptor_pb2.DescriptorProto(name=name, field=fields)
    for field in fields:
        field.oneof_index = 0
    choice = descriptor_pb2.OneofDescriptorProto(name="choice")
    return descriptor_pb2.DescriptorProto(name=name, field=fields, oneof_decl=[choice])


def _protocol_messages() -> tuple[Any, Any]:
    """Request and response class of the protocol, with the fields that this module uses.

    The classes have a pool and a package of their own: on the wire only the numbers count, one set serves both
    versions, and grpcio-reflection in the same process defines the official names.
    """
    file = descriptor_pb2.FileDescriptorProto(
        name="ferrule/reflection.proto",
        package="ferrule.reflection",
        syntax="proto3",
        message_type=[
            _message(
                "Request",
                _field("file_by_filename", 3),
                _field("file_containing_symbol", 4),
                _field("list_services", 7),
                one_of=True,
            ),
            _message(
                "Response",
                _field("file_descriptor_response", 4, of="Files"),
                _field("list_services_response", 6, of="Services"),
                _field("error_response", 7, of="Failure"),
                one_of=True,
            ),
            _message("Files", _field("file_descriptor_proto", 1, _Field.TYPE_BYTES, repeated=True)),
            _message("Services", _field("service", 1, repeated=True, of="Service")),
            _message("Service", _field("name", 1)),
            _message("Failure", _field("error_code", 1, _Field.TYPE_INT32), _field("error_message", 2)),
        ],
    )
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    request, response = (pool.FindMessageTypeByName(f"ferrule.reflection.{name}") for name in ("Request", "Response"))
    return message_factory.GetMessageClass(request), message_factory.GetMessageClass(response)


_Request, _Response = _protocol_messages()
