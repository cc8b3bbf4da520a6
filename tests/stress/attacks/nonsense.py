"""Servers that say little, or nonsense."""

from __future__ import annotations

from stress.attacks.registry import LARGEST, attack, tolerated
from stress.hostile_server import (
    DATA,
    END_HEADERS,
    HEADERS,
    PREFACE,
    PUSH_PROMISE,
    RESPONSE,
    RST_STREAM,
    Victim,
    frame,
    message,
)


@tolerated
def silence(victim: Victim) -> None:
    victim.listen()
    victim.hold()


@tolerated
def silence_after_settings(victim: Victim) -> None:
    victim.settings()
    victim.listen()
    victim.hold()


@tolerated
def half_a_frame(victim: Victim) -> None:
    victim.begun()
    victim.send(frame(DATA, 0, 1, bytes(1000))[:500])
    victim.hold()


@attack
def close(_victim: Victim) -> None:
    pass


@attack
def close_after_settings(victim: Victim) -> None:
    victim.settings()


@attack
def close_in_a_frame(victim: Victim) -> None:
    victim.begun()
    victim.send(frame(DATA, 0, 1, bytes(1000))[:500])


@attack
def http_1_1(victim: Victim) -> None:
    victim.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    victim.listen()
    victim.hold()


@attack
def random_bytes(victim: Victim) -> None:
    victim.listen()
    victim.flood(lambda: victim.numbers.randbytes(4096))


@attack
def random_bytes_after_settings(victim: Victim) -> None:
    victim.settings()
    victim.listen()
    victim.flood(lambda: victim.numbers.randbytes(4096))


@attack
def random_frames(victim: Victim) -> None:
    numbers = victim.numbers
    victim.settings()
    victim.request()
    victim.listen()
    streams = (0, 1, 1, 1, 2, 3, 5, LARGEST)

    def one() -> bytes:
        payload = numbers.randbytes(numbers.choice((0, 4, 5, 8, numbers.randrange(200))))
        return frame(numbers.randrange(12), numbers.randrange(256), numbers.choice(streams), payload)

    victim.flood(one)


@attack
def random_headers(victim: Victim) -> None:
    numbers = victim.numbers
    victim.settings()
    victim.request()
    victim.listen()
    victim.flood(lambda: frame(HEADERS, END_HEADERS, 1, numbers.randbytes(numbers.randrange(1, 60))))


@attack
def echoed_preface(victim: Victim) -> None:
    victim.listen()
    victim.repeat(PREFACE)


@attack
def frame_too_large(victim: Victim) -> None:
    victim.begun()
    victim.repeat(b"\xff\xff\xff" + bytes((DATA, 0)) + (1).to_bytes(4, "big") + bytes(1 << 20))


@attack
def push_promise(victim: Victim) -> None:
    victim.begun()
    victim.repeat(frame(PUSH_PROMISE, END_HEADERS, 1, (2).to_bytes(4, "big") + RESPONSE))


@attack
def request_of_the_server(victim: Victim) -> None:
    victim.begun()
    victim.repeat(frame(HEADERS, END_HEADERS, 2, RESPONSE))


@attack
def data_on_an_idle_stream(victim: Victim) -> None:
    victim.begun()
    victim.repeat(frame(DATA, 0, 101, message(b"x")))


@attack
def data_on_stream_0(victim: Victim) -> None:
    victim.begun()
    victim.repeat(frame(DATA, 0, 0, message(b"x")))


@attack
def data_before_headers(victim: Victim) -> None:
    victim.settings()
    stream = victim.request()
    victim.listen()
    victim.repeat(frame(DATA, 0, stream, message(b"x")))


@attack
def data_after_a_reset(victim: Victim) -> None:
    stream = victim.begun()
    victim.send(frame(RST_STREAM, 0, stream, bytes(4)))
    victim.repeat(frame(DATA, 0, stream, message(b"x")))
