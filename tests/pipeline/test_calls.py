"""Samplers of Optuna's that are given from Python."""

from __future__ import annotations

import numpy as np
import optuna
import pytest

import tuneful
from tuneful.core.errors import RecipeError, StudyError
from tuneful.core.study import Study
from tuneful.pipeline.calls import _proposing
from tuneful.pipeline.job import Job
from tuneful.pipeline.terms import How
from tuneful.pipeline.workers import count
from tuneful.techniques.search import Sampled

ASKED = {"model": "linear", "lr": "1e-3..1e-1", "epochs": 1, "threads": 1, "confirm": 0, "control": 0, "budget": "4 trials"}


def data() -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).normal(size=(120, 3)).astype("f4")
    return x, (x[:, 0] > 0).astype("i8")


def rates(sampler: optuna.samplers.BaseSampler) -> float:
    """The rate that it draws first."""
    return optuna.create_study(sampler=sampler).ask().suggest_float("optimizer.lr", 1e-3, 1e-1, log=True)


def test_a_sampler_from_python_proposes(tmp_path, monkeypatch):
    seeds: list[int] = []

    def make(seed: int) -> optuna.samplers.BaseSampler:
        seeds.append(seed)
        return optuna.samplers.RandomSampler(seed=seed)

    monkeypatch.setenv("TUNEFUL_HOME", str(tmp_path))
    folder = tuneful.tune(data(), proposer=make, name="made", **ASKED).folder
    trials = Study.open(folder).trials()
    assert [trial.because for trial in trials] == ["the defaults come first", *["proposed by the sampler that you gave"] * 3]
    assert len(set(seeds)) == 4  # one a proposal
    drawn = {rates(optuna.samplers.RandomSampler(seed=seed)) for seed in seeds}
    assert {trial.dials["optimizer.lr"] for trial in trials[1:]} < drawn
    job = Job.read(folder, data())
    with pytest.raises(
        StudyError, match="a sampler that was given from Python, and here is none\n  hint: make the same call"
    ):
        _ = job.proposer


def test_what_is_no_maker_of_samplers_is_refused_with_one(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNEFUL_HOME", str(tmp_path))
    with pytest.raises(
        RecipeError, match=r"an object RandomSampler;.*\n.*proposer=lambda seed: optuna.samplers.RandomSampler\("
    ):
        tuneful.tune(data(), proposer=optuna.samplers.RandomSampler(), **ASKED)
    with pytest.raises(RecipeError, match=r"an object int;.*\n.*optuna.samplers.TPESampler\(seed=seed\)"):
        tuneful.tune(data(), proposer=3, **ASKED)
    one, two = (
        Job("tune", "digits", how=How(proposer="sampled"), given=_proposing({"proposer": kind})[1])
        for kind in (optuna.samplers.RandomSampler, optuna.samplers.TPESampler)
    )
    assert one.name_for("digits") != two.name_for("digits")  # or the second would go on with the study of the first
    ours = Job("tune", "digits", given=Sampled(make=lambda seed: optuna.samplers.RandomSampler(seed=seed)))
    with pytest.raises(StudyError, match="2 workers are asked for, and the sampler is an object of this process"):
        count(2, ours, own=False)
