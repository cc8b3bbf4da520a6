"""The interpreter's end while a daemon thread runs a loop, inside a callback that the core has called."""

from __future__ import annotations

import subprocess
import sys

import pytest

from stress.pinging_server import Pinging
from waiting import LIMIT

PROGRAM = """
import asyncio, atexit, sys, threading
from ferrule.channel import insecure_channel
from ferrule.client import ClientConnection

inside, leaving = threading.Event(), threading.Event()

def stay():
    inside.set()
    leaving.wait()
    for _ in range(300_000):  # Longer than the interpreter lets one thread run.
        pass

async def call():
    call = insecure_channel(sys.argv[1]).unary_unary("/t/echo")(b"x")
    call.add_done_callback(lambda _: stay())
    await call

async def receive():
    connection = await ClientConnection.open(sys.argv[1])
    await connection.receive_data()
    stay()
    await connection.receive_data()

threading.Thread(target=asyncio.run, args=[globals()[sys.argv[2]]()], daemon=True).start()
inside.wait()
atexit.register(leaving.set)
"""


@pytest.mark.parametrize("program", ["call", "receive"])
def test_exit_while_the_core_calls_python_on_a_daemon_thread(pinging: Pinging, program: str) -> None:
    """The interpreter unwinds such a thread by force, which must not happen through the core's frames."""
    for _ in range(3):
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM, pinging.target, program],
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT,
        )
        assert (run.returncode, run.stderr) == (0, "")
