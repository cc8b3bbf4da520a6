"""The exceptions of pools on many machines."""

from __future__ import annotations

from ferrule.pool.errors import OutcomeUnknown, PoolError

__all__ = ["NoNodes", "NodeLost"]


class NodeLost(OutcomeUnknown):
    """The node was lost after the task had begun: it may have been carried out, wholly or in part, and is not repeated.

    Attributes:
        node: The node's name.
    """

    node: str = ""


class NoNodes(PoolError):  # noqa: N818 - named as its neighbours.
    """No node of the cluster could take the task in time; nothing of it has begun."""
