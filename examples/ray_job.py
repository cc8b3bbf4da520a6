"""Hundreds of configured plugins on all nodes of a Ray cluster, each kept warm where its next task will go.

Run: python examples/ray_job.py [--plugins N] [--address ADDRESS]

Without an address, Ray is started on this machine. Needs `pip install "ferrule[ray]"`.
"""

import argparse
import asyncio
import time
from collections import Counter

import ray

from ferrule.pool import Lease, Limits, PluginSpec
from ferrule.ray import RayPool
from ferrule.testing import KV_CONFIG, KVStub, plugin_command
from ferrule.testing.kv_pb2 import GetRequest, PutRequest


async def put_and_get(lease: Lease, value: str) -> tuple[int, str]:
    """Runs on a node, with the plugin beside it: any number of calls for one message of Ray's."""
    kv = lease.stub(KVStub)
    await kv.Put(PutRequest(key="value", value=value.encode()))
    answer = await kv.Get(GetRequest(key="value"))
    return lease.pid, answer.value.decode()


async def main(plugins: int) -> None:
    # Settings that differ, such as the environment, make plugins of their own.
    specs = [
        PluginSpec(plugin_command(), {**KV_CONFIG, "env": {"ACCOUNT": str(number)}}, name=f"account-{number}")
        for number in range(plugins)
    ]
    async with RayPool(limits_per_node=Limits(max_plugins=plugins)) as cluster:
        for round_name in ("cold", "warm"):
            began = time.perf_counter()
            pids: set[int] = set()
            failures: Counter[str] = Counter()
            async for spec, outcome in cluster.map(specs, put_and_get, "green", timeout=120.0):
                if outcome.error is not None:
                    failures[f"{spec.name}: {outcome.error}"] += 1
                else:
                    pids.add(outcome.result()[0])
            print(
                f"{round_name}: {len(pids)} plugins in {time.perf_counter() - began:.2f} s, failures: {dict(failures)}"
            )
        # Not idempotent: begun at most once, and NodeLost if its node is lost after that.
        _, value = await cluster.run(specs[0], put_and_get, "blue")
        print(f"the value is {value}; {cluster.stats()['done']} tasks done")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--plugins", type=int, default=8, metavar="N", help="number of plugins (default: 8)")
    parser.add_argument(
        "--address", default="local", metavar="ADDRESS", help="of a Ray cluster (default: started here)"
    )
    options = parser.parse_args()
    ray.init(address=options.address, log_to_driver=False)
    try:
        asyncio.run(main(options.plugins))
    finally:
        ray.shutdown()
