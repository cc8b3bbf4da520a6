"""What a target stands for: grpcio and our channel reach the same server by the same text."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from channel_sync.conftest import Factory, Service
from ferrule.channel.sync import insecure_channel
from waiting import LIMIT


def _has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


@pytest.fixture
def places(service: Service, temporary_directory: Path, no_leaks: None) -> Iterator[dict[str, object]]:
    """Where a server listens, and a port at which nobody does."""
    server = grpc.server(ThreadPoolExecutor(4), handlers=[service])
    found: dict[str, object] = {"dir": temporary_directory, "port": server.add_insecure_port("127.0.0.1:0")}
    if _has_ipv6():
        found["six"] = server.add_insecure_port("[::1]:0")
    server.add_insecure_port(f"unix:{temporary_directory}/a%20b%3F%23")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        found["closed"] = nobody.getsockname()[1]
        server.start()
        yield found
        server.stop(None).wait(LIMIT)


@pytest.mark.parametrize(
    "target",
    [
        "unix:{dir}/a b%3F%23",
        "unix://{dir}/a%20b%3f%23?query#fragment",
        "UNIX:{dir}/a%20b%3F%23",
        "ipv4:127.0.0.1:{port}",
        "ipv4:127.0.0.1:{closed},127.0.0.1:{port}",
        "IPV4:///127.0.0.1:{port},",
        "DNS:///localhost:{port}",
        "dns:/localhost:{port}",
        "%6cocalhost:{port}",
        "localhost:{port}?query",
        "ipv6:[::1]:{six}",
        "ipv6:%5B::1%5D:{six}",
        "ipv6:[::1%25lo]:{six}",
        "[::1%lo]:{six}",
        "[::1%1]:{six}",
        "ipv6:[::1]:{closed},[::1]:{six}",
    ],
)
def test_server_is_reached(target: str, factory: Factory, places: dict[str, object]) -> None:
    if "{six}" in target and "six" not in places:
        pytest.skip("no IPv6")
    with factory(target.format_map(places)) as channel:
        assert channel.unary_unary("/t/echo")(b"here", timeout=LIMIT) == b"here"


@pytest.mark.parametrize(
    "target",
    [
        "ipv4:127.0.0.1",
        "ipv4:localhost:{port}",
        "unix://host{dir}/a",
        "dns://127.0.0.1/localhost:{port}",
        "[::1%nowhere]:1",
    ],
)
def test_target_that_cannot_be_used_is_named_by_the_call(target: str, places: dict[str, object]) -> None:
    with insecure_channel(target.format_map(places)) as channel:
        with pytest.raises(grpc.RpcError) as failed:
            channel.unary_unary("/t/echo")(b"", timeout=LIMIT)
        assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
        named = "nowhere" if "nowhere" in target else target.format_map(places)
        assert named in str(failed.value.details())
