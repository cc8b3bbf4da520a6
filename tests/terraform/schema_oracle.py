"""The schemas of real providers, out of their recorded answers."""

from __future__ import annotations

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
