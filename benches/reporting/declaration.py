"""What a bench says of itself: its tables, the targets that Ferrule sets out to reach, and its charts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from reporting.run import Figure, Ratio, Run

UNITS = ("ns", "us", "ms", "KiB", "MiB", "MB", "%")
"""Units that stand at the end of a measure's name."""

OWN_SIDE = "ferrule"
"""How the names of Ferrule's own sides begin."""


def stem(measure: str) -> str:
    """The name of a measure without its unit."""
    name, _, unit = measure.rpartition(" ")
    return name if unit in UNITS else measure


def more_is_better(measure: str) -> bool:
    """Whether a measure is a rate; of all others, less is better."""
    return measure.endswith("per s")


@dataclass(frozen=True)
class Table:
    """How a group is shown: a row for each case and side, a column for each measure and each ratio.

    Attributes:
        group: The group of figures, and the heading of the table.
        measures: The columns with medians.
        ratios: Measures that are divided by the rival's.
        rivals: The rival of each side that has one.
        case: The heading of the cases; there is no such column when a group has one case alone.
        side: The heading of the sides.
        about: What a reader has to know of this table.
    """

    group: str
    measures: Sequence[str]
    ratios: Sequence[str] = ()
    rivals: Mapping[str, str] = field(default_factory=dict)
    case: str = "case"
    side: str = "side"
    about: str = ""

    def ratio(self, run: Run, case: str, side: str, measure: str) -> Ratio | None:
        """A figure of this table over that of its side's rival; None without one."""
        rival = self.rivals.get(side)
        if rival is None:
            return None
        return run.ratio(Figure(self.group, case, side, measure), Figure(self.group, case, rival, measure))


@dataclass(frozen=True)
class Target:
    """What Ferrule sets out to reach: a ratio to a rival, or a figure of its own.

    Attributes:
        work: The work and the measure, in words.
        figure: What is measured.
        limit: The most that it may be, or the least where more is better.
        rival: What it is divided by; None for a figure of its own.
        at_least: Whether more is better.
    """

    work: str
    figure: Figure
    limit: float
    rival: Figure | None = None
    at_least: bool = False

    def measured(self, run: Run) -> Ratio | None:
        """The median, lowest and highest of what was reached; None when it was not measured."""
        if self.rival is not None:
            return run.ratio(self.figure, self.rival)
        median, values = run.median(self.figure), [value for value in run.values(self.figure) if value is not None]
        return None if median is None else Ratio(median, min(values), max(values))

    def met(self, measured: Ratio) -> bool:
        """Whether the median reaches the limit."""
        return measured.value >= self.limit if self.at_least else measured.value <= self.limit


@dataclass(frozen=True)
class Bench:
    """A bench, as its command line and the renderer see it.

    Attributes:
        name: The name of its module, and of its files.
        title: Heading of its section.
        anchor: The heading in README.md that explains it, as an anchor.
        minutes: What a run takes on two cores, for the estimate of the time that is left.
        repetitions: Interleaved rounds of a full run.
        tables: Tables in their order.
        targets: What Ferrule sets out to reach.
        charts: Pictures by file name without extension.
        programs: The Go programs of tests/go_plugin that take part.
        packages: The Python packages that take part.
    """

    name: str
    title: str
    anchor: str
    minutes: float
    repetitions: int = 5
    tables: Sequence[Table] = ()
    targets: Sequence[Target] = ()
    charts: Mapping[str, Callable[["Bench", Run], str]] = field(default_factory=dict)
    programs: Sequence[str] = ()
    packages: Sequence[str] = ("ferrule",)

    def table(self, group: str) -> Table:
        """The table of a group."""
        return next(table for table in self.tables if table.group == group)
