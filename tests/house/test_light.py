"""What is loaded when: the face and the nouns are light, the afterlife lives alone, help comes at once."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

# Import every module named in argv after blocking what argv[1] lists, then say what came in.
LOAD = """
import importlib, sys
for name in sys.argv[1].split():
    sys.modules[name] = None
for name in sys.argv[2:]:
    importlib.import_module(name)
print(*sorted({n.split(".")[0] for n in sys.modules if sys.modules[n] is not None}))
"""
HEAVY = {"torch", "optuna", "sqlalchemy", "polars", "pyarrow", "plotly", "sklearn", "scipy", "onnx", "onnxruntime", "pandas"}


def inside(room: str, modules: dict[str, Path]) -> list[str]:
    found = [name for name in modules if name == room or name.startswith(room + ".")]
    assert found, f"there is no {room}"
    return found


@pytest.mark.parametrize("room", ["tuneful.core", "tuneful.runtime", "tuneful.report", "tuneful.techniques.search"])
def test_lives_without_torch(room, modules, python):
    python(LOAD, "torch", *inside(room, modules))


def test_the_runtime_needs_only_numpy_and_onnxruntime(modules, python):
    others = "torch pydantic optuna typer rich sklearn scipy polars pyarrow PIL safetensors onnx onnxscript plotly yaml tomli_w pandas"
    assert "numpy" in python(LOAD, others, *inside("tuneful.runtime", modules)).split()


@pytest.mark.parametrize("room", ["tuneful.core", "tuneful.techniques.search", "tuneful.report"])
def test_loads_nothing_heavy(room, modules, python):
    assert not HEAVY & set(python(LOAD, "", *inside(room, modules)).split())


@pytest.mark.parametrize("name", ["tuneful", "tuneful.cli"])
def test_the_doors_load_nothing_heavy(name, python):
    assert not (HEAVY | {"numpy"}) & set(python(LOAD, "", name).split())


def cpu_seconds(below: float, *command: str) -> float:
    """The least CPU time, user and system, of up to seven runs; the first that is below the limit ends the tries.

    Neighbours on the machine can only add to it (shared caches and cores), so the least is nearest to the truth.
    """
    least = float("inf")
    for _ in range(7):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=60
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert done.returncode == 0, done.stdout + done.stderr
        least = min(least, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        if least < below:
            break
    return least


def test_help_takes_less_than_half_a_second_of_cpu():
    command = Path(sys.executable).parent / "tuneful"
    assert command.is_file(), f"tuneful is not installed beside {sys.executable}"
    assert cpu_seconds(0.5, str(command), "--help") < 0.5


def test_the_core_is_light_beside_the_one_package_that_it_needs(modules):
    code = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]"
    bare = cpu_seconds(0, sys.executable, "-c", "pass")
    # Seconds depend on the neighbours of the moment, so pydantic is loaded beside it: alone it takes about 0.1, core 0.2 to 0.3.
    pydantic = cpu_seconds(0, sys.executable, "-c", "import pydantic") - bare
    limit = bare + max(0.5, 5 * pydantic)
    assert cpu_seconds(limit, sys.executable, "-c", code, *inside("tuneful.core", modules)) < limit
