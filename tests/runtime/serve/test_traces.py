"""Traces: a span a request with its queue, batch and run inside, as OpenTelemetry's own SDK and wire format hold them."""

from __future__ import annotations

import asyncio
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from tuneful.core.errors import TunefulError
from tuneful.runtime.serve import traces
from tuneful.runtime.serve.app import App
from tuneful.runtime.serve.journal import Journal
from tuneful.runtime.serve.limits import Limits
from tuneful.runtime.serve.metrics import Metrics
from tuneful.runtime.serve.placed import places
from tuneful.runtime.serve.shelf import Shelf
from tuneful.runtime.serve.tokens import Tokens

ROWS = {"rows": [{"age": 39, "job": "nurse"}]}
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"  # the example of W3C Trace Context


@pytest.fixture(scope="module")
def app(artifacts: dict[str, Path]) -> Iterator[App]:
    limits = Limits()
    shelf = Shelf(limits, 1, foreign=False)
    shelf.fill(places([f"people={artifacts['table']}"]))
    yield App(shelf, limits, Tokens({}), Journal("none"), Metrics(), "1")
    for one in shelf.all():
        one.close()


def ask(app: App, *bodies: Any, **headers: str) -> list[int]:
    """The statuses of requests that come together, by the ASGI protocol itself."""

    async def one(body: Any) -> int:
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        named = [(name.encode(), value.encode()) for name, value in headers.items()]
        await app({"type": "http", "method": "POST", "path": "/predict/people", "headers": named}, receive, send)
        return sent[0]["status"]

    async def all_of_them() -> list[int]:
        return await asyncio.gather(*(asyncio.create_task(one(body)) for body in bodies))

    return asyncio.run(all_of_them())


def followed(app: App, **settings: Any) -> InMemorySpanExporter:
    spans, provider = InMemorySpanExporter(), TracerProvider(**settings)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    app.traces = traces.Traces(provider, "1")
    return spans


def test_a_request_has_its_queue_batch_and_run_inside_it(app: App):
    spans = followed(app)
    assert ask(app, ROWS, traceparent=CALLER) == [200]
    by_name = {one.name: one for one in spans.get_finished_spans()}
    assert by_name.keys() == {"POST /predict/{name}", "queue", "batch", "run"}
    request = by_name["POST /predict/{name}"]
    assert format(request.context.trace_id, "032x") == CALLER[3:35]
    assert format(request.parent.span_id, "016x") == CALLER[36:52]
    assert by_name["queue"].parent.span_id == by_name["batch"].parent.span_id == request.context.span_id
    assert by_name["run"].parent.span_id == by_name["batch"].context.span_id
    told = dict(request.attributes)
    assert (told["http.response.status_code"], told["http.route"]) == (200, "/predict/{name}")
    assert (told["tuneful.model"], told["tuneful.version"], told["tuneful.examples"]) == ("people", "1", 1)
    ends = [(by_name[name].start_time, by_name[name].end_time) for name in ("queue", "batch", "run")]
    assert ends == sorted(ends)
    assert request.start_time <= ends[0][0]
    assert ends[-1][1] <= request.end_time
    assert "nurse" not in "".join(one.to_json() for one in spans.get_finished_spans())


def test_requests_that_go_through_together_tell_of_one_batch(app: App):
    spans = followed(app)
    assert ask(app, *[ROWS] * 3) == [200] * 3
    sizes = [dict(one.attributes)["tuneful.batch.size"] for one in spans.get_finished_spans() if one.name == "batch"]
    assert len(sizes) == 3
    assert sum(1 / size for size in sizes) <= 3
    assert max(sizes) > 1


def test_a_refused_request_says_why_and_what_is_not_sampled_is_not_made(app: App):
    spans = followed(app)
    assert ask(app, {"rows": 3}) == [400]
    (span,) = spans.get_finished_spans()
    assert (span.attributes["error.type"], span.attributes["http.response.status_code"]) == ("input", 400)
    spans = followed(app, sampler=ALWAYS_OFF)
    assert ask(app, ROWS) == [200]
    assert spans.get_finished_spans() == ()
    assert traces.TIMES.get() is None


def test_nothing_is_made_unless_the_environment_asks(monkeypatch: pytest.MonkeyPatch):
    for name in ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    assert traces.traces("1") is None
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "jaeger")
    with pytest.raises(TunefulError, match="asks for 'jaeger', and no package here brings it"):
        traces.traces("1")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    assert traces.traces("1") is None


def test_a_collector_receives_them_as_otlp(app: App, monkeypatch: pytest.MonkeyPatch):
    received: list[bytes] = []

    class Collector(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Collector) as collector:
        thread = threading.Thread(target=collector.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
        monkeypatch.delenv("OTEL_TRACES_EXPORTER", raising=False)
        try:
            app.traces = traces.traces("1")
            assert app.traces is not None
            assert ask(app, ROWS) == [200]
            app.traces.close()
        finally:
            app.traces = None
            collector.shutdown()
            thread.join()
    (sent,) = [ExportTraceServiceRequest.FromString(one) for one in received]
    (resource,) = sent.resource_spans
    assert {one.key: one.value.string_value for one in resource.resource.attributes}["service.name"] == "tuneful"
    assert {span.name for scope in resource.scope_spans for span in scope.spans} == {
        "POST /predict/{name}",
        "queue",
        "batch",
        "run",
    }
