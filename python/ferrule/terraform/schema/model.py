"""What a provider says about its types, for both protocols: blocks, attributes, functions and what else has a schema.

Names and defaults are those of `terraform providers schema -json`. Source: the messages Schema, Function and
ResourceIdentitySchema of terraform-plugin-go v0.31.0, protocols 5.11 and 6.11.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ferrule.terraform.cty import Type

__all__ = [
    "Attribute",
    "Block",
    "Function",
    "IdentityAttribute",
    "IdentitySchema",
    "NestedBlock",
    "NestedType",
    "Nesting",
    "Parameter",
    "Schema",
]


class Nesting(Enum):
    """How often a block, or an object of a nested attribute, is there, and in which collection.

    A group is there always: an absent one is an object of absent values.
    """

    SINGLE = "single"
    GROUP = "group"
    LIST = "list"
    SET = "set"
    MAP = "map"


@dataclass(frozen=True)
class Attribute:
    """One attribute: it has either a `type` or a `nested_type`."""

    name: str
    type: Type | None = None
    nested_type: "NestedType | None" = None
    required: bool = False
    optional: bool = False
    computed: bool = False
    sensitive: bool = False
    write_only: bool = False
    deprecated: bool = False
    deprecation_message: str = ""
    description: str = ""
    description_kind: str = "plain"


@dataclass(frozen=True)
class NestedType:
    """The objects of a nested attribute, which only protocol 6 has: single, list, set or map."""

    attributes: Mapping[str, Attribute]
    nesting: Nesting
    memo: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What other modules derive from it, kept for as long as it is."""

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"memo": {}}


@dataclass(frozen=True)
class Block:
    """Attributes and blocks by name; `block_types` are the blocks inside."""

    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    block_types: Mapping[str, "NestedBlock"] = field(default_factory=dict)
    deprecated: bool = False
    deprecation_message: str = ""
    description: str = ""
    description_kind: str = "plain"
    memo: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What other modules derive from the block, kept for as long as the block is; some of it cannot be pickled."""

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"memo": {}}


@dataclass(frozen=True)
class NestedBlock:
    """A block inside another one; 0 as `max_items` is no limit."""

    name: str
    block: Block
    nesting: Nesting
    min_items: int = 0
    max_items: int = 0


@dataclass(frozen=True)
class Schema:
    """The schema of a resource, a data source, or the provider's own configuration; the version is the state's."""

    version: int = 0
    block: Block = field(default_factory=Block)


@dataclass(frozen=True)
class IdentityAttribute:
    """One attribute of a resource's identity."""

    name: str
    type: Type
    required_for_import: bool = False
    optional_for_import: bool = False
    description: str = ""


@dataclass(frozen=True)
class IdentitySchema:
    """What identifies a resource of one type; since protocol 5.9 and 6.9."""

    version: int
    attributes: Mapping[str, IdentityAttribute]


@dataclass(frozen=True)
class Parameter:
    """One parameter of a function."""

    name: str
    type: Type
    allow_null: bool = False
    allow_unknown: bool = False
    description: str = ""
    description_kind: str = "plain"


@dataclass(frozen=True)
class Function:
    """A function of a provider; since protocol 5.5 and 6.5."""

    parameters: tuple[Parameter, ...]
    variadic_parameter: Parameter | None
    return_type: Type
    summary: str = ""
    description: str = ""
    description_kind: str = "plain"
    deprecation_message: str = ""
