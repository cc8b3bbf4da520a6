"""The router, over nodes in memory and in virtual time."""

from __future__ import annotations

import asyncio
import pickle
from collections import Counter

import pytest

from ferrule.errors import RPCPluginError
from ferrule.pool import LeaseRevoked, LeaseTimeout, OutcomeUnknown, PoolError, PoolFull
from ferrule.ray import NodeLost, NoNodes
from ferrule.ray.router.messages import Admit, Go, Run
from router.scenario import Scenario, scenario
from router.virtual_time import run

NODES = ("n1", "n2", "n3")


def nodes_by_key(one: Scenario) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for doing in one.transport.journal.doings:
        found.setdefault(doing.key, set()).add(doing.node)
    return found


def now() -> float:
    return asyncio.get_running_loop().time()


def test_a_key_stays_with_its_node_and_keys_are_spread() -> None:
    async def main() -> None:
        async with scenario(*NODES) as one:
            for _ in range(3):
                for number in range(60):
                    await one.ask(f"key-{number}")
            where = nodes_by_key(one)
            assert all(len(nodes) == 1 for nodes in where.values())
            spread = Counter(next(iter(nodes)) for nodes in where.values())
            assert min(spread.values()) >= 10

    run(main())


def test_a_hot_key_uses_three_nodes_and_an_exclusive_one_uses_one() -> None:
    async def main() -> None:
        async with scenario("n1", "n2", "n3", "n4", "n5") as one:
            await asyncio.gather(*(one.ask("hot", seconds=1.0) for _ in range(60)))
            await asyncio.gather(*(one.ask("exclusive", seconds=1.0, exclusive=True) for _ in range(20)))
            where = nodes_by_key(one)
            assert len(where["hot"]) == 3
            assert len(where["exclusive"]) == 1

    run(main())


def test_a_node_has_no_more_tasks_than_it_may() -> None:
    async def main() -> None:
        async with scenario("n1", in_flight=4) as one:
            began = now()
            await asyncio.gather(*(one.ask("key", seconds=1.0) for _ in range(12)))
            assert 3.0 <= now() - began < 3.5
            # Nothing of a task leaves the router before it has a slot.
            begun = sorted(doing.began for doing in one.transport.journal.doings)
            assert begun[4] - begun[0] >= 1.0

    run(main())


def test_writes_have_two_steps_and_reads_have_one() -> None:
    async def main() -> None:
        async with scenario("n1") as one:
            await one.ask("key", write=True)
            await one.ask("key", write=False)
            kinds = [type(message) for _, message in one.transport.messages]
            assert [kind for kind in kinds if kind in {Admit, Go, Run}] == [Admit, Go, Run]

    run(main())


def test_a_killed_node_has_its_reads_repeated_and_its_writes_told() -> None:
    async def main() -> None:
        async with scenario(*NODES, in_flight=4) as one:
            asking = [asyncio.ensure_future(one.ask(f"key-{n}", write=n % 2 == 0, seconds=1.0)) for n in range(60)]
            await asyncio.sleep(0.5)
            running = [doing.number for doing in one.transport.journal.doings if doing.node == "n2"]
            assert len(running) == 4
            one.transport.kill("n2")
            told = await asyncio.gather(*asking)
            unknown = {number for number, each in one.told.items() if isinstance(each.error, NodeLost)}
            assert unknown == {number for number in running if one.told[number].write}
            assert all(each.error is None for each in told if not each.write)
            assert one.router.stats()["unknown"] == len(unknown)
            assert one.router.stats()["repeated"] == 4 - len(unknown)
            one.check_fences()

    run(main())


def test_a_lost_node_is_told_with_its_name() -> None:
    async def main() -> None:
        async with scenario("n1") as one:
            asking = asyncio.ensure_future(one.ask("key", seconds=60.0))
            await asyncio.sleep(1.0)
            one.transport.kill("n1")
            error = (await asking).error
            assert isinstance(error, NodeLost)
            assert error.node == "n1"
            assert error.begun
            copy = pickle.loads(pickle.dumps(error))
            assert (type(copy), str(copy), copy.node) == (NodeLost, str(error), "n1")

    run(main())


def test_a_write_for_a_key_that_may_go_on_elsewhere_waits_for_the_fence() -> None:
    async def main() -> None:
        async with scenario("n1", "n2") as one:
            first = asyncio.ensure_future(one.ask("key", seconds=600.0))
            await asyncio.sleep(3.0)
            home = one.transport.journal.doings[0].node
            cut_off = one.transport.by_name[home]
            cut_off.reachable.clear()
            began = now()
            assert isinstance((await first).error, NodeLost)
            assert now() - began <= 8.0
            read = await one.ask("key", write=False)
            other = await one.ask("other-key")
            assert read.at - began <= 9.0
            assert other.at - began <= 9.0
            write = await one.ask("key")
            assert write.error is None
            assert 10.0 <= write.at - began <= 15.0
            assert one.transport.journal.doings[0].stopped is not None
            one.check_fences()
            assert cut_off.agent.is_idle
            assert all(pool.is_closed for pool in cut_off.pools)
            cut_off.reachable.set()
            await asyncio.sleep(10.0)
            assert set(one.router.stats()["nodes"]) == {"n1", "n2"}

    run(main())


def test_a_node_that_is_heard_of_again_lifts_the_fence() -> None:
    async def main() -> None:
        async with scenario("n1", "n2") as one:
            first = asyncio.ensure_future(one.ask("key", seconds=600.0))
            await asyncio.sleep(3.0)
            cut_off = one.transport.by_name[one.transport.journal.doings[0].node]
            cut_off.reachable.clear()
            assert isinstance((await first).error, NodeLost)
            began = now()
            cut_off.reachable.set()
            write = await one.ask("key")
            assert write.error is None
            assert write.at - began <= 4.0
            one.check_fences()

    run(main())


def test_a_frozen_node_that_thaws_does_nothing_twice() -> None:
    async def main() -> None:
        async with scenario("n1", "n2") as one:
            asking = [asyncio.ensure_future(one.ask(f"key-{n}", seconds=1.0)) for n in range(40)]
            await asyncio.sleep(0.5)
            frozen = one.transport.by_name["n1"]
            frozen.clock.thawed.clear()
            await asyncio.gather(*asking)
            frozen.clock.thaw()
            await asyncio.sleep(30.0)
            assert sum(isinstance(told.error, NodeLost) for told in one.told.values()) == 4
            assert set(one.router.stats()["nodes"]) == {"n1", "n2"}
            assert (await one.ask("another")).error is None

    run(main())


def test_a_heartbeat_that_was_under_way_for_long_renews_nothing() -> None:
    async def main() -> None:
        async with scenario("n1") as one:
            asking = asyncio.ensure_future(one.ask("key", seconds=600.0))
            await asyncio.sleep(5.0)
            node = one.transport.by_name["n1"]
            until = node.fence.until
            # The beats of the next seconds reach the node all at once, when its time is over.
            node.reachable.clear()
            await asyncio.sleep(until - now() - 0.001)
            node.reachable.set()
            await asyncio.sleep(0.01)
            assert node.fence.is_up() or node.fence.epoch > 1
            assert isinstance((await asking).error, OutcomeUnknown)

    run(main())


def test_without_nodes() -> None:
    async def main() -> None:
        async with scenario() as one:
            began = now()
            error = (await one.ask("key", wait=7.0)).error
            assert isinstance(error, NoNodes)
            assert now() - began == pytest.approx(7.0)
            assert str(pickle.loads(pickle.dumps(error))) == str(error)
            waiting = asyncio.ensure_future(one.ask("key"))
            await asyncio.sleep(5.0)
            one.transport.add("n1")
            assert (await waiting).error is None

    run(main())


def test_a_node_that_joins_takes_its_keys_and_work_that_waits() -> None:
    async def main() -> None:
        async with scenario("n1", in_flight=2) as one:
            asking = [asyncio.ensure_future(one.ask(f"key-{n}", seconds=1.0)) for n in range(40)]
            await asyncio.sleep(1.5)
            one.transport.add("n2")
            began = now()
            await asyncio.gather(*asking)
            assert now() - began < 14.0
            assert {doing.node for doing in one.transport.journal.doings} == {"n1", "n2"}

    run(main())


def test_a_task_that_waits_too_long_says_for_what() -> None:
    async def main() -> None:
        async with scenario("n1", in_flight=1) as one:
            holding = asyncio.ensure_future(one.ask("key", seconds=60.0))
            await asyncio.sleep(1.0)
            error = (await one.ask("key", wait=5.0)).error
            assert isinstance(error, LeaseTimeout)
            assert isinstance(error, TimeoutError)
            assert error.held_by == "a slot of node n1"
            assert error.waited == pytest.approx(5.0)
            assert (await holding).error is None

    run(main())


@pytest.mark.parametrize("write", [True, False])
def test_a_deadline_ends_the_work_on_the_node(write: bool) -> None:
    async def main() -> None:
        async with scenario("n1") as one:
            told = await one.ask("key", write=write, seconds=600.0, deadline=5.0)
            assert isinstance(told.error, OutcomeUnknown if write else LeaseTimeout)
            assert isinstance(told.error, PoolError)
            assert str(told.error.code) == "ray.deadline"
            await asyncio.sleep(1.0)
            assert one.transport.journal.doings[0].stopped is not None
            assert one.router.stats()["nodes"]["n1"]["in_flight"] == 0

    run(main())


def test_a_deadline_in_the_queue() -> None:
    async def main() -> None:
        async with scenario("n1", in_flight=1) as one:
            holding = asyncio.ensure_future(one.ask("key", seconds=60.0))
            await asyncio.sleep(1.0)
            assert isinstance((await one.ask("key", deadline=5.0)).error, LeaseTimeout)
            await holding

    run(main())


@pytest.mark.parametrize("after", [0.0, 0.001, 0.04, 0.06, 0.5, 1.5])
def test_a_caller_that_is_cancelled_leaves_nothing(after: float) -> None:
    async def main() -> None:
        async with scenario("n1", in_flight=1) as one:
            asking = [asyncio.ensure_future(one.ask("key", seconds=1.0)) for _ in range(2)]
            await asyncio.sleep(after)
            for each in asking:
                each.cancel()
            await asyncio.wait(asking)
            assert all(each.cancelled() for each in asking[1:])
            await asyncio.sleep(2.0)
            row = one.router.stats()["nodes"]["n1"]
            assert (row["in_flight"], row["waiting"], row["running"], row["admitted"]) == (0, 0, 0, 0)
            assert (await one.ask("key")).error is None

    run(main())


def test_a_node_that_drains() -> None:
    async def main() -> None:
        async with scenario("n1", "n2", in_flight=2) as one:
            asking = [asyncio.ensure_future(one.ask(f"key-{n}", seconds=1.0)) for n in range(20)]
            await asyncio.sleep(0.5)
            assert await one.router.drain("n1", 60.0)
            gone = now()
            await asyncio.gather(*asking)
            assert all(each.error is None for each in one.told.values())
            assert all(doing.began < gone for doing in one.transport.journal.doings if doing.node == "n1")
            assert set(one.router.stats()["nodes"]) == {"n2"}
            assert one.router.stats()["nodes_lost"] == 0
            assert all(pool.is_closed for pool in one.transport.by_name["n1"].pools)
            await asyncio.sleep(60.0)
            assert set(one.router.stats()["nodes"]) == {"n2"}
            with pytest.raises(PoolError, match="no node 'n1'"):
                await one.router.drain("n1", 1.0)

    run(main())


def test_a_node_that_drains_too_slowly_has_its_work_ended() -> None:
    async def main() -> None:
        async with scenario("n1", "n2") as one:
            asking = asyncio.ensure_future(one.ask("key", seconds=600.0))
            await asyncio.sleep(1.0)
            home = one.transport.journal.doings[0].node
            assert not await one.router.drain(home, 5.0)
            error = (await asking).error
            assert isinstance(error, LeaseRevoked)
            assert asking.cancelling() == 0

    run(main())


def test_an_exclusive_key_moves_only_when_its_node_is_done() -> None:
    async def main() -> None:
        async with scenario("n1", "n2") as one:
            first = asyncio.ensure_future(one.ask("key", seconds=5.0, exclusive=True))
            await asyncio.sleep(1.0)
            home = one.transport.journal.doings[0].node
            draining = asyncio.ensure_future(one.router.drain(home, 60.0))
            await asyncio.sleep(0.1)
            second = await one.ask("key", write=False, exclusive=True)
            assert (await first).error is None
            assert await draining
            assert second.error is None
            earlier, later = one.transport.journal.doings
            assert earlier.stopped is not None
            assert later.began > earlier.stopped
            assert later.node != home

    run(main())


def test_one_task_too_many() -> None:
    async def main() -> None:
        async with scenario("n1", in_flight=1, max_waiting=3) as one:
            asking = [asyncio.ensure_future(one.ask("key", seconds=1.0)) for _ in range(4)]
            await asyncio.sleep(0.5)
            assert isinstance((await one.ask("key")).error, PoolFull)
            await asyncio.gather(*asking)
            assert all(each.error is None for each in one.told.values() if not isinstance(each.error, PoolFull))

    run(main())


def test_an_end_with_work_in_flight() -> None:
    async def main() -> None:
        async with scenario("n1", in_flight=1) as one:
            asking = [asyncio.ensure_future(one.ask("key", seconds=600.0)) for _ in range(2)]
            await asyncio.sleep(1.0)
            await one.router.close(timeout=5.0)
            running, waiting = [(await each).error for each in asking]
            assert isinstance(running, LeaseRevoked)
            assert isinstance(waiting, RPCPluginError)
            assert waiting.code == "pool.closed"
            error = (await one.ask("key")).error
            assert isinstance(error, RPCPluginError)
            assert error.code == "pool.closed"

    run(main())
