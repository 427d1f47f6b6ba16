"""The memory of trials: on the disk after every call, checked when opened, and seen by samplers as it is."""

from __future__ import annotations

import subprocess
import sys
from typing import Literal

import numpy as np
import optuna
import pytest

from tuneful.core import storage
from tuneful.core.config import Fraction, Positive, Settings
from tuneful.core.errors import StudyError
from tuneful.core.measure import Measure
from tuneful.core.recipe import Recipe
from tuneful.core.space import Choice, Dial, Range, Space
from tuneful.core.study import Study
from tuneful.core.task import Objective, Sealed, Split, Task
from tuneful.core.trial import Point


class A(Settings):
    kind: Literal["a"] = "a"
    lr: Positive = 1e-3


class B(Settings):
    kind: Literal["b"] = "b"
    lr: Positive = 1e-3
    beta: Fraction = 0.9


SPACE = Space(
    (
        Dial("optimizer", Choice(("a", "b"))),
        Dial("optimizer.lr", Range(1e-4, 1e-1, log=True)),
        Dial("optimizer.beta", Range(0.8, 0.99), ("optimizer", ("b",))),
    ),
    {"optimizer": {"a": A(), "b": B()}},
)
RECIPE = Recipe(optimizer=A())


def task(fingerprint="f" * 32, metric="auroc"):
    split = Split(np.zeros((4, 2), "f4"), np.zeros(4, "i8"))
    return Task("t", "binary", (2,), ("x", "y"), split, split, Sealed(split), Objective(metric, "max"), fingerprint, {})


def point(step, value):
    return Point(step, float(step), Measure(value, value - 0.1, value + 0.1, 4), 1.0, 1.0, 0.1, float(step))


def ask(study, number=0, given=None):
    return study.ask(SPACE, optuna.samplers.RandomSampler(seed=number), RECIPE, "at random", 9.0, given)


def test_a_trial_is_on_the_disk_after_every_call(tmp_path):
    study = Study.create(tmp_path, "s", task(), SPACE)
    first = ask(study, given={"optimizer": "b", "optimizer.lr": 0.01, "optimizer.beta": 0.9})
    assert first.dials == {"optimizer": "b", "optimizer.lr": 0.01, "optimizer.beta": 0.9}
    assert first.recipe["optimizer"] == {"kind": "b", "lr": 0.01, "beta": 0.9}
    study.report(0, point(1, 0.5))
    study.report(0, point(2, 0.75))
    study.report(0, point(2, 0.75))  # the same point again, as after a crash
    study.pause(0, 3.5)

    again = Study.open(tmp_path).trial(0)
    assert (again.state, again.cost, [p.value.value for p in again.curve]) == ("paused", 3.5, [0.5, 0.75])
    study = Study.open(tmp_path)
    claimed = study.claim(0, "it is good", 12.0)
    told = {"id": first.tags["id"], "resumed": "it is good", "until": 12.0, "by": study.meeting.name}
    assert claimed.tags == {**told, "legs": [[1, 9.0], [2, 12.0]]}
    study.tell(0, "done", "all epochs are done", 5.0)
    ended = Study.open(tmp_path).trial(0)
    assert (ended.state, ended.ended_because, ended.cost) == ("done", "all epochs are done", 5.0)


def test_best_is_by_the_last_value_of_trials_that_have_not_failed(tmp_path):
    study = Study.create(tmp_path, "s", task(), SPACE)
    for number, values in enumerate([(0.9, 0.6), (0.5, 0.7), (0.95,), (float("nan"),)]):
        ask(study, number)
        for step, value in enumerate(values):
            study.report(number, point(step, value))
    study.tell(2, "failed", "it broke", 1.0)
    assert study.best().number == 1
    study.tell(3, "done", "ended", 1.0)
    assert study.trial(3).state == "failed"
    assert study.trial(3).ended_because == "ended; its last value is not a finite number"


def test_a_recipe_is_never_tried_twice(tmp_path):
    space = Space((Dial("batch_size", Choice((16, 32))),))
    study = Study.create(tmp_path, "s", task(), space)
    asked = [study.ask(space, optuna.samplers.RandomSampler(seed=n), RECIPE, "", 1.0) for n in range(3)]
    assert {trial.dials["batch_size"] for trial in asked[:2]} == {16, 32}
    assert asked[2] is None
    assert len(study.trials()) == 2


def test_samplers_see_paused_trials_with_their_values(tmp_path):
    study = Study.create(tmp_path, "s", task(), SPACE)
    seen = []

    class Looking(optuna.samplers.RandomSampler):
        def sample_independent(self, optuna_study, trial, name, distribution):
            seen.append([(t.state.name, t.value) for t in optuna_study.get_trials(deepcopy=False)])
            return super().sample_independent(optuna_study, trial, name, distribution)

    ask(study)
    study.report(0, point(1, 0.5))
    study.pause(0, 1.0)
    study.ask(SPACE, Looking(seed=5), RECIPE, "", 1.0)
    assert seen[0] == [("PRUNED", 0.5), ("RUNNING", None)] or seen[0][0][0] == "PRUNED"


@pytest.mark.parametrize(
    ("other", "space", "sentence"),
    [
        (task(fingerprint="e" * 32), SPACE, r"was made for other data: t \(ffffffffffff\), now t \(eeeeeeeeeeee\)"),
        (task(metric="accuracy"), SPACE, "optimizes auroc, now accuracy is asked"),
        (task(), Space((Dial("optimizer.lr", Range(1e-4, 1e-2, log=True)),)), r"optimizer.lr: 0.0001..0.1 -> 0.0001..0.01"),
    ],
)
def test_a_study_made_for_something_else_is_refused_with_the_difference(tmp_path, other, space, sentence):
    Study.create(tmp_path, "s", task(), SPACE)
    with pytest.raises(StudyError, match=sentence):
        Study.create(tmp_path, "s", other, space)


@pytest.mark.parametrize(
    "damage", [lambda b: b"no database at all", lambda b: b[: len(b) // 2], lambda b: b[:5000] + b"\xff" * 9000 + b[14000:]]
)
def test_a_damaged_study_file_is_told(tmp_path, damage):
    study = Study.create(tmp_path, "s", task(), SPACE)
    for number in range(3):
        ask(study, number)
    study._storage._backend.engine.dispose()
    path = tmp_path / storage.FILE
    path.write_bytes(damage(path.read_bytes()))
    for name in ("study.db-wal", "study.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    with pytest.raises(StudyError, match=r"study.db is damaged"):
        Study.open(tmp_path)


def test_one_process_at_a_time(tmp_path):
    code = f"""
from pathlib import Path
from tuneful.core import storage
with storage.held(Path({str(tmp_path)!r})):
    print("held", flush=True)
    input()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "held\n"
        with pytest.raises(StudyError, match=f"is in use by process {child.pid}"), storage.held(tmp_path):
            pass
        child.kill()
    with storage.held(tmp_path):  # the lock ended with the process
        assert (tmp_path / "lock").read_text().startswith("process")


def test_a_trial_whose_process_died_while_ending_it_is_ended_when_the_study_is_opened(tmp_path):
    study = Study.create(tmp_path, "s", task(), SPACE)
    ask(study, 0)
    study.report(0, point(1, 0.5))
    study.flush()
    study._put(0, {"state": "done", "cost": 1.0, "ended_because": "all epochs are done"})
    Study.open(tmp_path)
    plain = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path / 'study.db'}")
    assert [(trial.state.name, trial.value) for trial in plain.trials] == [("COMPLETE", 0.5)]


def test_whoever_only_looks_does_not_end_a_trial_that_another_process_is_ending(tmp_path):
    study = Study.create(tmp_path, "s", task(), SPACE)
    study.report(ask(study).number, point(1, 0.5))
    study._put(0, {"state": "done", "cost": 1.0, "ended_because": "all epochs are done"})
    assert Study.open(tmp_path, looking=True).trial(0).ended_because == "all epochs are done"
    plain = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path / 'study.db'}")
    assert [trial.state.name for trial in plain.trials] == ["RUNNING"]


@pytest.mark.parametrize("slowly", [False, True])
def test_optuna_reads_what_is_written_and_it_is_the_same_without_our_statements(tmp_path, slowly):
    study = Study.create(tmp_path, "s", task(), SPACE)
    if slowly:
        study._writer._engine = None
    for number, values in enumerate([(0.5, float("nan")), (0.75, float("-inf")), (0.25, 1.0)]):
        ask(study, number)
        for step, value in enumerate(values, 1):
            study.report(number, point(step, value))
            study.flush()
    study.tell(0, "failed", "it broke", 1.0)
    study.pause(1, 2.0)
    study.tell(2, "done", "ended", 3.0)
    study.report(2, point(3, 9.0))  # too late: it has ended
    study.flush()
    plain = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path / 'study.db'}").trials
    assert [trial.state.name for trial in plain] == ["FAIL", "RUNNING", "COMPLETE"]
    assert str([trial.intermediate_values for trial in plain]) == "[{1: 0.5, 2: nan}, {1: 0.75, 2: -inf}, {1: 0.25, 2: 1.0}]"
    assert [trial.value for trial in plain] == [None, None, 1.0]
    assert all(trial.params == study.trial(trial.number).dials for trial in plain)
    assert all((trial.datetime_complete is None) == (trial.state.name == "RUNNING") for trial in plain)
    again = Study.open(tmp_path)
    assert [t.curve[-1].step for t in again.trials()] == [2, 2, 2]
    assert str(again.trial(0)) == str(study.trial(0))  # as text, since NaN is not equal to NaN
    assert again.trial(2).curve == study.trial(2).curve[:2]


def test_lies_at_any_address_that_sqlalchemy_knows(tmp_path):
    url = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    study = Study.create(tmp_path / "run", "s", task(), SPACE, url)
    ask(study)
    study.pause(0, 2.0)
    assert not (tmp_path / "run" / storage.FILE).exists()
    assert Study.open(tmp_path / "run", url=url).trial(0).cost == 2.0
    assert Study.begun(tmp_path / "run")
    assert Study.open(tmp_path / "run").trial(0).cost == 2.0  # the folder knows where
    with pytest.raises(StudyError, match="there is no study at"):
        Study.open(tmp_path)
    (tmp_path / "run" / storage.PLACE).write_text("{")
    with pytest.raises(StudyError, match=r"study.json is damaged"):
        Study.open(tmp_path / "run")


def test_opens_as_an_ordinary_optuna_study(tmp_path):
    study = Study.create(tmp_path, "s", task(), SPACE)
    ask(study)
    study.report(0, point(4, 0.5))
    study.tell(0, "done", "", 1.0)
    plain = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path / 'study.db'}")
    assert plain.best_trial.intermediate_values == {4: 0.5}
    assert set(plain.best_params) >= {"optimizer", "optimizer.lr"}
