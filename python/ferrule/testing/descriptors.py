"""Descriptions of every service the plugin serves, in a descriptor pool of their own.

A second file that defines `plugin.Empty` or `grpc.health.v1.Health` in the default pool raises TypeError, so with that
pool a process could not import this next to grpcio-health-checking, grpcio-reflection or a generated go-plugin module.
Descriptions rather than hand-written encoders, because server reflection has to hand them out anyway.
"""

from typing import Any

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pool import DescriptorPool

from ferrule.testing import kv_pb2

_Enum = descriptor_pb2.EnumDescriptorProto
_EnumValue = descriptor_pb2.EnumValueDescriptorProto
_Field = descriptor_pb2.FieldDescriptorProto
_File = descriptor_pb2.FileDescriptorProto
_Message = descriptor_pb2.DescriptorProto
_Method = descriptor_pb2.MethodDescriptorProto
_Oneof = descriptor_pb2.OneofDescriptorProto
_Service = descriptor_pb2.ServiceDescriptorProto

_BYTES, _ENUM, _INT32 = _Field.TYPE_BYTES, _Field.TYPE_ENUM, _Field.TYPE_INT32
_MESSAGE, _STRING = _Field.TYPE_MESSAGE, _Field.TYPE_STRING
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


def _service(name: str, method: str, request: str, response: str, **streaming: Any) -> _Service:
    """A service of one method, which is all that any of these has."""
    return _Service(name=name, method=[_Method(name=method, input_type=request, output_type=response, **streaming)])


def _empty() -> _File:
    return _File(
        name="google/protobuf/empty.proto",
        package="google.protobuf",
        syntax="proto3",
        message_type=[_message("Empty")],
    )


def _plugin() -> _File:
    """The services of every go-plugin plugin, without the broker."""
    return _File(
        name="ferrule/testing/plugin.proto",
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
        ],
        service=[
            _service("GRPCController", "Shutdown", ".plugin.Empty", ".plugin.Empty"),
            _service("GRPCStdio", "StreamStdio", ".google.protobuf.Empty", ".plugin.StdioData", server_streaming=True),
        ],
    )


def _health() -> _File:
    """`Check` of grpc.health.v1, the only one of its methods a go-plugin host calls."""
    package = ".grpc.health.v1"
    return _File(
        name="grpc/health/v1/health.proto",
        package="grpc.health.v1",
        syntax="proto3",
        message_type=[
            _message("HealthCheckRequest", _field("service", 1, _STRING)),
            _message(
                "HealthCheckResponse",
                _field("status", 1, _ENUM, f"{package}.HealthCheckResponse.ServingStatus"),
                enum_type=[_enum("ServingStatus", "UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")],
            ),
        ],
        service=[_service("Health", "Check", f"{package}.HealthCheckRequest", f"{package}.HealthCheckResponse")],
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
                "ServerReflectionInfo",
                f"{package}.ServerReflectionRequest",
                f"{package}.ServerReflectionResponse",
                client_streaming=True,
                server_streaming=True,
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
    pool.AddSerializedFile(kv_pb2.DESCRIPTOR.serialized_pb)
    for file in (_empty(), _plugin(), _health(), _reflection("v1"), _reflection("v1alpha")):
        pool.AddSerializedFile(file.SerializeToString())
    return pool


POOL = _pool()
"""Exactly what the plugin serves; google.protobuf's default pool also holds what else a process imported."""
