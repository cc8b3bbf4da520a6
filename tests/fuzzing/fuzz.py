"""Fuzzes one target with atheris, which is libFuzzer for Python.

`python tests/fuzzing/fuzz.py TARGET [OPTIONS OF LIBFUZZER] [DIRECTORIES OF INPUTS, OR ONE INPUT]`
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris


def main() -> None:
    sys.path.insert(0, str(Path(__file__).parents[1]))
    with atheris.instrument_imports(include=["ferrule.terraform", "ferrule.logs", "json"]):
        from fuzzing.targets import TARGETS
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
