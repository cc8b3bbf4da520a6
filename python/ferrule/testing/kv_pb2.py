"""The messages of `kv.proto` under the names of generated code, made from descriptors for any release of protobuf.

The descriptors are in google.protobuf's default pool, like those of generated code.
"""

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileOptions

from ferrule.server.proto_file import (
    BYTES,
    INT32,
    REPEATED,
    STRING,
    UINT32,
    UINT64,
    field,
    message,
    method,
    service,
)

_FILE = FileDescriptorProto(
    name="ferrule/testing/kv.proto",
    package="kv",
    message_type=[
        message("PutRequest", field("key", 1, STRING), field("value", 2, BYTES)),
        message("PutResponse"),
        message("GetRequest", field("key", 1, STRING)),
        message("GetResponse", field("value", 1, BYTES)),
        message("EchoRequest", field("payload", 1, BYTES), field("response_bytes", 2, UINT32)),
        message("EchoResponse", field("payload", 1, BYTES)),
        message("WatchRequest", field("count", 1, UINT32), field("size", 2, UINT32)),
        message(
            "NoiseRequest",
            field("stdout_bytes", 1, UINT64),
            field("stderr_bytes", 2, UINT64),
            field("stderr_line_bytes", 3, UINT64),
            field("synced_stdout", 4, STRING),
            field("synced_stderr", 5, STRING),
            field("stderr_lines", 6, STRING, **REPEATED),
        ),
        message("NoiseResponse"),
        message("ExitRequest", field("code", 1, INT32), field("panic", 2, STRING)),
        message("ExitResponse"),
    ],
    service=[
        service(
            "KV",
            method("Put", ".kv.PutRequest", ".kv.PutResponse"),
            method("Get", ".kv.GetRequest", ".kv.GetResponse"),
            method("Echo", ".kv.EchoRequest", ".kv.EchoResponse"),
            method("Watch", ".kv.WatchRequest", ".kv.EchoResponse", server_streaming=True),
            method("Chat", ".kv.EchoRequest", ".kv.EchoResponse", client_streaming=True, server_streaming=True),
            method("Noise", ".kv.NoiseRequest", ".kv.NoiseResponse"),
            method("Exit", ".kv.ExitRequest", ".kv.ExitResponse"),
        )
    ],
    options=FileOptions(go_package="ferrule.example/goplugin/kvpb"),
    syntax="proto3",
)

DESCRIPTOR = descriptor_pool.Default().AddSerializedFile(_FILE.SerializeToString())

for _name, _described in DESCRIPTOR.message_types_by_name.items():
    _class = message_factory.GetMessageClass(_described)
    _class.__module__ = __name__  # For pickling, and for help().
    globals()[_name] = _class
