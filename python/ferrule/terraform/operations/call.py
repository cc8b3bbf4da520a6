"""A call of a provider, as an operation asks for it.

An operation yields calls and is sent the responses, so that the async and the blocking provider run the same code:

    def read(context: Context, state: ResourceState) -> Operation[ResourceState | None]:
        response = yield Call("ReadResource", {"type_name": state.type, ...})
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

__all__ = ["Call", "Operation"]

_Result = TypeVar("_Result")


@dataclass(frozen=True, repr=False)
class Call:
    """One unary call.

    Attributes:
        method: Its name in protocol 6, such as `ConfigureProvider`; protocol 5 has other names for some.
        fields: Fields of the request. A DynamicValue is given by its msgpack, as bytes.
    """

    method: str
    fields: Mapping[str, Any]

    def __repr__(self) -> str:
        # The fields may hold secrets.
        return f"Call({self.method!r})"


Operation = Generator[Call, Any, _Result]
"""An operation: it yields calls, is sent the response of each, and returns its result."""
