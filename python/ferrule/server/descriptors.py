"""The services that every go-plugin plugin has: descriptions, in a descriptor pool of their own, and handlers by them.

A second file that defines `plugin.Empty` or `grpc.health.v1.Health` in the default pool raises TypeError, so with that
pool a process could not import this next to grpcio-health-checking, grpcio-reflection or a generated go-plugin module.
Descriptions rather than hand-written encoders, because server reflection has to hand them out anyway.
"""

from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, message_factory
from google.protobuf.descriptor_pool import DescriptorPool

__all__ = [
    "BROKER",
    "CONTROLLER",
    "HEALTH",
    "HEALTHY_SERVICES",
    "POOL",
    "STDIO",
    "message_class",
    "service_handler",
]

BROKER = "plugin.GRPCBroker"
CONTROLLER = "plugin.GRPCController"
HEALTH = "grpc.health.v1.Health"
STDIO = "plugin.GRPCStdio"

HEALTHY_SERVICES = ("plugin", "")
"""Names the health service knows, as in a Go plugin; the application's own services are not among them."""

_Enum = descriptor_pb2.EnumDescriptorProto
_EnumValue = descriptor_pb2.EnumValueDescriptorProto
_Field = descriptor_pb2.FieldDescriptorProto
_File = descriptor_pb2.FileDescriptorProto
_Message = descriptor_pb2.DescriptorProto
_Method = descriptor_pb2.MethodDescriptorProto
_Oneof = descriptor_pb2.OneofDescriptorProto
_Service = descriptor_pb2.ServiceDescriptorProto

_BOOL, _BYTES, _ENUM = _Field.TYPE_BOOL, _Field.TYPE_BYTES, _Field.TYPE_ENUM
_INT32, _MESSAGE, _STRING, _UINT32 = _Field.TYPE_INT32, _Field.TYPE_MESSAGE, _Field.TYPE_STRING, _Field.TYPE_UINT32
_REPEATED: Any = {"label": _Field.LABEL_REPEATED}
_CHOSEN: Any = {"oneof_index": 0}  # a member of its message's only oneof


def _field(name: str, number: int, kind: Any, type_name: str = "", **more: Any) -> _Field:
    label = more.pop("label", _Field.LABEL_OPTIONAL)
    return _Field(name=name, number=number, type=kind, type_name=type_name or None, label=label, **more)


def _message(name: str, *fields: _Field, **more: Any) -> _Message:
    return _Message(name=name, field=fields, **more)


def _enum(name: str, *values: str) -> _Enum:
    """An enumeration whose values count from 0."""
    return _Enum(name=name, value=[_EnumValue(name=value, number=number) for number, value in enumerate(values)])


def _method(name: str, request: str, response: str, **streaming: Any) -> _Method:
    return _Method(name=name, input_type=request, output_type=response, **streaming)


def _service(name: str, *methods: _Method) -> _Service:
    return _Service(name=name, method=methods)


def _empty() -> _File:
    return _File(
        name="google/protobuf/empty.proto",
        package="google.protobuf",
        syntax="proto3",
        message_type=[_message("Empty")],
    )


def _plugin() -> _File:
    return _File(
        name="ferrule/plugin.proto",
        package="plugin",
        syntax="proto3",
        dependency=["google/protobuf/empty.proto"],
        message_type=[
            _message("Empty"),
            _message(
                "StdioData",
                _field("channel", 1, _ENUM, ".plugin.StdioData.Channel"),
                _field("data", 2, _BYTES),
                enum_type=[_enum("Channel", "INVALID", "STDOUT", "STDERR")],
            ),
            _message(
                "ConnInfo",
                _field("service_id", 1, _UINT32),
                _field("network", 2, _STRING),
                _field("address", 3, _STRING),
                _field("knock", 4, _MESSAGE, ".plugin.ConnInfo.Knock"),
                nested_type=[
                    _message("Knock", _field("knock", 1, _BOOL), _field("ack", 2, _BOOL), _field("error", 3, _STRING))
                ],
            ),
        ],
        service=[
            _service(
                "GRPCBroker",
                _method(
                    "StartStream", ".plugin.ConnInfo", ".plugin.ConnInfo", client_streaming=True, server_streaming=True
                ),
            ),
            _service("GRPCController", _method("Shutdown", ".plugin.Empty", ".plugin.Empty")),
            _service(
                "GRPCStdio",
                _method("StreamStdio", ".google.protobuf.Empty", ".plugin.StdioData", server_streaming=True),
            ),
        ],
    )


def _health() -> _File:
    request, response = ".grpc.health.v1.HealthCheckRequest", ".grpc.health.v1.HealthCheckResponse"
    return _File(
        name="grpc/health/v1/health.proto",
        package="grpc.health.v1",
        syntax="proto3",
        message_type=[
            _message("HealthCheckRequest", _field("service", 1, _STRING)),
            _message(
                "HealthCheckResponse",
                _field("status", 1, _ENUM, f"{response}.ServingStatus"),
                enum_type=[_enum("ServingStatus", "UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")],
            ),
        ],
        service=[
            _service(
                "Health",
                _method("Check", request, response),
                _method("Watch", request, response, server_streaming=True),
            )
        ],
    )


def _reflection(version: str) -> _File:
    """Server reflection; v1 and v1alpha differ in the package name alone."""
    package = f".grpc.reflection.{version}"
    return _File(
        name=f"grpc/reflection/{version}/reflection.proto",
        package=package[1:],
        syntax="proto3",
        message_type=[*_reflection_request(package), *_reflection_response(package)],
        service=[
            _service(
                "ServerReflection",
                _method(
                    "ServerReflectionInfo",
                    f"{package}.ServerReflectionRequest",
                    f"{package}.ServerReflectionResponse",
                    client_streaming=True,
                    server_streaming=True,
                ),
            )
        ],
    )


def _reflection_request(package: str) -> list[_Message]:
    return [
        _message(
            "ServerReflectionRequest",
            _field("host", 1, _STRING),
            _field("file_by_filename", 3, _STRING, **_CHOSEN),
            _field("file_containing_symbol", 4, _STRING, **_CHOSEN),
            _field("file_containing_extension", 5, _MESSAGE, f"{package}.ExtensionRequest", **_CHOSEN),
            _field("all_extension_numbers_of_type", 6, _STRING, **_CHOSEN),
            _field("list_services", 7, _STRING, **_CHOSEN),
            oneof_decl=[_Oneof(name="message_request")],
        ),
        _message("ExtensionRequest", _field("containing_type", 1, _STRING), _field("extension_number", 2, _INT32)),
    ]


def _reflection_response(package: str) -> list[_Message]:
    def answer(name: str, number: int, message: str) -> _Field:
        return _field(name, number, _MESSAGE, f"{package}.{message}", **_CHOSEN)

    return [
        _message(
            "ServerReflectionResponse",
            _field("valid_host", 1, _STRING),
            _field("original_request", 2, _MESSAGE, f"{package}.ServerReflectionRequest"),
            answer("file_descriptor_response", 4, "FileDescriptorResponse"),
            answer("all_extension_numbers_response", 5, "ExtensionNumberResponse"),
            answer("list_services_response", 6, "ListServiceResponse"),
            answer("error_response", 7, "ErrorResponse"),
            oneof_decl=[_Oneof(name="message_response")],
        ),
        _message("FileDescriptorResponse", _field("file_descriptor_proto", 1, _BYTES, **_REPEATED)),
        _message(
            "ExtensionNumberResponse",
            _field("base_type_name", 1, _STRING),
            _field("extension_number", 2, _INT32, **_REPEATED),
        ),
        _message("ListServiceResponse", _field("service", 1, _MESSAGE, f"{package}.ServiceResponse", **_REPEATED)),
        _message("ServiceResponse", _field("name", 1, _STRING)),
        _message("ErrorResponse", _field("error_code", 1, _INT32), _field("error_message", 2, _STRING)),
    ]


def _pool() -> DescriptorPool:
    pool = DescriptorPool()
    for file in (_empty(), _plugin(), _health(), _reflection("v1"), _reflection("v1alpha")):
        pool.AddSerializedFile(file.SerializeToString())
    return pool


POOL = _pool()
"""Exactly these files; google.protobuf's default pool also holds what else a process imported."""


def message_class(name: str) -> Any:
    """The message class of a fully qualified name such as `plugin.StdioData`."""
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(name))


def service_handler(service: str, **behaviors: Callable[..., Any]) -> grpc.GenericRpcHandler:
    """Serves methods of a service in the pool; the service's other methods answer UNIMPLEMENTED.

    Args:
        service: Fully qualified name.
        **behaviors: What each method does, by its name.
    """
    makers: dict[tuple[bool, bool], Callable[..., Any]] = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
    methods = POOL.FindServiceByName(service).methods_by_name
    handlers = {
        name: makers[methods[name].client_streaming, methods[name].server_streaming](
            behavior,
            request_deserializer=message_factory.GetMessageClass(methods[name].input_type).FromString,
            response_serializer=message_factory.GetMessageClass(methods[name].output_type).SerializeToString,
        )
        for name, behavior in behaviors.items()
    }
    return grpc.method_handlers_generic_handler(service, handlers)
