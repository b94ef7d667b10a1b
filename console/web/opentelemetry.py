"""Traces by OpenTelemetry, over OTLP and HTTP. Only console.web.tracing loads this, where the operator wants traces."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from opentelemetry.context import Context, attach, detach
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

log = logging.getLogger("storekeeper.tracing")

NAME = "storekeeper"
EXPORT_SECONDS = 5.0  # for one batch, and at a process's end


class Told(SpanExporter):
    """An exporter that says once that the collector takes nothing, and once that it does again."""

    def __init__(self, exporter: SpanExporter) -> None:
        self.exporter, self.is_well = exporter, True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send the spans."""
        result = self.exporter.export(spans)
        is_well = result is SpanExportResult.SUCCESS
        if is_well and not self.is_well:
            log.info("Traces are sent again.")
        elif self.is_well and not is_well:
            log.warning("The collector takes no traces: they are dropped until it does.")
        self.is_well = is_well
        return result

    def shutdown(self) -> None:
        """Send nothing more."""
        self.exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Return what the other one does."""
        return self.exporter.force_flush(timeout_millis)


class Traces:
    """Where spans are made. They wait in a queue of bounded length for another thread: what does not fit is dropped."""

    def __init__(self, endpoint: str) -> None:
        resource = Resource.create({SERVICE_NAME: NAME}).merge(OTELResourceDetector().detect())
        self.provider = TracerProvider(resource=resource)
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_SECONDS)
        self.provider.add_span_processor(BatchSpanProcessor(Told(exporter)))
        self.tracer = self.provider.get_tracer(NAME)
        self.way = TraceContextTextMapPropagator()  # W3C Trace Context
        self.before: dict[str, Any] = {}  # of each task that runs, how it goes back to before it
        # It has a line for each batch that is not taken; ours has one for each change.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)

    @contextmanager
    def span(
        self, name: str, attributes: Mapping[str, str] | None, *, is_root: bool, is_request: bool = False
    ) -> Iterator[Span]:
        """Have what happens inside be a span."""
        kind, context = SpanKind.SERVER if is_request else SpanKind.INTERNAL, Context() if is_root else None
        with self.tracer.start_as_current_span(
            name, context, kind, attributes, record_exception=False, set_status_on_exception=False
        ) as one:
            try:
                yield one
            except BaseException as error:
                self.fail(one, type(error).__name__)  # its message may name anything
                raise

    def fail(self, one: Span, kind: str) -> None:
        """Have the span be one that failed."""
        one.set_attribute("error.type", kind)
        one.set_status(StatusCode.ERROR)

    def called(self, service: str, operation: str, code: str, seconds: float) -> None:
        """Note a call of a cloud that has just ended."""
        ended = time.time_ns()
        attributes = {"rpc.service": service, "rpc.method": operation}
        one = self.tracer.start_span(
            f"{service} {operation}", None, SpanKind.CLIENT, attributes, start_time=ended - int(seconds * 1e9)
        )
        if code:
            self.fail(one, code)
        one.end(ended)

    # Through the broker: in the header of a message

    def send(self, headers: dict[str, Any], **_: Any) -> None:
        """Write into a message which span it is sent in."""
        self.way.inject(headers)

    def go_on(self, task_id: str, task: Any, **_: Any) -> None:
        """Have a task be below the span in which its message was sent."""
        told = {"traceparent": str(getattr(task.request, "traceparent", None) or "")}
        self.before[task_id] = attach(self.way.extract(told))

    def go_back(self, task_id: str, **_: Any) -> None:
        """Have what the thread does next be below no such span."""
        if (token := self.before.pop(task_id, None)) is not None:
            detach(token)
