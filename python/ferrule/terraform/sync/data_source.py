"""Data sources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ferrule._secrecy import forgetful
from ferrule.terraform.diagnostics import Diagnostic
from ferrule.terraform.operations import data_source as operations
from ferrule.terraform.operations.context import Context
from ferrule.terraform.schema import Schema
from ferrule.terraform.sync.handle import Handle

__all__ = ["DataSource"]


class DataSource(Handle):
    """A data source: something that the provider looks up.

    Example:
        ```python
        with Provider.launch("hashicorp/local", config={}) as local:
            print((local.data("local_file").read({"filename": "/etc/hostname"}))["content"])
        ```
    """

    _kind = "data"

    def schema(self) -> Schema:
        """The schema of the type."""
        return self._session.context().schema.data_sources[self.type]

    @forgetful
    def validate(self, config: Mapping[str, Any]) -> tuple[Diagnostic, ...]:
        """Has the provider check a configuration, in which values may be UNKNOWN; needs no configured provider.

        Returns:
            The provider's warnings.

        Raises:
            ConfigurationError: The schema refuses the configuration.
            ProviderError: The provider refuses it.
        """
        return self._session.validate(lambda context: operations.validate(context, self.type, config))

    @forgetful
    def read(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Looks up what a configuration describes.

        The provider is not called where a value of the configuration is UNKNOWN: what it would tell is UNKNOWN then.

        Returns:
            All attributes, those of the configuration too.

        Raises:
            ConfigurationError: The schema refuses the configuration.
            LifecycleError: The provider is not configured.
            ProviderError: The provider found nothing, or refuses the configuration.
            InvalidResponseError: The answer does not fit the schema.
        """
        return self._session.run(
            lambda context: operations.read(context, self.type, config),
            needs_configuration=self._verb("read"),
        )

    def _found(self, context: Context) -> Any:
        return context.data_source(self.type)
