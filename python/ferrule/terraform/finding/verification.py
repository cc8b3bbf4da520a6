"""The check of a package against the lock file."""

from __future__ import annotations

import os

from ferrule.errors import SecurityError
from ferrule.integrity import SecureConfig
from ferrule.terraform.finding.address import Address
from ferrule.terraform.finding.found import LockVerdict
from ferrule.terraform.finding.lock_file import Lock
from ferrule.terraform.finding.package_hash import hash_directory
from ferrule.terraform.finding.packages import Package

__all__ = ["verify"]

_CODE = "terraform.lock-mismatch"


def verify(
    address: Address, package: Package, program: str, lock: Lock | None
) -> tuple[LockVerdict, str, SecureConfig | None]:
    """Holds an unpacked package to its lock.

    Returns:
        The verdict, the verdict in words, and for a verified package the checksum of its program.

    Raises:
        SecurityError: The lock has checksums `h1:`, and none of them is the package's.
    """
    if lock is None:
        return LockVerdict.UNLOCKED, "no lock file has this provider", None
    expected = lock.of_scheme("h1:")
    if not expected:
        kinds = ", ".join(sorted({each.partition(":")[0] + ":" for each in lock.hashes})) or "none"
        detail = f"{lock.file} has checksums of {address} to which no unpacked package can be held: {kinds}"
        return LockVerdict.UNVERIFIABLE, detail, None
    try:
        found = hash_directory(package.path)
    except (OSError, ValueError) as error:
        message = f"the checksum of the package {package.path} cannot be computed: {error}; it was not started"
        raise SecurityError(message, "Install the provider anew.", _CODE) from None
    if found.h1 not in expected:
        message = (
            f"the package {package.path} of {address} {package.version} has the checksum {found.h1}, which is none of "
            f"the {len(expected)} that {lock.file} allows; it was not started"
        )
        hint = (
            "Either the package was changed, or the lock file was made on another platform: `terraform providers lock "
            f"-platform={package.platform}` adds this one."
        )
        raise SecurityError(message, hint, _CODE)
    name = os.path.relpath(program, package.path).replace(os.sep, "/")
    secure = SecureConfig(algorithm="sha256", checksum=found.files[name])
    return LockVerdict.VERIFIED, f"{found.h1} is in {lock.file}", secure
