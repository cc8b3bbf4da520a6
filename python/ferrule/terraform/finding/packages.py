"""Packages of providers in a directory: a mirror, the plugin cache, or what a core installed.

    BASE/HOST/NAMESPACE/TYPE/VERSION/OS_ARCH/                           unpacked, with the program in it
    BASE/HOST/NAMESPACE/TYPE/terraform-provider-TYPE_VERSION_OS_ARCH.zip   packed

Links are followed for BASE, for OS_ARCH and for a file, and nowhere between, as the cores do it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from ferrule.terraform.finding.address import Address, normal_host, normal_part
from ferrule.terraform.finding.versions import Version

__all__ = ["PROGRAM_PREFIX", "Package", "Shelf", "addresses_of_type", "names_below", "programs_in", "read_shelf"]

PROGRAM_PREFIX: Final = "terraform-provider-"
"""How the names of all providers' programs begin."""

_MAX_NAMED: Final = 20
_MAX_COMPARED: Final = 1_000


@dataclass(frozen=True, slots=True)
class Package:
    """One version of a provider for one platform.

    Attributes:
        version: The version, from the name of the directory or file.
        platform: Such as `linux_amd64`.
        path: The directory, or the zip file.
        packed: Whether it is a zip file.
    """

    version: Version
    platform: str
    path: str
    packed: bool


@dataclass(slots=True)
class Shelf:
    """What a directory has of one provider.

    Attributes:
        packages: All packages, of any version and platform; unpacked ones first.
        notes: What was there and could not be used, in words.
    """

    packages: list[Package] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_shelf(base: str, address: Address) -> Shelf:
    """The packages of one provider below a directory, which need not exist."""
    shelf = Shelf()
    root = os.path.realpath(base)
    if not os.path.isdir(root):
        shelf.notes.append("is not a directory" if os.path.lexists(base) else "does not exist")
        return shelf
    directories = [root]
    for wanted, normal in ((address.host, normal_host), (address.namespace, normal_part), (address.type, normal_part)):
        directories = [
            entry.path
            for directory in directories
            for entry in _entries(directory, shelf.notes)
            if normal(entry.name) == wanted and _is_walked(entry, shelf.notes)
        ]
    for directory in directories:
        for entry in _entries(directory, shelf.notes):
            _read_entry(entry, address, shelf)
    shelf.packages.sort(key=lambda package: package.packed)
    return shelf


def _entries(directory: str, notes: list[str]) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return sorted(entries, key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        notes.append(f"{directory} cannot be read: {error.strerror}")
        return []


def _is_walked(entry: os.DirEntry[str], notes: list[str]) -> bool:
    """Whether an entry between BASE and OS_ARCH is a directory, and no link to one."""
    if entry.is_symlink():
        notes.append(f"{entry.path} is a link, which is not followed there")
        return False
    return _is_directory(entry)


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _read_entry(entry: os.DirEntry[str], address: Address, shelf: Shelf) -> None:
    """A directory of a version, or a packed package."""
    if entry.name.lower().endswith(".zip") and not _is_directory(entry):
        package = _packed(entry, address)
        if package is not None:
            shelf.packages.append(package)
        return
    try:
        version = Version.of(entry.name)
    except ValueError:
        return
    if _is_walked(entry, shelf.notes):
        shelf.packages += [
            Package(version, each.name, each.path, packed=False)
            for each in _entries(entry.path, shelf.notes)
            if _is_platform(each.name) and _is_directory(each)
        ]


def _packed(entry: os.DirEntry[str], address: Address) -> Package | None:
    name, prefix = entry.name.lower().removesuffix(".zip"), f"{address.program}_"
    if not name.startswith(prefix):
        return None
    parts = name.removeprefix(prefix).split("_")
    if len(parts) < 3:
        return None
    try:
        version = Version.of(parts[0])
    except ValueError:
        return None
    return Package(version, f"{parts[1]}_{parts[2]}", entry.path, packed=True)


def _is_platform(name: str) -> bool:
    return name.count("_") == 1 and not any(letter in " \t\r\n" for letter in name)


def programs_in(directory: str, begin: str = PROGRAM_PREFIX) -> list[str]:
    """The programs of a package in the order of their names: files called `begin`, with nothing, `_` or `.` behind it.

    Args:
        directory: The package.
        begin: `terraform-provider-TYPE`; the default finds programs of all types.

    Raises:
        OSError: The directory cannot be read.
    """
    any_type = begin.endswith("-")
    return [
        os.path.join(directory, name)
        for name in sorted(os.listdir(directory), key=os.fsencode)
        if name.startswith(begin)
        and (any_type or name[len(begin) : len(begin) + 1] in ("", "_", "."))
        and not os.path.isdir(os.path.join(directory, name))
    ]


def addresses_of_type(base: str, wanted: str) -> list[str]:
    """The addresses below a directory that end with a type, for messages: at most twenty."""
    found = []
    for host, namespace, kind in _walk(os.path.realpath(base)):
        if normal_part(kind) == wanted:
            found.append(f"{host}/{namespace}/{kind}")
        if len(found) == _MAX_NAMED:
            break
    return found


def names_below(base: str) -> list[str]:
    """The names `NAMESPACE/TYPE` of what is below a directory, for the nearest one: at most a thousand."""
    return [f"{namespace}/{kind}" for _, namespace, kind in islice(_walk(os.path.realpath(base)), _MAX_COMPARED)]


def _walk(base: str) -> Iterator[tuple[str, str, str]]:
    unused: list[str] = []
    inner: Callable[[str], list[os.DirEntry[str]]] = lambda path: [  # noqa: E731
        entry for entry in _entries(path, unused) if _is_walked(entry, unused)
    ]
    for host in inner(base):
        for namespace in inner(host.path):
            for kind in inner(namespace.path):
                yield host.name, namespace.name, kind.name
