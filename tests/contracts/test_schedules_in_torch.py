"""Every schedule as a `torch.optim.lr_scheduler` object in loops that are not ours: plain PyTorch, and what Lightning does."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler, SequentialLR

from tuneful.core.errors import RecipeError
from tuneful.techniques.optimizers import AdaBound
from tuneful.techniques.schedules import TABLE, WSD, Constant, Cosine, Linear, OneCycle, Plateau

STEPS = 24


def optimizer(kind: Any = torch.optim.SGD, **settings: Any) -> torch.optim.Optimizer:
    """Two groups with rates of their own."""
    a, b = (nn.Parameter(torch.ones(2)) for _ in "ab")
    return kind([{"params": [a]}, {"params": [b], "lr": 0.5}], **{"lr": 2.0, **settings})


def walk(o: torch.optim.Optimizer, scheduler: LRScheduler, steps: int, name: str = "lr") -> list[list[float]]:
    """What each group has before every step."""
    seen = []
    for _ in range(steps):
        seen.append([group[name] for group in o.param_groups])
        o.step()
        scheduler.step()
    return seen


@pytest.mark.parametrize("kind", TABLE)
def test_gives_each_group_its_own_rate_times_the_factor(kind: str):
    o, schedule = optimizer(), TABLE[kind]()
    scheduler = schedule.build(o, STEPS)
    assert isinstance(scheduler, LRScheduler)
    seen = walk(o, scheduler, STEPS)
    assert seen == [[2.0 * schedule.factor(t, STEPS), 0.5 * schedule.factor(t, STEPS)] for t in range(STEPS)]
    assert scheduler.get_last_lr() == [2.0 * schedule.factor(STEPS, STEPS), 0.5 * schedule.factor(STEPS, STEPS)]


@pytest.mark.parametrize("kind", TABLE)
@pytest.mark.parametrize("stop", [0, 1, 11, 23])
def test_resumes_from_its_state_through_a_file_read_with_weights_only(kind: str, stop: int):
    def see(scheduler: Any, t: int) -> None:
        if t % 3 == 2:
            scheduler.see(1.0 if t < 6 else 2.0)

    schedule = Plateau(patience=1, gamma=0.5) if kind == "plateau" else TABLE[kind]()
    whole = optimizer()
    scheduler = schedule.build(whole, STEPS)
    for t in range(STEPS):
        if t == stop:
            kept = io.BytesIO()
            torch.save([whole.state_dict(), scheduler.state_dict()], kept)
        whole.step()
        see(scheduler, t)
        scheduler.step()
    kept.seek(0)
    states = torch.load(kept, weights_only=True)
    again = optimizer(lr=9.0)
    other = schedule.build(again, STEPS)
    again.load_state_dict(states[0])
    other.load_state_dict(states[1])
    for t in range(stop, STEPS):
        again.step()
        see(other, t)
        other.step()
    assert other.state_dict() == scheduler.state_dict()
    assert [group["lr"] for group in again.param_groups] == [group["lr"] for group in whole.param_groups]
    assert kind != "plateau" or other.get_last_lr()[0] < 2.0


def test_a_state_in_a_scheduler_for_more_steps_goes_on_along_the_longer_schedule():
    o = optimizer()
    scheduler = Linear().build(o, 10)
    walk(o, scheduler, 5)
    longer = Linear().build(o, 20)
    longer.load_state_dict(scheduler.state_dict())
    assert walk(o, longer, 15)[1:] == [[2.0 * (1 - t / 20), 0.5 * (1 - t / 20)] for t in range(6, 20)]


def test_works_in_torchs_sequence_of_schedulers():
    o = optimizer()
    parts = [Constant().build(o, 10), Linear().build(o, 10)]
    seen = walk(o, SequentialLR(o, parts, milestones=[5]), 15)
    assert [rates[0] for rates in seen] == pytest.approx([2.0] * 5 + [2.0 * (1 - t / 10) for t in range(10)])


def test_moves_our_rules_and_their_other_rates_with_them():
    p = nn.Parameter(torch.ones(3))
    o = AdaBound(lr=1e-2, final_lr=0.1).build([p])
    scheduler = Cosine().build(o, STEPS)
    for t in range(STEPS):
        p.grad = torch.ones(3)
        assert o.param_groups[0]["lr"] == 1e-2 * Cosine().factor(t, STEPS)
        o.step()
        scheduler.step()


@pytest.mark.parametrize(
    ("kind", "settings", "name", "setting"),
    [
        (torch.optim.SGD, {"momentum": 0.85}, "momentum", "momentum"),
        (torch.optim.Adam, {"betas": (0.85, 0.99)}, "betas", "momentum"),
        (torch.optim.AdamW, {"weight_decay": 0.85}, "weight_decay", "decay"),
    ],
)
def test_moves_momentum_and_decay_between_their_own_value_and_the_other_end(kind, settings, name, setting):
    o, cycle = optimizer(kind, **settings), OneCycle(rise=6.5 / 24, start=0.0, floor=0.0)
    rates = Linear().build(o, STEPS)
    scheduler = cycle.build(o, STEPS, setting=setting, to=0.95)
    for t in range(STEPS):
        value = o.param_groups[1][name]
        assert (value[0] if name == "betas" else value) == pytest.approx(0.95 - 0.1 * cycle.factor(t, STEPS))
        assert value == pytest.approx(settings[name]) or value != settings[name]
        assert name != "betas" or value[1] == 0.99
        assert o.param_groups[0]["lr"] == 2.0 * Linear().factor(t, STEPS)
        o.step()
        rates.step()
        scheduler.step()


def test_replays_the_momentum_that_torchs_one_cycle_gives():
    import json
    from pathlib import Path

    pinned = json.loads((Path(__file__).parent / "reference_schedules.json").read_text("utf-8"))["one_cycle_cos"]
    o = optimizer(momentum=0.85)
    scheduler = OneCycle(rise=6.5 / 24, start=0.0, floor=0.0).build(o, 24, setting="momentum", to=0.95)
    assert [m[0] for m in walk(o, scheduler, 25, "momentum")] == pytest.approx(pinned["momentum"], abs=1e-15)


def test_says_what_an_optimizer_lacks():
    o = torch.optim.Adagrad([nn.Parameter(torch.ones(1))])
    with pytest.raises(
        RecipeError, match="a schedule of momentum has nothing to move: the optimizer has no momentum or beta1"
    ):
        Linear().build(o, 10, setting="momentum")


def test_fills_a_rate_that_is_a_tensor_in_place():
    p = nn.Parameter(torch.ones(2))
    rate = torch.tensor(0.5)
    o = torch.optim.Adam([p], lr=rate, foreach=False, capturable=False)
    scheduler = Linear().build(o, 4)
    for t in range(4):
        assert o.param_groups[0]["lr"] is rate
        assert float(rate) == pytest.approx(0.5 * (1 - t / 4))
        o.step()
        scheduler.step()


class Trainer:
    """What Lightning's loop does with a configured scheduler of interval "step": step it after each optimizer step, store its
    state with the optimizer's, and ask for `get_last_lr` and `optimizer` to log the rates."""

    def __init__(self, configured: dict[str, Any]) -> None:
        self.optimizer = configured["optimizer"]
        self.scheduler = configured["lr_scheduler"]["scheduler"]
        assert configured["lr_scheduler"]["interval"] == "step"
        self.logged: list[float] = []

    def fit(self, steps: int) -> None:
        for _ in range(steps):
            self.logged.append(self.scheduler.optimizer.param_groups[0]["lr"])
            assert self.scheduler.get_last_lr()[0] == self.logged[-1]
            self.optimizer.step()
            self.scheduler.step()

    def checkpoint(self) -> dict[str, Any]:
        return {"optimizer_states": [self.optimizer.state_dict()], "lr_schedulers": [self.scheduler.state_dict()]}

    def restore(self, kept: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(kept["optimizer_states"][0])
        self.scheduler.load_state_dict(kept["lr_schedulers"][0])


def configure_optimizers() -> dict[str, Any]:
    o = optimizer(torch.optim.AdamW)
    return {
        "optimizer": o,
        "lr_scheduler": {"scheduler": WSD(warmup=4, cooldown=0.25).build(o, STEPS), "interval": "step"},
    }


def test_does_what_lightnings_loop_asks_of_a_scheduler():
    whole = Trainer(configure_optimizers())
    whole.fit(STEPS)
    assert whole.logged == [2.0 * WSD(warmup=4, cooldown=0.25).factor(t, STEPS) for t in range(STEPS)]
    begun, again = Trainer(configure_optimizers()), Trainer(configure_optimizers())
    begun.fit(13)
    again.restore(begun.checkpoint())
    again.fit(STEPS - 13)
    assert begun.logged + again.logged == whole.logged
