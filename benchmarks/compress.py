"""What the steps of `tuneful improve` bring on real networks, as exported and run by onnxruntime on one thread.

    python benchmarks/compress.py RUNS int8       static int8 against fp32: MLP, ConvNet and Transformer encoder
    python benchmarks/compress.py RUNS prune      CIFAR-10 ResNet-20, channels pruned to about half of the multiply-adds
    python benchmarks/compress.py RUNS distil     MNIST, a student of at most 1/20 of the teacher's size, alone and taught
    python benchmarks/compress.py RUNS front      the search on the MNIST ConvNet

RUNS is a folder in which the networks to begin with are trained where they are not there yet; they are small and trained for
minutes, and each line says on how many examples. Times are paired with the original's, call by call (`pipeline.improve.variant`).
The peer is fp32 itself, and for distillation the same student without a teacher. A line a network goes to results/compress.jsonl.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from record import record

DATA = Path(os.environ.get("TUNEFUL_DATA") or Path(__file__).parents[2] / "shared" / "data")
FULL = ("threads=1", "plan=off")
BASES: dict[str, tuple[str, tuple[str, ...]]] = {
    "mlp": ("mnist", ("model=mlp", "width=512", "depth=2", "epochs=6", "valid=0.1667", *FULL)),
    "convnet": ("mnist", ("model=convnet", "width=32", "epochs=3", "valid=0.1667", *FULL)),
    "transformer": ("rt_polarity", ("model=transformer", "epochs=4", *FULL)),
    "resnet20": ("cifar10", ("model=resnet", "depth=20", "width=16", "epochs=8", "limit=12000", "valid=0.2", "augments=none", "threads=1")),
}  # fmt: skip


def base(runs: Path, name: str) -> Path:
    """The run to begin with, trained where it is not there yet."""
    folder = runs / name
    if not (folder / "evidence.json").exists():
        data, words = BASES[name]
        source = DATA / data
        if data == "cifar10":
            subprocess.run(
                [sys.executable, str(source / "materialise.py"), "--py", str(runs)], check=True, capture_output=True
            )
            source = runs / "cifar-10-batches-py"
        command = [
            str(Path(sys.executable).with_name("tuneful")),
            "train",
            str(source),
            *words,
            "--home",
            str(runs),
            "--name",
            name,
        ]
        subprocess.run([*command, "--budget", "20min"], check=True, stdout=subprocess.DEVNULL)
    return folder


def told(folder: Path, points: Sequence[Any], refused: Sequence[str]) -> dict[str, Any]:
    """What a line says of the points."""
    import json

    evidence = json.loads((folder / "evidence.json").read_text("utf-8"))
    size = {part: evidence["task"][f"n_{part}"] for part in ("train", "valid", "test")}
    begun = points[0]

    def of(one: Any) -> dict[str, Any]:
        return {
            "name": one["name"], "kept": one["kept"], "value": one["value"]["value"], "bytes": one["bytes"],
            "size_ratio": round(one["bytes"] / begun["bytes"], 4), "ms": {n: round(m["value"], 4) for n, m in one["milliseconds"].items()},
            "time_ratio": {n: [round(m[k], 3) for k in ("value", "low", "high")] for n, m in one["ratio"].items()},
            "losses": [[loss["metric"], *(loss["difference"][k] for k in ("value", "low", "high")), loss["most"]] for loss in one["losses"]],
            "multiply_adds": one.get("multiply_adds"),
        }  # fmt: skip

    return {"examples": size, "steps": evidence["steps"], "points": [of(one) for one in points], "refused": list(refused)}


def int8(runs: Path) -> None:
    """Number 1: at least 3 times as fast (MLP, 64), 1.7 (Transformer), 2 (ConvNet); size at most 0.3; within 0.5 points."""
    import tuneful

    for name in ("mlp", "convnet", "transformer"):
        folder = base(runs, name)
        every: list[Any] = []
        refused: list[str] = []
        for steps in (("static_int8",), ("static_int8 where=products",), ("dynamic_int8",)):
            found = tuneful.improve(folder, *steps, keep="accuracy-1.5%" if name == "transformer" else None, prove=False)
            every += found.points if not every else found.points[1:]
            refused += found.refused
        record("compress", f"int8 against fp32 in onnxruntime, one thread: {name}", told(folder, every, refused))


def prune(runs: Path) -> None:
    """Number 2: half of the multiply-adds, within 0.5 points, at least 1.6 times as fast."""
    import tuneful

    folder = base(runs, "resnet20")
    every: list[Any] = []
    refused: list[str] = []
    # Times need no training; the last one is trained on for the one epoch that a few minutes allow.
    for step in ("prune=0.3 multiple=1 epochs=0", "prune=0.5 multiple=16 epochs=0", "prune=0.3 multiple=8 epochs=1"):
        found = tuneful.improve(folder, step, keep="accuracy-0.5%, log_loss+5%", prove=False)
        every += found.points if not every else found.points[1:]
        refused += found.refused
    record("compress", "channels pruned, CIFAR-10 ResNet-20, trained on for one epoch", told(folder, every, refused))


def distil(runs: Path) -> None:
    """Number 3: a student of at most 1/20 of the teacher's size makes at most 1.15 times its errors."""
    import tuneful

    folder = base(runs, "mlp")
    every: list[Any] = []
    narrow, other = "distil=0.078 epochs=10", "distil model=convnet units=10 epochs=5"
    for step in (f"{narrow} weight=0", f"{narrow} weight=0.9", f"{other} weight=0", f"{other} weight=0.9"):
        found = tuneful.improve(folder, step, keep="accuracy-20%", prove=False)
        every += found.points if not every else found.points[1:]
    record(
        "compress",
        "students of 40 units, and of another model, alone (weight 0) and taught, MNIST MLP",
        told(folder, every, ()),
    )


def front(runs: Path) -> None:
    """Number 4: 1/10 of the size and 1/5 of the latency within 0.2 points."""
    import tuneful

    folder = base(runs, "convnet")
    found = tuneful.improve(folder, budget="5min", keep="accuracy-0.5%", prove=False)
    figures = told(folder, found.points, found.refused)
    record("compress", "the joint front of the MNIST ConvNet, 5 minutes", {**figures, "front": list(found.front)})


if __name__ == "__main__":
    where, *which = sys.argv[1:]
    for one in which or ["int8", "prune", "distil", "front"]:
        {"int8": int8, "prune": prune, "distil": distil, "front": front}[one](Path(where))
