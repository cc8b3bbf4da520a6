"""What the CLI configuration of Terraform and OpenTofu says of where providers are."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ferrule.errors import ConfigError
from ferrule.terraform.finding.address import Address, Pattern
from ferrule.terraform.finding.hcl import Body, Item, Value, read_hcl_file
from ferrule.terraform.finding.hcl_tokens import refused

__all__ = ["CLIConfig", "Mirror", "home_of", "read_cli_config"]

_FILE_VARIABLES = ("TF_CLI_CONFIG_FILE", "TERRAFORM_CONFIG")
_CACHE_VARIABLE = "TF_PLUGIN_CACHE_DIR"
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))", re.ASCII)


@dataclass(frozen=True, slots=True)
class Mirror:
    """A `filesystem_mirror` block.

    Attributes:
        path: The directory.
        include: The providers that are taken from it; none means all.
        exclude: The providers that are not; they win.
    """

    path: str
    include: tuple[Pattern, ...] = ()
    exclude: tuple[Pattern, ...] = ()

    def serves(self, address: Address) -> bool:
        """Whether a provider may be taken from the mirror."""
        if any(pattern.matches(address) for pattern in self.exclude):
            return False
        return not self.include or any(pattern.matches(address) for pattern in self.include)


@dataclass(slots=True)
class CLIConfig:
    """The settings about providers from all files together.

    Attributes:
        files: The files that were read.
        notes: What was not read, in words.
        dev_overrides: The directory of each provider under development, by address as it is written.
        mirrors: The explicit mirrors; None without a `provider_installation` block, which implies some.
        plugin_cache_dir: The plugin cache; None for none.
    """

    files: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    dev_overrides: dict[str, str] = field(default_factory=dict)
    mirrors: list[Mirror] | None = None
    plugin_cache_dir: str | None = None


def home_of(environment: Mapping[str, str]) -> str:
    """The home directory."""
    return environment.get("HOME") or os.path.expanduser("~")


def read_cli_config(environment: Mapping[str, str], directory: str, given: str | None, core: str) -> CLIConfig:
    """Reads the files that the core would read.

    Args:
        environment: The variables.
        directory: Where relative paths begin.
        given: A file, instead of those that the variables and the core's own rules name.
        core: `terraform` or `opentofu`, whose file is looked for first.

    Raises:
        ConfigError: A file cannot be read, or says something that the cores refuse.
    """
    config = CLIConfig()
    for path in _files(environment, directory, given, core, config):
        _add_file(config, path, environment, directory, core)
    cache = environment.get(_CACHE_VARIABLE)
    if cache:
        config.plugin_cache_dir = os.path.join(directory, cache)
    return config


def _files(
    environment: Mapping[str, str], directory: str, given: str | None, core: str, config: CLIConfig
) -> Iterable[str]:
    if given is not None:
        return [os.path.join(directory, given)]
    for variable in _FILE_VARIABLES:
        if environment.get(variable):
            named = os.path.join(directory, environment[variable])
            if os.path.exists(named):
                return [named]
            # The cores warn and go on.
            config.notes.append(f"{variable} names {named}, which does not exist")
            return []
    return _own_files(environment, core)


def _own_files(environment: Mapping[str, str], core: str) -> list[str]:
    """The user's own file, and those of the configuration directory."""
    home, xdg = home_of(environment), environment.get("XDG_CONFIG_HOME")
    names = [".terraformrc", ".tofurc"]
    mains = [os.path.join(home, name) for name in (names if core == "terraform" else reversed(names))]
    folder = os.path.join(home, ".terraform.d")
    if xdg:
        mains.append(os.path.join(xdg, "opentofu", "tofurc"))
        if not os.path.exists(folder):
            folder = os.path.join(xdg, "opentofu")
    files = [main for main in mains if os.path.exists(main)][:1]
    try:
        inner = sorted(os.listdir(folder), key=os.fsencode)
    except OSError:
        inner = []
    for name in inner:
        if fnmatch.fnmatchcase(name, "*.tfrc") or fnmatch.fnmatchcase(name, "*.tfrc.json"):
            files.append(os.path.join(folder, name))
    return files


def _add_file(config: CLIConfig, path: str, environment: Mapping[str, str], directory: str, core: str) -> None:
    try:
        body = read_hcl_file(path)
    except OSError as error:
        message = f"the CLI configuration {path} cannot be read: {error.strerror}"
        raise ConfigError(message, "Make it readable, or pass another one.", "terraform.cli-config") from None
    config.files.append(path)
    cache = body.last("plugin_cache_dir")
    if cache is not None and config.plugin_cache_dir is None:
        text = cache.text("plugin_cache_dir")
        expanded = _VARIABLE.sub(lambda match: environment.get(match[1] or match[2], ""), text)
        config.plugin_cache_dir = _joined(directory, expanded, "plugin_cache_dir", cache) if expanded else None
    for item in body.named("provider_installation"):
        if config.mirrors is not None:
            raise refused(item.position, "this is a second provider_installation block, expected one in all files")
        config.mirrors = []
        _add_installation(config, item, directory, core)


def _add_installation(config: CLIConfig, item: Item, directory: str, core: str) -> None:
    earlier = False
    for method in _body(item).items:
        if method.name == "dev_overrides":
            if earlier:
                raise refused(method.position, "dev_overrides must come before all other installation methods")
            config.dev_overrides |= {
                entry.name: _path(entry.value, f"the directory of {entry.name}", directory)
                for entry in _body(method).items
            }
            continue
        earlier = True
        if method.name == "filesystem_mirror" and config.mirrors is not None:
            config.mirrors.append(_mirror(method, directory, core))


def _mirror(item: Item, directory: str, core: str) -> Mirror:
    body = _body(item)
    path = body.last("path")
    if path is None:
        raise refused(item.position, "the filesystem_mirror has no path")
    return Mirror(
        _path(path, "the mirror's path", directory),
        _patterns(body.last("include"), "include", core),
        _patterns(body.last("exclude"), "exclude", core),
    )


def _patterns(value: Value | None, what: str, core: str) -> tuple[Pattern, ...]:
    if value is None:
        return ()
    try:
        return tuple(Pattern.of(text, core) for text in value.texts(what))
    except ConfigError:
        raise
    except ValueError as error:
        raise refused(value.position, f"{what}: {error}") from None


def _body(item: Item) -> Body:
    if not isinstance(item.value.content, Body):
        raise refused(item.position, f"{item.name} is no block")
    return item.value.content


def _path(value: Value, what: str, directory: str) -> str:
    return _joined(directory, value.text(what), what, value)


def _joined(directory: str, text: str, what: str, value: Value) -> str:
    """A path, after a check that the system can take it."""
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise refused(value.position, f"{what} is no path") from None
    if not text or "\0" in text:
        raise refused(value.position, f"{what} is empty or has a NUL in it")
    return os.path.join(directory, text)
