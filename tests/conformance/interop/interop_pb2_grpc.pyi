# Written by hand: grpcio-tools makes no stub for its service code. A stub's methods are Any, because the same class
# serves a blocking channel and an asyncio one, whose calls have different types.
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio

from conformance.interop import interop_pb2

class TestServiceStub:
    EmptyCall: Any
    UnaryCall: Any
    StreamingOutputCall: Any
    StreamingInputCall: Any
    FullDuplexCall: Any
    UnimplementedCall: Any
    def __init__(self, channel: Any) -> None: ...

class UnimplementedServiceStub:
    UnimplementedCall: Any
    def __init__(self, channel: Any) -> None: ...

_Context = grpc.aio.ServicerContext[Any, Any]

class TestServiceServicer:
    async def EmptyCall(self, request: interop_pb2.Empty, context: _Context) -> interop_pb2.Empty: ...
    async def UnaryCall(self, request: interop_pb2.SimpleRequest, context: _Context) -> interop_pb2.SimpleResponse: ...
    def StreamingOutputCall(
        self, request: interop_pb2.StreamingOutputCallRequest, context: _Context
    ) -> AsyncIterator[interop_pb2.StreamingOutputCallResponse]: ...
    async def StreamingInputCall(
        self, request_iterator: AsyncIterator[interop_pb2.StreamingInputCallRequest], context: _Context
    ) -> interop_pb2.StreamingInputCallResponse: ...
    def FullDuplexCall(
        self, request_iterator: AsyncIterator[interop_pb2.StreamingOutputCallRequest], context: _Context
    ) -> AsyncIterator[interop_pb2.StreamingOutputCallResponse]: ...
    async def UnimplementedCall(self, request: interop_pb2.Empty, context: _Context) -> interop_pb2.Empty: ...

def add_TestServiceServicer_to_server(servicer: TestServiceServicer, server: grpc.aio.Server) -> None: ...
