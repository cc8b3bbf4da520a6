"""The fickle provider, in this process or as a program, and the command line that drives it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from ferrule.cli import main
from peers import ROOT
from terraform.fickle_provider import handler
from waiting import LIMIT

__all__ = ["ADDRESS", "Fickle", "attached", "program", "started"]

ADDRESS = "registry.terraform.io/example/fickle"


class Fickle:
    """The command line in this process, with the fickle provider and a directory for its files.

    Attributes:
        out, err: What the last verb has printed.
        status: Its exit status.
    """

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.directory = directory
        self.state_file = directory / "thing.json"
        self.out = self.err = ""
        self.status = 0
        self._capsys = capsys

    def __call__(self, verb: str, *arguments: str, provider: str = ADDRESS) -> int:
        """The exit status of a verb."""
        try:
            self.status = main([verb, provider, *arguments])
        except SystemExit as end:
            self.status = int(end.code or 0)
        self.out, self.err = self._capsys.readouterr()
        return self.status

    def document(self, verb: str, *arguments: str) -> Any:
        """What a verb prints as JSON."""
        self(verb, "--json", *arguments)
        return json.loads(self.out)

    @property
    def state(self) -> list[str]:
        """The option that names the state file."""
        return ["--state", str(self.state_file)]

    def stored(self) -> Any:
        """The attributes in the state file."""
        return json.loads(self.state_file.read_text())["attributes"]


@contextmanager
def attached() -> Iterator[str]:
    """The provider in this process; the value of TF_REATTACH_PROVIDERS that leads to it."""
    with ThreadPoolExecutor() as threads:
        server = grpc.server(threads)
        server.add_generic_rpc_handlers((handler(),))
        where = {"Network": "tcp", "String": f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"}
        server.start()
        facts = {"Protocol": "grpc", "ProtocolVersion": 6, "Pid": os.getpid(), "Test": True, "Addr": where}
        yield json.dumps({ADDRESS: facts})
        assert server.stop(None).wait(LIMIT)


def program(directory: Path) -> str:
    """The provider as a program, for what ends its process."""
    path = directory / "terraform-provider-fickle"
    source = ROOT / "tests" / "terraform" / "fickle_provider.py"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{source}"\n')
    path.chmod(0o755)
    return str(path)


@contextmanager
def started(*arguments: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """The command line in a process of its own."""
    command = [sys.executable, "-m", "ferrule", *arguments]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    with subprocess.Popen(command, text=True, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()
