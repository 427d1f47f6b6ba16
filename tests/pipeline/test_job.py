"""One command as a value: from words, from Python, into the run's folder and back."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tuneful.core.budget import Budget
from tuneful.core.errors import RecipeError, StudyError
from tuneful.core.space import Space
from tuneful.core.study import Study
from tuneful.pipeline.codec import decode
from tuneful.pipeline.job import Job
from tuneful.pipeline.optimize import Work
from tuneful.pipeline.prepare import prepare
from tuneful.pipeline.words import from_settings, from_words

WORDS = ["lr=1e-4..1e-1", "target=price", "missing=n/a,-", "budget=2h, 100 trials", "optimizer=sgd,adam", "eta=4", "size=32"]


def test_words_find_their_places_whatever_their_order():
    job = from_words("tune", "houses.csv", WORDS)
    assert (job.data.target, job.data.missing, job.data.size) == ("price", ("n/a", "-"), 32)
    assert job.budget == Budget(7200.0, 100)
    assert job.scheduler.eta == 4
    assert [entry.key for entry in job.entries] == ["lr", "optimizer"]
    _, space = decode(job.entries)
    assert space.as_data() == {"optimizer": "sgd,adam", "optimizer.lr": "0.0001..0.1"}
    assert from_words("tune", "houses.csv", WORDS[::-1]).data == job.data


def test_a_job_read_from_its_folder_is_the_job_that_was_written(tmp_path):
    job = from_words("tune", "digits", WORDS, name="first", command="tuneful tune digits")
    job.write(tmp_path)
    assert Job.read(tmp_path) == job
    assert [path.name for path in tmp_path.iterdir()] == ["job.json"]


def test_data_named_by_a_relative_path_is_found_again_from_elsewhere(tmp_path, monkeypatch):
    (tmp_path / "houses.csv").write_text("a,b\n1,2\n")
    monkeypatch.chdir(tmp_path)
    from_words("train", "houses.csv", []).write(tmp_path)
    assert Job.read(tmp_path).source == str(tmp_path / "houses.csv")


def test_data_from_python_has_to_be_given_again(tmp_path):
    data = (np.zeros((4, 2)), np.zeros(4))
    from_settings("train", data, {"model": {"kind": "mlp", "width": 8}}, name="mine").write(tmp_path)
    with pytest.raises(StudyError, match=r"was begun from Python objects\n  hint: give the data again"):
        Job.read(tmp_path)
    again = Job.read(tmp_path, source=data)
    assert again.source is data
    assert [(entry.key, entry.value) for entry in again.entries] == [("model.kind", "mlp"), ("model.width", 8)]


@pytest.mark.parametrize("damage", ["", "{", "[]", '"text"', '{"format": 1}', "null"])
def test_a_damaged_job_is_told_with_the_way_out(tmp_path, damage):
    (tmp_path / "job.json").write_text(damage)
    with pytest.raises(
        StudyError, match=r"job.json is damaged \(.*\)\n  hint: run the first command again; it goes on from"
    ):
        Job.read(tmp_path)


def test_a_job_with_settings_that_cannot_be_is_told(tmp_path):
    from_words("train", "digits", []).write(tmp_path)
    told = json.loads((tmp_path / "job.json").read_text())
    told["search"]["eta"] = "many"
    (tmp_path / "job.json").write_text(json.dumps(told))
    with pytest.raises(RecipeError, match=r"search\.eta is 'many'; it must be a whole number"):
        Job.read(tmp_path)


def test_a_folder_without_a_job_is_no_run(tmp_path):
    with pytest.raises(StudyError, match=r"is not the folder of a run: it holds no job\.json"):
        Job.read(tmp_path)


def test_the_same_command_has_the_same_name_and_another_one_another():
    def name(*words, mode="train", **known):
        return from_words(mode, "digits", words, **known).name_for("digits")

    assert name(mode="optimize") == "digits"
    assert name() == "digits-train"
    assert name("lr=0.1") == name("lr=0.1")
    assert name("lr=0.1", "budget=1h") == name("lr=0.1")  # a larger budget goes on
    different = {name("lr=0.1"), name("lr=0.2"), name("limit=100"), name("lr=0.1", mode="tune"), name()}
    assert len(different) == 5
    assert name("lr=0.1", name="mine") == "mine"


def test_what_may_be_spent_when_nothing_is_said():
    assert from_words("train", "digits", []).budget == Budget(trials=1)
    assert from_words("train", "digits", [], budget="90s").budget == Budget(90.0, 1)
    assert from_words("optimize", "digits", []).budget == Budget(600.0)
    assert from_words("optimize", "digits", ["budget=40 trials"]).budget == Budget(trials=40)


def test_every_wrong_word_is_told_at_once():
    with pytest.raises(RecipeError) as caught:
        from_words("train", "digits", ["fast", "lr="])
    assert [problem.key for problem in caught.value.problems] == ["fast", "lr"]
    with pytest.raises(RecipeError) as caught:
        from_words("train", "digits", ["kind=ternary", "limit=-1", "eta=x"])
    assert [problem.key for problem in caught.value.problems] == ["data.kind", "data.limit", "search.eta"]
    with pytest.raises(RecipeError, match='the budget is "soon"; it must be a time'):
        from_words("train", "digits", ["budget=soon"])
    with pytest.raises(RecipeError, match="no data is named"):
        from_words("train", "", ["lr=1"])


def test_other_data_in_memory_gets_a_folder_of_its_own(tmp_path):
    """Arrays have no name: a second lot of them must not be told that the first one's run is not theirs."""

    def placed(seed, **told):
        x = np.random.default_rng(seed).normal(size=(60, 3))
        work = Work(from_settings("train", (x, np.arange(60) % 2), {}, **told), root=tmp_path)
        task = prepare(work.job.source)
        folder = work._place(task)
        if not Study.begun(folder):
            Study.create(folder, folder.name, task, Space())
        return folder.name

    first, second = placed(0), placed(1)
    assert first == "arrays-train"
    assert second.startswith("arrays-train-")
    assert (placed(0), placed(1)) == (first, second)
    assert placed(0, name="mine") == placed(1, name="mine") == "mine"
