"""The parts of a .proto file as descriptors, and handlers for its services.

Generated code needs a protobuf at least as new as its generator, and works with one further major release at most.
Descriptors work with every release.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    EnumValueDescriptorProto,
    FieldDescriptorProto,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)

__all__ = [
    "BOOL",
    "BYTES",
    "ENUM",
    "INT32",
    "MESSAGE",
    "REPEATED",
    "STRING",
    "UINT32",
    "UINT64",
    "codecs",
    "enum",
    "field",
    "message",
    "method",
    "method_handlers",
    "service",
]

BOOL, BYTES, ENUM = FieldDescriptorProto.TYPE_BOOL, FieldDescriptorProto.TYPE_BYTES, FieldDescriptorProto.TYPE_ENUM
INT32, MESSAGE = FieldDescriptorProto.TYPE_INT32, FieldDescriptorProto.TYPE_MESSAGE
STRING = FieldDescriptorProto.TYPE_STRING
UINT32, UINT64 = FieldDescriptorProto.TYPE_UINT32, FieldDescriptorProto.TYPE_UINT64
REPEATED: Any = {"label": FieldDescriptorProto.LABEL_REPEATED}

_MAKERS: dict[tuple[bool, bool], Callable[..., Any]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


def field(name: str, number: int, kind: Any, type_name: str = "", **more: Any) -> FieldDescriptorProto:
    """A field; `type_name` names its message or enumeration, with a leading dot."""
    label = more.pop("label", FieldDescriptorProto.LABEL_OPTIONAL)
    return FieldDescriptorProto(name=name, number=number, type=kind, type_name=type_name or None, label=label, **more)


def message(name: str, *fields: FieldDescriptorProto, **more: Any) -> DescriptorProto:
    """A message."""
    return DescriptorProto(name=name, field=fields, **more)


def enum(name: str, *values: str) -> EnumDescriptorProto:
    """An enumeration whose values count from 0."""
    numbered = enumerate(values)
    return EnumDescriptorProto(
        name=name, value=[EnumValueDescriptorProto(name=value, number=number) for number, value in numbered]
    )


def method(name: str, request: str, response: str, **streaming: Any) -> MethodDescriptorProto:
    """A method; `request` and `response` are names of messages, with a leading dot."""
    return MethodDescriptorProto(name=name, input_type=request, output_type=response, **streaming)


def service(name: str, *methods: MethodDescriptorProto) -> ServiceDescriptorProto:
    """A service."""
    return ServiceDescriptorProto(name=name, method=methods)


def codecs(described: MethodDescriptor) -> tuple[Any, Any]:
    """The message classes of a method's request and response."""
    return (
        message_factory.GetMessageClass(described.input_type),
        message_factory.GetMessageClass(described.output_type),
    )


def method_handlers(
    described: ServiceDescriptor, behaviors: Mapping[str, Callable[..., Any]]
) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
    """Handlers of a service's methods, by name; a method without a behavior has none."""
    handlers = {}
    for name, behavior in behaviors.items():
        method = described.methods_by_name[name]
        request, response = codecs(method)
        handlers[name] = _MAKERS[method.client_streaming, method.server_streaming](
            behavior, request_deserializer=request.FromString, response_serializer=response.SerializeToString
        )
    return handlers
