"""Call credentials: metadata from plugins, on channels with TLS."""

from __future__ import annotations

import asyncio
import threading
from ast import literal_eval
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from grpc import aio

from ferrule import TLSConfig
from ferrule.channel import secure_channel
from integration.certificates import issue
from reference import WITH_GRPCIO

OVERRIDE = (("grpc.ssl_target_name_override", "localhost"),)

Authority = tuple[str, bytes]


@pytest_asyncio.fixture
async def secure(peer: Any, temporary_directory: Path) -> AsyncIterator[Authority]:
    """A server with TLS beside the plain one: its target, and the certificate to trust."""
    authority = issue("authority", authority=True)
    leaf = issue("localhost", by=authority)
    credentials = grpc.ssl_server_credentials([(leaf.key_pem, leaf.certificate_pem)])
    server = aio.server()
    server.add_generic_rpc_handlers((peer,))
    target = f"unix:{temporary_directory}/secure"
    server.add_secure_port(target, credentials)
    await server.start()
    yield target, authority.certificate_pem
    await server.stop(None)


@pytest.fixture(params=["ferrule", pytest.param("grpcio", marks=WITH_GRPCIO)])
def factory(request: pytest.FixtureRequest) -> Callable[..., aio.Channel]:
    made: Callable[..., aio.Channel] = secure_channel if request.param == "ferrule" else aio.secure_channel
    return made


class Token(grpc.AuthMetadataPlugin):
    def __init__(self, pair: tuple[str, str]) -> None:
        self.pair = pair
        self.asked: list[tuple[str, str]] = []

    def __call__(self, context: grpc.AuthMetadataContext, callback: grpc.AuthMetadataPluginCallback) -> None:
        self.asked.append((context.service_url, context.method_name))
        callback((self.pair,), None)


class Refusal(grpc.AuthMetadataPlugin):
    def __call__(self, _context: grpc.AuthMetadataContext, callback: grpc.AuthMetadataPluginCallback) -> None:
        callback((), RuntimeError("no token today"))


async def test_of_a_call(factory: Any, secure: Authority) -> None:
    target, ca = secure
    plugin = Token(("x-token", "one"))
    async with factory(target, grpc.ssl_channel_credentials(ca), OVERRIDE) as channel:
        call = channel.unary_unary("/test/uu_metadata")(
            b"", metadata=(("x-own", "two"),), credentials=grpc.metadata_call_credentials(plugin), timeout=20
        )
        assert sorted(literal_eval((await call).decode())) == [("x-own", "two"), ("x-token", "one")]
    assert plugin.asked == [("https://localhost/test", "uu_metadata")]


async def test_of_a_channel_and_of_a_call(factory: Any, secure: Authority) -> None:
    target, ca = secure
    every, one = (grpc.metadata_call_credentials(Token((f"x-{name}", name))) for name in ("every", "one"))
    both = grpc.composite_channel_credentials(grpc.ssl_channel_credentials(ca), every)
    async with factory(target, both, OVERRIDE) as channel:
        call = channel.unary_unary("/test/uu_metadata")(b"")
        assert literal_eval((await call).decode()) == [("x-every", "every")]
        call = channel.unary_unary("/test/uu_metadata")(b"", credentials=one)
        assert sorted(literal_eval((await call).decode())) == [("x-every", "every"), ("x-one", "one")]


async def test_all_kinds_of_calls(factory: Any, secure: Authority) -> None:
    target, ca = secure
    credentials = grpc.metadata_call_credentials(Token(("x-token", "one")))
    async with factory(target, grpc.ssl_channel_credentials(ca), OVERRIDE) as channel:
        stream = channel.unary_stream("/test/us_count")(b"3", credentials=credentials)
        assert [message async for message in stream] == [b"0", b"1", b"2"]
        assert await channel.stream_unary("/test/su_join")([b"a", b"b"], credentials=credentials) == b"ab"
        call = channel.stream_stream("/test/ss_echo")(credentials=credentials)
        assert isinstance(call, aio.StreamStreamCall)
        await call.write(b"c")
        assert await call.read() == b"c"
        await call.done_writing()
        assert await call.read() is aio.EOF


async def test_a_plugin_that_fails(factory: Any, secure: Authority) -> None:
    target, ca = secure
    async with factory(target, grpc.ssl_channel_credentials(ca), OVERRIDE) as channel:
        call = channel.unary_unary("/test/uu_echo")(b"", credentials=grpc.metadata_call_credentials(Refusal()))
        with pytest.raises(aio.AioRpcError) as caught:
            await call
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "no token today" in (caught.value.details() or "")


async def test_a_plugin_that_takes_too_long(factory: Any, secure: Authority) -> None:
    target, ca = secure
    answered = threading.Event()

    class Late(grpc.AuthMetadataPlugin):
        def __call__(self, _context: grpc.AuthMetadataContext, callback: grpc.AuthMetadataPluginCallback) -> None:
            threading.Thread(target=self.answer, args=(callback,)).start()

        def answer(self, callback: grpc.AuthMetadataPluginCallback) -> None:
            answered.wait()
            callback((), None)

    async with factory(target, grpc.ssl_channel_credentials(ca), OVERRIDE) as channel:
        call = channel.unary_unary("/test/uu_echo")(
            b"", credentials=grpc.metadata_call_credentials(Late()), timeout=0.2
        )
        assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        answered.set()


async def test_cancelled_while_the_plugin_thinks(secure: Authority, within: Any) -> None:
    target, ca = secure
    asked, answered = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    class Late(grpc.AuthMetadataPlugin):
        def __call__(self, _context: grpc.AuthMetadataContext, callback: grpc.AuthMetadataPluginCallback) -> None:
            loop.call_soon_threadsafe(asked.set)
            answered.wait()
            callback((), None)

    async with secure_channel(target, TLSConfig(ca=ca)) as channel:
        call = channel.unary_unary("/test/uu_echo")(b"", credentials=grpc.metadata_call_credentials(Late()))
        await within(asked.wait())
        assert call.cancel()
        assert call.cancelled()
        answered.set()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert channel.stats()["calls_started"] == 0
