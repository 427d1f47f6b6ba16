"""The last part of a search whose trainings are too long to be run again."""

from __future__ import annotations

import pytest

from tuneful.core.budget import Budget, Clock
from tuneful.core.measure import Measure
from tuneful.core.study import Study
from tuneful.core.task import Objective
from tuneful.core.trial import Point, Trial
from tuneful.pipeline.codec import from_mapping
from tuneful.pipeline.confirm import Confirmation
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.ending import Ending
from tuneful.pipeline.tune import Search
from tuneful.techniques.search import ASHA, Full, Random


def trial(number: int, value: float, epochs: float, state: str) -> Trial:
    point = Point(int(epochs), epochs, Measure(value, value, value, 10), 0.0, 0.0, 0.0, epochs)
    return Trial(number=number, recipe={}, because="", state=state, curve=(point,), dials={}, tags={"until": epochs})


def test_the_best_few_go_on_to_their_full_length_the_best_first():
    trials = [trial(0, 0.7, 1, "paused"), trial(1, 0.9, 3, "paused"), trial(2, 0.8, 9, "done"), trial(3, 0.85, 1, "paused")]
    ending, goal = Ending(inner=ASHA(), many=3), Objective("accuracy", "max")
    step = ending.next(trials, goal, 9)
    assert (step.trial, step.epochs) == (1, 9)
    step = ending.next([*trials[:1], trial(1, 0.9, 9, "done"), *trials[2:]], goal, 9)
    assert (step.trial, step.epochs) == (3, 9)
    done = [trials[0], trial(1, 0.9, 9, "done"), trials[2], trial(3, 0.85, 9, "done")]
    assert ending.next(done, goal, 9) == ASHA().next(done, goal, 9)


@pytest.mark.parametrize(("left", "some"), [(1e9, True), (1e-6, False)])
def test_nothing_is_kept_for_runs_that_cannot_be_made(flowers, tmp_path, left, some):
    settings = {"lr": "1e-3..3e-1", "model": "mlp", "depth": 1, "width": 8, "epochs": 1, "threads": 1}
    recipe, space = from_mapping(settings, flowers)
    study, clock, recipe = Study.create(tmp_path, "s", flowers, space), Clock(Budget(trials=2)), resolve(recipe, flowers)
    for _ in Search(study, flowers, recipe, space, clock, device="cpu", proposer=Random(), scheduler=Full(), stacked=False):
        pass
    assert (Confirmation(study, flowers, recipe, clock, device="cpu").need(left) > 0) is some
