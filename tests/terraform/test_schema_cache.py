"""The cache of schemas: one fetch however many ask."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ferrule.terraform.errors import InvalidResponseError
from ferrule.terraform.messages import Protocol
from ferrule.terraform.schema import cache as cache_module
from ferrule.terraform.schema.cache import Answers, SchemaCache
from ferrule.terraform.schema.program import digest_of, program_of
from ferrule.terraform.schema.store import Store, default_folder
from terraform.cached_programs import PROTOCOL, Fetcher, answers, make_program, search
from terraform.schema_oracle import answer

pytestmark = pytest.mark.usefixtures("old_programs")


def test_second_process_reads_the_first_ones_answer(folder: Path, program: Path) -> None:
    fetch = Fetcher(Answers(answers(server_capabilities={"get_provider_schema_optional": True}).schema, None))
    assert search(folder, program, fetch)
    assert not search(folder, program, fetch)
    assert fetch.calls == 1
    cache_module._forget_flights()
    found = SchemaCache(folder).schema_blocking(program_of([program]), PROTOCOL, fetch)
    assert found.schema.capabilities.get_provider_schema_optional
    assert not found.schema.identities


def test_files_are_of_the_user_alone(folder: Path, program: Path) -> None:
    search(folder, program, Fetcher())
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert sorted(path.suffix for path in folder.iterdir()) == [".hash", ".schema"]


def test_another_protocol_and_another_program_are_other_schemas(folder: Path, program: Path, tmp_path: Path) -> None:
    fetch = Fetcher()
    assert search(folder, program, fetch)
    assert search(folder, program, fetch, Protocol.of(5))
    assert search(folder, make_program(tmp_path / "other", b"two"), fetch)
    assert search(folder, make_program(program, b"three"), fetch)
    # A copy is fetched for once, for its hash is not known at that moment, and is stored with the first.
    assert search(folder, make_program(tmp_path / "copy", b"two"), fetch)
    assert len(list(folder.glob("*.schema"))) == 4
    assert len(list(folder.glob("*.hash"))) == 4


def test_program_that_was_changed_a_moment_ago(folder: Path, program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    search(folder, program, Fetcher())
    assert [path.suffix for path in folder.iterdir()] == [".schema"]


def test_of_a_script_or_a_command_nothing_is_kept(folder: Path, program: Path, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\nexec provider\n")
    script.chmod(0o755)
    cache, fetch = SchemaCache(folder), Fetcher()
    commands: list[list[str | Path]] = [[script], [program, "--debug"], [tmp_path / "missing"], [tmp_path], []]
    for command in commands:
        assert cache.schema_blocking(program_of(command), PROTOCOL, fetch).fetched
    assert fetch.calls == 5
    cache.flush()
    assert not folder.exists()


def test_program_on_the_path(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(program.parent))
    assert program_of([program.name]) == program_of([program])


def test_program_that_is_replaced_while_it_runs(folder: Path, program: Path) -> None:
    cache, started = SchemaCache(folder), program_of([program])
    make_program(program, b"rebuilt")
    assert cache.schema_blocking(started, PROTOCOL, Fetcher()).fetched
    cache.flush()
    assert not folder.exists()


def test_hash_of_a_program_that_changes(program: Path) -> None:
    before = program_of([program])
    assert before is not None
    assert digest_of(before)
    make_program(program, b"longer")
    assert digest_of(before) is None
    program.unlink()
    assert digest_of(before) is None


async def test_one_fetch_for_all_in_loops_and_threads(folder: Path, program: Path) -> None:
    begun, finish = threading.Event(), threading.Event()
    calls = []

    def fetch() -> Answers:
        calls.append(1)
        begun.set()
        finish.wait(60)
        return answers()

    cache = SchemaCache(folder)
    with ThreadPoolExecutor(20) as threads:
        blocked = [threads.submit(cache.schema_blocking, program_of([program]), PROTOCOL, fetch) for _ in range(20)]
        await asyncio.to_thread(begun.wait, 60)
        waiting = [
            asyncio.create_task(cache.schema(program_of([program]), PROTOCOL, Fetcher().awaited)) for _ in range(20)
        ]
        for _ in range(5):
            await asyncio.sleep(0)
        waiting[0].cancel()
        finish.set()
        found = [*await asyncio.gather(*waiting[1:]), *await asyncio.gather(*map(asyncio.wrap_future, blocked))]
    assert waiting[0].cancelled()
    assert len(calls) == 1
    assert len({id(each.schema) for each in found}) == 1
    assert sum(each.fetched for each in found) == 1
    cache.flush()


async def test_when_one_fails_the_next_tries(folder: Path, program: Path) -> None:
    cache, fetch = SchemaCache(folder), Fetcher()
    begun = asyncio.Event()

    async def stuck() -> Answers:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def broken() -> Answers:
        raise ConnectionError

    first = asyncio.create_task(cache.schema(program_of([program]), PROTOCOL, stuck))
    await begun.wait()
    second = asyncio.create_task(cache.schema(program_of([program]), PROTOCOL, broken))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    with pytest.raises(ConnectionError):
        await second
    assert (await cache.schema(program_of([program]), PROTOCOL, fetch.awaited)).fetched
    cache.flush()


def test_schema_in_use_is_shared_and_then_let_go(folder: Path, program: Path) -> None:
    cache, fetch = SchemaCache(folder), Fetcher()
    found = cache.schema_blocking(program_of([program]), PROTOCOL, fetch)
    again = cache.schema_blocking(program_of([program]), PROTOCOL, fetch)
    assert again.schema is found.schema
    assert not again.fetched
    cache.flush()
    del found, again
    assert not cache.schema_blocking(program_of([program]), PROTOCOL, fetch).fetched
    assert fetch.calls == 1


@pytest.mark.parametrize("field", ["schema", "identity"])
def test_answer_with_errors_is_not_kept(folder: Path, program: Path, field: str) -> None:
    failure = [{"severity": 1, "summary": "no"}]
    result = answers(diagnostics=failure)
    if field == "identity":
        result = Answers(answers().schema, answer(6, "GetResourceIdentitySchemas", diagnostics=failure))
    fetch = Fetcher(result)
    assert search(folder, program, fetch)
    assert search(folder, program, fetch)
    assert not folder.exists()


async def test_answer_that_is_no_message(folder: Path, program: Path) -> None:
    fetch = Fetcher(Answers(b"\xff"))
    with pytest.raises(InvalidResponseError):
        await SchemaCache(folder).schema(program_of([program]), PROTOCOL, fetch.awaited)
    assert not folder.exists()


def test_the_oldest_go(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    store = Store(folder, max_bytes=1000)
    now = time.time()
    for age, name in enumerate("dcba"):
        store.write(name, [bytes(200)])
        os.utime(folder / name, (now - 100 * age - 1000,) * 2)
    # A read makes young.
    assert store.read("a")
    store.write("e", [bytes(200)])
    assert sorted(path.name for path in folder.iterdir()) == ["a", "c", "d", "e"]
    store.write("large", [bytes(1000)])
    assert sorted(path.name for path in folder.iterdir()) == ["a", "c", "d", "e"]
    old = folder / ".new-crashed"
    old.touch()
    os.utime(old, (now - 7200,) * 2)
    (folder / ".new-being-written").touch()
    store.write("e", [bytes(200)])
    assert sorted(path.name for path in folder.iterdir()) == [".new-being-written", "a", "c", "d", "e"]


def test_default_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "ferrule" / "schemas"
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for unset in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", unset)
        assert default_folder() == tmp_path / "home" / ".cache" / "ferrule" / "schemas"

    monkeypatch.setenv("HOME", "relative")
    assert default_folder() is None

    def homeless() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", homeless)
    assert default_folder() is None
    store = Store(None)
    store.write("a", [b""])
    assert store.read("a") is None


PROCESS = """
import sys
from ferrule.terraform.messages import Protocol
from ferrule.terraform.schema import cache as module
from ferrule.terraform.schema import program_of
module.RACY_NS = -10**12
data = open(sys.argv[2], "rb").read()
for _ in range(30):
    module._forget_flights()
    cache = module.SchemaCache()
    found = cache.schema_blocking(program_of([sys.argv[1]]), Protocol.of(6), lambda: module.Answers(data))
    assert found.schema.resources["thing"].version == 1
    cache.flush()
    if len(sys.argv) > 3:
        import pathlib
        for path in pathlib.Path(sys.argv[3]).glob("*"):
            path.unlink(missing_ok=True)
"""


def test_several_processes(tmp_path: Path, folder: Path, program: Path) -> None:
    data = tmp_path / "answer"
    data.write_bytes(answers(provider_meta={"block": {"description": "x" * 100_000}}).schema)
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder.parent.parent)}
    common = [sys.executable, "-c", PROCESS, str(program), str(data)]
    commands = [common, common, [*common, str(folder)]]
    processes = [subprocess.Popen(command, env=environment) for command in commands]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert not list(folder.glob(".new-*"))
