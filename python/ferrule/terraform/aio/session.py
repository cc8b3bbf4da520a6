"""One provider in use: its client, its schema, its configuration."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ferrule.client import RPCPluginClient
from ferrule.config import ClientConfig
from ferrule.terraform.aio.driver import Driver
from ferrule.terraform.aio.schema_fetching import fetched
from ferrule.terraform.diagnostics import Diagnostic
from ferrule.terraform.errors import LifecycleError
from ferrule.terraform.hosting.configuration import Configuration
from ferrule.terraform.hosting.context import new_context
from ferrule.terraform.hosting.options import Options
from ferrule.terraform.hosting.schema_source import SCHEMA_METHOD
from ferrule.terraform.hosting.target import Target, config_for, load_messages, protocol_of
from ferrule.terraform.operations import provider as operations
from ferrule.terraform.operations.call import Operation
from ferrule.terraform.operations.context import Context
from ferrule.terraform.schema import ProviderSchema
from ferrule.terraform.schema.cache import SchemaCache
from ferrule.terraform.schema.program import Program

if TYPE_CHECKING:
    from ferrule.pool import Lease
    from ferrule.terraform.pool.configured import ConfiguredStart

__all__ = ["Session"]

Result = TypeVar("Result")


class _Open(Protocol):
    """Something that the provider keeps open, such as an ephemeral resource."""

    async def close(self) -> None: ...


class Session:
    """One provider, from its start to its end.

    Args:
        source: Where the provider is found, or a client of one that runs, or a lease, which then stay the caller's.
        settings: Settings of the client.
        options: What the provider is told.
    """

    def __init__(self, source: Target | RPCPluginClient | Lease, settings: ClientConfig, options: Options) -> None:
        self.options = options
        self.opened: set[_Open] = set()
        self.used: set[tuple[str, str]] = set()
        self.address = ""
        self.configuration = Configuration()
        self.client: RPCPluginClient | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self._source = source
        self._settings = settings
        self._driver: Driver | None = None
        self._context: Context | None = None
        self._program: Program | None = None
        # Starts and loads of the schema, one at a time.
        self._starting = asyncio.Lock()
        self._loading = asyncio.Lock()

    @property
    def state(self) -> str:
        """The process and its configuration, in a few words."""
        return "not started" if self._driver is None else f"pid {self._driver.pid}, {self.configuration}"

    @property
    def loaded(self) -> Context | None:
        """The provider as operations see it, once its schema is known."""
        return self._context

    @property
    def driver(self) -> Driver:
        """What runs operations.

        Raises:
            LifecycleError: The provider is not started.
        """
        if self._driver is None:
            hint = "Use `async with`, or call start() first."
            raise LifecycleError("the provider is not started", hint, "terraform.not-started")
        return self._driver

    async def start(self) -> None:
        """Starts the provider, and configures it if there is a configuration. Does nothing if it is started."""
        async with self._starting:
            if self._driver is not None:
                return
            if not isinstance(self._source, Target | RPCPluginClient):
                self._take_over(self._source)
                return
            self.configuration, self._context = Configuration(), None
            self.loop = asyncio.get_running_loop()
            try:
                client = await self._connected()
                protocol = protocol_of(client.protocol_version, client.is_started)
                self._driver = Driver(client, protocol, self.options.stop_timeout)
                if self.options.config is not None:
                    await self.configure(self.options.config)
            except GeneratorExit:
                # The coroutine is closed: nothing can be awaited any more.
                self.abandon()
                raise
            except BaseException:
                await self.close()
                raise

    async def close(self) -> None:
        """Closes what is open, and ends the provider unless it is the caller's."""
        try:
            for each in list(self.opened):
                await each.close()
        finally:
            self._driver = self.loop = None
            self.opened.clear()
            client, self.client = self.client, None
            if client is not None and isinstance(self._source, Target):
                try:
                    await client.shutdown_plugin()
                finally:
                    await client.close()

    def abandon(self) -> None:
        """Has the provider end without waiting, unless it is the caller's; its loop may be closed."""
        if self.client is not None and self.client._session is not None and isinstance(self._source, Target):
            self.client._session.abandon()

    async def configure(self, config: Mapping[str, Any]) -> None:
        """Gives the provider its configuration, once."""
        context = await self.context()
        # The schema of a large provider's configuration takes milliseconds to decode.
        await self.driver.run(self.configuration.once(operations.configure(context, config)), large=True)

    async def context(self) -> Context:
        """The provider as operations see it; loads the schema at the first call."""
        if self._context is None:
            async with self._loading:
                if self._context is None:
                    self._context = await self._loaded_context()
        return self._context

    async def run(
        self, begin: Callable[[Context], Operation[Result]], *, needs_configuration: str = "", large: bool = False
    ) -> Result:
        """Runs an operation.

        Args:
            begin: Makes the operation.
            needs_configuration: What needs a configured provider, for the error of one that is not; empty for nothing.
            large: Whether the operation's values are large.
        """
        return await self.driver.run(begin(await self.ready(needs_configuration)), large=large)

    async def validate(
        self, begin: Callable[[Context], Operation[None]], *, large: bool = False
    ) -> tuple[Diagnostic, ...]:
        """Runs an operation whose one result are the provider's warnings."""
        context = await self.ready("")
        heard: list[Diagnostic] = []

        def warn(warning: Diagnostic) -> None:
            heard.append(warning)
            context.warn(warning)

        await self.driver.run(begin(dataclasses.replace(context, warn=warn)), large=large)
        return tuple(heard)

    async def ready(self, needs_configuration: str) -> Context:
        """The provider as operations see it, configured if that is needed."""
        driver = self.driver
        if needs_configuration:
            self.configuration.require(needs_configuration)
        context = await self.context()
        # Closed and started again meanwhile: the context is of another process.
        if driver is not self._driver:
            raise LifecycleError("the provider was closed meanwhile", code="terraform.not-started")
        return context

    def _take_over(self, lease: Lease) -> None:
        """Goes on where a pool's start of the process has ended."""
        start: ConfiguredStart = lease.spec.on_start  # type: ignore[assignment] # As `start_of_lease` has it.
        client, options = lease.client, start.options
        self.address = start.address
        self.configuration = Configuration.of_pool(is_done=options.config is not None)
        context = self._context = start.context(client)
        self._driver = Driver(client, context.protocol, options.stop_timeout, lease)
        self.client = client

    async def _connected(self) -> RPCPluginClient:
        if not isinstance(self._source, Target):
            assert isinstance(self._source, RPCPluginClient)
            self.client = self._source
            await asyncio.to_thread(load_messages)
            return self._source
        found, self._program = await asyncio.to_thread(self._source.find)
        self.address = found.address
        client = self.client = RPCPluginClient(
            [] if found.path is None else [found.path], config_for(found, self._settings), reattach=found.reattach
        )
        # The thread has time while the provider starts.
        loading = asyncio.get_running_loop().run_in_executor(None, load_messages)
        await client.start()
        await loading
        return client

    async def _loaded_context(self) -> Context:
        return new_context(await self._schema(self.driver), self.options, self.address)

    async def _schema(self, driver: Driver) -> ProviderSchema:
        program = self._program if self.options.schema_cache else None
        found = await SchemaCache().schema(program, driver.protocol, lambda: fetched(driver))
        if not found.fetched and not found.schema.capabilities.get_provider_schema_optional:
            # Other methods of such a provider fail before it was asked.
            await driver.call(SCHEMA_METHOD)
        return found.schema
