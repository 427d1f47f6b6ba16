"""torch's classes with a fused kernel: the short way to the kernel takes torch's steps, and what is not plain goes torch's way."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from optimizer_cases import Odd
from torch import Tensor, nn

from tuneful.techniques.optimizers import TABLE

FUSED: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": lambda ps: torch.optim.SGD(ps, lr=0.1, fused=True),
    "momentum": lambda ps: torch.optim.SGD(ps, lr=0.01, momentum=0.9, fused=True),
    "nesterov": lambda ps: torch.optim.SGD(ps, lr=0.01, momentum=0.9, nesterov=True, fused=True),
    "adam": lambda ps: torch.optim.Adam(ps, lr=1e-3, fused=True),
    "amsgrad": lambda ps: torch.optim.Adam(ps, lr=1e-3, amsgrad=True, fused=True),
    "adamw": lambda ps: torch.optim.AdamW(ps, lr=1e-3, weight_decay=0.01, fused=True),
    "adagrad": lambda ps: torch.optim.Adagrad(ps, lr=0.01, fused=True),
}

RATES = {kind: build([nn.Parameter(torch.ones(1))]).param_groups[0]["lr"] for kind, build in FUSED.items()}


def net(*types: torch.dtype) -> list[nn.Parameter]:
    """A matrix and a vector of each type."""
    dice = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=dice).to(dtype)) for dtype in types for shape in ((5, 3), (7,))]


def pull(params: list[nn.Parameter], t: int) -> None:
    """The gradients of step t."""
    dice = torch.Generator().manual_seed(t)
    for p in params:
        p.grad = torch.randn(p.shape, generator=dice).to(p.dtype)


@pytest.mark.parametrize("kind", FUSED)
def test_the_short_way_takes_torchs_steps_to_the_last_bit_and_keeps_torchs_state(kind: str):
    """Types mixed in one group, as in a network of which a part is in half precision."""
    types = (torch.float32, torch.float64, torch.bfloat16)
    a, b = net(*types), net(*types)
    ours, theirs = TABLE[kind](lr=RATES[kind]).build(a), FUSED[kind](b)
    assert isinstance(ours, type(theirs))
    for t in range(6):
        pull(a, t)
        pull(b, t)
        ours.step()
        theirs.step()
    assert all(torch.equal(p, q) for p, q in zip(a, b, strict=True))
    again = FUSED[kind](a)
    again.load_state_dict(copy.deepcopy(ours.state_dict()))  # torch's class goes on where ours stopped
    pull(a, 9)
    pull(b, 9)
    again.step()
    theirs.step()
    assert all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


@pytest.mark.parametrize("kind", FUSED)
def test_hooks_and_closures_are_called_once_a_step_on_either_way(kind: str):
    FUSED[kind](net(torch.float32))  # from then on torch's own class carries its wrapper
    params = net(torch.float32)
    optimizer, calls = TABLE[kind](lr=RATES[kind]).build(params), []
    optimizer.register_step_pre_hook(lambda *_: calls.append("before"))
    optimizer.register_step_post_hook(lambda *_: calls.append("after"))

    def closure() -> Tensor:
        assert torch.is_grad_enabled()
        calls.append("closure")
        optimizer.zero_grad()
        loss = torch.stack([p.square().sum() for p in params]).sum()
        loss.backward()
        return loss

    with torch.no_grad():
        for fused in (True, True, False):
            optimizer.param_groups[0]["fused"] = fused
            assert optimizer.step(closure).item() > 0
    assert calls == 3 * ["before", "closure", "after"]


@pytest.mark.parametrize("kind", FUSED)
def test_a_scaled_loss_is_unscaled_and_skipped_where_it_overflowed(kind: str):
    a, b = net(torch.float32), net(torch.float32)
    ours, theirs = TABLE[kind](lr=RATES[kind]).build(a), FUSED[kind](b)
    for optimizer, params in ((ours, a), (theirs, b)):
        scaler: Any = torch.amp.GradScaler("cpu", init_scale=8.0)
        for t, worst in enumerate((1.0, 1.0, float("inf"), 1.0)):
            pull(params, t)
            scaler.scale(torch.ones(()))  # the scaler begins with the first loss
            for p in params:
                assert p.grad is not None
                p.grad.mul_(8.0 * worst)
            before = [p.detach().clone() for p in params]
            scaler.step(optimizer)
            scaler.update(8.0)
            assert all(torch.equal(p, q) for p, q in zip(params, before)) == (worst > 1)
    assert all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


@pytest.mark.parametrize("kind", FUSED)
def test_a_network_laid_out_anew_in_the_middle_of_a_run_goes_on_in_the_same_way(kind: str):
    plain, turned = Odd(torch.float64), Odd(torch.float64)
    a, b = (
        TABLE[kind](lr=RATES[kind]).build(list(plain.parameters())),
        TABLE[kind](lr=RATES[kind]).build(list(turned.parameters())),
    )
    for t in range(1, 9):
        if t == 5:
            turned.to(memory_format=torch.channels_last)
            assert turned.window.stride() != plain.window.stride()
        plain.step(a, t)
        turned.step(b, t)
    torch.testing.assert_close(turned.values(), plain.values(), rtol=1e-12, atol=1e-12, check_stride=False)
