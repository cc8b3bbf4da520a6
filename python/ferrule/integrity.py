"""The setting `secure_config`: a plugin runs only if its file has the expected checksum."""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Self

from ferrule import _core
from ferrule.errors import ConfigError, LaunchError, SecurityError
from ferrule.rules import CODE, Rule, check_fields

__all__ = ["CheckedProgram", "SecureConfig", "find_program", "search_path"]

# Shorter output of a hash whose length is free could be forged by trying.
_SHORTEST_FREE_BYTES = 16


def _read_algorithm(value: Any) -> str:
    # Only callers with a checksum pay for this import.
    import hashlib

    if not isinstance(value, str):
        raise ValueError
    hashlib.new(value)
    return value.lower()


def _read_checksum(value: Any) -> bytes:
    checksum = bytes.fromhex(value) if isinstance(value, str) else value
    if not isinstance(checksum, bytes | bytearray) or not checksum:
        raise ValueError
    return bytes(checksum)


ALGORITHM = Rule("the name of a hash that hashlib has, such as 'sha256'", _read_algorithm)
CHECKSUM = Rule("the checksum as bytes or hexadecimal text, not empty", _read_checksum)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureConfig:
    """The checksum that the plugin's program must have.

    The program's file is opened once, and what was hashed is what is executed: a file put in its place meanwhile is not
    run. Arguments, libraries, and the interpreter of a script are not covered, nor is a file into which somebody writes
    between the check and the launch: keep it where only trusted users can write. On systems other than Linux the path
    is executed, not the file that was hashed.

    Attributes:
        algorithm: A name that `hashlib.new` takes, such as `sha256` (default) or `blake2b`.
        checksum: The expected checksum of the whole file, bytes or hexadecimal text; kept as bytes.

    Raises:
        ConfigError: The algorithm is unknown, or the checksum is empty, not hexadecimal, or of another length than the
            algorithm's.

    Example:
        >>> SecureConfig(algorithm="sha1", checksum="DA39A3EE5E6B4B0D3255BFEF95601890AFD80709").checksum.hex()
        'da39a3ee5e6b4b0d3255bfef95601890afd80709'
    """

    algorithm: Annotated[str, ALGORITHM] = "sha256"
    checksum: Annotated[bytes, CHECKSUM]

    if TYPE_CHECKING:
        # What the constructor takes is more than what the attributes hold.
        def __init__(self, *, algorithm: str = "sha256", checksum: str | bytes) -> None: ...

    def __post_init__(self) -> None:
        import hashlib

        check_fields(self, "secure_config.")
        size, given = hashlib.new(self.algorithm).digest_size, len(self.checksum)
        if (given != size) if size else (given < _SHORTEST_FREE_BYTES):
            expected = size or f"at least {_SHORTEST_FREE_BYTES}"
            message = f"setting secure_config.checksum has {given} bytes, expected {expected} for {self.algorithm}"
            raise ConfigError(message, "Correct the setting secure_config.algorithm, or the checksum.", CODE)


class CheckedProgram:
    """The open file of a program whose checksum was right. It is closed in the end, or when nobody holds this.

    Args:
        path: The program's file.
        secure: What it must be.

    Attributes:
        descriptor: For reading; closed on every `exec`.

    Raises:
        LaunchError: The file cannot be read, or is none.
        SecurityError: It has another checksum.
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
    """Where programs are looked up: PATH in the caller's variables for the plugin, or else this process's."""
    return environment.get("PATH", os.environ.get("PATH", os.defpath))


def find_program(program: str, directory: str | os.PathLike[str] | None, path: str) -> str:
    """The file that a command names, by the rules by which the core finds it.

    Args:
        program: First element of the command: with a slash a path, else a name to look up.
        directory: The plugin's working directory, to which a relative path belongs; None for this process's.
        path: What `search_path` returned.

    Raises:
        LaunchError: There is none.
    """
    return _core.find_program(program, directory, path)
