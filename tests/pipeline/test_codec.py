"""Words, files and mappings become recipes and spaces; every problem is told at once, where it stands."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneful.core.errors import RecipeError
from tuneful.core.recipe import SECTIONS, Recipe
from tuneful.core.space import Choice, Dial, Range
from tuneful.pipeline import defaults, files
from tuneful.pipeline.codec import decode, from_data, from_mapping
from tuneful.pipeline.keys import FAMILIES, Keys
from tuneful.techniques.optimizers import SGD, AdaBound, Adam
from tuneful.techniques.regularizers import Dropout


def test_short_and_full_keys_mean_the_same(stripes):
    short, _ = from_mapping({"lr": 0.5, "dropout": 0.3, "weight_decay": 0.1, "batch": 8, "width": 4}, stripes)
    full, _ = from_mapping(
        {
            "optimizer": {"lr": 0.5, "decay": 0.1},
            "regularizers": {"dropout": {"rate": 0.3}},
            "batch_size": 8,
            "model.width": 4,
        },
        stripes,
    )
    assert short == full
    assert short.get("regularizers.dropout") == Dropout(rate=0.3)


def test_a_range_becomes_a_dial_and_the_recipe_stands_in_its_middle(stripes):
    recipe, space = from_mapping({"lr": "1e-4..1e-2", "width": "16..64", "epochs": "3..9", "smoothing": "0..0.2"}, stripes)
    assert {dial.path: dial.range for dial in space} == {
        "optimizer.lr": Range(1e-4, 1e-2, log=True),
        "model.width": Range(16, 64, integer=True),
        "epochs": Range(3, 9),
        "regularizers.smoothing.amount": Range(0, 0.2),
    }
    assert recipe.get("optimizer.lr") == pytest.approx(1e-3)
    assert recipe.get("model.width") == 40


def test_a_choice_of_techniques_brings_conditional_dials(stripes):
    recipe, space = from_mapping({"optimizer": "sgd,adam,adabound", "lr": "1e-4..1e-1", "beta1": "0.8..0.99"}, stripes)
    assert space.dials == (
        Dial("optimizer", Choice(("sgd", "adam", "adabound"))),
        Dial("optimizer.lr", Range(1e-4, 1e-1, log=True)),
        Dial("optimizer.beta1", Range(0.8, 0.99), ("optimizer", ("adam", "adabound"))),
    )
    applied = space.apply(recipe, {"optimizer": "adabound", "optimizer.lr": 0.01, "optimizer.beta1": 0.85})
    assert applied.optimizer == AdaBound(lr=0.01, beta1=0.85)
    assert isinstance(space.apply(recipe, {"optimizer": "sgd", "optimizer.lr": 0.01}).optimizer, SGD)


def test_settings_objects_are_taken_as_they_are(stripes):
    recipe, _ = from_mapping({"optimizer": Adam(lr=0.7), "regularizers": [Dropout(rate=0.4)]}, stripes)
    assert (recipe.optimizer, recipe.regularizers) == (Adam(lr=0.7), (Dropout(rate=0.4),))


def test_lists_change_what_auto_chose_and_none_empties_them(stripes):
    auto = defaults.resolve(Recipe(), stripes)
    kinds = [one.kind for one in auto.regularizers]
    more, _ = from_mapping({"l2": 0.1}, stripes)
    assert [one.kind for one in more.regularizers] == [*kinds, "l2"]
    fewer, _ = from_mapping({"smoothing": "off"}, stripes)
    assert [one.kind for one in fewer.regularizers] == [kind for kind in kinds if kind != "smoothing"]
    for told in ("none", []):
        assert from_mapping({"regularizers": told}, stripes)[0].regularizers == ()
    assert [one.kind for one in from_mapping({"augments": "flip,noise"}, stripes)[0].augments] == ["flip", "noise"]


@pytest.mark.parametrize(
    ("settings", "sentences"),
    [
        ({"learnin_rate": 1}, ["learnin_rate is not a setting; did you mean learning_rate?"]),
        (
            {"optimizer": "adm"},
            [
                "optimizer is 'adm'; it must be one of sgd, momentum, nesterov, adam, adamw, adabound, lion, muon and 22 others; did you mean adam?"
            ],
        ),
        (
            {"optimizer": "sgd", "beta1": 0.5},
            ["optimizer.beta1 is not a setting of sgd but of adam or adamw or adabound or "],
        ),
        (
            {"lr": -1, "epochs": 0, "dropout": 2},
            ["optimizer.lr is -1; it must be > 0", "epochs is 0", "regularizers.dropout.rate is 2"],
        ),
        ({"lr": "-1..1"}, ["optimizer.lr is -1.0; it must be > 0"]),
        ({"lr": "1..0.1"}, ["the range 1..0.1 is empty; its low end must come first"]),
        ({"width": "1.5..3"}, ["the range 1.5..3 has an end that is not a whole number"]),
        (
            {"regularizers.dropuot.rate": 1},
            ["regularizers.dropuot.rate is not a setting; did you mean regularizers.dropout.rate?"],
        ),
        ({"precision": "fp23"}, ["precision is 'fp23'; it must be 'fp32' or 'bf16' or 'auto'; did you mean fp32?"]),
    ],
)
def test_every_problem_is_told_at_once(stripes, settings, sentences):
    for task in (stripes, None):  # before the data is read already
        with pytest.raises(RecipeError) as caught:
            from_mapping(settings, task)
        assert all(sentence in str(caught.value) for sentence in sentences), str(caught.value)


def test_plain_data_gives_an_equal_recipe_back(stripes, flowers, houses):
    for task in (stripes, flowers, houses):
        recipe = defaults.resolve(Recipe(), task)
        again = from_data(json.loads(json.dumps(recipe.as_data())))
        assert again == recipe
        assert again.id == recipe.id
        assert all(value != "auto" for key, value in recipe.as_data().items() if key != "plan")  # which is measured


def test_every_technique_can_be_named_alone_and_survives_a_file(stripes, flowers, tmp_path):
    for head, table in FAMILIES.items():
        for kind in table:
            if kind in ("own", "pretrained"):  # they need a name
                continue
            word = {head: kind} if head in SECTIONS else {f"{head}.{kind}": True}
            recipe, _ = from_mapping(word, stripes)
            path = tmp_path / "r.toml"
            path.write_text(files.write(recipe))
            again, space = decode(files.read(path), stripes)
            assert again.id == recipe.id, path.read_text()
            assert len(space) == 0


@given(st.text(max_size=12), st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12)))
def test_no_word_makes_it_crash(key, value):
    said = "nothing was wrong"
    try:
        from_mapping({key: value})
    except RecipeError as error:
        said = str(error)
    assert said


def test_no_short_key_is_hidden_behind_another():
    keys = Keys()
    for full in keys.full:
        assert keys.resolve(full) == (full, "")
    assert keys.resolve("lr") == ("optimizer.lr", "")
    assert keys.resolve("dropout") == ("regularizers.dropout", "")
