"""The command line of OpenTofu, or of Terraform, offline, with providers under development."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LIMIT = 60.0
"""Seconds for one command of OpenTofu, which starts the providers several times."""


@dataclass(frozen=True)
class Outcome:
    """What a command printed, and what it logged at level TRACE."""

    status: int
    output: str
    log: str


class Tofu:
    """A root module and its state.

    Args:
        program: Path of `tofu`.
        directory: An empty directory for everything.
        temporary: For the sockets of the providers.
        providers: The directory of each provider's program, by source address.
    """

    def __init__(self, program: Path, directory: Path, temporary: Path, providers: Mapping[str, Path]) -> None:
        self.module = directory / "module"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "TMPDIR": str(temporary),
            "TF_CLI_CONFIG_FILE": str(directory / "cli.tfrc"),
            "TF_LOG": "TRACE",
            "TF_LOG_PATH": str(directory / "log"),
        }
        self._program = program
        self._log = directory / "log"
        self.module.mkdir()
        overrides = "".join(f'    "{source}" = "{place}"\n' for source, place in providers.items())
        (directory / "cli.tfrc").write_text(f"provider_installation {{\n  dev_overrides {{\n{overrides}  }}\n}}\n")

    def run(self, *arguments: str, **environment: str) -> Outcome:
        """A command, whatever becomes of it."""
        self._log.unlink(missing_ok=True)
        ended = subprocess.run(
            [str(self._program), *arguments, "-no-color"],
            cwd=self.module,
            env=self.environment | environment,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT,
        )
        return Outcome(ended.returncode, ended.stdout, self._log.read_text())

    @property
    def state_path(self) -> Path:
        return self.module / "terraform.tfstate"

    @contextlib.contextmanager
    def asking(self, *arguments: str) -> Iterator[None]:
        """While a command waits for an answer; it gets a no."""
        command = [str(self._program), *arguments, "-no-color"]
        with subprocess.Popen(
            command, cwd=self.module, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            printed = b""
            while b"Enter a value:" not in printed:
                more = os.read(process.stdout.fileno(), 65_536)
                assert more, printed.decode()
                printed += more
            yield
            process.communicate(b"no\n", LIMIT)

    def tofu(self, *arguments: str, **environment: str) -> str:
        """What a successful command prints."""
        outcome = self.run(*arguments, **environment)
        assert outcome.status == 0, outcome.output
        return outcome.output

    def failing(self, *arguments: str) -> str:
        """What a command prints that fails."""
        outcome = self.run(*arguments)
        assert outcome.status == 1, outcome.output
        return outcome.output

    def planned_changes(self, *arguments: str, **environment: str) -> dict[str, dict[str, Any]]:
        """The changes of a plan, by address; the plan is the file `plan`."""
        self.tofu("plan", "-input=false", "-out=plan", *arguments, **environment)
        plan = json.loads(self.tofu("show", "-json", "plan", **environment))
        return {entry["address"]: entry["change"] for entry in plan.get("resource_changes", ())}
