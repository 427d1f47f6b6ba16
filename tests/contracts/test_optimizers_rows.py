"""Small tensors stepped as one: as each alone, whoever rests, comes later, is copied or loaded in between."""

from __future__ import annotations

import copy
from collections.abc import Iterable, MutableMapping
from typing import Any, ClassVar, Literal

import pytest
import torch
from optimizer_cases import VARIED, as_rule
from torch import Tensor, nn

from tuneful.techniques.interfaces import Hyper, Optimizer
from tuneful.techniques.optimizers import RuleOptimizer, pieces

TOGETHER = [
    name for name, s in VARIED.items() if (s.separable(s) or s.stacks) and s.kind not in ("lbfgs", "sam", "asam", "prodigy")
]
SHAPES = ((4, 3), (4, 3), (3, 2, 2), (3, 2, 2), (4, 3), (5,), (5,), (2,), (), ())


def net() -> list[nn.Parameter]:
    dice = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=dice, dtype=torch.float64)) for shape in SHAPES]


def step(optimizer: torch.optim.Optimizer, params: list[nn.Parameter], t: int) -> None:
    """Step t: the third parameter rests in every other one, the fourth until the fourth."""
    dice = torch.Generator().manual_seed(t)
    for i, p in enumerate(params):
        g = torch.randn(p.shape, generator=dice, dtype=torch.float64) + p.detach()
        p.grad = None if (i == 2 and t % 2) or (i == 3 and t < 4) else g
    optimizer.step()


def walked(name: str, params: list[nn.Parameter]) -> torch.optim.Optimizer:
    """Nine steps, a group that comes later among them."""
    optimizer = as_rule(VARIED[name], params[:-1])
    for t in range(1, 10):
        if t == 5:
            optimizer.add_param_group({"params": params[-1:], "decay": 0.0})
        step(optimizer, params, t)
    return optimizer


@pytest.mark.parametrize("name", TOGETHER)
def test_many_stepped_as_one_walk_as_each_alone(name: str, monkeypatch: pytest.MonkeyPatch):
    together, alone = net(), net()
    walked(name, together)
    monkeypatch.setattr(pieces, "SMALL", 0)
    walked(name, alone)
    torch.testing.assert_close(together, alone, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", TOGETHER)
def test_a_copy_goes_on_to_the_last_bit_and_for_itself(name: str):
    params = net()
    optimizer = walked(name, params)
    twins, twin = copy.deepcopy((params, optimizer))
    before = [p.detach().clone() for p in twins]
    for t in range(10, 13):
        step(optimizer, params, t)
    assert all(torch.equal(a, b) for a, b in zip(before, twins, strict=True))
    for t in range(10, 13):
        step(twin, twins, t)
    assert all(torch.equal(a, b) for a, b in zip(params, twins, strict=True))


@pytest.mark.parametrize("name", TOGETHER)
def test_what_is_put_in_the_place_of_its_state_counts(name: str):
    """A loaded state, or one that somebody wrote, is what the next step goes on from."""
    a, b = net(), net()
    first, second = as_rule(VARIED[name], a), as_rule(VARIED[name], b)
    for t in range(4, 7):
        step(first, a, t)
        step(second, b, t + 3)
    second.load_state_dict(first.state_dict())  # the tensors themselves, not a copy
    with torch.no_grad():
        for p, q in zip(a, b, strict=True):
            q.copy_(p)
    for optimizer, params in ((first, a), (second, b)):
        for p in params:
            state = optimizer.state[p]
            state.update({key: value * 2 for key, value in state.items() if isinstance(value, Tensor)})
    for t in range(8, 11):
        step(first, a, t)
        step(second, b, t)
    assert all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


def test_state_that_was_given_other_memory_counts():
    """As in the stack of pipeline, which lays the state of many runs side by side, the tensors being the same objects."""
    a, b = net(), net()
    first, second, held = as_rule(VARIED["adamax"], a), as_rule(VARIED["adamax"], b), []
    for t in range(4, 9):
        if t == 6:
            for p, q in zip(a, b, strict=True):
                for name in ("m", "u"):
                    first.state[p][name].data = torch.stack([first.state[p][name] * 2] * 2)[0]
                    second.state[q][name] = second.state[q][name] * 2
        step(first, a, t)
        step(second, b, t)
        held = [first.state[p]["m"] for p in a] if t == 6 else held
        assert t < 6 or all(first.state[p]["m"] is x for p, x in zip(a, held))  # it stays where the others put it
    assert all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


def test_the_state_lies_side_by_side_and_nothing_else_is_kept():
    params = net()
    optimizer: Any = as_rule(VARIED["adamax"], params)
    for t in range(4, 8, 2):
        step(optimizer, params, t)
    for name in ("m", "u"):
        assert len({optimizer.state[p][name].untyped_storage().data_ptr() for p in params}) == 1
    assert all(optimizer.state[p]["m"].shape == p.shape for p in params)
    assert all(p.untyped_storage().nbytes() == p.nbytes for p in params)  # parameters stay where they were
    n = sum(p.numel() for p in params)
    held = {line.untyped_storage().data_ptr(): line.untyped_storage().nbytes() for row in optimizer._rows.rows.values()
            for line in row.lines.values()}  # fmt: skip
    assert sum(held.values()) == 2 * 8 * n


class Replacing(Optimizer):
    """An outsider's rule that puts new tensors in the place of its own."""

    state: ClassVar[tuple[str, ...]] = ("v",)
    kind: Literal["replacing"] = "replacing"
    lr: float = 0.1

    def separable(self, h: Hyper) -> bool:
        return True

    def step_(self, p: Tensor, g: Tensor, s: MutableMapping[str, Any], t: int | Tensor, h: Hyper) -> None:
        s["v"] = s["v"] * 0.5 + g
        p.sub_(h.lr * s["v"])

    def build(self, params: Iterable[Any] | nn.Module) -> torch.optim.Optimizer:
        return RuleOptimizer(params, self)


class Lengths(Replacing):
    """An outsider's rule that looks at whole tensors, and knows nothing of stacks."""

    def separable(self, h: Hyper) -> bool:
        return False

    def step_(self, p: Tensor, g: Tensor, s: MutableMapping[str, Any], t: int | Tensor, h: Hyper) -> None:
        p.sub_(h.lr * g / g.norm())


@pytest.mark.parametrize("rule", [Replacing(), Lengths()])
def test_an_outsiders_rule_is_stepped_as_it_means(rule: Replacing, monkeypatch: pytest.MonkeyPatch):
    together, alone = net(), net()
    optimizer = rule.build(together)
    for t in range(1, 5):
        step(optimizer, together, t)
    monkeypatch.setattr(pieces, "SMALL", 0)
    optimizer = rule.build(alone)
    for t in range(1, 5):
        step(optimizer, alone, t)
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)
