"""What each operation needs to know: the protocol, the provider's schema, and how core is to behave."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal

from ferrule.terraform import core, cty
from ferrule.terraform.diagnostics import Diagnostic
from ferrule.terraform.errors import ConfigurationError
from ferrule.terraform.messages import Protocol
from ferrule.terraform.schema.model import Block, Function, IdentitySchema

if TYPE_CHECKING:
    from ferrule.terraform.schema import ProviderSchema

__all__ = ["CAPABILITIES", "BlockType", "Context", "Core", "ResourceType"]

Core = Literal["terraform", "opentofu"]
"""Whose behaviour counts where Terraform's core and OpenTofu's differ."""

CAPABILITIES: Final = {"write_only_attributes_allowed": True}
"""The message ClientCapabilities. Without it providers refuse all values of write-only attributes."""


def _unheard(warning: Diagnostic) -> None:
    pass


@dataclass(frozen=True)
class BlockType:
    """One type of the provider with its block, such as a data source."""

    name: str
    block: Block

    @property
    def type(self) -> cty.Object:
        """The type of its values."""
        return core.implied_type(self.block)

    def coerced(self, config: Any) -> Any:
        """The value of a configuration.

        Raises:
            ConfigurationError: The schema refuses it.
        """
        try:
            return core.coerce(self.block, {} if config is None else config)
        except ConfigurationError as error:
            raise ConfigurationError(
                f"the configuration of {self.name} does not fit the schema", error.problems
            ) from None

    def encoded(self, value: Any) -> bytes:
        return cty.encode(value, self.type)


@dataclass(frozen=True)
class ResourceType(BlockType):
    """A managed resource: its state has a version and perhaps an identity."""

    version: int
    identity: IdentitySchema | None = None

    @cached_property
    def identity_type(self) -> cty.Object | None:
        return core.identity_type(self.identity) if self.identity else None


@dataclass(frozen=True, eq=False, repr=False)
class Context:
    """One provider, as operations see it; each has one, and plans remember it.

    Attributes:
        protocol: The version of the protocol that it speaks.
        schema: Its schema.
        core: Whose behaviour counts where Terraform and OpenTofu differ; default "terraform".
        terraform_version: What providers are told; some behave by it.
        provider_meta: The configuration of the `provider_meta` block; default None.
        source: Address of the provider, which states repeat; default "".
        warn: Called with each warning of the provider; default is nothing.
        origin: What states of this provider are known by, without keeping its schema alive.
    """

    protocol: Protocol
    schema: "ProviderSchema"
    core: Core = "terraform"
    terraform_version: str = "1.13.3"
    provider_meta: Mapping[str, Any] | None = None
    source: str = ""
    warn: Callable[[Diagnostic], None] = _unheard
    origin: object = field(default_factory=object)

    def resource(self, name: str) -> ResourceType:
        """A managed resource; this and the others below raise an UnknownTypeError for an unknown name."""
        schema = self.schema.resources[name]
        return ResourceType(name, schema.block, schema.version, self.schema.identities.get(name))

    def data_source(self, name: str) -> BlockType:
        return BlockType(name, self.schema.data_sources[name].block)

    def ephemeral_resource(self, name: str) -> BlockType:
        return BlockType(name, self.schema.ephemeral_resources[name].block)

    def list_resource(self, name: str) -> BlockType:
        return BlockType(name, self.schema.list_resources[name].block)

    def action(self, name: str) -> BlockType:
        return BlockType(name, self.schema.actions[name].block)

    def function(self, name: str) -> Function:
        return self.schema.functions[name]

    @cached_property
    def meta(self) -> dict[str, bytes]:
        """The field `provider_meta` of requests: absent where the provider has no schema for it."""
        schema = self.schema.provider_meta
        if schema is None:
            return {}
        meta = BlockType("provider_meta", schema.block)
        value = None if self.provider_meta is None else meta.coerced(self.provider_meta)
        return {"provider_meta": meta.encoded(value)}
