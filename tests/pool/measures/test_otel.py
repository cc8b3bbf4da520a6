"""OpenTelemetry: metrics by an in-memory reader, spans by an in-memory exporter."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ferrule.errors import StartTimeoutError
from ferrule.pool.measures import SECONDS_BOUNDS
from ferrule.pool.measures.catalogue import CATALOGUE
from ferrule.pool.otel import instrument
from ferrule.pool.tracing import StartTrace, Tracer
from pool.measures.watched_pool import MIB, WatchedPool

KV = {"pool": "main", "plugin": "kv"}
PUT = {**KV, "rpc.system.name": "grpc", "rpc.method": "kv.KV/Put", "rpc.response.status_code": "UNAVAILABLE"}

VALUES: list[tuple[str, Mapping[str, str], float]] = [
    ("ferrule.pool.plugin.count", {**KV, "state": "leased"}, 1),
    ("ferrule.pool.plugin.max", {"pool": "main"}, 500),
    ("ferrule.pool.plugin.starts", {**KV, "error.type": "none"}, 3),
    ("ferrule.pool.plugin.exits", {**KV, "reason": "idle", "rung": "shutdown"}, 1),
    ("ferrule.pool.plugin.exits", {**KV, "reason": "crash"}, 2),
    ("ferrule.pool.lease.pending", {**KV, "plugin": "aws", "priority": "5"}, 2),
    ("ferrule.pool.lease.timeouts", KV, 4),
    ("ferrule.pool.lease.refused", KV, 5),
    ("ferrule.pool.lease.leaked", KV, 6),
    ("ferrule.pool.call.active", KV, 2),
    ("ferrule.pool.call.unknown", {**KV, "rpc.method": "kv.KV/Put"}, 1),
    ("ferrule.pool.memory.usage", KV, 7 * MIB),
    ("ferrule.pool.memory.limit", {"pool": "main"}, 100 * MIB),
    ("ferrule.pool.cpu.time", {**KV, "state": "user"}, 1.25),
    ("ferrule.pool.io", {**KV, "direction": "receive"}, 1_009),
    ("ferrule.pool.breaker.state", KV, 2),
    ("ferrule.pool.throttle.slots", {}, 1),
    ("ferrule.pool.throttle.slots.max", {}, 2),
]


class TracedPool(WatchedPool):
    """A pool that takes a tracer."""

    tracer: Tracer | None = None


class Metrics:
    """What a reader collects of some pools."""

    def __init__(self, *pools: TracedPool) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader])
        self.ends = [instrument(pool, meter_provider=self.provider) for pool in pools]

    def collect(self) -> dict[str, Any]:
        data: Any = self.reader.get_metrics_data()
        (resource,) = data.resource_metrics
        (scope,) = resource.scope_metrics
        assert scope.scope.name == "ferrule.pool"
        return {metric.name: metric for metric in scope.metrics}

    def points(self, name: str) -> dict[frozenset[tuple[str, Any]], Any]:
        return {frozenset(point.attributes.items()): point for point in self.collect()[name].data.data_points}


def test_values() -> None:
    collected = Metrics(TracedPool()).collect()
    for name, attributes, value in VALUES:
        points = collected[name].data.data_points
        assert [point.value for point in points if dict(point.attributes) == attributes] == [pytest.approx(value)]


def test_each_metric_of_the_catalogue_is_there() -> None:
    collected = Metrics(TracedPool()).collect()
    kinds = {
        "counter": ("Sum", True),
        "updown": ("Sum", False),
        "gauge": ("Gauge", None),
        "histogram": ("Histogram", None),
    }
    assert set(collected) == {metric.name for metric in CATALOGUE if metric.name}
    for metric in CATALOGUE:
        if metric.name:
            data = collected[metric.name].data
            assert (type(data).__name__, getattr(data, "is_monotonic", None)) == kinds[metric.kind]
            assert collected[metric.name].unit == metric.unit


def test_histograms_have_the_buckets_and_the_sum_of_the_pool() -> None:
    pool = TracedPool()
    metrics = Metrics(pool)

    def point(attributes: Mapping[str, str], name: str) -> HistogramDataPoint:
        found = metrics.points(name)[frozenset(attributes.items())]
        assert isinstance(found, HistogramDataPoint)
        return found

    wait = pool.measures["kv"].lease_wait["warm"]
    for _ in range(2):
        found = point({**KV, "outcome": "warm"}, "ferrule.pool.lease.wait.duration")
        assert tuple(found.explicit_bounds) == SECONDS_BOUNDS
        assert list(found.bucket_counts) == wait.counts
        assert found.sum == pytest.approx(wait.sum)
        for value in (0.000_06, 0.3, 0.31, 17.0):
            wait.add(value)
    call = point({**PUT, "error.type": "UNAVAILABLE"}, "rpc.client.call.duration")
    assert call.count == 1
    assert call.sum == pytest.approx(1.5)


def test_pools_of_one_provider() -> None:
    first, second = TracedPool("first"), TracedPool("second")
    metrics = Metrics(first, second)
    assert {dict(key)["pool"] for key in metrics.points("ferrule.pool.plugin.max")} == {"first", "second"}
    assert len(metrics.points("ferrule.pool.throttle.slots")) == 1
    metrics.ends[0]()
    metrics.ends[0]()
    assert first.tracer is None
    assert second.tracer is not None
    assert {dict(key)["pool"] for key in metrics.points("ferrule.pool.plugin.max")} == {"second"}


PHASES = {"launch": 0.1, "handshake": 0.2, "health": 0.3}


class Spans:
    """The spans of a pool, and what makes them."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        pool = TracedPool()
        instrument(pool, meter_provider=MeterProvider(), tracer_provider=provider)
        assert pool.tracer is not None
        self.of_pool: Tracer = pool.tracer
        self.own = provider.get_tracer("test")

    def waiting(self, name: str) -> Any:
        """A lease that waits for the plugin of a name."""
        span = self.of_pool.lease_asked(name, 0)
        self.of_pool.lease_waits(span, name.encode())
        return span

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if span.name == name]


@pytest.fixture
def spans() -> Spans:
    return Spans()


def facts(span: ReadableSpan) -> tuple[int, Any]:
    assert span.context is not None
    return span.context.span_id, span.parent and span.parent.span_id


def test_the_body_of_a_lease_is_within_its_span(spans: Spans) -> None:
    with spans.own.start_as_current_span("caller") as caller:
        lease = spans.of_pool.lease_asked("kv", 5)
        spans.of_pool.lease_granted(lease, 42, cold=False)
        with spans.own.start_as_current_span("call"):
            pass
        spans.of_pool.lease_ended(lease, None)
        assert trace.get_current_span() is caller
    (found,), (call,) = spans.named("ferrule.pool.lease"), spans.named("call")
    assert facts(found)[1] == caller.get_span_context().span_id
    assert facts(call)[1] == facts(found)[0]
    assert found.attributes == {"pool": "main", "plugin": "kv", "priority": 5, "outcome": "warm", "process.pid": 42}
    assert [event.name for event in found.events] == ["granted"]
    assert found.status.is_unset


def test_a_start_for_one_lease_is_its_child(spans: Spans) -> None:
    lease, other = spans.waiting("kv"), spans.waiting("aws")
    spans.of_pool.start_ended(StartTrace("kv", b"kv", 42, 0.7, 0.05, PHASES))
    spans.of_pool.lease_granted(lease, 42, cold=True)
    spans.of_pool.lease_ended(lease, None)
    spans.of_pool.lease_ended(other, None)
    (start,) = spans.named("ferrule.plugin.start")
    (found,) = [
        span for span in spans.named("ferrule.pool.lease") if span.attributes and span.attributes["plugin"] == "kv"
    ]
    assert facts(start)[1] == facts(found)[0]
    assert start.links == ()
    assert start.start_time is not None
    assert start.end_time is not None
    assert start.end_time - start.start_time == pytest.approx(0.7e9, rel=1e-6)
    assert [event.name for event in start.events] == ["launch", "handshake", "health"]
    ends = [event.timestamp - start.start_time for event in start.events]
    assert ends == pytest.approx([0.1e9, 0.3e9, 0.6e9], abs=10)
    assert start.attributes == {"pool": "main", "plugin": "kv", "slot_wait": 0.05, "process.pid": 42}


def test_a_start_for_several_leases_is_linked_to_all(spans: Spans) -> None:
    leases = [spans.waiting("kv") for _ in range(3)]
    spans.of_pool.lease_ended(leases.pop(), asyncio.CancelledError())
    spans.of_pool.start_ended(StartTrace("kv", b"kv", 42, 0.7, 0.0, PHASES))
    for lease in leases:
        spans.of_pool.lease_granted(lease, 42, cold=True)
        spans.of_pool.lease_ended(lease, None)
    (start,) = spans.named("ferrule.plugin.start")
    cancelled, *waited = spans.named("ferrule.pool.lease")
    assert start.parent is None
    assert {link.context.span_id for link in start.links} == {facts(span)[0] for span in waited}
    assert [[link.context.span_id for link in span.links] for span in waited] == [[facts(start)[0]]] * 2
    assert cancelled.links == ()
    assert cancelled.attributes is not None
    assert cancelled.attributes["error.type"] == "CancelledError"


def test_errors_are_told(spans: Spans) -> None:
    error = StartTimeoutError("no handshake")
    lease = spans.waiting("kv")
    spans.of_pool.start_ended(StartTrace("kv", b"kv", None, 60.0, 0.0, {}, error))
    spans.of_pool.lease_ended(lease, error)
    (start,), (found,) = spans.named("ferrule.plugin.start"), spans.named("ferrule.pool.lease")
    assert start.attributes is not None
    assert found.attributes is not None
    assert start.attributes["error.type"] == "timeout"
    assert found.attributes["error.type"] == "StartTimeoutError"
    assert not start.status.is_ok
    assert "no handshake" in str(found.status.description)


def test_a_start_that_nobody_waits_for_is_a_trace_of_its_own(spans: Spans) -> None:
    with spans.own.start_as_current_span("caller"):
        spans.of_pool.start_ended(StartTrace("kv", b"kv", 42, 0.7, 0.0, PHASES))
    (start,) = spans.named("ferrule.plugin.start")
    assert (start.parent, start.links) == (None, ())


async def test_a_lease_that_ends_in_another_task(spans: Spans) -> None:
    lease = spans.waiting("kv")

    async def elsewhere(end: Callable[[], None]) -> bool:
        with spans.own.start_as_current_span("other") as other:
            end()
            return trace.get_current_span() is other

    assert await asyncio.create_task(elsewhere(lambda: spans.of_pool.lease_ended(lease, None)))
    assert len(spans.named("ferrule.pool.lease")) == 1
