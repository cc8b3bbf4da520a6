"""Requests at the edge of what can be sent: very many keys, and large ones whose call is given up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from grpc import aio

from channel_aio.conftest import Peer
from waiting import LIMIT

LARGE = 1 << 20
"""Bytes of a request that is sent out of the caller's own memory."""


class Payload(bytes):
    """A serialised request that tells when its memory is given back."""

    released: Callable[[], object]

    def __del__(self) -> None:
        self.released()


def payload(released: asyncio.Event) -> Payload:
    message = Payload(LARGE)
    message.released = released.set
    return message


@pytest.mark.parametrize("keys", [24_574, 40_000])
async def test_too_many_keys_are_an_illegal_header(own: Any, keys: int) -> None:
    call = own.unary_unary("/test/uu_echo")(b"", metadata=[(f"k{number}", "v") for number in range(keys)])
    with pytest.raises((grpc.RpcError, aio.InternalError)):
        await call
    assert (await call.code(), (await call.details())[:14]) == (grpc.StatusCode.INTERNAL, "Illegal header")


async def test_one_key_may_have_any_number_of_values(own: Any) -> None:
    # More values than the map of headers has room for keys; the server may find them too many.
    call = own.unary_unary("/test/uu_echo")(b"", metadata=[("k", "")] * 40_000)
    async with asyncio.timeout(LIMIT):
        assert await call.code() is not None


async def test_request_of_a_cancelled_call_is_given_back_at_once(own: Any, peer: Peer) -> None:
    released = asyncio.Event()
    call = own.unary_unary("/test/uu_wait", request_serializer=payload)(released)
    await peer.started.wait()
    call.cancel()
    del call
    async with asyncio.timeout(LIMIT):
        await released.wait()


async def test_request_of_a_call_whose_deadline_passes_is_given_back(own: Any) -> None:
    released = asyncio.Event()
    call = own.unary_unary("/test/uu_wait", request_serializer=payload)(released, timeout=0.05)
    with pytest.raises(grpc.RpcError):
        await call
    del call
    async with asyncio.timeout(LIMIT):
        await released.wait()


async def test_request_of_a_call_that_ends_well_is_given_back(own: Any) -> None:
    released = asyncio.Event()
    await own.unary_unary("/test/uu_echo", request_serializer=payload)(released)
    async with asyncio.timeout(LIMIT):
        await released.wait()
