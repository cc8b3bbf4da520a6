"""Runs as Markdown: tables, failures, verdicts."""

from collections.abc import Iterable, Sequence

from reporting.declaration import OWN_SIDE, Bench, Table, Target, more_is_better, stem
from reporting.run import Figure, Run

LOSS_RATIO = 1.05
"""From here on a figure counts as worse than the rival's."""


def shown(value: float | None) -> str:
    """A figure with about three digits."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def align(rows: Sequence[Sequence[str]], names: int = 1) -> str:
    """A Markdown table that also reads well in a terminal; names to the left, figures to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rule = ["-" * width for width in widths[:names]] + ["-" * (width - 1) + ":" for width in widths[names:]]
    lines = []
    for row in [rows[0], rule, *rows[1:]]:
        cells = [cell.ljust(width) for cell, width in zip(row[:names], widths[:names], strict=True)]
        cells += [cell.rjust(width) for cell, width in zip(row[names:], widths[names:], strict=True)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _row(table: Table, run: Run, case: str, side: str) -> list[str]:
    figures = [shown(run.median(Figure(table.group, case, side, measure))) for measure in table.measures]
    if side in table.rivals.values() and side not in table.rivals:
        return [*figures, *("1" for _ in table.ratios)]
    ratios = (table.ratio(run, case, side, measure) for measure in table.ratios)
    return [*figures, *("-" if each is None else str(each) for each in ratios)]


def table_section(table: Table, run: Run) -> str:
    """A table below its heading, and what failed below it; empty when nothing of it was measured."""
    places = list(run.rows(table.group))
    lone_case = len({case for case, _ in places}) == 1
    head = [table.side, *table.measures, *(f"{stem(measure)} ratio" for measure in table.ratios)]
    rows = [[side, *_row(table, run, case, side)] for case, side in places]
    if not lone_case:
        rows = [[case, *row] for (case, _), row in zip(places, rows, strict=True)]
        head = [table.case, *head]
    failed = "\n".join(failures(run, table.group))
    if not rows:
        return f"### {table.group}\n\n{failed}" if failed else ""
    heading = f"### {table.group}: {places[0][0]}" if lone_case else f"### {table.group}"
    parts = [heading, table.about, align([head, *rows], 1 if lone_case else 2), failed]
    return "\n\n".join(part for part in parts if part)


def failures(run: Run, group: str) -> list[str]:
    """What no side of a group could do, as a list."""
    return [
        f"- {side} failed at {case}: {error}"
        for case, sides in run.errors.get(group, {}).items()
        for side, error in sides.items()
    ]


def _limit(target: Target) -> str:
    return f"{'at least' if target.at_least else 'at most'} {target.limit:g}"


def _target_row(target: Target, run: Run | None) -> list[str]:
    measured = target.measured(run) if run is not None else None
    rival = target.rival.side if target.rival is not None else "-"
    if measured is None:
        return [target.work, rival, _limit(target), "-", "not measured"]
    return [target.work, rival, _limit(target), str(measured), "met" if target.met(measured) else "**missed**"]


def target_table(benches: Iterable[tuple[Bench, Run | None]]) -> str:
    """All targets of some benches; empty when there are none."""
    rows = [_target_row(target, run) for bench, run in benches for target in bench.targets]
    head = ["work", "rival", "target", "measured (lowest-highest)", "verdict"]
    return align([head, *rows], 2) if rows else ""


def loss_table(benches: Iterable[tuple[Bench, Run | None]]) -> str:
    """All work at which a side of Ferrule is worse than its rival."""
    rows = [["work", "side", "rival", "measure", "ratio (lowest-highest)"]]
    for bench, run in benches:
        if run is not None:
            rows += [row for table in bench.tables for row in _losses(table, run)]
    return align(rows, 4) if len(rows) > 1 else "Nothing in the newest run."


def _losses(table: Table, run: Run) -> list[list[str]]:
    rows = []
    for case, side in run.rows(table.group):
        for measure in table.ratios if side.startswith(OWN_SIDE) else ():
            ratio = table.ratio(run, case, side, measure)
            if ratio is None:
                continue
            worse = 1 / ratio.value if more_is_better(measure) else ratio.value
            if worse >= LOSS_RATIO:
                work = f"{table.group}: {case}"
                rows.append([work, side, table.rivals[side], stem(measure), str(ratio)])
    return rows


def bench_sections(bench: Bench, run: Run) -> list[str]:
    """The tables of a bench."""
    return [section for table in bench.tables if (section := table_section(table, run))]
