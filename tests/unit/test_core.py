"""The extension module as Python sees it, the catalogue of errors, and the package's public names."""

from __future__ import annotations

import base64
import importlib
import random
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import ferrule
from ferrule import Certificate, _core, errors
from ferrule.errors import HandshakeError, ProtocolError, RPCPluginError, SecurityError

PUBLIC_NAMES = [
    "Certificate",
    "ClientConfig",
    "ClientConnection",
    "ConfigError",
    "ConnectTimeoutError",
    "GRPCBroker",
    "HandshakeError",
    "HclogHandler",
    "KeepalivePolicy",
    "LaunchError",
    "PluginExitedError",
    "ProtocolError",
    "RPCPluginClient",
    "RPCPluginError",
    "RPCPluginServer",
    "ReattachConfig",
    "ReattachTLS",
    "RetryPolicy",
    "Runner",
    "SecureConfig",
    "SecurityError",
    "ServerConfig",
    "ServerReflection",
    "StartTimeoutError",
    "TLSConfig",
    "TransportError",
    "__version__",
    "build_info",
    "cleanup_clients",
    "families",
    "serve",
]

ANNOUNCEMENTS = {
    b"1|5|unix|/tmp/plugin|grpc|": (5, "unix", "/tmp/plugin", None),
    b"1|6|tcp|127.0.0.1:1234|grpc": (6, "tcp", "127.0.0.1:1234", None),
    b"1|6|tcp|[::1]:1234|grpc\r": (6, "tcp", "[::1]:1234", None),
    b"  1|06|unix|/with space|grpc||true  ": (6, "unix", "/with space", None),
    b"1|5|unix|/tmp/plugin|grpc|legacy text": (5, "unix", "/tmp/plugin", None),
}


@pytest.mark.parametrize("line", ANNOUNCEMENTS)
def test_announcements_are_parsed(line: bytes) -> None:
    assert _core.parse_handshake(line, [5, 6]) == ANNOUNCEMENTS[line]


@pytest.mark.parametrize("strip", [b"=", b""], ids=["unpadded", "padded"])
def test_certificate_of_an_announcement_is_decoded(strip: bytes) -> None:
    # Its length varies with the signature; one that is a multiple of three needs no padding.
    der = next(der for _ in range(1000) if len(der := Certificate.generate().certificate_der) % 3)
    text = base64.b64encode(der)
    line = b"1|5|unix|/p|grpc|" + (text.rstrip(strip) if strip else text)
    assert _core.parse_handshake(line, [5])[3] == der


REFUSED = {
    b"": (HandshakeError, "handshake.fields"),
    b"1|5|unix": (HandshakeError, "handshake.fields"),
    b"\xff|5|unix|/p|grpc": (HandshakeError, "handshake.not-text"),
    b"x|5|unix|/p|grpc": (HandshakeError, "handshake.core-version-invalid"),
    b"2|5|unix|/p|grpc": (HandshakeError, "handshake.core-version"),
    b"1|five|unix|/p|grpc": (HandshakeError, "handshake.app-version-invalid"),
    b"1|4|unix|/p|grpc": (HandshakeError, "handshake.app-version"),
    b"1|5|pipe|/p|grpc": (HandshakeError, "handshake.network"),
    b"1|5|tcp|localhost|grpc": (HandshakeError, "handshake.address"),
    b"1|5|unix||grpc": (HandshakeError, "handshake.address"),
    b"1|5|unix|/p": (ProtocolError, "handshake.protocol"),
    b"1|5|unix|/p|netrpc": (ProtocolError, "handshake.protocol"),
    b"1|5|unix|/p|grpc|" + b"A" * 60: (SecurityError, "handshake.certificate"),
    b"1|5|unix|/p|grpc|" + b"?" * 60: (SecurityError, "handshake.certificate"),
}


@pytest.mark.parametrize("line", REFUSED)
def test_unusable_announcements_are_refused_by_their_rule(line: bytes) -> None:
    expected, code = REFUSED[line]
    with pytest.raises(expected) as caught:
        _core.parse_handshake(line, [5, 6])
    assert type(caught.value) is expected
    assert caught.value.code == code
    assert caught.value.message
    assert caught.value.hint


def test_excluded_transport_is_refused() -> None:
    assert _core.parse_handshake(b"1|5|unix|/p|grpc", [5], ["unix"])[1] == "unix"
    with pytest.raises(HandshakeError, match="transports"):
        _core.parse_handshake(b"1|5|unix|/p|grpc", [5], ["tcp"])


def test_message_is_put_behind_its_prefix() -> None:
    assert _core.encode_frame(b"") == b"\0\0\0\0\0"
    assert _core.encode_frame(b"abc") == b"\0\0\0\0\3abc"
    assert _core.encode_frame(bytes(70_000))[:5] == b"\0\0\1\x11\x70"
    with pytest.raises(ProtocolError, match="4 bytes cannot be sent: the limit is 3 bytes"):
        _core.encode_frame(b"abcd", 3)


def test_decoder_hands_out_what_is_complete_and_keeps_the_rest() -> None:
    decoder = _core.FrameDecoder(10)
    assert decoder.feed(b"\0\0\0") == []
    assert decoder.feed(b"\0\3ab") == []
    assert decoder.feed(b"c\0\0\0\0\0\0\0\0\0\1d\0") == [b"abc", b"", b"d"]
    with pytest.raises(ProtocolError, match="inside a frame: 1 bytes"):
        decoder.finish()
    assert decoder.feed(b"\0\0\0\0") == [b""]
    decoder.finish()


@pytest.mark.parametrize("size", [100_000, 2**17 - 1, 2**17, 2**20, 5_000_000])
def test_large_message_is_joined_out_of_its_pieces_which_are_let_go_of(size: int) -> None:
    message = random.Random(size).randbytes(size)
    wire = _core.encode_frame(message)
    pieces = [wire[start : start + 16_384] for start in range(0, len(wire), 16_384)]
    before = sys.getrefcount(pieces[0])
    decoder = _core.FrameDecoder()
    messages = [message for piece in pieces for message in decoder.feed(piece)]
    assert [type(each) for each in messages] == [bytes]
    assert messages == [message]
    decoder.finish()
    after = sys.getrefcount(pieces[0])
    assert after == before


@pytest.mark.parametrize(
    ("wire", "code"), [(b"\1\0\0\0\0", "grpc.frame-invalid"), (b"\0\0\0\0\x0b", "grpc.message-too-large")]
)
def test_decoder_hands_out_good_frames_before_its_error_and_repeats_that(wire: bytes, code: str) -> None:
    decoder = _core.FrameDecoder(10)
    assert decoder.feed(b"\0\0\0\0\1x" + wire) == [b"x"]
    for more in (b"", b"\0\0\0\0\0"):
        with pytest.raises(ProtocolError) as caught:
            decoder.feed(more)
        assert caught.value.code == code


def test_every_kind_of_error_has_a_class_of_its_own_family() -> None:
    kinds = _core.error_kinds()
    assert len(kinds) > 30
    assert len({code for code, _ in kinds}) == len(kinds)
    for code, class_name in kinds:
        assert re.fullmatch(r"[a-z0-9]+\.[a-z0-9-]+", code)
        assert class_name in errors.CLASS_BY_NAME
    assert {class_name for _, class_name in kinds} == set(errors.CLASS_BY_NAME), "a class that no kind uses"


def test_error_of_the_core_is_an_error_of_the_package() -> None:
    with pytest.raises(RPCPluginError) as caught:
        _core.parse_handshake(b"nonsense", [1])
    assert (caught.value.exit_status, caught.value.stderr_tail) == (None, ())


def test_build_says_what_it_is() -> None:
    info = ferrule.build_info()
    assert set(info) == {"version", "profile", "target"}
    assert info["version"] == ferrule.__version__ == metadata.version("ferrule")
    assert info["profile"] in {"debug", "release"}
    assert sys.platform in info["target"]


def test_public_names_are_these() -> None:
    assert ferrule.__all__ == PUBLIC_NAMES
    assert sorted(PUBLIC_NAMES) == PUBLIC_NAMES
    assert dir(ferrule) == PUBLIC_NAMES
    for name in PUBLIC_NAMES:
        assert getattr(ferrule, name) is not None


@pytest.mark.parametrize(
    "name", ["ferrule.client", "ferrule.config", "ferrule.errors", "ferrule.logs", "ferrule.testing"]
)
def test_modules_offer_what_they_list(name: str) -> None:
    module = importlib.import_module(name)
    assert len(set(module.__all__)) == len(module.__all__) > 0
    assert all(hasattr(module, public) for public in module.__all__)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'ferrule' has no attribute 'nonsense'"):
        getattr(ferrule, "nonsense")  # noqa: B009


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import ferrule", {"grpc", "google.protobuf", "cryptography", "asyncio", "ferrule._core"}),
        ("from ferrule import ClientConfig; ClientConfig()", {"grpc", "google.protobuf", "cryptography", "asyncio"}),
        ("import ferrule; ferrule.__version__", {"grpc", "google.protobuf", "cryptography", "asyncio"}),
        ("from ferrule import TransportError", {"grpc", "google.protobuf", "cryptography", "asyncio"}),
    ],
)
def test_import_loads_only_what_is_needed(statement: str, absent: set[str]) -> None:
    program = f"{statement}\nimport sys\nprint(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    assert "ferrule" in loaded
    assert absent & set(loaded) == set()


def test_package_is_typed() -> None:
    assert (Path(ferrule.__file__).parent / "py.typed").exists()
