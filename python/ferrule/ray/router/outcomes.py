"""What a caller is told of a task that has no result."""

from __future__ import annotations

from collections.abc import Mapping

from ferrule.pool.errors import LeaseRevoked, LeaseTimeout, OutcomeUnknown, PoolError, PoolFull
from ferrule.ray.errors import NodeLost, NoNodes
from ferrule.ray.router.member import Job

__all__ = ["closed", "deadline_passed", "node_lost", "not_in_time", "pool_full", "repeated", "revoked"]

_LOOK_FIRST = "Find out what it has done before you try again."


def not_in_time(job: Job, waited: float, troubles: Mapping[str, str]) -> PoolError:
    """The error of a task that has not begun within its time; `troubles`: of nodes that cannot take work."""
    if job.held_by == "nodes":
        hint = "Check that the cluster has nodes that are alive, with the resource that the pool asks for."
        text = f"the cluster had no node for the task within {waited:.1f} s"
        if troubles:
            name, reason = next(iter(troubles.items()))
            text += f"; node {name} takes no work: {reason}"
        return NoNodes(text, hint, "ray.no-nodes")
    hint = "Raise the timeout, or in_flight_per_node if the nodes can do more."
    error = LeaseTimeout(f"the task waited {waited:.1f} s for {job.held_by}", hint, "pool.timeout")
    error.held_by, error.waited = job.held_by, waited
    return error


def node_lost(name: str, reason: str, losses: int) -> NodeLost:
    """The error of a task that had begun on a lost node; `losses`: nodes that were lost under it so far."""
    text = f"node {name} was lost after the task had begun: {reason}"
    if losses > 1:
        text += f"; {losses} nodes were lost under the task, which is not repeated again"
    error = NodeLost(text, _LOOK_FIRST, "ray.node-lost")
    error.node = name
    return error


def repeated(name: str) -> NodeLost:
    """The error of a task whose answer was lost on its way, though its node was not."""
    error = NodeLost(f"the answer of node {name} was lost after the task had begun", _LOOK_FIRST, "ray.node-lost")
    error.node = name
    return error


def revoked() -> LeaseRevoked:
    """The error of a task that its node has ended."""
    return LeaseRevoked("the task was ended while it ran", _LOOK_FIRST, "pool.revoked")


def deadline_passed(job: Job, *, begun: bool) -> PoolError:
    """The error of a task that was cancelled at its deadline."""
    text = f"the task was not done within its deadline of {job.task.deadline:g} s"
    if begun:
        return OutcomeUnknown(f"{text}, and had begun", _LOOK_FIRST, "ray.deadline")
    return LeaseTimeout(text, "Raise the deadline.", "ray.deadline")


def pool_full(waiting: int) -> PoolFull:
    """The error of the one task too many."""
    hint = "Use RayPool.map, which waits instead, or raise max_waiting."
    return PoolFull(f"{waiting} tasks wait for nodes already", hint, "pool.full")


def closed() -> PoolError:
    """The error of a task that comes after the end."""
    return PoolError("the pool is closed, or not open yet", "Use it within `async with`.", "pool.closed")
