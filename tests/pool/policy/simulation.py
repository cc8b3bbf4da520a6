"""Simulation: a policy, its callers and a driver that carries out commands when it is told to, with a clock by hand."""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from typing import Any

from ferrule.errors import LaunchError, PluginExitedError
from ferrule.pool import Limits, PluginSpec, PluginUnavailable, PoolError, PoolFull
from ferrule.pool.policy import (
    Abandon,
    Command,
    Configure,
    Entry,
    Grant,
    Hold,
    Plugin,
    Policy,
    Refuse,
    Revoke,
    Start,
    Stop,
    Tell,
    Waiter,
    Warn,
)

MIB = 2**20


class SharedSlots:
    """Start slots of which others may hold some."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.held = 0
        self.others = 0
        self.refused = False

    def take(self) -> bool:
        self.refused = self.held + self.others >= self.number
        self.held += not self.refused
        return not self.refused

    def give(self) -> None:
        assert self.held > 0, "a slot was given back twice"
        self.held -= 1


class SharedBudget:
    """Memory of which others may use some."""

    def __init__(self) -> None:
        self.own = 0
        self.others = 0

    def use(self, number: int, /) -> None:
        assert number >= 0
        self.own = number

    def fits(self, number: int, limit: int, /) -> bool:
        return self.own + self.others + number <= limit

    def estimate(self, program: str, /) -> int:
        return 100 * MIB


async def configure(client: Any) -> None:
    """An `on_start` that the simulation never runs."""


class Watch:
    """What is checked during a simulation; each method is called after the simulation took note of the event itself."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation

    def carried_out(self, command: Command) -> None:
        """A command was carried out."""

    def after_event(self) -> None:
        """An event, and all commands that followed from it, are over."""

    def at_the_end(self) -> None:
        """The pool was closed, and all work is done."""


class Simulation:
    """A policy with callers and a driver, each of whose steps is a method.

    What it notes down by itself, and what the checks compare the policy with: processes that run, what each of them is
    doing, the leases that callers have, and who waits.
    """

    def __init__(self, limits: Limits, specs: list[PluginSpec], watch: type[Watch] = Watch, seed: int = 0) -> None:
        self.now = 1000.0
        self.slots = SharedSlots(limits.start_slots or 2)
        self.budget = SharedBudget()
        self.policy = Policy(limits, self.slots, self.budget, random.Random(seed))
        self.limits = limits
        self.entries = [self.policy.entry(f"key {number}".encode(), spec) for number, spec in enumerate(specs)]
        self.history: list[Command] = []
        self.starting: list[Plugin] = []
        self.configuring: list[Plugin] = []
        self.running: list[Plugin] = []
        """Those that are started, and not being stopped."""
        self.dead: set[Plugin] = set()
        self.stopping: list[Plugin] = []
        self.abandoned: set[Plugin] = set()
        self.retired: set[Plugin] = set()
        """Those that were drained or stopped."""
        self.drained_at: dict[Plugin, float] = {}
        self.size: dict[Plugin, int] = {}
        self.largest: dict[str, int] = {}
        self.holds: list[Hold] = []
        """Leases that callers have and that count."""
        self.wanted: dict[Hold, Entry] = {}
        self.lost: list[Hold] = []
        """Leases that callers have, of plugins that died or were revoked."""
        self.waiters: list[Waiter] = []
        self.arrival: dict[Waiter, int] = {}
        self.cancelled: set[Waiter] = set()
        """Callers who are gone before their answer came."""
        self.answers: dict[Waiter, list[Any]] = defaultdict(list)
        self.queued_at: dict[Entry, float] = {}
        self.closed_events = 0
        self._arrivals = itertools.count()
        self.watch = watch(self)

    @property
    def processes(self) -> list[Plugin]:
        """All plugins with a process, or with something of one."""
        return [*self.starting, *self.configuring, *self.running, *self.stopping]

    @property
    def used(self) -> int:
        """Bytes that count."""
        return sum(self.size[plugin] for plugin in self.processes)

    # Callers.

    def lease(
        self, entry: Entry, priority: int = 0, timeout: float = 30.0, *, warm: bool = False
    ) -> Hold | Waiter | PoolError:
        """A caller comes, and gets a lease, or waits, or is refused."""
        hold = self.policy.lease_now(entry, self.now)
        if hold is not None:
            assert not self.policy.commands, "the quick path asked for something"
            self.holds.append(hold)
            self.wanted[hold] = entry
            self._over()
            return hold
        try:
            waiter = self.policy.wait(entry, priority, self.now + timeout, self.now, warm=warm)
        except (PoolFull, PluginUnavailable) as error:
            self._over()
            return error
        self.waiters.append(waiter)
        self.arrival[waiter] = next(self._arrivals)
        self._over()
        return waiter

    def give_back(self, hold: Hold) -> None:
        """A caller gives its lease back, twice."""
        (self.holds if hold in self.holds else self.lost).remove(hold)
        self.policy.give_back(hold, self.now)
        self.policy.give_back(hold, self.now)
        self._over()

    def withdraw(self, waiter: Waiter) -> None:
        """A caller that waits is cancelled, and says so."""
        self.waiters.remove(waiter)
        self.answers[waiter].append("withdrawn")
        self.policy.withdraw(waiter, self.now)
        self._over()

    def vanish(self, waiter: Waiter) -> None:
        """A caller that waits is cancelled, and its answer will meet nobody."""
        self.cancelled.add(waiter)

    # The driver.

    def start_ends(self, plugin: Plugin, error: Exception | None = None, memory: int | None = None) -> None:
        """A start that was asked for ends."""
        self.starting.remove(plugin)
        if error is not None or plugin in self.dead:
            self.policy.failed(plugin, error or PluginExitedError("ended"), self.now)
        else:
            self.running.append(plugin)
            if memory is not None:
                self._note_size(plugin, memory)
            self.policy.launched(plugin, self.now, memory)
        self._over()

    def configuring_ends(self, plugin: Plugin, error: Exception | None = None) -> None:
        """An `on_start` returns or raises."""
        self.configuring.remove(plugin)
        if error is not None:
            self.policy.failed(plugin, error, self.now)
        else:
            self.running.append(plugin)
            self.policy.configured(plugin, self.now)
        self._over()

    def stop_ends(self, plugin: Plugin) -> None:
        """Nothing is left of a plugin."""
        self.stopping.remove(plugin)
        self.policy.stopped(plugin, self.now)
        self._over()

    def die(self, plugin: Plugin, error: Exception | None = None) -> None:
        """A plugin's process ends by itself."""
        if plugin in self.dead:
            return
        self.dead.add(plugin)
        if plugin in self.running:
            self._lose_leases(plugin)
        self.policy.exited(plugin, self.now, error)
        self._over()

    def measure(self, plugin: Plugin, memory: int) -> None:
        """A plugin's memory is known."""
        self._note_size(plugin, memory)
        self.policy.measured(plugin, memory, self.now)
        self._over()

    def advance(self, seconds: float) -> None:
        """Time goes by."""
        end = self.now + seconds
        while (when := self.policy.next_time()) is not None and when <= end:
            self.now = max(self.now, when)
            self.policy.tick(self.now)
            self._over()
        self.now = end

    # The pool and the machine.

    def evict(self, entry: Entry, *, force: bool) -> None:
        self.policy.evict(entry, self.now, force=force)
        self._over()

    def resize(self, limits: Limits) -> None:
        self.limits = limits
        self.policy.resize(limits, self.now)
        self._over()

    def others_use(self, slots: int, memory: int) -> None:
        """Other pools hold so many slots and bytes from now on, as far as there are as many free."""
        self.slots.others = min(slots, self.slots.number - self.slots.held)
        self.budget.others = memory
        self.policy.pump(self.now)
        self._over()

    def close(self, *, force: bool) -> None:
        self.policy.close(self.now, force=force)
        self._over()

    def finish(self) -> None:
        """All callers give back what they have, the pool is closed, and all work is done."""
        self.others_use(0, 0)
        self.close(force=False)
        for hold in [*self.holds, *self.lost]:
            self.give_back(hold)
        while self.processes:
            for plugin in list(self.starting):
                self.start_ends(plugin)
            for plugin in list(self.configuring):
                self.configuring_ends(plugin)
            for plugin in list(self.stopping):
                self.stop_ends(plugin)
            assert not self.running, "a plugin of a closed pool is not stopped"
        self.watch.at_the_end()

    # What the policy asks for.

    def _over(self) -> None:
        while self.policy.commands:
            command = self.policy.commands.popleft()
            self.history.append(command)
            self._carry_out(command)
        self.watch.after_event()

    def _carry_out(self, command: Command) -> None:
        match command:
            case Start(plugin):
                self.starting.append(plugin)
                self.size[plugin] = self.estimate(plugin.entry)
            case Configure(plugin):
                self.running.remove(plugin)
                self.configuring.append(plugin)
            case Abandon(plugin):
                assert plugin in self.starting or plugin in self.configuring
                self.abandoned.add(plugin)
            case Stop(plugin, _):
                self.running.remove(plugin)
                self.stopping.append(plugin)
                self.retired.add(plugin)
            case Revoke(plugin, _):
                self._lose_leases(plugin)
            case Grant(waiter, hold):
                self._granted(waiter, hold)
            case Refuse(waiter, error):
                self._answered(waiter, error)
            case Tell(event):
                self.closed_events += event.kind == "closed"
            case Warn():
                pass
        self.watch.carried_out(command)

    def _answered(self, waiter: Waiter, answer: Any) -> None:
        # A second answer is noted rather than refused: a check says that it is one too many.
        self.waiters = [each for each in self.waiters if each is not waiter]
        self.answers[waiter].append(answer)

    def _granted(self, waiter: Waiter, hold: Hold) -> None:
        self._answered(waiter, hold)
        self.wanted[hold] = waiter.entry
        if waiter in self.cancelled:
            self.policy.decline(hold, self.now)
        else:
            self.holds.append(hold)

    def _lose_leases(self, plugin: Plugin) -> None:
        lost = [hold for hold in self.holds if hold.plugin is plugin]
        self.holds = [hold for hold in self.holds if hold.plugin is not plugin]
        self.lost += lost

    def estimate(self, entry: Entry) -> int:
        """What a process counts for before it is measured."""
        size = self.largest.get(entry.program, 100 * MIB)
        return min(size, self.limits.max_memory_bytes or size)

    def _note_size(self, plugin: Plugin, memory: int) -> None:
        self.size[plugin] = memory
        self.largest[plugin.entry.program] = max(memory, self.largest.get(plugin.entry.program, 0))


MISSING = LaunchError("no such program", None, "launch.not-found")
ENDED = PluginExitedError("ended", exit_status=1, stderr_tail=["last words"])
