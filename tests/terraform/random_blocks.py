"""Random blocks of schemas, and configurations for them: few types and few values, so that elements are often alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from typing import Any

from ferrule.terraform import cty
from ferrule.terraform.cty import BOOL, DYNAMIC, NUMBER, STRING, List, Map, Set
from ferrule.terraform.schema.model import Attribute, Block, NestedBlock, NestedType, Nesting

FLAGS: list[dict[str, Any]] = [
    {"required": True},
    {"optional": True},
    {"computed": True},
    {"optional": True, "computed": True},
]
VALUES: dict[cty.Type, list[Any]] = {
    STRING: ["x", "y", "", "10"],
    NUMBER: [0, 1, 2.5],
    BOOL: [True, False],
    List(STRING): [[], ["x"], ["x", "y"]],
    Set(STRING): [[], ["x"], ["x", "y"]],
    Map(NUMBER): [{}, {"k": 1}, {"k": 0, "l": 1}],
    DYNAMIC: ["x", 1, ["x", True], {"k": "x"}, None],
}


class Blocks:
    """What one seed makes.

    Args:
        seed: Of the random numbers.
        dynamic: Attributes of type dynamic, outside of sets.
        unknown: The part of values that are not known.
    """

    def __init__(self, seed: int, *, dynamic: bool = True, unknown: float = 0.1) -> None:
        self.random = Random(seed)
        self._dynamic = dynamic
        self._unknown = unknown

    def block(self, depth: int = 2, *, in_set: bool = False) -> Block:
        nested = {}
        for name in self._names("pqr")[: depth and None]:
            nesting = self.random.choice(list(Nesting))
            inner = self.block(depth - 1, in_set=in_set or nesting is Nesting.SET)
            nested[name] = NestedBlock(name, inner, nesting)
        return Block(self._attributes("abcd", depth, in_set), nested)

    def configuration(self, block: Block) -> dict[str, Any]:
        """A configuration that nothing is wrong with."""
        config = self._objects(block.attributes)
        for name, nested in block.block_types.items():
            if nested.nesting is Nesting.GROUP or self.random.random() < 0.8:
                config[name] = self._collected(nested.nesting, partial(self.configuration, nested.block))
        return config

    def _names(self, letters: str) -> list[str]:
        return self.random.sample(letters, self.random.randint(0, len(letters)))

    def _attributes(self, letters: str, depth: int, in_set: bool) -> dict[str, Attribute]:
        return {name: self._attribute(name, depth, in_set) for name in self._names(letters)}

    def _attribute(self, name: str, depth: int, in_set: bool) -> Attribute:
        flags = self.random.choice(FLAGS)
        if depth and self.random.random() < 0.3:
            nesting = self.random.choice([each for each in Nesting if each is not Nesting.GROUP])
            # Nested attributes are lists and maps, whose elements have one type, in all cases.
            return Attribute(name, None, NestedType(self._attributes("efgh", depth - 1, True), nesting), **flags)
        types = [each for each in VALUES if each is not DYNAMIC or (self._dynamic and not in_set)]
        return Attribute(name, self.random.choice(types), **flags)

    def _objects(self, attributes: Mapping[str, Attribute]) -> dict[str, Any]:
        return {name: self._value(each) for name, each in attributes.items() if each.required or each.optional}

    def _value(self, attribute: Attribute) -> Any:
        if self.random.random() < self._unknown:
            return cty.UNKNOWN
        if attribute.optional and self.random.random() < 0.4:
            return None
        nested = attribute.nested_type
        if nested is not None:
            return self._collected(nested.nesting, lambda: self._objects(nested.attributes))
        assert attribute.type is not None
        values = VALUES[attribute.type]
        return self.random.choice([each for each in values if each is not None] if attribute.required else values)

    def _collected(self, nesting: Nesting, element: Callable[[], Any]) -> Any:
        match nesting:
            case Nesting.LIST | Nesting.SET:
                return [element() for _ in range(self.random.randint(0, 4))]
            case Nesting.MAP:
                return {key: element() for key in self._names("klm")}
        return element()
