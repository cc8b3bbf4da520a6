"""The inputs that were worth keeping, each as a test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fuzzing.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
INPUTS = sorted(path.relative_to(CORPUS) for path in CORPUS.glob("*/*"))


def test_each_target_has_inputs() -> None:
    assert {path.parent.name for path in INPUTS} == set(TARGETS)


@pytest.mark.skipif("FERRULE_FUZZ_INPUT" not in os.environ, reason="FERRULE_FUZZ_INPUT names no input")
def test_input_named_in_the_environment_keeps_its_promises() -> None:
    TARGETS[os.environ["FERRULE_FUZZ_TARGET"]](Path(os.environ["FERRULE_FUZZ_INPUT"]).read_bytes())


@pytest.mark.parametrize("path", INPUTS, ids=str)
def test_input_keeps_its_promises(path: Path) -> None:
    TARGETS[path.parent.name]((CORPUS / path).read_bytes())
