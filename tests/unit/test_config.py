"""Settings: defaults, what is accepted and in which form it is kept, what is refused and in which words."""

import asyncio
import copy
import dataclasses
import doctest
import inspect
import io
import logging
import math
import pickle
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from ferrule import config as config_module
from ferrule.config import ClientConfig, KeepalivePolicy, RetryPolicy, SecureConfig, TLSConfig, check_command
from ferrule.errors import ConfigError
from ferrule.runner import SubprocessRunner

SECRET = "d41d8cd98f00b204"
LOGGER = logging.getLogger("ferrule.test")
RUNNER = SubprocessRunner()
FILE = io.BytesIO()


async def coroutine(data: bytes) -> None:
    """Not a place for output."""


DEFAULTS: dict[str, Any] = {
    "env": {},
    "cwd": None,
    "skip_host_env": False,
    "magic_cookie_key": "TF_PLUGIN_MAGIC_COOKIE",
    "magic_cookie_value": "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2",
    "protocol_versions": (5, 6),
    "auto_mtls": True,
    "tls": None,
    "certificate_curve": "P-256",
    "transports": ("unix", "tcp"),
    "min_port": 10000,
    "max_port": 25000,
    "start_timeout": 60.0,
    "connect_timeout": 10.0,
    "shutdown_timeout": 2.0,
    "kill_timeout": 1.0,
    "retry": None,
    "max_receive_bytes": None,
    "max_send_bytes": None,
    "keepalive": None,
    "grpc_options": (),
    "channel": "native",
    "sync_stdout": None,
    "sync_stderr": None,
    "logger": None,
    "die_with_host": True,
    "broker_multiplex": False,
    "secure_config": None,
    "unix_socket_group": None,
    "unix_socket_dir": None,
    "max_memory_bytes": None,
    "max_cpu_seconds": None,
    "managed": False,
    "runner": None,
}

# Setting, value given, value kept.
ACCEPTED: list[tuple[str, Any, Any]] = [
    ("env", {"A": "", "B": "x=y"}, {"A": "", "B": "x=y"}),
    ("cwd", "/tmp", "/tmp"),
    ("cwd", Path("/tmp"), "/tmp"),
    ("skip_host_env", True, True),
    ("magic_cookie_key", "COOKIE", "COOKIE"),
    ("magic_cookie_value", "a=b", "a=b"),
    ("protocol_versions", [7, 3, 7], (7, 3)),
    ("protocol_versions", range(2), (0, 1)),
    ("auto_mtls", False, False),
    ("certificate_curve", "P-384", "P-384"),
    ("certificate_curve", "p-521", "P-521"),
    ("certificate_curve", "secp256r1", "P-256"),
    ("certificate_curve", "secp384r1", "P-384"),
    ("certificate_curve", "secp521r1", "P-521"),
    ("transports", ["tcp"], ("tcp",)),
    ("transports", {"unix"}, ("unix",)),
    ("min_port", 1, 1),
    ("max_port", 65535, 65535),
    ("start_timeout", 5, 5.0),
    ("connect_timeout", 1e9, 1e9),
    ("shutdown_timeout", 0.5, 0.5),
    ("kill_timeout", 0.001, 0.001),
    ("retry", {"attempts": 5, "backoff": 1}, RetryPolicy(attempts=5, backoff=1.0)),
    ("retry", RetryPolicy(attempts=1), RetryPolicy(attempts=1)),
    ("max_receive_bytes", 1, 1),
    ("max_send_bytes", 2**31 - 1, 2**31 - 1),
    ("keepalive", {"time": 600}, KeepalivePolicy(time=600.0, timeout=20.0)),
    ("keepalive", {"timeout": 2147483}, KeepalivePolicy(timeout=2147483.0)),
    ("grpc_options", [["grpc.x", 1], ("grpc.y", b"z")], (("grpc.x", 1), ("grpc.y", b"z"))),
    ("channel", "grpcio", "grpcio"),
    ("sync_stdout", print, print),
    ("sync_stderr", FILE, FILE),
    ("logger", "my.plugins", "my.plugins"),
    ("logger", LOGGER, LOGGER),
    ("die_with_host", False, False),
    ("broker_multiplex", True, True),
    ("secure_config", {"checksum": "00" * 32}, SecureConfig(algorithm="sha256", checksum=bytes(32))),
    (
        "secure_config",
        SecureConfig(algorithm="md5", checksum=bytes(16)),
        SecureConfig(algorithm="md5", checksum="0" * 32),
    ),
    ("unix_socket_group", "daemon", "daemon"),
    ("unix_socket_group", "100", "100"),
    ("unix_socket_dir", Path("/run/plugins"), "/run/plugins"),
    ("max_memory_bytes", 2**63 - 1, 2**63 - 1),
    ("max_cpu_seconds", 1, 1),
    ("managed", True, True),
    ("runner", RUNNER, RUNNER),
]

# Setting, value given, how the message goes on after the setting's name.
REFUSED: list[tuple[str, Any, str]] = [
    (
        "env",
        {"PORT": 8080},
        "<hidden> (dict), expected a mapping of variable names to text: the value of PORT is of type int",
    ),
    (
        "env",
        {"A": None},
        "<hidden> (dict), expected a mapping of variable names to text: the value of A is of type NoneType",
    ),
    (
        "env",
        {"A": "\0"},
        "<hidden> (dict), expected a mapping of variable names to text: the value of A contains a NUL",
    ),
    (
        "env",
        {"A=B": "x"},
        "<hidden> (dict), expected a mapping of variable names to text: 'A=B' cannot name a variable",
    ),
    ("env", {"": "x"}, "<hidden> (dict), expected a mapping of variable names to text: '' cannot name a variable"),
    ("env", {1: "x"}, "<hidden> (dict), expected a mapping of variable names to text: 1 cannot name a variable"),
    ("env", [("A", "x")], "<hidden> (list), expected a mapping of variable names to text"),
    ("cwd", b"/tmp", "b'/tmp' (bytes), expected the path of a directory, or None"),
    ("cwd", "", "'' (str), expected the path of a directory"),
    ("cwd", "a\0b", r"'a\x00b' (str), expected the path of a directory"),
    ("skip_host_env", 1, "1 (int), expected True or False"),
    ("magic_cookie_key", "A=B", "'A=B' (str), expected a variable's name"),
    ("magic_cookie_key", "", "'' (str), expected a variable's name"),
    ("magic_cookie_value", "", "<hidden> (str), expected text that is not empty"),
    ("magic_cookie_value", 7, "<hidden> (int), expected text that is not empty"),
    ("protocol_versions", (), "() (tuple), expected a list of at least one, each a whole number from 0 to 2147483647"),
    ("protocol_versions", 5, "5 (int), expected a list of at least one"),
    ("protocol_versions", "56", "'56' (str), expected a list of at least one"),
    ("protocol_versions", {5: 6}, "{5: 6} (dict), expected a list of at least one"),
    ("protocol_versions", [5, -1], "[5, -1] (list), expected a list of at least one"),
    ("protocol_versions", [True], "[True] (list), expected a list of at least one"),
    ("protocol_versions", [5.0], "[5.0] (list), expected a list of at least one"),
    ("auto_mtls", "yes", "'yes' (str), expected True or False"),
    ("tls", SECRET, "<hidden> (str), expected a TLSConfig or a mapping of its settings, or None"),
    ("certificate_curve", "P-224", "'P-224' (str), expected 'P-256' or 'P-384' or 'P-521'"),
    ("certificate_curve", ["P-256"], "['P-256'] (list), expected 'P-256'"),
    ("transports", "unix", "'unix' (str), expected a list of at least one, each 'unix' or 'tcp'"),
    ("transports", ["udp"], "['udp'] (list), expected a list of at least one, each 'unix' or 'tcp'"),
    ("transports", [], "[] (list), expected a list of at least one"),
    ("min_port", 0, "0 (int), expected a whole number from 1 to 65535"),
    ("max_port", 70000, "70000 (int), expected a whole number from 1 to 65535"),
    ("max_port", "80", "'80' (str), expected a whole number from 1 to 65535"),
    ("start_timeout", 0, "0 (int), expected seconds: more than 0, at most 1000000000"),
    ("start_timeout", None, "None (NoneType), expected seconds"),
    ("start_timeout", True, "True (bool), expected seconds"),
    ("connect_timeout", math.nan, "nan (float), expected seconds"),
    ("shutdown_timeout", math.inf, "inf (float), expected seconds"),
    ("kill_timeout", -1.5, "-1.5 (float), expected seconds"),
    ("kill_timeout", 10**400, "1000000"),
    ("retry", 3, "3 (int), expected a RetryPolicy or a mapping of its settings, or None"),
    ("max_receive_bytes", 0, "0 (int), expected a whole number from 1 to 2147483647, or None"),
    ("max_send_bytes", 4e6, "4000000.0 (float), expected a whole number"),
    ("keepalive", 60, "60 (int), expected a KeepalivePolicy or a mapping of its settings, or None"),
    ("grpc_options", [("grpc.x",)], "[('grpc.x',)] (list), expected a list of pairs (name, value), each name text"),
    ("grpc_options", [(1, 2)], "[(1, 2)] (list), expected a list of pairs"),
    ("grpc_options", ["ab"], "['ab'] (list), expected a list of pairs"),
    ("channel", "grpclib", "'grpclib' (str), expected 'native' or 'grpcio'"),
    ("sync_stdout", "out.txt", "'out.txt' (str), expected a function that takes bytes (not async), or a file, or None"),
    ("sync_stderr", coroutine, "<function coroutine"),
    ("logger", 5, "5 (int), expected a logging.Logger or the name of one, or None"),
    ("die_with_host", None, "None (NoneType), expected True or False"),
    ("broker_multiplex", "true", "'true' (str), expected True or False"),
    ("secure_config", "00" * 32, "'00000"),
    ("unix_socket_group", 100, "100 (int), expected the name or number of a group, or None"),
    ("unix_socket_group", "", "'' (str), expected the name or number of a group"),
    ("unix_socket_dir", b"/run", "b'/run' (bytes), expected the path of a directory, or None"),
    ("max_memory_bytes", 0, "0 (int), expected a whole number from 1 to 9223372036854775807, or None"),
    ("max_memory_bytes", 2**63, "9223372036854775808 (int), expected a whole number"),
    ("max_cpu_seconds", 1.5, "1.5 (float), expected a whole number"),
    ("managed", 1, "1 (int), expected True or False"),
    ("runner", "bwrap", "'bwrap' (str), expected a Runner: an object with an asynchronous start(), or None"),
    ("runner", SubprocessRunner, "<class 'ferrule.runner.SubprocessRunner'> (type), expected a Runner: an object"),
]

# What contradicts what, and the message.
CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    ({"min_port": 26000}, "settings min_port and max_port are 26000 and 25000, expected"),
    ({"retry": {"attempts": 0}}, "setting retry.attempts is 0 (int), expected a whole number from 1"),
    (
        {"retry": {"backoff_multiplier": 0.5}},
        "setting retry.backoff_multiplier is 0.5 (float), expected a number, 1 or more",
    ),
    ({"retry": {"backoff_multiplier": math.inf}}, "setting retry.backoff_multiplier is inf (float), expected a number"),
    ({"retry": {"backoff": 0}}, "setting retry.backoff is 0 (int), expected seconds"),
    ({"retry": {"max_backoff": "5"}}, "setting retry.max_backoff is '5' (str), expected seconds"),
    ({"keepalive": {"timeout": -1}}, "setting keepalive.timeout is -1 (int), expected seconds"),
    (
        {"keepalive": {"time": 2147484}},
        "setting keepalive.time is 2147484 (int), expected seconds: more than 0, at most 2147483",
    ),
    ({"keepalive": {"tme": 1}}, "unknown setting 'keepalive.tme' (nearest: keepalive.time; all: time, timeout)"),
    (
        {"tls": {"root_certificates": b""}},
        "unknown setting 'tls.root_certificates' (nearest: tls.certificate; all: ca, certificate, key, server_name)",
    ),
    ({"start_timout": 1}, "unknown setting 'start_timout' (nearest: start_timeout)"),
    (
        {"cookie_key": "a", "env": {}, "max_recv_bytes": 1},
        "unknown settings 'cookie_key' (nearest: magic_cookie_key), 'max_recv_bytes' (nearest: max_receive_bytes)",
    ),
    ({"secure_config": {"algorithm": "sha1"}}, "setting secure_config.checksum is missing, expected the checksum"),
    ({"PLUGIN_MAGIC_COOKIE_KEY": "k"}, "unknown setting 'PLUGIN_MAGIC_COOKIE_KEY' (nearest: magic_cookie_key)"),
    ({"START_TIMEOUT": 1}, "unknown setting 'START_TIMEOUT' (nearest: start_timeout; in seconds)"),
    ({"autoMtls": True}, "unknown setting 'autoMtls' (nearest: auto_mtls; a plugin does what its host asks for)"),
    ({"Keepalive": {}}, "unknown setting 'Keepalive' (nearest: keepalive)"),
    ({5: 6}, "unknown setting '5' (nearest: "),  # type: ignore[dict-item]
]


def test_defaults_are_those_of_terraform() -> None:
    assert {field.name: getattr(ClientConfig(), field.name) for field in dataclasses.fields(ClientConfig)} == DEFAULTS


def described(cls: type[Any]) -> list[str]:
    # Without the source's indentation, which some versions of Python keep and others do not.
    attributes = str(inspect.getdoc(cls)).partition("Attributes:")[2].partition("Raises:")[0]
    return re.findall(r"^    (\w+): ", attributes, re.MULTILINE)


def test_every_setting_is_described_and_tried() -> None:
    assert described(ClientConfig) == list(DEFAULTS)
    assert {name for name, _, _ in ACCEPTED} | {"tls"} == set(DEFAULTS)
    assert {name for name, _, _ in REFUSED} == set(DEFAULTS)
    for policy in (RetryPolicy, KeepalivePolicy, SecureConfig, TLSConfig):
        assert described(policy) == [field.name for field in dataclasses.fields(policy)]


@pytest.mark.parametrize(("name", "given", "kept"), ACCEPTED)
def test_value_is_kept_in_its_normal_form(name: str, given: Any, kept: Any) -> None:
    for config in (ClientConfig.of({name: given}), ClientConfig(**{name: given})):
        value = getattr(config, name)
        assert value == kept
        assert isinstance(value, (Mapping if name == "env" else type(kept)))


@pytest.mark.parametrize(("name", "given", "words"), REFUSED)
def test_value_that_does_not_fit_is_refused(name: str, given: Any, words: str) -> None:
    for make in (ClientConfig.of, lambda settings: ClientConfig(**settings)):
        with pytest.raises(ConfigError) as caught:
            make({name: given})
        assert caught.value.message.startswith(f"setting {name} is {words}")
        assert caught.value.code == "config.invalid"
        assert SECRET not in str(caught.value)


@pytest.mark.parametrize(("settings", "words"), CONTRADICTIONS)
def test_settings_that_do_not_go_together_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ClientConfig.of(settings)
    assert caught.value.message.startswith(words)
    assert caught.value.hint


def test_every_form_of_a_configuration() -> None:
    config = ClientConfig(env={"A": "x"})
    assert ClientConfig.of(config) is config
    assert ClientConfig.of(None) == ClientConfig() == ClientConfig.of({})
    assert ClientConfig.of({"env": {"A": "x"}}) == config
    with pytest.raises(ConfigError, match=r"setting config is <hidden> \(list\), expected a ClientConfig or a mapping"):
        ClientConfig.of(["env"])  # type: ignore[arg-type]


def test_configuration_cannot_change() -> None:
    env = {"A": "x"}
    config = ClientConfig(env=env)
    env["A"] = "y"
    assert config.env["A"] == "x"
    with pytest.raises(TypeError):
        config.env["A"] = "z"  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.min_port = 1  # type: ignore[misc]
    assert hash(config) == hash(ClientConfig(env={"A": "x"}))


def test_repr_shows_no_secret() -> None:
    config = ClientConfig(env={"TOKEN": SECRET, "TF_LOG": "DEBUG"}, magic_cookie_value=SECRET)
    shown = f"{config!r} {config.env!r} {config.env}"
    assert SECRET not in shown
    assert "TOKEN, TF_LOG" in shown


def test_configuration_can_be_copied_and_derived_from() -> None:
    config = ClientConfig(env={"A": "x"}, retry=RetryPolicy(), start_timeout=5)
    assert copy.deepcopy(config) == config
    assert pickle.loads(pickle.dumps(config)) == config
    assert dataclasses.replace(config, min_port=20000).env == {"A": "x"}


def test_refused_value_is_shown_bounded() -> None:
    with pytest.raises(ConfigError) as caught:
        ClientConfig.of({"channel": "x" * 1_000_000})
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("command", "kept"),
    [
        (["plugin"], ("plugin",)),
        (("plugin", "", "-x"), ("plugin", "", "-x")),
        ([PurePosixPath("/opt/plugin"), PurePosixPath("data")], ("/opt/plugin", "data")),
    ],
)
def test_command_is_kept_as_text(command: Any, kept: tuple[str, ...]) -> None:
    assert check_command(command) == kept


@pytest.mark.parametrize(
    ("command", "words", "hint"),
    [
        (
            "plugin 'a b'",
            "the command is \"plugin 'a b'\" (str), expected a list",
            "['plugin', 'a b'], which is shlex.split(",
        ),
        ("plugin '", 'the command is "plugin \'" (str), expected a list', "shlex.split(command)"),
        ([], "the command is [] (list), expected a list with at least the program", "Pass a list"),
        (b"plugin", "the command is b'plugin' (bytes), expected a list", "Pass a list"),
        (None, "the command is None (NoneType), expected a list", "Pass a list"),
        ([""], "setting command[0] is '' (str), expected the name or path of a program", "Pass a list"),
        (["plugin", 5], "setting command[1] is 5 (int), expected an argument", "Pass a list"),
        (["plugin", b"x"], "setting command[1] is b'x' (bytes), expected an argument", "Pass a list"),
        (["plugin", "a\0"], r"setting command[1] is 'a\x00' (str), expected an argument", "Pass a list"),
    ],
)
def test_command_that_cannot_run_is_refused(command: Any, words: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_command(command)
    assert caught.value.message.startswith(words)
    assert hint in str(caught.value.hint)


def test_examples_in_the_docstrings_are_true() -> None:
    result = doctest.testmod(config_module)
    assert result.attempted > 0
    assert result.failed == 0


def test_async_writer_is_refused() -> None:
    class AsyncFile:
        write = staticmethod(coroutine)

    assert asyncio.iscoroutinefunction(AsyncFile.write)
    with pytest.raises(ConfigError, match="not async"):
        ClientConfig.of({"sync_stdout": AsyncFile()})
