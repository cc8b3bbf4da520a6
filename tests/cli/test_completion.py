"""Shell completion, in real shells on a terminal of their own."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ferrule.cli import main
from waiting import LIMIT

PROMPT = "ready> "


class Terminal:
    """A shell on a pseudo-terminal."""

    def __init__(self, command: list[str], directory: Path) -> None:
        self._controller, worker = pty.openpty()
        environment = {
            "PATH": f"{directory}:{os.environ['PATH']}",
            "HOME": str(directory),
            "PS1": PROMPT,
            "TERM": "dumb",
        }
        self._process = subprocess.Popen(
            command,
            stdin=worker,
            stdout=worker,
            stderr=worker,
            cwd=directory,
            env=environment,
            start_new_session=True,
        )
        os.close(worker)
        self._shown = ""

    def type(self, text: str) -> None:
        os.write(self._controller, text.encode())

    def shows(self, text: str) -> None:
        """Waits until a text is shown; what came before is forgotten."""
        deadline = time.monotonic() + LIMIT
        while text not in self._shown:
            ready, _, _ = select.select([self._controller], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"{text!r} is not in {self._shown!r}"
            self._shown += os.read(self._controller, 4096).decode()
        self._shown = self._shown.partition(text)[2]

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._controller)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with a program `ferrule`, which completion does not start, and files to name."""
    (tmp_path / "ferrule").symlink_to("/bin/true")
    (tmp_path / "my-plugin").touch()
    (tmp_path / "definitions.binpb").touch()
    return tmp_path


@pytest.fixture(params=["bash", "zsh"])
def terminal(request: pytest.FixtureRequest, place: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Terminal]:
    program = shutil.which(request.param)
    if program is None:
        pytest.skip(f"{request.param} is not installed")
    assert main(["completion", request.param]) == 0
    (place / "script").write_text(capsys.readouterr().out)
    options = {"bash": ["--norc", "--noprofile"], "zsh": ["-f"]}[request.param]
    shell = Terminal([program, *options, "-i"], place)
    try:
        shell.shows(PROMPT)
        if request.param == "zsh":
            shell.type("autoload -U compinit; compinit -u\n")
            shell.shows(PROMPT)
        # A script of zsh that is sourced takes the place for a directory of $fpath.
        shell.type({"bash": ". ./script\n", "zsh": 'eval "$(cat script)"\n'}[request.param])
        shell.shows(PROMPT)
        yield shell
    finally:
        shell.close()


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("ferrule insp", "ferrule inspect "),
        ("ferrule call --des", "ferrule call --descriptor-set "),
        ("ferrule call --descriptor-set def", "ferrule call --descriptor-set definitions.binpb"),
        ("ferrule call my-p", "ferrule call my-plugin"),
        ("ferrule inspect --family tfl", "ferrule inspect --family tflint "),
        ("ferrule plan --pro", "ferrule plan --provider-config "),
        ("ferrule completion ba", "ferrule completion bash "),
    ],
)
def test_tab(terminal: Terminal, typed: str, completed: str) -> None:
    terminal.type(f"{typed}\t")
    terminal.shows(completed)


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_every_verb_is_in_the_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in ("inspect", "call", "apply", "descriptor-set" if shell != "tcsh" else "import"):
        assert word in script


def test_unknown_shell(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["completion", "command.com"])
    assert end.value.code == 2
    assert "invalid choice: 'command.com'" in capsys.readouterr().err


def test_without_the_library(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 1
    assert capsys.readouterr() == (
        "",
        "ferrule: ConfigError: completion needs shtab, which is not installed\n"
        "hint: `pip install 'ferrule[cli]'` brings it.\n"
        "more: ferrule explain config.extra\n",
    )


def test_verbs_whose_extra_is_missing_are_names_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ferrule.terraform.cli", None)
    monkeypatch.delattr("ferrule.terraform.cli", raising=False)
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    # Releases quote differently.
    assert "_shtab_ferrule_plan_option_strings=(-h --help)" in script.replace("'", "")
