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
from tuneful.pipeline.goals import form
from tuneful.techniques.models import MLP, Own, check, make, with_callable

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


TYPED = """
from __future__ import annotations
from typing import Annotated, Literal
from pydantic import Field
from torch import nn

def net(inputs, outputs, width: int, rate: float = 0.1, deep: Annotated[int, Field(ge=1)] = 2, act: Literal["relu", "tanh"] = "relu",
        bias: bool = True, lr: float = 1.0, scale=0.5, plain=3):
    assert isinstance(width, int) and isinstance(rate, float)
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs[0], width), nn.Tanh(), nn.Linear(width, outputs, bias))
"""


@pytest.fixture
def net_py(tmp_path):
    (tmp_path / "net.py").write_text(TYPED, encoding="utf-8")
    return f"{tmp_path / 'net.py'}:net"


def test_a_file_and_a_name_are_short_for_the_own_network(net_py, flowers):
    recipe, _ = decode(words(f"model={net_py}", "width=7", "model.rate=0.2", "model.arguments.bias=false"))
    assert recipe.model == Own(factory=net_py, arguments={"width": 7, "rate": 0.2, "bias": False})
    check(make(recipe.model, form(flowers)), form(flowers))
    assert from_mapping({"model": net_py, "width": 7})[0].model == Own(factory=net_py, arguments={"width": 7})


def test_annotations_say_what_a_range_holds(net_py):
    _, space = decode(
        words(f"model={net_py}", "width=16..64", "model.rate=0..1", "scale=1..4", "plain=1..4", "act=relu,tanh")
    )
    assert {dial.path.rpartition(".")[2]: dial.range for dial in space} == {
        "width": Range(16, 64, integer=True),
        "rate": Range(0, 1),  # a number, although its ends are written whole
        "scale": Range(1, 4),  # its default is a number
        "plain": Range(1, 4, integer=True),  # nothing says: as it is written
        "act": Choice(("relu", "tanh")),
    }


def test_a_setting_of_ours_keeps_its_short_name(net_py):
    recipe, _ = decode(words(f"model={net_py}", "width=3", "optimizer=sgd", "lr=0.5", "arguments.lr=2.5"))
    assert recipe.optimizer.lr == 0.5
    assert recipe.model.arguments == {"width": 3, "lr": 2.5}


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("width=abc", "model.arguments.width is 'abc'; it must be a whole number, as its annotation says"),
        ("width=2.5", "model.arguments.width is 2.5; it must be a whole number"),
        ("width=1.5..3", "the range 1.5..3 has an end that is not a whole number"),
        ("deep=0..4", "model.arguments.deep is 0; it must be a whole number >= 1"),
        ("act=relu,silu", "model.arguments.act is 'silu'; it must be 'relu' or 'tanh'"),
        ("bias=3", "model.arguments.bias is 3; it must be true or false"),
        ("widht=3", "widht is not a setting"),
    ],
)
def test_a_value_against_its_annotation_is_told(net_py, word, sentence):
    with pytest.raises(RecipeError) as caught:
        decode(words(f"model={net_py}", word))
    assert sentence in str(caught.value)


def test_without_a_factory_that_can_be_found_the_long_form_still_serves():
    recipe, _ = decode(words("model=nowhere.py:Net", "arguments.width=3"))
    assert recipe.model == Own(factory="nowhere.py:Net", arguments={"width": 3})
