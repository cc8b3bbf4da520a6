"""How many CPUs and how many plugins this machine has room for, by files of a machine that is made up."""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from pathlib import Path

import pytest

from ferrule.errors import ConfigError
from ferrule.pool.machine import check_max_plugins, default_max_plugins, raise_descriptors, room, usable_cpus

PLENTY = {"proc/sys/kernel/pid_max": "4194304"}


@pytest.fixture(autouse=True)
def plain_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight CPUs, a million descriptors, any number of processes."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)), raising=False)
    limits(monkeypatch, nofile=(1_000_000, 1_000_000))


def limits(monkeypatch: pytest.MonkeyPatch, **values: tuple[int, int]) -> None:
    infinite = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    found = {getattr(resource, f"RLIMIT_{name.upper()}"): value for name, value in values.items()}
    monkeypatch.setattr(resource, "getrlimit", lambda which: found.get(which, infinite))


def machine(root: Path, files: Mapping[str, str]) -> str:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return str(root)


V1 = "4:cpu,cpuacct:/docker/a\n3:pids:/docker/a\n1:name=systemd:/docker/a"
V2 = "0::/system.slice/a.service"


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({}, 8),
        ({"proc/self/cgroup": V2}, 8),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/system.slice/a.service/cpu.max": "max 100000"}, 8),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/system.slice/a.service/cpu.max": "250000 100000"}, 3),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/system.slice/cpu.max": "150000 100000"}, 2),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/system.slice/a.service/cpu.max": "10000 100000"}, 1),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/system.slice/a.service/cpu.max": "6400000 100000"}, 8),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "200000 100000"}, 2),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/cpu.max": "nonsense"}, 8),
        (
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/cpu/docker/a/cpu.cfs_quota_us": "200000",
                "sys/fs/cgroup/cpu/docker/a/cpu.cfs_period_us": "100000",
            },
            2,
        ),
        (
            # The path is the host's, and the container's own group is at the top.
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "400000",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
            },
            4,
        ),
        (
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/cpu/docker/a/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/docker/a/cpu.cfs_period_us": "100000",
                "sys/fs/cgroup/cpu/docker/cpu.cfs_quota_us": "100000",
                "sys/fs/cgroup/cpu/docker/cpu.cfs_period_us": "50000",
            },
            2,
        ),
    ],
)
def test_usable_cpus(tmp_path: Path, files: dict[str, str], cpus: int) -> None:
    assert usable_cpus(machine(tmp_path, files)) == cpus


def test_usable_cpus_of_this_machine() -> None:
    assert 1 <= usable_cpus() <= 8


@pytest.mark.parametrize(
    ("files", "descriptors", "plugins", "limit"),
    [
        (PLENTY, 1_000_000, 249_984, "RLIMIT_NOFILE"),
        (PLENTY, 1_024, 240, "RLIMIT_NOFILE"),
        ({"proc/sys/kernel/pid_max": "32768"}, 1_000_000, 4_096, "kernel.pid_max"),
        ({**PLENTY, "proc/sys/kernel/threads-max": "800"}, 1_000_000, 100, "kernel.threads-max"),
        (
            {**PLENTY, "proc/self/cgroup": V2, "sys/fs/cgroup/system.slice/pids.max": "512"},
            1_000_000,
            64,
            "pids.max of the control group",
        ),
        (
            {**PLENTY, "proc/self/cgroup": V1, "sys/fs/cgroup/pids/docker/a/pids.max": "80"},
            1_000_000,
            10,
            "pids.max of the control group",
        ),
        ({**PLENTY, "proc/self/cgroup": V2, "sys/fs/cgroup/pids.max": "max"}, 4_064, 1_000, "RLIMIT_NOFILE"),
    ],
)
def test_the_narrowest_limit_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], descriptors: int, plugins: int, limit: str
) -> None:
    limits(monkeypatch, nofile=(256, descriptors))
    found = room(machine(tmp_path, files))
    assert (found.plugins, found.limit) == (plugins, limit)


@pytest.mark.parametrize(("user", "plugins"), [(1000, 12), (0, 249_984)])
def test_processes_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: int, plugins: int) -> None:
    limits(monkeypatch, nofile=(256, 1_000_000), nproc=(100, 200))
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert room(machine(tmp_path, PLENTY)).plugins == plugins


def test_a_machine_without_any_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits(monkeypatch)
    assert room(str(tmp_path)).limit == ""
    check_max_plugins(1_000_000, str(tmp_path))


def test_the_default_is_500_or_what_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = machine(tmp_path, PLENTY)
    assert default_max_plugins(root) == 500
    limits(monkeypatch, nofile=(1_024, 1_024))
    assert default_max_plugins(root) == 240


@pytest.mark.parametrize("asked", [241, None])
def test_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: int | None) -> None:
    hard = 1_024 if asked else 60
    limits(monkeypatch, nofile=(hard, hard))
    root = machine(tmp_path, PLENTY)
    with pytest.raises(ConfigError) as caught:
        check_max_plugins(asked, root) if asked else default_max_plugins(root)
    expected = (
        f"setting max_plugins is {asked or 1}, and RLIMIT_NOFILE is {hard}: 4 n + 64 descriptors for n plugins, "
        f"expected at most {240 if asked else 0}"
    )
    assert caught.value.message == expected
    assert "ulimit -Hn" in (caught.value.hint or "")
    assert caught.value.code == "config.machine"


def test_descriptors_are_raised_to_what_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raised = []
    monkeypatch.setattr(resource, "setrlimit", lambda _which, values: raised.append(values))
    limits(monkeypatch, nofile=(1_024, 20_000))
    check_max_plugins(240, machine(tmp_path, PLENTY))
    assert raised == []
    check_max_plugins(500, machine(tmp_path, PLENTY))
    assert raised == [(2_064, 20_000)]


def test_a_system_that_refuses_more_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_which: int, _values: tuple[int, int]) -> None:
        raise ValueError("not allowed")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    limits(monkeypatch, nofile=(256, resource.RLIM_INFINITY))
    with pytest.raises(ConfigError, match=r"max_plugins is 500, and RLIMIT_NOFILE is 256: .* raise it to 2064"):
        raise_descriptors(500)
