"""The channel itself: factories, states, closing, loops."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import weakref
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio

from ferrule.channel import Channel, insecure_channel

READY, IDLE, SHUTDOWN = (
    grpc.ChannelConnectivity.READY,
    grpc.ChannelConnectivity.IDLE,
    grpc.ChannelConnectivity.SHUTDOWN,
)
CANCELLED = grpc.StatusCode.CANCELLED


async def test_it_is_a_channel_of_grpc(channel: Any) -> None:
    assert isinstance(channel, aio.Channel)


async def test_its_public_names_are_those_of_grpc_and_its_counters(channel: Any) -> None:
    await channel.unary_unary("/test/uu_echo")(b"")
    public = {name for name in dir(channel) if not name.startswith("_")}
    extra = {"stats"} if isinstance(channel, Channel) else set()
    assert public - extra == {name for name in dir(aio.Channel) if not name.startswith("_")}


async def test_states(channel: Any, peer: Any, within: Any) -> None:
    assert channel.get_state() is IDLE
    assert channel.get_state(try_to_connect=True) is IDLE
    await within(channel.channel_ready())
    assert channel.get_state() is READY
    await within(channel.wait_for_state_change(IDLE))
    await channel.close()
    assert channel.get_state() is channel.get_state(try_to_connect=True) is SHUTDOWN


async def test_a_lost_server(channel: Any, peer: Any, within: Any) -> None:
    await within(channel.channel_ready())
    await peer.server.stop(None)
    await within(channel.wait_for_state_change(READY))
    with pytest.raises(aio.AioRpcError) as caught:
        await channel.unary_unary("/test/uu_echo")(b"")
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_refused_mailbox_is_no_answer_that_never_comes(
    peer: Any, within: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> Any:
        raise OSError("too many open files")

    async with insecure_channel(peer.target) as channel:
        with monkeypatch.context() as patched:
            patched.setattr("ferrule.channel.aio.mailbox", refuse)
            with pytest.raises(OSError, match="too many"):
                await channel.wait_for_state_change(IDLE)
        channel.get_state(try_to_connect=True)
        await within(channel.wait_for_state_change(IDLE))


async def test_a_closed_channel(channel: Any) -> None:
    await channel.close()
    await channel.close()
    for kind in (channel.unary_unary, channel.unary_stream, channel.stream_unary, channel.stream_stream):
        multicallable = kind("/test/any")
        with pytest.raises(aio.UsageError, match=r"Channel is closed\."):
            multicallable(b"")
    for wait in (channel.wait_for_state_change(SHUTDOWN), channel.channel_ready()):
        with pytest.raises(aio.UsageError):
            await wait


@pytest.mark.parametrize("connected", [False, True])
@pytest.mark.parametrize("watchers", [1, 3])
async def test_closing_ends_a_watch_quietly(connected: bool, watchers: int, channel: Any, within: Any) -> None:
    async def watch() -> list[Any]:
        seen = [channel.get_state()]
        while seen[-1] is not SHUTDOWN:
            await channel.wait_for_state_change(seen[-1])
            seen.append(channel.get_state())
        return seen

    if connected:
        await within(channel.channel_ready())
    watching = asyncio.gather(*(watch() for _ in range(watchers)))
    await asyncio.sleep(0)
    await channel.close()
    assert await within(watching) == [[READY if connected else IDLE, SHUTDOWN]] * watchers


async def test_closing_fails_who_waits_for_ready(own: Any, within: Any) -> None:
    waiting = asyncio.create_task(own.channel_ready())
    await asyncio.sleep(0)
    await own.close()
    with pytest.raises(aio.UsageError, match=r"Channel is closed\."):
        await within(waiting)


def one_of_each(channel: Any) -> list[Any]:
    return [
        channel.unary_unary("/test/uu_wait")(b""),
        channel.unary_stream("/test/us_one_and_wait")(b""),
        channel.stream_unary("/test/su_wait")(),
        channel.stream_stream("/test/ss_one_and_wait")(),
    ]


async def test_closing_cancels_calls(channel: Any, peer: Any, within: Any) -> None:
    calls = one_of_each(channel)
    await within(peer.started.wait())
    await channel.close()
    for call in calls:
        assert (await call.code(), await call.details()) == (CANCELLED, "Locally cancelled by application!")
        assert call.done()
    await within(peer.cancelled.wait())


async def test_closing_with_grace_waits_for_calls(channel: Any, peer: Any, within: Any) -> None:
    call = channel.unary_unary("/test/uu_wait")(b"hello")
    await within(peer.started.wait())
    closing = asyncio.create_task(channel.close(20))
    await asyncio.sleep(0)
    with pytest.raises(aio.UsageError):
        channel.unary_unary("/test/uu_echo")(b"")
    assert channel.get_state() is READY
    peer.release.set()
    assert await call == b"hello"
    await within(closing)
    assert channel.get_state() is SHUTDOWN


async def test_grace_ends(channel: Any, peer: Any, within: Any) -> None:
    calls = one_of_each(channel)
    await within(peer.started.wait())
    await within(channel.close(0.05))
    assert [await call.code() for call in calls] == [CANCELLED] * 4


async def test_closing_during_grace(own: Any, peer: Any, within: Any) -> None:
    call = own.unary_unary("/test/uu_wait")(b"")
    await within(peer.started.wait())
    closing = asyncio.create_task(own.close(3600))
    await asyncio.sleep(0)
    await own.close()
    assert call.cancelled()
    await within(closing)


async def test_negative_grace(channel: Any) -> None:
    with pytest.raises(ValueError, match="grace"):
        await channel.close(-1)
    assert await channel.unary_unary("/test/uu_echo")(b"hello") == b"hello"


async def test_it_leaves_nothing_behind(own: Any, peer: Any, within: Any) -> None:
    await own.unary_unary("/test/uu_echo")(b"")
    assert [message async for message in own.unary_stream("/test/us_count")(b"2")]
    own.unary_unary("/test/uu_wait")(b"").cancel()
    assert (len(own._state.live_calls), len(own._state.live_streams)) == (0, 0)
    assert own.stats()["calls_started"] >= 2


async def test_a_stub_keeps_its_channel(peer: Any) -> None:
    async def waiting() -> AsyncIterator[bytes]:
        yield b"one"
        await asyncio.Event().wait()

    echo = insecure_channel(peer.target).unary_unary("/test/uu_echo")
    gc.collect()
    assert await echo(b"hello") == b"hello"
    call = insecure_channel(peer.target).stream_stream("/test/ss_echo")(waiting())
    gc.collect()
    assert await call.read() == b"one"
    call.cancel()


async def test_a_forgotten_channel_goes_away(peer: Any) -> None:
    channel = insecure_channel(peer.target)
    await channel.unary_unary("/test/uu_echo")(b"")
    core, gone = channel._core, weakref.ref(channel)
    del channel
    gc.collect()
    assert gone() is None
    assert core.state() == SHUTDOWN.value[0]


class Nothing(aio.ClientInterceptor):
    pass


class PassOn(aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await continuation(client_call_details, request)


@pytest.mark.parametrize("bad", [{"options": {"a": 1}}, {"options": [("a",)]}, {"interceptors": [Nothing()]}])
async def test_bad_arguments(factory: Any, bad: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        factory("unix:/nowhere", **bad)


async def test_call_credentials_need_tls(channel: Any) -> None:
    credentials = grpc.access_token_call_credentials("token")
    for kind in (channel.unary_unary, channel.unary_stream, channel.stream_unary, channel.stream_stream):
        with pytest.raises(aio.UsageError, match="Call credentials are only valid on secure channels"):
            kind("/test/any")(b"", credentials=credentials)


async def test_an_unreachable_target(channel: Any, factory: Any, temporary_directory: Path) -> None:
    async with factory(f"unix:{temporary_directory}/nowhere") as nowhere:
        for call in one_of_each(nowhere):
            assert await call.code() is grpc.StatusCode.UNAVAILABLE
        with pytest.raises(aio.AioRpcError):
            await nowhere.stream_unary("/test/any")().write(b"")


def test_it_may_be_made_before_the_loop(temporary_directory: Path) -> None:
    channel = insecure_channel(f"unix:{temporary_directory}/nowhere")
    call = channel.unary_unary("/test/any")
    with pytest.raises(RuntimeError, match="no running event loop"):
        call(b"")

    async def use() -> grpc.StatusCode:
        return await call(b"").code()

    assert asyncio.run(use()) is grpc.StatusCode.UNAVAILABLE

    async def use_elsewhere() -> None:
        with pytest.raises(RuntimeError, match="attached to a different loop"):
            call(b"")
        channel._unary_unary_interceptors.append(PassOn())
        with pytest.raises(RuntimeError, match="attached to a different loop"):
            call(b"")

    asyncio.run(use_elsewhere())


def test_a_loop_may_end_with_calls_under_way(temporary_directory: Path) -> None:
    script = f"""
import asyncio
from ferrule.channel import insecure_channel

async def main():
    global channel, calls
    channel = insecure_channel("unix:{temporary_directory}/nowhere")
    kinds = (channel.unary_unary, channel.unary_stream)
    calls = [kind("/a/b")(b"", wait_for_ready=True) for kind in kinds]
    calls[1].add_done_callback(print)

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_importing_ferrule_does_not_import_grpc() -> None:
    script = "import sys, ferrule; sys.exit('grpc' in sys.modules or 'ferrule.channel' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], timeout=60, check=False).returncode == 0


async def test_its_names() -> None:
    from ferrule import channel

    assert channel.__all__ == ["AioRpcError", "Channel", "insecure_channel", "secure_channel"]
    assert channel.Channel is Channel


async def test_a_server_that_ends_each_connection_is_given_up(temporary_directory: Path, within: Any) -> None:
    settings = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
    goaway = bytes([0, 0, 8, 7, 0, 0, 0, 0, 0]) + ((1 << 31) - 1).to_bytes(4, "big") + bytes(4)

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(settings + goaway)
        while await reader.read(1 << 16):
            pass
        writer.close()

    path = temporary_directory / "ending"
    server = await asyncio.start_unix_server(hang_up, path)
    async with server, insecure_channel(f"unix:{path}") as channel:
        call = channel.unary_unary("/test/uu_echo")(b"")
        assert await within(call.code()) is grpc.StatusCode.UNAVAILABLE
        assert "ends each connection" in await call.details()
        assert channel.stats()["connections_opened"] <= 10
    # From Python 3.13 on asyncio has removed the socket of a closed server.
    path.unlink(missing_ok=True)
