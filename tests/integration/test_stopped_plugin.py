"""Plugins that are stopped, by the terminal or by somebody: the error says so, and by which signal."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ferrule.errors import StartTimeoutError
from integration.kv import kv_client

pytestmark = pytest.mark.timeout(60)

SIGNALS = ("STOP", "TSTP", "TTIN", "TTOU")


@pytest.mark.parametrize("name", SIGNALS)
async def test_stopped_plugin_is_named(name: str) -> None:
    client = kv_client(["/bin/sh", "-c", f"kill -{name} $$"], start_timeout=0.5)
    with pytest.raises(StartTimeoutError, match=rf"it is stopped by signal \d+ \(SIG{name}\)") as caught:
        await client.start()
    assert ("terminal" in str(caught.value)) == (name in ("TTIN", "TTOU"))


async def test_plugin_that_goes_on_is_not_called_stopped() -> None:
    script = "(sleep 0.1; kill -CONT $$) & kill -STOP $$; exec sleep 60"
    with pytest.raises(StartTimeoutError) as caught:
        await kv_client(["/bin/sh", "-c", script], start_timeout=1).start()
    assert "stopped" not in caught.value.message


HOST = """
import asyncio, fcntl, sys, termios
from ferrule.client import RPCPluginClient
from ferrule.errors import StartTimeoutError

fcntl.ioctl(0, termios.TIOCSCTTY, 0)
client = RPCPluginClient(["/bin/sh", "-c", "read line"], {"start_timeout": 0.5})
try:
    asyncio.run(client.start())
except StartTimeoutError as error:
    print(error)
"""


def test_plugin_that_reads_from_the_terminal() -> None:
    terminal, other_end = os.openpty()
    try:
        run = subprocess.run(
            [sys.executable, "-c", HOST],
            stdin=other_end,
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
            start_new_session=True,
        )
    finally:
        os.close(terminal)
        os.close(other_end)
    assert "it is stopped by signal 21 (SIGTTIN)" in run.stdout
    assert "/dev/null" in run.stdout
