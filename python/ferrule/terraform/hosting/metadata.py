"""What a provider has, by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ferrule.terraform.schema import ProviderSchema

__all__ = ["Metadata", "metadata_of_response", "metadata_of_schema"]


@dataclass(frozen=True)
class Metadata:
    """The names of all that a provider has, each tuple in alphabetical order.

    Attributes:
        resources: Types of resources.
        data_sources: Types of data sources.
        ephemeral_resources: Types of ephemeral resources.
        list_resources: Types of list resources.
        actions: Types of actions.
        functions: Names of functions.
    """

    resources: tuple[str, ...] = ()
    data_sources: tuple[str, ...] = ()
    ephemeral_resources: tuple[str, ...] = ()
    list_resources: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()


def metadata_of_response(response: Any) -> Metadata:
    """The metadata that GetMetadata answers."""

    def types(field: str) -> tuple[str, ...]:
        return _sorted(each.type_name for each in getattr(response, field))

    return Metadata(
        types("resources"),
        types("data_sources"),
        types("ephemeral_resources"),
        types("list_resources"),
        types("actions"),
        _sorted(each.name for each in response.functions),
    )


def metadata_of_schema(schema: ProviderSchema) -> Metadata:
    """The metadata that a schema has too, for providers without GetMetadata."""
    return Metadata(
        _sorted(schema.resources),
        _sorted(schema.data_sources),
        _sorted(schema.ephemeral_resources),
        _sorted(schema.list_resources),
        _sorted(schema.actions),
        _sorted(schema.functions),
    )


def _sorted(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(names))
