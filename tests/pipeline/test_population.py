"""Population-based training in a search: copies go on bit by bit, an interrupted search as if it had not been, and waiting ends."""

from __future__ import annotations

import pytest

from tuneful.core.budget import Budget, Clock
from tuneful.core.errors import RecipeError
from tuneful.core.study import Study
from tuneful.pipeline.codec import from_mapping
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.limits import Halt
from tuneful.pipeline.tune import Search
from tuneful.techniques.search import PBT, Random

SETTINGS = {
    "lr": "1e-3..1", "regularizers.dropout.rate": "0..0.4", "width": 8, "depth": 1, "model": "mlp", "optimizer": "momentum", "epochs": 8, "batch_size": 50,
    "validate_every": 1, "threads": 1, "averaging": "off", "early_stopping": "off", "plan": "off",
}  # fmt: skip


def searched(task, folder, scheduler, budget="11 trials", at_once=0, halt=None, **settings):
    recipe, space = from_mapping({**SETTINGS, **settings}, task)
    study = Study.create(folder, "s", task, space)
    return Search(study, task, resolve(recipe, task), space, Clock(Budget.parse(budget)), device="cpu", proposer=Random(), scheduler=scheduler,
                  at_once=at_once, halt=halt, stacked=False)  # fmt: skip


def course(trial):
    return [(p.step, p.value.value, p.train_loss, p.valid_loss) for p in trial.curve]


def told(search):
    return [(t.number, t.dials, t.because, t.state, t.tags.get("parent"), course(t)) for t in search.study.trials()]


def test_a_copy_with_the_same_rates_goes_the_way_of_its_model_bit_by_bit(flowers, tmp_path):
    search = searched(flowers, tmp_path, PBT(population=5, every=0.25, share=0.2, stir=1e-18))
    list(search)
    trials = search.study.trials()
    copies = [trial for trial in trials if "parent" in trial.tags]
    assert copies
    compared = 0
    for copy in copies:
        model, born = trials[copy.tags["parent"]["number"]], copy.tags["parent"]["epoch"]
        assert copy.dials == model.dials
        assert course(copy)[: int(born)] == course(model)[: int(born)]
        both = min(len(copy.curve), len(model.curve))
        assert course(copy)[:both] == course(model)[:both]
        compared += both - int(born)
    assert compared > 0
    best, candidate = search.candidate()
    assert best.state == "done"
    assert candidate.value == best.last.value


@pytest.mark.parametrize("at_once", [0, 8])
def test_an_interrupted_search_comes_to_the_same_as_an_undisturbed_one(flowers, tmp_path, at_once):
    words = {"scheduler": PBT(population=4, every=0.25), "at_once": at_once, "budget": "8 trials"}
    whole = searched(flowers, tmp_path / "whole", **words)
    list(whole)
    assert sum("parent" in trial.tags for trial in whole.study.trials()) >= 3
    for _ in range(40):
        halt = Halt()
        part = searched(flowers, tmp_path / "parts", halt=halt, **words)
        points = 0
        for beat in part:
            points += beat.point is not None
            halt.requested = halt.requested or points >= 5
        if not halt.requested:
            break
    assert told(part) == told(whole)


def test_a_space_in_which_nothing_can_change_is_refused(flowers, tmp_path):
    with pytest.raises(
        RecipeError, match=r"changes numbers in mid-training, and of model.width none can be\n  hint: give a range to one"
    ):
        searched(flowers, tmp_path, PBT(), lr=0.1, width="4..16", **{"regularizers.dropout.rate": 0.1})


def test_a_copy_whose_model_is_lost_fails_in_words(flowers, tmp_path):
    search = searched(flowers, tmp_path, PBT(population=4, every=0.25), "6 trials")
    for _ in search:
        for trial in search.study.trials():
            if trial.state == "paused" and trial.last.epoch == 2:
                (search.study.trial_folder(trial.number) / "state.safetensors").unlink(missing_ok=True)
    failed = [trial.ended_because for trial in search.study.trials() if trial.state == "failed"]
    assert failed
    assert all("whose state is lost" in reason for reason in failed)
