"""A block's value, attribute by attribute: to find some, or to put something else in their places.

A path ends at a set, since the elements of a set have no place of their own.
"""

from collections.abc import Callable, Iterator
from typing import Any

from ferrule.terraform.core.blocks import closed, opened
from ferrule.terraform.core.types import Field, fields, object_type
from ferrule.terraform.cty import Path
from ferrule.terraform.cty.sets import arranged
from ferrule.terraform.schema.model import Block, NestedType, Nesting

__all__ = ["attributes", "changed"]


def attributes(schema: Block | NestedType, value: Any) -> Iterator[tuple[Path, Field, Any]]:
    """All attributes of an object, those of nested attributes and blocks too, each after the one that it is in."""
    if not isinstance(value, dict):
        return
    for field in fields(schema):
        inner = value[field.name]
        if field.attribute is not None:
            yield (field.step,), field, inner
        if field.schema is None:
            continue
        for path, each in _objects(schema, field, inner):
            for below, found, part in attributes(field.schema, each):
                within = () if field.nesting is Nesting.SET else (*path, *below)
                yield (field.step, *within), found, part


def _objects(schema: Block | NestedType, field: Field, value: Any) -> Iterator[tuple[Path, Any]]:
    if isinstance(schema, Block) and field.attribute is None:
        value = opened(schema.block_types[field.name], value)
    if field.nesting in {Nesting.SINGLE, Nesting.GROUP}:
        yield (), value
    elif isinstance(value, list):
        yield from (((step,), each) for step, each in enumerate(value))
    elif isinstance(value, dict):
        yield from (((step,), each) for step, each in value.items())


def changed(schema: Block | NestedType, value: Any, change: Callable[[Field, Any], Any]) -> Any:
    """The object with each attribute as `change` gives it, which is called for those inside a nested one first."""
    if not isinstance(value, dict):
        return value
    return {field.name: _changed_field(schema, field, value[field.name], change) for field in fields(schema)}


def _changed_field(schema: Block | NestedType, field: Field, value: Any, change: Callable[[Field, Any], Any]) -> Any:
    if field.attribute is not None:
        return change(field, value if field.schema is None else _changed_inside(field, value, change))
    assert isinstance(schema, Block)
    nested = schema.block_types[field.name]
    return closed(nested, _changed_inside(field, opened(nested, value), change))


def _changed_inside(field: Field, value: Any, change: Callable[[Field, Any], Any]) -> Any:
    assert field.schema is not None
    if field.nesting in {Nesting.SINGLE, Nesting.GROUP}:
        return changed(field.schema, value, change)
    if isinstance(value, dict):
        return {key: changed(field.schema, each, change) for key, each in value.items()}
    if not isinstance(value, list):
        return value
    elements = [changed(field.schema, each, change) for each in value]
    return arranged(elements, object_type(field.schema)) if field.nesting is Nesting.SET else elements
