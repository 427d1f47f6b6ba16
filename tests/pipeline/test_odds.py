"""Chances and intervals of retested candidates, held against simulations in which the truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from tuneful.pipeline.odds import odds
from tuneful.pipeline.standing import Scores, scored


def answers(
    rng, truth: list[float], seeds: int, n: int, of_seed: float, hard: float
) -> tuple[list[list[np.ndarray]], np.ndarray]:
    """Binary answers [K][S][n]: an example is right where the candidate's, the seed's and its own ease say so together."""
    ease = hard * rng.standard_normal(n)
    common = of_seed * rng.standard_normal(seeds)
    spread = math.sqrt(1 + hard**2 + of_seed**2)
    found = []
    for share in truth:
        level = spread * stats.norm.ppf(share)
        runs = [level + ease + common[s] + rng.standard_normal(n) > 0 for s in range(seeds)]
        found.append([np.stack([1.0 - right, right], axis=1).astype(float) for right in runs])
    return found, np.ones(n, dtype=int)


def judged(rng, truth, seeds=3, n=400, of_seed=0.05, hard=1.0, weights=None):
    found, y = answers(rng, truth, seeds, n, of_seed, hard)
    scores = [scored("accuracy", runs, y) for runs in found]
    return odds("accuracy", scores, weights or [100] * len(truth), n)


def test_chances_sum_to_one_and_grow_with_the_lead():
    rng = np.random.default_rng(0)
    near, far = judged(rng, [0.85, 0.85, 0.84]), judged(rng, [0.95, 0.80, 0.70])
    assert sum(near.chance) == pytest.approx(1.0)
    assert far.chance[0] > 0.99
    assert far.leader == far.chosen == 0
    assert far.tied == (True, False, False)
    assert not far.behind[0].low > 0
    assert far.behind[1].low > 0


def test_the_chance_of_being_best_is_calibrated():
    """Truths are drawn with a spread like their noise, so that the chance told is to come true as often as it is told."""
    rng = np.random.default_rng(1)
    told, true = [], []
    for _ in range(150):
        truth = list(0.85 + 0.02 * rng.standard_normal(3))
        one = judged(rng, truth, n=300)
        told.append(one.chance[one.leader])
        true.append(one.leader == int(np.argmax(truth)))
    assert abs(np.mean(told) - np.mean(true)) < 0.12
    assert np.mean(true) > 0.5


def test_the_leader_of_equal_candidates_is_seldom_told_apart():
    rng = np.random.default_rng(2)
    alone = sum(sum(judged(rng, [0.8, 0.8, 0.8], n=300).tied) == 1 for _ in range(80))
    assert alone <= 8  # 5 % a comparison, two of them, both to be won


def test_the_quality_of_the_chosen_holds_what_a_large_test_shows():
    rng = np.random.default_rng(3)
    inside = 0
    for _ in range(100):
        truth = list(0.85 + 0.01 * rng.standard_normal(3))
        one = judged(rng, truth, n=300)
        quality = one.quality[one.chosen]
        inside += quality.low <= truth[one.chosen] <= quality.high
    assert inside >= 90


def by_hand(*means: float, noise: float = 0.01) -> list[Scores]:
    """Scores of three seeds around each mean."""
    rng = np.random.default_rng(0)
    steps = [(0.0, noise, -noise), (noise, -noise, 0.0), (-noise, 0.0, noise)]
    examples = 0.002 * rng.standard_normal(50) / 49  # what all have in common, so that no difference rests on it
    return [Scores(mean + np.array(step), mean + examples) for mean, step in zip(means, steps, strict=False)]


@pytest.mark.parametrize(
    ("gap", "margin", "weights", "taken"),
    [(0.005, 0.006, 50, 1), (0.005, 0.006, 90, 0), (0.005, 0.0, 50, 0), (0.0, 0.0, 50, 1)],
)
def test_of_what_ties_the_smaller_is_taken_where_nobody_would_notice(gap, margin, weights, taken):
    one = odds("auroc", by_hand(0.9, 0.9 - gap), [100, weights], 300, margin=margin)
    assert one.leader == 0
    assert one.chosen == taken
    assert ("are larger" if taken else "best mean") in one.because


def test_a_finer_score_tells_apart_what_ties_and_nothing_else():
    near, far = by_hand(0.9, 0.895), by_hand(0.9, 0.7)
    assert odds("accuracy", near, [1, 1], 300, finer=[0.2, 0.1]).chosen == 1
    assert odds("accuracy", near, [1, 1], 300, finer=[0.1, 0.2]).chosen == 0
    one = odds("accuracy", far, [1, 1], 300, finer=[0.2, 0.1])
    assert one.tied == (True, False)
    assert one.chosen == 0


def test_smaller_is_better_where_the_metric_says_so():
    rng = np.random.default_rng(5)
    y = rng.standard_normal(200)
    runs = {spread: [y + spread * rng.standard_normal(200) for _ in range(3)] for spread in (0.5, 1.0)}
    one = odds("rmse", [scored("rmse", found, y) for found in runs.values()], [1, 1], 200)
    assert one.leader == 0
    assert one.chance[0] > 0.99
    assert one.behind[1].value > 0  # it is worse by so much
    assert one.quality[0].low < 0.5 < one.quality[0].high


def test_candidates_that_answer_alike_share_the_chance():
    rng = np.random.default_rng(6)
    found, y = answers(rng, [0.9], 3, 200, 0.05, 1.0)
    one = scored("accuracy", found[0], y)
    told = odds("accuracy", [one, one], [10, 10], 200)
    assert told.chance[0] == pytest.approx(0.5, abs=0.03)
    assert told.tied == (True, True)
