"""A study of ours in optuna-dashboard: its pages are served, and its API knows our trials, curves and dials."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

import tuneful
from tuneful.core.study import Study

COMMAND = shutil.which("optuna-dashboard", path=str(Path(sys.executable).parent))


@pytest.mark.slow
@pytest.mark.skipif(COMMAND is None, reason="optuna-dashboard is not installed")
def test_the_dashboard_opens_a_study(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNEFUL_HOME", str(tmp_path))
    tuneful.tune(
        "digits", lr="1e-4..1e-1", width="8..32", model="mlp", epochs=3, limit=200, budget="5 trials", confirm=0, name="seen"
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"sqlite:///{tmp_path / 'seen' / 'study.db'}"
    with (tmp_path / "said").open("wb") as said:
        server = subprocess.Popen([str(COMMAND), url, "--port", str(port)], stdout=said, stderr=said)
    try:

        def asked(path: str) -> Any:
            until = time.monotonic() + 60
            while True:
                with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
                    return answer.read().decode()
                assert time.monotonic() < until, (tmp_path / "said").read_text()
                time.sleep(0.5)

        assert "Optuna Dashboard" in asked("/dashboard/")
        (one,) = json.loads(asked("/api/studies"))["study_summaries"]
        assert (one["study_name"], one["directions"]) == ("seen", ["maximize"])
        told = json.loads(asked(f"/api/studies/{one['study_id']}"))["trials"]
        for shown, trial in zip(told, Study.open(tmp_path / "seen").trials(), strict=True):
            assert {p["name"] for p in shown["params"]} == set(trial.dials)
            if trial.state == "done":
                assert shown["state"] == "Complete"
                assert float(shown["values"][0]) == trial.last.value.value
    finally:
        server.terminate()
        server.wait(20)
