"""The values of nested blocks: absent ones, and those whose type is dynamic.

Facts: OpenTofu v1.12.6, internal/configs/configschema/empty_value.go and decoder_spec.go.
"""

from typing import Any

from ferrule.terraform.core.types import implied_type, is_dynamic
from ferrule.terraform.cty import DYNAMIC, CtyError, List, Map, Object, Tuple, Type, Unknown
from ferrule.terraform.cty.equality import conforms
from ferrule.terraform.cty.values import presented, resolved
from ferrule.terraform.schema.model import Block, NestedBlock, Nesting

__all__ = ["closed", "empty_blocks", "empty_value", "opened"]


def empty_value(block: Block) -> dict[str, Any]:
    """What an empty configuration becomes, if nothing were required: attributes are null, blocks are absent.

    Example:
        >>> from ferrule.terraform.cty import STRING
        >>> from ferrule.terraform.schema.model import Attribute
        >>> disk = NestedBlock("disk", Block(), Nesting.LIST)
        >>> empty_value(Block({"name": Attribute("name", STRING)}, {"disk": disk}))
        {'disk': [], 'name': None}
    """
    nested = block.block_types
    names = implied_type(block).attributes
    return {name: empty_blocks(nested[name]) if name in nested else None for name in names}


def empty_blocks(nested: NestedBlock) -> Any:
    """The value of nested blocks where there are none: a group is an object even so."""
    match nested.nesting:
        case Nesting.SINGLE:
            return None
        case Nesting.GROUP:
            return empty_value(nested.block)
        case Nesting.MAP:
            return {}
    return []


def opened(nested: NestedBlock, value: Any) -> Any:
    """A value of nested blocks whose elements are values of the implied type of their block.

    Where the value is of type dynamic each element has the types of its attributes from the type of the whole.

    Returns:
        A list, a dict, or an object of a single block; null and unknown values are as they were.

    Raises:
        CtyError: The value has a dynamic type that is none of such blocks.
    """
    if not is_dynamic(nested):
        return value
    value, of = resolved(value, DYNAMIC)
    if value is None or isinstance(value, Unknown):
        return value
    inner = implied_type(nested.block)
    match nested.nesting, of:
        case Nesting.LIST, Tuple(elements=types):
            return [_part(each, own, inner, step) for step, (each, own) in enumerate(zip(value, types, strict=True))]
        case Nesting.LIST, List(element=element):
            return [_part(each, element, inner, step) for step, each in enumerate(value)]
        case Nesting.MAP, Object(attributes=types):
            return {key: _part(value[key], own, inner, key) for key, own in types.items()}
        case Nesting.MAP, Map(element=element):
            return {key: _part(each, element, inner, key) for key, each in value.items()}
    raise CtyError(f"expected a {nested.nesting.value} of blocks, got {of.name}")


def _part(value: Any, own: Type, inner: Object, step: str | int) -> Any:
    if own is not DYNAMIC and not conforms(own, inner):
        raise CtyError("the object has other attributes than the block").under(step)
    return presented(value, own, inner)


def closed(nested: NestedBlock, value: Any) -> Any:
    """The value that `opened` gave, or one like it, in the form in which it is sent."""
    if value is None or isinstance(value, Unknown) or not is_dynamic(nested):
        return value
    inner = implied_type(nested.block)
    if nested.nesting is Nesting.LIST:
        parts = [_with_own_type(each, inner) for each in value]
        return presented([each for each, _ in parts], Tuple(own for _, own in parts), DYNAMIC)
    named = {key: _with_own_type(each, inner) for key, each in value.items()}
    own = Object({key: of for key, (_, of) in named.items()})
    return presented({key: each for key, (each, _) in named.items()}, own, DYNAMIC)


def _with_own_type(value: Any, of: Object) -> tuple[Any, Type]:
    # What is no block has no type of its own either; a configuration has none such.
    return (value, DYNAMIC) if value is None or isinstance(value, Unknown) else resolved(value, of)
