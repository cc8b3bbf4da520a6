"""All that a provider has, by kind and name: what `ferrule schema` lists, searches and shows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from ferrule.terraform.errors import UnknownTypeError
from ferrule.terraform.schema import ProviderSchema
from ferrule.terraform.schema.model import Function, IdentitySchema, Schema
from ferrule.terraform.schema.nearest import nearest
from ferrule.terraform.schema.outline import Node, nodes_of, nodes_of_identity, signature, walk

__all__ = ["KINDS", "PROVIDER", "Entry", "Kind", "Match", "entries", "find", "search"]


@dataclass(frozen=True)
class Kind:
    """One kind of thing that providers have.

    Attributes:
        name: In words.
        plural: The same of several.
        attribute: Where `ProviderSchema` has them.
        key: Where `providers schema -json` has them.
    """

    name: str
    plural: str
    attribute: str
    key: str


KINDS: Final = (
    Kind("resource", "resources", "resources", "resource_schemas"),
    Kind("data source", "data sources", "data_sources", "data_source_schemas"),
    Kind("ephemeral resource", "ephemeral resources", "ephemeral_resources", "ephemeral_resource_schemas"),
    Kind("list resource", "list resources", "list_resources", "list_resource_schemas"),
    Kind("action", "actions", "actions", "action_schemas"),
    Kind("function", "functions", "functions", "functions"),
    Kind("identity", "identities", "identities", "resource_identity_schemas"),
)
_CONFIGURATION: Final = Kind("configuration", "configuration", "provider", "provider")
PROVIDER: Final = "provider"
"""The name under which the provider's own configuration is found, beside the types."""


@dataclass(frozen=True)
class Entry:
    """One type, one function, or the provider's own configuration; its schema is decoded when it is asked for."""

    kind: Kind
    name: str
    _schemas: Mapping[str, Any]

    @cached_property
    def schema(self) -> Schema | Function | IdentitySchema:
        schema: Schema | Function | IdentitySchema = self._schemas[self.name]
        return schema

    @property
    def title(self) -> str:
        if isinstance(self.schema, Function):
            return f"{self.kind.name} {signature(self.name, self.schema)}"
        if self.kind is _CONFIGURATION:
            return f"provider configuration{'' if self.nodes else ' (nothing to set)'}"
        version = f" (schema version {self.schema.version})" if self.schema.version else ""
        return f"{self.kind.name} {self.name}{version}"

    @property
    def description(self) -> str:
        if isinstance(self.schema, Function):
            return "\n".join(filter(None, (self.schema.summary, self.schema.description)))
        return self.schema.block.description if isinstance(self.schema, Schema) else ""

    @property
    def deprecation(self) -> str:
        """What to use instead, or that the whole is deprecated; empty if it is not."""
        if isinstance(self.schema, Function):
            return self.schema.deprecation_message
        if not isinstance(self.schema, Schema) or not self.schema.block.deprecated:
            return ""
        return self.schema.block.deprecation_message or "to be replaced"

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        if isinstance(self.schema, Schema):
            return nodes_of(self.schema.block)
        return nodes_of_identity(self.schema) if isinstance(self.schema, IdentitySchema) else ()


@dataclass(frozen=True)
class Match:
    """One place in a provider: a whole entry, or a node inside of one.

    Attributes:
        entry: The type.
        path: Names that lead to the node, joined with dots; empty for the whole entry.
        node: The node; None for the whole entry.
    """

    entry: Entry
    path: str = ""
    node: Node | None = None


def entries(schema: ProviderSchema, kind: Kind) -> list[Entry]:
    """The entries of one kind, in the order of their names."""
    schemas = getattr(schema, kind.attribute)
    return [Entry(kind, name, schemas) for name in sorted(schemas)]


def find(schema: ProviderSchema, place: str) -> list[Match]:
    """All that is meant by `TYPE` or `TYPE.path`: a type may be a resource's and a data source's.

    Raises:
        UnknownTypeError: There is none; the message has those with a similar name.
    """
    name, _, path = place.partition(".")
    found = _named(schema, name)
    if not found:
        raise _unknown(f"the provider has no {name!r}", name, _all_names(schema))
    if not path:
        return [Match(entry) for entry in found]
    matches = [Match(entry, at, node) for entry in found for at, node in walk(entry.nodes) if at == path]
    if not matches:
        paths = [at for entry in found for at, _ in walk(entry.nodes)]
        raise _unknown(f"{name} has no {path!r}", path, paths)
    return matches


def search(schema: ProviderSchema, word: str, within: str = "") -> Iterator[Match]:
    """All places whose name or description has the word, in capitals or not; of all types, or of one."""
    wanted = word.casefold()
    for entry in _named(schema, within) if within else _everything(schema):
        if _has(wanted, entry.name, entry.description):
            yield Match(entry)
        for path, node in walk(entry.nodes):
            if _has(wanted, node.name, node.description, node.deprecation):
                yield Match(entry, path, node)


def _has(wanted: str, *texts: str) -> bool:
    return any(wanted in text.casefold() for text in texts)


def _named(schema: ProviderSchema, name: str) -> list[Entry]:
    named = [Entry(kind, name, schemas) for kind in KINDS if name in (schemas := getattr(schema, kind.attribute))]
    return named or ([_provider(schema)] if name == PROVIDER else [])


def _provider(schema: ProviderSchema) -> Entry:
    return Entry(_CONFIGURATION, PROVIDER, {PROVIDER: schema.provider})


def _everything(schema: ProviderSchema) -> Iterator[Entry]:
    yield _provider(schema)
    for kind in KINDS:
        yield from entries(schema, kind)


def _all_names(schema: ProviderSchema) -> list[str]:
    return [PROVIDER, *(name for kind in KINDS for name in getattr(schema, kind.attribute))]


def _unknown(what: str, name: str, known: list[str]) -> UnknownTypeError:
    near = nearest(name, known)
    return UnknownTypeError(what, hint=f"Did you mean {near}?" if near else None)
