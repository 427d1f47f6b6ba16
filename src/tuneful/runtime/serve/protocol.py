"""HTTP/1.1 as uvicorn speaks it, with an end to patience: what is half-sent, silent, too long or of two meanings is closed.

uvicorn waits for ever for the rest of a request and refuses newcomers when its connections are used up. Here
    a connection must have sent its headers within `header_seconds`, a body within `body_seconds`, the next request within `idle_seconds`
    of more connections than `limits.connections` the one that has been waited for longest is closed, so silence shuts nobody out
    a request with Content-Length and Transfer-Encoding, or two of either or of Host, is refused: two servers could cut it in two ways
    PIPELINED requests may wait on one connection
One look a second serves all connections; none has a timer of its own.

Source: RFC 9112, sections 6.3 and 11.2 (smuggling); RFC 6585, section 5 (431).
"""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tuneful.runtime.serve.limits import Limits

PIPELINED = 64
_ONCE = (b"content-length", b"transfer-encoding", b"host", b"content-type", b"authorization")
_PHRASES = {
    400: b"Bad Request",
    408: b"Request Timeout",
    431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
}


class Guard:
    """The connections of one process from which something is waited for, longest first."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.waiting: dict[Any, None] = {}
        self.closed: dict[str, int] = {}  # why connections were closed, and how often

    def enter(self, connection: Any, connections: int) -> bool:
        """Is there room for a connection? Where not, an older one goes."""
        if connections > self.limits.connections:
            if not self.waiting:
                return False
            self.count("crowded")
            next(iter(self.waiting)).leave(503, "the server has too many connections")
        self.waiting[connection] = None
        return True

    def count(self, why: str) -> None:
        self.closed[why] = self.closed.get(why, 0) + 1

    async def watch(self) -> None:
        """Close, once a second, what has taken too long."""
        loop = asyncio.get_running_loop()
        allowed = {"idle": self.limits.idle_seconds, "head": self.limits.header_seconds, "body": self.limits.body_seconds}
        while True:
            await asyncio.sleep(min(1.0, *(seconds / 4 for seconds in allowed.values())))
            now = loop.time()
            for one in list(self.waiting):
                if now - one.since > allowed[one.stage]:
                    self.count(one.stage)
                    said = "headers" if one.stage == "head" else "body"
                    one.leave(
                        0 if one.stage == "idle" else 408, f"the {said} did not arrive within {allowed[one.stage]:g} s"
                    )


def guarded(guard: Guard) -> type[HttpToolsProtocol]:
    """The class of uvicorn's protocol that obeys a guard."""

    class Guarded(HttpToolsProtocol):
        stage = "head"  # what is waited for: "head", "body", "idle" (the next request), or "" for nothing
        since = 0.0
        _read = 0  # bytes of the headers so far

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.since = self.loop.time()
            if not guard.enter(self, len(self.connections)):
                self.leave(503, "the server has too many connections")

        def connection_lost(self, exc: Exception | None) -> None:
            guard.waiting.pop(self, None)
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self.transport.is_closing():
                return
            if self.stage == "idle":
                self.stage, self.since, self._read = "head", self.loop.time(), 0
            self._read += len(data)
            super().data_received(data)
            if self.stage == "head" and self._read > guard.limits.header:
                self.leave(431, f"the headers have more than {guard.limits.header} bytes")

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self.stage = "head"

        def on_headers_complete(self) -> None:
            if sum(len(name) + len(value) + 4 for name, value in self.headers) + len(self.url) > guard.limits.header:
                self.leave(431, f"the headers have more than {guard.limits.header} bytes")
                return
            names = [name for name, _ in self.headers]
            if any(names.count(name) > 1 for name in _ONCE) or (
                b"content-length" in names and b"transfer-encoding" in names
            ):
                self.leave(400, "the headers say twice where the request ends, or whom it is for")
                return
            if len(self.pipeline) >= PIPELINED:
                self.leave(400, f"more than {PIPELINED} requests wait on this connection")
                return
            super().on_headers_complete()
            self.scope["gone"] = self.gone  # pyright: ignore[reportGeneralTypeIssues]
            self.stage, self.since = "body", self.loop.time()

        def on_body(self, body: bytes) -> None:
            if not self.transport.is_closing():
                super().on_body(body)

        def on_message_complete(self) -> None:
            if self.transport.is_closing():
                return
            super().on_message_complete()
            self.stage, self._read = "", 0
            guard.waiting.pop(self, None)

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if not self.transport.is_closing() and not self.pipeline:
                self.since = self.loop.time()
                if self.stage == "":
                    self.stage = "idle"
                guard.waiting[self] = None

        def send_400_response(self, msg: str) -> None:
            self.leave(400, "this is no HTTP request")

        def gone(self) -> bool:
            """Has the client left?"""
            return self.parser is None  # pyright: ignore[reportUnnecessaryComparison]

        def leave(self, status: int, sentence: str) -> None:
            """Close, with an answer where none is under way; one that is comes first."""
            guard.waiting.pop(self, None)
            if self.cycle is not None and not self.cycle.response_complete and self.stage != "body":  # pyright: ignore[reportUnnecessaryComparison]
                self.cycle.keep_alive = False
                self.flow.pause_reading()
                return
            if status and not self.transport.is_closing():
                body = orjson.dumps({"error": sentence})
                head = b"HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
                self.transport.write(head % (status, _PHRASES[status], len(body)) + body)
            self.transport.close()

    return Guarded


__all__ = ["Guard", "guarded"]
