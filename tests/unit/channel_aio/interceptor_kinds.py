"""Interceptors of each kind that do what a function says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from grpc import aio

Continuation = Callable[[Any, Any], Awaitable[Any]]
Intercept = Callable[[Continuation, Any, Any], Awaitable[Any]]


class UnaryUnary(aio.UnaryUnaryClientInterceptor):
    def __init__(self, intercept: Intercept) -> None:
        self.intercept = intercept

    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await self.intercept(continuation, client_call_details, request)


class UnaryStream(aio.UnaryStreamClientInterceptor):
    def __init__(self, intercept: Intercept) -> None:
        self.intercept = intercept

    async def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await self.intercept(continuation, client_call_details, request)


class StreamUnary(aio.StreamUnaryClientInterceptor):
    def __init__(self, intercept: Intercept) -> None:
        self.intercept = intercept

    async def intercept_stream_unary(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return await self.intercept(continuation, client_call_details, request_iterator)


class StreamStream(aio.StreamStreamClientInterceptor):
    def __init__(self, intercept: Intercept) -> None:
        self.intercept = intercept

    async def intercept_stream_stream(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return await self.intercept(continuation, client_call_details, request_iterator)


class All(UnaryUnary, UnaryStream, StreamUnary, StreamStream):
    """Of every kind."""


async def pass_on(continuation: Continuation, details: Any, request: Any) -> Any:
    return await continuation(details, request)
