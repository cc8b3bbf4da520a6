"""Programs with a checksum: the wrong one never runs, and what was checked is what runs."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from conftest import descriptors
from ferrule._host.launch import check_program
from ferrule.client import RPCPluginClient, session
from ferrule.errors import LaunchError, SecurityError, TransportError
from ferrule.testing.kv_pb2 import PutRequest
from integration.kv import kv_client, kv_stub, started
from peers import go_kv, python_kv
from waiting import until

pytestmark = pytest.mark.timeout(60)


def sha256(path: str | Path) -> dict[str, str]:
    """The setting for a file as it is."""
    return {"checksum": hashlib.sha256(Path(path).read_bytes()).hexdigest()}


def script(directory: Path, name: str = "plugin", *, marker: Path | None = None) -> Path:
    """A plugin that is a script; it says at `marker` that it ran."""
    path = directory / name
    said = f"open({str(marker)!r}, 'w').close()\n" if marker else ""
    body = "import sys\nfrom ferrule.testing import __main__ as plugin\nsys.exit(plugin.main(sys.argv[1:]))\n"
    path.write_text(f"#!{sys.executable}\n{said}{body}")
    path.chmod(0o755)
    return path


async def check_call(client: RPCPluginClient) -> None:
    await kv_stub(client).Put(PutRequest(key="k"))


@pytest.mark.go
@pytest.mark.parametrize("algorithm", ["sha256", "sha512", "blake2b", "md5"])
async def test_program_with_the_right_checksum_runs(algorithm: str) -> None:
    checksum = hashlib.new(algorithm, Path(go_kv()[0]).read_bytes()).digest()
    async with started(go_kv(), secure_config={"algorithm": algorithm, "checksum": checksum}) as (client, _):
        await check_call(client)
        # The file itself, by whatever way it was executed.
        assert Path(f"/proc/{client.pid}/exe").resolve() == Path(go_kv()[0]).resolve()
    del client
    gc.collect()
    assert go_kv()[0] not in descriptors().values()


@pytest.mark.go
async def test_program_on_path_is_the_one_that_is_checked(tmp_path: Path) -> None:
    (tmp_path / "some-plugin").symlink_to(go_kv()[0])
    path = f"/nowhere:{tmp_path}:{os.environ['PATH']}"
    async with started(["some-plugin"], env={"PATH": path}, secure_config=sha256(go_kv()[0])) as (client, _):
        await check_call(client)
        assert Path(f"/proc/{client.pid}/cmdline").read_bytes().split(b"\0")[0] == b"some-plugin"


async def test_script_runs_by_its_first_line(tmp_path: Path) -> None:
    program = script(tmp_path)
    async with started([str(program)], secure_config=sha256(program)) as (client, _):
        await check_call(client)


async def test_wrong_checksum_never_runs(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    program = script(tmp_path, marker=marker)
    expected = hashlib.sha256(b"something else").hexdigest()
    settings = {"secure_config": {"checksum": expected}, "retry": {"attempts": 3}}
    client = kv_client([str(program)], **settings)
    for _ in range(2):
        with pytest.raises(SecurityError) as caught:
            await client.start()
        assert caught.value.code == "integrity.mismatch"
        assert expected in caught.value.message
        assert sha256(program)["checksum"] in caught.value.message
    assert not marker.exists()
    assert (client.pid, client.is_started) == (None, False)
    # The same program does run, and says so, when nobody asks.
    async with started([str(program)]):
        assert marker.exists()


@pytest.mark.parametrize("way", ["renamed over", "removed and written again", "symlink turned"])
async def test_file_that_is_swapped_after_the_check_does_not_run(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "ran"
    good, evil = script(tmp_path, "good"), script(tmp_path, "evil", marker=marker)
    program = tmp_path / "plugin"
    (program.symlink_to if way == "symlink turned" else program.hardlink_to)(good)

    def check_and_swap(*arguments: Any) -> Any:
        checked = check_program(*arguments)
        if way == "symlink turned":
            program.unlink()
            program.symlink_to(evil)
        elif way == "renamed over":
            evil.rename(program)
        else:
            program.unlink()
            program.write_bytes(evil.read_bytes())
            program.chmod(0o755)
        return checked

    monkeypatch.setattr(session, "check_program", check_and_swap)
    async with started([str(program)], secure_config=sha256(good)) as (client, _):
        await check_call(client)
    assert not marker.exists()
    assert program.read_bytes() != good.read_bytes()


async def test_checksum_is_of_the_file_at_each_start(tmp_path: Path) -> None:
    program = script(tmp_path)
    client = kv_client([str(program)], secure_config=sha256(program))
    async with client:
        await check_call(client)
    program.write_text(program.read_text() + "\n")
    with pytest.raises(SecurityError):
        await client.start()


@pytest.mark.parametrize(
    ("command", "code"),
    [(["/absent"], "launch.not-found"), (["absent"], "launch.not-found"), (["/"], "launch.refused")],
)
async def test_program_that_is_missing_or_no_file(command: list[str], code: str) -> None:
    with pytest.raises(LaunchError) as caught:
        await kv_client(command, secure_config={"checksum": bytes(32)}).start()
    assert caught.value.code == code


async def test_program_that_may_not_be_executed(tmp_path: Path) -> None:
    program = script(tmp_path)
    program.chmod(0o644)
    with pytest.raises(LaunchError, match="0644") as caught:
        await kv_client([str(program)], secure_config=sha256(program)).start()
    assert caught.value.code == "launch.refused"


@pytest.fixture
def huge(tmp_path: Path) -> Path:
    """A file that takes a good part of a second to hash, and no room on the disk."""
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(400 << 20)
    path.chmod(0o755)
    return path


async def test_event_loop_goes_on_during_the_check(huge: Path) -> None:
    client = kv_client([str(huge)], secure_config={"checksum": bytes(32)})
    start, turns = asyncio.create_task(client.start()), 0
    while not start.done():
        await asyncio.sleep(0)
        turns += 1
    with pytest.raises(SecurityError):
        await start
    assert turns > 100


@pytest.mark.parametrize("ending", ["cancel", "close"])
async def test_start_is_given_up_during_the_check(ending: str, huge: Path) -> None:
    client = kv_client([str(huge)], secure_config={"checksum": bytes(32)})
    start = asyncio.create_task(client.start())
    await until(lambda: str(huge) in descriptors().values())
    if ending == "cancel":
        start.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await start
    else:
        await client.close()
        with pytest.raises((TransportError, SecurityError)):
            await start
    assert str(huge) not in descriptors().values()
    assert not client.is_started


async def test_start_after_one_that_was_given_up(tmp_path: Path) -> None:
    program = script(tmp_path)
    client = kv_client([str(program)], secure_config=sha256(program))
    given_up = asyncio.create_task(client.start())
    await asyncio.sleep(0)
    await client.close()
    async with client:
        with pytest.raises(TransportError):
            await given_up
        await check_call(client)
    assert client.stop_report is not None
    assert client.stop_report.rung == "shutdown"


async def test_arguments_and_name_are_those_of_the_command(tmp_path: Path) -> None:
    program = script(tmp_path)
    command = [str(program), *python_kv("versions=3,5")[3:]]
    async with started(command, secure_config=sha256(program), protocol_versions=(5,)) as (client, _):
        assert client.protocol_version == 5
