"""The cache of schemas on a disk that may do anything."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest

from ferrule.terraform.schema import cache as cache_module
from ferrule.terraform.schema.cache import SchemaCache
from ferrule.terraform.schema.program import program_of
from ferrule.terraform.schema.store import Store
from terraform.cached_programs import PROTOCOL, Fetcher, search

pytestmark = pytest.mark.usefixtures("old_programs")


def damaged(data: bytes) -> dict[str, bytes]:
    middle = len(data) // 2
    return {
        "empty": b"",
        "short": data[:-1],
        "long": data + b"x",
        "header only": data[:20],
        "magic only": data[:16],
        "other format": b"F" + data[1:],
        "one bit": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
        "last bit": data[:-1] + bytes([data[-1] ^ 1]),
        "many parts": data[:20] + b"\xff" * 7 + data[27:],
        "large part": data[:28] + b"\xff" * 7 + data[35:],
    }


@pytest.mark.parametrize("suffix", [".schema", ".hash"])
@pytest.mark.parametrize("damage", damaged(bytes(100)))
def test_damaged_file_is_replaced(folder: Path, program: Path, suffix: str, damage: str) -> None:
    fetch = Fetcher()
    search(folder, program, fetch)
    (path,) = folder.glob(f"*{suffix}")
    whole = path.read_bytes()
    path.write_bytes(damaged(whole)[damage])
    assert search(folder, program, fetch)
    assert path.read_bytes() == whole
    assert not search(folder, program, fetch)


def test_damage_of_each_byte_is_seen(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    store = Store(folder)
    store.write("a", [b"abc", None, b""])
    assert store.read("a") == [b"abc", None, b""]
    path = folder / "a"
    whole = path.read_bytes()
    for position in range(len(whole)):
        changed = bytearray(whole)
        changed[position] ^= 1 << position % 8
        path.write_bytes(changed)
        assert store.read("a") is None, position


def test_stored_answer_that_is_no_message_is_replaced(folder: Path, program: Path) -> None:
    fetch = Fetcher()
    search(folder, program, fetch)
    (path,) = folder.glob("*.schema")
    Store(folder).write(path.name, [b"\xff", None])
    assert search(folder, program, fetch)
    Store(folder).write(path.name, [None])
    assert search(folder, program, fetch)
    assert not search(folder, program, fetch)


def test_files_of_others_are_not_read(folder: Path, program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    search(folder, program, Fetcher())
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
        assert search(folder, program, Fetcher())
    (path,) = folder.glob("*.schema")
    path.chmod(0o666)
    assert search(folder, program, Fetcher())
    assert path.stat().st_mode & 0o777 == 0o600
    folder.chmod(0o777)
    assert search(folder, program, Fetcher())
    folder.chmod(0o700)
    real = path.rename(folder.parent / "elsewhere")
    path.symlink_to(real)
    assert search(folder, program, Fetcher())
    path.unlink()
    os.mkfifo(path)
    assert search(folder, program, Fetcher())
    path.unlink()
    path.mkdir()
    assert search(folder, program, Fetcher())


@pytest.mark.parametrize("call", ["mkstemp", "replace", "write"])
def test_full_or_read_only_disk(folder: Path, program: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    if call == "write":
        real = os.fdopen

        def unwritable(descriptor: int, mode: str) -> Any:
            file = real(descriptor, mode)
            return file if mode == "rb" else _Unwritable(file)

        monkeypatch.setattr(os, "fdopen", unwritable)
    else:
        monkeypatch.setattr(tempfile if call == "mkstemp" else Path, call, refuse)
    assert search(folder, program, Fetcher())
    assert search(folder, program, Fetcher())
    assert not list(folder.iterdir())


class _Unwritable:
    def __init__(self, file: Any) -> None:
        self.file = file

    def __enter__(self) -> _Unwritable:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def writelines(self, _: object) -> None:
        raise OSError(28, "No space left on device")


def test_folder_that_cannot_be(tmp_path: Path, program: Path) -> None:
    (tmp_path / "file").write_text("")
    assert search(tmp_path / "file" / "cache", program, Fetcher())
    assert search(tmp_path / "file", program, Fetcher())


def test_no_thread_is_to_be_had(folder: Path, program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    started = program_of([program])
    monkeypatch.setattr(threading.Thread, "start", refuse)
    cache = SchemaCache(folder)
    assert asyncio.run(cache.schema(started, PROTOCOL, Fetcher().awaited)).fetched
    assert search(folder, program, Fetcher())
    assert not folder.exists()


def test_schema_that_went_alone(folder: Path, program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    search(folder, program, Fetcher())
    (path,) = folder.glob("*.schema")
    path.unlink()
    # The program is not read again.
    monkeypatch.setattr(cache_module, "digest_of", None)
    assert search(folder, program, Fetcher())
    assert not search(folder, program, Fetcher())
