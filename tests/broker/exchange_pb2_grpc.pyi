# Written by hand: grpcio-tools makes no stub for its service code. A stub's methods are Any, because the same class
# serves a blocking channel and an asyncio one, whose calls have different types.
from typing import Any

import grpc.aio

from broker import exchange_pb2

class CounterStub:
    Put: Any
    Get: Any
    Exchange: Any
    Files: Any
    def __init__(self, channel: Any) -> None: ...

class AddHelperStub:
    Sum: Any
    def __init__(self, channel: Any) -> None: ...

class WitnessStub:
    Identify: Any
    Release: Any
    def __init__(self, channel: Any) -> None: ...

_Context = grpc.aio.ServicerContext[Any, Any]

class CounterServicer:
    async def Put(self, request: exchange_pb2.PutRequest, context: _Context) -> exchange_pb2.PutResponse: ...
    async def Get(self, request: exchange_pb2.GetRequest, context: _Context) -> exchange_pb2.GetResponse: ...
    async def Exchange(
        self, request: exchange_pb2.ExchangeRequest, context: _Context
    ) -> exchange_pb2.ExchangeResponse: ...
    async def Files(self, request: exchange_pb2.FilesRequest, context: _Context) -> exchange_pb2.FilesResponse: ...

class AddHelperServicer:
    async def Sum(self, request: exchange_pb2.SumRequest, context: _Context) -> exchange_pb2.SumResponse: ...

class WitnessServicer:
    async def Identify(
        self, request: exchange_pb2.IdentifyRequest, context: _Context
    ) -> exchange_pb2.IdentifyResponse: ...
    async def Release(
        self, request: exchange_pb2.ReleaseRequest, context: _Context
    ) -> exchange_pb2.ReleaseResponse: ...

def add_CounterServicer_to_server(servicer: CounterServicer, server: grpc.aio.Server) -> None: ...
def add_AddHelperServicer_to_server(servicer: AddHelperServicer, server: grpc.aio.Server) -> None: ...
def add_WitnessServicer_to_server(servicer: WitnessServicer, server: grpc.aio.Server) -> None: ...
