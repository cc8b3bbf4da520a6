"""Attributes whose values nothing shows: sensitive ones, and write-only ones, which nothing stores either.

Facts: OpenTofu v1.12.6, internal/configs/configschema/marks.go and write_only.go.
"""

from typing import Any, Literal

from ferrule.terraform.core.sameness import is_null
from ferrule.terraform.core.types import Field, fields
from ferrule.terraform.core.walk import attributes, changed
from ferrule.terraform.cty import Path
from ferrule.terraform.errors import Problem
from ferrule.terraform.schema.model import Attribute, Block, NestedType

__all__ = ["is_secret", "sensitive_paths", "without_write_only", "write_only_problems"]


def is_secret(attribute: Attribute) -> bool:
    """Whether the attribute, or one inside it, is sensitive or write-only."""
    if attribute.sensitive or attribute.write_only:
        return True
    return attribute.nested_type is not None and any(map(is_secret, attribute.nested_type.attributes.values()))


def sensitive_paths(block: Block, value: Any) -> tuple[Path, ...]:
    """Where sensitive attributes are in a value, null ones too; what is in a set makes the set sensitive.

    What is inside of a sensitive attribute is not named once more.
    """
    if not _has(block, "sensitive"):
        return ()
    found: dict[Path, None] = {}
    for path, field, _ in attributes(block, value):
        inside = any(path[:length] in found for length in range(1, len(path)))
        if field.attribute is not None and field.attribute.sensitive and not inside:
            found[path] = None
    return tuple(found)


def without_write_only(block: Block, value: Any) -> Any:
    """The value with null for write-only attributes: as it is planned and stored."""
    return changed(block, value, _null_if_write_only) if _has(block, "write_only") else value


def _null_if_write_only(field: Field, value: Any) -> Any:
    return None if field.attribute is not None and field.attribute.write_only else value


def write_only_problems(block: Block, value: Any) -> list[Problem]:
    """Write-only attributes that are not null, in a value that a provider gave back."""
    if not _has(block, "write_only"):
        return []
    return [
        Problem(path, "the attribute is write-only: a provider must not give its value back")
        for path, field, value in attributes(block, value)
        if field.attribute is not None and field.attribute.write_only and not is_null(value)
    ]


def _has(schema: Block | NestedType, flag: Literal["sensitive", "write_only"]) -> bool:
    """Whether an attribute, at any depth, has the flag."""
    if flag not in schema.memo:
        schema.memo[flag] = any(
            (field.attribute is not None and getattr(field.attribute, flag))
            or (field.schema is not None and _has(field.schema, flag))
            for field in fields(schema)
        )
    return bool(schema.memo[flag])
