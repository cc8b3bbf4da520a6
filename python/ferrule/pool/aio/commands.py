"""Commands: what the policy of a pool asks for is done, one after the other."""

from __future__ import annotations

import logging
from collections.abc import Callable

from ferrule.pool.aio.accounts import Accounts
from ferrule.pool.aio.subscribers import Subscribers
from ferrule.pool.aio.workers import Workers
from ferrule.pool.policy import (
    Abandon,
    Command,
    Configure,
    Grant,
    Hold,
    Policy,
    Refuse,
    Revoke,
    Start,
    Stop,
    Tell,
    Waiter,
    Warn,
)

__all__ = ["Commands"]

_logger = logging.getLogger("ferrule.pool")


class Commands:
    """Carries out the commands of a policy.

    Args:
        workers: Who starts, configures and stops plugins.
        subscribers: Who is told of events.
        accounts: What is counted.
        now: The time.
    """

    def __init__(
        self, workers: Workers, subscribers: Subscribers, accounts: Accounts, now: Callable[[], float]
    ) -> None:
        self._workers = workers
        self._subscribers = subscribers
        self._accounts = accounts
        self._now = now
        self._is_carrying_out = False

    def carry_out(self, policy: Policy) -> bool:
        """Does all that the policy asks for; False if that is under way already, further down the stack."""
        if self._is_carrying_out:
            return False
        self._is_carrying_out = True
        try:
            while policy.commands:
                self._carry_out_one(policy, policy.commands.popleft())
        finally:
            self._is_carrying_out = False
        return True

    def _carry_out_one(self, policy: Policy, command: Command) -> None:
        match command:
            case Grant(waiter, hold):
                self._grant(policy, waiter, hold)
            case Refuse(waiter, error):
                if not waiter.driver.done():
                    waiter.driver.set_exception(error)
            case Start(plugin):
                self._workers.start(plugin)
            case Configure(plugin):
                self._workers.configure(plugin)
            case Abandon(plugin):
                self._workers.abandon(plugin)
            case Stop(plugin, reason):
                self._workers.stop(plugin, reason)
            case Revoke(plugin):
                plugin.driver.end_calls(revoked=True)
            case Tell(event):
                self._subscribers.tell(event)
            case Warn(text):
                _logger.warning("%s", text)

    def _grant(self, policy: Policy, waiter: Waiter, hold: Hold) -> None:
        now = self._now()
        if waiter.driver is None or waiter.driver.done():
            # Somebody who was cancelled, and has not run since.
            policy.decline(hold, now)
        else:
            self._accounts.granted(waiter, hold, now)
            waiter.driver.set_result(hold)
