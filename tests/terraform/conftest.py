"""What the tests share: providers with moods, one of each version for all; go-cty; a state file; a cached program."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ferrule.terraform.schema import cache as cache_module
from ferrule.terraform.tfstate import StateFile
from terraform.cached_programs import make_program
from terraform.cty_peer import Ask, asking
from terraform.moody import VERSIONS, Moody, running
from terraform.state_files import STATES, copied


@pytest.fixture(scope="session")
def moody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moody]:
    """A provider with moods, of protocol 6."""
    with running(tmp_path_factory.mktemp("moody"), 6) as provider:
        yield provider


@pytest.fixture(scope="session", params=VERSIONS, ids="protocol-{}".format)
def moody_of_each_version(
    request: pytest.FixtureRequest, moody: Moody, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Moody]:
    if request.param == 6:
        yield moody
    else:
        with running(tmp_path_factory.mktemp("moody"), request.param) as provider:
            yield provider


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    """Asks go-cty, in a program of its own."""
    with asking() as asked:
        yield asked


@pytest.fixture
def file(tmp_path: Path) -> StateFile:
    """A state of OpenTofu with resources of many kinds."""
    return copied(STATES / "opentofu-1.12.tfstate", tmp_path)


@pytest.fixture
def old_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The programs of these tests are new, so that their hashes would not be kept."""
    monkeypatch.setattr(cache_module, "RACY_NS", -(10**12))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "ferrule" / "schemas"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return make_program(tmp_path / "terraform-provider-thing")
