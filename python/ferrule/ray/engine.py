"""Ray as the transport of a router: one actor on each node, made anew when it dies, never by Ray itself."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from functools import partial
from typing import Any

import ray
from ray import cloudpickle
from ray.exceptions import ActorUnavailableError, RayActorError, RayError, RaySystemError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ferrule.pool import Limits
from ferrule.pool.errors import OutcomeUnknown, PoolError
from ferrule.ray.actor import CONCURRENCY_GROUPS, PoolActor
from ferrule.ray.arguments import unpicklable
from ferrule.ray.binaries import BinaryStore, MissingProgram, Program, chunks_of
from ferrule.ray.router import Answer, Beat, Disconnected, Listener, Message, Node, Pulse
from ferrule.ray.router.messages import Failed, Go, Run

__all__ = ["RayTransport"]

LOOK_INTERVAL = 5.0
"""Seconds between two looks at the nodes of the cluster."""

OPEN_WAIT = 30.0
"""Seconds that the opening waits for the first actors; tasks wait for those that come later."""

_log = logging.getLogger("ferrule.ray")


class _Actor:
    """One actor, with its methods bound to their groups."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle
        self.ready = handle.ready.options(concurrency_group="admin")
        self.beat = handle.beat.options(concurrency_group="admin")
        self.handle_message = handle.handle.options(concurrency_group="work")
        self.store = handle.store.options(concurrency_group="work")


class RayTransport:
    """Actors on all nodes of a Ray cluster, or on those with a resource.

    Args:
        limits: What the plugins of one node may use together.
        store: Where nodes keep programs; None where each node has its own.
        resource: Name of the custom resource that nodes must have; None for all nodes.
    """

    def __init__(self, limits: Limits | None, store: BinaryStore | None, resource: str | None) -> None:
        self._limits = limits
        self._store = store
        self._resource = resource
        options = {"num_cpus": 0, "max_restarts": 0, "max_task_retries": 0, "concurrency_groups": CONCURRENCY_GROUPS}
        self._class: Any = ray.remote(**options)(PoolActor)
        self._listener: Listener | None = None
        self._actors: dict[Node, _Actor] = {}
        self._starting: dict[str, asyncio.Task[None]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._look_now = asyncio.Event()
        self._chunks: dict[str, asyncio.Task[list[Any]]] = {}
        self._brought: Counter[str] = Counter()

    async def open(self, listener: Listener) -> None:
        """Connects to Ray if the process has not, and starts the actors."""
        self._listener = listener
        if not ray.is_initialized():
            await asyncio.to_thread(ray.init)
        await self._look()
        if self._starting:
            await asyncio.wait(self._starting.values(), timeout=OPEN_WAIT)
        self._looking = asyncio.get_running_loop().create_task(self._keep_looking())

    async def heartbeat(self, node: Node, beat: Beat) -> Pulse:
        """The actor's pulse."""
        pulse: Pulse | Failed = await self._ask(node, "beat", beat)
        if isinstance(pulse, Failed):
            raise Disconnected(str(pulse.error))
        return pulse

    async def submit(self, node: Node, message: Message) -> Answer:
        """The actor's answer; a program that the node lacks is brought there first."""
        answer: Answer = await self._ask(node, "handle_message", message)
        if isinstance(answer, Failed) and isinstance(answer.error, MissingProgram):
            program = answer.error.program
            stored = await self._bring(node, program)
            if isinstance(stored, Failed):
                stored.error.add_note(f"On node {node.name}.")
                return stored
            answer = await self._ask(node, "handle_message", message)
            if isinstance(answer, Failed) and isinstance(answer.error, MissingProgram):
                text = f"the program {program.path} was brought to node {node.name}, and is not there"
                return Failed(PoolError(text, None, "ray.not-brought"))
        return answer

    async def close(self) -> None:
        """Ends all actors."""
        tasks = [*self._starting.values(), *self._chunks.values()]
        if self._looking is not None:
            tasks.append(self._looking)
        for task in tasks:
            task.cancel()
        # First, as the waiting may be cancelled.
        for actor in self._actors.values():
            # Of a Ray that the program has left, they are gone.
            with contextlib.suppress(RayError):
                ray.kill(actor.handle)
        self._actors.clear()
        if tasks:
            await asyncio.wait(tasks)

    # Calls.

    async def _ask(self, node: Node, method: str, *args: Any) -> Any:
        actor = self._actors.get(node)
        if actor is None:
            raise Disconnected("its actor is gone")
        try:
            answer = getattr(actor, method).remote(*args)
        except RayActorError as error:
            raise self._disconnected(node, error) from error
        except RayError as error:
            # The driver's own trouble, such as arguments for which the object store has no room; nothing was sent.
            return Failed(error)
        except Exception as error:  # noqa: BLE001 - arguments that cannot be pickled, or Ray itself is gone.
            if told := unpicklable(args[0], cloudpickle.dumps):
                return Failed(told)
            raise Disconnected(f"{type(error).__name__}: {error}") from None
        try:
            return await answer
        except RayTaskError as error:
            if isinstance(error.cause, RaySystemError):
                text = f"node {node.name} cannot load the task: {_first_line(error.cause)}"
                hint = "The modules of functions and arguments must be importable on the nodes."
                return Failed(PoolError(text, hint, "ray.unloadable"))
            cause = error.cause if isinstance(error.cause, Exception) else error
            return Failed(_unanswered(node, args[0], f"cannot be pickled: {type(cause).__name__}: {cause}") or cause)
        except RaySystemError as error:
            return Failed(_unanswered(node, args[0], f"cannot be loaded here: {_first_line(error)}") or error)
        except RayError as error:
            raise self._disconnected(node, error) from error

    def _disconnected(self, node: Node, error: RayError) -> Disconnected:
        reason = f"{type(error).__name__}: {_first_line(error)}"
        if isinstance(error, RayActorError) and not isinstance(error, ActorUnavailableError):
            self._forget(node, reason)
            self._look_now.set()
        return Disconnected(reason)

    async def _bring(self, node: Node, program: Program) -> Any:
        hash_ = program.sha256
        putting = self._chunks.get(hash_)
        if putting is None:
            putting = asyncio.get_running_loop().create_task(asyncio.to_thread(_put, program))
            self._chunks[hash_] = putting
        self._brought[hash_] += 1
        try:
            return await self._ask(node, "store", program, await asyncio.shield(putting))
        except (OSError, RayError) as error:
            text = f"the program {program.path} cannot be brought to node {node.name}: {error}"
            return Failed(PoolError(text, None, "ray.not-brought"))
        finally:
            self._brought[hash_] -= 1
            if not self._brought[hash_] and self._chunks.get(hash_) is putting:
                # The object store has room for other things.
                del self._chunks[hash_]

    # Nodes.

    async def _keep_looking(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._look_now.wait(), LOOK_INTERVAL)
            self._look_now.clear()
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001 - Ray's head may be away for a while.
                _log.warning("the nodes of the cluster cannot be listed: %s", error)

    async def _look(self) -> None:
        if not ray.is_initialized():
            # Not to be connected anew by the next call, to a cluster that may be another one.
            for node in list(self._actors):
                self._forget(node, "this process has left Ray")
            return
        rows = await asyncio.to_thread(ray.nodes)
        alive = {row["NodeID"] for row in rows if row["Alive"] and self._may_be_used(row)}
        for node in [node for node in self._actors if node.name not in alive]:
            self._forget(node, "Ray has declared the node dead")
        for name in alive - {node.name for node in self._actors} - self._starting.keys():
            starting = asyncio.get_running_loop().create_task(self._start(name))
            self._starting[name] = starting
            starting.add_done_callback(partial(self._has_started, name))

    def _has_started(self, name: str, _: asyncio.Task[None]) -> None:
        self._starting.pop(name, None)

    def _may_be_used(self, row: dict[str, Any]) -> bool:
        return self._resource is None or row["Resources"].get(self._resource, 0) > 0

    async def _start(self, name: str) -> None:
        here = NodeAffinitySchedulingStrategy(name, soft=False)
        handle = self._class.options(scheduling_strategy=here).remote(name, self._limits, self._store)
        actor = _Actor(handle)
        try:
            await actor.ready.remote()
        except RayError as error:
            _log.warning("node %s has no actor: %s", name, error)
            return
        node = Node(handle._actor_id.hex(), name)
        self._actors[node] = actor
        assert self._listener is not None
        self._listener.joined(node)

    def _forget(self, node: Node, reason: str) -> None:
        if self._actors.pop(node, None) is not None and self._listener is not None:
            self._listener.lost(node, reason)


def _unanswered(node: Node, message: Any, reason: str) -> OutcomeUnknown | None:
    """The error of a task of which the function has ended, and its answer does not get here."""
    if not isinstance(message, Go | Run):
        return None
    text = f"the task has been carried out on node {node.name}, but its result {reason}"
    return OutcomeUnknown(text, "Have the function return what both sides can pickle.", "ray.result")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else "no more is known"


def _put(program: Program) -> list[Any]:
    """References to the chunks of a program's file."""
    return [ray.put(chunk) for chunk in chunks_of(program)]
