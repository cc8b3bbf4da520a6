"""How benches keep and show what they measured: figures, ratios, verdicts, the page, and runs that do not end well."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from peers import ROOT

BENCHES = ROOT / "benches"

# Only for these imports: names of benchmarks are names of folders of tests too.
with pytest.MonkeyPatch.context() as path:
    path.syspath_prepend(BENCHES)
    import suite
    from reporting.charts import Panel, ratio_chart, ticks
    from reporting.declaration import Bench, Table, Target, more_is_better, stem
    from reporting.markdown import loss_table, shown, table_section, target_table
    from reporting.quotes import NOT_MEASURED, Filler, Quote, as_percent, as_times, names_in
    from reporting.results_page import State, render_page
    from reporting.run import Figure, Ratio, Run

OURS = Figure("Calls", "small", "ferrule", "CPU us")
THEIRS = OURS._replace(side="rival")
RATE = OURS._replace(measure="calls per s")

BENCH = Bench(
    name="calls",
    title="Calls",
    anchor="calls",
    minutes=1,
    tables=(Table("Calls", ("CPU us", "calls per s"), ("CPU us", "calls per s"), {"ferrule": "rival"}),),
    targets=(
        Target("small calls", OURS, 0.5, THEIRS),
        Target("calls per second", RATE, 2.0, RATE._replace(side="rival"), at_least=True),
        Target("CPU of a small call", OURS, 15),
        Target("large calls", OURS._replace(case="large"), 0.5, THEIRS._replace(case="large")),
    ),
)


def measured() -> Run:
    """Three repetitions, of which the second was slow for both sides."""
    facts = {"date": "2026-11-28 22:00 UTC", "commit": "abc", "CPU": "one", "cores": "2", "Python": "CPython 3.11.7"}
    run = Run("calls", "3 repetitions", facts, 5.0)
    for ours, theirs in ((10.0, 30.0), (40.0, 80.0), (12.0, 30.0)):
        run.add("Calls", "small", "ferrule", {"CPU us": ours, "calls per s": 120 / ours})
        run.add("Calls", "small", "rival", {"CPU us": theirs, "calls per s": 120 / theirs})
    return run


def test_ratios_are_those_within_the_repetitions() -> None:
    run = measured()
    assert run.median(OURS) == 12.0
    assert run.ratio(OURS, THEIRS) == Ratio(0.4, 1 / 3, 0.5)
    assert str(run.ratio(OURS, THEIRS)) == "0.40 (0.33-0.50)"
    assert run.ratio(OURS, THEIRS._replace(side="nobody")) is None


def test_a_side_that_failed_has_no_figures_and_is_told_of() -> None:
    run = measured()
    run.fail("Calls", "small", "rival", "RuntimeError: no")
    assert run.failed("Calls", "small", "rival")
    assert run.ratio(OURS, THEIRS) is None
    assert "- rival failed at small: RuntimeError: no" in table_section(BENCH.tables[0], run)


def test_a_measure_that_does_not_apply_is_none() -> None:
    run = Run("calls")
    run.add("Calls", "small", "ferrule", {"CPU us": None})
    assert run.median(OURS) is None
    assert "| ferrule |      - |" in table_section(BENCH.tables[0], run)


def test_what_is_saved_is_read_again(tmp_path: Path) -> None:
    run, file = measured(), tmp_path / "calls.json"
    run.fail("Calls", "large", "rival", 'said "no", [1, 2]')
    run.save(file)
    assert Run.load(file) == run
    assert '"CPU us": [10.0, 40.0, 12.0]' in file.read_text()


def test_values_keep_five_digits(tmp_path: Path) -> None:
    run, file = Run("calls"), tmp_path / "calls.json"
    run.add("Calls", "small", "ferrule", {"CPU us": 123.456789})
    run.save(file)
    assert Run.load(file).values(OURS) == [123.46]


def test_verdicts() -> None:
    lines = target_table([(BENCH, measured())]).splitlines()[2:]
    verdicts = [line.split("|")[-2].strip() for line in lines]
    assert verdicts == ["met", "met", "met", "not measured"]
    slower = measured()
    slower.figures["Calls"]["small"]["ferrule"] = {"CPU us": [29.0, 79.0, 29.0], "calls per s": [1.0, 1.0, 1.0]}
    lines = target_table([(BENCH, slower)]).splitlines()[2:]
    assert [line.split("|")[-2].strip() for line in lines[:3]] == ["**missed**"] * 3


def test_where_ferrule_is_behind() -> None:
    assert loss_table([(BENCH, measured()), (BENCH, None)]) == "Nothing in the newest run."
    slower = measured()
    slower.figures["Calls"]["small"]["ferrule"]["calls per s"] = [3.0, 1.0, 3.0]
    table = loss_table([(BENCH, slower)])
    assert "Calls: small" in table
    assert "calls per s" in table
    assert "CPU" not in table


def test_words() -> None:
    assert (stem("CPU us"), stem("calls per s"), stem("peak MiB")) == ("CPU", "calls per s", "peak")
    assert more_is_better("calls per s")
    assert not more_is_better("CPU us")
    assert [shown(value) for value in (None, 0.123, 12.34, 1234.5)] == ["-", "0.12", "12.3", "1,234"]
    assert ticks(0.3, 0.8) == [0.2, 0.5, 1.0]


def test_the_page_tells_of_what_is_missing_and_what_is_older() -> None:
    older = measured()
    older.facts["date"], older.facts["commit"] = "2026-11-01 00:00 UTC", "old"
    benches = [BENCH, *(Bench(name, name.title(), "a", 1) for name in ("other", "third"))]
    state = State("2026-11-28 22:00 UTC", "abc", {"calls": "exit status 1"}, ["third"])
    page = render_page(benches, {"calls": older, "other": Run("other", facts=measured().facts)}, state)
    assert "- **Calls** failed: exit status 1" in page
    assert "- **Third** was not reached: the run was interrupted." in page
    assert "- The figures of **Calls** are from commit old." in page
    assert "- **Third** has not been measured." in page


def test_a_chart_has_all_labels_and_figures() -> None:
    picture = ratio_chart("Calls <beside> a rival", Panel("CPU", "Calls", "CPU us"))(BENCH, measured())
    for words in ("Calls &lt;beside&gt; a rival", ">small<", ">ferrule<", ">0.40<", "commit abc"):
        assert words in picture


def test_documents_are_filled_out_of_the_figures() -> None:
    filler = Filler([BENCH], {"calls": measured()}, {"CPU": Quote("calls", OURS, THEIRS), "time": Quote("calls", OURS)})
    text = "A <!--= CPU -->1 %<!--/--> and <!--= time --><!--/--> us.\n\n<!--= targets calls -->\n<!--/-->\n"
    filled = filler.fill(text)
    assert filled.startswith("A <!--= CPU -->40 %<!--/--> and <!--= time -->12.0<!--/--> us.")
    assert "| small calls" in filled
    assert filler.fill(filled) == filled
    assert names_in(filled) == names_in(text) == ["CPU", "time", "targets calls"]
    assert "(../benches/results/targets.svg)" in filler.fill("<!--= picture -->\n<!--/-->")
    assert "<!--= run -->2026-11-28 22:00 UTC, commit abc" in filler.fill("<!--= run --><!--/-->")
    with pytest.raises(KeyError):
        filler.fill("<!--= CPI --><!--/-->")


def test_what_was_not_measured_says_so() -> None:
    filler = Filler([BENCH], {}, {"CPU": Quote("calls", OURS, THEIRS)})
    assert filler.fill("<!--= CPU -->40 %<!--/-->") == f"<!--= CPU -->{NOT_MEASURED}<!--/-->"


def test_how_ratios_are_written() -> None:
    assert [as_percent(ratio) for ratio in (0.034, 0.41, 1.2)] == ["3.4 %", "41 %", "120 %"]
    assert [as_times(ratio) for ratio in (2.53, 19.6)] == ["2.5 times", "20 times"]


def test_performance_has_no_figure_typed_by_hand() -> None:
    page = (ROOT / "docs" / "performance.md").read_text()
    by_hand = re.sub(r"<!--= .*?<!--/-->", "", page, flags=re.DOTALL)
    assert re.findall(r"\d[\d.]* (?:%|ms|us|times|MB|KiB)\b", by_hand) == []
    assert not re.search(r"^<!--= (?!targets|behind|picture)", page, re.MULTILINE), (
        "renderers take such a line for a block"
    )


def step(name: str, program: str) -> suite.Step:
    return suite.Step(name, [sys.executable, "-c", program], 1.0)


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(suite, "LOGS", tmp_path)
    return tmp_path


def test_a_bench_that_fails_keeps_no_other_from_running(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = logs / "written"
    failing, writing = step("first", "raise SystemExit('no figure')"), step("second", f"open({str(file)!r}, 'w')")
    state = suite.run_steps([failing, writing])
    assert state.failed == {"first": "exit status 1, last output: no figure"}
    assert state.left_out == []
    assert file.exists()
    assert "[2/2] second: about 1 s of 1 s that are left" in capsys.readouterr().out


def test_a_bench_that_hangs_is_ended(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "LEAST_LIMIT_SECONDS", 0.2)
    monkeypatch.setattr(suite, "LIMIT_FACTOR", 0.2)
    state = suite.run_steps([step("only", "import signal; signal.pause()")])
    assert state.failed["only"].startswith("no end after 0 s")


def test_an_interrupted_run_says_what_was_left_out(logs: Path) -> None:
    file = logs / "written"
    interrupting = step("second", f"import os, signal; os.kill({os.getpid()}, signal.SIGINT); signal.pause()")
    state = suite.run_steps([step("first", f"open({str(file)!r}, 'w')"), interrupting, step("third", "")])
    assert file.exists()
    assert state.left_out == ["second", "third"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_history_keeps_the_page_before(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    page = "# Results\n\n![Targets](results/targets.svg)\n\n[a](README.md#a), [b](history/), [c](results/)\n"
    (tmp_path / "RESULTS.md").write_text(page)
    suite.keep_history(tmp_path)
    assert not (tmp_path / "history").exists(), "kept a page that no run has rendered"
    State("2026-11-28 22:00 UTC", "abc").save(tmp_path / "results" / "state.json")
    suite.keep_history(tmp_path)
    kept = (tmp_path / "history" / "2026-11-28-2200-abc.md").read_text()
    assert "targets.svg" not in kept
    assert "[a](../README.md#a), [b](.), [c](../results/)" in kept


def test_what_is_committed_is_what_was_measured() -> None:
    """In a process of its own: benches have names that tests have too."""
    command = [sys.executable, str(BENCHES / "suite.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_quote_is_quoted() -> None:
    code = "from documentation import DOCUMENTS, QUOTES; print(*DOCUMENTS); print('|'.join(QUOTES))"
    done = subprocess.run([sys.executable, "-c", code], cwd=BENCHES, capture_output=True, text=True, check=True)
    documents, quotes = done.stdout.splitlines()
    quoted = {name for document in documents.split() for name in names_in(Path(document).read_text())}
    assert set(quotes.split("|")) == {name for name in quoted if not re.match(r"(targets|behind|picture|run)\b", name)}
