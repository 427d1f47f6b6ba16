"""The final fit on train and valid: what it trains, for how long, what a kill leaves, and what is said of valid afterwards."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tuneful.core.budget import Budget, Clock
from tuneful.core.errors import RecipeError
from tuneful.core.study import Study
from tuneful.pipeline import judge, refit
from tuneful.pipeline.codec import from_mapping
from tuneful.pipeline.confirm import Confirmation
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.job import Job
from tuneful.pipeline.joining import Joining
from tuneful.pipeline.limits import Halt
from tuneful.pipeline.train import Run
from tuneful.pipeline.tune import Search

SETTINGS = {
    "lr": "1e-2", "model": "mlp", "depth": 1, "width": 8, "optimizer": "momentum", "epochs": 8, "batch_size": 50, "validate_every": 1,
    "threads": 1, "averaging": "off",
}  # fmt: skip


@pytest.fixture(scope="module")
def trained(flowers, tmp_path_factory):
    """A training of one recipe that stops early."""
    folder = tmp_path_factory.mktemp("refit") / "s"
    recipe, space = from_mapping({**SETTINGS, "early_stopping": 2, "lr": 0.3}, flowers)
    study, clock, recipe = Study.create(folder, "s", flowers, space), Clock(Budget(trials=1)), resolve(recipe, flowers)
    search = Search(study, flowers, recipe, space, clock, device="cpu")
    for _ in search:
        pass
    joining = Joining(Confirmation(study, flowers, recipe, clock, device="cpu"), search, most=0)
    joining.settle()
    return joining


def test_both_splits_are_one_and_the_test_stays_shut(flowers):
    wide = refit.together(flowers)
    np.testing.assert_array_equal(wide.train.x, np.concatenate([flowers.train.x, flowers.valid.x]))
    np.testing.assert_array_equal(wide.train.y, np.concatenate([flowers.train.y, flowers.valid.y]))
    assert wide.fingerprint != flowers.fingerprint
    assert wide.test is flowers.test


def test_it_has_the_steps_of_the_best_point_and_is_what_a_run_of_them_gives(trained, flowers):
    final = refit.Refit(trained, device="cpu")
    assert list(final)
    assert final.done
    first = trained.origins()[0].run
    best = refit.best_step(first)
    assert final.steps == [best]
    values = [point.value.value for point in first.curve]
    assert first.curve[values.index(max(values))].step == best
    _, candidate = final.candidate()
    wide = refit.together(flowers)
    run = Run(wide, refit.longer(flowers, wide, first), device="cpu", execution=first.execution)
    assert run.steps == first.steps  # the rates fall as they did
    for _ in run.walk(0.0):
        if run.step == best:
            break
    for name, value in run.candidate().network.state_dict().items():
        assert (value == candidate.network.state_dict()[name]).all()


def test_what_is_said_of_valid_is_said_by_the_network_that_had_not_seen_it(trained, flowers):
    _, before = trained.candidate()
    final = refit.Refit(trained, device="cpu")
    for _ in final:
        pass
    told = final.told(before)
    p = judge.predict(before.network, flowers.valid.x, kind=flowers.kind)
    assert told["valid"]["accuracy"]["value"] == judge.score("accuracy", p, flowers.valid.y)
    assert told["final"]["examples"] == 420
    assert "no longer independent" in told["final"]["sentence"]


def test_a_stopped_one_goes_on_to_the_same_bits(trained, flowers):
    whole = refit.Refit(trained, device="cpu")
    for _ in whole:
        pass
    wanted = whole.candidate()[1].network.state_dict()
    place = whole._place(trained.origins()[0])
    for path in place.iterdir():
        path.unlink()
    halt = Halt()
    stopped = refit.Refit(trained, device="cpu", halt=halt)
    for _ in stopped:
        halt.requested = True
    assert not stopped.done
    assert not (place / "done").exists()
    again = refit.Refit(trained, device="cpu")
    for _ in again:
        pass
    for name, value in again.candidate()[1].network.state_dict().items():
        assert (value == wanted[name]).all()


def test_without_time_it_says_so_and_the_network_before_stays(trained):
    final = refit.Refit(trained, device="cpu", left=0.0)
    for path in final._place(trained.origins()[0]).glob("done"):
        path.unlink()
    for _ in final:
        pass
    assert not final.done
    assert "were left" in final.told(trained.candidate()[1])["final"]["sentence"]


def test_a_trial_that_began_with_the_weights_of_another_is_not_trained_anew(trained, monkeypatch):
    (one,) = trained.origins()
    for tag in ("parent", "grown"):
        heir = replace(one, trial=replace(one.trial, tags={**one.trial.tags, tag: {"number": 3}}))
        monkeypatch.setattr(trained, "origins", lambda heir=heir: [heir])
        final = refit.Refit(trained, device="cpu")
        assert list(final) == []
        assert not final.done
        assert "trial 0 began with the weights of another one" in final.told(trained.candidate()[1])["final"]["sentence"]


def test_what_cannot_be_is_refused_with_its_reason(flowers):
    assert "open set" in refit.unfit(replace(flowers, kind="openset"), {})
    assert "soup" in refit.unfit(flowers, {"kind": "soup"})
    job = Job("train", "digits")
    with pytest.raises(RecipeError, match=r"which trains in one process, and 2 share this training"):
        refit.checked(replace(job, how=job.how.replace(final=refit.BOTH)), 2)


def test_a_run_with_a_final_fit_has_a_name_of_its_own():
    plain = Job("optimize", "digits")
    final = replace(plain, how=plain.how.replace(final=refit.BOTH))
    assert plain.name_for("digits") != final.name_for("digits")
