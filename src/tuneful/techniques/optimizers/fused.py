"""torch's fused kernels, used only where they are right, and called by a shorter way where it is safe.

A fused kernel steps all parameters in one call, and walks each tensor's memory from its first to its last number. Two things
follow that torch 2.13 does not look after on the CPU (both met by experiment; see tests/contracts/test_optimizers_paths.py):

- A gradient or a state tensor laid out otherwise than its parameter (a channels-last weight with a row-major gradient, or
  with state that was saved row by row and loaded again) gives silently wrong steps. Here they are laid out alike first.
- Fused SGD with momentum fails on a parameter whose first gradient comes after the others' first. Here every parameter has
  its zero velocity from the start, which is the same formula.

The classes are torch's own, with its groups, its state and its kernels. Of their step only the way to the kernel is ours: torch asks
every tensor several questions again at each step, which for a small network takes longer than the kernel itself. Whatever is
not the plain case (the first step, a loop or foreach instead of the kernel, a scaled loss, another device) goes torch's way.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

DEVICES = ("cpu", "cuda", "xpu", "mps")
ONE = torch.ones(())  # counts of steps are raised by a tensor: a number costs three times as much

Group = dict[str, Any]
Column = list[Tensor]
Kernel = Callable[[Group, float, Column, Column, list[Column], Column], None]
"""Decay, parameters, gradients, state as `Way.kept` names it, and counts of steps, which are this step's already."""


class Way(NamedTuple):
    """How a class of torch steps: its own step, what its state holds beside the count of steps, and its kernel."""

    long: Callable[[Any], Any]
    kept: Callable[[Group], tuple[str, ...]]
    kernel_: Kernel
    counts: bool = True  # are there counts of steps?
    zeros: bool = False  # is its state to be there, zero, before the first gradient?


def fusable(groups: Iterable[Group], devices: tuple[str, ...] = DEVICES) -> bool | None:
    """True where every parameter is a dense real tensor on a device with the kernels; None lets torch choose the loop."""
    tensors = [item[1] if isinstance(item, tuple) else item for group in groups for item in group["params"]]
    return True if tensors and all(_fusable(p, devices) for p in tensors) else None


def _fusable(p: Tensor, devices: tuple[str, ...]) -> bool:
    return p.is_floating_point() and p.layout == torch.strided and p.device.type in devices


def _sgd_(group: Group, decay: float, p: Column, g: Column, state: list[Column], counts: Column) -> None:
    torch._fused_sgd_(  # pyright: ignore[reportPrivateImportUsage]
        p, g, state[0] if state else [], weight_decay=decay, momentum=group["momentum"], lr=group["lr"],
        dampening=group["dampening"], nesterov=group["nesterov"], maximize=group["maximize"], is_first_step=False,
    )  # fmt: skip


def _adam_(group: Group, decay: float, p: Column, g: Column, state: list[Column], counts: Column) -> None:
    beta1, beta2 = group["betas"]
    kernel_ = torch._fused_adamw_ if group["decoupled_weight_decay"] else torch._fused_adam_  # pyright: ignore[reportPrivateImportUsage]
    kernel_(
        p, g, state[0], state[1], state[2] if len(state) > 2 else [], counts, lr=group["lr"], beta1=beta1, beta2=beta2, eps=group["eps"],
        weight_decay=decay, amsgrad=group["amsgrad"], maximize=group["maximize"],
    )  # fmt: skip


def _adagrad_(group: Group, decay: float, p: Column, g: Column, state: list[Column], counts: Column) -> None:
    torch._fused_adagrad_(  # pyright: ignore[reportPrivateImportUsage]
        p, g, state[0], counts, lr=group["lr"], lr_decay=group["lr_decay"], eps=group["eps"], weight_decay=decay,
        maximize=group["maximize"],
    )  # fmt: skip


MEANS, MOST = ("exp_avg", "exp_avg_sq"), ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
# torch's step without what torch wraps around it, which is around ours already: hooks would be called twice
OF_SGD = Way(
    inspect.unwrap(torch.optim.SGD.step), lambda group: ("momentum_buffer",) if group["momentum"] else (), _sgd_, False, True
)
OF_ADAM = Way(inspect.unwrap(torch.optim.Adam.step), lambda group: MOST if group["amsgrad"] else MEANS, _adam_)
OF_ADAGRAD = Way(inspect.unwrap(torch.optim.Adagrad.step), lambda group: ("sum",), _adagrad_)


class FusedSGD(torch.optim.SGD):
    """torch's SGD, by the short way where it is safe."""

    way: ClassVar[Way] = OF_SGD

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; gives what the closure gave."""
        return _stepped(self, self.way, closure)


class FusedAdam(torch.optim.Adam):
    """torch's Adam, by the short way where it is safe."""

    way: ClassVar[Way] = OF_ADAM

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; gives what the closure gave."""
        return _stepped(self, self.way, closure)


class FusedAdamW(torch.optim.AdamW):
    """torch's AdamW, by the short way where it is safe."""

    way: ClassVar[Way] = OF_ADAM

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; gives what the closure gave."""
        return _stepped(self, self.way, closure)


class FusedAdagrad(torch.optim.Adagrad):
    """torch's Adagrad, by the short way where it is safe."""

    way: ClassVar[Way] = OF_ADAGRAD

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; gives what the closure gave."""
        return _stepped(self, self.way, closure)


def _stepped(optimizer: torch.optim.Optimizer, way: Way, closure: Callable[[], Any] | None) -> Any:
    loss = None
    if closure is not None:
        with torch.enable_grad():
            loss = closure()  # the gradients are made in it
    with torch.no_grad():
        lots = [_columns(group, optimizer.state, way) for group in optimizer.param_groups]
        scaled = any(
            getattr(optimizer, name, None) is not None for name in ("grad_scale", "found_inf")
        )  # torch's GradScaler
        if scaled or None in lots:
            for group in optimizer.param_groups:
                for p in group["params"]:
                    _align_(p, optimizer.state, way.kept(group) if way.zeros else ())
            way.long(optimizer)
            return loss
        for group, lot in zip(optimizer.param_groups, lots, strict=True):
            if lot is not None and lot[0]:
                if way.counts:
                    torch._foreach_add_(lot[3], ONE)  # pyright: ignore[reportPrivateImportUsage]
                way.kernel_(group, group["weight_decay"], *lot)
    return loss


def _columns(group: Group, states: dict[Tensor, Any], way: Way) -> tuple[Column, Column, list[Column], Column] | None:
    """The parameters of a group that have a gradient, with it and with their state; None where torch's own step is to be taken."""
    if not group["fused"] or group["differentiable"]:
        return None
    params, grads, counts, names = [], [], [], way.kept(group)
    columns: list[Column] = [[] for _ in names]
    for p in group["params"]:
        g = p.grad
        if g is None:
            continue
        strides = p.stride()
        if not p.is_cpu or g.layout is not torch.strided or g.stride() != strides:
            return None
        if way.counts or names:
            s = states.get(p)
            if not s:
                return None
            for name, column in zip(names, columns):
                x = s.get(name)
                if x is None or x.stride() != strides:
                    return None
                column.append(x)
            if way.counts:
                counts.append(s["step"])
        params.append(p)
        grads.append(g)
    return params, grads, columns, counts


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
