"""Which element of a set was which before.

An element of a configuration is taken for a prior one that can have come from the same configuration: one that differs
only in what the provider has computed. Facts: OpenTofu v1.12.6, internal/plans/objchange/objchange.go
(proposedNewNestingSet, validPriorFromConfig).
"""

from collections.abc import Callable, Iterable
from typing import Any, cast

from ferrule.terraform.core.sameness import is_null, part, same
from ferrule.terraform.core.types import Field, fields, object_type
from ferrule.terraform.cty import UNKNOWN, List, Map, Set, Unknown
from ferrule.terraform.cty.set_keys import exact_set_key
from ferrule.terraform.schema.model import Block, NestedType

__all__ = ["Matching", "may_come_from"]

Keys = list[tuple[str, Callable[[Any], str]]]
"""Names of attributes, each with the function that makes a text of its values: the text is one for values that are."""


class Matching:
    """The prior elements of a set, each of which is taken once.

    Prior elements are found by a text of the attributes that must be the same, so that in a set of ten thousand not
    each element is compared with each. Which attributes these are depends on the computed ones that an element of the
    configuration gives: elements that give the same ones share an index.
    """

    def __init__(self, schema: Block | NestedType, prior: Iterable[Any]) -> None:
        self._schema = schema
        # A null element would match any other, and give it nothing.
        self._prior = [each for each in prior if isinstance(each, dict)]
        self._used = [False] * len(self._prior)
        self._fixed, self._computed = _keys(schema)
        self._indexes: dict[tuple[str, ...], dict[str, list[int]]] = {}

    def taken(self, element: Any) -> Any:
        """The first prior element that matches and was not taken yet; None if there is none."""
        for candidate in self._candidates(element):
            if not self._used[candidate] and may_come_from(self._schema, self._prior[candidate], element):
                self._used[candidate] = True
                return self._prior[candidate]
        return None

    def _candidates(self, element: Any) -> Iterable[int]:
        if not isinstance(element, dict):
            return range(len(self._prior))
        keys = self._fixed + [(name, key) for name, key in self._computed if not is_null(element[name])]
        names = tuple(name for name, _ in keys)
        if names not in self._indexes:
            self._indexes[names] = self._index(keys)
        candidates = self._indexes[names].get(_text(keys, element), [])
        while candidates and self._used[candidates[0]]:
            del candidates[0]
        return candidates

    def _index(self, keys: Keys) -> dict[str, list[int]]:
        index: dict[str, list[int]] = {}
        for place, each in enumerate(self._prior):
            index.setdefault(_text(keys, each), []).append(place)
        return index


def _text(keys: Keys, element: dict[str, Any]) -> str:
    return ";".join([key(element[name]) for name, key in keys])


def _keys(schema: Block | NestedType) -> tuple[Keys, Keys]:
    """Attributes and blocks that must be the same, and computed ones, that must be if the configuration has them."""
    if "keys" not in schema.memo:
        fixed: Keys = []
        computed: Keys = []
        for field in fields(schema):
            if isinstance(field.type, Set) or field.schema is None:
                free = field.attribute is not None and field.attribute.computed and not isinstance(field.type, Set)
                (computed if free else fixed).append((field.name, exact_set_key(field.type)))
        schema.memo["keys"] = fixed, computed
    return cast(tuple[Keys, Keys], schema.memo["keys"])


def may_come_from(schema: Block | NestedType, prior: Any, config: Any) -> bool:
    """Whether a prior object may have been made of the one of the configuration: only computed values are different."""
    if prior is None or type(prior) is Unknown:
        return True
    if config is None:
        return not fields(schema)
    return all(_field_may_come_from(each, prior[each.name], part(config, each.name)) for each in fields(schema))


def _field_may_come_from(field: Field, prior: Any, config: Any) -> bool:
    if same(config, prior, field.type):
        return True
    if isinstance(field.type, Set):
        # Elements of the sets inside are not matched in their turn.
        return False
    if field.schema is None:
        return field.attribute is not None and field.attribute.computed and is_null(config)
    if isinstance(field.type, List | Map):
        return _elements_may_come_from(field.schema, _by_step(prior), _by_step(config))
    return may_come_from(field.schema, prior, config)


def _by_step(value: Any) -> Any:
    return dict(enumerate(value)) if isinstance(value, list) else value


def _elements_may_come_from(schema: Block | NestedType, prior: Any, config: Any) -> bool:
    """As `may_come_from`, of elements by index or key; elements that only the configuration has are no difference."""
    if not isinstance(prior, dict) or not prior:
        return True
    if config is None:
        return False
    if type(config) is Unknown:
        return all(may_come_from(schema, each, UNKNOWN) for each in prior.values())
    of = object_type(schema)
    return all(
        step in config and (same(config[step], each, of) or may_come_from(schema, each, config[step]))
        for step, each in prior.items()
    )
