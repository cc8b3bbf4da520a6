"""What a pool decides: which plugin to start, to stop, to hand out, and whom to refuse.

The package does no I/O and reads no clock. Each method of `Policy` is an event with its time; what is to be done about
it stands in `Policy.commands` afterwards, for the driver to carry out in order.
"""

from ferrule.pool.policy.commands import Abandon, Command, Configure, Grant, Refuse, Revoke, Start, Stop, Tell, Warn
from ferrule.pool.policy.model import Entry, Hold, Plugin, State, Waiter
from ferrule.pool.policy.occupancy import Budget
from ferrule.pool.policy.policy import Policy
from ferrule.pool.policy.starts import Slots

__all__ = [
    "Abandon",
    "Budget",
    "Command",
    "Configure",
    "Entry",
    "Grant",
    "Hold",
    "Plugin",
    "Policy",
    "Refuse",
    "Revoke",
    "Slots",
    "Start",
    "State",
    "Stop",
    "Tell",
    "Waiter",
    "Warn",
]
