"""Trainings that are compared: each is run by a group of processes, and by one process alone.

    python ranks_cases.py FOLDER [NAME ...] [--half | "--from 2"]

As one process, or as one of a group (by the environment of torchrun). Each writes its final state (`NAME.WORLD.safetensors`) and its
curve; or stops half-way, or goes on from where others stopped.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from tuneful.core.recipe import Recipe
from tuneful.pipeline.codec import from_data
from tuneful.pipeline.prepare import prepare
from tuneful.pipeline.ranks import Ranks, join
from tuneful.pipeline.train import Run
from tuneful.techniques.models import Own
from tuneful.techniques.shards import local

DEEP = {"kind": "convnet", "width": 4, "depth": 1, "norm": "batch"}


def table(n: int = 203) -> Any:
    """Numbers and three classes of unequal size."""
    dice = np.random.default_rng(0)
    x = dice.normal(size=(n, 6)).astype(np.float32)
    y = np.where(x[:, 0] > 1, 2, (x[:, 1] > 0).astype(int))
    return prepare((x, y), name="table")


def pictures() -> Any:
    """Images of 8 pixels, a class each."""
    return prepare("digits", limit=150)


class Drawing(nn.Module):
    """Draws in every way that a rank takes apart."""

    def __init__(self, inputs: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.one, self.two, self.unused = nn.Linear(inputs[0], 12), nn.Linear(12, outputs), nn.Linear(3, 3)
        self.drop, self.alpha, self.map = nn.Dropout(0.3), nn.AlphaDropout(0.2), nn.Dropout1d(0.3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.tanh(self.one(x))
        h = self.map(self.drop(h).unflatten(1, (4, 3))).transpose(0, 1).contiguous().transpose(0, 1).flatten(1)
        h = self.alpha(h) + 0.1 * torch.randn_like(h) * torch.rand_like(h)
        return self.two(self.drop(h.repeat_interleave(2, 0)).unflatten(0, (-1, 2)).mean(1))


class Greedy(nn.Module):
    """Its last rank has memory for a few rows at a time, from its third step on; where there is one process, for all."""

    def __init__(self, inputs: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.one, self.two, self.calls = nn.Linear(inputs[0], 12), nn.Linear(12, outputs), 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += self.training
        rank, world = (int(os.environ.get(name, "0")) for name in ("RANK", "WORLD_SIZE"))
        if self.training and world > 1 and rank == world - 1 and self.calls > 4 and len(x) > 7:
            raise torch.OutOfMemoryError("injected")
        return self.two(torch.tanh(self.one(x)))


PLAIN = {"plan": "off", "precision": "fp32", "threads": 1, "epochs": 2.0, "validate_every": 1.0}
CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "plain": (table, {"model": {"kind": "mlp"}, "batch_size": 25}),
    "all_in_one": (table, {
        "model": {"kind": "mlp", "norm": "batch"}, "batch_size": 23, "optimizer": {"kind": "adamw", "lr": 0.01},
        "regularizers": [{"kind": "dropout", "rate": 0.3}, {"kind": "clipping", "max_norm": 0.5}, {"kind": "smoothing", "amount": 0.1},
                         {"kind": "averaging", "decay": 0.9}, {"kind": "l2"}, {"kind": "gradient_noise"}, {"kind": "drop_connect"}],
        "loss": {"kind": "cross_entropy", "balance": "classes"}, "augments": [{"kind": "noise", "std": 0.1}, {"kind": "mixup"}],
    }),
    "pictures": (pictures, {
        "model": DEEP, "batch_size": 13, "optimizer": {"kind": "momentum", "lr": 0.05},
        "augments": [{"kind": "rotate"}, {"kind": "shift"}, {"kind": "cutout"}],
        "regularizers": [{"kind": "dropout", "rate": 0.2, "form": "channel"}],
    }),
    "drawing": (table, {"batch_size": 25, "model": Own.of(Drawing)}),
    "sam": (table, {"model": {"kind": "mlp", "norm": "batch"}, "batch_size": 23, "optimizer": {"kind": "sam"}}),
    "lbfgs": (table, {"model": {"kind": "mlp"}, "optimizer": {"kind": "lbfgs"}, "epochs": 6.0}),
    "growing": (table, {"model": {"kind": "mlp"}, "batch_size": 8, "batch_to": 31, "batch_schedule": {"kind": "step"}}),
}  # fmt: skip


def recipe(name: str) -> Recipe:
    """The recipe of a case."""
    wanted = {**PLAIN, **(CASES | GREEDY)[name][1]}
    model = wanted.pop("model")
    return from_data({**wanted, "model": model}) if isinstance(model, dict) else from_data(wanted).replace(model=model)


SHARDED: dict[str, tuple[Any, dict[str, Any]]] = {
    "split": (table, {
        "model": {"kind": "mlp", "norm": "batch"}, "batch_size": 23, "optimizer": {"kind": "adamw", "lr": 0.01},
        "regularizers": [{"kind": "dropout", "rate": 0.3}, {"kind": "clipping", "max_norm": 0.5}, {"kind": "averaging", "decay": 0.9},
                         {"kind": "l2"}, {"kind": "gradient_noise"}, {"kind": "drop_connect"}, {"kind": "swa", "start": 0.3}],
        "loss": {"kind": "cross_entropy", "balance": "classes"}, "augments": [{"kind": "mixup"}],
    }),
    "split_rule": (table, {
        "model": {"kind": "mlp"}, "batch_size": 25, "optimizer": {"kind": "adabound", "lr": 0.01},
        "regularizers": [{"kind": "percentile_clipping"}, {"kind": "l1", "proximal": True}, {"kind": "horizons"}, {"kind": "weight_noise"}],
    }),
    "split_pictures": (pictures, {
        "model": {"kind": "resnet", "depth": 8, "width": 4}, "batch_size": 13, "optimizer": {"kind": "momentum", "lr": 0.05},
        "regularizers": [{"kind": "adaptive_clipping"}, {"kind": "early_stopping", "patience": 1}, {"kind": "elastic_net"}],
    }),
}  # fmt: skip
"""Of which each process keeps a share of the weights, where there are several."""
CASES |= SHARDED
GREEDY: dict[str, tuple[Any, dict[str, Any]]] = {
    "greedy": (table, {"model": Own.of(Greedy), "batch_size": 25, "optimizer": {"kind": "adamw", "lr": 0.01}}),
    "greedy_split": (table, {"model": Own.of(Greedy), "batch_size": 25, "optimizer": {"kind": "adamw", "lr": 0.01}}),
}
"""Whose memory runs out."""


def main(folder: Path, names: list[str], way: str = "") -> None:
    """way: "half" stops at the first point; "from 2" goes on from where two processes stopped."""
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", message=".*fork.*")
    torch.set_default_dtype(torch.float64)
    group: Ranks = join("cpu")
    for name in names or list(CASES):
        ranks = Ranks(group.rank, group.world, group.device, shard=name in SHARDED or name == "greedy_split")
        task, told = (CASES | GREEDY)[name][0](), f"{name}.{ranks.world}"
        if way.startswith("from "):
            before = way.removeprefix("from ")
            run = Run.resume(task, folder / f"{name}.{before}.half.safetensors", device="cpu", ranks=ranks)
            told = f"{name}.{before}.{ranks.world}"
        else:
            saved = folder / f"{name}.saved.safetensors"
            options: dict[str, Any] = {"device": "cpu", "ranks": ranks, "save_to": saved, "save_every": 0.0}
            options = options if name in GREEDY else {"device": "cpu", "ranks": ranks}
            if saved.exists() and ranks.world > 1:
                run = Run.resume(task, saved, model=recipe(name).model, **options)
            else:
                run = Run(task, recipe(name), **options)
            told += ".half" if way else ""
        for _ in run:
            if way == "half":
                break
        run.save(folder / f"{told}.safetensors")
        if name in SHARDED:
            (folder / f"{told}.{ranks.rank}.held").write_text(
                str(sum(local(p).nbytes for p in run.body.parameters())), encoding="ascii"
            )
        if ranks.leads:
            points = [point.as_data() for point in run.curve]
            (folder / f"{told}.json").write_text(json.dumps(points), encoding="utf-8")
    group.leave()


if __name__ == "__main__":
    way = next((word.removeprefix("--") for word in sys.argv if word.startswith("--")), "")
    main(Path(sys.argv[1]), [word for word in sys.argv[2:] if not word.startswith("--")], way)
