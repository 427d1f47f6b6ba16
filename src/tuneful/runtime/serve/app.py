"""The server as an ASGI application: which address is answered by what, who may ask, and how errors leave.

Whatever goes wrong becomes a Refusal, and that a sentence; a mistake of ours is written into the journal under the id of the request, and
the client is told the id.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import numpy as np
import orjson

from tuneful.runtime.explain import MAP
from tuneful.runtime.serve import openapi, page, people, v2
from tuneful.runtime.serve.batcher import stays
from tuneful.runtime.serve.bodies import Gone, whole
from tuneful.runtime.serve.journal import Journal
from tuneful.runtime.serve.limits import Limits
from tuneful.runtime.serve.metrics import Metrics
from tuneful.runtime.serve.refusal import Refusal
from tuneful.runtime.serve.served import Answer, Served
from tuneful.runtime.serve.shelf import Shelf
from tuneful.runtime.serve.tokens import Tokens
from tuneful.runtime.serve.traces import Traces
from tuneful.runtime.watch.recorder import Recorder

Scope = MutableMapping[str, Any]
Send = Callable[[Any], Awaitable[None]]
_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_JSON = [(b"content-type", b"application/json")]
_OPEN = ("/", "/v2/health/live", "/v2/health/ready")
Answered = tuple[int, bytes, list[tuple[bytes, bytes]]]


class App:
    """One of them a process. `draining` is set when the server is about to stop: readiness ends, connections are closed after their answer."""

    def __init__(
        self,
        shelf: Shelf,
        limits: Limits,
        tokens: Tokens,
        journal: Journal,
        metrics: Metrics,
        version: str,
        recorder: Recorder | None = None,
        traces: Traces | None = None,
    ) -> None:
        self.recorder, self.traces = recorder, traces
        self.shelf, self.limits, self.tokens, self.journal, self.metrics = shelf, limits, tokens, journal, metrics
        self.version, self.draining = version, False
        self._begun, self._count = f"{time.time_ns() // 1_000_000:x}", 0
        self._children: dict[tuple[str, str, str], Any] = {}
        self._shadows: set[asyncio.Task[None]] = set()
        self._documents: dict[int, tuple[Any, dict[str, Any]]] = {}
        self.flying = 0

    async def __call__(self, scope: Scope, receive: Callable[[], Awaitable[Any]], send: Send) -> None:
        if scope["type"] != "http":
            return
        begun = time.perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        request = self._id(headers.get(b"x-request-id"))
        facts: dict[str, Any] = {}
        span = None if self.traces is None else self.traces.begin(scope["method"], scope["path"], headers)
        status = 0
        self.flying += 1
        try:
            status, body, more = await self._answer(scope, headers, receive, request, facts)
        except Refusal as refusal:
            status, body = refusal.status, orjson.dumps(refusal.as_data(request))
            more = [*_JSON, *([(b"retry-after", str(refusal.wait).encode())] if refusal.wait else [])]
            if status == 401:
                more.append((b"www-authenticate", b"Bearer"))
            if status in (405, 413):
                more.append((b"allow", refusal.hint.encode()) if status == 405 else (b"connection", b"close"))
            self.metrics.refused.labels(refusal.kind, status).inc()
            facts["refused"] = refusal.kind
        except Gone:
            self.metrics.refused.labels("gone", 0).inc()
            return
        except asyncio.CancelledError:
            if scope.get("gone", stays)():
                self.metrics.refused.labels("gone", 0).inc()
                return
            raise
        except Exception as error:  # ours: told in the journal alone
            self.journal.failure(request, error)
            self.metrics.refused.labels("bug", 500).inc()
            status, more = 500, _JSON
            body = orjson.dumps(
                {"error": "the server made a mistake", "hint": "its log says more under this id", "id": request}
            )
        finally:
            self.flying -= 1
            if self.traces is not None:
                self.traces.end(span, status, facts)
        if self.draining:
            more = [*more, (b"connection", b"close")]
        head = [
            (b"content-length", b"%d" % len(body)),
            (b"x-request-id", request.encode()),
            *more,
            (b"x-content-type-options", b"nosniff"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
        seconds = time.perf_counter() - begun
        if "model" in facts:
            key = (facts["model"], facts["version"], facts["route"])
            child = self._children.get(key)
            if child is None:
                child = self._children[key] = self.metrics.seconds.labels(*key)
            child.observe(seconds)
        if self.journal.level != "none":
            self.journal.request({"id": request, "method": scope["method"], "path": scope["path"][:200], "status": status,
                                  "ms": round(1e3 * seconds, 3), **facts})  # fmt: skip

    def _id(self, given: bytes | None) -> str:
        if given is not None and _ID.fullmatch(given):
            return given.decode()
        self._count += 1
        return f"{self._begun}-{id(self) & 0xFFFF:x}-{self._count:x}"

    async def _answer(
        self, scope: Scope, headers: dict[bytes, bytes], receive: Any, request: str, facts: dict[str, Any]
    ) -> Answered:
        path: str = scope["path"]
        method = scope["method"]
        if self.tokens.wanted and path not in _OPEN:
            client = scope.get("client") or ("", 0)
            facts["who"] = self.tokens.check(headers.get(b"authorization"), client[0])
        parts = path.split("/")[1:]
        if parts[0] == "v2" and parts[-1] == "infer":
            name, version = _model(parts[1:-1])
            _only(method, "POST")
            served = self.shelf.find(name, version)
            facts.update(model=served.name, version=served.version, route="infer")
            asked = v2.asked(served, headers, await whole(headers, receive, self.limits))
            answer = await served.answer(asked.raw, asked.size, scope.get("gone", stays))
            if any(name == MAP for name, _ in asked.wanted):
                await served.explain(answer)
            facts["examples"] = len(answer.told)
            self._record(served, asked.id or request, answer, asked.raw)
            self._shadow(served, asked.raw, answer)
            return 200, *v2.answered(served, asked, answer, request)
        if parts[0] == "predict" and len(parts) <= 3:
            _only(method, "POST")
            served = self.shelf.find(*(part or None for part in [*parts[1:], "", ""][:2]))
            facts.update(model=served.name, version=served.version, route="predict")
            body = await whole(headers, receive, self.limits)
            explain = people.explains(scope.get("query_string", b""))
            told, answer, raw = await people.predictions(served, headers, body, scope.get("gone", stays), explain)
            facts["examples"] = len(told)
            self._record(served, request, answer, raw)
            if raw is not None:
                self._shadow(served, raw, answer)
            data = {"model": served.name, "version": served.version, "id": request, "predictions": told}
            return 200, orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY), _JSON
        return self._told(path, parts, method)

    def _told(self, path: str, parts: list[str], method: str) -> Answered:
        """Everything that is only told."""
        if path == "/v2/repository/index":
            _only(method, "POST")
            states = [{"name": one.name, "version": one.version, "state": "READY"} for one in self.shelf.all()]
            return 200, orjson.dumps(states), _JSON
        if path in ("/v2", "/v2/"):
            _only(method, "GET", "HEAD")
            return 200, orjson.dumps({"name": "tuneful", "version": self.version, "extensions": v2.EXTENSIONS}), _JSON
        if path == "/v2/health/live":
            _only(method, "GET", "HEAD")
            return 200, b'{"live":true}', _JSON
        if path == "/v2/health/ready":
            _only(method, "GET", "HEAD")
            ready = bool(self.shelf.standing) and not self.draining
            return (200 if ready else 503), orjson.dumps({"ready": ready}), _JSON
        if parts[:2] == ["v2", "models"]:
            _only(method, "GET", "HEAD")
            name, version = _model(parts[1:-1] if parts[-1] == "ready" else parts[1:])
            served = self.shelf.find(name, version)
            if parts[-1] == "ready":
                return 200, orjson.dumps({"name": served.name, "ready": True}), _JSON
            return 200, orjson.dumps(served.metadata(list(self.shelf.standing[served.name].versions))), _JSON
        pages = {
            "/": self._page,
            "/docs": self._docs,
            "/openapi.json": self._document,
            "/models": self._models,
            "/metrics": self._metrics,
        }
        if path not in pages:
            raise Refusal(404, "path", "there is nothing at this address", "GET /docs lists what there is")
        _only(method, "GET", "HEAD")
        return pages[path]()

    def _page(self) -> Answered:
        body, policy = page.asking()
        return 200, body, [(b"content-type", b"text/html; charset=utf-8"), (b"content-security-policy", policy)]

    def _docs(self) -> Answered:
        body, policy = page.listing(self._described())
        return 200, body, [(b"content-type", b"text/html; charset=utf-8"), (b"content-security-policy", policy)]

    def _document(self) -> Answered:
        return 200, orjson.dumps(self._described()), _JSON

    def _models(self) -> Answered:
        told = [each.versions[each.place.serve].about() for each in self.shelf.standing.values()]
        return 200, orjson.dumps({"models": told}, option=orjson.OPT_SERIALIZE_NUMPY), _JSON

    def _metrics(self) -> Answered:
        for one in self.shelf.all():
            self.metrics.queue.labels(one.name, one.version).set(one.batcher.waiting)
        self.metrics.flying.set(self.flying)
        return 200, self.metrics.page(), [(b"content-type", b"text/plain; version=0.0.4; charset=utf-8")]

    def _described(self) -> dict[str, Any]:
        standing = self.shelf.standing
        if id(standing) not in self._documents:  # the key is held by the value, so it stays its own
            models = [each.versions[each.place.serve] for each in standing.values()]
            self._documents = {id(standing): (standing, openapi.document(models, self.tokens.wanted))}
        return self._documents[id(standing)][1]

    def _record(self, served: Served, request: str, answer: Answer, raw: Any) -> None:
        """Lay the answer before the recorder, where there is one."""
        if self.recorder is None:
            return
        try:
            encoded, told = answer.encoded, answer.told
            if encoded is None:
                encoded, told = served.alone_in_numbers(answer, raw)
            self.recorder.offer(served.model, served.name, served.version, request, encoded, told)
        except Exception as error:  # ours; the answer goes out
            self.journal.failure(request, error)

    def _shadow(self, served: Served, raw: Any, answer: Answer) -> None:
        """Ask the shadow the same, where there is one and it has time, and count whether it agrees."""
        other = self.shelf.shadow(served)
        if other is None or other.batcher.waiting:
            return
        task = asyncio.get_running_loop().create_task(self._compared(served, other, raw, answer))
        self._shadows.add(task)
        task.add_done_callback(self._shadows.discard)

    async def _compared(self, served: Served, other: Served, raw: Any, answer: Answer) -> None:
        try:
            told = await other.answer(raw, 1 << 30)
            agrees = (
                "yes" if np.array_equal(np.asarray(told.said, dtype=object), np.asarray(answer.said, dtype=object)) else "no"
            )
        except Refusal:
            agrees = "failed"
        self.metrics.shadow.labels(served.name, agrees).inc()


def _model(parts: list[str]) -> tuple[str, str | None]:
    """NAME and VERSION of models/NAME[/versions/VERSION]. Names are looked up, never opened: a path in one leads nowhere."""
    if len(parts) == 2 and parts[0] == "models":
        return parts[1], None
    if len(parts) == 4 and parts[0] == "models" and parts[2] == "versions":
        return parts[1], parts[3]
    raise Refusal(404, "path", "there is nothing at this address", "GET /docs lists what there is")


def _only(method: str, *allowed: str) -> None:
    if method not in allowed:
        raise Refusal(405, "method", f"{method[:16]} is not answered here", ", ".join(allowed))


__all__ = ["App"]
