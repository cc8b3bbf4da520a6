"""Workspaces for OpenTofu: one for the example provider in Python, and one for any unmodified provider.

`make acceptance` builds OpenTofu. Terraform 1.13 takes part where the variable FERRULE_TERRAFORM names its program.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import pytest

from acceptance.lives import SOURCES
from acceptance.module import ProviderModule
from acceptance.workspace import Workspace
from peers import GO_PEERS

Core = Literal["terraform", "opentofu"]

PROGRAMS: dict[Core, Path] = {"opentofu": GO_PEERS / "tofu"}
if TERRAFORM := os.environ.get("FERRULE_TERRAFORM"):
    PROGRAMS["terraform"] = Path(TERRAFORM)


def program(core: Core) -> Path:
    """Skips without it, in CI too: `make acceptance` builds it on its own, which takes minutes."""
    path = PROGRAMS[core]
    if not path.exists():
        pytest.skip(f"{path} is missing: run `make acceptance` (needs Go)")
    return path


@pytest.fixture
def workspace(tmp_path: Path, temporary_directory: Path, no_leaks: None) -> Workspace:
    return Workspace(program("opentofu"), tmp_path, temporary_directory)


@pytest.fixture(params=PROGRAMS)
def core(request: pytest.FixtureRequest) -> Core:
    """Whose behaviour counts: a value of the setting `core`."""
    core: Core = request.param
    return core


@pytest.fixture
def module(request: pytest.FixtureRequest, core: Core, tmp_path: Path, temporary_directory: Path) -> ProviderModule:
    """A root module for the provider of that name."""
    name: str = request.param
    return ProviderModule(program(core), tmp_path, temporary_directory, core, name, SOURCES[name])
