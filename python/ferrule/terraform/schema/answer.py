"""An answer of a provider whose types are parsed one by one."""

from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from ferrule.terraform.schema.index import Slice, index

__all__ = ["Answer"]


class Answer:
    """A serialised message with maps of messages.

    Attributes:
        message (Any): The message without what is in its maps.

    Raises:
        DecodeError: The bytes are not the message. What is wrong within a map's message is found by its parse.
    """

    def __init__(self, message_class: Any, data: bytes) -> None:
        fields = message_class.DESCRIPTOR.fields
        self._maps = {each.name: each for each in fields if each.message_type and _is_map(each.message_type)}
        self._data = data
        self._entries, rest = index(data, [each.number for each in self._maps.values()])
        self.message: Any = message_class.FromString(rest)

    def messages(self, name: str) -> "Mapping[str, Message]":
        """The messages of a map by their keys, sorted."""
        field = self._maps[name]
        value_class = GetMessageClass(field.message_type.fields_by_name["value"].message_type)
        # Entries that only protobuf makes out are in the message.
        others = dict(getattr(self.message, name).items())
        return _Messages(value_class, self._data, self._entries[field.number] | others)


class _Messages(Mapping[str, Message]):
    """Messages that are parsed at each look-up."""

    def __init__(self, message_class: Any, data: bytes, parts: Mapping[str, Slice | Message]) -> None:
        self._class = message_class
        self._data = data
        self._parts = {name: parts[name] for name in sorted(parts)}

    def __getitem__(self, name: str) -> Message:
        match self._parts[name]:
            case (int() as begin, int() as end):
                message: Message = self._class.FromString(self._data[begin:end])
                return message
            case message:
                return message

    def __contains__(self, name: object) -> bool:
        return name in self._parts

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)


def _is_map(message_type: Any) -> bool:
    return bool(message_type.GetOptions().map_entry)
