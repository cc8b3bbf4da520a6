"""Credentials of a channel and of its calls, from gRPC's objects and from our own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import grpc
import grpc.experimental
import pytest

from ferrule import Certificate, _core
from ferrule._secrecy import Sealed
from ferrule.channel.credentials import (
    CallMetadataError,
    blocking_call_metadata,
    call_metadata,
    service_url,
    tls_settings,
)
from ferrule.tls import TLSConfig
from waiting import LIMIT

URL = "https://example.com/package.Service"
METHOD = "/package.Service/Method"


@pytest.fixture(scope="module")
def identity() -> Certificate:
    return Certificate.generate()


def test_own_configuration(identity: Certificate) -> None:
    pem, key = identity.certificate_pem.encode(), identity.private_key_pem.encode()
    settings, calls = tls_settings(TLSConfig(ca=pem, certificate=pem, key=key, server_name="name"))
    assert settings == Sealed(ca=pem, certificate=pem, key=key, server_name="name")
    assert calls is None


def test_credentials_of_grpc(identity: Certificate) -> None:
    pem, key = identity.certificate_pem.encode(), identity.private_key_pem.encode()
    settings, calls = tls_settings(grpc.ssl_channel_credentials(pem, key, pem))
    assert settings == Sealed(ca=pem, certificate=pem, key=key, server_name="")
    assert calls is None


def test_default_is_the_systems_authorities() -> None:
    settings, _ = tls_settings(grpc.ssl_channel_credentials())
    assert settings == Sealed(ca=b"", certificate=None, key=None, server_name="")


@pytest.mark.parametrize("make", [lambda pem: TLSConfig(ca=pem), grpc.ssl_channel_credentials])
def test_option_names_the_server(make: Callable[[bytes], Any], identity: Certificate) -> None:
    options = [("grpc.ssl_target_name_override", "other")]
    assert tls_settings(make(identity.certificate_pem.encode()), options)[0]["server_name"] == "other"


def test_keys_are_never_shown(identity: Certificate) -> None:
    pem, key = identity.certificate_pem.encode(), identity.private_key_pem.encode()
    for credentials in (
        grpc.ssl_channel_credentials(pem, key, pem),
        TLSConfig(ca=pem, certificate=pem, key=key),
    ):
        shown = repr(tls_settings(credentials))
        assert "PRIVATE" not in shown
        assert "BEGIN" not in shown


@pytest.mark.parametrize(
    "make",
    [
        grpc.alts_channel_credentials,
        grpc.xds_channel_credentials,
        lambda: grpc.compute_engine_channel_credentials(grpc.access_token_call_credentials("x")),
        lambda: grpc.ChannelCredentials(object()),
    ],
)
def test_other_kinds_are_refused_with_the_way_out(make: Callable[[], grpc.ChannelCredentials]) -> None:
    with pytest.raises(ValueError, match=r"cannot be used, .* Pass a ferrule\.TLSConfig"):
        tls_settings(make())


@pytest.mark.parametrize(
    "make",
    [
        grpc.local_channel_credentials,
        lambda: grpc.local_channel_credentials(grpc.LocalConnectionType.UDS),
        grpc.experimental.insecure_channel_credentials,
        lambda: grpc.composite_channel_credentials(
            grpc.local_channel_credentials(), grpc.access_token_call_credentials("x")
        ),
    ],
)
def test_kinds_without_tls_are_refused_with_the_way_out(make: Callable[[], grpc.ChannelCredentials]) -> None:
    with pytest.raises(ValueError, match=r"cannot be used, .* Use insecure_channel\(\)"):
        tls_settings(make())


@pytest.mark.parametrize("half", [{"private_key": b"k"}, {"certificate_chain": b"c"}])
def test_half_a_pair_is_refused(half: dict[str, bytes]) -> None:
    with pytest.raises(ValueError, match="expected both or neither"):
        tls_settings(grpc.ssl_channel_credentials(**half))


@pytest.mark.parametrize("other", [None, "pem", {"ca": b""}, grpc.access_token_call_credentials("x")])
def test_what_is_no_credentials_is_refused(other: Any) -> None:
    with pytest.raises(TypeError, match=r"expected ferrule\.TLSConfig"):
        tls_settings(other)


Function = Callable[[grpc.AuthMetadataContext, grpc.AuthMetadataPluginCallback], object]


class Plugin(grpc.AuthMetadataPlugin):
    def __init__(self, function: Function) -> None:
        self._function = function

    def __call__(self, context: grpc.AuthMetadataContext, callback: grpc.AuthMetadataPluginCallback) -> None:
        self._function(context, callback)


def credentials(function: Function) -> grpc.CallCredentials:
    return grpc.metadata_call_credentials(Plugin(function))


def answering(*pairs: tuple[str, str]) -> grpc.CallCredentials:
    return credentials(lambda _context, callback: callback(pairs, None))


Asking = Callable[[grpc.CallCredentials], list[tuple[str, str | bytes]]]


@pytest.fixture(params=["asyncio", "blocking"])
def ask(request: pytest.FixtureRequest) -> Asking:
    """Both faces' way to ask for metadata."""
    if request.param == "blocking":
        return lambda asked: blocking_call_metadata(asked, URL, METHOD, LIMIT)

    def on_a_loop(asked: grpc.CallCredentials) -> list[tuple[str, str | bytes]]:
        found: list[Any] = []
        # A loop of its own: the test's is running.
        runner = threading.Thread(target=lambda: found.append(_outcome(call_metadata(asked, URL, METHOD))))
        runner.start()
        runner.join(LIMIT)
        if isinstance(found[0], Exception):
            raise found[0]
        answer: list[tuple[str, str | bytes]] = found[0]
        return answer

    return on_a_loop


def _outcome(asking: Any) -> Any:
    try:
        return asyncio.run(asking)
    except (CallMetadataError, ValueError) as error:
        return error


def test_plugin_is_told_what_is_called(ask: Asking) -> None:
    seen: list[Any] = []

    def note(context: grpc.AuthMetadataContext, callback: grpc.AuthMetadataPluginCallback) -> None:
        seen.append(context)
        callback((), None)

    ask(credentials(note))
    assert isinstance(seen[0], grpc.AuthMetadataContext)
    assert (seen[0].service_url, seen[0].method_name) == (URL, "Method")


def test_composites_are_asked_in_order(ask: Asking) -> None:
    one, two, three = (answering(("x", str(number))) for number in range(3))
    joined = grpc.composite_call_credentials(grpc.composite_call_credentials(one, two), three)
    assert ask(joined) == [("x", "0"), ("x", "1"), ("x", "2")]


def test_call_credentials_of_a_channel_are_found_in_order(ask: Asking) -> None:
    channel = grpc.ssl_channel_credentials()
    for number in range(3):
        channel = grpc.composite_channel_credentials(channel, answering(("x", str(number))))
    _, calls = tls_settings(channel)
    assert calls is not None
    assert ask(calls) == [("x", "0"), ("x", "1"), ("x", "2")]


def test_access_token(ask: Asking) -> None:
    assert ask(grpc.access_token_call_credentials("token")) == [("authorization", "Bearer token")]


@pytest.mark.parametrize("nothing", [None, (), []])
def test_no_metadata_is_fine(nothing: Any, ask: Asking) -> None:
    assert ask(credentials(lambda _context, callback: callback(nothing, None))) == []


def test_plugin_may_answer_from_another_thread(ask: Asking) -> None:
    def later(_context: object, callback: Any) -> None:
        threading.Thread(target=callback, args=((("x", "late"),), None)).start()

    assert ask(credentials(later)) == [("x", "late")]


def raising(_context: object, _callback: object) -> None:
    raise LookupError("no token")


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (raising, "Getting metadata from plugin failed with error: no token"),
        (
            lambda _context, callback: callback((), LookupError("no token")),
            "Getting metadata from plugin failed with error: no token",
        ),
        (lambda _context, callback: callback([("a",)], None), "Illegal metadata"),
        (lambda _context, callback: callback(5, None), "Illegal metadata"),
    ],
)
def test_failures_say_what_the_call_ends_with(function: Function, text: str, ask: Asking) -> None:
    with pytest.raises(CallMetadataError) as caught:
        ask(credentials(function))
    assert str(caught.value) == text


def test_first_answer_counts(ask: Asking) -> None:
    def twice(_context: object, callback: Any) -> None:
        callback((("x", "first"),), None)
        callback((("x", "second"),), None)
        raise LookupError

    assert ask(credentials(twice)) == [("x", "first")]


def test_foreign_call_credentials_are_refused(ask: Asking) -> None:
    with pytest.raises(ValueError, match="cannot be used"):
        ask(grpc.CallCredentials(object()))


def test_silent_plugin_times_out() -> None:
    silent = credentials(lambda _context, _callback: None)
    begin = time.monotonic()
    with pytest.raises(TimeoutError):
        blocking_call_metadata(silent, URL, METHOD, 0.05)
    assert time.monotonic() - begin < LIMIT


async def test_waiting_for_a_plugin_can_be_cancelled() -> None:
    answers: list[Any] = []
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def keep(_context: object, callback: Any) -> None:
        answers.append(callback)
        loop.call_soon_threadsafe(asked.set)

    task = asyncio.create_task(call_metadata(credentials(keep), URL, METHOD))
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    # An answer that comes too late must not fail in the plugin's thread.
    answers[0]((), None)


@pytest.mark.parametrize(
    ("target", "authority"),
    [
        ("example.com:443", "example.com:443"),
        ("dns:///example.com:1234", "example.com:1234"),
        ("dns:example.com:1234", "example.com:1234"),
        ("ipv4:127.0.0.1:80", "127.0.0.1:80"),
        ("DNS:///example%2Ecom:1234", "example.com:1234"),
        ("ipv4:127.0.0.1:80,127.0.0.1:81", "127.0.0.1:80"),
        ("ipv6:[::1]:80", "[::1]:80"),
        ("[::1]:80", "[::1]:80"),
        ("unix:/run/socket", "localhost"),
        ("unix-abstract:name", "localhost"),
    ],
)
def test_authority_comes_from_the_target(target: str, authority: str) -> None:
    assert _core.authority_of(target) == authority


def test_usual_port_is_left_out_of_the_url() -> None:
    assert service_url("example.com:443", METHOD) == URL
    assert service_url("example.com:444", METHOD) == "https://example.com:444/package.Service"
