"""Settings of a server: defaults, checks, and the services by version."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from ferrule import Certificate
from ferrule.client import RPCPluginClient
from ferrule.errors import ConfigError
from ferrule.server import ServerConfig
from ferrule.server.config import services_by_version
from ferrule.testing import KV_CONFIG

COOKIE = {"magic_cookie_key": "KEY", "magic_cookie_value": "secret value"}


def register(*_: Any) -> None:
    """Registers nothing."""


def test_defaults_are_those_of_go_plugins_server() -> None:
    config = ServerConfig.of(COOKIE)
    assert (config.network, config.tls, config.certificate_curve) == ("unix", None, "P-256")
    assert (config.max_receive_bytes, config.max_send_bytes) == (4 << 20, None)
    assert "secret value" not in repr(config)


def test_clients_settings_fit() -> None:
    assert ServerConfig.of(KV_CONFIG).protocol_versions == (1,)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"magic_cookie_key": "KEY"}, "setting magic_cookie_value is missing"),
        ({**COOKIE, "magic_cookie_value": ""}, "setting magic_cookie_value is <hidden>"),
        ({**COOKIE, "network": "udp"}, "setting network is 'udp'"),
        ({**COOKIE, "netwrok": "tcp"}, "nearest: network"),
        ({**COOKIE, "grace": 0}, "setting grace is 0"),
        ({**COOKIE, "threads": 0}, "setting threads is 0"),
        ({**COOKIE, "log_level": "LOUD"}, "setting log_level is 'LOUD'"),
        ({**COOKIE, "interceptors": "no list"}, "setting interceptors is 'no list'"),
        ({**COOKIE, "tls": {"ca": Certificate.generate()}}, "setting tls has no certificate"),
    ],
)
def test_what_does_not_fit_is_named(settings: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        ServerConfig.of(settings)
    assert expected in refusal.value.message
    assert "secret value" not in str(refusal.value)


@pytest.mark.parametrize(("given", "level"), [("DEBUG", logging.DEBUG), (5, 5), (logging.ERROR, logging.ERROR)])
def test_log_level_by_name_or_number(given: int | str, level: int) -> None:
    assert ServerConfig.of({**COOKIE, "log_level": given}).log_level == level


def test_terraforms_settings_are_those_of_the_client() -> None:
    config, client = ServerConfig.terraform(), RPCPluginClient(["provider"]).config
    assert (config.magic_cookie_key, config.magic_cookie_value) == (client.magic_cookie_key, client.magic_cookie_value)
    assert config.protocol_versions == (6,)
    assert config.max_receive_bytes == config.max_send_bytes == 256 << 20
    assert ServerConfig.terraform(protocol_versions=(5,), network="tcp").network == "tcp"


def test_one_function_serves_all_versions() -> None:
    assert services_by_version(register, ServerConfig.of(COOKIE)) == {1: register}
    config = ServerConfig.of({**COOKIE, "protocol_versions": [5, 6]})
    assert services_by_version(register, config) == {5: register, 6: register}


def test_functions_by_version() -> None:
    assert services_by_version({6: register, 5: print}, ServerConfig.of(COOKIE)) == {6: register, 5: print}
    config = ServerConfig.of({**COOKIE, "protocol_versions": [5, 6]})
    assert set(services_by_version({6: register, 5: print}, config)) == {5, 6}


@pytest.mark.parametrize(
    ("services", "versions", "expected"),
    [
        ({}, None, "setting services is []"),
        ({"6": register}, None, "setting services is ['6']"),
        ({6: "register"}, None, "setting services[6] is 'register'"),
        (None, None, "setting services[1] is None"),
        ({6: register}, (5,), "protocol_versions is (5,), but the services are of (6,)"),
    ],
)
def test_services_that_do_not_fit(services: Any, versions: tuple[int, ...] | None, expected: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        services_by_version(services, ServerConfig.of({**COOKIE, "protocol_versions": versions}))
    assert expected in refusal.value.message
