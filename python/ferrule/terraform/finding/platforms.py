"""The platform of this process, as Go and the registries name it: `linux_amd64`."""

from __future__ import annotations

import platform
import sys
from typing import Final

__all__ = ["current_platform", "platform_name"]

_ARCHITECTURES: Final = {
    "x86_64": "amd64",
    "amd64": "amd64",
    "aarch64": "arm64",
    "arm64": "arm64",
    "x86": "386",
    "i86pc": "amd64",
    "loongarch64": "loong64",
    "mips64el": "mips64le",
    "mipsel": "mipsle",
    "powerpc64": "ppc64",
    "powerpc64le": "ppc64le",
}
_SYSTEMS: Final = ("linux", "darwin", "freebsd", "openbsd", "netbsd", "dragonfly", "solaris", "windows")


def platform_name(system: str, machine: str) -> str:
    """The name of a platform.

    Args:
        system: As `sys.platform` has it.
        machine: As `platform.machine()` has it.

    Example:
        >>> platform_name("linux", "x86_64"), platform_name("darwin", "arm64"), platform_name("linux", "armv7l")
        ('linux_amd64', 'darwin_arm64', 'linux_arm')
    """
    system = {"win32": "windows", "cygwin": "windows", "sunos5": "solaris"}.get(system, system)
    # FreeBSD's has the number of its release behind it.
    system = next((name for name in _SYSTEMS if system.startswith(name)), system)
    machine = machine.lower()
    if machine.startswith("arm") and machine != "arm64":
        return f"{system}_arm"
    if len(machine) == 4 and machine[0] == "i" and machine.endswith("86"):
        return f"{system}_386"
    return f"{system}_{_ARCHITECTURES.get(machine, machine)}"


def current_platform() -> str:
    """The name of the platform on which this process runs."""
    return platform_name(sys.platform, platform.machine())
