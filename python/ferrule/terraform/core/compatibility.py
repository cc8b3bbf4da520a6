"""Whether a result is what was planned: what was known stays, and what was unknown may be anything of its type.

Facts: OpenTofu v1.12.6, internal/plans/objchange/compatible.go.
"""

from collections.abc import Callable, Iterator
from typing import Any

from ferrule.terraform.core.blocks import opened
from ferrule.terraform.core.correlation import Leaf, leaves_of_block, leaves_of_type, uncorrelated
from ferrule.terraform.core.findings import Finding, problems, under
from ferrule.terraform.core.sameness import part, with_own_type
from ferrule.terraform.core.types import fields, is_dynamic
from ferrule.terraform.cty import DYNAMIC, Attribute, CtyError, List, Map, Object, Set, Tuple, Type, Unknown
from ferrule.terraform.cty.equality import conforms, equal
from ferrule.terraform.errors import Problem
from ferrule.terraform.schema.model import Attribute as SchemaAttribute
from ferrule.terraform.schema.model import Block, NestedBlock, Nesting

__all__ = ["compatibility_problems"]

Compatible = Callable[[Any, Any], bool]


def compatibility_problems(block: Block, planned: Any, actual: Any) -> list[Problem]:
    """What is wrong in a result, measured by the plan.

    Args:
        block: The schema.
        planned: The planned state, as the provider gave it.
        actual: The new state.

    Returns:
        All problems; empty for a good result. A provider with the legacy type system is excused. Messages have no
        values of sensitive attributes.
    """
    if planned is None or actual is None:
        if planned is actual:
            return []
        return [Problem((), "the object was absent in the plan" if planned is None else "the object is absent")]
    return problems(block, _object(block, planned, actual))


def _object(block: Block, planned: Any, actual: Any) -> Iterator[Finding]:
    if planned is None or actual is None:
        if planned is not actual:
            yield Finding((), "absent in the plan, but now present" if planned is None else "planned, but now absent")
        return
    for field in fields(block):
        was, now = part(planned, field.name), part(actual, field.name)
        if was == now and not field.type.has_dynamic:
            continue
        if field.attribute is not None:
            yield from under(field.step, _attribute(field.attribute, was, now, field.type))
        else:
            yield from under(field.step, _blocks(block.block_types[field.name], was, now))


def _attribute(attribute: SchemaAttribute, planned: Any, actual: Any, of: Type) -> Iterator[Finding]:
    findings = _value(*with_own_type(planned, of), *with_own_type(actual, of))
    if not attribute.sensitive:
        yield from findings
    elif next(findings, None) is not None:
        # Not even which part it is: keys and indexes may tell a secret.
        yield Finding((), "the value is not the planned one")


def _blocks(nested: NestedBlock, planned: Any, actual: Any) -> Iterator[Finding]:
    try:
        planned, actual = opened(nested, planned), opened(nested, actual)
    except CtyError as error:
        yield Finding.of_error(error)
        return
    if nested.nesting in {Nesting.SINGLE, Nesting.GROUP}:
        # Of blocks over an unknown collection there may be none in the end.
        if not (type(planned) is Unknown and actual is None):
            yield from _object(nested.block, planned, actual)
    elif any(each is None or type(each) is Unknown for each in (planned, actual)):
        return
    elif nested.nesting is Nesting.SET:
        yield from _set_of_blocks(nested.block, planned, actual)
    else:
        yield from _keyed_blocks(nested, _by_step(planned), _by_step(actual))


def _keyed_blocks(nested: NestedBlock, planned: dict[Any, Any], actual: dict[Any, Any]) -> Iterator[Finding]:
    by_key = nested.nesting is Nesting.MAP and is_dynamic(nested)
    if len(planned) != len(actual) and not by_key:
        yield Finding((), f"there were {len(planned)} blocks in the plan, and now are {len(actual)}")
        return
    for step, was in planned.items():
        if step in actual:
            yield from under(step, _object(nested.block, was, actual[step]))
        elif by_key:
            yield Finding((), "the block {} has vanished", (step,))
    if by_key:
        yield from (Finding((), "a block {} has appeared", (step,)) for step in actual if step not in planned)


def _set_of_blocks(block: Block, planned: list[Any], actual: list[Any]) -> Iterator[Finding]:
    def compatible(was: Any, now: Any) -> bool:
        return next(_object(block, was, now), None) is None

    yield from _set(planned, actual, leaves_of_block(block), compatible)


def _set(planned: list[Any], actual: list[Any], leaves: tuple[Leaf, ...], compatible: Compatible) -> Iterator[Finding]:
    lost, new = uncorrelated(planned, actual, leaves, compatible)
    # Each is a problem of its own. New ones are the same elements from the other side, where some are lost.
    yield from [Finding((), "an element of the plan fits none of the result's")] * lost
    if not lost:
        yield from [Finding((), "an element of the result fits none of the plan's")] * new
    if len(planned) < len(actual):
        yield Finding((), f"there were {len(planned)} elements in the plan, and now are {len(actual)}")


def _by_step(value: list[Any] | dict[str, Any]) -> dict[Any, Any]:
    return dict(enumerate(value)) if isinstance(value, list) else value


def _value(planned: Any, planned_type: Type, actual: Any, actual_type: Type) -> Iterator[Finding]:
    if planned_type is DYNAMIC:
        return
    if not conforms(actual_type, planned_type):
        yield Finding((), f"the plan has a value of type {planned_type.name}, the result one of {actual_type.name}")
    elif type(planned) is Unknown:
        if equal(planned, planned_type, actual, actual_type) is False:
            yield Finding((), "{} does not fit what the plan said of it", (actual,))
    elif planned is None or actual is None:
        if planned is not actual:
            yield Finding((), "was {}, but now {}", (planned, actual))
    elif type(actual) is Unknown:
        yield Finding((), "was known, but now unknown")
    else:
        yield from _known_value(planned, planned_type, actual, actual_type)


def _known_value(planned: Any, planned_type: Type, actual: Any, actual_type: Type) -> Iterator[Finding]:
    match planned_type, actual_type:
        case Object(attributes=types), Object(attributes=actual_types):
            for name, of in types.items():
                yield from under(Attribute(name), _value(planned[name], of, actual[name], actual_types[name]))
        case Tuple(elements=types), Tuple(elements=actual_types):
            for step, (was, now) in enumerate(zip(planned, actual, strict=True)):
                yield from under(step, _value(was, types[step], now, actual_types[step]))
        case ((List(element=of) | Map(element=of)), (List(element=actual_of) | Map(element=actual_of))):
            yield from _elements(_by_step(planned), of, _by_step(actual), actual_of)
        case Set(element=of), Set(element=actual_of):

            def compatible(was: Any, now: Any) -> bool:
                return next(_value(was, of, now, actual_of), None) is None

            yield from _set(planned, actual, leaves_of_type(of), compatible)
        case _:
            if equal(planned, planned_type, actual, actual_type) is not True:
                yield Finding((), "was {}, but now {}", (planned, actual))


def _elements(planned: dict[Any, Any], of: Type, actual: dict[Any, Any], actual_of: Type) -> Iterator[Finding]:
    for step, was in planned.items():
        if step in actual:
            if was != actual[step] or of.has_dynamic:
                yield from under(step, _value(was, of, actual[step], actual_of))
        else:
            yield Finding((), "the element {} has vanished", (step,))
    yield from (Finding((), "an element {} has appeared", (step,)) for step in actual if step not in planned)
