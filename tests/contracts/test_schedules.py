"""Every schedule: its shape, held against torch's own where torch has one, and how it stretches with the run."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tuneful.core.config import comments
from tuneful.core.errors import RecipeError
from tuneful.techniques.interfaces import Schedule
from tuneful.techniques.schedules import TABLE, Constant, Cosine, Linear, Step

kinds = st.sampled_from(sorted(TABLE))
runs = st.integers(1, 3000)
warmups = st.floats(0, 0.99)


def factors(schedule: Schedule, steps: int) -> list[float]:
    return [schedule.factor(step, steps) for step in range(steps)]


def theirs(steps: int, make: object) -> list[float]:
    """The rates that a torch scheduler gives around an lr of 1."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)  # type: ignore[operator]
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize("kind", TABLE)
def test_says_its_kind_source_and_cost_and_comments_each_field(kind: str):
    cls = TABLE[kind]
    assert cls.model_fields["kind"].default == kind
    assert cls.source
    assert cls.cost
    assert set(comments(cls)) == set(cls.model_fields) - {"kind"}


def test_linear_is_torchs_linear():
    torchs = theirs(20, lambda o: torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.0, total_iters=20))
    assert factors(Linear(), 20) == pytest.approx(torchs)


def test_cosine_is_torchs_cosine():
    torchs = theirs(20, lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=20, eta_min=0.01))
    assert factors(Cosine(floor=0.01), 20) == pytest.approx(torchs)


@pytest.mark.parametrize(("size", "steps"), [(5, 25), (7, 21), (10, 100), (3, 30)])
def test_step_is_torchs_step(size: int, steps: int):
    torchs = theirs(steps, lambda o: torch.optim.lr_scheduler.StepLR(o, step_size=size, gamma=0.5))
    assert factors(Step(gamma=0.5, every=size / steps), steps) == pytest.approx(torchs)


def test_a_warm_up_is_torchs_linear_rise():
    torchs = theirs(11, lambda o: torch.optim.lr_scheduler.LinearLR(o, 1 / 11, 1.0, total_iters=10))
    assert factors(Constant(warmup=0.1), 100)[:11] == pytest.approx(torchs)


@given(kind=kinds, steps=runs, warmup=warmups)
def test_stays_in_0_1_reaches_1_after_the_rise_and_falls_from_there(kind: str, steps: int, warmup: float):
    seen = factors(TABLE[kind](warmup=warmup), steps)
    peak = seen.index(max(seen))
    assert all(0 < f <= 1 for f in seen)
    assert seen[peak] == pytest.approx(1)
    assert seen[: peak + 1] == sorted(seen[: peak + 1])
    assert seen[peak:] == sorted(seen[peak:], reverse=True)
    assert abs(peak - warmup * steps) <= 1


@given(kind=kinds, steps=st.integers(2, 500), longer=st.integers(2, 9), at=st.floats(0, 1, exclude_max=True))
def test_stretches_with_the_run(kind: str, steps: int, longer: int, at: float):
    step = int(at * steps)
    assert TABLE[kind]().factor(step * longer, steps * longer) == pytest.approx(TABLE[kind]().factor(step, steps))


@given(kind=kinds, warmup=st.floats(0.02, 0.5))
def test_a_warm_up_keeps_its_share_when_the_run_grows(kind: str, warmup: float):
    short, long = factors(TABLE[kind](warmup=warmup), 1000), factors(TABLE[kind](warmup=warmup), 4000)
    assert long[::4] == pytest.approx(short, abs=0.06) or kind == "step"
    assert abs(long.index(max(long)) - 4 * short.index(max(short))) <= 4


@given(kind=kinds, beyond=st.integers(0, 100))
def test_never_rises_again_after_the_end(kind: str, beyond: int):
    schedule = TABLE[kind]()
    assert schedule.factor(50 + beyond, 50) <= schedule.factor(49, 50)


@pytest.mark.parametrize("kind", TABLE)
def test_a_run_of_one_step_goes_at_the_full_rate(kind: str):
    assert TABLE[kind](warmup=0.9).factor(0, 1) == 1.0


def test_tells_all_wrong_shares_at_once():
    with pytest.raises(RecipeError) as caught:
        Cosine(warmup=1.5, floor=-2)
    assert "schedule.warmup is 1.5; it must be in [0, 1)" in str(caught.value)
    assert "schedule.floor is -2; it must be in [0, 1]" in str(caught.value)
