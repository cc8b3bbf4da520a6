"""The messages of gRPC server reflection, as descriptors."""

from typing import Any

from google.protobuf import descriptor_pb2, message_factory
from google.protobuf.descriptor_pool import DescriptorPool

__all__ = ["Request", "Response"]

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


Request, Response = _protocol_messages()
