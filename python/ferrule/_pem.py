"""PEM as callers give it, which is text, bytes, or the path of a file; and as they get it."""

import base64
import os
from typing import Any, TypeAlias

from ferrule._validation import Rule

__all__ = ["Pem", "certificate_pem", "pem"]

Pem: TypeAlias = "str | bytes | os.PathLike[str]"
"""PEM itself, as text or bytes, or the path of a PEM file; a str that contains `-----BEGIN` is PEM."""


def _read_pem(value: Any) -> bytes:
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    if isinstance(value, str) and "-----BEGIN" in value:
        return value.encode()
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise ValueError
    from pathlib import Path

    try:
        return Path(value).read_bytes()
    except (OSError, ValueError) as error:
        # Text that is taken for a path may be a key without its PEM frame; base64 has no dot, and paths no line ends.
        # A file that the system has found is a path, with any name.
        is_found = isinstance(error, IsADirectoryError | PermissionError)
        is_path = is_found or isinstance(value, os.PathLike) or ("." in value and "\n" not in value)
        shown = repr(os.fspath(value)) if is_path else "the file"
        raise ValueError(f"{shown} cannot be read: {getattr(error, 'strerror', None) or 'not a path'}") from None


def pem(what: str) -> Rule:
    """PEM of the kind that `what` names; kept as bytes. Secret, since a key may stand where a certificate belongs."""
    return Rule(f"{what}: PEM, or the path of a PEM file", _read_pem, secret=True)


def certificate_pem(der: bytes) -> str:
    """A certificate in DER as PEM, as the standard library's `ssl` does it, which some builds of Python have not."""
    text = base64.standard_b64encode(der).decode()
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return "\n".join(("-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""))
