"""RayPool: one pool of plugins over all nodes of a Ray cluster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, Literal, Self, TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

from ferrule._validation import check
from ferrule.errors import ConfigError, LaunchError
from ferrule.pool import Limits, PluginSpec
from ferrule.pool.key import check_same_surroundings
from ferrule.ray import arguments
from ferrule.ray.binaries import BinaryStore, ShippedSpec, ship
from ferrule.ray.engine import RayTransport
from ferrule.ray.in_flight import in_flight
from ferrule.ray.router.router import IN_FLIGHT_PER_NODE, MAX_WAITING, Router
from ferrule.ray.router.task import Task

__all__ = ["Outcome", "RayPool"]

Result = TypeVar("Result")

CHECK_SECONDS = 1.0
"""How long a program's file is taken to be what it was."""


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Result]):
    """What became of one task of `RayPool.map`.

    Attributes:
        value: The function's result; None if there is an error.
        error: The error that `RayPool.run` would have raised; None if there is none.
    """

    value: Result | None = None
    error: Exception | None = None

    def result(self) -> Result:
        """The value; raises the error if there is one."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]


class RayPool:
    """Plugins on all nodes of a Ray cluster: each spec's tasks go to the same node, where its plugin is warm.

    A task is an async function `function(lease, *args)` that runs on a node, beside the plugin, and may make any number
    of calls there. Ray pickles it by reference: its module must be importable on the nodes.

    A task that is not `idempotent` is begun at most once. If its node is lost after that, its caller is told by
    `NodeLost`; if it had not begun, it goes to another node and nobody is told. Ray's own retries are off.

    Args:
        limits_per_node: What the plugins of one node may use together; default `Limits()`.
        binaries: "local" (default): each node has the programs where the driver has them, with the same content. A
            `BinaryStore` brings programs to nodes that lack them.
        in_flight_per_node: Tasks at once per node; default 40. All others wait in the driver, where the loss of a node
            does not touch them. As many tasks may be told `NodeLost` when a node is lost.
        resource: Nodes that have this custom resource of Ray are used; default None, all nodes.
        max_waiting: Tasks that may wait in the driver at once; default 10,000. One more gets `PoolFull`.

    Raises:
        ConfigError: A setting does not fit.
    """

    def __init__(
        self,
        *,
        limits_per_node: Limits | None = None,
        binaries: BinaryStore | Literal["local"] = "local",
        in_flight_per_node: int = IN_FLIGHT_PER_NODE,
        resource: str | None = None,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        if not isinstance(binaries, BinaryStore) and binaries != "local":
            hint = 'Use "local", or BinaryStore(directory).'
            raise ConfigError(f"setting binaries is {binaries!r}, expected a BinaryStore", hint, "config.invalid")
        in_flight_per_node = check("in_flight_per_node", in_flight_per_node, arguments.COUNT)
        max_waiting = check("max_waiting", max_waiting, arguments.COUNT)
        limits_per_node = check("limits_per_node", limits_per_node, arguments.LIMITS)
        resource = check("resource", resource, arguments.RESOURCE)
        store = binaries if isinstance(binaries, BinaryStore) else None
        self._wait = (limits_per_node or Limits()).acquire_timeout
        self._shipped_by_spec: WeakKeyDictionary[PluginSpec, tuple[ShippedSpec, float]] = WeakKeyDictionary()
        self._spec_by_key: WeakValueDictionary[bytes, PluginSpec] = WeakValueDictionary()
        self._router = Router(
            RayTransport(limits_per_node, store, resource),
            in_flight_per_node=in_flight_per_node,
            max_waiting=max_waiting,
        )
        self._in_flight_per_node = in_flight_per_node
        self._max_waiting = max_waiting

    async def __aenter__(self) -> Self:
        await self._router.open()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def run(
        self,
        spec: PluginSpec,
        function: Callable[..., Awaitable[Result]],
        *args: Any,
        idempotent: bool = False,
        timeout: float | None = None,
        deadline: float | None = None,
    ) -> Result:
        """Awaits `function(lease, *args)` on a node, with a lease of the spec's plugin.

        Args:
            spec: The plugin.
            function: An async function that the nodes can import.
            args: Further arguments, pickled.
            idempotent: Whether the function may run again when its node is lost; default False.
            timeout: Seconds to wait for a node and a lease; default None, `Limits.acquire_timeout`.
            deadline: Seconds for everything, after which the function is cancelled; default None, no limit.

        Raises:
            NodeLost: The task had begun on a node that was lost. It may have been carried out.
            NoNodes: The cluster had no node in time.
            LeaseTimeout: The task had not begun in time; with `deadline`, an idempotent one was not done.
            OutcomeUnknown: The task had begun and was cancelled at its deadline.
            PoolFull: As many tasks wait already as `max_waiting` allows.
            LaunchError: The driver has no such program.
            ConfigError: An argument does not fit.
            Exception: What the function raised, with the node's traceback as a note.
        """
        task = await self._task(spec, function, args, idempotent, timeout, deadline)
        result: Result = await self._router.run(task)
        return result

    async def map(
        self,
        specs: Iterable[PluginSpec] | AsyncIterable[PluginSpec],
        function: Callable[..., Awaitable[Result]],
        *args: Any,
        idempotent: bool = False,
        timeout: float | None = None,
        deadline: float | None = None,
        max_in_flight: int | None = None,
        ordered: bool = False,
    ) -> AsyncIterator[tuple[PluginSpec, Outcome[Result]]]:
        """Runs a function for each spec, and yields each spec with its outcome, as they come.

        A spec is taken when there is room for it: tasks that run, and outcomes that nobody has taken yet, are never
        more than `max_in_flight`. Leaving the iterator early, with `aclosing`, cancels what runs.

        Args:
            specs: The plugins, from any iterable, also an async one.
            function: As of `run`, and so are `args`, `idempotent`, `timeout` and `deadline`.
            max_in_flight: Default None: twice `in_flight_per_node` for each node that the pool has at the beginning. At
                most `max_waiting`.
            ordered: Whether outcomes come in the order of the specs; default False.
        """

        async def one(spec: PluginSpec) -> tuple[PluginSpec, Outcome[Result]]:
            try:
                value = await self.run(spec, function, *args, idempotent=idempotent, timeout=timeout, deadline=deadline)
            except Exception as error:  # noqa: BLE001 - the outcome.
                return spec, Outcome(error=error)
            return spec, Outcome(value)

        room = 2 * self._in_flight_per_node * max(1, len(self._router.stats()["nodes"]))
        if max_in_flight is not None:
            room = check("max_in_flight", max_in_flight, arguments.COUNT)
        # Without nodes all of them wait.
        room = min(room, self._max_waiting)
        async for outcome in in_flight(specs, one, room, ordered=ordered):
            yield outcome

    def stats(self) -> dict[str, Any]:
        """Counts of tasks, and a row for each node.

        `done`; `failed`; `unknown`: their callers were told `NodeLost` or `OutcomeUnknown`; `moved`: had not begun, and
        went elsewhere; `repeated`: idempotent ones that ran again; `nodes_lost`; `waiting`; `in_flight`. `nodes` has
        the rows by name.
        """
        return self._router.stats()

    async def drain(self, node_id: str, *, timeout: float = 60.0) -> bool:
        """Gives a node no more work, waits for what runs there, ends its plugins and leaves it alone from then on.

        Args:
            node_id: The node, as Ray and `stats()` name it.
            timeout: Seconds after which what still runs there is ended; its callers get `LeaseRevoked`. Default 60.

        Returns:
            Whether all that ran there ended by itself.

        Raises:
            PoolError: There is no such node.
        """
        return await self._router.drain(node_id, check("timeout", timeout, arguments.TIMEOUT))

    async def close(self, *, timeout: float = 30.0) -> None:
        """Refuses tasks that wait, gives those that run `timeout` seconds, and ends all plugins and actors."""
        await self._router.close(check("timeout", timeout, arguments.TIMEOUT))

    async def _task(
        self,
        spec: PluginSpec,
        function: Callable[..., Awaitable[Any]],
        args: tuple[Any, ...],
        idempotent: bool,
        timeout: float | None,
        deadline: float | None,
    ) -> Task:
        spec = check("spec", spec, arguments.SPEC)
        wait = self._wait if timeout is None else check("timeout", timeout, arguments.TIMEOUT)
        shipped = await self._shipped(spec)
        return Task(
            key=shipped.key,
            spec=shipped,
            function=check("function", function, arguments.FUNCTION),
            args=args,
            idempotent=bool(idempotent),
            exclusive=spec.exclusive,
            wait=wait,
            deadline=check("deadline", deadline, arguments.DEADLINE),
        )

    async def _shipped(self, spec: PluginSpec) -> ShippedSpec:
        """The spec with its program as it is now, looked at once a second."""
        now = asyncio.get_running_loop().time()
        known, until = self._shipped_by_spec.get(spec, (None, 0.0))
        if known is None or until <= now:
            if known is not None:
                # Others need not look at the same time.
                self._shipped_by_spec[spec] = known, now + CHECK_SECONDS
            try:
                known = await asyncio.to_thread(ship, spec)
            except LaunchError:
                if known is None:
                    raise
                # Only the driver's file is gone: nodes may have theirs.
            check_same_surroundings(self._spec_by_key.setdefault(known.key, spec), spec)
            self._shipped_by_spec[spec] = known, now + CHECK_SECONDS
        return known
