"""Arguments of the user's own factory are settings like all others: on the command line, in files, in Python, as ranges."""

from __future__ import annotations

import pytest
from torch import nn

from tuneful.core.errors import RecipeError
from tuneful.core.form import Form
from tuneful.core.recipe import Recipe
from tuneful.core.space import Choice, Range
from tuneful.pipeline import files
from tuneful.pipeline.codec import Entry, decode, from_data, from_mapping
from tuneful.techniques.models import MLP, Own, with_callable

FACTORY = "torch.nn:Linear"


def words(*given: str) -> list[Entry]:
    return [Entry(*word.split("=", 1)) for word in given]


def test_an_argument_on_the_command_line_keeps_its_type():
    recipe, space = decode(
        words("model=own", f"model.factory={FACTORY}", "model.arguments.in_features=3", "arguments.bias=false")
    )
    assert recipe.model == Own(factory=FACTORY, arguments={"in_features": 3, "bias": False})
    assert len(space) == 0


def test_ranges_are_whole_where_their_ends_are_written_so():
    _, space = decode(
        words(
            "model=own",
            f"factory={FACTORY}",
            "arguments.width=16..256",
            "arguments.rate=0.1..0.5",
            "arguments.act=relu,gelu",
        )
    )
    assert {dial.path: dial.range for dial in space} == {
        "model.arguments.width": Range(16, 256, log=True, integer=True),
        "model.arguments.rate": Range(0.1, 0.5),
        "model.arguments.act": Choice(("relu", "gelu")),
    }


def test_what_a_trial_proposes_reaches_the_factory():
    recipe, space = decode(
        words("model=own", f"factory={FACTORY}", "arguments.in_features=3..9", "arguments.out_features=2")
    )
    made = space.apply(recipe, {"model.arguments.in_features": 7})
    assert made.get("model.arguments.in_features") == 7
    network = from_data(made.as_data()).model.build(Form.of((7,), 2))
    assert isinstance(network, nn.Linear)
    assert (network.in_features, network.out_features) == (7, 2)
    assert made.id != recipe.id


def test_a_range_over_arguments_exists_only_for_the_own_network():
    _, space = decode(words("model=own,linear", f"factory={FACTORY}", "arguments.in_features=3..9"))
    dial = next(dial for dial in space if dial.path == "model.arguments.in_features")
    assert dial.when == ("model", ("own",))


def test_a_recipe_file_keeps_ranges_over_arguments(tmp_path):
    recipe, space = decode(words("model=own", f"factory={FACTORY}", "arguments.width=16..48", "arguments.bias=true"))
    path = tmp_path / "recipe.toml"
    path.write_text(files.write(recipe, space), encoding="utf-8")
    again = decode(files.read(path))
    assert again[1].as_data() == space.as_data()
    assert again[0].model == recipe.model


def test_a_callable_from_python_survives_settings_and_proposals():
    def small(outputs: int, width: int = 4) -> nn.Module:
        return nn.Sequential(nn.Linear(3, width), nn.Linear(width, outputs))

    recipe, space = from_mapping({"arguments": {"width": "5..9"}}, base=Recipe(model=Own.of(small)))
    made = space.apply(recipe, {"model.arguments.width": 6})
    assert made.model.build(Form.of((3,), 2))[0].out_features == 6
    # What lies in a trial's folder has lost the callable; beside the user's object it is whole, with the trial's arguments.
    stored = from_data(made.as_data()).model
    assert with_callable(stored, Own.of(small, width=99)).build(Form.of((3,), 2))[0].out_features == 6


def test_a_model_object_does_not_undo_what_a_trial_proposes():
    assert with_callable(MLP(width=16), MLP(width=128)) == MLP(width=16)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            ["factory=net.py:Net", "model=mlp"],
            r"model.factory is not a setting of mlp but of own; write model=own beside it",
        ),
        (["model=own", f"factory={FACTORY}", "arguments.width=9..3"], r"the range 9..3 is empty"),
        (["model=own", f"factory={FACTORY}", "model.arguments.=3"], r"model.arguments. is not a setting"),
    ],
)
def test_says_what_is_wrong_with_arguments(given, sentence):
    with pytest.raises(RecipeError, match=sentence):
        decode(words(*given))


@pytest.mark.parametrize(
    ("key", "value"), [("regularizers.smoothing.amount", "0.1"), ("smoothing", "0.1"), ("smoothing", "none")]
)
def test_what_the_user_fixes_is_not_searched(key, value):
    # `optimize` puts its own dials before the user's words.
    _, space = decode([Entry("regularizers.smoothing.amount", "0..0.2"), Entry(key, value)])
    assert len(space) == 0
