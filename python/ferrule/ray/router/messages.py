"""Messages between a router and its nodes, and their answers.

Work that may be repeated is one message, `Run`. Other work is two: `Admit` waits for the plugin and may be sent to
another node instead; `Go` begins at once and is sent once in the life of a task. An answer is data: an exception of the
transport means that there is no answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = [
    "Admit",
    "Admitted",
    "Answer",
    "Beat",
    "Cancel",
    "Failed",
    "Finished",
    "Go",
    "Join",
    "Joined",
    "Message",
    "Node",
    "Pulse",
    "Refused",
    "Repeated",
    "Run",
    "Stop",
    "Stopped",
]


@dataclass(frozen=True, slots=True)
class Node:
    """A place where plugins run.

    Attributes:
        id: Of this life of the node: a node whose actor is made anew has a new one.
        name: Of the place, equal in all its lives; keys are routed by it.
    """

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Beat:
    """A heartbeat.

    Attributes:
        epoch: The node's epoch, as the router counts.
        echo: The node's own clock, as its latest pulse had it. A lease of time runs from there, so that a beat that was
            under way for long gives no more time than one that was not.
    """

    epoch: int
    echo: float


@dataclass(frozen=True, slots=True)
class Pulse:
    """The answer to a heartbeat: the node's clock, its epoch, whether it is fenced, and its figures."""

    stamp: float
    epoch: int
    fenced: bool
    figures: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Join:
    """Ends all work of earlier epochs and begins a new one, which lasts as long as heartbeats come."""

    epoch: int
    echo: float


@dataclass(frozen=True, slots=True)
class _Work:
    """A function that is to run with a lease, waited for at most `wait` seconds; a higher priority comes first."""

    epoch: int
    task: int
    key: bytes
    spec: Any
    wait: float
    priority: int
    function: Callable[..., Any]
    args: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Admit(_Work):
    """Waits for the lease, and holds it for the `Go` that follows.

    Function and arguments are part of it: what cannot be loaded on the node is found out before anything begins.
    """


@dataclass(frozen=True, slots=True)
class Go:
    """Begins an admitted task at once."""

    epoch: int
    task: int


@dataclass(frozen=True, slots=True)
class Run(_Work):
    """Waits for the lease, and runs the function with it."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancels a task, wherever it is."""

    epoch: int
    task: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Ends the node's plugins: at once with `force`, else after their leases."""

    epoch: int
    force: bool


Message = Join | Admit | Go | Run | Cancel | Stop


@dataclass(frozen=True, slots=True)
class Joined:
    """Nothing of an earlier epoch runs any more."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """The lease is held."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The function returned."""

    value: Any


@dataclass(frozen=True, slots=True)
class Failed:
    """The function, or the wait for its lease, raised."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing of the task has begun here, nor will."""

    reason: str


@dataclass(frozen=True, slots=True)
class Repeated:
    """The task had begun here, and what became of it is not known: its answer went with an earlier message, or the node
    has ended it with all others."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The node's plugins have ended."""


Answer = Joined | Admitted | Finished | Failed | Refused | Repeated | Stopped
