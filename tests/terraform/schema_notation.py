"""Blocks of a schema in the form of `providers schema -json`, which the oracles have."""

from __future__ import annotations

from typing import Any

from ferrule.terraform.cty import Type
from ferrule.terraform.schema.model import Attribute, Block, NestedBlock, NestedType, Nesting


def read_block(notation: dict[str, Any]) -> Block:
    return Block(
        _attributes(notation.get("attributes", {})),
        {name: _nested_block(name, each) for name, each in notation.get("block_types", {}).items()},
    )


def _attributes(notation: dict[str, Any]) -> dict[str, Attribute]:
    return {name: _attribute(name, each) for name, each in notation.items()}


def _attribute(name: str, notation: dict[str, Any]) -> Attribute:
    nested = notation.get("nested_type")
    flags = {
        flag: notation.get(flag, False) for flag in ("required", "optional", "computed", "sensitive", "write_only")
    }
    return Attribute(
        name,
        Type.from_notation(notation["type"]) if "type" in notation else None,
        NestedType(_attributes(nested["attributes"]), Nesting(nested["nesting_mode"])) if nested else None,
        **flags,
    )


def _nested_block(name: str, notation: dict[str, Any]) -> NestedBlock:
    block = read_block(notation.get("block", {}))
    return NestedBlock(
        name, block, Nesting(notation["nesting_mode"]), notation.get("min_items", 0), notation.get("max_items", 0)
    )
