"""The opponents of a forecast: the last value, the moment one season before, ridge regression on the window.

    last value             of each target, for every step
    one season before      what was there a season (or as many as it takes) before the moment that is forecast
    ridge on the window    all channels of the window, seen from their last values, on what changes (scikit-learn, alpha 1)

The source of the first two is Hyndman & Athanasopoulos, Forecasting: Principles and Practice, 3rd edition, section 5.2.
"""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from tuneful.core.task import Split, Task
from tuneful.pipeline.baselines import Baseline
from tuneful.pipeline.metrics import Array, Floats

_MOST = 20_000_000  # numbers of the training matrix in memory: 160 MB


def opponents(task: Task, x: Array, seconds: float) -> list[Baseline]:
    """All three on windows x [N, C, T] as the splits hold them. Ridge is left out where its time would not suffice."""
    schema, train = task.schema, task.train
    targets = [list(schema["columns"]).index(name) for name in schema["targets"]]
    steps, season, begin = int(schema["horizon"]), int(schema["season"]), time.perf_counter()
    last = np.tile(x[:, targets, -1], steps).astype(np.float64)
    found = [Baseline("last value", last, time.perf_counter() - begin)]
    begin = time.perf_counter()
    if not season:
        found.append(Baseline("one season before", None, 0.0, "skipped: no season is known of such times"))
    elif season > x.shape[2]:
        found.append(Baseline("one season before", None, 0.0, f"skipped: the window is shorter than a season of {season}"))
    else:
        back = [-season + (step % season) for step in range(steps)]  # from the end of the window
        before = np.stack([x[:, targets, at] for at in back], axis=1).reshape(len(x), -1).astype(np.float64)
        found.append(Baseline("one season before", before, time.perf_counter() - begin))
    return [*found, _ridge(train, x, last, targets, steps, task, seconds)]


def _ridge(train: Split, x: Array, last: Floats, targets: list[int], steps: int, task: Task, seconds: float) -> Baseline:
    from sklearn.linear_model import Ridge

    begin, name = time.perf_counter(), "ridge on the window"
    width, known = int(np.prod(x.shape[1:])), len(task.schema["columns"])
    rows = min(len(train), max(200, _MOST // width))
    kept = np.linspace(0, len(train) - 1, rows).round().astype(int)
    needed = 4e-10 * rows * width**2 + 2e-8 * rows * width  # of Gram's matrix and of reading, on one core
    if needed > seconds:
        return Baseline(
            name, None, 0.0, f"skipped: it would need about {needed:.2g} s and {max(0.0, seconds):.2g} s are left"
        )
    mean, std = (np.asarray(task.normalize[key], dtype=np.float32)[:, None] for key in ("mean", "std"))

    def seen(part: Array) -> NDArray[np.float64]:
        z = (part - mean) / std
        z[:, :known] -= z[:, :known, -1:]
        return z.reshape(len(part), -1).astype(np.float64)  # float32 makes the matrix singular

    ridge = Ridge(alpha=1.0, solver="cholesky")
    ridge.fit(seen(train.x[kept]), train.y[kept] - np.tile(train.x[kept][:, targets, -1], steps))
    moved = np.concatenate([ridge.predict(seen(x[at : at + 1024])) for at in range(0, len(x), 1024)])
    note = f"fitted on {rows} of {len(train)} windows, for want of memory" if rows < len(train) else ""
    return Baseline(name, last + moved.reshape(last.shape), time.perf_counter() - begin, note=note)
