"""The model out of protobuf messages, of either protocol.

Each function raises a `CtyError` with the place for what is no schema: core relies on a type for each attribute, and on
one meaning of each name. Source: schemas as both cores read them, plugin/convert/schema.go of Terraform and OpenTofu.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, TypeVar

from google.protobuf.message import Message

from ferrule.terraform import cty
from ferrule.terraform.cty import CtyError, Type
from ferrule.terraform.cty.errors import shown
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

__all__ = ["decode_action", "decode_function", "decode_identity", "decode_schema"]

_Named = TypeVar("_Named", Attribute, NestedBlock, IdentityAttribute)

_KINDS: Final = {0: "plain", 1: "markdown"}
_NESTINGS: Final[Mapping[int, Nesting]] = {
    1: Nesting.SINGLE,
    2: Nesting.LIST,
    3: Nesting.SET,
    4: Nesting.MAP,
    5: Nesting.GROUP,
}
_OBJECT_NESTINGS: Final[Mapping[int, Nesting]] = {
    number: each for number, each in _NESTINGS.items() if each is not Nesting.GROUP
}


def decode_schema(message: Message) -> Schema:
    """The model of a message `Schema`."""
    fields: Any = message
    return Schema(fields.version, _block(fields.block))


def decode_action(message: Message) -> Schema:
    """The model of a message `ActionSchema`."""
    fields: Any = message
    return decode_schema(fields.schema)


def decode_function(message: Message) -> Function:
    """The model of a message `Function`."""
    fields: Any = message
    variadic = fields.variadic_parameter if fields.HasField("variadic_parameter") else None
    result = getattr(fields, "return")
    try:
        return_type = _type(result.type)
    except CtyError as error:
        raise CtyError(f"the result: {error}") from None
    return Function(
        parameters=tuple(map(_parameter, fields.parameters)),
        variadic_parameter=_parameter(variadic) if variadic is not None else None,
        return_type=return_type,
        summary=fields.summary,
        description=fields.description,
        description_kind=_kind(fields),
        deprecation_message=fields.deprecation_message,
    )


def decode_identity(message: Message) -> IdentitySchema:
    """The model of a message `ResourceIdentitySchema`."""
    fields: Any = message
    return IdentitySchema(fields.version, _by_name(map(_identity_attribute, fields.identity_attributes)))


def _block(message: Any) -> Block:
    attributes = _by_name(map(_attribute, message.attributes))
    block_types = _by_name(map(_nested_block, message.block_types))
    if twice := attributes.keys() & block_types.keys():
        raise CtyError("an attribute and a block have this name", (cty.Attribute(min(twice)),))
    return Block(
        attributes=attributes,
        block_types=block_types,
        deprecated=message.deprecated,
        deprecation_message=message.deprecation_message,
        description=message.description,
        description_kind=_kind(message),
    )


def _attribute(message: Any) -> Attribute:
    name = message.name
    try:
        # Protocol 5 has no nested types.
        nested = "nested_type" in message.DESCRIPTOR.fields_by_name and message.HasField("nested_type")
        if nested and message.type:
            raise CtyError("the attribute has both a type and a nested type")
        return Attribute(
            name=name,
            type=None if nested else _type(message.type),
            nested_type=_nested_type(message.nested_type) if nested else None,
            required=message.required,
            optional=message.optional,
            computed=message.computed,
            sensitive=message.sensitive,
            write_only=message.write_only,
            deprecated=message.deprecated,
            deprecation_message=message.deprecation_message,
            description=message.description,
            description_kind=_kind(message),
        )
    except CtyError as error:
        raise error.under(cty.Attribute(name)) from None


def _nested_type(message: Any) -> NestedType:
    nesting = _nesting(message.nesting, _OBJECT_NESTINGS)
    return NestedType(_by_name(map(_attribute, message.attributes)), nesting)


def _nested_block(message: Any) -> NestedBlock:
    try:
        nesting = _nesting(message.nesting, _NESTINGS)
        return NestedBlock(message.type_name, _block(message.block), nesting, message.min_items, message.max_items)
    except CtyError as error:
        raise error.under(cty.Attribute(message.type_name)) from None


def _identity_attribute(message: Any) -> IdentityAttribute:
    try:
        of = _type(message.type)
    except CtyError as error:
        raise error.under(cty.Attribute(message.name)) from None
    return IdentityAttribute(
        message.name, of, message.required_for_import, message.optional_for_import, message.description
    )


def _parameter(message: Any) -> Parameter:
    try:
        of = _type(message.type)
    except CtyError as error:
        raise CtyError(f"parameter {shown(message.name)}: {error}") from None
    return Parameter(
        name=message.name,
        type=of,
        allow_null=message.allow_null_value,
        allow_unknown=message.allow_unknown_values,
        description=message.description,
        description_kind=_kind(message),
    )


def _by_name(each_of: Iterable[_Named]) -> dict[str, _Named]:
    found: dict[str, _Named] = {}
    for each in each_of:
        if not each.name:
            raise CtyError("an attribute or block has no name")
        if found.setdefault(each.name, each) is not each:
            raise CtyError("two attributes or blocks have this name", (cty.Attribute(each.name),))
    return found


def _kind(message: Any) -> str:
    return _KINDS.get(message.description_kind, "plain")


def _nesting(number: int, nestings: Mapping[int, Nesting]) -> Nesting:
    nesting = nestings.get(number)
    if nesting is None:
        raise CtyError(f"unknown nesting mode {number}")
    return nesting


def _type(notation: bytes) -> Type:
    if not notation:
        raise CtyError("there is neither a type nor a nested type")
    return _cached_type(notation) if len(notation) <= MAX_CACHED_NOTATION else Type.from_json(notation)


MAX_CACHED_NOTATION: Final = 200
"""Bytes of a type up to which it is kept: most attributes have one of a few types."""
_cached_type = lru_cache(maxsize=1024)(Type.from_json)
