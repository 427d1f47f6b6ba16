"""OpenTelemetry traces, where they are asked for: a span a request, and in it how long it waited, its batch, and the network's run.

    request                          SERVER; a child of the caller's span where a traceparent header names one
      queue                          from the request's examples being laid down to their being taken up
      batch                          tuneful.batch.size examples, of all requests that were taken up together
        run                          the call of the network

Who exports, where to, and how many are sampled is told by the standard variables OTEL_TRACES_EXPORTER (otlp, console, none),
OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER, OTEL_SERVICE_NAME ... Without the first two nothing is imported, and a request costs
one look at a variable. What was sent to a model is in no span.

Source: OpenTelemetry, semantic conventions for HTTP spans; W3C Trace Context.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextvars import ContextVar
from importlib import metadata
from typing import Any

from tuneful.core.errors import MissingError, TunefulError

TIMES: ContextVar[list[tuple[str, int, int, int]] | None] = ContextVar("times", default=None)
"""(what, begin, end, examples) of the request that is being answered, in ns since 1970; None where nobody traces."""

_ON = ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_GROUP = "opentelemetry_traces_exporter"  # the entry points under which exporters are found


class Traces:
    """provider: an opentelemetry.sdk.trace.TracerProvider, with its exporters."""

    def __init__(self, provider: Any, version: str) -> None:
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider, self._tracer = provider, provider.get_tracer("tuneful", version)
        self._kind, self._reader = SpanKind.SERVER, TraceContextTextMapPropagator()

    def begin(self, method: str, path: str, headers: Mapping[bytes, bytes]) -> Any:
        """The span of a request that has come. Whoever answers it may lay times into TIMES from now on."""
        carrier = {
            name: headers[name.encode()].decode("latin-1")
            for name in ("traceparent", "tracestate")
            if name.encode() in headers
        }
        told = {"http.request.method": method, "url.path": path[:200]}
        span = self._tracer.start_span(method, self._reader.extract(carrier), self._kind, told)
        TIMES.set([] if span.is_recording() else None)
        return span

    def end(self, span: Any, status: int, facts: Mapping[str, Any]) -> None:
        """Its answer has left. facts: as the journal tells them."""
        from opentelemetry.trace import Status, StatusCode, set_span_in_context

        times = TIMES.get()
        if times is None:
            span.end()
            return
        inside = parent = set_span_in_context(span)
        for what, begin, end, examples in times:
            child = self._tracer.start_span(what, inside if what == "run" else parent, start_time=begin)
            if what == "batch":
                child.set_attribute("tuneful.batch.size", examples)
                inside = set_span_in_context(child)
            child.end(end)
        told = {f"tuneful.{name}": facts[name] for name in ("model", "version", "examples") if name in facts}
        span.set_attributes({"http.response.status_code": status, **told})
        if "route" in facts:
            route = "/v2/models/{name}/infer" if facts["route"] == "infer" else "/predict/{name}"
            span.set_attribute("http.route", route)
            span.update_name(f"POST {route}")
        if "refused" in facts:
            span.set_attribute("error.type", facts["refused"])
        if status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        span.end()

    def close(self) -> None:
        """Send what has not been sent."""
        self._provider.shutdown()


def now() -> int:
    """Nanoseconds since 1970."""
    return time.time_ns()


def asked() -> bool:
    """Do the environment's variables ask for traces?"""
    off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or os.environ.get("OTEL_TRACES_EXPORTER", "") == "none"
    return not off and any(os.environ.get(name) for name in _ON)


def traces(version: str) -> Traces | None:
    """As the environment asks; None where it does not. Raises MissingError without the package, TunefulError for an unknown exporter."""
    if not asked():
        return None
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise MissingError("opentelemetry-sdk", "otel", "traces") from None
    name = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": "tuneful", "service.version": version}
    provider = TracerProvider(resource=Resource.create(name), shutdown_on_exit=False)
    for wanted in (os.environ.get("OTEL_TRACES_EXPORTER") or "otlp").split(","):
        provider.add_span_processor(BatchSpanProcessor(_exporter(wanted.strip())))
    return Traces(provider, version)


def _exporter(name: str) -> Any:
    if name == "otlp":
        http = not os.environ.get(
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "")
        ).startswith("grpc")
        name = "otlp_proto_http" if http else "otlp_proto_grpc"
    found = list(metadata.entry_points(group=_GROUP, name=name))
    if not found and name == "otlp_proto_http":
        raise MissingError("opentelemetry-exporter-otlp-proto-http", "otel", "traces by OTLP")
    if not found:
        known = sorted(one.name for one in metadata.entry_points(group=_GROUP))
        raise TunefulError(
            f"OTEL_TRACES_EXPORTER asks for {name!r}, and no package here brings it", f"known are {', '.join(known)}, none"
        )
    return found[0].load()()


__all__ = ["TIMES", "Traces", "asked", "now", "traces"]
