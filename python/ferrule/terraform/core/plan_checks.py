"""Whether a provider's plan is one: it may differ from the configuration only where that leaves something open.

Facts: OpenTofu v1.12.6, internal/plans/objchange/plan_valid.go.
"""

from collections.abc import Iterator
from typing import Any

from ferrule.terraform.core.blocks import opened
from ferrule.terraform.core.findings import Finding, problems, under
from ferrule.terraform.core.sameness import is_null, part, same
from ferrule.terraform.core.types import Field, fields, implied_type, is_dynamic
from ferrule.terraform.cty import Attribute, CtyError, Unknown
from ferrule.terraform.cty.equality import has_unknown
from ferrule.terraform.errors import Problem
from ferrule.terraform.schema.model import Attribute as SchemaAttribute
from ferrule.terraform.schema.model import Block, NestedBlock, NestedType, Nesting

__all__ = ["plan_problems"]

UNKNOWN_BLOCK = "blocks must not be unknown: their attributes may"
ABSENT = "planned for absence, but the configuration wants existence"
PRESENT = "planned for existence, but the configuration wants absence"


def plan_problems(block: Block, prior: Any, config: Any, planned: Any) -> list[Problem]:
    """What is wrong in a planned state: attributes that are not the configuration's, though they must be.

    A provider may plan anything for what is computed and not configured, and the prior value where it takes that and
    the configured one for equal. Elements of sets are left to it, but for their number in nested attributes.

    Args:
        block: The schema.
        prior: The prior state; None for a creation.
        config: The configuration, as it was sent.
        planned: The planned state.

    Returns:
        All problems; empty for a good plan. A provider with the legacy type system is excused.
    """
    return problems(block, _block(block, prior, config, planned))


def _block(block: Block, prior: Any, config: Any, planned: Any) -> Iterator[Finding]:
    if planned is None or config is None:
        if planned is not config:
            yield Finding((), ABSENT if planned is None else PRESENT)
        return
    yield from _attributes(block, prior, config, planned)
    types = implied_type(block).attributes
    for name, nested in block.block_types.items():
        values = part(prior, name), part(config, name), part(planned, name)
        if not same(values[2], values[1], types[name]):
            yield from under(Attribute(name), _nested_block(nested, *values))


def _nested_block(nested: NestedBlock, prior: Any, config: Any, planned: Any) -> Iterator[Finding]:
    try:
        prior, config, planned = (opened(nested, each) for each in (prior, config, planned))
    except CtyError as error:
        yield Finding.of_error(error)
        return
    if type(config) is Unknown:
        yield Finding((), "planned {} for blocks whose number is not known", (planned,))
    elif type(planned) is Unknown:
        yield Finding((), UNKNOWN_BLOCK)
    elif nested.nesting in {Nesting.SINGLE, Nesting.GROUP}:
        yield from _block(nested.block, prior, config, planned)
    elif planned is None:
        yield Finding((), "planned null for blocks: where there are none, they are empty")
    elif nested.nesting is Nesting.SET:
        yield from (Finding((), UNKNOWN_BLOCK) for each in planned if type(each) is Unknown)
    else:
        yield from _elements(nested.block, prior, config, planned, by_key=is_dynamic(nested))


def _elements(
    schema: Block | NestedType, prior: Any, config: Any, planned: Any, *, by_key: bool = False
) -> Iterator[Finding]:
    """Elements of lists by index, of maps by key. `by_key` names all wrong keys, not their number alone."""
    prior, config, planned = _by_step(prior), _by_step(config), _by_step(planned)
    if len(planned) != len(config) and not (by_key and isinstance(next(iter((*planned, *config))), str)):
        yield Finding((), f"{len(planned)} elements are planned, {len(config)} are in the configuration")
        return
    for step, each in planned.items():
        if step not in config:
            yield Finding((), "the plan has an element {}, the configuration does not", (step,))
        elif not isinstance(schema, Block):
            yield from under(step, _attributes(schema, prior.get(step), config[step], each))
        elif type(each) is Unknown:
            yield from under(step, [Finding((), UNKNOWN_BLOCK)])
        else:
            yield from under(step, _block(schema, prior.get(step), config[step], each))
    for step in config:
        if step not in planned:
            yield Finding((), "the configuration has an element {}, the plan does not", (step,))


def _by_step(value: Any) -> dict[Any, Any]:
    return dict(enumerate(value)) if isinstance(value, list) else value or {}


def _attributes(schema: Block | NestedType, prior: Any, config: Any, planned: Any) -> Iterator[Finding]:
    for field in fields(schema):
        if field.attribute is not None:
            was, given, new = part(prior, field.name), part(config, field.name), part(planned, field.name)
            if not same(new, given, field.type):
                yield from under(field.step, _attribute(field, field.attribute, was, given, new))


def _attribute(field: Field, attribute: SchemaAttribute, prior: Any, config: Any, planned: Any) -> Iterator[Finding]:
    """Of an attribute whose planned value is not the configured one."""
    if not is_null(prior) and not is_null(config) and same(planned, prior, field.type):
        # To the provider the configured value is equal to the prior one.
        return
    if attribute.computed and (not attribute.optional or is_null(config)):
        return
    if is_null(config):
        if not is_null(planned):
            yield Finding((), "planned {} for an attribute that is not computed", (planned,))
    elif is_null(planned) and attribute.write_only:
        return
    elif attribute.nested_type is not None:
        yield from _nested_attribute(attribute.nested_type, prior, config, planned)
    elif is_null(prior):
        yield Finding((), "planned {}, but the configuration has {}", (planned, config))
    else:
        message = "planned {}, but the configuration has {}, and the prior state {}"
        yield Finding((), message, (planned, config, prior))


def _nested_attribute(nested: NestedType, prior: Any, config: Any, planned: Any) -> Iterator[Finding]:
    if planned is None:
        yield Finding((), ABSENT)
    elif type(planned) is Unknown:
        yield Finding((), "planned an unknown value for a configured one")
    elif nested.nesting in {Nesting.SINGLE, Nesting.GROUP}:
        yield from _attributes(nested, prior, config, planned)
    elif nested.nesting is Nesting.SET:
        if type(config) is not Unknown and not _may_be_as_many(planned, config):
            yield Finding((), f"{len(planned)} elements are planned, {len(config)} are in the configuration")
    elif type(config) is Unknown:
        yield Finding((), "planned {} for a value that is not known", (planned,))
    else:
        yield from _elements(nested, prior, config, planned)


def _may_be_as_many(planned: list[Any], config: list[Any]) -> bool:
    """Whether two sets may have as many elements: unknown elements may turn out to be equal to others."""
    if has_unknown(config) and len(config) > 1:
        return True
    if has_unknown(planned) and len(planned) > 1:
        return 1 <= len(config) <= len(planned)
    return len(planned) == len(config)
