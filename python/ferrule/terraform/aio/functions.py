"""The functions of a provider, as attributes."""

from __future__ import annotations

from typing import Any

from ferrule._secrecy import forgetful_async
from ferrule.terraform.aio.session import Session
from ferrule.terraform.hosting.steps import is_large
from ferrule.terraform.operations import functions as operations
from ferrule.terraform.schema import Function as FunctionSchema

__all__ = ["Function", "Functions"]


class Function:
    """One function of a provider, which needs no configuration.

    Attributes:
        name (str): Its name.
    """

    def __init__(self, session: Session, name: str) -> None:
        self._session = session
        self.name = name

    def __repr__(self) -> str:
        return f"<function {self.name!r}>"

    async def schema(self) -> FunctionSchema:
        """Parameters and result of the function."""
        return (await self._session.context()).schema.functions[self.name]

    @forgetful_async
    async def __call__(self, *arguments: Any) -> Any:
        """Calls the function.

        Returns:
            Its result; UNKNOWN, without a call, where an argument is not known and the function needs to know it.

        Raises:
            UnknownTypeError: The provider has no such function.
            FunctionCallError: There are too few arguments or too many, one does not fit its parameter, or the function
                refuses one; `argument` is the index of the wrong one.
        """
        return await self._session.run(
            lambda context: operations.call(context, self.name, *arguments), large=is_large(arguments)
        )


class Functions:
    """The functions of a provider; the mapping `functions` of its schema has their names.

    Example:
        ```python
        async with Provider.launch("hashicorp/time") as time:
            parsed = await time.functions.rfc3339_parse("2026-01-01T00:00:00Z")
        ```
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def __getattr__(self, name: str) -> Function:
        # Copying, pickling and inspection ask for names that are no functions.
        if name.startswith("_"):
            raise AttributeError(name)
        return Function(self._session, name)

    def __getitem__(self, name: str) -> Function:
        return Function(self._session, name)

    # Without these, Python asks __getitem__ for 0, 1, 2 and so on, which never ends.
    __iter__ = None
    __contains__ = None

    def __dir__(self) -> list[str]:
        loaded = self._session.loaded
        return [] if loaded is None else sorted(loaded.schema.functions)

    def __repr__(self) -> str:
        return f"<functions: {', '.join(dir(self)) or 'none known yet'}>"
