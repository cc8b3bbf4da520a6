"""Create and destroy resources with many configurations of one Terraform provider, over a pool.

Run: python examples/provider_pool.py PROVIDER TYPE [CONFIG] [--configurations N] [--tasks N]
For instance: python examples/provider_pool.py hashicorp/random random_pet '{"length": 3}'

PROVIDER is a path, or a source address of a provider that Terraform or OpenTofu has installed; CONFIG is JSON. Each of
the configurations has processes of its own, as accounts of a cloud would; all tasks of one share them.
"""

import argparse
import asyncio
import json
import sys
import time
from typing import Any

from ferrule.errors import RPCPluginError
from ferrule.pool import LeaseTimeout, Limits, PluginPool, PluginSpec
from ferrule.terraform import ApplyError, Provider, provider_spec

# Of a large provider, limit the memory: max_memory_bytes=4 * 2**30, for instance. The last one spares a cloud's API.
LIMITS = Limits(max_plugins=20, acquire_timeout=60, max_concurrent_calls_per_group=16)


async def create_and_destroy(pool: PluginPool, spec: PluginSpec, kind: str, config: dict[str, Any]) -> tuple[int, str]:
    """One task: which process did it, and how it ended."""
    try:
        async with pool.lease(spec) as lease, Provider.over(lease) as provider:
            resource = provider.resource(kind)
            state = await resource.apply(await resource.plan(config))
            assert state is not None
            await resource.destroy(state)
            return lease.pid, "done"
    except LeaseTimeout as error:
        # Nothing has begun: the task may simply be done later.
        return 0, f"no lease, held by {error.held_by}"
    except ApplyError as error:
        # After "unknown" the process ended in the middle: look at the resource before trying again.
        return 0, f"outcome {error.outcome}: {error}"


async def main(options: argparse.Namespace) -> None:
    specs = [
        # An account would be set here: {"AWS_PROFILE": name} in the environment, or the provider's configuration.
        provider_spec(options.provider, {}, settings={"env": {"EXAMPLE_ACCOUNT": name}}, name=name, group="cloud")
        for name in (f"account-{number}" for number in range(options.configurations))
    ]
    began = time.perf_counter()
    async with PluginPool(LIMITS) as pool:
        ends = await asyncio.gather(
            *(
                create_and_destroy(pool, specs[number % len(specs)], options.type, options.config)
                for number in range(options.tasks)
            )
        )
    for end in sorted({end for _, end in ends}):
        print(f"{sum(end == other for _, other in ends)} tasks: {end}")
    processes = {pid for pid, _ in ends if pid}
    print(f"{len(specs)} configurations, {len(processes)} processes, {time.perf_counter() - began:.2f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("provider", metavar="PROVIDER")
    parser.add_argument("type", metavar="TYPE")
    parser.add_argument("config", metavar="CONFIG", nargs="?", type=json.loads, default="{}")
    parser.add_argument("--configurations", type=int, default=5, metavar="N", help="default: 5")
    parser.add_argument("--tasks", type=int, default=40, metavar="N", help="default: 40")
    try:
        asyncio.run(main(parser.parse_args()))
    except RPCPluginError as error:
        sys.exit(str(error))
