"""A state file, as far as it is read: the fields of the states in it.

The module knows nothing of `ResourceState`, which reads itself by it.
"""

import difflib
import re
from collections.abc import Callable, Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Final, TypeVar

from ferrule.terraform.errors import StateError
from ferrule.terraform.json_text import Written, value
from ferrule.terraform.state_members import bytes_of, flatmap_of, object_of, tainted_of, version_of
from ferrule.terraform.tfstate.address import Address
from ferrule.terraform.tfstate.document import Document, Instance, Resource
from ferrule.terraform.tfstate.lock import read_file

__all__ = ["StateReader", "find_instance", "provider_of"]

_Argument = TypeVar("_Argument")
_Result = TypeVar("_Result")

SHOWN_ADDRESSES: Final = 3

_SOURCE: Final = re.compile(r'provider\["([^"]+)"\]')
_MEMBERS: Final[Mapping[str, tuple[str, Callable[[Written, str], Any]]]] = {
    "schema_version": ("schema_version", version_of),
    "attributes": ("json", object_of),
    "attributes_flat": ("flatmap", flatmap_of),
    "private": ("private", bytes_of),
    "identity": ("identity_json", object_of),
    "identity_schema_version": ("identity_schema_version", version_of),
    "status": ("tainted", tainted_of),
}


class StateReader:
    """A `terraform.tfstate` of format 4, of which nothing is written.

    Attributes:
        path (Path): The file.
    """

    def __init__(self, path: "str | PathLike[str]") -> None:
        self.path = Path(fspath(path))

    def addresses(self) -> list[str]:
        """All instances of managed resources and data sources, without deposed ones; empty without a file."""
        document = self.document()
        if document is None:
            return []
        return [str(each.address(key)) for each in document.resources for key in each.current_keys()]

    def find(self, address: str, deposed: str | None) -> dict[str, Any] | None:
        """As `fields`; None if the file is not there, or has no such resource."""
        document = self.document()
        found = None if document is None else find_instance(document, Address.of(address), deposed)
        if document is None or found is None:
            return None
        resource, instance = found
        try:
            fields = _fields(document.raw_members(instance))
        except StateError as error:
            raise StateError(f"{self.path}: {address}: {error.message}", error.hint) from None
        return {"type": resource.type, "provider": provider_of(resource, instance), **fields}

    def fields(self, address: str, deposed: str | None) -> dict[str, Any]:
        """The fields of the state of one resource, by the names of `ResourceState`.

        Raises:
            StateError: An unreadable or encrypted file, one of another format, or no such resource in it.
        """
        if (found := self.find(address, deposed)) is not None:
            return found
        if not self.path.exists():
            raise StateError(f"there is no state file {self.path}")
        what = f"{address} (deposed object {deposed})" if deposed else address
        raise StateError(f"{self.path} has no {what}", self._others(address))

    def document(self) -> Document | None:
        """The contents of the file; None if it is not there, or empty."""
        try:
            content = self.attempt("read", read_file, self.path)
        except StateError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise
        # The tools take an empty file for none.
        return Document(content.decode("utf-8", "surrogateescape"), str(self.path)) if content else None

    def attempt(self, what: str, act: "Callable[[_Argument], _Result]", argument: _Argument) -> _Result:
        """The result of an act of the system.

        Raises:
            StateError: The system refuses.
        """
        try:
            return act(argument)
        except OSError as error:
            raise StateError(f"the state file {self.path} cannot be {what}: {error.strerror}") from error

    def _others(self, address: str) -> str:
        addresses = self.addresses()
        bare = re.sub(r"\[[^\]]*\]$", "", address)
        near = [each for each in addresses if each.startswith(f"{bare}[") or each == bare]
        near = near or difflib.get_close_matches(address, addresses, SHOWN_ADDRESSES)
        if not addresses:
            return "It has no resources."
        rest = len(addresses) - SHOWN_ADDRESSES
        more = f" and {rest} more" if rest > 0 and not near else ""
        return f"It has {', '.join((near or addresses)[:SHOWN_ADDRESSES])}{more}."


def provider_of(resource: Resource, instance: Instance) -> str:
    """The source address of an instance's provider; empty if there is none."""
    return _source_address(instance.value.get("provider") or resource.value.get("provider"))


def find_instance(document: Document, address: Address, deposed: str | None) -> tuple[Resource, Instance] | None:
    """The instance at an address; None if there is none."""
    for resource in document.resources:
        if resource.is_of(address):
            for instance in resource.instances:
                if (instance.key, instance.deposed) == (address.key, deposed):
                    return resource, instance
    return None


def _source_address(configured: Any) -> str:
    """The source address in `module.a.provider["HOST/NAMESPACE/TYPE"].alias`; empty if there is none."""
    found = _SOURCE.search(configured) if isinstance(configured, str) else None
    return found[1] if found else ""


def _fields(raw: Mapping[str, str]) -> dict[str, Any]:
    """The fields of the state of an instance, its attributes as they are written.

    Raises:
        StateError: A member is wrong; the message names it.
    """
    fields: dict[str, Any] = {}
    for name, (field_name, read) in _MEMBERS.items():
        # The tools take an empty status for none.
        if name not in raw or raw[name] == "null" or (name == "status" and raw[name] == '""'):
            continue
        parsed = value(raw[name])
        try:
            fields[field_name] = read(Written(parsed.value, 0, len(raw[name])), raw[name])
        except ValueError as error:
            raise StateError(f"{name}: {error}") from None
    # Both as core reads it: attributes win, and none at all are an empty object.
    if fields.get("json") is None and fields.get("flatmap") is None:
        fields["json"] = "{}"
    elif fields.get("json") is not None:
        fields.pop("flatmap", None)
    return fields
