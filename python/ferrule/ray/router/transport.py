"""Transport: how a router reaches its nodes. An engine implements it; the router knows no other thing of engines."""

from __future__ import annotations

from typing import Protocol

from ferrule.ray.router.messages import Answer, Beat, Message, Node, Pulse

__all__ = ["Disconnected", "Listener", "Transport"]


class Disconnected(Exception):  # noqa: N818 - an event, not a fault of the caller.
    """The node cannot be reached; whether a message reached it is not known."""


class Listener(Protocol):
    """Told of nodes, on the loop's thread."""

    def joined(self, node: Node) -> None:
        """A node can be reached."""

    def lost(self, node: Node, reason: str) -> None:
        """A node is gone and does not come back under this id. Its work may still go on: nobody can know."""


class Transport(Protocol):
    """Messages to nodes and their answers, on one event loop.

    A message is delivered at most once, or the node answers its repetition with `Repeated`. A transport never sends a
    message again by itself.
    """

    async def open(self, listener: Listener) -> None:
        """Begins to tell the listener of nodes, with those that are there before it returns."""

    async def submit(self, node: Node, message: Message) -> Answer:
        """The node's answer to a message, however long it takes.

        Raises:
            Disconnected: The node was lost, before or after the message reached it.
        """

    async def heartbeat(self, node: Node, beat: Beat) -> Pulse:
        """The node's pulse. Must not wait for the node's work.

        Raises:
            Disconnected: The node was lost.
        """

    async def close(self) -> None:
        """Leaves all nodes. What runs there ends."""
