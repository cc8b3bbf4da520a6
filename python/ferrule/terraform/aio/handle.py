"""One type of a provider: the base of what the provider's methods return."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from ferrule.terraform.aio.session import Session
from ferrule.terraform.hosting.steps import is_large
from ferrule.terraform.operations.context import Context

__all__ = ["Handle"]


class Handle(ABC):
    """One type of a provider.

    Attributes:
        type (str): Its name.
    """

    _kind: ClassVar[str]
    """The name of the provider's method that returns the handle."""

    def __init__(self, session: Session, type: str) -> None:  # noqa: A002 - the word of Terraform.
        self._session = session
        self.type = type
        if session.loaded is not None:
            self._found(session.loaded)

    def __repr__(self) -> str:
        return f"<{self._kind} {self.type!r}>"

    @abstractmethod
    def _found(self, context: Context) -> Any:
        """What the schema has of the type.

        Raises:
            UnknownTypeError: Nothing.
        """

    def _is_large(self, *values: Any) -> bool:
        """Whether a thread is to code some values: they are large, or the type's schema is still to be decoded."""
        new = (self._kind, self.type) not in self._session.used
        self._session.used.add((self._kind, self.type))
        return new or is_large(*values)

    def _verb(self, name: str) -> str:
        """A method in the words of an error."""
        return f"{self._kind}({self.type!r}).{name}()"
