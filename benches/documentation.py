"""The figures that the documentation quotes, by the names that its marks use."""

from collections.abc import Callable

import machine
from channel_report import BUSY, LARGE, LONE, LONE_BLOCKING, MEMORY, MEMORY_CASE, PLAINTEXT, TLS
from reporting.quotes import Quote, as_percent, as_times
from reporting.run import Figure

DOCUMENTS = (machine.ROOT / "docs" / "performance.md", machine.ROOT / "README.md")


def _beside(
    bench: str, group: str, case: str, side: str, rival: str, measure: str, show: Callable[[float], str] = as_percent
) -> Quote:
    figure = Figure(group, case, side, measure)
    return Quote(bench, figure, figure._replace(side=rival), show)


def _calls(case: str, measure: str, group: str = PLAINTEXT.title, *, sync: bool = False) -> Quote:
    side, rival = ("ferrule sync", "grpc sync") if sync else ("ferrule", "grpc.aio")
    return _beside("channel", group, case, side, rival, measure, as_times if measure == "calls per s" else as_percent)


def _life(variant: str, measure: str, rival: str, show: Callable[[float], str] = as_percent) -> Quote:
    return _beside("lifecycle", "One plugin", variant, "ferrule", rival, measure, show)


def _frames(loop: str, measure: str, work: str = "ping-pong, 64 B") -> Quote:
    return _beside("connection", f"Beside streams of {loop}", work, "ferrule", "streams", measure)


def _pool(group: str, case: str, measure: str) -> Quote:
    return Quote("pool", Figure(group, case, "ferrule.pool", measure))


def _schema(side: str, measure: str) -> Quote:
    return Quote("schema", Figure("Schema", "1,500 resources, 60,000 attributes", side, measure))


def _values(rival: str, measure: str) -> Quote:
    return _beside("cty", "Values", "state of 2,000 resources", "ferrule", rival, measure)


def _format(group: str, case: str, rival: str) -> Quote:
    return _beside("formats", group, case, "ferrule", rival, "median us")


MTLS, PLAIN = "mutual TLS", "without TLS"

QUOTES = {
    "lone call, CPU": _calls(LONE, "CPU us"),
    "lone call, p50": _calls(LONE, "p50 us"),
    "lone blocking call, CPU": _calls(LONE_BLOCKING, "CPU us", sync=True),
    "lone blocking call, p50": _calls(LONE_BLOCKING, "p50 us", sync=True),
    "16 in flight, CPU": _calls(BUSY, "CPU us"),
    "16 in flight, rate": _calls(BUSY, "calls per s"),
    "128 in flight, rate": _calls("16 B, 128 in flight", "calls per s"),
    "16 threads, CPU": _calls("16 B, 16 in flight, blocking", "CPU us", sync=True),
    "16 threads, rate": _calls("16 B, 16 in flight, blocking", "calls per s", sync=True),
    "stream, CPU": _calls("16 B, server stream", "CPU us"),
    "1 MiB, CPU": _calls(LARGE, "CPU us"),
    "1 MiB, rate": _calls(LARGE, "calls per s"),
    "1 MiB over TLS, CPU": _calls(LARGE, "CPU us", TLS.title),
    "1 MiB over TLS, rate": _calls(LARGE, "calls per s", TLS.title),
    "lone call over TLS, CPU": _calls(LONE, "CPU us", TLS.title),
    "large calls, memory": _beside("channel", MEMORY, MEMORY_CASE, "ferrule", "grpc.aio", "peak MiB"),
    "frame, CPU": _frames("asyncio", "CPU us"),
    "frame, time": _frames("asyncio", "wall us"),
    "frame on uvloop, CPU": _frames("uvloop", "CPU us"),
    "frame on uvloop on one core, CPU": _frames("uvloop", "CPU us", "ping-pong, 64 B, both sides on one core"),
    "frame over TLS, CPU": _frames("asyncio", "CPU us", "ping-pong, 64 B, mutual TLS"),
    "pipelined frame, CPU": _frames("asyncio", "CPU us", "pipelined, 64 B"),
    "large frame, CPU": _frames("asyncio", "CPU us", "ping-pong, 1 MiB"),
    "start with TLS, Go": _life(MTLS, "start ms", "go"),
    "stop with TLS, Go": _life(MTLS, "stop ms", "go"),
    "CPU of a life with TLS, Go": _life(MTLS, "CPU ms", "go"),
    "CPU of a life with TLS, python-plugin": _life(MTLS, "CPU ms", "python-plugin"),
    "CPU of a life, Go": _life(PLAIN, "CPU ms", "go"),
    "CPU of a life, pyvider": _life(PLAIN, "CPU ms", "pyvider-rpcplugin"),
    "32 starts, Go": _beside("lifecycle", "32 plugins at once", MTLS, "ferrule", "go", "start + call ms"),
    "stop, ms": Quote("lifecycle", Figure("One plugin", PLAIN, "ferrule", "stop ms")),
    "stop of pyvider, ms": Quote("lifecycle", Figure("One plugin", PLAIN, "pyvider-rpcplugin", "stop ms")),
    "stop of python-plugin, ms": Quote("lifecycle", Figure("One plugin", PLAIN, "python-plugin", "stop ms")),
    "lease, us": _pool("A plugin that is ready", "a warm lease", "CPU us"),
    "counted call, us": _pool("A lease for each call", "1 call at a time", "difference us"),
    "counted call of 16, us": _pool("A lease for each call", "16 calls at once", "difference us"),
    "plugin in a pool, KiB": _pool("Memory of many plugins", "200 plugins", "host each KiB"),
    "plugin in a pool, memory": _beside(
        "pool", "Memory of many plugins", "200 plugins", "ferrule.pool", "dict and locks, grpcio", "host each KiB"
    ),
    "first schema, ms": _schema("first schema", "wall ms"),
    "cached schema, ms": _schema("cached schema", "wall ms"),
    "naive model, ms": _schema("naive model", "wall ms"),
    "first schema, MB": _schema("first schema", "growth MB"),
    "naive model, MB": _schema("naive model", "growth MB"),
    "values, encode": _values("naive Python", "encode ns"),
    "values, decode": _values("naive Python", "decode ns"),
    "values in Go, encode": _values("go-cty", "encode ns"),
    "values in Go, decode": _values("go-cty", "decode ns"),
    "handshake line": _format("Parsers", "handshake line without a certificate", "pure Python"),
    "handshake line with certificate": _format("Parsers", "handshake line with a certificate", "pure Python"),
    "framing": _format("Parsers", "gRPC framing, 1,024 messages of 64 B", "pure Python"),
    "certificate": _format("Certificates", "key and certificate, P-256", "cryptography"),
    "async servicer": _beside(
        "servicers", "CPU of the server per call", "async unary", "ferrule", "grpc.aio", "CPU us"
    ),
    "import of the client, ms": Quote(
        "import_time", Figure("Imports", "fresh process", "import grpc; import ferrule.client", "added ms")
    ),
}
