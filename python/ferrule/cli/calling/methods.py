"""The method or the service that a name on the command line means."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from ferrule.errors import ConfigError, ProtocolError
from ferrule.reflection import MethodFacts
from ferrule.reflection.definitions import Definitions

__all__ = ["Method", "find"]


@dataclass(frozen=True)
class Method:
    """A method of a service.

    Attributes:
        service: Fully qualified name of the service.
        facts: The method.
    """

    service: str
    facts: MethodFacts

    @property
    def name(self) -> str:
        return f"{self.service}/{self.facts.name}"


async def find(definitions: Definitions, text: str) -> Method | str:
    """The method that is meant, or the full name of the service if only that is named.

    `kv.KV/Get`, `/kv.KV/Get`, `kv.KV.Get` and, where one service alone is called so, `KV/Get` mean the same.

    Raises:
        ConfigError: Nothing has that name; the hint has the nearest one.
        ProtocolError: The plugin does not describe the service.
    """
    services = await definitions.services()
    wanted = text.removeprefix("/")
    if service := _full_name(wanted, services):
        return service
    service_name, separator, name = wanted.rpartition("/")
    if not separator:
        service_name, _, name = wanted.rpartition(".")
    service = _full_name(service_name, services)
    if service is None and separator:
        raise ConfigError(
            f"no service is named {service_name!r}", hint=_hint(service_name, services), code="config.invalid"
        )
    if service is None:
        hint = _hint(wanted, services, await _all_methods(definitions, services))
        raise ConfigError(f"no service or method is named {wanted!r}", hint=hint, code="config.invalid")
    try:
        methods = {method.name: method for method in await definitions.methods(service)}
    except ProtocolError as error:
        raise ProtocolError(
            error.message,
            hint="Give its definitions: --descriptor-set FILE or --proto FILE.",
            code=error.code,
        ) from error
    if name not in methods:
        raise ConfigError(f"service {service} has no method {name!r}", hint=_hint(name, methods), code="config.invalid")
    return Method(service, methods[name])


def _full_name(text: str, services: Iterable[str]) -> str | None:
    if text in services:
        return text
    called_so = [name for name in services if name.rpartition(".")[2] == text]
    return called_so[0] if len(called_so) == 1 else None


async def _all_methods(definitions: Definitions, services: Iterable[str]) -> list[str]:
    """All methods as they may be called, of the services that the plugin describes."""
    found: list[str] = []
    for service in services:
        with suppress(ProtocolError):
            found += [f"{service}/{method.name}" for method in await definitions.methods(service)]
    return found


def _hint(wrong: str, names: Iterable[str], methods: Iterable[str] = ()) -> str:
    known: dict[str, Any] = {name.rpartition("/")[2].lower(): name for name in methods}
    for name in names:
        # A last part that two services share is no name of either.
        known[name.lower()] = name
        known.setdefault(name.rpartition(".")[2].lower(), name)
    near = get_close_matches(wrong.lower(), known, n=1)
    listed = ", ".join(sorted(names))
    return f"Did you mean {known[near[0]]}?" if near else f"There are: {listed or 'none'}."
