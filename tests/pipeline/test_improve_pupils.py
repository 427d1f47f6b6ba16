"""Who learns from whom: students of other widths and models, and what is said where there is none."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tuneful.core.errors import ModelError, RecipeError
from tuneful.core.recipe import Recipe
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.goals import form
from tuneful.pipeline.improve.learning import Given, bare, lesson
from tuneful.pipeline.improve.pupils import pupil, teachers
from tuneful.pipeline.train import Run
from tuneful.techniques.compressors import Distil
from tuneful.techniques.models import MLP, Linear
from tuneful.techniques.models.check import size


@pytest.fixture
def origin(stripes):
    run = Run(stripes, Recipe(model=MLP(width=64), epochs=1.0, threads=1), device="cpu")
    study = SimpleNamespace(trials=tuple)
    return SimpleNamespace(task=stripes, candidate=run.candidate(), study=study, trial=SimpleNamespace(number=0))


def made(origin, step):
    found = pupil(origin, step, origin.candidate)
    return found, size(found.network.body, form(origin.task)).parameters


def test_a_student_has_a_part_of_the_width_another_model_or_is_the_network_itself(origin):
    same, _ = made(origin, Distil(width=1.0))
    assert same is origin.candidate
    narrow, count = made(origin, Distil(width=0.25))
    assert narrow.recipe.get("model.width") == 16
    assert count == 144 * 16 + 16 + 16 * 16 + 16 + 16 * 2 + 2
    other, _ = made(origin, Distil(model="convnet", units=4))
    assert other.recipe.get("model.kind") == "convnet"
    assert other.recipe.get("model.width") == 4
    assert other.recipe.get("init.kind") == resolve(Recipe(model=other.recipe.model), origin.task).get("init.kind")


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (Distil(model="convnt"), "distil.model is convnt, which is no model; did you mean convnet?"),
        (Distil(model="linear", units=3), "distil.units is 3, and model.linear has no width"),
        (Distil(trial=7), "distil.trial is 7; the run has 0 trials"),
    ],
)
def test_says_which_student_there_is_not(origin, step, said):
    with pytest.raises(RecipeError, match=said.replace("?", "[?]")):
        pupil(origin, step, origin.candidate)


def test_a_model_without_a_width_has_no_narrower_student(stripes):
    run = Run(stripes, Recipe(model=Linear(), epochs=1.0, threads=1), device="cpu")
    origin = SimpleNamespace(task=stripes, candidate=run.candidate(), study=SimpleNamespace(trials=tuple))
    with pytest.raises(ModelError, match=r"model.linear has no width to make smaller"):
        pupil(origin, Distil(), origin.candidate)


def test_the_original_teaches_and_more_teachers_must_be_there(origin):
    (first,) = teachers(origin, Distil())
    assert first is bare(origin.task, origin.candidate.network.body)
    with pytest.raises(ModelError, match=r"distil.teachers is 3; the run has 1 networks that are kept"):
        teachers(origin, Distil(teachers=3))


def test_a_lesson_takes_the_weights_as_they_are_and_ends_at_no_rate(origin):
    body = bare(origin.task, origin.candidate.network.body)
    told = lesson(origin.candidate.recipe, body, 2.0)
    assert isinstance(told.model, Given)
    assert told.get("init.kind") == "as_built"
    assert told.get("schedule.kind") == "cosine"
    run = Run(origin.task, told, device="cpu")
    assert all((a == b).all() for a, b in zip(run.body.parameters(), body.parameters(), strict=True))
