"""Messages as protobuf's JSON, and back."""

import json
import re
from collections.abc import Callable
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

from ferrule.errors import ConfigError, ProtocolError, RPCPluginError
from ferrule.reflection.definitions import Definitions

__all__ = ["MessageCodec"]

Result = TypeVar("Result")

REFUSALS = (json_format.Error, AttributeError, RecursionError, TypeError, ValueError)
"""What protobuf raises for values that do not fit; releases differ."""

_UNKNOWN_IN_ANY = re.compile(r"Can not find message descriptor by type_url: (?:\S*/)?([\w.]+)")


class MessageCodec:
    """The JSON of messages that some definitions have; those inside a `google.protobuf.Any` are looked up there too."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions

    async def parsed(self, text: str, place: str, type_name: str) -> Message:
        """The message that is written as JSON.

        Args:
            text: The JSON.
            place: Where it comes from, for the message of an error.
            type_name: Fully qualified name of the message.

        Raises:
            ConfigError: The text is not JSON, or does not fit the message.
        """
        # Google's own messages have forms of their own. protobuf takes an empty list for an empty message.
        if text.lstrip()[:1] != "{" and not type_name.startswith("google.protobuf."):
            raise _no_message(place, type_name, text, "expected a JSON object")
        kind = await self._definitions.message_type(type_name)
        pool: Any = kind.DESCRIPTOR.file.pool
        try:
            return await self._with_types(lambda: json_format.Parse(text, kind(), descriptor_pool=pool))
        except REFUSALS as error:
            if isinstance(error, RPCPluginError):
                raise
            raise _no_message(place, type_name, text, _reason(error)) from None

    async def as_dict(self, message: Message) -> Any:
        """A message as the values that `json` writes.

        Raises:
            ProtocolError: The message has no form in JSON.
        """
        pool: Any = message.DESCRIPTOR.file.pool
        try:
            return await self._with_types(lambda: json_format.MessageToDict(message, descriptor_pool=pool))
        except REFUSALS as error:
            if isinstance(error, RPCPluginError):
                raise
            name = message.DESCRIPTOR.full_name
            raise ProtocolError(
                f"a {name} of the plugin has no form in JSON: {_reason(error)}", code="grpc.not-described"
            ) from None

    async def _with_types(self, convert: Callable[[], Result]) -> Result:
        """Converts; what an `Any` holds is looked up, one type after the other."""
        missing = ""
        while True:
            try:
                return convert()
            except (TypeError, json_format.ParseError) as error:
                found = _UNKNOWN_IN_ANY.search(str(error))
                if found is None or found[1] == missing:
                    raise
                missing = found[1]
            await self._definitions.message_type(missing)


def _no_message(place: str, type_name: str, text: str, reason: str) -> ConfigError:
    """The error for a text that is no message: it is empty, no JSON, or JSON of another form."""
    if not text.strip():
        return ConfigError(f"{place} is empty, expected {type_name} as a JSON object", code="config.invalid")
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        reason = f"not JSON, at line {error.lineno}, column {error.colno}: {error.msg}"
    except (ValueError, RecursionError):
        # JSON that Python has no room for: protobuf has said what is wrong.
        pass
    return ConfigError(f"{place} is no {type_name}: {reason}", code="config.invalid")


def _reason(error: BaseException) -> str:
    return "too many levels" if isinstance(error, RecursionError) else " ".join(str(error).split())
