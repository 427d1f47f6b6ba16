"""Who may be the best: intervals against formulas of others, error rates against simulated truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from tuneful.pipeline.standing import Scores, expected, scored, stand


def answers(right: np.ndarray) -> np.ndarray:
    """Probabilities of two classes that are right where `right` says so; the truth is class 1."""
    return np.stack([1.0 - right, right], axis=1) * 0.8 + 0.1


def table(rates: list[float], seeds: int, n: int, dice: np.random.Generator) -> dict[str, list[np.ndarray]]:
    """Methods whose examples differ in difficulty and whose trainings differ in luck."""
    hard = dice.normal(size=n)
    found = {}
    for k, rate in enumerate(rates):
        luck = 0.2 * dice.normal(size=(seeds, 1))
        right = (hard + luck + 0.7 * dice.normal(size=(seeds, n)) < stats.norm.ppf(rate, scale=1.24)).astype(float)
        found[f"m{k}"] = [answers(one) for one in right]
    return found


def standing(answers_of: dict[str, list[np.ndarray]], n: int):
    y = np.ones(n, dtype=np.int64)
    return stand("accuracy", {who: scored("accuracy", found, y) for who, found in answers_of.items()}, n)


def test_the_jackknife_of_single_examples_is_the_variance_of_their_mean():
    dice = np.random.default_rng(0)
    right = dice.integers(0, 2, (3, 40)).astype(float)
    found = scored("accuracy", [answers(one) for one in right], np.ones(40, dtype=np.int64))
    g = len(found.left)
    variance = (g - 1) / g * ((found.left - found.left.mean()) ** 2).sum()
    assert g == 40
    assert variance == pytest.approx(right.mean(0).var(ddof=1) / 40)
    assert found.seeds == pytest.approx(right.mean(1))


def test_where_only_the_seeds_vary_two_methods_get_the_paired_t_test():
    a, b = np.array([0.8, 0.82, 0.85, 0.79, 0.81]), np.array([0.78, 0.81, 0.8, 0.8, 0.77])
    still = np.full(50, 0.8)
    found = stand("r2", {"a": Scores(a, still), "b": Scores(b, still)}, 1000)
    theirs = stats.ttest_rel(a, b)
    low, high = theirs.confidence_interval(0.95)
    pair = found.against["a", "b"]
    assert (pair.difference.low, pair.difference.high) == pytest.approx((low, high))
    assert pair.p == pytest.approx(theirs.pvalue)


def test_smaller_is_better_where_the_metric_says_so():
    still = np.full(50, 1.0)
    lower, higher = Scores(np.array([1.0, 1.01, 0.99]), still), Scores(np.array([2.0, 2.02, 2.01]), still)
    found = stand("rmse", {"high": higher, "low": lower}, 1000)
    assert found.leader == "low"
    assert found.behind == {"high": "low"}
    assert found.against["low", "high"].difference.value > 0


def test_several_comparisons_share_five_per_cent():
    """The chance that the best, or one as good as it, is called behind, over 300 comparisons of four equals."""
    dice, wrong = np.random.default_rng(1), 0
    for _ in range(300):
        found = standing(table([0.9] * 4, 5, 120, dice), 120)
        wrong += "m0" in found.behind
    assert wrong <= 0.05 * 300 + 2 * math.sqrt(300 * 0.05 * 0.95)


def test_a_true_difference_is_found():
    dice = np.random.default_rng(2)
    behind = [standing(table([0.9, 0.88, 0.6], 5, 300, dice), 300).behind for _ in range(20)]
    assert all("m2" in found for found in behind)


def test_equal_answers_tie_with_a_difference_of_zero():
    one = table([0.9], 3, 50, np.random.default_rng(3))["m0"]
    found = standing({"a": one, "b": one}, 50)
    assert found.tied == ("a", "b")
    pair = found.against["a", "b"]
    assert pair.difference.value == 0
    assert pair.difference.low < 0 < pair.difference.high, "fifty examples do not prove that two methods are equal"
    assert pair.p == 1


def test_one_seed_has_no_interval_and_tells_nothing_apart():
    dice = np.random.default_rng(4)
    found = standing(table([0.95, 0.5], 1, 200, dice), 200)
    assert found.behind == {}
    assert math.isnan(found.against["m0", "m1"].difference.low)
    assert found.against["m0", "m1"].difference.how.startswith("undefined: one seed")
    assert math.isnan(found.quality["m0"].low)


def test_neighbours_that_tell_of_the_same_are_left_out_together():
    """Fifty runs of twenty equal examples say no more than fifty examples."""
    dice = np.random.default_rng(5)
    right = np.repeat(dice.integers(0, 2, (2, 50)).astype(float), 20, axis=1)
    y = np.ones(1000, dtype=np.int64)
    apart, together = (scored("accuracy", [answers(one) for one in right], y, block=block) for block in (1, 20))
    assert together.left.std() > 3 * apart.left.std()


@pytest.mark.parametrize("direction", ["max", "min"])
def test_the_expected_best_is_that_of_drawing_again_and_again(direction):
    values, first = [0.3, 0.9, 0.5, 0.7], 0.6
    better = max if direction == "max" else min
    dice = np.random.default_rng(0)
    drawn = dice.choice(values, (40_000, 3))
    wanted = [first, *(np.mean([better(first, better(row[:k])) for row in drawn]) for k in (1, 2, 3))]
    assert expected(values, 4, first, direction) == pytest.approx(wanted, abs=5e-3)
