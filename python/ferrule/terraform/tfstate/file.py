"""A state file: resources are read from it, and written back."""

import contextlib
import threading
from collections.abc import Iterator, Mapping
from os import PathLike
from typing import Final

from ferrule._secrecy import forgetful
from ferrule.terraform.errors import StateError
from ferrule.terraform.state import ResourceState
from ferrule.terraform.tfstate.address import Address
from ferrule.terraform.tfstate.document import Document, Instance, Resource, instance_order, new_document
from ferrule.terraform.tfstate.instance import (
    changed_members,
    first_members,
    is_same_provider,
    merged,
)
from ferrule.terraform.tfstate.lock import StateLock
from ferrule.terraform.tfstate.reading import StateReader, find_instance, provider_of

__all__ = ["StateFile"]

DEFAULT_TERRAFORM_VERSION: Final = "1.13.3"


class StateFile:
    """A `terraform.tfstate` of format 4, of Terraform or OpenTofu.

    Reading takes no lock. Writing takes the lock that the tools take, and refuses if it is held; `locked` holds it over
    several steps. What a write does not concern stays as it is, to the byte. While a program holds the lock it must not
    open the file by itself: the system would end the lock with that.

    Args:
        path: The file; with a symbolic link, where that leads.
        terraform_version: The version that a new file says it was written by; an existing one keeps its own.

    Example:
        file = StateFile("terraform.tfstate")
        with file.locked("apply"):
            state = file.read("random_pet.name")
            ...
            file.write("random_pet.name", new_state)
    """

    def __init__(self, path: "str | PathLike[str]", *, terraform_version: str = DEFAULT_TERRAFORM_VERSION) -> None:
        self._reader = StateReader(path)
        self.path = self._reader.path
        self._terraform_version = terraform_version
        self._lock: StateLock | None = None
        self._one_write = threading.Lock()

    def __repr__(self) -> str:
        return f"StateFile({str(self.path)!r})"

    @forgetful
    def addresses(self) -> list[str]:
        """All instances of managed resources and data sources, without deposed ones.

        Raises:
            StateError: The file is there, but cannot be read.
        """
        return self._reader.addresses()

    @forgetful
    def get(self, address: str, *, deposed: str | None = None) -> ResourceState | None:
        """As `read`; None if the file is not there, or has no such resource."""
        fields = self._reader.find(address, deposed)
        return None if fields is None else ResourceState(**fields)

    @forgetful
    def read(self, address: str, *, deposed: str | None = None) -> ResourceState:
        """The state of one resource.

        Args:
            address: As the tools write it: `aws_s3_bucket.logs`, `module.a.aws_s3_bucket.b["k"]`, `data.x.y[0]`.
            deposed: Key of a deposed object, 8 digits, which a replacement that failed has left; default the current
                object.

        Raises:
            StateError: An unreadable or encrypted file, one of another format, or no such resource in it.
        """
        return ResourceState(**self._reader.fields(address, deposed))

    @forgetful
    def write(self, address: str, state: ResourceState | None, *, deposed: str | None = None) -> None:
        """Stores the state of one resource; the file is made if it is not there.

        Attributes, schema version, private data, identity, status and sensitive paths are replaced where they differ;
        dependencies and all else stay. The serial number rises by one. Nothing is written where nothing differs.

        Args:
            address: As for `read`.
            state: The new state; None takes the resource out of the file.
            deposed: As for `read`.

        Raises:
            StateError: The file cannot be read or written, its lock is held, the state is of another type than the
                address, or the resource in the file is of another provider.
        """
        with self._one_write, contextlib.nullcontext() if self._lock else self.locked("write"):
            document = self._reader.document() or Document(new_document(self._terraform_version), str(self.path))
            where = Address.of(address)
            found = find_instance(document, where, deposed)
            if state is not None and state.type != where.type:
                raise StateError(f"{self.path}: {where} cannot have the state of a {state.type}")
            if state is None:
                text = document.without_instance(*found) if found else None
            elif found:
                text = self._changed(document, *found, state)
            else:
                text = self._added(document, where, deposed, state)
            if text is not None:
                assert self._lock is not None
                content = text.encode("utf-8", "surrogateescape")
                self._reader.attempt("written", lambda lock: lock.replace(content), self._lock)

    @contextlib.contextmanager
    def locked(self, operation: str = "apply") -> "Iterator[StateFile]":
        """Holds the lock of the file, which other programs then find locked.

        Args:
            operation: What it is held for, for whoever finds it held.

        Raises:
            StateError: It is held, here or elsewhere.
        """
        if self._lock is not None:
            raise StateError(f"the state file {self.path} is locked by this very object")
        self._lock = self._reader.attempt("locked", lambda path: StateLock(path, operation), self.path)
        try:
            yield self
        finally:
            lock, self._lock = self._lock, None
            lock.release()

    def _changed(self, document: Document, resource: Resource, instance: Instance, state: ResourceState) -> str | None:
        self._check_provider(resource, instance, state)
        raw = document.raw_members(instance)
        changes = _formatted(document, changed_members(state, raw))
        return document.with_instance(instance, merged(raw, changes)) if changes else None

    def _added(self, document: Document, address: Address, deposed: str | None, state: ResourceState) -> str:
        changes = _formatted(document, changed_members(state, {}))
        raw = merged(first_members(address.key, deposed), changes)
        for resource in document.resources:
            if resource.is_of(address):
                for instance in resource.instances[:1]:
                    self._check_provider(resource, instance, state)
                return document.with_new_instance(resource, raw, instance_order(address.key, deposed))
        if not state.provider:
            raise StateError(f"{self.path} has no {address}, and its state names no provider", "Set its `provider`.")
        names = {"module": address.module} if address.module else {}
        names |= {"mode": address.mode, "type": address.type, "name": address.name}
        return document.with_resource(names | {"provider": f'provider["{state.provider}"]'}, raw)

    def _check_provider(self, resource: Resource, instance: Instance, state: ResourceState) -> None:
        place = f"{self.path}: {resource.address(instance.key)}"
        stored = provider_of(resource, instance)
        if state.provider and stored and not is_same_provider(stored, state.provider):
            raise StateError(f"{place} is of the provider {stored}, its new state of {state.provider}")


def _formatted(document: Document, changes: Mapping[str, str | None]) -> dict[str, str | None]:
    return {name: text if text is None else document.formatted(text) for name, text in changes.items()}
