from __future__ import annotations

import pytest

from tuneful.core.budget import Budget, Clock, span
from tuneful.core.errors import RecipeError


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("90s", Budget(seconds=90)),
        ("30min", Budget(seconds=1800)),
        ("30 m", Budget(seconds=1800)),
        ("30 minutes", Budget(seconds=1800)),
        ("1 hour 5 minutes", Budget(seconds=3900)),
        ("2h", Budget(seconds=7200)),
        ("1h30min", Budget(seconds=5400)),
        ("0.5h", Budget(seconds=1800)),
        ("40 trials", Budget(trials=40)),
        ("1 trial", Budget(trials=1)),
        ("2h, 100 trials", Budget(seconds=7200, trials=100)),
    ],
)
def test_reads_time_and_trials(text, budget):
    assert Budget.parse(text) == budget
    assert Budget.parse(str(budget)) == budget


@pytest.mark.parametrize("text", ["", "fast", "30", "-5s", "0s", "0 trials", "3 parsecs", "10min 40", "1e3s"])
def test_refuses_what_is_no_budget(text):
    with pytest.raises(RecipeError, match="the budget is"):
        Budget.parse(text)


def test_the_clock_counts_earlier_sessions_and_keeps_its_reserve():
    clock = Clock(Budget(seconds=100, trials=3), spent=40)
    clock.reserve = 10
    assert 59 < clock.left <= 60
    assert 49 < clock.left_for_search <= 50
    assert clock.trials_left(begun=2) == 1
    assert clock.trials_left(begun=5) == 0
    assert Clock(Budget(trials=1)).left == float("inf")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.25, "0.25s"), (45, "45s"), (750, "12min 30s"), (7500, "2h 5min"), (3600, "1h")]
)
def test_spans_in_words(seconds, text):
    assert span(seconds) == text
