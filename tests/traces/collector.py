"""A collector of traces in this process: a real HTTP server that keeps the spans it is sent by OTLP."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.web_server import WebServer


@dataclass(frozen=True)
class Received:
    """One span; ids are hexadecimal, times in ns since 1970."""

    name: str
    trace: str
    span: str
    parent: str
    begin: int
    end: int
    attributes: dict[str, Any]
    failed: bool


class Collector:
    """Start it with `start()`; `url` is what OTEL_EXPORTER_OTLP_ENDPOINT names."""

    def __init__(self) -> None:
        self.spans: list[Received] = []
        self._server = WebServer(self._handler())

    @property
    def url(self) -> str:
        return self._server.url

    def start(self) -> Collector:
        self._server.start()
        return self

    def close(self) -> None:
        self._server.close()

    def named(self, begin: str) -> list[Received]:
        """The spans whose name begins so."""
        return [span for span in self.spans if span.name.startswith(begin)]

    def receive(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        for span in (
            span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans
        ):
            attributes = {each.key: each.value.string_value or each.value.int_value for each in span.attributes}
            ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
            times = (span.start_time_unix_nano, span.end_time_unix_nano)
            self.spans.append(Received(span.name, *ids, *times, attributes, span.status.code == 2))

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                packed = self.headers.get("Content-Encoding") == "gzip"
                collector.receive(gzip.decompress(body) if packed else body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None: ...

        return Handler
