"""Pools of plugins: hundreds of them in one process, started when they are wanted and shared by all who want them.

    from ferrule.pool import PluginPool, PluginSpec

    aws = PluginSpec(["./terraform-provider-aws"], {"env": {"AWS_REGION": "eu-west-1"}}, name="aws-eu")
    async with PluginPool() as pool:
        async with pool.lease(aws) as lease:
            await lease.stub(ProviderStub).ReadResource(request)

`ferrule.sync.PluginPool` is the same without an event loop. Names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ferrule._late_names import late_name

if TYPE_CHECKING:
    from ferrule.pool.aio.lease import Lease
    from ferrule.pool.aio.pool import PluginPool
    from ferrule.pool.errors import (
        LeaseRevoked,
        LeaseTimeout,
        OutcomeUnknown,
        PluginDied,
        PluginUnavailable,
        PoolError,
        PoolFull,
    )
    from ferrule.pool.events import PoolEvent
    from ferrule.pool.limits import Limits
    from ferrule.pool.measures import PluginStats, PoolStats
    from ferrule.pool.spec import PluginSpec

__all__ = [
    "Lease",
    "LeaseRevoked",
    "LeaseTimeout",
    "Limits",
    "OutcomeUnknown",
    "PluginDied",
    "PluginPool",
    "PluginSpec",
    "PluginStats",
    "PluginUnavailable",
    "PoolError",
    "PoolEvent",
    "PoolFull",
    "PoolStats",
]

_MODULE_BY_NAME: Final = {
    "Lease": "aio.lease",
    "Limits": "limits",
    "PluginPool": "aio.pool",
    "PluginSpec": "spec",
    "PluginStats": "measures",
    "PoolEvent": "events",
    "PoolStats": "measures",
}


def __getattr__(name: str) -> Any:
    return late_name(__name__, name, f"{__name__}.{_MODULE_BY_NAME.get(name, 'errors')}" if name in __all__ else None)


def __dir__() -> list[str]:
    return sorted(__all__)
