"""The directories in which packages of providers are looked for, in groups: the first group that has one wins."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from ferrule.terraform.finding.cli_config import CLIConfig, Mirror, home_of

__all__ = ["Origin", "Place", "places_of"]


class Origin(StrEnum):
    """Where a provider was found."""

    FILE = "path"
    SEARCH_PATH = "PATH"
    REATTACH = "TF_REATTACH_PROVIDERS"
    DEV_OVERRIDE = "development override"
    INSTALLED = "directory of installed providers"
    MIRROR = "filesystem mirror"
    IMPLIED_MIRROR = "implied filesystem mirror"
    CACHE = "plugin cache"


@dataclass(frozen=True, slots=True)
class Place:
    """A directory with packages.

    Attributes:
        origin: What kind of directory it is.
        mirror: Its path, and for which providers it is.
    """

    origin: Origin
    mirror: Mirror

    def __str__(self) -> str:
        return f"{self.origin} {self.mirror.path}"


def places_of(config: CLIConfig, environment: Mapping[str, str], directory: str) -> list[list[Place]]:
    """The groups: what a core installed, the mirrors together, and the plugin cache."""
    data = os.path.join(directory, environment.get("TF_DATA_DIR") or ".terraform")
    groups = [[Place(Origin.INSTALLED, Mirror(os.path.join(data, "providers")))]]
    if config.mirrors is None:
        implied = dict.fromkeys(_implied_mirrors(environment, directory))
        groups.append([Place(Origin.IMPLIED_MIRROR, Mirror(path)) for path in implied])
    else:
        groups.append([Place(Origin.MIRROR, mirror) for mirror in config.mirrors])
    if config.plugin_cache_dir is not None:
        groups.append([Place(Origin.CACHE, Mirror(config.plugin_cache_dir))])
    return groups


def _implied_mirrors(environment: Mapping[str, str], directory: str) -> list[str]:
    home, xdg = home_of(environment), environment.get("XDG_DATA_HOME") or ""
    parents = [os.path.join(directory, "terraform.d"), os.path.join(home, ".terraform.d")]
    if xdg:
        parents.append(os.path.join(xdg, "opentofu"))
    if sys.platform == "darwin":
        support = os.path.join("Library", "Application Support", "io.terraform")
        parents += [os.path.join(home, support), os.path.join("/", support)]
    else:
        shared = environment.get("XDG_DATA_DIRS") or os.pathsep.join(("/usr/local/share", "/usr/share"))
        own = xdg if os.path.isabs(xdg) else os.path.join(home, ".local", "share")
        parents += [os.path.join(each, "terraform") for each in (own, *shared.split(os.pathsep)) if os.path.isabs(each)]
    return [os.path.join(parent, "plugins") for parent in parents]
