"""Bodies that would cost a client more than they cost the server."""

from __future__ import annotations

import zlib

from stress.attacks.registry import ENDLESS, FRAME_SIZE, UNKNOWN, attack, tolerated
from stress.hostile_server import DATA, END_HEADERS, HEADERS, PADDED, RESPONSE, Victim, frame, header, message


@attack
def one_byte_frames(victim: Victim) -> None:
    """Of one message, and then of none."""
    stream = victim.begun()
    # So little that a stream takes it although nobody reads.
    victim.send(frame(DATA, 0, stream, b"\0" + (1_000_000).to_bytes(4, "big")))
    victim.stream_data(stream, 6000, frame(DATA, 0, stream, b"x") * 6000)


@tolerated
def one_byte_frames_among_others(victim: Victim) -> None:
    """Whoever keeps the byte may keep all that was read together with it."""
    stream = victim.begun()
    victim.send(frame(DATA, 0, stream, ENDLESS))
    victim.stream_data(stream, 1, frame(DATA, 0, stream, b"x") + frame(UNKNOWN, 0, 0, bytes(8000)))


@tolerated
def padded_frames(victim: Victim) -> None:
    stream = victim.begun()
    victim.send(frame(DATA, 0, stream, ENDLESS))
    victim.stream_data(stream, 257, frame(DATA, PADDED, stream, b"\xffx" + bytes(255)))


@attack
def empty_data(victim: Victim) -> None:
    stream = victim.begun()
    victim.repeat(frame(DATA, 0, stream))


@attack
def html(victim: Victim) -> None:
    victim.settings()
    stream = victim.request()
    victim.listen()
    victim.send(frame(HEADERS, END_HEADERS, stream, b"\x88" + header(b"content-type", b"text/html")))
    victim.repeat(frame(DATA, 0, stream, b"<html>" * 1000))


@attack
def error_page_without_end(victim: Victim) -> None:
    victim.settings()
    stream = victim.request()
    victim.listen()
    victim.send(frame(HEADERS, END_HEADERS, stream, header(b":status", b"503")))
    victim.stream_data(stream, FRAME_SIZE, frame(DATA, 0, stream, bytes(FRAME_SIZE)))


@attack
def announced_4_gib(victim: Victim) -> None:
    stream = victim.begun()
    victim.send(frame(DATA, 0, stream, b"\0\xff\xff\xff\xff"))
    victim.hold()


def bomb(window_bits: int) -> bytes:
    """1 GiB of zeros, compressed to 1 MiB."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, window_bits)
    head = compressor.compress(bytes(1 << 20)) + compressor.flush(zlib.Z_FULL_FLUSH)
    again = compressor.compress(bytes(1 << 20)) + compressor.flush(zlib.Z_FULL_FLUSH)
    return head + again * 1023


def _send_compressed(victim: Victim, encoding: bytes, data: bytes) -> None:
    victim.settings()
    stream = victim.request()
    victim.listen()
    victim.send(frame(HEADERS, END_HEADERS, stream, RESPONSE + header(b"grpc-encoding", encoding)))
    for start in range(0, len(data), FRAME_SIZE):
        victim.send(frame(DATA, 0, stream, data[start : start + FRAME_SIZE]))
    victim.hold()


@attack
def gzip_bomb(victim: Victim) -> None:
    _send_compressed(victim, b"gzip", message(bomb(31), compressed=True))


@attack
def deflate_bomb(victim: Victim) -> None:
    _send_compressed(victim, b"deflate", message(bomb(15), compressed=True))
