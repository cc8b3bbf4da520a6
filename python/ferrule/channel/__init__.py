"""gRPC channels on the Rust core, under the interface of `grpc.aio`.

Libraries that instrument gRPC replace the functions of `grpc.aio` that make channels, and do not know of those here:
their interceptors are passed as `interceptors=`.
"""

from __future__ import annotations

from collections.abc import Sequence

import grpc
from grpc import aio

from ferrule import _core
from ferrule.channel.aio import Channel
from ferrule.channel.credentials import tls_settings
from ferrule.channel.errors import AioRpcError
from ferrule.channel.options import Options, channel_settings
from ferrule.tls import TLSConfig

__all__ = ["AioRpcError", "Channel", "insecure_channel", "secure_channel"]


def insecure_channel(
    target: str,
    options: Options | None = None,
    compression: grpc.Compression | None = None,
    interceptors: Sequence[aio.ClientInterceptor] | None = None,
) -> Channel:
    """Makes a channel without TLS, with the parameters of `grpc.aio.insecure_channel`.

    The channel connects with its first call or with `channel_ready()`. A target that cannot be used shows as an error
    of each call.

    Args:
        target: `HOST:PORT`, `dns:///HOST:PORT`, `ipv4:`, `ipv6:`, `unix:PATH` or `unix-abstract:NAME`.
        options: Pairs of gRPC's name and a value; default None, no options.
        compression: Compression of requests; default None, that of the option `grpc.default_compression_algorithm`.
        interceptors: Interceptors of `grpc.aio`, the outermost first; default None, no interceptors.

    Returns:
        A channel for the event loop that runs now, or else for that of its first call.

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
    """Makes a channel with TLS, with the parameters of `grpc.aio.secure_channel`.

    Args:
        target: A target of `insecure_channel`'s kinds.
        credentials: A `TLSConfig`, or the result of `grpc.ssl_channel_credentials`, alone or in
            `grpc.composite_channel_credentials`. A `TLSConfig` expects the name `localhost` unless it is given a
            `server_name`; gRPC's credentials expect the name in the target.
        options: Pairs of gRPC's name and a value; `grpc.ssl_target_name_override` is the name to
            expect in the certificate. Default None, no options.
        compression: Compression of requests; default None, that of the option `grpc.default_compression_algorithm`.
        interceptors: Interceptors of `grpc.aio`, the outermost first; default None, no interceptors.

    Returns:
        A channel for the event loop that runs now, or else for that of its first call.

    Raises:
        ValueError: An option is malformed, the compression is no `grpc.Compression`, an interceptor is of no known
            kind, or the credentials are of a kind that cannot be used.
        TypeError: An option has a type that gRPC refuses, or the credentials are none.
        SecurityError: A certificate or the key cannot be read, or the two do not belong together.

    Example:
        >>> import asyncio, grpc
        >>> async def main():
        ...     async with secure_channel("example.com:443", grpc.ssl_channel_credentials()) as channel:
        ...         return channel.get_state()
        >>> asyncio.run(main())
        <ChannelConnectivity.IDLE: (0, 'idle')>
    """
    # The options are read twice, and may be an iterator.
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
