"""The end of a search: who runs again, what it costs, what a kill leaves, and what is said of it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tuneful.core.budget import Budget, Clock
from tuneful.core.study import Study
from tuneful.pipeline import judge
from tuneful.pipeline.codec import from_data, from_mapping
from tuneful.pipeline.confirm import FOLDER, Confirmation
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.limits import Halt
from tuneful.pipeline.train import Run
from tuneful.pipeline.tune import STATE, Search
from tuneful.techniques.search import Full, Random

SETTINGS = {
    "lr": "1e-3..3e-1", "model": "mlp", "depth": 1, "width": 8, "optimizer": "momentum", "epochs": 3, "batch_size": 50,
    "validate_every": 1, "threads": 1, "averaging": "off", "early_stopping": "off",
}  # fmt: skip


def searched(task, folder, trials: int = 5, **settings: Any) -> tuple[Study, Any, Clock]:
    recipe, space = from_mapping({**SETTINGS, **settings}, task)
    study, clock, recipe = Study.create(folder, "s", task, space), Clock(Budget(trials=trials)), resolve(recipe, task)
    for _ in Search(study, task, recipe, space, clock, device="cpu", proposer=Random(), scheduler=Full(), stacked=False):
        pass
    return study, recipe, clock


def confirmed(study, task, recipe, clock, **how: Any) -> Confirmation:
    again = Confirmation(study, task, recipe, clock, device="cpu", **{"seeds": 2, **how})
    for _ in again:
        pass
    return again


def test_the_best_run_again_on_the_seeds_that_they_share(flowers, tmp_path):
    study, recipe, clock = searched(flowers, tmp_path)
    again = confirmed(study, flowers, recipe, clock, stacked=False, candidates=3)
    ranked = sorted(study.trials(), key=lambda t: (-t.last.value.value, t.number))[:3]
    assert {line["trial"] for line in again.verdict["candidates"]} == {t.number for t in ranked}
    for line in again.verdict["candidates"]:
        trial = study.trial(line["trial"])
        assert line["reported"] == trial.last.value.value
        for seed, value in enumerate(line["seeds"], 1):  # each is what a run of that recipe and seed gives by itself
            run = Run(flowers, from_data(trial.recipe).replace("seed", recipe.seed + seed), device="cpu")
            points = list(run)
            assert points[-1].value.value == value
    trial, candidate = again.candidate()
    assert trial.number == again.verdict["chosen"]
    p = judge.predict(candidate.network, flowers.valid.x, kind=flowers.kind)
    assert judge.score("accuracy", p, flowers.valid.y) == candidate.value.value


def test_stacked_they_come_to_what_they_come_to_alone(flowers, tmp_path):
    found = []
    for name, stacked in (("one", False), ("two", True)):
        study, recipe, clock = searched(flowers, tmp_path / name)
        found.append(confirmed(study, flowers, recipe, clock, stacked=stacked).verdict)
    for one, other in zip(found[0]["candidates"], found[1]["candidates"], strict=True):
        assert one["trial"] == other["trial"]
        np.testing.assert_allclose(one["seeds"], other["seeds"], atol=1 / len(flowers.valid) + 1e-9)


def test_a_stopped_one_goes_on_where_it_was_and_comes_to_the_same(flowers, tmp_path):
    whole = confirmed(*_with(flowers, searched(flowers, tmp_path / "whole")), stacked=False).verdict
    study, recipe, clock = searched(flowers, tmp_path / "stopped")
    for stop in (1, 2, 5):  # beats until somebody asks it to stop
        halt = Halt()
        again = Confirmation(study, flowers, recipe, clock, seeds=2, halt=halt, device="cpu", stacked=False)
        for k, _ in enumerate(again, 1):
            halt.requested = k >= stop
        assert not again.verdict
    study = Study.open(tmp_path / "stopped")
    again = confirmed(study, flowers, recipe, clock, stacked=False)
    told = [{k: v for k, v in one.items() if k != "seconds"} for one in (whole, again.verdict)]
    assert told[0] == told[1]
    finals = sorted(path.stat().st_mtime_ns for path in (tmp_path / "stopped" / FOLDER).glob("*/final.json"))
    repeated = confirmed(study, flowers, recipe, clock, stacked=False)  # it is finished, so nothing is trained
    assert repeated.verdict == again.verdict == json.loads((tmp_path / "stopped" / "confirm.json").read_text())
    assert finals == sorted(path.stat().st_mtime_ns for path in (tmp_path / "stopped" / FOLDER).glob("*/final.json"))


def _with(task, found):
    study, recipe, clock = found
    return study, task, recipe, clock


def test_a_lost_state_of_the_chosen_is_trained_anew_to_the_same_bits(flowers, tmp_path):
    study, recipe, clock = searched(flowers, tmp_path)
    again = confirmed(study, flowers, recipe, clock, stacked=False)
    again.verdict["run"] = 1
    _, first = again.candidate()
    path = again.path(again.verdict["chosen"], 1)
    path.unlink(missing_ok=True)
    _, second = again.candidate()
    for a, b in zip(first.network.parameters(), second.network.parameters(), strict=True):
        assert (a == b).all()


def test_only_the_chosen_run_keeps_its_weights(flowers, tmp_path):
    study, recipe, clock = searched(flowers, tmp_path)
    again = confirmed(study, flowers, recipe, clock)
    again.tidy()
    states = list((tmp_path / FOLDER).glob(f"*/{STATE}"))
    assert len(states) == (1 if again.verdict["run"] else 0)


@pytest.mark.parametrize(
    ("trials", "seeds", "said"),
    [(3, "auto", "3 trials are too few"), (5, 0, "no confirmation was asked for")],
)
def test_it_says_why_nothing_is_run_again(flowers, tmp_path, trials, seeds, said):
    study, recipe, clock = searched(flowers, tmp_path, trials)
    again = confirmed(study, flowers, recipe, clock, seeds=seeds)
    assert said in again.why
    assert not again.verdict
    assert not (tmp_path / FOLDER).exists()


def test_a_clock_without_time_for_two_seeds_of_two_is_told(flowers, tmp_path):
    study, recipe, _ = searched(flowers, tmp_path)
    clock = Clock(Budget(seconds=100.0), spent=99.999)
    again = confirmed(study, flowers, recipe, clock, seeds="auto")
    assert "2 seeds of two candidates take about" in again.why
    assert not again.verdict


def test_a_candidate_that_fails_under_a_fresh_seed_is_not_taken(flowers, tmp_path, monkeypatch):
    study, recipe, clock = searched(flowers, tmp_path)
    best = max(study.trials(), key=lambda t: (t.last.value.value, -t.number)).number
    plain = Confirmation._closed

    def closed(self, place, run):
        if place.name.startswith(f"{best:04d}-02"):
            run.ended = "diverged: as the test has it"
        plain(self, place, run)

    monkeypatch.setattr(Confirmation, "_closed", closed)
    again = confirmed(study, flowers, recipe, clock, stacked=False)
    assert again.verdict["chosen"] != best
    assert again.verdict["lost"] == [f"trial {best} failed in 1 of 2 fresh runs (diverged: as the test has it)"]


def test_a_rate_too_lucky_is_told_as_optimism(flowers, tmp_path):
    study, recipe, clock = searched(flowers, tmp_path)
    verdict = confirmed(study, flowers, recipe, clock, seeds=3).verdict
    first = max(verdict["candidates"], key=lambda line: (line["reported"], -line["trial"]))
    assert verdict["optimism"]["trial"] == first["trial"]
    assert verdict["optimism"]["value"] == pytest.approx(first["reported"] - np.mean(first["seeds"]))
    assert verdict["optimism"]["low"] <= verdict["optimism"]["value"] <= verdict["optimism"]["high"]
