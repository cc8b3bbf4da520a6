"""Which elements of a planned set have become which of the result's.

Each planned element must fit some element of the result, and the reverse; several may fit one, for what was unknown may
turn out to be equal. Facts: OpenTofu v1.12.6, internal/plans/objchange/compatible.go (assertSetValuesCompatible).
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, cast

from ferrule.terraform.core.sameness import part
from ferrule.terraform.core.types import fields
from ferrule.terraform.cty import Object, Type
from ferrule.terraform.cty.equality import has_unknown
from ferrule.terraform.cty.set_keys import exact_set_key
from ferrule.terraform.cty.types import cached_by_types
from ferrule.terraform.schema.model import Block, Nesting

__all__ = ["Leaf", "leaves_of_block", "leaves_of_type", "uncorrelated"]


class Leaf(NamedTuple):
    """A place in all values of a type that must stay the same once it is known."""

    path: tuple[str, ...]
    key: Callable[[Any], str]
    """Gives one text for values that are the same."""


@cached_by_types
def leaves_of_type(of: Type) -> tuple[Leaf, ...]:
    """The attributes of objects, of those inside too; the whole of any other value."""
    if not isinstance(of, Object):
        return (Leaf((), exact_set_key(of)),)
    return tuple(_under(name, leaf) for name, each in of.attributes.items() for leaf in leaves_of_type(each))


def leaves_of_block(block: Block) -> tuple[Leaf, ...]:
    """The attributes of a block and of single blocks inside; a change of other blocks is judged more leniently."""
    if "leaves" not in block.memo:
        found: list[Leaf] = []
        for field in fields(block):
            if field.attribute is not None:
                found += (_under(field.name, leaf) for leaf in leaves_of_type(field.type))
            elif isinstance(field.schema, Block) and field.nesting in {Nesting.SINGLE, Nesting.GROUP}:
                found += (_under(field.name, leaf) for leaf in leaves_of_block(field.schema))
        block.memo["leaves"] = tuple(found)
    return cast(tuple[Leaf, ...], block.memo["leaves"])


def _under(name: str, leaf: Leaf) -> Leaf:
    return Leaf((name, *leaf.path), leaf.key)


def uncorrelated(
    planned: list[Any], actual: list[Any], leaves: tuple[Leaf, ...], compatible: Callable[[Any, Any], bool]
) -> tuple[int, int]:
    """How many planned elements fit none of the result, and how many of the result fit none that was planned.

    Elements of the result are found by a text of their leaves, so that not each is compared with each. Which leaves
    these are depends on those that are known in a planned element: elements that know the same ones share an index.
    """
    indexes: dict[tuple[int, ...], dict[str, list[int]]] = {}
    is_met = [False] * len(actual)
    lost = 0
    for pattern in planned:
        known = tuple(place for place, leaf in enumerate(leaves) if not has_unknown(_at(pattern, leaf.path)))
        if known not in indexes:
            indexes[known] = _index(actual, [leaves[place] for place in known])
        found = False
        for place in indexes[known].get(_text(pattern, (leaves[place] for place in known)), ()):
            if found and is_met[place]:
                continue
            if compatible(pattern, actual[place]):
                found = is_met[place] = True
        lost += not found
    return lost, is_met.count(False)


def _index(elements: Iterable[Any], leaves: list[Leaf]) -> dict[str, list[int]]:
    index: dict[str, list[int]] = {}
    for place, each in enumerate(elements):
        index.setdefault(_text(each, leaves), []).append(place)
    return index


def _text(element: Any, leaves: Iterable[Leaf]) -> str:
    return ";".join([leaf.key(_at(element, leaf.path)) for leaf in leaves])


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        value = part(value, name)
    return value
