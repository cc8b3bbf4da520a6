"""One provider in use: its client, its schema, its configuration."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ferrule.config import ClientConfig
from ferrule.sync.plugin_client import RPCPluginClient
from ferrule.terraform.diagnostics import Diagnostic
from ferrule.terraform.errors import LifecycleError, UnsupportedError
from ferrule.terraform.hosting.configuration import Configuration
from ferrule.terraform.hosting.context import new_context
from ferrule.terraform.hosting.options import Options
from ferrule.terraform.hosting.schema_source import IDENTITY_METHOD, SCHEMA_METHOD
from ferrule.terraform.hosting.target import Target, config_for, protocol_of
from ferrule.terraform.operations import provider as operations
from ferrule.terraform.operations.call import Operation
from ferrule.terraform.operations.context import Context
from ferrule.terraform.schema import ProviderSchema
from ferrule.terraform.schema.cache import Answers, SchemaCache
from ferrule.terraform.schema.program import Program
from ferrule.terraform.sync.driver import Driver

if TYPE_CHECKING:
    from ferrule.sync.pool.lease import Lease
    from ferrule.terraform.pool.configured import ConfiguredStart

__all__ = ["Session"]

Result = TypeVar("Result")


class _Open(Protocol):
    """Something that the provider keeps open, such as an ephemeral resource."""

    def close(self) -> None: ...


class Session:
    """One provider, from its start to its end. Any number of threads may use it at once.

    Args:
        source: Where the provider is found, or a client of one that runs, or a lease, which then stay the caller's.
        settings: Settings of the client.
        options: What the provider is told.
    """

    def __init__(self, source: Target | RPCPluginClient | Lease, settings: ClientConfig, options: Options) -> None:
        self.options = options
        self.opened: set[_Open] = set()
        self.address = ""
        self.configuration = Configuration()
        self.client: RPCPluginClient | None = None
        self._source = source
        self._settings = settings
        self._driver: Driver | None = None
        self._context: Context | None = None
        self._program: Program | None = None
        # Starts and loads of the schema, one at a time.
        self._starting = threading.Lock()
        self._loading = threading.Lock()

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
            hint = "Use `with`, or call start() first."
            raise LifecycleError("the provider is not started", hint, "terraform.not-started")
        return self._driver

    def start(self) -> None:
        """Starts the provider, and configures it if there is a configuration. Does nothing if it is started."""
        with self._starting:
            if self._driver is not None:
                return
            if not isinstance(self._source, Target | RPCPluginClient):
                self._take_over(self._source)
                return
            self.configuration, self._context = Configuration(), None
            try:
                client = self._connected()
                protocol = protocol_of(client.protocol_version, client.is_started)
                self._driver = Driver(client, client.sync_channel, protocol, self.options.stop_timeout)
                if self.options.config is not None:
                    self.configure(self.options.config)
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Closes what is open, and ends the provider unless it is the caller's."""
        try:
            for each in list(self.opened):
                each.close()
        finally:
            self._driver = None
            self.opened.clear()
            client, self.client = self.client, None
            if client is not None and isinstance(self._source, Target):
                try:
                    client.shutdown_plugin()
                finally:
                    client.close()

    def configure(self, config: Mapping[str, Any]) -> None:
        """Gives the provider its configuration, once."""
        context = self.context()
        self.driver.run(self.configuration.once(operations.configure(context, config)))

    def context(self) -> Context:
        """The provider as operations see it; loads the schema at the first call."""
        if self._context is None:
            with self._loading:
                if self._context is None:
                    self._context = self._loaded_context()
        return self._context

    def run(self, begin: Callable[[Context], Operation[Result]], *, needs_configuration: str = "") -> Result:
        """Runs an operation.

        Args:
            begin: Makes the operation.
            needs_configuration: What needs a configured provider, for the error of one that is not; empty for nothing.
        """
        return self.driver.run(begin(self.ready(needs_configuration)))

    def validate(self, begin: Callable[[Context], Operation[None]]) -> tuple[Diagnostic, ...]:
        """Runs an operation whose one result are the provider's warnings."""
        context = self.ready("")
        heard: list[Diagnostic] = []

        def warn(warning: Diagnostic) -> None:
            heard.append(warning)
            context.warn(warning)

        self.driver.run(begin(dataclasses.replace(context, warn=warn)))
        return tuple(heard)

    def ready(self, needs_configuration: str) -> Context:
        """The provider as operations see it, configured if that is needed."""
        driver = self.driver
        if needs_configuration:
            self.configuration.require(needs_configuration)
        context = self.context()
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
        self._driver = Driver(client, lease.channel, context.protocol, options.stop_timeout, lease)

    def _connected(self) -> RPCPluginClient:
        if not isinstance(self._source, Target):
            assert isinstance(self._source, RPCPluginClient)
            self.client = self._source
            return self._source
        found, self._program = self._source.find()
        self.address = found.address
        client = self.client = RPCPluginClient(
            [] if found.path is None else [found.path], config_for(found, self._settings), reattach=found.reattach
        )
        client.start()
        return client

    def _loaded_context(self) -> Context:
        return new_context(self._schema(self.driver), self.options, self.address)

    def _schema(self, driver: Driver) -> ProviderSchema:
        program = self._program if self.options.schema_cache else None
        found = SchemaCache().schema_blocking(program, driver.protocol, self._fetched)
        if not found.fetched and not found.schema.capabilities.get_provider_schema_optional:
            # Other methods of such a provider fail before it was asked.
            driver.call(SCHEMA_METHOD)
        return found.schema

    def _fetched(self) -> Answers:
        driver = self.driver
        schema = driver.call(SCHEMA_METHOD)
        try:
            return Answers(schema, driver.call(IDENTITY_METHOD))
        except UnsupportedError:
            # Providers of before protocol 5.9 and 6.9.
            return Answers(schema)
