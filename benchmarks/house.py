"""What the first release promises: data in, a proven model out, within the budget; and exact resume.

    python benchmarks/house.py budget [SECONDS [SET ...]]   optimize with no option but the path, on digits and six real sets
    python benchmarks/house.py kills [KILLS]                kill -9 at random moments, resume, compare the weights bit by bit

The sets lie in $TUNEFUL_DATA or beside the checkout; those that are absent are left out and named.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from record import record

SETS = ("digits", "cifar10_folder", "mnist", "adult", "california_housing", "titanic", "penguins")
DATA = Path(os.environ.get("TUNEFUL_DATA") or Path(__file__).parents[2] / "shared" / "data")
TUNEFUL = Path(sys.executable).with_name("tuneful")


def budget(seconds: int, names: Sequence[str]) -> None:
    """Wall clock of the whole process against the budget, and what came of it."""
    for name in names:
        source = name if name == "digits" else str(DATA / name)
        if name != "digits" and not Path(source).exists():
            print(f"{name} is not here; left out", file=sys.stderr)
            continue
        with tempfile.TemporaryDirectory() as home:
            began = time.perf_counter()
            done = subprocess.run(
                [str(TUNEFUL), "optimize", source, "--budget", f"{seconds}s"], env={**os.environ, "TUNEFUL_HOME": home},
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            wall = time.perf_counter() - began
            if done.returncode:
                record("house", f"optimize {name}", {"exit": done.returncode, "error": done.stderr.splitlines()[-3:]})
                continue
            folder = next(Path(home).glob("[!.]*"))
            evidence = json.loads((folder / "evidence.json").read_text(encoding="utf-8"))
            metric = evidence["task"]["objective"]["metric"]
            against = evidence["against_baseline"]
            record("house", f"optimize {name}", {
                "budget_s": seconds, "wall_s": round(wall, 1), "wall_over_budget": round(wall / seconds, 3), "metric": metric,
                "test": evidence["test"][metric], "baseline": against.get("baseline"), "verdict": against.get("verdict"),
                "baselines": {one["name"]: one["measures"].get(metric, {}).get("value") for one in evidence["baselines"]},
                "trials": evidence["search"]["trials"], "artifact": (folder / "artifact" / "model.onnx").exists(),
                "report_bytes": (folder / "report.html").stat().st_size, "seconds": evidence["seconds"],
            })  # fmt: skip


def kills(count: int) -> None:
    """One training of digits, and the verdict of verify-resume."""
    with tempfile.TemporaryDirectory() as home:
        env = {**os.environ, "TUNEFUL_HOME": home}
        subprocess.run(
            [str(TUNEFUL), "train", "digits", "epochs=6", "mixup=0.2", "--name", "k"],
            env=env,
            check=True,
            capture_output=True,
        )
        began = time.perf_counter()
        done = subprocess.run([str(TUNEFUL), "verify-resume", str(Path(home) / "k"), "--kills", str(count)], env=env,
                              capture_output=True, text=True, check=False)  # fmt: skip
        record("house", "verify-resume digits", {"kills": count, "exit": done.returncode, "said": done.stdout.splitlines()[:2],
                                                 "wall_s": round(time.perf_counter() - began, 1)})  # fmt: skip


if __name__ == "__main__":
    what, amount = [*sys.argv[1:], "budget"][0], int(sys.argv[2]) if len(sys.argv) > 2 else 0
    {"budget": lambda: budget(amount or 60, sys.argv[3:] or SETS), "kills": lambda: kills(amount or 20)}[what]()
