"""What describes a start that fails, and the commands of such starts."""

from __future__ import annotations

import copy
import pickle
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ferrule.errors import RPCPluginError
from peers import go_kv, python_kv

MakeCommand = Callable[[Path], list[str]]

SOON = {"start_timeout": 0.3, "connect_timeout": 0.3}
"""Limits for plugins that never get any further; the others must not come near their defaults."""


@dataclass(frozen=True)
class Row:
    """One failing start: pieces of the message, where `{tmp}` is the test's directory, and of the hint."""

    command: MakeCommand
    error: type[RPCPluginError]
    code: str
    says: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    exit_status: int | None = None
    tail: str = ""
    hint: str = ""


def script(content: str, mode: int = 0o755) -> MakeCommand:
    def make(directory: Path) -> list[str]:
        path = directory / "plugin"
        path.write_text(content)
        path.chmod(mode)
        return [str(path)]

    return make


def go(*words: str) -> MakeCommand:
    return lambda directory: go_kv(*words)


def python(*words: str) -> MakeCommand:
    return lambda directory: python_kv(*words)


def line(text: str) -> MakeCommand:
    """A plugin whose handshake line is this text."""
    return python(f"raw-line={text}")


def with_missing_loader(directory: Path) -> Path:
    """This Python, but for its loader, whose name is another's."""
    path = directory / "elf"
    path.write_bytes(re.sub(rb"(/lib[^\0]*/ld-[^\0]*).\0", rb"\1?\0", Path(sys.executable).read_bytes(), count=1))
    path.chmod(0o755)
    return path


def link(path: Path, target: str) -> list[str]:
    if not path.is_symlink():
        path.symlink_to(target)
    return [str(path)]


def check_copies(error: RPCPluginError) -> None:
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (type(twin), str(twin), vars(twin)) == (type(error), str(error), vars(error))
