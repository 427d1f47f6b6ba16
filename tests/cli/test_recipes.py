"""Recipes on the command line: listed with what they reached, shown as files, taken by name or by path."""

from __future__ import annotations

import json
import tomllib

import pytest

from tuneful.pipeline import shelf


def test_recipes_are_listed_with_source_and_result(tuneful):
    said = tuneful("list", "recipes")
    assert said.code == 0
    assert all(shelf.opened(name).about.measured in said.out for name in shelf.names())
    assert said.out in tuneful("list").out
    assert set(json.loads(tuneful("list", "recipes", "--json").out)) == set(shelf.names())


@pytest.mark.parametrize("word", ["mnist-textbook", "recipes/mnist-textbook", "recipes/mnist-textbook.toml"])
def test_one_recipe_is_shown_as_a_file_that_may_be_kept(word, tuneful):
    told = tomllib.loads(tuneful("list", word).out)
    assert told == tomllib.loads((shelf.SHELF / "mnist-textbook.toml").read_text("utf-8"))
    assert json.loads(tuneful("list", word, "--json").out)["settings"]["model.kind"] == "lenet"


def test_a_file_of_ones_own_is_trained_and_words_win(tuneful, home, tmp_path):
    path = tmp_path / "my.toml"
    path.write_text('epochs = 3\n[model]\nkind = "mlp"\nwidth = 8\n[about]\nwhat = "mine"\n[data]\nlimit = 200\n', "utf-8")
    said = tuneful("train", "digits", "epochs=1", "--recipe", path, "--name", "by-recipe", "--json", "--budget", "60s")
    assert said.code == 0, said.err
    told = json.loads(said.out)["recipe"]
    assert (told["model"]["kind"], told["model"]["width"], told["epochs"]) == ("mlp", 8, 1.0)
    assert json.loads((home / "by-recipe" / "job.json").read_text())["data"]["limit"] == 200


@pytest.mark.parametrize("command", ["check", "doctor", "plan", "train", "tune", "optimize"])
def test_a_recipe_that_is_not_there_is_told_by_every_command(command, tuneful):
    said = tuneful(command, "digits", "--recipe", "mnist-textbok")
    assert said.code == 2
    assert "there is no recipe mnist-textbok; did you mean mnist-textbook?" in said.err


def test_a_word_near_a_recipe_is_answered_with_it(tuneful):
    assert "did you mean mnist-textbook?" in tuneful("list", "mnist-textbok").err
