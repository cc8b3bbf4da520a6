"""A diff as lines, for a program to print or colour."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from ferrule.terraform.diff.comparison import Difference, Kind, Naming, Style, Unchanged
from ferrule.terraform.diff.values import ABSENT, inline

__all__ = ["Line", "lines"]

INLINE_LENGTH: Final = 80
"""Characters up to which a list or dict that becomes something else is shown."""
STEP: Final = 4


@dataclass(frozen=True)
class Line:
    """One line of a printed diff.

    Attributes:
        kind: What becomes of the value; its text is the mark in front of the line.
        depth: How deep it stands; 0 is the heading.
        text: What follows the mark.
        comment: A remark behind it, `# forces replacement`; empty if there is none.
    """

    kind: Kind
    depth: int
    text: str = ""
    comment: str = ""

    def __str__(self) -> str:
        indentation = " " * (STEP * self.depth - 2) if self.depth else ""
        return f"{indentation}{self.kind.value} {'  '.join(filter(None, (self.text, self.comment)))}".rstrip()


def lines(root: Difference, heading: str, kind: Kind) -> Iterator[Line]:
    """The lines of a resource: a heading, and what differs."""
    yield Line(kind, 0, heading, _comment(root))
    yield from _members(root, 1)


def _members(found: Difference, depth: int) -> Iterator[Line]:
    width = max((len(each.name) for each in found.differing() if each.naming is Naming.ATTRIBUTE), default=0)
    changes = any(each.kind is not Kind.SAME for each in found.differing())
    for each in found.members:
        # Write-only attributes, the only ones that are the same here, are shown where something beside them changes.
        if isinstance(each, Unchanged):
            plural = "" if each.count == 1 else "s"
            yield Line(Kind.SAME, depth, comment=f"# {each.count} unchanged {each.what}{plural} hidden")
        elif changes:
            yield from _lines(each, depth, _label(each, width))


def _label(found: Difference, width: int) -> str:
    match found.naming:
        case Naming.ATTRIBUTE:
            return f"{found.name if found.name.isidentifier() else repr(found.name):{width}} = "
        case Naming.KEY:
            return f"{found.name!r}: "
        case Naming.BLOCK:
            return f"{found.name} "
    return ""


def _lines(found: Difference, depth: int, label: str) -> Iterator[Line]:
    if not found.members:
        yield Line(found.kind, depth, label + _leaf(found), _comment(found))
        return
    opening, closing = found.style.value[:-1], found.style.value[-1]
    if found.style is Style.JSON:
        # What is inside of the brackets has them as well, and stands in their place.
        (inner,) = found.differing()
        opening, closing = "json.dumps(" + inner.style.value[0], inner.style.value[1] + ")"
        found_members = inner
    else:
        found_members = found
    yield Line(found.kind, depth, label + opening, _comment(found))
    yield from _members(found_members, depth + 1)
    yield Line(Kind.SAME, depth, closing)


def _comment(found: Difference) -> str:
    return "# forces replacement" if found.forces_replacement else ""


def _leaf(found: Difference) -> str:
    if found.style is Style.OBJECT:
        # All inside is null.
        return "{}"
    if found.style is Style.JSON and found.kind is Kind.CHANGE:
        return "(JSON of another form)"
    sides = [each for each in (found.before, found.after) if each is not ABSENT]
    if found.kind is Kind.CHANGE and len(sides) == 2:
        old, new = map(_short, sides)
        # Of a sensitive value there is nothing to tell but that it changes.
        return new if old == new else f"{old} -> {new}"
    return inline(sides[-1])


def _short(value: Any) -> str:
    text = inline(value)
    if isinstance(value, list | dict) and len(text) > INLINE_LENGTH:
        return f"[{len(value)} elements]" if isinstance(value, list) else f"{{{len(value)} elements}}"
    return text
