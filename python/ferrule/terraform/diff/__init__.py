"""What a plan changes, as a tree, as lines to print, and as a list of changes."""

from ferrule.terraform.diff.changes import Change, changes
from ferrule.terraform.diff.comparison import Difference, Kind, compare
from ferrule.terraform.diff.forcing import marked
from ferrule.terraform.diff.lines import Line, lines
from ferrule.terraform.diff.values import WRITE_ONLY, hidden

__all__ = [
    "WRITE_ONLY",
    "Change",
    "Difference",
    "Kind",
    "Line",
    "changes",
    "compare",
    "hidden",
    "lines",
    "marked",
]
