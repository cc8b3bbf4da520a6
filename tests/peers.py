"""The real plugins of the tests: where they are, how they are configured, what to do when they are missing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ferrule.testing import KV_CONFIG, plugin_command

ROOT = Path(__file__).parent.parent
GO_PEERS = Path(os.environ.get("FERRULE_GO_PEERS", ROOT / "build" / "go"))

# Settings for either plugin of the broker tests, whose contract is broker/exchange.proto.
EXCHANGE_CONFIG: dict[str, Any] = {
    "magic_cookie_key": "FERRULE_EXCHANGE_COOKIE",
    "magic_cookie_value": "b7c1-ferrule-exchange",
    "protocol_versions": (1,),
}

# Version 5 and 6 of Terraform's protocol, and the oldest go-plugin and grpc-go of the three.
PROVIDERS = {"time": 5, "simple": 6, "local": 5}


def go_peer(name: str) -> str:
    """Path of a program built by `make go-peers`; skips loudly without it, and fails where everything must be there."""
    path = GO_PEERS / name
    if not path.exists():
        reason = f"{path} is missing: run `make go-peers` (needs Go)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return str(path)


def kv_config(**settings: Any) -> dict[str, Any]:
    """Settings for either KV plugin."""
    return {**KV_CONFIG, **settings}


Command = Callable[..., list[str]]


def go_kv(*mode_words: str) -> list[str]:
    """Command of the Go KV plugin."""
    return [go_peer("kv"), *mode_words]


def python_kv(*mode_words: str) -> list[str]:
    """Command of the Python KV plugin."""
    return plugin_command(*mode_words)


def go_exchange(*, sequential: bool = False) -> list[str]:
    """Command of the Go plugin of the broker tests.

    Args:
        sequential: Whether it dials the host on one broker id at a time; default false. A Go host that multiplexes
            needs it: go-plugin's own gives streams to the wrong listener when several knocks follow one another fast.
    """
    return [go_peer("exchange"), *(["-sequential"] if sequential else [])]


def go_exchange_host(
    plugin: list[str], *, auto_mtls: bool, multiplex: bool, exchanges: int, concurrency: int
) -> list[str]:
    """Command of the Go host of the broker tests, which prints one JSON line and drives the plugin of that command."""
    flags = [f"-mtls={auto_mtls}", f"-mux={multiplex}", f"-exchanges={exchanges}", f"-concurrency={concurrency}"]
    return [go_peer("exchange-host"), "-stderr", *flags, "-plugin", plugin[0], "--", *plugin[1:]]


def provider(name: str) -> list[str]:
    """Command of a Terraform provider."""
    return [provider_path(name)]


def provider_path(name: str) -> str:
    """Path of a Terraform provider's program."""
    return go_peer(f"terraform-provider-{name}")
