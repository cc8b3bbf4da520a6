# Written by hand: grpcio-tools makes no stub for its service code. A stub's methods are Any, because the same class
# serves a blocking channel and an asyncio one, whose calls have different types.
from collections.abc import Iterator
from typing import Any

import grpc

from ferrule.testing import kv_pb2

class KVStub:
    Put: Any
    Get: Any
    Echo: Any
    Watch: Any
    Chat: Any
    Noise: Any
    Exit: Any
    def __init__(self, channel: Any) -> None: ...

class KVServicer:
    def Put(self, request: kv_pb2.PutRequest, context: grpc.ServicerContext) -> kv_pb2.PutResponse: ...
    def Get(self, request: kv_pb2.GetRequest, context: grpc.ServicerContext) -> kv_pb2.GetResponse: ...
    def Echo(self, request: kv_pb2.EchoRequest, context: grpc.ServicerContext) -> kv_pb2.EchoResponse: ...
    def Watch(self, request: kv_pb2.WatchRequest, context: grpc.ServicerContext) -> Iterator[kv_pb2.EchoResponse]: ...
    def Chat(
        self, request_iterator: Iterator[kv_pb2.EchoRequest], context: grpc.ServicerContext
    ) -> Iterator[kv_pb2.EchoResponse]: ...
    def Noise(self, request: kv_pb2.NoiseRequest, context: grpc.ServicerContext) -> kv_pb2.NoiseResponse: ...
    def Exit(self, request: kv_pb2.ExitRequest, context: grpc.ServicerContext) -> kv_pb2.ExitResponse: ...

def add_KVServicer_to_server(servicer: KVServicer, server: grpc.Server) -> None: ...
