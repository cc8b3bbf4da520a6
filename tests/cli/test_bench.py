"""`ferrule bench`: what it measures. Its tables are tried by test_page.py."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from ferrule.cli import main
from ferrule.cli.bench.sampling import REPETITIONS, in_parallel, percentile, turns
from ferrule.testing import COOKIE_KEY, COOKIE_VALUE
from peers import go_kv

OPTIONS = ["--cookie", f"{COOKIE_KEY}={COOKIE_VALUE}", "--protocol-versions", "1", "--seconds", "0.01"]


def bench(*arguments: str) -> int:
    return main(["bench", *OPTIONS, *go_kv(), *arguments])


@pytest.mark.go
def test_json(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    compared = ["--compare", "grpcio", "--call", "KV/Echo", "--request", '{"payload": "YQ=="}']
    assert bench("--json", "--plugins", "2,1", "--in-flight", "1,4", *compared) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["call"] == "kv.KV/Echo"
    assert document["starts"][0]["at_once"] == 1
    assert all(0 < each["p50_ms"] <= each["max_ms"] for each in document["starts"])
    assert all(value > 0 for value in document["leases"].values())
    assert [each["plugins"] for each in document["memory"]] == [1, 2]
    assert all(0 < each["private_bytes"] < each["pss_bytes"] for each in document["memory"])
    cases = [(each["channel"], each["plugins"], each["in_flight"]) for each in document["calls"]]
    assert sorted(cases) == sorted(
        (channel, plugins, at_once) for channel in ("ferrule", "grpcio") for plugins in (1, 2) for at_once in (1, 4)
    )
    assert all(each["calls"] > 0 and each["p50_us"] <= each["p99_us"] for each in document["calls"])


@pytest.mark.go
@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("KV/Eco", "service kv.KV has no method 'Eco'"),
        ("KV", "--call KV names no method without streams"),
        ("KV/Watch", "--call KV/Watch names no method without streams"),
        ("KV/Get", "kv.KV/Get failed with NOT_FOUND"),
    ],
)
def test_a_call_that_cannot_be_measured(call: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench("--call", call) == 1
    assert message in capsys.readouterr().err


@pytest.mark.go
@pytest.mark.parametrize("failing", ["ferrule 1", "grpcio 0"])
def test_a_plugin_among_many_that_does_not_start(
    failing: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "plugin"
    stop = f'if [ "$FERRULE_BENCH" = "{failing}" ]; then echo no room >&2; exit 3; fi'
    script.write_text(f"#!/bin/sh\n{stop}\nexec {go_kv()[0]}\n")
    script.chmod(0o755)
    assert main(["bench", *OPTIONS, str(script), "--plugins", "2", "--in-flight", "1", "--compare", "grpcio"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "no room" in captured.err
    assert "Traceback" not in captured.err


def test_without_the_library(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert main(["bench", "./plugin"]) == 1
    assert capsys.readouterr().err == (
        "ferrule: ConfigError: a table needs rich, which is not installed\n"
        "hint: `pip install 'ferrule[cli]'` brings it; --json needs nothing.\n"
        "more: ferrule explain config.extra\n"
    )


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--plugins", "0", "kv"], "'0' should be whole numbers above 0"),
        (["--in-flight", "1,", "kv"], "'1,' should be whole numbers above 0"),
        (["--request", "{}", "kv"], "--request is for --call"),
        (["--compare", "grpclib", "kv"], "invalid choice: 'grpclib'"),
        ([], "required: PLUGIN"),
    ],
)
def test_wrong_command_line(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["bench", *arguments])
    assert end.value.code == 2
    assert complaint in capsys.readouterr().err


async def test_repetitions_take_turns() -> None:
    assert [case async for case in turns("ab", 60)] == list("ab" * REPETITIONS)
    assert [case async for case in turns("ab", -1)] == list("ab")


def test_percentiles() -> None:
    assert [percentile([3, 1, 2, 4], share) for share in (0, 0.5, 0.75, 0.99, 1)] == [1, 2, 3, 4, 4]


async def test_the_first_failure_ends_the_others() -> None:
    ended: list[str] = []

    async def fails() -> None:
        raise KeyError("it")

    async def waits() -> Any:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append("waits")

    with pytest.raises(KeyError, match="it"):
        await in_parallel(waits(), fails())
    assert ended == ["waits"]
