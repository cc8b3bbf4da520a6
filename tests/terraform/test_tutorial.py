"""The tutorial, docs/tutorial.md, run as it stands there on a real provider."""

from __future__ import annotations

import asyncio
import contextlib
import io
import platform
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ferrule.cli import main
from peers import ROOT, provider

pytestmark = [pytest.mark.timeout(60), pytest.mark.go]

PAGE = (ROOT / "docs" / "tutorial.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


@pytest.fixture(autouse=True)
def initialized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory as `terraform init` leaves it."""
    system = f"{platform.system().lower()}_{ARCHITECTURE}"
    package = tmp_path / ".terraform" / "providers" / "registry.terraform.io" / "hashicorp" / "local" / "1.4.0" / system
    package.mkdir(parents=True)
    (package / "terraform-provider-local_v1.4.0_x4").symlink_to(provider("local")[0])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def program() -> Iterator[tuple[str, str]]:
    """The blocks of Python in their order, each with the output that stands below."""
    blocks = iter(BLOCKS)
    last = ""
    for kind, text in blocks:
        if kind == "text":
            yield last, text
        elif last:
            yield last, ""
        last = text if kind == "python" else ""
    if last:
        yield last, ""


def test_the_program(initialized: Path) -> None:
    namespace: dict[str, Any] = {"__name__": "tutorial"}
    steps = [each for each in program() if each[0]]
    for code, expected in steps:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(code, "tutorial", "exec", dont_inherit=True), namespace)
        assert printed.getvalue() == expected
    assert len(steps) >= 7
    assert not (initialized / "greeting.txt").exists()
    asyncio.run(namespace["main"]())
    assert not (initialized / "greeting.txt").exists()


def test_the_commands(initialized: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = [line for kind, text in BLOCKS if kind == "console" for line in text.splitlines()]
    assert commands[0] == 'pip install "ferrule[terraform]"'
    seen = []
    for line in commands[1:]:
        dollar, name, *arguments = shlex.split(line)
        assert (dollar, name) == ("$", "ferrule")
        assert main(arguments) == 0, line
        assert capsys.readouterr().out
        path = initialized / "greeting.txt"
        seen.append(path.read_text() if path.exists() else None)
    assert seen == [None, None, None, "hello", "goodbye", "goodbye", None]
    assert not (initialized / "greeting.json").exists()
