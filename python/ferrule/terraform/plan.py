"""What an apply would do: the plan of one resource."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

from ferrule.terraform.cty import Path
from ferrule.terraform.diagnostics import Diagnostic
from ferrule.terraform.diff import (
    WRITE_ONLY,
    Change,
    Difference,
    Kind,
    Line,
    changes,
    compare,
    hidden,
    lines,
    marked,
)
from ferrule.terraform.diff.values import revealed
from ferrule.terraform.errors import PlanError
from ferrule.terraform.json_text import dumped
from ferrule.terraform.redaction import with_replaced
from ferrule.terraform.schema.model import Block

__all__ = ["Action", "Plan"]


class Action(StrEnum):
    """What an apply would do with the resource; equal to its word, such as "create"."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    NO_OP = "no-op"
    READ = "read"


_HEADINGS: Final = {
    Action.CREATE: (Kind.ADD, "will be created"),
    Action.UPDATE: (Kind.CHANGE, "will be changed"),
    Action.REPLACE: (Kind.REPLACE, "will be replaced"),
    Action.DELETE: (Kind.REMOVE, "will be destroyed"),
    Action.NO_OP: (Kind.SAME, "does not change"),
    Action.READ: (Kind.READ, "will be read"),
}


@dataclass(frozen=True, repr=False, kw_only=True)
class Plan:
    """What an apply would do with one resource. It is applied once.

    Neither its repr nor its text have values of sensitive attributes, nor its JSON unless they are asked for. A pickled
    plan has all of them; it can be looked at, but not applied.

    Attributes:
        type: The type of the resource.
        action: What would be done.
        before: All attributes as they are now; None in front of a creation.
        after: All attributes as they will be, with `UNKNOWN` where only the apply will tell; None after a deletion.
        block: The resource's schema.
        unknown: Paths of what is not known yet in `after`.
        sensitive: Paths of sensitive values in either.
        write_only: Paths of the write-only attributes that the configuration gives; they are in neither.
        requires_replace: Paths of what changes and cannot be changed in place.
        reason: Why there is a replacement, in a few words; empty if `requires_replace` tells.
        warnings: What the provider said.
        private: Bytes that are the provider's own affair.
        identity: The identity as planned; None if the resource has none.
        provider: Source address of the provider; empty if not known.
        legacy: The provider is of the old SDK, which may plan what contradicts the configuration.
        inputs: What the operation that applies the plan needs, and nobody else.
    """

    type: str
    action: Action
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    block: Block
    unknown: tuple[Path, ...] = ()
    sensitive: tuple[Path, ...] = ()
    write_only: tuple[Path, ...] = ()
    requires_replace: tuple[Path, ...] = ()
    reason: str = ""
    warnings: tuple[Diagnostic, ...] = ()
    private: bytes = b""
    identity: Mapping[str, Any] | None = None
    provider: str = ""
    legacy: bool = False
    inputs: Any = field(default=None, compare=False)
    # One element until the plan is used: `pop` takes it for one thread alone.
    _unused: list[None] = field(default_factory=lambda: [None], init=False, compare=False)

    def use(self) -> None:
        """Marks the plan as applied.

        Raises:
            PlanError: It was used before.
        """
        try:
            self._unused.pop()
        except IndexError:
            raise PlanError(
                f"this plan of {self.type} was applied before", "Plan again, with the state that the apply returned."
            ) from None

    @property
    def used(self) -> bool:
        """Whether the plan was given to an apply."""
        return not self._unused

    @cached_property
    def changes(self) -> tuple[Change, ...]:
        """What changes, by place; of sets the elements that come and go."""
        return tuple(changes(self._difference))

    def lines(self) -> Iterator[Line]:
        """The diff, line by line, for a program that colours it."""
        kind, words = _HEADINGS[self.action]
        reason = f" ({self.reason})" if self.reason else ""
        return lines(self._difference, f"{self.type} {words}{reason}", kind)

    def __str__(self) -> str:
        """The diff: a heading, and a line for each change."""
        return "\n".join(map(str, self.lines()))

    def _repr_html_(self) -> str:
        """The diff for a notebook, with the warnings; sensitive values are hidden as in the text."""
        from ferrule.terraform.diff.notebook import lines_html

        return lines_html(self.lines(), self.warnings)

    def to_json(self, *, sensitive: bool = False) -> str:
        """The plan as a JSON object on one line, for programs that check it. It cannot be applied.

        What is not known yet is null in `after`, and its path is in `unknown`. Paths are arrays of names, keys and
        indexes.

        Args:
            sensitive: Whether it has sensitive values; by default the text "(sensitive value)" is in their place.
        """
        before, after = map(revealed, self._hidden) if sensitive else self._hidden
        return dumped(
            {
                "type": self.type,
                "provider": self.provider,
                "action": self.action.value,
                "reason": self.reason,
                "before": before,
                "after": after,
                **{name: getattr(self, name) for name in ("unknown", "sensitive", "write_only", "requires_replace")},
                "identity": self.identity,
                "legacy": self.legacy,
                "warnings": list(map(str, self.warnings)),
            }
        )

    @cached_property
    def _difference(self) -> Difference:
        before, after = self._hidden
        # The path of what is in a set is that of the set, which is not null.
        after = with_replaced(after, self.write_only, lambda each: WRITE_ONLY if each is None else each)
        found = compare(self.block, before, after)
        marked(found, self.requires_replace)
        return found

    @cached_property
    def _hidden(self) -> tuple[Any, Any]:
        before, after = (hidden(each, self.block, self.sensitive) for each in (self.before, self.after))
        return before, after

    def __repr__(self) -> str:
        return f"Plan(type={self.type!r}, action={self.action})"

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in _DERIVED} | {"inputs": None}


_DERIVED: Final = {"changes", "_difference", "_hidden"}
