"""What a job asks for: ranges of a file beside its values, what optimize varies, what each model of a choice brings along."""

from __future__ import annotations

import pytest

from tuneful.core.errors import RecipeError
from tuneful.core.recipe import Recipe
from tuneful.pipeline import defaults
from tuneful.pipeline.asked import asked, beside, checked
from tuneful.pipeline.defaults import resolve
from tuneful.pipeline.options import wrong
from tuneful.pipeline.words import from_words
from tuneful.techniques.optimizers.ranges import RANGES

FILE = """
epochs = 7
[optimizer]
kind = "adamw"
lr = 0.004
[regularizers.dropout]
rate = 0.3
[ranges]
optimizer.lr = "1e-3..1e-1"
regularizers.dropout.rate = "0.1..0.4"
epochs = "auto"
"""


@pytest.fixture
def job(tmp_path):
    def made(mode, *words, text=FILE):
        (tmp_path / "my.toml").write_text(text)
        return (
            from_words(mode, "digits", ())
            if text is None
            else from_words(mode, str(tmp_path / "my.toml"), [*words, "source=digits"])
        )

    return made


def test_a_file_with_ranges_is_trained_at_its_values_and_searched_from_them(job, flowers):
    train = asked(job("train"), flowers, Recipe())
    assert (len(train.space), train.recipe.epochs, train.recipe.optimizer.lr) == (0, 7, 0.004)
    for mode in ("tune", "optimize"):
        found = asked(job(mode), flowers, Recipe())
        assert found.space.as_data() == {"optimizer.lr": "0.001..0.1", "regularizers.dropout.rate": "0.1..0.4"}
        assert found.recipe.get("optimizer.lr") == 0.004
        assert found.recipe.get("regularizers.dropout.rate") == 0.3
        assert found.recipe.epochs == "auto"
        assert asked(job(mode), flowers, Recipe(epochs=3)).recipe.epochs == 3  # it was chosen meanwhile
        assert asked(job(mode, "epochs=4", "dropout=0.2"), flowers, Recipe()).space.as_data() == {
            "optimizer.lr": "0.001..0.1"
        }
    outside = FILE.replace("lr = 0.004", "lr = 0.5")
    assert asked(job("tune", text=outside), flowers, Recipe()).recipe.get("optimizer.lr") == 0.01  # the middle, then


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("optimizer.lrr = '1..2'", r"my.toml:11: optimizer.lrr is not a setting; did you mean"),
        ("batch_size = 32", r"my.toml:11: ranges.batch_size is 32; it must be a range or a choice\n  hint: such as"),
        ("batch_size = '0..32'", r"my.toml:11: batch_size is 0; it must be a whole number >= 1"),
    ],
)
@pytest.mark.parametrize("mode", ["train", "optimize"])
def test_a_mistake_in_ranges_is_told_with_its_line_by_every_command(job, line, sentence, mode):
    with pytest.raises(RecipeError, match=sentence):
        checked(job(mode, text=FILE.replace('epochs = "auto"', line)))


def test_what_optimize_leaves_as_the_user_set_it_is_named(flowers):
    found = asked(from_words("optimize", "digits", ["model=mlp", "lr=0.01", "width=32", "depth=2"]), flowers, Recipe())
    assert found.fixed == ("optimizer.lr", "model.width", "model.depth")
    assert set(found.space.as_data()) == {"optimizer.decay", "regularizers.dropout.rate"}


@pytest.mark.parametrize("kind", [kind for kind in RANGES if kind not in ("gd", "lbfgs", "lowbit_adamw")])
def test_the_rate_is_searched_around_what_each_optimizer_begins_with(kind, flowers):
    found = asked(from_words("optimize", "digits", [f"optimizer={kind}"]), flowers, Recipe())
    dials = {dial.path: dial for dial in found.space}
    assert dials["optimizer.lr"].holds(resolve(found.recipe, flowers).get("optimizer.lr"))
    assert "optimizer.decay" in dials


def test_when_nothing_is_left_to_vary_it_is_told_what_is_fixed_where_and_how_to_free_it(job, flowers):
    text = "[optimizer]\nlr = 0.01\ndecay = 0.1\n[model]\nkind = 'linear'\n"
    with pytest.raises(RecipeError) as told:
        asked(job("optimize", text=text), flowers, Recipe())
    assert told.value.message.startswith("everything that optimize would vary has one value: optimizer.lr (")
    assert "my.toml:2), optimizer.decay (" in told.value.message
    assert "take out what shall be free, or give it a range" in told.value.hint


OWN = """
from torch import nn


class Net(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.layer = nn.Linear(144, outputs)

    def forward(self, x):
        return self.layer(x.flatten(1))
"""


def test_each_model_of_a_choice_brings_along_what_is_chosen_for_it(stripes, tmp_path):
    (tmp_path / "net.py").write_text(OWN)
    factory = f"model.factory={tmp_path / 'net.py'}:Net"
    job = from_words("tune", "digits", ["model=own,convnet,mlp", factory, "threads=1", "noise=0.1"])
    told = asked(job, stripes, Recipe())
    recipe = defaults.resolve(told.recipe, stripes)
    space = beside(job, stripes, recipe, told.space)
    made = {kind: space.apply(recipe, {"model": kind}) for kind in ("own", "convnet", "mlp")}
    assert {kind: one.init.kind for kind, one in made.items()} == {"own": "as_built", "convnet": "he", "mlp": "he"}
    augments = {kind: [augment.kind for augment in one.augments] for kind, one in made.items()}
    assert augments == {"own": ["crop", "noise"], "convnet": ["crop", "noise"], "mlp": ["shift", "noise"]}
    assert made["own"].reasons["init"] == "the network keeps the weights that it comes with"
    assert made["mlp"].reasons["init"] == "the activations are rectified"
    alone = asked(from_words("train", "digits", ["model=mlp", "threads=1", "noise=0.1"]), stripes, Recipe()).recipe
    assert made["mlp"].id == defaults.resolve(alone, stripes).id  # as if that model alone had been named


def test_a_setting_of_the_user_counts_whatever_the_model(stripes, tmp_path):
    (tmp_path / "net.py").write_text(OWN)
    words = ["model=own,mlp", f"model.factory={tmp_path / 'net.py'}:Net", "init=xavier", "augments=none", "threads=1"]
    job = from_words("tune", "digits", words)
    told = asked(job, stripes, Recipe())
    recipe = defaults.resolve(told.recipe, stripes)
    space = beside(job, stripes, recipe, told.space)
    for kind in ("own", "mlp"):
        made = space.apply(recipe, {"model": kind})
        assert (made.init.kind, made.augments) == ("xavier", ())


def test_other_choices_see_the_model_and_the_length_that_the_user_named(flowers):
    def averaging(*words):
        return asked(from_words("train", "digits", [*words, "l2=1e-4"]), flowers, Recipe()).recipe.get(
            "regularizers.averaging"
        )

    assert averaging("epochs=60").decay > averaging("epochs=30").decay  # it remembers a twentieth of the run


@pytest.mark.parametrize(
    ("told", "sentences"),
    [
        ({"metric": "acuracy"}, ["metric is 'acuracy'"]),
        ({"metric": "rmse", "kind": "binary"}, ["metric is 'rmse', which does not serve a binary task; it must be one of accuracy"]),
        ({"metric": "auroc", "kind": "regression"}, ["metric is 'auroc', which does not serve a regression task; it must be one of "]),
        ({"kind": "regresion", "limit": 1}, ["limit is 1; it must be a whole number >= 2", "kind is 'regresion'"]),
        ({"valid": 0.6, "test": 0.4}, ["valid is 0.6 and test is 0.4; together they must be < 1"]),
        ({"valid": 2.0}, ["valid is 2.0; it must be in (0, 1)"]),
        ({"size": 0}, ["size is 0; it must be a whole number >= 1"]),
        ({"keep": ["a", "b"], "leave_out": ["b"]}, ["keep and leave_out both name b"]),
        ({"target": "y", "leave_out": "y"}, ["leave_out names y, which is the target"]),
        ({"metric": "rmse"}, []),
        ({"metric": "auroc", "kind": "binary", "valid": 0.3, "test": "auto", "size": 32}, []),
    ],
)  # fmt: skip
def test_options_of_the_data_are_judged_without_it(told, sentences):
    found = [problem.sentence for problem in wrong(None, told)]
    assert len(found) == len(sentences)
    for one, begins in zip(found, sentences, strict=True):
        assert one.startswith(begins)


def test_options_that_a_source_cannot_follow_are_told_from_its_first_bytes(tmp_path):
    table = tmp_path / "a.csv"
    table.write_text("a,b\n1,2\n")
    assert [p.sentence for p in wrong(str(table), {"size": 32})] == ["size is for images; this data is a table"]
    for told in ({"target": "y"}, {"missing": ["?"]}, {"leave_out": ["a"]}):
        assert "are for tables; this data has no columns" in wrong("digits", told)[0].sentence
    assert wrong(str(table), {"target": "b"}) == []
    assert wrong("digits", {"metric": "f1"})[0].nearest == "f1_macro"
    assert wrong(str(tmp_path / "none"), {"target": "b"}) == []  # reading says that there is nothing


def test_mistakes_in_options_and_settings_are_told_together_with_their_lines(job):
    text = '[data]\nmetric = "acuracy"\n[optimizer]\nlr = -1\n'
    with pytest.raises(RecipeError) as told:
        checked(job("train", text=text))
    assert [str(problem).rpartition("/")[2][:14] for problem in told.value.problems] == ["my.toml:2: met", "my.toml:4: opt"]
