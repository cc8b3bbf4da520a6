"""Which changes of a plan make it a replacement.

Facts: OpenTofu v1.12.6, internal/tofu/node_resource_abstract_instance.go (plan).
"""

from collections.abc import Iterable
from typing import Any

from ferrule.terraform.core.places import PathError, at
from ferrule.terraform.core.sameness import with_own_type
from ferrule.terraform.core.types import fields, implied_type
from ferrule.terraform.cty import Attribute, Path
from ferrule.terraform.cty.equality import equal
from ferrule.terraform.errors import InvalidResponseError, Problem
from ferrule.terraform.schema.model import Block, NestedType

__all__ = ["replacement_paths"]


def replacement_paths(block: Block, prior: Any, planned: Any, paths: Iterable[Path]) -> tuple[Path, ...]:
    """Those of a provider's `requires_replace` that count: where the value changes, or may, or is write-only.

    Args:
        block: The schema.
        prior: The prior state; None for a creation, which replaces nothing.
        planned: The planned state.
        paths: As the provider named them.

    Returns:
        The paths that count, each once, in the provider's order.

    Raises:
        InvalidResponseError: A path leads nowhere, neither in the prior nor in the planned state.
    """
    if prior is None:
        return ()
    of = implied_type(block)
    before, after = with_own_type(prior, of), with_own_type(planned, of)
    found: dict[Path, None] = {}
    wrong: list[Problem] = []
    for path in dict.fromkeys(paths):
        values = [_at_or_none(*each, path) for each in (before, after)]
        if values == [None, None]:
            wrong.append(Problem(path, "a replacement for a place that is neither in the prior nor the planned state"))
        elif _is_changed(*values) or _is_write_only(block, path):
            found[path] = None
    if wrong:
        raise InvalidResponseError("the plan names places that are not there", wrong)
    return tuple(found)


def _at_or_none(value: Any, of: Any, path: Path) -> Any:
    try:
        return at(value, of, path)
    except PathError:
        return None


def _is_changed(before: Any, after: Any) -> bool:
    before, after = before or (None, after[1]), after or (None, before[1])
    return equal(*before, *after) is not True


def _is_write_only(block: Block, path: Path) -> bool:
    schema: Block | NestedType | None = block
    attribute = None
    for step in path:
        if isinstance(step, Attribute):
            field = None if schema is None else next((each for each in fields(schema) if each.name == step), None)
            if field is None:
                return False
            attribute, schema = field.attribute, field.schema
    return attribute is not None and attribute.write_only
