"""Places whose values no error may repeat."""

from ferrule.terraform.cty import Attribute, Path
from ferrule.terraform.schema.model import Block

__all__ = ["is_secret_at"]


def is_secret_at(block: Block, path: Path) -> bool:
    """Whether the value at a path is, or is inside, that of a sensitive or write-only attribute."""
    attributes, blocks = block.attributes, block.block_types
    for name in path:
        if not isinstance(name, Attribute):
            continue
        if name in blocks:
            attributes, blocks = blocks[name].block.attributes, blocks[name].block.block_types
        elif name in attributes:
            attribute = attributes[name]
            if attribute.sensitive or attribute.write_only:
                return True
            attributes, blocks = (attribute.nested_type.attributes if attribute.nested_type else {}), {}
        else:
            return False
    return False
