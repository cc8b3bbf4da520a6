"""The plugin for pytest: its fixtures, the logs of plugins with tests that fail, the check for what is left behind."""

from __future__ import annotations

import gc
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

# What the runs inside this one need is loaded once: each forgets what it has loaded itself.
import ferrule.pool.aio.pool
import ferrule.pytest_plugin.async_fixtures
import ferrule.pytest_plugin.leaks
import ferrule.sync.pool.pool
import ferrule.terraform.aio.provider
import ferrule.terraform.sync.provider
from ferrule.pytest_plugin import leaks
from ferrule.terraform.finding.platforms import current_platform
from peers import ROOT, go_peer

pytest_plugins = ["pytester"]

pytestmark = [pytest.mark.timeout(60), pytest.mark.go]

HEAD = f"""
import logging
import pytest
from ferrule.pool import PluginSpec
from ferrule.testing import KV_CONFIG, KVStub
from ferrule.testing.kv_pb2 import GetRequest, PutRequest

COMMAND = [{go_peer("kv")!r}]
SPEC = PluginSpec(COMMAND, KV_CONFIG)
PUT, GET = PutRequest(key="colour", value=b"green"), GetRequest(key="colour")
"""

LITTLE = "-p no:cacheprovider -p no:benchmark -p no:hypothesispytest --assert=plain"
"""What the runs inside this one do without: rewriting asserts and loading Hypothesis takes most of their time."""

LOOPS = "asyncio_default_fixture_loop_scope = function"

IS_INSTALLED = bool(entry_points(group="pytest11", name="ferrule"))
LOADED = () if IS_INSTALLED else ("-p", "ferrule.pytest_plugin")
"""Where the metadata of the package are of an older build, its entry point is not there."""


def outcome(pytester: pytest.Pytester, tests: str, *options: str, ini: str = "") -> pytest.RunResult:
    """A run of tests inside this one."""
    pytester.makeini(f"[pytest]\naddopts = {LITTLE}\n{LOOPS}\n{ini}")
    pytester.makepyfile(HEAD + tests)
    return pytester.runpytest_inprocess(*LOADED, "-W", "error", *options)


def test_the_package_is_found_by_pytest_and_loads_little() -> None:
    program = """
import sys, pytest
before = set(sys.modules)
import ferrule.pytest_plugin
print(*sorted(name for name in set(sys.modules) - before if name.partition(".")[0] in {"ferrule", "grpc", "asyncio"}))
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.split() == [
        "ferrule", "ferrule.pytest_plugin", "ferrule.pytest_plugin.fixtures", "ferrule.pytest_plugin.owners",
    ]  # fmt: skip


BLOCKING = """
def test_a_client(ferrule_client):
    first, second = ferrule_client(COMMAND, KV_CONFIG), ferrule_client(COMMAND, KV_CONFIG)
    assert first.pid != second.pid
    KVStub(first.grpc_channel).Put(PUT)
    assert KVStub(first.grpc_channel).Get(GET).value == b"green"

@pytest.mark.parametrize("number", [1, 2])
def test_a_pool(ferrule_pool, number):
    with ferrule_pool.lease(SPEC) as lease:
        if number == 1:
            lease.stub(KVStub).Put(PUT)
        assert lease.stub(KVStub).Get(GET).value == b"green"

def test_a_provider(ferrule_provider):
    provider = ferrule_provider("PROVIDER", {})
    assert provider.resource("time_static").plan({}).action == "create"
""".replace("PROVIDER", go_peer("terraform-provider-time"))


# pytest-asyncio would like the scope of fixtures to be set.
@pytest.mark.filterwarnings("ignore::pytest.PytestDeprecationWarning")
@pytest.mark.parametrize("number", [0, 1], ids=["first", "all"])
def test_the_page_works_as_it_is_written(pytester: pytest.Pytester, number: int) -> None:
    """The tests of its first block, with the settings of each of its blocks of them."""
    page = (ROOT / "docs" / "testing.md").read_text()
    (tests,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    settings = re.findall(r"^```ini\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    pytester.makeini(settings[number])
    pytester.makepyfile(tests)
    # Where `terraform init` puts it.
    version = Path(".terraform/providers/registry.terraform.io/hashicorp/time/0.13.1", current_platform())
    program = pytester.path / version / "terraform-provider-time"
    program.parent.mkdir(parents=True)
    program.symlink_to(go_peer("terraform-provider-time"))
    run = pytester.runpytest_inprocess(*LOADED, *LITTLE.split())
    run.assert_outcomes(passed=2)


FORGETFUL = """
forgotten = []

def test_a_lease_is_forgotten(ferrule_pool):
    forgotten.append(ferrule_pool.lease(SPEC).__enter__())

async def test_another_is(ferrule_async_pool):
    forgotten.append(await ferrule_async_pool.lease(SPEC).__aenter__())
"""


def test_no_fixture_waits_for_a_lease_that_a_test_has_forgotten(pytester: pytest.Pytester) -> None:
    began = time.monotonic()
    run = outcome(pytester, FORGETFUL, "--ferrule-leak-check=fail", ini="asyncio_mode = auto")
    run.assert_outcomes(passed=2)
    # A pool's own end waits for 30 s.
    assert time.monotonic() - began < 25


def test_fixtures_that_block(pytester: pytest.Pytester) -> None:
    run = outcome(pytester, BLOCKING, "--ferrule-leak-check=fail", ini="ferrule_scope = session")
    run.assert_outcomes(passed=4)


ASYNCIO = """
async def test_a_client(ferrule_async_client):
    client = await ferrule_async_client(COMMAND, KV_CONFIG)
    await KVStub(client.grpc_channel).Put(PUT)

@pytest.mark.parametrize("number", [1, 2])
async def test_a_pool(ferrule_async_pool, number):
    async with ferrule_async_pool.lease(SPEC) as lease:
        await lease.stub(KVStub).Put(PUT)
        assert lease.calls in (1, number)

async def test_a_provider(ferrule_async_provider):
    provider = await ferrule_async_provider("PROVIDER", {})
    assert (await provider.resource("time_static").plan({})).action == "create"
""".replace("PROVIDER", go_peer("terraform-provider-time"))


@pytest.mark.parametrize("scope", ["function", "session"])
def test_fixtures_for_pytest_asyncio(pytester: pytest.Pytester, scope: str) -> None:
    ini = f"asyncio_mode = auto\nasyncio_default_test_loop_scope = {scope}\nferrule_scope = {scope}"
    run = outcome(pytester, ASYNCIO, "--ferrule-leak-check=fail", ini=ini)
    run.assert_outcomes(passed=4)


@pytest.mark.skipif(importlib.util.find_spec("anyio") is None, reason="anyio is not installed")
def test_fixtures_for_anyio(pytester: pytest.Pytester) -> None:
    tests = "pytestmark = pytest.mark.anyio\n\n@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n" + ASYNCIO
    run = outcome(pytester, tests, "--ferrule-leak-check=fail", ini="ferrule_async_plugin = anyio")
    run.assert_outcomes(passed=4)


def test_what_plugins_log_is_in_the_report_of_a_test_that_fails(pytester: pytest.Pytester) -> None:
    tests = """
def test_well(ferrule_client):
    ferrule_client(COMMAND, KV_CONFIG)

def test_badly(ferrule_client, caplog):
    ferrule_client(COMMAND, KV_CONFIG)
    # The plugin's debug lines are nobody else's.
    assert caplog.records == []
    assert False

def test_of_others():
    logging.getLogger("ferrule.plugin.kv").warning("not ours")
    assert False
"""
    run = outcome(pytester, tests)
    run.assert_outcomes(passed=1, failed=2)
    text = run.stdout.str()
    assert text.count("- Captured plugin log call -") == 1
    run.stdout.fnmatch_lines(["DEBUG * kv*: plugin address*"])
    assert text.count("plugin address") == 1


LEAKS = """
kept = []

def test_leaves_a_plugin():
    from ferrule.sync import RPCPluginClient
    client = RPCPluginClient(COMMAND, KV_CONFIG)
    client.start()
    kept.append(client)

def test_ends_it():
    kept.pop().close()

def test_leaves_a_thread():
    import threading
    stop = threading.Event()
    kept.append((stop, threading.Thread(target=stop.wait, name="ferrule-thing")))
    kept[0][1].start()

def test_ends_that():
    stop, thread = kept.pop()
    stop.set()
    thread.join()

def test_leaves_a_directory(tmp_path):
    import pathlib, tempfile
    kept.append(pathlib.Path(tempfile.mkdtemp(prefix="ferrule-")))

def test_removes_it():
    kept.pop().rmdir()
"""


def test_what_is_left_behind_is_told(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ferrule.pytest_plugin.leaks.SETTLE_SECONDS", 0.05)
    run = outcome(pytester, LEAKS, "--ferrule-leak-check=fail")
    run.assert_outcomes(passed=6, errors=3)
    run.stdout.fnmatch_lines([
        "*test_leaves_a_plugin left behind plugins that were never closed: 1 (*/kv, process [0-9]*)*",
        "*test_leaves_a_thread left behind threads: ferrule-thing*",
        "*test_leaves_a_directory left behind directories of sockets: */ferrule-*",
    ])  # fmt: skip
    options = ("-k", "thread or that", "-W", "default::pytest.PytestWarning")
    run = outcome(pytester, LEAKS, *options, ini="ferrule_leak_check = warn")
    run.assert_outcomes(passed=2, warnings=1, deselected=4)


@pytest.mark.parametrize("backend", ["trio", ("trio", {"strict": True})])
async def test_a_fixture_on_trio_says_that_it_needs_asyncio(backend: object) -> None:
    module = ferrule.pytest_plugin.async_fixtures.async_fixtures("anyio", "function")
    fixture = module.ferrule_async_client._get_wrapped_function()
    with pytest.raises(pytest.fail.Exception, match="ferrule_async_client needs asyncio, and anyio runs it on trio"):
        await anext(fixture(backend))


DROPPED = """
import gc

@pytest.mark.filterwarnings("ignore")
def test_drops_a_client_that_nothing_but_itself_holds():
    from ferrule.sync import RPCPluginClient
    # Not before the check.
    gc.disable()
    client = RPCPluginClient(COMMAND, KV_CONFIG)
    client.start()
    client.itself = client
"""


def test_what_nobody_holds_is_collected_and_not_left_behind(pytester: pytest.Pytester) -> None:
    try:
        outcome(pytester, DROPPED, "--ferrule-leak-check=fail").assert_outcomes(passed=1)
    finally:
        gc.enable()


def test_a_directory_that_another_process_removes_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ferrule-gone", "ferrule-there"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    status = Path.stat

    def stat(path: Path, **options: Any) -> os.stat_result:
        if path.name == "ferrule-gone":
            # Between the listing and the look.
            shutil.rmtree(path, ignore_errors=True)
        return status(path, **options)

    monkeypatch.setattr(Path, "stat", stat)
    assert leaks._unused_directories() == [tmp_path / "ferrule-there"]


def test_fixtures_for_asyncio_say_what_they_need(pytester: pytest.Pytester) -> None:
    tests = "def test_nothing(ferrule_async_pool): pass"
    run = outcome(pytester, tests, "-p", "no:anyio", ini="ferrule_async_plugin = anyio")
    run.assert_outcomes(errors=1)
    run.stdout.fnmatch_lines(["*ferrule_async_pool needs anyio: pip install anyio*"])


def test_settings_that_do_not_fit_are_refused(pytester: pytest.Pytester) -> None:
    run = outcome(pytester, "", ini="ferrule_scope = forever")
    assert run.ret == pytest.ExitCode.USAGE_ERROR
    run.stderr.fnmatch_lines(["*ferrule_scope is 'forever', expected function, class, module, package, session*"])


def test_the_example(pytester: pytest.Pytester) -> None:
    pytester.makeini(f"[pytest]\naddopts = {LITTLE}\n{LOOPS}")
    example = ROOT / "examples" / "test_with_ferrule.py"
    run = pytester.runpytest_inprocess(*LOADED, "-W", "error", "--ferrule-leak-check=fail", str(example))
    run.assert_outcomes(passed=2)
    # Nothing of the plugin is said to those whose tests are well.
    assert "errule" not in run.stdout.str().partition("collected")[2].replace("test_with_ferrule", "")
    assert "errule" not in run.stderr.str()
