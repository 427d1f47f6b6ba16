"""Recipes by name: those that come along are whole and say what they rest on; a user's own is refused in words where it is wrong."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path

import pytest

from tuneful.core.errors import RecipeError
from tuneful.core.recipe import SECTIONS, SIDES, Recipe
from tuneful.pipeline import shelf
from tuneful.pipeline.asked import asked, checked
from tuneful.pipeline.codec import decode
from tuneful.pipeline.job import Job
from tuneful.pipeline.words import from_settings, from_words
from tuneful.techniques.augments import Noise
from tuneful.techniques.models import MLP

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "recipes.jsonl"


@pytest.mark.parametrize("name", shelf.names())
def test_a_recipe_that_comes_along_leaves_no_technique_open_and_says_where_it_comes_from(name):
    found = shelf.opened(name)
    assert all((found.about.what, found.about.data, found.about.source, found.about.measured))
    told = tomllib.loads(found.path.read_text("utf-8"))
    for head in (*(one for one in SECTIONS if one not in SIDES), "augments", "regularizers"):
        assert told.get(head, "auto") != "auto", f"{name} leaves {head} to tuneful, so what was measured may change"
    recipe, _ = decode(from_settings("train", "x", {"recipe": name}).entries)
    assert all(getattr(recipe, one) != "auto" for one in ("epochs", "batch_size"))


@pytest.mark.parametrize("name", shelf.names())
def test_what_a_recipe_says_it_reached_is_the_last_line_of_its_results(name):
    lines = [json.loads(line) for line in RESULTS.read_text("utf-8").splitlines()]
    told = [one for one in lines if one["claim"] == name]
    said = shelf.opened(name).about.measured
    if not told:
        assert said.startswith("not measured")
        return
    assert f"{told[-1]['metric']} {told[-1]['mean']:.4f}" in said
    assert f"{told[-1]['n']} seed" in said
    settings = [[one.key, one.value] for one in shelf.opened(name).entries]
    digest = hashlib.blake2b(json.dumps(settings, default=str).encode(), digest_size=4).hexdigest()
    assert digest == told[-1]["recipe"], f"{name} was changed since: measure it again, or say not measured"


def test_words_win_over_a_recipe(tmp_path):
    (tmp_path / "my.toml").write_text('epochs = 3\n[model]\nkind = "mlp"\nwidth = 7\n[about]\nwhat = "mine"\n', "utf-8")
    job = from_words("train", "digits", ["width=9", "seed=4"], recipe=str(tmp_path / "my.toml"))
    checked(job)
    recipe, _ = decode(job.entries)
    assert (recipe.get("model.width"), recipe.epochs, recipe.seed) == (9, 3.0, 4)
    again = from_words("train", "digits", ["width=9", "seed=4", f"recipe={tmp_path / 'my.toml'}"])
    assert (again.entries, again.source) == (job.entries, "digits")


def test_a_list_of_a_recipe_can_be_emptied_by_a_word():
    job = from_words("train", "digits", ["views=none"], recipe="mnist-10")
    assert (decode(from_words("train", "digits", [], recipe="mnist-10").entries)[0].views, decode(job.entries)[0].views) == (
        ("shift",),
        (),
    )


def test_a_recipe_in_memory_is_begun_at(flowers):
    recipe = Recipe(model=MLP(width=5), augments=(Noise(),), regularizers=(), epochs=2.0)
    found = asked(from_settings("train", "x", {"recipe": recipe, "epochs": 3.0}), flowers, Recipe()).recipe
    assert (found.model, found.augments, found.regularizers, found.epochs) == (MLP(width=5), (Noise(),), (), 3.0)


def test_a_job_at_a_recipe_is_the_same_job_when_it_is_read_again(tmp_path):
    job = from_words("train", "digits", ["seed=1"], recipe="mnist-textbook")
    job.write(tmp_path)
    again = Job.read(tmp_path)
    assert (again.entries, again.data) == (job.entries, job.data)
    assert job.data.valid == 0.02


def test_what_is_wrong_is_told_with_its_place(tmp_path):
    path = tmp_path / "my.toml"
    path.write_text('epoch = 3\n[model]\nkind = "mlp"\nwidth = "wide"\n', "utf-8")
    with pytest.raises(RecipeError, match=r"my.toml:1: epoch is not a setting; did you mean epochs\?") as error:
        checked(from_words("train", "digits", [], recipe=str(path)))
    assert "my.toml:4: model.width is 'wide'; it must be a whole number >= 1" in str(error.value)
    path.write_text('[about]\nwat = "mine"\n', "utf-8")
    with pytest.raises(RecipeError, match=r"my.toml:2: about.wat is not a setting; did you mean about.what\?"):
        from_words("train", "digits", [], recipe=str(path))
    path.write_text("[about]\nwhat = 3\n", "utf-8")
    with pytest.raises(RecipeError, match=r"my.toml:2: about.what is 3; it must be text"):
        from_words("train", "digits", [], recipe=str(path))


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ("mnist-textbok", r"there is no recipe mnist-textbok; did you mean mnist-textbook\?"),
        ("zebra", r"there is no recipe zebra; known are .*mnist-textbook"),
        ("nowhere/my.toml", "there is no recipe file nowhere/my.toml"),
    ],
)
def test_a_recipe_that_is_not_there_is_told(told, sentence):
    with pytest.raises(RecipeError, match=sentence):
        from_words("train", "digits", [], recipe=told)


def test_one_run_begins_at_one_recipe(tmp_path):
    path = tmp_path / "my.toml"
    path.write_text("epochs = 3\n", "utf-8")
    with pytest.raises(RecipeError, match=r"my.toml and mnist-textbook are 2 recipes; a run begins at one"):
        from_words("train", str(path), [], recipe="mnist-textbook")
