"""Trials that begin as grown copies of others: where the parent had come to, told as its lineage, through stops, and shipped as any network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import tuneful
from tuneful.core.budget import Budget, Clock
from tuneful.core.errors import StudyError
from tuneful.core.study import Study
from tuneful.pipeline import judge
from tuneful.pipeline.codec import from_data, from_mapping
from tuneful.pipeline.deciding import SEED
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.limits import Halt
from tuneful.pipeline.train import Run
from tuneful.pipeline.tune import STATE, Search
from tuneful.pipeline.verify import Verification
from tuneful.techniques.models.morph import growable
from tuneful.techniques.search import Full, Morph

SETTINGS = {
    "model": "mlp", "width": "8..32", "depth": "1..3", "lr": "1e-3..1e-1", "optimizer": "momentum", "epochs": 2, "batch_size": 50,
    "validate_every": 1, "threads": 1, "averaging.decay": 0.9, "early_stopping": "off",
}  # fmt: skip


def searched(task, folder, stops: bool = False, trials: int = 14) -> Study:
    recipe, space = from_mapping(SETTINGS, task)
    study = Study.create(folder, "s", task, space)
    while True:
        halt = Halt()
        search = Search(study, task, resolve(recipe, task), space, Clock(Budget(trials=trials)), device="cpu", halt=halt,
                        proposer=Morph(first=4), scheduler=Full(), stacked=False)  # fmt: skip
        for number, _ in enumerate(search):
            halt.requested = stops and number == 2
        if not halt.requested:
            return study
        study = Study.open(folder)


@pytest.fixture(scope="module")
def study(flowers, tmp_path_factory) -> Study:
    return searched(flowers, tmp_path_factory.mktemp("grown"))


def test_half_of_the_trials_are_grown_and_say_from_whom(study):
    grown = [t for t in study.trials() if "grown" in t.tags]
    assert 3 <= len(grown) <= 10
    for trial in grown:
        parent = study.trial(trial.tags["grown"]["number"])
        assert parent.number < trial.number
        assert trial.because.startswith(f"grown from trial {parent.number}: ")
        assert not growable(from_data(parent.recipe).model, from_data(trial.recipe).model)
        assert trial.state == "done"
        assert f"it began as trial {parent.number} had come to be after 2 epochs, grown" in trial.curve[0].notes


def test_a_grown_network_begins_where_its_parent_ended(flowers, study):
    trial = next(t for t in study.trials() if "grown" in t.tags and (study.trial_folder(t.number) / SEED).exists())
    parent = Run.resume(flowers, study.trial_folder(trial.number) / SEED, device="cpu")
    from tuneful.pipeline.growing import grown

    fresh = Run(flowers, from_data(trial.recipe), device="cpu")
    run = grown(fresh, flowers, fresh.recipe, study.trial_folder(trial.number) / SEED, number=0)
    assert (run.step, run.curve) == (0, [])
    before, after = (judge.predict(one.candidate().network, flowers.valid.x) for one in (parent, run))
    assert np.abs(before - after).max() < 0.1  # noise alone
    assert judge.score("accuracy", after, flowers.valid.y) > 0.8


def test_what_trains_a_recipe_from_its_beginning_is_refused_for_them(study):
    grown = next(t.number for t in study.trials() if "grown" in t.tags)
    with pytest.raises(StudyError, match=rf"trial {grown} began with the weights of another one.*\n.*--trial"):
        list(Verification(study.folder, trial=grown))


def test_a_search_that_was_stopped_again_and_again_is_the_same(flowers, study, tmp_path):
    again = searched(flowers, tmp_path, stops=True)
    told = [[(t.dials, t.because, [p.value.value for p in t.curve]) for t in one.trials()] for one in (study, again)]
    assert told[0] == told[1]


def test_states_of_those_that_are_not_kept_go_with_the_states_of_their_parents(study):
    lasting = [t.number for t in study.trials() if (study.trial_folder(t.number) / STATE).exists()]
    assert len(lasting) <= 6
    assert {t.number for t in study.trials() if (study.trial_folder(t.number) / SEED).exists()} <= set(lasting)


@pytest.mark.slow
def test_the_result_is_a_plain_network_that_answers_without_torch(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNEFUL_HOME", str(tmp_path))
    result = tuneful.tune("digits", **{**SETTINGS, "lr": "1e-2..1e-1", "limit": 200, "proposer": "morph"}, budget="16 trials", confirm=0,
                          scheduler="full", control=0)  # fmt: skip
    assert type(result.candidate.network.body) is torch.nn.Sequential
    x = result.task.valid.x[:9]
    found = tuneful.load(result.artifact.folder).probabilities(x[:, 0])
    np.testing.assert_allclose(found, judge.predict(result.candidate.network, x), atol=2e-5)
    assert "grown from trial" in result.report.read_text()
