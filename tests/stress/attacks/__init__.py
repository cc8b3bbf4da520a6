"""What the hostile server does, one function per attack."""

from stress.attacks import conversations, floods, headers, messages, nonsense
from stress.attacks.registry import ATTACKS, MESSAGE_LIMIT, OTHERS, TOLERATED

__all__ = [
    "ATTACKS",
    "MESSAGE_LIMIT",
    "OTHERS",
    "TOLERATED",
    "conversations",
    "floods",
    "headers",
    "messages",
    "nonsense",
]
