"""The search for a source address: programs that run, development overrides, and directories with packages."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ferrule import _core
from ferrule.errors import ConfigError
from ferrule.reattach import ENVIRONMENT_NAME, ReattachConfig
from ferrule.terraform.errors import ProviderNotFoundError
from ferrule.terraform.finding.address import Address
from ferrule.terraform.finding.cli_config import CLIConfig
from ferrule.terraform.finding.found import FoundProvider
from ferrule.terraform.finding.lock_file import Lock
from ferrule.terraform.finding.packages import Package, Shelf, addresses_of_type, names_below, programs_in, read_shelf
from ferrule.terraform.finding.places import Origin, Place, places_of
from ferrule.terraform.finding.platforms import current_platform
from ferrule.terraform.finding.unpacking import UnpackingError, packages_folder, unpack
from ferrule.terraform.finding.verification import verify
from ferrule.terraform.finding.versions import Constraints
from ferrule.terraform.schema.nearest import nearest

__all__ = ["AddressSearch", "file_hint"]

_MAX_VERSIONS = 10


def file_hint(text: str, root: str) -> str | None:
    """A hint for a name that was not found, where a file has it."""
    return f"There is a file of that name: pass ./{text} for it." if os.path.isfile(os.path.join(root, text)) else None


def _printable(text: str) -> str:
    """Text with names out of directories and files, without what a terminal obeys or cannot show."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


@dataclass
class AddressSearch:
    """The search for a source address, which remembers what it saw."""

    name: str
    addresses: tuple[Address, ...]
    constraints: Constraints
    locks: Mapping[Address, Lock]
    config: CLIConfig
    environment: Mapping[str, str]
    root: str
    core: str
    seen: list[str] = field(default_factory=list)
    empty: dict[str, int] = field(default_factory=dict)
    platform: str = field(default_factory=current_platform)

    def run(self) -> FoundProvider:
        found = self._running() or self._override()
        if found is not None:
            return found
        # On a host that the lock file does not have, the provider would be another one, and not locked.
        for address in [each for each in self.addresses if each in self.locks] or self.addresses:
            for group in places_of(self.config, self.environment, self.root):
                choice = self._newest(address, group)
                if choice is not None:
                    return self._checked(address, *choice)
        raise self._not_found()

    def _running(self) -> FoundProvider | None:
        value = self.environment.get(ENVIRONMENT_NAME, "")
        names = [entry["name"] for entry in _core.parse_reattach(value)] if value.strip() else []
        match = self._named_by(names)
        if match is None:
            self.seen.append(f"{ENVIRONMENT_NAME}: {', '.join(names) or 'none'}")
            return None
        address, key = match
        reattach = ReattachConfig.from_environment(key, self.environment)
        return FoundProvider(origin=Origin.REATTACH, place=ENVIRONMENT_NAME, reattach=reattach, address=str(address))

    def _override(self) -> FoundProvider | None:
        overrides = self.config.dev_overrides
        match = self._named_by(overrides)
        if match is None:
            if self.config.files:
                self.seen.append(f"dev_overrides of {', '.join(self.config.files)}: {', '.join(overrides) or 'none'}")
            self.seen += self.config.notes
            return None
        address, key = match
        program = self._program(overrides[key], address, f"the development override of {key}")
        return FoundProvider(origin=Origin.DEV_OVERRIDE, place=overrides[key], path=program, address=str(address))

    def _named_by(self, keys: Mapping[str, str] | list[str]) -> tuple[Address, str] | None:
        """The first address that one of the keys names, and that key."""
        meanings = {}
        for key in keys:
            try:
                meanings[key] = Address.candidates(key, self.core)
            except ConfigError:
                self.seen.append(f"{key} is no address")
        for address in self.addresses:
            for key, meant in meanings.items():
                if address in meant:
                    return address, key
        return None

    def _newest(self, address: Address, group: list[Place]) -> tuple[Place, Package] | None:
        best = None
        for place in group:
            if not place.mirror.serves(address):
                self.seen.append(f"{place}: not for {address}, by its include and exclude")
                continue
            shelf = read_shelf(place.mirror.path, address)
            self._note(place, address, shelf)
            for package in shelf.packages:
                if self._fits(address, package) and (best is None or best[1].version < package.version):
                    best = place, package
        return best

    def _note(self, place: Place, address: Address, shelf: Shelf) -> None:
        described = self._described(place, address, shelf)
        if described != f"no {address}":
            self.seen.append(f"{place}: {described}")
        elif (index := self.empty.setdefault(str(place), len(self.seen))) < len(self.seen):
            # A place is looked at once for each host that the name may mean.
            self.seen[index] += f", no {address}"
        else:
            self.seen.append(f"{place}: {described}")

    def _fits(self, address: Address, package: Package) -> bool:
        lock = self.locks.get(address)
        if package.platform != self.platform:
            return False
        if lock is None:
            return self.constraints.allows(package.version)
        return package.version == lock.version and self._allows(lock)

    def _allows(self, lock: Lock) -> bool:
        """Whether the constraints allow the locked version; without any, a locked pre-release is allowed too."""
        return not self.constraints.text or self.constraints.allows(lock.version)

    def _described(self, place: Place, address: Address, shelf: Shelf) -> str:
        """What a place has of an address, in words."""
        versions: dict[str, list[str]] = {}
        for package in sorted(shelf.packages, key=lambda package: package.version.precedence, reverse=True):
            kind = package.platform + (" packed" if package.packed else "")
            versions.setdefault(kind, []).append(str(package.version))
        parts = [
            f"{', '.join(found[:_MAX_VERSIONS])}{', ...' if found[_MAX_VERSIONS:] else ''} for {kind}"
            for kind, found in versions.items()
        ]
        if not parts and not shelf.notes:
            others = addresses_of_type(place.mirror.path, address.type)
            parts = [f"no {address}" + (f", only {', '.join(others)}" if others else "")]
        return "; ".join(parts + shelf.notes)

    def _checked(self, address: Address, place: Place, package: Package) -> FoundProvider:
        zh = None
        if package.packed:
            package, zh = self._unpacked(address, package)
        program = self._program(package.path, address, f"the package of {address} {package.version}")
        verdict, detail, secure = verify(address, package, program, self.locks.get(address), zh)
        return FoundProvider(
            origin=place.origin,
            place=place.mirror.path,
            path=program,
            address=str(address),
            version=str(package.version),
            lock=verdict,
            lock_detail=detail,
            secure_config=secure,
        )

    def _unpacked(self, address: Address, package: Package) -> tuple[Package, str]:
        try:
            return unpack(package, packages_folder(self.environment))
        except UnpackingError as error:
            directory = os.path.join(os.path.dirname(package.path), str(package.version), package.platform)
            message = f"{address} {package.version}, the zip file {package.path}, cannot be unpacked: {error}"
            hint = f"Unpack it yourself: unzip {package.path} -d {directory}"
            raise ProviderNotFoundError(message, self._searched(), hint) from None

    def _program(self, directory: str, address: Address, what: str) -> str:
        try:
            programs = programs_in(directory, address.program)
        except OSError as error:
            raise ProviderNotFoundError(
                f"{what}, {directory}, cannot be read: {error.strerror}", self._searched()
            ) from None
        if not programs:
            raise ProviderNotFoundError(f"{what}, {directory}, has no program {address.program}", self._searched())
        return programs[0]

    def _searched(self) -> Iterable[str]:
        # A place that does not exist is seen once for each address.
        return dict.fromkeys(map(_printable, self.seen))

    def _nearest(self) -> str | None:
        """The name of a provider that is there, and nearly of the name that was asked for."""
        groups = places_of(self.config, self.environment, self.root)
        there = {name for group in groups for place in group for name in names_below(place.mirror.path)}
        wanted = self.addresses[0]
        # By the type alone: namespaces are alike or not whatever is in them, and the user's own comes first.
        own = f"{wanted.namespace}/"
        names = sorted(there - {own + wanted.type}, key=lambda name: (not name.startswith(own), name))
        kind = nearest(wanted.type, {name.partition("/")[2] for name in names})
        return next((name for name in names if name.partition("/")[2] == kind), None)

    def _not_found(self) -> ProviderNotFoundError:
        wanted = f" {self.constraints.text}" if self.constraints.text else ""
        hint = file_hint(self.name, self.root) or (
            "Nothing is downloaded: run `terraform init` or `tofu init`, or pass the path of the program."
        )
        if near := self._nearest():
            hint = f"Did you mean {near}? {hint}"
        locked = [f"{lock.version}, which {lock.file} locks" for lock in self.locks.values()]
        if not all(map(self._allows, self.locks.values())):
            hint = f"The lock file and the version{wanted} contradict each other; `init -upgrade` locks another one."
        only = f", only {locked[0]}," if locked else ""
        message = f"no provider {self.name}{wanted}{only} for {self.platform}"
        return ProviderNotFoundError(message, self._searched(), hint)
