"""The types that schemas imply: of the values that are sent, and of the configurations that become such values.

Facts: OpenTofu v1.12.6, internal/configs/configschema/implied_type.go and decoder_spec.go.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from ferrule.terraform.cty import DYNAMIC, CtyError, List, Map, Object, Path, Set, Type
from ferrule.terraform.cty import Attribute as AttributeStep
from ferrule.terraform.errors import InvalidResponseError, Problem
from ferrule.terraform.schema.model import Attribute, Block, IdentitySchema, NestedBlock, NestedType, Nesting

__all__ = ["Field", "attribute_type", "fields", "identity_type", "implied_type", "is_dynamic", "object_type"]

_COLLECTION = {Nesting.LIST: List, Nesting.SET: Set, Nesting.MAP: Map}


def implied_type(block: Block) -> Object:
    """The type of a block's values, as they are sent and stored.

    A list or a map of blocks with an attribute of type dynamic inside is `DYNAMIC`: its value is a tuple or an object,
    in which each block has a type of its own.

    Raises:
        InvalidResponseError: An attribute has no type, or the name of a block; or there are more than 100 levels.

    Example:
        >>> from ferrule.terraform.cty import STRING
        >>> disk = NestedBlock("disk", Block({"size": Attribute("size", STRING)}), Nesting.SET)
        >>> implied_type(Block({"name": Attribute("name", STRING)}, {"disk": disk}))
        Object({'disk': Set(Object({'size': STRING})), 'name': STRING})
    """
    if "implied type" not in block.memo:
        for name in block.attributes.keys() & block.block_types.keys():
            raise _broken((AttributeStep(name),), "the name is that of an attribute and of a block")
        types = {name: attribute_type(each).plain for name, each in block.attributes.items()}
        types |= {name: _nested_block_type(each) for name, each in block.block_types.items()}
        block.memo["implied type"] = _object(types)
    return cast(Object, block.memo["implied type"])


def identity_type(identity: IdentitySchema) -> Object:
    """The type of a resource's identity."""
    return _object({name: each.type for name, each in identity.attributes.items()})


def attribute_type(attribute: Attribute) -> Type:
    """The type to which an attribute's value is converted.

    In the objects of a nested attribute those that are optional or computed may be absent.

    Raises:
        InvalidResponseError: The attribute has no type.
    """
    if attribute.nested_type is not None:
        return _collected(_given_type(attribute.nested_type), attribute.nested_type.nesting)
    if attribute.type is None:
        raise _broken((AttributeStep(attribute.name),), "the attribute has no type")
    return attribute.type


def _broken(path: Path, message: str) -> InvalidResponseError:
    return InvalidResponseError("the provider's schema is broken", [Problem(path, message)])


def _object(types: Mapping[str, Type], optional: Iterable[str] = ()) -> Object:
    try:
        return Object(types, optional)
    except CtyError as error:
        raise _broken(error.path, error.problem) from None


def object_type(schema: Block | NestedType) -> Object:
    """The type of one block, or of one object of a nested attribute, in which no attribute may be absent."""
    return implied_type(schema) if isinstance(schema, Block) else cast(Object, _given_type(schema).plain)


def _given_type(nested: NestedType) -> Object:
    if "given type" not in nested.memo:
        optional = {name for name, each in nested.attributes.items() if each.optional or each.computed}
        types = {name: attribute_type(each) for name, each in nested.attributes.items()}
        nested.memo["given type"] = _object(types, optional)
    return cast(Object, nested.memo["given type"])


def _collected(inner: Object, nesting: Nesting) -> Type:
    if nesting in {Nesting.SINGLE, Nesting.GROUP}:
        return inner
    try:
        return _COLLECTION[nesting](inner)
    except CtyError as error:
        raise _broken(error.path, error.problem) from None


def _nested_block_type(nested: NestedBlock) -> Type:
    return DYNAMIC if is_dynamic(nested) else _collected(implied_type(nested.block), nested.nesting)


@dataclass(frozen=True)
class Field:
    """An attribute of an object, or the blocks of one name, with what is inside."""

    name: str
    step: AttributeStep
    """The name, as a step of a path."""
    type: Type
    attribute: Attribute | None
    """None for blocks."""
    schema: "Block | NestedType | None"
    """Of the blocks, or of the objects of a nested attribute; None for an attribute that has a type alone."""
    nesting: Nesting | None


def fields(schema: Block | NestedType) -> tuple[Field, ...]:
    """All that an object of the schema has, in the order of `object_type`."""
    if "fields" not in schema.memo:
        types = object_type(schema).attributes.items()
        schema.memo["fields"] = tuple(_field(schema, name, of) for name, of in types)
    return cast(tuple[Field, ...], schema.memo["fields"])


def _field(schema: Block | NestedType, name: str, of: Type) -> Field:
    attribute = schema.attributes.get(name)
    if attribute is not None:
        inner = attribute.nested_type
        return Field(name, AttributeStep(name), of, attribute, inner, None if inner is None else inner.nesting)
    nested = cast(Block, schema).block_types[name]
    return Field(name, AttributeStep(name), of, None, nested.block, nested.nesting)


def is_dynamic(nested: NestedBlock) -> bool:
    """Whether the blocks' value is of type dynamic: a tuple or an object, in place of a list or a map.

    A set cannot be, for its elements must have one type: a schema with such a set is broken.
    """
    return nested.nesting in {Nesting.LIST, Nesting.MAP} and implied_type(nested.block).has_dynamic
