"""One JSON line a measurement: what was measured, on which machine, under which load, with which versions."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """The machine and its software, without names."""
    cpu = platform.processor()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), cpu)
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in ("torch", "numpy", "optuna", "scikit-learn")},
    }


def commit() -> str:
    """The commit that was measured, with a + when files had changed."""
    here = Path(__file__).parent
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=here, capture_output=True, text=True, check=False)
    dirty = subprocess.run(["git", "status", "--porcelain", "src"], cwd=here, capture_output=True, text=True, check=False)
    return found.stdout.strip() + ("+" if dirty.stdout.strip() else "")


def record(script: str, claim: str, figures: dict[str, Any]) -> None:
    """Append one line to results/SCRIPT.jsonl and print it."""
    RESULTS.mkdir(exist_ok=True)
    line = {"claim": claim, **figures, "at": time.strftime("%Y-%m-%d"), "commit": commit(), "machine": machine()}
    with (RESULTS / f"{script}.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    print(json.dumps(line), flush=True)
