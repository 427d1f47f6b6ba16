"""Open the test split once, and say what is true of the model: every metric with its interval, the baselines beside it.

The split is opened on purpose, with a reason, after everything that can fail without it has been tried on valid. The best
baseline is chosen by its value on the same test split, which favours the baseline, never us; a paired test compares the two.
"""

from __future__ import annotations

import hashlib
import json
import platform
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from tuneful.core.errors import ModelError
from tuneful.core.measure import Measure
from tuneful.core.task import Split, Task
from tuneful.pipeline import copies, openset, pixelwise
from tuneful.pipeline.baselines import Baseline, baselines
from tuneful.pipeline.candidate import Candidate
from tuneful.pipeline.details import details, forecasts, writings
from tuneful.pipeline.drawn import pictures
from tuneful.pipeline.fronts import for_baselines
from tuneful.pipeline.goals import goal
from tuneful.pipeline.judge import METRICS, Floats, compare, measures
from tuneful.pipeline.lazy import joined
from tuneful.pipeline.naive import opponents
from tuneful.pipeline.said import said
from tuneful.pipeline.tfidf import words_of

FORMAT = 1
_SURE = 0.05  # a smaller p is no tie


def prove(task: Task, candidate: Candidate, *, seconds: float, reason: str, seed: int = 0) -> dict[str, Any]:
    """The evidence of a candidate, as plain data (JSON without NaN): measures on valid and test, per class, confusion,
    calibration or residuals, baselines, a paired test against the best of them, verdict and headline.

    Args:
        seconds: wall-clock time for all of it. Predicting and measuring must fit; the baselines get what is left.
        reason:  why the test split is opened; it is recorded and printed.
        seed:    of resampling and of the baselines.

    Raises: ModelError when predictions are not finite numbers. On valid, the test split is not opened then.
    """
    begin = time.perf_counter()
    on_valid = _predicted(task, candidate, task.valid.x, "validation")
    valid = measured_of(task, on_valid, task.valid.y, seed)
    how: dict[str, Any] = {}
    if task.kind == "openset":
        known, beside = openset.told(candidate.network, task.valid)
        how = openset.rule(known, beside, float(task.target["coverage"]))
        valid |= openset.measured(how, known, task.valid.y, beside, seed)

    of = digest(candidate)
    split = task.test.open(reason, of)
    ours = _predicted(task, candidate, split.x, "test")
    test = measured_of(task, ours, split.y, seed)
    if how:
        known, beside = openset.told(candidate.network, split)
        test |= openset.measured(how, known, split.y, beside, seed)
        how |= {"curve": openset.curve(how, known, split.y, beside)}
    spent = time.perf_counter() - begin
    # Each baseline is measured and one compared, at about the cost of measuring ourselves.
    left = seconds - spent - 1.5 * spent - 0.1
    # Half of the threads: those of boosting spin while they wait, and on a busy machine all of them are slower than one.
    threads = max(1, torch.get_num_threads() // 2)
    asked = split.x if split.outside is None else joined(split.x, split.outside)
    against, outsiders = _apart(_opponents(task, candidate, asked, left, seed, threads), len(split))
    measured = {b.name: measured_of(task, b.predictions, split.y, seed) for b in against if b.predictions is not None}
    for name, theirs in outsiders.items():
        p = next(b.predictions for b in against if b.name == name)
        measured[name] |= {"auroc_outside": openset.auroc(p.max(axis=1), theirs.max(axis=1))} if p is not None else {}
    comparison = _against(task, ours, split.y, against, measured, seed)

    evidence: dict[str, Any] = {
        "format": FORMAT,
        "headline": headline(task, test[task.objective.metric], comparison, against, measured)
        + (_outside(test["auroc_outside"], task.test.outsiders) if "auroc_outside" in test else ""),
        "task": task.summary(),
        "of": of,
        "recipe": candidate.recipe.as_data(),
        "steps": candidate.steps,
        "valid": _data(valid),
        "test": _data(test),
        **details(task, ours, split.y, seed),
        **({"forecasts": forecasts(task, split.x, ours, split.y)} if task.kind == "forecasting" else {}),
        **({"writings": writings(task, split.x, ours, split.y)} if goal(task).writes else {}),
        **({"pictures": pictures(task, split.x, ours, split.y)} if task.kind == "segmentation" else {}),
        **({"openset": how} if how else {}),
        "baselines": [_entry(b, measured.get(b.name, {})) for b in against],
        "against_baseline": comparison,
        "environment": _environment(),
        "notes": [*candidate.notes, *_notes(task, split.y, against)],
    }
    taken = time.perf_counter() - begin
    evidence["seconds"] = {**candidate.seconds, "prove": taken, "baselines": sum(b.seconds for b in against)}
    return evidence


def measured_of(task: Task, p: Floats, y: np.ndarray, seed: int = 0) -> dict[str, Measure]:
    """Every metric that serves the task. Of a forecast also the MSE on targets standardized by train, "mse_scaled"."""
    names = [name for name, metric in METRICS.items() if task.kind in metric.kinds]
    if goal(task).writes and not p[:, 1].any():  # a copy has no probabilities
        names = [name for name in names if METRICS[name].needs == "texts"]
    unit, block = str(task.target.get("unit", "")) if task.kind == "regression" else "", goal(task).block(task)
    found = measures(names, p, y, seed, unit, block)
    if task.kind == "forecasting":
        mean, std = np.asarray(task.target["mean"]), np.asarray(task.target["std"])
        found["mse_scaled"] = measures(["mse"], (p - mean) / std, (y - mean) / std, seed, block=block)["mse"]
    return found


def _opponents(task: Task, candidate: Candidate, x: np.ndarray, seconds: float, seed: int, threads: int) -> list[Baseline]:
    if task.kind == "forecasting":
        return opponents(task, x, seconds)
    if goal(task).writes:
        return copies.opponents(task, x, seconds, threads)
    if task.kind == "segmentation":
        return pixelwise.opponents(task, x, seconds, seed)
    front = candidate.network.front
    train = Split(for_baselines(front, task.train.x), task.train.y)
    return baselines(task.kind, task.outputs, train, for_baselines(front, x), seconds, seed, threads, words_of(task))


def _apart(against: list[Baseline], n: int) -> tuple[list[Baseline], dict[str, Floats]]:
    """Baselines with what they say of the first n examples, and what they say of those behind, by name."""
    found: list[Baseline] = []
    behind: dict[str, Floats] = {}
    for b in against:
        found.append(b if b.predictions is None else replace(b, predictions=b.predictions[:n]))
        if b.predictions is not None and len(b.predictions) > n:
            behind[b.name] = b.predictions[n:]
    return found, behind


def _outside(area: Measure, n: int) -> str:
    """What the headline says beside, of an open set."""
    return f" It tells these from {n} examples of no class with an AUROC of {_interval(area)}."


def digest(candidate: Candidate) -> str:
    """Sixteen hex digits over the recipe, the steps and every weight: candidates of one digest predict the same."""
    told = json.dumps([candidate.recipe.as_data(), candidate.steps], sort_keys=True, default=str)
    found = hashlib.blake2b(told.encode() + (candidate.graph or b""), digest_size=8)
    for name, tensor in candidate.network.state_dict().items():
        plain = tensor.detach().cpu().contiguous()
        found.update(f"{name} {plain.dtype} {tuple(plain.shape)}".encode())
        found.update(plain.reshape(-1).view(torch.uint8).numpy().data if plain.numel() else b"")
    return found.hexdigest()


def headline(
    task: Task, ours: Measure, comparison: dict[str, Any], against: list[Baseline], measured: dict[str, dict[str, Measure]]
) -> str:
    """One finished sentence. It begins with the baseline when that wins."""
    metric = task.objective.metric
    name = _words(metric)
    reached = f"{name} of {_interval(ours)} on {ours.n} test examples"
    if not comparison:
        why = "; ".join(f"{b.name}: {b.failed}" for b in against if b.failed)
        return f"The model reaches {reached}; no baseline could be compared ({why or 'the metric is undefined here'})."
    best, verdict = comparison["baseline"], comparison["verdict"]
    theirs = _interval(measured[best][metric])
    chance = f"p {'< 0.001' if comparison['p'] < 0.001 else '= ' + format(comparison['p'], '.2g')}, {comparison['test']}"
    absent = [b.name for b in against if b.failed]
    which = "the only baseline that ran" if len(measured) == 1 else "the best baseline" + (" that ran" if absent else "")
    missing = f"; not run: {', '.join(absent)}" if absent else ""
    if verdict == "worse":
        return f"The baseline wins: {best} reaches {name} of {theirs}, and the model only {_interval(ours)}, on {ours.n} test examples ({chance})."
    if verdict == "tie":
        return f"The model reaches {reached}, a tie with {which}, {best}, which reaches {theirs} ({chance}){missing}."
    return f"The model reaches {reached}, better than {which}, {best}, which reaches {theirs} ({chance}){missing}."


def _predicted(task: Task, candidate: Candidate, x: np.ndarray, where: str) -> Floats:
    p = said(task, candidate, x)
    wanted = (len(x), *goal(task).width(task))
    if p.shape != wanted:
        raise ModelError(f"the network gives predictions of shape {p.shape} for {len(x)} examples; it must be {wanted}")
    bad = int((~np.isfinite(p)).reshape(len(p), -1).any(axis=1).sum())
    if bad:
        raise ModelError(
            f"{bad} of {len(p)} predictions on the {where} split are not finite numbers; all must be",
            "train with a smaller learning rate or with clipping, or look for values in the data that overflow float32",
        )
    return p


def _against(
    task: Task, ours: Floats, y: np.ndarray, against: list[Baseline], measured: dict[str, dict[str, Measure]], seed: int
) -> dict[str, Any]:
    """The paired test against the best baseline; {} when there is none."""
    metric, best = task.objective.metric, None
    for baseline in against:
        found = measured.get(baseline.name)
        if found and (best is None or task.objective.better(found[metric].value, measured[best.name][metric].value)):
            best = baseline
    if best is None or best.predictions is None:
        return {}
    paired = compare(metric, ours, best.predictions, y, seed, block=goal(task).block(task))
    value = paired.difference.value
    if not np.isfinite(value) or not np.isfinite(paired.p):
        return {}
    tie = paired.p >= _SURE or abs(value) <= task.objective.margin
    return {
        "baseline": best.name,
        "metric": metric,
        "difference": paired.difference.as_data(),
        "p": paired.p,
        "test": paired.test,
        "verdict": "tie" if tie else "better" if value > 0 else "worse",
    }


def _entry(baseline: Baseline, found: dict[str, Measure]) -> dict[str, Any]:
    return {
        "name": baseline.name,
        "measures": _data(found),
        "seconds": baseline.seconds,
        "failed": baseline.failed,
        "note": baseline.note,
    }


def _notes(task: Task, y: np.ndarray, against: list[Baseline]) -> list[str]:
    notes = [f"The baseline {b.name} was {b.failed}." for b in against if b.failed.startswith("skipped")]
    notes += [
        f"The baseline {b.name} failed: {b.failed}." for b in against if b.failed and not b.failed.startswith("skipped")
    ]
    notes += [f"The baseline {b.name}: {b.note}." for b in against if b.note]
    if (task.labels and y.ndim == 1) or task.kind == "multilabel":
        there = (y == 1).sum(axis=0) if y.ndim == 2 else np.bincount(y, minlength=task.outputs)
        absent = [label for label, n in zip(task.labels, there, strict=True) if n == 0]
        if absent:
            shown = ", ".join(absent[:5]) + (", ..." if len(absent) > 5 else "")
            notes.append(
                f"{len(absent)} of {task.outputs} {'labels' if y.ndim == 2 else 'classes'} have no test example ({shown}); macro averages leave them out."
            )
    return notes


def _environment() -> dict[str, Any]:
    from importlib.metadata import version

    import sklearn

    return {
        "tuneful": version("tuneful"),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "scikit-learn": sklearn.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        "threads": torch.get_num_threads(),
    }


def _data(found: dict[str, Measure]) -> dict[str, Any]:
    return {name: measure.as_data() for name, measure in found.items()}


def _interval(measure: Measure) -> str:
    numbers = [f"{number:.4g}" for number in (measure.value, measure.low, measure.high)]
    return f"{numbers[0]} [{numbers[1]}, {numbers[2]}]{' ' + measure.unit if measure.unit else ''}"


def _words(metric: str) -> str:
    """How a metric is said in a sentence."""
    special = {"auroc": "AUROC", "mse": "MSE", "rmse": "RMSE", "mae": "MAE", "r2": "R2", "log_loss": "log loss"}
    special |= {"brier": "Brier score", "f1_macro": "macro F1", "f1_weighted": "weighted F1", "f1_micro": "micro F1"}
    special |= {
        "auroc_micro": "micro AUROC",
        "hamming_loss": "Hamming loss",
        "r2_mean": "mean R2",
        "rmse_scaled": "scaled RMSE",
    }
    special |= {"rmse_mean": "mean RMSE", "mae_mean": "mean MAE", "bleu": "BLEU", "chrf": "chrF"}
    special |= {"mean_iou": "mean IoU", "dice": "Dice"}
    return special.get(metric, metric.replace("_", " "))
