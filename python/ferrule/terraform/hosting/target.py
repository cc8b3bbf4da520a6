"""How a provider is reached: by its program, by the address at which it runs already, or by a client that exists."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ferrule import _validation as rules
from ferrule import families
from ferrule._secrecy import forgetful
from ferrule.config import ClientConfig
from ferrule.errors import ConfigError, ProtocolError
from ferrule.reattach import ReattachConfig
from ferrule.terraform.errors import LifecycleError
from ferrule.terraform.finding import FoundProvider, Origin, find_provider
from ferrule.terraform.finding.address import Address
from ferrule.terraform.messages import Protocol
from ferrule.terraform.schema.program import Program, program_of

__all__ = ["Target", "client_config", "config_for", "load_messages", "name_of", "protocol_of"]


@dataclass(frozen=True)
class Target:
    """A provider by the name that the caller gave it.

    Attributes:
        source: Path of a program, name of one on PATH, or source address.
        version: A constraint on the version, for source addresses; None for any release.
        core: The core whose registry and places are searched first.
        reattach: Where the provider runs already, whose address the source is then, or empty; None for a search.
    """

    source: str | os.PathLike[str] = ""
    version: str | None = None
    core: str = "terraform"
    reattach: ReattachConfig | None = None

    def find(self) -> tuple[FoundProvider, Program | None]:
        """Searches the provider. Blocks: the files of a large one that is locked take seconds to check.

        Returns:
            The provider, and its program as it is now, by which its schema is kept; None for one that runs already.

        Raises:
            ProviderNotFoundError: There is none of that name.
            SecurityError: The lock file has other checksums.
        """
        if self.reattach is not None:
            name = os.fspath(self.source)
            address = str(Address.candidates(name, self.core)[0]) if name else ""
            place = self.reattach.address
            return FoundProvider(origin=Origin.REATTACH, place=place, reattach=self.reattach, address=address), None
        found = find_provider(self.source, version=self.version, core=self.core)
        return found, None if found.path is None else program_of([found.path])


def config_for(found: FoundProvider, config: ClientConfig) -> ClientConfig:
    """The configuration of the client of a provider that was found: it starts the program that was checked."""
    if found.secure_config is None or config.secure_config is not None:
        return config
    return dataclasses.replace(config, secure_config=found.secure_config)


def name_of(source: object) -> str:
    """The name of a provider in its repr.

    Raises:
        ConfigError: It is neither text nor a path.
    """
    if not isinstance(source, str | os.PathLike):
        message = f"the provider is {rules.shown(source)} ({type(source).__name__}), expected text or a path"
        hint = "Pass the program's path, its name on PATH, or a source address; Provider.over() takes any client."
        raise ConfigError(message, hint, rules.INVALID)
    return repr(os.fspath(source))


def load_messages() -> None:
    """Loads protobuf, for which a thread needs 50 milliseconds."""
    Protocol.of(6).path("GetProviderSchema")


@forgetful
def client_config(settings: ClientConfig | Mapping[str, Any] | None) -> ClientConfig:
    """The configuration of a provider's client, Terraform's where nothing else is said.

    Raises:
        ConfigError: A setting does not fit.
    """
    if settings is None or isinstance(settings, ClientConfig):
        return ClientConfig.of(settings or families.TERRAFORM)
    if not isinstance(settings, Mapping):
        message = f"the settings are a {type(settings).__name__}, expected a ClientConfig or a mapping"
        raise ConfigError(message, code=rules.INVALID)
    return ClientConfig.of(families.TERRAFORM.with_settings(**settings))


def protocol_of(version: int | None, is_started: bool) -> Protocol:
    """The protocol that a client has agreed on with its plugin.

    Raises:
        LifecycleError: The client is not started.
        ProtocolError: The plugin is no provider.
    """
    if version is None or not is_started:
        raise LifecycleError("the client is not started", "Start it first.", "terraform.not-started")
    try:
        return Protocol.of(version)
    except ValueError:
        message = f"the plugin speaks version {version}, expected 5 or 6: it is no provider of Terraform"
        raise ProtocolError(message, code="terraform.protocol") from None
