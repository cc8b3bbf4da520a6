"""Many large calls at once, in a process of their own: its peak of resident memory is written, in KiB.

Run as: python -m stress.memory_program LIBRARY TARGET
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from grpc import aio

from ferrule.channel import insecure_channel

IN_FLIGHT = 128
PAYLOAD = bytes(range(256)) * 4096
ROUNDS = 3
FACTORIES = {"ferrule": insecure_channel, "grpcio": aio.insecure_channel}


async def main(library: str, target: str) -> None:
    async with FACTORIES[library](target) as channel:
        echo: Any = channel.unary_unary("/bench.Echo/Unary")

        async def calls() -> None:
            for _ in range(ROUNDS):
                assert await echo(PAYLOAD) == PAYLOAD

        await asyncio.gather(*(calls() for _ in range(IN_FLIGHT)))
    # Not getrusage, whose peak is also that of the process that was here before the program was executed.
    status = Path("/proc/self/status").read_text()
    sys.stdout.write(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")) + "\n")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
