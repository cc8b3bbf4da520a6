"""Types of cty and values of them, for hypothesis."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, find, settings
from hypothesis import strategies as st

from ferrule.terraform import cty
from ferrule.terraform.cty import BOOL, DYNAMIC, NUMBER, STRING, UNKNOWN, List, Map, Object, Set, Tuple, Typed, Unknown

EXAMPLES = os.environ.get("FERRULE_EXAMPLES")
# Always the same examples, unless `make fuzz` asks for a number of others.
ASKED = settings(
    deadline=None,
    max_examples=int(EXAMPLES or 100),
    derandomize=EXAMPLES is None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)
# Hypothesis makes its source of random numbers at the first use, and looks with `gc` for what holds that. Old releases
# (6.100) find nothing in a module that was frozen, as `conftest.py` freezes all of them after the collection.
find(st.none(), lambda _: True, settings=ASKED)
TEXT = st.text(st.characters(codec="utf-8"), max_size=6)
NAMES = st.text(st.characters(codec="utf-8"), max_size=3)
PRIMITIVES = st.sampled_from([STRING, NUMBER, BOOL])


def nested(inner: st.SearchStrategy[cty.Type]) -> st.SearchStrategy[cty.Type]:
    attributes = st.dictionaries(NAMES, inner, max_size=3).filter(
        lambda types: len({cty.convert(name, STRING) for name in types}) == len(types)
    )
    return st.one_of(
        inner.map(List), inner.map(Set), inner.map(Map), st.lists(inner, max_size=3).map(Tuple), attributes.map(Object)
    )


STATIC = st.recursive(PRIMITIVES, nested, max_leaves=6)
TYPES = st.recursive(PRIMITIVES | st.just(DYNAMIC), nested, max_leaves=6)
NUMBERS = st.one_of(
    st.integers(),
    st.integers(min_value=-(10**170), max_value=10**170),
    st.floats(allow_nan=False),
    st.decimals(allow_nan=False, allow_infinity=False).filter(lambda number: abs(number.adjusted()) < 4000),
)


def unknowns(of: cty.Type) -> st.SearchStrategy[Unknown]:
    plain = st.sampled_from([UNKNOWN, Unknown(not_null=True)])
    if of == STRING:
        return plain | st.builds(Unknown, not_null=st.booleans(), prefix=st.text(max_size=5))
    if isinstance(of, List | Set | Map):
        return plain | st.builds(
            Unknown, not_null=st.booleans(), min_length=st.integers(0, 3), max_length=st.integers(3, 9) | st.none()
        )
    return plain


def values(of: cty.Type) -> st.SearchStrategy[Any]:
    """Values of a type, null and unknown ones too. Under a `DYNAMIC` of a collection all are of one type."""
    match of:
        case List(element=element) | Set(element=element):
            known: st.SearchStrategy[Any] = closed(element).flatmap(lambda inner: st.lists(values(inner), max_size=4))
        case Map(element=element):
            known = (
                closed(element)
                .flatmap(lambda inner: st.dictionaries(NAMES, values(inner), max_size=3))
                .filter(lambda value: len({cty.convert(key, STRING) for key in value}) == len(value))
            )
        case Tuple(elements=elements):
            known = st.tuples(*map(values, elements))
        case Object(attributes=attributes):
            known = st.fixed_dictionaries({name: values(each) for name, each in attributes.items()})
        case _ if of == DYNAMIC:
            known = STATIC.flatmap(lambda inner: values(inner).map(lambda value: Typed(value, inner)))
        case _:
            known = {STRING: st.text(st.characters(codec="utf-8"), max_size=6), NUMBER: NUMBERS, BOOL: st.booleans()}[
                of
            ]
    return known | st.none() | unknowns(of)


def closed(of: cty.Type) -> st.SearchStrategy[cty.Type]:
    """The type, with `STRING` for each `DYNAMIC`: of text alone all elements are of one type."""
    match of:
        case List() | Set() | Map():
            return closed(of.element).map(type(of))
        case Tuple(elements=elements):
            return st.tuples(*map(closed, elements)).map(Tuple)
        case Object(attributes=attributes):
            return st.fixed_dictionaries({name: closed(each) for name, each in attributes.items()}).map(Object)
    return st.just(STRING if of == DYNAMIC else of)


TYPED = TYPES.flatmap(lambda of: st.tuples(values(of), st.just(of)))
STATIC_TYPED = STATIC.flatmap(lambda of: st.tuples(values(of), st.just(of)))
