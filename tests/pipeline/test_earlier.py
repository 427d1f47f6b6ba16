"""A search that begins with what an earlier one found, on other data."""

from dataclasses import replace

import pytest

from tuneful.core.budget import Budget, Clock
from tuneful.core.errors import StudyError
from tuneful.core.study import Study
from tuneful.pipeline import earlier
from tuneful.pipeline.codec import from_mapping
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.tune import Search
from tuneful.techniques.search import Full, Random

WORDS = {
    "model": "mlp",
    "depth": 1,
    "optimizer": "adamw",
    "epochs": 1,
    "threads": 1,
    "plan": "off",
    "averaging": "off",
    "early_stopping": "off",
}


def searched(task, home, name, budget, like=None, **ranges):
    recipe, space = from_mapping({**WORDS, **ranges}, task)
    study = Study.create(home / name, name, task, space)
    earlier.remember(study, like, space, home)
    search = Search(
        study,
        task,
        resolve(recipe, task),
        space,
        Clock(Budget.parse(budget)),
        device="cpu",
        proposer=Random(),
        scheduler=Full(),
    )
    list(search)
    return study.trials()


def test_the_best_of_the_earlier_search_come_behind_the_defaults(flowers, tmp_path):
    old = searched(flowers, tmp_path, "old", "6 trials", lr="1e-4..1", width="4..64")
    other = replace(flowers, fingerprint="2" * 32)
    new = searched(other, tmp_path, "new", "6 trials", "old", lr="1e-4..1", **{"regularizers.dropout.rate": "0..0.5"})
    ranked = sorted(old, key=lambda t: (-t.last.value.value, t.number))
    assert new[0].because == "the defaults come first"
    assert [t.because for t in new[1:4]] == [
        f"the {place} of an earlier search, old" for place in ("best", "second best", "third best")
    ]
    assert [t.dials["optimizer.lr"] for t in new[1:4]] == [t.dials["optimizer.lr"] for t in ranked[:3]]
    assert {t.dials["regularizers.dropout.rate"] for t in new[:4]} == {new[0].dials["regularizers.dropout.rate"]}


def test_a_run_that_is_not_there_or_shares_nothing_is_told(flowers, tmp_path):
    with pytest.raises(StudyError, match="like names nothing, where no run lies"):
        searched(flowers, tmp_path, "a", "2 trials", "nothing", lr="1e-4..1")
    searched(flowers, tmp_path, "old", "2 trials", width="4..8")
    with pytest.raises(
        StudyError, match=r"the run old searched model.width, and this one searches optimizer.lr: they share no value"
    ):
        searched(flowers, tmp_path, "b", "2 trials", "old", lr="1e-4..1")
