"""Ctrl-C on the command line: status 130 and no traceback, at any moment."""

import os
import signal
import subprocess
import sys

import pytest

from ferrule.cli import main

LIMIT_SECONDS = 60.0

INTERRUPTED = """
import signal, sys

class Interrupt:
    def find_spec(self, name, path, target=None):
        if name == sys.argv[1]:
            # As in the making of a dataclass.
            exec("signal.raise_signal(signal.SIGINT)", {"signal": signal})

sys.meta_path.insert(0, Interrupt())
from ferrule.cli import main
sys.exit(main(["inspect", "plugin"]))
"""


@pytest.mark.parametrize("module", ["ferrule.cli.program", "ferrule._console", "argparse", "ferrule._core"])
def test_ctrl_c_while_the_program_is_loaded(module: str) -> None:
    command = [sys.executable, "-c", INTERRUPTED, module]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=LIMIT_SECONDS)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for another process")
def test_interrupt() -> None:
    script = "import sys, threading; print('here I am', file=sys.stderr, flush=True); threading.Event().wait()"
    command = [sys.executable, "-m", "ferrule", "inspect", "--log-level", "debug", "--", sys.executable, "-c", script]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    first = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=LIMIT_SECONDS)
    assert "here I am" in first
    assert (process.returncode, output, errors) == (130, "", "")


def test_interrupt_while_a_verb_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ferrule.cli.program.command_line", interrupted)
    assert main([]) == 130
