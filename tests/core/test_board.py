"""The trials of a study as they stand, kept up to date, against the same worked out anew from all of them."""

import math
import random

import pytest

from tuneful.core.board import Board, changed
from tuneful.core.measure import Measure
from tuneful.core.task import Objective
from tuneful.core.trial import Point, Trial


def trial(number, value, state):
    curve = () if value is None else (Point(1, 1.0, Measure(value, value, value, 9), 1.0, 1.0, 0.1, 1.0),)
    return Trial(number, {}, {}, "", curve, state, tags={"id": f"id {number}"})


@pytest.mark.parametrize("direction", ["min", "max"])
def test_whatever_happens_it_knows_who_is_best_at_work_and_rated(direction):
    sign = -1 if direction == "min" else 1
    for seed in range(30):
        dice, board, all_of = random.Random(seed), Board(Objective("loss", direction)), {}
        for _ in range(60):
            number = dice.choice([*range(len(all_of)), len(all_of) + dice.randrange(3)])  # some take a number and begin late
            value = dice.choice([None, math.nan, math.inf, *range(4)])
            all_of[number] = trial(number, value, dice.choice(["running", "paused", "done", "failed"]))
            board.put(all_of[number])
            order = [all_of[n] for n in sorted(all_of)]
            assert board.trials() == tuple(order)
            assert sorted(board.running) == [t.number for t in order if t.state == "running"]
            assert board.rated == sum(t.last is not None for t in order)
            fit = [t for t in order if t.last and t.state != "failed" and math.isfinite(t.last.value.value)]
            if dice.random() < 0.5:  # it is not always asked
                assert board.best() == max(fit, key=lambda t: (sign * t.last.value.value, -t.number), default=None)


def test_changed_are_those_in_whose_place_another_stood_and_those_behind():
    a, b, c = (trial(k, 1.0, "paused") for k in range(3))
    other = trial(1, 1.0, "paused")
    assert changed((a, b), (a, other, c)) == [other, c]
    assert changed((a, b, c), (a, b, c)) == []
