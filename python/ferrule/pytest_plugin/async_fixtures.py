"""The fixtures for asyncio, for whichever plugin runs async tests."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pytest

from ferrule.pytest_plugin.owners import owner

if TYPE_CHECKING:
    from ferrule.client import RPCPluginClient
    from ferrule.config import ClientConfig
    from ferrule.pool import PluginPool
    from ferrule.terraform import Provider

__all__ = ["AsyncClientFactory", "AsyncProviderFactory", "absent_fixtures", "async_fixtures"]

AsyncClientFactory: TypeAlias = "Callable[..., Awaitable[RPCPluginClient]]"
"""Starts a plugin; arguments as of `ferrule.client.RPCPluginClient`."""

AsyncProviderFactory: TypeAlias = "Callable[..., Awaitable[Provider]]"
"""Starts a provider; arguments as of `ferrule.terraform.Provider.launch`."""


async def ferrule_async_client() -> AsyncIterator[AsyncClientFactory]:
    """Starts plugins that end with the test: `await ferrule_async_client(command, config)` returns a client."""
    async with AsyncExitStack() as stack:

        async def client(
            command: Sequence[str | os.PathLike[str]] = (),
            config: ClientConfig | Mapping[str, Any] | None = None,
            **options: Any,
        ) -> RPCPluginClient:
            from ferrule.client import RPCPluginClient

            made = RPCPluginClient(command, config, **options)
            stack.enter_context(owner(made))
            return await stack.enter_async_context(made)

        yield client


async def ferrule_async_provider() -> AsyncIterator[AsyncProviderFactory]:
    """Starts Terraform providers that end with the test: `await ferrule_async_provider(source, config)` returns one."""
    async with AsyncExitStack() as stack:

        async def provider(
            source: str | os.PathLike[str], config: Mapping[str, Any] | None = None, **options: Any
        ) -> Provider:
            from ferrule.terraform import Provider

            made = Provider.launch(source, config, **options)
            stack.enter_context(owner(made))
            return await stack.enter_async_context(made)

        yield provider


async def ferrule_async_pool() -> AsyncIterator[PluginPool]:
    """A pool of plugins, which ends with the test; with the scope "session" all tests share its plugins."""
    from ferrule.pool import PluginPool

    async with PluginPool(name="pytest") as pool:
        with owner(pool):
            try:
                yield pool
            finally:
                # Nobody waits for leases that tests have forgotten.
                await pool.close(force=True)


_FIXTURES: Final = (ferrule_async_client, ferrule_async_provider, ferrule_async_pool)

_PACKAGES: Final = {"asyncio": "pytest-asyncio", "anyio": "anyio"}
"""Whose the plugins for pytest are."""


def async_fixtures(plugin: str, scope: str) -> ModuleType:
    """A plugin for pytest with the fixtures, on a loop of their scope.

    Args:
        plugin: The plugin that runs them: asyncio or anyio.
        scope: Their scope.
    """
    module = ModuleType("ferrule.pytest_plugin.of_asyncio")
    for function in _FIXTURES:
        setattr(module, function.__name__, _fixture(plugin, scope)(function))
    return module


def absent_fixtures(plugins: Sequence[str]) -> ModuleType:
    """A plugin for pytest whose fixtures fail: none of the plugins that could run them is there."""
    module = ModuleType("ferrule.pytest_plugin.of_asyncio")
    packages = [_PACKAGES[plugin] for plugin in plugins]
    for function in _FIXTURES:
        message = f"{function.__name__} needs {' or '.join(packages)}: pip install {packages[0]}"
        setattr(module, function.__name__, _failing(function.__name__, message))
    return module


def _failing(name: str, message: str) -> Any:
    def fixture() -> None:
        pytest.fail(message, pytrace=False)

    fixture.__name__, fixture.__doc__ = name, message
    return pytest.fixture(fixture)


def _check_backend(fixture: str, backend: Any) -> None:
    """Fails where anyio runs a fixture on another library than asyncio; `backend` is a name, or one with options."""
    name = backend if isinstance(backend, str) else backend[0]
    if name != "asyncio":
        message = (
            f"{fixture} needs asyncio, and anyio runs it on {name}: have the fixture anyio_backend return 'asyncio'"
        )
        pytest.fail(message, pytrace=False)


def _fixture(plugin: str, scope: Any) -> Callable[[Any], Any]:
    if plugin == "asyncio":
        import pytest_asyncio

        if scope == "function":
            # With the loop that the setting asyncio_default_fixture_loop_scope says.
            return pytest_asyncio.fixture
        return pytest_asyncio.fixture(scope=scope, loop_scope=scope)

    def of_anyio(function: Any) -> Any:
        # anyio runs those async fixtures that ask for its backend.
        async def with_backend(anyio_backend: Any) -> AsyncIterator[Any]:
            _check_backend(function.__name__, anyio_backend)
            async for value in function():
                yield value

        with_backend.__name__, with_backend.__doc__ = function.__name__, function.__doc__
        return pytest.fixture(scope=scope)(with_backend)

    return of_anyio
