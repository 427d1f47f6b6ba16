"""Looks at the machine and at the installed packages, each imported in a process that may die of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

NEEDED = {
    "torch": "torch", "numpy": "numpy", "pydantic": "pydantic", "optuna": "optuna", "sqlalchemy": "sqlalchemy",
    "typer": "typer", "rich": "rich", "scikit-learn": "sklearn", "scipy": "scipy", "threadpoolctl": "threadpoolctl",
    "polars": "polars", "pillow": "PIL", "safetensors": "safetensors", "onnx": "onnx", "onnxscript": "onnxscript",
    "onnxruntime": "onnxruntime", "pyyaml": "yaml",
}  # fmt: skip
"""What pyproject.toml asks for: distribution -> module."""
OPTIONAL = {
    "torchvision": "torchvision",
    "transformers": "transformers",
    "timm": "timm",
    "ray": "ray",
    "pandas": "pandas",
    "psycopg": "psycopg",
    "soundfile": "soundfile",
    "cmaes": "cmaes",
    "torchao": "torchao",
    "tokenizers": "tokenizers",
    "sacrebleu": "sacrebleu",
    "uvicorn": "uvicorn",
    "httptools": "httptools",
    "uvloop": "uvloop",
    "orjson": "orjson",
    "python-multipart": "python_multipart",
    "prometheus-client": "prometheus_client",
    "cryptography": "cryptography",
    "opentelemetry-sdk": "opentelemetry.sdk.trace",
    "opentelemetry-exporter-otlp-proto-http": "opentelemetry.exporter.otlp.proto.http",
}

# Imports the modules in argv one after another and tells each before the next one may end the process.
CHILD = """
import importlib, json, sys, warnings
warnings.simplefilter("ignore")
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
        problem = ""
    except BaseException as error:
        problem = f"broken: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    print(json.dumps([name, problem]), flush=True)
"""
SECONDS = 120.0


def packages() -> list[dict[str, Any]]:
    """[{"name", "version", "needed", "problem"}]: problem is "" when the package can be imported."""
    from importlib.metadata import PackageNotFoundError, version

    found: list[dict[str, Any]] = []
    for name in (*NEEDED, *OPTIONAL):
        try:
            found.append({"name": name, "version": version(name), "needed": name in NEEDED, "problem": ""})
        except PackageNotFoundError:
            if name in NEEDED:
                found.append({"name": name, "version": "", "needed": True, "problem": "not installed"})
    modules = NEEDED | OPTIONAL
    problems = imports([modules[one["name"]] for one in found if not one["problem"]])
    for one in found:
        one["problem"] = one["problem"] or problems.get(modules[one["name"]], "")
    return found


def imports(modules: list[str]) -> dict[str, str]:
    """{module: what is wrong with it, or ""}. A module that takes the process with it is named, and the others go on."""
    problems: dict[str, str] = {}
    left: list[str] = list(modules)
    while left:
        try:
            done = subprocess.run([sys.executable, "-c", CHILD, *left], capture_output=True, text=True, timeout=SECONDS)
            out, why = done.stdout, f"broken: it ends Python (code {done.returncode})"
        except subprocess.TimeoutExpired as error:
            out = error.stdout.decode() if isinstance(error.stdout, bytes) else error.stdout or ""
            why = f"broken: importing it takes more than {SECONDS:g} s"
        for line in out.splitlines():
            if line.startswith('["'):
                name, problem = json.loads(line)
                problems[name] = problem
        left = [name for name in left if name not in problems]
        if left:
            problems[left.pop(0)] = why
    return problems


# Asked of torch in a process of its own as well.
DEVICES = """
import json, torch
cuda = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
print(json.dumps({"devices": ["cpu", *cuda], "threads": torch.get_num_threads(), "cuda": torch.version.cuda or "none"}))
"""


def machine() -> dict[str, Any]:
    """Cores, memory, disk, and what torch sees."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    told: dict[str, Any] = {"cores": cores}
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        kilo = {line.split(":")[0]: int(line.split()[1]) for line in lines}
        told["memory"] = f"{kilo['MemAvailable'] / 1e6:.1f} of {kilo['MemTotal'] / 1e6:.1f} GB free"
    except (OSError, ValueError, KeyError, IndexError):
        told["memory"] = "unknown"
    told["disk"] = f"{shutil.disk_usage('.').free / 1e9:.1f} GB free here"
    told["home"] = str(Path(os.environ.get("TUNEFUL_HOME") or "runs").absolute())
    done = subprocess.run([sys.executable, "-c", DEVICES], capture_output=True, text=True, timeout=SECONDS)
    lines = done.stdout.strip().splitlines()
    if done.returncode == 0 and lines:
        return told | json.loads(lines[-1])
    said = done.stderr.strip().splitlines()
    return told | {"devices": ["unknown"], "threads": "unknown", "torch": f"broken: {said[-1] if said else 'silent'}"}
