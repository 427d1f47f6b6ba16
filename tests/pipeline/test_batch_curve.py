"""The batch-size finder, with a clock that the test holds in its hand and memory that it counts."""

from __future__ import annotations

import pytest
from torch import nn

from tuneful.core.errors import RecipeError
from tuneful.pipeline.batch_curve import batch_curve
from tuneful.pipeline.codec import from_mapping
from tuneful.pipeline.train import Run
from tuneful.techniques.models import Own

FIXED, EACH = 8e-3, 1e-4  # seconds: what a step costs at least, and for each example


@pytest.fixture
def clocked(monkeypatch):
    """Steps take FIXED + EACH * examples."""

    def timed(run: Run, least: int, seconds: float) -> float:
        for _ in range(least):
            run._one_step()
        return FIXED + EACH * run.batches.size

    monkeypatch.setattr(Run, "timed", timed)


def made(task, **settings):
    return from_mapping({"model": "mlp", "width": 32, "epochs": 1, "threads": 1, "regularizers": "none", **settings}, task)[
        0
    ]


def test_finds_the_knee_of_a_known_curve_and_counts_what_a_step_keeps(flowers, clocked):
    found = batch_curve(flowers, made(flowers))
    assert [one.size for one in found.loads] == [8, 16, 32, 64, 128, 256, 300]
    for one in found.loads:
        assert one.speed.value == pytest.approx(one.size / (FIXED + EACH * one.size))
        assert one.speed.unit == "examples/s"
    best = 300 / (FIXED + EACH * 300)
    assert found.knee == next(s for s in (8, 16, 32, 64, 128, 256, 300) if s / (FIXED + EACH * s) >= 0.9 * best)
    assert found.ended == "that is the whole training split"
    per_example = (found.loads[5].kept - found.loads[4].kept) / 128
    # input 5, two hidden layers of 32 after their rectifiers, 3 log-probabilities: float32; and the class, an int64
    assert 4 * (5 + 32 + 32 + 3) <= per_example <= 4 * (5 + 4 * 32 + 3 * 3) + 16
    assert found.loads[1].kept - found.loads[0].kept == pytest.approx(8 * per_example, rel=0.05)


def test_stops_at_the_limit_of_memory(flowers, clocked):
    whole = batch_curve(flowers, made(flowers))
    found = batch_curve(flowers, made(flowers), limit=whole.loads[3].kept)
    assert [one.size for one in found.loads] == [8, 16, 32, 64]
    assert found.ended == "memory ends before 128"
    with pytest.raises(RecipeError, match="memory ends before the first batch size, 8"):
        batch_curve(flowers, made(flowers), limit=10)


class Greedy(nn.Module):
    """Runs out of memory when more than 40 examples come at once."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.layer = nn.Linear(5, outputs)

    def forward(self, x):
        if len(x) > 40 and self.training:
            raise MemoryError("no more")
        return self.layer(x)


def test_stops_where_memory_runs_out(flowers, clocked):
    recipe = made(flowers).replace(model=Own.of(Greedy))
    found = batch_curve(flowers, recipe)
    assert [one.size for one in found.loads] == [8, 16, 32]
    assert found.ended == "memory ends before 64"


def test_measures_a_real_recipe(flowers):
    found = batch_curve(flowers, made(flowers), first=100, seconds=0.05)
    assert [one.size for one in found.loads][:2] == [100, 200]
    assert all(one.speed.low <= one.speed.value <= one.speed.high for one in found.loads)
    assert f"{found.knee} examples a step use this machine" in str(found)
