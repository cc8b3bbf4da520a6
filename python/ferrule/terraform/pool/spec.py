"""provider_spec: a provider with its configuration, for pools."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from typing import Any, Literal, TypedDict, Unpack

from ferrule import _validation as rules
from ferrule._secrecy import forgetful
from ferrule.config import ClientConfig
from ferrule.errors import ConfigError
from ferrule.pool import PluginSpec
from ferrule.terraform.hosting.options import Options
from ferrule.terraform.hosting.target import Target, client_config, config_for, name_of
from ferrule.terraform.pool.canonical import canonical
from ferrule.terraform.pool.configured import ConfiguredStart
from ferrule.terraform.pool.methods import idempotent_paths

__all__ = ["Kept", "provider_spec"]


class Kept(TypedDict, total=False):
    """How a pool keeps a provider's processes; `PluginSpec` describes the settings."""

    name: str | None
    max_calls: int | None
    max_age: float | None
    max_idle: float | None
    max_memory_bytes: int | None
    max_concurrent_calls: int | None
    memory_soft_limit: int | None
    group: str | None
    exclusive: bool


@forgetful
def provider_spec(
    source: str | os.PathLike[str],
    config: Mapping[str, Any] | None = None,
    *,
    version: str | None = None,
    core: Literal["terraform", "opentofu"] = "terraform",
    terraform_version: str = "1.13.3",
    provider_meta: Mapping[str, Any] | None = None,
    schema_cache: bool = True,
    stop_timeout: float = 30.0,
    settings: ClientConfig | Mapping[str, Any] | None = None,
    **kept: Unpack[Kept],
) -> PluginSpec:
    """The spec of a provider that a pool starts and configures; `Provider.over` makes a provider of each lease.

    Specs of one program with equal configurations and settings share processes, and others never do. All leases with
    one spec, whichever process they are of, have one schema, and a plan that one of them made can be applied by
    another: make a spec once. Methods that change nothing are called again if their process dies in the middle;
    applies, for example, are not, and their ApplyError has the outcome "unknown".

    Args:
        source: As of `Provider.launch`. The program is looked for now, which takes seconds for a large one that is
            locked.
        config: The provider's configuration, `{}` for one that needs nothing. Each process is given it before its first
            lease. Default None: no process is configured, and leases are good for schema, validation and functions.
        version: As of `Provider.launch`, as are `core`, `terraform_version`, `provider_meta`, `schema_cache`,
            `stop_timeout` and `settings`.
        kept: `name`, by default the last part of the address, `max_calls`, `max_age`, `max_idle`, `max_memory_bytes`,
            `max_concurrent_calls`, `memory_soft_limit`, `group` and `exclusive`, as of `PluginSpec`.

    Raises:
        ProviderNotFoundError: There is no such provider.
        ConfigError: An argument does not fit, or the provider runs already, where no pool starts it.

    Example:
        ```python
        aws = provider_spec("hashicorp/aws", {"region": "eu-west-1"}, group="account-1234")
        async with PluginPool() as pool, pool.lease(aws) as lease, Provider.over(lease) as provider:
            state = await provider.resource("aws_s3_bucket").read(state)
        ```
    """
    options = Options(
        config=_own("config", config),
        core=core,
        terraform_version=terraform_version,
        provider_meta=_own("provider_meta", provider_meta),
        schema_cache=schema_cache,
        stop_timeout=stop_timeout,
    )
    name_of(source)
    given = client_config(settings)
    found, program = Target(source, version, core).find()
    if found.path is None:
        hint = "Provider.reattach() takes it; unset TF_REATTACH_PROVIDERS to have a pool start one."
        raise ConfigError(
            f"the provider {source!r} runs already, and a pool starts its plugins", hint, code="config.invalid"
        )
    if "name" not in kept and found.address:
        kept["name"] = found.address.rpartition("/")[2]
    return PluginSpec(
        [found.path],
        config_for(found, given),
        on_start=ConfiguredStart(program, found.address, options),
        idempotent=idempotent_paths(),
        **kept,
    )


@forgetful
def _own(name: str, values: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """A copy of a setting. The caller's may change later, and with it what the processes have in common.

    Raises:
        ConfigError: The values cannot be copied, or are too deep to be compared.
    """
    try:
        copied = copy.deepcopy(values)
        canonical(copied)
    except (RecursionError, TypeError, ValueError, copy.Error):
        # Not chained: the cause may quote what must stay hidden.
        message = f"setting {name} is <hidden>, expected values that can be copied, not in hundreds of levels"
        raise ConfigError(message, None, rules.INVALID) from None
    return copied
