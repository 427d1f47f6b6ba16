"""Batches a second of our paths against torch's DataLoader, and the seconds from a command to its first step.

    python benchmarks/data.py batches [SET ...]     mnist, cifar10, adult in memory; paired, A B C ... A B C ..., in one process
    python benchmarks/data.py streams [SET ...]     adult from disk, of which so little fits that its table stays there; paired likewise
    python benchmarks/data.py start [SOURCE ...]    a fresh process each: imports, reading, building, the first step

The DataLoader has 0 or 2 workers, which persist, and a Dataset as its users write it: an image from an array, crop with
padding, flip, to a tensor, normalized. Its images are changed once by Pillow (as torchvision does) and once by numpy; the best
of the four counts. Ours does the same to a batch. Rows on disk lie for it in an .npy file, encoded already, and are read from a
map, once row by row and once a batch at a time (__getitems__); ours keeps its own file. Both files are in the system's cache by
then: what is measured is the path, not the disk. Torch computes with one thread; workers have what cores there are.
The sets lie in $TUNEFUL_DATA or beside the checkout; those that are absent are left out and named.
"""

from __future__ import annotations

import gzip
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from record import record

DATA = Path(os.environ.get("TUNEFUL_DATA") or Path(__file__).parents[2] / "shared" / "data")
BATCH = 128
SHOWN = 60  # batches of one measurement of a DataLoader
LONGER = 20  # times as many of ours, so that both last about as long and other processes disturb them alike
REPEATS = 9
PADDING = 4
LITTLE = "12MB"  # what a table from disk may take of memory: more than is kept of each of adult's rows, less than its table


def sheets(folder: Path) -> dict[str, Any]:
    """CIFAR-10 out of the lossless sheets of the pack, as arrays."""
    from PIL import Image

    told = json.loads(gzip.decompress((folder / "index.json.gz").read_bytes()))["batches"]
    parts: dict[str, list[Any]] = {"train": [], "test": []}
    for path in sorted(folder.glob("*_batch*.webp")):
        sheet = np.asarray(Image.open(path).convert("RGB")).reshape(100, 32, 100, 32, 3)
        x = sheet.transpose(0, 2, 4, 1, 3).reshape(-1, 3, 32, 32)
        y = np.array([int(c) for c in told[path.stem]["labels"]])
        parts["test" if path.stem.startswith("test") else "train"].append((x, y))
    return {s: (np.concatenate([x for x, _ in p]), np.concatenate([y for _, y in p])) for s, p in parts.items()}


class ByPillow:
    """One image as torchvision's transforms make it: RandomCrop with padding, RandomHorizontalFlip, ToTensor, Normalize."""

    def __init__(self, x: Any, y: Any, mean: Any, std: Any, flips: bool) -> None:
        import torch

        self.x, self.y, self.flips = x, y, flips
        self.mean, self.std = torch.tensor(mean).view(-1, 1, 1) / 255, torch.tensor(std).view(-1, 1, 1) / 255

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, i: int) -> Any:
        import torch
        from PIL import Image, ImageOps

        image = Image.fromarray(self.x[i])
        width, height = image.size
        image = ImageOps.expand(image, PADDING)
        top, left = (int(torch.randint(0, 2 * PADDING + 1, (1,))) for _ in range(2))
        image = image.crop((left, top, left + width, top + height))
        if self.flips and torch.rand(1) < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        array = np.array(image)
        x = torch.from_numpy(array if array.ndim == 3 else array[:, :, None]).permute(2, 0, 1).contiguous()
        return x.float().div(255).sub_(self.mean).div_(self.std), int(self.y[i])


class ByNumpy(ByPillow):
    """The same by slices of arrays, and chance from Python's own generator, which costs less than a tensor of one number."""

    def __getitem__(self, i: int) -> Any:
        import random

        import torch

        x = self.x[i] if self.x[i].ndim == 3 else self.x[i][:, :, None]
        height, width = x.shape[:2]
        x = np.pad(x, ((PADDING, PADDING), (PADDING, PADDING), (0, 0)))
        top, left = random.randint(0, 2 * PADDING), random.randint(0, 2 * PADDING)
        x = x[top : top + height, left : left + width]
        if self.flips and random.random() < 0.5:
            x = x[:, ::-1]
        tensor = torch.from_numpy(np.ascontiguousarray(x.transpose(2, 0, 1)))
        return tensor.float().div_(255).sub_(self.mean).div_(self.std), int(self.y[i])


class Rows:
    """One row of a table that is encoded already."""

    def __init__(self, x: Any, y: Any) -> None:
        import torch

        self.x, self.y = torch.from_numpy(x), torch.from_numpy(y)

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, i: int) -> Any:
        return self.x[i], self.y[i]


class MappedRows:
    """One row of a table that is encoded already and lies in an .npy file."""

    def __init__(self, path: Path, y: Any) -> None:
        import torch

        self.x, self.y = np.load(path, mmap_mode="r"), torch.from_numpy(y)

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, i: int) -> Any:
        import torch

        return torch.from_numpy(np.array(self.x[i])), self.y[i]


class MappedBatches(MappedRows):
    """The same rows, those of a batch read together."""

    def __getitems__(self, rows: list[int]) -> Any:
        import torch

        return list(zip(torch.from_numpy(self.x[rows]), self.y[rows], strict=True))


def loaded(dataset: Any, workers: int) -> Callable[[], int]:
    """One measurement of a DataLoader: its batches gone through once."""
    from torch.utils.data import DataLoader, Subset

    subset = Subset(dataset, range(SHOWN * BATCH))
    loader = DataLoader(subset, BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
    return lambda: sum(1 for _ in loader)


def ours(task: Any, augments: Iterable[str]) -> Callable[[], int]:
    """One measurement of our path: batches out of memory, augmented and normalized, as the loop takes them."""
    import torch

    from tuneful.core.recipe import Recipe
    from tuneful.pipeline.batches import Batches
    from tuneful.pipeline.defaults import resolve
    from tuneful.pipeline.fronts import front
    from tuneful.pipeline.goals import form
    from tuneful.pipeline.step import augmented
    from tuneful.techniques.augments import TABLE, fit

    made = tuple(TABLE[name]() for name in augments)
    plan: Any = resolve(Recipe(augments=made, regularizers=(), batch_size=BATCH, threads=1, epochs=1000), task)
    plan = plan.replace(augments=fit(plan.augments, form(task)))
    batches, normalize = Batches(task, plan, torch.device("cpu")), front(task)
    steps = iter(range(10**9))

    def measured() -> int:
        with torch.no_grad():
            for step in (next(steps) for _ in range(LONGER * SHOWN)):
                x, y = batches.at(step)
                augmented(x, y, task, plan, step, normalize)
        return LONGER * SHOWN

    return measured


def batches(names: list[str]) -> None:
    """Ratios with their spread, one line a set."""
    import torch

    from tuneful import prepare

    torch.set_num_threads(1)
    for name in names:
        if not (DATA / name).is_dir():
            print(f"{name} is not here; left out", file=sys.stderr)
            continue
        task = prepare(sheets(DATA / name) if name == "cifar10" else str(DATA / name))
        x, y = task.train.x, task.train.y
        flips = name == "cifar10"  # not of digits
        paths = {"ours": ours(task, (("crop", "flip") if flips else ("crop",)) if x.ndim == 4 else ())}
        if x.ndim == 4:
            pixels = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
            pixels = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
            sets = {
                k.__name__: k(pixels, y, task.normalize["mean"], task.normalize["std"], flips) for k in (ByPillow, ByNumpy)
            }
        else:
            sets = {"Rows": Rows(x, y)}
        paths |= {f"{kind}, {workers} workers": loaded(one, workers) for kind, one in sets.items() for workers in (0, 2)}
        told(f"batches of {name}: in memory against DataLoader's best", paths)


def streams(names: list[str]) -> None:
    """Ratios with their spread, one line a set, of tables that stay on disk."""
    import torch

    from tuneful import prepare

    torch.set_num_threads(1)
    for name in names:
        if not (DATA / name).is_dir():
            print(f"{name} is not here; left out", file=sys.stderr)
            continue
        here = prepare(str(DATA / name))
        os.environ["TUNEFUL_MEMORY"] = LITTLE
        there = prepare(str(DATA / name))
        del os.environ["TUNEFUL_MEMORY"]
        assert there.fingerprint == here.fingerprint
        assert not isinstance(there.train.x, np.ndarray), f"{LITTLE} are enough to hold {name}"
        with tempfile.TemporaryDirectory() as folder:
            at = Path(folder) / "x.npy"
            np.save(at, here.train.x)
            paths = {"ours": ours(there, ())}
            for kind in (MappedRows, MappedBatches):
                one = kind(at, here.train.y)
                paths |= {f"{kind.__name__}, {workers} workers": loaded(one, workers) for workers in (0, 2)}
            told(f"batches of {name}: from disk against DataLoader's best", paths)


def told(claim: str, paths: dict[str, Callable[[], int]]) -> None:
    """Measure paths in turn, ours among them, and record our ratio to the best of the others."""
    rates: dict[str, list[float]] = {path: [] for path in paths}
    costs: dict[str, list[float]] = {path: [] for path in paths if not path.endswith("2 workers")}
    for repeat in range(REPEATS + 1):  # the first warms up
        for path, go in paths.items():
            began, used = time.perf_counter(), time.process_time()
            count = go()
            if repeat:
                rates[path].append(count / (time.perf_counter() - began))
                if path in costs:
                    costs[path].append(1e3 * (time.process_time() - used) / count)
    best = max((path for path in paths if path != "ours"), key=lambda path: median(rates[path]))
    ratios = [a / b for a, b in zip(rates["ours"], rates[best], strict=True)]
    # Time of the processor is not disturbed by other processes: against two workers that would cost nothing beside.
    spent = [min(peers) / 2 / own for own, *peers in zip(*costs.values(), strict=True)]
    record("data", claim, {
        "batch": BATCH, "batches": SHOWN, "batches_of_ours": LONGER * SHOWN, "n": REPEATS, "threads": 1,
        "per_second": {path: round(median(found), 1) for path, found in rates.items()}, "best_of_dataloader": best,
        "ratio": round(median(ratios), 2), "low": round(min(ratios), 2), "high": round(max(ratios), 2),
        "cpu_ms_a_batch": {path: round(median(found), 3) for path, found in costs.items()},
        "ratio_by_cpu_to_two_perfect_workers": [round(f(spent), 2) for f in (median, min, max)],
    })  # fmt: skip


def start(sources: list[str]) -> None:
    """Seconds from a command to the end of its first step, with their parts; medians of several fresh processes."""
    for source in sources:
        path = source if source == "digits" else str(DATA / source)
        if source != "digits" and not Path(path).exists():
            print(f"{source} is not here; left out", file=sys.stderr)
            continue
        runs: list[dict[str, float]] = []
        for _ in range(5):
            done = subprocess.run(
                [sys.executable, __file__, "child", path, repr(time.time())], capture_output=True, text=True, check=True
            )
            runs.append(json.loads(done.stdout.splitlines()[-1]))
        parts = {part: round(median(run[part] for run in runs), 3) for part in runs[0]}
        whole = [sum(run.values()) for run in runs]
        record("data", f"start of {source}: from the command to the end of the first step", {
            "n": len(runs), "seconds": round(median(whole), 3), "low": round(min(whole), 3), "high": round(max(whole), 3),
            "parts": parts,
        })  # fmt: skip


def child(source: str, began: float) -> None:
    """What a command does until its first step, each part timed; began: when the parent started this process."""
    marks = [("python", began), ("python", time.time())]
    import torch

    marks.append(("import torch", time.time()))
    from tuneful.core.recipe import Recipe
    from tuneful.pipeline.prepare import prepare
    from tuneful.pipeline.train import Run

    marks.append(("import tuneful", time.time()))
    task = prepare(source)
    marks.append(("prepare", time.time()))
    run = Run(task, Recipe(), device="cpu")
    marks.append(("build", time.time()))
    run.timed(1, 0.0)
    marks.append(("first step", time.time()))
    assert torch.isfinite(next(iter(run.params))).all()
    print(json.dumps({name: now - before for (_, before), (name, now) in itertools.pairwise(marks)}))


if __name__ == "__main__":
    what, rest = (sys.argv[1] if len(sys.argv) > 1 else "batches"), sys.argv[2:]
    if what == "child":
        child(rest[0], float(rest[1]))
    elif what == "start":
        start(rest or ["digits", "mnist", "adult"])
    elif what == "streams":
        streams(rest or ["adult"])
    else:
        batches(rest or ["mnist", "cifar10", "adult"])
