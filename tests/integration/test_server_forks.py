"""What remains of a plugin's sockets: all after a fork whose child forgets them, nothing after a close."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import warnings
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from ferrule import _core
from ferrule._mailbox import mailbox, outcome
from ferrule.server import ServerConfig
from ferrule.server.negotiation import negotiate
from ferrule.server.services import StandardServices
from ferrule.server.stdio import Output
from peers import EXCHANGE_CONFIG
from waiting import LIMIT


def listening(multiplex: bool) -> _core.PluginServer:
    """The core of a plugin without TLS, not started."""
    environment = {"PLUGIN_MULTIPLEX_GRPC": "true"} if multiplex else {}
    settings = negotiate(ServerConfig.of(EXCHANGE_CONFIG), (1,), environment).core_settings
    return _core.PluginServer(settings, mailbox(), lambda: None)


async def forked(work: Callable[[], object]) -> None:
    """Does something in a child that ends without cleaning up, as those of multiprocessing do."""
    with warnings.catch_warnings():
        # From Python 3.12 on a fork of a process with threads is warned of.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            work()
            gc.collect()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = await asyncio.wait_for(asyncio.to_thread(os.waitpid, child, 0), LIMIT)
    assert os.waitstatus_to_exitcode(status) == 0


@pytest.mark.parametrize("forgotten", ["listener", "broker", "server", "all"])
async def test_fork_that_forgets_leaves_the_sockets(forgotten: str) -> None:
    server = listening(multiplex=False)
    held: dict[str, Any] = {"server": server}
    del server
    facts = await outcome(held["server"].start)
    held["broker"] = held["server"].broker()
    held["listener"] = listener = await outcome(lambda *to: held["broker"].accept(1, *to))
    # Where a server of Python's would listen.
    Path(listener.backend).touch()
    Path(facts.backend).touch()
    paths = [Path(path) for path in (facts.address, facts.backend, listener.address, listener.backend)]
    del listener
    # The future of the operation, whose result it is, goes with this turn of the loop.
    await asyncio.sleep(0)
    assert [path.exists() for path in paths] == [True] * 4

    await forked(held.clear if forgotten == "all" else lambda: held.pop(forgotten))
    assert [path.exists() for path in paths] == [True] * 4
    await outcome(held["listener"].close)
    await outcome(held["server"].close)
    assert [path.exists() for path in paths] == [False] * 4


async def test_messages_that_a_stream_did_not_send_are_for_the_next() -> None:
    server = listening(multiplex=False)
    await outcome(server.start)
    listeners = [await outcome(lambda *to, number=number: server.broker().accept(number, *to)) for number in (1, 2, 3)]
    services = StandardServices(Output(), server.broker_stream, lambda: None, ())
    never: Any = endless()
    sent = []
    for _ in listeners:
        call = services.broker_messages(never)
        sent.append(await asyncio.wait_for(anext(call), LIMIT))
        await call.aclose()
    # Field 1, a number of one byte.
    assert [message[:2] for message in sent] == [b"\x08\x01", b"\x08\x02", b"\x08\x03"]
    for listener in listeners:
        await outcome(listener.close)
    await outcome(server.close)


async def endless() -> AsyncIterator[bytes]:
    """A host that says nothing."""
    await asyncio.Event().wait()
    yield b""


@pytest.mark.parametrize("dialled", [False, True], ids=["never dialled", "dialled"])
async def test_closed_multiplexed_server_leaves_no_socket(dialled: bool) -> None:
    server = listening(multiplex=True)
    facts = await outcome(server.start)
    with socket.socket(socket.AF_UNIX) as host:
        host.settimeout(LIMIT)
        if dialled:
            host.connect(facts.address)
        await outcome(server.close)
        assert not Path(facts.address).exists()
        if dialled:
            # The end, which is a reset if it came before the connection was accepted.
            with contextlib.suppress(ConnectionResetError):
                while await asyncio.to_thread(host.recv, 1024):
                    pass
        else:
            with pytest.raises(OSError, match=r"No such file|refused"):
                host.connect(facts.address)
