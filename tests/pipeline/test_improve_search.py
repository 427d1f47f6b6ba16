"""What is wanted of a point, which points are on the front, and in what order a search goes."""

from __future__ import annotations

from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest

from tuneful.core.errors import ModelError, RecipeError
from tuneful.core.measure import Measure
from tuneful.pipeline.improve import searching
from tuneful.pipeline.improve.aim import bounds, chosen, closest
from tuneful.pipeline.improve.front import front
from tuneful.pipeline.improve.searching import Searching
from tuneful.report.front import headline, render
from tuneful.techniques.compressors import Distil, Prune
from tuneful.techniques.models import ConvNet


def measure(value: float, spread: float = 0.01) -> dict:
    return Measure(value, value * (1 - spread), value * (1 + spread), 100).as_data()


def point(name: str, quality: float, one: float, many: float, size: int, kept: bool = True) -> dict:
    times = {"1": measure(one), "64": measure(many)}
    ratio = {"1": measure(one / 1.0), "64": measure(many / 20.0)}
    return {
        "name": name,
        "kept": kept,
        "value": measure(quality),
        "bytes": size,
        "milliseconds": times,
        "ratio": ratio,
        "losses": [],
    }


POINTS = [
    point("original", 0.98, 1.0, 20.0, 1000_000),
    point("int8", 0.979, 0.5, 9.0, 260_000),
    point("pruned", 0.975, 0.3, 6.0, 200_000),
    point("worse", 0.97, 0.6, 10.0, 270_000),
    point("refused", 0.90, 0.1, 1.0, 10_000, kept=False),
]


def test_the_front_is_what_a_comparison_of_all_pairs_leaves():
    dice = np.random.default_rng(0)
    points = [point(str(k), *dice.uniform(0.5, 1, 3).round(2), int(dice.integers(1, 20)) * 1000) for k in range(40)]

    def costs(one: dict) -> np.ndarray:
        return np.array(
            [-one["value"]["value"], one["milliseconds"]["1"]["value"], one["milliseconds"]["64"]["value"], one["bytes"]]
        )

    beaten = {b["name"] for a, b in product(points, points) if (costs(a) <= costs(b)).all() and (costs(a) < costs(b)).any()}
    assert set(front(points, "max", slack=0.0)) == {one["name"] for one in points} - beaten
    assert front(POINTS, "max") == ["original", "int8", "pruned"]


def test_times_that_differ_by_noise_alone_put_nobody_on_the_front():
    twins = [point("a", 0.9, 1.0, 10.0, 1000), point("b", 0.9, 0.99, 10.1, 2000)]
    assert front(twins, "max") == ["a"]


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("latency<0.6ms", "int8"),
        ("latency<400us", "pruned"),
        ("latency64<7ms", "pruned"),
        ("size<0.3MB", "int8"),
        ("size<300kB, latency<0.4ms", "pruned"),
        ("accuracy>97.7%, size<900kB", "int8"),
        ("latency<5ms", "original"),
    ],
)
def test_the_best_point_within_the_goal_is_chosen(asked, name):
    found = chosen(POINTS, bounds(asked, "accuracy", "max"), "accuracy", "max")
    assert found is not None
    assert found["name"] == name


def test_a_goal_that_nothing_reaches_names_the_point_that_comes_nearest():
    wanted = bounds("latency<0.2ms", "accuracy", "max")
    assert chosen(POINTS, wanted, "accuracy", "max") is None, "the refused point would reach it"
    best, bound, factor = closest(POINTS, wanted, "accuracy")
    assert (best["name"], bound.said) == ("pruned", "latency<0.2ms")
    assert factor == pytest.approx(0.3 * 1.01 / 0.2), "times count with the upper end of their interval"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("latncy<1ms", "names latncy; it may name latency, size and the objective, accuracy; did you mean latency"),
        ("latency<1kB", "latency is told in us or ms or s"),
        ("latency>1ms", "latency is better when it is smaller, so write latency<1ms"),
        ("accuracy<0.9", "accuracy is better when it is larger, so write accuracy>0.9"),
        ("fast", "it must be a quantity, < "),
        ("size<0kB", "the amount must be > 0"),
    ],
)
def test_tells_what_is_wrong_with_a_goal(asked, said):
    with pytest.raises(RecipeError, match=said):
        bounds(asked, "accuracy", "max")


class Pretended:
    """A search whose steps cost nothing: what is kept is said by a rule."""

    def __init__(self, monkeypatch, keeps) -> None:
        self.made: list[str] = []
        recipe = SimpleNamespace(epochs=10.0, batch_size=100, model=ConvNet())
        candidate = SimpleNamespace(recipe=recipe, steps=100, seconds={"train": 1.0})
        self.origin = SimpleNamespace(candidate=candidate, task=SimpleNamespace(train=[None] * 1000))
        self.begun = SimpleNamespace(steps=(), bytes=1000, ratio={}, kept=True)

        def taken(origin, step, before, original, keeper, until):
            if isinstance(step, searching.DynamicInt8):
                raise ModelError("it finds no linear layer")
            chain = (*before.steps, step)
            self.made.append(searching.named(chain))
            ratio = {1: Measure(0.5, 0.4, 0.6, 9)}
            return SimpleNamespace(steps=chain, bytes=500, ratio=ratio, kept=keeps(chain), losses=(), name=self.made[-1])

        monkeypatch.setattr(searching, "taken", taken)

    def run(self) -> list:
        return list(Searching(self.origin, self.begun, None, 1e3))


def test_a_dial_goes_further_where_it_was_kept_and_back_where_it_was_refused(monkeypatch):
    def keeps(chain) -> bool:
        return all(step.share <= 0.6 for step in chain if isinstance(step, Prune))

    world = Pretended(monkeypatch, keeps)
    told = world.run()
    shares = [
        step.share
        for found, _ in told
        if found
        for step in found.steps
        if isinstance(step, Prune) and len(found.steps) == 1 and step.multiple == 8
    ]
    assert shares == [0.5, 0.75, 0.625], "half, further, half-way back; 0.5625 is too near to be worth a training"
    assert [why for found, why in told if found is None] == ["dynamic_int8: it finds no linear layer"]


def test_only_what_was_kept_is_built_upon_and_nothing_is_tried_twice(monkeypatch):
    world = Pretended(monkeypatch, lambda chain: not any(isinstance(step, Distil) for step in chain))
    world.run()
    assert len(world.made) == len(set(world.made))
    assert any(name.startswith("prune-0.5") and name.endswith("+static_int8") for name in world.made)
    assert not any(name.startswith("distil") and "+" in name for name in world.made)
    firsts = [name for name in world.made if "+" not in name]
    assert firsts[:3] == ["static_int8", "static_int8-percentile", "static_int8-entropy"], "what costs seconds comes first"
    kinds = {name.split("-")[0] for name in firsts[8:11]}
    assert kinds == {"prune", "distil"}, "dials move after every step has had its turn"


def test_a_search_without_time_to_train_keeps_to_the_graph(monkeypatch):
    world = Pretended(monkeypatch, lambda chain: True)
    world.origin.candidate.seconds = {"train": 1e6}
    world.run()
    assert not any(name.startswith(("prune", "distil", "low_rank")) for name in world.made)


def test_the_report_draws_every_point_and_says_what_was_reached():
    data = {"title": "digits", "points": POINTS, "front": front(POINTS, "max"), "metric": "accuracy", "direction": "max",
            "limits": [{"metric": "accuracy", "most": 0.005, "said": ""}], "refused": ["<b>prune</b>: too much"], "ended": "nothing more to try"}  # fmt: skip
    assert headline(data).replace("\u00a0", " ") == (
        "2 points beside the original on the front: pruned has 0.20 of its size; pruned takes 0.3000 [0.2970, 0.3030] of its time for "
        "1 example; pruned takes 0.3000 [0.2970, 0.3030] of its time for 64 examples."
    )
    page = render(data)
    assert page == render(data)
    for one in POINTS:
        assert one["name"] in page
    assert "&lt;b&gt;prune&lt;/b&gt;: too much" in page
    assert page.count("<svg") == 3
