"""The same application on a Ray cluster, where one machine is outgrown: Ray Serve deals requests out to replicas on many machines.

    RAY_ADDRESS=head:6379 tuneful serve /shared/artifact --on ray --processes 16

A replica is what a serving process is elsewhere: models loaded and warmed up, micro-batches, tokens, limits on rows, bodies and queues.
Ray's proxy stands before it in the place of uvicorn: it keeps connections, exchanges replicas that die, and drains those that end.
Artifacts are read by path on every machine, so they lie in a folder that all of them see. /metrics is that of the replica that happens
to be asked; Ray has numbers of the whole cluster. Without RAY_ADDRESS a cluster of this machine alone is begun, and ended with the command.

Source: Ray Serve's documentation, "Set Up FastAPI and HTTP" (an application by a builder), "Configure Ray Serve deployments".
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from tuneful.core.errors import MissingError, TunefulError
from tuneful.runtime.serve.app import App
from tuneful.runtime.serve.examined import examined
from tuneful.runtime.serve.journal import Journal
from tuneful.runtime.serve.limits import Limits
from tuneful.runtime.serve.metrics import Metrics
from tuneful.runtime.serve.shelf import Shelf
from tuneful.runtime.serve.supervisor import Settings, packaged
from tuneful.runtime.serve.tokens import Tokens, read
from tuneful.runtime.serve.traces import traces
from tuneful.runtime.serve.worker import planned, watched

NAME = "tuneful"  # of the application on the cluster
_SECONDS = 120.0  # for replicas to begin


def run_on_ray(settings: Settings, told: Callable[[str], None] = lambda line: None) -> int:
    """Serve on a cluster until SIGTERM or Ctrl-C; returns 0 then.

    told: is given the address once all replicas are ready. Raises: MissingError without Ray, TunefulError for settings that are not Ray's,
    where an artifact is damaged or dangerous, or when replicas do not begin.
    """
    packaged()
    if settings.tls_cert or settings.tls_key:
        raise TunefulError(
            "TLS is not ours on Ray, whose proxy has the connections",
            "leave --tls-cert out, or put a proxy with TLS before it",
        )
    if settings.record is not None:
        raise TunefulError("replicas on several machines cannot write into one SQLite file", "leave --record out")
    try:
        import ray
        from ray import serve
    except ImportError:
        raise MissingError("ray[serve]", "ray", "serving on a cluster") from None
    data = settings.as_data()
    for place in planned(data):
        for path in place.versions.values():
            examined(path)
    port = settings.port or _free(settings.host)
    address = os.environ.get("RAY_ADDRESS")
    begun = address is None
    ray_, serve_ = cast("Any", ray), cast("Any", serve)  # half of Ray has no types
    cores = (
        {}
        if not begun
        else {"num_cpus": max(os.cpu_count() or 1, settings.processes * settings.threads), "include_dashboard": False}
    )
    ray_.init(address=address, log_to_driver=False, configure_logging=False, **cores)
    try:
        serve_.start(http_options={"host": settings.host, "port": port, "request_timeout_s": settings.limits.answer_seconds})
        deployment = serve_.deployment(
            serve_.ingress(_builder(data))(), name="model", num_replicas=settings.processes,
            max_ongoing_requests=settings.limits.queue, graceful_shutdown_timeout_s=settings.limits.answer_seconds,
            ray_actor_options={"num_cpus": settings.threads},
        )  # fmt: skip
        _begin(serve_, deployment.bind())
        told(f"http://{settings.host}:{port}")
        _until_told_to_end()
        serve_.delete(NAME)
    finally:
        if begun:
            serve_.shutdown()
        ray_.shutdown()
    return 0


def _begin(serve: Any, application: Any) -> None:
    """Wait until all replicas are ready. Raises TunefulError."""
    try:
        serve.run(application, name=NAME, route_prefix="/")
    except RuntimeError as error:
        raise TunefulError(f"the replicas do not begin: {str(error).splitlines()[0][:300]}",
                           "is the artifact in a folder that all machines of the cluster see?") from None  # fmt: skip


def _builder(data: dict[str, Any]) -> Callable[[], App]:
    """What a replica calls to make the application; Ray sends it there."""

    def build() -> App:
        return built(data)

    return build


def built(data: dict[str, Any]) -> App:
    """The application of one replica, its models loaded and warm. Raises TunefulError."""
    limits, journal, metrics = Limits(**data["limits"]), Journal(data["log"]), Metrics()
    shelf = Shelf(limits, data["threads"], foreign=False)  # whoever deployed it has looked at them
    shelf.fill(planned(data))
    watched(shelf.all(), metrics, journal)
    who = read(Path(data["token_file"])) if data["token_file"] else Tokens({})
    return App(shelf, limits, who, journal, metrics, data["version"], None, traces(data["version"]))


def _free(host: str) -> int:
    """A port that nobody has, as far as can be known before Ray takes it."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as one:
        one.bind((host, 0))
        return int(one.getsockname()[1])


def _until_told_to_end() -> None:
    over = threading.Event()

    def end(number: int, frame: Any) -> None:
        over.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    while not over.wait(0.5):
        sys.stdout.flush()


__all__ = ["built", "run_on_ray"]
