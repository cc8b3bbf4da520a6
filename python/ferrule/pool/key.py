"""The key of a spec: equal keys share a process."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from ferrule.pool.spec import PluginSpec

__all__ = ["key_of"]

# Keyed, so that no log and no memory image has a hash of a password that could be guessed.
_SECRET = os.urandom(32)

_NOT_OF_THE_PROCESS = {
    "connect_timeout",
    "kill_timeout",
    "logger",
    "managed",
    "retry",
    "shutdown_timeout",
    "start_timeout",
    "sync_stderr",
    "sync_stdout",
}


def key_of(spec: PluginSpec) -> bytes:
    """The key of a spec, by program, arguments, environment and settings, and by `on_start`."""
    # Loads OpenSSL.
    from hashlib import blake2b

    config: Any = spec.config
    settings = [
        (field.name, repr(_plain(getattr(config, field.name))))
        for field in dataclasses.fields(config)
        if field.name not in _NOT_OF_THE_PROCESS
    ]
    described = repr((spec.command, settings, _key_of_start(spec.on_start), spec.memory_soft_limit))
    return blake2b(described.encode(), key=_SECRET, digest_size=16).digest()


def _key_of_start(on_start: Any) -> bytes | int:
    """What tells functions that prepare processes alike from those that do not: an attribute `key`, or which it is."""
    key = getattr(on_start, "key", None)
    return key if isinstance(key, bytes) else id(on_start)


def _plain(value: Any) -> Any:
    # The repr of an environment, and of the cookie's value, hides what it has.
    return sorted(value.items()) if isinstance(value, Mapping) else value
