"""Metrics and traces of pools for OpenTelemetry.

    from ferrule.pool.otel import instrument

    instrument(pool)

The page Observing pools has the names of metrics and spans.
"""

from __future__ import annotations

import time
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

try:
    from opentelemetry import context as contexts
    from opentelemetry import metrics, trace
    from opentelemetry.metrics import CallbackOptions, Histogram, Meter, MeterProvider, Observation
    from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode, TracerProvider
except ImportError:
    raise ImportError('ferrule.pool.otel needs the package opentelemetry-api: pip install "ferrule[otel]"') from None

from ferrule.pool.measures import SECONDS_BOUNDS, error_type
from ferrule.pool.measures.catalogue import CATALOGUE
from ferrule.pool.measures.reading import Metric, Reading, Source
from ferrule.pool.measures.replay import Replay
from ferrule.pool.tracing import StartTrace

__all__ = ["instrument"]

SCOPE: Final = "ferrule.pool"
"""The name of the instrumentation."""

RECORDS_PER_TURN: Final = 64
"""Values that are recorded before other threads have their turn."""


def instrument(
    pool: Any,
    *,
    meter_provider: MeterProvider | None = None,
    tracer_provider: TracerProvider | None = None,
) -> Callable[[], None]:
    """Has OpenTelemetry told of a pool; returns what ends that.

    Metrics are read when they are collected, and calls and leases cost no more for them. The API has no histogram that
    is read, so their values are recorded at the collection: each in the bucket of the true one, and with the true sum,
    as long as no view sets other bounds than the advised ones. Each lease makes a span; a blocking pool makes none.

    Args:
        pool: The `PluginPool`, or the one of `ferrule.sync`.
        meter_provider: Default the global one.
        tracer_provider: Default the global one.
    """
    source = Source(pool)
    provider = meter_provider or metrics.get_meter_provider()
    instruments = _instruments_by_provider.get(provider)
    if instruments is None:
        instruments = _instruments_by_provider[provider] = _Instruments(provider.get_meter(SCOPE))
    instruments.sources.append(source)
    tracer = None
    if hasattr(pool, "tracer"):
        tracer = pool.tracer = _LeaseTracer(pool.name, tracer_provider or trace.get_tracer_provider())

    def uninstrument() -> None:
        if source in instruments.sources:
            instruments.sources.remove(source)
        if tracer is not None and pool.tracer is tracer:
            pool.tracer = None

    return uninstrument


class _Instruments:
    """The instruments of one provider, for any number of pools: each name may be made once."""

    def __init__(self, meter: Meter) -> None:
        self.sources: list[Source] = []
        self._readings: list[Reading] = []
        self._replays: defaultdict[Any, Replay] = defaultdict(Replay)
        self._histograms = [
            (metric, _histogram(meter, metric)) for metric in CATALOGUE if metric.name and metric.kind == "histogram"
        ]
        # Its callback is the first of each collection.
        read: Callable[[], None] | None = self._read
        for metric in CATALOGUE:
            if metric.name and metric.kind != "histogram":
                self._observe(meter, metric, read)
                read = None

    def _observe(self, meter: Meter, metric: Metric, first: Callable[[], None] | None) -> None:
        def observe(_options: CallbackOptions) -> Iterable[Observation]:
            if first is not None:
                first()
            return [Observation(value, attributes) for attributes, value in self._values(metric)]

        make = {
            "counter": meter.create_observable_counter,
            "updown": meter.create_observable_up_down_counter,
            "gauge": meter.create_observable_gauge,
        }[metric.kind]
        make(metric.name, [observe], unit=metric.unit, description=metric.description)

    def _read(self) -> None:
        self._readings = [source.read() for source in list(self.sources)]
        for metric, histogram in self._histograms:
            for attributes, buckets in self._values(metric):
                replay = self._replays[metric.name, tuple(attributes.items())]
                for value, count in replay.values(buckets):
                    for number in range(count):
                        histogram.record(value, attributes)
                        if number % RECORDS_PER_TURN == 0:
                            # Leaves the interpreter to the event loop.
                            time.sleep(0)

    def _values(self, metric: Metric) -> Iterable[tuple[Mapping[str, str], Any]]:
        # What is of the process is the same for all of its pools.
        for reading in self._readings[:1] if metric.of_process else self._readings:
            pool = {} if metric.of_process else {"pool": reading.pool}
            for values, value in reading.values(metric):
                named = zip(metric.attributes, values, strict=True)
                yield {**pool, **{name: each for name, each in named if each}}, value


_instruments_by_provider: weakref.WeakKeyDictionary[MeterProvider, _Instruments] = weakref.WeakKeyDictionary()


def _histogram(meter: Meter, metric: Metric) -> Histogram:
    described: dict[str, Any] = {"unit": metric.unit, "description": metric.description}
    try:
        return meter.create_histogram(metric.name, **described, explicit_bucket_boundaries_advisory=SECONDS_BOUNDS)
    except TypeError:
        # Releases before 1.30 take no advice: a view sets the bounds.
        return meter.create_histogram(metric.name, **described)


class _LeaseSpan:
    """The span of one lease, current in the lease's body."""

    __slots__ = ("before", "key", "span")

    def __init__(self, span: Span) -> None:
        self.key: bytes | None = None
        self.span = span
        self.before = contexts.get_current()


class _LeaseTracer:
    """Makes spans of leases and starts."""

    def __init__(self, pool: str, provider: TracerProvider) -> None:
        self._pool = pool
        self._tracer = provider.get_tracer(SCOPE)
        self._waiting: defaultdict[bytes, dict[_LeaseSpan, None]] = defaultdict(dict)

    def lease_asked(self, plugin: str, priority: int) -> _LeaseSpan:
        attributes: dict[str, Any] = {"pool": self._pool, "plugin": plugin, "priority": priority}
        lease = _LeaseSpan(self._tracer.start_span("ferrule.pool.lease", attributes=attributes))
        contexts.attach(trace.set_span_in_context(lease.span))
        return lease

    def lease_waits(self, span: _LeaseSpan, key: bytes) -> None:
        span.key = key
        self._waiting[key][span] = None

    def lease_granted(self, span: _LeaseSpan, pid: int | None, *, cold: bool) -> None:
        self._forget(span)
        attributes: dict[str, Any] = {"outcome": "cold" if cold else "warm"}
        if pid is not None:
            attributes["process.pid"] = pid
        span.span.set_attributes(attributes)
        span.span.add_event("granted")

    def lease_ended(self, span: _LeaseSpan, error: BaseException | None) -> None:
        self._forget(span)
        _end(span.span, None, error)
        # A lease that ends in another task leaves that one's context alone.
        if trace.get_current_span() is span.span:
            contexts.attach(span.before)

    def start_ended(self, start: StartTrace) -> None:
        waiting = [lease.span for lease in self._waiting.get(start.key, ())]
        end = time.time_ns()
        began = end - _nanoseconds(start.seconds)
        attributes: dict[str, Any] = {"pool": self._pool, "plugin": start.plugin, "slot_wait": start.slot_wait}
        if start.pid is not None:
            attributes["process.pid"] = start.pid
        # A start for several leases belongs to none of their traces more than to the others.
        parent = trace.set_span_in_context(waiting[0]) if len(waiting) == 1 else contexts.Context()
        span = self._tracer.start_span(
            "ferrule.plugin.start",
            context=parent,
            kind=SpanKind.INTERNAL,
            attributes=attributes,
            links=[Link(lease.get_span_context()) for lease in waiting] if len(waiting) > 1 else (),
            start_time=began,
        )
        passed = 0.0
        for phase, seconds in start.phases.items():
            passed += seconds
            span.add_event(phase, {"seconds": seconds}, timestamp=began + _nanoseconds(passed))
        _end(span, error_type(start.error), start.error, end)
        for lease in waiting if len(waiting) > 1 else ():
            _link(lease, span.get_span_context())

    def _forget(self, lease: _LeaseSpan) -> None:
        if lease.key is None:
            return
        waiting = self._waiting.get(lease.key, {})
        waiting.pop(lease, None)
        if not waiting:
            self._waiting.pop(lease.key, None)


def _end(span: Span, error_kind: str | None, error: BaseException | None, at: int | None = None) -> None:
    if error is not None:
        span.set_attribute("error.type", error_kind or type(error).__name__)
        span.set_status(Status(StatusCode.ERROR, str(error)))
    span.end(at)


def _link(span: Span, other: SpanContext) -> None:
    # Releases before 1.24 have no links that come later.
    if hasattr(span, "add_link"):
        span.add_link(other)


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
