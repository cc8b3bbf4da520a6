"""A grpcio server in the test's own process, and channels to it: Ferrule's, and grpcio's as a control of the test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio

from ferrule import channel as ferrule_channel
from ferrule.channel import sync as ferrule_sync

Serve = Callable[..., Awaitable[str]]
"""Starts a server, given what adds services to it and its interceptors, and gives its target."""
Factory = Callable[..., Any]


@pytest.fixture(autouse=True)
def nothing_left_behind(no_leaks: None) -> None:
    """No thread may outlive its test."""


@pytest.fixture
async def serve(temporary_directory: Path) -> AsyncIterator[Serve]:
    """Runs a server until the end of the test, beyond that of its channels."""
    servers: list[aio.Server] = []

    async def start(*add_services: Callable[[aio.Server], None], interceptors: Sequence[Any] = ()) -> str:
        server = aio.server(interceptors=interceptors)
        servers.append(server)
        for add in add_services:
            add(server)
        target = f"unix:{temporary_directory}/server"
        server.add_insecure_port(target)
        await server.start()
        return target

    yield start
    for server in servers:
        await server.stop(None)


@pytest.fixture(params=[ferrule_channel.insecure_channel, aio.insecure_channel], ids=["ferrule", "grpcio"])
def connect(request: pytest.FixtureRequest) -> Factory:
    """Makes channels for asyncio."""
    factory: Factory = request.param
    return factory


@pytest.fixture(params=[ferrule_sync.insecure_channel, grpc.insecure_channel], ids=["ferrule", "grpcio"])
def connect_sync(request: pytest.FixtureRequest) -> Factory:
    """Makes channels that block; to be used on another thread, for the server needs the loop."""
    factory: Factory = request.param
    return factory
