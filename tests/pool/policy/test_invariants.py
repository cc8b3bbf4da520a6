"""What holds of every pool, whatever happens to it: one property test for each invariant, over random events.

`FERRULE_EXAMPLES` sets how many runs of up to 50 events each of them makes.
"""

from __future__ import annotations

import ast
import random
from collections import defaultdict
from pathlib import Path

import ferrule.pool.policy
from ferrule.pool import LeaseTimeout, Limits, PluginSpec, PluginUnavailable, PoolFull
from ferrule.pool.policy import Abandon, Command, Entry, Grant, Plugin, Refuse, Revoke, Start, State, Stop, Waiter
from pool.policy.machine import run
from pool.policy.simulation import MIB, Simulation, Watch

STEP = 5.0


def waiting_for(simulation: Simulation, entry: Entry) -> list[Waiter]:
    return [waiter for waiter in simulation.waiters if waiter.entry is entry]


class OneKeyPerProcess(Watch):
    """1. Two keys never share a process, and a process never changes its key."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self.entry_by_plugin: dict[Plugin, Entry] = {}

    def carried_out(self, command: Command) -> None:
        if isinstance(command, Start):
            assert command.plugin not in self.entry_by_plugin, "a process was started twice"
            self.entry_by_plugin[command.plugin] = command.plugin.entry
        elif isinstance(command, Grant):
            assert self.entry_by_plugin[command.hold.plugin] is command.waiter.entry

    def after_event(self) -> None:
        for plugin, entry in self.entry_by_plugin.items():
            assert plugin.entry is entry
        for hold in self.simulation.holds:
            assert self.entry_by_plugin[hold.plugin] is self.simulation.wanted[hold]


def test_1_a_process_has_one_key() -> None:
    run(OneKeyPerProcess)


class WithinLimits(Watch):
    """2. Processes and memory stay within their limits, except for what a process grew by."""

    def carried_out(self, command: Command) -> None:
        if isinstance(command, Start):
            simulation, limits = self.simulation, self.simulation.limits
            assert len(simulation.processes) <= (limits.max_plugins or 500)
            used = simulation.used + simulation.budget.others
            assert used <= (limits.max_memory_bytes or used)
            assert simulation.slots.held + simulation.slots.others <= simulation.slots.number

    def after_event(self) -> None:
        simulation, limits = self.simulation, self.simulation.limits
        assert simulation.policy.memory == simulation.budget.own == simulation.used
        assert set(simulation.policy.live) == set(simulation.processes)
        staying = [plugin for plugin in simulation.processes if plugin not in simulation.stopping]
        idle = [plugin for plugin in staying if plugin.state is State.READY]
        used = sum(simulation.size[plugin] for plugin in staying) + simulation.budget.others
        is_over = used > (limits.max_memory_bytes or used) or len(staying) > (limits.max_plugins or 500)
        assert not (is_over and idle), "an idle plugin is kept although a limit is exceeded"


def test_2_processes_and_memory_stay_within_their_limits() -> None:
    run(WithinLimits)


class LeasesOfReadyPlugins(Watch):
    """3. Leases are of plugins that serve, and each of them counts until it ends, once."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self.before: set[int] = set()

    def after_event(self) -> None:
        simulation = self.simulation
        leases: dict[Entry, int] = defaultdict(int)
        by_plugin: dict[Plugin, int] = defaultdict(int)
        for hold in simulation.holds:
            plugin = hold.plugin
            leases[plugin.entry] += 1
            by_plugin[plugin] += 1
            assert plugin in simulation.running
            assert plugin not in simulation.dead
            assert plugin.state in {State.LEASED, State.DRAINING}
            if id(hold) not in self.before:
                assert plugin.state is State.LEASED or plugin.reason in {"calls", "pressure", "memory"}
        self.before = {id(hold) for hold in simulation.holds}
        for entry in simulation.entries:
            assert entry.leases == leases[entry] <= entry.limit
            if entry.group is not None:
                inside = sum(leases[each] for each in simulation.entries if each.group is entry.group)
                assert entry.group.leases == inside
        for plugin in simulation.policy.live:
            assert len(plugin.holds) == by_plugin[plugin]
            if plugin.state in {State.READY, State.LEASED}:
                assert plugin.entry.serving is plugin
                assert (plugin.state is State.LEASED) == bool(plugin.holds)


def test_3_leases_are_of_plugins_that_serve_and_end_once() -> None:
    run(LeasesOfReadyPlugins)


class MaintenanceHurtsNobody(Watch):
    """4. No lease ends, and no caller is refused, because of age, calls, idle time, pressure or memory."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self.draining_since: dict[Plugin, float] = {}

    def carried_out(self, command: Command) -> None:
        simulation = self.simulation
        if isinstance(command, Revoke):
            plugin = command.plugin
            waited = simulation.now - self.draining_since.get(plugin, simulation.now)
            assert command.reason in {"evicted", "close"} or waited > 7.999
        elif isinstance(command, Stop):
            assert not any(hold.plugin is command.plugin for hold in simulation.holds)
        elif isinstance(command, Refuse) and isinstance(command.error, PluginUnavailable):
            assert command.error.__cause__ is not None, "refused although nothing failed"

    def after_event(self) -> None:
        for plugin in self.simulation.running:
            if plugin.state is State.DRAINING:
                self.draining_since.setdefault(plugin, self.simulation.now)
            else:
                self.draining_since.pop(plugin, None)


def test_4_maintenance_ends_no_lease() -> None:
    run(MaintenanceHurtsNobody)


class OneAnswer(Watch):
    """5. What may have begun is not done a second time: a caller gets one answer, and a lease one plugin."""

    def after_event(self) -> None:
        for waiter, answers in self.simulation.answers.items():
            assert len(answers) == 1, waiter
            assert waiter not in self.simulation.waiters
        holds = [*self.simulation.holds, *self.simulation.lost]
        assert len(holds) == len(set(holds))
        assert not any(hold.ended for hold in holds)

    def at_the_end(self) -> None:
        assert not self.simulation.waiters, "callers without an answer"


def test_5_each_caller_gets_one_answer() -> None:
    run(OneAnswer)


class BoundedQueue(Watch):
    """6. The queue is bounded, and no wait is longer than its caller wants."""

    def carried_out(self, command: Command) -> None:
        if isinstance(command, Refuse) and isinstance(command.error, LeaseTimeout):
            waiter, error = command.waiter, command.error
            assert waiter.deadline <= self.simulation.now
            assert error.waited == self.simulation.now - waiter.since
            assert error.held_by in {
                "start slots", "memory", "plugins", "concurrency", "group", "start", "backoff",
            }  # fmt: skip
            assert f"held by {error.held_by}" in error.message or f"then {error.held_by}" in error.message

    def after_event(self) -> None:
        simulation = self.simulation
        assert simulation.policy.waiting == len(simulation.waiters)
        next_time = simulation.policy.next_time()
        for waiter in simulation.waiters:
            assert waiter in waiter.entry.waiters
            assert next_time is not None
            assert next_time <= waiter.deadline


class Crowd(BoundedQueue):
    """The same, with the one too many after each event."""

    def after_event(self) -> None:
        super().after_event()
        policy = self.simulation.policy
        for entry in self.simulation.entries:
            if policy.waiting >= policy.limits.max_waiting and not policy.is_closing and not entry.can_lease:
                try:
                    policy.wait(entry, 0, self.simulation.now + 1, self.simulation.now)
                except PoolFull:
                    assert policy.waiting == len(self.simulation.waiters)
                else:
                    raise AssertionError("one too many was let in")


def test_6_the_queue_is_bounded_and_waits_end() -> None:
    run(Crowd)


class InOrder(Watch):
    """7. Priority, then arrival; a step of waiting is worth a step of priority."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self.queued: set[Plugin | None] = set()

    def rank(self, waiter: Waiter, since: float = 0.0) -> tuple[float, int]:
        return (max(waiter.since, since) - STEP * waiter.priority, self.simulation.arrival.get(waiter, 10**9))

    def carried_out(self, command: Command) -> None:
        if isinstance(command, Grant):
            others = waiting_for(self.simulation, command.waiter.entry)
            assert all(self.rank(command.waiter) < self.rank(other) for other in others), "somebody was passed"
        elif isinstance(command, Start):
            self.is_next(command.plugin)

    def is_next(self, plugin: Plugin) -> None:
        """A start passes no other that was asked for before it by a caller with the same priority, or a higher one."""
        mine = [self.rank(waiter, plugin.queued_at)[0] for waiter in waiting_for(self.simulation, plugin.entry)]
        for entry in self.simulation.entries:
            other = entry.coming
            if other is None or other not in self.queued or other.state is not State.QUEUED:
                continue
            if entry.serving is not None or not mine:
                continue
            theirs = entry.waiters.first()
            if theirs is not None:
                assert min(mine) <= self.rank(theirs, other.queued_at)[0]

    def after_event(self) -> None:
        self.queued = {entry.coming for entry in self.simulation.entries}
        for entry in self.simulation.entries:
            assert not (entry.waiters and entry.can_lease), "somebody waits for what is to be had"
        self.has_started_what_fits()

    def has_started_what_fits(self) -> None:
        simulation, limits = self.simulation, self.simulation.limits
        queued = [entry.coming for entry in simulation.entries if entry.coming and entry.coming.state is State.QUEUED]
        if not queued or simulation.slots.held + simulation.slots.others >= simulation.slots.number:
            return
        used, most = simulation.used + simulation.budget.others, limits.max_memory_bytes
        has_place = len(simulation.processes) < (limits.max_plugins or 500)
        fits = [most is None or used + simulation.estimate(plugin.entry) <= most for plugin in queued]
        assert not (has_place and all(fits)), "a start waits for nothing"


def test_7_callers_are_served_in_order() -> None:
    run(InOrder)


class NothingLeft(Watch):
    """8. Whoever is cancelled leaves counters, slots and memory as they were, and no process."""

    def after_event(self) -> None:
        simulation = self.simulation
        assert simulation.slots.held == len(simulation.starting)
        for plugin in simulation.starting:
            wanted = waiting_for(simulation, plugin.entry) or plugin.keep
            assert wanted or plugin in simulation.abandoned, "a start for nobody goes on"
        for entry in simulation.entries:
            if entry.coming is not None and entry.coming.state is State.QUEUED:
                assert entry.waiters or (entry.serving is not None and entry.serving.reason)
            if entry.waiters and entry.serving is None and not simulation.policy.is_closing:
                assert self.has_prospect(entry), "waiters are forgotten"

    def has_prospect(self, entry: Entry) -> bool:
        is_retried = entry in self.simulation.policy._context.timers
        return entry.coming is not None or is_retried or bool(entry.spec.exclusive and entry.draining)

    def at_the_end(self) -> None:
        simulation = self.simulation
        assert simulation.slots.held == 0
        assert simulation.budget.own == 0
        assert simulation.policy.waiting == 0
        assert all(entry.leases == 0 for entry in simulation.entries)
        assert not any(entry.serving or entry.coming or entry.draining for entry in simulation.entries)


def test_8_the_cancelled_leave_nothing() -> None:
    run(NothingLeft)


class SharedStarts(Watch):
    """9. A start is shared: one at a time for a key, given up for all or for nobody; each failure is an object."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self.errors: set[int] = set()
        self.kept: list[Exception] = []

    def carried_out(self, command: Command) -> None:
        simulation = self.simulation
        if isinstance(command, Start):
            started = [*simulation.starting, *simulation.configuring]
            of_key = [plugin for plugin in started if plugin.entry is command.plugin.entry]
            assert of_key == [command.plugin], "two starts of one key"
        elif isinstance(command, Abandon) and command.plugin not in simulation.dead:
            others = waiting_for(simulation, command.plugin.entry)
            assert simulation.policy.is_closing or not others, "a start was given up under those who wait for it"
        elif isinstance(command, Refuse):
            assert id(command.error) not in self.errors, "two callers share one exception"
            self.errors.add(id(command.error))
            self.kept.append(command.error)


def test_9_starts_are_shared() -> None:
    run(SharedStarts)


class NothingAfterClose(Watch):
    """10. A pool that is closed has no process and no timer."""

    def after_event(self) -> None:
        if self.simulation.policy.is_closing:
            assert not self.simulation.waiters
            assert all(entry.serving is None for entry in self.simulation.entries)

    def at_the_end(self) -> None:
        assert self.simulation.policy.live == ()
        assert self.simulation.policy.next_time() is None
        assert self.simulation.closed_events == 1


def test_10_nothing_is_left_of_a_closed_pool() -> None:
    run(NothingAfterClose)


def test_11_the_policy_reads_no_clock_and_draws_no_chance_of_its_own() -> None:
    forbidden = {"time", "asyncio", "threading", "datetime", "os.urandom", "secrets", "grpc"}
    for path in Path(ferrule.pool.policy.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & forbidden, path
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "random":
                assert node.attr == "Random", path


def story(seed: int) -> list[str]:
    """What becomes of one and the same sequence of events."""
    specs = [PluginSpec(["x"], name=str(number), max_age=10.0, max_idle=50.0) for number in range(3)]
    simulation = Simulation(Limits(max_plugins=2, start_slots=1), specs, seed=seed)
    events = random.Random(1)
    for _ in range(200):
        simulation.lease(events.choice(simulation.entries))
        simulation.advance(events.random() * 3)
        for plugin in list(simulation.starting):
            simulation.start_ends(plugin, memory=events.randrange(50 * MIB))
        for hold in simulation.holds[1:]:
            simulation.give_back(hold)
        for plugin in list(simulation.stopping):
            simulation.stop_ends(plugin)
    return [type(command).__name__ + str(getattr(command, "event", "")) for command in simulation.history]


def test_11_equal_events_and_seeds_make_equal_decisions() -> None:
    assert story(seed=1) == story(seed=1)
    assert story(seed=1) != story(seed=2)
