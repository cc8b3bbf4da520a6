"""Floods of frames that a client must handle."""

from __future__ import annotations

from stress.attacks.registry import FRAME_SIZE, LARGEST, UNKNOWN, attack, tolerated
from stress.hostile_server import ACK, GOAWAY, PING, PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE, Victim, frame


@tolerated
def settings_flood(victim: Victim) -> None:
    victim.begun()
    victim.repeat(frame(SETTINGS, 0, 0))


@tolerated
def settings_flood_unread(victim: Victim) -> None:
    """Nobody takes the acknowledgements."""
    victim.settings()
    victim.request()
    victim.repeat(frame(SETTINGS, 0, 0))


@tolerated
def large_settings(victim: Victim) -> None:
    victim.begun()
    unknown = (0xF000).to_bytes(2, "big") + bytes(4)
    victim.repeat(frame(SETTINGS, 0, 0, unknown * 10_000))


@tolerated
def table_sizes(victim: Victim) -> None:
    """The client's encoder shall keep a table of 4 GiB, or none."""
    victim.begun()
    sizes = [(1).to_bytes(2, "big") + size.to_bytes(4, "big") for size in (0xFFFFFFFF, 0)]
    victim.repeat(b"".join(frame(SETTINGS, 0, 0, size) for size in sizes))


@attack
def acknowledgements(victim: Victim) -> None:
    """Of settings that nobody sent."""
    victim.begun()
    victim.repeat(frame(SETTINGS, ACK, 0))


@tolerated
def ping_flood(victim: Victim) -> None:
    victim.begun()
    victim.repeat(frame(PING, 0, 0, b"whatever"))


@tolerated
def ping_flood_unread(victim: Victim) -> None:
    victim.settings()
    victim.request()
    victim.repeat(frame(PING, 0, 0, b"whatever"))


@tolerated
def pong_flood(victim: Victim) -> None:
    victim.begun()
    victim.repeat(frame(PING, ACK, 0, b"whatever"))


@attack
def reset_flood(victim: Victim) -> None:
    stream = victim.begun()
    victim.repeat(frame(RST_STREAM, 0, stream, (8).to_bytes(4, "big")))


@attack
def resets_of_idle_streams(victim: Victim) -> None:
    victim.begun()
    streams = iter(range(3, LARGEST, 2))
    victim.flood(lambda: frame(RST_STREAM, 0, next(streams), bytes(4)))


@tolerated
def priority_flood(victim: Victim) -> None:
    victim.begun()
    victim.repeat(frame(PRIORITY, 0, 1, bytes(5)))


@tolerated
def unknown_frames(victim: Victim) -> None:
    victim.begun()
    victim.repeat(frame(UNKNOWN, 0xFF, 1, bytes(FRAME_SIZE)))


@tolerated
def window_updates_by_1(victim: Victim) -> None:
    victim.begun()
    victim.repeat(frame(WINDOW_UPDATE, 0, 0, (1).to_bytes(4, "big")))


@attack
def window_updates_by_0(victim: Victim) -> None:
    stream = victim.begun()
    victim.repeat(frame(WINDOW_UPDATE, 0, stream, bytes(4)))


@attack
def window_overflow(victim: Victim) -> None:
    victim.begun()
    victim.repeat(frame(WINDOW_UPDATE, 0, 0, LARGEST.to_bytes(4, "big")))


@tolerated
def window_overflow_of_a_stream(victim: Victim) -> None:
    stream = victim.begun()
    victim.repeat(frame(WINDOW_UPDATE, 0, stream, LARGEST.to_bytes(4, "big")))


@tolerated
def goaway_flood(victim: Victim) -> None:
    victim.begun()
    victim.repeat(frame(GOAWAY, 0, 0, LARGEST.to_bytes(4, "big") + bytes(4) + b"debug data"))


@attack
def goaway_loop(victim: Victim) -> None:
    """Nothing was processed, on no connection: a client that retries for ever would be caught."""
    victim.settings()
    victim.request()
    victim.listen()
    victim.send(frame(GOAWAY, 0, 0, bytes(8)))
    victim.hold()


@attack
def goaway_with_much_to_say(victim: Victim) -> None:
    victim.begun()
    error = LARGEST.to_bytes(4, "big") + (2).to_bytes(4, "big")
    victim.send(frame(GOAWAY, 0, 0, error + b"\xff" * (FRAME_SIZE - len(error))))


@tolerated
def no_streams_admitted(victim: Victim) -> None:
    victim.settings((3, 0), (4, 0))
    victim.listen()
    victim.hold()
