"""The families: complete, unchangeable, and settings that a client takes."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from ferrule import ClientConfig, ConfigError, RPCPluginClient, families
from ferrule.families import Family
from peers import ROOT

every_family = pytest.mark.parametrize("family", families.ALL.values(), ids=families.ALL)


def test_all_has_every_family_by_its_name() -> None:
    constants = {name: value for name, value in vars(families).items() if isinstance(value, Family)}
    assert sorted(map(id, constants.values())) == sorted(map(id, families.ALL.values()))
    assert all(name == value.name.upper().replace("-", "_") for name, value in constants.items())
    assert {*constants, "ALL", "Family"} == set(families.__all__)
    assert len({family["magic_cookie_key"] for family in families.ALL.values()}) == len(families.ALL)


@every_family
def test_a_client_takes_it(family: Family) -> None:
    config = RPCPluginClient(["plugin"], family).config
    assert (config.magic_cookie_key, config.protocol_versions) == (
        family["magic_cookie_key"],
        family["protocol_versions"],
    )
    assert config.magic_cookie_value == family["magic_cookie_value"]
    # What is not a fact of the family stays a client's default, protection above all.
    assert set(family) - {"env"} == {"magic_cookie_key", "magic_cookie_value", "protocol_versions"}
    assert config.auto_mtls


def test_terraform_is_the_default() -> None:
    assert ClientConfig.of(families.TERRAFORM) == ClientConfig()


@every_family
def test_it_is_described(family: Family) -> None:
    page = (ROOT / "docs" / "families.md").read_text()
    name = "spire-..." if family.name.startswith("spire-") else family.name
    row = next(line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
    assert f" {', '.join(map(str, family['protocol_versions']))} |" in row
    assert name == "spire-..." or f"`{family['magic_cookie_key']}`" in row


def test_settings_replace_and_variables_are_added() -> None:
    changed = families.VAULT_BACKEND.with_settings(start_timeout=5, env={"A": "b"}, protocol_versions=[4])
    config = ClientConfig.of(changed)
    assert dict(config.env) == {"VAULT_PLUGIN_AUTOMTLS_ENABLED": "true", "A": "b"}
    assert (config.start_timeout, config.protocol_versions) == (5.0, (4,))
    assert (changed.name, changed.call_metadata) == ("vault-backend", ("multiplex_id",))
    assert changed["magic_cookie_key"] == "VAULT_BACKEND_PLUGIN"
    assert dict(families.VAULT_BACKEND["env"]) == {"VAULT_PLUGIN_AUTOMTLS_ENABLED": "true"}
    assert "start_timeout" not in families.VAULT_BACKEND
    assert changed.with_settings(env={"VAULT_PLUGIN_AUTOMTLS_ENABLED": "false"})["env"]["A"] == "b"


@pytest.mark.parametrize("settings", [{"start_timout": 5}, {"start_timeout": "soon"}, {"env": {"A": 1}}])
def test_settings_that_do_not_fit_are_refused_at_once(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        families.TFLINT.with_settings(**settings)


def test_settings_are_checked_together_with_those_before() -> None:
    family = families.TFLINT.with_settings(min_port=30000, max_port=30010).with_settings(min_port=30005)
    assert (family["min_port"], family["max_port"]) == (30005, 30010)
    with pytest.raises(ConfigError, match="min_port and max_port are 30020 and 30010"):
        family.with_settings(min_port=30020)


def test_a_family_cannot_change() -> None:
    with pytest.raises(AttributeError):
        families.TFLINT.name = "other"  # type: ignore[misc]
    mappings: list[Any] = [families.TFLINT, families.VAULT_BACKEND["env"], families.ALL]
    for mapping in mappings:
        with pytest.raises(TypeError):
            mapping["x"] = 1


@every_family
def test_a_family_reaches_another_process(family: Family) -> None:
    for twin in (pickle.loads(pickle.dumps(family)), copy.deepcopy(family)):
        assert (twin, twin.name, repr(twin)) == (family, family.name, repr(family))
