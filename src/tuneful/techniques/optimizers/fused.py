"""torch's fused kernels, used only where they are right.

A fused kernel steps all parameters in one call, and walks each tensor's memory from its first to its last number. Two things
follow that torch 2.13 does not look after on the CPU (both met by experiment; see tests/contracts/test_optimizers.py):

- A gradient or a state tensor laid out otherwise than its parameter (a channels-last weight with a row-major gradient, or
  with state that was saved row by row and loaded again) gives silently wrong steps. `guard` lays them out alike.
- Fused SGD with momentum fails on a parameter whose first gradient comes after the others' first. `guard` gives every
  parameter its zero velocity from the start, which is the same formula.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import torch
from torch import Tensor

DEVICES = ("cpu", "cuda", "xpu", "mps")

Guarded = TypeVar("Guarded", bound=torch.optim.Optimizer)


def fusable(groups: Iterable[dict[str, Any]], devices: tuple[str, ...] = DEVICES) -> bool | None:
    """True where every parameter is a dense real tensor on a device with the kernels; None lets torch choose the loop."""
    tensors = [item[1] if isinstance(item, tuple) else item for group in groups for item in group["params"]]
    return True if tensors and all(_fusable(p, devices) for p in tensors) else None


def _fusable(p: Tensor, devices: tuple[str, ...]) -> bool:
    return p.is_floating_point() and p.layout == torch.strided and p.device.type in devices


def guard(optimizer: Guarded, zeros: tuple[str, ...] = ()) -> Guarded:
    """Keep gradients and state laid out as their parameters, and the state named in `zeros` present, at every step.

    Cost: some comparisons of strides a step, below a microsecond a parameter; a copy only where the layouts differ.
    """

    def align_() -> None:
        for group in optimizer.param_groups:
            for p in group["params"]:
                _align_(p, optimizer.state, zeros)

    def before_step(_: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any] | None:
        closure = kwargs["closure"] if "closure" in kwargs else args[1] if len(args) > 1 else None
        if closure is None:
            align_()
            return None

        def aligned() -> Any:  # the gradients are made in it
            loss = closure()
            align_()
            return loss

        return args[:1], {"closure": aligned}

    optimizer.register_step_pre_hook(before_step)
    return optimizer


def _align_(p: Tensor, states: dict[Tensor, dict[str, Any]], zeros: tuple[str, ...]) -> None:
    strides = p.stride()
    if p.grad is not None and p.grad.layout == torch.strided and p.grad.stride() != strides:
        p.grad = torch.empty_like(p).copy_(p.grad)
    for name in zeros:
        if states[p].get(name) is None:
            states[p][name] = torch.zeros_like(p)
    if p in states:
        state = states[p]
        for name, value in state.items():
            if name != "step" and isinstance(value, Tensor) and value.stride() != strides and value.shape == p.shape:
                state[name] = torch.empty_like(p).copy_(value)
