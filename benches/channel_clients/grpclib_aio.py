"""grpclib: asyncio and HTTP/2 all in Python."""

import ssl
from collections.abc import AsyncIterator
from typing import Any

from grpclib.client import Channel, UnaryStreamMethod, UnaryUnaryMethod
from grpclib.config import Configuration
from grpclib.encoding.base import CodecBase

from channel_clients import load
from channel_clients.point import STREAM, UNARY


class RawCodec(CodecBase):
    """Passes bytes through."""

    # Of the content type `application/grpc+...`; the server treats all alike.
    __content_subtype__ = "proto"

    def encode(self, message: bytes, message_type: Any) -> bytes:
        return message

    def decode(self, data: bytes, message_type: Any) -> bytes:
        return data


def _tls_context(certificate: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=certificate)
    context.set_alpn_protocols(["h2"])
    return context


def open_client(target: str, certificate: str | None) -> load.AsyncClient:
    """Open a channel of grpclib's defaults."""
    channel = Channel(
        path=target.removeprefix("unix:"),
        codec=RawCodec(),
        ssl=None if certificate is None else _tls_context(certificate),
        # A Unix socket has no host name that the certificate could carry.
        config=Configuration(ssl_target_name_override="localhost"),
    )
    stream_method: UnaryStreamMethod[bytes, bytes] = UnaryStreamMethod(channel, STREAM, bytes, bytes)

    async def stream(request: bytes) -> AsyncIterator[bytes]:
        async with stream_method.open() as call:
            await call.send_message(request, end=True)
            async for message in call:
                yield message

    async def close() -> None:
        channel.close()

    return load.AsyncClient(UnaryUnaryMethod(channel, UNARY, bytes, bytes), stream, close)


if __name__ == "__main__":
    load.main(open_client)
