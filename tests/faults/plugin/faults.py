"""What the plugin does wrong, and where: one fault at one step, given as JSON in the environment."""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

VARIABLE = "FERRULE_FAULT"
AT_STEP = "the plugin is at the step"
"""What the plugin says on standard error before its fault."""
GARBAGE_BYTES = 4096
EXIT_STATUS = 3


class ClosedError(Exception):
    """The connection is over, by this side or the other."""


class Layer(Protocol):
    """Bytes in both directions: a socket, a stream of a multiplexed session, TLS over either, or standard output."""

    def send(self, data: bytes) -> None: ...

    def receive(self) -> bytes:
        """Waits for bytes; empty at the end."""

    def close(self) -> None: ...


class OutputLayer:
    """Standard output, on which nothing is ever received."""

    def send(self, data: bytes) -> None:
        os.write(1, data)

    def receive(self) -> bytes:
        signal.pause()
        return b""

    def close(self) -> None:
        os.close(1)
        # The process lives on: only its output is over.
        while True:
            signal.pause()


@dataclass(frozen=True)
class Plan:
    """A fault and the step at which it happens."""

    step: str = ""
    fault: str = ""
    argument: int = 0
    times: int = 0
    """How often at most; 0: always."""
    tcp: bool = False
    first: str = ""
    """A file that the first process makes, which alone has the fault; empty: each has."""

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Plan:
        return cls(**json.loads(environment.get(VARIABLE, "{}")))


class Faults:
    """Carries out the plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._done = 0

    def due(self, step: str, *faults: str) -> bool:
        """Whether the plan has a fault here, one of these if any are given; counts it."""
        plan = self.plan
        if step != plan.step or (faults and plan.fault not in faults) or (plan.times and self._done >= plan.times):
            return False
        if plan.first:
            try:
                os.close(os.open(plan.first, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return False
        self._done += 1
        os.write(2, f"{AT_STEP} {step}\n".encode())
        return True

    def send(self, step: str, data: bytes, layer: Layer) -> None:
        """Sends what belongs to a step, or does what the plan has instead."""
        if self.plan.fault in OF_BYTES and self.due(step):
            OF_BYTES[self.plan.fault](data, layer)
        elif data:
            layer.send(data)


def _kill(_data: bytes, _layer: Layer) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _exit(_data: bytes, _layer: Layer) -> None:
    os.write(2, b"panic: on purpose\n")
    os._exit(EXIT_STATUS)


def _stop(data: bytes, layer: Layer) -> None:
    # To this thread: of a signal to the process another may hear first, while this one goes on.
    signal.raise_signal(signal.SIGSTOP)
    layer.send(data)


def _close(_data: bytes, layer: Layer) -> None:
    layer.close()
    raise ClosedError


def _hold(_data: bytes, layer: Layer) -> None:
    while layer.receive():
        pass
    raise ClosedError


def _half(then: Callable[[bytes, Layer], None]) -> Callable[[bytes, Layer], None]:
    def send(data: bytes, layer: Layer) -> None:
        layer.send(data[: len(data) // 2])
        then(b"", layer)

    return send


def _drip(data: bytes, layer: Layer) -> None:
    for byte in data:
        layer.send(bytes((byte,)))


def _garbage(_data: bytes, layer: Layer) -> None:
    layer.send(random.Random(0).randbytes(GARBAGE_BYTES))
    _hold(b"", layer)


def _words(_data: bytes, layer: Layer) -> None:
    layer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    _hold(b"", layer)


def _twice(data: bytes, layer: Layer) -> None:
    layer.send(data + data)


OF_BYTES: dict[str, Callable[[bytes, Layer], None]] = {
    "killed": _kill,
    "exits": _exit,
    "stopped": _stop,
    "closed": _close,
    "silent": _hold,
    "half, then silent": _half(_hold),
    "half, then closed": _half(_close),
    "half, then killed": _half(_kill),
    "byte by byte": _drip,
    "garbage": _garbage,
    "HTTP/1.1": _words,
    "twice": _twice,
}
"""Faults of whatever is sent at a step, and of the process that sends it."""
