"""Programs of the other Python host: each name that they import is here, and each setting leads to ours."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ferrule import ClientConfig, ConfigError, ServerConfig
from ferrule._migration import COUNTERPARTS, GO_COUNTERPARTS
from ferrule.client import ClientConnection, ConnectionT, RPCPluginClient, SecureRpcClientT
from ferrule.testing import KV_CONFIG, plugin_command
from peers import ROOT
from waiting import LIMIT

CLIENT_NAMES = {
    "ferrule.client": {
        "ClientConnection", "ClientT", "GrpcChannelType", "GrpcCredentialsType", "RPCPluginClient", "RpcConfigType",
        "SecureRpcClientT",
    },
    "ferrule.client.connection": {"ClientConnection", "ReceiveFuncType", "SendFuncType"},
    "ferrule.client.types": {
        "ClientT", "ConnectionT", "GrpcChannelType", "GrpcCredentialsType", "ReceiveFuncType", "RpcConfigType",
        "SecureRpcClientT", "SendFuncType",
    },
    "ferrule": {"ConfigError", "HandshakeError", "ProtocolError", "RPCPluginClient", "RPCPluginError", "SecurityError",
                "TransportError"},
}  # fmt: skip
"""What the other host exports, by the module that has it here."""

CLIENT_ATTRIBUTES = {
    RPCPluginClient: (
        "client_cert client_key_pem close command config grpc_channel is_started open_broker_subchannel "
        "shutdown_plugin start target_endpoint"
    ),
    ClientConnection: (
        "bytes_received bytes_sent close is_closed reader receive_data receive_func remote_addr send_data send_func "
        "update_metrics writer"
    ),
}

SETTINGS = """
    auto_mtls buffer_size ca_cert cert_validity_days channel_ready_timeout chunk_size client_backoff_multiplier
    client_cert client_cert_file client_initial_backoff_ms client_key client_key_file client_max_backoff_ms
    client_max_retries client_max_retry_delay client_retry_delay client_retry_enabled client_retry_jitter_ms
    client_retry_total_timeout_s client_root_certs client_transports connection_timeout core_version grpc_grace_period
    grpc_keepalive_time_ms grpc_keepalive_timeout_ms grpc_max_receive_message_size grpc_max_send_message_size
    handshake_timeout health_service_enabled ignore_sigint insecure log_level magic_cookie_key magic_cookie_value
    mtls_cert_dir protocol_version protocol_versions rate_limit_burst_capacity rate_limit_enabled
    rate_limit_requests_per_second server_cert server_host server_key server_port server_ready_timeout server_root_certs
    server_transports server_unix_socket_path show_emoji_matrix shutdown_file_path supported_transports
    transport_buffer_size ui_enabled
"""
"""Of the other host, each with `plugin_` at the front."""

OTHER_NAMES = {
    "supported_protocol_versions": "SUPPORTED_PROTOCOL_VERSIONS",
    "client_cert_curve": "PYVIDER_CLIENT_CERT_CURVE",
    "exit_on_stop": "PLUGIN_EXIT_ON_STOP",
    "timeout_graceful_shutdown": "PLUGIN_TIMEOUT_GRACEFUL_SHUTDOWN",
    "magic_cookie": "magic_cookie",
    "transports": "transports",
}

CONFIGS: list[Any] = [ClientConfig, ServerConfig]


@pytest.mark.parametrize("module", CLIENT_NAMES)
def test_every_name_is_exported(module: str) -> None:
    exported = importlib.import_module(module)
    assert CLIENT_NAMES[module] <= set(exported.__all__)
    assert all(hasattr(exported, name) for name in exported.__all__)


@pytest.mark.parametrize("cls", CLIENT_ATTRIBUTES)
def test_every_attribute_is_there(cls: type[Any]) -> None:
    made = RPCPluginClient(["plugin"]) if cls is RPCPluginClient else object.__new__(ClientConnection)
    described = set(dir(made)) | set(inspect.signature(cls.__init__).parameters)
    assert set(CLIENT_ATTRIBUTES[cls].split()) <= described


def test_types_have_one_home() -> None:
    client, types = (importlib.import_module(name) for name in ("ferrule.client", "ferrule.client.types"))
    assert all(getattr(client, name) is getattr(types, name) for name in types.__all__)


async def test_a_client_and_a_connection_are_what_the_types_say() -> None:
    class Fake:
        """Has no more than the protocol, and nothing private."""

        grpc_channel = client_cert = None

        async def start(self) -> None: ...
        async def shutdown_plugin(self) -> None: ...
        async def close(self) -> None: ...

    assert isinstance(Fake(), SecureRpcClientT)
    assert not isinstance(object(), SecureRpcClientT | ConnectionT)
    client = RPCPluginClient(plugin_command(), KV_CONFIG)
    assert isinstance(client, SecureRpcClientT)
    async with client:
        assert isinstance(client, SecureRpcClientT)
        assert client.client_cert is not None
    assert issubclass(ClientConnection, ConnectionT)


async def test_functions_of_a_connection_may_be_replaced() -> None:
    sent: list[bytes] = []

    class Writer:
        def is_closing(self) -> bool:
            return False

        def close(self) -> None: ...
        async def wait_closed(self) -> None: ...

    async def send(data: bytes) -> None:
        sent.append(data)

    async def receive(size: int) -> bytes:
        return b"x" * size

    connection = ClientConnection(None, Writer(), "somewhere")
    default = connection.send_func, connection.receive_func
    connection.send_func, connection.receive_func = send, receive
    await connection.send_data(b"hello")
    assert (sent, await connection.receive_data(3)) == ([b"hello"], b"xxx")
    connection.send_func = connection.receive_func = None
    assert (connection.send_func, connection.receive_func) == default
    await connection.close()


def test_every_setting_is_known() -> None:
    assert sorted(COUNTERPARTS) == sorted([*SETTINGS.split(), *OTHER_NAMES])


def spellings(setting: str) -> list[str]:
    if setting in OTHER_NAMES:
        return [OTHER_NAMES[setting]]
    return [f"plugin_{setting}", f"PLUGIN_{setting.upper()}"]


def has(config: Any, setting: str) -> bool:
    """Whether there is such a setting, in a nested configuration after a dot."""
    name, _, rest = setting.partition(".")
    annotations = {field.name: str(field.type) for field in dataclasses.fields(config)}
    if not rest:
        return name in annotations
    home = importlib.import_module("ferrule.config")
    found = re.search(r"(\w+(Config|Policy)) \| None|\.(\w+(Config|Policy))", annotations[name])
    assert found is not None
    return has(getattr(home, found[1] or found[3]), rest)


def refusal(config: Any, setting: str) -> str:
    """The message for an unknown setting beside the cookie."""
    with pytest.raises(ConfigError) as caught:
        config.of({**dict.fromkeys(("magic_cookie_key", "magic_cookie_value"), "x"), setting: 1})
    return caught.value.message


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("setting", COUNTERPARTS)
def test_a_setting_of_the_other_host_leads_to_ours(setting: str, config: Any) -> None:
    known = COUNTERPARTS[setting]
    own, others = (known.client, known.server) if config is ClientConfig else (known.server, known.client)
    for name in spellings(setting):
        if has(config, name):
            continue
        message = refusal(config, name)
        assert message.startswith(f"unknown setting {name!r} (")
        assert message.endswith(f"{known.remark})")
        if own:
            assert has(config, own)
            assert f"(nearest: {own}" in message
        else:
            assert "(none here" in message
            assert others in message
            assert known.remark or others


def test_the_page_has_a_row_for_each_setting() -> None:
    page = (ROOT / "docs" / "migrating.md").read_text()
    table = page.partition("| There |")[2].partition("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    for setting, known in COUNTERPARTS.items():
        names = set(spellings(setting))
        ours = [f"`{name}`" if name else "none" for name in (known.client, known.server)]
        assert [row[1:] for row in rows if names <= set(re.findall(r"\w+", row[0]))] == [[*ours, known.remark]]
    assert len(rows) == len(COUNTERPARTS)


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("field", GO_COUNTERPARTS)
def test_a_field_of_go_plugin_leads_to_ours(field: str, config: Any) -> None:
    known = GO_COUNTERPARTS[field]
    own, others = (known.client, known.server) if config is ClientConfig else (known.server, known.client)
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", field).lower()
    for name in {field, snake, field.lower()}:
        if has(config, name):
            continue
        message = refusal(config, name)
        assert message.endswith(f"{known.remark})")
        assert (f"(nearest: {own}" if own else "(none here") in message
        assert all(has(config, each) for each in own.split(", ") if own)
        assert own or others in message


@pytest.mark.skipif(shutil.which("go") is None, reason="Go has the source of go-plugin")
def test_every_field_of_go_plugin_is_known() -> None:
    """As the module has them that the peers are built with."""
    module = subprocess.run(
        ["go", "list", "-m", "-f", "{{.Dir}}", "github.com/hashicorp/go-plugin"],
        check=True, capture_output=True, text=True, cwd=ROOT / "tests" / "go_plugin",
    ).stdout.strip()  # fmt: skip
    for file, struct in (("client.go", "ClientConfig"), ("server.go", "ServeConfig")):
        body = Path(module, file).read_text().partition(f"type {struct} struct {{\n")[2].partition("\n}")[0]
        lines = [line.strip() for line in body.splitlines()]
        fields = {
            name
            for line in lines
            if line and not line.startswith("//")
            for name in re.findall(r"\b[A-Z]\w+", re.split(r"(?<!,) ", line)[0])
        }
        assert {"Plugins", "HandshakeConfig"} < fields <= set(GO_COUNTERPARTS)


def test_the_page_has_a_row_for_each_field_of_go_plugin() -> None:
    page = (ROOT / "docs" / "migrating.md").read_text()
    table = page.partition("## The fields of go-plugin")[2].partition("|---|---|---|---|\n")[2].partition("\n\n")[0]
    rows = {row[0]: row[1:] for line in table.splitlines() if (row := [each.strip() for each in line[1:-1].split("|")])}
    assert rows == {
        f"`{name}`": [
            *(re.sub(r"(\w+)", r"`\1`", own) or "none" for own in (known.client, known.server)),
            known.remark,
        ]
        for name, known in GO_COUNTERPARTS.items()
    }


PROGRAM = """
from ferrule.client import ClientConnection, ClientT, GrpcChannelType, GrpcCredentialsType, RPCPluginClient
from ferrule.client.connection import ReceiveFuncType, SendFuncType
from ferrule.client.types import ConnectionT, RpcConfigType, SecureRpcClientT

config: RpcConfigType = {"env": {}}
config["auto_mtls"] = True


async def started(client: ClientT) -> ClientT:
    await client.start()
    return client


async def ended(client: SecureRpcClientT) -> None:
    await client.shutdown_plugin()
    await client.close()


def over(send: SendFuncType, receive: ReceiveFuncType) -> ConnectionT:
    return ClientConnection(None, None, "somewhere", send_func=send, receive_func=receive)


def protected(credentials: GrpcCredentialsType) -> bool:
    return credentials is not None


async def channels() -> list[GrpcChannelType | None]:
    client = await started(RPCPluginClient(["plugin"], config))
    pid: int | None = client.pid
    await ended(client)
    return [client.grpc_channel, client.sync_channel]
"""

WRONG_PROGRAMS = {
    "a function that is not async": "def send(data: bytes) -> None: ...\nover(send, send)\n",
    "no client": "async def main() -> None:\n    await started(3)\n",
    "text for settings": "RPCPluginClient(['plugin'], 'config')\nconfig = 'text'\n",
}


def test_a_program_with_these_types_passes_the_type_checker(tmp_path: Path) -> None:
    """And what is wrong does not: each wrong program has an error in its own lines, and nowhere else."""
    pytest.importorskip("mypy")
    programs = {"right": "", **WRONG_PROGRAMS}
    for number, wrong in enumerate(programs.values()):
        (tmp_path / f"program{number}.py").write_text(PROGRAM + wrong)
    cache = ["--cache-dir", str(tmp_path / "cache")]
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", *cache, *map(str, tmp_path.glob("*.py"))]
    result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=LIMIT, cwd=tmp_path)
    found = [(int(file), int(line)) for file, line in re.findall(r"program(\d+)\.py:(\d+): error", result.stdout)]
    assert {file for file, _ in found} == set(range(1, len(programs))), result.stdout + result.stderr
    assert all(line > PROGRAM.count("\n") for _, line in found), result.stdout
