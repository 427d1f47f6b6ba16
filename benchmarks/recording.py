"""What recording costs a server: CPU time a request and the median time of one, with and without --record, in turns.

    python benchmarks/recording.py [--turns 5]

One row of six columns a request, one connection, 4000 requests a turn. CPU time is that of the serving process, from /proc, writing included.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from record import record


def recording(turns: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        artifact = _artifact(Path(folder))
        cost: dict[str, list[float]] = {"without": [], "with": []}
        middle: dict[str, list[float]] = {"without": [], "with": []}
        for turn in range(2 * turns):
            way = "with" if turn % 2 else "without"
            more = ["--record", str(Path(folder) / f"{turn}.db")] if way == "with" else []
            used, times = _asked([f"people={artifact}", *more])
            cost[way].append(used)
            middle[way].append(statistics.median(times))
    ratio = [b / a for a, b in zip(cost["without"], cost["with"], strict=True)]
    record("recording", "recording beside serving: CPU microseconds a request, and the median time of one", {
        "cpu_us": {way: [round(1e6 * one, 1) for one in each] for way, each in cost.items()},
        "median_ms": {way: [round(1e3 * one, 3) for one in each] for way, each in middle.items()},
        "cpu_ratio": [round(one, 3) for one in ratio],
    })  # fmt: skip


def _artifact(folder: Path) -> Path:
    import tuneful

    dice = np.random.default_rng(0)
    x = dice.normal(size=(600, 6))
    lines = ["a,b,c,d,e,f,y", *(",".join([*(f"{v:.3f}" for v in row), "yes" if row[0] + row[1] > 0 else "no"]) for row in x)]
    (folder / "people.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    os.environ["TUNEFUL_HOME"] = str(folder / "runs")
    return tuneful.train(
        str(folder / "people.csv"), target="y", model="mlp", epochs=2, name="people", plan="off"
    ).artifact.folder


def _asked(words: list[str], requests: int = 4000) -> tuple[float, list[float]]:
    """(CPU seconds a request of the serving process, seconds of each request)."""
    command = [sys.executable, "-m", "tuneful.cli", "serve", *words, "--port", "0", "--log", "none"]
    serving = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert serving.stdout is not None
    try:
        link = http.client.HTTPConnection("127.0.0.1", int(serving.stdout.readline().split()[2].rpartition(":")[2]))
        body = json.dumps({"rows": [dict.fromkeys("abcdef", 0.5)]})
        times: list[float] = []
        for at in range(requests + 200):
            if at == 200:  # warm by now
                before = _used(serving.pid)
            begun = time.perf_counter()
            link.request("POST", "/predict", body, {"content-type": "application/json"})
            link.getresponse().read()
            times.append(time.perf_counter() - begun)
        time.sleep(1.2)  # until what was recorded is written
        return (_used(serving.pid) - before) / requests, times[200:]
    finally:
        serving.terminate()
        serving.wait()
        serving.stdout.close()


def _used(parent: int) -> float:
    """CPU seconds of the children of a process."""
    ticks = 0
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            told = file.read_text().rpartition(")")[2].split()
            ticks += int(told[11]) + int(told[12]) if int(told[1]) == parent else 0
    return ticks / os.sysconf("SC_CLK_TCK")


def main() -> None:
    told = argparse.ArgumentParser()
    told.add_argument("--turns", type=int, default=5)
    recording(told.parse_args().turns)


if __name__ == "__main__":
    main()
