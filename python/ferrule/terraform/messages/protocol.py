"""Terraform's provider protocol, versions 5 and 6: paths of methods, and messages to and from bytes.

The descriptors are in pools of their own. In the default pool a second file that defines `tfplugin6.Schema` raises
TypeError: no process could import this package beside generated code of the same protocol.
"""

import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Final

from ferrule.terraform.errors import InvalidResponseError, UnsupportedError

__all__ = ["Protocol", "new_message"]

NAMES_OF_PROTOCOL_5: Final = {
    "GetProviderSchema": "GetSchema",
    "ValidateProviderConfig": "PrepareProviderConfig",
    "ConfigureProvider": "Configure",
    "ValidateResourceConfig": "ValidateResourceTypeConfig",
    "ValidateDataResourceConfig": "ValidateDataSourceConfig",
    "StopProvider": "Stop",
}
"""The methods that protocol 6 has renamed, by their new names."""


@dataclass(frozen=True)
class _Method:
    """One method: where it is called, and the classes of its messages; those of a stream are one element's."""

    path: str
    request: Any
    response: Any


class Protocol:
    """One version of the protocol. Methods go by their names in protocol 6 with both.

    Nothing of protobuf is loaded before the first use of a method or message.

    Attributes:
        version (int): 5 or 6.

    Example:
        >>> protocol = Protocol.of(5)
        >>> protocol.path("ConfigureProvider")
        '/tfplugin5.Provider/Configure'
        >>> data = protocol.request("ReadDataSource", type_name="dns_a_record_set", config=b"\\xc0")
    """

    def __init__(self, version: int) -> None:
        self.version = version
        self._methods: dict[str, _Method] = {}

    def __repr__(self) -> str:
        return f"Protocol.of({self.version})"

    @staticmethod
    def of(version: int) -> "Protocol":
        """The protocol of a version.

        Args:
            version: What go-plugin has agreed on: 5 or 6.

        Raises:
            ValueError: There is no such version.
        """
        try:
            return _PROTOCOLS[version]
        except KeyError:
            raise ValueError(f"the provider protocol has the versions 5 and 6, got {version!r}") from None

    def has(self, method: str) -> bool:
        """Whether the protocol has a method; whether a provider has it is known when it is called."""
        return self._name_of(method) in self.service.methods_by_name

    def path(self, method: str) -> str:
        """Path of a method for a gRPC channel.

        Raises:
            UnsupportedError: The protocol has not got the method.
        """
        return self._method(method).path

    def request(self, method: str, /, **fields: Any) -> bytes:
        """The bytes of a request.

        Args:
            method: Name of the method in protocol 6.
            **fields: Fields of the request. A message is given by a dict of its fields, a `DynamicValue` also by its
                msgpack as bytes. None is an absent field.

        Raises:
            UnsupportedError: The protocol has not got the method.
            ValueError: The request has no such field.
        """
        data: bytes = new_message(self._method(method).request, fields).SerializeToString()
        return data

    def parse_response(self, method: str, data: bytes) -> Any:
        """The message of a response, or of one element of a stream.

        Fields that are not in the protocol stay in the message, and in the bytes that it is written as.

        Raises:
            UnsupportedError: The protocol has not got the method.
            InvalidResponseError: The bytes are no such message.
        """
        from google.protobuf.message import DecodeError

        try:
            return self._method(method).response.FromString(data)
        except DecodeError as error:
            raise InvalidResponseError(f"The answer to {method} is no message of protocol {self.version}.") from error

    def message(self, name: str) -> Any:
        """The class of a message, by its name in this version, such as `Schema.Block`."""
        from google.protobuf.message_factory import GetMessageClass

        return GetMessageClass(self._pool.FindMessageTypeByName(f"tfplugin{self.version}.{name}"))

    @cached_property
    def service(self) -> Any:
        """The descriptor of the service `Provider`, with the names of this version."""
        return self._pool.FindServiceByName(f"tfplugin{self.version}.Provider")

    @cached_property
    def _pool(self) -> Any:
        from google.protobuf.descriptor_pb2 import FileDescriptorSet
        from google.protobuf.descriptor_pool import DescriptorPool

        pool = DescriptorPool()
        for file in FileDescriptorSet.FromString(_descriptors(self.version)).file:
            pool.AddSerializedFile(file.SerializeToString())
        return pool

    def _name_of(self, method: str) -> str:
        return NAMES_OF_PROTOCOL_5.get(method, method) if self.version == 5 else method

    def _method(self, method: str) -> _Method:
        known = self._methods.get(method)
        if known is None:
            known = self._methods[method] = self._described(method)
        return known

    def _described(self, method: str) -> _Method:
        from google.protobuf.message_factory import GetMessageClass

        described = self.service.methods_by_name.get(self._name_of(method))
        if described is None:
            raise UnsupportedError(f"Protocol {self.version} has no method {method}.")
        return _Method(
            path=f"/{self.service.full_name}/{described.name}",
            request=GetMessageClass(described.input_type),
            response=GetMessageClass(described.output_type),
        )


def _descriptors(version: int) -> bytes:
    data = pkgutil.get_data(__package__, f"tfplugin{version}.binpb")
    assert data is not None
    return data


def new_message(kind: Any, fields: Mapping[str, Any]) -> Any:
    """A message of a class, by its fields.

    Args:
        kind: The class.
        fields: Messages inside are dicts of their fields, a `DynamicValue` also its msgpack as bytes. None is an absent
            field.

    Raises:
        ValueError: The message has no such field.
    """
    maps = _maps_of_messages(kind.DESCRIPTOR)
    if maps.isdisjoint(fields):
        return kind(**_fields(kind.DESCRIPTOR, fields))
    message = kind(**_fields(kind.DESCRIPTOR, {name: each for name, each in fields.items() if name not in maps}))
    # Protobuf takes no dicts for the messages of a map before release 5.
    for name in maps & fields.keys():
        entries = getattr(message, name)
        for key, entry in (fields[name] or {}).items():
            entries[key].CopyFrom(new_message(type(entries[key]), entry))
    return message


@cache
def _maps_of_messages(kind: Any) -> frozenset[str]:
    """Names of the fields that map keys to messages."""
    entries = {each.name: each.message_type for each in kind.fields if each.message_type is not None}
    return frozenset(
        name
        for name, entry in entries.items()
        if entry.GetOptions().map_entry and entry.fields_by_name["value"].message_type is not None
    )


def _fields(kind: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a message as its class takes them: each DynamicValue is a message."""
    fields = kind.fields_by_name
    return {name: _field(fields[name].message_type if name in fields else None, value) for name, value in given.items()}


def _field(kind: Any, value: Any) -> Any:
    """One field of the message type `kind`, or of None if it is no message."""
    if kind is None:
        return value
    match value:
        case bytes():
            return {"msgpack": value}
        case Mapping():
            return _fields(kind, value)
        case list() | tuple():
            return [_field(kind, each) for each in value]
    return value


_PROTOCOLS: Final = {version: Protocol(version) for version in (5, 6)}
