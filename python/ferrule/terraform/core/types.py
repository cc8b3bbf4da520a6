"""The types that schemas imply: of the values that are sent, and of the configurations that become such values.

Facts: OpenTofu v1.12.6, internal/configs/configschema/implied_type.go and decoder_spec.go.
"""

from collections.abc import Mapping
from typing import cast

from ferrule.terraform.cty import DYNAMIC, List, Map, Object, Set, Type
from ferrule.terraform.cty import Attribute as AttributeStep
from ferrule.terraform.errors import InvalidResponseError, Problem
from ferrule.terraform.schema.model import Attribute, Block, IdentitySchema, NestedBlock, NestedType, Nesting

__all__ = ["attribute_type", "identity_type", "implied_type", "is_dynamic"]

_COLLECTION = {Nesting.LIST: List, Nesting.SET: Set, Nesting.MAP: Map}


def implied_type(block: Block) -> Object:
    """The type of a block's values, as they are sent and stored.

    A list or a map of blocks with an attribute of type dynamic inside is `DYNAMIC`: its value is a tuple or an object,
    in which each block has a type of its own.

    Raises:
        InvalidResponseError: An attribute has no type, or the name of a block.

    Example:
        >>> from ferrule.terraform.cty import STRING
        >>> disk = NestedBlock("disk", Block({"size": Attribute("size", STRING)}), Nesting.SET)
        >>> implied_type(Block({"name": Attribute("name", STRING)}, {"disk": disk}))
        Object({'disk': Set(Object({'size': STRING})), 'name': STRING})
    """
    if "implied type" not in block.memo:
        for name in block.attributes.keys() & block.block_types.keys():
            raise _broken(name, "the name is that of an attribute and of a block")
        types = {name: attribute_type(each).plain for name, each in block.attributes.items()}
        types |= {name: _nested_block_type(each) for name, each in block.block_types.items()}
        block.memo["implied type"] = Object(types)
    return cast(Object, block.memo["implied type"])


def identity_type(identity: IdentitySchema) -> Object:
    """The type of a resource's identity."""
    return Object({name: each.type for name, each in identity.attributes.items()})


def attribute_type(attribute: Attribute) -> Type:
    """The type to which an attribute's value is converted.

    In the objects of a nested attribute those that are optional or computed may be absent.

    Raises:
        InvalidResponseError: The attribute has no type.
    """
    if attribute.nested_type is not None:
        return _nested_type(attribute.nested_type)
    if attribute.type is None:
        raise _broken(attribute.name, "the attribute has no type")
    return attribute.type


def _broken(name: str, message: str) -> InvalidResponseError:
    return InvalidResponseError("the provider's schema is broken", [Problem((AttributeStep(name),), message)])


def _nested_type(nested: NestedType) -> Type:
    attributes: Mapping[str, Attribute] = nested.attributes
    optional = {name for name, each in attributes.items() if each.optional or each.computed}
    inner = Object({name: attribute_type(each) for name, each in attributes.items()}, optional)
    return inner if nested.nesting in {Nesting.SINGLE, Nesting.GROUP} else _COLLECTION[nested.nesting](inner)


def _nested_block_type(nested: NestedBlock) -> Type:
    if is_dynamic(nested):
        return DYNAMIC
    inner = implied_type(nested.block)
    return inner if nested.nesting in {Nesting.SINGLE, Nesting.GROUP} else _COLLECTION[nested.nesting](inner)


def is_dynamic(nested: NestedBlock) -> bool:
    """Whether the blocks' value is of type dynamic: a tuple or an object, in place of a list or a map.

    A set cannot be, for its elements must have one type: a schema with such a set is broken.
    """
    return nested.nesting in {Nesting.LIST, Nesting.MAP} and implied_type(nested.block).has_dynamic
