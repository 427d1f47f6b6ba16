"""How long until as good a validation loss as a usual Optuna script has after its whole budget? Same data, space and cores.

    python benchmarks/tuning.py digits 3 60          # case, seeds, seconds of the budget

The peer is what a user would write: Optuna's TPE with HyperbandPruner over a plain PyTorch loop (AdamW, validation after every epoch, its loss
reported), one study in SQLite, two processes; once with a DataLoader ("loader"), once with tensors in memory ("memory"). Ours is
`tuneful tune` on the same split and the same dials, two workers. Clocks run from the start of the processes, imports included. Both are
judged by the log loss on the same validation examples. Pairs share a seed; the order within a pair changes from seed to seed.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

EPOCHS, BATCH = (
    {"digits": 27, "adult": 9, "mnist": 9, "rt_polarity": 9},
    {"digits": 64, "adult": 256, "mnist": 128, "rt_polarity": 64},
)
DIALS: dict[str, tuple[Any, ...]] = {
    "lr": ("log", 1e-4, 1e-1), "weight_decay": ("log", 1e-5, 1e-1), "dropout": ("lin", 0.0, 0.5), "beta1": ("lin", 0.8, 0.98),
    "smoothing": ("lin", 0.0, 0.2), "width": ("one of", 32, 64, 128),
}  # fmt: skip
DATA = os.environ.get("TUNEFUL_DATA", "../shared/data")


def source(case: str) -> tuple[str, dict[str, Any]]:
    """What `prepare` reads."""
    return {
        "digits": ("digits", {}),
        "adult": (f"{DATA}/adult", {}),
        "mnist": (f"{DATA}/mnist", {"limit": 10_000}),
        "rt_polarity": (f"{DATA}/rt_polarity", {}),
    }[case]


def peer(case: str, variant: str, seed: int, seconds: float, out: Path, storage: str) -> None:
    """One process of the usual script. Writes a line (seconds since the first process began, loss) for every validation that is better."""
    import numpy as np
    import optuna
    import torch
    from torch import nn
    from torch.nn import functional as F
    from torch.utils.data import DataLoader, TensorDataset

    from tuneful import prepare

    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    began = float(os.environ["BEGAN"])
    where, options = source(case)
    task = prepare(where, metric="log_loss", **options)
    x, y = torch.from_numpy(np.asarray(task.train.x, "f4")), torch.from_numpy(np.asarray(task.train.y))
    vx, vy = torch.from_numpy(np.asarray(task.valid.x, "f4")), torch.from_numpy(np.asarray(task.valid.y))
    mean, deviation = x.mean(0), x.std(0) + 1e-3 * x.std()
    x, vx = (x - mean) / deviation, (vx - mean) / deviation
    classes, best = len(task.labels), math.inf

    def network(trial: optuna.Trial) -> nn.Module:
        width, drop = trial.suggest_categorical("width", list(DIALS["width"][1:])), trial.suggest_float("dropout", 0.0, 0.5)
        if case == "mnist":
            layers: list[nn.Module] = [
                nn.Conv2d(1, width // 2, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(width // 2, width, 3, padding=1),
                nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(drop), nn.Linear(49 * width, classes),
            ]  # fmt: skip
            return nn.Sequential(*layers)
        flat = int(np.prod(x.shape[1:]))
        return nn.Sequential(
            nn.Flatten(), nn.Linear(flat, width), nn.ReLU(), nn.Dropout(drop), nn.Linear(width, width), nn.ReLU(), nn.Dropout(drop),
            nn.Linear(width, classes),
        )  # fmt: skip

    def objective(trial: optuna.Trial) -> float:
        nonlocal best
        torch.manual_seed(seed * 1000 + trial.number)
        net = network(trial)
        optimizer = torch.optim.AdamW(
            net.parameters(), lr=trial.suggest_float("lr", 1e-4, 1e-1, log=True), betas=(trial.suggest_float("beta1", 0.8, 0.98), 0.999),
            weight_decay=trial.suggest_float("weight_decay", 1e-5, 1e-1, log=True),
        )  # fmt: skip
        smoothing = trial.suggest_float("smoothing", 0.0, 0.2)
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS[case])
        loader = DataLoader(TensorDataset(x, y), BATCH[case], shuffle=True)
        loss_here = math.inf
        for epoch in range(EPOCHS[case]):
            net.train()
            order = torch.randperm(len(x))
            batches = loader if variant == "loader" else ((x[rows], y[rows]) for rows in order.split(BATCH[case]))
            for bx, by in batches:
                optimizer.zero_grad()
                F.cross_entropy(net(bx), by, label_smoothing=smoothing).backward()
                optimizer.step()
            cosine.step()
            net.eval()
            with torch.no_grad():
                loss_here = float(F.cross_entropy(net(vx), vy))
            if loss_here < best:
                best = loss_here
                with out.open("a") as file:
                    file.write(json.dumps([time.time() - began, best]) + "\n")
            trial.report(loss_here, epoch + 1)
            if time.time() - began > seconds or trial.should_prune():
                raise optuna.TrialPruned
        return loss_here

    optuna.create_study(
        study_name="peer", storage=storage, load_if_exists=True, sampler=optuna.samplers.TPESampler(seed=seed + os.getpid() % 7),
        pruner=optuna.pruners.HyperbandPruner(min_resource=1, max_resource=EPOCHS[case], reduction_factor=3),
    ).optimize(objective, timeout=max(1.0, seconds - (time.time() - began)))  # fmt: skip


def ours(case: str, seed: int, seconds: float, out: Path, home: Path) -> None:
    """The same by tuneful, searching alone: what comes after the search is not timed, as the peer has nothing of it."""
    from tuneful.pipeline.optimize import Work
    from tuneful.pipeline.tune import Beat
    from tuneful.pipeline.words import from_settings

    began = float(os.environ["BEGAN"])
    where, options = source(case)
    ranges = {
        "lr": "1e-4..1e-1", "weight_decay": "1e-5..1e-1", "dropout": "lin(0..0.5)", "beta1": "lin(0.8..0.98)",
        "smoothing": "lin(0..0.2)", "width": "32,64,128",
    }  # fmt: skip
    model = {"model": "convnet"} if case == "mnist" else {"model": "mlp", "depth": 2}
    settings = {
        **ranges, **model, "optimizer": "adamw", "epochs": EPOCHS[case], "batch_size": BATCH[case], "metric": "log_loss",
        "seed": seed, "workers": int(os.environ.get("OURS", "2")), **options,
    }  # fmt: skip
    job = from_settings("tune", where, settings, budget=f"{seconds + 600:.0f}s", name="ours")
    work, best = Work(job, root=home, began=time.monotonic() - (time.time() - began)), math.inf
    for beat in work:
        if isinstance(beat, Beat) and beat.best is not None and beat.best.value < best:
            best = beat.best.value
            with out.open("a") as file:
                file.write(json.dumps([time.time() - began, best]) + "\n")
        if time.time() - began > seconds:
            work.halt.requested = True


def trace(what: str, case: str, seed: int, seconds: float) -> list[tuple[float, float]]:
    """(seconds, best loss so far) of one search."""
    with tempfile.TemporaryDirectory() as folder:
        out, place = Path(folder) / "trace", Path(folder)
        if what != "ours":  # two processes that make the tables at once fail; the peer's clock begins when they are there
            import optuna

            optuna.storages.RDBStorage(f"sqlite:///{place / 'peer.db'}").engine.dispose()
        environment = {**os.environ, "BEGAN": repr(time.time()), "OMP_NUM_THREADS": "1", "GOMP_SPINCOUNT": "10000"}
        told = [
            sys.executable,
            __file__,
            "_ours" if what == "ours" else "_peer",
            case,
            what,
            str(seed),
            str(seconds),
            str(out),
        ]
        if what == "ours":
            children = [subprocess.Popen([*told, str(place / "home")], env=environment)]
        else:
            children = [subprocess.Popen([*told, f"sqlite:///{place / 'peer.db'}"], env=environment) for _ in range(2)]
        for child in children:
            if child.wait(seconds * 2 + 120):
                raise SystemExit(f"{what} ended with code {child.returncode}")
        lines = sorted(json.loads(line) for line in out.read_text().splitlines())
        shutil.rmtree(place / "home", ignore_errors=True)
    best, found = math.inf, []
    for moment, loss in lines:
        if loss < best and moment <= seconds:
            best = loss
            found.append((moment, loss))
    return found


def main() -> None:
    if sys.argv[1] == "_peer":
        case, variant, seed, seconds, out, storage = sys.argv[2:]
        peer(case, variant, int(seed), float(seconds), Path(out), storage)
        return
    if sys.argv[1] == "_ours":
        case, _, seed, seconds, out, home = sys.argv[2:]
        ours(case, int(seed), float(seconds), Path(out), Path(home))
        return
    case, seeds, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    ratios: dict[str, list[float]] = {"loader": [], "memory": []}
    for seed in range(seeds):
        order = ["loader", "memory", "ours"][:: 1 if seed % 2 else -1]
        traces = {what: trace(what, case, seed, seconds) for what in order}
        mine = traces["ours"]
        for variant in ratios:
            wanted = traces[variant][-1][1]
            reached = next((moment for moment, loss in mine if loss <= wanted), math.inf)
            ratios[variant].append(seconds / reached)
            print(
                f"{case} seed {seed} {variant}: {wanted:.4f} after {seconds:g} s (first at {traces[variant][-1][0]:.1f} s); "
                f"ours {mine[-1][1]:.4f}, there after {reached:.1f} s: {seconds / reached:.2f} times as fast",
                flush=True,
            )
    for variant, found in ratios.items():
        print(
            f"{case} {variant}: median {statistics.median(found):.2f}, from {min(found):.2f} to {max(found):.2f}, n={len(found)}"
        )


if __name__ == "__main__":
    main()
