"""How the plugin of `ferrule.testing` starts: cookie, mode words, version, address, handshake line, mutual TLS."""

import dataclasses
import json
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from ferrule import Certificate
from ferrule.testing import COOKIE_KEY, COOKIE_VALUE, KV_CONFIG, kv_pb2
from ferrule.testing.modes import Modes, parse
from plugin_process import LIMIT_SECONDS, Launch, Plugin, certificate_field, connect, launcher, read_line, run

SERVING = b"\x08\x01"


@pytest.fixture(scope="module")
def launch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launch]:
    with launcher(tmp_path_factory.mktemp) as start:
        yield start


@pytest.fixture(scope="module")
def plugin(launch: Launch) -> Plugin:
    """One plugin for the tests that leave it as it was."""
    return launch()


def test_importing_the_package_brings_no_grpc() -> None:
    code = "import ferrule, sys; before = set(sys.modules); import ferrule.testing; print(*set(sys.modules) - before)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=True)
    imported = set(done.stdout.split())
    assert "ferrule.testing" in imported
    assert not {"grpc", "google.protobuf", "cryptography"} & imported


POOL_PROGRAM = """
from google.protobuf import descriptor_pool
import ferrule.testing.services
for name in ("plugin.Empty", "grpc.health.v1.HealthCheckRequest"):
    try:
        descriptor_pool.Default().FindMessageTypeByName(name)
    except KeyError:
        print("free")
"""


def test_default_descriptor_pool_stays_free() -> None:
    # In a process of its own: other tests load generated code for the same services.
    command = [sys.executable, "-c", POOL_PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=True)
    assert done.stdout.split() == ["free", "free"]


def test_client_settings_fit_the_plugin() -> None:
    assert {
        "magic_cookie_key": COOKIE_KEY,
        "magic_cookie_value": COOKIE_VALUE,
        "protocol_versions": Modes().versions,
    } == KV_CONFIG


@pytest.mark.parametrize("cookie", ["", "wrong"])
def test_without_its_cookie_it_explains_itself_and_exits_1(cookie: str) -> None:
    done = run(**{COOKIE_KEY: cookie})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("This binary is a plugin.")
    assert len(done.stderr.splitlines()) == 3


def test_help_lists_every_mode_word() -> None:
    listed = re.findall(r"^  ([a-z-]+)", run("--help").stdout, re.MULTILINE)
    assert listed == [row.name.replace("_", "-") for row in dataclasses.fields(Modes)]


def test_mode_words_combine() -> None:
    assert parse(["versions=3,5", "tcp", "exit=4", "raw-line=a=b"]) == Modes(
        versions=(3, 5), tcp=True, exit=4, raw_line="a=b"
    )


@pytest.mark.parametrize("word", ["unknown", "tcp=1", "versions", "versions=", "versions=3,", "exit=x", "banner=-1"])
def test_bad_mode_word_is_named(word: str) -> None:
    done = run(word)
    assert (done.returncode, done.stdout) == (2, "")
    assert repr(word) in done.stderr


def test_version_reaches_the_handshake_line(launch: Launch) -> None:
    assert launch("versions=3,5,7", PLUGIN_PROTOCOL_VERSIONS="5,4,x").fields[1] == "5"


def test_plaintext_handshake_line(plugin: Plugin) -> None:
    assert plugin.fields == ["1", "1", "unix", plugin.fields[3], "grpc", ""]
    assert re.fullmatch(re.escape(str(plugin.stderr.parent)) + r"/plugin\d+", plugin.fields[3])


def test_multiplexing_is_declined(launch: Launch) -> None:
    assert launch(PLUGIN_MULTIPLEX_GRPC="true").fields[5:] == ["", "false"]


def test_tcp_takes_the_free_port_of_the_range(launch: Launch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        ports = {"PLUGIN_MIN_PORT": str(port), "PLUGIN_MAX_PORT": str(port)}
        refused = run("tcp", **ports)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "plugin init error" in refused.stderr
    started = launch("tcp", **ports)
    assert started.fields[2:4] == ["tcp", f"127.0.0.1:{port}"]
    assert started.ping() == SERVING


def test_log_lines_are_hclog_json(plugin: Plugin) -> None:
    lines = plugin.stderr.read_text().splitlines()
    entry = json.loads(next(line for line in lines if "plugin address" in line))
    assert list(entry) == sorted(entry)
    assert (entry["@level"], entry["network"], entry["address"]) == ("debug", "unix", plugin.fields[3])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", entry["@timestamp"])


def test_mutual_tls(launch: Launch) -> None:
    host = Certificate.generate()
    secured = launch(identity=host, PLUGIN_CLIENT_CERT=host.certificate_pem)
    assert secured.ping() == SERVING
    assert secured.kv.Echo(kv_pb2.EchoRequest(payload=b"x"), timeout=LIMIT_SECONDS).payload == b"x"
    for identity in (Certificate.generate(), None):
        with connect(secured.fields, identity) as channel, pytest.raises(grpc.RpcError) as refusal:
            channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=LIMIT_SECONDS)
        assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE


def test_certificate_profile(launch: Launch) -> None:
    certificate = x509.load_der_x509_certificate(
        certificate_field(launch(PLUGIN_CLIENT_CERT=Certificate.generate().certificate_pem).fields)
    )
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    assert certificate.subject == certificate.issuer
    assert certificate.subject.rfc4514_string() == "CN=localhost"
    assert {extension.oid._name: extension.critical for extension in certificate.extensions} == {
        "keyUsage": True,
        "extendedKeyUsage": False,
        "basicConstraints": True,
        "subjectKeyIdentifier": False,
        "subjectAltName": False,
    }


def test_no_cert_stays_plaintext(launch: Launch) -> None:
    plain = launch("no-cert", PLUGIN_CLIENT_CERT=Certificate.generate().certificate_pem)
    assert plain.fields[5] == ""
    assert plain.ping() == SERVING


def test_exit_before_the_handshake() -> None:
    done = run("exit=7")
    assert (done.returncode, done.stdout) == (7, "")


def test_banner_comes_before_the_handshake_line(launch: Launch) -> None:
    noisy = launch("banner=2")
    assert noisy.fields == ["stray line 1"]
    assert [read_line(noisy.process)[:10], read_line(noisy.process)[:2]] == [b"stray line", b"1|"]


@pytest.mark.parametrize("words", [("raw-line=9|x y|",), ("hang", "banner=1")])
def test_blocks_after_its_only_line(launch: Launch, words: tuple[str, ...]) -> None:
    stuck = launch(*words)
    assert "|".join(stuck.fields) in ("9|x y|", "stray line 1")
    # Half a second is several times what a serving plugin needs from here to its handshake line.
    assert stuck.process.stdout is not None
    assert select.select([stuck.process.stdout], [], [], 0.5)[0] == []
    stuck.process.terminate()
    assert stuck.process.wait(LIMIT_SECONDS) == -signal.SIGTERM


def test_slow_listen_announces_an_address_nobody_listens_on(launch: Launch) -> None:
    slow = launch("slow-listen")
    with socket.socket(socket.AF_UNIX) as probe, pytest.raises(FileNotFoundError):
        probe.connect(slow.fields[3])
    assert slow.ping() == SERVING


def test_signals(launch: Launch) -> None:
    stubborn = launch("ignore-sigterm")
    stubborn.process.send_signal(signal.SIGINT)
    stubborn.process.send_signal(signal.SIGTERM)
    assert stubborn.ping() == SERVING
    ordinary = launch()
    ordinary.process.send_signal(signal.SIGINT)
    assert ordinary.ping() == SERVING
    ordinary.process.send_signal(signal.SIGTERM)
    assert ordinary.process.wait(LIMIT_SECONDS) == -signal.SIGTERM
