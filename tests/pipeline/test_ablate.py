"""Ablation: what a setting is worth, by trainings with it set back, and the path from the defaults."""

from __future__ import annotations

import json

import numpy as np
import pytest

import tuneful
from tuneful.core.errors import RecipeError, StudyError
from tuneful.pipeline.ablate import Ablation
from tuneful.pipeline.odds import against
from tuneful.pipeline.standing import scored


def test_differences_are_paired_over_seeds_and_examples():
    stats = pytest.importorskip("scipy.stats")
    dice, n, seeds = np.random.default_rng(0), 400, 4
    y = dice.normal(size=n)
    shift = dice.normal(size=seeds) * 0.3  # what a seed does to all cancels
    answers = [[y + shift[s] + level + dice.normal(size=n) * 0.01 for s in range(seeds)] for level in (1.0, 1.5, 2.0)]
    scores = [scored("mae", one, y) for one in answers]
    same, half, one = against("mae", scores, 0, n)
    assert same.value == 0
    means = [one.seeds.mean() for one in scores]
    assert half.value == pytest.approx(means[1] - means[0])  # + : the first is better
    assert one.value == pytest.approx(means[2] - means[0])
    x = np.array([one.seeds for one in scores])
    rest = x - x.mean(1, keepdims=True) - x.mean(0, keepdims=True) + x.mean()
    error = np.sqrt(2 * (rest**2).sum() / 6 / seeds)
    least = stats.t.ppf(0.975, 6) * error  # the examples' noise comes on top of that of the seeds
    assert half.high - half.value >= least * 0.5
    assert half.low > 0.3


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A search in which the rate matters and another setting does not."""
    folder = tmp_path_factory.mktemp("ablate")
    dice = np.random.default_rng(0)
    x = dice.normal(size=(900, 4)).astype("f4")
    y = (x[:, 0] * x[:, 1] > 0).astype("i8")
    np.savez(folder / "data.npz", x=x, y=y)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNEFUL_HOME", str(folder / "runs"))
        return tuneful.tune(
            str(folder / "data.npz"), budget="7 trials", lr="5e-4..3e-1", decay="1e-3..1e-1", model="mlp", width=16, epochs=5, threads=1,
            proposer="random", scheduler="full", workers=1, confirm=2, candidates=2, metric="log_loss",
        )  # fmt: skip


@pytest.mark.slow
def test_a_setting_that_matters_is_told_from_one_that_does_not(searched):
    opened = (searched.folder / "openings.jsonl").read_text()
    ablation = Ablation(searched.folder, seeds=3, path=True)
    for _ in ablation:
        pass
    by = {line["dial"]: line for line in ablation.told["dials"]}
    assert by["optimizer.lr"]["verdict"] == "matters", ablation.told["sentence"]
    assert by["optimizer.decay"]["worth"]["value"] < by["optimizer.lr"]["worth"]["value"]
    path = ablation.told["path"]
    assert path[0]["dial"] == "optimizer.lr"
    assert path[-1]["value"] == pytest.approx(
        ablation._known[Ablation(searched.folder)._recipe(ablation.trial.dials).id].seeds.mean()
    )
    assert ablation.told == json.loads((searched.folder / "ablation.json").read_text())
    assert (searched.folder / "openings.jsonl").read_text() == opened  # the test split stays shut
    again = Ablation(searched.folder, seeds=3, path=True)
    assert list(again) == []  # nothing is trained twice
    assert again.told["dials"] == ablation.told["dials"]


@pytest.mark.slow
def test_a_budget_leaves_out_what_it_has_no_time_for(searched):
    ablation = Ablation(searched.folder, seeds=5)
    each = 1.15 * ablation._entrant(searched.candidate.recipe).seconds
    ablation.seconds = each * 2 * 2.5
    assert len(ablation._affordable(ablation.changes())) == 1
    assert ablation.seeds == 2
    assert "there is time for 2 seeds, and not for optimizer.decay" in ablation.said[0]
    ablation.seconds = each
    with pytest.raises(RecipeError, match=r"two seeds of two recipes take about .*, and the budget is"):
        ablation._affordable(ablation.changes())


def test_what_cannot_be_ablated_is_refused(tmp_path):
    with pytest.raises(RecipeError, match=r"seeds is 1; it must be at least 2"):
        Ablation(tmp_path, seeds=1)
    with pytest.raises(StudyError, match=r"has no proven model yet"):
        Ablation(tmp_path)
