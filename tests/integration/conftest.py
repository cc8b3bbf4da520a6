"""What every integration test gets besides."""

import pytest


@pytest.fixture(autouse=True)
def nothing_left_behind(no_leaks: None) -> None:
    """No plugin, child process or thread may outlive its test."""
