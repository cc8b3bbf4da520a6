"""A pool in a storm of kills: what callers are told is what happened, and nothing is left behind.

FERRULE_STORM_SECONDS says for how long (default 15; `make soak` has 60), FERRULE_SEED repeats the choices; with -s the
figures are shown.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from pathlib import Path

import pytest

from peers import ROOT, go_kv
from pool.journal import Told, Verdict, judged

SECONDS = float(os.environ.get("FERRULE_STORM_SECONDS", "15"))
SEED = os.environ.get("FERRULE_SEED", str(random.randrange(1 << 32)))

# How a call may end whose plugin was killed, or whose caller had little time.
ALLOWED = {"ok", "OutcomeUnknown", "LeaseTimeout", "DEADLINE_EXCEEDED, begun=True", "DEADLINE_EXCEEDED, begun=False"}


@pytest.mark.go
@pytest.mark.timeout(SECONDS + 120)
async def test_in_a_storm_nobody_is_told_what_did_not_happen(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pool.storm", str(SECONDS), SEED, str(journal), *go_kv(f"journal={journal}")),
        env=os.environ | {"PYTHONPATH": str(ROOT / "tests")},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    print(f"FERRULE_SEED={SEED} {output.decode()}")  # noqa: T201
    assert process.returncode == 0
    found = json.loads(output)
    assert found["kills"] > SECONDS
    assert found["ends"].keys() <= ALLOWED
    assert found["ends"]["ok"] > SECONDS * 10
    assert found["verdict"] | {"twice": [], "lost": [], "begun_after_all": []} == found["verdict"]
    left = {name: (before, found["after"][name]) for name, before in found["before"].items()}
    del left["resident_bytes"]
    assert {name: pair for name, pair in left.items() if pair[0] != pair[1]} == {}


def test_the_judge_finds_what_a_journal_contradicts(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    journal.write_text("begin a\nend a\nbegin b\nbegin b\nend b\nbegin c\nbegin d\nend d\n")
    told = {"a": Told.OK, "b": Told.UNKNOWN, "c": Told.OK, "d": Told.NOT_BEGUN, "e": Told.UNKNOWN, "f": Told.NOT_BEGUN}
    assert judged(journal, told) == Verdict(["b"], ["c"], ["d"], 1, 0, 1)
