"""What the policy asks its driver to do."""

from __future__ import annotations

from dataclasses import dataclass

from ferrule.pool.events import PoolEvent
from ferrule.pool.policy.model import Hold, Plugin, Waiter

__all__ = ["Abandon", "Command", "Configure", "Grant", "Refuse", "Revoke", "Start", "Stop", "Tell", "Warn"]


@dataclass(frozen=True, slots=True)
class Start:
    """Start the plugin's process; `Policy.launched` or `Policy.failed` follows."""

    plugin: Plugin


@dataclass(frozen=True, slots=True)
class Configure:
    """Run the spec's `on_start`; `Policy.configured` or `Policy.failed` follows."""

    plugin: Plugin


@dataclass(frozen=True, slots=True)
class Abandon:
    """Cancel the plugin's start, since nobody waits for it any more; `Policy.failed` follows."""

    plugin: Plugin


@dataclass(frozen=True, slots=True)
class Stop:
    """End the plugin's process; `Policy.stopped` follows.

    Attributes:
        plugin: The plugin, without leases.
        reason: Why, as of `PoolEvent`.
    """

    plugin: Plugin
    reason: str


@dataclass(frozen=True, slots=True)
class Revoke:
    """Have the calls of the plugin's leases end with `LeaseRevoked`; a `Stop` follows."""

    plugin: Plugin
    reason: str


@dataclass(frozen=True, slots=True)
class Grant:
    """Give the waiter its lease, which counts already; a waiter that is gone gives it back."""

    waiter: Waiter
    hold: Hold


@dataclass(frozen=True, slots=True)
class Refuse:
    """Tell the waiter, by an exception that is its own."""

    waiter: Waiter
    error: Exception


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell the subscribers."""

    event: PoolEvent


@dataclass(frozen=True, slots=True)
class Warn:
    """Log a warning."""

    text: str


Command = Start | Configure | Abandon | Stop | Revoke | Grant | Refuse | Tell | Warn
