"""Events in order of time, and what happens at each."""

import heapq
import itertools
import math
import random
import statistics
from bisect import bisect
from collections.abc import Callable
from typing import Any

from simulation.node import Call, Node, Plugin, State
from simulation.outcome import Outcome
from simulation.placement import placement_of
from simulation.scenario import Scenario

MEDIAN_CALL_SECONDS, CALL_SIGMA, SHORTEST_CALL_SECONDS = 0.05, 1.0, 0.002
"""Time of a call in its provider, which waits for a cloud: log-normal, p99 about half a second."""
START_SPREAD = (0.8, 1.3)
WAIT_LIMIT_SECONDS = 30.0
CALLS_LIMIT = 20_000
"""Calls in the whole system above which a new one is refused at once."""
LOSS_SEEN_SECONDS, NODE_BACK_SECONDS = 2.0, 120.0
"""From the loss of a node until its waiting calls are sent elsewhere, and until it comes back without plugins."""
SAMPLE_SECONDS = 5.0


class Simulator:
    """One scenario from begin to end; `run` once."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._outcome = Outcome()
        self._nodes = [Node(number, scenario) for number in range(scenario.nodes)]
        self._place = placement_of(scenario, self._nodes)
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._sequence = itertools.count()
        self._now = 0.0
        self._calls = 0
        self._samples: list[float] = []
        # A stream for each purpose: scenarios that differ in one setting are offered the same calls.
        self._arrivals, self._keys, self._durations, self._start_times, self._losses = (
            random.Random(f"{purpose} {scenario.seed}")
            for purpose in ("arrivals", "keys", "durations", "starts", "losses")
        )
        weights = ((rank + 1) ** -scenario.zipf for rank in range(scenario.configurations))
        self._cumulated = list(itertools.accumulate(weights))

    def run(self) -> Outcome:
        """Carries out every event until no call is left."""
        scenario, outcome = self._scenario, self._outcome
        self._after(self._arrivals.expovariate(scenario.calls_per_second), self._arrive)
        self._after(scenario.warm_up_seconds, self._sample)
        measured_seconds = scenario.seconds - scenario.warm_up_seconds
        for number in range(scenario.losses):
            share = (number + 1) / (scenario.losses + 1)
            self._after(scenario.warm_up_seconds + share * measured_seconds, self._lose)
        while self._events:
            self._now, _, happen, arguments = heapq.heappop(self._events)
            happen(*arguments)
        outcome.waits.sort()
        outcome.mean_mib = statistics.fmean(self._samples)
        outcome.peak_mib = max(node.peak_mib for node in self._nodes)
        outcome.starts = sum(node.starts for node in self._nodes)
        outcome.evicted = sum(node.evicted for node in self._nodes)
        return outcome

    def _after(self, seconds: float, happen: Callable[..., None], *arguments: Any) -> None:
        heapq.heappush(self._events, (self._now + seconds, next(self._sequence), happen, arguments))

    def _is_measured(self, call: Call) -> bool:
        return call.arrived >= self._scenario.warm_up_seconds

    # Calls

    def _arrive(self) -> None:
        wait = self._arrivals.expovariate(self._scenario.calls_per_second)
        if self._now + wait < self._scenario.seconds:
            self._after(wait, self._arrive)
        key = bisect(self._cumulated, self._keys.random() * self._cumulated[-1])
        duration = self._durations.lognormvariate(math.log(MEDIAN_CALL_SECONDS), CALL_SIGMA) + SHORTEST_CALL_SECONDS
        call = Call(self._now, key, duration)
        self._outcome.offered += 1
        self._outcome.measured += self._is_measured(call)
        if self._calls >= CALLS_LIMIT:
            self._outcome.refused += 1
            return
        self._calls += 1
        self._submit(call)

    def _submit(self, call: Call) -> None:
        node = self._place(call.key)
        node.load += 1
        plugin = node.plugins.get(call.key)
        if plugin is None:
            plugin = node.plugins[call.key] = Plugin(call.key)
            node.start_queue.append(plugin)
        if self._is_measured(call) and plugin.state is not State.READY:
            self._outcome.cold += 1
        if plugin.state is State.READY and plugin.running < self._scenario.calls_per_plugin:
            self._begin(node, plugin, call)
        else:
            plugin.waiting[call] = None
            call.waiting_for = plugin
            self._after(max(0.0, call.arrived + WAIT_LIMIT_SECONDS - self._now), self._give_up, node, node.epoch, call)
            self._start_what_can(node)

    def _begin(self, node: Node, plugin: Plugin, call: Call) -> None:
        call.waiting_for = None
        plugin.running += 1
        plugin.served += 1
        if node.idle.get(plugin.key) is plugin:
            del node.idle[plugin.key]
        if self._is_measured(call):
            self._outcome.waits.append(self._now - call.arrived)
        self._after(call.seconds, self._end, node, node.epoch, plugin, call)

    def _begin_waiting(self, node: Node, plugin: Plugin) -> None:
        while plugin.waiting and plugin.running < self._scenario.calls_per_plugin:
            call = next(iter(plugin.waiting))
            del plugin.waiting[call]
            self._begin(node, plugin, call)
        node.rest(plugin, self._now)

    def _give_up(self, node: Node, epoch: int, call: Call) -> None:
        plugin = call.waiting_for
        if plugin is None or epoch != node.epoch:
            return
        del plugin.waiting[call]
        self._leave(node)
        self._outcome.timed_out += 1
        if plugin.state is State.QUEUED and not plugin.waiting and plugin.predecessor is None:
            node.drop(plugin)

    def _end(self, node: Node, epoch: int, plugin: Plugin, call: Call) -> None:
        if epoch != node.epoch:
            return
        plugin.running -= 1
        self._leave(node)
        self._outcome.done += 1
        self._outcome.in_time += self._is_measured(call) and self._now <= self._scenario.seconds
        if plugin.state is State.DRAINING:
            if not plugin.running:
                node.stop(plugin)
        else:
            self._replace_if_due(node, plugin)
            self._begin_waiting(node, plugin)
        self._start_what_can(node)

    def _leave(self, node: Node) -> None:
        self._calls -= 1
        node.load -= 1

    # Plugins

    def _start_what_can(self, node: Node) -> None:
        while (plugin := node.next_start()) is not None:
            seconds = self._scenario.start_seconds * self._start_times.uniform(*START_SPREAD)
            self._after(seconds, self._ready, node, node.epoch, plugin)

    def _ready(self, node: Node, epoch: int, plugin: Plugin) -> None:
        if epoch != node.epoch:
            return
        node.starting -= 1
        plugin.state = State.READY
        if plugin.predecessor is not None:
            self._hand_over(node, plugin.predecessor, plugin)
        if plugin.state is State.READY:
            self._begin_waiting(node, plugin)
        self._start_what_can(node)

    def _replace_if_due(self, node: Node, plugin: Plugin) -> None:
        """Asks for a successor after so many calls; without overlap it has the key from now on, ready or not."""
        if not 0 < self._scenario.max_calls <= plugin.served or plugin.successor is not None:
            return
        plugin.successor = Plugin(plugin.key, predecessor=plugin)
        node.start_queue.append(plugin.successor)
        if not self._scenario.overlap:
            self._hand_over(node, plugin, plugin.successor)

    def _hand_over(self, node: Node, plugin: Plugin, successor: Plugin) -> None:
        """The successor gets the key and the calls that wait; the plugin ends with its last call."""
        successor.predecessor, plugin.successor = None, None
        if node.plugins.get(plugin.key, plugin) is not plugin:
            # The plugin was stopped for room meanwhile, and the key has another.
            node.stop(successor)
            return
        node.plugins[plugin.key] = successor
        successor.waiting, plugin.waiting = plugin.waiting, {}
        for call in successor.waiting:
            call.waiting_for = successor
        if plugin.state is State.READY:
            plugin.state = State.DRAINING
            if not plugin.running:
                node.stop(plugin)

    # Nodes

    def _sample(self) -> None:
        self._samples.append(statistics.fmean(node.memory_mib for node in self._nodes))
        for node in self._nodes:
            node.stop_idle(self._now)
            self._start_what_can(node)
        if self._now + SAMPLE_SECONDS < self._scenario.seconds:
            self._after(SAMPLE_SECONDS, self._sample)

    def _lose(self) -> None:
        """A node ends with its plugins: what ran there is unknown, what waited there moves a moment later."""
        node = self._losses.choice([node for node in self._nodes if node.is_up])
        waiting = [call for plugin in node.plugins.values() for call in plugin.waiting]
        self._outcome.moved += len(waiting)
        self._outcome.unknown += node.load - len(waiting)
        self._calls -= node.load - len(waiting)
        node.lose()
        self._after(NODE_BACK_SECONDS, node.come_back)
        for call in waiting:
            self._after(LOSS_SEEN_SECONDS, self._submit, call)
