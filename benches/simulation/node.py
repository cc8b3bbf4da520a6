"""One machine with its plugins: what it holds, what it starts next, what it stops for room."""

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from enum import Enum, auto

from simulation.scenario import Scenario


@dataclass(slots=True, eq=False)
class Call:
    """A call from its arrival until its end."""

    arrived: float
    key: int
    seconds: float
    waiting_for: "Plugin | None" = None


class State(Enum):
    """What a plugin is doing; a plugin holds memory in all states but the first and the last."""

    QUEUED = auto()
    STARTING = auto()
    READY = auto()
    DRAINING = auto()
    GONE = auto()


@dataclass(slots=True, eq=False)
class Plugin:
    """A process that serves one configuration.

    Attributes:
        key: Number of its configuration.
        waiting: Calls that wait for it, in order of arrival; those that gave up are no longer in it.
        running: Calls that it is doing.
        served: Calls that it has begun.
        idle_since: When its last call ended.
        predecessor: The plugin that serves until this one is ready.
        successor: The plugin that was asked for in its place.
    """

    key: int
    state: State = State.QUEUED
    waiting: dict[Call, None] = field(default_factory=dict)
    running: int = 0
    served: int = 0
    idle_since: float = 0.0
    predecessor: "Plugin | None" = None
    successor: "Plugin | None" = None


class Node:
    """The plugins of one machine.

    Attributes:
        number: Its place among the nodes.
        is_up: Whether it takes calls.
        epoch: Number of times that it was lost: an event of an earlier epoch is of a process that is gone.
        load: Calls that run or wait on it.
        plugins: The plugin that serves a key, or will.
        idle: Ready plugins without a call, the longest unused first.
        start_queue: Plugins that wait for a start slot and memory.
        starting: Start slots in use.
        memory_mib, peak_mib: Memory of all plugins now, and at most so far.
        evicted: Idle plugins stopped for room.
        starts: Plugins started.
    """

    def __init__(self, number: int, scenario: Scenario) -> None:
        self.number = number
        self._scenario = scenario
        self.is_up = True
        self.epoch = self.evicted = self.starts = 0
        self.peak_mib = 0.0
        self._forget()

    def _forget(self) -> None:
        self.load = self.starting = 0
        self.memory_mib = 0.0
        self.plugins: dict[int, Plugin] = {}
        self.idle: OrderedDict[int, Plugin] = OrderedDict()
        self.start_queue: deque[Plugin] = deque()

    def lose(self) -> None:
        """All plugins end at once."""
        self.is_up = False
        self.epoch += 1
        self._forget()

    def next_start(self) -> Plugin | None:
        """The plugin that a free slot starts now, if there is memory for it; None when none can be started."""
        while self.start_queue and self.starting < self._scenario.start_slots:
            if self.start_queue[0].state is State.GONE:
                self.start_queue.popleft()
            elif self.memory_mib + self._scenario.plugin_mib > self._scenario.node_mib:
                if not self.idle:
                    return None
                self.evicted += 1
                self.stop(next(iter(self.idle.values())))
            else:
                return self._start(self.start_queue.popleft())
        return None

    def _start(self, plugin: Plugin) -> Plugin:
        plugin.state = State.STARTING
        self.starts += 1
        self.starting += 1
        self.memory_mib += self._scenario.plugin_mib
        self.peak_mib = max(self.peak_mib, self.memory_mib)
        return plugin

    def come_back(self) -> None:
        """Takes calls again, without a plugin."""
        self.is_up = True

    def stop(self, plugin: Plugin) -> None:
        """A plugin without calls ends, and gives its memory back."""
        plugin.state = State.GONE
        if plugin.successor is not None and plugin.successor.state is State.QUEUED:
            plugin.successor.state = State.GONE
        self.memory_mib -= self._scenario.plugin_mib
        if self.idle.get(plugin.key) is plugin:
            del self.idle[plugin.key]
        if self.plugins.get(plugin.key) is plugin:
            del self.plugins[plugin.key]

    def drop(self, plugin: Plugin) -> None:
        """A plugin for which no call waits any more is not started."""
        plugin.state = State.GONE
        if self.plugins.get(plugin.key) is plugin:
            del self.plugins[plugin.key]

    def rest(self, plugin: Plugin, now: float) -> None:
        """Counts a ready plugin without calls as idle."""
        if plugin.state is State.READY and not plugin.running and not plugin.waiting:
            plugin.idle_since = now
            self.idle[plugin.key] = plugin

    def stop_idle(self, now: float) -> None:
        """Stops what was idle for too long."""
        while self.idle:
            plugin = next(iter(self.idle.values()))
            if now - plugin.idle_since < self._scenario.idle_seconds:
                return
            self.stop(plugin)
