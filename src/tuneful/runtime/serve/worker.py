"""One process that serves: loads, warms up, then accepts; reloads on SIGHUP, drains on SIGTERM.

Draining: readiness ends, so that whoever deals out requests sends no more here; what comes all the same is answered, and every answer
closes its connection. After `drain` seconds nothing is accepted any more, what is silent is closed, and what still runs has
`answer_seconds` to end.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tuneful.core.errors import TunefulError
from tuneful.runtime.serve import tokens
from tuneful.runtime.serve.app import App
from tuneful.runtime.serve.journal import Journal
from tuneful.runtime.serve.limits import Limits
from tuneful.runtime.serve.metrics import Metrics
from tuneful.runtime.serve.placed import Place, of_file, places
from tuneful.runtime.serve.protocol import Guard, guarded
from tuneful.runtime.serve.served import Served
from tuneful.runtime.serve.shelf import Shelf
from tuneful.runtime.serve.traces import traces
from tuneful.runtime.watch.live import Live
from tuneful.runtime.watch.recorder import Recorder
from tuneful.runtime.watch.recording import Recording

UNUSABLE = 78  # exit code: what it was told to serve cannot be served (EX_CONFIG)


def main() -> None:
    """The process. argv: the settings as JSON, the number of the listening socket."""
    told, descriptor = json.loads(sys.argv[1]), int(sys.argv[2])
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_serve(told, socket.socket(fileno=descriptor)), loop_factory=_loop()) if sys.version_info >= (
                3,
                12,
            ) else _run(told, descriptor)
    except TunefulError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(UNUSABLE) from None


def _run(told: dict[str, Any], descriptor: int) -> None:
    with asyncio.Runner(loop_factory=_loop()) as runner:
        runner.run(_serve(told, socket.socket(fileno=descriptor)))


def _loop() -> Any:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def planned(told: dict[str, Any]) -> list[Place]:
    """The places that the settings name: of a file, which is read anew each time, or of words."""
    return of_file(Path(told["models"])) if told["models"] else places(told["artifacts"], told["name"])


async def _serve(told: dict[str, Any], listening: socket.socket) -> None:
    import uvicorn

    limits = Limits(**told["limits"])
    journal, metrics = Journal(told["log"]), Metrics()
    who = tokens.read(Path(told["token_file"])) if told["token_file"] else tokens.Tokens({})
    shelf = Shelf(limits, told["threads"], foreign=False)  # the parent has looked at them
    shelf.fill(planned(told))
    shelf.foreign = True  # at what comes later, on SIGHUP, nobody has looked yet
    watched(shelf.all(), metrics, journal)
    recorder = _recorder(told, journal, metrics)
    spans = traces(told["version"])
    app, guard = App(shelf, limits, who, journal, metrics, told["version"], recorder, spans), Guard(limits)
    config = uvicorn.Config(
        app, http=guarded(guard), ws="none", lifespan="off", log_config=None, log_level="critical", access_log=False, proxy_headers=False,
        server_header=False, timeout_keep_alive=int(limits.idle_seconds) + 1, timeout_graceful_shutdown=int(limits.answer_seconds) + 1,
        ssl_certfile=told["tls_cert"] or None, ssl_keyfile=told["tls_key"] or None, backlog=2048,
    )  # fmt: skip
    server = _Server(config)
    loop = asyncio.get_running_loop()
    reloads: set[asyncio.Task[None]] = set()

    def reload() -> None:
        task = loop.create_task(_reload(told, shelf, metrics, journal))
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    def drain() -> None:
        if not app.draining:
            app.draining = True
            loop.call_later(told["drain"], server.end)

    with contextlib.suppress(NotImplementedError):  # Windows has no signals here
        loop.add_signal_handler(signal.SIGHUP, reload)
        loop.add_signal_handler(signal.SIGTERM, drain)
        loop.add_signal_handler(signal.SIGINT, drain)
    watch = loop.create_task(guard.watch())
    gc.collect()
    gc.freeze()  # what is loaded stays; the collector need not walk it at every turn
    journal.tell("ready", {"process": os.getpid(), "models": [f"{one.name} {one.version}" for one in shelf.all()]})
    await server.serve(sockets=[listening])
    watch.cancel()
    if recorder is not None:
        recorder.close()
    if spans is not None:
        await loop.run_in_executor(None, spans.close)
    journal.tell("ended", {"process": os.getpid(), "closed": guard.closed})


def _recorder(told: dict[str, Any], journal: Journal, metrics: Metrics) -> Recorder | None:
    """Who records, where that is asked for."""
    if not told["record"]:
        return None
    how = Recording.of(Path(told["record"]), told["recording"])
    return Recorder(how, journal.tell, Live(metrics.drifts, how.dropped).seen, metrics.lost.inc)


async def _reload(told: dict[str, Any], shelf: Shelf, metrics: Metrics, journal: Journal) -> None:
    """Serve what the settings name now; on any error everything stays."""
    try:
        before = {id(one) for one in shelf.all()}
        said = await asyncio.get_running_loop().run_in_executor(None, lambda: Shelf.fill(shelf, planned(told)))
        watched([one for one in shelf.all() if id(one) not in before], metrics, journal)
        journal.tell("reloaded", {"process": os.getpid(), "changes": said})
    except TunefulError as error:
        journal.tell("not reloaded", {"process": os.getpid(), "error": str(error)})
    except Exception as error:  # ours; what is served stays served
        journal.failure("reload", error)


def watched(models: Sequence[Served], metrics: Metrics, journal: Journal) -> None:
    """Have metrics and journal told what happens in the batchers of models."""
    for one in models:
        one.batcher.seen = metrics.batch.labels(one.name, one.version).observe
        one.batcher.failed = lambda error, name=one.name: journal.failure(f"model {name}", error)


class _Server:
    """uvicorn's server, whose signals are ours."""

    def __init__(self, config: Any) -> None:
        import uvicorn

        class Server(uvicorn.Server):
            @contextlib.contextmanager
            def capture_signals(self) -> Any:
                yield

        self._server = Server(config)

    async def serve(self, sockets: list[socket.socket]) -> None:
        await self._server.serve(sockets=sockets)

    def end(self) -> None:
        self._server.should_exit = True


if __name__ == "__main__":
    main()
