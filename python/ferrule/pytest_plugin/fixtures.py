"""The fixtures that block, which need no plugin for async tests."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Literal, Protocol

import pytest

from ferrule.pytest_plugin.owners import owner

if TYPE_CHECKING:
    from ferrule.config import ClientConfig
    from ferrule.reattach import ReattachConfig
    from ferrule.sync import PluginPool, Provider, RPCPluginClient

__all__ = ["ClientFactory", "ProviderFactory", "ferrule_client", "ferrule_pool", "ferrule_provider", "scope_of"]

Scope = Literal["session", "package", "module", "class", "function"]


class ClientFactory(Protocol):
    """Starts a plugin; arguments as of `ferrule.sync.RPCPluginClient`."""

    def __call__(
        self,
        command: Sequence[str | os.PathLike[str]] = (),
        config: ClientConfig | Mapping[str, Any] | None = None,
        *,
        reattach: ReattachConfig | Mapping[str, Any] | None = None,
    ) -> RPCPluginClient: ...


class ProviderFactory(Protocol):
    """Starts a provider; arguments as of `ferrule.sync.Provider.launch`."""

    def __call__(
        self, source: str | os.PathLike[str], config: Mapping[str, Any] | None = None, **options: Any
    ) -> Provider: ...


def scope_of(fixture_name: str, config: pytest.Config) -> Scope:
    """The scope of the fixtures, the setting `ferrule_scope`."""
    scope: Scope = config.getini("ferrule_scope")
    return scope


@pytest.fixture(scope=scope_of)
def ferrule_client() -> Iterator[ClientFactory]:
    """Starts plugins that end with the test: `ferrule_client(command, config)` returns a blocking client."""
    with ExitStack() as stack:

        def client(
            command: Sequence[str | os.PathLike[str]] = (),
            config: ClientConfig | Mapping[str, Any] | None = None,
            *,
            reattach: ReattachConfig | Mapping[str, Any] | None = None,
        ) -> RPCPluginClient:
            from ferrule.sync import RPCPluginClient

            made = RPCPluginClient(command, config, reattach=reattach)
            stack.enter_context(owner(made))
            return stack.enter_context(made)

        yield client


@pytest.fixture(scope=scope_of)
def ferrule_provider() -> Iterator[ProviderFactory]:
    """Starts Terraform providers that end with the test: `ferrule_provider(source, config)` returns a blocking one."""
    with ExitStack() as stack:

        def provider(
            source: str | os.PathLike[str], config: Mapping[str, Any] | None = None, **options: Any
        ) -> Provider:
            from ferrule.sync import Provider

            made = Provider.launch(source, config, **options)
            stack.enter_context(owner(made))
            return stack.enter_context(made)

        yield provider


@pytest.fixture(scope=scope_of)
def ferrule_pool() -> Iterator[PluginPool]:
    """A blocking pool of plugins, which ends with the test; with the scope "session" all tests share its plugins."""
    from ferrule.sync import PluginPool

    with PluginPool(name="pytest") as pool, owner(pool):
        try:
            yield pool
        finally:
            # Nobody waits for leases that tests have forgotten.
            pool.close(force=True)
