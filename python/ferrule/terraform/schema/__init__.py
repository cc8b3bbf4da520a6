"""Schemas of providers: the model, decoded type by type out of a provider's answer, and its text in JSON."""

from typing import TYPE_CHECKING, Any, Final

from ferrule._late_names import late_name
from ferrule.terraform.schema.model import (
    Attribute,
    Block,
    Function,
    IdentityAttribute,
    IdentitySchema,
    NestedBlock,
    NestedType,
    Nesting,
    Parameter,
    Schema,
)

if TYPE_CHECKING:
    from ferrule.terraform.schema.cache import Answers, Found, SchemaCache
    from ferrule.terraform.schema.lazy import LazyMapping
    from ferrule.terraform.schema.program import Program, program_of
    from ferrule.terraform.schema.provider_schema import Capabilities, ProviderSchema

__all__ = [
    "Answers",
    "Attribute",
    "Block",
    "Capabilities",
    "Found",
    "Function",
    "IdentityAttribute",
    "IdentitySchema",
    "LazyMapping",
    "NestedBlock",
    "NestedType",
    "Nesting",
    "Parameter",
    "Program",
    "ProviderSchema",
    "Schema",
    "SchemaCache",
    "program_of",
]

# protobuf is loaded with these: the model alone does without.
_HOMES: Final = {
    "Answers": "cache",
    "Capabilities": "provider_schema",
    "Found": "cache",
    "LazyMapping": "lazy",
    "Program": "program",
    "ProviderSchema": "provider_schema",
    "SchemaCache": "cache",
    "program_of": "program",
}


def __getattr__(name: str) -> Any:
    return late_name(__name__, name, f"{__name__}.{_HOMES[name]}" if name in _HOMES else None)
