"""Pools of plugins on many machines, with Ray: each node has its own pool, and work goes to the plugins.

    from ferrule.pool import PluginSpec
    from ferrule.ray import BinaryStore, RayPool

    async with RayPool(binaries=BinaryStore("/var/cache/ferrule")) as cluster:
        bucket = await cluster.run(spec, read_bucket, "my-bucket", idempotent=True)

What routes the work, `ferrule.ray.router`, knows no Ray. Names are loaded when they are first used.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from ferrule._late_names import late_name

if TYPE_CHECKING:
    from ferrule.ray.binaries import BinaryStore
    from ferrule.ray.errors import NodeLost, NoNodes
    from ferrule.ray.pool import Outcome, RayPool

__all__ = ["BinaryStore", "NoNodes", "NodeLost", "Outcome", "RayPool"]

_MODULE_BY_NAME: Final = {
    "BinaryStore": "binaries",
    "NoNodes": "errors",
    "NodeLost": "errors",
    "Outcome": "pool",
    "RayPool": "pool",
}


def __getattr__(name: str) -> Any:
    # Not at the import of this package: the router below it needs no Ray.
    if name in {"Outcome", "RayPool"} and find_spec("ray") is None:
        raise ImportError('ferrule.ray needs the package ray: pip install "ferrule[ray]"')
    return late_name(__name__, name, f"{__name__}.{_MODULE_BY_NAME[name]}" if name in __all__ else None)


def __dir__() -> list[str]:
    return sorted(__all__)
