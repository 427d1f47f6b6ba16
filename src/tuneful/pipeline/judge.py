"""Measure a network on a split: predictions, and every metric with its interval.

    accuracy, subset accuracy     Wilson
    other metrics of classes      bootstrap of the confusion matrix and of one right and one wrong example more, so that a
                                  flawless split does not give an interval without width
    auroc                         DeLong's variance, in Wilson's form
    log loss, Brier, MSE, MAE     bootstrap-t over examples (Efron 1981), as losses are skewed; RMSE: its root
    R2, means over targets        bootstrap over examples
    calibration error             the same with reversed percentiles, as noise only adds to it; its lower end is 0 where
                                  noise alone could explain the value

`measure` is for evidence; `value` is the same number with a quick interval, for every validation; `compare` tests two
models on the same examples. What the metrics are stands in `metrics`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tuneful.core.errors import ModelError
from tuneful.core.measure import (
    Measure,
    PairedTest,
    normal_quantile,
    paired_difference,
    percentiles,
    resampled_means,
    two_sided,
    undefined,
    wilson,
)
from tuneful.pipeline.candidate import as_input
from tuneful.pipeline.goals import GOALS
from tuneful.pipeline.metrics import (
    AREAS,
    BINS,
    COUNTED,
    EXACT,
    METRICS,
    PLAIN,
    Array,
    Cells,
    Floats,
    auroc,
    calibrated,
    cells,
    finish,
    lookup,
    right,
    rows,
    told,
    unfit,
)


def nothing(n: int) -> Measure:
    """The measure of a network whose answers are not numbers."""
    return Measure(math.nan, math.nan, math.nan, n, how="the network gave values that are not finite")


__all__ = ["METRICS", "compare", "measure", "measures", "predict", "score", "value"]

_PIXELS = 1_000_000  # that go through a network at once where each has an answer
_DRAWS = 20_000_000  # random numbers that one interval may cost, about 0.2 s


def predict(
    network: nn.Module, x: Array | Tensor, batch: int = 1024, kind: str = "", link: nn.Module | None = None
) -> Floats:
    """What the network says of each example, without gradients, in evaluation mode; the mode of each part is restored.

    Args:
        x: [N, *shape], numpy or torch, on any device; converted batch by batch to float32, tokens to int64.
        kind: of the task; "" for what the outputs look like: one is a value, several are classes.
        link: from outputs to answers; that of the kind when None.

    Returns: float64 answers as the goal of the kind makes them: [N, L], probabilities, or [N], values; see `goals.pairs` for texts; of
        pixels float32.
    Raises:  ModelError when the network fails, or the outputs are not [B, L].
    """
    modes = {part: part.training for part in network.modules()}
    weight = next(network.parameters(), None)
    device = weight.device if weight is not None else x.device if isinstance(x, Tensor) else torch.device("cpu")
    found: list[Array] = []
    batch = _bearable(batch, x, kind)
    network.eval()
    try:
        with torch.inference_mode():
            for start in range(0, max(1, len(x)), batch):
                try:
                    if kind and GOALS[kind].writes:
                        found.append(GOALS[kind].say(network, _tensor(x[start : start + batch]).to(device)))
                        continue
                    out = network(_tensor(x[start : start + batch]).to(device))
                except ModelError:
                    raise
                except Exception as error:  # the user's code may raise anything
                    raise ModelError.raised(f"on a batch of shape {list(x[start : start + batch].shape)}", error) from error
                if out.ndim < 2 or (out.ndim > 2 and not kind):
                    raise ModelError(f"the network gives outputs of shape {tuple(out.shape)}; they must be [batch, outputs]")
                out = out.cpu()  # before double(): not every device has float64
                out = out.double() if out.ndim < 4 else out.float()  # answers of pixels are many
                answer = link or GOALS[kind or ("regression" if out.shape[1] == 1 else "multiclass")].link()
                found.append(answer(out).numpy())
    finally:
        for part, mode in modes.items():
            part.training = mode
    return np.concatenate(found)


def _bearable(batch: int, x: Array | Tensor, kind: str) -> int:
    """So many images at once that the maps of a network that answers at each pixel fit into some hundred megabytes."""
    return max(1, min(batch, _PIXELS // math.prod(x.shape[2:]))) if kind == "segmentation" else batch


def _tensor(part: Array | Tensor) -> Tensor:
    if isinstance(part, np.ndarray):
        part = torch.from_numpy(np.array(part))  # a copy: torch warns of arrays that must not be written
    return as_input(part)


def score(metric: str, p: Array, y: Array) -> float:
    """The metric of predictions p for the targets y, in one of the shapes of `metrics.table.Shape`; NaN when it is undefined.

    Raises RecipeError for a metric that is unknown or does not fit p, ModelError for shapes that do not fit.
    """
    lookup(metric, p, y)
    if unfit(p, y):
        return math.nan
    if metric in EXACT:
        return float(right(p, y).mean())
    if metric in AREAS:
        return auroc(metric, p, y).value
    means, _, _ = _parts(metric, p, y)
    return float(finish(metric, means))


def measure(metric: str, p: Array, y: Array, seed: int = 0, unit: str = "", block: int = 1) -> Measure:
    """`score` with its 95 % interval. 1000 resamples; fewer above 20000 examples, where the interval needs fewer."""
    return measures([metric], p, y, seed, unit, block)[metric]


def measures(
    metrics: Iterable[str], p: Array, y: Array, seed: int = 0, unit: str = "", block: int = 1
) -> dict[str, Measure]:
    """Several metrics of the same predictions; they share their resamples, which costs little more than one.

    block: how many neighbours tell of the same thing and are resampled together (windows of a series overlap); of values only.
    """
    names, n = list(metrics), len(y)
    block = bearable(block, n)
    for name in names:
        lookup(name, p, y)
    if problem := unfit(p, y):
        return {name: undefined(n, problem, _unit(name, unit)) for name in names}
    found: dict[str, Measure] = {}
    resamples = max(300, min(1000, _DRAWS // n))
    counted = [name for name in names if name in COUNTED]
    if counted:
        table = cells(y, [p])
        draws = _extended(table, resamples, seed)
        exact = table.counts @ table.rows / n
        for name in counted:
            found[name] = _resampled(name, finish(name, exact), finish(name, draws), n, unit)
    each = {name: rows(name, p, y) for name in names if name not in COUNTED and name not in (*EXACT, *AREAS)}
    if each:
        tables = {name: np.hstack([table, table**2]) if name in PLAIN else table for name, table in each.items()}
        draws = resampled_means(np.hstack(list(tables.values())), resamples, seed, block=block)
        start = 0
        for name, table in tables.items():
            part = draws[:, start : start + table.shape[1]]
            start += table.shape[1]
            if block > 1:
                part = part[:, : each[name].shape[1]]
                found[name] = _resampled(
                    name, finish(name, each[name].mean(axis=0)), finish(name, part), n, unit, block=block
                )
            elif name in PLAIN:
                found[name] = _studentized(name, each[name][:, 0], part, unit)
            else:
                noise = float(np.quantile(calibrated(p), 0.975)) if name == "calibration_error" else 0.0
                found[name] = _resampled(name, finish(name, table.mean(axis=0)), finish(name, part), n, unit, noise)
    found |= {name: value(name, p, y) for name in names if name in (*EXACT, *AREAS)}
    return {name: _tell(found[name], told(name, p, y)) for name in names}


def _extended(table: Cells, resamples: int, seed: int) -> Floats:
    """Resampled means of the cells and of one right and one wrong example."""
    return resampled_means(np.vstack([table.rows, table.extra]), resamples, seed, np.append(table.counts, (1, 1)))


def bearable(block: int, n: int) -> int:
    """So long a block that there are four of them at least."""
    return max(1, min(block, n // 4))


def _resampled(name: str, exact: Any, draws: Floats, n: int, unit: str, noise: float = 0.0, block: int = 1) -> Measure:
    """Percentiles of the resampled metric. noise: what a calibration error must pass to be told from 0."""
    exact, metric = float(exact), METRICS[name]
    if not math.isfinite(exact):
        return undefined(n, "the targets are all equal", _unit(name, unit))
    if n == 1:
        return undefined(1, "one example has no interval", _unit(name, unit), exact)
    low, high = percentiles(draws, max(2, n // block))
    how = f"bootstrap 95 % over {'examples' if block == 1 else over(block)}, {len(draws)} resamples"
    if name == "calibration_error":
        low, high = 2 * exact - high if exact > noise else 0.0, 2 * exact - low
        how = f"reversed {how}; {BINS} equal-width bins"
    low, high = max(metric.low, min(low, exact)), min(metric.high, max(high, exact))
    return Measure(exact, low, high, n, _unit(name, unit), how)


def over(block: int) -> str:
    """What is resampled where neighbours are alike."""
    return f"blocks of {block} neighbours, since windows overlap"


def _studentized(name: str, losses: Floats, draws: Floats, unit: str) -> Measure:
    """Bootstrap-t for a mean of n losses; draws [R, 2]: resampled means of the losses and of their squares."""
    n, mean, top = len(losses), float(losses.mean()), METRICS[name].high
    root = math.sqrt if name == "rmse" else float
    if n == 1:
        return undefined(1, "one example has no interval", _unit(name, unit), root(mean))
    error = float(losses.std(ddof=1)) / math.sqrt(n)
    low = high = mean
    if error > 0:
        errors = np.sqrt(np.maximum(draws[:, 1] - draws[:, 0] ** 2, 0) / (n - 1))
        # Where a resample misses the few large losses its error is near 0 and the ratio says nothing but "far": 6 is far.
        ratio = np.clip((draws[:, 0] - mean) / np.maximum(errors, 1e-12 * error), -6, 6)
        below, above = np.quantile(ratio, (0.025, 0.975))
        low, high = max(0.0, min(mean, mean - above * error)), min(top, max(mean, mean - below * error))
    how = f"bootstrap-t 95 % over examples, {len(draws)} resamples"
    return Measure(root(mean), root(low), root(high), n, _unit(name, unit), how)


def _unit(name: str, unit: str) -> str:
    return unit if name in ("rmse", "mae") else f"{unit}^2" if unit and name == "mse" else ""


def _tell(found: Measure, more: str) -> Measure:
    return Measure(found.value, found.low, found.high, found.n, found.unit, found.how + more) if more else found


def value(metric: str, p: Array, y: Array, unit: str = "", block: int = 1) -> Measure:
    """`score` with a quick 95 % interval, for every validation: no resampling, but the error carried through the metric's
    slope (delta method). Costs below 5 ms for 2000 examples of 10 classes."""
    bounds, n = lookup(metric, p, y), len(y)
    unit = _unit(metric, unit)
    if problem := unfit(p, y):
        return undefined(n, problem, unit)
    if metric in EXACT:
        return wilson(int(right(p, y).sum()), n)
    if metric in AREAS:
        return _area(metric, p, y)
    means, table, counts = _parts(metric, p, y)
    exact = float(finish(metric, means))
    if not math.isfinite(exact):
        return undefined(n, "the targets are all equal", unit)
    if n == 1:
        return undefined(1, "one example has no interval", unit, exact)
    nudge = 1e-4 / n * np.where((scale := np.abs(table).max(axis=0)) > 0, scale, 1.0)
    ends = finish(metric, np.stack([means + np.diag(nudge), means - np.diag(nudge)]))
    influence = (table - means) @ np.nan_to_num((ends[0] - ends[1]) / (2 * nudge))
    if (block := bearable(block, n)) > 1:  # the sums of stretches vary as independent ones would
        sums = np.add.reduceat(influence, np.arange(0, n, block))
        error = math.sqrt(float(sums @ sums) * len(sums) / (len(sums) - 1)) / n
    else:
        error = math.sqrt(float(counts @ influence**2) / n / (n - 1))
    if metric in COUNTED:  # shares: Wilson's form keeps the interval honest near 0 and 1
        spread = exact * (1 - exact)
        worth = min(n, spread / error**2) if spread > 1e-12 and error > 0 else n
        share = wilson(min(exact, 1.0) * worth, worth)
        return Measure(exact, share.low, share.high, n, unit, "delta method 95 %, Wilson form")
    half = normal_quantile(0.95) * error
    low, high = max(bounds.low, exact - half), min(bounds.high, exact + half)
    if metric == "calibration_error" and exact <= np.quantile(calibrated(p), 0.975):
        low = 0.0
    how = "delta method 95 %" + (f" over {over(block)}" if block > 1 else "")
    return Measure(exact, low, high, n, unit, how)


def _parts(metric: str, p: Array, y: Array) -> tuple[Floats, Floats, Array]:
    """Means [k], rows [m, k] and how often each row occurs [m]."""
    if metric in COUNTED:
        table = cells(y, [p])
        return table.counts @ table.rows / len(y), table.rows, table.counts
    table = rows(metric, p, y)
    return table.mean(axis=0), table, np.ones(len(y))


def _area(name: str, p: Array, y: Array) -> Measure:
    """DeLong's variance says how many yes-no answers the area is worth; Wilson's interval for so many stays in [0, 1]."""
    found, n = auroc(name, p, y), len(y)
    if not math.isfinite(found.value):
        return undefined(n, "the split has one class only")
    spread, variance = found.value * (1 - found.value), float(found.influence @ found.influence)
    worth = min(max(spread / variance, found.least), found.most) if variance > 0 else found.most
    inside = wilson(found.value * worth, worth)
    low, high = min(inside.low, found.value), max(inside.high, found.value)
    each = f"mean of each {'class' if y.ndim == 1 else 'label'} against the rest"
    more = "" if p.shape[1] == 2 and y.ndim == 1 else ", all labels together" if name == "auroc_micro" else f", {each}"
    return Measure(found.value, low, high, n, how=f"DeLong 95 %, Wilson form{more}")


def compare(
    metric: str, ours: Array, theirs: Array, y: Array, seed: int = 0, resamples: int = 2000, block: int = 1
) -> PairedTest:
    """Are we better than they, on the same examples? The difference is signed so that + is better, whatever the metric.

    accuracy: McNemar's exact test; auroc: DeLong's paired test; others: paired bootstrap over examples.
    """
    bounds, n = lookup(metric, ours, y), len(y)
    sign = 1.0 if bounds.direction == "max" else -1.0
    if problem := unfit(ours, y) or unfit(theirs, y):
        return PairedTest(undefined(n, problem), math.nan, "none")
    if metric in EXACT:
        return paired_difference(right(ours, y), right(theirs, y), "mcnemar")
    if metric in AREAS:
        return _compare_areas(metric, ours, theirs, y)
    exact = sign * (score(metric, ours, y) - score(metric, theirs, y))
    if not math.isfinite(exact) or n == 1:
        return PairedTest(undefined(n, "the metric is undefined here", value=exact), math.nan, "none")
    resamples, block = max(500, min(resamples, _DRAWS // n)), bearable(block, n)
    if metric in COUNTED:
        both = cells(y, [ours, theirs])
        split = cells(y, [ours]).rows.shape[1]
        draws = _extended(both, resamples, seed)
    else:
        tables = rows(metric, ours, y), rows(metric, theirs, y)
        split = tables[0].shape[1]
        draws = resampled_means(np.hstack(tables), resamples, seed, block=block)
    differences = sign * (finish(metric, draws[:, :split]) - finish(metric, draws[:, split:]))
    differences = differences[np.isfinite(differences)]
    low, high = percentiles(differences, max(2, n // block))
    how = f"paired bootstrap 95 % over {'examples' if block == 1 else over(block)}, {len(differences)} resamples"
    found = Measure(exact, min(low, exact), max(high, exact), n, how=how)
    p = 1.0 if exact == 0 and not differences.any() else two_sided(differences)
    return PairedTest(found, p, "paired bootstrap over " + ("examples" if block == 1 else "blocks of time"))


def _compare_areas(name: str, ours: Array, theirs: Array, y: Array) -> PairedTest:
    a, b = auroc(name, ours, y), auroc(name, theirs, y)
    exact, n = a.value - b.value, len(y)
    if not math.isfinite(exact):
        return PairedTest(undefined(n, "the split has one class only"), math.nan, "none")
    shared = a.influence - b.influence
    error, z = math.sqrt(float(shared @ shared)), normal_quantile(0.95)
    if error == 0 and exact != 0:  # both rank without any spread: their own intervals are all that is known
        one, two = _area(name, ours, y), _area(name, theirs, y)
        error = math.hypot(one.value - one.low, two.high - two.value) / z
    p = 1.0 if exact == 0 else math.erfc(abs(exact) / error / math.sqrt(2))
    found = Measure(exact, max(-1.0, exact - z * error), min(1.0, exact + z * error), n, how="paired DeLong 95 %")
    return PairedTest(found, p, "paired DeLong")
