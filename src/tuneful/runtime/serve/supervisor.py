"""The parent: looks at foreign artifacts in a child, opens the address, keeps the serving processes alive, passes signals on.

A process that dies (a model that takes onnxruntime with it) is replaced; the others go on, and connections that came meanwhile wait in
the socket, which the parent holds. One that dies again and again is replaced ever later, by at most PATIENCE seconds.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tuneful.core.errors import MissingError, TunefulError
from tuneful.runtime.serve.examined import examined
from tuneful.runtime.serve.journal import Journal
from tuneful.runtime.serve.limits import Limits
from tuneful.runtime.watch.recorder import usable
from tuneful.runtime.watch.recording import Recording

PATIENCE = 30.0
_UNUSABLE = 78


@dataclass(frozen=True)
class Settings:
    """What `run` needs. artifacts: PATH or NAME=PATH; models: a TOML file in their place (see `placed`)."""

    artifacts: tuple[str, ...] = ()
    models: Path | None = None
    name: str | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    processes: int = 1
    threads: int = 1  # of one model, in one process
    token_file: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    log: str = "all"
    drain: float = 1.0  # seconds between the wish to stop and the end of idle connections
    limits: Limits = field(default_factory=Limits)
    version: str = ""  # of tuneful, as /v2 tells it
    record: Path | None = None  # a file into which predictions are recorded,
    recording: str = ""  # and within which bounds (see `watch.recording`)

    def as_data(self) -> dict[str, Any]:
        """Plain data, paths made absolute."""
        paths = {key: str(Path(value).resolve()) if value else "" for key, value in
                 (("models", self.models), ("token_file", self.token_file), ("tls_cert", self.tls_cert), ("tls_key", self.tls_key), ("record", self.record))}  # fmt: skip
        return {"artifacts": list(self.artifacts), "name": self.name, "threads": self.threads, "log": self.log, "version": self.version, "drain": self.drain,
                "limits": asdict(self.limits), "recording": self.recording, **paths}  # fmt: skip


def run(settings: Settings, told: Callable[[str], None] = lambda line: None) -> int:
    """Serve until SIGTERM or Ctrl-C; returns 0 then.

    told: is given a line once the server is ready. Raises: TunefulError when there is nothing to serve, the address is taken, an
    artifact is damaged or dangerous, or a package is missing.
    """
    packaged()
    from tuneful.runtime.serve.worker import planned

    for number in ("processes", "threads"):
        if getattr(settings, number) < 1:
            raise TunefulError(f"{number} is {getattr(settings, number)}; it must be at least 1")
    if bool(settings.tls_cert) != bool(settings.tls_key):
        raise TunefulError("TLS needs a certificate and its key", "--tls-cert FILE --tls-key FILE")
    if settings.record is not None:
        usable(Recording.of(settings.record, settings.recording))
    data = settings.as_data()
    for place in planned(data):
        for path in place.versions.values():
            examined(path)
    listening = _listening(settings)
    return _Parent(settings, data, listening).until_told(told)


def packaged() -> None:
    """Raises MissingError where a package is missing that serving needs."""
    for package in ("uvicorn", "httptools", "orjson", "python_multipart", "prometheus_client", "onnxruntime"):
        if not _there(package):
            raise MissingError(package.replace("_", "-"), "serve", "tuneful serve")


class _Parent:
    def __init__(self, settings: Settings, data: dict[str, Any], listening: socket.socket) -> None:
        self.settings, self.data, self.listening = settings, data, listening
        self.children: list[subprocess.Popen[bytes]] = []
        self.stopping = False
        self.folder = tempfile.mkdtemp(prefix="tuneful-metrics-")

    def until_told(self, told: Callable[[str], None]) -> int:
        handlers = {number: signal.signal(number, self._signalled) for number in _SIGNALS}
        try:
            self.children = [self._child() for _ in range(self.settings.processes)]
            scheme = "https" if self.settings.tls_cert else "http"
            host, port = self.listening.getsockname()[:2]
            told(f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}")
            return self._kept()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            for child in self.children:
                if child.poll() is None:
                    child.kill()
                child.wait()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _kept(self) -> int:
        """Watch the children until all are gone."""
        late, began = 0.1, time.monotonic()
        while True:
            time.sleep(0.05)
            for at, child in enumerate(self.children):
                code = child.poll()
                if code is None or self.stopping:
                    continue
                if code == _UNUSABLE:
                    raise TunefulError(
                        "a serving process ended, because what it was given cannot be served", "its reason stands above"
                    )
                Journal().tell("died", {"process": child.pid, "code": code})
                self._forget(child.pid)
                late = 0.1 if time.monotonic() - began > 60 else min(PATIENCE, late * 2)
                time.sleep(late)
                began = time.monotonic()
                if not self.stopping:
                    self.children[at] = self._child()
            if self.stopping and all(child.poll() is not None for child in self.children):
                return 0

    def _child(self) -> subprocess.Popen[bytes]:
        source = str(Path(__file__).resolve().parents[3])
        env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": self.folder,
               "PYTHONPATH": os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH", "")]))}  # fmt: skip
        number = self.listening.fileno()
        words = [sys.executable, "-m", "tuneful.runtime.serve.worker", json.dumps(self.data), str(number)]
        return subprocess.Popen(words, env=env, pass_fds=[number], stdin=subprocess.DEVNULL)

    def _forget(self, process: int) -> None:
        """The gauges of a process that is gone."""
        for file in Path(self.folder).glob(f"gauge_live*_{process}.db"):
            file.unlink(missing_ok=True)

    def _signalled(self, number: int, frame: Any) -> None:
        if number != getattr(signal, "SIGHUP", None):
            self.stopping = True
            number = signal.SIGTERM
        for child in self.children:
            if child.poll() is None:
                child.send_signal(number)


_SIGNALS = [signal.SIGTERM, signal.SIGINT, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]


def _listening(settings: Settings) -> socket.socket:
    """The address, open. Raises TunefulError when it is taken or not ours."""
    if not 0 <= settings.port <= 65535:
        raise TunefulError(f"port is {settings.port}; it must be in [0, 65535]")
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.bind((settings.host, settings.port))
        opened.listen(2048)
    except OSError as error:
        opened.close()
        raise TunefulError(f"{settings.host}:{settings.port} cannot be opened: {error.strerror or error}",
                           "give another with --host and --port; --port 0 takes a free one") from None  # fmt: skip
    opened.setblocking(False)
    return opened


def _there(package: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(package) is not None


__all__ = ["Settings", "packaged", "run"]
