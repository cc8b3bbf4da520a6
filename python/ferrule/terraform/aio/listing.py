"""List resources: the search for resources that exist already."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

from ferrule._secrecy import Sealed, forgetful_async
from ferrule.terraform.aio.handle import Handle
from ferrule.terraform.diagnostics import Diagnostic
from ferrule.terraform.hosting.arguments import checked_limit
from ferrule.terraform.operations import list_resources as operations
from ferrule.terraform.operations.call import Call
from ferrule.terraform.operations.context import Context
from ferrule.terraform.operations.list_resources import Listed
from ferrule.terraform.schema import Schema

__all__ = ["ListResource"]


class ListResource(Handle):
    """The search for existing resources of one type.

    Example:
        ```python
        async for found in aws.list_resource("aws_instance").list({"region": "eu-west-1"}, limit=100):
            print(found.display_name, found.identity)
        ```
    """

    _kind = "list_resource"

    async def schema(self) -> Schema:
        """The schema of the search's configuration."""
        return (await self._session.context()).schema.list_resources[self.type]

    @forgetful_async
    async def validate(
        self, config: Mapping[str, Any], *, limit: int | None = None, include_resource: bool = False
    ) -> tuple[Diagnostic, ...]:
        """Has the provider check a configuration, in which values may be UNKNOWN; needs no configured provider.

        Args:
            config: The configuration.
            limit: As of `list`.
            include_resource: As of `list`.

        Returns:
            The provider's warnings.

        Raises:
            ConfigError: The limit is no number, or less than 1.
            ConfigurationError: The schema refuses the configuration.
            ProviderError: The provider refuses it.
        """
        options: dict[str, Any] = {"include_resource": include_resource, "limit": checked_limit(limit)}
        return await self._session.validate(
            lambda context: operations.validate(context, self.type, config, **options), large=self._is_large(config)
        )

    def list(
        self, config: Mapping[str, Any], *, limit: int | None = None, include_resource: bool = False
    ) -> AsyncIterator[Listed]:
        """Searches the resources that a configuration describes.

        Args:
            config: The configuration of the search.
            limit: How many resources there are at most, 1 or more; default None, all.
            include_resource: Whether each comes with its state, where the provider can do that; default False.

        Returns:
            An iterator over each resource that is found, as soon as the provider tells of it.

        Raises:
            ConfigError: The limit is no number, or less than 1.
            ConfigurationError: The schema refuses the configuration.
            LifecycleError: The provider is not configured.
            ProviderError: The provider refuses the configuration, or cannot list a resource.
            InvalidResponseError: A resource does not fit the schema.
        """
        return self._found_resources(Sealed(config=config), limit, include_resource)

    async def _found_resources(self, given: Sealed, limit: int | None, include_resource: bool) -> AsyncIterator[Listed]:
        session = self._session
        context = await session.ready(self._verb("list"))
        call = await self._started(context, given, limit, include_resource)
        count = 0
        async with aclosing(session.driver.stream(call)) as events:
            async for event in events:
                yield operations.listed(context, self.type, event)
                count += 1
                # A provider need not know the limit.
                if count == limit:
                    return

    @forgetful_async
    async def _started(self, context: Context, given: Sealed, limit: int | None, include_resource: bool) -> Call:
        config = given["config"]
        options: dict[str, Any] = {"include_resource": include_resource, "limit": checked_limit(limit)}
        return await self._session.driver.run(
            operations.start(context, self.type, config, **options), large=self._is_large(config)
        )

    def _found(self, context: Context) -> Any:
        return context.list_resource(self.type)
