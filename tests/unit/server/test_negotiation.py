"""From the plugin's settings and the host's environment to what the core is told."""

from __future__ import annotations

import tempfile
from typing import Any

import pytest

from ferrule import Certificate
from ferrule._secrecy import Sealed
from ferrule.errors import ConfigError
from ferrule.server import ServerConfig
from ferrule.server.negotiation import negotiate


def config(**settings: Any) -> ServerConfig:
    return ServerConfig.of({"magic_cookie_key": "KEY", "magic_cookie_value": "value", **settings})


def settings_of(environment: dict[str, str], **settings: Any) -> Sealed:
    return negotiate(config(**settings), (1,), environment).core_settings


def test_without_a_host() -> None:
    negotiated = negotiate(config(), (3, 5), {})
    assert (negotiated.protocol_version, negotiated.ignored_versions) == (3, [])
    assert negotiated.core_settings == Sealed(
        security="plaintext",
        client_certificate=None,
        tls=None,
        curve="P-256",
        multiplex=False,
        protocol_version=3,
        network="unix",
        ports=(0, 0),
        socket_directory=None,
        socket_group=None,
        socket_base=tempfile.gettempdir(),
    )


def test_what_the_host_says() -> None:
    environment = {
        "PLUGIN_CLIENT_CERT": "PEM",
        "PLUGIN_MAX_PORT": "25000",
        "PLUGIN_MIN_PORT": "10000",
        "PLUGIN_MULTIPLEX_GRPC": "true",
        "PLUGIN_PROTOCOL_VERSIONS": "5,x",
        "PLUGIN_UNIX_SOCKET_DIR": "/run/plugin",
        "PLUGIN_UNIX_SOCKET_GROUP": "daemon",
    }
    negotiated = negotiate(config(network="tcp", certificate_curve="P-521"), (3, 5), environment)
    assert negotiated.ignored_versions == ["x"]
    assert negotiated.core_settings == Sealed(
        security="auto-mtls",
        client_certificate="PEM",
        tls=None,
        curve="P-521",
        multiplex=True,
        protocol_version=5,
        network="tcp",
        ports=(10000, 25000),
        socket_directory="/run/plugin",
        socket_group="daemon",
        socket_base="/run/plugin",
    )


def test_own_certificates_come_before_automtls() -> None:
    own = Certificate.generate()
    certificate = own.certificate_pem.encode()
    tls = {"ca": certificate, "certificate": certificate, "key": own.private_key_pem.encode()}
    settings = settings_of({"PLUGIN_CLIENT_CERT": "PEM"}, tls=tls)
    assert (settings["security"], settings["client_certificate"]) == ("certificates", None)
    assert settings["tls"] == Sealed(**tls, server_name="localhost")


@pytest.mark.parametrize(
    ("value", "multiplex"), [("true", True), ("1", True), ("T", True), ("false", False), ("yes", False), ("", False)]
)
def test_multiplexing_is_asked_for_in_the_words_of_go(value: str, multiplex: bool) -> None:
    assert settings_of({"PLUGIN_MULTIPLEX_GRPC": value})["multiplex"] is multiplex


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        ("2", "1", "PLUGIN_MIN_PORT and PLUGIN_MAX_PORT are 2 and 1"),
        ("x", "1", "PLUGIN_MIN_PORT is 'x'"),
        ("1", "70000", "PLUGIN_MAX_PORT is '70000'"),
    ],
)
def test_port_ranges_that_do_not_fit(low: str, high: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        settings_of({"PLUGIN_MIN_PORT": low, "PLUGIN_MAX_PORT": high})
