"""The settings of a provider's host, checked when they are made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, TypedDict

from ferrule import _validation as rules
from ferrule._secrecy import forgetful_init

__all__ = ["CLOSE_SECONDS", "Options", "Told"]

CLOSE_SECONDS: Final = 10.0
"""Seconds to wait for the end of an ephemeral resource, as core does."""


def _mapping(value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise ValueError
    return value


_VALUES = rules.Rule("a mapping of names to values", _mapping, secret=True)


def _version(value: Any) -> Any:
    # Protobuf takes no half of a surrogate pair.
    if not isinstance(value, str) or not value or "\0" in value or not value.isprintable():
        raise ValueError
    return value


_VERSION = rules.Rule("a version of Terraform, such as 1.13.3", _version)


class Told(TypedDict, total=False):
    """The options of a provider that was not launched here, beside its configuration; `Options` describes them."""

    core: Literal["terraform", "opentofu"]
    terraform_version: str
    provider_meta: Mapping[str, Any] | None
    stop_timeout: float


@forgetful_init
@rules.settings
@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a provider is told, and how core's part is played.

    Attributes:
        config: The provider's configuration, given to it at its start; None for none, so that `configure` gives one.
        core: The core whose behaviour counts where Terraform's and OpenTofu's differ; default Terraform's.
        terraform_version: The version of Terraform that the provider is told; some behave by it.
        provider_meta: The configuration of the provider's `provider_meta` block; default none.
        schema_cache: Whether the schema may come from the disk, where it is stored by the program's contents.
        stop_timeout: Seconds to wait for the answer to an apply that was cancelled.

    Raises:
        ConfigError: A value does not fit.
    """

    config: Annotated[Mapping[str, Any] | None, rules.optional(_VALUES)] = field(default=None, repr=False)
    core: Annotated[Literal["terraform", "opentofu"], rules.one_of("terraform", "opentofu")] = "terraform"
    terraform_version: Annotated[str, _VERSION] = "1.13.3"
    provider_meta: Annotated[Mapping[str, Any] | None, rules.optional(_VALUES)] = field(default=None, repr=False)
    schema_cache: Annotated[bool, rules.flag()] = True
    stop_timeout: Annotated[float, rules.seconds()] = 30.0

    def __post_init__(self) -> None:
        rules.check_fields(self, described_by="ferrule.terraform.Provider.launch")
