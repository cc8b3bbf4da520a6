"""The parts of the router, each alone."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ferrule.pool import LeaseRevoked
from ferrule.ray.in_flight import in_flight
from ferrule.ray.router import FENCE_AFTER, Beat, Fence
from ferrule.ray.router.messages import (
    Admit,
    Admitted,
    Cancel,
    Failed,
    Finished,
    Go,
    Join,
    Joined,
    Refused,
    Repeated,
    Run,
    Stop,
)
from ferrule.ray.router.rendezvous import load_bound, order_of
from router.memory_transport import MemoryTransport
from router.scenario import work
from router.virtual_time import run


@settings(deadline=None, derandomize=True, database=None)
@given(st.sets(st.text(min_size=1, max_size=4), min_size=1, max_size=8), st.binary(max_size=8), st.data())
def test_a_lost_node_moves_its_own_keys_alone(names: set[str], key: bytes, data: st.DataObject) -> None:
    order = order_of(key, sorted(names), str)
    lost = data.draw(st.sampled_from(order))
    assert order_of(key, names - {lost}, str) == [name for name in order if name != lost]


def test_the_bound_of_loads() -> None:
    assert load_bound([100, 100, 100], 40) == 126
    assert load_bound([0, 0, 0], 40) == 40


class Hand:
    """A clock that is put forward by hand."""

    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        return self.time


def test_a_fence() -> None:
    hand = Hand()
    fence = Fence(hand.now)
    assert fence.is_up()
    assert fence.begin(Join(1, hand.time))
    assert not fence.begin(Join(1, hand.time)), "an epoch begins once"
    assert not fence.is_up(1)
    assert fence.is_up(2), "work of another epoch"
    hand.time += FENCE_AFTER - 1
    fence.renew(Beat(2, hand.time))
    fence.renew(Beat(1, hand.time - 5))
    assert fence.until == hand.time - 5 + FENCE_AFTER
    fence.renew(Beat(1, hand.time - 7))
    assert fence.until == hand.time - 5 + FENCE_AFTER, "a late heartbeat takes nothing back"
    hand.time = fence.until
    assert fence.is_up(1)
    fence.renew(Beat(1, hand.time))
    assert fence.is_up(1), "only a new epoch begins anew"
    assert not fence.begin(Join(2, hand.time - FENCE_AFTER)), "a message that was under way for long begins nothing"
    assert fence.begin(Join(3, hand.time))


# An agent: what arrives twice, late, or never.


def admit(number: int, seconds: float = 1.0, epoch: int = 1) -> Admit:
    return Admit(epoch, number, b"key", "key", 30.0, 0, work, (number, seconds))


def test_what_an_agent_answers() -> None:
    async def main() -> None:
        transport = MemoryTransport(random.Random(1))
        node = transport.add("n1")
        agent = node.agent
        assert await agent.handle(admit(1)) == Refused("fenced")
        assert await agent.handle(Join(1, node.clock.now())) == Joined()
        assert await agent.handle(Go(1, 1)) == Refused("no longer admitted")
        assert {*await asyncio.gather(agent.handle(admit(2)), agent.handle(admit(2)))} == {Admitted()}
        assert {*await asyncio.gather(agent.handle(Go(1, 2)), agent.handle(Go(1, 2)))} == {Finished(2)}
        assert await agent.handle(Go(1, 2)) == Repeated()
        assert await agent.handle(admit(2)) == Repeated()
        again = Run(1, 2, b"key", "key", 30.0, 0, work, (2, 1.0))
        assert await agent.handle(again) == Repeated()
        assert len(transport.journal.doings) == 1
        await transport.close()

    run(main())


def test_an_agent_gives_a_lease_back_whose_go_does_not_come() -> None:
    async def main() -> None:
        transport = MemoryTransport(random.Random(1))
        node = transport.add("n1")
        await node.agent.handle(Join(1, node.clock.now()))
        assert await node.agent.handle(admit(1)) == Admitted()
        for _ in range(20):
            await asyncio.sleep(2.0)
            node.fence.renew(Beat(1, node.clock.now()))
        assert node.agent.figures() == {"admitted": 0, "running": 0}
        assert await node.agent.handle(Go(1, 1)) == Refused("no longer admitted")
        await transport.close()

    run(main())


def test_a_go_that_comes_when_the_time_is_over_begins_nothing() -> None:
    async def main() -> None:
        transport = MemoryTransport(random.Random(1))
        agent = transport.add("n1").agent
        await agent.handle(Join(1, agent._clock.now()))
        assert await agent.handle(admit(1)) == Admitted()
        agent._fence.end()
        # The end of all work comes before the function would have its turn.
        answer, _ = await asyncio.gather(agent.handle(Go(1, 1)), agent.obey_fence())
        assert answer == Refused("fenced")
        assert transport.journal.doings == []
        await transport.close()

    run(main())


def test_work_whose_lease_comes_when_the_time_is_over_begins_nothing() -> None:
    async def main() -> None:
        transport = MemoryTransport(random.Random(1))
        node = transport.add("n1")
        # Nobody ends the work: it has to look itself.
        node.watching.cancel()
        await node.agent.handle(Join(1, node.clock.now()))
        node.start_seconds = FENCE_AFTER + 1
        assert await node.agent.handle(Run(1, 1, b"key", "key", 30.0, 0, work, (1, 1.0))) == Refused("fenced")
        assert transport.journal.doings == []
        await transport.close()

    run(main())


def test_what_is_ended_right_after_its_go_counts_as_begun() -> None:
    async def main() -> None:
        transport = MemoryTransport(random.Random(1))
        node = transport.add("n1")
        await node.agent.handle(Join(1, node.clock.now()))
        assert await node.agent.handle(admit(1)) == Admitted()
        answer, _ = await asyncio.gather(node.agent.handle(Go(1, 1)), node.agent.handle(Stop(1, force=True)))
        assert isinstance(answer, Failed)
        assert isinstance(answer.error, LeaseRevoked)
        assert await node.agent.handle(Go(1, 1)) == Repeated()
        await transport.close()

    run(main())


def test_an_agent_with_a_new_epoch_ends_the_work_of_the_old_one_first() -> None:
    async def main() -> None:
        transport = MemoryTransport(random.Random(1))
        node = transport.add("n1")
        await node.agent.handle(Join(1, node.clock.now()))
        await node.agent.handle(admit(1, 600.0))
        running = asyncio.ensure_future(node.agent.handle(Go(1, 1)))
        await asyncio.sleep(1.0)
        assert await node.agent.handle(Join(2, node.clock.now())) == Joined()
        assert transport.journal.doings[0].stopped is not None
        assert not isinstance(await running, Refused)
        assert await node.agent.handle(admit(2)) == Refused("fenced"), "of the old epoch"
        assert await node.agent.handle(Go(1, 1)) == Repeated(), "what has begun is never told that it has not"
        assert await node.agent.handle(admit(3, epoch=2)) == Admitted()
        assert await node.agent.handle(Cancel(2, 3)) == Refused("cancelled")
        await transport.close()

    run(main())


# Many at once.


async def double(number: int) -> int:
    await asyncio.sleep(1.0 if number % 3 else 5.0)
    return 2 * number


@pytest.mark.parametrize("ordered", [True, False])
def test_results_of_many(ordered: bool) -> None:
    async def main() -> None:
        taken = []

        def numbers() -> Iterator[int]:
            for number in range(50):
                taken.append(number)
                yield number

        results = []
        async for result in in_flight(numbers(), double, 10, ordered=ordered):
            results.append(result)
            # Running, or done and not taken, or given a moment ago.
            assert len(taken) - len(results) <= 10
        assert sorted(results) == [2 * number for number in range(50)]
        assert (results == sorted(results)) == ordered

    run(main())


def test_many_from_an_async_source_that_takes_its_time() -> None:
    async def main() -> None:
        async def numbers() -> AsyncIterator[int]:
            for number in range(3):
                await asyncio.sleep(60.0)
                yield number

        seen = []
        async for result in in_flight(numbers(), double, 10, ordered=False):
            seen.append((result, asyncio.get_running_loop().time()))
        assert [result for result, _ in seen] == [0, 2, 4]
        assert seen[0][1] < seen[1][1] < seen[2][1]

    run(main())


def test_leaving_many_early_cancels_what_runs() -> None:
    async def main() -> None:
        ended = []

        async def slow(number: int) -> int:
            try:
                await asyncio.sleep(number)
            finally:
                ended.append(number)
            return number

        results = in_flight(range(1, 100), slow, 10, ordered=False)
        assert await anext(results) == 1
        await results.aclose()  # type: ignore[attr-defined]
        assert sorted(ended) == list(range(1, 11))

    run(main())


def test_a_source_that_fails_fails_the_iteration_after_what_runs() -> None:
    async def main() -> None:
        def numbers() -> Iterator[int]:
            yield 1
            raise ValueError("a source")

        results = in_flight(numbers(), double, 10, ordered=False)
        assert await anext(results) == 2
        with pytest.raises(ValueError, match="a source"):
            await anext(results)

    run(main())
