"""What a search for a provider gives."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ferrule.integrity import SecureConfig
from ferrule.reattach import ReattachConfig
from ferrule.terraform.finding.places import Origin

__all__ = ["FoundProvider", "LockVerdict"]


class LockVerdict(StrEnum):
    """What the lock file says of a package. A package that it contradicts is not found: it is refused."""

    VERIFIED = "verified"
    """The package has one of the checksums `h1:` of the lock file."""
    UNVERIFIABLE = "unverifiable"
    """The lock file has no checksum to which an unpacked package can be held, but for example `zh:`, of zip files."""
    UNLOCKED = "unlocked"
    """There is no lock file, or it does not have this provider."""
    EXEMPT = "exempt"
    """A path, a name on PATH, a development override or a running provider, to which lock files do not apply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundProvider:
    """A provider's program, or the provider that runs already.

    Attributes:
        origin: By what kind of place it was found.
        place: The directory, file or variable where it was found.
        path: The program; None for a provider that runs already.
        reattach: How to reach a provider that runs already; else None.
        address: Its source address; empty for a path and for a name on PATH.
        version: Its version; None where nothing tells it.
        lock: What the lock file says of it.
        lock_detail: The verdict in words.
        secure_config: The checksum of the program of a verified package, for the setting of that name: the program that
            was verified is the one that is started. None for others.
    """

    origin: Origin
    place: str
    path: str | None = None
    reattach: ReattachConfig | None = None
    address: str = ""
    version: str | None = None
    lock: LockVerdict = LockVerdict.EXEMPT
    lock_detail: str = "lock files do not apply"
    secure_config: SecureConfig | None = None

    def __str__(self) -> str:
        name = " ".join(part for part in (self.address, self.version) if part) or "provider"
        where = self.origin.value if self.place in ("", self.origin.value) else f"{self.origin} {self.place}"
        return f"{name} from {where} ({self.lock})"
