"""The headline does not boast of a baseline that was the only one with time to run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tuneful.core.measure import Measure
from tuneful.pipeline.baselines import Baseline
from tuneful.pipeline.prove import headline


def said(*failed: str, verdict: str = "better") -> str:
    task: Any = SimpleNamespace(objective=SimpleNamespace(metric="accuracy"))
    names = ("majority class", "logistic regression", "gradient-boosted trees")
    against = [Baseline(name, None, 0.1, "skipped: no time" if name in failed else "") for name in names]
    measured = {name: {"accuracy": Measure(0.5, 0.4, 0.6, 100)} for name in names if name not in failed}
    best = next(reversed(measured))
    comparison = {"baseline": best, "verdict": verdict, "p": 0.01, "test": "exact McNemar"}
    return headline(task, Measure(0.9, 0.8, 0.95, 100), comparison, against, measured)


def test_all_three_ran():
    assert "better than the best baseline, gradient-boosted trees," in said()
    assert "not run" not in said()


def test_one_had_no_time():
    assert "better than the best baseline that ran, logistic regression," in said("gradient-boosted trees")
    assert said("gradient-boosted trees").endswith("; not run: gradient-boosted trees.")


@pytest.mark.parametrize("verdict", ["better", "tie"])
def test_only_the_constant_ran(verdict):
    sentence = said("logistic regression", "gradient-boosted trees", verdict=verdict)
    assert "the only baseline that ran, majority class," in sentence
    assert sentence.endswith("; not run: logistic regression, gradient-boosted trees.")
