"""Where attacks are filed, and the numbers that they share."""

from __future__ import annotations

from stress.hostile_server import Attack

ATTACKS: dict[str, Attack] = {}
"""All that every kind of call must survive, by name."""
OTHERS: dict[str, Attack] = {}
"""What needs a test of its own, and a server that behaves."""
TOLERATED: set[str] = set()
"""Attacks that break no rule, or none that must end the connection: a call lasts until its deadline."""

LARGEST = (1 << 31) - 1
MESSAGE_LIMIT = 4 << 20
FRAME_SIZE = 16_384
UNKNOWN = 0xFA
ENDLESS = b"\0" + MESSAGE_LIMIT.to_bytes(4, "big")
"""The prefix of the largest message that a client takes."""


def attack(function: Attack) -> Attack:
    ATTACKS[function.__name__] = function
    return function


def tolerated(function: Attack) -> Attack:
    TOLERATED.add(function.__name__)
    return attack(function)


def other(function: Attack) -> Attack:
    OTHERS[function.__name__] = function
    return function
