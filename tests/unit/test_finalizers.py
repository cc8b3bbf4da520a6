"""What an object does at its end, also when that comes after everything else has gone."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

from ferrule._finalizers import finalizer
from peers import ROOT
from waiting import LIMIT


def test_objects_that_outlive_the_names_of_modules_say_nothing() -> None:
    program = [sys.executable, str(Path(__file__).with_name("late_program.py"))]
    run = subprocess.run(program, capture_output=True, text=True, check=False, timeout=LIMIT)
    assert (run.returncode, run.stdout, run.stderr) == (0, "end\n", "")


@pytest.mark.parametrize("is_finalizing", [False, True])
@pytest.mark.parametrize("error", [TypeError, ValueError])
def test_errors_are_passed_over_where_names_are_gone(error: type[Exception], is_finalizing: bool) -> None:
    def fail(_: object) -> None:
        raise error

    finalize: Any = finalizer(fail)
    if error is TypeError and is_finalizing:
        finalize(object(), is_finalizing=lambda: True)
    else:
        with pytest.raises(error):
            finalize(object(), is_finalizing=lambda: is_finalizing)


def test_nothing_is_begun_below_a_module_that_was_cleared() -> None:
    done: list[int] = []
    method = FunctionType((lambda found: found.append(1)).__code__, {"__name__": "module"})
    finalize = finalizer(method)
    finalize(done)
    method.__globals__["__name__"] = None
    finalize(done)
    assert done == [1]


def test_every_finalizer_is_one() -> None:
    sources = {path: path.read_text() for path in (ROOT / "python" / "ferrule").rglob("*.py")}
    found = [path.name for path, text in sources.items() if re.search(r"^    def __del__", text, re.MULTILINE)]
    bare = [path.name for path, text in sources.items() if re.search(r"(?<!@finalizer)\n    def __del__", text)]
    assert len(found) > 10
    assert bare == []
