"""Packed packages: held to the lock file as they are, and unpacked into a folder of this user's.

The folder of a package is named after the SHA-256 of its zip file, so that a changed file is another package. A package
is unpacked beside its place and renamed: it is whole or absent.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import replace
from typing import BinaryIO, Final

from ferrule.terraform.finding.cli_config import home_of
from ferrule.terraform.finding.packages import PROGRAM_PREFIX, Package

__all__ = ["UnpackingError", "packages_folder", "unpack"]

_MAX_BYTES: Final = 8 * 1024**3
"""Size of all files of a package: ten times that of the largest known provider."""
_MAX_FILES: Final = 10_000
_TEMPORARY: Final = ".new-"
_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
_ENCRYPTED: Final = 1


class UnpackingError(Exception):
    """A package cannot be unpacked; the text says why."""


def packages_folder(environment: Mapping[str, str]) -> str:
    """`$XDG_CACHE_HOME/ferrule/providers`, or the one in `~/.cache`."""
    base = environment.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.join(home_of(environment), ".cache")
    return os.path.join(base, "ferrule", "providers")


def unpack(package: Package, folder: str) -> tuple[Package, str]:
    """Unpacks a package, if that was not done earlier.

    Args:
        package: A packed package.
        folder: The folder of all unpacked ones, made if it is not there.

    Returns:
        The package with its own folder as path, and the checksum `zh:` of the zip file.

    Raises:
        UnpackingError: The zip file is damaged or not such as registries have, or the folder cannot be written to.
    """
    try:
        with open(package.path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            place = os.path.join(_own(folder), digest)
            if not os.path.isdir(place):
                _unpack_into(file, folder, place)
    except (OSError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, ValueError, EOFError) as error:
        raise UnpackingError(str(error) or type(error).__name__) from None
    return replace(package, path=place, packed=False), f"zh:{digest}"


def _own(folder: str) -> str:
    """The folder, after a check that nobody else can put anything into it."""
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    status = os.stat(folder)
    if status.st_uid != os.geteuid() or status.st_mode & _WRITABLE_BY_OTHERS:
        raise PermissionError(f"others can write to {folder}")
    return folder


def _unpack_into(file: BinaryIO, folder: str, place: str) -> None:
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        _check(entries)
        temporary = tempfile.mkdtemp(prefix=_TEMPORARY, dir=folder)
        try:
            for entry in entries:
                _write(archive, entry, temporary)
            os.chmod(temporary, 0o755)
            os.rename(temporary, place)
        except BaseException as error:
            shutil.rmtree(temporary, ignore_errors=True)
            # Another process may have been faster.
            if not (isinstance(error, OSError) and os.path.isdir(place)):
                raise


def _check(entries: list[zipfile.ZipInfo]) -> None:
    """Refuses what could write elsewhere, or fill the disk."""
    if len(entries) > _MAX_FILES or sum(entry.file_size for entry in entries) > _MAX_BYTES:
        raise UnpackingError(f"the zip file has more than {_MAX_FILES} files or {_MAX_BYTES} bytes in them")
    names = set()
    for entry in entries:
        name = entry.filename.rstrip("/")
        parts = name.split("/")
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if not name or {"", ".", ".."} & set(parts) or "\\" in name or ":" in parts[0] or name in names:
            raise UnpackingError(f"the zip file has an entry {entry.filename!r}, which is no path in a package")
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise UnpackingError(f"the entry {entry.filename!r} of the zip file is no file")
        if entry.flag_bits & _ENCRYPTED or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UnpackingError(f"the entry {entry.filename!r} of the zip file is encrypted, or compressed unusually")
        names.add(name)


def _write(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, directory: str) -> None:
    path = os.path.join(directory, *entry.filename.rstrip("/").split("/"))
    if entry.is_dir():
        os.makedirs(path, exist_ok=True)
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    # A zip file of Windows has no modes, and its program would not be executable.
    is_program = os.path.basename(path).startswith(PROGRAM_PREFIX) or entry.external_attr >> 16 & stat.S_IXUSR
    with archive.open(entry) as source, open(path, "xb") as target:
        shutil.copyfileobj(source, target, 1024 * 1024)
        os.fchmod(target.fileno(), 0o755 if is_program else 0o644)
