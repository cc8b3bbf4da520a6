"""List resources: the search for resources that exist already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

from ferrule._secrecy import Sealed, forgetful
from ferrule.terraform.diagnostics import Diagnostic
from ferrule.terraform.hosting.arguments import checked_limit
from ferrule.terraform.operations import list_resources as operations
from ferrule.terraform.operations.call import Call
from ferrule.terraform.operations.context import Context
from ferrule.terraform.operations.list_resources import Listed
from ferrule.terraform.schema import Schema
from ferrule.terraform.sync.handle import Handle

__all__ = ["ListResource"]


class ListResource(Handle):
    """The search for existing resources of one type.

    Example:
        ```python
        for found in aws.list_resource("aws_instance").list({"region": "eu-west-1"}, limit=100):
            print(found.display_name, found.identity)
        ```
    """

    _kind = "list_resource"

    def schema(self) -> Schema:
        """The schema of the search's configuration."""
        return self._session.context().schema.list_resources[self.type]

    @forgetful
    def validate(
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
        return self._session.validate(lambda context: operations.validate(context, self.type, config, **options))

    def list(
        self, config: Mapping[str, Any], *, limit: int | None = None, include_resource: bool = False
    ) -> Iterator[Listed]:
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

    def _found_resources(self, given: Sealed, limit: int | None, include_resource: bool) -> Iterator[Listed]:
        session = self._session
        context = session.ready(self._verb("list"))
        call = self._started(context, given, limit, include_resource)
        count = 0
        with closing(session.driver.stream(call)) as events:
            for event in events:
                yield operations.listed(context, self.type, event)
                count += 1
                # A provider need not know the limit.
                if count == limit:
                    return

    @forgetful
    def _started(self, context: Context, given: Sealed, limit: int | None, include_resource: bool) -> Call:
        config = given["config"]
        options: dict[str, Any] = {"include_resource": include_resource, "limit": checked_limit(limit)}
        return self._session.driver.run(operations.start(context, self.type, config, **options))

    def _found(self, context: Context) -> Any:
        return context.list_resource(self.type)
