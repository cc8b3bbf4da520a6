"""The two parsers on every plugin's path, each beside a rival in plain Python.

`formats.py` beside it runs them. Both sides of a pair get the same input and must give the same answer, so a
parser that became fast by leaving something out fails here.
"""

import base64
import struct
from collections.abc import Callable
from typing import Protocol

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from ferrule import Certificate, _core

# A real one: the core makes sure that it is a certificate, the rival does not.
CERTIFICATE_DER = Certificate.generate().certificate_der
CERTIFICATE_FIELD = base64.b64encode(CERTIFICATE_DER).rstrip(b"=")
LINE_PLAIN = b"1|1|unix|/tmp/plugin3345363170|grpc|\n"
LINE_MTLS = b"1|1|unix|/tmp/plugin3345363170|grpc|" + CERTIFICATE_FIELD + b"\n"

MAX_FRAME_BYTES = 4 * 1024 * 1024
HEADER = struct.Struct(">BI")  # compressed flag, length of the message
# The size in which an HTTP/2 connection with default settings delivers data.
CHUNK_BYTES = 16384

Handshake = tuple[int, int, str, str, str, bytes | None]


class Decoder(Protocol):
    """What both frame decoders offer."""

    def feed(self, data: bytes, /) -> list[bytes]:
        """Take bytes as they arrive; return the messages they complete."""


def python_handshake(line: bytes) -> Handshake:
    """The handshake line by the rules of go-plugin, without its error texts."""
    fields = line.strip().decode().split("|")
    if len(fields) < 4:
        raise ValueError(f"{line!r} has {len(fields)} fields, expected at least 4")
    core, app = int(fields[0]), int(fields[1])
    network, address = fields[2], fields[3]
    if core != 1 or network not in ("unix", "tcp"):
        raise ValueError(f"core version {core} on {network!r}, expected 1 on 'unix' or 'tcp'")
    protocol = fields[4] if len(fields) > 4 else "netrpc"
    certificate = None
    if len(fields) > 5 and len(fields[5]) > 50:
        text = fields[5].rstrip("=")
        certificate = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    return core, app, network, address, protocol, certificate


def core_handshake(line: bytes) -> Handshake:
    """The same line through the Rust parser, read out field by field, as its caller has to."""
    app, network, address, certificate = _core.parse_handshake(line, [1])
    return 1, app, network, address, "grpc", certificate


class PythonDecoder:
    """Length-prefixed gRPC messages out of chunks that break anywhere."""

    def __init__(self, max_frame_bytes: int) -> None:
        self._buffer = bytearray()
        self._max_frame_bytes = max_frame_bytes

    def feed(self, data: bytes) -> list[bytes]:
        self._buffer += data
        messages = []
        begin = 0
        while len(self._buffer) - begin >= HEADER.size:
            _, length = HEADER.unpack_from(self._buffer, begin)
            if length > self._max_frame_bytes:
                raise ValueError(f"message of {length} bytes, expected at most {self._max_frame_bytes}")
            end = begin + HEADER.size + length
            if len(self._buffer) < end:
                break
            messages.append(bytes(memoryview(self._buffer)[begin + HEADER.size : end]))
            begin = end
        del self._buffer[:begin]
        return messages


def chunks(messages: list[bytes]) -> list[bytes]:
    """Frame the messages and cut the stream where HTTP/2 would."""
    stream = b"".join(HEADER.pack(0, len(message)) + message for message in messages)
    return [stream[begin : begin + CHUNK_BYTES] for begin in range(0, len(stream), CHUNK_BYTES)]


def decode(make_decoder: Callable[[int], Decoder], pieces: list[bytes]) -> list[bytes]:
    """Push all pieces through a fresh decoder."""
    decoder = make_decoder(MAX_FRAME_BYTES)
    return [message for piece in pieces for message in decoder.feed(piece)]


@pytest.mark.parametrize("parse", [core_handshake, python_handshake], ids=["ferrule", "pure Python"])
@pytest.mark.parametrize(
    ("line", "certificate"), [(LINE_PLAIN, None), (LINE_MTLS, CERTIFICATE_DER)], ids=["plain", "mtls"]
)
def test_handshake_line(
    benchmark: BenchmarkFixture, parse: Callable[[bytes], Handshake], line: bytes, certificate: bytes | None
) -> None:
    benchmark.group = f"handshake line {'with a certificate' if certificate else 'without a certificate'}"
    benchmark.extra_info["side"] = "ferrule" if parse is core_handshake else "pure Python"
    parsed = benchmark(parse, line)
    assert parsed == (1, 1, "unix", "/tmp/plugin3345363170", "grpc", certificate)


@pytest.mark.parametrize("make_decoder", [_core.FrameDecoder, PythonDecoder], ids=["ferrule", "pure Python"])
@pytest.mark.parametrize("messages", [[bytes(64)] * 1024, [bytes(1024 * 1024)]], ids=["1024x64B", "1x1MiB"])
def test_frame_decoder(
    benchmark: BenchmarkFixture, make_decoder: Callable[[int], Decoder], messages: list[bytes]
) -> None:
    benchmark.group = f"gRPC framing, {'1,024 messages of 64 B' if len(messages) > 1 else '1 message of 1 MiB'}"
    benchmark.extra_info["side"] = "pure Python" if make_decoder is PythonDecoder else "ferrule"
    assert benchmark(decode, make_decoder, chunks(messages)) == messages
