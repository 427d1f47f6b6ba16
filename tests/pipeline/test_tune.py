"""A search: what it tries, whom it promotes, what fails, when it stops, what it keeps."""

from __future__ import annotations

import itertools
import math
import random
from typing import Any

import numpy as np
import pytest
from torch import nn

from tuneful.core.budget import Budget, Clock
from tuneful.core.errors import BudgetError, ModelError, TunefulError
from tuneful.core.measure import Measure
from tuneful.core.recipe import Recipe
from tuneful.core.study import Study
from tuneful.core.task import Objective
from tuneful.core.trial import Point, Trial
from tuneful.pipeline.codec import from_data, from_mapping
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.train import Run
from tuneful.pipeline.tune import KEPT, STATE, Search
from tuneful.techniques.models import Own
from tuneful.techniques.search import ASHA, TPE, Full, Random

SPACE = {"lr": "1e-4..1", "width": "4..32", "model": "mlp", "depth": 1, "optimizer": "momentum"}
LENGTH = {"epochs": 9, "batch_size": 50, "validate_every": 1, "threads": 1, "averaging": "off", "early_stopping": "off"}


def searched(task, folder, budget="12 trials", spent=0.0, base=None, **settings: Any) -> Search:
    """A search ready to go, or to go on; words that are not settings go to it."""
    words = {
        k: settings.pop(k) for k in ("proposer", "scheduler", "model") if k in settings and not isinstance(settings[k], str)
    }
    own = words.get("model")
    told = {**LENGTH, **(SPACE if own is None and base is None else {}), **settings}
    recipe, space = from_mapping(told, task, Recipe(model=own) if own is not None else base)
    study = Study.create(folder, "s", task, space)
    clock = Clock(Budget.parse(budget), spent)
    return Search(study, task, resolve(recipe, task), space, clock, device="cpu", **words)


def done(search: Search) -> Search:
    for _ in search:
        pass
    return search


def points(trial: Trial) -> list[tuple]:
    return [(p.step, p.value, p.train_loss, p.valid_loss, p.lr) for p in trial.curve]


def told(search: Search) -> list[tuple]:
    return [(t.number, t.dials, t.because, t.state, t.ended_because, points(t)) for t in search.study.trials()]


# Whom ASHA promotes


def invented(number: int, values: dict[float, float], state: Any = "paused") -> Trial:
    curve = tuple(Point(int(e * 10), e, Measure(v, v, v, 9), 1.0, 1.0, 0.1, e) for e, v in values.items())
    return Trial(number, {}, {}, "", curve, state)


@pytest.mark.parametrize(("eta", "direction"), [(2, "min"), (3, "max"), (4, "min")])
def test_asha_decides_as_algorithm_2_of_its_paper(eta, direction):
    rungs = ASHA(eta=eta, first=0.03).rungs(64.0)
    assert rungs[-1] == 64
    assert all(math.isclose(high / low, eta) for low, high in itertools.pairwise(rungs))
    assert rungs[0] >= 0.03 * 64 > rungs[0] / eta

    dice, sign = random.Random(eta), 1 if direction == "max" else -1
    values: list[dict[float, float]] = []  # what we feed to ours
    reached: list[list[int]] = [[] for _ in rungs]  # the paper's bookkeeping: trials by rung, and who was promoted from it
    promoted: list[set[int]] = [set() for _ in rungs]
    for _ in range(300):
        job = None
        for k in range(len(rungs) - 2, -1, -1):
            best = sorted(reached[k], key=lambda t: -sign * values[t][rungs[k]])[: len(reached[k]) // eta]
            left = [t for t in best if t not in promoted[k]]
            if left:
                job = (left[0], k + 1)
                promoted[k].add(left[0])
                break
        trials = [
            invented(n, old, "done" if rungs[-1] in old else "failed" if any(map(math.isnan, old.values())) else "paused")
            for n, old in enumerate(values)
        ]
        step = ASHA(eta=eta, first=0.03).next(trials, Objective("auroc", direction), 64.0)
        if job is None:
            assert (step.trial, step.epochs) == (None, rungs[0])
            values.append({})
            job = (len(values) - 1, 0)
        assert step.trial in (None, job[0])
        assert step.epochs == rungs[job[1]]
        value = dice.random()
        values[job[0]][rungs[job[1]]] = value
        reached[job[1]].append(job[0])


def test_the_best_third_of_each_rung_goes_on_and_takes_the_course_that_it_takes_alone(flowers, tmp_path):
    search = done(searched(flowers, tmp_path, "12 trials"))
    assert search.ended == "all 12 trials of the budget have begun"
    trials = search.study.trials()
    assert len(trials) == 12
    for rung, after in ((1, 3), (3, 9)):
        there = [t for t in trials if t.last.epoch >= rung]
        assert len(there) >= 3
        there.sort(key=lambda t: -next(p.value.value for p in t.curve if p.epoch >= rung))  # accuracy: ties keep their order
        assert all(t.last.epoch >= after for t in there[: len(there) // 3])
    assert search.study.best().state == "done"
    for trial in trials:
        assert trial.state == ("done" if trial.last.epoch == 9 else "paused")
        assert trial.last.epoch in (1, 3, 9)
    for trial in [t for t in trials if t.last.epoch > 1][:3]:
        alone = Run(flowers, from_data(trial.recipe), device="cpu")
        curve = list(alone)[: len(trial.curve)]
        assert points(trial) == [(p.step, p.value, p.train_loss, p.valid_loss, p.lr) for p in curve]
    assert any("so it goes on to 9" in str(t.tags.get("resumed")) for t in trials)


# What is proposed


@pytest.mark.parametrize("proposer", [Random(), TPE(startup=2)])
def test_the_same_seed_proposes_the_same_and_another_one_something_else(flowers, tmp_path, proposer):
    one, two, other = (
        [
            t.dials
            for t in done(
                searched(flowers, tmp_path / str(n), "5 trials", proposer=proposer, seed=seed, epochs=1)
            ).study.trials()
        ]
        for n, seed in enumerate((4, 4, 5))
    )
    assert one == two
    assert one[0] == other[0]  # the defaults come first
    assert all(a != b for a, b in zip(one[1:], other[1:], strict=True))


def test_a_dial_of_one_technique_exists_only_where_that_technique_is(flowers, tmp_path):
    search = done(
        searched(flowers, tmp_path, "10 trials", optimizer="momentum,adam,adabound", proposer=Random(), epochs=1,
                 **{"optimizer.beta1": "0.5..0.95", "optimizer.final_lr": "0.01..1"})
    )  # fmt: skip
    kinds = set()
    for trial in search.study.trials():
        kind = trial.dials["optimizer"]
        kinds.add(kind)
        assert trial.recipe["optimizer"]["kind"] == kind
        assert ("optimizer.beta1" in trial.dials) == (kind in ("adam", "adabound"))
        assert ("optimizer.final_lr" in trial.dials) == (kind == "adabound")
        for path in set(trial.dials) & {"optimizer.beta1", "optimizer.final_lr", "optimizer.lr"}:
            assert trial.recipe["optimizer"][path.rpartition(".")[2]] == trial.dials[path]
    assert kinds == {"momentum", "adam", "adabound"}


def test_a_space_of_three_recipes_is_searched_with_three_trials(flowers, tmp_path):
    search = done(searched(flowers, tmp_path, "10 trials", width="8,16,24", lr=1e-2, scheduler=Full(), epochs=1))
    assert sorted(t.dials["model.width"] for t in search.study.trials()) == [8, 16, 24]
    assert search.ended == "every recipe of the space has been tried"


# Trials that fail


class Moody(nn.Module):
    """Fails in the way and at the trial that the test asks for."""

    made, fails, how = 0, (), "training"

    def __init__(self, inputs, outputs):
        super().__init__()
        self.layer = nn.Linear(inputs[0], outputs)
        self.number = Moody.made
        Moody.made += 1

    def forward(self, x):
        if self.number in Moody.fails and len(x) > 2:  # two examples go through when it is checked
            if Moody.how == "training" and self.training:
                raise ValueError("a fault of the user's own")
            if Moody.how == "validation" and not self.training:
                raise KeyError
        return self.layer(x)


@pytest.fixture
def moody(monkeypatch):
    monkeypatch.setattr(Moody, "made", 0)
    monkeypatch.setattr(Moody, "fails", ())
    return Own.of(Moody)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("training", "the network failed in step 0: ValueError: a fault of the user's own"),
        ("validation", "the network failed on a batch of shape [120, 5]: KeyError"),
    ],
)
def test_a_network_that_fails_ends_its_trial_and_the_study_goes_on(flowers, tmp_path, moody, monkeypatch, how, reason):
    monkeypatch.setattr(Moody, "fails", (0, 2))
    monkeypatch.setattr(Moody, "how", how)
    search = done(searched(flowers, tmp_path, "5 trials", model=moody, lr="1e-3..1e-1", scheduler=Full(), epochs=1))
    assert [t.state for t in search.study.trials()] == ["failed", "done", "failed", "done", "done"]
    assert {t.ended_because for t in search.study.trials() if t.state == "failed"} == {reason}
    assert search.candidate()[0].state == "done"


def test_a_network_that_always_fails_ends_the_search_and_a_mended_one_goes_on(flowers, tmp_path, moody, monkeypatch):
    monkeypatch.setattr(Moody, "fails", range(100))
    words = {"budget": "6 trials", "model": moody, "lr": "1e-3..1e-1", "scheduler": Full(), "epochs": 1}
    for begun in (3, 3):  # the second time it is clear at once
        with pytest.raises(ModelError, match="the network failed in step 0: ValueError: a fault of the user's own"):
            done(searched(flowers, tmp_path, **words))
        assert len(Study.open(tmp_path).trials()) == begun
    assert Moody.made == 4
    monkeypatch.setattr(Moody, "fails", ())
    search = done(searched(flowers, tmp_path, **words))
    assert [t.state for t in search.study.trials()] == ["failed", "failed", "done", "done", "done", "done"]


def test_a_training_whose_network_fails_is_taken_up_when_it_is_mended(flowers, tmp_path, moody, monkeypatch):
    monkeypatch.setattr(Moody, "fails", (0,))
    words = {"budget": "1 trials", "model": moody, "scheduler": Full(), "epochs": 1}
    with pytest.raises(ModelError, match="a fault of the user's own"):
        done(searched(flowers, tmp_path, **words))
    search = done(searched(flowers, tmp_path, **words))
    assert [t.state for t in search.study.trials()] == ["done"]


def test_trials_that_diverge_are_told_and_never_best(houses, tmp_path):
    search = done(
        searched(
            houses, tmp_path, "8 trials", optimizer="sgd", lr="1e-4..1e4", schedule="constant", proposer=Random(), epochs=25
        )
    )
    failed = [t for t in search.study.trials() if t.state == "failed"]
    assert failed
    assert all(t.ended_because.startswith("diverged: the ") for t in failed)
    assert math.isfinite(search.candidate()[1].value.value)
    assert not [t for t in failed if (search.study.trial_folder(t.number) / STATE).exists()]


def test_a_training_that_diverges_says_so_also_when_it_is_asked_again(houses, tmp_path):
    words = {
        "budget": "1 trials",
        "optimizer": "sgd",
        "lr": 1e8,
        "width": 8,
        "schedule": "constant",
        "scheduler": Full(),
        "epochs": 25,
    }
    for _ in range(2):
        search = done(searched(houses, tmp_path, **words))
        with pytest.raises(TunefulError, match=r"the training diverged: .*\n  hint: try a lower learning rate") as caught:
            search.candidate()
        assert caught.value.exit_code == 2


# Budgets


class Ticks:
    """A clock that goes on by ten milliseconds whenever it is read: what takes time in a search reads it in every step."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        self.now += 0.01
        return self.now


@pytest.fixture
def ticks(monkeypatch):
    clock = Ticks()
    monkeypatch.setattr("time.monotonic", clock)
    return clock


def test_trials_of_the_budget_are_counted_over_all_sessions(flowers, tmp_path):
    assert len(done(searched(flowers, tmp_path, "5 trials")).study.trials()) == 5
    first = told(done(searched(flowers, tmp_path, "5 trials")))
    assert len(first) == 5
    more = done(searched(flowers, tmp_path, "9 trials"))
    assert len(more.study.trials()) == 9
    for old, new in zip(first, told(more), strict=False):
        assert old[:3] == new[:3]
        assert old[5] == new[5][: len(old[5])]  # who had been left may have gone on
    assert more.ended == "all 9 trials of the budget have begun"


@pytest.mark.parametrize("seconds", [3.0, 8.0])
def test_the_search_ends_in_time_with_the_best_trial_at_its_full_length(flowers, tmp_path, ticks, seconds):
    began = ticks.now
    # A trial that becomes the best in its last leg may be cut short; with these draws none does, and only the clock is looked at here.
    search = done(searched(flowers, tmp_path, f"{seconds}s", proposer=TPE()))
    assert search.ended == "the time for searching is over"
    assert 0.9 * seconds < ticks.now - began < 1.02 * seconds + 0.5
    best, candidate = search.candidate()
    assert (best.state, best.last.epoch) == ("done", 9)
    assert candidate.steps == 54
    assert len(search.study.trials()) > 1
    longer = done(searched(flowers, tmp_path, f"{2 * seconds}s", spent=seconds))
    assert len(longer.study.trials()) > len(search.study.trials())


def test_time_spent_before_counts(flowers, tmp_path, ticks):
    began = ticks.now
    search = searched(flowers, tmp_path, "60s", spent=58)
    done(search)
    assert ticks.now - began < 2.5


def test_when_time_ends_before_the_first_point_a_value_is_taken_there(flowers, tmp_path, ticks):
    search = done(searched(flowers, tmp_path, "0.3s", validate_every=9))
    (trial,) = search.study.trials()
    assert (trial.state, len(trial.curve)) == ("paused", 1)
    assert 0 < trial.last.epoch < 9
    best, candidate = search.candidate()
    assert best.number == 0
    assert candidate.steps == trial.last.step
    # With more time it goes on from there to the same end as if it had never been looked at in between.
    longer = done(searched(flowers, tmp_path, "8s", spent=0.3, validate_every=9, scheduler=Full()))
    alone = Run(flowers, from_data(trial.recipe), device="cpu")
    assert list(alone)[-1].value == longer.study.trial(0).last.value


def test_a_budget_that_ends_before_the_first_step_is_told_with_exit_3(flowers, tmp_path, ticks):
    search = done(searched(flowers, tmp_path, "0.01s"))
    with pytest.raises(
        BudgetError, match=r"the budget of 0.01s ended before any trial had a value\n  hint: give a longer"
    ) as caught:
        search.candidate()
    assert caught.value.exit_code == 3
    assert len(done(searched(flowers, tmp_path, "3s")).study.trials()) > 1  # and the study can be used


# What stays on the disk


def test_the_states_of_the_best_ended_trials_and_of_waiting_ones_are_kept(flowers, tmp_path):
    search = done(searched(flowers, tmp_path, "9 trials", scheduler=Full(), epochs=1))
    ended = sorted(search.study.trials(), key=lambda t: (-t.last.value.value, t.number))
    kept = {t.number for t in search.study.trials() if (search.study.trial_folder(t.number) / STATE).exists()}
    assert len(kept) == KEPT
    worst = min(search.study.trial(n).last.value.value for n in kept)
    assert all(t.last.value.value <= worst for t in ended if t.number not in kept)
    for trial in ended:
        folder = search.study.trial_folder(trial.number)
        names = {path.name for path in folder.iterdir()}
        assert names == {"recipe.toml", "curve.jsonl", "plan.json"} | ({STATE} if trial.number in kept else set())
        assert len((folder / "curve.jsonl").read_text().splitlines()) == len(trial.curve)
    values = [t.last.value.value for t in ended]
    assert np.isclose(search.candidate()[1].value.value, max(values))


# The control arm


def test_every_tenth_trial_is_drawn_at_random_whatever_the_others_came_to(flowers, tmp_path):
    from tuneful.pipeline.deciding import CONTROL

    def arm(name, **words):
        search = searched(flowers, tmp_path / name, "21 trials", epochs=1, **words)
        search.deciding.control = 0.1
        return [(t.number, t.dials) for t in done(search).study.trials() if t.because == CONTROL]

    found = arm("one")
    assert [number for number, _ in found] == [9, 19]
    assert found == arm("two", optimizer="momentum", momentum=0.5)  # other values all along, and the same draws


def test_no_further_trial_begins_when_less_is_expected_than_asked_for(flowers, tmp_path):
    from tuneful.core.outlook import Least

    search = searched(flowers, tmp_path, "40 trials", epochs=1)
    search.deciding.least = Least.parse("gain<100000/s")
    trials = done(search).study.trials()
    assert 10 <= len(trials) <= 20  # before that nothing is known of what trials bring; some were under way
    assert "less than the" in search.ended
    assert "accuracy" in search.ended
    assert max(trials, key=lambda t: (t.last.value.value, -t.number)).state == "done"
