"""The picture of docs/observing.md: a pool under load for a minute, scraped every half second.

    python benches/observing.py build/go/kv docs/observing.svg

Forty configurations of one plugin share a pool of 24, so that the rarer ones are stopped and started again. From the
middle on, a plugin is killed every two seconds. Each panel is one of the dashboard's, drawn by hand from what
`PoolCollector` has.
"""

import asyncio
import math
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry

from ferrule.errors import RPCPluginError
from ferrule.pool import Limits, PluginPool, PluginSpec
from ferrule.pool.prometheus import PoolCollector
from ferrule.testing import KV_CONFIG, KVStub, kv_pb2
from svg import line, page, text

SECONDS, SCRAPE_SECONDS, KILL_SECONDS = 60.0, 0.5, 2.0
KEYS, PLUGINS, CALLERS = 40, 24, 24
WINDOW = 10
"""Scrapes over which rates are taken."""

COLOURS = ("#2563eb", "#c2410c", "#15803d", "#7c3aed", "#a16207", "#0e7490", "#be185d")
PANEL_WIDTH, PANEL_HEIGHT, TITLE_HEIGHT, COLUMNS = 400, 210, 56, 2
LEFT, RIGHT, TOP, BOTTOM = 56, 14, 40, 44

Labels = frozenset[tuple[str, str]]
Scrape = Mapping[tuple[str, Labels], float]
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Scrapes:
    """What was read, and when, in seconds since the beginning."""

    times: list[float]
    values: list[Scrape]

    def groups(self, name: str, label: str) -> list[str]:
        """The values of a label, in alphabetical order."""
        return sorted({dict(key[1]).get(label, "") for key in self.values[-1] if key[0] == name})

    def sum(self, at: int, name: str, **labels: str) -> float:
        """The sum of the series that have these labels, at one scrape."""
        wanted = set(labels.items())
        return sum(value for (each, found), value in self.values[at].items() if each == name and wanted <= found)

    def gauge(self, name: str, **labels: str) -> Points:
        """The sum of series over time."""
        return [(time, self.sum(at, name, **labels)) for at, time in enumerate(self.times)]

    def rate(self, name: str, **labels: str) -> Points:
        """The sum of the rates of counters."""
        points = []
        for at in range(1, len(self.times)):
            since = max(at - WINDOW, 0)
            grown = self.sum(at, name, **labels) - self.sum(since, name, **labels)
            points.append((self.times[at], grown / (self.times[at] - self.times[since])))
        return points

    def quantile(self, quantile: float, name: str) -> Points:
        """A quantile as PromQL's `histogram_quantile` has it; moments without any value are left out."""
        bounds = sorted({float(dict(key[1])["le"]) for key in self.values[-1] if key[0] == f"{name}_bucket"})
        names = {float(dict(key[1])["le"]): dict(key[1])["le"] for key in self.values[-1] if key[0] == f"{name}_bucket"}
        points = []
        for at in range(1, len(self.times)):
            since = max(at - WINDOW, 0)
            reached = [
                self.sum(at, f"{name}_bucket", le=names[bound]) - self.sum(since, f"{name}_bucket", le=names[bound])
                for bound in bounds
            ]
            if reached[-1]:
                points.append((self.times[at], _within(bounds, reached, quantile * reached[-1])))
        return points


def _within(bounds: Sequence[float], reached: Sequence[float], rank: float) -> float:
    at = next(number for number, count in enumerate(reached) if count >= rank)
    if at == len(bounds) - 1:
        return bounds[-2]
    lower, below = (bounds[at - 1], reached[at - 1]) if at else (0.0, 0.0)
    return lower + (bounds[at] - lower) * (rank - below) / max(reached[at] - below, 1e-9)


async def observed(program: str) -> Scrapes:
    """What a scraper reads of a pool under load."""
    registry, scrapes = CollectorRegistry(), Scrapes([], [])
    specs = [PluginSpec([program], {**KV_CONFIG, "env": {"KEY": str(number)}}, name="kv") for number in range(KEYS)]
    chosen = random.Random(1)
    async with PluginPool(Limits(max_plugins=PLUGINS, max_memory_bytes=200 * 2**20), name="providers") as pool:
        registry.register(PoolCollector(pool))
        began = time.monotonic()

        async def call() -> None:
            weights = [1 / (number + 1) for number in range(KEYS)]
            while time.monotonic() < began + SECONDS:
                (spec,) = chosen.choices(specs, weights)
                try:
                    async with pool.lease(spec) as lease:
                        stub = lease.stub(KVStub)
                        for _ in range(20):
                            await stub.Put(kv_pb2.PutRequest(key="k", value=b"v" * 1000))
                except RPCPluginError:
                    continue
                await asyncio.sleep(0.02)

        async def kill() -> None:
            await asyncio.sleep(SECONDS / 2)
            while time.monotonic() < began + SECONDS:
                leased = [each for each in pool.stats().plugins if each.leases and each.pid]
                if leased:
                    pid = chosen.choice(leased).pid
                    assert pid is not None
                    os.kill(pid, signal.SIGKILL)
                await asyncio.sleep(KILL_SECONDS)

        async def scrape() -> None:
            while time.monotonic() < began + SECONDS:
                scrapes.times.append(time.monotonic() - began)
                scrapes.values.append(
                    {
                        (sample.name, frozenset(sample.labels.items())): sample.value
                        for family in registry.collect()
                        for sample in family.samples
                    }
                )
                await asyncio.sleep(SCRAPE_SECONDS)

        await asyncio.gather(kill(), scrape(), *(call() for _ in range(CALLERS)))
    return scrapes


@dataclass(frozen=True)
class Panel:
    """Curves over time."""

    title: str
    curves: Mapping[str, Points]
    show: Callable[[float], str]


def panels(scrapes: Scrapes) -> list[Panel]:
    """Eight panels of the dashboard."""

    def by(name: str, label: str) -> dict[str, Points]:
        curves = {value: scrapes.rate(name, **{label: value}) for value in scrapes.groups(name, label)}
        return {value: points for value, points in curves.items() if any(y for _, y in points)}

    states = scrapes.groups("ferrule_pool_plugins", "state")
    by_state = {state: scrapes.gauge("ferrule_pool_plugins", state=state) for state in states}
    return [
        Panel("Outcome unknown", {"calls": scrapes.gauge("ferrule_pool_calls_unknown_total")}, _number),
        Panel(
            "Wait for a lease",
            {f"p{q}": scrapes.quantile(q / 100, "ferrule_pool_lease_wait_seconds") for q in (50, 95, 99)},
            _seconds,
        ),
        Panel("Leases by outcome, per second", by("ferrule_pool_lease_wait_seconds_count", "outcome"), _number),
        Panel(
            "Plugins by state",
            {state: points for state, points in by_state.items() if any(y for _, y in points)},
            _number,
        ),
        Panel("Starts and ends, per second", _starts_and_ends(scrapes, by), _number),
        Panel(
            "Calls by status, per second",
            by("ferrule_rpc_client_call_seconds_count", "rpc_response_status_code"),
            _number,
        ),
        Panel(
            "Duration of calls",
            {f"p{q}": scrapes.quantile(q / 100, "ferrule_rpc_client_call_seconds") for q in (50, 95, 99)},
            _seconds,
        ),
        Panel(
            "Private memory, and what plugins share",
            {
                "kv": scrapes.gauge("ferrule_pool_memory_bytes", plugin="kv"),
                "shared": scrapes.gauge("ferrule_pool_memory_bytes", plugin="(shared)"),
                "limit": scrapes.gauge("ferrule_pool_memory_limit_bytes"),
            },
            lambda value: f"{value / 2**20:.0f} MiB",
        ),
    ]


def _starts_and_ends(scrapes: Scrapes, by: Callable[[str, str], dict[str, Points]]) -> dict[str, Points]:
    ends = {f"end: {reason}": points for reason, points in by("ferrule_pool_plugin_exits_total", "reason").items()}
    return {"start": scrapes.rate("ferrule_pool_plugin_starts_total", error_type="none"), **ends}


def _round_up(value: float) -> float:
    """The next one of 1, 2 and 5 times a power of ten; a power of two times as many for bytes."""
    unit = 2**20 if value >= 2**20 else 1
    power = 10.0 ** math.floor(math.log10(value / unit)) if value else 1.0
    return next(step * power for step in (1, 2, 5, 10) if step * power * unit >= value) * unit


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value >= 1 else f"{value * 1000:.3g} ms"


def draw(panel: Panel, left: float, top: float) -> list[str]:
    """One panel: axes, curves, and their names below."""
    height, width = PANEL_HEIGHT - TOP - BOTTOM, PANEL_WIDTH - LEFT - RIGHT
    most = _round_up(max((y for points in panel.curves.values() for _, y in points), default=0))
    bottom = top + TOP + height
    parts = [text(left + LEFT, top + 24, panel.title, style='font-weight="bold"')]
    for share in (0, 0.5, 1):
        y = bottom - share * height
        parts.append(line(left + LEFT, y, left + LEFT + width, y, "#ddd"))
        parts.append(text(left + LEFT - 6, y + 4, panel.show(share * most), "end", 'fill="#555" font-size="10"'))
    x = left + LEFT
    for number, (name, points) in enumerate(panel.curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(
            f"{left + LEFT + at / SECONDS * width:.1f},{bottom - value / most * height:.1f}" for at, value in points
        )
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.3"/>')
        parts.append(line(x, bottom + 20, x + 12, bottom + 20, colour, 3))
        parts.append(text(x + 16, bottom + 24, name, style='fill="#333" font-size="10"'))
        x += 30 + 6.2 * len(name)
    return parts


def picture(scrapes: Scrapes) -> str:
    """All panels on one page."""
    drawn = panels(scrapes)
    rows = -(-len(drawn) // COLUMNS)
    parts = [
        part
        for number, panel in enumerate(drawn)
        for part in draw(panel, number % COLUMNS * PANEL_WIDTH, TITLE_HEIGHT + number // COLUMNS * PANEL_HEIGHT)
    ]
    subtitle = (
        f"{KEYS} configurations in a pool of {PLUGINS} plugins, {CALLERS} callers, {SECONDS:g} s; "
        f"from the middle on a plugin is killed every {KILL_SECONDS:g} s"
    )
    return page(PANEL_WIDTH * COLUMNS, TITLE_HEIGHT + rows * PANEL_HEIGHT, "Ferrule: pools of plugins", subtitle, parts)


def main() -> None:
    """Runs the pool and draws the picture."""
    program, target = sys.argv[1:]
    Path(target).write_text(picture(asyncio.run(observed(program))))


if __name__ == "__main__":
    main()
