"""Figures in the documentation: what stands between two marks is written out of the newest results.

`<!--= NAME -->41 %<!--/-->` is a figure of `documentation.QUOTES`, `<!--= run -->` date, commit and machine of the
newest one, `<!--= picture -->` the chart of all targets, `<!--= targets BENCH ... -->` a table of targets, and
`<!--= behind -->` the table of all work at which Ferrule is behind its rival.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from reporting.declaration import Bench
from reporting.markdown import loss_table, shown, target_table
from reporting.run import Figure, Run

MARK = re.compile(r"(<!--= (?P<name>[^>]*?) -->)(?P<text>.*?)(<!--/-->)", re.DOTALL)
PICTURE = "![Ferrule beside its rivals: targets, and what was reached](../benches/results/targets.svg)"
NOT_MEASURED = "(not measured)"


def as_percent(value: float) -> str:
    """A ratio as "41 %"."""
    return f"{100 * value:.0f} %" if value >= 0.1 else f"{100 * value:.1f} %"


def as_times(value: float) -> str:
    """A ratio as "2.4 times"."""
    return f"{value:.1f} times" if value < 10 else f"{value:.0f} times"


@dataclass(frozen=True)
class Quote:
    """A figure of a bench in words.

    Attributes:
        bench: The bench.
        figure: What was measured.
        rival: What it is divided by; None for a figure of its own.
        show: How it is written.
    """

    bench: str
    figure: Figure
    rival: Figure | None = None
    show: Callable[[float], str] = as_percent

    def text(self, runs: Mapping[str, Run]) -> str:
        """The figure as the newest results have it."""
        run = runs.get(self.bench)
        if run is None:
            return NOT_MEASURED
        if self.rival is None:
            median = run.median(self.figure)
            return NOT_MEASURED if median is None else shown(median)
        ratio = run.ratio(self.figure, self.rival)
        return NOT_MEASURED if ratio is None else self.show(ratio.value)


def newest_run(runs: Mapping[str, Run]) -> str:
    """Date, commit and machine of the newest figures."""
    if not runs:
        return NOT_MEASURED
    facts = max((run.facts for run in runs.values()), key=lambda facts: facts["date"])
    return f"{facts['date']}, commit {facts['commit']}, {facts['cores']} cores of {facts['CPU']}, {facts['Python']}"


@dataclass(frozen=True)
class Filler:
    """Writes figures into texts."""

    benches: Sequence[Bench]
    runs: Mapping[str, Run]
    quotes: Mapping[str, Quote]

    def fill(self, text: str) -> str:
        """The text with all its figures as the results have them.

        Raises:
            KeyError: A mark names no figure.
        """
        return MARK.sub(lambda match: f"{match[1]}{self._between(match['name'])}{match[4]}", text)

    def _between(self, name: str) -> str:
        pairs = [(bench, self.runs.get(bench.name)) for bench in self.benches]
        if name == "run":
            return newest_run(self.runs)
        if name == "picture":
            return f"\n\n{PICTURE}\n\n" if self.runs else "\n"
        if name == "behind":
            return f"\n\n{loss_table(pairs)}\n\n"
        kind, _, wanted = name.partition(" ")
        if kind == "targets":
            return f"\n\n{target_table(pair for pair in pairs if pair[0].name in wanted.split())}\n\n"
        return self.quotes[name].text(self.runs)


def names_in(text: str) -> list[str]:
    """The names of all marks of a text."""
    return [match["name"] for match in MARK.finditer(text)]
