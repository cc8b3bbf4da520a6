"""Ephemeral resources: values that exist while they are used, and that are never stored."""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar

from ferrule._secrecy import forgetful
from ferrule.errors import RPCPluginError
from ferrule.terraform.diagnostics import Diagnostic
from ferrule.terraform.errors import LifecycleError
from ferrule.terraform.hosting.ephemeral import log_lost, log_unclosed, seconds_until
from ferrule.terraform.hosting.options import CLOSE_SECONDS
from ferrule.terraform.operations import ephemeral as operations
from ferrule.terraform.operations.call import Operation
from ferrule.terraform.operations.context import Context
from ferrule.terraform.operations.ephemeral import Opened
from ferrule.terraform.schema import Schema
from ferrule.terraform.sync.handle import Handle
from ferrule.terraform.sync.session import Session

__all__ = ["EphemeralResource", "EphemeralValue"]

Result = TypeVar("Result")


class EphemeralValue:
    """An ephemeral resource, open inside `with` and renewed until its end.

    Attributes:
        type (str): The type of the resource.
        lost (RPCPluginError | None): Why the last renewal failed; None while all is well. The value may have become
            worthless, and there are no further renewals.
    """

    def __init__(self, session: Session, type: str, config: Mapping[str, Any]) -> None:  # noqa: A002
        self.type = type
        self.lost: RPCPluginError | None = None
        self._session = session
        self._config: Mapping[str, Any] | None = config
        self._opened: Opened | None = None
        self._renewals: threading.Thread | None = None
        self._closing = threading.Event()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        state = "closed" if self._opened is None else "open" if self.lost is None else "lost"
        return f"<ephemeral {self.type!r}: {state}>"

    @forgetful
    def __enter__(self) -> Self:
        config, self._config = self._config, None
        if config is None:
            raise LifecycleError(f"this ephemeral {self.type} was opened before", "Call open() again.")
        session = self._session
        context = session.ready(f"ephemeral({self.type!r}).open()")
        self._opened = session.driver.run(operations.open_(context, self.type, config))
        session.opened.add(self)
        if self._opened.renew_at is not None:
            self._renewals = threading.Thread(
                target=self._renew, args=(self._opened,), name="ferrule-renewals", daemon=True
            )
            self._renewals.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def value(self) -> dict[str, Any]:
        """All attributes. They are secrets.

        Raises:
            LifecycleError: The resource is not open.
        """
        if self._opened is None:
            raise LifecycleError(f"the ephemeral {self.type} is not open", "Use `with`.")
        return self._opened.value

    @property
    def renew_at(self) -> datetime.datetime | None:
        """When the next renewal is due; None if there is none."""
        return None if self._opened is None or self.lost is not None else self._opened.renew_at

    def close(self) -> None:
        """Closes the resource, as the end of `with` does. Waits at most 10 seconds, and logs a failure.

        Does nothing if the resource is closed.
        """
        with self._lock:
            if self._closing.is_set() or self._opened is None:
                return
            self._closing.set()
        self._session.opened.discard(self)
        deadline = time.monotonic() + CLOSE_SECONDS
        if self._renewals is not None:
            # A renewal under way is waited for: the close needs the private data that it answers.
            self._renewals.join(CLOSE_SECONDS)
        try:
            self._run(operations.close, self._opened, max(0.0, deadline - time.monotonic()))
        except RPCPluginError as error:
            log_unclosed(self.type, error)
        finally:
            self._opened = None

    def _renew(self, opened: Opened) -> None:
        while opened.renew_at is not None and not self._closing.wait(seconds_until(opened.renew_at)):
            try:
                opened = self._opened = self._run(operations.renew, opened)
            except RPCPluginError as error:
                self.lost = error
                log_lost(self.type, error)
                return

    def _run(
        self,
        operation: Callable[[Context, Opened], Operation[Result]],
        opened: Opened,
        timeout: float | None = None,
    ) -> Result:
        context = self._session.loaded
        assert context is not None
        return self._session.driver.run(operation(context, opened), timeout)


class EphemeralResource(Handle):
    """An ephemeral resource: a value that exists while it is used, such as a token, and that is never stored.

    Example:
        ```python
        with vault.ephemeral("vault_token").open({"role": "reader"}) as token:
            use(token.value["client_token"])
        ```
    """

    _kind = "ephemeral"

    def schema(self) -> Schema:
        """The schema of the type."""
        return self._session.context().schema.ephemeral_resources[self.type]

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

    def open(self, config: Mapping[str, Any]) -> EphemeralValue:
        """An ephemeral resource, to be opened by `with`, renewed in the background, and closed at its end.

        Raises:
            ConfigurationError: The schema refuses the configuration, or a value of it is UNKNOWN; raised on entry.
            LifecycleError: The provider is not configured; raised on entry.
            ProviderError: The provider refuses; raised on entry.
        """
        return EphemeralValue(self._session, self.type, config)

    def _found(self, context: Context) -> Any:
        return context.ephemeral_resource(self.type)
