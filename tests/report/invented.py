"""Invented stories of many kinds. No test file: conftest.py beside it makes fixtures of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tuneful.core.measure import Measure
from tuneful.core.trial import Point, Trial
from tuneful.report import Story

DIGITS = tuple(str(k) for k in range(10))


def share(value: float, n: int) -> Measure:
    reach = 1.96 * math.sqrt(max(value * (1 - value), 1e-4) / n)
    return Measure(value, max(value - reach, 0), min(value + reach, 1), n, "", "Wilson 95 %")


def amount(value: float, n: int, unit: str = "", width: float = 0.06) -> Measure:
    return Measure(value, value * (1 - width), value * (1 + width), n, unit, "bootstrap 95 %, 1000 resamples")


def attempt(number: int, dice: np.random.Generator, epochs: int = 20, regression: bool = False, state: str = "") -> Trial:
    """A trial whose value depends on its learning rate most, on its optimizer a little, and on its dropout not at all."""
    lr = float(10 ** dice.uniform(-4, -0.5))
    optimizer = str(dice.choice(["adam", "sgd", "adabound"]))
    dials: dict[str, Any] = {
        "optimizer": optimizer,
        "optimizer.lr": lr,
        "model.width": int(dice.choice([16, 32, 64, 128])),
        "regularizers.dropout.p": float(dice.uniform(0, 0.5)),
    }
    if optimizer != "sgd":
        dials["optimizer.beta1"] = float(dice.uniform(0.8, 0.99))
    off = (math.log10(lr) + 2.4) ** 2
    ceiling = 0.985 - 0.03 * off - 0.01 * (optimizer == "sgd") + 0.004 * dice.normal()
    ended, because = "done", "all 20 epochs done"
    if number > 3 and ceiling < 0.95:
        ended, because, epochs = "stopped", "in the worse two thirds after 3 epochs (ASHA, rung 1)", 3
    if number % 13 == 12:
        ended, because, epochs = (
            "failed",
            f"the loss became NaN at step {dice.integers(50, 200)}; optimizer.lr is {lr:.2g}",
            2,
        )
    curve = []
    for epoch in range(1, epochs + 1):
        rise = 1 - math.exp(-epoch / 3)
        good = ceiling * rise + 0.1 * (1 - rise) + 0.004 * dice.normal()
        loss = 2.3 * (1 - rise) + 6 * (1 - ceiling) * rise
        value = amount(0.45 + 3 * (1 - good), 1600) if regression else share(min(good, 0.9999), 270)
        curve.append(
            Point(epoch * 17, float(epoch), value, loss * 0.8 + 0.01, loss + 0.004 * max(epoch - 12, 0), lr, 0.4 * epoch)
        )
    recipe = {
        "model": {"kind": "convnet", "width": dials["model.width"], "depth": 3},
        "init": {"kind": "he"},
        "optimizer": {"kind": optimizer, "lr": lr, "beta1": dials.get("optimizer.beta1", 0.9)},
        "schedule": {"kind": "warmup_cosine", "warmup": 0.05, "floor": 0.0},
        "regularizers": [{"kind": "dropout", "p": dials["regularizers.dropout.p"]}, {"kind": "clipping", "norm": 1.0}],
        "augments": [{"kind": "shift", "most": 1}],
        "batch_size": 64,
        "epochs": 20,
        "precision": "fp32",
        "seed": 0,
        "reasons": {
            "model": "images of 1 x 8 x 8 are small, so a convnet of depth 3",
            "batch_size": "1,257 examples: 20 steps an epoch",
            "precision": "bf16 is no faster on this machine (measured: 0.9 times)",
        },
    }
    why = "drawn at random: 8 trials begin a study" if number < 8 else "TPE: most likely to improve on the best third"
    return Trial(number, recipe, dials, why, tuple(curve), state or ended, because if not state else "", 0.45 * epochs)  # type: ignore[arg-type]


def task_of(kind: str, labels: tuple[str, ...]) -> dict[str, Any]:
    metric, direction = {"regression": ("rmse", "min"), "multiclass": ("accuracy", "max"), "binary": ("auroc", "max")}[kind]
    return {
        "name": "california_housing" if kind == "regression" else "digits",
        "kind": kind,
        "shape": [8] if kind == "regression" else [1, 8, 8],
        "labels": list(labels),
        "n_train": 1257,
        "n_valid": 270,
        "n_test": 270,
        "objective": {"metric": metric, "direction": direction, "margin": 0.0},
        "fingerprint": "9f2c1e0b77a4d3c1",
        "source": "scikit-learn",
        "target": {"name": "MedHouseVal"} if kind == "regression" else {"name": "digit"},
        "findings": [
            {
                "severity": "note",
                "what": "pixels that are constant",
                "count": 3,
                "of": 64,
                "examples": ["0", "32", "39"],
                "hint": "",
            },
            {
                "severity": "warning",
                "what": "images that stand in train and in test",
                "count": 2,
                "of": 1797,
                "examples": ["train/4/0012.png = test/4/0340.png"],
                "hint": "remove them from train, or the proof is too kind",
            },
        ],
        "openings": [{"reason": "prove: the final candidate and its baselines", "at": "2026-05-03T14:22:07+0000"}],
    }


def confusion_of(size: int, dice: np.random.Generator, n: int = 27) -> list[list[int]]:
    counts = np.zeros((size, size), dtype=int)
    for k in range(size):
        counts[k, k] = n
        for _ in range(int(dice.integers(0, 3))):
            counts[k, int(dice.integers(0, size))] += 1
            counts[k, k] -= 1
    counts[3 % size, 5 % size] += 4
    return [[int(n) for n in row] for row in counts]


def evidence_of(kind: str, labels: tuple[str, ...], verdict: str = "better") -> dict[str, Any]:
    dice = np.random.default_rng(5)
    sign = {"better": 1, "tie": 0.1, "worse": -1}[verdict]
    evidence: dict[str, Any] = {
        "format": 1,
        "headline": "",
        "task": task_of(kind, labels),
        "recipe": attempt(1, np.random.default_rng(1)).recipe,
        "steps": 400,
        "export": {
            "opset": 20,
            "bytes": 412_345,
            "parity": {
                "rows": 270,
                "largest_difference": 3.1e-6,
                "agreement": share(1.0, 270).as_data(),
                "tolerance": 1e-4,
            },
            "latency": {"1": amount(0.21, 200, "ms").as_data(), "64": amount(3.4, 200, "ms").as_data()},
        },
        "seconds": {"prepare": 1.2, "search": 38.5, "train": 9.1, "prove": 4.4, "ship": 3.9, "report": 0.3},
        "command": "tuneful optimize digits --budget 60s",
        "environment": {
            "tuneful": "0.1.0",
            "python": "3.13.5",
            "torch": "2.13.0+cpu",
            "cpu": "2 cores",
            "packages": {"numpy": "2.4"},
        },
        "notes": ["The test split was opened once, after the last choice."],
    }
    if kind == "regression":
        true = dice.gamma(2.0, 1.0, 2000)
        predicted = true * 0.93 + 0.12 + 0.4 * dice.normal(size=2000)
        evidence |= {
            "headline": "tuneful predicts MedHouseVal with an RMSE of 0.46 [0.44, 0.48] on 270 sealed examples.",
            "test": {
                name: amount(v, 270).as_data() for name, v in {"rmse": 0.46, "mae": 0.31, "mse": 0.212, "r2": 0.84}.items()
            },
            "valid": {
                name: amount(v, 270).as_data() for name, v in {"rmse": 0.45, "mae": 0.30, "mse": 0.203, "r2": 0.85}.items()
            },
            "residuals": {"true": [float(v) for v in true], "predicted": [float(v) for v in predicted]},
            "baselines": [
                {"name": "mean", "measures": {"rmse": amount(1.15, 270).as_data()}, "seconds": 0.01, "failed": ""},
                {
                    "name": "ridge regression",
                    "measures": {"rmse": amount(0.73, 270).as_data()},
                    "seconds": 0.2,
                    "failed": "",
                },
                {
                    "name": "gradient-boosted trees",
                    "measures": {"rmse": amount(0.49, 270).as_data()},
                    "seconds": 2.4,
                    "failed": "",
                },
            ],
        }
        difference = Measure(0.03 * sign, 0.03 * sign - 0.02, 0.03 * sign + 0.02, 270, "", "paired bootstrap 95 %")
    else:
        size = len(labels)
        names = {
            "accuracy": 0.978,
            "balanced_accuracy": 0.977,
            "f1_macro": 0.977,
            "auroc": 0.9991,
            "calibration_error": 0.013,
        }
        evidence |= {
            "headline": "tuneful reads digits with accuracy 0.978 [0.952, 0.990] on 270 sealed examples.",
            "test": {name: share(v, 270).as_data() for name, v in names.items()}
            | {"log_loss": amount(0.081, 270).as_data()},
            "valid": {name: share(min(v + 0.006, 0.9996), 270).as_data() for name, v in names.items()},
            "per_class": {
                label: {
                    "precision": share(0.97 - 0.01 * (k % 5), 27).as_data(),
                    "recall": share(0.99 - 0.015 * (k % 4), 27).as_data(),
                    "f1": share(0.98 - 0.012 * (k % 6), 27).as_data(),
                    "n": 27,
                }
                for k, label in enumerate(labels)
            },
            "confusion": confusion_of(size, dice),
            "calibration": [
                {"confidence": c, "accuracy": max(c - 0.06 * (1 - c) * 4, 0), "n": n}
                for c, n in ((0.35, 3), (0.46, 5), (0.55, 8), (0.65, 9), (0.75, 14), (0.86, 31), (0.98, 200))
            ],
            "baselines": [
                {
                    "name": "majority class",
                    "measures": {"accuracy": share(0.104, 270).as_data()},
                    "seconds": 0.01,
                    "failed": "",
                },
                {
                    "name": "logistic regression",
                    "measures": {"accuracy": share(0.952, 270).as_data()},
                    "seconds": 0.6,
                    "failed": "",
                },
                {
                    "name": "gradient-boosted trees",
                    "measures": {"accuracy": share(0.963, 270).as_data()},
                    "seconds": 3.1,
                    "failed": "",
                },
            ],
        }
        difference = Measure(0.015 * sign, 0.015 * sign - 0.012, 0.015 * sign + 0.012, 270, "", "paired bootstrap 95 %")
    evidence["against_baseline"] = {
        "baseline": "gradient-boosted trees",
        "metric": "rmse" if kind == "regression" else "accuracy",
        "difference": difference.as_data(),
        "p": 0.02,
        "test": "paired bootstrap" if kind == "regression" else "McNemar, exact",
        "verdict": verdict,
    }
    return evidence


def study(count: int = 40, labels: tuple[str, ...] = DIGITS, verdict: str = "better", **changes: Any) -> Story:
    dice = np.random.default_rng(3)
    evidence = evidence_of("multiclass", labels, verdict)
    fields: dict[str, Any] = {
        "title": "digits",
        "evidence": evidence,
        "trials": tuple(attempt(number, dice) for number in range(count)),
        "task": evidence["task"],
        "command": "tuneful optimize digits --budget 60s",
        "made_at": "2026-05-03 14:22 UTC",
        "notes": ("Resumed once, on 3 May 14:20, after kill -9; nothing was lost.",),
    }
    return Story(**{**fields, **changes})


def long_study() -> Story:
    dice = np.random.default_rng(4)
    return study(trials=tuple(attempt(number, dice, epochs=100) for number in range(1000)))


def hostile() -> Story:
    """Everything that comes from outside tries to become markup."""
    evil = "</script><script>alert(1)</script><img src=http://evil.invalid/x onerror=alert(2)>\"'&\u202e\x00"
    labels = (evil, "b" * 300, "<b>bold</b>")
    dice = np.random.default_rng(3)
    base = [attempt(number, dice) for number in range(12)]
    trials = tuple(
        Trial(
            t.number,
            {evil: {"kind": evil}},
            {evil: evil if t.number % 2 else 1.0, "lr": 0.1 * (1 + t.number)},
            evil,
            t.curve,
            t.state,
            evil,
            t.cost,
        )
        for t in base
    )
    evidence = evidence_of("multiclass", labels)
    evidence["environment"] = {evil: evil}
    evidence["baselines"].append({"name": evil, "measures": {}, "seconds": 0.1, "failed": evil})
    evidence["against_baseline"]["baseline"] = evil
    evidence["headline"] = evil
    task = task_of("multiclass", labels) | {"name": evil, "source": evil}
    task["findings"].append({"severity": evil, "what": evil, "count": 1, "of": 3, "examples": [evil], "hint": evil})
    task["openings"] = [{"reason": evil, "at": evil}]
    return Story(
        title=evil,
        evidence=evidence,
        trials=trials,
        task=task,
        seconds={evil: 3.0},
        command=evil,
        notes=(evil,),
        made_at=evil,
    )


def single_run() -> Story:
    evidence = evidence_of("regression", ())
    trial = attempt(1, np.random.default_rng(2), regression=True)
    return Story(
        title="houses", evidence=evidence, trials=(trial,), task=evidence["task"], command="tuneful train california_housing"
    )


def running() -> Story:
    dice = np.random.default_rng(6)
    trials = [attempt(number, dice) for number in range(5)]
    trials.append(attempt(5, dice, epochs=2, state="running"))
    trials.append(Trial(6, {}, {"optimizer.lr": 0.01}, "TPE", (), "running"))
    task = task_of("multiclass", DIGITS) | {"openings": []}
    return Story(
        title="digits", trials=tuple(trials), task=task, condition="running", seconds={"prepare": 1.0, "search": 12.0}
    )


def all_failed() -> Story:
    dice = np.random.default_rng(7)
    trials = tuple(
        Trial(k, {}, t.dials, t.because, (), "failed", "the loss became NaN at step 3", 0.3)
        for k, t in enumerate(attempt(k, dice) for k in range(4))
    )
    return Story(
        title="digits", trials=trials, task=task_of("multiclass", DIGITS) | {"openings": []}, condition="interrupted"
    )


STORIES: dict[str, Callable[[], Story]] = {
    "study": study,
    "single run": single_run,
    "running": running,
    "baseline wins": lambda: study(verdict="worse"),
    "all failed": all_failed,
    "50 classes": lambda: study(labels=tuple(f"species {k:02d} of the genus" for k in range(50))),
    "200 classes": lambda: study(labels=tuple(f"class {k}" for k in range(200))),
    "hostile": hostile,
    "long study": long_study,
    "empty": lambda: Story(title="nothing yet"),
}
