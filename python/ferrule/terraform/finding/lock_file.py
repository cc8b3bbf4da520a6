"""The dependency lock file `.terraform.lock.hcl`: which version of a provider a module uses, and its checksums."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

from ferrule.errors import ConfigError
from ferrule.terraform.finding.address import Address, normal_host, normal_part
from ferrule.terraform.finding.hcl import Body, Item, read_hcl_file
from ferrule.terraform.finding.hcl_tokens import refused
from ferrule.terraform.finding.versions import Version

__all__ = ["LOCK_FILE_NAME", "Lock", "read_locks"]

LOCK_FILE_NAME: Final = ".terraform.lock.hcl"
"""The lock file's name, in the directory of the root module."""


@dataclass(frozen=True, slots=True)
class Lock:
    """What a lock file says of one provider.

    Attributes:
        file: The lock file.
        version: The one version that may be used.
        hashes: Checksums of its packages for all platforms that were locked, with their schemes: `h1:`, `zh:`.
    """

    file: str
    version: Version
    hashes: tuple[str, ...]

    def of_scheme(self, scheme: str) -> tuple[str, ...]:
        return tuple(each for each in self.hashes if each.startswith(scheme))


def read_locks(path: str, addresses: tuple[Address, ...]) -> dict[Address, Lock]:
    """The entries of a lock file for some addresses; what it says of others is not looked at.

    Raises:
        ConfigError: The file cannot be read, or an entry of one of the addresses has an unknown form or comes twice.
    """
    try:
        body = read_hcl_file(path)
    except OSError as error:
        message = f"the lock file {path} cannot be read: {error.strerror}"
        hint = "Pass the file of a directory that was initialised, or lock_file=None to check nothing."
        raise ConfigError(message, hint, "terraform.lock-file") from None
    locks: dict[Address, Lock] = {}
    for item in body.named("provider"):
        address = _address(item)
        if address not in addresses:
            continue
        if address in locks:
            raise refused(item.position, f"the provider {address} is locked twice")
        locks[address] = _lock(item, path)
    return locks


def _address(item: Item) -> Address | None:
    parts = item.labels[0].split("/") if len(item.labels) == 1 else []
    if len(parts) != 3:
        return None
    host, namespace, kind = normal_host(parts[0]), normal_part(parts[1]), normal_part(parts[2])
    return Address(host, namespace, kind) if host and namespace and kind else None


def _lock(item: Item, path: str) -> Lock:
    body = item.value.content
    if not isinstance(body, Body):
        raise refused(item.position, "the provider's lock is no block")
    value = body.last("version")
    if value is None:
        raise refused(item.position, "the provider's lock has no version")
    try:
        version = Version.of(value.text("version"))
    except ValueError as error:
        raise error if isinstance(error, ConfigError) else refused(value.position, str(error)) from None
    hashes = body.last("hashes")
    return Lock(os.fspath(path), version, () if hashes is None else tuple(hashes.texts("hashes")))
