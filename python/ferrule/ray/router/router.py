"""Router: takes tasks, brings each to a node, and tells its caller what became of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from itertools import count
from typing import Any

from ferrule.pool.clock import Clock, LoopClock
from ferrule.pool.errors import OutcomeUnknown, PoolError
from ferrule.ray.router import outcomes
from ferrule.ray.router.member import Attempt, Job, Lost, Member
from ferrule.ray.router.membership import Membership
from ferrule.ray.router.messages import (
    Admit,
    Admitted,
    Answer,
    Cancel,
    Failed,
    Finished,
    Go,
    Message,
    Refused,
    Run,
    Stop,
    Stopped,
)
from ferrule.ray.router.placement import Placement
from ferrule.ray.router.task import Task
from ferrule.ray.router.timing import wait_until, within
from ferrule.ray.router.transport import Transport

__all__ = ["Router"]

IN_FLIGHT_PER_NODE = 40
"""Tasks at once per node. All others wait in the router, where the loss of a node does not touch them."""

MAX_WAITING = 10_000
"""Tasks that may wait at once."""

PRIORITY_OF_LOST = 10
"""Of the leases of tasks that a lost node had: their callers have waited longer than those whose plugins start too."""

LOSSES_PER_TASK = 5
"""Nodes that may be lost while they run one idempotent task: more of them, and it may be the task that ends them."""

ADMISSION_GRACE = 5.0
"""Seconds after a task's own wait in which a node may still say that there was no lease."""

STOP_LIMIT = 30.0
"""Seconds that a node has for the orderly end of its plugins."""


class _DeadlinePassed(Exception):  # noqa: N818 - an event of the router's own.
    """The caller's deadline has passed during an attempt."""


class _NotAdmitted(Exception):  # noqa: N818 - an event of the router's own.
    """The node has not answered in the time that the task may wait."""


class Router:
    """Brings tasks to nodes, each key to the same ones, and repeats what had not begun when a node is lost.

    Args:
        transport: How nodes are reached; the router opens and closes it.
        in_flight_per_node: Tasks at once per node.
        max_waiting: Tasks that may wait at once; one more fails with `PoolFull`.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        in_flight_per_node: int = IN_FLIGHT_PER_NODE,
        max_waiting: int = MAX_WAITING,
        _clock: Clock | None = None,
    ) -> None:
        self._transport = transport
        self._max_waiting = max_waiting
        self._clock = _clock or LoopClock()
        self._membership = Membership(transport, self._clock, in_flight_per_node, self._joined, self._lost)
        self._placement = Placement(self._clock, self._membership.members.values)
        self._numbers = count(1)
        self._jobs: set[Job] = set()
        self._waiting = 0
        self._sends: set[asyncio.Task[Answer]] = set()
        self._is_open = False
        self.counts = Counter(dict.fromkeys(("done", "failed", "unknown", "moved", "repeated", "nodes_lost"), 0))

    async def open(self) -> None:
        """Begins to look for nodes; tasks wait for the first one."""
        try:
            await self._transport.open(self._membership)
        except BaseException:
            await self._end([])
            raise
        self._is_open = True

    async def run(self, task: Task) -> Any:
        """The result of a task's function.

        Raises:
            NodeLost: The task had begun on a node that was lost, and may not be repeated.
            NoNodes: There was no node for the task in time.
            LeaseTimeout: The task had not begun within its time.
            OutcomeUnknown: The task had begun, and was cancelled at its deadline.
            PoolFull: Too many tasks wait already.
            Exception: What the function raised.
        """
        if self._waiting >= self._max_waiting:
            raise outcomes.pool_full(self._waiting)
        job = Job(task, self._clock.now())
        self._jobs.add(job)
        timer = None
        if task.deadline is not None:
            timer = self._clock.call_at(job.began + task.deadline, partial(self._deadline_passed, job))
        try:
            return await self._until_done(job)
        finally:
            self._jobs.discard(job)
            if timer is not None:
                timer.cancel()

    async def drain(self, name: str, timeout: float) -> bool:
        """Gives a node no more work, waits for what it has, ends its plugins, and leaves it alone for good.

        Args:
            name: The node.
            timeout: Seconds after which what still runs there is ended: its callers get `LeaseRevoked`.

        Returns:
            Whether all that ran there ended by itself.

        Raises:
            PoolError: There is no such node.
        """
        member = next((member for member in self._membership.members.values() if member.name == name), None)
        if member is None:
            raise PoolError(f"the pool has no node {name!r}", "See stats() for the nodes.", "ray.no-such-node")
        member.is_draining = True
        self._placement.drains(member)
        in_time = await self._wait_for_end_of_attempts([member], timeout) and member.lost_because is None
        await self._stop(member, force=not in_time)
        self._membership.retire(member)
        return in_time

    def stats(self) -> dict[str, Any]:
        """Counts since the beginning, and a row for each node."""
        members = {member.name: member.row() for member in self._membership.members.values()}
        return {"waiting": self._waiting, "in_flight": len(self._jobs) - self._waiting, **self.counts, "nodes": members}

    async def close(self, timeout: float = 30.0) -> None:
        """Refuses new tasks and those that wait, gives those that run `timeout` seconds, and ends all plugins."""
        self._is_open = False
        for job in self._jobs:
            job.refuse(outcomes.closed())
        members = list(self._membership.members.values())
        try:
            in_time = await self._wait_for_end_of_attempts(members, timeout)
            self._membership.close()
            await asyncio.gather(*(self._stop(member, force=not in_time) for member in members))
        finally:
            await self._end(members)

    async def _end(self, members: list[Member]) -> None:
        # All that ends at once comes first: this may be cancelled, too.
        self._membership.close()
        for member in members:
            member.lose("the pool was closed")
        self._placement.close()
        for send in self._sends:
            send.cancel()
        await self._transport.close()
        await self._membership.wait_closed()
        if self._sends:
            await asyncio.wait(self._sends)

    # One task.

    async def _until_done(self, job: Job) -> Any:
        task = job.task
        while True:
            attempt = await self._slot(job)
            member = attempt.member
            try:
                answer = await self._try(attempt)
            except Lost as lost:
                job.losses += attempt.may_have_begun
                if attempt.may_have_begun and (not task.idempotent or job.losses >= LOSSES_PER_TASK):
                    self.counts["unknown"] += 1
                    raise outcomes.node_lost(member.name, str(lost), job.losses) from None
                self.counts["repeated" if attempt.may_have_begun else "moved"] += 1
                continue
            except _DeadlinePassed:
                begun = attempt.may_have_begun and not task.idempotent
                self.counts["unknown"] += begun
                raise outcomes.deadline_passed(job, begun=begun) from None
            except _NotAdmitted:
                self.counts["failed"] += 1
                job.held_by = f"the answer of node {member.name}"
                raise self._not_in_time(job) from None
            match answer:
                case Finished(value):
                    self.counts["done"] += 1
                    return value
                case Failed(error):
                    self.counts["unknown" if isinstance(error, OutcomeUnknown) else "failed"] += 1
                    raise error
                case Refused(reason):
                    self.counts["moved"] += 1
                    self._refused(member, reason)
                case _:
                    if not task.idempotent:
                        self.counts["unknown"] += 1
                        raise outcomes.repeated(member.name)
                    self.counts["repeated"] += 1

    async def _slot(self, job: Job) -> Attempt:
        """A slot of a member; nothing of the task leaves the router before."""
        if not self._is_open:
            raise outcomes.closed()
        granted = job.wait(self._clock.now())
        too_late = self._clock.call_at(job.waits_since + job.task.wait, partial(self._too_late, job))
        self._waiting += 1
        self._placement.place(job)
        try:
            return await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled() and granted.exception() is None:
                granted.result().member.finish(granted.result())
            raise
        finally:
            self._waiting -= 1
            job.leave_queue()
            too_late.cancel()

    async def _try(self, attempt: Attempt) -> Answer:
        # Of the attempt: a node answers a message of a number that it knows as a repetition.
        number = attempt.number = next(self._numbers)
        task, epoch = attempt.job.task, attempt.member.epoch
        wait = max(0.001, attempt.job.waits_since + task.wait - self._clock.now())
        kind = Run if task.idempotent else Admit
        priority = PRIORITY_OF_LOST if attempt.job.attempt_was_lost else 0
        first = kind(epoch, number, task.key, task.spec, wait, priority, task.function, task.args)
        try:
            if task.idempotent:
                return await self._send(attempt, first, may_begin=True)
            late = self._clock.call_at(self._clock.now() + wait + ADMISSION_GRACE, partial(self._not_admitted, attempt))
            try:
                answer = await self._send(attempt, first, may_begin=False)
            finally:
                # What has begun may take its time.
                late.cancel()
            if isinstance(answer, Admitted):
                answer = await self._send(attempt, Go(epoch, number), may_begin=True)
            return answer
        finally:
            if not attempt.is_abandoned:
                attempt.member.finish(attempt)

    async def _send(self, attempt: Attempt, message: Message, *, may_begin: bool) -> Answer:
        member = attempt.member
        if member.lost_because is not None:
            raise Lost(member.lost_because)
        if attempt.job.deadline_passed:
            self._cancel(attempt)
            raise _DeadlinePassed
        attempt.may_have_begun = attempt.may_have_begun or may_begin
        attempt.answer = asyncio.get_running_loop().create_future()
        send = self._submit(member, message)
        send.add_done_callback(partial(self._answered, attempt))
        try:
            return await attempt.answer
        except (asyncio.CancelledError, _DeadlinePassed, _NotAdmitted):
            # The slot stays taken until the node has answered.
            attempt.is_abandoned = not send.done()
            self._cancel(attempt)
            raise

    def _submit(self, member: Member, message: Message) -> asyncio.Task[Answer]:
        send = asyncio.get_running_loop().create_task(self._transport.submit(member.node, message))
        self._sends.add(send)
        send.add_done_callback(self._sends.discard)
        return send

    def _answered(self, attempt: Attempt, send: asyncio.Task[Answer]) -> None:
        if send.cancelled():
            return
        if error := send.exception():
            # Whatever the exception: there is no answer.
            self._membership.lose(attempt.member, str(error))
        elif attempt.answer is not None and not attempt.answer.done():
            attempt.answer.set_result(send.result())
        if attempt.is_abandoned:
            attempt.member.finish(attempt)

    def _cancel(self, attempt: Attempt) -> None:
        """Asks the node to end a task for which nobody waits."""
        cancel = self._submit(attempt.member, Cancel(attempt.member.epoch, attempt.number))
        cancel.add_done_callback(lambda sent: sent.cancelled() or sent.exception())

    def _refused(self, member: Member, reason: str) -> None:
        """A node that takes no work is not asked again before it has joined anew."""
        if not member.is_draining and reason in {"fenced", "draining"}:
            self._membership.lose(member, f"the node takes no work: {reason}")

    # Time, and nodes that come and go.

    def _too_late(self, job: Job) -> None:
        job.refuse(self._not_in_time(job))

    def _not_in_time(self, job: Job) -> PoolError:
        return outcomes.not_in_time(job, self._clock.now() - job.waits_since, self._membership.troubles)

    def _not_admitted(self, attempt: Attempt) -> None:
        if attempt.answer is not None and not attempt.answer.done():
            attempt.answer.set_exception(_NotAdmitted())

    def _deadline_passed(self, job: Job) -> None:
        job.deadline_passed = True
        job.refuse(outcomes.deadline_passed(job, begun=False))
        answer = job.attempt.answer if job.attempt is not None else None
        if answer is not None and not answer.done():
            answer.set_exception(_DeadlinePassed())

    def _joined(self, member: Member) -> None:
        self._placement.joined(member)

    def _lost(self, member: Member, jobs: list[Job]) -> None:
        self.counts["nodes_lost"] += not member.has_stopped
        self._placement.lost(member, jobs)

    async def _wait_for_end_of_attempts(self, members: list[Member], timeout: float) -> bool:
        until = self._clock.now() + timeout
        while running := [
            attempt.ended for member in members if member.lost_because is None for attempt in member.attempts
        ]:
            if self._clock.now() >= until:
                return False
            await wait_until(self._clock, until, set(running))
        return True

    async def _stop(self, member: Member, *, force: bool) -> None:
        stop = self._transport.submit(member.node, Stop(member.epoch, force))
        try:
            answer = await within(self._clock, STOP_LIMIT, stop)
        except Exception:  # noqa: BLE001 - there is no answer, and the end comes anyway.
            return
        member.has_stopped = isinstance(answer, Stopped)
