"""A recipe: dotted replace, and a hash that means the same everywhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest

import tuneful
from tuneful.core.config import Fraction, Positive, Settings
from tuneful.core.errors import RecipeError
from tuneful.core.recipe import Recipe


class Adam(Settings):
    family = "optimizer"
    kind: Literal["adam"] = "adam"
    lr: Positive = 1e-3


class Dropout(Settings):
    family = "regularizers"
    kind: Literal["dropout"] = "dropout"
    rate: Fraction = 0.1


RECIPE = Recipe(optimizer=Adam(), regularizers=(Dropout(),), epochs=3, batch_size=32)


def test_replaces_at_a_dotted_path_and_leaves_the_rest():
    changed = RECIPE.replace("optimizer.lr", 0.5)
    assert (changed.get("optimizer.lr"), RECIPE.get("optimizer.lr")) == (0.5, 1e-3)
    assert changed.replace("optimizer.lr", 1e-3) == RECIPE
    assert RECIPE.replace("regularizers.dropout.rate", 0.4).get("regularizers.dropout.rate") == 0.4
    assert RECIPE.replace(epochs=7).epochs == 7
    assert RECIPE.replace({"epochs": 9, "optimizer.lr": 0.1}).get("optimizer.lr") == 0.1


def test_adds_and_takes_out_a_member_of_a_list():
    without = RECIPE.replace("regularizers.dropout", None)
    assert without.regularizers == ()
    assert without.replace("regularizers.dropout", Dropout(rate=0.3)).get("regularizers.dropout.rate") == 0.3
    assert RECIPE.replace("regularizers.dropout", Dropout(rate=0.3)).regularizers == (Dropout(rate=0.3),)


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("optimizer.lr", -1, r"optimizer.lr is -1; it must be > 0"),
        ("optimizer.rl", 1, r"optimizer.rl is not in this recipe; did you mean optimizer.lr\?"),
        ("epoch", 1, r"epoch is not in this recipe; did you mean epochs\?"),
        ("regularizers.dropuot.rate", 0.1, r"did you mean regularizers.dropout"),
        ("batch_size", 0, r"batch_size is 0; it must be a whole number >= 1 or 'auto'"),
    ],
)
def test_a_wrong_path_or_value_is_told(path, value, sentence):
    with pytest.raises(RecipeError, match=sentence):
        RECIPE.replace(path, value)


def test_the_id_is_of_the_choices_alone_and_the_same_in_every_process():
    assert RECIPE.because("epochs", "it is short").id == RECIPE.id
    assert RECIPE.replace(seed=1).id != RECIPE.id
    assert RECIPE.replace("optimizer.lr", 1e-3).id == RECIPE.id
    code = "from tuneful.core.recipe import Recipe; print(Recipe(epochs=3).id)"
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "7", "PYTHONPATH": str(Path(tuneful.__file__).parents[1])},
    )
    assert found.stdout.strip() == Recipe(epochs=3).id == "610cc77bcedd"
