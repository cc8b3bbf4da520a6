"""Fixtures for tests that drive plugins, the plugins' logs with tests that fail, and a check for what is left behind.

pytest loads the plugin by itself wherever this package is installed. Tests that ask for none of its fixtures see
nothing of it. All its names begin with `ferrule_`.

    def test_colours(ferrule_client):
        client = ferrule_client(["./kv"], KV_CONFIG)
        assert KVStub(client.grpc_channel).Get(GetRequest(key="colour")).value == b"green"

Fixtures that block: `ferrule_client`, `ferrule_provider`, `ferrule_pool`. For tests of asyncio, by pytest-asyncio or
anyio: `ferrule_async_client`, `ferrule_async_provider`, `ferrule_async_pool`.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

import pytest

from ferrule.pytest_plugin.fixtures import ferrule_client, ferrule_pool, ferrule_provider

__all__ = ["ferrule_client", "ferrule_pool", "ferrule_provider"]

SCOPES: Final = ("function", "class", "module", "package", "session")
CHECKS: Final = ("off", "warn", "fail")
ASYNC_PLUGINS: Final = ("auto", "asyncio", "anyio")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of the plugin."""
    check = "what becomes of a test that leaves a plugin, its sockets or a thread of Ferrule behind"
    parser.getgroup("ferrule").addoption("--ferrule-leak-check", choices=CHECKS, help=f"{check}; default off")
    parser.addini("ferrule_leak_check", f"{check}: {', '.join(CHECKS)}", default="off")
    parser.addini("ferrule_scope", f"the scope of Ferrule's fixtures: {', '.join(SCOPES)}", default="function")
    parser.addini("ferrule_async_plugin", f"whose the async fixtures are: {', '.join(ASYNC_PLUGINS)}", default="auto")


def pytest_configure(config: pytest.Config) -> None:
    """Adds the fixtures for asyncio where a plugin runs async tests, and the leak check where it is asked for."""
    scope = _word(config, "ferrule_scope", SCOPES)
    wanted = _word(config, "ferrule_async_plugin", ASYNC_PLUGINS)
    names = ASYNC_PLUGINS[1:] if wanted == "auto" else (wanted,)
    # The modules below are loaded late: pytest loads this one wherever Ferrule is installed.
    from ferrule.pytest_plugin.async_fixtures import absent_fixtures, async_fixtures

    present = next(filter(config.pluginmanager.hasplugin, names), None)
    fixtures = absent_fixtures(names) if present is None else async_fixtures(present, scope)
    config.pluginmanager.register(fixtures, "ferrule-async-fixtures")
    check = config.getoption("ferrule_leak_check") or _word(config, "ferrule_leak_check", CHECKS)
    if check != "off":
        from ferrule.pytest_plugin.leaks import LeakCheck

        config.pluginmanager.register(LeakCheck(fails=check == "fail"), "ferrule-leak-check")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Keeps what plugins log during a test with one of the fixtures."""
    if not _has_fixtures(item):
        return (yield)
    from ferrule.pytest_plugin.log import kept_lines

    with kept_lines(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds what plugins have logged to the report of a test that fails."""
    report = yield
    if report.failed and _has_fixtures(item):
        from ferrule.pytest_plugin.log import add_section

        add_section(item, report)
    return report


def _has_fixtures(item: pytest.Item) -> bool:
    """Whether a test asks for one of Ferrule's fixtures."""
    return any(name.startswith("ferrule_") for name in getattr(item, "fixturenames", ()))


def _word(config: pytest.Config, name: str, words: tuple[str, ...]) -> str:
    word = str(config.getini(name))
    if word not in words:
        raise pytest.UsageError(f"{name} is {word!r}, expected {', '.join(words)}")
    return word
