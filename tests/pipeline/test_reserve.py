"""How much is kept back for the end, and what a little more time is worth."""

from __future__ import annotations

import pytest

from tuneful.core.budget import Budget, Clock
from tuneful.core.errors import RecipeError
from tuneful.core.measure import Measure
from tuneful.core.trial import Point, Trial
from tuneful.pipeline.reserve import reserve, worth_going_on


def trial(seconds: float) -> Trial:
    """One of ten epochs that took so long."""
    value = Measure(0.9, 0.8, 1.0, 100)
    return Trial(0, {}, {}, "invented", curve=(Point(10, 10.0, value, 0.5, 0.5, 1e-3, seconds),))


@pytest.mark.parametrize(
    ("seconds", "before", "kept"),
    [
        (60.0, None, 6.0 + 8.0),
        (20.0, None, 2.0 + 5.0),
        (3600.0, None, 60.0 + 8.0),
        (60.0, {"took": {"prove": 2.0, "ship": 4.0}}, 1.25 * 6.0 + 1.0),  # what it took here
        (60.0, {"took": {"prove": 20.0, "ship": 9.0}}, 14.0),  # but no more than a first run keeps
        (60.0, {"took": {"prove": 2.0}}, 14.0),
        (60.0, {}, 14.0),
        (None, {"took": {"prove": 2.0, "ship": 4.0}}, 0.0),
    ],
)
def test_what_is_kept_back(seconds, before, kept):
    assert reserve(Budget(seconds, None if seconds else 3), before) == pytest.approx(kept)


def clock(budget: float, spent: float, reserve: float) -> Clock:
    made = Clock(Budget(budget), spent)
    made.began -= 6.0  # starting took so long
    made.reserve = reserve
    return made


def test_a_larger_budget_that_is_eaten_by_starting_and_proving_is_refused_with_one_that_would_do():
    with pytest.raises(RecipeError) as told:
        worth_going_on("runs/digits", clock(60.0, 50.0, 8.0), (trial(20.0),))
    assert told.value.message == (
        "a budget of 1min leaves runs/digits no time to search: 50s were spent before, starting took 6s, and proving and "
        "shipping take about 8s; what was found before stands as it is"
    )
    assert (
        told.value.hint == "give at least --budget 1min10s; more than that finds more"
    )  # 50 + 6 + 8 + an epoch of 2, and 3
    assert Budget.parse("1min10s") == Budget(70.0)
    worth_going_on("runs/digits", clock(70.0, 50.0, 8.0), (trial(20.0),))


def test_a_budget_of_trials_is_always_worth_it():
    worth_going_on("runs/digits", Clock(Budget(trials=3), 1e6), (trial(20.0),))
