"""The checksum `h1:` of a package, as lock files have it: dirhash's Hash1 of the Go module golang.org/x/mod."""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

__all__ = ["PackageHash", "hash_directory"]


@dataclass(frozen=True, slots=True)
class PackageHash:
    """The checksum of a package and of its files.

    Attributes:
        h1: `h1:` and the checksum of the whole in base 64.
        files: SHA-256 of each file, by its path in the package, with slashes.
    """

    h1: str
    files: Mapping[str, bytes]

    @classmethod
    def of(cls, files: Mapping[str, bytes]) -> PackageHash:
        """The checksum of files whose own checksums are known.

        Raises:
            ValueError: The name of a file has a line feed, for which there is no checksum.
        """
        total = hashlib.sha256()
        for name in sorted(files, key=os.fsencode):
            if "\n" in name:
                raise ValueError(f"the file {name!r} has a line feed in its name")
            total.update(files[name].hex().encode() + b"  " + os.fsencode(name) + b"\n")
        return cls("h1:" + base64.b64encode(total.digest()).decode(), files)


def hash_directory(path: str) -> PackageHash:
    """Reads all files of an unpacked package.

    The package's own directory may be a link. Links to files in it count as files; one to a directory cannot be read.

    Raises:
        OSError: A file cannot be read.
        ValueError: The name of a file has a line feed.
    """
    root = os.path.realpath(path)
    digests = {}
    for name in _files(root):
        with open(os.path.join(root, name), "rb", buffering=0, opener=_open_regular) as file:
            digests[name.replace(os.sep, "/")] = hashlib.file_digest(file, "sha256").digest()
    return PackageHash.of(digests)


def _open_regular(path: str, flags: int) -> int:
    # Without O_NONBLOCK, opening a named pipe would wait for its writer.
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file", path)
    return descriptor


def _files(root: str) -> Iterator[str]:
    pending = [""]
    while pending:
        inner = pending.pop()
        with os.scandir(os.path.join(root, inner)) as entries:
            for entry in entries:
                name = os.path.join(inner, entry.name)
                if entry.is_dir(follow_symlinks=False):
                    pending.append(name)
                else:
                    yield name
