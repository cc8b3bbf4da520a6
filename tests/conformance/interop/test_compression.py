"""gRPC's interoperability cases about compression.

No Python interface shows whether a message was compressed, so the bytes on the wire are counted. The server in Go
moreover refuses requests that are not as they say.
"""

from __future__ import annotations

from typing import Any

import pytest
from grpc import Compression, StatusCode

from conformance.interop import interop_pb2 as pb
from conformance.interop.links import Link, endpoints

pytestmark = pytest.mark.timeout(60)

REQUEST_SIZE, RESPONSE_SIZE = 271_828, 314_159

OVERHEAD = 4_096
"""Bytes below which the headers, pings and window updates of a call stay, and any of the payloads once compressed."""

# The relay that counts listens on a Unix socket.
COUNTED = endpoints(lambda peer: peer.transport != "tcp")
CHECKS_REQUESTS = endpoints(lambda peer: peer.server == "grpc-go")
# grpc-go compresses all messages of a stream or none.
COMPRESSES_SINGLE_MESSAGES = endpoints(lambda peer: peer.server == "grpcio" and peer.transport != "tcp")

YES, NO = pb.BoolValue(value=True), pb.BoolValue(value=False)


class Meter:
    """What crosses the wire from one reading to the next."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._last = link.traffic()

    def read(self) -> tuple[int, int]:
        """Bytes sent and received since the reading before."""
        last, self._last = self._last, self._link.traffic()
        return self._last.sent - last.sent, self._last.received - last.received


def holds(size: int, moved: int) -> bool:
    """Whether these bytes are a payload of this size and nothing else of weight."""
    return size <= moved < size + OVERHEAD


def zeros(size: int) -> pb.Payload:
    return pb.Payload(body=bytes(size))


def large_request(**fields: Any) -> pb.SimpleRequest:
    return pb.SimpleRequest(response_size=RESPONSE_SIZE, payload=zeros(REQUEST_SIZE), **fields)


@CHECKS_REQUESTS
@pytest.mark.parametrize("method", ["UnaryCall", "StreamingInputCall"])
async def test_server_notices_an_uncompressed_request(method: str, link: Link) -> None:
    if method == "UnaryCall":
        call = link.stub.UnaryCall(large_request(expect_compressed=YES))
    else:
        request = pb.StreamingInputCallRequest(payload=zeros(27_182), expect_compressed=YES)
        call = link.stub.StreamingInputCall([request])
    assert await call.code() is StatusCode.INVALID_ARGUMENT


@COUNTED
async def test_client_compressed_unary(counted_link: Link) -> None:
    unary, meter = counted_link.stub.UnaryCall, Meter(counted_link)
    compressed = await unary(large_request(expect_compressed=YES), compression=Compression.Gzip)
    sent, _ = meter.read()
    assert holds(0, sent)
    plain = await unary(large_request(expect_compressed=NO))
    sent, _ = meter.read()
    assert holds(REQUEST_SIZE, sent)
    assert len(compressed.payload.body) == len(plain.payload.body) == RESPONSE_SIZE


@COUNTED
async def test_client_compressed_streaming(counted_link: Link) -> None:
    def requests(expected: pb.BoolValue) -> list[pb.StreamingInputCallRequest]:
        return [pb.StreamingInputCallRequest(payload=zeros(n), expect_compressed=expected) for n in (27_182, 45_904)]

    streaming, meter = counted_link.stub.StreamingInputCall, Meter(counted_link)
    # grpc.aio has no switch for the single message.
    for compression, expected, size in ((Compression.Gzip, YES, 0), (None, NO, 73_086)):
        response = await streaming(requests(expected), compression=compression)
        sent, _ = meter.read()
        assert holds(size, sent)
        assert response.aggregated_payload_size == 73_086


@COUNTED
async def test_server_compressed_unary(counted_link: Link) -> None:
    meter = Meter(counted_link)
    for wanted, size in ((YES, 0), (NO, RESPONSE_SIZE)):
        response = await counted_link.stub.UnaryCall(large_request(response_compressed=wanted))
        _, received = meter.read()
        assert holds(size, received)
        assert len(response.payload.body) == RESPONSE_SIZE


@COMPRESSES_SINGLE_MESSAGES
async def test_server_compressed_streaming(counted_link: Link) -> None:
    parameters = [
        pb.ResponseParameters(size=31_415, compressed=YES),
        pb.ResponseParameters(size=92_653, compressed=NO),
    ]
    request = pb.StreamingOutputCallRequest(response_parameters=parameters)
    meter = Meter(counted_link)
    call = counted_link.stub.StreamingOutputCall(request)
    assert [len(response.payload.body) async for response in call] == [31_415, 92_653]
    _, received = meter.read()
    assert holds(92_653, received)
