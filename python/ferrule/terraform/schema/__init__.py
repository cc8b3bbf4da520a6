"""Schemas of providers: the model, decoded type by type out of a provider's answer, and its text in JSON."""

import importlib
from typing import TYPE_CHECKING, Any, Final

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
    from ferrule.terraform.schema.lazy import LazyMapping
    from ferrule.terraform.schema.provider_schema import Capabilities, ProviderSchema

__all__ = [
    "Attribute",
    "Block",
    "Capabilities",
    "Function",
    "IdentityAttribute",
    "IdentitySchema",
    "LazyMapping",
    "NestedBlock",
    "NestedType",
    "Nesting",
    "Parameter",
    "ProviderSchema",
    "Schema",
]

# protobuf is loaded with these: the model alone does without.
_HOMES: Final = {"Capabilities": "provider_schema", "LazyMapping": "lazy", "ProviderSchema": "provider_schema"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
