"""Runs all benches, one after the other, and renders RESULTS.md and the figures of the documentation.

Each bench is a process of its own and writes its figures when it ends, so that a bench that fails and a run that is
interrupted lose nothing of the others. A full run puts the page of the run before it into `history/`.
"""

import argparse
import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import machine
from reporting.command import build_go_programs, require_release_build
from reporting.declaration import Bench
from reporting.quotes import Filler
from reporting.results_page import State, load_runs, rendered

BENCHES = Path(__file__).resolve().parent
QUICK_ROOT = machine.ROOT / "build" / "bench"
"""Where a quick run leaves its page: its figures mean nothing."""

LOGS = QUICK_ROOT / "logs"
"""What the benches print, also while they run."""

NAMES = ("lifecycle", "channel", "connection", "formats", "pool", "servicers", "schema", "cty", "import_time")
"""The modules with a bench, in the order of the page."""

PICTURE, PICTURE_MINUTES = machine.ROOT / "docs" / "observing.svg", 1.2
"""Drawn by `observing.py`, which measures nothing."""

QUICK_SECONDS = 15
"""About what a bench takes with `--quick`."""

LIMIT_FACTOR, LEAST_LIMIT_SECONDS = 4, 300
"""A bench that takes so many times as long as it should, and this long, has hung."""

END_SECONDS = 10
"""What an interrupted bench is given to end its own processes."""


def load_benches(names: Sequence[str] = NAMES) -> list[Bench]:
    """What the benches say of themselves."""
    return [importlib.import_module(name).BENCH for name in names]


@dataclass
class Step:
    """One process of the run: its name, its command, and how long it should take."""

    name: str
    command: list[str]
    seconds: float


class StepError(Exception):
    """A step did not end in good order."""


@dataclass
class Progress:
    """Tells what runs, and how long is left."""

    steps: Sequence[Step]
    begun: float = field(default_factory=time.monotonic)

    def announce(self, number: int) -> None:
        """Says that a step begins."""
        step = self.steps[number]
        left = sum(each.seconds for each in self.steps[number:])
        place = f"[{number + 1}/{len(self.steps)}]"
        print(f"{place} {step.name}: about {_duration(step.seconds)} of {_duration(left)} that are left", flush=True)

    def conclude(self, words: str) -> None:
        """Says how the last step ended."""
        print(f"    {words}; {_duration(time.monotonic() - self.begun)} so far", flush=True)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def run_step(step: Step) -> None:
    """Runs one process to its end, with its progress passed on.

    Raises:
        StepError: It failed, or hung.
        KeyboardInterrupt: The run was interrupted; the process is gone.
    """
    limit = max(LEAST_LIMIT_SECONDS, LIMIT_FACTOR * step.seconds)
    environment = os.environ | {"PYTHONPATH": str(BENCHES)}
    log = LOGS / f"{step.name}.log"
    with log.open("w") as output:
        # A group of its own, of which the end of a bench takes in its servers and clients.
        process = subprocess.Popen(
            step.command, stdout=output, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            raise StepError(f"no end after {_duration(limit)}; see {log}") from None
        finally:
            _end(process)
    if status != 0:
        last_line = (log.read_text(errors="replace").strip().splitlines() or ["nothing"])[-1]
        raise StepError(f"exit status {status}, last output: {last_line}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends what is left of a process and of its group."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def steps_of(arguments: argparse.Namespace, results: Path) -> list[Step]:
    """The processes of a run, in their order."""
    steps = []
    for bench in load_benches(arguments.only or NAMES):
        command = [sys.executable, str(BENCHES / f"{bench.name}.py")]
        command += ["--quick"] if arguments.quick else []
        command += ["--programs", str(arguments.programs)] if bench.programs else []
        seconds = QUICK_SECONDS if arguments.quick else 60 * bench.minutes
        steps.append(Step(bench.name, [*command, "--json", str(results / f"{bench.name}.json")], seconds))
    if not arguments.quick and not arguments.only:
        command = [sys.executable, str(BENCHES / "observing.py"), str(arguments.programs / "kv"), str(PICTURE)]
        steps.append(Step("observing", command, 60 * PICTURE_MINUTES))
    return steps


def run_steps(steps: Sequence[Step]) -> State:
    """Runs the processes one after the other; what fails does not keep the others from running."""
    state, progress = State(machine.date(), machine.commit()), Progress(steps)
    for number, step in enumerate(steps):
        progress.announce(number)
        try:
            run_step(step)
            progress.conclude("done")
        except StepError as failure:
            state.failed[step.name] = str(failure)
            progress.conclude(f"FAILED: {failure}")
        except KeyboardInterrupt:
            state.left_out = [each.name for each in steps[number:]]
            progress.conclude("interrupted")
            break
    return state


def keep_history(root: Path) -> None:
    """Puts the page of the run before into `history/`, without its pictures, which will show other figures."""
    page, state = root / "RESULTS.md", State.load(root / "results" / "state.json")
    if not page.exists() or not state.date:
        return
    name = f"{state.date.replace(' UTC', '').replace(' ', '-').replace(':', '')}-{state.commit}.md"
    lines = [line for line in page.read_text().splitlines() if not line.startswith("![")]
    history = root / "history"
    history.mkdir(exist_ok=True)
    # One folder deeper than the page.
    text = "\n".join(lines).replace("](", "](../").replace("](../history/)", "](.)")
    (history / name).write_text(text + "\n")


def texts(root: Path) -> dict[Path, str]:
    """All that is written out of the figures in `root/results`."""
    from documentation import DOCUMENTS, QUOTES

    benches = load_benches()
    written = {root / path: text for path, text in rendered(root, benches).items()}
    if root == BENCHES:
        filler = Filler(benches, load_runs(benches, root / "results"), QUOTES)
        written |= {path: filler.fill(path.read_text()) for path in DOCUMENTS}
    return written


def render(root: Path) -> None:
    """Writes the page, the charts, and the figures of the documentation."""
    for path, text in texts(root).items():
        path.write_text(text)


def check(root: Path) -> str | None:
    """What says something else than the figures; None when there is nothing."""
    stale = [str(path) for path, text in texts(root).items() if not _has(path, text)]
    return f"not as it was measured: {', '.join(stale)}; run `make bench-results`" if stale else None


def _has(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"tiny sizes, into {QUICK_ROOT}: a smoke test")
    parser.add_argument("--only", nargs="+", choices=NAMES, help="these benches alone; what others measured stays")
    parser.add_argument("--programs", type=Path, help="folder of the Go programs (default: built)")
    parser.add_argument("--render", action="store_true", help="measure nothing, render what was measured")
    parser.add_argument("--check", action="store_true", help="measure nothing, say what is not as it was measured")
    return parser.parse_args(argv)


def main() -> None:
    """Runs the benches, and renders what they measured."""
    arguments = parse_arguments()
    root = QUICK_ROOT if arguments.quick else BENCHES
    results = root / "results"
    if arguments.check:
        sys.exit(check(root))
    if arguments.render:
        render(root)
        return
    require_release_build()
    for folder in (results, LOGS):
        folder.mkdir(parents=True, exist_ok=True)
    programs = [program for bench in load_benches() for program in bench.programs]
    arguments.programs = (arguments.programs or build_go_programs(programs)).resolve()
    state = run_steps(steps_of(arguments, results))
    if root == BENCHES and not arguments.only:
        keep_history(root)
    state.save(results / "state.json")
    render(root)
    print(f"rendered: {root / 'RESULTS.md'}; what the benches printed: {LOGS}")
    if state.failed or state.left_out:
        sys.exit(f"incomplete: {', '.join([*state.failed, *state.left_out])}")


if __name__ == "__main__":
    main()
