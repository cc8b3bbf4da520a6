"""The provider of `moody_provider.py` as a program, and as a process to which tests attach."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from ferrule.reattach import ReattachConfig
from ferrule.terraform import Provider, ResourceState
from peers import ROOT

VERSIONS = (5, 6)


class Moody:
    """A provider that runs.

    Attributes:
        reattach: How to attach to it.
    """

    def __init__(self, reattach: ReattachConfig, calls: Path) -> None:
        self.reattach = reattach
        self._calls = calls
        self._seen = 0

    def calls(self) -> list[str]:
        """The methods that were called since the last time, and what else the provider remembers."""
        lines = self._calls.read_text().splitlines() if self._calls.exists() else []
        new = lines[self._seen :]
        self._seen = len(lines)
        return new

    def has_called(self, line: str) -> bool:
        """Whether a method is among those since the last time of `calls`."""
        return self._calls.exists() and line in self._calls.read_text().splitlines()[self._seen :]


def command(version: int, *words: str) -> list[str]:
    """Command of the provider."""
    return [sys.executable, str(ROOT / "tests" / "terraform" / "moody_provider.py"), str(version), *words]


def program(directory: Path, version: int = 6, calls: Path | None = None) -> Path:
    """A program of its own, as providers are, in a directory."""
    path = directory / f"terraform-provider-moody{version}"
    path.write_text(f"#!/bin/sh\nexec {shlex.join(command(version, *([str(calls)] if calls else [])))}\n")
    path.chmod(0o755)
    return path


@contextmanager
def running(directory: Path, version: int) -> Iterator[Moody]:
    """A process of the provider, to which tests attach: a start of their own would cost them half a second each."""
    calls = directory / "calls"
    environment = {**os.environ, "TMPDIR": str(directory)}
    with subprocess.Popen(command(version, str(calls), "test"), stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        try:
            yield Moody(ReattachConfig.from_json(process.stdout.readline().decode()), calls)
        finally:
            process.terminate()


@asynccontextmanager
async def attached(moody: Moody, **options: Any) -> AsyncIterator[Provider]:
    """The provider, configured, with the calls of that forgotten."""
    moody.calls()
    async with Provider.reattach(moody.reattach, **{"config": {}, **options}) as provider:
        moody.calls()
        yield provider


async def created(provider: Provider, **config: Any) -> ResourceState:
    thing = provider.resource("moody_thing")
    state = await thing.apply(await thing.plan({"name": "a", **config}))
    assert state is not None
    return state
