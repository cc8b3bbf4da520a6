"""What needs a test of its own: correct messages without end, and servers that answer some calls."""

from __future__ import annotations

import zlib

from stress.attacks.messages import bomb
from stress.attacks.registry import FRAME_SIZE, LARGEST, MESSAGE_LIMIT, OTHERS, other
from stress.hostile_server import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    OK_TRAILERS,
    RESPONSE,
    WINDOW_UPDATE,
    Attack,
    Victim,
    frame,
    header,
    message,
)


def _messages(count: int, one: bytes) -> Attack:
    def messages(victim: Victim) -> None:
        stream = victim.begun()
        victim.stream_data(stream, count * len(one), frame(DATA, 0, stream, one * count))

    return messages


def _zipped(victim: Victim) -> None:
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    zipped = compressor.compress(bytes(MESSAGE_LIMIT)) + compressor.flush()
    victim.settings()
    stream = victim.request()
    victim.listen()
    victim.send(frame(HEADERS, END_HEADERS, stream, RESPONSE + header(b"grpc-encoding", b"gzip")))
    one = message(zipped, compressed=True)
    victim.stream_data(stream, len(one), frame(DATA, 0, stream, one))


OTHERS |= {
    "messages_of_0_bytes": _messages(3000, message(b"")),
    "messages_of_1_byte": _messages(2500, message(b"x")),
    "messages_of_16_kib": _messages(1, message(bytes(FRAME_SIZE - 5))),
    "messages_of_4_mib_zipped": _zipped,
}


def _answer(stream: int) -> tuple[bytes, ...]:
    return (
        frame(HEADERS, END_HEADERS, stream, RESPONSE),
        frame(DATA, 0, stream, message(b"x")),
        frame(HEADERS, END_HEADERS | END_STREAM, stream, OK_TRAILERS),
    )


@other
def polite(victim: Victim) -> None:
    """Answers every request with one byte, as it should be."""
    victim.settings()
    for stream in victim.requests():
        victim.send(*_answer(stream))


@other
def deaf_and_wrong(victim: Victim) -> None:
    """Admits a large request, takes none of it, and breaks a rule: the client cannot even say goodbye."""
    victim.settings((4, LARGEST))
    victim.request()
    victim.send(frame(WINDOW_UPDATE, 0, 0, (1 << 30).to_bytes(4, "big")))
    victim.deafen()
    victim.send(frame(DATA, 0, 0, b"x"))
    victim.hold()


@other
def deaf(victim: Victim) -> None:
    """The same without the last step: it just never reads again."""
    victim.settings((4, LARGEST))
    victim.request()
    victim.send(frame(WINDOW_UPDATE, 0, 0, (1 << 30).to_bytes(4, "big")))
    victim.hold()


@other
def messages_beyond_the_window(victim: Victim) -> None:
    stream = victim.begun()
    victim.repeat(frame(DATA, 0, stream, message(bytes(FRAME_SIZE - 5))))


@other
def late_data(victim: Victim) -> None:
    """One message for the first call, then nothing but more of it; the others are answered between."""
    victim.settings()
    requests = victim.requests()
    first = next(requests)
    victim.send(frame(HEADERS, END_HEADERS, first, RESPONSE), frame(DATA, 0, first, message(b"x")))
    for stream in requests:
        victim.send(frame(DATA, 0, first, message(b"x")) * 1000)
        victim.send(*_answer(stream))


@other
def many_bombs(victim: Victim) -> None:
    """A compressed answer to every request, large in either form."""
    # 100 kB of the bomb are 100 MiB of zeros.
    data = message(bomb(31)[:100_000], compressed=True)
    victim.settings()
    for stream in victim.requests():
        victim.send(
            frame(HEADERS, END_HEADERS, stream, RESPONSE + header(b"grpc-encoding", b"gzip")),
            frame(DATA, 0, stream, data),
        )
