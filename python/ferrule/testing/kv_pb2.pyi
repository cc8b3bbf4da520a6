from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class PutRequest(_message.Message):
    __slots__ = ("key", "value")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    key: str
    value: bytes
    def __init__(self, key: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...

class PutResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetRequest(_message.Message):
    __slots__ = ("key",)
    KEY_FIELD_NUMBER: _ClassVar[int]
    key: str
    def __init__(self, key: _Optional[str] = ...) -> None: ...

class GetResponse(_message.Message):
    __slots__ = ("value",)
    VALUE_FIELD_NUMBER: _ClassVar[int]
    value: bytes
    def __init__(self, value: _Optional[bytes] = ...) -> None: ...

class EchoRequest(_message.Message):
    __slots__ = ("payload", "response_bytes")
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_BYTES_FIELD_NUMBER: _ClassVar[int]
    payload: bytes
    response_bytes: int
    def __init__(self, payload: _Optional[bytes] = ..., response_bytes: _Optional[int] = ...) -> None: ...

class EchoResponse(_message.Message):
    __slots__ = ("payload",)
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    payload: bytes
    def __init__(self, payload: _Optional[bytes] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("count", "size")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    count: int
    size: int
    def __init__(self, count: _Optional[int] = ..., size: _Optional[int] = ...) -> None: ...

class NoiseRequest(_message.Message):
    __slots__ = ("stdout_bytes", "stderr_bytes", "stderr_line_bytes", "synced_stdout", "synced_stderr", "stderr_lines")
    STDOUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    STDERR_BYTES_FIELD_NUMBER: _ClassVar[int]
    STDERR_LINE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SYNCED_STDOUT_FIELD_NUMBER: _ClassVar[int]
    SYNCED_STDERR_FIELD_NUMBER: _ClassVar[int]
    STDERR_LINES_FIELD_NUMBER: _ClassVar[int]
    stdout_bytes: int
    stderr_bytes: int
    stderr_line_bytes: int
    synced_stdout: str
    synced_stderr: str
    stderr_lines: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, stdout_bytes: _Optional[int] = ..., stderr_bytes: _Optional[int] = ..., stderr_line_bytes: _Optional[int] = ..., synced_stdout: _Optional[str] = ..., synced_stderr: _Optional[str] = ..., stderr_lines: _Optional[_Iterable[str]] = ...) -> None: ...

class NoiseResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ExitRequest(_message.Message):
    __slots__ = ("code", "panic")
    CODE_FIELD_NUMBER: _ClassVar[int]
    PANIC_FIELD_NUMBER: _ClassVar[int]
    code: int
    panic: str
    def __init__(self, code: _Optional[int] = ..., panic: _Optional[str] = ...) -> None: ...

class ExitResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
