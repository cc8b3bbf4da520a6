"""A pool on real plugins, as exporters see it."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry

from ferrule import sync
from ferrule.errors import ConfigError
from ferrule.pool import Limits, OutcomeUnknown, PluginPool, PluginSpec
from ferrule.pool.arguments import SOCKET_VARIABLE
from ferrule.pool.measures.reading import MeasuredPool
from ferrule.pool.metrics_socket import sockets
from ferrule.pool.otel import instrument
from ferrule.pool.prometheus import PoolCollector
from ferrule.testing import KV_CONFIG, KVStub, kv_pb2
from peers import go_kv
from pool.measures.test_otel import Spans, facts
from waiting import until

pytestmark = pytest.mark.go


def kv(**config: Any) -> PluginSpec:
    return PluginSpec(go_kv(), {**KV_CONFIG, **config}, name="kv")


def reader(pool: MeasuredPool) -> Any:
    registry = CollectorRegistry()
    registry.register(PoolCollector(pool))

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"ferrule_{name}", {"pool": "stores", "plugin": "kv", **labels})

    return value


async def test_a_plugins_life_in_prometheus() -> None:
    async with PluginPool(Limits(max_memory_bytes=2**33), name="stores") as pool:
        value, spec = reader(pool), kv()
        async with pool.lease(spec) as lease:
            await lease.stub(KVStub).Put(kv_pb2.PutRequest(key="k", value=b"v"))
            assert value("pool_plugins", state="leased") == 1
            assert value("pool_memory_bytes") > 2**20
        async with pool.lease(spec):
            pass
        assert value("pool_plugins", state="ready") == 1
        assert value("pool_plugin_starts_total", error_type="none") == 1
        for phase in ("slot_wait", "launch", "handshake", "connect", "health"):
            assert value("pool_plugin_start_seconds_count", phase=phase) == 1
        assert value("pool_lease_wait_seconds_count", outcome="cold") == 1
        assert value("pool_lease_wait_seconds_count", outcome="warm") == 1
        assert value("pool_lease_use_seconds_count") == 2
        put = {"rpc_system_name": "grpc", "rpc_method": "kv.KV/Put", "rpc_response_status_code": "OK", "error_type": ""}
        assert value("rpc_client_call_seconds_count", **put) == 1
        assert value("pool_calls_unknown_total", rpc_method="kv.KV/Put") == 0
        assert value("pool_io_bytes_total", direction="transmit") > 0
        before = value("pool_cpu_seconds_total", state="user")
    assert value("pool_plugins", state="ready") == 0
    assert value("pool_plugin_exits_total", reason="close", rung="shutdown") == 1
    assert value("pool_cpu_seconds_total", state="user") >= before
    assert value("pool_io_bytes_total", direction="receive") > 0


async def test_a_call_with_unknown_outcome_is_counted() -> None:
    async with PluginPool(name="stores") as pool:
        value = reader(pool)
        async with pool.lease(kv()) as lease:
            call = lease.stub(KVStub).Watch(kv_pb2.WatchRequest(count=1_000_000, size=1))

            async def killed_at_the_first_response() -> None:
                pid: int | None = lease.pid
                async for _ in call:
                    if pid is not None:
                        os.kill(pid, signal.SIGKILL)
                        pid = None

            with pytest.raises(OutcomeUnknown):
                await killed_at_the_first_response()
        assert value("pool_calls_unknown_total", rpc_method="kv.KV/Watch") == 1
        await until(lambda: value("pool_plugin_exits_total", reason="crash", rung="") == 1)


async def test_spans_of_a_cold_lease_and_of_two_that_wait_together() -> None:
    spans = Spans()
    async with PluginPool(name="stores") as pool:
        pool.tracer = spans.of_pool
        with spans.own.start_as_current_span("caller") as caller:
            async with pool.lease(kv()):
                assert trace.get_current_span() is not caller
            assert trace.get_current_span() is caller
        (lease,), (start,) = spans.named("ferrule.pool.lease"), spans.named("ferrule.plugin.start")
        assert lease.attributes is not None
        assert lease.attributes["outcome"] == "cold"
        assert facts(start)[1] == facts(lease)[0]
        assert [event.name for event in start.events] == ["launch", "handshake", "connect", "health"]

        # Two specs, one process.
        async def use(spec: PluginSpec) -> None:
            async with pool.lease(spec):
                pass

        await asyncio.gather(*(use(kv(env={"A": "1"})) for _ in range(2)))
        waited, shared = spans.named("ferrule.pool.lease")[1:], spans.named("ferrule.plugin.start")[1]
        assert {link.context.span_id for link in shared.links} == {facts(span)[0] for span in waited}


async def test_the_span_of_a_lease_that_was_never_given_back_ends_with_it() -> None:
    spans = Spans()
    async with PluginPool(name="stores") as pool:
        pool.tracer = spans.of_pool
        lease = pool.lease(kv())
        await lease.__aenter__()
        assert spans.named("ferrule.pool.lease") == []
        del lease
        gc.collect()
        assert len(spans.named("ferrule.pool.lease")) == 1


async def test_a_start_that_fails_is_traced() -> None:
    spans = Spans()
    async with PluginPool(name="stores") as pool:
        pool.tracer = spans.of_pool
        with pytest.raises(Exception, match="kv"):
            async with pool.lease(PluginSpec(["/bin/false"], KV_CONFIG, name="kv")):
                pass
    (lease,), (start,) = spans.named("ferrule.pool.lease"), spans.named("ferrule.plugin.start")
    assert start.attributes is not None
    assert start.attributes["error.type"] == "exited"
    assert not lease.status.is_ok


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv(SOCKET_VARIABLE, raising=False)
    return tmp_path


async def asked(path: str) -> Any:
    stream, writer = await asyncio.open_unix_connection(path)
    writer.write(b"stats\n")
    answer = json.loads(await stream.readline())
    writer.close()
    return answer


@pytest.mark.usefixtures("runtime")
def test_a_blocking_pool_is_measured_as_well() -> None:
    with sync.PluginPool(name="stores", metrics_socket=True) as pool:
        end = instrument(pool, meter_provider=MeterProvider(), tracer_provider=TracerProvider())
        value = reader(pool)
        with pool.lease(kv()) as lease:
            lease.stub(KVStub).Put(kv_pb2.PutRequest(key="k", value=b"v"))
            assert value("pool_plugins", state="leased") == 1
        ((_, path),) = sockets(os.getpid())
        assert asyncio.run(asked(str(path)))["name"] == "stores"
        end()
    assert sockets() == []
    assert value("pool_plugin_starts_total", error_type="none") == 1


@pytest.mark.usefixtures("runtime")
async def test_a_pool_listens_while_it_is_open() -> None:
    async with PluginPool(name="stores", metrics_socket=True):
        ((_, path),) = sockets(os.getpid())
        assert (await asked(str(path)))["name"] == "stores"
    assert sockets() == []
    async with PluginPool():
        assert sockets() == []


async def test_a_path_of_the_environment_is_the_first_pools(
    runtime: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(SOCKET_VARIABLE, str(runtime / "s"))
    async with PluginPool(name="first"), PluginPool(name="second"):
        assert (await asked(str(runtime / "s")))["name"] == "first"
        assert "no metrics socket: the pool cannot listen on" in caplog.text
        with pytest.raises(ConfigError, match="somebody listens there"):
            async with PluginPool(metrics_socket=str(runtime / "s")):
                pass
    assert not (runtime / "s").exists()
