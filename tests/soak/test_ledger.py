"""What counts as a finding, and what a plugin's trouble explains."""

from __future__ import annotations

import pytest
from grpc import StatusCode
from grpc.aio import AioRpcError, Metadata

from ferrule.channel.errors import note_begun
from ferrule.errors import TransportError
from soak.ledger import Ledger, WrongAnswerError, percentiles
from soak.troubles import Troubles


def lost(code: StatusCode = StatusCode.UNAVAILABLE) -> AioRpcError:
    return AioRpcError(code, Metadata(), Metadata())


async def kept(error: Exception | None, *, in_trouble: bool) -> Ledger:
    """The ledger after one piece of work that ended so."""
    ledger, troubles = Ledger(), Troubles()

    async def work() -> None:
        if in_trouble:
            troubles.begin()
            troubles.end()
        if error is not None:
            raise error

    await ledger.keep("plugin", "call", troubles, work())
    return ledger


async def test_right_answer() -> None:
    ledger = await kept(None, in_trouble=False)
    assert (ledger.found, ledger.ends) == (0, {"call: right": 1})
    assert len(ledger.take_milliseconds("call")) == 1


async def test_latency_in_a_trouble_says_nothing() -> None:
    assert (await kept(None, in_trouble=True)).take_milliseconds("call") == []


LOST = [lost(), lost(StatusCode.NOT_FOUND), TransportError("lost"), note_begun(ValueError("closed channel"), False)]


@pytest.mark.parametrize("error", LOST)
async def test_loss_needs_a_trouble(error: Exception) -> None:
    ledger = await kept(error, in_trouble=True)
    assert (ledger.found, ledger.ends) == (0, {"call: lost with its plugin": 1})
    assert (await kept(error, in_trouble=False)).found == 1


@pytest.mark.parametrize(
    "error", [lost(StatusCode.INTERNAL), lost(StatusCode.DEADLINE_EXCEEDED), WrongAnswerError("b"), ValueError("b")]
)
async def test_what_no_trouble_explains(error: Exception) -> None:
    assert (await kept(error, in_trouble=True)).found == 1


async def test_trouble_that_was_over_before_explains_nothing() -> None:
    ledger, troubles = Ledger(), Troubles()
    troubles.begin()
    troubles.end()

    async def work() -> None:
        raise lost()

    await ledger.keep("plugin", "call", troubles, work())
    assert ledger.found == 1


def test_percentiles() -> None:
    assert percentiles([float(number) for number in range(101)], (10, 50, 99)) == {10: 10.0, 50: 50.0, 99: 99.0}
    assert percentiles([], (50,)) == {50: 0.0}
