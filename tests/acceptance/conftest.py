"""A workspace for OpenTofu in which the example provider in Python is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from acceptance.workspace import Workspace
from peers import GO_PEERS


@pytest.fixture
def workspace(tmp_path: Path, temporary_directory: Path, no_leaks: None) -> Workspace:
    """Skips without OpenTofu, in CI too: it takes minutes to build, so that `make acceptance` does it on its own."""
    program = GO_PEERS / "tofu"
    if not program.exists():
        pytest.skip(f"{program} is missing: run `make acceptance` (needs Go)")
    return Workspace(program, tmp_path, temporary_directory)
