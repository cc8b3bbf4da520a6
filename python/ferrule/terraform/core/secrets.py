"""Attributes whose values nothing shows: sensitive and write-only ones."""

from collections.abc import Mapping

from ferrule.terraform.schema.model import Attribute, Block

__all__ = ["has_secrets", "is_secret"]


def is_secret(attribute: Attribute) -> bool:
    """Whether the attribute, or one inside it, is sensitive or write-only."""
    if attribute.sensitive or attribute.write_only:
        return True
    return attribute.nested_type is not None and _any_secret(attribute.nested_type.attributes)


def has_secrets(block: Block) -> bool:
    """Whether an attribute of the block, or of a block inside, is sensitive or write-only."""
    if "has secrets" not in block.memo:
        inner = any(has_secrets(each.block) for each in block.block_types.values())
        block.memo["has secrets"] = inner or _any_secret(block.attributes)
    return bool(block.memo["has secrets"])


def _any_secret(attributes: Mapping[str, Attribute]) -> bool:
    return any(map(is_secret, attributes.values()))
