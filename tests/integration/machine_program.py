"""Hosts whose machine refuses something from the first use on: `python machine_program.py WHAT FACE [NUMBER]`.

Prints how the start failed, as `CLASS CODE HAS_HINT MESSAGE`, or `started`.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import tempfile

from ferrule.client import RPCPluginClient
from ferrule.sync import RPCPluginClient as SyncClient
from ferrule.testing import KV_CONFIG, plugin_command

OTHER_USER = 64_999


def refuse(what: str, number: int) -> None:
    """Takes something away from this process."""
    if what != "directory":
        tempfile.gettempdir()
    if what == "descriptors":
        spare = os.dup(0)
        os.close(spare)
        resource.setrlimit(resource.RLIMIT_NOFILE, (spare + number, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    elif what == "directory":
        # No file can be written, so that none of the usual directories will do.
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    elif what == "threads":
        os.setgroups([])
        os.setresgid(OTHER_USER, OTHER_USER, OTHER_USER)
        os.setresuid(OTHER_USER, OTHER_USER, OTHER_USER)
        resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))


async def start(client: RPCPluginClient) -> None:
    try:
        await client.start()
    finally:
        # Also after a start that failed it gives back what there is, and raises nothing.
        await client.close()


def start_blocking(client: SyncClient) -> None:
    try:
        client.start()
    finally:
        client.close()


def main(what: str, face: str, number: int) -> str:
    makers = {"asyncio": RPCPluginClient, "blocking": SyncClient}
    client = makers[face](plugin_command(), KV_CONFIG)
    work = start(client) if isinstance(client, RPCPluginClient) else None
    # The loop is the program's own, and is there before anything is missing.
    with asyncio.Runner() as runner:
        runner.get_loop()
        refuse(what, number)
        try:
            if work is not None:
                runner.run(work)
            else:
                start_blocking(client)  # type: ignore[arg-type]
        except Exception as error:  # noqa: BLE001 - whatever it is, the test is to see it.
            code, hint = getattr(error, "code", None), bool(getattr(error, "hint", None))
            return f"{type(error).__name__} {code} {hint} {str(error).splitlines()[0]}"
    return "started"


if __name__ == "__main__":
    sys.stdout.write(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
