"""State files as files: locks, modes, links, and writes that fail."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ferrule.terraform.errors import StateError
from ferrule.terraform.tfstate import StateFile
from ferrule.terraform.tfstate import lock as lock_module
from terraform.state_files import STATE

HOLDER = """
import fcntl, pathlib, sys
file = open(sys.argv[1], "r+b")
fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
info = {"ID": "7f", "Operation": "OperationTypeApply", "Who": "ann@host", "Created": "2026-01-02T03:04:05Z"}
pathlib.Path(sys.argv[2]).write_text(__import__("json").dumps(info))
print("locked", flush=True)
sys.stdin.read()
"""
TRIAL = """
import fcntl, sys
try:
    fcntl.lockf(open(sys.argv[1], "r+b"), fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    sys.exit(3)
"""


def info_path(file: StateFile) -> Path:
    return file.path.with_name(f".{file.path.name}.lock.info")


def is_locked(path: Path) -> bool:
    """Whether another process, which opens the file as the tools do, finds it locked."""
    return subprocess.run([sys.executable, "-c", TRIAL, path], check=False).returncode == 3


@contextlib.contextmanager
def held(file: StateFile) -> Iterator[None]:
    command = [sys.executable, "-c", HOLDER, str(file.path), str(info_path(file))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        yield
        process.stdin.close()


def test_a_held_lock_is_respected_and_its_holder_named(file: StateFile) -> None:
    before = file.path.read_bytes()
    with held(file):
        with pytest.raises(StateError) as caught:
            file.write("random_pet.a", STATE)
        assert "it is locked, by ann@host since 2026-01-02T03:04:05Z (OperationTypeApply, lock 7f)" in str(caught.value)
        info_path(file).write_text("{")
        with pytest.raises(StateError, match="by a program that has not left its name"):
            file.write("random_pet.a", STATE)
        # Reading takes no lock.
        assert file.addresses()
    assert file.path.read_bytes() == before
    # What a holder that was killed has left is no lock.
    assert info_path(file).exists()
    file.write("random_pet.a", STATE)
    assert not info_path(file).exists()


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [
        ("directory", "is a directory, expected a regular file"),
        ("pipe", "is a device or pipe, expected a regular file"),
        ("loop", "cannot be locked: Too many levels of symbolic links"),
        ("name too long to be locked", "cannot be locked: File name too long"),
    ],
)
def test_what_cannot_be_a_state_file(kind: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / (250 * "x" if "long" in kind else "state")
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path)
    before = list(tmp_path.iterdir())
    with pytest.raises(StateError, match=complaint), StateFile(path).locked():
        pass
    assert list(tmp_path.iterdir()) == before
    assert not lock_module._held


@pytest.mark.parametrize("name", [244 * "x", "st\udcffate\n"])
def test_odd_names_of_state_files(name: str, tmp_path: Path) -> None:
    file = StateFile(tmp_path / name)
    file.write("random_pet.new", dataclasses.replace(STATE, provider="registry.terraform.io/hashicorp/random"))
    assert file.addresses() == ["random_pet.new"]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_others_find_the_lock_held_until_the_end(file: StateFile) -> None:
    with file.locked("apply of a test"):
        info = json.loads(info_path(file).read_text())
        assert (info["Operation"], info["Path"]) == ("apply of a test", str(file.path))
        assert set(info) == {"ID", "Operation", "Info", "Who", "Version", "Created", "Path"}
        assert is_locked(file.path)
        file.write("random_pet.a", STATE)
        # The file is another one now, and reading closes none of its descriptors.
        assert StateFile(file.path).read("random_pet.a").attributes["id"] == "cat"
        assert is_locked(file.path)
        file.write("random_pet.b", STATE)
        for other in (file, StateFile(file.path)):
            with pytest.raises(StateError, match=r"locked by this very object|this program holds its lock already"):
                with other.locked():
                    pass
        assert is_locked(file.path)
    assert not is_locked(file.path)
    assert not info_path(file).exists()
    assert not lock_module._held


def test_mode_is_kept_and_links_are_followed(file: StateFile, tmp_path: Path) -> None:
    file.path.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to(file.path)
    StateFile(link).write("random_pet.a", STATE)
    assert link.is_symlink()
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o640
    assert file.read("random_pet.a").type == "random_pet"


def test_a_write_that_fails_leaves_all_as_it_was(file: StateFile, monkeypatch: pytest.MonkeyPatch) -> None:
    before = file.path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StateError, match="cannot be written: No space left on device"):
        file.write("random_pet.a", STATE)
    monkeypatch.undo()
    assert file.path.read_bytes() == before
    assert [each.name for each in file.path.parent.iterdir()] == [file.path.name]
    file.write("random_pet.a", STATE)


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="cannot be read: Is a directory"):
        StateFile(tmp_path).addresses()
    with pytest.raises(StateError, match="cannot be locked: No such file or directory"):
        StateFile(tmp_path / "absent" / "file").write("random_pet.a", STATE)


def test_threads_lose_no_write(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "terraform.tfstate")
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda at: file.write(f"random_pet.a[{at}]", STATE), range(12)))
    assert file.addresses() == [f"random_pet.a[{at}]" for at in range(12)]
