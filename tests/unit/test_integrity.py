"""Checksums of programs: what is accepted, which file is meant, and that nothing but the right content passes."""

from __future__ import annotations

import doctest
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import descriptors
from ferrule import integrity
from ferrule._executable import CheckedProgram, find_program, search_path
from ferrule.errors import ConfigError, LaunchError, SecurityError
from ferrule.integrity import SecureConfig

CONTENT = b"#!/bin/sh\n" * 100_000


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A file large enough for several reads."""
    path = tmp_path / "plugin"
    path.write_bytes(CONTENT)
    return path


@pytest.mark.parametrize(
    ("algorithm", "checksum", "kept"),
    [
        ("sha256", "AB" * 32, ("sha256", b"\xab" * 32)),
        ("SHA256", b"\xab" * 32, ("sha256", b"\xab" * 32)),
        ("sha512", bytearray(64), ("sha512", bytes(64))),
        ("md5", "00 11" * 8, ("md5", b"\x00\x11" * 8)),
        ("shake_128", bytes(20), ("shake_128", bytes(20))),
    ],
)
def test_every_form_of_a_checksum(algorithm: str, checksum: Any, kept: tuple[str, bytes]) -> None:
    secure = SecureConfig(algorithm=algorithm, checksum=checksum)
    assert (secure.algorithm, secure.checksum) == kept
    assert type(secure.checksum) is bytes


@pytest.mark.parametrize(
    ("algorithm", "checksum", "words"),
    [
        ("sha265", bytes(32), "setting secure_config.algorithm is 'sha265' (str), expected the name of a hash"),
        ("", bytes(32), "setting secure_config.algorithm is '' (str), expected the name of a hash"),
        (hashlib.sha256, bytes(32), "setting secure_config.algorithm is <built-in"),
        ("sha256", "", "setting secure_config.checksum is '' (str), expected the checksum as bytes or hexadecimal"),
        ("sha256", b"", "setting secure_config.checksum is b'' (bytes), expected the checksum"),
        ("sha256", "abc", "setting secure_config.checksum is 'abc' (str), expected the checksum"),
        ("sha256", "xy" * 32, "setting secure_config.checksum is 'xyxy"),
        ("sha256", None, "setting secure_config.checksum is None (NoneType), expected the checksum"),
        ("sha256", bytes(20), "setting secure_config.checksum has 20 bytes, expected 32 for sha256"),
        ("sha1", bytes(32), "setting secure_config.checksum has 32 bytes, expected 20 for sha1"),
        ("shake_256", bytes(15), "setting secure_config.checksum has 15 bytes, expected at least 16 for shake_256"),
    ],
)
def test_checksum_that_cannot_be_one_is_refused(algorithm: Any, checksum: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SecureConfig(algorithm=algorithm, checksum=checksum)
    assert caught.value.message.startswith(words)
    assert caught.value.code == "config.invalid"


@pytest.mark.parametrize("algorithm", sorted(hashlib.algorithms_guaranteed))
def test_right_content_passes_and_the_descriptor_is_that_of_the_file(algorithm: str, program: Path) -> None:
    digest = hashlib.new(algorithm, CONTENT)
    checksum = digest.digest() if digest.digest_size else digest.digest(40)  # type: ignore[call-arg]
    with CheckedProgram(str(program), SecureConfig(algorithm=algorithm, checksum=checksum)) as checked:
        with program.open("rb") as file:
            assert os.path.sameopenfile(checked.descriptor, file.fileno())
        assert not os.get_inheritable(checked.descriptor)


@pytest.mark.parametrize("change", [b"", CONTENT[:-1], CONTENT + b"\n", CONTENT[:-2] + b"H\n"])
def test_other_content_does_not_pass(change: bytes, program: Path) -> None:
    program.write_bytes(change)
    expected = hashlib.sha256(CONTENT).hexdigest()
    before = descriptors()
    with pytest.raises(SecurityError) as caught:
        CheckedProgram(str(program), SecureConfig(checksum=expected))
    assert caught.value.code == "integrity.mismatch"
    for words in (str(program), expected, hashlib.sha256(change).hexdigest(), "sha256"):
        assert words in caught.value.message
    del caught
    assert descriptors() == before


def test_checked_file_is_closed_once(program: Path) -> None:
    secure = SecureConfig(checksum=hashlib.sha256(CONTENT).digest())
    before = descriptors()
    with CheckedProgram(str(program), secure) as checked:
        assert set(descriptors().values()) - set(before.values()) == {str(program)}
    assert descriptors() == before
    reused = os.open(os.devnull, os.O_RDONLY)
    checked.close()
    os.fstat(reused)
    os.close(reused)
    CheckedProgram(str(program), secure)  # Held by nobody.
    assert descriptors() == before


def test_what_is_no_readable_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    secure = SecureConfig(checksum=bytes(32))
    for name, reason in (("pipe", "not a regular file"), ("", "not a regular file"), ("absent", "No such file")):
        with pytest.raises(LaunchError, match=reason) as caught:
            CheckedProgram(str(tmp_path / name), secure)
        assert caught.value.code == "launch.refused"


def test_program_is_found_as_a_shell_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for directory, mode in (("first", 0o644), ("second", 0o755), ("third", 0o755)):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / "some-plugin").touch(mode)
    (tmp_path / "first" / "only-here").touch(0o644)
    path = os.pathsep.join(str(tmp_path / directory) for directory in ("nowhere", "first", "second", "third"))
    monkeypatch.setenv("PATH", path)
    path = search_path({})
    assert find_program("some-plugin", None, path) == str(tmp_path / "second" / "some-plugin")
    assert find_program("some-plugin", None, search_path({"PATH": str(tmp_path / "third")})) == str(
        tmp_path / "third" / "some-plugin"
    )
    # Cannot be executed, which the launch will explain.
    assert find_program("only-here", None, path) == str(tmp_path / "first" / "only-here")
    monkeypatch.chdir(tmp_path / "first")
    assert find_program("./only-here", None, path) == str(tmp_path / "first" / "only-here")
    assert find_program("./some-plugin", tmp_path / "second", path) == str(tmp_path / "second" / "some-plugin")


@pytest.mark.parametrize(
    ("program", "directory", "words", "code"),
    [
        ("some-plugin", "/there", "was not found in PATH (/nowhere)", "launch.not-found"),
        ("./some-plugin", "/etc", "the plugin /etc/some-plugin does not exist", "launch.not-found"),
        ("./some-plugin", "/there", "the working directory /there (setting cwd) cannot be entered", "launch.failed"),
    ],
)
def test_program_that_is_missing(program: str, directory: str, words: str, code: str) -> None:
    with pytest.raises(LaunchError) as caught:
        find_program(program, directory, "/nowhere")
    assert words in caught.value.message
    assert caught.value.code == code


def test_examples_in_the_docstrings_are_true() -> None:
    result = doctest.testmod(integrity)
    assert (result.attempted > 0, result.failed) == (True, 0)


@pytest.fixture
def public_directory() -> Iterator[Path]:
    """One that every user may enter, unlike `tmp_path`."""
    # The directory that tests have for such files is theirs alone.
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


def test_directory_that_may_not_be_entered_is_passed_over(public_directory: Path) -> None:
    closed, program = public_directory / "closed", public_directory / "program"
    closed.mkdir(mode=0o000)
    program.write_text("#!/bin/sh\n")
    # Root may enter every directory, nobody (65534) may not.
    search = """
import os, sys
from ferrule._executable import find_program
if os.geteuid() == 0:
    os.setuid(65534)
print(find_program("program", None, sys.argv[1]))
"""
    command = [sys.executable, "-c", search, f"{closed}:{public_directory}"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert (run.stdout, run.returncode) == (f"{program}\n", 0), run.stderr
