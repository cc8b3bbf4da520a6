"""What the interoperability tests get: a server that runs, and a channel to it."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from conformance.interop.links import Link, Peer


@dataclass(frozen=True)
class Endpoint:
    """A peer whose server runs, unless it is a plugin, which runs as long as the channel to it."""

    peer: Peer
    address: str | None


@pytest.fixture(autouse=True)
def nothing_left_behind(no_leaks: None) -> None:
    """No plugin, child process or thread may outlive its test."""


@pytest.fixture(scope="module")
def endpoint(request: pytest.FixtureRequest) -> Iterator[Endpoint]:
    """A running server."""
    peer: Peer = request.param
    with tempfile.TemporaryDirectory(prefix="fi-", dir="/tmp") as directory:
        with peer.serving(Path(directory)) as address:
            yield Endpoint(peer, address)


@pytest.fixture
async def link(endpoint: Endpoint, temporary_directory: Path) -> AsyncIterator[Link]:
    """A channel to the server."""
    async with endpoint.peer.connected(endpoint.address, temporary_directory) as link:
        yield link


@pytest.fixture
async def counted_link(endpoint: Endpoint, temporary_directory: Path) -> AsyncIterator[Link]:
    """A channel whose traffic is counted."""
    async with endpoint.peer.connected(endpoint.address, temporary_directory, counted=True) as link:
        yield link
