"""Answers of providers that are built on the older SDK, brought into the form that all others have.

Facts: OpenTofu v1.12.6, internal/plans/objchange/normalize_obj.go.
"""

from typing import Any

from ferrule.terraform.core.blocks import empty_blocks
from ferrule.terraform.core.sameness import part
from ferrule.terraform.core.types import fields, implied_type, object_type
from ferrule.terraform.cty import UNKNOWN, Unknown
from ferrule.terraform.cty.sets import arranged
from ferrule.terraform.schema.model import Block, NestedBlock, Nesting

__all__ = ["normalize_legacy"]


def normalize_legacy(block: Block, value: Any) -> Any:
    """The value without null and unknown blocks, which the older SDK gives.

    Null lists and sets of blocks become empty, a null group an object; what is unknown becomes one block whose
    attributes are. Maps of blocks and blocks with an attribute of type dynamic inside are as they were: that SDK has
    none. Values of other SDKs stay the same.

    Args:
        block: The schema.
        value: An answer of the type `implied_type(block)`.
    """
    if value is None:
        return None
    return {
        field.name: part(value, field.name)
        if field.attribute is not None
        else _blocks(block.block_types[field.name], part(value, field.name))
        for field in fields(block)
    }


def _blocks(nested: NestedBlock, value: Any) -> Any:
    if nested.nesting is Nesting.MAP or implied_type(nested.block).has_dynamic:
        return value
    if nested.nesting in {Nesting.SINGLE, Nesting.GROUP}:
        if type(value) is Unknown:
            return _unknown_block(nested.block)
        return empty_blocks(nested) if value is None else normalize_legacy(nested.block, value)
    if type(value) is Unknown:
        return [_unknown_block(nested.block)]
    blocks = [normalize_legacy(nested.block, each) for each in value or ()]
    return arranged(blocks, object_type(nested.block)) if nested.nesting is Nesting.SET else blocks


def _unknown_block(block: Block) -> dict[str, Any]:
    """A block that says of all inside that it is not known: blocks themselves cannot be unknown."""
    return {
        field.name: UNKNOWN if field.attribute is not None else _unknown_blocks(block.block_types[field.name])
        for field in fields(block)
    }


def _unknown_blocks(nested: NestedBlock) -> Any:
    match nested.nesting:
        case Nesting.SINGLE | Nesting.GROUP:
            return _unknown_block(nested.block)
        case Nesting.MAP:
            return {}
    return [_unknown_block(nested.block)]
