"""The schemas of real providers, out of their recorded answers, and answers that no real provider gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ferrule.terraform.messages import Protocol
from ferrule.terraform.schema import ProviderSchema
from terraform import recordings

SCHEMA_METHODS = {5: "GetSchema", 6: "GetProviderSchema"}


def answers(name: str) -> tuple[int, bytes, bytes | None]:
    """The protocol, the answer to GetProviderSchema, and the one to GetResourceIdentitySchemas if there is one."""
    raw = recordings.schema(name)["raw"]
    identity = raw["GetResourceIdentitySchemas"]
    protocol = raw["protocol"]
    schema = bytes.fromhex(raw[SCHEMA_METHODS[protocol]])
    return protocol, schema, bytes.fromhex(identity) if isinstance(identity, str) else None


def recorded_schema(name: str) -> ProviderSchema:
    protocol, schema, identity = answers(name)
    return ProviderSchema.of(Protocol.of(protocol), schema, identity)


def answer(version: int, method: str, **fields: Any) -> bytes:
    """A serialised answer; each type in a map is given by a dict of its fields."""
    message = Protocol.of(version).message(f"{method}.Response")()
    for name, value in fields.items():
        field = message.DESCRIPTOR.fields_by_name[name].message_type
        if isinstance(value, Mapping) and field.GetOptions().map_entry:
            # Older releases of protobuf take no dicts for the messages in a map.
            types = getattr(message, name)
            for key, each in value.items():
                types[key].MergeFrom(type(types[key])(**each))
        else:
            message.MergeFrom(type(message)(**{name: value}))
    data: bytes = message.SerializeToString(deterministic=True)
    return data
