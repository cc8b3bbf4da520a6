"""The simulation behind docs/scaling.md, on a fiftieth of its size: what it counts adds up, and its laws hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from peers import ROOT

# Only for these imports: names of benchmarks are names of folders of tests too.
with pytest.MonkeyPatch.context() as path:
    path.syspath_prepend(ROOT / "benches")
    import simulate
    from simulation.outcome import Outcome
    from simulation.scenario import Scenario
    from simulation.simulator import Simulator

# 200 plugins of 140 MiB need 28,000 MiB: 7 nodes of this size, of which 6 are the least that could do.
SMALL = Scenario(
    nodes=9, placement="affinity", configurations=200, node_mib=5_000.0, calls_per_second=20.0, seconds=80.0,
    warm_up_seconds=40.0,
)  # fmt: skip


def run(**settings: Any) -> Outcome:
    return Simulator(replace(SMALL, **settings)).run()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"nodes": 1},
        {"placement": "random", "nodes": 3},
        {"placement": "bounded", "losses": 3, "calls_per_second": 200.0},
        {"max_calls": 3, "idle_seconds": 5.0},
        {"max_calls": 3, "overlap": False, "nodes": 2},
        {"calls_per_plugin": 1, "zipf": 2.0, "calls_per_second": 100.0},
    ],
)
def test_every_call_has_one_end_and_memory_its_limit(settings: dict[str, Any]) -> None:
    outcome = run(**settings)
    assert outcome.offered > 1000
    assert outcome.offered == outcome.done + outcome.timed_out + outcome.refused + outcome.unknown
    assert outcome.in_time <= outcome.measured <= outcome.offered
    assert len(outcome.waits) <= outcome.measured
    assert 0 < outcome.mean_mib <= outcome.peak_mib <= SMALL.node_mib
    assert outcome.starts >= outcome.evicted


def test_a_run_depends_on_its_seed_alone() -> None:
    assert run() == run()
    assert run() != run(seed=2)


def test_with_affinity_each_configuration_starts_once_where_memory_suffices() -> None:
    outcome = run()
    assert outcome.starts <= SMALL.configurations
    assert (outcome.evicted, outcome.timed_out) == (0, 0)


def test_at_random_every_node_comes_to_hold_everything() -> None:
    outcome = run(placement="random")
    assert outcome.starts > 3 * SMALL.configurations
    assert outcome.evicted > 0


def test_below_the_memory_that_is_needed_calls_give_up() -> None:
    assert run(nodes=2, start_slots=1, calls_per_second=50.0).timed_out > 0


def test_fewer_calls_wait_when_a_replacement_overlaps() -> None:
    stopped, overlapped = (run(max_calls=20, overlap=overlap) for overlap in (False, True))
    assert (stopped.timed_out, overlapped.timed_out) == (0, 0)
    # The rest are the rare configurations, whose first call comes late.
    assert overlapped.cold < stopped.cold
    assert stopped.starts == overlapped.starts > SMALL.configurations


def test_a_lost_node_leaves_calls_unknown_and_moves_those_that_waited() -> None:
    outcome = run(losses=3, calls_per_second=500.0, calls_per_plugin=1)
    assert outcome.unknown > 0
    assert outcome.moved > 0


def test_the_program_prints_the_rows_that_are_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    simulate.main(["--rows", "light, 10 nodes, *", "--seconds", "1", "--jobs", "1"])
    header, *rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert header.split("|")[1].strip() == "case"
    assert [row.split("|")[1].strip().rpartition(" ")[2] for row in rows[1:]] == ["affinity", "bounded", "random"]
