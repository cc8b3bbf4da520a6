"""All that a provider says about its types, decoded type by type as they are needed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

from google.protobuf.message import Message

from ferrule.terraform.diagnostics import Diagnostic
from ferrule.terraform.errors import InvalidResponseError
from ferrule.terraform.messages import Protocol, diagnostics
from ferrule.terraform.schema.decoding import decode_action, decode_function, decode_identity, decode_schema
from ferrule.terraform.schema.index import indexing_class
from ferrule.terraform.schema.lazy import LazyMapping, decoded
from ferrule.terraform.schema.model import Function, IdentitySchema, Schema

if TYPE_CHECKING:
    from ferrule.terraform.schema.export import Core

__all__ = ["Capabilities", "ProviderSchema"]

_Model = TypeVar("_Model")


@dataclass(frozen=True)
class Capabilities:
    """What a provider can do beyond what each one can.

    Attributes:
        plan_destroy: The provider plans destructions too.
        get_provider_schema_optional: A process of the provider answers without a call of GetProviderSchema before; if
            not, the call is made in each process, also where its answer is known.
        move_resource_state: The provider takes over resources of other types.
        generate_resource_config: The provider writes configurations for resources that exist.
    """

    plan_destroy: bool = False
    get_provider_schema_optional: bool = False
    move_resource_state: bool = False
    generate_resource_config: bool = False


class ProviderSchema:
    """The schemas of a provider.

    Attributes:
        resources (LazyMapping[Schema]): The managed resources by type name.
        data_sources (LazyMapping[Schema]): The data sources by type name.
        ephemeral_resources (LazyMapping[Schema]): The ephemeral resources by type name.
        list_resources (LazyMapping[Schema]): The configurations of lists of resources, by type name.
        actions (LazyMapping[Schema]): The configurations of actions, by type name.
        functions (LazyMapping[Function]): The functions by name.
        identities (LazyMapping[IdentitySchema]): What identifies a resource, by type name; not each type has it.
        capabilities (Capabilities): What the provider can do; nothing of it before the protocols 5.3 and 6.3.
        diagnostics (tuple[Diagnostic, ...]): Warnings and errors beside the schema. Beside an error the schema may be
            anything.
        identity_diagnostics (tuple[Diagnostic, ...]): Those of the answer to GetResourceIdentitySchemas.

    Example:
        >>> schema.resources["aws_s3_bucket"].block.attributes["bucket"].optional  # doctest: +SKIP
        True
    """

    @classmethod
    def of(cls, protocol: Protocol, schema_response: bytes, identity_response: bytes | None = None) -> "ProviderSchema":
        """The schema of a provider's answers. Names alone are read now: some milliseconds for 1,500 resources.

        Args:
            protocol: The protocol of the answers.
            schema_response: The answer to GetProviderSchema, serialised.
            identity_response: The answer to GetResourceIdentitySchemas; None where the provider has no such method.

        Raises:
            InvalidResponseError: An answer is not a protobuf message. A broken schema of one type is found when that
                type is asked for.
        """
        return cls(protocol, schema_response, identity_response)

    def __init__(self, protocol: Protocol, schema_response: bytes, identity_response: bytes | None) -> None:
        self.protocol: Final = protocol
        answer = _indexed(protocol, "GetProviderSchema", schema_response)
        self.resources = self._schemas("resource", answer.resource_schemas)
        self.data_sources = self._schemas("data source", answer.data_source_schemas)
        self.ephemeral_resources = self._schemas("ephemeral resource", answer.ephemeral_resource_schemas)
        self.list_resources = self._schemas("list resource", answer.list_resource_schemas)
        self.actions = self._mapping("action", answer.action_schemas, "ActionSchema", decode_action)
        self.functions: LazyMapping[Function] = self._mapping("function", answer.functions, "Function", decode_function)
        identities = _indexed(protocol, "GetResourceIdentitySchemas", identity_response or b"")
        self.identities: LazyMapping[IdentitySchema] = self._mapping(
            "identity", identities.identity_schemas, "ResourceIdentitySchema", decode_identity
        )
        self.diagnostics: tuple[Diagnostic, ...] = diagnostics(answer)
        self.identity_diagnostics: tuple[Diagnostic, ...] = diagnostics(identities)
        self.capabilities = _capabilities(answer.server_capabilities)
        self._provider: Message | None = answer.provider if answer.HasField("provider") else None
        self._provider_meta: Message | None = answer.provider_meta if answer.HasField("provider_meta") else None

    def _schemas(self, kind: str, serialised: Mapping[str, bytes]) -> LazyMapping[Schema]:
        return self._mapping(kind, serialised, "Schema", decode_schema)

    def _mapping(
        self, kind: str, serialised: Mapping[str, bytes], message: str, decode: Callable[[Message], _Model]
    ) -> LazyMapping[_Model]:
        return LazyMapping(kind, serialised, lambda data: self.protocol.message(message).FromString(data), decode)

    @cached_property
    def provider(self) -> Schema:
        """The schema of the provider's own configuration.

        Raises:
            InvalidResponseError: The answer has none, or a broken one.
        """
        message = self._provider
        if message is None:
            raise InvalidResponseError("the provider's answer has no schema of its configuration")
        return decoded("the schema of the provider's configuration", lambda: decode_schema(message))

    @cached_property
    def provider_meta(self) -> Schema | None:
        """The schema of what a module tells the provider; None if modules tell nothing."""
        message = self._provider_meta
        return None if message is None else decoded("the schema of provider_meta", lambda: decode_schema(message))

    def to_json(self, address: str, core: "Core" = "terraform") -> str:
        """The text that `terraform providers schema -json` prints for this provider, byte for byte.

        Args:
            address: The provider's source address, such as `hashicorp/random`.
            core: Whose text: Terraform 1.13 and OpenTofu 1.12 differ in a few places; default "terraform".

        Returns:
            One line with its newline. A large provider takes a second; other threads run in the meantime.

        Raises:
            InvalidResponseError: The schema of a type is broken.
            ValueError: `core` is neither "terraform" nor "opentofu".
        """
        from ferrule.terraform.schema.export import to_json

        return to_json(self, address, core)

    def __repr__(self) -> str:
        counts = (self.resources, self.data_sources, self.functions)
        return f"<ProviderSchema: {', '.join(f'{len(each)} {each.kind}s' for each in counts)}>"


def _indexed(protocol: Protocol, method: str, response: bytes) -> Any:
    """An answer whose types are bytes."""
    return decoded(
        f"the answer to {method}", lambda: indexing_class(protocol, f"{method}.Response").FromString(response)
    )


def _capabilities(message: Any) -> Capabilities:
    return Capabilities(
        message.plan_destroy,
        message.get_provider_schema_optional,
        message.move_resource_state,
        message.generate_resource_config,
    )
