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
    address: Address, package: Package, program: str, lock: Lock | None, zh: str | None
) -> tuple[LockVerdict, str, SecureConfig | None]:
    """Holds an unpacked package to its lock.

    Args:
        address: The provider.
        package: The unpacked package.
        program: The path of its program.
        lock: What the lock file says of the provider; None for nothing.
        zh: The checksum `zh:` of the zip file that the package is from; None if that is not there.

    Returns:
        The verdict, the verdict in words, and for a verified package the checksum of its program.

    Raises:
        SecurityError: The lock has checksums to which the package can be held, and none of them is the package's.
    """
    if lock is None:
        return LockVerdict.UNLOCKED, "no lock file has this provider", None
    allowed = lock.of_scheme("h1:") + (lock.of_scheme("zh:") if zh else ())
    if not allowed:
        kinds = ", ".join(sorted({each.partition(":")[0] + ":" for each in lock.hashes})) or "none"
        detail = f"{lock.file} has checksums of {address} to which no unpacked package can be held: {kinds}"
        return LockVerdict.UNVERIFIABLE, detail, None
    try:
        found = hash_directory(package.path)
    except (OSError, ValueError) as error:
        message = f"the checksum of the package {package.path} cannot be computed: {error}; it was not started"
        raise SecurityError(message, "Install the provider anew.", _CODE) from None
    own = [checksum for checksum in (found.h1, zh) if checksum]
    matching = [checksum for checksum in own if checksum in allowed]
    if not matching:
        others = "another one" if len(allowed) == 1 else f"{len(allowed)} others"
        message = (
            f"the package {package.path} of {address} {package.version} has the checksum {' and '.join(own)}, and "
            f"{lock.file} allows only {others}; it was not started"
        )
        hint = (
            "Either the package was changed, or the lock file was made on another platform: `terraform providers lock "
            f"-platform={package.platform}` adds this one."
        )
        raise SecurityError(message, hint, _CODE)
    name = os.path.relpath(program, package.path).replace(os.sep, "/")
    secure = SecureConfig(algorithm="sha256", checksum=found.files[name])
    return LockVerdict.VERIFIED, f"{matching[0]} is in {lock.file}", secure
