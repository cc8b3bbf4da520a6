"""A tracer provider that keeps the spans of a test in memory, on OpenTelemetry's API alone."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from typing import Any

from opentelemetry import trace
from opentelemetry.trace.status import Status, StatusCode


class RecordedSpan(trace.NonRecordingSpan):
    """A span that can be looked at."""

    def __init__(self, name: str, kind: trace.SpanKind, attributes: dict[str, Any]) -> None:
        identity = secrets.randbits(127) + 1, secrets.randbits(63) + 1
        flags = trace.TraceFlags(trace.TraceFlags.SAMPLED)
        super().__init__(trace.SpanContext(*identity, is_remote=False, trace_flags=flags))
        self.name = name
        self.kind = kind
        self.attributes = dict(attributes)
        self.status = StatusCode.UNSET
        self.exceptions: list[BaseException] = []
        self.ends = 0

    @property
    def traceparent(self) -> str:
        """As the W3C's trace context has it in the header of this name."""
        context = self.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-01"

    def is_recording(self) -> bool:
        return self.ends == 0

    def set_attribute(self, key: str, value: Any) -> None:
        self.attributes[key] = value

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        self.status = status.status_code if isinstance(status, Status) else status

    def record_exception(self, exception: BaseException, *args: Any, **kwargs: Any) -> None:
        self.exceptions.append(exception)

    def end(self, end_time: int | None = None) -> None:
        self.ends += 1


class RecordingTracer(trace.NoOpTracer):
    """Keeps every span that is started."""

    def __init__(self) -> None:
        self.spans: list[RecordedSpan] = []

    @contextlib.contextmanager
    def start_as_current_span(  # type: ignore[override] # Positional parameters that no instrumentation uses.
        self,
        name: str,
        kind: trace.SpanKind,
        attributes: dict[str, Any],
        end_on_exit: bool = True,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> Iterator[trace.Span]:
        span = RecordedSpan(name, kind, attributes)
        self.spans.append(span)
        with trace.use_span(span, end_on_exit, record_exception, set_status_on_exception):
            yield span


class RecordingTracerProvider(trace.TracerProvider):
    """Gives one tracer to all who ask."""

    def __init__(self) -> None:
        self.tracer = RecordingTracer()

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
        return self.tracer
