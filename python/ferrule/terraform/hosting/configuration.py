"""The one configuration that a provider's process takes."""

from __future__ import annotations

import threading
from enum import Enum
from typing import Any

from ferrule.terraform.errors import LifecycleError
from ferrule.terraform.operations.call import Operation

__all__ = ["Configuration"]


class _Stage(Enum):
    NONE = "not configured"
    RUNNING = "being configured"
    IN_DOUBT = "half configured"
    DONE = "configured"
    NEVER = "in a pool, by a spec without a configuration"


class Configuration:
    """Whether a provider's process is configured. A second configuration of the same process is undefined."""

    def __init__(self) -> None:
        self._stage = _Stage.NONE
        # Of several threads that configure at once, one does.
        self._lock = threading.Lock()

    @classmethod
    def of_pool(cls, *, is_done: bool) -> Configuration:
        """That of a process which a pool has started and configured, or left without a configuration for ever."""
        configuration = cls()
        configuration._stage = _Stage.DONE if is_done else _Stage.NEVER
        return configuration

    def __str__(self) -> str:
        return self._stage.value

    @property
    def is_done(self) -> bool:
        """Whether the provider has taken its configuration."""
        return self._stage is _Stage.DONE

    def require(self, what: str) -> None:
        """Checks that the provider is configured.

        Args:
            what: What needs it, such as `resource("x").plan()`.

        Raises:
            LifecycleError: It is not.
        """
        if self._stage is _Stage.DONE:
            return
        hint = "Pass config={...} at the launch, {} if the provider needs nothing, or call configure() first."
        if self._stage is _Stage.IN_DOUBT:
            hint = "Its configuration failed, and a process takes one only once: launch it again."
        elif self._stage is _Stage.NEVER:
            hint = "Pass config={...} to provider_spec(), {} if the provider needs nothing."
        raise LifecycleError(f"{what} needs a provider that is configured", hint, "terraform.not-configured")

    def once(self, operation: Operation[Any]) -> Operation[None]:
        """An operation that configures, refused if there was one before.

        An operation that ends before the provider was given anything may be followed by another one.

        Raises:
            LifecycleError: The provider was given a configuration before.
        """
        with self._lock:
            if self._stage is not _Stage.NONE:
                hint = "A process takes one configuration: launch another one for another configuration."
                if self._stage is _Stage.NEVER:
                    hint = "Others share the process: pass config={...} to provider_spec()."
                raise LifecycleError(f"the provider is {self} already", hint, "terraform.configured")
            self._stage = _Stage.RUNNING
        was_given = False
        try:
            call = operation.send(None)
            while True:
                was_given = was_given or call.method == "ConfigureProvider"
                try:
                    response = yield call
                except Exception as error:  # noqa: BLE001 - the operation's own affair.
                    call = operation.throw(error)
                else:
                    call = operation.send(response)
        except StopIteration:
            self._stage = _Stage.DONE
        finally:
            if self._stage is _Stage.RUNNING:
                self._stage = _Stage.IN_DOUBT if was_given else _Stage.NONE
            operation.close()
