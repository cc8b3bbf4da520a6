"""Which differences force a replacement."""

from collections.abc import Iterable, Sequence

from ferrule.terraform.cty import Path, Step
from ferrule.terraform.diff.comparison import Difference, Kind
from ferrule.terraform.diff.values import WRITE_ONLY

__all__ = ["marked"]


def marked(root: Difference, paths: Iterable[Path]) -> None:
    """Marks what forces a replacement: at each path the deepest difference that is there."""
    for path in paths:
        found = root
        while (inner := _on_the_way(found, path)) is not None:
            found = inner
        found.forces_replacement = True
        if found.after is WRITE_ONLY and found.kind is Kind.SAME:
            found.kind = Kind.CHANGE


def _on_the_way(found: Difference, path: Sequence[Step]) -> Difference | None:
    for inner in found.differing():
        for own in (inner.path, inner.before_path):
            if len(own) > len(found.path) and tuple(path[: len(own)]) == own:
                return inner
    return None
