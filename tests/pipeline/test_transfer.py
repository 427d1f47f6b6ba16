"""muP transfer: which networks it is refused for, with which figures; what is tuned where; and what a stop leaves."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from torch import Tensor, nn

import tuneful
from tuneful.core.budget import Clock
from tuneful.core.errors import RecipeError
from tuneful.core.recipe import Recipe
from tuneful.pipeline import judge
from tuneful.pipeline.codec import from_mapping
from tuneful.pipeline.coordinates import LEVEL, between, coordinate_check
from tuneful.pipeline.limits import Halt
from tuneful.pipeline.optimize import Stage, Work
from tuneful.pipeline.planned import planned
from tuneful.pipeline.plans import Plans
from tuneful.pipeline.proxy import Proxy
from tuneful.pipeline.train import Run
from tuneful.pipeline.words import from_settings

WIDTHS = (32, 64, 128, 256, 512)
ASKED: dict[str, Any] = {
    "model": "mlp", "lr": "1e-3..1e-2", "epochs": 2, "threads": 1, "proxy": "width=16", "full": "width=64", "confirm": 0,
    "validate_every": 1, "scheduler": "full", "plan": "off", "limit": 200,
}  # fmt: skip


class Scaled(nn.Module):
    """Divides by the root of its width in the middle, as no parametrization but its own asks for."""

    def __init__(self, inputs: tuple[int, ...], outputs: int, width: int = 32, power: float = 0.5) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(int(np.prod(inputs)), width), nn.Linear(width, outputs)
        self.times = width**power

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x.flatten(1)).relu() * self.times)


@pytest.fixture(scope="module")
def digits():
    return tuneful.prepare("digits")


@pytest.fixture(scope="module")
def waves():
    """Two kinds of series of two channels and twelve places."""
    dice = np.random.default_rng(0)
    x = dice.normal(size=(240, 2, 12)).astype("f4")
    y = dice.integers(0, 2, 240)
    x[:, 0] += np.where(y[:, None] > 0, 1, -1) * np.sin(np.arange(12))
    return tuneful.prepare((x, y), form="series")


def slopes(task, init: str, dial: str = "model.width", **settings: Any) -> tuple[float, float, bool]:
    recipe = from_mapping({"init": init, "threads": 1, **settings}, task)[0]
    recipe = recipe.replace({"init.base": WIDTHS[0], "init.dial": dial}) if init == "mup" else recipe
    found = coordinate_check(task, recipe, dial, WIDTHS[:4] if settings["model"] == "transformer" else WIDTHS)
    assert found.level == (not found.slopes[found.worst] > LEVEL[1] and not found.slopes[found.worst] < LEVEL[0])
    return min(found.slopes.values()), max(found.slopes.values()), found.level


@pytest.mark.parametrize("optimizer", ["adamw", "momentum"])
def test_an_mlp_passes_with_mup_and_does_not_without(digits, optimizer):
    lr = {"adamw": 1e-3, "momentum": 0.05}[optimizer]
    low, high, level = slopes(digits, "mup", model="mlp", depth=3, optimizer=optimizer, lr=lr)
    assert level
    assert -0.4 < low <= high < 0.2
    assert slopes(digits, "he", model="mlp", depth=3, optimizer=optimizer, lr=lr)[1] > 0.5


def test_a_transformer_passes_with_mup_and_does_not_without(waves):
    assert slopes(waves, "mup", model="transformer", heads=2, lr=1e-3)[2]
    assert slopes(waves, "he", model="transformer", heads=2, lr=1e-3)[1] > 0.8


def test_a_network_of_ones_own_passes_unless_it_scales_by_its_width_itself(digits):
    dial = "model.arguments.width"
    model = tuneful.techniques.models.Own.of(Scaled)
    assert slopes(digits, "mup", dial, model=model.replace(arguments={"width": 32, "power": 0.0}))[2]
    assert not slopes(digits, "mup", dial, model=model.replace(arguments={"width": 32, "power": 0.5}))[2]


def test_the_widths_of_the_check_are_multiples_of_the_small_one():
    assert between(64, 1024) == (64, 128, 256, 512, 1024)
    assert between(64, 128) == (64, 128, 256, 512)  # powers show over a range alone
    assert between(256, 512) == (256, 512, 1024)
    assert between(30, 200) == (30, 60, 120, 200, 480)
    for small, full in ((64, 65), (8, 4096), (12, 100), (1, 7), (300, 5000)):
        found = between(small, full)
        assert found[0] == small
        assert full in found
        assert list(found) == sorted(set(found))
        assert 2 <= len(found) <= 5
        assert not any(width % small for width in found if width != full)


def test_the_large_network_says_how_long_a_training_may_be(digits):
    settings = {key: value for key, value in ASKED.items() if key != "epochs"} | {"full": "width=4096"}
    job = from_settings("tune", "digits", settings, budget="20s")
    clock = Clock(job.budget)
    found, _, _ = planned(job, digits, clock, None, Recipe(), 1, "cpu", Plans, False)
    usual, _, _ = planned(from_settings("tune", "digits", {**settings, "proxy": None, "full": None, "width": 16}, budget="20s"),
                          digits, Clock(job.budget), None, Recipe(), 1, "cpu", Plans, False)  # fmt: skip
    assert (found.model.width, found.init.kind, found.init.base) == (16, "mup", 16)
    assert found.epochs < usual.epochs / 4


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A whole run, which was stopped in the middle of the large training, and went on."""
    root = tmp_path_factory.mktemp("runs")
    job = from_settings("tune", "digits", ASKED, budget="3 trials", name="digits")
    halt, growing = Halt(), False
    stopped = Work(job, root=root, halt=halt, device="cpu")
    for beat in stopped:
        growing = growing or (isinstance(beat, Stage) and beat.name == "transfer")
        halt.requested = growing and not isinstance(beat, Stage)
    assert stopped.result is None
    on = Work(job, root=root, device="cpu")
    for _ in on:
        pass
    return on.result


def test_the_small_network_is_tuned_and_the_large_one_proven(told):
    result = told
    evidence = result.evidence
    found = evidence["transfer"]
    assert (found["proxy"], found["target"], found["trials"], found["trial"]) == (16, 64, 3, result.trial.number)
    assert result.trial.recipe["model"]["width"] == 16
    assert evidence["recipe"]["model"]["width"] == result.candidate.recipe.model.width == 64
    assert evidence["recipe"]["optimizer"]["lr"] == result.trial.dials["optimizer.lr"]
    assert "Tuned at width=16: trial" in found["sentence"]
    assert found["check"]["widths"] == [16, 32, 64, 128, 256]
    assert found["check"]["level"]
    p = judge.predict(result.candidate.network, result.task.valid.x)
    assert judge.score("accuracy", p, result.task.valid.y) == found["large"]["value"]


def test_the_artifact_and_the_report_are_of_the_large_one(told):
    result = told
    raw = result.task.valid.x[:9, 0]
    torch_says = judge.predict(result.candidate.network, result.task.valid.x[:9])
    np.testing.assert_allclose(tuneful.load(result.artifact.folder).probabilities(raw), torch_says, atol=2e-5)
    page = result.report.read_text()
    for words in (
        "What was tuned where",
        "Do the widths behave alike?",
        "width 64",
        result.evidence["transfer"]["sentence"],
    ):
        assert words in page
    assert json.loads((result.folder / "evidence.json").read_text())["transfer"]["target"] == 64


def test_a_stop_in_the_large_training_loses_nothing(told):
    alone = Run(told.task, told.candidate.recipe, device="cpu")
    points = list(alone)
    one, other = told.candidate.network.state_dict(), alone.candidate().network.state_dict()
    assert all((one[name] == other[name]).all() for name in one)
    assert [point["value"]["value"] for point in told.evidence["transfer"]["curve"]] == [p.value.value for p in points]


def test_standard_parametrization_is_refused_with_figures_before_anything_is_tuned(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNEFUL_HOME", str(tmp_path))
    with pytest.raises(RecipeError, match=r"over the widths 32, 64, 128, 256, 512 .* as width\^0\.\d\d, where width\^-0.6"):
        tuneful.tune(
            "digits", **{**ASKED, "init": "he", "proxy": "width=32", "full": "width=256"}, budget="3 trials", name="he"
        )
    assert not list((tmp_path / "he").glob("trials/*"))


@pytest.mark.parametrize(
    ("proxy", "full", "said"),
    [
        ("width=64", None, "--proxy is given without --target"),
        (None, "width=64", "--target is given without --proxy"),
        ("width=64", "depth=128", "the proxy is a value of width, and the target one of depth"),
        ("width=64", "width=64", "the target must be the wider one"),
        ("width=1..64", "width=128", "it must be a width of the model with one whole value"),
        ("64", "128", "it must be a width of the model with one whole value"),
    ],
)
def test_a_pair_that_cannot_be_is_told(proxy, full, said):
    with pytest.raises(RecipeError, match=said.replace("(", r"\(")):
        Proxy.of(proxy, full)


def test_a_width_that_is_given_twice_is_told(tmp_path):
    job = from_settings("tune", "digits", {**ASKED, "width": 16}, budget="3 trials")
    with pytest.raises(RecipeError, match="width is 16 and --proxy width=16 as well"):
        next(iter(Work(job, root=tmp_path)))


def test_a_choice_of_models_is_told(tmp_path):
    settings = {**ASKED, "model": "mlp,convnet", "budget": "3 trials", "epochs": 1}
    with pytest.raises(RecipeError, match="model is a choice of mlp, convnet beside a proxy"):
        for _ in Work(from_settings("tune", "digits", settings), root=tmp_path, device="cpu"):
            pass
