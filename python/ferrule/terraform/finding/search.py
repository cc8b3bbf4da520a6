"""The search for a provider's program by path, by name, or by source address. Nothing is downloaded."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ferrule import _core
from ferrule import _validation as rules
from ferrule._executable import find_program, search_path
from ferrule._paths import rooted
from ferrule.errors import ConfigError, LaunchError
from ferrule.reattach import ENVIRONMENT_NAME, ReattachConfig
from ferrule.terraform.errors import ProviderNotFoundError
from ferrule.terraform.finding.address import Address, check_core
from ferrule.terraform.finding.cli_config import CLIConfig, read_cli_config
from ferrule.terraform.finding.found import FoundProvider
from ferrule.terraform.finding.lock_file import LOCK_FILE_NAME, Lock, read_locks
from ferrule.terraform.finding.packages import (
    PROGRAM_PREFIX,
    Package,
    Shelf,
    addresses_of_type,
    programs_in,
    read_shelf,
)
from ferrule.terraform.finding.places import Origin, Place, places_of
from ferrule.terraform.finding.platforms import current_platform
from ferrule.terraform.finding.unpacking import UnpackingError, packages_folder, unpack
from ferrule.terraform.finding.verification import verify
from ferrule.terraform.finding.versions import Constraints

__all__ = ["find_provider"]

_MAX_VERSIONS = 10


def find_provider(
    name: str | os.PathLike[str],
    *,
    version: str | None = None,
    directory: str | os.PathLike[str] = ".",
    environment: Mapping[str, str] | None = None,
    cli_config: str | os.PathLike[str] | None = None,
    lock_file: str | os.PathLike[str] | None = LOCK_FILE_NAME,
    core: str = "terraform",
) -> FoundProvider:
    """The provider that a name means on this machine, as Terraform and OpenTofu would choose it. Nothing is downloaded.

    A name is one of:

    - a path, which begins with `/`, `./` or `../`, or any `os.PathLike`; or the path of a file that has the form of no
      other name, `build/terraform-provider-random`;
    - the name of a program, `terraform-provider-random`, which is looked up on PATH;
    - a source address, `[HOST/][NAMESPACE/]TYPE`: `random`, `hashicorp/random`. Without a host both registries' hosts
      are tried, the core's own first; if the lock file has one of them, only that.

    An address is looked for in this order: `TF_REATTACH_PROVIDERS`, the `dev_overrides` of the CLI configuration, the
    providers installed in the directory (`.terraform/providers`, or below `TF_DATA_DIR`), the filesystem mirrors (of
    the CLI configuration, or those that the cores imply), and the plugin cache. In the first of these that has one for
    this platform, the newest version wins that the constraints allow; a lock file allows only the version it names.

    Reads directories, and of a locked provider all files: in asyncio call it in a thread.

    Args:
        name: What to look for.
        version: Constraints on the version, as in `required_providers`: `~> 3.6`, `>= 3.0, != 3.4.1`; default any
            release. Pre-releases are found only if one is named with `=`. Only for source addresses; a development
            override or a running provider has no version to hold to it.
        directory: The directory of the root module; default the current one. Relative paths begin there.
        environment: The variables; default those of this process.
        cli_config: A CLI configuration file; default those that the core would read (`TF_CLI_CONFIG_FILE`,
            `~/.terraformrc`, `~/.tofurc`, ...).
        lock_file: The dependency lock file; default `.terraform.lock.hcl` if there is one. None checks nothing.
        core: `terraform` (default) or `opentofu`: whose host and configuration file are tried first.

    Raises:
        ProviderNotFoundError: There is no such program; the message has each place that was searched and what is there.
        SecurityError: The lock file has checksums `h1:` of the provider, and none is the package's.
        ConfigError: The name or version has no such form, or a configuration or lock file cannot be read, or the
            current directory is needed and does not exist any more.

    Example:
        >>> print(find_provider("/bin/sh"))
        provider from path /bin/sh (exempt)
    """
    variables = os.environ if environment is None else _checked_variables(environment)
    text = _checked_path("provider", name)
    root = _root(_checked_path("directory", directory), text)
    constraints = Constraints.of(version)
    check_core(core)
    is_path = not isinstance(name, str) or _is_path(text, root, core)
    if is_path or _is_program_name(text):
        if version is not None:
            message = f"the version is {rules.shown(version)} for {rules.shown(text)}, expected none"
            raise ConfigError(message, "Only a source address has versions to choose from.", rules.INVALID)
        return _by_path(os.path.normpath(os.path.join(root, text))) if is_path else _by_name(text, root, variables)
    given = None if cli_config is None else _checked_path("CLI configuration", cli_config)
    config = read_cli_config(variables, root, given, core)
    try:
        addresses = Address.candidates(text, core)
    except ConfigError as error:
        raise ConfigError(f"{error.message}; and there is no file of that name", error.hint, error.code) from None
    locks = {} if lock_file is None else _locks(_checked_path("lock file", lock_file), root, addresses)
    # A host that the lock file has is the module's; the sort keeps the order of others.
    addresses = tuple(sorted(addresses, key=lambda address: address not in locks))
    return _Search(text, addresses, constraints, locks, config, variables, root, core).run()


def _root(directory: str, name: str) -> str:
    try:
        return os.path.abspath(rooted(directory))
    except ConfigError:
        # The current directory is gone: what is absolute or on PATH can do without.
        if os.path.isabs(name) or _is_program_name(name):
            return directory
        raise


def _is_path(text: str, root: str, core: str) -> bool:
    """Whether a text is a path: by its beginning, or because it is no address, and the path of a file."""
    if text.startswith(("/", "./", "../")) or os.path.isabs(text):
        return True
    if _is_program_name(text) or not os.path.isfile(os.path.join(root, text)):
        return False
    try:
        Address.candidates(text, core)
    except ConfigError:
        return True
    return False


def _is_program_name(text: str) -> bool:
    return text.startswith(PROGRAM_PREFIX) and "/" not in text


def _file_hint(text: str, root: str) -> str | None:
    """A hint for a name that was not found, where a file has it."""
    return f"There is a file of that name: pass ./{text} for it." if os.path.isfile(os.path.join(root, text)) else None


def _checked_path(what: str, value: str | os.PathLike[str]) -> str:
    """A path or name as text that the system can take."""
    try:
        text = os.fspath(value)
        if isinstance(text, str) and text and b"\0" not in os.fsencode(text):
            return text
    except (TypeError, UnicodeEncodeError):
        pass
    message = f"the {what} is {rules.shown(value)} ({type(value).__name__}), expected text that the system can take"
    raise ConfigError(message, None, rules.INVALID)


def _checked_variables(environment: Mapping[str, str]) -> Mapping[str, str]:
    checked: Mapping[str, str] = rules.check("environment", environment, rules.environment())
    for name, value in checked.items():
        if value:
            _checked_path(f"variable {name}", value)
    return checked


def _locks(path: str, root: str, addresses: tuple[Address, ...]) -> dict[Address, Lock]:
    full = os.path.join(root, path)
    if path == LOCK_FILE_NAME and not os.path.exists(full):
        return {}
    return read_locks(full, addresses)


def _by_path(path: str) -> FoundProvider:
    if os.path.isfile(path):
        return FoundProvider(origin=Origin.FILE, place=path, path=path)
    if not os.path.isdir(path):
        raise ProviderNotFoundError(f"there is no file {path}", hint="Pass the path of the provider's program.")
    try:
        programs = programs_in(path)
    except OSError:
        programs = []
    there = ", ".join(os.path.basename(program) for program in programs) or "no terraform-provider-*"
    hint = "Pass the path of the program itself."
    raise ProviderNotFoundError(f"{path} is a directory, with {there} in it, expected a program", hint=hint)


def _by_name(name: str, root: str, environment: Mapping[str, str]) -> FoundProvider:
    path = search_path(environment)
    try:
        found = find_program(name, root, path)
    except LaunchError:
        kind = name.removeprefix(PROGRAM_PREFIX)
        hint = _file_hint(name, root) or (
            f"For a provider that a core installed pass its source address, such as {kind!r}."
        )
        raise ProviderNotFoundError(f"no program {name} on PATH", path.split(os.pathsep), hint) from None
    full = os.path.join(root, found)
    return FoundProvider(origin=Origin.SEARCH_PATH, place=os.path.dirname(full), path=full)


def _printable(text: str) -> str:
    """Text with names out of directories and files, without what a terminal obeys or cannot show."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


@dataclass
class _Search:
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
        files = ", ".join(self.config.files) or "no CLI configuration"
        if match is None:
            self.seen.append(f"dev_overrides of {files}: {', '.join(overrides) or 'none'}")
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
            self.seen.append(f"{place}: {self._described(place, address, shelf)}")
            for package in shelf.packages:
                if self._fits(address, package) and (best is None or best[1].version < package.version):
                    best = place, package
        return best

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

    def _not_found(self) -> ProviderNotFoundError:
        wanted = f" {self.constraints.text}" if self.constraints.text else ""
        hint = _file_hint(self.name, self.root) or (
            "Nothing is downloaded: run `terraform init` or `tofu init`, or pass the path of the program."
        )
        locked = [f"{lock.version}, which {lock.file} locks" for lock in self.locks.values()]
        if not all(map(self._allows, self.locks.values())):
            hint = f"The lock file and the version{wanted} contradict each other; `init -upgrade` locks another one."
        only = f", only {locked[0]}," if locked else ""
        message = f"no provider {self.name}{wanted}{only} for {self.platform}"
        return ProviderNotFoundError(message, self._searched(), hint)
