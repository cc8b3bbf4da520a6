"""The commands of docs/cli.md do what the page shows."""

from __future__ import annotations

import fnmatch
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from peers import ROOT, go_peer, provider_path
from waiting import LIMIT

PAGE = (ROOT / "docs" / "cli.md").read_text()


def examples() -> list[tuple[str, list[str]]]:
    """Each command of the page with the lines that it prints."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line.removeprefix("$ "), []))
            else:
                found[-1][1].append(line)
    return found


SETTING, *COMMANDS = examples()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with the programs that the page names."""
    (tmp_path / "kv").symlink_to(go_peer("kv"))
    (tmp_path / "terraform-provider-example").symlink_to(provider_path("simple"))
    script = tmp_path / "ferrule"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m ferrule "$@"\n')
    script.chmod(0o755)
    return tmp_path


@pytest.mark.go
@pytest.mark.parametrize(("command", "printed"), COMMANDS, ids=[command[:40] for command, _ in COMMANDS])
def test_commands(command: str, printed: list[str], place: Path) -> None:
    environment = {**os.environ, "PATH": f"{place}:{os.environ['PATH']}"}
    result = subprocess.run(
        ["/bin/sh", "-c", f"{SETTING[0]}\n{command}"],
        check=False,
        cwd=place,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    # What takes long is told there.
    errors = [line for line in result.stderr.splitlines() if not line.startswith(("measuring", "starting"))]
    assert (result.returncode, errors) == (0, [])
    if printed:
        pattern = "\n".join(printed).replace("[", "[[]").replace("...", "*")
        assert fnmatch.fnmatchcase(result.stdout.rstrip("\n"), pattern)
