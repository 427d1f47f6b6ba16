"""Serving one MLP (784-256-10) on one core: requests per CPU-second and latency, ours beside what one usually writes.

    ours, json | ours, binary     `tuneful serve`, Open Inference Protocol, one process
    fastapi                       FastAPI + pydantic + onnxruntime under uvicorn (uvloop, httptools), a list of floats in, a label out
    litserve | bentoml            the same model where these install; they want an environment of their own (--peers PYTHON)

Each server is pinned to one core, the load generator to another. 32 connections: closed loop, as fast as it goes; CPU time of the
server and all its processes from /proc. One connection: the same, one request after the other. Then an open loop at 70 % of what was
reached, evenly spaced arrivals over 32 connections: p50 and p99 from the moment at which a request was due. Rounds alternate; medians
and ranges are told.

    python benchmarks/serving.py --peers ENV/bin/python [--rounds 3] [--seconds 4]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
from record import record

SERVER_CORE, CLIENT_CORE, CONNECTIONS = 0, 1, 32
MARK = "TUNEFUL_BENCHMARK"

FASTAPI = """
import sys
import numpy as np, onnxruntime, uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
options = onnxruntime.SessionOptions(); options.intra_op_num_threads = 1; options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
app = FastAPI()
class Request(BaseModel):
    rows: list[list[float]]
class Answer(BaseModel):
    labels: list[int]
    probabilities: list[list[float]]
@app.post("/predict", response_model=Answer)
async def predict(request: Request) -> Answer:
    p = session.run(None, {"x": np.asarray(request.rows, np.float32)})[0]
    return Answer(labels=p.argmax(1).tolist(), probabilities=p.tolist())
uvicorn.run(app, port=int(sys.argv[2]), log_level="error", access_log=False, loop="uvloop", http="httptools")
"""
LITSERVE = """
import sys
import numpy as np, litserve, onnxruntime
class Api(litserve.LitAPI):
    def setup(self, device):
        options = onnxruntime.SessionOptions(); options.intra_op_num_threads = 1; options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
    def decode_request(self, request): return np.asarray(request["rows"], np.float32)
    def predict(self, x): return self.session.run(None, {"x": x})[0]
    def encode_response(self, p): return {"labels": p.argmax(1).tolist(), "probabilities": p.tolist()}
if __name__ == "__main__":
    litserve.LitServer(Api(), accelerator="cpu").run(port=int(sys.argv[2]), generate_client_file=False, log_level="error")
"""
BENTOML = """
import os
import bentoml, numpy as np, onnxruntime
@bentoml.service(workers=1)
class Net:
    def __init__(self):
        options = onnxruntime.SessionOptions(); options.intra_op_num_threads = 1; options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
    @bentoml.api
    def predict(self, rows: list[list[float]]) -> dict:
        p = self.session.run(None, {"x": np.asarray(rows, np.float32)})[0]
        return {"labels": p.argmax(1).tolist(), "probabilities": p.tolist()}
"""


def artifact(folder: Path) -> Path:
    """An artifact of an untrained MLP for vectors of 784 numbers."""
    import torch
    from torch import nn

    from tuneful.core.recipe import Recipe
    from tuneful.core.task import Objective, Sealed, Split, Task
    from tuneful.pipeline.candidate import Candidate, Network, ends
    from tuneful.pipeline.ship import ship

    dice = np.random.default_rng(0)
    x, y = dice.random((400, 784), np.float32), dice.integers(0, 10, 400)
    parts = [Split(x[i::3], y[i::3].astype(np.int64)) for i in range(3)]
    normalize = {"mean": [0.5] * 784, "std": [0.3] * 784}
    task = Task("mlp", "multiclass", (784,), tuple("0123456789"), parts[0], parts[1], Sealed(parts[2]), Objective("accuracy", "max"), "f",
                {"kind": "vector", "shape": [784]}, normalize)  # fmt: skip
    torch.manual_seed(0)
    front, back = ends(task)
    net = Network(front, nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10)), back).eval()
    ship(task, Candidate(net, Recipe(), steps=0), {"headline": "untrained"}, folder)
    return folder


def message(path: str, body: bytes, more: str = "") -> bytes:
    """A whole HTTP request."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{more}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Link(asyncio.Protocol):
    """One keep-alive connection; `ask` sends a request and waits for the end of the answer."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.buffer, self.future, self.wanted = transport, b"", None, -1

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if self.wanted < 0:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self.buffer[:end].lower()
            assert head.startswith(b"http/1.1 200"), self.buffer[:500]
            self.wanted = end + 4 + int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        if len(self.buffer) >= self.wanted:
            self.buffer, self.wanted = b"", -1
            future, self.future = self.future, None
            future.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.future is not None and not self.future.done():
            self.future.set_exception(exc or ConnectionError("closed"))

    def ask(self, data: bytes) -> asyncio.Future[None]:
        self.future = asyncio.get_running_loop().create_future()
        self.transport.write(data)
        return self.future


async def links(port: int, count: int) -> list[Link]:
    loop = asyncio.get_running_loop()
    return [(await loop.create_connection(Link, "127.0.0.1", port))[1] for _ in range(count)]


async def closed(port: int, data: bytes, connections: int, seconds: float) -> list[float]:
    """Latencies of as many requests as go through."""
    until, took = time.perf_counter() + seconds, list[float]()

    async def go(link: Link) -> None:
        while (begun := time.perf_counter()) < until:
            await link.ask(data)
            took.append(time.perf_counter() - begun)

    held = await links(port, connections)
    await asyncio.gather(*(go(link) for link in held))
    for link in held:
        link.transport.close()
    return took


async def opened(port: int, data: bytes, rate: float, seconds: float) -> list[float]:
    """Latencies, from when each was due, of requests that come evenly at a rate over 32 connections."""
    held = await links(port, CONNECTIONS)
    free: asyncio.Queue[Link] = asyncio.Queue()
    for link in held:
        free.put_nowait(link)
    begun, took, tasks = time.perf_counter(), list[float](), list[asyncio.Task[None]]()

    async def one(due: float) -> None:
        link = await free.get()
        await link.ask(data)
        took.append(time.perf_counter() - due)
        free.put_nowait(link)

    for n in range(int(rate * seconds)):
        due = begun + n / rate
        if (ahead := due - time.perf_counter()) > 0:
            await asyncio.sleep(ahead)
        tasks.append(asyncio.create_task(one(due)))
    await asyncio.gather(*tasks)
    for link in held:
        link.transport.close()
    return took


def family(port: int) -> list[int]:
    """All processes of the server at a port: those with its mark in their environment, and whatever comes from these. Either alone misses
    some: parents go, and a process that gives itself a title loses what stood in its environment."""
    found, children = list[int](), dict[int, list[int]]()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                children.setdefault(int((entry / "stat").read_text().rpartition(")")[2].split()[1]), []).append(
                    int(entry.name)
                )
                if f"{MARK}={port}\0".encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
    for pid in found:
        found += [child for child in children.get(pid, []) if child not in found]
    return found


def cpu(port: int) -> dict[int, float]:
    """CPU seconds of each process of the server at a port."""
    found: dict[int, float] = {}
    for pid in family(port):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            found[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


def start(words: list[str], port: int, health: str, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    """A server on its core, once it answers."""
    command = ["taskset", "-c", str(SERVER_CORE), *words]
    process = subprocess.Popen(
        command,
        env={**os.environ, "OMP_NUM_THREADS": "1", MARK: str(port), **(env or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}{health}", timeout=2).read()
            return process
        except OSError as error:
            if getattr(error, "code", 0) in (404, 405):
                return process
            if time.monotonic() > until or process.poll() is not None:
                process.kill()
                raise RuntimeError(f"{words} does not answer") from None
            time.sleep(0.2)


def measured(process: subprocess.Popen[bytes], port: int, data: bytes, seconds: float) -> dict[str, float]:
    """One round."""
    asyncio.run(closed(port, data, CONNECTIONS, 0.5))
    before, begun = cpu(port), time.perf_counter()
    many = asyncio.run(closed(port, data, CONNECTIONS, seconds))
    spent, wall = sum(now - before.get(pid, 0.0) for pid, now in cpu(port).items()), time.perf_counter() - begun
    alone = asyncio.run(closed(port, data, 1, seconds / 2))
    rate = len(many) / wall
    even = asyncio.run(opened(port, data, 0.7 * rate, seconds))
    return {
        "per_cpu_second": len(many) / spent if spent else float("nan"), "per_second": rate, "p50_ms_32": 1e3 * statistics.median(many),
        "p50_ms_1": 1e3 * statistics.median(alone), "p50_ms_70": 1e3 * float(np.quantile(even, 0.5)), "p99_ms_70": 1e3 * float(np.quantile(even, 0.99)),
    }  # fmt: skip


def main() -> None:
    told = argparse.ArgumentParser()
    told.add_argument("--peers", help="python of an environment with fastapi, litserve, bentoml")
    told.add_argument("--rounds", type=int, default=3)
    told.add_argument("--seconds", type=float, default=4.0)
    told.add_argument("--only", default="")
    given = told.parse_args()
    os.sched_setaffinity(0, {CLIENT_CORE})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = artifact(folder / "artifact")
        model = str(whole / "model.onnx")
        for file, text in (("fast.py", FASTAPI), ("lit.py", LITSERVE), ("bento.py", BENTOML)):
            (folder / file).write_text(text)
        x = np.random.default_rng(1).random((1, 784), np.float32).round(4)
        rows = json.dumps({"rows": x.astype(float).round(4).tolist()}).encode()
        tensor: dict[str, Any] = {"name": "x", "shape": [1, 784], "datatype": "FP32"}
        wanted = {"outputs": [{"name": "probabilities"}]}
        asjson = json.dumps({"inputs": [{**tensor, "data": x.astype(float).round(4).ravel().tolist()}], **wanted}).encode()
        head = json.dumps({"inputs": [{**tensor, "parameters": {"binary_data_size": x.nbytes}}],
                           "outputs": [{"name": "probabilities", "parameters": {"binary_data": True}}]}).encode()  # fmt: skip
        length = f"Inference-Header-Content-Length: {len(head)}\r\n"
        python = given.peers or sys.executable
        ours = [sys.executable, "-m", "tuneful.cli", "serve", f"mlp={whole}", "--port", "8461", "--log", "none"]
        servers: dict[str, tuple[list[str], int, str, bytes, dict[str, str]]] = {
            "ours, json": (ours, 8461, "/v2/health/ready", message("/v2/models/mlp/infer", asjson), {}),
            "ours, binary": (ours, 8461, "/v2/health/ready", message("/v2/models/mlp/infer", head + x.tobytes(), length), {}),
            "ours, /predict": (ours, 8461, "/v2/health/ready", message("/predict/mlp", rows), {}),
            "fastapi": ([python, str(folder / "fast.py"), model, "8462"], 8462, "/docs", message("/predict", rows), {}),
            "litserve": ([python, str(folder / "lit.py"), model, "8463"], 8463, "/health", message("/predict", rows), {}),
            "bentoml": ([python, "-m", "bentoml", "serve", "bento:Net", "--port", "8464", "--working-dir", name], 8464, "/readyz",
                        message("/predict", rows), {"MODEL": model, "BENTOML_DO_NOT_TRACK": "True"}),
        }  # fmt: skip
        found: dict[str, list[dict[str, float]]] = {}
        for at in range(given.rounds):
            for kind, (words, port, health, data, env) in servers.items():
                if given.only and given.only not in kind:
                    continue
                try:
                    process = start(words, port, health, env)
                except RuntimeError as error:
                    print(f"{kind}: {error}", file=sys.stderr)
                    continue
                try:
                    found.setdefault(kind, []).append(measured(process, port, data, given.seconds))
                finally:
                    members = family(port)
                    process.terminate()
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(15)
                    for pid in members:
                        if pid in family(port):
                            os.kill(pid, 9)
                    process.wait()
                print(at, kind, {key: round(value, 3) for key, value in found[kind][-1].items()}, file=sys.stderr)
        figures = {
            kind: {key: {"median": round(statistics.median(r[key] for r in rounds), 3), "range": [round(min(r[key] for r in rounds), 3), round(max(r[key] for r in rounds), 3)]}
                   for key in rounds[0]}
            for kind, rounds in found.items()
        }  # fmt: skip
        if "fastapi" in found:
            ratios = {
                kind: [a["per_cpu_second"] / b["per_cpu_second"] for a, b in zip(rounds, found["fastapi"])]
                for kind, rounds in found.items()
            }
            figures["per_cpu_second, times fastapi"] = {kind: {"median": round(statistics.median(r), 2), "range": [round(min(r), 2), round(max(r), 2)]}
                                                        for kind, r in ratios.items()}  # fmt: skip
        record(
            "serving",
            "requests per CPU-second of one core, MLP 784-256-10, one row a request",
            {"rounds": given.rounds, "servers": figures},
        )


if __name__ == "__main__":
    main()
