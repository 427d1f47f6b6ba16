"""Artifacts of untrained networks, shipped by the real pipeline, and a server that serves them as a process of its own."""

from __future__ import annotations

import csv
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import tuneful
from tuneful.core.recipe import Recipe
from tuneful.pipeline.candidate import Candidate, Network, ends
from tuneful.pipeline.prepare import prepare
from tuneful.pipeline.ship import ship


def shipped(data: Path, folder: Path, seed: int = 0, **reading: Any) -> Path:
    """An artifact of a network that has learned nothing, for data of any kind."""
    task = prepare(str(data), **reading)
    torch.manual_seed(seed)
    front, back = ends(task)
    width = int(np.prod(task.shape))
    net = Network(
        front, nn.Sequential(nn.Flatten(), nn.Linear(width, 16), nn.ReLU(), nn.Linear(16, max(1, len(task.labels)))), back
    )
    ship(task, Candidate(net.eval(), Recipe(), steps=0), {"headline": "untrained"}, folder)
    return folder


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """{"table", "table2" (other weights), "image"}"""
    root = tmp_path_factory.mktemp("serve")
    dice = np.random.default_rng(0)
    with (root / "people.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["age", "job", "income"])
        for _ in range(300):
            age = int(dice.integers(18, 80))
            out.writerow([age, ["nurse", "clerk", "baker"][int(dice.integers(3))], "high" if age > 45 else "low"])
    for label in ("cat", "dog"):
        (root / "pets" / label).mkdir(parents=True)
        for at in range(30):
            Image.fromarray(dice.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(root / "pets" / label / f"{at}.png")
    return {
        "table": shipped(root / "people.csv", root / "table", target="income"),
        "table2": shipped(root / "people.csv", root / "table2", seed=1, target="income"),
        "image": shipped(root / "pets", root / "image"),
    }


class Server:
    """A server as `tuneful serve` starts it, at a free port."""

    def __init__(self, words: list[str], log: Path) -> None:
        env = os.environ | {"PYTHONPATH": str(Path(tuneful.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
        self.log = log
        command = [sys.executable, "-m", "tuneful.cli", "serve", *words, "--port", "0"]
        with log.open("w") as file:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=file, text=True, env=env)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait(30)
            self.process.stdout.close()
            raise RuntimeError(log.read_text())
        self.address = line.split()[2]
        self.port = int(self.address.rpartition(":")[2])
        self.told("ready", 30)

    def told(self, event: str, seconds: float = 10, count: int = 1) -> list[dict[str, Any]]:
        """The lines of the log about an event, once there are so many."""
        until = time.monotonic() + seconds
        while True:
            lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
            found = [line for line in lines if line["event"] == event]
            if len(found) >= count:
                return found
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.02)

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], Any]:
        """(status, headers, body; parsed where it is JSON)."""
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            link.request(method, path, data, {"content-type": "application/json", **(headers or {})})
            got = link.getresponse()
            told = got.read()
            names = {name.lower(): value for name, value in got.getheaders()}
            return (
                got.status,
                names,
                json.loads(told) if names.get("content-type", "").startswith("application/json") else told,
            )
        finally:
            link.close()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.fixture(scope="session")
def starting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Starts servers, and ends those that a test leaves."""
    begun: list[Server] = []

    def start(*words: str) -> Server:
        begun.append(Server(list(words), tmp_path_factory.mktemp("log") / "log.jsonl"))
        return begun[-1]

    yield start
    for one in begun:
        one.stop()


@pytest.fixture(scope="session")
def server(starting: Callable[..., Server], artifacts: dict[str, Path]) -> Server:
    """One for the tests that leave it as it is."""
    limits = "body=1MB,rows=100,pixels=1000000,header=4000,header_seconds=1.5,body_seconds=1.5,connections=200"
    return starting(
        f"people={artifacts['table']}", f"people={artifacts['table2']}", f"pets={artifacts['image']}", "--limits", limits
    )
