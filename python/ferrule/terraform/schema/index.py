"""A provider's answer whose types are still bytes, under their names.

The schema of a large provider has 11 MB. All of it as messages takes ten times as much memory, and protobuf parses with
the interpreter's lock held. A map's messages are bytes on the wire, so that a parser whose descriptor says `bytes` for
them reads the names, and copies the rest.
"""

from functools import cache
from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from ferrule.terraform.messages import Protocol

__all__ = ["indexing_class"]


@cache
def indexing_class(protocol: Protocol, name: str) -> Any:
    """The class of the message `name` with bytes in place of the messages in its maps."""
    descriptor = protocol.message(name).DESCRIPTOR
    file = FileDescriptorProto.FromString(descriptor.file.serialized_pb)
    for message in file.message_type:
        _index_maps(message)
    pool = DescriptorPool()
    for imported in descriptor.file.dependencies:
        pool.AddSerializedFile(imported.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return GetMessageClass(pool.FindMessageTypeByName(descriptor.full_name))


def _index_maps(message: DescriptorProto) -> None:
    for inner in message.nested_type:
        _index_maps(inner)
    if message.options.map_entry:
        _key, value = message.field
        if value.type == FieldDescriptorProto.TYPE_MESSAGE:
            value.type = FieldDescriptorProto.TYPE_BYTES
            value.ClearField("type_name")
