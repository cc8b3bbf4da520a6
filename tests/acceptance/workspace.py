"""A root module of OpenTofu with `examples/minimal_provider.py` as its provider."""

from __future__ import annotations

import contextlib
import itertools
import json
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from acceptance.opentofu import LIMIT, Tofu
from peers import ROOT

SOURCE = "ferrule.example/notes/ferrule"
"""The provider's address in a registry that does not exist: nothing can be fetched by mistake."""

PROVIDER = [sys.executable, "-W", "error", str(ROOT / "examples" / "minimal_provider.py")]

CONFIGURATION = f"""
terraform {{
  required_providers {{
    ferrule = {{ source = "{SOURCE}" }}
  }}
}}

variable "text" {{}}

resource "ferrule_note" "greeting" {{
  text = var.text
}}

# Its text is unknown until the first note is there.
resource "ferrule_note" "reference" {{
  text = "see ${{ferrule_note.greeting.id}}"
}}

output "greeting" {{
  value = ferrule_note.greeting
}}

output "reference" {{
  value = ferrule_note.reference
}}
"""


class Workspace(Tofu):
    """A root module, its state, and the provider's program.

    Args:
        program: Path of `tofu`.
        directory: An empty directory for everything.
        temporary: For the sockets of the provider.
    """

    def __init__(self, program: Path, directory: Path, temporary: Path) -> None:
        self._temporary = temporary
        self._provider = directory / "provider" / "terraform-provider-ferrule"
        self._starts = directory / "starts"
        super().__init__(program, directory, temporary, {SOURCE: self._provider.parent})
        self._starts.mkdir()
        self._provider.parent.mkdir()
        (self.module / "main.tf").write_text(CONFIGURATION)
        self.install()

    def install(self, *before: str) -> None:
        """Installs the provider; it is started after lines of shell that may change its environment."""
        record = f"env -0 > {shlex.quote(str(self._starts))}/$$"
        lines = ["#!/bin/sh", record, *before, f"exec {shlex.join(PROVIDER)}"]
        self._provider.write_text("\n".join(lines) + "\n")
        self._provider.chmod(0o755)

    def starts(self) -> list[dict[str, str]]:
        """The environment that OpenTofu gave to the provider, of each start so far."""
        recorded = [path.read_text().split("\0") for path in self._starts.iterdir()]
        return [dict(entry.split("=", 1) for entry in entries if entry) for entries in recorded]

    def planned(self, text: str, **environment: str) -> dict[str, dict[str, Any]]:
        """What the provider plans, by name of the note."""
        changes = self.planned_changes(f"-var=text={text}", **environment)
        return {address.partition(".")[2]: change for address, change in changes.items()}

    @contextlib.contextmanager
    def debugged(self) -> Iterator[str]:
        """Starts the provider by hand, in test mode; gives what OpenTofu needs for TF_REATTACH_PROVIDERS."""
        environment = {name: self.environment[name] for name in ("PATH", "TMPDIR")}
        with subprocess.Popen([*PROVIDER, "--test"], env=environment, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                (line,) = itertools.islice((line for line in process.stdout if "TF_REATTACH_PROVIDERS=" in line), 1)
                yield shlex.split(line)[0].partition("=")[2]
                assert process.poll() is None, "hosts may not end a provider in test mode"
                process.send_signal(signal.SIGINT)
                assert process.wait(LIMIT) == 0
            finally:
                process.kill()

    def remove_sockets(self) -> None:
        """Removes what a provider leaves that OpenTofu had to kill, because it could not ask it to stop."""
        assert any(path.is_socket() for path in self._temporary.iterdir())
        for path in self._temporary.iterdir():
            path.unlink() if path.is_socket() else shutil.rmtree(path)

    def state(self) -> dict[str, dict[str, Any]]:
        """The attributes that are stored, by name of the note."""
        stored = json.loads(self.state_path.read_text())
        return {entry["name"]: entry["instances"][0]["attributes"] for entry in stored["resources"]}
