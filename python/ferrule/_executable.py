"""The file that a command runs: the search for it, and the check of its content."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from ferrule import _core
from ferrule._finalizers import finalizer
from ferrule.errors import LaunchError, SecurityError

if TYPE_CHECKING:
    from ferrule.integrity import SecureConfig

__all__ = ["CheckedProgram", "find_program", "search_path"]


class CheckedProgram:
    """The open file of a program whose checksum was right. Closing the object, or dropping it, closes the file.

    Args:
        path: The program's file.
        secure: The checksum that the file must have.

    Attributes:
        descriptor: The file, open for reading; -1 once it is closed. Closed on every `exec`.

    Raises:
        LaunchError: The file cannot be read, or is no regular file.
        SecurityError: The file has another checksum.
    """

    def __init__(self, path: str, secure: SecureConfig) -> None:
        self.descriptor = -1
        try:
            self._open(path, secure)
        except BaseException:
            # Not left to the destructor: an error may be kept for long, and with it this object.
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @finalizer
    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; does nothing if it is closed."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _open(self, path: str, secure: SecureConfig) -> None:
        # Loads OpenSSL.
        import hmac

        try:
            # Without O_NONBLOCK, opening a named pipe would wait for its writer.
            self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            found = _digest(self.descriptor, secure)
        except OSError as error:
            message = f"the checksum of the plugin {path} cannot be computed: {error.strerror}"
            hint = "A program with a checksum must be a file that this process may read."
            raise LaunchError(message, hint, "launch.refused") from None
        if not hmac.compare_digest(found, secure.checksum):
            message = (
                f"the plugin {path} has the {secure.algorithm} checksum {found.hex()}, "
                f"expected {secure.checksum.hex()}; it was not started"
            )
            hint = "The file is not the one that was vetted. Do not go on; find out what changed it."
            raise SecurityError(message, hint, "integrity.mismatch")


def _digest(descriptor: int, secure: SecureConfig) -> bytes:
    import hashlib

    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise OSError(0, "it is not a regular file")
    with open(descriptor, "rb", buffering=0, closefd=False) as file:
        digest: Any = hashlib.file_digest(file, secure.algorithm)
    computed: bytes = digest.digest() if digest.digest_size else digest.digest(len(secure.checksum))
    return computed


def search_path(environment: Mapping[str, str]) -> str:
    """The path on which programs are looked up: PATH of the plugin's own variables, or else of this process."""
    return environment.get("PATH", os.environ.get("PATH", os.defpath))


def find_program(program: str, directory: str | os.PathLike[str] | None, path: str) -> str:
    """The file that a command names, found as the core finds it.

    Args:
        program: First element of the command: with a slash a path, else a name to look up.
        directory: The plugin's working directory, to which a relative path belongs; None for this process's.
        path: What `search_path` returned.

    Raises:
        LaunchError: There is no such file.
    """
    return _core.find_program(program, directory, path)
