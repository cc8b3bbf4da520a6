"""RESULTS.md: the newest figures of all benches on one page."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from reporting.charts import target_chart
from reporting.declaration import Bench
from reporting.markdown import bench_sections, loss_table, target_table
from reporting.run import Run

TARGET_CHART = "targets"

INTRODUCTION = """# Results

Written by `make bench` out of the figures in `results/`. [README.md](README.md) explains how they come about and how to
read them, and [docs/performance.md](../docs/performance.md) what follows from them. Figures are medians over the
repetitions. A ratio is the median of the ratios to the rival within each repetition, in brackets the lowest and the
highest of these; a bracket that straddles a target decides nothing. A dash is a figure that does not exist. Older
results are in `history/`: compare ratios, for machines differ."""


@dataclass
class State:
    """How the newest run of all benches went.

    Attributes:
        date: When it began.
        commit: Of what.
        failed: Benches without an end in good order, with the reason.
        left_out: Benches that were to run and did not, since the run was interrupted.
    """

    date: str = ""
    commit: str = ""
    failed: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Writes it as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads what `save` wrote; empty where there is no such file."""
        return cls(**json.loads(path.read_text())) if path.exists() else cls()


def load_runs(benches: Sequence[Bench], results: Path) -> dict[str, Run]:
    """The newest figures of each bench that has any."""
    paths = {bench.name: results / f"{bench.name}.json" for bench in benches}
    return {name: Run.load(path) for name, path in paths.items() if path.exists()}


def render_page(benches: Sequence[Bench], runs: Mapping[str, Run], state: State) -> str:
    """The whole page."""
    pairs = [(bench, runs.get(bench.name)) for bench in benches]
    parts = [
        INTRODUCTION,
        _facts(runs),
        _remarks(benches, runs, state),
        "## Targets",
        f"![Targets and what was reached](results/{TARGET_CHART}.svg)" if runs else "",
        target_table(pairs),
        "## Where Ferrule is behind its rival",
        loss_table(pairs),
        *(_section(bench, run) for bench, run in pairs if run is not None),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _facts(runs: Mapping[str, Run]) -> str:
    """Date, machine and versions of the newest bench, with what others add."""
    facts: dict[str, str] = {}
    for run in sorted(runs.values(), key=lambda run: run.facts["date"], reverse=True):
        facts = facts | {name: value for name, value in run.facts.items() if name not in facts}
    return "\n".join(f"- {name}: {value}" for name, value in facts.items())


def _remarks(benches: Sequence[Bench], runs: Mapping[str, Run], state: State) -> str:
    """What of the newest run is missing, and which figures are older than it."""
    titles = {bench.name: bench.title for bench in benches}
    lines = [f"- **{titles.get(name, name)}** failed: {reason}" for name, reason in state.failed.items()]
    lines += [f"- **{titles.get(name, name)}** was not reached: the run was interrupted." for name in state.left_out]
    newest = max((run.facts for run in runs.values()), key=lambda facts: facts["date"], default={"commit": ""})
    older = [name for name, run in runs.items() if run.facts["commit"] != newest["commit"]]
    lines += [f"- The figures of **{titles[name]}** are from commit {runs[name].facts['commit']}." for name in older]
    lines += [f"- **{bench.title}** has not been measured." for bench in benches if bench.name not in runs]
    return "\n".join(lines)


def _section(bench: Bench, run: Run) -> str:
    took = f"{run.seconds / 60:.0f} min" if run.seconds >= 90 else f"{run.seconds:.0f} s"
    begun = f"on {run.facts['date']}, commit {run.facts['commit']}"
    about = f"{run.settings}; {took} {begun}. [How to read it](README.md#{bench.anchor})."
    pictures = [f"![{bench.title}](results/{stem}.svg)" for stem in bench.charts]
    return "\n\n".join([f"## {bench.title}", about, *pictures, *bench_sections(bench, run)])


def rendered(root: Path, benches: Sequence[Bench]) -> dict[str, str]:
    """The page and the charts out of the figures in `root/results`, by their path in `root`."""
    runs = load_runs(benches, root / "results")
    written = {"RESULTS.md": render_page(benches, runs, State.load(root / "results" / "state.json"))}
    measured = [(bench, runs[bench.name]) for bench in benches if bench.name in runs]
    if measured:
        written[f"results/{TARGET_CHART}.svg"] = target_chart(measured)
    for bench, run in measured:
        written |= {f"results/{stem}.svg": draw(bench, run) for stem, draw in bench.charts.items()}
    return written
