"""ConfiguredStart: what a pool does with each process of a provider before the first lease."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, Final
from weakref import WeakKeyDictionary

from ferrule._host.plugin_info import PluginInfo
from ferrule._secrecy import forgetful_async
from ferrule.client import RPCPluginClient
from ferrule.terraform.aio.driver import Driver
from ferrule.terraform.aio.schema_fetching import fetched
from ferrule.terraform.errors import LifecycleError
from ferrule.terraform.hosting.context import new_context
from ferrule.terraform.hosting.options import Options
from ferrule.terraform.hosting.schema_source import SCHEMA_METHOD
from ferrule.terraform.hosting.target import load_messages, protocol_of
from ferrule.terraform.operations import provider as operations
from ferrule.terraform.operations.context import Context
from ferrule.terraform.pool.canonical import canonical
from ferrule.terraform.schema import ProviderSchema
from ferrule.terraform.schema.cache import Answers, SchemaCache
from ferrule.terraform.schema.program import Program, program_of

__all__ = ["ConfiguredStart"]

_schema_by_client: Final[WeakKeyDictionary[PluginInfo, ProviderSchema]] = WeakKeyDictionary()
"""The schema of each process that is prepared, for all specs that share the process: one of them has prepared it."""


class ConfiguredStart:
    """The `on_start` of a provider's spec: gives each process its configuration, and keeps the schema for leases.

    The process itself is not asked for its schema, which would make it two or three times as large for the rest of its
    life: the schema comes from the disk, or once from a process that ends right after. Providers that refuse to work
    before they were asked, and those whose program is a script, are asked.

    Args:
        program: The provider's program as the spec found it; None for a script.
        address: Its source address, which states repeat; empty if only the program is known.
        options: What the provider is told. The configuration in it is nobody else's.
    """

    def __init__(self, program: Program | None, address: str, options: Options) -> None:
        self.address: Final = address
        self.options: Final = options
        self._program = program
        self._context: Context | None = None
        # Of what was decoded last, where no cache keeps it.
        self._answers: Answers | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<start of {self.address or 'a provider'}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._program, self.address, self.options)

    @property
    def key(self) -> bytes:
        """What the processes of specs that share them have in common; has the configuration, a secret."""
        return canonical([self.address, self.options.terraform_version, self.options.config])

    @forgetful_async
    async def __call__(self, client: RPCPluginClient) -> None:
        """Prepares a process.

        Raises:
            ConfigurationError: The schema refuses the configuration.
            ProviderError: The provider refuses it.
            RPCPluginError: A call failed.
        """
        await asyncio.to_thread(load_messages)
        driver = self._driver(client)
        schema = await self._schema(client, driver)
        _schema_by_client[client] = schema
        config = self.options.config
        if config is not None:
            # The schema of a large provider's configuration takes milliseconds to decode.
            await driver.run(operations.configure(self.context(client), config), large=True)

    def context(self, client: PluginInfo) -> Context:
        """A process as operations see it: one object for all that have the same schema, so that plans outlive them.

        Raises:
            LifecycleError: The process was not started by a pool.
            ProviderError: The provider's schema has errors.
        """
        schema = _schema_by_client.get(client)
        if schema is None:
            raise LifecycleError("the lease's plugin was not prepared", code="terraform.not-started")
        with self._lock:
            if self._context is None or self._context.schema is not schema:
                self._context = new_context(schema, self.options, self.address)
            return self._context

    def _driver(self, client: RPCPluginClient) -> Driver:
        return Driver(client, protocol_of(client.protocol_version, client.is_started), self.options.stop_timeout)

    async def _schema(self, client: RPCPluginClient, driver: Driver) -> ProviderSchema:
        program = self._program if self.options.schema_cache else None
        # Of a program that was replaced since, nobody knows whether it is this process's.
        if program is None or await asyncio.to_thread(program_of, [program.path]) != program:
            return await self._asked_for(driver)
        found = await SchemaCache().schema(program, driver.protocol, lambda: self._fetched_elsewhere(client))
        if not found.schema.capabilities.get_provider_schema_optional:
            # Other methods of such a provider fail before it was asked.
            await driver.call(SCHEMA_METHOD)
        return found.schema

    async def _asked_for(self, driver: Driver) -> ProviderSchema:
        """The schema that the process itself tells; the object of before if it tells the same."""
        answers = await fetched(driver)
        with self._lock:
            if answers == self._answers and self._context is not None and self._context.protocol is driver.protocol:
                return self._context.schema

        async def known() -> Answers:
            return answers

        found = await SchemaCache().schema(None, driver.protocol, known)
        self._answers = answers
        return found.schema

    async def _fetched_elsewhere(self, client: RPCPluginClient) -> Answers:
        """The answers of another process of the program, which ends with them."""
        async with RPCPluginClient(client.command, client.config) as other:
            return await fetched(self._driver(other))
