"""Ephemeral resources: values that exist while they are used, and that are never stored."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar

from ferrule._secrecy import forgetful_async
from ferrule.errors import RPCPluginError
from ferrule.terraform.aio.handle import Handle
from ferrule.terraform.aio.session import Session
from ferrule.terraform.diagnostics import Diagnostic
from ferrule.terraform.errors import LifecycleError
from ferrule.terraform.hosting.ephemeral import log_lost, log_unclosed, seconds_until
from ferrule.terraform.hosting.options import CLOSE_SECONDS
from ferrule.terraform.operations import ephemeral as operations
from ferrule.terraform.operations.call import Operation
from ferrule.terraform.operations.context import Context
from ferrule.terraform.operations.ephemeral import Opened
from ferrule.terraform.schema import Schema

__all__ = ["EphemeralResource", "EphemeralValue"]

Result = TypeVar("Result")


class EphemeralValue:
    """An ephemeral resource, open inside `async with` and renewed until its end.

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
        self._renewals: asyncio.Task[None] | None = None
        self._is_renewing = False
        self._is_closing = False

    def __repr__(self) -> str:
        state = "closed" if self._opened is None else "open" if self.lost is None else "lost"
        return f"<ephemeral {self.type!r}: {state}>"

    @forgetful_async
    async def __aenter__(self) -> Self:
        config, self._config = self._config, None
        if config is None:
            raise LifecycleError(f"this ephemeral {self.type} was opened before", "Call open() again.")
        context = await self._session.ready(f"ephemeral({self.type!r}).open()")
        opening = asyncio.get_running_loop().create_task(self._open(context, config), name=f"open {self.type}")
        try:
            await asyncio.shield(opening)
        except asyncio.CancelledError:
            # The provider may have opened the resource, or do so yet.
            await self._close_late(opening)
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    @property
    def value(self) -> dict[str, Any]:
        """All attributes. They are secrets.

        Raises:
            LifecycleError: The resource is not open.
        """
        if self._opened is None:
            raise LifecycleError(f"the ephemeral {self.type} is not open", "Use `async with`.")
        return self._opened.value

    @property
    def renew_at(self) -> datetime.datetime | None:
        """When the next renewal is due; None if there is none."""
        return None if self._opened is None or self.lost is not None else self._opened.renew_at

    async def close(self) -> None:
        """Closes the resource, as the end of `async with` does. Waits at most 10 seconds, and logs a failure.

        Does nothing if the resource is closed.
        """
        if self._is_closing or self._opened is None:
            return
        self._is_closing = True
        self._session.opened.discard(self)
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._end_renewals()
                await self._run(operations.close, self._opened)
        except TimeoutError:
            log_unclosed(self.type, f"no answer within {CLOSE_SECONDS:g} s")
        except RPCPluginError as error:
            log_unclosed(self.type, error)
        except asyncio.CancelledError:
            log_unclosed(self.type, "the close was cancelled")
            raise
        finally:
            self._opened = None

    async def _open(self, context: Context, config: Mapping[str, Any]) -> None:
        opening = operations.open_(context, self.type, config)
        self._opened = await self._session.driver.run(opening, large=True)
        self._session.opened.add(self)
        if self._opened.renew_at is not None:
            renewals = self._renew(self._opened)
            self._renewals = asyncio.get_running_loop().create_task(renewals, name=f"renew {self.type}")

    async def _close_late(self, opening: asyncio.Task[None]) -> None:
        try:
            await asyncio.wait({opening}, timeout=CLOSE_SECONDS)
            await self.close()
        finally:
            opening.cancel()

    async def _renew(self, opened: Opened) -> None:
        while opened.renew_at is not None and not self._is_closing:
            await asyncio.sleep(seconds_until(opened.renew_at))
            self._is_renewing = True
            try:
                opened = self._opened = await self._run(operations.renew, opened)
            except RPCPluginError as error:
                self.lost = error
                log_lost(self.type, error)
                return
            finally:
                self._is_renewing = False

    async def _end_renewals(self) -> None:
        renewals, self._renewals = self._renewals, None
        if renewals is None:
            return
        # A renewal under way is awaited: the close needs the private data that it answers.
        try:
            if self._is_renewing:
                await asyncio.wait({renewals})
        finally:
            renewals.cancel()
        await asyncio.wait({renewals})

    async def _run(self, operation: Callable[[Context, Opened], Operation[Result]], opened: Opened) -> Result:
        context = self._session.loaded
        assert context is not None
        return await self._session.driver.run(operation(context, opened))


class EphemeralResource(Handle):
    """An ephemeral resource: a value that exists while it is used, such as a token, and that is never stored.

    Example:
        ```python
        async with vault.ephemeral("vault_token").open({"role": "reader"}) as token:
            use(token.value["client_token"])
        ```
    """

    _kind = "ephemeral"

    async def schema(self) -> Schema:
        """The schema of the type."""
        return (await self._session.context()).schema.ephemeral_resources[self.type]

    @forgetful_async
    async def validate(self, config: Mapping[str, Any]) -> tuple[Diagnostic, ...]:
        """Has the provider check a configuration, in which values may be UNKNOWN; needs no configured provider.

        Returns:
            The provider's warnings.

        Raises:
            ConfigurationError: The schema refuses the configuration.
            ProviderError: The provider refuses it.
        """
        return await self._session.validate(
            lambda context: operations.validate(context, self.type, config), large=self._is_large(config)
        )

    def open(self, config: Mapping[str, Any]) -> EphemeralValue:
        """An ephemeral resource, to be opened by `async with`, renewed in the background, and closed at its end.

        Raises:
            ConfigurationError: The schema refuses the configuration, or a value of it is UNKNOWN; raised on entry.
            LifecycleError: The provider is not configured; raised on entry.
            ProviderError: The provider refuses; raised on entry.
        """
        return EphemeralValue(self._session, self.type, config)

    def _found(self, context: Context) -> Any:
        return context.ephemeral_resource(self.type)
