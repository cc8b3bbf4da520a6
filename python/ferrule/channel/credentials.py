"""Credentials of channels and calls, as certificates for the core and as metadata.

gRPC's credential objects have no public way to read them, so their private attributes are read. `ferrule.TLSConfig` and
metadata passed with the call do not depend on private attributes.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import grpc

from ferrule._secrecy import Sealed
from ferrule.channel.options import Options, name_override
from ferrule.tls import TLSConfig

__all__ = [
    "CallMetadataError",
    "Metadata",
    "blocking_call_metadata",
    "call_metadata",
    "service_url",
    "tls_settings",
]

Metadata = list[tuple[str, str | bytes]]

_USE_TLS_CONFIG = "Pass a ferrule.TLSConfig(ca=..., certificate=..., key=..., server_name=...)."

# Credentials without encryption: their connections stay on the machine, or are meant to be plaintext.
_WITHOUT_TLS = {"LocalChannelCredentials", "InsecureChannelCredentials"}
_USE_INSECURE = "Use insecure_channel(), and pass what call credentials would add as metadata."

_logger = logging.getLogger(__name__)


class CallMetadataError(Exception):
    """Call credentials gave no metadata. Its text becomes the details of the call, which ends with UNAVAILABLE."""


def tls_settings(
    credentials: TLSConfig | grpc.ChannelCredentials, options: Options | None = None
) -> tuple[Sealed, grpc.CallCredentials | None]:
    """Translates channel credentials into the core's setting `tls` and call credentials.

    Args:
        credentials: A `TLSConfig`, or the result of `grpc.ssl_channel_credentials`, alone or in
            `grpc.composite_channel_credentials`.
        options: The channel's options; default None. The name in `grpc.ssl_target_name_override` is expected in the
            certificate, in place of a `TLSConfig`'s.

    Returns:
        The core's setting `tls`, and credentials for every call of the channel, or None.

    Raises:
        ValueError: The credentials are of another kind, or cannot be read.
        TypeError: The argument is no credentials at all.
    """
    override = name_override(options)
    if isinstance(credentials, TLSConfig):
        tls = Sealed(
            ca=credentials.ca,
            certificate=credentials.certificate,
            key=credentials.key,
            server_name=override or credentials.server_name,
        )
        return tls, None
    if not isinstance(credentials, grpc.ChannelCredentials):
        message = f"credentials are of type {type(credentials).__name__}, expected ferrule.TLSConfig"
        raise TypeError(f"{message} or the result of grpc.ssl_channel_credentials()")
    inner: Any = getattr(credentials, "_credentials", None)
    calls: list[Any] = []
    while hasattr(inner, "_channel_credentials"):
        calls[:0] = getattr(inner, "_call_credentialses", ())
        inner = inner._channel_credentials
    return _ssl_settings(inner, override or ""), _joined(calls)


def _ssl_settings(inner: Any, server_name: str) -> Sealed:
    kind = type(inner).__name__
    try:
        pem = Sealed(ca=inner._pem_root_certificates, certificate=inner._certificate_chain, key=inner._private_key)
    except AttributeError:
        message = f"credentials of gRPC's kind {kind} cannot be used, expected those of grpc.ssl_channel_credentials()"
        way_out = _USE_INSECURE if kind in _WITHOUT_TLS else _USE_TLS_CONFIG
        raise ValueError(f"{message}. {way_out}") from None
    if getattr(inner, "_private_key_signer", None) is not None:
        raise ValueError(f"credentials with a private_key_signer cannot be used, expected a PEM key. {_USE_TLS_CONFIG}")
    if (pem["key"] is None) != (pem["certificate"] is None):
        names = ("certificate_chain", "private_key")
        given, missing = names if pem["key"] is None else names[::-1]
        raise ValueError(f"credentials have a {given} without a {missing}, expected both or neither")
    return Sealed(ca=pem["ca"] or b"", certificate=pem["certificate"], key=pem["key"], server_name=server_name)


def _joined(calls: list[Any]) -> grpc.CallCredentials | None:
    each = [grpc.CallCredentials(call) for call in calls]
    return grpc.composite_call_credentials(*each) if len(each) > 1 else each[0] if each else None


def service_url(authority: str, method: str) -> str:
    """Returns the URL by which credentials plugins know a service: `https://HOST[:PORT]/package.Service`.

    Args:
        authority: The channel's authority, such as `example.com:443`; as in gRPC, port 443 is left out.
        method: `/package.Service/Method`.
    """
    return f"https://{authority.removesuffix(':443')}{method.rpartition('/')[0]}"


async def call_metadata(credentials: grpc.CallCredentials, service_url: str, method: str) -> Metadata:
    """Returns the metadata that call credentials add to a call, in the order of composite credentials.

    Plugins may block, so each runs on a thread of the loop's executor.

    Args:
        credentials: From `grpc.metadata_call_credentials`, `grpc.access_token_call_credentials` or composite.
        service_url: The result of the function `service_url`.
        method: `/package.Service/Method`.

    Raises:
        CallMetadataError: A plugin failed.
        ValueError: The credentials cannot be read.
    """
    found: Metadata = []
    try:
        for plugin in _plugins(credentials):
            asked: concurrent.futures.Future[Metadata] = await asyncio.to_thread(_ask, plugin, service_url, method)
            found += [*await asyncio.wrap_future(asked)]
    except BaseException:
        # The frames of an error must not hold the tokens of earlier plugins.
        found.clear()
        raise
    return found


def blocking_call_metadata(
    credentials: grpc.CallCredentials, service_url: str, method: str, timeout: float | None = None
) -> Metadata:
    """Returns the metadata that call credentials add to a call, in the order of composite credentials.

    Plugins run on the calling thread, which also waits for those that answer later.

    Args:
        credentials: From `grpc.metadata_call_credentials`, `grpc.access_token_call_credentials` or composite.
        service_url: The result of the function `service_url`.
        method: `/package.Service/Method`.
        timeout: Seconds to wait for the answer of each plugin; default None, no limit.

    Raises:
        CallMetadataError: A plugin failed.
        TimeoutError: A plugin did not answer in time.
        ValueError: The credentials cannot be read.
    """
    found: Metadata = []
    try:
        for plugin in _plugins(credentials):
            found += _ask(plugin, service_url, method).result(timeout)
    except BaseException:
        # The frames of an error must not hold the tokens of earlier plugins.
        found.clear()
        raise
    return found


def _plugins(credentials: grpc.CallCredentials) -> Iterator[Any]:
    """Yields the metadata plugins in credentials, in the order in which they were joined."""
    waiting = [getattr(credentials, "_credentials", None)]
    while waiting:
        inner: Any = waiting.pop(0)
        if hasattr(inner, "_call_credentialses"):
            waiting[:0] = inner._call_credentialses
            continue
        try:
            # The outer plugin adapts the user's plugin to C-core.
            yield inner._metadata_plugin._metadata_plugin
        except AttributeError:
            message = f"call credentials of kind {type(inner).__name__} cannot be used"
            raise ValueError(f"{message}, expected those of grpc.metadata_call_credentials()") from None


def _ask(plugin: Any, service_url: str, method: str) -> concurrent.futures.Future[Metadata]:
    answer = _Answer()
    try:
        plugin(_Context(service_url, method), answer)
    except Exception as error:
        _logger.debug("plugin %r raised", plugin, exc_info=True)
        answer.fail(error)
    return answer.future


class _Context(grpc.AuthMetadataContext):
    def __init__(self, service_url: str, method: str) -> None:
        self.service_url = service_url
        self.method_name = method.rpartition("/")[2]


class _Answer(grpc.AuthMetadataPluginCallback):
    """The callback that a plugin calls once, from any thread."""

    def __init__(self) -> None:
        self.future: concurrent.futures.Future[Metadata] = concurrent.futures.Future()
        # Makes the future impossible to cancel: a result for a cancelled one would raise in the plugin's thread.
        self.future.set_running_or_notify_cancel()

    def __call__(self, metadata: Any, error: Exception | None) -> None:
        if error is not None:
            self.fail(error)
            return
        try:
            pairs = [(key, value) for key, value in metadata or ()]
        except (TypeError, ValueError):
            self._finish(CallMetadataError("Illegal metadata"))
        else:
            self._finish(pairs)

    def fail(self, error: Exception) -> None:
        self._finish(CallMetadataError(f"Getting metadata from plugin failed with error: {error}"))

    def _finish(self, outcome: Metadata | CallMetadataError) -> None:
        # Of several answers the first counts.
        with contextlib.suppress(concurrent.futures.InvalidStateError):
            if isinstance(outcome, CallMetadataError):
                self.future.set_exception(outcome)
            else:
                self.future.set_result(outcome)
