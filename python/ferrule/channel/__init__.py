"""gRPC channels on the Rust core, under the interface of `grpc.aio`.

Libraries that instrument gRPC do so by replacing the functions of `grpc.aio` that make channels. They cannot know of
those here: pass their interceptors as `interceptors=`.
"""

from __future__ import annotations

from collections.abc import Sequence

import grpc
from grpc import aio

from ferrule import _core
from ferrule.channel.aio import Channel
from ferrule.channel.credentials import tls_settings
from ferrule.channel.options import Options, channel_settings
from ferrule.tls import TLSConfig

__all__ = ["Channel", "insecure_channel", "secure_channel"]


def insecure_channel(
    target: str,
    options: Options | None = None,
    compression: grpc.Compression | None = None,
    interceptors: Sequence[aio.ClientInterceptor] | None = None,
) -> Channel:
    """A channel without TLS, with the parameters of `grpc.aio.insecure_channel`.

    Nothing is connected yet: the first call does that, or `channel_ready()`. A target that cannot be used shows as an
    error of each call.

    Args:
        target: `HOST:PORT`, `dns:///HOST:PORT`, `ipv4:`, `ipv6:`, `unix:PATH` or `unix-abstract:NAME`.
        options: Pairs of name and value under gRPC's names; default None.
        compression: Of requests; default None, as the options say, or none.
        interceptors: Interceptors for asyncio, the outermost first; default None.

    Raises:
        ValueError: An option is malformed, the compression is no `grpc.Compression`, or an interceptor is of no known
            kind.
        TypeError: An option has a type that gRPC refuses.

    Example:
        >>> import asyncio, grpc
        >>> async def main():
        ...     server = grpc.aio.server()
        ...     echo = grpc.unary_unary_rpc_method_handler(lambda request, context: request)
        ...     server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("Echo", {"Echo": echo}),))
        ...     port = server.add_insecure_port("localhost:0")
        ...     await server.start()
        ...     async with insecure_channel(f"localhost:{port}") as channel:
        ...         response = await channel.unary_unary("/Echo/Echo")(b"hello", timeout=10)
        ...     await server.stop(None)
        ...     return response
        >>> asyncio.run(main())
        b'hello'
    """
    core = _core.Channel(target, channel_settings(options, compression), None)
    return Channel(core, secure=False, interceptors=interceptors)


def secure_channel(
    target: str,
    credentials: TLSConfig | grpc.ChannelCredentials,
    options: Options | None = None,
    compression: grpc.Compression | None = None,
    interceptors: Sequence[aio.ClientInterceptor] | None = None,
) -> Channel:
    """A channel with TLS, with the parameters of `grpc.aio.secure_channel`.

    Args:
        target: As for `insecure_channel`.
        credentials: A `TLSConfig`, or what `grpc.ssl_channel_credentials` returned, alone or in
            `grpc.composite_channel_credentials`. A `TLSConfig` expects the name `localhost` unless it is given a
            `server_name`; gRPC's credentials expect the name in the target.
        options: As for `insecure_channel`.
        compression: As for `insecure_channel`.
        interceptors: As for `insecure_channel`.

    Raises:
        ValueError: As for `insecure_channel`, or the credentials are of a kind that cannot be used.
        TypeError: As for `insecure_channel`, or there are no credentials.
        SecurityError: A certificate or the key cannot be read, or the two do not belong together.
    """
    # Read twice, and it may be an iterator.
    given = None if options is None else list(options)
    settings = channel_settings(given, compression)
    tls, call_credentials = tls_settings(credentials, given)
    return Channel(
        _core.Channel(target, settings, tls),
        secure=True,
        interceptors=interceptors,
        authority=settings["authority"] or _core.authority_of(target),
        call_credentials=call_credentials,
    )
