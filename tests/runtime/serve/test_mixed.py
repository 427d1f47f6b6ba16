"""A minute of everything at once: right requests, wrong ones, slow and vanishing clients, exchanged versions. No right request is lost."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SECONDS = int(os.environ.get("TUNEFUL_MIXED_SECONDS", "60"))  # longer where it is asked for by hand
RIGHT = json.dumps({"rows": [{"age": 30, "job": "nurse"}]}).encode()
WRONG = [
    b"",
    b"[" * 5000,
    b'{"rows": [{"age": NaN}]}',
    b'{"rows": []}',
    b'{"rows": [{"age": "x", "job": 1}]}',
    b"\xff" * 100,
]


def asking(port: int, over: threading.Event, body: Callable[[int], bytes], answers: Counter[int], lost: list[str]) -> None:
    link, n = http.client.HTTPConnection("127.0.0.1", port, timeout=20), 0
    while not over.is_set():
        try:
            link.request("POST", "/predict/people", body(n), {"content-type": "application/json"})
            got = link.getresponse()
            got.read()
            answers[got.status] += 1
            n += 1
        except Exception as error:
            lost.append(f"{type(error).__name__}: {error}")
            link.close()
    link.close()


def leaving(port: int, over: threading.Event) -> None:
    """Half a request, then gone; every second one is a connection that stays silent."""
    silent: list[socket.socket] = []
    while not over.is_set():
        link = socket.create_connection(("127.0.0.1", port), timeout=20)
        if len(silent) < 50:
            silent.append(link)
            continue
        link.sendall(b"POST /predict/people HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{")
        link.close()
        time.sleep(0.01)
    for link in silent:
        link.close()


@pytest.mark.slow
def test_a_minute_of_load_and_faults_loses_no_accepted_request(
    starting: Callable[..., Any], artifacts: dict[str, Path], tmp_path: Path
):
    models = tmp_path / "models.toml"

    def plan(version: int) -> None:
        models.write_text(
            f'[people]\nserve = "{version}"\nversions = {{ 1 = "{artifacts["table"]}", 2 = "{artifacts["table2"]}" }}\n'
        )

    plan(1)
    one = starting(
        "--models",
        str(models),
        "--processes",
        "2",
        "--log",
        "none",
        "--limits",
        "header_seconds=2,body_seconds=2,connections=100",
    )
    one.told("ready", 30, count=2)
    over = threading.Event()
    right, wrong = Counter[int](), Counter[int]()
    lost: list[str] = []
    threads = [threading.Thread(target=asking, args=(one.port, over, lambda n: RIGHT, right, lost)) for _ in range(3)]
    threads.append(threading.Thread(target=asking, args=(one.port, over, lambda n: WRONG[n % len(WRONG)], wrong, lost)))
    threads.append(threading.Thread(target=leaving, args=(one.port, over)))
    for thread in threads:
        thread.start()
    try:
        for at in range(SECONDS // 3):
            time.sleep(3)
            plan(1 + at % 2)
            one.process.send_signal(signal.SIGHUP)
    finally:
        over.set()
        for thread in threads:
            thread.join(30)
    assert lost == []
    assert set(right) == {200}
    assert set(wrong) == {400}
    assert min(right[200], wrong[400]) > 1000
    assert len(one.told("reloaded", count=SECONDS // 3)) >= SECONDS // 3
    assert one.stop() == 0
    assert '"event": "died"' not in one.log.read_text()
