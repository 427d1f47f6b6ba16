"""What an optimizer keeps: it resumes to the last bit, loads anywhere, and hides nothing."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch
from optimizer_cases import BUILDS, SINGLE, VARIED, Odd, entries, step
from torch import Tensor, nn

from tuneful.techniques.optimizers import AdaBound, decay_groups


def same(a: Any, b: Any) -> bool:
    """Equal to the last bit, through lists."""
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and torch.equal(a, b)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return a == b


@pytest.mark.parametrize("way", BUILDS)
@pytest.mark.parametrize("name", VARIED)
def test_a_resumed_run_is_equal_to_the_last_bit_wherever_it_stopped(name: str, way: str):
    whole, steps = Odd(), 6
    optimizer = BUILDS[way](VARIED[name], decay_groups(whole))
    saved: list[bytes] = []
    for t in range(1, steps + 1):
        whole.step(optimizer, t)
        file = io.BytesIO()
        torch.save({"net": whole.state_dict(), "optimizer": optimizer.state_dict()}, file)
        saved.append(file.getvalue())
    for done, content in enumerate(saved, start=1):
        resumed = Odd()
        # Other values of the constructor: what was saved takes their place.
        other = VARIED[name].replace(lr=VARIED[name].lr * 3)  # type: ignore[attr-defined]
        again = BUILDS[way](other, decay_groups(resumed))
        state = torch.load(io.BytesIO(content), weights_only=True)
        resumed.load_state_dict(state["net"])
        again.load_state_dict(state["optimizer"])
        for t in range(done + 1, steps + 1):
            resumed.step(again, t)
        assert all(torch.equal(a, b) for a, b in zip(resumed.values(), whole.values()))


@pytest.mark.parametrize("name", VARIED)
def test_the_state_dict_is_deterministic_and_survives_a_round(name: str):
    dicts = []
    for _ in range(2):
        net = Odd()
        optimizer = VARIED[name].build(decay_groups(net))
        for t in range(1, 4):
            net.step(optimizer, t)
        dicts.append(copy.deepcopy(optimizer.state_dict()))
        found = list(entries(optimizer))
        optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        assert all(same(a, b) for a, b in zip(found, entries(optimizer), strict=True))
    assert repr(dicts[0].keys()) == repr(dicts[1].keys())
    assert dicts[0]["param_groups"] == dicts[1]["param_groups"]
    for a, b in zip(dicts[0]["state"].items(), dicts[1]["state"].items(), strict=True):
        assert a[0] == b[0]
        assert list(a[1]) == list(b[1])
        assert all(same(a[1][key], b[1][key]) for key in a[1])


@pytest.mark.parametrize("name", VARIED)
def test_hides_no_state(name: str):
    """A fresh optimizer with another's state and groups, and nothing else of it, goes on in the same way."""
    net = Odd(torch.float64)
    optimizer = VARIED[name].build(list(net.parameters()))
    for t in range(1, 5):
        net.step(optimizer, t)
    known = {"state", "param_groups", "defaults", "settings"}
    kept = {k for k, v in vars(optimizer).items() if isinstance(v, Tensor | float | list) and not k.startswith("_")} - known
    assert kept == set()
    twin = copy.deepcopy(net)
    fresh = VARIED[name].build(list(twin.parameters()))
    fresh.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for t in range(5, 9):
        net.step(optimizer, t)
        twin.step(fresh, t)
    assert all(torch.equal(a, b) for a, b in zip(net.values(), twin.values(), strict=True))


@pytest.mark.parametrize("way", BUILDS)
@pytest.mark.parametrize("name", [n for n in SINGLE if VARIED[n].kind not in ("prodigy", "sam", "asam")])
def test_a_parameter_without_a_gradient_rests_and_starts_when_it_has_one(name: str, way: str):
    """Not of those whose step depends on all parameters together."""
    net = Odd(torch.float64)
    optimizer, before = BUILDS[way](VARIED[name], list(net.parameters())), net.late.detach().clone()
    net.step(optimizer, 1)
    net.step(optimizer, 2)
    assert torch.equal(net.late.detach(), before)
    for t in range(3, 6):
        net.step(optimizer, t)
    fresh = Odd(torch.float64)  # its late weight sees the same gradients as its first ones
    alone = BUILDS[way](VARIED[name], [fresh.late])
    again = Odd(torch.float64)
    others = BUILDS[way](VARIED[name], list(again.parameters()))
    for t in range(1, 6):
        again.step(others, t)
        if again.late.grad is not None:
            fresh.late.grad = again.late.grad.clone()
            alone.step()
    torch.testing.assert_close(net.late.detach(), fresh.late.detach(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("way", BUILDS)
@pytest.mark.parametrize("name", [n for n in SINGLE if VARIED[n].kind != "prodigy"])
def test_a_group_overrides_settings_by_our_names_and_may_come_later(name: str, way: str):
    a, b = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = BUILDS[way](VARIED[name], [{"params": [a], "lr": 0.5, "decay": 0.0}])
    for _ in range(2):  # SOAP only looks at the first
        step(optimizer, lambda: a.sum())
    optimizer.add_param_group({"params": [b], "weight_decay": 0.0})
    before = a.detach().clone()
    for _ in range(2):
        step(optimizer, lambda: a.sum() + 0.0 * b.sum())
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, VARIED[name].lr]  # type: ignore[attr-defined]
    assert b.tolist() == [1.0, 1.0]  # neither gradient nor decay moves it
    assert (a.detach() < before).all()


def test_the_rule_calls_a_closure_with_gradients_and_gives_its_loss():
    p = nn.Parameter(torch.tensor([3.0]))
    optimizer = AdaBound().build([p])

    def closure() -> float:
        optimizer.zero_grad()
        loss = p.square().sum()
        loss.backward()
        return loss.item()

    assert optimizer.step(closure) == 9.0
    assert p.item() < 3.0
