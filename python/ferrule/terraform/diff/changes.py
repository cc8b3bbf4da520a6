"""A diff as a list of changes, for a program to look through."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ferrule.terraform.cty import Path, format_path
from ferrule.terraform.diff.comparison import Difference, Kind, Style
from ferrule.terraform.diff.values import inline, revealed

__all__ = ["Change", "changes"]


@dataclass(frozen=True, repr=False)
class Change:
    """One value that a plan changes. Its repr has no sensitive value.

    Attributes:
        path: The place, in the planned value where it is there; an element of a set has the path of the set.
        kind: `ADD`, `REMOVE` or `CHANGE`.
        before: What is there now; None in front of an addition.
        after: What will be there, with `UNKNOWN` where only the apply will tell; None after a removal.
        forces_replacement: The provider cannot change it in place.
    """

    path: Path
    kind: Kind
    forces_replacement: bool
    _before: Any = field()
    _after: Any = field()

    @property
    def before(self) -> Any:
        return revealed(self._before)

    @property
    def after(self) -> Any:
        return revealed(self._after)

    def __repr__(self) -> str:
        sides = {"before": self._before, "after": self._after}
        shown = "".join(f", {name}={inline(side)}" for name, side in sides.items() if revealed(side) is not None)
        forced = ", forces_replacement=True" if self.forces_replacement else ""
        return f"Change({format_path(self.path)!r}, {self.kind.name}{shown}{forced})"


def changes(root: Difference) -> Iterator[Change]:
    """All changes: the smallest ones inside of what changes, and what is added or removed as a whole."""
    for found in root.differing():
        if found.kind is Kind.CHANGE and found.style in {Style.OBJECT, Style.LIST} and found.members:
            yield from changes(found)
        elif found.kind is not Kind.SAME:
            yield Change(found.path, found.kind, found.forces_replacement, found.before, found.after)
