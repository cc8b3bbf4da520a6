"""PluginSpec: which plugin, and how a pool keeps it."""

import inspect
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Annotated, Any

from ferrule import _validation as rules
from ferrule._secrecy import forgetful_init
from ferrule.config import ClientConfig, check_command
from ferrule.errors import ConfigError

__all__ = ["PluginSpec"]

_COUNT = rules.optional(rules.whole_number(1, 2**63 - 1))
_SECONDS = rules.optional(rules.seconds())
_ON_START = rules.optional(
    rules.instance("an async function that takes the client", lambda value: inspect.iscoroutinefunction(_called(value)))
)


def _called(value: Any) -> Any:
    return value if inspect.isroutine(value) else getattr(value, "__call__", value)  # noqa: B004 - async ones are asked for.


def _methods(given: Collection[str]) -> frozenset[str]:
    """The paths of methods, each in the form `/service/method`.

    Raises:
        ConfigError: One is of another form.
    """
    if isinstance(given, str) or not isinstance(given, Collection):
        raise ConfigError(f"setting idempotent is {given!r}, expected a collection of paths", None, rules.INVALID)
    for path in given:
        if not isinstance(path, str) or path.count("/") != 2 or not path.startswith("/"):
            hint = "A path has the form /package.Service/Method."
            raise ConfigError(f"setting idempotent has {path!r}, expected the path of a method", hint, rules.INVALID)
    return frozenset(given)


@forgetful_init
@rules.settings
@dataclass(frozen=True, eq=False)
class PluginSpec:
    """One plugin that a pool may start, and the limits of each of its processes.

    Specs with equal program, arguments, environment and protocol settings share a process. A spec is equal to itself
    alone, and may be made once and used from then on: finding its plugin is then a look into a dict.

    Attributes:
        command: The program and its arguments, as of `RPCPluginClient`.
        config: Settings of the client, as of `RPCPluginClient`; default Terraform's.
        name: What logs, measures and errors call the plugin; default the program's base name.
        max_calls: Leases after which a process is replaced; default None, never.
        max_age: Seconds after which a process is replaced, less a jitter of up to 10 %; default None, never.
        max_idle: Seconds without a lease after which a process is stopped; default None, those of the pool's limits.
        max_memory_bytes: Private memory from which on a process is replaced; default None, never.
        max_concurrent_calls: Leases at once, and calls at once, per process; default None, any number.
        memory_soft_limit: The memory, in bytes, that a plugin written in Go is asked to stay below: GOMEMLIMIT in its
            environment; default None, not set.
        on_start: Awaited with the client after each start, before the first lease: configures a provider, for example.
            If it raises, the start has failed. Specs share a process only if they have one and the same function, or
            objects whose attributes `key`, bytes, are equal. Default None.
        idempotent: Paths of the methods, such as "/tfplugin6.Provider/ReadResource", that may be called again after
            their plugin died in the middle; default none.
        group: Plugins whose concurrent leases the pool's limits bound together, a cloud account for example; default
            none.
        exclusive: Whether no two processes of this spec may serve at once, on one machine or on several; default False.

    Raises:
        ConfigError: A setting does not fit.

    Example:
        >>> from ferrule.pool import PluginSpec
        >>> PluginSpec(["./terraform-provider-aws"], {"env": {"AWS_REGION": "eu-west-1"}}, name="aws-eu")
        <PluginSpec 'aws-eu'>
    """

    command: Annotated[Sequence[str | os.PathLike[str]], rules.Rule("a command line", check_command)]
    config: Annotated[ClientConfig | Mapping[str, Any] | None, rules.Rule("settings of a client", ClientConfig.of)] = (
        None
    )
    name: Annotated[str | None, rules.optional(rules.text("a name"))] = None
    max_calls: Annotated[int | None, _COUNT] = None
    max_age: Annotated[float | None, _SECONDS] = None
    max_idle: Annotated[float | None, _SECONDS] = None
    max_memory_bytes: Annotated[int | None, _COUNT] = None
    max_concurrent_calls: Annotated[int | None, _COUNT] = None
    memory_soft_limit: Annotated[int | None, _COUNT] = None
    on_start: Annotated[Callable[..., Any] | None, _ON_START] = None
    idempotent: Annotated[Collection[str], rules.Rule("paths of methods", _methods)] = ()
    group: Annotated[str | None, rules.optional(rules.text("a name"))] = None
    exclusive: Annotated[bool, rules.flag()] = False

    def __post_init__(self) -> None:
        rules.check_fields(self, described_by="ferrule.pool.PluginSpec")
        if self.config is None:
            object.__setattr__(self, "config", ClientConfig.of(None))
        if self.name is None:
            object.__setattr__(self, "name", PurePath(os.fspath(self.command[0])).name)

    def __repr__(self) -> str:
        return f"<PluginSpec {self.name!r}>"
