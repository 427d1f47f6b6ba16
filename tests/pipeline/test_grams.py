"""Texts as sets of n-grams: who gets them, what is refused, and a whole run whose artifact answers without torch what the network answers."""

from __future__ import annotations

import numpy as np
import pytest

import tuneful
from tuneful.core.errors import ModelError, RecipeError
from tuneful.pipeline.goals import form
from tuneful.pipeline.prepare import prepare
from tuneful.pipeline.tfidf import analyzer, words_of
from tuneful.pipeline.train import Run
from tuneful.pipeline.words import from_settings


def texts(n: int = 240, seed: int = 0) -> tuple[list[str], list[str]]:
    """Whether a text is glad hangs on the beginning of one word, whose end is a different one nearly each time."""
    dice = np.random.default_rng(seed)
    ends, rest = (
        ["ing", "ed", "s", "er", "ness", "ly", "est", "ful", "ish", "less"],
        ["the", "a", "of", "it", "was", "and", "in", "film", "day", "house"],
    )
    found, labels = [], []
    for k in range(n):
        stem = ("glad", "joy")[dice.integers(2)] if k % 2 else ("grim", "dull")[dice.integers(2)]
        said = [*dice.choice(rest, 5), stem + "".join(dice.choice(ends, 2)), *dice.choice(rest, 3)]
        found.append(" ".join(map(str, said)))
        labels.append("pos" if k % 2 else "neg")
    return found, labels


def test_sets_are_for_texts_of_classes_where_no_model_that_reads_the_order_is_named():
    source = texts()
    assert from_settings("train", source, {}).reading["tokens"] == "best"
    assert from_settings("train", source, {"model": "evidence"}).reading["tokens"] == "best"
    assert from_settings("train", source, {"model": "gru"}).reading["tokens"] == "auto"
    assert from_settings("train", source, {"model": {"kind": "gru"}}).reading["tokens"] == "auto"  # as a recipe file says it
    assert from_settings("train", source, {"tokens": "word"}).reading["tokens"] == "word"
    best, plain = prepare(source, tokens="best"), prepare(source)
    assert form(best).kind == "grams"
    assert form(plain).kind == "tokens"
    assert sum(form(best).groups) == form(best).vocabulary - 1
    assert form(prepare((source[0], np.arange(240) % 3), tokens="best", kind="ordinal")).kind == "tokens"


def test_the_order_cannot_be_read_from_a_set_and_levels_are_told_by_tokens():
    with pytest.raises(ModelError, match=r"model\.gru takes"):
        tuneful.train(texts(), model="gru", tokens="grams", name="set", epochs=1)
    with pytest.raises(RecipeError, match="tokens is grams"):
        prepare((texts()[0], np.arange(240) % 3), tokens="grams", kind="ordinal")


def test_simple_models_see_the_words_of_a_set():
    task = prepare(texts(), tokens="best")
    most = words_of(task)
    assert most == task.schema["groups"][0]
    row = task.train.x[0]
    assert analyzer(most)(row) == [n for n in row.tolist() if 0 < n <= most]
    assert words_of(prepare(texts())) == 0


def test_letters_tell_of_words_that_train_never_had():
    task = prepare(texts(400), tokens="best", metric="accuracy")
    points = list(Run(task, from_recipe(epochs=20.0), device="cpu"))
    assert points[-1].value.value > 0.95


def from_recipe(**settings):
    from tuneful.core.recipe import Recipe

    recipe = Recipe()
    for key, value in settings.items():
        recipe = recipe.replace(key, value)
    return recipe


def test_a_run_ships_what_it_learned(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNEFUL_HOME", str(tmp_path))
    result = tuneful.train(texts(400), name="sets", epochs=20)
    assert result.candidate.recipe.model.kind == "evidence"
    assert result.artifact is not None
    model = tuneful.load(result.artifact.folder)
    said, labels = texts(30, 9)
    told = model.predict(said)
    assert np.mean([a == b for a, b in zip(told, labels, strict=True)]) > 0.8
