"""The members of a state's JSON, each with what it may be; files of Terraform have most of them under these names."""

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from ferrule.terraform.cty import Path
from ferrule.terraform.cty.errors import shown
from ferrule.terraform.errors import StateError
from ferrule.terraform.json_text import NumberText, Written
from ferrule.terraform.redaction import path_from_json

__all__ = ["bytes_of", "flatmap_of", "object_of", "shown_json", "state_fields", "tainted_of", "text_of", "version_of"]

MAX_VERSION: Final = 2**63 - 1


def shown_json(value: Any) -> str:
    return f"number {value[:60]}" if isinstance(value, NumberText) else shown(value)


def _wrong(wanted: str, value: Any) -> ValueError:
    return ValueError(f"expected {wanted}, got {shown_json(value)}")


def state_fields(source: str, given: Mapping[str, Written]) -> dict[str, Any]:
    """The fields of a state, from the members of its JSON.

    Raises:
        StateError: A member that is missing, unknown or wrong.
    """
    fields: dict[str, Any] = {}
    for name, member in given.items():
        if name not in _READERS:
            what = f"{json.dumps(name)}: a state has no such member; it has {', '.join(_READERS)}"
            raise StateError(what, "Pass what to_json() returned; from_tfstate() reads a terraform.tfstate.")
        field_name, read = _READERS[name]
        if member.value is not None or name in _REQUIRED:
            try:
                fields[field_name] = read(member, source)
            except ValueError as error:
                raise StateError(f"{name}: {error}") from None
    for name in _REQUIRED:
        if name not in given:
            raise StateError(
                f"the state has no member {json.dumps(name)}, which each state needs", "Pass what to_json() returned."
            )
    return fields


def text_of(member: Written, source: str = "") -> str:
    if type(member.value) is not str:
        raise _wrong("text", member.value)
    return member.value


def _name(member: Written, source: str) -> str:
    if not text_of(member):
        raise ValueError("expected the type of a resource, got an empty text")
    return text_of(member)


def version_of(member: Written, source: str = "") -> int:
    number = member.value
    if not isinstance(number, NumberText) or not number.isdecimal() or len(number) > 19 or int(number) > MAX_VERSION:
        raise _wrong("a whole number from 0", number)
    return int(number)


def object_of(member: Written, source: str) -> str:
    if not isinstance(member.value, dict):
        raise _wrong("an object", member.value)
    return member.text(source)


def flatmap_of(member: Written, source: str = "") -> dict[str, str]:
    if not isinstance(member.value, dict):
        raise _wrong("an object of texts", member.value)
    for key, value in member.value.items():
        if type(value) is not str:
            raise ValueError(f"{json.dumps(key)}: {_wrong('text', value)}")
    return dict(member.value)


def bytes_of(member: Written, source: str = "") -> bytes:
    # The text may be a secret, so that no error repeats it.
    if type(member.value) is not str:
        raise ValueError("expected bytes in base64")
    try:
        return base64.b64decode(member.value, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("expected bytes in base64, got other text") from None


def tainted_of(member: Written, source: str = "") -> bool:
    if member.value != "tainted":
        raise _wrong('"tainted" or nothing', member.value)
    return True


def _paths(member: Written, source: str) -> tuple[Path, ...]:
    if not isinstance(member.value, list):
        raise _wrong("a list of paths", member.value)
    paths = list(map(path_from_json, member.value))
    if None in paths:
        raise ValueError(f"[{paths.index(None)}]: expected the steps of a path")
    return tuple(path for path in paths if path is not None)


_READERS: Final[Mapping[str, tuple[str, Callable[[Written, str], Any]]]] = {
    "type": ("type", _name),
    "provider": ("provider", text_of),
    "schema_version": ("schema_version", version_of),
    "attributes": ("json", object_of),
    "attributes_flat": ("flatmap", flatmap_of),
    "sensitive_attributes": ("sensitive", _paths),
    "private": ("private", bytes_of),
    "identity": ("identity_json", object_of),
    "identity_schema_version": ("identity_schema_version", version_of),
    "status": ("tainted", tainted_of),
}
_REQUIRED: Final = ("type", "schema_version")
