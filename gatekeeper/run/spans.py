"""The spans of traces, made with OpenTelemetry's SDK; imported only where tracing is on."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags

from gatekeeper.run import http_guard
from gatekeeper.run.http_guard import Wire
from state.model import Call

#: Bytes of the ids of a trace and of a span.
TRACE_BYTES, SPAN_BYTES = 16, 8

#: The ids that the next root span gets.
_of_root: ContextVar[SpanContext | None] = ContextVar("ids of the root span", default=None)


class Spans:
    """The maker of spans of one process, which sends them in batches from a thread of its own."""

    def __init__(self, endpoint: str) -> None:
        self._provider = TracerProvider(resource=Resource.create({"service.name": "gatehouse"}), id_generator=_Ids())
        exporter = _Exporter(f"{endpoint.rstrip('/')}/v1/traces")
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("gatehouse")

    def add_root(self, call: Call, ms: int) -> None:
        """Add the root of a call's trace, which took `ms` until now."""
        token = _of_root.set(self._root(call))
        try:
            now = time.time_ns()
            span = self._tracer.start_span(
                f"register {call.task}", Context(), SpanKind.PRODUCER, _names(call), start_time=now - ms * 1_000_000
            )
            span.end(now)
        finally:
            _of_root.reset(token)

    @contextmanager
    def step(self, name: str, call: Call | None, waited_ms: int | None) -> Iterator[None]:
        """Make a span the current one inside the block; one of a call stands below the root of its trace."""
        below = trace.set_span_in_context(NonRecordingSpan(self._root(call)), Context()) if call else None
        kind, names = (SpanKind.CONSUMER, _names(call)) if call else (SpanKind.INTERNAL, {})
        if waited_ms is not None:
            self._ended("queue", waited_ms, below, names)
        span = self._tracer.start_span(name, below, kind, names)
        # What an exception says may hold a secret; the span only says that there was one.
        with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                yield
            except BaseException as error:
                span.set_status(StatusCode.ERROR, type(error).__name__)
                raise

    def add(self, name: str, ms: int, attributes: Mapping[str, str | int]) -> None:
        """Add a span below the current one; it took `ms` until now."""
        self._ended(name, ms, None, attributes, SpanKind.CLIENT)

    def flush(self) -> None:
        """Send what waits to be sent."""
        self._provider.force_flush()

    def _ended(
        self,
        name: str,
        ms: int,
        below: Context | None,
        attributes: Mapping[str, str | int],
        kind: SpanKind = SpanKind.INTERNAL,
    ) -> None:
        now = time.time_ns()
        self._tracer.start_span(name, below, kind, attributes, start_time=now - ms * 1_000_000).end(now)

    def _root(self, call: Call) -> SpanContext:
        """Return the ids of the root span, and whether the sampler takes this trace: the same in every process."""
        digest = hashlib.sha256(f"{call.agent} {call.id}".encode(errors="surrogatepass")).digest()
        trace_id = int.from_bytes(digest[:TRACE_BYTES]) or 1
        span_id = int.from_bytes(digest[TRACE_BYTES : TRACE_BYTES + SPAN_BYTES]) or 1
        taken = self._provider.sampler.should_sample(None, trace_id, "register").decision is Decision.RECORD_AND_SAMPLE
        flags = TraceFlags(TraceFlags.SAMPLED if taken else TraceFlags.DEFAULT)
        return SpanContext(trace_id, span_id, is_remote=True, trace_flags=flags)


class _Ids(RandomIdGenerator):
    """Random ids, but for the root of a call's trace."""

    def generate_trace_id(self) -> int:
        root = _of_root.get()
        return root.trace_id if root else super().generate_trace_id()

    def generate_span_id(self) -> int:
        root = _of_root.get()
        return root.span_id if root else super().generate_span_id()


class _Exporter(OTLPSpanExporter):
    """An exporter whose requests are not taken for those of an effect that is under way in another thread."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        token = http_guard.current.set(Wire())
        try:
            return super().export(spans)
        finally:
            http_guard.current.reset(token)


def _names(call: Call) -> dict[str, str]:
    return {"gatehouse.agent": call.agent, "gatehouse.task": call.task, "gatehouse.call": call.id}
