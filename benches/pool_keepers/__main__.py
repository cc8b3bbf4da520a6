"""One measure of one keeper: `python -m pool_keepers KEEPER MEASURE PLUGIN SIZE CALLS` prints its figures as JSON."""

import asyncio
import json
import sys

from pool_keepers import keepers, measures

KEEPERS: dict[str, type[keepers.Keeper]] = {
    "pool": keepers.PoolKeeper,
    "locks": keepers.LockKeeper,
    "grpcio": keepers.GrpcioKeeper,
    "stack": keepers.StackKeeper,
}

if __name__ == "__main__":
    _, keeper, measure, plugin, size, calls = sys.argv
    print(json.dumps(asyncio.run(getattr(measures, measure)(KEEPERS[keeper], plugin, int(size), int(calls)))))
