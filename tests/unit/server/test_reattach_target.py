"""How a plugin in test mode tells where it is."""

from __future__ import annotations

import json
import shlex

import pytest

from ferrule.reattach import ReattachConfig
from ferrule.server import ReattachTarget

CONFIG = ReattachConfig(protocol_version=6, network="unix", address="/tmp/it's here", pid=12, test=True)


@pytest.mark.parametrize("provider", ["registry.terraform.io/example/example", "quote\"and'quote"])
def test_terraforms_variable_survives_the_shell(provider: str) -> None:
    text = ReattachTarget(provider).announcement(CONFIG)
    (line,) = [line for line in text.splitlines() if line.startswith("\t")]
    (word,) = shlex.split(line)
    name, _, value = word.partition("=")
    assert name == "TF_REATTACH_PROVIDERS"
    assert json.loads(value) == {provider: json.loads(CONFIG.to_json())}


def test_json_for_other_hosts() -> None:
    assert ReattachConfig.from_json(ReattachTarget().announcement(CONFIG)) == CONFIG


def test_own_client_reads_terraforms_variable() -> None:
    text = ReattachTarget("registry.terraform.io/example/example").announcement(CONFIG)
    (word,) = shlex.split(text.splitlines()[-1])
    name, _, value = word.partition("=")
    assert ReattachConfig.from_environment("example/example", {name: value}) == CONFIG
