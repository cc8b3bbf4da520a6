"""The setting `secure_config`: a plugin runs only if its file has the expected checksum."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from ferrule._validation import INVALID, Rule, check_fields, settings
from ferrule.errors import ConfigError

__all__ = ["SecureConfig"]

# A shorter output of a hash of free length could be forged by trying.
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


@settings
@dataclass(frozen=True, slots=True, kw_only=True)
class SecureConfig:
    """The checksum that the plugin's program must have.

    The program's file is opened once, hashed, and executed: a file put in its place meanwhile is not run. The check
    does not cover arguments, libraries, and the interpreter of a script, nor a file that is written to between the
    check and the launch: keep the file where only trusted users can write. On systems other than Linux the path is
    executed, not the file that was hashed. go-plugin's setting SecureConfig is the model.

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
        # The constructor takes more forms than the attributes hold.
        def __init__(self, *, algorithm: str = "sha256", checksum: str | bytes) -> None: ...

    def __post_init__(self) -> None:
        import hashlib

        check_fields(self, "secure_config.")
        size, given = hashlib.new(self.algorithm).digest_size, len(self.checksum)
        if (given != size) if size else (given < _SHORTEST_FREE_BYTES):
            expected = size or f"at least {_SHORTEST_FREE_BYTES}"
            message = f"setting secure_config.checksum has {given} bytes, expected {expected} for {self.algorithm}"
            raise ConfigError(message, "Correct the setting secure_config.algorithm, or the checksum.", INVALID)
