"""Small tasks that the tests make."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from tuneful.core.task import Objective, Sealed, Split, Task


def blobs(n: int, classes: int, features: int, seed: int) -> Split:
    """Classes around points on a circle, well apart but not without overlap."""
    dice = np.random.default_rng(seed)
    y = dice.integers(0, classes, n)
    middle = np.stack([np.cos(2 * np.pi * y / classes), np.sin(2 * np.pi * y / classes)], 1) * 2.5
    x = dice.normal(size=(n, features)).astype("f4")
    x[:, :2] += middle
    return Split(x, y.astype("i8"))


@pytest.fixture(scope="session")
def flowers() -> Task:
    """Three classes in five numbers; 300 train, 120 valid, 120 test."""
    splits = [blobs(n, 3, 5, seed) for seed, n in enumerate((300, 120, 120))]
    return Task(
        "flowers", "multiclass", (5,), ("a", "b", "c"), splits[0], splits[1], Sealed(splits[2]),
        Objective("accuracy", "max"), "1" * 32, {"kind": "array", "shape": [5]},
        normalize={"mean": [0.0] * 5, "std": [1.5] * 5}, target={"name": "class"},
    )  # fmt: skip


@pytest.fixture(scope="session")
def houses() -> Task:
    """A regression in four numbers, in thousands."""

    def split(n: int, seed: int) -> Split:
        dice = np.random.default_rng(seed)
        x = dice.normal(size=(n, 4)).astype("f4")
        y = 5000 + 1000 * x[:, 0] - 500 * x[:, 1] * x[:, 2] + 50 * dice.normal(size=n)
        return Split(x, y.astype("f4"))

    train = split(256, 0)
    return Task(
        "houses", "regression", (4,), (), train, split(100, 1), Sealed(split(100, 2)), Objective("rmse", "min"), "2" * 32,
        {"kind": "array", "shape": [4]}, target={"name": "price", "mean": float(train.y.mean()), "std": float(train.y.std())},
    )  # fmt: skip


@pytest.fixture(scope="session")
def stripes() -> Task:
    """Grey 12x12 images with a bright row or a bright column; 160 train, 60 valid, 60 test."""

    def split(n: int, seed: int) -> Split:
        dice = np.random.default_rng(seed)
        x = dice.integers(0, 90, (n, 1, 12, 12)).astype("u1")
        y = dice.integers(0, 2, n)
        for image, one, at in zip(x, y, dice.integers(2, 10, n), strict=True):
            image[(0, at) if one else (0, slice(None), at)] += 120
        return Split(x, y.astype("i8"))

    return Task(
        "stripes", "binary", (1, 12, 12), ("column", "row"), split(160, 0), split(60, 1), Sealed(split(60, 2)),
        Objective("auroc", "max"), "3" * 32, {"kind": "image", "channels": 1, "height": 12, "width": 12},
        normalize={"mean": [50.0], "std": [40.0]}, target={"name": "class"},
    )  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread():
    """Small tensors are slow on several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


HEAD = """
import sys, threading
import numpy as np, polars as pl, torch
from tuneful.pipeline.codec import from_mapping
from tuneful.pipeline.judge import predict
from tuneful.pipeline.lazy import Lazy
from tuneful.pipeline.prepare import prepare
from tuneful.pipeline.train import Run
"""

WATCH = """
def taken():  # kilobytes of its own: pages of mapped files can go at any moment and do not count
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

grown(few, 2)  # all is loaded now
before, seen, over = taken(), [0], threading.Event()

def watch():
    while not over.wait(0.002):
        seen[0] = max(seen[0], taken())

watcher = threading.Thread(target=watch)
watcher.start()
task = grown(sys.argv[1], STEPS)
over.set()
watcher.join()
print((seen[0] - before) / 1024, isinstance(task.train.x, Lazy), len(task.train))
"""


@pytest.fixture
def growth() -> Callable[[str, int], str]:
    """Makes a program for a child process that tells how much memory it takes of its own beyond what little data took.

    body: defines `grown(data, steps)`, which prepares and trains and gives the task, and `few`, little data of the same kind.

    The program takes the data's path and prints megabytes, whether train lies on disk, and its length.
    """
    return lambda body, steps: HEAD + body + WATCH.replace("STEPS", str(steps))
