"""The engine-neutral part of pools on many machines: a router over a `Transport`, and the agent on each node.

Nothing here knows Ray. A further engine implements `Transport`, and hands what arrives at a node to an `Agent`.
"""

from ferrule.ray.router.agent import Agent, watch
from ferrule.ray.router.fence import FENCE_AFTER, Fence
from ferrule.ray.router.messages import Answer, Beat, Message, Node, Pulse
from ferrule.ray.router.router import Router
from ferrule.ray.router.task import Task
from ferrule.ray.router.transport import Disconnected, Listener, Transport

__all__ = [
    "FENCE_AFTER",
    "Agent",
    "Answer",
    "Beat",
    "Disconnected",
    "Fence",
    "Listener",
    "Message",
    "Node",
    "Pulse",
    "Router",
    "Task",
    "Transport",
    "watch",
]
