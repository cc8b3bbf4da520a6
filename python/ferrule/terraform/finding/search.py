"""The search for a provider's program by path, by name, or by source address. Nothing is downloaded."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ferrule import _validation as rules
from ferrule._executable import find_program, search_path
from ferrule._paths import rooted
from ferrule.errors import ConfigError, LaunchError
from ferrule.terraform.errors import ProviderNotFoundError
from ferrule.terraform.finding.address import Address, check_core
from ferrule.terraform.finding.address_search import AddressSearch, file_hint
from ferrule.terraform.finding.cli_config import read_cli_config
from ferrule.terraform.finding.found import FoundProvider
from ferrule.terraform.finding.lock_file import LOCK_FILE_NAME, Lock, read_locks
from ferrule.terraform.finding.packages import PROGRAM_PREFIX, programs_in
from ferrule.terraform.finding.places import Origin
from ferrule.terraform.finding.versions import Constraints

__all__ = ["find_provider"]


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
    return AddressSearch(text, addresses, constraints, locks, config, variables, root, core).run()


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


def _checked_path(what: str, value: str | os.PathLike[str]) -> str:
    """A path or name as text that the system can take."""
    try:
        text = os.fspath(value)
        if isinstance(text, str) and text and b"\0" not in os.fsencode(text):
            return text
    except (TypeError, UnicodeEncodeError):
        pass
    if value == "":
        raise ConfigError(f"the {what} is empty text, expected a name or a path", None, rules.INVALID)
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
        hint = file_hint(name, root) or (
            f"For a provider that a core installed pass its source address, such as {kind!r}."
        )
        raise ProviderNotFoundError(f"no program {name} on PATH", path.split(os.pathsep), hint) from None
    full = os.path.join(root, found)
    return FoundProvider(origin=Origin.SEARCH_PATH, place=os.path.dirname(full), path=full)
