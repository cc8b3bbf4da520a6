"""Calls with one response: `UnaryUnaryCall`, and the response's half of `StreamUnaryCall`."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

import grpc
from grpc import aio

from ferrule.channel.calls import BaseCall
from ferrule.channel.core_call import EndedCall
from ferrule.channel.status import INTERNAL, NOT_DESERIALIZED, OK

__all__ = ["UnaryResponse", "UnaryUnaryCall"]

_OK = grpc.StatusCode.OK


class UnaryResponse(BaseCall):
    """A call with one response, which is kept and which any number of tasks may await."""

    _unary_response = True
    _response: Any

    def __await__(self) -> Generator[Any, None, Any]:
        if self._code is None:
            arrival = self._arrival
            if arrival is None:
                arrival = self._arrival = self._channel.create_arrival()
            try:
                yield from arrival
            except asyncio.CancelledError:
                self.cancel()
                raise
        if self._code is _OK:
            return self._response
        raise self._error()

    def _receive(self) -> None:
        if self._code is not None:
            return
        core = self._core
        number = core.code
        if number is None:
            self._wake()
            return
        if number == OK:
            response: Any = core.message()
            deserializer = self._deserializer
            if deserializer is not None:
                try:
                    response = deserializer(response)
                except BaseException as error:
                    self._cause = error
                    self._core = EndedCall.in_place_of(core, INTERNAL, NOT_DESERIALIZED)
                    number = INTERNAL
                    if not isinstance(error, Exception):
                        # The loop's to hear of, by SystemExit for one; but those that await the call must not wait on.
                        self._settle(number)
                        raise
            self._response = response
        self._settle(number)

    _receiver = _receive


class UnaryUnaryCall(UnaryResponse, aio.UnaryUnaryCall[Any, Any]):
    """A call with one request and one response."""

    _unary_request = True

    async def wait_for_connection(self) -> None:
        await self.code()
        self._raise_if_failed()
