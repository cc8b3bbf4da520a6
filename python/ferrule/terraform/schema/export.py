"""The text of `terraform providers schema -json` and `tofu providers schema -json`.

Sources: command/jsonprovider and command/jsonfunction of Terraform 1.13 and OpenTofu 1.12. What they leave out is left
out here: provider_meta, capabilities, list resources, actions.
"""

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, Literal, TypeVar

from ferrule.terraform.cty import Type
from ferrule.terraform.schema.lazy import LazyMapping
from ferrule.terraform.schema.model import (
    Attribute,
    Block,
    Function,
    IdentityAttribute,
    IdentitySchema,
    NestedBlock,
    NestedType,
    Parameter,
    Schema,
)

__all__ = ["Core", "to_json"]

Core = Literal["terraform", "opentofu"]
"""One of the two programs whose part Ferrule plays."""

FORMAT_VERSION: Final = "1.0"
_REGISTRIES: Final[Mapping[str, str]] = {"terraform": "registry.terraform.io", "opentofu": "registry.opentofu.org"}

_Model = TypeVar("_Model")
_Object = dict[str, Any]

# Go's encoder escapes these within strings, and they are nowhere else in JSON.
_ESCAPED_BY_GO: Final = {each: f"\\u{ord(each):04x}" for each in "<>&\u2028\u2029"}


def to_json(
    address: str,
    core: Core,
    provider: Schema,
    schemas: Mapping[str, LazyMapping[Schema]],
    functions: LazyMapping[Function],
    identities: LazyMapping[IdentitySchema],
) -> str:
    """The text for one provider; see `ProviderSchema.to_json`.

    Args:
        address: The provider's source address.
        core: Whose text.
        provider: The schema of the provider's configuration.
        schemas: The types by the members that they are in, in the order of these.
        functions: The functions.
        identities: The identities of resources.
    """
    if core not in _REGISTRIES:
        raise ValueError(f'core is "terraform" or "opentofu", got {core!r}')
    writer = _Writer(core)
    members = [
        f'"provider":{_text(writer.schema(provider))}',
        *(_section(name, types, writer.schema) for name, types in schemas.items()),
        _section("functions", functions, writer.function),
        _section("resource_identity_schemas", identities, writer.identity),
    ]
    key, value = _text(full_address(address, core)), ",".join(filter(None, members))
    return f'{{"format_version":"{FORMAT_VERSION}","provider_schemas":{{{key}:{{{value}}}}}}}\n'


def full_address(address: str, core: Core) -> str:
    """The source address with its registry and namespace.

    Example:
        >>> full_address("hashicorp/random", "terraform")
        'registry.terraform.io/hashicorp/random'
    """
    parts = address.split("/")
    default = (_REGISTRIES[core], "hashicorp")
    return "/".join((*default[: max(0, 3 - len(parts))], *parts))


def _section(name: str, types: LazyMapping[_Model], write: Callable[[_Model], _Object]) -> str:
    """One member of the document; empty if there are no types."""
    # One type at a time: json holds the interpreter's lock for a whole document.
    members = ",".join(f"{_text(name)}:{_text(write(model))}" for name, model in types.unkept_items())
    return f'"{name}":{{{members}}}' if members else ""


def _text(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character, escape in _ESCAPED_BY_GO.items():
        if character in text:
            text = text.replace(character, escape)
    return text


def _members(**members: Any) -> _Object:
    """An object without the members that are empty, 0 or false, as Go's `omitempty` has it."""
    return {name: value for name, value in members.items() if value}


def _sorted(each_of: Mapping[str, _Model], write: Callable[[_Model], _Object]) -> _Object:
    return {name: write(each_of[name]) for name in sorted(each_of)}


@lru_cache(maxsize=1024)
def _notation(of: Type) -> Any:
    return json.loads(of.json)


class _Writer:
    """Schemas as objects whose members are in the order that a core writes them in."""

    def __init__(self, core: Core) -> None:
        self.opentofu = core == "opentofu"

    def schema(self, schema: Schema) -> _Object:
        return {"version": schema.version, "block": self.block(schema.block)}

    def block(self, block: Block) -> _Object:
        return {
            **_members(
                attributes=_sorted(block.attributes, self.attribute),
                block_types=_sorted(block.block_types, self.nested_block),
                description=block.description,
            ),
            "description_kind": block.description_kind,
            **_members(deprecated=block.deprecated, deprecation_message=self.opentofu and block.deprecation_message),
        }

    def nested_block(self, nested: NestedBlock) -> _Object:
        return {
            "nesting_mode": nested.nesting.value,
            "block": self.block(nested.block),
            **_members(min_items=nested.min_items, max_items=nested.max_items),
        }

    def attribute(self, attribute: Attribute) -> _Object:
        return self._attribute(attribute, attribute.deprecation_message if self.opentofu else "")

    def _attribute(self, attribute: Attribute, deprecation_message: str) -> _Object:
        return {
            **_members(
                type=_notation(attribute.type) if attribute.type else None,
                nested_type=self.nested_type(attribute.nested_type) if attribute.nested_type else None,
                description=attribute.description,
            ),
            "description_kind": attribute.description_kind,
            **_members(
                deprecated=attribute.deprecated,
                deprecation_message=deprecation_message,
                required=attribute.required,
                optional=attribute.optional,
                computed=attribute.computed,
                sensitive=attribute.sensitive,
                write_only=attribute.write_only,
            ),
        }

    def nested_type(self, nested: NestedType) -> _Object:
        # Both cores lose the messages of deprecation in nested types.
        attributes = _sorted(nested.attributes, lambda each: self._attribute(each, ""))
        return {**_members(attributes=attributes), "nesting_mode": nested.nesting.value}

    def function(self, function: Function) -> _Object:
        variadic = function.variadic_parameter
        return {
            **self._texts(description=function.description, summary=function.summary),
            **_members(deprecation_message="" if self.opentofu else function.deprecation_message),
            "return_type": self._function_type(function.return_type),
            **_members(
                parameters=list(map(self.parameter, function.parameters)),
                variadic_parameter=self.parameter(variadic) if variadic else None,
            ),
        }

    def parameter(self, parameter: Parameter) -> _Object:
        texts = self._texts(name=parameter.name, description=parameter.description)
        of, nullable = {"type": self._function_type(parameter.type)}, _members(is_nullable=parameter.allow_null)
        return {**texts, **of, **nullable} if self.opentofu else {**texts, **nullable, **of}

    def _texts(self, **texts: str) -> _Object:
        return texts if self.opentofu else _members(**texts)

    def _function_type(self, of: Type) -> Any:
        # OpenTofu forgets which attributes of an object are optional.
        return _notation(of.plain if self.opentofu else of)

    def identity(self, identity: IdentitySchema) -> _Object:
        attributes = _sorted(identity.attributes, self.identity_attribute)
        return {"version": identity.version, **_members(attributes=attributes)}

    def identity_attribute(self, attribute: IdentityAttribute) -> _Object:
        return _members(
            type=_notation(attribute.type),
            description=attribute.description,
            required_for_import=attribute.required_for_import,
            optional_for_import=attribute.optional_for_import,
        )
