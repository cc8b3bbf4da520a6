"""`ferrule top` in a real terminal, tmux, on a real pool of real plugins."""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from peers import go_peer
from waiting import LIMIT

PLUGINS = 12
PROGRAM = Path(__file__).with_name("pool_program.py")

pytestmark = pytest.mark.go


def tmux() -> str:
    """The program; skips loudly without it, and fails where .github/actions/setup has installed it."""
    program = shutil.which("tmux")
    if program is None:
        if os.environ.get("CI") == os.environ.get("GITHUB_ACTIONS") == "true":
            pytest.fail("tmux is missing, which .github/actions/setup installs")
        pytest.skip("tmux is not installed")
    return program


class Terminal:
    """A terminal with a shell in it.

    Args:
        directory: Where the sockets of tmux and of the pool are.
        program: tmux.
    """

    def __init__(self, directory: Path, program: str) -> None:
        self._tmux = [program, "-S", str(directory / "tmux"), "-f", "/dev/null"]
        environment = {**os.environ, "XDG_RUNTIME_DIR": str(directory), "PS1": "$ ", "HISTFILE": ""}
        for name in ("NO_COLOR", "FERRULE_POOL_SOCKET", "TMUX", "COLUMNS", "LINES"):
            environment.pop(name, None)
        shell = ["/bin/sh", "-i"]
        session = ["new-session", "-d", "-x", "80", "-y", "24", *shell]
        subprocess.run([*self._tmux, *session], check=True, env=environment, cwd=directory)
        # A client in control mode is told of everything that changes.
        pipe = subprocess.PIPE
        self._events = subprocess.Popen([*self._tmux, "-C", "attach-session"], stdin=pipe, stdout=pipe)
        self.shows("$")

    def run(self, *arguments: str) -> str:
        return subprocess.run([*self._tmux, *arguments], check=True, capture_output=True, text=True).stdout

    def screen(self, *options: str) -> str:
        return self.run("capture-pane", "-p", *options)

    def type(self, *keys: str) -> None:
        self.run("send-keys", *keys)

    def shows(self, pattern: str, *options: str) -> None:
        """Waits until a pattern is on the terminal; `options` are those of `screen`."""
        assert self._events.stdout is not None
        deadline = time.monotonic() + LIMIT
        while not re.search(pattern, screen := self.screen(*options), re.MULTILINE):
            ready, _, _ = select.select([self._events.stdout], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"{pattern!r} is not on the terminal:\n{screen}"
            os.read(self._events.stdout.fileno(), 65_536)

    def resize(self, columns: int, lines: int) -> None:
        self.run("resize-window", "-x", str(columns), "-y", str(lines))

    def close(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True)
        self._events.communicate()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all sockets are, with a short path: 107 bytes at most."""
    return tmp_path_factory.mktemp("top")


@pytest.fixture(scope="module")
def terminal(directory: Path) -> Iterator[Terminal]:
    opened = Terminal(directory, tmux())
    try:
        yield opened
    finally:
        opened.close()


@pytest.fixture(scope="module")
def pool(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """A program with a pool, which ends when a line comes on its standard input."""
    command = [sys.executable, str(PROGRAM), str(PLUGINS), go_peer("kv")]
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(directory)}
    environment.pop("FERRULE_POOL_SOCKET", None)
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        if process.poll() is None:
            process.communicate("\n")


def start(terminal: Terminal, environment: str = "") -> None:
    """Starts `ferrule top`, after which the shell says how it ended, and whether the terminal is as it was before."""
    terminal.resize(80, 24)
    top = f"{environment} {sys.executable} -m ferrule top --interval 0.1"
    terminal.type(
        f"clear; stty -g > before; {top}; echo ended $?; stty -g > after; cmp before after && echo same", "Enter"
    )
    terminal.shows(rf"^pool shown: {PLUGINS} of ")


def ended(terminal: Terminal, status: int) -> None:
    terminal.shows(rf"^ended {status}\nsame$")
    assert "PLUGIN" not in terminal.screen()


def test_a_pool_is_followed(terminal: Terminal, pool: subprocess.Popen[str]) -> None:
    start(terminal)
    terminal.shows(r"^calls/s [1-9][\d,]*  leases \d+  waiting 0")
    terminal.shows(r"^kv-\d+ +(ready|leased) +\d+ +0 +[\d,]+ +[\d,.]+ +\d+\.\d +\d+s$")
    terminal.shows(r"^sorted by memory \[m c w\]  q ends$")
    assert len(re.findall(r"^kv-\d+ ", terminal.screen(), re.MULTILINE)) == PLUGINS
    terminal.shows(r"\x1b\[32mleased", "-e")
    terminal.type("c")
    terminal.shows("^sorted by calls")

    terminal.resize(60, 10)
    terminal.shows(r"^PLUGIN +STATE +LEASES +CALLS/S +MIB$")
    terminal.shows(r"^\.\.\. and 7 more$")
    terminal.resize(132, 40)
    terminal.shows(r"^PLUGIN +STATE +PID +LEASES +WAIT +CALLS/S +P99 MS +MIB +AGE +RESTARTS$")
    terminal.type("q")
    ended(terminal, 0)


def test_no_colours_and_control_c(terminal: Terminal, pool: subprocess.Popen[str]) -> None:
    start(terminal, "NO_COLOR=1")
    terminal.shows(r"^kv-\d+ ")
    # 39 is the terminal's own colour.
    assert not re.search(r"\x1b\[3[0-7]m", terminal.screen("-e"))
    terminal.type("C-z", "C-c")
    ended(terminal, 130)


def test_a_pool_that_ends(terminal: Terminal, pool: subprocess.Popen[str]) -> None:
    start(terminal)
    assert pool.stdin is not None
    pool.stdin.write("\n")
    pool.stdin.flush()
    ended(terminal, 0)
    terminal.shows("^ferrule: the pool on .* has ended$", "-J")
