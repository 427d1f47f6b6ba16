"""The divergence alarm: on losses that the test makes, on the trainings of DeepOBS where they are, and in runs and searches."""

from __future__ import annotations

import importlib.util
import math
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from tuneful.pipeline.codec import from_mapping
from tuneful.pipeline.train import Run
from tuneful.techniques.symptoms import Divergence, Seen

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("TUNEFUL_DATA") or ROOT.parent / "shared" / "data") / "hpo" / "deepobs_v1_sgd_momentum_adam.npz"


def score(losses) -> float:
    return Divergence().score([float(loss) for loss in losses])


def noise(seed: int, share: float = 0.05) -> np.ndarray:
    return 1 + share * np.random.default_rng(seed).normal(size=200)


def test_steady_noise_is_no_divergence_and_a_falling_loss_is_none_either():
    scores = np.array([score(2.3 * noise(seed)) for seed in range(2000)])
    assert (scores > 7).mean() <= 0.003  # "once in 1000" of the docstring; 2000 draws
    assert np.median(scores[scores > 0]) == pytest.approx(3.5, abs=0.2)
    falling = np.exp(-np.arange(200) / 60)
    assert max(score(2.3 * falling * noise(seed)) for seed in range(50)) == 0.0


def test_thrown_up_and_not_back_is_doomed_and_back_is_not():
    peak = 5.0 * np.exp(-((np.arange(200) - 20) ** 2) / 50)
    assert score(2.3 * noise(0) + peak) > 30  # back at where it began, and no lower: a network that was thrown away
    recovered = 2.3 * np.minimum(1.0, 1.2 * np.exp(-np.arange(200) / 80)) * noise(0) + peak
    assert score(recovered) == 0.0
    assert score(2.3 * noise(1) * 1.05 ** np.arange(200)) > 50
    broken = 2.3 * noise(2)
    broken[150] = np.nan
    assert math.isinf(score(broken))


def test_is_the_same_in_any_unit_and_waits_for_200_losses():
    losses = 2.3 * noise(0) + np.linspace(0, 3, 200)
    assert score(losses) == pytest.approx(score(1e6 * losses))
    assert score(losses[:199]) == 0.0
    assert Divergence().judge(Seen(losses=[float(v) for v in losses[:199]])) == ()
    told = Divergence().judge(Seen(losses=[float(v) for v in losses]))[0]
    assert "after 200 steps stands at" in told.said
    assert Divergence().judge(Seen(losses=[-1.0 + v for v in losses * 0])) == ()  # shares of a negative loss mean nothing


@pytest.mark.skipif(not DATA.exists(), reason="the trainings of DeepOBS are not here (TUNEFUL_DATA, hpo/)")
def test_nine_of_ten_doomed_runs_of_deepobs_are_caught_with_three_false_alarms_in_a_hundred(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    spec = importlib.util.spec_from_file_location("divergence_benchmark", ROOT / "benchmarks" / "divergence.py")
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    with np.load(DATA, allow_pickle=False) as stored:
        found = benchmark.judged({name: stored[name] for name in stored})["doomed"]
    sys.modules.pop("record", None)
    for way in ("first_four_to_last", "last_four_to_first"):
        assert found[way]["threshold"] == Divergence().sigmas  # what the rule has is what either half chooses
        assert found[way]["caught"] >= 0.9
        assert found[way]["false"] <= 0.03


# ------------------------------------------------------------------------------------------------ in runs


def wild(lr: float, **more):
    """A momentum run of 240 steps on flowers; a rate of 5 throws it up at once, and it comes down to where it began."""
    settings = {
        "model": "mlp", "width": 16, "epochs": 24, "batch_size": 30, "threads": 1, "optimizer": "momentum", "schedule": "constant",
        "optimizer.lr": lr, "validate_every": 12, "regularizers": "none", **more,
    }  # fmt: skip
    return from_mapping(settings, None)[0]


def test_a_doomed_run_is_stopped_after_200_steps_and_says_why(flowers):
    run = Run(flowers, wild(5.0))
    list(run)
    assert run.step == 200
    assert run.ended.startswith("diverged: the training loss rose by ")
    assert run.ended.endswith("(stopped after 200 steps; alarm=tell lets it go on)")
    told = Run(flowers, wild(5.0, alarm="tell"))
    notes = [note for point in told for note in point.notes]
    assert told.ended == "all 24 epochs are done"
    assert any(note.startswith("doctor: the training loss rose by ") for note in notes)


def test_a_healthy_run_is_not_stopped_and_hears_nothing(flowers):
    run = Run(flowers, wild(0.05))
    assert [note for point in run for note in point.notes] == []
    assert run.step == 240


def test_a_run_taken_up_again_in_the_first_200_steps_says_the_same(flowers, tmp_path):
    whole = Run(flowers, wild(5.0, alarm="tell"))
    whole.advance(240)
    parted = Run(flowers, wild(5.0, alarm="tell"))
    parted.advance(70)
    parted.save(tmp_path / "state.safetensors")
    parted = Run.resume(flowers, tmp_path / "state.safetensors")
    parted.advance(170)
    assert parted.notes == whole.notes != []
    assert parted.early.seen == whole.early.seen


def test_watching_changes_no_weight(flowers):
    import torch

    watched, alone = Run(flowers, wild(0.05)), Run(flowers, wild(0.05))
    alone.early.steps = 0
    assert watched.advance(60) == alone.advance(60)
    assert all(torch.equal(a, b) for a, b in zip(watched.params, alone.params, strict=True))
    assert watched.early.seen.looks == 3


def test_a_search_stops_its_doomed_trials_and_writes_down_why(flowers, tmp_path):
    from tuneful.core.budget import Budget, Clock
    from tuneful.core.study import Study
    from tuneful.pipeline.defaults import resolve
    from tuneful.pipeline.tune import Search
    from tuneful.techniques.search import Full, Random

    settings = {
        "model": "mlp", "width": 16, "epochs": 24, "batch_size": 30, "threads": 1, "optimizer": "momentum", "schedule": "constant",
        "lr": "0.05,5", "validate_every": 12, "regularizers": "none",
    }  # fmt: skip
    recipe, space = from_mapping(settings, flowers)
    study = Study.create(tmp_path, "s", flowers, space)
    search = Search(
        study, flowers, resolve(recipe, flowers), space, Clock(Budget(trials=2)), device="cpu", proposer=Random(), scheduler=Full()
    )  # fmt: skip
    for _ in search:
        pass
    trials = {trial.dials["optimizer.lr"]: trial for trial in study.trials()}
    assert trials[0.05].state == "done"
    assert trials[5].state == "failed"
    assert "(stopped after 200 steps; alarm=tell lets it go on)" in trials[5].ended_because
    assert trials[5].curve[-1].step <= 200 < trials[0.05].curve[-1].step
