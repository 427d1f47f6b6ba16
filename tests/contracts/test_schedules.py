"""Every schedule: its shape, held against torch's own where torch has one, and how it stretches with the run."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tuneful.core.config import comments
from tuneful.core.errors import RecipeError
from tuneful.techniques.interfaces import Schedule
from tuneful.techniques.schedules import (
    TABLE,
    WSD,
    Constant,
    Cosine,
    Cyclic,
    Exponential,
    InverseSqrt,
    Linear,
    MultiStep,
    Noam,
    OneCycle,
    Plateau,
    Polynomial,
    Step,
    WarmRestarts,
)

REFERENCE = json.loads((Path(__file__).parent / "reference_schedules.json").read_text("utf-8"))
WAVES = {"warm_restarts", "cyclic", "one_cycle"}  # those that rise again, or in their own way
FALLS = sorted(TABLE.keys() - WAVES - {"noam"})

kinds = st.sampled_from(sorted(TABLE))
falling = st.sampled_from(FALLS)
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


@pytest.mark.parametrize(
    ("name", "schedule", "steps"),
    [
        ("step", Step(gamma=0.5, every=5), 24),
        ("step", Step(gamma=0.5, every=0.2), 25),
        ("multistep", MultiStep(at=(4, 10, 10, 18), gamma=0.1, length=24), 24),
        ("exponential", Exponential(end=0.9**24), 24),
        ("polynomial", Polynomial(power=2.0), 20),
        ("linear_to_zero", Linear(), 20),
        ("constant_warm", Constant(warmup=5, warmup_start=1 / 3, warmup_form="flat"), 24),
        ("warm_restarts", WarmRestarts(cycles=3, multiply=2.0), 28),
        ("one_cycle_cos", OneCycle(rise=6.5 / 24), 24),  # torch counts the phases from the step before
        ("one_cycle_linear_3phase", OneCycle(rise=6.5 / 24, form="linear", three_phase=True), 24),
        ("cyclic_triangular", Cyclic(cycle=10, rise=0.4), 24),
        ("cyclic_triangular", Cyclic(cycle=10 / 24, rise=0.4), 24),
        ("cyclic_triangular2", Cyclic(cycle=10, rise=0.4, form="halving"), 24),
        ("cyclic_exp_range", Cyclic(cycle=10, rise=0.4, form="decaying", end=0.95**24), 24),
        ("warmup_cosine", Cosine(warmup=5, warmup_start=1e-10), 24),
        ("inverse_sqrt", InverseSqrt(warmup=4), 24),
        ("noam", Noam(width=512, warmup=4), 24),
        ("wsd_linear", WSD(warmup=3, cooldown=6, form="linear"), 24),
        ("wsd_1msqrt", WSD(warmup=3, cooldown=6), 24),
        ("trapezoid_airbench", Linear(warmup=5, warmup_start=0.2, floor=0.07), 24),
    ],
)
def test_replays_its_pinned_steps(name: str, schedule: Schedule, steps: int):
    seen = [schedule.factor(step, steps) for step in range(25)]
    assert seen == pytest.approx(REFERENCE[name]["lr"], abs=1e-14)


def test_plateau_replays_its_pinned_steps_and_its_mirror_image_too():
    plateau, metrics = Plateau(gamma=0.5, patience=2, cooldown=1, floor=0.01), REFERENCE["plateau"]["settings"]["metrics"]
    seen = [plateau.reaction(metrics[:n], "min") for n in range(25)]
    assert seen == pytest.approx(REFERENCE["plateau"]["lr"], abs=1e-15)
    mirrored = plateau.replace(threshold=1e-4, threshold_mode="absolute")
    assert [mirrored.reaction([-v for v in metrics[:n]], "max") for n in range(25)] == seen


@settings(deadline=None)  # the first optimizer of a process takes its time
@given(
    values=st.lists(st.floats(-2, 2) | st.just(math.nan), max_size=40),
    direction=st.sampled_from(["min", "max"]),
    patience=st.integers(0, 4),
    cooldown=st.integers(0, 3),
    threshold=st.sampled_from([0.0, 0.01, 0.3]),
    mode=st.sampled_from(["relative", "absolute"]),
)
def test_plateau_falls_where_torchs_falls(values, direction, patience, cooldown, threshold, mode):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    torchs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, direction, 0.5, patience, threshold, mode[:3], cooldown, min_lr=0.02, eps=0.0
    )
    ours = Plateau(gamma=0.5, patience=patience, threshold=threshold, threshold_mode=mode, cooldown=cooldown, floor=0.02)
    for n, value in enumerate(values, 1):
        torchs.step(value)
        assert ours.reaction(values[:n], direction) == pytest.approx(optimizer.param_groups[0]["lr"])


def test_cosine_stays_at_its_floor_where_torchs_rises_again():
    pinned = REFERENCE["cosine"]["lr"]
    seen = [Cosine(floor=0.01).factor(step, 20) for step in range(25)]
    assert seen[:21] == pytest.approx(pinned[:21], abs=1e-15)
    assert seen[21:] == [0.01] * 4
    assert min(pinned[21:]) > 0.01


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


@given(steps=st.integers(2, 300), after=st.integers(1, 3000))
def test_inverse_sqrt_and_noam_are_the_formulas_of_the_paper(steps: int, after: int):
    w, s, n = steps, steps + after, 10 * (steps + after)
    for step in (0, steps // 2, steps - 1, s - 1):
        t = step + 1
        assert InverseSqrt(warmup=w - 1).factor(step, n) == pytest.approx(min(t / w, (w / t) ** 0.5))
        assert Noam(width=64, warmup=w - 1).factor(step, n) == pytest.approx(64**-0.5 * min(t**-0.5, t * w**-1.5))


@given(kind=kinds, steps=runs, warmup=warmups, at=st.integers(0, 4000))
def test_stays_between_nothing_and_the_peak(kind: str, steps: int, warmup: float, at: int):
    schedule = TABLE[kind]() if kind == "one_cycle" else TABLE[kind](warmup=warmup)
    assert 0 <= schedule.factor(at, steps) <= 1 + 1e-12
    if at < steps:
        assert schedule.factor(at, steps) > 0


@given(kind=falling, steps=runs, warmup=warmups)
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
    if kind not in ("inverse_sqrt", "noam"):  # their scale is the warm-up's, in whole steps
        assert TABLE[kind]().factor(step * longer, steps * longer) == pytest.approx(TABLE[kind]().factor(step, steps))


def test_what_is_stated_in_steps_stretches_from_the_length_it_was_stated_for():
    stated, shares = MultiStep(at=(30, 60, 90), length=100), MultiStep(at=(0.3, 0.6, 0.9))
    for steps in (50, 100, 250, 1000):
        assert factors(stated, steps) == factors(shares, steps)
        assert len(set(factors(stated, steps))) == 4  # every fall happens
    assert factors(WSD(warmup=10, cooldown=40, length=200), 1000) == factors(WSD(warmup=0.05, cooldown=0.2), 1000)
    assert factors(OneCycle(rise=20, length=100), 300) == pytest.approx(factors(OneCycle(rise=0.2), 300))
    assert factors(Cyclic(cycle=20, length=100), 300) == pytest.approx(factors(Cyclic(cycle=0.2), 300))


def test_without_a_length_steps_stay_as_they_are_and_leave_room_for_the_rest():
    long, short = Linear(warmup=100), factors(Linear(warmup=100), 60)
    assert [long.factor(100, steps) for steps in (300, 3000)] == [1.0, 1.0]
    assert short.index(1.0) == 30
    assert short[-1] == pytest.approx(1 / 30)
    cool = factors(WSD(warmup=100, cooldown=100), 60)
    assert cool.index(1.0) == 30
    assert cool[-1] < 0.05


def test_moments_in_steps_must_say_of_how_many():
    with pytest.raises(RecipeError, match="length is 0; where `at` is in steps it must say of how many, such as length=180"):
        MultiStep(at=(30, 90))
    with pytest.raises(RecipeError, match="its moments must come in order"):
        MultiStep(at=(0.5, 0.25))
    with pytest.raises(RecipeError, match="its moments must be all shares or all steps"):
        MultiStep(at=(0.5, 20), length=40)


def test_a_stable_part_does_not_know_how_long_the_run_is():
    short, long = (factors(WSD(warmup=20, cooldown=50), steps) for steps in (200, 1000))
    assert short[:151] == long[:151]
    assert short[151] < 1 == long[151]


@given(kind=falling, warmup=st.floats(0.02, 0.5))
def test_a_warm_up_keeps_its_share_when_the_run_grows(kind: str, warmup: float):
    short, long = factors(TABLE[kind](warmup=warmup), 1000), factors(TABLE[kind](warmup=warmup), 4000)
    assert long[::4] == pytest.approx(short, abs=0.06) or kind in ("step", "multi_step", "inverse_sqrt")
    assert abs(long.index(max(long)) - 4 * short.index(max(short))) <= 4


@given(kind=st.sampled_from(sorted(TABLE.keys() - {"cyclic"})), beyond=st.integers(0, 100))
def test_never_rises_again_after_the_end(kind: str, beyond: int):
    schedule = TABLE[kind]()
    assert schedule.factor(50 + beyond, 50) <= schedule.factor(49, 50)


@pytest.mark.parametrize("kind", FALLS)
def test_a_run_of_one_step_goes_at_the_full_rate(kind: str):
    assert TABLE[kind](warmup=0.9).factor(0, 1) == 1.0


def test_tells_all_wrong_shares_at_once():
    with pytest.raises(RecipeError) as caught:
        Cosine(warmup=1.5, floor=-2)
    assert "schedule.warmup is 1.5; it must be a share in [0, 1), or a whole number of steps" in str(caught.value)
    assert "schedule.floor is -2; it must be in [0, 1]" in str(caught.value)
