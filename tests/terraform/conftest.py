"""The providers with moods to which the tests attach, one of each protocol version for all of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from terraform.moody import VERSIONS, Moody, running


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
