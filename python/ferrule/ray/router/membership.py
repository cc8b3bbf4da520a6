"""Membership: which nodes may be given work, in which epoch, and since when a node is silent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from ferrule.pool.clock import Clock
from ferrule.ray.router.fence import FENCE_AFTER
from ferrule.ray.router.member import Job, Member
from ferrule.ray.router.messages import Beat, Failed, Join, Joined, Node, Pulse
from ferrule.ray.router.timing import sleep_until, wait_until, within
from ferrule.ray.router.transport import Transport

__all__ = ["BEAT_INTERVAL", "SILENT_AFTER", "Membership"]

BEAT_INTERVAL = 2.0
"""Seconds between two heartbeats to a node, and between two attempts to have a lost one back."""

SILENT_AFTER = 6.0
"""Seconds without a pulse after which a node counts as lost. Less than `FENCE_AFTER`: the node may still be told."""

NO_EPOCH = 0
"""The epoch of a heartbeat that only asks for the node's clock."""

_log = logging.getLogger("ferrule.ray")


class Membership:
    """The nodes of a transport as members, each in one epoch after the other.

    Args:
        transport: How nodes are reached.
        clock: The router's clock.
        slots: Tasks at once per node.
        on_join: Told of a member that may be given work.
        on_loss: Told of a member that may not any more, and of those who waited for it.
    """

    def __init__(
        self,
        transport: Transport,
        clock: Clock,
        slots: int,
        on_join: Callable[[Member], None],
        on_loss: Callable[[Member, list[Job]], None],
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._slots = slots
        self._on_join = on_join
        self._on_loss = on_loss
        self.members: dict[str, Member] = {}
        self._tending: dict[str, asyncio.Task[None]] = {}
        self._retired: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.troubles: dict[str, str] = {}
        """Why nodes that can be reached are not members, by their names."""

    # The transport tells.

    def joined(self, node: Node) -> None:
        """A node can be reached."""
        if node.id not in self._tending and node.name not in self._retired:
            self._tending[node.id] = self._spawn(self._tend(node))

    def lost(self, node: Node, reason: str) -> None:
        """A node is gone, with this id for good."""
        self.troubles.pop(node.name, None)
        if tending := self._tending.pop(node.id, None):
            tending.cancel()
        if member := self.members.get(node.id):
            self.lose(member, reason)

    # The router tells.

    def lose(self, member: Member, reason: str) -> None:
        """Gives a member no more work in this epoch."""
        if self.members.get(member.node.id) is member:
            del self.members[member.node.id]
            _log.warning("node %s is lost: %s", member.name, reason)
            self._on_loss(member, member.lose(reason))

    def retire(self, member: Member) -> None:
        """Leaves a drained node alone for good."""
        self._retired.add(member.name)
        if tending := self._tending.pop(member.node.id, None):
            tending.cancel()
        if self.members.pop(member.node.id, None):
            self._on_loss(member, member.lose("drained"))

    def close(self) -> None:
        """Ends all heartbeats."""
        for task in self._tasks:
            task.cancel()

    async def wait_closed(self) -> None:
        """Returns when nothing of them is left."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # One node.

    async def _tend(self, node: Node) -> None:
        epoch = NO_EPOCH
        while True:
            epoch += 1
            try:
                member = await within(self._clock, FENCE_AFTER, self._join(node, epoch))
            except Exception as error:  # noqa: BLE001 - whatever the transport raises, the node has not answered.
                self._in_trouble(node, f"{type(error).__name__}: {error}")
                member = None
            if member is not None:
                self.troubles.pop(node.name, None)
                self.members[node.id] = member
                self._on_join(member)
                await self._beat_until_lost(member)
            await sleep_until(self._clock, self._clock.now() + BEAT_INTERVAL)

    async def _join(self, node: Node, epoch: int) -> Member | None:
        pulse = await self._transport.heartbeat(node, Beat(NO_EPOCH, 0.0))
        received = self._clock.now()
        answer = await self._transport.submit(node, Join(epoch, pulse.stamp))
        if isinstance(answer, Failed):
            self._in_trouble(node, str(answer.error))
        return Member(node, epoch, self._slots, pulse, received) if isinstance(answer, Joined) else None

    def _in_trouble(self, node: Node, reason: str) -> None:
        if self.troubles.get(node.name) != reason:
            self.troubles[node.name] = reason
            _log.warning("node %s takes no work: %s", node.name, reason)

    async def _beat_until_lost(self, member: Member) -> None:
        while member.lost_because is None:
            self._spawn(self._beat(member))
            due = self._clock.now() + BEAT_INTERVAL
            await wait_until(self._clock, due, {member.ended})
            now = self._clock.now()
            silent = now - member.pulse_received
            # A loop that was blocked has not read the answers that are there. They count, up to the node's own end.
            if silent >= (SILENT_AFTER if now < due + BEAT_INTERVAL else FENCE_AFTER):
                self.lose(member, f"no heartbeat was answered for {silent:.1f} s")

    async def _beat(self, member: Member) -> None:
        beat = Beat(member.epoch, member.pulse.stamp)
        try:
            pulse = await within(self._clock, SILENT_AFTER, self._transport.heartbeat(member.node, beat))
        except TimeoutError:
            return
        except Exception as error:  # noqa: BLE001 - whatever the transport raises, the node has not answered.
            self.lose(member, str(error))
            return
        self._note(member, pulse)

    def _note(self, member: Member, pulse: Pulse) -> None:
        if (pulse.fenced or pulse.epoch != member.epoch) and not member.is_draining:
            self.lose(member, "the node had no heartbeat and has ended its work")
        elif pulse.stamp > member.pulse.stamp:
            member.pulse, member.pulse_received = pulse, self._clock.now()
