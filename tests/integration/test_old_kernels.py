"""Kernels that lack what newer ones have, sandboxes that refuse it: plugins start there too, and get nothing more."""

from __future__ import annotations

import errno
import os
import platform
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from integration.seccomp import NUMBERS
from peers import ROOT

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(platform.machine() not in NUMBERS, reason="the numbers of its system calls are not known here"),
]

BEGIN = """
import asyncio, logging, os, resource, signal, sys
from ferrule.client import RPCPluginClient
from ferrule.errors import LaunchError, PluginExitedError
from ferrule.testing import KV_CONFIG, plugin_command
from integration.seccomp import refuse

logging.basicConfig(stream=sys.stderr, format="%(message)s")
"""

HELD = """
for descriptor in (20, 1000):
    os.dup2(os.open("/etc/passwd", os.O_RDONLY), descriptor)
script = "for each in 0 1 2 20 1000; do [ -e /proc/self/fd/$each ] && echo $each >&2; done; exit 3"
try:
    asyncio.run(RPCPluginClient(["/bin/sh", "-c", script]).start())
except PluginExitedError as error:
    print(*error.stderr_tail)
except LaunchError as error:
    print(error.message)
"""

LIFE = """
async def main():
    async with RPCPluginClient(plugin_command(), KV_CONFIG) as client:
        pass
    print(client.stop_report.rung, client.exit_status)
    async with RPCPluginClient(plugin_command(), KV_CONFIG) as client:
        os.kill(client.pid, signal.SIGKILL)
        print(await client.wait_exited())
    try:
        await RPCPluginClient(["/bin/sh", "-c", "exit 3"]).start()
    except PluginExitedError as error:
        print(error.exit_status)
    try:
        await RPCPluginClient(["/etc/passwd"]).start()
    except LaunchError as error:
        print(error.code)
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        print("no children")

asyncio.run(main())
"""

LIVED = ["shutdown 0", "-9", "3", "launch.refused", "no children"]


def output_of(program: str, **variables: str) -> tuple[list[str], str]:
    """What a program of its own says on both outputs."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests"), **variables}
    command = [sys.executable, "-c", BEGIN + program]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=50)
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines(), run.stderr


@pytest.mark.parametrize("error", ["EPERM", "ENOSYS", "EINVAL"])
def test_descriptors_are_kept_where_the_kernel_cannot_mark_them(error: str) -> None:
    refused = f'refuse("close_range", {getattr(errno, error)})\n'
    assert output_of(refused + HELD) == (["0 1 2"], "")


LIMITED = "resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))\n"


def test_descriptors_are_kept_where_they_cannot_be_listed_either() -> None:
    assert output_of(LIMITED + 'refuse("close_range")\nrefuse("getdents64")\n' + HELD) == (["0 1 2"], "")


def test_life_where_waiting_knows_no_process_descriptors() -> None:
    by_descriptor = 3
    assert output_of(f'refuse("waitid", {errno.EINVAL}, {by_descriptor})\n' + LIFE) == (LIVED, "")


SHIM = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sched.h>
int clone(int (*run)(void *), void *stack, int flags, void *argument, ...) {
  int (*real)(int (*)(void *), void *, int, void *, ...) = dlsym(RTLD_NEXT, "clone");
  return real(run, stack, flags & ~CLONE_PIDFD, argument);
}
"""


def test_life_where_there_are_no_process_descriptors(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    source, library = tmp_path / "clone.c", tmp_path / "clone.so"
    source.write_text(SHIM)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    refused = f'refuse("waitid", {errno.EINVAL}, 3)\nrefuse("pidfd_open")\n'
    assert output_of(refused + LIFE, LD_PRELOAD=str(library)) == (LIVED, "")


def test_life_where_a_process_cannot_be_started_with_its_descriptor() -> None:
    shared_until_it_executes = 0x100 | 0x4000
    flags = 0x1000 | shared_until_it_executes | signal.SIGCHLD
    assert output_of(f'refuse("clone", {errno.EINVAL}, {flags})\n' + LIFE) == (LIVED, "")


def test_without_a_watcher_plugins_start_and_the_log_says_so_once() -> None:
    said, remarks = output_of('refuse("memfd_create")\n' + LIFE)
    assert said == LIVED
    assert remarks.count("no watcher could be started") == 1
