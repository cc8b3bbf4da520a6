"""Placement: for which member a task waits, and which tasks wait for a better time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from ferrule.pool.clock import Clock, Timer
from ferrule.ray.router.fence import FENCE_AFTER, SHUTDOWN_LADDER
from ferrule.ray.router.member import Job, Member
from ferrule.ray.router.rendezvous import NODES_PER_KEY, load_bound, order_of
from ferrule.ray.router.task import Task

__all__ = ["Placement"]

KNOWN_ORDERS = 20_000
"""Keys whose order of nodes is kept; all are computed anew after a change of nodes."""


class Placement:
    """Puts each job into the queue of one member, or aside: no node, or its key may still be worked on by a lost one.

    What had no answer from a lost member may go on there until the node's lease of time has ended and its plugins have
    been stopped. Until then no write of the same key goes elsewhere. Other keys do: a lost member begins nothing new.
    """

    def __init__(self, clock: Clock, members: Callable[[], Iterable[Member]]) -> None:
        self._clock = clock
        self._members = members
        self._order_by_key: dict[bytes, list[Member]] = {}
        self._home_by_key: dict[bytes, Member] = {}
        self._fences: dict[bytes, dict[Member, float]] = {}
        self._aside: OrderedDict[Job, None] = OrderedDict()
        self._timer: Timer | None = None

    def place(self, job: Job) -> None:
        """Has the job wait where it belongs."""
        member = self._member_for(job)
        if member is None:
            job.wait_in(self._aside)
        else:
            job.held_by = f"a slot of node {member.name}"
            # One that had a slot before waited for it already.
            job.wait_in(member.waiting, first=job.attempt_was_lost)
            member.fill_slots()

    def joined(self, member: Member) -> None:
        """Places all that wait anew: some keys are the new member's. Its node has nothing left of earlier epochs."""
        for fences in self._fences.values():
            for earlier in [earlier for earlier in fences if earlier.node.id == member.node.id]:
                del fences[earlier]
        self._order_by_key.clear()
        jobs = [job for other in self._members() for job in other.take_waiting()]
        self._place_aside()
        for job in jobs:
            self.place(job)

    def drains(self, member: Member) -> None:
        """Places elsewhere those who wait for a member that gets no more work."""
        self._order_by_key.clear()
        for job in member.take_waiting():
            self.place(job)

    def lost(self, member: Member, jobs: Iterable[Job]) -> None:
        """Places elsewhere those who waited for a member that is lost, or has been drained."""
        homes = {key for key, home in self._home_by_key.items() if home is member}
        for key in homes:
            del self._home_by_key[key]
        if not member.has_stopped:
            self._hold(member, member.keys_that_may_run() | homes)
        self._order_by_key.clear()
        self._place_aside()
        for job in jobs:
            self.place(job)

    def close(self) -> None:
        """Ends the timer."""
        if self._timer is not None:
            self._timer.cancel()

    # Where to.

    def _member_for(self, job: Job) -> Member | None:
        task = job.task
        members = [member for member in self._members() if not member.is_draining]
        home = self._home_by_key.get(task.key) if task.exclusive else None
        if home is not None and home.is_draining:
            job.held_by = f"node {home.name}, which drains"
        elif not members:
            job.held_by = "nodes"
        elif self._is_fenced(task):
            job.held_by = "a lost node that may still work"
        else:
            return home or self._choose(task, members)
        return None

    def _choose(self, task: Task, members: list[Member]) -> Member:
        order = self._order_by_key.get(task.key)
        if order is None:
            if len(self._order_by_key) >= KNOWN_ORDERS:
                self._order_by_key.clear()
            order = self._order_by_key[task.key] = order_of(task.key, members, lambda member: member.name)
        if task.exclusive:
            self._home_by_key[task.key] = order[0]
            return order[0]
        bound = load_bound([member.load for member in members], order[0].slots)
        candidates = order[:NODES_PER_KEY]
        return next((member for member in candidates if member.load < bound), min(candidates, key=lambda m: m.load))

    # Keys of lost members.

    def _hold(self, member: Member, keys: Iterable[bytes]) -> None:
        until = member.pulse_received + FENCE_AFTER + SHUTDOWN_LADDER
        for key in keys:
            self._fences.setdefault(key, {})[member] = until
        self._set_timer()

    def _is_fenced(self, task: Task) -> bool:
        fences = self._fences.get(task.key)
        if fences is None:
            return False
        now = self._clock.now()
        for member in [member for member, until in fences.items() if until <= now]:
            del fences[member]
        if not fences:
            del self._fences[task.key]
            return False
        # What may be repeated may also meet its own traces, but not a second process where there must be one.
        return task.exclusive or not task.idempotent

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if times := [until for fences in self._fences.values() for until in fences.values()]:
            self._timer = self._clock.call_at(min(times), self._fence_has_ended)

    def _fence_has_ended(self) -> None:
        self._timer = None
        now = self._clock.now()
        for key, fences in list(self._fences.items()):
            self._fences[key] = {member: until for member, until in fences.items() if until > now}
            if not self._fences[key]:
                del self._fences[key]
        self._set_timer()
        self._place_aside()

    def _place_aside(self) -> None:
        jobs = list(self._aside)
        self._aside.clear()
        for job in jobs:
            if job.is_waiting:
                self.place(job)
