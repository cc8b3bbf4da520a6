"""The plugin of `server_program` as a process that a test starts by hand, as a host would."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ferrule.testing import COOKIE_KEY, COOKIE_VALUE
from integration.server_program import SERVICE
from peers import ROOT
from waiting import LIMIT, until


def plugin(*words: str) -> list[str]:
    """Command of the plugin under test."""
    return [sys.executable, str(ROOT / "tests" / "integration" / "server_program.py"), *words]


async def deed(channel: Any, name: str, request: bytes = b"") -> bytes:
    """One call of the plugin's own service."""
    answer: bytes = await channel.unary_unary(f"/{SERVICE}/{name}")(request, timeout=LIMIT)
    return answer


class Process:
    """A started plugin with the right cookie, unless the environment given says otherwise."""

    def __init__(self, directory: Path, *words: str, **environment: str) -> None:
        self.stderr = directory / "stderr"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PLUGIN_")}
        with self.stderr.open("wb") as log:
            self.popen = subprocess.Popen(
                plugin(*words),
                env={**inherited, COOKIE_KEY: COOKIE_VALUE, **environment},
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self.popen.stdout is not None
        self.stdout = self.popen.stdout

    def fields(self) -> list[str]:
        """Reads the handshake line."""
        return self.stdout.readline().decode().rstrip("\n").split("|")

    def log(self) -> list[dict[str, Any]]:
        """What it has logged."""
        return [json.loads(line) for line in self.stderr.read_text().splitlines()]

    async def logs(self, text: str, level: str) -> None:
        """Returns when it has logged a line with this text at this level."""
        await until(lambda: any(text in entry["@message"] and entry["@level"] == level for entry in self.log()))


Launch = Callable[..., Process]


@contextlib.contextmanager
def launcher(directory: Path) -> Iterator[Launch]:
    """A function that starts plugins, which end with the context."""
    with contextlib.ExitStack() as ending:

        def start(*words: str, **environment: str) -> Process:
            process = Process(directory, *words, **environment)
            ending.callback(process.stdout.close)
            ending.callback(process.popen.wait, LIMIT)
            ending.callback(process.popen.terminate)
            return process

        yield start
