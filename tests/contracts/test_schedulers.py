"""What every scheduler promises, on searches that hypothesis invents; and that each decides as its paper, or Optuna's twin of it, does."""

import itertools
import math
import random
from dataclasses import replace

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuneful.core.measure import Measure
from tuneful.core.space import Choice, Dial, Range, Space
from tuneful.core.task import Objective
from tuneful.core.trial import Point, Trial
from tuneful.techniques.search import PBT, SCHEDULERS, Hyperband, Median, Percentile, SuccessiveHalving
from tuneful.techniques.search.brackets import filled
from tuneful.techniques.search.pbt import movable, stirred
from tuneful.techniques.search.rungs import ordered, value_at

EPOCHS = 27.0
LOSS = Objective("loss", "min")


def walked(trial, values, epochs):
    """The trial with a point at each epoch up to so many; values[k] is that of epoch k + 1."""
    curve = list(trial.curve)
    for k in range(len(curve), min(len(values), math.ceil(epochs - 1e-6))):
        curve.append(Point(k + 1, float(k + 1), Measure(values[k], values[k], values[k], 1), 1.0, 1.0, 0.1, float(k + 1)))
        if math.isnan(values[k]):
            break
    lost, done = any(math.isnan(p.value.value) for p in curve), len(curve) == EPOCHS
    return replace(trial, curve=tuple(curve), state="failed" if lost else "done" if done else "paused")


def course(number, seed, failing=0.0):
    """What a trial comes to: it falls towards an end of its own, with noise; some fail on the way."""
    dice = random.Random(f"{seed} {number}")
    end, dies = dice.random(), dice.randrange(27) if dice.random() < failing else 99
    return [math.nan if k >= dies else end + 1 / (k + 1) + 0.1 * dice.random() for k in range(int(EPOCHS))]


def search(scheduler, most, seed, workers=1, failing=0.0, objective=LOSS, each=lambda *_: None):
    """A search with so many trials: the workers ask in turn, and come to the end of a leg in any order. each: told of every decision."""
    dice, trials, at_work = random.Random(seed), list[Trial](), dict[int, float]()
    sign = -1 if objective.direction == "max" else 1
    while True:
        closing = len(trials) >= most and not at_work
        ask = scheduler.closing if closing else scheduler.next
        step = ask(trials, objective, EPOCHS) if len(at_work) < workers else None
        if step is not None and not closing:
            each(trials, step)
        if step is None or (step.trial is None and len(trials) >= most):
            if not at_work:
                return trials
            number = dice.choice(sorted(at_work))
            values = [sign * value for value in course(number, seed, failing)]
            trials[number] = walked(trials[number], values, at_work.pop(number))
            continue
        number = len(trials) if step.trial is None else step.trial
        if step.trial is None:
            trials.append(Trial(number, {}, {"x": course(number, seed)[-1]}, step.because))
        if step.parent is not None:
            model = trials[step.parent]
            born = {"number": step.parent, "replaces": step.replaces, "epoch": model.last.epoch}
            trials[number] = replace(trials[number], curve=model.curve, tags={"parent": born})
        trials[number] = replace(trials[number], state="running", tags={**trials[number].tags, "until": step.epochs})
        at_work[number] = step.epochs


@pytest.mark.parametrize("name", SCHEDULERS)
@settings(max_examples=6, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    workers=st.integers(1, 5),
    failing=st.sampled_from([0.0, 0.3]),
    direction=st.sampled_from(["min", "max"]),
)
def test_each_decision_is_one_that_can_be_done_and_says_why(name, seed, workers, failing, direction):
    scheduler, objective = SCHEDULERS[name](), Objective("value", direction)

    def each(trials, step):
        assert step.because
        assert 0 < step.epochs <= EPOCHS
        if step.parent is not None:
            assert trials[step.parent].state == "paused"
            assert trials[step.replaces].state in ("paused", "failed")
        if step.trial is not None:
            assert trials[step.trial].state == "paused"
            assert step.epochs > trials[step.trial].last.epoch
        shuffled = random.Random(seed).sample(trials, len(trials))
        assert scheduler.next(shuffled, objective, EPOCHS) == step  # whatever the order; and made again, the same
        assert SCHEDULERS[name]().next(list(trials), objective, EPOCHS) == step

    trials = search(scheduler, 25, seed, workers, failing, objective, each)
    assert len(trials) == 25
    said = scheduler.waiting(trials, objective, EPOCHS)
    assert {*said} == {trial.number for trial in trials if trial.state == "paused"}
    assert all(said.values())


@pytest.mark.parametrize("name", SCHEDULERS)
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6), workers=st.integers(1, 5))
def test_the_best_of_the_last_rung_is_never_left_waiting(name, seed, workers):
    trials = search(SCHEDULERS[name](), 27, seed, workers)
    if name == "freeze_thaw":  # it has no rungs
        lasts = sorted((trial.last.value.value, trial.number) for trial in trials)
        assert trials[lasts[0][1]].state == "done"
        return
    for rung in sorted({trial.last.epoch for trial in trials}, reverse=True)[1:2]:
        best = ordered(trials, rung, LOSS)
        if len(best) >= 5:  # enough to compare for every rule
            assert best[0][0].state == "done"
    assert any(trial.state == "done" for trial in trials)


@pytest.mark.parametrize("keep", [0.5, 0.25, 0.1])
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), direction=st.sampled_from(["min", "max"]))
def test_the_percentile_rule_is_optunas_where_all_others_have_ended(keep, seed, direction):
    dice, sign = random.Random(seed), 1 if direction == "min" else -1
    count, at = dice.randrange(5, 30), dice.choice([3, 6, 9, 12, 24])
    values = [[sign * v for v in course(k, seed)] for k in range(count + 1)]
    study = optuna.create_study(direction="minimize" if direction == "min" else "maximize",
                                pruner=optuna.pruners.PercentilePruner(100 * keep, n_startup_trials=5, n_warmup_steps=0))  # fmt: skip
    for one in values[:-1]:
        study.add_trial(optuna.trial.create_trial(value=one[-1], intermediate_values=dict(enumerate(one, 1))))
    asked = study.ask()
    for step, value in enumerate(values[-1][:at], 1):
        asked.report(value, step)
    # That the one at stake is among those that it is compared with, as with us it is, tells Optuna as well.
    study.add_trial(optuna.trial.create_trial(value=0.0, intermediate_values=dict(enumerate(values[-1][:at], 1))))
    trials = [walked(Trial(k, {}, {}, ""), one, EPOCHS if k < count else at) for k, one in enumerate(values)]
    scheduler = Percentile(keep=keep, first=1 / 9, every=1 / 9)
    step = scheduler.next(trials, Objective("value", direction), EPOCHS)
    assert (step.trial == count) == (not asked.should_prune())
    if keep == 0.5:
        assert Median(first=1 / 9, every=1 / 9).next(trials, Objective("value", direction), EPOCHS).trial == step.trial


def test_hyperbands_brackets_are_those_of_its_paper():
    made = Hyperband(eta=3, first=1 / 81).brackets(81.0)
    # JMLR 18, algorithm 1 with R = 81 and eta = 3
    expected = [[(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)], [(34, 3), (11, 9), (3, 27), (1, 81)], [(15, 9), (5, 27), (1, 81)],
                [(8, 27), (2, 81)], [(5, 81)]]  # fmt: skip
    found = []
    for bracket in made:
        sizes = itertools.accumulate(bracket.rungs[1:], lambda size, _: size // 3, initial=bracket.size)
        found.append([(size, round(rung, 6)) for size, rung in zip(sizes, bracket.rungs)])
    assert found == expected


@pytest.mark.parametrize(
    "scheduler",
    [SuccessiveHalving(first=1 / 9), SuccessiveHalving(trials=7), Hyperband(first=1 / 27), SuccessiveHalving(eta=2)],
)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), workers=st.integers(1, 4))
def test_brackets_are_halved_as_the_algorithm_says(scheduler, seed, workers):
    brackets = scheduler.brackets(EPOCHS)
    total = sum(bracket.size for bracket in brackets) * (1 if len(brackets) > 1 else 3)
    trials = search(scheduler, total, seed, workers)
    for bracket, held in list(filled(brackets, trials))[:-1]:
        there = [trial.number for trial in held]  # the algorithm itself, with all values known beforehand
        for rung, higher in itertools.pairwise(bracket.rungs):
            values = {
                number: value_at(walked(Trial(number, {}, {}, ""), course(number, seed), EPOCHS), rung) for number in there
            }
            best = sorted(there, key=lambda number: values[number])[: len(there) // scheduler.eta]
            assert all(trials[number].last.epoch < higher for number in {*there} - {*best})
            there = best
        assert all(trials[number].state == "done" for number in there)


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6), workers=st.integers(1, 5), failing=st.sampled_from([0.0, 0.2]))
def test_the_worst_of_a_population_become_copies_of_its_best(seed, workers, failing):
    scheduler = PBT(population=10, every=0.25)
    trials = search(scheduler, 16, seed, workers, failing)
    roots, copies = [t for t in trials if "parent" not in t.tags], [t for t in trials if "parent" in t.tags]
    assert len(roots) == 10 or failing
    assert len(copies) == 6 or failing
    at_first_look = sorted(
        (t.curve[6].value.value, t.number) for t in trials[:10] if len(t.curve) > 6 and t.curve[6].value.value < 9
    )
    lost = {*range(10)} - {number for _, number in at_first_look}
    worst = {*lost, *(number for _, number in at_first_look[len(at_first_look) - max(0, 2 - len(lost)) :])}
    for copy in copies:
        born = copy.tags["parent"]
        if born["epoch"] == 7:
            assert born["replaces"] in worst
            assert born["number"] in [number for _, number in at_first_look[:2]]
        assert trials[born["replaces"]].last.epoch == born["epoch"] or trials[born["replaces"]].state == "failed"
        assert copy.curve[: int(born["epoch"])] == trials[born["number"]].curve[: int(born["epoch"])]
    assert len({copy.tags["parent"]["replaces"] for copy in copies}) == len(copies)


def test_numbers_of_a_copy_are_moved_and_stay_inside():
    space = Space((
        Dial("optimizer", Choice(("sgd", "adam"))), Dial("optimizer.lr", Range(1e-4, 1e-1, log=True)), Dial("model.width", Range(4, 64, integer=True)),
        Dial("regularizers.dropout.rate", Range(0.0, 0.5)),
    ))  # fmt: skip
    was = {"optimizer": "adam", "optimizer.lr": 0.09, "model.width": 32, "regularizers.dropout.rate": 0.0}
    assert movable(space) == ["optimizer.lr", "regularizers.dropout.rate"]
    for seed in range(20):
        now = stirred(was, space, 0.2, seed)
        assert now == stirred(was, space, 0.2, seed)
        assert (now["optimizer"], now["model.width"]) == ("adam", 32)
        assert now["optimizer.lr"] == pytest.approx(0.09 * 0.8)  # up would leave the range
        assert now["regularizers.dropout.rate"] == pytest.approx(0.1)
    assert {round(stirred({"optimizer.lr": 0.01}, space, 0.2, seed)["optimizer.lr"], 6) for seed in range(20)} == {
        0.008,
        0.012,
    }


def test_a_bracket_that_cannot_be_filled_is_halved_as_it_is():
    trials = search(Hyperband(first=1 / 27), 10, 3)
    assert sorted(trial.last.epoch for trial in trials) == [1.0] * 7 + [3.0, 3.0, 9.0]
    said = Hyperband(first=1 / 27).waiting(trials, LOSS, EPOCHS)
    assert sorted(words.partition(" of")[0] for words in said.values()) == [
        "number 1",
        *(f"number {k}" for k in (10, 2, 3, 4, 5, 6, 7, 8, 9)),
    ]


def test_a_search_by_halving_finds_better_trials_than_full_trainings_at_the_same_cost():
    def best(name, seed):
        paid, low = 0, math.inf

        def each(trials, step):
            nonlocal paid
            paid = sum(len(trial.curve) for trial in trials)

        trials = search(SCHEDULERS[name](), 60 if name != "full" else 10, seed, each=each)
        low = min(course(trial.number, seed)[-1] for trial in trials if trial.state == "done")
        return low, paid / EPOCHS

    for name in ("asha", "median", "percentile", "successive_halving", "hyperband"):
        found = [best(name, seed) for seed in range(12)]
        chance = [min(course(k, seed)[-1] for k in range(round(cost))) for seed, (_, cost) in enumerate(found)]
        assert np.mean([low for low, _ in found]) < np.mean(chance), name


@pytest.mark.parametrize("direction", ["min", "max"])
def test_the_order_at_a_rung_is_kept_from_decision_to_decision_and_is_that_of_a_sort(direction):
    objective = Objective("loss", direction)
    sign = -1 if direction == "max" else 1

    def sorted_anew(trials, rung):
        there = [(trial, value) for trial in trials if (value := value_at(trial, rung)) is not None]
        return sorted(there, key=lambda pair: (math.inf if math.isnan(pair[1]) else sign * pair[1], pair[0].number))

    def each(trials, _):
        for rung in (1.0, 3.0, 9.0):
            assert ordered(trials, rung, objective) == sorted_anew(trials, rung)
            assert ordered(trials[: len(trials) // 2], rung, objective) == sorted_anew(trials[: len(trials) // 2], rung)

    search(SCHEDULERS["asha"](), 40, 5, workers=3, failing=0.2, objective=objective, each=each)
