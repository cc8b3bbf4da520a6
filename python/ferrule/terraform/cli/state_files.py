"""Files that have the state of a resource: one of its own, or a `terraform.tfstate` with others in it."""

import argparse
import contextlib
import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from ferrule._console import write_to
from ferrule.terraform.errors import StateError
from ferrule.terraform.state import ResourceState
from ferrule.terraform.tfstate import Address, StateFile
from ferrule.terraform.tfstate.lock import StateLock, read_file

__all__ = ["NO_FILE", "Store", "saved", "store_of"]


class Store(Protocol):
    """Where the state of one resource is."""

    def read(self) -> ResourceState | None:
        """The state; None if there is none."""

    def require(self) -> ResourceState:
        """The state, of a resource that is to be there.

        Raises:
            StateError: There is none; the message says what is there.
        """

    def write(self, state: ResourceState | None) -> None:
        """Stores the state; None says that the resource is gone. Only under the lock."""

    def locked(self, operation: str) -> contextlib.AbstractContextManager[object]:
        """Holds the lock, which other programs find."""


def store_of(options: argparse.Namespace, type_name: str | None, provider_address: str) -> Store:
    """The place that the options name, checked as far as it can be before anything is changed.

    Args:
        options: `state` and `address`.
        type_name: The type of the resource; None for that of the state.
        provider_address: The provider's source address; empty if not known.

    Raises:
        StateError: A new resource in a `terraform.tfstate` has another type in its address, or no known provider.
    """
    if options.state is None:
        return NO_FILE
    if options.address is None:
        return _ResourceFile(Path(options.state), provider_address)
    wanted = Address.of(options.address)
    if type_name is not None and wanted.type != type_name:
        raise StateError(f"{options.address} is no address of a {type_name}")
    return _ResourceOfMany(StateFile(options.state), options.address, provider_address)


def saved(store: Store, state: ResourceState | None) -> None:
    """Stores what an operation has left. A state that cannot be stored is shown, so that it is not lost.

    Raises:
        StateError: It cannot be stored.
    """
    try:
        store.write(state)
    except StateError:
        if state is not None:
            write_to(sys.stderr, f"The state could not be stored. This is it, secrets included:\n{state.to_json()}\n")
        raise


class _NoFile:
    """No file: there is no resource before, and nothing is stored."""

    def read(self) -> ResourceState | None:
        return None

    def require(self) -> ResourceState:
        raise StateError("there is no state without a file", "Name one with --state.")

    def write(self, state: ResourceState | None) -> None:
        pass

    def locked(self, operation: str) -> contextlib.AbstractContextManager[object]:
        del operation
        return contextlib.nullcontext()


NO_FILE: Final[Store] = _NoFile()


class _ResourceFile:
    """A file with the JSON of one state; not there, or empty, if there is no resource."""

    def __init__(self, path: Path, provider_address: str) -> None:
        self._path = path
        self._provider_address = provider_address
        self._lock: StateLock | None = None

    def read(self) -> ResourceState | None:
        try:
            content = read_file(self._path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failure("read", error) from None
        if not content.strip():
            return None
        try:
            return ResourceState.from_json(content)
        except StateError as error:
            hint = error.hint
            if b'"lineage"' in content or b'"terraform_version"' in content:
                hint = "A state of Terraform or OpenTofu has many resources: name one with --address TYPE.NAME."
            raise StateError(f"{self._path}: {error.message}", hint) from None

    def require(self) -> ResourceState:
        if (state := self.read()) is not None:
            return state
        what = f"{self._path} is empty" if self._path.exists() else f"there is no state file {self._path}"
        raise StateError(what, "--state names the file that `ferrule apply --state` or `import --state` has written.")

    def write(self, state: ResourceState | None) -> None:
        assert self._lock is not None
        try:
            if state is None:
                self._lock.path.unlink(missing_ok=True)
                return
            content = f"{_with_provider(state, self._provider_address).to_json()}\n".encode("utf-8", "surrogateescape")
            if content != self._lock.read():
                self._lock.replace(content)
        except OSError as error:
            raise self._failure("written", error) from None

    @contextlib.contextmanager
    def locked(self, operation: str) -> Iterator[None]:
        try:
            self._lock = StateLock(self._path, operation)
        except OSError as error:
            raise self._failure("locked", error) from None
        try:
            yield
        finally:
            self._lock.release()
            self._lock = None

    def _failure(self, what: str, error: OSError) -> StateError:
        return StateError(f"the state file {self._path} cannot be {what}: {error.strerror}")


class _ResourceOfMany:
    """One resource of a `terraform.tfstate`."""

    def __init__(self, file: StateFile, address: str, provider_address: str) -> None:
        self._file = file
        self._address = address
        self._provider_address = provider_address

    def read(self) -> ResourceState | None:
        return self._file.get(self._address)

    def require(self) -> ResourceState:
        return self._file.read(self._address)

    def write(self, state: ResourceState | None) -> None:
        self._file.write(self._address, state and _with_provider(state, self._provider_address))

    @contextlib.contextmanager
    def locked(self, operation: str) -> Iterator[None]:
        with self._file.locked(operation):
            if not self._provider_address and self.read() is None:
                # Found only when the state is written, this would be too late.
                what = f"{self._address} would be new in {self._file.path}, and its provider's address is not known"
                raise StateError(what, "Give it with --source-address.")
            yield


def _with_provider(state: ResourceState, address: str) -> ResourceState:
    return state if state.provider or not address else dataclasses.replace(state, provider=address)
