"""Ctrl-C ends whatever a script waits for."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from channel_sync.conftest import Service
from waiting import LIMIT

PROGRAM = """
import sys
import grpc
from ferrule.channel.sync import insecure_channel

factory, wait, target = sys.argv[1:]
with (insecure_channel if factory == "ferrule" else grpc.insecure_channel)(target) as channel:
    hold = channel.unary_unary("/t/hold")
    stream = channel.unary_stream("/t/count_and_hold")
    try:
        {
            "call": lambda: hold(b""),
            "future": lambda: hold.future(b"").result(),
            "stream": lambda: next(stream(b"0")),
        }[wait]()
    except KeyboardInterrupt:
        pass
    # The channel is still open: it is the interrupt that ended the call.
    sys.exit(7 if channel.unary_unary("/t/has_ended")(b"") == b"True" else 8)
"""


# grpcio shows that the program is right; it sometimes misses an interrupt of the other two.
@pytest.mark.parametrize(
    ("factory", "wait"), [("grpcio", "call"), ("ferrule", "call"), ("ferrule", "future"), ("ferrule", "stream")]
)
def test_interrupt_ends_the_wait_and_the_call(factory: str, wait: str, target: str, service: Service) -> None:
    command = [sys.executable, "-c", PROGRAM, factory, wait, target]
    with subprocess.Popen(command, env={"PYTHONPATH": ":".join(filter(None, sys.path))}) as program:
        try:
            assert service.reached.wait(LIMIT)
            program.send_signal(signal.SIGINT)
            assert program.wait(2 * LIMIT) == 7
        finally:
            program.kill()
