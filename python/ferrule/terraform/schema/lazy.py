"""Types of a provider by their names, each decoded when it is asked for."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

from google.protobuf.message import DecodeError, Message

from ferrule.terraform.cty import CtyError
from ferrule.terraform.errors import InvalidResponseError, Problem, UnknownTypeError
from ferrule.terraform.schema.nearest import nearest

__all__ = ["LazyMapping", "decoded"]

_Model = TypeVar("_Model")
_Result = TypeVar("_Result")

SHOWN_NAMES: Final = 10
"""Names up to which an error about an unknown one names them all."""


class LazyMapping(Mapping[str, _Model]):
    """The types of one kind, by name, in the order of their names.

    A look-up decodes the type if it is the first of that name, which takes a tenth of a millisecond for a resource of
    forty attributes, and keeps the model.

    Args:
        kind: What the types are, in the words of an error: "resource".
        messages: The message of each type, which a look-up parses.
        decode: The model of a message.

    Raises:
        UnknownTypeError: From a look-up of what the provider has not got; its hint names the nearest.
        InvalidResponseError: From a look-up of a type whose schema is broken.
    """

    def __init__(self, kind: str, messages: Mapping[str, Message], decode: Callable[[Message], _Model]) -> None:
        self.kind: Final = kind
        self._messages = messages
        self._decode = decode
        self._models: dict[str, _Model] = {}

    def __getitem__(self, name: str) -> _Model:
        model = self._models.get(name) if isinstance(name, str) else None
        if model is None:
            model = self._models.setdefault(name, self._decoded(name))
        return model

    def __iter__(self) -> Iterator[str]:
        return iter(self._messages)

    def __len__(self) -> int:
        return len(self._messages)

    def __contains__(self, name: object) -> bool:
        return name in self._messages

    def get(self, name: str, default: Any = None, /) -> Any:
        return self[name] if name in self._messages else default

    def __repr__(self) -> str:
        return f"<{len(self)} {self.kind}s>"

    def unkept_items(self) -> Iterator[tuple[str, _Model]]:
        """All types, without keeping the models: they take much memory together."""
        for name in self._messages:
            yield name, self._models.get(name) or self._decoded(name)

    def _decoded(self, name: str) -> _Model:
        # A name that is no text, such as a list, may have no hash.
        if not isinstance(name, str) or name not in self._messages:
            raise self._unknown(name)
        return decoded(f'the schema of the {self.kind} "{name}"', lambda: self._decode(self._messages[name]))

    def _unknown(self, name: object) -> UnknownTypeError:
        if not isinstance(name, str):
            what = f"the name of a {self.kind} is text, got {type(name).__name__}"
            return UnknownTypeError(what)
        if near := nearest(name, self._messages):
            hint = f'Did you mean "{near}"?'
        elif not self._messages:
            hint = f"The provider has no {self.kind}s."
        elif len(self._messages) <= SHOWN_NAMES:
            hint = f"The provider has {', '.join(self._messages)}."
        else:
            hint = f"The provider has {len(self._messages)} others."
        return UnknownTypeError(f'the provider has no {self.kind} "{name}"', hint)


def decoded(what: str, decode: Callable[[], _Result]) -> _Result:
    """The result of `decode`, or one error for all that can be wrong with a provider's schema.

    Raises:
        InvalidResponseError: No message, or no schema; with the place.
    """
    try:
        return decode()
    except (DecodeError, UnicodeDecodeError) as error:
        # The latter is that of protobuf in pure Python, for text that is not UTF-8.
        raise InvalidResponseError(f"{what} is not a protobuf message: {error}") from None
    except CtyError as error:
        raise InvalidResponseError(f"{what} is broken", [Problem(error.path, error.problem, error.hint)]) from None
