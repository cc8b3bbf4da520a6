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

def stay_for_ever():
    inside.set()
    while True:
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

async def compute_after_call():
    await insecure_channel(sys.argv[1]).unary_unary("/t/echo")(b"x")
    stay_for_ever()

async def compute_after_receiving():
    connection = await ClientConnection.open(sys.argv[1])
    await connection.receive_data()
    await connection.send_data(b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
    await connection.receive_data()  # The answer, which takes a turn of the loop.
    stay_for_ever()

threading.Thread(target=asyncio.run, args=[globals()[sys.argv[2]]()], daemon=True).start()
inside.wait()
atexit.register(leaving.set)
"""


@pytest.mark.parametrize("program", ["call", "receive", "compute_after_call", "compute_after_receiving"])
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
