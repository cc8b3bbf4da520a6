"""Reattach configurations: what is accepted, which provider is meant, and that no key gets out unasked."""

from __future__ import annotations

import copy
import dataclasses
import doctest
import json
import os
import pickle
from typing import Any

import pytest

import ferrule
import ferrule.sync
from ferrule import reattach
from ferrule.client import RPCPluginClient
from ferrule.errors import ConfigError, RPCPluginError
from ferrule.reattach import ReattachConfig, ReattachTLS

SECRET = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----\n"
TLS = ReattachTLS(certificate="own", private_key=SECRET, server_certificate="theirs")
PLUGIN = ReattachConfig(protocol_version=6, network="unix", address="/tmp/plugin1", pid=123, test=True)


def provider(**changes: Any) -> dict[str, Any]:
    """One entry as a provider prints it."""
    address = {"Network": "unix", "String": "/tmp/plugin1"}
    return {"Protocol": "grpc", "ProtocolVersion": 6, "Pid": 123, "Test": True, "Addr": address, **changes}


def environ(**providers: Any) -> dict[str, str]:
    return {"TF_REATTACH_PROVIDERS": json.dumps(providers)}


def test_what_a_provider_prints() -> None:
    assert ReattachConfig.from_json(json.dumps(provider())) == PLUGIN
    printed = environ(**{"registry.terraform.io/hashicorp/time": provider()})
    assert ReattachConfig.from_environment(environ=printed) == PLUGIN


@pytest.mark.parametrize(
    "config",
    [
        PLUGIN,
        dataclasses.replace(PLUGIN, pid=None, test=False, network="tcp", address="127.0.0.1:1234"),
        dataclasses.replace(PLUGIN, address='/tmp/grün "quoted"\n'),
    ],
)
def test_json_there_and_back(config: ReattachConfig) -> None:
    assert ReattachConfig.from_json(config.to_json()) == config
    secret = dataclasses.replace(config, tls=TLS)
    assert ReattachConfig.from_json(secret.to_json(include_secrets=True)) == secret
    assert ReattachConfig.from_json(secret.to_json()) == config


@pytest.mark.parametrize(
    "address", ["localhost:1234", ":1234", "[::1]:1234", "[fe80::1%eth0]:1234", "plugin.internal:1"]
)
def test_addresses_that_go_dials(address: str) -> None:
    assert dataclasses.replace(PLUGIN, network="tcp", address=address).address == address


@pytest.mark.parametrize(
    ("network", "address"),
    [
        ("tcp", "/tmp/plugin1"),
        ("tcp", "nonsense"),
        ("tcp", "127.0.0.1"),
        ("tcp", "127.0.0.1:65536"),
        ("tcp", "localhost:http"),
        ("tcp", "user@localhost:1"),
        ("tcp", "[::1"),
        ("unix", "/tmp/" + "x" * 108),
    ],
)
def test_address_that_cannot_be_dialled_is_named(network: str, address: str) -> None:
    text = json.dumps(provider(Addr={"Network": network, "String": address}))
    with pytest.raises(ConfigError, match="cannot be used") as refused:
        ReattachConfig.from_json(text)
    assert refused.value.code == "reattach.invalid"
    assert address[:40] in str(refused.value)


def test_json_has_the_names_of_go() -> None:
    assert json.loads(PLUGIN.to_json()) == provider()
    tls = {"Certificate": "own", "PrivateKey": SECRET, "ServerCertificate": "theirs"}
    secret = dataclasses.replace(PLUGIN, tls=TLS)
    assert json.loads(secret.to_json(include_secrets=True)) == provider(Tls=tls)


def test_key_is_shown_nowhere_unasked() -> None:
    config = dataclasses.replace(PLUGIN, tls=TLS)
    client = RPCPluginClient(config={"protocol_versions": (6,)}, reattach=config)
    shown = f"{config!r} {config} {TLS!r} {config.to_json()} {config.without_secrets()!r} {client!r}"
    shown += client.reattach_config().to_json(include_secrets=True)
    assert "MIGH" not in shown
    assert "theirs" not in shown
    with pytest.raises(ConfigError) as caught:
        ReattachTLS(certificate="own", private_key=SECRET.encode(), server_certificate="theirs")  # type: ignore[arg-type]
    assert caught.value.message.startswith("setting reattach.tls.private_key is <hidden> (bytes)")
    with pytest.raises(ConfigError) as caught:
        dataclasses.replace(PLUGIN, tls=SECRET)  # type: ignore[arg-type]
    assert "MIGH" not in str(caught.value)


def test_every_form_of_a_configuration() -> None:
    fields = {"protocol_version": 6, "network": "unix", "address": "/tmp/plugin1", "pid": 123, "test": True}
    settings = {"protocol_versions": (6,)}
    assert RPCPluginClient(config=settings, reattach=fields).reattach == PLUGIN
    assert RPCPluginClient((), settings, reattach=PLUGIN).reattach is PLUGIN
    assert RPCPluginClient([], settings, reattach=PLUGIN).command == ()
    assert RPCPluginClient(["plugin"]).reattach is None
    for config in (PLUGIN, dataclasses.replace(PLUGIN, tls=TLS)):
        assert pickle.loads(pickle.dumps(config)) == copy.deepcopy(config) == config
        assert hash(config) == hash(copy.deepcopy(config))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("protocol", "netrpc", "'netrpc' (str), expected 'grpc': net/rpc is a protocol of Go programs alone"),
        ("protocol", "", "'' (str), expected 'grpc': net/rpc is"),
        ("protocol", "grpclib", "'grpclib' (str), expected 'grpc'"),
        ("protocol_version", -1, "-1 (int), expected a whole number from 0"),
        ("network", "udp", "'udp' (str), expected 'unix' or 'tcp'"),
        ("address", "", "'' (str), expected the path of a socket, or HOST:PORT"),
        ("address", "a\0b", r"'a\x00b' (str), expected the path of a socket"),
        ("pid", 0, "0 (int), expected a whole number from 1 to 2147483647, or None"),
        ("pid", True, "True (bool), expected a whole number"),
        ("test", 1, "1 (int), expected True or False"),
        ("tls", "pem", "<hidden> (str), expected a ReattachTLS or a mapping of its settings, or None"),
        ("owned", None, "None (NoneType), expected True or False"),
    ],
)
def test_value_that_does_not_fit_is_refused(field: str, value: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        dataclasses.replace(PLUGIN, **{field: value})
    assert caught.value.message.startswith(f"setting reattach.{field} is {words}")


@pytest.mark.parametrize(
    ("text", "words", "code"),
    [
        ("", "not JSON", "reattach.invalid"),
        ("[]", "a list, expected an object", "reattach.invalid"),
        ("{}", "no Addr", "reattach.invalid"),
        (json.dumps(provider(Pid="1")), "Pid", "reattach.invalid"),
        (json.dumps(provider(Protocol="")), "net/rpc", "config.invalid"),
        (json.dumps(provider(Addr={"Network": "udp", "String": "x"})), "'udp'", "config.invalid"),
        (json.dumps(provider(Addr={"Network": "unix"})), "reattach.address is ''", "config.invalid"),
        (json.dumps(provider(Tls={"PrivateKey": SECRET})), "reattach.tls.certificate is <hidden>", "config.invalid"),
    ],
)
def test_json_that_cannot_be_used_is_refused(text: str, words: str, code: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ReattachConfig.from_json(text)
    assert words in caught.value.message
    assert caught.value.code == code
    assert "MIGH" not in str(caught.value)


@pytest.mark.parametrize(
    ("printed", "asked"),
    [
        ("registry.terraform.io/hashicorp/time", "hashicorp/time"),
        ("registry.terraform.io/hashicorp/time", "time"),
        ("registry.terraform.io/hashicorp/time", "HashiCorp/TIME"),
        ("registry.terraform.io/hashicorp/time", "registry.terraform.io:443/hashicorp/time"),
        ("hashicorp/time", "registry.terraform.io/hashicorp/time"),
        ("Registry.Terraform.IO/HashiCorp/Time", "hashicorp/time"),
        ("time", "hashicorp/time"),
        ("registry.opentofu.org/hashicorp/time", "registry.opentofu.org/hashicorp/time"),
        ("example.com/org/gr\u00fcn", "example.com/ORG/gru\u0308n"),
    ],
)
def test_provider_is_found_by_its_source_address(printed: str, asked: str) -> None:
    found = environ(**{"example.com/other/other": provider(Pid=1), printed: provider(Pid=2), "": provider(Pid=3)})
    assert ReattachConfig.from_environment(asked, found).pid == 2


@pytest.mark.parametrize("asked", ["org/time", "registry.opentofu.org/hashicorp/time", "hashicorp/times", "tim"])
def test_provider_that_is_not_there(asked: str) -> None:
    printed = environ(**{"hashicorp/time": provider(), "registry.terraform.io/hashicorp/local": provider()})
    with pytest.raises(ConfigError) as caught:
        ReattachConfig.from_environment(asked, printed)
    for words in ("holds 2 providers ('hashicorp/time', 'registry.terraform.io/hashicorp/local')", asked):
        assert words in caught.value.message
    assert caught.value.code == "reattach.invalid"


@pytest.mark.parametrize("asked", ["", "/time", "a/b/c/d", "hashicorp/", 5])
def test_what_is_no_source_address(asked: Any) -> None:
    with pytest.raises(ConfigError, match=r"the provider is .*expected \[HOST/\]\[NAMESPACE/\]TYPE"):
        ReattachConfig.from_environment(asked, environ(time=provider()))


def test_only_one_needs_no_name() -> None:
    assert ReattachConfig.from_environment(None, environ(anything=provider(Pid=7))).pid == 7
    for printed in (environ(), environ(one=provider(), two=provider())):
        with pytest.raises(ConfigError, match="expected one provider"):
            ReattachConfig.from_environment(environ=printed)
    same = environ(**{"hashicorp/time": provider(Pid=1), "time": provider(Pid=2)})
    with pytest.raises(ConfigError, match="holds 2 providers"):
        ReattachConfig.from_environment("time", same)


def test_variable_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_REATTACH_PROVIDERS", raising=False)
    with pytest.raises(ConfigError, match="TF_REATTACH_PROVIDERS is not JSON: "):
        ReattachConfig.from_environment(environ={"TF_REATTACH_PROVIDERS": "garbage"})
    with pytest.raises(ConfigError, match="TF_REATTACH_PROVIDERS is not set"):
        ReattachConfig.from_environment("time")
    monkeypatch.setenv("TF_REATTACH_PROVIDERS", environ(time=provider(Pid=9))["TF_REATTACH_PROVIDERS"])
    assert ReattachConfig.from_environment("time").pid == 9


def test_version_that_is_not_said_is_terraforms_first() -> None:
    assert ReattachConfig.from_environment(None, environ(time=provider(ProtocolVersion=0))).protocol_version == 5
    assert ReattachConfig.from_json(json.dumps(provider(ProtocolVersion=0))).protocol_version == 0


@pytest.mark.parametrize(
    ("command", "settings", "changes", "words"),
    [
        (["plugin"], {}, {}, "the command is ['plugin'] and reattach is given too, expected one of them"),
        ((), {"secure_config": {"checksum": bytes(32)}}, {}, "settings secure_config and reattach are both given"),
        ((), {"broker_multiplex": True}, {}, "setting broker_multiplex is True and reattach is given"),
        ((), {"protocol_versions": (1, 5)}, {}, "setting reattach.protocol_version is 6, expected 1, 5"),
    ],
)
def test_what_contradicts_a_running_plugin(command: Any, settings: Any, changes: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RPCPluginClient(command, settings, reattach=dataclasses.replace(PLUGIN, **changes))
    assert caught.value.message.startswith(words)
    assert caught.value.hint


@pytest.mark.parametrize("client", [ferrule.RPCPluginClient, ferrule.sync.RPCPluginClient])
def test_own_process_is_not_to_be_owned(client: Any) -> None:
    own = dataclasses.replace(PLUGIN, test=False, pid=os.getpid(), owned=True)
    with pytest.raises(ConfigError, match=f"reattach.pid is {os.getpid()}, expected another process's"):
        client(reattach=own)
    # A server in test mode may well be reached from its own process.
    client(reattach=dataclasses.replace(own, owned=False))


def test_owned_and_test_mode_contradict_each_other() -> None:
    with pytest.raises(ConfigError, match=r"owned and .*test are both True"):
        dataclasses.replace(PLUGIN, owned=True)


def test_unknown_version_fits_any() -> None:
    config = dataclasses.replace(PLUGIN, protocol_version=0)
    assert RPCPluginClient(config={"protocol_versions": (1,)}, reattach=config).reattach is config


def test_neither_command_nor_reattach() -> None:
    with pytest.raises(ConfigError, match=r"the command is \(\) \(tuple\), expected a list with at least the program"):
        RPCPluginClient()
    with pytest.raises(ConfigError, match=r"setting reattach is <hidden> \(int\)"):
        RPCPluginClient(reattach=5)  # type: ignore[arg-type]


def test_there_is_nothing_to_reattach_to_before_the_start() -> None:
    with pytest.raises(RPCPluginError, match="no plugin to describe"):
        RPCPluginClient(["plugin"]).reattach_config()


def test_examples_in_the_docstrings_are_true() -> None:
    result = doctest.testmod(reattach)
    assert (result.attempted > 0, result.failed) == (True, 0)
