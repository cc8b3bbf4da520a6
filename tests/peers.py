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


def provider(name: str) -> list[str]:
    """Command of a Terraform provider."""
    return [go_peer(f"terraform-provider-{name}")]
