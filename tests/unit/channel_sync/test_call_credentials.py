"""TLS, and metadata from call credentials."""

from __future__ import annotations

import ast
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from channel_sync.conftest import Service
from channel_sync.test_unary import ending
from ferrule import Certificate
from ferrule.channel.sync import secure_channel
from ferrule.tls import TLSConfig
from reference import WITH_GRPCIO
from waiting import LIMIT

Answer = grpc.AuthMetadataPluginCallback
Function = Callable[[grpc.AuthMetadataContext, Answer], object]
SecureFactory = Callable[..., Any]


class Plugin(grpc.AuthMetadataPlugin):
    def __init__(self, function: Function) -> None:
        self._function = function

    def __call__(self, context: grpc.AuthMetadataContext, callback: Answer) -> None:
        self._function(context, callback)


def credentials(function: Function) -> grpc.CallCredentials:
    return grpc.metadata_call_credentials(Plugin(function))


def answering(*pairs: tuple[str, str | bytes]) -> grpc.CallCredentials:
    return credentials(lambda _context, callback: callback(pairs, None))


@pytest.fixture(scope="module")
def identity() -> Certificate:
    return Certificate.generate()


@pytest.fixture
def secure_target(identity: Certificate, service: Service, no_leaks: None) -> Iterator[str]:
    """A server with TLS that demands the client's certificate."""
    server = grpc.server(ThreadPoolExecutor(8), handlers=[service])
    key, pem = identity.private_key_pem.encode(), identity.certificate_pem.encode()
    protection = grpc.ssl_server_credentials([(key, pem)], pem, require_client_auth=True)
    port = server.add_secure_port("localhost:0", protection)
    server.start()
    yield f"localhost:{port}"
    service.released.set()
    server.stop(None).wait(LIMIT)


@pytest.fixture
def ssl(identity: Certificate) -> grpc.ChannelCredentials:
    pem = identity.certificate_pem.encode()
    return grpc.ssl_channel_credentials(pem, identity.private_key_pem.encode(), pem)


@pytest.fixture(
    params=[pytest.param(grpc.secure_channel, marks=WITH_GRPCIO), secure_channel], ids=["grpcio", "ferrule"]
)
def factory(request: pytest.FixtureRequest) -> SecureFactory:
    made: SecureFactory = request.param
    return made


@pytest.fixture
def channel(factory: SecureFactory, secure_target: str, ssl: grpc.ChannelCredentials) -> Iterator[grpc.Channel]:
    with factory(secure_target, ssl) as made:
        yield made


def received(channel: Any, *metadata: tuple[str, str], **options: Any) -> list[tuple[str, str]]:
    """What of its metadata arrives at the server."""
    answer = channel.unary_unary("/t/metadata")(b"", metadata=metadata, timeout=LIMIT, **options)
    return [pair for pair in ast.literal_eval(answer.decode()) if pair[0].startswith(("x-", "authorization"))]


def test_own_configuration_is_enough(secure_target: str, identity: Certificate) -> None:
    tls = TLSConfig(ca=identity, certificate=identity)
    with secure_channel(secure_target, tls) as channel:
        assert channel.unary_unary("/t/echo")(b"x", timeout=LIMIT) == b"x"


def test_name_in_the_certificate_can_be_given(
    factory: SecureFactory, secure_target: str, ssl: grpc.ChannelCredentials
) -> None:
    by_number = secure_target.replace("localhost", "127.0.0.1")
    with factory(by_number, ssl) as channel:
        assert ending(lambda: channel.unary_unary("/t/echo")(b"", timeout=LIMIT))[0] is grpc.StatusCode.UNAVAILABLE
    with factory(by_number, ssl, options=iter([("grpc.ssl_target_name_override", "localhost")])) as channel:
        assert channel.unary_unary("/t/echo")(b"x", timeout=LIMIT) == b"x"


def test_credentials_are_appended_in_order(channel: Any) -> None:
    both = grpc.composite_call_credentials(answering(("x-a", "1")), answering(("x-a", "2"), ("x-b-bin", b"\0")))
    assert received(channel, ("x-own", "0"), credentials=both) == [
        ("x-own", "0"),
        ("x-a", "1"),
        ("x-a", "2"),
        ("x-b-bin", b"\0"),
    ]


def test_credentials_of_the_channel_come_first(
    factory: SecureFactory, secure_target: str, ssl: grpc.ChannelCredentials
) -> None:
    composite = grpc.composite_channel_credentials(ssl, answering(("x-a", "channel")))
    with factory(secure_target, composite) as channel:
        assert received(channel) == [("x-a", "channel")]
        token = grpc.access_token_call_credentials("token")
        assert received(channel, credentials=token) == [("x-a", "channel"), ("authorization", "Bearer token")]


def test_all_kinds_of_calls_carry_them(channel: Any) -> None:
    seen: list[tuple[str, str]] = []

    def note(context: grpc.AuthMetadataContext, callback: Answer) -> None:
        seen.append((context.service_url.rpartition("/")[2], context.method_name))
        callback((), None)

    options = {"credentials": credentials(note), "timeout": LIMIT}
    assert channel.unary_unary("/t/echo").future(b"x", **options).result() == b"x"
    assert list(channel.unary_stream("/t/count")(b"1", **options)) == [b"0"]
    assert channel.stream_unary("/t/join")(iter([b"x"]), **options) == b"x"
    assert list(channel.stream_stream("/t/chat")(iter([b"x"]), **options)) == [b"x"]
    assert seen == [("t", "echo"), ("t", "count"), ("t", "join"), ("t", "chat")]


def test_service_is_named_with_host_and_port(channel: Any, secure_target: str) -> None:
    urls: list[str] = []

    def note(context: grpc.AuthMetadataContext, callback: Answer) -> None:
        urls.append(context.service_url)
        callback((), None)

    received(channel, credentials=credentials(note))
    assert urls == [f"https://{secure_target}/t"]


def raising(_context: object, _callback: Answer) -> None:
    raise LookupError("no token")


@pytest.mark.parametrize("function", [raising, lambda _context, callback: callback((), LookupError("no token"))])
def test_failing_plugin_makes_the_call_unavailable(function: Function, channel: Any) -> None:
    echo = channel.unary_unary("/t/echo")
    options: Any = {"credentials": credentials(function), "timeout": LIMIT}
    expected = (grpc.StatusCode.UNAVAILABLE, "Getting metadata from plugin failed with error: no token")
    assert ending(lambda: echo(b"", **options)) == expected
    assert ending(lambda: echo.future(b"", **options).result()) == expected
    assert ending(lambda: list(channel.unary_stream("/t/count")(b"1", **options))) == expected


def test_plugin_may_answer_later(channel: Any) -> None:
    def later(_context: object, callback: Answer) -> None:
        threading.Thread(target=callback, args=((("x-a", "late"),), None)).start()

    assert received(channel, credentials=credentials(later)) == [("x-a", "late")]


def test_deadline_covers_the_plugin(channel: Any) -> None:
    silent = credentials(lambda _context, _callback: None)
    call = channel.unary_unary("/t/echo")
    assert ending(lambda: call(b"", credentials=silent, timeout=0.2))[0] is grpc.StatusCode.DEADLINE_EXCEEDED


def test_call_credentials_are_refused_in_plaintext(native: Any) -> None:
    token = grpc.access_token_call_credentials("token")
    echo = native.unary_unary("/t/echo")
    for call in (echo, lambda *args, **options: echo.future(*args, **options).result()):
        code, details = ending(lambda call=call: call(b"", credentials=token, timeout=LIMIT))  # type: ignore[misc]
        assert code is grpc.StatusCode.UNAUTHENTICATED
        assert "secure" in details
