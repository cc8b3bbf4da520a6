"""Actions: what a provider does once, beside the life of resources."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

from ferrule._secrecy import forgetful
from ferrule.terraform.diagnostics import Diagnostic
from ferrule.terraform.errors import InvalidResponseError
from ferrule.terraform.operations import actions as operations
from ferrule.terraform.operations.context import Context
from ferrule.terraform.schema import Schema
from ferrule.terraform.sync.handle import Handle

__all__ = ["Action"]


class Action(Handle):
    """An action, such as a restart.

    Example:
        ```python
        aws.action("aws_ec2_stop_instance").invoke({"instance_id": "i-1"}, progress=print)
        ```
    """

    _kind = "action"

    def schema(self) -> Schema:
        """The schema of the action's configuration."""
        return self._session.context().schema.actions[self.type]

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
    def invoke(self, config: Mapping[str, Any], *, progress: Callable[[str], object] | None = None) -> None:
        """Does it: checks the configuration, plans, and invokes the action.

        Ctrl-C ends the call, which providers take for a stop. Whether the action has happened is not known.

        Args:
            config: The configuration.
            progress: Called with each line that the provider has to say meanwhile; default None.

        Raises:
            ConfigurationError: The schema refuses the configuration, or a value of it is UNKNOWN.
            LifecycleError: The provider is not configured.
            ProviderError: The provider refuses, or fails.
            InvalidResponseError: The provider does not say how the action ended.
        """
        session = self._session
        context = session.ready(self._verb("invoke"))
        driver = session.driver
        call = driver.run(operations.start(context, self.type, config))
        with closing(driver.stream(call)) as events:
            for event in events:
                if operations.completed(context, self.type, event):
                    return
                line = operations.progress(event)
                if line is not None and progress is not None:
                    progress(line)
        raise InvalidResponseError(f"{self.type}: the provider does not say how the action ended")

    def _found(self, context: Context) -> Any:
        return context.action(self.type)
