"""Terraform providers for Python programs, above the plugin protocol.

    from ferrule.terraform import Provider

    async with Provider.launch("hashicorp/random", config={}) as random:
        plan = await random.resource("random_pet").plan({"length": 3})
        state = await random.resource("random_pet").apply(plan)

The values that providers take and give are in `ferrule.terraform.cty`; `ferrule.sync.Provider` is the same without an
event loop. Names are loaded when they are first used.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from ferrule._late_names import late_name

if find_spec("msgpack") is None:
    raise ImportError('ferrule.terraform needs the package msgpack: pip install "ferrule[terraform]"')

if TYPE_CHECKING:
    from ferrule.terraform import cty
    from ferrule.terraform.aio.provider import Provider
    from ferrule.terraform.cty import UNKNOWN
    from ferrule.terraform.diagnostics import Diagnostic, Severity
    from ferrule.terraform.errors import (
        ApplyError,
        ConfigurationError,
        DeferredError,
        FunctionCallError,
        InvalidResponseError,
        LifecycleError,
        NotFoundError,
        PlanError,
        Problem,
        ProviderError,
        ProviderNotFoundError,
        StateError,
        StoppedError,
        TerraformError,
        UnknownTypeError,
        UnsupportedError,
    )
    from ferrule.terraform.finding import find_provider
    from ferrule.terraform.hosting.metadata import Metadata
    from ferrule.terraform.plan import Action, Plan
    from ferrule.terraform.pool.spec import provider_spec
    from ferrule.terraform.schema import ProviderSchema
    from ferrule.terraform.state import ResourceState
    from ferrule.terraform.tfstate import StateFile

__all__ = [
    "UNKNOWN",
    "Action",
    "ApplyError",
    "ConfigurationError",
    "DeferredError",
    "Diagnostic",
    "FunctionCallError",
    "InvalidResponseError",
    "LifecycleError",
    "Metadata",
    "NotFoundError",
    "Plan",
    "PlanError",
    "Problem",
    "Provider",
    "ProviderError",
    "ProviderNotFoundError",
    "ProviderSchema",
    "ResourceState",
    "Severity",
    "StateError",
    "StateFile",
    "StoppedError",
    "TerraformError",
    "UnknownTypeError",
    "UnsupportedError",
    "cty",
    "find_provider",
    "provider_spec",
]

_HOME_OF_OTHERS: Final = {
    "UNKNOWN": "cty",
    "Action": "plan",
    "Diagnostic": "diagnostics",
    "Metadata": "hosting.metadata",
    "Plan": "plan",
    "Provider": "aio.provider",
    "ProviderSchema": "schema",
    "ResourceState": "state",
    "Severity": "diagnostics",
    "StateFile": "tfstate",
    "cty": "cty",
    "find_provider": "finding",
    "provider_spec": "pool.spec",
}


def __getattr__(name: str) -> Any:
    return late_name(__name__, name, f"{__name__}.{_HOME_OF_OTHERS.get(name, 'errors')}" if name in __all__ else None)


def __dir__() -> list[str]:
    return __all__
