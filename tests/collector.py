"""A collector of traces, as OTLP over HTTP has it: keeps the spans that it is sent."""

from __future__ import annotations

from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Span:
    name: str
    trace: bytes
    id: bytes
    parent: bytes
    kind: int
    attributes: dict[str, Any]
    is_error: bool
    nanoseconds: int
    resource: dict[str, Any]
    told: str  # all that is in it, as text


class Collector:
    """Listens on 127.0.0.1 until it is stopped; answers with `status`."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.paths: set[str] = set()
        self.status = 200
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.paths.add(self.path)
                if outer.status == 200:
                    outer.spans += spans(body)
                self.send_response(outer.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def named(self, name: str) -> list[Span]:
        return [one for one in self.spans if one.name == name]

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def spans(body: bytes) -> list[Span]:
    """Read what an exporter sends."""
    request = ExportTraceServiceRequest.FromString(body)
    return [
        Span(
            one.name,
            one.trace_id,
            one.span_id,
            one.parent_span_id,
            one.kind,
            _values(one.attributes),
            one.status.code == 2,
            one.end_time_unix_nano - one.start_time_unix_nano,
            _values(resource.resource.attributes),
            f"{resource.resource}{one}",
        )
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for one in scope.spans
    ]


def _values(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}
