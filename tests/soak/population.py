"""The plugins of a soak: of each kind some, under mutual TLS and not."""

from __future__ import annotations

import itertools
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

from ferrule.client import RPCPluginClient
from ferrule.pool import PluginPool, PluginSpec
from ferrule.sync import RPCPluginClient as BlockingClient
from ferrule.terraform import provider_spec
from peers import EXCHANGE_CONFIG, ROOT, go_exchange, go_kv, kv_config, provider_path, python_kv
from soak.alone import AloneExchange, AloneKV
from soak.blocking import BlockingKV
from soak.member import Member
from soak.pooled import Pooled, PooledKV, PooledProvider

__all__ = ["FULL", "SMALL", "Output", "make_members"]

FULL = {
    "Go KV plugin in the pool": 20,
    "Python KV plugin in the pool": 4,
    "provider simple": 2,
    "provider time": 2,
    "Go KV plugin": 6,
    "Go exchange plugin": 8,
    "Python exchange plugin": 4,
    "Go KV plugin, blocking": 4,
}
"""How many of each kind: 50 plugins. The first of each is a veteran."""

SMALL = dict.fromkeys(FULL, 1)
"""One of each kind, which bring what all share: threads, modules, a watcher."""

QUIET = logging.getLogger("soak")
QUIET.propagate = False
QUIET.setLevel(logging.DEBUG)
QUIET.addHandler(logging.NullHandler())


class Output:
    """Where log lines and output of all plugins go: they are counted."""

    def __init__(self) -> None:
        self.lines = 0
        self.synced_bytes = 0
        self._filter = self._count_line
        QUIET.addFilter(self._filter)

    def _count_line(self, record: logging.LogRecord) -> bool:
        self.lines += 1
        return False

    def take(self, data: bytes) -> None:
        """Counts output that a plugin sent over gRPC."""
        self.synced_bytes += len(data)

    def close(self) -> None:
        """Counts no more."""
        QUIET.removeFilter(self._filter)


def connections(kind: str) -> Iterator[dict[str, Any]]:
    """Settings of connections in turn: mutual TLS or none, sockets or one that is multiplexed, where the plugin can."""
    multiplexes = kind.startswith("Go") or "exchange" in kind
    kinds = itertools.product((False, True) if multiplexes else (False,), (True, False))
    return itertools.cycle({"auto_mtls": mtls, "broker_multiplex": multiplex} for multiplex, mtls in kinds)


def python_exchange() -> list[str]:
    """Command of the Python plugin of the broker tests, whose modules are found in the directory of the tests."""
    run = "import runpy, sys; sys.path.insert(0, sys.argv[1]); runpy.run_module('broker.plugin', run_name='__main__')"
    return [sys.executable, "-c", run, str(ROOT / "tests")]


Make = Callable[[str, bool, dict[str, Any]], Member]


def makers(pool: PluginPool, output: Output) -> dict[str, Make]:
    """By kind, what makes a member of a name, a veteran or not, with settings of its connection."""
    sinks = {"logger": QUIET, "sync_stdout": output.take, "sync_stderr": output.take}

    def pooled_kv(command: list[str]) -> Make:
        return lambda name, veteran, settings: PooledKV(
            name, veteran, "call", pool=pool, spec=PluginSpec(command, kv_config(**settings, **sinks), name=name)
        )

    def provider(program: str, resource: str) -> Make:
        def make(name: str, veteran: bool, settings: dict[str, Any]) -> Member:
            spec = provider_spec(provider_path(program), {}, settings=settings | {"logger": QUIET}, name=name)
            return PooledProvider(name, veteran, "apply", pool=pool, spec=spec, resource=resource)

        return make

    def exchange(command: list[str]) -> Make:
        return lambda name, veteran, settings: AloneExchange(
            name, veteran, "exchange", client=RPCPluginClient(command, {**EXCHANGE_CONFIG, **settings, "logger": QUIET})
        )

    return {
        "Go KV plugin in the pool": pooled_kv(go_kv()),
        "Python KV plugin in the pool": pooled_kv(python_kv()),
        "provider simple": provider("simple", "simple_resource"),
        "provider time": provider("time", "time_static"),
        "Go KV plugin": lambda name, veteran, settings: AloneKV(
            name, veteran, "call", client=RPCPluginClient(go_kv(), kv_config(**settings, **sinks))
        ),
        "Go exchange plugin": exchange(go_exchange()),
        "Python exchange plugin": exchange(python_exchange()),
        "Go KV plugin, blocking": lambda name, veteran, settings: BlockingKV(
            name, veteran, "blocking", client=BlockingClient(go_kv(), kv_config(**settings, **sinks))
        ),
    }


def make_members(pool: PluginPool, output: Output, counts: dict[str, int]) -> list[Member]:
    """So many members of each kind, not started; those of the pool hear what it tells."""
    made: list[Member] = []
    for kind, make in makers(pool, output).items():
        for number, settings in zip(range(counts[kind]), connections(kind), strict=False):
            # No two plugins of the pool share a process.
            apart = {**settings, "env": {"FERRULE_NUMBER": str(number)}}
            made.append(make(f"{kind} {number}", number == 0, apart))
    by_name = {member.name: member for member in made if isinstance(member, Pooled)}
    pool.subscribe(lambda event: by_name[event.plugin].hear(event) if event.plugin in by_name else None)
    return made
