"""A process that has imported everything that is slow to import, and forks children that train: one costs no second.

Started by the fixture `nursery`. It reads orders from stdin, one JSON object a line, and answers each with a line:

    {"do": "train" | "search" | "cli", ...}      -> the process id of a child that does it
    {"wait": pid, "within": seconds}             -> its exit code, or minus the signal that ended it

A child with an order {"die": [moment, n]} kills itself with SIGKILL at a moment that no clock would hit: in its nth saving
"half" (half of the state is in its file), "whole" (all of it is, and it is not yet in its place), "placed" (it just is); or
"before ask", "after ask" and so on: around its nth call of that method of the study; "opened", "proven": after the nth opening of
the test split, or proof that was kept. {"largest": bytes} limits the size of files,
{"user": number} gives up the rights of root.
Polars, pyarrow and onnxruntime start threads when they are imported, so only children import them: a fork takes no thread along.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxscript  # noqa: F401
import sklearn.datasets
import sklearn.ensemble
import sklearn.linear_model
import sqlalchemy.dialects.sqlite  # noqa: F401
import torch
import torch._dynamo  # the first optimizer of a process imports it, in two seconds
import torch.onnx._internal.exporter._core

import tuneful.cli.door
import tuneful.cli.progress
import tuneful.cli.summary
import tuneful.cli.work
import tuneful.pipeline.optimize
from tuneful.core.budget import Budget, Clock
from tuneful.core.study import Study
from tuneful.core.task import Objective, Sealed, Split, Task
from tuneful.pipeline.codec import from_mapping
from tuneful.pipeline.train import Run
from tuneful.pipeline.tune import Search
from tuneful.techniques.search import TPE

TRAINING = {
    "model": "convnet", "width": 4, "optimizer": "adabound", "lr": 3e-3, "schedule": "cosine", "dropout": 0.3, "smoothing": 0.1,
    "averaging": 0.98, "clipping": 1.0, "l1": 1e-5, "crop": 1, "flip": 0.5, "noise": 0.1, "mixup": 0.2, "epochs": 12,
    "batch_size": 16, "validate_every": 1.5, "threads": 1,
}  # fmt: skip
SEARCHING = {
    "model": "mlp", "depth": 1, "width": "4..32", "optimizer": "momentum,adam,adabound", "lr": "1e-4..1", "batch_size": 32,
    "optimizer.beta1": "0.5..0.99", "dropout": "0..0.5", "epochs": 9, "validate_every": 1, "threads": 1,
}  # fmt: skip


def stripes() -> Task:
    """Grey 12x12 images with a bright row or a bright column."""

    def split(n: int, seed: int) -> Split:
        dice = np.random.default_rng(seed)
        x = dice.integers(0, 90, (n, 1, 12, 12)).astype("u1")
        y = dice.integers(0, 2, n)
        for image, one, at in zip(x, y, dice.integers(2, 10, n), strict=True):
            image[(0, at) if one else (0, slice(None), at)] += 90
        return Split(x, y.astype("i8"))

    return Task(
        "stripes", "binary", (1, 12, 12), ("column", "row"), split(160, 0), split(60, 1), Sealed(split(60, 2)),
        Objective("auroc", "max"), "3" * 32, {"kind": "image", "channels": 1, "height": 12, "width": 12},
        normalize={"mean": [50.0], "std": [40.0]}, target={"name": "class"},
    )  # fmt: skip


def flowers() -> Task:
    """Three classes in five numbers, with much overlap."""

    def split(n: int, seed: int) -> Split:
        dice = np.random.default_rng(seed)
        y = dice.integers(0, 3, n)
        x = dice.normal(size=(n, 5)).astype("f4")
        x[:, :2] += np.stack([np.cos(2 * np.pi * y / 3), np.sin(2 * np.pi * y / 3)], 1)
        return Split(x, y.astype("i8"))

    return Task(
        "flowers", "multiclass", (5,), ("a", "b", "c"), split(320, 0), split(150, 1), Sealed(split(60, 2)),
        Objective("log_loss", "min"), "1" * 32, {"kind": "array", "shape": [5]}, target={"name": "class"},
    )  # fmt: skip


def train(order: dict[str, Any]) -> int:
    """Train, or go on; the state is saved after every step, and `progress` grows by a byte with each."""
    task, path = stripes(), Path(order["path"])
    if path.exists():
        run = Run.resume(task, path, device="cpu", save_to=path, save_every=order["save_every"])
    else:
        recipe, _ = from_mapping(TRAINING, task)
        run = Run(task, recipe, device="cpu", save_to=path, save_every=order["save_every"])
    with Path(order["progress"]).open("ab", buffering=0) as progress:
        progress.write(b".")
        for _ in run.walk(beat=0.0):
            progress.write(b".")
    run.save(path)
    return 0


def search(order: dict[str, Any]) -> int:
    """Search, or go on; `progress` grows by a byte with every beat."""
    task, folder = flowers(), Path(order["folder"])
    recipe, space = from_mapping(SEARCHING, task)
    with Path(order["progress"]).open("ab", buffering=0) as progress:
        progress.write(b".")
        study = Study.create(folder, "search", task, space)
        work = Search(study, task, recipe, space, Clock(Budget(trials=order["trials"])), device="cpu", at_once=4)
        progress.writelines(b"." for _ in work)
    (folder / "ended").write_text(work.ended)
    return 0


def cli(order: dict[str, Any]) -> int:
    """One command."""
    for stream, name in ((sys.stdout, "out"), (sys.stderr, "err")):
        os.dup2(os.open(order[name], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), stream.fileno())
    os.environ.update(order.get("env", {}))
    return tuneful.cli.door.main(order["words"])


def die(moment: str, number: int) -> None:
    """From now on this process dies at the nth moment of this kind."""
    count = 0

    def kill(now: bool = True) -> None:
        if now and count == number:
            os.kill(os.getpid(), signal.SIGKILL)

    holders = {"opened": (Sealed, "after open"), "proven": (tuneful.pipeline.optimize, "after keep")}
    holder, moment = holders.get(moment, (Study, moment))
    if " " in moment:
        when, name = moment.split()
        method = getattr(holder, name)

        def dying(*words: Any, **named: Any) -> Any:
            nonlocal count
            count += 1
            kill(when == "before")
            answer = method(*words, **named)
            kill()
            return answer

        setattr(holder, name, dying)
        return
    fsync, replace = os.fsync, os.replace

    def in_fsync(file: int) -> None:
        nonlocal count
        count += 1
        if count == number and moment == "half":
            os.ftruncate(file, os.fstat(file).st_size // 2)
        kill(moment != "placed")
        fsync(file)

    def in_replace(old: Any, new: Any) -> None:
        replace(old, new)
        kill(moment == "placed")

    os.fsync, os.replace = in_fsync, in_replace


def born(order: dict[str, Any]) -> int:
    """Fork a child that carries out the order."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        os.dup2(2, 1)  # answers are the parent's alone
        if "largest" in order:
            resource.setrlimit(resource.RLIMIT_FSIZE, (order["largest"], order["largest"]))
        if "user" in order:
            os.setuid(order["user"])
        if "die" in order:
            die(*order["die"])
        code = {"train": train, "search": search, "cli": cli}[order["do"]](order)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def ended(pid: int, within: float) -> int:
    """The exit code of a child, or minus its signal; after so many seconds it is killed."""
    last = time.monotonic() + within
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > last:
            os.kill(pid, signal.SIGKILL)
            last = float("inf")
        time.sleep(0.002)


def warm_up() -> None:
    """Do a little of everything once, so that what is imported on the way is there."""
    Run(stripes(), from_mapping(TRAINING, stripes())[0], device="cpu").timed(1, 0.0)
    recipe, space = from_mapping({**SEARCHING, "epochs": 1}, flowers())
    with tempfile.TemporaryDirectory() as place:
        study = Study.create(Path(place), "search", flowers(), space)
        for _ in Search(study, flowers(), recipe, space, Clock(Budget(trials=3)), proposer=TPE(startup=1), device="cpu"):
            pass


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    sklearn.datasets.load_digits()
    warm_up()
    threads = len(os.listdir("/proc/self/task"))
    print(json.dumps({"threads": threads}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        print(ended(order["wait"], order["within"]) if "wait" in order else born(order), flush=True)


if __name__ == "__main__":
    main()
