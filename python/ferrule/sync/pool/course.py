"""Course: the way of a blocking call from plugin to plugin, until one has answered it or may have seen it."""

from __future__ import annotations

import dataclasses
from time import monotonic
from typing import Final

from ferrule.channel.core_call import EndedCall
from ferrule.channel.status import DEADLINE_EXCEEDED
from ferrule.channel.sync.calls import FailedCall
from ferrule.pool import PoolError
from ferrule.pool.calls.loss import Loss
from ferrule.sync.pool.losses import EXIT_SECONDS, loss_of
from ferrule.sync.pool.plugin import LeasedPlugin, Replacement

__all__ = ["Course", "out_of_time"]

MAX_REPEATS: Final = 2
"""Times that a call which had begun is made again: a request may be what kills the plugin."""


class Course:
    """The way of one call.

    Args:
        channel: The channel to the first plugin.
        path: The call's method.
        deadline: When the call must have ended; None for no deadline.
        since: When it was made.

    Attributes:
        channel: The channel to the plugin that has the call now.
    """

    def __init__(self, channel: LeasedPlugin, path: str, deadline: float | None, since: float) -> None:
        self.channel = channel
        self.deadline: Final = deadline
        self._path = path
        self._since: float | None = since
        self._tried = [channel.plugin]
        self._repeats = 0
        self._had_begun = False
        # Of the plugin that has the call now, unless it is the first.
        self._lease: Replacement | None = None

    def time_left(self) -> float | None:
        """Seconds to the deadline."""
        return None if self.deadline is None else max(0.0, self.deadline - monotonic())

    def error_of(self, failure: Exception) -> Exception:
        """The exception for a failure that ends the call."""
        loss = self._loss(failure)
        return failure if loss is None else loss.error()

    def move(self, failure: Exception) -> None:
        """Leases the plugin that is to make the call after a failure.

        Raises:
            Exception: The failure, or what it means, since the call is not made again.
        """
        loss = self._loss(failure)
        if loss is None:
            raise failure
        if not self._may_be_made_again(loss):
            raise loss.error() from failure
        self._repeats += loss.begun
        # The policy learns of the end first.
        self.channel.wait_exited(EXIT_SECONDS)
        left = self.time_left()
        if left == 0:
            raise out_of_time(begun=self._had_begun)
        self.end()
        lease = self.channel.replacements.lease_for_call(self.channel.spec, left)
        try:
            lease.__enter__()
        except PoolError as refusal:
            raise dataclasses.replace(loss, cause=refusal).error() from refusal
        self._lease = lease
        if lease.channel.plugin in self._tried:
            # It lives, and its connection is broken.
            self.end()
            raise loss.error() from failure
        self.channel = lease.channel
        self._tried.append(lease.channel.plugin)

    def count(self, error: Exception | None) -> None:
        """Counts the call, once; without an error it has succeeded."""
        since, self._since = self._since, None
        if since is not None:
            channel = self.channel
            channel.replacements.count(channel.plugin, self._path, monotonic() - since, error)

    def end(self) -> None:
        """Gives back the lease that the call has taken."""
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.__exit__(None, None, None)

    def _loss(self, failure: Exception) -> Loss | None:
        loss = loss_of(self.channel, self._path, failure)
        if loss is None:
            return None
        self._had_begun |= loss.begun
        return dataclasses.replace(loss, begun=self._had_begun)

    def _may_be_made_again(self, loss: Loss) -> bool:
        if loss.begun:
            return self._path in self.channel.spec.idempotent and self._repeats < MAX_REPEATS
        return self.channel.replacements.retry_unsent


def out_of_time(*, begun: bool) -> FailedCall:
    """The failure of a call whose deadline has come while it waited."""
    return FailedCall(EndedCall(DEADLINE_EXCEEDED, "Deadline Exceeded", begun=begun))
