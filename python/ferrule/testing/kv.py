"""The plugin's own service, kv.KV."""

import os
import sys
import traceback
from collections.abc import Iterator
from typing import Any, NoReturn

import grpc

from ferrule.testing import kv_pb2, kv_pb2_grpc
from ferrule.testing.hclog import log

LINE_BYTES = 100
WRITE_BYTES = 65_536
"""Largest piece of a flood, so that a gigabyte of noise does not need a gigabyte of memory."""


class KV(kv_pb2_grpc.KVServicer):
    """A key-value store in memory that can also flood its output and die."""

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}

    def Put(self, request: kv_pb2.PutRequest, context: grpc.ServicerContext) -> kv_pb2.PutResponse:
        self._values[request.key] = request.value
        return kv_pb2.PutResponse()

    def Get(self, request: kv_pb2.GetRequest, context: grpc.ServicerContext) -> kv_pb2.GetResponse:
        if request.key not in self._values:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no value is stored under {request.key!r}; Put stores one")
        return kv_pb2.GetResponse(value=self._values[request.key])

    def Echo(self, request: kv_pb2.EchoRequest, context: grpc.ServicerContext) -> kv_pb2.EchoResponse:
        return kv_pb2.EchoResponse(payload=bytes(request.response_bytes) or request.payload)

    def Watch(self, request: kv_pb2.WatchRequest, context: grpc.ServicerContext) -> Iterator[kv_pb2.EchoResponse]:
        response = kv_pb2.EchoResponse(payload=bytes(request.size))
        for _ in range(request.count):
            yield response

    def Chat(
        self, request_iterator: Iterator[kv_pb2.EchoRequest], context: grpc.ServicerContext
    ) -> Iterator[kv_pb2.EchoResponse]:
        for request in request_iterator:
            yield self.Echo(request, context)

    def Noise(self, request: kv_pb2.NoiseRequest, context: grpc.ServicerContext) -> kv_pb2.NoiseResponse:
        _write_lines(1, request.stdout_bytes)
        _write_lines(2, request.stderr_bytes)
        if request.stderr_line_bytes:
            _write(2, b"x" * request.stderr_line_bytes + b"\n")
        for line in request.stderr_lines:
            _write(2, line.encode() + b"\n")
        print(request.synced_stdout, end="", flush=True)
        print(request.synced_stderr, end="", flush=True, file=sys.stderr)
        return kv_pb2.NoiseResponse()

    def Exit(self, request: kv_pb2.ExitRequest, context: grpc.ServicerContext) -> NoReturn:
        log("info", "exit requested", code=request.code, panic=request.panic)
        if request.panic:
            _panic(request.panic)
        os._exit(request.code & 0xFF)


def _panic(text: str) -> NoReturn:
    """Ends the process like an uncaught error, with the first line and the exit status of Go, which hosts recognise."""
    stack = "".join(traceback.format_stack())
    _write(2, f"panic: {text}\n\nTraceback (most recent call last):\n{stack}RuntimeError: {text}\n".encode())
    os._exit(2)


def _write_lines(descriptor: int, count: int) -> None:
    """Writes `count` bytes in lines of 100 bytes; the last line may be shorter."""
    line = b"x" * (LINE_BYTES - 1) + b"\n"
    block = line * (WRITE_BYTES // LINE_BYTES)
    blocks, rest = divmod(count, len(block))
    for _ in range(blocks):
        _write(descriptor, block)
    full, partial = divmod(rest, LINE_BYTES)
    _write(descriptor, line * full + line[LINE_BYTES - partial :])


def _write(descriptor: int, data: bytes) -> None:
    # Not by sys.stdout and sys.stderr, which go to the host over gRPC. A pipe may take less than all of the data.
    remaining: Any = memoryview(data)
    while remaining:
        remaining = remaining[os.write(descriptor, remaining) :]
