"""The page docs/soak.md and its plot, out of the newest run: `python -m soak.page RESULTS` takes a run over."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from peers import ROOT
from soak.flatness import growth, later_half
from soak.sampling import MEASURES, MIB, Measure

# Only for this import: names of benchmarks are names of folders of tests too.
sys.path.insert(0, str(ROOT / "benches"))
from reporting.time_chart import Curve, Panel, draw

sys.path.remove(str(ROOT / "benches"))

NEWEST_RUN = Path(__file__).parent / "newest_run.json"
PAGE, PLOT = ROOT / "docs" / "soak.md", ROOT / "docs" / "soak.svg"

PANELS = {
    "memory": "Memory, MiB",
    "counts": "Descriptors",
    "small counts": "Threads, tasks, processes of the program",
    "fastest": "Latency of the fastest tenth, ms",
    "latency": "Median latency, ms",
    "long latency": "Longest latencies, ms",
    "cpu": "CPU for a piece of work, ms",
    "work": "Load: pieces of work per second",
}
"""The panels of the plot, in its order, and their titles."""

TEXT = """\
# Under load for long

A host that runs for weeks must not grow. `make soak` puts {plugins} real plugins under a mixed load for half an hour,
kills, restarts and freezes them, and fails unless all that it measures stays where it is. This page shows the newest
run that was taken over: {minutes:.0f} minutes until {date}, commit {commit}, CPython {python}, Linux {kernel}, seed
{seed}, on two cores that had much other work.

![What the program holds, and how long calls take](soak.svg)

## The load

{population}

Half of the plugins have mutual TLS, the others none; plugins with a broker are multiplexed or not. Each does a piece
of work every half second on average: small and large calls, calls at once, streams that are read to the end or left,
calls that are cancelled or have no time, plans and applies of resources, brokered connections both ways, log lines by
the thousand.

Meanwhile a plugin is killed, stopped for a moment, replaced, or closed under its calls about once a second; some
starts are given up half-way. One plugin of each kind lives through the whole run, so that what it holds can be
measured too.

**Each answer is compared with the right one.** An error is accepted only while its plugin is in such a trouble, and
only one that says so. In the end nothing may be left: no descriptor, thread, task, process or file.

| What became of the work | Number |
|---|---:|
{ends}

| Trouble | Number |
|---|---:|
{troubles}

Findings: {found}.

## What is flat

The rule: over the later half of the run (grey in the plot), by the median of the slopes of all pairs of samples
(Theil and Sen), a measure may grow by a share of its level, or by a floor where the level is low. A median follows
the run, and neither a late collection of garbage nor a second in which the machine had other work. The limit of the
program's private memory comes to {work_bytes:.0f} bytes for each piece of work, or to {restart_kib:.1f} KiB for each
plugin that was killed or renewed.

Of times the fastest tenth is judged: what accumulates in a program makes every call slower, and the other work of the
machine far more the slow ones than the fast. Medians and longest times are shown and not judged, and so is the memory
of plugins written in Go, another runtime's: most of its growth is that of the provider `time`, with every apply.

| Measure | Level | Growth | Allowed |
|---|---:|---:|---:|
{measures}
"""


def _rows(pairs: Mapping[str, int]) -> str:
    return "\n".join(f"| {name} | {number:,} |" for name, number in pairs.items())


def _shown(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"


def _measure_row(measure: Measure, times: Sequence[float], values: Sequence[float]) -> str:
    later_times, later = later_half(times, values)
    level = statistics.median(later)
    allowed = "" if measure.limit is None else _shown(measure.limit.of(level))
    unit = measure.unit and f", {measure.unit}"
    return f"| {measure.title}{unit} | {_shown(level)} | {_shown(growth(later_times, later))} | {allowed} |"


def _allowed_bytes(run: Mapping[str, Any], count: int) -> float:
    """What the limit of private memory is for each of so many, of which half are in the later half of the run."""
    limit = MEASURES["private_mib"].limit
    assert limit is not None
    _, later = later_half(run["times"], run["values"]["private_mib"])
    return limit.of(statistics.median(later)) * MIB / max(1.0, count / 2)


def render(run: Mapping[str, Any]) -> str:
    """The page's text."""
    facts, troubles = run["facts"], run["troubles"]
    pieces = sum(number for end, number in run["ends"].items() if ":" in end)
    restarts = troubles.get("kill", 0) + troubles.get("renew", 0)
    return TEXT.format(
        plugins=sum(run["plugins"].values()),
        date=facts["date"],
        commit=facts["commit"],
        python=facts["Python"],
        kernel=facts["kernel"],
        seed=run["seed"],
        minutes=run["seconds"] / 60,
        population="\n".join(f"- {kind}: {number}" for kind, number in run["plugins"].items()),
        ends=_rows(run["ends"]),
        troubles=_rows(troubles),
        found=run["found"] or "none",
        work_bytes=_allowed_bytes(run, pieces),
        restart_kib=_allowed_bytes(run, restarts) / 1024,
        measures="\n".join(
            _measure_row(measure, run["times"], run["values"][name]) for name, measure in MEASURES.items()
        ),
    )


def plot(run: Mapping[str, Any]) -> str:
    """The plot as SVG."""
    times, facts = run["times"], run["facts"]
    panels = []
    for panel, title in PANELS.items():
        shown = {name: measure for name, measure in MEASURES.items() if measure.panel == panel}
        is_judged = any(measure.limit is not None for measure in shown.values())
        curves = [Curve(measure.title, run["values"][name]) for name, measure in shown.items()]
        panels.append(Panel(title, curves, (times[0] + times[-1]) / 2 if is_judged else None))
    subtitle = f"{facts['date']}, commit {facts['commit']}; grey: the half that is judged"
    return draw(f"{sum(run['plugins'].values())} plugins under load", subtitle, times, panels)


def write() -> None:
    """Writes page and plot of the newest run."""
    run = json.loads(NEWEST_RUN.read_text())
    PAGE.write_text(render(run))
    PLOT.write_text(plot(run))


if __name__ == "__main__":
    NEWEST_RUN.write_text(Path(sys.argv[1]).read_text())
    write()
