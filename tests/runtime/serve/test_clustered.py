"""On Ray: the same application answers behind Ray's proxy, by several replicas, and goes on when one of them dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

import tuneful
from tuneful.core.errors import TunefulError
from tuneful.runtime.load import load
from tuneful.runtime.serve import Settings
from tuneful.runtime.serve.clustered import run_on_ray

ROWS = [{"age": 39, "job": "nurse"}, {"age": 71, "job": "baker"}]


def test_what_ray_cannot_do_is_told(artifacts: dict[str, Path], tmp_path: Path):
    with pytest.raises(TunefulError, match="TLS is not ours on Ray"):
        run_on_ray(Settings((str(artifacts["table"]),), tls_cert=tmp_path / "a.pem", tls_key=tmp_path / "b.pem"))
    with pytest.raises(TunefulError, match="cannot write into one SQLite file"):
        run_on_ray(Settings((str(artifacts["table"]),), record=tmp_path / "seen.db"))


def ask(address: str, path: str, body: Any = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address + path, data, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as got:
            return got.status, json.loads(got.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


@pytest.mark.slow
def test_two_replicas_answer_as_the_artifact_does_and_outlive_one_of_them(artifacts: dict[str, Path], tmp_path: Path):
    env = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    env |= {"PYTHONPATH": str(Path(tuneful.__file__).parents[1]), "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    words = [
        sys.executable,
        "-m",
        "tuneful.cli",
        "serve",
        f"people={artifacts['table']}",
        "--on",
        "ray",
        "--processes",
        "2",
        "--port",
        "0",
    ]
    log = tmp_path / "log"
    with log.open("w") as file:
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=file, text=True, env=env)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, log.read_text()
        address = line.split()[2]
        model = load(artifacts["table"])
        status, told = ask(address, "/predict/people", {"rows": ROWS})
        assert status == 200, told
        assert [one["prediction"] for one in told["predictions"]] == model.predict(ROWS).tolist()
        tensors = [{"name": name, "shape": [2], "datatype": kind, "data": [row[name] for row in ROWS]}
                   for name, kind in (("age", "FP64"), ("job", "BYTES"))]  # fmt: skip
        status, told = ask(address, "/v2/models/people/infer", {"inputs": tensors})
        assert told["outputs"][0]["data"] == pytest.approx(model.probabilities(ROWS).ravel().tolist(), abs=1e-6)
        assert ask(address, "/v2/health/ready")[1] == {"ready": True}
        assert ask(address, "/predict/people", {"rows": [{"age": 1}]})[0] == 400
        mine = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout.splitlines()
        replicas = [
            int(one.split()[0])
            for one in mine
            if "ServeReplica:tuneful:model" in one and _of(int(one.split()[0]), process.pid)
        ]
        assert len(replicas) == 2, mine
        os.kill(replicas[0], signal.SIGKILL)
        until = time.monotonic() + 60
        right = 0
        while right < 20 and time.monotonic() < until:
            right = right + 1 if ask(address, "/predict/people", {"rows": ROWS})[0] == 200 else 0
        assert right == 20
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0
        process.stdout.close()


def _of(pid: int, ancestor: int) -> bool:
    """Was a process begun by another, at any remove?"""
    while pid > 1:
        if pid == ancestor:
            return True
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return False
    return False
