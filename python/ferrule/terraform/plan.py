"""What an apply would do: the plan of one resource."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ferrule.terraform.cty import Path
from ferrule.terraform.diagnostics import Diagnostic
from ferrule.terraform.errors import PlanError
from ferrule.terraform.schema.model import Block

__all__ = ["Action", "Plan"]


class Action(Enum):
    """What an apply would do with the resource."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    NO_OP = "no-op"
    READ = "read"


@dataclass(frozen=True, repr=False, kw_only=True)
class Plan:
    """What an apply would do with one resource. It is applied once.

    Neither its repr nor its text have values of sensitive attributes, nor its JSON unless they are asked for. A pickled
    plan has all of them.

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

    def __repr__(self) -> str:
        return f"Plan(type={self.type!r}, action={self.action})"
