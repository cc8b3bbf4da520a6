"""Failures of every kind give away neither a private key nor the environment, whatever a reporter looks at."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

import ferrule.channel
import ferrule.channel.sync
import ferrule.sync
from ferrule import Certificate, families
from ferrule.cli import main
from ferrule.client import ClientConnection, RPCPluginClient
from ferrule.config import ClientConfig
from ferrule.errors import ConfigError, RPCPluginError, SecurityError
from ferrule.reattach import ReattachConfig, ReattachTLS
from ferrule.runner import RunnerLaunch, SubprocessRunner
from ferrule.server import RPCPluginServer, ServerConfig, serve
from ferrule.testing import KV_CONFIG
from ferrule.tls import TLSConfig
from frames import leaks
from peers import kv_config

ENVIRONMENT = "a-token-in-the-environment"
GIVEN = "a-token-in-the-setting-env"
COOKIE = "a-cookie-that-is-kept"

OWN = Certificate.generate()
OTHER = Certificate.generate()
PEM: dict[str, Any] = {"ca": OWN.certificate_pem, "certificate": OWN.certificate_pem, "key": OWN.private_key_pem}
REATTACH_TLS = {
    "certificate": OWN.certificate_pem,
    "private_key": OWN.private_key_pem,
    "server_certificate": OWN.certificate_pem,
}
SECRETS = {
    "the key": OWN.private_key_pem.replace("\n", "")[60:100],
    "the environment": ENVIRONMENT,
    "the setting env": GIVEN,
    "the cookie": COOKIE,
}
NOWHERE = ["/nowhere/plugin"]
# It says nothing, so that a start fails by its limit.
SILENT = [sys.executable, "-c", "import signal, sys; sys.stdin.read(); signal.pause()"]


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_TOKEN", ENVIRONMENT)


def settings(**others: Any) -> dict[str, Any]:
    return kv_config(**{"env": {"GIVEN_TOKEN": GIVEN}, "magic_cookie_value": COOKIE, "tls": PEM, **others})


def attached(**others: Any) -> dict[str, Any]:
    return {"network": "unix", "address": "/nowhere/socket", "tls": REATTACH_TLS, **others}


class Refusing(SubprocessRunner):
    async def start(self, launch: RunnerLaunch) -> Any:
        raise OSError("no room")


class Elsewhere(SubprocessRunner):
    """Starts what is no program, so that the standard library fails with the environment in its hands."""

    def command(self, launch: RunnerLaunch) -> list[str]:
        return [str(Path(launch.socket_directory))]


@pytest.mark.parametrize(
    "make",
    [
        lambda: RPCPluginClient(NOWHERE, settings()),
        lambda: RPCPluginClient(NOWHERE, kv_config()),
        lambda: RPCPluginClient(SILENT, settings(start_timeout=0.2)),
        lambda: RPCPluginClient(NOWHERE, settings(secure_config={"checksum": "00" * 32})),
        lambda: RPCPluginClient(NOWHERE, settings(unix_socket_group="nobody-has-this-group")),
        lambda: RPCPluginClient(SILENT, settings(runner=Refusing())),
        lambda: RPCPluginClient(SILENT, settings(runner=Elsewhere())),
        lambda: RPCPluginClient(reattach=attached(), config=kv_config(connect_timeout=0.2)),
        lambda: RPCPluginClient(
            reattach=attached(tls={**REATTACH_TLS, "private_key": OTHER.private_key_pem}), config=kv_config()
        ),
        lambda: RPCPluginClient(SILENT, settings(channel="grpcio", start_timeout=0.2)),
    ],
    ids=["missing", "auto-mtls", "silent", "checksum", "group", "runner", "popen", "reattach", "identity", "grpcio"],
)
async def test_failed_starts(make: Callable[[], RPCPluginClient], no_leaks: None) -> None:
    client = make()
    with pytest.raises(RPCPluginError) as failure:
        await client.start()
    assert leaks(failure.value, {**SECRETS, "the other key": OTHER.private_key_pem.replace("\n", "")[60:100]}) == []
    await client.close()


@pytest.mark.parametrize(
    "make",
    [
        lambda: ferrule.sync.RPCPluginClient(NOWHERE, settings()),
        lambda: ferrule.sync.RPCPluginClient(SILENT, settings(start_timeout=0.2)),
        lambda: ferrule.sync.RPCPluginClient(SILENT, settings(runner=Refusing())),
        lambda: ferrule.sync.RPCPluginClient(reattach=attached(), config=kv_config(connect_timeout=0.2)),
    ],
    ids=["missing", "silent", "runner", "reattach"],
)
def test_failed_starts_of_threads(make: Callable[[], ferrule.sync.RPCPluginClient], no_leaks: None) -> None:
    client = make()
    with pytest.raises(RPCPluginError) as failure:
        client.start()
    assert leaks(failure.value, SECRETS) == []
    client.close()


HALF: dict[str, Any] = {"ca": OWN.certificate_pem, "key": OWN.private_key_pem}
SWAPPED = {**PEM, "certificate": OTHER.certificate_pem}
BROKEN = {**PEM, "key": OWN.private_key_pem[:-60]}


@pytest.mark.parametrize(
    "give",
    [
        lambda: TLSConfig(**HALF),
        lambda: TLSConfig(**SWAPPED),
        lambda: TLSConfig(**BROKEN),
        lambda: TLSConfig(**{**PEM, "ca": OWN.private_key_pem}),
        lambda: TLSConfig(ca=5, certificate=OWN),  # type: ignore[arg-type]
        lambda: TLSConfig(ca=OWN, certificate=OTHER, key=OWN.private_key_pem),
        lambda: Certificate.from_pem(OWN.private_key_pem),
        lambda: Certificate.from_pem(OTHER.certificate_pem, OWN.private_key_pem),
        lambda: Certificate.from_pem(OWN.certificate_pem + OWN.private_key_pem, OWN.private_key_pem),
        lambda: Certificate.from_pem(OWN.certificate_pem, OWN.private_key_pem[:-60]),
        lambda: Certificate.generate(signed_by=OWN, days=5),
        lambda: TLSConfig(**PEM, server_name=1),  # type: ignore[arg-type]
        lambda: ClientConfig(tls=SWAPPED),  # type: ignore[arg-type]
        lambda: ClientConfig.of(settings(min_port=0)),
        lambda: RPCPluginClient(NOWHERE, settings(no_such_setting=1)),
        lambda: RPCPluginClient(NOWHERE, settings(env={"TOKEN": GIVEN, "OTHER": 1})),
        lambda: RPCPluginClient((), settings()),
        lambda: RPCPluginClient(NOWHERE, [("magic_cookie_value", COOKIE)]),  # type: ignore[arg-type]
        lambda: ServerConfig.of([("magic_cookie_value", COOKIE)]),  # type: ignore[arg-type]
        lambda: RPCPluginClient(reattach=[("tls", REATTACH_TLS)]),  # type: ignore[arg-type]
        lambda: ferrule.sync.RPCPluginClient(reattach=OWN.private_key_pem),  # type: ignore[arg-type]
        lambda: families.TFLINT.with_settings(**settings(no_such_setting=1)),
        lambda: families.TFLINT.with_settings(env={"TOKEN": GIVEN, "OTHER": 1}),
        lambda: RPCPluginClient(NOWHERE, reattach=attached()),
        lambda: ferrule.sync.RPCPluginClient(NOWHERE, settings(auto_mtls=True)),
        lambda: ReattachTLS(**{**REATTACH_TLS, "certificate": ""}),
        lambda: ReattachConfig(**attached(owned=True)),
        lambda: ReattachConfig.from_json(ReattachConfig(**attached()).to_json(include_secrets=True)[:-1]),
        lambda: ReattachConfig(**attached(tls=ReattachTLS(**{**REATTACH_TLS, "certificate": "\udc80"}))).to_json(
            include_secrets=True
        ),
        lambda: ReattachConfig.from_environment(environ={"TF_REATTACH_PROVIDERS": "{" + GIVEN, "TOKEN": GIVEN}),
        lambda: ServerConfig.of({**KV_CONFIG, "magic_cookie_value": COOKIE, "tls": SWAPPED}),
        lambda: ServerConfig.terraform(magic_cookie_value=COOKIE, tls=HALF),
        lambda: RPCPluginServer({}, {**KV_CONFIG, "magic_cookie_value": COOKIE, "tls": PEM}),
        lambda: serve(lambda _server, _broker: None, {**KV_CONFIG, "tls": HALF}),
        lambda: ferrule.channel.secure_channel(
            "localhost:1", grpc.ssl_channel_credentials(None, OWN.private_key_pem.encode())
        ),
        lambda: ferrule.channel.sync.secure_channel(
            "localhost:1",
            grpc.ssl_channel_credentials(OWN.certificate_pem.encode(), OWN.private_key_pem.encode(), b"none"),
        ),
    ],
)
async def test_refused_settings(give: Callable[[], object]) -> None:
    with pytest.raises((TypeError, ValueError, RPCPluginError)) as failure:
        give()
    assert leaks(failure.value, SECRETS) == []


async def test_connections_of_ones_own() -> None:
    for tls in (HALF, SWAPPED):
        with pytest.raises(ConfigError) as failure:
            await ClientConnection.open("/nowhere/socket", tls)
        assert leaks(failure.value, SECRETS) == []


async def test_call_credentials_of_which_one_fails() -> None:
    class Token(grpc.AuthMetadataPlugin):
        def __call__(self, context: grpc.AuthMetadataContext, callback: grpc.AuthMetadataPluginCallback) -> None:
            callback((("authorization", GIVEN),), None)

    class Failing(grpc.AuthMetadataPlugin):
        def __call__(self, context: grpc.AuthMetadataContext, callback: grpc.AuthMetadataPluginCallback) -> None:
            raise OSError("no token")

    both = [grpc.metadata_call_credentials(plugin) for plugin in (Token(), Failing())]
    joined = grpc.composite_call_credentials(*both)
    credentials = ferrule.channel.credentials
    with pytest.raises(credentials.CallMetadataError) as failure:
        await credentials.call_metadata(joined, "https://localhost/service", "/service/method")
    assert leaks(failure.value, SECRETS) == []
    with pytest.raises(credentials.CallMetadataError) as failure:
        credentials.blocking_call_metadata(joined, "https://localhost/service", "/service/method")
    assert leaks(failure.value, SECRETS) == []


@pytest.mark.parametrize(
    ("variable", "value", "kind"),
    [
        ("PLUGIN_CLIENT_CERT", "no certificate", SecurityError),
        ("PLUGIN_MIN_PORT", "many", ConfigError),
        ("PLUGIN_UNIX_SOCKET_DIR", "/nowhere/at/all", RPCPluginError),
    ],
)
async def test_failed_starts_of_a_server(
    variable: str, value: str, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KV_CONFIG["magic_cookie_key"], COOKIE)
    monkeypatch.setenv(variable, value)
    tls = None if variable == "PLUGIN_CLIENT_CERT" else PEM
    config = {"magic_cookie_key": KV_CONFIG["magic_cookie_key"], "magic_cookie_value": COOKIE, "tls": tls}
    server = RPCPluginServer(lambda _server, _broker: None, config)
    with pytest.raises(kind) as failure:
        await server.start()
    assert leaks(failure.value, SECRETS) == []


def test_command_line_that_fails_unexpectedly() -> None:
    def broken(**_: Any) -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as failure:
        main(["inspect", "--env", f"TOKEN={GIVEN}", "--cookie", f"KEY={COOKIE}", "plugin"], client_factory=broken)
    assert leaks(failure.value, SECRETS) == []


def test_classes_of_settings_forget_what_they_are_given() -> None:
    """So that the next secret among the settings is hidden by default."""
    for cls in (ClientConfig, ServerConfig, TLSConfig, ReattachConfig, ReattachTLS):
        assert dataclasses.is_dataclass(cls)
        assert hasattr(cls.__init__, "__wrapped__"), f"{cls.__name__} lacks forgetful_init"


def test_variables_of_callers_stay() -> None:
    """Only the library's own frames are emptied, and those of what the caller was handling are its own."""

    def failing() -> None:
        local = "kept"
        raise KeyError(local)

    def handling() -> None:
        try:
            failing()
        except KeyError:
            with contextlib.suppress(ConfigError):
                ClientConfig(min_port=0)
            raise

    with pytest.raises(KeyError) as failure:
        handling()
    assert failure.traceback[-1].frame.f_locals == {"local": "kept"}
