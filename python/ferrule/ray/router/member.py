"""What a router knows: Member, one epoch of one node; Job, one task on its way; Attempt, one job on one member."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Any

from ferrule.ray.router.messages import Answer, Node, Pulse
from ferrule.ray.router.task import Task

__all__ = ["Attempt", "Job", "Lost", "Member"]


class Lost(Exception):  # noqa: N818 - an event, not a fault of the caller.
    """The member was lost during an attempt."""


class Attempt:
    """A task that has a slot of a member, until the member's answer."""

    def __init__(self, member: Member, job: Job) -> None:
        self.member = member
        self.job = job
        self.number = 0
        self.answer: asyncio.Future[Answer] | None = None
        self.may_have_begun = False
        self.is_abandoned = False
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Job:
    """A task with what the router knows of it."""

    def __init__(self, task: Task, began: float) -> None:
        self.task = task
        self.began = began
        self.waits_since = began
        self.held_by = "nodes"
        self.attempt: Attempt | None = None
        self.deadline_passed = False
        self.attempt_was_lost = False
        self.losses = 0
        self.queue: OrderedDict[Job, None] | None = None
        self._granted: asyncio.Future[Attempt] | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for a slot."""
        return self._granted is not None and not self._granted.done()

    def grant(self, attempt: Attempt) -> None:
        """Gives the slot that is waited for."""
        assert self._granted is not None
        self.attempt = attempt
        self._granted.set_result(attempt)

    def wait_in(self, queue: OrderedDict[Job, None], *, first: bool = False) -> None:
        """Takes its place in a queue."""
        self.queue = queue
        queue[self] = None
        queue.move_to_end(self, last=not first)

    def leave_queue(self) -> None:
        """Waits no more, wherever it did."""
        if self.queue is not None:
            self.queue.pop(self, None)

    def refuse(self, error: Exception) -> None:
        """Ends the wait with an error, if it has not ended."""
        if self._granted is not None and not self._granted.done():
            self._granted.set_exception(error)

    def wait(self, now: float) -> asyncio.Future[Attempt]:
        """Begins to wait for a slot; the time counts anew for a task that may have begun before."""
        if self.attempt is not None:
            self.attempt_was_lost = True
            if self.attempt.may_have_begun:
                self.waits_since = now
        self.attempt = None
        self._granted = asyncio.get_running_loop().create_future()
        return self._granted


class Member:
    """One epoch of one node."""

    def __init__(self, node: Node, epoch: int, slots: int, pulse: Pulse, pulse_received: float) -> None:
        self.node = node
        self.epoch = epoch
        self.slots = slots
        self.pulse = pulse
        self.pulse_received = pulse_received
        self.is_draining = False
        self.has_stopped = False
        self.lost_because: str | None = None
        self.attempts: set[Attempt] = set()
        self.waiting: OrderedDict[Job, None] = OrderedDict()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def name(self) -> str:
        """The node's name."""
        return self.node.name

    @property
    def load(self) -> int:
        """Tasks that have a slot, and those that wait for one."""
        return len(self.attempts) + len(self.waiting)

    def keys_that_may_run(self) -> set[bytes]:
        """Keys with a task that may have begun and has no answer."""
        return {attempt.job.task.key for attempt in self.attempts if attempt.may_have_begun}

    def fill_slots(self) -> None:
        """Gives free slots to those that wait, in their order."""
        while self.waiting and len(self.attempts) < self.slots and not self.is_draining:
            job, _ = self.waiting.popitem(last=False)
            if job.is_waiting:
                attempt = Attempt(self, job)
                self.attempts.add(attempt)
                job.grant(attempt)

    def finish(self, attempt: Attempt) -> None:
        """Gives a slot back."""
        self.attempts.discard(attempt)
        if not attempt.ended.done():
            attempt.ended.set_result(None)
        self.fill_slots()

    def lose(self, reason: str) -> list[Job]:
        """Ends the epoch for the router; those that wait, to be placed elsewhere."""
        self.lost_because = reason
        for attempt in self.attempts:
            if attempt.answer is not None and not attempt.answer.done():
                attempt.answer.set_exception(Lost(reason))
        if not self.ended.done():
            self.ended.set_result(None)
        return self.take_waiting()

    def take_waiting(self) -> list[Job]:
        """Those that wait, who then wait here no more."""
        jobs = [job for job in self.waiting if job.is_waiting]
        self.waiting.clear()
        return jobs

    def row(self) -> dict[str, Any]:
        """The figures of the member."""
        state = "lost" if self.lost_because else "draining" if self.is_draining else "live"
        own = {"state": state, "epoch": self.epoch, "in_flight": len(self.attempts), "waiting": len(self.waiting)}
        return {**self.pulse.figures, **own}
