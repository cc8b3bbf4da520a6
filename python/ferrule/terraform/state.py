"""The state of one resource, as a program keeps it: attributes, private data, identity.

Attributes are kept as the text that was stored, with each digit of their numbers: providers get that text back, as
RawState.json of UpgradeResourceState.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from os import PathLike
from typing import Any, Final

from ferrule._secrecy import forgetful
from ferrule.terraform.cty import CtyError, Path, Type, decode_json, encode_json
from ferrule.terraform.errors import StateError
from ferrule.terraform.json_text import JSONTextError, members, whole
from ferrule.terraform.redaction import WithoutValue, path_to_json, redacted
from ferrule.terraform.state_members import shown_json, state_fields

__all__ = ["ResourceState"]

SHOWN_CHARACTERS: Final = 10_000
"""Length of the attributes up to which a repr has their values."""


@dataclass(frozen=True, repr=False, kw_only=True)
class ResourceState:
    """What is known of one resource after its last operation. It is immutable, and JSON both ways.

    A program stores it after each operation and gives it to the next one. Its JSON has secrets, as state files of
    Terraform have them: the private data, and the values of sensitive attributes.

    Attributes:
        type: The type of the resource, `aws_s3_bucket`.
        json: All attributes as JSON text, exactly as they were stored; None if `flatmap` has them. `attributes` is the
            dict of it.
        schema_version: Version of the resource's schema that the attributes follow.
        private: Bytes that are the provider's own affair. Without them providers forget things: timeouts, for example.
        identity_json: The identity as JSON text, None if the resource has none. `identity` is the dict of it.
        identity_schema_version: Version of the identity's schema.
        provider: Source address of the provider, `registry.terraform.io/hashicorp/aws`; empty if not known.
        tainted: The resource is there, but broken, so that the next plan replaces it: its creation ended with errors.
        flatmap: Attributes of states from before Terraform 0.12, by keys with dots.
        sensitive: Paths of values that are sensitive; None if nobody knows, and a repr then shows no value at all.

    Example:
        >>> state = ResourceState.from_json('{"type": "random_pet", "schema_version": 0, "attributes": {"id": "cat"}}')
        >>> state.attributes["id"]
        'cat'
    """

    type: str
    json: str | None = None
    schema_version: int = 0
    private: bytes = b""
    identity_json: str | None = None
    identity_schema_version: int = 0
    provider: str = ""
    tainted: bool = False
    flatmap: Mapping[str, str] | None = field(default=None, hash=False)
    sensitive: tuple[Path, ...] | None = None
    # What the attributes come from, if they follow its schema for certain, so that no upgrade is needed: an object that
    # the operations of one provider share. It is neither stored nor pickled, since it ends with the process.
    _origin: object = field(default=None, compare=False)
    # The text of the attributes with the value that an operation of this process made it of: nothing reads it again,
    # and a float64 of the provider goes back as one, where the text has decimals only.
    _made_of: tuple[str, Any] | None = field(default=None, compare=False)

    @classmethod
    def of(
        cls,
        type_name: str,
        value: Mapping[str, Any],
        value_type: Type,
        *,
        identity: Any = None,
        identity_type: Type | None = None,
        **rest: Any,
    ) -> "ResourceState":
        """The state of a value of a type.

        Args:
            type_name: The type of the resource.
            value: All attributes, known.
            value_type: The type of the value: that of the schema.
            identity: The identity, None if there is none.
            identity_type: The type of the identity.
            rest: Further attributes of the state.

        Raises:
            CtyError: The value is not of the type, or not wholly known.
        """
        text = None if identity is None or identity_type is None else encode_json(identity, identity_type)
        attributes = encode_json(value, value_type)
        return cls(type=type_name, json=attributes, identity_json=text, _made_of=(attributes, value), **rest)

    def value(self, of: Type) -> Any:
        """The attributes as a value of a type, not to be changed; an attribute that is not stored is null.

        Raises:
            CtyError: They are not of the type.
            StateError: They are in the form of before Terraform 0.12.
        """
        if self._made_of is not None and self._made_of[0] is self.json:
            return self._made_of[1]
        return decode_json(self._stored(), of)

    def identity_value(self, of: Type) -> Any:
        """The identity as a value of a type; None if there is none.

        Raises:
            StateError: It is not of the type.
        """
        try:
            return None if self.identity_json is None else decode_json(self.identity_json, of)
        except CtyError as error:
            raise StateError(f"the identity of this {self.type} does not fit its schema: {error}") from None

    @property
    def attributes(self) -> dict[str, Any]:
        """All attributes as a new dict, as JSON has them: sets are lists, fractions are `Decimal`.

        Raises:
            StateError: They are no JSON, or in the form of before Terraform 0.12.
        """
        return _plain(self._stored(), "attributes")

    @property
    def identity(self) -> dict[str, Any] | None:
        """The identity as a new dict; None if the resource has none."""
        return None if self.identity_json is None else _plain(self.identity_json, "identity")

    def _stored(self) -> str:
        if self.json is None:
            raise StateError(f"the state of this {self.type} is from before Terraform 0.12: upgrade it first")
        return self.json

    def to_json(self) -> str:
        """The whole state as a JSON object on one line, secrets included; `from_json` reads it.

        The attributes and the identity are in it as the text that was stored.
        """
        parts = {"type": json.dumps(self.type, ensure_ascii=False)}
        if self.provider:
            parts["provider"] = json.dumps(self.provider, ensure_ascii=False)
        parts["schema_version"] = str(self.schema_version)
        if self.json is not None:
            parts["attributes"] = self.json
        if self.flatmap is not None:
            parts["attributes_flat"] = json.dumps(dict(self.flatmap), ensure_ascii=False)
        if self.sensitive is not None:
            parts["sensitive_attributes"] = f"[{', '.join(map(path_to_json, self.sensitive))}]"
        if self.private:
            parts["private"] = f'"{base64.b64encode(self.private).decode()}"'
        if self.identity_json is not None:
            parts["identity"] = self.identity_json
            parts["identity_schema_version"] = str(self.identity_schema_version)
        if self.tainted:
            parts["status"] = '"tainted"'
        return f"{{{', '.join(f'{json.dumps(name)}: {text}' for name, text in parts.items())}}}"

    @classmethod
    @forgetful
    def from_json(cls, text: str | bytes) -> "ResourceState":
        """The state of a text that `to_json` made, or that another program wrote in its form.

        Raises:
            StateError: No JSON, or no state; the message names the place.
        """
        try:
            source = text.decode() if isinstance(text, bytes) else text
            only = whole(source)
            if not isinstance(only.value, dict):
                raise StateError(f"a state is an object of JSON, not {shown_json(only.value)}")
            given = members(source)
        except UnicodeDecodeError as error:
            raise StateError(f"the state is no text in UTF-8, at byte {error.start}") from None
        except JSONTextError as error:
            raise StateError(f"the state is no JSON object: {error}, at character {error.at}") from None
        fields = state_fields(source, given)
        if (fields.get("json") is None) == (fields.get("flatmap") is None):
            raise StateError("a state has either attributes or attributes_flat")
        return cls(**fields)

    @classmethod
    @forgetful
    def from_tfstate(cls, path: "str | PathLike[str]", address: str, *, deposed: str | None = None) -> "ResourceState":
        """The state of one resource of a `terraform.tfstate`; `StateFile` writes it back.

        Args:
            path: The file.
            address: As the tools write it: `aws_s3_bucket.logs`, `module.a.aws_s3_bucket.b["k"]`, `data.x.y[0]`.
            deposed: Key of a deposed object, 8 digits, which a replacement that failed has left; default the current
                object.

        Raises:
            StateError: An unreadable or encrypted file, one of another format, or no such resource in it.
        """
        from ferrule.terraform.tfstate.reading import StateReader

        return cls(**StateReader(path).fields(address, deposed))

    def is_of(self, origin: object) -> bool:
        """Whether the state comes from that provider of this process, and so needs no upgrade."""
        return origin is not None and self._origin is origin

    def __repr__(self) -> str:
        shown = [
            f"type={self.type!r}",
            f"schema_version={self.schema_version}",
            f"attributes={self._shown_attributes()}",
        ]
        shown += [f"private=({len(self.private)} bytes)"] if self.private else []
        shown += [f"identity={self.identity!r}"] if self.identity_json is not None else []
        shown += [f"provider={self.provider!r}"] if self.provider else []
        shown += ["tainted=True"] if self.tainted else []
        return f"ResourceState({', '.join(shown)})"

    def _shown_attributes(self) -> str:
        if self.json is None:
            return f"({len(self.flatmap or {})} of before Terraform 0.12)"
        if len(self.json) > SHOWN_CHARACTERS:
            return f"({len(self.json)} characters)"
        attributes = self.attributes
        if self.sensitive is None:
            return repr(dict.fromkeys(attributes, WithoutValue("...")))
        return repr(redacted(attributes, self.sensitive))

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_origin": None, "_made_of": None}


def _plain(text: str, what: str) -> dict[str, Any]:
    try:
        plain = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise StateError(f"the {what} of the state are no JSON: {error}") from None
    if not isinstance(plain, dict):
        raise StateError(f"the {what} of the state are no object of JSON")
    return plain
