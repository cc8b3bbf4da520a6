"""All that a provider says about its types, decoded type by type as they are needed."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from ferrule.terraform.errors import InvalidResponseError
from ferrule.terraform.messages import Protocol, diagnostics
from ferrule.terraform.schema.answer import Answer
from ferrule.terraform.schema.decoding import decode_action, decode_function, decode_identity, decode_schema
from ferrule.terraform.schema.export import Core, to_json
from ferrule.terraform.schema.lazy import LazyMapping, decoded
from ferrule.terraform.schema.model import Schema

__all__ = ["Capabilities", "ProviderSchema"]


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
        answer = _answer(protocol, "GetProviderSchema", schema_response)
        self.resources = LazyMapping("resource", answer.messages("resource_schemas"), decode_schema)
        self.data_sources = LazyMapping("data source", answer.messages("data_source_schemas"), decode_schema)
        self.ephemeral_resources = LazyMapping(
            "ephemeral resource", answer.messages("ephemeral_resource_schemas"), decode_schema
        )
        self.list_resources = LazyMapping("list resource", answer.messages("list_resource_schemas"), decode_schema)
        self.actions = LazyMapping("action", answer.messages("action_schemas"), decode_action)
        self.functions = LazyMapping("function", answer.messages("functions"), decode_function)
        identities = _answer(protocol, "GetResourceIdentitySchemas", identity_response or b"")
        self.identities = LazyMapping("identity", identities.messages("identity_schemas"), decode_identity)
        self.diagnostics = diagnostics(answer.message)
        self.identity_diagnostics = diagnostics(identities.message)
        self.capabilities = _capabilities(answer.message.server_capabilities)
        self._message = answer.message

    @cached_property
    def provider(self) -> Schema:
        """The schema of the provider's own configuration.

        Raises:
            InvalidResponseError: The answer has none, or a broken one.
        """
        if not self._message.HasField("provider"):
            raise InvalidResponseError("the provider's answer has no schema of its configuration")
        return decoded("the schema of the provider's configuration", lambda: decode_schema(self._message.provider))

    @cached_property
    def provider_meta(self) -> Schema | None:
        """The schema of what a module tells the provider; None if modules tell nothing."""
        if not self._message.HasField("provider_meta"):
            return None
        return decoded("the schema of provider_meta", lambda: decode_schema(self._message.provider_meta))

    def to_json(self, address: str, core: Core = "terraform") -> str:
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
        schemas = {
            "resource_schemas": self.resources,
            "data_source_schemas": self.data_sources,
            "ephemeral_resource_schemas": self.ephemeral_resources,
        }
        return to_json(address, core, self.provider, schemas, self.functions, self.identities)

    def _repr_html_(self) -> str:
        """A tree for a notebook, of kinds, types and attributes; of kinds with many types, of their names."""
        from ferrule.terraform.schema.notebook import provider_html

        kinds = (
            *(self.resources, self.data_sources, self.ephemeral_resources),
            *(self.list_resources, self.actions, self.functions),
        )
        return provider_html(lambda: self.provider, kinds)

    def __repr__(self) -> str:
        counts = (self.resources, self.data_sources, self.functions)
        return f"<ProviderSchema: {', '.join(f'{len(each)} {each.kind}s' for each in counts)}>"


def _answer(protocol: Protocol, method: str, response: bytes) -> Answer:
    return decoded(f"the answer to {method}", lambda: Answer(protocol.message(f"{method}.Response"), response))


def _capabilities(message: Any) -> Capabilities:
    return Capabilities(
        message.plan_destroy,
        message.get_provider_schema_optional,
        message.move_resource_state,
        message.generate_resource_config,
    )
