"""Leases that are to be providers, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ferrule import _validation as rules
from ferrule._secrecy import forgetful
from ferrule.errors import ConfigError

if TYPE_CHECKING:
    from ferrule.terraform.pool.configured import ConfiguredStart

__all__ = ["start_of_lease"]


@forgetful
def start_of_lease(
    given: Any, leases: type, clients: type, config: Mapping[str, Any] | None, options: Mapping[str, Any]
) -> ConfiguredStart:
    """What has started and configured the provider of a lease.

    Args:
        given: What should be a lease.
        leases: The class of leases, of the caller's face.
        clients: The class of clients that the caller takes too.
        config, options: What a provider over a client may be given, and one over a lease may not.

    Raises:
        TypeError: It is no lease.
        ConfigError: `provider_spec` did not make its spec, or there are options.
    """
    if not isinstance(given, leases):
        found, expected = (f"{kind.__module__}.{kind.__qualname__}" for kind in (type(given), clients))
        faces = "ferrule.terraform.Provider is for asyncio, ferrule.sync.Provider for leases and clients of threads"
        raise TypeError(f"the client is a {found}, expected a {expected} or a lease: {faces}")
    # Loaded late: it needs both clients.
    from ferrule.terraform.pool.configured import ConfiguredStart

    start = given.spec.on_start  # type: ignore[attr-defined]
    if not isinstance(start, ConfiguredStart):
        message = f"the lease is one of {given.spec!r}, expected a spec of provider_spec()"  # type: ignore[attr-defined]
        raise ConfigError(message, "Make the spec with ferrule.terraform.provider_spec().", rules.INVALID)
    if config is not None or options:
        names = ["config"] * (config is not None) + sorted(options)
        message = f"a provider over a lease was given {', '.join(names)}, which its process has from its spec"
        raise ConfigError(message, "Give them to provider_spec().", rules.INVALID)
    return start
