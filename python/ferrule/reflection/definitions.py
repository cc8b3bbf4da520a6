"""Services by their definitions alone: their methods, messages and stubs."""

import importlib
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message

from ferrule.errors import ProtocolError, RPCPluginError

__all__ = ["Definitions", "MethodFacts", "ReflectedStub", "serialize", "well_known"]


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


class Definitions(ABC):
    """The services of a server, their methods and messages, wherever their definitions come from.

    Descriptors stay in a pool of this object, so they never collide with generated code of the same messages in the
    process.

    Args:
        channel: A channel to the server, such as `RPCPluginClient.grpc_channel`.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self._pool = DescriptorPool()

    @abstractmethod
    async def services(self) -> list[str]:
        """Fully qualified names of all services, sorted."""

    @abstractmethod
    async def _load(self, symbol: str) -> None:
        """Brings the file that defines `symbol`, and all its imports, into the pool."""

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
                f"{full_name!r} is not a message",
                hint="methods() names the messages of a service.",
                code="grpc.not-described",
            ) from error
        return message_factory.GetMessageClass(described)

    async def _service(self, name: str) -> ServiceDescriptor:
        await self._load(name)
        try:
            return self._pool.FindServiceByName(name)
        except KeyError as error:
            raise ProtocolError(
                f"{name!r} is not a service", hint="services() names what the server has.", code="grpc.not-described"
            ) from error

    def _multicallable(self, method: MethodDescriptor) -> Any:
        kind = f"{_shape(method.client_streaming)}_{_shape(method.server_streaming)}"
        return getattr(self._channel, kind)(
            f"/{method.containing_service.full_name}/{method.name}",
            # Not the reflected class's own function, which refuses the same message from generated code.
            request_serializer=serialize,
            response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
        )


def serialize(message: Message) -> bytes:
    return message.SerializeToString()


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


def well_known(name: str, refusal: RPCPluginError) -> descriptor_pb2.FileDescriptorProto:
    """Google's own file of this name, which servers may leave out because every protobuf runtime brings it.

    Raises:
        RPCPluginError: `refusal`, if the name is not one of Google's files.
    """
    found = re.fullmatch(r"google/protobuf/([a-z_]+)\.proto", name)
    if not found:
        raise refusal
    try:
        module = importlib.import_module(f"google.protobuf.{found[1]}_pb2")
    except ModuleNotFoundError:
        raise refusal from None
    return descriptor_pb2.FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)
