"""Which specs share a process."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytest

from ferrule.pool import PluginSpec
from ferrule.pool.key import KeyMaker, environment_of, key_of


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "plugin"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def spec(program: Path, config: dict[str, Any] | None = None, **settings: Any) -> PluginSpec:
    return PluginSpec([program, "serve"], config, **settings)


@pytest.mark.parametrize(
    "config",
    [
        {"env": {"A": "1"}},
        {"skip_host_env": True},
        {"cwd": "/"},
        {"protocol_versions": (5,)},
        {"magic_cookie_value": "another"},
        {"auto_mtls": False},
        {"secure_config": {"checksum": "00" * 32}},
    ],
)
def test_what_a_process_is_made_of_is_in_its_key(program: Path, config: dict[str, Any]) -> None:
    assert key_of(spec(program, config)) == key_of(spec(program, config))
    assert key_of(spec(program, config)) != key_of(spec(program))


@pytest.mark.parametrize(
    "config", [{"logger": logging.getLogger("x")}, {"sync_stderr": print}, {"start_timeout": 1}, {"managed": True}]
)
def test_what_is_about_the_host_is_not(program: Path, config: dict[str, Any]) -> None:
    assert key_of(spec(program, config)) == key_of(spec(program, name="other", max_age=5))


def test_arguments_and_memory_limit_count(program: Path) -> None:
    keys = {key_of(spec(program)), key_of(PluginSpec([program])), key_of(spec(program, memory_soft_limit=2**20))}
    assert len(keys) == 3


def test_program_counts_by_its_file(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = program.with_name("link")
    link.symlink_to(program)
    monkeypatch.setenv("PATH", str(program.parent))
    keys = {key_of(PluginSpec([each])) for each in (program, link, "plugin")}
    assert len(keys) == 1
    os.utime(program, ns=(1, 1))
    assert key_of(PluginSpec([program])) not in keys


def test_host_environment_counts(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = key_of(spec(program))
    monkeypatch.setenv("AWS_PROFILE", "other")
    assert key_of(spec(program)) != before
    assert "AWS_PROFILE" not in environment_of(spec(program, {"skip_host_env": True}))


def test_key_tells_nothing_without_the_secret(program: Path) -> None:
    secret = spec(program, {"env": {"PASSWORD": "hunter2"}})
    keys = [KeyMaker(each) for each in (b"one", b"two")]
    assert len({keys.key(secret, keys.identity(secret)) for keys in keys}) == 2
    assert "hunter2" not in repr(secret)


def test_missing_program_has_a_key_until_its_start_says_so(tmp_path: Path) -> None:
    missing = PluginSpec([tmp_path / "nothing"])
    assert key_of(missing) == key_of(PluginSpec([tmp_path / "nothing"]))
