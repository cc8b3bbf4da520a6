"""Programs by their hash: found, written, refused."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import pickle
import stat
import subprocess
import sys
from collections.abc import Awaitable
from pathlib import Path

import pytest

from ferrule.errors import LaunchError, SecurityError
from ferrule.pool import PluginSpec
from ferrule.ray import BinaryStore
from ferrule.ray.binaries import MissingProgram, Program, chunks_of, prepare, ship

CONTENT = b"#!/bin/sh\nexit 0\n"


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """A program of the driver."""
    path = tmp_path / "driver" / "terraform-provider-example"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    path.chmod(0o755)
    return Program(str(path), hashlib.sha256(CONTENT).hexdigest())


async def given(data: bytes) -> bytes:
    await asyncio.sleep(0)
    return data


def as_chunks(*data: bytes) -> list[Awaitable[bytes]]:
    return [given(each) for each in data]


async def test_a_program_is_written_once_and_found(program: Program, tmp_path: Path) -> None:
    store = BinaryStore(tmp_path / "store")
    assert await store.find(program) is None
    unused = as_chunks(CONTENT)
    await asyncio.gather(store.store(program, as_chunks(CONTENT[:5], CONTENT[5:])), store.store(program, unused))
    await unused[0]
    path = await store.find(program)
    assert path == tmp_path / "store" / program.sha256 / "terraform-provider-example"
    assert path.read_bytes() == CONTENT
    assert stat.S_IMODE(path.stat().st_mode) == 0o500
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("content", [b"", CONTENT[:-1], b"another"])
async def test_another_content_is_refused_and_leaves_nothing(content: bytes, program: Program, tmp_path: Path) -> None:
    store = BinaryStore(tmp_path / "store")
    with pytest.raises(SecurityError) as refused:
        await store.store(program, as_chunks(content))
    assert refused.value.code == "ray.binary-differs"
    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == []
    await store.store(program, as_chunks(CONTENT))
    assert await store.find(program) is not None


async def test_a_file_that_was_changed_is_not_found(program: Program, tmp_path: Path) -> None:
    await BinaryStore(tmp_path / "store").store(program, as_chunks(CONTENT))
    store = BinaryStore(tmp_path / "store")
    path = store.path_of(program)
    path.chmod(0o700)
    path.write_bytes(b"changed")
    assert await store.find(program) is None
    await store.store(program, as_chunks(CONTENT))
    assert path.read_bytes() == CONTENT


async def test_a_spec_on_a_node(program: Program, tmp_path: Path) -> None:
    spec = PluginSpec([program.path, "an", "argument"], name="example")
    shipped = ship(spec)
    assert shipped.program == program
    assert b"".join(chunks_of(program)) == CONTENT
    assert (await prepare(shipped, None)).command == spec.command
    store = BinaryStore(tmp_path / "store")
    with pytest.raises(MissingProgram) as missing:
        await prepare(shipped, store)
    assert pickle.loads(pickle.dumps(missing.value)).program == program
    await store.store(program, as_chunks(CONTENT))
    prepared = await prepare(shipped, store)
    assert list(prepared.command) == [str(store.path_of(program)), "an", "argument"]
    assert prepared.name == "example"


async def test_a_node_with_another_program(program: Program, tmp_path: Path) -> None:
    shipped = ship(PluginSpec([program.path]))
    Path(program.path).write_bytes(b"#!/bin/sh\nexit 1\n")
    with pytest.raises(SecurityError, match="expected " + program.sha256):
        await prepare(shipped, None)
    Path(program.path).unlink()
    with pytest.raises(LaunchError):
        await prepare(shipped, None)


def test_a_program_that_the_driver_has_not(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match="missing"):
        ship(PluginSpec([str(tmp_path / "missing")]))


def test_a_program_that_is_replaced_has_another_key(program: Program) -> None:
    spec = PluginSpec([program.path])
    before = ship(spec)
    assert ship(spec) == before
    Path(program.path).write_bytes(b"#!/bin/sh\nexit 1\n")
    assert ship(spec).key != before.key


@pytest.mark.parametrize("mode", [None, 0o400], ids=["gone", "not executable"])
async def test_a_file_that_cannot_be_run_is_brought_again(mode: int | None, program: Program, tmp_path: Path) -> None:
    store = BinaryStore(tmp_path / "store")
    await store.store(program, as_chunks(CONTENT))
    path = store.path_of(program)
    if mode is None:
        path.unlink()
    else:
        path.chmod(mode)
    assert await store.find(program) is None
    await store.store(program, as_chunks(CONTENT))
    assert await store.find(program) == path


async def test_a_directory_in_the_place_of_the_file(program: Program, tmp_path: Path) -> None:
    store = BinaryStore(tmp_path / "store")
    path = store.path_of(program)
    path.mkdir(parents=True)
    assert await store.find(program) is None
    with pytest.raises(LaunchError, match="cannot be written on this node: Is a directory") as refused:
        await store.store(program, as_chunks(CONTENT))
    assert refused.value.code == "ray.not-stored"
    assert list(path.parent.iterdir()) == [path]


async def test_a_directory_that_cannot_be_written(program: Program, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for directory in (tmp_path / "file", Path("/proc/store"), Path("/dev/full/store")):
        unused = as_chunks(CONTENT)
        assert await BinaryStore(directory).find(program) is None
        with pytest.raises(LaunchError, match="cannot be written on this node"):
            await BinaryStore(directory).store(program, unused)
        await unused[0]


async def test_a_full_disk(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    store = BinaryStore(tmp_path / "store")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LaunchError, match="No space left on device"):
        await store.store(program, as_chunks(CONTENT))
    assert list(store.path_of(program).parent.iterdir()) == []
    monkeypatch.undo()
    await store.store(program, as_chunks(CONTENT))


async def test_two_nodes_with_one_directory(program: Program, tmp_path: Path) -> None:
    stores = [BinaryStore(tmp_path / "store") for _ in range(2)]
    await asyncio.gather(*(store.store(program, as_chunks(CONTENT[:5], CONTENT[5:])) for store in stores))
    assert await stores[0].find(program) == await stores[1].find(program)
    assert len(list(stores[0].path_of(program).parent.iterdir())) == 1


def test_a_relative_directory_is_the_nodes(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = pickle.loads(pickle.dumps(BinaryStore("store")))
    monkeypatch.chdir(tmp_path)
    assert store.path_of(program).is_relative_to(tmp_path / "store")


def test_a_store_is_pickled_without_what_it_knows(tmp_path: Path) -> None:
    assert repr(pickle.loads(pickle.dumps(BinaryStore(tmp_path)))) == f"BinaryStore({str(tmp_path)!r})"


WITHOUT_RAY = """
import sys
sys.modules["ray"] = None
import ferrule.ray.router
assert "grpc" in sys.modules
from ferrule.ray import BinaryStore, NodeLost, NoNodes
try:
    from ferrule.ray import RayPool
except ImportError as error:
    print(error)
"""


def test_without_ray_there_is_one_clear_error() -> None:
    result = subprocess.run([sys.executable, "-c", WITHOUT_RAY], check=True, capture_output=True, text=True)
    assert result.stdout == 'ferrule.ray needs the package ray: pip install "ferrule[ray]"\n'
