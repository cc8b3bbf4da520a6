"""Descriptors of the services that every go-plugin plugin has, in a pool of their own, and handlers for them.

In the default pool a second file that defines `plugin.Empty` or `grpc.health.v1.Health` raises TypeError: no process
could import this module beside grpcio-health-checking, grpcio-reflection or a generated module of go-plugin. Server
reflection has to hand out descriptors anyway, so hand-written encoders would save nothing.
"""

from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    OneofDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool

from ferrule.server.proto_file import (
    BOOL,
    BYTES,
    ENUM,
    INT32,
    MESSAGE,
    REPEATED,
    STRING,
    UINT32,
    enum,
    field,
    message,
    method,
    method_handlers,
    service,
)

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
"""Names that the health service knows. As in a Go plugin, the application's services are not among them."""

_CHOSEN: Any = {"oneof_index": 0}  # a member of its message's only oneof


def _empty() -> FileDescriptorProto:
    return FileDescriptorProto(
        name="google/protobuf/empty.proto",
        package="google.protobuf",
        syntax="proto3",
        message_type=[message("Empty")],
    )


def _plugin() -> FileDescriptorProto:
    return FileDescriptorProto(
        name="ferrule/plugin.proto",
        package="plugin",
        syntax="proto3",
        dependency=["google/protobuf/empty.proto"],
        message_type=[
            message("Empty"),
            message(
                "StdioData",
                field("channel", 1, ENUM, ".plugin.StdioData.Channel"),
                field("data", 2, BYTES),
                enum_type=[enum("Channel", "INVALID", "STDOUT", "STDERR")],
            ),
            message(
                "ConnInfo",
                field("service_id", 1, UINT32),
                field("network", 2, STRING),
                field("address", 3, STRING),
                field("knock", 4, MESSAGE, ".plugin.ConnInfo.Knock"),
                nested_type=[
                    message("Knock", field("knock", 1, BOOL), field("ack", 2, BOOL), field("error", 3, STRING))
                ],
            ),
        ],
        service=[
            service(
                "GRPCBroker",
                method(
                    "StartStream", ".plugin.ConnInfo", ".plugin.ConnInfo", client_streaming=True, server_streaming=True
                ),
            ),
            service("GRPCController", method("Shutdown", ".plugin.Empty", ".plugin.Empty")),
            service(
                "GRPCStdio",
                method("StreamStdio", ".google.protobuf.Empty", ".plugin.StdioData", server_streaming=True),
            ),
        ],
    )


def _health() -> FileDescriptorProto:
    request, response = ".grpc.health.v1.HealthCheckRequest", ".grpc.health.v1.HealthCheckResponse"
    return FileDescriptorProto(
        name="grpc/health/v1/health.proto",
        package="grpc.health.v1",
        syntax="proto3",
        message_type=[
            message("HealthCheckRequest", field("service", 1, STRING)),
            message(
                "HealthCheckResponse",
                field("status", 1, ENUM, f"{response}.ServingStatus"),
                enum_type=[enum("ServingStatus", "UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")],
            ),
        ],
        service=[
            service(
                "Health",
                method("Check", request, response),
                method("Watch", request, response, server_streaming=True),
            )
        ],
    )


def _reflection(version: str) -> FileDescriptorProto:
    """Server reflection; v1 and v1alpha differ in the package name alone."""
    package = f".grpc.reflection.{version}"
    return FileDescriptorProto(
        name=f"grpc/reflection/{version}/reflection.proto",
        package=package[1:],
        syntax="proto3",
        message_type=[*_reflection_request(package), *_reflection_response(package)],
        service=[
            service(
                "ServerReflection",
                method(
                    "ServerReflectionInfo",
                    f"{package}.ServerReflectionRequest",
                    f"{package}.ServerReflectionResponse",
                    client_streaming=True,
                    server_streaming=True,
                ),
            )
        ],
    )


def _reflection_request(package: str) -> list[DescriptorProto]:
    return [
        message(
            "ServerReflectionRequest",
            field("host", 1, STRING),
            field("file_by_filename", 3, STRING, **_CHOSEN),
            field("file_containing_symbol", 4, STRING, **_CHOSEN),
            field("file_containing_extension", 5, MESSAGE, f"{package}.ExtensionRequest", **_CHOSEN),
            field("all_extension_numbers_of_type", 6, STRING, **_CHOSEN),
            field("list_services", 7, STRING, **_CHOSEN),
            oneof_decl=[OneofDescriptorProto(name="message_request")],
        ),
        message("ExtensionRequest", field("containing_type", 1, STRING), field("extension_number", 2, INT32)),
    ]


def _reflection_response(package: str) -> list[DescriptorProto]:
    def answer(name: str, number: int, message: str) -> FieldDescriptorProto:
        return field(name, number, MESSAGE, f"{package}.{message}", **_CHOSEN)

    return [
        message(
            "ServerReflectionResponse",
            field("valid_host", 1, STRING),
            field("original_request", 2, MESSAGE, f"{package}.ServerReflectionRequest"),
            answer("file_descriptor_response", 4, "FileDescriptorResponse"),
            answer("all_extension_numbers_response", 5, "ExtensionNumberResponse"),
            answer("list_services_response", 6, "ListServiceResponse"),
            answer("error_response", 7, "ErrorResponse"),
            oneof_decl=[OneofDescriptorProto(name="message_response")],
        ),
        message("FileDescriptorResponse", field("file_descriptor_proto", 1, BYTES, **REPEATED)),
        message(
            "ExtensionNumberResponse",
            field("base_type_name", 1, STRING),
            field("extension_number", 2, INT32, **REPEATED),
        ),
        message("ListServiceResponse", field("service", 1, MESSAGE, f"{package}.ServiceResponse", **REPEATED)),
        message("ServiceResponse", field("name", 1, STRING)),
        message("ErrorResponse", field("error_code", 1, INT32), field("error_message", 2, STRING)),
    ]


def _pool() -> DescriptorPool:
    pool = DescriptorPool()
    for file in (_empty(), _plugin(), _health(), _reflection("v1"), _reflection("v1alpha")):
        pool.AddSerializedFile(file.SerializeToString())
    return pool


POOL = _pool()
"""The pool of these files alone; google.protobuf's default pool holds those of other modules too."""


def message_class(name: str) -> Any:
    """The message class of a fully qualified name such as `plugin.StdioData`."""
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(name))


def service_handler(name: str, **behaviors: Callable[..., Any]) -> grpc.GenericRpcHandler:
    """Handler of a service in the pool. Methods without a behaviour answer UNIMPLEMENTED.

    Args:
        name: Fully qualified name of the service.
        **behaviors: The function of each method, by the method's name.
    """
    return grpc.method_handlers_generic_handler(name, method_handlers(POOL.FindServiceByName(name), behaviors))
