"""What checks of a provider's answers find, and how it is said: without the values of secrets."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ferrule.terraform.core.types import fields
from ferrule.terraform.cty import Attribute, CtyError, Path, Step, Typed, Unknown
from ferrule.terraform.cty.errors import shown
from ferrule.terraform.errors import Problem
from ferrule.terraform.schema.model import Block, NestedType

__all__ = ["Finding", "problems", "under"]


@dataclass(frozen=True)
class Finding:
    """Something wrong, with a `{}` in the message for each of the values that it is about."""

    path: Path
    message: str
    values: tuple[Any, ...] = ()

    @staticmethod
    def of_error(error: CtyError) -> "Finding":
        return Finding(error.path, error.problem.replace("{", "{{").replace("}", "}}"))


def under(step: Step, findings: Iterable[Finding]) -> Iterator[Finding]:
    """The findings, seen from one level further out."""
    for each in findings:
        yield Finding((step, *each.path), each.message, each.values)


def problems(block: Block, findings: Iterable[Finding]) -> list[Problem]:
    """The findings as a reader gets them."""
    return [_problem(block, each) for each in findings]


def _problem(block: Block, finding: Finding) -> Problem:
    secret = _is_in_secret(block, finding.path)
    values = ["a sensitive value" if secret else _described(each) for each in finding.values]
    return Problem(finding.path, finding.message.format(*values))


def _is_in_secret(block: Block, path: Path) -> bool:
    """Whether an attribute on the way to the place is sensitive or write-only."""
    schema: Block | NestedType | None = block
    for step in path:
        if schema is None or not isinstance(step, Attribute):
            continue
        field = next((each for each in fields(schema) if each.name == step), None)
        if field is None:
            return False
        if field.attribute is not None and (field.attribute.sensitive or field.attribute.write_only):
            return True
        schema = field.schema
    return False


def _described(value: Any) -> str:
    if isinstance(value, Typed):
        value = value.value
    return "an unknown value" if isinstance(value, Unknown) else shown(value)
