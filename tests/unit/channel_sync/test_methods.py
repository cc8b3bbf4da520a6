"""A method's name goes to the server as it was given, whatever it looks like as a path."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from channel_sync.conftest import Factory
from ferrule import channel as native
from ferrule.channel.sync import insecure_channel
from waiting import LIMIT

NAMES: list[str | bytes] = [
    "/a/b",
    "/a/b#c",
    "#",
    "/a/b?c=d",
    "/a/b?c=d#e",
    "/a/b%20",
    "svc/Method",
    "NoSlash",
    "x",
    "/a/with space",
    " ",
    "/a/<b>",
    "/a/`b`",
    "/a/grün",
    "grün <b>",
    "/a/\x7f\t",
    "*",
    "**",
    "http://a/b",
    b"/a/bytes#",
    "/!&&&&&&&&&&&&&&&&&&&&&&&&",
    "#" * 127,
    "/a b" * 1000,
]


class Named(grpc.GenericRpcHandler):
    """Answers every call with its method's name and how much metadata came with it."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        name = handler_call_details.method

        def answer(_request: bytes, context: grpc.ServicerContext) -> bytes:
            size = sum(len(value) for key, value in context.invocation_metadata() if key.startswith("x-"))
            return f"{size} {name}".encode()

        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture
def named(temporary_directory: Path, no_leaks: None) -> Iterator[str]:
    options = [("grpc.max_metadata_size", 1 << 20), ("grpc.absolute_max_metadata_size", 1 << 20)]
    server = grpc.server(ThreadPoolExecutor(8), handlers=[Named()], options=options)
    target = f"unix:{temporary_directory}/named"
    server.add_insecure_port(target)
    server.start()
    yield target
    server.stop(None).wait(LIMIT)


def text(name: str | bytes) -> str:
    return name if isinstance(name, str) else name.decode()


@pytest.mark.parametrize("name", NAMES, ids=lambda name: text(name)[:30])
def test_name_arrives_as_it_was_given(name: Any, factory: Factory, named: str) -> None:
    with factory(named) as channel:
        for _ in range(2):
            assert channel.unary_unary(name)(b"", timeout=LIMIT).decode() == f"0 {text(name)}"


async def test_names_of_many_calls_at_once_are_not_mixed_up(named: str) -> None:
    names = [text(name) for name in NAMES] * 20
    # Of all sizes, so that some headers fill more than one frame.
    sizes = [number * 997 % 30_000 for number in range(len(names))]
    async with native.insecure_channel(named) as channel:
        calls = [
            channel.unary_unary(name)(b"", timeout=LIMIT, metadata=[("x-filler", "f" * size)])
            for name, size in zip(names, sizes, strict=True)
        ]
        answers = await asyncio.gather(*calls)
    assert [answer.decode() for answer in answers] == [
        f"{size} {name}" for name, size in zip(names, sizes, strict=True)
    ]


@pytest.mark.parametrize("name", ["", "/a/b\n", "/a\0b", "\r", "x" * 8193 + "#"])
def test_name_that_no_header_can_hold_is_refused(name: str, named: str) -> None:
    with insecure_channel(named) as channel:
        with pytest.raises(grpc.RpcError, match="no header can hold the method") as refused:
            channel.unary_unary(name)(b"", timeout=LIMIT)
        assert refused.value.code() is grpc.StatusCode.INTERNAL
        assert channel.unary_unary("/a/b")(b"", timeout=LIMIT) == b"0 /a/b"
