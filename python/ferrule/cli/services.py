"""What services a plugin has, as facts and as text."""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

from ferrule.errors import ProtocolError
from ferrule.reflection.definitions import Definitions

__all__ = ["described_services", "services_text"]


async def described_services(
    definitions: Definitions, names: Iterable[str] | None = None
) -> tuple[list[dict[str, Any]] | None, str | None]:
    """The services with their methods, all or those of some names, and the last reason why something is missing."""
    try:
        names = await definitions.services() if names is None else names
    except ProtocolError as error:
        return None, error.message
    services: list[dict[str, Any]] = []
    failure = None
    for name in names:
        try:
            methods = [dataclasses.asdict(method) for method in await definitions.methods(name)]
        except ProtocolError as error:
            services.append({"name": name, "methods": None})
            failure = error.message
        else:
            services.append({"name": name, "methods": methods})
    return services, failure


def services_text(services: list[dict[str, Any]] | None, failure: str | None) -> Iterator[str]:
    if services is not None:
        yield f"services ({len(services)})"
    for service in services or []:
        yield f"  {service['name']}"
        for method in service["methods"] or []:
            request = "stream " * method["client_streaming"] + method["input_type"]
            response = "stream " * method["server_streaming"] + method["output_type"]
            yield f"    {method['name']}({request}) -> {response}"
    if failure is not None:
        yield f"services unknown: {failure}" if services is None else f"  incomplete: {failure}"
