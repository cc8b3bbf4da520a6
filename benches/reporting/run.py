"""What a bench measured: figures by group, case, side and measure, with one value for each repetition."""

import json
import re
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

SIGNIFICANT_DIGITS = 5
"""Digits of a value that are kept: far more than its spread gives meaning to."""

Values = list[float | None]


class Figure(NamedTuple):
    """The name of a figure.

    Attributes:
        group: What is measured in one table, as "Unix socket, TLS".
        case: The work, as "16 B, 1 in flight".
        side: Who does the work, as "ferrule" or "grpc.aio".
        measure: What of it, with its unit at the end, as "CPU us".
    """

    group: str
    case: str
    side: str
    measure: str


@dataclass(frozen=True)
class Ratio:
    """The median of the ratios within the repetitions, and the lowest and the highest of these."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        between = "-" if self.low >= 0 else " to "
        return f"{self.value:.2f} ({self.low:.2f}{between}{self.high:.2f})"


@dataclass
class Run:
    """All that one run of a bench measured.

    Attributes:
        bench: The name of the bench.
        settings: Repetitions and sizes, in words.
        facts: Date, commit, machine and versions.
        seconds: How long the run took.
        figures: Values by group, case, side and measure; a value is None where the measure does not apply.
        errors: Why a side could not do a case, by group, case and side.
    """

    bench: str
    settings: str = ""
    facts: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    figures: dict[str, dict[str, dict[str, dict[str, Values]]]] = field(default_factory=dict)
    errors: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)

    def add(self, group: str, case: str, side: str, values: Mapping[str, float | None]) -> None:
        """Keeps what one repetition measured, by measure."""
        measures = self.figures.setdefault(group, {}).setdefault(case, {}).setdefault(side, {})
        for measure, value in values.items():
            measures.setdefault(measure, []).append(value)

    def fail(self, group: str, case: str, side: str, error: str) -> None:
        """Keeps why a side cannot do a case; its figures of other repetitions are dropped."""
        self.figures.get(group, {}).get(case, {}).pop(side, None)
        self.errors.setdefault(group, {}).setdefault(case, {})[side] = error

    def failed(self, group: str, case: str, side: str) -> bool:
        """Whether a side has failed at a case, and need not be asked again."""
        return side in self.errors.get(group, {}).get(case, {})

    def values(self, figure: Figure) -> Values:
        """A figure in each repetition; empty when it was not measured."""
        sides = self.figures.get(figure.group, {}).get(figure.case, {})
        return sides.get(figure.side, {}).get(figure.measure, [])

    def median(self, figure: Figure) -> float | None:
        """The median over the repetitions; None where there is no figure."""
        values = [value for value in self.values(figure) if value is not None]
        return statistics.median(values) if values else None

    def ratio(self, figure: Figure, rival: Figure) -> Ratio | None:
        """A figure divided by another one of the same repetition; None where either is missing."""
        pairs = zip(self.values(figure), self.values(rival), strict=False)
        ratios = [value / base for value, base in pairs if value is not None and base]
        return Ratio(statistics.median(ratios), min(ratios), max(ratios)) if ratios else None

    def rows(self, group: str) -> Iterator[tuple[str, str]]:
        """The case and the side of each row of a group, in the order in which they were measured."""
        for case, sides in self.figures.get(group, {}).items():
            for side in sides:
                yield case, side

    def save(self, path: Path) -> None:
        """Writes the run as JSON, the values of a figure on one line."""
        document = asdict(self) | {"figures": _rounded(self.figures)}
        text = json.dumps(document, indent=1, ensure_ascii=False)
        path.write_text(re.sub(r"\[\s+([^\[\]{}\"]*?)\s+\]", _one_line, text) + "\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads what `save` wrote."""
        return cls(**json.loads(path.read_text()))


def _one_line(match: re.Match[str]) -> str:
    return f"[{' '.join(match[1].split())}]"


def _rounded(value: object) -> object:
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}") if isinstance(value, float) else value
