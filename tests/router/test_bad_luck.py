"""Functions that end more than themselves, nodes and drivers that hang, and calls of a router that are cancelled."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from ferrule.pool import LeaseTimeout, OutcomeUnknown, PluginUnavailable, PoolError
from ferrule.ray import NodeLost, NoNodes
from ferrule.ray.router import Answer, Listener, Message, Node, Router, Task
from ferrule.ray.router.messages import Admit, Go, Stop
from router.memory_transport import MemoryLease, MemoryTransport
from router.scenario import scenario
from router.virtual_time import VirtualClock, run

Function = Callable[[MemoryLease], Awaitable[Any]]


def task(function: Function, *, write: bool = True, **more: Any) -> Task:
    return Task(key=b"key", spec="key", function=function, idempotent=not write, **more)


def now() -> float:
    return asyncio.get_running_loop().time()


# Functions.


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()], ids=repr)
@pytest.mark.parametrize("write", [True, False])
def test_a_function_cannot_end_its_node(error: BaseException, write: bool) -> None:
    async def leave(lease: MemoryLease) -> None:
        raise error

    async def main() -> None:
        async with scenario("n1") as one:
            with pytest.raises(PoolError, match=type(error).__name__):
                await one.router.run(task(leave, write=write))
            assert (await one.ask("key")).error is None
            assert one.router.stats()["nodes_lost"] == 0

    run(main())


def test_a_task_that_kills_its_nodes_is_told_and_not_repeated_for_ever() -> None:
    killed: list[str] = []

    async def main() -> None:
        async with scenario("n1", "n2", "n3") as one:

            async def kill(lease: MemoryLease) -> None:
                name = lease.node.node.name
                killed.append(name)
                one.transport.kill(name)
                one.transport.add(name)
                await asyncio.sleep(100.0)

            with pytest.raises(NodeLost, match="5 nodes were lost under the task"):
                await one.router.run(task(kill, write=False))
            assert len(killed) == 5

    run(main())


def test_an_unknown_outcome_of_a_plugin_is_counted_and_keeps_its_fields() -> None:
    async def call(lease: MemoryLease) -> None:
        raise OutcomeUnknown("it died", None, "pool.x", method="/s/m", pid=5, exit_status=-9, stderr_tail=["out"])

    async def main() -> None:
        async with scenario("n1") as one:
            with pytest.raises(OutcomeUnknown) as raised:
                await one.router.run(task(call))
            error = raised.value
            assert (error.method, error.pid, error.exit_status, error.stderr_tail) == ("/s/m", 5, -9, ("out",))
            assert (one.router.stats()["unknown"], one.router.stats()["failed"]) == (1, 0)

    run(main())


# Nodes.


def test_a_node_that_cannot_open_its_pool_is_named() -> None:
    async def refuse() -> Any:
        raise ValueError("max_plugins=100000 needs 400064 descriptors")

    async def main() -> None:
        async with scenario() as one:
            waiting = asyncio.ensure_future(one.ask("key", wait=30.0))
            await asyncio.sleep(1.0)
            one.transport.add("n1").agent._open_pool = refuse
            error = (await waiting).error
            assert isinstance(error, NoNodes)
            assert "node n1 takes no work: max_plugins=100000 needs 400064 descriptors" in str(error)

    run(main())


def test_a_node_that_does_not_get_ready_is_not_waited_for() -> None:
    async def main() -> None:
        async with scenario("n1") as one:
            ready = asyncio.Event()

            async def prepare(spec: str) -> str:
                await ready.wait()
                return spec

            one.transport.by_name["n1"].agent._prepare = prepare
            began = now()
            error = (await one.ask("key", wait=5.0)).error
            assert isinstance(error, LeaseTimeout)
            assert error.held_by == "the answer of node n1"
            assert now() - began == pytest.approx(10.0)
            ready.set()
            assert (await one.ask("key")).error is None
            assert len(one.transport.journal.doings) == 1

    run(main())


def test_a_program_that_is_gone_is_asked_for_again() -> None:
    async def main() -> None:
        async with scenario("n1") as one:
            assert (await one.ask("key")).error is None
            node = one.transport.by_name["n1"]
            node.pools[-1].plugins.clear()

            async def prepare(spec: str) -> str:
                raise FileNotFoundError(f"no program of {spec}")

            def lease(*args: Any, **settings: Any) -> Any:
                raise PluginUnavailable("it does not start")

            node.agent._prepare, node.pools[-1].lease = prepare, lease  # type: ignore[method-assign]
            for write in (True, False):
                error = (await one.ask("key", write=write)).error
                assert isinstance(error, FileNotFoundError)

    run(main())


def test_a_transport_with_an_error_of_its_own_is_a_lost_answer() -> None:
    async def main() -> None:
        async with scenario("n1", "n2") as one:
            submit = one.transport.submit

            async def submit_badly(node: Node, message: Message) -> Answer:
                answer = await submit(node, message)
                if isinstance(message, Go):
                    raise RuntimeError("a fault of the transport")
                return answer

            one.transport.submit = submit_badly  # type: ignore[method-assign]
            assert isinstance((await one.ask("key")).error, NodeLost)
            one.transport.submit = submit  # type: ignore[method-assign]

    run(main())


def test_a_node_that_is_lost_while_it_drains_has_not_ended_by_itself() -> None:
    async def main() -> None:
        async with scenario("n1", "n2") as one:
            asking = asyncio.ensure_future(one.ask("key", seconds=100.0))
            await asyncio.sleep(1.0)
            home = one.transport.journal.doings[0].node
            draining = asyncio.ensure_future(one.router.drain(home, 60.0))
            await asyncio.sleep(1.0)
            one.transport.kill(home)
            assert not await draining
            assert isinstance((await asking).error, NodeLost)

    run(main())


# The driver.


@pytest.mark.parametrize("seconds", [5.0, 7.0])
def test_a_driver_that_blocks_its_loop_loses_no_node(seconds: float) -> None:
    async def main() -> None:
        async with scenario("n1", "n2") as one:
            asking = [asyncio.ensure_future(one.ask(f"key-{n}", seconds=30.0)) for n in range(8)]
            await asyncio.sleep(1.5)
            asyncio.get_running_loop().virtual_now += seconds  # type: ignore[attr-defined]
            assert [each.error for each in await asyncio.gather(*asking)] == [None] * 8
            assert one.router.stats()["nodes_lost"] == 0

    run(main())


def test_a_driver_that_blocks_its_loop_for_too_long_has_its_reads_repeated() -> None:
    async def main() -> None:
        async with scenario("n1", "n2") as one:
            asking = [asyncio.ensure_future(one.ask(f"key-{n}", write=n < 4, seconds=30.0)) for n in range(8)]
            await asyncio.sleep(1.5)
            asyncio.get_running_loop().virtual_now += 9.0  # type: ignore[attr-defined]
            told = await asyncio.gather(*asking)
            assert all(isinstance(each.error, OutcomeUnknown) for each in told[:4])
            assert [each.error for each in told[4:]] == [None] * 4

    run(main())


def test_callers_that_gave_up_leave_no_load() -> None:
    async def main() -> None:
        async with scenario("n1", "n2", in_flight=1) as one:
            holding = asyncio.ensure_future(one.ask("key", seconds=100.0, exclusive=True))
            await asyncio.sleep(1.0)
            await asyncio.gather(*(one.ask("key", wait=1.0, exclusive=True) for _ in range(20)))
            assert sum(member.load for member in one.router._membership.members.values()) == 1
            await holding
        async with scenario() as one:
            await asyncio.gather(*(one.ask("key", wait=1.0) for _ in range(20)))
            assert len(one.router._placement._aside) == 0

    run(main())


# Openings and ends that are cancelled, or fail.


class Opened:
    """A router that was opened over two nodes, and what must be gone after its end."""

    def __init__(self) -> None:
        self.before = asyncio.all_tasks()
        self.transport = MemoryTransport(random.Random(1))
        self.router = Router(self.transport, _clock=VirtualClock())
        self.transport.add("n1")
        self.transport.add("n2")

    @property
    def left(self) -> list[asyncio.Task[Any]]:
        """Tasks that are still there."""
        return [each for each in asyncio.all_tasks() - self.before if not each.done()]


async def turns(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


def test_an_opening_that_is_cancelled_leaves_nothing() -> None:
    async def main() -> None:
        for after in range(1, 10):
            one = Opened()
            opened = one.transport.open

            async def open_slowly(listener: Listener, opened: Any = opened) -> None:
                await opened(listener)
                await turns(5)

            one.transport.open = open_slowly  # type: ignore[method-assign]
            opening = asyncio.ensure_future(one.router.open())
            await turns(after)
            if not opening.cancel():
                await one.router.close()
            await asyncio.wait([opening])
            assert one.left == []

    run(main())


@pytest.mark.parametrize("seconds", [0.01, 600.0])
def test_an_end_that_is_cancelled_leaves_nothing(seconds: float) -> None:
    async def work(lease: MemoryLease) -> None:
        await lease.work(1, seconds)

    async def main() -> None:
        for moment in (0.0, 0.1, 0.19, 1.0, 4.99, 5.1, 5.25):
            for after in range(1, 6):
                one = Opened()
                await one.router.open()
                await asyncio.sleep(1.0)
                asking = [asyncio.ensure_future(one.router.run(task(work))) for _ in range(2)]
                await asyncio.sleep(0.5)
                closing = asyncio.ensure_future(one.router.close(timeout=5.0))
                await asyncio.sleep(moment)
                await turns(after)
                closing.cancel()
                await asyncio.wait([closing, *asking])
                assert one.left == []
                for each in asking:
                    assert each.exception() is None or isinstance(each.exception(), OutcomeUnknown)

    run(main())


def test_an_end_with_a_node_that_cannot_be_stopped() -> None:
    async def main() -> None:
        one = Opened()
        await one.router.open()
        await asyncio.sleep(1.0)
        submit = one.transport.submit

        async def submit_badly(node: Node, message: Message) -> Answer:
            if isinstance(message, Stop) and node.name == "n1":
                raise RuntimeError("a fault of the transport")
            return await submit(node, message)

        one.transport.submit = submit_badly  # type: ignore[method-assign]
        await one.router.close()
        assert one.left == []

    run(main())


def test_a_write_whose_plugin_is_starting_when_its_node_is_killed_begins_on_another() -> None:
    async def main() -> None:
        async with scenario("n1", "n2") as one:
            for node in one.transport.by_name.values():
                node.start_seconds = 3.0
            began = now()
            asking = asyncio.ensure_future(one.ask("key"))
            await asyncio.sleep(1.0)
            (home,) = [node for node, message in one.transport.messages if isinstance(message, Admit)]
            one.transport.kill(home)
            assert (await asking).error is None
            # Nothing can go on at the lost node, so there is no fence to wait for.
            assert now() - began < 6.0
            assert [doing.node for doing in one.transport.journal.doings] == [*{"n1", "n2"} - {home}]
            assert one.router.stats()["moved"] == 1

    run(main())
