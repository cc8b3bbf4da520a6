"""What every integration test gets besides."""

from pathlib import Path

import pytest

from integration.thread_peers import Security


@pytest.fixture(autouse=True)
def nothing_left_behind(no_leaks: None) -> None:
    """No plugin, child process or thread may outlive its test."""


@pytest.fixture(params=["plaintext", "tls"])
def security(request: pytest.FixtureRequest, temporary_directory: Path) -> Security:
    return Security(temporary_directory if request.param == "tls" else None)


@pytest.fixture
def plaintext() -> Security:
    return Security(None)
